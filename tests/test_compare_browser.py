"""The page of `upscale-compare` in a real browser: what it shows and does, and that its console stays empty."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import MISSING, Browser
from click.testing import CliRunner
from PIL import Image
from selenium.webdriver.support.ui import WebDriverWait
from support import Array

from upscale_cli.commands.compare import cli
from upscale_cli.commands.upscale import cli as upscale_cli

pytestmark = [pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.long]

SCENE = Path(__file__).parents[1] / "sample_images" / "scene.png"
METHODS = ("nearest", "bicubic", "lanczos", "learned")
WIDE, HIGH = 1200, 900
"""Size of the window, in pixels."""


def called(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page about an image and its reference, its numbers, and the results of `upscale` for that image."""
    folder = tmp_path_factory.mktemp("page")
    with Image.open(SCENE) as image:
        large = image.convert("RGB")
    large.save(folder / "reference.png")
    large.reduce(2).save(folder / "in.png")
    chosen = [word for method in METHODS for word in ("-m", method)]
    values = called(
        cli, folder / "in.png", *chosen, "--reference", folder / "reference.png", "-o", folder / "page.html", "--json"
    )
    (folder / "numbers.json").write_text(values)
    for method in METHODS:
        called(upscale_cli, folder / "in.png", "-m", method, "-o", folder / f"{method}.png")
    return folder


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(window: Browser, folder: Path) -> Iterator[Browser]:
    """The page, freshly opened; the console must be empty at the end."""
    opened(window, folder / "page.html")
    yield window
    assert complaints(window) == []


def complaints(window: Browser) -> list[str]:
    """Return the console messages, except for advice about canvases that only these tests read."""
    return [text for text in window.complaints() if "willReadFrequently" not in text]


def opened(window: Browser, page: Path) -> None:
    window.resize(WIDE, HIGH)
    window.prefer("light")
    window.get(page.resolve().as_uri())
    window.execute_script("return Promise.all([...document.images].map((image) => image.decode())).then(() => 1)")
    window.settle()


def made(folder: Path, name: str) -> Array:
    with Image.open(folder / f"{name}.png") as image:
        return np.asarray(image.convert("RGB"))


def state(page: Browser) -> dict[str, Any]:
    """Return the state of the page's script."""
    values: dict[str, Any] = page.execute_script("return { ...view }")
    return values


def canvas(page: Browser, selector: str = ".pane canvas") -> Array:
    """Return the pixels of a canvas, uint8 (H, W, 4)."""
    width, height, data = page.execute_script(
        "const c = document.querySelector(arguments[0]);"
        "const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let text = ''; for (const value of data) text += String.fromCharCode(value);"
        "return [c.width, c.height, btoa(text)]",
        selector,
    )
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)


def divider(page: Browser) -> int:
    return int(page.execute_script("return divider.getAttribute('aria-valuenow')"))


def middle(page: Browser, selector: str = "#stage") -> tuple[float, float]:
    left, top, width, height = page.box(selector)
    return left + width / 2, top + height / 2


def captions(page: Browser) -> list[str]:
    return list(
        page.execute_script(
            "return [...document.querySelectorAll('.pane figcaption span')].map((s) => s.textContent)"
        )
    )


def assert_shown(page: Browser, left: Array, right: Array, zoom: int = 1) -> None:
    """Fail unless the stage shows one picture on each side of the line, each pixel as a square, and nothing else."""
    shown, now = canvas(page), state(page)
    assert now["zoom"] == zoom
    left, right = (np.kron(each, np.ones((zoom, zoom, 1), np.uint8)) for each in (left, right))
    height, width = left.shape[:2]
    x, y = (round(side / 2 - now[axis] * zoom) for side, axis in ((shown.shape[1], "x"), (shown.shape[0], "y")))
    assert x >= 0
    assert y >= 0
    cut = min(width, max(0, round(shown.shape[1] * now["split"]) - x))
    expected = np.zeros_like(shown)
    expected[y : y + height, x : x + width, :3] = right
    expected[y : y + height, x : x + width, 3] = 255
    expected[y : y + height, x : x + cut, :3] = left[:, :cut]
    np.testing.assert_array_equal(shown, expected)


def test_pixels_are_those_that_upscale_writes(page: Browser, folder: Path) -> None:
    for index, name in enumerate(("reference", *METHODS)):
        page.execute_script(
            "const image = document.getElementById(arguments[0]), c = document.createElement('canvas');"
            "[c.width, c.height, c.id] = [image.naturalWidth, image.naturalHeight, 'whole'];"
            "document.getElementById('whole')?.remove(); document.body.append(c);"
            "c.getContext('2d').drawImage(image, 0, 0)",
            f"picture-{index}",
        )
        np.testing.assert_array_equal(canvas(page, "#whole")[..., :3], made(folder, name), err_msg=name)


def test_the_slider_shows_one_picture_on_each_side(page: Browser, folder: Path) -> None:
    """At first it shows the first method on the left and the best on the right."""
    assert captions(page) == ["nearest", "learned"]
    page.click("#actual")
    page.settle()
    assert_shown(page, made(folder, "nearest"), made(folder, "learned"))
    box = page.box("#stage")
    x, y = middle(page, "#divider")
    page.drag((x, y), (x + 60, y + 30))
    assert divider(page) == round(100 * (0.5 + 60 / box[2]))
    assert_shown(page, made(folder, "nearest"), made(folder, "learned"))
    x, y = middle(page, "#divider")
    page.drag((x, y), (2, y), "touch")
    assert divider(page) == 0
    assert_shown(page, made(folder, "nearest"), made(folder, "learned"))


def test_methods_are_chosen_by_name(page: Browser, folder: Path) -> None:
    page.click("#actual")
    for side, choice in (("left", "lanczos"), ("right", "reference")):
        page.click(f"#{side} option[value='{('reference', *METHODS).index(choice)}']")
    page.settle()
    assert captions(page) == ["lanczos", "reference"]
    assert_shown(page, made(folder, "lanczos"), made(folder, "reference"))
    page.click("#swap")
    page.settle()
    assert captions(page) == ["reference", "lanczos"]
    assert_shown(page, made(folder, "reference"), made(folder, "lanczos"))
    assert page.execute_script("return document.querySelector('.pane canvas').getAttribute('aria-label')") == (
        "reference on the left, lanczos on the right"
    )


def test_the_wheel_zooms_about_the_pointer(page: Browser) -> None:
    page.click("#actual")
    x, y = middle(page)
    page.hover((x + 70, y - 50))
    before = state(page)["point"]
    page.wheel((x + 70, y - 50), -600)
    assert state(page)["zoom"] == pytest.approx(np.exp(0.9))
    page.hover((x + 71, y - 50))
    page.hover((x + 70, y - 50))
    assert state(page)["point"] == pytest.approx(before, abs=1e-6)
    page.wheel((x, y), 10_000)
    assert state(page)["zoom"] == 0.05


def test_dragging_moves_the_pictures(page: Browser, folder: Path) -> None:
    page.click("#actual")
    x, y = middle(page)
    page.drag((x + 100, y), (x + 130, y - 20))
    now = state(page)
    height, width = made(folder, "reference").shape[:2]
    assert (now["x"], now["y"]) == (width / 2 - 30, height / 2 + 20)
    assert_shown(page, made(folder, "nearest"), made(folder, "learned"))


def test_two_fingers_zoom(page: Browser) -> None:
    page.click("#actual")
    x, y = middle(page)
    page.pinch((x, y + 120), 40, 120)
    assert state(page)["zoom"] == pytest.approx(3, rel=0.05)
    assert not page.execute_script("return pointers.size")


def test_buttons_zoom(page: Browser, folder: Path) -> None:
    zooms = []
    for button in ("actual", "in", "in", "out", "out", "out", "fit"):
        page.click(f"#{button}")
        page.settle()
        zooms.append(page.execute_script("return document.getElementById('zoom').value"))
        if len(zooms) <= 4:
            assert_shown(page, made(folder, "nearest"), made(folder, "learned"), (1, 2, 3, 2)[len(zooms) - 1])
    height, width = made(folder, "reference").shape[:2]
    whole = int(min(page.box("#stage")[2] / width, page.box("#stage")[3] / height))
    assert zooms == ["100 %", "200 %", "300 %", "200 %", "100 %", "50 %", f"{whole}00 %"]


def test_everything_works_from_the_keyboard(page: Browser, folder: Path) -> None:
    """Starting at the top of the page, with Tab alone."""
    order = ["theme", "left", "swap", "right", "pair", "out", "in", "fit", "actual", "errors", "stage", "divider"]
    seen = []
    for _ in order:
        page.press("Tab")
        seen.append(page.execute_script("const e = document.activeElement; return e.id || e.value"))
        assert page.execute_script("return document.activeElement.matches(':focus-visible')")
    assert seen == order
    page.press("ArrowRight", "Shift+ArrowRight")
    assert divider(page) == 62
    page.press("ArrowDown")
    assert divider(page) == 60
    page.press("Home")
    assert divider(page) == 0
    page.press("End", "ArrowRight")
    assert divider(page) == 100
    assert page.execute_script("return divider.getAttribute('aria-valuetext')") == "100 % nearest, 0 % learned"
    page.press("1")
    assert_shown(page, made(folder, "nearest"), made(folder, "learned"))
    page.press("x", "]", "[")
    assert captions(page) == ["learned", "nearest"]
    page.press("[")
    assert captions(page) == ["learned", "reference"]
    page.execute_script("stage.focus()")
    page.press("ArrowLeft", "Shift+ArrowUp")
    height, width = made(folder, "reference").shape[:2]
    assert (state(page)["x"], state(page)["y"]) == (width / 2 - 40, max(0, height / 2 - 200))
    page.press("+", "+", "-")
    assert state(page)["zoom"] == 2
    page.press("0", "a")
    assert captions(page) == ["reference", *METHODS]
    page.press("a", "e")
    assert captions(page) == ["learned, error map", "reference, error map"]


def test_all_pictures_move_together(page: Browser, folder: Path) -> None:
    page.execute_script("document.querySelector('[value=all]').click()")
    page.click("#actual")
    page.settle()
    assert captions(page) == ["reference", *METHODS]
    x, y = middle(page, ".pane:nth-child(3)")
    page.drag((x, y), (x + 31, y + 17))
    now = state(page)
    for number, name in enumerate(("reference", *METHODS), 1):
        shown = canvas(page, f".pane:nth-child({number}) canvas")
        left, top = (round(side / 2 - now[axis]) for side, axis in ((shown.shape[1], "x"), (shown.shape[0], "y")))
        expected = made(folder, name)[max(0, -top) :, max(0, -left) :]
        part = shown[max(0, top) :, max(0, left) :][: expected.shape[0], : expected.shape[1], :3]
        np.testing.assert_array_equal(part, expected[: part.shape[0], : part.shape[1]], err_msg=name)


def test_the_magnifier_shows_the_pixels_under_the_pointer(page: Browser, folder: Path) -> None:
    page.click("#actual")
    x, y = middle(page)
    page.hover((x + 33, y + 21))
    column, row = (int(np.floor(value)) for value in state(page)["point"])
    assert page.execute_script("return document.getElementById('place').textContent") == f"x {column}, y {row}"
    values = page.execute_script("return [...document.querySelectorAll('#lenses .value')].map((v) => v.textContent)")
    assert values == [" ".join(map(str, made(folder, name)[row, column])) for name in ("reference", *METHODS)]
    lens = canvas(page, "#lenses li:nth-child(3) canvas")
    side = len(lens) / 17
    around = made(folder, "bicubic")[row - 8 : row + 9, column - 8 : column + 9]
    centres = ((np.arange(17) + 0.5) * side).astype(int)
    np.testing.assert_array_equal(lens[np.ix_(centres, centres)][..., :3], around)


def test_the_error_map_is_the_largest_difference_of_a_channel(page: Browser, folder: Path) -> None:
    page.click("#actual")
    page.click("#errors")
    page.settle()
    reference = made(folder, "reference").astype(int)
    stops = page.execute_script("return RAMP")
    maps = []
    for name in ("nearest", "learned"):
        share = np.minimum(1, np.abs(made(folder, name) - reference).max(axis=2) / 64)
        maps.append(np.stack([np.interp(share * 4, range(5), channel) for channel in np.transpose(stops)], axis=2))
    left, right = (np.floor(colours + 0.5).astype(np.uint8) for colours in maps)
    assert_shown(page, left, right)
    page.click("#errors")
    page.settle()
    assert_shown(page, made(folder, "nearest"), made(folder, "learned"))


def test_numbers_are_those_of_the_command(page: Browser, folder: Path) -> None:
    methods = json.loads((folder / "numbers.json").read_text())["methods"]
    rows = page.execute_script(
        "return [...document.querySelectorAll('#numbers tbody tr')].map("
        "(row) => [row.cells[0].firstChild.textContent, ...[...row.cells].slice(2).map((cell) => cell.textContent)])"
    )
    assert rows == [[row["method"], f"{row['psnr']:.2f}", f"{row['ssim']:.4f}"] for row in methods]
    best = page.execute_script(
        "return [...document.querySelectorAll('#numbers strong')].map((cell) => cell.textContent)"
    )
    assert best == [f"{max(row['psnr'] for row in methods):.2f}", f"{max(row['ssim'] for row in methods):.4f}"]
    times = page.execute_script(
        "return [...document.querySelectorAll('#numbers tbody tr')].map((row) => row.cells[1].textContent)"
    )
    for shown, row in zip(times, methods, strict=True):
        number, unit = shown.split()
        assert float(number) / {"s": 1, "ms": 1000}[unit] == pytest.approx(row["seconds"], abs=0.006)


@pytest.mark.parametrize("width", [360, 400, 768, 1600, 2560])
def test_nothing_overflows(page: Browser, width: int) -> None:
    for view in ("pair", "all"):
        page.execute_script("document.querySelector(`[value=${arguments[0]}]`).click()", view)
        page.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
        page.resize(width, HIGH)
        assert page.execute_script("return document.documentElement.scrollWidth") == width
        beyond = page.execute_script(
            "return [...document.querySelectorAll('button, select, label, h1, canvas, td, figcaption span, kbd')]"
            ".map((e) => [e.outerHTML, e.getBoundingClientRect()])"
            ".filter(([, box]) => box.width && (box.left < 0 || box.right > innerWidth))"
        )
        assert beyond == []


def test_light_and_dark(page: Browser) -> None:
    def paper() -> str:
        return str(page.execute_script("return getComputedStyle(document.documentElement).backgroundColor"))

    def button() -> str:
        return str(page.execute_script("return document.getElementById('theme').textContent"))

    light = paper()
    assert button() == "Dark"
    page.prefer("dark")
    dark = paper()
    assert (button(), dark != light) == ("Light", True)
    page.click("#theme")
    assert (button(), paper()) == ("Dark", light)
    page.prefer("light")
    page.click("#theme")
    assert (button(), paper()) == ("Light", dark)


def test_everything_has_a_name(page: Browser) -> None:
    """Names are those that a screen reader gets from the browser."""
    nodes = page.accessible()
    named = {"button", "combobox", "checkbox", "radio", "slider", "image", "status", "table", "region"}
    roles = {node["role"]["value"].lower() for node in nodes if not node["ignored"]}
    assert {"button", "combobox", "checkbox", "radio", "slider", "image", "table", "heading", "main"} <= roles
    groups = {node["name"]["value"] for node in nodes if not node["ignored"] and node["role"]["value"] == "group"}
    assert {"View", "Zoom", page.execute_script("return stage.getAttribute('aria-label')")} <= groups
    for node in nodes:
        if not node["ignored"] and node["role"]["value"].lower() in named:
            assert node.get("name", {}).get("value"), node


def test_a_server_that_states_another_encoding_does_no_harm(window: Browser, folder: Path) -> None:
    class Handler(SimpleHTTPRequestHandler):
        extensions_map = {".html": "text/html; charset=iso-8859-1"}  # noqa: RUF012

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            window.get(f"http://127.0.0.1:{server.server_port}/page.html")
            shown = window.execute_script("return [document.characterSet, document.title, document.images.length]")
            requests = "performance.getEntriesByType('resource').map((entry) => entry.name)"
            asked = window.execute_script(f"return {requests}.filter((name) => !name.startsWith('data:'))")
        finally:
            server.shutdown()
            thread.join()
    assert shown == ["UTF-8", "in.png – upscale-compare", 1 + len(METHODS)]
    assert asked == []


def test_a_page_without_a_reference(window: Browser, tmp_path: Path) -> None:
    """One transparent image, one method: controls for comparing with a reference are hidden."""
    logo = SCENE.with_name("logo.png")
    called(cli, logo, "-m", "lanczos", "-o", tmp_path / "page.html")
    called(upscale_cli, logo, "-m", "lanczos", "-o", tmp_path / "made.png")
    opened(window, tmp_path / "page.html")
    assert captions(window) == ["lanczos", "lanczos"]
    assert not window.execute_script("return document.getElementById('errors').checkVisibility()")
    window.click("#actual")
    window.settle()
    with Image.open(tmp_path / "made.png") as image:
        own = np.asarray(image)
    shown, now = canvas(window), state(window)
    x, y = (round(side / 2 - now[axis]) for side, axis in ((shown.shape[1], "x"), (shown.shape[0], "y")))
    part = shown[y : y + own.shape[0], x : x + own.shape[1]]
    opaque = own[..., 3] == 255
    np.testing.assert_array_equal(part[opaque], own[opaque])
    chequered = {tuple(colour) for colour in part[own[..., 3] == 0]}
    assert chequered == {(255, 255, 255, 255), (200, 200, 200, 255)}
    assert complaints(window) == []


@pytest.mark.parametrize(("view", "start"), [("pair", "#stage"), ("pair", "#divider"), ("all", "#stage")])
def test_a_vertical_swipe_scrolls_the_page(page: Browser, view: str, start: str) -> None:
    page.execute_script("document.querySelector(`[value=${arguments[0]}]`).click()", view)
    page.click("#actual")
    page.settle()
    before = state(page)
    x, y = middle(page, start)
    x += 12 if start == "#divider" else -80
    page.fingers(((x, y), (x + 3, y - 200)))
    WebDriverWait(page, 10).until(lambda page: page.execute_script("return scrollY") > 150)
    now = state(page)
    assert {key: now[key] for key in ("x", "y", "zoom", "split")} == {
        key: before[key] for key in ("x", "y", "zoom", "split")
    }
    assert not page.execute_script("return pointers.size")


def test_a_finger_moves_the_pictures_sideways_and_two_move_them_anywhere(page: Browser) -> None:
    page.click("#actual")
    x, y = middle(page)
    before = state(page)
    page.fingers(((x - 150, y), (x - 90, y - 10)))
    now = state(page)
    assert now["x"] == pytest.approx(before["x"] - 60, abs=16)  # a finger that moves less is only touching
    page.fingers(((x - 150, y), (x - 150, y - 60)), ((x - 90, y), (x - 90, y - 60)))
    assert state(page)["y"] == pytest.approx(now["y"] + 60, abs=16)
    page.fingers(((x - 150, y - 20), (x - 150, y - 80)), ((x - 150, y + 20), (x - 150, y + 80)))
    assert state(page)["zoom"] > 2.5
    assert page.execute_script("return scrollY") == 0

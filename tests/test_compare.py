"""Comparing methods: pictures equal to those of `upscale`, numbers worked out independently, harmless pages."""

import base64
import hashlib
import html.parser
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from breaking import needs_proc
from click.testing import CliRunner, Result
from pictures import SRGB_PROFILE, chunks_of, deep_png, encoded, image_data, noise, opened
from PIL import Image, ImageDraw
from support import Array

from upscale_cli import METHODS, upscale
from upscale_cli.commands import compare as compare_command
from upscale_cli.commands.compare import cli
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli as upscale_cli
from upscale_cli.compare import comparison
from upscale_cli.compare import page as page_module
from upscale_cli.compare.sheet import find_details
from upscale_cli.learning.measure import luma_8bit, psnr, round_8bit, ssim
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods.strips import Workers

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "sample_images"
FOLDER = ROOT / "upscale_cli" / "compare"


def call(*arguments: object, status: int = 0, data: bytes | None = None) -> Result:
    """Run the command in this process."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments], input=data)
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def numbers(*arguments: object) -> dict[str, Any]:
    """Return the output of `--json`, from a separate process, in which BLAS has one thread, as it has for users."""
    line = [sys.executable, "-m", "upscale_cli.commands.compare", *map(str, arguments), "--json", "-q"]
    values: dict[str, Any] = json.loads(subprocess.run(line, check=True, capture_output=True).stdout)
    return values


def files_of(page: bytes) -> list[bytes]:
    """Return the picture files in a page, decoded from their data URLs."""
    files = []
    for tag, attributes in Elements(page).found:
        if tag == "img":
            found = re.fullmatch(r"data:image/(png|webp);base64,([A-Za-z0-9+/]+=*)", attributes["src"] or "")
            assert found
            files.append(base64.b64decode(found[2], validate=True))
            assert opened(files[-1]).format == found[1].upper()
    return files


def written(source: Path, folder: Path, *arguments: str) -> bytes:
    """Return the PNG file that `upscale` writes."""
    target = folder / "written.png"
    line = [str(source), "-o", str(target), "--overwrite", "--strip", *arguments]
    result = CliRunner().invoke(upscale_cli, line)
    assert result.exit_code == 0, result.output
    return target.read_bytes()


def unpacked(file: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the chunks of a PNG file and its filtered rows, which do not depend on the compression."""
    chunks = chunks_of(file)
    return [chunk for chunk in chunks if chunk[0] != b"IDAT"], image_data(chunks)


class Elements(html.parser.HTMLParser):
    """The elements of a page, and the text inside each tag."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(page.decode("utf-8-sig"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.found)


# Pictures.


def oriented_jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise("RGB", 33, 20), "JPEG", exif=exif, icc_profile=SRGB_PROFILE)


KINDS = {
    "rgb.png": (SAMPLES / "small-text.png").read_bytes(),
    "grey.png": encoded(noise("L", 30, 21), "PNG"),
    "alpha.png": (SAMPLES / "logo.png").read_bytes(),
    "palette.png": (SAMPLES / "pixel-art.png").read_bytes(),
    "bits.png": encoded(noise("1", 30, 21), "PNG"),
    "deep.png": deep_png(np.random.default_rng(0).integers(0, 65536, (12, 17, 3), np.uint16)),
    "upright.jpg": oriented_jpeg(),
    "profile.webp": encoded(noise("RGB", 30, 21), "WEBP", icc_profile=SRGB_PROFILE, lossless=True),
    "ink.tif": encoded(noise("CMYK", 30, 21), "TIFF"),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name, data in KINDS.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_a_page_holds_the_files_that_upscale_writes(name: str, kinds: Path, tmp_path: Path) -> None:
    call(kinds / name, "-s", 3, "-m", "nearest", "-m", "lanczos:a=4", "-o", tmp_path / "page.html")
    have = files_of((tmp_path / "page.html").read_bytes())
    expected = [
        written(kinds / name, tmp_path, "-s", "3", "-m", "nearest"),
        written(kinds / name, tmp_path, "-s", "3", "-m", "lanczos", "-p", "a=4"),
    ]
    assert [unpacked(file) for file in have] == [unpacked(file) for file in expected]


@pytest.mark.parametrize("name", [n for n in KINDS if n != "deep.png"])
def test_webp_in_a_page_has_the_same_pixels(
    name: str, kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "ROOM", 0)
    call(kinds / name, "-s", 2, "-m", "bicubic", "-o", tmp_path / "page.html")
    (file,) = files_of((tmp_path / "page.html").read_bytes())
    have, expected = opened(file), opened(written(kinds / name, tmp_path, "-s", "2", "-m", "bicubic"))
    alpha = expected.mode in ("LA", "RGBA")
    if len(file) > 1000:  # small files may be smaller as PNG
        assert have.format == "WEBP"
    assert have.info.get("icc_profile") == expected.info.get("icc_profile")
    wanted = expected.convert("RGBA" if alpha else "RGB")
    np.testing.assert_array_equal(np.asarray(have.convert(wanted.mode)), np.asarray(wanted))


def test_what_webp_cannot_hold_stays_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "ROOM", 0)
    gamma = (100_000).to_bytes(4)
    samples = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint16)
    (tmp_path / "deep.png").write_bytes(deep_png(samples))
    linear = opened(encoded(noise("RGB", 60, 50), "PNG"))
    from PIL import PngImagePlugin

    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", gamma)
    linear.save(tmp_path / "linear.png", pnginfo=chunks)
    Image.new("RGB", (4100, 1)).save(tmp_path / "long.png")
    named = PngImagePlugin.PngInfo()
    named.add(b"cICP", bytes((12, 13, 0, 1)))
    linear.save(tmp_path / "named.png", pnginfo=named)
    for name, scale in (("deep", 2), ("linear", 2), ("named", 2), ("long", 4)):
        call(tmp_path / f"{name}.png", "-s", scale, "-m", "bilinear", "-o", tmp_path / f"{name}.html")
        (file,) = files_of((tmp_path / f"{name}.html").read_bytes())
        assert file.startswith(b"\x89PNG"), name


def test_pictures_become_webp_where_base64_would_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ROOM counts bytes of base64: files stay PNG where exactly these fit, and become WebP with one byte less."""
    noise("RGB", 60, 50).save(tmp_path / "in.png")

    def pictures() -> list[bytes]:
        line = (tmp_path / "in.png", "-m", "bilinear", "-m", "bicubic", "-o", tmp_path / "page.html", "--overwrite")
        call(*line)
        return files_of((tmp_path / "page.html").read_bytes())

    needed = sum(len(base64.b64encode(file)) for file in pictures())
    assert page_module.ROOM < page_module.LIMIT
    for room, kind in ((needed, "PNG"), (needed - 1, "WEBP")):
        monkeypatch.setattr(page_module, "ROOM", room)
        assert {opened(file).format for file in pictures()} == {kind}


def test_a_page_of_full_room_keeps_to_the_limit(tmp_path: Path) -> None:
    """HTML, style, script and numbers take less than what ROOM leaves of LIMIT, with every method and a reference."""
    call(SAMPLES / "scene.png", "--reduce", 2, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_bytes()
    pictures = sum(len(base64.b64encode(file)) for file in files_of(page))
    assert len(page) - pictures < page_module.LIMIT - page_module.ROOM


# Numbers.


def test_methods_are_those_that_apply(tmp_path: Path) -> None:
    every = ["nearest", "bilinear", "bicubic", "lanczos", "transposed-conv", "learned"]
    source = SAMPLES / "pixel-art.png"
    found = numbers(source)
    assert [each["method"] for each in found["methods"]] == every
    assert (found["scale"], found["before"], found["after"], found["reference"]) == ([2, 2], [32, 32], [64, 64], None)
    assert all(each["seconds"] > 0 and "psnr" not in each for each in found["methods"])
    fractional = [each["method"] for each in numbers(source, "-s", 1.5)["methods"]]
    assert fractional == [name for name in every if not METHODS[name].integer_scale]
    # The indices for max unpooling are beside the image.
    assert CliRunner().invoke(pool_cli, [str(source), "-o", str(tmp_path / "a.png")]).exit_code == 0
    named = numbers(tmp_path / "a.png", "-s", 2, "-m", "max-unpooling", "-m", "mitchell")["methods"]
    assert [each["method"] for each in named] == ["max-unpooling", "mitchell"]


def test_a_reduced_image_is_measured_against_the_original() -> None:
    with Image.open(SAMPLES / "scene.png") as image:
        original = np.asarray(image.convert("RGB"))[:192, :255]
    small = round_8bit(reduce(original, 3)).astype(np.uint8)
    found = numbers(SAMPLES / "scene.png", "--reduce", 3, "-m", "nearest", "-m", "learned")
    assert found["reference"] == "the input image, before it was reduced by a factor of 3"
    assert (found["before"], found["after"]) == ([85, 64], [255, 192])
    for values, method in zip(found["methods"], ("nearest", "learned"), strict=True):
        have = luma_8bit(upscale(small, 3, METHODS[method]))
        assert values["psnr"] == pytest.approx(psnr(have, luma_8bit(original), 3))
        assert values["ssim"] == pytest.approx(ssim(have, luma_8bit(original), 3))


def test_results_are_measured_against_a_reference_file(tmp_path: Path) -> None:
    source = SAMPLES / "small-text.png"
    (tmp_path / "large.png").write_bytes(written(source, tmp_path, "-s", "2", "-m", "bicubic"))
    found = numbers(source, "-m", "bicubic", "-m", "nearest", "--reference", tmp_path / "large.png")
    same, other = found["methods"]
    assert found["reference"] == "large.png"
    assert same["psnr"] is None
    assert same["ssim"] == pytest.approx(1)
    bicubic, nearest = (
        np.asarray(Image.open(tmp_path / "large.png")),
        upscale(np.asarray(opened(source.read_bytes())), 2, "nearest"),
    )
    error = luma_8bit(bicubic)[2:-2, 2:-2] - luma_8bit(nearest)[2:-2, 2:-2]
    assert other["psnr"] == pytest.approx(20 * math.log10(255) - 10 * math.log10(np.mean(error**2)))


def test_colours_of_transparent_pixels_count_for_nothing(tmp_path: Path) -> None:
    """They change neither the reduced image nor the numbers."""
    visible = np.zeros((40, 40, 4), np.uint8)
    visible[10:30, 10:30] = (200, 120, 40, 255)
    for hidden in (0, 255):
        samples = visible.copy()
        samples[samples[..., 3] == 0, :3] = hidden
        Image.fromarray(samples).save(tmp_path / f"{hidden}.png")
    black, white = (numbers(tmp_path / f"{hidden}.png", "--reduce", 2) for hidden in (0, 255))
    for one, other in zip(black["methods"], white["methods"], strict=True):
        if METHODS[one["method"].partition(":")[0]].values == "weighed":
            assert one["psnr"] == pytest.approx(other["psnr"], abs=1e-9), one["method"]


def test_the_first_frame_is_restored_as_its_file_asks(tmp_path: Path) -> None:
    with Image.open(SAMPLES / "scene.png") as image:
        frames = [image.convert("RGB").crop((n, 0, n + 96, 64)) for n in (0, 1)]
    frames[0].save(tmp_path / "in.webp", append_images=frames[1:], save_all=True, quality=30, minimize_size=False)
    restored: list[Array] = []
    for restore in ("", ":restore=none"):
        page = tmp_path / f"page{len(restored)}.html"
        call(tmp_path / "in.webp", "-m", f"learned{restore}", "-m", "nearest", "-o", page)
        restored.append(np.asarray(opened(files_of(page.read_bytes())[0])))
    with Image.open(tmp_path / "in.webp") as animation:
        first = np.asarray(animation.convert("RGB"))
    np.testing.assert_array_equal(restored[1][..., :3], upscale(first, 2, "learned"))
    assert (restored[0] != restored[1]).any()


def test_only_the_first_frame_is_compared(tmp_path: Path) -> None:
    result = call(SAMPLES / "animation.gif", "-m", "nearest", "-o", tmp_path / "page.html")
    assert "animation.gif: only the first of its 12 frames is compared." in result.stderr
    (file,) = files_of((tmp_path / "page.html").read_bytes())
    with Image.open(SAMPLES / "animation.gif") as animation:
        first = upscale(np.asarray(animation.convert("RGB")), 2, "nearest")
    np.testing.assert_array_equal(np.asarray(opened(file).convert("RGB")), first)


def test_a_note_about_all_methods_is_printed_once(tmp_path: Path) -> None:
    (tmp_path / "ink.tif").write_bytes(KINDS["ink.tif"])
    said = call(tmp_path / "ink.tif", "-m", "nearest", "-m", "lanczos", "-o", tmp_path / "page.html").stderr
    assert said.splitlines()[0] == f"{tmp_path / 'ink.tif'}: PNG: CMYK becomes RGB."
    assert len(said.splitlines()) == 2


def test_notes_are_printed_and_shown_in_the_page(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.ones((3, 3)))
    method = f"transposed-conv:kernel={tmp_path / 'k.npy'}"
    result = call(SAMPLES / "logo.png", "-m", method, "-o", tmp_path / "page.html")
    assert "flat areas become a checkerboard" in result.stderr
    assert "flat areas become a checkerboard" in (tmp_path / "page.html").read_text("utf-8")


# Pages.


def test_a_page_is_complete_and_loads_nothing() -> None:
    page = call(SAMPLES / "logo.png", "-m", "nearest", "-o", "-").stdout_bytes
    assert page.startswith(b"\xef\xbb\xbf<!doctype html>")
    elements = Elements(page)
    assert not [a for _, a in elements.found if a.keys() & {"href", "srcset", "action", "data", "background"}]
    sources = [(tag, a["src"]) for tag, a in elements.found if "src" in a]
    assert all(tag == "img" and source and source.startswith("data:image/") for tag, source in sources)
    assert len(sources) == 1
    assert not re.search(
        r"url\(|@import|fetch\(|XMLHttpRequest|import\(", elements.texts["style"] + elements.texts["script"]
    )
    policy = next(a["content"] for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    allowed = {
        kind: "'sha256-" + base64.b64encode(hashlib.sha256((FOLDER / name).read_bytes()).digest()).decode() + "'"
        for kind, name in (("style", "page.css"), ("script", "page.js"))
    }
    assert (
        policy == f"default-src 'none'; img-src data:; style-src {allowed['style']}; script-src {allowed['script']}"
    )
    assert all(a.get("alt") for tag, a in elements.found if tag == "img")


NAMES = ["<script>alert(1)<", "{{script}}", 'a" onerror="alert(1)', "a&lt;b&amp;", "schön ▲", "</title><b>", "-->"]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_harmless(name: str, tmp_path: Path) -> None:
    """A file name cannot contain slashes; a title can, and it may close elements."""
    from fractions import Fraction

    from upscale_cli.compare.comparison import compare
    from upscale_cli.compare.contenders import Contender
    from upscale_cli.compare.subject import find_subject
    from upscale_cli.places.files import FileSource

    with Workers(1) as executor:
        odd = Contender(name, METHODS["nearest"], {})
        scale = Fraction(2), Fraction(2)
        compared = compare(
            find_subject(FileSource(SAMPLES / "pixel-art.png"), None, None),
            [odd],
            scale,
            chosen=True,
            workers=executor,
        )
        plain = Elements(page_module.make_page(compared, "plain", executor))
        elements = Elements(page_module.make_page(compared, name, executor))
    assert elements.texts["title"] == f"{name} – upscale-compare"
    assert elements.texts["bdi"] == name
    assert [tag for tag, _ in elements.found] == [tag for tag, _ in plain.found]
    image = next(a for tag, a in elements.found if tag == "img")
    assert image.keys() == {"id", "alt", "src"}
    assert image["alt"] == f"{name} by {name}"
    data = page_module.numbers(compared)
    assert json.dumps(data).replace("<", "\\u003c") in elements.texts["script"]


def test_a_file_name_that_is_not_text_is_shown_with_question_marks(tmp_path: Path) -> None:
    source = tmp_path / "a\udcff.png"
    shutil.copy(SAMPLES / "pixel-art.png", source)
    kernel = tmp_path / "k\udcff.npy"
    np.save(kernel, np.ones((2, 2)))
    line = [
        sys.executable,
        "-m",
        "upscale_cli.commands.compare",
        str(source),
        "-m",
        f"transposed-conv:kernel={kernel}",
    ]
    subprocess.run(line, check=True, capture_output=True)
    page = (tmp_path / "a\udcff_compare.html").read_bytes()
    assert Elements(page).texts["bdi"] == "a?.png"


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (W3C, WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        *((front, back, 4.5) for front in ("ink", "quiet") for back in ("paper", "panel")),
        ("on-accent", "accent", 4.5),
        # Borders of controls, and the focus ring: WCAG 2.2, 1.4.11.
        *(("line", back, 3) for back in ("paper", "panel")),
        *(("accent", back, 3) for back in ("paper", "panel", "stage")),
    ],
)
def test_colours_are_far_enough_apart(front: str, back: str, least: float, theme: int) -> None:
    style = (FOLDER / "page.css").read_text("utf-8")
    colours = {name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", style)}
    low, high = sorted(luminance(colours[name][theme]) for name in (front, back))
    assert (high + 0.05) / (low + 0.05) >= least


# Sheets.


def test_a_sheet_shows_the_details_that_differ_most(tmp_path: Path) -> None:
    """The image is flat except for one corner, which becomes the first detail, copied from the results."""
    samples = np.full((120, 160, 3), 90, np.uint8)
    samples[90:110, 130:150] = np.asarray(noise("RGB", 20, 20))
    Image.fromarray(samples).save(tmp_path / "in.png")
    call(tmp_path / "in.png", "-m", "nearest", "-m", "lanczos", "-o", tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    made = [upscale(samples, 2, method) for method in ("nearest", "lanczos")]
    left, top, side = find_details(made)[0]
    assert left <= 260 <= left + side - 40
    assert top <= 180 <= top + side - 40
    for picture in made:
        detail = np.kron(picture[top : top + side, left : left + side], np.ones((2, 2, 1), np.uint8))
        assert contains(sheet, detail)


def contains(sheet: Array, detail: Array) -> bool:
    """Return whether a picture appears somewhere in another."""
    height, width = detail.shape[:2]
    y, x = height // 2, width // 2  # the corner may be as flat as most of the sheet
    tops, lefts = len(sheet) - height + 1, sheet.shape[1] - width + 1
    starts = np.argwhere((sheet[y : y + tops, x : x + lefts] == detail[y, x]).all(axis=2))
    return any((sheet[top : top + height, left : left + width] == detail).all() for top, left in starts)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (130, 40)])
def test_a_sheet_of_anything(size: tuple[int, int], tmp_path: Path) -> None:
    noise("RGB", *size).save(tmp_path / "in.png")
    call(tmp_path / "in.png", "-m", "nearest", "-m", "bed-of-nails", "-m", "lanczos", "-o", tmp_path / "sheet.png")
    opened((tmp_path / "sheet.png").read_bytes())


def test_details_do_not_overlap() -> None:
    rng = np.random.default_rng(0)
    boxes = find_details([rng.integers(0, 256, (400, 500, 3), np.uint8) for _ in range(3)])
    assert len(boxes) == 3
    for index, (left, top, side) in enumerate(boxes):
        assert 0 <= left <= 500 - side
        assert 0 <= top <= 400 - side
        assert all(abs(left - x) >= side or abs(top - y) >= side for x, y, _ in boxes[:index])


# The command.


def test_help_fits_a_screen_and_begins_with_examples() -> None:
    lines = call("--help").stdout.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 80
    assert lines[2].strip().startswith("upscale-compare photo.jpg")
    assert "Run upscale-compare --help" in call(status=2).stderr


def test_where_the_result_goes(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    shutil.copy(SAMPLES / "pixel-art.png", source)
    said = call(source, "-m", "nearest", "-m", "bilinear").stderr
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path / 'in_compare.html'))}: 2 methods in \d+\.\d s, 0\.\d MB\.\n", said
    )
    assert "exists already; use --overwrite" in call(source, "-m", "nearest", status=1).stderr
    assert call(source, "-m", "nearest", "-q", "--overwrite").stderr == ""
    (tmp_path / "folder").mkdir()
    call(source, "-m", "nearest", "-o", tmp_path / "folder", "--json")
    assert (tmp_path / "folder" / "in_compare.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "in.png", "in_compare.html"]
    stdin = call("-", "-m", "nearest", data=source.read_bytes())
    assert len(files_of(stdin.stdout_bytes)) == 1
    assert "standard input" in stdin.stdout_bytes.decode("utf-8")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["-m", "lanzcos"], 2, 'Did you mean "lanczos"?'),
        (["-m", "lanczos:b=1"], 2, 'no parameter "b"'),
        (["-s", 0.5], 2, "not a number of at least 1"),
        (["-m", "transposed-conv", "-s", 1.5], 1, "in.png: transposed-conv needs an integer factor, not 1.5"),
        (["-m", "max-unpooling"], 1, "in.png: max-unpooling needs indices"),
        (["--reduce", 3, "-s", 2], 2, "--reduce 3 implies --scale 3; omit --scale"),
        (["--reduce", 2, "--reference", "in.png"], 2, "--reduce and --reference both define the reference"),
        (
            ["--reduce", 16],
            1,
            "in.png: becomes 32x32, but a comparison with a reference needs 43 pixels on each side",
        ),
        (["--reference", "in.png"], 1, "in.png: becomes 64x64, but the reference is 32x32"),
        (["--reference", "no.png"], 1, 'in.png: reference "no.png" cannot be read'),
        (["-o", "page.gif"], 2, '"page.gif" is neither a page (.html) nor a sheet (.png)'),
        (["-o", "in.png", "--overwrite"], 2, '"in.png" is one of the inputs'),
        (["-o", "-", "--json"], 2, "cannot share standard output"),
        (["-o", "in.png/page.html"], 1, "cannot be written: Not a directory; use another --output"),
        (["-s", 300], 1, "in.png: would be 9600x9600"),
        (
            ["-m", "nearest", "-m", "transposed-conv:padding=1"],
            1,
            "in.png: becomes 74x74 with transposed-conv:padding=1 but 64x64 with other methods",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    arguments: list[object], status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SAMPLES / "pixel-art.png", "in.png")
    done = call("in.png", *arguments, status=status)
    assert words in done.stderr
    assert len(done.stderr.removeprefix("Usage: upscale-compare [OPTIONS] IMAGE\n\nError: ").splitlines()) == 1
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"no image", "is not an image of a known format"), (KINDS["rgb.png"][:900], "in.png: ")],
)
def test_what_cannot_be_read_is_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(content)
    said = call(tmp_path / "in.png", status=1).stderr
    assert words in said
    assert len(said.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]
    call(tmp_path / "missing.png", status=1)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_ends_the_command_quietly(unbuffered: str) -> None:
    line = [
        sys.executable,
        "-m",
        "upscale_cli.commands.compare",
        str(SAMPLES / "scene.png"),
        "-m",
        "nearest",
        "-s4",
        "-o-",
        "-q",
    ]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(1)
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


SIZES = ["learned:size=small", "learned:size=large"]


def test_the_sizes_of_learned_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("-m", "learned", "-m", "learned:size=large")
    source, texts = SAMPLES / "pixel-art.png", []
    write = ImageDraw.ImageDraw.text

    def text(self: Any, place: Any, words: str, *more: Any, **options: Any) -> None:
        texts.append(words)
        write(self, place, words, *more, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    shown = call(source, *arguments, "-o", tmp_path / "page.html", "--json").stdout
    call(source, *arguments, "-o", tmp_path / "sheet.png")
    captions = re.findall("<figcaption>(.*?)</figcaption>", (tmp_path / "page.html").read_text("utf-8"))
    named = [each["method"] for each in json.loads(shown)["methods"]]
    for names in (captions, named, texts):
        assert [name for name in names if name.startswith("learned")] == SIZES


def test_a_method_that_is_alone_keeps_its_name() -> None:
    names = ["learned", "lanczos:a=3", "lanczos:a=4"]
    chosen = [word for name in ("learned", "lanczos", "lanczos:a=4") for word in ("-m", name)]
    assert [each["method"] for each in numbers(SAMPLES / "pixel-art.png", *chosen)["methods"]] == names


@pytest.mark.long
def test_the_bar_counts_the_time_of_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal shares of the bar said that a second was left when the network began, which took a minute."""
    counted: list[list[int]] = []
    run = comparison._Run.carry_out

    def carry_out(*arguments: Any, **named: Any) -> Any:
        counted.append([])
        return run(*arguments, **named)

    class Bar:
        def __init__(self, total: int, *_: Any) -> None:
            self.total = total

        def advance(self, pixels: int) -> None:
            counted[-1].append(pixels)

        def close(self) -> None:
            assert sum(map(sum, counted)) == pytest.approx(self.total, rel=0.01)

    monkeypatch.setattr(comparison._Run, "carry_out", carry_out)
    monkeypatch.setattr(compare_command, "Bar", Bar)
    call(SAMPLES / "photo.jpg", "-m", "nearest", "-m", "learned:size=large", "--json")
    nearest, large = map(sum, counted)
    assert 3 * nearest < large


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="the browser is a shell script")
def test_open_shows_the_result_in_the_browser(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{tmp_path}/shown"\n')
    browser.chmod(0o755)
    source = tmp_path / "a b.png"
    shutil.copy(SAMPLES / "pixel-art.png", source)
    line = [sys.executable, "-m", "upscale_cli.commands.compare", "a b.png", "-m", "nearest", "--open", "-q"]

    def opened_with(program: Path, *more: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"BROWSER": str(program), "PATH": str(tmp_path)}
        command = [*line, *more]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    for name, more in (("a b_compare.html", []), ("sheet.png", ["-o", "sheet.png"])):
        run = opened_with(browser, *more)
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
        assert (tmp_path / "shown").read_text() == (tmp_path / name).resolve().as_uri()
    run = opened_with(tmp_path / "missing", "--overwrite")
    assert run.returncode == 1
    assert '"a b_compare.html" was written, but no browser could be started' in run.stderr
    for more in (["-o", "-"], ["--json"]):
        run = opened_with(browser, *more)
        assert (run.returncode, run.stdout) == (2, "")
        assert "--open shows a file; give one with --output." in run.stderr


@needs_proc
@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("compare", "SIGINT"),
        *(pytest.param(*each, marks=pytest.mark.long) for each in (("evaluate", "SIGINT"), ("compare", "SIGTERM"))),
    ],
)
def test_a_signal_ends_with_a_word(command: str, name: str, tmp_path: Path) -> None:
    noise("RGB", 1500, 1000).save(tmp_path / "in.png")
    line = [sys.executable, "-m", f"upscale_cli.commands.{command}", "in.png", "-m", "learned:size=large", "-j", "2"]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        threads = Path(f"/proc/{run.pid}/task")
        while len(list(threads.iterdir())) < {"compare": 3, "evaluate": 2}[command]:
            time.sleep(0.01)
            assert run.poll() is None, "it was over before the signal"
        run.send_signal(signal.Signals[name])
        shown, said = run.communicate(timeout=120)
    assert (shown, said) == ("", f"upscale-{command}: stopped.\n")
    assert run.returncode == {"SIGINT": 130, "SIGTERM": 143}[name]
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_the_same_image_gives_the_same_pictures_whatever_the_threads(tmp_path: Path) -> None:
    for jobs in (1, 3):
        call(SAMPLES / "scene.png", "-m", "lanczos", "-j", jobs, "-o", tmp_path / f"{jobs}.html")
    one, three = (files_of((tmp_path / f"{jobs}.html").read_bytes()) for jobs in (1, 3))
    assert one == three

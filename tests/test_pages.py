"""The README and the manual are true: commands run as they stand and give what is shown; links lead somewhere.

The blocks of a page are run one after the other in one folder: each line of `sh`, which must succeed; each command of
`console` behind `$ `, which must print what stands below it, where `…` is anything; `python` as a doctest.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripts import ROOT, with_scripts

from upscale_cli import METHODS
from upscale_cli.methods import Method
from upscale_cli.methods.parameters import REQUIRED, shown

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^>\n]*) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
NOT_HERE = {"main command", "test command", "tried by hand"}
"""Marks of blocks that set up environments, and would take minutes or the network."""
MAY_BE_ABSENT = {"curl", "jq", "man"}


@dataclass
class Block:
    """A fenced block of a page, with the mark above it."""

    mark: str
    kind: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(found["mark"] or "", found["kind"], found["text"], text.count("\n", 0, found.start("text")))
        for found in BLOCK.finditer(text)
    ]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with everything that commands name: the sample images, and what users have."""
    samples = tmp_path / "sample_images"
    shutil.copytree(ROOT / "sample_images", samples, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name in ("in.png", "a.png", "sprites/hero.png", "logo.png", "slices/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(samples / "logo.png", tmp_path / name)
    scene = Image.open(samples / "scene.png").convert("RGB").resize((48, 36))
    for name in ("photo.jpg", "scan.tif", "shots/1.jpg", "photos/1.jpg", "photos/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        scene.save(tmp_path / name, dpi=(300, 300))
    scene.save(tmp_path / "truth.png")
    scene.resize((24, 18)).save(tmp_path / "reduced.png")
    np.save(tmp_path / "x.npy", np.zeros((8, 5, 6), np.float32))
    np.save(tmp_path / "weights.npy", np.full((8, 4, 4, 4), 0.1, np.float32))
    return tmp_path


@pytest.fixture
def environment(desk: Path) -> dict[str, str]:
    """One with the commands, a home of its own, and something at `$URL`."""
    return with_scripts(desk / ".bin") | {"HOME": str(desk), "URL": (desk / "photo.jpg").as_uri(), "COLUMNS": "80"}


def joined(text: str) -> str:
    """A text whose lines go on where they end with a backslash."""
    return re.sub(r"\\\n *", "", text)


def commands(text: str) -> Iterator[str]:
    """The lines of a shell's block."""
    yield from filter(None, joined(text).splitlines())


def there(command: str) -> bool:
    words = re.findall(r"[\w-]+", command)
    return all(shutil.which(word) for word in MAY_BE_ABSENT & set(words))


def run(command: str, desk: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=desk,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=120,
        check=False,
    )


def run_console(block: Block, desk: Path, environment: dict[str, str]) -> None:
    """Run each command of a block, and compare what it prints."""
    for part in re.split(r"^\$ ", joined(block.text), flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        if there(command):
            printed = run(command, desk, environment).stdout
            pattern = ".*".join(re.escape(piece) for piece in expected.split("…"))
            assert re.fullmatch(pattern, printed), f"{command}\nprints:\n{printed}"


def run_python(block: Block, page: Path, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, names, page.name, str(page), block.line)
    runner = doctest.DocTestRunner(verbose=False)
    said: list[str] = []
    runner.run(test, out=said.append, clear_globs=False)
    names.update(test.globs)
    assert test.examples
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_does_what_it_says(
    page: Path, desk: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk)
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.mark in NOT_HERE:
            continue
        if block.kind == "sh":
            for command in filter(there, commands(block.text)):
                done = run(command, desk, environment)
                assert done.returncode == 0, f"{command}\n{done.stdout}"
        elif block.kind == "console":
            run_console(block, desk, environment)
        elif block.kind == "python":
            run_python(block, page, names)
        else:
            assert block.kind == "text", (
                f"{page.name}, line {block.line}: a block of the kind “{block.kind}” is not run"
            )


def test_what_the_readme_promises_is_written(desk: Path, environment: dict[str, str]) -> None:
    first = next(block for block in blocks(README) if block.kind == "sh")
    for command in filter(there, commands(first.text)):
        run(command, desk, environment)
    for name in ("photo_2x.jpg", "in_4x.png", "large/hero.png"):
        assert (desk / name).is_file(), name


def test_few_blocks_are_left_to_others() -> None:
    left = [(page.name, block.mark) for page in PAGES for block in blocks(page) if block.mark in NOT_HERE]
    assert sorted(left) == [
        ("README.md", "main command"),
        ("README.md", "test command"),
        ("README.md", "tried by hand"),
        ("compare.md", "tried by hand"),
    ]


def test_a_wrong_page_fails(desk: Path, environment: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="prints"):
        run_console(Block("", "console", "$ upscale --version\nupscale 0.0.…\n$ echo 1\n2\n", 1), desk, environment)
    with pytest.raises(AssertionError, match="Expected"):
        run_python(Block("", "python", ">>> 1 + 1\n3\n", 1), README, {})


# What pages link to.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        place, _, heading = target.partition("#")
        linked = page.parent / place if place else page
        assert linked.exists(), target
        if heading:
            lines = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines], target


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            links = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text("utf-8"))
            waiting += [(page.parent / link).resolve() for link in links if not link.startswith("http")]
    assert set(PAGES) <= seen


def test_every_picture_is_made_by_the_tool_and_shown(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "docs" / "make_pictures.py", tmp_path],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        timeout=120,
    )
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert made | {"compare.png"} == {
        path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.png")
    }
    for place in made:  # the other is a browser's
        old, new = (np.asarray(Image.open(at / place).convert("RGB"), float) for at in (ROOT / "docs", tmp_path))
        # Another BLAS may round another way, and a palette then differs a little.
        assert np.abs(old - new).mean() < 0.5, f"{place} is not what docs/make_pictures.py draws"
    shown_somewhere = {
        os.path.relpath(page.parent / target, ROOT / "docs")
        for page in PAGES
        for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text("utf-8"))
    }
    assert shown_somewhere == made | {"compare.png"}
    assert sum((ROOT / "docs" / place).stat().st_size for place in made) < 700_000


# What pages say of the methods.


def methods_table() -> str:
    lines = ["| method | what it does | choose it for |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.summary} ({row.source}) | {row.when} |" for row in METHODS.values()]
    return "\n".join(lines)


def test_table_of_methods_is_the_table() -> None:
    text = README.read_text("utf-8")
    assert f"<!-- methods -->\n{methods_table()}\n" in text, f"put this into README.md:\n{methods_table()}"


def chapters() -> dict[str, str]:
    """The sections of `docs/methods.md`, by their headings."""
    parts = re.split(r"^## (.*)$", (ROOT / "docs" / "methods.md").read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_each_method_has_a_chapter_in_the_order_of_the_table() -> None:
    assert [heading for heading in chapters() if heading in METHODS] == list(METHODS)


def default_of(p: Any) -> str:
    return "needed" if p.default is REQUIRED else "–" if p.default is None else f"`{shown(p.default)}`"


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_a_chapter_says_what_the_row_says(row: Method) -> None:
    text = chapters()[row.name]
    for part in ("**Formula.**", "**Cost.**", "**When.**", "**Source.**", f"](pictures/{row.name}.png)"):
        assert part in text, f"{row.name} lacks {part}"
    told = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    expected = [
        (f"--{p.name} FILE" if p.file else f"-p {p.name}=", p.summary.rstrip("."), p.domain, default_of(p))
        for p in row.parameters
    ]
    lines = "\n".join(
        f"| `{option}` | {summary} | {domain} | {default} |" for option, summary, domain, default in expected
    )
    assert told == expected, f"put this into the chapter {row.name}:\n{lines}"
    assert ("Whole factors only" in " ".join(text.split())) == row.integer_scale
    for year in re.findall(r"\b(?:19|20)\d\d\b", row.source):
        assert year in text.partition("**Source.**")[2], f"{row.name} lacks its source of {year}"

"""The README and the manual are true: commands run as they stand and give what is shown; links lead somewhere.

Each page is typed from top to bottom in a fresh copy of the checkout that contains only what git tracks: each line of
`sh` must succeed; each command of `console` behind `$ ` must print what stands below it, where `…` is anything;
`python` is a doctest. Pages write into `out/` only, and no two pages write the same file, so a reader can type all of
them in one checkout and then run the tests.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripts import ROOT, with_scripts
from ways import WAYS

from upscale_cli import METHODS
from upscale_cli.methods import Method
from upscale_cli.methods.parameters import REQUIRED, shown

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^>\n]*) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
SETS_UP = {"main command", "activate", "test command"}
"""Marks of blocks that create environments: only the long test types them, for minutes and with a package index."""
BY_HAND = "tried by hand: "
"""Beginning of the mark of a block that no test types; the reason follows."""
OPTIONAL_PROGRAMS = {"curl", "ffmpeg", "ffprobe", "jq", "parallel"}
"""Programs of other projects; where one is not installed, the commands that call it are not typed."""
NOT_COPIED = ("out", ".git", ".venv", ".ci", "build", "dist", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis")


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


def copy_checkout(to: Path) -> Path:
    """Copy what git tracks, as it is in the working tree; without git, all that is neither built nor a result."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*NOT_COPIED))
        (to / "out").mkdir()
        return to
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)
    return to


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh copy of the checkout."""
    return copy_checkout(tmp_path / "checkout")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with the installed commands and an empty home."""
    (tmp_path / "home").mkdir()
    return with_scripts(tmp_path / "bin") | {"HOME": str(tmp_path / "home"), "COLUMNS": "80"}


def joined(text: str) -> str:
    """The text with each line that ends in a backslash joined to the next."""
    return re.sub(r"\\\n *", "", text)


def commands(text: str) -> Iterator[str]:
    """The lines of a shell's block."""
    yield from filter(None, joined(text).splitlines())


def can_be_typed(command: str) -> bool:
    words = re.findall(r"[\w-]+", command)
    return all(shutil.which(word) for word in OPTIONAL_PROGRAMS & set(words))


def run(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=120,
        check=False,
    )


def run_console(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Run each command of a block, and compare what it prints."""
    for part in re.split(r"^\$ ", joined(block.text), flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        if can_be_typed(command):
            printed = run(command, folder, environment).stdout
            pattern = ".*".join(re.escape(piece) for piece in expected.split("…"))
            assert re.fullmatch(pattern, printed), f"{command}\nprints:\n{printed}"


def run_python(block: Block, page: Path, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, names, page.name, str(page), block.line)
    runner = doctest.DocTestRunner(verbose=False)
    failures: list[str] = []
    runner.run(test, out=failures.append, clear_globs=False)
    names.update(test.globs)
    assert test.examples
    assert runner.failures == 0, "".join(failures)


def type_page(page: Path, folder: Path, environment: dict[str, str]) -> None:
    """Run every block of a page in order, but those that set up environments or are tried by hand."""
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.mark in SETS_UP or block.mark.startswith(BY_HAND):
            continue
        if block.kind == "sh":
            for command in filter(can_be_typed, commands(block.text)):
                done = run(command, folder, environment)
                assert done.returncode == 0, f"{command}\n{done.stdout}"
        elif block.kind == "console":
            run_console(block, folder, environment)
        elif block.kind == "python":
            run_python(block, page, names)
        else:
            assert block.kind == "text", f"{page.name}, line {block.line}: no test runs a block of “{block.kind}”"


def dear_ones_long(page: Path) -> Any:
    """A page as a parameter: those with commands take seconds each."""
    dear = any(block.kind in ("sh", "console") for block in blocks(page))
    return pytest.param(page, id=page.name, marks=[pytest.mark.long] * dear)


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder, by path; what Python compiles for itself is left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.fixture
def created(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the names of the files that each page creates; the processes of one run share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "created"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("page", [dear_ones_long(page) for page in PAGES])
def test_a_page_does_what_it_says(
    page: Path, checkout: Path, environment: dict[str, str], *, created: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    before = contents(checkout)
    type_page(page, checkout, environment)
    after = contents(checkout)
    assert {name: after.get(name) for name in before} == before
    own = after.keys() - before.keys()
    assert [name for name in own if not name.startswith("out/")] == []
    # Readers type the pages in one checkout, in any order. Written before the others are read: of two pages that end
    # at the same time, at least one sees the other.
    (created / page.name).write_text("\n".join(own), "utf-8")
    for other in created.iterdir():
        shared = own & set(other.read_text("utf-8").split("\n"))
        assert other.name == page.name or not shared, f"{other.name} and {page.name} write the same files: {shared}"
    if page == README:
        promised = re.findall(r"\b(out/[\w./]+\w/?)", "".join(re.findall("#.*", README.read_text("utf-8"))))
        assert len(promised) > 4
        assert [name for name in promised if not (checkout / name).exists()] == []


def test_git_ignores_results_and_only_those() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", "out/large.png", "out/.gitignore"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ignored.returncode == 128:
        pytest.skip("no git checkout")
    assert ignored.stdout.split() == ["out/large.png"]


def test_few_blocks_are_left_to_others() -> None:
    left = [(page.name, block.mark) for page in PAGES for block in blocks(page) if block.mark]
    assert sorted(left) == [
        ("README.md", "activate"),
        ("README.md", "main command"),
        ("README.md", "test command"),
        ("README.md", "tried by hand: needs pipx"),
        ("compare.md", "tried by hand: needs a browser, and draws this page's picture again"),
        ("folders.md", "tried by hand: it needs a cluster; tests/test_dask.py starts one"),
        ("plug-ins.md", "tried by hand: it goes on in the next two blocks, which install a package"),
        ("plug-ins.md", "tried by hand: see above"),
        ("plug-ins.md", "tried by hand: see above"),
    ]


@pytest.mark.long
def test_a_newcomer_types_the_readme_and_the_tests_pass(tmp_path: Path) -> None:
    """All in one shell, environments included: this installs the package twice, and runs the whole suite."""
    # Some of its tests run the package as another user, who may not enter pytest's folders.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        type_readme(copy_checkout(Path(folder) / "checkout"), tmp_path)


def type_readme(checkout: Path, home: Path) -> None:
    """Type its commands in one shell, and fail if one of them does."""
    typed = [b.text for b in blocks(README) if b.kind == "sh" and not b.mark.startswith(BY_HAND)]
    script = "set -eo pipefail\n" + "".join(typed)
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(("PYTEST", "PYTHON"))}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=checkout,
        env=environment | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


def test_a_wrong_page_fails(tmp_path: Path, environment: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="prints"):
        run_console(
            Block("", "console", "$ upscale --version\nupscale 0.0.…\n$ echo 1\n2\n", 1), tmp_path, environment
        )
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


@pytest.mark.long
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
    lines += [
        f"| `{row.name}` | {row.summary} ({row.source}) | {row.when} |"
        for row in METHODS.values()
        if row.name in WAYS
    ]
    return "\n".join(lines)


def test_table_of_methods_is_the_table() -> None:
    text = README.read_text("utf-8")
    assert f"<!-- methods -->\n{methods_table()}\n" in text, f"put this into README.md:\n{methods_table()}"


def chapters() -> dict[str, str]:
    """The sections of `docs/methods.md`, by their headings."""
    parts = re.split(r"^## (.*)$", (ROOT / "docs" / "methods.md").read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_each_method_has_a_chapter_in_the_order_of_the_table() -> None:
    assert [heading for heading in chapters() if heading in METHODS] == [name for name in METHODS if name in WAYS]


@pytest.mark.parametrize(("heading", "group"), [("More filters", "filters"), ("More pixel art", "copied")])
def test_the_other_methods_are_in_a_table(heading: str, group: str) -> None:
    lines = ["| method | what it does | choose it for | parameters |", "|---|---|---|---|"]
    for row in METHODS.values():
        if row.name not in WAYS and row.group == group:
            given = ", ".join(f"`{p.name}={shown(p.default)}`" for p in row.parameters if not p.common)
            lines.append(f"| `{row.name}` | {row.summary} ({row.source}) | {row.when} | {given} |")
    table = "\n".join(lines)
    assert f"\n{table}\n" in chapters()[heading], f"put this into docs/methods.md:\n{table}"


def test_parameters_of_many_methods_are_described_once() -> None:
    common = dict.fromkeys(p for row in METHODS.values() for p in row.parameters if p.common)
    lines = [f"| `-p {p.name}=` | {p.summary} | {p.domain} | {default_of(p)} |" for p in common]
    table = "\n".join(["| parameter | what it does | can be | default |", "|---|---|---|---|", *lines])
    assert f"\n{table}\n" in chapters()["Every filter"], f"put this into docs/methods.md:\n{table}"


def default_of(p: Any) -> str:
    return "needed" if p.default is REQUIRED else "–" if p.default is None else f"`{shown(p.default)}`"


@pytest.mark.parametrize("row", [METHODS[name] for name in WAYS], ids=lambda row: row.name)
def test_a_chapter_says_what_the_row_says(row: Method) -> None:
    text = chapters()[row.name]
    for part in ("**Formula.**", "**Cost.**", "**When.**", "**Source.**", f"](pictures/{row.name}.png)"):
        assert part in text, f"{row.name} lacks {part}"
    told = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    expected = [
        (f"--{p.name} FILE" if p.file else f"-p {p.name}=", p.summary.rstrip("."), p.domain, default_of(p))
        for p in row.parameters
        if not p.common
    ]
    lines = "\n".join(
        f"| `{option}` | {summary} | {domain} | {default} |" for option, summary, domain, default in expected
    )
    assert told == expected, f"put this into the chapter {row.name}:\n{lines}"
    assert ("Integer factors only" in " ".join(text.split())) == row.integer_scale
    for year in re.findall(r"\b(?:19|20)\d\d\b", row.source):
        assert year in text.partition("**Source.**")[2], f"{row.name} lacks its source of {year}"

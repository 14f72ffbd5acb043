"""Mutation testing itself: a package with a table and a function that are tested, and a function that is not."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from mutations import mutants
from scripts import ROOT

SUMS = """\
TABLE = 3

def tested(a: int) -> int:
    return a + 1

def untested(a: int) -> int:
    return a + 2
"""

TEST = """\
import subprocess, sys
from tiny.sums import TABLE

def test_table() -> None:
    assert TABLE == 3

def test_sums() -> None:
    assert subprocess.run([sys.executable, "-c", "import tiny.sums; print(tiny.sums.tested(1))"],
                          capture_output=True).stdout.split() == [b"2"]
"""


def changes(source: str) -> set[str]:
    """All changes of a line."""
    return {mutant.applied(source.encode()).decode() for mutant in mutants("a.py", source.encode())}


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="mutants are processes that fork")
def test_what_no_test_notices_is_found(tmp_path: Path) -> None:
    """One test starts a process, as most tests of commands do, so this process must have the change, too.

    The other executes no line of the package: the table was made when it was imported.
    """
    pytest.importorskip("coverage")
    for name, text in {
        "tiny/sums.py": SUMS,
        "tests/test_sums.py": TEST,
        "pyproject.toml": '[tool.mutants.sums]\nsources = ["tiny"]\ntests = ["tests/test_sums.py"]',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    command = [sys.executable, str(ROOT / "tests/mutants.py"), "sums", f"--root={tmp_path}", f"--map={tmp_path}/map"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    killed = sorted(line for line in lines if line.startswith("killed"))
    assert killed == ["killed tests/test_sums.py::test_sums", "killed tests/test_sums.py::test_table"]
    assert [line for line in lines if line.startswith("survived")] == ["survived "]
    changed = sorted(line.strip() for line in lines if line.strip().startswith("-"))
    assert changed == ["-    return a + 1", "-    return a + 2", "-TABLE = 3"]
    assert (tmp_path / "tiny/sums.py").read_text("utf-8") == SUMS


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("a < 1", {"((a) <= (1))", "a < 2"}),
        ("a // b", {"(-(-(a) // (b)))"}),
        ("a and not b", {"((a) or (not b))", "a and (b)"}),
        ("min(a, b)", {"max(a, b)", "pass"}),
        ("f(a, b, c=c)", {"f(b, a, c=c)", "pass"}),
        ("b if a else c", {"((c) if a else (b))"}),
        ("if a: b.c = d", {"if (not (a)): b.c = d", "if a: pass"}),
        ("a += b", {"a -= b", "pass"}),
        ("a: 'tuple[int, 3]' = True", {"a: 'tuple[int, 3]' = False"}),
        ("raise ValueError(f'{a + 1}', b < c)", {"pass"}),
        ("def f():\n    '''1'''\n    return a", {"def f():\n    '''1'''\n    return None"}),
        ("def __repr__(self): return 1", set()),
        ("assert a < b", set()),
        ("a = b @ c", set()),
    ],
)
def test_changes_are_the_mistakes_that_people_make(line: str, changed: set[str]) -> None:
    assert changes(line) == changed


@pytest.mark.parametrize("room", ["methods", "batch", "replacing"])
def test_the_rooms_exist(room: str) -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutants"][room]
    assert all((ROOT / path).exists() for path in (*found["sources"], *found["tests"]))

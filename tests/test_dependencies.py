"""The oldest versions that are tested with are those that the project says it takes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
REQUIREMENT = re.compile(r"([a-z-]+)(>=|==)([0-9.]+)(?:;.*)?")


def bounds(lines: list[str], sign: str) -> dict[str, str]:
    """Versions by name; every line must be a name, a sign and a version."""
    found = [REQUIREMENT.fullmatch(line) for line in lines]
    assert all(each is not None and each[2] == sign for each in found), lines
    return {each[1]: each[3] for each in found if each is not None}


def test_the_oldest_are_the_bounds_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    lines = (ROOT / "tests" / "oldest.txt").read_text("utf-8").splitlines()
    assert bounds([line for line in lines if not line.startswith("#")], "==") == bounds(needed, ">=")


def test_what_checks_everything_tests_with_them() -> None:
    assert "--constraint tests/oldest.txt" in (ROOT / ".ci" / "test-oldest").read_text("utf-8")
    assert "\n    .ci/test-oldest\n" in (ROOT / ".ci" / "run").read_text("utf-8")


@pytest.mark.parametrize(
    ("system", "machine", "wheel"),
    [
        ("linux", "x86_64", True),
        ("linux", "aarch64", True),
        ("darwin", "x86_64", True),
        ("darwin", "arm64", True),
        ("win32", "AMD64", True),
        ("win32", "ARM64", False),
        ("win32", "x86", False),
        ("linux", "i686", False),
        ("linux", "armv7l", False),
        ("linux", "riscv64", False),
        ("freebsd14", "amd64", False),
        ("freebsd14", "arm64", False),
    ],
)
def test_isal_is_asked_for_where_it_has_wheels(system: str, machine: str, wheel: bool) -> None:
    """Those of 1.9.1 on PyPI. Elsewhere pip would try to compile it, and fail."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    marker = next(Requirement(text).marker for text in project["dependencies"] if text.startswith("isal"))
    assert marker is not None
    assert marker.evaluate({"sys_platform": system, "platform_machine": machine}) is wheel

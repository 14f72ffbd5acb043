"""The tools that check the project: each version stands in one place, and whatever repeats it agrees."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements-dev.txt").read_text("utf-8")
LOCKED = {
    (canonicalize_name(name), version) for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE)
}
NOT_LOCKED = {"train"}
"""Extras that no check installs: PyTorch is too large."""


@pytest.mark.parametrize("extra", ["", *sorted(PROJECT["optional-dependencies"].keys() - NOT_LOCKED)])
def test_every_dependency_is_locked(extra: str) -> None:
    for text in PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]:
        wanted = Requirement(text)
        versions = [version for name, version in LOCKED if name == canonicalize_name(wanted.name)]
        assert versions, f"{wanted.name} is not in requirements-dev.txt: run .ci/lock"
        assert all(wanted.specifier.contains(v) for v in versions), f"{wanted} is locked as {versions}: run .ci/lock"


def test_pre_commit_runs_the_locked_versions() -> None:
    config = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    hooks = re.findall(r"repo: https://github\.com/\S+/(ruff|codespell)(?:-pre-commit)?\n +rev: v(\S+)", config)
    assert {name for name, _ in hooks} == {"ruff", "codespell"}
    assert set(hooks) <= LOCKED


def test_every_action_is_pinned_to_a_commit() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for used in re.findall(r"uses: (.+)", path.read_text("utf-8")):
            assert used.startswith("./") or re.fullmatch(r"\S+@[0-9a-f]{40} # v[\d.]+", used), f"{path.name}: {used}"


def test_actions_have_the_versions_of_python_that_are_supported() -> None:
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8")
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert f'python: ["{oldest}", ' in workflow
    assert f'python-version: "{oldest}"' in workflow

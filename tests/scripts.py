"""The commands that `pyproject.toml` installs, as Click objects and as scripts to run."""

import os
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]


def command(name: str) -> click.Command:
    """The command that a script runs."""
    found = import_module(f"upscale_cli.commands.{SCRIPTS[name].partition(':')[2]}").cli
    assert isinstance(found, click.Command)
    return found


def with_scripts(folder: Path) -> dict[str, str]:
    """Return an environment in which each command can be run by its name; write the commands into a folder.

    Skips the test where there is no POSIX shell.
    """
    if os.name != "posix":
        pytest.skip("the commands are scripts for a POSIX shell")
    folder.mkdir()
    lines = {"python": '"$@"'}
    for name, place in SCRIPTS.items():
        module, _, function = place.partition(":")
        lines[name] = f'-c "from {module} import {function}; {function}()" "$@"'
    for name, arguments in lines.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}\n', "utf-8")
        script.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}

"""The README is true: its table is the table of methods, its commands run, its examples give what they say."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from upscale_cli import METHODS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Commands that need the network, a set-up of their own, or a program that may be absent.
COMMANDS = {
    "upscale": "upscale_cli",
    "upscale-pool": "upscale_cli.commands.pool",
    "upscale-fit": "upscale_cli.commands.fit",
    "upscale-evaluate": "upscale_cli.commands.evaluate",
}
ELSEWHERE = ("curl", "python3 -m venv", "| jq")


def methods_table() -> str:
    lines = ["| method | what it does | choose it for |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.summary} ({row.source}) | {row.when} |" for row in METHODS.values()]
    return "\n".join(lines)


def test_table_of_methods_is_the_table() -> None:
    assert f"<!-- methods -->\n{methods_table()}\n" in README, f"put this into README.md:\n{methods_table()}"


def test_examples_of_python() -> None:
    assert doctest.testfile(str(ROOT / "README.md"), module_relative=False).failed == 0


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    lines = [line.split("   #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not any(word in line for word in ELSEWHERE)]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with everything that the README's commands name."""
    samples = ROOT / "sample_images"
    for name in ("in.png", "a.png", "sprites/hero.png", "logo.png", "slices/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(samples / "logo.png", tmp_path / name)
    from PIL import Image

    scene = Image.open(samples / "scene.png").convert("RGB").resize((48, 36))
    for name in ("photo.jpg", "scan.tif", "shots/1.jpg", "photos/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        scene.save(tmp_path / name)
    scene.save(tmp_path / "photos/2.jpg")
    np.save(tmp_path / "x.npy", np.zeros((8, 5, 6), np.float32))
    np.save(tmp_path / "weights.npy", np.full((8, 4, 4, 4), 0.1, np.float32))
    return tmp_path


def test_commands_run(desk: Path) -> None:
    bin_folder = desk / "bin"
    bin_folder.mkdir()
    for name, module in COMMANDS.items():
        script = bin_folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        script.chmod(0o755)
    environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    found = commands()
    assert len(found) >= 11
    for command in found:
        done = subprocess.run(command, shell=True, cwd=desk, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    for name in (
        "photo_2x.jpg",
        "in_4x.png",
        "large/hero.png",
        "logo.webp",
        "thick/1.png",
        "shots_2x/1.jpg",
        "b.png",
    ):
        assert (desk / name).is_file(), name

"""Shards: which machine makes what, what they write down about it, and what `upscale report` adds up."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripts import ROOT

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}


def upscale(*words: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "upscale_cli", *map(str, words)],
        cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def report(folder: str, cwd: Path) -> dict[str, Any]:
    return dict(json.loads(upscale("report", folder, "--json", cwd=cwd).stdout))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with 24 small pictures in two folders."""
    for number in range(24):
        path = tmp_path / "in" / f"day{number % 2}" / f"photo{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5, 3), number, np.uint8)).save(path)
    return tmp_path


def made(folder: Path) -> dict[str, bytes]:
    """Return the pictures in a folder, by their paths."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_shards_make_what_one_run_makes(photos: Path) -> None:
    assert upscale("in", "-o", "one", "--shard", "1/1", cwd=photos).returncode == 0
    for number in (3, 1, 2):
        assert upscale("in", "-o", "out/", "--shard", f"{number}/3", "-q", cwd=photos).stderr == ""
    assert len(made(photos / "one")) == 24
    assert made(photos / "one") == made(photos / "out")
    assert report("one", photos) | {"settings": {}} == report("out", photos) | {"settings": {}}
    assert report("out", photos)["done"] == 24

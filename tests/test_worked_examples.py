"""The worked examples of the field, in Python and from the shell."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Array, assert_grid, grid

from upscale_cli import METHODS, upscale
from upscale_cli.methods.pooling import max_pool

A, B, C, D = 1, 2, 3, 4
SOURCE = np.array([[A, B], [C, D]])
KERNEL = np.array([[1, 2], [3, 4]])
BEFORE_POOLING = grid(
    """
    1 2 6 3
    3 5 2 1
    1 2 2 1
    7 3 4 8
    """
)

EXAMPLES: list[tuple[str, int, dict[str, Any], str]] = [
    (
        "nearest",
        2,
        {},
        """
        1 1 2 2
        1 1 2 2
        3 3 4 4
        3 3 4 4
        """,
    ),
    (
        "bed-of-nails",
        2,
        {},
        """
        1 0 2 0
        0 0 0 0
        3 0 4 0
        0 0 0 0
        """,
    ),
    (
        "bed-of-nails",
        4,
        {"position": "center"},
        """
        0 0 0 0 0 0 0 0
        0 1 0 0 0 2 0 0
        0 0 0 0 0 0 0 0
        0 0 0 0 0 0 0 0
        0 0 0 0 0 0 0 0
        0 3 0 0 0 4 0 0
        0 0 0 0 0 0 0 0
        0 0 0 0 0 0 0 0
        """,
    ),
    (
        "max-unpooling",
        2,
        {"indices": max_pool(BEFORE_POOLING[:, :, None]).indices},
        """
        0 0 2 0
        0 1 0 0
        0 0 0 0
        3 0 0 4
        """,
    ),
    (
        "transposed-conv",
        1,
        {"kernel": KERNEL, "padding": 0},
        """
        1  4  4
        6 20 16
        9 24 16
        """,
    ),
    (
        "transposed-conv",
        2,
        {"kernel": KERNEL, "padding": 0},
        """
        1  2 2  4
        3  4 6  8
        3  6 4  8
        9 12 12 16
        """,
    ),
]


@pytest.mark.parametrize(("method", "scale", "parameters", "expected"), EXAMPLES)
def test_in_python(method: str, scale: int, parameters: dict[str, Any], expected: str) -> None:
    assert_grid(upscale(SOURCE, scale, METHODS[method], **parameters), expected)


def test_max_pooling_and_back() -> None:
    values, indices, size = max_pool(BEFORE_POOLING[:, :, None])
    assert_grid(values[:, :, 0], "5 6\n7 8")
    assert_grid(indices[:, :, 0], "5 2\n12 15")
    back = upscale(values, size=size, method="max-unpooling", indices=indices)
    assert_grid(back[:, :, 0], "0 0 6 0\n0 5 0 0\n0 0 0 0\n7 0 0 8")


@pytest.mark.parametrize(("method", "scale", "parameters", "expected"), EXAMPLES)
def test_from_the_shell(tmp_path: Path, method: str, scale: int, parameters: dict[str, Any], expected: str) -> None:
    words = ["a.npy", "-m", method, "-s", str(scale), "-o", "out.npy"]
    np.save(tmp_path / "a.npy", SOURCE)
    for key, value in parameters.items():
        if isinstance(value, np.ndarray):
            np.save(tmp_path / f"{key}.npy", value.reshape(2, 2))
            words += [f"--{key}", f"{key}.npy"]
        else:
            words += ["-p", f"{key}={value}"]
    run(tmp_path, "upscale_cli", *words)
    assert_grid(load(tmp_path / "out.npy"), expected)


def test_pooling_and_back_from_the_shell(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", BEFORE_POOLING)
    run(tmp_path, "upscale_cli.commands.pool", "a.npy", "-s", "2")
    assert_grid(load(tmp_path / "a_pooled.npy"), "5 6\n7 8")
    with np.load(tmp_path / "a_pooled.indices.npz") as sidecar:
        assert_grid(sidecar["indices"], "5 2\n12 15")
        assert sidecar["size"].tolist() == [4, 4]
    run(tmp_path, "upscale_cli", "a_pooled.npy", "-m", "max-unpooling", "-s", "2", "-o", "back.npy")
    assert_grid(load(tmp_path / "back.npy"), "0 0 6 0\n0 5 0 0\n0 0 0 0\n7 0 0 8")


def run(folder: Path, module: str, *words: str) -> None:
    """A command that must succeed and, asked for a file, say nothing on standard output."""
    command = [sys.executable, "-W", "error", "-m", module, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def load(path: Path) -> Array:
    """The array that a command wrote."""
    array: Array = np.load(path, allow_pickle=False)
    return array

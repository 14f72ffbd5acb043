"""Images, and comparisons of results, for tests of methods."""

from math import prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from upscale_cli.api import upscale
from upscale_cli.errors import UpscaleError
from upscale_cli.methods.upsampler import Array, Scratch


def image(shape: tuple[int, ...], dtype: str = "u1", seed: int = 0) -> Array:
    """Return noise over the range of a type, as far as float64 can tell its values apart."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (random.random(shape) * 200 - 50).astype(kind)
    if kind.kind == "b":
        return random.random(shape) < 0.5
    info = np.iinfo(kind)
    return random.integers(max(info.min, -(2**48)), min(info.max, 2**48), shape, kind, endpoint=True)


def assert_rounded(have: Array, exact: NDArray[np.float64], tie: float = 1e-3) -> None:
    """Fail unless integers are exact values rounded half up and clamped; so near to a tie both sides will do."""
    info = np.iinfo(have.dtype)
    low, high = (np.clip(np.floor(exact + 0.5 + e), info.min, info.max) for e in (-tie, tie))
    wrong = (have != low) & (have != high)
    assert not wrong.any(), f"{wrong.sum()} wrong; have {have[wrong][:5]} for {exact[wrong][:5]}"


def assert_near(have: Array, expected: Array, rtol: float = 1e-5) -> None:
    """Fail if values differ by more than `rtol` of the full range of what is expected."""
    assert have.shape == expected.shape
    worst = float(np.abs(have.astype(np.float64) - expected).max())
    assert worst <= rtol * float(np.abs(expected).max()), f"off by {worst}"


def refusal(**request: Any) -> str:
    """Return the sentence that `upscale` refuses a request with; an array of 4 x 4 unless it says otherwise."""
    with pytest.raises(UpscaleError) as caught:
        upscale(**{"array": np.ones((4, 4)), "scale": None} | request)
    sentence = str(caught.value)
    assert sentence.endswith((".", "?"))
    return sentence


def ties(n_in: int, n_out: int) -> Array:
    """Return which outputs lie exactly between two inputs, where nearest takes the later one."""
    return np.asarray((2 * np.arange(n_out) + 1) * n_in % (2 * n_out) == 0)


def poisoned(self: Scratch, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return fresh memory whose bytes are all set: not a number, where a float is read from it."""
    memory = np.full(prod(shape) * np.dtype(dtype).itemsize, 255, np.uint8)
    view: Array = memory.view(dtype).reshape(shape)
    return view

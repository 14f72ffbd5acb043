"""What tests of methods share: images, comparisons of results, and a method with its arrays."""

from math import prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from upscale_cli.api import upscale
from upscale_cli.errors import UpscaleError
from upscale_cli.methods import Method, resolve
from upscale_cli.methods.parameters import read_scale
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.upsampler import Array, Scratch, Upsampler


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


class MethodTests:
    """A method, and how tests apply it."""

    method: Method

    def arrays(self, shape: tuple[int, int, int], scale: tuple[int, int]) -> dict[str, Any]:
        """Return a value for each parameter that is an array: for a source (H, W, C), and integer factors at least.

        Override it for a method that requires one.
        """
        return {}

    def given_arrays(self, source: Array, scale: Any) -> dict[str, Any]:
        """Return the arrays for a source (H, W), (H, W, C) or (N, H, W, C)."""
        height, width, channels = (source.shape if source.ndim == 4 else (1, *source.shape, 1))[1:4]
        return self.arrays((height, width, channels), scale if isinstance(scale, tuple) else (scale, scale))

    @property
    def factor(self) -> int:
        """A factor that the method supports."""
        return self.method.factors[0] if self.method.factors else 2

    def enlarge(self, source: Array, scale: Any = None, **more: Any) -> Array:
        """Return the source, enlarged by the method."""
        scale = self.factor if scale is None else scale
        return upscale(source, scale, self.method, **self.given_arrays(source, scale), **more)

    def scales(self) -> list[Any]:
        """Return factors that the method supports."""
        if self.method.factors:
            return [1, *self.method.factors[:2]]
        return [1, 2, (2, 3)] if self.method.integer_scale else [1, 2, (2, 3), 1.5, (1, 7.3)]

    def upsampler(self, source: Array, scale: Any, samples: Samples | None = None, **parameters: Any) -> Upsampler:
        """Return the method's upsampler of a source (H, W, C) of some meaning: just numbers, if none is given."""
        read = self.method.read_parameters(self.given_arrays(source, scale) | parameters)
        height, width, channels = source.shape
        exact, shape = resolve(self.method, (height, width, channels), scale=read_scale(scale), parameters=read)
        samples = samples or Samples(source.dtype, channels, source.dtype)
        return self.method.make(source, scale=exact, size=shape[:2], samples=samples, parameters=read)

"""Reference implementations: slow, obvious float64 loops that share no code with the package; and readable grids."""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Pair = tuple[int, int]
Weight = Callable[[Fraction], float]

SHARED = Path(__file__).parents[2] / "shared"
"""A folder of shared test material beside the checkout; optional."""

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"there is no folder {SHARED.name} beside the checkout")


def grid(text: str) -> Array:
    """Return an array of numbers from text, one line for each row.

    >>> grid('''1 2
    ...         3 4.5''').tolist()
    [[1.0, 2.0], [3.0, 4.5]]
    """
    return np.array([[float(word) for word in line.split()] for line in text.strip().splitlines()])


def assert_grid(have: Array, expected: str) -> None:
    """Fail, and show both as grids, when an array (H, W) is not what is written."""
    wanted = grid(expected)
    shown = "\n".join(f"{name}:\n{values}" for name, values in (("Have", have), ("Expected", wanted)))
    assert have.shape == wanted.shape, shown
    assert (have == wanted).all(), shown


def triangle(x: Fraction) -> float:
    """`1 − x` for distances `0 <= x < 1`."""
    return float(1 - x) if x < 1 else 0.0


def keys(a: Fraction) -> Weight:
    """The cubic of Keys (1981, equation 4, there with a = −½), for distances `x >= 0`."""

    def weight(x: Fraction) -> float:
        if x < 1:
            return float((a + 2) * x**3 - (a + 3) * x**2 + 1)
        return float(a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a) if x < 2 else 0.0

    return weight


def b_spline(x: Fraction) -> float:
    """The cubic B-spline, for distances `x >= 0`."""
    if x < 1:
        return float(Fraction(2, 3) - x**2 + x**3 / 2)
    return float((2 - x) ** 3 / 6) if x < 2 else 0.0


def mitchell(b: Fraction, c: Fraction) -> Weight:
    """The family of Mitchell & Netravali (1988): linear in b and c, from Keys's cubics at b = 0 to the B-spline."""
    return lambda x: keys(-c)(x) + float(b) * (b_spline(x) - keys(Fraction(0))(x))


def lanczos(a: int) -> Weight:
    """`sinc(x)·sinc(x/a)` for distances `0 <= x < a`."""

    def sinc(x: Fraction) -> float:
        if x.denominator == 1:
            return float(x == 0)
        return math.sin(math.pi * x) / (math.pi * x)

    return lambda x: sinc(x) * sinc(x / a) if x < a else 0.0


FILTERS: dict[str, tuple[Weight, int]] = {
    "bilinear": (triangle, 1),
    "bicubic": (keys(Fraction(-1, 2)), 2),
    "lanczos": (lanczos(3), 3),
}
"""The filter of a method with its default parameters, and its radius."""


def axis_weights(n_in: int, n_out: int, weight: Weight, radius: int) -> Floats:
    """Return the weight of each input in each output of one axis: (n_out, n_in), where each row sums to 1."""
    matrix = np.zeros((n_out, n_in))
    known = cache(lambda distance: weight(Fraction(distance, 2 * n_out)))
    for j in range(n_out):
        u = (2 * j + 1) * n_in - n_out  # over 2·n_out
        near = u // (2 * n_out)
        for i in range(max(0, near - radius), min(n_in, near + radius + 2)):
            matrix[j, i] = known(abs(2 * n_out * i - u))
    matrix /= matrix.sum(axis=1, keepdims=True)
    return matrix


def resampled(source: Array, size: Pair, weight: Weight, radius: int) -> Floats:
    """A separable filter as a plain sum, in float64: source (H, W) or (H, W, C), finite."""
    down = axis_weights(source.shape[0], size[0], weight, radius)
    across = axis_weights(source.shape[1], size[1], weight, radius)
    wide = np.einsum("xj,ij...->ix...", across, source.astype(np.float64))
    exact: Floats = np.einsum("yi,ix...->yx...", down, wide)
    return exact


def stamped(source: Array, kernel: Array, stride: Pair, groups: int = 1, dilation: Pair = (1, 1)) -> Floats:
    """A transposed convolution, nothing cropped: each input stamps the kernel onto the output, `stride` apart.

    Source (H, W, C_in), kernel (C_in, C_out / groups, kh, kw). A weight of 0 stamps nothing, not even of a NaN.
    """
    height, width, inputs = source.shape
    outputs, kh, kw = kernel.shape[1:]
    (sy, sx), (dy, dx) = stride, dilation
    full = np.zeros(((height - 1) * sy + (kh - 1) * dy + 1, (width - 1) * sx + (kw - 1) * dx + 1, groups * outputs))
    for c, m, i, j in np.ndindex(kernel.shape):
        if kernel[c, m, i, j] != 0:
            rows = slice(i * dy, i * dy + (height - 1) * sy + 1, sy)
            columns = slice(j * dx, j * dx + (width - 1) * sx + 1, sx)
            stamp = source[:, :, c].astype(np.float64) * float(kernel[c, m, i, j])
            full[rows, columns, c // (inputs // groups) * outputs + m] += stamp
    return full


def pooled(
    source: Array, window: Pair, stride: Pair, padding: Pair, dilation: Pair, size: Pair
) -> tuple[Array, Array]:
    """Max pooling of a source (H, W, C): the values and their flat places, both of `size` and C."""
    height, width, channels = source.shape
    values = np.zeros((*size, channels), source.dtype)
    places = np.zeros(values.shape, np.int64)
    for y, x, c in np.ndindex(values.shape):
        best = None
        for i, j in np.ndindex(window):
            row, column = (
                o * s - p + t * d for o, s, p, t, d in zip((y, x), stride, padding, (i, j), dilation, strict=True)
            )
            if 0 <= row < height and 0 <= column < width and (best is None or source[row, column, c] > best):
                best = source[row, column, c]
                values[y, x, c], places[y, x, c] = best, row * width + column
    return values, places

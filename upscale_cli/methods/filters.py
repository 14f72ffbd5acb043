"""Filters: the weight of a sample as a function of its distance, one row of `FILTERS` each.

A filter knows nothing of images, scales or borders; `resampling` turns it into taps.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Weight = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Filter(NamedTuple):
    """A continuous 1-D weight function.

    Attributes
    ----------
    weight : callable
        float64 distances in input samples, any shape, to float64 weights of that shape. Not normalised.
    radius : float
        Half width in input samples: the weight is 0 at this distance and beyond.
    """

    weight: Weight
    radius: float


def triangle() -> Filter:
    """Linear interpolation, `1 − |x|` for `|x| < 1`.

    >>> triangle().weight(np.array([0.0, 0.25, 1.0])).tolist()
    [1.0, 0.75, 0.0]
    """
    return Filter(lambda x: np.maximum(0.0, 1.0 - np.abs(x)), 1.0)


def cubic(b: float = 0.0, c: float = 0.5) -> Filter:
    """The cubic of Mitchell & Netravali (1988, equation 8), with its two parameters.

    `b = 0, c = ½` is the cubic of Keys (1981) with a = −½, also known as Catmull-Rom, which interpolates;
    `b = c = ⅓` is the compromise that its authors recommend, which blurs a little.

    >>> cubic().weight(np.array([0.0, 0.5, 1.0, 1.5, 2.0])).tolist()
    [1.0, 0.5625, 0.0, -0.0625, 0.0]
    >>> mitchell = cubic(1 / 3, 1 / 3).weight(np.array([0.0, 1.0]))
    >>> bool(np.allclose(mitchell, [8 / 9, 1 / 18]))
    True
    """

    def weight(x: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.abs(x)
        near = ((12 - 9 * b - 6 * c) * x + (-18 + 12 * b + 6 * c)) * x * x + (6 - 2 * b)
        far = (((-b - 6 * c) * x + (6 * b + 30 * c)) * x + (-12 * b - 48 * c)) * x + (8 * b + 24 * c)
        return np.where(x < 1, near, np.where(x < 2, far, 0.0)) / 6

    return Filter(weight, 2.0)


def lanczos(a: int = 3) -> Filter:
    """Sinc windowed by the middle lobe of a wider sinc: `sinc(x)·sinc(x/a)` for `|x| < a` (Duchon 1979).

    The zeros at whole distances are exact, so that a sample on the grid comes back untouched.

    >>> lanczos(3).weight(np.array([0.0, 1.0, 3.0])).tolist()
    [1.0, 0.0, 0.0]
    """

    def weight(x: NDArray[np.float64]) -> NDArray[np.float64]:
        zero = (np.abs(x) >= a) | ((x == np.rint(x)) & (x != 0))
        return np.where(zero, 0.0, np.sinc(x) * np.sinc(x / a))

    return Filter(weight, float(a))


FILTERS: dict[str, Callable[..., Filter]] = {"bilinear": triangle, "bicubic": cubic, "lanczos": lanczos}

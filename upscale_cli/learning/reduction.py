"""Reducing an image, antialiased, so that it can be enlarged again and compared with the original."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UsageError, did_you_mean
from upscale_cli.learning import REDUCTION_NAMES
from upscale_cli.methods.filters import FILTERS
from upscale_cli.methods.weights import Filter

REDUCTIONS: dict[str, Callable[[], Filter]] = {name: FILTERS[name].default for name in REDUCTION_NAMES}
"""Filters that reduce, by name."""


def reduce(image: NDArray[Any], factor: Fraction | int, by: str = "bicubic") -> NDArray[np.float64]:
    """Return the image, reduced by a factor.

    Output `j` lies at `u = (j + ½)·factor − ½`, and sample `i` weighs `f((i − u)/factor)`: the filter is stretched by
    the factor, so that nothing aliases, and its weights sum to 1. Beyond the border the image is mirrored with its
    edge samples doubled. This is the convention of MATLAB's `imresize`, which published super-resolution figures are
    based on. Nothing is rounded.

    Parameters
    ----------
    image : array (H, W) or (H, W, C)
        Real numbers; H and W must be multiples of the factor's numerator.
    factor : Fraction or int
        At least 1.
    by : str
        A name of `REDUCTIONS`.

    Returns
    -------
    float64 (H / factor, W / factor) or (H / factor, W / factor, C)

    Raises
    ------
    UsageError
        If there is no such filter.
    ValueError
        If a side is not a multiple of the factor's numerator.

    Examples
    --------
    >>> reduce(np.array([[0.0, 2.0, 4.0, 6.0]] * 2), 2, "box").tolist()
    [[1.0, 5.0]]
    """
    if by not in REDUCTIONS:
        names = ", ".join(REDUCTIONS)
        raise UsageError(f'unknown reduction "{by}".{did_you_mean(by, REDUCTIONS)} Reductions: {names}.')
    factor = Fraction(factor)
    if image.shape[0] % factor.numerator or image.shape[1] % factor.numerator:
        raise ValueError(f"sides {image.shape[:2]} are not multiples of {factor.numerator}")
    result = np.asarray(image, np.float64)
    for axis in (0, 1):
        result = np.moveaxis(_reduced(np.moveaxis(result, axis, 0), factor, REDUCTIONS[by]()), 0, axis)
    return result


def _reduced(lines: NDArray[np.float64], factor: Fraction, filter: Filter) -> NDArray[np.float64]:
    """Reduce the first axis. Outputs `denominator` apart are `numerator` samples apart and have the same weights."""
    radius = Fraction(filter.radius)
    step, period = factor.numerator, factor.denominator
    margin = ceil(radius * factor) + step
    padded = np.pad(lines, [(margin, margin)] + [(0, 0)] * (lines.ndim - 1), mode="symmetric")
    result = np.zeros((len(lines) // step * period, *lines.shape[1:]))
    for phase in range(period):
        centre = (phase + Fraction(1, 2)) * factor - Fraction(1, 2)
        first, last = ceil(centre - radius * factor), floor(centre + radius * factor)
        distances = [float((i - centre) / factor) for i in range(first, last + 1)]
        weights = filter.weight(np.array(distances))
        for tap, weight in enumerate(weights / weights.sum(), margin + first):
            if weight:
                result[phase::period] += weight * padded[tap::step][: len(lines) // step]
    return result

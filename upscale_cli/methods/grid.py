"""Where the outputs of an axis lie among its samples: the grids that frameworks use, and those of chroma.

Plain Python, because the tables of methods read it; NumPy is imported where positions are computed.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import floor, lcm
from struct import pack
from typing import TYPE_CHECKING, Any, NamedTuple

from upscale_cli.methods.parameters import Choice, Parameter, Scale, round_side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Grid(NamedTuple):
    """One axis: output `j` lies at `ratio·j + offset` of the input, counted in samples from the first one."""

    ratio: Fraction
    offset: Fraction

    def of_plane(self, step: int, shift: int) -> "Grid":
        """Return the grid of a plane with a sample for every `step` pixels of a picture that lies on this one.

        Sample `j` of the enlarged plane lies at `X = step·j + shift/2` of the enlarged picture, counted from the
        centre of its first pixel. That is `x = ratio·X + offset` of the source, and sample `(x − shift/2)/step` of
        its plane.

        >>> half_pixel(4, 8).of_plane(2, 0)
        Grid(ratio=Fraction(1, 2), offset=Fraction(-1, 8))
        """
        half = Fraction(shift, 2)
        return Grid(self.ratio, (self.ratio * half + self.offset - half) / step)


UNCHANGED = Grid(Fraction(1), Fraction(0))
"""The grid of an axis that keeps its size."""


def half_pixel(n_in: int, n_out: int, scale: Fraction | None = None) -> Grid:
    """Return the grid of pixel centres, `(j + ½)·n_in/n_out − ½`: both pictures cover the same area.

    The ratio of the sides is the factor, whatever `scale` was given.

    >>> half_pixel(2, 4)
    Grid(ratio=Fraction(1, 2), offset=Fraction(-1, 4))
    """
    ratio = Fraction(n_in, n_out)
    return Grid(ratio, (ratio - 1) / 2)


GRIDS: dict[str, Callable[[int, int, Fraction], Grid]] = {
    "half-pixel": half_pixel,
    "align-corners": lambda n_in, n_out, scale: Grid(Fraction(n_in - 1, max(1, n_out - 1)), Fraction(0)),
    "asymmetric": lambda n_in, n_out, scale: Grid(1 / scale, Fraction(0)),
    "half-pixel-symmetric": lambda n_in, n_out, scale: Grid(1 / scale, (n_in - 1 - (n_out - 1) / scale) / 2),
    "pytorch-half-pixel": lambda n_in, n_out, scale: Grid(1 / scale, (1 / scale - 1) / 2 * (n_out > 1)),
    "tf-half-pixel-for-nn": lambda n_in, n_out, scale: Grid(1 / scale, 1 / scale / 2),
}
"""The grid of an axis from its inputs, its outputs and the factor: `coordinate_transformation_mode` of ONNX's Resize.

Those but the first go by the factor as it was given, even if a side is no multiple of it.
"""

ROUNDINGS: "dict[str, Callable[[NDArray[np.int64], int], NDArray[np.int64]]]" = {
    "round-prefer-ceil": lambda position, unit: (2 * position + unit) // (2 * unit),
    "round-prefer-floor": lambda position, unit: -((unit - 2 * position) // (2 * unit)),
    "floor": lambda position, unit: position // unit,
    "ceil": lambda position, unit: -(-position // unit),
}
"""The nearest sample to positions in a unit: `nearest_mode` of ONNX's Resize. The first is ours."""

EDGES = ("renormalise", "repeat", "reflect", "mirror", "zero")
"""What lies beyond the border: nothing, the sample there, its mirror image (with it doubled, or not), or zeros."""

_PLACES = "where outputs lie, by the names of ONNX; all but the first round sides down"
GRID = Parameter("grid", Choice(*GRIDS), "half-pixel", _PLACES, common=True)
_BEYOND = "beyond the border: weights left out, or samples; mirror does not double the edge [renormalise]"
EDGE = Parameter("edge", Choice(*EDGES), None, _BEYOND, common=True)
ROUNDING = Parameter(
    "rounding", Choice(*ROUNDINGS), "round-prefer-ceil", "which pixel is the nearest, by the names of ONNX"
)


def nominal(factor: Fraction) -> Fraction:
    """Return the fraction that a factor stands for: the simple one that the same float32 would be, if there is one.

    Frameworks keep factors as float32 and compute with them so. There 6/1.2 is 5, which `floor` leaves as it is.

    >>> nominal(Fraction(1.2000000476837158)), nominal(Fraction("1.23457"))
    (Fraction(6, 5), Fraction(123457, 100000))
    """
    simple = factor.limit_denominator(1000)
    # With larger denominators positions in int64 would overflow on long sides.
    return simple if pack("f", simple) == pack("f", factor) else factor.limit_denominator(1 << 20) or factor


def reaches_out(grid: Grid, n_in: int, n_out: int) -> bool:
    """Return whether outputs lie more than half a pixel beyond the last input."""
    return grid.ratio <= 1 and grid.ratio * (n_out - 1) + grid.offset > n_in - Fraction(1, 2)


def placed_shape(shape: tuple[int, ...], scale: Scale, parameters: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the output's shape: sides are rounded half up on our own grid, and down on those of frameworks.

    >>> placed_shape((2, 3, 1), (Fraction("2.3"), Fraction("2.5")), {"grid": "asymmetric"})
    (4, 7, 1)
    """
    if parameters.get("grid", "half-pixel") == "half-pixel":
        return (*map(round_side, shape, scale), shape[-1])
    return (*(floor(side * nominal(factor)) for side, factor in zip(shape, scale, strict=False)), shape[-1])


def grids(
    before: tuple[int, ...], after: tuple[int, ...], scale: Scale, parameters: Mapping[str, Any]
) -> tuple[Grid, ...]:
    """Return the vertical and the horizontal grid of a picture, after that of depth; factors of 1 change nothing."""
    rule = GRIDS[parameters.get("grid", "half-pixel")]
    return tuple(
        UNCHANGED if factor == 1 else rule(n_in, n_out, nominal(factor))
        for n_in, n_out, factor in zip(before, after, scale, strict=False)
    )


def nearest(
    n_in: int, n_out: int, grid: Grid | None = None, rounding: str = "round-prefer-ceil"
) -> "NDArray[np.int64]":
    """Return the nearest input of each output of an axis; the nearest to what lies beyond the border is that on it.

    >>> nearest(2, 5).tolist(), nearest(2, 5, rounding="floor").tolist()
    ([0, 0, 1, 1, 1], [0, 0, 0, 0, 1])
    """
    index = ROUNDINGS[rounding](*positions(range(n_out), grid or half_pixel(n_in, n_out)))
    return index.clip(0, n_in - 1)


def positions(outputs: range, grid: Grid) -> "tuple[NDArray[np.int64], int]":
    """Return where some outputs of an axis lie among its inputs, and the divisor of these numbers.

    They are integers, so nothing drifts along a row, and float noise decides no tie.

    >>> positions(range(4), half_pixel(2, 4))
    (array([-1,  1,  3,  5]), 4)
    """
    import numpy as np

    unit = lcm(grid.ratio.denominator, grid.offset.denominator)
    numbers = np.arange(outputs.start, outputs.stop, dtype=np.int64)
    return numbers * int(grid.ratio * unit) + int(grid.offset * unit), unit

"""Filters as taps, and taps as banded matrices in tiles: what `resampling` multiplies with."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from math import ceil
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.grid import UNCHANGED, Grid, half_pixel, positions
from upscale_cli.methods.method import Size
from upscale_cli.methods.weights import Filter

TILE = 16
"""Minimum of outputs in a tile. Wider tiles multiply more zeros, narrower ones make BLAS calls too short."""
LONGEST_PERIOD = 64
"""Longest period for which tiles are whole periods. At scale p/q in lowest terms, weights repeat every p outputs."""
PLANS = 4
"""Plans that are kept, because the frames of a film are alike."""
LONGEST = 1 << 14
"""The longest side of a source or a result that is planned at once. `Pieces` plans longer ones and keeps nothing."""
LEAST_LEFT = 0.2
"""The sum of an output's weights inside the image, over that of their sizes, that can still be scaled to 1.

Within half a pixel of the image 0.37 are left, by any filter. On other grids outputs lie further outside; there, of a
narrow filter nothing may be left, or weights that cancel each other, and so would multiply what is noise.
"""


@dataclass(frozen=True, eq=False)
class Taps:
    """The inputs that each output of one axis is made of, and their weights. Only the same object is equal.

    Output `j` begins at input `first[j]`, with weights (n_out, n_taps) that are 0 outside the input; output
    `j + period` begins `step` inputs later.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.float64]
    period: int
    step: int


class Axis(NamedTuple):
    """One axis from `before` to `after` samples, whose taps are made by a cached function when they are needed."""

    before: int
    after: int
    make: "partial[Taps]"

    def some(self) -> Taps:
        """Return the taps of the first outputs, or all if they are few."""
        return self.make() if self.after <= LONGEST else self.piece(0, LONGEST)

    def piece(self, start: int, stop: int) -> Taps:
        """Return the taps of outputs `start … stop − 1`, which are not kept."""
        made = self.make.func.__wrapped__(*self.make.args, part=(start, stop), **self.make.keywords)  # type: ignore[attr-defined]
        return cast(Taps, made)


Axes = tuple[Axis, ...]
"""The vertical and the horizontal axis, after depth where there is a volume."""


def pieces_kept(n_out: int) -> int:
    """Return how many pieces of a row are kept: all if they are few, or none, because the next row begins anew."""
    pieces = ceil(n_out / LONGEST)
    return pieces if pieces <= PLANS else 0


CONTINUED: dict[str, Callable[[NDArray[np.int64], int], NDArray[np.int64]]] = {
    "repeat": lambda index, n: np.clip(index, 0, n - 1),
    "reflect": lambda index, n: np.minimum(index % (2 * n), (-1 - index) % (2 * n)),
    "mirror": lambda index, n: np.minimum(index % max(1, 2 * n - 2), -index % max(1, 2 * n - 2)),
}
"""The sample of an axis that stands for one beyond its border, by the name of the edge.

>>> [CONTINUED[edge](np.arange(-3, 6), 3).tolist() for edge in ("repeat", "reflect", "mirror")]
[[0, 0, 0, 0, 1, 2, 2, 2, 2], [2, 1, 0, 0, 1, 2, 2, 1, 0], [1, 2, 1, 0, 1, 2, 1, 0, 1]]
"""


@lru_cache(2 * PLANS)
def taps(
    n_in: int,
    n_out: int,
    filter: Filter,
    *,
    grid: Grid | None = None,
    edge: str = "renormalise",
    part: tuple[int, int] | None = None,
) -> Taps:
    """Return the taps of one axis: output `j` is at `u = (j + ½)·n_in/n_out − ½`, and tap `i` weighs `filter(i − u)`.

    Another `Grid` says otherwise where output `j` is. Of a `part`, outputs `part[0] … part[1] − 1` alone have taps.

    Weights sum to 1. Taps outside the input are dropped and the others scaled, so that a constant stays constant
    up to the border (Pillow's rule); or their weights are added to those of the samples that stand for them; or
    they are dropped, and it darkens. Where hardly any weight is left to scale, the edge is repeated instead.
    Positions are fractions, stored as integers over their divisor: no drift, and no tie that float noise decides.
    If the output is smaller, the filter is stretched by `n_in/n_out`, so that nothing aliases.

    >>> triangle = Filter(lambda x: np.maximum(0, 1 - np.abs(x)), 1.0)
    >>> taps(2, 4, triangle).weights.tolist()
    [[0.0, 1.0], [0.75, 0.25], [0.25, 0.75], [1.0, 0.0]]
    >>> taps(2, 4, triangle, edge="zero").weights.tolist()
    [[0.0, 0.75], [0.75, 0.25], [0.25, 0.75], [0.75, 0.0]]
    """
    grid = grid or half_pixel(n_in, n_out)
    period, step = grid.ratio.denominator, grid.ratio.numerator
    position, unit = positions(range(*part or (0, n_out)), grid)
    wide = max(grid.ratio, Fraction(1))
    # What stands for the last tap of a window that is half outside lies in it; with mirror, one further inside.
    reach = ceil(filter.radius * wide.numerator / wide.denominator) + (edge == "mirror")
    first = position // unit - reach + 1
    index = first[:period, None] + np.arange(2 * reach)
    # Weights are the same in every period, except at the borders.
    distance = (unit * index - position[:period, None]) / int(unit * wide)
    # An axis that keeps its size is left as it is, also by filters that blur, as in Pillow.
    weights = (distance == 0).astype(float) if grid == UNCHANGED else filter.weight(distance)
    scaled = (weights / weights.sum(axis=1, keepdims=True))[np.arange(len(first)) % period]
    border = np.flatnonzero((first < 0) | (first > n_in - 2 * reach))
    index = first[border, None] + np.arange(2 * reach)
    inside = (index >= 0) & (index < n_in)
    near, beyond = (np.where(which, weights[border % period], 0.0) for which in (inside, ~inside))
    goes_on = np.full(len(border), edge in CONTINUED)
    if edge == "renormalise":
        goes_on = near.sum(axis=1) <= LEAST_LEFT * np.abs(near).sum(axis=1)
    if goes_on.any():
        place = np.clip(CONTINUED.get(edge, CONTINUED["repeat"])(index, n_in) - first[border, None], 0, 2 * reach - 1)
        np.add.at(near, (np.arange(len(border))[:, None], place), beyond * goes_on[:, None])
    total = near + beyond if edge == "zero" else near
    scaled[border] = near / total.sum(axis=1, keepdims=True)
    return Taps(first, scaled, period, step)


def filter_axes(
    shape: Size,
    size: Size,
    filter: Filter,
    *,
    grids: tuple[Grid | None, ...] = (None, None),
    edge: str = "renormalise",
) -> Axes:
    """Return the axes of a filter, from a source of `shape` to an output of `size`, height first; see `taps`."""
    return tuple(
        Axis(n_in, n_out, partial(taps, n_in, n_out, filter=filter, grid=grid, edge=edge))
        for n_in, n_out, grid in zip(shape, size, grids, strict=False)
    )


class Banded(NamedTuple):
    """One axis as a banded matrix, cut into tiles of consecutive outputs.

    Tile `t` makes outputs `t·T … t·T + T − 1` from inputs `starts[t] … starts[t] + K − 1` by `matrices[kinds[t]]`;
    `matrices` (n, T, K) are the distinct ones. Inputs beyond the source have weight 0, and outputs beyond the last
    are 0. If windows are evenly spaced, by `step`, all tiles between the borders share a matrix.
    """

    starts: NDArray[np.int64]
    matrices: NDArray[np.float64]
    kinds: NDArray[np.int64]
    step: int | None


def banded(taps: Taps) -> Banded:
    """Return taps laid out as tiles: whole periods if they are short, so that windows are evenly spaced."""
    n_out, n_taps = taps.weights.shape
    even = taps.period <= LONGEST_PERIOD
    tile = taps.period * ceil(TILE / taps.period) if even else TILE
    tiles = ceil(n_out / tile)
    step = tile // taps.period * taps.step if even else None
    starts = taps.first[0] + step * np.arange(tiles) if step is not None else taps.first[::tile].copy()
    offset = np.zeros((tiles, tile), np.int64)
    offset.reshape(-1)[:n_out] = taps.first - np.repeat(starts, tile)[:n_out]
    weights = np.zeros((tiles, tile, n_taps))
    weights.reshape(-1, n_taps)[:n_out] = taps.weights
    members = kinds = np.arange(tiles)
    if even:
        # Each tile has the same weights as the one in the middle, or its own.
        special = (weights != weights[tiles // 2]).any(axis=(1, 2))
        members = np.append(tiles // 2, np.flatnonzero(special))
        kinds = np.where(special, np.cumsum(special), 0)
    matrices = np.zeros((len(members), tile, int(offset.max()) + n_taps))
    np.put_along_axis(matrices, offset[members, :, None] + np.arange(n_taps), weights[members], axis=2)
    return Banded(starts, matrices, kinds, step)

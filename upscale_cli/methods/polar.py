"""Polar resampling: taps weighed by their distance in the plane, over a disc instead of a square (EWA).

    out[y, x] = Σᵢ Σⱼ w(r)·source[i, j] / Σᵢ Σⱼ w(r),  r = hypot(i − y, j − x) in samples of the source

(Heckbert 1989, "elliptical weighted average": the ellipse is a circle unless the image is made smaller). Such weights
are no product of a column and a row, so there are no two passes: each output is one sum, over the 33 samples of a
disc of radius 3.24.

At scale p/q in lowest terms, weights repeat every p outputs and q inputs on each axis. Some whole periods are a tile.
Its outputs are one matrix product with the rectangle of inputs that their discs touch. The tiles of a row are the
columns of that product, and only shifts along a row are copied, as in `convolution`. Long periods are cut into runs
of outputs, each with its own rectangle. Where a matrix would be used too rarely, as for 1023 → 1535 pixels, weights
are looked up by the square of the distance instead, one tap after the other.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from math import ceil, floor, inf, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.grid import Grid, half_pixel, positions
from upscale_cli.methods.method import Shape, Size, WorkingMemory
from upscale_cli.methods.taps import CONTINUED, PLANS
from upscale_cli.methods.upsampler import FEWEST_ROWS, Array, Block, SampleReader, Scratch, Upsampler, strided
from upscale_cli.methods.weights import Filter

RUN = 4, 8
"""Fewest rows and columns in a run of outputs: wider ones multiply more zeros, narrower ones keep BLAS waiting."""
COLUMNS = 384
"""Columns of a product at most: its inputs and outputs stay in a core's cache."""
BLOCK_VALUES = 1 << 18
"""Values of a block, and a quarter of the shifted inputs, at most, unless one tile across has more."""
FEW_WEIGHTS, MOST_WEIGHTS, LOOK_UPS = 1 << 16, 1 << 22, 16
"""Weights that are computed for any image, and at most; and how many are looked up in the time of computing one."""
BAND, SPAN, LEAST_VALUES = 16, 1024, 1 << 13
"""Rows and columns of a block whose weights are looked up, and pixels of any band, at least."""
ENTRIES = 1 << 14
"""Entries of a table of weights: between two of them, those of a windowed jinc are a line to within 1e-7."""

_scratch = Scratch()


class Run(NamedTuple):
    """Consecutive outputs of a period, and the inputs that they need: `first … first + width − 1`."""

    outputs: slice
    first: int
    width: int


class Axis:
    """One axis: where outputs lie among the inputs. Only the same object is equal.

    Output `j + period` lies `step` inputs after output `j`. At most `taps` inputs lie within the radius of an
    output, and `width` of a run.
    """

    def __init__(self, grid: Grid, inputs: int, *, radius: float, least: int, edge: str) -> None:
        repeats = ceil(least / grid.ratio.denominator)
        self.period, self.step = repeats * grid.ratio.denominator, repeats * grid.ratio.numerator
        self._grid, self._least, self._ends = grid, least, (0, inputs) if edge == "renormalise" else (-inf, inf)
        self._unit = positions(range(0), grid)[1]
        # A distance of 1: if the output is smaller, the filter is stretched, as in `taps`.
        self._one = int(self._unit * max(grid.ratio, Fraction(1)))
        self._reach = radius * self._one
        self.taps = floor(2 * self._reach / self._unit) + 1
        self.width = self.taps + ceil(2 * least * self.step / self.period)

    @cached_property
    def runs(self) -> list[Run]:
        """The runs of a period."""
        runs, position = [], self._positions(0, self.period)
        for start, stop in pairwise(np.linspace(0, self.period, self.period // self._least + 1).astype(int).tolist()):
            first = ceil((int(position[start]) - self._reach) / self._unit)
            last = floor((int(position[stop - 1]) + self._reach) / self._unit)
            runs.append(Run(slice(start, stop), first, last + 1 - first))
        return runs

    def distances(self, run: Run) -> NDArray[np.float64]:
        """Return the distances of a run's outputs from its inputs (outputs, inputs), as the filter measures them."""
        inputs = run.first + np.arange(run.width)
        position = self._positions(run.outputs.start, run.outputs.stop)
        return (self._unit * inputs - position[:, None]) / self._one

    def squares(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the first input in reach of some outputs (n,), and the squared distances of all in reach (taps, n).

        The square of the radius is 1, and so are all squares of inputs that there are not.
        """
        position = self._positions(start, stop)
        first = np.ceil((position - self._reach) / self._unit).astype(np.int64)
        inputs = first + np.arange(self.taps)[:, None]
        return first, np.where(self._inside(inputs), ((self._unit * inputs - position) / self._reach) ** 2, 1.0)

    def tiles(self, tile: int, count: int) -> range:
        """Return the inputs of some tiles."""
        first, last = self.runs[0].first, self.runs[-1].first + self.runs[-1].width
        return range(tile * self.step + first, (tile + count - 1) * self.step + last)

    def inside(self, run: Run, tile: int, count: int) -> NDArray[np.bool_]:
        """Return which inputs of a run in some tiles there are: (tiles, inputs). An edge other than none has all."""
        return self._inside((tile + np.arange(count))[:, None] * self.step + run.first + np.arange(run.width))

    def _positions(self, start: int, stop: int) -> NDArray[np.int64]:
        return positions(range(start, stop), self._grid)[0]

    def _inside(self, inputs: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (inputs >= self._ends[0]) & (inputs < self._ends[1])


Axes = tuple[Axis, ...]


@lru_cache(PLANS)
def _axes(before: Size, grids: tuple[Grid, ...], radius: float, edge: str = "renormalise") -> Axes:
    """Return the vertical and the horizontal axis of a source."""
    sides = zip(grids, before, RUN, strict=True)
    return tuple(Axis(grid, inputs, radius=radius, least=least, edge=edge) for grid, inputs, least in sides)


def _count_weights(axes: Axes, size: Size) -> int:
    """Return about how many weights the matrices to a size have, or 0 if it is faster to look weights up."""
    count = prod(axis.period * axis.width for axis in axes)
    worth = min(MOST_WEIGHTS, prod(size) * prod(axis.taps for axis in axes) // LOOK_UPS)
    return count if count <= max(FEW_WEIGHTS, worth) else 0


def _tiling(axes: Axes, channels: int, width: int) -> tuple[int, int]:
    """Return the number of tiles below each other in a band, and beside each other in a block."""
    vertical, horizontal = axes
    down = max(1, max(FEWEST_ROWS, LEAST_VALUES // width) // vertical.period)
    shifted = (down * vertical.step + vertical.taps) * horizontal.width
    most = min(COLUMNS, BLOCK_VALUES // (down * vertical.period * horizontal.period), 4 * BLOCK_VALUES // shifted)
    return down, max(1, most // channels)


def polar_memory(shape: Shape, size: Size, radius: float) -> WorkingMemory:
    """Return the working memory for a source (H, W, C) and the height and width of its output."""
    axes, channels = _axes(shape[:2], tuple(map(half_pixel, shape, size)), radius), shape[2]
    (vertical, horizontal), weights = axes, _count_weights(axes, size)
    if not weights:
        band = min(size[0], max(BAND, LEAST_VALUES // size[1]))
        rows = vertical.taps + band * vertical.step // vertical.period
        columns = horizontal.taps + min(size[1], SPAN) * max(1, horizontal.step // horizontal.period)
        per_thread = 3 * rows * columns * channels + band * min(size[1], SPAN) * (2 * channels + 10)
        return WorkingMemory(band, 2 * ENTRIES, per_thread)
    down, across = _tiling(axes, channels, size[1])
    across = min(across, ceil(size[1] / horizontal.period))
    rows, columns = down * vertical.step + vertical.taps, across * horizontal.step + horizontal.taps
    values = down * vertical.period * across * horizontal.period
    per_thread = (2 * values + rows * (2 * columns + horizontal.width * across)) * channels
    return WorkingMemory(down * vertical.period, weights, per_thread)


@lru_cache(PLANS)
def _matrices(filter: Filter, axes: Axes, dtype: np.dtype[Any]) -> list[list[Array]]:
    """Return the weights of each pair of runs (rows, columns, kh, kw), which sum to 1 for each output."""
    down, across = ([axis.distances(run) for run in axis.runs] for axis in axes)
    made = [[filter.weight(np.hypot(dy[:, None, :, None], dx[:, None, :])) for dx in across] for dy in down]
    return [[(each / each.sum(axis=(2, 3), keepdims=True)).astype(dtype) for each in row] for row in made]


@lru_cache(PLANS)
def _table(filter: Filter, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return the weights at squared distances from 0 to 1, and their differences; 0 from the radius on."""
    weights = filter.weight(filter.radius * np.sqrt(np.linspace(0, 1, ENTRIES + 1)))
    weights[-1] = 0
    return weights.astype(dtype), np.diff(weights, append=0).astype(dtype)


class _Polar(Upsampler):
    """What both ways have in common."""

    def __init__(
        self, source: Array, size: Size, *, axes: Axes, filter: Filter, reader: SampleReader, edge: str
    ) -> None:
        self.source, self.reader, self.dtype = source, reader, reader.dtype
        self.shape, self._axes, self._filter, self._edge = (*size, reader.channels), axes, filter, edge  # type: ignore[assignment]
        self.band = max(BAND, LEAST_VALUES // size[1])

    def _read(self, rows: range, columns: range) -> Array:
        """Return some rows and columns of the source (n, w, C), and zeros or what stands for them outside of it."""
        if continued := CONTINUED.get(self._edge):
            sides = zip((rows, columns), self.source.shape, strict=False)
            down, across = (continued(np.arange(some.start, some.stop), n) for some, n in sides)
            return self.reader.read(self.source[down[:, None], across])
        part = self.reader.read(self.source[max(0, rows.start) : rows.stop, max(0, columns.start) : columns.stop])
        slab = _scratch.get("slab", (len(rows), len(columns), self.shape[2]), self.dtype)
        slab.fill(0)
        top, left = max(0, -rows.start), max(0, -columns.start)
        slab[top : top + part.shape[0], left : left + part.shape[1]] = part
        return slab


class Polar(_Polar):
    """A polar filter on a source, by matrix products."""

    cost = 4

    def __init__(self, source: Array, size: Size, **given: Any) -> None:
        super().__init__(source, size, **given)
        self._weights = _matrices(self._filter, self._axes, self.dtype)
        self._down, self._across = _tiling(self._axes, self.shape[2], size[1])
        self.band = self._down * self._axes[0].period

    def blocks(self, band: int) -> Iterator[Block]:
        vertical, horizontal = self._axes
        rows = vertical.tiles(band * self._down, self._down)
        tiles = ceil(self.shape[1] / horizontal.period)
        for left in range(0, tiles, self._across):
            count = min(self._across, tiles - left)
            columns = horizontal.tiles(left, count)
            slab = self._read(rows, columns)
            shape = self._down, vertical.period, count, horizontal.period, self.shape[2]
            values = _scratch.get("values", shape, self.dtype)
            for i, across in enumerate(horizontal.runs):
                shifted = _scratch.get("shifted", (len(rows), across.width, self.shape[2], count), self.dtype)
                for shift in range(across.width):
                    first = left * horizontal.step + across.first + shift - columns.start
                    part = slab[:, first : first + (count - 1) * horizontal.step + 1 : horizontal.step or 1]
                    np.copyto(shifted[:, shift], part.transpose(0, 2, 1))
                inside = horizontal.inside(across, left, count)
                sides = np.flatnonzero(~inside.all(axis=1))
                for down, weights in zip(vertical.runs, self._weights, strict=True):
                    above = band * self._down * vertical.step + down.first - rows.start
                    made = self._products(weights[i], shifted, above)
                    beside = vertical.inside(down, band * self._down, self._down)
                    # Between the upper and the lower border only tiles at the sides lack inputs, alike in all rows.
                    middle = beside.all()
                    border = sides if middle else slice(None)
                    if not middle or sides.size:
                        there = (beside[:1] if middle else beside).astype(self.dtype)
                        sums = np.tensordot(there, weights[i], (1, 2)) @ inside[border].T.astype(self.dtype)
                        sums[sums <= 0] = 1  # beyond the image
                        made[..., border] /= sums[:, :, :, None]
                    values[:, down.outputs, :, across.outputs] = np.moveaxis(made, 4, 2)
            yield Block(band * self.band, left * horizontal.period, 0, values.reshape(self.band, -1, self.shape[2]))

    def _products(self, weights: Array, shifted: Array, above: int) -> Array:
        """Return a run's outputs of all tiles in a block (tiles down, rows, columns, C, tiles across)."""
        kh, line = weights.shape[2], shifted.strides[0]
        columns = shifted[0, 0].size
        windows = strided(
            shifted,
            (self._down, kh * weights.shape[3], columns),
            (self._axes[0].step * line, shifted.strides[1], shifted.itemsize),
            above * line,
        )
        matrix = weights.reshape(-1, windows.shape[1])
        made = np.matmul(matrix, windows, out=_scratch.get("made", (self._down, len(matrix), columns), self.dtype))
        return made.reshape(self._down, *weights.shape[:2], *shifted.shape[2:])


class DirectPolar(_Polar):
    """The same by looking weights up: slower, for any scale, and exact if a sample is not finite."""

    cost = 32

    def blocks(self, band: int) -> Iterator[Block]:
        vertical, horizontal = self._axes
        top = band * self.band
        lines = rows, down = vertical.squares(top, min(top + self.band, self.shape[0]))
        span = max(1, min(SPAN, SPAN * horizontal.period // (horizontal.step or 1)))
        for left in range(0, self.shape[1], span):
            columns, across = horizontal.squares(left, min(left + span, self.shape[1]))
            area = (range(int(first[0]), int(first[-1]) + len(taps)) for first, taps in (lines, (columns, across)))
            planes = np.ascontiguousarray(self._read(*area).transpose(2, 0, 1))
            values = self._sums(planes, (rows - rows[0], columns - columns[0]), (down, across))
            yield Block(top, left, 0, values.transpose(1, 2, 0))

    def _sums(self, planes: Array, first: tuple[Array, Array], squares: tuple[Array, Array]) -> Array:
        """Return the outputs (C, n, w) from planes (C, h, w), the first row and column of each, and their taps."""
        table, differences = _table(self._filter, self.dtype)
        down, across = ((each * ENTRIES).astype(self.dtype) for each in squares)
        shape = down.shape[1], across.shape[1]
        total, values = np.zeros(shape, self.dtype), np.zeros((len(planes), *shape), self.dtype)
        for i, dx in enumerate(across):
            near = planes.take(first[1] + i, axis=2, mode="clip")
            for j, dy in enumerate(down):
                place = dy[:, None] + dx
                below = np.floor(place)
                entry = below.astype(np.intp)
                place -= below
                place *= differences.take(entry, mode="clip")
                place += table.take(entry, mode="clip")
                total += place
                part = near.take(first[0] + j, axis=1, mode="clip")
                if self.reader.finite:
                    part *= place
                else:
                    with np.errstate(invalid="ignore", over="ignore"):
                        part = np.where(place != 0, part * place, 0)
                values += part
        values /= total
        return values


def polar(
    source: Array, size: Size, filter: Filter, *, reader: SampleReader, grids: tuple[Grid, ...], edge: str
) -> Upsampler:
    """Return the fastest upsampler that is exact for a source and a size."""
    axes = _axes(source.shape[:2], grids, filter.radius, edge)
    kind = Polar if reader.finite and _count_weights(axes, size) else DirectPolar
    return kind(source, size, axes=axes, filter=filter, reader=reader, edge=edge)

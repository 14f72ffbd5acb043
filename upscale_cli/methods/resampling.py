"""Separable resampling: a filter becomes taps, taps become banded matrices, matrices become rows.

A 2-D filter is separable if its weights are `w(y)·w(x)`. Then

    out[y, x] = Σᵢ Σⱼ w(i − y)·w(j − x)·source[i, j] = Σᵢ w(i − y)·( Σⱼ w(j − x)·source[i, j] ),

so one pass along rows and one along columns do the work: 2n products a value instead of n². Each pass is a matrix
product, `V · source · Hᵀ`. Row `j` of such a matrix holds the weights of output `j`. Only those of a few neighbouring
inputs are not 0, and these move on with `j`: the matrix is banded, nonzero in a narrow band along its diagonal.

Cut into tiles of T outputs, a banded matrix becomes small dense ones: T outputs need the inputs from the first tap of
the first output to the last tap of the last, about `T/scale + n` of them. All tiles of a block are one stacked
product. It multiplies some zeros, which costs less than gathering the taps, and the call is long enough to scale over
threads. Filters and edges are settled while the matrices are filled; the arithmetic knows neither.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.pieces import Pieces
from upscale_cli.methods.taps import LONGEST, PLANS, TILE, Axes, Taps, banded, pieces_kept
from upscale_cli.methods.upsampler import (
    LEAST_VALUES,
    LONGEST_BAND,
    Array,
    Block,
    SampleReader,
    Scratch,
    Upsampler,
    band_rows,
    strided,
)

SHORTEST_BAND = 64
"""Approximate minimum of rows in a band, for images that are not very wide."""
BANDS = 8
"""Minimum of bands in an image, unless they would be shorter than that, or have fewer values than the next number."""
BLOCK = 2880
"""Approximate values in a row of a block: long calls, because threads wait for each other between calls."""
CHANNELS = 4
"""Maximum of channels that are resampled together; more are resampled in groups."""

_scratch = Scratch()


def average(taps: Taps) -> bool:
    """Return whether the weights are not negative and sum to 1, and are few enough for sums to stay in range.

    Weights and sums of n terms that are not negative are wrong by at most a share of (n + 2)·2⁻²⁴ on each axis, and
    terms of weight 0 add none. So 65535 + ½, the largest sample and what rounds it, becomes less than 65536 if
    2·(n + 2)·2⁻²⁴·65536 < ½, as it is up to 60 taps. 255 + ½ is further from 256, and no sum is negative.
    """
    weights = taps.weights
    return bool(weights.shape[1] <= 60 and weights.min() >= 0 and np.abs(weights.sum(axis=1) - 1).max() < 1e-9)


def _stacked(matrices: Array, kinds: NDArray[np.int64]) -> Array:
    """Return the matrices (tiles, …) of consecutive tiles, as a view if they are all the same or all different."""
    first, last = kinds[0], kinds[-1]
    if (kinds == first).all():  # one matrix that is read repeatedly stays in the nearest cache
        return np.broadcast_to(matrices[first], (len(kinds), *matrices.shape[1:]))
    if (np.diff(kinds) == 1).all():
        return matrices[first : last + 1]
    return matrices[kinds]


class Across:
    """What `Plan` computes for the horizontal axis."""

    def __init__(self, taps: Taps, channels: int, dtype: np.dtype[Any]) -> None:
        self.banded, self.averages = banded(taps), average(taps)
        # Interleaved channels are resampled as they are, by block-diagonal matrices: three times the products that
        # planes would need, but on the smaller image, and without copies to planes and back.
        self.group = group = min(channels, CHANNELS)
        starts, matrices, kinds, _ = self.banded
        columns_of = {count: _interleaved(matrices, count, dtype) for count in {group, channels % group or group}}
        tiles = max(1, BLOCK // (matrices.shape[1] * group))
        self.columns = []
        for start in range(0, len(starts), tiles):
            part = slice(start, start + tiles)
            stacks = {count: _stacked(every, kinds[part]) for count, every in columns_of.items()}
            self.columns.append((starts[part], stacks))


class Plan:
    """What `Resampler` computes before it sees a source: the same for all sources of one shape.

    `before` is the height and width of the source, `across` makes `Across`; if `undivided`, all rows are one band.
    """

    def __init__(
        self,
        axes: tuple[Taps, Taps],
        before: tuple[int, int],
        channels: int,
        dtype: np.dtype[Any],
        *,
        across: Callable[..., Across] = Across,
        undivided: bool = False,
    ) -> None:
        height, width = (len(axis.first) for axis in axes)
        self.shape = (height, width, channels)
        self.vertical = vertical = banded(axes[0])
        self.across = across(axes[1], channels, dtype)
        self.averages = self.across.averages and average(axes[0])

        # Every band has the same number of tiles, the last one too: the same shapes give the same bits.
        tile = vertical.matrices.shape[1]
        shortest = max(SHORTEST_BAND, LEAST_VALUES // (width * channels))
        longest = min(LONGEST_BAND, max(shortest, height // BANDS))
        rows = band_rows(max(width, before[1]), channels, longest)
        if height < before[0]:  # what is read is the larger part
            rows = max(tile, rows * height // before[0])
        self.band_tiles = len(vertical.starts) if undivided else min(max(1, rows // tile), len(vertical.starts))
        self.band = self.band_tiles * tile
        missing = -len(vertical.starts) % self.band_tiles
        starts, kinds = (np.pad(each, (0, missing), mode="edge") for each in (vertical.starts, vertical.kinds))
        if vertical.step is not None:
            starts = vertical.starts[0] + vertical.step * np.arange(len(starts))
        # Of each band.
        self.starts = starts.reshape(-1, self.band_tiles)
        self.slab = int((self.starts[:, -1] - self.starts[:, 0]).max()) + vertical.matrices.shape[2]
        rows_of = vertical.matrices.astype(dtype)
        self.rows = [_stacked(rows_of, each) for each in kinds.reshape(-1, self.band_tiles)]


planned = lru_cache(PLANS)(Plan)
"""A plan, which is kept for the next source of that shape."""


class Resampler(Upsampler):
    """A filter or a separable kernel on a source (H, W, C) of any numeric dtype, one axis at a time."""

    def __init__(
        self, source: Array, axes: tuple[Taps, Taps], reader: SampleReader, plan: Callable[..., Plan] = planned
    ) -> None:
        self.source, self.read, self.dtype = source, reader.read, reader.dtype
        self._plan = made = plan(axes, source.shape[:2], reader.channels, reader.dtype)
        self.shape, self.band, self.averages = made.shape, made.band, made.averages

    def blocks(self, band: int) -> Iterator[Block]:
        plan, left = self._plan, 0
        samples, margin = self._read(int(plan.starts[band, 0]))
        for starts, matrices in plan.across.columns:
            for channel in range(0, self.shape[2], plan.across.group):
                part = samples[:, :, channel : channel + plan.across.group]
                wide = self._across(part, margin + starts, matrices[part.shape[2]])
                values = self._down(wide, plan.rows[band], plan.starts[band]).reshape(self.band, -1, part.shape[2])
                yield Block(band * self.band, left, channel, values)
            left += values.shape[1]

    def _read(self, top: int) -> tuple[Array, int]:
        """Return the slab of source rows from `top`, zero outside the image, and its number of columns left of it."""
        (height, width), count = self.source.shape[:2], self._plan.slab
        starts, reach = self._plan.across.banded.starts, self._plan.across.banded.matrices.shape[2]
        left, right = max(0, -int(starts.min())), max(0, int(starts.max()) + reach - width)
        slab = _scratch.get("slab", (count, left + width + right, self.shape[2]), self.dtype)
        # A slab may lie outside the source entirely, in the padding of a transposed convolution.
        above = min(max(0, -top), count)
        below = max(above, min(count, height - top))
        slab[:, :left] = slab[:, left + width :] = slab[:above] = slab[below:] = 0
        slab[above:below, left : left + width] = self.read(self.source[top + above : top + below])
        return slab, left

    def _across(self, samples: Array, starts: NDArray[np.int64], matrices: Array) -> Array:
        """Return one block of the slab, resampled horizontally: (slab rows, outputs · channels)."""
        rows, _, count = samples.shape
        reach, tile = (n // count for n in matrices.shape[1:])
        pixel = count * samples.itemsize
        if self._plan.across.banded.step is not None and samples.strides[1] == pixel:
            windows = strided(
                samples,
                (len(starts), rows, reach * count),
                (self._plan.across.banded.step * pixel, samples.strides[0], samples.itemsize),
                int(starts[0]) * pixel,
            )
        else:
            gathered = _scratch.get("across", (rows, len(starts), reach, count), self.dtype)
            np.take(samples, starts[:, None] + np.arange(reach), axis=1, out=gathered, mode="clip")
            windows = gathered.reshape(rows, len(starts), reach * count).transpose(1, 0, 2)
        wide = _scratch.get("wide", (rows, len(starts), tile * count), self.dtype)
        np.matmul(windows, matrices, out=wide.transpose(1, 0, 2))
        return wide.reshape(rows, -1)

    def _down(self, wide: Array, matrices: Array, starts: NDArray[np.int64]) -> Array:
        """Return the same block, resampled vertically: (band rows, outputs · channels)."""
        shape = (len(starts), matrices.shape[2], wide.shape[1])
        if self._plan.vertical.step is not None:
            windows = strided(wide, shape, (self._plan.vertical.step * wide.strides[0], *wide.strides))
        else:
            windows = _scratch.get("down", shape, self.dtype)
            rows = starts[:, None] - starts[0] + np.arange(shape[1])
            np.take(wide, rows, axis=0, out=windows, mode="clip")
        values = _scratch.get("values", (*matrices.shape[:2], wide.shape[1]), self.dtype)
        return np.matmul(matrices, windows, out=values).reshape(-1, wide.shape[1])


def _interleaved(matrices: NDArray[np.float64], count: int, dtype: np.dtype[Any]) -> Array:
    """Return matrices (n, T, K) for a product from the right with interleaved channels: (n, K · count, T · count)."""
    number, outputs, inputs = matrices.shape
    blocks = np.zeros((number, inputs, count, outputs, count), dtype)
    for channel in range(count):
        blocks[:, :, channel, :, channel] = matrices.transpose(0, 2, 1)
    return blocks.reshape(number, inputs * count, outputs * count)


class DirectResampler(Upsampler):
    """The same as a direct sum over taps: slower, and exact if a sample is not finite.

    A tile multiplies samples outside its taps by 0, and `0·NaN` and `0·∞` are NaN.
    """

    def __init__(self, source: Array, axes: tuple[Taps, Taps], reader: SampleReader) -> None:
        self.source, self.read, self.dtype = source, reader.read, reader.dtype
        self._vertical, self._horizontal = axes
        self.shape, self.band = (len(axes[0].first), len(axes[1].first), reader.channels), TILE

    def blocks(self, band: int) -> Iterator[Block]:
        top = band * self.band
        part = slice(top, top + self.band)
        first, weights = self._vertical.first[part], self._vertical.weights[part]
        values = np.zeros((len(first), self.source.shape[1], self.shape[2]), self.dtype)
        for k in range(weights.shape[1]):
            rows = np.clip(first + k, 0, len(self.source) - 1)
            _add_weighed(values, weights[:, k, None, None], self.read(self.source[rows]))
        wide = np.zeros((len(first), *self.shape[1:]), self.dtype)
        for k in range(self._horizontal.weights.shape[1]):
            columns = np.clip(self._horizontal.first + k, 0, values.shape[1] - 1)
            _add_weighed(wide, self._horizontal.weights[:, k, None], values[:, columns])
        yield Block(top, 0, 0, wide)


def _add_weighed(total: Array, weights: NDArray[np.float64], samples: Array) -> None:
    """Add samples times weights, leaving out those of weight 0, because `0·∞` is NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        total += np.where(weights != 0, samples * weights.astype(total.dtype), 0)


def resampled(source: Array, axes: Axes, reader: SampleReader) -> Upsampler:
    """Return the fastest upsampler that is exact for a source: products of matrices if all samples are finite."""
    if max(axes[0][:2] + axes[1][:2]) <= LONGEST:
        return (Resampler if reader.finite else DirectResampler)(source, (axes[0].make(), axes[1].make()), reader)
    plan = partial(Plan, across=lru_cache(pieces_kept(axes[1].after))(Across), undivided=True)
    return Pieces(source, axes, reader, partial(Resampler, plan=plan) if reader.finite else DirectResampler)

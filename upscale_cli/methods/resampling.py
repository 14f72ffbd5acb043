"""Separable resampling: a filter becomes taps, taps become banded matrices, matrices become rows.

One axis of a separable filter, or of the separable kernel of a transposed convolution, is a banded matrix. Cut into
tiles of outputs, each tile is a small dense matrix times a slab of samples, and all tiles of a block are one stacked
matrix product: the zeros that it multiplies cost less than any gather, and one call is long enough to scale over
threads. Filters and edges are settled while the matrices are filled; the arithmetic knows neither.
"""

from collections.abc import Iterator
from math import ceil, gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.filters import Filter
from upscale_cli.methods.upsampler import Array, Block, SampleReader, Scratch, Upsampler, band_rows, strided

TILE = 16
"""Outputs of a tile, at least. Wider tiles multiply more zeros, narrower ones make BLAS calls too short."""
LONGEST_PERIOD = 64
"""A filter at scale p/q in lowest terms repeats its weights every p outputs; tiles are whole periods up to this."""
SHORTEST_BAND, LONGEST_BAND = 64, 256
"""Rows of a band, about, of images that are not very wide."""
BANDS = 8
"""Bands of an image at least, where that leaves them long enough."""
BLOCK = 2880
"""Values in a row of a block, about: calls are long, for threads wait for each other between them."""
CHANNELS = 4
"""Channels that are resampled together; more of them go in groups."""

_scratch = Scratch()


class Taps(NamedTuple):
    """Which inputs of one axis make which output, and how much of each.

    Attributes
    ----------
    first : int64 (n_out,)
        Index of the first tap of each output; taps outside the input have weight 0.
    weights : float64 (n_out, n_taps)
    period, step : int
        Output `j + period` looks `step` inputs further than output `j`.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.float64]
    period: int
    step: int


Axes = tuple[Taps, Taps]
"""The vertical and the horizontal axis."""


def taps(n_in: int, n_out: int, filter: Filter) -> Taps:
    """The taps of one axis: output `j` lies at `u = (j + ½)·n_in/n_out − ½`, tap `i` weighs `filter(i − u)`.

    Taps outside the input are dropped and the rest made to sum to 1 again, so that a constant stays constant up to
    the border (Pillow's rule). Positions are fractions over `2·n_out`, kept as whole numbers: no drift, and no tie
    that is decided by float noise. Where the output is the smaller one, the filter is stretched by `n_in/n_out`, so
    that nothing aliases.

    >>> taps(2, 4, filter=Filter(lambda x: np.maximum(0, 1 - np.abs(x)), 1.0)).weights.tolist()
    [[0.0, 1.0], [0.75, 0.25], [0.25, 0.75], [1.0, 0.0]]
    """
    divisor = gcd(n_in, n_out)
    period = n_out // divisor
    position = (2 * np.arange(n_out, dtype=np.int64) + 1) * n_in - n_out
    wide = max(n_in, n_out)
    reach = ceil(filter.radius * wide / n_out)
    first = position // (2 * n_out) - reach + 1
    index = first[:period, None] + np.arange(2 * reach)
    # The weights are the same in every period, but at the borders.
    weights = filter.weight((2 * n_out * index - position[:period, None]) / (2 * wide))
    whole = np.tile(weights / weights.sum(axis=1, keepdims=True), (divisor, 1))
    border = np.flatnonzero((first < 0) | (first > n_in - 2 * reach))
    index = first[border, None] + np.arange(2 * reach)
    weights = np.where((index >= 0) & (index < n_in), weights[border % period], 0.0)
    whole[border] = weights / weights.sum(axis=1, keepdims=True)
    return Taps(first, whole, period, n_in // divisor)


def filter_axes(shape: tuple[int, ...], size: tuple[int, int], filter: Filter) -> Axes:
    """The axes of a filter, from a source of `shape` to an output of `size`, height first."""
    return taps(shape[0], size[0], filter), taps(shape[1], size[1], filter)


class Banded(NamedTuple):
    """One axis as a banded matrix, cut into tiles of consecutive outputs.

    Attributes
    ----------
    starts : int64 (tiles,)
        Index of the first input of each tile's window; windows may reach beyond the input, with weight 0.
    matrices : float64 (n, T, K)
        Those that differ. Tile `t` gives outputs `t·T … t·T + T − 1` from inputs `starts[t] … starts[t] + K − 1` by
        `matrices[kinds[t]]`. Outputs beyond the last are 0.
    kinds : int64 (tiles,)
        Index of each tile's matrix: one for all between the borders where windows are evenly spaced, else its own.
    step : int or None
        The distance between two windows where it is always the same.
    """

    starts: NDArray[np.int64]
    matrices: NDArray[np.float64]
    kinds: NDArray[np.int64]
    step: int | None


def banded(taps: Taps) -> Banded:
    """Taps laid out as tiles: whole periods where they are short, so that windows are evenly spaced."""
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
        # All are like the one in the middle, or like no other.
        special = (weights != weights[tiles // 2]).any(axis=(1, 2))
        members = np.append(tiles // 2, np.flatnonzero(special))
        kinds = np.where(special, np.cumsum(special), 0)
    matrices = np.zeros((len(members), tile, int(offset.max()) + n_taps))
    np.put_along_axis(matrices, offset[members, :, None] + np.arange(n_taps), weights[members], axis=2)
    return Banded(starts, matrices, kinds, step)


def _stacked(matrices: Array, kinds: NDArray[np.int64]) -> Array:
    """The matrices (tiles, …) of consecutive tiles, copied only where they are neither all one nor each its own."""
    first, last = kinds[0], kinds[-1]
    if (kinds == first).all():  # what is read again and again stays in the nearest cache
        return np.broadcast_to(matrices[first], (len(kinds), *matrices.shape[1:]))
    if (np.diff(kinds) == 1).all():
        return matrices[first : last + 1]
    return matrices[kinds]


class Resampler(Upsampler):
    """What is weighed on each axis by itself, on a source: a filter, or a separable kernel.

    Parameters
    ----------
    source : array (H, W, C)
        Any numeric dtype.
    axes : (Taps, Taps)
    reader : SampleReader
    """

    def __init__(self, source: Array, axes: Axes, reader: SampleReader) -> None:
        self.source, self.read, self.dtype = source, reader.read, reader.dtype
        channels, dtype = reader.channels, reader.dtype
        height, width = (len(axis.first) for axis in axes)
        self.shape = (height, width, channels)
        self._vertical, self._horizontal = vertical, horizontal = banded(axes[0]), banded(axes[1])

        # A tile of rows for every band, the last one too: the same shapes give the same bits.
        tile = vertical.matrices.shape[1]
        rows = band_rows(width, channels, min(LONGEST_BAND, max(SHORTEST_BAND, height // BANDS)))
        self._band_tiles = min(max(1, rows // tile), len(vertical.starts))
        self.band = self._band_tiles * tile
        missing = -len(vertical.starts) % self._band_tiles
        self._starts = np.pad(vertical.starts, (0, missing), mode="edge")
        if vertical.step is not None:
            self._starts = vertical.starts[0] + vertical.step * np.arange(len(self._starts))
        first = self._starts[:: self._band_tiles]
        last = self._starts[self._band_tiles - 1 :: self._band_tiles]
        self._slab = int((last - first).max()) + vertical.matrices.shape[2]
        bands = np.pad(vertical.kinds, (0, missing), mode="edge").reshape(-1, self._band_tiles)
        rows_of = vertical.matrices.astype(dtype)
        self._rows = [_stacked(rows_of, kinds) for kinds in bands]

        # Interleaved channels are resampled as they lie, by matrices of diagonal blocks: three times the products
        # of planes, on the smaller image, and no copies to planes and back.
        self._group = group = min(channels, CHANNELS)
        columns_of = {
            count: _interleaved(horizontal.matrices, count, dtype) for count in {group, channels % group or group}
        }
        tiles = max(1, BLOCK // (horizontal.matrices.shape[1] * group))
        self._columns = []
        for start in range(0, len(horizontal.starts), tiles):
            part = slice(start, start + tiles)
            stacks = {count: _stacked(every, horizontal.kinds[part]) for count, every in columns_of.items()}
            self._columns.append((horizontal.starts[part], stacks))

    def blocks(self, band: int) -> Iterator[Block]:
        tiles = slice(band * self._band_tiles, (band + 1) * self._band_tiles)
        samples, margin = self._read(int(self._starts[tiles.start]))
        left = 0
        for starts, matrices in self._columns:
            for channel in range(0, self.shape[2], self._group):
                part = samples[:, :, channel : channel + self._group]
                wide = self._across(part, margin + starts, matrices[part.shape[2]])
                values = self._down(wide, self._rows[band], self._starts[tiles]).reshape(self.band, -1, part.shape[2])
                yield Block(band * self.band, left, channel, values)
            left += values.shape[1]

    def _read(self, top: int) -> tuple[Array, int]:
        """The slab of source rows from `top`, zeros beyond the image, and the columns on its left."""
        height, width = self.source.shape[:2]
        starts, reach = self._horizontal.starts, self._horizontal.matrices.shape[2]
        left, right = max(0, -int(starts.min())), max(0, int(starts.max()) + reach - width)
        slab = _scratch.get("slab", (self._slab, left + width + right, self.shape[2]), self.dtype)
        # A slab may lie beside the source, where kernels end in padding.
        above = max(0, -top)
        below = min(max(0, top + self._slab - height), self._slab - above)
        slab[:, :left] = slab[:, left + width :] = 0
        slab[:above] = slab[self._slab - below :] = 0
        slab[above : self._slab - below, left : left + width] = self.read(
            self.source[top + above : top + self._slab - below]
        )
        return slab, left

    def _across(self, samples: Array, starts: NDArray[np.int64], matrices: Array) -> Array:
        """One block of the slab, resampled horizontally: (slab rows, outputs · channels)."""
        rows, _, count = samples.shape
        reach, tile = (n // count for n in matrices.shape[1:])
        pixel = count * samples.itemsize
        if self._horizontal.step is not None and samples.strides[1] == pixel:
            windows = strided(
                samples,
                (len(starts), rows, reach * count),
                (self._horizontal.step * pixel, samples.strides[0], samples.itemsize),
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
        """The same block, resampled vertically: (band rows, outputs · channels)."""
        shape = (len(starts), matrices.shape[2], wide.shape[1])
        if self._vertical.step is not None:
            windows = strided(wide, shape, (self._vertical.step * wide.strides[0], *wide.strides))
        else:
            windows = _scratch.get("down", shape, self.dtype)
            rows = starts[:, None] - starts[0] + np.arange(shape[1])
            np.take(wide, rows, axis=0, out=windows, mode="clip")
        values = _scratch.get("values", (*matrices.shape[:2], wide.shape[1]), self.dtype)
        return np.matmul(matrices, windows, out=values).reshape(-1, wide.shape[1])


def _interleaved(matrices: NDArray[np.float64], count: int, dtype: np.dtype[Any]) -> Array:
    """Matrices (n, T, K) as they act from the right on interleaved channels: (n, K · count, T · count)."""
    number, outputs, inputs = matrices.shape
    whole = np.zeros((number, inputs, count, outputs, count), dtype)
    for channel in range(count):
        whole[:, :, channel, :, channel] = matrices.transpose(0, 2, 1)
    return whole.reshape(number, inputs * count, outputs * count)


class DirectResampler(Upsampler):
    """The same as a direct sum over taps: slower, and exact where a sample is not finite.

    A tile multiplies samples beyond its taps by 0, which keeps a NaN or an infinity no matter how far it is.
    Parameters as for `Resampler`.
    """

    def __init__(self, source: Array, axes: Axes, reader: SampleReader) -> None:
        self.source, self.read, self.dtype = source, reader.read, reader.dtype
        self._vertical, self._horizontal = axes
        self.shape, self.band = (len(axes[0].first), len(axes[1].first), reader.channels), TILE

    def blocks(self, band: int) -> Iterator[Block]:
        top = band * self.band
        first, weights = (
            self._vertical.first[top : top + self.band],
            self._vertical.weights[top : top + self.band],
        )
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
    """Add samples times weights, leaving out those of weight 0: zero times infinity is not a number."""
    with np.errstate(invalid="ignore", over="ignore"):
        total += np.where(weights != 0, samples * weights.astype(total.dtype), 0)


def resampled(source: Array, axes: Axes, reader: SampleReader) -> Upsampler:
    """Return the fastest upsampler that is exact for a source: products of matrices if all samples are finite."""
    return (Resampler if reader.finite else DirectResampler)(source, axes, reader)

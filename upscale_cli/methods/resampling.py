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

from collections.abc import Iterator
from math import ceil, gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.filters import Filter
from upscale_cli.methods.upsampler import Array, Block, SampleReader, Scratch, Upsampler, band_rows, strided

TILE = 16
"""Minimum of outputs in a tile. Wider tiles multiply more zeros, narrower ones make BLAS calls too short."""
LONGEST_PERIOD = 64
"""Longest period for which tiles are whole periods. At scale p/q in lowest terms, weights repeat every p outputs."""
SHORTEST_BAND, LONGEST_BAND = 64, 256
"""Approximate rows of a band, for images that are not very wide."""
BANDS = 8
"""Minimum of bands in an image, unless they would be shorter than that."""
BLOCK = 2880
"""Approximate values in a row of a block: long calls, because threads wait for each other between calls."""
CHANNELS = 4
"""Maximum of channels that are resampled together; more are resampled in groups."""

_scratch = Scratch()


class Taps(NamedTuple):
    """The inputs that each output of one axis is made of, and their weights.

    Attributes
    ----------
    first : int64 (n_out,)
        Index of the first input of each output; taps outside the input have weight 0.
    weights : float64 (n_out, n_taps)
    period, step : int
        Output `j + period` begins `step` inputs after output `j`.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.float64]
    period: int
    step: int


Axes = tuple[Taps, Taps]
"""The vertical and the horizontal axis."""


def taps(n_in: int, n_out: int, filter: Filter) -> Taps:
    """Return the taps of one axis: output `j` is at `u = (j + ½)·n_in/n_out − ½`, and tap `i` weighs `filter(i − u)`.

    Taps outside the input are dropped and the others scaled to sum to 1, so that a constant stays constant up to the
    border (Pillow's rule). Positions are fractions over `2·n_out`, stored as integers: no drift, and no tie that
    float noise decides. If the output is smaller, the filter is stretched by `n_in/n_out`, so that nothing aliases.

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
    # Weights are the same in every period, except at the borders.
    weights = filter.weight((2 * n_out * index - position[:period, None]) / (2 * wide))
    scaled = np.tile(weights / weights.sum(axis=1, keepdims=True), (divisor, 1))
    border = np.flatnonzero((first < 0) | (first > n_in - 2 * reach))
    index = first[border, None] + np.arange(2 * reach)
    weights = np.where((index >= 0) & (index < n_in), weights[border % period], 0.0)
    scaled[border] = weights / weights.sum(axis=1, keepdims=True)
    return Taps(first, scaled, period, n_in // divisor)


def filter_axes(shape: tuple[int, ...], size: tuple[int, int], filter: Filter) -> Axes:
    """Return the taps of a filter on both axes, from a source of `shape` to an output of `size`, height first."""
    return taps(shape[0], size[0], filter), taps(shape[1], size[1], filter)


class Banded(NamedTuple):
    """One axis as a banded matrix, cut into tiles of consecutive outputs.

    Attributes
    ----------
    starts : int64 (tiles,)
        Index of the first input of each tile's window; windows may extend beyond the input, with weight 0.
    matrices : float64 (n, T, K)
        The distinct matrices. Tile `t` makes outputs `t·T … t·T + T − 1` from inputs `starts[t] … starts[t] + K − 1`
        with `matrices[kinds[t]]`. Outputs beyond the last are 0.
    kinds : int64 (tiles,)
        Index of each tile's matrix. If windows are evenly spaced, all tiles between the borders share one.
    step : int or None
        The distance between neighbouring windows if it is always the same.
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


def _average(taps: Taps) -> bool:
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


class Resampler(Upsampler):
    """A filter or a separable kernel on a source, one axis at a time.

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
        self.averages = all(map(_average, axes))

        # Every band has the same number of tiles, the last one too: the same shapes give the same bits.
        tile = vertical.matrices.shape[1]
        rows = band_rows(
            max(width, source.shape[1]), channels, min(LONGEST_BAND, max(SHORTEST_BAND, height // BANDS))
        )
        if height < source.shape[0]:  # what is read is the larger part
            rows = max(tile, rows * height // source.shape[0])
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

        # Interleaved channels are resampled as they are, by block-diagonal matrices: three times the products that
        # planes would need, but on the smaller image, and without copies to planes and back.
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
        """Return the slab of source rows from `top`, zero outside the image, and its number of columns left of it."""
        height, width = self.source.shape[:2]
        starts, reach = self._horizontal.starts, self._horizontal.matrices.shape[2]
        left, right = max(0, -int(starts.min())), max(0, int(starts.max()) + reach - width)
        slab = _scratch.get("slab", (self._slab, left + width + right, self.shape[2]), self.dtype)
        # A slab may lie outside the source entirely, in the padding of a transposed convolution.
        above = max(0, -top)
        below = min(max(0, top + self._slab - height), self._slab - above)
        slab[:, :left] = slab[:, left + width :] = 0
        slab[:above] = slab[self._slab - below :] = 0
        slab[above : self._slab - below, left : left + width] = self.read(
            self.source[top + above : top + self._slab - below]
        )
        return slab, left

    def _across(self, samples: Array, starts: NDArray[np.int64], matrices: Array) -> Array:
        """Return one block of the slab, resampled horizontally: (slab rows, outputs · channels)."""
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
        """Return the same block, resampled vertically: (band rows, outputs · channels)."""
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
    """Return matrices (n, T, K) for a product from the right with interleaved channels: (n, K · count, T · count)."""
    number, outputs, inputs = matrices.shape
    blocks = np.zeros((number, inputs, count, outputs, count), dtype)
    for channel in range(count):
        blocks[:, :, channel, :, channel] = matrices.transpose(0, 2, 1)
    return blocks.reshape(number, inputs * count, outputs * count)


class DirectResampler(Upsampler):
    """The same as a direct sum over taps: slower, and exact if a sample is not finite.

    A tile multiplies samples outside its taps by 0, and `0·NaN` and `0·∞` are NaN. Parameters as for `Resampler`.
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
    """Add samples times weights, leaving out those of weight 0, because `0·∞` is NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        total += np.where(weights != 0, samples * weights.astype(total.dtype), 0)


def resampled(source: Array, axes: Axes, reader: SampleReader) -> Upsampler:
    """Return the fastest upsampler that is exact for a source: products of matrices if all samples are finite."""
    return (Resampler if reader.finite else DirectResampler)(source, axes, reader)

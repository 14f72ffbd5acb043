"""Separable resampling: a filter becomes taps, taps become banded matrices, matrices become rows.

One axis of a separable filter is a banded matrix. Cut into tiles of outputs, each tile is a small dense matrix
times a slab of samples, and all tiles of a block are one stacked matrix product: the zeros that it multiplies cost
less than any gather, and one call is long enough to scale over threads. Filters and edges are settled while the
matrices are filled; the arithmetic knows neither.
"""

from collections.abc import Iterator
from math import ceil, gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.filters import Filter
from upscale_cli.methods.upsampler import Array, Block, Read, Scratch, Upsampler, band_rows, strided

TILE = 16
"""Outputs of a tile, at least. Wider tiles multiply more zeros, narrower ones make BLAS calls too short."""
LONGEST_PERIOD = 64
"""A scale p/q in lowest terms repeats its weights every p outputs; tiles are whole periods up to this length."""
SHORTEST_BAND, LONGEST_BAND = 64, 512
"""Rows of a band, about, of images that are not very wide: two threads wait for each other less where calls are
long."""
BANDS = 8
"""Bands of an image at least, where that leaves them long enough."""
BLOCK = 1440
"""Values in a row of a block, about. 16 × 11 × 1440 multiplications stay below OpenBLAS's threshold for threads."""
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
        Each row sums to 1.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.float64]


def taps(n_in: int, n_out: int, filter: Filter) -> Taps:
    """The taps of one axis: output `j` lies at `u = (j + ½)·n_in/n_out − ½`, tap `i` weighs `filter(i − u)`.

    Taps outside the input are dropped and the rest made to sum to 1 again, so that a constant stays constant up to
    the border (Pillow's rule). Positions are fractions over `2·n_out`, kept as whole numbers: no drift, and no tie
    that is decided by float noise. Where the output is the smaller one, the filter is stretched by `n_in/n_out`, so
    that nothing aliases.

    >>> taps(2, 4, filter=Filter(lambda x: np.maximum(0, 1 - np.abs(x)), 1.0)).weights.tolist()
    [[0.0, 1.0], [0.75, 0.25], [0.25, 0.75], [1.0, 0.0]]
    """
    position = (2 * np.arange(n_out, dtype=np.int64) + 1) * n_in - n_out
    wide = max(n_in, n_out)
    reach = ceil(filter.radius * wide / n_out)
    first = position // (2 * n_out) - reach + 1
    index = first[:, None] + np.arange(2 * reach)
    weights = filter.weight((2 * n_out * index - position[:, None]) / (2 * wide))
    weights = np.where((index >= 0) & (index < n_in), weights, 0.0)
    return Taps(first, weights / weights.sum(axis=1, keepdims=True))


class Banded(NamedTuple):
    """One axis as a banded matrix, cut into tiles of consecutive outputs.

    Attributes
    ----------
    starts : int64 (tiles,)
        Index of the first input of each tile's window; windows may reach beyond the input, with weight 0.
    matrices : float64 (tiles, T, K)
        Tile `t` gives outputs `t·T … t·T + T − 1` from inputs `starts[t] … starts[t] + K − 1`. Outputs beyond the
        last are 0.
    step : int or None
        The distance between two windows where it is always the same.
    """

    starts: NDArray[np.int64]
    matrices: NDArray[np.float64]
    step: int | None


def banded(n_in: int, n_out: int, taps: Taps) -> Banded:
    """Taps laid out as tiles: whole periods of the scale where they are short, so that windows are evenly spaced."""
    divisor = gcd(n_in, n_out)
    period, inputs = n_out // divisor, n_in // divisor
    even = period <= LONGEST_PERIOD
    tile = period * ceil(TILE / period) if even else TILE
    tiles = ceil(n_out / tile)
    step = tile // period * inputs if even else None
    starts = taps.first[0] + step * np.arange(tiles) if step is not None else taps.first[::tile].copy()
    offset = taps.first - np.repeat(starts, tile)[:n_out]
    matrices = np.zeros((tiles, tile, int(offset.max()) + taps.weights.shape[1]))
    output = np.arange(n_out)
    for k in range(taps.weights.shape[1]):
        matrices[output // tile, output % tile, offset + k] = taps.weights[:, k]
    return Banded(starts, matrices, step)


class Resampler(Upsampler):
    """A separable filter on a source.

    Parameters
    ----------
    source : array (H, W, C)
        Any numeric dtype.
    size : (int, int)
        Height and width of the output.
    filter : Filter
    read : callable
        Rows of the source to working floats of `dtype`, same height and width.
    channels, dtype
        Of what `read` gives.
    """

    def __init__(
        self,
        source: Array,
        size: tuple[int, int],
        filter: Filter,
        read: Read,
        channels: int,
        dtype: np.dtype[Any],
    ) -> None:
        height, width = source.shape[:2]
        self.source, self.read, self.dtype = source, read, dtype
        self.shape = (*size, channels)
        self._vertical = vertical = banded(height, size[0], taps(height, size[0], filter))
        horizontal = banded(width, size[1], taps(width, size[1], filter))
        self._horizontal = horizontal

        # A tile of rows for every band, the last one too: the same shapes give the same bits.
        tile = vertical.matrices.shape[1]
        rows = band_rows(size[1], channels, min(LONGEST_BAND, max(SHORTEST_BAND, size[0] // BANDS)))
        self._band_tiles = min(max(1, rows // tile), len(vertical.starts))
        self.band = self._band_tiles * tile
        missing = -len(vertical.starts) % self._band_tiles
        self._starts = np.pad(vertical.starts, (0, missing), mode="edge")
        self._rows = np.pad(vertical.matrices, ((0, missing), (0, 0), (0, 0))).astype(dtype)
        if vertical.step is not None:
            self._starts = vertical.starts[0] + vertical.step * np.arange(len(self._starts))
        first = self._starts[:: self._band_tiles]
        last = self._starts[self._band_tiles - 1 :: self._band_tiles]
        self._slab = int((last - first).max()) + vertical.matrices.shape[2]

        # Interleaved channels are resampled as they lie, by matrices of diagonal blocks: three times the products
        # of planes, on the smaller image, and no copies to planes and back.
        self._group = group = min(channels, CHANNELS)
        tiles = max(1, BLOCK // (horizontal.matrices.shape[1] * group))
        self._columns = []
        alike: dict[bytes, dict[int, Array]] = {}
        for start in range(0, len(horizontal.starts), tiles):
            part = horizontal.matrices[start : start + tiles]
            key = part.tobytes()
            if key not in alike:
                alike[key] = {
                    count: _interleaved(part, count).astype(dtype) for count in {group, channels % group or group}
                }
            self._columns.append((horizontal.starts[start : start + tiles], alike[key]))

    def blocks(self, band: int) -> Iterator[Block]:
        tiles = slice(band * self._band_tiles, (band + 1) * self._band_tiles)
        samples, margin = self._read(int(self._starts[tiles.start]))
        left = 0
        for starts, matrices in self._columns:
            for channel in range(0, self.shape[2], self._group):
                part = samples[:, :, channel : channel + self._group]
                wide = self._across(part, margin + starts, matrices[part.shape[2]])
                values = self._down(wide, tiles).reshape(self.band, -1, part.shape[2])
                yield Block(band * self.band, left, channel, values)
            left += values.shape[1]

    def _read(self, top: int) -> tuple[Array, int]:
        """The slab of source rows from `top`, zeros beyond the image, and the columns on its left."""
        height, width = self.source.shape[:2]
        starts, reach = self._horizontal.starts, self._horizontal.matrices.shape[2]
        left, right = max(0, -int(starts.min())), max(0, int(starts.max()) + reach - width)
        slab = _scratch.get("slab", (self._slab, left + width + right, self.shape[2]), self.dtype)
        above, below = max(0, -top), max(0, top + self._slab - height)
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

    def _down(self, wide: Array, tiles: slice) -> Array:
        """The same block, resampled vertically: (band rows, outputs · channels)."""
        matrices, starts = self._rows[tiles], self._starts[tiles]
        shape = (len(starts), matrices.shape[2], wide.shape[1])
        if self._vertical.step is not None:
            windows = strided(wide, shape, (self._vertical.step * wide.strides[0], *wide.strides))
        else:
            windows = _scratch.get("down", shape, self.dtype)
            rows = starts[:, None] - starts[0] + np.arange(shape[1])
            np.take(wide, rows, axis=0, out=windows, mode="clip")
        values = _scratch.get("values", (*matrices.shape[:2], wide.shape[1]), self.dtype)
        return np.matmul(matrices, windows, out=values).reshape(-1, wide.shape[1])


def _interleaved(matrices: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Matrices (tiles, T, K) as they act from the right on `count` interleaved channels: (tiles, K · n, T · n)."""
    tiles, outputs, inputs = matrices.shape
    whole = np.zeros((tiles, inputs, count, outputs, count))
    for channel in range(count):
        whole[:, :, channel, :, channel] = matrices.transpose(0, 2, 1)
    return whole.reshape(tiles, inputs * count, outputs * count)


class DirectResampler(Upsampler):
    """The same filter as a direct sum over taps: slower, and exact where a sample is not finite.

    A tile multiplies samples beyond its taps by 0, which keeps a NaN or an infinity no matter how far it is.
    Parameters as for `Resampler`.
    """

    def __init__(
        self,
        source: Array,
        size: tuple[int, int],
        filter: Filter,
        read: Read,
        channels: int,
        dtype: np.dtype[Any],
    ) -> None:
        self.source, self.read, self.dtype = source, read, dtype
        self.shape, self.band = (*size, channels), TILE
        self._vertical = taps(source.shape[0], size[0], filter)
        self._horizontal = taps(source.shape[1], size[1], filter)

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

"""Anti-ringing: results of filters with negative lobes, held within the range of the nearest samples.

Along an axis those are the samples at a distance of at most 1 of an output, or of 1 output pixel where that is wider:
two, or three where the middle one lies exactly there. So an image has 2 x 2 of them, and flips change nothing. A
result `v` becomes `v + amount·(clamp(v) − v)`, which is what libplacebo does on each axis.

Colours that are weighed by their opacity are held as colours, without the opacity: within the range of those that can
be seen. Everything happens on the values of one block, so strips and threads change no bit.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.grid import Grid, positions
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.taps import Axes
from upscale_cli.methods.upsampler import Array, Block, Upsampler


def nearest(n_in: int, n_out: int, grid: Grid | None = None) -> NDArray[np.int64]:
    """Return the first and the last of the nearest samples of each output of an axis: (2, n_out).

    >>> nearest(3, 6).tolist(), nearest(3, 3).tolist()
    ([[0, 0, 0, 0, 1, 1], [0, 1, 1, 2, 2, 2]], [[0, 0, 1], [1, 2, 2]])
    """
    grid = grid or Grid(n_in, n_out)
    position, unit = positions(n_out, grid)
    reach = unit // grid.after * max(grid.before, grid.after)
    return np.stack([-(-(position - reach) // unit), (position + reach) // unit]).clip(0, n_in - 1)


def held(
    upsampler: Upsampler,
    source: Array,
    axes: Axes,
    *,
    samples: Samples,
    amount: float,
    grids: tuple[Grid | None, Grid | None] = (None, None),
) -> Upsampler:
    """Return an upsampler of some taps, held by an amount of 0 … 1; the same one if no weight is negative."""
    if amount == 0 or all(taps.weights.min() >= 0 for taps in axes):
        return upsampler
    sides = zip(source.shape, upsampler.shape, grids, strict=False)
    return Held(upsampler, source, [nearest(*side) for side in sides], samples=samples, amount=amount)


class Held(Upsampler):
    """The results of another upsampler, held within the range of the nearest samples; see `held`."""

    def __init__(
        self,
        upsampler: Upsampler,
        source: Array,
        ranges: list[NDArray[np.int64]],
        *,
        samples: Samples,
        amount: float,
    ) -> None:
        self.shape, self.dtype, self.band = upsampler.shape, upsampler.dtype, upsampler.band
        self._upsampler, self._source, self._samples = upsampler, source, samples
        self._rows, self._columns = ranges
        self._amount = self.dtype.type(amount)
        self._weighed = samples.premultiplied and samples.translucent

    def blocks(self, band: int) -> Iterator[Block]:
        lower: Array | None = None
        for block in self._upsampler.blocks(band):
            first, last = _part(self._rows, block.top, len(block.values))
            if lower is None:  # all blocks of a band are made of the same rows
                lower, upper = self._bounds(self._source[first[0] : last[-1] + 1])
            rows = first - first[0], last - first[0]
            columns = _part(self._columns, block.left, block.values.shape[1])
            channels = slice(block.channel, block.channel + block.values.shape[2])
            low = _extreme(np.fmin, lower[..., channels], rows, columns)
            high = _extreme(np.fmax, upper[..., channels], rows, columns)
            with np.errstate(all="ignore"):
                self._hold(block.values, low, high)
            yield block

    def _bounds(self, source: Array) -> tuple[Array, Array]:
        """Return what the least and the greatest are sought among: the samples, their colours without opacity."""
        read = self._samples.read(source)
        if not self._weighed:
            return read, read
        opacity, lower = read[..., -1:], read
        with np.errstate(all="ignore"):
            colours = read[..., :-1] / opacity
        lower, upper = read.copy(), read.copy()
        lower[..., :-1] = np.where(opacity > 0, colours, np.nan)
        upper[..., :-1] = lower[..., :-1]
        return lower, upper

    def _hold(self, values: Array, low: Array, high: Array) -> None:
        """Hold values, in place."""
        if not self._weighed:
            values[...] = self._toward(values, low, high)
            return
        opacity = values[..., -1:].copy()
        values[..., -1:] = self._toward(opacity, low[..., -1:], high[..., -1:])
        colours = values[..., :-1] / np.where(opacity > 0, opacity, values[..., -1:])
        held = self._toward(colours, low[..., :-1], high[..., :-1]) * values[..., -1:]
        values[..., :-1] = np.where(values[..., -1:] > 0, held, 0)

    def _toward(self, values: Array, low: Array, high: Array) -> Array:
        """Return values, moved to their range; where there is none, because no sample is a number, as they are."""
        clamped = np.fmin(np.fmax(values, low), high)
        clamped = np.where(np.isnan(values), values, clamped)
        if self._amount == 1:
            return clamped
        return np.where(clamped == values, values, (1 - self._amount) * values + self._amount * clamped)


def _part(ranges: NDArray[np.int64], start: int, count: int) -> NDArray[np.int64]:
    """Return the ranges of some outputs of an axis; those beyond the last are as the last."""
    return ranges[:, np.minimum(np.arange(start, start + count), ranges.shape[1] - 1)]


def _extreme(
    of: np.ufunc,
    samples: Array,
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    columns: NDArray[np.int64],
) -> Array:
    """Return the least or the greatest of the samples in ranges of rows and columns, of samples (h, w, c)."""
    for axis, (first, last) in ((1, columns), (0, rows)):
        found = samples.take(first, axis)
        for k in range(1, int((last - first).max()) + 1):
            of(found, samples.take(np.minimum(first + k, last), axis), out=found)
        samples = found
    return samples

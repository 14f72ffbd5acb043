"""Anti-ringing: results of filters with negative lobes, held within the range of the nearest samples.

Along an axis those are the samples at a distance of at most 1 of an output, or of 1 output pixel where that is wider:
two, or three where the middle one lies exactly there. So an image has 2 x 2 of them, and flips change nothing. A
result `v` becomes `v + amount·(clamp(v) − v)`, which is what libplacebo does on each axis.

Colours that are weighed by their opacity are held as colours, without the opacity: within the range of those that can
be seen. Everything happens on the values of one block, so strips and threads change no bit.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.grid import Grid, positions
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.upsampler import Array, Block, Scratch, Upsampler

ROWS = 32
"""Rows that are held together: so few that they stay in a cache."""

_scratch = Scratch()


class Nearest(NamedTuple):
    """The first and the last sample of each range of nearest samples (n,), and which is each output's (n_out,)."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    kinds: NDArray[np.int64]

    def part(self, start: int, count: int) -> tuple["Nearest", slice]:
        """Return those of some outputs, counted from the first sample that they need, and all samples they need.

        Outputs beyond the last are as the last.
        """
        kinds = self.kinds[np.minimum(np.arange(start, start + count), len(self.kinds) - 1)]
        first, last = (ends[kinds[0] : kinds[-1] + 1] for ends in (self.first, self.last))
        return Nearest(first - first[0], last - first[0], kinds - kinds[0]), slice(int(first[0]), int(last[-1]) + 1)


def nearest(n_in: int, n_out: int, grid: Grid) -> Nearest:
    """Return the nearest samples of each output of an axis.

    Beyond the border there is only the sample on it.

    >>> [part.tolist() for part in nearest(3, 6, Grid(Fraction(1, 2), Fraction(-1, 4)))]
    [[0, 0, 1, 2], [0, 1, 2, 2], [0, 1, 1, 2, 2, 3]]
    """
    position, unit = positions(range(n_out), grid)
    reach = int(unit * max(grid.ratio, Fraction(1)))
    ranges = np.stack([-(-(position - reach) // unit), (position + reach) // unit]).clip(0, n_in - 1)
    new = np.append(True, (np.diff(ranges) != 0).any(axis=0))
    first, last = ranges[:, new]
    return Nearest(first, last, np.cumsum(new) - 1)


class Held(Upsampler):
    """The results of another upsampler, held within the range of the nearest samples by an amount of 0 … 1."""

    def __init__(
        self, upsampler: Upsampler, source: Array, grids: tuple[Grid, ...], *, samples: Samples, amount: float
    ) -> None:
        self.shape, self.dtype, self.band = upsampler.shape, upsampler.dtype, upsampler.band
        self.offset, self.cost = upsampler.offset, upsampler.cost
        self._upsampler, self._source, self._samples = upsampler, source, samples
        self._rows, self._columns = map(nearest, source.shape, upsampler.shape, grids)
        self._amount = self.dtype.type(amount)
        self._weighed = samples.premultiplied and samples.translucent
        self._finite = samples.finite(source)

    def blocks(self, band: int) -> Iterator[Block]:
        for block in self._upsampler.blocks(band):
            columns, across = self._columns.part(block.left, block.values.shape[1])
            channels = slice(block.channel, block.channel + block.values.shape[2])
            for start in range(0, len(block.values), ROWS):
                values = block.values[start : start + ROWS]
                rows, down = self._rows.part(block.top + start, len(values))
                seen = self._seen(self._source[down, across])[..., channels]
                low, high = (_extreme(of, seen, rows, columns) for of in (np.fmin, np.fmax))
                with np.errstate(all="ignore"):
                    self._hold(values, low, high)
            yield block

    def _seen(self, source: Array) -> Array:
        """Return what the least and the greatest are sought among: samples, but colours without their opacity."""
        seen = self._samples.read(source)
        if self._weighed:
            with np.errstate(all="ignore"):
                seen[..., :-1] = np.where(seen[..., -1:] > 0, seen[..., :-1] / seen[..., -1:], np.nan)
        return seen

    def _hold(self, values: Array, low: Array, high: Array) -> None:
        """Hold values, in place; the bounds are overwritten."""
        if not self._weighed:
            self._move(values, low, high)
            return
        opacity, shown = values[..., -1:].copy(), values[..., -1:]
        self._move(shown, low[..., -1:], high[..., -1:])
        colours = values[..., :-1] / np.where(opacity == 0, 1, opacity)
        held, unknown = colours.copy(), np.isnan(low[..., :-1])  # none of the nearest pixels can be seen
        self._move(held, low[..., :-1], high[..., :-1])
        values[..., :-1] = np.where(shown > 0, np.where(unknown, colours, held) * shown, 0)

    def _move(self, values: Array, low: Array, high: Array) -> None:
        """Move values towards the range, in place."""
        clamped = np.minimum(np.maximum(values, low, out=low), high, out=low)
        if self._amount == 1:
            values[...] = clamped
        elif self._finite:  # values within the range stay to the last bit
            clamped -= values
            clamped *= self._amount
            values += clamped
        else:
            clamped *= self._amount
            values *= 1 - self._amount
            values += clamped


def _extreme(of: np.ufunc, samples: Array, rows: Nearest, columns: Nearest) -> Array:
    """Return the least or the greatest of the samples (h, w, c) in ranges of rows and columns."""
    for axis, (first, last, kinds) in ((1, columns), (0, rows)):
        found = samples.take(first, axis)
        for k in range(1, int((last - first).max()) + 1):
            of(found, samples.take(np.minimum(first + k, last), axis), out=found)
        shape = (*found.shape[:axis], len(kinds), *found.shape[axis + 1 :])
        samples = _scratch.get(f"{of.__name__} {axis}", shape, found.dtype)
        found.take(kinds, axis, out=samples, mode="clip")
    return samples

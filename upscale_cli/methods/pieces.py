"""Pictures with a long side, resampled in pieces, so that the memory for taps and matrices does not grow with it.

Taps take 50 bytes and more for each output of a side, and matrices ten times as much where no weights repeat: a
source of 4,000,000 x 1 pixels took 1.6 GB for itself alone. A piece is planned when its band is made, then forgotten.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from upscale_cli.methods.taps import LONGEST, Axes, Taps
from upscale_cli.methods.upsampler import BAND_VALUES, FEWEST_ROWS, Array, Block, SampleReader, Upsampler


class Pieces(Upsampler):
    """A separable method on a source with a long side: bands of rows, each in pieces of `LONGEST` columns.

    Parameters
    ----------
    source : array (H, W, C)
        Any numeric dtype, or what is like it when it is sliced by rows.
    axes : (Axis, Axis)
    reader : SampleReader
    make : callable(source, (Taps, Taps), reader) -> Upsampler
        The upsampler of a piece.
    """

    def __init__(
        self,
        source: Array,
        axes: Axes,
        reader: SampleReader,
        make: Callable[[Array, tuple[Taps, Taps], SampleReader], Upsampler],
    ) -> None:
        self.source, self.dtype = source, reader.dtype
        self._axes, self._reader, self._make = axes, reader, make
        self.shape = (*(axis.after for axis in axes), reader.channels)  # type: ignore[assignment]
        widest = max(axes[1].before, axes[1].after)
        self.band = max(FEWEST_ROWS, min(LONGEST, BAND_VALUES // (widest * reader.channels)))

    def blocks(self, band: int) -> Iterator[Block]:
        height, width, _ = self.shape
        top = band * self.band
        down, rows = _near(self._axes[0].piece(top, min(top + self.band, height)), self._axes[0].before)
        source = self.source[rows]
        for left in range(0, width, LONGEST):
            across, columns = _near(self._axes[1].piece(left, min(left + LONGEST, width)), self._axes[1].before)
            piece = self._make(source[:, columns], (down, across), self._reader)
            for each in range(-(-piece.shape[0] // piece.band)):
                for block in piece.blocks(each):
                    inside = block.values[: piece.shape[0] - block.top, : piece.shape[1] - block.left]
                    yield Block(top + block.top, left + block.left, block.channel, inside)


def _near(taps: Taps, count: int) -> tuple[Taps, slice]:
    """Return taps with their inputs counted from the first of so many that they reach, and which they reach."""
    start = min(max(int(taps.first.min()), 0), count - 1)
    stop = min(max(int(taps.first.max()) + taps.weights.shape[1], start + 1), count)
    return replace(taps, first=taps.first - np.int64(start)), slice(start, stop)

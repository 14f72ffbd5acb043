"""Pictures with a long side, resampled in pieces, so that the memory for taps and matrices does not grow with it.

Taps take 50 bytes and more for each output of a side, and matrices ten times as much where no weights repeat: a
source of 4,000,000 x 1 pixels took 1.6 GB for itself alone. A piece is planned when its band is made, then forgotten.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from math import ceil, prod

import numpy as np

from upscale_cli.methods.method import Shape, Size, WorkingMemory, slices_of
from upscale_cli.methods.taps import LONGEST, TILE, Axes, Axis, Taps, pieces_kept
from upscale_cli.methods.upsampler import (
    FEWEST_ROWS,
    LEAST_VALUES,
    LONGEST_BAND,
    Array,
    Block,
    SampleReader,
    Upsampler,
    band_rows,
)


class Pieces(Upsampler):
    """A separable method on a source with a long side: bands of rows, each in pieces of `LONGEST` columns.

    The source (H, W, C) is an array, or what is like one when it is sliced by rows; `make` makes a piece's upsampler.
    """

    def __init__(self, source: Array, axes: Axes, reader: SampleReader, make: Callable[..., Upsampler]) -> None:
        self.source, self.dtype = source, reader.dtype
        self._axes, self._reader, self._make = axes, reader, make
        # A few pieces of a row are kept for the next rows. Not by a method, which would keep its owner, too.
        self._across = lru_cache(pieces_kept(axes[1].after))(partial(_near, axes[1]))
        self.shape = (*(axis.after for axis in axes), reader.channels)  # type: ignore[assignment]
        widest = max(axes[1].before, axes[1].after)
        longest = min(LONGEST, max(LONGEST_BAND, LEAST_VALUES // (widest * reader.channels)))
        self.band = band_rows(widest, reader.channels, longest) // TILE * TILE

    def blocks(self, band: int) -> Iterator[Block]:
        height, width, _ = self.shape
        top = band * self.band
        down, rows = _near(self._axes[0], top, min(top + self.band, height))
        source = self.source[rows]
        for left in range(0, width, LONGEST):
            across, columns = self._across(left, min(left + LONGEST, width))
            piece = self._make(source[:, columns], (down, across), self._reader)
            for each in range(-(-piece.shape[0] // piece.band)):
                for block in piece.blocks(each):
                    inside = block.values[: piece.shape[0] - block.top, : piece.shape[1] - block.left]
                    yield Block(top + block.top, left + block.left, block.channel, inside)


def _near(axis: Axis, first: int, last: int) -> tuple[Taps, slice]:
    """Return the taps of outputs `first … last − 1`, their inputs counted from the first they reach; and these."""
    taps = axis.piece(first, last)
    start = min(max(int(taps.first.min()), 0), axis.before - 1)
    stop = min(max(int(taps.first.max()) + taps.weights.shape[1], start + 1), axis.before)
    return replace(taps, first=taps.first - np.int64(start)), slice(start, stop)


def separable_memory(shape: Shape, size: Size, radius: float) -> WorkingMemory:
    """Return the working memory of a filter that reaches so many inputs to both sides, from a source to a size."""
    if len(size) == 3:
        # Slices that are made together, and those of the source that they are made of.
        memory, slices = separable_memory(shape[1:], size[1:], radius), slices_of(size)
        near = (slices + ceil(2 * radius)) * prod(shape[1:])
        return WorkingMemory(slices * size[1], memory.values, memory.values_per_thread + near)
    (height, width, channels), (down, across) = (1, *shape)[-3:], (1, *size)[-2:]
    # A row of a horizontal matrix has a value for each pair of up to four channels.
    vertical = _planned(height, down, radius, 3)
    horizontal = _planned(width, across, radius, 2 + min(4, channels) ** 2)
    band = min(down, band_rows(max(width, across), channels, LONGEST_BAND))
    rows = min(height, ceil((band + TILE) * height / down) + ceil(2 * radius * max(1, height / down)))
    read = 3 * rows * width * channels
    if max(height, width, down, across) <= LONGEST:
        return WorkingMemory(FEWEST_ROWS, vertical + horizontal, read)
    return WorkingMemory(FEWEST_ROWS, pieces_kept(across) * horizontal, vertical + horizontal + read)


def _planned(before: int, after: int, radius: float, copies: int) -> int:
    """Return the floats of the taps of an axis, or a piece, and of its matrices, as many as if no weights repeat."""
    reach = ceil(2 * radius * max(1, before / after))
    inputs = reach + ceil(TILE * before / after)
    return max(TILE, min(after, LONGEST)) * (6 * reach + copies * inputs)

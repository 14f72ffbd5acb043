"""Samples that are moved, not weighed: nearest neighbour, bed of nails, max unpooling.

Output values are the source's own values, in its dtype; any dtype is supported.
"""

from collections.abc import Iterator
from itertools import repeat
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.grid import UNCHANGED, Grid, nearest
from upscale_cli.methods.upsampler import Array, Block, Finish, Scratch, Upsampler
from upscale_cli.methods.volumes import Slices

BAND_VALUES = 1 << 22
"""Approximate values in a band: few enough to stay in the cache, enough to make calls long."""

WORDS = {2: np.uint16, 4: np.uint32, 8: np.uint64}
"""The integer type as large as a pixel, by the pixel's size in bytes."""

_scratch = Scratch()


class Nearest(Upsampler):
    """Each output is the nearest input: by default the one under its centre, `source[floor((j + ½)·n_in/n_out)]`.

    The source is (H, W, C), of any dtype; size and grids are those of the two axes; `rounding` is one of `ROUNDINGS`.
    """

    def __init__(
        self,
        source: Array,
        size: tuple[int, ...],
        grids: tuple[Grid, ...] | None = None,
        rounding: str = "round-prefer-ceil",
    ) -> None:
        self.source, self.dtype, self.shape = source, source.dtype, (size[0], size[1], source.shape[2])
        self._rows, self._columns = (
            nearest(n_in, n_out, grid, rounding)
            for n_in, n_out, grid in zip(source.shape, size, grids or (None, None), strict=False)
        )
        self._down, self._across = _cell(self._rows, source.shape[0]), _cell(self._columns, source.shape[1])
        cell = self._down or 1
        self.band = max(1, min(size[0], BAND_VALUES // (size[1] * source.shape[2])) // cell) * cell

    def rows(self, start: int, stop: int, out: Array | None = None, finish: Finish | None = None) -> Array:
        """Return rows as any upsampler does; without `finish`, they are copied straight to their place."""
        if finish is not None or not 0 <= start < stop <= self.shape[0]:
            return super().rows(start, stop, out, finish)
        if out is None:
            out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        index = self._rows[start:stop]
        for top in range(0, len(index), self.band):
            self._repeat_rows(index[top : top + self.band], out[top : top + self.band])
        return out

    def blocks(self, band: int) -> Iterator[Block]:
        index = self._rows[band * self.band : (band + 1) * self.band]
        values = _scratch.get("values", (len(index), *self.shape[1:]), self.dtype)
        self._repeat_rows(index, values)
        yield Block(band * self.band, 0, 0, values)

    def _repeat_rows(self, index: NDArray[np.int64], out: Array) -> None:
        """Write the source rows of `index`, each widened once and then copied."""
        needed = self.source[index[0] : index[-1] + 1]
        if self._down is not None and len(index) == self._down * len(needed):
            # Complete cells: the first row of each is widened in place.
            copies = out.reshape(len(needed), self._down, *out.shape[1:])
            self._widen(needed, copies[:, 0])
            for k in range(1, self._down):
                copies[:, k] = copies[:, 0]
        else:
            wide = _scratch.get("wide", (len(needed), *self.shape[1:]), self.dtype)
            self._widen(needed, wide)
            np.take(wide, index - index[0], axis=0, out=out, mode="clip")

    def _widen(self, rows: Array, wide: Array) -> None:
        """Write source rows, each pixel repeated for the outputs that it is nearest to."""
        if self._across is None:
            np.take(rows, self._columns, axis=1, out=wide, mode="clip")
            return
        pixel = rows.shape[2] * rows.itemsize
        if pixel in WORDS and rows.strides[2] == wide.strides[2] == rows.itemsize:
            # A pixel is copied as one number.
            rows, wide = rows.view(WORDS[pixel]), wide.view(WORDS[pixel])
        # Along a row and not along the few channels of a pixel: NumPy's innermost loop should be long.
        cells = wide.reshape(*rows.shape[:2], self._across, -1)
        for k in range(self._across):
            for channel in range(rows.shape[2]):
                cells[:, :, k, channel] = rows[:, :, channel]


def _cell(index: NDArray[np.int64], count: int) -> int | None:
    """Return how often each of so many samples is repeated by an index, if all are so equally often.

    >>> _cell(np.array([0, 0, 1, 1]), 2), _cell(np.array([0, 0, 0, 1]), 2)
    (2, None)
    """
    times = len(index) // count
    return times if np.array_equal(index, np.repeat(np.arange(count), times)) else None


def nearest_array(source: Array, size: tuple[int, ...], grids: tuple[Grid, ...], rounding: str) -> Upsampler:
    """Return the upsampler of nearest neighbour for a source of one to three axes, and channels."""
    if len(size) == 1:
        source, size, grids = source[None], (1, *size), (UNCHANGED, *grids)
    if len(size) == 2:
        return Nearest(source, size, grids, rounding)
    slices = nearest(len(source), size[0], grids[0], rounding)
    return Slices(
        (*size, source.shape[3]),
        lambda numbers: (Nearest(source[slices[n]], size[1:], grids[1:], rounding) for n in numbers),
    )


class BedOfNails(Upsampler):
    """Each input is put at one position in its cell of `scale` outputs; everything else is 0.

    The source is a line, an image or a volume with channels, of any dtype. The position is `top-left`, or `center`,
    which is `(scale − 1) // 2`.
    """

    def __init__(self, source: Array, scale: tuple[int, ...], position: str) -> None:
        *sides, width, channels = source.shape
        *first, left = ((s - 1) // 2 if position == "center" else 0 for s in scale)
        # The row of the source that is put into each row of the output; −1 for none.
        rows = np.full([n * s for n, s in zip(sides, scale, strict=False)], -1)
        rows[tuple(map(slice, first, repeat(None), scale))] = np.arange(prod(sides)).reshape(sides)
        self._rows, self._columns = rows.ravel(), slice(left, None, scale[-1])
        self.source, self.dtype = source.reshape(-1, width, channels), source.dtype
        self.shape = (rows.size, width * scale[-1], channels)
        self.band = max(1, min(rows.size, BAND_VALUES // (self.shape[1] * channels)))

    def blocks(self, band: int) -> Iterator[Block]:
        top = band * self.band
        rows = self._rows[top : top + self.band]
        values = _scratch.get("values", (len(rows), *self.shape[1:]), self.dtype)
        values.fill(0)
        used = np.flatnonzero(rows >= 0)
        values[used, self._columns] = self.source[rows[used]]
        yield Block(top, 0, 0, values)


class MaxUnpooling(Upsampler):
    """Each input is put at its index in the output; everything else is 0.

    Source and indices are (H, W, C): flat indices `y·W' + x` in the output plane (H', W') of each channel. If several
    inputs have the same index (overlapping windows), the last in row order wins.
    """

    def __init__(self, source: Array, indices: NDArray[np.int64], size: tuple[int, ...]) -> None:
        self.dtype, self.shape = source.dtype, (size[0], size[1], source.shape[2])
        self.band = max(1, min(size[0], BAND_VALUES // (size[1] * source.shape[2])))
        self._planes = []
        for channel in range(source.shape[2]):
            plane = indices[:, :, channel].ravel()
            order = np.argsort(plane, kind="stable")
            plane = plane[order]
            last = np.append(plane[1:] != plane[:-1], True)
            self._planes.append((plane[last], source[:, :, channel].ravel()[order[last]]))

    def blocks(self, band: int) -> Iterator[Block]:
        _, width, channels = self.shape
        top = band * self.band
        values = _scratch.get("values", (self.band, width, channels), self.dtype)
        values.fill(0)
        for channel, (indices, samples) in enumerate(self._planes):
            a, b = np.searchsorted(indices, (top * width, (top + self.band) * width))
            values.reshape(-1, channels)[indices[a:b] - top * width, channel] = samples[a:b]
        yield Block(top, 0, 0, values)


def check_indices(indices: NDArray[Any], shape: tuple[int, ...], size: tuple[int, ...]) -> NDArray[np.int64]:
    """Return indices as int64; raise `UpscaleError` unless they match values of a shape and an output of a size."""
    if indices.dtype.kind not in "iu":
        raise UpscaleError(f"indices are {indices.dtype}; max unpooling needs integers.")
    if indices.shape != shape:
        raise UpscaleError(
            f"indices of shape {indices.shape} do not match values of shape {shape}: each value needs one index."
        )
    if (bad := int(indices.min())) < 0 or (bad := int(indices.max())) >= prod(size):
        high = "".join(f"{side} {way}, " for side, way in zip(size[-2::-1], ("high", "deep"), strict=False))
        raise UpscaleError(
            f"index {bad} is outside the output ({high}{size[-1]} wide); give the size before pooling."
        )
    return indices.astype(np.int64)

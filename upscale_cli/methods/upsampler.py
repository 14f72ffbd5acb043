"""The upsampler: a method made for one source and one scale, a pure function from output rows to those rows."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

FEWEST_ROWS = 32
"""Approximate minimum of rows in a band of weighed values, if the image has as many."""
LONGEST_BAND = 256
"""Approximate maximum of rows in a band of a filter, for images that are not very narrow."""
LEAST_VALUES = 1 << 18
"""Values of a band for which the calls of NumPy take little time beside the work; a strip has four times as many."""
BAND_VALUES = 1 << 22
"""Maximum of values in a band that is longer than that, so that memory does not grow with the image's width."""
LINE = 64
"""Bytes of a cache line. A vector of AVX-512 that lies in two of them takes twice as long to read or write."""

Array = NDArray[Any]
Read = Callable[[Array], Array]
Finish = Callable[[Array, Array], None]


@dataclass(frozen=True, kw_only=True)
class SampleReader:
    """How the stored samples of one source become the floats that are weighed.

    Attributes
    ----------
    read : callable
        Rows of the source (n, w, C_in) to floats (n, w, channels) of `dtype`.
    channels : int
        Channels of those floats.
    dtype : numpy.dtype
        A float type.
    finite : bool
        All samples are finite, and so are their weighed sums.
    """

    read: Read
    channels: int
    dtype: np.dtype[Any]
    finite: bool


class Block(NamedTuple):
    """Some output values and their position; parts outside the image are cut off."""

    top: int
    left: int
    channel: int
    values: Array
    """(n, w, c), of the upsampler's dtype. Scratch memory, which the next block overwrites."""


class Upsampler(ABC):
    """A method made for one source and one scale.

    Rows are computed in bands on a fixed grid. A band is always computed whole and in the same way, whichever part of
    it is requested, so results are the same bit for bit at any strip height and on any number of threads. (BLAS may
    add the terms of a product of another shape in another order, and one last bit is enough to change a rounding.)

    Attributes
    ----------
    shape : (int, int, int)
        Height, width and channels of the output.
    dtype : numpy.dtype
        Of the output values: the source's own if samples are moved, a float type if they are weighed.
    band : int
        Rows of a band. The band of row 0 begins `offset` rows above it. Strips of whole bands waste no work.
    cost : int
        Approximate cost of one output value, relative to a filter. Strips of costly values are smaller.
    averages : bool
        No value is above the largest sample or below the smallest, by more than rounding in the working type.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    band: int
    offset: int = 0
    cost: int = 1
    averages: bool = False

    @abstractmethod
    def blocks(self, band: int) -> Iterator[Block]:
        """Yield the blocks of one band, whose rows begin at `band · self.band − self.offset`."""

    def rows(self, start: int, stop: int, out: Array | None = None, finish: Finish | None = None) -> Array:
        """Return output rows `start … stop − 1`.

        Parameters
        ----------
        start, stop : int
            `0 <= start < stop <= shape[0]`.
        out : array (stop − start, W', C'), optional
            Where to write; by default a new array of `self.dtype`.
        finish : callable(values, out), optional
            Writes values `(n, w, c)` into a part of `out`, and may overwrite `values`; by default a plain copy.
            For blocks of all channels it receives all channels of `out`, which may have more or fewer.

        Returns
        -------
        array (stop − start, W', C')
        """
        height, width, channels = self.shape
        if not 0 <= start < stop <= height:
            raise IndexError(f"rows {start} to {stop} of {height}")
        if out is None:
            out = np.empty((stop - start, width, channels), self.dtype)
        for band in range((start + self.offset) // self.band, (stop + self.offset - 1) // self.band + 1):
            for top, left, channel, values in self.blocks(band):
                above, before = max(start - top, 0), max(-left, 0)
                part = values[above : max(stop - top, 0), before : max(width - left, 0)]
                if part.size:
                    y, x = top + above - start, left + before
                    last = channel + part.shape[2] if part.shape[2] < channels else None
                    place = out[y : y + len(part), x : x + part.shape[1], channel:last]
                    (finish or _copy)(part, place)
        return out


def _copy(values: Array, out: Array) -> None:
    np.copyto(out, values)


class Scratch(threading.local):
    """Buffers that each thread reuses: the system clears every page of a new large array first."""

    def __init__(self) -> None:
        self._buffers: dict[str, Array | None] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialised C-contiguous array, valid until this thread asks for `name` again."""
        count = prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.dtype != dtype or buffer.size < count:
            buffer = self._buffers[name] = None  # or the two would need memory at the same time
            buffer = self._buffers[name] = _aligned(count, np.dtype(dtype))
        return buffer[:count].reshape(shape)


def _aligned(count: int, dtype: np.dtype[Any]) -> Array:
    """Return an uninitialised array that begins at a cache line; NumPy's begin 16 bytes later if they are large."""
    size = count * dtype.itemsize
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % LINE
    view: Array = memory[start : start + size].view(dtype)
    return view


def strided(values: Array, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> Array:
    """Return a view of C-contiguous values with other strides and an offset, in bytes; its elements may overlap.

    The same as NumPy's `as_strided`, which takes longer than the matrix product of a small block.

    >>> strided(np.arange(4), (3, 2), (8, 8)).tolist()
    [[0, 1], [1, 2], [2, 3]]
    """
    view: Array = np.ndarray(shape, values.dtype, buffer=values, offset=offset, strides=strides)
    return view


def band_rows(width: int, channels: int, longest: int) -> int:
    """Return the approximate number of rows in a band of weighed values.

    >>> band_rows(1000, 3, 128), band_rows(32768, 3, 128), band_rows(10**6, 4, 128)
    (128, 42, 32)
    """
    return max(FEWEST_ROWS, min(longest, BAND_VALUES // (width * channels)))


@cache
def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the float type that samples of `dtype` are weighed in: float64 if float32 would lose digits of them.

    >>> working_dtype(np.dtype("uint16")), working_dtype(np.dtype("int32"))
    (dtype('float32'), dtype('float64'))
    """
    return np.dtype(np.float64 if dtype.itemsize >= 4 and dtype.newbyteorder("=") != np.float32 else np.float32)

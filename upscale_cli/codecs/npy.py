"""`.npy` files: read without trusting them, written strip by strip."""

import io
import math
import os
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.codecs.writing import Enlarged, Writing, check_room
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame
from upscale_cli.methods.rows import KEPT, TOGETHER
from upscale_cli.methods.stacks import array_ndim, axes_of, from_stack, stack_shape, to_stack
from upscale_cli.methods.upsampler import Array

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1 << 16
"""The most bytes of a header that are read; NumPy refuses headers longer than 10,000 bytes."""
MOST_DIMENSIONS, LARGEST = 32, 2**63 - 1
"""The most dimensions of an array, and the most bytes of a file."""


class ArrayPicture(Picture):
    """An array of images (H, W), (H, W, C) or (N, H, W, C), or with (D, H, W) or (W) in the place of (H, W)."""

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        self._length = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        shape, fortran, dtype = read_header(stream, self._length)
        axes = reading.axes or axes_of(len(shape), None)
        self.count, *own, self.channels = stack_shape(shape, reading.channels_first, axes=axes)
        self._own, (self.height, self.width) = tuple(own), (1, *own)[-2:]
        self.ndim, self.channels_first, self.itemsize = len(shape), bool(reading.channels_first), dtype.itemsize
        # An array in another order is copied.
        slices = self.count * math.prod(own[:-2])
        self.decoded = slices * self.channels * dtype.itemsize * (1 + (fortran or not dtype.isnative))
        self._start, self._dtype = stream.tell(), dtype
        row = self.width * self.channels * dtype.itemsize
        self._step = max(1, TOGETHER // row)
        if len(own) == 2 and not fortran and (not self.channels_first or self.channels == 1):
            self.by_rows = 2 * max(KEPT, 2 * self._step * row) + 2 * self._step * row

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width, after the depth of a volume; of a line its width."""
        return self._own

    def decode(self) -> Iterator[Frame]:
        if self.by_rows:
            for index in range(self.count):
                yield Frame(self.rows(self.height, self._step, partial(self._read, index * self.height)), None)
            return
        self.stream.seek(0)
        for samples in to_stack(read_array(self.stream, self._length), self.channels_first, len(self._own)):
            yield Frame(samples, None)

    def _read(self, above: int, start: int, stop: int) -> Array:
        """Return some rows of the image that has so many rows above it in the file."""
        shape = stop - start, self.width, self.channels
        self.stream.seek(self._start + (above + start) * math.prod(shape[1:]) * self.itemsize)
        return _native(_read_values(self.stream, math.prod(shape), self._dtype).reshape(shape))


open = ArrayPicture


def _alike(first: Enlarged, others: Iterator[Enlarged]) -> Iterator[Enlarged]:
    """Yield frames; raise `UpscaleError` if one is not like the first."""
    yield first
    for frame in others:
        if (frame.shape, frame.dtype) != (first.shape, first.dtype):
            raise UpscaleError(
                "has pages of different sizes or kinds, which one array cannot hold; use --format tiff."
            )
        yield frame


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a `.npy` file; see `Codec`."""
    first = next(frames)
    pages = _alike(first, frames)
    ndim = how.ndim or array_ndim(how.frame_count, first.shape[2])
    shape = how.frame_count, *(how.sides or first.shape[:2]), first.shape[2]
    axes = len(shape) - 2
    if how.channels_first and ndim != axes:
        stack = np.stack([frame.frame().samples for frame in pages])
        write_array(stream, from_stack(stack.reshape(shape), ndim, True))
        return
    own = shape[1:-1] if ndim == axes and shape[-1] == 1 else shape[1:]
    check_room(stream, how.frame_count * first.size)
    write_header(stream, shape if ndim == axes + 2 else own, first.dtype)
    for frame in pages:
        for rows in frame.strips():
            stream.write(rows.data)


def read_header(stream: BinaryIO, length: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype of the `.npy` of `length` bytes that begins here; move on to its data.

    Raises `UpscaleError` if it is no `.npy` of numbers, has no elements, or another length than its header says.
    """
    start = stream.tell()
    head = io.BytesIO(stream.read(LONGEST_HEADER))
    try:
        version = npy.read_magic(head)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(head)
        if any(type(n) is not int for n in shape):  # True is an integer to NumPy
            raise TypeError
    except KeyError:
        raise UpscaleError("is a .npy file of an unknown version; save it again with numpy.save.") from None
    except Exception:  # the header is a Python literal: parsing a broken one raises anything
        raise UpscaleError("is not a valid .npy file: its header is damaged.") from None
    stream.seek(start + head.tell())
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise UpscaleError(f"holds {dtype!s:.60}; only bool, integers and floats up to 64 bits are accepted.")
    count = math.prod(map(int, shape), start=dtype.itemsize)
    if len(shape) > MOST_DIMENSIONS or any(abs(n) > LARGEST for n in shape) or abs(count) > LARGEST:
        raise UpscaleError("claims to hold more than any file can; it is damaged.")
    if any(n < 1 for n in shape):
        raise UpscaleError(f"holds an array of shape {shape}, which has no elements.")
    present = length - head.tell()
    if count != present:
        raise UpscaleError(f"claims to hold {count:,} bytes of data but has {present:,}; it is damaged.")
    return tuple(int(n) for n in shape), fortran, dtype


def read_array(stream: BinaryIO, length: int) -> Array:
    """Return the array of a `.npy`, in native byte order and C order; errors as for `read_header`."""
    shape, fortran, dtype = read_header(stream, length)
    array = _read_values(stream, math.prod(shape), dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(_native(array))


def _native(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _read_values(stream: BinaryIO, count: int, dtype: np.dtype[Any]) -> Array:
    data = stream.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise UpscaleError("was changed while it was read, or is damaged; try again.")
    return np.frombuffer(data, dtype)


def write_header(stream: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Write the header of a `.npy` in C order."""
    npy.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": npy.dtype_to_descr(dtype)})


def write_array(stream: BinaryIO, array: Array) -> None:
    """Write an array as a `.npy`, in C order."""
    write_header(stream, array.shape, array.dtype)
    stream.write(np.ascontiguousarray(array).data)

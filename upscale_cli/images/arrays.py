"""`.npy` and `.npz` files: read without trusting them, written strip by strip."""

import io
import math
import os
from pathlib import Path
from reprlib import repr as shown
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.upsampler import Array

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1 << 16
"""Bytes that are read of a header; NumPy refuses longer ones than 10,000."""
MOST_DIMENSIONS, LARGEST = 32, 2**63 - 1
"""Dimensions of an array, and bytes of a file, at most."""
MANY = 1 << 23
"""Values of a parameter's arrays, together, that are always read; more only where an image is as large."""
ENTRIES = 1000
"""Entries of an archive, at most."""


def read_header(stream: BinaryIO, length: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype of the `.npy` of `length` bytes that begins here; the stream stands at its data.

    Raises
    ------
    UpscaleError
        When it is no `.npy`, holds objects, strings or structures, has no elements, or is not as long as it says.
    """
    start = stream.tell()
    head = io.BytesIO(stream.read(LONGEST_HEADER))
    try:
        version = npy.read_magic(head)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(head)
    except KeyError:
        raise UpscaleError("is a .npy file of an unknown version; save it again with numpy.save.") from None
    except Exception:  # the header is a Python literal: parsing a broken one raises anything
        raise UpscaleError("is not a valid .npy file: its header is damaged.") from None
    stream.seek(start + head.tell())
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise UpscaleError(f"holds {dtype!s:.60}; only bool, integers and floats up to 64 bits are accepted.")
    count = math.prod(map(int, shape), start=dtype.itemsize)
    if len(shape) > MOST_DIMENSIONS or any(abs(n) > LARGEST for n in shape) or abs(count) > LARGEST:
        raise UpscaleError("says that it holds more than any file can; it is damaged.")
    if any(n < 1 for n in shape):
        raise UpscaleError(f"holds an array of shape {shape}, which has no elements.")
    there = length - head.tell()
    if count != there:
        raise UpscaleError(f"says that it holds {count:,} bytes of data and has {there:,}; it is damaged.")
    return tuple(int(n) for n in shape), fortran, dtype


def read_array(stream: BinaryIO, length: int) -> Array:
    """The array of a `.npy`, in native byte order and C order; errors as for `read_header`."""
    shape, fortran, dtype = read_header(stream, length)
    data = stream.read()
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise UpscaleError("was changed while it was read, or is damaged; try again.")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(array.astype(dtype.newbyteorder("="), copy=False))


def load_arrays(path: Path, most: int = MANY) -> dict[str, Array]:
    """The arrays of a `.npz`, by name, or of a `.npy`, under an empty name. Nothing in it is ever executed.

    Parameters
    ----------
    path : Path
    most : int
        Values of all arrays together, at most; `MANY` are always allowed. Headers are asked before anything is read.

    Raises
    ------
    UpscaleError
        When it cannot be read, is neither, or holds more; the sentence does not name the file.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UpscaleError("is not a file; save the array to one with numpy.save.")
        with path.open("rb") as stream:
            magic = stream.read(len(MAGIC))
            stream.seek(0)
            if magic == MAGIC:
                length = os.fstat(stream.fileno()).st_size
                _count(stream, length, max(most, MANY))
                return {"": read_array(stream, length)}
            if not magic.startswith(b"PK"):
                raise UpscaleError("is not a .npy or .npz file; save it with numpy.save or numpy.savez.")
            return _unpacked(stream, max(most, MANY))
    except OSError as error:
        raise UpscaleError(f"cannot be read: {error.strerror}.") from None


def _count(stream: BinaryIO, length: int, most: int) -> int:
    """Values of a `.npy` as its header says; the stream stands at its beginning again."""
    start = stream.tell()
    count = math.prod(read_header(stream, length)[0])
    stream.seek(start)
    if count > most:
        raise UpscaleError(f"holds {count:,} values, more than the {most:,} that are read.")
    return count


def _unpacked(stream: BinaryIO, most: int) -> dict[str, Array]:
    """The arrays of an archive."""
    import zipfile

    arrays = {}
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            if len(entries) > ENTRIES:
                raise UpscaleError(f"holds {len(entries):,} entries, more than the {ENTRIES:,} that are read.")
            for entry in entries:
                with archive.open(entry) as member:
                    if member.read(len(MAGIC)) != MAGIC:
                        continue
                    member.seek(0)
                    name = entry.filename.removesuffix(".npy")
                    if name in arrays:
                        raise UpscaleError(f"holds two arrays named {shown(name)}; it is damaged.")
                    most -= _count(member, entry.file_size, most)  # type: ignore[arg-type]
                    arrays[name] = read_array(member, entry.file_size)  # type: ignore[arg-type]
    except UpscaleError:
        raise
    except Exception:  # zipfile raises BadZipFile, zlib.error, NotImplementedError, RuntimeError …
        raise UpscaleError("is not a valid .npz file; it is damaged.") from None
    return arrays


def header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """The header of a `.npy` in C order."""
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": npy.dtype_to_descr(dtype)})
    return stream.getvalue()


def write_array(stream: BinaryIO, array: Array) -> None:
    """Write an array as a `.npy`."""
    stream.write(header(array.shape, array.dtype))
    stream.write(np.ascontiguousarray(array).tobytes())

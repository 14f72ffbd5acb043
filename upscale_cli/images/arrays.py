"""`.npy` and `.npz` files: read without trusting them, written strip by strip."""

import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.upsampler import Array

MAGIC = b"\x93NUMPY"
LARGEST = 1 << 30
"""Bytes of an array in a compressed archive, at most."""


def read_header(stream: BinaryIO, length: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype of the `.npy` of `length` bytes that begins here; the stream stands at its data.

    Raises
    ------
    UpscaleError
        When it is no `.npy`, holds objects, strings or structures, has no elements, or is not as long as it says.
    """
    start = stream.tell()
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(stream)
    except KeyError:
        raise UpscaleError("is a .npy file of an unknown version; save it again with numpy.save.") from None
    except Exception:  # the header is a Python literal: parsing a broken one raises anything
        raise UpscaleError("is not a valid .npy file: its header is damaged.") from None
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise UpscaleError(f"holds {dtype}; only bool, integers and floats up to 64 bits are accepted.")
    if any(n < 1 for n in shape):
        raise UpscaleError(f"holds an array of shape {shape}, which has no elements.")
    count = dtype.itemsize
    for n in shape:
        count *= int(n)
    there = length - (stream.tell() - start)
    if count != there:
        raise UpscaleError(f"says that it holds {count:,} bytes of data and has {there:,}; it is damaged.")
    return tuple(int(n) for n in shape), fortran, dtype


def read_array(stream: BinaryIO, length: int) -> Array:
    """The array of a `.npy`, in native byte order and C order; errors as for `read_header`."""
    shape, fortran, dtype = read_header(stream, length)
    flat = np.frombuffer(stream.read(), dtype)
    array = flat.reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(array.astype(dtype.newbyteorder("="), copy=False))


def load_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a `.npz`, by name, or of a `.npy`, under an empty name. Nothing in it is ever executed.

    Raises
    ------
    UpscaleError
        When it cannot be read or is neither; the sentence does not name the file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UpscaleError(f"cannot be read: {error.strerror}.") from None
    if data.startswith(MAGIC):
        return {"": read_array(io.BytesIO(data), len(data))}
    if not data.startswith(b"PK"):
        raise UpscaleError("is not a .npy or .npz file; save it with numpy.save or numpy.savez.")
    import zipfile

    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                if entry.file_size > LARGEST:
                    raise UpscaleError(f"unpacks to more than {LARGEST >> 30} GiB; that is refused.")
                with archive.open(entry) as member:
                    content = member.read(entry.file_size + 1)
                if content.startswith(MAGIC):
                    name = entry.filename.removesuffix(".npy")
                    arrays[name] = read_array(io.BytesIO(content), len(content))
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

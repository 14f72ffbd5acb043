"""Arrays and networks that methods take from files, read without trusting them, once a run."""

import os
from collections.abc import Callable
from reprlib import repr as shortened
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

from upscale_cli.codecs.npy import MAGIC, read_array, read_header
from upscale_cli.errors import UpscaleError
from upscale_cli.methods import Parameter, Size
from upscale_cli.methods.upsampler import Array
from upscale_cli.places.place import Source
from upscale_cli.work.onnx_network import read_onnx
from upscale_cli.work.safetensors import is_safetensors, read_safetensors

NO_ARRAYS = (
    "is not a .npy, .npz, .safetensors or .onnx file; save it with numpy.save or numpy.savez, and convert a network "
    "of PyTorch (.pth) to .safetensors or .onnx."
)
MAX_VALUES = 1 << 23
"""The values of a parameter's arrays, together, that are always read; of indices more, if the image has as many."""
MAX_ENTRIES = 1000
"""The most entries of an archive."""
MAX_NAMES = 5
"""The most names that an error lists."""


class ParameterFile:
    """The array, or the archive, of a parameter, in its file. It is read once in each process that uses it."""

    def __init__(self, parameter: Parameter, source: Source) -> None:
        self.parameter, self.source = parameter, source
        self._loaded: tuple[Any, Size | None] | None = None
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return ParameterFile, (self.parameter, self.source)

    def load(self, most: int) -> tuple[Any, Size | None]:
        """Return what `load_parameter` returns."""
        with self._lock:
            if self._loaded is None:
                self._loaded = load_parameter(self.parameter, self.source, most)
            return self._loaded


def load_parameter(
    parameter: Parameter, source: Source, most: int = MAX_VALUES, outline: bool = False
) -> tuple[Any, Size | None]:
    """Return what a parameter's file holds, and the size of the output if the file says it, as pooling's does.

    Parameters
    ----------
    most : int
        The most values that the file may hold; at least `MAX_VALUES` are always allowed.
    outline : bool
        Read no values: arrays have the right shape and dtype, and hold zeros that take no memory.

    Raises
    ------
    UpscaleError
        If it cannot be read, or holds something else.
    """
    try:
        if parameter.archive:
            arrays = read_onnx(source) or load_arrays(source, most, outline)
            if arrays == {} or (isinstance(arrays, dict) and "" in arrays):
                what = "holds no array" if not arrays else "is a single array"
                raise UpscaleError(f"{what}; a network is a .npz, .safetensors or .onnx file of several.")
            return _checked(parameter, source, arrays), None
        loaded = load_arrays(source, most, outline)
        if parameter.name not in loaded and "" not in loaded:
            names = ", ".join(shortened(name) for name in list(loaded)[:MAX_NAMES]) or "none"
            others = f" and {len(loaded) - MAX_NAMES:,} others" if len(loaded) > MAX_NAMES else ""
            raise UpscaleError(f'holds no array "{parameter.name}"; it has {names}{others}.')
    except UpscaleError as error:
        raise UpscaleError(f'{parameter.name} file "{source.shown}" {error}') from None
    named = loaded.get("size") if parameter.beside else None
    size = None
    if named is not None and named.shape in ((1,), (2,), (3,)) and named.dtype.kind in "iu" and (named > 0).all():
        size = tuple(named.tolist())
    return loaded.get(parameter.name, loaded.get("")), size


def _checked(parameter: Parameter, source: Source, value: Any) -> Any:
    """Return what a parameter's file holds, if the parameter takes it."""
    try:
        parameter.kind.check(value)
    except UpscaleError as error:
        raise UpscaleError(f"is of no use: {error}") from None
    return value


def load_arrays(source: Source, most: int = MAX_VALUES, outline: bool = False) -> dict[str, Array]:
    """Return the arrays of a `.npz` or `.safetensors`, by name, or of a `.npy`, under an empty name.

    Nothing in it is ever executed.

    Parameters
    ----------
    source : Source
    most, outline
        As for `load_parameter`. Headers are checked before any values are read.

    Raises
    ------
    UpscaleError
        If it cannot be read, is neither, or holds more; the sentence does not name the file.
    """
    left = max(most, MAX_VALUES)

    def read(stream: BinaryIO, length: int) -> Array:
        nonlocal left
        start = stream.tell()
        shape, _, dtype = read_header(stream, length)
        count = int(np.prod(shape, dtype=object))
        if count > left:
            raise UpscaleError(f"holds {count:,} values, more than the limit of {left:,}.")
        left -= count
        if outline and count > 3:  # a size has up to three values
            return np.broadcast_to(np.zeros((), dtype.newbyteorder("=")), shape)
        stream.seek(start)
        return read_array(stream, length)

    with source.header() as stream:  # what is refused is not fetched
        try:
            magic, length = stream.read(len(MAGIC)), stream.seek(0, os.SEEK_END)
            stream.seek(0)
            if magic == MAGIC:
                return {"": read(stream, length)}
            if is_safetensors(stream):
                return read_safetensors(stream, length, left)
            if not magic.startswith(b"PK"):
                raise UpscaleError(NO_ARRAYS)
            return _unpacked(stream, read)
        except OSError as error:
            raise UpscaleError(f"cannot be read: {error.strerror}.") from None


def _unpacked(stream: BinaryIO, read: Callable[[BinaryIO, int], Array]) -> dict[str, Array]:
    """Return the arrays of an archive."""
    import zipfile

    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise UpscaleError(f"holds {len(entries):,} entries, more than the limit of {MAX_ENTRIES:,}.")
            for entry in entries:
                with archive.open(entry) as member:
                    if member.read(len(MAGIC)) != MAGIC:
                        continue
                    member.seek(0)
                    name = entry.filename.removesuffix(".npy")
                    if name in arrays:
                        raise UpscaleError(f"holds two arrays named {shortened(name)}; it is damaged.")
                    arrays[name] = read(member, entry.file_size)  # type: ignore[arg-type]
    except UpscaleError:
        raise
    except Exception:  # zipfile raises BadZipFile, zlib.error, NotImplementedError, RuntimeError …
        raise UpscaleError("is not a valid .npz file; it is damaged.") from None
    if not arrays:
        raise UpscaleError(NO_ARRAYS)
    return arrays

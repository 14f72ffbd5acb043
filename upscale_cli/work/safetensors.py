"""Arrays of `.safetensors` files: the length of a header, the header in JSON, and raw numbers. Nothing is trusted."""

import json
import struct
from math import prod
from reprlib import repr as shown
from typing import Any, BinaryIO

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.upsampler import Array

LONGEST_HEADER = 1 << 20
MOST_ENTRIES, MOST_AXES = 1000, 8
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""The types of weights. Of BF16, NumPy has none: it is the upper half of F32."""


def is_safetensors(stream: BinaryIO) -> bool:
    """Return whether a file begins like one; the stream is at its beginning before and after."""
    start = stream.read(9)
    stream.seek(0)
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= LONGEST_HEADER


def read_safetensors(stream: BinaryIO, length: int, most: int) -> dict[str, Array]:
    """Return the arrays of a file of some length, by name; together they may have so many values at most.

    Raises
    ------
    UpscaleError
        If it is damaged, or holds more, or other types; the sentence does not name the file.
    """
    start = 8 + struct.unpack("<Q", stream.read(8))[0]
    try:
        header = json.loads(stream.read(start - 8), object_pairs_hook=_once)
    except UpscaleError:
        raise
    except (ValueError, RecursionError):
        raise UpscaleError("is not a valid .safetensors file: its header is not JSON.") from None
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if len(entries) > MOST_ENTRIES:
        raise UpscaleError(f"holds {len(entries):,} arrays, more than the limit of {MOST_ENTRIES:,}.")
    checked = {name: _checked(name, entry, length - start) for name, entry in entries.items()}
    ends = [0, *sorted(last for *_, last in checked.values())]
    if ends != [*sorted(first for *_, first, _ in checked.values()), length - start]:
        raise UpscaleError(
            "is not a valid .safetensors file: its arrays overlap, or leave bytes between or behind them."
        )
    arrays = {}
    for name, (dtype, shape, first, last) in checked.items():
        most -= prod(shape)
        if most < 0:
            raise UpscaleError("holds more values than the limit.")
        stream.seek(start + first)
        values = np.frombuffer(stream.read(last - first), TYPES[dtype]).reshape(shape)
        arrays[name] = (values.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else values
    return arrays


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, none of whose names is there twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise UpscaleError(f"is not a valid .safetensors file: its header has {shown(name)} twice.")
        found[name] = value
    return found


def _checked(name: str, entry: Any, there: int) -> tuple[str, list[int], int, int]:
    """Return the type, the shape, and where the bytes of an array begin and end, if all of it is sound."""
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, place = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in TYPES:
        raise UpscaleError(f"holds array {shown(name)} of type {shown(dtype)}; weights are {', '.join(TYPES)}.")
    numbers = all(isinstance(each, list) and all(type(n) is int and n >= 0 for n in each) for each in (shape, place))
    if not numbers or len(shape) > MOST_AXES or len(place) != 2:
        raise UpscaleError(f"is not a valid .safetensors file: array {shown(name)} has no shape and place.")
    first, last = place
    if not first < last <= there or last - first != prod(shape) * np.dtype(TYPES[dtype]).itemsize:
        raise UpscaleError(f"is not a valid .safetensors file: array {shown(name)} does not lie in it.")
    return dtype, shape, first, last

"""How a result differs from one that was made before: not at all, by rounding, or in what it shows."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import numpy as np

from upscale_cli.codecs.picture import Reading, open_picture
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import expand_palette
from upscale_cli.machine.memory import available_memory
from upscale_cli.methods.samples import white
from upscale_cli.methods.upsampler import Array
from upscale_cli.places.place import Source
from upscale_cli.work.parameter_files import load_arrays

BLOCK = 1 << 20
"""The bytes that are compared at once, and the values."""

ROUNDED, COMPRESSED = 4e-6, 1e-3
"""The largest mean difference of results that are rounded otherwise, and of those that are then compressed.

They are shares of full intensity. Other processors round 104 to 283 of 50 million 8-bit values otherwise, by 1; the
first share allows one in a thousand. Lossy encoders and palettes made up to 7e-4 of one in 100,000.
"""


def difference(made: BinaryIO, there: Source, reading: Reading) -> str | None:
    """Return how a result differs from what is there, in words, empty if not at all; None if it is something else.

    Parameters
    ----------
    made : binary stream
        The result, seekable; it may be closed.
    reading : Reading
        How its source was read.
    """
    with there.open() as stream:
        made.seek(0)
        while (block := made.read(BLOCK)) == stream.read(BLOCK):
            if not block:
                return ""
    made.seek(0)
    archive = made.read(2) == b"PK"
    made.seek(0)
    with suppress(UpscaleError):
        return _of_arrays(made, there) if archive else _of_frames(made, there, reading)
    return None


def _of_arrays(made: BinaryIO, there: Source) -> str | None:
    """Return whether two archives hold the same arrays: libraries compress them in other ways."""
    mine = dict(np.load(made))
    other = load_arrays(there, sum(array.size for array in mine.values()))
    same = mine.keys() == other.keys() and all(np.array_equal(mine[name], other[name]) for name in mine)
    return ", compressed in another way" if same else None


def _of_frames(made: BinaryIO, there: Source, reading: Reading) -> str | None:
    reading = reading._replace(max_pixels=sys.maxsize, volumes=True)
    differing = values = 0
    with open_picture(made, reading) as ours, open_picture(there.open(), reading) as theirs:
        if (ours.format, ours.sides, ours.count) != (theirs.format, theirs.sides, theirs.count):
            return None
        if 3 * ours.height * ours.width * ours.decoded > available_memory():
            return None
        for mine, other in zip(ours.frames(), theirs.frames(), strict=True):
            free = ours.format.lossy or mine.palette is not None
            one, two = expand_palette(mine).samples, expand_palette(other).samples
            if one.shape != two.shape or one.dtype != two.dtype:
                return None
            parts = [*_apart(one, two)]
            mean = sum(total for _, _, total in parts) / one.size
            if not (mean <= (COMPRESSED if free else ROUNDED) and (free or all(near for _, near, _ in parts))):
                return None
            differing += sum(count for count, _, _ in parts)
            values += one.size
    return f", but {differing:,} of {values:,} values are rounded otherwise" if differing else ", in other bytes"


def _apart(one: Array, two: Array) -> Iterator[tuple[int, bool, float]]:
    """Yield, for parts of two arrays, how many values differ, whether by rounding alone, and their sum as shares."""
    step = max(1, BLOCK * len(one) // one.size)
    floats = one.dtype.kind == "f"
    for start in range(0, len(one), step):
        a, b = (each[start : start + step].astype(np.float64) for each in (one, two))
        with np.errstate(invalid="ignore"):
            apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b))
            full = np.max(np.abs(a), initial=0, where=np.isfinite(a)) if floats else min(white(one.dtype), 65535)
            unit = 100 * np.finfo(one.dtype).eps * full if floats else 1
            yield (
                int(np.count_nonzero(apart)),
                bool((apart <= unit).all()),
                float(apart.sum() / max(full, unit, 1e-300)),
            )

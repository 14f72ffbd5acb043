"""How a result differs from one that was made before: not at all, by rounding, or in what it shows."""

import sys
from contextlib import suppress
from typing import BinaryIO

import numpy as np

from upscale_cli.codecs.picture import Reading, open_picture
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame, expand_palette
from upscale_cli.machine.memory import available_memory
from upscale_cli.methods.samples import white
from upscale_cli.places.place import Source
from upscale_cli.work.parameter_files import load_arrays

BLOCK = 8 << 20
"""The bytes that are compared at once."""

ROUNDED, COMPRESSED = 4e-6, 2.5e-3
"""The largest mean differences, as shares of full intensity, of results that are rounded otherwise by another
processor, and then compressed by a lossy encoder or to a palette.

Other processors round 104 to 283 of 50 million 8-bit values otherwise, by 1, and this allows one in a thousand. Lossy
encoders and palettes made up to 2.1e-3 of so few; a quality of 90 in place of 95 makes 4e-3 or more.
"""


def difference(made: BinaryIO, there: Source, reading: Reading) -> str | None:
    """Return how a result differs from what is there, in words, empty if not at all; None if it is something else.

    The stream of the result is seekable, and may be closed. `reading` is how the source of the result was read.
    """
    with there.header() as stream:  # a large object is not fetched into memory
        made.seek(0)
        while (block := made.read(BLOCK)) == stream.read(BLOCK):
            if not block:
                return ""
    made.seek(0)
    archive = made.read(2) == b"PK"
    made.seek(0)
    with suppress(UpscaleError):  # what is there cannot be read, or is larger than the result
        if _same_arrays(made, there) if archive else _same_frames(made, there, reading):
            return ", but not byte for byte"
    return None


def _same_arrays(made: BinaryIO, there: Source) -> bool:
    mine = dict(np.load(made))
    other = load_arrays(there, sum(array.size for array in mine.values()))
    return mine.keys() == other.keys() and all(np.array_equal(mine[name], other[name]) for name in mine)


def _same_frames(made: BinaryIO, there: Source, reading: Reading) -> bool:
    reading = reading._replace(max_pixels=sys.maxsize, volumes=True)
    with open_picture(made, reading) as ours, open_picture(there.open(), reading) as theirs:
        if (ours.format, ours.sides, ours.count) != (theirs.format, theirs.sides, theirs.count):
            return False
        if ours.height * ours.width * (2 * ours.decoded + 32 * ours.channels) > available_memory():
            return False
        pairs = zip(ours.frames(), theirs.frames(), strict=True)
        return all(_is_near(mine, other, ours.format.lossy or mine.palette is not None) for mine, other in pairs)


def _is_near(one: Frame, other: Frame, compressed: bool) -> bool:
    """Return whether the samples of two frames differ by rounding alone, or by what compression makes of it."""
    a, b = expand_palette(one).samples, expand_palette(other).samples
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind == "f":
        share = max(1e-5, 2 * float(np.finfo(a.dtype).eps))
        most = np.max(np.abs(a), initial=0, where=np.isfinite(a))
        return np.allclose(a, b, rtol=share, atol=share * most, equal_nan=True)
    apart = np.abs(np.subtract(a, b, dtype=np.float64))
    allowed = (COMPRESSED if compressed else ROUNDED) * white(a.dtype)
    return bool(apart.mean() <= allowed and (compressed or apart.max() <= 1))

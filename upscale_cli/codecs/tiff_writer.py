"""TIFF files of every kind of pixels, written strip by strip: threads pack the strips, and the directories come last.

Format: Adobe, "TIFF Revision 6.0", 1992 (horizontal differences: section 14; sample formats: section 19), and
"Photoshop TIFF Technical Notes", 2002 (deflate); "The BigTIFF File Format", 2011, for what is larger than 4 GiB.
"""

import io
import struct
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from typing import BinaryIO

import numpy as np

from upscale_cli.codecs import tiff_tags as tag
from upscale_cli.codecs.pillow import encoded, to_pillow
from upscale_cli.codecs.png_stream import Bytes2D, compressed
from upscale_cli.codecs.tiff_directories import Tag, packed, read_pages
from upscale_cli.codecs.tiff_metadata import tags_of
from upscale_cli.codecs.writing import Enlarged, Writing, check_room
from upscale_cli.errors import UpscaleError
from upscale_cli.methods.upsampler import Array

STRIP_BYTES = 1 << 20
"""Approximate bytes of a strip before it is compressed."""
HEADER = 16
"""Bytes of the header of a BigTIFF. A TIFF, whose header has 8, leaves the others unused."""
LARGEST = 2**32
"""The most bytes of a TIFF with offsets of 4 bytes."""
PHOTOMETRICS = {"L": 1, "LA": 1, "RGB": 2, "RGBA": 2, "P": 3, "CMYK": 5}
SAMPLE_FORMATS = {"u": 1, "b": 1, "i": 2, "f": 3}
PLAIN, ALPHA = 1, 2
SHORT, LONG, LONG8 = 3, 4, 16
OF_STRIPS = (tag.STRIP_OFFSETS, tag.STRIP_COUNTS)


def write_tiff(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a little-endian TIFF file, or a BigTIFF if offsets of 4 bytes do not reach its end.

    Parameters
    ----------
    stream : binary file
        Empty and seekable: only at the end it is known which kind of file it is, and where the directories are.
    frames : iterator of Enlarged
        At least one. A few strips are in memory at a time, and the directories of all pages.
    how : Writing

    Raises
    ------
    UpscaleError
        If an EXIF block is damaged, or Pillow cannot compress as it was asked to.
    """
    compression, pack = PACKERS[how.compression or "deflate"]
    pages: list[dict[int, Tag]] = []
    start = stream.write(bytes(HEADER))
    for image in frames:
        tags = _tags(image, compression) | tags_of(image.metadata)
        if compression == PLAIN and image.dtype != bool:
            check_room(stream, image.size)
        work = partial(_packed, pack, tag.PREDICTOR in tags)
        sizes = [stream.write(strip) for strip in image.packed(work, tags[tag.STRIP_ROWS][1][0])]
        places = list(accumulate(sizes, initial=start))
        start = places.pop()
        pages.append(tags | {tag.STRIP_OFFSETS: (LONG, places), tag.STRIP_COUNTS: (LONG, sizes)})
    start += stream.write(bytes(start % 2))  # directories begin on a word boundary
    big = start + len(_directories(pages, start, big=True)) > LARGEST
    stream.write(_directories(pages, start, big))
    stream.seek(0)
    stream.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if big else struct.pack("<2sHI", b"II", 42, start))


def _directories(pages: list[dict[int, Tag]], start: int, big: bool) -> bytes:
    """Return the directories of pages, one behind the other."""
    parts = []
    for index, page in enumerate(pages):
        tags = page | {number: (LONG8 if big else LONG, page[number][1]) for number in OF_STRIPS}
        end = start + len(packed(tags, start, big=big))
        parts.append(packed(tags, start, big=big, following=end if index + 1 < len(pages) else 0))
        start = end
    return b"".join(parts)


def _tags(image: Enlarged, compression: int) -> dict[int, Tag]:
    """Return the tags that say how the samples of a page are stored, but not where."""
    height, width, channels = image.shape
    kind, bits = image.dtype.kind, 1 if image.dtype.kind == "b" else 8 * image.dtype.itemsize
    # Integers are stored as differences from the pixel to the left, indices are not.
    differences = compression != PLAIN and image.mode != "P" and kind in "ui"
    rows = image.even_rows(1, STRIP_BYTES // -(-width * channels * bits // 8))
    tags: dict[int, Tag] = {
        tag.HEIGHT: (LONG, (height,)),
        tag.WIDTH: (LONG, (width,)),
        tag.STRIP_ROWS: (LONG, (rows,)),
    }
    numbers = {
        tag.BITS: (bits,) * channels,
        tag.COMPRESSION: (compression,),
        tag.PHOTOMETRIC: (PHOTOMETRICS[str(image.mode)],),
        tag.SAMPLES: (channels,),
        tag.PLANAR: (1,),
        tag.PREDICTOR: (2,) if differences else (),
        tag.EXTRA_SAMPLES: (ALPHA,) if image.mode in ("LA", "RGBA") else image.extra,
        tag.SAMPLE_FORMAT: (SAMPLE_FORMATS[kind],) * channels,
    }
    if image.palette is not None:
        numbers[tag.COLOUR_MAP] = tuple(int(v) * 257 for v in image.palette[:, :3].T.ravel())
    return tags | {number: (SHORT, values) for number, values in numbers.items() if values}


def _packed(pack: Callable[[Bytes2D], bytes], differences: bool, rows: Array, *_: bool) -> bytes:
    """Return a strip as it is stored."""
    if differences:
        samples = np.empty_like(rows)
        samples[:, 0] = rows[:, 0]
        np.subtract(rows[:, 1:], rows[:, :-1], out=samples[:, 1:])
        rows = samples
    if rows.dtype == bool:
        return pack(np.packbits(rows[:, :, 0], axis=1))
    little = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
    return pack(little.reshape(len(rows), -1).view(np.uint8))


def _by_pillow(compression: str, rows: Bytes2D) -> bytes:
    """Return bytes as the one strip of a grey TIFF, which Pillow's libtiff compresses whatever they mean."""
    image = to_pillow(rows[:, :, np.newaxis], "L")
    try:
        file = encoded([image], "TIFF", {"compression": compression, "strip_size": rows.nbytes})
    except OSError:
        name = compression.removeprefix("tiff_")
        raise UpscaleError(f"needs a Pillow whose libtiff has {name}; use --compression deflate.") from None
    page = read_pages(io.BytesIO(file))[0]
    start = page.one(tag.STRIP_OFFSETS)
    return file[start : start + page.one(tag.STRIP_COUNTS)]


PACKERS: dict[str, tuple[int, Callable[[Bytes2D], bytes]]] = {
    "deflate": (8, compressed),
    "none": (PLAIN, np.ndarray.tobytes),
    "lzw": (5, partial(_by_pillow, "tiff_lzw")),
    "zstd": (50000, partial(_by_pillow, "zstd")),
}
"""How each `--compression` of the format is numbered, and who does it."""

"""TIFF files of every kind of pixels, written page by page: deflated strips, each page with its own tags.

Format: Adobe, "TIFF Revision 6.0", 1992 (horizontal differences: section 14; sample formats: section 19), and
"Photoshop TIFF Technical Notes", 2002 (deflate); "The BigTIFF File Format", 2011, for what is larger than 4 GiB.
"""

import struct
from collections.abc import Iterator
from itertools import accumulate
from typing import BinaryIO

import numpy as np

from upscale_cli.codecs import tiff_tags as tag
from upscale_cli.codecs.png_stream import compressed
from upscale_cli.codecs.tiff_directories import Tag, packed
from upscale_cli.codecs.tiff_metadata import tags_of
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame

STRIP_BYTES = 1 << 18
"""Approximate bytes of a strip before it is deflated."""
LARGEST = 2**32 - 2**24
"""The most bytes of samples in a TIFF with offsets of 4 bytes; what compresses badly becomes a little longer."""
PHOTOMETRICS = {"L": 1, "LA": 1, "RGB": 2, "RGBA": 2, "P": 3, "CMYK": 5}
SAMPLE_FORMATS = {"u": 1, "b": 1, "i": 2, "f": 3}
DEFLATE, ALPHA = 8, 2
SHORT, LONG, LONG8 = 3, 4, 16


def write_tiff(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a little-endian TIFF file, or a BigTIFF if its samples may exceed 4 GiB.

    Parameters
    ----------
    stream : binary file
        Only written to, forwards.
    frames : iterator of Enlarged
        At least one. One is in memory at a time, with the compressed strips of another.
    how : Writing

    Raises
    ------
    UpscaleError
        If an EXIF block is damaged, or pages that are larger than the first exceed the 4 GiB of a TIFF.
    """
    enlarged: Enlarged | None = next(frames)
    assert enlarged is not None
    # The first page speaks for all, with the number of them: the sizes of the others are not known yet.
    bytes_of_page = int(np.prod(enlarged.shape)) * max(1, enlarged.dtype.itemsize)
    big = bytes_of_page * how.frame_count > LARGEST
    start = 16 if big else 8
    stream.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if big else struct.pack("<2sHI", b"II", 42, start))
    while enlarged is not None:
        page, metadata = enlarged.frame(), enlarged.metadata
        enlarged = next(frames, None)
        rows, strips = _packed(page)
        tags = _tags(page) | tags_of(metadata)
        sizes = [len(strip) for strip in strips]
        places = list(accumulate(sizes, initial=0))
        offsets = LONG8 if big else LONG
        tags |= {tag.STRIP_ROWS: (LONG, (rows,)), tag.STRIP_COUNTS: (offsets, sizes)}
        tags[tag.STRIP_OFFSETS] = offsets, places[:-1]
        first = start + len(packed(tags, start, big=big))
        tags[tag.STRIP_OFFSETS] = offsets, [first + place for place in places[:-1]]
        following = first + places[-1]
        if following > LARGEST and not big:
            raise UpscaleError(
                "has a first page that is smaller than others, and grows beyond the 4 GiB of a TIFF; "
                "save its pages as files of their own, or use a smaller scale."
            )
        stream.write(packed(tags, start, big=big, following=following if enlarged is not None else 0))
        stream.writelines(strips)
        start = following


def _differences(page: Frame) -> bool:
    """Return whether samples are stored as differences from the pixel to the left: integers are, indices not."""
    return page.mode != "P" and page.samples.dtype.kind in "ui"


def _packed(page: Frame) -> tuple[int, list[bytes]]:
    """Return the rows of a strip, and the strips. The last ends on a word boundary, where a directory may follow."""
    rows = max(1, STRIP_BYTES // page.samples[0].nbytes)
    strips = []
    for top in range(0, len(page.samples), rows):
        samples = page.samples[top : top + rows]
        if samples.dtype == bool:
            samples = np.packbits(samples[:, :, 0], axis=1)
        elif _differences(page):
            samples = samples.copy()
            samples[:, 1:] -= page.samples[top : top + rows, :-1]
        strips.append(compressed(samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()))
    strips[-1] += b"\0" * (sum(map(len, strips)) % 2)
    return rows, strips


def _tags(page: Frame) -> dict[int, Tag]:
    """Return the tags that say how the samples of a page are stored, but not where."""
    height, width, channels = page.samples.shape
    dtype = page.samples.dtype
    tags: dict[int, Tag] = {tag.HEIGHT: (LONG, (height,)), tag.WIDTH: (LONG, (width,))}
    numbers = {
        tag.BITS: (1 if dtype.kind == "b" else 8 * dtype.itemsize,) * channels,
        tag.COMPRESSION: (DEFLATE,),
        tag.PHOTOMETRIC: (PHOTOMETRICS[str(page.mode)],),
        tag.SAMPLES: (channels,),
        tag.PLANAR: (1,),
        tag.PREDICTOR: (1 + _differences(page),),
        tag.EXTRA_SAMPLES: (ALPHA,) if page.alpha else page.extra,
        tag.SAMPLE_FORMAT: (SAMPLE_FORMATS[dtype.kind],) * channels,
    }
    if page.palette is not None:
        numbers[tag.COLOUR_MAP] = tuple(int(v) * 257 for v in page.palette[:, :3].T.ravel())
    return tags | {number: (SHORT, values) for number, values in numbers.items() if values}

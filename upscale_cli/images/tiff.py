"""Writing TIFF: every depth that this tool has, where Pillow writes 16 bits of grey only.

Format: Adobe, "TIFF Revision 6.0", 1992 (horizontal differences: section 14; sample formats: section 19), and
"Photoshop TIFF Technical Notes", 2002 (deflate). Pillow's directories carry the metadata.
"""

import struct
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from upscale_cli.errors import UpscaleError
from upscale_cli.images.pixels import Frame, to_mode
from upscale_cli.images.png import compressed

STRIP_BYTES = 1 << 18
"""Bytes of a strip before it is deflated, about."""
LONGEST_FILE = 2**32 - 2**24
"""Bytes of a file without its last directory, at most."""

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_COUNTS = 273, 274, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR, RESOLUTION_UNIT, PREDICTOR = 282, 283, 284, 296, 317
COLOUR_MAP, EXTRA_SAMPLES, SAMPLE_FORMAT = 320, 338, 339
XMP, EXIF, ICC, INTEROPERABILITY = 700, 34665, 34675, 40965

DESCRIPTIVE_TAGS = {269, 270, 271, 272, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, 285, RESOLUTION_UNIT}
DESCRIPTIVE_TAGS |= {305, 306, 315, 316}
"""Tags that say something about the picture, and not where and how its pixels are stored."""
PHOTOMETRICS = {"L": 1, "LA": 1, "RGB": 2, "RGBA": 2, "P": 3, "CMYK": 5}
SAMPLE_FORMATS = {"u": 1, "b": 1, "i": 2, "f": 3}


def write_tiff(
    stream: BinaryIO,
    pages: Iterable[Frame],
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> None:
    """A little-endian TIFF file with deflated strips.

    Parameters
    ----------
    stream : binary file
        Only written to, forwards.
    pages : iterable of Frame
        At least one, of a kind that the format holds. One is held at a time, with the packed strips of another.
        Alpha is not premultiplied. 16-bit LA is written as RGBA, for Pillow opens no other.
    icc, exif, xmp : bytes, optional
        Metadata of every page.
    dpi : (float, float), optional
        Horizontal and vertical.

    Raises
    ------
    UpscaleError
        When the file would exceed the 4 GiB of TIFF, or the EXIF block is damaged.
    """
    tags = _exif_tags(exif) if exif else {}
    tags |= {tag: payload for tag, payload in ((ICC, icc), (XMP, xmp)) if payload}
    tags |= {X_RESOLUTION: dpi[0], Y_RESOLUTION: dpi[1], RESOLUTION_UNIT: 2} if dpi else {}
    stream.write(struct.pack("<2sHI", b"II", 42, 8))
    offset = 8
    iterator = iter(pages)
    page: Frame | None = next(iterator)
    while page is not None:
        if page.kind == ("LA", "uint16"):
            page = to_mode(page, "RGBA")
        rows, strips = _packed(page)
        size = sum(map(len, strips))
        if offset + size > LONGEST_FILE:
            raise UpscaleError("is more than a TIFF file can hold (4 GiB); write PNG, or make it smaller.")
        directory = _directory(page, rows, strips)
        directory.update(tags)
        head = bytearray(directory.tobytes(offset))
        offset += len(head) + size
        page = next(iterator, None)
        if page is not None:
            struct.pack_into("<I", head, 2 + 12 * len(directory), offset)
        stream.write(head)
        stream.writelines(strips)


def _differences(page: Frame) -> bool:
    """Whether each sample is written as its difference from the one a pixel to the left: where that is a number."""
    return page.mode != "P" and page.samples.dtype in (np.uint8, np.uint16)


def _packed(page: Frame) -> tuple[int, list[bytes]]:
    """Rows a strip, and the strips; the last one ends on a word boundary, where a directory may follow."""
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


def _directory(page: Frame, rows: int, strips: list[bytes]) -> ImageFileDirectory_v2:
    """Of one page; offsets count from the end of the directory, which Pillow adds when it writes it."""
    height, width, channels = page.samples.shape
    dtype, sizes = page.samples.dtype, [len(strip) for strip in strips]
    directory = ImageFileDirectory_v2()
    directory[HEIGHT], directory[WIDTH] = height, width
    directory[BITS] = (1 if dtype.kind == "b" else 8 * dtype.itemsize,) * channels
    directory[SAMPLES], directory[SAMPLE_FORMAT] = channels, (SAMPLE_FORMATS[dtype.kind],) * channels
    directory[COMPRESSION], directory[PREDICTOR], directory[PLANAR] = 8, 1 + _differences(page), 1
    directory[PHOTOMETRIC] = PHOTOMETRICS[str(page.mode)]
    if page.alpha:
        directory[EXTRA_SAMPLES] = 2
    if page.palette is not None:
        directory[COLOUR_MAP] = tuple(int(v) * 257 for v in page.palette[:, :3].T.ravel())
    directory[STRIP_ROWS], directory[STRIP_COUNTS] = rows, tuple(sizes)
    directory[STRIP_OFFSETS] = (0, *accumulate(sizes[:-1]))
    return directory


def _exif_tags(exif: bytes) -> dict[int, Any]:
    """An EXIF block as tags of a TIFF directory, without those that speak of other pixels.

    Raises
    ------
    UpscaleError
        When it cannot be read or written again.
    """
    try:
        block = Image.Exif()
        block.load(exif)
        kept = [tag for tag in block if tag in DESCRIPTIVE_TAGS or (tag > XMP and tag != ICC)]
        tags = {tag: block[tag] for tag in kept}
        for tag in tags.keys() & TiffTags.TAGS_V2_GROUPS.keys():
            tags[tag] = dict(block.get_ifd(tag))
        if INTEROPERABILITY in tags.get(EXIF, ()):
            tags[EXIF][INTEROPERABILITY] = dict(block.get_ifd(INTEROPERABILITY))
        trial = ImageFileDirectory_v2()
        trial.update(tags)
        trial.tobytes()
    except Exception as error:  # Pillow raises whatever a damaged block happens to cause.
        raise UpscaleError(f"has damaged EXIF data ({error}); leave it out with --strip.") from error
    return tags

"""16-bit colour, which Pillow reduces to 8 bits without a word: read whole, written, or refused.

Pillow holds 16 bits in images of one channel only. Its unpackers of 16-bit colour keep one byte of the two:
the first as if of a big-endian sample (`RGB;16B`), the second as if of a little-endian one (`RGB;16L`). So
the same file, decoded once with each of them, yields both bytes, whatever its compression, predictor, tiles
or interlacing. What that does not reach:

- TIFF with a plane for each channel: the planes are read apart, as grey images, which Pillow does hold.
- PPM: read here, it is only numbers.
- What `refuse_reduced` names.
"""

import io
import math
import re
import struct
import sys
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from upscale_cli.errors import UpscaleError
from upscale_cli.images.pixels import CHANNELS, oriented
from upscale_cli.images.png import compressed

Layout = Literal["LA", "RGB", "RGBA", "CMYK"]
Samples = NDArray[np.uint16]

STRIP_BYTES = 1 << 18
"""Bytes of a TIFF strip before it is deflated, about."""

LONGEST_FILE = 2**32 - 2**24
"""Bytes of a TIFF file without its last directory, at most."""

# Tags of TIFF 6.0.
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_COUNTS = 273, 274, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR, RESOLUTION_UNIT, PREDICTOR = 282, 283, 284, 296, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA_SAMPLES = 322, 323, 324, 325, 338
XMP, EXIF, ICC, INTEROPERABILITY = 700, 34665, 34675, 40965

PLANE_TAGS = {WIDTH, HEIGHT, COMPRESSION, FILL_ORDER, STRIP_ROWS, PREDICTOR, TILE_WIDTH, TILE_HEIGHT}
"""Tags that each plane of a TIFF page takes over when it is read as a page of its own."""

DESCRIPTIVE_TAGS = {269, 270, 271, 272, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, 285, RESOLUTION_UNIT}
DESCRIPTIVE_TAGS |= {305, 306, 315, 316}
"""Tags of TIFF 6.0 that say something about the picture, and not where and how its pixels are stored."""


def is_deep(image: Image.Image) -> bool:
    """Whether an image, opened and not yet loaded, is one whose 16-bit samples Pillow would reduce.

    Of PNG, TIFF and PPM, which `read_deep` reads. Grey images are not: Pillow holds all of their bits.
    """
    if image.mode not in ("RGB", "RGBA", "CMYK") or not isinstance(image, ImageFile.ImageFile):
        return False
    if isinstance(image, TiffImageFile):
        return bool(max(image.tag_v2.get(BITS, (1,))) == 16)
    decoder, _, _, args = image.tile[0] if image.tile else ("", None, 0, None)
    if image.format == "PNG":
        return str(args).endswith(";16B")
    return decoder in ("ppm", "ppm_plain") and isinstance(args, tuple) and args[1] > 255


def read_deep(stream: BinaryIO, frame: int = 0) -> tuple[Samples, Layout]:
    """The samples of an image that `is_deep`.

    Parameters
    ----------
    stream : binary file
        Seekable; read from its beginning, and left anywhere.
    frame : int
        Page of a TIFF file.

    Returns
    -------
    uint16 (H, W, C)
        Alpha is not premultiplied. A PNG colour key (tRNS) has become alpha; PPM samples are scaled from
        0 … maxval to 0 … 65535, rounded half up. Rows and columns are as stored: the EXIF orientation has not
        been applied, in TIFF neither, where Pillow applies it to what it loads.
    layout : {"LA", "RGB", "RGBA", "CMYK"}
        What the channels are.

    Raises
    ------
    UpscaleError, OSError, SyntaxError, ValueError
        When the file is truncated or damaged: Pillow's exceptions where Pillow decodes. There is never a part
        of an image.
    """
    stream.seek(0)
    image = Image.open(stream, formats=("PNG", "TIFF", "PPM"))
    image.seek(frame)
    layout = cast(Layout, image.mode)
    if isinstance(image, TiffImageFile):
        if image.tag_v2.get(PLANAR, 1) == 2:
            samples = _read_planes(stream, image.tag_v2, CHANNELS[layout])
        else:
            samples = _read_twice(stream, frame, str(cast(tuple[Any, ...], image.tile[0].args)[0]))
        if image.tag_v2.get(EXTRA_SAMPLES, ())[:1] == (1,):
            _divide_by_alpha(samples)
        return samples, layout
    if image.format == "PPM":
        return _read_ppm(stream, image), layout
    raw_mode = str(image.tile[0].args)
    if raw_mode == "LA;16B":
        return _read_raw(stream, 0, "RGBA").view(">u2").astype(np.uint16), "LA"
    samples = _read_twice(stream, 0, raw_mode)
    key = image.info.get("transparency")
    if layout == "RGB" and key is not None:
        alpha = np.where((samples == np.array(key, np.uint16)).all(axis=2), 0, 65535)
        return np.dstack((samples, alpha.astype(np.uint16))), "RGBA"
    return samples, layout


def refuse_reduced(image: Image.Image, stream: BinaryIO) -> None:
    """Raise when Pillow would reduce an image, opened and not yet loaded, and `read_deep` cannot help.

    JPEG 2000 of more than 8 bits and several channels, AVIF of 10 and 12 bits, animated 16-bit PNG. The
    stream is left where it was.

    Raises
    ------
    UpscaleError
        With the number of bits.
    """
    position = stream.tell()
    stream.seek(0)
    bits = _stored_bits(image, stream)
    stream.seek(position)
    if bits > 8:
        raise UpscaleError(
            f"has {bits} bits a channel, which Pillow's {image.format} decoder reduces to 8; "
            "convert it to a 16-bit PNG or TIFF first."
        )


def write_deep_ppm(stream: BinaryIO, samples: Samples) -> None:
    """Samples (H, W, 3) as a binary PPM (P6) with the maximum 65535."""
    stream.write(b"P6\n%d %d\n65535\n" % (samples.shape[1], samples.shape[0]))
    stream.write(samples.astype(">u2").tobytes())


def write_deep_tiff(
    stream: BinaryIO,
    pages: Iterable[Samples],
    layout: Layout,
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> None:
    """A TIFF file with 16 bits a sample: little-endian, deflated strips, horizontal differences.

    Format: Adobe, "TIFF Revision 6.0", 1992 (horizontal differences: section 14), and "Photoshop TIFF
    Technical Notes", 2002 (deflate).

    Parameters
    ----------
    stream : binary file
        Only written to, forwards.
    pages : iterable of uint16 (H, W, C)
        At least one. One is held at a time, with the packed strips of another.
    layout : {"LA", "RGB", "RGBA", "CMYK"}
        What the channels are; alpha is not premultiplied. `LA` is written as RGBA, for Pillow opens no other.
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
    page: Samples | None = next(iterator)
    while page is not None:
        rows, strips = _packed(page, layout)
        size = sum(map(len, strips))
        if offset + size > LONGEST_FILE:
            raise UpscaleError("is more than a TIFF file can hold (4 GiB); write PNG, or make it smaller.")
        directory = _directory(page, layout, rows, strips)
        directory.update(tags)
        head = bytearray(directory.tobytes(offset))
        offset += len(head) + size
        page = next(iterator, None)
        if page is not None:
            struct.pack_into("<I", head, 2 + 12 * len(directory), offset)
        stream.write(head)
        stream.writelines(strips)


def _read_raw(stream: BinaryIO, frame: int, raw_mode: str) -> NDArray[np.uint8]:
    """An image as Pillow decodes it with another raw mode than it would choose, (H, W, bands)."""
    stream.seek(0)
    image = Image.open(stream, formats=("PNG", "TIFF"))
    image.seek(frame)
    for index, tile in enumerate(image.tile):
        args = (raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
        image.tile[index] = tile._replace(args=args)
    turned = image.tag_v2.get(ORIENTATION, 1) if isinstance(image, TiffImageFile) else 1
    image.load()
    return oriented(np.asarray(image), {6: 8, 8: 6}.get(turned, turned))


def _read_twice(stream: BinaryIO, frame: int, raw_mode: str) -> Samples:
    """Both bytes of each sample of an image that Pillow would read with `raw_mode`, put together."""
    name, _, order = raw_mode.partition(";16")
    # RGBa would be divided by alpha in 8 bits.
    bands = name.replace("a", "A")
    first, second = (_read_raw(stream, frame, f"{bands};16{kept}") for kept in "BL")
    big_endian = order == "B" or (order == "N" and sys.byteorder == "big")
    high, low = (first, second) if big_endian else (second, first)
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= low
    return samples


def _read_planes(stream: BinaryIO, tags: ImageFileDirectory_v2, count: int) -> Samples:
    """The first `count` planes of a TIFF page that has one for each channel.

    Each is read as a grey image: the same file, behind a directory that names only the strips or tiles of
    this plane.
    """
    stream.seek(0)
    data = stream.read()
    places, lengths = (STRIP_OFFSETS, STRIP_COUNTS) if STRIP_OFFSETS in tags else (TILE_OFFSETS, TILE_COUNTS)
    size = len(tags[places]) // tags[SAMPLES]
    planes = []
    for first in range(0, count * size, size):
        plane = ImageFileDirectory_v2(prefix=tags.prefix)
        for tag in PLANE_TAGS & set(tags):
            plane[tag] = tags[tag]
        plane[BITS], plane[PHOTOMETRIC], plane[SAMPLES] = 16, 1, 1
        plane.tagtype[places] = TiffTags.LONG
        plane[lengths] = tags[lengths][first : first + size]
        plane[places] = moved = tags[places][first : first + size]
        # The file follows the new directory. Pillow moves strips when it writes a directory, but not tiles.
        if places == TILE_OFFSETS:
            shift = 8 + len(plane.tobytes(8))
            plane[places] = tuple(shift + place for place in moved)
        header = (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08")[tags.prefix == b"MM"]
        image = Image.open(io.BytesIO(header + plane.tobytes(8) + data), formats=("TIFF",))
        image.load()
        planes.append(np.asarray(image))
    return np.stack(planes, axis=2).astype(np.uint16, copy=False)


def _divide_by_alpha(samples: Samples) -> None:
    """Colour · 65535 / alpha, rounded half up, in place; 0 where alpha is 0."""
    alpha = samples[..., 3:].astype(np.uint32)
    colour = (samples[..., :3] * np.uint32(65535) + alpha // 2) // np.maximum(alpha, 1)
    samples[..., :3] = np.where(alpha > 0, np.minimum(colour, 65535), 0)


def _read_ppm(stream: BinaryIO, image: ImageFile.ImageFile) -> Samples:
    """The samples of a P6 or P3 file whose header Pillow has read."""
    decoder, _, offset, args = image.tile[0]
    maximum = cast(tuple[Any, ...], args)[1]
    shape = (image.height, image.width, CHANNELS[image.mode])
    count = math.prod(shape)
    stream.seek(offset)
    values: NDArray[Any]
    if decoder == "ppm":
        data = stream.read(2 * count)
        values = np.frombuffer(data, ">u2", len(data) // 2)
    else:
        words = re.sub(rb"#[^\r\n]*", b"", stream.read()).split()[:count]
        values = np.array([int(word) for word in words], np.int64)
    if len(values) < count:
        raise UpscaleError(f"is truncated: {len(values)} of {count} samples are there; get the whole file.")
    if values.min() < 0 or values.max() > maximum:
        raise UpscaleError(f"has samples outside 0 to {maximum}: it is damaged; get another copy.")
    scaled = (values.astype(np.uint32) * np.uint32(65535) + np.uint32(maximum // 2)) // np.uint32(maximum)
    return scaled.astype(np.uint16).reshape(shape)


def _stored_bits(image: Image.Image, stream: BinaryIO) -> int:
    """Bits a channel of an image that Pillow would reduce to 8; 8 for any other."""
    if image.format == "JPEG2000":
        # Component depths in the SIZ marker segment, after SOC: ISO/IEC 15444-1, A.5.1.
        data = stream.read()
        start = data.find(b"\xff\x4f\xff\x51")
        count = int.from_bytes(data[start + 40 : start + 42], "big")
        depths = [(depth & 127) + 1 for depth in data[start + 42 : start + 42 + 3 * count : 3]]
        bits = max(depths, default=8)
        return bits if count > 1 or bits > 16 else 8
    if image.format == "AVIF":
        # "high_bitdepth" and "twelve_bit" of each av1C box: AOM, "AV1 Codec ISO Media File Format Binding",
        # section 2.3.
        flags: list[int] = [found[1][0] for found in re.finditer(rb"av1C\x81.(.)", stream.read(), re.DOTALL)]
        return max((8 if not flag & 64 else 12 if flag & 32 else 10 for flag in flags), default=8)
    if image.format == "PNG" and getattr(image, "is_animated", False) and is_deep(image):
        return 16
    return 8


def _packed(page: Samples, layout: Layout) -> tuple[int, list[bytes]]:
    """Rows a strip, and the strips: differences of each sample from the one a pixel to the left, deflated.

    The last strip ends on a word boundary, where a directory may follow.
    """
    rows = max(1, STRIP_BYTES // page[0].nbytes)
    strips = []
    for top in range(0, len(page), rows):
        samples = page[top : top + rows].astype("<u2")
        if layout == "LA":
            samples = samples[..., (0, 0, 0, 1)]
        samples[:, 1:] -= samples[:, :-1].copy()
        strips.append(compressed(samples.tobytes()))
    strips[-1] += b"\0" * (sum(map(len, strips)) % 2)
    return rows, strips


def _directory(page: Samples, layout: Layout, rows: int, strips: list[bytes]) -> ImageFileDirectory_v2:
    """Of one page; offsets count from the end of the directory, which Pillow adds when it writes it."""
    channels = 4 if layout == "LA" else CHANNELS[layout]
    sizes = [len(strip) for strip in strips]
    directory = ImageFileDirectory_v2()
    directory[HEIGHT], directory[WIDTH] = page.shape[:2]
    directory[BITS], directory[SAMPLES] = (16,) * channels, channels
    directory[COMPRESSION], directory[PREDICTOR], directory[PLANAR] = 8, 2, 1
    directory[PHOTOMETRIC] = 5 if layout == "CMYK" else 2
    if layout in ("LA", "RGBA"):
        directory[EXTRA_SAMPLES] = 2
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

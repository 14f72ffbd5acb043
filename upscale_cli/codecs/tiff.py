"""TIFF: opened by Pillow, 16-bit colour read with both bytes and by planes, every depth written here.

Pillow writes 16 bits of grey only, and reads separate planes of 16-bit colour not at all. Format: Adobe, "TIFF
Revision 6.0", 1992 (horizontal differences: section 14; sample formats: section 19), and "Photoshop TIFF Technical
Notes", 2002 (deflate). Pillow's directories carry the metadata.
"""

import io
import struct
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from upscale_cli.codecs import tiff_tags as tag
from upscale_cli.codecs.bytewise import read_both_bytes
from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.misreads import Layout
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture
from upscale_cli.codecs.png_stream import compressed
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import CHANNELS, Frame, Mode, to_mode

STRIP_BYTES = 1 << 18
"""Approximate bytes of a strip before it is deflated."""
LONGEST_FILE = 2**32 - 2**24
"""The most bytes of a file without its last directory."""

PLANE_TAGS = {tag.WIDTH, tag.HEIGHT, tag.COMPRESSION, tag.FILL_ORDER, tag.STRIP_ROWS, tag.PREDICTOR}
PLANE_TAGS |= {tag.TILE_WIDTH, tag.TILE_HEIGHT}
"""The tags that a plane takes over from its page when it is read as a page of its own."""
PHOTOMETRICS = {"L": 1, "LA": 1, "RGB": 2, "RGBA": 2, "P": 3, "CMYK": 5}
SAMPLE_FORMATS = {"u": 1, "b": 1, "i": 2, "f": 3}


class TiffPicture(PillowPicture):
    """A TIFF file."""

    names = ("TIFF",)

    def bits(self, image: Image.Image) -> int:
        # Pillow's grey of 16 bits and its 32-bit modes say what they are.
        tags = cast(TiffImageFile, image).tag_v2
        return _largest(tags, tag.BITS) if image.mode in CHANNELS else super().bits(image)

    def layout(self, image: Image.Image) -> Layout:
        tags = cast(TiffImageFile, image).tag_v2
        return (
            super()
            .layout(image)
            ._replace(sample_format=_largest(tags, tag.SAMPLE_FORMAT), photometric=tags.get(tag.PHOTOMETRIC))
        )

    def orientation_before_decoding(self) -> int:
        # The sides that Pillow tells are those of the upright page.
        return 1

    def check_header(self, image: Image.Image) -> None:
        check_directory(self.stream, cast(TiffImageFile, image).tag_v2)

    def read_samples(self, image: Image.Image, index: int) -> Frame:
        tags, mode = cast(TiffImageFile, image).tag_v2, cast(Mode, image.mode)
        if tags.get(tag.PLANAR, 1) == 2:
            samples = _read_planes(self.stream, tags, CHANNELS[mode])
        else:
            raw_mode = str(cast(tuple[Any, ...], cast(TiffImageFile, image).tile[0].args)[0])
            samples = read_both_bytes(self.stream, index, raw_mode)
        if tags.get(tag.EXTRA_SAMPLES, ())[:1] == (1,):
            _divide_by_alpha(samples)
        return Frame(samples, mode)


def open(stream: BinaryIO, format: Format, reading: Reading) -> TiffPicture:
    """Open a TIFF file; see `Codec`."""
    return TiffPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a TIFF file; see `Codec`."""
    write_tiff(stream, (frame.frame() for frame in frames), **how.stored("icc", "exif", "xmp", "dpi"))


def check_directory(stream: BinaryIO, tags: ImageFileDirectory_v2) -> None:
    """Raise `UpscaleError` if Pillow has not read all tags of a page that matter to its pixels.

    If the directory is cut off, or points beyond the end of the file, Pillow warns, leaves tags out, and decodes what
    the others seem to describe: another image.

    Parameters
    ----------
    stream : binary file
        Seekable; left anywhere.
    tags : PIL.TiffImagePlugin.ImageFileDirectory_v2
        The tags of a page that is not loaded yet.
    """
    stream.seek(2)
    big = 43 in stream.read(2)
    little = tags.prefix == b"II"
    entry = struct.Struct(("<" if little else ">") + ("HHQ8s" if big else "HHI4s"))
    stream.seek(tags.offset)
    count = int.from_bytes(stream.read(8 if big else 2), "little" if little else "big")
    entries = stream.read(min(count, 65535) * entry.size)
    complete = len(entries) == count * entry.size
    listed = {number for number, _, values, _ in entry.iter_unpack(entries) if values} if complete else set()
    if not complete or any(number < tag.XMP or number == tag.ICC for number in listed - set(tags)):
        raise UpscaleError("is truncated: a part of its directory is missing; get the complete file.")


def _largest(tags: ImageFileDirectory_v2, number: int) -> int:
    """Return the largest value of a tag; 1, the default of the tags that are asked for, if it has no numbers."""
    values = tags.get(number, ())
    return max((value for value in values if isinstance(value, int)), default=1)


def _read_planes(stream: BinaryIO, tags: ImageFileDirectory_v2, count: int) -> NDArray[np.uint16]:
    """Return the first `count` planes of a page that has one for each channel, (H, W, count).

    Each is read as a grey image: the same file, after a directory that names only the strips or tiles of this plane.
    """
    stream.seek(0)
    data = stream.read()
    strips = tag.STRIP_OFFSETS in tags
    offsets = tag.STRIP_OFFSETS if strips else tag.TILE_OFFSETS
    lengths = tag.STRIP_COUNTS if strips else tag.TILE_COUNTS
    size = len(tags.get(offsets, ())) // tags.get(tag.SAMPLES, 1)
    if not size or len(tags.get(lengths, ())) < count * size:
        raise UpscaleError("does not say where its pixels are; it is damaged, get another copy.")
    planes = []
    for first in range(0, count * size, size):
        plane = ImageFileDirectory_v2(prefix=tags.prefix)
        for number in PLANE_TAGS & set(tags):
            plane[number] = tags[number]
        plane[tag.BITS], plane[tag.PHOTOMETRIC], plane[tag.SAMPLES] = 16, 1, 1
        plane.tagtype[offsets] = TiffTags.LONG
        plane[lengths] = tags[lengths][first : first + size]
        plane[offsets] = moved = tags[offsets][first : first + size]
        # The file follows the new directory. Pillow moves strips when it writes a directory, but not tiles.
        if not strips:
            shift = 8 + len(plane.tobytes(8))
            plane[offsets] = tuple(shift + offset for offset in moved)
        header = (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08")[tags.prefix == b"MM"]
        image = Image.open(io.BytesIO(header + plane.tobytes(8) + data), formats=("TIFF",))
        image.load()
        planes.append(np.asarray(image))
    return np.stack(planes, axis=2).astype(np.uint16, copy=False)


def _divide_by_alpha(samples: NDArray[np.uint16]) -> None:
    """Replace premultiplied colour by colour · 65535 / alpha, rounded half up, in place; 0 where alpha is 0."""
    alpha = samples[..., 3:].astype(np.uint32)
    colour = (samples[..., :3].astype(np.uint32) * 65535 + alpha // 2) // np.maximum(alpha, 1)
    samples[..., :3] = np.where(alpha > 0, np.minimum(colour, 65535), 0)


def write_tiff(
    stream: BinaryIO,
    pages: Iterable[Frame],
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write a little-endian TIFF file with deflated strips.

    Parameters
    ----------
    stream : binary file
        Only written to, forwards.
    pages : iterable of Frame
        At least one, of a kind that the format can store. One is in memory at a time, with the compressed strips of
        another. Alpha is not premultiplied. 16-bit LA is written as RGBA, because Pillow opens no other.
    icc, exif, xmp : bytes, optional
        Metadata of every page.
    dpi : (float, float), optional
        Horizontal and vertical.

    Raises
    ------
    UpscaleError
        If the file would exceed the 4 GiB of TIFF, or the EXIF block is damaged.
    """
    tags = _exif_tags(exif) if exif else {}
    tags |= {number: payload for number, payload in ((tag.ICC, icc), (tag.XMP, xmp)) if payload}
    tags |= {tag.X_RESOLUTION: dpi[0], tag.Y_RESOLUTION: dpi[1], tag.RESOLUTION_UNIT: 2} if dpi else {}
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
            raise UpscaleError("is more than a TIFF file can store (4 GiB); use --format png, or a smaller scale.")
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
    """Return whether samples are stored as differences from the pixel to the left: 8 and 16 bits are, indices not."""
    return page.mode != "P" and page.samples.dtype in (np.uint8, np.uint16)


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


def _directory(page: Frame, rows: int, strips: list[bytes]) -> ImageFileDirectory_v2:
    """Return the directory of a page. Its offsets count from its own end, which Pillow adds when it writes it."""
    height, width, channels = page.samples.shape
    dtype, sizes = page.samples.dtype, [len(strip) for strip in strips]
    directory = ImageFileDirectory_v2()
    directory[tag.HEIGHT], directory[tag.WIDTH] = height, width
    directory[tag.BITS] = (1 if dtype.kind == "b" else 8 * dtype.itemsize,) * channels
    directory[tag.SAMPLES], directory[tag.SAMPLE_FORMAT] = channels, (SAMPLE_FORMATS[dtype.kind],) * channels
    directory[tag.COMPRESSION], directory[tag.PREDICTOR], directory[tag.PLANAR] = 8, 1 + _differences(page), 1
    directory[tag.PHOTOMETRIC] = PHOTOMETRICS[str(page.mode)]
    if page.alpha:
        directory[tag.EXTRA_SAMPLES] = 2
    if page.palette is not None:
        directory[tag.COLOUR_MAP] = tuple(int(v) * 257 for v in page.palette[:, :3].T.ravel())
    directory[tag.STRIP_ROWS], directory[tag.STRIP_COUNTS] = rows, tuple(sizes)
    directory[tag.STRIP_OFFSETS] = (0, *accumulate(sizes[:-1]))
    return directory


def _exif_tags(exif: bytes) -> dict[int, Any]:
    """Return an EXIF block as tags of a TIFF directory, without those that describe other pixels.

    Raises
    ------
    UpscaleError
        If it cannot be read, or cannot be written again.
    """
    try:
        block = Image.Exif()
        block.load(exif)
        kept = [number for number in block if number in tag.OF_EXIF or (number > tag.XMP and number != tag.ICC)]
        tags = {number: block[number] for number in kept}
        for number in tags.keys() & TiffTags.TAGS_V2_GROUPS.keys():
            tags[number] = dict(block.get_ifd(number))
        if tag.INTEROPERABILITY in tags.get(tag.EXIF, ()):
            tags[tag.EXIF][tag.INTEROPERABILITY] = dict(block.get_ifd(tag.INTEROPERABILITY))
        trial = ImageFileDirectory_v2()
        trial.update(tags)
        trial.tobytes()
    except Exception as error:  # Pillow raises whatever a damaged block happens to cause
        raise UpscaleError(f"has damaged EXIF data ({error}); leave it out with --strip.") from error
    return tags

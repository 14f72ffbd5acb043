"""JPEG, by Pillow: its first picture, written strip by strip. Metadata that Pillow leaves out is handled here.

Formats: JFIF 1.02; Adobe, "XMP Specification Part 3", 2020, section 1.1.3; "Ultra HDR Image Format v1.1", 2024.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import accumulate
from typing import BinaryIO, cast

from PIL import Image

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.jpeg_complete import Data, WatchedJpeg
from upscale_cli.codecs.jpeg_encoding import encoding_of
from upscale_cli.codecs.jpeg_segments import EOI, FRAMES, GAIN_MAP, behind, segments, written
from upscale_cli.codecs.jpeg_stream import END, JpegStream
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, pillow_options
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.exif import resolution
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame
from upscale_cli.image.xmp import announced, announcing, identifier, unannounced

XMP, EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
PHOTOSHOP, PROFILE = b"Photoshop 3.0\0", b"ICC_PROFILE\0"
PART = 65_400
"""Bytes of a long entry that go into one segment."""

READ = {
    "APP0": (b"JFIF\0",),
    "APP1": (b"Exif\0\0", XMP, EXTENSION),
    "APP2": (PROFILE, b"MPF\0", b"urn:iso:std:iso:ts:21496:-1"),
    "APP12": (b"Ducky",),
    "APP13": (PHOTOSHOP,),
    "APP14": (b"Adobe",),
    "COM": (b"",),
}
"""Beginnings of segments that are read, or that describe how the old pixels were stored."""
NAMED = (
    ("APP11", b"JP", "C2PA data (content credentials)"),
    ("APP1", b"FLIR\0", "thermal data (FLIR)"),
    ("APP0", b"JFXX\0", "JFXX thumbnail"),
    ("APP2", b"FPXR\0", "FlashPix data"),
)
"""Beginnings of segments that are not kept, and what people call them."""


class JpegPicture(PillowPicture):
    """A JPEG file. Pillow's opener would make several pictures of one with a preview or a gain map."""

    names = ("JPEG",)

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        if self._jpeg.info.get("progressive"):
            # It is decoded twice, and the second time beside the first: four bytes a pixel, and the coefficients.
            self.decoded += 4 + 2 * self.channels

    def open_image(self) -> Image.Image:
        self._check_kind()
        with suppress(Exception):  # Image.open says what is wrong with it
            self.stream.seek(0)
            return WatchedJpeg(self.stream)
        self.stream.seek(0)
        return super().open_image()

    def _check_kind(self) -> None:
        """Raise `UpscaleError` for JPEGs of other kinds than Pillow decodes."""
        frame = next((found for found in segments(self.stream) if found.marker in FRAMES), None)
        if frame is None or len(frame.content) < 6:
            return
        if kind := FRAMES[frame.marker]:
            raise UpscaleError(f"is a {kind}, which is not supported; convert it to PNG or TIFF first.")
        if frame.content[0] != 8:
            raise UpscaleError(
                f"has {frame.content[0]} bits per channel, which Pillow's JPEG decoder cannot read; "
                "convert it to a 16-bit PNG or TIFF first."
            )

    def decode(self) -> Iterator[Frame]:
        found = list(segments(self.stream))
        if not found or found[-1].marker != EOI:
            raise UpscaleError(
                "is truncated: its end marker is missing, and perhaps rows of pixels; get the complete file, "
                'or repair it with "jpegtran -copy all in.jpg > out.jpg".'
            )
        self.notes += self._left_out(found[-1].end)
        self._data = Data(self.stream, found)
        if (stop := self._data.single) is not None:
            self._jpeg.watch(stop)
        yield from super().decode()

    def read(self, image: Image.Image, index: int) -> Frame:
        frame = super().read(image, index)
        samples, data, jpeg = frame.samples, self._data, self._jpeg
        if jpeg.lacks_data or (data.single is None and data.lacks_rows(samples)):
            raise UpscaleError(
                "lacks the data of its last rows, or was damaged before them, though its end marker is there; "
                'get another copy, or accept that with "jpegtran -copy all in.jpg > out.jpg".'
            )
        if data.lacks_scans():
            self.notes.append("some of its scans are missing, so it is coarser than it was")
        elif jpeg.leaves_data or data.damaged(samples):
            self.notes.append("its data is damaged, so some of its pixels may be wrong")
        return frame

    @property
    def _jpeg(self) -> WatchedJpeg:
        return cast(WatchedJpeg, self.image)

    @property
    def _segments(self) -> list[tuple[str, bytes]]:
        return self._jpeg.applist

    def _left_out(self, end: int) -> Iterator[str]:
        """Yield what is left out: pictures and videos behind the end, and segments that nobody else can write."""
        found = behind(self.stream, end)
        announces = any(GAIN_MAP.search(content) for name, content in self._segments if name in ("APP1", "APP2"))
        gain_maps = found["gain maps"] or (announces and found["pictures"] > 0)
        if gain_maps:
            yield "its HDR gain map is left out"
        if found["videos"]:
            yield "its video (motion photo) is left out"
        if others := found["gain maps"] + found["pictures"] - gain_maps:
            yield f"only the first of its {others + 1} pictures is enlarged"
        if found["bytes"]:
            yield f"{found['bytes']:,} bytes behind its picture are left out"
        for what in sorted({_unread(*segment) for segment in self._segments} - {""}):
            yield f"its {what} is left out"

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        metadata, parts = super().metadata(image, index), self._segments
        resources = b"".join(content[len(PHOTOSHOP) :] for _, content in parts if content.startswith(PHOTOSHOP))
        comments = [content for name, content in parts if name == "COM"]
        unit, (x, y) = image.info.get("jfif_unit"), image.info.get("jfif_density", (0, 0))
        aspect = (x, y) if unit == 0 and x != y and x and y else None
        # Of EXIF, Pillow takes the horizontal resolution for both, and 72 where there is none.
        dpi = metadata.dpi if unit in (1, 2) else None if aspect else resolution(metadata.exif or b"")
        comment = b"\n".join(comments) or None
        metadata = metadata._replace(photoshop=resources or None, comment=comment, aspect=aspect, dpi=dpi)
        numbers = sorted(content[12:14] for _, content in parts if content.startswith(PROFILE))
        if numbers != [bytes((number, len(numbers))) for number in range(1, len(numbers) + 1)]:
            self.notes.append("its colour profile is damaged and left out")
            metadata = metadata._replace(icc=None)
        return self._with_extension(metadata)

    def _with_extension(self, metadata: Metadata) -> Metadata:
        """Return metadata with the extended XMP: parts with its identifier, its length and their offsets."""
        wanted = announced(metadata.xmp) if metadata.xmp else None
        found = [content[len(EXTENSION) :] for _, content in self._segments if content.startswith(EXTENSION)]
        if wanted is None and not found:
            return metadata
        own = sorted((part[32:40], part[40:]) for part in found if part[:32] == wanted)
        whole = b"".join(data for _, data in own)
        starts = accumulate((len(data) for _, data in own[:-1]), initial=0)
        if own and [place for place, _ in own] == [struct.pack(">II", len(whole), start) for start in starts]:
            return metadata._replace(extended_xmp=whole)
        self.notes.append("its extended XMP is incomplete and left out")
        return metadata._replace(xmp=unannounced(metadata.xmp)) if metadata.xmp else metadata


def _unread(name: str, content: bytes) -> str:
    """Return what people call a segment that is not kept; empty for those of `READ`."""
    if content.startswith(READ.get(name, ())):
        return ""
    return next((what for app, start, what in NAMED if (app, content[: len(start)]) == (name, start)), f"{name} data")


def open(stream: BinaryIO, format: Format, reading: Reading) -> JpegPicture:
    """Open a JPEG file; see `Codec`."""
    picture = JpegPicture(stream, format, reading)
    image = cast(WatchedJpeg, picture.image)
    picture.encoding = encoding_of(image, picture.orientation(image), image.size)
    return picture


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a JPEG file; see `Codec`."""
    image, metadata, encoding = next(frames), how.metadata, how.encoding
    _, _, channels = image.shape
    options = pillow_options(how) | {"quality": how.quality, "subsampling": "4:4:4", "xmp": None}
    options["extra"] = b"".join(_extra(metadata))
    if image.mode == "RGB" and encoding.subsampling:
        options["subsampling"] = encoding.subsampling
    if len(encoding.tables) == channels:
        # Pillow scales tables by a quality, if there is one. The last serves all channels that follow.
        tables = list(encoding.tables)
        while tables[-2:-1] == tables[-1:]:
            tables.pop()
        options |= {"quality": None, "qtables": tables}
    if metadata.aspect is not None:
        options["dpi"] = _density(metadata.aspect)
    jpeg = JpegStream(image.shape, str(image.mode), options)
    strips = image.packed(jpeg.pack, image.even_rows(jpeg.step, jpeg.most))
    first = bytearray(jpeg.part(next(strips)))
    if metadata.aspect is not None:  # the unit of the density, in the JFIF segment at the beginning, is none
        first[13] = 0
    stream.write(first)
    for packed in strips:
        stream.write(jpeg.part(packed))
    stream.write(END)


def _density(aspect: tuple[int, int]) -> tuple[int, int]:
    """Return an aspect in numbers of 16 bits."""
    ratio: Fraction = min(max(Fraction(*aspect), Fraction(1, 65535)), Fraction(65535))
    return ratio.limit_denominator(65535 if ratio < 1 else int(65535 / ratio)).as_integer_ratio()


def _extra(metadata: Metadata) -> Iterator[bytes]:
    """Yield the segments that Pillow does not write: XMP with its extension, and Photoshop's resources."""
    if metadata.xmp and metadata.extended_xmp:
        extension = metadata.extended_xmp
        yield written(1, XMP + announcing(metadata.xmp, extension))
        name = EXTENSION + identifier(extension)
        for start in range(0, len(extension), PART):
            place = struct.pack(">II", len(extension), start)
            yield written(1, name + place + extension[start : start + PART])
    elif metadata.xmp:
        yield written(1, XMP + metadata.xmp)
    resources = metadata.photoshop or b""
    for start in range(0, len(resources), PART):
        yield written(13, PHOTOSHOP + resources[start : start + PART])

"""JPEG 2000, by Pillow, which decodes several channels of more than 8 bits as 8: those files are refused."""

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

import numpy as np
from PIL import Image

from upscale_cli.codecs.bmff import boxes
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame, full_depth

SOC, SIZ, COD, SOT = b"\xff\x4f", b"\xff\x51", b"\xff\x52", b"\xff\x90"
"""Markers (ISO/IEC 15444-1, A.2): start of the codestream, its size, its coding style, and start of a tile part."""
MOST_SEGMENTS = 1000
"""Of a main header; others have tens. What comes after is not looked at."""
SIGN = 128
"""The bit of a component's depth that says that its samples are signed."""
XMP = b"uuid" + bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""The box of XMP: its name, and its identifier (Adobe, "XMP Specification Part 3", section 1.1.4)."""
NAMED = (
    (XMP, ""),
    (b"uuid" + bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03"), "georeference (GeoJP2)"),
    (b"uuidJpgTiffExif->JP2", "EXIF"),
    (b"uuid" + bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"), "IPTC"),
    (b"uuid", "UUID data"),
    (b"asoc", "labelled data (such as the georeference of GMLJP2)"),
    (b"jumb", "C2PA data (content credentials)"),
    (b"xml ", "XML"),
)
"""Beginnings of boxes, and what people call those that are not kept."""


class Jpeg2000Picture(PillowPicture):
    """A JPEG 2000 file, or a bare codestream."""

    names = ("JPEG2000",)

    def open_image(self) -> Image.Image:
        image = super().open_image()
        image.info["xmp"] = self._boxes.get(XMP)
        return image

    def bits(self, image: Image.Image) -> int:
        """Return the depth of the deepest component, from the SIZ marker segment (ISO/IEC 15444-1, A.5.1)."""
        return self._bits

    @property
    def _bits(self) -> int:
        return max((depth % SIGN + 1 for depth in self._depths), default=8)

    @cached_property
    def _depths(self) -> bytes:
        """One less than the bits of each component, with `SIGN` if it is signed."""
        segment = self._segments.get(SIZ, b"")
        return segment[38 : 38 + 3 * int.from_bytes(segment[36:38]) : 3]

    def read(self, image: Image.Image, index: int) -> Frame:
        """Return a frame as stored. Pillow only shifts samples of fewer bits than its own: 15 of 15 becomes 240."""
        frame, full = super().read(image, index), 8 * self.itemsize
        if not self.shifted:
            return frame
        every = zip(np.moveaxis(frame.samples, 2, 0), self._depths, strict=True)
        planes = [full_depth(plane >> full - 1 - depth, depth + 1, full > 8) for plane, depth in every]
        return frame._replace(samples=np.stack(planes, axis=2))

    @property
    def shifted(self) -> bool:
        """Whether a component has fewer bits than Pillow's samples."""
        return not {*self._depths} <= {8 * self.itemsize - 1}

    @cached_property
    def _boxes(self) -> dict[bytes, bytes]:
        """The beginnings of the boxes; what follows is kept of the first XMP alone, since others hold the pixels."""
        self.stream.seek(0)
        found: dict[bytes, bytes] = {}
        for box in boxes(self.stream.read()):
            begin = box.name + bytes(box.content[:16])
            found.setdefault(begin, bytes(box.content[16:]) if begin == XMP else b"")
        return found

    @property
    def lossy(self) -> bool:
        """Whether its wavelets cannot keep every value (A.6.1); those that can need not: a file may lack the rest."""
        return self._segments.get(COD, b"")[11:12] == b"\0"

    @cached_property
    def _segments(self) -> dict[bytes, bytes]:
        """The marker segments of the main header, from their lengths on, by their markers (ISO/IEC 15444-1, A.3)."""
        self.stream.seek(0)
        data = self.stream.read()
        found: dict[bytes, bytes] = {}
        start = data.find(SOC + SIZ) + len(SOC)
        for _ in range(MOST_SEGMENTS):
            marker, length = data[start : start + 2], int.from_bytes(data[start + 2 : start + 4], "big")
            if marker[:1] != b"\xff" or marker == SOT:
                break
            found[marker] = data[start + 2 : start + 2 + length]
            start += 2 + length
        return found

    def check_complete(self) -> None:
        """Raise `UpscaleError` for palettes and signs, and if no EOC marker follows the first SOT.

        Packed data holds no such bytes (ISO/IEC 15444-1, A.4).
        """
        if self.image.mode in ("P", "PA"):
            raise UpscaleError(
                "has a palette, whose equal colours Pillow's JPEG 2000 decoder merges; convert it to PNG first."
            )
        if any(depth & SIGN for depth in self._depths):
            raise UpscaleError(
                "has signed samples, which Pillow's JPEG 2000 decoder moves by half their range; "
                "convert it to TIFF first."
            )
        self.stream.seek(0)
        data = self.stream.read()
        if data.find(b"\xff\xd9", data.find(SOT)) < 0:
            raise UpscaleError("is truncated: its end is missing; get the complete file.")

    def left_out(self) -> list[str]:
        """Return what its boxes hold that is not kept, as notes."""
        found = {next((what for begin, what in NAMED if box.startswith(begin)), "") for box in self._boxes}
        return [f"its {what} is left out" for what in sorted(found - {""})]


def open(stream: BinaryIO, format: Format, reading: Reading) -> Jpeg2000Picture:
    """Open a JPEG 2000 file; see `Codec`."""
    picture = Jpeg2000Picture(stream, format, reading)
    picture.encoding = picture.encoding._replace(lossless=False if picture.lossy else None)
    picture.notes += picture.left_out()
    if picture.shifted:  # to spread the bits of a channel takes three arrays of 32
        picture.decoded += 12
    return picture


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a JPEG 2000 file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "JPEG2000")
    if xmp := how.stored("xmp")["xmp"]:
        stream.write(struct.pack(">I", 4 + len(XMP) + len(xmp)) + XMP + xmp)

"""JPEG 2000, by Pillow, which decodes several channels of more than 8 bits as 8: those files are refused."""

from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

from PIL import Image

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError

SOC, SIZ, COD, SOT = b"\xff\x4f", b"\xff\x51", b"\xff\x52", b"\xff\x90"
"""Markers (ISO/IEC 15444-1, A.2): start of the codestream, its size, its coding style, and start of a tile part."""
MOST_SEGMENTS = 1000
"""Of a main header; others have tens. What comes after is not looked at."""


class Jpeg2000Picture(PillowPicture):
    """A JPEG 2000 file, or a bare codestream."""

    names = ("JPEG2000",)

    def bits(self, image: Image.Image) -> int:
        """Return the depth of the deepest component, from the SIZ marker segment (ISO/IEC 15444-1, A.5.1)."""
        return self._bits

    @cached_property
    def _bits(self) -> int:
        segment = self._segments.get(SIZ, b"")
        count = int.from_bytes(segment[36:38], "big")
        return max(((depth & 127) + 1 for depth in segment[38 : 38 + 3 * count : 3]), default=8)

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
        """Raise `UpscaleError` for palettes, and if no EOC marker follows the first SOT: ISO/IEC 15444-1, A.4.

        Packed data holds no such bytes.
        """
        if self.image.mode in ("P", "PA"):
            raise UpscaleError(
                "has a palette, whose equal colours Pillow's JPEG 2000 decoder merges; convert it to PNG first."
            )
        self.stream.seek(0)
        data = self.stream.read()
        if data.find(b"\xff\xd9", data.find(SOT)) < 0:
            raise UpscaleError("is truncated: its end is missing; get the complete file.")


def open(stream: BinaryIO, format: Format, reading: Reading) -> Jpeg2000Picture:
    """Open a JPEG 2000 file; see `Codec`."""
    picture = Jpeg2000Picture(stream, format, reading)
    picture.encoding = picture.encoding._replace(lossless=False if picture.lossy else None)
    return picture


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a JPEG 2000 file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "JPEG2000")

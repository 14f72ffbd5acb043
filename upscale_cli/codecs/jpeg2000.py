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


class Jpeg2000Picture(PillowPicture):
    """A JPEG 2000 file, or a bare codestream."""

    names = ("JPEG2000",)

    def bits(self, image: Image.Image) -> int:
        """Return the depth of the deepest component, from the SIZ marker segment (ISO/IEC 15444-1, A.5.1)."""
        return self._bits

    @cached_property
    def _bits(self) -> int:
        self.stream.seek(0)
        segment = self.stream.read().partition(b"\xff\x4f\xff\x51")[2]
        count = int.from_bytes(segment[36:38], "big")
        return max(((depth & 127) + 1 for depth in segment[38 : 38 + 3 * count : 3]), default=8)

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
        if data.find(b"\xff\xd9", data.find(b"\xff\x90")) < 0:
            raise UpscaleError("is truncated: its end is missing; get the complete file.")


def open(stream: BinaryIO, format: Format, reading: Reading) -> Jpeg2000Picture:
    """Open a JPEG 2000 file; see `Codec`."""
    return Jpeg2000Picture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a JPEG 2000 file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "JPEG2000")

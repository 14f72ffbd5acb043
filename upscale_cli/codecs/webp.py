"""WebP, by Pillow."""

import struct
from collections.abc import Iterator
from os import SEEK_END
from typing import BinaryIO

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Encoding, Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.vp8 import HEADER, step
from upscale_cli.codecs.writing import Enlarged, Writing, alike

EFFORT = 50
"""Of lossless compression, 0 … 100. With Pillow's 80 photographs take seven times as long, and are as large."""


class WebpPicture(PillowPicture):
    """A WebP file."""

    names = ("WEBP",)

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        codings = [*_codings(stream, 12, stream.seek(0, SEEK_END))]
        lossless = {name for name, _ in codings} == {b"VP8L"}
        stream.seek(next((start for name, start in codings if name == b"VP8 "), 0))
        # In whole numbers, so that files of one quality have one header, and a plan checks it once.
        self.encoding = Encoding(lossless=lossless, exact=lossless, step=round(step(stream.read(HEADER))))


def _codings(stream: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int]]:
    """Yield the kind of every chunk of pixels, in frames too, and where they begin (RFC 9649, 2.7).

    VP8L is lossless, VP8 is not.
    """
    while start + 8 <= stop:
        stream.seek(start)
        name, size = struct.unpack("<4sI", stream.read(8))
        start += 8
        if name in (b"VP8 ", b"VP8L"):
            yield name, start
        elif name == b"ANMF":
            yield from _codings(stream, start + 16, min(start + size, stop))
        start += size + size % 2


def open(stream: BinaryIO, format: Format, reading: Reading) -> WebpPicture:
    """Open a WebP file; see `Codec`."""
    return WebpPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a WebP file, with the colour under transparent pixels; see `Codec`."""
    whole = alike([frame.frame() for frame in frames], how.format)
    quality = EFFORT if how.lossless else how.quality
    save(stream, whole, how, "WEBP", quality=quality, lossless=how.lossless, exact=True)

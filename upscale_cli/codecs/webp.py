"""WebP, by Pillow."""

import io
import struct
from collections.abc import Iterator
from itertools import pairwise
from os import SEEK_END
from typing import BinaryIO, NamedTuple

from PIL import Image

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Encoding, Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.vp8 import HEADER, step
from upscale_cli.codecs.writing import Enlarged, Writing, alike

EFFORT = 50
"""Of lossless compression, 0 … 100. With Pillow's 80 photographs take seven times as long, and are as large."""
EXTENDED = 30
"""Bytes of the header of a file that begins with a VP8X chunk."""
FLAGS, OPACITY, ANIMATED = 20, 0x10, 0x02
"""Where the flags of such a file are, and two of them (RFC 9649, 2.7)."""


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

    def open_image(self) -> Image.Image:
        """Return the image: one with opacity if it shows its canvas, which Pillow would otherwise fill with black."""
        head = self.stream.read(EXTENDED)
        self.stream.seek(0)
        if len(head) == EXTENDED and head[12:16] == b"VP8X" and head[FLAGS] & (ANIMATED | OPACITY) == ANIMATED:
            content = bytearray(self.stream.read())
            if _shows_canvas(content):
                content[FLAGS] |= OPACITY
            return Image.open(io.BytesIO(content), formats=self.names)
        return super().open_image()


class _Place(NamedTuple):
    """Where a frame is on the canvas, its sides, and whether the canvas is cleared there before the next."""

    left: int
    top: int
    right: int
    bottom: int
    cleared: bool = False

    def covers(self, other: "_Place") -> bool:
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom


def _shows_canvas(content: bytearray) -> bool:
    """Return whether an animation of opaque frames has pixels where no frame is.

    The canvas is transparent before the first frame, and where one is cleared (RFC 9649, 2.7.1.1).
    """
    right, bottom = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    frames = [_Place(0, 0, right, bottom, cleared=True), *_places(content)]
    return any(before.cleared and not after.covers(before) for before, after in pairwise(frames))


def _places(content: bytearray) -> Iterator[_Place]:
    """Yield the places of the frames of an animation."""
    start = 12
    while start + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, start)
        if name == b"ANMF" and size >= 16:
            numbers = (content[start + at : start + at + 3] for at in (8, 11, 14, 17))
            x, y, width, height = (int.from_bytes(each, "little") for each in numbers)
            right, bottom = 2 * x + width + 1, 2 * y + height + 1
            yield _Place(2 * x, 2 * y, right, bottom, cleared=bool(content[start + 23] & 1))
        start += 8 + size + size % 2


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
    quality, made = EFFORT if how.lossless else how.quality, io.BytesIO()
    save(made, whole, how, "WEBP", quality=quality, lossless=how.lossless, exact=True)
    content = bytearray(made.getbuffer())
    if len(whole) > 1 and whole[0].alpha and content[12:16] == b"VP8X":
        # libwebp omits it if what it stores of each frame is opaque, though the canvas around it shows.
        content[FLAGS] |= OPACITY
    stream.write(content)

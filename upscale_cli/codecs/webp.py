"""WebP, by Pillow."""

import io
import struct
from collections.abc import Iterator
from functools import partial
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
EXTENDED, FRAME = 30, 16
"""Bytes of the header of a file that begins with a VP8X chunk, and of that of a frame."""
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
        shown = _shows_canvas(self.stream)
        self.stream.seek(0)
        if not shown:
            return super().open_image()
        content = bytearray(self.stream.read())
        content[FLAGS] |= OPACITY
        return Image.open(io.BytesIO(content), formats=self.names)


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


def _shows_canvas(stream: BinaryIO) -> bool:
    """Return whether a file is an animation of opaque frames that has pixels where no frame is.

    The canvas is transparent before the first frame, and where one is cleared (RFC 9649, 2.7.1.1).
    """
    stream.seek(0)
    head = stream.read(EXTENDED)
    if len(head) < EXTENDED or head[12:16] != b"VP8X" or head[FLAGS] & (ANIMATED | OPACITY) != ANIMATED:
        return False
    right, bottom = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    frames = [_Place(0, 0, right, bottom, cleared=True), *_places(stream)]
    return any(before.cleared and not after.covers(before) for before, after in pairwise(frames))


def _places(stream: BinaryIO) -> Iterator[_Place]:
    """Yield the places of the frames of an animation."""
    for name, start, _ in _chunks(stream, 12, stream.seek(0, SEEK_END)):
        stream.seek(start)
        if name == b"ANMF" and len(head := stream.read(FRAME)) == FRAME:
            x, y, width, height = (int.from_bytes(head[at : at + 3], "little") for at in (0, 3, 6, 9))
            right, bottom = 2 * x + width + 1, 2 * y + height + 1
            yield _Place(2 * x, 2 * y, right, bottom, cleared=bool(head[15] & 1))


def _codings(stream: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int]]:
    """Yield the kind of every chunk of pixels, in frames too, and where they begin (RFC 9649, 2.7).

    VP8L is lossless, VP8 is not.
    """
    for name, begin, size in _chunks(stream, start, stop):
        if name in (b"VP8 ", b"VP8L"):
            yield name, begin
        elif name == b"ANMF":
            yield from _codings(stream, begin + FRAME, min(begin + size, stop))


def _chunks(stream: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of every chunk, where its content begins, and its size (RFC 9649, 2.3)."""
    while start + 8 <= stop:
        stream.seek(start)
        name, size = struct.unpack("<4sI", stream.read(8))
        start += 8
        yield name, start, size
        start += size + size % 2


def open(stream: BinaryIO, format: Format, reading: Reading) -> WebpPicture:
    """Open a WebP file; see `Codec`."""
    return WebpPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a WebP file, with the colour under transparent pixels; see `Codec`."""
    whole = alike([frame.frame() for frame in frames], how.format)
    quality = EFFORT if how.lossless else how.quality
    write_to = partial(save, frames=whole, how=how, pillow="WEBP", quality=quality, lossless=how.lossless, exact=True)
    if len(whole) == 1 or not whole[0].alpha:
        write_to(stream)
        return
    made = io.BytesIO()
    write_to(made)
    content = bytearray(made.getbuffer())
    if content[12:16] == b"VP8X":
        # libwebp omits it if what it stores of each frame is opaque, though the canvas around it shows.
        content[FLAGS] |= OPACITY
    stream.write(content)

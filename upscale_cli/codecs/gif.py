"""GIF: read and written frame by frame. Pillow merges equal frames, mixes up palettes, and clears to opaque colours.

Format: CompuServe, "Graphics Interchange Format, Version 89a", 1990. Only the LZW codes are Pillow's work.
"""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.codecs.canvas import CLEAR, KEEP
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.gif_frames import read_outline, shown
from upscale_cli.codecs.picture import Encoding, Reading, check_source
from upscale_cli.codecs.pillow import PillowPicture
from upscale_cli.codecs.writing import Enlarged, Writing, same_size
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, expand_palette, index_colours, quantise, widen

GREYS = np.stack([np.arange(256)] * 3 + [np.full(256, 255)], axis=1).astype(np.uint8)


class GifPicture(PillowPicture):
    """A GIF file. Pillow decodes a single frame that covers the canvas; other frames are drawn here."""

    names = ("GIF",)

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        self.outline = outline = read_outline(stream)
        check_source(outline.height, outline.width, reading)
        super().__init__(stream, format, reading)
        self.notes += outline.notes
        self.height, self.width = outline.height, outline.width
        self.encoding = Encoding(lossless=True, exact=True)
        self._drawn = self.count > 1 or outline.blocks[0][:4] != (0, 0, self.width, self.height)
        if self._drawn:
            # The canvas, what a frame hides of it, and the frame.
            self.channels, self.decoded = 4, 16

    def check_complete(self) -> None:
        if not self.outline.complete:
            raise UpscaleError("is truncated: its end is missing; get the complete file.")

    def frame_count(self) -> int:
        return len(self.outline.blocks)

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        outline = self.outline
        read = super().metadata(image, index)._replace(icc=outline.icc, xmp=outline.xmp, comment=outline.comment)
        return read._replace(plays=outline.plays if self.count > 1 else None, aspect=outline.aspect)

    def decode(self) -> Iterator[Frame]:
        if not self._drawn:
            yield from super().decode()
            return
        drawn = shown(self.stream, self.outline)
        for index, (block, rgba) in enumerate(zip(self.outline.blocks, drawn, strict=True)):
            opaque = bool((rgba[..., 3] == 255).all())
            yield Frame(
                samples=rgba[..., :3].copy() if opaque else rgba.copy(),
                mode="RGB" if opaque else "RGBA",
                duration=block.delay if self.count > 1 else None,
                metadata=self.metadata(self.image, index),
            )


def open(stream: BinaryIO, format: Format, reading: Reading) -> GifPicture:
    """Open a GIF file; see `Codec`."""
    return GifPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a GIF file; see `Codec`. A frame without transparency is cut to what differs from the one before."""
    plays, comment = how.metadata.plays, how.metadata.comment
    pages = same_size([_indexed(frame.frame()) for frame in frames], how.format)
    height, width = pages[0].samples.shape[:2]
    shows = [_shows(page) for page in pages]
    if any(shows):
        pages = [(page.samples.max() == 255 and index_colours(page)) or page for page in pages]
    palettes = [_palette(page, any(shows)) for page in pages]
    # A frame without a transparent colour is cleared to the background, which is a colour of the common table.
    _, table, bits = (-1, b"", 1) if any(shows) and min(palettes)[0] < 0 else palettes[0]
    stream.write(
        struct.pack("<6sHHBBB", b"GIF89a", width, height, (0xF0 if table else 0x70) | bits - 1, 0, 0) + table
    )
    if plays is not None and plays != 1:
        stream.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", max(plays - 1, 0), 0))
    if comment:
        stream.write(b"!\xfe" + _blocks(comment))
    seen = None
    for index, (page, (clear, colours, bits)) in enumerate(zip(pages, palettes, strict=True)):
        # If the next frame is transparent, this one would show through: then all of this one is cleared.
        disposal = CLEAR if any(shows[index + 1 : index + 2]) else KEEP
        before, seen = seen, expand_palette(page).samples[..., :3]
        if before is not None and disposal == KEEP and not any(shows[index - 1 : index + 1]):
            top, left, bottom, right = _changed(before, seen)
        else:
            top, left, bottom, right = 0, 0, height, width
        delay = round((page.duration or 0) / 10)
        stream.write(struct.pack("<2sBBHBB", b"!\xf9", 4, disposal << 2 | (clear >= 0), delay, max(clear, 0), 0))
        own = b"" if colours == table else colours
        flags = 0x80 | bits - 1 if own else 0
        stream.write(struct.pack("<sHHHHB", b",", left, top, right - left, bottom - top, flags) + own)
        stream.write(_codes(page.samples[top:bottom, left:right, 0]))
    stream.write(b";")


def _indexed(frame: Frame) -> Frame:
    """Return a frame with a palette."""
    frame = widen(frame)
    if frame.mode == "L":
        return frame._replace(mode="P", palette=GREYS)
    return frame if frame.mode == "P" else quantise(frame)


def _palette(frame: Frame, transparent: bool) -> tuple[int, bytes, int]:
    """Return the index of the transparent colour, or −1; the colours; and the bits of an index."""
    assert frame.palette is not None
    clear = int(np.append(np.flatnonzero(frame.palette[:, 3] == 0), -1)[0])
    last = max(int(frame.samples.max()), clear)
    # Some decoders clear frames without a transparent colour to the background.
    if transparent and clear < 0 and last < 255:
        clear = last = last + 1
    bits = max(1, last.bit_length())
    return clear, frame.palette[: 1 << bits, :3].tobytes(), bits


def _shows(frame: Frame) -> bool:
    """Return whether a frame has transparent pixels."""
    assert frame.palette is not None
    return bool((frame.palette[:, 3] == 0)[frame.samples].any())


def _changed(before: NDArray[np.uint8], colours: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of what differs; one pixel if nothing does."""
    differs = (before != colours).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _codes(indices: NDArray[np.uint8]) -> bytes:
    """Return the LZW codes of indices (h, w), in blocks: those of a file that Pillow makes of them."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(indices)).save(stream, "GIF", interlace=0, optimize=False)
    data = stream.getvalue()
    place = 13 + (3 << (data[10] & 7) + 1)
    assert data[place : place + 1] == b","
    return data[place + 10 : -1]


def _blocks(data: bytes) -> bytes:
    """Return data in blocks of up to 255 bytes, each after its length, and the empty one that ends them."""
    parts = (data[start : start + 255] for start in range(0, len(data), 255))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"

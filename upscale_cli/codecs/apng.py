"""The frames of an animated PNG as viewers show them; Pillow draws colours over half-transparent ones otherwise.

Pillow decodes each frame alone, from a PNG that holds it, and they are drawn here.
Format: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025, called "PNG" below.
"""

import io
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from upscale_cli.codecs.png_stream import SIGNATURE, chunk
from upscale_cli.errors import UpscaleError

CLEAR, RESTORE = 1, 2
"""What becomes of a frame before the next is drawn, unless it stays (PNG, section 11.3.6.2)."""
OVER = 1
"""A frame is drawn over what is there, and does not replace it."""
NEEDED = (b"PLTE", b"tRNS")
"""Chunks that pixels are decoded with."""
FACTORS = {"L;2": 85, "L;4": 17}
"""What Pillow multiplies samples of 2 and 4 bits by, but not the transparent one."""


class Block(NamedTuple):
    """A frame in a file: its place on the canvas, how it is drawn, milliseconds, and where its data lies."""

    left: int
    top: int
    width: int
    height: int
    dispose: int
    over: bool
    delay: float
    data: list[tuple[int, int]]


class Outline(NamedTuple):
    """What an animated PNG consists of.

    Attributes
    ----------
    header : bytes
        The payload of IHDR.
    needed : dict
        The payloads of other chunks that pixels are decoded with.
    blocks : list of Block
        The frames of the animation.
    """

    header: bytes
    needed: dict[bytes, bytes]
    blocks: list[Block]

    @property
    def plain(self) -> bool:
        """Whether each frame takes the place of what was there, and none is cleared: then Pillow draws them right."""
        opaque = self.header[9] in (0, 2, 3) and b"tRNS" not in self.needed
        covers = self.blocks[0][:4] == (0, 0, *struct.unpack(">II", self.header[:8]))
        return covers and all(not block.dispose and (opaque or not block.over) for block in self.blocks)


def read_outline(stream: BinaryIO) -> Outline | None:
    """Return the outline of a PNG whose chunks are whole; None if it has no frames (PNG, section 11.3.6)."""
    length = stream.seek(0, os.SEEK_END)
    position, header = len(SIGNATURE), b""
    needed: dict[bytes, bytes] = {}
    blocks: list[Block] = []
    while position + 12 <= length:
        stream.seek(position)
        size, name = struct.unpack(">I4s", stream.read(8))
        if name == b"IHDR":
            header = stream.read(size)
        elif name in NEEDED:
            needed[name] = stream.read(size)
        elif name == b"fcTL":
            _, width, height, left, top, count, parts, dispose, over = struct.unpack(
                ">5IHHBB", stream.read(26).ljust(26, b"\0")
            )
            delay = 1000 * count / (parts or 100)
            blocks.append(Block(left, top, width, height, dispose=dispose, over=over == OVER, delay=delay, data=[]))
        elif blocks and name in (b"IDAT", b"fdAT"):
            # A sequence number stands before the data.
            skipped = 4 * (name == b"fdAT")
            blocks[-1].data.append((position + 8 + skipped, size - skipped))
        position += 12 + size
    return Outline(header, needed, blocks) if blocks else None


def shown(stream: BinaryIO, outline: Outline) -> Iterator[NDArray[np.uint8]]:
    """Yield what viewers show for each frame: R, G, B and opacity, (H, W, 4). It is overwritten."""
    width, height = struct.unpack(">II", outline.header[:8])
    canvas = np.zeros((height, width, 4), np.uint8)
    for number, block in enumerate(outline.blocks):
        place = canvas[block.top : block.top + block.height, block.left : block.left + block.width]
        if place.shape[:2] != (block.height, block.width):
            raise UpscaleError("has a frame that does not lie within the picture; it is damaged, get another copy.")
        before = place.copy() if block.dispose == RESTORE and number else None
        own = _decoded(stream, outline, block)
        place[:] = _over(own, place) if block.over else own
        yield canvas
        if before is not None:
            place[:] = before
        elif block.dispose in (CLEAR, RESTORE):
            place[:] = 0


def _decoded(stream: BinaryIO, outline: Outline, block: Block) -> NDArray[np.uint8]:
    """Return the pixels of a frame (h, w, 4)."""
    chunks = [(b"IHDR", struct.pack(">II", block.width, block.height) + outline.header[8:]), *outline.needed.items()]
    data = []
    for start, size in block.data:
        stream.seek(start)
        data.append(stream.read(size))
    chunks += [(b"IDAT", b"".join(data)), (b"IEND", b"")]
    whole = SIGNATURE + b"".join(chunk(name, [payload]) for name, payload in chunks)
    with PngImageFile(io.BytesIO(whole)) as image:
        spread_key(image)
        return np.asarray(image.convert("RGBA"))


def spread_key(image: PngImageFile) -> None:
    """Spread the transparent grey of an image that is not loaded over 8 bits, as Pillow spreads samples alone."""
    factor = FACTORS.get(str(image.tile[0].args) if image.tile else "")
    if factor and "transparency" in image.info:
        image.info["transparency"] *= factor


def _over(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return colours over others, neither multiplied by its opacity (PNG, section 13.16): (h, w, 4)."""
    above, below = (each[..., 3:].astype(np.int64) for each in (upper, lower))
    # Parts of 255 · 255.
    own, other = above * 255, below * (255 - above)
    total = own + other
    colours = (2 * (upper[..., :3] * own + lower[..., :3] * other) + total) // np.maximum(2 * total, 1)
    opacity = (2 * total + 255) // 510
    return np.concatenate((colours, opacity), axis=2).astype(np.uint8)

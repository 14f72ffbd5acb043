"""Writing GIF: every frame as it is, where Pillow merges those that are alike and mixes up palettes.

Format: CompuServe, "Graphics Interchange Format, Version 89a", 1990. Only the LZW codes are made by Pillow.
"""

import io
import struct
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.errors import UpscaleError
from upscale_cli.images.pixels import Frame, expand_palette, index_colours, quantise, widen

KEEP, CLEAR = 1, 2
"""What becomes of a frame when the next one is drawn: it stays, or its rectangle becomes transparent."""
GREYS = np.stack([np.arange(256)] * 3 + [np.full(256, 255)], axis=1).astype(np.uint8)


def write_gif(
    stream: BinaryIO, frames: Iterable[Frame], *, loop: int | None = None, comment: bytes | None = None
) -> None:
    """A GIF file. A frame that shows no transparency is cut to what differs from the one before.

    Parameters
    ----------
    stream : binary file
        Only written to, forwards.
    frames : iterable of Frame
        At least one, of 8 bits or one, all of one size. Colours that do not fit into a palette are reduced, and
        opacity becomes all or nothing.
    loop : int, optional
        How often the animation is repeated; 0 for ever.
    comment : bytes, optional

    Raises
    ------
    UpscaleError
        When frames have different sizes.
    """
    pages = [_indexed(frame) for frame in frames]
    height, width = pages[0].samples.shape[:2]
    if any(page.samples.shape[:2] != (height, width) for page in pages):
        raise UpscaleError("has pages of different sizes, and gif holds frames of one; choose --format tiff.")
    shows = [_shows(page) for page in pages]
    if any(shows):
        pages = [(page.samples.max() == 255 and index_colours(page)) or page for page in pages]
    table = b""
    for index, page in enumerate(pages):
        clear, colours, bits = _palette(page, any(shows))
        if not table:
            table = colours
            stream.write(struct.pack("<6sHHBBB", b"GIF89a", width, height, 0xF0 | bits - 1, 0, 0) + table)
            if loop is not None:
                stream.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loop, 0))
            if comment:
                stream.write(b"!\xfe" + _blocks(comment))
        # Where the next one is transparent this one would show through: then all of this one is cleared.
        disposal = CLEAR if any(shows[index + 1 : index + 2]) else KEEP
        if index and disposal == KEEP and not any(shows[index - 1 : index + 1]):
            top, left, bottom, right = _changed(pages[index - 1], page)
        else:
            top, left, bottom, right = 0, 0, height, width
        delay = min(round((page.duration or 0) / 10), 65535)
        stream.write(struct.pack("<2sBBHBB", b"!\xf9", 4, disposal << 2 | (clear >= 0), delay, max(clear, 0), 0))
        own = b"" if colours == table else colours
        flags = 0x80 | bits - 1 if own else 0
        stream.write(struct.pack("<sHHHHB", b",", left, top, right - left, bottom - top, flags) + own)
        stream.write(_codes(page.samples[top:bottom, left:right, 0]))
    stream.write(b";")


def _indexed(frame: Frame) -> Frame:
    """A frame with a palette."""
    frame = widen(frame)
    if frame.mode == "L":
        return frame._replace(mode="P", palette=GREYS)
    return frame if frame.mode == "P" else quantise(frame)


def _palette(frame: Frame, transparent: bool) -> tuple[int, bytes, int]:
    """The index of the transparent colour, or −1; the colours; and the binary digits of their number.

    In a transparent animation each frame has such a colour, unless it has 256 others: some decoders clear frames
    without one to the background colour.
    """
    assert frame.palette is not None
    clear = int(np.append(np.flatnonzero(frame.palette[:, 3] == 0), -1)[0])
    last = max(int(frame.samples.max()), clear)
    if transparent and clear < 0 and last < 255:
        clear = last = last + 1
    bits = max(1, last.bit_length())
    return clear, frame.palette[: 1 << bits, :3].tobytes(), bits


def _shows(frame: Frame) -> bool:
    """Whether a frame has transparent pixels."""
    assert frame.palette is not None
    return bool((frame.palette[:, 3] == 0)[frame.samples].any())


def _changed(before: Frame, frame: Frame) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what differs; of one pixel where nothing does."""
    differs = (expand_palette(before).samples[..., :3] != expand_palette(frame).samples[..., :3]).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _codes(indices: NDArray[np.uint8]) -> bytes:
    """LZW codes of indices (h, w), in blocks: those of a file that Pillow makes of them."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(indices)).save(stream, "GIF", interlace=0, optimize=False)
    data = stream.getvalue()
    place = 13 + (3 << (data[10] & 7) + 1)
    assert data[place : place + 1] == b","
    return data[place + 10 : -1]


def _blocks(data: bytes) -> bytes:
    """Data in blocks of up to 255 bytes, each behind its length, and the empty one that ends them."""
    parts = (data[start : start + 255] for start in range(0, len(data), 255))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"

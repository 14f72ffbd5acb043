"""The frames of a GIF as viewers show them: its blocks, and the canvas that they are drawn on.

Format: CompuServe, "Graphics Interchange Format, Version 89a", 1990. Where it is silent, ffmpeg decides, which most
viewers agree with. Pillow draws otherwise: it fills what was cleared with an opaque colour. It decodes each block.
"""

import io
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.codecs.canvas import CLEAR, KEEP, RESTORE, drawn

XMP, TRAILER = b"XMP DataXMP", bytes((1, *range(255, -1, -1), 0))
"""What begins the block of an XMP packet, and what follows the packet, whose bytes decoders take for lengths:
wherever these lead them, they come to the end (Adobe, "XMP Specification Part 3", section 1.1.2).
"""
PROFILE = b"ICCRGBG1012"
"""The application of a colour profile (ICC.1, annex B)."""
TIMING = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
"""The applications that say how an animation is shown."""
PLAIN_TEXT, COMMENT, APPLICATION = b"\x01", b"\xfe", b"\xff"
"""Labels of extensions."""
BEGINNING = 16
"""Bytes that tell what an extension is."""
MOST_NAMES = 12
"""The most applications that a note names."""


class Block(NamedTuple):
    """The picture of one frame.

    Attributes
    ----------
    left, top, width, height : int
        Its place on the canvas.
    interlaced : bool
    palette : uint8 array (256, 3) or None
        Its own.
    data : (int, int)
        Where its codes begin and end in the file.
    disposal : int
    clear : int
        The index of the transparent colour; −1 for none.
    delay : int
        Milliseconds.
    """

    left: int
    top: int
    width: int
    height: int
    interlaced: bool
    palette: NDArray[np.uint8] | None
    data: tuple[int, int]
    disposal: int
    clear: int
    delay: int


class Outline(NamedTuple):
    """What a GIF holds, without its pixels.

    Attributes
    ----------
    width, height : int
        The canvas: the file's, or more if a frame is larger than that.
    palette : uint8 array (256, 3) or None
        Of frames without their own.
    background : int
        An index into it.
    blocks : list of Block
    plays : int
        How often the animation is shown; 0 for ever.
    complete : bool
        It has its end.
    icc, xmp, comment : bytes or None
    aspect : (int, int) or None
        See `Metadata`.
    notes : list of str
        What is left out.
    """

    width: int
    height: int
    palette: NDArray[np.uint8] | None
    background: int
    blocks: list[Block]
    plays: int
    complete: bool
    icc: bytes | None
    xmp: bytes | None
    comment: bytes | None
    aspect: tuple[int, int] | None
    notes: list[str]


def read_outline(stream: BinaryIO) -> Outline:
    """Return the outline of a GIF: GIF89a, sections 17 to 27."""
    stream.seek(6)
    width, height, flags, background, shape = struct.unpack("<HHBBB", stream.read(7).ljust(7, b"\0"))
    palette = _read_palette(stream, flags)
    blocks: list[Block] = []
    others: list[tuple[bytes, bytes]] = []
    plays, control, xmp = 1, bytes(4), None
    while (kind := stream.read(1)) not in (b"", b";"):
        if kind == b"!":
            label, start = stream.read(1), stream.tell()
            data = _read_data(stream, BEGINNING)
            if label == b"\xf9":
                control = data[:4].ljust(4, b"\0")
            elif label == APPLICATION and data.startswith(TIMING):
                if data[11:12] == b"\x01" and len(data) > 13:
                    # Repeats, not plays.
                    repeats = int.from_bytes(data[12:14], "little")
                    plays = repeats + 1 if repeats else 0
            elif label == APPLICATION and data.startswith(XMP):
                start, end = start + 1 + len(XMP), stream.tell()
                stream.seek(start)
                xmp = stream.read(end - start).removesuffix(TRAILER)
            else:
                if label == COMMENT or _is_profile(label, data):
                    stream.seek(start)
                    data = _read_data(stream)
                others.append((label, data))
        elif kind == b",":
            blocks.append(_read_block(stream, control))
            control = bytes(4)
        # What is between blocks is passed over, as Pillow does.
    for block in blocks:
        if block.width > width or block.height > height:
            width, height = max(width, block.left + block.width), max(height, block.top + block.height)
    size = max(1, width), max(1, height)
    return Outline(
        *size,
        palette,
        background,
        blocks=blocks,
        plays=plays,
        complete=kind == b";",
        icc=next((data[len(PROFILE) :] for label, data in others if _is_profile(label, data)), None) or None,
        xmp=xmp,
        comment=b"\n".join(data for label, data in others if label == COMMENT and data) or None,
        # A pixel is (shape + 15) / 64 as wide as it is high.
        aspect=Fraction(64, shape + 15).as_integer_ratio() if shape else None,
        notes=list(_left_out(others)),
    )


def _is_profile(label: bytes, data: bytes) -> bool:
    return label == APPLICATION and data.startswith(PROFILE)


def _left_out(extensions: list[tuple[bytes, bytes]]) -> Iterator[str]:
    """Yield what is left out of extensions, by their labels and contents, as notes."""
    labels = {label for label, _ in extensions}
    if PLAIN_TEXT in labels:
        yield "its plain text is left out"
    applications = [data[:11] for label, data in extensions if label == APPLICATION and not _is_profile(label, data)]
    readable = (re.sub(r"[^!-~]+", " ", name.decode("latin-1")).strip() for name in applications)
    names = list(dict.fromkeys(name or "unnamed" for name in readable))
    names[MOST_NAMES:] = [f"{len(names) - MOST_NAMES:,} more"] if len(names) > MOST_NAMES else []
    if names:
        yield f"its application data ({', '.join(names)}) is left out"
    if labels - {PLAIN_TEXT, COMMENT, APPLICATION}:
        yield "its extensions of unknown kinds are left out"


def _read_block(stream: BinaryIO, control: bytes) -> Block:
    left, top, width, height, flags = struct.unpack("<4HB", stream.read(9).ljust(9, b"\0"))
    palette = _read_palette(stream, flags)
    start = stream.tell()
    stream.seek(1, 1)
    _read_data(stream, 0)
    disposal = control[0] >> 2 & 7
    return Block(
        left,
        top,
        width,
        height,
        interlaced=bool(flags & 0x40),
        palette=palette,
        data=(start, stream.tell()),
        disposal=disposal if disposal in (CLEAR, RESTORE) else KEEP,
        clear=control[3] if control[0] & 1 else -1,
        delay=10 * int.from_bytes(control[1:3], "little"),
    )


def _read_palette(stream: BinaryIO, flags: int) -> NDArray[np.uint8] | None:
    """Return the table of colours that follows if the flags say so; colours beyond it are black."""
    if not flags & 0x80:
        return None
    palette = np.zeros((256, 3), np.uint8)
    read = stream.read(3 << (flags & 7) + 1)
    palette.reshape(-1)[: len(read)] = np.frombuffer(read, np.uint8)
    return palette


def _read_data(stream: BinaryIO, least: int | None = None) -> bytes:
    """Return the content of a chain of data blocks: all, or at least so many bytes, and pass over the rest."""
    parts, count = list[bytes](), 0
    while (size := stream.read(1)) not in (b"", b"\0"):
        if least is None or count < least:
            parts.append(stream.read(size[0]))
            count += size[0]
        else:
            stream.seek(size[0], 1)
    return b"".join(parts)


def indices(stream: BinaryIO, block: Block) -> NDArray[np.uint8]:
    """Return the indices (h, w) of a block, which Pillow decodes from a file that holds it alone."""
    start, stop = block.data
    stream.seek(start)
    size = struct.pack("<HH", block.width, block.height)
    head = b"GIF89a" + size + bytes(3) + b"," + bytes(4) + size + bytes([0x40 * block.interlaced])
    with Image.open(io.BytesIO(head + stream.read(stop - start) + b";"), formats=("GIF",)) as image:
        return np.asarray(image)


def shown(stream: BinaryIO, outline: Outline) -> Iterator[NDArray[np.uint8]]:
    """Yield what viewers show for each frame: RGBA (H, W, 4), transparent pixels being 0. It is overwritten."""
    canvas = np.zeros((outline.height, outline.width, 4), np.uint8)
    behind = np.zeros(4, np.uint8)
    if outline.palette is not None:
        behind[:3], behind[3] = outline.palette[outline.background], 255
        if outline.blocks and outline.blocks[0].clear < 0:
            canvas[:] = behind
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    for block in outline.blocks:
        with drawn(canvas, block[:4], block.disposal, 0 if block.clear >= 0 else behind) as place:
            if place.size:
                index = indices(stream, block)[: place.shape[0], : place.shape[1]]
                own = block.palette if block.palette is not None else outline.palette
                colours = (greys if own is None else own)[index]
                np.copyto(place[..., :3], colours, where=(index != block.clear)[..., None])
                place[..., 3][index != block.clear] = 255
            yield canvas

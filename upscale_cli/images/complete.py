"""What Pillow does not ask a file before it decodes: whether it is all there, and how far its frames reach."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from upscale_cli.errors import UpscaleError


def refuse_truncated(image: Image.Image, stream: BinaryIO) -> None:
    """Raise when an opened GIF or JPEG 2000 has lost its end. The stream is left where it was.

    Raises
    ------
    UpscaleError
        When what marks the end is missing.
    """
    position = stream.tell()
    stream.seek(0)
    ends = {"GIF": _gif_ends, "JPEG2000": _codestream_ends}.get(image.format or "")
    whole = ends is None or ends(stream)
    stream.seek(position)
    if not whole:
        raise UpscaleError("is truncated: what is there decodes, but its end is missing; get the whole file.")


def gif_canvas(stream: BinaryIO) -> tuple[int, int]:
    """Height and width that the frames of a GIF reach, beyond its own as well; the stream is left at its beginning.

    Pillow makes its canvas as large while it looks for frames, and fills it, before anybody can ask how large it is.
    """
    stream.seek(6)
    width, height = (max(1, side) for side in struct.unpack("<HH", stream.read(4).ljust(4, b"\0")))
    for kind, head in _gif_blocks(stream):
        if kind == b",":
            left, top, wide, high = struct.unpack("<4H", head[:8])
            width, height = max(width, left + wide), max(height, top + high)
    stream.seek(0)
    return height, width


def _gif_ends(stream: BinaryIO) -> bool:
    """Whether a trailer follows the last block."""
    return any(kind == b";" for kind, _ in _gif_blocks(stream))


def _gif_blocks(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """What introduces each block of a GIF, and of each frame its descriptor: GIF89a, sections 15 to 27."""
    stream.seek(10)
    flags = stream.read(3)[:1] or b"\0"
    stream.seek(3 << (flags[0] & 7) + 1 if flags[0] & 0x80 else 0, 1)
    while kind := stream.read(1):
        if kind == b";":
            yield kind, b""
            return
        if kind == b"!":
            yield kind, stream.read(1)
        elif kind == b",":
            head = stream.read(9).ljust(9, b"\0")
            yield kind, head
            stream.seek((3 << (head[8] & 7) + 1 if head[8] & 0x80 else 0) + 1, 1)
        else:
            continue  # Pillow passes over what is between blocks
        while size := stream.read(1)[:1]:
            if not size[0]:
                break
            stream.seek(size[0], 1)


def _codestream_ends(stream: BinaryIO) -> bool:
    """Whether an EOC marker follows the first SOT: ISO/IEC 15444-1, A.4. Packed data holds no such bytes."""
    data = stream.read()
    return data.find(b"\xff\xd9", data.find(b"\xff\x90")) >= 0

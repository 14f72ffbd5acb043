"""Boxes of an AVIF, JPEG XL or JPEG 2000 file: ISO/IEC 14496-12 (base media file format), 23008-12 (image items)."""

import io
import re
from collections.abc import Iterator
from typing import NamedTuple

NCLX = re.compile(rb"colrnclx(?s:(..)(..))")
"""The beginning of a box of colours, with primaries and transfer as ITU-T H.273 numbers them."""
NOTHING = memoryview(b"")


class Box(NamedTuple):
    """A box: its name, its content, and where it ends."""

    name: bytes
    content: memoryview
    stop: int


def boxes(data: bytes | memoryview) -> Iterator[Box]:
    """Yield the boxes of a file or of a box's content. It stops at a box that is longer than there is room."""
    data, start = memoryview(data), 0
    while start + 8 <= len(data):
        size, begin = int.from_bytes(data[start : start + 4]), start + 8
        if size == 1:
            size, begin = int.from_bytes(data[begin : begin + 8]), begin + 8
        stop = start + size if size else len(data)
        if not begin <= stop <= len(data):
            return
        yield Box(bytes(data[start + 4 : start + 8]), data[begin:stop], stop)
        start = stop


def is_complete(data: bytes) -> bool:
    """Return whether the last box of a file ends where the file does."""
    return max((box.stop for box in boxes(data)), default=0) == len(data)


def properties(data: bytes) -> dict[bytes, bytes]:
    """Return the contents of the primary image's properties by name; of colours (colr) the nclx alone.

    A sequence without images has its colours in its track.
    """
    outer = _named(data)
    meta = _named(outer.get(b"meta", NOTHING)[4:])
    meta |= _named(meta.get(b"iprp", NOTHING))
    every = list(boxes(meta.get(b"ipco", NOTHING)))
    numbers = _of_primary(meta.get(b"pitm", NOTHING), meta.get(b"ipma", NOTHING))
    own = [every[number - 1] for number in numbers if 0 < number <= len(every)]
    contents = ((box.name, bytes(box.content)) for box in own)
    found = {name: content for name, content in contents if not content.startswith((b"prof", b"rICC"))}
    if b"colr" not in found and (track := NCLX.search(outer.get(b"moov", NOTHING))):
        found[b"colr"] = track[0][4:]
    return found


def with_colour_codes(data: bytes, codes: bytes) -> bytes:
    """Return a file of an encoder with primaries and transfer, a byte each, in all its nclx boxes."""
    head, name, rest = data.partition(b"mdat")
    return NCLX.sub(b"colrnclx" + bytes((0, codes[0], 0, codes[1])).replace(b"\\", rb"\\"), head) + name + rest


def _named(data: bytes | memoryview) -> dict[bytes, memoryview]:
    return {box.name: box.content for box in boxes(data)}


def _of_primary(pitm: memoryview, ipma: memoryview) -> list[int]:
    """Return the numbers, from 1, of the properties of the primary item."""
    primary, stream = int.from_bytes(pitm[4:]), io.BytesIO(ipma)
    head = stream.read(8)
    if len(head) < 8:
        return []
    item_size, size = 4 if head[0] else 2, 1 + (head[3] & 1)
    while item := stream.read(item_size):
        numbers = stream.read(size * int.from_bytes(stream.read(1)))
        if int.from_bytes(item) == primary:
            each = [int.from_bytes(numbers[at : at + size]) for at in range(0, len(numbers), size)]
            # The highest bit says that the property is essential.
            return [number & (1 << 8 * size - 1) - 1 for number in each]
    return []

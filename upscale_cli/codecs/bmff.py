"""Boxes of an AVIF or HEIF file: ISO/IEC 14496-12 (ISO base media file format) and 23008-12 (image items)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

NCLX = re.compile(rb"colrnclx(?s:(..)(..))")
"""The beginning of a box of colours, with primaries and transfer as ITU-T H.273 numbers them."""


class Box(NamedTuple):
    """A box, and where its content lies in the file."""

    name: bytes
    start: int
    stop: int


NOWHERE = Box(b"", 0, 0)


def boxes(data: bytes, within: Box | None = None, skip: int = 0) -> Iterator[Box]:
    """Yield the boxes of a file, or those within a box whose content begins with some other bytes.

    It stops at a box that is longer than there is room.
    """
    _, start, stop = within or Box(b"", 0, len(data))
    start += skip
    while start + 8 <= stop:
        size, name, begin = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8], start + 8
        if size == 1:
            size, begin = int.from_bytes(data[start + 8 : start + 16]), start + 16
        end = start + size if size else stop
        if not begin <= end <= stop:
            return
        yield Box(name, begin, end)
        start = end


def is_complete(data: bytes) -> bool:
    """Return whether the last box of a file ends where the file does."""
    return max((box.stop for box in boxes(data)), default=0) == len(data)


def properties(data: bytes) -> dict[bytes, bytes]:
    """Return the contents of the primary image's properties by name; of colours (colr) the nclx alone.

    A sequence without images has its colours in its track.
    """
    outer = {box.name: box for box in boxes(data)}
    inner = {box.name: box for box in boxes(data, outer.get(b"meta", NOWHERE), 4)}
    inner |= {box.name: box for box in boxes(data, inner.get(b"iprp", NOWHERE))}
    every = list(boxes(data, inner.get(b"ipco", NOWHERE)))
    own = [every[index - 1] for index in _of_primary(data, inner) if 0 < index <= len(every)]
    found = {name: data[start:stop] for name, start, stop in own if not data.startswith((b"prof", b"rICC"), start)}
    _, start, stop = outer.get(b"moov", NOWHERE)
    if b"colr" not in found and (track := NCLX.search(data, start, stop)):
        found[b"colr"] = track[0][4:]
    return found


def with_colour_codes(data: bytes, codes: bytes) -> bytes:
    """Return a file of an encoder with primaries and transfer, a byte each, in all its nclx boxes."""
    head, name, rest = data.partition(b"mdat")
    return NCLX.sub(b"colrnclx" + bytes((0, codes[0], 0, codes[1])).replace(b"\\", rb"\\"), head) + name + rest


def _of_primary(data: bytes, inner: dict[bytes, Box]) -> list[int]:
    """Return the numbers, from 1, of the properties of the primary item."""
    if b"pitm" not in inner or b"ipma" not in inner:
        return []
    _, start, stop = inner[b"pitm"]
    primary = int.from_bytes(data[start + 4 : stop])
    _, start, stop = inner[b"ipma"]
    item_size, size = 4 if data[start] else 2, 1 + (data[start + 3] & 1)
    position = start + 8
    while position < stop:
        item, position = int.from_bytes(data[position : position + item_size]), position + item_size + 1
        count = data[position - 1] if position <= stop else 0
        if item == primary:
            places = range(position, min(position + count * size, stop), size)
            # The highest bit says that the property is essential.
            return [int.from_bytes(data[place : place + size]) & (2 ** (8 * size - 1) - 1) for place in places]
        position += count * size
    return []

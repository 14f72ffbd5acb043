"""The directories of a TIFF file, which is what an EXIF block is too: read, and packed to be written.

Format: Adobe, "TIFF Revision 6.0", 1992, section 2. BigTIFF has offsets of 8 bytes: Aware Systems, "The BigTIFF File
Format", 2011.
"""

import os
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

from upscale_cli.codecs import tiff_tags as tag
from upscale_cli.errors import UpscaleError

MOST_ENTRIES = 65535
TYPES = {1: "s", 2: "s", 3: "H", 4: "I", 6: "b", 7: "s", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
TYPES |= {16: "Q", 17: "q", 18: "Q", 5: "II", 10: "ii"}
"""Formats of `struct`, by the number of a type; the last two are ratios."""

Tag = tuple[int, Any]
"""The type of a tag, and its values: bytes, numbers, or a mapping of tags."""


class Page:
    """A directory of a TIFF file, which describes a page; or one of an EXIF block, which is a TIFF file too.

    Parameters
    ----------
    stream : binary file
        Seekable; left anywhere.
    offset : int
        Where the directory begins.

    Attributes
    ----------
    order : {"<", ">"}
        The byte order of the file.
    following : int
        Where the next directory begins; 0 if there is none.
    complete : bool
        All entries of the directory are there.
    entries : dict
        Type and number of values of each tag, and the field that holds them or their offset.
    """

    def __init__(self, stream: BinaryIO, offset: int) -> None:
        stream.seek(0)
        head = stream.read(4)
        self.stream, self.offset, big = stream, offset, 43 in head[2:4]
        self.order = "<" if head[:2] == b"II" else ">"
        entry = struct.Struct(self.order + ("HHQ8s" if big else "HHI4s"))
        stream.seek(min(offset, 2**62))
        count = self._integer(stream.read(8 if big else 2))
        data = stream.read(min(count, MOST_ENTRIES) * entry.size)
        self.complete = len(data) == count * entry.size and stream.tell() > offset
        self.following = self._integer(stream.read(8 if big else 4)) if self.complete else 0
        whole = data[: len(data) // entry.size * entry.size]
        # Of two entries of one tag the first counts.
        self.entries = {number: rest for number, *rest in reversed(list(entry.iter_unpack(whole)))}

    def _integer(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    def tag(self, number: int) -> Tag:
        """Return the type and values of a tag: bytes, or numbers, ratios as two each; (0, b"") if it is not there.

        Raises
        ------
        UpscaleError
            If they lie beyond the end of the file.
        """
        kind, count, field = self.entries.get(number, (0, 0, b""))
        form = TYPES.get(kind, "")
        size = count * struct.calcsize("=" + form)
        data = field[:size]
        if size > len(field):
            if self._integer(field) + size > self.stream.seek(0, os.SEEK_END):
                raise UpscaleError("is truncated: a part of its directory is missing; get the complete file.")
            self.stream.seek(self._integer(field))
            data = self.stream.read(size)
        if not form or form == "s":
            return kind, data
        return kind, struct.unpack(f"{self.order}{count * len(form)}{form[0]}", data)

    def values(self, number: int) -> tuple[float, ...]:
        """Return the numbers of a tag, ratios as floats; none if it is not there."""
        kind, values = self.tag(number)
        if isinstance(values, bytes):
            return ()
        if len(TYPES[kind]) == 1:
            return tuple(values)
        return tuple(top / bottom if bottom else 0.0 for top, bottom in zip(values[::2], values[1::2], strict=True))

    def data(self, number: int) -> bytes:
        """Return the bytes of a tag as they are stored, whatever its type; none if it is not there."""
        kind, values = self.tag(number)
        if isinstance(values, bytes):
            return values
        return struct.pack(f"{self.order}{len(values)}{TYPES[kind][0]}", *values)

    def integers(self, number: int, *default: int) -> tuple[int, ...]:
        """Return the integers of a tag, or what it stands for if it is not there."""
        return tuple(int(value) for value in self.values(number)) or default

    def one(self, number: int, default: int = 0) -> int:
        """Return the first integer of a tag, or what it stands for if it is not there."""
        return self.integers(number, default)[0]

    def check(self) -> None:
        """Raise `UpscaleError` if tags are missing that matter to the pixels of a page."""
        for number in self.entries:
            if number < tag.XMP or number == tag.ICC:
                self.tag(number)
        if not self.complete:
            raise UpscaleError("is truncated: a part of its directory is missing; get the complete file.")


def packed(tags: Mapping[int, Any], start: int, *, order: str = "<", big: bool = False, following: int = 0) -> bytes:
    """Return a directory and the values that it points to.

    Parameters
    ----------
    tags : mapping of int to Tag
        Type and values of each tag; the values of another mapping are a directory of their own.
    start : int
        Where the directory begins in the file.
    order : {"<", ">"}
    big : bool
        Offsets have 8 bytes, as in a BigTIFF.
    following : int
        Where the next directory begins.

    Examples
    --------
    >>> packed({256: (3, (640,))}, 8).hex(" ")
    '01 00 00 01 03 00 01 00 00 00 80 02 00 00 00 00 00 00'
    """
    width, pointer = (8, "Q") if big else (4, "I")
    entries, behind = [], []
    after = start + (8 if big else 2) + (4 + 2 * width) * len(tags) + width
    for number, (kind, values) in sorted(tags.items()):
        if isinstance(values, Mapping):
            data, count, field = packed(values, after, order=order, big=big), 1, struct.pack(order + pointer, after)
        else:
            form = TYPES[kind]
            data = values if form == "s" else struct.pack(f"{order}{len(values)}{form[0]}", *values)
            count = len(values) // len(form)
            field = data.ljust(width, b"\0") if len(data) <= width else struct.pack(order + pointer, after)
            data = b"" if len(data) <= width else data
        entries.append(struct.pack(f"{order}HH{pointer}", number, kind, count) + field)
        behind.append(data + bytes(len(data) % 2))
        after += len(behind[-1])
    head = struct.pack(order + ("Q" if big else "H"), len(tags))
    return b"".join((head, *entries, struct.pack(order + pointer, following), *behind))


def read_pages(stream: BinaryIO) -> list[Page]:
    """Return all pages of a file. A chain of directories that leads back to one of them ends there."""
    stream.seek(0)
    head = stream.read(16).ljust(16, b"\0")
    field = head[8:16] if 43 in head[2:4] else head[4:8]
    offset, pages = int.from_bytes(field, "little" if head[:2] == b"II" else "big"), {}
    while offset and offset not in pages:
        page = pages[offset] = Page(stream, offset)
        offset = page.following
    return list(pages.values())

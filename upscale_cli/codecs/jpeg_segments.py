"""The segments of a JPEG (ITU-T T.81, annex B), and what stands behind its end: gain maps, previews, videos."""

import os
import re
import struct
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

SOI, EOI, SOS, DQT, DRI, APP0 = 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0
FRAMES = {0xF7: "JPEG-LS", **dict.fromkeys((0xC0, 0xC1, 0xC2, 0xC9, 0xCA), "")}
FRAMES |= dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless JPEG")
FRAMES |= dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "hierarchical JPEG")
"""Markers of frames, and what people call those that Pillow does not decode."""
WITHOUT_LENGTH = frozenset((0x01, SOI, *range(0xD0, 0xD8)))
FIRST, BLOCK = 1 << 10, 1 << 16
"""The bytes that are looked through at once: few at first, because what is looked for is near as a rule."""
MOST_PICTURES = 64
"""The most that is looked for behind the first picture."""

MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_OTHER = re.compile(rb"[^\0\xff\s]")
_BEHIND = re.compile(rb"\xff\xd8\xff|\0\0\0[\x08-\xff]ftyp")
GAIN_MAP = re.compile(rb"urn:iso:std:iso:ts:21496:-1|hdr-gain-map/1\.0/|HDRGainMap")
"""What a picture that is a gain map says of itself, and the picture before it that it has one."""


class Segment(NamedTuple):
    """One segment: its marker, its content without its length, and where it ends in the file."""

    marker: int
    content: bytes
    end: int

    @property
    def start(self) -> int:
        """Where its marker stands in the file."""
        return self.end - len(self.content) - (2 if self.marker == EOI else 4)


def segments(stream: BinaryIO, start: int = 0) -> Iterator[Segment]:
    """Yield the segments of a picture that begins at an offset; the last has the marker `EOI` if it is there."""
    at, scanning = start + 2, False
    while (found := _find(stream, MARKER, at)) is not None:
        marker, at = found[0][1], found[1] + 2
        if marker == EOI:
            yield Segment(EOI, b"", at)
            return
        if marker in WITHOUT_LENGTH:
            continue
        stream.seek(at)
        (length,) = struct.unpack(">H", stream.read(2).rjust(2, b"\0"))
        content, following = stream.read(max(length - 2, 0)), stream.read(1)
        if length < 2 or len(content) < length - 2:
            continue
        # A damaged scan may hold what looks like a segment, but no marker will follow it.
        if scanning and marker != SOS and following != b"\xff":
            continue
        at, scanning = at + length, scanning or marker == SOS
        yield Segment(marker, content, at)


def behind(stream: BinaryIO, end: int) -> Counter[str]:
    """Return what stands behind the end of a picture: gain maps, pictures, videos, and bytes that are none of these.

    A picture is a gain map if it says so. Padding is nothing.
    """
    found, length = Counter[str](), stream.seek(0, os.SEEK_END)
    for _ in range(MOST_PICTURES):
        match, start = _find(stream, _BEHIND, end) or (b"", length)
        other = _find(stream, _OTHER, end)
        if other is not None and other[1] < start:
            found["bytes"] += start - end
        if not match or match.endswith(b"ftyp"):
            found["videos"] += bool(match)
            break
        gain_map, end = False, length
        for segment in segments(stream, start):
            gain_map |= segment.marker in (0xE1, 0xE2) and GAIN_MAP.search(segment.content) is not None
            end = segment.end if segment.marker == EOI else end
        found["gain maps" if gain_map else "pictures"] += 1
    return found


def _find(stream: BinaryIO, pattern: re.Pattern[bytes], at: int) -> tuple[bytes, int] | None:
    """Return the first match of a pattern of at most 8 bytes at or behind an offset, and where it stands."""
    length = FIRST
    while True:
        stream.seek(at)
        block = stream.read(length)
        if (found := pattern.search(block)) is not None:
            return found[0], at + found.start()
        if len(block) < length:
            return None
        at, length = at + length - 7, BLOCK


def written(app: int, content: bytes) -> bytes:
    """Return an application segment.

    >>> written(13, b"odd").hex(" ")
    'ff ed 00 05 6f 64 64'
    """
    return struct.pack(">BBH", 0xFF, APP0 + app, 2 + len(content)) + content

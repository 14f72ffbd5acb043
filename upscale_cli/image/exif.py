"""EXIF blocks, changed in place: every offset stays, and with it the MakerNotes, whose own offsets nobody else knows.

An EXIF block is a TIFF structure: a header of 8 bytes, and directories of entries of 12 bytes: tag, type, count, and
the value or its offset (CIPA DC-008, "Exif 2.32", section 4.6).
"""

import struct
from fractions import Fraction
from math import floor

from upscale_cli.image.change import Change

WIDTH, HEIGHT, ORIENTATION, EXIF = 0x100, 0x101, 0x112, 0x8769
PIXEL_X, PIXEL_Y, MAKER_NOTE = 0xA002, 0xA003, 0x927C
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, CENTIMETRE = 0x11A, 0x11B, 0x128, 3
FOCAL_PLANE_X, FOCAL_PLANE_Y = 0xA20E, 0xA20F
SUBJECT_AREA, SUBJECT_LOCATION = 0x9214, 0xA214
SHORT, LONG, RATIO = 3, 4, 5


class _Block:
    """An EXIF block that can be changed. Raises `ValueError` or `struct.error` if it cannot be walked."""

    def __init__(self, exif: bytes) -> None:
        self.data = bytearray(exif.removeprefix(b"Exif\0\0"))
        self.order = {b"II": "<", b"MM": ">"}.get(bytes(self.data[:2]), "")
        if not self.order or self.read("H", 2) != 42:
            raise ValueError("no TIFF header")
        self.main, self.details = self.read("I", 4), 0
        self.end_of(self.main)
        if (pointer := dict(self.entries(self.main)).get(EXIF)) is not None:
            self.details = self.read("I", pointer + 8)
        self.tags = {tag for directory in (self.main, self.details) for tag, _ in self.entries(directory)}

    def read(self, code: str, at: int) -> int:
        """Return a number at an offset."""
        value: int = struct.unpack_from(self.order + code, self.data, at)[0]
        return value

    def write(self, code: str, at: int, *values: int) -> None:
        """Write numbers at an offset."""
        struct.pack_into(self.order + code, self.data, at, *values)

    def end_of(self, directory: int) -> int:
        """Return where the entries of a directory end, and the offset of the next directory stands."""
        end = directory + 2 + 12 * self.read("H", directory)
        if directory < 8 or end > len(self.data):
            raise ValueError("a directory is cut off")
        return end

    def entries(self, directory: int) -> list[tuple[int, int]]:
        """Return the tag of each entry of a directory, and where the entry stands; none if there is no directory."""
        places = range(directory + 2, self.end_of(directory), 12) if directory else ()
        return [(self.read("H", at), at) for at in places]

    def set(self, directory: int, values: dict[int, int]) -> None:
        """Set entries that are there to one number each: SHORT where they are and it fits, else LONG."""
        for tag, at in self.entries(directory):
            if tag in values:
                short = self.read("H", at + 2) == SHORT and values[tag] < 65536
                entry = (SHORT if short else LONG, 1, values[tag])
                self.write("HIHxx" if short else "HII", at + 2, *entry)

    def swap(self, directory: int, first: int, second: int) -> None:
        """Exchange the values of two entries of a directory, if both are there."""
        entries = dict(self.entries(directory))
        if first in entries and second in entries:
            one, other = (slice(entries[tag] + 2, entries[tag] + 12) for tag in (first, second))
            self.data[one], self.data[other] = self.data[other], self.data[one]

    def ratio(self, entry: int) -> float:
        """Return the first ratio of an entry; 0 if it has none."""
        at = self.read("I", entry + 8)
        count = self.read("I", at + 4) if self.read("H", entry + 2) == RATIO else 0
        return self.read("I", at) / count if count else 0

    def drop(self, directory: int, dropped: int) -> None:
        """Take an entry out of a directory. Those behind it move up, and their values stay where they are."""
        for tag, at in self.entries(directory):
            if tag == dropped:
                end = min(self.end_of(directory) + 4, len(self.data))
                self.data[at : end - 12] = self.data[at + 12 : end]
                self.write("H", directory, self.read("H", directory) - 1)
                return

    def next_directory(self) -> int:
        """Return the offset of the directory of the thumbnail; 0 for none."""
        end = self.end_of(self.main)
        return self.read("I", end) if end + 4 <= len(self.data) else 0


def _opened(exif: bytes) -> _Block | None:
    try:
        return _Block(exif)
    except (ValueError, struct.error):
        return None


def resized(exif: bytes, change: Change) -> bytes | None:
    """Return the EXIF of an upright image of another size; None if the block cannot be walked.

    The thumbnail of a picture that was turned is left out, because it was not.
    """
    height, width = change.size
    try:
        block = _Block(exif)
        block.set(block.main, {ORIENTATION: 1, WIDTH: width, HEIGHT: height})
        block.set(block.details, {PIXEL_X: width, PIXEL_Y: height})
        _move_subject(block, change)
        if change.swapped:
            block.swap(block.main, X_RESOLUTION, Y_RESOLUTION)
            block.swap(block.details, FOCAL_PLANE_X, FOCAL_PLANE_Y)
    except (ValueError, struct.error):
        return None
    if change.turned and block.next_directory():
        block.write("I", block.end_of(block.main), 0)
    return bytes(block.data)


def _move_subject(block: _Block, change: Change) -> None:
    """Move the main subject, a point, circle or rectangle in pixels as stored; drop it where 16 bits are too few."""
    height, width = change.stored
    across, down = change.factors
    for tag, entry in reversed(block.entries(block.details)):
        kind, count = block.read("H", entry + 2), block.read("I", entry + 4)
        if tag not in (SUBJECT_AREA, SUBJECT_LOCATION) or kind != SHORT or count not in (2, 3, 4):
            continue
        at = entry + 8 if count == 2 else block.read("I", entry + 8)
        x, y, *sides = (Fraction(block.read("H", at + 2 * index)) for index in range(count))
        x, y = change.point(x, y, width, height)
        sides = sides[::-1] if change.swapped else sides
        factors = (across, down, *((across, down) if count == 4 else (min(across, down),)))
        moved = [floor(n * factor + Fraction(1, 2)) for n, factor in zip((x, y, *sides), factors, strict=False)]
        if max(moved) < 65536:
            block.write(f"{count}H", at, *moved)
        else:
            block.drop(block.details, tag)


def without_places(exif: bytes) -> bytes:
    """Return a block without its thumbnail and the place of its subject; a damaged one stays."""
    block = _opened(exif)
    if block is None:
        return exif
    for tag in (SUBJECT_AREA, SUBJECT_LOCATION):
        block.drop(block.details, tag)
    if block.next_directory():
        block.write("I", block.end_of(block.main), 0)
    return bytes(block.data)


def has_thumbnail(exif: bytes) -> bool:
    """Return whether there is a thumbnail."""
    block = _opened(exif)
    return block is not None and block.next_directory() > 0


def tags_of(exif: bytes) -> set[int]:
    """Return the tags of a block, of its two directories about the picture; none if it cannot be walked."""
    block = _opened(exif)
    return set() if block is None else block.tags


def resolution(exif: bytes) -> tuple[float, float] | None:
    """Return horizontal and vertical pixels per inch; None if they are not known."""
    try:
        block = _Block(exif)
        entries = dict(block.entries(block.main))
        x = block.ratio(entries[X_RESOLUTION])
        y = block.ratio(entries.get(Y_RESOLUTION, entries[X_RESOLUTION]))
        unit = block.read("H", entries[RESOLUTION_UNIT] + 8) if RESOLUTION_UNIT in entries else 0
    except (ValueError, KeyError, struct.error):
        return None
    factor = 2.54 if unit == CENTIMETRE else 1
    return (x * factor, y * factor) if 0 < x < 1e6 and 0 < y < 1e6 else None


def without(exif: bytes, tag: int) -> bytes:
    """Return a block without a tag: a MakerNote that would be moved, or an orientation that the container states."""
    block = _Block(exif)
    for directory in (block.details, block.main):
        block.drop(directory, tag)
    return bytes(block.data)

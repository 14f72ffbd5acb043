"""EXIF blocks, changed in place: every offset stays, and with it the MakerNotes, whose own offsets nobody else knows.

An EXIF block is a TIFF structure: a header of 8 bytes, and directories of entries of 12 bytes: tag, type, count, and
the value or its offset (CIPA DC-008, "Exif 2.32", section 4.6).
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from math import floor

from upscale_cli.image.change import Change

WIDTH, HEIGHT, ORIENTATION, EXIF = 0x100, 0x101, 0x112, 0x8769
PIXEL_X, PIXEL_Y, MAKER_NOTE, X_RESOLUTION = 0xA002, 0xA003, 0x927C, 0x11A
SUBJECT_AREA, SUBJECT_LOCATION = 0x9214, 0xA214
SHORT, LONG = 3, 4


class _Block:
    """An EXIF block that can be changed. Raises `ValueError` or `struct.error` if it cannot be walked."""

    def __init__(self, exif: bytes) -> None:
        self.data = bytearray(exif)
        self.start = 6 if exif.startswith(b"Exif\0\0") else 0
        self.order = {b"II": "<", b"MM": ">"}.get(exif[self.start : self.start + 2], "")
        if not self.order or self.read("H", 2) != 42:
            raise ValueError("no TIFF header")
        self.main = self.read("I", 4)
        self.end_of(self.main)
        pointer = next((entry for tag, entry in self.entries(self.main) if tag == EXIF), None)
        self.details = None if pointer is None else self.read("I", pointer + 8)
        if self.details is not None:
            self.end_of(self.details)

    def read(self, code: str, at: int) -> int:
        """Return a number at an offset."""
        value: int = struct.unpack_from(self.order + code, self.data, self.start + at)[0]
        return value

    def write(self, code: str, at: int, *values: int) -> None:
        """Write numbers at an offset."""
        struct.pack_into(self.order + code, self.data, self.start + at, *values)

    def end_of(self, directory: int) -> int:
        """Return where the entries of a directory end, and the offset of the next directory stands."""
        end = directory + 2 + 12 * self.read("H", directory)
        if directory < 8 or self.start + end > len(self.data):
            raise ValueError("a directory is cut off")
        return end

    def entries(self, directory: int | None) -> Iterator[tuple[int, int]]:
        """Yield the tag of each entry of a directory, and where the entry stands."""
        if directory is not None:
            for entry in range(directory + 2, self.end_of(directory), 12):
                yield self.read("H", entry), entry

    def set(self, directory: int | None, values: dict[int, int]) -> None:
        """Set entries that are there to one number each: SHORT where they are and it fits, else LONG."""
        for tag, entry in self.entries(directory):
            if tag in values:
                short = self.read("H", entry + 2) == SHORT and values[tag] < 65536
                self.write("HI", entry + 2, SHORT if short else LONG, 1)
                self.write("Hxx" if short else "I", entry + 8, values[tag])

    def drop(self, directory: int | None, dropped: int) -> None:
        """Take an entry out of a directory. Those behind it move up, and their values stay where they are."""
        for tag, entry in self.entries(directory):
            if tag == dropped and directory is not None:
                first, end = self.start + entry, min(self.start + self.end_of(directory) + 4, len(self.data))
                self.data[first : end - 12] = self.data[first + 12 : end]
                self.write("H", directory, self.read("H", directory) - 1)
                return

    def next_directory(self) -> int:
        """Return the offset of the directory of the thumbnail; 0 for none."""
        end = self.end_of(self.main)
        return self.read("I", end) if self.start + end + 4 <= len(self.data) else 0


def resized(exif: bytes, change: Change) -> bytes | None:
    """Return the EXIF of an upright image of another size; None if the block cannot be walked.

    The thumbnail of a picture that was turned is left out, because it was not.
    """
    height, width = change.after
    try:
        block = _Block(exif)
        block.set(block.main, {ORIENTATION: 1, WIDTH: width, HEIGHT: height})
        block.set(block.details, {PIXEL_X: width, PIXEL_Y: height})
        _move_subject(block, change)
        if change.turned and block.next_directory():
            block.write("I", block.end_of(block.main), 0)
    except (ValueError, struct.error):
        return None
    return bytes(block.data)


def _move_subject(block: _Block, change: Change) -> None:
    """Move the main subject, a point, circle or rectangle in pixels as stored; drop it where 16 bits are too few."""
    stored_height, stored_width = change.stored
    across, down = change.factors
    too_far = []
    for tag, entry in block.entries(block.details):
        count = block.read("I", entry + 4)
        if (
            tag not in (SUBJECT_AREA, SUBJECT_LOCATION)
            or block.read("H", entry + 2) != SHORT
            or count not in (2, 3, 4)
        ):
            continue
        at = entry + 8 if count == 2 else block.read("I", entry + 8)
        x, y, *sides = (Fraction(block.read("H", at + 2 * index)) for index in range(count))
        x, y = change.point(x, y, stored_width, stored_height)
        factors = (across, down) if count == 4 else (min(across, down),)
        sides = [side * factor for side, factor in zip(sides[:: -1 if change.swapped else 1], factors, strict=False)]
        moved = [floor(number + Fraction(1, 2)) for number in (x * across, y * down, *sides)]
        if max(moved) < 65536:
            block.write(f"{count}H", at, *moved)
        else:
            too_far.append(tag)
    for tag in too_far:
        block.drop(block.details, tag)


def has_thumbnail(exif: bytes) -> bool:
    """Return whether there is a thumbnail."""
    try:
        return _Block(exif).next_directory() > 0
    except (ValueError, struct.error):
        return False


def tags_of(exif: bytes) -> set[int]:
    """Return the tags of a block, of its two directories about the picture; none if it cannot be walked."""
    try:
        block = _Block(exif)
        return {tag for directory in (block.main, block.details) for tag, _ in block.entries(directory)}
    except (ValueError, struct.error):
        return set()


def without_maker_note(exif: bytes) -> bytes:
    """Return a block without its MakerNote, for formats that would move it and so break its offsets."""
    block = _Block(exif)
    block.drop(block.details, MAKER_NOTE)
    return bytes(block.data)


def without_orientation(exif: bytes) -> bytes:
    """Return a block without its orientation, which the container states."""
    block = _Block(exif)
    block.drop(block.main, ORIENTATION)
    return bytes(block.data)

"""Streams of images, one after the other: where each of them ends, by its own structure.

Of a stream, no more is read than the image at hand needs and, of what follows it, enough to see whether there is
another. So frames are made while others are still on their way.
"""

import re
from io import BufferedReader
from typing import BinaryIO, cast

from upscale_cli.errors import UpscaleError

LARGEST_IMAGE = 1 << 30
"""The most bytes of an image, or of all that is read if it holds only one."""
PART = 1 << 16
"""The most bytes that are read at once of what has no known length."""
LONGEST_HEADER = 1 << 16
Y4M = b"YUV4MPEG2 "
"""How a Y4M stream begins."""
FILM = ".y4m"
"""The extension of its files."""
PADDING = b"\0 \t\r\n"
"""What may stand between images."""


class CutError(UpscaleError):
    """The stream ends before its image does."""


class Incoming:
    """A stream that is taken image by image.

    Parameters
    ----------
    stream : binary file
        One with a `read1`; it need not be seekable.

    Attributes
    ----------
    data : bytearray
        What has been read of the image at hand, and perhaps of what follows it.
    at : int
        Offset of the image at hand in the stream.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.data, self.at, self._stream = bytearray(), 0, cast(BufferedReader, stream)

    def starts(self, count: int) -> bytes:
        """Return the first bytes of the image at hand: so many, or all if there are fewer."""
        while len(self.data) < count and self._read(count - len(self.data)):
            pass
        return bytes(self.data[:count])

    def part(self, start: int, stop: int) -> bytes:
        """Return some bytes of the image at hand; raise `CutError` if it ends before."""
        while len(self.data) < stop:
            self._read_on(stop - len(self.data))
        return bytes(self.data[start:stop])

    def header(self, pattern: bytes, start: int = 0) -> re.Match[bytes]:
        """Return the match of a pattern of a header; raise `UpscaleError` if there is none."""
        while (found := re.compile(pattern).match(self.data, start)) is None:
            if len(self.data) > start + LONGEST_HEADER:
                raise UpscaleError("has a header without an end: it is damaged; get another copy.")
            self._read_on(1)
        return found

    def find(self, pattern: bytes, start: int) -> re.Match[bytes]:
        """Return the first match of a pattern of at most two bytes; raise `CutError` if there is none."""
        while (found := re.compile(pattern).search(self.data, start)) is None:
            start = max(start, len(self.data) - 1)
            self._read_on(PART)
        return found

    def take(self, count: int) -> bytes:
        """Return the image at hand, of so many bytes, and go on behind it; raise `CutError` if it ends before."""
        if count > LARGEST_IMAGE:
            raise UpscaleError(f"is larger than {LARGEST_IMAGE >> 30} GiB; use a file.")
        # What is long and has not come yet goes straight to its place.
        more = self._stream.read(count - len(self.data)) if count > len(self.data) else b""
        if len(self.data) + len(more) < count:
            self.data += more
            raise self.cut()
        taken = bytes(self.data[:count]) + more
        del self.data[:count]
        self.at += count
        return taken

    def skip_padding(self) -> None:
        """Go on behind what may stand between images."""
        while (first := self.starts(1)) and first in PADDING:
            count = len(self.data) - len(self.data.lstrip(PADDING))
            del self.data[:count]
            self.at += count

    def rest(self) -> bytes:
        """Take all that is left."""
        while self._read(1 << 20):
            pass
        return self.take(len(self.data))

    def cut(self) -> CutError:
        """Return the error of a stream that ends before the image at hand does."""
        return CutError(f"the stream ends at byte {self.at + len(self.data):,}")

    def _read_on(self, count: int) -> None:
        """Read at most so many bytes, as soon as there are any; raise `CutError` at the end."""
        if not self._read(count):
            raise self.cut()

    def _read(self, count: int) -> bool:
        """Read at most so many bytes, as soon as there are any; return whether there were."""
        try:
            part = self._stream.read1(count)
        except OSError as error:
            raise UpscaleError(f"cannot be read: {error.strerror}.") from None
        self.data += part
        if len(self.data) > LARGEST_IMAGE:
            raise UpscaleError(f"is larger than {LARGEST_IMAGE >> 30} GiB; use a file.")
        return bool(part)


def png_end(data: Incoming) -> int | None:
    """Return the length of a PNG file: up to IEND."""
    at = 8
    while True:
        head = data.part(at, at + 8)
        at += 12 + int.from_bytes(head[:4])
        if head[4:] == b"IEND":
            return at


def jpeg_end(data: Incoming) -> int | None:
    """Return the length of a JPEG file: up to the end marker; None if pictures of its own follow."""
    from upscale_cli.codecs.jpeg_segments import EOI, GAIN_MAP, MARKER, WITHOUT_LENGTH

    at = 2
    while True:
        found = data.find(MARKER.pattern, at)
        marker, at = found[0][1], found.end()
        if marker == EOI:
            return at
        if marker in WITHOUT_LENGTH:
            continue
        content = data.part(at + 2, at + 2 + max(0, int.from_bytes(data.part(at, at + 2)) - 2))
        if marker in (0xE1, 0xE2) and (content.startswith(b"MPF\0") or GAIN_MAP.search(content)):
            return None
        at += 2 + len(content)


def bmp_end(data: Incoming) -> int | None:
    """Return the length that a BMP file states; None for one that does not."""
    head = data.part(0, 6)
    length = int.from_bytes(head[2:], "little")
    return length if head.startswith(b"BM") and length >= 26 else None


def netpbm_end(data: Incoming) -> int | None:
    """Return the length of a PPM, PGM, PBM or PFM file."""
    words: list[bytes] = []
    at = 0
    while len(words) < (3 if words[:1] in ([b"P1"], [b"P4"]) else 4):
        word = data.header(rb"(?:\s|#[^\r\n]*[\r\n])*([^\s#]+)(?=[\s#])", at)
        words.append(word[1])
        at = word.end()
    magic, width, height, most = words[0], *(int(word) if word.isdigit() else 0 for word in (*words[1:], b"1")[:3])
    if magic in (b"P1", b"P2", b"P3"):
        return _end_of_numbers(data, at)
    channels = {b"P5": 1, b"P6": 3, b"Pf": 4, b"PF": 12, b"PyP": 1}.get(magic, 4)
    row = -(-width // 8) if magic == b"P4" else width * channels * (1 + (most > 255))
    return at + 1 + height * row


def _end_of_numbers(data: Incoming, at: int) -> int:
    """Return where the numbers of a plain Netpbm image end: before what is neither a number nor a comment."""
    try:
        while (found := data.find(rb"[^\s\d-]", at))[0] == b"#":
            at = data.find(rb"[\r\n]", found.end()).end()
    except CutError:
        return len(data.data)
    return found.start()


def pam_header(data: Incoming) -> tuple[list[int], bytes, int]:
    """Return width, height, depth and maximum of a PAM header, 0 for no number; its type; where samples begin."""
    found = data.header(rb"(?s).*?\nENDHDR[ \t\r]*\n")
    fields: dict[bytes, bytes] = {}
    for line in found[0].splitlines()[1:-1]:
        name, _, value = line.partition(b" ")
        fields[name] = value.strip()
    numbers = (fields.get(name, b"") for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    sizes = [int(number) if number.isdigit() else 0 for number in numbers]
    return sizes, fields.get(b"TUPLTYPE", b""), found.end()


def pam_end(data: Incoming) -> int | None:
    """Return the length of a PAM file."""
    (width, height, depth, most), _, at = pam_header(data)
    return at + height * width * depth * (1 + (most > 255))


ENDS = {"png": png_end, "jpeg": jpeg_end, "bmp": bmp_end, "ppm": netpbm_end, "pam": pam_end}
"""The formats whose images can follow each other in a stream: what finds the length of one, or None if it cannot."""
MANY = frozenset({"ppm", "pam"})
"""Those of which a file, too, may hold one image after the other, by their definition."""

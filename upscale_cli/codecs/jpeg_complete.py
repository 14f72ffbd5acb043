"""Whether a JPEG's data is whole, which neither its end marker nor Pillow tells. Format: ITU-T T.81.

A decoder takes damaged data for other codes, and goes on. Hardly ever does it end where the data ends: it leaves some
unread, or needs more and goes on with zeros, so that units become grey or stay coarse. So data is whole if its last
byte is needed and nothing behind it. Decoders are asked in the way that takes least:

- one scan: `WatchedJpeg` hands the last byte over apart while the picture is decoded;
- one scan with restart markers, where a decoder begins anew: all parts between them are decoded at an eighth of the
  size, with a unit behind each;
- several scans: they are decoded once more, with codes that mean nothing behind each, as a picture with more rows.
"""

import io
import math
import re
import struct
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from upscale_cli.codecs.jpeg_segments import DRI, FRAMES, SOS, Segment
from upscale_cli.codecs.jpeg_stream import END
from upscale_cli.methods.blocks import SIDE
from upscale_cli.methods.chroma import LUMA
from upscale_cli.methods.upsampler import Array

SEQUENTIAL, PROGRESSIVE = frozenset((0xC0, 0xC1)), frozenset((0xC2, 0xCA))
HUFFMAN = frozenset((0xC0, 0xC1, 0xC2))
GREY = (127, 128)
"""What a decoder makes of zeros; 127 where it inverts, as with CMYK."""
AHEAD = b"\xfe" * 8
"""As much as a decoder looks at ahead of what it needs. As data, it is rare codes, of which a block needs more."""
OTHER = b"\x7e\x7e"
"""Rare codes of which others follow than of `AHEAD`, behind ones."""
NO_CODE = b"\xff\0"
"""Eight ones. No code consists of ones (T.81, annex C), so libjpeg takes 17 of them for no change."""
NO_CODE_BITS = 17
PADDING = 1 << 12
"""The most bytes behind data that are looked through for its last byte."""
LONGEST_SIDE, LONGEST_INTERVAL = 65_500, 65_535
"""What libjpeg takes."""
MOST_SCANS, MOST_PARTS = 64, 1 << 18
"""Files that have more are not looked at, because it could take much more than to decode them."""
LOOKED_AT = 8
"""Units below a picture of several scans that are looked at."""
ROUNDING = 4
"""More than luma of a flat block varies because colours are rounded."""
BAND = 256
"""Rows that are compared together."""


class Units(NamedTuple):
    """A picture's size in pixels, and the size and the blocks of a unit (MCU) of its data."""

    height: int
    width: int
    down: int
    across: int
    blocks: int

    @property
    def rows(self) -> int:
        """Rows of units."""
        return -(-self.height // self.down)

    @property
    def columns(self) -> int:
        """Columns of units."""
        return -(-self.width // self.across)


def units_of(frame: Segment) -> Units:
    """Return the units of a frame: those of several components together. A single one is blocks."""
    height, width, count = struct.unpack_from(">HHB", frame.content, 1)
    factors = [divmod(each, 16) for each in frame.content[7::3]] if count > 1 else [(1, 1)]
    across, down = (SIDE * max(each) for each in zip(*factors, strict=True))
    blocks = sum(one * other for one, other in factors)
    return Units(height=height, width=width, down=down, across=across, blocks=blocks)


class WatchedJpeg(JpegImageFile):
    """A JPEG file that sees whether the decoder needs the last byte of its data, and more than that."""

    _last: int | None = None

    def watch(self, stop: int) -> None:
        """Look at the data of a single scan, which ends at an offset."""
        assert self.fp is not None
        start = self.fp.seek(max(stop - PADDING, 0))
        before, last = _divided(self.fp.read(stop - start))
        self._last, self._rest = start + len(before), [last + AHEAD, END]

    def load_read(self, read_bytes: int) -> bytes:
        """Return data, of which Pillow's decoder needs more."""
        assert self.fp is not None
        if self._last is None:
            return super().load_read(read_bytes)
        data = self.fp.read(max(min(read_bytes, self._last - self.fp.tell()), 0))
        return data or (self._rest.pop(0) if self._rest else b"")

    @property
    def lacks_data(self) -> bool:
        """The decoder needed more than there is."""
        return self._last is not None and not self._rest

    @property
    def leaves_data(self) -> bool:
        """The decoder did not need the last byte."""
        return self._last is not None and len(self._rest) == 2


class Data:
    """The data of a picture.

    Parameters
    ----------
    stream : binary file
        Seekable; left anywhere.
    found : sequence of Segment
        The segments of the picture; the last is its end.
    """

    def __init__(self, stream: BinaryIO, found: Sequence[Segment]) -> None:
        self._stream, self._found = stream, found
        frames = (each for each in found if each.marker in FRAMES and len(each.content) > 5)
        frame = next(frames, None)
        self._frame = frame if frame is not None and len(frame.content) == 6 + 3 * frame.content[5] else None
        # Scans, and where the data of each ends.
        self._scans = [(scan, after.start) for scan, after in pairwise(found) if scan.marker == SOS]

    @property
    def single(self) -> int | None:
        """Where the data of a single scan ends, which has all components in Huffman's codes; None for others."""
        frame, scans = self._frame, self._scans
        if frame is None or frame.marker not in SEQUENTIAL or len(scans) != 1:
            return None
        scan, stop = scans[0]
        return stop if scan.content[:1] == frame.content[5:6] else None

    def _luma_ends_early(self, parted: bool) -> bool:
        """Scans with detail of luma hold it alone, so blocks below the picture have none; and no chroma is finer."""
        assert self._frame is not None
        if parted and self._frame.marker in SEQUENTIAL:  # without a marker, they make detail there
            return False
        luma, factors = self._frame.content[6], self._frame.content[7::3]
        joint = (each.content for each, _ in self._scans if each.content[:1] > b"\1")
        detailed = any(luma in content[1:-3:2] and content[-2] for content in joint)
        return max(factors) == factors[0] and not detailed

    @property
    def _content(self) -> bytes:
        """The file up to the end of the picture."""
        self._stream.seek(0)
        return self._stream.read(self._found[-1].end)

    def lacks_scans(self) -> bool:
        """Return whether a progressive picture lacks scans: for some coefficient the last bit never comes."""
        frame = self._frame
        if frame is None or frame.marker not in PROGRESSIVE:
            return False
        bits: dict[tuple[int, int], int] = defaultdict(lambda: -1)
        for scan, _ in self._scans:
            content = scan.content
            count = content[0] if content else 0
            if len(content) < 1 + 2 * count + 3:
                return False
            first, last, approximation = struct.unpack_from("BBB", content, 1 + 2 * count)
            for component in content[1 : 1 + 2 * count : 2]:
                bits.update({(component, each): approximation & 15 for each in range(first, min(last, 63) + 1)})
        return any(bits[component, each] for component in frame.content[6::3] for each in range(64))

    def lacks_rows(self, samples: Array) -> bool:
        """Return whether the data of a decoded picture (H, W, C) ends before its last rows.

        If its last pixel is grey, it is decoded with more data before the end: a decoder that has had all ignores
        that.
        """
        if not set(samples[-1, -1].tolist()) <= set(GREY):
            return False
        data = self._content.removesuffix(END)
        return bool((_eighth(data + END) != _eighth(data + 25 * AHEAD + END)).any())

    def damaged(self, samples: Array) -> bool:
        """Return whether a decoded picture (H, W, C) has parts or scans with more or less data than they need."""
        frame = self._frame
        if frame is None or frame.marker not in HUFFMAN or not self._scans:
            return False
        # What stands behind the last scan means nothing. Of several before a scan, the last counts.
        before = self._found[: self._found.index(self._scans[-1][0])]
        restarts = [each for each in before if each.marker == DRI and len(each.content) == 2]
        try:
            if self.single is None:
                return self._damaged_scans(units_of(frame), samples, restarts)
            parted = bool(restarts) and restarts[-1].content != bytes(2)
            return parted and self._damaged_parts(units_of(frame), restarts[-1], samples)
        except OSError:  # another decoding fails, though one did not
            return True

    def _sized(self, content: bytes | bytearray, height: int, width: int) -> bytearray:
        """Return content with another size of the picture."""
        assert self._frame is not None
        changed = bytearray(content)
        place = self._frame.end - len(self._frame.content) + 1
        changed[place : place + 4] = struct.pack(">HH", height, width)
        return changed

    def _damaged_parts(self, units: Units, restart: Segment, samples: Array) -> bool:
        """Return whether a part between restart markers has more or less data than its units need.

        Each part is lengthened by a unit, which becomes grey if a decoder needs more data than there is before it: as
        it must without the last byte of the part, and must not with bytes behind that.
        """
        interval, total = int.from_bytes(restart.content, "big"), units.rows * units.columns
        count, longer = -(-total // interval), interval + 1
        # Rows may have any length: in the data, units just follow one another.
        columns = math.isqrt(count * longer) + 1
        rows = -(-count * longer // columns)
        height, width = rows * units.down, columns * units.across
        if longer > LONGEST_INTERVAL or max(height, width) > LONGEST_SIDE or count > MOST_PARTS:
            return False
        content, (scan, stop) = self._content, self._scans[0]
        *parts, final = re.split(rb"(?<=\xff[\xd0-\xd7])", content[scan.end : stop])
        if parts and not final:  # some cameras write a marker behind the last part
            final = parts.pop()[:-2]
        markers = [bytes((0xFF, 0xD0 + number % 8)) for number in range(len(parts))]
        if len(parts) != count - 1 or [part[-2:] for part in parts] != markers:
            return True
        header = self._sized(content[: scan.end], height, width)
        struct.pack_into(">H", header, restart.end - 2, longer)
        places = longer * np.arange(count) + np.minimum(interval, total - interval * np.arange(count))

        def joined(data: list[bytes]) -> bytes:
            return b"".join(chain.from_iterable(zip(data, [*markers, END], strict=True)))

        def grey(data: list[bytes]) -> Array:
            made = _eighth(header + joined(data), "L")
            blocks = made.reshape((rows, units.down // SIDE, columns, units.across // SIDE, -1))
            behind = blocks.transpose((0, 2, 1, 3, 4)).reshape(rows * columns, -1)[places]
            found: Array = np.all(np.isin(behind, GREY), axis=1)
            return found

        ends = [_divided(part) for part in (*(part[:-2] for part in parts), final)]
        if not grey([before for before, _ in ends]).all():
            return True

        def followed(data: bytes) -> list[bytes]:
            return [before + last + data for before, last in ends]

        # A part ends with a marker, so nobody looks ahead of it; more could end what data is missing of.
        lacking = grey(followed(AHEAD[:2]))
        if not lacking.any() or not (lacking & grey(followed(OTHER))).any():
            return False
        # It may be grey by chance. Then the picture itself does not depend on what is behind.
        for behind in (8 * NO_CODE, 8 * OTHER):
            with _loaded(content[: scan.end] + joined(followed(behind))) as image:
                if _differs(image, samples, len(samples)):
                    return True
        return False

    def _damaged_scans(self, units: Units, samples: Array, restarts: Sequence[Segment]) -> bool:
        """Return whether a scan has more or less data than it needs.

        If there is less, codes that mean nothing behind it change the picture. If there is not, they make flat rows
        below it, but for the first unit; and other rows if there is more.
        """
        # Some units are looked at, in one row or several, and not the first, nor one beside that.
        more = 1 if units.columns > LOOKED_AT + 1 else 2 + -(-LOOKED_AT // units.columns)
        below = units.rows * units.down
        height = below + units.down * more
        if height > LONGEST_SIDE or len(self._scans) > MOST_SCANS:
            return False
        # At most two codes for each block.
        bits = 2 * NO_CODE_BITS * units.blocks * (units.columns + 1) * more
        content = bytearray(self._content)
        for scan, stop in reversed(self._scans):
            data = content[scan.end : stop].rstrip(b"\xff")
            content[scan.end : stop] = data + NO_CODE * (bits // 8 + 1)
        with _loaded(self._sized(content, height, units.width)) as image:
            # Chroma of the last row, where it has half as many, follows that of the next.
            if _differs(image, samples, units.height - 1):
                return True
            parted = any(each.content != bytes(2) for each in restarts)
            if self._luma_ends_early(parted) and _rough(image, units):
                return True
            if parted:  # rows below would need markers
                return False
            left, top = (2 * units.across, below) if more == 1 else (0, below + 2 * units.down)
            # Chroma of the row behind, which is grey, reaches into the last.
            flat = np.asarray(image.crop((left, top + 2, units.width, height - 2)))
            return bool((flat != flat[0, 0]).any())


def _divided(data: bytes) -> tuple[bytes, bytes]:
    r"""Return what is before the last byte of data, and that byte with what may be padding.

    Behind 255 is a 0 that belongs to it. What is 255 itself belongs to the marker that follows.

    >>> _divided(b"a\xff\0\xff")
    (b'a', b'\xff\x00')
    """
    data = data.rstrip(b"\xff")
    last = max(len(data.rstrip(b"\0")) - 1, 0)
    return data[:last], data[last:]


def _loaded(content: bytes | bytearray) -> JpegImageFile:
    """Return a picture that is decoded."""
    image = JpegImageFile(io.BytesIO(content))
    image.load()
    return image


def _differs(image: JpegImageFile, samples: Array, rows: int) -> bool:
    """Return whether the first rows of a picture are others than those of samples (H, W, C)."""
    for top in range(0, rows, BAND):
        wanted = samples[top : min(top + BAND, rows)]
        band = np.asarray(image.crop((0, top, samples.shape[1], top + len(wanted))))
        if (band.reshape(wanted.shape) != wanted).any():
            return True
    return False


def _rough(image: JpegImageFile, units: Units) -> bool:
    """Return whether blocks between a picture and the end of its last units have detail.

    Scans of luma alone end before these blocks, which have a mean from the scan of all components together, and
    chroma, of which there is less. Where colours are clipped, luma is not known.
    """
    top, bottom, columns = -(-units.height // SIDE) * SIDE, units.rows * units.down, units.width // SIDE
    if image.mode != "RGB" or top == bottom or columns < 2:
        return False
    colours = np.asarray(image.crop((0, top, columns * SIDE, bottom)), np.float32)
    apart = colours.reshape((-1, SIDE, columns, SIDE, 3)).transpose((0, 2, 1, 3, 4))
    blocks = apart.reshape(-1, SIDE * SIDE, 3)[1:]
    spread = np.ptp(blocks @ np.array(LUMA, np.float32), axis=1)
    whole = (blocks.min(axis=(1, 2)) > 0) & (blocks.max(axis=(1, 2)) < 255)
    return bool((spread[whole] > ROUNDING).any())


def _eighth(content: bytes | bytearray, mode: str | None = None) -> Array:
    """Return a picture with one pixel for each block, which takes the least time; of colours, with "L", only luma."""
    with JpegImageFile(io.BytesIO(content)) as image:
        image.draft(mode, (max(image.width // SIDE, 1), max(image.height // SIDE, 1)))
        image.load()
        return np.asarray(image)

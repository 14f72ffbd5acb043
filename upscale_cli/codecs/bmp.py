"""BMP and its header-less form DIB: by Pillow, and here the bit fields, which Pillow rounds down or refuses."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, full_depth

FILE_HEADER = 14
"""The bytes before a bitmap's header."""
RGB, RLE8, RLE4, BITFIELDS, ALPHABITFIELDS = 0, 1, 2, 3, 6
"""Numbers of what is called compression."""
EMBEDDED, LINKED = b"DEBM", b"KNIL"
"""Colour spaces that are a profile: it is in the file, or in another whose name is there."""
FIVE_BITS = (0x7C00, 0x3E0, 0x1F)
"""The masks of red, green and blue that 16 bits have without bit fields."""


class BmpPicture(PillowPicture):
    """A BMP file that Pillow reads."""

    names = ("BMP", "DIB")

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        return super().metadata(image, index)._replace(icc=_profile(self.stream))


class FieldsPicture(Picture):
    """A BMP file of bit fields (Microsoft, "Bitmap Header Types")."""

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        header, _ = _header(stream)
        fields = struct.unpack_from("<IiiHHI4xii", header)
        size, self.width, height, _, self._bits, compression, *self._per_metre = fields
        self.count, self.height, self._order = 1, abs(height), 1 if height < 0 else -1
        masks = FIVE_BITS
        if compression != RGB:
            masks = struct.unpack_from("<4I", header, 40)[: 4 if compression == ALPHABITFIELDS or size >= 56 else 3]
        lowest = [(mask & -mask).bit_length() - 1 for mask in masks if mask]
        self._fields = list(zip(lowest, (mask.bit_count() for mask in masks if mask), strict=True))
        whole = all(((1 << count) - 1) << low in masks for low, count in self._fields)
        if self._bits not in (16, 24, 32) or not all(masks[:3]) or not whole:
            raise UpscaleError("has bit fields of a kind that is not supported; convert it to PNG first.")
        self.channels = len(self._fields)
        self.itemsize = 2 if max(count for _, count in self._fields) > 8 else 1
        # Each pixel is one integer of 32 bits on its way.
        self.decoded = 8 + 3 * self.channels * self.itemsize

    def decode(self) -> Iterator[Frame]:
        stride, used = (self.width * self._bits + 31) // 32 * 4, self.width * self._bits // 8
        self.stream.seek(10)
        self.stream.seek(int.from_bytes(self.stream.read(4), "little"))
        data = self.stream.read(stride * self.height)
        if len(data) < stride * self.height:
            raise UpscaleError("is truncated: its pixels are incomplete; get the complete file.")
        rows = np.frombuffer(data, np.uint8).reshape(self.height, stride)[:: self._order, :used]
        parts = rows.reshape(self.height, self.width, -1).astype(np.uint32)
        pixels = parts @ np.array([1 << 8 * i for i in range(self._bits // 8)], np.uint32)
        wide = self.itemsize == 2
        channels = [full_depth(pixels >> low & (1 << count) - 1, count, wide) for low, count in self._fields]
        across, down = (each / 39.3701 for each in self._per_metre)
        dpi = (across, down) if across > 0 and down > 0 else None
        metadata = Metadata(icc=_profile(self.stream), dpi=dpi)
        yield Frame(np.stack(channels, axis=2), "RGBA" if self.channels == 4 else "RGB", metadata=metadata)


def _header(stream: BinaryIO) -> tuple[bytes, int]:
    """Return the longest header that a bitmap has, with masks behind it, and where it begins."""
    stream.seek(0)
    begin = FILE_HEADER if stream.read(2) == b"BM" else 0
    stream.seek(begin)
    return stream.read(124), begin


def _profile(stream: BinaryIO) -> bytes | None:
    """Return the colour profile that a header of version 5 points to."""
    data, begin = _header(stream)
    if int.from_bytes(data[:4], "little") != 124 or data[56:60] != EMBEDDED:
        return None
    start, size = struct.unpack_from("<II", data, 112)
    stream.seek(begin + start)
    return stream.read(size) or None


def open(stream: BinaryIO, format: Format, reading: Reading) -> Picture:
    """Open a BMP file; see `Codec`."""
    header, begin = _header(stream)
    size = int.from_bytes(header[:4], "little")
    bits, compression = struct.unpack_from("<HI", header, 14) if size >= 40 else (24, RGB)
    fields = compression in (BITFIELDS, ALPHABITFIELDS)
    # In OS/2's header, of 64 bytes, the numbers mean other compressions.
    if (not fields and compression > RLE4) or (fields and (size == 64 or not begin)) or bits == 2:
        raise UpscaleError(
            f"is a BMP with compression {compression} of {bits}-bit pixels, which is not supported; "
            "convert it to PNG first."
        )
    picture = (FieldsPicture if fields or bits == 16 else BmpPicture)(stream, format, reading)
    # A header of version 4 whose colour space is 0, LCS_CALIBRATED_RGB, has endpoints and gamma.
    if size >= 108 and not any(header[56:60]) and any(header[60:108]):
        picture.notes.append("its calibrated colour space (endpoints and gamma) is left out")
    # Version 5 of the header can name a file with the profile instead (PROFILE_LINKED).
    if size == 124 and header[56:60] == LINKED:
        picture.notes.append("its linked colour profile is left out")
    return picture


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a BMP file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "BMP")

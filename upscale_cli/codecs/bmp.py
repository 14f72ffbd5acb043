"""BMP and its header-less form DIB: by Pillow, and here the bit fields, which Pillow rounds down or refuses."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from upscale_cli.codecs.dib import ALPHABITFIELDS, BITFIELDS, RGB, Dib, read_dib, read_pixels
from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame

FILE_HEADER = 14
"""The bytes before a bitmap's header."""


class BmpPicture(PillowPicture):
    """A BMP file that Pillow reads."""

    names = ("BMP", "DIB")

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        return super().metadata(image, index)._replace(icc=_profile(self.stream))


class FieldsPicture(Picture):
    """A BMP file of bit fields, or of 2 bits."""

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading, dib: Dib) -> None:
        super().__init__(stream, format, reading)
        self._dib, self.count = dib, 1
        self.height, self.width = dib.height, dib.width
        self.channels = 4 if any(dib.masks[3:]) else 3
        self.itemsize = 2 if any(mask.bit_count() > 8 for mask in dib.masks) else 1
        # Each pixel is one integer of 32 bits on its way.
        self.decoded = 8 + 3 * self.channels * self.itemsize

    def decode(self) -> Iterator[Frame]:
        stream, dib = self.stream, self._dib
        stream.seek(0)
        head = stream.read(FILE_HEADER)
        stream.seek(struct.unpack_from("<I", head, 10)[0] if head.startswith(b"BM") else dib.start)
        samples = read_pixels(dib, stream.read(dib.stride * dib.height))
        metadata = Metadata(icc=_profile(stream), dpi=dib.dpi)
        yield Frame(samples, "RGBA" if samples.shape[2] == 4 else "RGB", metadata=metadata)


def _header(stream: BinaryIO) -> tuple[bytes, int]:
    """Return what a bitmap's header, masks and palette take at most, and where they begin."""
    stream.seek(0)
    begin = FILE_HEADER if stream.read(2) == b"BM" else 0
    stream.seek(begin)
    return stream.read(2048), begin


def _profile(stream: BinaryIO) -> bytes | None:
    """Return the colour profile that a header of version 5 points to."""
    data, begin = _header(stream)
    if int.from_bytes(data[:4], "little") != 124 or data[56:60] != b"DEBM":
        return None
    start, size = struct.unpack_from("<II", data, 112)
    stream.seek(begin + start)
    return stream.read(size) or None


def open(stream: BinaryIO, format: Format, reading: Reading) -> Picture:
    """Open a BMP file; see `Codec`."""
    data, _ = _header(stream)
    dib, fields = read_dib(data), (BITFIELDS, ALPHABITFIELDS)
    if (dib.compression > BITFIELDS and dib.compression != ALPHABITFIELDS) or (
        data[0] == 64 and dib.compression in fields
    ):
        raise UpscaleError(
            f"has pixels that are compressed as BMP's number {dib.compression}, which is not supported; "
            "convert it to PNG first."
        )
    if dib.compression in fields or (dib.compression == RGB and dib.bits in (2, 16)):
        return FieldsPicture(stream, format, reading, dib)
    return BmpPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a BMP file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "BMP")

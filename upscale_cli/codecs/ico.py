"""Icons and cursors (ICO, CUR): the largest of their pictures, a PNG or a bitmap with a mask. They are only read."""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.codecs import png
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.codecs.pillow import from_pillow
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame, to_mode, widen


class IconPicture(Picture):
    """A bitmap of an icon: as high again as its picture, with a mask above the colours (Microsoft, "Icons")."""

    def __init__(self, data: bytes, format: Format, reading: Reading) -> None:
        super().__init__(io.BytesIO(data), format, reading)
        self.width, height, self._bits, compression = struct.unpack_from("<ii2xHI", data, 4)
        if height < 0 or compression or self._bits == 16:
            raise UpscaleError(
                f"is an icon of {self._bits} bits per pixel of a kind that is not supported; convert it to PNG first."
            )
        self.count, self.height = 1, height // 2
        self.channels, self.itemsize, self.decoded = 4, 1, 16
        self._data = data[:8] + struct.pack("<i", self.height) + data[12:]

    def decode(self) -> Iterator[Frame]:
        with Image.open(io.BytesIO(self._data), formats=("DIB",)) as image:
            start = image.tile[0].offset
            image.load()
            colours = to_mode(widen(from_pillow(image)), "RGB").samples
        middle = start + self._stride(self._bits) * self.height
        alpha = self._rows(start, 32)[:, 3::4] if self._bits == 32 else np.zeros(1, np.uint8)
        if not alpha.any():
            alpha = ~np.unpackbits(self._rows(middle, 1), axis=1).view(bool)[:, : self.width] * np.uint8(255)
        opaque = (alpha == 255).all()
        yield Frame(colours, "RGB") if opaque else Frame(np.dstack([colours, alpha]), "RGBA")

    def _stride(self, bits: int) -> int:
        return (self.width * bits + 31) // 32 * 4

    def _rows(self, start: int, bits: int) -> NDArray[np.uint8]:
        """Return rows of bytes, the highest first."""
        shape = self.height, self._stride(bits)
        if len(self._data) < start + shape[0] * shape[1]:
            raise UpscaleError("is truncated: its mask is incomplete; get the complete file.")
        return np.frombuffer(self._data, np.uint8, shape[0] * shape[1], start).reshape(shape)[::-1]


def open(stream: BinaryIO, format: Format, reading: Reading) -> Picture:
    """Open an icon or a cursor; see `Codec`."""
    data = stream.read()
    stream.close()
    count, cursor = int.from_bytes(data[4:6], "little"), data[2] == 2

    def size_and_bits(entry: tuple[int, ...]) -> tuple[int, int]:
        # 256 is stored as 0. A cursor has its hot spot where an icon has its bits.
        width, height, bits, _ = entry
        return (width or 256) * (height or 256), 0 if cursor else bits

    *_, start = max(struct.iter_unpack("<2B4xH4xI", data[6 : 6 + 16 * count]), key=size_and_bits)
    # Its length, which stands before its place, is often wrong.
    data = data[start:]
    is_png = data.startswith(b"\x89PNG")
    picture = png.open(io.BytesIO(data), format, reading) if is_png else IconPicture(data, format, reading)
    if count > 1:
        picture.notes.append(f"only the largest of its {count} pictures is enlarged")
    return picture

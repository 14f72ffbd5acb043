"""Icons and cursors (ICO, CUR): the largest of their pictures, a PNG or a bitmap with a mask. They are only read."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from upscale_cli.codecs import png
from upscale_cli.codecs.dib import MASKS, RGB, TRUNCATED, read_dib, read_pixels
from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame

ALPHA = (*MASKS[32][:3], 0xFF000000)
"""The masks of an icon's 32 bits."""


class IconPicture(Picture):
    """A bitmap of an icon: as high again as its picture, with a mask above the colours (Microsoft, "Icons")."""

    def __init__(self, data: bytes, format: Format, reading: Reading) -> None:
        super().__init__(io.BytesIO(data), format, reading)
        self._data, dib = data, read_dib(data)
        self._dib = dib = dib._replace(height=dib.height // 2, masks=ALPHA if dib.bits == 32 else dib.masks)
        if dib.compression != RGB or dib.bits not in (1, 2, 4, 8, 16, 24, 32):
            raise UpscaleError("is an icon of a kind that is not supported: its bitmap is compressed.")
        self.count, self.height, self.width = 1, dib.height, dib.width
        self.channels, self.itemsize = 4, 1
        self.decoded = 16

    def decode(self) -> Iterator[Frame]:
        dib = self._dib
        middle = dib.start + dib.stride * dib.height
        samples = read_pixels(dib, self._data[dib.start : middle])
        if samples.shape[2] == 3 or not samples[:, :, 3].any():
            stride = (dib.width + 31) // 32 * 4
            mask = np.frombuffer(self._data[middle : middle + stride * dib.height], np.uint8)
            if len(mask) < stride * dib.height:
                raise UpscaleError(TRUNCATED)
            clear = np.unpackbits(mask.reshape(dib.height, stride), axis=1)[::-1, : dib.width]
            samples = np.dstack([samples[:, :, :3], (1 - clear) * np.uint8(255)])
        opaque = (samples[:, :, 3] == 255).all()
        yield Frame(samples[:, :, :3], "RGB") if opaque else Frame(samples, "RGBA")


def open(stream: BinaryIO, format: Format, reading: Reading) -> Picture:
    """Open an icon or a cursor; see `Codec`."""
    data = stream.read()
    stream.close()
    count = int.from_bytes(data[4:6], "little")
    entries = [data[at : at + 16] for at in range(6, 6 + 16 * count, 16)]
    cursor = data[2] == 2

    def largest(entry: bytes) -> tuple[int, int]:
        # 256 is stored as 0. A cursor has its hot spot where an icon has its bits.
        return (entry[0] or 256) * (entry[1] or 256), 0 if cursor else int.from_bytes(entry[6:8], "little")

    entry = max(entries, key=largest)
    # Its length, which stands before its place, is often wrong.
    data = data[int.from_bytes(entry[12:], "little") :]
    if data.startswith(b"\x89PNG"):
        picture: Picture = png.open(io.BytesIO(data), format, reading)
    else:
        picture = IconPicture(data, format, reading)
    if count > 1:
        picture.notes.append(f"only the largest of its {count} pictures is enlarged")
    return picture

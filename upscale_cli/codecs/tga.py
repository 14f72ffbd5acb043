"""TGA: its runs are unpacked here, for Pillow refuses those across rows; what Pillow makes of alpha is corrected."""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TgaImagePlugin import MODES

from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, divided_by_alpha, full_depth

INDEXED, GREY, PACKED = 1, 3, 8
"""Types of image data; `PACKED` is added for those that are run-length encoded."""
ALPHA_BITS = 15
"""Bits of the image descriptor."""
USEFUL, ASSOCIATED = 3, 4
"""Kinds of alpha that the extension area of version 2 tells."""
FOOTER = b"TRUEVISION-XFILE.\0"
AREA = 495
"""The bytes of an extension area; the last is the kind of alpha."""
FIELDS = {
    "author": (2, 43),
    "comment": (43, 367),
    "date": (367, 379),
    "job name": (379, 420),
    "job time": (420, 426),
    "software": (426, 467),
    "key colour": (470, 474),
    "colour correction": (482, 486),
    "thumbnail": (486, 490),
}
"""Fields of the extension area that are not kept, with their places in it. Empty ones are of zeros or spaces."""
RATIOS = {"pixel aspect ratio": 474, "gamma": 478}
"""The same of two numbers each, the second of which is 0 if nothing is said."""


class TgaPicture(PillowPicture):
    """A TGA file (Truevision, "TGA File Format Specification", version 2.0)."""

    names = ("TGA",)

    def open_image(self) -> Image.Image:
        self._data = data = self.stream.read()
        mapped, self._kind, self._entry, self._depth = data[1], data[2] & ~PACKED, data[7], data[16]
        known = (self._kind, self._depth) in MODES and (mapped or self._kind != INDEXED)
        if not known or (mapped and self._entry not in (16, 24, 32)):
            raise UpscaleError(
                f"is a TGA of type {data[2]} with {self._depth} bits per pixel, and {self._entry} per colour of its "
                "palette, which is not supported; convert it to PNG first."
            )
        if self._kind == GREY and self._depth == 16 and not data[17] & ALPHA_BITS:
            raise UpscaleError("is a grey TGA of 16 bits that does not say what they are; convert it to PNG first.")
        if names := list(self._left_out()):
            self.notes.append(f"its {', '.join(names)} {'is' if len(names) == 1 else 'are'} left out")
        return Image.open(io.BytesIO(data), formats=self.names)

    def _left_out(self) -> Iterator[str]:
        """Yield what of version 2 is not kept."""
        if area := self._area():
            yield from (name for name, (start, stop) in FIELDS.items() if area[start:stop].strip(b"\0 "))
            for name, start in RATIOS.items():
                top, bottom = struct.unpack_from("<HH", area, start)
                if bottom and top != bottom:
                    yield name
        if self._data.endswith(FOOTER) and any(self._data[-22:-18]):
            yield "developer data"

    def _area(self) -> bytes:
        """Return the extension area; nothing if there is none."""
        start = int.from_bytes(self._data[-26:-22], "little") if self._data.endswith(FOOTER) else 0
        return self._data[start : start + AREA] if 0 < start <= len(self._data) - AREA else b""

    def _unpacked(self) -> bytes:
        """Return the file without packets of runs and of literals, and without what stands behind its pixels."""
        data = self._data
        title, mapped, colours = struct.unpack_from("<BB3xH", data)
        at = start = 18 + title + mapped * colours * (self._entry // 8)
        each = max(1, self._depth // 8)
        count = self.height * ((self.width + 7) // 8 if self._depth == 1 else self.width * each)
        pixels = bytearray() if data[2] & PACKED else data[at:]
        while data[2] & PACKED and len(pixels) < count and at < len(data):
            run, length = data[at] & 128, (data[at] & 127) + 1
            part = data[at + 1 : at + 1 + (each if run else each * length)]
            at += 1 + len(part)
            pixels += part * length if run else part
        return data[:2] + bytes([self._kind]) + data[3:start] + pixels[:count]

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        title = image.info.get("id_section", b"").partition(b"\0")[0].strip()
        return Metadata(comment=title or None)

    def read(self, image: Image.Image, index: int) -> Frame:
        with Image.open(io.BytesIO(self._unpacked()), formats=self.names) as plain:
            frame, alpha = super().read(plain, index), self._alpha()
        samples = frame.samples
        if frame.palette is not None:
            first, count = struct.unpack_from("<HH", self._data, 3)
            if samples.min() < first or samples.max() >= first + count:
                raise UpscaleError("has colours that its palette does not have: it is damaged; get another copy.")
            palette = frame.palette if self._entry > 16 else _unrounded(frame.palette)
            if self._entry < 32 or alpha not in (USEFUL, ASSOCIATED):
                palette[:, 3] = 255
            return frame._replace(palette=divided_by_alpha(palette) if alpha == ASSOCIATED else palette)
        if frame.mode != "RGBA":
            return frame
        samples = _unrounded(samples) if self._depth == 16 else samples
        if alpha == ASSOCIATED:
            return frame._replace(samples=divided_by_alpha(samples))
        if alpha == USEFUL:
            return frame._replace(samples=samples)
        if self._depth == 32 and np.ptp(samples[:, :, 3]):
            self.notes.append("its fourth channel is not alpha, as its header says, and is left out")
        return frame._replace(samples=samples[:, :, :3], mode="RGB")

    def _alpha(self) -> int:
        """Return the kind of alpha, in the terms of version 2; 0 for none."""
        if not self._data[17] & ALPHA_BITS:
            return 0
        area = self._area()
        return area[-1] if area else USEFUL


def _unrounded(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return colours of 5 bits, which Pillow rounds down, as the nearest of 8, and their alpha, which it reverses."""
    fives, table = np.arange(32), np.zeros(256, np.uint8)
    table[fives * 255 // 31] = full_depth(fives, 5)
    return np.concatenate([table[colours[..., :3]], 255 - colours[..., 3:]], axis=-1)


open = TgaPicture


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a TGA file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "TGA")

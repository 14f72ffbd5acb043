"""TGA, by Pillow, which takes an unused fourth byte for alpha, and rounds 5 bits down and reverses alpha of 16 bits."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.TgaImagePlugin import MODES

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, divided_by_alpha, full_depth

GREY, PACKED = 3, 8
"""Types of image data; `PACKED` is added for those that are run-length encoded."""
ALPHA_BITS = 15
"""Bits of the image descriptor."""
USEFUL, ASSOCIATED = 3, 4
"""Kinds of alpha that the extension area of version 2 tells."""
FOOTER = b"TRUEVISION-XFILE.\0"


class TgaPicture(PillowPicture):
    """A TGA file (Truevision, "TGA File Format Specification", version 2.0)."""

    names = ("TGA",)

    def open_image(self) -> Image.Image:
        # Pillow looks for the last 26 bytes, also of shorter files.
        self._data = data = self.stream.read()
        mapped, kind, entry, self._depth = data[1], data[2] & ~PACKED, data[7], data[16]
        if (kind, self._depth) not in MODES or (kind == 1 and not mapped) or (mapped and entry not in (24, 32)):
            colours = f" and a palette of {entry} bits per colour" if mapped else ""
            raise UpscaleError(
                f"is a TGA of type {data[2]} with {self._depth} bits per pixel{colours}, which is not supported; "
                "convert it to PNG first."
            )
        if kind == GREY and self._depth == 16 and not data[17] & ALPHA_BITS:
            raise UpscaleError("is a grey TGA of 16 bits that does not say what they are; convert it to PNG first.")
        return Image.open(io.BytesIO(data), formats=self.names)

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        title = image.info.get("id_section", b"").partition(b"\0")[0].strip()
        return Metadata(comment=title or None)

    def read(self, image: Image.Image, index: int) -> Frame:
        frame, alpha = super().read(image, index), self._alpha()
        samples = frame.samples
        if frame.palette is not None:
            first, count = (int.from_bytes(self._data[at : at + 2], "little") for at in (3, 5))
            if samples.min() < first or samples.max() >= first + count:
                raise UpscaleError("has colours that its palette does not have: it is damaged; get another copy.")
            if alpha == ASSOCIATED:
                frame = frame._replace(palette=divided_by_alpha(frame.palette))
            elif alpha != USEFUL:
                frame.palette[:, 3] = 255
            return frame
        if frame.mode != "RGBA":
            return frame
        if self._depth == 16:
            fives, table = np.arange(32), np.zeros(256, np.uint8)
            table[fives * 255 // 31] = full_depth(fives, 5)
            samples = np.dstack([table[samples[:, :, :3]], 255 - samples[:, :, 3]])
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
        start = int.from_bytes(self._data[-26:-22], "little") if self._data.endswith(FOOTER) else 0
        return self._data[start + 494] if 0 < start < len(self._data) - 494 else USEFUL


def open(stream: BinaryIO, format: Format, reading: Reading) -> TgaPicture:
    """Open a TGA file; see `Codec`."""
    return TgaPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a TGA file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "TGA")

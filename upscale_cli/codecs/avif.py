"""AVIF, by Pillow, which decodes 10 and 12 bits as 8: those files are refused."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

from PIL import Image

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing, alike
from upscale_cli.image.exif import without_orientation


class AvifPicture(PillowPicture):
    """An AVIF file."""

    names = ("AVIF",)

    def bits(self, image: Image.Image) -> int:
        """Return the depth of the deepest image: the bits `high_bitdepth` and `twelve_bit` of the av1C boxes.

        AOM, "AV1 Codec ISO Media File Format Binding", section 2.3.
        """
        return self._bits

    @cached_property
    def _bits(self) -> int:
        self.stream.seek(0)
        flags: list[int] = [found[1][0] for found in re.finditer(rb"av1C\x81.(.)", self.stream.read(), re.DOTALL)]
        return max((8 if not flag & 64 else 12 if flag & 32 else 10 for flag in flags), default=8)


def open(stream: BinaryIO, format: Format, reading: Reading) -> AvifPicture:
    """Open an AVIF file; see `Codec`."""
    return AvifPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write an AVIF file; see `Codec`."""
    whole = alike([frame.frame() for frame in frames], how.format)
    subsampling, exif = how.encoding.subsampling or "4:4:4", how.metadata.exif
    # The pixels are upright. Pillow would write EXIF anew to take its orientation out.
    exif = without_orientation(exif) if exif else None
    save(stream, whole, how, "AVIF", quality=how.quality, subsampling=subsampling, exif=exif)

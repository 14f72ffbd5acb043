"""AVIF, by Pillow, which decodes 10 and 12 bits as 8: those files are refused."""

import re
from collections.abc import Iterator
from functools import cached_property
from math import ceil
from typing import BinaryIO

import numpy as np
from PIL import Image

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing, alike
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame


class AvifPicture(PillowPicture):
    """An AVIF file."""

    names = ("AVIF",)

    def bits(self, image: Image.Image) -> int:
        """Return the depth of the deepest image: the bits `high_bitdepth` and `twelve_bit` of the av1C boxes.

        AOM, "AV1 Codec ISO Media File Format Binding", section 2.3.
        """
        return self._bits

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        metadata = super().metadata(image, index)
        return metadata._replace(plays=_plays(self.stream)) if self.count > 1 else metadata

    @cached_property
    def _bits(self) -> int:
        self.stream.seek(0)
        flags: list[int] = [found[1][0] for found in re.finditer(rb"av1C\x81.(.)", self.stream.read(), re.DOTALL)]
        return max((8 if not flag & 64 else 12 if flag & 32 else 10 for flag in flags), default=8)


def _plays(stream: BinaryIO) -> int | None:
    """Return how often an animation is shown: 0 for ever, None if the file does not say it.

    An edit list says whether its segment is repeated, and the header of the track for how long: ISO/IEC 14496-12,
    8.6.6 and 8.3.2. Version 1 of these boxes has numbers of 64 bits, version 0 of 32.
    """
    stream.seek(0)
    data = stream.read()
    track, edit = data.find(b"tkhd"), data.find(b"elst")
    if min(track, edit) < 0 or max(track, edit) + 40 > len(data):
        return None
    place, bits = (track + 32, 64) if data[track + 4] else (track + 24, 32)
    length = int.from_bytes(data[place : place + bits // 8])
    segment = int.from_bytes(data[edit + 12 : edit + (20 if data[edit + 4] else 16)])
    if not data[edit + 7] & 1:
        return 1
    if length == 2**bits - 1:
        return 0
    return ceil(length / segment) if segment else None


def open(stream: BinaryIO, format: Format, reading: Reading) -> AvifPicture:
    """Open an AVIF file; see `Codec`."""
    return AvifPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write an AVIF file, its colour at full resolution; see `Codec`."""
    if how.lossless:
        stream.write(_without_loss(next(frames).frame()))
        return
    whole = alike([frame.frame() for frame in frames], how.format)
    save(stream, whole, how, "AVIF", quality=how.quality, subsampling="4:4:4")


def _without_loss(frame: Frame) -> bytes:
    """Return a frame as an AVIF file without loss, whose colours are stored as red, green and blue.

    Pillow stores them as luma and two differences, which are rounded.

    Raises
    ------
    UpscaleError
        If imagecodecs, an extra, is not installed.
    """
    try:
        from imagecodecs import avif_encode
    except ImportError:
        raise UpscaleError(
            "lossless AVIF needs imagecodecs: pip install 'upscale-cli[avif]', or use --format webp or png."
        ) from None
    grey = frame.mode == "L"
    samples = frame.samples[:, :, 0] if grey else frame.samples
    return bytes(avif_encode(np.ascontiguousarray(samples), level=100, pixelformat="400" if grey else "444"))

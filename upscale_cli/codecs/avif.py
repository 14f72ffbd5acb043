"""AVIF, by Pillow, which decodes 10 and 12 bits as 8: imagecodecs, an extra, decodes those. Both use libavif."""

import io
import re
import struct
from collections.abc import Iterator
from functools import cached_property
from math import ceil
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from upscale_cli.codecs.bmff import boxes, is_complete, properties, with_colour_codes
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.png_stream import Chunk
from upscale_cli.codecs.writing import Enlarged, Writing, alike
from upscale_cli.errors import UpscaleError
from upscale_cli.image.exif import ORIENTATION, without
from upscale_cli.image.metadata import Metadata, colour_codes
from upscale_cli.image.pixels import MODES, Frame, full_depth
from upscale_cli.methods.upsampler import Array

HEAD_LENGTH = 64
"""Bytes of a file in which its brands stand."""
CREDENTIALS = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The identifier of C2PA's box (Content Credentials 2.1, section A.5)."""


class AvifPicture(PillowPicture):
    """An AVIF file."""

    names = ("AVIF",)

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        if self._bits > 8:  # all frames are decoded at once
            self.decoded *= self.count
        if b"tmap" in self._data[:HEAD_LENGTH]:
            self.notes.append("its gain map is left out")
        if any(box.name == b"uuid" and box.content[:16] == CREDENTIALS for box in boxes(self._data)):
            self.notes.append("its content credentials (C2PA) are left out: they are of the source's pixels")

    def unidentified(self) -> str:
        if is_complete(self._data):
            return (
                "is an AVIF file of a kind that libavif, the decoder, does not read; "
                "convert it to PNG first with the program that made it."
            )
        return super().unidentified()

    def check_complete(self) -> None:
        whole = struct.pack(">4I", self.image.width, 1, self.image.height, 1)
        if not self._properties.get(b"clap", whole).startswith(whole):
            raise UpscaleError(
                "is an AVIF file that shows only a part of its picture (clap), which is not supported; "
                "convert it to PNG first."
            )

    def bits(self, image: Image.Image) -> int:
        return self._bits

    def reads_deep(self) -> bool:
        return True

    @cached_property
    def _properties(self) -> dict[bytes, bytes]:
        return properties(self._data)

    @cached_property
    def _bits(self) -> int:
        """The depth of the primary image: its own, that of all its tiles, or the most of any frame.

        An av1C box has it in `high_bitdepth` and `twelve_bit` (AOM, "AV1 Codec ISO Media File Format Binding",
        section 2.3). Those of a gain map or a thumbnail may have another.
        """
        found = self._properties
        if b"av1C" not in found and len(pixi := found.get(b"pixi", b"")) > 5:
            return max(pixi[5:])
        every = [found[b"av1C"]] if b"av1C" in found else re.findall(rb"(?s)av1C(\x81..)", self._data)
        flags = [each[2] for each in every if len(each) > 2]
        return max((8 if not flag & 64 else 12 if flag & 32 else 10 for flag in flags), default=8)

    @cached_property
    def _data(self) -> bytes:
        self.stream.seek(0)
        return self.stream.read()

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        metadata = super().metadata(image, index)
        if index == 0:
            pasp = self._properties.get(b"pasp", b"")  # width and height of a pixel
            self._metadata = metadata._replace(
                colour=self._colour(metadata.icc),
                aspect=(int.from_bytes(pasp[4:]), int.from_bytes(pasp[:4])) if len(pasp) == 8 else None,
                plays=_plays(self._data) if self.count > 1 else metadata.plays,
            )
        return self._metadata

    def _colour(self, icc: bytes | None) -> tuple[Chunk, ...]:
        """Return the colours as chunks of a PNG, which holds the same numbers in another order and other units."""
        found = self._properties
        primaries, transfer = struct.unpack_from(">HH", found.get(b"colr", b"nclx\0\1\0\x0d"), 4)
        chunks = [*colour_codes(primaries, transfer)] if icc is None else []
        if len(mdcv := found.get(b"mdcv", b"")) == 24:  # green, blue, red
            chunks.append((b"mDCV", mdcv[8:12] + mdcv[:8] + mdcv[12:]))
        if len(clli := found.get(b"clli", b"")) == 4:  # candelas a square metre; of a PNG, 0.0001
            chunks.append((b"cLLI", struct.pack(">II", *(light * 10_000 for light in struct.unpack(">HH", clli)))))
        return tuple(chunks)

    def read(self, image: Image.Image, index: int) -> Frame:
        if self._bits == 8:
            return super().read(image, index)
        if self.count > 1:
            image.load()  # by which Pillow learns the duration
        samples = full_depth(self._deep[index], self._bits)
        return Frame(samples, MODES[samples.shape[2]])

    @cached_property
    def _deep(self) -> Array:
        """All frames, (N, H, W, C), not scaled: one alone crashes imagecodecs 2026.3.6."""
        try:
            from imagecodecs import avif_decode
        except ImportError:
            raise UpscaleError(
                f"has {self._bits} bits per channel, which Pillow reduces to 8; "
                "pip install 'upscale-cli[avif]' reads them."
            ) from None
        samples: Array = avif_decode(self._data)
        return samples.reshape(self.count, *self.image.size[::-1], -1)


def _plays(data: bytes) -> int | None:
    """Return how often an animation is shown: 0 for ever, None if the file does not say it.

    An edit list says whether its segment is repeated, and the header of the track for how long: ISO/IEC 14496-12,
    8.6.6 and 8.3.2. Version 1 of these boxes has numbers of 64 bits, version 0 of 32.
    """
    track, edit = data.find(b"tkhd"), data.find(b"elst")
    if min(track, edit) < 0 or max(track, edit) + 40 > len(data):
        return None
    length = data[track + 32 : track + 40] if data[track + 4] else data[track + 24 : track + 28]
    segment = int.from_bytes(data[edit + 12 : edit + (20 if data[edit + 4] else 16)])
    if not data[edit + 7] & 1:
        return 1
    if set(length) == {255}:
        return 0
    return ceil(int.from_bytes(length) / segment) if segment else None


open = AvifPicture


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write an AVIF file; see `Codec`."""
    codes: bytes | None = how.metadata.present().get("cicp")
    # The stream says them too, for decoders that ask only there. Reserved numbers are unknown to libaom.
    named = codes if codes is not None and codes[0] <= 22 and codes[1] <= 18 else None
    if how.lossless:
        data = _without_loss(next(frames).frame(), named)
    else:
        whole, encoded, more = alike([frame.frame() for frame in frames], how.format), io.BytesIO(), dict[str, Any]()
        if named is not None:
            more["advanced"] = {"color-primaries": str(named[0]), "transfer-characteristics": str(named[1])}
        more["subsampling"] = how.encoding.subsampling or "4:4:4"
        # The pixels are upright. Pillow would write EXIF anew to take its orientation out.
        more["exif"] = without(how.metadata.exif, ORIENTATION) if how.metadata.exif else None
        save(encoded, whole, how, "AVIF", quality=how.quality, **more)
        data = _without_times(encoded.getvalue())
    stream.write(data if codes is None else with_colour_codes(data, codes))


def _without_times(data: bytes) -> bytes:
    """Return a file without the times at which it was written, so that the same image gives the same bytes.

    Animations have them, in the headers of movie, tracks and media: ISO/IEC 14496-12, 8.2.2, 8.3.2 and 8.4.2. 0 is
    a time that nobody knows. Version 1 of these boxes has times of 64 bits, version 0 of 32.
    """
    timeless = bytearray(data)
    for found in re.finditer(rb"(?:mvhd|tkhd|mdhd)([\0\1])", data.partition(b"mdat")[0]):
        length = 16 if found[1] == b"\1" else 8
        timeless[found.end() + 3 : found.end() + 3 + length] = bytes(length)
    return bytes(timeless)


def _without_loss(frame: Frame, codes: bytes | None) -> bytes:
    """Return a frame as an AVIF file without loss, whose colours are stored as red, green and blue, and named.

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
    samples = np.ascontiguousarray(frame.samples[:, :, 0] if grey else frame.samples)
    primaries, transfer = (None, None) if codes is None else codes[:2]
    form = "400" if grey else "444"
    return bytes(avif_encode(samples, level=100, pixelformat=form, primaries=primaries, transfer=transfer))

"""AVIF, by Pillow, which decodes 10 and 12 bits as 8: imagecodecs, an extra, decodes those. Both use libavif."""

import io
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from math import ceil, floor
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.codecs.bmff import boxes, is_complete, properties, with_colour_codes
from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.png_stream import Chunk
from upscale_cli.codecs.writing import Enlarged, Writing, alike
from upscale_cli.errors import UpscaleError
from upscale_cli.image.exif import ORIENTATION, without
from upscale_cli.image.metadata import UNSPECIFIED, Metadata
from upscale_cli.image.pixels import Frame, Mode, oriented

MODES: dict[int, Mode] = {1: "L", 3: "RGB", 4: "RGBA"}
HEAD_LENGTH = 64
"""Bytes of a file in which its brands stand."""
CREDENTIALS = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The identifier of C2PA's box (Content Credentials 2.1, section A.5)."""


class AvifPicture(PillowPicture):
    """An AVIF file."""

    names = ("AVIF",)

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        data = self._data()
        self._properties = properties(data)
        if self._bits > 8:  # all frames are decoded at once
            self.decoded *= self.count
        if b"tmap" in data[:HEAD_LENGTH]:
            self.notes.append("its gain map is left out")
        if any(box.name == b"uuid" and data.startswith(CREDENTIALS, box.start) for box in boxes(data)):
            self.notes.append("its content credentials (C2PA) are left out: they are of the source's pixels")
        if (area := self._aperture()) is not None:
            height, width = (side.stop - side.start for side in area)
            turned = self.orientation(self.image) >= 5
            self.height, self.width = (width, height) if turned else (height, width)

    def unidentified(self) -> str:
        if is_complete(self._data()):
            return (
                "is an AVIF file of a kind that libavif, the decoder, does not read; "
                "convert it to PNG first with the program that made it."
            )
        return super().unidentified()

    def bits(self, image: Image.Image) -> int:
        """Return the depth of the primary image: its own, that of all its tiles, or the most of any frame.

        An av1C box has it in `high_bitdepth` and `twelve_bit` (AOM, "AV1 Codec ISO Media File Format Binding",
        section 2.3). Those of a gain map or a thumbnail may have another.
        """
        return self._bits

    @cached_property
    def _bits(self) -> int:
        data = self._data()
        found = properties(data)
        if b"av1C" not in found and len(pixi := found.get(b"pixi", b"")) > 5:
            return max(pixi[5:])
        every = [found[b"av1C"]] if b"av1C" in found else re.findall(rb"(?s)av1C(\x81..)", data)
        flags = [each[2] for each in every if len(each) > 2]
        return max((8 if not flag & 64 else 12 if flag & 32 else 10 for flag in flags), default=8)

    def _data(self) -> bytes:
        self.stream.seek(0)
        return self.stream.read()

    def _aperture(self) -> tuple[slice, slice] | None:
        """Return the rows and columns that are shown (`clap`, ISO/IEC 14496-12, section 12.1.4); None for all."""
        clap = self._properties.get(b"clap", b"")
        if len(clap) != 32 or self.count > 1:
            return None
        numbers = struct.unpack(">IIIIiIiI", clap)
        if not all(numbers[1::2]):
            return None
        width, height, right, down = (Fraction(*numbers[place : place + 2]) for place in (0, 2, 4, 6))
        area = []
        for whole, side, offset in zip(self.image.size[::-1], (height, width), (down, right), strict=True):
            # An odd remainder would put the area between pixels: libheif takes the one before, and so does this.
            start, length = floor(offset + Fraction(whole - side, 2)), floor(side)
            if start < 0 or length < 1 or start + length > whole:
                return None
            area.append(slice(start, start + length))
        return area[0], area[1]

    def decode(self) -> Iterator[Frame]:
        area = self._aperture()
        for frame in super().decode():
            if area is None:
                yield frame
            else:
                turned = frame.metadata.orientation
                stored = oriented(frame.samples, {6: 8, 8: 6}.get(turned, turned))
                yield frame._replace(samples=oriented(stored[area], turned))

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        metadata = super().metadata(image, index)
        if index == 0:
            self._metadata = metadata._replace(
                colour=self._colour(metadata.icc),
                aspect=self._aspect(),
                plays=_plays(self._data()) if self.count > 1 else metadata.plays,
            )
        return self._metadata

    def _aspect(self) -> tuple[int, int] | None:
        pasp = self._properties.get(b"pasp", b"")  # width and height of a pixel
        return (int.from_bytes(pasp[4:]), int.from_bytes(pasp[:4])) if len(pasp) == 8 else None

    def _colour(self, icc: bytes | None) -> tuple[Chunk, ...]:
        """Return the colours as chunks of a PNG, which holds the same numbers in another order and other units."""
        found = self._properties
        chunks = []
        primaries, transfer = struct.unpack_from(">HH", found.get(b"colr", b"nclx\0\1\0\x0d"), 4)
        if icc is None and not (primaries in (1, UNSPECIFIED) and transfer in (13, UNSPECIFIED)):
            chunks.append((b"cICP", bytes((primaries & 255, transfer & 255, 0, 1))))
        if len(mdcv := found.get(b"mdcv", b"")) == 24:  # green, blue, red
            chunks.append((b"mDCV", mdcv[8:12] + mdcv[:8] + mdcv[12:]))
        if len(clli := found.get(b"clli", b"")) == 4:  # candelas a square metre; of a PNG, 0.0001
            chunks.append((b"cLLI", struct.pack(">II", *(light * 10_000 for light in struct.unpack(">HH", clli)))))
        return tuple(chunks)

    def read_samples(self, image: Image.Image, index: int) -> Frame:
        if self.count > 1:
            image.load()  # by which Pillow learns the duration
        samples = self._deep[index]
        return Frame(samples, MODES[samples.shape[2]])

    @cached_property
    def _deep(self) -> NDArray[np.uint16]:
        """All frames, (N, H, W, C): one alone crashes imagecodecs 2026.3.6."""
        try:
            from imagecodecs import avif_decode
        except ImportError:
            raise UpscaleError(
                f"has {self._bits} bits per channel, which Pillow reduces to 8; "
                "pip install 'upscale-cli[avif]' reads them."
            ) from None
        decoded: NDArray[np.uint16] = avif_decode(self._data())
        height, width = self.image.size[::-1]
        full = 2**self._bits - 1
        scaled = ((np.arange(full + 1) * 65535 + full // 2) // full).astype(np.uint16)
        samples: NDArray[np.uint16] = scaled[decoded]
        return samples.reshape(self.count, height, width, -1)


def _plays(data: bytes) -> int | None:
    """Return how often an animation is shown: 0 for ever, None if the file does not say it.

    An edit list says whether its segment is repeated, and the header of the track for how long: ISO/IEC 14496-12,
    8.6.6 and 8.3.2. Version 1 of these boxes has numbers of 64 bits, version 0 of 32.
    """
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
        data = encoded.getvalue()
    stream.write(data if codes is None else with_colour_codes(data, codes))


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
    samples = frame.samples[:, :, 0] if grey else frame.samples
    primaries, transfer = (None, None) if codes is None else codes[:2]
    return bytes(
        avif_encode(
            np.ascontiguousarray(samples),
            level=100,
            pixelformat="400" if grey else "444",
            primaries=primaries,
            transfer=transfer,
        )
    )

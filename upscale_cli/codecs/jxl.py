"""JPEG XL, by the extra `jxl`: imagecodecs decodes and encodes pixels, pillow-jxl-plugin reads the metadata."""

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import pillow_jxl

from upscale_cli.codecs.bmff import boxes
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.jxl_header import read_jxl_header
from upscale_cli.codecs.picture import Encoding, Picture, Reading
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import MODES, Frame, divided_by_alpha, full_depth

BOXES = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
"""The boxes that begin a file of boxes (ISO/IEC 18181-2, 9.1)."""
NAMED = {b"jhgm": "HDR gain map", b"jumb": "C2PA data (content credentials)"}
"""Boxes that are not kept, and what people call them."""
SRGB = tuple(name.encode("utf-16-be") for name in ("sRGB", "RGB_D65_SRG_Rel_SRG", "Gra_D65_Rel_SRG"))
"""Descriptions of the profile that libjxl makes up for a file that says sRGB and has none."""


class JxlPicture(Picture):
    """A JPEG XL file. libjxl turns it upright."""

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        self._content = stream.read()
        self._header = header = read_jxl_header(self._content)
        self.count, self.height, self.width = 1, header.height, header.width
        self.channels = 3 + header.alpha
        self.itemsize = 1 if header.bits <= 8 else 2 if header.bits <= 16 else 4
        # To spread 10 bits over 16 takes two arrays of 32.
        self.decoded = self.channels * (self.itemsize * (2 + format.decoder) + 8 * (header.bits > 8))
        self.encoding = Encoding(lossless=header.lossless)
        # A compressed box has the name of its content before that.
        found = {bytes(box.content[:4]) if box.name == b"brob" else box.name for box in boxes(self._content)}
        self.notes += [f"its {what} is left out" for name, what in NAMED.items() if name in found]

    def decode(self) -> Iterator[Frame]:
        header = self._header
        samples = imagecodecs.jpegxl_decode(self._content).reshape(self.height, self.width, -1)
        channels = samples.shape[2]
        if header.alpha != (channels in (2, 4)) or samples.dtype not in (np.uint8, np.uint16, np.float32):
            raise UpscaleError(
                f"has {channels} channels of {samples.dtype}, which is not supported in JPEG XL; "
                "convert it to PNG or TIFF first."
            )
        if samples.dtype != np.float32:
            # imagecodecs does not spread 10 bits over 16.
            samples = full_depth(samples, header.bits)
        if header.associated:
            samples = divided_by_alpha(samples)
        yield Frame(samples, MODES[channels], metadata=self._metadata())

    def _metadata(self) -> Metadata:
        _, _, _, profile, boxes = pillow_jxl.Decoder(num_threads=-1)(self._content)
        found = {bytes(box.box_type): bytes(box.data) for box in reversed(boxes)}
        exif = found.get(b"Exif", b"")
        # The offset of its TIFF header comes first.
        exif = exif[4 + int.from_bytes(exif[:4]) :]
        icc = bytes(profile or b"")
        if icc[4:8] == b"jxl " and any(name in icc for name in SRGB):
            icc = b""
        return Metadata(icc=icc or None, exif=exif or None, xmp=found.get(b"xml ") or None)


open = JxlPicture

EFFORT, EFFORT_WITHOUT_LOSS = 5, 4
"""With more (two more with loss), libjxl looks for small shapes that return, which takes up to 900 bytes a pixel of a
starry sky. It would gain nothing for photographs and text with loss, and 2 to 14 % without.
"""


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a JPEG XL file of 8 bits, for imagecodecs says of more that they are linear light; see `Codec`."""
    samples = next(frames).frame().samples
    options: dict[str, Any] = {"lossless": True, "effort": EFFORT_WITHOUT_LOSS}
    if not how.lossless:
        options = {"distance": _distance(how.quality), "effort": EFFORT}
    plane = np.squeeze(samples, 2) if samples.shape[2] == 1 else samples
    data = imagecodecs.jpegxl_encode(plane, **options)
    kept = how.stored("exif", "xmp")
    if kept["exif"] or kept["xmp"]:
        data = bytes(data)
        data = data[len(BOXES) :] if data.startswith(BOXES) else _box(b"jxlc", data)
        boxes = [(b"Exif", kept["exif"] and bytes(4) + kept["exif"]), (b"xml ", kept["xmp"])]
        data = BOXES + b"".join(_box(kind, content) for kind, content in boxes if content) + data
    stream.write(data)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _distance(quality: int) -> float:
    """Return the distance of a quality, as libjxl's tools have it (`JxlEncoderDistanceFromQuality`)."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25

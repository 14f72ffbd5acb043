"""PPM and its family (PGM, PBM, PFM): samples of 8 and 16 bits here, others by Pillow."""

import math
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import CHANNELS, Frame
from upscale_cli.methods.upsampler import Array


class PpmPicture(PillowPicture):
    """A PPM, PGM, PBM or PFM file."""

    names = ("PPM",)

    def bits(self, image: Image.Image) -> int:
        """Return 8 or 16 for samples of which the largest is 255 or 65535; 7 or 15 for those that are scaled."""
        tile = next(iter(cast(ImageFile.ImageFile, image).tile), None)
        if tile is None or tile.codec_name not in ("ppm", "ppm_plain") or not isinstance(tile.args, tuple):
            return super().bits(image)
        return {255: 8, 65535: 16}.get(tile.args[1], 15 if tile.args[1] > 255 else 7)

    def reads_deep(self) -> bool:
        return True

    def read(self, image: Image.Image, index: int) -> Frame:
        if self.bits(image) not in (7, 8, 15, 16) or image.mode not in ("L", "RGB", "I"):
            return super().read(image, index)
        samples = _read(self.stream, cast(ImageFile.ImageFile, image))
        return Frame(samples, "RGB" if samples.shape[2] == 3 else "L")


def open(stream: BinaryIO, format: Format, reading: Reading) -> PpmPicture:
    """Open a PPM file; see `Codec`."""
    return PpmPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a PPM file; see `Codec`."""
    frame = next(frames).frame()
    if frame.samples.dtype.kind != "u":
        save(stream, [frame], how, "PPM")
        return
    height, width, channels = frame.samples.shape
    most = 255 if frame.samples.itemsize == 1 else 65535
    stream.write(b"P%d\n%d %d\n%d\n" % (6 if channels == 3 else 5, width, height, most))
    stream.write(stored_bytes(frame.samples))


def stored_bytes(samples: Array) -> memoryview:
    """Return samples as the bytes that Netpbm's formats store: the high byte first."""
    big = samples.astype(samples.dtype.newbyteorder(">"), copy=False)
    return np.ascontiguousarray(big).view(np.uint8).data


def _read(stream: BinaryIO, image: ImageFile.ImageFile) -> Array:
    """Return the samples of a P2, P3, P5 or P6 file."""
    decoder, _, offset, args = image.tile[0]
    maximum = int(args[1]) if isinstance(args, tuple) else 65535 if args == "I;16B" else 255
    shape = (image.height, image.width, CHANNELS.get(image.mode, 1))
    itemsize = 1 if maximum < 256 else 2
    stream.seek(offset)
    if decoder != "ppm_plain":
        data = stream.read(itemsize * math.prod(shape))
        return full_range(np.frombuffer(data, f">u{itemsize}", len(data) // itemsize), maximum, shape)
    words = re.sub(rb"#[^\r\n]*", b"", stream.read()).split()[: math.prod(shape)]
    return full_range(np.array([int(word) for word in words], np.int64), maximum, shape)


def full_range(values: NDArray[Any], maximum: int, shape: tuple[int, ...]) -> Array:
    """Return stored values of 0 … maximum as samples of 8 or 16 bits, rounded half up.

    Netpbm rounds so too; Pillow rounds half to even.

    Raises
    ------
    UpscaleError
        If there are too few, or some are larger.
    """
    if len(values) < math.prod(shape):
        raise UpscaleError(
            f"is truncated: it has {len(values)} of {math.prod(shape)} samples; get the complete file."
        )
    dtype, full = (np.dtype(np.uint8), 255) if maximum < 256 else (np.dtype(np.uint16), 65535)
    if maximum < full or dtype != values.dtype.newbyteorder("="):
        if values.min() < 0 or values.max() > maximum:
            raise UpscaleError(f"has samples outside 0 to {maximum}: it is damaged; get another copy.")
        values = (values.astype(np.uint32) * full + maximum // 2) // maximum
    return values.astype(dtype, copy=False).reshape(shape)

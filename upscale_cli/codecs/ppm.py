"""PPM and its family (PGM, PBM, PFM): by Pillow, and here where samples are scaled or colours have 16 bits."""

import math
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from upscale_cli.codecs.formats import Format
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
        bits = self.bits(image)
        if bits not in (7, 15) and (bits != 16 or image.mode != "RGB"):
            return super().read(image, index)
        samples = _read_scaled(self.stream, cast(ImageFile.ImageFile, image))
        return Frame(samples, "RGB" if samples.shape[2] == 3 else "L")


def open(stream: BinaryIO, format: Format, reading: Reading) -> PpmPicture:
    """Open a PPM file; see `Codec`."""
    return PpmPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a PPM file; see `Codec`."""
    frame = next(frames).frame()
    if frame.kind == ("RGB", "uint16"):
        height, width, _ = frame.samples.shape
        stream.write(b"P6\n%d %d\n65535\n" % (width, height))
        stream.write(frame.samples.astype(">u2").tobytes())
    else:
        save(stream, [frame], how, "PPM")


def _read_scaled(stream: BinaryIO, image: ImageFile.ImageFile) -> Array:
    """Return the samples of a P2, P3, P5 or P6 file, scaled from 0 … maximum to 8 or 16 bits, rounded half up.

    Netpbm rounds so too; Pillow rounds half to even.
    """
    decoder, _, offset, args = image.tile[0]
    maximum = int(cast(tuple[Any, ...], args)[1])
    stored, dtype = (">u2", np.dtype(np.uint16)) if maximum > 255 else ("u1", np.dtype(np.uint8))
    shape = (image.height, image.width, CHANNELS.get(image.mode, 1))
    count = math.prod(shape)
    stream.seek(offset)
    values: NDArray[Any]
    if decoder == "ppm":
        data = stream.read(dtype.itemsize * count)
        values = np.frombuffer(data, stored, len(data) // dtype.itemsize)
    else:
        words = re.sub(rb"#[^\r\n]*", b"", stream.read()).split()[:count]
        values = np.array([int(word) for word in words], np.int64)
    if len(values) < count:
        raise UpscaleError(f"is truncated: it has {len(values)} of {count} samples; get the complete file.")
    if values.min() < 0 or values.max() > maximum:
        raise UpscaleError(f"has samples outside 0 to {maximum}: it is damaged; get another copy.")
    scaled = (values.astype(np.uint32) * np.iinfo(dtype).max + maximum // 2) // maximum
    return scaled.astype(dtype).reshape(shape)

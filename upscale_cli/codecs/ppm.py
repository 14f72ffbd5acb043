"""PPM and its family (PGM, PBM, PFM): by Pillow, and here where colours have more than 8 bits."""

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


class PpmPicture(PillowPicture):
    """A PPM, PGM, PBM or PFM file."""

    names = ("PPM",)

    def bits(self, image: Image.Image) -> int:
        tiles = cast(ImageFile.ImageFile, image).tile
        args = tiles[0].args if tiles else None
        deep = tiles and tiles[0].codec_name in ("ppm", "ppm_plain") and isinstance(args, tuple) and args[1] > 255
        return 16 if deep else super().bits(image)

    def read_samples(self, image: Image.Image, index: int) -> Frame:
        return Frame(_read_colours(self.stream, cast(ImageFile.ImageFile, image)), "RGB")


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


def _read_colours(stream: BinaryIO, image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    """Return the samples of a P6 or P3 file, scaled from 0 … maximum to 0 … 65535 and rounded half up."""
    decoder, _, offset, args = image.tile[0]
    maximum = int(cast(tuple[Any, ...], args)[1])
    shape = (image.height, image.width, CHANNELS[image.mode])
    count = math.prod(shape)
    stream.seek(offset)
    values: NDArray[Any]
    if decoder == "ppm":
        data = stream.read(2 * count)
        values = np.frombuffer(data, ">u2", len(data) // 2)
    else:
        words = re.sub(rb"#[^\r\n]*", b"", stream.read()).split()[:count]
        values = np.array([int(word) for word in words], np.int64)
    if len(values) < count:
        raise UpscaleError(f"is truncated: it has {len(values)} of {count} samples; get the complete file.")
    if values.min() < 0 or values.max() > maximum:
        raise UpscaleError(f"has samples outside 0 to {maximum}: it is damaged; get another copy.")
    scaled = (values.astype(np.uint32) * 65535 + maximum // 2) // maximum
    return scaled.astype(np.uint16).reshape(shape)

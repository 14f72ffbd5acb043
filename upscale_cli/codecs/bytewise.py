"""16-bit colour, which Pillow reduces to 8 bits: both bytes of each sample, each decoded by Pillow.

Pillow has 16 bits for images of one channel only. Its unpackers of 16-bit colour keep one byte of the two: the first,
as of a big-endian sample (`RGB;16B`), or the second, as of a little-endian one (`RGB;16L`). So the same file, decoded
once with each of them, yields both bytes, whatever its compression, predictor, tiles or interlacing.
"""

import sys
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from upscale_cli.codecs.tiff_tags import ORIENTATION
from upscale_cli.image.pixels import oriented


def read_both_bytes(stream: BinaryIO, index: int, raw_mode: str) -> NDArray[np.uint16]:
    """Return the samples (H, W, bands) of a frame that Pillow would read with a 16-bit raw mode, as stored."""
    name, _, order = raw_mode.partition(";16")
    # RGBa would be divided by alpha in 8 bits.
    bands = name.replace("a", "A")
    first, second = (read_raw(stream, index, f"{bands};16{kept}") for kept in "BL")
    big_endian = order == "B" or (order == "N" and sys.byteorder == "big")
    high, low = (first, second) if big_endian else (second, first)
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= low
    return samples


def read_raw(stream: BinaryIO, index: int, raw_mode: str) -> NDArray[np.uint8]:
    """Return a frame (H, W, bands) as Pillow decodes it with another raw mode than its own choice, as stored.

    Parameters
    ----------
    stream : binary file
        A PNG or TIFF, seekable; left anywhere.
    index : int
        The frame or page.
    raw_mode : str
        A name of Pillow's unpackers.
    """
    stream.seek(0)
    image = Image.open(stream, formats=("PNG", "TIFF"))
    image.seek(index)
    for number, tile in enumerate(image.tile):
        args = (raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
        image.tile[number] = tile._replace(args=args)
    turned = image.tag_v2.get(ORIENTATION, 1) if isinstance(image, TiffImageFile) else 1
    image.load()
    # Pillow turns what it loads of a TIFF: turn it back.
    return oriented(np.asarray(image), {6: 8, 8: 6}.get(turned, turned))

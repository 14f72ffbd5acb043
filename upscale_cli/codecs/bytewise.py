"""16-bit colour of a PNG, which Pillow reduces to 8 bits: both bytes of each sample, each decoded by Pillow.

Pillow's unpackers of 16-bit colour keep one byte of the two: the first, as of a big-endian sample (`RGB;16B`), or the
second, as of a little-endian one (`RGB;16L`). Grey with alpha can be unpacked as four channels of 8 bits.
"""

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile


def read_both_bytes(stream: BinaryIO, bands: str) -> NDArray[np.uint16]:
    """Return the samples (H, W, C) of a 16-bit PNG.

    Parameters
    ----------
    stream : binary file
        Seekable; left anywhere.
    bands : {"LA", "RGB", "RGBA"}
    """
    if bands == "LA":
        return _unpacked(stream, "RGBA").view(">u2").astype(np.uint16)
    high, low = _unpacked(stream, f"{bands};16B"), _unpacked(stream, f"{bands};16L")
    return np.stack((high, low), axis=3).view(">u2")[..., 0].astype(np.uint16)


def _unpacked(stream: BinaryIO, raw_mode: str) -> NDArray[np.uint8]:
    """Return a PNG as Pillow decodes it with another raw mode than its own choice."""
    stream.seek(0)
    image = PngImageFile(stream)
    image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
    image.load()
    return np.asarray(image)

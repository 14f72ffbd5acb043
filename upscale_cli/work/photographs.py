"""Photographs to learn from and to measure with: only their colours, 8 bits per channel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.codecs.picture import open_picture
from upscale_cli.errors import UpscaleError
from upscale_cli.image.colour import cmyk_to_rgb
from upscale_cli.image.pixels import expand_palette, to_mode, widen
from upscale_cli.methods.samples import white
from upscale_cli.places.place import Source

Photograph = NDArray[np.uint8]
"""Red, green and blue: (H, W, 3)."""


def read_photograph(source: Source) -> Photograph:
    """Return the colours of the first frame of an image, upright, without alpha.

    Raises
    ------
    UpscaleError
        If it cannot be read, or is an array.
    """
    with open_picture(source.open()) as picture:
        frame = next(picture.frames())
        if frame.mode is None:
            raise UpscaleError("is an array, not a photograph.")
        frame = widen(expand_palette(frame))
        samples: NDArray[Any] = frame.samples
        if samples.dtype != np.uint8:
            scaled = np.clip(samples, 0, white(samples.dtype)) * (255 / white(samples.dtype))
            frame = frame._replace(samples=np.floor(scaled + 0.5).astype(np.uint8))
        if frame.mode == "CMYK":
            return cmyk_to_rgb(frame.samples, frame.metadata.icc)
        return to_mode(frame, "RGBA").samples[..., :3]

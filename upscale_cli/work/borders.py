"""The border of an image that is padded: room for its colour, and its samples."""

import numpy as np

from upscale_cli.codecs.fitting import fit
from upscale_cli.codecs.format import Format
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import CHANNELS, Frame, expand_palette, pixelwise, read_colour, to_mode
from upscale_cli.methods.samples import white
from upscale_cli.methods.upsampler import Array
from upscale_cli.work.arrange import Arrangement


def with_room(frame: Frame, background: str | None, format: Format) -> Frame:
    """Return a frame as it can have a border: in true colours, with opacity for a transparent one if there is none.

    Parameters
    ----------
    background : str or None
        The colour, as the user typed it; None for transparency where the format stores it.
    """
    colour = None if background is None else read_colour(background)
    if frame.mode in (None, "CMYK") or frame.extra or frame.metadata.no_data is not None:
        return frame
    frame = pixelwise(frame, expand_palette)
    opacity = frame.alpha or (colour is not None and colour[3] < 255)
    if colour is None and not frame.alpha and frame.samples.dtype != bool:
        kind = ("LA" if frame.mode == "L" else "RGBA"), frame.samples.dtype.name
        opacity = format.arrays or "white" not in fit(kind, format)[1]
    grey = frame.mode in ("L", "LA") and (colour is None or len(set(colour[:3])) == 1)
    mode = ("L" if grey else "RGB") + "A" * opacity
    return pixelwise(frame, lambda each: to_mode(each, mode))


def border_of(ready: Arrangement, mode: str | None, channels: int, background: str | None) -> Array:
    """Return the samples of a pixel of the border: those of no data, of a colour, or zeros in an array.

    Raises
    ------
    UpscaleError
        If a colour is given for what has none.
    """
    samples, frame = ready.samples, ready.frame
    no_data = frame.metadata.no_data if samples.no_data is None else samples.no_data
    if no_data is not None:
        return np.full(channels, no_data, samples.target)
    if mode is None:
        if background is not None:
            raise UpscaleError("is an array, which has no colours; omit --background.")
        return np.zeros(channels, samples.target)
    usual = "transparent" if frame.alpha and not samples.flatten else "white"
    *rgb, alpha = np.array(read_colour(background or usual)) / 255
    if samples.flatten:
        rgb, alpha = [each * alpha + 1 - alpha for each in rgb], 1
    values = {"L": rgb[:1], "CMYK": [*(1 - each for each in rgb), 0.0]}.get(mode.rstrip("A"), rgb)
    values += [alpha] * mode.endswith("A") + [0] * (channels - CHANNELS[mode])
    full = white(samples.target)
    return (np.array(values) * full + (0 if samples.target.kind == "f" else 0.5)).astype(samples.target)

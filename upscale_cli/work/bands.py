"""What lies beside colours: channels of no colour, arrays of any channels, and cells without data."""

from typing import Any

import numpy as np

from upscale_cli.codecs.format import Format
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import CHANNELS, MODES, Frame, divided_by_alpha, pixelwise
from upscale_cli.methods import Method
from upscale_cli.methods.rows import parts
from upscale_cli.methods.samples import white
from upscale_cli.methods.upsampler import Array


def with_bands(frame: Frame, method: Method, format: Format) -> tuple[Frame, list[str]]:
    """Return a frame of further channels as a format can store it, and what the user should know.

    Opacity among several of them is no opacity of all channels, so each is enlarged on its own.
    """
    opacity = [index for index, kind in enumerate(frame.extra) if kind]
    if format.arrays or format.bands:
        apart = opacity and method.values == "weighed"
        return frame, [f"its {frame.samples.shape[2]} channels are enlarged apart from its opacity"] * bool(apart)
    colours = CHANNELS[str(frame.mode)]
    lost = len(frame.extra) - (len(opacity) == 1 and frame.mode != "CMYK")

    def without_others(frame: Frame) -> Frame:
        samples, mode = frame.samples[..., :colours], frame.mode
        if lost < len(frame.extra):
            samples = np.concatenate([samples, frame.samples[..., colours + opacity[0], None]], axis=2)
            mode = "LA" if mode == "L" else "RGBA"
            if frame.extra[opacity[0]] == 1:
                samples = divided_by_alpha(samples)
        return frame._replace(samples=samples, mode=mode, extra=())

    what = "further channel" if lost == 1 else f"{lost} further channels"
    return pixelwise(frame, without_others), [f"{format.title} cannot store its {what}"]


def without_missing(frame: Frame, method: Method, target: np.dtype[Any]) -> tuple[Frame, float | None]:
    """Return a frame whose cells without data are 0 and not opaque, and their value in the output; None if all are.

    Raises
    ------
    UpscaleError
        If some channels of a cell have data and others have none.
    """
    no_data = frame.metadata.no_data
    if no_data is None or frame.palette is not None or frame.alpha or method.values != "weighed":
        return frame, None
    stored, value = frame.samples.dtype, no_data
    # 0 in one colour is a colour: a photograph from the air lacks data where all are 0.
    photograph = frame.mode == "RGB" and stored.kind == "u"

    def missing(samples: Array) -> tuple[Array, Array]:
        """Return which samples have no data, and which cells have none at all."""
        equal = np.isnan(samples) if np.isnan(value) else np.equal(samples, value)
        all_of = np.asarray(equal.all(axis=2))
        return equal & all_of[..., None] if photograph else equal, all_of

    def opaque(frame: Frame) -> Frame:
        equal, cells = missing(frame.samples)
        opacity = np.where(cells, 0, white(stored)).astype(stored)
        samples = np.concatenate([np.where(equal, stored.type(0), frame.samples), opacity[..., None]], axis=2)
        return frame._replace(samples=samples)

    found = False
    for part in parts(frame.samples):
        equal, cells = missing(part)
        found |= bool(equal.any())
        if (equal.any(axis=2) != cells).any():
            raise UpscaleError(
                f"has cells without data ({no_data:g}) in some channels only, which cannot be blended; "
                "use --method nearest, or one file per channel."
            )
    if not found:
        return frame, None
    return pixelwise(frame, opaque), no_data if target == stored else no_data * white(target) / white(stored)


def as_image(frame: Frame, format: Format) -> Frame:
    """Return an array as an image, by the number of its channels.

    Raises
    ------
    UpscaleError
        If there is no such image.
    """
    count, dtype = frame.samples.shape[2], frame.samples.dtype
    if format.bands and dtype.kind in "uif":
        return frame._replace(mode=MODES.get(count, "L"), extra=() if count in MODES else (0,) * (count - 1))
    if count not in MODES or dtype.name not in ("bool", "uint8", "uint16", "int32", "float32"):
        raise UpscaleError(
            f"is an array of {count} channels of {dtype}, which no image format can store; use --format npy, "
            "or 1 to 4 channels of uint8 or uint16."
        )
    return frame._replace(mode=MODES[count])

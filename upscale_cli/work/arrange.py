"""How a frame goes through a method into a format: what is kept, what is converted, and what is reported."""

from typing import Any, NamedTuple, cast

import numpy as np

from upscale_cli.codecs.fitting import fit
from upscale_cli.codecs.formats import Format
from upscale_cli.errors import UpscaleError
from upscale_cli.image.colour import cmyk_to_rgb, transfer_of
from upscale_cli.image.pixels import (
    CHANNELS,
    Frame,
    Kind,
    Mode,
    divided_by_alpha,
    expand_palette,
    index_colours,
    to_mode,
    widen,
)
from upscale_cli.methods import Method
from upscale_cli.methods.samples import SRGB, Samples, white


class Arrangement(NamedTuple):
    """A frame that is ready for a method.

    Attributes
    ----------
    frame : Frame
        The source of the method.
    samples : Samples
        What its samples mean, and what they become.
    mode : Mode or None
        The mode of the output.
    quantised : bool
        The output's colours are reduced to a palette.
    notes : tuple of str
        What the user should know.
    colour : str
        Description of the colour conversion, shown with -v.
    """

    frame: Frame
    samples: Samples
    mode: Mode | None
    quantised: bool = False
    notes: tuple[str, ...] = ()
    colour: str = ""


DEPTHS = {"bool": "1 bit", "uint8": "8 bits", "uint16": "16 bits"}
LAYOUTS = {"P": "palette", "L": "grey", "LA": "grey and alpha", "RGBA": "RGB and alpha"}


def arrange(frame: Frame, method: Method, format: Format, *, linear: bool = False) -> Arrangement:
    """Make a frame ready for a method and a format.

    A palette and single bits are kept if the method only copies values. Everything else is converted to true colours,
    at its own depth, and fitted to what the format can store.

    Raises
    ------
    UpscaleError
        If the format cannot store such pixels, or linear light has no meaning for them.
    """
    if frame.mode is None:
        if format.arrays:
            return _plain_array(frame, linear and method.values == "weighed")
        frame = _as_image(frame, format)
    notes: list[str] = []
    if frame.extra:
        frame, notes = _with_bands(frame, method, format)
    before = frame
    if method.values == "copied" and (indexed := _in_palette(frame, format)) is not None:
        samples = _plain_samples(indexed)
        return Arrangement(indexed, samples, "P", colour="palette, kept: values are only copied")
    frame = expand_palette(frame)
    if frame.samples.dtype == bool and method.values == "weighed":
        frame = widen(frame)
    wanted, depth = str(frame.mode), frame.samples.dtype.name
    if not format.arrays:
        (wanted, depth), lost = fit(frame.kind, format)
        notes += [f"{format.title}: {lost}"] if lost else []
    if frame.mode == "CMYK" and (wanted in ("RGB", "P") or linear):
        if wanted == "CMYK":
            raise UpscaleError("is CMYK, which has no linear light; omit --linear, or convert it to RGB first.")
        frame, reduced = _without_ink(frame)
        depth, notes = (depth, notes) if not reduced else ("uint8", [*notes, f"{format.title}: {reduced}"])
    quantised = wanted == "P"
    if quantised:
        wanted = str(frame.mode)
    flatten = frame.alpha and wanted not in ("LA", "RGBA")
    frame = to_mode(frame, {"L": "LA", "RGB": "RGBA"}[wanted] if flatten else wanted)
    transfer = None
    if linear and method.values == "weighed":
        transfer = transfer_of(frame.metadata)
        if transfer is None:
            transfer = SRGB
            notes.append("its colour profile has no simple curve, so --linear uses the curve of sRGB")
    no_data = None
    if method.values == "weighed" and not frame.alpha:
        frame, no_data = _without_missing(frame, np.dtype(depth))
    alpha = frame.samples[..., -1] if method.keeps_constants and frame.alpha else None
    samples = Samples(
        stored=frame.samples.dtype,
        channels_in=frame.samples.shape[2],
        target=np.dtype(depth),
        alpha=frame.alpha or no_data is not None,
        opaque=method.values == "weighed" and alpha is not None and bool((alpha == white(alpha.dtype)).all()),
        flatten=flatten,
        transfer=transfer,
        constants=method.keeps_constants,
        no_data=no_data,
    )
    kinds = [before.kind, ("P" if quantised else wanted, depth)]
    colour = _colour_explained(kinds, method, samples, indexed=before.palette is not None)
    return Arrangement(frame, samples, cast(Mode, wanted), quantised=quantised, notes=tuple(notes), colour=colour)


def _without_ink(frame: Frame) -> tuple[Frame, str]:
    """Return a CMYK frame as RGB of 8 bits, and what is lost, in words."""
    lost = ""
    if frame.samples.dtype == np.uint16:
        # Profiles are applied to 8 bits.
        frame = frame._replace(samples=((frame.samples + np.uint32(128)) // 257).astype(np.uint8))
        lost = "16 bits a channel become 8"
    return frame._replace(samples=cmyk_to_rgb(frame.samples, frame.metadata.icc), mode="RGB"), lost


def _colour_explained(kinds: list[Kind], method: Method, samples: Samples, indexed: bool) -> str:
    """Describe how the colours of a frame go through a method into a format."""
    described = [f"{LAYOUTS.get(mode, mode)}, {DEPTHS.get(depth, depth)}" for mode, depth in kinds]
    blended = method.values == "weighed"
    if blended and indexed:
        described.insert(1, "true colours, because indices cannot be blended")
    parts = [f"{described[0]}, kept" if set(described) == {described[0]} else " → ".join(described)]
    if not blended:
        parts.append(f"values are only {method.values}")
    else:
        parts.append("light is blended" if samples.transfer is not None else "code values are blended")
        if samples.opaque:
            parts.append("alpha is full everywhere and set again")
        elif samples.alpha and not samples.flatten:
            parts.append("colour is weighed by its opacity")
    return "; ".join(parts)


def _in_palette(frame: Frame, format: Format) -> Frame | None:
    """Return a frame with a palette that a format can store unchanged; None if there is none."""
    palettes_alone = not format.arrays and ("RGB", "uint8") not in format.stores
    if palettes_alone and frame.kind in (("LA", "uint8"), ("RGB", "uint8"), ("RGBA", "uint8")):
        # A few colours fit exactly, and copying makes no new ones.
        frame = index_colours(frame) or frame
    if frame.palette is None or frame.kind not in format.stores:
        return None
    if format.clear == "any":
        return frame
    used = np.zeros(256, bool)
    used[frame.samples] = True
    palette = frame.palette.copy()
    palette[~used, 3] = 255
    clear = palette[palette[:, 3] < 255, 3]
    if clear.any() or (len(clear) and format.clear == "none"):
        return None
    frame = frame._replace(palette=palette)
    return index_colours(frame) if len(clear) > 1 else frame


def _plain_array(frame: Frame, linear: bool) -> Arrangement:
    """Return an array that stays one: its channels have no meaning."""
    light = ", as linear light of sRGB" if linear else ""
    colour = f"{frame.samples.dtype}, channels {frame.samples.shape[2]}; kept as they are{light}"
    return Arrangement(frame, _plain_samples(frame, linear), None, colour=colour)


def _plain_samples(frame: Frame, linear: bool = False) -> Samples:
    """Return the meaning of samples that are just numbers."""
    dtype = frame.samples.dtype
    return Samples(stored=dtype, channels_in=frame.samples.shape[2], target=dtype, transfer=SRGB if linear else None)


def _with_bands(frame: Frame, method: Method, format: Format) -> tuple[Frame, list[str]]:
    """Return a frame of further channels as a format can store it, and what the user should know.

    Opacity among several of them is no opacity of all channels, so each is enlarged on its own.
    """
    opacity = [index for index, kind in enumerate(frame.extra) if kind]
    if format.arrays or format.bands:
        apart = opacity and method.values == "weighed"
        return frame, [f"its {frame.samples.shape[2]} channels are enlarged apart from its opacity"] * bool(apart)
    colours = CHANNELS[str(frame.mode)]
    lost = len(frame.extra) - (len(opacity) == 1 and frame.mode != "CMYK")
    samples, mode = frame.samples[..., :colours], frame.mode
    if lost < len(frame.extra):
        samples = np.concatenate([samples, frame.samples[..., colours + opacity[0], None]], axis=2)
        mode = "LA" if mode == "L" else "RGBA"
        if frame.extra[opacity[0]] == 1:
            samples = divided_by_alpha(samples)
    what = "a further channel" if lost == 1 else f"{lost} further channels"
    return frame._replace(samples=samples, mode=mode, extra=()), [f"{format.title} cannot store {what} of it"]


def _without_missing(frame: Frame, target: np.dtype[Any]) -> tuple[Frame, float | None]:
    """Return a frame whose cells without data are 0 and not opaque, and their value in the output; None if all are.

    Raises
    ------
    UpscaleError
        If some channels of a cell have data and others have none.
    """
    no_data = frame.metadata.no_data
    if no_data is None or frame.palette is not None:
        return frame, None
    equal = np.isnan(frame.samples) if np.isnan(no_data) else np.equal(frame.samples, no_data)
    missing = np.asarray(equal.all(axis=2))
    if frame.mode == "RGB" and frame.samples.dtype.kind == "u":
        # 0 in one colour is a colour: a photograph from the air lacks data where all are 0.
        equal = equal & missing[..., None]
    if not equal.any():
        return frame, None
    if (equal.any(axis=2) != missing).any():
        raise UpscaleError(
            f"has cells without data ({no_data:g}) in some channels only, which cannot be blended; "
            "use --method nearest, or one file per channel."
        )
    stored = frame.samples.dtype
    opacity = np.where(missing, 0, white(stored)).astype(stored)
    samples = np.concatenate([np.where(equal, stored.type(0), frame.samples), opacity[..., None]], axis=2)
    return frame._replace(samples=samples), no_data if target == stored else no_data * white(target) / white(stored)


def _as_image(frame: Frame, format: Format) -> Frame:
    """Return an array as an image, by the number of its channels.

    Raises
    ------
    UpscaleError
        If there is no such image.
    """
    modes: dict[int, Mode] = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    count, dtype = frame.samples.shape[2], frame.samples.dtype
    if format.bands and dtype.kind in "uif":
        return frame._replace(mode=modes.get(count, "L"), extra=() if count in modes else (0,) * (count - 1))
    if count not in modes or dtype.name not in ("bool", "uint8", "uint16", "int32", "float32"):
        raise UpscaleError(
            f"is an array of {count} channels of {dtype}, which no image format can store; use --format npy, "
            "or 1 to 4 channels of uint8 or uint16."
        )
    return frame._replace(mode=modes[count])

"""How a frame goes through a method into a format: what is kept, what is converted, and what is reported."""

from typing import NamedTuple, cast

import numpy as np

from upscale_cli.codecs.fitting import fit
from upscale_cli.codecs.formats import Format
from upscale_cli.errors import UpscaleError
from upscale_cli.image.colour import cmyk_to_rgb, transfer_of
from upscale_cli.image.pixels import CHANNELS, Frame, Kind, Mode, expand_palette, index_colours, to_mode, widen
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


DEPTHS = {"bool": "1 bit", "uint8": "8 bits", "uint16": "16 bits", "int32": "32 bits", "float32": "32-bit float"}
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
        frame = _as_image(frame)
    before = frame
    if method.values == "copied" and (indexed := _in_palette(frame, format)) is not None:
        samples = _plain_samples(indexed)
        return Arrangement(indexed, samples, "P", colour="palette, kept: values are only copied")
    frame = expand_palette(frame)
    if frame.samples.dtype == bool and method.values == "weighed":
        frame = widen(frame)
    wanted, depth, notes = str(frame.mode), frame.samples.dtype.name, []
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
    transfer = transfer_of(frame.metadata) if linear and method.values == "weighed" else None
    alpha = frame.samples[..., -1] if method.keeps_constants and frame.alpha else None
    samples = Samples(
        stored=frame.samples.dtype,
        channels_in=frame.samples.shape[2],
        target=np.dtype(depth),
        alpha=frame.alpha,
        opaque=method.values == "weighed" and alpha is not None and bool((alpha == white(alpha.dtype)).all()),
        flatten=flatten,
        transfer=transfer,
        constants=method.keeps_constants,
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


def _as_image(frame: Frame) -> Frame:
    """Return an array as an image, by the number of its channels.

    Raises
    ------
    UpscaleError
        If there is no such image.
    """
    modes = {count: mode for mode, count in CHANNELS.items() if mode in ("L", "LA", "RGB", "RGBA")}
    count, dtype = frame.samples.shape[2], frame.samples.dtype
    if count not in modes or dtype.name not in ("bool", "uint8", "uint16", "int32", "float32"):
        raise UpscaleError(
            f"is an array of {count} channels of {dtype}, which no image format can store; use --format npy, "
            "or 1 to 4 channels of uint8 or uint16."
        )
    return frame._replace(mode=modes[count])  # type: ignore[arg-type]

"""How a frame goes through a method into a format: what is kept, what is converted, and what is reported."""

from typing import Any, NamedTuple, cast

import numpy as np

from upscale_cli.codecs.fitting import fit
from upscale_cli.codecs.format import Format
from upscale_cli.errors import UpscaleError
from upscale_cli.image.colour import cmyk_to_rgb, transfer_of
from upscale_cli.image.pixels import Frame, Kind, Mode, expand_palette, index_colours, pixelwise, to_mode, widen
from upscale_cli.methods import Method
from upscale_cli.methods.rows import parts
from upscale_cli.methods.samples import SRGB, Samples, Transfer, sigmoidal, white
from upscale_cli.methods.upsampler import Array
from upscale_cli.work.bands import as_image, with_bands, without_missing


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


EXACT = 1 << 53
"""The largest integer up to which float64 has all."""
DEPTHS = {"bool": "1 bit", "uint8": "8 bits", "uint16": "16 bits"}
LAYOUTS = {"P": "palette", "L": "grey", "LA": "grey and alpha", "RGBA": "RGB and alpha"}


def arrange(
    frame: Frame,
    method: Method,
    format: Format,
    *,
    several: bool = False,
    linear: bool | str = False,
    apart: bool = False,
    bordered: bool = False,
) -> Arrangement:
    """Make a frame ready for a method and a format.

    A palette and single bits are kept if the method only copies values. Everything else is converted to true colours,
    at its own depth, and fitted to what the format can store.

    Parameters
    ----------
    several : bool
        It is one of several frames.
    linear : bool or "sigmoid"
        Light is weighed instead of code values, or a sigmoid of it.
    apart : bool
        Colours and opacity are enlarged apart.
    bordered : bool
        It gets a border, whose colour no palette has.

    Raises
    ------
    UpscaleError
        If the format cannot store such pixels, or linear light has no meaning for them.
    """
    weighed = method.values == "weighed"
    linear = weighed and linear
    notes = _rounded(frame.samples) if weighed else []
    if linear:
        _check_light(frame.samples.dtype)
    if frame.mode is None and (format.arrays or format.volumes):
        return _array_kept(frame, notes, _bent(SRGB, linear))
    if frame.mode is None:
        frame = as_image(frame, format)
    if frame.extra:
        frame, lost_bands = with_bands(frame, method, format)
        notes += lost_bands
    before = frame
    if (apart or not weighed) and format.hidden[several] and _hides_colours(frame):
        notes.append(f"{format.title} cannot store its colour under full transparency")

    if method.values == "copied" and not bordered and (indexed := _in_palette(frame, format)) is not None:
        colour = "palette, kept: values are only copied"
        samples = _unchanged(indexed)._replace(palette=indexed.palette)
        return Arrangement(indexed, samples, "P", notes=tuple(notes), colour=colour)
    frame = pixelwise(frame, expand_palette)
    if frame.samples.dtype == bool and weighed:
        frame = pixelwise(frame, widen)
        notes.append("1 bit a pixel becomes 8, because values are blended")

    frame, (wanted, depth), lost = _fitted(frame, format, bool(linear))
    notes += [f"{format.title}: {each}" for each in lost]
    quantised = wanted == "P"
    mode = frame.mode if quantised else cast(Mode, wanted)
    flatten = frame.alpha and mode not in ("LA", "RGBA")
    made = {"L": "LA", "RGB": "RGBA"}[str(mode)] if flatten else str(mode)
    frame = pixelwise(frame, lambda each: to_mode(each, made))
    if apart and frame.alpha and (flatten or quantised):
        raise UpscaleError(
            f"has alpha that {format.title} cannot store as data; omit --alpha separate, or use --format png."
        )
    if weighed and not apart and not flatten and _hides_colours(before):
        notes.append("colour under full transparency is given up; --alpha separate keeps it")
    transfer = _bent(transfer_of(frame.metadata), linear) if linear else None
    frame, no_data = without_missing(frame, method, np.dtype(depth))

    constant = frame.alpha and weighed and method.keeps_constants
    samples = Samples(
        stored=frame.samples.dtype,
        channels_in=frame.samples.shape[2],
        target=np.dtype(depth),
        alpha=frame.alpha or no_data is not None,
        opaque=constant and _is_opaque(frame.samples),
        flatten=flatten,
        straight=method.straight,
        apart=apart and frame.alpha,
        transfer=transfer,
        constants=method.keeps_constants,
        no_data=no_data,
    )
    kinds = [before.kind, (wanted, depth)]
    colour = _colour_explained(kinds, method, samples, indexed=before.palette is not None)
    return Arrangement(frame, samples, mode, quantised=quantised, notes=tuple(notes), colour=colour)


def _fitted(frame: Frame, format: Format, linear: bool) -> tuple[Frame, Kind, list[str]]:
    """Return a frame, without ink if the format cannot store it, the kind of pixels it becomes, and what is lost."""
    if format.arrays:
        kind, lost = frame.kind, ""
    else:
        kind, lost = fit(frame.kind, format)
    losses = [lost] if lost else []
    if kind[0] == "CMYK" and linear:
        raise UpscaleError("is CMYK, which has no linear light; omit --linear, or convert it to RGB first.")
    if frame.mode == "CMYK" != kind[0]:
        frame = pixelwise(frame, _without_ink)
        losses += ["16 bits a channel become 8"] if kind[1] == "uint16" else []
        kind = kind[0], "uint8"
    return frame, kind, losses


def _without_ink(frame: Frame) -> Frame:
    """Return a frame of ink as RGB. Profiles are applied to 8 bits."""
    if frame.samples.dtype == np.uint16:
        frame = frame._replace(samples=((frame.samples + np.uint32(128)) // 257).astype(np.uint8))
    return frame._replace(samples=cmyk_to_rgb(frame.samples, frame.metadata.icc), mode="RGB")


def _used(samples: Array) -> Array:
    """Return which of 256 indices there are, as bool (256,)."""
    used = np.zeros(256, bool)
    for part in parts(samples):
        used[part] = True
    return used


def _is_opaque(samples: Array) -> bool:
    """Return whether the last channel is full everywhere."""
    return all((part[..., -1] == white(part.dtype)).all() for part in parts(samples))


def _rounded(samples: Array) -> list[str]:
    """Return a note if samples are integers that the floats do not all have in which they are weighed."""
    dtype = samples.dtype
    if dtype.kind not in "iu" or dtype.itemsize < 8:
        return []
    if all(-EXACT <= int(part.min()) <= int(part.max()) <= EXACT for part in parts(samples)):
        return []
    return [f"values beyond 2^53 are rounded, because {dtype} is weighed in float64"]


def _check_light(dtype: np.dtype[Any]) -> None:
    """Raise `UpscaleError` if linear light has no meaning for samples: a curve is defined from black to white."""
    if dtype.kind == "i" or (dtype.kind == "u" and dtype.itemsize > 2):
        raise UpscaleError(
            f"has values of {dtype}, for which linear light is not defined; omit --linear, or convert it to uint8, "
            "uint16 or float32 first."
        )


def _bent(transfer: Transfer, linear: bool | str) -> Transfer | None:
    """Return the transfer function that is asked for, of an image with another."""
    if not linear:
        return None
    return sigmoidal(transfer) if linear == "sigmoid" else transfer


def _array_kept(frame: Frame, notes: list[str], transfer: Transfer | None) -> Arrangement:
    """Return an array that stays one: its channels have no meaning."""
    light = f", as {transfer.light.replace('light', 'linear light')} of sRGB" if transfer is not None else ""
    colour = f"{frame.samples.dtype}, channels {frame.samples.shape[-1]}; kept as they are{light}"
    samples = _unchanged(frame)._replace(transfer=transfer)
    return Arrangement(frame, samples, None, notes=tuple(notes), colour=colour)


def _unchanged(frame: Frame) -> Samples:
    """Return the meaning of samples that are just numbers."""
    return Samples(stored=frame.samples.dtype, channels_in=frame.samples.shape[-1], target=frame.samples.dtype)


def _hides_colours(frame: Frame) -> bool:
    """Return whether transparent pixels have colours; one of a palette only stands for what is not shown."""
    if frame.palette is not None:
        used = frame.palette[_used(frame.samples)]
        return len(np.unique(used[used[:, 3] == 0], axis=0)) > 1
    return frame.alpha and any(
        (part[..., :-1].any(axis=2) & (part[..., -1] == 0)).any() for part in parts(frame.samples)
    )


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
        parts.append(
            "code values are blended" if samples.transfer is None else f"{samples.transfer.light} is blended"
        )
        if samples.opaque:
            parts.append("alpha is full everywhere and set again")
        elif samples.alpha and not samples.flatten:
            parts.append("colour and opacity apart" if samples.apart else "colour is weighed by its opacity")
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
    palette = frame.palette.copy()
    palette[~_used(frame.samples), 3] = 255
    clear = palette[palette[:, 3] < 255, 3]
    if clear.any() or (len(clear) and format.clear == "none"):
        return None
    frame = frame._replace(palette=palette)
    return index_colours(frame) if len(clear) > 1 else frame

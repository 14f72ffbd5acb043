"""How a frame goes through a method into a format: which pixels are kept, which are converted, and what is said."""

from typing import Any, NamedTuple

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.images.colour import cmyk_to_rgb, transfer_of
from upscale_cli.images.formats import Format, fit
from upscale_cli.images.metadata import Metadata
from upscale_cli.images.pixels import CHANNELS, Frame, expand_palette, index_colours, to_mode, widen
from upscale_cli.methods import Method
from upscale_cli.methods.samples import SRGB, Samples, white


class Arrangement(NamedTuple):
    """A frame made ready for a method.

    Attributes
    ----------
    frame : Frame
        What the method is given.
    samples : Samples
        What its samples mean, and what they become.
    mode : str or None
        Of the output.
    colours : bool
        The output's colours are to be reduced to a palette.
    notes : tuple of str
        What the user should know, in words.
    colour : str
        How its colours go, in words, for those who want to know.
    """

    frame: Frame
    samples: Samples
    mode: str | None
    colours: bool
    notes: tuple[str, ...]
    colour: str


DEPTHS = {"bool": "1 bit", "uint8": "8 bits", "uint16": "16 bits", "int32": "32 bits", "float32": "32-bit float"}
LAYOUTS = {"P": "palette", "L": "grey", "LA": "grey and alpha", "RGBA": "RGB and alpha"}


def arrange(frame: Frame, row: Method, format: Format, metadata: Metadata, linear: bool) -> Arrangement:
    """Make a frame ready for a method and a format.

    A palette and single bits are kept where values are only copied. Everything else is worked on in true colours,
    with as much depth as it has, and fitted to what the format holds.

    Raises
    ------
    UpscaleError
        When the format cannot hold such pixels, or linear light has no meaning for them.
    """
    notes: list[str] = []
    if frame.mode is None:
        if not format.holds:
            light = ", as light of sRGB" if linear and row.values == "weighed" else ""
            colour = f"{frame.samples.dtype}, channels {frame.samples.shape[2]}; kept as they are{light}"
            return Arrangement(frame, _plain(frame, frame.samples.dtype, linear), None, False, (), colour)
        frame = _as_image(frame)
    before = frame
    if row.values == "copied" and (indexed := _in_palette(frame, format)) is not None:
        colour = "palette, kept: values are only copied"
        return Arrangement(indexed, _plain(indexed, indexed.samples.dtype), "P", False, (), colour)
    frame = expand_palette(frame)
    if frame.samples.dtype == bool and row.values == "weighed":
        frame = widen(frame)
    if not format.holds:
        wanted, depth = str(frame.mode), frame.samples.dtype.name
    else:
        (wanted, depth), lost = fit(frame.kind, format)
        if lost:
            notes.append(f"{format.name}: {lost}")
    if frame.mode == "CMYK" and (wanted in ("RGB", "P") or linear):
        if wanted == "CMYK":
            raise UpscaleError(
                "is CMYK, and --linear needs light, not ink; convert it to RGB first, or leave it out."
            )
        if frame.samples.dtype == np.uint16:
            # Profiles are applied to 8 bits.
            frame, depth = frame._replace(samples=((frame.samples + np.uint32(128)) // 257).astype(np.uint8)), "uint8"
            notes.append(f"{format.name}: 16 bits a channel become 8")
        frame = frame._replace(samples=cmyk_to_rgb(frame.samples, metadata.icc), mode="RGB")
    colours = wanted == "P"
    if colours:
        wanted = str(frame.mode)
    flatten = frame.alpha and wanted not in ("LA", "RGBA")
    frame = to_mode(frame, {"L": "LA", "RGB": "RGBA"}[wanted] if flatten else wanted)
    transfer = None
    if linear and row.values == "weighed":
        transfer = transfer_of(metadata)
        if transfer is None:
            transfer = SRGB
            notes.append("its colour profile has no simple curve, so --linear uses sRGB's")
    opaque = (
        row.keeps_constants and frame.alpha and bool((frame.samples[..., -1] == white(frame.samples.dtype)).all())
    )
    samples = Samples(
        frame.samples.dtype,
        frame.samples.shape[2],
        np.dtype(depth),
        alpha=frame.alpha,
        opaque=opaque and row.values == "weighed",
        flatten=flatten,
        transfer=transfer,
        constants=row.keeps_constants,
    )
    return Arrangement(
        frame, samples, wanted, colours, tuple(notes), _colour_explained(before, row, samples, wanted, colours)
    )


def _colour_explained(before: Frame, row: Method, samples: Samples, wanted: str, colours: bool) -> str:
    """How the colours of a frame go through a method into a format, in words."""
    kinds = [
        f"{LAYOUTS.get(mode, mode)}, {DEPTHS.get(depth, depth)}"
        for mode, depth in (before.kind, ("P" if colours else wanted, samples.target.name))
    ]
    blended = row.values == "weighed"
    if blended and before.palette is not None:
        kinds.insert(1, "true colours, for indices cannot be blended")
    said = [f"{kinds[0]}, kept" if set(kinds) == {kinds[0]} else " → ".join(kinds)]
    if not blended:
        said.append(f"values are only {row.values}")
    else:
        said.append("light is blended" if samples.transfer is not None else "code values are blended")
        if samples.opaque:
            said.append("alpha is full everywhere and set again")
        elif samples.alpha and not samples.flatten:
            said.append("colour is weighed by its opacity")
    return "; ".join(said)


def _in_palette(frame: Frame, format: Format) -> Frame | None:
    """A frame with a palette that a format holds as it is; None where there is none."""
    palettes_alone = format.holds and ("RGB", "uint8") not in format.holds
    if palettes_alone and frame.kind in (("LA", "uint8"), ("RGB", "uint8"), ("RGBA", "uint8")):
        # Few colours fit exactly, and copying makes no new ones.
        frame = index_colours(frame) or frame
    if frame.palette is None or frame.kind not in format.holds:
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


def _plain(frame: Frame, target: np.dtype[Any], linear: bool = False) -> Samples:
    """Channels that are just numbers."""
    stored = frame.samples.dtype
    return Samples(stored, frame.samples.shape[2], target, transfer=SRGB if linear else None)


def _as_image(frame: Frame) -> Frame:
    """An array as an image, by the number of its channels.

    Raises
    ------
    UpscaleError
        When there is no such image.
    """
    modes = {count: mode for mode, count in CHANNELS.items() if mode in ("L", "LA", "RGB", "RGBA")}
    count, dtype = frame.samples.shape[2], frame.samples.dtype
    if count not in modes or dtype.name not in ("bool", "uint8", "uint16", "int32", "float32"):
        raise UpscaleError(
            f"is an array of {count} channels of {dtype}, which no image format holds; use --format npy, "
            "or 1 to 4 channels of uint8 or uint16."
        )
    return frame._replace(mode=modes[count])  # type: ignore[arg-type]

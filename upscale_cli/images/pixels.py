"""Pillow image ↔ array: modes, depths, palettes, orientation. No file, no method."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.errors import UpscaleError
from upscale_cli.images.formats import Kind, Mode
from upscale_cli.methods.upsampler import Array

CHANNELS: dict[str, int] = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "P": 1}


class Frame(NamedTuple):
    """One image, or one frame or page of several.

    Attributes
    ----------
    samples : array (H, W, C)
        bool, uint8, uint16, int32 or float32; any numeric type from an array file.
    mode : Mode or None
        What the channels are; None for an array, where they are just channels.
    palette : uint8 array (n, 4) or None
        RGBA of each index of mode P.
    duration : float or None
        Milliseconds that it is shown, in an animation.
    """

    samples: Array
    mode: Mode | None
    palette: NDArray[np.uint8] | None = None
    duration: float | None = None

    @property
    def kind(self) -> Kind:
        """Mode and depth, as formats list them."""
        return self.mode or "array", self.samples.dtype.name

    @property
    def alpha(self) -> bool:
        """Whether the last channel is opacity."""
        return self.mode in ("LA", "RGBA")


def from_pillow(image: Image.Image) -> Frame:
    """A loaded Pillow image as a frame.

    Raises
    ------
    UpscaleError
        For colour spaces that are not resampled here (LAB, HSV, YCbCr as such).
    """
    if image.mode == "P" or (image.mode in ("L", "RGB", "1") and "transparency" in image.info):
        return _with_key(image)
    if image.mode in ("PA", "RGBa", "La"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode == "RGBX":
        image = image.convert("RGB")
    samples = np.asarray(image)
    if image.mode in ("1", "L", "LA", "RGB", "RGBA", "CMYK"):
        mode: Any = "L" if image.mode == "1" else image.mode
    elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
        mode = "L"
        # A PGM of 16 bits comes as 32, spread over 0 … 65535.
        kept = np.dtype(np.uint16) if image.format == "PPM" and image.mode == "I" else samples.dtype
        samples = samples.astype(kept.newbyteorder("="), copy=False)
        if image.mode.startswith("I;16") and "transparency" in image.info:
            opaque = samples != np.uint16(image.info["transparency"])
            return Frame(np.stack([samples, opaque * np.uint16(65535)], axis=2), "LA")
    else:
        raise UpscaleError(f"has {image.mode} colours, which cannot be blended as they are; convert it to RGB first.")
    return Frame(samples.reshape(*samples.shape[:2], -1), mode)


def _with_key(image: Image.Image) -> Frame:
    """A palette, or a colour that stands for transparency."""
    if image.mode != "P":
        full = image.convert("LA" if image.mode in ("L", "1") else "RGBA")
        return from_pillow(full)
    colours = np.zeros((256, 4), np.uint8)
    colours[:, 3] = 255
    flat = image.palette.getdata()[1] if image.palette is not None else b""
    bands = len(image.palette.mode) if image.palette is not None else 3
    known = np.frombuffer(bytes(flat), np.uint8)[: 256 * bands]
    known = known[: len(known) // bands * bands].reshape(-1, bands)
    colours[: len(known), :bands] = known
    transparency = image.info.get("transparency")
    if isinstance(transparency, bytes):
        colours[: len(transparency), 3] = np.frombuffer(transparency[:256], np.uint8)
    elif isinstance(transparency, int) and 0 <= transparency < 256:
        colours[transparency, 3] = 0
    return Frame(np.asarray(image)[:, :, None], "P", colours)


def expand_palette(frame: Frame) -> Frame:
    """A frame of mode P in its true colours, RGBA where transparency is used; others as they are."""
    if frame.palette is None:
        return frame
    colours = frame.palette[frame.samples[:, :, 0]]
    if (colours[:, :, 3] == 255).all():
        return frame._replace(samples=np.ascontiguousarray(colours[:, :, :3]), mode="RGB", palette=None)
    return frame._replace(samples=colours, mode="RGBA", palette=None)


def widen(frame: Frame) -> Frame:
    """A frame of single bits in 8; others as they are."""
    return frame._replace(samples=frame.samples * np.uint8(255)) if frame.samples.dtype == bool else frame


def index_colours(frame: Frame) -> Frame | None:
    """An 8-bit frame of at most 256 colours with a palette of just those; None for one of more.

    What is fully transparent is one colour, whatever is hidden there.
    """
    rgba = to_mode(frame, "RGBA").samples.copy()
    rgba[rgba[..., 3] == 0] = 0
    if Image.fromarray(rgba).getcolors(256) is None:
        return None
    packed = np.ascontiguousarray(rgba).view(np.uint32)[:, :, 0]
    colours, index = np.unique(packed, return_inverse=True)
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 3] = 255
    palette[: len(colours)] = colours.view(np.uint8).reshape(-1, 4)
    samples = index.reshape(packed.shape).astype(np.uint8)[:, :, None]
    return frame._replace(samples=samples, mode="P", palette=palette)


def quantise(frame: Frame) -> Frame:
    """An 8-bit frame in a palette of 256 colours, dithered where it had more; opacity becomes all or nothing."""
    rgba = to_mode(frame, "RGBA").samples.copy()
    clear = rgba[:, :, 3] < 128
    rgba[:, :, 3] = np.where(clear, 0, 255)
    exact = index_colours(frame._replace(samples=rgba, mode="RGBA", palette=None))
    if exact is not None:
        return exact
    colours = Image.fromarray(np.ascontiguousarray(rgba[:, :, :3]))
    image = colours.quantize(255, Image.Quantize.MEDIANCUT)
    image = colours.quantize(palette=image, dither=Image.Dither.FLOYDSTEINBERG)
    made = _with_key(image)
    assert made.palette is not None
    palette, samples = made.palette.copy(), made.samples.copy()
    palette[255] = 0
    samples[clear] = 255
    return frame._replace(samples=samples, mode="P", palette=palette)


def to_mode(frame: Frame, mode: str) -> Frame:
    """A frame with its samples in a mode that holds all of it: grey as RGB, opaque as with full alpha."""
    if mode == frame.mode:
        return frame
    frame = expand_palette(frame)
    samples = frame.samples
    if mode in ("RGB", "RGBA") and frame.mode in ("L", "LA"):
        grey = np.repeat(samples[:, :, :1], 3, axis=2)
        samples = np.concatenate([grey, samples[:, :, 1:]], axis=2)
    if mode in ("LA", "RGBA") and not frame.alpha:
        full = 1 if samples.dtype.kind in "bf" else np.iinfo(samples.dtype).max
        samples = np.concatenate([samples, np.full_like(samples[:, :, :1], full)], axis=2)
    if samples.shape[2] != CHANNELS[mode]:
        raise UpscaleError(f"{frame.mode} pixels cannot become {mode}; choose another --format.")
    return frame._replace(samples=samples, mode=mode)  # type: ignore[arg-type]


def to_pillow(samples: Array, mode: str, palette: NDArray[np.uint8] | None = None) -> Image.Image:
    """Samples (H, W, C) of a kind that Pillow has as a Pillow image."""
    height, width, _ = samples.shape
    size, depth = (width, height), samples.dtype.name
    if depth == "bool":
        return Image.frombytes("1", size, np.packbits(samples[:, :, 0], axis=1).tobytes())
    if depth != "uint8":
        pillow, raw = {"uint16": ("I;16", "<u2"), "int32": ("I", "=i4"), "float32": ("F", "=f4")}[depth]
        return Image.frombytes(pillow, size, samples.astype(raw, copy=False).tobytes())
    image = Image.frombuffer(mode, size, np.ascontiguousarray(samples), "raw", mode, 0, 1)
    if palette is not None:
        image.putpalette(palette[:, :3].tobytes(), "RGB")
        clear = np.flatnonzero(palette[:, 3] != 255)
        if len(clear) == 1 and palette[clear[0], 3] == 0:
            image.info["transparency"] = int(clear[0])
        elif len(clear):
            image.info["transparency"] = palette[: clear[-1] + 1, 3].tobytes()
    return image


def oriented(samples: Array, orientation: int) -> Array:
    """Samples turned upright: what EXIF orientation 1 … 8 says was done to them is undone (Exif 2.32, tag 0x0112).

    >>> oriented(np.array([[[1], [2]]]), 6)[:, :, 0].tolist()
    [[1], [2]]
    >>> oriented(np.array([[[1], [2]]]), 3)[:, :, 0].tolist()
    [[2, 1]]
    """
    if orientation in (5, 6, 7, 8):
        samples = samples.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples

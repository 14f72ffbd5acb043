"""Frames: pixels as arrays, with what their channels mean; palettes, alpha and orientation."""

from collections.abc import Callable
from typing import Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.image.metadata import Metadata
from upscale_cli.methods.rows import Rows
from upscale_cli.methods.samples import white
from upscale_cli.methods.upsampler import Array

Mode = Literal["L", "LA", "RGB", "RGBA", "CMYK", "P"]
Kind = tuple[str, str]
"""Channels and depth of pixels: a `Mode`, and a NumPy type among bool, uint8, uint16, int32, float32."""

MODES: dict[int, Mode] = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""What an image of so many channels is, if nothing else is said."""
CHANNELS: dict[str, int] = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "P": 1}


class Frame(NamedTuple):
    """One image, or one frame or page of several.

    Attributes
    ----------
    samples : array (H, W, C)
        bool, uint8 or uint16; any numeric type if it comes from an array file or a TIFF.
    mode : Mode or None
        What the channels are; None for an array, whose channels have no meaning.
    palette : uint8 array (n, 4) or None
        RGBA of each index of mode P.
    duration : float or None
        Milliseconds for which an animation shows it.
    metadata : Metadata
        Of this page, or of the whole file.
    extra : tuple of int
        What the channels beyond those of the mode are, by TIFF's numbers: 0 is not specified, 1 and 2 are opacity.
    """

    samples: Array
    mode: Mode | None
    palette: NDArray[np.uint8] | None = None
    duration: float | None = None
    metadata: Metadata = Metadata()
    extra: tuple[int, ...] = ()

    @property
    def kind(self) -> Kind:
        """Mode and depth, in the form in which formats list them."""
        return self.mode or "array", self.samples.dtype.name

    @property
    def alpha(self) -> bool:
        """Whether the last channel is opacity."""
        return self.mode in ("LA", "RGBA")


def pixelwise(frame: Frame, change: Callable[[Frame], Frame]) -> Frame:
    """Return `change(frame)`, where no pixel depends on others: by rows if the frame is read by rows."""
    rows = frame.samples
    if not isinstance(rows, Rows):
        return change(frame)
    some = rows[:1]
    made = change(frame._replace(samples=some))
    if made.samples is some:
        return made._replace(samples=frame.samples)

    def read(start: int, stop: int) -> Array:
        return change(frame._replace(samples=rows[start:stop])).samples

    return made._replace(samples=cast(Array, Rows(len(rows), rows.step, read)))


def read_colour(text: str) -> tuple[int, ...]:
    """Return a colour as 8-bit RGBA: a name that Pillow knows, #rrggbb, #rrggbbaa, or transparent.

    Raises
    ------
    UsageError
        If it is none.
    """
    try:
        colour = ImageColor.getcolor("#0000" if text.lower() == "transparent" else text, "RGBA")
    except ValueError:
        raise UsageError(f'background "{text}" is not a colour, such as white, #1e90ff or transparent.') from None
    assert isinstance(colour, tuple)
    return colour


def palette_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the palette of a Pillow image, (256, 4): unused colours are opaque black."""
    colours = np.zeros((256, 4), np.uint8)
    colours[:, 3] = 255
    flat = image.palette.getdata()[1] if image.palette is not None else b""
    bands = len(image.palette.mode) if image.palette is not None else 3
    known = np.frombuffer(bytes(flat), np.uint8)[: 256 * bands]
    known = known[: len(known) // bands * bands].reshape(-1, bands)
    colours[: len(known), :bands] = known
    return colours


def expand_palette(frame: Frame) -> Frame:
    """Return a frame of mode P in true colours, RGBA where it uses transparency; return others unchanged."""
    if frame.palette is None:
        return frame
    index = frame.samples[:, :, 0]
    if (frame.palette[:, 3] == 255).all() or (frame.palette[:, 3] == 255)[index].all():
        return frame._replace(samples=frame.palette[:, :3][index], mode="RGB", palette=None)
    return frame._replace(samples=frame.palette[index], mode="RGBA", palette=None)


def widen(frame: Frame) -> Frame:
    """Return a frame of 1 bit in 8 bits; return others unchanged."""
    return frame._replace(samples=frame.samples * np.uint8(255)) if frame.samples.dtype == bool else frame


def index_colours(frame: Frame) -> Frame | None:
    """Return an 8-bit frame of at most 256 colours with a palette of those colours; None if it has more.

    All fully transparent pixels count as one colour, whatever colour they hide.
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


def indexed_in(rgba: NDArray[np.uint8], palette: NDArray[np.uint8]) -> Frame | None:
    """Return RGBA pixels (H, W, 4) as indices into a palette; None if it lacks some of their colours.

    All fully transparent pixels count as one colour, whatever colour they hide.
    """
    numbers = [np.where(each[..., 3:] == 0, 0, each).view(np.uint32)[..., 0] for each in (palette, rgba)]
    colours, first = np.unique(numbers[0], return_index=True)
    place = np.searchsorted(colours, numbers[1]).clip(max=len(colours) - 1)
    if (colours[place] != numbers[1]).any():
        return None
    return Frame(first.astype(np.uint8)[place][..., None], "P", palette)


def quantise(frame: Frame) -> Frame:
    """Return an 8-bit frame in a palette of 256 colours, dithered if it has more; alpha becomes 0 or 255."""
    rgba = to_mode(frame, "RGBA").samples.copy()
    clear = rgba[:, :, 3] < 128
    rgba[:, :, 3] = np.where(clear, 0, 255)
    exact = index_colours(frame._replace(samples=rgba, mode="RGBA", palette=None))
    if exact is not None:
        return exact
    colours = Image.fromarray(np.ascontiguousarray(rgba[:, :, :3]))
    # Twenty times as fast as the median cut, and nearer: on 24 photographs, dithered, 35.9 instead of 34.0 dB.
    image = colours.quantize(255, Image.Quantize.FASTOCTREE)
    image = colours.quantize(palette=image, dither=Image.Dither.FLOYDSTEINBERG)
    palette, samples = palette_of(image), np.array(image)[:, :, None]
    palette[255] = 0
    samples[clear] = 255
    return frame._replace(samples=samples, mode="P", palette=palette)


def to_mode(frame: Frame, mode: str) -> Frame:
    """Return a frame in a mode that can hold all of it: grey becomes RGB, and an opaque frame gets full alpha."""
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


def full_depth(samples: Array, bits: int, wide: bool | None = None) -> Array:
    """Return unsigned samples of 1 … 32 bits as the nearest of 8 bits, or of 16 if they have more than 8.

    Parameters
    ----------
    wide : bool, optional
        Whether they become 16 bits.

    Examples
    --------
    >>> full_depth(np.array([0, 16, 31], np.uint16), 5).tolist(), full_depth(np.array([1023]), 10).tolist()
    ([0, 132, 255], [65535])
    """
    kind = np.uint16 if (bits > 8 if wide is None else wide) else np.uint8
    most, full = (1 << bits) - 1, int(np.iinfo(kind).max)
    if most == full:
        return samples.astype(kind)
    wider = samples.astype(np.uint32 if bits <= 16 else np.uint64)
    return ((wider * full + most // 2) // most).astype(kind)


def divided_by_alpha(samples: Array) -> Array:
    """Return samples whose colours are divided by opacity, integers rounded half up; 0 where it is 0."""
    full = white(samples.dtype)
    alpha = samples[..., -1:].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        colours = np.where(alpha > 0, samples[..., :-1] * (full / alpha), 0)
    if samples.dtype.kind != "f":
        colours = np.floor(np.clip(colours, 0, full) + 0.5)
    return np.concatenate([colours.astype(samples.dtype), samples[..., -1:]], axis=2)


def oriented(samples: Array, orientation: int) -> Array:
    """Return samples turned upright: undo what EXIF orientation 1 … 8 describes (Exif 2.32, tag 0x0112).

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

"""How far a peer's pixels are from those that its filter defines, so that nobody wins by writing worse files.

The reference is computed here, in float64, and not by this package. Filters: Keys, "Cubic Convolution Interpolation
for Digital Image Processing", 1981; Duchon, "Lanczos Filtering in One and Two Dimensions", 1979.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

BORDER = 4
"""Source pixels along each edge that are not compared, because libraries treat edges in different ways."""
STRIP, SAMPLED_ROWS = 16, 1024
"""Rows of a strip that is compared (an MCU of a JPEG), and of all of them together, about."""
LEAST = 25.0
"""PSNR in dB below which a result is another picture, not a worse one."""
Image.MAX_IMAGE_PIXELS = None


class Filter(NamedTuple):
    """A weight as a function of distance in source pixels, 0 at `radius` and beyond.

    `shift` is how far the centres of output pixels lie aside, in output pixels.
    """

    weight: Callable[[Floats], Floats]
    radius: int
    shift: float = 0


def lanczos(lobes: int) -> Filter:
    """Return a sinc in the window of a wider sinc."""
    return Filter(lambda x: np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0), lobes)


def triangle(shift: float = 0) -> Filter:
    """Return linear interpolation."""
    return Filter(lambda x: np.maximum(1 - np.abs(x), 0), 1, shift)


def cubic(a: float, shift: float = 0) -> Filter:
    """Return Keys's cubic."""

    def weight(x: Floats) -> Floats:
        x = np.abs(x)
        near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * (x**3 - 5 * x**2 + 8 * x - 4)
        return np.where(x < 1, near, np.where(x < 2, far, 0))

    return Filter(weight, 2, shift)


FILTERS = {
    "lanczos": lanczos(3),
    "lanczos4": lanczos(4),
    "bicubic": cubic(-0.5),
    "bicubic, a = -0.75": cubic(-0.75),
    "bicubic, shifted": cubic(-0.5, shift=-0.5),
    "bilinear": triangle(),
    "bilinear, shifted": triangle(shift=-0.5),
}
"""By name. Those that are shifted are libvips's: its enlarged pictures (8.14, 8.18) lie half a pixel aside."""


class WrongPictureError(Exception):
    """What was made is not the enlarged picture."""


def psnr(source: NDArray[Any], made: NDArray[Any], factor: int, filter: str) -> float:
    """Return the PSNR in dB of an enlarged picture, of 8 bits, against the exact result of a filter.

    Parameters
    ----------
    source, made : uint8 (H, W, C)
    factor : int
    filter : str
        One of `FILTERS`.

    Raises
    ------
    WrongPictureError
        If its size is wrong, or it is another picture.
    """
    height, width = source.shape[0] * factor, source.shape[1] * factor
    if made.shape != (height, width, *source.shape[2:]):
        raise WrongPictureError(f"made an array of {made.shape} from one of {source.shape}")
    border = BORDER * factor
    rows, row_weights = _taps(height, factor, FILTERS[filter])
    columns, column_weights = (part[border : width - border] for part in _taps(width, factor, FILTERS[filter]))
    step = STRIP * max(1, (height - 2 * border) // SAMPLED_ROWS)
    squares = []
    for start in range(border, height - border - STRIP + 1, step):
        strip = slice(start, start + STRIP)
        down = np.einsum("rt,rtwc->rwc", row_weights[strip], source[rows[strip]].astype(np.float64))
        exact = sum(down[:, columns[:, t]] * column_weights[:, t, None] for t in range(columns.shape[1]))
        difference = np.clip(exact, 0, 255) - made[strip, border : width - border]
        squares.append(np.mean(difference**2))
    result = float(10 * np.log10(255**2 / max(float(np.mean(squares)), 1e-12)))
    if result < LEAST:
        raise WrongPictureError(f"made another picture: {result:.1f} dB from the exact result")
    return result


def _taps(count: int, factor: int, filter: Filter) -> tuple[NDArray[np.int64], Floats]:
    """Return the source indices (count, taps) and the weights of outputs along one axis."""
    centres = (np.arange(count) + 0.5 + filter.shift) / factor - 0.5
    indices = np.ceil(centres - filter.radius).astype(np.int64)[:, None] + np.arange(2 * filter.radius)
    weights = filter.weight(centres[:, None] - indices)
    return indices.clip(0, count // factor - 1), weights / weights.sum(axis=1, keepdims=True)


class Made(NamedTuple):
    """What a competitor has made: bytes of its files, and the PSNR of the first in dB, where it was measured."""

    size: int
    psnr: float | None = None


def check_file(source: Path, made: Path, factor: int, filter: str | None) -> Made:
    """Return what is known of an enlarged file; without a filter, only its size is checked.

    Raises
    ------
    WrongPictureError
        If it is not the enlarged picture.
    """
    with Image.open(source) as before, Image.open(made) as after:
        if after.size != (before.width * factor, before.height * factor):
            raise WrongPictureError(f"made a picture of {after.size} from one of {before.size}")
        quality = None
        if filter is not None:
            quality = psnr(np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB")), factor, filter)
    return Made(made.stat().st_size, quality)


def check_folder(sources: Path, made: Path, factor: int, filter: str) -> Made:
    """Return what is known of a folder of enlarged files; the first is compared, and all are counted.

    Raises
    ------
    WrongPictureError
        If they are not all there, or the first is not the enlarged picture.
    """
    before, after = sorted(sources.iterdir()), sorted(made.iterdir())
    if len(before) != len(after):
        raise WrongPictureError(f"made {len(after)} files from {len(before)}")
    first = check_file(before[0], after[0], factor, filter)
    return first._replace(size=sum(path.stat().st_size for path in after))

"""Pictures as people have them: reduced by several filters, then sharpened, blurred, noisy, saved once or twice.

A level of 0 … 1 says how strong the damage is. That of a JPEG follows from its tables, so that a network which is
told the level in training can be told it by any file.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from training.data import Picture
from upscale_cli.methods.restoring import KNEE, STRONGEST, level_of

Random = np.random.Generator

STANDARD = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""Luma's quantisation table of ITU-T T.81, table K.1."""


def share_of(level: float) -> float:
    """Return the multiple of the standard tables that a level stands for: the inverse of `level_of`."""
    return float(KNEE * ((1 + STRONGEST / KNEE) ** level - 1))


def quality_of(level: float) -> int:
    """Return the quality of a level, as libjpeg counts it."""
    share = share_of(level)
    return round(100 - 50 * share if share <= 1 else 50 / share)


def level_of_quality(quality: int) -> float:
    """Return the level of a quality."""
    return level_of(50 / quality if quality < 50 else 2 - quality / 50)


def saved(small: Picture, kind: str, **options: Any) -> Picture:
    """Save, and read again."""
    stream = io.BytesIO()
    Image.fromarray(small).save(stream, kind, **options)
    with Image.open(stream) as image:
        return np.asarray(image.convert("RGB"))


def as_jpeg(small: Picture, quality: int, random: Random) -> Picture:
    """Save as JPEG: in seven of ten cases 4:2:0, in one of seven with tables of another slope than the standard's."""
    options: dict[str, Any] = {"quality": quality}
    subsampling = 2 if random.random() < 0.7 else 0
    if random.random() < 0.15:
        # Those of mozjpeg and of some cameras rise less towards high frequencies.
        flat, mix = 16 + random.random() * 8, random.random() * 0.6
        table = (STANDARD * (1 - mix) + flat * mix) * share_of(level_of_quality(quality))
        options = {"qtables": [np.clip(np.round(table), 1, 255).astype(int).ravel().tolist()] * 2}
    return saved(small, "JPEG", subsampling=subsampling, **options)


def sharpened(small: Picture, level: float, random: Random) -> Picture:
    """As cameras and programs do after a reduction."""
    percent = round(level * (50 + 130 * random.random()))
    mask = ImageFilter.UnsharpMask(0.5 + 1.5 * random.random(), percent, 0)
    return np.asarray(Image.fromarray(small).filter(mask))


def blurred(small: Picture, level: float, random: Random) -> Picture:
    """Slightly."""
    return np.asarray(Image.fromarray(small).filter(ImageFilter.GaussianBlur(level * (0.3 + 0.5 * random.random()))))


def noisy(small: Picture, level: float, random: Random) -> Picture:
    """Grey or coloured noise."""
    channels = 3 if random.random() < 0.5 else 1
    deviation = level * (4 + 8 * random.random())
    noise = random.standard_normal((*small.shape[:2], channels), np.float32) * deviation
    return np.clip(np.round(small + noise), 0, 255).astype(np.uint8)


def saved_before(small: Picture, level: float, random: Random) -> Picture:
    """Saved once already, better or worse."""
    return as_jpeg(small, int(np.clip(quality_of(level) + random.integers(-25, 16), 30, 97)), random)


BEFORE: tuple[tuple[float, Callable[[Picture, float, Random], Picture] | None, float], ...] = (
    (0.85, None, 1.0),
    (0.05, saved_before, 1.0),
    (0.03, noisy, 0.5),
    (0.04, sharpened, 0.0),
    (0.02, blurred, 0.8),
    (0.01, None, 0.0),
)
"""Shares of pictures, what happens to them first, and how many of them are saved afterwards.

Of those that are sharpened, none: photographs have been sharpened before they are saved, and a network that undoes it
changes all of them. Where 17 % were sharpened, and half of these saved, a network gained 0.30 dB on JPEGs of quality
75 at their own size, and 0.63 dB after 8,000 steps more in which 10 % were sharpened, and 65 % saved once and nothing
else. With more of the latter, as here, JPEGs gained again, and sharpened photographs lost 0.46 dB at x2.
"""


def damaged(small: Picture, level: float, random: Random) -> tuple[Picture, int, int]:
    """Return the damaged picture, and how many rows and columns at its top and left it lacks."""
    chosen = random.choice(len(BEFORE), p=[share for share, *_ in BEFORE])
    _, happens, stored = BEFORE[chosen]
    top = left = 0
    if happens is not None:
        small = happens(small, level, random)
        if happens is saved_before and random.random() < 0.7:
            top, left = (int(n) for n in random.integers(8, size=2))
            small = np.ascontiguousarray(small[top:, left:])
    if random.random() < stored:
        if random.random() < 0.03:
            small = saved(small, "WEBP", quality=quality_of(level), method=1)
        else:
            small = as_jpeg(small, quality_of(level), random)
    return small, top, left

"""Damage to small photographs, as pictures suffer it on their way: so that methods can be measured on such ones."""

import io
from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import Encoding, open_picture
from upscale_cli.codecs.writing import Writing, file_of
from upscale_cli.errors import UsageError, did_you_mean
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame
from upscale_cli.methods.restoring import Losses
from upscale_cli.work.photographs import Photograph

SHIFT = 4
"""How far the second grid of `twice` lies from the first, in pixels: in the middle of its blocks."""
USUAL = Encoding(lossless=False, subsampling="4:2:0")
"""The colour of a JPEG as cameras and programs store it unless they are asked."""


class Damage(NamedTuple):
    """One kind of damage: a record that is built by keyword.

    Attributes
    ----------
    name, unit : str
        What users type, and what its number means.
    limits : (float, float)
        The smallest and the largest number.
    do : callable(photograph, number) -> (photograph, losses)
        The damaged photograph, and what the file tells of it that it was, if it was one at the end.
    whole : bool
        The number is an integer.
    """

    name: str
    unit: str
    limits: tuple[float, float]
    do: Callable[[Photograph, float], tuple[Photograph, Losses]]
    whole: bool = False


def _jpeg(photograph: Photograph, quality: float) -> tuple[Photograph, Losses]:
    return _saved(photograph, "jpeg", quality)


def _webp(photograph: Photograph, quality: float) -> tuple[Photograph, Losses]:
    return _saved(photograph, "webp", quality)


def _saved(photograph: Photograph, format: str, quality: float) -> tuple[Photograph, Losses]:
    how = Writing(format=FORMATS[format], metadata=Metadata(), quality=round(quality), encoding=USUAL)
    with open_picture(io.BytesIO(file_of(Frame(photograph, "RGB"), how))) as picture:
        return next(picture.frames()).samples, picture.encoding.losses


def _twice(photograph: Photograph, quality: float) -> tuple[Photograph, Losses]:
    moved = np.pad(photograph, ((SHIFT, 0), (SHIFT, 0), (0, 0)), mode="edge")
    return _jpeg(_jpeg(moved, quality)[0][SHIFT:, SHIFT:], quality)


def _noise(photograph: Photograph, deviation: float) -> tuple[Photograph, Losses]:
    return _rounded(photograph + np.random.default_rng(0).normal(scale=deviation, size=photograph.shape)), Losses()


def _blur(photograph: Photograph, deviation: float) -> tuple[Photograph, Losses]:
    return _rounded(_blurred(photograph, deviation)), Losses()


def _sharpen(photograph: Photograph, percent: float) -> tuple[Photograph, Losses]:
    """Unsharp masking: what a blur of 1 pixel takes away is added once more."""
    return _rounded(photograph + percent / 100 * (photograph - _blurred(photograph, 1))), Losses()


def _blurred(photograph: Photograph, deviation: float) -> NDArray[np.float64]:
    values, reach = photograph.astype(np.float64), ceil(4 * deviation)
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(deviation, 1e-9)) ** 2)
    for axis in (0, 1):
        margins = [(reach, reach) if axis == each else (0, 0) for each in range(3)]
        padded = np.moveaxis(np.pad(values, margins, mode="symmetric"), axis, 0)
        total = sum(weight * padded[n : n + values.shape[axis]] for n, weight in enumerate(window / window.sum()))
        values = np.moveaxis(np.asarray(total), 0, axis)
    return values


def _rounded(values: NDArray[np.float64]) -> Photograph:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


DAMAGES = {
    each.name: each
    for each in (
        Damage("jpeg", "quality", (1, 100), _jpeg, whole=True),
        Damage("webp", "quality", (0, 100), _webp, whole=True),
        Damage("twice", "quality, of JPEG saved twice on shifted grids,", (1, 100), _twice, whole=True),
        Damage("noise", "standard deviation, for values of 0 to 255,", (0, 128), _noise),
        Damage("blur", "standard deviation in pixels", (0, 8), _blur),
        Damage("sharpen", "percentage", (0, 500), _sharpen),
    )
}
"""Every kind of damage, by name."""


def read_damage(texts: Sequence[str]) -> Callable[[Photograph], tuple[Photograph, Losses]]:
    """Return the function that does all of some damages, typed as NAME:NUMBER, one after the other.

    Raises
    ------
    UsageError
        If there is no such damage, or not so much of it.
    """
    found = [_read(text) for text in texts]

    def damage(photograph: Photograph) -> tuple[Photograph, Losses]:
        losses = Losses()
        for each, number in found:
            photograph, losses = each.do(photograph, number)
        return photograph, losses

    return damage


def _read(text: str) -> tuple[Damage, float]:
    name, _, number = text.partition(":")
    if name not in DAMAGES:
        names = ", ".join(DAMAGES)
        raise UsageError(f'unknown damage "{name}".{did_you_mean(name, DAMAGES)} Damages: {names}.')
    damage = DAMAGES[name]
    try:
        amount = float(number)
    except ValueError:
        amount = float("nan")
    least, most = damage.limits
    if not least <= amount <= most or (damage.whole and amount % 1):
        kind = "INTEGER" if damage.whole else "NUMBER"
        raise UsageError(f'damage "{text}" is not {name}:{kind} with a {damage.unit} of {least} to {most}.')
    return damage, abs(amount)  # not -0, which NumPy's noise refuses

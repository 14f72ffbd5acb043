"""Measuring methods: a photograph is reduced, enlarged again, and compared with the original, the reference.

This is the protocol of the super-resolution literature (Dong et al. 2014, SRCNN, and since): the luma of the 8-bit
photograph is rounded; the reduction is antialiased and not rounded; the enlarged luma is rounded; a border as wide as
the scale is left out.

A reduction that is to be damaged must be a picture first: its colours are rounded to 8 bits, and methods enlarge all
of them. Luma is compared as above, and colours besides.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.api import upscale
from upscale_cli.errors import UpscaleError
from upscale_cli.learning.measure import luma, luma_8bit, psnr, round_8bit, ssim
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods import find_method
from upscale_cli.methods.restoring import Losses

Damage = Callable[[NDArray[np.uint8]], tuple[NDArray[np.uint8], Losses]]
"""From a photograph (H, W, 3) to a damaged one, and what the file that it was at the end tells of it."""
WINDOW = 11
"""Side of the window of SSIM, in pixels: the smallest image that it can compare."""


@dataclass(frozen=True)
class Score:
    """How close a method came: PSNR and SSIM of luma, the time it took, and PSNR of colours where they are compared.

    PSNR is in decibels, the time in seconds.
    """

    psnr: float
    ssim: float
    seconds: float
    psnr_rgb: float | None = None


@dataclass(frozen=True)
class Trial:
    """A photograph and its reduction, to measure methods with.

    Attributes
    ----------
    reference : float64 (H, W)
        8-bit code values, 0 … 255; in the protocol, of luma.
    small : float32 (H / scale, W / scale), or uint8 (H / scale, W / scale, 3)
    scale : Fraction
    losses : Losses
        What the file of the reduction tells of its damage; see `Method.heed`.
    colours : uint8 (H, W, 3), optional
        The reference in colour, if colours are compared.
    """

    reference: NDArray[np.float64]
    small: NDArray[Any]
    scale: Fraction
    losses: Losses = field(default_factory=Losses)
    colours: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, plane: NDArray[Any], scale: Fraction, reduction: str = "bicubic") -> "Trial":
        """Return the trial of a plane (H, W) of a photograph, cropped to multiples of the scale.

        Raises
        ------
        UpscaleError
            If it is too small for SSIM.
        """
        reference = np.asarray(_whole_cells(plane, scale), np.float64)
        return cls(reference, reduce(reference, scale, reduction).astype(np.float32), scale)

    @classmethod
    def of_damaged(cls, rgb: NDArray[np.uint8], scale: Fraction, reduction: str, damage: Damage) -> "Trial":
        """Return the trial of a photograph (H, W, 3) whose reduction is damaged; cropped, and errors, as for `of`."""
        rgb, small, losses = damaged(rgb, scale, reduction, damage)
        return cls(luma_8bit(rgb), small, scale, losses=losses, colours=rgb)

    def score(self, method: str, parameters: Mapping[str, Any], threads: int | None = None) -> Score:
        """Enlarge the reduced plane with a method, and compare it with the reference."""
        chosen = find_method(method)
        heeded = chosen.heed(chosen.read_parameters(parameters), self.losses)
        given = {name: value for name, value in heeded.items() if value is not None}
        # Full intensity of floats is 1, which networks with biases heed.
        white = np.float32(255) if self.small.dtype.kind == "f" else np.uint8(1)
        small = self.small if white == 1 else self.small / white
        began = time.perf_counter()
        large: NDArray[Any] = upscale(small, self.scale, chosen, threads=threads, **given)
        seconds = time.perf_counter() - began
        border = ceil(self.scale)
        shown = round_8bit(white * (large if large.ndim == 2 else luma(large)))
        own = psnr(shown, self.reference, border), ssim(shown, self.reference, border)
        return Score(*own, seconds, None if self.colours is None else psnr(large, self.colours, border))


def damaged(
    rgb: NDArray[np.uint8], scale: Fraction, reduction: str, damage: Damage
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Losses]:
    """Return a photograph (H, W, 3), cropped, its damaged reduction, and its losses; errors as for `Trial.of`."""
    rgb = _whole_cells(rgb, scale)
    return rgb, *damage(round_8bit(reduce(rgb, scale, reduction)).astype(np.uint8))


def _whole_cells(image: NDArray[Any], scale: Fraction) -> NDArray[Any]:
    """Return an image cropped to multiples of the scale; raise `UpscaleError` if it is too small for SSIM."""
    height, width = (side // scale.numerator * scale.numerator for side in image.shape[:2])
    least = WINDOW + 2 * ceil(scale)
    if min(height, width) < least:
        raise UpscaleError(f"is {image.shape[1]}x{image.shape[0]}; a comparison needs {least} pixels on each side.")
    return image[:height, :width]

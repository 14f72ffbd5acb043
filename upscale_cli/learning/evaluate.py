"""Measuring methods: a photograph is reduced, enlarged again, and compared with the original, the reference.

This is the protocol of the super-resolution literature (Dong et al. 2014, SRCNN, and since): the luma of the 8-bit
photograph is rounded; the reduction is antialiased and not rounded; the enlarged luma is rounded; a border as wide as
the scale is left out.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.api import upscale
from upscale_cli.errors import UpscaleError
from upscale_cli.learning.measure import psnr, round_8bit, ssim
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods import find_method

WINDOW = 11
"""Side of the window of SSIM, in pixels: the smallest image that it can compare."""


@dataclass(frozen=True)
class Score:
    """How close a method came: PSNR in decibels, SSIM, and the time it took in seconds."""

    psnr: float
    ssim: float
    seconds: float


@dataclass(frozen=True)
class Trial:
    """A photograph and its reduction, to measure methods with.

    Attributes
    ----------
    reference : float64 (H, W)
        8-bit code values, 0 … 255; in the protocol, of luma.
    small : float32 (H / scale, W / scale)
    scale : Fraction
    """

    reference: NDArray[np.float64]
    small: NDArray[np.float32]
    scale: Fraction

    @classmethod
    def of(cls, plane: NDArray[Any], scale: Fraction, reduction: str = "bicubic") -> "Trial":
        """Return the trial of a plane (H, W) of a photograph, cropped to multiples of the scale.

        Raises
        ------
        UpscaleError
            If it is too small for SSIM.
        """
        height, width = (side // scale.numerator * scale.numerator for side in plane.shape)
        least = WINDOW + 2 * ceil(scale)
        if min(height, width) < least:
            raise UpscaleError(
                f"is {plane.shape[1]}x{plane.shape[0]}; a comparison needs {least} pixels on each side."
            )
        reference = np.asarray(plane[:height, :width], np.float64)
        return cls(reference, reduce(reference, scale, reduction).astype(np.float32), scale)

    def score(self, method: str, parameters: Mapping[str, Any], threads: int | None = None) -> Score:
        """Enlarge the reduced plane with a method, and compare it with the reference."""
        began = time.perf_counter()
        large = upscale(self.small, self.scale, find_method(method), threads=threads, **parameters)
        seconds = time.perf_counter() - began
        large, border = round_8bit(large), ceil(self.scale)
        return Score(psnr(large, self.reference, border), ssim(large, self.reference, border), seconds)

"""Methods against the truth: a photograph is made small, enlarged again, and compared with what it was.

The protocol of the literature of super-resolution (Dong et al. 2014, SRCNN, and since): luma of the 8-bit photograph,
rounded; the reduction antialiased and not rounded; the enlarged luma rounded; borders as wide as the scale left out.
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

WINDOW = 11
"""Pixels that SSIM compares at least, on each side."""


@dataclass(frozen=True)
class Score:
    """How near a method came: PSNR in decibels, SSIM, and the seconds that it took."""

    psnr: float
    ssim: float
    seconds: float


@dataclass(frozen=True)
class Trial:
    """A photograph and its reduction, to try methods on.

    Attributes
    ----------
    truth : float64 (H, W)
        8-bit code values; in the protocol, those of luma.
    small : float32 (H / scale, W / scale)
    scale : Fraction
    """

    truth: NDArray[np.float64]
    small: NDArray[np.float32]
    scale: Fraction

    @classmethod
    def of(cls, plane: NDArray[Any], scale: Fraction, reduction: str = "bicubic") -> "Trial":
        """Reduce a plane (H, W) of a photograph, cut to sides that the scale divides.

        Raises
        ------
        UpscaleError
            When it is too small to compare anything.
        """
        height, width = (side // scale.numerator * scale.numerator for side in plane.shape)
        least = WINDOW + 2 * ceil(scale)
        if min(height, width) < least:
            raise UpscaleError(
                f"is {plane.shape[1]}x{plane.shape[0]}; a comparison needs {least} pixels on each side."
            )
        truth = np.asarray(plane[:height, :width], np.float64)
        return cls(truth, reduce(truth, scale, reduction).astype(np.float32), scale)

    def score(self, method: str, parameters: Mapping[str, Any], threads: int | None = None) -> Score:
        """Enlarge the small luma by a method, and compare."""
        began = time.perf_counter()
        large = upscale(self.small, self.scale, method, threads=threads, **parameters)
        seconds = time.perf_counter() - began
        large, border = round_8bit(large), ceil(self.scale)
        return Score(psnr(large, self.truth, border), ssim(large, self.truth, border), seconds)

"""Training pairs: the luma of photographs, and the same reduced by the customary protocol."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.model import MARGIN
from upscale_cli.learning.measure import luma_8bit
from upscale_cli.learning.reduction import reduce

SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
FLAT = 0.4
"""The share of patches, the flattest ones, that training leaves out."""
SMALLER = Fraction(4, 3), Fraction(7, 4)
"""Rounds with `smaller` also learn from photographs reduced by these factors, which are sharper and cleaner."""


def read_luma(path: Path, smaller: Fraction = Fraction(1)) -> NDArray[np.float64]:
    """Return the luma of a photograph, reduced, as rounded numbers of 16 … 235: (H, W)."""
    with Image.open(path) as image:
        colours = np.asarray(image.convert("RGB"))
    if smaller > 1:
        height, width = (side // smaller.numerator * smaller.numerator for side in colours.shape[:2])
        colours = np.clip(reduce(colours[:height, :width], smaller), 0, 255)
    return luma_8bit(colours)


class Pairs:
    """Patches of small and large luma, 0 … 1, drawn where there is something to see.

    Parameters
    ----------
    paths : list of Path
    scale : int
    patch : int
        Side of the small patch, margin not counted.
    seed : int
    smaller : sequence of Fraction
        How many times smaller each photograph is there besides.
    """

    def __init__(
        self, paths: list[Path], scale: int, patch: int, *, seed: int, smaller: Sequence[Fraction] = ()
    ) -> None:
        self.scale, self.patch = scale, patch
        self.random = np.random.default_rng(seed)
        self.pairs = []
        places = []
        versions = [(path, size) for size in (Fraction(1), *smaller) for path in paths]
        for index, (path, size) in enumerate(versions):
            large = read_luma(path, size)
            large = large[: large.shape[0] // scale * scale, : large.shape[1] // scale * scale]
            small = reduce(large, scale)
            self.pairs.append(((small / 255).astype(np.float32), large.astype(np.uint8)))
            side = patch + 2 * MARGIN
            for top in range(0, small.shape[0] - side + 1, patch // 2):
                for left in range(0, small.shape[1] - side + 1, patch // 2):
                    part = small[top : top + side, left : left + side]
                    energy = np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean()
                    places.append((energy, index, top, left))
        places.sort()
        whole = [place for place in places if place[1] < len(paths)]
        self._places, self._all_places = (
            np.array([place[1:] for place in chosen[int(len(chosen) * FLAT) :]]) for chosen in (whole, places)
        )

    def batch(self, size: int, smaller: bool = False) -> tuple[Tensor, Tensor]:
        """Small (size, 1, patch + 2·MARGIN, ·) and large (size, 1, patch·scale, ·), flipped and turned at random.

        `smaller` draws from photographs made smaller too.
        """
        places = self._all_places if smaller else self._places
        scale, side = self.scale, self.patch + 2 * MARGIN
        small = np.empty((size, 1, side, side), np.float32)
        large = np.empty((size, 1, self.patch * scale, self.patch * scale), np.float32)
        for i in range(size):
            index, top, left = places[self.random.integers(len(places))]
            low, high = self.pairs[index]
            top = min(top + self.random.integers(self.patch // 2), low.shape[0] - side)
            left = min(left + self.random.integers(self.patch // 2), low.shape[1] - side)
            y, x, n = (top + MARGIN) * scale, (left + MARGIN) * scale, self.patch * scale
            turns, flip = int(self.random.integers(4)), int(self.random.integers(2))
            small[i, 0] = _turned(low[top : top + side, left : left + side], turns, flip)
            large[i, 0] = _turned(high[y : y + n, x : x + n], turns, flip)
        return torch.from_numpy(small), torch.from_numpy(large / 255)


def _turned(image: NDArray[np.generic], turns: int, flip: int) -> NDArray[np.generic]:
    return np.rot90(image[:, ::-1] if flip else image, turns)

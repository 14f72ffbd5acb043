"""Damaged and undamaged patches, of all levels, to train networks that restore.

A picture is damaged as a whole, as files are, and serves for many patches. A pool of such pictures is renewed little
by little, so that the steps of a training are nearly all convolution.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.damage import Photograph, damaged
from training.data import FLAT
from training.model import MARGIN
from upscale_cli.learning.reduction import reduce

PATCH = 40
"""Side of a small patch, margin not counted."""
BINS, PICTURES = 12, 150
"""Levels that are told apart while drawing, and the damaged pictures of each."""
CLEAN = 1 / 4
"""The share of batches of undamaged pictures, if level 0 is one of the levels."""
OTHERS = ("box", "lanczos", "bilinear", "bicubic")
"""One of these reduces each photograph besides the bicubic reduction, and serves for a quarter of the pictures."""
WHITE = 255 * 256
WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)

Plane = NDArray[np.uint16]


class Photographed(NamedTuple):
    """The luma of a photograph, in 256ths; its reductions; and where in them there is something to see."""

    large: Plane
    smalls: list[Photograph]
    places: NDArray[np.int64]


def luma16(rgb: NDArray[Any]) -> Plane:
    """Return the luma of 8-bit colours, 0 … 255, in 256ths."""
    return np.round(rgb.astype(np.float32) @ WEIGHTS * 256).astype(np.uint16)


def opened(path: Path) -> Photograph:
    """Return the colours of a file."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def prepare(
    sources: Sequence[Any],
    scale: int,
    sizes: Sequence[Fraction],
    seed: int,
    *,
    read: Callable[[Any], Photograph] = opened,
) -> list[Photographed]:
    """Return every picture that is read in several sizes, reduced, without the flattest places of all."""
    random = np.random.default_rng(seed)
    found: list[tuple[Plane, list[Photograph]]] = []
    places = []
    for source, size in ((source, size) for size in sizes for source in sources):
        rgb = read(source)
        if size > 1:
            height, width = (side // size.numerator * size.numerator for side in rgb.shape[:2])
            rgb = _rounded(reduce(rgb[:height, :width], size))
        rgb = rgb[: rgb.shape[0] // scale * scale, : rgb.shape[1] // scale * scale]
        if min(rgb.shape[:2]) < (PATCH + 2 * MARGIN + 8) * scale:
            continue
        smalls = [_reduced(rgb, scale, by) for by in ("bicubic", OTHERS[random.integers(len(OTHERS))])]
        luma = luma16(smalls[0]) / 256
        for top in range(0, luma.shape[0] - PATCH + 1, PATCH // 2):
            for left in range(0, luma.shape[1] - PATCH + 1, PATCH // 2):
                part = luma[top : top + PATCH, left : left + PATCH]
                energy = np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean()
                places.append((energy, len(found), top, left))
        found.append((luma16(rgb), smalls))
    places.sort()
    kept: list[list[tuple[int, int]]] = [[] for _ in found]
    for _, index, top, left in places[int(len(places) * FLAT) :]:
        kept[index].append((top, left))
    return [Photographed(*each, np.array(where)) for each, where in zip(found, kept, strict=True) if where]


def _reduced(rgb: Photograph, scale: int, by: str) -> Photograph:
    if by == "bilinear":
        size = rgb.shape[1] // scale, rgb.shape[0] // scale
        return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))
    return _rounded(reduce(rgb, scale, by))


def _rounded(values: NDArray[np.float64]) -> Photograph:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


class Damaged(NamedTuple):
    """A damaged picture: the number of its photograph, its luma, and how many rows and columns it lacks."""

    number: int
    luma: Plane
    top: int
    left: int


class Pool:
    """Damaged pictures by level, and patches of them.

    Parameters
    ----------
    photographs : list of Photographed
    scale, seed : int
    levels : (float, float)
        The lowest and the highest level. If the lowest is 0, undamaged pictures are levels of their own.
    """

    def __init__(self, photographs: list[Photographed], scale: int, seed: int, levels: tuple[float, float]) -> None:
        self.photographs, self.scale, self.random = photographs, scale, np.random.default_rng(seed)
        self._shares = np.cumsum([len(each.places) for each in photographs], dtype=float)
        self._shares /= self._shares[-1]
        edges = np.linspace(*levels, BINS + 1)
        self._bins = list(pairwise(edges))
        self._clean = CLEAN if levels[0] == 0 else 0
        if self._clean:
            self._bins[0] = (0.0, 0.0)
        self._pictures = [[self._draw(bin) for _ in range(PICTURES)] for bin in range(BINS)]

    def _draw(self, bin: int) -> Damaged:
        index = int(np.searchsorted(self._shares[:-1], self.random.random()))
        small = self.photographs[index].smalls[int(self.random.random() < 0.25)]
        level = float(self.random.uniform(*self._bins[bin]))
        made, top, left = damaged(small, level, self.random) if level else (small, 0, 0)
        return Damaged(index, luma16(made), top, left)

    def batch(self, size: int) -> tuple[Tensor, Tensor, float]:
        """Small (size, 1, PATCH + 2·MARGIN, ·) and large (size, 1, PATCH·scale, ·) luma of 0 … 1, and their level.

        One damaged picture is replaced by another.
        """
        bin = 0 if self.random.random() < self._clean else int(self.random.integers(BINS))
        self._pictures[bin][self.random.integers(PICTURES)] = self._draw(bin)
        scale, side = self.scale, PATCH + 2 * MARGIN
        small = np.empty((size, 1, side, side), np.float32)
        large = np.empty((size, 1, PATCH * scale, PATCH * scale), np.float32)
        for i in range(size):
            index, low, down, across = self._pictures[bin][self.random.integers(PICTURES)]
            high, _, places = self.photographs[index]
            place = places[self.random.integers(len(places))] + self.random.integers(PATCH // 2, size=2)
            top, left = np.clip(place - (down, across), 0, np.array(low.shape) - side)
            y, x, n = (top + down + MARGIN) * scale, (left + across + MARGIN) * scale, PATCH * scale
            turns, flip = int(self.random.integers(4)), int(self.random.integers(2))
            small[i, 0] = _turned(low[top : top + side, left : left + side], turns, flip)
            large[i, 0] = _turned(high[y : y + n, x : x + n], turns, flip)
        level = float(sum(self._bins[bin]) / 2)
        return torch.from_numpy(small / WHITE), torch.from_numpy(large / WHITE), level


def _turned(image: NDArray[np.generic], turns: int, flip: int) -> NDArray[np.generic]:
    return np.rot90(image[:, ::-1] if flip else image, turns)

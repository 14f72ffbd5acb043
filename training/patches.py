"""Patches of pictures, taken on the device that trains: a step reads nothing from the processor's memory."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.data import PLACES, Picture, Pictured, Plane
from training.model import MARGIN

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Patches:
    """Pairs of small and large pictures, and patches of them at random places, flipped and turned.

    They are luma (H, W) of 0 … 1, or colours (H, W, 3) of 8 bits. A slot holds a small one; several may belong to one
    large one, and slots can be filled anew.

    Parameters
    ----------
    pictures : sequence of Pictured
    slots : int, optional
        So many empty ones, as large as the largest small picture. Without, each has one, with its small picture.
    scale, patch : int
        `patch` is the side of small patches, margin not counted.
    cells : int
        Patches begin with whole cells of so many pixels a side.
    """

    def __init__(
        self, pictures: Sequence[Pictured], scale: int, patch: int, slots: int | None = None, *, cells: int = 1
    ) -> None:
        self.scale, self.patch, self._cells = scale, patch, cells
        self._large = _joined([each.large for each in pictures])
        self._starts = _starts([_pixels(each.large) for each in pictures])
        self._widths = _numbers([each.large.shape[1] for each in pictures])
        counts = [len(each.places) for each in pictures]
        self._places = _numbers(np.concatenate([each.places for each in pictures]))
        self._first, self._counts = _starts(counts), _numbers(counts)
        if slots is None:
            sizes = [_pixels(each.small) for each in pictures]
            self._choices = torch.repeat_interleave(self._counts)
        else:
            sizes = [max(_pixels(each.small) for each in pictures)] * slots
            self._choices = torch.arange(slots, device=DEVICE)
        self._small = self._large.new_zeros((sum(sizes), self._large.shape[1]))
        self._slots = np.cumsum([0, *sizes[:-1]])
        # Of each slot: where it begins, rows, columns, its picture, and the rows and columns at its top and left that
        # the small plane lacks.
        self._about = torch.zeros((len(sizes), 6), dtype=torch.long, device=DEVICE)
        if slots is None:
            for slot, each in enumerate(pictures):
                self.put(slot, each.small, slot)

    @property
    def all(self) -> Tensor:
        """What `batch` is told to choose among all slots."""
        return torch.tensor([0.0, len(self._choices)], device=DEVICE)

    def put(self, slot: int, small: Plane | Picture, picture: int, lacks: tuple[int, int] = (0, 0)) -> None:
        """Fill a slot with another small version of a picture, by its number; `lacks` are rows and columns."""
        start = int(self._slots[slot])
        self._small[start : start + _pixels(small)] = _joined([small])
        self._about[slot] = torch.tensor([start, *small.shape[:2], picture, *lacks], device=DEVICE)

    def batch(self, size: int, among: Tensor) -> tuple[Tensor, Tensor]:
        """Small (size, planes, patch + 2·MARGIN, ·) and large (size, planes, patch·scale, ·) patches of 0 … 1.

        `among` says which slots: the first, and how many; without slots of their own, pictures are as many choices
        as they have places.
        """
        random = torch.rand((5, size), device=DEVICE)
        slot = self._choices[(among[0] + random[0] * among[1]).long()]
        start, rows, columns, picture, *lacks = self._about[slot].unbind(1)
        place = self._places[self._first[picture] + (random[1] * self._counts[picture]).long()]
        lacking, side = torch.stack(lacks, 1), self.patch + 2 * MARGIN
        place = place + (random[2:4].T * (PLACES // 2)).long() - lacking
        place = torch.minimum(place, torch.stack((rows, columns), 1) - side).clamp(min=0)
        place = place // self._cells * self._cells
        turn = (random[4] * 8).long()
        small = _planes(self._small[_squares(start + place[:, 0] * columns + place[:, 1], columns, side, turn)])
        corner = (place + lacking + MARGIN) * self.scale
        width = self._widths[picture]
        start = self._starts[picture] + corner[:, 0] * width + corner[:, 1]
        return small, _planes(self._large[_squares(start, width, self.patch * self.scale, turn)])


def _squares(start: Tensor, width: Tensor, side: int, turn: Tensor) -> Tensor:
    """Return where the pixels of squares are in planes of a width: (n, 1, side, side).

    `start` is where the pixel at the top and left of each is; `turn`, 0 to 7, is one of eight flips and turns.
    """
    along = torch.arange(side, device=DEVICE)
    down, across = (torch.where((turn & bit > 0)[:, None], side - 1 - along, along) for bit in (1, 2))
    found = start[:, None, None] + (down * width[:, None])[:, :, None] + across[:, None, :]
    return torch.where((turn & 4 > 0)[:, None, None], found.transpose(1, 2), found)


def _planes(pixels: Tensor) -> Tensor:
    """Return patches (size, rows, columns, planes) as floats of 0 … 1, (size, planes, rows, columns)."""
    planes = pixels.movedim(3, 1)
    return planes if planes.is_floating_point() else planes / 255


def _pixels(picture: Plane | Picture) -> int:
    return int(picture.shape[0] * picture.shape[1])


def _joined(pictures: Sequence[Plane | Picture]) -> Tensor:
    """Return the pixels of pictures, one after the other: (pixels, planes)."""
    return torch.cat([torch.from_numpy(np.atleast_3d(each)).flatten(0, 1) for each in pictures]).to(DEVICE)


def _starts(sizes: Sequence[int]) -> Tensor:
    return _numbers(np.cumsum([0, *sizes[:-1]]))


def _numbers(values: object) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.long, device=DEVICE)

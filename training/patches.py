"""Patches of pictures, taken on the device that trains: a step reads nothing from the processor's memory."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.data import PLACES, Pictured, Plane
from training.model import MARGIN

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Patches:
    """Pairs of small and large planes, and patches of them at random places, flipped and turned.

    A slot holds a small plane; several may belong to one large plane, and slots can be filled anew.

    Parameters
    ----------
    pictures : sequence of Pictured
    slots : int, optional
        So many empty ones, as large as the largest small plane. Without, each picture has one, with its small plane.
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
        self._starts = _starts([each.large.size for each in pictures])
        self._widths = _numbers([each.large.shape[1] for each in pictures])
        counts = [len(each.places) for each in pictures]
        self._places = _numbers(np.concatenate([each.places for each in pictures]))
        self._first, self._counts = _starts(counts), _numbers(counts)
        if slots is None:
            sizes = [each.small.size for each in pictures]
            self._choices = torch.repeat_interleave(self._counts)
        else:
            sizes = [max(each.small.size for each in pictures)] * slots
            self._choices = torch.arange(slots, device=DEVICE)
        self._small = torch.zeros(sum(sizes), device=DEVICE)
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

    def put(self, slot: int, small: Plane, picture: int, lacks: tuple[int, int] = (0, 0)) -> None:
        """Fill a slot with a small plane (H, W) of a picture, by its number; `lacks` are rows and columns."""
        start = int(self._slots[slot])
        self._small[start : start + small.size] = torch.from_numpy(small).ravel().to(DEVICE)
        self._about[slot] = torch.tensor([start, *small.shape, picture, *lacks], device=DEVICE)

    def batch(self, size: int, among: Tensor) -> tuple[Tensor, Tensor]:
        """Small (size, 1, patch + 2·MARGIN, ·) and large (size, 1, patch·scale, ·) patches, luma of 0 … 1.

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
        small = self._small[_squares(start + place[:, 0] * columns + place[:, 1], columns, side, turn)]
        corner = (place + lacking + MARGIN) * self.scale
        width = self._widths[picture]
        start = self._starts[picture] + corner[:, 0] * width + corner[:, 1]
        return small, self._large[_squares(start, width, self.patch * self.scale, turn)]


def _squares(start: Tensor, width: Tensor, side: int, turn: Tensor) -> Tensor:
    """Return where the pixels of squares are in planes of a width: (n, 1, side, side).

    `start` is where the pixel at the top and left of each is; `turn`, 0 to 7, is one of eight flips and turns.
    """
    along = torch.arange(side, device=DEVICE)
    down, across = (torch.where((turn & bit > 0)[:, None], side - 1 - along, along) for bit in (1, 2))
    found = start[:, None, None] + (down * width[:, None])[:, :, None] + across[:, None, :]
    return torch.where((turn & 4 > 0)[:, None, None], found.transpose(1, 2), found)[:, None]


def _joined(planes: Sequence[Plane]) -> Tensor:
    return torch.cat([torch.from_numpy(plane).ravel() for plane in planes]).to(DEVICE)


def _starts(sizes: Sequence[int]) -> Tensor:
    return _numbers(np.cumsum([0, *sizes[:-1]]))


def _numbers(values: object) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.long, device=DEVICE)

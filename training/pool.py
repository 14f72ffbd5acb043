"""Damaged pictures of all levels, to train networks that restore.

A picture is damaged as a whole, as files are, and serves for many patches. A pool of such pictures is renewed little
by little, by processes of their own, so that the steps of a training are nearly all convolution.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import count, islice, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.damage import damaged
from training.data import Make, Picture, Pictured, Plane, rounded, whole
from training.patches import Patches
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods.chroma import LUMA

BINS, PICTURES = 12, 300
"""Levels that are told apart while drawing, and the damaged pictures of each."""
CLEAN = 1 / 4
"""The share of batches of undamaged pictures, if level 0 is one of the levels."""
OTHERS = ("box", "lanczos", "bilinear", "bicubic")
"""One of these reduces each photograph besides the bicubic reduction, and serves for a quarter of the pictures."""
AT_ONCE, AHEAD = 8, 3
"""Pictures that a process makes at a time, and how many such tasks each process has before it."""
WEIGHTS = np.array(LUMA, np.float32) / 255


class Damaged(NamedTuple):
    """A damaged picture, as `Patches.put` takes it: slot, luma or colours, number of the picture, what it lacks."""

    slot: int
    small: Plane | Picture
    picture: int
    lacks: tuple[int, int]


def luma(picture: Picture | NDArray[np.floating[Any]]) -> Plane:
    """Return the luma of colours of 0 … 255, 0 … 1."""
    return (picture.astype(np.float32) @ WEIGHTS).astype(np.float32, copy=False)


def to_damage(scale: int, cells: int = 1, planes: int = 1) -> Make:
    """Return what makes a picture's planes, and reductions of it by two filters; the second depends on the picture.

    Planes are luma, or three of colours. Reductions are whole cells, of so many pixels a side.
    """
    return partial(_reduced_twice, scale=scale, cells=cells, planes=planes)


def _reduced_twice(picture: Picture, scale: int, cells: int, planes: int) -> tuple[Any, Any, tuple[Picture, ...]]:
    picture = whole(picture, scale * cells)
    other = OTHERS[int(picture[::16, ::16].sum()) % len(OTHERS)]
    sources = _reduced(picture, scale, "bicubic"), _reduced(picture, scale, other)
    shown = luma if planes == 1 else np.asarray
    return shown(picture), shown(sources[0]), sources


def _reduced(picture: Picture, scale: int, by: str) -> Picture:
    if by == "bilinear":
        size = picture.shape[1] // scale, picture.shape[0] // scale
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
    return rounded(reduce(picture, scale, by))


class Pool:
    """Damaged pictures by level, and patches of them.

    Parameters
    ----------
    pictures : sequence of Pictured
        With `sources`.
    scale, patch : int
        See `Patches`.
    cells : int
        See `Patches`.
    levels : (float, float)
        The lowest and the highest level. If the lowest is 0, undamaged pictures are levels of their own.
    evenly : bool
        Pictures of all sizes are drawn as often, though large ones have more places.
    seed : int
    """

    def __init__(
        self,
        pictures: Sequence[Pictured],
        scale: int,
        patch: int,
        *,
        levels: tuple[float, float],
        cells: int = 1,
        evenly: bool = False,
        seed: int = 0,
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.bins = list(pairwise(np.linspace(*levels, BINS + 1)))
        self._clean = CLEAN if levels[0] == 0 else 0
        if self._clean:
            self.bins[0] = (0.0, 0.0)
        slots = BINS * PICTURES
        # All slots in turn, and then any. Each task has a seed of its own, whichever process does it.
        places = ((n, n if n < slots else int(self.random.integers(slots))) for n in count())
        self._tasks = (((seed, n), slot, *self.bins[slot // PICTURES]) for n, slot in places)
        fork = multiprocessing.get_context("fork")
        told = pictures, [len(each.places) / (each.small.size if evenly else 1) for each in pictures]
        self._workers = ProcessPoolExecutor(os.cpu_count(), mp_context=fork, initializer=_begin, initargs=told)
        self._pending: deque[Future[list[Damaged]]] = deque()
        for _ in range(AHEAD * (os.cpu_count() or 1)):
            self._ask()
        self.patches = Patches(pictures, scale, patch, slots, cells=cells)
        self._ready: deque[Damaged] = deque()
        for _ in range(slots):
            self.renew()

    def _ask(self) -> None:
        self._pending.append(self._workers.submit(_drawn, list(islice(self._tasks, AT_ONCE))))

    def renew(self) -> None:
        """Replace a picture by another."""
        if not self._ready:
            self._ready.extend(self._pending.popleft().result())
            self._ask()
        self.patches.put(*self._ready.popleft())

    def choose(self) -> tuple[tuple[int, int], float]:
        """Return what `Patches.batch` is told to take patches of one level, and that level."""
        chosen = 0 if self.random.random() < self._clean else int(self.random.integers(BINS))
        return (chosen * PICTURES, PICTURES), float(sum(self.bins[chosen]) / 2)

    def close(self) -> None:
        """End the processes."""
        self._workers.shutdown(cancel_futures=True)


_own: dict[str, Any] = {}
"""What a process that damages has: pictures, and how often each is drawn."""


def _begin(pictures: Sequence[Pictured], weights: Sequence[float]) -> None:
    shares: NDArray[np.float64] = np.cumsum(weights, dtype=float)
    _own.update(pictures=pictures, shares=shares / shares[-1])


def _drawn(tasks: Sequence[tuple[tuple[int, int], int, float, float]]) -> list[Damaged]:
    pictures, shares = _own["pictures"], _own["shares"]
    found = []
    for seed, slot, low, high in tasks:
        random = np.random.default_rng(seed)
        number = int(np.searchsorted(shares[:-1], random.random()))
        chosen = pictures[number]
        small, level = chosen.sources[int(random.random() < 0.25)], float(random.uniform(low, high))
        made, *lacks = damaged(small, level, random) if level else (small, 0, 0)
        found.append(Damaged(slot, luma(made) if chosen.small.ndim == 2 else made, number, (lacks[0], lacks[1])))
    return found

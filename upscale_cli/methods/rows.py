"""Sources that are read by rows: like an array to whoever slices rows of it, and never in memory as a whole."""

import threading
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

from upscale_cli.methods.upsampler import Array

KEPT = 16 << 20
"""Bytes of rows that are kept for the strips that follow; two parts at least, because strips lie across them."""
TOGETHER = 4 << 20
"""Approximate bytes of samples that are read together: calls take little time beside them."""
PART_VALUES = 1 << 22
"""Approximate values of a part of an array that is looked through."""


class Rows:
    """Samples (H, W, C) that are read when rows of them are asked for. The parts that were read last are kept.

    Threads may ask at the same time; one of them reads.

    Parameters
    ----------
    height : int
    step : int
        Rows of a part.
    read : callable(start, stop) -> array (stop − start, W, C)
        Called for whole parts.

    Examples
    --------
    >>> rows = Rows(5, 2, lambda start, stop: np.arange(start, stop)[:, None, None])
    >>> rows.shape, rows[1:4, 0].tolist(), np.asarray(rows).ravel().tolist()
    ((5, 1, 1), [[1], [2], [3]], [0, 1, 2, 3, 4])
    """

    ndim = 3

    def __init__(self, height: int, step: int, read: Callable[[int, int], Array]) -> None:
        self._height, self.step, self._read = height, min(step, height), read
        self._lock, self._kept, self._most = threading.Lock(), dict[int, Array](), 2
        first = self._part(0)
        self.shape, self.dtype = (height, *first.shape[1:]), first.dtype
        self._most = max(2, KEPT // first.nbytes)

    def __len__(self) -> int:
        return self._height

    def __getitem__(self, key: Any) -> Array:
        """Return rows, of a slice or of indices, and what else is picked of them: a view where one part has them."""
        picked, *others = key if isinstance(key, tuple) else (key,)
        if isinstance(picked, slice):
            start, stop, _ = picked.indices(self._height)
            return self._between(start, stop)[:, *others]
        first = int(picked.min())
        near = self._between(first, int(picked.max()) + 1)
        found: Array = near[(picked - first, *others)]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.step == self._height:
            return self._part(0)
        whole = np.empty(self.shape, self.dtype)
        for start in range(0, self._height, self.step):
            whole[start : start + self.step] = self._part(start // self.step)
        return whole

    def _between(self, start: int, stop: int) -> Array:
        if start >= stop:
            return np.empty((0, *self.shape[1:]), self.dtype)
        step, found = self.step, []
        for number in range(start // step, -(-stop // step)):
            found.append(self._part(number)[max(0, start - number * step) : stop - number * step])
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _part(self, number: int) -> Array:
        with self._lock:
            part = self._kept.pop(number, None)
            if part is None:
                while len(self._kept) >= self._most:
                    del self._kept[next(iter(self._kept))]
                start = number * self.step
                part = self._read(start, min(start + self.step, self._height))
            self._kept[number] = part
            return part


def parts(samples: Array) -> Iterator[Array]:
    """Yield all samples, some rows at a time, so that what is computed of them takes little memory."""
    step = samples.step if isinstance(samples, Rows) else max(1, PART_VALUES // max(1, prod(samples.shape[1:])))
    for start in range(0, len(samples), step):
        yield samples[start : start + step]

"""Strips of an upsampler's rows, computed by several threads, and passed on in order or written to their place."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

from upscale_cli.methods.upsampler import Array, Upsampler

STRIPS_BEYOND = 1
"""Strips that are begun early, beyond one for each thread: so no thread waits for the writer."""
STRIP_VALUES = 1 << 20
"""Approximate number of values in a strip, unless one band has more: enough to be worth a task."""

S = TypeVar("S")
T = TypeVar("T")


class Workers(ThreadPoolExecutor):
    """Threads that compute strips.

    Parameters
    ----------
    count : int
        How many.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def strip_ranges(upsampler: Upsampler) -> Iterator[tuple[int, int]]:
    """Yield the rows `start … stop − 1` of each strip: whole bands, which depend on the upsampler alone."""
    height, width, channels = upsampler.shape
    rows = upsampler.band * max(1, STRIP_VALUES // (upsampler.band * width * channels * upsampler.cost))
    start = 0
    while start < height:
        stop = min(height, (start + upsampler.offset) // rows * rows + rows - upsampler.offset)
        yield start, stop
        start = stop


def in_order(work: Callable[[S], T], items: Iterable[S], workers: Workers | None) -> Iterator[T]:
    """Yield `work(item)` for each item, in order; at most `STRIPS_BEYOND` more than there are threads are in work.

    Parameters
    ----------
    workers : Workers or None
        Who works; None for the caller.
    """
    if workers is None:
        yield from map(work, items)
        return
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            waiting.append(workers.submit(work, item))
            if len(waiting) >= workers.count + STRIPS_BEYOND:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def regrouped(strips: Iterable[Array], rows: int) -> Iterator[list[Array]]:
    """Yield the rows of strips in groups of `rows`, the last perhaps of fewer: arrays that lie below each other.

    >>> import numpy as np
    >>> [sum(map(len, group)) for group in regrouped([np.zeros((3, 1)), np.zeros((4, 1))], 2)]
    [2, 2, 2, 1]
    """
    group: list[Array] = []
    missing = rows
    for strip in strips:
        start = 0
        while start < len(strip):
            part = strip[start : start + missing]
            group.append(part)
            start, missing = start + len(part), missing - len(part)
            if not missing:
                yield group
                group, missing = [], rows
    if group:
        yield group


def share_out(
    work: Callable[[int, int], object], ranges: Iterable[tuple[int, int]], executor: Executor | None, helpers: int
) -> None:
    """Call `work(start, stop)` for each range, in any order, in the caller's thread and `helpers` of the executor.

    Each thread that is done takes the next range; after an error none is taken.
    """
    left = deque(ranges)

    def take() -> None:
        try:
            while left:
                try:
                    start, stop = left.popleft()
                except IndexError:  # another thread was faster
                    return
                work(start, stop)
        finally:
            left.clear()

    helping = [executor.submit(take) for _ in range(helpers)] if executor is not None else []
    take()
    for helper in helping:
        helper.result()

"""Strips: an upsampler's rows, computed by several threads, handed on in order or put where they belong."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

from upscale_cli.methods.upsampler import Upsampler

STRIPS_AHEAD = 4
"""Strips that are begun before they are asked for."""
STRIP_VALUES = 1 << 20
"""Values of a strip, about, where one band is not more: enough to be worth a task."""

T = TypeVar("T")


def strip_ranges(upsampler: Upsampler) -> Iterator[tuple[int, int]]:
    """Rows `start … stop − 1` of each strip, whole bands; they depend on the upsampler alone."""
    height, width, channels = upsampler.shape
    rows = upsampler.band * max(1, STRIP_VALUES // (upsampler.band * width * channels * upsampler.cost))
    start = 0
    while start < height:
        stop = min(height, (start + upsampler.offset) // rows * rows + rows - upsampler.offset)
        yield start, stop
        start = stop


def in_order(
    work: Callable[[int, int], T],
    ranges: Iterator[tuple[int, int]],
    executor: Executor | None,
    ahead: int = STRIPS_AHEAD,
) -> Iterator[T]:
    """`work(start, stop)` for each range, in order, at most `ahead` of them begun before they are asked for.

    Parameters
    ----------
    executor : concurrent.futures.Executor or None
        Who works; the caller itself where there is none.
    """
    if executor is None:
        for start, stop in ranges:
            yield work(start, stop)
        return
    waiting: deque[Future[T]] = deque()
    try:
        for start, stop in ranges:
            waiting.append(executor.submit(work, start, stop))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def share_out(
    work: Callable[[int, int], object], ranges: Iterable[tuple[int, int]], executor: Executor | None, helpers: int
) -> None:
    """`work(start, stop)` for each range, in any order, by the caller and as many helpers of the executor.

    Whoever is done takes the next, and after an error nobody does.
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

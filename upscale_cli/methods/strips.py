"""Strips of an upsampler's rows, computed by several threads, and passed on in order or written to their place."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

from upscale_cli.methods.upsampler import Upsampler

STRIPS_AHEAD = 4
"""Strips that are begun before they are asked for."""
STRIP_VALUES = 1 << 20
"""Approximate number of values in a strip, unless one band has more: enough to be worth a task."""

T = TypeVar("T")


def strip_ranges(upsampler: Upsampler) -> Iterator[tuple[int, int]]:
    """Yield the rows `start … stop − 1` of each strip: whole bands, which depend on the upsampler alone."""
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
    """Yield `work(start, stop)` for each range, in order; at most `ahead` of them run before they are asked for.

    Parameters
    ----------
    executor : concurrent.futures.Executor or None
        Whose threads work; None for the caller's own.
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

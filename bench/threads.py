"""What a second thread, and a second process, gain by the length of NumPy's calls: `python bench/threads.py`.

Floats are clamped in arrays of several sizes, as often as makes the same work of each. Between two calls a thread
needs the interpreter's lock; one that finds it taken falls asleep, and is woken. Processes have a lock each, so
whatever they do not lose is not lost to memory or cores.
"""

import statistics
import time
from collections.abc import Callable
from multiprocessing import get_context
from threading import Barrier, Semaphore, Thread
from typing import Any

import numpy as np

BYTES = 1 << 31
"""That a turn clamps, calls of all sizes alike."""
TURNS = 5


def clamping(kilobytes: int) -> tuple[Callable[[], object], int]:
    """A turn's work in calls of so much memory, and their number."""
    values = np.full(kilobytes << 8, 300, np.float32)
    calls = BYTES // (kilobytes << 10)

    def work() -> None:
        for _ in range(calls):
            np.clip(values, 0, 255, out=values)

    return work, calls


def turns(kilobytes: int, barrier: Any, took: list[float]) -> None:
    """All turns, each begun and ended together with the others', and how long they took; the first is for warmth."""
    work, _ = clamping(kilobytes)
    for _ in range(TURNS + 1):
        barrier.wait()
        began = time.perf_counter()
        work()
        barrier.wait()
        took.append(time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    context = get_context("spawn")
    print("one call of   one thread   two threads   two processes")
    for kilobytes in (64, 256, 1024, 4096):
        medians = []
        for kind, barrier in ((None, Barrier(1)), (Thread, Barrier(2)), (context.Process, context.Barrier(2))):
            other = kind(target=turns, args=(kilobytes, barrier, [])) if kind is not None else None
            took: list[float] = []
            if other is not None:
                other.start()
            turns(kilobytes, barrier, took)
            if other is not None:
                other.join()
            medians.append(statistics.median(took[1:]))
        each = medians[0] / clamping(kilobytes)[1]
        two, processes = medians[1] / medians[0], medians[2] / medians[0]
        print(f"{each * 1e6:8.1f} µs {medians[0]:10.3f} s {two:10.2f} × {processes:13.2f} ×")
    there, back = Semaphore(0), Semaphore(0)

    def answer() -> None:
        for _ in range(1000):
            there.acquire()
            back.release()

    Thread(target=answer).start()
    began = time.perf_counter()
    for _ in range(1000):
        there.release()
        back.acquire()
    print(f"\nto wake another thread and be woken by it: {(time.perf_counter() - began) * 1e3:.0f} µs")


if __name__ == "__main__":
    main()

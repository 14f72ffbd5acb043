"""How many processors this process may use, and how many threads there is room for."""

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from upscale_cli.machine.groups import group_files
from upscale_cli.machine.memory import UNKNOWN, address_room

THREAD_ADDRESSES = 256 << 20
"""Bytes of address space that a thread needs with its stack, its heap and its BLAS buffer."""


def processors() -> int:
    """Return how many processors this process may use: those it may run on, or fewer by its container's quota."""
    if sys.version_info >= (3, 13):
        own = os.process_cpu_count()
    else:
        own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min((own or 1, *_quotas()))


def _quotas() -> Iterator[int]:
    """Yield the quotas of this process's control groups, in processors, rounded up."""
    for texts in group_files("cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us"), ("cpu.max",)):
        with suppress(OSError):
            quota, period = " ".join(texts).split()
            if quota.isdecimal():  # neither "max" nor "-1"
                yield max(1, -(-int(quota) // int(period)))


def usable_threads(wanted: int) -> int:
    """Return how many of the wanted threads there is room for, at least one.

    Where `ulimit -v` limits the address space, BLAS takes its buffers here, one a thread: when it finds no room for
    them later, it ends the whole process without a message.
    """
    room = min(address_room(), default=UNKNOWN)
    if room == UNKNOWN:
        return wanted
    threads = max(1, min(wanted, room // THREAD_ADDRESSES))
    square, together = np.ones((256, 256), np.float32), threading.Barrier(threads)

    def multiply(_: int) -> None:
        together.wait()
        for _ in range(8):
            square @ square

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(multiply, range(threads)))
    return threads

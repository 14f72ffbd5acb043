"""How many threads there is room for."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from upscale_cli.machine.memory import UNKNOWN, address_room

THREAD_ADDRESSES = 256 << 20
"""Bytes of address space that a thread needs with its stack, its heap and its BLAS buffer."""


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

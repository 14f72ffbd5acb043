"""How much memory this process may still use."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from upscale_cli.machine.groups import group_files

if sys.platform != "win32":
    import resource

BLAS_ADDRESSES = 64 << 20
"""Bytes of address space that BLAS reserves for its first product."""

KEPT, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = 32 << 20, -1, -3
"""Bytes of free memory that a thread keeps: the most that glibc allows for blocks. Options of malloc.h."""
UNKNOWN = 2**62
"""Bytes of memory where the system does not say how much there is."""


def in_bytes(count: int) -> str:
    """Return a number of bytes in a unit that people read.

    >>> in_bytes(2_340_000_000), in_bytes(50_000_000), in_bytes(UNKNOWN)
    ('2.3 GB', '50 MB', '4,611,686,018 GB')
    """
    if count < 10**9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.2g} GB" if count < 10**11 else f"{count // 10**9:,} GB"


def keep_freed_memory() -> None:
    """Let memory that one image has freed serve the next, where the C library is glibc.

    Otherwise it returns blocks of a megabyte to the system, which clears each of their pages again when it hands them
    out. The limit is per thread.
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # other C libraries, and systems without a name for it
        set_option = ctypes.CDLL(None).mallopt
        set_option(M_MMAP_THRESHOLD, KEPT)
        set_option(M_TRIM_THRESHOLD, KEPT)


def available_memory() -> int:
    """Return the bytes that this process may still take: the least that the system, its groups and limits leave.

    The plan of a folder asks for every image, and the system takes longer to answer than a small image to be planned:
    it is asked once a second.
    """
    return _available_in(int(time.monotonic()))


@lru_cache(1)
def _available_in(second: int) -> int:
    return max(0, min((room for each in _rooms for room in each()), default=UNKNOWN))


def resident_memory() -> int:
    """Return the bytes of memory that this process takes."""
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))
    except OSError:
        import psutil

        return int(psutil.Process().memory_info().rss)


def limit_memory(room: Callable[[], Iterable[int]]) -> None:
    """Let something else limit the memory of this process, too: a function that yields how much it leaves."""
    _rooms.append(room)
    _available_in.cache_clear()


@contextmanager
def unlimited_memory() -> Iterator[None]:
    """Say that memory is unlimited: what is planned here is carried out elsewhere.

    >>> with unlimited_memory():
    ...     available_memory() == UNKNOWN
    True
    """
    kept, _rooms[:] = list(_rooms), []
    _available_in.cache_clear()
    try:
        yield
    finally:
        _rooms[:] = kept
        _available_in.cache_clear()


def _system_room() -> Iterator[int]:
    """Yield what the system has left, swap included.

    Linux tells it in one small file. psutil reads the same file there, and importing it takes a third of the time of
    a 64-pixel icon, so it is asked only where that file does not exist: on macOS and Windows.
    """
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        import psutil

        yield psutil.virtual_memory().available + psutil.swap_memory().free
        return
    sizes = {name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in lines)}
    if "MemAvailable" in sizes:
        yield sizes["MemAvailable"] + sizes.get("SwapFree", 0)


def _group_room() -> Iterator[int]:
    """Yield what the limits of this process's control groups leave; cached files count as free.

    In version 1, a line of the statistics is of the group alone, and its `total_` of those below it too.
    """
    version_1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"
    for texts in group_files("memory", version_1, ("memory.max", "memory.current", "memory.stat")):
        with suppress(OSError):
            limit = next(texts)
            if limit != "max" and int(limit) < UNKNOWN:
                used, statistics = texts
                cached = (int(line.split()[-1]) for line in statistics.splitlines() if "inactive_file" in line)
                yield int(limit) - int(used) + max(cached, default=0)


def address_room() -> Iterator[int]:
    """Yield what `ulimit -v` leaves of the address space; nothing where there is no such limit."""
    if sys.platform == "win32":
        yield from ()  # it has no such limits
    else:
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        try:
            pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        except OSError:
            pages = 0
        if limit != resource.RLIM_INFINITY:
            yield limit - pages * resource.getpagesize() - BLAS_ADDRESSES


_rooms: list[Callable[[], Iterable[int]]] = [_system_room, _group_room, address_room]
"""Functions that yield how much memory is left, by each of the limits of this process."""

"""Limits, before any work: how large a source and a result may be, and what memory they need."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.images.formats import FORMATS, Format
from upscale_cli.methods import WorkingMemory
from upscale_cli.methods.parameters import round_side

MAX_SOURCE_PIXELS = 178_956_970
"""Pixels of a source, all its frames together, at most: Pillow's own limit, a gigabyte of RGB and alpha."""

MAX_PIXELS = 10**9
"""Pixels of a result, all its frames together, at most, unless more are asked for."""

STRIP_VALUES = 1 << 22
"""Values of a strip, about."""

STRIPS_AT_ONCE = 5
"""Strips of an image in the making, at most, each on a thread of its own."""

FIXED = 16 << 20
"""Bytes that any image takes: libraries at work, matrices, buffers."""

BLAS_ROOM, THREAD_ROOM = 64 << 20, 256 << 20
"""Bytes of addresses that BLAS needs for its first product, and that a thread needs with stack, heap and BLAS."""

UNKNOWN = 2**62
"""Bytes of memory where nobody says how much there is."""

Size = tuple[int, int]


def check_source(height: int, width: int, count: int) -> None:
    """Raise `UpscaleError` when a source of `count` frames has no pixels, or more than are decoded."""
    if height < 1 or width < 1:
        raise UpscaleError(f"is {width}x{height}: it has no pixels.")
    if (pixels := height * width * count) > MAX_SOURCE_PIXELS:
        refuse_pixels(pixels)


def refuse_pixels(pixels: int) -> NoReturn:
    """Raise `UpscaleError` for a source of too many pixels."""
    raise UpscaleError(
        f"has {pixels:,} pixels, more than the {MAX_SOURCE_PIXELS:,} that are decoded; cut it into parts."
    )


def check_frame(number: int, height: int, width: int, count: int, decoded: float, expected: int) -> None:
    """Raise `UpscaleError` when a frame is larger than the `expected` pixels of its file's header, and too large.

    Parameters
    ----------
    number, count : int
        The frame's, from 1, and the number of frames.
    decoded : float
        Bytes a pixel that decoding takes.
    """
    pixels = height * width
    # The estimate of the whole image knows the header alone.
    needed, there = int(pixels * decoded), memory_there() if pixels > expected else UNKNOWN
    if pixels * count > MAX_SOURCE_PIXELS or needed > there:
        raise UpscaleError(f"frame {number} is {width}x{height}: too large; take it out.")


@dataclass(frozen=True)
class Task:
    """A source by its header, and what it is to become.

    Attributes
    ----------
    height, width, count : int
        Of the source, in pixels, and its frames.
    decoded : float
        Bytes a pixel that decoding a frame takes.
    format : Format
        To write.
    channels, itemsize : int
        Channels of the result, and bytes of a sample.
    extra : int
        Bytes of what else is held, such as a parameter's arrays.
    turned : bool
        It is an array that is written channels first, which is done in memory.
    max_pixels : int
        Of the result, all its frames together.
    whole : bool
        The scale is a whole number.
    held : callable(size) -> WorkingMemory
        What the method holds at work for a result of a height and width.
    """

    height: int
    width: int
    count: int
    decoded: float
    format: Format
    channels: int
    itemsize: int
    extra: int = 0
    turned: bool = False
    max_pixels: int = MAX_PIXELS
    whole: bool = False
    held: Callable[[Size], WorkingMemory] = lambda size: WorkingMemory()

    def memory(self, size: Size, format: Format | None = None) -> int:
        """Bytes that enlarging it to a height and width takes, about: decoding, strips at work, and the encoder.

        Each factor was measured (`tests/test_limits.py` measures them again), and errs on the side of more.
        """
        format = format or self.format
        channels = self.channels if ("L", "uint8") in format.holds or not format.holds else max(3, self.channels)
        values = size[0] * size[1] * channels
        held = self.held(size)
        strip = min(values, max(STRIP_VALUES, held.rows * size[1] * channels))
        taken = self.height * self.width * self.decoded + self.extra + strip * (5 * self.itemsize + 4) + FIXED
        threads = min(STRIPS_AT_ONCE, os.cpu_count() or 1)
        # Samples of four bytes may be weighed in eight.
        taken += (held.values + threads * held.values_per_thread) * (4 if self.itemsize < 4 else 8)
        if self.turned:
            taken += 2 * values * self.itemsize * self.count
        elif not (format.strips == "all" or (format.strips == "one" and self.count == 1)):
            taken += values * self.itemsize * (format.encoder + (format.held * self.count if self.count > 1 else 0))
        return int(taken)

    def check_size(self, size: Size) -> None:
        """Raise `UpscaleError` when a result of a height and width is larger than allowed, or than a file can be."""
        height, width = size
        if (pixels := height * width * self.count) > self.max_pixels:
            hint, way = f"{pixels:,} pixels", f"raise --max-pixels {self.max_pixels:,}"
        elif max(size) > self.format.longest:
            hint, way = f"and {self.format.name} ends at {self.format.longest:,}", "use --format png"
        else:
            return
        raise self._refusal(size, hint, self._allowed, way)

    def check_memory(self, size: Size) -> None:
        """Raise `UpscaleError` when a result of a height and width takes more memory than there is."""
        there, needed, png = memory_there(), self.memory(size), FORMATS["png"]
        if needed <= there:
            return
        hint = f"which needs about {in_bytes(needed)} of memory, and {in_bytes(there)} are there"
        image = bool(self.format.holds) and self.itemsize <= 2 and self.count == 1
        leaner = image and self.memory(size, png) <= there
        way = "use --format png, which needs less" if leaner else "cut it into parts"
        raise self._refusal(size, hint, lambda size: self._allowed(size) and self.memory(size) <= there, way)

    def _allowed(self, size: Size) -> bool:
        return size[0] * size[1] * self.count <= self.max_pixels and max(size) <= self.format.longest

    def _refusal(self, size: Size, hint: str, fits: Callable[[Size], bool], way: str) -> UpscaleError:
        factor = largest_factor((self.height, self.width), fits, 100 if self.whole else 1)
        smaller = f"the largest factor that fits is {factor}; or " if factor else ""
        return UpscaleError(f"would be {size[1]}x{size[0]}, {hint}; {smaller}{way}.")


def largest_factor(before: Size, fits: Callable[[Size], bool], step: int = 1) -> str:
    """The largest factor, to hundredths in steps of `step`, at which a size fits; empty where not even 1 does.

    >>> largest_factor((3, 3), lambda size: size[0] * size[1] <= 24)
    '1.49'
    """

    def fitting(steps: int) -> bool:
        factor = Fraction(steps * step, 100)
        return fits((round_side(before[0], factor), round_side(before[1], factor)))

    low, high = 100 // step - 1, (100 << 31) // step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fitting(middle) else (low, middle)
    return f"{low * step / 100:.2f}".rstrip("0").rstrip(".") if low * step >= 100 else ""


def in_bytes(count: int) -> str:
    """Bytes, for people.

    >>> in_bytes(2_340_000_000), in_bytes(50_000_000), in_bytes(UNKNOWN)
    ('2.3 GB', '50 MB', '4,611,686,018 GB')
    """
    if count < 10**9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.2g} GB" if count < 10**11 else f"{count // 10**9:,} GB"


def memory_there() -> int:
    """Bytes that this process may still take: the least that system, control groups, and limits leave."""
    return max(0, min((*_system_room(), *_group_room(), *_limit_room()), default=UNKNOWN))


def _system_room() -> Iterator[int]:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        with_pages = {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(getattr(os, "sysconf_names", ()))
        if with_pages:
            yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return
    sizes = {name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in lines)}
    if "MemAvailable" in sizes:
        yield sizes["MemAvailable"] + sizes.get("SwapFree", 0)


def _group_room(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """What is left of the limits of the control groups (version 2) that this process is in; cached files can go."""
    try:
        groups = [line.rpartition(":")[2] for line in own.read_text().splitlines() if line.startswith("0::")]
    except OSError:
        return
    for group in groups:
        folder = root / group.strip("/")
        for each in (folder, *folder.parents[: len(folder.parts) - len(root.parts)]):
            try:
                limit, used = (each / "memory.max").read_text(), int((each / "memory.current").read_text())
                cached = [line for line in (each / "memory.stat").read_text().splitlines() if "inactive_file" in line]
            except OSError:
                continue
            if limit.strip() != "max":
                yield int(limit) - used + sum(int(line.split()[-1]) for line in cached)


def _limit_room() -> Iterator[int]:
    """What `ulimit -v` leaves."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    except OSError:
        pages = 0
    if limit != resource.RLIM_INFINITY:
        yield limit - pages * resource.getpagesize() - BLAS_ROOM


def threads_there(wanted: int) -> int:
    """How many threads of those that are wanted have room, at least one.

    Where `ulimit -v` limits addresses, BLAS is made to take its buffers now, one a thread: it ends the whole process,
    without a word, when it finds no room for them later.
    """
    room = min(_limit_room(), default=UNKNOWN)
    if room == UNKNOWN:
        return wanted
    threads = max(1, min(wanted, room // THREAD_ROOM))
    square, together = np.ones((256, 256), np.float32), threading.Barrier(threads)

    def multiply(_: int) -> None:
        together.wait()
        for _ in range(8):
            square @ square

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(multiply, range(threads)))
    return threads

"""What one image takes, estimated from its header before any work: pixels and memory."""

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import Picture
from upscale_cli.errors import UpscaleError
from upscale_cli.machine.memory import available_memory, in_bytes
from upscale_cli.methods import Size, WorkingMemory
from upscale_cli.methods.method import as_typed
from upscale_cli.methods.upsampler import BAND_VALUES
from upscale_cli.work.result import Result, shared
from upscale_cli.work.sizes import largest_factor

MAX_PIXELS = 10**9
"""The most pixels of a frame of a result, unless the user allows more."""
MAX_FULL_FRAMES = 10
"""All frames of a result together have at most the pixels of so many of the largest ones."""

FIXED = 16 << 20
"""Bytes that any image takes: libraries at work, matrices, buffers."""


class Task(NamedTuple):
    """A source by its header, and its result, of a format and as many channels: a record that is built by keyword."""

    picture: Picture
    format: Format
    channels: int
    extra: int = 0
    """Further bytes, such as those of a parameter's arrays."""
    before: Size | None = None
    """Height and width of its frame that is enlarged, if they are not those of the picture."""
    by_rows: bool = False
    """Its source is read by rows."""
    channels_first: bool = False
    """Arrays are written channels first, which is done in memory."""
    max_pixels: int = MAX_PIXELS
    """The most pixels of a frame of the result."""
    hundredths: Sequence[int] = range(100, 100 << 31)
    """The factors that the method takes."""
    working_memory: Callable[[Size], WorkingMemory] = lambda size: WorkingMemory()
    """What the method needs at work for a result of some size."""

    def memory(self, size: Size, format: Format | None = None) -> int:
        """Return the approximate bytes that a result takes on one thread: decoding, a strip, and the encoder.

        Each factor was measured (`tests/test_limits.py` measures them again), and is on the high side.
        """
        format = format or self.format
        count, itemsize = self.picture.count, self.picture.itemsize
        channels = self.channels if ("L", "uint8") in format.stores or format.arrays else max(3, self.channels)
        values = prod(size) * channels
        taken = prod(self.picture.sides[-2:]) * self.picture.decoded
        if self.by_rows:
            taken = min(taken, self.picture.by_rows)
        taken += self.extra + FIXED
        taken += self._strip(size) * (5 * itemsize + 4)
        needed = self.working_memory(size)
        taken += (needed.values + needed.values_per_thread) * self._float
        if self.channels_first and format.arrays:
            taken += 2 * values * itemsize * count
        elif not (format.strips == "all" or (format.strips == "one" and count == 1)):
            taken += values * itemsize * (format.encoder + (format.retained * count if count > 1 else 0))
            padded = [-(-side // format.block) * format.block for side in size]
            taken += (padded[0] * padded[1] - size[0] * size[1]) * channels * itemsize * format.encoder
        return int(taken)

    def memory_per_thread(self, size: Size) -> int:
        """Return the approximate bytes that each further thread takes: a strip in work, and one that waits."""
        per_thread = self.working_memory(size).values_per_thread
        return self._strip(size) * 4 * self.picture.itemsize + per_thread * self._float

    def _strip(self, size: Size) -> int:
        """Return the values of a strip."""
        row = size[-1] * max(3, self.channels)
        return min(prod(size[:-1]) * row, max(BAND_VALUES, self.working_memory(size).rows * row))

    @property
    def _float(self) -> int:
        """Bytes of a float: samples of four bytes may be weighed in eight, and so are those of two with opacity."""
        itemsize = self.picture.itemsize
        return 8 if itemsize > 2 or (itemsize == 2 and self.channels in (2, 4)) else 4

    def check_size(self, size: Size) -> None:
        """Raise `UpscaleError` if a result of a height and width is larger than the limit, or than its format."""
        raised = f"raise the limit: --max-pixels (now {self.max_pixels:,}"
        if (pixels := prod(size)) > self.max_pixels:
            hint, way = f"{pixels:,} pixels", f"{raised})"
        elif (together := pixels * self.picture.count) > self.max_pixels * MAX_FULL_FRAMES:
            hint = f"and its {self.picture.count:,} frames {together:,} pixels together"
            way = f"{raised}, and {MAX_FULL_FRAMES} times as many in all frames)"
        elif max(size) > self.format.longest:
            hint, way = f"but {self.format.title} allows {self.format.longest:,} per side", "use --format png"
        else:
            return
        raise self._refusal(size, hint, self._allowed, way)

    def expected(self, size: Size) -> Result:
        """Return what is known of a result of some size; raise `UpscaleError` if memory does not suffice for it."""
        available, needed, png, picture = available_memory(), shared(self.memory(size)), FORMATS["png"], self.picture
        if needed <= available:
            before, after = map(shared, (picture.sides[::-1], size[::-1]))
            each = shared(self.memory_per_thread(size))
            return Result(before=before, after=after, frames=picture.count, memory=needed, memory_per_thread=each)
        hint = f"which needs about {in_bytes(needed)} of memory, but only {in_bytes(available)} is available"
        image = not self.format.arrays and picture.itemsize <= 2 and picture.count == 1
        leaner = image and self.memory(size, png) <= available
        way = "use --format png, which needs less" if leaner else "cut it into parts"
        raise self._refusal(size, hint, lambda size: self._allowed(size) and self.memory(size) <= available, way)

    def _allowed(self, size: Size) -> bool:
        most = min(self.max_pixels, self.max_pixels * MAX_FULL_FRAMES // self.picture.count)
        return prod(size) <= most and max(size) <= self.format.longest

    def _refusal(self, size: Size, hint: str, fits: Callable[[Size], bool], way: str) -> UpscaleError:
        before = self.before or self.picture.sides
        factor = largest_factor(before, fits, self.hundredths)
        smaller = f"the largest factor that fits is {factor}; or " if factor else ""
        return UpscaleError(f"would be {as_typed(size)}, {hint}; {smaller}{way}.")


def check_frames(picture: Picture, format: Format) -> None:
    """Leave out what is no frame in a format; raise `UpscaleError` if it cannot store as many frames as are left."""
    if picture.still and "still" not in format.keeps:
        picture.still, picture.count = False, picture.count - 1
    if picture.count > 1 and not format.frames:
        exact = format.without_loss is not None and not format.lossy
        title = f"{format.title} without loss" if exact else format.title
        raise UpscaleError(f"has {picture.count} frames, but {title} stores only one; use --format png or tiff.")

"""Networks: layers one after the other, on one plane at a time, or on red, green and blue.

`layout` describes the files. All of it is computed as matrix products (see `winograd`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil, isqrt
from typing import Any, ClassVar

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.layers import Layer
from upscale_cli.methods.sweep import ROWS, Sweep, kept
from upscale_cli.methods.upsampler import Array, Scratch

MOST_LAYERS, LARGEST_REACH, MOST_LEVELS = 100, 128, 16
SCALES = (1, 2, 3, 4)
CELLS = (1, 2, 4)

LOW, HIGH, TILE = 96, 256, 256
"""Approximate rows (at least, at most) and columns of the source, or of its cells, that are computed together.

What is around them is computed again: for 96 rows and a reach of 21 it is a fifth, for 256 a twelfth.
"""
BAND_PIXELS = 1 << 19
"""Pixels of a band that has more rows than `LOW`, so that memory does not grow with the width."""
FEWEST_BANDS = 8
"""A picture has as many, for as many threads, before bands have more rows than `LOW`."""

_scratch = Scratch()


def band_rows(height: int, width: int) -> int:
    """Return the rows of the source for a band; bands of similar height keep threads equally busy.

    >>> [band_rows(*shape) for shape in ((140, 99), (150, 99), (300, 99), (1024, 1024), (3000, 2000), (3000, 9000))]
    [140, 75, 100, 128, 250, 97]
    """
    rows = max(LOW, min(HIGH, BAND_PIXELS // width))
    count = max(round(height / rows), min(FEWEST_BANDS, round(height / LOW)), 1)
    return ceil(height / count)


@dataclass(frozen=True)
class Network:
    """A network that has been checked.

    Attributes
    ----------
    scale : int
    layers : tuple of Layer
        The last makes the scale² phases of each pixel.
    skip : Phases, optional
        Makes the phases of the linear skip.
    training : mapping
        What the file says about its training.
    levels : tuple of float
        The levels of damage that it has weights for, if it restores.
    planes : int
        How many planes it enlarges at once: 1, or red, green and blue.
    cells : int
        Sides of the cells that its layers see, in pixels.
    white : float
        What planes are divided by, and results multiplied with.
    proportional : bool
        Values twice as large, and biases, give results twice as large, so planes need not be divided.
    padded : bool
        All tiles of a picture are equally large, those at its end, too.
    whole : bool
        Results depend on the complete picture.
    note : str
        What is said about it with -v.
    """

    scale: int
    layers: tuple[Layer, ...]
    skip: Layer | None
    training: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[float, ...] = ()
    planes: int = 1
    cells: int = 1
    white: float = 1.0
    proportional: bool = True
    padded: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    note: ClassVar[str] = ""

    @property
    def reach(self) -> int:
        """How many cells around a cell the layers read."""
        return sum(layer.reach for layer in self.layers)

    @property
    def border(self) -> int:
        """Cells around a plane that its result depends on, on each side."""
        return max(self.reach, self.skip.reach if self.skip else 0)

    @property
    def margin(self) -> int:
        """Pixels around a plane that its result depends on, on each side."""
        return self.border * self.cells

    @property
    def stride(self) -> int:
        """How many pixels of the result a cell has, on each side."""
        return self.scale * self.cells

    @property
    def weights(self) -> int:
        """How many weights `cast` copies, and the first picture makes of them: 4/3 as many."""
        given = sum(each.weights.size for each in (*self.layers, self.skip) if each and each.weights is not None)
        return int(given) * 7 // 3

    def _around(self, lines: Array, top: int, rows: int, reach: int) -> Array:
        """Return of lines (rows, columns, planes) with their margin those that some rows from `top` depend on."""
        beyond = self.border - reach
        return lines[top + beyond :][: rows + 2 * reach, beyond : lines.shape[1] - beyond]

    def tile(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of tiles of a picture, without margins."""
        # As many rows of cells as of pixels: what is around them is as much.
        down, across = (ceil(side / self.cells) for side in (height, width))
        return band_rows(down, across) * self.cells, min(across, TILE) * self.cells

    def scratch(self, rows: int, columns: int) -> tuple[int, int]:
        """Return how many values of scratch memory `run` needs for a plane of this size, margins not included.

        The first number is that of the layers, the second that of the phases: networks that follow one another use
        the same memory, of each as much as the one that needs most.
        """
        rows, across = ceil(rows / self.cells), ceil(columns / self.cells) + 2 * self.border
        phases = self.planes * self.stride**2
        later = kept(self.layers)
        held = own = 0
        inside = across
        channels, read = self.planes * self.cells**2, [0, 0]
        for index, layer in enumerate(self.layers):
            held += 2 * layer.reach * channels
            read[index % 2] = max(read[index % 2], (ROWS + 2 * layer.reach) * channels)
            inside -= 2 * layer.reach
            own = max(own, layer.scratch(ROWS, inside))
            channels = layer.channels(channels)
            held += (2 * later[index] + ROWS) * channels if index in later else 0
        # Phases of a few rows by the skip, and all of them sorted.
        return across * (held + sum(read)) + own, across * (ROWS + rows) * phases

    def cast(self, dtype: np.dtype[Any], white: float) -> "Network":
        """Return the network with weights of another type, for planes in which full intensity is `white`."""
        own, outer = (white, 1.0) if self.proportional else (1.0, white)
        layers = tuple(layer.cast(dtype, own) for layer in self.layers)
        skip = self.skip and self.skip.cast(dtype, own)
        return replace(self, layers=layers, skip=skip, white=outer)

    def keeps_flat(self) -> bool:
        """Return whether flat areas of 16 bits stay as they are in single precision, in which these are computed."""
        full = np.float32(65535)
        with np.errstate(all="ignore"):
            side = self.cells + 2 * self.margin
            # Of another brightness in each plane.
            flat = full / np.arange(1, self.planes + 1, dtype=full.dtype)[:, None, None]
            made = self.cast(full.dtype, float(full)).run(np.broadcast_to(flat, (self.planes, side, side)))
            return bool((abs(made - flat) < 0.5).all())

    def stays_finite(self) -> bool:
        """Return whether noise of 0 … 1 becomes finite numbers in single precision."""
        dtype, side = np.dtype(np.float32), 8 + 2 * self.margin
        noise = np.random.default_rng(0).random((self.planes, side, side), dtype.type)
        with np.errstate(all="ignore"):
            return bool(np.isfinite(self.cast(dtype, 1.0).run(noise)).all())

    def run(self, planes: Array) -> Array:
        """Return planes (planes, h + 2·margin, w + 2·margin) enlarged: (planes, h·scale, w·scale), in scratch memory.

        They have the float type of the weights, and h and w are multiples of `cells`.
        """
        lines = _in_cells(planes, self.cells)
        if self.white != 1:
            lines = lines / lines.dtype.type(self.white)
        rows, columns = (side - 2 * self.border for side in lines.shape[:2])
        large = _scratch.get("large", (self.planes, rows, self.stride, columns, self.stride), lines.dtype)
        read = self._around(lines, 0, rows, self.reach)
        sweep, top = Sweep(self.layers), 0
        for start in range(0, len(read), ROWS):
            # What is pushed has no name, or the arrays of the first rows, which are small, would stay in memory.
            top += self._sort(sweep.push(read[start : start + ROWS]), lines[top:], large[:, top:])
        return large.reshape(self.planes, rows * self.stride, columns * self.stride)

    def _sort(self, values: Array, lines: Array, large: Array) -> int:
        """Add the skip to what layers make of the first of some lines, sort the phases, and return how many rows."""
        count, columns = len(values), values.shape[1]
        if not count:
            return 0
        if self.skip:
            skipped = _scratch.get("skip", values.shape, values.dtype)
            self.skip.run(np.ascontiguousarray(self._around(lines, 0, count, self.skip.reach)), (), skipped)
            values += skipped
        if self.white != 1:
            values *= values.dtype.type(self.white)
        phases = values.reshape((count, columns, self.planes, self.stride, self.stride)).transpose((2, 0, 3, 1, 4))
        # One phase at a time, or NumPy's innermost loop would be over the phases, which are few.
        for phase in range(self.stride):
            large[:, :count, ..., phase] = phases[..., phase]
        return count


def scale_of(channels: int, planes: int, layer: str) -> int:
    """Return the scale of a network whose last layer makes so many channels; raises `UpscaleError`."""
    scale = isqrt(channels // planes)
    if channels != planes * scale * scale or scale not in SCALES:
        raise UpscaleError(
            f"layer {layer} of the network makes {channels} channels of {planes}; "
            f"it must make {' or '.join(str(planes * s * s) for s in SCALES)}, for a scale of 1, 2, 3 or 4."
        )
    return scale


def _in_cells(planes: Array, cells: int) -> Array:
    """Return planes (c, h, w) as cells of so many pixels a side: (h / cells, w / cells, c · cells²).

    >>> _in_cells(np.arange(16.0).reshape(1, 4, 4), 2)[0].tolist()
    [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]
    """
    if cells == 1:
        return planes.transpose(1, 2, 0)
    count, rows, columns = len(planes), *(side // cells for side in planes.shape[1:])
    each = planes.reshape((count, rows, cells, columns, cells)).transpose((1, 3, 0, 2, 4))
    return each.reshape((rows, columns, count * cells**2))

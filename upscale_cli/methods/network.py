"""Networks: convolutions with PReLU and a final transposed convolution, on one plane at a time.

A network is a file of arrays (`.npz`) in layout 1. One array, `about`, is JSON in UTF-8, as bytes:

    {"layout": 1, "scale": 2, "skip": "skip", "layers": [
        {"does": "convolution", "weight": "weight0", "slopes": "slopes0"},
        {"does": "convolution", "weight": "weight1", "slopes": "slopes1"},
        {"does": "sum", "with": 0},
        {"does": "transposed-convolution", "weight": "tail"}], "training": {…}}

Layers follow one another, and each names its arrays. With `c` channels in and `d` out:

convolution
    `weight` (d, c, k, k), k odd, and `slopes` (d,): a sum over the neighbourhood, as in PyTorch's `Conv2d`, then
    `max(x, 0) + slope·min(x, 0)` (PReLU; He et al. 2015). The first takes one channel. `biases` (d,), if the layer
    names them, are added to the sum, times the number that full intensity has.
sum
    adds the result of an earlier layer, counted from 0, that has as many channels.
transposed-convolution
    `weight` (c, 1, k, k), stride = scale, centred as `transposed-conv` centres its kernels. The last.

`skip` (k, k) is the kernel of a transposed convolution of the input itself, which is added to the result. The weights
of each filter of the first layer sum to 0, and each phase of `skip` sums to 1; what biases alone make of a flat area
is subtracted at the end. So a flat area keeps its value, whatever that is. Without biases the range of the numbers
does not matter. `training` is information for people. Beyond its border, the plane is mirrored.

A network that restores has `levels`, ascending numbers from 0 to 1. Arrays that depend on them have them as their
first axis; others lack that axis. For a level between, the weights are interpolated before they meet a picture, which
costs nothing for each pixel.

All of it is computed as matrix products (see `winograd`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil, isqrt
from reprlib import repr as shown
from typing import Any, ClassVar

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.layers import LAYERS, Convolution, Described, Layer, Phases, check_total
from upscale_cli.methods.sweep import ROWS, Sweep, kept
from upscale_cli.methods.upsampler import Array, Scratch

LAYOUT = 1
MOST_LAYERS, LARGEST_REACH, MOST_LEVELS = 100, 128, 16
SCALES = (1, 2, 3, 4)
TOLERANCE = 1e-4
"""Tolerance of sums that must be 0 or 1; the difference is removed."""

LOW, HIGH, TILE = 96, 256, 256
"""Approximate rows (at least, at most) and columns of the source that are computed together.

What is around them is computed again: for 96 rows and a reach of 21 it is a fifth, for 256 a twelfth.
"""
BAND_PIXELS = 1 << 19
"""Pixels of a band that has more rows than `LOW`, so that memory does not grow with the width."""
FEWEST_BANDS = 8
"""A picture has as many, for as many threads, before bands have more rows than `LOW`."""

_scratch = Scratch()


def cells(height: int, width: int) -> int:
    """Return the rows of the source for a band; bands of similar height keep threads equally busy.

    >>> cells(140, 99), cells(150, 99), cells(300, 99), cells(1024, 1024), cells(3000, 2000), cells(3000, 9000)
    (140, 75, 100, 128, 250, 97)
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
    white: float = 1.0
    proportional: bool = True
    padded: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    note: ClassVar[str] = ""

    @property
    def reach(self) -> int:
        """How many pixels around a pixel the layers read."""
        return sum(layer.reach for layer in self.layers)

    @property
    def margin(self) -> int:
        """Pixels around a plane that its result depends on, on each side."""
        return max(self.reach, self.skip.reach if self.skip else 0)

    @property
    def weights(self) -> int:
        """How many weights `cast` copies, and the first picture makes of them: 4/3 as many."""
        given = sum(each.weights.size for each in (*self.layers, self.skip) if each and each.weights is not None)
        return int(given) * 7 // 3

    def _around(self, lines: Array, top: int, rows: int, reach: int) -> Array:
        """Return of lines (rows, columns, planes) with their margin those that some rows from `top` depend on."""
        border = self.margin - reach
        return lines[top + border :][: rows + 2 * reach, border : lines.shape[1] - border]

    def tile(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of tiles of a picture, without margins."""
        return cells(height, width), min(width, TILE)

    def scratch(self, rows: int, columns: int) -> tuple[int, int]:
        """Return how many values of scratch memory `run` needs for a plane of this size, margins not included.

        The first number is that of the layers, the second that of the phases: networks that follow one another use
        the same memory, of each as much as the one that needs most.
        """
        across, phases = columns + 2 * self.margin, self.planes * self.scale**2
        later = kept(self.layers)
        held = own = 0
        channels, read = self.planes, [0, 0]
        for index, layer in enumerate(self.layers):
            held += 2 * layer.reach * channels
            read[index % 2] = max(read[index % 2], (ROWS + 2 * layer.reach) * channels)
            own = max(own, layer.scratch(ROWS, across))
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
            side = 1 + 2 * self.margin
            made = self.cast(full.dtype, float(full)).run(np.full((self.planes, side, side), full))
            return bool((abs(made - full) < 0.5).all())

    def stays_finite(self) -> bool:
        """Return whether noise of 0 … 1 becomes finite numbers in single precision."""
        dtype, side = np.dtype(np.float32), 8 + 2 * self.margin
        noise = np.random.default_rng(0).random((self.planes, side, side), dtype.type)
        with np.errstate(all="ignore"):
            return bool(np.isfinite(self.cast(dtype, 1.0).run(noise)).all())

    def run(self, planes: Array) -> Array:
        """Return planes (planes, h + 2·margin, w + 2·margin) enlarged: (planes, h·scale, w·scale), in scratch memory.

        They have the float type of the weights.
        """
        lines = planes.transpose(1, 2, 0)
        if self.white != 1:
            lines = lines / lines.dtype.type(self.white)
        rows, columns = (side - 2 * self.margin for side in lines.shape[:2])
        large = _scratch.get("large", (self.planes, rows, self.scale, columns, self.scale), lines.dtype)
        read = self._around(lines, 0, rows, self.reach)
        sweep, top = Sweep(self.layers), 0
        for start in range(0, len(read), ROWS):
            # What is pushed has no name, or the arrays of the first rows, which are small, would stay in memory.
            top += self._sort(sweep.push(read[start : start + ROWS]), lines[top:], large[:, top:])
        return large.reshape(self.planes, rows * self.scale, columns * self.scale)

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
        phases = values.reshape((count, columns, self.planes, self.scale, self.scale)).transpose((2, 0, 3, 1, 4))
        # One phase at a time, or NumPy's innermost loop would be over the phases, which are few.
        for phase in range(self.scale):
            large[:, :count, ..., phase] = phases[..., phase]
        return count


def read_network(arrays: Mapping[str, Any], level: float = 0.0) -> Network:
    """Return the network of a file's arrays, if they are valid.

    Parameters
    ----------
    arrays : mapping of str to array
        As `numpy.load` returns them, in layout 1 (see the top of this module). They are not modified.
    level : float
        How damaged the pictures are, 0 … 1, for a network that restores.

    Raises
    ------
    UpscaleError
        If they are not; the message says why.
    """
    about = _about(arrays)
    scale = about.get("scale")
    if type(scale) is not int or scale not in SCALES:
        raise UpscaleError(f"the network's scale is {shown(scale)}; it must be 1, 2, 3 or 4.")
    described = about.get("layers")
    if not isinstance(described, list) or not 1 <= len(described) <= MOST_LAYERS:
        raise UpscaleError(f"the network's layers must be a list of 1 to {MOST_LAYERS}.")
    levels = _levels(about)
    shares = np.array([np.interp(level, levels, own) for own in np.eye(len(levels))]) if levels else None
    mixed: set[str] = set()
    common: dict[str, Any] = {"arrays": arrays, "scale": scale, "shares": shares, "mixed": mixed}
    layers: list[Layer] = []
    channels = [1]
    for number, layer in enumerate(described):
        does = layer.get("does") if isinstance(layer, dict) else None
        kind = LAYERS.get(does) if isinstance(does, str) else None
        if kind is None or kind.last != (number == len(described) - 1):
            inner = " or ".join(name for name, each in LAYERS.items() if not each.last)
            outer = " or ".join(name for name, each in LAYERS.items() if each.last)
            raise UpscaleError(
                f"layer {number} of the network does {shown(does)}; layers must do {inner}, and the last one {outer}."
            )
        for key in layer.keys() - {"does", *kind.keys}:
            raise UpscaleError(
                f"layer {number} of the network has {shown(key)}, which no {does} has; it has {', '.join(kind.keys)}."
            )
        made = kind.read(Described(**common, layer=layer, number=number, channels=channels))
        layers.append(made)
        check_total(layers)
        channels.append(made.channels(channels[-1]))
    own = Described(**common, layer=about, number="skip", channels=[1])
    skip = Phases.of(own.weights("skip", (None, None))[None], scale, "skip")
    if levels and not mixed:
        raise UpscaleError(
            f"the network has {len(levels)} levels, but none of its arrays has them as an axis more; omit levels."
        )
    for each, total, name in ((layers[0], 0, "filter of the first layer"), (skip, 1, "phase of the skip")):
        assert each.weights is not None
        missing = total - each.weights.sum(axis=1, keepdims=True)
        if (most := float(np.abs(missing).max())) > TOLERANCE:
            raise UpscaleError(
                f"each {name} of the network must sum to {total}, or flat areas would change; one is {most:.2g} off."
            )
        each.weights[...] += missing / each.weights.shape[1]
    _keep_flat(layers)
    training = about.get("training")
    known = training if isinstance(training, dict) else {}
    network = Network(scale, tuple(layers), skip, training=known, levels=levels)
    if network.margin > LARGEST_REACH:
        raise UpscaleError(
            f"the network reads {network.margin} pixels on each side; at most {LARGEST_REACH} are supported."
        )
    return network


def scale_of(channels: int, planes: int, layer: str) -> int:
    """Return the scale of a network whose last layer makes so many channels; raises `UpscaleError`."""
    scale = isqrt(channels // planes)
    if channels != planes * scale * scale or scale not in SCALES:
        raise UpscaleError(
            f"layer {layer} of the network makes {channels} channels of {planes}; "
            f"it must make {' or '.join(str(planes * s * s) for s in SCALES)}, for a scale of 1, 2, 3 or 4."
        )
    return scale


def _keep_flat(layers: Sequence[Layer]) -> None:
    """Let the last layer subtract what biases make of flat areas, of which the first layer makes 0."""
    last = layers[-1]
    if isinstance(last, Convolution) and any(getattr(layer, "biases", None) is not None for layer in layers):
        values: Array = np.zeros(1)
        results: list[Array] = []
        for layer in layers:
            values = layer.flat(values, [results[index] for index in layer.earlier])
            results.append(values)
        last.biases = -values


def _levels(about: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the levels that a network has weights for."""
    if "levels" not in about:
        return ()
    levels = about["levels"]
    numbers = isinstance(levels, list) and all(type(level) in (int, float) for level in levels)
    ends = numbers and len(levels) <= MOST_LEVELS and (levels[:1], levels[-1:]) == ([0], [1])
    if not ends or not all(low < high for low, high in pairwise(levels)):
        raise UpscaleError(
            f"the network's levels are {shown(levels)}; "
            f"they must be 2 to {MOST_LEVELS} ascending numbers from 0 to 1."
        )
    return tuple(levels)


def _about(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description in a file's array `about`."""
    if "about" not in arrays:
        raise UpscaleError('the network file has no array "about", so it is not in layout 1.')
    text = np.asarray(arrays["about"])
    try:
        about = json.loads(text.astype(np.uint8, casting="safe").tobytes())
    except (TypeError, ValueError, RecursionError):
        raise UpscaleError('the network\'s array "about" is not JSON in UTF-8, as bytes.') from None
    layout = about.get("layout") if isinstance(about, dict) else None
    if type(layout) is not int or layout != LAYOUT:
        raise UpscaleError(f"the network has layout {shown(layout)}, but this version reads only layout {LAYOUT}.")
    return dict(about)

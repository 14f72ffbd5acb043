"""Lines and volumes, (W, C) and (D, H, W, C), by what enlarges images.

A line is an image of height 1. A volume is a tall image, whose rows are those of all its slices, one slice below the
other, as they lie in memory: so strips, threads and files need not know of depth. Each slice of the output is made
of a few slices of the source, as one image, with all that follows: values are rounded once, at the end.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from upscale_cli.methods.method import slices_of
from upscale_cli.methods.resampling import average, resampled
from upscale_cli.methods.taps import Axes
from upscale_cli.methods.upsampler import Array, Block, Finish, SampleReader, Upsampler

MakeSlices = Callable[[range], Iterator[Upsampler]]
"""From some numbers of slices of the output to the upsampler of each, all of one shape."""


class Slices(Upsampler):
    """A volume (D, H, W, C) that is made slice by slice; see `Upsampler` for `averages`."""

    def __init__(self, shape: tuple[int, ...], make: MakeSlices, averages: bool = True) -> None:
        self._depth, self._height, width, channels = shape
        self.shape = (self._depth * self._height, width, channels)
        self._make = make
        (like,) = make(range(1))
        self.dtype, self.cost, self.averages = like.dtype, like.cost, averages and like.averages
        self._slices = slices_of(shape, channels)
        self.band = self._slices * self._height

    def rows(self, start: int, stop: int, out: Array | None = None, finish: Finish | None = None) -> Array:
        """Return rows as any upsampler does; those of a slice are the same whichever others are asked for."""
        if out is None:
            out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        last = -(-stop // self._height)
        for first in range(start // self._height, last, self._slices):
            numbers = range(first, min(first + self._slices, last))
            for number, upsampler in zip(numbers, self._make(numbers), strict=True):
                top = number * self._height
                a, b = max(start, top), min(stop, top + self._height)
                upsampler.rows(a - top, b - top, out[a - start : b - start], finish)
        return out

    def blocks(self, band: int) -> Iterator[Block]:
        top = band * self.band
        yield Block(top, 0, 0, self.rows(top, min(top + self.band, self.shape[0])))


def resampled_array(source: Array, axes: Axes, reader: SampleReader) -> Upsampler:
    """Return the upsampler of an image or a volume, and channels: separable, so that any order of axes is right.

    Depth comes first, because the slices of the source are smaller than those of the output.
    """
    if len(axes) == 2:
        return resampled(source, (axes[0], axes[1]), reader)
    depth, plane = axes[0].make(), (axes[1], axes[2])
    floats = replace(reader, read=lambda samples: samples)

    def make(numbers: range) -> Iterator[Upsampler]:
        # Weights of 0 are left out: 0·NaN is NaN, and an axis that keeps its samples copies them.
        used = [np.flatnonzero(weights) if weights.any() else np.zeros(1, int) for weights in depth.weights[numbers]]
        slices = [(depth.first[n] + taps).clip(0, len(source) - 1) for n, taps in zip(numbers, used, strict=True)]
        low, high = min(each[0] for each in slices), max(each[-1] for each in slices)
        window = reader.read(source[low : high + 1])
        for number, taps, each in zip(numbers, used, slices, strict=True):
            weights, near = depth.weights[number, taps].astype(window.dtype), each - low
            picked = window[near[0] : near[-1] + 1] if near[-1] - near[0] < len(near) else window[near]
            with np.errstate(invalid="ignore", over="ignore"):
                total = picked[0] if len(taps) == 1 and weights[0] == 1 else np.tensordot(weights, picked, 1)
            yield resampled(total, plane, floats)

    # Sums on three axes stay in range if they have as many terms, together, as those on two.
    few = sum(axis.make().weights.shape[1] for axis in axes) <= 120
    return Slices((*(axis.after for axis in axes), reader.channels), make, few and average(depth))

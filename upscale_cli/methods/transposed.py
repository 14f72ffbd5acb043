"""Transposed convolution: every input stamps the kernel, times its value, onto the output, `stride` apart.

In full coordinates, before anything is cropped, input `i` and kernel tap `t` meet at output `o = i·stride + t`
(Dumoulin & Visin 2016, chapter 4). Write the output as cell and phase, `o = q·stride + a` with `0 <= a < stride`, and
the tap as `t = m·stride + a`: then `i = q − m`, so

    out[q·stride + a] = Σₘ kernel[m·stride + a]·in[q − m],  m = 0 … n − 1,  n = ceil(kernel / stride).

For each phase `a` this is an ordinary convolution of the inputs with every `stride`-th tap. The phases have the same
inputs, so they are the output channels of one ordinary convolution. A separable kernel, the outer product of two, is
resampled one axis at a time, as a filter is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.convolution import convolve
from upscale_cli.methods.kernel import Kernel, separated
from upscale_cli.methods.resampling import resampled
from upscale_cli.methods.taps import PLANS, Axis, Taps
from upscale_cli.methods.upsampler import Array, Block, SampleReader, Scratch, Upsampler, band_rows
from upscale_cli.methods.volumes import Slices

BAND = 128
"""Approximate maximum of rows in a band."""
BLOCK = 192
"""Cells in a row of a block: its inputs and outputs stay in a core's cache."""

_scratch = Scratch()
Sides = tuple[int, ...]


def phase_taps(stride: int, size: int) -> NDArray[np.int64]:
    """Return the tap of a centred kernel for each phase of a cell and each neighbour: (stride, n), −1 for none.

    Neighbour `d − n // 2` of a cell's input, `d = 0 … n − 1`, meets phase `a` at tap
    `a + (size − stride) / 2 − (d − n // 2)·stride`; `size − stride` is even.

    >>> phase_taps(2, 4).tolist()
    [[3, 1, -1], [-1, 2, 0]]
    """
    reach = -(-(size - stride) // 2 // stride)
    neighbours = np.arange(-reach, reach + 1)
    taps = np.arange(stride)[:, None] + (size - stride) // 2 - neighbours * stride
    return np.where((taps >= 0) & (taps < size), taps, -1)


@lru_cache(2 * PLANS)
def stamps(
    n_in: int, n_out: int, kernel: tuple[float, ...], *, stride: int, crop: int, edge: str, part: Sides | None = None
) -> Taps:
    """Return one axis of a separable kernel as taps: output `j` is the full coordinate `o = j + crop`.

    Its inputs are `o // stride − n + 1 … o // stride`. The weight of an input outside the source is added to that of
    the nearest one inside if the edge is repeated, and dropped if it is zero. `part` as for `taps`.

    >>> stamps(2, 4, (1.0, 2.0, 2.0, 1.0), stride=2, crop=1, edge="repeat").weights.tolist()
    [[0.0, 3.0], [2.0, 1.0], [1.0, 2.0], [3.0, 0.0]]
    """
    reach = -(-len(kernel) // stride)
    full = np.arange(*part or (0, n_out)) + crop
    first = full // stride - reach + 1
    padded = np.pad(kernel, (0, reach * stride - len(kernel)))
    neighbours = np.arange(reach)
    weights = padded[np.arange(stride)[:, None] + (reach - 1 - neighbours) * stride][full % stride]
    border = np.flatnonzero((first < 0) | (first > n_in - reach))
    inputs = first[border, None] + neighbours
    outside = np.where((inputs < 0) | (inputs >= n_in), weights[border], 0.0)
    weights[border] -= outside
    if edge == "repeat":
        nearest = np.clip(inputs, 0, n_in - 1) - first[border, None]
        # Windows without any input have no weights either.
        np.add.at(weights, (border[:, None], np.clip(nearest, 0, reach - 1)), outside)
    return Taps(first, weights, stride, 1)


@dataclass(frozen=True, kw_only=True)
class Stamping:
    """A transposed convolution, for sources of one size."""

    kernel: Kernel
    """(groups, C_in / groups, C_out / groups, kh, kw), dilated already."""
    stride: Sides
    size: Sides
    """Height and width of the output."""
    crop: Sides
    """Full coordinate of the output's first row and column; may be negative."""
    edge: str
    """What the source continues with beyond its border: `repeat` or `zero`."""


def _summed(values: Array, weights: Array, size: tuple[int, int], *, out: Scratch, name: str) -> Array:
    """Return what `convolve` does, term by term: slower, and exact if a sample is not finite (`0·∞` is NaN)."""
    rows, columns = len(values) - size[0] + 1, values.shape[2] - size[1] + 1
    sums = out.get(name, (rows, len(weights), columns), values.dtype)
    sums.fill(0)
    terms = product(range(size[0]), range(size[1]), range(values.shape[1]))
    for (y, x, channel), column in zip(terms, weights.T, strict=True):
        used = np.flatnonzero(column)
        with np.errstate(invalid="ignore", over="ignore"):
            sums[:, used] += column[used, None] * values[y : y + rows, channel, None, x : x + columns]
    return sums


class Transposed(Upsampler):
    """A transposed convolution on a source (H, W, C_in) of any numeric dtype."""

    def __init__(self, source: Array, stamping: Stamping, reader: SampleReader) -> None:
        kernel, stride, size, crop = stamping.kernel, stamping.stride, stamping.size, stamping.crop
        self._convolve = convolve if reader.finite else _summed
        self._groups, self._inputs, self._outputs = kernel.shape[:3]
        self.source, self.read, self.dtype = source, reader.read, reader.dtype
        self.shape = (size[0], size[1], self._groups * self._outputs)
        self._stride, self._crop, self._edge = stride, crop, stamping.edge
        self._reach = reach = (-(-kernel.shape[-2] // stride[0]), -(-kernel.shape[-1] // stride[1]))
        self._first = tuple(c // s for c, s in zip(crop, stride, strict=True))
        cells = [-(-(c + n) // s) - f for c, n, s, f in zip(crop, size, stride, self._first, strict=True)]
        self._columns = cells[1]
        band = max(1, min(cells[0], band_rows(size[1], self.shape[2], BAND) // stride[0]))
        self.band, self.offset = band * stride[0], crop[0] - self._first[0] * stride[0]
        self._weights = _phase_weights(kernel, stride, reach).astype(self.dtype)

    def blocks(self, band: int) -> Iterator[Block]:
        (sy, sx), reach = self._stride, self._reach
        cells = self.band // sy
        top = self._first[0] + band * cells
        lines = self._read(top - reach[0] + 1, cells + reach[0] - 1)
        for start in range(0, self._columns, BLOCK):
            columns = min(BLOCK, self._columns - start)
            near = lines[:, :, start : start + columns + reach[1] - 1]
            values = _scratch.get("values", (cells, sy, columns, sx, self.shape[2]), self.dtype)
            for group, weights in enumerate(self._weights):
                part = near[:, group * self._inputs : (group + 1) * self._inputs]
                made = self._convolve(part, weights, reach, out=_scratch, name="phases")
                made = made.reshape((cells, sy, sx, -1, columns))
                channels = slice(group * self._outputs, (group + 1) * self._outputs)
                # One phase at a time, or NumPy's innermost loop would be over the phases, which are few.
                for phase in range(sx):
                    values[:, :, :, phase, channels] = made[:, :, phase].transpose(0, 1, 3, 2)
            left = (self._first[1] + start) * sx - self._crop[1]
            yield Block(top * sy - self._crop[0], left, 0, values.reshape(self.band, -1, self.shape[2]))

    def _read(self, top: int, rows: int) -> Array:
        """Return source rows from `top` with all columns that cells reach, padding included: (rows, c, columns)."""
        height, width = self.source.shape[:2]
        lines = np.arange(top, top + rows)
        left = self._first[1] - self._reach[1] + 1
        columns = np.arange(left, left + self._columns + self._reach[1] - 1)
        near, across = np.clip(lines, 0, height - 1), np.clip(columns, 0, width - 1)
        samples = self.read(self.source[near[0] : near[-1] + 1])[near - near[0]]
        slab = _scratch.get("slab", (rows, samples.shape[2], len(columns)), self.dtype)
        for channel in range(samples.shape[2]):
            np.take(samples[:, :, channel], across, axis=1, out=slab[:, channel], mode="clip")
        if self._edge == "zero":
            slab[near != lines] = 0
            slab[:, :, across != columns] = 0
        return slab


def transposed(source: Array, stamping: Stamping, reader: SampleReader) -> Upsampler:
    """Return the fastest upsampler that is exact for a source: two passes if its kernel is separable."""
    factors = separated(stamping.kernel, reader.dtype) if reader.finite else None
    if factors is None:
        return Transposed(source, stamping, reader)
    axes = []
    for axis, factor in enumerate(factors):
        sides, kernel = (source.shape[axis], stamping.size[axis]), tuple(factor.tolist())
        how = {"stride": stamping.stride[axis], "crop": stamping.crop[axis], "edge": stamping.edge}
        axes.append(Axis(*sides, partial(stamps, *sides, kernel, **how)))
    return resampled(source, (axes[0], axes[1]), replace(reader, channels=len(stamping.kernel)))


def transposed_array(source: Array, stamping: Stamping, reader: SampleReader) -> Upsampler:
    """Return the upsampler of a transposed convolution of a source of one to three axes, and channels.

    Slice `o` of the full output is the sum of what slices `i` of the source and `t` of the kernel make of each other,
    `o = i·stride + t`: one transposed convolution of an image, whose channels are those of all these slices.
    """
    if len(stamping.stride) == 1:
        stride, size, crop = (1, *stamping.stride), (1, *stamping.size), (0, *stamping.crop)
        image = Stamping(
            kernel=stamping.kernel[..., None, :], stride=stride, size=size, crop=crop, edge=stamping.edge
        )
        return transposed(source[None], image, reader)
    if len(stamping.stride) == 2:
        return transposed(source, stamping, reader)
    kernel, step, first = stamping.kernel, stamping.stride[0], stamping.crop[0]
    groups, inputs, outputs = kernel.shape[:3]
    used = np.flatnonzero(kernel.any(axis=(0, 1, 2, 4, 5)))
    plane = replace(stamping, stride=stamping.stride[1:], size=stamping.size[1:], crop=stamping.crop[1:])

    def make(numbers: range) -> Iterator[Upsampler]:
        read = cache(lambda i: reader.read(source[i]))
        for number in numbers:
            taps = used[(number + first - used) % step == 0]
            near = (number + first - taps) // step
            if stamping.edge == "zero":
                inside = (near >= 0) & (near < len(source))
                taps, near = taps[inside], near[inside]
            stamps = kernel[:, :, :, taps] if len(taps) else np.zeros_like(kernel[:, :, :, :1])
            slices = np.stack([read(i) for i in near.clip(0, len(source) - 1).tolist() or [0]], axis=2)
            count, sides = slices.shape[2], slices.shape[:2]
            # The channels of a group lie side by side.
            slices = slices.reshape(*sides, count, groups, inputs).swapaxes(2, 3).reshape(*sides, -1)
            stamps = np.moveaxis(stamps, 3, 1).reshape(groups, count * inputs, outputs, *kernel.shape[4:])
            own = replace(reader, read=lambda samples: samples, channels=slices.shape[2])
            yield transposed(slices, replace(plane, kernel=stamps), own)

    return Slices((*stamping.size, groups * outputs), make)


class Biased(Upsampler):
    """Another upsampler's values, and a number of each channel, (C',), that is added to them."""

    def __init__(self, upsampler: Upsampler, bias: NDArray[np.float64]) -> None:
        self._upsampler, self._bias = upsampler, bias.astype(upsampler.dtype)
        self.shape, self.dtype, self.band = upsampler.shape, upsampler.dtype, upsampler.band
        self.offset, self.cost = upsampler.offset, upsampler.cost

    def blocks(self, band: int) -> Iterator[Block]:
        for block in self._upsampler.blocks(band):
            values = block.values + self._bias[block.channel : block.channel + block.values.shape[2]]
            yield block._replace(values=values)


def _phase_weights(kernel: Kernel, stride: Sides, reach: Sides) -> NDArray[np.float64]:
    """Return the kernel as the weights of `convolve` that make the phases of a cell: (groups, phases · C_out, …)."""
    groups, inputs, outputs, kh, kw = kernel.shape
    padded = np.zeros((groups, inputs, outputs, reach[0] * stride[0], reach[1] * stride[1]))
    padded[..., :kh, :kw] = kernel
    # Tap t = m·stride + phase belongs to the input m cells before the output's cell, so m is reversed.
    taps = padded.reshape((groups, inputs, outputs, reach[0], stride[0], reach[1], stride[1]))[..., ::-1, :, ::-1, :]
    return taps.transpose((0, 4, 6, 2, 3, 5, 1)).reshape(groups, stride[0] * stride[1] * outputs, -1)

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
from functools import lru_cache, partial

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
    """A transposed convolution, for sources of one size.

    Attributes
    ----------
    kernel : float64 (groups, C_in / groups, C_out / groups, kh, kw)
        Dilated already.
    stride : (int, int)
    size : (int, int)
        Height and width of the output.
    crop : (int, int)
        Full coordinate of the output's first row and column; may be negative.
    edge : {"repeat", "zero"}
        What the source continues with beyond its border.
    """

    kernel: Kernel
    stride: Sides
    size: Sides
    crop: Sides
    edge: str


class Transposed(Upsampler):
    """A transposed convolution on a source.

    Parameters
    ----------
    source : array (H, W, C_in)
        Any numeric dtype.
    stamping : Stamping
    reader : SampleReader
    """

    def __init__(self, source: Array, stamping: Stamping, reader: SampleReader) -> None:
        kernel, stride, size, crop = stamping.kernel, stamping.stride, stamping.size, stamping.crop
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
                made = convolve(part, weights, reach, out=_scratch, name="phases").reshape(
                    (cells, sy, sx, -1, columns)
                )
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
        begin, end = np.searchsorted(columns, (0, width))
        near = np.clip(lines, 0, height - 1)
        samples = self.read(self.source[near[0] : near[-1] + 1])[near - near[0]]
        slab = _scratch.get("slab", (rows, samples.shape[2], len(columns)), self.dtype)
        for channel in range(samples.shape[2]):
            plane = samples[:, :, channel]
            slab[:, channel, :begin] = plane[:, :1]
            slab[:, channel, begin:end] = plane[:, max(left, 0) :][:, : end - begin]
            slab[:, channel, end:] = plane[:, -1:]
        if self._edge == "zero":
            slab[(lines < 0) | (lines >= height)] = 0
            slab[:, :, :begin] = 0
            slab[:, :, end:] = 0
        return slab


class DirectTransposed(Upsampler):
    """The same as a sum over taps: slower, and exact if a sample is not finite (`0·∞` is NaN in a matrix product).

    Parameters as for `Transposed`.
    """

    def __init__(self, source: Array, stamping: Stamping, reader: SampleReader) -> None:
        kernel, self.dtype = stamping.kernel, reader.dtype
        self._samples, self._kernel = reader.read(source), kernel.astype(self.dtype)
        self._stride, self._crop, self._edge = stamping.stride, stamping.crop, stamping.edge
        self.shape, self.band = (stamping.size[0], stamping.size[1], kernel.shape[0] * kernel.shape[2]), BAND

    def blocks(self, band: int) -> Iterator[Block]:
        top = band * self.band
        values = np.zeros((min(self.band, self.shape[0] - top), *self.shape[1:]), self.dtype)
        (y0, x0), (kh, kw) = self._crop, self._kernel.shape[3:]
        for i in range(kh):
            rows, lines = self._meeting(top + y0, len(values), i, 0)
            for j in range(kw):
                columns, across = self._meeting(x0, self.shape[1], j, 1)
                for g, weights in enumerate(self._kernel[..., i, j]):
                    inputs, outputs = weights.shape
                    part = self._samples[rows[:, None], columns, g * inputs : (g + 1) * inputs, None]
                    with np.errstate(invalid="ignore", over="ignore"):
                        stamped = np.where(weights != 0, part * weights, 0).sum(axis=2)
                        values[lines, across, g * outputs : (g + 1) * outputs] += stamped
        yield Block(top, 0, 0, values)

    def _meeting(self, first: int, count: int, tap: int, axis: int) -> tuple[NDArray[np.int64], slice]:
        """Return the inputs that meet `count` full coordinates from `first` under a tap, and at which of these."""
        stride, n = self._stride[axis], self._samples.shape[axis]
        start = (tap - first) % stride
        inputs = (np.arange(first + start, first + count, stride) - tap) // stride
        if self._edge == "repeat":
            return np.clip(inputs, 0, n - 1), slice(start, None, stride)
        before, inside = int((inputs < 0).sum()), inputs[(inputs >= 0) & (inputs < n)]
        begin = start + before * stride
        return inside, slice(begin, begin + len(inside) * stride, stride)


def transposed(source: Array, stamping: Stamping, reader: SampleReader) -> Upsampler:
    """Return the fastest upsampler that is exact for a source: two passes if its kernel is separable."""
    if not reader.finite:
        return DirectTransposed(source, stamping, reader)
    factors = separated(stamping.kernel, reader.dtype)
    if factors is None:
        return Transposed(source, stamping, reader)
    sides = list(zip(source.shape, stamping.size, strict=False))
    vertical, horizontal = (
        Axis(
            *sides[axis],
            partial(
                stamps,
                *sides[axis],
                tuple(factor.tolist()),
                stride=stamping.stride[axis],
                crop=stamping.crop[axis],
                edge=stamping.edge,
            ),
        )
        for axis, factor in enumerate(factors)
    )
    return resampled(source, (vertical, horizontal), replace(reader, channels=len(stamping.kernel)))


def transposed_array(source: Array, stamping: Stamping, reader: SampleReader) -> Upsampler:
    """Return the upsampler of a transposed convolution of a source of one to three axes, and channels.

    Slice `o` of the full output is the sum of what slices `i` of the source and `t` of the kernel make of each other,
    `o = i·stride + t`: one transposed convolution of an image, whose channels are those of all these slices.
    """
    if len(stamping.stride) == 1:
        stride, size, crop = (1, *stamping.stride), (1, *stamping.size), (0, *stamping.crop)
        kernel = stamping.kernel[..., None, :]
        source, stamping = source[None], replace(stamping, kernel=kernel, stride=stride, size=size, crop=crop)
    if len(stamping.stride) == 2:
        return transposed(source, stamping, reader)
    kernel, step, first = stamping.kernel, stamping.stride[0], stamping.crop[0]
    groups, inputs, outputs = kernel.shape[:3]
    used = np.flatnonzero(kernel.any(axis=(0, 1, 2, 4, 5))).tolist()
    plane = replace(stamping, stride=stamping.stride[1:], size=stamping.size[1:], crop=stamping.crop[1:])

    def meeting(number: int) -> tuple[list[int], list[int]]:
        """Return the slices of the kernel and of the source that meet in a slice of the output."""
        pairs = [(t, (number + first - t) // step) for t in used if (number + first - t) % step == 0]
        if stamping.edge == "zero":
            pairs = [(t, i) for t, i in pairs if 0 <= i < len(source)]
        return [t for t, _ in pairs], [min(max(i, 0), len(source) - 1) for _, i in pairs]

    def make(numbers: range) -> Iterator[Upsampler]:
        read: dict[int, Array] = {}
        for number in numbers:
            taps, near = meeting(number)
            stamps = kernel[:, :, :, taps] if taps else np.zeros_like(kernel[:, :, :, :1])
            for i in near or [0]:
                read[i] = read[i] if i in read else reader.read(source[i])
            slices = np.stack([read[i] for i in near or [0]], axis=2)
            count, sides = slices.shape[2], slices.shape[:2]
            # The channels of a group lie side by side.
            slices = slices.reshape(*sides, count, groups, inputs).swapaxes(2, 3).reshape(*sides, -1)
            stamps = np.moveaxis(stamps, 3, 1).reshape(groups, count * inputs, outputs, *kernel.shape[4:])
            own = replace(reader, read=lambda samples: samples, channels=slices.shape[2])
            yield transposed(slices, replace(plane, kernel=stamps), own)

    return Slices((*stamping.size, groups * outputs), make)


class Biased(Upsampler):
    """Another upsampler's values, and a number of each channel that is added to them.

    Parameters
    ----------
    upsampler : Upsampler
    bias : float array (C',)
    """

    def __init__(self, upsampler: Upsampler, bias: NDArray[np.float64]) -> None:
        self._upsampler, self._bias = upsampler, bias.astype(upsampler.dtype)
        self.shape, self.dtype, self.band = upsampler.shape, upsampler.dtype, upsampler.band
        self.offset, self.cost = upsampler.offset, upsampler.cost

    def blocks(self, band: int) -> Iterator[Block]:
        for block in self._upsampler.blocks(band):
            values = block.values + self._bias[block.channel : block.channel + block.values.shape[2]]
            yield block._replace(values=values)


def _phase_weights(kernel: Kernel, stride: Sides, reach: Sides) -> NDArray[np.float64]:
    """Return the kernel as the convolution that makes the phases of a cell from the inputs that reach it.

    Returns
    -------
    float64 (groups, stride y · stride x · C_out, reach y · reach x · C_in)
    """
    groups, inputs, outputs, kh, kw = kernel.shape
    padded = np.zeros((groups, inputs, outputs, reach[0] * stride[0], reach[1] * stride[1]))
    padded[..., :kh, :kw] = kernel
    # Tap t = m·stride + phase belongs to the input m cells before the output's cell, so m is reversed.
    taps = padded.reshape((groups, inputs, outputs, reach[0], stride[0], reach[1], stride[1]))[..., ::-1, :, ::-1, :]
    weights = taps.transpose((0, 4, 6, 2, 3, 5, 1))
    return weights.reshape(groups, stride[0] * stride[1] * outputs, reach[0] * reach[1] * inputs)

"""Transposed convolution: every input stamps the kernel, times its value, onto the output, `stride` apart.

In full coordinates, before anything is cropped, input `i` and kernel tap `t` meet at output `o = i·stride + t`
(Dumoulin & Visin 2016, chapter 4). So the outputs of cell `q = o // stride` depend on inputs `q − n + 1 … q`, where
`n = ceil(kernel / stride)`: a strip of cells is one stacked matrix product, as in `resampling`.
"""

from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.upsampler import Array, Block, Read, Scratch, Upsampler

CELLS = 16
"""Outputs of a tile in a row, about."""
BAND = 64
"""Rows of a band, about."""
BLOCK = 512
"""Outputs of a block in a row, about."""

_scratch = Scratch()
Pair = tuple[int, int]


def check_kernel(kernel: NDArray[Any], channels: int, groups: int | None) -> NDArray[np.float64]:
    """The kernel as (groups, C_in / groups, C_out / groups, kh, kw), when it is one for images of `channels`.

    Parameters
    ----------
    kernel : array (kh, kw), (C, kh, kw) or (C_in, C_out / groups, kh, kw)
        One for every channel, one a channel, or PyTorch's `ConvTranspose2d.weight`. Finite real numbers.
    channels : int
        Of the source.
    groups : int or None
        For the last form; 1 where absent.

    Raises
    ------
    UpscaleError
        When it is not numeric, not finite, empty, of another rank, or made for other channels.
    """
    if kernel.dtype.kind not in "fiub":
        raise UpscaleError(f"the kernel holds {kernel.dtype} values; it must hold real numbers.")
    if kernel.ndim not in (2, 3, 4) or 0 in kernel.shape:
        raise UpscaleError(
            f"the kernel has shape {kernel.shape}; it must be (kh, kw), (channels, kh, kw) or "
            "(channels in, channels out / groups, kh, kw), each at least 1."
        )
    kernel = kernel.astype(np.float64)
    if not np.isfinite(kernel).all():
        raise UpscaleError("the kernel holds values that are not finite; every weight must be a number.")
    if kernel.ndim < 4:
        if groups is not None:
            raise UpscaleError("groups belongs to kernels of four dimensions; leave it out for this one.")
        if kernel.ndim == 2:
            kernel = np.broadcast_to(kernel, (channels, *kernel.shape))
        if len(kernel) != channels:
            raise UpscaleError(f"the kernel is made for {len(kernel)} channels and the image has {channels}.")
        return kernel[:, None, None]
    groups = groups or 1
    if len(kernel) != channels:
        raise UpscaleError(f"the kernel takes {len(kernel)} channels and the image has {channels}.")
    if channels % groups:
        raise UpscaleError(f"{channels} channels cannot be split into {groups} groups; use a divisor of {channels}.")
    return kernel.reshape(groups, channels // groups, *kernel.shape[1:])


def phase_sums(kernel: NDArray[np.float64], stride: Pair) -> NDArray[np.float64]:
    """What a constant 1 becomes at each place of a cell, by output channel: (stride y, stride x, C_out).

    Sums that differ from place to place show as a checkerboard (Odena, Dumoulin & Olah 2016).

    >>> phase_sums(np.ones((1, 1, 1, 3, 3)), (2, 2))[:, :, 0].tolist()
    [[4.0, 2.0], [2.0, 1.0]]
    """
    groups, _, outputs = kernel.shape[:3]
    sums = np.zeros((*stride, groups * outputs))
    for a in range(stride[0]):
        for b in range(stride[1]):
            sums[a, b] = kernel[..., a :: stride[0], b :: stride[1]].sum(axis=(1, 3, 4)).ravel()
    return sums


def phase_taps(stride: int, size: int) -> NDArray[np.int64]:
    """Which tap of a centred kernel meets each phase of a cell and neighbour: (stride, n), −1 where none does.

    Neighbour `d − n // 2` of a cell's input, `d = 0 … n − 1`, meets phase `a` at tap
    `a + (size − stride) / 2 − (d − n // 2)·stride`; `size − stride` is even.

    >>> phase_taps(2, 4).tolist()
    [[3, 1, -1], [-1, 2, 0]]
    """
    reach = -(-(size - stride) // 2 // stride)
    neighbours = np.arange(-reach, reach + 1)
    taps = np.arange(stride)[:, None] + (size - stride) // 2 - neighbours * stride
    return np.where((taps >= 0) & (taps < size), taps, -1)


def dilate(kernel: NDArray[np.float64], dilation: Pair) -> NDArray[np.float64]:
    """The kernel with `dilation − 1` zeros between its taps, on its last two axes.

    >>> dilate(np.array([[1.0, 2.0]]), (1, 3)).tolist()
    [[1.0, 0.0, 0.0, 2.0]]
    """
    size = [(k - 1) * d + 1 for k, d in zip(kernel.shape[-2:], dilation, strict=True)]
    apart = np.zeros((*kernel.shape[:-2], *size))
    apart[..., :: dilation[0], :: dilation[1]] = kernel
    return apart


class Transposed(Upsampler):
    """A transposed convolution on a source.

    Parameters
    ----------
    source : array (H, W, C_in)
        Any numeric dtype.
    kernel : float64 (groups, C_in / groups, C_out / groups, kh, kw)
        Dilated already.
    stride : (int, int)
    size : (int, int)
        Height and width of the output.
    crop : (int, int)
        Full coordinate of the output's first row and column; may be negative.
    edge : {"repeat", "zero"}
        What lies outside the source.
    read : callable
        Rows of the source to working floats of `dtype`.
    """

    def __init__(
        self,
        source: Array,
        kernel: NDArray[np.float64],
        stride: Pair,
        size: Pair,
        crop: Pair,
        edge: str,
        read: Read,
        dtype: np.dtype[Any],
    ) -> None:
        self._groups, self._inputs, self._outputs = kernel.shape[:3]
        self.source, self.read, self.dtype = source, read, dtype
        self.shape = (*size, self._groups * self._outputs)
        self._stride, self._crop, self._edge = stride, crop, edge
        self._reach = reach = tuple(ceil(k / s) for k, s in zip(kernel.shape[-2:], stride, strict=True))
        self._first = tuple(c // s for c, s in zip(crop, stride, strict=True))
        cells = [-(-(c + n) // s) - f for c, n, s, f in zip(crop, size, stride, self._first, strict=True)]

        band = max(1, min(cells[0], BAND // stride[0]))
        self.band, self.offset = band * stride[0], crop[0] - self._first[0] * stride[0]
        # Wide tiles multiply zeros, which mixtures of many channels cannot afford.
        self._tile = 1 if self._inputs * self._outputs > CELLS else max(1, CELLS // stride[1])
        self._tiles = -(-cells[1] // self._tile)
        self._matrices = _tile_matrices(kernel, stride, (reach[0], reach[1]), self._tile).astype(dtype)

    def blocks(self, band: int) -> Iterator[Block]:
        (sy, sx), reach, tile = self._stride, self._reach, self._tile
        cells = self.band // sy
        top = self._first[0] + band * cells
        slab = self._read(top - reach[0] + 1, cells + reach[0] - 1)
        at_once = max(1, BLOCK // (tile * sx))
        for start in range(0, self._tiles, at_once):
            tiles = min(at_once, self._tiles - start)
            columns = slice(start * tile, (start + tiles) * tile + reach[1] - 1)
            values = _scratch.get("values", (cells, sy, tiles, tile * sx, self.shape[2]), self.dtype)
            for group in range(self._groups):
                part = slab[:, columns, group * self._inputs : (group + 1) * self._inputs]
                product = self._multiply(part, group, cells, tiles).reshape(tiles, cells, sy, tile * sx, -1)
                out = values[..., group * self._outputs : (group + 1) * self._outputs]
                np.copyto(out, product.transpose(1, 2, 0, 3, 4))
            left = (self._first[1] + start * tile) * sx - self._crop[1]
            yield Block(top * sy - self._crop[0], left, 0, values.reshape(self.band, -1, self.shape[2]))

    def _read(self, top: int, rows: int) -> Array:
        """Source rows from `top`, and all the columns that tiles reach, with what lies outside the source."""
        height, width = self.source.shape[:2]
        left = self._first[1] - self._reach[1] + 1
        columns = np.arange(left, left + self._tiles * self._tile + self._reach[1] - 1)
        lines = np.arange(top, top + rows)
        near = np.clip(lines, 0, height - 1)
        slab: Array = self.read(self.source[near[0] : near[-1] + 1])[near - near[0]][
            :, np.clip(columns, 0, width - 1)
        ]
        if self._edge == "zero":
            slab[lines != near] = 0
            slab[:, (columns < 0) | (columns >= width)] = 0
        return slab

    def _multiply(self, samples: Array, group: int, cells: int, tiles: int) -> Array:
        """All outputs of some cells: samples (cells + reach − 1, w, C_in) to (tiles, cells, s · tile · s · C_out).

        The rows that a cell needs are laid side by side, so that a tile's window is one run of memory.
        """
        reach, (_, width, inputs) = self._reach, samples.shape
        stacked = _scratch.get("stacked", (cells, width, reach[0], inputs), self.dtype)
        for i in range(reach[0]):
            stacked[:, :, i] = samples[i : i + cells]
        column = reach[0] * inputs * stacked.itemsize
        windows = as_strided(
            stacked,
            (tiles, cells, (self._tile + reach[1] - 1) * reach[0] * inputs),
            (self._tile * column, stacked.strides[0], stacked.itemsize),
        )
        product = _scratch.get("product", (tiles, cells, self._matrices.shape[2]), self.dtype)
        np.matmul(windows, self._matrices[group], out=product)
        return product


class DirectTransposed(Upsampler):
    """The same as a sum over taps: slower, and exact where a sample is not finite (a tile multiplies it by 0).

    Parameters as for `Transposed`.
    """

    def __init__(
        self,
        source: Array,
        kernel: NDArray[np.float64],
        stride: Pair,
        size: Pair,
        crop: Pair,
        edge: str,
        read: Read,
        dtype: np.dtype[Any],
    ) -> None:
        self._samples, self._kernel, self.dtype = read(source), kernel.astype(dtype), dtype
        self._stride, self._crop, self._edge = stride, crop, edge
        self.shape, self.band = (*size, kernel.shape[0] * kernel.shape[2]), BAND

    def blocks(self, band: int) -> Iterator[Block]:
        top = band * self.band
        values = np.zeros((min(self.band, self.shape[0] - top), *self.shape[1:]), self.dtype)
        (y0, x0), (kh, kw) = self._crop, self._kernel.shape[3:]
        for i in range(kh):
            rows, lines = self._meeting(top + y0, len(values), i, 0)
            for j in range(kw):
                columns, places = self._meeting(x0, self.shape[1], j, 1)
                for g, weights in enumerate(self._kernel[..., i, j]):
                    inputs, outputs = weights.shape
                    part = self._samples[rows[:, None], columns, g * inputs : (g + 1) * inputs, None]
                    with np.errstate(invalid="ignore", over="ignore"):
                        stamped = np.where(weights != 0, part * weights, 0).sum(axis=2)
                        values[lines, places, g * outputs : (g + 1) * outputs] += stamped
        yield Block(top, 0, 0, values)

    def _meeting(self, first: int, count: int, tap: int, axis: int) -> tuple[NDArray[np.int64], slice]:
        """Where inputs meet `count` full coordinates from `first` under a tap: the inputs, and the places."""
        stride, n = self._stride[axis], self._samples.shape[axis]
        start = (tap - first) % stride
        inputs = (np.arange(first + start, first + count, stride) - tap) // stride
        if self._edge == "repeat":
            return np.clip(inputs, 0, n - 1), slice(start, None, stride)
        before, inside = int((inputs < 0).sum()), inputs[(inputs >= 0) & (inputs < n)]
        begin = start + before * stride
        return inside, slice(begin, begin + len(inside) * stride, stride)


def _tile_matrices(kernel: NDArray[np.float64], stride: Pair, reach: Pair, tile: int) -> NDArray[np.float64]:
    """The kernel as a matrix a group, from the inputs of a tile of cells in a row to its outputs.

    Returns
    -------
    float64 (groups, (tile + reach x − 1) · reach y · C_in, stride y · tile · stride x · C_out)
    """
    groups, inputs, outputs, kh, kw = kernel.shape
    whole = np.zeros((groups, inputs, outputs, reach[0] * stride[0], reach[1] * stride[1]))
    whole[..., :kh, :kw] = kernel
    # Tap t = m·stride + phase, and an input stands m cells before the cell that it reaches: turn m around.
    taps = whole.reshape(groups, inputs, outputs, reach[0], stride[0], reach[1], stride[1])[..., ::-1, :, ::-1, :]
    cell = taps.transpose(0, 5, 3, 1, 4, 6, 2)
    matrices = np.zeros((groups, tile + reach[1] - 1, reach[0], inputs, stride[0], tile, stride[1], outputs))
    for t in range(tile):
        matrices[:, t : t + reach[1], :, :, :, t] = cell
    return matrices.reshape(groups, (tile + reach[1] - 1) * reach[0] * inputs, -1)

"""Max pooling and average pooling, in one to three axes."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.parameters import per_axis, shown
from upscale_cli.methods.upsampler import Array

Sides = tuple[int, ...]
Ends = tuple[int, int]


class Windows(NamedTuple):
    """The windows of a pooling, built by keyword. Each field has one value for all axes, or one for each."""

    window: Sides = (2,)
    stride: Sides | None = None
    """By default, the window."""
    padding: tuple[Ends, ...] | str = ((0, 0),)
    """Samples before and after each axis that are in no image. `same-upper` and `same-lower` are as many as it takes
    for `n / stride` outputs, rounded up, and an odd one at the end or at the beginning: `auto_pad` of ONNX."""
    dilation: Sides = (1,)
    ceil: bool = False
    """Include the last, partial windows."""

    def of(self, sides: Sides) -> "Placed":
        """Return where the windows of a source lie.

        Outputs on an axis: `(n + before + after − dilation·(window − 1) − 1) / stride + 1`, rounded down, or up with
        `ceil`, without a last window that would begin beyond the source and its padding before it (PyTorch). Raises
        `UpscaleError` if the padding is no smaller than the window, or no window fits.
        """
        axes = len(sides)
        window, dilation = (per_axis(*each, axes) for each in (("window", self.window), ("dilation", self.dilation)))
        stride = per_axis("stride", self.stride or window, axes)
        reach = [d * (w - 1) + 1 for w, d in zip(window, dilation, strict=True)]
        if isinstance(self.padding, str):
            needed = [(-(-n // s) - 1) * s + r - n for n, s, r in zip(sides, stride, reach, strict=True)]
            padding = tuple(shares(max(0, total), self.padding) for total in needed)
        else:
            padding = per_axis("padding", self.padding, axes)
            if any(max(p) >= w for p, w in zip(padding, window, strict=True)):
                raise UpscaleError(f"padding {shown(padding)} is not smaller than the window; make it smaller.")
        counts: Sides = ()
        for n, w, d, r, s, (before, after) in zip(sides, window, dilation, reach, stride, padding, strict=True):
            room = n + before + after - r
            if room < -(s - 1) * self.ceil:
                raise UpscaleError(f"a window of {w} (dilation {d}) does not fit into {n} samples; make it smaller.")
            # With `ceil`, no window begins beyond the source and its padding before it.
            last = min(-(-room // s), (n + before - 1) // s) if self.ceil else room // s
            counts += (last + 1,)
        return Placed(sides=sides, counts=counts, window=window, stride=stride, padding=padding, dilation=dilation)


USUAL = Windows()
"""Windows of 2 on each axis, side by side."""


class Placed(NamedTuple):
    """The windows of a source of some sides, with a value for each axis; `counts` are the sides of the output."""

    sides: Sides
    counts: Sides
    window: Sides
    stride: Sides
    padding: tuple[Ends, ...]
    dilation: Sides

    def elements(self) -> Iterator[tuple[list[NDArray[np.int64]], Array, Array]]:
        """Yield, for each element of a window, its index on each axis, if it is inside, and if it is padded.

        Indices are clipped to the source, and broadcast to `counts`. What is inside counts as padded, too.
        """
        for taps in product(*map(range, self.window)):
            index, inside, padded = [], np.ones((), bool), np.ones((), bool)
            for axis, (tap, n, (before, after)) in enumerate(zip(taps, self.sides, self.padding, strict=True)):
                line = np.arange(self.counts[axis]) * self.stride[axis] + tap * self.dilation[axis] - before
                line = line.reshape(-1, *[1] * (len(taps) - axis - 1))
                index.append(np.clip(line, 0, n - 1))
                inside = inside & (line >= 0) & (line < n)
                padded = padded & (line < n + after)
            yield index, inside[..., None], padded[..., None]


def shares(total: int, words: str) -> Ends:
    """Return a padding shared between the two ends of an axis: an odd one is the end's with `same-upper`.

    >>> shares(3, "same-upper"), shares(3, "same-lower")
    ((1, 2), (2, 1))
    """
    before = (total + (words == "same-lower")) // 2
    return before, total - before


class Pooled(NamedTuple):
    """The result of max pooling, and what max unpooling needs to put it back."""

    values: Array
    """The largest sample of each window, in the source's dtype: (H', W', C)."""
    indices: NDArray[np.int64]
    """Its flat index `y·W + x` in the source plane of its channel; of a volume, `(z·H + y)·W + x`."""
    size: Sides
    """Height and width of the source; depth, height and width of a volume."""


def max_pool(source: Array, windows: Windows = USUAL) -> Pooled:
    """Return the largest sample of each window, and its index: the arithmetic of PyTorch's `MaxPool1d` to `3d`.

    The source is (W, C), (H, W, C) or (D, H, W, C), of any real dtype. Of equal samples the first in row order wins;
    a NaN wins over everything. Raises `UpscaleError` if a window lies wholly in the padding, and as `Windows.of`.

    >>> pooled = max_pool(np.array([[1, 5, 2, 0], [3, 4, 8, 6]])[:, :, None])
    >>> pooled.values[:, :, 0].tolist(), pooled.indices[:, :, 0].tolist()
    ([[5, 8]], [[1, 6]])
    """
    sides = source.shape[:-1]
    placed = windows.of(sides)
    best = np.zeros((*placed.counts, source.shape[-1]), source.dtype)
    indices = np.full(best.shape, -1, np.int64)
    for index, inside, _ in placed.elements():
        sample = source[tuple(index)]
        wins = inside & ((indices < 0) | (sample > best) | (sample != sample))
        best = np.where(wins, sample, best)
        indices = np.where(wins, np.ravel_multi_index(np.broadcast_arrays(*index), sides)[..., None], indices)
    if (indices < 0).any():
        raise UpscaleError("a window lies wholly outside the image; reduce padding or dilation, or omit ceil.")
    return Pooled(best, indices, sides)


def average_pool(values: Array, windows: Windows = USUAL, count_padding: bool = False) -> Array:
    """Return the average of each window: the arithmetic of `AvgPool1d` to `3d` and of ONNX's `AveragePool`.

    The values are floats; shapes and errors are those of `max_pool`. With `count_padding` the padding counts as
    zeros, as PyTorch has it unless it is told otherwise.

    >>> average_pool(np.array([[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 8.0, 6.0]])[:, :, None])[:, :, 0].tolist()
    [[3.25, 4.0]]
    """
    placed = windows.of(values.shape[:-1])
    total = np.zeros((*placed.counts, values.shape[-1]), values.dtype)
    count = np.zeros((*placed.counts, 1), values.dtype)
    for index, inside, padded in placed.elements():
        np.add(total, values[tuple(index)], out=total, where=inside)
        count += padded if count_padding else inside
    if not count.all():
        raise UpscaleError("a window lies wholly outside the image; reduce padding or dilation, or omit ceil.")
    average: Array = total / count
    return average

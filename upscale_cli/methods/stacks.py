"""Layouts of arrays that hold images: (H, W), (H, W, C), (N, H, W, C), and those with channels first.

Lines have (W), and volumes (D, H, W), in the place of (H, W).
"""

from collections.abc import Sequence

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.parameters import Uniform
from upscale_cli.methods.upsampler import Array

KINDS = {1: ("line", "W"), 2: ("image", "H, W"), 3: ("volume", "D, H, W")}
"""What an array is called, and its sides, by the number of its spatial axes."""
FEW = 6
"""The longest last axis that is never doubted to be the channels: no picture is that narrow."""


def axes_of(ndim: int, sides: Sequence[object] | None) -> int:
    """Return the number of spatial axes of an array: that of the factors or sides that were given for them.

    If one factor was given for all, it is two, as of images; but one dimension is a line, and five are a volume.
    """
    if sides is None or isinstance(sides, Uniform):
        return {1: 1, 5: 3}.get(ndim, 2)
    return len(sides)


def stack_shape(
    shape: tuple[int, ...],
    channels_first: bool | None,
    words: tuple[str, str] = ("--channels-first", "--channels-last"),
    axes: int = 2,
) -> tuple[int, ...]:
    """Return (N, H, W, C) for the shape of an array, or that with as many `axes` in the place of (H, W).

    If the user has not said so, the last axis is the channels, and it is doubtful whether it is if it is longer than
    `FEW` and the last two axes are at least as alike as the two before the last: sides of a picture are alike. So
    (8, 8, 64) and (480, 640, 12) are accepted; (3, 480, 640), (5, 64, 64) and (1, 64, 7, 9) are refused.

    `words` are what the user types for channels first, and last. Raises `UpscaleError` if the shape is not that of
    images, or it is doubtful which axis is the channels.

    >>> stack_shape((3, 8, 9), True), stack_shape((8, 8, 64), None), stack_shape((8, 9), None)
    ((1, 8, 9, 3), (1, 8, 8, 64), (1, 8, 9, 1))
    """
    what, hw = KINDS[axes]
    if not axes <= len(shape) <= axes + 2:
        other = max((n for n in KINDS if n <= len(shape) <= n + 2), default=0)
        hint = f"; for {KINDS[other][0]}s give one factor{f', or {other}' * (other > 1)}" if other else ""
        raise UpscaleError(f"no {what} has the shape {shape}; ({hw}), ({hw}, C) and (N, {hw}, C) are {what}s{hint}.")
    if 0 in shape:
        raise UpscaleError(f"an array of shape {shape} has no pixels.")
    if len(shape) == axes:
        return 1, *shape, 1
    count, own = shape[0] if len(shape) > axes + 1 else 1, shape[-axes - 1 :]
    (a, b), (c, d) = own[:2], own[-2:]
    alike = max(c, d) * min(a, b) <= max(a, b) * min(c, d)
    if channels_first is None and d > FEW and alike:
        batch = "N, " if len(shape) > axes + 1 else ""
        raise UpscaleError(
            f"an array of shape {shape} may be ({batch}C, {hw}) or ({batch}{hw}, C); say which: "
            f"{words[0]} or {words[1]}."
        )
    return (count, *own[1:], own[0]) if channels_first else (count, *own)


def to_stack(array: Array, channels_first: bool | None, axes: int = 2) -> Array:
    """Return an array (H, W), or of three or four dimensions, as (N, H, W, C), or with other `axes`."""
    first = channels_first and array.ndim > axes
    stack = array.reshape(stack_shape(array.shape, False, axes=axes))
    return np.moveaxis(stack, 1, -1) if first else stack


def array_ndim(count: int, channels: int) -> int:
    """Return the number of dimensions of the array that an image becomes: (H, W), (H, W, C) or (N, H, W, C)."""
    return 4 if count > 1 else 2 if channels == 1 else 3


def from_stack(stack: Array, ndim: int, channels_first: bool | None) -> Array:
    """Return a stack (N, H, W, C) in the layout of the array that it comes from."""
    axes = stack.ndim - 2
    if channels_first and ndim != axes:
        stack = np.moveaxis(stack, -1, 1)
    if ndim == axes + 2:
        return stack
    single: Array = stack[0]
    return single[..., 0] if ndim == axes and single.shape[-1] == 1 else single

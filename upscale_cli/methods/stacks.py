"""Layouts of arrays that hold images: (H, W), (H, W, C), (N, H, W, C), and those with channels first."""

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.upsampler import Array

FEW = 6
"""The longest last axis that is never doubted to be the channels: no picture is that narrow."""


def stack_shape(
    shape: tuple[int, ...],
    channels_first: bool | None,
    words: tuple[str, str] = ("--channels-first", "--channels-last"),
) -> tuple[int, int, int, int]:
    """Return (N, H, W, C) for the shape of an array.

    If the user has not said so, the last axis is the channels, and it is doubtful whether it is if it is longer than
    `FEW` and the last two axes are at least as alike as the two before the last: sides of a picture are alike. So
    (8, 8, 64) and (480, 640, 12) are accepted; (3, 480, 640), (5, 64, 64) and (1, 64, 7, 9) are refused.

    `words` are what the user types for channels first, and last.

    Raises
    ------
    UpscaleError
        If the shape is not that of images, or it is doubtful which axis is the channels.

    Examples
    --------
    >>> stack_shape((3, 8, 9), True), stack_shape((8, 8, 64), None), stack_shape((8, 9), None)
    ((1, 8, 9, 3), (1, 8, 8, 64), (1, 8, 9, 1))
    """
    if len(shape) not in (2, 3, 4):
        raise UpscaleError(f"no image has the shape {shape}; (H, W), (H, W, C) and (N, H, W, C) are images.")
    if 0 in shape:
        raise UpscaleError(f"an array of shape {shape} has no pixels.")
    if len(shape) == 2:
        return 1, *shape, 1
    a, b, c = shape[-3:]
    alike = max(b, c) * min(a, b) <= max(a, b) * min(b, c)
    if channels_first is None and c > FEW and alike:
        layouts = ("(C, H, W)", "(H, W, C)") if len(shape) == 3 else ("(N, C, H, W)", "(N, H, W, C)")
        raise UpscaleError(
            f"an array of shape {shape} may be {layouts[0]} or {layouts[1]}; say which: {words[0]} or {words[1]}."
        )
    count = shape[0] if len(shape) == 4 else 1
    return (count, b, c, a) if channels_first else (count, a, b, c)


def to_stack(array: Array, channels_first: bool | None) -> Array:
    """Return an array (H, W), or of three or four dimensions, as (N, H, W, C)."""
    stack_shape(array.shape, False)  # raises for other dimensions
    if array.ndim == 2:
        return array[None, :, :, None]
    stack = array if array.ndim == 4 else array[None]
    return np.moveaxis(stack, 1, 3) if channels_first else stack


def array_ndim(count: int, channels: int) -> int:
    """Return the number of dimensions of the array that an image becomes: (H, W), (H, W, C) or (N, H, W, C)."""
    return 4 if count > 1 else 2 if channels == 1 else 3


def from_stack(stack: Array, ndim: int, channels_first: bool | None) -> Array:
    """Return a stack (N, H, W, C) in the layout of the array that it comes from."""
    if channels_first and ndim != 2:
        stack = np.moveaxis(stack, 3, 1)
    if ndim == 4:
        return stack
    single: Array = stack[0]
    return single[:, :, 0] if ndim == 2 and single.shape[2] == 1 else single

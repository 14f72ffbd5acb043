"""Layouts of arrays that hold images: (H, W), (H, W, C), (N, H, W, C), and those with channels first."""

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.upsampler import Array


def stack_shape(shape: tuple[int, ...], channels_first: bool) -> tuple[int, int, int, int]:
    """Return (N, H, W, C) for the shape of an array.

    >>> stack_shape((3, 8, 9), True), stack_shape((8, 9), False)
    ((1, 8, 9, 3), (1, 8, 9, 1))
    """
    if len(shape) == 2:
        return 1, shape[0], shape[1], 1
    if len(shape) not in (3, 4):
        raise UpscaleError(f"holds an array of shape {shape}; (H, W), (H, W, C) and (N, H, W, C) are images.")
    count, rest = (shape[0], shape[1:]) if len(shape) == 4 else (1, shape)
    return (count, rest[1], rest[2], rest[0]) if channels_first else (count, rest[0], rest[1], rest[2])


def to_stack(array: Array, channels_first: bool) -> Array:
    """Return an array as (N, H, W, C)."""
    if array.ndim == 2:
        return array[None, :, :, None]
    stack_shape(array.shape, channels_first)
    stack = array if array.ndim == 4 else array[None]
    return np.moveaxis(stack, 1, 3) if channels_first else stack


def array_ndim(count: int, channels: int) -> int:
    """Return the number of dimensions of the array that an image becomes: (H, W), (H, W, C) or (N, H, W, C)."""
    return 4 if count > 1 else 2 if channels == 1 else 3


def from_stack(stack: Array, ndim: int, channels_first: bool) -> Array:
    """Return a stack (N, H, W, C) in the layout of the array that it comes from."""
    if channels_first and ndim != 2:
        stack = np.moveaxis(stack, 3, 1)
    if ndim == 4:
        return stack
    single: Array = stack[0]
    return single[:, :, 0] if ndim == 2 and single.shape[2] == 1 else single

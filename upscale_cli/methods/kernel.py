"""Kernels of transposed convolutions as arrays: checked, dilated, summed by phase, separated."""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError

Kernel = NDArray[np.float64]


def check_kernel(kernel: NDArray[Any], channels: int, groups: int | None, axes: int = 2) -> Kernel:
    """Return the kernel as (groups, C_in / groups, C_out / groups, kh, kw), if it fits images of `channels`.

    It is given as (kh, kw), one for all channels; (C, kh, kw), one per channel; or (C_in, C_out / groups, kh, kw),
    PyTorch's `ConvTranspose2d.weight`. Those of lines have (kw), those of volumes (kd, kh, kw) in the place of
    (kh, kw). Raises `UpscaleError` if it is not numeric, not finite in float32, empty, or of another shape.
    """
    if kernel.dtype.kind not in "fiub":
        raise UpscaleError(f"the kernel holds {kernel.dtype} values; it must hold real numbers.")
    sides = ", ".join(("kd", "kh", "kw")[-axes:])
    if not axes <= kernel.ndim <= axes + 2 or 0 in kernel.shape:
        raise UpscaleError(
            f"the kernel has shape {kernel.shape}; it must be ({sides}), (channels, {sides}) or "
            f"(channels in, channels out / groups, {sides}), each at least 1."
        )
    kernel = kernel.astype(np.float64)
    # Weights may become float32, and comparisons with NaN are false.
    if not (np.abs(kernel) <= np.finfo(np.float32).max).all():
        raise UpscaleError("the kernel holds values that are not finite; every weight must be a number up to 3.4e38.")
    if kernel.ndim < axes + 2:
        if groups is not None:
            raise UpscaleError("groups applies only to kernels with channels in and out; omit it for this one.")
        if kernel.ndim == axes:
            kernel = np.broadcast_to(kernel, (channels, *kernel.shape))
        kernel, groups = kernel[:, None], len(kernel)
    groups = groups or 1
    if len(kernel) != channels:
        raise UpscaleError(f"the kernel is for {len(kernel)} channels, but the image has {channels}.")
    if channels % groups:
        raise UpscaleError(f"{channels} channels cannot be split into {groups} groups; use a divisor of {channels}.")
    return kernel.reshape(groups, channels // groups, *kernel.shape[1:])


def phase_sums(kernel: Kernel, stride: tuple[int, ...]) -> NDArray[np.float64]:
    """Return what a constant 1 becomes in each phase of a cell, by output channel: (stride y, stride x, C_out).

    Sums that differ between phases show as a checkerboard (Odena, Dumoulin & Olah 2016).

    >>> phase_sums(np.ones((1, 1, 1, 3, 3)), (2, 2))[:, :, 0].tolist()
    [[4.0, 2.0], [2.0, 1.0]]
    """
    sums = np.zeros((*stride, kernel.shape[0] * kernel.shape[2]))
    for phase in product(*map(range, stride)):
        taps: Any = (..., *(slice(a, None, s) for a, s in zip(phase, stride, strict=True)))
        sums[phase] = kernel[taps].sum(axis=(1, *range(3, kernel.ndim))).ravel()
    return sums


def dilate(kernel: Kernel, dilation: tuple[int, ...]) -> Kernel:
    """Return the kernel with `dilation − 1` zeros between its taps, on its last axes.

    >>> dilate(np.array([[1.0, 2.0]]), (1, 3)).tolist()
    [[1.0, 0.0, 0.0, 2.0]]
    """
    steps = (*[1] * (kernel.ndim - len(dilation)), *dilation)
    apart = np.zeros([(k - 1) * step + 1 for k, step in zip(kernel.shape, steps, strict=True)])
    apart[tuple(slice(None, None, step) for step in steps)] = kernel
    return apart


def separated(kernel: Kernel, dtype: np.dtype[Any]) -> tuple[Kernel, Kernel] | None:
    """Return the vertical and the horizontal factor of a kernel that is their outer product for all channels.

    None if it is not: if a weight differs from the product by more than four roundings of `dtype`.

    >>> separated(np.array([[[[[1.0, 3.0], [2.0, 6.0]]]]]), np.dtype(np.float32))
    (array([ 6., 12.]), array([0.16666667, 0.5       ]))
    """
    plane = kernel[0, 0, 0]
    if kernel.shape[1:3] != (1, 1) or (kernel != plane).any():
        return None
    row, column = np.unravel_index(np.abs(plane).argmax(), plane.shape)
    horizontal = plane[row] / (plane[row, column] or 1)
    # Horizontal sums, which come first, stay in the range of the samples. A power of 2 causes no rounding.
    power = 2.0 ** np.ceil(np.log2(np.abs(horizontal).sum() or 1))
    vertical, horizontal = plane[:, column] * power, horizontal / power
    limits = np.finfo(dtype)
    error = np.abs(np.outer(vertical, horizontal) - plane)
    exact = (error <= 4 * limits.eps * np.abs(plane)).all() and np.abs(vertical).max() <= limits.max
    return (vertical, horizontal) if exact else None

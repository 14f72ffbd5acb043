"""How close an image is to a reference, as the super-resolution literature measures it."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Image = NDArray[Any]


def luma(rgb: Image) -> NDArray[np.float64]:
    """Return the luma of 8-bit RGB in studio range, 16 … 235 (ITU-R BT.601, as MATLAB's `rgb2ycbcr` has it).

    Parameters
    ----------
    rgb : array (H, W, 3)
        Code values, 0 … 255.

    Returns
    -------
    float64 (H, W)

    Examples
    --------
    >>> luma(np.array([[[0, 0, 0], [255, 255, 255]]])).round(6).tolist()
    [[16.0, 235.0]]
    """
    weighed: NDArray[np.float64] = np.asarray(rgb, np.float64) @ np.array([65.481, 128.553, 24.966])
    return 16.0 + weighed / 255.0


def round_8bit(image: Image) -> NDArray[np.float64]:
    """Return values rounded half up and clamped to 0 … 255, as floats."""
    return np.clip(np.floor(np.asarray(image, np.float64) + 0.5), 0, 255)


def luma_8bit(rgb: Image) -> NDArray[np.float64]:
    """Return luma, rounded to integers: the reference of the protocol."""
    return round_8bit(luma(rgb))


def psnr(image: Image, reference: Image, border: int = 0) -> float:
    """Return the peak signal-to-noise ratio, `10·log10(255² / mean((image − reference)²))`.

    It is in decibels, and infinite for equal images.

    Parameters
    ----------
    image, reference : array (H, W) or (H, W, C)
        Code values of 0 … 255.
    border : int
        Pixels on each side that are left out; the protocol leaves out the scale.

    Examples
    --------
    >>> psnr(np.zeros((2, 2)), np.full((2, 2), 255.0))
    0.0
    """
    error = np.asarray(_inside(image, border), np.float64) - _inside(reference, border)
    mean = float(np.mean(error * error))
    return 10 * float(np.log10(255**2 / mean)) if mean else float("inf")


def _inside(image: Image, border: int) -> Image:
    return image[border : image.shape[0] - border, border : image.shape[1] - border]


def ssim(image: Image, reference: Image, border: int = 0) -> float:
    """Return the structural similarity of two planes, at most 1 for equal ones (Wang et al. 2004, equation 13).

    Means, variances and covariance are taken under 11 × 11 Gaussian windows (σ = 1.5) that lie inside the image;
    `C₁ = (0.01·255)²`, `C₂ = (0.03·255)²`.

    Parameters
    ----------
    image, reference : array (H, W)
        Code values of 0 … 255; each side at least 11 without the borders.
    border : int
        Pixels on each side that are left out.

    Examples
    --------
    >>> plane = np.arange(144.0).reshape(12, 12)
    >>> ssim(plane, plane)
    1.0
    """
    x, y = (np.asarray(_inside(plane, border), np.float64) for plane in (image, reference))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _smoothed(x), _smoothed(y)
    variances = _smoothed(x * x) - mean_x**2 + _smoothed(y * y) - mean_y**2
    covariance = _smoothed(x * y) - mean_x * mean_y
    means = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float(np.mean(means * (2 * covariance + c2) / (variances + c2)))


def _smoothed(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    for axis in (0, 1):
        plane = sliding_window_view(plane, 11, axis=axis) @ (window / window.sum())
    return plane

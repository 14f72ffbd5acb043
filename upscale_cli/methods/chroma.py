"""Luma, and how colours rise with it around each pixel, so that enlarged colours follow the edges of enlarged luma.

Where luma and the red difference R − Y rise together, as they do along an edge between two colours, a straight line
describes them: its slope is their covariance divided by the variance of luma. Then detail that a network adds to luma
belongs into R − Y as well, times the slope. The slope is multiplied by a high power of the correlation, so that
colours which do not follow luma stay as they are; `SMOOTH` does the same for noise (guided filters: He et al. 2013).
"""

from typing import Any

import numpy as np

from upscale_cli.methods.upsampler import Array, Read

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma (ITU-R BT.601, 2.5.1)."""
SMOOTH = 0.02
"""Standard deviation of luma, as a share of full intensity, at which a slope is halved."""
DOUBLINGS = 3
"""How often the squared correlation is squared again: photographs lose 0.011 dB if once, 0.003 dB if three times."""
KEPT = 24
"""Approximate values for each pixel of rows whose slopes are computed."""


def luma(colours: Array) -> Array:
    """Return luma of colours (…, 3)."""
    # Not a matrix product, which may add in another order if the memory layout differs.
    red, green, blue = (colours[..., n] * colours.dtype.type(weight) for n, weight in enumerate(LUMA))
    red += green
    red += blue
    made: Array = red
    return made


def hold_differences(colours: Array, source: Array) -> None:
    """Bring differences between colours, in place, into the range that the source has around each pixel.

    Luma stays. Grey stays grey, which what a network has learned of colours would tint.

    Parameters
    ----------
    colours : array (3, rows, columns)
    source : array (3, rows + 2, columns + 2)
        What the colours were made of, with a margin of one pixel.

    >>> colours, grey = np.array([4.0, 1.0, 1.0]).reshape(3, 1, 1), np.full((3, 3, 3), 2.0)
    >>> hold_differences(colours, grey)
    >>> colours.ravel().round(9).tolist() == [1.897] * 3  # its luma
    True
    """
    red, green, blue = colours
    held = []
    for colour, share in ((0, LUMA[0]), (2, LUMA[2])):
        near, made = source[colour] - source[1], colours[colour] - green
        held.append(np.clip(made, _outermost(near, np.minimum), _outermost(near, np.maximum)))
        made -= held[-1]
        made *= made.dtype.type(share)
        held.append(made)
    # What red and blue lose of luma, all three gain.
    of_red, lost, of_blue, more = held
    green += lost + more
    np.add(green, of_red, out=red)
    np.add(green, of_blue, out=blue)


def _outermost(values: Array, which: np.ufunc) -> Array:
    """Return the least or greatest of 3 × 3 values around each but the outermost."""
    down = which(which(values[:-2], values[1:-1]), values[2:])
    return np.asarray(which(which(down[:, :-2], down[:, 1:-1]), down[:, 2:]))


def with_differences(colours: Array) -> Array:
    """Return luma, and red and blue minus luma: (…, 3)."""
    return np.stack((y := luma(colours), colours[..., 0] - y, colours[..., 2] - y), -1)


def add_colours(large: Array, differences: Array, slopes: Array, out: Array) -> None:
    """Write red, green and blue, whose luma is that of a network.

    Parameters
    ----------
    large : array (h, w)
        Luma that a network made.
    differences : array (h, w, 3)
        Luma, and red and blue minus luma, all enlarged by a filter.
    slopes : array (h, w, 2)
        How much red and blue minus luma rise with it.
    out : array (h, w, 3 or more)
    """
    detail = large - differences[..., 0]
    green = np.zeros_like(detail)
    # One channel at a time: loops over three values are slow.
    for n, colour in enumerate((0, 2), 1):
        made = differences[..., n] + slopes[..., n - 1] * detail
        np.add(large, made, out=out[..., colour])
        green -= made * out.dtype.type(LUMA[colour] / LUMA[1])
    np.add(large, green, out=out[..., 1])


class Slopes:
    """Slopes of R − Y and B − Y over luma, in the place of an array (H, W, 2), computed when it is sliced by rows.

    Parameters
    ----------
    source : array (H, W, C)
        Or `Rows`.
    read : callable
        As that of `SampleReader`.
    white : float
        Full intensity.
    """

    def __init__(self, source: Any, read: Read, white: float) -> None:
        self._source, self._read, self._white = source, read, white
        self.shape = (*source.shape[:2], 2)

    def __getitem__(self, rows: slice) -> Array:
        top, bottom = max(rows.start - 1, 0), min(rows.stop + 1, self.shape[0])
        colours = self._read(self._source[top:bottom])[..., :3]
        planes = np.ascontiguousarray(np.moveaxis(with_differences(colours), 2, 0)) / self._white
        beyond = (0, 0), (top - rows.start + 1, rows.stop + 1 - bottom), (1, 1)
        planes = np.pad(planes, beyond, mode="edge")
        y = planes[0]
        with np.errstate(over="ignore", invalid="ignore"):
            means = _smoothed(np.concatenate((planes, planes * planes, y * planes[1:])))
            spread = np.maximum(means[3:6] - means[:3] * means[:3], 0)
            together = means[6:] - means[0] * means[1:3]
            least = y.dtype.type(SMOOTH**2)
            if not abs(planes).max() <= 1:
                # Of floats far above full intensity, squares have digits of noise. So what counts as flat grows
                # with them, and colours follow luma as they would if all were divided by a number.
                least = least * np.maximum(_smoothed(abs(planes)).max(axis=0), 1) ** 2
            certain = together * together / (spread[0] * spread[1:] + least * least)
            for _ in range(DOUBLINGS):
                certain *= certain
            slopes = together / (spread[0] + least) * certain
        # Values far beyond full intensity, whose squares are infinite, have no slope.
        slopes[~np.isfinite(slopes)] = 0
        return np.ascontiguousarray(np.moveaxis(slopes, 0, 2))


def _smoothed(planes: Array) -> Array:
    """Return means of 3 x 3 pixels with weights 1, 2, 1 in both directions."""
    # Twice the sums of two neighbours.
    for before, after in (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[..., :-1], np.s_[..., 1:]):
        for _ in range(2):
            planes = planes[before] + planes[after]
    planes *= planes.dtype.type(1 / 16)
    return planes

"""Where the samples of an axis lie, on the grid of a picture or, as those of chroma, off it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Grid(NamedTuple):
    """One axis of a picture, and where the samples of one of its planes lie on it.

    Attributes
    ----------
    before, after : int
        Pixels of the picture, and of the enlarged picture.
    step : int
        Pixels for each sample of the plane.
    shift : int
        Half pixels from the centre of the first pixel to the first sample: 0 if they coincide, 1 between two pixels.
    """

    before: int
    after: int
    step: int = 1
    shift: int = 0


def positions(numbers: range, grid: Grid) -> tuple[NDArray[np.int64], int]:
    """Return where some samples of an enlarged plane lie among those of the source, and the divisor of these numbers.

    Sample `j` lies at `X = step·j + shift/2` of the enlarged picture, counted from the centre of its first pixel.
    That is `x = (X + ½)·before/after − ½` of the source, and sample `(x − shift/2)/step` of its plane. All of it
    times `2·step·after` is an integer.

    >>> grids = {4: Grid(2, 4), 3: Grid(4, 8, 2)}
    >>> [(values / unit).tolist() for values, unit in (positions(range(n), grid) for n, grid in grids.items())]
    [[-0.25, 0.25, 0.75, 1.25], [-0.125, 0.375, 0.875]]
    """
    edge = grid.shift + 1
    doubled = 2 * grid.step * np.arange(numbers.start, numbers.stop, dtype=np.int64) + edge
    return doubled * grid.before - edge * grid.after, 2 * grid.step * grid.after

"""Pictures to learn from: read, made smaller, reduced by the customary protocol, and where to look in them.

A `Pictured` is one picture in one size. `patches.Patches` takes patches of many of them.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.learning.measure import luma_8bit, round_8bit
from upscale_cli.learning.reduction import reduce

Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]

SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
HELD_OUT = 25
"""One photograph in this many is held out of training and measures its progress."""
FLAT = 0.4
"""The share of places, the flattest ones, that training leaves out."""
PLACES = 40
"""Side of the squares, in pixels of the small picture, whose gradients say whether there is something to see."""
SIZES = Fraction(1), Fraction(4, 3), Fraction(7, 4)
"""Every picture is there in so many sizes: those made smaller are sharper and cleaner."""


class Pictured(NamedTuple):
    """A picture: its luma of 0 … 1 or its colours, the same reduced, and (top, left) of squares of the reduced one.

    `places` are (n, 2). `sources` are its reductions, in colour, where these are to be damaged.
    """

    large: Plane | Picture
    small: Plane | Picture
    places: NDArray[np.int64]
    sources: tuple[Picture, ...] = ()


Make = Callable[[Picture], tuple[Plane | Picture, Plane | Picture, tuple[Picture, ...]]]
"""Makes a picture's luma or colours, the same reduced, and its reductions in colour."""


def divided(folders: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the photographs of folders to learn from, and those that are held out."""
    by_folder = [sorted(path for path in f.iterdir() if path.suffix.lower() in SUFFIXES) for f in folders]
    held_out = [path for paths in by_folder for path in paths[5::HELD_OUT]]
    return [path for paths in by_folder for path in paths if path not in held_out], held_out


def opened(path: Path) -> Picture:
    """Return the colours of a file."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def undamaged(picture: Picture, scale: int) -> tuple[Plane, Plane, tuple[Picture, ...]]:
    """Make pairs by the customary protocol: luma is rounded to numbers of 16 … 235, then reduced."""
    large = luma_8bit(whole(picture, scale))
    return (large / 255).astype(np.float32), (reduce(large, scale) / 255).astype(np.float32), ()


def whole(picture: Picture, scale: int) -> Picture:
    """Return a picture without the last rows and columns, so that its sides are multiples of a scale."""
    height, width = (side // scale * scale for side in picture.shape[:2])
    return picture[:height, :width]


def rounded(values: NDArray[np.float64]) -> Picture:
    """Return values as 8 bits."""
    return round_8bit(values).astype(np.uint8)


def prepare(
    sources: Sequence[Any],
    make: Make,
    least: int,
    sizes: Sequence[Fraction] = SIZES,
    *,
    read: Callable[[Any], Picture] = opened,
) -> list[Pictured]:
    """Return every picture that is read in several sizes, by all processors, without the flattest places of all.

    Reduced pictures with a side of fewer than `least` pixels are left out.
    """
    made = spread(partial(_measured, make=make, read=read), list(product(sizes, sources)))
    energies = [energy for _, energy in made]
    enough = np.quantile(np.concatenate([each.ravel() for each in energies]), FLAT)
    found = []
    for (large, small, colours), energy in made:
        places = np.argwhere(energy >= enough) * (PLACES // 2)
        if len(places) and min(small.shape[:2]) >= least:
            found.append(Pictured(large, small, places, colours))
    return found


def _measured(task: tuple[Fraction, Any], *, make: Make, read: Callable[[Any], Picture]) -> tuple[Any, Plane]:
    size, source = task
    picture = read(source)
    if size > 1:
        picture = rounded(reduce(whole(picture, size.numerator), size))
    made = make(picture)
    small, step = np.atleast_3d(made[1]).mean(axis=2), PLACES // 2
    across, down = (np.abs(np.diff(small, axis=axis)) for axis in (1, 0))
    rows, columns = (max(0, (side - PLACES) // step + 1) for side in small.shape)
    energy = np.zeros((rows, columns), np.float32)
    for row, column in np.ndindex(rows, columns):
        part = np.s_[row * step : row * step + PLACES - 1, column * step : column * step + PLACES - 1]
        energy[row, column] = across[part].mean() + down[part].mean()
    return made, energy


def spread(function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
    """Return what a function makes of each task, in their order, by as many processes as there are processors."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        return list(pool.map(function, tasks, chunksize=4))

"""Planes whose samples lie off the grid of their picture, as those of chroma do, enlarged to the same place."""

from upscale_cli.methods.antiringing import held
from upscale_cli.methods.filters import ANTIRING, FILTERS
from upscale_cli.methods.grid import Grid
from upscale_cli.methods.method import Method, Parameters
from upscale_cli.methods.placement import Nearest
from upscale_cli.methods.resampling import resampled
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.taps import filter_axis
from upscale_cli.methods.upsampler import Array, Upsampler

Grids = tuple[Grid, Grid]
"""The vertical and the horizontal grid of a plane."""


def off_grid(
    method: Method,
    source: Array,
    size: tuple[int, int],
    *,
    grids: Grids,
    samples: Samples,
    parameters: Parameters,
) -> Upsampler:
    """Return the upsampler of a plane to a size, whose samples keep their distance from those of the picture.

    A filter is shifted, and `nearest` copies the nearest sample. What cannot be shifted, a network or a kernel, is
    replaced by bicubic interpolation.
    """
    if method.values == "copied":
        return Nearest(source, size, grids)
    filter = FILTERS["bicubic"].default() if method.filter is None else method.filter.of(parameters)
    sides = zip(source.shape, size, grids, strict=False)
    vertical, horizontal = (filter_axis(before, after, filter, grid) for before, after, grid in sides)
    axes = vertical, horizontal
    upsampler, amount = resampled(source, axes, samples.reader(source)), parameters.get(ANTIRING.name, 0.0)
    return held(upsampler, source, axes, samples=samples, amount=amount, grids=grids)

"""Planes whose samples lie off the grid of their picture, as those of chroma do, enlarged to the same place."""

from upscale_cli.methods.antiringing import held
from upscale_cli.methods.filters import ANTIRING, FILTERS
from upscale_cli.methods.grid import Grid
from upscale_cli.methods.method import Method, Parameters
from upscale_cli.methods.placement import Nearest
from upscale_cli.methods.resampling import resampled
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.taps import filter_axes
from upscale_cli.methods.upsampler import Array, Upsampler


def off_grid(
    method: Method,
    source: Array,
    size: tuple[int, int],
    *,
    grids: tuple[Grid, Grid],
    samples: Samples,
    parameters: Parameters,
) -> Upsampler:
    """Return the upsampler of a plane to a size, whose samples keep their distance from those of the picture.

    A filter is shifted, and `nearest` copies the nearest sample. What cannot be shifted, a network or a kernel, is
    replaced by bicubic interpolation.

    Parameters
    ----------
    grids : (Grid, Grid)
        The vertical and the horizontal grid of the plane.
    """
    if method.values == "copied":
        return Nearest(source, size, grids, parameters["rounding"])
    filter = FILTERS["bicubic"].default() if method.filter is None else method.filter.of(parameters)
    edge = "renormalise" if method.filter is None else parameters["edge"] or method.filter.edge
    axes = filter_axes(source.shape, size, filter, grids=grids, edge=edge)
    upsampler, amount = resampled(source, axes, samples.reader(source)), parameters.get(ANTIRING.name, 0.0)
    return held(upsampler, source, axes, samples=samples, amount=amount, grids=grids)

"""Planes whose samples lie off the grid of their picture, as those of chroma do, enlarged to the same place."""

from upscale_cli.methods.filter_method import filter_method, make_filtered
from upscale_cli.methods.filters import FILTERS
from upscale_cli.methods.grid import ROUNDING, Grid
from upscale_cli.methods.method import Method, Parameters, Size
from upscale_cli.methods.placement import Nearest
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.upsampler import Array, Upsampler


def off_grid(
    method: Method, source: Array, size: Size, *, grids: tuple[Grid, ...], samples: Samples, parameters: Parameters
) -> Upsampler:
    """Return the upsampler of a plane to a size, whose samples keep their distance from those of the picture.

    A filter is shifted, and `nearest` copies the nearest sample. What cannot be shifted, a network or a kernel, is
    replaced by bicubic interpolation.
    """
    if method.values == "copied":
        return Nearest(source, size, grids, parameters.get(ROUNDING.name, ROUNDING.default))
    named = method.filter or FILTERS["bicubic"]
    if method.filter is None:
        parameters = filter_method(named).read_parameters({})
    return make_filtered(named, source, size=size, samples=samples, parameters=parameters, places=grids)

"""The methods that move samples instead of weighing them, and how each is made; `placement` has the arithmetic."""

from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from upscale_cli.methods.grid import EDGE, GRID, ROUNDING, grids, placed_shape
from upscale_cli.methods.method import Method, Parameters, Shape, Size, cell_size
from upscale_cli.methods.parameters import REQUIRED, ArrayValue, Choice, Parameter, Scale

if TYPE_CHECKING:
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler


def make_nearest(
    source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters
) -> "Upsampler":
    """Return the upsampler of `nearest`."""
    from upscale_cli.methods.placement import nearest_array

    return nearest_array(source, size, grids(source.shape, size, scale, parameters), parameters["rounding"])


def warn_of_uneven_copies(shape: Shape, scale: Scale, parameters: Parameters) -> str | None:
    """Return a warning if pixels are repeated unequally: a side of the result is no multiple of the source's."""
    for exact in map(Fraction, placed_shape(shape, scale, parameters)[:-1], shape):
        if exact.denominator != 1:
            times = f"{int(exact)} or {int(exact) + 1} times, which shows in pixel art"
            return f"{float(exact):.4g} is not an integer factor: pixels are repeated {times}"
    return None


def make_nails(
    source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters
) -> "Upsampler":
    """Return the upsampler of `bed-of-nails`."""
    from upscale_cli.methods.placement import BedOfNails

    return BedOfNails(source, cell_size(scale), parameters["position"])


def make_unpooling(
    source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters
) -> "Upsampler":
    """Return the upsampler of `max-unpooling`; indices may be (H, W), (H, W, C) or (C, H, W)."""
    import numpy as np

    from upscale_cli.methods.placement import MaxUnpooling, check_indices

    indices = parameters["indices"]
    if indices.ndim < source.ndim:
        indices = indices[..., None]
    elif indices.shape != source.shape and indices.shape == (source.shape[-1], *source.shape[:-1]):
        indices = np.moveaxis(indices, 0, -1)
    # A flat index counts the rows of all slices, so to it a volume is a tall image, and a line one of height 1.
    indices, flat = check_indices(indices, source.shape, size), (-1, *source.shape[-2:])
    return MaxUnpooling(source.reshape(flat), indices.reshape(flat), (prod(size[:-1]), size[-1]))


NEAREST = Method(
    name="nearest",
    summary="repeats the nearest pixel",
    when="pixel art, masks, label maps: keeps values and palette",
    source="nearest neighbour at pixel centres",
    make=make_nearest,
    group="copied",
    compared=True,
    known_as=("nn", "neighbor", "neighbour", "point", "pixel", "sample", "none"),
    output_shape=placed_shape,
    parameters=(
        GRID,
        ROUNDING,
        EDGE._replace(
            kind=Choice("repeat", "reflect", "renormalise"),
            default="repeat",
            summary="beyond the border: always the pixel there",
            common=False,
        ),
    ),
    values="copied",
    resizable=True,
    volumes=True,
    by_rows=True,
    warn=warn_of_uneven_copies,
)

BED_OF_NAILS = Method(
    name="bed-of-nails",
    summary="sets each pixel into a cell of zeros",
    when="decoders of networks, signal processing (zero insertion)",
    group="placement",
    source="zero insertion; Dosovitskiy et al. 2017",
    make=make_nails,
    known_as=("zero-insertion", "zero", "nails", "sparse"),
    parameters=(
        Parameter(
            name="position",
            kind=Choice("top-left", "center"),
            default="top-left",
            summary="position of the value in its cell",
        ),
    ),
    values="placed",
    integer_scale=True,
    volumes=True,
    keeps_constants=False,
    symmetric=False,
)

MAX_UNPOOLING = Method(
    name="max-unpooling",
    summary="puts maxima back where max pooling found them",
    when="results of upscale-pool; decoders that keep indices",
    group="placement",
    source="Zeiler & Fergus 2014; Noh, Hong & Han 2015",
    make=make_unpooling,
    known_as=("unpooling", "maxunpool2d", "unpool"),
    parameters=(
        Parameter(
            name="indices",
            kind=ArrayValue("an array of indices, one per value"),
            default=REQUIRED,
            summary="the indices from max pooling; upscale-pool writes them next to the pooled image.",
            beside=".indices.npz",
        ),
    ),
    values="placed",
    integer_scale=True,
    volumes=True,
    resizable=True,
    keeps_constants=False,
    symmetric=False,
)

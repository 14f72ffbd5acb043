"""What a request means for a volume with its place in space: factors for its three axes, and what is refused."""

from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING

from upscale_cli.codecs.picture import Picture, Volume
from upscale_cli.errors import UpscaleError
from upscale_cli.methods import Method, Scale
from upscale_cli.methods.method import Shape, as_typed
from upscale_cli.methods.parameters import Uniform, round_side

if TYPE_CHECKING:
    from upscale_cli.work.request import Request

SAME = 1e-4
"""How far voxels may be from the size that was asked for, in parts of it, before it is reported."""


def of_volume(request: "Request", picture: Picture, volume: Volume) -> "Request":
    """Return a request with a factor for each axis of a volume; the picture gets a note if voxels are not as typed.

    Raises
    ------
    UpscaleError
        If it asks for what has no meaning for such a volume.
    """
    method, format = request.method.settled(request.parameters), request.format
    grid = request.parameters.get("grid", "half-pixel")
    zeros = method.values == "placed" or not method.keeps_constants
    reasons = (
        (grid != "half-pixel", f"a volume, which grid={grid} would move; omit -p grid"),
        (request.size is not None, "a volume, of which --size says too little; use --scale or --spacing"),
        (request.linear, "a volume, whose values are not light; omit --linear"),
        (
            format is not None and not format.volumes,
            f"a volume, whose place in space {format and format.title} cannot store; use --format nii or nii.gz",
        ),
        (
            volume.labels and method.values == "weighed",
            f"a map of labels, of which {method.name} makes other labels; use --method nearest",
        ),
        (
            volume.offset and zeros,
            f"a volume whose stored 0 means another value (scl_inter), and {method.name} adds zeros; use another "
            "--method, or store its values without an offset",
        ),
    )
    for fault, reason in reasons:
        if fault:
            raise UpscaleError(f"is {reason}.")
    scale = (
        _from_spacing(request.spacing, picture, volume)
        if request.spacing
        else _by_axes(request.scale, volume, request.reading.axes)
    )
    if min(scale) < 1:
        raise UpscaleError(
            f"is a volume, which is only enlarged: --scale {as_typed(scale)} is less than 1 somewhere."
        )
    return request._replace(scale=scale, spacing=None)


def check_sides(method: Method, before: Shape, scale: Scale, after: Shape) -> None:
    """Raise `UpscaleError` if the sides of a result are not those of the volume times the scale."""
    sides = tuple(map(round_side, before[:-1], scale))
    if after[:-1] != sides:
        raise UpscaleError(
            f"is a volume, which {method.name} would make {as_typed(after[:-1])}, not {as_typed(sides)}: voxels "
            "would not stay in their places; give other parameters, such as padding=same."
        )


def _by_axes(scale: Scale | None, volume: Volume, axes: int | None) -> Scale:
    """Return the factors of all three axes: one factor is for every axis of the volume, or as many as the user says.

    Two are for its slices.
    """
    factors = scale or Uniform((Fraction(2),))
    if isinstance(factors, Uniform):
        factors = factors.spread(axes or volume.axes)
    all_three = (*[Fraction(1)] * (3 - len(factors)), *factors)
    if any(factor != 1 for factor in all_three[: 3 - volume.axes]):
        raise UpscaleError(
            f"has {volume.axes} axes in space, but --scale {as_typed(factors)} is for {len(factors)}; give one."
        )
    return all_three


def _from_spacing(spacing: tuple[Fraction, ...], picture: Picture, volume: Volume) -> Scale:
    """Return the factors that make voxels of a size, as near as whole numbers of them fill the same space."""
    wanted, sides = spacing * (3 // len(spacing)), picture.sides
    if not all(side > 0 and isfinite(side) for side in volume.spacing[3 - volume.axes :]):
        raise UpscaleError("does not say how large its voxels are; use --scale in place of --spacing.")
    # An axis that is not there stays as it is.
    absent = 3 - volume.axes
    before = tuple(map(Fraction, volume.spacing))
    after = (
        *sides[:absent],
        *map(round_side, sides[absent:], map(Fraction.__truediv__, before[absent:], wanted[absent:])),
    )
    if any(new < old for new, old in zip(after, sides, strict=True)):
        smaller = as_typed([min(pair) for pair in zip(before, wanted, strict=True)])
        raise UpscaleError(
            f"has voxels of {as_typed(before)} mm, of which --spacing {as_typed(wanted)} makes larger ones, but "
            f"upscale only enlarges; use --spacing {smaller}."
        )
    factors = tuple(map(Fraction, after, sides))
    made = [size / factor for size, factor in zip(before, factors, strict=True)]
    if any(abs(new / old - 1) > SAME for new, old in list(zip(made, wanted, strict=True))[absent:]):
        sizes = "x".join(f"{float(size):.4g}" for size in reversed(made))
        picture.notes.append(f"its voxels become {sizes} mm, so that a whole number of them fills the same space")
    return factors

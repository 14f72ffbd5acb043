"""How a filter becomes a method: normalised, at any size, on any grid."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.filters import ANTIRING, NamedFilter
from upscale_cli.methods.grid import EDGE, GRID, UNCHANGED, Grid, grids, placed_shape, reaches_out
from upscale_cli.methods.method import Bound, Method, Parameters, Shape, Size, WorkingMemory
from upscale_cli.methods.parameters import Scale

if TYPE_CHECKING:
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler


def make_filtered(
    filter: NamedFilter,
    source: "Array",
    /,
    *,
    size: Size,
    samples: "Samples",
    parameters: Parameters,
    scale: Scale = (),
    places: tuple[Grid, ...] = (),
) -> "Upsampler":
    """Return the upsampler of a filter, see `Make`; `places` are other grids than those of a scale."""
    amount = parameters[ANTIRING.name]
    places = places or grids(source.shape, size, scale, parameters)
    if len(size) == 1:
        source, size, places = source[None], (1, *size), (UNCHANGED, *places)
    if len(size) == 3 and amount:
        raise UpscaleError(f"{filter.name}: antiring is for images and lines; omit it for a volume.")
    weights, reader, edge = filter.of(parameters), samples.reader(source), parameters[EDGE.name] or filter.edge
    if filter.polar:
        from upscale_cli.methods.polar import polar

        if edge == "renormalise" and any(map(reaches_out, places, source.shape, size)):
            raise UpscaleError(
                f"{filter.name}: grid={parameters[GRID.name]} has results so far outside that hardly any pixel is "
                "left to weigh; give -p edge=repeat, too."
            )
        upsampler = polar(source, size, weights, reader=reader, grids=places, edge=edge)
    else:
        from upscale_cli.methods.taps import filter_axes
        from upscale_cli.methods.volumes import resampled_array

        axes = filter_axes(source.shape, size, weights, grids=places, edge=edge)
        upsampler = resampled_array(source, axes, reader)
        if amount and all(axis.some().weights.min() >= 0 for axis in axes):
            return upsampler
    if not amount:
        return upsampler
    from upscale_cli.methods.antiringing import Held

    return Held(upsampler, source, places, samples=samples, amount=amount)


def filter_memory(filter: NamedFilter, shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
    """Return the working memory of a filter for an output of some size."""
    if filter.polar:
        from upscale_cli.methods.polar import polar_memory as estimate
    else:
        from upscale_cli.methods.pieces import separable_memory as estimate

    radius = filter.of(parameters).radius
    held = 16 if parameters[ANTIRING.name] else 0  # the nearest samples of each row and column

    def needed(size: Size) -> WorkingMemory:
        memory = estimate(shape, size, radius)
        return memory._replace(values=memory.values + held * sum(size))

    return needed


def filter_method(filter: NamedFilter) -> Method:
    """Return a filter as a method: normalised, and at any size."""
    antiring = ANTIRING._replace(default=filter.antiring, common=not filter.antiring)
    return Method(
        name=filter.name,
        summary=filter.summary,
        when=filter.when,
        source=filter.source,
        known_as=filter.known_as,
        group="polar" if filter.polar else "filters",
        make=Bound(make_filtered, filter),
        output_shape=placed_shape,
        filter=filter,
        parameters=(*filter.parameters, antiring, GRID, EDGE),
        resizable=True,
        interpolates=not filter.polar,
        volumes=not filter.polar,
        by_rows=True,
        compared=filter.compared,
        working_memory=Bound(filter_memory, filter),  # type: ignore[arg-type]  # it is a tuple that can be called
    )

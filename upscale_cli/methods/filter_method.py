"""How a filter becomes a method: separable, normalised, at any size, on any grid."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.filters import ANTIRING, NamedFilter
from upscale_cli.methods.grid import EDGE, GRID, UNCHANGED, grids, placed_shape
from upscale_cli.methods.method import Method, Parameters, Shape, Size, WorkingMemory
from upscale_cli.methods.parameters import Scale

if TYPE_CHECKING:
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler


class FilterMaker(NamedTuple):
    """`Method.make` for a filter. A class and not a closure, so that the method can be pickled."""

    filter: NamedFilter

    def __call__(
        self, source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters
    ) -> "Upsampler":
        """Return the upsampler from a source to a size."""
        from upscale_cli.methods.antiringing import held
        from upscale_cli.methods.taps import filter_axes
        from upscale_cli.methods.volumes import resampled_array

        places = grids(source.shape, size, scale, parameters)
        if len(size) == 1:
            source, size, places = source[None], (1, *size), (UNCHANGED, *places)
        if len(size) == 3 and parameters[ANTIRING.name]:
            raise UpscaleError(f"{self.filter.name}: antiring is for images and lines; omit it for a volume.")
        edge = parameters[EDGE.name] or self.filter.edge
        axes = filter_axes(source.shape, size, self.filter.of(parameters), grids=places, edge=edge)
        upsampler, amount = resampled_array(source, axes, samples.reader(source)), parameters[ANTIRING.name]
        return held(upsampler, source, axes, samples=samples, amount=amount, grids=places)


class FilterMemory(NamedTuple):
    """`Method.working_memory` for a filter."""

    filter: NamedFilter

    def __call__(self, shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
        """Return the working memory for an output of some size."""
        from upscale_cli.methods.pieces import separable_memory

        radius = self.filter.of(parameters).radius
        # `held` has the nearest samples of each row and column.
        held = 16 if parameters.get(ANTIRING.name) else 0

        def needed(size: Size) -> WorkingMemory:
            memory = separable_memory(shape, size, radius)
            return memory._replace(values=memory.values + held * sum(size))

        return needed


def filter_method(filter: NamedFilter) -> Method:
    """Return a filter as a method: separable, normalised, and at any size."""
    return Method(
        name=filter.name,
        summary=filter.summary,
        when=filter.when,
        source=filter.source,
        known_as=filter.known_as,
        group="filters",
        make=FilterMaker(filter),
        output_shape=placed_shape,
        filter=filter,
        parameters=(*filter.parameters, ANTIRING, GRID, EDGE),
        resizable=True,
        volumes=True,
        compared=filter.compared,
        working_memory=FilterMemory(filter),  # type: ignore[arg-type]  # it is a tuple that can be called
    )

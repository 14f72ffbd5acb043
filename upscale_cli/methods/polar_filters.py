"""Polar filters by their names: weights by distance in the plane, a method each; `polar` computes with them."""

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.filter_method import filter_method
from upscale_cli.methods.filters import ANTIRING, BLUR, NamedFilter
from upscale_cli.methods.grid import EDGE, GRID, Grid, grids
from upscale_cli.methods.method import Method, Parameters, Shape, Size, WorkingMemory
from upscale_cli.methods.parameters import Choice, Integer, Parameter, Scale
from upscale_cli.methods.weights import WINDOWS, Filter, cubic, windowed

if TYPE_CHECKING:
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler
    from upscale_cli.methods.weights import Floats

JINC_ZEROS = 1.2196698912665045, 2.2331305943815286, 3.2383154841662362, 4.2410628637960699
"""The first zeros of `jinc`: those of J₁ (DLMF, table 10.21) over π."""


def jinc(r: "Floats") -> "Floats":
    """Return `2·J₁(πr)/(πr)`, which is to a disc what the sinc is to a line, at distances of 0 to 4.3.

    It is the power series of J₁ (DLMF 10.2.2), `Σ (−z)ᵏ / (k!·(k + 1)!)` with `z = (πr/2)²`, exact to 1e-11.

    >>> import numpy as np
    >>> values = jinc(np.array([0.0, 2 / np.pi, *JINC_ZEROS]))  # J₁(2) = 0.5767248078 (DLMF, table 10.75)
    >>> bool((np.abs(values - [1, 0.5767248078, 0, 0, 0, 0]) < 1e-10).all())
    True
    """
    import numpy as np

    z, total = (np.pi / 2 * r) ** 2, np.ones_like(r)
    for k in range(45, 0, -1):
        total = 1 - total * z / (k * (k + 1))
    return total


def disc(a: int, window: str, blur: float = 1.0) -> Filter:
    """Jinc up to its zero number `a`, under a window; `jinc` is the middle lobe of a wider one.

    libplacebo 7.360 has these values, as `ewa_lanczos`:

    >>> import numpy as np
    >>> disc(3, "jinc").weight(np.array([0.0, 0.5, 1.5, 2.5])).round(6).tolist()
    [1.0, 0.690584, -0.078257, 0.012895]
    """
    import numpy as np

    radius = JINC_ZEROS[a - 1]

    def weight(r: "Floats") -> "Floats":
        r = np.minimum(r, radius)
        taper = jinc(r * (JINC_ZEROS[0] / radius)) if window == "jinc" else windowed(r / radius, window)
        return np.where(r < radius, jinc(r) * taper, 0.0)

    return Filter(weight, radius).blurred(blur)


class PolarMaker(NamedTuple):
    """`Method.make` for a polar filter. A class and not a closure, so that it can be pickled."""

    filter: NamedFilter

    def __call__(
        self,
        source: "Array",
        /,
        *,
        size: Size,
        samples: "Samples",
        parameters: Parameters,
        scale: Scale = (Fraction(1), Fraction(1)),
        places: tuple[Grid, ...] | None = None,
    ) -> "Upsampler":
        """Return the upsampler from a source to a size; a plane off the grid has `places` instead of a scale."""
        from upscale_cli.methods.antiringing import Held, nearest
        from upscale_cli.methods.polar import polar

        reader, places = samples.reader(source), places or grids(source.shape, size, scale, parameters)
        filter, edge = self.filter.of(parameters), parameters[EDGE.name] or self.filter.edge
        both, (height, width) = (places[0], places[1]), size
        if edge == "renormalise" and any(map(_reaches_out, places, source.shape, size)):
            raise UpscaleError(
                f"{self.filter.name}: grid={parameters[GRID.name]} has results so far outside that hardly any pixel "
                "is left to weigh; give -p edge=repeat, too."
            )
        upsampler = polar(source, (height, width), filter, reader=reader, grids=both, edge=edge)
        if not (amount := parameters[ANTIRING.name]):
            return upsampler
        sides = zip(source.shape, size, places, strict=False)
        return Held(upsampler, source, (nearest(*next(sides)), nearest(*next(sides))), samples=samples, amount=amount)


def _reaches_out(grid: Grid, n_in: int, n_out: int) -> bool:
    """Return whether outputs lie more than half a pixel beyond the last input."""
    return grid.ratio <= 1 and grid.ratio * (n_out - 1) + grid.offset > n_in - Fraction(1, 2)


def polar_memory(shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
    """Return the working memory, as for the widest filter that parameters allow; see `Method.working_memory`."""
    from upscale_cli.methods.polar import memory

    radius = JINC_ZEROS[parameters.get("a", len(JINC_ZEROS)) - 1] * parameters.get(BLUR.name, 1.0)
    height, width, channels = shape
    return lambda size: memory((height, width, channels), (size[0], size[1]), radius)


def polar_method(filter: NamedFilter, antiring: float = 0.0) -> Method:
    """Return a polar filter as a method: never the identity. Its default of `antiring` is given."""
    return filter_method(filter)._replace(
        group="polar",
        make=PolarMaker(filter),
        filter=None,
        parameters=(*filter.parameters, ANTIRING._replace(default=antiring, common=not antiring), GRID, EDGE),
        interpolates=False,
        volumes=False,
        working_memory=polar_memory,
    )


_LOBES = Parameter(name="a", kind=Integer(2, 4), default=3, summary="lobes: more are sharper and ring further")

POLAR = (
    polar_method(
        NamedFilter(
            name="ewa-lanczos",
            summary="windowed jinc over a disc of 33 pixels",
            when="photographs: slanted lines are smoother than by lanczos",
            source="Robidoux & Thyssen 2011, in ImageMagick",
            make=disc,
            preset={"window": "jinc"},
            parameters=(_LOBES, BLUR),
            known_as=("ewa", "jinc-lanczos", "lanczosradius"),
        )
    ),
    polar_method(
        NamedFilter(
            name="ewa-lanczossharp",
            summary="windowed jinc over a disc of 32 pixels: ewa-lanczos with a blur of 0.98",
            when="as ewa-lanczos, a little sharper",
            source="Robidoux 2011, in ImageMagick; mpv",
            make=disc,
            preset={"a": 3, "window": "jinc", "blur": 0.98125058372237073562493},
            known_as=("lanczossharp",),
        )
    ),
    polar_method(
        NamedFilter(
            name="ewa-lanczos4sharpest",
            summary="windowed jinc over a disc of 44 pixels, with anti-ringing",
            when="photographs, films: as sharp as lanczos, fainter halos",
            source="mpv and libplacebo 2023",
            make=disc,
            preset={"a": 4, "window": "jinc", "blur": 0.88451209326050047745788},
        ),
        antiring=0.8,
    ),
    polar_method(
        NamedFilter(
            name="jinc",
            summary="jinc over a disc of 33 pixels, cut off or under a window of your choice",
            when="filters of your own: a window, lobes and blur",
            source="the low-pass filter of a disc; libplacebo",
            make=disc,
            parameters=(
                Parameter(name="window", kind=Choice("jinc", *WINDOWS), default="box", summary="what ends the jinc"),
                _LOBES,
                BLUR,
            ),
            known_as=("ewa-jinc", "ewa-hann", "ewa-ginseng", "bessel"),
        )
    ),
    polar_method(
        NamedFilter(
            name="robidoux",
            summary="cubic over a disc of 13 pixels",
            when="photographs: between mitchell and bicubic",
            source="Robidoux 2011, in ImageMagick (b = 0.3782, c = 0.3109)",
            make=cubic,
            preset={"b": 12 / (19 + 9 * 2**0.5), "c": 113 / (58 + 216 * 2**0.5)},
            parameters=(BLUR,),
            known_as=("ewa-robidoux",),
        )
    ),
    polar_method(
        NamedFilter(
            name="robidouxsharp",
            summary="cubic over a disc of 13 pixels, sharper than robidoux",
            when="photographs: close to bicubic",
            source="Robidoux 2011, in ImageMagick (b = 0.2620, c = 0.3690)",
            make=cubic,
            preset={"b": 6 / (13 + 7 * 2**0.5), "c": 7 / (2 + 12 * 2**0.5)},
            parameters=(BLUR,),
            known_as=("ewa-robidouxsharp",),
        )
    ),
)
"""The methods of polar filters, in the order of the documentation."""

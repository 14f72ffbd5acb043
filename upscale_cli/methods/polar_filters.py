"""Polar filters: weights by distance in the plane, one row of `POLAR_FILTERS` each; `polar` computes with them."""

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from upscale_cli.methods.filters import Filter, NamedFilter, cubic, filter_method
from upscale_cli.methods.method import Method, Parameters, Shape, Size, WorkingMemory
from upscale_cli.methods.parameters import Integer, Parameter, Scale

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler

JINC_ZEROS = 1.2196698912665045, 2.2331305943815286, 3.2383154841662362, 4.2410628637960699
"""The first zeros of `jinc`: those of J₁ (DLMF 10.21) over π."""
SHARP = 0.9812505837223707
"""N. Robidoux's blur for three lobes, with which columns and rows of constant pixels stay nearly as they are."""


def jinc(r: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return `2·J₁(πr)/(πr)`, which is to a disc what the sinc is to a line, for distances up to 4.3.

    The power series of J₁ (DLMF 10.2.2), `Σ (−z)ᵏ / (k!·(k + 1)!)` with `z = (πr/2)²`: 45 terms are exact to 1e-11.

    >>> import numpy as np
    >>> values = jinc(np.array([0.0, 2 / np.pi, *JINC_ZEROS]))  # J₁(2) is 0.5767248 (DLMF, table 10.75)
    >>> (np.abs(values - [1, 0.5767248077568734, 0, 0, 0, 0]) < 1e-10).all()
    np.True_
    """
    import numpy as np

    z, total = (np.pi / 2 * r) ** 2, np.ones_like(r)
    for k in range(45, 0, -1):
        total *= z
        total *= -1 / (k * (k + 1))
        total += 1
    return total


def disc(a: int, window: bool = True, blur: float = 1.0) -> Filter:
    """Jinc up to one of its zeros, windowed by the middle lobe of a wider jinc; a blur below 1 narrows both."""
    import numpy as np

    radius = JINC_ZEROS[a - 1] * blur

    def weight(r: "NDArray[np.float64]") -> "NDArray[np.float64]":
        r = np.minimum(r, radius)
        taper = jinc(r * (JINC_ZEROS[0] / radius)) if window else 1.0
        return np.where(r < radius, jinc(r / blur) * taper, 0.0)

    return Filter(weight, radius)


class PolarMaker(NamedTuple):
    """`Method.make` and `Method.working_memory` for a polar filter."""

    filter: NamedFilter

    def __call__(
        self, source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters
    ) -> "Upsampler":
        """Return the upsampler from a source to a size."""
        from upscale_cli.methods.polar import polar

        return polar(source, size, self.filter.of(parameters), reader=samples.reader(source))

    def memory(self, shape: Shape, parameters: Parameters) -> "Callable[[Size], WorkingMemory]":
        """Return the working memory of a source; see `Method.working_memory`."""
        from upscale_cli.methods.polar import memory

        return lambda size: memory(shape, size, self.filter.of(parameters).radius)


def polar_method(filter: NamedFilter) -> Method:
    """Return a polar filter as a method: normalised, at any size, and never the identity."""
    maker = PolarMaker(filter)
    return filter_method(filter)._replace(make=maker, interpolates=False, working_memory=maker.memory)


_LOBES = Parameter(name="a", kind=Integer(2, 4), default=3, summary="lobes: more are sharper and ring further")

POLAR_FILTERS = (
    NamedFilter(
        name="ewa-lanczos",
        summary="windowed jinc over a disc of 33 pixels",
        when="photographs with slanted lines: no steps along them, and a little softer than lanczos",
        source="jinc, windowed by a jinc; Robidoux & Thyssen 2011, in ImageMagick",
        make=disc,
        parameters=(_LOBES,),
        known_as=("jinc-lanczos", "lanczosradius", "ewa"),
    ),
    NamedFilter(
        name="ewa-lanczossharp",
        summary="ewa-lanczos, narrowed a little",
        when="as ewa-lanczos, and sharper: the default of mpv's high-quality profile until 2023",
        source="ewa-lanczos with a blur of 0.98125; Robidoux 2011, in ImageMagick",
        make=partial(disc, a=3, blur=SHARP),
        known_as=("lanczossharp",),
    ),
    NamedFilter(
        name="jinc",
        summary="jinc without a window over a disc of 33 pixels",
        when="to compare: it rings far",
        source="the ideal low-pass filter of a disc, cut off",
        make=partial(disc, window=False),
        parameters=(_LOBES,),
        known_as=("ewa-jinc", "bessel"),
    ),
    NamedFilter(
        name="robidoux",
        summary="a cubic over a disc of 13 pixels",
        when="photographs, nearly without ringing",
        source="Mitchell & Netravali's cubic, b = 0.3782; Robidoux 2011, in ImageMagick",
        make=partial(cubic, b=12 / (19 + 9 * 2**0.5), c=113 / (58 + 216 * 2**0.5)),
        known_as=("ewa-robidoux",),
    ),
    NamedFilter(
        name="robidouxsharp",
        summary="robidoux, sharper",
        when="photographs, with a little ringing",
        source="Mitchell & Netravali's cubic, b = 0.2620; Robidoux 2011, in ImageMagick",
        make=partial(cubic, b=6 / (13 + 7 * 2**0.5), c=7 / (2 + 12 * 2**0.5)),
        known_as=("ewa-robidouxsharp",),
    ),
)
"""Every polar filter, in the order of the documentation."""

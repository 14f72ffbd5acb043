"""Filters: the weight of a sample as a function of its distance, one row of `FILTERS` each.

A filter's function knows nothing of images, scales or borders; `resampling` turns it into taps. NumPy is imported
where weights are computed, because `--help` reads the table and must not wait for it.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from upscale_cli.methods.method import Method, Parameters, Size, banded_memory
from upscale_cli.methods.parameters import Integer, Number, Parameter, Scale, read_parameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler

    Weight = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Filter(NamedTuple):
    """A continuous 1-D weight function.

    Attributes
    ----------
    weight : callable
        float64 distances in input samples, any shape, to float64 weights of that shape. Not normalised.
    radius : float
        Half width in input samples: the weight is 0 at this distance and beyond.
    """

    weight: "Weight"
    radius: float


class NamedFilter(NamedTuple):
    """A filter that users can choose, as a method of the same name: a record that is built by keyword.

    Attributes
    ----------
    name, summary, when, source : str
        As for `Method`.
    make : callable
        Its parameters, by name, to the `Filter`.
    parameters : tuple of Parameter
        The only place that states their defaults.
    known_as : tuple of str
        As for `Method`.
    """

    name: str
    summary: str
    when: str
    source: str
    make: Callable[..., Filter]
    parameters: tuple[Parameter, ...] = ()
    known_as: tuple[str, ...] = ()

    def of(self, parameters: Parameters) -> Filter:
        """Return the filter of some parameters: the same one each time, so that what is planned with it is kept."""
        try:
            return _made(self.make, tuple(parameters.items()))
        except TypeError:  # an array cannot be the key of a cache
            return self.make(**parameters)

    def default(self) -> Filter:
        """Return the filter with the default of each parameter."""
        return self.of(read_parameters(self.name, self.parameters, {}))


@lru_cache
def _made(make: Callable[..., Filter], parameters: tuple[tuple[str, Any], ...]) -> Filter:
    return make(**dict(parameters))


class FilterMaker(NamedTuple):
    """`Method.make` for a filter. A class and not a closure, so that the method can be pickled."""

    filter: NamedFilter

    def __call__(
        self, source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters
    ) -> "Upsampler":
        """Return the upsampler from a source to a size."""
        from upscale_cli.methods.taps import filter_axes
        from upscale_cli.methods.volumes import resampled_array

        axes = filter_axes(source.shape, size, self.filter.of(parameters))
        return resampled_array(source, axes, samples.reader(source))


def filter_method(filter: NamedFilter) -> Method:
    """Return a filter as a method: separable, normalised, and at any size."""
    return Method(
        name=filter.name,
        summary=filter.summary,
        when=filter.when,
        source=filter.source,
        known_as=filter.known_as,
        make=FilterMaker(filter),
        filter=filter,
        parameters=filter.parameters,
        resizable=True,
        volumes=True,
        working_memory=banded_memory,
    )


def triangle() -> Filter:
    """Linear interpolation, `1 − |x|` for `|x| < 1`.

    >>> import numpy as np
    >>> triangle().weight(np.array([0.0, 0.25, 1.0])).tolist()
    [1.0, 0.75, 0.0]
    """
    import numpy as np

    return Filter(lambda x: np.maximum(0.0, 1.0 - np.abs(x)), 1.0)


def cubic(b: float, c: float) -> Filter:
    """The cubic of Mitchell & Netravali (1988, equation 8), with its two parameters.

    `b = 0, c = ½` is the cubic of Keys (1981) with a = −½, also known as Catmull-Rom, which interpolates;
    `b = c = ⅓` is the compromise that its authors recommend, which blurs a little.

    >>> import numpy as np
    >>> cubic(0, 0.5).weight(np.array([0.0, 0.5, 1.0, 1.5, 2.0])).tolist()
    [1.0, 0.5625, 0.0, -0.0625, 0.0]
    >>> mitchell = cubic(1 / 3, 1 / 3).weight(np.array([0.0, 1.0]))
    >>> bool(np.allclose(mitchell, [8 / 9, 1 / 18]))
    True
    """
    import numpy as np

    def weight(x: "NDArray[np.float64]") -> "NDArray[np.float64]":
        x = np.abs(x)
        near = ((12 - 9 * b - 6 * c) * x + (-18 + 12 * b + 6 * c)) * x * x + (6 - 2 * b)
        far = (((-b - 6 * c) * x + (6 * b + 30 * c)) * x + (-12 * b - 48 * c)) * x + (8 * b + 24 * c)
        return np.where(x < 1, near, np.where(x < 2, far, 0.0)) / 6

    return Filter(weight, 2.0)


def lanczos(a: int) -> Filter:
    """Sinc windowed by the middle lobe of a wider sinc: `sinc(x)·sinc(x/a)` for `|x| < a` (Duchon 1979).

    The zeros at integer distances are exact, so that a sample on the grid comes back untouched.

    >>> import numpy as np
    >>> lanczos(3).weight(np.array([0.0, 1.0, 3.0])).tolist()
    [1.0, 0.0, 0.0]
    """
    import numpy as np

    def weight(x: "NDArray[np.float64]") -> "NDArray[np.float64]":
        zero = (np.abs(x) >= a) | ((x == np.rint(x)) & (x != 0))
        return np.where(zero, 0.0, np.sinc(x) * np.sinc(x / a))

    return Filter(weight, float(a))


def _by_name(*filters: NamedFilter) -> dict[str, NamedFilter]:
    return {each.name: each for each in filters}


FILTERS = _by_name(
    NamedFilter(
        name="bilinear",
        summary="blends the 2 x 2 nearest pixels",
        when="soft and cheap: previews, height maps",
        known_as=("linear", "triangle", "tent"),
        source="triangle filter",
        make=triangle,
    ),
    NamedFilter(
        name="bicubic",
        summary="fits cubics through 4 x 4 pixels",
        when="photographs, with less ringing than lanczos",
        known_as=("cubic", "catrom", "catmull-rom", "mitchell", "keys", "spline", "hermite"),
        source="Keys 1981 (a = -1/2); Mitchell & Netravali 1988",
        make=cubic,
        parameters=(
            Parameter(
                name="b",
                kind=Number(0, 1),
                default=0.0,
                summary="blur of the cubic: 0 interpolates, 1/3 is Mitchell's",
            ),
            Parameter(
                name="c",
                kind=Number(0, 1),
                default=0.5,
                summary="sharpness of the cubic: 1/2 is Catmull-Rom, 1/3 is Mitchell's",
            ),
        ),
    ),
    NamedFilter(
        name="lanczos",
        summary="windowed sinc over 6 x 6 pixels",
        when="photographs, scans, most pictures: the sharpest of the classical filters",
        known_as=("sinc", "lanczos3", "antialias", "best"),
        source="Duchon 1979",
        make=lanczos,
        parameters=(
            Parameter(name="a", kind=Integer(2, 8), default=3, summary="lobes: more are sharper and ring further"),
        ),
    ),
)
"""Every filter by its name, in the order of the documentation."""

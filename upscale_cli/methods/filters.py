"""Filters by their names: each points at a weight function of `weights`, and says what is fixed of its parameters."""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import upscale_cli.methods.weights as weights  # noqa: PLR0402 - not through the package, which imports this module
from upscale_cli.methods.method import Parameters
from upscale_cli.methods.parameters import Choice, Integer, Number, Parameter, read_parameters
from upscale_cli.methods.weights import Filter

_HOLD = "hold results within the range of the nearest pixels, by this much"
ANTIRING = Parameter("antiring", Number(0, 1), 0.0, _HOLD, common=True)
BLUR = Parameter("blur", Number(0.75, 2), 1.0, "stretch the filter: less than 1 is sharper", common=True)


class NamedFilter(NamedTuple):
    """A filter that users can choose, as a method of the same name: a record that is built by keyword.

    Attributes
    ----------
    name, summary, when, source : str
        As for `Method`.
    make : callable
        Its parameters, by name, to the `Filter`.
    preset : mapping
        Parameters of `make` that are fixed.
    parameters : tuple of Parameter
        The only place that states their defaults. `BLUR` is none of `make`: it stretches what that returns.
    known_as : tuple of str
        As for `Method`.
    compared : bool
        As for `Method`.
    edge : str
        What lies beyond the border if nothing else is said: one of `EDGES`.
    antiring : float
        How much results are held if nothing else is said.
    polar : bool
        Distances are those in the plane, not those along an axis; see `polar`.
    """

    name: str
    summary: str
    when: str
    source: str
    make: Callable[..., Filter]
    preset: Mapping[str, Any] = {}
    parameters: tuple[Parameter, ...] = ()
    known_as: tuple[str, ...] = ()
    compared: bool = False
    edge: str = "renormalise"
    antiring: float = 0.0
    polar: bool = False

    def of(self, parameters: Parameters) -> Filter:
        """Return the filter of some parameters: the same one each time, so that what is planned with it is kept."""
        given = {**self.preset, **{p.name: parameters[p.name] for p in self.parameters}}
        blur = given.pop(BLUR.name) if BLUR in self.parameters else 1.0
        try:
            return _made(self.make, blur, tuple(given.items()))
        except TypeError:  # an array cannot be the key of a cache
            return self.make(**given).blurred(blur)

    def default(self) -> Filter:
        """Return the filter with the default of each parameter."""
        return self.of(read_parameters(self.name, self.parameters, {}))


@lru_cache
def _made(make: Callable[..., Filter], blur: float, parameters: tuple[tuple[str, Any], ...]) -> Filter:
    return make(**dict(parameters)).blurred(blur)


_blurred = partial(NamedFilter, parameters=(BLUR,))
_cubic = partial(_blurred, make=weights.cubic)
_sinc = partial(NamedFilter, make=weights.sinc)


def _lobes(default: int, low: int = 1) -> Parameter:
    return Parameter("a", Integer(low, 8), default, "lobes: more are sharper and ring further")


def _under(window: str, when: str, source: str, *, a: int = 4, **more: Any) -> NamedFilter:
    """Return sinc under a window, with as many lobes as ImageMagick gives it."""
    return _sinc(
        name=window,
        summary=f"sinc under {window.capitalize()}'s window, over {2 * a} x {2 * a} pixels",
        when=when,
        source=source,
        preset={"window": window},
        parameters=(_lobes(a), *more.pop("parameters", ()), BLUR),
        **more,
    )


_ROWS = (
    NamedFilter(
        name="box",
        summary="the nearest pixel, or the mean of those that a smaller pixel covers",
        when="reducing; it enlarges as nearest does",
        source="box filter",
        make=weights.box,
    ),
    _blurred(
        name="bilinear",
        summary="blends the 2 x 2 nearest pixels",
        when="soft and cheap: previews, height maps",
        source="triangle filter",
        make=weights.triangle,
        known_as=("linear", "triangle", "tent"),
        compared=True,
    ),
    _blurred(
        name="hermite",
        summary="blends the 2 x 2 nearest pixels along a cubic",
        when="crisper than bilinear, still without ringing",
        source="cubic Hermite spline; Mitchell & Netravali 1988 (b = c = 0)",
        make=weights.hermite,
    ),
    _under(
        "hamming",
        "crisper than bilinear, with hardly any ringing",
        "Blackman & Tukey 1958; one lobe, as in Pillow",
        a=1,
    ),
    _cubic(
        name="bicubic",
        summary="fits cubics through 4 x 4 pixels",
        when="photographs, with less ringing than lanczos",
        source="Keys 1981 (a = -1/2); Mitchell & Netravali 1988",
        parameters=(
            Parameter("b", Number(0, 1), 0.0, "blur of the cubic: 0 interpolates, 1/3 is Mitchell's"),
            Parameter("c", Number(0, 1), 0.5, "sharpness of the cubic: 1/2 is Catmull-Rom, 1/3 is Mitchell's"),
            Parameter("a", Number(-1, 0), None, "the same as c=-a: PyTorch has -0.75"),
            BLUR,
        ),
        known_as=("cubic", "keys"),
        compared=True,
    ),
    _cubic(
        name="catmull-rom",
        summary="fits cubics through 4 x 4 pixels: bicubic by its other name",
        when="photographs, with less ringing than lanczos",
        source="Catmull & Rom 1974; Mitchell & Netravali 1988 (b = 0, c = 1/2)",
        preset={"b": 0.0, "c": 0.5},
        known_as=("catrom",),
    ),
    _cubic(
        name="mitchell",
        summary="cubic over 4 x 4 pixels that blurs a little and rings a little",
        when="photographs in which any halo would be seen",
        source="Mitchell & Netravali 1988 (b = c = 1/3)",
        preset={"b": 1 / 3, "c": 1 / 3},
        known_as=("mitchell-netravali",),
    ),
    _cubic(
        name="b-spline",
        summary="smooths with the cubic B-spline over 4 x 4 pixels",
        when="noise and gradients: very soft, never rings",
        source="Mitchell & Netravali 1988 (b = 1, c = 0)",
        preset={"b": 1.0, "c": 0.0},
        known_as=("bspline",),
    ),
    NamedFilter(
        name="gaussian",
        summary="smooths with a bell over 4 x 4 pixels",
        when="noise and gradients: soft, never rings",
        source="Gaussian filter",
        make=weights.gaussian,
        parameters=(Parameter("sigma", Number(0.25, 4), 0.5, "standard deviation in pixels"), BLUR),
    ),
    NamedFilter(
        name="spline",
        summary="fits a B-spline through all pixels, as SciPy and scikit-image do",
        when="measurements, feature maps, volumes; as sharp as lanczos",
        source="Unser, Aldroubi & Eden 1991; Unser 1999",
        make=weights.cardinal_spline,
        parameters=(Parameter("order", Integer(2, 5), 3, "of the polynomials between pixels"), BLUR),
        known_as=("cubic-spline", "ndimage"),
        edge="mirror",
    ),
    *(
        _blurred(
            name=f"spline{pixels}",
            summary=f"natural cubic spline through {side} x {side} pixels",
            when=when,
            source="Dersch 1998 (Panorama Tools)",
            make=weights.spline,
            preset={"pixels": pixels},
        )
        for pixels, side, when in (
            (16, 4, "panoramas and films: a little sharper than bicubic"),
            (36, 6, "panoramas and films: close to lanczos"),
            (64, 8, "panoramas and films: close to lanczos with a=4"),
        )
    ),
    _sinc(
        name="lanczos2",
        summary="windowed sinc over 4 x 4 pixels: lanczos with a=2",
        when="photographs; close to bicubic",
        source="Duchon 1979",
        preset={"window": "lanczos", "a": 2},
        parameters=(BLUR,),
    ),
    _sinc(
        name="lanczos",
        summary="windowed sinc over 6 x 6 pixels",
        when="photographs, scans: the sharpest of the classical filters",
        source="Duchon 1979",
        preset={"window": "lanczos"},
        parameters=(_lobes(3, low=2), BLUR),
        known_as=("lanczos3", "lanczos4", "antialias", "best"),
        compared=True,
    ),
    _under("hann", "as lanczos with a=4, fainter halos further out", "Blackman & Tukey 1958", known_as=("hanning",)),
    _under("blackman", "as hann, softer, its far halos fainter still", "Blackman & Tukey 1958"),
    _under(
        "kaiser",
        "any compromise between hann and blackman, by beta",
        "Kaiser 1974",
        parameters=(Parameter("beta", Number(0, 20), 6.5, "of the window: more is softer"),),
    ),
    _under("welch", "as lanczos, a little sharper", "Welch 1967", a=3),
    _under("bartlett", "as lanczos with a=4, softer", "Bartlett 1950"),
    _under("bohman", "as blackman, its far halos fainter still", "Bohman 1961"),
    _under("cosine", "as lanczos, a little sharper", "Harris 1978", a=3),
    _under("parzen", "the softest of the windowed sincs", "Parzen 1961"),
    _sinc(
        name="sinc",
        summary="sinc over 8 x 8 pixels, cut off or under a window of your choice",
        when="filters of your own: a window, lobes and blur",
        source="Harris 1978",
        parameters=(Parameter("window", Choice(*weights.WINDOWS), "box", "what ends the sinc"), _lobes(4), BLUR),
    ),
    *(
        _blurred(
            name=f"mks{year}",
            summary=f"Magic Kernel Sharp: a B-spline, sharpened {how}, over {side} x {side} pixels",
            when=when,
            source=f"Costella {year}",
            make=weights.magic_kernel_sharp,
            preset={"year": year},
            known_as=(f"magic-kernel-sharp-{year}",),
        )
        for year, side, how, when in (
            (2013, 5, "once", "photographs: about as sharp as lanczos, of fewer pixels"),
            (2021, 9, "twice", "photographs: as mks2013, with fainter halos"),
        )
    ),
)

FILTERS = {row.name: row for row in _ROWS}
"""Every filter by its name, in the order of the documentation."""

"""Polar filters by their names: weights by distance in the plane, a row each; `polar` computes with them."""

from functools import partial
from typing import TYPE_CHECKING

from upscale_cli.methods.filters import BLUR, NamedFilter
from upscale_cli.methods.parameters import Choice, Integer, Parameter
from upscale_cli.methods.weights import WINDOWS, Filter, cubic, windowed

if TYPE_CHECKING:
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


_LOBES = Parameter("a", Integer(2, 4), 3, "lobes: more are sharper and ring further")

_disc = partial(NamedFilter, make=disc, polar=True)
_cubic = partial(NamedFilter, make=cubic, parameters=(BLUR,), polar=True)

POLAR = (
    _disc(
        name="ewa-lanczos",
        summary="windowed jinc over a disc of 33 pixels",
        when="photographs: slanted lines are smoother than by lanczos",
        source="Robidoux & Thyssen 2011, in ImageMagick",
        preset={"window": "jinc"},
        parameters=(_LOBES, BLUR),
        known_as=("ewa", "jinc-lanczos", "lanczosradius"),
    ),
    _disc(
        name="ewa-lanczossharp",
        summary="windowed jinc over a disc of 32 pixels: ewa-lanczos with a blur of 0.98",
        when="as ewa-lanczos, a little sharper",
        source="Robidoux 2011, in ImageMagick; mpv",
        preset={"a": 3, "window": "jinc", "blur": 0.98125058372237073562493},
        known_as=("lanczossharp",),
    ),
    _disc(
        name="ewa-lanczos4sharpest",
        summary="windowed jinc over a disc of 44 pixels, with anti-ringing",
        when="photographs, films: as sharp as lanczos, fainter halos",
        source="mpv and libplacebo 2023",
        preset={"a": 4, "window": "jinc", "blur": 0.88451209326050047745788},
        antiring=0.8,
    ),
    _disc(
        name="jinc",
        summary="jinc over a disc of 33 pixels, cut off or under a window of your choice",
        when="filters of your own: a window, lobes and blur",
        source="the low-pass filter of a disc; libplacebo",
        parameters=(Parameter("window", Choice("jinc", *WINDOWS), "box", "what ends the jinc"), _LOBES, BLUR),
        known_as=("ewa-jinc", "ewa-hann", "ewa-ginseng", "bessel"),
    ),
    _cubic(
        name="robidoux",
        summary="cubic over a disc of 13 pixels",
        when="photographs: between mitchell and bicubic",
        source="Robidoux 2011, in ImageMagick (b = 0.3782, c = 0.3109)",
        preset={"b": 12 / (19 + 9 * 2**0.5), "c": 113 / (58 + 216 * 2**0.5)},
        known_as=("ewa-robidoux",),
    ),
    _cubic(
        name="robidouxsharp",
        summary="cubic over a disc of 13 pixels, sharper than robidoux",
        when="photographs: close to bicubic",
        source="Robidoux 2011, in ImageMagick (b = 0.2620, c = 0.3690)",
        preset={"b": 6 / (13 + 7 * 2**0.5), "c": 7 / (2 + 12 * 2**0.5)},
        known_as=("ewa-robidouxsharp",),
    ),
)
"""The polar filters, in the order of the documentation."""

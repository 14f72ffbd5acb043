"""The methods that enlarge pixel art by comparing colours, and how each is made; `pixel_art` has the rules."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from upscale_cli.methods.method import Bound, Method, Parameters, Shape, Size, WorkingMemory
from upscale_cli.methods.parameters import Scale

if TYPE_CHECKING:
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler


def make_pixel_art(
    rules: tuple[str, ...], source: "Array", /, *, scale: Scale, samples: "Samples", **more: Any
) -> "Upsampler":
    """Return the upsampler of a source by some rules; see `Make`."""
    from upscale_cli.methods.pixel_art import RULES, PixelArt

    return PixelArt(source, int(scale[0]), [RULES[name] for name in rules], samples)


def working_memory(shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
    """Return the working memory for an output of some height and width."""
    from upscale_cli.methods.pixel_art import band_memory

    return partial(band_memory, shape)


EPX = Method(
    name="epx",
    summary="rounds the corners of shapes, by Scale2x and Scale3x",
    when="pixel art without stairs, at 2, 3, 4, 6, 8 and 9",
    source="EPX: Johnston 1992; Mazzoleni 2001",
    make=Bound(make_pixel_art, ("scale2x", "scale3x")),
    known_as=("scale4x", "scalex", "advmame", "pixelart", "pixel-art"),
    group="copied",
    values="copied",
    integer_scale=True,
    factors=(2, 3, 4, 6, 8, 9),
    independent=False,
    by_rows=True,
    working_memory=working_memory,
)

PIXEL_ART = (
    EPX,
    EPX._replace(
        name="scale2x",
        summary="rounds the corners of shapes in cells of 2 x 2; the same as epx",
        when="pixel art at the factors 2, 4 and 8",
        make=Bound(make_pixel_art, ("scale2x",)),
        known_as=("advmame2x",),
        factors=(2, 4, 8),
    ),
    EPX._replace(
        name="scale3x",
        summary="rounds the corners of shapes in cells of 3 x 3; the same as epx",
        when="pixel art at the factors 3 and 9",
        make=Bound(make_pixel_art, ("scale3x",)),
        known_as=("advmame3x",),
        factors=(3, 9),
    ),
    EPX._replace(
        name="eagle",
        summary="cuts off corners whose three outer pixels are equal",
        when="bold shapes without outlines; single pixels disappear",
        source="Stevens, about 1997",
        make=Bound(make_pixel_art, ("eagle",)),
        known_as=("eagle2x", "supereagle"),
        factors=(2, 4, 8),
    ),
    EPX._replace(
        name="mmpx",
        summary="continues slopes of 1:1 and 2:1, and keeps corners, dots and text",
        when="pixel art that should keep its style: sprites, icons",
        source="McGuire & Gagiu 2021",
        make=Bound(make_pixel_art, ("mmpx",)),
        known_as=("mmpx2x", "hqx", "hq2x", "hq4x", "xbr", "xbrz", "2xsai"),
        factors=(2, 4, 8),
    ),
)

"""The methods that enlarge pixel art by comparing colours, and how each is made; `pixel_art` has the rules."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from upscale_cli.methods.method import Method, Parameters, Shape, Size, WorkingMemory
from upscale_cli.methods.parameters import Scale

if TYPE_CHECKING:
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler


class PixelArtMaker(NamedTuple):
    """`Method.make` for rules of pixel art. A class and not a closure, so that the method can be pickled."""

    rules: tuple[str, ...]

    def __call__(
        self, source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters
    ) -> "Upsampler":
        """Return the upsampler of a source."""
        from upscale_cli.methods.pixel_art import RULES, PixelArt

        return PixelArt(source, int(scale[0]), [RULES[name] for name in self.rules], samples)


def working_memory(shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
    """Return the working memory for an output of some height and width."""
    from upscale_cli.methods.pixel_art import band_memory

    return lambda size: band_memory(shape, size)


EPX = Method(
    name="epx",
    summary="rounds the corners of shapes, by Scale2x and Scale3x",
    when="pixel art at the factors 2, 3, 4, 6, 8 and 9, without stairs",
    source="EPX: Johnston 1992; Mazzoleni 2001",
    make=PixelArtMaker(("scale2x", "scale3x")),
    known_as=("scale4x", "scalex", "advmame", "pixelart", "pixel-art"),
    group="copied",
    values="copied",
    integer_scale=True,
    factors=(2, 3, 4, 6, 8, 9),
    independent=False,
    working_memory=working_memory,
)

PIXEL_ART = (
    EPX,
    EPX._replace(
        name="scale2x",
        summary="rounds the corners of shapes in cells of 2 x 2; the same as epx",
        when="pixel art at the factors 2, 4 and 8",
        make=PixelArtMaker(("scale2x",)),
        known_as=("advmame2x",),
        factors=(2, 4, 8),
    ),
    EPX._replace(
        name="scale3x",
        summary="rounds the corners of shapes in cells of 3 x 3; the same as epx",
        when="pixel art at the factors 3 and 9",
        make=PixelArtMaker(("scale3x",)),
        known_as=("advmame3x",),
        factors=(3, 9),
    ),
    EPX._replace(
        name="eagle",
        summary="cuts off corners whose three outer pixels are equal",
        when="bold shapes without outlines; single pixels disappear",
        source="Stevens, about 1997",
        make=PixelArtMaker(("eagle",)),
        known_as=("eagle2x", "supereagle"),
        factors=(2, 4, 8),
    ),
    EPX._replace(
        name="mmpx",
        summary="continues slopes of 1:1 and 2:1, and keeps corners, dots and text",
        when="pixel art that should keep its style: sprites, fonts, icons",
        source="McGuire & Gagiu 2021",
        make=PixelArtMaker(("mmpx",)),
        known_as=("mmpx2x", "hqx", "hq2x", "hq4x", "xbr", "xbrz", "2xsai"),
        factors=(2, 4, 8),
    ),
)

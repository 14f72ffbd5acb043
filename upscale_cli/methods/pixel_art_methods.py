"""The methods that enlarge pixel art by comparing colours, and how each is made; `pixel_art` has the rules."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from upscale_cli.methods.method import Method, Parameters, Shape, Size, WorkingMemory
from upscale_cli.methods.parameters import Scale

if TYPE_CHECKING:
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler

Chains = Mapping[int, tuple[str, ...]]
"""The names of the rules that make each factor, one after the other."""


class PixelArtMaker(NamedTuple):
    """`Method.make` for pixel art. A class and not a closure, so that the method can be pickled."""

    chains: Chains

    def __call__(
        self, source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters
    ) -> "Upsampler":
        """Return the upsampler of a source."""
        from upscale_cli.methods.pixel_art import RULES, PixelArt

        return PixelArt(source, [RULES[name] for name in self.chains.get(int(scale[0]), ())], samples)


class PixelArtMemory(NamedTuple):
    """`Method.working_memory` for pixel art."""

    chains: Chains

    def __call__(self, shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
        """Return the working memory for an output of some height and width."""
        from upscale_cli.methods.pixel_art import RULES, band_memory

        chains = self.chains
        return lambda size: band_memory(shape, size, [RULES[name] for name in chains.get(size[0] // shape[0], ())])


def _method(name: str, chains: Chains, *, summary: str, when: str, source: str, known_as: tuple[str, ...]) -> Method:
    memory: Any = PixelArtMemory(chains)  # which mypy takes for a tuple only
    return Method(
        name=name,
        summary=summary,
        when=when,
        source=source,
        make=PixelArtMaker(chains),
        known_as=known_as,
        group="copied",
        values="copied",
        integer_scale=True,
        factors=tuple(sorted(chains)),
        independent=False,
        working_memory=memory,
    )


def _powers(factor: int, rule: str) -> dict[int, tuple[str, ...]]:
    """Return the chains of a rule with itself, up to factor 9."""
    return {factor**times: (rule,) * times for times in range(1, 4) if factor**times < 10}


SCALE2X, SCALE3X = _powers(2, "scale2x"), _powers(3, "scale3x")

PIXEL_ART = (
    _method(
        "epx",
        SCALE2X | SCALE3X | {6: ("scale2x", "scale3x")},
        summary="rounds the corners of shapes, by Scale2x and Scale3x",
        when="pixel art at the factors 2, 3, 4, 6, 8 and 9, without stairs",
        source="EPX: Johnston 1992; Mazzoleni 2001",
        known_as=("scale4x", "scalex", "advmame", "pixelart", "pixel-art"),
    ),
    _method(
        "scale2x",
        SCALE2X,
        summary="rounds the corners of shapes in cells of 2 x 2; the same as epx",
        when="pixel art at the factors 2, 4 and 8",
        source="Mazzoleni 2001",
        known_as=("advmame2x",),
    ),
    _method(
        "scale3x",
        SCALE3X,
        summary="rounds the corners of shapes in cells of 3 x 3; the same as epx",
        when="pixel art at the factors 3 and 9",
        source="Mazzoleni 2001",
        known_as=("advmame3x",),
    ),
    _method(
        "eagle",
        _powers(2, "eagle"),
        summary="cuts off corners whose three outer pixels are equal",
        when="bold shapes without outlines; single pixels disappear",
        source="Stevens, about 1997",
        known_as=("eagle2x", "supereagle"),
    ),
    _method(
        "mmpx",
        _powers(2, "mmpx"),
        summary="continues slopes of 1:1 and 2:1, and keeps corners, dots and text",
        when="pixel art that should keep its style: sprites, fonts, icons",
        source="McGuire & Gagiu 2021",
        known_as=("mmpx2x", "hqx", "hq2x", "hq4x", "xbr", "xbrz", "2xsai"),
    ),
)

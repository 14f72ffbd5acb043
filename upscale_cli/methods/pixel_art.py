"""Pixel art: each pixel becomes a cell of copies of itself and its neighbours, chosen by comparing their colours.

A rule sees the pixels around each pixel of some rows, and fills their cells. Positions are complex numbers: 1 is the
next pixel to the right, 1j the one below. So a rule that is written for one direction serves all four.

    A B C        -1-1j  -1j  1-1j
    D E F    =   -1      0   1
    G H I        -1+1j   1j  1+1j
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.method import Shape, Size, WorkingMemory
from upscale_cli.methods.placement import WORDS
from upscale_cli.methods.samples import Samples, white
from upscale_cli.methods.upsampler import FEWEST_ROWS, Array, Block, Upsampler

BAND_PIXELS = 1 << 18
"""Approximate pixels of a band of the output: few enough for the cache."""

Mask = NDArray[np.bool_]
CORNERS = [(down, right) for down in (-1j, 1j) for right in (-1, 1)]
"""A vertical and a horizontal neighbour, and between them a corner."""
SIDES = [(-1j, 1), (1j, 1), (-1, 1j), (1, 1j)]
"""A neighbour, and a direction across."""


class Rule(NamedTuple):
    """How cells are filled.

    Attributes
    ----------
    factor : int
        Height and width of a cell.
    reach : int
        How far from a pixel the rule looks.
    fill : callable(around)
        Fills the cells of pixels, which hold the pixels themselves so far.
    """

    factor: int
    reach: int
    fill: "Callable[[Around], None]"


class Around:
    """The pixels around each pixel of some rows, and the cells that these become.

    Parameters
    ----------
    rule : Rule
    colours : array (H, W, C)
        Of the pixels, with `rule.reach` more on each side.
    alpha : bool
        The last channel is opacity, which `luma` needs.
    """

    def __init__(self, rule: Rule, colours: Array, alpha: bool) -> None:
        # Planes, because comparing long rows is fast.
        self._planes = np.ascontiguousarray(np.moveaxis(colours, 2, 0))
        self._colours, self._alpha, self._factor, self._reach = colours, alpha, rule.factor, rule.reach
        self._height, self._width = (side - 2 * rule.reach for side in colours.shape[:2])
        # Where values come from: places of the 3 x 3, row by row.
        self.chosen = np.full((self._height, rule.factor, self._width, rule.factor), 4, np.uint8)

    @cached_property
    def luma(self) -> Array:
        """How light the pixels are (H, W): red + green + blue, more so the more transparent, as in MMPX."""
        one = white(self._colours.dtype) / 255
        with np.errstate(invalid="ignore", over="ignore"):
            if not self._alpha:
                return np.asarray(self._colours.sum(axis=2, dtype=np.float64))
            colours, opacity = self._colours[..., :-1], self._colours[..., -1].astype(np.float64)
            # A value of grey stands for three.
            light = colours.sum(axis=2, dtype=np.float64) * (3 / colours.shape[2])
            return np.asarray((light + one) * (256 * one - opacity))

    def same(self, one: complex, *others: complex) -> Mask:
        """Return where the pixels at all positions have one colour."""
        return reduce(np.logical_and, (self._equal(one, other) for other in others))

    def unlike(self, one: complex, *others: complex) -> Mask:
        """Return where no pixel at other positions has the colour of the one."""
        return ~reduce(np.logical_or, (self._equal(one, other) for other in others))

    def darker(self, one: complex, other: complex) -> Mask:
        """Return where the pixel at one position is darker than the one at the other."""
        return np.asarray(self._at(self.luma, one) < self._at(self.luma, other))

    def place(self, position: complex) -> NDArray[np.uint8]:
        """Return what is chosen for a place of the cells: a corner, or for 3 x 3 also a side."""
        y, x = (int(side + 1) * (self._factor - 1) // 2 for side in (position.imag, position.real))
        return self.chosen[:, y, :, x]

    def put(self, source: complex, where: Mask, *places: complex) -> None:
        """Choose the pixel at a position for places of the cells."""
        for place in places:
            np.copyto(self.place(place), np.uint8(4 + 3 * source.imag + source.real), where=where)

    def _equal(self, one: complex, other: complex) -> Mask:
        """Return where the pixels at two positions have one colour."""
        return np.asarray((self._at(self._planes, one) == self._at(self._planes, other)).all(axis=0))

    def _at(self, values: Array, position: complex) -> Array:
        """Return the values (…, H, W) at a position beside each pixel."""
        y, x = self._reach + int(position.imag), self._reach + int(position.real)
        return values[..., y : y + self._height, x : x + self._width]


def _rounded(around: Around, one: complex, other: complex) -> Mask:
    """Return where EPX rounds the corner between two neighbours: they are equal, and unlike those opposite."""
    return around.same(one, other) & around.unlike(one, -other) & around.unlike(other, -one)


def scale2x(around: Around) -> None:
    """Fill cells by EPX (Johnston 1992), whose conditions Scale2x (Mazzoleni 2001) states in this form.

    The upper left is D if `D = B`, `B ≠ F` and `D ≠ H`; the other corners likewise.
    """
    for down, right in CORNERS:
        around.put(right, _rounded(around, down, right), down + right)


def scale3x(around: Around) -> None:
    """Fill cells by Scale3x (Mazzoleni 2001): corners as Scale2x, and the places between them.

    The upper middle is B if the upper left is rounded and `E ≠ C`, or if the upper right is and `E ≠ A`.
    """
    scale2x(around)
    for side, across in SIDES:
        for way in (across, -across):
            around.put(side, _rounded(around, side, way) & around.unlike(0, side - way), side)


def eagle(around: Around) -> None:
    """Fill cells by Eagle: the upper left is A if `A = B = D`; the other corners likewise."""
    for down, right in CORNERS:
        around.put(down + right, around.same(down + right, down, right), down + right)


def _opposite(side: complex, across: complex) -> tuple[complex, ...]:
    """Return the three positions on the other side."""
    return -side, across - side, -across - side


def mmpx(around: Around) -> None:
    """Fill cells by the rules of MMPX (McGuire & Gagiu 2021, listing 4).

    Conditions of different directions exclude each other, so their order has no meaning.
    """
    same, unlike, darker = around.same, around.unlike, around.darker
    for down, right in CORNERS:
        # Slopes of 1:1, as in EPX; of thick ones only the darker side; no square corners, and no bump of a pixel.
        corner, dark = down + right, darker(0, right)
        slope = same(down, right) & unlike(down, -down, -right) & (~dark | same(0, corner))
        slope &= ~unlike(0, corner, down - right, right - down)
        slope &= dark | unlike(corner, right) | ~same(0, 2 * down, 2 * right)
        around.put(right, slope, corner)
    for side, across in SIDES:
        ends, opposite = (side + across, side - across), _opposite(side, across)
        # Lines that meet without touching; no notch of a checkerboard.
        meeting = unlike(0, side) & same(0, *ends, -side, -2 * side) & same(side, across, -across)
        around.put(side, meeting & unlike(side, 3 * side), *ends)
        # Tips of light triangles on dark.
        tip = darker(side, 0) & same(0, *opposite, -2 * side) & unlike(0, *ends, across, -across)
        around.put(side, tip, *ends)
    for side, across in SIDES:
        # Slopes of 2:1 that nothing else touches: what a place has become goes on into the one beside it.
        apart = unlike(side, 0, *_opposite(side, across))
        for way in (across, -across):
            slope = apart & same(side, side - way, way, 2 * way) & unlike(side, -way, 2 * way - side)
            np.copyto(around.place(side - way), around.place(side + way), where=slope)


RULES = {
    "scale2x": Rule(2, 1, scale2x),
    "scale3x": Rule(3, 1, scale3x),
    "eagle": Rule(2, 1, eagle),
    "mmpx": Rule(2, 3, mmpx),
}


class PixelArt(Upsampler):
    """Rules that follow each other: the second enlarges what the first has made. Beyond borders the edge repeats.

    Whole colours decide: of a palette, what its indices stand for; and opacity, with the colour that hides under it.

    Parameters
    ----------
    source : array (H, W, C)
        Any dtype.
    rules : sequence of Rule
    samples : Samples
        Says what is opacity, and of what colour indices are.
    """

    def __init__(self, source: Array, rules: Sequence[Rule], samples: Samples) -> None:
        self.source, self.dtype, self._rules, self._samples = source, source.dtype, rules, samples
        self._sizes = [source.shape[:2]]
        for rule in rules:
            self._sizes.append((self._sizes[-1][0] * rule.factor, self._sizes[-1][1] * rule.factor))
        self.shape = (*self._sizes[-1], source.shape[2])
        self.band = _band(source.shape[:2], self._sizes[-1])

    def blocks(self, band: int) -> Iterator[Block]:
        top = band * self.band
        yield Block(top, 0, 0, self._made(len(self._rules), top, min(top + self.band, self.shape[0])))

    def _made(self, count: int, start: int, stop: int) -> Array:
        """Return rows `start … stop − 1` of what the first so many rules have made."""
        if not count:
            return self.source[start:stop].copy()
        rule, (height, _) = self._rules[count - 1], self._sizes[count - 1]
        first, last = start // rule.factor, -(-stop // rule.factor)
        top, bottom = max(0, first - rule.reach), min(height, last + rule.reach)
        beyond = top - (first - rule.reach), last + rule.reach - bottom
        rows = self._made(count - 1, top, bottom)
        rows = np.pad(rows, (beyond, (rule.reach, rule.reach), (0, 0)), mode="edge")
        return self._filled(rule, rows)[start - first * rule.factor :][: stop - start]

    def _filled(self, rule: Rule, pixels: Array) -> Array:
        """Return rows (H, W, C), which have a margin, enlarged by a rule."""
        index = np.arange(pixels.shape[0] * pixels.shape[1]).reshape(pixels.shape[:2])
        chosen = (index[:3, :3] - index[1, 1]).take(self._chosen(rule, pixels))
        chosen += index[rule.reach : -rule.reach, None, rule.reach : -rule.reach, None]
        # A pixel is copied as one number, if there is one of its size.
        word = WORDS.get(pixels.shape[2] * pixels.itemsize, pixels.dtype)
        made: Array = pixels.reshape(-1, pixels.shape[2]).view(word).take(chosen, axis=0)
        height, down, width, across, _ = made.shape
        return made.reshape(height * down, width * across, -1).view(self.dtype)

    def _chosen(self, rule: Rule, pixels: Array) -> Array:
        """Return where the values of cells come from; see `Around.chosen`."""
        palette = self._samples.palette
        colours, alpha = (pixels, self._samples.alpha) if palette is None else (palette[pixels[..., 0]], True)
        around = Around(rule, colours, alpha)
        rule.fill(around)
        return around.chosen


def _band(before: Size, after: Size) -> int:
    """Return the rows of a band of the output: whole cells of the source's pixels."""
    scale = after[0] // before[0]
    return scale * max(1, min(before[0], max(FEWEST_ROWS, BAND_PIXELS // after[1]) // scale))


def band_memory(shape: Shape, size: Size, rules: Sequence[Rule]) -> WorkingMemory:
    """Return the working memory for an output of a height and width; the last rule needs most."""
    rows, channels = _band(shape[:2], size), shape[2]
    factor, reach = (rules[-1].factor, rules[-1].reach) if rules else (1, 0)
    # Measured: bytes of a pixel of the band, of which indices take 16; and floats of a pixel that the rule looks at.
    made, seen = rows * size[1], (rows // factor + 2 * reach) * (size[1] // factor + 2 * reach)
    return WorkingMemory(rows, 0, made * max(17, 9 + channels) // 4 + seen * (3 + channels))

"""Pixel art: each pixel becomes a cell of copies of itself and its neighbours, chosen by comparing their colours.

A rule sees the pixels around each pixel of some rows, and fills their cells. Positions are complex numbers: 1 is the
next pixel to the right, 1j the one below. So a rule that is written for one direction serves all four.

    A B C        -1-1j  -1j  1-1j
    D E F    =   -1      0   1
    G H I        -1+1j   1j  1+1j
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.method import Shape, Size, WorkingMemory
from upscale_cli.methods.placement import WORDS
from upscale_cli.methods.samples import Samples, white
from upscale_cli.methods.upsampler import FEWEST_ROWS, Array, Block, Upsampler

BAND_PIXELS = 1 << 18
"""Approximate pixels of a band of the output: few enough for the cache."""
CORNERS = [(down, right) for down in (-1j, 1j) for right in (-1, 1)]
"""A vertical and a horizontal neighbour; between them lies a corner."""
SIDES = [(-1j, 1), (1j, 1), (-1, 1j), (1, 1j)]
"""A neighbour, and a direction across."""
Mask = NDArray[np.bool_]


class Around:
    """The pixels around each pixel of some rows, and the cells of `factor` x `factor` that these become.

    Colours (H, W, C) have `reach` more pixels on each side; `alpha` says that the last channel is opacity.
    """

    def __init__(self, colours: Array, alpha: bool, *, factor: int, reach: int) -> None:
        # Planes, because comparing long rows is fast.
        self._planes = np.ascontiguousarray(np.moveaxis(colours, 2, 0))
        self._colours, self._alpha, self._factor, self._reach = colours, alpha, factor, reach
        self._height, self._width = (side - 2 * reach for side in colours.shape[:2])
        # Where values come from: places of the 3 x 3, row by row.
        self.chosen = np.full((self._height, factor, self._width, factor), 4, np.uint8)

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
        near, opposite = (side + across, side - across), (-side, across - side, -across - side)
        # Lines that meet without touching; no notch of a checkerboard.
        meeting = unlike(0, side) & same(0, *near, -side, -2 * side) & same(side, across, -across)
        around.put(side, meeting & unlike(side, 3 * side), *near)
        # Tips of light triangles on dark.
        tip = same(0, *opposite, -2 * side) & unlike(0, *near, across, -across)
        around.put(side, tip & darker(side, 0), *near)
        # Slopes of 2:1 that nothing else touches: what a place has become goes on into the one beside it.
        apart = unlike(side, 0, *opposite)
        for way in (across, -across):
            slope = apart & same(side, side - way, way, 2 * way) & unlike(side, -way, 2 * way - side)
            np.copyto(around.place(side - way), around.place(side + way), where=slope)


Rule = tuple[Callable[[Around], None], int, int]
RULES: dict[str, Rule] = {
    "scale2x": (scale2x, 2, 1),
    "scale3x": (scale3x, 3, 1),
    "eagle": (eagle, 2, 1),
    "mmpx": (mmpx, 2, 3),
}
"""What fills cells, their height and width, and how far from a pixel it looks."""


class PixelArt(Upsampler):
    """Rules one after the other, as often as their factors divide `factor`. Beyond borders the edge repeats.

    Whole colours decide: of a palette, what its indices stand for; and opacity, with the colour that hides under it.
    The source (H, W, C) is of any dtype.

    Examples
    --------
    >>> line = np.array([[0, 0, 1], [0, 1, 0]])[:, :, None]
    >>> PixelArt(line, 2, [RULES["scale2x"]], Samples(line.dtype, 1, line.dtype)).rows(0, 4)[..., 0].tolist()
    [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 0, 1], [0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0]]
    """

    def __init__(self, source: Array, factor: int, rules: Sequence[Rule], samples: Samples) -> None:
        self.source, self.dtype, self._samples = source, source.dtype, samples
        self._chain = [(fill, n, reach) for fill, n, reach in rules for times in (1, 2, 3) if factor % n**times == 0]
        self.shape = len(source) * factor, source.shape[1] * factor, source.shape[2]
        self.band = _band(source.shape[:2], self.shape[:2])

    def blocks(self, band: int) -> Iterator[Block]:
        top = band * self.band
        yield Block(top, 0, 0, self._made(self._chain, top, min(top + self.band, self.shape[0])))

    def _made(self, chain: Sequence[Rule], start: int, stop: int) -> Array:
        """Return rows `start … stop − 1` of what some rules make."""
        if not chain:
            return self.source[start:stop].copy()
        *before, (fill, factor, reach) = chain
        height = len(self.source) * prod(factor for _, factor, _ in before)
        first, last = start // factor - reach, -(-stop // factor) + reach
        top, bottom = max(0, first), min(height, last)
        rows = self._made(before, top, bottom)
        rows = np.pad(rows, ((top - first, last - bottom), (reach, reach), (0, 0)), mode="edge")
        palette, alpha = self._samples.palette, self._samples.alpha
        colours = rows if palette is None else palette[rows[..., 0]]
        around = Around(colours, alpha or palette is not None, factor=factor, reach=reach)
        fill(around)
        return self._copied(rows, around.chosen, reach)[start % factor :][: stop - start]

    def _copied(self, pixels: Array, chosen: Array, reach: int) -> Array:
        """Return rows (H, W, C) of cells that were chosen from pixels with a margin."""
        index = np.arange(pixels.shape[0] * pixels.shape[1]).reshape(pixels.shape[:2])
        sources = (index[:3, :3] - index[1, 1]).take(chosen)
        sources += index[reach:-reach, None, reach:-reach, None]
        # A pixel is copied as one number, if there is one of its size.
        word = WORDS.get(pixels.shape[2] * pixels.itemsize, pixels.dtype)
        made: Array = pixels.reshape(-1, pixels.shape[2]).view(word).take(sources, axis=0)
        height, down, width, across, _ = made.shape
        return made.reshape(height * down, width * across, -1).view(self.dtype)


def _band(before: Size, after: Size) -> int:
    """Return the rows of a band of the output: whole cells of the source's pixels."""
    scale = after[0] // before[0]
    return scale * max(1, min(before[0], max(FEWEST_ROWS, BAND_PIXELS // after[1]) // scale))


def band_memory(shape: Shape, size: Size) -> WorkingMemory:
    """Return the working memory for an output of a height and width; MMPX needs most, and the last pass."""
    rows, channels = _band(shape[:2], size), shape[2]
    # Measured: bytes of a pixel of the band, of which indices take 16; and floats of a pixel that the rule looks at.
    made, seen = rows * size[1], (rows // 2 + 6) * (size[1] // 2 + 6)
    return WorkingMemory(rows, 0, made * max(17, 9 + channels) // 4 + seen * (3 + channels))

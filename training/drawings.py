"""Drawings and pages of text, made up by a generator of random numbers: to train networks that enlarge such pictures.

They are drawn `SUPER` times as large and reduced by a box, so that their edges are those of a proper picture. Text is
set in the free fonts that the machine has (`FAMILIES`), in words that nobody wrote. A seed always gives the same
pictures on a machine with the same fonts and the same version of Pillow.

    python -m training.drawings FOLDER --count 12 --seed 0

writes some, to look at.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Drawing = NDArray[np.uint8]
Random = np.random.Generator
Colour = tuple[int, int, int]

SUPER = 4
"""How many times as large pictures are drawn."""
FOLDERS = Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("/Library/Fonts"), Path("C:/Windows/Fonts")
FAMILIES = "DejaVuS", "Liberation", "Nimbus", "P052", "C059", "URWBookman", "URWGothic", "Z003", "NotoSansMono"
"""Free fonts: DejaVu (Bitstream Vera licence), Liberation and Noto (SIL OFL), URW's 35 (AGPL; pictures are free)."""
LETTERS = "eeeeeeeetttttaaaaaooooiiiinnnnsssshhhrrrddlluucmwfgypbvkjxqzäöüéß"
MARKS = (".", ",", ";", ":", "!", "?", ")", "-", "%", "/")


def fonts() -> list[Path]:
    """Return the fonts of `FAMILIES` on this machine, by name."""
    found = [path for folder in FOLDERS for ending in ("ttf", "otf") for path in folder.rglob(f"*.{ending}")]
    return sorted((path for path in found if path.name.startswith(FAMILIES)), key=lambda path: path.name)


class Canvas:
    """A picture being drawn. Lengths are pixels of the finished picture.

    Parameters
    ----------
    side : int
    random : numpy.random.Generator
    faces : list of Path
        Fonts; without any, Pillow's own.
    """

    def __init__(self, side: int, random: Random, faces: list[Path]) -> None:
        self.side, self.random, self.faces = side, random, faces
        self.dull = random.random() < 0.3
        self.dark = random.random() < 0.3
        self.image = Image.new("RGB", (side * SUPER, side * SUPER), self.ground())
        self.draw = ImageDraw.Draw(self.image)

    def number(self, low: float, high: float) -> float:
        """Return a number between two, small ones as often as large ones: its logarithm is uniform."""
        return float(low * (high / low) ** self.random.random())

    def one(self, *choices: Any) -> Any:
        """Return one of some."""
        return choices[self.random.integers(len(choices))]

    def colour(self) -> Colour:
        """Return any colour, grey in dull pictures."""
        if self.dull:
            return (int(self.random.integers(256)),) * 3
        kind = self.random.random()
        values = self.random.integers(256, size=3)
        if kind < 0.3:
            values = self.random.permutation([0, 255, int(self.random.integers(256))])
        red, green, blue = (int(value) for value in values)
        return red, green, blue

    def ground(self) -> Colour:
        """Return a colour for a background, mostly white or black, or nearly."""
        if self.random.random() < 0.35:
            return self.colour()
        near = 255 - int(self.one(0, 0, self.random.integers(40)))
        return (255 - near,) * 3 if self.dark else (near,) * 3

    def ink(self) -> Colour:
        """Return a colour for lines and text, mostly black, or white on a dark ground."""
        if self.random.random() < 0.4:
            return self.colour()
        far = int(self.one(0, 0, self.random.integers(80)))
        return (255 - far,) * 3 if self.dark else (far,) * 3

    def points(self, count: int, reach: float) -> NDArray[np.float64]:
        """Return points around a random one, in the order of their angles."""
        angles = np.sort(self.random.random(count)) * 2 * math.pi
        far = reach * (0.3 + 0.7 * self.random.random(count))
        return self.random.random(2) * self.side + np.stack((np.cos(angles), np.sin(angles)), 1) * far[:, None]

    def curve(self, points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
        """Return a smooth curve through points (Catmull and Rom), as many short lines."""
        around = (
            np.concatenate((points[-1:], points, points[:2])) if closed else np.pad(points, ((1, 1), (0, 0)), "edge")
        )
        a, b, c, d = (around[n : len(around) - 3 + n, None] for n in range(4))
        t = np.linspace(0, 1, 24, endpoint=False)[:, None]
        parts = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
        return np.asarray(parts / 2).reshape(-1, 2)

    def fill(self, points: NDArray[np.float64], colour: Colour) -> None:
        """Fill a polygon."""
        self.draw.polygon([(float(x), float(y)) for x, y in points * SUPER], fill=colour)

    def line(self, points: NDArray[np.float64], colour: Colour, width: float) -> None:
        """Draw a line with round joints."""
        placed = [(float(x), float(y)) for x, y in points * SUPER]
        self.draw.line(placed, fill=colour, width=max(1, round(width * SUPER)), joint="curve")

    def box(self, left: float, top: float, right: float, bottom: float, **options: Any) -> None:
        """Draw a rectangle, rounded if `radius` says so; `width` and `radius` are lengths too."""
        scaled = {
            name: round(value * SUPER) if name in ("width", "radius") else value for name, value in options.items()
        }
        corners = [left * SUPER, top * SUPER, max(left, right) * SUPER - 1, max(top, bottom) * SUPER - 1]
        self.draw.rounded_rectangle(corners, **scaled)

    def gradient(self) -> None:
        """Fill the picture with a gradient between two colours."""
        x, y = self.random.standard_normal(2)
        steps = np.linspace(0, 1, self.side * SUPER)
        ramp = x * steps[:, None] + y * steps
        ramp = ((ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-9))[..., None]
        made = np.array(self.ground()) * (1 - ramp) + np.array(self.colour()) * ramp
        self.image.paste(Image.fromarray(np.round(made).astype(np.uint8)))

    def words(self, count: int) -> str:
        """Return words that nobody wrote, numbers among them."""
        found = []
        for _ in range(count):
            word = "".join(self.one(*LETTERS) for _ in range(int(self.number(1.5, 11))))
            if (kind := self.random.random()) < 0.08:
                word = f"{self.number(1, 9999):.{self.one(0, 0, 1, 2)}f}"
            elif kind < 0.4:
                word = word.upper() if kind < 0.12 else word.capitalize()
            found.append(word + (self.one(*MARKS) if self.random.random() < 0.15 else ""))
        return " ".join(found)

    def font(self, size: float) -> Any:
        """Return a font of a size."""
        if not self.faces:
            return ImageFont.load_default(size * SUPER)
        return ImageFont.truetype(self.one(*self.faces), round(size * SUPER))

    def write(self, place: tuple[float, float], text: str, font: Any, colour: Colour) -> float:
        """Write a line of text; return where it ends."""
        x, y = place
        self.draw.text((x * SUPER, y * SUPER), text, colour, font)
        return x + float(font.getlength(text)) / SUPER


def shapes(canvas: Canvas) -> None:
    """Polygons, curves, ellipses and lines, with outlines or without, over a flat ground or a gradient."""
    if canvas.random.random() < 0.4:
        canvas.gradient()
    for _ in range(int(canvas.number(12, 90))):
        reach, colour = canvas.number(4, canvas.side / 2), canvas.colour()
        points = canvas.points(int(canvas.number(3, 9)), reach)
        if canvas.random.random() < 0.5:
            points = canvas.curve(points, closed=True)
        if canvas.random.random() < 0.7:
            canvas.fill(points, colour)
        if canvas.random.random() < 0.5:
            canvas.line(np.concatenate((points, points[:2])), canvas.ink(), canvas.number(0.5, 6))
        if canvas.random.random() < 0.3:
            lone = canvas.random.random((int(canvas.number(2, 6)), 2)) * canvas.side
            canvas.line(
                lone if canvas.dull else canvas.curve(lone, closed=False), canvas.ink(), canvas.number(0.5, 4)
            )


def comic(canvas: Canvas) -> None:
    """Flat areas with thick outlines, hatching, bubbles with words."""
    outline = canvas.ink()
    width = canvas.number(1, 5)
    for _ in range(int(canvas.number(8, 40))):
        points = canvas.curve(
            canvas.points(int(canvas.number(3, 8)), canvas.number(20, canvas.side / 2)), closed=True
        )
        canvas.fill(points, canvas.ground() if canvas.random.random() < 0.4 else canvas.colour())
        canvas.line(np.concatenate((points, points[:2])), outline, width)
    for _ in range(int(canvas.number(2, 10))):
        start, step = canvas.random.random(2) * canvas.side, canvas.random.standard_normal(2) * 6
        length = canvas.random.standard_normal(2) * 30
        for n in range(int(canvas.number(4, 20))):
            canvas.line(np.stack((start + n * step, start + n * step + length)), outline, width / 2)
    for _ in range(int(canvas.number(1, 4))):
        x, y = canvas.random.random(2) * canvas.side * 0.8
        size, text = canvas.number(9, 28), canvas.words(3)
        font = canvas.font(size)
        wide = font.getlength(text) / SUPER
        canvas.box(
            x - 8, y - 6, x + wide + 8, y + size * 1.5, fill=(255,) * 3, outline=outline, width=width, radius=12
        )
        canvas.write((x, y), text, font, (0, 0, 0))


def page(canvas: Canvas) -> None:
    """Paragraphs in columns, with headings; now and then a coloured ground behind some."""
    columns = canvas.one(1, 1, 2)
    for column in range(columns):
        left, y = canvas.side * column / columns + canvas.number(3, 16), canvas.number(2, 20)
        right, ink = canvas.side * (column + 1) / columns - 4, canvas.ink()
        while y < canvas.side:
            heading = canvas.random.random() < 0.25
            size = canvas.number(12, 48) if heading else canvas.number(7, 24)
            font, colour = canvas.font(size), canvas.colour() if canvas.random.random() < 0.2 else ink
            lines = 1 if heading else int(canvas.number(1, 8))
            if canvas.random.random() < 0.15:
                canvas.box(
                    left - 3, y - 2, right, y + lines * size * 1.4, fill=canvas.colour(), radius=canvas.one(0, 4)
                )
            for _ in range(lines):
                x = left
                while x < right - size:
                    x = canvas.write((x, y), canvas.words(1) + " ", font, colour)
                y += size * 1.35
            y += size * 0.6


def screen(canvas: Canvas) -> None:
    """Windows, buttons, tables and bars: straight thin lines and small text, all on whole pixels."""
    for _ in range(int(canvas.number(3, 9))):
        left, top, *_ = (int(n) for n in canvas.random.integers(-20, canvas.side - 60, size=2))
        right, bottom = left + int(canvas.number(90, canvas.side)), top + int(canvas.number(90, canvas.side))
        ground, ink, accent, radius = canvas.ground(), canvas.ink(), canvas.colour(), canvas.one(0, 0, 4, 8)
        font, size = canvas.font(line := canvas.one(8, 9, 10, 11, 12, 14, 16)), line + canvas.one(5, 8, 12)
        canvas.box(
            left, top, right, bottom, fill=ground, outline=canvas.colour(), width=canvas.one(1, 1, 2), radius=radius
        )
        canvas.box(left + 1, top + 1, right - 1, top + size, fill=accent, radius=radius)
        canvas.write((left + 6, top + 3), canvas.words(3), font, canvas.one(ink, (255,) * 3))
        for y in range(top + size + 4, bottom - size, size):
            x = left + 6.0
            kind = canvas.random.random()
            if kind < 0.25:
                wide = font.getlength(text := canvas.words(1)) / SUPER + 12
                fill, side = canvas.colour(), canvas.one(0, 3, 6)
                canvas.box(x, y, x + int(wide), y + size - 3, fill=fill, outline=ink, width=1, radius=side)
                x = canvas.write((x + 6, y + 1), text, font, canvas.one(ink, (255,) * 3)) + 14
            elif kind < 0.4:
                canvas.box(
                    x, y + 2, x + line, y + 2 + line, outline=ink, width=canvas.one(1, 2), radius=canvas.one(0, 8)
                )
                x += line + 6
            elif kind < 0.5:
                canvas.box(x, y + 2, right - 8, y + line, fill=canvas.colour())
                continue
            canvas.write((x, y + 1), canvas.words(int(canvas.number(1, 5))), font, ink)
            if canvas.random.random() < 0.4:
                canvas.box(left, y + size - 2, right, y + size - 1, fill=canvas.one(ink, accent))


def chart(canvas: Canvas) -> None:
    """Axes, ticks, a grid, curves, bars and labels."""
    ink, low, high = canvas.ink(), canvas.side * 0.12, canvas.side * 0.92
    font, step = canvas.font(canvas.number(8, 18)), canvas.number(14, 60)
    for place in np.arange(low, high, step):
        pale = canvas.ground() if canvas.random.random() < 0.5 else canvas.colour()
        canvas.line(np.array([[low, place], [high, place]]), pale, canvas.one(0.5, 1, 1))
        canvas.write((2, place - 5), canvas.words(1)[:4], font, ink)
        if canvas.random.random() < 0.4:
            top = min(canvas.random.uniform(low, high), high - 2)
            canvas.box(
                place, top, place + step * 0.7, high, fill=canvas.colour(), outline=ink, width=canvas.one(0.5, 1)
            )
    for _ in range(int(canvas.number(1, 6))):
        x = np.linspace(low, high, int(canvas.number(4, 30)))
        points = np.stack((x, canvas.random.uniform(low, high, len(x))), 1)
        made = canvas.curve(points, closed=False) if canvas.random.random() < 0.5 else points
        canvas.line(made, canvas.colour(), canvas.number(0.6, 4))
    canvas.line(np.array([[low, low / 2], [low, high], [high, high]]), ink, canvas.one(1, 1, 2))
    canvas.write((low, high + 4), canvas.words(4), font, ink)


KINDS: tuple[tuple[float, Callable[[Canvas], None]], ...] = (
    (0.22, shapes),
    (0.18, comic),
    (0.28, page),
    (0.22, screen),
    (0.10, chart),
)
"""Shares of pictures, and who draws them."""


def drawing(seed: int, side: int, faces: list[Path]) -> Drawing:
    """Return one picture, (side, side, 3)."""
    random = np.random.default_rng(seed)
    draw = KINDS[random.choice(len(KINDS), p=[share for share, _ in KINDS])][1]
    canvas = Canvas(side, random, faces)
    draw(canvas)
    return np.asarray(canvas.image.reduce(SUPER))


def main() -> None:
    """Read the arguments, and write pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=384)
    told = parser.parse_args()
    told.folder.mkdir(exist_ok=True, parents=True)
    for seed in range(told.seed, told.seed + told.count):
        Image.fromarray(drawing(seed, told.side, fonts())).save(told.folder / f"{seed}.png")


if __name__ == "__main__":
    main()

"""How a picture was turned upright and enlarged, and where its points went."""

from fractions import Fraction
from typing import NamedTuple

from upscale_cli.methods.method import Size


class Change(NamedTuple):
    """How a picture was turned upright, and enlarged.

    Attributes
    ----------
    before, after : (int, int)
        Height and width of the upright source, and of the enlarged picture.
    orientation : int
        The EXIF orientation of the source.
    framed : (int, int) or None
        Height and width of the result if its middle was cut out then, or it got a border.
    grid : str
        Where the pixels lie, of `GRIDS`: on another than the first both pictures do not cover the same area.
    """

    before: Size
    after: Size
    orientation: int = 1
    framed: Size | None = None
    grid: str = "half-pixel"

    @property
    def size(self) -> Size:
        """Height and width of what is written."""
        return self.framed or self.after

    @property
    def reframed(self) -> bool:
        """Whether the result shows another part than the source."""
        return self.size != self.after

    @property
    def factors(self) -> tuple[Fraction, Fraction]:
        """Horizontal and vertical."""
        return Fraction(self.after[1], self.before[1]), Fraction(self.after[0], self.before[0])

    @property
    def turned(self) -> bool:
        """Whether the pixels were turned or mirrored."""
        return self.orientation > 1

    @property
    def moved(self) -> str:
        """Why pixels do not lie where they did in the area that both pictures cover; empty if they do."""
        if self.turned:
            return "was not turned with it"
        return "" if self.grid == "half-pixel" else f"needs grid=half-pixel, not {self.grid}"

    @property
    def swapped(self) -> bool:
        """Whether height and width changed places."""
        return self.orientation >= 5

    @property
    def stored(self) -> Size:
        """Height and width of the source as it is stored."""
        return self.before[::-1] if self.swapped else self.before

    def lies(self, width: Fraction, height: Fraction) -> bool:
        """Return whether sides are those of the picture as it is stored, and not of the upright one."""
        upright_height, upright_width = self.before
        if not self.swapped:
            return self.turned
        stored = abs(width * upright_width - height * upright_height)
        return stored < abs(width * upright_height - height * upright_width)

    def point(
        self, x: Fraction, y: Fraction, width: Fraction | int, height: Fraction | int
    ) -> tuple[Fraction, Fraction]:
        """Return where a point of the stored picture lies in the upright one; width and height are the stored."""
        x = width - x if self.orientation in (2, 3, 7, 8) else x
        y = height - y if self.orientation in (3, 4, 6, 7) else y
        return (y, x) if self.swapped else (x, y)

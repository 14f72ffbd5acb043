"""Where on the earth the pixels of a picture lie, and how that changes when the picture is enlarged."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from upscale_cli.image.change import Change
from upscale_cli.methods.framed import shift


class Georeference(NamedTuple):
    """The georeference of a TIFF page: a record that is built by keyword. Source: OGC, "GeoTIFF Standard 1.1", 2019.

    Attributes
    ----------
    pixel_scale : tuple of float
        The size of a pixel in the units of the map, (x, y, z); empty if it is not given.
    tie_points : tuple of float
        (column, row, 0, x, y, z) of each point that is known.
    transformation : tuple of float
        A 4 × 4 matrix from (column, row, 0, 1) to (x, y, z, 1), by rows.
    centres : bool
        Column and row 0 are the centre of the first pixel, and not its upper left corner (`RasterPixelIsPoint`).
    rational : tuple of float
        92 numbers of rational polynomials from the ground to (column, row), which are counted from the centre of
        the first pixel ("RPCs in GeoTIFF", geotiff.maptools.org): the third and fourth are the offsets of rows and
        columns, the eighth and ninth their scales.
    others : mapping
        Further tags, which stay as they are.
    """

    pixel_scale: tuple[float, ...] = ()
    tie_points: tuple[float, ...] = ()
    transformation: tuple[float, ...] = ()
    centres: bool = False
    rational: tuple[float, ...] = ()
    others: Mapping[int, Any] = {}

    def resized(self, change: Change) -> "Georeference":
        """Return the georeference of the enlarged picture, which covers the same ground.

        A place `c` that is counted from the corner of the picture becomes `c · s`; one that is counted from the
        centre of the first pixel, `(c + ½) · s − ½`. If the result is a part of that, or has a border, it begins
        elsewhere.

        >>> small = Georeference(pixel_scale=(10.0, 10.0, 0.0), tie_points=(0.0, 0.0, 0.0, 500.0, 900.0, 0.0))
        >>> large = small.resized(Change((20, 30), (80, 120)))
        >>> large.pixel_scale, large.tie_points
        ((2.5, 2.5, 0.0), (0.0, 0.0, 0.0, 500.0, 900.0, 0.0))
        >>> small.resized(Change((20, 30), (80, 120), framed=(80, 100))).tie_points
        (-10.0, 0.0, 0.0, 500.0, 900.0, 0.0)
        """
        down, across = (new / old for new, old in zip(change.after, change.before, strict=True))
        top, left = shift(change.after, change.size)
        half = 0.5 if self.centres else 0.0
        points = list(self.tie_points)
        points[0::6] = [(column + half) * across - half - left for column in points[0::6]]
        points[1::6] = [(row + half) * down - half - top for row in points[1::6]]
        matrix = list(self.transformation)
        for line in range(0, len(matrix), 4):
            # Of the inverse: c = (c' + left + ½) / s − ½.
            x, y, _, begin = matrix[line : line + 4]
            begin += x * ((half + left) / across - half) + y * ((half + top) / down - half)
            matrix[line], matrix[line + 1], matrix[line + 3] = x / across, y / down, begin
        scale = self.pixel_scale
        if len(scale) >= 2:
            scale = (scale[0] / across, scale[1] / down, *scale[2:])
        rational = list(self.rational)
        for place, factor, begin in ((2, down, top), (3, across, left)) if rational else ():
            rational[place] = (rational[place] + 0.5) * factor - 0.5 - begin
            rational[place + 5] *= factor
        return self._replace(
            pixel_scale=scale,
            tie_points=tuple(points),
            transformation=tuple(matrix),
            rational=tuple(rational),
        )

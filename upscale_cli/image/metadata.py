"""Everything about an image that is not pixels, and what of it changes when the image is enlarged."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from upscale_cli.image.georeference import Georeference
from upscale_cli.methods.method import Size


class Metadata(NamedTuple):
    r"""Everything about an image that is not pixels.

    Attributes
    ----------
    icc, exif, xmp : bytes or None
        As they stand in a file; EXIF without its `Exif\0\0` prefix.
    dpi : (float, float) or None
        Horizontal and vertical pixels per inch.
    text : dict
        Keywords and texts of a PNG.
    comment : bytes or None
        The comment of a JPEG or GIF.
    plays : int or None
        How often an animation is shown; 0 for ever, None if the file does not say it or is no animation.
    colour : tuple of (bytes, bytes)
        The chunks of a PNG that define its colours: sRGB, gAMA, cHRM.
    still : bool
        The first picture is not part of the animation: viewers that cannot show the animation show it instead.
    orientation : int
        The EXIF orientation of the source, 1 … 8. Its pixels are upright already.
    aspect : (int, int) or None
        Pixels per length across and down, where the length is not known: the pixels are not square.
    titles : mapping
        The names of a TIFF page and of its document, by their tags.
    geo : Georeference or None
        Where on the earth it lies.
    no_data : float or None
        The value of cells without data.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = {}
    comment: bytes | None = None
    plays: int | None = None
    colour: tuple[tuple[bytes, bytes], ...] = ()
    still: bool = False
    orientation: int = 1
    aspect: tuple[int, int] | None = None
    titles: Mapping[int, bytes] = {}
    geo: Georeference | None = None
    no_data: float | None = None

    def stripped(self) -> "Metadata":
        """Return only what is needed to show the pixels: their colours, and the timing of an animation."""
        return Metadata(icc=self.icc, colour=self.colour, plays=self.plays, still=self.still)

    def present(self) -> dict[str, Any]:
        """Return what there is of the metadata that formats can store, by name."""
        names = ("icc", "exif", "xmp", "dpi", "aspect", "text", "comment", "titles", "geo")
        present = {name: value for name in names if (value := getattr(self, name))}
        if self.plays is not None:
            present["loop"] = self.plays
        # Viewers assume a gamma of 0.45455: losing that one changes nothing.
        gamma = dict(self.colour).get(b"gAMA")
        if gamma is not None and self.icc is None and not 0.45 < int.from_bytes(gamma) / 1e5 < 0.46:
            present["gamma"] = gamma
        return present


NAMES = {
    "icc": "colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "dpi": "resolution (DPI)",
    "text": "text entries",
    "comment": "comment",
    "gamma": "gamma",
    "loop": "loop count",
    "durations": "frame durations",
    "aspect": "pixel aspect ratio",
    "titles": "page names",
    "geo": "georeference",
}
"""What people call the metadata that formats can store."""


def resized(metadata: Metadata, before: Size, after: Size) -> Metadata:
    """Return the metadata of the enlarged image: it is upright, and its sizes are the new ones.

    Parameters
    ----------
    before, after : (int, int)
        Height and width of the upright source, and of the result.
    """
    height, width = after
    if metadata.geo is not None:
        metadata = metadata._replace(geo=metadata.geo.resized(before, after))
    if metadata.xmp is not None:
        metadata = metadata._replace(xmp=_upright(metadata.xmp))
    if metadata.exif is None:
        return metadata
    exif = Image.Exif()
    try:
        exif.load(metadata.exif)
        if ExifTags.Base.Orientation in exif:
            exif[ExifTags.Base.Orientation] = 1
        if ExifTags.IFD.Exif in exif:
            details = exif.get_ifd(ExifTags.IFD.Exif)
            for tag, side in ((ExifTags.Base.ExifImageWidth, width), (ExifTags.Base.ExifImageHeight, height)):
                if tag in details:
                    details[tag] = side
        data = exif.tobytes()
    except Exception:  # Pillow raises anything when it decodes damaged EXIF
        return metadata._replace(exif=None)
    return metadata._replace(exif=data.removeprefix(b"Exif\0\0"))


def _upright(xmp: bytes) -> bytes:
    """Reset XMP's own copy of the orientation, which some viewers prefer to EXIF's."""
    xmp = re.sub(rb'(tiff:Orientation\s*=\s*["\'])[2-8](["\'])', rb"\g<1>1\2", xmp)
    return re.sub(rb"(<tiff:Orientation>\s*)[2-8](\s*</tiff:Orientation>)", rb"\g<1>1\2", xmp)

"""Everything about an image that is not pixels, and what of it changes when the image is enlarged."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from upscale_cli.image.georeference import Georeference
from upscale_cli.methods.method import Size

SRGB_CODES = bytes((1, 13, 0, 1))
"""The payload of a cICP chunk that says sRGB: primaries and transfer of ITU-T H.273, no matrix, full range."""


UNSPECIFIED = 2
"""The number of primaries or a transfer that a file leaves open (ITU-T H.273): viewers take those of sRGB."""


class Metadata(NamedTuple):
    r"""Everything about an image that is not pixels.

    Attributes
    ----------
    icc, exif, xmp : bytes or None
        As they stand in a file; EXIF without its `Exif\0\0` prefix.
    dpi : (float, float) or None
        Horizontal and vertical pixels per inch.
    text : tuple of (bytes, bytes)
        The chunks of a PNG that are texts.
    comment : bytes or None
        The comment of a JPEG or GIF.
    plays : int or None
        How often an animation is shown; 0 for ever, None if the file does not say it or is no animation.
    colour : tuple of (bytes, bytes)
        The chunks of a PNG that define its colours: cICP, sRGB, gAMA, cHRM, mDCV, cLLI, sBIT.
    chunks : tuple of (bytes, bytes)
        Other chunks of a PNG that enlarging leaves right.
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
    text: tuple[tuple[bytes, bytes], ...] = ()
    comment: bytes | None = None
    plays: int | None = None
    colour: tuple[tuple[bytes, bytes], ...] = ()
    chunks: tuple[tuple[bytes, bytes], ...] = ()
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
        names = ("icc", "exif", "xmp", "dpi", "aspect", "text", "comment", "chunks", "titles", "geo")
        present = {name: value for name in names if (value := getattr(self, name))}
        if self.plays is not None:
            present["loop"] = self.plays
        if self.aspect is not None and self.aspect[0] == self.aspect[1]:
            del present["aspect"]
        colour = dict(self.colour)
        codes = colour.get(b"cICP", SRGB_CODES)
        if codes[:2] != SRGB_CODES[:2]:
            present["cicp"] = codes
        if not codes[3]:
            present["range"] = codes
        if hdr := {name: colour[name] for name in (b"mDCV", b"cLLI") if name in colour}:
            present["hdr"] = hdr
        if any(bits not in (8, 16) for bits in colour.get(b"sBIT", b"")):
            present["bits"] = colour[b"sBIT"]
        # Viewers assume a gamma of 0.45455: losing that one changes nothing.
        gamma = None if b"cICP" in colour else colour.get(b"gAMA")
        if gamma is not None and self.icc is None and not 0.45 < int.from_bytes(gamma) / 1e5 < 0.46:
            present["gamma"] = gamma
        return present


NAMES = {
    "icc": "colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "dpi": "resolution (DPI)",
    "aspect": "pixel aspect ratio",
    "text": "text entries",
    "chunks": "further PNG chunks",
    "cicp": "colour space (cICP)",
    "range": "narrow range (cICP)",
    "bits": "significant bits (sBIT)",
    "hdr": "HDR data (mDCV, cLLI)",
    "comment": "comment",
    "gamma": "gamma",
    "loop": "loop count",
    "durations": "frame durations",
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
    metadata = _stretched(metadata, before, after)
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


def _stretched(metadata: Metadata, before: Size, after: Size) -> Metadata:
    """Return metadata whose pixel aspect is that of the upright result, whose factors may differ."""
    if metadata.aspect is None or not all(metadata.aspect):
        return metadata._replace(aspect=None)
    x, y = metadata.aspect if metadata.orientation < 5 else metadata.aspect[::-1]
    # Sides are rounded to whole pixels, so that factors that are nearly the same are meant to be the same.
    if abs(after[1] * before[0] - after[0] * before[1]) > max(before):
        ratio = Fraction(x * after[1] * before[0], y * after[0] * before[1]).limit_denominator(10_000)
        x, y = ratio.numerator, ratio.denominator
    return metadata._replace(aspect=(x, y))


def _upright(xmp: bytes) -> bytes:
    """Reset XMP's own copy of the orientation, which some viewers prefer to EXIF's."""
    xmp = re.sub(rb'(tiff:Orientation\s*=\s*["\'])[2-8](["\'])', rb"\g<1>1\2", xmp)
    return re.sub(rb"(<tiff:Orientation>\s*)[2-8](\s*</tiff:Orientation>)", rb"\g<1>1\2", xmp)

"""What a file says about its image: read from Pillow, put right for the enlarged image, and handed to an encoder."""

import re
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

_DESCRIPTIVE = frozenset(
    int(tag)
    for tag in (
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.Orientation,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.HostComputer,
        ExifTags.Base.Copyright,
        ExifTags.Base.Rating,
        ExifTags.Base.RatingPercent,
        ExifTags.Base.XPTitle,
        ExifTags.Base.XPComment,
        ExifTags.Base.XPAuthor,
        ExifTags.Base.XPKeywords,
        ExifTags.Base.XPSubject,
        ExifTags.IFD.Exif,
        ExifTags.IFD.GPSInfo,
    )
)
"""Tags of a TIFF file that say something about the picture, and not where and how its pixels are stored."""


class Metadata(NamedTuple):
    """Everything about an image that is not pixels.

    Attributes
    ----------
    icc, exif, xmp : bytes or None
        As they stand in a file; EXIF without its `Exif\\0\\0` prefix.
    dpi : (float, float) or None
        Horizontal and vertical pixels an inch.
    text : dict
        Keywords and texts of a PNG.
    comment : bytes or None
        Of a JPEG or GIF.
    loop : int or None
        How often an animation is repeated; 0 for ever, None for once.
    colour : tuple of (bytes, bytes)
        Chunks of a PNG that say what its numbers mean: sRGB, gAMA, cHRM.
    still : bool
        The first picture is no part of the animation: it is for those who cannot show it.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = {}
    comment: bytes | None = None
    loop: int | None = None
    colour: tuple[tuple[bytes, bytes], ...] = ()
    still: bool = False

    def stripped(self) -> "Metadata":
        """Only what the pixels need: what their numbers mean, and how they move."""
        return Metadata(icc=self.icc, colour=self.colour, loop=self.loop, still=self.still)

    def present(self) -> dict[str, Any]:
        """What there is of what formats can keep, by name."""
        names = ("icc", "exif", "xmp", "dpi", "text", "comment", "loop")
        present = {name: value for name in names if (value := getattr(self, name))}
        # What every viewer assumes need not be said.
        gamma = dict(self.colour).get(b"gAMA")
        if gamma is not None and self.icc is None and not 0.45 < int.from_bytes(gamma) / 1e5 < 0.46:
            present["gamma"] = gamma
        return present


def read_metadata(image: Image.Image) -> Metadata:
    """The metadata of a loaded Pillow image. Unreadable EXIF is left out, as every viewer leaves it out."""
    info = image.info
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    text = {}
    if isinstance(image, PngImagePlugin.PngImageFile):
        text = {k: str(v) for k, v in image.text.items() if k != "XML:com.adobe.xmp"}
    comment = info.get("comment")
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=_read_exif(image),
        xmp=xmp or None,
        dpi=_read_dpi(image),
        text=text,
        comment=comment.encode() if isinstance(comment, str) else comment,
        colour=_colour_chunks(info) if image.format == "PNG" else (),
        loop=info.get("loop") if getattr(image, "n_frames", 1) > 1 else None,
        still=bool(info.get("default_image")),
    )


def _colour_chunks(info: dict[str | tuple[int, int], Any]) -> tuple[tuple[bytes, bytes], ...]:
    """The chunks that Pillow has read as floats (PNG, third edition, 11.3.2); a profile speaks for itself."""
    chunks = []
    if "srgb" in info and "icc_profile" not in info:
        chunks.append((b"sRGB", bytes([info["srgb"]])))
    for name, key in ((b"gAMA", "gamma"), (b"cHRM", "chromaticity")):
        values = info.get(key, ())
        values = values if isinstance(values, tuple) else (values,)
        if values:
            chunks.append((name, struct.pack(f">{len(values)}I", *(round(value * 1e5) for value in values))))
    return tuple(chunks)


def read_orientation(image: Image.Image) -> int:
    """The EXIF orientation of a Pillow image, 1 … 8; 1 where there is none that can be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a decoder of a stranger's bytes raises anything
        return 1
    return orientation if orientation in range(1, 9) else 1


def _read_dpi(image: Image.Image) -> tuple[float, float] | None:
    if isinstance(image, TiffImagePlugin.TiffImageFile) and ExifTags.Base.XResolution not in image.tag_v2:
        return None  # Pillow makes it 1
    try:
        x, y = (float(v) for v in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def _read_exif(image: Image.Image) -> bytes | None:
    try:
        exif = image.getexif()
        if image.format == "TIFF":
            for tag in list(exif):
                if tag not in _DESCRIPTIVE:
                    del exif[tag]
        data = exif.tobytes() if len(exif) else b""
    except Exception:  # as above
        return None
    return data.removeprefix(b"Exif\0\0") or None


def _upright(xmp: bytes) -> bytes:
    """XMP with its own copy of the orientation reset, which some viewers prefer to EXIF's."""
    xmp = re.sub(rb'(tiff:Orientation\s*=\s*["\'])[2-8](["\'])', rb"\g<1>1\2", xmp)
    return re.sub(rb"(<tiff:Orientation>\s*)[2-8](\s*</tiff:Orientation>)", rb"\g<1>1\2", xmp)


def resized(metadata: Metadata, width: int, height: int) -> Metadata:
    """Metadata of the enlarged image: it stands upright, and where EXIF named the old size it names the new one."""
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
    except Exception:  # as above
        return metadata._replace(exif=None)
    return metadata._replace(exif=data.removeprefix(b"Exif\0\0"))

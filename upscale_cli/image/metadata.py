"""Everything about an image that is not pixels, and what of it changes when the image is enlarged."""

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from upscale_cli.image import exif, ome, photoshop, xmp
from upscale_cli.image.change import Change
from upscale_cli.image.georeference import Georeference

SRGB_CODES = bytes((1, 13, 0, 1))
"""The payload of a cICP chunk that says sRGB: primaries and transfer of ITU-T H.273, no matrix, full range."""
SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""White, red, green and blue of sRGB, as a cHRM chunk has them: x and y times 100,000 (PNG, section 11.3)."""
CLOSE = 500
"""Primaries that differ by less are the same: files round them to two digits and more."""
UNSPECIFIED = 2
"""The number of primaries or a transfer that a file leaves open (ITU-T H.273): viewers take those of sRGB."""


class Metadata(NamedTuple):
    r"""Everything about an image that is not pixels.

    Attributes
    ----------
    icc, exif, xmp : bytes or None
        As they stand in a file; EXIF without its `Exif\0\0` prefix, XMP as its main packet.
    extended_xmp : bytes or None
        The packet of a JPEG with what its main packet had no room for.
    dpi : (float, float) or None
        Horizontal and vertical pixels per inch.
    photoshop : bytes or None
        Photoshop's image resources, one of which is IPTC; see `image.photoshop`.
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
    calibration : (float, float) or None
        Pixels per length across and down, of a unit that a description names: a microscope's.
    titles : mapping
        The names of a TIFF page and of its document, by their tags.
    geo : Georeference or None
        Where on the earth it lies.
    no_data : float or None
        The value of cells without data.
    ome : bytes or None
        The OME-XML of a TIFF page.
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
    extended_xmp: bytes | None = None
    aspect: tuple[int, int] | None = None
    photoshop: bytes | None = None
    calibration: tuple[float, float] | None = None
    titles: Mapping[int, bytes] = {}
    geo: Georeference | None = None
    no_data: float | None = None
    ome: bytes | None = None

    def stripped(self) -> "Metadata":
        """Return only what is needed to show the pixels: their colours, shape and timing."""
        shown = ("icc", "colour", "aspect", "plays", "still", "orientation")
        return Metadata(**{name: getattr(self, name) for name in shown})

    def present(self) -> dict[str, Any]:
        """Return what there is of the metadata that formats can store, by name."""
        present = {name: value for name in NAMES if (value := getattr(self, name, None))}
        if self.exif and exif.MAKER_NOTE in exif.tags_of(self.exif):
            present["makernote"] = self.exif
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
        if self.icc is not None or not colour.keys().isdisjoint((b"cICP", b"sRGB")):
            return present  # these overrule the following (PNG, section 4.3)
        # Viewers assume a gamma of 0.45455: losing that one changes nothing.
        gamma, primaries = colour.get(b"gAMA"), colour.get(b"cHRM")
        if gamma is not None and not 0.45 < int.from_bytes(gamma) / 1e5 < 0.46:
            present["gamma"] = gamma
        if primaries is not None:
            pairs = zip(struct.unpack(">8I", primaries), SRGB_PRIMARIES, strict=True)
            if any(abs(own - usual) > CLOSE for own, usual in pairs):
                present["primaries"] = primaries
        return present


def colour_codes(primaries: int, transfer: int) -> tuple[tuple[bytes, bytes], ...]:
    """Return the cICP chunk of colours that a file names by ITU-T H.273's numbers; none if they are those of sRGB."""
    if primaries in (SRGB_CODES[0], UNSPECIFIED) and transfer in (SRGB_CODES[1], UNSPECIFIED):
        return ()
    return ((b"cICP", bytes((primaries & 255, transfer & 255, 0, 1))),)


NAMES = {
    "icc": "colour profile",
    "exif": "EXIF",
    "makernote": "MakerNote",
    "xmp": "XMP",
    "extended_xmp": "extended XMP",
    "photoshop": "IPTC and Photoshop data",
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
    "primaries": "primaries (cHRM)",
    "loop": "loop count",
    "durations": "frame durations",
    "calibration": "calibration (pixels per unit)",
    "still": "default image outside the animation",
    "titles": "page names",
    "geo": "georeference",
    "ome": "OME-XML",
}
"""What people call the metadata that formats can store."""


def without_places(metadata: Metadata) -> Metadata:
    """Return the metadata without thumbnails, and without what it says of places in the picture."""
    block, resources = metadata.exif, metadata.photoshop
    return metadata._replace(
        exif=block and exif.without_places(block),
        xmp=metadata.xmp and xmp.without_places(metadata.xmp),
        extended_xmp=metadata.extended_xmp and xmp.without_places(metadata.extended_xmp),
        photoshop=resources and (photoshop.without_thumbnails(resources) or None),
    )


def resized(metadata: Metadata, change: Change) -> Metadata:
    """Return the metadata of the enlarged image: it is upright, and its sizes are the new ones.

    Damaged EXIF is left out, and so is a georeference that the pixels no longer lie on: they were turned, or moved.
    """
    changed: dict[str, Any] = {
        "aspect": _shown_aspect(metadata, change),
        "geo": None if change.moved or metadata.geo is None else metadata.geo.resized(change),
        "ome": metadata.ome and ome.resized(metadata.ome, change),
        "xmp": metadata.xmp and xmp.resized(metadata.xmp, change),
        "extended_xmp": metadata.extended_xmp and xmp.resized(metadata.extended_xmp, change),
        "exif": metadata.exif and exif.resized(metadata.exif, change),
    }
    if metadata.photoshop and change.turned:
        resources = photoshop.without_thumbnails(metadata.photoshop) or None
        changed["photoshop"] = photoshop.lying(resources) if resources and change.swapped else resources
    if metadata.dpi and change.swapped:
        changed["dpi"] = metadata.dpi[::-1]
    if metadata.calibration:
        x, y = metadata.calibration[:: -1 if change.swapped else 1]
        changed["calibration"] = float(x * change.factors[0]), float(y * change.factors[1])
    return metadata._replace(**changed)


def _shown_aspect(metadata: Metadata, change: Change) -> tuple[int, int] | None:
    """Return the pixel aspect of the upright result, whose factors may differ."""
    if metadata.aspect is None or not all(metadata.aspect):
        return None
    aspect = metadata.aspect[::-1] if change.swapped else metadata.aspect
    across, down = change.factors
    # Sides are rounded to whole pixels, so that factors that are nearly the same are meant to be the same.
    if abs(across - down) * change.before[0] * change.before[1] <= max(change.before):
        return aspect
    ratio = (Fraction(*aspect) * across / down).limit_denominator(10_000)
    return max(1, ratio.numerator), ratio.denominator

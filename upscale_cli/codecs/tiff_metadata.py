"""The metadata of a TIFF page, and their tags in a page that is written."""

import io
from fractions import Fraction

from upscale_cli.codecs import tiff_tags as tag
from upscale_cli.codecs.tiff_directories import TYPES, Page, Tag, packed, read_pages
from upscale_cli.errors import UpscaleError
from upscale_cli.image.georeference import Georeference
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.photoshop import iptc_of, with_iptc

RASTER_TYPE, CENTRES = 1025, 2
"""A key of `GEO_KEYS`, and its value for pixels that are points."""
NO_UNIT, INCH, CENTIMETRE = 1, 2, 3
"""Values of the tag `RESOLUTION_UNIT`."""
YCBCR = 6
"""A value of the tag `PHOTOMETRIC`."""
BYTE, ASCII, SHORT, LONG, RATIO, UNDEFINED, DOUBLE = 1, 2, 3, 4, 5, 7, 12
"""Types of tags."""
MOST_NAMES = 12
"""The most tags that a note names."""
DIRECTORIES = {tag.EXIF, tag.GPS, tag.INTEROPERABILITY}
HEADER = b"II*\0\x08\0\0\0"


def read_metadata(page: Page, notes: list[str]) -> Metadata:
    """Return the metadata of a page; add what cannot be read to the notes."""
    exif, text = None, page.data(tag.DESCRIPTION)
    ome = text if text.rstrip(b"\0 \r\n\t").endswith(b"OME>") else None
    sized = text.startswith(b'{"shape"')
    if sized:
        notes.append("its description by tifffile, which says the old size, is left out")
    apart = {tag.DESCRIPTION} if ome or sized else set()
    try:
        if described := _tree(page, page.entries.keys() & tag.DESCRIPTIVE - apart):
            if described.get(tag.EXIF, (0, {}))[1].pop(tag.MAKER_NOTE, None):
                # Its offsets are counted from where it stood.
                notes.append("its MakerNote is left out")
            exif = HEADER + packed(described, len(HEADER))
    except (UpscaleError, ValueError, OverflowError):
        notes.append("its EXIF is damaged and left out")
    x, y = (next(iter(page.values(number)), 0.0) for number in (tag.X_RESOLUTION, tag.Y_RESOLUTION))
    unit = {NO_UNIT: 0.0, CENTIMETRE: 2.54}.get(page.one(tag.RESOLUTION_UNIT, INCH), 1.0)
    if lost := page.entries.keys() - tag.KNOWN - _usual(page):
        names = list(dict.fromkeys(tag.LOST.get(number, f"tag {number}") for number in sorted(lost)))
        names[MOST_NAMES:] = [f"{len(names) - MOST_NAMES:,} more tags"] if len(names) > MOST_NAMES else []
        notes.append(f"its {', '.join(names)} {'is' if len(names) == 1 else 'are'} left out")
    known = 0 < x < 1e6 and 0 < y < 1e6
    # Other programs' numbers without a unit say the shape of pixels alone.
    calibrated = known and not unit and text.startswith(b"ImageJ=")
    shaped = known and not unit and not calibrated and x != y and 1e-4 < x / y < 1e4
    photoshop, iptc = page.data(tag.PHOTOSHOP), page.data(tag.IPTC)
    titles = {number: text for number in tag.NAMES_OF_PAGE if (text := page.data(number))}
    return Metadata(
        icc=page.data(tag.ICC) or None,
        exif=exif,
        xmp=page.data(tag.XMP) or None,
        photoshop=photoshop if not iptc or iptc_of(photoshop) else photoshop + with_iptc(iptc),
        dpi=(x * unit, y * unit) if known and unit else None,
        calibration=(x, y) if calibrated else None,
        aspect=Fraction(x / y).limit_denominator(10_000).as_integer_ratio() if shaped else None,
        titles=titles,
        geo=_georeference(page),
        no_data=_no_data(page),
        ome=ome,
    )


def _usual(page: Page) -> set[int]:
    """Return tags of a page that say what is so without them: TIFF 6.0, sections 8 and 20."""
    usual = {tag.THRESHOLDING} if page.values(tag.THRESHOLDING) == (1,) else set()
    reference, most = page.values(tag.REFERENCE), 2 ** page.one(tag.BITS, 1) - 1
    # YCbCr is stored relative to it, so there it is layout.
    if page.one(tag.PHOTOMETRIC) == YCBCR or reference == (0, most) * (len(reference) // 2):
        usual.add(tag.REFERENCE)
    return usual


def _tree(page: Page, numbers: set[int]) -> dict[int, Tag]:
    """Return some tags of a directory, with the directories that they point to in their places."""
    tags = {number: page.tag(number) for number in numbers if page.entries[number][0] in TYPES}
    for number in tags.keys() & DIRECTORIES:
        inner = Page(page.stream, page.one(number))
        # No directory of EXIF points back.
        deeper = DIRECTORIES if number == tag.INTEROPERABILITY else DIRECTORIES - {tag.INTEROPERABILITY}
        tags[number] = LONG, _tree(inner, inner.entries.keys() - deeper)
    return tags


def _georeference(page: Page) -> Georeference | None:
    """Return where a page lies on the earth; None if it does not say it."""
    numbers = page.entries.keys() & set(tag.GEOGRAPHIC)
    if not numbers:
        return None
    keys = page.integers(tag.GEO_KEYS)
    listed = [keys[start : start + 4] for start in range(4, len(keys), 4)]
    own = {tag.PIXEL_SCALE, tag.TIE_POINTS, tag.TRANSFORMATION, tag.RATIONAL}
    rational = page.values(tag.RATIONAL)
    return Georeference(
        pixel_scale=page.values(tag.PIXEL_SCALE),
        tie_points=page.values(tag.TIE_POINTS),
        transformation=page.values(tag.TRANSFORMATION),
        rational=rational if len(rational) == 92 else (),
        centres=(RASTER_TYPE, 0, 1, CENTRES) in listed,
        others={number: page.tag(number) for number in numbers - own},
    )


def _no_data(page: Page) -> float | None:
    """Return the value of cells without data, which GDAL writes as a text; None if there is none."""
    try:
        return float(page.data(tag.NO_DATA).strip(b" \0"))
    except ValueError:
        return None


def tags_of(metadata: Metadata) -> dict[int, Tag]:
    """Return metadata as tags of a page.

    Raises
    ------
    UpscaleError
        If the EXIF block is damaged.
    """
    tags = _exif_tags(metadata.exif) if metadata.exif else {}
    if metadata.icc:
        tags[tag.ICC] = UNDEFINED, metadata.icc
    if metadata.xmp:
        tags[tag.XMP] = BYTE, metadata.xmp
    if metadata.photoshop:
        tags[tag.PHOTOSHOP] = BYTE, metadata.photoshop
        if iptc := iptc_of(metadata.photoshop):
            tags[tag.IPTC] = UNDEFINED, iptc
    if sides := metadata.dpi or metadata.calibration or metadata.aspect:
        for number, side in zip((tag.X_RESOLUTION, tag.Y_RESOLUTION), sides, strict=True):
            # Both parts of a ratio have 32 bits.
            limit = min(10**6, int(2**32 / max(1, side)))
            tags[number] = RATIO, Fraction(side).limit_denominator(limit).as_integer_ratio()
        tags[tag.RESOLUTION_UNIT] = SHORT, (INCH if metadata.dpi else NO_UNIT,)
    if metadata.ome:
        tags[tag.DESCRIPTION] = ASCII, metadata.ome
    tags |= {number: (ASCII, text) for number, text in metadata.titles.items()}
    if metadata.geo is not None:
        geo = metadata.geo
        numbers = {tag.PIXEL_SCALE: geo.pixel_scale, tag.TIE_POINTS: geo.tie_points}
        numbers |= {tag.TRANSFORMATION: geo.transformation, tag.RATIONAL: geo.rational}
        tags |= dict(geo.others) | {number: (DOUBLE, values) for number, values in numbers.items() if values}
    return tags


def _exif_tags(exif: bytes) -> dict[int, Tag]:
    """Return an EXIF block as tags of a page, without those that describe other pixels."""
    try:
        first = next(iter(read_pages(io.BytesIO(exif.removeprefix(b"Exif\0\0")))), None)
        if first is None or not first.complete:
            raise UpscaleError("it has no complete directory")
        private = {number for number in first.entries if number > tag.XMP and number != tag.ICC}
        return _tree(first, private | first.entries.keys() & tag.OF_EXIF)
    except (UpscaleError, ValueError) as error:
        raise UpscaleError(f"has damaged EXIF data ({error}); leave it out with --strip.") from error

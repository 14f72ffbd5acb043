"""Numbers of TIFF tags: TIFF 6.0, section "Tags ordered numerically", and additions of others."""

KIND, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, THRESHOLDING = 254, 256, 257, 258, 259, 262, 263
FILL_ORDER, DOCUMENT_NAME, DESCRIPTION, MAKE, MODEL = 266, 269, 270, 271, 272
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_COUNTS = 273, 274, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR, PAGE_NAME, RESOLUTION_UNIT = 282, 283, 284, 285, 296
SOFTWARE, DATE, ARTIST, HOST, PREDICTOR = 305, 306, 315, 316, 317
COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 320, 322, 323, 324, 325
SUB_DIRECTORIES, INKS, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 330, 332, 338, 339, 347
REFERENCE, XMP = 532, 700
RATING, RATING_PERCENT, DEPTH, TILE_DEPTH, COPYRIGHT = 18246, 18249, 32997, 32998, 33432
IPTC, PHOTOSHOP, EXIF, ICC, GPS, INTEROPERABILITY, DNG = 33723, 34377, 34665, 34675, 34853, 40965, 50706
XP_TITLE, XP_COMMENT, XP_AUTHOR, XP_KEYWORDS, XP_SUBJECT = range(40091, 40096)
MAKER_NOTE = 37500
"""A tag of the EXIF directory."""

PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, GEO_KEYS, GEO_DOUBLES, GEO_TEXTS = 33550, 33922, 34264, 34735, 34736, 34737
GDAL_METADATA, NO_DATA, RATIONAL = 42112, 42113, 50844

_ABOUT = {DESCRIPTION, MAKE, MODEL, ORIENTATION, SOFTWARE, DATE, ARTIST, HOST}

DESCRIPTIVE = frozenset(
    _ABOUT
    | {COPYRIGHT, RATING, RATING_PERCENT, EXIF, GPS}
    | {XP_TITLE, XP_COMMENT, XP_AUTHOR, XP_KEYWORDS, XP_SUBJECT}
)
"""Tags of a TIFF page that describe the picture, and not where and how its pixels are stored."""

OF_EXIF = frozenset(_ABOUT | {DOCUMENT_NAME, X_RESOLUTION, Y_RESOLUTION, PAGE_NAME, RESOLUTION_UNIT})
"""Tags up to `XMP` of an EXIF block that describe the picture."""

LAYOUT = frozenset(
    {KIND, 255, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, 264, 265, FILL_ORDER, STRIP_OFFSETS, SAMPLES, PLANAR}
    | {STRIP_ROWS, STRIP_COUNTS, *range(288, 291), 292, 293, 297, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT}
    | {TILE_OFFSETS, TILE_COUNTS, *range(326, 329), SUB_DIRECTORIES, INKS, 334, EXTRA_SAMPLES, SAMPLE_FORMAT}
    | {JPEG_TABLES, *range(512, 522), *range(529, 532), 559, 32995, 32996, DEPTH, TILE_DEPTH, 34908, 34909, 50674}
)
"""Tags that say where and how pixels are stored: sections 3 to 23 of TIFF 6.0, and additions for compressions."""
LOST = {
    11: "processing software",
    THRESHOLDING: "thresholding",
    280: "smallest and largest value",
    281: "smallest and largest value",
    286: "position",
    287: "position",
    291: "grey response curve",
    301: "transfer function",
    318: "white point",
    319: "chromaticity of primaries",
    321: "halftone range",
    333: "ink description",
    336: "ink description",
    337: "target printer",
    340: "smallest and largest value",
    341: "smallest and largest value",
    REFERENCE: "reference black and white",
    37439: "luminance scale (StoNits)",
    37724: "Photoshop layers",
    50838: "ImageJ data (labels, ranges, overlays)",
    50839: "ImageJ data (labels, ranges, overlays)",
}
"""Tags that are not kept, and what people call them."""
NAMES_OF_PAGE = (DOCUMENT_NAME, PAGE_NAME)
GEOGRAPHIC = frozenset(
    (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, GEO_KEYS, GEO_DOUBLES, GEO_TEXTS, GDAL_METADATA, NO_DATA, RATIONAL)
)
"""Tags of GeoTIFF 1.1 and of GDAL that place a picture on the earth, or say what its values mean."""

RESOLUTION = frozenset((X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT))
KNOWN = LAYOUT | DESCRIPTIVE | RESOLUTION | {XMP, IPTC, PHOTOSHOP, ICC, INTEROPERABILITY, *NAMES_OF_PAGE, *GEOGRAPHIC}
"""Tags that are kept, or made anew."""

"""Files that are not read, by their first bytes: what they are, and what to do with them. No parser starts."""

import re
from typing import NamedTuple

RASTER = "convert it to PNG or TIFF first"
FRAMES = "extract its frames as PNG files first: ffmpeg -i FILE frame-%04d.png"
DRAWING = "draw it as a PNG at the size that you need, which is sharper than enlarging: "
SCIENCE = "save its image as .npy or TIFF first"
RAW = "develop it to a 16-bit TIFF first, with darktable or RawTherapee"
EXPORT = "open it in its program and export a PNG or TIFF"
ARCHIVE = "unpack it first"


class Foreign(NamedTuple):
    """A kind of files: what people call it, what to do with it, how it begins, and where that stands."""

    what: str
    way: str
    starts: tuple[bytes, ...]
    at: int = 0


FOREIGN = (
    Foreign("a PDF document", DRAWING + "pdftoppm -png -r 600 FILE page", (b"%PDF-",)),
    Foreign("a PostScript file (EPS)", DRAWING + "gs does it", (b"%!PS", b"\xc5\xd0\xd3\xc6", b"\x04%!PS")),
    Foreign("a Windows metafile (WMF)", DRAWING + "Inkscape does it", (b"\xd7\xcd\xc6\x9a", b"\1\0\x09\0\0\3")),
    Foreign("a Windows metafile (EMF)", DRAWING + "Inkscape does it", (b" EMF",), 40),
    Foreign("an OpenEXR image", f"{RASTER}, or its channels to .npy", (b"v/1\x01",)),
    Foreign("a Radiance HDR image", f"{RASTER}, or its values to .npy", (b"#?RADIANCE", b"#?RGBE")),
    Foreign("a PFM image in colour", f"{RASTER}, or its values to .npy", (b"PF\n", b"PF ")),
    Foreign("a camera's raw file (Canon CR2)", RAW, (b"CR\2",), 8),
    Foreign("a camera's raw file (Canon CR3)", RAW, (b"ftypcrx ",), 4),
    Foreign("a camera's raw file (Canon CRW)", RAW, (b"HEAPCCDR",), 6),
    Foreign("a camera's raw file (Olympus ORF)", RAW, (b"IIRO", b"IIRS", b"MMOR")),
    Foreign("a camera's raw file (RAF, RW2, MRW, X3F)", RAW, (b"FUJIFILMCCD-RAW", b"IIU\0", b"\0MRM", b"FOVb")),
    Foreign("a FITS image", SCIENCE, (b"SIMPLE  =",)),
    Foreign("an HDF5 or NetCDF file", SCIENCE, (b"\x89HDF\r\n\x1a\n", b"CDF\1", b"CDF\2", b"CDF\5")),
    Foreign("a JPEG XR image", RASTER, (b"II\xbc",)),
    Foreign("a JPEG-LS image", RASTER, (b"\xff\xd8\xff\xf7",)),
    Foreign("a QOI image", RASTER, (b"qoif",)),
    Foreign("a DDS texture", RASTER, (b"DDS ",)),
    Foreign("a KTX texture", RASTER, (b"\xabKTX ",)),
    Foreign("a BLP texture", RASTER, (b"BLP1", b"BLP2")),
    Foreign("a BPG or FLIF image", RASTER, (b"BPG\xfb", b"FLIF")),
    Foreign("a DjVu document", RASTER, (b"AT&TFORM",)),
    Foreign("a Farbfeld or Sun raster image", RASTER, (b"farbfeld", b"\x59\xa6\x6a\x95")),
    Foreign("an XPM or XBM image", RASTER, (b"/* XPM */", b"#define ")),
    Foreign("an Amiga image (IFF)", RASTER, (b"ILBM", b"PBM "), 8),
    Foreign("a Macintosh icon (ICNS)", RASTER, (b"icns",)),
    Foreign("an animated cursor (ANI)", RASTER, (b"ACON",), 8),
    Foreign("a large Photoshop document (PSB)", EXPORT, (b"8BPS\0\2",)),
    Foreign("a GIMP image (XCF)", EXPORT, (b"gimp xcf",)),
    Foreign("a Krita image", EXPORT, (b"mimetypeapplication/x-krita",), 30),
    Foreign("an OpenRaster image", EXPORT, (b"mimetypeimage/openraster",), 30),
    Foreign("an Office document", EXPORT, (b"mimetypeapplication/vnd.oasis",), 30),
    Foreign("an Office document", EXPORT, (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)),
    Foreign("a film (MOV)", FRAMES, (b"ftypqt", b"moov", b"mdat", b"wide", b"skip"), 4),
    Foreign("a film (MP4)", FRAMES, (b"ftyp",), 4),
    Foreign("a film (AVI)", FRAMES, (b"AVI ",), 8),
    Foreign("a film (MKV, WebM, FLV)", FRAMES, (b"\x1a\x45\xdf\xa3", b"FLV\1")),
    Foreign("a film (MPEG)", FRAMES, (b"\0\0\1\xba", b"\0\0\1\xb3")),
    Foreign("a film (Y4M)", "enlarge it alone: upscale FILE", (b"YUV4MPEG2",)),
    Foreign("a film (WMV)", FRAMES, (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",)),
    Foreign("a film (FLI, FLC)", FRAMES, (b"\x11\xaf", b"\x12\xaf"), 4),
    Foreign("an animation (MNG)", FRAMES, (b"\x8aMNG",)),
    Foreign("a ZIP archive", ARCHIVE, (b"PK\3\4",)),
    Foreign("an archive (gzip, bzip2, xz, zstd)", ARCHIVE, (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd")),
    Foreign("an archive (7z, RAR)", ARCHIVE, (b"7z\xbc\xaf", b"Rar!")),
)
"""The first row that fits says it: those of a longer beginning stand before those of a part of it."""

PATTERNS = (
    (rb"<(.*<)?svg[\s>]", "an SVG drawing", DRAWING + "rsvg-convert -w WIDTH FILE -o FILE.png, or Inkscape"),
    (rb"<(.*<)?(!doctype html|html|head)\b", "a web page", "download the image itself"),
    (rb"PK\x03\x04.{26}[^/]{1,200}\.npy", "an archive of arrays (.npz)", "save one of its arrays as .npy first"),
)
"""Texts by what stands behind declarations and comments, and archives by the name of their first file."""


def what_it_is(head: bytes) -> str | None:
    """Return what a file is that begins with `HEAD` bytes and what to do, as the end of a sentence; None if unknown.

    >>> what_it_is(b"%PDF-1.7")
    'is a PDF document, which is not supported; draw it as a PNG at the size that you need, which is sharper than \
enlarging: pdftoppm -png -r 600 FILE page.'
    """
    found = next(((row.what, row.way) for row in FOREIGN if head.startswith(row.starts, row.at)), None)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    patterns = ((what, way) for pattern, what, way in PATTERNS if re.match(pattern, text, re.IGNORECASE | re.DOTALL))
    found = next(patterns, found)
    return f"is {found[0]}, which is not supported; {found[1]}." if found else None

"""The file formats, one row of `FORMATS` each.

The table is an allow-list: no parser starts that nobody asked for (EPS would run Ghostscript). It is plain Python: a
format's codec is imported when a file of that format is opened or written.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.sniffing import (
    any_avif,
    any_heif,
    any_icon,
    any_jpeg,
    any_nifti,
    any_packed_nifti,
    any_tga,
    any_tiff,
    has,
)
from upscale_cli.codecs.timing import Timing
from upscale_cli.plugins import Registry

if TYPE_CHECKING:
    from upscale_cli.image.pixels import Kind


def _kinds(**depths: str) -> "frozenset[Kind]":
    return frozenset((mode, depth) for depth, modes in depths.items() for mode in modes.split())


def _only_read(name: str, title: str, sniff: Callable[[bytes], bool], extensions: tuple[str, ...]) -> Format:
    return Format(name, title, f"upscale_cli.codecs.{name}", sniff=sniff, extensions=extensions)


def _nifti(name: str, title: str, sniff: Callable[[bytes], bool], extension: str) -> Format:
    return Format(
        name,
        title,
        "upscale_cli.codecs.nifti",
        sniff=sniff,
        extensions=(extension,),
        volumes=True,
        longest=32_767,
        frames=True,
        strips="all",
    )


NUMBERS = (*(f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64)), "float16", "float32", "float64")
"""NumPy's numeric types that files store."""

_PHOTO = frozenset({"icc", "exif", "makernote", "xmp"})
_OF_PNG = frozenset(
    {"dpi", "aspect", "text", "comment", "chunks", "gamma", "primaries", "cicp", "range", "hdr", "bits"}
)

_ROWS = (
    Format(
        name="png",
        title="PNG",
        codec="upscale_cli.codecs.png",
        sniff=has(b"\x89PNG\r\n\x1a\n"),
        extensions=(".png", ".apng"),
        stores=_kinds(bool="L", uint8="L LA RGB RGBA P", uint16="L LA RGB RGBA"),
        clear="any",
        frames=True,
        timing=Timing(longest=65_535_000),
        compressions=("fast", "small"),
        strips="one",
        keeps=_OF_PNG | _PHOTO | {"loop", "durations", "still"},
    ),
    Format(
        name="jpeg",
        title="JPEG",
        codec="upscale_cli.codecs.jpeg",
        sniff=any_jpeg,
        extensions=(".jpg", ".jpeg", ".jpe", ".jfif"),
        stores=_kinds(uint8="L RGB CMYK"),
        longest=65_500,
        lossy=True,
        subsampled=True,
        entry=65_500,
        strips="one",
        keeps=_PHOTO | {"extended_xmp", "dpi", "aspect", "photoshop", "comment"},
    ),
    Format(
        name="webp",
        title="WebP",
        codec="upscale_cli.codecs.webp",
        sniff=has(b"WEBPVP8 ", b"WEBPVP8L", b"WEBPVP8X", at=8),
        extensions=(".webp",),
        stores=_kinds(uint8="RGB RGBA"),
        longest=16_383,
        hidden=(False, True),
        frames=True,
        timing=Timing(step=1, longest=2**24 - 1, plays=65_535),
        lossy=True,
        without_loss={},
        encoder=10,
        block=16,
        decoder=4,
        keeps=_PHOTO | {"loop", "durations"},
    ),
    Format(
        name="tiff",
        title="TIFF",
        codec="upscale_cli.codecs.tiff",
        sniff=any_tiff,
        extensions=(".tif", ".tiff"),
        stores=_kinds(bool="L", **dict.fromkeys(NUMBERS, "L LA RGB RGBA CMYK")) | _kinds(uint8="P"),
        bands=True,
        frames=True,
        compressions=("deflate", "none", "lzw", "zstd"),
        strips="all",
        keeps=frozenset({"icc", "exif", "xmp", "dpi", "aspect", "photoshop", "titles", "calibration", "geo", "ome"}),
    ),
    Format(
        name="gif",
        title="GIF",
        codec="upscale_cli.codecs.gif",
        sniff=has(b"GIF87a", b"GIF89a"),
        extensions=(".gif",),
        stores=_kinds(bool="L", uint8="L P"),
        longest=65_535,
        clear="one",
        hidden=(True, True),
        frames=True,
        # It stores repeats in 16 bits.
        timing=Timing(step=10, longest=655_350, plays=65_536),
        encoder=14,
        retained=1,
        keeps=frozenset({"comment", "loop", "durations"}),
    ),
    Format(
        name="bmp",
        title="BMP",
        codec="upscale_cli.codecs.bmp",
        sniff=has(b"BM", *(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))),
        extensions=(".bmp", ".dib"),
        stores=_kinds(bool="L", uint8="L RGB P"),
        keeps=frozenset({"dpi"}),
    ),
    Format(
        name="avif",
        title="AVIF",
        codec="upscale_cli.codecs.avif",
        sniff=any_avif,
        extensions=(".avif",),
        stores=_kinds(uint8="L RGB RGBA"),
        longest=32_768,
        frames=True,
        timing=Timing(step=1, plays=0),
        lossy=True,
        subsampled=True,
        # imagecodecs writes it, which stores pixels alone.
        without_loss={"frames": False, "keeps": frozenset({"cicp"})},
        encoder=15,
        block=64,
        decoder=2,
        keeps=_PHOTO | {"cicp", "durations"},
    ),
    Format(
        name="ppm",
        title="PPM",
        codec="upscale_cli.codecs.ppm",
        sniff=has(*(b"P%c" % letter for letter in b"0123456fy")),
        extensions=(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
        stores=_kinds(bool="L", uint8="L RGB", uint16="L RGB", float32="L"),
    ),
    Format(
        name="pam",
        title="PAM",
        codec="upscale_cli.codecs.pam",
        sniff=has(b"P7\n"),
        extensions=(".pam",),
        stores=_kinds(bool="L", uint8="L LA RGB RGBA", uint16="L LA RGB RGBA"),
    ),
    Format(
        name="jpeg2000",
        title="JPEG 2000",
        codec="upscale_cli.codecs.jpeg2000",
        sniff=has(b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
        extensions=(".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
        stores=_kinds(uint8="L LA RGB RGBA", uint16="L"),
        encoder=15,
        block=16,
        decoder=2,
        keeps=frozenset({"comment", "xmp"}),
    ),
    Format(
        name="tga",
        title="TGA",
        codec="upscale_cli.codecs.tga",
        sniff=any_tga,
        extensions=(".tga",),
        stores=_kinds(bool="L", uint8="L LA RGB RGBA P"),
        longest=65_535,
    ),
    Format(
        name="heif",
        title="HEIC",
        codec="upscale_cli.codecs.heif",
        sniff=any_heif,
        extensions=(".heic", ".heif", ".hif"),
        stores=_kinds(uint8="L RGB RGBA", uint16="L RGB RGBA"),
        longest=16_384,
        lossy=True,
        encoder=15,
        block=64,
        decoder=2,
        keeps=_PHOTO | {"cicp"},
        # Only if it is asked for: few viewers show it.
        without_loss={"deepest": 10},
        deepest=10,
        extra="heif",
        library="pillow_heif",
    ),
    Format(
        name="jxl",
        title="JPEG XL",
        codec="upscale_cli.codecs.jxl",
        sniff=has(b"\xff\n", b"\0\0\0\x0cJXL \r\n\x87\n"),
        extensions=(".jxl",),
        stores=_kinds(uint8="L LA RGB RGBA"),
        lossy=True,
        encoder=15,
        block=16,
        decoder=4,
        keeps=_PHOTO - {"icc"},
        without_loss={},
        extra="jxl",
        library="pillow_jxl",
    ),
    _only_read("ico", "icon", any_icon, (".ico", ".cur")),
    _only_read("psd", "Photoshop", has(b"8BPS\0\1"), (".psd",)),
    _only_read("pcx", "PCX", has(*(b"\n%c\1" % version for version in (0, 2, 3, 4, 5))), (".pcx",)),
    _only_read("sgi", "SGI", has(b"\x01\xda\0", b"\x01\xda\1"), (".sgi", ".rgb", ".rgba", ".bw")),
    _nifti("nifti", "NIfTI", any_nifti, ".nii"),
    _nifti("nii.gz", "NIfTI (.nii.gz)", any_packed_nifti, ".nii.gz"),
    Format(
        name="dicom",
        title="DICOM",
        codec="upscale_cli.codecs.dicom",
        sniff=has(b"DICM", at=128),
        extensions=(".dcm", ".dicom", ".ima"),
        becomes="nii.gz",
        extra="medical",
        library="pydicom",
    ),
    Format(
        name="npy",
        title=".npy",
        codec="upscale_cli.codecs.npy",
        sniff=has(b"\x93NUMPY"),
        extensions=(".npy",),
        arrays=True,
        longest=2**62,
        frames=True,
        strips="all",
    ),
)

FORMATS: Registry[Format] = Registry("upscale_cli.formats", _ROWS, kind=Format)
"""Every format by its name. Formats of installed plug-ins join it when a name or a file is of none of these."""

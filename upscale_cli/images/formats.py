"""The file formats, one row of `FORMATS` each: what a format is called, and what it can hold.

An allow-list: parsers that nobody asked for are never started (EPS would run Ghostscript).
"""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Literal, NamedTuple

from upscale_cli.errors import UpscaleError, UsageError, did_you_mean

Mode = Literal["L", "LA", "RGB", "RGBA", "CMYK", "P"]
Kind = tuple[str, str]
"""Channels and depth of pixels: a `Mode`, and a NumPy type among bool, uint8, uint16, int32, float32."""


class Format(NamedTuple):
    """One row: a file format.

    Attributes
    ----------
    name : str
        As users type it.
    pillow : tuple of str
        Pillow's names for it; the first is the one to write. Empty where Pillow has none.
    extensions : tuple of str
        Lower case, the first is the one to write.
    holds : frozenset of (mode, dtype)
        Which pixels it can hold.
    longest : int
        The largest height or width in pixels.
    clear : {"none", "one", "any"}
        Which colours of a palette can be transparent: none; one, fully; any, by any degree.
    frames : bool
        It can hold several images.
    lossy : bool
        It changes pixels a little, depending on `--quality`.
    entry : int
        Bytes of an entry of EXIF, XMP or comment, at most.
    strips : {"none", "one", "all"}
        Which images are written strip by strip, without a whole frame in memory: none; a single one; every frame.
    encoder : float
        Bytes that a byte of samples takes while a whole frame is encoded, the samples included.
    held : float
        Bytes that a byte of samples takes until the last of several frames is encoded.
    decoder : float
        Bytes that a sample takes while it is decoded, besides the image that comes out.
    keeps : frozenset of str
        The metadata that it can hold, of icc, exif, xmp, dpi, text, comment, gamma, loop, durations.
    """

    name: str
    pillow: tuple[str, ...]
    extensions: tuple[str, ...]
    holds: frozenset[Kind]
    longest: int
    clear: Literal["none", "one", "any"] = "none"
    frames: bool = False
    lossy: bool = False
    entry: int = 2**31 - 1
    strips: Literal["none", "one", "all"] = "none"
    encoder: float = 3.5
    held: float = 2.5
    decoder: float = 0
    keeps: frozenset[str] = frozenset()


def _kinds(**depths: str) -> frozenset[Kind]:
    return frozenset((mode, depth) for depth, modes in depths.items() for mode in modes.split())


_ROWS = (
    Format(
        "png",
        ("PNG",),
        (".png", ".apng"),
        _kinds(bool="L", uint8="L LA RGB RGBA P", uint16="L LA RGB RGBA"),
        2**31 - 1,
        clear="any",
        frames=True,
        strips="one",
        keeps=frozenset({"icc", "exif", "xmp", "dpi", "text", "comment", "gamma", "loop", "durations"}),
    ),
    Format(
        "jpeg",
        ("JPEG", "MPO"),
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        _kinds(uint8="L RGB CMYK"),
        65_500,
        lossy=True,
        entry=65_500,
        keeps=frozenset({"icc", "exif", "xmp", "dpi", "comment"}),
    ),
    Format(
        "webp",
        ("WEBP",),
        (".webp",),
        _kinds(uint8="RGB RGBA"),
        16_383,
        frames=True,
        lossy=True,
        encoder=10,
        decoder=4,
        keeps=frozenset({"icc", "exif", "xmp", "loop", "durations"}),
    ),
    Format(
        "tiff",
        ("TIFF",),
        (".tif", ".tiff"),
        _kinds(bool="L", uint8="L LA RGB RGBA CMYK P", uint16="L LA RGB RGBA CMYK", int32="L", float32="L"),
        2**31 - 1,
        frames=True,
        held=0,
        keeps=frozenset({"icc", "exif", "xmp", "dpi"}),
    ),
    Format(
        "gif",
        ("GIF",),
        (".gif",),
        _kinds(bool="L", uint8="L P"),
        65_535,
        clear="one",
        frames=True,
        encoder=14,
        held=1,
        keeps=frozenset({"comment", "loop", "durations"}),
    ),
    Format(
        "bmp",
        ("BMP", "DIB"),
        (".bmp", ".dib"),
        _kinds(bool="L", uint8="L RGB P"),
        2**31 - 1,
        keeps=frozenset({"dpi"}),
    ),
    Format(
        "avif",
        ("AVIF",),
        (".avif",),
        _kinds(uint8="L RGB RGBA"),
        32_768,
        frames=True,
        lossy=True,
        encoder=15,
        decoder=2,
        keeps=frozenset({"icc", "exif", "xmp", "durations"}),
    ),
    Format(
        "ppm",
        ("PPM",),
        (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
        _kinds(bool="L", uint8="L RGB", uint16="L RGB", float32="L"),
        2**31 - 1,
    ),
    Format(
        "jpeg2000",
        ("JPEG2000",),
        (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
        _kinds(uint8="L LA RGB RGBA", uint16="L"),
        2**31 - 1,
        encoder=15,
        decoder=2,
        keeps=frozenset({"comment"}),
    ),
    Format("tga", ("TGA",), (".tga",), _kinds(bool="L", uint8="L LA RGB RGBA P"), 65_535),
    Format("npy", (), (".npy",), frozenset(), 2**62, frames=True, strips="all"),
)

FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}
"""Every format by its name."""


def find_format(name: str) -> Format:
    """The row of a name or extension that a user typed, without its dot.

    Raises
    ------
    UsageError
        When there is none.

    Examples
    --------
    >>> find_format("JPG").name, find_format("png").name
    ('jpeg', 'png')
    """
    lower = name.lower().lstrip(".")
    for row in _ROWS:
        if lower == row.name or f".{lower}" in row.extensions:
            return row
    raise UsageError(f'no format "{name}".{did_you_mean(lower, FORMATS)} There are {", ".join(FORMATS)}.')


def format_of(path: PurePath) -> Format | None:
    """The format that a path's extension names; None where it names none."""
    extension = path.suffix.lower()
    return next((row for row in _ROWS if extension in row.extensions), None)


def format_of_pillow(name: str | None) -> Format | None:
    """The format that Pillow calls `name`."""
    return next((row for row in _ROWS if name in row.pillow), None)


def pillow_names() -> list[str]:
    """Every format that Pillow may try when it opens a file; its JPEG opener is the one that finds MPO."""
    return [name for row in _ROWS for name in row.pillow if name != "MPO"]


def fit(kind: Kind, format: Format) -> tuple[Kind, str]:
    """The nearest kind of pixels that a format holds, and what is lost, in words; an empty text for nothing.

    Raises
    ------
    UpscaleError
        When the format cannot hold such pixels at all.

    Examples
    --------
    >>> fit(("LA", "uint8"), FORMATS["webp"])
    (('RGBA', 'uint8'), '')
    >>> fit(("RGBA", "uint16"), FORMATS["jpeg"])
    (('RGB', 'uint8'), 'transparency goes onto white, 16 bits a channel become 8')
    """
    mode, depth = kind
    if depth in ("int32", "float32") and kind not in format.holds:
        names = ", ".join(row.name for row in _ROWS if kind in row.holds) or "none"
        raise UpscaleError(f"{depth} pixels do not fit into {format.name}; these formats hold them: {names}, npy.")
    for losses, modes in _nearest(mode, format):
        for loss, depths in _depths(depth):
            for wanted in modes:
                for wide in depths:
                    if (wanted, wide) in format.holds:
                        return (wanted, wide), ", ".join(filter(None, (losses, loss)))
    raise UpscaleError(f"{mode} pixels do not fit into {format.name}; choose another --format.")


def _nearest(mode: str, format: Format) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Modes that can take the place of one, by what is lost."""
    yield (
        "",
        {"L": ("L", "RGB", "LA", "RGBA"), "LA": ("LA", "RGBA"), "RGB": ("RGB", "RGBA")}.get(mode, (mode,)),
    )
    if mode == "CMYK":
        yield "CMYK becomes RGB", ("RGB",)
        yield "CMYK becomes RGB, no more than 256 colours are kept", ("P",)
    if mode == "RGB":
        yield "no more than 256 colours are kept", ("P",)
    if mode in ("LA", "RGBA"):
        if format.clear != "none":
            yield "no more than 256 colours are kept, and transparency is all or nothing", ("P",)
        yield "transparency goes onto white", {"LA": ("L", "RGB")}.get(mode, ("RGB",))


def _depths(depth: str) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Depths that can take the place of one, by what is lost."""
    yield "", {"bool": ("bool", "uint8", "uint16")}.get(depth, (depth,))
    if depth == "uint16":
        yield "16 bits a channel become 8", ("uint8",)

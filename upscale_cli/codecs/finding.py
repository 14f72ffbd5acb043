"""Finding a format: by the name that a user types, by an extension, by content."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePath
from typing import BinaryIO, NamedTuple

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.splitting import ENDS, MANY, Y4M, Incoming
from upscale_cli.errors import UpscaleError, UsageError, did_you_mean, needs_extra


def find_format(name: str) -> Format:
    """Return the format of a name or extension that a user typed for results, with or without its dot.

    Raises
    ------
    UsageError
        If there is none, or it cannot be written.

    Examples
    --------
    >>> find_format("JPG").name, find_format("png").name
    ('jpeg', 'png')
    """
    lower = name.lower().lstrip(".")
    found = FORMATS.get(lower) or format_of(PurePath(f"x.{lower}")) or FORMATS.find(lower)
    if found is None:
        able = [format.name for format in FORMATS.values() if format.writable]
        raise UsageError(f'unknown format "{name}".{did_you_mean(lower, able)} Formats: {", ".join(able)}.')
    return check_writable(found)


def check_writable(format: Format) -> Format:
    """Return a format that is named for results.

    Raises
    ------
    UsageError
        If it is only read, or the libraries that write it are not installed.
    """
    if not format.writable:
        raise UsageError(f"{format.title} files are read but not written; use --format {format.becomes}.")
    if format.extra:
        try:
            format.load_codec()
        except UpscaleError as error:
            raise UsageError(f"{format.title} {needs_extra(format.extra, error.__cause__)}") from error
    return format


def written_for(format: Format) -> Format:
    """Return the format of the results of a source, if none is named: its own, unless that is only read."""
    return format if format.writable else FORMATS[format.becomes]


def format_of(path: PurePath) -> Format | None:
    """Return the format that a path's extension names; None if it names none."""
    return _parts(path.name, len(FORMATS)).format


def extension_of(path: PurePath) -> str:
    """Return the extension of a path, with both dots if a format's has two.

    >>> [extension_of(PurePath(name)) for name in ("brain.t1.nii.gz", "İ.NII.GZ", "a.tar.gz")]
    ['.nii.gz', '.NII.GZ', '.gz']
    """
    return _parts(path.name, len(FORMATS)).extension


def options_of(format: Format) -> frozenset[str]:
    """Return the options of compression that change files of a format.

    >>> sorted(options_of(FORMATS["avif"])), sorted(options_of(FORMATS["png"]))
    (['lossless', 'quality', 'subsampling'], ['compression'])
    """
    lossless = format.without_loss is not None
    own = {"quality": format.lossy or lossless, "lossless": lossless, "compression": bool(format.compressions)}
    return frozenset(name for name, heeded in (own | {"subsampling": format.subsampled}).items() if heeded)


def stem_of(path: PurePath) -> str:
    """Return a file's name without its extension. What follows the last dot may be a part of the name.

    >>> stem_of(PurePath("scan.2024.png")), stem_of(PurePath("photo.heic"))
    ('scan.2024', 'photo')
    >>> stem_of(PurePath("shot.0001")), stem_of(PurePath("St. Anna"))
    ('shot.0001', 'St. Anna')
    """
    return _parts(path.name, len(FORMATS)).stem


class _Parts(NamedTuple):
    format: Format | None
    extension: str
    stem: str


@lru_cache(maxsize=64)
def _parts(name: str, rows: int) -> _Parts:
    """Return what a file's name says, for which a plan asks ten times; plug-ins add `rows` and change the answer."""
    dot, lower = name.rfind("."), name.lower()
    extension = name[dot:] if 0 < dot < len(name) - 1 else ""
    last, second, format = extension[1:], name.rfind(".", 0, dot), None
    if extension:
        # One extension may have two dots. A name that is only an extension is that of a hidden file.
        format = _first(lambda each: lower.endswith(each.extensions) and lower not in each.extensions)
    named = format is not None or (last.isalnum() and not last.isdecimal())
    if format is not None and second > 0 and name[second:].lower() in format.extensions:
        extension = name[second:]
    return _Parts(format, extension, name[: -len(extension)] if named else name)


def format_of_content(head: bytes) -> Format | None:
    """Return the format of a file that begins with `HEAD` bytes; None if they are of no known format."""
    return _first(lambda format: format.sniff(head))


SIGNATURE = 8
"""Bytes that tell whether an image follows another: the smallest has no more."""


def format_in_stream(data: Incoming) -> Format | None:
    """Return the format of the image at hand in a stream, if it is one whose images can follow each other."""
    head = data.starts(SIGNATURE)
    return next((each for each in FORMATS.values() if each.name in ENDS and each.sniff(head)), None)


def holds_several(file: BinaryIO) -> bool:
    """Return whether a file holds several images, as its format allows."""
    data = Incoming(file)
    if data.starts(len(Y4M)) == Y4M:
        return True
    format = format_in_stream(data)
    end = ENDS[format.name](data) if format is not None and format.name in MANY else None
    if end is None:
        return False
    file.seek(end)
    behind = Incoming(file)
    behind.skip_padding()
    return format_in_stream(behind) is not None


def _first(matches: Callable[[Format], bool]) -> Format | None:
    """Return the first format that matches; plug-ins are only asked when no format of this package does."""
    found = next(filter(matches, FORMATS.values()), None)
    if found is None:
        FORMATS.load_plugins()
        found = next(filter(matches, FORMATS.values()), None)
    return found

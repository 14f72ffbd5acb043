"""WebP, by Pillow."""

from collections.abc import Iterator
from typing import BinaryIO

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing, alike


class WebpPicture(PillowPicture):
    """A WebP file."""

    names = ("WEBP",)


def open(stream: BinaryIO, format: Format, reading: Reading) -> WebpPicture:
    """Open a WebP file; see `Codec`."""
    return WebpPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a WebP file, with the colour under transparent pixels; see `Codec`."""
    whole = alike([frame.frame() for frame in frames], how.format)
    save(stream, whole, how, "WEBP", quality=how.quality, exact=True)

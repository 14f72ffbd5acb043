"""BMP and its header-less form DIB, by Pillow."""

from collections.abc import Iterator
from typing import BinaryIO

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing


class BmpPicture(PillowPicture):
    """A BMP file."""

    names = ("BMP", "DIB")


def open(stream: BinaryIO, format: Format, reading: Reading) -> BmpPicture:
    """Open a BMP file; see `Codec`."""
    return BmpPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a BMP file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "BMP")

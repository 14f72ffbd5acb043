"""TGA, by Pillow."""

from collections.abc import Iterator
from typing import BinaryIO

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing


class TgaPicture(PillowPicture):
    """A TGA file."""

    names = ("TGA",)


def open(stream: BinaryIO, format: Format, reading: Reading) -> TgaPicture:
    """Open a TGA file; see `Codec`."""
    return TgaPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a TGA file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "TGA")

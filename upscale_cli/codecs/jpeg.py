"""JPEG, by Pillow. A file of several pictures (MPO) is read as its first."""

from collections.abc import Iterator
from typing import BinaryIO

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, save
from upscale_cli.codecs.writing import Enlarged, Writing


class JpegPicture(PillowPicture):
    """A JPEG file. Pillow's opener of JPEG is the one that finds MPO."""

    names = ("JPEG",)


def open(stream: BinaryIO, format: Format, reading: Reading) -> JpegPicture:
    """Open a JPEG file; see `Codec`."""
    return JpegPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a JPEG file, its colour at full resolution; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "JPEG", quality=how.quality, subsampling=0)

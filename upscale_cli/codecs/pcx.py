"""PCX, by Pillow. It is only read."""

from typing import BinaryIO

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture


class PcxPicture(PillowPicture):
    """A PCX file."""

    names = ("PCX",)


def open(stream: BinaryIO, format: Format, reading: Reading) -> PcxPicture:
    """Open a PCX file; see `Codec`."""
    return PcxPicture(stream, format, reading)

"""SGI, by Pillow. It is only read."""

from typing import BinaryIO

from PIL import Image

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture
from upscale_cli.errors import UpscaleError


class SgiPicture(PillowPicture):
    """A SGI file."""

    names = ("SGI",)

    def bits(self, image: Image.Image) -> int:
        self.stream.seek(3)
        return 8 * self.stream.read(1)[0]

    def check_complete(self) -> None:
        self.stream.seek(104)
        if any(self.stream.read(4)):
            raise UpscaleError("is an SGI image of a kind that is not supported: its samples are indices.")


def open(stream: BinaryIO, format: Format, reading: Reading) -> SgiPicture:
    """Open a SGI file; see `Codec`."""
    return SgiPicture(stream, format, reading)

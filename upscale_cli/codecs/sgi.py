"""SGI, by Pillow. It is only read."""

from PIL import Image

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


open = SgiPicture

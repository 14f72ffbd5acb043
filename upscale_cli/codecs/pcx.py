"""PCX, by Pillow. It is only read."""

from upscale_cli.codecs.pillow import PillowPicture


class PcxPicture(PillowPicture):
    """A PCX file."""

    names = ("PCX",)


open = PcxPicture

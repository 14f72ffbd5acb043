"""Photoshop files: the flattened picture of 8-bit grey or RGB, by Pillow. They are only read."""

import struct

from PIL import Image
from PIL.PsdImagePlugin import PsdImageFile

from upscale_cli.codecs.pillow import PillowPicture
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame

MODES = {0: "bitmap", 1: "grey", 2: "indexed", 3: "RGB", 4: "CMYK", 7: "multichannel", 8: "duotone", 9: "Lab"}
CHANNELS = {1: 1, 3: 3}
"""The channels of the modes that are read."""
RESOLUTION, PROFILE, VERSION_INFO, EXIF, XMP = 1005, 1039, 1057, 1058, 1060
"""Numbers of resources. The fifth byte of the version's says whether there is a flattened picture."""


class PsdPicture(PillowPicture):
    """A PSD file (Adobe, "Photoshop File Formats Specification", 2019)."""

    names = ("PSD",)

    def open_image(self) -> Image.Image:
        channels, bits, mode = struct.unpack(">12xH8x2H", self.stream.read(26))
        if mode not in CHANNELS or bits != 8:
            _refuse(f"of {bits} bit{'s' * (bits > 1)} in the mode {MODES.get(mode, f'number {mode}')}")
        layers = self._layers()
        if layers < 0:
            _refuse("whose flattened picture is transparent")
        self.stream.seek(0)
        image = super().open_image()
        assert isinstance(image, PsdImageFile)
        self._resources = {number: data for number, _, data in image.resources}
        if self._resources.get(VERSION_INFO, b"")[4:5] == b"\0":
            _refuse("without a flattened picture, only with layers")
        if layers:
            self.notes.append("its layers are left out: the flattened picture is enlarged")
        if channels > CHANNELS[mode]:
            self.notes.append("its channels besides colour are left out")
        return image

    def frame_count(self) -> int:
        # Pillow counts layers.
        return 1

    def read(self, image: Image.Image, index: int) -> Frame:
        frame = super().read(image, index)
        # Pillow takes the fourth channel, whatever it is, for opacity.
        return frame._replace(samples=frame.samples[:, :, :3], mode="RGB") if frame.mode == "RGBA" else frame

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        icc, exif, xmp = (self._resources.get(number) or None for number in (PROFILE, EXIF, XMP))
        # In units of 1/65536 pixels per inch, whatever is shown.
        x, y = struct.unpack_from(">I4xI", self._resources.get(RESOLUTION, b"").ljust(12, b"\0"))
        return Metadata(icc=icc, exif=exif, xmp=xmp, dpi=(x / 65536, y / 65536) if x and y else None)

    def _layers(self) -> int:
        """Return the number of layers, negative if the flattened picture has transparency."""
        for _ in range(2):
            self.stream.seek(int.from_bytes(self.stream.read(4)), 1)
        section, information, count = struct.unpack(">IIh", self.stream.read(10).ljust(10, b"\0"))
        return count if section and information else 0


def _refuse(what: str) -> None:
    raise UpscaleError(
        f"is a Photoshop file {what}, which is not supported; save it as PNG or TIFF in Photoshop first."
    )


open = PsdPicture

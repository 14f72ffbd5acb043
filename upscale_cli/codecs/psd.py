"""Photoshop files: the flattened picture that they contain, by Pillow. They are only read."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.PsdImagePlugin import PsdImageFile

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame

MODES = {0: "bitmap", 1: "grey", 2: "indexed", 3: "RGB", 4: "CMYK", 7: "multichannel", 8: "duotone", 9: "Lab"}
CHANNELS = {0: 1, 1: 1, 2: 1, 3: 3, 4: 4}
"""The channels of the modes that are read."""
RESOLUTION, PROFILE, VERSION_INFO, EXIF, XMP = 1005, 1039, 1057, 1058, 1060
"""Numbers of resources. The fifth byte of the version's says whether there is a flattened picture."""
EXPORT = "save it as PNG or TIFF in Photoshop first"


class PsdPicture(PillowPicture):
    """A PSD file (Adobe, "Photoshop File Formats Specification", 2019)."""

    names = ("PSD",)

    def open_image(self) -> Image.Image:
        head = self.stream.read(26)
        channels, _, _, bits, mode = struct.unpack(">H2I2H", head[12:])
        if mode not in CHANNELS or bits not in (1, 8):
            kind = MODES.get(mode, f"number {mode}")
            raise UpscaleError(
                f"is a Photoshop file of {bits} bits in the mode {kind}, which is not supported; {EXPORT}."
            )
        self.stream.seek(0)
        image = super().open_image()
        assert isinstance(image, PsdImageFile)
        self._resources = {number: data for number, _, data in image.resources}
        if self._resources.get(VERSION_INFO, b"")[4:5] == b"\0":
            raise UpscaleError(f"is a Photoshop file without a flattened picture, only with layers; {EXPORT}.")
        layers, known = self._layers(), len(image.getbands())
        self._clear = layers < 0 and image.mode == "RGBA"
        if layers:
            self.notes.append("its layers are left out: the flattened picture is enlarged")
        if layers < 0 and not self._clear:
            raise UpscaleError(f"is a Photoshop file of transparent {MODES[mode]}, which is not supported; {EXPORT}.")
        if channels > known or (image.mode == "RGBA" and not self._clear):
            self.notes.append("its channels besides colour and transparency are left out")
        return image

    def frame_count(self) -> int:
        # Pillow counts layers.
        return 1

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        icc, exif, xmp = (self._resources.get(number) or None for number in (PROFILE, EXIF, XMP))
        dpi = None
        if len(told := self._resources.get(RESOLUTION, b"")) >= 12:
            # In units of 1/65536 pixels per inch, whatever is shown.
            x, y = struct.unpack_from(">I4xI", told)
            dpi = (x / 65536, y / 65536) if x and y else None
        return Metadata(icc=icc, exif=exif, xmp=xmp, dpi=dpi)

    def _layers(self) -> int:
        """Return the number of layers, negative if the flattened picture has transparency."""
        at = 26
        for _ in range(2):
            self.stream.seek(at)
            at += 4 + int.from_bytes(self.stream.read(4))
        self.stream.seek(at)
        section, information, count = struct.unpack(">IIh", self.stream.read(10).ljust(10, b"\0"))
        return count if section and information else 0

    def decode(self) -> Iterator[Frame]:
        for frame in super().decode():
            if frame.samples.dtype == bool:
                # A bitmap's ones are black, which Pillow takes for white.
                yield frame._replace(samples=~frame.samples)
            else:
                yield self._unblended(frame) if frame.mode == "RGBA" else frame

    def _unblended(self, frame: Frame) -> Frame:
        """Return a frame without what is not its transparency, and without the white that Photoshop flattens onto."""
        colour, alpha = frame.samples[:, :, :3].astype(np.int32), frame.samples[:, :, 3:].astype(np.int32)
        if not self._clear:
            return frame._replace(samples=frame.samples[:, :, :3], mode="RGB")
        if (colour >= 255 - alpha).all():
            colour = ((colour + alpha - 255) * 255 + alpha // 2) // np.maximum(alpha, 1)
        return frame._replace(samples=np.concatenate([colour, alpha], axis=2).astype(np.uint8))


def open(stream: BinaryIO, format: Format, reading: Reading) -> PsdPicture:
    """Open a PSD file; see `Codec`."""
    return PsdPicture(stream, format, reading)

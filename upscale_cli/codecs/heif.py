"""HEIC and other HEIF files, by pillow-heif (libheif), which is the extra `heif`."""

from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import numpy as np
import pillow_heif

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, Mode, divided_by_alpha, full_depth

SRGB = (1, 13)
"""Colour primaries and transfer characteristics of sRGB (ITU-T H.273)."""
UNSPECIFIED = (0, 2)


class HeifPicture(Picture):
    """The primary picture of a HEIF file.

    libheif turns it as the file's own properties say; the orientation in EXIF repeats them, and is not applied again
    (ISO/IEC 23008-12, A.2.1).
    """

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        try:
            # Samples of more than 8 bits stay as they are, to be scaled here.
            self._file = pillow_heif.open_heif(stream.read(), convert_hdr_to_8bit=False, hdr_to_16bit=False)
        except (ValueError, EOFError, SyntaxError) as error:
            raise UpscaleError(f"cannot be read as HEIC: {_reason(error)}.") from None
        if not len(self._file):
            raise UpscaleError(
                "is a HEIF file of a kind that is not supported: its pictures are not compressed by HEVC; "
                "convert it to PNG or TIFF first."
            )
        self.count, (self.width, self.height) = 1, self._file.size
        self._mode, _, bits = self._file.mode.partition(";")
        self._bits = int(bits or 8)
        self._grey = self._mode == "I"
        self.channels = 1 if self._grey else len(self._mode)
        self.itemsize = 1 if self._bits == 8 else 2
        # To spread 10 bits over 16 takes two arrays of 32.
        self.decoded = self.channels * (self.itemsize * (2 + format.decoder) + 8 * (self._bits > 8))
        self._tell()

    def _tell(self) -> None:
        """Note what is left out."""
        info = self._file.info
        if len(self._file) > 1:
            self.notes.append(f"only the main one of its {len(self._file)} pictures is enlarged")
        if info["depth_images"]:
            self.notes.append("its depth map is left out")
        if any("gainmap" in name.lower() for name in info.get("aux", ())):
            self.notes.append("its gain map is left out: the picture is enlarged without its HDR part")
        if info.keys() & {"content_light_level", "mastering_display_colour_volume"}:
            self.notes.append("its HDR light levels are left out")

    def decode(self) -> Iterator[Frame]:
        try:
            samples = np.asarray(self._file)
        except (ValueError, EOFError, SyntaxError) as error:
            raise UpscaleError(f"cannot be decoded: {_reason(error)}.") from None
        samples = full_depth(samples.reshape(self.height, self.width, self.channels), self._bits)
        if self._mode.endswith("a"):
            samples = divided_by_alpha(samples)
        mode = "L" if self._grey else self._mode.upper()
        yield Frame(samples, cast(Mode, mode), metadata=self._metadata())

    def _metadata(self) -> Metadata:
        info = self._file.info
        nclx = info.get("nclx_profile")
        colour: tuple[tuple[bytes, bytes], ...] = ()
        if nclx is not None:
            kind = nclx["color_primaries"], nclx["transfer_characteristics"]
            if kind != SRGB and not set(kind) & set(UNSPECIFIED):
                colour = ((b"cICP", bytes([*kind, 0, 1])),)
        exif, xmp, shape = info.get("exif"), info.get("xmp"), info.get("pixel_aspect_ratio", (1, 1))
        return Metadata(
            # A pixel's width and height there, pixels per length here.
            aspect=(shape[1], shape[0]) if shape[0] != shape[1] else None,
            icc=info.get("icc_profile") or None,
            exif=exif.removeprefix(b"Exif\0\0") if exif else None,
            xmp=xmp.rstrip(b"\0") if xmp else None,
            colour=colour,
        )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def open(stream: BinaryIO, format: Format, reading: Reading) -> HeifPicture:
    """Open a HEIF file; see `Codec`."""
    return HeifPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a HEIC file, its colour at full resolution, deeper samples as 10 bits; see `Codec`."""
    frame = next(frames).frame()
    height, width, _ = frame.samples.shape
    options: dict[str, Any] = {"quality": -1 if how.lossless else how.quality, "chroma": 444}
    kept = how.stored("icc", "exif", "xmp")
    named = {"icc": "icc_profile", "exif": "exif", "xmp": "xmp"}
    options |= {named[name]: value for name, value in kept.items() if value is not None}
    if (cicp := dict(how.metadata.colour).get(b"cICP")) is not None and kept["icc"] is None:
        options |= {"color_primaries": cicp[0], "transfer_characteristics": cicp[1], "full_range_flag": 1}
    # Without loss, the channels are stored as they are: to change them to luma and chroma rounds.
    options["matrix_coefficients"] = 0 if how.lossless and frame.mode != "L" else 6
    samples, mode = np.ascontiguousarray(frame.samples), str(frame.mode)
    if samples.dtype == np.uint16:
        # The encoder keeps the upper bits of 16.
        samples, mode = ((samples.astype(np.uint32) * 1023 + 32767) // 65535 << 6).astype(np.uint16), f"{mode};16"
    pillow_heif.encode(mode, (width, height), samples.tobytes(), stream, **options)

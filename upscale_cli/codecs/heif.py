"""HEIC and other HEIF files, by pillow-heif (libheif), which is the extra `heif`."""

from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import numpy as np
import pillow_heif

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import UNSPECIFIED, Metadata, colour_codes
from upscale_cli.image.pixels import Frame, Mode, divided_by_alpha, full_depth


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
            reason = " ".join(str(error).split()).rstrip(".")
            raise UpscaleError(f"cannot be read as HEIC: {reason}; get another copy, or convert it first.") from None
        if not len(self._file):
            raise UpscaleError(
                "is a HEIF file of a kind that is not supported: its pictures are not compressed by HEVC; "
                "convert it to PNG or TIFF first."
            )
        self.count, (self.width, self.height) = 1, self._file.size
        mode, _, bits = self._file.mode.partition(";")
        self._mode, self._bits = "L" if mode == "I" else mode, int(bits or 8)
        self.channels = len(self._mode)
        self.itemsize = 1 if self._bits == 8 else 2
        # To spread 10 bits over 16 takes two arrays of 32.
        self.decoded = self.channels * (self.itemsize * (2 + format.decoder) + 8 * (self._bits > 8))
        info, count = self._file.info, len(self._file)
        light = info.keys() & {"content_light_level", "mastering_display_colour_volume"}
        left_out = (
            (count > 1, f"only the main one of its {count} pictures is enlarged"),
            (info["depth_images"], "its depth map is left out"),
            (
                any("gainmap" in name.lower() for name in info.get("aux", ())),
                "its gain map is left out: the picture is enlarged without its HDR part",
            ),
            (light, "its HDR light levels are left out"),
        )
        self.notes += [note for found, note in left_out if found]

    def decode(self) -> Iterator[Frame]:
        samples = np.asarray(self._file).reshape(self.height, self.width, self.channels)
        samples = full_depth(samples, self._bits)
        if self._mode.endswith("a"):
            samples = divided_by_alpha(samples)
        yield Frame(samples, cast(Mode, self._mode.upper()), metadata=self._metadata())

    def _metadata(self) -> Metadata:
        info = self._file.info
        nclx = info.get("nclx_profile") or {}
        names = ("color_primaries", "transfer_characteristics")
        primaries, transfer = (nclx.get(name, UNSPECIFIED) for name in names)
        exif, xmp, shape = info.get("exif"), info.get("xmp"), info.get("pixel_aspect_ratio", (1, 1))
        return Metadata(
            # A pixel's width and height there, pixels per length here.
            aspect=(shape[1], shape[0]) if shape[0] != shape[1] else None,
            icc=info.get("icc_profile") or None,
            exif=exif.removeprefix(b"Exif\0\0") if exif else None,
            xmp=xmp.rstrip(b"\0") if xmp else None,
            colour=colour_codes(primaries, transfer),
        )


open = HeifPicture


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a HEIC file, its colour at full resolution, deeper samples as 10 bits; see `Codec`."""
    frame = next(frames).frame()
    height, width, _ = frame.samples.shape
    kept = how.stored("icc", "exif", "xmp")
    options: dict[str, Any] = {
        "quality": -1 if how.lossless else how.quality,
        "chroma": 444,
        # Without loss, the channels are stored as they are: to change them to luma and chroma rounds.
        "matrix_coefficients": 0 if how.lossless and frame.mode != "L" else 6,
        "icc_profile": kept["icc"],
        "exif": kept["exif"],
        "xmp": kept["xmp"],
    }
    if (cicp := dict(how.metadata.colour).get(b"cICP")) is not None and kept["icc"] is None:
        options |= {"color_primaries": cicp[0], "transfer_characteristics": cicp[1], "full_range_flag": 1}
    samples, mode = np.ascontiguousarray(frame.samples), str(frame.mode)
    if samples.dtype == np.uint16:
        # The encoder keeps the upper bits of 16.
        samples, mode = ((samples.astype(np.uint32) * 1023 + 32767) // 65535 << 6).astype(np.uint16), f"{mode};16"
    options = {name: value for name, value in options.items() if value is not None}
    pillow_heif.encode(mode, (width, height), samples.tobytes(), stream, **options)

"""PAM (Netpbm, pam(5)): samples of 8 or 16 bits as they are, opacity included."""

from collections.abc import Iterator
from io import BufferedReader
from typing import BinaryIO, cast

import numpy as np

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.codecs.ppm import full_range, stored_bytes
from upscale_cli.codecs.splitting import Incoming, pam_header
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import MODES, Frame

TYPES = {"L": "GRAYSCALE", "LA": "GRAYSCALE_ALPHA", "RGB": "RGB", "RGBA": "RGB_ALPHA"}


class PamPicture(Picture):
    """A PAM file."""

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        stream.seek(0)
        sizes, said, self._start = pam_header(Incoming(cast(BufferedReader, stream)))
        self.width, self.height, self.channels, self._most = sizes
        kind = said.decode("latin-1").replace("BLACKANDWHITE", "GRAYSCALE")
        known = {"", TYPES[MODES[self.channels]]} if self.channels in MODES else ()
        if not 0 < self._most < 1 << 16 or kind not in known:
            what = f"{self.channels} channels of type {kind or 'unknown'} and values up to {self._most}"
            raise UpscaleError(f"has {what}, which is not supported; convert it to PNG or TIFF first.")
        self.count, self.itemsize = 1, 1 if self._most < 256 else 2
        self.decoded = 3 * self.channels * self.itemsize

    def decode(self) -> Iterator[Frame]:
        shape = self.height, self.width, self.channels
        self.stream.seek(self._start)
        values = np.frombuffer(self.stream.read(int(np.prod(shape)) * self.itemsize), f">u{self.itemsize}")
        samples = full_range(values, self._most, shape)
        yield Frame(samples == 255 if self._most == self.channels == 1 else samples, MODES[self.channels])


def open(stream: BinaryIO, format: Format, reading: Reading) -> PamPicture:
    """Open a PAM file; see `Codec`."""
    return PamPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a PAM file; see `Codec`."""
    frame = next(frames).frame()
    height, width, depth = frame.samples.shape
    most = {"bool": 1, "uint8": 255, "uint16": 65535}[frame.samples.dtype.name]
    kind = "BLACKANDWHITE" if most == 1 else TYPES[str(frame.mode)]
    header = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL {most}\nTUPLTYPE {kind}\nENDHDR\n"
    stream.write(header.encode())
    stream.write(stored_bytes(frame.samples))

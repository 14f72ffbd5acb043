"""NIfTI-1 and -2: volumes with their places in space.

Voxels are stored with i fastest, so an array (D, H, W) has the axes k, j, i. Samples stay as they are stored, and so
do `scl_slope` and `scl_inter`: a sum whose weights sum to 1 is the same, scaled before or after.
"""

import os
import zlib
from collections.abc import Iterator
from functools import partial
from math import isfinite, prod
from typing import BinaryIO, cast

import numpy as np

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.nifti_header import DTYPES, OTHER_TYPES, RGB, Header, as_header, read_header, shrink
from upscale_cli.codecs.picture import Picture, Reading, Volume
from upscale_cli.codecs.png_stream import compressed
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame
from upscale_cli.methods.upsampler import Array

try:  # Three times as fast as zlib.
    from isal.igzip import IGzipFile as GzipFile
except ImportError:
    from gzip import GzipFile  # type: ignore[assignment]

GZIP = 16 + zlib.MAX_WBITS
"""The `wbits` of zlib for gzip."""
LABELS = frozenset((1002, 1003))
"""Intents of labels and of names."""
NO_VOLUMES = {1008: "points", 1009: "triangles", 1010: "quaternions", 2002: "indices of nodes"} | dict.fromkeys(
    (2007, 2008, 2009, 2016, 2017), "coefficients"
)
CIFTI = 3000
"""The first of CIFTI's intents, of values on surfaces."""
MILLIMETRES = {1: 1000.0, 3: 0.001}
"""Millimetres of a unit of space, by its code; one of any other."""


class NiftiPicture(Picture):
    """A NIfTI file in one piece; its axes beyond the third are frames."""

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        length = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        self._voxels = cast(BinaryIO, GzipFile(fileobj=stream, mode="rb")) if packed else stream
        self._describe(*read_header(self._voxels))
        missing = self.count * self._frame_bytes - (length - self._voxels.tell())
        if not packed and missing > 0:
            raise UpscaleError(f"ends {missing:,} bytes before its last voxel; get another copy.")

    def _describe(self, header: Header, between: bytes) -> None:
        """Take size, type and place from a header, and what is between it and the voxels."""
        self._header, self._between = header, between
        count, *sides = map(int, header["dim"])
        if not 1 <= count <= 7 or min(sides[:count]) < 1:
            raise UpscaleError(f"has a damaged header: it says {count} sides of {sides}; get another copy.")
        self.width, self.height, depth, *_ = *sides[:count], 1, 1
        self.count = prod(sides[3:count])
        code, intent = int(header["datatype"]), int(header["intent_code"])
        if code not in DTYPES:
            raise UpscaleError(
                f"has voxels of {OTHER_TYPES.get(code, f'an unknown type ({code})')}; only integers, floats up to 64 "
                "bits and RGB are accepted: save its parts as volumes of their own."
            )
        if intent in NO_VOLUMES or intent >= CIFTI:
            what = NO_VOLUMES.get(intent, "values on a surface (CIFTI)")
            raise UpscaleError(f"holds {what}, which are no volume in space; give a volume.")
        self._dtype, self.channels = np.dtype(DTYPES[code]), 3 if code == RGB else 1
        self.itemsize, samples = self._dtype.itemsize, depth * self.channels
        self._frame_bytes = self.width * self.height * samples * self.itemsize
        swapped = not header.dtype.isnative
        self.decoded = samples * self.itemsize * (1 + swapped)
        slope, offset = float(header["scl_slope"]), float(header["scl_inter"])
        unit = MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
        self.volume = Volume(
            depth=depth,
            axes=min(count, 3),
            spacing=tuple(abs(float(size)) * unit for size in header["pixdim"][3:0:-1]),
            head=self._head,
            labels=intent in LABELS,
            offset=isfinite(slope) and slope != 0 != offset,
        )

    def decode(self) -> Iterator[Frame]:
        stored = self._dtype.newbyteorder("=" if self._header.dtype.isnative else "S")
        for _ in range(self.count):
            try:
                data = self._voxels.read(self._frame_bytes)
            except (EOFError, zlib.error):
                data = b""
            if len(data) < self._frame_bytes:
                raise UpscaleError("ends before its last voxel, or is damaged; get another copy.")
            samples = np.frombuffer(data, stored).astype(self._dtype, copy=False)
            yield Frame(samples.reshape(*self.sides, self.channels), None)
        self._voxels.read(1)  # what is packed has its checksum behind the last voxel

    def _head(self, after: tuple[int, ...], strip: bool) -> bytes:
        """Return header and extensions of a result; see `Volume`."""
        header, between = as_header(self._header.tobytes()), self._between
        ratios = np.divide(self.sides, after)[::-1]
        shrink(header, ratios)
        axes = min(int(header["dim"][0]), 3)
        header["dim"][1 : axes + 1] = after[::-1][:axes]
        slices = (int(header["dim_info"]) >> 4 & 3 or 3) - 1
        if ratios[slices] != 1:
            if header["slice_code"] or header["slice_duration"]:
                self.notes.append("its slice timing is left out, because it was that of the original slices")
            for name in ("slice_code", "slice_start", "slice_end", "slice_duration"):
                header[name] = 0
        if strip:
            between = bytes(4)
            for name in ("descrip", "aux_file", "intent_name"):
                header[name] = b""
        elif between[:1] > b"\0":
            self.notes.append("its header extension is kept, with the sizes that it may state")
        header["vox_offset"] = header.itemsize + len(between)
        return header.tobytes() + between


open = NiftiPicture


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a NIfTI file, packed if its format says so; see `Codec`.

    Threads pack strips on their own: RFC 1952 says that a file is a series of members.
    """
    native = as_header(how.head).dtype.isnative
    pack = partial(compressed, window=GZIP) if how.format.extensions[0].endswith(".gz") else bytes

    def stored(rows: Array, first: bool, last: bool) -> bytes:
        return pack((rows if native else rows.byteswap()).tobytes())

    stream.write(pack(how.head))
    for frame in frames:
        stream.writelines(frame.packed(stored))

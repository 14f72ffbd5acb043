"""NIfTI-1 and -2: volumes with their places in space, by nibabel, which is the extra `medical`.

Format: https://nifti.nimh.nih.gov/nifti-1 and nifti-2. Voxel (i, j, k) lies at `A · (i, j, k, 1)`, by up to two such
affines: sform is a matrix, qform a rotation and the voxel sizes. i is stored fastest, so an array (D, H, W) has the
axes k, j, i. Samples stay as they are stored, and so do `scl_slope` and `scl_inter`: a sum with weights of sum 1 is the
same, scaled before or after.
"""

import os
import zlib
from collections.abc import Iterator
from math import isfinite, prod
from typing import Any, BinaryIO, cast

import numpy as np
from nibabel.nifti1 import Nifti1Header, data_type_codes, intent_codes
from nibabel.nifti2 import Nifti2Header

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Picture, Reading, Volume
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame
from upscale_cli.methods.upsampler import Array

try:  # Three times as fast as zlib at its level 1, both ways.
    from isal.igzip import IGzipFile as GzipFile
    from isal.igzip import compress
except ImportError:
    from gzip import GzipFile, compress  # type: ignore[assignment]

HEADERS = {348: Nifti1Header, 540: Nifti2Header}
"""The headers by their lengths, which are their first four bytes."""
SINGLE = (b"n+1", b"n+2")
"""The magic of files that hold their voxels."""
LARGEST_EXTENSIONS = 1 << 26
"""The most bytes between the header and the voxels."""
LABELS = frozenset((1002, 1003))
"""Intents of labels and of names."""
NO_VOLUMES, CIFTI = frozenset((1008, 1009, 1010, 2002, 2007, 2008, 2009, 2016, 2017)), 3000
"""Intents of points, meshes, quaternions and coefficients; and the first of CIFTI's, of surfaces."""
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
        header, between = read_header(self._voxels)
        self._describe(header, between)
        missing = self.count * self._frame_bytes - (length - self._voxels.tell())
        if not packed and missing > 0:
            raise UpscaleError(f"ends {missing:,} bytes before its last voxel; get another copy.")

    def _describe(self, header: Nifti1Header, between: bytes) -> None:
        """Take size, type and place from a header, and the bytes behind it."""
        self.header, self._between = header, between
        count, *sides = (int(n) for n in header["dim"])
        if not 1 <= count <= 7 or min(sides[:count]) < 1:
            raise UpscaleError(f"has a damaged header: it says {count} sides of {sides}; get another copy.")
        self.width, self.height, depth, *_ = *sides[:count], 1, 1
        self.count = prod(sides[3:count])
        self._dtype, self.channels = _dtype(header)
        self.itemsize, self.decoded = self._dtype.itemsize, depth * self.channels * self._dtype.itemsize
        self._frame_bytes = self.width * self.height * int(self.decoded)
        intent = int(header["intent_code"])
        if intent in NO_VOLUMES or intent >= CIFTI:
            raise UpscaleError(f"holds {_named(intent_codes, intent)}, which is no volume in space; give a volume.")
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
        stored = self._dtype.newbyteorder(self.header.endianness)
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
        header, between = self.header.copy(), self._between
        # The voxels are smaller, and the first one's outer corner, at -1/2, stays where it is.
        ratios = np.divide(self.sides, after)[::-1]
        to_old = np.diag([*ratios, 1.0])
        to_old[:3, 3] = (ratios - 1) / 2
        if header["qform_code"] > 0:
            if header["pixdim"][0] == 0:
                header["pixdim"][0] = 1  # as NIfTI says
            for name, place in zip("xyz", (header.get_qform() @ to_old)[:3, 3], strict=True):
                header[f"qoffset_{name}"] = place
        rows = [header[f"srow_{name}"].astype(np.float64) @ to_old for name in "xyz"]
        for name, row in zip("xyz", rows, strict=True):
            header[f"srow_{name}"] = row
        header["pixdim"][1:4] = header["pixdim"][1:4].astype(np.float64) * ratios
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
        header["vox_offset"] = len(header.binaryblock) + len(between)
        return bytes(header.binaryblock) + between


def read_header(stream: BinaryIO) -> tuple[Nifti1Header, bytes]:
    """Return the header of a NIfTI that begins here, and the bytes between it and the voxels, where the stream is then.

    Raises
    ------
    UpscaleError
        If it is cut off, or its voxels lie in another file.
    """
    try:
        start = stream.read(4)
        length = min(int.from_bytes(start, "little"), int.from_bytes(start, "big"))
        block = start + stream.read(length - 4)
        # Without nibabel's own checks, which mend some faults and write about others to standard error.
        header = HEADERS[length](block, check=False)
        if header["magic"].item() not in SINGLE:
            raise UpscaleError("has its voxels in another file (.img); convert the pair to one .nii file first.")
        offset = float(header["vox_offset"])
        count = max(4, int(offset) - length if isfinite(offset) else -1)
        between = stream.read(count) if count <= LARGEST_EXTENSIONS else b""
    except (EOFError, zlib.error):
        between = b""
        count = 4
    if len(between) < count:
        raise UpscaleError("has a damaged header; get another copy.")
    return header, between


def _dtype(header: Nifti1Header) -> tuple[np.dtype[Any], int]:
    """Return the type of a header's samples, in native byte order, and their channels.

    Raises
    ------
    UpscaleError
        If it is none that is enlarged.
    """
    code = int(header["datatype"])
    name = _named(data_type_codes, code)
    if name == "RGB":
        return np.dtype(np.uint8), 3
    dtype = np.dtype(data_type_codes.dtype[code]) if code in data_type_codes.dtype else np.dtype(object)
    if dtype.kind not in "iuf" or not 0 < dtype.itemsize <= 8:
        way = "save its parts as volumes of their own"
        raise UpscaleError(f"has voxels of {name}; only integers, floats up to 64 bits and RGB are accepted: {way}.")
    return dtype.newbyteorder("="), 1


def _named(codes: Any, code: int) -> str:
    """Return what nibabel calls a code."""
    return str(codes.label[code]).strip() if code in codes.label else f"an unknown type ({code})"


open = NiftiPicture


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a NIfTI file, packed if its format says so; see `Codec`.

    Threads pack strips on their own: RFC 1952 says that a file is a series of members.
    """
    order = "<" if int.from_bytes(how.head[:4], "little") in HEADERS else ">"
    packed = how.format.extensions[0].endswith(".gz")

    def pack(data: bytes) -> bytes:
        return compress(data, 1, mtime=0) if packed else data

    def stored(rows: Array, first: bool, last: bool) -> bytes:
        return pack(rows.astype(rows.dtype.newbyteorder(order), copy=False).tobytes())

    stream.write(pack(how.head))
    for frame in frames:
        for part in frame.packed(stored):
            stream.write(part)

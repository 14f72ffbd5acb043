"""The headers of NIfTI-1 and -2, and the two ways in which they place voxels in space.

Format: https://nifti.nimh.nih.gov/nifti-1 (nifti1.h) and nifti-2 (nifti2.h). Voxel (i, j, k) lies at
`A · (i, j, k, 1)`, by up to two such affines: sform is a matrix; qform a rotation, voxel sizes and an offset.
"""

import zlib
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.upsampler import Array

FIELDS = """
dim_info        u1       39  u1      524
dim             8i2      40  8i8      16
intent_code     i2       68  i4      504
datatype        i2       70  i2       12
bitpix          i2       72  i2       14
slice_start     i2       74  i8      224
pixdim          8f4      76  8f8     104
vox_offset      f4      108  i8      168
scl_slope       f4      112  f8      176
scl_inter       f4      116  f8      184
slice_end       i2      120  i8      232
slice_code      u1      122  i4      496
xyzt_units      u1      123  i4      500
slice_duration  f4      132  f8      208
descrip         S80     148  S80     240
aux_file        S24     228  S24     320
qform_code      i2      252  i4      344
sform_code      i2      254  i4      348
quaternion      3f4     256  3f8     352
qoffset         3f4     268  3f8     376
sform           (3,4)f4 280  (3,4)f8 400
intent_name     S16     328  S16     508
magic           S3      344  S3        4
"""
"""The fields that matter here, with type and offset in version 1, and in version 2."""
LENGTHS = (348, 540)
"""Bytes of the headers of the two versions, which are also their first four bytes."""
MAGICS = (b"n+1", b"n+2")
"""What files begin with that hold their voxels; others name a second file."""
LARGEST_GAP = 1 << 26
"""The most bytes between a header and its voxels, which are extensions."""
DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 128: "u1", 256: "i1", 512: "u2"}
DTYPES |= {768: "u4", 1024: "i8", 1280: "u8"}
"""The types of samples by their codes."""
RGB = 128
OTHER_TYPES = {1: "single bits", 32: "complex64", 1536: "float128", 1792: "complex128", 2048: "complex256"}
OTHER_TYPES |= {2304: "RGBA"}

Header = NDArray[Any]
"""The bytes of a header, as an array without dimensions whose fields are those of `FIELDS`."""


def as_header(content: bytes) -> Header:
    """Return a header as a new array over its bytes; raise `ValueError` if they begin with no length of a header."""
    order: Literal["<", ">"] = "<" if int.from_bytes(content[:4], "little") in LENGTHS else ">"
    length = int.from_bytes(content[:4], "little" if order == "<" else "big")
    column = 1 + 2 * LENGTHS.index(length)
    rows = [line.split() for line in FIELDS.split("\n") if line]
    types, offsets = [row[column] for row in rows], [int(row[column + 1]) for row in rows]
    dtype = np.dtype({"names": [row[0] for row in rows], "formats": types, "offsets": offsets, "itemsize": length})
    # What has no name here stays as it is.
    return np.ndarray((), dtype.newbyteorder(order), bytearray(content[:length]))


def read_header(stream: BinaryIO) -> tuple[Header, bytes]:
    """Return the header of a NIfTI that begins here, and what is between it and its voxels, where the stream is then.

    Raises `UpscaleError` if it is cut off or damaged, or its voxels lie in another file.
    """
    try:
        start = stream.read(LENGTHS[0])
        length = min(int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
        header = as_header(start + stream.read(max(0, min(length, LENGTHS[1]) - LENGTHS[0])))
        alone = header["magic"].item() in MAGICS
        gap = float(header["vox_offset"]) - header.itemsize
        # Some writers say 0, and leave four bytes.
        between = stream.read(max(4, int(gap))) if gap <= LARGEST_GAP else b""
        if alone and (len(between) < 4 or len(between) < gap):
            raise EOFError
    except (EOFError, TypeError, ValueError, zlib.error):
        raise UpscaleError("has a damaged header; get another copy.") from None
    if not alone:
        raise UpscaleError("has its voxels in another file (.img); convert the pair to one .nii file first.")
    return header, between


def rotation_of(quaternion: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rotation of a quaternion's last three parts (nifti1.h, METHOD 2); the first is not negative.

    >>> rotation_of(np.array([0, 0, 1.0])).tolist()
    [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    vector = quaternion.astype(np.float64)
    square = float(vector @ vector)
    if square > 1:
        vector, square = vector / np.sqrt(square), 1.0
    b, c, d = vector
    a = np.sqrt(1 - square)
    cross = np.array([[0, -d, c], [d, 0, -b], [-c, b, 0]])
    turned: NDArray[np.float64] = (2 * a * a - 1) * np.eye(3) + 2 * np.outer(vector, vector) + 2 * a * cross
    return turned


def shrink(header: Header, ratios: Array) -> None:
    """Make the voxels of a header smaller, by ratios of new to old; their outer corners stay where they are."""
    # New voxel 0 lies at (ratio − 1)/2 of the old ones, whose corner is at −1/2.
    to_old = np.diag([*ratios, 1.0])
    to_old[:3, 3] = (ratios - 1) / 2
    sizes = header["pixdim"][1:4].astype(np.float64)
    header["pixdim"][1:4] = sizes * ratios
    if header["sform_code"] > 0:
        header["sform"] = header["sform"].astype(np.float64) @ to_old
    if header["qform_code"] <= 0:
        return
    # The third axis is turned around by a negative qfac; 0 is none.
    shift = rotation_of(header["quaternion"]) @ (sizes * to_old[:3, 3] * [1, 1, -1 if header["pixdim"][0] < 0 else 1])
    header["qoffset"] = header["qoffset"].astype(np.float64) + shift

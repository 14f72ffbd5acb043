"""DICOM: one image, or the slices of a series, read as their volume, by pydicom and nibabel (the extra `medical`).

Standard: PS3.3, C.7.6.2 (where a slice lies: the centre of its first pixel, and the directions along its rows and
columns, in millimetres, x to the left and y to the back of the patient) and C.11.1 (how stored values are rescaled).
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pydicom
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.nifti import NiftiPicture
from upscale_cli.codecs.nifti_header import as_header
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame

# Values that break a rule of the standard are read as far as they can be, and not written about to standard error.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

ALIKE = ("Rows", "Columns", "BitsStored", "PixelRepresentation", "PhotometricInterpretation")
"""What is the same in all slices of a volume, besides their spacing and their directions."""
PLACE = ("ImagePositionPatient", "ImageOrientationPatient")
COLOURS = frozenset(("MONOCHROME1", "MONOCHROME2", "RGB"))
INTEGERS: tuple[np.dtype[Any], ...] = tuple(map(np.dtype, ("u1", "i2", "u2", "i4")))
"""Types of NIfTI; the first that holds all values is taken."""
UNEVEN, TILTED, ROUNDED = 0.02, 0.002, 0.01
"""How far slices may be from even places: along their normal, in parts of a distance; across it, in parts of the
volume's depth; and in millimetres besides, to which files round."""
LPS_TO_RAS = np.diag((-1.0, -1.0, 1.0, 1.0))
"""In NIfTI x points to the right and y to the front."""


class DicomPicture(NiftiPicture):
    """The volume of a series, whose files the stream names, or of one file."""

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        Picture.__init__(self, stream, format, reading)
        files: list[Any] = getattr(stream, "paths", [stream])
        slices = [(file, pydicom.dcmread(file, stop_before_pixels=True)) for file in files]
        first = slices[0][1]
        for _, each in slices:
            _check(each, first)
        self._slices = _placed(slices) if len(slices) > 1 else slices
        self._rescaling = [
            (float(said.get("RescaleSlope") or 1), float(said.get("RescaleIntercept") or 0))
            for _, said in self._slices
        ]
        header, sides = Nifti1Header(), (first.Columns, first.Rows, len(slices))
        header.set_data_dtype("RGB" if first.SamplesPerPixel == 3 else _kind(first, self._rescaling))
        header.set_data_shape(sides if len(slices) > 1 else sides[:2])
        header.set_xyzt_units("mm")
        header["pixdim"][1:4] = _spacing(first)[::-1]
        if all(name in first for name in PLACE):
            affine = LPS_TO_RAS @ _affine(self._slices[0][1], self._slices[-1][1], len(slices))
            header.set_qform(affine, 1)
            header.set_sform(affine, 1)
        self._describe(as_header(header.binaryblock), bytes(4))
        self.decoded *= 2
        self.notes.append("DICOM becomes NIfTI, which keeps no data about patient and study")
        if len(slices) == 1 and "SliceThickness" in first:
            self.notes.append("one slice alone is enlarged; give the folder of its series for the volume")
        if first.PhotometricInterpretation == "MONOCHROME1":
            self.notes.append("its values stay as they are stored, white being low (MONOCHROME1)")

    def decode(self) -> Iterator[Frame]:
        volume = np.empty((*self.sides, self.channels), self._dtype)
        for out, (file, said), (slope, offset) in zip(volume, self._slices, self._rescaling, strict=True):
            if file is self.stream:
                self.stream.seek(0)
            try:
                pixels = pydicom.dcmread(file).pixel_array
            except Exception as error:  # decoders of other packages raise anything
                name = pydicom.uid.UID(said.file_meta.TransferSyntaxUID).name
                raise UpscaleError(
                    f"has a slice that cannot be decoded ({name}); decompress the series first: gdcmconv --raw."
                ) from error
            # In float64, in which an integer of 32 bits keeps its value.
            out[...] = pixels.reshape(out.shape) * slope + offset
        yield Frame(volume, None)


open = DicomPicture


def _check(each: Any, first: Any) -> None:
    """Raise `UpscaleError` if a slice is no image of a kind that is read, or unlike the first."""
    if "Rows" not in each or "Columns" not in each:
        raise UpscaleError(f"holds no image but {each.get('Modality', 'other')} data; give the slices of a series.")
    if int(each.get("NumberOfFrames") or 1) > 1:
        raise UpscaleError("has several frames in one DICOM file; convert it first: dcm2niix -z y FOLDER.")
    if (colours := each.PhotometricInterpretation) not in COLOURS:
        raise UpscaleError(f"has colours of {colours}; only grey and RGB are accepted: convert it first.")
    if "ModalityLUTSequence" in each:
        raise UpscaleError("is rescaled by a table (Modality LUT); convert it first: dcm2niix -z y FOLDER.")
    alike = all(each.get(name) == first.get(name) for name in ALIKE)
    for name in ("PixelSpacing", "ImageOrientationPatient"):
        alike &= np.allclose(each.get(name) or 0, first.get(name) or 0, rtol=0, atol=1e-4)
    if not alike:
        raise UpscaleError(
            "has slices of several sizes, kinds or directions; give a folder with those of one volume, "
            "without localizers."
        )


def _kind(said: Any, rescaling: list[tuple[float, float]]) -> np.dtype[Any]:
    """Return the smallest type that holds all values that slices may have, rescaled."""
    full = 1 << int(said.BitsStored)
    stored = (-full // 2, full // 2 - 1) if said.PixelRepresentation else (0, full - 1)
    ends = [end * slope + offset for slope, offset in rescaling for end in stored]
    integers = INTEGERS if all(number.is_integer() for pair in rescaling for number in pair) else ()
    holding = (kind for kind in integers if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max)
    return next(holding, np.dtype(np.float32))


def _placed(slices: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return slices in the order of their places; `UpscaleError` unless these are one above the other, and even."""
    if not all(name in said for _, said in slices for name in PLACE):
        raise UpscaleError("has slices without a position; give the slices of one volume.")
    normal = np.cross(*_floats(slices[0][1], PLACE[1]))
    places = np.vstack([_floats(said, PLACE[0]) for _, said in slices])
    order = np.argsort(places @ normal, kind="stable")
    places = places[order] - places[order[0]]
    along = places @ normal
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    if gaps.min() < ROUNDED:
        raise UpscaleError("has several slices at one place (echoes, phases, times); give a folder with one of each.")
    across = np.linalg.norm(places - np.outer(along, normal), axis=1).max()
    if across > TILTED * along[-1] + ROUNDED:
        degrees = np.degrees(np.arctan2(across, along[-1]))
        raise UpscaleError(
            f"has slices that are shifted sideways, as by a gantry that is tilted by {degrees:.1f} degrees; "
            "correct the tilt first: dcm2niix -z y FOLDER."
        )
    if gaps.max() > 1.5 * usual:
        wide = int(np.argmax(gaps))
        raise UpscaleError(
            f"misses slices: slices {wide + 1} and {wide + 2} are {gaps[wide]:.4g} mm apart, the others "
            f"{usual:.4g} mm; add the files of those between."
        )
    uneven = abs(along - np.linspace(0, along[-1], len(along))).max()
    if uneven > UNEVEN * usual + ROUNDED:
        raise UpscaleError(
            f"has slices at uneven distances, from {gaps.min():.4g} to {gaps.max():.4g} mm; give slices at even ones."
        )
    return [slices[number] for number in order]


def _floats(said: Any, name: str) -> NDArray[np.float64]:
    """Return some numbers of a slice, such as its position, as rows (x, y, z)."""
    return np.array(said[name].value, np.float64).reshape(-1, 3)


def _spacing(said: Any) -> tuple[float, ...]:
    """Return depth, height and width of a slice's pixels in millimetres; 1 if unknown."""
    depth = said.get("SliceThickness") or said.get("SpacingBetweenSlices") or 1
    return tuple(map(float, (depth, *(said.get("PixelSpacing") or said.get("ImagerPixelSpacing") or (1, 1)))))


def _affine(first: Any, last: Any, count: int) -> NDArray[np.float64]:
    """Return the affine from voxels to millimetres, x to the left and y to the back, for sorted slices."""
    row, column = _floats(first, PLACE[1])
    depth, height, width = _spacing(first)
    (start,), (end,) = (_floats(said, PLACE[0]) for said in (first, last))
    step = (end - start) / (count - 1) if count > 1 else np.cross(row, column) * depth
    return np.vstack([np.stack([row * width, column * height, step, start], axis=1), (0, 0, 0, 1)])

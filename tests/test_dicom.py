"""DICOM: slices in their order, values as they are meant, places in NIfTI's directions; and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Array
from test_nifti import call, enlarged, nib, read

pydicom = pytest.importorskip("pydicom")

ROWS, COLUMNS, SLICES = 4, 5, 6
ACROSS, DOWN, APART = 0.5, 0.75, 2.5
"""Millimetres from column to column, from row to row, and from slice to slice."""
TURNED = np.array([[0.8, 0.6, 0.0], [-0.48, 0.64, 0.6]])
"""Directions along rows and along columns, in DICOM's axes."""
NORMAL = np.array([0.36, -0.48, 0.8])
START = np.array([-10.0, 20, 30])


def stored(number: int) -> Array:
    return np.random.default_rng(number).integers(0, 4096, (ROWS, COLUMNS), np.uint16)


def slice_file(path: Path, number: int, pixels: Any = None, **said: Any) -> Path:
    """Write a slice of CT, 12 bits of 16; `said` replaces what it says, and None takes it away."""
    pixels = stored(number) if pixels is None else pixels
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    file.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
    values = {
        "Modality": "CT",
        "SeriesInstanceUID": "1.2.3",
        "SeriesNumber": 7,
        "PatientName": "Somebody",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": pixels.itemsize * 8,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelSpacing": [DOWN, ACROSS],
        "SliceThickness": 3,
        "ImageOrientationPatient": TURNED.ravel().tolist(),
        "ImagePositionPatient": (START + number * APART * NORMAL).tolist(),
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "PixelData": pixels.tobytes(),
    }
    for name, value in (values | said).items():
        if value is not None:
            setattr(file, name, value)
    file.save_as(path, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return path


def series(folder: Path, numbers: Any = range(SLICES), **said: Any) -> Path:
    """Slices whose names are in another order than their places."""
    folder.mkdir(parents=True)
    for number in numbers:
        own = {name: value(number) if callable(value) else value for name, value in said.items()}
        slice_file(folder / f"IM{number * 5 % 7:03}", number, **own)
    return folder


def volume() -> Array:
    """What is stored, in NIfTI's order of axes."""
    return np.stack([stored(number) for number in range(SLICES)], -1).transpose(1, 0, 2)


def test_a_series_becomes_a_volume_in_its_place(tmp_path: Path) -> None:
    folder = series(tmp_path / "scan")
    (folder / "notes.txt").write_text("no slice")
    done = call(folder, "-s", "2", "-m", "bilinear")
    assert "scan: DICOM becomes NIfTI, which keeps no data about patient and study." in done.stderr
    image, values = read(tmp_path / "scan_2x.nii.gz")
    hounsfield = volume().astype(np.int16) - 1024
    np.testing.assert_array_equal(values, enlarged(hounsfield, (2, 2, 2)))
    assert (image.get_data_dtype(), image.header.get_xyzt_units()[0]) == (np.int16, "mm")
    assert b"Somebody" not in (tmp_path / "scan_2x.nii.gz").read_bytes()
    # The centre of voxel (column, row, slice) by the standard, with x to the left and y to the back.
    for at in np.array([[0, 0, 0], [4, 0, 0], [0, 3, 0], [0, 0, 5], [2, 1, 3]], float):
        left = START + at[0] * ACROSS * TURNED[0] + at[1] * DOWN * TURNED[1] + at[2] * APART * NORMAL
        for affine in (image.get_sform(), image.get_qform()):
            right = nib.affines.apply_affine(affine, (at + 0.5) * 2 - 0.5)
            np.testing.assert_allclose(right, left * (-1, -1, 1), atol=1e-5)
    np.testing.assert_allclose(image.header.get_zooms(), (ACROSS / 2, DOWN / 2, APART / 2))


@pytest.mark.parametrize(
    ("said", "dtype", "slope", "offset"),
    [
        ({"RescaleSlope": None, "RescaleIntercept": None}, np.int16, 1, 0),
        ({"RescaleIntercept": -40000}, np.int32, 1, -40000),
        ({"RescaleSlope": 0.5, "RescaleIntercept": 0}, np.float32, 0.5, 0),
        (
            {"RescaleSlope": lambda n: 1 + n, "RescaleIntercept": lambda n: -n},
            np.int16,
            1 + np.arange(SLICES),
            -np.arange(SLICES),
        ),
        (
            {"RescaleSlope": lambda n: 0.25 * (n + 1), "RescaleIntercept": 0},
            np.float32,
            0.25 * np.arange(1, SLICES + 1),
            0,
        ),
    ],
)
def test_every_slice_is_rescaled_by_its_own_numbers(
    said: dict[str, Any], dtype: Any, slope: Any, offset: Any, tmp_path: Path
) -> None:
    call(series(tmp_path / "scan", **said), "-s", "2", "-m", "nearest", "-o", tmp_path / "a.nii")
    image, values = read(tmp_path / "a.nii")
    assert image.get_data_dtype() == dtype
    np.testing.assert_array_equal(values[::2, ::2, ::2], volume().astype(float) * slope + offset)


def test_samples_of_other_kinds(tmp_path: Path) -> None:
    signed = np.array([[-2048, 5], [7, 2047]], np.int16)
    plain: dict[str, Any] = {"RescaleSlope": None, "RescaleIntercept": None}
    kinds: list[tuple[Array, dict[str, Any]]] = [
        (signed, {"PixelRepresentation": 1}),
        (np.array([[0, 65535]], np.uint16), {"BitsStored": 16, "HighBit": 15}),
        (np.array([[0, 255]], np.uint8), {"BitsStored": 8, "HighBit": 7}),
    ]
    for pixels, said in kinds:
        path = slice_file(tmp_path / "one.dcm", 0, pixels, **plain, **said)
        call(path, "-s", "1", "-o", tmp_path / "one.nii", "--overwrite")
        image, values = read(tmp_path / "one.nii")
        assert (image.shape, image.get_data_dtype()) == (pixels.shape[::-1], pixels.dtype)
        np.testing.assert_array_equal(values, pixels.T)
    rgb = np.random.default_rng(1).integers(0, 256, (2, 3, 3), np.uint8)
    colour = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "BitsStored": 8,
        "HighBit": 7,
        "PlanarConfiguration": 0,
    }
    path = slice_file(tmp_path / "rgb.dcm", 0, rgb, **plain, **colour)
    call(path, "-s", "1")
    _, values = read(tmp_path / "rgb_1x.nii.gz")
    np.testing.assert_array_equal(np.stack([values[name] for name in "RGB"], -1), rgb.transpose(1, 0, 2))


def test_one_image_without_a_place(tmp_path: Path) -> None:
    said = {
        "ImagePositionPatient": None,
        "ImageOrientationPatient": None,
        "SliceThickness": None,
        "PhotometricInterpretation": "MONOCHROME1",
    }
    done = call(slice_file(tmp_path / "chest.dcm", 1, **said), "-s", "2")
    assert "its values stay as they are stored, white being low (MONOCHROME1)" in done.stderr
    image, _ = read(tmp_path / "chest_2x.nii.gz")
    assert (image.shape, image.header["sform_code"], image.header["qform_code"]) == ((10, 8), 0, 0)
    np.testing.assert_allclose(image.header.get_zooms(), (ACROSS / 2, DOWN / 2))


def sheared(number: int) -> list[float]:
    return list(START + number * APART * NORMAL + number * 0.2 * TURNED[1])


@pytest.mark.parametrize(
    ("numbers", "said", "sentence"),
    [
        ((0, 1, 2, 4, 5), {}, "misses slices: slices 3 and 4 are 5 mm apart, the others 2.5 mm"),
        (
            range(SLICES),
            {"ImagePositionPatient": lambda n: list(START + (n + 0.2 * (n == 2)) * APART * NORMAL)},
            "has slices at uneven distances, from 2 to 3 mm",
        ),
        (
            range(SLICES),
            {"ImagePositionPatient": sheared},
            "has slices that are shifted sideways, as by a gantry that is tilted by 4.6 degrees; ",
        ),
        (
            range(SLICES),
            {"ImagePositionPatient": lambda n: list(START + n // 2 * APART * NORMAL)},
            "has several slices at one place",
        ),
        (
            range(SLICES),
            {"ImagePositionPatient": lambda n: None if n == 3 else START.tolist()},
            "has slices without a position",
        ),
        (
            range(SLICES),
            {"PixelSpacing": lambda n: [DOWN, ACROSS + (n == 3)]},
            "has slices of several sizes, kinds or directions",
        ),
        (
            range(SLICES),
            {"ImageOrientationPatient": lambda n: [1, 0, 0, 0, 1, 0] if n == 3 else TURNED.ravel().tolist()},
            "has slices of several sizes, kinds or directions",
        ),
        (range(2), {"NumberOfFrames": 2}, "has several frames in one DICOM file; convert it first: dcm2niix"),
        (range(2), {"PhotometricInterpretation": "PALETTE COLOR"}, "has colours of PALETTE COLOR"),
        (range(2), {"Rows": None, "Modality": "SR"}, "holds no image but SR data"),
        (range(2), {"PixelData": b"\0" * 10}, "has a slice that cannot be decoded (Explicit VR Little Endian)"),
    ],
)
def test_what_is_no_even_grid_is_refused_by_name(
    numbers: Any, said: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    done = call(series(tmp_path / "scan", numbers, **said), "-s", "2", status=1).stderr
    assert f"{tmp_path}/scan: {sentence}" in done
    assert done.count("\n") == 1
    assert not list(tmp_path.glob("*.nii*"))


def test_positions_may_be_rounded(tmp_path: Path) -> None:
    def rounded(number: int) -> list[float]:
        return [round(float(x), 2) for x in START + number * APART * NORMAL]

    call(series(tmp_path / "scan", ImagePositionPatient=rounded))


def test_folders_of_series(tmp_path: Path) -> None:
    """A folder with one series is one image; others are walked, and two series in one folder are two volumes."""
    series(tmp_path / "study" / "T1")
    mixed = series(tmp_path / "study" / "both")
    for number in range(SLICES):
        slice_file(mixed / f"{number}.dcm", number, SeriesInstanceUID="1.2.4", SeriesNumber=9)
    (tmp_path / "study" / "T1" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    call(tmp_path / "study", "-s", "2")
    made = {each.relative_to(tmp_path).as_posix() for each in (tmp_path / "study_2x").rglob("*.nii.gz")}
    assert made == {"study_2x/T1.nii.gz", "study_2x/both_7.nii.gz", "study_2x/both_9.nii.gz"}
    call(tmp_path / "study" / "T1", "-o", tmp_path / "brain.nii")
    assert nib.load(tmp_path / "brain.nii").shape == (10, 8, 12)
    assert "would be written to the same file" in call(mixed, "-o", tmp_path / "x.nii", status=2).stderr
    said = json.loads(call("-n", "--json", tmp_path / "study" / "T1", "--spacing", "0.25x0.25x1.25").stdout)
    assert (said["before"], said["after"]) == ([5, 4, 6], [10, 12, 12])


def test_dicom_is_not_written(tmp_path: Path) -> None:
    folder = series(tmp_path / "scan")
    for arguments in (["-f", "dicom"], ["-o", str(tmp_path / "a.dcm")]):
        assert (
            "DICOM files are read but not written; use --format nii.gz." in call(folder, *arguments, status=2).stderr
        )

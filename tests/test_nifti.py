"""NIfTI: each voxel keeps its place, and what a file says about itself stays true; nibabel reads the results."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pictures import encoded, noise
from support import Array

from upscale_cli import upscale
from upscale_cli.codecs.nifti_header import as_header, rotation_of
from upscale_cli.commands.compare import cli as compare_cli
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli
from upscale_cli.work import estimate

nib = pytest.importorskip("nibabel")

SIDES = (5, 4, 3)
EIGHTH = 0.125
TURNED = np.array([[0.0, -2.0, 0, 10.5], [1.5, 0, 0, -20.25], [0, 0, 3.0, 7], [0, 0, 0, 1]])
OBLIQUE = np.array([[1.4, -1.0, 0.2, -91.7], [0.9, 1.1, 0.3, 40.3], [-0.25, 0.1, 2.9, 17.9], [0, 0, 0, 1]])
FLIPPED = np.diag([-2.0, 2.0, 2.5, 1.0]) + np.array([[0, 0, 0, 90.5], [0, 0, 0, -126], [0, 0, 0, -72], [0, 0, 0, 0]])


def voxels(dtype: str = "int16", sides: tuple[int, ...] = SIDES) -> Array:
    """Samples in NIfTI's order (i, j, k, …)."""
    values = np.random.default_rng(len(dtype)).integers(0, 100, sides)
    return np.asfortranarray(values.astype(dtype))


def volume(values: Array, affine: Any = TURNED, kind: Any = None, **fields: Any) -> Any:
    """An image of nibabel; `fields` are those of its header."""
    image = (kind or nib.Nifti1Image)(values, affine)
    image.set_sform(affine, 2)
    image.set_qform(affine, 1, strip_shears=True)
    for name, value in fields.items():
        image.header[name] = value
    return image


def saved(path: Path, image: Any) -> Path:
    """The image in a file, with its own header; nibabel would set some fields anew."""
    header, values = image.header, np.asanyarray(image.dataobj)
    extensions = image.header.extensions
    size = 4 + sum(extension.get_sizeondisk() for extension in extensions)
    header["vox_offset"] = len(header.binaryblock) + size
    stream = io.BytesIO()
    header.write_to(stream)
    stream.seek(int(header["vox_offset"]))
    stream.write(values.astype(header.get_data_dtype()).tobytes("F"))
    data = stream.getvalue()
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
    return path


def call(*arguments: object, status: int = 0, data: bytes | None = None, command: Any = cli) -> Result:
    result = CliRunner().invoke(command, [str(a) for a in arguments], input=data)
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def read(path: Path) -> Any:
    """What nibabel reads, with its samples as they are stored."""
    image = nib.load(path)
    return image, np.asanyarray(image.dataobj.get_unscaled())


def made(path: Path, *arguments: object) -> tuple[Any, Array, str]:
    """What becomes of a file: nibabel's image, its samples, and what was reported."""
    target = path.with_name(f"made{''.join(path.suffixes)}")
    said = call(path, "-o", target, "--overwrite", *arguments).stderr
    return *read(target), said


def enlarged(values: Array, scale: tuple[Any, ...], method: str = "bilinear") -> Array:
    """The same by the Python interface: nibabel's order of axes is the reverse of an array's."""
    return upscale(values.T, scale[::-1], method, channels_first=False).T  # type: ignore[call-overload, no-any-return]


# Places ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["2", "2x2x1", "1x1.5x4"])
@pytest.mark.parametrize("affine", [TURNED, OBLIQUE, FLIPPED], ids=["turned", "oblique", "flipped"])
@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
def test_points_keep_their_place(kind: str, affine: Array, scale: str, tmp_path: Path) -> None:
    """By sform and qform, each its own; as well as float32 can say it, in which NIfTI-1 stores both."""
    source = volume(voxels(), affine, getattr(nib, kind))
    source.header["qoffset_x"] += 1
    image, values, said = made(saved(tmp_path / "a.nii", source), "-s", scale)
    assert said == ""
    factors = np.array(values.shape) / SIDES
    # The outer corners, and ten landmarks.
    corners = np.mgrid[-0.5:5:5, -0.5:4:4, -0.5:3:3].reshape(3, -1).T
    old = np.concatenate([corners, np.random.default_rng(0).random((10, 3)) * SIDES])
    new = (old + 0.5) * factors - 0.5
    short = affine is not OBLIQUE and "1.5" not in scale
    for before, after in ((source.get_sform(), image.get_sform()), (source.get_qform(), image.get_qform())):
        error = abs(nib.affines.apply_affine(after, new) - nib.affines.apply_affine(before, old)).max()
        assert error < (1e-12 if kind == "Nifti2Image" else 1e-6 if short else 1.2e-5)
    np.testing.assert_allclose(image.header["pixdim"][1:4], source.header["pixdim"][1:4] / factors, 1e-7)
    for field in ("sform_code", "qform_code", "quatern_b", "quatern_c", "quatern_d"):
        assert image.header[field] == source.header[field]
    assert image.header["pixdim"][0] == (-1 if np.linalg.det(affine) < 0 else 1)


def test_a_brain_keeps_its_landmarks_and_is_what_simpleitk_makes(tmp_path: Path) -> None:
    """The functional image that nibabel ships, obliquely cut; its values by SimpleITK 2.5.7, rounded half up."""
    name = Path(nib.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    if not name.exists():
        pytest.skip("this nibabel comes without its test data")
    (path := tmp_path / "brain.nii.gz").write_bytes(name.read_bytes())
    image, values, said = made(path, "-s", "2", "-m", "bilinear")
    assert "its header extension is kept" in said
    source = nib.load(path)
    old = np.random.default_rng(1).random((10, 3)) * (127, 95, 23)
    before, after = (nib.affines.apply_affine(of.affine, at) for of, at in ((source, old), (image, old * 2 + 0.5)))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)
    assert image.shape == (256, 192, 48, 2)
    np.testing.assert_array_equal(image.header["pixdim"][4:], source.header["pixdim"][4:])
    assert [e.get_content() for e in image.header.extensions] == [e.get_content() for e in source.header.extensions]
    for field in ("descrip", "xyzt_units", "dim_info", "cal_max", "aux_file", "toffset", "intent_code"):
        assert image.header[field] == source.header[field]
    assert values[100:108, 90, 24, 0].tolist() == [469, 475, 465, 449, 425, 411, 408, 406]
    sitk = pytest.importorskip("SimpleITK")
    for number in range(2):
        before = sitk.GetImageFromArray(np.asanyarray(source.dataobj)[..., number].T.astype(np.float64))
        size = [int(n) for n in image.shape[:3]]
        after = sitk.Resample(before, size, sitk.Transform(), sitk.sitkLinear, [-0.25] * 3, [0.5] * 3)
        inside = (slice(1, -1),) * 3
        np.testing.assert_array_equal(
            values[inside][..., number], np.floor(sitk.GetArrayFromImage(after).T[inside] + 0.5)
        )


def test_other_centres_of_a_volume_without_a_place(tmp_path: Path) -> None:
    """No codes: readers take the middle of the grid as the origin, which it stays."""
    source = volume(voxels("float32"), sform_code=0, qform_code=0)
    image, _, _ = made(saved(tmp_path / "a.nii", source), "-s", "2")
    assert (image.header["sform_code"], image.header["qform_code"]) == (0, 0)
    before, after = (each.header.get_base_affine() for each in (source, image))
    at = np.array([[-0.5, -0.5, -0.5], [1, 2, 0]])
    np.testing.assert_allclose(
        nib.affines.apply_affine(after, (at + 0.5) * 2 - 0.5), nib.affines.apply_affine(before, at), atol=1e-6
    )


# Values and what is said of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
def test_samples_keep_type_order_and_scaling(dtype: str, order: Any, ending: str, tmp_path: Path) -> None:
    values = voxels(dtype)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(dtype)
    source = nib.Nifti1Image(values, TURNED, header)
    for name, value in (("scl_slope", 0.25), ("scl_inter", -3.0), ("descrip", b"T1"), ("cal_max", 7.5)):
        source.header[name] = value
    image, stored, said = made(saved(tmp_path / f"a{ending}", source), "-s", "2x1x3", "-m", "lanczos")
    assert (said, image.header.endianness, image.get_data_dtype()) == ("", order, np.dtype(dtype).newbyteorder(order))
    np.testing.assert_array_equal(stored, enlarged(values, (2, 1, 3), "lanczos"))
    assert (image.dataobj.slope, image.dataobj.inter) == (0.25, -3)
    assert (image.header["descrip"].item(), image.header["cal_max"]) == (b"T1", 7.5)
    np.testing.assert_allclose(image.get_fdata(), stored * 0.25 - 3)


@pytest.mark.parametrize(
    ("sides", "scale", "factors"),
    [
        ((7,), "2", (2,)),
        ((7, 5), "2", (2, 2)),
        ((7, 5), "3x2", (3, 2)),
        ((7, 5, 3), "3x2", (3, 2, 1)),
        ((7, 5, 1), "2", (2, 2, 2)),
        ((5, 4, 3, 2), "2", (2, 2, 2, 1)),
        ((5, 4, 1, 3), "2x2x1", (2, 2, 1, 1)),
        ((3, 2, 2, 1, 3), "1x2x2", (1, 2, 2, 1, 1)),
    ],
)
def test_axes_in_space_are_enlarged_and_others_kept(
    sides: tuple[int, ...], scale: str, factors: tuple[int, ...], tmp_path: Path
) -> None:
    values = voxels("int16", sides)
    source = volume(values, TURNED)
    source.header["pixdim"][4:6] = 2.5, 9
    source.header.set_xyzt_units("mm", "sec")
    image, stored, _ = made(saved(tmp_path / "a.nii", source), "-s", scale, "-m", "nearest")
    assert image.header["dim"][0] == len(sides)
    np.testing.assert_array_equal(image.header["pixdim"][4:6], (2.5, 9))
    assert image.header["xyzt_units"] == source.header["xyzt_units"]
    want = values
    for axis, factor in enumerate(factors):
        want = want.repeat(factor, axis)
    np.testing.assert_array_equal(stored, want)


def test_labels_are_copied_and_never_blended(tmp_path: Path) -> None:
    values = np.random.default_rng(3).choice(np.array([0, 2, 41, 251, 2035], np.int32), SIDES)
    path = saved(tmp_path / "labels.nii.gz", volume(values, intent_code=1002))
    image, stored, _ = made(path, "-s", "2", "-m", "nearest")
    np.testing.assert_array_equal(stored, values.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    assert image.header["intent_code"] == 1002
    said = call(path, "-s", "2", status=1).stderr
    assert "is a map of labels, of which lanczos makes other labels; use --method nearest." in said


def test_colours_are_enlarged_channel_by_channel(tmp_path: Path) -> None:
    samples = np.random.default_rng(4).integers(0, 256, (*SIDES, 3), np.uint8)
    rgb = np.dtype([(name, "u1") for name in "RGB"])
    source = volume(np.ascontiguousarray(samples).view(rgb)[..., 0])
    image, stored, _ = made(saved(tmp_path / "a.nii", source), "-s", "2", "-m", "bilinear")
    assert image.get_data_dtype() == rgb
    want = upscale(np.ascontiguousarray(samples.transpose(2, 1, 0, 3)), (2, 2, 2), "bilinear", channels_first=False)
    np.testing.assert_array_equal(np.stack([stored[name] for name in "RGB"], -1), want.transpose(2, 1, 0, 3))


def test_slice_timing_goes_with_its_slices(tmp_path: Path) -> None:
    timed: dict[str, Any] = {"slice_code": 1, "slice_end": 2, "slice_duration": 0.5, "dim_info": 3 << 4}
    path = saved(tmp_path / "a.nii", volume(voxels(), **timed))
    image, _, said = made(path, "-s", "2")
    assert "its slice timing is left out" in said
    assert [float(image.header[name]) for name in timed] == [0, 0, 0, 3 << 4]
    image, _, said = made(path, "-s", "2x2x1")
    assert (said, [float(image.header[name]) for name in timed]) == ("", [1, 2, 0.5, 3 << 4])


def test_strip_leaves_descriptions_out(tmp_path: Path) -> None:
    source = volume(voxels(), descrip=b"name", aux_file=b"file")
    source.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"somebody"))
    path = saved(tmp_path / "a.nii", source)
    image, _, said = made(path, "--strip")
    assert (said, image.header["descrip"].item(), image.header["aux_file"].item(), image.header.extensions) == (
        "",
        b"",
        b"",
        [],
    )
    image, _, said = made(path)
    assert "its header extension is kept, with the sizes that it may state." in said
    assert image.header.extensions[0].get_content() == b"somebody"


# Spacing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "sides", "size", "said"),
    [
        ("0.5", (15, 16, 18), (0.5, 0.5, 0.5), ""),
        ("1.5x2x1mm", (5, 4, 9), (1.5, 2, 1), ""),
        ("0.7", (11, 11, 13), (7.5 / 11, 8 / 11, 9 / 13), "its voxels become 0.6818x0.7273x0.6923 mm"),
    ],
)
def test_spacing_is_the_size_of_voxels(
    typed: str, sides: tuple[int, ...], size: tuple[float, ...], said: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "a.nii", volume(voxels(), TURNED))  # 1.5 x 2 x 3 mm
    image, _, reported = made(path, "--spacing", typed)
    assert image.shape == sides
    np.testing.assert_allclose(image.header["pixdim"][1:4], size, 1e-6)
    assert said in reported
    assert bool(said) == bool(reported)


def test_kernels_that_shift_voxels_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "kernel.npy", np.ones((3, 3, 3), np.float32))
    path = saved(tmp_path / "a.nii", volume(voxels("float32")))
    line = (path, "-m", "transposed-conv", "--kernel", tmp_path / "kernel.npy")
    said = call(*line, "-p", "padding=0", status=1).stderr
    assert "is a volume, which transposed-conv would make 11x9x7, not 10x8x6: voxels would not stay" in said
    call(*line)
    assert nib.load(tmp_path / "a_2x.nii").shape == (10, 8, 6)


def test_spacing_counts_in_millimetres_whatever_the_unit(tmp_path: Path) -> None:
    source = volume(voxels(), np.diag([0.002, 0.002, 0.002, 1]))
    source.header.set_xyzt_units("meter")
    image, _, _ = made(saved(tmp_path / "a.nii", source), "--spacing", "1")
    assert image.shape == (10, 8, 6)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ["--spacing", "2"],
            1,
            "has voxels of 1.5x2x3 mm, of which --spacing 2x2x2 makes larger ones, but upscale only",
        ),
        (["--spacing", "2"], 1, "use --spacing 1.5x2x2."),
        (["--spacing", "0"], 2, 'spacing "0" is not a voxel size in mm, such as 1.0, or 1x1x2.'),
        (["--spacing", "1x2"], 2, "is not a voxel size"),
        (["--spacing", "1", "-s", "2"], 2, "--scale and --spacing exclude each other; leave one out."),
        (["-s", "0.5", "--allow-smaller"], 1, "which is only enlarged: --scale 0.5x0.5x0.5 is less than 1"),
        (["--size", "100"], 1, "is a volume, of which --size says too little; use --scale or --spacing."),
        (["--linear"], 1, "is a volume, whose values are not light; omit --linear."),
        (["-f", "png"], 1, "is a volume, whose place in space PNG cannot store; use --format nii or nii.gz."),
        (["-m", "learned"], 1, "learned enlarges only images"),
        (["-m", "bed-of-nails"], 1, "whose stored 0 means another value (scl_inter), and bed-of-nails adds zeros"),
        (["-s", "1.5", "-m", "bed-of-nails"], 1, "scl_inter"),
        (["-p", "grid=align-corners"], 1, "is a volume, which grid=align-corners would move; omit -p grid."),
        (["-p", "edge=zero"], 1, "and lanczos adds zeros"),
        (["-m", "epx"], 1, "epx enlarges only images"),
        (["-s", "2x2x2x2"], 2, "is not a number of at least 1"),
    ],
)
def test_what_a_volume_is_not_asked(arguments: list[str], status: int, said: str, tmp_path: Path) -> None:
    source = volume(voxels(), TURNED, scl_slope=2, scl_inter=5)
    path = saved(tmp_path / "a.nii", source)
    assert said in " ".join(call(path, *arguments, status=status).stderr.split())
    assert [each.name for each in tmp_path.iterdir()] == ["a.nii"]


def test_fields_lie_where_nibabel_has_them() -> None:
    renamed = {"length": "sizeof_hdr", "quaternion": "quatern_b", "qoffset": "qoffset_x", "sform": "srow_x"}
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        for order in "<>":
            theirs = kind(endianness=order)
            ours = as_header(theirs.binaryblock)
            assert ours.itemsize == theirs.template_dtype.itemsize
            for name, (kind_here, offset, *_) in (ours.dtype.fields or {}).items():
                field, start = theirs.structarr.dtype.fields[renamed.get(name, name)]
                assert (offset, kind_here.base.itemsize) == (start, field.base.itemsize) or name == "magic", name
    for parts in np.random.default_rng(0).normal(size=(50, 4)):
        unit = parts / np.linalg.norm(parts) * np.sign(parts[0])
        np.testing.assert_allclose(rotation_of(unit[1:]), nib.quaternions.quat2mat(unit), atol=1e-6)


# Files -------------------------------------------------------------------------------------------------------------


def header_with(**fields: Any) -> bytes:
    source = volume(voxels())
    for name, value in fields.items():
        source.header[name] = value
    return bytes(source.header.binaryblock) + bytes(4) + voxels().tobytes("F")


def dim(*sides: int) -> Array:
    return np.array([*sides, *[1] * (8 - len(sides))], np.int16)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"dim": dim(0)}, "has a damaged header"),
        ({"dim": dim(3, 5, -4, 3)}, "has a damaged header"),
        ({"dim": dim(8, 5, 4, 3)}, "has a damaged header"),
        ({"dim": dim(3, 500, 400, 300)}, "bytes before its last voxel; get another copy."),
        ({"dim": dim(7, *[32767] * 7)}, "bytes before its last voxel"),
        ({"datatype": 32}, "has voxels of complex64; only integers, floats up to 64 bits and RGB are accepted"),
        ({"datatype": 2304}, "has voxels of RGBA"),
        ({"datatype": 1536}, "has voxels of float128"),
        ({"datatype": 1}, "has voxels of single bits"),
        ({"datatype": 99}, "has voxels of an unknown type (99)"),
        ({"magic": b"ni1"}, "has its voxels in another file (.img); convert the pair to one .nii file first."),
        ({"vox_offset": 1e9}, "has a damaged header"),
        ({"vox_offset": np.nan}, "has a damaged header"),
        ({"intent_code": 1008}, "holds points, which are no volume in space"),
        ({"intent_code": 3002}, "holds values on a surface (CIFTI), which are no volume"),
    ],
)
def test_damaged_and_foreign_headers_are_named(fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    content = header_with(**fields)
    for name, data in (("a.nii", content), ("a.nii.gz", gzip.compress(content))):
        (path := tmp_path / name).write_bytes(data)
        if "last voxel" in said and name == "a.nii.gz":
            said = "pixels, more than the limit" if fields["dim"][0] == 7 else "ends before its last voxel"
        assert said in call(path, status=1).stderr


def test_the_header_of_a_pair_may_end_where_its_fields_do(tmp_path: Path) -> None:
    (path := tmp_path / "a.hdr").write_bytes(header_with(magic=b"ni1", vox_offset=0)[:348])
    assert "has its voxels in another file (.img)" in call(path, "-o", tmp_path / "a.nii", status=1).stderr


def test_one_factor_is_for_as_many_axes_as_are_named(tmp_path: Path) -> None:
    (path := tmp_path / "a.nii").write_bytes(header_with(vox_offset=352))
    for axes, sides in ((None, (10, 8, 6)), (3, (10, 8, 6)), (2, (10, 8, 3)), (1, (10, 4, 3))):
        words = [] if axes is None else [f"--axes={axes}"]
        call(path, "-s2", *words, "-o", target := tmp_path / f"{axes}.nii")
        assert read(target)[0].shape == sides


def test_what_ends_early_is_refused_at_every_byte(tmp_path: Path) -> None:
    whole = header_with(vox_offset=352)
    packed = gzip.compress(whole)
    (path := tmp_path / "a.nii").write_bytes(whole)
    call(path, "-o", tmp_path / "good.nii")
    for content in (whole, packed):
        for length in {*range(1, len(content), 29), len(content) - 1, len(content) - 5}:
            path.write_bytes(content[:length])
            said = call(path, "-o", tmp_path / "made.nii", status=1).stderr
            assert said.count("\n") == 1
            assert said.rstrip().endswith(".")
    broken = bytearray(packed)
    broken[-8] ^= 1  # the checksum
    path.write_bytes(broken)
    assert "CRC" in call(path, "-o", tmp_path / "made.nii", status=1).stderr
    assert not (tmp_path / "made.nii").exists()


def test_names_folders_plans_and_later_runs(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("brain.nii.gz", "sub-1.T1.nii"):
        saved(tmp_path / "in" / name, volume(voxels()))
    shown = call("-n", tmp_path / "in" / "brain.nii.gz", "-s", "2x2x1").stdout
    assert shown.endswith(f"brain.nii.gz 5x4x3 → {tmp_path}/in/brain_2x2x1x.nii.gz 10x8x3\n")
    for _ in range(2):
        call(tmp_path / "in", "-s", "2", "--overwrite")
        call(*(tmp_path / "in").iterdir(), "-s", "2", "--overwrite")  # results are no sources
    names = {"brain.nii.gz", "brain_2x.nii.gz", "sub-1.T1.nii", "sub-1.T1_2x.nii"}
    assert {each.name for each in (tmp_path / "in").iterdir()} == names
    assert {"brain.nii.gz", "sub-1.T1.nii"} <= {each.name for each in (tmp_path / "in_2x").iterdir()}
    call(tmp_path / "in", "--spacing", "0.75x1x1.5")
    assert (tmp_path / "in_0.75x1x1.5mm" / "brain.nii.gz").exists()
    said = json.loads(call("-n", "--json", tmp_path / "in" / "brain.nii.gz", "--spacing", "0.75").stdout)
    assert (said["before"], said["after"], said["scale"]) == ([5, 4, 3], [10, 11, 12], [2, 2.75, 4])
    assert said["target"].endswith("brain_10x11x12.nii.gz")
    call(tmp_path / "in" / "brain.nii.gz", "-o", tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[344:348] == b"n+1\0"
    call(tmp_path / "in" / "sub-1.T1.nii", "-f", "nii.gz")
    assert nib.load(tmp_path / "in" / "sub-1.T1_2x.nii.gz").shape == (10, 8, 6)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_volumes_go_through_pipes(ending: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"a{ending}", volume(voxels()))
    call(path, "-o", tmp_path / f"made{ending}")
    done = call("-", data=path.read_bytes())
    unpack = gzip.decompress if ending == ".nii.gz" else bytes
    assert unpack(done.stdout_bytes) == unpack((tmp_path / f"made{ending}").read_bytes())


def test_other_commands_and_images_name_what_they_do_not_take(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", volume(voxels()))
    (tmp_path / "a.png").write_bytes(encoded(noise("RGB"), "PNG"))
    assert "is no volume with a place in space" in call(tmp_path / "a.png", "-f", "nii", status=1).stderr
    assert "use --scale, not --spacing" in call(tmp_path / "a.png", "--spacing", "1", status=1).stderr
    assert "2x2x2" in call(tmp_path / "a.png", "-s", "2x2x2", status=1).stderr
    for command in (pool_cli, compare_cli):
        assert (
            "is a volume"
            in call(path, *(["-s", "2"] if command is pool_cli else []), status=1, command=command).stderr
        )


def test_memory_is_estimated_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.nii.gz", volume(voxels("uint8", (64, 64, 64))))
    monkeypatch.setattr(estimate, "available_memory", lambda: 15_000_000)
    assert "would be 128x128x128, which needs about " in call(path, "-s", "2", status=1).stderr
    assert "has 262,144 pixels, more than the limit" in call(path, "--max-source-pixels", "262k", status=1).stderr
    said = call(path, "--max-pixels", "2M", status=1).stderr
    assert "would be 128x128x128, 2,097,152 pixels; the largest factor that fits is 1.9" in said

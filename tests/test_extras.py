"""HEIC and JPEG XL, which libraries of extras read and write: exact, at their depth, and absent without harm."""

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pictures import deep, deep_png, encoded, enlarged, frames_read, noise, repeated
from PIL import Image
from support import SHARED, Array, needs_shared

from upscale_cli.codecs.finding import format_of_content
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.jxl_header import read_jxl_header
from upscale_cli.codecs.writing import Writing
from upscale_cli.commands.upscale import cli
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame

EXIF = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
NOTHING = Metadata()
P3 = ((b"cICP", bytes([12, 13, 0, 1])),)


def samples(bits: int, channels: int, height: int = 64, width: int = 66) -> Array:
    kind = np.uint8 if bits <= 8 else np.uint16
    return np.random.default_rng(bits).integers(0, 1 << bits, (height, width, channels)).astype(kind)


def spread(values: Array, bits: int) -> Array:
    """Samples as the nearest of the full range, in floating point."""
    full = 255 if bits <= 8 else 65535
    return np.floor(values.astype(np.float64) * full / ((1 << bits) - 1) + 0.5)


def heic(values: Array, mode: str, bits: int = 8, **options: Any) -> bytes:
    """A HEIC file of some samples, without loss."""
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    data = np.ascontiguousarray(values << (16 - bits) if bits > 8 else values).tobytes()
    given: dict[str, Any] = {"quality": -1, "chroma": 444, "bit_depth": bits} | options
    if mode != "L":
        given["matrix_coefficients"] = 0
    pillow_heif.encode(f"{mode};16" if bits > 8 else mode, values.shape[1::-1], data, stream, **given)
    return stream.getvalue()


class Ready:
    """A frame in the place of one that is enlarged while it is written."""

    def __init__(self, frame: Frame) -> None:
        self.frame = lambda: frame


def written(frame: Frame, format: str, metadata: Metadata = NOTHING, **how: Any) -> bytes:
    stream = io.BytesIO()
    row = FORMATS[format]
    row.load_codec().write(stream, iter([Ready(frame)]), Writing(format=row, metadata=metadata, **how))  # type: ignore[list-item]
    return stream.getvalue()


# HEIC --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_a_heic_is_read_at_its_depth(mode: str, channels: int, bits: int) -> None:
    values = samples(bits, channels)
    file = heic(values, mode, bits)
    assert format_of_content(file[:512]) is FORMATS["heif"]
    (frame,) = frames_read(file)
    assert frame.mode == mode
    np.testing.assert_array_equal(frame.samples, spread(values, bits))


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_a_heic_is_written(mode: Any, channels: int, deep: bool) -> None:
    pytest.importorskip("pillow_heif")
    values = samples(16 if deep else 8, channels)
    metadata = Metadata(exif=EXIF, xmp=b"<x/>", colour=P3)
    (frame,) = frames_read(written(Frame(values, mode), "heif", metadata, lossless=True))
    kept = spread(np.floor(values / 65535 * 1023 + 0.5), 10) if deep else values
    np.testing.assert_array_equal(frame.samples, kept)
    assert (frame.metadata.exif, frame.metadata.xmp, frame.metadata.colour) == (EXIF, b"<x/>", P3)
    lossy = written(Frame(values, mode), "heif", metadata)
    assert np.abs(frames_read(lossy)[0].samples / values.max() - values / values.max()).max() < 0.05


def test_a_heic_is_turned_once() -> None:
    # The file's own turn (irot) and EXIF say the same: libheif obeys the first.
    exif = Image.Exif()
    exif[0x0112] = 6
    values = samples(8, 1, 16, 24)
    (frame,) = frames_read(heic(values, "L", exif=exif.tobytes()))
    np.testing.assert_array_equal(frame.samples[:, :, 0], np.rot90(values[:, :, 0], -1))
    assert frame.metadata.exif is not None


def test_a_heic_goes_through_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic(samples(8, 3, 16, 16), "RGB"))
    done = CliRunner().invoke(cli, [str(tmp_path / "a.heic"), "-m", "nearest"])
    assert (done.exit_code, done.stderr) == (0, done.stderr), done.stderr
    (frame,) = frames_read(tmp_path / "a_2x.heic")
    assert frame.samples.shape == (32, 32, 3)
    done = CliRunner().invoke(cli, [str(tmp_path / "a.heic"), "-m", "nearest", "-f", "png"])
    with Image.open(tmp_path / "a_2x.png") as image:
        np.testing.assert_array_equal(np.asarray(image), repeated(samples(8, 3, 16, 16), 2))


def test_16_bits_that_become_10_are_said() -> None:
    pytest.importorskip("pillow_heif")
    _, result = enlarged(deep_png(deep(3)), "heif")
    assert result.notes[0] == "HEIC: 16 bits a channel become 10"


@pytest.mark.parametrize("format", ["heif", "jxl"])
def test_lossless_is_lossless(format: str) -> None:
    pytest.importorskip({"heif": "pillow_heif", "jxl": "imagecodecs"}[format])
    made, result = enlarged(encoded(noise("RGB", 33, 21), "PNG"), format, 2, lossless=True)
    np.testing.assert_array_equal(frames_read(made)[0].samples, repeated(np.asarray(noise("RGB", 33, 21)), 2))
    assert result.notes == []


BRANDS = [
    (b"mif1", b"mif1heic", "heif"),
    (b"msf1", b"msf1hevcheic", "heif"),
    (b"heic", b"mif1heic", "heif"),
    (b"mif1", b"mif1avifmiaf", "avif"),
    (b"avif", b"mif1miaf", "avif"),
    (b"mif1", b"mif1miaf", "heif"),
    (b"isom", b"isomiso2avc1mp41", None),
]


@pytest.mark.parametrize(("major", "compatible", "name"), BRANDS)
def test_compatible_brands_decide(major: bytes, compatible: bytes, name: str | None) -> None:
    size = 16 + len(compatible)
    found = format_of_content(size.to_bytes(4) + b"ftyp" + major + bytes(4) + compatible + b"\0\0\0\x08free")
    assert (found and found.name) == name


@needs_shared
def test_a_mif1_file_is_a_heic() -> None:
    path = SHARED / "cases" / "heic-mif1-called-damaged-avif.heic"
    with pytest.raises(UpscaleError, match="HEIC"):
        frames_read(path)


def test_what_a_heif_holds_besides_is_reported() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    several = pillow_heif.from_pillow(noise("RGB", 64, 64))
    several.add_from_pillow(noise("RGB", 64, 64, seed=1))
    stream = io.BytesIO()
    several.save(stream)
    _, result = enlarged(stream.getvalue(), "png")
    assert result.notes == ["only the main one of its 2 pictures is enlarged"]


# JPEG XL -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 5, 8, 10, 12, 16])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_a_jxl_is_read_at_its_depth(mode: str, channels: int, bits: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = samples(bits, channels)
    (frame,) = frames_read(imagecodecs.jpegxl_encode(np.squeeze(values), lossless=True, bitspersample=bits))
    assert frame.mode == mode
    np.testing.assert_array_equal(frame.samples, spread(values, bits))


def test_a_jxl_of_floats_is_read() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = np.random.default_rng(0).normal(0.5, 2, (9, 11)).astype(np.float32)
    file = imagecodecs.jpegxl_encode(values, lossless=True)
    np.testing.assert_array_equal(frames_read(file)[0].samples[:, :, 0], values)
    data, _ = enlarged(file, "npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(data)), values)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_a_jxl_is_written(mode: Any, channels: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = samples(8, channels)
    file = written(Frame(values, mode), "jxl", Metadata(exif=EXIF, xmp=b"<x/>"), lossless=True)
    np.testing.assert_array_equal(imagecodecs.jpegxl_decode(file), np.squeeze(values))
    (frame,) = frames_read(file)
    assert (frame.metadata.exif, frame.metadata.xmp, frame.metadata.icc) == (EXIF, b"<x/>", None)
    smooth = np.linspace(0, 255, 64 * 66 * channels).reshape(values.shape).astype(np.uint8)
    lossy = imagecodecs.jpegxl_decode(written(Frame(smooth, mode), "jxl", quality=80)).reshape(smooth.shape)
    assert 0 < np.abs(lossy.astype(int) - smooth).max() < 16


@pytest.mark.parametrize("lossless", [False, True])
def test_the_header_of_a_jxl(lossless: bool) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    for height, width in ((8, 8), (40, 60), (301, 17), (256, 256)):
        file = imagecodecs.jpegxl_encode(np.zeros((height, width, 4), np.uint8), lossless=lossless)
        header = read_jxl_header(file)
        assert (header.height, header.width, header.lossless, header.alpha) == (height, width, lossless, True)
        for length in (2, 3, 12):
            with pytest.raises(UpscaleError, match=r"damaged JPEG XL file|cannot be"):
                frames_read(file[:length] if length < 12 else file[:-5])


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [((2, 64, 66, 3), {}, "several frames"), ((5, 64, 66), {"planar": True}, "channels besides colour")],
)
def test_a_jxl_that_is_not_read_is_named(shape: tuple[int, ...], options: dict[str, Any], said: str) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    file = imagecodecs.jpegxl_encode(np.zeros(shape, np.uint8), lossless=True, **options)
    with pytest.raises(UpscaleError, match=said):
        frames_read(file)


def test_boxes_of_a_jxl_that_are_left_out_are_said() -> None:
    """ISO/IEC 18181-2: jumb, jhgm, and brob, which begins with the name of the box that it compresses."""
    imagecodecs = pytest.importorskip("imagecodecs")
    code = imagecodecs.jpegxl_encode(samples(8, 3), lossless=True)
    boxes = ((b"ftyp", b"jxl \0\0\0\0jxl "), (b"jxlc", code), (b"brob", b"jumb\x0b"), (b"jhgm", b"gain"))
    file = b"".join(struct.pack(">I4s", 8 + len(content), name) + content for name, content in boxes)
    _, result = enlarged(b"\0\0\0\x0cJXL \r\n\x87\n" + file, "png")
    assert result.notes == ["its HDR gain map is left out", "its C2PA data (content credentials) is left out"]
    assert enlarged(code, "png")[1].notes == []


# Extras that are absent, or broken ---------------------------------------------------------------------------------

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in ("pillow_heif", "pillow_jxl", "imagecodecs", "nibabel", "pydicom"):
            raise {error}
sys.meta_path.insert(0, Blocker())
from upscale_cli.commands.upscale import main
sys.argv = ["upscale", *sys.argv[1:]]
main()
"""
ABSENT, BROKEN = 'ModuleNotFoundError(f"No module named {name}")', 'RuntimeError("a library is missing")'
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
JXL = b"\xff\n" + bytes(100)
DICOM = bytes(128) + b"DICM" + bytes(8)


def blocked(error: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED.format(error=error), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ABSENT, "{} an extra: pip install 'upscale-cli[{}]'."),
        (
            BROKEN,
            "{} an extra that cannot be loaded (RuntimeError: a library is missing); install it again: "
            "pip install --force-reinstall 'upscale-cli[{}]'.",
        ),
    ],
)
def test_an_extra_that_is_not_there_is_named_and_harms_nothing_else(error: str, said: str, tmp_path: Path) -> None:
    files = {"a.heic": HEIC, "b.jpg": JXL, "c.png": encoded(noise("RGB"), "PNG"), "d.dcm": DICOM}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    done = blocked(error, *(str(tmp_path / name) for name in files), "-o", str(tmp_path / "made"))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert f"{tmp_path}/a.heic: {said.format('is a HEIC image, which needs', 'heif')}" in lines
    assert f"{tmp_path}/b.jpg: {said.format('is a JPEG XL image, which needs', 'jxl')}" in lines
    assert f"{tmp_path}/d.dcm: {said.format('is a DICOM image, which needs', 'medical')}" in lines
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["c.png"]


@pytest.mark.parametrize("error", [ABSENT, BROKEN])
def test_a_format_whose_extra_is_not_there_cannot_be_asked_for(error: str, tmp_path: Path) -> None:
    (tmp_path / "c.png").write_bytes(encoded(noise("RGB"), "PNG"))
    for arguments in (["-f", "heic"], ["-o", str(tmp_path / "c.heic")]):
        done = blocked(error, str(tmp_path / "c.png"), *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, done.stderr.count("\n"))
        assert "HEIC needs an extra" in done.stderr
    assert blocked(error, "--help").returncode == 0


def test_the_extras_are_imported_only_for_their_formats(tmp_path: Path) -> None:
    (tmp_path / "c.png").write_bytes(encoded(noise("RGB"), "PNG"))
    done = blocked("SystemExit(9)", str(tmp_path / "c.png"), "-f", "tiff")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c_2x.tif").read_bytes()[:2] in (b"II", b"MM")

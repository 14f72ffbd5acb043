"""Large pictures: sources that are read while results are written, the memory that is taken, room on the disk."""

import io
import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from breaking import Record, ended, needs_proc
from pictures import enlarged
from PIL import Image
from support import Array

from upscale_cli.codecs import npy, tiff_samples, writing
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import open_picture
from upscale_cli.errors import UpscaleError
from upscale_cli.methods import METHODS, pieces, resampling, resolve, rows
from upscale_cli.methods.rows import Rows
from upscale_cli.methods.samples import Samples
from upscale_cli.places.files import FileSource, FileTarget
from upscale_cli.work.request import Request

tifffile = pytest.importorskip("tifffile", reason="tifffile makes the sources")

RNG = np.random.default_rng(17)
BENCH = Path(__file__).parents[1] / "bench" / "large.py"


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strip, a tile or a few rows are read at once, and two of these parts are kept."""
    for module in (npy, tiff_samples):
        monkeypatch.setattr(module, "TOGETHER", 400)
    monkeypatch.setattr(rows, "KEPT", 1)
    monkeypatch.setattr(rows, "PART_VALUES", 40)


def saved(samples: Array, **options: Any) -> bytes:
    stream = io.BytesIO()
    if options.pop("npy", False):
        np.save(stream, samples)
    else:
        tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()


def _samples(channels: int, dtype: str = "uint8") -> Array:
    samples = RNG.integers(0, 250, (37, 25, channels)).astype(dtype)
    return samples.squeeze(2) if channels == 1 else samples


def _gdal(value: str) -> dict[str, Any]:
    return {"extratags": [(42113, "s", 0, value, True)]}


TRANSLUCENT, HIDDEN, PLANES = _samples(4), _samples(4), _samples(3)
HIDDEN[:20, :, 3] = 255
HIDDEN[30:, :, 3] = 0
OPAQUE = np.where(np.arange(4) == 3, 255, _samples(4)).astype(np.uint8)
MISSING = np.where(RNG.integers(0, 9, (37, 25)) == 0, -1, _samples(1)).astype(np.float32)
COLOURS = RNG.integers(0, 65536, (3, 256), np.uint16)
RGB: dict[str, Any] = {"photometric": "rgb"}
SOURCES: dict[str, bytes] = {
    "grey": saved(_samples(1), rowsperstrip=4),
    "tiles": saved(_samples(3), tile=(16, 16), compression="zlib", predictor=True, **RGB),
    "planes": saved(
        np.moveaxis(_samples(3), 2, 0), planarconfig="separate", rowsperstrip=4, compression="lzw", **RGB
    ),
    "one strip a plane": saved(np.moveaxis(PLANES, 2, 0), planarconfig="separate", rowsperstrip=37, **RGB),
    "one strip": saved(_samples(3, "uint16"), rowsperstrip=37, **RGB),
    "translucent": saved(TRANSLUCENT, extrasamples=(2,), rowsperstrip=4, **RGB),
    "hidden": saved(HIDDEN, extrasamples=(2,), rowsperstrip=4, **RGB),
    "opaque": saved(OPAQUE, extrasamples=(2,), rowsperstrip=4, **RGB),
    "multiplied": saved(TRANSLUCENT, extrasamples=(1,), rowsperstrip=4, **RGB),
    "bands": saved(_samples(5), extrasamples=(0, 2), rowsperstrip=4, **RGB),
    "ink": saved(_samples(4, "uint16"), photometric="separated", rowsperstrip=4),
    "palette": saved(_samples(1), photometric="palette", colormap=COLOURS, rowsperstrip=4),
    "bits": saved(_samples(1) > 99, rowsperstrip=4),
    "no data": saved(MISSING, rowsperstrip=4, **_gdal("-1")),
    "photograph without data": saved(np.where(_samples(1)[..., None] > 200, 0, _samples(3)), **RGB, **_gdal("0")),
    "floats": saved(_samples(3, "float32"), rowsperstrip=4, tile=(32, 16), **RGB),
    "not finite": saved(np.where(MISSING < 0, np.nan, MISSING), rowsperstrip=4),
    "jpeg": saved(_samples(3), compression="jpeg", tile=(16, 16), **RGB),
    "pages": saved(np.stack([_samples(1), _samples(1)]), photometric="minisblack", rowsperstrip=4),
    "turned": saved(_samples(3), rowsperstrip=4, extratags=[(274, "H", 1, 6, True)], **RGB),
    "array": saved(_samples(3), npy=True),
    "arrays": saved(np.stack([_samples(3), _samples(3)]), npy=True),
    "other bytes": saved(_samples(3).astype(">i2"), npy=True),
    "columns": saved(np.asfortranarray(_samples(3)), npy=True),
    "long integers": saved(_samples(1, "int64") << 50, npy=True),
}
"""Files of every kind that is read by rows, and of some that are not."""


# The same result --------------------------------------------------------------------------------------------------


WAYS: list[dict[str, Any]] = [
    {"scale": 2, "method": "lanczos"},
    {"scale": 2},
    {"size": "150x50", "fit": "pad", "method": "lanczos"},
    {"scale": 2, "method": "bicubic", "linear": True},
    {"scale": 2, "method": "lanczos", "alpha": "separate"},
]


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_is_read_by_rows_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("imagecodecs", reason="tifffile needs it for LZW and JPEG")

    def made(by_rows: bool, format: str, way: dict[str, Any]) -> tuple[object, ...]:
        with monkeypatch.context() as patched:
            if not by_rows:
                patched.setattr(Request, "reads_by_rows", lambda *_: False)
            try:
                content, result = enlarged(SOURCES[name], format, **way)
            except UpscaleError as error:
                return (str(error),)
        return content, result.notes, result.decisions

    cases = [*product(["png"], WAYS), *product(["tiff", "npy", "jpeg"], WAYS[:2])]
    assert [case for case in cases if made(True, *case) != made(False, *case)] == []


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize(
    ("name", "expected"), [("hidden", HIDDEN), ("opaque", OPAQUE), ("one strip a plane", PLANES)]
)
def test_what_is_looked_for_in_all_rows_is_found(name: str, expected: Array) -> None:
    """Opacity that is full only at the top; and samples are those that tifffile was given."""
    made = np.asarray(Image.open(io.BytesIO(enlarged(SOURCES[name], "png", 1)[0])))
    np.testing.assert_array_equal(made, expected)
    made = np.asarray(Image.open(io.BytesIO(enlarged(SOURCES[name], "png", 2, "lanczos")[0])))
    assert made.shape[2] == 3 or (made[..., 3] == 255).all() == (expected[..., 3] == 255).all()


READ_BY_ROWS = sorted(METHODS.keys() - {"bed-of-nails", "max-unpooling", "learned"})
"""The methods that large pictures can be enlarged with in little memory."""


def test_most_methods_read_large_pictures_by_rows() -> None:
    assert sorted(name for name, method in METHODS.items() if method.by_rows) == READ_BY_ROWS


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize(
    ("name", "longest"), [*product(READ_BY_ROWS, [1 << 14]), ("lanczos", 32), ("transposed-conv", 32)]
)
def test_only_rows_near_those_that_are_made_are_read(
    name: str, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long sides are made in pieces, which read no more."""
    for module in (pieces, resampling):
        monkeypatch.setattr(module, "LONGEST", longest)
    source = _samples(3, "float32").repeat(60, axis=0).repeat(30, axis=1)
    method, read = METHODS[name], set[int]()

    def read_some(start: int, stop: int) -> Array:
        read.add(start)
        return source[start:stop]

    parameters = method.read_parameters({})
    scale, shape = resolve(method, source.shape, parameters=parameters)
    samples = Samples(source.dtype, 3, source.dtype)
    given: Any = Rows(len(source), 8, read_some)
    made, whole = (
        method.make(each, scale=scale, size=shape[:2], samples=samples, parameters=parameters)
        for each in (given, source)
    )
    read.clear()
    middle = shape[0] // 2
    assert made.rows(middle, middle + 1).tobytes() == whole.rows(middle, middle + 1).tobytes()
    assert read
    assert all(abs(start - len(source) // 2) < 700 for start in read)


# Faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("name", ["grey", "tiles"])
def test_a_source_whose_end_is_missing_is_told_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    """Its beginning is read, and enlarged, before that is found out."""
    (tmp_path / "in.tif").write_bytes(SOURCES[name])
    page = tifffile.TiffFile(io.BytesIO(SOURCES[name])).pages.first
    content = bytearray(SOURCES[name])
    where = page.tags[324 if page.is_tiled else 273].valueoffset + 4 * (len(page.dataoffsets) - 1)
    content[where : where + 4] = len(content).to_bytes(4, "little")
    (tmp_path / "in.tif").write_bytes(content)
    line = [sys.executable, "-m", "upscale_cli", "in.tif", "-o", "out.tif"]
    done = ended(line, tmp_path)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"in.tif: is truncated" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


@pytest.mark.usefixtures("_short")
def test_an_array_that_becomes_shorter_while_it_is_read_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((400, 400, 3)))
    with open_picture(FileSource(tmp_path / "in.npy").open()) as image:
        frame = next(image.frames(by_rows=True))
        with (tmp_path / "in.npy").open("r+b") as stream:
            stream.truncate(50_000)
        with pytest.raises(UpscaleError, match="was changed while it was read, or is damaged; try again"):
            np.asarray(frame.samples)


@pytest.mark.parametrize(("format", "compression"), [("npy", None), ("tiff", "none")])
def test_a_disk_without_room_is_told_before_any_work(
    format: str, compression: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "in.npy", _samples(3))
    size, work = 37 * 25 * 3 * 4, Request(method=METHODS["nearest"], format=FORMATS[format], compression=compression)

    def carry_out(room: int) -> None:
        monkeypatch.setattr(writing, "SPOOL", 100)
        monkeypatch.setattr(writing, "disk_usage", lambda _: type("", (), {"free": room}))
        work.carry_out(FileSource(tmp_path / "in.npy"), FileTarget(tmp_path / "out"), None, lambda _: done.append(1))

    done: list[int] = []
    with pytest.raises(UpscaleError, match=r"would take 0 MB, but only 0 MB is free where it goes; free some space"):
        carry_out(size - 1)
    assert not done
    assert [path.name for path in tmp_path.iterdir()] == ["in.npy"]
    carry_out(size)
    assert (tmp_path / "out").stat().st_size > size


# Memory -----------------------------------------------------------------------------------------------------------


@needs_proc
def test_less_than_the_source_is_taken_and_no_more_than_is_estimated(record_property: Record) -> None:
    cases = [
        ["RGB", 6000, 5000, "tif", "png", "nearest", "1", 2, {}],
        ["F", 6000, 9000, "npy", "npy", "nearest", "1", 2, {}],
    ]
    script = Path(__file__).with_name("taken.py")
    done = ended([sys.executable, script, json.dumps(cases)], timeout=600)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(cases), done.stderr.decode()
    for case, (estimated, taken), decoded in zip(cases, lines, (90_000_000, 216_000_000), strict=True):
        record_property("by rows", [case, estimated >> 20, taken >> 20])
        assert taken <= 1.15 * estimated
        assert taken < decoded


@needs_proc
@pytest.mark.parametrize(
    ("side", "scale", "source", "result"),
    [
        pytest.param(300, 2, "tiff-one", "npy", marks=pytest.mark.long),
        (300, 2, "tiff-lzw-tiled", "png"),
        (300, 2, "png", "tiff"),
        pytest.param(12_000, 6, "npy", "png", marks=pytest.mark.long),
        pytest.param(12_000, 6, "tiff-lzw-tiled", "tiff-none", marks=pytest.mark.long),
    ],
)
def test_large_results_are_right_and_take_little_memory(
    side: int, scale: int, source: str, result: str, tmp_path: Path, record_property: Record
) -> None:
    """The long ones have more than 2³² pixels, so the TIFF is a BigTIFF; the bench looks at a crop of each."""
    pytest.importorskip("imagecodecs", reason="tifffile needs it for LZW")
    line = [sys.executable, BENCH, "--channels", "1", "--sides", side, "--scale", scale, "--sources", source]
    line += ["--results", result, "--folder", tmp_path]
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _, _, row = done.stdout.splitlines()
    decoded, peak, estimated = (int(each) for each in row.split("|")[6:9])
    record_property("large", row)
    assert decoded == side * side // 10**6
    assert peak <= min(1.15 * estimated + 48, decoded + 500), row  # 48 MB are those of Python and NumPy
    assert list(tmp_path.iterdir()) == []

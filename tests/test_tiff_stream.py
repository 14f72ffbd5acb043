"""TIFFs written strip by strip, with every compression and kind of pixels, as other decoders read them."""

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from upscale_cli.codecs import tiff_writer
from upscale_cli.codecs.formats import FORMATS, NUMBERS
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.commands.upscale import cli
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.methods.placement import Nearest
from upscale_cli.methods.strips import Workers

tifffile = pytest.importorskip("tifffile", reason="tifffile reads the results")
pytest.importorskip("imagecodecs", reason="tifffile needs it for LZW and zstd")

Array = np.ndarray[Any, np.dtype[Any]]
TIFF = FORMATS["tiff"]
RNG = np.random.default_rng(15)
CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "P": 1}
NAMES = {"none": "NONE", "deflate": "ADOBE_DEFLATE", "lzw": "LZW", "zstd": "ZSTD"}
KINDS = [("L", "bool", 0), ("P", "uint8", 0), ("L", "uint16", 2), ("RGB", "uint8", 4)]
KINDS += [(mode, "uint8", 0) for mode in ("LA", "RGB", "RGBA", "CMYK")]
KINDS += [("RGB" if dtype in ("int16", "float16") else "L", dtype, 0) for dtype in NUMBERS]


def some(shape: tuple[int, ...], name: str) -> Array:
    """Values from the whole range of a type, but floats that are finite; rows that repeat, too."""
    dtype = np.dtype(name)
    if dtype.kind == "f":
        return RNG.normal(size=shape).astype(dtype)
    if name == "bool":
        return RNG.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    samples = RNG.integers(info.min, info.max, shape, dtype, endpoint=True)
    samples[len(samples) // 2 :] = samples[:1]
    return samples


def page(samples: Array, mode: Any, extra: int = 0, workers: Workers | None = None) -> Enlarged:
    """A page twice as large as some samples."""
    height, width, channels = samples.shape
    colours = np.arange(1024).reshape(256, 4).astype(np.uint8)
    return Enlarged(
        upsampler=Nearest(samples, (2 * height, 2 * width)),
        finish=None,
        shape=(2 * height, 2 * width, channels),
        dtype=samples.dtype,
        mode=mode,
        palette=colours if mode == "P" else None,
        extra=(0,) * extra,
        workers=workers,
    )


def saved(pages: Iterator[Enlarged] | list[Enlarged], compression: str | None = None) -> bytes:
    stream = io.BytesIO()
    TIFF.load_codec().write(stream, iter(pages), Writing(format=TIFF, metadata=Metadata(), compression=compression))
    return stream.getvalue()


@pytest.fixture
def _short_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_writer, "STRIP_BYTES", 700)


@pytest.mark.usefixtures("_short_strips")
@pytest.mark.parametrize("compression", TIFF.compressions)
@pytest.mark.parametrize(("mode", "dtype", "extra"), KINDS)
def test_every_kind_of_pixels_in_every_compression(mode: str, dtype: str, extra: int, compression: str) -> None:
    samples = some((64, 23, CHANNELS[mode] + extra), dtype)
    workers = Workers(2)
    with workers:
        (made,) = tifffile.TiffFile(io.BytesIO(saved([page(samples, mode, extra, workers)], compression))).pages
    assert len(made.dataoffsets) == -(-128 // made.rowsperstrip) > 1
    assert (made.compression.name, made.dtype) == (NAMES[compression], np.dtype(dtype))
    differences = compression != "none" and mode != "P" and np.dtype(dtype).kind in "ui"
    assert made.predictor == (2 if differences else 1)
    assert made.extrasamples == ((2,) if mode in ("LA", "RGBA") else (0,) * extra)
    expected = samples.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(made.asarray().reshape(expected.shape), expected)
    if mode == "P":
        np.testing.assert_array_equal(made.colormap[:, :3] // 257, [[0, 4, 8], [1, 5, 9], [2, 6, 10]])


@pytest.mark.usefixtures("_short_strips")
@pytest.mark.parametrize("compression", TIFF.compressions)
def test_other_decoders_see_the_same(compression: str, tmp_path: Path) -> None:
    """Pillow, a program of libtiff, and libvips; several pages, of different sizes and kinds."""
    sources = [some((19, 23, 3), "uint8"), some((40, 31, 1), "uint16"), some((9, 50, 1), "bool")]
    file = tmp_path / "a.tif"
    file.write_bytes(saved([page(s, "RGB" if s.shape[2] == 3 else "L") for s in sources], compression))
    expected = [s.repeat(2, axis=0).repeat(2, axis=1) for s in sources]
    with Image.open(file) as image:
        for index, samples in enumerate(expected):
            image.seek(index)
            np.testing.assert_array_equal(np.asarray(image).reshape(samples.shape), samples)
    if shutil.which("tiffcp"):
        line = ["tiffcp", "-c", "none", str(file), str(tmp_path / "b.tif")]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        for made, samples in zip(
            tifffile.TiffFile(io.BytesIO((tmp_path / "b.tif").read_bytes())).pages, expected, strict=True
        ):
            assert made.compression.name == "NONE"
            np.testing.assert_array_equal(made.asarray().reshape(samples.shape), samples)
    if compression == "zstd":  # which the libtiff of pyvips-binary lacks
        return
    pyvips = pytest.importorskip("pyvips", reason="the third decoder")
    for index, samples in enumerate(expected):
        seen = pyvips.Image.new_from_file(str(file), page=index).numpy().reshape(samples.shape)
        np.testing.assert_array_equal(seen > 0 if samples.dtype == bool else seen, samples)


def test_the_usual_compression_is_the_first() -> None:
    pages = [page(some((19, 23, 3), "uint8"), "RGB")]
    assert saved(pages) == saved(pages, TIFF.compressions[0]) != saved(pages, TIFF.compressions[1])
    assert tuple(tiff_writer.PACKERS) == TIFF.compressions
    offered = next(option for option in cli.params if option.name == "compression").type
    assert isinstance(offered, click.Choice)
    assert list(offered.choices) == [each for row in FORMATS.values() for each in row.compressions]


def test_a_page_is_begun_when_the_one_before_is_written() -> None:
    stream, begun = io.BytesIO(), []

    def pages() -> Iterator[Enlarged]:
        for _ in range(3):
            begun.append(stream.tell())
            yield page(some((50, 60, 3), "uint8"), "RGB")

    TIFF.load_codec().write(stream, pages(), Writing(format=TIFF, metadata=Metadata(), compression="none"))
    assert begun == [16, 16 + 4 * 50 * 60 * 3, 16 + 8 * 50 * 60 * 3]


def test_a_pillow_without_the_compression_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # JBIG, which no libtiff writes for 8 bits.
    monkeypatch.setitem(TiffImagePlugin.COMPRESSION_INFO_REV, "zstd", 34661)
    with pytest.raises(UpscaleError, match="needs a Pillow whose libtiff has zstd; use --compression deflate"):
        saved([page(some((19, 23, 3), "uint8"), "RGB")], "zstd")

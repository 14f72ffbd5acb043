"""JPEGs written strip by strip: the pixels of the serial encoder, in every decoder, for every kind of MCU."""

import io
import shutil
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import encoded, noise, opened, source_of
from PIL import Image

from upscale_cli.codecs import jpeg_stream
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.jpeg_stream import END, JpegStream
from upscale_cli.methods import METHODS, strips
from upscale_cli.methods.strips import Workers
from upscale_cli.methods.upsampler import Array
from upscale_cli.places.streams import StreamTarget
from upscale_cli.work.request import Request

KINDS = [("L", "4:4:4"), ("CMYK", "4:4:4"), ("RGB", "4:4:4"), ("RGB", "4:2:2"), ("RGB", "4:2:0")]
SIZES = [(1, 1), (7, 9), (8, 16), (16, 16), (17, 33), (40, 64), (100, 47), (129, 31), (255, 257)]
"""Widths and heights: whole MCUs, parts of one to the right and below, and less than one."""


def joined(samples: Array, mode: str, **options: Any) -> tuple[bytes, int]:
    """A JPEG that was packed strip by strip, from below, and the number of its strips."""
    jpeg = JpegStream(samples.shape, mode, options)
    starts = range(0, len(samples), jpeg.most)
    packed = [jpeg.pack(samples[at : at + jpeg.most], at == 0, at == starts[-1]) for at in reversed(starts)]
    return b"".join(map(jpeg.part, reversed(packed))) + END, len(starts)


def both(image: Image.Image, **options: Any) -> tuple[bytes, bytes, int]:
    """An image as our strips, and as Pillow's whole; how many strips there are."""
    samples = np.asarray(image).reshape(image.height, image.width, -1)
    ours, strips = joined(samples, image.mode, **options)
    return ours, encoded(image, "JPEG", **options), strips


@pytest.fixture(params=[1, 1 << 13], ids=["thin", "thicker"])
def _short_strips(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_stream, "STRIP_VALUES", request.param)


@pytest.mark.usefixtures("_short_strips")
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize(("mode", "subsampling"), KINDS)
def test_strips_have_the_pixels_of_the_serial_encoder(mode: str, subsampling: str, size: tuple[int, int]) -> None:
    for quality in (30, 95):
        ours, serial, _ = both(noise(mode, *size), quality=quality, subsampling=subsampling)
        assert opened(ours).size == size
        assert np.array_equal(np.asarray(opened(ours)), np.asarray(opened(serial)))


@pytest.mark.usefixtures("_short_strips")
@pytest.mark.parametrize("tables", [[3], [3, 5, 7], [3, 300, 300]], ids=["one", "three", "sixteen-bit"])
def test_tables_of_ones_own_serve_every_strip(tables: Sequence[int]) -> None:
    options = {"qtables": [[first, *[9] * 63] for first in tables], "subsampling": "4:2:0"}
    ours, serial, strips = both(noise("RGB", 50, 300), **options)
    assert strips > 1
    assert np.array_equal(np.asarray(opened(ours)), np.asarray(opened(serial)))


def test_one_strip_is_the_file_of_the_serial_encoder() -> None:
    ours, serial, strips = both(noise("RGB", 60, 50), quality=90, subsampling="4:2:0")
    assert (ours, strips) == (serial, 1)


def test_restart_markers_count_to_seven_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_stream, "STRIP_VALUES", 1)
    ours, _, strips = both(noise("L", 8, 8 * 1100), quality=95, subsampling="4:4:4")
    # In a scan a byte of 255 is followed by 0, unless it begins a marker.
    markers = [second for first, second in pairwise(ours) if first == 0xFF and 0xD0 <= second <= 0xD7]
    assert markers == [0xD0 + number % 8 for number in range(strips - 1)]
    assert strips == 1100


@pytest.mark.parametrize(("mode", "subsampling"), KINDS)
def test_an_interval_has_no_more_mcus_than_its_marker_can_say(
    mode: str, subsampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg_stream, "STRIP_VALUES", 1 << 40)
    channels = len(Image.new(mode, (1, 1)).getbands())
    jpeg = JpegStream((65_500, 65_500, channels), mode, {"subsampling": subsampling})
    across, down = {"4:4:4": (8, 8), "4:2:2": (16, 8), "4:2:0": (16, 16)}[subsampling]
    each = -(-65_500 // across)
    assert jpeg.step == down
    assert 65_535 - each < jpeg.most // down * each <= 65_535


@pytest.mark.parametrize("size", [(65_500, 33), (33, 65_500)], ids=["wide", "tall"])
def test_the_longest_sides(size: tuple[int, int]) -> None:
    ours, serial, strips = both(noise("RGB", *size), quality=75, subsampling="4:2:0")
    assert strips > 1
    assert np.array_equal(np.asarray(opened(ours)), np.asarray(opened(serial)))


@pytest.mark.parametrize(("mode", "subsampling"), KINDS)
def test_other_decoders_see_the_same(
    mode: str, subsampling: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jpeg_stream, "STRIP_VALUES", 1 << 13)
    ours, serial, strips = both(noise(mode, 203, 149), quality=85, subsampling=subsampling)
    assert strips > 3
    decoded = [imagecodecs_sees, libvips_sees, *([ffmpeg_sees] if mode != "CMYK" and shutil.which("ffmpeg") else [])]
    for sees in decoded:
        assert np.array_equal(sees(ours, tmp_path), sees(serial, tmp_path)), sees.__name__
    if shutil.which("jpegtran"):
        # It takes the restart markers out, and leaves the coefficients as they are.
        plain = [subprocess.run(["jpegtran"], input=data, capture_output=True, check=True) for data in (ours, serial)]
        assert plain[0].stdout == plain[1].stdout


def imagecodecs_sees(data: bytes, _: Path) -> Array:
    imagecodecs = pytest.importorskip("imagecodecs", reason="the second decoder")
    return np.asarray(imagecodecs.jpeg8_decode(data))


def libvips_sees(data: bytes, _: Path) -> Array:
    pyvips = pytest.importorskip("pyvips", reason="the third decoder")
    return np.asarray(pyvips.Image.jpegload_buffer(data).numpy())


def ffmpeg_sees(data: bytes, folder: Path) -> Array:
    (folder / "a.jpg").write_bytes(data)
    line = ["ffmpeg", "-v", "error", "-y", "-xerror", "-i", str(folder / "a.jpg"), "-f", "rawvideo", "-"]
    return np.frombuffer(subprocess.run(line, capture_output=True, check=True).stdout, np.uint8)


@pytest.mark.parametrize("scale", [(3, 4), ("3/2", "5/2"), (2, 2)], ids=["3x4", "uneven", "2x2"])
@pytest.mark.parametrize("method", ["lanczos", "nearest", "bilinear"])
@pytest.mark.parametrize("threads", [1, 3])
def test_an_enlarged_jpeg_is_the_serial_encoding_of_the_enlarged_pixels(
    threads: int, method: str, scale: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "STRIP_VALUES", 1)
    monkeypatch.setattr(jpeg_stream, "STRIP_VALUES", 1 << 14)
    source = encoded(noise("RGB", 60, 210), "PNG")
    factor = Fraction(scale[0]), Fraction(scale[1])
    made = {}
    with Workers(threads) as workers:
        for format in ("png", "jpeg"):
            stream = io.BytesIO()
            request = Request(
                method=METHODS[method], scale=factor, format=FORMATS[format], quality=90, subsampling="4:2:0"
            )
            request.carry_out(source_of(source), StreamTarget(stream), workers if threads > 1 else None)
            made[format] = stream.getvalue()
    assert b"\xff\xdd\0\4" in made["jpeg"]
    serial = encoded(opened(made["png"]), "JPEG", quality=90, subsampling="4:2:0")
    assert np.array_equal(np.asarray(opened(made["jpeg"])), np.asarray(opened(serial)))

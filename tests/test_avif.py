"""AVIF: all bits, the colours that the file names, its crop and its turn; what is not kept is reported."""

import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import (
    SRGB_PROFILE,
    UPRIGHT,
    animated,
    chunks_of,
    encoded,
    enlarged,
    frames_of,
    frames_read,
    noise,
    opened,
    repeated,
    source_of,
)
from PIL import ExifTags, Image, features
from support import Array

from upscale_cli.codecs.avif import AvifPicture
from upscale_cli.codecs.bmff import properties
from upscale_cli.codecs.picture import open_picture
from upscale_cli.errors import UpscaleError

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
NCLX = b"colrnclx\0\1\0\x0d"


def deep_avif(samples: Array, bits: int, **options: Any) -> bytes:
    """A lossless AVIF of uint16 samples, by imagecodecs."""
    imagecodecs = pytest.importorskip("imagecodecs")
    return bytes(imagecodecs.avif_encode(samples, level=100, bitspersample=bits, **options))


def with_codes(primaries: int, transfer: int, **options: Any) -> bytes:
    """An AVIF whose box of colours says other ones than Pillow's."""
    file = encoded(noise("RGB", 64, 48), "AVIF", **options)
    return file.replace(NCLX, b"colrnclx" + struct.pack(">HH", primaries, transfer))


def with_property(name: bytes, content: bytes) -> bytes:
    """An AVIF with a property in the place of a profile of its length."""
    file = bytearray(encoded(noise("RGB", 64, 48), "AVIF", icc_profile=bytes(len(content) - 4)))
    start = file.index(b"colrprof")
    file[start : start + 4 + len(content)] = name + content
    if name == b"clap":  # essential, all of them
        start = file.index(b"ipma") + 15
        file[start : start + file[start - 1]] = bytes(byte | 128 for byte in file[start : start + file[start - 1]])
    return bytes(file)


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize(
    ("shape", "mode"), [((5, 7, 1), "L"), ((5, 7, 3), "RGB"), ((5, 7, 4), "RGBA"), ((3, 5, 7, 3), "RGB")]
)
def test_all_bits_are_read(shape: tuple[int, ...], mode: str, bits: int) -> None:
    samples = np.random.default_rng(0).integers(0, 2**bits, shape, np.uint16)
    samples[..., :2, 0, :] = [[0], [2**bits - 1]]
    file = deep_avif(samples[..., 0] if shape[-1] == 1 else samples, bits)
    expected = np.floor(samples.reshape(-1, *shape[-3:]) * (65535 / (2**bits - 1)) + 0.5)
    frames = frames_read(file)
    assert [frame.mode for frame in frames] == [mode] * len(expected)
    for frame, wanted in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.samples, wanted)
    made, result = enlarged(file, "tiff", 2)
    np.testing.assert_array_equal(frames_read(made)[-1].samples, repeated(expected[-1], 2))
    assert result.notes == (["TIFF cannot store its frame durations and loop count"] if len(expected) > 1 else [])
    assert {frame.duration for frame in frames} == ({1000} if len(expected) > 1 else {None})


def test_without_the_extra_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    file = deep_avif(np.zeros((5, 7, 3), np.uint16), 10)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(
        UpscaleError, match=r"has 10 bits per channel.*; pip install 'upscale-cli\[avif\]' reads them"
    ):
        frames_read(file)


@pytest.mark.parametrize(
    "codes",
    [(12, 13), (92, 13), *(pytest.param(each, marks=pytest.mark.long) for each in ((9, 16), (9, 18), (1, 1)))],
)
@pytest.mark.parametrize("frames", [1, 2])
def test_colours_are_named_as_in_the_source(codes: tuple[int, int], frames: int) -> None:
    file = with_codes(*codes, save_all=True, append_images=[noise("RGB", 64, 48, seed=1)] * (frames - 1))
    made, result = enlarged(file, scale=2)
    assert properties(made)[b"colr"][:8] == b"nclx" + struct.pack(">HH", *codes)
    assert NCLX not in made
    assert result.notes == []
    assert frames_read(made)[0].samples.shape == (96, 128, 3)
    made, result = enlarged(file, "png")
    assert dict(chunks_of(made))[b"cICP"] == bytes((*codes, 0, 1))
    notes = enlarged(file, "jpeg" if frames == 1 else "webp")[1].notes
    assert notes[-1].endswith("cannot store its colour space (cICP)")
    back = properties(enlarged(made, "avif")[0])
    assert back[b"colr"][4:8] == struct.pack(">HH", *codes)


@pytest.mark.long
@pytest.mark.parametrize("codes", [(12, 13), (9, 16), (92, 13)])
def test_colours_are_named_without_loss_too(codes: tuple[int, int]) -> None:
    pytest.importorskip("imagecodecs")
    file = with_codes(*codes)
    made, result = enlarged(file, "avif", 2, lossless=True)
    assert properties(made)[b"colr"][:8] == b"nclx" + struct.pack(">HH", *codes)
    assert result.notes == []
    np.testing.assert_array_equal(frames_read(made)[0].samples, repeated(frames_read(file)[0].samples, 2))


@pytest.mark.parametrize("codes", [(1, 13), (2, 2), (2, 13), (1, 2)])
def test_usual_colours_and_profiles_need_no_names(codes: tuple[int, int]) -> None:
    for file in (with_codes(*codes), with_codes(9, 16, icc_profile=SRGB_PROFILE)):
        assert frames_read(file)[0].metadata.colour == ()
        assert enlarged(file, "jpeg")[1].notes == []


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_animations_hold_no_time_of_writing(mode: str) -> None:
    """The encoder's own files do, so the same animation would be another file a second later."""
    source = animated([noise(mode, 16, 16, seed=seed) for seed in range(3)], "AVIF", duration=100)
    result, _ = enlarged(source, "avif", 2, "nearest")
    for data, told in ((source, True), (result, False)):
        found = list(re.finditer(rb"(?:mvhd|tkhd|mdhd)\x01...", data, re.DOTALL))
        assert len(found) == (5 if mode == "RGBA" else 3)  # a track for the opacity
        assert all(any(data[each.end() : each.end() + 16]) == told for each in found)
    assert len(frames_of(result)) == 3


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_the_stream_says_what_the_box_says(tmp_path: Path) -> None:
    (tmp_path / "made.avif").write_bytes(enlarged(with_codes(9, 16), scale=2)[0])
    entries = "stream=color_transfer,color_primaries"
    command = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", str(tmp_path / "made.avif")]
    assert subprocess.run(command, capture_output=True, check=True).stdout.split() == [b"smpte2084,bt2020"]


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_it_is_turned_upright_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = repeated(np.asarray(noise("RGB")), 8)
    file = encoded(Image.fromarray(stored), "AVIF", exif=exif, quality=100, subsampling="4:4:4")
    upright = UPRIGHT[orientation](stored)
    with open_picture(source_of(file).open()) as picture:
        assert (picture.height, picture.width) == upright.shape[:2]
        assert np.abs(next(picture.frames()).samples.astype(int) - upright).max() < 12


def test_a_crop_is_refused_unless_it_is_the_whole() -> None:
    whole = with_property(b"clap", struct.pack(">8i", 64, 1, 48, 1, 0, 1, 0, 1))
    np.testing.assert_array_equal(frames_read(whole)[0].samples, np.asarray(opened(whole)))
    with pytest.raises(UpscaleError, match="shows only a part of its picture"):
        frames_read(with_property(b"clap", struct.pack(">8i", 20, 1, 10, 1, 0, 1, 0, 1)))


def test_the_shape_of_pixels_and_the_light_of_the_screen_are_read() -> None:
    made, _ = enlarged(with_property(b"pasp", struct.pack(">II", 4, 3)), "png")
    assert dict(chunks_of(made))[b"pHYs"] == struct.pack(">IIB", 3, 4, 0)
    green, blue, red, rest = (8500, 39850), (6550, 2300), (35400, 14600), (15635, 16450, 10_000_000, 1)
    file = with_property(b"mdcv", struct.pack(">8H2I", *green, *blue, *red, *rest))
    assert dict(chunks_of(enlarged(file, "png")[0]))[b"mDCV"] == struct.pack(">8H2I", *red, *green, *blue, *rest)
    assert enlarged(file)[1].notes == ["AVIF cannot store its HDR data (mDCV, cLLI)"]


def test_what_else_is_in_the_file_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    file = encoded(noise("RGB"), "AVIF")
    box = b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + b"c2pa"
    signed = file + (4 + len(box)).to_bytes(4) + box
    credentials = "its content credentials (C2PA) are left out: they are of the source's pixels"
    assert enlarged(signed)[1].notes == [credentials]
    # No encoder here writes a gain map, and the brand without one would be refused.
    monkeypatch.setattr(AvifPicture, "_data", signed.replace(b"miaf", b"tmap", 1))
    assert enlarged(signed)[1].notes == ["its gain map is left out", credentials]


def test_a_file_that_the_decoder_does_not_take_is_not_called_damaged() -> None:
    file = encoded(noise("RGB"), "AVIF")
    with pytest.raises(UpscaleError, match="is an AVIF file of a kind that libavif, the decoder, does not read"):
        frames_read(file.replace(b"ispe", b"free"))
    with pytest.raises(UpscaleError, match="cannot be read as AVIF: it is damaged, or"):
        frames_read(file[:100])


def test_boxes_of_any_length_end() -> None:
    file = encoded(noise("RGB"), "AVIF")
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(file[: rng.integers(8, len(file))])
        for place in rng.integers(0, len(changed), 4):
            changed[place] = rng.integers(0, 256)
        properties(bytes(changed))
    huge = file.replace(b"ipma\0\0\0\0", b"ipma\0\0\0\1").replace(b"pitm\0", b"pitm\1")
    assert isinstance(properties(huge), dict)

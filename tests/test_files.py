"""What is read without trust, and written without harm: arrays, damaged images, bombs, targets."""

import io
import os
import pickle
import stat
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from breaking import needs_posix, unmeasured
from numpy.lib import format as npy
from pictures import (
    animated,
    deep,
    deep_png,
    deep_tiff,
    encoded,
    enlarged,
    noise,
    opened,
    repeated,
    seen,
    source_of,
)
from PIL import Image, PngImagePlugin

from upscale_cli.codecs import picture as picture_module
from upscale_cli.codecs.npy import MAGIC
from upscale_cli.codecs.picture import MAX_SOURCE_PIXELS, Picture, Reading, open_picture
from upscale_cli.errors import UpscaleError
from upscale_cli.machine.replacing import PREFIX, replacing
from upscale_cli.methods import METHODS
from upscale_cli.places.files import FileSource
from upscale_cli.places.streams import ContentSource, StreamTarget
from upscale_cli.work import estimate
from upscale_cli.work.parameter_files import load_arrays
from upscale_cli.work.request import Request


def read(source: bytes | Path) -> Picture:
    """A file, or its content, opened."""
    return open_picture(source_of(source).open())


# Arrays ------------------------------------------------------------------------------------------------------------


def saved(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def with_header(shape: tuple[int, ...], descr: Any, data: bytes = b"") -> bytes:
    """Return a `.npy` file whose header claims anything."""
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": descr})
    return stream.getvalue() + data


ACCEPTED = ("?", "u1", "u2", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4", ">i8")


@pytest.mark.parametrize("dtype", ACCEPTED)
@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (2, 3, 4, 5), (3, 1, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_keep_type_and_layout(dtype: str, shape: tuple[int, ...], order: Any) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype, order=order)
    data, result = enlarged(saved(array), scale=2)
    read = np.load(io.BytesIO(data))
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    axis = 1 if len(shape) == 4 else 0
    np.testing.assert_array_equal(read, array.repeat(2, axis=axis).repeat(2, axis=axis + 1))
    assert result.notes == []


@pytest.mark.parametrize("shape", [(3, 4), (5, 3, 4), (2, 5, 3, 4)])
def test_channels_first(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape)
    read = np.load(io.BytesIO(enlarged(saved(array), scale=2, reading=Reading(channels_first=True))[0]))
    np.testing.assert_array_equal(read, array.repeat(2, axis=-1).repeat(2, axis=-2))


class Trap:
    """What runs a program when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch trapped",)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "objects": (saved(np.array([{}, []], object)), "holds object; only bool, integers and floats"),
    "a pickle": (with_header((1,), "|O", pickle.dumps(Trap())), "holds object"),
    "text": (saved(np.array(["a", "b"])), "holds <U1"),
    "structures": (saved(np.zeros((2, 2), [("a", "u1"), ("b", "f4")])), "only bool"),
    "complex": (saved(np.zeros((2, 2), complex)), "holds complex128"),
    "dates": (saved(np.zeros((2, 2), "M8[s]")), "only bool"),
    "long floats": (saved(np.zeros((2, 2), np.longdouble)), "only bool"),
    "no dimension": (saved(np.float32(3)), r"shape \(\); \(H, W\), \(H, W, C\)"),
    "six dimensions": (saved(np.zeros((1,) * 6)), r"shape \(1, 1, 1, 1, 1, 1\)"),
    "nothing": (saved(np.zeros((0, 4))), "no elements"),
    "a side that is true": (with_header((True, 5), "|u1", bytes(5)), "header is damaged"),
    "no channel": (saved(np.zeros((4, 4, 0))), "no elements"),
    "8 TB": (with_header((1000, 1000, 10**6), "<f8"), "claims to hold 8,000,000,000,000 bytes of data but has 0"),
    "overflow": (with_header((2**40, 2**40), "<f8"), "it is damaged"),
    "negative": (with_header((-4, -4), "<f8", bytes(128)), "no elements"),
    "truncated": (saved(np.zeros((4, 4)))[:-1], "claims to hold 128 bytes of data but has 127"),
    "more behind": (saved(np.zeros((4, 4))) + b"x", "has 129"),
    "half a header": (saved(np.zeros((4, 4)))[:40], "header is damaged"),
    "no header": (MAGIC, "header is damaged"),
    "another version": (MAGIC + b"\x09\0" + bytes(100), "unknown version"),
    "code for a header": (
        MAGIC + b"\1\0" + struct.pack("<H", 60) + b"__import__('os').system('touch trapped')".ljust(60),
        "header is damaged",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_arrays_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, said = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    start = time.process_time()
    with pytest.raises(UpscaleError, match=said):
        enlarged(data)
    assert time.process_time() - start < 1
    assert not os.listdir(tmp_path)


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def test_archives_give_their_arrays_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(zipped(indices=saved(np.arange(4)), size=saved(np.array([2, 2])), readme=b"hello"))
    assert {name: array.tolist() for name, array in load_arrays(FileSource(path)).items()} == {
        "indices": [0, 1, 2, 3],
        "size": [2, 2],
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (zipped(indices=HOSTILE["objects"][0]), "holds object"),
        (zipped(indices=saved(np.arange(4)))[:-30], "not a valid .npz"),
        (zipped(indices=saved(np.arange(1000))).replace(b"NUMPY", b"MUMPY", 1)[:60] + bytes(60), "not a valid .npz"),
        (b"PK\3\4", "not a valid .npz"),
        (b"hello", "is not a .npy, .npz, .safetensors or .onnx file"),
        (b"", "is not a .npy, .npz, .safetensors or .onnx file"),
    ],
)
def test_hostile_archives_are_refused(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(UpscaleError, match=said):
        load_arrays(FileSource(path))


def test_a_bomb_in_an_archive_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(zipped(a=saved(np.zeros(10**6, np.uint8)), indices=saved(np.zeros(10**8, np.uint8))))
    tracemalloc.start()
    try:
        with pytest.raises(UpscaleError, match=r"holds 100,000,000 values, more than the limit of 7,388,608"):
            load_arrays(FileSource(path))
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


# Images ------------------------------------------------------------------------------------------------------------

WHOLE = {
    "png": encoded(noise("RGB"), "PNG"),
    "jpeg": encoded(noise("RGB"), "JPEG"),
    "gif": animated([noise("P", seed=seed) for seed in range(2)], "GIF", duration=50),
    "npy": saved(np.asarray(noise("RGB"))),
    "bmp": encoded(noise("RGB"), "BMP"),
    "webp": encoded(noise("RGB"), "WEBP", lossless=True),
    "ppm": encoded(noise("RGB"), "PPM"),
    "apng": animated([noise("RGB", seed=seed) for seed in range(2)], "PNG", duration=50),
    "animated webp": animated([noise("RGB", seed=seed) for seed in range(2)], "WEBP", duration=50),
    "tiff": animated([noise("RGB", seed=seed) for seed in range(2)], "TIFF"),
    "our tiff": enlarged(animated([noise("RGB", seed=seed) for seed in range(2)], "TIFF"))[0],
    "16-bit tiff": deep_tiff(deep(3), "RGB"),
    "16-bit png": deep_png(deep(4)),
    "avif": encoded(noise("RGB"), "AVIF"),
    "jpeg2000": encoded(noise("RGB"), "JPEG2000"),
    "tiled jpeg2000": encoded(noise("RGB", 32, 32), "JPEG2000", tile_size=(16, 16)),
    "tga": encoded(noise("RGB"), "TGA", compression="tga_rle"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WHOLE)
def test_every_beginning_of_a_file_is_refused_or_the_whole(name: str) -> None:
    data = WHOLE[name]
    whole, _ = enlarged(data, "npy")
    step = max(1, len(data) // 150)
    refused = 0
    for length in [*range(0, len(data) - 8, step), *range(len(data) - 8, len(data))]:
        try:
            made, _ = enlarged(data[:length], "npy")
        except UpscaleError as error:
            refused += 1
            assert str(error).endswith(".")  # noqa: PT017
        else:
            assert made == whole, f"{length} of {len(data)} bytes gave a third thing"
    assert refused > 50


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(UpscaleError, match=r"^is empty"):
        enlarged(b"")


OTHERS = {
    "EPS": ("a PostScript file", encoded(noise("RGB"), "EPS")),
    "DDS": ("a DDS texture", encoded(noise("RGB"), "DDS")),
    "QOI": ("a QOI image", b"qoif" + bytes(300)),
    "BLP": ("a BLP texture", b"BLP2" + bytes(300)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_formats_are_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        pytest.fail("its parser was started")

    Image.init()
    monkeypatch.setitem(Image.OPEN, name, (started, Image.OPEN[name][1]))
    with pytest.raises(UpscaleError, match=f"^is {OTHERS[name][0]}.*, which is not supported; "):
        enlarged(OTHERS[name][1], "png")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"hello, I am no image at all\n" * 10, r"^is not an image of a known format \(png, jpeg, webp, "),
        (b"\0", "^is not an image"),
        (b"\x89PNG\r\n\x1a\n", "^cannot be read as PNG: it is damaged, or"),
        (b"GIF89a", "^cannot be read as GIF: it is damaged, or"),
    ],
)
def test_what_is_no_image_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(UpscaleError, match=said):
        enlarged(data, "png")


def chunked(*chunks: tuple[bytes, bytes]) -> bytes:
    stream = io.BytesIO()
    stream.write(b"\x89PNG\r\n\x1a\n")
    for name, data in chunks:
        PngImagePlugin.putchunk(stream, name, data)
    return stream.getvalue()


def gif_of_frame(left: int, width: int, height: int, disposal: int) -> bytes:
    """A GIF of 8 x 8 pixels whose second frame is larger. Pillow would make its canvas as large, and fill it."""
    control = struct.pack("<2sBBHBB", b"!\xf9", 4, disposal << 2 | 1, 0, 0, 0)
    frame = struct.pack("<sHHHHB", b",", left, 0, width, height, 0) + b"\2\1\4\0"
    return encoded(Image.new("P", (8, 8)), "GIF")[:-1] + control + frame + b";"


BOMBS = {
    "png": chunked(
        (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(10**6))),
        (b"IEND", b""),
    ),
    "gif": struct.pack("<6sHHBBB", b"GIF89a", 65535, 65535, 0, 0, 0)
    + b","
    + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
    + b"\2\0;",
    "gif frame": gif_of_frame(0, 65535, 65535, 2),
    "gif frame beyond": gif_of_frame(65535, 1, 65535, 3),
    "bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 58, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(4),
    "ppm": b"P6 60000 60000 255\n123",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_by_their_header(name: str) -> None:
    start = time.process_time()
    with pytest.raises(UpscaleError, match=rf"has [\d,]+ pixels, more than the limit of {MAX_SOURCE_PIXELS:,}"):
        read(BOMBS[name])
    assert time.process_time() - start < 0.5


def test_a_frame_that_only_pillow_sees_is_not_read() -> None:
    """An extension without content ends at once, but Pillow takes the next byte for the length of another block."""
    whole = gif_of_frame(0, 65535, 65535, 2)
    place = whole.rindex(b"!\xf9")
    # To us a comment of 255 bytes; to Pillow 33 bytes that it skips, and a frame.
    comment = bytes(31) + b"\0" + whole[place:]
    hidden = whole[:place] + b"!\xff\0!\xfe\xff" + comment.ljust(255, b";") + b"\0;"
    start = time.process_time()
    with read(hidden) as picture:
        assert [frame.samples.shape for frame in picture.frames()] == [(8, 8, 1)]
    assert time.process_time() - start < 1


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as the command does
def test_frames_are_counted_one_at_a_time() -> None:
    frames = [Image.new("1", (5000, 4000), seed % 2) for seed in range(10)]
    source = source_of(animated(frames, "TIFF", compression="group4"))
    request = Request(method=METHODS["lanczos"])
    with open_picture(source.open(), Reading(max_pixels=20_000_000)) as picture:
        assert request.check(picture, source).frames == 10
    with pytest.raises(UpscaleError) as error:
        open_picture(source.open(), Reading(max_pixels=19_999_999, raised_by="--more"))
    assert str(error.value) == (
        "has 20,000,000 pixels, more than the limit of 19,999,999; "
        "cut it into parts, or raise the limit: --more (now 19,999,999)."
    )


def gif_of_frames(side: int, count: int) -> bytes:
    """A GIF whose frames are one pixel each, on a large canvas."""
    whole = encoded(Image.new("P", (1, 1)), "GIF")
    start = whole.index(b",")
    canvas = whole[:6] + struct.pack("<HH", side, side) + whole[10:start]
    return canvas + whole[start:-1] * count + b";"


def png_of_frames(side: int, count: int) -> bytes:
    """An animated PNG that shows the same row of pixels over and over."""
    row = zlib.compress(b"\0\0")
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"acTL", struct.pack(">II", count, 0))]
    for number in range(count):
        control = struct.pack(">IIIIIHHBB", max(0, 2 * number - 1), 1, 1, 0, 0, 1, 10, 0, 0)
        chunks += [(b"fcTL", control), (b"IDAT", row) if not number else (b"fdAT", struct.pack(">I", number) + row)]
    return chunked(*chunks, (b"IEND", b""))


def tiff_of_pages(side: int, count: int) -> bytes:
    """A TIFF of 1-bit pages that share one strip of a few bytes."""
    page = [(256, 4, side), (257, 4, side), (258, 3, 1), (259, 3, 4), (262, 3, 0), (273, 4, 8), (278, 4, side)]
    page += [(279, 4, 4)]
    file = b"II*\0" + struct.pack("<I", 12) + b"\0\x10\x01\0"
    for number in range(count):
        entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in page)
        following = len(file) + 2 + len(entries) + 4
        file += struct.pack("<H", len(page)) + entries + struct.pack("<I", following if number < count - 1 else 0)
    return file


@pytest.mark.parametrize("make", [gif_of_frames, png_of_frames, tiff_of_pages])
def test_bombs_of_many_frames_are_refused_by_what_they_would_become(make: Callable[[int, int], bytes]) -> None:
    source = source_of(make(9000, 500))
    start = time.process_time()
    with open_picture(source.open()) as picture, pytest.raises(UpscaleError) as error:
        Request(method=METHODS["nearest"]).check(picture, source)
    assert time.process_time() - start < 0.5
    assert str(error.value) == (
        "would be 18000x18000, and its 500 frames 162,000,000,000 pixels together; "
        "raise the limit: --max-pixels (now 1,000,000,000, and 10 times as many in all frames)."
    )


def test_pillows_own_limit_follows_ours() -> None:
    large = chunked((b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b""))
    with open_picture(source_of(large).open(), Reading(max_pixels=400_000_000)) as picture:
        assert picture.width == 20_000
    for sides, said in (((10, 11), "has 110 pixels, more than the limit of 100"), ((20, 20), "has 400 pixels")):
        with pytest.raises(UpscaleError, match=said):
            open_picture(io.BytesIO(encoded(Image.new("L", sides), "PNG")), Reading(max_pixels=100))


def test_a_page_that_is_larger_than_the_first_is_refused() -> None:
    source = animated([Image.new("1", (8, 8)), Image.new("1", (20_000, 10_000))], "TIFF", compression="group4")
    with pytest.raises(UpscaleError, match="frame 2 has 200,000,000 pixels, more than the limit of"):
        list(read(source).frames())


def test_a_page_that_needs_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    source = animated([Image.new("1", (8, 8)), Image.new("1", (5000, 4000))], "TIFF", compression="group4")
    for module in (picture_module, estimate):
        monkeypatch.setattr(module, "available_memory", lambda: 30_000_000)
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded") if image.width > 8 else None)
    with pytest.raises(UpscaleError, match="frame 2 is 5000x4000, which is too large; remove it"):
        enlarged(source)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(WHOLE["png"])
    with read(path) as picture:
        assert picture.format.name == "png"
    path = tmp_path / "b.png"
    path.write_bytes(WHOLE["npy"])
    data, _ = enlarged(path, scale=2)
    np.testing.assert_array_equal(np.load(io.BytesIO(data)), repeated(np.asarray(noise("RGB")), 2))


def test_of_several_pictures_in_a_jpeg_the_first_is_taken_and_it_is_said() -> None:
    source = animated([noise("RGB", 16, 16), noise("RGB", 16, 16, seed=1)], "MPO")
    data, result = enlarged(source, scale=2)
    assert result.notes == ["only the first of its 2 pictures is enlarged"]
    assert opened(data).format == "JPEG"
    assert opened(data).size == (32, 32)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("format", ["png", "jpeg", "gif", "tiff", "webp", "avif", "bmp", "ppm", "tga", "jpeg2000"])
def test_one_pixel_is_an_image(format: str, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (200, 100, 50))
    data, result = enlarged(encoded(image, "PNG"), format, 3, "lanczos")
    assert result.after == opened(data).size == (size[0] * 3, size[1] * 3)
    assert np.abs(seen(opened(data)).astype(int) - (200, 100, 50, 255)).max() <= 4


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UpscaleError, match="cannot be read: No such file or directory"):
        read(tmp_path / "none.png")
    with pytest.raises(UpscaleError, match="cannot be read: Is a directory"):
        read(tmp_path)


# Targets -----------------------------------------------------------------------------------------------------------


def leftovers(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(PREFIX)]


@needs_posix
def test_a_target_is_replaced_when_all_is_written(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    target.chmod(0o640)
    with replacing(target, overwrite=True) as (stream,):
        stream.write(b"new")
        stream.flush()
        assert target.read_bytes() == b"old"
        assert len(leftovers(tmp_path)) == 1
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("error", [UpscaleError, OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existed", [True, False])
def test_a_target_stays_what_it_was_when_something_is_raised(
    error: type[BaseException], existed: bool, tmp_path: Path
) -> None:
    target = tmp_path / "a.png"
    if existed:
        target.write_bytes(b"old")
    with pytest.raises(error), replacing(target, overwrite=True) as (stream,):  # noqa: PT012
        stream.write(b"new")
        raise error
    assert os.listdir(tmp_path) == (["a.png"] if existed else [])
    assert not existed or target.read_bytes() == b"old"


@needs_posix
def test_new_files_have_the_mode_that_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a", overwrite=False) as (stream,):
            stream.write(b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    with pytest.raises(UpscaleError, match="exists already; use --overwrite"), replacing(target, overwrite=False):
        pytest.fail("the block is not entered")
    assert target.read_bytes() == b"old"


def test_of_two_that_write_one_target_one_wins_and_one_is_told(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    told = pytest.raises(UpscaleError, match="was written by another program meanwhile")
    with told, replacing(target, overwrite=False) as (stream,):
        stream.write(b"slow")
        with replacing(target, overwrite=False) as (other,):
            other.write(b"fast")
    assert target.read_bytes() == b"fast"
    assert os.listdir(tmp_path) == ["a.png"]


@needs_posix
def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link, hanging = tmp_path / "real" / "a.png", tmp_path / "link.png", tmp_path / "hanging.png"
    target.write_bytes(b"old")
    link.symlink_to(target)
    hanging.symlink_to(tmp_path / "real" / "b.png")
    for name in (link, hanging):
        with replacing(name, overwrite=True) as (stream,):
            stream.write(b"new")
        assert name.is_symlink()
    assert target.read_bytes() == (tmp_path / "real" / "b.png").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["hanging.png", "link.png", "real"]


@needs_posix
def test_what_is_no_regular_file_gets_its_content_at_the_end(tmp_path: Path) -> None:
    with replacing(Path(os.devnull), overwrite=False) as (stream,):
        stream.write(b"new")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with replacing(pipe, overwrite=False) as (stream,):
        stream.write(b"old")
        stream.seek(0)
        stream.write(b"new")
    reader.join(5)
    assert read == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_damaged_source_leaves_the_old_target(tmp_path: Path) -> None:
    source, target = tmp_path / "a.gif", tmp_path / "b.gif"
    # The second frame is damaged: it is found when the first is written.
    source.write_bytes(WHOLE["gif"][:-20])
    target.write_bytes(b"old")
    command = [sys.executable, "-m", "upscale_cli", str(source), "-o", str(target), "--overwrite", "-s", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert target.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a.gif", "b.gif"]


@needs_posix
def test_a_full_disk_leaves_the_old_target(tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "b"
    source.write_bytes(encoded(noise("RGB", 64, 64), "PNG"))
    target.write_bytes(b"old")
    # A limit on the size of files is a full disk for one process.
    program = """if True:
        import resource, signal, sys
        from upscale_cli.commands.upscale import cli
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        for format in sys.argv.pop().split():
            try:
                cli([*sys.argv[1:], "-f", format])
            except SystemExit as ended:
                assert ended.code == 1, format
    """
    formats = "png tiff gif webp jpeg bmp ppm avif npy"
    command = [str(source), "-o", str(target), "--overwrite", "-s", "8", formats]
    line = [sys.executable, "-c", program, *command]
    ended = subprocess.run(line, env=unmeasured(), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == len(formats.split())
    assert all("cannot be written: File too large" in line for line in lines), lines
    assert target.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b"]


def test_standard_output_gets_all_or_nothing() -> None:
    stream = io.BytesIO()
    with pytest.raises(UpscaleError):
        Request(method=METHODS["nearest"]).carry_out(ContentSource(WHOLE["gif"][:-20]), StreamTarget(stream))
    assert stream.getvalue() == b""

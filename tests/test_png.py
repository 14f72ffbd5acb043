"""The PNG writer, against Pillow and against a decoder of thirty lines that checks what Pillow lets pass."""

import importlib.util
import io
import struct
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pictures import chunks_of, image_data
from PIL import Image, ImageCms

from upscale_cli import upscale
from upscale_cli.codecs import png_stream
from upscale_cli.codecs.png import metadata_chunks
from upscale_cli.codecs.png_stream import AVERAGE, NONE, SUB, UP, PngStream, combined_adler, compressed
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata

RNG = np.random.default_rng(2024)
SCENE = Path(__file__).parents[1] / "sample_images" / "scene.png"
KINDS = [(1, 1), (1, 8), (2, 8), (3, 8), (4, 8), (1, 16), (2, 16), (3, 16), (4, 16)]
MODES = {(1, 1): "1", (1, 8): "L", (2, 8): "LA", (3, 8): "RGB", (4, 8): "RGBA", (1, 16): "I;16"}


def decode(file: bytes) -> tuple[NDArray[Any], list[int]]:
    """Samples (H, W, C) and the filter of each row, by the letter of the specification."""
    chunks = chunks_of(file)
    width, height, depth, colour_type, *rest = struct.unpack(">IIBBBBB", dict(chunks)[b"IHDR"])
    assert chunks[0][0] == b"IHDR"
    assert chunks[-1] == (b"IEND", b"")
    assert rest == [0, 0, 0]
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    row_bytes, step = -(-width * channels * depth // 8), max(1, channels * depth // 8)
    data = image_data(chunks)
    assert len(data) == height * (1 + row_bytes)
    filtered = np.frombuffer(data, np.uint8).reshape(height, 1 + row_bytes)
    rows = np.zeros((height + 1, step + row_bytes), np.uint8)
    for y, row in enumerate(filtered, 1):
        for x, value in enumerate(row[1:].tolist(), step):
            left, above = int(rows[y, x - step]), int(rows[y - 1, x])
            rows[y, x] = (value + {NONE: 0, SUB: left, UP: above, AVERAGE: (left + above) // 2}[int(row[0])]) & 255
    plain = np.ascontiguousarray(rows[1:, step:])
    if depth == 1:
        plain = np.unpackbits(plain, axis=1, count=width).astype(bool)
    elif depth == 16:
        plain = plain.view(">u2").astype(np.uint16)
    return plain.reshape(height, width, channels), filtered[:, 0].tolist()


def encode(samples: NDArray[Any], rows: int, **options: Any) -> bytes:
    """A file made of strips of `rows` rows."""
    height, width, channels = samples.shape
    depth = 1 if samples.dtype == np.bool_ else 8 * samples.itemsize
    stream = PngStream(width, height, channels, depth, **options)
    file = stream.head()
    for top in range(0, height, rows):
        part = stream.pack(samples[top : top + rows], top == 0, top + rows >= height)
        file += stream.idat(part)
    return file + stream.tail()


def image(content: str, shape: tuple[int, int, int], depth: int) -> NDArray[Any]:
    """Samples of a kind that one of the filters is good at."""
    height, width, channels = shape
    y, x = np.mgrid[:height, :width][:, :, :, None].astype(np.int64)
    channel = np.arange(channels)
    values = {
        "noise": RNG.integers(0, 65536, shape),
        "smooth": 300 * y * y + 2000 * x + 900 * channel,
        "blocks": (y // 4 * 5 + x // 4 * 3) % 7 * 9000 + 0 * channel,
        "sparse": np.where((y % 4 == 0) & (x % 4 == 0), 40000, 0) + 0 * channel,
    }[content] % 65536
    return np.asarray(values > 32767 if depth == 1 else (values >> (16 - depth)).astype(f"u{depth // 8}"))


@pytest.fixture(params=["isal", "zlib"])
def deflater(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "zlib":
        monkeypatch.setattr(png_stream, "deflate", zlib)
    else:
        pytest.importorskip("isal")


@pytest.mark.usefixtures("deflater")
@pytest.mark.parametrize("width", [1, 9, 32])
@pytest.mark.parametrize(("channels", "depth"), KINDS)
@pytest.mark.parametrize("small", [False, True])
def test_every_kind_comes_back(channels: int, depth: int, width: int, small: bool) -> None:
    for number, content in enumerate(("noise", "smooth", "blocks", "sparse")):
        samples = image(content, (18, width, channels), depth)
        rows = (1, 7, 18)[(number + width) % 3]  # each content meets each height of strips at one of the widths
        file = encode(samples, rows, small=small)
        back, filters = decode(file)
        np.testing.assert_array_equal(back, samples)
        assert not {UP, AVERAGE} & set(filters[::rows]), "a strip's first row must not look at the strip above"
        if (channels, depth) in MODES:
            opened = Image.open(io.BytesIO(file))
            assert opened.mode == MODES[channels, depth]
            np.testing.assert_array_equal(np.asarray(opened).reshape(samples.shape), samples)


@pytest.mark.usefixtures("deflater")
def test_palette_and_its_alpha_come_back() -> None:
    palette, alpha = RNG.integers(0, 256, 30, np.uint8).tobytes(), bytes([0, 128, 255])
    indices = RNG.integers(0, 10, (11, 9, 1), np.uint8)
    file = encode(indices, 4, palette=palette, palette_alpha=alpha)
    np.testing.assert_array_equal(decode(file)[0], indices)
    opened = Image.open(io.BytesIO(file))
    assert opened.mode == "P"
    np.testing.assert_array_equal(np.asarray(opened), indices[:, :, 0])
    colours = np.full((10, 4), 255, np.uint8)
    colours[:, :3] = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    colours[:3, 3] = list(alpha)
    np.testing.assert_array_equal(np.asarray(opened.convert("RGBA")), colours[indices[:, :, 0]])


def test_equal_data_is_compressed_to_equal_bytes_at_any_address() -> None:
    library = pytest.importorskip("isal.isal_zlib")
    starts = [bytes(start) * 9 for start in RNG.integers(0, 256, (150, 40), np.uint8).tolist()]
    first = [compressed(data) for data in starts]
    assert [zlib.decompress(file) for file in first] == starts
    # What is held moves what is made after it; see `_packed`.
    held = []
    for _ in range(400):
        held.append([library.compressobj(1) for _ in range(4)])
        assert [compressed(data) for data in starts] == first


def test_samples_may_be_views() -> None:
    samples = RNG.integers(0, 65536, (6, 10, 3)).astype(np.uint16)
    for view in (samples[::-1, ::2], samples.transpose(1, 0, 2), samples[:, :, 1:2]):
        np.testing.assert_array_equal(decode(encode(view, 4))[0], view)


def test_strips_packed_by_threads_in_any_order_give_the_same_bytes() -> None:
    samples = image("smooth", (64, 50, 3), 8)
    stream = PngStream(50, 64, 3, 8)
    with ThreadPoolExecutor(4) as executor:
        futures = [
            executor.submit(stream.pack, samples[top : top + 8], first=top == 0, last=top == 56)
            for top in range(56, -1, -8)
        ]
        parts = [future.result() for future in reversed(futures)]
    file = stream.head() + b"".join(map(stream.idat, parts)) + stream.tail()
    assert file == encode(samples, 8)


@pytest.mark.usefixtures("deflater")
def test_filters_suit_the_content() -> None:
    y, x = np.mgrid[:64, :600]
    texture = RNG.normal(0, 30, (64, 600))
    along, across = (np.cumsum(texture, axis=axis) for axis in (0, 1))
    dots = np.where((y % 4 == 0) & (x % 4 == 0), RNG.integers(1, 256, y.shape), 0)
    for expected, values in ((UP, along), (SUB, across), (NONE, dots)):
        samples = np.repeat(values[:, :, None].astype(np.int64) % 256, 3, axis=2).astype(np.uint8)
        assert set(decode(encode(samples, 64))[1][1:]) == {expected}


def test_a_small_file_is_smaller_and_takes_averages_in_photographs() -> None:
    with Image.open(SCENE) as scene:
        samples = upscale(np.asarray(scene.convert("RGB"))[100:160], 3)
    file = encode(samples, 60, small=True)
    assert len(file) < 0.9 * len(encode(samples, 60))
    assert AVERAGE in decode(file)[1]


def test_without_isal_zlib_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    spec = importlib.util.find_spec("upscale_cli.codecs.png_stream")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.deflate is zlib


@settings(deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_adler_of_two_blocks(first: bytes, second: bytes) -> None:
    whole = combined_adler(zlib.adler32(first), zlib.adler32(second), len(second))
    assert whole == zlib.adler32(first + second)


def test_adler_of_long_blocks_of_the_largest_bytes() -> None:
    block = b"\xff" * 1_000_003
    assert combined_adler(zlib.adler32(block), zlib.adler32(block), len(block)) == zlib.adler32(2 * block)


def with_metadata(**metadata: Any) -> Image.Image:
    file = encode(np.zeros((2, 2, 1), np.uint8), 2, palette=bytes(3), chunks=metadata_chunks(Metadata(**metadata)))
    opened = Image.open(io.BytesIO(file))
    opened.load()
    return opened


def test_metadata_comes_back() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    for block in (exif.tobytes(), exif.tobytes().removeprefix(b"Exif\0\0")):
        opened = with_metadata(icc=icc, exif=block, xmp="<x>é</x>".encode(), dpi=(300, 72.5))
        assert opened.info["icc_profile"] == icc
        assert opened.getexif()[0x010F] == "Maker"
        assert opened.info["exif"] == b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
        assert opened.info["xmp"] == "<x>é</x>".encode()
        assert opened.info["dpi"] == pytest.approx((300, 72.5), abs=0.02)


@pytest.mark.parametrize(
    ("comment", "chunk"),
    [
        (b"Old\0 Mill", (b"tEXt", b"Comment\0Old Mill")),
        ("Mühle".encode("latin-1"), (b"tEXt", b"Comment\0M\xfchle")),
        ("水車".encode(), (b"iTXt", b"Comment\0\0\0\0\0" + "水車".encode())),
    ],
)
def test_a_comment_becomes_a_text_of_its_encoding(comment: bytes, chunk: tuple[bytes, bytes]) -> None:
    assert metadata_chunks(Metadata(comment=comment)) == [chunk]


def test_chunks_stand_in_legal_order_and_without_metadata_there_are_none() -> None:
    assert metadata_chunks(Metadata()) == []
    chunks = [*metadata_chunks(Metadata(icc=b"profile", exif=b"MM\0*", dpi=(72, 72))), (b"bKGD", b"\0")]
    file = encode(np.zeros((2, 2, 1), np.uint8), 1, palette=bytes(3), palette_alpha=b"\0", chunks=chunks)
    names = [name.decode() for name, _ in chunks_of(file)]
    assert names == ["IHDR", "iCCP", "pHYs", "eXIf", "PLTE", "tRNS", "bKGD", "IDAT", "IDAT", "IDAT", "IEND"]


@pytest.mark.parametrize("dpi", [(0, 0), (-1, 72), (float("nan"), 72), (1e300, 72)])
def test_impossible_resolutions_are_left_out(dpi: tuple[float, float]) -> None:
    assert metadata_chunks(Metadata(dpi=dpi)) == []


def test_wrong_samples_and_missing_rows_are_refused() -> None:
    stream = PngStream(4, 3, 3, 8)
    for wrong in (
        np.zeros((3, 4, 3), np.uint16),
        np.zeros((3, 5, 3), np.uint8),
        np.zeros((3, 4, 1), np.uint8),
    ):
        with pytest.raises(ValueError, match="in an image of uint8"):
            stream.pack(wrong, True, True)
    stream.idat(stream.pack(np.zeros((2, 4, 3), np.uint8), True, False))
    with pytest.raises(ValueError, match="13 bytes of rows are missing"):
        stream.tail()
    with pytest.raises(ValueError, match="3 channels of depth 1"):
        PngStream(4, 3, 3, 1)
    with pytest.raises(UpscaleError, match="2147483648x1 is more than a PNG file can hold"):
        PngStream(2**31, 1, 1, 8)

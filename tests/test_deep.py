"""16-bit colour: files made here by hand, byte by byte, are read whole, and what is written is read back."""

import io
import itertools
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pictures import UPRIGHT, enlarged, frames_read, opened, read_deep, written
from PIL import Image, features
from PIL.TiffImagePlugin import TiffImageFile

from upscale_cli.codecs.picture import open_picture
from upscale_cli.codecs.pillow import PillowPicture
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import CHANNELS, Frame

RNG = np.random.default_rng(16)
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
Samples = NDArray[np.uint16]


def noise(height: int, width: int, channels: int) -> Samples:
    return RNG.integers(0, 65536, (height, width, channels)).astype(np.uint16)


def png(samples: Samples, *, interlaced: bool = False, key: tuple[int, int, int] | None = None) -> bytes:
    """A 16-bit PNG; `interlaced` as in section 8.1 of the specification."""
    height, width, channels = samples.shape
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    data = b""
    for x, y, across, down in passes:
        part = samples[y::down, x::across].astype(">u2")
        data += b"".join(b"\0" + row.tobytes() for row in part if row.size)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    if key is not None:
        chunks.insert(1, (b"tRNS", struct.pack(">HHH", *key)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def lzw(data: bytes) -> bytes:
    """TIFF's LZW without a single repeat: the table is cleared before codes become longer than nine bits."""
    codes = [c for at in range(0, len(data), 250) for c in (256, *data[at : at + 250])] + [257]
    return np.packbits(np.array(codes)[:, None] >> np.arange(8, -1, -1) & 1).tobytes()


PACKERS: dict[int, Callable[[bytes], bytes]] = {1: bytes, 5: lzw, 8: zlib.compress}


def tiff(
    samples: Samples,
    *,
    order: str = "<",
    compression: int = 1,
    planar: bool = False,
    tile: tuple[int, int] | None = None,
    differences: bool = False,
    photometric: int = 2,
    extra: int | None = None,
    orientation: int = 1,
) -> bytes:
    """A TIFF page of 16-bit samples, in strips of five rows or tiles of (rows, columns)."""
    height, width, channels = samples.shape
    rows, columns = tile or (5, width)
    planes = [samples[..., c : c + 1] for c in range(channels)] if planar else [samples]
    parts = []
    for plane, y, x in itertools.product(planes, range(0, height, rows), range(0, width, columns)):
        part = plane[y : y + rows, x : x + columns]
        if tile:
            part = np.pad(part, ((0, rows - part.shape[0]), (0, columns - part.shape[1]), (0, 0)))
        if differences:
            part = np.concatenate([part[:, :1], part[:, 1:] - part[:, :-1]], axis=1)
        parts.append(PACKERS[compression](part.astype(f"{order}u2").tobytes()))
    places = list(itertools.accumulate([8, *map(len, parts)]))
    tags = {256: [width], 257: [height], 258: [16] * channels, 259: [compression], 262: [photometric]}
    tags |= {274: [orientation], 277: [channels], 284: [1 + planar], 317: [1 + differences]}
    sizes = [len(part) for part in parts]
    if tile:
        tags |= {322: [columns], 323: [rows], 324: places[:-1], 325: sizes}
    else:
        tags |= {273: places[:-1], 278: [rows], 279: sizes}
    if extra is not None:
        tags[338] = [extra]
    after, entries, arrays = places[-1] + 2 + 12 * len(tags) + 4, b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            packed, arrays = struct.pack(f"{order}I", after + len(arrays)), arrays + packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + packed
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, places[-1])
    return header + b"".join(parts) + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + arrays


def ppm(samples: NDArray[Any], maximum: int = 65535) -> bytes:
    height, width, _ = samples.shape
    return b"P6 # a comment\n%d %d\n%d\n" % (width, height, maximum) + samples.astype(">u2").tobytes()


def read(file: bytes) -> tuple[Samples, str]:
    """The samples of a file that Pillow would reduce, read here, and what its channels are."""
    assert file[:2] in (b"II", b"MM") or is_deep(file)
    return read_deep(file)


def is_deep(file: bytes) -> bool:
    """Whether a file has more bits than Pillow's mode for it."""
    with open_picture(io.BytesIO(file)) as picture:
        assert isinstance(picture, PillowPicture)
        return picture.bits(picture.image) > 8 and picture.image.mode in ("RGB", "RGBA")


def assert_reads(file: bytes, expected: NDArray[Any], layout: str) -> None:
    samples, found = read(file)
    assert samples.dtype == np.uint16
    assert found == layout
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (13, 11)])
@pytest.mark.parametrize("layout", ["LA", "RGB", "RGBA"])
def test_png(layout: str, size: tuple[int, int], interlaced: bool) -> None:
    samples = noise(*size, CHANNELS[layout])
    assert_reads(png(samples, interlaced=interlaced), samples, layout)


def test_png_colour_key_is_compared_in_all_16_bits() -> None:
    samples = noise(4, 5, 3)
    samples[1, 2] = samples[3, 0] = 0x1234, 0x5678, 0x9ABC
    samples[2, 2] = 0x1234, 0x5678, 0x9ABD
    alpha = np.full((4, 5, 1), 65535)
    alpha[1, 2] = alpha[3, 0] = 0
    file = png(samples, key=(0x1234, 0x5678, 0x9ABC))
    assert_reads(file, np.concatenate([samples, alpha], axis=2), "RGBA")


@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("differences", [False, True])
@pytest.mark.parametrize("compression", [1, 5, 8])
@pytest.mark.parametrize("order", "<>")
def test_tiff(
    order: str,
    compression: int,
    differences: bool,
    planar: bool,
    tile: tuple[int, int] | None,
) -> None:
    if compression == 1 and differences:
        return  # no reader applies differences to what is not compressed
    how: dict[str, Any] = {"order": order, "compression": compression, "differences": differences}
    how |= {"planar": planar, "tile": tile}
    colour, four = noise(18, 37, 3), noise(18, 37, 4)
    assert_reads(tiff(colour, **how), colour, "RGB")
    assert_reads(tiff(four, extra=2, **how), four, "RGBA")
    assert_reads(tiff(four, extra=0, **how), four, "RGB")
    assert_reads(tiff(four, photometric=5, **how), four, "CMYK")


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("compression", [1, 8])
def test_tiff_premultiplied_alpha_is_divided_in_16_bits(compression: int, planar: bool) -> None:
    samples = np.maximum(noise(9, 20, 4), 1)
    alpha = samples[..., 3:].astype(np.float64)
    samples[..., :3] = np.floor(samples[..., :3] * alpha / 65535)
    samples[0, 0], samples[0, 1], samples[0, 2] = (5, 5, 5, 0), (1, 2, 3, 2), (65535, 65534, 0, 65535)
    file = tiff(samples, extra=1, compression=compression, planar=planar)
    found, layout = read(file)
    assert layout == "RGBA"
    assert found[0, :3].tolist() == [[0, 0, 0, 0], [32768, 65535, 65535, 2], [65535, 65534, 0, 65535]]
    rest = np.s_[1:]
    expected = samples[rest].astype(np.float64)
    expected[..., :3] = np.floor(expected[..., :3] * 65535 / expected[..., 3:] + 0.5)
    np.testing.assert_array_equal(found[rest], expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [1, 8])
def test_tiff_rows_are_upright(compression: int, orientation: int) -> None:
    samples = noise(6, 11, 3)
    for planar in (False, True):
        file = tiff(samples, compression=compression, orientation=orientation, planar=planar)
        assert_reads(file, UPRIGHT[orientation](samples), "RGB")


@pytest.mark.parametrize("maximum", [256, 1023, 4095, 65534, 65535])
def test_ppm_is_scaled(maximum: int) -> None:
    values = RNG.integers(0, maximum + 1, (5, 4, 3))
    values[0, 0] = 0, maximum, maximum // 2
    expected = np.floor(values * 65535 / maximum + 0.5)
    assert_reads(ppm(values, maximum) + b"P6 another image may follow", expected, "RGB")
    plain = b"P3\n4 5 %d\n# comment\n%s #" % (maximum, b" ".join(b"%d" % value for value in values.ravel()))
    assert_reads(plain, expected, "RGB")


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["LA", "RGB", "RGBA", "CMYK"]), st.data())
def test_tiff_round_trip(height: int, width: int, layout: Any, data: st.DataObject) -> None:
    count = height * width * CHANNELS[layout]
    values = data.draw(st.binary(min_size=2 * count, max_size=2 * count))
    samples = np.frombuffer(values, np.uint16).reshape(height, width, -1)
    assert_reads(written("tiff", [Frame(samples, layout)]), samples, layout)


def test_tiff_pages_of_several_sizes_and_strips_with_metadata() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x0111], exif[0x0100] = "Maker", 1, 77, 88
    exif.get_ifd(0x8769)[0x829A] = 0.005
    exif.get_ifd(0x8769)[0x927C] = b"\x00\x01maker note"
    exif.get_ifd(0x8825)[1] = "N"
    pages = [noise(301, 203, 3), noise(2, 500, 3), *(noise(1, width, 3) for width in range(1, 9))]
    block, frames = exif.tobytes(), [Frame(page, "RGB") for page in pages]
    stream = io.BytesIO(written("tiff", frames, icc=b"profile", exif=block, xmp=b"<x/>", dpi=(300, 72.5)))
    for index, page in enumerate(pages):
        samples, layout = read_deep(stream.getvalue(), index)
        assert layout == "RGB"
        np.testing.assert_array_equal(samples, page)
        with Image.open(stream) as image:
            assert isinstance(image, TiffImageFile)
            image.seek(index)
            assert image.tag_v2.offset % 2 == 0, "directories begin on word boundaries"
            np.testing.assert_array_equal(np.asarray(image), page >> 8)
            assert image.info["icc_profile"] == b"profile"
            assert image.info["xmp"] == b"<x/>"
            assert image.info["dpi"] == (300, 72.5)
            found = image.getexif()
            assert found[0x010F] == "Maker"
            assert found.get_ifd(0x8769)[0x829A] == pytest.approx(0.005)
            assert found.get_ifd(0x8769)[0x927C] == b"\x00\x01maker note"
            assert found.get_ifd(0x8825)[1] == "N"
    with Image.open(stream) as image:
        assert getattr(image, "n_frames", 1) == len(pages)


def test_tiff_is_the_same_each_time() -> None:
    samples = noise(40, 30, 4)
    files = [written("tiff", [Frame(samples, "RGBA")] * 2, dpi=(96, 96)) for _ in range(2)]
    assert files[0] == files[1]
    assert_reads(files[0], samples, "RGBA")


def test_damaged_exif_is_refused() -> None:
    with pytest.raises(UpscaleError, match="damaged EXIF"):
        written("tiff", [Frame(noise(2, 2, 3), "RGB")], exif=b"Exif\0\0nonsense")


def test_ppm_round_trip() -> None:
    samples = noise(3, 7, 3)
    made, _ = enlarged(ppm(samples))
    assert made.startswith(b"P6\n7 3\n65535\n")
    assert_reads(made, samples, "RGB")


SMALL = noise(5, 4, 3)


@pytest.mark.parametrize(
    "file",
    [
        png(SMALL),
        png(SMALL, interlaced=True),
        tiff(SMALL),
        tiff(SMALL, planar=True),
        tiff(SMALL, compression=5),
        tiff(SMALL, compression=8, tile=(16, 16)),
        tiff(SMALL, compression=8, planar=True),
        ppm(SMALL),
    ],
    ids=["png", "adam7", "tiff", "planes", "lzw", "tiles", "deflated planes", "ppm"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_truncated_file_is_refused_or_whole(file: bytes) -> None:
    refused = 0
    for length in range(len(file)):
        try:
            samples, _ = read_deep(file[:length])
        except UpscaleError:
            refused += 1
        else:
            np.testing.assert_array_equal(samples, SMALL)
    assert refused > len(file) / 2


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_truncated_written_tiff_is_refused_or_whole() -> None:
    test_a_truncated_file_is_refused_or_whole(written("tiff", [Frame(SMALL, "RGB")]))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"1 2 300 4 5", "5 of 6 samples"),
        (b"1 2 300 4 5 301", "outside 0 to 300"),
        (b"1 2 300 4 5 -1", "outside 0"),
    ],
)
def test_damaged_ppm_is_refused(body: bytes, sentence: str) -> None:
    with pytest.raises(UpscaleError, match=sentence):
        read_deep(b"P3 2 1 300\n" + body)
    if b"-" not in body:
        values = struct.pack(f">{len(body.split())}H", *map(int, body.split()))
        with pytest.raises(UpscaleError, match=sentence):
            read_deep(b"P6 2 1 300\n" + values)


def saved(mode: str, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (8, 8)).save(stream, name, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "modes"),
    [
        ("PNG", "1 L LA P RGB RGBA I;16"),
        ("PPM", "1 L RGB RGBA I;16 I F"),
        ("JPEG", "1 L RGB CMYK"),
        ("GIF", "1 L P RGB RGBA"),
        ("WEBP", "RGB RGBA"),
        ("JPEG2000", "L LA RGB RGBA I;16"),
    ],
)
def test_what_pillow_writes_is_not_deep(name: str, modes: str) -> None:
    for mode in modes.split():
        assert not is_deep(saved(mode, name))
        assert len(frames_read(saved(mode, name))) == 1


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
@pytest.mark.parametrize("no_jp2", [False, True])
def test_deep_jpeg_2000_is_refused(no_jp2: bool) -> None:
    file = bytearray(saved("RGB", "JPEG2000", no_jp2=no_jp2))
    start = file.find(b"\xff\x4f\xff\x51")
    file[start + 45] = 12 - 1  # the depth of the second of three components
    with pytest.raises(UpscaleError, match=r"has 12 bits per channel.*JPEG2000"):
        frames_read(bytes(file))


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 10, 12, 14, 16])
def test_white_of_a_jpeg_2000_of_any_depth_is_white(bits: int) -> None:
    """An integer of n bits is `v / (2^n - 1)` of full intensity; Pillow alone shifts by whole bits."""
    imagecodecs = pytest.importorskip("imagecodecs")
    values = np.arange(64, dtype=np.int64).reshape(8, 8) * ((1 << bits) - 1) // 63
    full = 255 if bits <= 8 else 65535
    stored = values.astype(np.uint8 if bits <= 8 else np.uint16)
    (frame,) = frames_read(imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, bitspersample=bits))
    expected = np.floor(values * full / ((1 << bits) - 1) + 0.5)
    np.testing.assert_array_equal(frame.samples[:, :, 0], expected)


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
def test_signed_jpeg_2000_is_refused() -> None:
    with pytest.raises(UpscaleError, match=r"has signed samples.*; convert it to TIFF first"):
        frames_read(saved("L", "JPEG2000", signed=True))


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
def test_boxes_of_a_jpeg_2000_are_kept_or_said() -> None:
    """Identifiers: the GeoJP2 encoding specification, and Part 3 of the XMP specification."""
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="%d"/>'
    boxes = (
        (b"uuid", bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03") + b"II*\0\x08\0\0\0\0\0"),
        (b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + packet % 6),
        (b"uuid", bytes(16)),
        (b"xml ", b"<a/>"),
    )
    file = saved("RGB", "JPEG2000")
    start = file.index(b"jp2c") - 4
    more = b"".join(struct.pack(">I4s", 8 + len(content), name) + content for name, content in boxes)
    made, result = enlarged(file[:start] + more + file[start:], scale=2)
    assert result.notes == [f"its {what} is left out" for what in ("UUID data", "XML", "georeference (GeoJP2)")]
    packet %= 1
    assert made.endswith(struct.pack(">I4s", 8 + 16 + len(packet), b"uuid") + boxes[1][1][:16] + packet)
    again, result = enlarged(made, "png")
    before, after = opened(file), opened(again)
    assert (after.info["xmp"], after.size) == (packet, (2 * before.height, 2 * before.width))
    assert result.notes == []


def test_animated_16_bit_png_is_refused() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    assert not is_deep(stream.getvalue())
    still = png(noise(4, 4, 3))
    control = b"acTL" + struct.pack(">II", 2, 0)
    chunk = struct.pack(">I", 8) + control + struct.pack(">I", zlib.crc32(control))
    with pytest.raises(UpscaleError, match=r"has 16 bits per channel.*PNG"):
        frames_read(still[:33] + chunk + still[33:])


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
def test_a_palette_in_jpeg_2000_is_refused() -> None:
    """Pillow makes one colour of equal ones, so that all indices behind them are wrong."""
    file = saved("L", "JPEG2000").replace(b"colr\x01\0\0\0\0\0\x11", b"colr\x01\0\0\0\0\0\x10")
    palette = struct.pack(">HB3B", 256, 3, 7, 7, 7) + bytes(768)
    boxes = struct.pack(">I4s", 8 + len(palette), b"pclr") + palette
    boxes += struct.pack(">I4s", 20, b"cmap") + b"".join(struct.pack(">HBB", 0, 1, channel) for channel in range(3))
    start = file.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", file, start)
    made = struct.pack(">I", length + len(boxes)) + file[start + 4 : start + length] + boxes
    with pytest.raises(UpscaleError, match="has a palette"):
        frames_read(file[:start] + made + file[start + length :])

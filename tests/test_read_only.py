"""Formats that are only read, and the kinds of BMP and TGA that are read here: files made byte by byte."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pictures import PLAIN, deep, encoded, enlarged, frames_read, noise
from PIL import Image
from support import SHARED, Array, needs_shared

from upscale_cli.codecs.finding import format_of_content
from upscale_cli.codecs.foreign import FOREIGN, what_it_is
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.sniffing import HEAD
from upscale_cli.commands.upscale import cli
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import expand_palette

RNG = np.random.default_rng(5)
W, H = 7, 5


def rows(values: Array, bits: int) -> bytes:
    """Pixels (H, W) of some bits as rows of a bitmap, each padded to 4 bytes, the lowest first."""
    if bits < 8:
        each = np.unpackbits(values.astype(np.uint8)[:, :, None], axis=2)[:, :, 8 - bits :]
        packed = np.packbits(each.reshape(len(values), -1), axis=1)
    else:
        packed = values.astype("<u4").view(np.uint8).reshape(*values.shape, 4)[:, :, : bits // 8]
        packed = np.ascontiguousarray(packed).reshape(len(values), -1)
    return b"".join(row.tobytes() + bytes(-packed.shape[1] % 4) for row in packed[::-1])


def bitmap(values: Array, bits: int, *, compression: int = 0, masks: tuple[int, ...] = (), double: int = 1) -> bytes:
    """A bitmap with a header of 40 bytes, followed by masks."""
    header = struct.pack("<IiiHHIIiiII", 40, W, H * double, 1, bits, compression, 0, 2835, 2835, 0, 0)
    return header + struct.pack(f"<{len(masks)}I", *masks) + rows(values, bits)


def bmp(data: bytes, before: int) -> bytes:
    return struct.pack("<2sIHHI", b"BM", 14 + len(data), 0, 0, 14 + before) + data


def shown(source: bytes | Path) -> Array:
    """The samples of the only frame, a palette as its colours."""
    (frame,) = frames_read(source)
    return expand_palette(frame).samples


FIELDS = [
    (16, (0xF800, 0x07E0, 0x001F)),
    (16, (0x0F00, 0x00F0, 0x000F, 0xF000)),
    (16, (0x7C00, 0x03E0, 0x001F, 0x8000)),
    (16, (0x0030, 0x000E, 0x0001)),
    (24, (0x0000FF, 0x00FF00, 0xFF0000)),
    (32, (0x000000FF, 0x0000FF00, 0x00FF0000, 0xFF000000)),
    (32, (0x3FF00000, 0x000FFC00, 0x000003FF)),
    (32, (0x3FF00000, 0x000FFC00, 0x000003FF, 0xC0000000)),
    (32, (0xFFFFC000, 0x00003FF0, 0x0000000F)),
]


@pytest.mark.parametrize(("bits", "masks"), FIELDS)
def test_bit_fields_are_scaled_exactly(bits: int, masks: tuple[int, ...]) -> None:
    values = RNG.integers(0, 1 << bits, (H, W))
    data = bitmap(values, bits, compression=6 if len(masks) == 4 else 3, masks=masks)
    made = shown(bmp(data, 40 + 4 * len(masks)))
    full = 65535 if max(mask.bit_count() for mask in masks) > 8 else 255
    for channel, mask in enumerate(masks):
        low = mask & -mask
        expected = np.floor((values & mask) / low * full / (mask // low) + 0.5)
        np.testing.assert_array_equal(made[:, :, channel], expected)
    assert made.shape[2] == len(masks)


def test_a_bmp_of_16_bits_has_fields_of_5() -> None:
    values = RNG.integers(0, 1 << 16, (H, W))
    made, result = enlarged(bmp(bitmap(values, 16), 40), "png")
    expected = [np.floor((values >> shift & 31) * 255 / 31 + 0.5) for shift in (10, 5, 0)]
    with Image.open(io.BytesIO(made)) as image:
        np.testing.assert_array_equal(np.asarray(image), np.dstack(expected))
        assert image.info["dpi"] == pytest.approx((72, 72), abs=0.1)
    assert result.notes == []


@pytest.mark.parametrize("compression", [4, 5])
def test_a_bmp_around_another_format_is_refused_by_name(compression: int) -> None:
    data = bmp(bitmap(np.zeros((H, W), int), 24, compression=compression), 40)
    with pytest.raises(UpscaleError, match="which is not supported; convert it to PNG first"):
        frames_read(data)


def test_the_profile_in_a_bmp_is_kept() -> None:
    profile = b"profile" * 30
    header = struct.pack("<IiiHHIIiiII", 124, W, H, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(16) + b"DEBM"
    pixels = rows(RNG.integers(0, 1 << 24, (H, W)), 24)
    header = header.ljust(112, b"\0") + struct.pack("<III", 124 + len(pixels), len(profile), 0)
    (frame,) = frames_read(bmp(header + pixels + profile, 124))
    assert frame.metadata.icc == profile


@pytest.mark.parametrize("bits", [24, 16])
def test_a_linked_profile_of_a_bmp_is_said_to_be_left_out(bits: int) -> None:
    """Microsoft, BITMAPV5HEADER: the value is 'LINK' as a number, 0x4C494E4B."""
    name = b"C:\\profiles\\wide.icc\0"
    header = struct.pack("<IiiHHIIiiII", 124, W, H, 1, bits, 0, 0, 0, 0, 0, 0) + bytes(16)
    header += struct.pack("<I", 0x4C494E4B)
    pixels = rows(RNG.integers(0, 1 << bits, (H, W)), bits)
    header = header.ljust(112, b"\0") + struct.pack("<III", 124 + len(pixels), len(name), 0)
    assert enlarged(bmp(header + pixels + name, 124), "png")[1].notes == ["its linked colour profile is left out"]


@pytest.mark.parametrize(("space", "said"), [(b"\0\0\0\0", 1), (b"BGRs", 0)])
def test_calibrated_colours_of_a_bmp_are_said_to_be_left_out(space: bytes, said: int) -> None:
    header = struct.pack("<IiiHHIIiiII", 108, W, H, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(16) + space
    header += struct.pack("<12I", *[1 << 29] * 9, *[1 << 16] * 3)
    notes = enlarged(bmp(header + rows(RNG.integers(0, 1 << 24, (H, W)), 24), 108), "png")[1].notes
    assert notes == ["its calibrated colour space (endpoints and gamma) is left out"] * said


# Icons -------------------------------------------------------------------------------------------------------------


def icon(*pictures: tuple[int, int, bytes], kind: int = 1) -> bytes:
    """An ICO, or a CUR of kind 2, of pictures with their width and bits."""
    at, listed, data = 6 + 16 * len(pictures), b"", b""
    for width, bits, picture in pictures:
        listed += struct.pack("<4B2H2I", width, width, 0, 0, 1, bits, len(picture), at + len(data))
        data += picture
    return struct.pack("<3H", 0, kind, len(pictures)) + listed + data


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("bits", [1, 4, 8, 24, 32])
def test_an_icon_has_the_colours_and_the_mask_of_its_bitmap(bits: int, kind: int) -> None:
    values = RNG.integers(0, 1 << bits, (H, W))
    clear = RNG.integers(0, 2, (H, W))
    palette = RNG.integers(0, 256, (1 << bits if bits <= 8 else 0, 4), np.uint8)
    data = bitmap(values, bits, double=2)
    data = data[:40] + palette.tobytes() + data[40:] + rows(clear, 1)
    made = shown(icon((W, bits, data), kind=kind))
    colours = palette[values][:, :, 2::-1] if bits <= 8 else np.dstack([values >> 16, values >> 8, values]) & 255
    np.testing.assert_array_equal(made[:, :, :3], colours)
    np.testing.assert_array_equal(made[:, :, 3], values >> 24 if bits == 32 else 255 - 255 * clear)


def test_an_icon_of_32_bits_without_alpha_has_its_mask() -> None:
    values, clear = RNG.integers(0, 1 << 24, (H, W)), RNG.integers(0, 2, (H, W))
    made = shown(icon((W, 32, bitmap(values, 32, double=2) + rows(clear, 1))))
    np.testing.assert_array_equal(made[:, :, 3], 255 - 255 * clear)


def test_the_largest_picture_of_an_icon_becomes_a_png(tmp_path: Path) -> None:
    large = noise("RGBA", 48, 48)
    small = bitmap(np.zeros((H, W), int), 24, double=2) + rows(np.zeros((H, W), int), 1)
    (tmp_path / "a.ico").write_bytes(icon((W, 24, small), (48, 32, encoded(large, "PNG")), (W, 24, small)))
    done = CliRunner().invoke(cli, [str(tmp_path / "a.ico"), "-m", "nearest", "-s", "1"])
    assert done.exit_code == 0, done.stderr
    assert "only the largest of its 3 pictures is enlarged" in done.stderr
    with Image.open(tmp_path / "a_1x.png") as image:
        assert image.tobytes() == large.tobytes()
    done = CliRunner().invoke(cli, [str(tmp_path / "a.ico"), "-o", str(tmp_path / "b.ico")])
    assert (done.exit_code, "icon files are read but not written; use --format png." in done.stderr) == (2, True)


# TGA ---------------------------------------------------------------------------------------------------------------


def packets(pixels: Array) -> bytes:
    """Pixels (n, bytes) as packets of runs of two, and of literals of three."""
    data, at = b"", 0
    while at < len(pixels):
        two = pixels[at : at + 2]
        if len(two) == 2 and (two[0] == two[1]).all():
            data, at = data + b"\x81" + two[0].tobytes(), at + 2
        else:
            three = pixels[at : at + 3]
            data, at = data + bytes([len(three) - 1]) + three.tobytes(), at + len(three)
    return data


def tga(pixels: Array, kind: int, depth: int, *, descriptor: int, packed: bool, colours: bytes = b"") -> bytes:
    """A TGA of pixels (H, W, bytes) as they are stored; its palette has 24 bits."""
    each, count = pixels.shape[2], len(colours) // 3
    header = struct.pack(
        "<3BHHB4H2B", 0, bool(colours), kind + 8 * packed, 0, count, 24, 0, 0, W, H, depth, descriptor
    )
    return header + colours + (packets(pixels.reshape(-1, each)) if packed else pixels.tobytes())


def stored(upright: Array, origin: int) -> Array:
    """Rows in the order of a file: from the bottom, from the right, or both."""
    upright = upright if origin & 2 else upright[::-1]
    return np.ascontiguousarray(upright[:, ::-1] if origin & 1 else upright)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("origin", range(4))
@pytest.mark.parametrize("alpha", [0, 1, 8])
@pytest.mark.parametrize("kind", ["P", "L", "LA", "RGB", "RGBA", "16"])
def test_every_kind_of_tga(kind: str, alpha: int, origin: int, packed: bool) -> None:
    given: dict[str, Any] = {"descriptor": alpha | origin << 4, "packed": packed}
    values = RNG.integers(0, 256, (H, W, {"P": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "16": 2}[kind]), np.uint8)
    values[:, 2] = values[:, 1]
    pixels = stored(values, origin)
    if kind == "P":
        palette = RNG.integers(0, 256, (256, 3), np.uint8)
        made, expected = tga(pixels, 1, 8, colours=palette[:, ::-1].tobytes(), **given), palette[values[:, :, 0]]
    elif kind in ("L", "LA"):
        made, expected = tga(pixels, 3, 8 * len(kind), **given), values
    elif kind == "16":
        made = tga(pixels, 2, 16, **given)
        five = values.astype(int) @ [1, 256]
        channels = [np.floor((five >> shift & 31) * 255 / 31 + 0.5) for shift in (10, 5, 0)]
        expected = np.dstack([*channels, (five >> 15) * 255] if alpha else channels)
    else:
        made = tga(pixels, 2, 8 * len(kind), **given)
        expected = values[:, :, [2, 1, 0, 3] if kind == "RGBA" and alpha else [2, 1, 0]]
    if kind == "LA" and not alpha:
        with pytest.raises(UpscaleError, match="does not say what they are"):
            frames_read(made)
        return
    np.testing.assert_array_equal(shown(made), expected)
    with pytest.raises(UpscaleError, match="is truncated"):
        frames_read(made[:-1])


@needs_shared
def test_a_tga_without_attribute_bits_is_opaque() -> None:
    _, result = enlarged(SHARED / "cases" / "tga-32bit-attribute-bits-0.tga", "png")
    assert shown(SHARED / "cases" / "tga-32bit-attribute-bits-0.tga").shape[2] == 3
    assert result.notes == []


def test_a_fourth_channel_that_is_no_alpha_is_reported() -> None:
    values = RNG.integers(0, 256, (H, W, 4), np.uint8)
    _, result = enlarged(tga(values, 2, 32, descriptor=32, packed=False), "png")
    assert result.notes == ["its fourth channel is not alpha, as its header says, and is left out"]


def extended(area: dict[int, bytes], developer: int = 0) -> bytes:
    """A TGA of version 2, with values at offsets of its extension area."""
    data = tga(RNG.integers(0, 256, (H, W, 3), np.uint8), 2, 24, descriptor=32, packed=False)
    whole = bytearray(struct.pack("<H", 495).ljust(495, b"\0"))
    for start, value in area.items():
        whole[start : start + len(value)] = value
    return data + whole + struct.pack("<II", len(data), developer) + b"TRUEVISION-XFILE.\0"


@pytest.mark.parametrize(
    ("area", "developer", "notes"),
    [
        ({}, 0, []),
        ({2: b" " * 40, 469: b" ", 474: struct.pack("<4H", 1, 1, 10, 10), 490: b"\x12"}, 0, []),
        ({2: b"Ana"}, 0, ["its author is left out"]),
        ({124: b"second line", 367: b"\1\0\2"}, 0, ["its comment, date are left out"]),
        ({379: b"Mill", 424: b"\7", 426: b"Paint"}, 0, ["its job name, job time, software are left out"]),
        (
            {473: b"\xff", 482: b"\x12", 486: b"\x12"},
            0,
            ["its key colour, colour correction, thumbnail are left out"],
        ),
        ({474: struct.pack("<4H", 2, 1, 22, 10)}, 9, ["its pixel aspect ratio, gamma, developer data are left out"]),
    ],
)
def test_what_version_2_of_tga_says_more_is_said_to_be_left_out(
    area: dict[int, bytes], developer: int, notes: list[str]
) -> None:
    """Truevision's specification, fields 10 to 24 of the extension area: offsets are sums of their lengths."""
    assert enlarged(extended(area, developer), "png")[1].notes == notes


# Photoshop, PCX, SGI -----------------------------------------------------------------------------------------------


def psd(
    planes: Array, mode: int, *, bits: int = 8, layers: int = 0, resources: bytes = b"", table: bytes = b""
) -> bytes:
    """A PSD of planes (C, H, W), uncompressed, with a number of layers of which nothing is told."""
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, len(planes), H, W, bits, mode)
    section = struct.pack(">Ih", 4, layers) + bytes(2) if layers else b""
    data = (
        planes.astype(">u2" if bits == 16 else np.uint8).tobytes() if bits > 1 else np.packbits(planes, 2).tobytes()
    )
    parts = [struct.pack(">I", len(part)) + part for part in (table, resources, section)]
    return header + b"".join(parts) + bytes(2) + data


@pytest.mark.parametrize(("mode", "channels"), [(1, 1), (3, 3)])
def test_the_flattened_picture_of_a_psd(mode: int, channels: int) -> None:
    planes = RNG.integers(0, 256, (channels, H, W), np.uint8)
    expected = planes.transpose(1, 2, 0)
    made, result = enlarged(psd(planes, mode, layers=2), "tiff")
    np.testing.assert_array_equal(frames_read(made)[0].samples, expected)
    assert result.notes == ["its layers are left out: the flattened picture is enlarged"]


def test_the_metadata_of_a_psd_is_kept() -> None:
    dpi = struct.pack(">I2HI2H", 300 << 16, 1, 1, 150 << 16, 1, 1)
    exif = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
    found = {1005: dpi, 1039: b"profile!", 1058: exif, 1060: b"<x/>"}
    resources = b"".join(b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data for number, data in found.items())
    (frame,) = frames_read(psd(np.zeros((3, H, W)), 3, resources=resources))
    kept = frame.metadata
    assert (kept.icc, kept.exif, kept.xmp, kept.dpi) == (b"profile!", exif, b"<x/>", (300, 150))


def test_channels_besides_colour_are_reported() -> None:
    planes = RNG.integers(0, 256, (4, H, W), np.uint8)
    made, result = enlarged(psd(planes, 3), "png")
    np.testing.assert_array_equal(frames_read(made)[0].samples, planes[:3].transpose(1, 2, 0))
    assert result.notes == ["its channels besides colour are left out"]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (psd(np.zeros((3, H, W)), 3, bits=16), "16 bits in the mode RGB"),
        (psd(np.zeros((3, H, W)), 9), "8 bits in the mode Lab"),
        (psd(np.zeros((1, H, W), int), 0, bits=1), "1 bit in the mode bitmap"),
        (psd(np.zeros((1, H, W)), 2, table=bytes(768)), "8 bits in the mode indexed"),
        (psd(np.zeros((4, H, W)), 4), "8 bits in the mode CMYK"),
        (psd(np.zeros((4, H, W)), 3, layers=-1), "flattened picture is transparent"),
        (psd(np.zeros((2, H, W)), 7), "8 bits in the mode multichannel"),
        (psd(np.zeros((3, H, W)), 3, resources=b"8BIM\4\x21\0\0\0\0\0\6" + bytes(6)), "without a flattened picture"),
    ],
)
def test_a_psd_that_is_not_read_is_named(file: bytes, said: str) -> None:
    with pytest.raises(UpscaleError, match=said):
        frames_read(file)


@pytest.mark.parametrize(("name", "modes"), [("PCX", ("1", "L", "P", "RGB")), ("SGI", ("L", "RGB", "RGBA"))])
def test_a_pcx_and_an_sgi_become_png(name: str, modes: tuple[str, ...]) -> None:
    for mode in modes:
        image = noise(mode)
        made, result = enlarged(encoded(image, name))
        with Image.open(io.BytesIO(made)) as png:
            assert (png.format, png.convert("RGBA").tobytes()) == ("PNG", image.convert("RGBA").tobytes())
        assert result.notes == []


def test_an_sgi_of_16_bits_is_refused() -> None:
    header = struct.pack(">HBBHHHHII", 474, 0, 2, 3, W, H, 3, 0, 65535).ljust(512, b"\0")
    with pytest.raises(UpscaleError, match="has 16 bits per channel"):
        frames_read(header + deep(3).tobytes())


# What is not read --------------------------------------------------------------------------------------------------


def arrays(**named: Any) -> bytes:
    """Return a `.npz`."""
    stream = io.BytesIO()
    np.savez(stream, **named)
    return stream.getvalue()


HEADS = {
    "a PDF document": b"%PDF-1.7\n",
    "a camera's raw file (Canon CR2)": b"II*\0\x10\0\0\0CR\2\0",
    "a camera's raw file (Canon CR3)": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "a JPEG-LS image": b"\xff\xd8\xff\xf7\0\x0b",
    "a film (MP4)": b"\0\0\0\x18ftypisom\0\0\2\0isommp42",
    "a film (MOV)": b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
    "a film (AVI)": b"RIFF\0\0\0\0AVI LIST",
    "an SVG drawing": b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="x">',
    "a web page": b"<!DOCTYPE html>\n<html>",
    "an archive of arrays (.npz)": arrays(pixels=np.zeros((2, 3))),
    "a ZIP archive": b"PK\3\4" + bytes(26) + b"notes.txt",
    "a Krita image": b"PK\3\4" + bytes(26) + b"mimetypeapplication/x-krita",
}


@pytest.mark.parametrize("what", HEADS)
def test_a_foreign_file_is_named_with_what_to_do(what: str) -> None:
    with pytest.raises(UpscaleError) as error:
        frames_read(HEADS[what])
    assert str(error.value).startswith(f"is {what}, which is not supported; ")
    assert str(error.value).endswith(".")


def test_foreign_files_do_not_hide_formats_or_each_other() -> None:
    for row in FOREIGN:
        for start in row.starts:
            head = bytes(row.at) + start
            assert row.what in str(what_it_is(head)), "a row before it takes its files"
    for name in PLAIN:
        made, _ = enlarged(encoded(noise("L", 40, 40), "PNG"), name)
        assert format_of_content(made[:HEAD]) is FORMATS[name]

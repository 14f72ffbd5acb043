"""Pixels as they are: depth, transparency, palette and ink are in the enlarged file, or something is said."""

import functools
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pictures import (
    CLEAR,
    PLAIN,
    SRGB_PROFILE,
    deep,
    deep_png,
    deep_tiff,
    encoded,
    enlarged,
    noise,
    opened,
    read_deep,
    repeated,
    seen,
)
from PIL import Image, ImageCms, PngImagePlugin
from support import Array, resampled, triangle

from upscale_cli import upscale
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.png_stream import Chunk
from upscale_cli.errors import UpscaleError
from upscale_cli.image.colour import transfer_of
from upscale_cli.image.metadata import Metadata
from upscale_cli.methods import METHODS

WEIGHED = [name for name, row in METHODS.items() if row.values == "weighed" and name != "transposed-conv"]
ALONE = [name for name in WEIGHED if METHODS[name].independent]
"""Those in which no channel influences another."""
TENT = np.outer([1, 3, 5, 5, 3, 1], [1, 3, 5, 5, 3, 1]) / 36
"""A kernel that is bilinear at three times the size."""


# Depth -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("source", ["png", "tiff"])
@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("RGBA", 4)])
def test_16_bits_of_colour_stay(mode: str, channels: int, source: str, format: str) -> None:
    samples = deep(channels)
    data, result = enlarged(deep_png(samples) if source == "png" else deep_tiff(samples, mode), format, 2)
    read, layout = read_deep(data)
    assert (layout, result.notes) == (mode, [])
    np.testing.assert_array_equal(read, repeated(samples, 2))


def test_16_bits_of_grey_and_alpha_stay() -> None:
    samples = deep(2)
    data, _ = enlarged(deep_png(samples), scale=2)
    read, layout = read_deep(data)
    assert layout == "LA"
    np.testing.assert_array_equal(read, repeated(samples, 2))


@pytest.mark.parametrize("format", ["png", "tiff", "ppm"])
def test_16_bits_of_grey_stay(format: str) -> None:
    image = noise("I;16")
    for source in ("PNG", "TIFF", "PPM"):
        data, result = enlarged(encoded(image, source), format, 2)
        np.testing.assert_array_equal(np.asarray(opened(data)), repeated(np.asarray(image), 2))
        assert result.notes == []


@pytest.mark.parametrize("method", ALONE)
def test_16_bits_are_weighed_as_16_bits(method: str) -> None:
    samples = deep(3)
    data, _ = enlarged(deep_png(samples), scale=2, method=method)
    alone, _ = enlarged(encoded(Image.fromarray(samples[..., 1]), "PNG"), scale=2, method=method)
    exact = upscale(samples[..., 1].astype(np.float64), 2, METHODS[method]).clip(0, 65535)
    # Float32 sums of three channels and of one may differ in their last digit, which decides what is nearly a tie.
    for made in (read_deep(data)[0][..., 1], np.asarray(opened(alone))):
        assert np.abs(made - exact).max() < 0.53


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_16_bits_become_8_where_a_format_has_no_more_and_it_is_said(mode: str) -> None:
    samples = deep(len(mode))
    samples[0, :4, 0] = 0, 128, 129, 65535
    data, result = enlarged(deep_png(samples), "tga")
    assert result.notes == ["TGA: 16 bits a channel become 8"]
    np.testing.assert_array_equal(np.asarray(opened(data)), (samples + np.uint32(128)) // 257)
    _, result = enlarged(deep_png(samples), "jpeg", 2, "lanczos")
    assert result.notes[0].endswith("16 bits a channel become 8")


def test_16_bits_of_ink_become_8_of_light() -> None:
    samples = deep(4)
    data, result = enlarged(deep_tiff(samples, "CMYK"), "png")
    ink = Image.frombytes("CMYK", (7, 5), ((samples + np.uint32(128)) // 257).astype(np.uint8).tobytes())
    assert result.notes == ["PNG: CMYK becomes RGB", "PNG: 16 bits a channel become 8"]
    np.testing.assert_array_equal(seen(opened(data)), seen(ink.convert("RGB")))


def test_floats_keep_what_is_beyond_white_and_what_is_no_number() -> None:
    values = np.asarray(noise("F")).copy()
    values[0, 0], values[0, 1], values[4, 6] = -3.5, 1e9, np.nan
    data, result = enlarged(encoded(Image.fromarray(values), "TIFF"), scale=3)
    assert result.notes == []
    np.testing.assert_array_equal(np.asarray(opened(data)), repeated(values, 3))
    data, _ = enlarged(encoded(Image.fromarray(values), "TIFF"), scale=2, method="bilinear")
    read = np.asarray(opened(data))
    assert np.isnan(read).sum() == 9, "the three by three outputs that the lost sample weighs in"
    assert np.nanmax(read) > 5e8


@pytest.mark.parametrize("method", ["nearest", "lanczos"])
def test_32_bit_integers_stay(method: str) -> None:
    image = noise("I")
    data, _ = enlarged(encoded(image, "TIFF"), scale=2, method=method)
    read = np.asarray(opened(data))
    assert read.dtype == np.int32
    if method == "nearest":
        np.testing.assert_array_equal(read, repeated(np.asarray(image), 2))


@pytest.mark.parametrize("format", ["png", "tiff", "bmp", "gif", "ppm", "tga"])
def test_single_bits_stay_where_they_are_copied(format: str) -> None:
    image = noise("1", 9, 5)
    data, result = enlarged(encoded(image, "PNG"), format, 3)
    assert opened(data).mode == ("L" if format == "gif" else "1")
    np.testing.assert_array_equal(seen(opened(data)), repeated(seen(image), 3))
    assert result.notes == []


def test_single_bits_become_grey_where_they_are_weighed() -> None:
    image = noise("1", 9, 5)
    data, _ = enlarged(encoded(image, "PNG"), scale=2, method="bilinear")
    assert opened(data).mode == "L"
    expected = resampled(np.asarray(image) * 255.0, (10, 18), triangle, 1)
    assert np.abs(np.asarray(opened(data)) - expected).max() <= 0.5 + 1e-4


# Transparency ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", WEIGHED)
def test_colours_behind_full_transparency_do_not_matter(method: str) -> None:
    clear = np.hypot(*(np.mgrid[:16, :16] - 7.5)) > 6
    samples = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    samples[..., 3] = np.where(clear, 0, 255)
    black = samples.copy()
    black[clear] = 0
    made = [enlarged(encoded(Image.fromarray(s), "PNG"), scale=3, method=method)[0] for s in (samples, black)]
    assert made[0] == made[1]


@pytest.mark.parametrize("method", [*ALONE, "transposed-conv"])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_red_disc_on_transparent_green_keeps_a_red_edge(method: str, depth: int) -> None:
    y, x = np.mgrid[:16, :16] - 7.5
    disc = np.hypot(x, y) < 6
    full = 2**depth - 1
    samples = np.where(disc[..., None], (full, 0, 0, full), (0, full, 0, 0)).astype(f"uint{depth}")
    source = encoded(Image.fromarray(samples), "PNG") if depth == 8 else deep_png(samples)
    parameters = {"kernel": TENT} if method == "transposed-conv" else {}
    data, _ = enlarged(source, scale=3, method=method, parameters=parameters)
    made = np.asarray(opened(data)) if depth == 8 else read_deep(data)[0]
    shown = made[made[..., 3] > 0]
    assert (shown[:, 0] == full).all()
    assert not shown[:, 1:3].any()
    soft = np.count_nonzero((made[..., 3] > 0) & (made[..., 3] < full))
    assert bool(soft) == (method != "box")


@pytest.mark.parametrize("method", WEIGHED)
@pytest.mark.parametrize(("mode", "opaque"), [("RGB", "RGBA"), ("L", "LA")])
def test_an_opaque_alpha_changes_no_colour(method: str, mode: str, opaque: str) -> None:
    image = noise(mode)
    plain, _ = enlarged(encoded(image, "PNG"), scale=2, method=method)
    data, _ = enlarged(encoded(image.convert(opaque), "PNG"), scale=2, method=method)
    assert opened(data).mode == opaque
    np.testing.assert_array_equal(seen(opened(data)), seen(opened(plain)))


@pytest.mark.parametrize("method", ["nearest", "lanczos"])
def test_transparency_goes_onto_white_where_a_format_has_none_and_it_is_said_once(method: str) -> None:
    image = Image.new("RGBA", (8, 8), (0, 255, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 8, 4))
    for format in ("jpeg", "ppm", "bmp"):
        data, result = enlarged(encoded(image, "PNG"), format, 2, method, quality=95)
        assert result.notes == [f"{FORMATS[format].title}: transparency goes onto white"]
        read = np.asarray(opened(data).convert("RGB")).astype(int)
        assert np.abs(read[15] - 255).max() <= 2
        assert np.abs(read[0] - (200, 0, 0)).max() <= 4


def keyed_png(bits: int, row: bytes, key: int) -> bytes:
    """A grey PNG, four pixels by one, with a grey that is transparent."""
    stream = io.BytesIO()
    stream.write(b"\x89PNG\r\n\x1a\n")
    for name, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", key)),
        (b"IDAT", zlib.compress(b"\0" + row)),
        (b"IEND", b""),
    ):
        PngImagePlugin.putchunk(stream, name, data)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("bits", "row", "key", "greys"),
    [
        (1, b"\xa0", 1, (255, 0, 255, 0)),
        (2, b"\x1b", 2, (0, 85, 170, 255)),
        (4, b"\x0f\x52", 5, (0, 255, 85, 34)),
        (8, b"\x01\x02\xff\x05", 255, (1, 2, 255, 5)),
    ],
)
def test_a_grey_that_stands_for_transparency(bits: int, row: bytes, key: int, greys: tuple[int, ...]) -> None:
    data, _ = enlarged(keyed_png(bits, row, key))
    read = np.asarray(opened(data))[0]
    clear = key * {1: 255, 2: 85, 4: 17, 8: 1}[bits]
    np.testing.assert_array_equal(read, [(grey, 0 if grey == clear else 255) for grey in greys])


def test_a_grey_of_16_bits_that_stands_for_transparency() -> None:
    greys = np.array([258, 772, 1286, 65535], np.uint16)
    data, _ = enlarged(keyed_png(16, greys.astype(">u2").tobytes(), 772))
    read, layout = read_deep(data)
    assert layout == "LA"
    np.testing.assert_array_equal(read[0], [(grey, 0 if grey == 772 else 65535) for grey in greys])


# Palettes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["png", "gif", "bmp", "tiff", "tga"])
def test_a_palette_is_kept_where_values_are_copied(format: str) -> None:
    image = noise("P")
    data, result = enlarged(encoded(image, "PNG"), format, 3)
    read = opened(data)
    assert (read.mode, result.notes) == ("P", [])
    np.testing.assert_array_equal(seen(read), repeated(seen(image), 3))
    if format != "gif":  # whose writer leaves unused colours out
        np.testing.assert_array_equal(np.asarray(read), repeated(np.asarray(image), 3))


@pytest.mark.parametrize("clear", CLEAR)
@pytest.mark.parametrize(
    ("format", "modes"),
    [
        ("png", {"one": "P", "two": "P", "soft": "P"}),
        ("gif", {"one": "P", "two": "P"}),
        ("tiff", {"one": "RGBA", "two": "RGBA", "soft": "RGBA"}),
        ("tga", {"one": "RGBA", "two": "RGBA", "soft": "RGBA"}),
    ],
)
def test_transparent_colours_of_a_palette_are_kept(format: str, modes: dict[str, str], clear: str) -> None:
    image = noise("P", colours=6)
    image.info["transparency"] = CLEAR[clear]
    data, result = enlarged(encoded(image, "PNG"), format, 2)
    if clear not in modes:
        assert result.notes == ["GIF: no more than 256 colours are kept, and transparency is all or nothing"]
        return
    lost = ["GIF cannot store its colour under full transparency"] if (format, clear) == ("gif", "two") else []
    assert (opened(data).mode, result.notes) == (modes[clear], lost)
    np.testing.assert_array_equal(seen(opened(data)), repeated(seen(image), 2))


def test_transparent_colours_that_a_palette_cannot_hold_go_onto_white() -> None:
    image = noise("P", colours=6)
    image.info["transparency"] = 2
    data, result = enlarged(encoded(image, "PNG"), "bmp", 2)
    assert result.notes == ["BMP: transparency goes onto white"]
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    np.testing.assert_array_equal(seen(opened(data)), repeated(seen(white), 2))


@pytest.mark.parametrize("method", WEIGHED)
def test_a_palette_is_weighed_in_its_true_colours(method: str) -> None:
    image = noise("P")
    for format in ("png", "tiff"):
        data, _ = enlarged(encoded(image, "PNG"), format, 2, method)
        true, _ = enlarged(encoded(image.convert("RGB"), "PNG"), format, 2, method)
        assert opened(data).mode == "RGB"
        np.testing.assert_array_equal(seen(opened(data)), seen(opened(true)))


# Ink ---------------------------------------------------------------------------------------------------------------


INK_PROFILE = b"\0" * 16 + b"CMYK" + b"\0" * 108


def test_ink_stays_ink_with_its_profile() -> None:
    image = Image.new("CMYK", (16, 16), (200, 10, 60, 30))
    data, result = enlarged(encoded(image, "JPEG", icc_profile=INK_PROFILE, quality=95), scale=2, method="lanczos")
    read = opened(data)
    assert (read.mode, read.info["icc_profile"], result.notes) == ("CMYK", INK_PROFILE, [])
    assert np.abs(np.asarray(read).astype(int) - (200, 10, 60, 30)).max() <= 2


@pytest.mark.parametrize("format", ["png", "webp", "gif", "bmp"])
def test_ink_becomes_light_through_its_profile_and_it_is_said(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("CMYK", (8, 8), (200, 10, 60, 30))
    calls = []

    def through(image: Image.Image, given: Any, wanted: Any, **_: Any) -> Image.Image:
        calls.append((image.mode, given, wanted))
        return Image.new("RGB", image.size, (10, 20, 30))

    source = encoded(image, "TIFF", icc_profile=INK_PROFILE)
    # No small profile of ink is at hand: what Pillow would do with it is not what is tested here.
    monkeypatch.setattr(ImageCms, "ImageCmsProfile", io.BytesIO.read)
    monkeypatch.setattr(ImageCms, "createProfile", lambda name: name)
    monkeypatch.setattr(ImageCms, "profileToProfile", through)
    data, result = enlarged(source, format, 2)
    assert calls[0][:2] == ("CMYK", INK_PROFILE)
    assert any("CMYK becomes RGB" in note for note in result.notes)
    read = opened(data)
    assert "icc_profile" not in read.info, "it is the profile of ink"
    if format != "webp":
        assert (seen(read) == (10, 20, 30, 255)).all()


def test_ink_without_a_profile_becomes_plain_light() -> None:
    image = noise("CMYK")
    data, result = enlarged(encoded(image, "TIFF"), "png")
    assert result.notes == ["PNG: CMYK becomes RGB"]
    np.testing.assert_array_equal(seen(opened(data)), seen(image))


# Linear light ------------------------------------------------------------------------------------------------------


def srgb_light(code: Array) -> Array:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def profile_of(curve: bytes) -> bytes:
    """An ICC profile of colour whose three channels share a curve."""
    names = (b"rTRC", b"gTRC", b"bTRC")
    tags = b"".join(struct.pack(">4sII", name, 132 + 36, len(curve)) for name in names)
    body = struct.pack(">I", 3) + tags + curve
    return struct.pack(">I4x4x4x4s108x", 128 + len(body), b"RGB ") + body


CURVES: dict[str, tuple[bytes | None, Callable[[Array], Array]]] = {
    "none": (None, srgb_light),
    "srgb": (SRGB_PROFILE, srgb_light),
    "gamma": (profile_of(struct.pack(">4s4xIH", b"curv", 1, 563)), lambda x: x ** (563 / 256)),
    "para": (profile_of(struct.pack(">4s4xH2xi", b"para", 0, round(1.8 * 65536))), lambda x: x**1.8),
    "table": (
        profile_of(struct.pack(">4s4xI5H", b"curv", 5, *(round(65535 * (i / 4) ** 2) for i in range(5)))),
        lambda x: np.interp(x, np.linspace(0, 1, 5), [round(65535 * (i / 4) ** 2) / 65535 for i in range(5)]),
    ),
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("depth", [8, 16])
def test_linear_blends_light(curve: str, depth: int) -> None:
    profile, light = CURVES[curve]
    full = 2**depth - 1
    samples = deep(3)[..., :1] if depth == 16 else np.asarray(noise("L"))[..., None]
    colours = samples.repeat(3, axis=2)
    if depth == 8:
        source = encoded(Image.fromarray(colours), "PNG", icc_profile=profile)
    else:
        source = deep_tiff(colours, "RGB", icc=profile)
    data, result = enlarged(source, scale=2, method="bilinear", linear=True)
    made = np.asarray(opened(data)) if depth == 8 else read_deep(data)[0]
    assert result.notes == []
    blended = resampled(light(samples[..., 0] / full), (10, 14), triangle, 1)
    # Back to code values by search: no inverse is written down here.
    codes = np.linspace(0, 1, 2**18 + 1)
    expected = np.interp(blended, light(codes), codes) * full
    assert np.abs(made[..., 0] - expected).max() <= 0.5 + (0.01 if depth == 8 else 2)


def test_linear_takes_the_gamma_of_a_png() -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (100_000).to_bytes(4))
    data, _ = enlarged(encoded(noise("L"), "PNG", pnginfo=info), scale=2, method="bilinear", linear=True)
    plain, _ = enlarged(encoded(noise("L"), "PNG"), scale=2, method="bilinear")
    assert np.abs(np.asarray(opened(data)).astype(int) - np.asarray(opened(plain))).max() <= 1


def test_linear_takes_srgb_before_the_gamma_of_a_png() -> None:
    """PNG, section 4.3: if there are both, gamma is for those who do not know sRGB."""
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (100_000).to_bytes(4))
    info.add(b"sRGB", b"\0")
    both, _ = enlarged(encoded(noise("L"), "PNG", pnginfo=info), scale=2, method="bilinear", linear=True)
    neither, _ = enlarged(encoded(noise("L"), "PNG"), scale=2, method="bilinear", linear=True)
    np.testing.assert_array_equal(np.asarray(opened(both)), np.asarray(opened(neither)))


NO_CURVE = {
    "none": b"\0" * 132,
    "cut": profile_of(b"curv\0\0\0\0")[:150],
    "unknown": profile_of(b"what" + bytes(20)),
    "kind": profile_of(struct.pack(">4s4xH2xi", b"para", 9, 65536)),
    "division": profile_of(struct.pack(">4s4xH2x3i", b"para", 1, 65536, 0, 65536)),
    "infinite": profile_of(struct.pack(">4s4xH2xi", b"para", 0, -65536)),
    "falling": profile_of(struct.pack(">4s4xI3H", b"curv", 3, 65535, 100, 0)),
    "flat": profile_of(struct.pack(">4s4xI3H", b"curv", 3, 5, 5, 5)),
    "long": profile_of(struct.pack(">4s4xI", b"curv", 2**32 - 1)),
    "zero": profile_of(struct.pack(">4s4xIH", b"curv", 1, 0)),
}


@pytest.mark.parametrize("name", NO_CURVE)
def test_linear_is_refused_for_a_profile_without_a_curve(name: str) -> None:
    source = encoded(noise("RGB"), "PNG", icc_profile=NO_CURVE[name])
    with pytest.raises(UpscaleError, match="a colour profile without a curve that all channels share; omit --linear"):
        enlarged(source, scale=2, method="bilinear", linear=True)


def cicp(transfer: int, primaries: int = 9, full: int = 1) -> Chunk:
    return b"cICP", bytes((primaries, transfer, 0, full))


PQ_LIGHT = {0: 0.0, 0.5080784: 100 / 10_000, 0.7518271: 1000 / 10_000, 1: 1.0}
"""Light of some code values, from BT.2408-7, table 1, and BT.2100."""
HLG_LIGHT = {0: 0.0, 0.5: 1 / 12, 0.75: 0.26496256, 1: 1.0}
# With H.273's own constants for a smooth curve; 1.099 gives 0.2596.
BT709_LIGHT = {0: 0.0, 0.081: 0.018, 0.5: 0.2597194, 1: 1.0}


@pytest.mark.parametrize(
    ("transfer", "light"),
    [
        *((number, BT709_LIGHT) for number in (1, 6, 14, 15)),
        (4, {0.5: 0.5**2.2}),
        (5, {0.5: 0.5**2.8}),
        (8, {0.25: 0.25}),
        (13, {0.5: 0.21404114}),
        (16, PQ_LIGHT),
        (18, HLG_LIGHT),
    ],
)
def test_the_curves_of_h273(transfer: int, light: dict[float, float]) -> None:
    for metadata in (
        Metadata(colour=(cicp(transfer),), icc=SRGB_PROFILE),
        Metadata(icc=profile_of(b"cicp" + bytes(4) + cicp(transfer)[1]).replace(b"rTRC", b"cicp")),
    ):
        curve = transfer_of(metadata)
        codes, values = (np.array(list(each)) for each in (light, light.values()))
        np.testing.assert_allclose(curve.decode(codes), values, rtol=1e-4, atol=1e-7)
        every = np.arange(65536) / 65535
        np.testing.assert_allclose(curve.encode(curve.decode(every).astype(np.float32)), every, atol=0.2 / 65535)


@pytest.mark.parametrize("transfer", [1, 4, 8, 13, 16, 18])
def test_linear_blends_the_light_of_a_png_with_cicp(transfer: int) -> None:
    samples = deep(3)
    data, result = enlarged(deep_png(samples, cicp(transfer)), scale=2, method="bilinear", linear=True)
    assert result.notes == []
    codes = np.arange(65536) / 65535
    light = transfer_of(Metadata(colour=(cicp(transfer),))).decode(codes)
    blended = resampled(light[samples[..., 0]], (10, 14), triangle, 1)
    expected = np.interp(blended, light, codes) * 65535
    assert np.abs(read_deep(data)[0][..., 0] - expected).max() <= 2


@pytest.mark.parametrize(
    ("chunk", "what"),
    [(cicp(9), "transfer function 9 of ITU-T H.273"), (cicp(16, full=0), "narrow-range code values")],
)
def test_linear_is_refused_for_other_curves(chunk: Chunk, what: str) -> None:
    with pytest.raises(UpscaleError, match=f"uses {what}, for which --linear has no curve; omit --linear"):
        enlarged(deep_png(deep(3), chunk), scale=2, method="bilinear", linear=True)
    enlarged(deep_png(deep(3), chunk), scale=2, method="bilinear")


def test_an_open_cicp_leaves_the_curve_to_the_profile() -> None:
    profile, light = CURVES["gamma"]
    curve = transfer_of(Metadata(colour=(cicp(2),), icc=profile))
    assert curve.decode(np.array([0.5])) == light(np.array([0.5]))


def test_linear_is_refused_for_ink() -> None:
    with pytest.raises(UpscaleError, match="is CMYK, which has no linear light; omit --linear"):
        enlarged(encoded(noise("CMYK"), "TIFF"), scale=2, method="bilinear", linear=True)


def test_linear_keeps_constants_and_the_ends_of_the_range() -> None:
    for value in (0, 1, 128, 254, 255):
        data, _ = enlarged(encoded(Image.new("L", (5, 5), value), "PNG"), scale=2, method="bilinear", linear=True)
        assert (np.asarray(opened(data)) == value).all()


# Every mode to every format ----------------------------------------------------------------------------------------


@functools.cache
def matrix_sources() -> dict[str, bytes]:
    """A file of each mode that files can have."""
    sources = {
        mode: encoded(noise(mode), "TIFF")
        for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "LAB", "YCbCr", "I;16", "I", "F")
    }
    image = noise("P", colours=6)
    for name, clear in CLEAR.items():
        image.info["transparency"] = clear
        sources[f"P, {name} clear"] = encoded(image, "PNG")
    colours = noise("RGB")
    sources["RGB, one clear"] = encoded(colours, "PNG", transparency=colours.getpixel((0, 0)))
    sources["RGBa"] = encoded(noise("RGBA"), "TIFF", tiffinfo={338: 1})
    sources["RGB by JPEG"] = encoded(noise("YCbCr"), "JPEG")
    sources["CMYK by JPEG"] = encoded(noise("CMYK"), "JPEG")
    sources["16-bit PGM"] = encoded(noise("I;16"), "PPM")
    return sources


SAID = ("goes onto white", "become 8", "256 colours", "becomes RGB")
"""How notes about pixels are worded."""


@pytest.mark.parametrize("format", PLAIN)
@pytest.mark.parametrize("mode", matrix_sources())
def test_no_mode_is_changed_silently(mode: str, format: str) -> None:
    source = matrix_sources()[mode]
    shown = opened(source)
    try:
        data, result = enlarged(source, format, 2)
    except UpscaleError as error:
        assert str(error).endswith(".")  # noqa: PT017
        assert shown.mode in ("LAB", "YCbCr", "I", "F")
        return
    if any(words in note for note in result.notes for words in SAID):
        return
    expected = repeated(seen(shown), 2)
    if format == "npy":
        read = np.load(io.BytesIO(data))
        assert read.shape[:2] == expected.shape[:2]
        if shown.mode in ("1", "L", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F") and "clear" not in mode:
            np.testing.assert_array_equal(read, repeated(np.asarray(shown), 2))
        return
    read = seen(opened(data))
    if FORMATS[format].lossy:
        assert np.abs(read[..., 3].astype(int) - expected[..., 3]).max() <= 30
        assert np.abs(read.astype(int) - expected).mean() < 30
    else:
        np.testing.assert_array_equal(read, expected)

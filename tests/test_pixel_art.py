"""Pixel art: the methods that compare colours are those of their names, and keep palettes, frames and opacity."""

import tracemalloc
import zlib
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import animated, deep_png, encoded, enlarged, frames_of, opened, read_deep, seen, source_of
from PIL import Image

from upscale_cli import METHODS, upscale
from upscale_cli.codecs.picture import open_picture
from upscale_cli.methods import pixel_art
from upscale_cli.methods.samples import Samples
from upscale_cli.testing import refusal
from upscale_cli.work.request import Request

PIXEL_ART = [name for name, row in METHODS.items() if row.factors]
Y, X = np.mgrid[:64, :96]
NOISE = (X * 7919 ^ Y * 104729 ^ X * Y * 31) // 16 % 3
INDEX = np.where(X < 64, ((3 * X * X + 2 * Y * Y) // 17 ^ X * Y // 11) % 4, NOISE)
"""Curves beside noise, in four colours; each rule of MMPX applies somewhere."""
OPAQUE = np.array([(0, 0, 0, 255), (250, 240, 200, 255), (200, 40, 40, 255), (60, 90, 130, 255)], np.uint8)
CLEAR = np.array([(255, 255, 255, 0), (250, 240, 200, 255), (200, 40, 40, 128), (60, 90, 130, 255)], np.uint8)
"""Two of these colours are equally light."""

CHECKSUMS = {
    ("epx", 2): (0x0E358B6F, 0xBA3441D7),
    ("epx", 3): (0xD7D49D8F, 0x35484327),
    ("epx", 4): (0x73B6F6ED, 0xA42D28B5),
    ("epx", 6): (0x3806CD09, 0x404DA8A9),
    ("epx", 8): (0xF70F9FDA, 0x8AB37BF3),
    ("epx", 9): (0x4A716A10, 0xE66CB20F),
    ("scale2x", 4): (0x73B6F6ED, 0xA42D28B5),
    ("scale3x", 9): (0x4A716A10, 0xE66CB20F),
    ("eagle", 2): (0x24715E05, 0x1E149D39),
    ("eagle", 4): (0x899F500F, 0x4672EEA4),
    ("eagle", 8): (0x24DE554C, 0xD21519EA),
    ("mmpx", 2): (0x735C7127, 0x2DE5BB0D),
    ("mmpx", 4): (0xCBBB902C, 0xB5825A35),
    ("mmpx", 8): (0x33F8DC45, 0x462326FB),
}
"""CRC-32 of the RGBA that other programs make of the two pictures.

EPX: ffmpeg 5.1, filter `epx`, n=2 before n=3; at 2 also ImageMagick 6.9.11 `-magnify`. Eagle: scalerack 0.3.1. MMPX:
the authors' code in C, by ITotalJustice, commit cce3900, whose clamping on the right and below was mended.
"""


def sprite(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(colours[INDEX])


def palette_png(index: NDArray[np.int64], colours: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(index.astype(np.uint8), "P")
    image.putpalette(colours[:, :3].tobytes())
    return encoded(image, "PNG", transparency=bytes(colours[:, 3]))


def made(source: bytes, method: str, factor: int, **more: str) -> Image.Image:
    return opened(enlarged(source, scale=factor, method=method, **more)[0])


@pytest.mark.parametrize(("method", "factor"), CHECKSUMS)
def test_it_makes_what_other_programs_make(method: str, factor: int) -> None:
    for colours, expected in zip((OPAQUE, CLEAR), CHECKSUMS[method, factor], strict=True):
        have = made(encoded(Image.fromarray(sprite(colours)), "PNG"), method, factor)
        assert zlib.crc32(have.tobytes()) == expected
    array = upscale(sprite(OPAQUE), factor, METHODS[method])
    assert zlib.crc32(array.tobytes()) == CHECKSUMS[method, factor][0]


@pytest.mark.parametrize("method", PIXEL_ART)
def test_a_palette_stays_and_its_colours_decide_not_its_indices(method: str) -> None:
    """Each colour has two indices, of which neighbours take turns."""
    colours = np.concatenate([CLEAR, CLEAR])
    file = palette_png(INDEX + 4 * ((X + Y) % 2), colours)
    factor = METHODS[method].factors[0]
    have = made(file, method, factor)
    assert have.mode == "P"
    expected = made(encoded(Image.fromarray(sprite(CLEAR)), "PNG"), method, factor)
    np.testing.assert_array_equal(have.convert("RGBA"), expected)


@pytest.mark.parametrize("method", PIXEL_ART)
def test_the_kind_of_samples_changes_no_decision(method: str) -> None:
    """One bit, grey with opacity, 16 bits and floats decide as 8 bits of red, green and blue do."""
    factor = METHODS[method].factors[0]
    clear = sprite(CLEAR)
    expected = np.asarray(made(encoded(Image.fromarray(clear), "PNG"), method, factor))
    deep, _ = read_deep(enlarged(deep_png(clear.astype(np.uint16) * 257), scale=factor, method=method)[0])
    np.testing.assert_array_equal(deep, expected.astype(np.uint16) * 257)
    colours = upscale(sprite(OPAQUE)[..., :3], factor, METHODS[method])
    for dtype in (np.uint16, np.int64, np.float32, np.float64):
        have = upscale(sprite(OPAQUE)[..., :3].astype(dtype), factor, METHODS[method])
        np.testing.assert_array_equal(have, colours.astype(dtype))
    # The first is darker than the second: 1 · (256 - 10) and (3 · 1 + 1) · (256 - 192).
    grey = sprite(np.array([(0, 0, 0, 10), (1, 1, 1, 192), (2, 2, 2, 140), (200, 200, 200, 255)], np.uint8))
    lighter = made(encoded(Image.fromarray(grey[..., [0, 3]], "LA"), "PNG"), method, factor)
    expected = np.asarray(made(encoded(Image.fromarray(grey), "PNG"), method, factor))
    np.testing.assert_array_equal(np.asarray(lighter), expected[..., [0, 3]])
    bits = made(encoded(Image.fromarray(INDEX % 2 > 0), "PNG"), method, factor)
    assert bits.mode == "1"
    np.testing.assert_array_equal(bits, upscale((INDEX % 2).astype(np.uint8), factor, METHODS[method]))


def test_not_a_number_is_copied_too() -> None:
    source = np.where(INDEX == 0, np.nan, np.where(INDEX == 1, -np.inf, INDEX)).astype(np.float32)
    for method in PIXEL_ART:
        have = upscale(source, None, METHODS[method])
        assert np.isin(have[~np.isnan(have)], source).all()
        assert np.isnan(have).any()


@pytest.mark.parametrize("method", PIXEL_ART)
def test_frames_stay_and_each_is_a_picture_of_its_own(method: str) -> None:
    factor = METHODS[method].factors[0]
    colours = OPAQUE * (OPAQUE[:, :1] > 0)
    frames = [Image.fromarray(sprite(colours)[10 * n :, 48:][:24]) for n in range(3)]
    for format in ("GIF", "PNG"):
        file = animated(frames, format, duration=[70, 130, 90], loop=3, disposal=2)
        have = frames_of(enlarged(file, scale=factor, method=method)[0])
        assert [(each.info["duration"], each.info["loop"]) for each in have] == [(70, 3), (130, 3), (90, 3)]
        for one, before in zip(have, frames_of(file), strict=True):
            alone = made(encoded(before.convert("RGBA"), "PNG"), method, factor)
            np.testing.assert_array_equal(seen(one), seen(alone))


@pytest.mark.parametrize(
    ("method", "scale", "sentence"),
    [
        ("epx", 5, "epx makes factors 2, 3, 4, 6, 8 and 9 only, not 5; try 6, or the method nearest."),
        ("epx", 16, "epx makes factors 2, 3, 4, 6, 8 and 9 only, not 16; try 9, or the method nearest."),
        ("scale3x", 2, "scale3x makes factors 3 and 9 only, not 2; try 3, or the method nearest."),
        ("mmpx", 1.5, "mmpx makes factors 2, 4 and 8 only, not 1.5; try 2, or the method nearest."),
        ("mmpx", "2x1", "mmpx makes factors 2, 4 and 8 only, not (1, 2) (vertical, horizontal); try 2, or"),
    ],
)
def test_other_factors_are_refused_with_the_next(method: str, scale: object, sentence: str) -> None:
    assert sentence in refusal(method=method, scale=scale)


def test_the_usual_factor_is_the_first() -> None:
    assert [upscale(np.eye(4), None, METHODS[method]).shape[0] // 4 for method in PIXEL_ART] == [2, 2, 3, 2, 2]


def test_the_largest_factor_that_fits_is_one_of_its_own() -> None:
    with open_picture(source_of(encoded(Image.new("L", (64, 48)), "PNG")).open()) as picture:
        for most, factor in ((64 * 48 * 40, "6"), (64 * 48 * 3, "1")):
            request = Request(method=METHODS["epx"], scale=(Fraction(9),) * 2, max_pixels=most)
            with pytest.raises(Exception, match=f"that fits is {factor}; or"):
                request.check(picture, source_of(b""))


@pytest.mark.parametrize("method", PIXEL_ART)
def test_bands_change_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With bands of one row of the source, every pass looks beyond its band."""
    for factor in METHODS[method].factors[-2:]:
        expected = upscale(INDEX[:9, :60].astype(np.uint8), factor, METHODS[method])
        for name in ("BAND_PIXELS", "FEWEST_ROWS"):
            monkeypatch.setattr(pixel_art, name, 1)
        np.testing.assert_array_equal(upscale(INDEX[:9, :60].astype(np.uint8), factor, METHODS[method]), expected)
        monkeypatch.undo()


@pytest.mark.parametrize("method", ["epx", "mmpx"])
@pytest.mark.parametrize("shape", [(200, 400, 3), (3, 20_000, 4)])
def test_working_memory_is_estimated(method: str, shape: tuple[int, int, int]) -> None:
    row, source = METHODS[method], np.zeros(shape, np.uint8)
    for factor in row.factors[:2]:
        size = shape[0] * factor, shape[1] * factor
        samples = Samples(source.dtype, shape[2], source.dtype, alpha=shape[2] == 4)
        upsampler = row.make(source, scale=(Fraction(factor),) * 2, size=size, samples=samples, parameters={})
        tracemalloc.start()
        next(iter(upsampler.blocks(0)))
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        estimated = 4 * row.working_memory(shape, {})(size).values_per_thread
        assert taken < 1.1 * estimated < 2.2 * taken

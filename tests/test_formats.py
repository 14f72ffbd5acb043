"""The table of formats: its rows make sense together, and what does not fit is known before any work."""

from pathlib import Path, PurePath

import pytest
from pictures import encoded
from PIL import Image
from upscale_cli.images import limits

from upscale_cli.codecs.formats import FORMATS, find_format, fit, format_of, format_of_pillow, pillow_names
from upscale_cli.codecs.picture import Picture
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.image.pixels import CHANNELS
from upscale_cli.methods.parameters import read_scale
from upscale_cli.work.request import Request

DEPTHS = ("bool", "uint8", "uint16", "int32", "float32")
KINDS = [(mode, depth) for mode in CHANNELS for depth in DEPTHS]


def test_names_and_extensions_are_unique() -> None:
    extensions = [extension for row in FORMATS.values() for extension in row.extensions]
    assert len(set(extensions)) == len(extensions)
    assert all(name == row.name for name, row in FORMATS.items())
    for row in FORMATS.values():
        assert find_format(row.name) is find_format(row.name.upper()) is row
        for extension in row.extensions:
            assert extension == extension.lower()
            assert find_format(extension) is format_of(PurePath(f"a.b{extension.upper()}")) is row
        assert all(format_of_pillow(name) is row for name in row.pillow)


def test_pillow_can_read_and_write_every_row() -> None:
    Image.init()
    assert set(pillow_names()) <= set(Image.OPEN)
    assert {row.pillow[0] for row in FORMATS.values() if row.pillow} <= set(Image.SAVE)


def test_formats_that_start_other_programs_are_not_in_the_table() -> None:
    assert not {"EPS", "BLP", "WMF", "PSD", "FITS"} & set(pillow_names())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_every_kind_fits_or_is_refused(kind: tuple[str, str], name: str) -> None:
    row = FORMATS[name]
    try:
        wanted, lost = fit(kind, row)
    except UpscaleError as error:
        assert row.name in str(error)  # noqa: PT017
        return
    assert wanted in row.holds
    assert (not lost) >= (wanted == kind), "nothing changes, and something is said to be lost"
    if not lost:
        assert CHANNELS[wanted[0]] >= CHANNELS[kind[0]]
        assert DEPTHS.index(wanted[1]) >= DEPTHS.index(kind[1])


@pytest.mark.parametrize(("typed", "said"), [("pgn", 'Did you mean "png"?'), ("eps", "There are png, jpeg")])
def test_a_misspelt_format_is_refused(typed: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        find_format(typed)
    assert said in str(error.value)


LIMITS = [
    ("png", 2**31 - 1),
    ("jpeg", 65_500),
    ("webp", 16_383),
    ("gif", 65_535),
    ("tga", 65_535),
    ("avif", 32_768),
]


@pytest.mark.parametrize(("name", "longest"), LIMITS)
def test_an_encoders_limit_is_known_before_any_work(name: str, longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "memory_there", lambda: limits.UNKNOWN)
    assert FORMATS[name].longest == longest
    source = encoded(Image.new("L", (1000, 1)), "PNG")
    # The last factor that fits, and the first that does not.
    fits, factor = longest // 1000, longest // 1000 + 1
    for scale in (fits, factor):
        request = Request("nearest", scale=read_scale(scale), format=FORMATS[name], max_pixels=10**18)
        with Picture(source) as picture:
            if scale == fits:
                assert request.check(picture, source).after == (1000 * fits, fits)
                continue
            with pytest.raises(UpscaleError) as error:
                request.check(picture, source)
            largest = f"{(longest * 100 + 49) // 1000 / 100:.2f}".rstrip("0").rstrip(".")
            assert str(error.value) == (
                f"would be {1000 * factor}x{factor}, and {name} ends at {longest:,}; "
                f"the largest factor that fits is {largest}; or use --format png."
            )


def test_methods_of_whole_factors_are_told_one() -> None:
    source = encoded(Image.new("L", (64, 48)), "PNG")
    request = Request("bed-of-nails", scale=read_scale(1000))
    with Picture(source) as picture, pytest.raises(UpscaleError, match="that fits is 570; or"):
        request.check(picture, source)


def test_the_limit_of_pixels_names_the_largest_factor(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(encoded(Image.new("L", (64, 48)), "PNG"))
    with Picture(source) as picture, pytest.raises(UpscaleError) as error:
        Request("lanczos", scale=read_scale(1000)).check(picture, source)
    assert str(error.value) == (
        "would be 64000x48000, 3,072,000,000 pixels; the largest factor that fits is 570.55; "
        "or raise --max-pixels 1,000,000,000."
    )

"""The table of formats: its rows make sense together, and what does not fit is known before any work."""

from importlib import import_module
from pathlib import Path, PurePath

import pytest
from pictures import PLAIN, encoded, noise, source_of
from PIL import Image

from upscale_cli.codecs.finding import find_format, format_of, format_of_content, written_for
from upscale_cli.codecs.fitting import fit
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import open_picture
from upscale_cli.codecs.pillow import PillowPicture
from upscale_cli.codecs.sniffing import HEAD
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.image.pixels import CHANNELS
from upscale_cli.machine.memory import UNKNOWN
from upscale_cli.methods import METHODS
from upscale_cli.methods.parameters import read_scale
from upscale_cli.work import estimate
from upscale_cli.work.request import Request

DEPTHS = ("bool", "uint8", "uint16", "int32", "float32")
KINDS = [(mode, depth) for mode in CHANNELS for depth in DEPTHS]


def test_names_and_extensions_are_unique() -> None:
    extensions = [extension for row in FORMATS.values() for extension in row.extensions]
    assert len(set(extensions)) == len(extensions)
    assert all(name == row.name for name, row in FORMATS.items())
    for row in FORMATS.values():
        if row.name in PLAIN:
            assert find_format(row.name) is find_format(row.name.upper()) is row
        for extension in row.extensions:
            assert extension == extension.lower()
            assert format_of(PurePath(f"a.b{extension.upper()}")) is row


@pytest.mark.parametrize("row", [row for row in FORMATS.values() if row.writable], ids=lambda row: row.name)
def test_the_page_says_what_each_format_takes(row: Format) -> None:
    """For RGB of 8 bits: what the estimate counts, whose factors are measured."""
    whole = f"{3 * row.encoder:g} bytes a pixel"
    several = f"{whole}, and {3 * row.retained:g} for each frame" if row.frames else "–"
    one, several = {
        "none": (whole, several),
        "one": ("strip by strip", several),
        "all": ("strip by strip", "strip by strip"),
    }[row.strips]
    threads = "its encoder, at the end" if row.strips == "none" else "all threads"
    apart = "; animations by their encoder" if row.strips == "one" and row.frames else ""
    page = (Path(__file__).parents[1] / "docs" / "formats.md").read_text("utf-8")
    assert f"| {row.title} | {one} | {several} | {threads}{apart} |\n" in page


@pytest.mark.parametrize("name", [name for name, row in FORMATS.items() if not row.writable])
def test_formats_that_are_only_read_become_another(name: str) -> None:
    other = "nii.gz" if name == "dicom" else "png"
    with pytest.raises(UsageError, match=rf"files are read but not written; use --format {other}\."):
        find_format(name)
    assert written_for(FORMATS[name]) is FORMATS[other]


def pillow_names(row: Format) -> tuple[str, ...]:
    """Pillow's names of the decoders that a format's codec may start; none if it reads without Pillow."""
    if row.extra:
        return ()
    codec = import_module(row.codec)
    kinds = [kind for kind in vars(codec).values() if isinstance(kind, type) and kind.__module__ == row.codec]
    return next((kind.names for kind in kinds if issubclass(kind, PillowPicture)), ())


def test_pillow_can_read_and_write_every_row() -> None:
    Image.init()
    names = [name for row in FORMATS.values() for name in pillow_names(row)]
    assert len(set(names)) == len(names)
    assert set(names) <= set(Image.OPEN)
    assert {pillow_names(FORMATS[name])[0] for name in PLAIN if pillow_names(FORMATS[name])} <= set(Image.SAVE)
    # The names of all subclasses, wherever they are: a codec has no other decoder of Pillow.
    assert {name for kind in PillowPicture.__subclasses__() for name in kind.names} == set(names)


@pytest.mark.parametrize("row", FORMATS.values(), ids=list(FORMATS))
def test_what_pillow_writes_is_recognised_as_its_row_alone(row: Format) -> None:
    for name in filter(Image.SAVE.__contains__, pillow_names(row)):
        file = encoded(noise("RGB", 17, 13), name)
        assert [each for each in FORMATS.values() if each.sniff(file[:HEAD])] == [row]
        assert format_of_content(file[:HEAD]) is row
    assert not row.sniff(b"")


def test_formats_that_start_other_programs_are_not_in_the_table() -> None:
    others = {"EPS", "BLP", "WMF", "FITS"}
    assert not others & {name for row in FORMATS.values() for name in pillow_names(row)}
    heads = (encoded(noise("RGB"), "EPS"), b"BLP2", b"BLP1", b"\xd7\xcd\xc6\x9a\0\0", b"SIMPLE  =")
    assert [format_of_content(head[:HEAD]) for head in heads] == [None] * len(heads)


@pytest.mark.parametrize("name", FORMATS)
def test_every_kind_fits_or_is_refused(name: str) -> None:
    row = FORMATS[name]
    for kind in KINDS:
        try:
            wanted, lost = fit(kind, row)
        except UpscaleError as error:
            assert row.title in str(error)  # noqa: PT017
            continue
        assert wanted in row.stores, kind
        if row.deepest == 16:
            assert (not lost) >= (wanted == kind), f"nothing changes, and something is said to be lost: {kind}"
        if not lost:
            assert CHANNELS[wanted[0]] >= CHANNELS[kind[0]], kind
            assert DEPTHS.index(wanted[1]) >= DEPTHS.index(kind[1]), kind


@pytest.mark.parametrize(("typed", "said"), [("pgn", 'Did you mean "png"?'), ("eps", "Formats: png, jpeg")])
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
    monkeypatch.setattr(estimate, "available_memory", lambda: UNKNOWN)
    assert FORMATS[name].longest == longest
    source = source_of(encoded(Image.new("L", (1000, 1)), "PNG"))
    # The last factor that fits, and the first that does not.
    fits, factor = longest // 1000, longest // 1000 + 1
    for scale in (fits, factor):
        request = Request(method=METHODS["nearest"], scale=read_scale(scale), format=FORMATS[name], max_pixels=10**18)
        with open_picture(source.open()) as picture:
            if scale == fits:
                assert request.check(picture, source).after == (1000 * fits, fits)
                continue
            with pytest.raises(UpscaleError) as error:
                request.check(picture, source)
            largest = f"{(longest * 100 + 49) // 1000 / 100:.2f}".rstrip("0").rstrip(".")
            assert str(error.value) == (
                f"would be {1000 * factor}x{factor}, but {FORMATS[name].title} allows {longest:,} per side; "
                f"the largest factor that fits is {largest}; or use --format png."
            )


def test_methods_of_whole_factors_are_told_one() -> None:
    source = source_of(encoded(Image.new("L", (64, 48)), "PNG"))
    request = Request(method=METHODS["bed-of-nails"], scale=read_scale(1000))
    with open_picture(source.open()) as picture, pytest.raises(UpscaleError, match="that fits is 570; or"):
        request.check(picture, source)


def test_the_limit_of_pixels_names_the_largest_factor(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.new("L", (64, 48)), "PNG"))
    source = source_of(tmp_path / "a.png")
    with open_picture(source.open()) as picture, pytest.raises(UpscaleError) as error:
        Request(method=METHODS["lanczos"], scale=read_scale(1000)).check(picture, source)
    assert str(error.value) == (
        "would be 64000x48000, 3,072,000,000 pixels; the largest factor that fits is 570.55; "
        "or raise the limit: --max-pixels (now 1,000,000,000)."
    )

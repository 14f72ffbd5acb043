"""Sizes of another shape, and smaller ones: cropped, with a border, distorted, reduced, copied or left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from breaking import contents, picture
from click.testing import CliRunner, Result
from PIL import Image

from upscale_cli import METHODS
from upscale_cli.commands.upscale import cli
from upscale_cli.methods.framed import Framed
from upscale_cli.methods.upsampler import Upsampler

Array = np.ndarray[Any, Any]


def call(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def pixels(path: Path, mode: str | None = None) -> Array:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode) if mode else image)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("method", ["nearest", "lanczos", "learned"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize(
    ("sides", "size", "whole"), [((60, 91), (70, 400), (264, 400)), ((91, 60), (301, 80), (301, 198))]
)
def test_cover_and_pad_show_what_cropping_and_pasting_would(
    here: Path, method: str, mode: str, sides: tuple[int, int], size: tuple[int, int], whole: tuple[int, int]
) -> None:
    """The whole picture enlarged, and Pillow's crop of it; another one on Pillow's canvas."""
    picture(here / "in.png", *sides, mode=mode)
    box, colour = f"{size[0]}x{size[1]}", "#808080" if mode == "L" else "#1e90ff"
    call("in.png", "--size", box, "--fit", "cover", "-m", method, "-o", "cover.png")
    call("in.png", "--size", f"{whole[0]}x{whole[1]}", "--fit", "exact", "-m", method, "-o", "whole.png")
    left, top = (whole[0] - size[0]) // 2, (whole[1] - size[1]) // 2
    with Image.open("whole.png") as image:
        assert image.size == whole
        expected = np.asarray(image.crop((left, top, left + size[0], top + size[1])))
    assert np.array_equal(pixels(here / "cover.png"), expected)

    call("in.png", "--size", box, "--fit", "pad", "-m", method, "-o", "pad.png", "--background", colour)
    call("in.png", "--size", box, "-m", method, "-o", "inside.png")
    with Image.open("inside.png") as image:
        canvas = Image.new(mode, size, colour)
        corner = -((image.width - size[0]) // 2), -((image.height - size[1]) // 2)
        canvas.paste(image, corner)
    assert np.array_equal(pixels(here / "pad.png"), np.asarray(canvas))


def test_strips_of_a_crop_and_of_a_border_are_those_of_the_whole() -> None:
    """Any strips, of an upsampler whose bands have every height."""

    class Numbered(Upsampler):
        def __init__(self, shape: tuple[int, int, int], band: int, offset: int) -> None:
            self.shape, self.band, self.offset, self.dtype = shape, band, offset, np.dtype(int)

        def blocks(self, band: int) -> Any:
            from upscale_cli.methods.upsampler import Block

            top = band * self.band - self.offset
            for left in range(0, self.shape[1] + 3, 4):
                y, x = np.mgrid[top : top + self.band, left : left + 4]
                yield Block(top, left, 0, (100 * y + x)[:, :, None])

    full = np.add.outer(100 * np.arange(23), np.arange(17))
    for band in (1, 3, 7, 40):
        inner = Numbered((23, 17, 1), band, band // 2)
        assert np.array_equal(inner.rows(0, 23)[..., 0], full)
        for size in ((10, 17), (23, 6), (5, 5), (1, 1), (23, 17)):
            top, left = (23 - size[0]) // 2, (17 - size[1]) // 2
            expected = full[top : top + size[0], left : left + size[1]]
            framed = Framed(inner, size)
            for step in (1, 4, 50):
                parts = [framed.rows(at, min(at + step, size[0])) for at in range(0, size[0], step)]
                assert np.array_equal(np.concatenate(parts)[..., 0], expected)
        for size in ((30, 17), (23, 30), (40, 41), (24, 18)):
            top, left = -((23 - size[0]) // 2), -((17 - size[1]) // 2)
            expected = np.full(size, -7)
            expected[top : top + 23, left : left + 17] = full
            framed = Framed(inner, size, np.array([-7]))
            for step in (1, 4, 50):
                parts = [framed.rows(at, min(at + step, size[0])) for at in range(0, size[0], step)]
                assert np.array_equal(np.concatenate(parts)[..., 0], expected)


def test_a_large_crop_is_made_in_strips(here: Path) -> None:
    """More than one strip, with threads and without: the same file."""
    picture(here / "in.png", 300, 200)
    for jobs in (1, 2):
        for fit in ("cover", "pad"):
            call("in.png", "--size", "1500x1700", "--fit", fit, "-j", jobs, "-o", f"{fit}{jobs}.png")
    assert contents(here)["cover1.png"] == contents(here)["cover2.png"]
    assert contents(here)["pad1.png"] == contents(here)["pad2.png"]
    assert pixels(here / "pad1.png").shape == (1700, 1500, 4)
    assert (pixels(here / "pad1.png")[:350, :, 3] == 0).all()
    assert (pixels(here / "pad1.png")[350:1350, :, 3] == 255).all()


def test_exact_is_the_size_that_is_asked_for(here: Path) -> None:
    picture(here / "in.png", 30, 20)
    call("in.png", "--size", "100x40", "--fit", "exact", "-m", "nearest", "-o", "out.png", "-q")
    with Image.open("in.png") as image:
        assert np.array_equal(pixels(here / "out.png"), np.asarray(image.resize((100, 40), Image.Resampling.NEAREST)))


@pytest.mark.parametrize(
    ("name", "background", "mode", "corner"),
    [
        ("a.png", (), "RGBA", (0, 0, 0, 0)),
        ("a.jpg", (), "RGB", (255, 255, 255)),
        ("a.webp", (), "RGBA", (0, 0, 0, 0)),
        ("a.bmp", (), "RGB", (255, 255, 255)),
        ("a.jpg", ("--background", "black"), "RGB", (0, 0, 0)),
        ("a.png", ("--background", "#f00"), "RGB", (255, 0, 0)),
        ("a.png", ("--background", "#ff000080"), "RGBA", (255, 0, 0, 128)),
        ("a.tif", ("--background", "transparent"), "RGBA", (0, 0, 0, 0)),
    ],
)
def test_borders(here: Path, name: str, background: tuple[str, ...], mode: str, corner: tuple[int, ...]) -> None:
    picture(here / "in.png", 30, 20)
    call("in.png", "--size", "60x60", "--fit", "pad", "-o", name, *background)
    with Image.open(name) as image:
        assert (image.mode, image.size) == (mode, (60, 60))
        found: Any = image.getpixel((0, 0))
        if mode == "RGBA" and corner[3] == 0:
            assert found[3] == 0
        else:
            assert np.abs(np.subtract(found, corner)).max() <= (2 if name == "a.jpg" else 0)


def test_borders_of_palettes_grey_16_bits_single_bits_and_ink(here: Path) -> None:
    def padded(image: Image.Image, name: str, *more: str) -> Image.Image:
        image.save(name)
        call(name, "--size", "8x16", "--fit", "pad", "-m", "nearest", "-o", f"out-{name}", *more)
        with Image.open(f"out-{name}") as made:
            made.load()
            return made

    colours = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).convert("P")
    colours.putpalette(bytes(range(48)))
    gif = padded(colours, "p.gif", "--background", "red").convert("RGB")
    assert gif.getpixel((0, 0)) == (255, 0, 0)
    assert gif.getpixel((0, 4)) == (0, 1, 2)
    assert padded(colours, "t.gif").convert("RGBA").getpixel((0, 0))[3] == 0  # type: ignore[index]
    grey = Image.new("L", (4, 4), 7)
    assert padded(grey, "g.png", "--background", "#808080").getpixel((0, 0)) == 128
    assert padded(grey, "c.png", "--background", "red").getpixel((0, 0)) == (255, 0, 0)
    bits = padded(Image.new("1", (4, 4), 0), "b.png")
    assert (bits.mode, bits.getpixel((0, 0)), bits.getpixel((0, 8))) == ("1", 255, 0)
    ink = padded(Image.new("CMYK", (4, 4), (9, 8, 7, 6)), "k.tif")
    assert (ink.getpixel((0, 0)), ink.getpixel((0, 8))) == ((0, 0, 0, 0), (9, 8, 7, 6))
    deep = padded(Image.fromarray(np.full((4, 4), 1000, np.uint16)), "d.png", "--background", "#808080")
    assert (deep.getpixel((0, 0)), deep.getpixel((0, 8))) == (128 * 257, 1000)
    np.save("a.npy", np.full((4, 4, 5), 3, np.int16))
    call("a.npy", "--size", "8x16", "--fit", "pad", "-m", "nearest", "-o", "out.npy")
    array = np.load("out.npy")
    assert array.shape == (16, 8, 5)
    assert (array[0], array[4]) == (pytest.approx(0), pytest.approx(3))
    said = call("a.npy", "--size", "8x16", "--fit", "pad", "--background", "red", "-o", "b.npy", status=1).stderr
    assert "is an array, which has no colours; omit --background" in said


def test_cells_of_zeros_are_cropped_too(here: Path) -> None:
    picture(here / "in.png", 30, 20)
    call("in.png", "--size", "60x60", "--fit", "cover", "-m", "bed-of-nails", "-o", "out.png")
    expected = np.zeros((60, 90, 3), np.uint8)
    expected[::3, ::3] = pixels(here / "in.png")
    assert np.array_equal(pixels(here / "out.png"), expected[:, 15:75])


# Metadata -----------------------------------------------------------------------------------------------------------

XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" tiff:ImageWidth="30" dc:source="mine">
<mwg-rs:Regions><mwg-rs:RegionList>a face</mwg-rs:RegionList></mwg-rs:Regions>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(("fit", "size"), [("cover", (60, 60)), ("pad", (60, 60)), ("exact", (60, 60))])
def test_sizes_in_metadata_follow_and_places_are_dropped(here: Path, fit: str, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif.get_ifd(0x8769).update({0xA002: 30, 0xA003: 20, 0x9214: (15, 10)})
    Image.new("RGB", (30, 20)).save("in.jpg", exif=exif.tobytes(), xmp=XMP)
    said = call("in.jpg", "--size", f"{size[0]}x{size[1]}", "--fit", fit, "-o", "out.jpg").stderr
    with Image.open("out.jpg") as made:
        details = made.getexif().get_ifd(0x8769)
        xmp = made.info["xmp"]
    assert (details[0xA002], details[0xA003]) == size
    assert made.getexif()[0x010F] == "maker"
    assert b'tiff:ImageWidth="60"' in xmp
    assert b'dc:source="mine"' in xmp
    framed = fit != "exact"
    assert (b"face" not in xmp) == (0x9214 not in details) == framed
    assert ("what its metadata says of the whole picture" in said) == framed


@pytest.mark.parametrize(("fit", "first"), [("cover", (-15, 0)), ("pad", (0, 10))])
def test_georeferences_of_parts_and_borders(here: Path, fit: str, first: tuple[int, int]) -> None:
    """Where the corner of the source lies in the result, in the place that the tags say."""
    extra: list[Any] = [(33550, "d", 3, (10.0, 10.0, 0.0)), (33922, "d", 6, (0.0, 0.0, 0.0, 500.0, 900.0, 0.0))]
    extra += [(42113, "s", 0, "-9999")]
    samples = np.arange(600, dtype=np.float32).reshape(20, 30)
    tifffile.imwrite("in.tif", samples, extratags=extra)
    call("in.tif", "--size", "60x60", "--fit", fit, "-m", "nearest", "-o", "out.tif", "-q")
    with tifffile.TiffFile("out.tif") as made:
        tags = made.pages[0].tags  # type: ignore[union-attr]
        column, row, _, x, y, _ = tags[33922].value
        scale = 10 * 20 / (60 if fit == "cover" else 40)
        assert (column, row, x, y) == (*first, 500, 900)
        assert tags[33550].value[0] == pytest.approx(scale)
        values = made.asarray()
    assert values.shape == (60, 60)
    if fit == "pad":
        assert (values[:10] == -9999).all()
        assert values[10, 0] == 0
    else:
        assert values[0, 0] == samples[0, 5]


# Smaller ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["bilinear", "bicubic", "lanczos"])
def test_reductions_are_antialiased_as_pillows_are(here: Path, method: str) -> None:
    picture(here / "in.png", 301, 203)
    call("in.png", "--size", "100x", "--allow-smaller", "-m", method, "-o", "out.png")
    with Image.open("in.png") as image:
        # As floats, because Pillow rounds bytes between its two passes.
        bands = [
            band.convert("F").resize((100, 67), getattr(Image.Resampling, method.upper())) for band in image.split()
        ]
    expected = np.clip(np.stack([np.asarray(band) for band in bands], axis=2), 0, 255)
    assert np.abs(pixels(here / "out.png") - expected).max() < 0.51


@pytest.mark.parametrize("method", ["nearest", "lanczos", "learned"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_scales_below_1(here: Path, method: str, mode: str) -> None:
    """A flat area stays flat, in any mode; one far too small is a pixel."""
    colours: dict[str, Any] = {"L": 77, "RGB": (70, 80, 90), "RGBA": (70, 80, 90, 200), "LA": (70, 200)}
    colour = colours[mode]
    Image.new(mode, (90, 60), colour).save("in.png")
    call("in.png", "-s", "1/3", "--allow-smaller", "-m", method)
    made = pixels(here / "in_0.333333x.png", mode)
    assert made.shape[:2] == (20, 30)
    assert (made == np.asarray(Image.new(mode, (1, 1), colour))).all()
    call("in.png", "-s", "0.001", "--allow-smaller", "-m", method, "-o", "dot.png")
    assert pixels(here / "dot.png").shape[:2] == (1, 1)


def test_a_network_then_a_reduction(here: Path) -> None:
    """Nothing above 1 is new: what lies between factors of networks is reached from above."""
    picture(here / "in.png", 30, 20)
    assert "x2, then an antialiased reduction" in call("in.png", "-s", "1.5", "-m", "learned", "-v").stderr
    said = call("in.png", "-s", 1, "-m", "learned", "-o", "out.png", "-v").stderr
    assert "1 times, as requested, which changes no pixel" in said
    assert np.array_equal(pixels(here / "out.png"), pixels(here / "in.png"))


# What overlapping windows pooled is larger than its original.
ONLY_LARGER = [name for name, row in METHODS.items() if row.integer_scale and name != "max-unpooling"]


@pytest.mark.parametrize("method", ONLY_LARGER)
def test_methods_that_only_enlarge_say_so(here: Path, method: str) -> None:
    picture(here / "in.png", 30, 20)
    for asked in (["--size", "15"], ["-s", "0.5"]):
        said = call("in.png", *asked, "--allow-smaller", "-m", method, status=1).stderr
        assert f"15x10 is smaller than the image (30x20), but {method} only enlarges." in said


def test_a_smaller_size_is_refused_with_the_ways_out(here: Path) -> None:
    picture(here / "in.png", 30, 20)
    said = call("in.png", "--size", 10, status=1).stderr
    assert (
        said == "in.png: is 30x20, larger than 10x7; --allow-smaller reduces it, --if-smaller skip leaves it out.\n"
    )
    for fit in ("exact", "pad", "cover"):
        assert "larger than" in call("in.png", "--size", "20x10", "--fit", fit, status=1).stderr
        call("in.png", "--size", "20x10", "--fit", fit, "--allow-smaller", "-o", f"{fit}.png")
        assert pixels(here / f"{fit}.png").shape[:2] == (10, 20)


def test_large_pictures_of_a_folder(here: Path) -> None:
    picture(here / "in" / "small.png", 30, 20)
    picture(here / "in" / "large.jpg", 300, 200)
    picture(here / "in" / "tall.png", 20, 300)
    large = (here / "in" / "large.jpg").read_bytes()
    ask = ("in", "--size", "60x60")
    assert "2 failed" in call(*ask, "-o", "refused", status=1).stderr
    assert call(*ask, "--if-smaller", "skip", "-o", "skipped").stderr.startswith("1 image enlarged, 2 skipped, in")
    assert sorted(contents(here / "skipped")) == ["small.png"]
    call(*ask, "--if-smaller", "copy", "-o", "copied", "--preserve-times")
    assert contents(here / "copied")["large.jpg"] == large
    assert pixels(here / "copied" / "small.png").shape[:2] == (40, 60)
    assert (here / "copied" / "large.jpg").stat().st_mtime_ns == (here / "in" / "large.jpg").stat().st_mtime_ns
    picture(here / "exact" / "large.png", 100, 100)
    with Image.open("exact/large.png") as image:
        image.save("exact/large.webp", lossless=True)
    call("exact/large.webp", "--size", 60, "--if-smaller", "copy", "-o", "copied/")
    assert contents(here / "copied")["large.webp"] == (here / "exact" / "large.webp").read_bytes()
    call(*ask, "--if-smaller", "enlarge-only", "-o", "kept", "-f", "webp")
    assert sorted(contents(here / "kept")) == ["large.webp", "small.webp", "tall.webp"]
    assert pixels(here / "kept" / "large.webp").shape[:2] == (200, 300)
    # A copy would not be what else was asked for.
    call(*ask, "--if-smaller", "copy", "-o", "other", "-f", "png")
    assert contents(here / "other")["large.png"].startswith(b"\x89PNG")
    assert pixels(here / "other" / "large.png").shape[:2] == (200, 300)
    for fit in ("cover", "pad", "exact"):
        call(*ask, "--fit", fit, "--if-smaller", "enlarge-only", "-o", fit)
        assert pixels(here / fit / "large.jpg").shape[:2] == (200, 300)
        assert pixels(here / fit / "small.png").shape[:2] == (60, 60)


def test_memory_of_a_reduction_counts_the_rows_that_are_read() -> None:
    lanczos = METHODS["lanczos"]
    needed = lanczos.working_memory((10_000, 10_000, 3), lanczos.read_parameters({}))((100, 100))
    assert needed.values_per_thread >= 32 * 100 * 10_000 * 3
    enlarged = lanczos.working_memory((100, 100, 3), lanczos.read_parameters({}))((400, 400))
    assert enlarged.values_per_thread < 100 * 100 * 3 * 3

"""TIFF of the kinds that people have: depths, bands, pages, georeferences, cells without data; what is refused."""

import io
import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from pictures import enlarged, frames_read, source_of, written
from PIL import Image, ImageCms

from upscale_cli.codecs import tiff_writer
from upscale_cli.codecs.tiff_directories import packed as directory
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame
from upscale_cli.methods.pooling import USUAL
from upscale_cli.places.files import FileTarget
from upscale_cli.work.pool import Pooling

tifffile = pytest.importorskip("tifffile", reason="tifffile makes the files, and reads the results")

Array = np.ndarray[Any, np.dtype[Any]]
RNG = np.random.default_rng(14)
GREY = RNG.integers(0, 256, (9, 13), np.uint8)
SCALE, TIE, TRANSFORM, KEYS, NO_DATA = 33550, 33922, 34264, 34735, 42113
AREAS = (1, 1, 0, 1, 1025, 0, 1, 1)
CENTRES = (1, 1, 0, 1, 1025, 0, 1, 2)
GERMAN = "zwei: \u00fc"


def saved(samples: Array, *tags: tuple[int, str, int, Any], **how: Any) -> bytes:
    """A TIFF that tifffile writes: one page, unless more is said."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, metadata=None, extratags=[(*tag, True) for tag in tags], **how)
    return stream.getvalue()


def pages_of(file: bytes) -> list[Any]:
    """The pages of a file, as tifffile reads them."""
    return list(tifffile.TiffFile(io.BytesIO(file)).pages)


def tag_of(file: bytes, number: int, page: int = 0) -> Any:
    return pages_of(file)[page].tags[number].value


def refused(file: bytes, what: str) -> None:
    with pytest.raises(UpscaleError, match=what) as error:
        frames_read(file)
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["int8", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_keep_their_type_and_their_values(name: str, channels: int) -> None:
    dtype = np.dtype(name)
    samples = RNG.normal(size=(6, 7, 3)).astype(dtype)
    if dtype.kind != "f":
        info = np.iinfo(dtype)
        samples = RNG.integers(info.min, info.max, (6, 7, 3), dtype, endpoint=True)
    samples = samples if channels == 3 else samples[..., 0]
    file = saved(samples, photometric="rgb" if channels == 3 else "minisblack")
    made, result = enlarged(file, scale=2)
    page = pages_of(made)[0]
    assert page.dtype == dtype
    assert not result.notes
    np.testing.assert_array_equal(page.asarray()[::2, ::2], samples)
    with pytest.raises(UpscaleError, match=f"PNG cannot store {name} pixels"):
        enlarged(file, "png")


def test_weighed_numbers_are_those_of_the_array() -> None:
    samples = RNG.integers(-3000, 6500, (8, 12)).astype(np.int16)
    expected = np.load(io.BytesIO(enlarged(npy(samples), scale=2, method="lanczos")[0]))
    made, _ = enlarged(saved(samples), scale=2, method="lanczos")
    np.testing.assert_array_equal(pages_of(made)[0].asarray(), expected)


def npy(samples: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, samples)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, bool])
def test_white_is_zero_becomes_black_is_zero(dtype: Any) -> None:
    samples = RNG.integers(0, 2 if dtype is bool else np.iinfo(dtype).max, (9, 13)).astype(dtype)
    made = enlarged(saved(samples, photometric="miniswhite"), scale=1)[0]
    page = pages_of(made)[0]
    assert page.photometric.name == "MINISBLACK"
    np.testing.assert_array_equal(page.asarray(), ~samples)


@pytest.mark.parametrize("bits", [*range(2, 8), *range(9, 16)])
def test_odd_depths_are_scaled_to_8_and_16_bits(bits: int) -> None:
    pytest.importorskip("imagecodecs", reason="tifffile needs it for odd depths")
    most, full = 2**bits - 1, 255 if bits < 8 else 65535
    samples = RNG.integers(0, most, (9, 13), np.uint16, endpoint=True).astype(np.uint8 if bits < 8 else np.uint16)
    samples[0, :2] = 0, most
    made, result = enlarged(saved(samples, bitspersample=bits), scale=1)
    expected = [[round(int(value) * full / most) for value in row] for row in samples]
    assert pages_of(made)[0].asarray().tolist() == expected
    assert result.notes == [f"its {bits} bits per channel become {8 if bits < 8 else 16}"]


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(
    ("channels", "photometric", "extra"),
    [(2, "minisblack", (0,)), (4, "rgb", (0,)), (5, "rgb", (0, 0)), (5, "rgb", (2, 0)), (7, "minisblack", (0,) * 6)],
)
def test_every_band_is_kept(planar: bool, channels: int, photometric: str, extra: tuple[int, ...]) -> None:
    samples = RNG.integers(0, 256, (8, 12, channels), np.uint8)
    stored = np.moveaxis(samples, 2, 0) if planar else samples
    file = saved(stored, photometric=photometric, extrasamples=extra, planarconfig=2 if planar else 1)
    made, result = enlarged(file, scale=2)
    page = pages_of(made)[0]
    assert (page.photometric.name, page.extrasamples) == (photometric.upper(), extra)
    np.testing.assert_array_equal(page.asarray()[::2, ::2], samples)
    assert not result.notes
    np.testing.assert_array_equal(np.load(io.BytesIO(enlarged(file, "npy", 2)[0]))[::2, ::2], samples)
    colours = {"minisblack": 1, "rgb": 3}[photometric] + (2 in extra)
    made, result = enlarged(file, "png")
    lost = channels - colours
    what = "further channel" if lost == 1 else f"{lost} further channels"
    assert result.notes == [f"PNG cannot store its {what}"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(made))).reshape(8, 12, -1), samples[..., :colours])


def test_bands_that_a_palette_cannot_store_are_named_by_methods_that_copy_too() -> None:
    samples = np.zeros((8, 12, 4), np.uint8)
    samples[..., 3] = np.arange(12)
    for method in ("nearest", "bilinear"):
        _, result = enlarged(saved(samples, photometric="rgb", extrasamples=(0,)), "gif", method=method)
        assert "GIF cannot store its further channel" in result.notes


def test_pooling_keeps_bands() -> None:
    samples = RNG.integers(0, 256, (8, 12, 4), np.uint8)
    source, made = saved(samples, photometric="rgb", extrasamples=(0,)), io.BytesIO()
    with TemporaryDirectory() as folder:
        target = FileTarget(Path(folder) / "pooled.tif")
        Pooling(windows=USUAL).carry_out(source_of(source), target)
        made.write(target.path.read_bytes())
    page = pages_of(made.getvalue())[0]
    assert (page.photometric.name, page.extrasamples) == ("RGB", (0,))
    np.testing.assert_array_equal(page.asarray(), samples.reshape(4, 2, 6, 2, 4).max(axis=(1, 3)))


def test_an_array_of_many_channels_becomes_a_tiff() -> None:
    samples = RNG.integers(0, 65536, (5, 6, 9), np.uint16)
    page = pages_of(enlarged(npy(samples), "tiff", 1)[0])[0]
    np.testing.assert_array_equal(page.asarray(), samples)
    assert page.extrasamples == (0,) * 8


def test_opacity_beside_other_bands_is_not_applied_and_this_is_said() -> None:
    file = saved(RNG.integers(0, 256, (8, 12, 5), np.uint8), photometric="rgb", extrasamples=(2, 0))
    assert enlarged(file, scale=2, method="lanczos")[1].notes == [
        "its 5 channels are enlarged apart from its opacity"
    ]


@pytest.mark.parametrize("mode", ["grey", "RGB"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_premultiplied_colours_are_divided_by_opacity(mode: str, dtype: Any) -> None:
    full = 1.0 if dtype is np.float32 else float(np.iinfo(dtype).max)
    alpha = np.array([[0.0, 0.25, 0.5, 1.0]]) * full
    colours = 3 if mode == "RGB" else 1
    samples = np.concatenate([np.repeat(alpha[..., None], colours, axis=2) * 0.5, alpha[..., None]], axis=2)
    samples = samples.astype(dtype)
    file = saved(samples, photometric="rgb" if colours == 3 else "minisblack", extrasamples=(1,))
    page = pages_of(enlarged(file, scale=1)[0])[0]
    assert page.extrasamples == (2,)
    values = samples.astype(np.float64)
    with np.errstate(invalid="ignore"):
        expected = np.where(values[..., 1:] > 0, values[..., :-1] * full / values[..., -1:], 0)
    if dtype is not np.float32:
        expected = np.floor(expected + 0.5)
    np.testing.assert_allclose(page.asarray()[..., :-1], expected, rtol=1e-6)


def test_palettes_of_8_bits_are_what_libtiff_takes_them_for() -> None:
    colours = RNG.integers(0, 256, (3, 256), np.uint16)
    made = enlarged(saved(GREY, photometric="palette", colormap=colours), "png", 1)[0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(made)).convert("RGB")), colours.T[GREY])


def test_pages_keep_their_own_profile_resolution_and_texts() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        colour = RNG.integers(0, 256, (8, 12, 3), np.uint8)
        writer.write(colour, photometric="rgb", resolution=(300, 300), resolutionunit=2, iccprofile=profile,
                     description="one", metadata=None, extratags=[(285, "s", 0, "first", True)])  # fmt: skip
        writer.write(GREY, resolution=(28.25, 56.5), resolutionunit=3, description=GERMAN.encode(), metadata=None)
        writer.write(colour, photometric="rgb", metadata=None, resolution=(2, 1), resolutionunit=1)
    made, result = enlarged(stream.getvalue(), scale=2)
    assert not result.notes
    one, two, three = pages_of(made)
    assert [page.tags[34675].value if 34675 in page.tags else None for page in (one, two, three)] == [
        profile,
        None,
        None,
    ]
    assert one.tags[270].value == "one"
    assert one.tags[285].value == "first"
    assert two.tags[270].value == GERMAN
    assert 270 not in three.tags
    assert [(page.tags[282].value, int(page.tags[296].value)) for page in (one, three)] == [
        ((300, 1), 2),
        ((2, 1), 1),
    ]
    top, bottom = two.tags[282].value
    assert top / bottom == pytest.approx(28.25 * 2.54)
    assert three.tags[283].value == (1, 1)
    assert (
        "TIFF" not in enlarged(stream.getvalue(), "npy", 2)[1].notes
        if len({p.shape for p in (one, two)}) == 1
        else True
    )


def test_iptc_and_photoshop_resources_are_kept_and_maker_notes_reported() -> None:
    iptc = b"\x1c\x02\x78\x00\x05words" + bytes(2)
    paths = b"8BIM\x07\xd0\0\0" + struct.pack(">I", 4) + b"path"
    both = saved(GREY, (34377, "B", len(paths), paths), (33723, "I", 3, np.frombuffer(iptc, "<u4").tolist()))
    made, result = enlarged(both, scale=2)
    assert not result.notes
    assert bytes(tag_of(made, 33723)) == iptc
    assert bytes(tag_of(made, 34377)).startswith(paths + b"8BIM\x04\x04")
    jpeg = enlarged(both, "jpeg")[0]
    again = enlarged(jpeg, "tiff")[0]
    assert bytes(tag_of(again, 34377)) == bytes(tag_of(made, 34377))
    block, stream = Image.Exif(), io.BytesIO()
    block[0x8769] = {0x927C: b"Canon\0", 0x829A: 0.5}
    Image.fromarray(GREY).save(stream, "TIFF", exif=block.tobytes())
    assert enlarged(stream.getvalue())[1].notes == ["its MakerNote is left out"]


def test_thumbnails_masks_and_inner_images_are_left_out_and_said() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(GREY[:4, :6], subfiletype=1, metadata=None)
        writer.write(GREY, subifds=1, metadata=None)
        writer.write(GREY[:4, :6], subfiletype=1, metadata=None)
        writer.write(GREY > 99, subfiletype=4, photometric="mask", metadata=None)
    made, result = enlarged(stream.getvalue(), scale=2)
    assert [page.shape for page in pages_of(made)] == [(18, 26)]
    assert result.notes == ["its thumbnail is left out", "its mask is left out", "its sub-image is left out"]


@pytest.mark.parametrize("centres", [False, True])
def test_georeferences_follow_the_size(centres: bool) -> None:
    """The corners of the picture stay where they were on the earth."""
    keys = CENTRES if centres else AREAS
    matrix = (10.0, 2.0, 0.0, 500_000.0, 1.0, -10.0, 0.0, 5_500_000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    for tags in (
        [(SCALE, "d", 3, (10.0, 20.0, 0.0)), (TIE, "d", 6, (1.0, 2.0, 0.0, 500_000.0, 5_500_000.0, 0.0))],
        [(TRANSFORM, "d", 16, matrix)],
    ):
        file = saved(GREY, *tags, (KEYS, "H", 8, keys), (34737, "s", 0, "WGS 84|"), photometric="minisblack")
        made, result = enlarged(file, scale=(2, 3))
        assert not result.notes
        assert tag_of(made, KEYS) == keys
        assert tag_of(made, 34737) == "WGS 84|"
        for corner in ((0, 0), (13, 0), (0, 9), (13, 9), (4.5, 3.25)):
            new = corner[0] * 3, corner[1] * 2
            np.testing.assert_allclose(on_earth(file, corner, centres), on_earth(made, new, centres), rtol=1e-12)
    assert enlarged(file, "png")[1].notes == ["PNG cannot store its georeference"]


def on_earth(file: bytes, corner: tuple[float, float], centres: bool) -> tuple[float, float]:
    """Where a corner of pixels lies, by GeoTIFF 1.1, requirement classes 'raster to model' (B.6)."""
    tags = pages_of(file)[0].tags
    column, row = (side - 0.5 * centres for side in corner)
    if TRANSFORM in tags:
        a, b, _, d, e, f, _, h = tags[TRANSFORM].value[:8]
        return a * column + b * row + d, e * column + f * row + h
    (x, y, _), (i, j, _, east, north, _) = tags[SCALE].value, tags[TIE].value
    return east + (column - i) * x, north - (row - j) * y


def test_the_georeference_of_a_turned_picture_is_left_out_and_said() -> None:
    tags = [(SCALE, "d", 3, (10.0, 20.0, 0.0)), (TIE, "d", 6, (0.0, 0.0, 0.0, 500.0, 900.0, 0.0))]
    made, result = enlarged(saved(GREY, *tags, (274, "H", 1, 6), photometric="minisblack"), scale=2)
    assert result.notes == ["its georeference, which was not turned with it, is left out"]
    assert SCALE not in pages_of(made)[0].tags


@pytest.mark.parametrize("no_data", ["-9999", "nan", "0"])
@pytest.mark.parametrize("method", ["bilinear", "bicubic", "lanczos", "learned"])
def test_cells_without_data_are_neither_blended_nor_lost(method: str, no_data: str) -> None:
    height = np.full((12, 16), 150, np.float32)
    height[3:6, 4:9] = float(no_data)
    file = saved(height, (NO_DATA, "s", 0, no_data))
    made, _ = enlarged(file, scale=4, method=method)
    assert tag_of(made, NO_DATA).strip("\0 ") == no_data
    found = pages_of(made)[0].asarray()
    missing = np.isnan(found) if no_data == "nan" else found == np.float32(no_data)
    assert 0.8 * 240 < missing.sum() < 1.2 * 240
    np.testing.assert_allclose(found[~missing], 150, rtol=1e-5)


def test_integers_without_data_and_those_of_some_bands() -> None:
    samples = np.full((8, 8, 3), 1000, np.int16)
    samples[2:4, 2:4] = -32768
    file = saved(samples, (NO_DATA, "s", 0, "-32768"), photometric="rgb")
    found = pages_of(enlarged(file, scale=2, method="lanczos")[0])[0].asarray()
    assert set(np.unique(found)) == {-32768, 1000}
    samples[2, 2, 0] = 5
    file = saved(samples, (NO_DATA, "s", 0, "-32768"), photometric="rgb")
    with pytest.raises(UpscaleError, match=r"without data .* in some channels only.*--method nearest"):
        enlarged(file, scale=2, method="lanczos")
    np.testing.assert_array_equal(pages_of(enlarged(file, scale=2)[0])[0].asarray()[::2, ::2], samples)


def test_one_colour_of_0_is_data() -> None:
    samples = np.full((8, 8, 3), (0, 90, 200), np.uint8)
    samples[:, :4] = 0
    file = saved(samples, (NO_DATA, "s", 0, "0"), photometric="rgb")
    found = pages_of(enlarged(file, scale=2, method="lanczos")[0])[0].asarray()
    assert {tuple(colour) for colour in found.reshape(-1, 3).tolist()} == {(0, 0, 0), (0, 90, 200)}


def test_large_results_are_big_tiffs(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = RNG.integers(0, 65536, (700, 500, 3), np.uint16)
    frames = [Frame(samples, "RGB"), Frame(samples[::2], "RGB")]
    assert written("tiff", frames)[:4] == b"II*\0"
    monkeypatch.setattr(tiff_writer, "LARGEST", 3_000_000)
    big = written("tiff", frames, exif=exif(), dpi=(300, 300))
    assert big[:4] == b"II+\0"
    first, second = pages_of(big)
    np.testing.assert_array_equal(first.asarray(), samples)
    np.testing.assert_array_equal(second.asarray(), samples[::2])
    assert first.tags[34665].value["ExposureTime"] == 0.005
    with Image.open(io.BytesIO(big)) as image:
        image.seek(1)
        np.testing.assert_array_equal(np.asarray(image), samples[::2] >> 8)
    ours, again = frames_read(big)
    np.testing.assert_array_equal(ours.samples, samples)
    np.testing.assert_array_equal(again.samples, samples[::2])
    assert ours.metadata.dpi == (300, 300)


def test_later_pages_make_a_big_tiff_too(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = RNG.integers(0, 65536, (700, 500, 3), np.uint16)
    monkeypatch.setattr(tiff_writer, "LARGEST", 1_000_000)
    file = written("tiff", [Frame(samples[:2, :2], "RGB"), Frame(samples, "RGB")])
    assert file[:4] == b"II+\0"
    for page, expected in zip(pages_of(file), (samples[:2, :2], samples), strict=True):
        np.testing.assert_array_equal(page.asarray(), expected)


@pytest.mark.parametrize("above", [0, 1])
def test_what_just_fits_offsets_of_4_bytes_is_no_big_tiff(above: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last byte of a BigTIFF of these pages is the last that 4 bytes may have to reach."""
    frames = [Frame(GREY[..., None], "L")] * 3
    monkeypatch.setattr(tiff_writer, "LARGEST", 0)
    big = written("tiff", frames)
    monkeypatch.setattr(tiff_writer, "LARGEST", len(big) - above)
    assert written("tiff", frames)[:4] == (b"II+\0" if above else b"II*\0")


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_opacity_beside_a_palette_is_scaled(bits: int) -> None:
    """A row of four pixels by hand: no other program here writes palettes with opacity."""
    most = 2**bits - 1
    values = [index for pair in ((0, most), (most, 0), (most, most), (0, 0)) for index in pair]
    packed = int("".join(f"{value:0{bits}b}" for value in values), 2).to_bytes(bits, "big")
    colours = [0] * 3 * (most + 1)
    colours[most :: most + 1] = [65535, 32768, 257]
    tags = {256: (3, (4,)), 257: (3, (1,)), 258: (3, (bits, bits)), 259: (3, (1,)), 262: (3, (3,)), 277: (3, (2,))}
    tags |= {273: (4, (0,)), 279: (4, (len(packed),)), 320: (3, tuple(colours)), 338: (3, (2,))}
    tags[273] = 4, (8 + len(directory(tags, 8)),)
    frame = frames_read(b"II*\0\x08\0\0\0" + directory(tags, 8) + packed)[0]
    assert frame.mode == "RGBA"
    assert frame.samples[0].tolist() == [[0, 0, 0, 255], [255, 128, 1, 0], [255, 128, 1, 255], [0, 0, 0, 0]]


def exif() -> bytes:
    block = Image.Exif()
    block.get_ifd(0x8769)[0x829A] = 0.005
    return block.tobytes()


def test_kinds_that_are_not_read_are_named() -> None:
    colour = RNG.integers(0, 256, (16, 16, 3), np.uint8)
    refused(saved(colour, photometric="cielab"), "CIELAB colours")
    refused(saved(GREY, photometric="cfa"), "mosaic of a camera's sensor")
    refused(saved(colour, photometric="ycbcr"), "YCbCr colours that are not compressed")
    refused(saved(GREY.astype(np.complex64)), "64 complex bits")
    refused(
        saved(
            RNG.integers(0, 256, (4, 32, 32), np.uint8), volumetric=True, tile=(16, 16, 16), photometric="minisblack"
        ),
        "of a volume",
    )
    refused(saved(GREY.astype(np.int16), photometric="miniswhite"), "signed .* whose 0 is white")
    refused(saved(colour, (50706, "B", 4, (1, 4, 0, 0)), photometric="rgb"), "camera raw")
    inks = RNG.integers(0, 256, (16, 16, 4), np.uint8)
    refused(saved(inks, (332, "H", 1, 2), photometric="separated"), "channels that are not CMYK")
    lerc = bytearray(saved(GREY))
    at = lerc.index(struct.pack("<HHI", 259, 3, 1))
    lerc[at + 8 : at + 10] = struct.pack("<H", 34887)
    refused(bytes(lerc), "LERC compression")


def test_only_thumbnails_is_said() -> None:
    refused(saved(GREY, subfiletype=1), "holds only thumbnails")


def test_tags_that_are_not_kept_are_said_by_name() -> None:
    tags = [(318, "2I", 2, (3, 1, 3, 1)), (340, "H", 1, 3), (65000, "H", 1, 7)]
    data, result = enlarged(
        saved(GREY, *tags, (297, "H", 2, (0, 1)), (269, "s", 0, "Old Mill")), "tiff", 2, "nearest"
    )
    assert result.notes == ["its white point, smallest and largest value, tag 65000 are left out"]
    assert pages_of(data)[0].tags[269].value == "Old Mill"


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"metadata": {}}, "description by tifffile"),
        ({"metadata": None, "description": "the shape of a mill"}, ""),
    ],
)
def test_a_description_that_says_the_old_size_is_left_out(how: dict[str, Any], what: str) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, GREY, **how)
    data, result = enlarged(stream.getvalue(), "tiff", 2, "nearest")
    assert result.notes == ([f"its {what}, which says the old size, is left out"] if what else [])
    assert pages_of(data)[0].description == ("" if what else "the shape of a mill")


def test_a_microscope_has_twice_the_pixels_per_unit_at_x2() -> None:
    """ImageJ reads the resolution as pixels per the unit that its description names."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, GREY, imagej=True, resolution=(2, 3), metadata={"unit": "um"})
    data, result = enlarged(stream.getvalue(), "tiff", 2, "nearest")
    (page,) = pages_of(data)
    assert [page.tags[number].value for number in (282, 283, 296)] == [(4, 1), (6, 1), 1]
    assert page.description.startswith("ImageJ=")
    assert result.notes == []
    assert "PNG cannot store its calibration (pixels per unit)" in enlarged(stream.getvalue(), "png")[1].notes


def ome(samples: Array, **metadata: Any) -> bytes:
    """An OME-TIFF that tifffile writes."""
    stream = io.BytesIO()
    stream.name = "small.ome.tif"
    tifffile.imwrite(stream, samples, ome=True, metadata=metadata, photometric="minisblack")
    return stream.getvalue()


@pytest.mark.parametrize(("axes", "sides"), [("YX", ()), ("ZCYX", (2, 3)), ("TZCYX", (2, 2, 2))])
def test_ome_xml_describes_the_result(axes: str, sides: tuple[int, ...]) -> None:
    samples = RNG.integers(0, 65536, (*sides, 20, 24), np.uint16)
    file = ome(samples, axes=axes, PhysicalSizeX=0.5, PhysicalSizeXUnit="nm", PhysicalSizeY=0.75, PhysicalSizeZ=3.0)
    made, result = enlarged(file, scale=(4, 2))
    assert not result.notes
    with tifffile.TiffFile(io.BytesIO(made)) as read:
        assert (read.series[0].kind, read.series[0].axes, read.series[0].shape) == ("ome", axes, (*sides, 80, 48))
        np.testing.assert_array_equal(read.asarray()[..., ::4, ::2], samples)
        pixels = tifffile.xml2dict(read.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [pixels[f"PhysicalSize{axis}"] for axis in "XYZ"] == [0.25, 0.1875, 3]
    assert (pixels["SizeX"], pixels["SizeY"], pixels["PhysicalSizeXUnit"]) == (48, 80, "nm")
    if not sides:
        assert "PNG cannot store its OME-XML" in enlarged(file, "png")[1].notes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'SizeX="24"', b'SizeX="25"'),
        (b'SizeX="24"', b'SizeX="&#x"'),
        (b"<OME ", b'<!DOCTYPE a [<!ENTITY b "c">]><OME '),
        (b"</Image>", b'</Image><Image ID="b"><Pixels SizeX="24" SizeY="20"/></Image>'),
        (b"</Image>", b'</Image><ROI ID="b"/>'),
    ],
)
def test_ome_xml_that_would_not_be_true_is_left_out_and_said(before: bytes, after: bytes) -> None:
    text = pages_of(ome(np.zeros((20, 24), np.uint8), axes="YX"))[0].description.encode()
    assert before in text
    made, result = enlarged(saved(np.zeros((20, 24), np.uint8), description=text.replace(before, after)))
    assert result.notes == ["its OME-XML, which would not describe the result, is left out"]
    assert 270 not in pages_of(made)[0].tags


def test_ome_xml_of_channels_apart_or_turned_is_left_out() -> None:
    planes = np.zeros((3, 20, 24), np.uint8)
    text = pages_of(ome(planes, axes="CYX"))[0].description.encode()
    note = ["its OME-XML, which would not describe the result, is left out"]
    file = saved(planes, photometric="rgb", planarconfig=2, description=text)
    assert enlarged(file)[1].notes == note
    turned = saved(planes[0], (274, "H", 1, 6), description=text)
    assert enlarged(turned)[1].notes == note


def test_resolutions_on_paper_and_mere_shapes_of_pixels_stay() -> None:
    for unit, resolution, expected in ((2, (300, 150), (300, 150)), (1, (4, 3), (4, 3)), (3, (100, 50), (254, 127))):
        made = enlarged(saved(GREY, resolution=resolution, resolutionunit=unit), scale=2)[0]
        assert pages_of(made)[0].resolution == pytest.approx(expected)
        assert tag_of(made, 296) == min(unit, 2)


def test_rational_polynomials_follow_the_pixels() -> None:
    """A point of the ground at the centre of pixel c of the small picture is at (c + 1/2) s - 1/2 then."""
    before = (-1.0, -1.0, 4.0, 6.5, 50.0, 9.0, 300.0, 4.5, 7.0, 0.1, 0.1, 500.0, *RNG.normal(size=80))
    made, result = enlarged(saved(GREY, (50844, "d", 92, before)), scale=(4, 2))
    assert not result.notes
    after = tag_of(made, 50844)
    for line in (-1.0, 0.3):  # what the polynomials return
        row, column = line * before[7] + before[2], line * before[8] + before[3]
        assert line * after[7] + after[2] == pytest.approx((row + 0.5) * 4 - 0.5)
        assert line * after[8] + after[3] == pytest.approx((column + 0.5) * 2 - 0.5)
    assert after[:2] + after[4:7] + after[9:] == before[:2] + before[4:7] + before[9:]


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ((11, "s", 0, "mill 1.0"), "processing software"),
        ((263, "H", 1, 2), "thresholding"),
        ((291, "H", 256, tuple(range(256))), "grey response curve"),
        ((319, "2I", 6, (3, 10) * 6), "chromaticity of primaries"),
        ((321, "H", 2, (10, 240)), "halftone range"),
        ((333, "s", 0, "Cyan"), "ink description"),
        ((336, "H", 2, (0, 255)), "ink description"),
        ((532, "2I", 6, (15, 1, 235, 1) * 3), "reference black and white"),
        ((37439, "d", 1, 1.5), "luminance scale (StoNits)"),
    ],
)
def test_tags_with_a_name_are_said_by_it(tag: tuple[Any, ...], name: str) -> None:
    assert enlarged(saved(GREY, tag))[1].notes == [f"its {name} is left out"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tags_that_say_what_is_so_without_them_need_no_note(dtype: Any) -> None:
    """TIFF 6.0: Thresholding is 1; ReferenceBlackWhite is 0 and 2**BitsPerSample - 1. Pages are counted anew."""
    most = np.iinfo(dtype).max
    tags = [(263, "H", 1, 1), (290, "H", 1, 2), (532, "2I", 6, (0, 1, most, 1) * 3), (297, "H", 2, (0, 1))]
    colours = np.dstack([GREY] * 3).astype(dtype)
    assert enlarged(saved(colours, *tags, photometric="rgb"))[1].notes == []
    ranges = (15, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1)
    (note,) = enlarged(saved(colours, (532, "2I", 6, ranges), photometric="rgb"))[1].notes
    assert note == "its reference black and white is left out"


def test_a_note_names_some_of_very_many_tags() -> None:
    (note,) = enlarged(saved(GREY, *((65000 + number, "H", 1, 7) for number in range(500))))[1].notes
    assert note.startswith("its tag 65000, tag 65001, ")
    assert note.endswith(", tag 65011, 488 more tags are left out")


def test_single_floats_under_alpha_overshoot_to_the_largest_and_not_to_infinity() -> None:
    """They are weighed in double precision, which holds what they cannot."""
    most = np.finfo("f4").max
    samples = np.zeros((8, 8, 4), "f4")
    samples[:4, :, 0], samples[..., 3], samples[7, 7, 3] = most, 1, 0
    file = saved(samples, photometric="rgb", extrasamples=("unassalpha",))
    made = pages_of(enlarged(file, scale=2, method="lanczos")[0])[0].asarray()
    assert (made.dtype, made[..., 0].max()) == (np.float32, most)
    assert np.isfinite(made).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_glow_is_said_to_be_clipped(dtype: Any) -> None:
    """Colour times opacity is at most opacity, unless light is added, as fire adds it."""
    samples = np.zeros((8, 8, 4), dtype)
    samples[:4] = 50, 20, 10, 100
    assert not enlarged(saved(samples, photometric="rgb", extrasamples=("assocalpha",)))[1].notes
    samples[4:, :, 0] = 200
    note = "colour brighter than its associated alpha (glow) is clipped; mark that channel as unspecified to keep it"
    assert enlarged(saved(samples, photometric="rgb", extrasamples=("assocalpha",)))[1].notes == [note]
    made, result = enlarged(saved(samples, photometric="rgb", extrasamples=("unspecified",)))
    assert not result.notes
    np.testing.assert_array_equal(pages_of(made)[0].asarray(), samples)

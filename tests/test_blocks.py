"""What a JPEG rules out: restored at its own size, a picture is still one that its file could have been made of.

Pillow's encoder is the judge: saved again with the same table, the result must give the same file. So each of its
coefficients is rounded to the one that was stored.
"""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, TiffImagePlugin
from PIL.JpegImagePlugin import JpegImageFile
from support import Array

from upscale_cli import upscale
from upscale_cli.codecs.picture import open_picture
from upscale_cli.commands.upscale import cli
from upscale_cli.image.pixels import oriented
from upscale_cli.methods.blocks import limit
from upscale_cli.methods.restoring import Losses, found_in

SAMPLES = Path(__file__).parents[1] / "sample_images"
ORIENTATION = 0x0112
UPSIDE_DOWN, TURNED = 3, 6
TABLE = tuple(16 + place // 8 * 12 + place % 8 for place in range(64))
"""Not symmetric, and so coarse that rounding pixels moves no coefficient to another step."""


def scene(mode: str = "L", size: tuple[int, int] = (136, 104)) -> Image.Image:
    """With less contrast: of a block that leaves 0 to 255, a decoder cuts off what the file says."""
    with Image.open(SAMPLES / "scene.png") as image:
        return image.convert("RGB").point(lambda value: 64 + value // 2).convert(mode).crop((0, 0, *size))


def saved(image: Image.Image, orientation: int = 1, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stream = io.BytesIO()
    image.save(stream, "JPEG", **{"exif": exif, "qtables": [TABLE], **options})
    return stream.getvalue()


def opened(content: bytes) -> Array:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def restored(tmp_path: Path, content: bytes) -> tuple[Array, str]:
    """Return the picture as `-s 1` restores it, and what is said about the method."""
    (tmp_path / "in.jpg").write_bytes(content)
    words = tmp_path / "in.jpg", "-m", "learned", "-s", 1, "-v", "--overwrite", "-o", tmp_path / "out.tif"
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    said = next(line for line in done.stderr.splitlines() if line.startswith("  method"))
    with Image.open(tmp_path / "out.tif") as image:
        return np.asarray(image), said


def as_tiff(*pages: tuple[Image.Image, dict[str, Any]]) -> bytes:
    """Return a TIFF whose pages have options of their own."""
    stream = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(stream, new=True) as writer:
        for image, options in pages:
            image.save(writer, "TIFF", **options)
            writer.newFrame()
    return stream.getvalue()


def blocks_of(tmp_path: Path, content: bytes) -> tuple[int, ...]:
    (tmp_path / "in.jpg").write_bytes(content)
    with (tmp_path / "in.jpg").open("rb") as stream, open_picture(stream) as picture:
        return picture.encoding.blocks


@pytest.mark.parametrize("size", [(136, 104), (131, 99), (600, 40), (8, 8), (9, 30)])
def test_what_is_restored_gives_the_same_file_again(size: tuple[int, int], tmp_path: Path) -> None:
    image = scene(size=size) if size[0] < 300 else scene().resize(size)
    content = saved(image)
    have, said = restored(tmp_path, content)
    assert "its own size (within what its tables allow)" in said
    rows, columns = (side // 8 * 8 for side in have.shape)
    again = opened(saved(Image.fromarray(have[:rows, :columns])))
    np.testing.assert_array_equal(again, opened(content)[:rows, :columns])
    if rows * columns > 1000:
        # The network alone goes farther.
        level = float(found_in(Losses(False, TABLE)))
        alone = upscale(opened(content), 1, "learned", restore=level)
        further = opened(saved(Image.fromarray(alone[:rows, :columns])))
        assert (further != opened(content)[:rows, :columns]).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_blocks_turn_with_the_picture(orientation: int, tmp_path: Path) -> None:
    content = saved(scene(), orientation)
    have, said = restored(tmp_path, content)
    assert "within what its tables allow" in said
    upright = oriented(np.arange(104 * 136).reshape(104, 136, 1), orientation)[..., 0]
    stored = np.empty(104 * 136, np.uint8)
    stored[upright.ravel()] = have.ravel()
    again = opened(saved(Image.fromarray(stored.reshape(104, 136))))
    np.testing.assert_array_equal(again, opened(content))


def test_luma_of_a_picture_with_colours_gives_the_same_again(tmp_path: Path) -> None:
    content = saved(scene("RGB"), subsampling=2)
    have, said = restored(tmp_path, content)
    assert "within what its tables allow" in said
    again, before = (opened(saved(Image.fromarray(each).convert("L"))) for each in (have, opened(content)))
    np.testing.assert_array_equal(again, before)


def test_where_nobody_knows_the_blocks_nothing_is_limited(tmp_path: Path) -> None:
    image, colours = scene(), scene("RGB")
    assert blocks_of(tmp_path, saved(image)) == TABLE
    assert blocks_of(tmp_path, saved(image, TURNED)) == tuple(np.reshape(TABLE, (8, 8)).T.ravel())
    ragged = image.crop((0, 0, 131, 96))
    assert blocks_of(tmp_path, saved(ragged)) == TABLE
    assert blocks_of(tmp_path, saved(ragged, UPSIDE_DOWN)) == ()
    assert blocks_of(tmp_path, saved(scene("CMYK"))) == ()
    stored_as_rgb = saved(colours, keep_rgb=True)
    assert blocks_of(tmp_path, stored_as_rgb) == ()
    # Colours with more samples than luma: the factors of the first and second component change places.
    content = bytearray(saved(colours, subsampling=2))
    frame = content.index(b"\xff\xc0") + 11
    content[frame], content[frame + 3] = content[frame + 3], content[frame]
    assert blocks_of(tmp_path, bytes(content)) == ()


@pytest.mark.parametrize("mode", ["L", "YCbCr", "RGB"])
def test_pages_of_a_tiff_that_are_jpeg_are_restored_as_well(mode: str, tmp_path: Path) -> None:
    """Scanners store pages so. There is one strip of 16 rows after another, and libtiff decodes."""
    told = {"compression": "jpeg", "quality": 30}
    page = scene("RGB").convert(mode), {**told, "strip_size": 16 * 136 * (1 if mode == "L" else 3)}
    content = as_tiff(page, page)
    have, said = restored(tmp_path, content)
    # Where red, green and blue are stored as they are, no block is one of luma.
    within = "" if mode == "RGB" else " (within what its tables allow)"
    assert said.endswith(f"its own size{within}, because its tables are those of JPEG quality 30")
    table = blocks_of(tmp_path, content)
    assert table == (() if mode == "RGB" else blocks_of(tmp_path, saved(scene(), qtables=None, quality=30)))
    if mode == "L":
        again = opened(saved(Image.fromarray(have), qtables=[table]))
        np.testing.assert_array_equal(again, opened(content))
        assert (have != opened(content)).any()


def of_strips(*strips: bytes, rows: int) -> bytes:
    """Return a grey TIFF of whole JPEGs, each a strip of so many rows."""
    width, height = 136, rows * len(strips)
    start = 8 + 2 + 10 * 12 + 4
    places = start + 8 * len(strips) + np.cumsum([0, *map(len, strips[:-1])])
    count = len(strips)
    fields = [(256, width), (257, height), (258, 8), (259, 7), (262, 1), (273, start), (277, 1), (278, rows)]
    fields += [(279, start + 4 * count), (339, 1)]
    head = b"II*\0" + struct.pack("<IH", 8, len(fields))
    for number, value in fields:
        head += struct.pack("<HHII", number, 4, count if number in (273, 279) else 1, value)
    lists = struct.pack(f"<{2 * count}I", *places, *map(len, strips))
    return head + bytes(4) + lists + b"".join(strips)


@pytest.mark.parametrize(("rows", "within"), [(16, True), (20, False)])
def test_blocks_begin_anew_in_each_strip(rows: int, within: bool, tmp_path: Path) -> None:
    parts = [scene().crop((0, top, 136, top + rows)) for top in range(0, 3 * rows, rows)]
    _, said = restored(tmp_path, of_strips(*(saved(part, qtables=None, quality=30) for part in parts), rows=rows))
    assert ("within what its tables allow" in said) == within
    assert said.endswith("because its tables are those of JPEG quality 30")


def test_strips_with_tables_of_their_own_tell_nothing(tmp_path: Path) -> None:
    parts = [scene().crop((0, top, 136, top + 16)) for top in range(0, 48, 16)]
    strips = [saved(part, qtables=None, quality=quality) for part, quality in zip(parts, (90, 90, 20), strict=True)]
    _, said = restored(tmp_path, of_strips(*strips, rows=16))
    assert said.endswith("because its file does not tell how much")


def test_a_restored_jpeg_is_not_saved_with_the_tables_that_it_was_restored_from(tmp_path: Path) -> None:
    """They would put each coefficient back where it was."""
    with Image.open(SAMPLES / "scene.png") as image:
        original = image.convert("RGB")
    stream = io.BytesIO()
    original.save(stream, "JPEG", quality=60)
    (tmp_path / "in.jpg").write_bytes(stream.getvalue())

    def made(*words: str) -> tuple[float, bytes]:
        told = [str(tmp_path / "in.jpg"), "-s", "1", *words, "-o", str(tmp_path / "out.jpg"), "--overwrite"]
        done = CliRunner().invoke(cli, told)
        assert (done.exit_code, done.stderr) == (0, "")
        content = (tmp_path / "out.jpg").read_bytes()
        return float(np.square(opened(content) - np.asarray(original, float)).mean()), content

    before = np.square(opened(stream.getvalue()) - np.asarray(original, float)).mean()
    assert made("-m", "learned")[0] < 0.95 * before
    _, kept = made("-m", "lanczos")
    with JpegImageFile(io.BytesIO(kept)) as image, JpegImageFile(tmp_path / "in.jpg") as source:
        assert image.quantization == source.quantization, "what changes nothing keeps the tables"


def test_pages_that_differ_tell_nothing(tmp_path: Path) -> None:
    jpeg, plain = (scene(), {"compression": "jpeg", "quality": 50}), (scene(), {"compression": "tiff_lzw"})
    for pages in (jpeg, plain), (plain, jpeg), (jpeg, (scene(), {"compression": "jpeg", "quality": 90})):
        have, said = restored(tmp_path, content := as_tiff(*pages))
        assert said.endswith("because its file does not tell how much")
        np.testing.assert_array_equal(have, opened(content))
    _, said = restored(tmp_path, as_tiff(plain, plain))
    assert said.endswith("because its file is lossless")


@pytest.mark.parametrize("words", [["--linear"], ["--size", "300x300", "--fit", "pad", "-p", "size=large"]])
def test_other_values_and_borders_are_no_blocks(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(saved(scene()))
    scale = [] if "--size" in words else ["-s", "1"]
    told = [tmp_path / "in.jpg", "-m", "learned", *scale, *words, "-v", "-o", tmp_path / "out.png"]
    done = CliRunner().invoke(cli, [str(word) for word in told])
    assert done.exit_code == 0, done.output
    assert "its own size" in done.stderr
    assert "within what its tables allow" not in done.stderr


def test_what_is_within_the_limits_stays_to_the_last_bit() -> None:
    random = np.random.default_rng(0)
    stored = random.random((24, 40), np.float32)
    made = stored + random.uniform(-0.01, 0.01, stored.shape).astype(np.float32)
    before = made.copy()
    limit(made, stored, np.full((8, 8), 0.08, np.float32))
    np.testing.assert_array_equal(made, before)
    limit(made, stored, np.full((8, 8), 1e-3, np.float32))
    assert 0 < abs(made - stored).max() < 8 * 1e-3


@pytest.mark.long
@pytest.mark.parametrize("threads", [1, 3])
def test_limits_depend_on_no_thread_and_no_band(threads: int) -> None:
    pixels = np.asarray(scene().resize((300, 700)))
    content = saved(Image.fromarray(pixels))
    level = found_in(Losses(False, TABLE, blocks=TABLE))
    whole = upscale(opened(content), 1, "learned", restore=level, threads=threads)
    # What is far above is the same without what is far below.
    part = upscale(opened(content)[:360], 1, "learned", restore=level, threads=1)
    np.testing.assert_allclose(whole[:300].astype(int), part[:300].astype(int), atol=1)
    np.testing.assert_array_equal(whole, upscale(opened(content), 1, "learned", restore=level, threads=2))

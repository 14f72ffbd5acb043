"""Restoring what JPEG and others have damaged: the level that a file tells, what is made of it, and measuring it."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from support import Array
from test_ensemble import back, turned

from upscale_cli import METHODS, upscale
from upscale_cli.codecs.jpeg_encoding import encoding_of
from upscale_cli.codecs.vp8 import STEPS, step
from upscale_cli.commands.evaluate import cli as evaluate_cli
from upscale_cli.commands.fit import cli as fit_cli
from upscale_cli.commands.upscale import cli
from upscale_cli.errors import UsageError
from upscale_cli.learning.measure import luma, psnr
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods.learned_method import networks
from upscale_cli.methods.restoring import Found, Losses, found_in
from upscale_cli.work.damage import DAMAGES, read_damage

SAMPLES = Path(__file__).parents[1] / "sample_images"
KERNELS = Path(__file__).parents[1] / "upscale_cli" / "methods" / "kernels"


def call(command: Any, *arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def scene() -> Array:
    with Image.open(SAMPLES / "scene.png") as image:
        return np.asarray(image.convert("RGB"))


def small() -> Array:
    """The scene at half its size."""
    whole = scene()
    return reduce(whole[: len(whole) // 2 * 2, : whole.shape[1] // 2 * 2], 2).clip(0, 255).round().astype(np.uint8)


def saved(pixels: Array, quality: int, subsampling: int = 2) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=subsampling)
    return stream.getvalue()


def found(content: bytes) -> Found:
    """The level that a JPEG tells, with its table as that of its blocks."""
    with Image.open(io.BytesIO(content)) as image:
        table = tuple(image.quantization[0])  # type: ignore[attr-defined]
    return found_in(Losses(False, table, blocks=table))


def decoded(content: bytes) -> Array:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def method_said(text: str) -> str:
    return next(line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith("  method"))


@pytest.mark.parametrize(
    ("quality", "said"), [(2, "3 or less"), *((q, str(q)) for q in (10, 30, 40, 60, 75, 90, 95)), (99, "97 or more")]
)
def test_a_jpeg_says_its_quality_and_a_worse_one_is_restored_more(quality: int, said: str) -> None:
    with Image.open(io.BytesIO(saved(small(), quality))) as image:
        found = found_in(Losses(False, tuple(image.quantization[0])))  # type: ignore[attr-defined]
    with Image.open(io.BytesIO(saved(small(), max(quality - 5, 1)))) as image:
        worse = found_in(Losses(False, tuple(image.quantization[0])))  # type: ignore[attr-defined]
    assert found.why == f"its tables are those of JPEG quality {said}"
    assert 0 < found < worse or float(found) == float(worse) == 1 or (quality == 99 and not found)


def test_a_jpeg_that_cannot_be_written_again_tells_its_quality_as_well(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(small()).convert("CMYK").save(stream, "JPEG", quality=60)
    content = stream.getvalue()
    # Adobe's mark says in its last byte how colours are stored: 2 is YCCK.
    place = content.index(b"Adobe") + 11
    (tmp_path / "ycck.jpg").write_bytes(content[:place] + b"\x02" + content[place + 1 :])
    said = method_said(call(cli, tmp_path / "ycck.jpg", "-m", "learned", "-v", "-o", tmp_path / "out.png").stderr)
    assert "its tables are those of JPEG quality 60" in said
    # A table may follow the first scan.
    with Image.open(io.BytesIO(saved(small(), 60))) as image:
        assert isinstance(image, JpegImageFile)
        table = tuple(image.quantization[0])
        del image.quantization[1]
        encoding = encoding_of(image, 1, image.size)
    assert (encoding.luma, encoding.tables) == (table, ())


@pytest.mark.parametrize("quality", [100, 98, 96, 95])
def test_a_fine_jpeg_is_not_restored_away(quality: int) -> None:
    """Rounding pixels is an error as large as a step of 1, and undamaged pictures have it as well."""
    content = saved(small(), quality, subsampling=0)
    with Image.open(io.BytesIO(content)) as image:
        found = found_in(Losses(False, tuple(image.quantization[0])))  # type: ignore[attr-defined]
    whole = scene()[: len(small()) * 2, : small().shape[1] * 2]

    def fidelity(level: float) -> float:
        return psnr(luma(upscale(decoded(content), 2, "learned", restore=level)), luma(whole), 2)

    assert fidelity(float(found)) > max(map(fidelity, (0.0, 0.05, 0.1, 0.15))) - 0.03


def test_auto_follows_the_tables_and_verbose_says_so(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(content := saved(small(), 60))
    done = call(cli, tmp_path / "in.jpg", "-m", "learned", "-v", "-o", tmp_path / "out.png")
    assert method_said(done.stderr) == (
        "learned, restore=0.72: the small restoring network: its own size (within what its tables allow), then x2, "
        "because its tables are those of JPEG quality 60"
    )
    with Image.open(tmp_path / "out.png") as image:
        have = np.asarray(image)
    np.testing.assert_array_equal(have, upscale(decoded(content), 2, "learned", restore=found(content)))
    assert (have != upscale(decoded(content), 2, "learned")).any()


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("in.png", {}, "because its file is lossless"),
        ("in.avif", {"quality": 30}, "because its file does not tell how much"),
        ("in.webp", {"lossless": True}, "because its file is lossless"),
        ("in.jp2", {"quality_layers": [20]}, "because its file does not tell how much"),
        ("in.j2k", {"irreversible": True}, "because its file does not tell how much"),
    ],
)
def test_what_does_not_tell_is_not_restored(name: str, options: dict[str, Any], why: str, tmp_path: Path) -> None:
    Image.fromarray(small()).save(tmp_path / name, **options)
    done = call(cli, tmp_path / name, "-m", "learned", "-v", "-o", tmp_path / "out.png")
    assert method_said(done.stderr) == f"learned, restore=0: the small network: x2; nothing is restored, {why}"
    with Image.open(tmp_path / name) as image:
        expected = upscale(np.asarray(image), 2, "learned", restore="none")
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize(
    ("frame", "segments", "expected"),
    [
        # Made by cwebp 1.2.4; the segments' indices and probabilities are those that webpinfo 1.2.4 tells, and the
        # steps of the indices those of RFC 6386, 14.1.
        ("1019009d012a600040003ecd50a04ba7a4a321b01bfca8", [(51, 55), (40, 44), (32, 36), (23, 27)], (128, 191, 149)),
        ("9015009d012a60004000040068", [(52, 56)] * 4, (255, 255, 255)),
        ("9034009d012a600040003e410490482291514b50", [(16, 20), (2, 6), (16, 20), (16, 20)], (255, 106, 255)),
    ],
)
def test_the_step_of_a_webp_is_the_mean_of_its_segments(
    frame: str, segments: list[tuple[int, int]], expected: tuple[int, int, int]
) -> None:
    first, second, third = (each / 256 for each in expected)
    shares = first * second, first * (1 - second), (1 - first) * third, (1 - first) * (1 - third)
    mean = sum(share * value for share, (_, value) in zip(shares, segments, strict=True))
    assert step(bytes.fromhex(frame)) == pytest.approx(mean, rel=1e-12)
    assert [STEPS[index] for index, _ in segments] == [value for _, value in segments]
    assert step(b"\x11" + bytes.fromhex(frame)[1:]) == 0  # no key frame
    for length in range(len(frame) // 2):  # whatever is missing, it ends
        assert 0 <= step(bytes.fromhex(frame)[:length]) <= 284


def test_steps_of_webp_are_those_of_the_standard() -> None:
    known = {0: 4, 54: 58, 55: 60, 83: 116, 84: 119, 102: 173, 103: 177, 116: 229, 117: 234, 121: 254, 127: 284}
    assert {index: STEPS[index] for index in known} == known
    assert len(STEPS) == 128


@pytest.mark.parametrize("frames", [1, 2])
def test_auto_follows_a_webp_too_and_a_worse_one_is_restored_more(frames: int, tmp_path: Path) -> None:
    levels = []
    for quality in (95, 75, 40):
        path, out = tmp_path / f"{quality}.webp", tmp_path / f"{quality}.png"
        pictures = [Image.fromarray(np.roll(small(), n, axis=0)) for n in range(frames)]
        pictures[0].save(path, quality=quality, save_all=frames > 1, append_images=pictures[1:])
        said = method_said(call(cli, path, "-m", "learned", "-v", "-o", out, "-f", "png").stderr)
        found = re.fullmatch(
            r"learned, restore=(0\.\d+): the small restoring network: its own size, then x2, "
            r"because as a WebP it is quantised like JPEG quality \d\d",
            said,
        )
        assert found, said
        levels.append(float(found[1]))
        with Image.open(path) as source, Image.open(out) as made:
            expected = upscale(np.asarray(source.convert("RGB")), 2, "learned", restore=Found(levels[-1], said))
            np.testing.assert_array_equal(np.asarray(made.convert("RGB")), expected)
    assert 0.05 < levels[0] < 0.2 < levels[1] < 0.5 < levels[2] < 0.7


@pytest.mark.parametrize("word", ["none", "0.5", "high"])
def test_who_asks_is_obeyed(word: str, tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(content := saved(small(), 60))
    done = call(cli, tmp_path / "in.jpg", "-m", "learned", "-p", f"restore={word}", "-v", "-o", tmp_path / "out.png")
    assert "because" not in method_said(done.stderr)
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), upscale(decoded(content), 2, "learned", restore=word))


def test_a_large_network_restores(tmp_path: Path) -> None:
    whole = scene()[:, :180]
    (tmp_path / "in.jpg").write_bytes(content := saved(reduce(whole, 2).clip(0, 255).round().astype(np.uint8), 90))
    words = tmp_path / "in.jpg", "-m", "learned", "-p", "size=large", "-o", tmp_path / "out.png", "--overwrite"
    said = method_said(call(cli, *words, "-v").stderr)
    alone = "the small restoring network: its own size (within what its tables allow), mean of four turns"
    both = "then x2, the mean of the large one and the small one, because its tables are those of JPEG quality 90"
    assert f"{alone}, {both}" in said
    with Image.open(tmp_path / "out.png") as image:
        have = np.asarray(image)
    pixels = decoded(content)
    np.testing.assert_array_equal(have, upscale(pixels, 2, "learned", size="large", restore=found(content)))
    for other in upscale(pixels, 2, "learned", size="large"), upscale(pixels, 2, "learned"):
        assert psnr(luma(have), luma(whole), 2) > psnr(luma(other), luma(whole), 2) + 0.05
    call(cli, *words, "-p", "restore=none")
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), upscale(pixels, 2, "learned", size="large"))


def test_a_large_network_is_averaged_with_the_small_one_that_knows_what_is_left() -> None:
    plane = np.random.default_rng(3).random((38, 46)).astype("f4")

    def by(name: str, plane: Any, scale: int, level: float) -> Any:
        with np.load(KERNELS / f"{name}.npz") as archive:
            return upscale(plane, scale, "learned", network=dict(archive), restore=level)

    def mean(name: str, plane: Any, scale: int, level: float) -> Any:
        return np.mean([back(by(name, turned(plane, turn), scale, level), turn) for turn in range(4)], axis=0)

    first, alone = mean("restore-cells-1x", plane, 1, 0.5), by("restore-cells-1x", plane, 1, 0.5)
    assert np.abs(first - alone).max() > 0.01
    small, large = by("restore-2x", first, 2, 0.15), upscale(first, 2, "learned", size="large")
    assert np.abs(small - large).max() > 0.01
    damaged = mean("restore-cells-1x", plane, 1, 0.7)
    for size, level, scale, expected in (
        ("small", 0.5, 2, by("restore-2x", alone, 2, 0.15)),
        # A file's own level means quantisation alone, of which more is left than of noise.
        ("small", Found(0.5, "its tables say so"), 2, by("restore-2x", alone, 2, 0.5 * (0.27 + 0.36 * 0.5))),
        ("large", 0.5, 1, first),
        ("large", 0.5, 2, (small + large) / 2),
        ("large", 0.5, 3, upscale(first, 3, "learned", size="large")),
        # Of coarse tables, small networks make as much.
        ("large", 0.7, 1, damaged),
        ("large", 0.7, 2, mean("restore-2x", damaged, 2, 0.21)),
        ("large", 0.7, 4, mean("restore-4x", damaged, 4, 0.21)),
    ):
        have = upscale(plane, scale, "learned", size=size, restore=level)
        np.testing.assert_allclose(have, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("level", "turns"), [(0.59, [4, 1]), (0.6, [4, 4])])
def test_of_what_turns_are_averaged_depends_on_the_level(level: float, turns: list[int]) -> None:
    chain = networks(METHODS["learned"].read_parameters({"size": "large", "restore": level})).chain(2)
    assert [step.turns for step in chain] == turns
    assert bool(chain[1].beside) == (level < 0.6)


def test_bands_that_agree_with_a_file_are_whole_blocks() -> None:
    told = {"restore": Found(0.5, "its tables say so", blocks=(16,) * 64)}
    step = networks(METHODS["learned"].read_parameters(told)).chain(1)[0]
    assert {step.tile(height, 64)[0] % 8 for height in range(1, 1500)} == {0}


@pytest.mark.parametrize("size", ["small", "large"])
def test_colours_stay_within_those_around_in_the_source(size: str) -> None:
    # Noise that is nearly grey, which networks tint.
    down, across = np.mgrid[0:38, 0:46] / 100
    tint = np.stack((down, 0 * down, across), axis=2)
    picture = 0.5 * np.random.default_rng(8).random((38, 46, 1)) + tint * tint
    made = upscale(picture, 1, "learned", size=size, restore=0.8)
    # What is beyond the border mirrors what is within, so it adds no other colours.
    around = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="symmetric")
    near = np.stack([around[y : y + 38, x : x + 46] for y in range(3) for x in range(3)])
    clipped = 0
    for colour in (0, 2):
        have, differences = made[..., colour] - made[..., 1], near[..., colour] - near[..., 1]
        least, most = differences.min(axis=0), differences.max(axis=0)
        assert (have >= least - 1e-5).all()
        assert (have <= most + 1e-5).all()
        clipped += int(((have < least + 1e-5) | (have > most - 1e-5)).sum())
    assert clipped > 10


def test_drawings_are_restored_once() -> None:
    plane = np.random.default_rng(9).random((20, 24)).astype("f4")
    once = upscale(plane, 2, "learned", content="drawing", restore=0.7)
    twice = upscale(once, 2, "learned", content="drawing")
    have = upscale(plane, 4, "learned", content="drawing", restore=0.7)
    np.testing.assert_allclose(have, twice, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "scale", "chain"),
    [("small", 2, [1, 2]), ("small", 3, [1, 4]), ("small", 5, [1, 2, 3]), ("small", 1, [1]), ("large", 3, [1, 3])],
)
def test_what_restores_comes_first(size: str, scale: int, chain: list[int]) -> None:
    learned = METHODS["learned"]
    found = networks(learned.read_parameters({"size": size, "restore": 0.5}))
    assert [step.network.scale for step in found.chain(scale)] == chain


@pytest.mark.parametrize(
    ("size", "scale", "level"),
    [("large", 4, "low"), ("large", 6, "low"), ("large", 6, "high"), ("small", 6, "medium"), ("small", 8, "medium")],
)
def test_a_small_network_for_undamaged_pictures_follows(size: str, scale: int, level: str) -> None:
    plane = np.random.default_rng(0).random((12, 10)).astype("f4")
    once = upscale(plane, 2, "learned", size=size, restore=level)
    twice = upscale(once, scale / 2, "learned")
    have = upscale(plane, scale, "learned", size=size, restore=level)
    np.testing.assert_allclose(have, twice, rtol=0, atol=1e-5)


def test_a_network_without_levels_restores_nothing(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(content := saved(small(), 60))
    own = KERNELS / "small-2x.npz"
    for scale in (1, 2):
        done = call(
            cli,
            tmp_path / "in.jpg",
            "-m",
            "learned",
            "--network",
            own,
            "-s",
            scale,
            "-v",
            "-o",
            tmp_path / f"{scale}.png",
        )
        assert scale == 1 or "nothing is restored, because the network given has no levels" in method_said(
            done.stderr
        )
    with Image.open(tmp_path / "1.png") as image:
        np.testing.assert_array_equal(np.asarray(image), decoded(content))


@pytest.mark.parametrize("value", ["lots", "1.5", "-0.1", "nan", ""])
def test_no_other_level_is_taken(value: str) -> None:
    said = call(cli, SAMPLES / "photo.jpg", "-m", "learned", "-p", f"restore={value}", status=2).stderr
    assert f"restore={value} is not auto, none, low, medium, high, or 0 to 1" in said


@pytest.mark.parametrize("told", [{"restore": True}, {"ensemble": True}])
def test_true_is_no_number(told: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="=True is not "):
        upscale(np.zeros((4, 4)), 2, "learned", **told)


@pytest.mark.parametrize(("scale", "gains"), [(2, {75: 0.2, 40: 0.4}), (4, {75: 0.1, 40: 0.2})])
def test_a_damaged_picture_comes_nearer_to_what_it_was(scale: int, gains: dict[int, float]) -> None:
    whole = scene()
    whole = whole[: len(whole) // scale * scale, : whole.shape[1] // scale * scale]
    low = reduce(whole, scale).clip(0, 255).round().astype(np.uint8)
    for quality, gain in gains.items():
        pixels = decoded(saved(low, quality))
        with Image.open(io.BytesIO(saved(low, quality))) as image:
            level = float(found_in(Losses(False, tuple(image.quantization[0]))))  # type: ignore[attr-defined]
        without, with_it = (
            psnr(luma(upscale(pixels, scale, "learned", restore=restore)), luma(whole), scale)
            for restore in ("none", level)
        )
        assert with_it > without + gain, quality


def test_grey_stays_grey() -> None:
    grey = np.repeat(luma(scene()).round().astype(np.uint8)[..., None], 3, axis=2)
    for level in (0.3, 1):
        made = upscale(grey, 1, "learned", restore=level)
        assert (np.ptp(made, axis=2) == 0).all()
        assert np.abs(made[..., 0].astype(float) - grey[..., 0]).max() > 3


@pytest.mark.parametrize("damage", ["jpeg:60", "noise:6"])
def test_colours_are_restored_as_well_as_luma(damage: str) -> None:
    pixels, losses = read_damage([damage])(scene())
    made = upscale(pixels, 1, "learned", restore=found_in(losses) or "medium")

    def differences(colours: Any) -> Any:
        """Red and blue without luma, which a network of luma leaves as they are."""
        values = colours.astype(float)
        return (values - luma(values)[..., None])[..., ::2]

    before, after = (psnr(differences(each), differences(scene())) for each in (pixels, made))
    assert after > before + (0.2 if damage == "jpeg:60" else 2), (before, after)


def test_scale_1_restores_alone(tmp_path: Path) -> None:
    whole = scene()
    (tmp_path / "in.jpg").write_bytes(content := saved(whole, 60))
    done = call(cli, tmp_path / "in.jpg", "-m", "learned", "-s", 1, "-v", "-o", tmp_path / "out.png")
    words = "its own size (within what its tables allow), because its tables are those of JPEG quality 60"
    assert method_said(done.stderr).endswith(words)
    assert "1 times, as requested\n" in done.stderr
    with Image.open(tmp_path / "out.png") as image:
        have = np.asarray(image)
    np.testing.assert_array_equal(have, upscale(decoded(content), 1, "learned", restore=found(content)))
    assert psnr(luma(have), luma(whole), 0) > psnr(luma(decoded(content)), luma(whole), 0) + 0.7
    large = "-m", "learned", "-p", "size=large", "-s", 1, "-v", "-o", tmp_path / "large.png"
    assert "allow), mean of four turns, because" in method_said(call(cli, tmp_path / "in.jpg", *large).stderr)
    with Image.open(tmp_path / "large.png") as image:
        assert psnr(luma(np.asarray(image)), luma(whole), 0) > psnr(luma(have), luma(whole), 0) + 0.03
    for nothing in ({}, {"restore": "none"}, {"restore": 0}):
        np.testing.assert_array_equal(upscale(whole, 1, "learned", **nothing), whole)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_what_is_planned_is_what_the_tables_ask_for(scale: int, tmp_path: Path) -> None:
    """What restores needs memory; limits need no more than colours do."""
    (tmp_path / "in.jpg").write_bytes(saved(scene(), 60))

    def estimated(level: str) -> str:
        words = (
            "-m",
            "learned",
            "-p",
            f"restore={level}",
            "-s",
            scale,
            "-v",
            "-o",
            tmp_path / "out.png",
            "--overwrite",
        )
        said = call(cli, tmp_path / "in.jpg", *words).stderr
        return next(line for line in said.splitlines() if line.startswith("  memory"))

    assert estimated("auto") == estimated("0.72") != estimated("none")


@pytest.mark.parametrize("level", [0.05, 0.33, 1])
def test_restoring_keeps_flat_areas_and_the_mean_colour(level: float) -> None:
    for colour in ([0, 0, 0], [255, 255, 255], [10, 200, 77]):
        for kind in (np.uint8, np.uint16):
            flat = np.tile(np.array(colour, kind), (23, 31, 1))
            assert (upscale(flat, 2.5, "learned", restore=level) == flat[:1, :1]).all()
    shift = upscale(small(), 2, "learned", restore=level).mean(axis=(0, 1)) - small().mean(axis=(0, 1))
    assert np.abs(shift).max() < 0.5


# Damage to measure with.


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_jpeg_damage_is_that_of_pillow(quality: int) -> None:
    pixels, losses = read_damage([f"jpeg:{quality}"])(small())
    np.testing.assert_array_equal(pixels, decoded(saved(small(), quality)))
    with Image.open(io.BytesIO(saved(small(), quality))) as image:
        assert losses.table == tuple(image.quantization[0])  # type: ignore[attr-defined]


def test_twice_is_saved_twice_and_the_second_grid_lies_elsewhere() -> None:
    moved = np.pad(small(), ((4, 0), (4, 0), (0, 0)), mode="edge")
    expected = decoded(saved(decoded(saved(moved, 50))[4:, 4:], 50))
    np.testing.assert_array_equal(read_damage(["twice:50"])(small())[0], expected)


def test_noise_blur_and_sharpening_are_as_strong_as_asked() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    noise = read_damage(["noise:7"])(grey)[0].astype(float)
    assert noise.std() == pytest.approx(7, abs=0.2)
    assert noise.mean() == pytest.approx(128, abs=0.3)
    dot = np.zeros((21, 21, 3), np.uint8)
    dot[10, 10] = 255
    y, x = np.mgrid[-10:11, -10:11]
    expected = 255 * np.exp(-(x**2 + y**2) / (2 * 0.8**2)) / (2 * np.pi * 0.8**2)
    assert np.abs(read_damage(["blur:0.8"])(dot)[0] - expected[..., None]).max() < 2
    soft = read_damage(["blur:1"])(small())[0].astype(float)
    sharp = (small() + 0.8 * (small() - soft)).clip(0, 255)
    assert np.abs(read_damage(["sharpen:80"])(small())[0] - sharp).max() < 1.5
    for nothing in ("blur:0", "sharpen:0", "noise:0", "noise:-0"):
        np.testing.assert_array_equal(read_damage([nothing])(small())[0], small())


def test_damages_follow_one_another_and_only_a_last_jpeg_has_tables() -> None:
    blurred = read_damage(["blur:1"])(small())[0]
    pixels, losses = read_damage(["blur:1", "jpeg:60"])(small())
    np.testing.assert_array_equal(pixels, decoded(saved(blurred, 60)))
    assert losses.table
    assert not losses.lossless
    assert read_damage(["jpeg:60", "webp:60"])(small())[1].step > 30
    assert read_damage(["jpeg:60", "sharpen:50"])(small())[1] == Losses()
    assert DAMAGES.keys() == {"jpeg", "webp", "twice", "noise", "blur", "sharpen"}


def test_evaluate_damages_and_restores_by_itself() -> None:
    words = ["-m", "learned:restore=none", "-m", "learned", "-m", "learned:restore=0.72", "--damage", "jpeg:60"]
    found = json.loads(call(evaluate_cli, SAMPLES / "scene.png", *words, "--json").stdout)
    none, own, same = (each["psnr"] for each in found["methods"])
    assert found["damage"] == ["jpeg:60"]
    # The level alone does not say what the tables allow.
    assert own > same > none + 0.2
    whole = scene()[: len(scene()) // 2 * 2, : scene().shape[1] // 2 * 2]
    large = upscale(decoded(saved(small(), 60)), 2, "learned", restore="none")
    assert none == pytest.approx(psnr(np.floor(luma(large) + 0.5), np.floor(luma(whole) + 0.5), 2), abs=1e-6)
    squares = (large[2:-2, 2:-2].astype(float) - whole[2:-2, 2:-2]) ** 2
    for shown in (found["methods"][0], found["methods"][0]["each"][0]):
        assert shown["psnr_rgb"] == pytest.approx(10 * np.log10(255**2 / squares.mean()), abs=1e-6)
    found = json.loads(call(evaluate_cli, SAMPLES / "scene.png", *words[:4], "--damage", "webp:60", "--json").stdout)
    none, own = (each["psnr"] for each in found["methods"])
    assert own > none + 0.2
    table = call(evaluate_cli, SAMPLES / "scene.png", "--damage", "noise:5", "--damage", "jpeg:80").stdout
    assert table.startswith("1 photograph, reduced by a factor of 2 (bicubic, noise:5, jpeg:80).")
    assert table.splitlines()[2].split() == ["method", "PSNR,", "dB", "of", "RGB", "SSIM", "seconds"]


def test_evaluate_measures_restoring_at_scale_1() -> None:
    words = ["-s", "1", "-m", "learned:restore=none", "-m", "learned", "--damage", "jpeg:60", "--json"]
    none, own = (
        each["psnr"] for each in json.loads(call(evaluate_cli, SAMPLES / "scene.png", *words).stdout)["methods"]
    )
    pixels = decoded(saved(scene(), 60))
    assert none == pytest.approx(psnr(np.floor(luma(pixels) + 0.5), np.floor(luma(scene()) + 0.5), 1), abs=1e-6)
    assert own > none + 0.3
    said = call(evaluate_cli, SAMPLES / "scene.png", "-s", "1", status=2).stderr
    assert said.startswith("upscale-evaluate: --scale must be one factor above 1")
    assert "or 1 with --damage" in said


def test_a_kernel_fitted_to_damage_is_better_on_it(tmp_path: Path) -> None:
    for name, words in (("clean", []), ("damaged", ["--damage", "jpeg:40"])):
        call(fit_cli, SAMPLES / "scene.png", "-s", 2, *words, "-o", tmp_path / f"{name}.npy", "-q")
    kernels = [f"-mtransposed-conv:kernel={tmp_path / name}.npy" for name in ("clean", "damaged")]
    clean, damaged = (
        json.loads(call(evaluate_cli, SAMPLES / "photo.jpg", *damage, *kernels, "--json").stdout)["methods"]
        for damage in ([], ["--damage", "jpeg:40"])
    )
    assert clean[0]["psnr"] > clean[1]["psnr"] + 0.05
    assert damaged[1]["psnr"] > damaged[0]["psnr"] + 0.05
    said = call(fit_cli, SAMPLES / "scene.png", "-o", tmp_path / "x.npy", "--damage", "jpeg:0", status=2).stderr
    assert "with a quality of 1 to 100" in said


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("jpg:60", 'unknown damage "jpg". Did you mean "jpeg"? Damages: jpeg, webp, twice, noise, blur, sharpen.'),
        ("jpeg", 'damage "jpeg" is not jpeg:INTEGER with a quality of 1 to 100.'),
        ("jpeg:0", "with a quality of 1 to 100"),
        ("webp:59.5", "is not webp:INTEGER with a quality of 0 to 100"),
        ("noise:nan", "with a standard deviation, for values of 0 to 255, of 0 to 128"),
        ("sharpen:x", "with a percentage of 0 to 500"),
    ],
)
def test_damages_that_there_are_not_are_refused(damage: str, words: str) -> None:
    assert words in call(evaluate_cli, SAMPLES / "scene.png", "--damage", damage, status=2).stderr

"""Drawings and text: what the networks for them reach, colours that follow luma, and the generator for training."""

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from drawn import SUBJECTS
from PIL import Image
from support import Array

from upscale_cli import upscale
from upscale_cli.commands.upscale import cli
from upscale_cli.errors import UpscaleError
from upscale_cli.learning.measure import luma_8bit, psnr, ssim
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods import network, shipped
from upscale_cli.methods.restoring import Losses, found_in
from upscale_cli.testing import assert_near

ROOT = Path(__file__).parents[1]
LUMA = np.array([0.299, 0.587, 0.114])
FIRST = {("drawing", 2): 30.60, ("drawing", 4): 27.89, ("text", 2): 21.51, ("text", 4): 19.47}
"""Decibels that the first networks reached, with colours that did not follow luma ("before" in docs/learned.md)."""


@cache
def subject(name: str, scale: int) -> Array:
    """At ×4 the picture is drawn twice as large as at ×2, so that the sources are as legible."""
    return SUBJECTS[name](scale // 2)


@cache
def source(name: str, scale: int, quality: int | None = None) -> tuple[Array, float]:
    """The picture, reduced, saved as JPEG 4:2:0 if there is a quality; and the level that its tables tell."""
    small = np.clip(np.round(reduce(subject(name, scale), scale)), 0, 255).astype(np.uint8)
    if quality is None:
        return small, 0.0
    stream = io.BytesIO()
    Image.fromarray(small).save(stream, "JPEG", quality=quality, subsampling=2)
    with Image.open(stream) as image:
        return np.asarray(image), float(found_in(Losses(False, tuple(image.quantization[0]))))  # type: ignore[attr-defined]


def as_before(small: Array, scale: int, level: float) -> Array:
    """Luma by the network for photographs, and colour differences by the kernel alone."""
    y = small @ LUMA
    large = 255 * upscale(y / 255, scale, "learned", restore=level)
    made = large[..., None] + upscale(small - y[..., None], scale, "transposed-conv")
    return np.asarray(np.clip(np.round(made), 0, 255).astype(np.uint8))


def colours(made: Array, name: str, scale: int) -> float:
    return psnr(made, subject(name, scale), scale)


def structure(made: Array, name: str, scale: int) -> float:
    return ssim(luma_8bit(made), luma_8bit(subject(name, scale)), scale)


@pytest.mark.parametrize(
    ("name", "scale", "gain"),
    [
        ("text", 2, 4.0),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in (("drawing", 2, 4.5), ("drawing", 4, 2.2), ("text", 4, 2.0))
        ),
    ],
)
def test_drawings_come_nearer_than_they_did(name: str, scale: int, gain: float) -> None:
    small, _ = source(name, scale)
    made = upscale(small, scale, "learned", content="drawing")
    assert colours(made, name, scale) > FIRST[name, scale] + gain
    assert structure(made, name, scale) > structure(upscale(small, scale, "lanczos"), name, scale)


@pytest.mark.long
def test_the_edges_of_luma_alone_help_a_drawing() -> None:
    small, _ = source("drawing", 2)
    made = upscale(small, 2, "learned")
    assert colours(made, "drawing", 2) > colours(as_before(small, 2, 0), "drawing", 2) + 2
    assert structure(made, "drawing", 2) > structure(as_before(small, 2, 0), "drawing", 2) - 0.001


@pytest.mark.parametrize(
    ("name", "size", "least"),
    [
        ("text", "small", 0.948),
        pytest.param("drawing", "small", 0.983, marks=pytest.mark.long),
        pytest.param("drawing", "large", 0.985, marks=pytest.mark.long),
        pytest.param("text", "large", 0.96, marks=pytest.mark.long),
    ],
)
def test_a_jpeg_of_a_drawing_is_clean_again(name: str, size: str, least: float) -> None:
    small, level = source(name, 2, 75)
    made = structure(upscale(small, 2, "learned", content="drawing", restore=level, size=size), name, 2)
    assert made >= least
    assert made > structure(upscale(small, 2, "learned", restore=level), name, 2) + 0.005
    assert made > structure(upscale(small, 2, "lanczos"), name, 2) + 0.04


def test_saturated_text_on_saturated_ground_gets_no_halo() -> None:
    small, _ = source("text", 2)
    lines = subject("text", 2)
    rows = np.flatnonzero((lines[:, 2] == (190, 0, 60)).all(axis=1))
    inside = slice(rows[0] + 4, rows[-1] - 3)

    def beyond(made: Array) -> float:
        part = made[inside].astype(float)
        low, high = lines[inside].min(axis=(0, 1)), lines[inside].max(axis=(0, 1))
        return float(np.mean(np.maximum(part - high, 0) + np.maximum(low - part, 0)))

    assert beyond(upscale(small, 2, "learned", content="drawing")) < beyond(as_before(small, 2, 0))


@pytest.mark.parametrize("level", [0.5, *(pytest.param(each, marks=pytest.mark.long) for each in (0, 1))])
def test_flat_areas_and_the_mean_colour_stay(level: float) -> None:
    for colour in ([0, 0, 0], [255, 255, 255], [10, 200, 77]):
        for kind in (np.uint8, np.uint16):
            flat = np.tile(np.array(colour, kind), (23, 31, 1))
            assert (upscale(flat, 2.5, "learned", content="drawing", restore=level) == flat[:1, :1]).all()
    small, _ = source("drawing", 2)
    shift = upscale(small, 2, "learned", content="drawing", restore=level).mean(axis=(0, 1)) - small.mean(axis=(0, 1))
    assert np.abs(shift).max() < 0.7


def test_flat_colour_under_alpha_stays_flat() -> None:
    pixels = np.empty((40, 40, 4), np.uint8)
    pixels[..., :3] = (200, 30, 90)
    pixels[..., 3] = np.where(np.hypot(*(np.indices((40, 40)) - 20)) < 14, 255, 0)
    made = upscale(pixels, 2, "learned", content="drawing")
    seen = made[..., 3] > 0
    assert 0 < seen.mean() < 1
    assert (made[seen][:, :3] == (200, 30, 90)).all()


@pytest.mark.long
def test_strips_tiles_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    small = source("drawing", 2)[0][:150] / 255.0
    expected = upscale(small, 2, "learned", content="drawing")
    np.testing.assert_array_equal(upscale(small, 2, "learned", content="drawing", threads=3), expected)
    monkeypatch.setattr(network, "LOW", 16)
    monkeypatch.setattr(network, "TILE", 25)
    np.testing.assert_allclose(upscale(small, 2, "learned", content="drawing"), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("content", ["photo", "drawing"])
@pytest.mark.parametrize("level", [0, 0.6])
def test_bits_and_floats_mean_the_same(content: str, level: float) -> None:
    told: dict[str, Any] = {"content": content, "restore": level}
    small = source("text", 2)[0][:60]
    expected = np.clip(upscale(small / 255, 2, "learned", **told), 0, 1)
    for white, kind in ((255, np.uint8), (65535, np.uint16)):
        made = upscale((small.astype(np.uint32) * (white // 255)).astype(kind), 2, "learned", **told)
        # Arrays of floats are computed in double precision: two code values of 16 bits are the noise of the other.
        assert np.abs(made / white - expected).max() <= 0.51 / white + 3e-5


def test_values_that_have_no_square_have_no_slope() -> None:
    huge = np.random.default_rng(0).random((12, 12, 3)) * 1e200
    assert np.isfinite(upscale(huge, 2, "learned")).all()


@pytest.mark.parametrize(("kind", "power"), [("f4", 126), ("f8", 1000)])
@pytest.mark.parametrize("told", [{}, {"size": "large"}, {"content": "drawing"}, {"restore": 1}], ids=str)
def test_values_near_the_largest_float_are_values_like_others(kind: str, power: int, told: dict[str, Any]) -> None:
    """Networks make larger ones of them on the way. Biases are nothing beside them, so that `restore` is compared."""
    beside = 2.0 ** (power - 30)
    source = np.random.default_rng(0).random((12, 90)).astype(kind) + 1
    made = upscale(source * beside * 2**30, 2, "learned", **told)
    expected = upscale(source * beside, 2, "learned", **told)
    assert made.dtype == kind
    np.testing.assert_allclose(made / 2**30, expected, rtol=1e-5)
    colours = np.stack([source] * 3, axis=2) * beside * 2**30
    assert_near(upscale(colours, 2, "learned", **told)[..., 1] / made, np.ones(made.shape), 1e-4)
    source[6, 89] = np.nan
    near_it = upscale(source * beside * 2**30, 2, "learned", **told)
    np.testing.assert_allclose(near_it[:, :110], made[:, :110], rtol=1e-5)
    assert np.isnan(near_it[12, -1])


def test_the_user_says_what_the_picture_shows(tmp_path: Path) -> None:
    small, level = source("drawing", 2, 75)
    Image.fromarray(small).save(tmp_path / "in.png")
    stream: dict[str, Any] = {"quality": 75, "subsampling": 2}
    Image.fromarray(source("drawing", 2)[0]).save(tmp_path / "in.jpg", **stream)
    for name, kind, why in (
        ("in.png", "the network", "; nothing is restored, because its file is lossless"),
        ("in.jpg", "the restoring network", ", because its tables are those of JPEG quality 75"),
    ):
        words = [tmp_path / name, "-m", "learned", "-p", "content=drawing", "-v", "-o", tmp_path / f"{name}.png"]
        done = CliRunner().invoke(cli, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        assert f"{kind} for drawings: x2{why}" in done.stderr
    with Image.open(tmp_path / "in.jpg.png") as image:
        expected = upscale(small, 2, "learned", content="drawing", restore=level)
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_a_network_given_is_not_chosen_by_what_pictures_show() -> None:
    with np.load(shipped.FOLDER / "small-2x.npz") as given, pytest.raises(UpscaleError) as refused:
        upscale(np.zeros((9, 9, 3), np.uint8), 2, "learned", content="drawing", network=given)
    assert "content and network exclude each other; omit one" in str(refused.value)


def test_the_large_network_for_drawings_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "in.png")
    words = [tmp_path / "in.png", "-m", "learned", "-p", "content=drawing", "-p", "size=large", "-v", "-o"]
    done = CliRunner().invoke(cli, [str(word) for word in (*words, tmp_path / "out.png")])
    assert done.exit_code == 0, done.output
    assert "the large network for drawings: x2" in done.stderr


@pytest.mark.long
def test_the_generator_draws_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from training import drawings

    made = [drawings.drawing(seed, 96, drawings.fonts()) for seed in range(24)]
    again = [drawings.drawing(seed, 96, drawings.fonts()) for seed in range(24)]
    np.testing.assert_array_equal(made, again)
    assert all((a != b).any() for a, b in zip(made[1:], made, strict=False))
    # Without a font of the list, Pillow's own serves; every kind of picture was among them.
    shares = [share for share, _ in drawings.KINDS]
    seen = {int(np.random.default_rng(seed).choice(len(shares), p=shares)) for seed in range(24)}
    assert len(seen) == len(shares)
    assert drawings.drawing(3, 96, []).shape == (96, 96, 3)

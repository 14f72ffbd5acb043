"""Transparency, from file to file: flat colours stay, hidden ones are kept or reported, and alpha can be data."""

import numpy as np
import pytest
from pictures import deep_png, encoded, enlarged, noise, opened, read_deep
from PIL import Image
from support import SHARED, Array, needs_shared

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.filling import filled

GIVEN_UP = "colour under full transparency is given up; --alpha separate keeps it"


def disc(dtype: str, channels: int, soft: bool) -> Array:
    """A flat disc on transparent noise."""
    full = np.iinfo(dtype).max
    y, x = np.mgrid[:24, :26]
    opacity = np.clip((8 - np.hypot(y - 12, x - 13)) / (4 if soft else 1e-9) + 0.5, 0, 1) * full
    source = np.random.default_rng(0).integers(0, full, (24, 26, channels), dtype, endpoint=True)
    source[..., -1] = opacity
    source[source[..., -1] > 0, :-1] = np.array([full, full * 4 // 5, full // 6], dtype)[: channels - 1]
    return source


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 2), ("uint8", 4), ("uint16", 2), ("uint16", 4)])
def test_learned_draws_no_rings_around_flat_colours(dtype: str, channels: int, soft: bool, size: str) -> None:
    source = disc(dtype, channels, soft)
    file = encoded(Image.fromarray(source), "PNG") if dtype == "uint8" else deep_png(source)
    for scale in (2, 3):
        data, _ = enlarged(file, "png", scale, "learned", parameters={"size": size, "network": None})
        made = np.asarray(opened(data)) if dtype == "uint8" else read_deep(data)[0]
        shown = made[made[..., -1] > 0]
        assert len(shown) > scale**2 * 150
        assert (shown[:, :-1] == source[12, 13, :-1]).all()


def test_learned_keeps_flat_colours_of_a_palette() -> None:
    indices = np.zeros((20, 20), np.uint8)
    indices[5:15, 4:12] = 1
    image = Image.fromarray(indices).convert("P")
    image.putpalette(bytes([0, 0, 0, 255, 210, 40]))
    image.info["transparency"] = 0
    data, result = enlarged(encoded(image, "PNG"), "png", 4, "learned")
    made = np.asarray(opened(data))
    assert (made[made[..., 3] > 0, :3] == [255, 210, 40]).all()
    assert result.notes == []


@pytest.mark.parametrize("method", ["lanczos", "learned"])
def test_two_flat_colours_apart_do_not_tint_each_other(method: str) -> None:
    source = np.zeros((20, 30, 4), np.uint8)
    source[4:16, 3:12] = (255, 255, 255, 255)
    source[6:14, 17:27] = (255, 210, 40, 255)
    data, _ = enlarged(encoded(Image.fromarray(source), "PNG"), "png", 4, method)
    made = np.asarray(opened(data))
    shown = {tuple(map(int, colour)) for colour in made[made[..., 3] > 0, :3]}
    assert shown == {(255, 255, 255), (255, 210, 40)}


@needs_shared
def test_white_and_yellow_shapes_stay_white_and_yellow() -> None:
    source = SHARED / "cases" / "png-white-and-yellow-shapes-on-transparent.png"
    data, _ = enlarged(source, "png", 4, "learned")
    made = np.asarray(opened(data))
    assert len(np.unique(made[made[..., 3] > 0, :3], axis=0)) == 2


def test_transparent_pixels_get_the_colours_around_them() -> None:
    source = np.zeros((3, 6, 2), np.uint8)
    source[1, 0] = (10, 255)
    source[1, 5] = (21, 1)
    have = filled(source, 2)
    np.testing.assert_array_equal(have[..., 0], np.array([10, 10, 10, 21, 21, 21] * 3).reshape(3, 6))
    np.testing.assert_array_equal(have[..., 1], source[..., 1])
    near = filled(source, 1)
    np.testing.assert_array_equal(near[:, 2:4], source[:, 2:4])
    odd = filled(source[:, [0, 1, 5]], 1)
    assert odd[1, 1, 0] == 16, "the mean of 10 and 21, rounded half up"


@pytest.mark.parametrize("method", ["lanczos", "bicubic", "learned", "nearest"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_that_is_data_is_enlarged_apart(mode: str, method: str) -> None:
    image = noise(mode, 12, 10)
    data, result = enlarged(encoded(image, "PNG"), "png", 2, method, alpha="separate")
    assert result.notes == []
    made = np.asarray(opened(data))
    samples = np.asarray(image)
    for part, channels in ((made[..., :-1], samples[..., :-1]), (made[..., -1:], samples[..., -1:])):
        alone, _ = enlarged(encoded(Image.fromarray(channels.squeeze()), "PNG"), "png", 2, method)
        np.testing.assert_array_equal(part.squeeze(), np.asarray(opened(alone)))


def test_colours_given_up_are_reported_once_and_only_where_there_are_any() -> None:
    hidden = np.full((4, 4, 4), 200, np.uint8)
    hidden[:2, :, 3] = 0
    black = np.where(hidden[..., 3:] > 0, hidden, 0).astype(np.uint8)
    for source, method, alpha, notes in (
        (hidden, "lanczos", "weighed", [GIVEN_UP]),
        (hidden, "learned", "weighed", [GIVEN_UP]),
        (hidden, "lanczos", "separate", []),
        (hidden, "nearest", "weighed", []),
        (black, "lanczos", "weighed", []),
    ):
        data, result = enlarged(encoded(Image.fromarray(source), "PNG"), "png", 2, method, alpha=alpha)
        assert result.notes == notes
        if method == "nearest" or alpha == "separate":
            assert (np.asarray(opened(data))[..., :3] == 200).all()


@pytest.mark.parametrize("format", ["jpeg", "gif"])
def test_data_is_refused_where_alpha_cannot_be_stored(format: str) -> None:
    with pytest.raises(UpscaleError, match=r"has alpha that .* cannot store as data; omit --alpha separate, or"):
        enlarged(encoded(noise("RGBA"), "PNG"), format, 2, "lanczos", alpha="separate")


@pytest.mark.parametrize("format", ["png", "tiff", "jpeg"])
def test_one_bit_that_becomes_eight_is_reported(format: str) -> None:
    _, result = enlarged(encoded(noise("1"), "PNG"), format, 2, "lanczos", quality=95)
    assert result.notes == ["1 bit a pixel becomes 8, because values are blended"]
    _, result = enlarged(encoded(noise("1"), "PNG"), format, 2, "nearest", quality=95)
    assert result.notes == (["JPEG: 1 bit a pixel becomes 8"] if format == "jpeg" else [])

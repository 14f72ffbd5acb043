"""Animated WebP whose frames are opaque, and whose canvas shows around them."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from pictures import animated, enlarged
from PIL import Image, ImageSequence
from support import Array


def pieces(*places: tuple[int, int, int, int]) -> list[Image.Image]:
    """Return frames (12, 16) that are transparent but for a noisy rectangle each: left, top, right and bottom."""
    frames = []
    for seed, (left, top, right, bottom) in enumerate(places):
        samples = np.zeros((12, 16, 4), np.uint8)
        shape = bottom - top, right - left, 3
        samples[top:bottom, left:right, :3] = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        samples[top:bottom, left:right, 3] = 255
        frames.append(Image.fromarray(samples))
    return frames


def shown(file: bytes) -> list[Array]:
    with Image.open(io.BytesIO(file)) as image:
        return [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]


def assert_same(have: Sequence[Array], frames: Sequence[Image.Image]) -> None:
    """Compare opacity, and colours where they are seen."""
    assert len(have) == len(frames)
    for each, frame in zip(have, frames, strict=True):
        expected = np.asarray(frame.convert("RGBA"))
        np.testing.assert_array_equal(each[..., 3], expected[..., 3])
        np.testing.assert_array_equal(each[each[..., 3] > 0], expected[expected[..., 3] > 0])


PLACES = {
    "first": [(4, 2, 12, 10), (0, 0, 16, 12)],
    "cleared": [(0, 0, 16, 12), (4, 2, 12, 10), (0, 0, 16, 12)],
    "never": [(2, 2, 10, 8), (6, 4, 14, 10)],
}


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_the_canvas_around_opaque_frames_is_transparent(places: list[tuple[int, int, int, int]]) -> None:
    frames = pieces(*places)
    file = animated(frames, "WEBP", lossless=True, duration=50)
    assert not file[20] & 0x10  # no frame that is stored has opacity
    assert_same(shown(enlarged(file, "png", 1)[0]), frames)


@pytest.mark.parametrize("source", ["PNG", "GIF"])
@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_a_transparent_canvas_is_written_as_such(places: list[tuple[int, int, int, int]], source: str) -> None:
    frames = pieces(*places)
    file = animated(frames, source, duration=50, **({"disposal": 2} if source == "GIF" else {}))
    made = enlarged(file, "webp", 1, lossless=True)[0]
    assert made[20] & 0x10
    assert_same(shown(made), [Image.fromarray(each) for each in shown(file)])
    assert_same(shown(enlarged(made, "png", 1)[0]), [Image.fromarray(each) for each in shown(file)])


def test_frames_that_cover_the_canvas_have_no_opacity() -> None:
    random = np.random.default_rng(0)
    whole = random.integers(0, 256, (12, 16, 3), np.uint8)
    changed = whole.copy()
    changed[4:8, 4:8] = random.integers(0, 256, (4, 4, 3), np.uint8)
    file = animated([Image.fromarray(each) for each in (whole, changed)], "WEBP", lossless=True, duration=50)
    made, _ = enlarged(file, "png", 1)
    with Image.open(io.BytesIO(made)) as image:
        assert image.mode == "RGB"
    np.testing.assert_array_equal(np.stack(shown(made))[..., :3], [whole, changed])

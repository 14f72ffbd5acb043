"""Animations and pages: every frame, its time, the repeats, whatever the frames are; or something is said."""

import io

import numpy as np
import pytest
from pictures import animated, encoded, enlarged, frames_of, noise, opened, repeated, seen
from PIL import Image

from upscale_cli.codecs.picture import Reading
from upscale_cli.errors import UpscaleError


def small(mode: str, count: int = 4, **more: int) -> list[Image.Image]:
    return [noise(mode, seed=seed, **more) for seed in range(count)]


def with_clear(images: list[Image.Image], first: int = 3) -> list[Image.Image]:
    """Palette images, each with another colour that is transparent."""
    for index, image in enumerate(images):
        image.info["transparency"] = (index + first) % 6
    return images


def plays_of(data: bytes) -> int:
    """How often an animation is shown: GIF counts repeats, the others plays; 0 for ever."""
    image = opened(data)
    loop = int(image.info.get("loop", 0 if image.format == "AVIF" else 1))
    return loop + 1 if image.format == "GIF" and "loop" in image.info and loop else loop


TIMES = [50, 100, 150, 70]

ANIMATIONS: dict[str, bytes] = {
    "GIF": animated(small("P"), "GIF", duration=TIMES, loop=3),
    "GIF, clear": animated(with_clear(small("P", colours=6)), "GIF", duration=TIMES, loop=0, disposal=2),
    "GIF, once": animated(small("P", colours=6), "GIF", duration=TIMES),
    "APNG": animated(small("RGB"), "PNG", duration=TIMES, loop=2),
    "APNG, alpha": animated(small("RGBA"), "PNG", duration=TIMES, loop=0),
    "WebP": animated(small("RGBA"), "WEBP", duration=TIMES, loop=5, lossless=True),
}


@pytest.mark.parametrize("name", ANIMATIONS)
@pytest.mark.parametrize("format", ["gif", "png", "webp", "avif"])
@pytest.mark.parametrize("method", ["nearest", "lanczos"])
def test_every_frame_its_time_and_the_repeats_stay(name: str, format: str, method: str) -> None:
    source = ANIMATIONS[name]
    before = frames_of(source)
    data, result = enlarged(source, format, 2, method)
    after = frames_of(data)
    assert [frame.info["duration"] for frame in after] == TIMES
    assert {frame.size for frame in after} == {(14, 10)}
    # AVIF is shown for ever.
    assert ("AVIF cannot store its loop count" in result.notes) == (format == "avif" and plays_of(source) != 0)
    assert plays_of(data) == (0 if format == "avif" else plays_of(source))
    soft = any("all or nothing" in note for note in result.notes)
    if method == "nearest" and format in ("gif", "png") and not soft:
        assert result.notes == []
        for was, made in zip(before, after, strict=True):
            np.testing.assert_array_equal(seen(made), repeated(seen(was), 2))


def test_frames_are_weighed_like_single_images() -> None:
    frames = small("RGB")
    data, _ = enlarged(animated(frames, "PNG", duration=TIMES), scale=3, method="lanczos")
    for frame, made in zip(frames, frames_of(data), strict=True):
        alone, _ = enlarged(encoded(frame, "PNG"), scale=3, method="lanczos")
        np.testing.assert_array_equal(seen(made), seen(opened(alone)))


CLEAR_ALL = Image.new("RGBA", (7, 5))


@pytest.mark.parametrize("order", [(0, 0, 1), (0, 2, 0), (2, 0, 2), (2, 2, 1), (0, 1, 2, 2, 0)])
def test_gif_keeps_frames_that_are_alike_or_empty(order: tuple[int, ...]) -> None:
    some = noise("P", colours=6)
    other = noise("P", colours=6)
    other.paste(3, (2, 1, 5, 4))
    kinds = [some.convert("RGBA"), other.convert("RGBA"), CLEAR_ALL]
    data, result = enlarged(animated([kinds[i] for i in order], "TIFF"), "gif", 2)
    assert [note for note in result.notes if "gif" not in note] == []
    made = frames_of(data)
    assert len(made) == len(order)
    for index, frame in zip(order, made, strict=True):
        np.testing.assert_array_equal(seen(frame), repeated(seen(kinds[index]), 2))


def test_gif_holds_only_what_changes() -> None:
    frames = small("P", 1, width=40, height=40) * 5
    frames = [frame.copy() for frame in frames]
    for place, frame in enumerate(frames):
        before = frame.getpixel((place, 7))
        assert isinstance(before, int)
        frame.putpixel((place, 7), 255 - before)
    whole, _ = enlarged(encoded(frames[0], "GIF"), scale=2)
    data, _ = enlarged(animated(frames, "GIF", duration=TIMES[0]), scale=2)
    assert len(data) < len(whole) + 4 * 850, "a palette each, and a few pixels"


def test_times_that_are_no_whole_milliseconds_stay_in_png() -> None:
    data, _ = enlarged(animated(small("RGB", 3), "PNG", duration=[1000 / 30, 1000 / 24, 0.5]), scale=2)
    assert [round(frame.info["duration"], 3) for frame in frames_of(data)] == [33.333, 41.667, 0.5]


def test_a_picture_for_viewers_without_animation_stays_apart() -> None:
    frames = small("RGB", 3)
    source = animated(frames, "PNG", duration=[50, 100], default_image=True)
    data, _ = enlarged(source, scale=2)
    image = opened(data)
    assert image.info["default_image"]
    for frame, made in zip(frames, frames_of(data), strict=True):
        np.testing.assert_array_equal(seen(made), repeated(seen(frame), 2))


def test_an_animated_png_keeps_its_metadata() -> None:
    source = animated(small("P"), "GIF", duration=50, comment="Mühle".encode())
    data, result = enlarged(source, "png")
    assert opened(data).info["Comment"] == "Mühle"
    assert opened(enlarged(source, scale=2)[0]).info["comment"] == "Mühle".encode()
    assert result.notes == []


PAGES = [noise("RGB"), noise("L", 3, 9), noise("1", 5, 5), noise("P"), noise("CMYK"), noise("F"), noise("I;16")]


def test_pages_of_different_sizes_and_kinds_stay() -> None:
    source = animated(PAGES, "TIFF")
    data, result = enlarged(source, scale=2)
    assert result.notes == []
    for was, made in zip(PAGES, frames_of(data), strict=True):
        assert made.mode == was.mode
        np.testing.assert_array_equal(np.asarray(made), repeated(np.asarray(was), 2))


@pytest.mark.parametrize("format", ["png", "gif", "webp", "avif", "npy"])
def test_pages_of_different_sizes_are_refused_where_they_do_not_fit(format: str) -> None:
    with pytest.raises(UpscaleError, match=r"pages of different sizes.*use --format tiff"):
        enlarged(animated(PAGES[:2], "TIFF"), format)


@pytest.mark.parametrize("format", ["png", "gif", "webp", "avif"])
def test_pages_of_different_kinds_become_frames_of_one(format: str) -> None:
    # Pillow reads a GIF that begins with greys as if all of it were grey.
    pages = [noise("P", colours=6), noise("L"), noise("1"), noise("RGBA", colours=2)]
    pages[3] = Image.fromarray(np.where(np.asarray(pages[3])[..., 3:] > 0, 255, 0).astype(np.uint8).repeat(4, axis=2))
    data, result = enlarged(animated(pages, "TIFF"), format, quality=95)
    title = {"webp": "WebP", "avif": "AVIF"}.get(format)
    assert result.notes == ([f"{title}: 1 bit a pixel becomes 8"] if title else [])
    for was, made in zip(pages, frames_of(data), strict=True):
        if format in ("png", "gif"):
            np.testing.assert_array_equal(seen(made), seen(was))
        else:
            np.testing.assert_allclose(np.asarray(made.convert("RGBA"))[..., 3], seen(was)[..., 3], atol=12)


def test_pages_of_16_bits_are_not_reduced_in_an_animation() -> None:
    source = animated([noise("I;16", seed=1), noise("I;16", seed=2)], "TIFF")
    with pytest.raises(UpscaleError, match="16 bits"):
        enlarged(source, "png")
    data, _ = enlarged(source, "npy", 2)
    assert np.load(io.BytesIO(data)).shape == (2, 10, 14, 1)


def test_frames_become_one_array_and_their_times_are_said_to_be_lost() -> None:
    source = ANIMATIONS["APNG"]
    for first in (False, True):
        data, result = enlarged(source, "npy", 2, reading=Reading(channels_first=first))
        stack = np.load(io.BytesIO(data))
        stack = np.moveaxis(stack, 1, 3) if first else stack
        np.testing.assert_array_equal(stack, np.stack([repeated(np.asarray(f), 2) for f in small("RGB")]))
        assert result.notes == [".npy cannot store its frame durations and loop count"]


def test_several_frames_are_refused_where_a_format_holds_one() -> None:
    with pytest.raises(UpscaleError, match="has 4 frames, but JPEG stores only one"):
        enlarged(ANIMATIONS["GIF"], "jpeg")


@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_a_netpbm_file_of_several_images_says_that_only_the_first_is_taken(mode: str) -> None:
    """Alone it is a stream of frames; in a folder it is one image of many."""
    one = encoded(noise(mode), "PPM")
    for data, said in ((one, 0), (one + one, 1), (one + b"P", 0)):
        result = enlarged(data, "png", 2, "nearest")[1]
        assert sum(note.startswith("only the first of its images") for note in result.notes) == said


@pytest.mark.parametrize("format", ["gif", "png", "webp", "avif"])
@pytest.mark.parametrize("plays", [0, 1, 2, 65_535, 65_536, 100_000])
def test_how_often_an_animation_plays_is_translated(format: str, plays: int) -> None:
    source = animated(small("P", 2), "PNG", duration=50, loop=plays)
    data, result = enlarged(source, format, 2, "nearest")
    if format == "avif":
        assert ("AVIF cannot store its loop count" in result.notes) == (plays > 0)
        again, _ = enlarged(data, "png", 1, "nearest")
        assert plays_of(again) == 0
        return
    most = {"gif": 65_536, "webp": 65_535, "png": 2**31 - 1}[format]
    title = {"gif": "GIF", "webp": "WebP"}.get(format)
    assert plays_of(data) == min(plays, most)
    note = f"it plays {plays:,} times, but {title} only {most:,} times"
    assert result.notes == ([note] if plays > most else [])


@pytest.mark.parametrize("format", ["tiff", "npy"])
@pytest.mark.parametrize("plays", [0, 3])
def test_a_loop_count_that_cannot_be_stored_is_reported(format: str, plays: int) -> None:
    source = animated(small("P", 2), "PNG", duration=50, loop=plays)
    _, result = enlarged(source, format, 2, "nearest")
    assert any("frame durations and loop count" in note for note in result.notes)


@pytest.mark.parametrize(
    ("format", "kept"), [("gif", [10, 10, 30, 100, 655_350]), ("webp", [1, 3, 33, 100, 700_000])]
)
def test_times_are_stored_as_the_format_can(format: str, kept: list[int]) -> None:
    times = [0.4, 3, 33, 100, 700_000]
    data, result = enlarged(animated(small("RGB", 5, colours=4), "PNG", duration=times), format, 2, "nearest")
    assert [frame.info["duration"] for frame in frames_of(data)] == kept
    step, title = (10, "GIF") if format == "gif" else (1, "WebP")
    longest = ["GIF shows a frame for at most 655.35 s"] if format == "gif" else []
    rounded = f"{title} stores frame durations in steps of {step} ms, so some are rounded"
    assert [note for note in result.notes if "colours" not in note] == [rounded, *longest]


def test_a_time_of_0_stays_0() -> None:
    data, result = enlarged(animated(small("P", 2), "PNG", duration=0), "gif", 2, "nearest")
    assert [frame.info.get("duration", 0) for frame in frames_of(data)] == [0, 0]
    assert result.notes == []

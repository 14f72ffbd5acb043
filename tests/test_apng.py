"""Animated PNG: what is shown of each frame, against the formula of the PNG specification, and ffmpeg."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from pictures import chunks_of, enlarged, frames_of, frames_read, opened, seen

from upscale_cli.codecs.png_stream import SIGNATURE, Chunk, joined
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import to_mode
from upscale_cli.methods.upsampler import Array

NONE, BACKGROUND, PREVIOUS = 0, 1, 2
SOURCE, OVER = 0, 1
RED, GREEN, BLUE = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


class Drawn(NamedTuple):
    """A frame: its samples (h, w, C), its place, what becomes of it, how it is drawn."""

    samples: Array
    left: int = 0
    top: int = 0
    dispose: int = NONE
    blend: int = OVER


def flat(width: int, height: int, colour: tuple[int, ...]) -> Array:
    return np.broadcast_to(np.array(colour, np.uint8), (height, width, len(colour)))


def rows_of(samples: Array) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in samples))


def apng(frames: list[Drawn], *chunks: Chunk, still: Array | None = None, kind: int | None = None) -> bytes:
    """An animated PNG as large as its first picture; fdAT chunks come in two pieces."""
    height, width, channels = (frames[0].samples if still is None else still).shape
    kind = COLOUR_TYPES[channels] if kind is None else kind
    made = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)), *chunks]
    made.append((b"acTL", struct.pack(">II", len(frames), 0)))
    made += [] if still is None else [(b"IDAT", rows_of(still))]
    number = 0
    for samples, left, top, dispose, blend in frames:
        place = (*samples.shape[1::-1], left, top)
        made.append((b"fcTL", struct.pack(">5I2H2B", number, *place, 1, 10, dispose, blend)))
        data = rows_of(samples)
        if any(name == b"IDAT" for name, _ in made):
            for piece in (data[:9], data[9:]):
                number += 1
                made.append((b"fdAT", struct.pack(">I", number) + piece))
        else:
            made.append((b"IDAT", data))
        number += 1
    return SIGNATURE + joined([*made, (b"IEND", b"")])


def composed(frames: list[Drawn]) -> list[Any]:
    """What PNG, sections 11.3.6.2 and 13.16, defines, rounded half up: RGBA of each frame."""
    canvas = np.zeros((*frames[0].samples.shape[:2], 4))
    shown = []
    for number, (samples, left, top, dispose, blend) in enumerate(frames):
        place = canvas[top : top + len(samples), left : left + samples.shape[1]]
        before, above = place.copy(), samples.astype(float)
        if blend == OVER:
            a, b = above[..., 3:] / 255, place[..., 3:] / 255
            alpha = a + b * (1 - a)
            colours = (a * above[..., :3] + b * (1 - a) * place[..., :3]) / np.where(alpha == 0, 1, alpha)
            place[:] = np.where(a == 0, place, np.concatenate([colours, 255 * alpha], axis=2))
        else:
            place[:] = above
        canvas[:] = np.floor(canvas + 0.5 + 1e-9)
        shown.append(canvas.copy())
        if dispose == PREVIOUS and number:
            place[:] = before
        elif dispose:
            place[:] = 0
    return shown


def read(file: bytes) -> list[Array]:
    return [to_mode(frame, "RGBA").samples for frame in frames_read(file)]


def random_frames(seed: int) -> list[Drawn]:
    rng = np.random.default_rng(seed)
    frames = [Drawn(np.zeros((6, 8, 4)))]
    for number in range(6):
        height, width = (6, 8) if not number else (int(rng.integers(1, 7)), int(rng.integers(1, 9)))
        samples = rng.integers(0, 256, (height, width, 4), np.uint8)
        samples[rng.random((height, width)) < 0.3, 3] = 0
        samples[rng.random((height, width)) < 0.3, 3] = 255
        place = int(rng.integers(0, 9 - width)), int(rng.integers(0, 7 - height))
        frames.append(Drawn(samples, *place, int(rng.integers(3)), int(rng.integers(2))))
    return frames[1:]


@pytest.mark.parametrize("seed", range(12))
def test_frames_are_composed_as_the_specification_says(seed: int) -> None:
    frames = random_frames(seed)
    for made, exact in zip(read(apng(frames)), composed(frames), strict=True):
        np.testing.assert_array_equal(made, exact)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize("seed", range(3))
def test_frames_are_shown_as_ffmpeg_shows_them(tmp_path: Path, seed: int) -> None:
    """Where all is opaque or clear, which ffmpeg rounds as we do."""
    frames = random_frames(seed)
    frames = [
        each._replace(samples=np.where(each.samples[..., 3:] < 255, np.uint8(0), each.samples)) for each in frames
    ]
    (tmp_path / "in.png").write_bytes(apng(frames))
    command = ["ffmpeg", "-v", "error", "-i", "in.png", "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    theirs = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    expected = np.frombuffer(theirs, np.uint8).reshape(-1, 6, 8, 4)
    np.testing.assert_array_equal(np.array(read(apng(frames))), expected)


@pytest.mark.parametrize(
    ("below", "expected"), [((0, 0, 0, 0), (255, 0, 0, 128)), ((0, 0, 255, 128), (170, 0, 85, 192))]
)
def test_half_transparent_over_what_is_below(below: tuple[int, ...], expected: tuple[int, ...]) -> None:
    file = apng([Drawn(flat(4, 4, below)), Drawn(flat(4, 4, (255, 0, 0, 128)))])
    made, _ = enlarged(file, scale=2)
    assert (np.asarray(frames_of(made)[1]) == expected).all()


def test_what_gives_way_to_what_was_before() -> None:
    spots = [Drawn(flat(2, 2, BLUE), dispose=PREVIOUS), Drawn(flat(1, 1, GREEN), 2, 2)]
    shown = read(apng([Drawn(flat(4, 4, RED)), *spots]))
    assert [tuple(frame[0, 0]) for frame in shown] == [RED, BLUE, RED]
    assert tuple(shown[2][2, 2]) == GREEN
    first = read(apng([Drawn(flat(4, 4, RED), dispose=PREVIOUS), *spots]))
    assert first[1][:, :, 3].tolist() == [[255, 255, 0, 0]] * 2 + [[0] * 4] * 2


@pytest.mark.parametrize(("key", "channels"), [(b"\0\7", 1), (b"\0\7\0\7\0\7", 3)])
def test_the_colour_that_stands_for_nothing_leaves_what_is_below(key: bytes, channels: int) -> None:
    second = flat(4, 1, (9,) * channels).copy()
    second[0, :2] = 7
    shown = frames_read(apng([Drawn(flat(4, 1, (5,) * channels)), Drawn(second)], (b"tRNS", key)))
    assert [shown[1].samples[0, :, each].tolist() for each in (0, -1)] == [[5, 5, 9, 9], [255] * 4]
    assert shown[1].mode == {1: "LA", 3: "RGBA"}[channels]


def test_a_palette_stays() -> None:
    palette = [(b"PLTE", bytes((255, 0, 0, 0, 255, 0, 0, 0, 255))), (b"tRNS", b"\xff\xff\0")]
    indices = [np.array([[0, 1, 2, 2]], np.uint8)[..., None], np.array([[2, 2, 0, 2]], np.uint8)[..., None]]
    file = apng([Drawn(each) for each in indices], *palette, kind=3)
    made, result = enlarged(file, scale=(1, 2))
    assert result.notes == []
    assert (b"IHDR", struct.pack(">IIBBBBB", 8, 1, 8, 3, 0, 0, 0)) in chunks_of(made)
    expected = [[RED, GREEN, (0,) * 4, (0,) * 4], [RED, GREEN, RED, (0,) * 4]]
    for frame, colours in zip(frames_of(made), expected, strict=True):
        np.testing.assert_array_equal(seen(frame)[0, ::2], colours)


@pytest.mark.parametrize("format", ["png", "webp", "gif", "avif", "tiff", "npy"])
def test_a_default_image_outside_the_animation_is_no_frame_elsewhere(format: str) -> None:
    file = apng([Drawn(flat(4, 4, RED)), Drawn(flat(4, 4, BLUE))], still=flat(4, 4, GREEN))
    made, result = enlarged(file, format, 2, lossless=format in ("webp", "png"))
    if format == "png":
        assert opened(made).info["default_image"]
        assert result.notes == []
        return
    lost = [note for note in result.notes if "default image outside the animation" in note]
    assert (len(lost), result.frames) == (1, 2)
    if format not in ("avif", "npy"):
        assert [tuple(seen(frame)[0, 0]) for frame in frames_of(made)] == [RED, BLUE]


def test_an_animation_of_one_frame_is_a_single_picture() -> None:
    file = apng([Drawn(flat(4, 4, RED[:3]))], still=flat(4, 4, GREEN[:3]))
    made, result = enlarged(file, "jpeg", quality=95)
    assert result.notes == ["JPEG cannot store its default image outside the animation"]
    colour = np.asarray(opened(made))[0, 0].astype(int)
    assert np.abs(colour - RED[:3]).max() < 4


def test_damaged_frames_are_refused() -> None:
    file = apng([Drawn(flat(4, 4, RED)), Drawn(flat(2, 2, BLUE), 1, 1)])
    with pytest.raises(UpscaleError, match="is truncated: some of its 2 frames are missing; get the complete file"):
        frames_read(file[: file.rindex(b"fcTL") - 4])
    with pytest.raises(UpscaleError, match="has a frame that lies outside its canvas"):
        frames_read(apng([Drawn(flat(4, 4, RED)), Drawn(flat(2, 2, BLUE), 3, 3)]))
    spoilt = bytearray(file)
    spoilt[file.rindex(b"fdAT") + 6] ^= 1
    with pytest.raises(UpscaleError, match="has a damaged fdAT chunk"):
        frames_read(bytes(spoilt))

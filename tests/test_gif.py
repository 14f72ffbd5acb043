"""GIF: frames as ffmpeg shows them, whatever is cleared, restored, transparent, interlaced or beside the canvas."""

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import SRGB_PROFILE, chunks_of, enlarged, frames_of, opened, repeated, seen
from PIL import Image

from upscale_cli.codecs.picture import open_picture
from upscale_cli.image.pixels import expand_palette, to_mode

WIDTH, HEIGHT = 9, 7
KEEP, CLEAR, RESTORE = 1, 2, 3


class Drawn(NamedTuple):
    """One frame of a GIF: indices, where they lie, and how."""

    pixels: NDArray[np.uint8]
    left: int = 0
    top: int = 0
    disposal: int = KEEP
    clear: int = -1
    palette: int = 0
    interlaced: bool = False


def colours(seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, 24, np.uint8).tobytes()


def codes(pixels: NDArray[np.uint8]) -> bytes:
    """LZW codes of indices, by Pillow."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "GIF", interlace=0, optimize=False)
    data = stream.getvalue()
    return data[13 + (3 << (data[10] & 7) + 1) + 10 : -1]


def gif(frames: list[Drawn], background: int = 0, palette: int = 1) -> bytes:
    """A GIF of frames; palettes are numbers of random colours, 0 for none."""
    data = struct.pack("<6sHHBBB", b"GIF89a", WIDTH, HEIGHT, 0xF2 if palette else 0x72, background, 0)
    data += colours(palette) if palette else b""
    for frame in frames:
        flags = frame.disposal << 2 | (frame.clear >= 0)
        data += struct.pack("<2sBBHBB", b"!\xf9", 4, flags, 10, max(frame.clear, 0), 0)
        height, width = frame.pixels.shape
        flags = (0x82 if frame.palette else 0) | (0x40 if frame.interlaced else 0)
        data += struct.pack("<sHHHHB", b",", frame.left, frame.top, width, height, flags)
        data += colours(frame.palette) if frame.palette else b""
        p = frame.pixels
        data += codes(np.concatenate([p[0::8], p[4::8], p[2::4], p[1::2]]) if frame.interlaced else p)
    return data + b";"


def random_frame(random: np.random.Generator, disposal: int, clear: int, whole: bool, own: bool) -> Drawn:
    width, height = (WIDTH, HEIGHT) if whole else (int(random.integers(1, n + 1)) for n in (WIDTH, HEIGHT))
    return Drawn(
        pixels=random.integers(0, 8, (height, width), np.uint8),
        left=int(random.integers(0, WIDTH - width + 1)),
        top=int(random.integers(0, HEIGHT - height + 1)),
        disposal=disposal if random.random() < 0.7 else int(random.integers(0, 4)),
        clear=clear if random.random() < 0.7 else int(random.integers(-1, 8)),
        palette=int(random.integers(2, 9)) if own or random.random() < 0.4 else 0,
        interlaced=bool(random.random() < 0.3),
    )


def read(data: bytes) -> list[NDArray[np.uint8]]:
    """What we read: RGBA, transparent pixels being 0."""
    with open_picture(io.BytesIO(data)) as picture:
        return [cleaned(to_mode(expand_palette(frame), "RGBA").samples) for frame in picture.frames()]


def cleaned(rgba: NDArray[Any]) -> NDArray[Any]:
    return np.where(rgba[..., 3:] > 0, rgba, 0)


def of_ffmpeg(path: Path, width: int = WIDTH, height: int = HEIGHT) -> list[NDArray[np.uint8]]:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vsync", "0", "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return [cleaned(frame) for frame in np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 4)]


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@needs_ffmpeg
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("disposal", [0, KEEP, CLEAR, RESTORE])
def test_frames_are_those_of_ffmpeg(disposal: int, whole: bool, tmp_path: Path) -> None:
    """With and without a palette of the file, a transparent colour, and frames that cover the canvas."""
    random = np.random.default_rng(disposal)
    palette, clear = disposal % 2, -1 if whole else 5
    frames = [random_frame(random, disposal, clear, whole=whole and not n, own=not palette) for n in range(5)]
    data, path = gif(frames, 3, palette), tmp_path / "a.gif"
    path.write_bytes(data)
    for have, expected in zip(read(data), of_ffmpeg(path), strict=True):
        np.testing.assert_array_equal(have, expected)


def test_xmp_and_the_shape_of_pixels_are_read() -> None:
    """GIF89a, section 18: width over height is (113 + 15) / 64. The trailer is that of Part 3 of XMP's."""
    packet = '<x:xmpmeta xmlns:x="adobe:ns:meta/">Mühle</x:xmpmeta>'.encode()
    plain = gif([Drawn(np.zeros((HEIGHT, WIDTH), np.uint8))])
    block = b"!\xff\x0bXMP DataXMP" + packet + b"\1" + bytes(range(255, -1, -1)) + b"\0"
    data = plain[:12] + bytes([113]) + plain[13:37] + block + plain[37:]
    image = opened(enlarged(data, "png", 2)[0])
    assert (image.info["xmp"], image.info["aspect"]) == (packet, (1, 2))
    assert enlarged(data, "gif", 2)[1].notes == ["GIF cannot store its pixel aspect ratio and XMP"]
    assert enlarged(plain, "gif", 2)[1].notes == []


def extension(label: int, *blocks: bytes) -> bytes:
    return bytes([0x21, label]) + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


TWO = [Drawn(np.full((HEIGHT, WIDTH), index, np.uint8)) for index in (1, 2)]


def test_a_profile_is_kept_and_so_are_all_comments() -> None:
    """ICC.1, annex B: the profile lies in blocks behind the name of its application."""
    two = gif(TWO)
    profile = [SRGB_PROFILE[start : start + 255] for start in range(0, len(SRGB_PROFILE), 255)]
    first, last = extension(0xFE, b"one, ", b"in two blocks"), extension(0xFE, b"behind the frames")
    data = two[:37] + extension(0xFF, b"ICCRGBG1012", *profile) + first + two[37:-1] + last + b";"
    made, result = enlarged(data, "png", 2)
    assert result.notes == []
    image = opened(made)
    assert image.info["icc_profile"] == SRGB_PROFILE
    comment = "one, in two blocks\nbehind the frames"
    assert dict(chunks_of(made))[b"tEXt"] == b"Comment\0" + comment.encode()
    made, result = enlarged(data, "gif", 2)
    assert opened(made).info["comment"] == comment.encode()
    assert result.notes == ["GIF cannot store its colour profile"]


@pytest.mark.parametrize(
    ("blocks", "notes"),
    [
        (extension(0x01, bytes(12), b"Text of 1989"), ["its plain text is left out"]),
        (extension(0xFF, b"MGKIPTC0000", b"8BIM") * 2, ["its application data (MGKIPTC0000) is left out"]),
        (
            extension(0xFF, b"ADOBE:\x1b[1m") + extension(0xFF, b"STARDIV 5.89", b"x"),
            ["its application data (ADOBE: [1m, STARDIV 5.8) is left out"],
        ),
        (extension(0xFF), ["its application data (unnamed) is left out"]),
        (extension(0x42, b"x"), ["its extensions of unknown kinds are left out"]),
        (extension(0xFF, b"NETSCAPE2.0", b"\2\0\0\0\1") + extension(0xFE), []),
    ],
)
def test_other_extensions_are_said_to_be_left_out(blocks: bytes, notes: list[str]) -> None:
    two = gif(TWO)
    assert enlarged(two[:-1] + blocks + b";", "png", 2)[1].notes == notes


def test_a_note_names_some_of_very_many_applications() -> None:
    many = b"".join(extension(0xFF, b"PROGRAM%04d" % number) for number in range(500))
    (note,) = enlarged(gif(TWO)[:-1] + many + b";", "png", 2)[1].notes
    assert note.endswith(", PROGRAM0011, 488 more) is left out")


FULL = np.full((HEIGHT, WIDTH), 1, np.uint8)
SPOT = np.full((2, 3), 2, np.uint8)


def test_what_is_cleared_becomes_transparent_although_the_canvas_was_opaque() -> None:
    frames = [Drawn(FULL, clear=0, disposal=CLEAR), Drawn(SPOT, 4, 3, clear=0)]
    first, second = read(gif(frames))
    assert (first[..., 3] == 255).all()
    assert second[..., 3].sum() == 6 * 255
    assert (second[3:5, 4:7, 3] == 255).all()


def test_what_is_restored_is_what_was_there_before() -> None:
    frames = [Drawn(FULL), Drawn(SPOT, 1, 1, disposal=RESTORE), Drawn(SPOT, 6, 5)]
    first, second, third = read(gif(frames))
    assert (second != first).any(axis=2).sum() == 6
    expected = first.copy()
    expected[5:7, 6:9] = second[1, 1]
    np.testing.assert_array_equal(third, expected)


@pytest.mark.parametrize("method", ["nearest", "lanczos"])
def test_a_single_frame_that_leaves_a_part_of_the_canvas_free(method: str) -> None:
    data, result = enlarged(gif([Drawn(SPOT, 2, 4, clear=0)]), "png", 2, method)
    made = seen(frames_of(data)[0])
    assert made.shape == (14, 18, 4)
    assert result.notes == []
    assert (made[9:11, 5:9, 3] == 255).all()
    if method == "nearest":
        assert made[..., 3].sum() == 24 * 255


def test_a_frame_is_cut_at_the_canvas() -> None:
    (made,) = read(gif([Drawn(FULL, 7, 5, clear=0)]))
    assert made.shape == (HEIGHT, WIDTH, 4)
    assert made[..., 3].sum() == 4 * 255


@pytest.mark.parametrize("disposal", [KEEP, CLEAR, RESTORE])
def test_frames_stay_what_they_show_in_gif_and_png(disposal: int) -> None:
    random = np.random.default_rng(disposal)
    data = gif([random_frame(random, disposal, 5, whole=False, own=True) for _ in range(4)])
    for format in ("gif", "png"):
        made, _ = enlarged(data, format, 2, "nearest")
        for frame, was in zip(frames_of(made), read(data), strict=True):
            np.testing.assert_array_equal(seen(frame), repeated(was, 2))


@needs_ffmpeg
def test_frames_of_256_colours_beside_transparent_ones_are_cleared(tmp_path: Path) -> None:
    """Such a frame has no index left for transparency, and ffmpeg clears it to the background of the file."""
    many = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgba = np.dstack([many, many, many, np.full_like(many, 255)])
    clear = np.zeros_like(rgba)
    clear[4:6, 4:6] = (9, 8, 7, 255)
    frames = [Image.fromarray(each) for each in (rgba, clear, rgba, clear)]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:], duration=50)
    data, result = enlarged(stream.getvalue(), "gif", 1, "nearest")
    path = tmp_path / "a.gif"
    path.write_bytes(data)
    for have, expected in zip(of_ffmpeg(path, 16, 16), (rgba, clear, rgba, clear), strict=True):
        np.testing.assert_array_equal(have, expected)
    assert result.notes == []

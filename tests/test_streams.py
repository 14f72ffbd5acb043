"""Streams of frames: concatenated images, Y4M, numbered files; what is made of each, in which order, and its end."""

import io
import json
import os
import random
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from executing import soon
from pictures import deep_png, encoded, enlarged, noise
from PIL import Image
from support import FILTERS, Array, Floats, Weight, keys

from upscale_cli.batch.in_turn import AHEAD, InTurn
from upscale_cli.batch.run import Stopped
from upscale_cli.commands.pool import cli as pool
from upscale_cli.commands.upscale import cli
from upscale_cli.methods import resampling

UPSCALE = [sys.executable, "-m", "upscale_cli"]
needs_ffmpeg = pytest.mark.skipif(not which("ffmpeg"), reason="there is no ffmpeg")
WIDTH, HEIGHT = 8, 6


def call(*arguments: str | Path, data: bytes = b"", command: Any = cli) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments], input=data)


def samples(number: int, channels: int = 3, most: int = 255, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Array:
    values = np.random.default_rng(number).integers(0, most, (*size, channels), endpoint=True)
    return values.astype(">u2" if most > 255 else np.uint8)


def netpbm(magic: str, number: int, channels: int, most: int = 255) -> bytes:
    return f"{magic}\n# made here\n{WIDTH} {HEIGHT}\n{most}\n".encode() + samples(number, channels, most).tobytes()


def pam(number: int, channels: int, most: int, kind: str) -> bytes:
    head = f"P7\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH {channels}\nMAXVAL {most}\nTUPLTYPE {kind}\nENDHDR\n"
    return head.encode() + samples(number, channels, most).tobytes()


def plain(number: int) -> bytes:
    words = " ".join(map(str, samples(number).ravel()))
    return f"P3 {WIDTH} {HEIGHT} # P6 is no image here\n255\n{words}\n".encode()


def bits(number: int) -> bytes:
    return f"P4 {WIDTH} {HEIGHT}\n".encode() + samples(number, 1, 255, (HEIGHT, 1)).tobytes()


def pillow(format: str, mode: str = "RGB", **options: Any) -> Any:
    return lambda number: encoded(noise(mode, WIDTH, HEIGHT, number), format, **options)


FORMS: dict[str, Any] = {
    "ppm": lambda n: netpbm("P6", n, 3),
    "ppm of 16 bits": lambda n: netpbm("P6", n, 3, 65535),
    "ppm of 10 bits": lambda n: netpbm("P6", n, 3, 1023),
    "pgm": lambda n: netpbm("P5", n, 1),
    "pbm": bits,
    "plain ppm": plain,
    "pfm": lambda n: b"Pf\n%d %d\n-1.0\n" % (WIDTH, HEIGHT) + samples(n, 1).astype("<f4").tobytes(),
    "pam": lambda n: pam(n, 4, 255, "RGB_ALPHA"),
    "pam of 16 bits": lambda n: pam(n, 2, 65535, "GRAYSCALE_ALPHA"),
    "pam of 1 bit": lambda n: pam(n, 1, 1, "BLACKANDWHITE"),
    "png": pillow("PNG"),
    "png in a palette": pillow("PNG", "P"),
    "png of 16 bits": lambda n: deep_png(samples(n, 3, 65535).astype(np.uint16)),
    "jpeg": pillow("JPEG", quality=90),
    "jpeg, progressive": pillow("JPEG", "L", progressive=True),
    "bmp": pillow("BMP"),
    "sizes and kinds that change": lambda n: netpbm("P6" if n % 2 else "P5", n, 3 if n % 2 else 1),
}
"""How a frame of a number is encoded, by the name of the form."""


@pytest.mark.parametrize("form", FORMS)
def test_every_frame_is_made_as_its_file_would_be(form: str, tmp_path: Path) -> None:
    """As many frames come out as went in, in order: from a pipe, into numbered files, and from them."""
    count = 50 if form == "ppm" else 11
    files = [FORMS[form](number) for number in range(count)]
    made = [enlarged(file, scale=2, method="lanczos")[0] for file in files]
    done = call("-", "-s", "2", "-j", "3", data=b"".join(files))
    assert done.exit_code == 0, done.stderr
    assert done.stdout_bytes == b"".join(made)
    assert f"{count} frames enlarged" in done.stderr
    suffix = {"pn": ".png", "jp": ".jpg", "bm": ".bmp"}.get(form[:2], ".pam" if form[:3] == "pam" else ".ppm")
    done = call("-", "-s", "2", "-o", tmp_path / "made" / f"%d{suffix}", data=b"".join(files))
    assert done.exit_code == 0, done.stderr
    assert [(tmp_path / "made" / f"{n}{suffix}").read_bytes() for n in range(1, count + 1)] == made
    if "jpeg" not in form:
        # 2 comes before 10.
        joined = call(tmp_path / "made", "-s", "1", "-m", "nearest", "-o", "-")
        assert joined.stdout_bytes == b"".join(enlarged(file)[0] for file in made)


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["ppm", "pgm", "pam", "png", "mjpeg", "bmp", "yuv4mpeg"])
def test_ffmpeg_writes_and_reads_the_streams(codec: str) -> None:
    wrap = ["-f", "yuv4mpegpipe"] if codec == "yuv4mpeg" else ["-f", "image2pipe", "-c:v", codec]
    source = ["-f", "lavfi", "-i", "testsrc2=s=48x36", "-frames:v", "7", *wrap, "-"]
    film = subprocess.run(["ffmpeg", "-v", "error", *source], capture_output=True, check=True).stdout
    done = call("-", "-s", "3", "-m", "bicubic", data=film)
    assert done.exit_code == 0, done.stderr
    demuxer = ["-f", "yuv4mpegpipe"] if codec == "yuv4mpeg" else ["-f", "image2pipe", "-c:v", codec]
    read = ["ffmpeg", "-v", "error", *demuxer, "-i", "-", "-vsync", "0", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run(read, input=done.stdout_bytes, capture_output=True, check=True)
    assert (len(raw.stdout), raw.stderr) == (7 * 144 * 108, b"")


@pytest.mark.parametrize("form", ["ppm", "pam", "png", "jpeg", "bmp", "y4m"])
def test_every_prefix_of_a_stream_ends_as_it_should(form: str) -> None:
    """Whole frames are made. A frame that is cut is named with the byte at which it begins, and that of the end."""
    if form == "y4m":
        head, files = y4m_head("420mpeg2", 4, 2), [b"FRAME\n" + bytes([n] * 12) for n in range(3)]
    else:
        head, files = b"", [FORMS[form](number) for number in range(3)]
    starts = [len(head) + sum(map(len, files[:n])) for n in range(4)]
    stream = head + b"".join(files)
    whole = call("-", "-m", "nearest", data=stream).stdout_bytes
    lengths = [0, *(len(call("-", "-m", "nearest", data=stream[:start]).stdout_bytes) for start in starts[1:])]
    assert lengths[3] == len(whole) > lengths[2] > lengths[1] > 0
    # The first image alone ends as one image does: a PNG does not need its last chunk.
    step = {"y4m": 1, "jpeg": 49}.get(form, 17)
    for end in [
        *range(starts[1] if form == "png" else 1, len(stream), step),
        *starts[1:],
        starts[1] + 1,
        starts[2] - 1,
    ]:
        done = call("-", "-m", "nearest", data=stream[:end])
        complete = sum(start <= end for start in starts[1:])
        assert done.stdout_bytes == whole[: lengths[complete]], end
        cut = end not in starts[1:]
        assert done.exit_code == (1 if cut else 0), (end, done.stderr)
        if cut and (complete or (form == "y4m" and end > starts[0])):
            said = f"standard input: frame {complete + 1} (at byte {starts[complete]:,}): is incomplete: "
            assert f"{said}the stream ends at byte {end:,}." in done.stderr


def test_what_stands_between_and_behind_images(tmp_path: Path) -> None:
    first, second = netpbm("P6", 1, 3), netpbm("P6", 2, 3)
    made = [enlarged(file)[0] for file in (first, second)]
    padded = call("-", "-s", "1", "-m", "nearest", data=first + b"\n\0\0" + second + b"\r\n")
    assert (padded.exit_code, padded.stdout_bytes) == (0, b"".join(made))
    for file in (first, FORMS["png"](1), FORMS["bmp"](1)):
        behind = call("-", "-s", "1", "-m", "nearest", data=file + b"none")
        assert (behind.exit_code, behind.stdout_bytes) == (0, enlarged(file)[0])
        assert behind.stderr == "standard input: 4 bytes behind its picture are left out.\n"
    numbered = call("-", "-o", tmp_path / "%d.ppm", data=first + b"none")
    assert "4 bytes behind its picture are left out" in numbered.stderr
    wrong = call("-", "-s", "1", "-m", "nearest", data=first + second + b"neither image nor padding")
    assert (wrong.exit_code, wrong.stdout_bytes) == (1, b"".join(made))
    assert f"frame 3 (at byte {len(first + second)}): is no image that can follow another" in wrong.stderr
    damaged = call("-", data=first + first[:3] + b"-" + second)
    assert "frame 2" in damaged.stderr
    assert damaged.exit_code == 1


def test_one_image_stays_one() -> None:
    """Animations, and JPEGs with pictures of their own, are no streams."""
    frames = [noise("RGB", 8, 6, n) for n in range(3)]
    for format in ("PNG", "GIF"):
        animation = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
        done = call("-", "-m", "nearest", data=animation)
        assert Image.open(io.BytesIO(done.stdout_bytes)).n_frames == 3  # type: ignore[attr-defined]
    several = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    done = call("-", data=several)
    assert "only the first of its 3 pictures is enlarged" in done.stderr
    assert done.stdout_bytes.count(b"\xff\xd8\xff") == 1


def test_a_stream_in_a_file_or_a_fifo(tmp_path: Path) -> None:
    stream = b"".join(netpbm("P6", n, 3) for n in range(5))
    (tmp_path / "film.ppm").write_bytes(stream)
    expected = call("-", data=stream).stdout_bytes
    assert call(tmp_path / "film.ppm").exit_code == 0
    assert (tmp_path / "film_2x.ppm").read_bytes() == expected
    again = call(tmp_path / "film.ppm")
    assert (again.exit_code, "exists already" in again.stderr) == (1, True)
    assert call("-", "-o", tmp_path / "other.ppm", data=stream[:-1]).exit_code == 1
    assert (tmp_path / "other.ppm").read_bytes() == expected[: len(expected) * 4 // 5]
    both = call(tmp_path / "film.ppm", "-o", tmp_path / "film.ppm", "--overwrite")
    assert "both an input and an output" in both.stderr
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=(tmp_path / "fifo").write_bytes, args=(stream,))
    writer.start()
    assert call(tmp_path / "fifo", "-o", "-").stdout_bytes == expected
    writer.join()


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        (["-", "-f", "webp"], 2, "WebP images cannot follow each other in a stream; use --format png"),
        (["-", "-o", "all.png"], 2, "holds several frames; use --output 'frames/%06d.png'"),
        (["-", "-o", "."], 2, "holds several frames"),
        (["-", "one.ppm", "-o", "."], 2, "standard input holds several images; enlarge it alone"),
        (["-", "--executor", "processes"], 2, "--executor processes needs single images"),
        (["one.ppm", "one.png", "-o", "-"], 1, "would be PNG, but the frames before it are PPM; use --format"),
        (["one.ppm", "none.ppm", "-o", "-"], 1, "none.ppm: cannot be read: No such file or directory"),
        (["-", "--max-pixels", "100"], 1, "larger"),
        (["-", "--json"], 2, "cannot share standard output"),
    ],
)
def test_what_frames_cannot_do_is_said(
    line: list[str], status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.ppm").write_bytes(netpbm("P6", 1, 3))
    Path("one.png").write_bytes(FORMS["png"](1))
    done = call(*line, data=b"".join(netpbm("P6", n, 3) for n in range(3)))
    assert done.exit_code == status
    assert said in done.stderr or said == "larger"
    assert sorted(os.listdir()) == ["one.png", "one.ppm"]


def test_a_bad_frame_does_not_stop_the_numbered_files_after_it(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(1, 6):
        (frames / f"{number}.png").write_bytes(
            encoded(Image.fromarray(samples(number)), "PNG")[: 60 if number in (1, 3) else None]
        )
    made = tmp_path / "made"
    planned = call(frames, "-o", made / "%d.png", "-n")
    assert (planned.exit_code, len(planned.stdout.splitlines())) == (0, 5)
    done = call(frames, "-o", made / "%d.png")
    assert (done.exit_code, sorted(path.name for path in made.iterdir())) == (1, ["2.png", "4.png", "5.png"])
    bad, also, counted = done.stderr.splitlines()
    why = "cannot be decoded: image file is truncated; get another copy, or convert it first."
    for line, number in ((bad, 1), (also, 3)):
        assert line == f"{frames / f'{number}.png'}: {why}"
    assert counted.startswith("3 frames enlarged, 2 failed")
    resumed = call(frames, "-o", made / "%d.png", "--skip-existing", "--json")
    again = [json.loads(line) for line in resumed.stdout.splitlines()]
    assert [each["frame"] for each in again] == [1, 2, 3, 4, 5]
    assert {each["frame"] for each in again if "error" in each} == {1, 3}
    assert all(each["source"] == str(frames / f"{each['frame']}.png") for each in again)
    # Into one stream, nothing can follow a frame that is missing.
    piped = call(frames, "-o", "-")
    assert (piped.exit_code, piped.stdout_bytes) == (1, b"")
    assert piped.stderr == f"{bad}\n"


def test_the_plan_of_a_stream_that_is_cut_ends_as_its_frames_would(tmp_path: Path) -> None:
    stream = netpbm("P6", 1, 3) + netpbm("P6", 2, 3) + netpbm("P6", 3, 3)[:-9]
    planned, done = (call("-", "-o", tmp_path / "%d.ppm", *words, data=stream) for words in (["-n"], []))
    assert len(planned.stdout.splitlines()) == 2
    assert planned.exit_code == done.exit_code == 1
    assert planned.stderr.splitlines()[0] == done.stderr.splitlines()[0].removesuffix(
        " The 2 frames before it are written."
    )


def test_an_input_that_is_missing_is_named_before_numbered_files(tmp_path: Path) -> None:
    done = call(tmp_path / "none.png", "-o", tmp_path / "%d.png")
    assert (done.exit_code, done.stderr) == (
        1,
        f"{tmp_path / 'none.png'}: cannot be read: No such file or directory.\n",
    )


def test_numbered_files_are_resumed_and_reported(tmp_path: Path) -> None:
    stream = b"".join(netpbm("P6", n, 3) for n in range(5))
    output = tmp_path / "frames" / "%04d.jpg"
    done = call("-", "-o", output, "--json", data=stream)
    values = [json.loads(line) for line in done.stdout.splitlines()]
    assert [value["frame"] for value in values] == [1, 2, 3, 4, 5]
    assert values[2]["target"] == str(tmp_path / "frames" / "0003.jpg")
    assert (values[2]["before"], values[2]["after"], values[2]["scale"]) == ([8, 6], [16, 12], [2, 2])
    assert done.stderr.count("JPEG is lossy") == 1, "the same note about every frame is printed once"
    refused = call("-", "-o", output, data=stream)
    assert refused.exit_code == 1
    assert '0001.jpg" exists already; use --overwrite or --skip-existing.' in refused.stderr
    (tmp_path / "frames" / "0002.jpg").unlink()
    resumed = call("-", "-o", output, "--skip-existing", "--json", data=stream)
    assert [json.loads(line).get("skipped", "") != "" for line in resumed.stdout.splitlines()] == [1, 0, 1, 1, 1]
    assert "1 frame enlarged, 4 skipped" in resumed.stderr
    assert len(list((tmp_path / "frames").iterdir())) == 5
    both = call(tmp_path / "frames", "-o", output, "--overwrite")
    assert "is both an input and an output" in both.stderr
    pooled = call("-", "-o", tmp_path / "pooled" / "%d.png", "--window", "2", data=stream, command=pool)
    assert pooled.exit_code == 0, pooled.stderr
    assert len(list((tmp_path / "pooled").glob("*.indices.npz"))) == 5


def test_frames_come_in_turn_and_are_not_read_ahead_of_it() -> None:
    read: list[int] = []

    def frames() -> Iterator[int]:
        for number in range(40):
            read.append(number)
            yield number

    def make(number: int) -> int:
        time.sleep(random.random() / 500)
        return number

    made = iter(InTurn(frames(), make, 3))
    for number in range(10):
        assert next(made) == number
        time.sleep(0.005)
        assert len(read) <= number + 1 + 3 + AHEAD, "memory is bounded by the threads"
    assert list(made) == list(range(10, 40))


@pytest.mark.parametrize("way", ["reading fails", "making fails", "it is stopped", "nobody takes more"])
def test_the_end_of_frames_in_turn(way: str) -> None:
    """What comes before it is given out, nothing is begun after it, and no thread is left."""
    before, made = threading.active_count(), list[int]()

    def frames() -> Iterator[int]:
        for number in range(100):
            if way == "reading fails" and number == 3:
                raise KeyError(number)
            yield number

    def make(number: int) -> int:
        made.append(number)
        if way == "making fails" and number == 3:
            raise KeyError(number)
        for _ in range(3000):
            if number < 3 or turn.over or way.endswith("fails"):
                return number
            time.sleep(0.01)
        raise AssertionError("nobody said that it is over")

    turn = InTurn(frames(), make, 2)
    taken = iter(turn)
    assert [soon(lambda: next(taken)) for _ in range(3)] == [0, 1, 2]
    assert not turn.over
    if way == "it is stopped":
        turn.stop()
    if way == "nobody takes more":
        soon(taken.close)
    else:
        with pytest.raises(Stopped if way == "it is stopped" else KeyError):
            soon(lambda: list(taken))
    assert turn.over
    for _ in range(3000):
        if threading.active_count() == before:
            break
        time.sleep(0.01)
    assert threading.active_count() == before, "a thread waits for ever"
    assert max(made) < 3 + 2 + AHEAD + 1


def test_a_frame_is_written_while_the_next_is_on_its_way() -> None:
    for head, frames in (
        (b"", [netpbm("P6", n, 3) for n in range(2)]),
        (y4m_head("mono", 4, 2), [b"FRAME\n" + bytes(8)]),
    ):
        made = call("-", data=head + b"".join(frames)).stdout_bytes
        with subprocess.Popen([*UPSCALE, "-", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
            assert run.stdin is not None
            assert run.stdout is not None
            run.stdin.write(head + b"".join(frames))
            run.stdin.flush()
            assert run.stdout.read(len(made)) == made
            run.stdin.close()
            assert run.wait(30) == 0


def test_a_reader_that_leaves_ends_a_stream_quietly() -> None:
    with subprocess.Popen(
        [*UPSCALE, "-"], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        frame = netpbm("P6", 1, 3)
        run.stdin.write(frame * 2)
        run.stdin.flush()
        run.stdout.read(8)
        run.stdout.close()
        try:
            for _ in range(100_000):
                run.stdin.write(frame)
        except BrokenPipeError:
            pass
        assert run.stderr is not None
        assert (run.wait(30), run.stderr.read()) == (141, b"")


def test_plans_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = resampling.Plan.__init__

    def counted(self: Any, *arguments: Any) -> None:
        made.append(arguments)
        real(self, *arguments)

    monkeypatch.setattr(resampling.Plan, "__init__", counted)
    resampling.planned.cache_clear()
    assert call("-", "-s", "5", "-j", "1", data=b"".join(netpbm("P6", n, 3) for n in range(20))).exit_code == 0
    assert len(made) == 1
    frame = b"FRAME\n" + bytes(12)
    assert call("-", "-s", "5", "-j", "1", data=y4m_head("420jpeg", 4, 2) + 20 * frame).exit_code == 0
    assert len(made) == 3, "one for luma, one for both planes of chroma"


# Y4M ---------------------------------------------------------------------------------------------------------------

STEPS = {"420": (2, 2), "422": (1, 2), "411": (1, 4), "444": (1, 1)}
CENTRES = {
    **dict.fromkeys(("420jpeg", "420"), (Fraction(1, 2), Fraction(1, 2))),
    **dict.fromkeys(("420mpeg2", "420p10", "420p12"), (Fraction(1, 2), Fraction(0))),
}
"""Where the first sample of chroma lies, down and across, from the centre of the first pixel; others lie there."""


def y4m_head(colours: str, width: int, height: int, more: str = "F25:1 Ip A1:1") -> bytes:
    return f"YUV4MPEG2 W{width} H{height} {more} C{colours} XOWN=kept\n".encode()


class Y4m:
    """A frame made here, and the reference: plain sums in float64, positions as fractions."""

    def __init__(self, colours: str, width: int, height: int) -> None:
        self.colours, self.size = colours, (height, width)
        depth = colours.partition("p1")[2] if "p1" in colours else colours.removeprefix("mono")[:2]
        self.bits = (
            int("1" + depth) if "p1" in colours else int(depth) if depth.isdecimal() and "mono" in colours else 8
        )
        self.steps = STEPS.get(colours[:3])
        self.dtype = np.dtype(np.uint8 if self.bits == 8 else "<u2")

    def shapes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        if self.steps is None:
            return [size]
        small = ceil(size[0] / self.steps[0]), ceil(size[1] / self.steps[1])
        return [size, small, small]

    def planes(self, seed: int) -> list[Array]:
        rng = np.random.default_rng(seed)
        return [rng.integers(0, 2**self.bits, shape).astype(self.dtype) for shape in self.shapes(self.size)]

    def split(self, data: bytes, size: tuple[int, int]) -> list[list[Array]]:
        """The planes of every frame behind the header."""
        frames, at = [], data.index(b"\n") + 1
        while at < len(data):
            assert data[at : at + 5] == b"FRAME"
            at = data.index(b"\n", at) + 1
            planes = []
            for shape in self.shapes(size):
                planes.append(np.frombuffer(data, self.dtype, shape[0] * shape[1], at).reshape(shape))
                at += planes[-1].nbytes
            frames.append(planes)
        return frames

    def expected(self, plane: Array, number: int, after: tuple[int, int], weight: Weight, radius: int) -> Floats:
        sides = []
        for axis in range(2):
            step = self.steps[axis] if number and self.steps else 1
            centre = (
                CENTRES.get(self.colours, (Fraction(0), Fraction(0)))[axis] if number and step > 1 else Fraction(0)
            )
            ratio, count = Fraction(self.size[axis], after[axis]), self.shapes(after)[number][axis]
            matrix = np.zeros((count, plane.shape[axis]))
            for j in range(count):
                pixel = (step * j + centre + Fraction(1, 2)) * ratio - Fraction(1, 2)
                u = (pixel - centre) / step
                for i in range(max(0, floor(u) - radius), min(plane.shape[axis], floor(u) + radius + 2)):
                    matrix[j, i] = weight(abs(i - u))
            sides.append(matrix / matrix.sum(axis=1, keepdims=True))
        made: Floats = np.clip(sides[0] @ plane.astype(np.float64) @ sides[1].T, 0, 2**self.bits - 1)
        return made


@pytest.mark.parametrize("size", [(14, 10), (13, 9)], ids=str)
@pytest.mark.parametrize(
    "colours",
    ["420jpeg", "420mpeg2", "420paldv", "420", "422", "444", "411", "mono", "420p10", "422p12", "444p16", "mono10"],
)
@pytest.mark.parametrize("scale", [Fraction(2), Fraction(5, 2)], ids=str)
def test_planes_are_a_plain_sum_of_their_samples(colours: str, size: tuple[int, int], scale: Fraction) -> None:
    film = Y4m(colours, *size)
    planes = [film.planes(seed) for seed in range(2)]
    stream = y4m_head(colours, *size) + b"".join(b"FRAME Xnote\n" + b"".join(map(bytes, each)) for each in planes)
    done = call("-", "-s", str(float(scale)), data=stream)
    assert done.exit_code == 0, done.stderr
    after = floor(size[1] * scale + Fraction(1, 2)), floor(size[0] * scale + Fraction(1, 2))
    head = done.stdout_bytes[: done.stdout_bytes.index(b"\n") + 1]
    assert head == y4m_head(colours, after[1], after[0])
    assert done.stdout_bytes.count(b"FRAME Xnote\n") == 2
    for source, made in zip(planes, film.split(done.stdout_bytes, after), strict=True):
        for number, (before, plane) in enumerate(zip(source, made, strict=True)):
            exact = film.expected(before, number, after, *FILTERS["lanczos"])
            assert np.abs(plane - exact).max() <= 0.51, (colours, number)


@pytest.mark.parametrize("method", ["learned", "transposed-conv", "nearest"])
def test_luma_goes_by_the_method_and_chroma_stays_in_its_place(method: str) -> None:
    film = Y4m("420mpeg2", 16, 12)
    planes = film.planes(1)
    done = call("-", "-m", method, data=y4m_head("420mpeg2", 16, 12) + b"FRAME\n" + b"".join(map(bytes, planes)))
    (made,) = film.split(done.stdout_bytes, (24, 32))
    grey = b"P5 16 12 255\n" + planes[0].tobytes()
    assert made[0].tobytes() == enlarged(grey, scale=2, method=method)[0][-24 * 32 :]
    for number in (1, 2):
        if method == "nearest":
            assert (made[number] == planes[number].repeat(2, 0).repeat(2, 1)).all()
        else:
            exact = film.expected(planes[number], number, (24, 32), keys(Fraction(-1, 2)), 2)
            assert np.abs(made[number] - exact).max() <= 0.51


@pytest.mark.parametrize("method", ["bilinear", "bicubic", "lanczos", "nearest"])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("colours", ["420jpeg", "420mpeg2", "420paldv", "422"])
def test_an_impulse_of_chroma_stays_where_it_is(method: str, scale: int, colours: str) -> None:
    """Its centre of gravity, in pixels of the picture, lies as far inside as before."""
    film = Y4m(colours, 32, 32)
    planes = [np.zeros(shape, np.uint8) for shape in film.shapes(film.size)]
    place = planes[1].shape[0] // 2, planes[1].shape[1] // 2
    planes[1][place] = planes[2][place] = 255
    stream = y4m_head(colours, 32, 32) + b"FRAME\n" + b"".join(map(bytes, planes))
    (made,) = film.split(call("-", "-m", method, "-s", str(scale), data=stream).stdout_bytes, (32 * scale,) * 2)
    assert film.steps is not None
    for axis in range(2):
        step, centre = film.steps[axis], float(CENTRES.get(colours, (0, 0))[axis])
        centre = centre if step > 1 else 0
        weights = made[1].astype(float).sum(axis=1 - axis)
        found = (weights * (step * np.arange(len(weights)) + centre)).sum() / weights.sum()
        expected = (step * place[axis] + centre + 0.5) * scale - 0.5
        # A copy can be half a sample of the enlarged plane away.
        assert abs(found - expected) < (0.51 * step if method == "nearest" else 0.06), axis


@needs_ffmpeg
@pytest.mark.parametrize(("colours", "location"), [("420mpeg2", "left"), ("420jpeg", "center"), ("420p10", "left")])
def test_planes_are_those_of_zscale(colours: str, location: str) -> None:
    filters = subprocess.run(["ffmpeg", "-v", "quiet", "-filters"], capture_output=True, text=True, check=True).stdout
    if " zscale " not in filters:
        pytest.skip("this ffmpeg has no zscale")
    shape = Y4m(colours, 64, 48)
    # Without overshoots, which zscale clamps between its two passes.
    planes = [plane // 2 + 2 ** (shape.bits - 2) for plane in shape.planes(1)]
    film = y4m_head(colours, 64, 48) + b"FRAME\n" + b"".join(map(bytes, planes))
    scale = f"zscale=128:96:filter=lanczos:param_a=3:chromalin={location}:chromal={location}"
    command = ["ffmpeg", "-v", "error", "-i", "-", "-vf", scale, "-strict", "-1", "-f", "yuv4mpegpipe", "-"]
    theirs = subprocess.run(command, input=film, capture_output=True, check=True).stdout
    (made,) = shape.split(call("-", "-s", "2", data=film).stdout_bytes, (96, 128))
    (other,) = shape.split(theirs, (96, 128))
    for number, (plane, reference) in enumerate(zip(made, other, strict=True)):
        inside = slice(8, -8), slice(8, -8)  # edges are mirrored there
        difference = np.abs(plane[inside].astype(int) - reference[inside])
        assert difference.max() <= 1, (number, difference.max())


def test_y4m_says_what_it_is_and_what_it_cannot() -> None:
    planes = b"FRAME\n" + bytes(12)
    interlaced = call("-", data=y4m_head("420jpeg", 4, 2, "It A1:1") + 3 * planes)
    assert interlaced.exit_code == 0
    assert interlaced.stderr.count("interlaced (top field first)") == 1
    wide = call("-", "-s", "4x2", data=y4m_head("420jpeg", 4, 2, "Ip A10:11") + planes)
    assert wide.stdout_bytes.startswith(b"YUV4MPEG2 W16 H4 Ip A5:11 C420jpeg XOWN=kept\n")
    top = call("-", "-m", "lanczos", data=y4m_head("mono10", 4, 2) + b"FRAME\n" + struct.pack("<8H", *[0, 1023] * 4))
    assert max(np.frombuffer(top.stdout_bytes[-64:], "<u2")) == 1023
    for line, head, said in (
        (
            ["-m", "bed-of-nails"],
            y4m_head("420jpeg", 4, 2),
            "has chroma, of which the zeros of bed-of-nails are green",
        ),
        (["-m", "epx"], y4m_head("420jpeg", 4, 2), "luma and chroma, and epx compares whole colours"),
        (["--linear"], y4m_head("420jpeg", 4, 2), "which have no linear light"),
        (["-f", "png"], y4m_head("420jpeg", 4, 2), "Y4M frames stay Y4M"),
        (["-o", "%d.png"], y4m_head("420jpeg", 4, 2), "whose frames are no images"),
        ([], y4m_head("444alpha", 4, 2), "colours 444alpha"),
        ([], y4m_head("420p20", 4, 2), "colours 420p20"),
        ([], b"YUV4MPEG2 W4\n", "without a width and a height"),
        ([], y4m_head("420jpeg", 10**6, 10**6), "has 1,000,000,000,000 pixels"),
        ([], y4m_head("420jpeg", 4, 2) + b"frame\n", "does not begin with FRAME"),
        (["--max-pixels", "7"], y4m_head("420jpeg", 4, 2), "raise the limit"),
    ):
        done = call("-", *line, data=head + (b"" if head.endswith(b"frame\n") else planes))
        assert done.exit_code in (1, 2)
        assert said in done.stderr
        assert done.stdout_bytes == b""
    assert call("-", data=y4m_head("420jpeg", 4, 2) + planes, command=pool).exit_code == 2


@pytest.mark.long
def test_ten_thousand_frames_need_no_more_memory_than_a_hundred() -> None:
    script = (
        "import resource, subprocess, sys\n"
        "frame, count = b'P6 64 36 255\\n' + bytes(64 * 36 * 3), int(sys.argv[1])\n"
        "with subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as run:\n"
        "    for _ in range(count): run.stdin.write(frame)\n"
        "    run.stdin.close()\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", script, count, *UPSCALE, "-", "-q"], capture_output=True, check=True
            ).stdout
        )
        for count in ("100", "10000")
    ]
    assert peaks[1] < 1.1 * peaks[0], peaks

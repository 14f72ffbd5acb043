"""What people type in the first hour, and what they get."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from breaking import UPSCALE, contents, ended, in_a_shell, needs_posix, open_terminal, picture
from click.testing import CliRunner, Result
from PIL import Image

from upscale_cli import METHODS
from upscale_cli.batch.plan import Job, Plan
from upscale_cli.batch.run import PATIENCE, Run
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli
from upscale_cli.places.files import FileSource
from upscale_cli.work.result import Result as Made


def call(*arguments: object, status: int = 0, command: Any = cli) -> Result:
    """A command in this process."""
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `in.png` of 30 x 20 and `b.jpg` of 10 x 10."""
    picture(tmp_path / "in.png", 30, 20)
    picture(tmp_path / "b.jpg", 10, 10)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Habits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in.png", "out.png"], '"out.png" does not exist; did you mean -o out.png?'),
        (["in.png", "b.jpg", "out.webp"], "did you mean -o out.webp?"),
        (["in.png", "b.jpg", "large/"], "did you mean -o large/?"),
        (["in.png", "empty"], '"empty" has no image of a known format; did you mean -o empty?'),
        (["in.png", "b.jpg", "-o", "both.png"], "did you mean -o both/?"),
        (["folder", "-o", "both.png"], "did you mean -o both/?"),
        (["in.png", "-o", "out.png", "-f", "jpeg"], '"out.png" is the name of a PNG, but --format says JPEG'),
        (["in.png", "-o", "{stem}_large.jpg", "-f", "png"], "is the name of a JPEG, but --format says PNG"),
        (["in.png", "-o", "{name}.png"], '"{name}" of --output is not one of {parent}, {stem}'),
        (["in.png", "-o", "{stem.__class__}.png"], "is not one of"),
        (["in.png", "-o", "{stem!r}.png"], '"{stem!r}" of --output is not one of'),
        (["in.png", "-o", "{width:05d}.png"], '"{width:05d}" of --output is not one of'),
        (["in.png", "-o", "a}.png"], "has a single brace"),
        (["in.png", "--size", "200%"], "use --scale 200% for a factor"),
        (["in.png", "--size", "60", "--fit", "cover"], "--fit cover needs a width and a height"),
        (["in.png", "--fit", "pad"], "need a --size"),
        (["in.png", "--if-smaller", "skip"], "need a --size"),
        (
            ["in.png", "--size", "9", "--if-smaller", "skip", "--allow-smaller"],
            "--allow-smaller and --if-smaller exclude",
        ),
        (["in.png", "-s", "0.5"], "--scale 0.5 makes images smaller; add --allow-smaller"),
        (["in.png", "-s", "50%"], "--scale 0.5 makes images smaller; add --allow-smaller"),
        (["in.png", "--size", "60x60", "--fit", "pad", "--background", "mauvish"], '"mauvish" is not a colour'),
        (["in.png", "--size", "60x60", "--background", "red"], "--background is the border of --fit pad"),
        (
            ["in.png", "--size", "60x60", "--fit", "pad", "-m", "max-unpooling"],
            "indices are those of the whole image",
        ),
        (["in.png", "-0"], "-0 is about --files-from"),
        (["/dev/fd/999"], '"/dev/fd/999" is not open; use a file'),
        (["/dev/fd/99999999999"], '"/dev/fd/99999999999" is not open; use a file'),
        (["--files-from", "absent.txt"], '--files-from "absent.txt" cannot be read'),
        (["-", "--files-from", "-"], "only one input can be a pipe"),
    ],
)
def test_slips_are_named_before_any_work(here: Path, arguments: list[str], words: str) -> None:
    (here / "empty").mkdir()
    picture(here / "folder" / "c.png")
    before = contents(here)
    result = call(*arguments, status=2)
    assert words in result.stderr
    assert not result.stdout
    assert contents(here) == before


@pytest.mark.parametrize(
    ("typed", "size"),
    [
        (["-s", "4x"], (120, 80)),
        (["-s", "x4"], (120, 80)),
        (["-s", "4X"], (120, 80)),
        (["-s", "200%"], (60, 40)),
        (["-s", "150%"], (45, 30)),
        (["-s", "3×2"], (90, 40)),
        (["-s", "300%x200%"], (90, 40)),
        (["--size", "90×90"], (90, 60)),
        (["--size", "90 X 90"], (90, 60)),
        (["--size", "90*90"], (90, 60)),
        (["--size", "90px"], (90, 60)),
        (["--size", "x40"], (60, 40)),
    ],
)
def test_scales_and_sizes_as_people_type_them(here: Path, typed: list[str], size: tuple[int, int]) -> None:
    call("in.png", "-o", "out.png", *typed)
    assert size_of(here / "out.png") == size


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("nn", "nearest"),
        ("NN", "nearest"),
        ("point", "nearest"),
        ("neighbour", "nearest"),
        ("ai", "learned"),
        ("waifu2x", "learned"),
        ("cubic", "bicubic"),
        ("keys", "bicubic"),
        ("linear", "bilinear"),
        ("catrom", "catmull-rom"),
        ("hanning", "hann"),
        ("magic-kernel-sharp-2021", "mks2021"),
        ("lanczos3", "lanczos"),
        ("deconvolution", "transposed-conv"),
        ("unpool", "max-unpooling"),
        ("lanzcos", "lanczos"),
    ],
)
def test_what_others_call_a_method(here: Path, typed: str, meant: str) -> None:
    assert f'unknown method "{typed}". Did you mean "{meant}"?' in call("in.png", "-m", typed, status=2).stderr


def test_no_name_of_others_is_that_of_two_methods() -> None:
    words = [word for method in METHODS.values() for word in (method.name, *method.known_as)]
    assert len(words) == len(set(words))


def test_help_fits_a_small_terminal_and_the_rest_is_a_word_away() -> None:
    short, long = call("--help").stdout.splitlines(), call("--help", "all").stdout
    assert len(short) <= 24
    assert max(map(len, short)) <= 80
    assert sum(bool(re.match(r"  (-\w, )?--", line)) for line in short) == 10
    assert "--help all" in short[-1]
    for option in ("--linear", "--executor", "--files-from", "--fit"):
        assert option in long
        assert option not in "\n".join(short)


# Inputs -------------------------------------------------------------------------------------------------------------


@needs_posix
def test_lists_of_inputs(here: Path) -> None:
    odd = picture(here / "new\nline.png", 4, 4)
    (here / "list.txt").write_bytes(b"\xef\xbb\xbfin.png\r\n\r\nb.jpg\n")  # as Windows writes it
    (here / "list.0").write_bytes(b"in.png\0" + os.fsencode(odd.name) + b"\0")
    assert call("--files-from", "list.txt", "-n").stdout.splitlines() == [
        "in.png 30x20 → in_2x.png 60x40",
        "b.jpg 10x10 → b_2x.jpg 20x20",
    ]
    assert call("--files-from", "list.0", "-0", "-n").stdout.splitlines()[1:] == [
        r"new\nline.png 4x4 → new\nline_2x.png 8x8"
    ]
    for name in ("-", "/dev/stdin"):
        done = ended([*UPSCALE, "--files-from", name, "-o", f"out{len(name)}"], here, input=b"in.png\nb.jpg\n")
        assert done.returncode == 0, done.stderr
        assert sorted(contents(here / f"out{len(name)}")) == ["b.jpg", "in.png"]
    # A list may name what is there no more: one line, and the others are made.
    (here / "list.txt").write_bytes(b"in.png\nabsent.png")
    assert "absent.png: cannot be read" in call("--files-from", "list.txt", "-o", "out", status=1).stderr
    (here / "list.txt").write_bytes(b"\n")
    assert "lists no file" in call("--files-from", "list.txt", status=1).stderr
    pooled = CliRunner().invoke(pool_cli, ["--files-from", "list.0", "-0", "-n"])
    assert pooled.exit_code == 0, pooled.output


@pytest.mark.long
@needs_posix
@pytest.mark.parametrize(
    "line",
    [
        "{} /dev/stdin -s 3 < in.png",
        "{} <(cat in.png) -s 3",
        "cat in.png | {} /dev/fd/0 -s 3",
        "cat in.png | {} /dev/stdin -s 3 -o -",
        "{} <(cat in.png) -s 3 -o out.png && cat out.png",
        'cd / && {} "$OLDPWD/in.png" -s 3 -o >(cat)',
    ],
)
def test_other_names_of_standard_input(here: Path, line: str) -> None:
    call("in.png", "-s", "3", "-o", "expected.png")
    done = in_a_shell(UPSCALE, line, here)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (here / "expected.png").read_bytes()


@needs_posix
def test_only_one_pipe_is_read(here: Path) -> None:
    done = in_a_shell(UPSCALE, "{} <(cat in.png) <(cat b.jpg) -o out", here)
    assert (done.returncode, done.stderr) == (
        2,
        b"upscale: only one input can be a pipe; save the others to files.\n",
    )


# Names --------------------------------------------------------------------------------------------------------------


def test_a_second_run_leaves_the_results_of_the_first_alone(here: Path) -> None:
    call("b.jpg", "in.png")
    again = sorted(path.name for path in here.iterdir())
    assert again == ["b.jpg", "b_2x.jpg", "in.png", "in_2x.png"]
    second = call(*again, status=1)
    assert "upscale: left out as results of earlier runs: b_2x.jpg, in_2x.png." in second.stderr
    assert 'b_2x.jpg" exists already' in second.stderr
    other = call(*again, "-s", "1.5", "--json")
    assert sorted(contents(here)) == sorted([*again, "b_1.5x.jpg", "in_1.5x.png"])
    skipped = [line for line in map(json.loads, other.stdout.splitlines()) if "skipped" in line]
    assert skipped == [
        {"source": "b_2x.jpg", "skipped": "is a result of b.jpg."},
        {"source": "in_2x.png", "skipped": "is a result of in.png."},
    ]
    call(*sorted(path.name for path in here.iterdir()), "--size", "40x40")
    assert len(contents(here)) == 8
    # Alone it is meant, and so is a picture of that name and another size.
    call("b_2x.jpg", "-s", 3)
    picture(here / "in_2x.png", 31, 40)
    call("in.png", "in_2x.png", "-s", 3)
    assert size_of(here / "in_2x_3x.png") == (93, 120)


def test_templates_name_results(here: Path) -> None:
    template = "{parent}/{stem}_{method}_{scale}x{suffix}"
    picture(here / "deep" / "in.png", 6, 4)
    for method in ("lanczos", "nearest"):
        call("in.png", "deep", "-o", template, "-m", method, "-s", "1.5")
    made = {f"{folder}in_{method}_1.5x.png" for folder in ("", "deep/") for method in ("lanczos", "nearest")}
    assert made < contents(here).keys()
    call("b.jpg", "-o", "{width}/{stem}{{}}{height}.webp", "--size", "40x")
    with Image.open(here / "40" / "b{}40.webp") as image:
        assert (image.format, image.size) == ("WEBP", (40, 40))
    call("b.jpg", "-o", "{stem}_{scale}{suffix}", "-s", "3x2", "-f", "png")
    assert size_of(here / "b_3x2.png") == (30, 20)
    # Typed twice, the results are no inputs.
    names = [path.name for path in here.glob("in*")]
    assert (
        "left out as results of earlier runs: in_lanczos_1.5x.png"
        in call(*names, "-o", template, "-s", 1.5, "--skip-existing").stderr
    )
    assert (
        "Several inputs would be written to the same file"
        in call("in.png", "deep", "-o", "x{stem}.png", status=2).stderr
    )
    call("in.png", "-o", template, command=pool_cli)
    assert (here / "in_pooled_2x.png").is_file()


def test_another_method_does_not_collide_silently(here: Path) -> None:
    call("in.png", "-m", "nearest")
    before = contents(here)
    said = call("in.png", "-m", "lanczos", status=1).stderr
    assert '"in_2x.png" exists already; use --overwrite or --skip-existing.' in said
    said = call("in.png", "-m", "lanczos", "--skip-existing").stderr
    assert said.startswith("No image enlarged, 1 skipped")
    assert contents(here) == before


def test_each_skipped_one_is_a_line_of_json(here: Path) -> None:
    call("in.png", "-o", "out/")
    lines = call("in.png", "b.jpg", "-o", "out/", "--skip-existing", "--json").stdout.splitlines()
    assert json.loads(lines[0]) == {"source": "in.png", "skipped": '"out/in.png" exists already.'}
    assert json.loads(lines[1])["target"] == "out/b.jpg"


def test_two_runs_that_skip_what_exists_end_well(here: Path) -> None:
    for number in range(12):
        picture(here / "many" / f"{number}.png", 60, 40, seed=number)
    line = [*UPSCALE, "many", "-o", "out", "-s", "4", "--skip-existing", "-j", "2"]
    runs = [subprocess.Popen(line, stderr=subprocess.PIPE) for _ in range(3)]
    said = [run.communicate(timeout=60)[1].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    counts = [re.match(r"(No|\d+) images? enlarged(?:, (\d+) skipped)?", each) for each in said]
    assert all(counts), said
    assert sum(int(each[1].replace("No", "0")) for each in counts if each) == 12
    assert len(contents(here / "out")) == 12


# Said ---------------------------------------------------------------------------------------------------------------


def test_options_that_do_nothing_say_so(here: Path) -> None:
    def said(*arguments: object) -> str:
        return call("in.png", "b.jpg", "-o", "out", "--overwrite", *arguments).stderr

    assert "upscale: --quality does nothing for PNG.\n" in said("--quality", 90)
    assert "upscale: --compression does nothing for JPEG.\n" in said("--compression", "small")
    assert "upscale: --subsampling does nothing for PNG.\n" in said("--subsampling", "4:2:0")
    assert "upscale: --lossless does nothing for PNG.\n" in call("in.png", "-o", "c.png", "--lossless").stderr
    assert "upscale: --linear does nothing for nearest.\n" in said("--linear", "-m", "nearest")
    assert "upscale: --quality does nothing for PNG, TIFF or .npy.\n" not in said("--quality", 90, "-f", "webp")
    assert "does nothing" not in said("--quality", 90, "-f", "webp") + said("--linear")
    assert "upscale: --jobs 1000 makes nothing faster than" in said("-j", 1000)
    assert said("-j", 1000, "--quality", 90, "-q") == ""


def test_a_dry_run_prints_its_plan_on_standard_output(here: Path) -> None:
    result = call("in.png", "b.jpg", "-n", "--size", 20, "--if-smaller", "skip")
    assert result.stdout.splitlines() == [
        "b.jpg 10x10 → b_20x20.jpg 20x20",
        "in.png: skipped, because it is 30x20, large enough already.",
    ]
    assert result.stderr == ""


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-8"])
def test_consoles_of_other_encodings_lose_no_line(encoding: str, here: Path) -> None:
    made = subprocess.run(
        [*UPSCALE, "in.png", "-n"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        check=True,
    )
    arrow = "→".encode(encoding, "backslashreplace")
    assert made.stdout.split()[2:] == [arrow, b"in_2x.png", b"60x40"]


@pytest.mark.long
def test_a_terminal_is_told_what_was_written(here: Path) -> None:
    main, terminal = open_terminal()
    for more in ([], ["-q"], ["b.jpg"]):
        target = ["-o", f"out{len(more)}{''.join(more)[:1]}/"]
        subprocess.run(
            [*UPSCALE, "in.png", *more, *target], stdin=terminal, stdout=terminal, stderr=terminal, check=True
        )
        if not more:
            assert re.search(rb"in\.png 30x20 \S+ out0/in\.png 60x40 in \d+\.\d\d s", os.read(main, 4096))
        elif more == ["b.jpg"]:
            assert b"2 images enlarged" in os.read(main, 4096)
    os.close(terminal)
    os.close(main)


class Endless:
    """Work that never asks whether it shall stop, as encoders do not."""

    format = None

    def __init__(self, begun: threading.Event, end: threading.Event) -> None:
        self.begun, self.end = begun, end

    def carry_out(self, *_: object) -> Made:
        self.begun.set()
        self.end.wait(60)
        return Made()


def test_a_run_is_stopped_while_a_job_works_on(here: Path) -> None:
    begun, end = threading.Event(), threading.Event()
    source: Any = FileSource(here / "in.png")
    run = Run(Plan(jobs=[Job(source, source.default_target("2x", ".png"), Endless(begun, end), Made())]))  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool:
        outcomes = pool.submit(lambda: list(run))
        assert begun.wait(30)
        start = time.perf_counter()
        run.stop()
        assert outcomes.result(timeout=120) == []
        assert PATIENCE < 0.5
        assert time.perf_counter() - start < 20, "the job was waited for"
        end.set()


@needs_posix
def test_ctrl_c_inside_a_large_picture(here: Path) -> None:
    picture(here / "large.png", 2000, 1500)
    run = subprocess.Popen(
        [*UPSCALE, "large.png", "-m", "learned", "-p", "size=large", "-s", "4", "-o", "out/large.webp"],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no thread runs here
    )
    while not list(here.glob("out/.upscale-*")):
        time.sleep(0.01)
        assert run.poll() is None, "it was over before the signal"
    start = time.perf_counter()
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    taken = time.perf_counter() - start
    assert (run.returncode, said) == (130, b"upscale: stopped; nothing was written.\n")
    assert list((here / "out").iterdir()) == []
    assert taken < 5, "the picture takes minutes; half a second on a machine that has nothing else to do"

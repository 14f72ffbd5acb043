"""The command line: what it says, where it says it, and with which status it ends."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from breaking import Record, needs_posix, open_terminal
from click.testing import CliRunner, Result
from PIL import Image

from upscale_cli import METHODS, __version__
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli

SAMPLES = Path(__file__).parents[1] / "sample_images"
COMMAND = [sys.executable, "-m", "upscale_cli"]


def call(*arguments: object, status: int = 0) -> Result:
    """The command in this process."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def shell(
    arguments: Sequence[object], cwd: Path, data: bytes = b"", **options: object
) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    line = [*COMMAND, *map(str, arguments)]
    return subprocess.run(line, cwd=cwd, input=data, capture_output=True, timeout=60, check=False, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    return path


def test_help_begins_with_examples() -> None:
    lines = call("--help", "all").stdout.splitlines()
    assert len(lines) <= 58
    assert max(map(len, lines)) <= 80
    assert lines[2].strip().startswith("upscale photo.jpg")


@pytest.mark.parametrize("arguments", [["--methods"], ["--help", "all"], ["--version"]])
def test_help_that_nobody_reads_ends_as_a_closed_pipe_does(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, *arguments], stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@needs_posix
def test_ctrl_c_while_modules_are_imported_is_no_traceback(tmp_path: Path) -> None:
    """It comes from a module that stands in for NumPy, which takes the longest."""
    (tmp_path / "numpy.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(50)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{SAMPLES.parent}"}
    line = [*COMMAND, "in.png"]
    done = subprocess.run(line, env=environment, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, b"upscale: stopped.\n")


def test_one_name_that_cannot_be_opened_does_not_stop_the_others(picture: Path, tmp_path: Path) -> None:
    long = tmp_path / f"{'a' * 300}.png"
    for inputs in ([long, picture], [long]):
        done = call(*inputs, "-o", tmp_path / "made/", status=1)
        assert f"{long}: cannot be read: File name too long." in done.stderr.splitlines()
    assert (tmp_path / "made" / "in.png").exists()


@needs_posix
def test_what_may_be_written_need_not_be_readable(picture: Path, tmp_path: Path) -> None:
    """Root may read everything, so Click is told that nobody may."""
    (tmp_path / "drop").mkdir()
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{SAMPLES.parent}"}
    (tmp_path / "sitecustomize.py").write_text(
        "import os\naccess = os.access\n"
        "os.access = lambda name, mode, **how: mode != os.R_OK and access(name, mode, **how)\n"
    )
    line = [*COMMAND, str(picture), "-o", "drop/"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [[""], ["in.png", "-o", ""], ["in.png", "--files-from", ""]])
def test_an_empty_name_is_refused(arguments: list[str]) -> None:
    assert "the name is empty; name a file or a folder." in call(*arguments, status=2).stderr


def test_a_folder_is_named_as_it_was_typed(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(picture.parent.parent)
    typed = picture.parent.name
    assert f" → {Path(f'{typed}_2x', picture.name)} " in call(typed, "-n").stdout


def test_help_names_every_file_of_every_method() -> None:
    text = call("--help", "all").stdout
    assert f"{len(METHODS)} methods: see --methods" in text
    for row in METHODS.values():
        assert all(f"--{p.name}" in text for p in row.parameters if p.file)


def test_nothing_gives_short_help_and_version_its_number() -> None:
    result = call(status=2)
    assert "upscale photo.jpg" in result.stderr
    assert not result.stdout
    assert call("--version").stdout == f"upscale {__version__}\n"


def test_as_it_stands(picture: Path) -> None:
    assert shell(["in.png", "--method", "lanczos", "-s", "4"], picture.parent).returncode == 0
    with Image.open(picture.with_name("in_4x.png")) as made:
        assert made.size == (120, 80)


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (["-s", "1.5"], (45, 30)),
        (["-s", "3x2"], (90, 40)),
        (["--size", "300"], (300, 200)),
        (["--size", "90x90"], (90, 60)),
        (["--size", "x44"], (66, 44)),
        (["--size", "61x"], (61, 41)),
        (["--size", "60x", "-m", "bed-of-nails"], (60, 40)),
        ([], (60, 40)),
    ],
)
def test_sizes(picture: Path, arguments: list[str], size: tuple[int, int]) -> None:
    call(picture, "-o", picture.with_name("out.png"), *arguments)
    with Image.open(picture.with_name("out.png")) as made:
        assert made.size == size


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-s", "0"], 'scale "0"'),
        (["-s", "-1"], 'scale "-1"'),
        (["-s", "nan"], 'scale "nan"'),
        (["-s", "inf"], 'scale "inf"'),
        (["-s", "1e308"], 'scale "1e308"'),
        (["-s", "1e999999999"], 'scale "1e999999999"'),
        (["-s", "2xx"], 'scale "2xx"'),
        (["--size", "0"], 'size "0"'),
        (["--size", "x"], 'size "x"'),
        (["-s", "2", "--size", "90"], "leave one out"),
        (["-m", "lanzcos"], 'Did you mean "lanczos"?'),
        (["-p", "a=9"], "a=9 is not an integer from 2 to 8"),
        (["-p", "b=0.3"], 'no parameter "b"; it takes a'),
        (["-p", "oops"], '"oops" is not KEY=VALUE'),
        (["-m", "scale2x", "-p", "a=3"], "it takes none"),
        (["-m", "learned", "-p", "network=x", "--network", "y"], "network was given twice"),
        (["--kernel", "k.npy"], "lanczos takes no --kernel"),
        (["-m", "transposed-conv", "--kernel", "absent.npy"], 'kernel file "absent.npy" cannot be read'),
        (["-m", "learned", "--network", "absent.npz"], 'network file "absent.npz" cannot be read'),
        (["-f", "jpgg"], 'unknown format "jpgg"'),
        (["-o", "out.xyz"], "--format"),
        (["--overwrite", "--skip-existing"], "leave one out"),
        (["--max-pixels", "lots"], '--max-pixels "lots" is not an integer'),
        (["-j", "0"], '--jobs "0" is not an integer of at least 1'),
        (["--quality", "best"], "1 to 100, or keep"),
        (["--subsampling", "4:1:1"], "subsampling"),
        (["-o", "-", "--preserve-times"], "--preserve-times needs files"),
        (["-", "--preserve-times"], "--preserve-times needs files"),
        (["-o", "-", "--json"], "cannot share standard output"),
        (["--quality", "101"], "quality"),
        (["--compression", "tiny"], "compression"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(picture: Path, arguments: list[str], words: str) -> None:
    result = call(picture, *arguments, status=2)
    assert words in result.stderr
    assert not result.stdout
    assert list(picture.parent.iterdir()) == [picture]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-s", "1000000"], "the largest factor that fits is"),
        (["-s", "1000", "-o", "out.webp"], "WebP allows 16,383 per side; the largest factor that fits is 546.1"),
        (["--size", "10"], "larger than 10x7; --allow-smaller reduces it"),
        (["-m", "bed-of-nails", "-s", "1.5"], "needs an integer factor, not 1.5; try 2"),
        (["-m", "max-unpooling"], "upscale-pool"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(picture: Path, arguments: list[str], words: str) -> None:
    start = time.process_time()
    result = call(picture, *arguments, status=1)
    assert time.process_time() - start < 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(str(picture))
    assert list(picture.parent.iterdir()) == [picture]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in call(tmp_path / "absent.png", status=1).stderr


def test_pipes_give_the_bytes_of_files(picture: Path) -> None:
    once = shell(["-", "-s", "3"], picture.parent, picture.read_bytes())
    assert once.stderr == b""
    twice = shell(["-", "-m", "nearest", "-s", "2"], picture.parent, once.stdout)
    call(picture, "-s", "3", "-o", picture.with_name("a.png"))
    call(picture.with_name("a.png"), "-m", "nearest", "-s", "2", "-o", picture.with_name("b.png"))
    assert twice.stdout == picture.with_name("b.png").read_bytes()


def test_a_small_png_is_smaller_and_holds_the_same_pixels(tmp_path: Path) -> None:
    scene = Path(__file__).parents[1] / "sample_images" / "scene.png"
    made = {}
    for compression in ("fast", "small"):
        target = tmp_path / f"{compression}.png"
        call(scene, "-s", 2, "-o", target, "--compression", compression)
        made[compression] = Image.open(target)
        made[compression].load()
    assert (tmp_path / "small.png").stat().st_size < 0.95 * (tmp_path / "fast.png").stat().st_size
    assert made["small"].tobytes() == made["fast"].tobytes()


def test_a_compression_that_the_format_does_not_have_is_refused_with_those_it_has(picture: Path) -> None:
    others = {"tiff": ("small", "deflate, or none, lzw, zstd"), "png": ("lzw", "fast, or small")}
    for format, (compression, way) in others.items():
        said = call(picture, "-f", format, "--compression", compression, status=1).stderr
        assert f"{format.upper()}, which has no compression {compression}; use --compression {way}." in said
    assert list(picture.parent.iterdir()) == [picture]


def test_standard_input_to_a_folder_and_a_format(picture: Path) -> None:
    shell(["-", "-o", "out/"], picture.parent, picture.read_bytes())
    assert (picture.parent / "out" / "stdin.png").is_file()
    assert shell(["-", "-f", "jpeg"], picture.parent, picture.read_bytes()).stdout[:2] == b"\xff\xd8"


def broken_folder(folder: Path) -> None:
    """Fifty files, three of them broken, two in folders below."""
    (folder / "deep" / "er").mkdir(parents=True)
    for i in range(47):
        place = folder / "deep" / "er" if i < 2 else folder
        Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(place / f"{i:02}.png")
    good = (folder / "40.png").read_bytes()
    (folder / "half.png").write_bytes(good[: len(good) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.gif").write_text("no picture")
    (folder / "notes.txt").write_text("not looked at")


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_folder_with_broken_files(tmp_path: Path, jobs: int) -> None:
    broken_folder(tmp_path / "in")
    result = call(tmp_path / "in", "-o", tmp_path / "out", "-j", jobs, status=1)
    lines = result.stderr.splitlines()
    assert len(list((tmp_path / "out").rglob("*.*"))) == 47
    assert (tmp_path / "out" / "deep" / "er" / "00.png").is_file()
    assert sorted(Path(line.split(": ")[0]).name for line in lines[:3]) == ["empty.jpg", "half.png", "text.gif"]
    assert lines[3].startswith("47 images enlarged, 3 failed, in ")
    assert len(lines) == 4


def test_a_folder_without_an_output_gets_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "in" / "below").mkdir(parents=True)
    Image.new("L", (2, 2)).save(tmp_path / "in" / "below" / "a.png")
    call(tmp_path / "in")
    assert (tmp_path / "in_2x" / "below" / "a.png").is_file()


def test_an_output_folder_inside_the_input_is_not_walked(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    for _ in range(2):
        call(tmp_path, "-o", tmp_path / "out", "--overwrite")
    assert [p.name for p in tmp_path.rglob("*.png")] == ["a.png", "a.png"]


def test_clashes_are_found_before_any_work(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        Image.new("L", (2, 2)).save(tmp_path / name)
    both = [tmp_path / "a.jpg", tmp_path / "a.png"]
    assert (
        "Several inputs would be written to the same file"
        in call(*both, "-f", "webp", "-o", tmp_path / "out", status=2).stderr
    )
    assert not (tmp_path / "out").exists()
    (tmp_path / "b.png").symlink_to("a.png")
    os.link(tmp_path / "a.png", tmp_path / "c.png")
    for name in ("a.png", "b.png", "c.png"):
        before = (tmp_path / "a.png").read_bytes()
        result = call(tmp_path / "a.png", "-o", tmp_path / name, "--overwrite", status=2)
        assert "both an input" in result.stderr
        assert (tmp_path / "a.png").read_bytes() == before


def test_a_kernel_is_an_input_too(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.ones((4, 4)))
    np.save(tmp_path / "kernel.npy", np.ones((2, 2)))
    before = (tmp_path / "kernel.npy").read_bytes()
    told = [
        "-m",
        "transposed-conv",
        "--kernel",
        tmp_path / "kernel.npy",
        "-o",
        tmp_path / "kernel.npy",
        "--overwrite",
    ]
    assert "both an input" in call(tmp_path / "in.npy", *told, status=2).stderr
    assert (tmp_path / "kernel.npy").read_bytes() == before


def test_existing_targets(picture: Path) -> None:
    target = picture.with_name("in_2x.png")
    target.write_text("precious")
    assert "exists already; use --overwrite or --skip-existing" in call(picture, status=1).stderr
    call(picture, "--skip-existing")
    assert target.read_text() == "precious"
    call(picture, "--overwrite")
    with Image.open(target) as made:
        assert made.size == (60, 40)


def test_a_user_can_raise_the_limit_of_sources(picture: Path) -> None:
    why = "has 600 pixels, more than the limit of 500; cut it into parts, or raise the limit:"
    for command in (cli, pool_cli):
        words = [str(picture), "-o", str(picture.parent / "out.png"), "--overwrite", "--max-source-pixels"]
        refused, made = (CliRunner().invoke(command, [*words, limit]) for limit in ("500", "600"))
        assert refused.stderr == f"{picture}: {why} --max-source-pixels (now 500).\n"
        assert (refused.exit_code, made.exit_code) == (1, 0)


@pytest.mark.parametrize(("dtype", "beyond"), [("int64", 2**53 + 1), ("int64", -(2**53) - 1), ("uint64", 2**64 - 1)])
def test_integers_that_floats_do_not_have_are_reported(tmp_path: Path, dtype: str, beyond: int) -> None:
    source, to = tmp_path / "in.npy", ("-o", tmp_path / "out.npy", "--overwrite")
    np.save(source, np.array([[beyond, 7]], dtype))
    said = f"{source}: values beyond 2^53 are rounded, because {dtype} is weighed in float64.\n"
    assert call(source, *to, "-m", "bilinear").stderr == said
    assert call(source, *to, "-m", "nearest").stderr == ""
    assert np.load(tmp_path / "out.npy")[0].tolist() == [beyond, beyond, 7, 7]
    np.save(source, np.array([[2**53, 7]], dtype))
    assert call(source, *to, "-m", "bilinear").stderr == ""


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint32", "uint64"])
def test_linear_light_needs_black_and_white(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "in.npy", np.array([[1, 7]], dtype))
    said = call(tmp_path / "in.npy", "--linear", "-o", tmp_path / "out.npy", status=1).stderr
    assert f"has values of {dtype}, for which linear light is not defined; omit --linear, or convert it" in said
    call(tmp_path / "in.npy", "--linear", "-o", tmp_path / "out.npy", "-m", "nearest")  # values are only copied


def test_linear_light_of_an_image_of_32_bits_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1, 7]], np.int32)).save(tmp_path / "in.tif")
    assert "has values of int32, for which" in call(tmp_path / "in.tif", "--linear", status=1).stderr


def test_linear_light_of_floats_goes_on_beyond_black_and_white(tmp_path: Path) -> None:
    values = np.array([[-1, 0.5, 3]], np.float32)
    np.save(tmp_path / "in.npy", values)
    call(tmp_path / "in.npy", "--linear", "-s", 1, "-m", "bilinear", "-o", tmp_path / "out.npy")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), values, rtol=1e-6)


def test_the_size_of_a_result_is_pooling_s_alone(tmp_path: Path, picture: Path) -> None:
    np.savez(tmp_path / "kernel.npz", kernel=np.ones((2, 2)), size=np.array([90, 90]))
    call(picture, "-m", "transposed-conv", "--kernel", tmp_path / "kernel.npz", "-o", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as made:
        assert made.size == (60, 40)


def test_json_is_one_object_an_image(picture: Path) -> None:
    other = picture.with_name("no.png")
    other.write_text("no picture")
    result = call(picture, other, "-s", "3", "--json", "-o", picture.parent / "out", status=1)
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    good = next(o for o in objects if "error" not in o)
    assert (good["source"], good["before"], good["after"]) == (str(picture), [30, 20], [90, 60])
    assert (good["method"], good["scale"]) == ("lanczos", [3, 3])
    assert good["seconds"] > 0
    bad = next(o for o in objects if "error" in o)
    assert bad["source"] == str(other)


def test_a_dry_run_writes_nothing(picture: Path) -> None:
    result = call(picture, "-s", "3", "-n")
    assert "in.png 30x20 → " in result.stdout
    assert "in_3x.png 90x60" in result.stdout
    assert list(picture.parent.iterdir()) == [picture]


@pytest.mark.long
def test_bytes_do_not_depend_on_jobs_locale_hash_seed_or_terminal(tmp_path: Path, record_property: Record) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 4), np.uint8)).save(tmp_path / "in.png")
    ways = list(itertools.product(("1", "4"), ("C", "C.UTF-8"), ("0", "1")))
    for format, chosen in ("png", ways), ("tiff", ways[::7]), ("webp", ways[::7]):
        made = []
        for jobs, place, seed in chosen:
            environment = os.environ | {"LC_ALL": place, "PYTHONHASHSEED": seed}
            made.append(shell(["in.png", "-j", jobs, "-f", format, "-o", "-"], tmp_path, env=environment).stdout)
        main, terminal = open_terminal()
        line = [*COMMAND, "in.png", "-f", format, "-o", "out"]
        subprocess.run(line, cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal, check=True)
        os.close(terminal)
        os.close(main)
        made.append((tmp_path / "out").read_bytes())
        (tmp_path / "out").unlink()
        assert len(set(made)) == 1
        record_property("same bytes", [format, len(made), len(set(made))])


@needs_posix
def test_odd_names(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in (
        b"new\nline.png",
        b"esc\x1b[31m.png",
        b"-s.png",
        b"\xff.png",
        b"100%d.png",
        "\u202egnp.png".encode(),
    ):
        Image.new("L", (2, 2)).save(os.fsencode(f"{tmp_path}/in/") + name, "PNG")
    (tmp_path / "in" / "[a]*.png").write_text("no picture")
    names = sorted(name for name in os.listdir(os.fsencode(tmp_path / "in")) if not name.startswith(b"["))
    for number, place in enumerate(("C", "C.UTF-8")):
        environment = os.environ | {"LC_ALL": place, "PYTHONUTF8": "0"}
        done = shell(["in", "-o", f"out{number}", "-v"], tmp_path, env=environment)
        assert done.returncode == 1
        assert sorted(os.listdir(os.fsencode(tmp_path / f"out{number}"))) == names
        assert b"\x1b" not in done.stderr
        assert "\u202e".encode() not in done.stderr
        assert b"new\\nline.png" in done.stderr
        # One line each, one of the broken file, and two of the run; what -v says of a file is set in.
        assert sum(not line.startswith(b"  ") for line in done.stderr.splitlines()) == len(names) + 3


def test_names_of_255_bytes(tmp_path: Path) -> None:
    longest = tmp_path / f"{'a' * 251}.png"
    Image.new("L", (2, 2)).save(longest)
    call(longest, "-o", f"{tmp_path}/out/")
    assert os.listdir(tmp_path / "out") == [longest.name]
    said = call(longest, status=1).stderr
    assert "cannot be written: File name too long; use another --output." in said
    assert said.count("\n") == 1


def test_image_bytes_are_not_written_to_a_terminal(picture: Path) -> None:
    main, terminal = open_terminal()
    done = subprocess.run(
        [*COMMAND, "in.png", "-o", "-"], cwd=picture.parent, stdout=terminal, stderr=subprocess.PIPE, check=False
    )
    os.close(main)
    os.close(terminal)
    assert done.returncode == 2
    assert b"is a terminal" in done.stderr


@needs_posix
def test_a_closed_pipe_ends_without_a_word(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)).save(tmp_path / "in.png")
    line = f"{sys.executable} -m upscale_cli in.png -s 4 -o - 2>err | head -c1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, check=False)
    assert done.stdout == b"141\n"
    assert (tmp_path / "err").read_bytes() == b""


@needs_posix
@pytest.mark.long
@pytest.mark.parametrize(("name", "status"), [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_leaves_no_part_of_an_image(tmp_path: Path, name: str, status: int) -> None:
    number = signal.Signals[name]
    for i in range(12):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (200, 300, 3), np.uint8)).save(
            tmp_path / f"{i}.png"
        )
    run = subprocess.Popen(
        [*COMMAND, str(tmp_path), "-o", str(tmp_path / "out"), "-s", "8", "-j", "2"],
        stderr=subprocess.PIPE,
        # Children of a process that nohup started ignore SIGHUP, unless its default action is restored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509  no thread runs here
    )
    while not (tmp_path / "out").is_dir() or not list((tmp_path / "out").glob("*.png")):
        time.sleep(0.01)
        assert run.poll() is None, "it was over before the signal"
    run.send_signal(number)
    _, said = run.communicate(timeout=120)
    assert run.returncode == status
    assert b"stopped after" in said
    made = list((tmp_path / "out").iterdir())
    assert 0 < len(made) < 12
    for path in made:
        with Image.open(path) as image:
            image.load()
    assert shell([tmp_path, "-o", tmp_path / "out", "-s", "8", "--skip-existing"], tmp_path).returncode == 0
    assert len(list((tmp_path / "out").iterdir())) == 12


@pytest.mark.long
def test_the_bar_is_for_terminals_only(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1500, 1500, 3), np.uint8)).save(tmp_path / "in.png")
    assert b"px/s" not in shell(["in.png", "-s", "3", "-o", "a.png"], tmp_path).stderr


def test_unexpected_errors_show_where_only_when_asked(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("surprise")

    monkeypatch.setattr("upscale_cli.work.enlarge.arrange", broken)
    result = call(picture, status=1)
    assert "unexpected error: RuntimeError: surprise" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in call(picture, "-v", "-v", status=1).stderr


def test_pool_writes_the_image_and_the_places(picture: Path) -> None:
    result = CliRunner().invoke(pool_cli, [str(picture), "-s", "2"])
    assert result.exit_code == 0, result.output
    pooled = picture.with_name("in_pooled.png")
    with np.load(picture.with_name("in_pooled.indices.npz")) as archive:
        places = dict(archive)
    source = np.asarray(Image.open(picture))
    assert places["size"].tolist() == [20, 30]
    for c in range(3):
        assert np.array_equal(
            source[:, :, c].ravel()[places["indices"][:, :, c]], np.asarray(Image.open(pooled))[:, :, c]
        )
    call(pooled, "-m", "max-unpooling", "-s", "2", "-o", picture.with_name("back.png"))
    back = np.asarray(Image.open(picture.with_name("back.png")))
    assert back.shape == source.shape
    assert np.array_equal(back[back > 0], source[back > 0])
    assert np.count_nonzero(back) <= 10 * 15 * 3


def test_unpooling_at_another_scale_is_refused(picture: Path) -> None:
    CliRunner().invoke(pool_cli, [str(picture), "-s", "3"])
    pooled = picture.with_name("in_pooled.png")
    assert (
        "belong to a 30x20 image, which does not match --scale"
        in call(pooled, "-m", "max-unpooling", "-s", "2", status=1).stderr
    )
    call(pooled, "-m", "max-unpooling", "-s", "3", "-o", picture.with_name("back.png"))
    with Image.open(picture.with_name("back.png")) as back:
        assert back.size == (30, 20)


def test_pool_of_a_photograph_loses_nothing_to_jpeg(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    assert CliRunner().invoke(pool_cli, [str(tmp_path / "a.jpg")]).exit_code == 0
    assert (tmp_path / "a_pooled.png").is_file()


@pytest.mark.parametrize("executor", ["threads", pytest.param("processes", marks=pytest.mark.long)])
def test_results_get_the_times_of_their_sources(tmp_path: Path, executor: str) -> None:
    times = {"a": 10**18, "b": 10**18 + 123_456_789}
    (tmp_path / "in").mkdir()
    for name, when in times.items():
        Image.new("RGB", (4, 4)).save(tmp_path / "in" / f"{name}.png")
        os.utime(tmp_path / "in" / f"{name}.png", ns=(when, when))
    out = tmp_path / "out"
    call(tmp_path / "in", "-o", out, "--preserve-times", "--executor", executor, "-j", "2")
    for name, when in times.items():
        assert (out / f"{name}.png").stat().st_mtime_ns == when
    call(tmp_path / "in", "-o", out, "--overwrite")
    assert (out / "a.png").stat().st_mtime_ns > times["a"]

"""Faults of the system: full disks, failing calls, missing rights, closed streams, little memory."""

import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from breaking import (
    EVALUATE,
    FIT,
    POOL,
    UPSCALE,
    Record,
    contents,
    ended,
    in_a_shell,
    needs_address_limit,
    needs_full_device,
    needs_mounts,
    needs_posix,
    needs_root,
    needs_strace,
    on_a_small_disk,
    picture,
    status_here,
    traced,
    unmeasured,
)
from click.testing import CliRunner
from pictures import PLAIN
from PIL import Image

from upscale_cli.codecs import splitting
from upscale_cli.commands.upscale import cli
from upscale_cli.machine.replacing import PREFIX

pytestmark = needs_posix

OLD = b"precious"


def one_line(done: subprocess.CompletedProcess[bytes], status: int, *words: str) -> None:
    """Fail unless a command printed one line that contains some words, and ended with a status."""
    said = done.stderr.decode()
    assert (done.returncode, said.count("\n")) == (status, 1), (done.returncode, said)
    assert all(word in said for word in words), said


# Full disks --------------------------------------------------------------------------------------------------------


EACH_FORMAT = """
import os, sys
from pathlib import Path
from upscale_cli.commands.upscale import cli
for format in sys.argv[2:]:
    Path("out").write_bytes(b"precious")
    try:
        cli.main([sys.argv[1], "-o", "out", "-f", format, "--overwrite", "-s", "12"])
    except SystemExit as end:
        print(end.code, *os.listdir(), Path("out").read_text())
"""
"""One process, which is quicker."""


@pytest.mark.long
@needs_mounts
def test_a_full_disk_leaves_old_targets_in_every_format(tmp_path: Path, record_property: Record) -> None:
    record_property("fault", ["a full disk (tmpfs), every format", len(PLAIN)])
    source, disk = picture(tmp_path / "in.png", 64, 64), tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "loop.py").write_text(EACH_FORMAT)
    done = on_a_small_disk(f"{sys.executable} {tmp_path}/loop.py {source} {' '.join(PLAIN)}", 40, disk)
    assert done.stdout.decode().splitlines() == [f"1 out {OLD.decode()}"] * len(PLAIN), done.stderr
    lines = done.stderr.decode().splitlines()
    assert len(
        [line for line in lines if '"out" cannot be written: No space left on device; free some space.' in line]
    ) == (len(PLAIN))


@needs_mounts
@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.long), 4])
def test_a_batch_stops_on_a_full_disk_and_is_resumed(jobs: int, tmp_path: Path, record_property: Record) -> None:
    record_property("fault", ["a disk that fills up within a batch of 20, then resumed", 1])
    for i in range(20):
        picture(tmp_path / "in" / f"{i:02}.png", seed=i)
    disk, command = tmp_path / "disk", f"{' '.join(UPSCALE)} {tmp_path}/in -o made -j {jobs}"
    disk.mkdir()
    count = "echo $? $(ls -A made | wc -l)"
    again = f"mount -o remount,size=9000k {disk}; {command} --skip-existing; {count}; cp -r made {tmp_path}/kept"
    done = on_a_small_disk(f"{command}; {count}; {again}", 90, disk)
    (first, made), (second, all_made) = (map(int, line.split()) for line in done.stdout.decode().splitlines())
    assert (first, second, all_made) == (1, 0, 20)
    assert 0 < made < 15
    lines = done.stderr.decode().splitlines()
    failed = [line for line in lines if "No space left on device; free some space." in line]
    assert 1 <= len(failed) <= jobs
    again = "run it again with --skip-existing for the others"
    assert f"upscale: stopped, because the disk is full; free some space, and {again}." in lines
    left = 20 - made - len(failed)
    assert any(
        line.startswith(f"{made} images enlarged, {len(failed)} failed, {left} not begun, in") for line in lines
    )
    for path in (tmp_path / "kept").iterdir():
        with Image.open(path) as image:
            image.load()


@needs_full_device
@pytest.mark.parametrize("format", PLAIN)
def test_a_device_that_is_full_is_not_replaced(format: str, tmp_path: Path, record_property: Record) -> None:
    record_property("fault", ["`/dev/full`, every format", 1])
    result = CliRunner().invoke(cli, [str(picture(tmp_path / "in.png")), "-o", "/dev/full", "-f", format])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert '"/dev/full" cannot be written: No space left on device; free some space.' in result.stderr
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@needs_mounts
@pytest.mark.parametrize(
    ("name", "kilobytes"), [("upscale-pool", 16), pytest.param("upscale-fit", 8, marks=pytest.mark.long)]
)
def test_a_full_disk_leaves_what_the_other_commands_wrote(
    name: str, kilobytes: int, tmp_path: Path, record_property: Record
) -> None:
    record_property("fault", ["a full disk (tmpfs), the other commands", 1])
    source, disk = picture(tmp_path / "in.png", 96, 96), tmp_path / "disk"
    disk.mkdir()
    command, targets, _ = WRITERS[name]
    # A kernel of 32 x 32 float64 is larger than the disk, as the pooled image is.
    words = [str(source) if word == "in.png" else word for word in command] + ["--size=32"] * (name == "upscale-fit")
    before = "; ".join(f"printf {OLD.decode()} > {target}" for target in targets)
    script = f"{before}; {' '.join(words)}; echo $? $(ls -A) $(cat {' '.join(targets)})"
    done = on_a_small_disk(script, kilobytes, disk)
    assert done.stdout.decode().split() == ["1", *targets, OLD.decode() * len(targets)], done.stderr
    one_line(done, 0, f'"{targets[-1]}" cannot be written: No space left on device; free some space.')


@needs_full_device
@pytest.mark.parametrize("what", ["-o -", pytest.param("--json -o out.png", marks=pytest.mark.long)])
def test_standard_output_on_a_full_disk(what: str, tmp_path: Path) -> None:
    picture(tmp_path / "in.png")
    done = in_a_shell(UPSCALE, f"{{}} in.png {what} > /dev/full", tmp_path)
    one_line(done, 1, "standard output cannot be written: No space left on device")


def test_a_limit_on_the_size_of_files_fails_what_is_larger(tmp_path: Path, record_property: Record) -> None:
    record_property("fault", ["`ulimit -f`", 1])
    picture(tmp_path / "in" / "large.png", 200, 200)
    picture(tmp_path / "in" / "small.png", 10, 10)
    picture(tmp_path / "made" / "large.png", 1, 1)
    old = contents(tmp_path / "made")
    done = in_a_shell([*UPSCALE, "in", "-o", "made", "--overwrite"], "ulimit -f 20; {}", tmp_path)
    assert done.returncode == 1
    assert b'large.png" cannot be written: File too large.' in done.stderr
    made = contents(tmp_path / "made")
    assert sorted(made) == ["large.png", "small.png"]
    assert made["large.png"] == old["large.png"]


# Calls that fail ---------------------------------------------------------------------------------------------------

FAILING = [
    ("write", "EIO", "Input/output error"),
    ("write", "EDQUOT", "Disk quota exceeded; free some space"),
    ("fsync", "EIO", "Input/output error"),
    ("fsync", "ENOSPC", "No space left on device; free some space"),
    ("rename", "EROFS", "Read-only file system; use another --output"),
    ("rename", "EACCES", "Permission denied; use another --output"),
]


WRITERS = {
    "upscale": ([*UPSCALE, "in.png", "-o", "out.png", "--overwrite"], ["out.png"], 2),
    "upscale-pool": ([*POOL, "in.png", "-o", "out.png", "--overwrite"], ["out.indices.npz", "out.png"], 2),
    "upscale-fit": ([*FIT, "in.png", "-o", "out.npy", "--overwrite"], ["out.npy"], 1),
}
"""Commands, what they write, and which call of `write` to break: the first may be another thread's."""


@needs_strace
@pytest.mark.parametrize(
    ("name", "call", "error", "said"),
    [
        # One fault of each call is enough in every run, and one of any for the other commands.
        pytest.param(name, *failing, marks=[pytest.mark.long] * (number % 2 or (name != "upscale" and number > 0)))
        for name in WRITERS
        for number, failing in enumerate(FAILING)
    ],
    ids=lambda word: word.split(";")[0],
)
def test_a_call_that_fails_leaves_the_old_file_and_nothing_else(
    name: str, call: str, error: str, said: str, tmp_path: Path, record_property: Record
) -> None:
    record_property("fault", [f"{error} of `{call}`", 1])
    command, targets, second = WRITERS[name]
    picture(tmp_path / "in.png")
    for target in targets:
        (tmp_path / target).write_bytes(OLD)
    when = second if call == "write" else 1
    done = traced(command, tmp_path, "-e", f"inject={call}:error={error}:when={when}")
    one_line(done, 1, f'"{targets[-1]}" cannot be written: {said}.')
    assert sorted(contents(tmp_path)) == sorted(["in.png", *targets, "strace.log"])
    assert all((tmp_path / target).read_bytes() == OLD for target in targets)


@needs_strace
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(["flock:error=ENOLCK"], marks=pytest.mark.long),
        pytest.param(["link:error=EPERM"], marks=pytest.mark.long),
        ["link:error=EPERM", "renameat2:error=ENOSYS"],
    ],
)
def test_file_systems_without_locks_or_links_will_do(broken: list[str], tmp_path: Path) -> None:
    picture(tmp_path / "in.png")
    options = [word for each in broken for word in ("-e", f"inject={each}")]
    assert traced([*UPSCALE, "in.png", "-o", "out.png"], tmp_path, *options).returncode == 0
    assert sorted(contents(tmp_path)) == ["in.png", "out.png", "strace.log"]
    assert all(each.split(":")[0] in (tmp_path / "strace.log").read_text() for each in broken)


# Rights ------------------------------------------------------------------------------------------------------------


NOBODY = """if True:
    import difflib, encodings.ascii, encodings.cp437, os, sys, tempfile, zipfile, numpy.lib.format, PIL.Image, tqdm
    import upscale_cli.commands.process, upscale_cli.work.pool, upscale_cli.methods.resampling
    from upscale_cli.commands import pool, upscale
    PIL.Image.init()
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    (pool if sys.argv.pop(1) == "pool" else upscale).cli(sys.argv[1:])
"""
"""Other users may not be able to read the package, so it is imported before the switch."""


def as_nobody(command: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a user without rights."""
    return ended([sys.executable, "-c", NOBODY, command, *arguments], cwd, env=unmeasured())


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that every user may enter and write into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@needs_root
@pytest.mark.parametrize("command", ["upscale", pytest.param("pool", marks=pytest.mark.long)])
def test_a_user_without_rights_gets_a_line_for_each_and_the_rest(command: str, common: Path) -> None:
    for name in ("good", "secret"):
        picture(common / "in" / f"{name}.png")
    picture(common / "in" / "closed" / "a.png")
    picture(common / "in" / "folder.png" / "b.png")
    (common / "in" / "dangling.png").symlink_to("nowhere.png")
    (common / "in" / "loop.png").symlink_to("loop.png")
    (common / "in" / "around").symlink_to(".")
    os.mkfifo(common / "in" / "fifo.png")
    (common / "in" / "secret.png").chmod(0)
    (common / "in" / "closed").chmod(0)
    done = as_nobody(command, "in", "-o", "made", cwd=common)
    lines = sorted(done.stderr.decode().splitlines())
    assert [line for line in lines if line.startswith("in/")] == [
        "in/closed: cannot be read: Permission denied.",
        "in/dangling.png: cannot be read: No such file or directory.",
        "in/loop.png: cannot be read: Too many levels of symbolic links.",
        "in/secret.png: cannot be read: Permission denied.",
    ]
    assert done.returncode == 1
    made = [name for name in contents(common / "made") if name.endswith(".png")]
    assert made == ["folder.png/b.png", "good.png"]


@needs_root
def test_a_folder_that_may_not_be_written_is_one_line(common: Path, record_property: Record) -> None:
    record_property("fault", ["a folder without the right to write", 1])
    picture(common / "in.png")
    (common / "out").mkdir(mode=0o755)
    done = as_nobody("upscale", "in.png", "-o", "out/", cwd=common)
    one_line(done, 1, '"out/in.png" cannot be written: Permission denied; use another --output.')


@needs_mounts
def test_a_read_only_disk_keeps_the_old_file(tmp_path: Path, record_property: Record) -> None:
    record_property("fault", ["a disk mounted read-only", 1])
    source, disk = picture(tmp_path / "in.png"), tmp_path / "disk"
    disk.mkdir()
    command = f"{' '.join(UPSCALE)} {source} -o out.png --overwrite"
    script = f"echo {OLD.decode()} > out.png; mount -o remount,ro {disk}; {command}; echo $? $(ls -A) $(cat out.png)"
    done = on_a_small_disk(script, 400, disk)
    assert done.stdout == b"1 out.png precious\n"
    assert b'"out.png" cannot be written: Read-only file system; use another --output.' in done.stderr


# Standard streams --------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("{} - -o a.png <&-", 2, "standard input is closed"),
        ("{} - -o a.png < /dev/null", 1, "standard input: is empty"),
        ("{} in.png -o - >&-", 1, "upscale: standard output is closed"),
        ("{} in.png -o a.png --json >&-", 1, "standard output is closed"),
        ("{} /dev/zero -o a.png", 1, "is not a file; save its content to one"),
    ],
)
def test_closed_and_odd_streams(line: str, status: int, said: str, tmp_path: Path) -> None:
    picture(tmp_path / "in.png")
    one_line(in_a_shell(UPSCALE, line, tmp_path), status, said)
    assert sorted(contents(tmp_path)) == ["in.png"]


@needs_full_device
@pytest.mark.parametrize(
    "line",
    [
        "{} in.png > /dev/full",
        *(pytest.param(line, marks=pytest.mark.long) for line in ("{} in.png >&-", "{} in.png --json >&-")),
    ],
)
def test_measures_that_nobody_gets_are_an_error(line: str, tmp_path: Path) -> None:
    picture(tmp_path / "in.png")
    said = "is closed" if "&" in line else "cannot be written: No space left on device"
    one_line(in_a_shell(EVALUATE, f"{line} -m bicubic", tmp_path), 1, f"standard output {said}")


def test_a_kernel_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    picture(tmp_path / "in.png")
    for place in ("in.png/a.npy", "in.png/below/a.npy"):
        done = ended([*FIT, "in.png", "-o", place], tmp_path)
        one_line(done, 1, f'upscale-fit: "{place}" cannot be written: Not a directory; use another --output.')
    one_line(in_a_shell(FIT, "{} in.png -o a.npy --json >&-", tmp_path), 1, "upscale-fit: standard output is closed")
    assert sorted(contents(tmp_path)) == ["in.png"]


@pytest.mark.long
@needs_full_device
def test_nobody_need_read_messages(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "c.png").write_text("no picture")
    for number, redirected in enumerate(("{} 2>&-", "{} 2>/dev/full", "({} 2>&1; echo $? >&3) 3>status | true")):
        command = [*UPSCALE, "in", "-o", f"made{number}", "-v"]
        done = in_a_shell(command, redirected, tmp_path)
        assert (number == 2) == (done.returncode == 0)
        assert len(contents(tmp_path / f"made{number}")) == 2
    assert (tmp_path / "status").read_text() == "1\n"


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    program = (
        "import os, sys; from upscale_cli.commands.terminal import ends\n"
        "def run(): open('number', 'w').write(str(os.open('number', os.O_RDONLY)))\n"
        "ends(run, 'test', 2)"
    )
    in_a_shell([sys.executable, "-c", program.replace("'", '"')], "{} <&- >&- 2>&-", tmp_path)
    assert int((tmp_path / "number").read_text()) > 2


@pytest.mark.parametrize("reader", ["head -c1 > /dev/null", pytest.param("true", marks=pytest.mark.long)])
def test_a_reader_that_leaves_ends_it_silently(reader: str, tmp_path: Path) -> None:
    picture(tmp_path / "in.png", 300, 300)
    for what in ("-o - -s 6", "-o out.png --json --overwrite"):
        line = f"{{}} in.png {what} 2>said | (sleep 0.1; {reader}); echo ${{PIPESTATUS[0]}}"
        done = in_a_shell(UPSCALE, line, tmp_path)
        assert done.stdout in ((b"141\n",) if "json" not in what else (b"141\n", b"0\n"))
        assert (tmp_path / "said").read_bytes() == b""


@pytest.mark.parametrize("unbuffered", ["", pytest.param("1", marks=pytest.mark.long)])
def test_streams_that_others_made_non_blocking_are_waited_for(unbuffered: str, tmp_path: Path) -> None:
    """Another process may have made a shared pipe non-blocking: it takes only what fits, and is empty for a while."""
    frames = [picture(tmp_path / f"{i}.png", 100, 80, seed=i).read_bytes() for i in range(2)]
    for i in range(2):
        assert status_here([*UPSCALE, f"{i}.png", "-s", "5", "-o", f"made{i}.png"], tmp_path) == 0
    (inner, feeder), (reader, outer) = os.pipe(), os.pipe()
    for each in (inner, outer):
        os.set_blocking(each, False)
    run = subprocess.Popen(
        [*UPSCALE, "-", "-s", "5", "-q"],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdin=inner,
        stdout=outer,
        stderr=subprocess.PIPE,
    )
    os.close(outer)

    def feed() -> None:
        with os.fdopen(feeder, "wb", 0) as pipe, os.fdopen(inner, "rb"):
            for frame in frames:  # The stream is empty in the middle of each frame, and between them.
                for part in (frame[:10_000], frame[10_000:]):
                    pipe.write(part)
                    while select.select((inner,), (), (), 0)[0] and run.poll() is None:
                        time.sleep(0.01)
                    time.sleep(0.1)

    feeding = threading.Thread(target=feed)
    feeding.start()
    time.sleep(0.5)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"".join((tmp_path / f"made{i}.png").read_bytes() for i in range(2))
    said = run.communicate(timeout=60)[1]
    feeding.join()
    assert (run.returncode, said) == (0, b"")


PRINTING = """if True:
    import ctypes, logging, os, sys
    from upscale_cli.codecs import png
    from upscale_cli.commands.upscale import cli
    original = png.write
    def write(*arguments):  # as a library in C does, and Pillow
        ctypes.CDLL(None).puts(b"spoilt by a library")
        ctypes.CDLL(None).fflush(None)
        os.write(1, b"spoilt")
        os.write(2, b"spoilt")
        logging.getLogger("PIL.Image").error("spoilt")
        original(*arguments)
    png.write = write
    cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("more", [["-q"], ["-vv"]])
def test_libraries_print_into_no_result(more: list[str], tmp_path: Path) -> None:
    picture(tmp_path / "in.png")
    assert status_here([*UPSCALE, "in.png", "-o", "out.png"], tmp_path) == 0
    done = ended([sys.executable, "-c", PRINTING, "in.png", "-o", "-", *more], tmp_path)
    assert (done.returncode, done.stdout) == (0, (tmp_path / "out.png").read_bytes())
    assert done.stderr.count(b"spoilt") == (0 if more == ["-q"] else 4)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_of_standard_output_mean_it(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "in.png")
    result = CliRunner().invoke(cli, [str(tmp_path / "in.png"), "-o", name])
    assert (result.exit_code, result.stdout_bytes[:4]) == (0, b"\x89PNG")
    result = CliRunner().invoke(cli, [str(tmp_path / "in.png"), "-o", name.replace("out", "err").replace("1", "2")])
    assert result.exit_code == 2
    assert "is for messages; use --output - for standard output." in result.stderr


def test_a_fifo_whose_reader_leaves_fails_alone(tmp_path: Path) -> None:
    picture(tmp_path / "in.png", 300, 300)
    os.mkfifo(tmp_path / "fifo")
    done = in_a_shell(UPSCALE, "head -c1 fifo > /dev/null & {} in.png -s 4 -f png -o fifo", tmp_path)
    one_line(done, 1, '"fifo" cannot be written: Broken pipe.')
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_standard_input_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "LARGEST_IMAGE", 1 << 20)
    result = CliRunner().invoke(cli, ["-"], input=b"y\n" * (1 << 20))
    assert result.exit_code == 1
    assert "standard input is larger than" in result.stderr


@pytest.mark.long
def test_endless_standard_input_is_read_up_to_a_gigabyte(tmp_path: Path) -> None:
    measured = (
        f'{sys.executable} -c "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); '
        'print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"'
    )
    done = in_a_shell(UPSCALE, f"yes | {measured} {{}} - -o a.png", tmp_path)
    status, kilobytes = map(int, done.stdout.split())
    assert (status, done.stderr.count(b"\n")) == (1, 1)
    assert b"larger than 1 GiB" in done.stderr
    assert kilobytes < 1.4 * 2**20


# Memory ------------------------------------------------------------------------------------------------------------

STARVED = """if True:
    import resource, sys
    import PIL.Image, upscale_cli.commands.process
    from upscale_cli.batch import run
    from upscale_cli.codecs import picture
    from upscale_cli.commands.upscale import cli
    from upscale_cli.machine import memory
    from upscale_cli.machine.memory import UNKNOWN
    from upscale_cli.work import estimate
    PIL.Image.init()
    kind, megabytes = sys.argv[1], int(sys.argv[2])
    if kind == "blind":  # nothing is known beforehand
        run.available_memory = estimate.available_memory = picture.available_memory = lambda: UNKNOWN
    # Only the limit counts, not what other tests leave of the machine's memory.
    memory._system_room = memory._group_room = lambda: ()
    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (megabytes << 20),) * 2)
    cli(sys.argv[3:])
"""


@needs_address_limit
@pytest.mark.parametrize(
    ("kind", "megabytes"),
    [
        ("known", 300),  # a thread takes up to 72 MB of addresses, and here, only the image is to be too large
        *(pytest.param(*each, marks=pytest.mark.long) for each in (("blind", 120), ("known", 150), ("blind", 80))),
    ],
)
def test_what_does_not_fit_into_memory_fails_alone(kind: str, megabytes: int, tmp_path: Path) -> None:
    Image.effect_noise((3000, 3000), 50).convert("RGB").save(tmp_path / "big.bmp")
    for i in range(3):
        picture(tmp_path / f"{i}.png", seed=i)
    names = ["big.bmp", "0.png", "1.png", "2.png"]
    done = ended(
        [sys.executable, "-c", STARVED, kind, megabytes, *names, "-o", "made", "-j", "4", "-q"], tmp_path, timeout=600
    )
    one_line(done, 1, "big.bmp: ", "memory")
    assert b"unexpected error" not in done.stderr
    assert sorted(contents(tmp_path / "made")) == ["0.png", "1.png", "2.png"]


# A second signal ---------------------------------------------------------------------------------------------------


def test_a_second_signal_leaves_at_once_and_the_next_run_sweeps(tmp_path: Path) -> None:
    picture(tmp_path / "in.png", 500, 500)
    command = [*UPSCALE, "in.png", "-f", "jpeg2000", "-s", "12", "-o", "made/"]
    run = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    while not list(tmp_path.glob(f"made/{PREFIX}*")):
        time.sleep(0.005)
        assert run.poll() is None, "it was over before the signal"
    run.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=120)
    # Python itself may be ending by then, with its own way of being terminated; shells tell both as 143.
    assert run.returncode in (143, -signal.SIGTERM)
    assert ended([*UPSCALE, "in.png", "-s", "2", "-o", "made/", "--skip-existing"], tmp_path).returncode == 0
    assert [path for path in (tmp_path / "made").iterdir() if path.name.startswith(PREFIX)] == []

"""Stopped, racing and repeated runs: every target is complete, and nothing is left over."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from breaking import POOL, UPSCALE, Record, contents, ended, picture, status_here

from upscale_cli.errors import UpscaleError
from upscale_cli.machine import replacing as module
from upscale_cli.machine.replacing import ABANDONED, PREFIX, TEMPORARY, replacing

fcntl = pytest.importorskip("fcntl", reason="needs the signals and file locks of a POSIX system")

STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of fifty images, `in`, and beside it what becomes of them, `whole`."""
    folder = tmp_path_factory.mktemp("fifty")
    for i in range(50):
        picture(folder / "in" / f"{i:02}.png", 100, 80, seed=i)
    assert status_here([*UPSCALE, "in", "-o", "whole", "-s", "4"], folder) == 0
    return folder


def check_a_signal(fifty: Path, number: int, share: float, jobs: int, made: Path) -> bool:
    """Stop a batch a moment after it has made a share of its images, or after that share of a second if that is none.

    Then resume it; return whether it had already ended.
    """
    whole, command = contents(fifty / "whole"), [*UPSCALE, "in", "-o", str(made), "-s", "4", "-j", str(jobs)]
    run = subprocess.Popen(command, cwd=fifty, stderr=subprocess.PIPE, start_new_session=True)
    while run.poll() is None and len(list(made.glob("*.png"))) < int(50 * share - 10):
        time.sleep(0.001)
    time.sleep(share if share < 0.22 else share / 100)
    run.send_signal(number)
    _, said = run.communicate(timeout=120)
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)
    left = contents(made) if made.exists() else {}
    parts = [name for name in left if TEMPORARY.fullmatch(name)]
    for name, data in left.items():
        assert name in parts or data == whole[name], f"{name} is a third thing after {number} at {share}"
    assert not parts or (number == signal.SIGKILL and len(parts) <= jobs)
    if run.returncode == STATUSES[signal.Signals(number)] and number != signal.SIGKILL and left:
        assert f"stopped after {len(left)} of 50; --skip-existing makes the others.".encode() in said
        assert said.count(b"\n") == 1
    elif b"init_import_site" in said:
        # Python itself was beginning.
        assert (run.returncode, left) == (1, {})
    else:
        # Before the program begins, a signal ends Python as it ends any program.
        assert run.returncode in (0, STATUSES[signal.Signals(number)], -number), said
    assert status_here([*UPSCALE, "in", "-o", str(made), "-s", "4", "--skip-existing"], fifty) == 0
    assert contents(made) == whole
    return run.returncode == 0


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.long), 4])
@pytest.mark.parametrize(
    "number",
    [pytest.param(each, marks=[pytest.mark.long] * (each != signal.SIGKILL)) for each in STATUSES],
    ids=lambda number: number.name,
)
def test_a_signal_at_a_random_moment(number: int, jobs: int, fifty: Path, tmp_path: Path) -> None:
    moments = random.Random(number * 10 + jobs)
    over = [check_a_signal(fifty, number, moments.uniform(0, 0.8), jobs, tmp_path / f"{i}") for i in range(2)]
    assert not all(over)


@pytest.mark.long
@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("number", STATUSES, ids=lambda number: number.name)
def test_signals_at_twenty_random_moments(
    number: int, jobs: int, fifty: Path, tmp_path: Path, record_property: Record
) -> None:
    moments = random.Random(number)
    over = [check_a_signal(fifty, number, moments.uniform(0, 1), jobs, tmp_path / f"{i}") for i in range(20)]
    assert sum(over) < 15, "most runs were over before the signal"
    record_property("signals", [signal.Signals(number).name, jobs, 20, 20 - sum(over), 0, 0, 20])


def test_signals_that_are_ignored_stay_ignored(fifty: Path, tmp_path: Path) -> None:
    command = f"trap '' HUP INT; exec {' '.join(UPSCALE)} in -o {tmp_path}/made -s 4"
    run = subprocess.Popen(["sh", "-c", command], cwd=fifty, stderr=subprocess.PIPE)
    while run.poll() is None and not list(tmp_path.glob("made/*.png")):
        time.sleep(0.001)
    run.send_signal(signal.SIGHUP)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=120)
    assert run.returncode == 0
    assert contents(tmp_path / "made") == contents(fifty / "whole")


@pytest.mark.long
@pytest.mark.parametrize("how", ["--overwrite", "--skip-existing", ""])
def test_racing_runs_do_not_harm_each_other(how: str, fifty: Path, tmp_path: Path) -> None:
    command = [*UPSCALE, "in", "-o", str(tmp_path / "made"), "-s", "4", "-j", "2", *how.split()]
    runs = [subprocess.Popen(command, cwd=fifty, stderr=subprocess.PIPE) for _ in range(3)]
    said = [run.communicate(timeout=60)[1].decode() for run in runs]
    assert contents(tmp_path / "made") == contents(fifty / "whole")
    lines = [line for each in said for line in each.splitlines() if ".png: " in line]
    if how:
        assert [run.returncode for run in runs] == [0, 0, 0], said
        assert not lines
    for run, each in zip(runs, said, strict=True):
        refused = sum("exists already" in line for line in each.splitlines())
        assert run.returncode == (1 if refused else 0)
    # What was there when a run was planned is refused, and what was made meanwhile is done.
    assert all("exists already" in line or "the same result was there already" in line for line in lines)


def test_pooling_is_resumed_where_its_image_is_missing(fifty: Path, tmp_path: Path) -> None:
    command = [*POOL, "in/00.png", "-o", str(tmp_path / "a.png")]
    assert status_here(command, fifty) == 0
    whole = contents(tmp_path)
    assert sorted(whole) == ["a.indices.npz", "a.png"]
    for missing in whole:
        (tmp_path / missing).unlink()
        assert status_here(command, fifty) == 1
        assert missing not in contents(tmp_path)
        assert status_here([*command, "--skip-existing"], fifty) == 0
        assert contents(tmp_path) == whole


def test_two_pooled_images_with_one_file_of_places_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif"):
        picture(tmp_path / "in" / name)
    done = ended([*POOL, "in", "-o", "made"], tmp_path)
    assert done.returncode == 2
    assert b"Several inputs would be written to the same file: in/a.png, in/a.tif" in done.stderr
    assert not (tmp_path / "made").exists()


# What dead runs leave ----------------------------------------------------------------------------------------------


def abandoned(folder: Path, system: str, age: float = 0) -> Path:
    """A temporary file that no process holds."""
    path = folder / f"{PREFIX}{system}-{os.urandom(8).hex()}.tmp"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def write_here(folder: Path) -> None:
    """Replace a target, as a new process would."""
    module.sweep.cache_clear()
    with replacing(folder / "a.png", overwrite=True) as (stream,):
        stream.write(b"new")


def test_only_what_nobody_holds_is_swept(tmp_path: Path) -> None:
    ours, other = module._system(tmp_path), "12345678"
    dead, old = abandoned(tmp_path, ours), abandoned(tmp_path, other, ABANDONED + 60)
    alive, elsewhere = abandoned(tmp_path, ours), abandoned(tmp_path, other)
    unknown = abandoned(tmp_path, "00000000")
    alike = tmp_path / f"{PREFIX}notes.tmp"
    alike.write_bytes(b"mine")
    os.mkfifo(fifo := tmp_path / f"{PREFIX}{ours}-{'0' * 16}.tmp")
    (link := tmp_path / f"{PREFIX}{ours}-{'1' * 16}.tmp").symlink_to("a.png")
    with alive.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        write_here(tmp_path)
        assert not dead.exists()
        assert not old.exists()
        assert all(os.path.lexists(path) for path in (alive, elsewhere, unknown, alike, fifo, link))
    write_here(tmp_path)
    assert not alive.exists()
    assert (tmp_path / "a.png").read_bytes() == b"new"


def test_a_temporary_file_is_held_until_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = (
        "import sys; from pathlib import Path; from upscale_cli.machine.replacing import sweep; "
        "sweep(Path(sys.argv[1]))"
    )

    def sweeping(call: str) -> None:
        original = getattr(os, call)

        def swept(*arguments: object) -> object:
            subprocess.run([sys.executable, "-c", sweep, str(tmp_path)], check=True)
            return original(*arguments)

        monkeypatch.setattr(os, call, swept)

    sweeping("fsync")
    sweeping("replace")
    write_here(tmp_path)
    assert contents(tmp_path) == {"a.png": b"new"}


def test_what_is_swept_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = module._lock
    taken: list[Path] = []

    def late(descriptor: int) -> bool | None:
        if not taken:
            taken.extend(tmp_path.glob(f"{PREFIX}*"))
            taken[0].unlink()
        return lock(descriptor)

    monkeypatch.setattr(module, "_lock", late)
    write_here(tmp_path)
    assert taken
    assert contents(tmp_path) == {"a.png": b"new"}


@pytest.mark.parametrize("has_rename", [True, False])
def test_without_hard_links_nothing_is_overwritten(
    has_rename: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    if not has_rename:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    with replacing(tmp_path / "a.png", overwrite=False) as (stream,):
        stream.write(b"first")
    with (  # noqa: PT012
        pytest.raises(UpscaleError, match=r'b.png" was written by another program meanwhile'),
        replacing(tmp_path / "b.png", overwrite=False) as (stream,),
    ):
        stream.write(b"mine")
        (tmp_path / "b.png").write_bytes(b"theirs")
    assert contents(tmp_path) == {"a.png": b"first", "b.png": b"theirs"}

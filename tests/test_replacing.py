"""How files are replaced: each call that the system may refuse, what stays open, and what is remembered."""

import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from breaking import contents, needs_posix

from upscale_cli.errors import DiskFullError, NeedlessError
from upscale_cli.machine import durable, replacing
from upscale_cli.machine.replacing import PREFIX, TRIES

pytestmark = needs_posix


@pytest.fixture(autouse=True)
def nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if a test leaves a file open, or a file in the list of those that a stopped run removes."""
    monkeypatch.setattr(replacing, "_unfinished", set())
    monkeypatch.setattr(durable, "_changed", set())
    before = descriptors()
    yield
    assert descriptors() == before
    assert replacing._unfinished == set()


def descriptors() -> list[str]:
    return sorted(os.listdir("/dev/fd"))


def refused(number: int) -> Callable[..., Any]:
    """Return a call that the system refuses."""

    def call(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return call


def write(target: Path, content: bytes = b"new", overwrite: bool = False, **more: Any) -> None:
    with replacing.replacing(target, overwrite=overwrite, **more) as (stream,):
        stream.write(content)


@pytest.mark.parametrize("overwrite", [True, False])
def test_every_call_of_the_system_may_be_refused(
    overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one of them raises is raised; the old file stays, and nothing else."""
    (target := tmp_path / "a").write_bytes(b"old")
    if not overwrite:
        target.unlink()
    before = contents(tmp_path)
    names = ["open", "fsync", "replace" if overwrite else "rename", "stat", "utime"]
    for name in names:
        with monkeypatch.context() as patched:
            if name == "stat":
                patched.setattr(os, "stat", refused(errno.EIO))
                patched.setattr(Path, "stat", lambda path, **_: os.lstat(path))
                patched.setattr(replacing, "_system", lambda folder: "0" * 8)
            else:
                patched.setattr(os, name, refused(errno.EIO))
            if name == "rename":
                patched.setattr(os, "link", refused(errno.EPERM))
                patched.setattr("ctypes.CDLL", lambda *_, **__: object())
            with pytest.raises(OSError, match="Input/output error"):
                write(target, overwrite=overwrite, times=(1, 1))
        assert contents(tmp_path) == before, name
    assert durable._changed == set()
    write(target, overwrite=overwrite)
    assert contents(tmp_path) == {"a": b"new"}
    assert durable._changed == {tmp_path}


def test_a_file_that_was_abandoned_becomes_nothing(tmp_path: Path) -> None:
    """A run that has waited long enough removes the files of threads that it leaves behind."""
    with (  # noqa: PT012
        pytest.raises(FileNotFoundError),
        replacing.replacing(tmp_path / "a", tmp_path / "b", overwrite=False) as (one, other),
    ):
        one.write(b"new")
        other.write(b"new")
        min(replacing._unfinished).unlink()  # by somebody else
        replacing.abandon()
        assert contents(tmp_path) == {}
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("has_rename", [True, False])
def test_a_name_is_taken_in_one_step_where_the_system_can(
    has_rename: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without hard links, `renameat2` of Linux does it; elsewhere a file that appears after a look is replaced."""
    if not hasattr(__import__("ctypes").CDLL(None), "renameat2"):
        pytest.skip("this system has no renameat2")
    monkeypatch.setattr(os, "link", refused(errno.EPERM))
    if not has_rename:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    look = os.path.lexists

    def late(path: str) -> bool:
        found = look(path)
        Path(path).write_bytes(b"theirs")
        return found

    monkeypatch.setattr(os.path, "lexists", late)
    write(tmp_path / "a")
    assert contents(tmp_path) == {"a": b"new"}
    if has_rename:
        with pytest.raises(NeedlessError):
            write_against(tmp_path / "b")
        assert contents(tmp_path) == {"a": b"new", "b": b"theirs"}


def write_against(target: Path) -> None:
    """Write a file whose name another program takes meanwhile."""
    with replacing.replacing(target, overwrite=False) as (stream,):
        stream.write(b"mine")
        target.write_bytes(b"theirs")


def test_what_cannot_be_locked_is_tried_again_and_then_written_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try leaves nothing: no file, and none open."""
    tried: list[int] = []

    def lock(descriptor: int) -> bool:
        assert len(list(tmp_path.iterdir())) == 1
        tried.append(descriptor)
        return False

    monkeypatch.setattr(replacing, "_lock", lock)
    write(tmp_path / "a")
    assert len(tried) == TRIES == 5
    assert contents(tmp_path) == {"a": b"new"}


def test_a_signal_while_a_file_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock(descriptor: int) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(replacing, "_lock", lock)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("error", "locked"), [(BlockingIOError, False), (OSError, None), (PermissionError, None), (None, True)]
)
def test_a_lock_is_had_refused_or_impossible(
    error: type[OSError] | None, locked: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def flock(descriptor: int, how: int) -> None:
        asked.append((descriptor, how))
        if error:
            raise error

    system = SimpleNamespace(flock=flock, LOCK_EX=2, LOCK_NB=4)
    monkeypatch.setattr(replacing, "fcntl", system)
    assert replacing._lock(7) is locked
    assert asked == [(7, 6)]
    monkeypatch.setattr(sys, "platform", "win32")
    assert replacing._lock(7) is None


def test_on_windows_files_are_written_and_new_ones_are_not_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    left = tmp_path / f"{PREFIX}{replacing._system(tmp_path)}-{'0' * 16}.tmp"
    left.write_bytes(b"half")
    replacing.sweep.cache_clear()
    link = os.link

    def renamed(old: Path, new: Path) -> None:
        assert stream.closed, "Windows renames no open file"
        link(old, new)

    monkeypatch.setattr(os, "link", renamed)
    with replacing.replacing(tmp_path / "a", overwrite=False) as (stream,):
        stream.write(b"new")
    assert contents(tmp_path) == {"a": b"new", left.name: b"half"}


def test_a_system_is_known_by_its_start_and_its_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = replacing._system.__wrapped__
    assert len(known := system(tmp_path)) == 8
    assert system(tmp_path) == known != system(Path("/proc"))
    monkeypatch.setattr(Path, "read_text", lambda *_: "another")
    assert system(tmp_path) != known
    monkeypatch.setattr(Path, "read_text", refused(errno.ENOENT))
    assert system(tmp_path) == "0" * 8


def test_a_folder_is_swept_once_and_what_cannot_be_removed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replacing.sweep.cache_clear()
    paths = [tmp_path / f"{PREFIX}{replacing._system(tmp_path)}-{n:016}.tmp" for n in range(3)]
    for path in paths:
        path.write_bytes(b"half")
    unlink = os.unlink
    monkeypatch.setattr(os, "unlink", lambda path: refused(errno.EPERM)() if path == paths[1] else unlink(path))
    replacing.sweep(tmp_path)
    assert [*contents(tmp_path)] == [paths[1].name]
    monkeypatch.undo()
    replacing.sweep(tmp_path)
    assert [*contents(tmp_path)] == [paths[1].name]
    replacing.sweep(tmp_path / "absent")


@pytest.mark.parametrize("placed", [True, False])
def test_a_request_whose_answer_was_lost(placed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system reports that it failed: what counts is whether the target is our file."""
    replace = os.replace

    def lost(old: Path, new: Path) -> None:
        if placed:
            replace(old, new)
        raise OSError(errno.ENOENT, "no such file")

    monkeypatch.setattr(os, "replace", lost)
    if placed:
        write(tmp_path / "a", overwrite=True)
        assert contents(tmp_path) == {"a": b"new"}
        return
    with pytest.raises(OSError, match="no such file"):
        write(tmp_path / "a", overwrite=True)
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match="no such file"):
        write(tmp_path / "a", overwrite=True)
    assert contents(tmp_path) == {"a": b"old"}


def test_a_file_is_ours_by_its_number_size_and_time(tmp_path: Path) -> None:
    """Some file systems give all files one number."""
    (path := tmp_path / "a").write_bytes(b"new")
    ours = path.stat()
    assert replacing._is(path, ours)
    assert not replacing._is(tmp_path / "absent", ours)
    values = dict(zip(("mode", "ino", "dev", "nlink", "uid", "gid", "size", "atime", "mtime"), ours, strict=False))
    for name in ("ino", "dev", "size"):
        other = {**values, name: values[name] + 1}
        assert not replacing._is(path, os.stat_result((*other.values(), ours.st_ctime)))
    os.utime(path, (1, 1))
    assert not replacing._is(path, ours)


def test_a_stream_that_cannot_be_sought_gets_everything_at_the_end() -> None:
    raw = io.BytesIO()
    target = io.BufferedWriter(raw)
    with replacing.spooled(target) as spool:
        spool.write(b"old")
        spool.seek(0)
        spool.write(b"new")
        assert raw.getvalue() == b""
    assert raw.getvalue() == b"new", "it is not left in a buffer"
    with pytest.raises(DiskFullError, match="TMPDIR"), replacing.spooled(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(KeyError), replacing.spooled(target) as spool:  # noqa: PT012
        spool.write(b"more")
        raise KeyError
    target.flush()
    assert raw.getvalue() == b"new"


def test_all_of_a_pair_is_on_the_disk_before_the_first_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    link, fsync = os.link, os.fsync

    def synchronised(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def linked(old: Path, new: Path) -> None:
        done.append(new.name)
        link(old, new)

    monkeypatch.setattr(os, "fsync", synchronised)
    monkeypatch.setattr(os, "link", linked)
    with replacing.replacing(tmp_path / "a", tmp_path / "b", overwrite=False) as streams:
        for stream in streams:
            stream.write(b"new")
    assert done == ["file", "file", "a", "folder", "b"]
    durable.confirm()
    assert done.count("folder") > 1


def test_folders_are_synchronised_up_to_the_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, and those of one command together."""
    done: list[Path] = []
    monkeypatch.setattr(durable, "synchronise_folder", done.append)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path)
    for name in ("a/b", "a/c", "d"):
        durable.changed(tmp_path / name)
    durable.confirm()
    assert sorted(done) == sorted(tmp_path / name for name in ("", "a", "a/b", "a/c", "d"))
    durable.confirm()
    assert len(done) == 5


@pytest.mark.parametrize("number", [*durable.NO_SYNC, errno.EIO])
def test_folders_that_cannot_be_synchronised_or_opened(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refused(number))
        if number in durable.NO_SYNC:
            durable.synchronise_folder(tmp_path)
        else:
            with pytest.raises(OSError, match=os.strerror(number)):
                durable.synchronise_folder(tmp_path)
    monkeypatch.setattr(os, "open", refused(errno.EACCES))
    durable.synchronise_folder(tmp_path)

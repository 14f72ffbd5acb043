"""Two runs on one folder, two names for one file, and what an overwritten file keeps."""

import os
import socket
import stat
import unicodedata
from pathlib import Path

import pytest
from breaking import POOL, UPSCALE, contents, needs_posix, needs_root, picture, status_here
from click.testing import CliRunner

from upscale_cli.commands.upscale import cli
from upscale_cli.machine import durable, replacing
from upscale_cli.places import files

pytestmark = needs_posix


# Two runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        [*UPSCALE, "in", "-o", "made"],
        [*POOL, "in", "-o", "made"],
        [*UPSCALE, "in", "-o", "made/%02d.png"],
        [*UPSCALE, "frames.ppm", "-o", "made/all.ppm"],
    ],
    ids=["images", "pairs", "frames", "a film"],
)
def test_what_another_run_makes_meanwhile_is_skipped(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every moment at which a target appears: each time that a run is about to give a file its name."""
    frames = b"".join(b"P6 9 8 255 " + bytes([i]) * 216 for i in range(3))
    for folder in ("alone", "raced"):
        for i in range(3):
            picture(tmp_path / folder / "in" / f"{i}.png", 12, 10, seed=i)
        (tmp_path / folder / "frames.ppm").write_bytes(frames)
    words = [*command, "--skip-existing", "-j", "1"]
    assert status_here(words, tmp_path / "alone") == 0
    whole, raced = contents(tmp_path / "alone"), tmp_path / "raced"
    place, points = replacing._place_new, 0

    def placed(temporary: Path, target: Path) -> None:
        nonlocal points
        points += 1
        # Both files of a pair: the other run will give the second its name.
        for name in whole:
            if (raced / name).parent == target.parent and Path(name).name.split(".")[0] == target.name.split(".")[0]:
                (raced / name).write_bytes(whole[name])
        place(temporary, target)

    monkeypatch.setattr(replacing, "_place_new", placed)
    assert status_here(words, raced) == 0
    assert points == (1 if "all.ppm" in command[-1] else 3)
    assert contents(raced) == whole
    monkeypatch.undo()
    (raced / "made" / next(iter(sorted(path.name for path in (raced / "made").iterdir())))).unlink()
    assert status_here(words, raced) == 0
    assert status_here(words, raced) == 0
    assert contents(raced) == whole


def test_a_temporary_file_is_made_once_where_names_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network and FUSE file systems report that no file has a name."""
    status, made = os.fstat, []
    monkeypatch.setattr(os, "fstat", lambda d: os.stat_result((*status(d)[:3], 0, *status(d)[4:])))
    opened = os.open

    def open_(path: str, flags: int, mode: int = 0o777) -> int:
        made.append(path)
        assert len(made) < 10, "temporary files are made without end"
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", open_)
    with replacing.replacing(tmp_path / "a", overwrite=False) as (stream,):
        stream.write(b"new")
    assert contents(tmp_path) == {"a": b"new"}


# Two names ---------------------------------------------------------------------------------------------------------

PAIRS = {
    "case": ("A.png", "a.png"),
    "accents": ("\u00e9.png", unicodedata.normalize("NFD", "\u00e9.png")),
    "a folder": ("In/a.png", "in/a.png"),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("output", ["made", "there", "{parent}/{stem}_large{suffix}"])
def test_names_that_differ_by_case_are_two_where_the_file_system_says_so(
    pair: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, name in enumerate(PAIRS[pair]):
        picture(tmp_path / "in" / name, 9, 8, seed=i)
    (tmp_path / "there").mkdir()
    before = contents(tmp_path)
    if len(before) < 2:
        pytest.skip("this file system folds names")
    assert status_here([*UPSCALE, "in", "-o", output], tmp_path) == 0
    after = contents(tmp_path)
    assert len(after) == 4
    monkeypatch.setattr(files, "_is_folded", lambda one, other: True)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        result = CliRunner().invoke(cli, ["in", "-o", output, "--overwrite"])
    assert (result.exit_code, "Several inputs would be written to the same file" in result.stderr) == (2, True)
    assert contents(tmp_path) == after


def test_folding_is_tried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "new" / "A.png", tmp_path / "new" / "a.png"
    assert files._is_folded(one, other) == (tmp_path / str(tmp_path.name).swapcase()).exists()
    exists = Path.exists

    def folded(path: Path) -> bool:
        names = [each.name.casefold() for each in path.parent.iterdir()] if exists(path.parent) else []
        return path.name.casefold() in names

    monkeypatch.setattr(Path, "exists", folded)
    assert files._is_folded(one, other)
    assert not files._is_folded(one, tmp_path / "new" / "b.png")
    assert list(tmp_path.iterdir()) == []


def test_special_files_in_a_folder_are_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    os.mkfifo(tmp_path / "in" / "fifo.png")
    (tmp_path / "in" / "link.png").symlink_to("fifo.png")
    (tmp_path / "in" / "device.jpg").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listening, pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path / "in")
        listening.bind("socket.png")
        patched.chdir(tmp_path)
        result = CliRunner().invoke(cli, ["in", "-o", "made"])
        assert result.exit_code == 0, result.stderr
        assert "4 special files left alone" in result.stderr
        assert sorted(contents(tmp_path / "made")) == ["a.png"]
        # What is named itself is a mistake.
        result = CliRunner().invoke(cli, ["in/a.png", "in/device.jpg", "-o", "made2"])
        assert (result.exit_code, "in/device.jpg: is not a file" in result.stderr) == (1, True)


# What an overwritten file keeps ------------------------------------------------------------------------------------


def overwrite(target: Path) -> os.stat_result:
    """Replace a file, and return its status afterwards."""
    with replacing.replacing(target, overwrite=True) as (stream,):
        stream.write(b"new")
        assert os.fstat(stream.fileno()).st_mode & 0o077 == 0, "others may read it too early"
    assert target.read_bytes() == b"new"
    return target.stat()


@needs_root
def test_owner_group_and_mode_are_kept(tmp_path: Path) -> None:
    (target := tmp_path / "a").write_bytes(b"old")
    os.chown(target, 1234, 2345)
    target.chmod(0o640)
    status = overwrite(target)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o640)


@pytest.mark.parametrize(
    ("may", "mode", "kept"),
    # Whoever is not allowed to keep the group gives the new group what everybody has.
    [("both", 0o664, 0o664), ("group", 0o664, 0o664), ("none", 0o664, 0o644), ("none", 0o640, 0o600)],
)
def test_rights_do_not_grow_where_the_owner_may_not_be_kept(
    may: str, mode: int, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (target := tmp_path / "a").write_bytes(b"old")
    target.chmod(mode)
    given: list[tuple[int, int]] = []

    def fchown(descriptor: int, owner: int, group: int) -> None:
        if may == "none" or (may == "group" and owner != -1):
            raise PermissionError
        given.append((owner, group))

    status, real = os.fstat, target.stat()
    strange = (*real[:4], 1234, 2345, *real[6:])
    monkeypatch.setattr(os, "fchown", fchown)
    monkeypatch.setattr(
        os, "fstat", lambda d: os.stat_result((*(s := status(d))[:4], 1234, 2345, *s[6:])) if d else strange
    )
    assert stat.S_IMODE(overwrite(target).st_mode) == kept
    owner = {"both": real.st_uid, "group": -1}
    assert given == ([(owner[may], real.st_gid)] if may in owner else [])


@pytest.fixture
def attributes(tmp_path: Path) -> Path:
    """A file with an extended attribute and an access control list."""
    (target := tmp_path / "a").write_bytes(b"old")
    try:
        os.setxattr(target, "user.comment", b"mine")
        # Version 2: user::rw-, user 1234: rw-, group::r--, mask::rw-, other::---; each a tag, rights and a number.
        entries = ((1, 6, -1), (2, 6, 1234), (4, 4, -1), (16, 6, -1), (32, 0, -1))
        acl = b"\2\0\0\0" + b"".join(
            tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + number.to_bytes(4, "little", signed=True)
            for tag, rights, number in entries
        )
        os.setxattr(target, "system.posix_acl_access", acl)
    except (AttributeError, OSError):
        pytest.skip("no extended attributes or access control lists here")
    return target


def test_extended_attributes_and_access_control_lists_are_kept(attributes: Path) -> None:
    kept = {name: os.getxattr(attributes, name) for name in os.listxattr(attributes)}
    assert len(kept) == 2
    overwrite(attributes)
    assert {name: os.getxattr(attributes, name) for name in os.listxattr(attributes)} == kept
    # A folder's list for new files does not become that of a file that has none.
    acl = kept["system.posix_acl_access"]
    os.setxattr(attributes.parent, "system.posix_acl_default", acl)
    (plain := attributes.parent / "plain").write_bytes(b"old")
    os.removexattr(plain, "system.posix_acl_access")
    plain.chmod(0o600)
    assert stat.S_IMODE(overwrite(plain).st_mode) == 0o600
    assert os.listxattr(plain) == []


@pytest.mark.parametrize("mode", [0o444, 0o777, 0o011])
def test_any_file_is_replaced_if_it_may_be_overwritten(mode: int, tmp_path: Path) -> None:
    (target := tmp_path / "a").write_bytes(b"old")
    target.chmod(mode)
    with replacing.replacing(target, overwrite=True) as (stream,):
        stream.write(b"new")
        assert os.fstat(stream.fileno()).st_mode & 0o077 == 0, "others may read it too early"
    assert stat.S_IMODE(target.stat().st_mode) == mode


# What is synchronised ----------------------------------------------------------------------------------------------


@pytest.fixture
def synchronised(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that are synchronised from now on."""
    found: list[Path] = []
    monkeypatch.setattr(durable, "_changed", set())
    monkeypatch.setattr(durable, "synchronise_folder", found.append)
    return found


@pytest.mark.parametrize("command", [[*UPSCALE, "in", "-o", "made"], [*UPSCALE, "in", "-o", "made/%02d.png"]])
def test_folders_are_synchronised_once_even_if_a_killed_run_has_made_all_files(
    command: list[str], tmp_path: Path, synchronised: list[Path]
) -> None:
    for i in range(5):
        picture(tmp_path / "in" / f"{i}.png", 9, 8, seed=i)
    for more in ([], ["--skip-existing"], ["--overwrite"], ["--executor", "processes"]):
        if more == ["--executor", "processes"]:
            if "%" in command[-1]:
                continue
            for path in (tmp_path / "made").iterdir():
                path.unlink()
        assert status_here([*command, *more], tmp_path) == 0
        assert synchronised[:2] == [tmp_path / "made", tmp_path]
        assert len(synchronised) == len(set(synchronised)), more
        synchronised.clear()
    assert status_here([*command, "--dry-run", "--overwrite"], tmp_path) == 0
    assert status_here(command, tmp_path) == 1
    assert synchronised == []


def test_a_folder_that_cannot_be_synchronised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "in.png")
    done: list[int] = []

    def failing(number: int) -> None:
        def fsync(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                done.append(descriptor)
                raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fsync)

    failing(22)  # EINVAL: the file system has no such call
    assert status_here([*UPSCALE, "in.png", "-o", "out.png"], tmp_path) == 0
    assert done
    failing(5)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        result = CliRunner().invoke(cli, ["in.png", "-o", "out.png", "--overwrite"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f'"{tmp_path}" cannot be written: Input/output error.' in result.stderr
    assert sorted(contents(tmp_path)) == ["in.png", "out.png"]

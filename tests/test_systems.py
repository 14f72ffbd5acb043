"""What Windows and macOS do otherwise, as far as another system can show it. None of it was run there yet."""

import ntpath
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from breaking import UPSCALE, picture

from upscale_cli.errors import UpscaleError
from upscale_cli.machine import durable
from upscale_cli.machine.replacing import ABANDONED, PREFIX, UNKNOWN, sweep
from upscale_cli.places.files import Files
from upscale_cli.places.folders import windows_has

HAS = "a.png", "com0.png", "auxiliary.png", " a", ".png", "..a", "a.aux", "Mühle (2).png"
HAS_NOT: tuple[str, ...] = "aux.png", "AUX", "nul.tar.gz", "com1.png", "lpt³.png", "con .png", "conin$", "prn."
HAS_NOT += "a:b.png", "a?.png", "a*", "a<b", 'a"b', "a|b", "a\x1f", "a.", "a "


@pytest.mark.parametrize("name", [*HAS, *HAS_NOT])
def test_names_that_windows_has(name: str) -> None:
    """As Microsoft's "Naming Files, Paths, and Namespaces" has it, and Python from 3.13 on."""
    assert windows_has(name) == (name in HAS)
    if sys.version_info >= (3, 13):
        assert windows_has(name) != ntpath.isreserved(name)


def test_what_windows_would_write_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an object of a store may be named, or a template asks for."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert Files().target(str(tmp_path), ("sub", "a.png")).name == str(tmp_path / "sub" / "a.png")
    for parts in (("aux.png",), ("nul", "a.png"), ("a:b.png",)):
        with pytest.raises(
            UpscaleError, match=r'cannot become ".*": Windows has no file "(aux.png|nul|a:b.png)"; rename'
        ):
            Files().target(str(tmp_path), parts)


def test_windows_removes_what_killed_runs_have_left_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no `flock`, and refuses to remove a file that is open."""
    monkeypatch.setattr(sys, "platform", "win32")
    new, old = (tmp_path / f"{PREFIX}{UNKNOWN}-{digits * 16}.tmp" for digits in "01")
    for path in (new, old):
        path.write_bytes(b"")
    os.utime(old, (time.time() - ABANDONED - 60,) * 2)
    sweep.cache_clear()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [new]


def test_drives_are_told_to_empty_their_memory_where_the_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    class Fcntl:
        F_FULLFSYNC = 51
        error = 0

        def fcntl(self, descriptor: int, command: int) -> None:
            calls.append((descriptor, command))
            if self.error:
                raise OSError(self.error, "")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(durable, "fcntl", system := Fcntl())
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    durable.synchronise(7)
    assert calls == [(7, 51)]
    system.error = 45 if 45 in durable.NO_SYNC else 95  # ENOTSUP
    durable.synchronise(7)
    assert calls == [(7, 51), (7, 51), "fsync"]
    system.error = 5
    with pytest.raises(OSError, match="5"):
        durable.synchronise(7)


def test_a_console_that_cannot_print_an_arrow_gets_its_number(tmp_path: Path) -> None:
    """As a file does on Windows, where it is written in cp1252."""
    picture(tmp_path / "a.png", 3, 2)
    command = [*UPSCALE, "a.png", "-n", "-o", "b.png"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("cp1252").strip() == r"a.png 3x2 \u2192 b.png 6x4"

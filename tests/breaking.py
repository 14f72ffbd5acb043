"""Commands in processes of their own, so that tests can kill them, starve them of memory, or cut their pipes."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from upscale_cli.commands.fit import cli as fit_cli
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli

UPSCALE = [sys.executable, "-m", "upscale_cli"]
POOL = [sys.executable, "-m", "upscale_cli.commands.pool"]
FIT = [sys.executable, "-m", "upscale_cli.commands.fit"]
EVALUATE = [sys.executable, "-m", "upscale_cli.commands.evaluate"]

CHANGING = (
    "write,writev,pwrite64,pwritev,sendfile,copy_file_range,fallocate,ftruncate,truncate,flock,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,chmod,fchmod,fchmodat,chown,fchown,fsetxattr,fremovexattr"
)
"""System calls that change a disk, or that follow one that does."""

Record = Callable[[str, object], None]
"""The type of the fixture `record_property`, whose values `measure_reliability.py` prints."""


def _works(*command: str) -> bool:
    """Return whether a command exists here and succeeds."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs the shells, pipes and signals of a POSIX system")
needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads memory sizes from /proc")
needs_address_limit = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="limits the address space, whose size is read from /proc"
)
needs_strace = pytest.mark.skipif(
    not _works("strace", "-qq", "-o", os.devnull, "true"), reason="strace is not installed, or may not trace here"
)
needs_mounts = pytest.mark.skipif(
    not _works("unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"), reason="file systems may not be mounted here"
)
needs_fuse = pytest.mark.skipif(
    not Path("/dev/fuse").exists() or not _works("unshare", "-m", "true"),
    reason="file systems of our own may not be mounted here",
)
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may act as another user"
)


def picture(path: Path, width: int = 40, height: int = 30, mode: str = "RGB", seed: int = 0) -> Path:
    """Write an image of noise, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(Image.new(mode, (1, 1)).getbands())
    samples = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    Image.fromarray(samples.squeeze()).save(path)
    return path


def ended(command: Sequence[object], cwd: Path | None = None, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command and return its status and output."""
    options: dict[str, Any] = {"capture_output": True, "timeout": 120} | more
    return subprocess.run([str(word) for word in command], cwd=cwd, check=False, **options)


def status_here(command: Sequence[str], cwd: Path) -> int:
    """Return the exit status of a command, run inside this process because that is quicker."""
    own = {POOL[-1]: pool_cli, FIT[-1]: fit_cli}.get(command[len(POOL) - 1], cli)
    with contextlib.chdir(cwd):
        return CliRunner().invoke(own, command[len(POOL) :]).exit_code


def unmeasured() -> dict[str, str]:
    """Return the environment for a command that must not write coverage data, nor lose time to measuring it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def traced(command: Sequence[object], cwd: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command under strace, which logs its changing system calls in `strace.log` or makes them fail."""
    line = ["strace", "-f", "-qq", "-o", cwd / "strace.log", "-e", f"trace={CHANGING}", *options, *command]
    return ended(line, cwd, env=unmeasured())


def changing_calls(cwd: Path) -> list[tuple[str, int]]:
    """Return the last traced command's system calls: name, and number among the calls of that name and thread."""
    calls: dict[tuple[str, str], int] = defaultdict(int)
    for line in (cwd / "strace.log").read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            calls[found[1], found[2]] += 1
    numbers = {(name, number) for (_, name), count in calls.items() for number in range(1, count + 1)}
    return sorted(numbers)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in a folder and its subfolders, by relative path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def in_a_shell(command: Sequence[object], redirected: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command in bash, where `redirected` has `{}` in the place of the command."""
    line = redirected.replace("{}", " ".join(f"'{word}'" for word in command))
    return ended(["bash", "-c", line], cwd)


def on_a_small_disk(script: str, kilobytes: int, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a shell script in `folder`, on which a disk of `kilobytes` is mounted for this script alone."""
    mount = f"mount -t tmpfs -o size={kilobytes}k none {folder} && cd {folder} && {script}"
    return ended(["unshare", "-m", "bash", "-c", mount])


def open_terminal() -> tuple[int, int]:
    """Return the two ends of a new pseudo-terminal; skip the test where the system has none."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    main, terminal = pty.openpty()
    return main, terminal


def children() -> Iterator[int]:
    """Processes whose parent is this one."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            yield int(folder.name)

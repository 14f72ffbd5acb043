"""Replace files only when their new content is complete. No other code replaces files.

New content goes to a temporary file in the target's folder, and then takes the target's name in one step:

1. The temporary file is created under a new name, and locked (`flock`) for as long as it exists.
2. Everything is written, flushed, and synchronised with the disk.
3. It takes the name: it replaces the old file or, if nothing may be overwritten, takes the name only if it is free.
4. The folder is synchronised with the disk: until then, a power cut may undo 3. This takes as long as synchronising a
   small file, so `confirm` does it at the end of a command, once for each folder.

A run that is killed between 1 and 3 leaves its temporary file. The system releases the lock when the process ends, in
whatever way. So a temporary file that can be locked belongs to no running process, and the next run that writes into
the folder removes it. Process numbers would not tell: another process may have the number by then, and each container
counts its own. On a network file system another host's lock may be invisible: there the file must also be a day old.
Windows has no such locks, and removes no open file: there the file must be a day old, and none has it open.
"""

import contextlib
import functools
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from upscale_cli.errors import FULL, DiskFullError, NeedlessError, taken_meanwhile
from upscale_cli.machine.durable import changed, synchronise, synchronise_folder

if sys.platform != "win32":
    import fcntl

PREFIX = ".upscale-"
"""The beginning of the names of temporary files."""

TEMPORARY = re.compile(rf"{re.escape(PREFIX)}([0-9a-f]{{8}})-[0-9a-f]{{16}}\.tmp")
"""The names of temporary files: eight digits for the mount on a running system, and eight random bytes."""

ABANDONED = 24 * 3600
"""Seconds without a change after which an unlocked temporary file of another system is removed."""

SPOOL = 64 << 20
"""The bytes of a result that stay in memory before they go to a temporary file."""

TRIES = 5
"""How many temporary files are made until one is locked; after that, one without a lock will do."""

RENAME_NOREPLACE, AT_FDCWD = 1, -100
"""Arguments of Linux's `renameat2`, from linux/fs.h and linux/fcntl.h."""

OF_CONTENT = frozenset(("security.capability", "security.evm", "security.ima"))
"""Extended attributes that Linux itself changes when a file gets another content."""

UNKNOWN = "0" * 8
"""The digits of an unknown system."""

_unfinished: set[Path] = set()
"""The temporary files of this process."""


@contextlib.contextmanager
def replacing(*targets: Path, overwrite: bool, times: tuple[int, int] | None = None) -> Iterator[list[BinaryIO]]:
    """Yield binary streams; if the block ends well, their contents become the files `targets`, else they vanish.

    Each content is in a temporary file in its target's folder until all of them are complete and on the disk. Then
    they take their names in the order of the list, on the disk too; for the last one, that is left to `confirm`. A
    target that is a link is followed. The mode, owner, group, extended attributes and access control list of an old
    target are kept, as far as the user may. A target that is not a regular file (`/dev/null`, a FIFO) gets its
    content at the end. `times`, if there are any, are when a file was read and changed, in nanoseconds.

    Raises `NeedlessError` if a target exists and may not be overwritten, and `OSError` as the system does.
    """
    with ExitStack() as stack:
        temporaries: list[_Temporary] = []
        streams: list[BinaryIO] = []
        for target in targets:
            if target.exists() and not target.is_file():
                streams.append(stack.enter_context(spooled(stack.enter_context(open(target, "wb")))))
                continue
            temporaries.append(_Temporary(Path(os.path.realpath(target)), overwrite))
            stack.callback(temporaries[-1].remove)
            streams.append(temporaries[-1].stream)
        yield streams
        for temporary in temporaries:
            temporary.complete()
        for number, temporary in enumerate(temporaries):
            if number:
                synchronise_folder(temporaries[number - 1].folder)
            temporary.place(times)


def abandon() -> None:
    """Remove the temporary files of this process, which is about to end: none takes its target's name any more."""
    for path in list(_unfinished):
        with suppress(OSError):
            os.unlink(path)


@contextlib.contextmanager
def spooled(target: BinaryIO) -> Iterator[BinaryIO]:
    """Yield a seekable stream; if the block ends well, its content goes to the target, which need not be seekable."""
    import shutil
    import tempfile

    with tempfile.SpooledTemporaryFile(SPOOL) as spool:
        try:
            yield spool  # type: ignore[misc]
        except OSError as error:
            if error.errno not in FULL:
                raise
            where = f'"{tempfile.gettempdir()}", where temporary files go, is full'
            raise DiskFullError(f"{where}; free some space there, or set TMPDIR to another folder.") from error
        spool.seek(0)
        shutil.copyfileobj(spool, target)
        target.flush()


class _Temporary:
    """A temporary file for a target, which is a regular file and no link, or a name that is free."""

    def __init__(self, target: Path, overwrite: bool) -> None:
        self._target, self._overwrite, self.folder = target, overwrite, target.parent
        self._old: os.stat_result | None = None
        with suppress(FileNotFoundError):
            self._old = target.stat()
        if self._old is not None and not overwrite:
            raise NeedlessError(f'"{target}" exists already; use --overwrite or --skip-existing.')
        sweep(self.folder)
        # Nobody else reads the new content before it has the old file's group.
        self._path, descriptor = _created(self.folder, 0o666 if self._old is None else self._old.st_mode & 0o700)
        self.stream: BinaryIO = os.fdopen(descriptor, "w+b")
        _unfinished.add(self._path)

    def complete(self) -> None:
        """Synchronise everything that was written with the disk."""
        self.stream.flush()
        if self._old is not None:
            self._keep(self._old, self.stream.fileno())
        synchronise(self.stream.fileno())
        if sys.platform == "win32":  # renames no open file; elsewhere it stays locked until it has its name
            self.stream.close()

    def _keep(self, old: os.stat_result, descriptor: int) -> None:
        """Take over the rights and extended attributes of the old target, as far as the user and Python may."""
        new, mode = os.fstat(descriptor), old.st_mode & 0o777
        if sys.platform != "win32" and (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            for owner in (old.st_uid, -1):
                with suppress(OSError):
                    os.fchown(descriptor, owner, old.st_gid)
                    break
            else:  # Another group gets no more rights than everybody.
                mode &= ~0o070 | mode << 3
        if sys.platform == "linux":  # Python knows no others
            with suppress(OSError):  # a file system without extended attributes
                ours, theirs = os.listxattr(descriptor), os.listxattr(self._target)
                for name in {*ours, *theirs} - OF_CONTENT:
                    with suppress(OSError):
                        if name in theirs:
                            os.setxattr(descriptor, name, os.getxattr(self._target, name))
                        else:  # an access control list that the folder gives to new files
                            os.removexattr(descriptor, name)
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.chmod(self._path, mode)

    def place(self, times: tuple[int, int] | None) -> None:
        """Give the file its times, and its target's name."""
        if times is not None:
            os.utime(self._path, ns=times)
        ours = os.stat(self._path)
        try:
            if self._overwrite:
                os.replace(self._path, self._target)
            else:
                _place_new(self._path, self._target)
        except OSError as error:
            # Network file systems send a request again whose answer was lost, and report how the second one ended.
            if not _is(self._target, ours):
                if isinstance(error, FileExistsError):
                    raise NeedlessError(taken_meanwhile(f'"{self._target}"')) from None
                raise
        changed(self.folder)

    def remove(self) -> None:
        """Close and remove the file, unless it has its target's name."""
        with suppress(OSError):  # What could not be written cannot be flushed either.
            self.stream.close()
        with suppress(OSError):  # After a rename it does not exist.
            os.unlink(self._path)
        _unfinished.discard(self._path)


def _created(folder: Path, mode: int) -> tuple[Path, int]:
    """Return a new temporary file, locked where files can be: its path, and a descriptor."""
    for left in reversed(range(TRIES)):
        path = folder / f"{PREFIX}{_system(folder)}-{os.urandom(8).hex()}.tmp"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), mode)
        try:
            # Between creating and locking, another run may have removed it as abandoned. Its number of names is not
            # asked for: some file systems always report 0. Others refuse every lock.
            if (_lock(descriptor) is not False and os.path.exists(path)) or not left:
                break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(path)
    return path, descriptor


def _lock(descriptor: int) -> bool | None:
    """Return whether we have locked a file; None if files cannot be locked here."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True
    return None


@functools.cache
def _system(folder: Path) -> str:
    """Return eight digits for the running system, containers included, and the mount; zeros if it is unknown."""
    try:
        system = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    except OSError:
        return UNKNOWN
    # Two mounts of one network file system may not see each other's locks.
    return f"{crc32(f'{system}{os.stat(folder).st_dev}'.encode()):08x}"


@functools.cache
def sweep(folder: Path) -> None:
    """Remove the temporary files of killed runs from a folder, once a process; leave those that cannot be removed."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if found := TEMPORARY.fullmatch(name):
                with suppress(OSError):
                    _remove_abandoned(folder / name, found[1])


def _remove_abandoned(path: Path, system: str) -> None:
    """Remove a temporary file unless its owner is running, or may be running."""
    if sys.platform == "win32":  # which removes no open file
        if time.time() - os.stat(path).st_mtime > ABANDONED:
            os.unlink(path)
        return
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with ExitStack() as stack:
        descriptor = os.open(path, flags)
        stack.callback(os.close, descriptor)
        second = os.open(path, flags)  # whose lock is refused, unless every lock is granted here
        stack.callback(os.close, second)
        status = os.fstat(descriptor)
        known = system == _system(path.parent) != UNKNOWN or time.time() - status.st_mtime > ABANDONED
        if known and stat.S_ISREG(status.st_mode) and _lock(descriptor) and _lock(second) is False:
            os.unlink(path)


def _is(path: Path, status: os.stat_result) -> bool:
    """Return whether a path is that of the file of a status; some file systems give all files one number."""
    with suppress(OSError):
        found = os.stat(path)
        return (
            os.path.samestat(found, status) and found.st_size == status.st_size and found.st_mtime == status.st_mtime
        )
    return False


def _place_new(temporary: Path, target: Path) -> None:
    """Give a temporary file its target's name; raise `FileExistsError` if another program has taken it meanwhile."""
    with suppress(OSError):  # no hard links here, or the name is taken, which renaming finds, too
        os.link(temporary, target)
        if os.path.exists(target):  # some file systems only say that they made it
            return
    _rename_new(temporary, target)


def _rename_new(old: Path, new: Path) -> None:
    """Rename a file, unless the name is taken: in one step on Windows and Linux, on others it is checked before."""
    if os.name != "nt":
        import ctypes

        rename = getattr(ctypes.CDLL(None), "renameat2", None)
        if rename and rename(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), RENAME_NOREPLACE) == 0:
            return
        if os.path.lexists(new):
            raise FileExistsError
    os.rename(old, new)

"""Files and folders that survive a power cut.

What a program writes, and the names that files take, are in memory until they are synchronised with the disk. To
synchronise a folder takes as long as a small file, so folders wait for the end of a command, and each is done once.
"""

import errno
import os
import sys
from pathlib import Path

from upscale_cli.errors import as_upscale_error

if sys.platform != "win32":
    import fcntl

NO_SYNC = frozenset((errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY))
"""The answers of file systems that cannot synchronise a folder, or do not know `F_FULLFSYNC`."""

_changed: set[Path] = set()
"""The folders whose names may not be on the disk yet."""


def changed(folder: Path) -> None:
    """Let the next `confirm` synchronise a folder: this run, or a run that was killed, has replaced files in it."""
    _changed.add(folder)


def confirm() -> None:
    """Synchronise the folders in which files were replaced with the disk.

    The folders above them may be new, too, so all of them are synchronised up to the root of their file system.
    Raises `UpscaleError` if the system reports an error: after a power cut, the old files may be back.
    """
    done: set[Path] = set()
    while _changed:
        folder = _changed.pop()
        while folder not in done:
            try:
                synchronise_folder(folder)
            except OSError as error:
                raise as_upscale_error(error, f'"{folder}"') from error
            done.add(folder)
            folder = folder if os.path.ismount(folder) else folder.parent


def synchronise(descriptor: int) -> None:
    """Put a file or a folder on the disk; `fsync` of macOS leaves it in the memory of the drive."""
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in NO_SYNC:
                raise
        else:
            return
    os.fsync(descriptor)


def synchronise_folder(folder: Path) -> None:
    """Put the names of a folder on the disk, where the system can: Windows opens no folders."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        synchronise(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)

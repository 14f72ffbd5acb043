"""Replacing a target only when its new content is complete: the one piece of code that does."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from upscale_cli.errors import UpscaleError

PREFIX = ".upscale-"
"""How the names of temporary files begin."""


@contextlib.contextmanager
def replacing(target: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A binary stream whose content becomes the file `target` when the block ends well, and vanishes when not.

    The content lies in a temporary file in the target's folder until it is complete and on the disk. A target that is
    a link is followed, the mode of an old target is kept, and what is not a regular file (`/dev/null`, a FIFO) is
    written straight.

    Raises
    ------
    UpscaleError
        When the target exists and is not to be overwritten.
    OSError
        As the system says.
    """
    target = Path(os.path.realpath(target))
    try:
        old = target.stat()
    except FileNotFoundError:
        old = None
    if old is not None and not stat.S_ISREG(old.st_mode):
        with open(target, "wb") as stream:
            yield stream
        return
    if old is not None and not overwrite:
        raise UpscaleError("exists already; use --overwrite, or --skip-existing.")
    temporary = target.parent / f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}.tmp"
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with open(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if old is not None:
            os.chmod(temporary, stat.S_IMODE(old.st_mode))
        if overwrite:
            os.replace(temporary, target)
        else:
            _place(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _place(temporary: Path, target: Path) -> None:
    """Give the temporary file its name, unless another run has taken it meanwhile."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise UpscaleError("was written by another program meanwhile; use --overwrite to replace it.") from None
    except OSError:  # a file system without hard links
        os.replace(temporary, target)
    else:
        os.unlink(temporary)

"""What goes wrong, as a sentence; and the exit status that it leads to."""

import errno
import os
from collections.abc import Iterable
from typing import NamedTuple


class UpscaleError(ValueError):
    """Something that the user can put right: one sentence that names the thing and says what to do.

    `exit_status` is 1 for an image that could not be made (the others of a batch go on) and 2 for a request
    that makes no sense whatever the image is.
    """

    exit_status = 1


class UsageError(UpscaleError):
    """A request that cannot be carried out for any image: a misspelt name, a parameter out of range."""

    exit_status = 2


class Failure(NamedTuple):
    """What an exception comes to.

    Attributes
    ----------
    sentence : str
        What is wrong; it does not name the source.
    status : int
        The exit status that it leads to.
    cause : BaseException or None
        Where a program's fault lies, for those who ask for a traceback.
    disk_full : bool
        Nothing else can be written either.
    """

    sentence: str
    status: int = 1
    cause: BaseException | None = None
    disk_full: bool = False


FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
HINTS = dict.fromkeys(FULL, "; make room") | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ENOENT),
    "; give another --output",
)


def explain(error: BaseException, place: str) -> Failure:
    """The sentence and the status of an exception: the one piece of code that knows them.

    Parameters
    ----------
    error : BaseException
        Errors of reading and decoding are `UpscaleError` already, so one of the system was met in writing.
    place : str
        What was being written, as the user knows it.

    Examples
    --------
    >>> explain(OSError(errno.ENOSPC, "No space left on device"), '"a.png"').sentence
    '"a.png" cannot be written: No space left on device; make room.'
    """
    if isinstance(error, UpscaleError):
        return Failure(str(error), error.exit_status, error.__cause__)
    if isinstance(error, MemoryError):
        return Failure("does not fit into memory; try fewer --jobs, or another --format.")
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        return Failure(
            f"{place} cannot be written: {reason}{HINTS.get(error.errno or 0, '')}.", disk_full=error.errno in FULL
        )
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return Failure("cannot be made: the system gives no more threads; try --jobs 1.")
    return Failure(f"failed unexpectedly: {type(error).__name__}: {' '.join(str(error).split())}.", cause=error)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint behind a misspelt name, or an empty string when nothing is near.

    >>> did_you_mean("lanzcos", ["nearest", "lanczos"])
    ' Did you mean "lanczos"?'
    >>> did_you_mean("xyz", ["nearest", "lanczos"])
    ''
    """
    # Only mistakes pay for the import.
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f' Did you mean "{near[0]}"?' if near else ""

"""User-facing errors and their exit codes."""

import errno
import os
from collections.abc import Iterable, Mapping
from enum import IntEnum
from types import MappingProxyType


class ExitStatus(IntEnum):
    """How a command ends, as its shell sees it."""

    DONE = 0
    """Everything was done."""
    FAILED = 1
    """At least one image failed; the others are written, unless the disk is full."""
    USAGE = 2
    """The request is invalid for every image."""
    HUNG_UP = 129
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    """The reader of standard output left."""
    TERMINATED = 143


class UpscaleError(ValueError):
    """Something that the user can put right: one sentence that names what is wrong and says what to do.

    Attributes
    ----------
    exit_status : ExitStatus
        The status of a command that ends with this error.
    disk_full : bool
        Nothing else can be written either.
    """

    exit_status = ExitStatus.FAILED
    disk_full = False


class UsageError(UpscaleError):
    """A request that is invalid for every image: a misspelt name, a parameter out of range."""

    exit_status = ExitStatus.USAGE


class NeedlessError(UpscaleError):
    """What was asked for is there: a result, perhaps of another run, or an image that is large enough."""


def taken_meanwhile(shown: str) -> str:
    """Return the sentence about a target that was free when the run was planned, and is not any more.

    >>> taken_meanwhile('"a.png"')
    '"a.png" was written by another program meanwhile; use --overwrite to replace it.'
    """
    return f"{shown} was written by another program meanwhile; use --overwrite to replace it."


class DiskFullError(UpscaleError):
    """The disk, or the user's share of it, is full."""

    disk_full = True


class UnexpectedError(UpscaleError):
    """A fault of the program. Its `__cause__` is the exception, whose traceback -vv shows."""


FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
HINTS = dict.fromkeys(FULL, "; free some space") | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ENOENT),
    "; use another --output",
)
"""What to do about an error of the system, by its number."""


def as_upscale_error(error: BaseException, target: str) -> UpscaleError:
    """Return an exception as the error that the user sees: the only code that translates exceptions of others.

    The error keeps no image alive: the local variables behind it, except those of functions at work, are released.

    Parameters
    ----------
    error : BaseException
        Errors of reading and decoding are `UpscaleError` already, so an `OSError` happened while writing.
    target : str
        What was being written, as the user knows it.

    Examples
    --------
    >>> full = as_upscale_error(OSError(errno.ENOSPC, "No space left on device"), '"a.png"')
    >>> str(full), full.disk_full
    ('"a.png" cannot be written: No space left on device; free some space.', True)
    """
    _release_locals(error)
    if isinstance(error, UpscaleError):
        return error.with_traceback(None)
    if isinstance(error, MemoryError):
        return UpscaleError("does not fit into memory; use fewer --jobs, or another --format.")
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        kind = DiskFullError if error.errno in FULL else UpscaleError
        return kind(f"{target} cannot be written: {reason}{HINTS.get(error.errno or 0, '')}.")
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return UpscaleError("cannot be enlarged: the system allows no more threads; use --jobs 1.")
    unexpected = UnexpectedError(f"unexpected error: {type(error).__name__}: {' '.join(str(error).split())}.")
    unexpected.__cause__ = error
    return unexpected


def _release_locals(error: BaseException | None) -> None:
    """Clear the local variables of the functions that an exception and its contexts have ended."""
    import traceback

    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def needs_extra(extra: str, error: BaseException | None) -> str:
    """Return what to do about the libraries of an extra that could not be imported, as the end of a sentence.

    >>> needs_extra("heif", ModuleNotFoundError())
    "needs an extra: pip install 'upscale-cli[heif]'."
    """
    if isinstance(error, ModuleNotFoundError):
        return f"needs an extra: pip install 'upscale-cli[{extra}]'."
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return (
        f"needs an extra that cannot be loaded ({reason}); install it again: "
        f"pip install --force-reinstall 'upscale-cli[{extra}]'."
    )


def did_you_mean(word: str, known: Iterable[str], others: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the hint after a misspelt name; an empty string if no known name is similar.

    Parameters
    ----------
    others : mapping of str to str
        Further words, and the known name that each stands for.

    Examples
    --------
    >>> did_you_mean("lanzcos", ["nearest", "lanczos"])
    ' Did you mean "lanczos"?'
    >>> did_you_mean("xyz", ["nearest", "lanczos"])
    ''
    >>> did_you_mean("NN", ["nearest", "lanczos"], {"nn": "nearest"})
    ' Did you mean "nearest"?'
    """
    # Only mistakes pay for the import.
    import difflib

    names = {**others} | {name: name for name in known}
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    return f' Did you mean "{names[near[0]]}"?' if near else ""

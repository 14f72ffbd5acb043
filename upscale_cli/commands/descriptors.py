"""Standard streams of our own: no library prints into them, and they wait where others made them non-blocking."""

import os
import select
import sys
from contextlib import suppress
from io import BufferedReader, FileIO, TextIOWrapper
from typing import Any, cast

import click


class Patient(FileIO):
    """Read and write a file descriptor, and wait while a pipe is empty or full, even if it is non-blocking.

    Another process that shares the pipe may have made it so. Python's own streams then report an end of the input
    that is none, or lose a part of the output. And no buffer keeps bytes that could not be written, to try again when
    it is closed, for which Python prints a second error.
    """

    def write(self, data: Any) -> int:
        """Write every byte; return their number."""
        rest = memoryview(data).cast("B")
        count = len(rest)
        while rest:
            if (written := super().write(rest)) is None:
                select.select((), (self,), ())
            else:
                rest = rest[written:]
        return count

    def readinto(self, buffer: Any) -> int:
        """Read at most as many bytes as fit, as soon as there are any; return their number, 0 at the end."""
        while (count := cast(int | None, super().readinto(buffer))) is None:
            select.select((self,), (), ())
        return count


def hold_standard_streams() -> None:
    """Open the null device for closed descriptors 0, 1 and 2: messages of libraries would go into the next file."""
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
            pass
        os.close(descriptor)


def take_standard_streams(quiet: bool) -> None:
    """Give `sys.stdout` and `sys.stderr` descriptors of their own, because libraries in C print to 1 and 2.

    What these print is discarded if `quiet`, else all of it goes where messages go. Streams that are closed, or are
    not files, stay as they are.
    """
    if _number(sys.stdin) == 0 and os.name == "posix":
        sys.stdin = TextIOWrapper(BufferedReader(Patient(0, "rb", closefd=False)))
    if _number(sys.stdout) == 1:
        sys.stdout = _moved(sys.stdout, sys.stdout.errors)
        os.dup2(2, 1)
    if quiet and _number(sys.stderr) == 2:
        import logging

        logging.disable()
        sys.stderr = _moved(sys.stderr, "backslashreplace")
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)
        os.dup2(silence, 1)
        os.close(silence)


def written_to(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return the value of --output; names of standard output mean `-`, because descriptor 1 is given away."""
    if value in ("/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"):
        raise click.UsageError(f'"{value}" is for messages; use --output - for standard output.', ctx)
    return "-" if value in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1") else value


def _number(stream: Any) -> int | None:
    """Return the descriptor of a stream; None if it is closed or is not a file."""
    try:
        return cast(int, stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None


def _moved(stream: Any, errors: str | None) -> TextIOWrapper:
    """Return a stream that writes to a copy of another one's descriptor."""
    copy = os.dup(stream.fileno())
    raw = Patient(copy, "wb") if os.name == "posix" else os.fdopen(copy, "wb", 0)
    return TextIOWrapper(cast(Any, raw), stream.encoding, errors, write_through=True)

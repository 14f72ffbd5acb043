"""What people see: lines on standard error, a progress bar on a terminal, and how a run ends."""

import gc
import math
import os
import signal
import sys
import threading
import traceback
import types
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, TextIOWrapper, UnsupportedOperation
from typing import Any, BinaryIO, NoReturn, cast

import click

from upscale_cli.commands.descriptors import Patient, hold_standard_streams, take_standard_streams
from upscale_cli.errors import ExitStatus, UnexpectedError, UpscaleError, as_upscale_error
from upscale_cli.machine.durable import confirm

NO_MEMORY = "no memory is left; close other programs, or use smaller images."
_last_words = [b""]  # the same as a line, for once, where there is no memory to make one; one entry needs none to pop


def say(text: str) -> None:
    """Print a line on standard error.

    Images do not depend on it: if nobody reads it, or its disk is full, the line is lost.
    """
    try:
        click.echo(visible(text), err=True)
    except MemoryError:
        with suppress(OSError, IndexError):
            os.write(sys.stderr.fileno(), _last_words.pop())
    except OSError:
        drop(sys.stderr)


def visible(text: str) -> str:
    """Return a line with control and bidirectional characters of odd names made visible."""
    if text.isprintable():
        return text
    return "".join(c if unicodedata.category(c)[0] != "C" else _escaped(c) for c in text)


def print_json(values: Any) -> None:
    """Print values as a line of JSON on standard output. Numbers that JSON does not have become null."""
    import json

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [finite(each) for each in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    click.echo(json.dumps(finite(values), allow_nan=False))


def drop(stream: Any) -> None:
    """Discard what could not be written to a standard stream: Python would try again when it ends, and complain."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def fail(text: str, status: ExitStatus = ExitStatus.USAGE) -> NoReturn:
    """Print what is wrong, after the name of the command, and exit."""
    say(f"{click.get_current_context().info_name}: {text}")
    raise SystemExit(status)


def open_standard_input(what: str = "an image") -> BufferedReader:
    """Return standard input, which is expected to hold `what`; exit if there is none."""
    if sys.stdin is None or sys.stdin.closed:
        fail(f"standard input is closed; pipe {what} into it.")
    if sys.stdin.isatty():
        fail(f"standard input is a terminal; pipe {what} into it.")
    return cast(BufferedReader, sys.stdin.buffer)


def read_standard_input(what: str = "an image") -> bytes:
    """Return all of standard input; see `open_standard_input`."""
    from upscale_cli.codecs.splitting import Incoming

    stream = open_standard_input(what)
    try:
        return Incoming(stream).rest()
    except UpscaleError as error:
        fail(f"standard input {error}", ExitStatus.FAILED)


def refuse_closed_output() -> None:
    """Exit if standard output is closed: what was asked for on it would be lost."""
    if sys.stdout is None or sys.stdout.closed:
        fail("standard output is closed; redirect it, or do not use it.", ExitStatus.FAILED)


def standard_output() -> BinaryIO:
    """Return standard output for image bytes; exit if it is a terminal."""
    refuse_closed_output()
    if sys.stdout.isatty():
        fail("standard output is a terminal; redirect it, or use --output FILE.")
    try:
        return Patient(sys.stdout.fileno(), "wb", closefd=False)
    except UnsupportedOperation:
        return sys.stdout.buffer  # it is no file


class Bar:
    """A progress bar on standard error that counts output pixels, or frames; nothing if that is no terminal."""

    def __init__(self, total: int | None, jobs: int, shown: bool, unit: str = "px") -> None:
        self._bar: Any = None
        self._lock = threading.Lock()
        if shown and sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                unit=unit if unit == "px" else f" {unit}s",
                unit_scale=unit == "px",
                dynamic_ncols=True,
                delay=0.5,
                postfix={"images": f"0/{jobs}"} if jobs > 1 else None,
            )
        self._jobs, self._ended = jobs, 0

    def advance(self, pixels: int) -> None:
        """Count pixels or frames that are done since the last call."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(pixels)

    def image_ended(self) -> None:
        """Count an image that is done or has failed."""
        self._ended += 1
        if self._bar is not None and self._jobs > 1:
            self._bar.set_postfix(images=f"{self._ended}/{self._jobs}", refresh=False)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is None:
            say(text)
        else:
            with self._lock:
                self._bar.clear()
                say(text)
                self._bar.refresh()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.leave = False
            self._bar.close()


class Interrupted(BaseException):
    """A signal asked to stop; `said` if the user has been told."""

    said = False

    def __init__(self, status: ExitStatus) -> None:
        self.status = status


_gentle: list[Callable[[ExitStatus], None]] = []
"""Functions that take signals in place of an exception; the last one is called."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into `Interrupted`; a second one ends the process at once.

    Signals that are ignored stay ignored: nohup, and jobs in the background of a script, ask for that.
    """
    known: dict[int, ExitStatus] = {signal.SIGINT: ExitStatus.INTERRUPTED, signal.SIGTERM: ExitStatus.TERMINATED}
    if hasattr(signal, "SIGHUP"):
        known[signal.SIGHUP] = ExitStatus.HUNG_UP

    def stop(number: int, frame: types.FrameType | None) -> None:
        for each in before:
            signal.signal(each, lambda again, _: os._exit(known[again]))
        if not _gentle:
            raise Interrupted(known[number])
        _gentle[-1](known[number])

    before = {number: handler for number in known if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Let a signal call `stop` within the block, and raise `Interrupted` when the block has ended by itself.

    Nothing is interrupted in the middle, so that finished images are counted and unfinished ones are cleared away.
    """
    arrived: list[ExitStatus] = []

    def arrive(status: ExitStatus) -> None:
        arrived.append(status)
        stop()

    _gentle.append(arrive)
    try:
        yield
    finally:
        _gentle.remove(arrive)
    if arrived:
        raise Interrupted(arrived[0])


def ends(run: Callable[[], int], name: str, verbose: int) -> NoReturn:
    """Run a command, and exit with its status. An error that ends the whole run becomes a line and a status here."""
    hold_standard_streams()
    take_standard_streams(quiet=verbose < 2)
    if verbose < 2:
        warnings.simplefilter("ignore")
        sys.unraisablehook = lambda _: None  # Python prints errors that it cannot raise, when memory ends
    try:
        with interruptible():
            try:
                status = run()
            finally:
                confirm()
            if sys.stdout is not None:
                sys.stdout.flush()
    except Interrupted as interrupted:
        if not interrupted.said:
            say(f"{name}: stopped.")
        status = interrupted.status
    except BrokenPipeError:
        # The reader has read enough.
        drop(sys.stdout)
        status = ExitStatus.PIPE_CLOSED
    except Exception as error:
        if isinstance(error.__cause__, Interrupted):
            # Python replaces an exception that is raised while a class is created by one of its own.
            raise SystemExit(error.__cause__.status) from None
        if isinstance(error, OSError):
            drop(sys.stdout)
        status = _explained(error, name, verbose)
    raise SystemExit(status)


def _explained(error: Exception, name: str, verbose: int) -> ExitStatus:
    """Print what an error that ends the whole run is, and return the exit status."""
    failure = as_upscale_error(error, "standard output")
    say(f"{name}: {NO_MEMORY if isinstance(error, MemoryError) else failure}{hint(failure, verbose)}")
    show_cause(failure, verbose)
    return failure.exit_status


def start(command: click.Command) -> NoReturn:
    """Read the arguments, run a command, and exit. Invalid arguments are reported in one line, like all errors."""
    # NumPy and Pillow create tens of thousands of objects when they are imported, and all of them stay. Searching
    # them for garbage as often as Python does takes a twentieth of the time of a small image.
    gc.set_threshold(50_000, 50, 50)
    if isinstance(sys.stdout, TextIOWrapper):  # Windows writes files in cp1252, which has no arrow
        sys.stdout.reconfigure(errors="backslashreplace")
    name = str(command.name)
    _last_words[:1] = [f"{name}: {NO_MEMORY}\n".encode()]
    if f"_{name.upper().replace('-', '_')}_COMPLETE" in os.environ:
        from upscale_cli.commands import completion

        completion.install()
    try:
        status = command.main(prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        name = getattr(getattr(error, "ctx", None), "command_path", name)
        say(f"{name}: {error.format_message()} See {name} --help.")
        status = error.exit_code
    except click.Abort:
        status = ExitStatus.INTERRUPTED
    except Exception as error:
        status = _explained(error, name, 0)
    except SystemExit as end:
        status = int(end.code or 0)
    _leave(status)


def _leave(status: int) -> NoReturn:
    """End the process at once: to free the objects of all modules takes an eighth of the time of a small image."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        raise SystemExit(status) from None  # Python reports what could not be written
    if sys.getprofile() or sys.gettrace():
        raise SystemExit(status)  # a profiler or debugger reports at the end
    os._exit(status)


def hint(failure: UpscaleError, verbose: int) -> str:
    """Return what to do about a fault of the program, after its message."""
    return " Run with -vv for a traceback." if isinstance(failure, UnexpectedError) and verbose < 2 else ""


def show_cause(failure: UpscaleError, verbose: int) -> None:
    """Print the traceback of an error's cause, or the one that came from another process, if -vv asks for it."""
    if verbose >= 2 and failure.__cause__ is not None:
        traceback.print_exception(failure.__cause__)
    elif verbose >= 2:
        sys.stderr.writelines(getattr(failure, "__notes__", ()))

"""What people see: lines on standard error, a bar where it is a terminal, and the ends of a run."""

import errno
import gc
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
from io import BytesIO, FileIO, UnsupportedOperation
from typing import Any, BinaryIO, NoReturn

import click

from upscale_cli.errors import explain

INTERRUPTED, TERMINATED, HUNG_UP, PIPE_CLOSED = 130, 143, 129, 141
LARGEST_INPUT = 1 << 30
"""Bytes that are read from standard input, at most."""


def say(text: str) -> None:
    """A line on standard error. Control and bidirectional characters of odd names are shown, not obeyed.

    Images do not depend on who reads it: where nobody does, or its disk is full, it is lost.
    """
    shown = "".join(c if unicodedata.category(c)[0] != "C" else _escaped(c) for c in text)
    try:
        click.echo(shown, err=True)
    except OSError:
        _drop(sys.stderr)


def _drop(stream: Any) -> None:
    """Lose what could not be written to a standard stream: Python would try it once more at its end, and complain."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def fail(text: str, status: int = 2) -> NoReturn:
    """Say what is wrong, by the name of the command, and leave."""
    say(f"{click.get_current_context().info_name}: {text}")
    raise SystemExit(status)


def read_standard_input() -> bytes:
    """All of standard input, a gigabyte at most."""
    if sys.stdin is None or sys.stdin.closed:
        fail("standard input is closed; pipe an image into it.")
    if sys.stdin.isatty():
        fail("standard input is a terminal; pipe an image into it.")
    data = BytesIO()
    try:
        while part := sys.stdin.buffer.read(1 << 20):
            data.write(part)
            if data.tell() > LARGEST_INPUT:
                fail(f"standard input is larger than {LARGEST_INPUT >> 30} GiB; give a file.", 1)
    except OSError as error:
        fail(f"standard input cannot be read: {error.strerror}.", 1)
    return data.getvalue()


def refuse_closed_output() -> None:
    """Leave where standard output is closed: what is asked for on it would be lost."""
    if sys.stdout is None or sys.stdout.closed:
        fail("standard output is closed; redirect it, or do without it.", 1)


def standard_output() -> BinaryIO:
    """Standard output for image bytes, unless it is a terminal."""
    refuse_closed_output()
    if sys.stdout.isatty():
        fail("standard output is a terminal; redirect it, or give a file as --output.")
    try:
        return _Unbuffered(sys.stdout.fileno(), "wb", closefd=False)
    except UnsupportedOperation:
        return sys.stdout.buffer  # it is no file


class _Unbuffered(FileIO):
    """Write all the bytes to a file descriptor, or raise: no buffer keeps bytes that could not be written.

    A buffer tries to write them again when it is closed or freed, and Python then prints a second error. Python's own
    `sys.stdout.buffer` has one, or none with PYTHONUNBUFFERED, where a write may take only some of the bytes.
    """

    def write(self, data: Any) -> int:
        """Write every byte of a bytes-like object; return their number."""
        rest = memoryview(data).cast("B")
        count = len(rest)
        while rest:
            written = super().write(rest)
            if written is None:  # a non-blocking pipe is full
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            rest = rest[written:]
        return count


class Bar:
    """A bar on standard error, weighted by output pixels; nothing where that is no terminal."""

    def __init__(self, pixels: int, jobs: int, shown: bool) -> None:
        self._bar: Any = None
        self._lock = threading.Lock()
        if shown and sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=pixels,
                unit="px",
                unit_scale=True,
                dynamic_ncols=True,
                delay=0.5,
                postfix={"images": f"0/{jobs}"} if jobs > 1 else None,
            )
        self._jobs, self._ended = jobs, 0

    def advance(self, pixels: int) -> None:
        """So many more are done."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(pixels)

    def image_ended(self) -> None:
        """One more image is done or has failed."""
        self._ended += 1
        if self._bar is not None and self._jobs > 1:
            self._bar.set_postfix(images=f"{self._ended}/{self._jobs}", refresh=False)

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._bar is None:
            say(text)
        else:
            with self._lock:
                self._bar.clear()
                say(text)
                self._bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.leave = False
            self._bar.close()


class Interrupted(BaseException):
    """A signal asked to stop."""

    def __init__(self, status: int) -> None:
        self.status = status


_gentle: list[Callable[[int], None]] = []
"""Who is told of a signal, instead of being interrupted; the last one is."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into `Interrupted`; a second one leaves at once.

    What is ignored stays ignored: nohup, and jobs in the background of a script, ask for that.
    """
    statuses = {"SIGINT": INTERRUPTED, "SIGTERM": TERMINATED, "SIGHUP": HUNG_UP}
    known = {getattr(signal, name): status for name, status in statuses.items() if hasattr(signal, name)}

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

    Nothing is interrupted half-way in between, so that what was done is counted, and what was begun is cleared away.
    """
    arrived: list[int] = []

    def told(status: int) -> None:
        arrived.append(status)
        stop()

    _gentle.append(told)
    try:
        yield
    finally:
        _gentle.remove(told)
    if arrived:
        raise Interrupted(arrived[0])


def _hold_standard_streams() -> None:
    """Give what is closed of the descriptors 0, 1 and 2 to the null device.

    The next file to be opened would get such a number, and what libraries say on their own would go into an image.
    """
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
            pass
        os.close(descriptor)


def _silence_libraries() -> None:
    """Keep what libraries say on their own off the terminal: ours is the one line that is said about a file.

    Decoders in C write to file descriptor 2, whatever `sys.stderr` is; so ours moves to another.
    """
    warnings.simplefilter("ignore")
    try:
        if sys.stderr.fileno() != 2:
            return
        encoding, ours = sys.stderr.encoding, os.dup(2)
        sys.stderr = open(ours, "w", encoding=encoding, errors="backslashreplace", buffering=1)  # noqa: SIM115
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)
        os.close(silence)
    except (AttributeError, OSError):
        pass  # closed, or not a file: nobody reads it


def ends(run: Callable[[], int], name: str, verbose: int) -> NoReturn:
    """Run a command, and leave with its status: what ends a whole run becomes a line and a status here."""
    _hold_standard_streams()
    if verbose < 2:
        _silence_libraries()
    try:
        with interruptible():
            status = run()
            if sys.stdout is not None:
                sys.stdout.flush()
    except Interrupted as interrupted:
        status = interrupted.status
    except BrokenPipeError:
        # Whoever read has read enough.
        _drop(sys.stdout)
        status = PIPE_CLOSED
    except Exception as error:
        if isinstance(error.__cause__, Interrupted):
            # Python makes an error of its own of what is raised while a class is made.
            raise SystemExit(error.__cause__.status) from None
        if isinstance(error, OSError):
            _drop(sys.stdout)
        failure = explain(error, "standard output")
        where = " With -v -v it says where." if failure.cause is error else ""
        say(f"{name}: {failure.sentence}{where}")
        show_cause(failure.cause, verbose)
        status = failure.status
    raise SystemExit(status)


def start(command: click.Command, name: str) -> NoReturn:
    """Read the arguments, run a command, and leave. What is wrong with them is one line, as everything is."""
    # NumPy and Pillow make tens of thousands of objects when they are imported, and all of them stay: to look for
    # garbage among them as often as Python does takes a twentieth of the time of a small image.
    gc.set_threshold(50_000, 50, 50)
    if f"_{name.upper().replace('-', '_')}_COMPLETE" in os.environ:
        from upscale_cli.commands import completion

        completion.install()
    try:
        status = command.main(prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        say(f"{name}: {error.format_message()} {name} --help shows all options.")
        status = error.exit_code
    except click.Abort:
        status = INTERRUPTED
    except SystemExit as end:
        status = int(end.code or 0)
    _leave(status)


def _leave(status: int) -> NoReturn:
    """End the process with a status, at once.

    By now all threads have ended and all files are closed. Python would go on to free every object of every module,
    which takes an eighth of the time of a small image.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        raise SystemExit(status) from None  # Python says what could not be written
    if sys.getprofile() or sys.gettrace():
        raise SystemExit(status)  # whoever watches has something to say at the end
    os._exit(status)


def show_cause(cause: BaseException | None, verbose: int) -> None:
    """The traceback behind a line, for those who asked for it."""
    if cause is not None and verbose >= 2:
        traceback.print_exception(cause)

"""Who carries out jobs: one row of `EXECUTORS` for each kind of executor."""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

from upscale_cli.errors import UsageError, did_you_mean
from upscale_cli.plugins import Registry


class ExecutorKind(NamedTuple):
    """A way to carry out jobs. Rows are built by keyword.

    Attributes
    ----------
    name, summary : str
        What users type, and what it is.
    start : callable(int) -> Executor or None
        Return a `concurrent.futures.Executor` for so many jobs at once, or None for the threads of this process. It
        is given a function and one `Job`, both of which can be pickled, and returns an `Outcome`, which can be too.
    """

    name: str
    summary: str
    start: Callable[[int], Executor | None]


def _processes(jobs: int) -> Executor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # A process that is forked while threads run may wait for ever for a lock that one of them held.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_follow_parent)


def _follow_parent() -> None:
    """Let this worker end when its parent has ended, in whatever way, and leave signals of the terminal to it."""
    import multiprocessing
    import os
    import signal
    import threading

    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


EXECUTORS: Registry[ExecutorKind] = Registry(
    "upscale_cli.executors",
    (
        ExecutorKind(name="threads", summary="threads of this process, the default", start=lambda jobs: None),
        ExecutorKind(name="processes", summary="processes of this machine", start=_processes),
    ),
    kind=ExecutorKind,
)
"""Every kind of executor by its name; those of installed plug-ins join it when another name is asked for."""


def find_executor(name: str) -> ExecutorKind:
    """Return the kind of executor of a name.

    Raises
    ------
    UsageError
        If there is none.
    """
    found = EXECUTORS.find(name)
    if found is None:
        EXECUTORS.load_plugins()
        names = ", ".join(EXECUTORS)
        raise UsageError(f'unknown executor "{name}".{did_you_mean(name, EXECUTORS)} Executors: {names}.')
    return found

"""Who carries out jobs: one row of `EXECUTORS` for each kind of executor."""

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, NamedTuple

from upscale_cli.errors import UsageError, did_you_mean
from upscale_cli.machine.processors import processors
from upscale_cli.plugins import Registry


class Cluster(Executor):
    """An executor on other machines: it may grow and shrink while it is used, and may be lost.

    A job whose worker dies more often than it should fails with `BrokenExecutor`.

    Attributes
    ----------
    room : int
        The jobs that it takes at once, now. 0 while it has no worker.
    lost : str
        Why it carries out no more jobs, as a sentence; empty as long as it does.
    news : str
        What the user should know about it now, as a sentence.
    """

    room: int = 0
    lost: str = ""
    news: str = ""


class ExecutorKind(NamedTuple):
    """A way to carry out jobs. Rows are built by keyword.

    Attributes
    ----------
    name, summary : str
        What users type, and what it is.
    start : callable(int or None, str) -> Executor or None
        Return a `concurrent.futures.Executor` for so many jobs at once (None for as many as there is room for) at an
        address, or None for the threads of this process. It is given a function and one `Job`, both of which can be
        pickled, and returns what the function returns, which can be too.
    remote : bool
        It has an address, which users type as NAME://ADDRESS, and its jobs run on other machines: the memory and the
        processors of this one do not matter.
    """

    name: str
    summary: str
    start: Callable[[int | None, str], Executor | None]
    remote: bool = False


class _Processes(Executor):
    """Processes of this machine. When one of them is killed the others end too, and new ones take their place."""

    def __init__(self, jobs: int) -> None:
        self._jobs, self._pool = jobs, self._started(jobs)

    def _started(self, jobs: int) -> Executor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        # A process that is forked while threads run may wait for ever for a lock that one of them held.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(jobs, mp_context=context, initializer=_follow_parent)

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        try:
            return self._pool.submit(function, *arguments, **named)
        except BrokenExecutor:
            self._pool = self._started(self._jobs)
            return self._pool.submit(function, *arguments, **named)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _dask(jobs: int | None, address: str) -> Executor:
    from upscale_cli.batch.dask_cluster import DaskCluster

    return DaskCluster(jobs, address)


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
        ExecutorKind(name="threads", summary="threads of this process, the default", start=lambda *_: None),
        ExecutorKind(
            name="processes",
            summary="processes of this machine",
            start=lambda jobs, address: _Processes(jobs or processors()),
        ),
        ExecutorKind(
            name="dask",
            summary="a Dask cluster: dask://HOST:PORT of its scheduler, or dask:// for one of this machine",
            start=_dask,
            remote=True,
        ),
    ),
    kind=ExecutorKind,
)
"""Every kind of executor by its name; those of installed plug-ins join it when another name is asked for."""


def find_executor(text: str) -> tuple[ExecutorKind, str]:
    """Return the kind of executor that a user names, and its address.

    >>> kind, address = find_executor("dask://10.0.0.7:8786")
    >>> kind.name, address
    ('dask', '10.0.0.7:8786')

    Raises
    ------
    UsageError
        If there is none of that name, or it has no address.
    """
    name, _, address = text.partition("://")
    found = EXECUTORS.find(name)
    if found is None:
        EXECUTORS.load_plugins()
        names = ", ".join(EXECUTORS)
        raise UsageError(f'unknown executor "{name}".{did_you_mean(name, EXECUTORS)} Executors: {names}.')
    if address and not found.remote:
        raise UsageError(f'--executor {name} has no address; omit "://{address}".')
    return found, address

"""Jobs on a Dask cluster. Its scheduler decides which worker gets which; what it cannot know is decided here.

A job is sent as bytes, behind the version of this package, so that a worker of another version never reads it. Its
worker lets it begin when it fits beside the others into the memory that Dask allows that worker. A worker that is
killed is Dask's own business: what it was doing is done by others.
"""

import asyncio
import logging
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextlib import contextmanager, suppress
from threading import Condition
from typing import Any, NamedTuple, cast
from uuid import uuid4

from upscale_cli import __version__
from upscale_cli.batch.executors import Cluster
from upscale_cli.batch.plan import Job
from upscale_cli.batch.run import Stopped
from upscale_cli.codecs.picture import open_picture
from upscale_cli.errors import UsageError, as_upscale_error, needs_extra
from upscale_cli.machine.memory import available_memory, keep_freed_memory, limit_memory
from upscale_cli.machine.processors import processors

try:
    import dask
    from dask.utils import parse_timedelta
    from distributed import Client, KilledWorker, LocalCluster, Reschedule, get_worker
except ImportError as error:
    raise UsageError(f"--executor dask {needs_extra('dask', error)}") from error

PORT = 8786
"""The port of a scheduler, unless another is given."""
SILENCE, WITHOUT_WORKERS = 10.0, "60s"
"""How long a scheduler may be silent before it is lost, in seconds, and a cluster may have no worker."""
AHEAD = 2
"""Parcels of jobs in the cluster for each of its threads: one at work, and one that waits there for its end."""
PARCEL, MOST_IN_PARCEL, MOMENT = 0.25, 16, 0.01
"""Seconds of work in a parcel, the most jobs in one, and seconds that one waits for more of them."""
QUIET = ("distributed", "distributed.client", "distributed.gc", "tornado.application", "asyncio")
"""The loggers that would print what we say in a sentence."""


class DaskCluster(Cluster):
    """The workers of a Dask scheduler; see `Cluster`."""

    def __init__(self, jobs: int | None, address: str) -> None:
        for name in QUIET:
            logging.getLogger(name).setLevel(sys.maxsize)
        self._most, self._shown = jobs or sys.maxsize, f"dask://{address}"
        self._local: Any = None
        self._over, self._told, self._parcel, self._most_in_parcel = False, 0.0, list[Any](), 1
        where: Any = address if "://" in address else f"tcp://{address}"
        if ":" not in address.rpartition("]")[2].rpartition("//")[2]:
            where += f":{PORT}"
        try:
            if not address:
                # Several commands at a time have a port each.
                where = self._local = LocalCluster(
                    jobs or processors(), threads_per_worker=1, dashboard_address=":0", silence_logs=sys.maxsize
                )
            self._client: Any = Client(where, set_as_default=False, timeout=SILENCE)
        except (OSError, ValueError, RuntimeError) as error:
            why = " ".join(str(error).split()).rstrip(".")
            raise UsageError(
                f"{self._shown} cannot be reached: {why}; check its address, and that it runs."
            ) from None
        self._loop = cast(Any, self._client.loop)
        self._loop.add_callback(self._watch)

    def __str__(self) -> str:
        return self._shown

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Submit a function of a job."""
        ours: Future[Any] = Future()
        self._loop.add_callback(self._collect, pickle.dumps((function, *arguments)), ours)
        return ours

    def _collect(self, sent: bytes, ours: Future[Any]) -> None:
        """Put a job into the parcel that is sent next: when it is full, or in a moment."""
        self._parcel.append((sent, ours))
        if len(self._parcel) >= self._most_in_parcel:
            self._send()
        elif len(self._parcel) == 1:
            self._loop.call_later(MOMENT, self._send)

    def _send(self) -> None:
        if self._parcel:
            jobs, ours = zip(*self._parcel, strict=True)
            self._parcel = []
            sent = pickle.dumps(_Parcel(jobs))
            future = self._client.submit(pickle.loads, sent, key=f"upscale-{uuid4().hex}", pure=False)
            self._loop.add_callback(self._follow, future, ours)

    async def _follow(self, future: Any, ours: Sequence[Future[Any]]) -> None:
        """Let the futures of a parcel end as that of Dask, unless the cluster is lost."""
        try:
            outcomes = await future
            seconds = sum(outcome[0] for outcome in outcomes) / len(outcomes)
            self._most_in_parcel = max(1, min(MOST_IN_PARCEL, int(PARCEL / max(seconds, 1e-9))))
            for each, outcome in zip(ours, outcomes, strict=True):
                each.set_result(outcome)
        except CancelledError as error:
            if getattr(error, "reason", "") == "scheduler-connection-lost" or self._client.status != "running":
                self._lose("it has ended the connection")
                return
            for each in ours:
                each.cancel()
                each.set_running_or_notify_cancel()
        except (VersionError, ImportError, AttributeError) as error:  # a job that cannot be read there
            self.lost = self.lost or _differs("a worker", error)
        except OSError:  # of the connection, for what goes wrong with a job is in its outcome
            self._lose("it has ended the connection")
        except Exception as error:
            for each in ours:
                each.set_exception(BrokenExecutor(str(error)) if isinstance(error, KilledWorker) else error)

    def _lose(self, why: str) -> None:
        self.lost = self.lost or f"the scheduler {self._shown} is lost: {why}"

    async def _watch(self) -> None:
        """Ask the scheduler for its workers, once a second, for as long as it answers and has some."""
        checked, since = False, time.monotonic()
        most = parse_timedelta(dask.config.get("distributed.scheduler.no-workers-timeout") or WITHOUT_WORKERS)
        while not (self.lost or self._over):
            try:
                said = await asyncio.wait_for(self._client.scheduler.identity(n_workers=0), SILENCE)
                if said["n_workers"] and not checked:
                    self.lost, checked = await asyncio.wait_for(self._different(), most), True
            except Exception:  # a connection that ends, or whose other end is silent
                return self._lose("it does not answer" if checked else "it, or a worker, does not answer")
            room = AHEAD * said["total_threads"] * self._most_in_parcel
            self.room = min(self._most, room) * (not self.lost)
            if self.room:
                since, self.news = time.monotonic(), ""
            elif time.monotonic() - since > most:
                self.lost = self.lost or f"{self._shown} has had no worker for {most:.0f} seconds"
            elif self._told < since < time.monotonic() - 2:
                self.news, self._told = f"waiting for a worker of {self._shown}, {most:.0f} seconds at most.", since
            await asyncio.sleep(1)

    async def _different(self) -> str:
        """Return which worker has another version; an empty string if none has."""
        versions = await self._client.run(_version, on_error="return")
        for worker, version in versions.items():
            if isinstance(version, OSError):  # it has just ended
                continue
            if version != __version__:
                return _differs(f"the worker {worker}", version)
        return ""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._over = True
        with suppress(Exception):
            self._client.close(timeout=2)
        if self._local is not None:
            with suppress(Exception):
                self._local.close(timeout=2)


class VersionError(Exception):
    """A worker has another version of this package."""


class _Parcel(NamedTuple):
    """Jobs on their way to a worker, which carries them out by reading them: the scheduler needs no such package."""

    jobs: tuple[bytes, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return _carried_out, (__version__, self.jobs)


def _differs(worker: str, found: object) -> str:
    """Return what a worker has in place of this version, or that it lacks something."""
    if isinstance(found, str | VersionError):
        return f"{worker} has upscale-cli {found}, and this is {__version__}; install the same version for all"
    return f"{worker} lacks what jobs need ({found}); install upscale-cli {__version__} there, and its plug-ins"


def _version() -> str:
    """Return the version of this package, on a worker."""
    return __version__


def _carried_out(version: str, jobs: Iterable[bytes]) -> list[Any]:
    """Carry out jobs on a worker, each when there is room for it in the worker's memory."""
    if version != __version__:
        raise VersionError(__version__)
    worker = get_worker()
    state = worker.state.tasks[worker.get_current_task()]

    def progress(pixels: int) -> None:
        if state.state == "cancelled":  # nobody waits for it any more
            raise Stopped

    def carried_out(function: Callable[..., Any], job: Job) -> Any:
        try:
            with _gate.room_for(job, progress):
                return function(job, progress)
        except Exception as error:
            return 0.0, None, as_upscale_error(error, job.target.shown)

    try:
        return [carried_out(*pickle.loads(sent)) for sent in jobs]  # noqa: S301  from who may run anything here
    except Stopped:
        raise Reschedule from None  # if it is wanted again meanwhile


class _Gate:
    """The memory of a worker, and the images that share it."""

    def __init__(self) -> None:
        self._changed, self._taken, self._room = Condition(), list[int](), 0
        self._limited = False

    @contextmanager
    def room_for(self, job: Job, progress: Callable[[int], None]) -> Iterator[None]:
        """Wait until a job fits beside those that are at work. One that is too large for the worker is refused."""
        needed = job.expected.memory
        with self._changed:
            if not self._limited:
                limit_memory(_left_by_dask)
                keep_freed_memory()
                self._limited = True
            if not self._taken:
                self._room = available_memory()
            while self._taken and sum(self._taken) + needed > self._room:
                progress(0)
                self._changed.wait(1)
            self._taken.append(needed)
        try:
            if needed > self._room:  # it says so as a plan does
                with open_picture(job.source.open(), job.work.reading) as picture:
                    job.work.check(picture, job.source)
            yield
        finally:
            with self._changed:
                self._taken.remove(needed)
                self._changed.notify_all()


_gate = _Gate()


def _left_by_dask() -> Iterator[int]:
    """Yield what this worker may still take before its nanny ends it."""
    worker = get_worker()
    limit = worker.memory_manager.memory_limit
    ends = dask.config.get("distributed.worker.memory.terminate")
    if limit and ends:
        yield int(limit * ends) - worker.monitor.get_process_memory()

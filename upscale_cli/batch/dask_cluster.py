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
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, suppress
from threading import Condition
from typing import Any, cast
from uuid import uuid4

from upscale_cli import __version__
from upscale_cli.batch.executors import Cluster
from upscale_cli.batch.plan import Job
from upscale_cli.batch.run import Stopped
from upscale_cli.codecs.picture import open_picture
from upscale_cli.errors import UpscaleError, UsageError, needs_extra
from upscale_cli.machine.memory import available_memory, limit_memory
from upscale_cli.machine.processors import processors

try:
    import dask
    from distributed import Client, KilledWorker, LocalCluster, get_worker
except ImportError as error:
    raise UsageError(f"--executor dask {needs_extra('dask', error)}") from error

PORT = 8786
"""The port of a scheduler, unless another is given."""
SILENCE, WITHOUT_WORKERS = 10.0, 60.0
"""Seconds after which a scheduler that does not answer is lost, and a cluster that has no worker."""
AHEAD = 2
"""Jobs in the cluster for each of its threads: one at work, and one that waits there for its end."""
QUIET = ("distributed", "distributed.client", "distributed.gc", "tornado.application", "asyncio")
"""The loggers that would print what we say in a sentence."""


class DaskCluster(Cluster):
    """The workers of a Dask scheduler; see `Cluster`."""

    def __init__(self, jobs: int | None, address: str) -> None:
        for name in QUIET:
            logging.getLogger(name).setLevel(sys.maxsize)
        self._most, self._shown = jobs or sys.maxsize, f"dask://{address}"
        self._local: Any = None
        if not address:
            self._local = LocalCluster(
                n_workers=jobs or processors(),
                threads_per_worker=1,
                dashboard_address=":0",  # a free port, also for several commands at a time
                silence_logs=sys.maxsize,
            )
            where = self._local.scheduler_address
        else:
            where = address if "://" in address else f"tcp://{address}"
            where += f":{PORT}" * (":" not in where.rpartition("]")[2].partition("://")[2])
        try:
            self._client: Any = Client(where, set_as_default=False, timeout=SILENCE)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"the scheduler {self._shown} cannot be reached: {' '.join(str(error).split())}; "
                "check its address, and that it runs."
            ) from None
        self._loop = cast(Any, self._client.loop)
        self._loop.add_callback(self._watch)

    def __str__(self) -> str:
        return self._shown

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Submit a function of a job."""
        sent = pickle.dumps((function, arguments[0]))
        future = self._client.submit(_carried_out, __version__, sent, key=f"upscale-{uuid4().hex}", pure=False)
        ours: Future[Any] = Future()
        self._loop.add_callback(self._follow, future, ours)
        return ours

    async def _follow(self, future: Any, ours: Future[Any]) -> None:
        """Let our future end as that of Dask, unless the cluster is lost."""
        try:
            ours.set_result(await future)
        except KilledWorker as error:
            ours.set_exception(BrokenExecutor(str(error)))
        except asyncio.CancelledError as error:
            if getattr(error, "reason", "") == "scheduler-connection-lost":
                self._lose("it has ended the connection")
            else:
                ours.cancel()
                ours.set_running_or_notify_cancel()
        except (VersionError, ImportError, AttributeError) as error:  # what it is sent cannot be read there
            self.lost = self.lost or _differs("a worker", error)
        except Exception as error:
            ours.set_exception(error)

    def _lose(self, why: str) -> None:
        self.lost = self.lost or f"the scheduler {self._shown} is lost: {why}"

    async def _watch(self) -> None:
        """Ask the scheduler for its workers, once a second, for as long as it answers and has some."""
        checked, last = False, time.monotonic()
        while not self.lost:
            try:
                said = await asyncio.wait_for(self._client.scheduler.identity(n_workers=0), SILENCE)
                if said["n_workers"] and not checked:
                    self.lost, checked = await asyncio.wait_for(self._different(), SILENCE), True
            except Exception as error:  # a connection that ends, or whose other end is silent
                self._lose(f"it does not answer ({type(error).__name__})")
                return
            self.room = min(self._most, AHEAD * said["total_threads"]) * (not self.lost)
            if self.room:
                last = time.monotonic()
            elif time.monotonic() - last > WITHOUT_WORKERS:
                self.lost = self.lost or f"{self._shown} has had no worker for {WITHOUT_WORKERS:.0f} seconds"
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


def _differs(worker: str, found: object) -> str:
    what = f"upscale-cli {found}" if isinstance(found, str | VersionError) else "no upscale-cli that knows this one"
    return f"{worker} has {what}, and this is {__version__}; install the same version for all"


def _version() -> str:
    """Return the version of this package, on a worker."""
    return __version__


def _carried_out(version: str, sent: bytes) -> Any:
    """Carry out a job on a worker, when there is room for it in the worker's memory."""
    if version != __version__:
        raise VersionError(__version__)
    function, job = pickle.loads(sent)  # noqa: S301  it comes from who may run anything here
    worker = get_worker()
    state = worker.state.tasks[worker.get_current_task()]

    def progress(pixels: int) -> None:
        if state.state == "cancelled":  # nobody waits for it any more
            raise Stopped

    try:
        with _gate.room_for(job, progress):
            return function(job, progress)
    except UpscaleError as error:
        return 0.0, None, error
    except Stopped:
        return None


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

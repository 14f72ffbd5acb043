"""Carrying out a plan: jobs on threads, as many at once as memory allows, each with its own end."""

import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, cast

from upscale_cli.batch.again import carried_out
from upscale_cli.batch.executors import Cluster
from upscale_cli.batch.plan import Job, Plan
from upscale_cli.errors import UpscaleError, as_upscale_error
from upscale_cli.machine.memory import available_memory, in_bytes, keep_freed_memory
from upscale_cli.machine.processors import processors, usable_threads
from upscale_cli.machine.replacing import abandon, sweep
from upscale_cli.methods.strips import Workers
from upscale_cli.work.result import Result

PATIENCE = 0.25
"""Seconds that jobs have to end by themselves when a run is stopped."""
MOMENT = 0.05
"""Seconds after which signals are looked for again."""
DISK_FULL = "the disk is full"
"""Why jobs are left of a run that a disk ended."""


@dataclass
class Outcome:
    """How a job ended.

    Attributes
    ----------
    job : Job
    seconds : float
    result : Result or None
        What was made.
    failure : UpscaleError or None
        Why nothing was made.
    """

    job: Job
    seconds: float
    result: Result | None = None
    failure: UpscaleError | None = None


class Stopped(BaseException):
    """Raised in a job's thread if the run is over before the job is."""


def run_job(
    job: Job,
    workers: Workers | None = None,
    progress: Callable[[int], None] = lambda pixels: None,
) -> Outcome:
    """Carry out one job; whatever goes wrong with it is its outcome.

    Parameters
    ----------
    workers : Workers, optional
        Whose threads compute strips.
    progress : callable
        Called with the number of output pixels that are done since the last call.

    Raises
    ------
    BrokenPipeError
        If the reader of standard output has left.
    """
    start = time.perf_counter()
    result = failure = None
    try:
        result = carried_out(job, workers, progress)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and not job.target.portable:
            raise
        failure = as_upscale_error(error, job.target.shown)
    return Outcome(job, time.perf_counter() - start, result, failure)


def run_job_elsewhere(
    job: Job, progress: Callable[[int], None] = lambda pixels: None
) -> tuple[float, Result | None, UpscaleError | None]:
    """Carry out one job in a process that somebody else started; return all of its outcome but the job.

    BLAS has not been told to use one thread there.
    """
    from upscale_cli.blas import one_blas_thread

    with one_blas_thread():
        outcome = run_job(job, progress=progress)
    if outcome.failure is not None and outcome.failure.__cause__ is not None:
        # A cause is lost on the way to another process, and a note is not.
        outcome.failure.add_note("".join(traceback.format_exception(outcome.failure.__cause__)))
    return outcome.seconds, outcome.result, outcome.failure


def _workers_for(jobs: Collection[Job], count: int, memory: int) -> int:
    """Return how many of the threads shall compute strips of all images: none unless there are more than images.

    Each image may have as many strips in work as there are threads.
    """
    if not 0 < len(jobs) < count:
        return 0
    each = sum(job.expected.memory_per_thread for job in jobs)
    return min(count, 1 + max(0, memory - sum(job.expected.memory for job in jobs)) // max(1, each))


class Run:
    """A plan that is carried out: iterating begins it, and yields each outcome as it comes.

    Each image is made by one thread, which wastes no time on waiting; fewer images than threads are made by all of
    them together, strip by strip. As many are in work at once as fit into memory together, by their estimates. A full
    disk ends the run: images in work are completed, and no more are begun.

    Only threads of the run read and write files, because no signal handler interrupts those.

    Parameters
    ----------
    plan : Plan
    jobs : int, optional
        Images at once, and threads; default: the number of processors.
    executor : Executor, optional
        What carries out jobs in place of threads of this process; see `ExecutorKind`. Progress is then reported when
        a job ends. If it breaks, threads carry on; if a `Cluster` is lost, the run ends. Jobs whose targets are not
        portable stay in this process.
    progress : callable
        Called with the number of output pixels that are done since the last call, from any thread.
    say : callable
        Called with what the user should know about a `Cluster`.

    Attributes
    ----------
    left : list of Job
        Those of which no end is known, when the run has ended.
    reason : str
        Why there are any, if no signal has ended it.
    """

    def __init__(
        self,
        plan: Plan,
        jobs: int | None = None,
        executor: Executor | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
        *,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._plan, self._count, self._executor = plan, jobs or processors(), executor
        self._cluster = executor if isinstance(executor, Cluster) else None
        self._progress, self._say, self.reason, self.left = progress, say, "", list[Job]()
        self._over = threading.Event()
        self._patience, self._abandoned, self._begun, self._seen = math.inf, False, False, False
        self._elsewhere, self._accompanied = set[Future[Any]](), set[Future[Any]]()
        # What was at work elsewhere, with others, when a process died there: one of them may be the cause.
        self._suspects, self._suspect = deque[Job](), cast(Job | None, None)
        # Its `put` may be called by a signal handler, in the middle of anything.
        self._ended: SimpleQueue[Future[Any] | None] = SimpleQueue()

    @property
    def manner(self) -> str:
        """Description of how it is carried out, shown with -v."""
        jobs, count = self._plan.jobs, self._count
        if self._cluster is not None:
            return f"{len(jobs)} image{'s' * (len(jobs) > 1)} on {self._cluster}, the largest first"
        memory = f"{in_bytes(available_memory())} of memory available"
        if len(jobs) < 2:
            return f"{len(jobs)} image, its strips by {count} thread{'s' * (count > 1)}; {memory}"
        if len(jobs) < count:
            return f"{len(jobs)} images at once, their strips by {count} threads, if memory allows; {memory}"
        return f"{len(jobs)} images, {count} at once with a thread each, if memory allows; {memory}"

    def stop(self) -> None:
        """Begin no more images, and end those in work soon, complete or not at all. Signal handlers may call it.

        Threads cannot be ended from outside, and a decoder or an encoder at work asks nobody: after `PATIENCE`
        seconds their temporary files are removed and they are left behind, for a process that then ends.
        """
        self._patience = time.monotonic() + PATIENCE
        self._over.set()
        self._ended.put(None)

    def __iter__(self) -> Generator[Outcome, None, None]:
        for target in filter(None, [skipped.target for skipped in self._plan.skipped]):
            target.clean()
        waiting, running = deque(self._plan.jobs), dict[Future[Any], Job]()
        if not waiting:
            return
        if self._cluster is not None:  # what takes longest does not begin last, when all others have ended
            waiting = deque(sorted(waiting, key=lambda job: job.pixels, reverse=True))
        with ExitStack() as stack:
            memory, threads, strips = self._prepared(stack, waiting)
            stack.callback(self._over.set)
            while True:
                while waiting and self._takes(running, waiting[0], memory):
                    job = waiting.popleft()
                    try:
                        future = self._submit(job, threads, strips)
                    except Exception as error:  # no more threads, or an executor that cannot be reached
                        yield Outcome(job, 0, failure=_translated(error, job))
                        continue
                    running[future] = job
                    future.add_done_callback(self._ended.put)
                if not running and self._suspects and not self._ending:
                    self._suspect = self._suspects.popleft()
                    waiting.append(self._suspect)
                    continue
                if not running and (not waiting or self._ending):
                    break
                ended = self._wait(running)
                if ended is not None and ended in running:
                    if (outcome := self._outcome(ended, running.pop(ended))) is not None:
                        yield outcome
                elif ended is None and self._is_given_up(stack, threads):
                    break
        self.left = [*running.values(), *waiting, *self._suspects]
        self._ended_elsewhere()

    def _ended_elsewhere(self) -> None:
        """Remove what killed processes have left, let names be confirmed, and say why a cluster ended early."""
        sweep.cache_clear()
        for job in self._plan.jobs if self._begun else ():
            job.target.clean()
        if self.left and self._cluster is not None:
            self.reason = self.reason or self._cluster.lost
            if self.reason and not self._begun:
                raise UpscaleError(f"{self.reason}.")

    def _prepared(self, stack: ExitStack, jobs: Collection[Job]) -> tuple[int, Executor, Workers | None]:
        """Return the memory for all images, threads for each, and the threads for the strips of all, if there are."""
        if self._cluster is not None:
            return 0, stack.enter_context(ThreadPoolExecutor(1)), None
        memory, count = available_memory(), usable_threads(self._count)
        if len(jobs) > 1:
            keep_freed_memory()
        workers = _workers_for(jobs, count, memory)
        strips = None if workers < 2 else stack.enter_context(Workers(workers))
        self._count = count
        return memory, stack.enter_context(ThreadPoolExecutor(min(count, len(jobs)))), strips

    @property
    def _ending(self) -> bool:
        """Whether no more jobs are begun."""
        return self._over.is_set() or bool(self.reason) or (self._cluster is not None and bool(self._cluster.lost))

    def _takes(self, running: Mapping[Future[Any], Job], job: Job, memory: int) -> bool:
        """Return whether another job can begin beside those that are running."""
        if self._ending or (self._cluster is not None and len(running) >= self._cluster.room):
            return False
        if self._cluster is not None or not running:
            return True
        taken = sum(each.expected.memory for each in (*running.values(), job))
        return len(running) < self._count and taken <= memory

    def _is_given_up(self, stack: ExitStack, threads: Executor) -> bool:
        """Return whether what is at work is left: its cluster is lost, or the run was stopped a while ago."""
        late = time.monotonic() > self._patience
        if self._cluster is not None:
            if self._cluster.news:
                self._say(self._cluster.news)
                self._cluster.news = ""
            return late or bool(self._cluster.lost)
        if not late or self._elsewhere:
            return False
        if self._abandoned:
            stack.pop_all()
            threads.shutdown(wait=False, cancel_futures=True)
            return True
        abandon()
        # What was complete a moment ago is still counted.
        self._abandoned, self._patience = True, time.monotonic() + MOMENT
        return False

    def _wait(self, running: Iterable[Future[Any]]) -> Future[Any] | None:
        """Return a job that has ended, or None after a moment: a signal that comes just before a wait ends none."""
        with suppress(Empty):
            return self._ended.get(timeout=MOMENT)
        return next((job for job in running if job.done()), None)  # without memory, no end can be told

    def _look_for(self, job: Job, failure: UpscaleError | None) -> None:
        """Say if the first image that a cluster has made is not to be seen here."""
        if self._cluster is not None and not self._seen and failure is None:
            self._seen = True
            if not job.target.exists():
                where = "but not where this machine sees it; workers need the same folders"
                self._say(f"{job.target.shown} was made, {where}.")

    def _submit(self, job: Job, threads: Executor, strips: Workers | None) -> Future[Any]:
        if self._executor is not None and job.target.portable:
            try:
                future = self._executor.submit(run_job_elsewhere, job)
            except BrokenExecutor:
                self._executor = None
            else:
                self._begun = True
                self._elsewhere.add(future)
                if len(self._elsewhere) > 1:
                    self._accompanied |= self._elsewhere
                return future
        if job is self._suspect:  # it may have killed a process, and shall not kill this one
            raise BrokenExecutor
        return threads.submit(run_job, job, strips, self._advance)

    def _advance(self, pixels: int) -> None:
        if self._over.is_set():
            raise Stopped
        self._progress(pixels)

    def _outcome(self, ended: Future[Any], job: Job) -> Outcome | None:
        """Return how a job ended; None if it was stopped and has left nothing, or is to be tried again."""
        elsewhere, alone = ended in self._elsewhere, ended not in self._accompanied
        self._elsewhere.discard(ended)
        self._accompanied.discard(ended)
        error = CancelledError() if ended.cancelled() else ended.exception()
        if error is None:
            if elsewhere:
                self._progress(job.pixels)
                self._look_for(job, ended.result()[2])
            outcome = Outcome(job, *ended.result()) if elsewhere else cast(Outcome, ended.result())
            if outcome.failure is not None and outcome.failure.disk_full:
                self.reason = DISK_FULL
            return None if self._abandoned and outcome.failure is not None else outcome
        # The signal that ends a run may reach workers too: their jobs are stopped then, and have not failed.
        lost = isinstance(error, CancelledError | BrokenExecutor) or not isinstance(error, Exception)
        if isinstance(error, Stopped) or (self._over.is_set() and elsewhere and lost):
            return None
        if isinstance(error, BrokenExecutor) and not alone:
            self._suspects.append(job)
            return None
        if not elsewhere:
            raise error
        return Outcome(job, 0, failure=_translated(error, job))


def _translated(error: BaseException, job: Job) -> UpscaleError:
    """Return why a job has no outcome of its own, as the user sees it."""
    if isinstance(error, CancelledError):
        return UpscaleError("failed: its executor cancelled it; run it again.")
    if isinstance(error, BrokenExecutor):
        return UpscaleError("failed: its process was killed; it may need more memory.")
    # A worker that cannot read the job: other versions of this package or of Python.
    return as_upscale_error(error, job.target.shown)

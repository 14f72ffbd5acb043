"""Carrying out a plan: jobs on threads, as many at once as memory allows, each with its own end."""

import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Generator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from upscale_cli.batch.again import carried_out
from upscale_cli.batch.plan import Job, Plan
from upscale_cli.errors import UpscaleError, as_upscale_error
from upscale_cli.machine.memory import available_memory, in_bytes, keep_freed_memory
from upscale_cli.machine.processors import processors, usable_threads
from upscale_cli.machine.replacing import abandon
from upscale_cli.methods.strips import Workers
from upscale_cli.work.result import Result

PATIENCE = 0.25
"""Seconds that jobs have to end by themselves when a run is stopped."""
MOMENT = 0.05
"""Seconds after which signals are looked for again."""


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


def run_job_elsewhere(job: Job) -> Outcome:
    """Carry out one job in a process that somebody else started: its BLAS has not been told to use one thread."""
    from upscale_cli.blas import one_blas_thread

    with one_blas_thread():
        outcome = run_job(job)
    if outcome.failure is not None and outcome.failure.__cause__ is not None:
        # A cause is lost on the way to another process, and a note is not.
        outcome.failure.add_note("".join(traceback.format_exception(outcome.failure.__cause__)))
    return outcome


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
        a job ends. If it breaks, threads carry on. Jobs whose targets are not portable stay in this process.
    progress : callable
        Called with the number of output pixels that are done since the last call, from any thread.
    """

    def __init__(
        self,
        plan: Plan,
        jobs: int | None = None,
        executor: Executor | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> None:
        self._plan, self._count, self._executor = plan, jobs or processors(), executor
        self._progress = progress
        self._over = threading.Event()
        self._patience, self._abandoned = math.inf, False
        self._elsewhere: set[Future[Outcome]] = set()
        # Its `put` may be called by a signal handler, in the middle of anything.
        self._ended: SimpleQueue[Future[Outcome] | None] = SimpleQueue()

    @property
    def manner(self) -> str:
        """Description of how it is carried out, shown with -v."""
        jobs, count = self._plan.jobs, self._count
        memory = f"{in_bytes(available_memory())} of memory available"
        if len(jobs) < 2:
            return f"{len(jobs)} image, its strips by {count} threads; {memory}"
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
        disk_full = False
        waiting, running = deque(self._plan.jobs), dict[Future[Outcome], Job]()
        if not waiting:
            return
        memory, count = available_memory(), usable_threads(self._count)
        if len(waiting) > 1:
            keep_freed_memory()
        with ExitStack() as stack:
            workers = _workers_for(waiting, count, memory)
            strips = None if workers < 2 else stack.enter_context(Workers(workers))
            threads = stack.enter_context(ThreadPoolExecutor(min(count, len(waiting))))
            stack.callback(self._over.set)
            while True:
                while waiting and not self._over.is_set() and not disk_full and len(running) < count:
                    if running and sum(job.expected.memory for job in (*running.values(), waiting[0])) > memory:
                        break
                    job = waiting.popleft()
                    try:
                        future = self._submit(job, threads, strips)
                    except Exception as error:  # no more threads, or an executor that cannot be reached
                        yield Outcome(job, 0, failure=as_upscale_error(error, job.target.shown))
                        continue
                    running[future] = job
                    future.add_done_callback(self._ended.put)
                if not running:
                    return
                ended = self._wait()
                if ended is None and time.monotonic() > self._patience and not self._elsewhere:
                    if self._abandoned:
                        stack.pop_all()
                        threads.shutdown(wait=False, cancel_futures=True)
                        return
                    abandon()
                    # What was complete a moment ago is still counted.
                    self._abandoned, self._patience = True, time.monotonic() + MOMENT
                if ended is not None and (outcome := self._outcome(ended, running.pop(ended))) is not None:
                    if self._abandoned and outcome.failure is not None:
                        continue
                    disk_full |= outcome.failure is not None and outcome.failure.disk_full
                    yield outcome

    def _wait(self) -> Future[Outcome] | None:
        """Return a job that has ended, or None after a moment: a signal that comes just before a wait ends none."""
        with suppress(Empty):
            return self._ended.get(timeout=MOMENT)
        return None

    def _submit(self, job: Job, threads: Executor, strips: Workers | None) -> Future[Outcome]:
        if self._executor is not None and job.target.portable:
            try:
                future = self._executor.submit(run_job_elsewhere, job)
            except BrokenExecutor:
                self._executor = None
            else:
                self._elsewhere.add(future)
                return future
        return threads.submit(run_job, job, strips, self._advance)

    def _advance(self, pixels: int) -> None:
        if self._over.is_set():
            raise Stopped
        self._progress(pixels)

    def _outcome(self, ended: Future[Outcome], job: Job) -> Outcome | None:
        """Return how a job ended; None if it was stopped and has left nothing."""
        elsewhere = ended in self._elsewhere
        self._elsewhere.discard(ended)
        error = CancelledError() if ended.cancelled() else ended.exception()
        if error is None:
            if elsewhere:
                self._progress(job.pixels)
                job.target.clean()  # only this process confirms names
            return ended.result()
        # The signal that ends a run may reach workers too: their jobs are stopped then, and have not failed.
        lost = isinstance(error, CancelledError | BrokenExecutor) or not isinstance(error, Exception)
        if isinstance(error, Stopped) or (self._over.is_set() and elsewhere and lost):
            return None
        if isinstance(error, CancelledError):
            return Outcome(job, 0, failure=UpscaleError("failed: its executor cancelled it; run it again."))
        if isinstance(error, BrokenExecutor):
            return Outcome(job, 0, failure=UpscaleError("failed: its process was killed; it may need more memory."))
        if not elsewhere:
            raise error
        # A lost worker, or a worker that cannot read the job: other versions of this package or of Python.
        return Outcome(job, 0, failure=as_upscale_error(error, job.target.shown))

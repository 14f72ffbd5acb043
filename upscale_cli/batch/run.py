"""Carrying a plan out: jobs on threads, as many at once as memory allows, each with its own end."""

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from typing import BinaryIO

from upscale_cli.batch.plan import Job, Plan
from upscale_cli.errors import Failure, explain
from upscale_cli.images.enlarge import Result
from upscale_cli.images.limits import in_bytes, memory_there, threads_there
from upscale_cli.images.targets import sweep


@dataclass
class Outcome:
    """How a job ended.

    Attributes
    ----------
    job : Job
    seconds : float
    result : Result or None
        What was made.
    failure : Failure or None
        Why nothing was made.
    """

    job: Job
    seconds: float
    result: Result | None = None
    failure: Failure | None = None


class Stopped(BaseException):
    """Raised in a job's thread when the run is over before the job is."""


def run_job(
    job: Job,
    stream: BinaryIO | None = None,
    executor: Executor | None = None,
    progress: Callable[[int], None] = lambda pixels: None,
) -> Outcome:
    """Carry out one job; whatever goes wrong with it is its outcome.

    Parameters
    ----------
    stream : binary stream, optional
        Standard output, for a job without a target.
    executor : Executor, optional
        Whose threads make strips.
    progress : callable
        Told how many output pixels more are done.

    Raises
    ------
    BrokenPipeError
        When nobody reads standard output any more.
    """
    start = time.perf_counter()
    result = failure = None
    try:
        if job.target is not None:
            job.target.parent.mkdir(parents=True, exist_ok=True)
        target = job.target or stream
        assert target is not None
        result = job.work.carry_out(job.source, target, executor, progress)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and job.target is None:
            raise
        failure = explain(error, job.place)
        _clear_frames(error)
    return Outcome(job, time.perf_counter() - start, result, failure)


def _clear_frames(error: BaseException | None) -> None:
    """Free the local variables behind an exception and its contexts: a failed image gives its memory back.

    Frames can form a reference cycle with the exception (since Python 3.12 they do where a context manager written
    as a generator replaces an exception), and arrays would stay until the next garbage collection.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


class Run:
    """A plan that is carried out: iterating begins it, and gives each outcome as it comes.

    One image is made by all threads, strip by strip; of several, each is made by one thread, which wastes nothing on
    waiting. No more are begun at once than fit into memory together, by their estimates. A full disk ends the run:
    what was begun comes to its end, and nothing more is begun.

    Files are read and written by threads of the run alone, which no signal handler interrupts.

    Parameters
    ----------
    plan : Plan
    jobs : int, optional
        Images at once, and threads; as many as there are processors where absent.
    executor : Executor, optional
        Who carries out jobs instead of threads of this process. It is given `run_job` and one `Job` each, both of
        which can be pickled; progress is then told when a job ends. Where it breaks, threads carry on.
    stream : binary stream, optional
        Standard output, for a job without a target.
    progress : callable
        Told how many output pixels more are done, from any thread.
    """

    def __init__(
        self,
        plan: Plan,
        jobs: int | None = None,
        executor: Executor | None = None,
        stream: BinaryIO | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> None:
        self._plan, self._count, self._executor = plan, jobs or os.cpu_count() or 1, executor
        self._stream, self._progress = stream, progress
        self._over = threading.Event()
        # Its `put` may be called by a signal handler, in the middle of anything.
        self._ended: SimpleQueue[Future[Outcome] | None] = SimpleQueue()

    @property
    def manner(self) -> str:
        """How it is carried out, in words."""
        jobs, count = self._plan.jobs, self._count
        there = f"{in_bytes(memory_there())} of memory are there"
        if len(jobs) < 2:
            return f"{len(jobs)} image, its strips by {count} threads; {there}"
        return f"{len(jobs)} images, {count} at once with a thread each, where memory allows; {there}"

    def stop(self) -> None:
        """Begin nothing more; what has been begun ends soon, whole or not at all. Signal handlers may call it."""
        self._over.set()
        self._ended.put(None)

    def __iter__(self) -> Generator[Outcome, None, None]:
        for target in self._plan.settled:
            sweep(target.resolve().parent)
        disk_full = False
        waiting, running = deque(self._plan.jobs), dict[Future[Outcome], Job]()
        if not waiting:
            return
        memory, count, several = memory_there(), threads_there(self._count), len(waiting) > 1
        with ExitStack() as stack:
            strips = None if several or count == 1 else stack.enter_context(ThreadPoolExecutor(count))
            threads = stack.enter_context(ThreadPoolExecutor(count if several else 1))
            stack.callback(self._over.set)
            while True:
                while waiting and not self._over.is_set() and not disk_full and len(running) < count:
                    if running and sum(job.memory for job in (*running.values(), waiting[0])) > memory:
                        break
                    job = waiting.popleft()
                    try:
                        future = self._submit(job, threads, strips)
                    except RuntimeError as error:
                        yield Outcome(job, 0, failure=explain(error, job.place))
                        continue
                    running[future] = job
                    future.add_done_callback(self._ended.put)
                if not running:
                    return
                ended = self._ended.get()
                if ended is not None and (outcome := self._outcome(ended, running.pop(ended))) is not None:
                    disk_full |= outcome.failure is not None and outcome.failure.disk_full
                    yield outcome

    def _submit(self, job: Job, threads: Executor, strips: Executor | None) -> Future[Outcome]:
        if self._executor is not None:
            try:
                return self._executor.submit(run_job, job)
            except BrokenExecutor:
                self._executor = None
        return threads.submit(run_job, job, self._stream, strips, self._told)

    def _told(self, pixels: int) -> None:
        if self._over.is_set():
            raise Stopped
        self._progress(pixels)

    def _outcome(self, ended: Future[Outcome], job: Job) -> Outcome | None:
        """How a job ended; None where it was stopped and has left nothing."""
        try:
            outcome = ended.result()
        except (Stopped, CancelledError):
            return None
        except BrokenExecutor:
            return Outcome(job, 0, failure=Failure("failed: its process was killed; it may need more memory."))
        if self._executor is not None:
            self._progress(job.pixels)
        return outcome

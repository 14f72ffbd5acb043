"""Carrying a plan out: jobs on an executor, each with its own end."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import BinaryIO

from upscale_cli.batch.plan import Job, Plan
from upscale_cli.errors import UpscaleError
from upscale_cli.images.enlarge import Result


@dataclass
class Outcome:
    """How a job ended.

    Attributes
    ----------
    job : Job
    seconds : float
    result : Result or None
        What was made.
    error : str
        Why nothing was made: a sentence that does not name the source.
    cause : BaseException or None
        An exception that nobody expected.
    """

    job: Job
    seconds: float
    result: Result | None = None
    error: str = ""
    cause: BaseException | None = None


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
    """
    start = time.perf_counter()
    result, error, cause = None, "", None
    try:
        if job.target is not None:
            job.target.parent.mkdir(parents=True, exist_ok=True)
        target = job.target or stream
        assert target is not None
        result = job.work.carry_out(job.source, target, executor, progress)
    except BrokenPipeError:
        raise
    except UpscaleError as wrong:
        error, cause = str(wrong), wrong.__cause__
    except MemoryError:
        error = "does not fit into memory; try fewer --jobs."
    except OSError as wrong:
        error = explain(wrong, job)
    except Exception as wrong:
        error, cause = f"failed unexpectedly: {type(wrong).__name__}: {wrong}.", wrong
    return Outcome(job, time.perf_counter() - start, result, error, cause)


def explain(error: OSError, job: Job) -> str:
    """A sentence for what the system refused while a target was written."""
    reason = error.strerror or str(error)
    where = f'"{job.target}"' if job.target is not None else "standard output"
    hint = {
        errno.ENOSPC: "make room",
        errno.EDQUOT: "make room",
        errno.EACCES: "give another --output",
        errno.EPERM: "give another --output",
        errno.EROFS: "give another --output",
        errno.ENAMETOOLONG: "give another --output",
    }.get(error.errno or 0)
    return f"{where} cannot be written: {reason}{f'; {hint}' if hint else ''}."


def run(
    plan: Plan,
    jobs: int | None = None,
    executor: Executor | None = None,
    stream: BinaryIO | None = None,
    progress: Callable[[int], None] = lambda pixels: None,
) -> Iterator[Outcome]:
    """Carry out a plan; outcomes come as jobs end.

    One image is made by all threads, strip by strip; of several, each is made by one thread, which wastes nothing on
    waiting. So memory is bounded by `jobs` times the largest image.

    Parameters
    ----------
    plan : Plan
    jobs : int, optional
        Threads; as many as there are processors where absent.
    executor : Executor, optional
        Who carries out jobs instead of threads of this process. It is given `run_job` and one `Job` each, both of
        which can be pickled; progress is then told when a job ends.
    stream : binary stream, optional
        Standard output, for a job without a target.
    progress : callable
        Told how many output pixels more are done, from any thread.
    """
    count = jobs or os.cpu_count() or 1
    if executor is not None:
        for future in as_completed([executor.submit(run_job, job) for job in plan.jobs]):
            outcome = future.result()
            progress(outcome.job.pixels)
            yield outcome
        return
    over = threading.Event()

    def told(pixels: int) -> None:
        if over.is_set():
            raise Stopped
        progress(pixels)

    pool = ThreadPoolExecutor(count)
    try:
        if len(plan.jobs) == 1:
            yield run_job(plan.jobs[0], stream, pool if count > 1 else None, told)
            return
        futures: list[Future[Outcome]] = [pool.submit(run_job, job, stream, None, told) for job in plan.jobs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        # After an interruption too: what was begun vanishes, what was not is not begun.
        over.set()
        pool.shutdown(cancel_futures=True)

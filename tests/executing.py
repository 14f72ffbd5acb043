"""Executors of jobs that are in this process, whose jobs end as a test says; and runs in threads of their own."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from upscale_cli.batch.executors import Cluster
from upscale_cli.batch.plan import Job, Plan
from upscale_cli.batch.run import Outcome, Run

T = TypeVar("T")

PATIENCE = 30
"""Seconds after which a run that does not end fails its test."""


def finished(run: Run) -> list[Outcome]:
    """Carry a run out, and return its outcomes; one that does not end is stopped."""
    timer = threading.Timer(PATIENCE, run.stop)
    timer.start()
    try:
        return list(run)
    finally:
        timer.cancel()


def soon(function: Callable[[], T]) -> T:
    """Return what a function returns, or raise what it raises; fail if it does not end."""
    future: Future[T] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return future.result(PATIENCE)


class Near(Cluster):
    """A cluster of threads here, which may end as others do.

    Parameters
    ----------
    room : int
    after : callable
        Called with each job when it has been carried out, and with how many there were.
    """

    def __init__(self, room: int, after: Callable[[Job, int], object] = lambda job, number: None) -> None:
        self.room, self._after, self._pool = room, after, ThreadPoolExecutor(room)
        self.order, self.waiting, self.most = list[int](), 0, 0

    def __str__(self) -> str:
        return "near://"

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        self.order.append(arguments[0].pixels)
        return self._pool.submit(self._carry_out, function, arguments[0])

    def _carry_out(self, function: Callable[..., Any], job: Job) -> Any:
        outcome = function(job)
        self._after(job, len(self.order))
        self.waiting -= 1
        return outcome


class Held(Executor):
    """An executor whose jobs end when a test says so."""

    def __init__(self) -> None:
        self.jobs = dict[str, tuple[Callable[..., Any], Job, Future[Any]]]()
        self.come = threading.Condition()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self.come:
            self.jobs[Path(arguments[0].source.shown).name] = function, arguments[0], future
            self.come.notify_all()
        return future

    def wait(self, count: int) -> set[str]:
        """Wait until as many jobs have come and have not ended; return their names."""
        with self.come:
            assert self.come.wait_for(lambda: len(self.jobs) == count, PATIENCE), list(self.jobs)
            return set(self.jobs)

    def end(self, name: str, error: BaseException | None = None) -> None:
        """Carry a job out, or let it fail."""
        with self.come:
            function, job, future = self.jobs.pop(name)
        if error is None:
            future.set_result(function(job))
        else:
            future.set_exception(error)


class HeldCluster(Held, Cluster):
    """A cluster whose jobs end when a test says so."""

    room = 9


class Runs:
    """A run in a thread of its own, and what it has told so far."""

    def __init__(self, plan: Plan, jobs: int, executor: Executor | None, **named: Any) -> None:
        self.run, self.told, self._changed = (
            Run(plan, jobs, executor, **named),
            list[Outcome](),
            threading.Condition(),
        )
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._carry_out, daemon=True)
        self._thread.start()

    def _carry_out(self) -> None:
        try:
            for outcome in self.run:
                with self._changed:
                    self.told.append(outcome)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error

    def wait(self, count: int) -> None:
        """Wait until it has told so many outcomes."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.told) >= count, PATIENCE), "it tells no more"

    def ended(self) -> dict[str, str]:
        """Wait for its end; return the images that it has told of, and what went wrong with each."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it does not end"
        if self._error is not None:
            raise self._error
        return {Path(each.job.source.shown).name: str(each.failure or "") for each in self.told}

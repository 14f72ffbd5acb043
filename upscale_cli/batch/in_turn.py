"""Frames made on threads, several at once, and given out in order."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Generic, TypeVar

from upscale_cli.batch.run import Stopped

AHEAD = 2
"""Frames that are read or wait for their turn, besides those that are being made."""

T = TypeVar("T")
R = TypeVar("R")


class InTurn(Generic[T, R]):
    """What is made of frames, in order: iterating yields each as soon as it and those before it are made.

    A thread reads the frames, and no further than `threads + AHEAD` beyond the last one that was taken. So whoever
    writes them into a pipe waits when the pipe behind us is full. What reading or making a frame raises is raised in
    its turn.

    Parameters
    ----------
    frames : iterator
        It may wait for its next frame.
    make : callable
        A frame to what is made of it. It raises `Stopped` if `over` becomes true.
    threads : int

    Attributes
    ----------
    over : bool
        Nothing more is wanted.
    """

    def __init__(self, frames: Iterator[T], make: Callable[[T], R], threads: int) -> None:
        self._frames, self._make, self._threads, self.over = frames, make, threads, False
        # Its `put` may be called by a signal handler, in the middle of anything.
        self._queue: SimpleQueue[Future[R] | None] = SimpleQueue()
        self._room = Semaphore(threads + AHEAD)

    def stop(self) -> None:
        """Make no more frames: iterating raises `Stopped` soon. Signal handlers may call it."""
        self.over = True
        self._queue.put(None)

    def __iter__(self) -> Generator[R, None, None]:
        pool = ThreadPoolExecutor(self._threads)
        # A daemon, because it may wait for ever for a frame that does not come.
        Thread(target=self._read, args=(pool,), daemon=True).start()
        try:
            while (made := self._queue.get()) is not None:
                yield made.result()
                self._room.release()
            if self.over:
                raise Stopped
        finally:
            self.over = True
            self._room.release()
            pool.shutdown(cancel_futures=True)

    def _read(self, pool: ThreadPoolExecutor) -> None:
        try:
            while self._room.acquire() and not self.over and (frame := next(self._frames, None)) is not None:
                self._queue.put(pool.submit(self._make, frame))
        except BaseException as error:
            failed: Future[R] = Future()
            failed.set_exception(error)
            self._queue.put(failed)
        self._queue.put(None)

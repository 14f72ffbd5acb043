"""The threads of NumPy's BLAS, which get in the way of our own."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

_lock = Lock()
_limits: list[Any] = []
"""The limit that is set for each user at work; the first is the one that keeps the number from before."""


@cache
def _controller() -> Any:
    """The libraries that are loaded, looked up once: NumPy loads its own when it is imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread a product in this process, and restore its own number afterwards.

    Each of our threads computes products of its own; a BLAS that splits every product over all processors makes them
    wait for each other. The number belongs to the process, so the first of several users at a time sets it and the
    last restores it.
    """
    with _lock:
        _limits.append(_limits[0] if _limits else _controller().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limit = _limits.pop()
            if not _limits:
                limit.restore_original_limits()

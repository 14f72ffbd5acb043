"""The threads of NumPy's BLAS, which get in the way of our own."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

_lock = Lock()
_users = 0
_limit: Any = None


@cache
def _controller() -> Any:
    """The libraries that are loaded, looked up once: NumPy loads its own when it is imported."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread a product in this process, and restore its own number afterwards.

    Each of our threads computes products of its own; a BLAS that splits every product over all processors makes them
    wait for each other. The number belongs to the process, so the first of several users at a time sets it and the
    last restores it.
    """
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()

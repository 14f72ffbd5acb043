"""Set-up for all tests."""

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import upscale_cli.commands  # noqa: F401  one BLAS thread, as users have it, before NumPy is imported

if TYPE_CHECKING:
    from store import Store


def pytest_configure() -> None:
    """Handle SIGINT, which shells ignore for background jobs; the commands under test would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def store() -> "Iterator[Store]":
    """A store that speaks S3; tests that use it are marked with `needs_store`."""
    from store import running

    with running() as store:
        yield store

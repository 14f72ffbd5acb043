"""Set-up for all tests."""

import compileall
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import upscale_cli.commands  # one BLAS thread, as users have it, before NumPy is imported
from upscale_cli.machine.processors import processors

if TYPE_CHECKING:
    from store import Store

HELPERS = (path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))
collect_ignore = [path.name for path in HELPERS if ">>>" not in path.read_text("utf-8")]
"""Modules without doctests, which need not be imported to look for some: a server, a browser, a fuzzer."""


def pytest_configure(config: pytest.Config) -> None:
    """Handle SIGINT, which shells ignore for background jobs, as commands under test would; compile the package."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(upscale_cli.__file__).parent, quiet=2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `-n auto` starts: tests also wait, for processes, disks and servers."""
    return processors() * 3 // 2


def pytest_collection_finish() -> None:
    """Let no process of a test write compiled modules: some have full disks, and would leave the beginnings."""
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


@pytest.fixture(autouse=True)
def _limit_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Pillow its limit back after a test, for each run sets it to its own: others open pictures by Pillow."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture(scope="session")
def store() -> "Iterator[Store]":
    """A store that speaks S3; tests that use it are marked with `needs_store`."""
    from store import running

    with running() as store:
        yield store

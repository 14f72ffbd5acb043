"""BLAS has one thread while our own threads work, and its own number of threads before and after."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from upscale_cli import api, upscale
from upscale_cli.blas import one_blas_thread
from upscale_cli.methods.resampling import Resampler


def blas_threads() -> list[int]:
    """How many threads each BLAS that is loaded uses."""
    return [each["num_threads"] for each in ThreadpoolController().select(user_api="blas").info()]


@pytest.fixture
def three() -> Any:
    """BLAS with three threads."""
    with ThreadpoolController().limit(limits=3, user_api="blas"):
        if set(blas_threads()) != {3}:
            pytest.skip("NumPy's BLAS has no number of threads that can be set")
        yield


@pytest.mark.usefixtures("three")
def test_the_threads_of_an_array_have_one_blas_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    blocks = Resampler.blocks

    def watched(self: Resampler, band: int) -> Any:
        seen.extend(blas_threads())
        return blocks(self, band)

    monkeypatch.setattr(Resampler, "blocks", watched)
    monkeypatch.setattr(api, "WORTH_THREADS", 1)
    for threads in (1, 2):
        seen.clear()
        upscale(np.ones((9, 9)), 2, "lanczos", threads=threads)
        assert set(seen) == {1}
        assert set(blas_threads()) == {3}


@pytest.mark.usefixtures("three")
def test_the_threads_of_an_array_change_no_bit_whatever_blas_is_set_to() -> None:
    """The products of a network are so large that BLAS splits them, if it may, and then adds in another order."""
    source = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    one, two = (upscale(source, 2, "learned", threads=threads) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


@pytest.mark.usefixtures("three")
def test_the_number_is_restored_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Resampler, band: int) -> Any:
        raise ArithmeticError

    monkeypatch.setattr(Resampler, "blocks", fails)
    monkeypatch.setattr(api, "WORTH_THREADS", 1)
    with pytest.raises(ArithmeticError):
        upscale(np.ones((9, 9)), 2, "lanczos", threads=2)
    assert set(blas_threads()) == {3}


@pytest.mark.usefixtures("three")
def test_the_last_of_several_users_restores_the_number() -> None:
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    second.__exit__(None, None, None)
    assert set(blas_threads()) == {3}


def test_small_arrays_do_not_import_threadpoolctl() -> None:
    code = "import sys, upscale_cli; upscale_cli.upscale([[1, 2]], 2); sys.exit('threadpoolctl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0

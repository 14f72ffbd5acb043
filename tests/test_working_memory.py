"""What methods say about their working memory, on both sides of what NumPy really allocates.

The estimates of whole images (`test_limits.py`) have an allowance of tens of megabytes, in which an error of a method
would be lost. Here are shapes whose bands are small beside what the method itself needs.
"""

import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from upscale_cli.methods import METHODS, shipped
from upscale_cli.methods.method import resolve
from upscale_cli.methods.parameters import read_scale
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.upsampler import Scratch

FLOAT = 4
"""Bytes of the floats in which 8 bits are weighed."""


def peak(work: Callable[[], object]) -> int:
    """Return the most bytes that a thread of its own allocates for some work: scratch memory belongs to a thread."""
    found: list[int] = []

    def traced() -> None:
        tracemalloc.start()
        try:
            work()
            found.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()

    thread = threading.Thread(target=traced)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize(
    ("method", "shape", "scale", "given", "near"),
    [
        ("nearest", (3, 40000, 3), 2, {}, (0.3, 1.1)),
        ("epx", (100, 210, 3), 2, {}, (0.6, 1.1)),
        ("mmpx", (100, 207, 4), 2, {}, (0.6, 1.1)),
        ("lanczos", (1, 9001, 3), 1.37, {}, (0.6, 1.1)),
        ("lanczos", (9003, 1, 3), 1.37, {}, (0.6, 1.15)),
        ("lanczos", (1, 40001, 1), 1.37, {}, (0.5, 1.1)),
        ("lanczos", (1, 9005, 3), 1.37, {"antiring": 1}, (0.6, 1.1)),
        ("ewa-lanczos", (103, 305, 3), 2, {}, (0.6, 1.1)),
        ("ewa-lanczos", (103, 307, 3), 1.37, {}, (0.6, 1.1)),
        ("transposed-conv", (30, 3003, 3), 2, {}, (0.38, 1.05)),
        ("transposed-conv", (30, 3001, 1), 2, {"kernel": np.ones((4, 4)), "dilation": 9}, (0.45, 1.05)),
        ("learned", (40, 208, 3), 2, {"size": "small"}, (0.89, 1.05)),
        ("learned", (40, 210, 4), 2, {"size": "small"}, (0.8, 1.05)),
        ("learned", (1000, 8, 4), 2, {"size": "small"}, (0.85, 1.05)),
        ("learned", (40, 212, 1), 2.3, {"size": "small"}, (0.8, 1.05)),
        ("learned", (40, 90, 3), 6, {"size": "small"}, (0.76, 1.05)),
        ("learned", (20, 3000, 3), 2, {"size": "small"}, (0.55, 1.05)),
        ("learned", (20, 1501, 3), 2.3, {"size": "small"}, (0.68, 1.05)),
        ("learned", (60, 701, 3), 6, {"size": "small"}, (0.42, 1.05)),
        ("lanczos", (40, 50, 60, 1), (2, 2, 2), {}, (0.6, 1.4)),
    ],
)
def test_working_memory_is_near_to_what_is_taken(
    method: str, shape: tuple[int, ...], scale: Any, given: dict[str, Any], near: tuple[float, float]
) -> None:
    chosen = METHODS[method]
    parameters = chosen.read_parameters(given)
    source = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if translucent := chosen.straight and shape[-1] == 4:
        source[: len(source) // 2, ..., -1] = 0
    exact, (*size, channels) = resolve(chosen, shape, scale=read_scale(scale), size=None, parameters=parameters)
    meaning: dict[str, Any] = {"alpha": translucent, "straight": chosen.straight}
    meaning["constants"] = chosen.settled(parameters).keeps_constants
    samples = Samples(source.dtype, channels, source.dtype, **meaning)
    needed = chosen.working_memory(shape, parameters)(tuple(size))
    made: list[int] = []
    for factor in shipped.FACTORS:
        shipped.network("small", factor)  # what the package's own files take while they are read is no working memory

    def work() -> None:
        upsampler = chosen.make(source, scale=exact, size=tuple(size), samples=samples, parameters=parameters)
        height, width, channels = upsampler.shape
        band = np.empty((min(height, upsampler.band), width, channels), source.dtype)
        finish = samples.finisher(chosen.values == "weighed", upsampler.averages)
        for start in range(0, height, upsampler.band):
            stop = min(height, start + upsampler.band)
            upsampler.rows(start, stop, band[: stop - start], finish)
        made.append(band.nbytes)

    taken, expected = peak(work) - made[0], (needed.values + needed.values_per_thread) * FLOAT
    assert near[0] * expected <= taken <= near[1] * expected, f"{taken:,} bytes taken, {expected:,} expected"


@pytest.mark.parametrize("method", ["nearest", "bed-of-nails", "lanczos"])
def test_bands_of_volumes_have_as_many_rows_as_is_estimated(method: str) -> None:
    chosen, shape = METHODS[method], (2, 1200, 1800, 2)
    parameters = chosen.read_parameters({})
    source, scale, size = np.zeros(shape, np.uint8), read_scale((2, 1, 1)), (4, 1200, 1800)
    samples = Samples(source.dtype, 2, source.dtype)
    made = chosen.make(source, scale=scale, size=size, samples=samples, parameters=parameters)
    assert made.band <= chosen.working_memory(shape, parameters)(size).rows == 1200


@pytest.mark.parametrize("size", [1, 1_000, 1_000_000])
def test_scratch_memory_begins_at_a_cache_line(size: int) -> None:
    memory = Scratch().get("values", (size, 3), np.float32)
    assert memory.shape == (size, 3)
    assert memory.ctypes.data % 64 == 0


@pytest.mark.parametrize(("size", "scale"), [(size, n) for size, scales in shipped.UNDAMAGED.items() for n in scales])
def test_scratch_memory_of_networks_is_near_to_what_is_taken(size: str, scale: int) -> None:
    network = shipped.network(size, scale).cast(np.dtype(np.float32), 255.0)
    planes = np.zeros((1, 40 + 2 * network.margin, 64 + 2 * network.margin), np.float32)
    # Another thread has scratch memory of its own, and makes what all threads share.
    first = threading.Thread(target=network.run, args=(planes,))
    first.start()
    first.join()
    taken, expected = peak(lambda: network.run(planes)), sum(network.scratch(40, 64)) * FLOAT
    assert 0.85 * expected <= taken <= expected, f"{taken:,} bytes taken, {expected:,} expected"

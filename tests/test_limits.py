"""The memory that an image takes: known from its header, near to what it takes, and asked before any work."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from breaking import Record, needs_posix, needs_proc, picture
from pictures import encoded, source_of
from PIL import Image

from upscale_cli import upscale
from upscale_cli.batch import run as batch_run
from upscale_cli.batch.plan import make_plan
from upscale_cli.batch.run import Run
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import open_picture
from upscale_cli.errors import UpscaleError
from upscale_cli.methods import METHODS, taps
from upscale_cli.methods.parameters import read_scale
from upscale_cli.methods.resampling import planned
from upscale_cli.methods.strips import Workers, in_order
from upscale_cli.methods.transposed import stamps
from upscale_cli.work import estimate
from upscale_cli.work.request import Request
from upscale_cli.work.result import Result

MEASURED = """if True:
    import sys
    from pathlib import Path
    from fractions import Fraction
    from upscale_cli import commands
    from upscale_cli.codecs.formats import FORMATS
    from upscale_cli.codecs.picture import open_picture
    from upscale_cli.machine.processors import processors
    from upscale_cli.methods import METHODS
    from upscale_cli.places.files import FileSource, FileTarget
    from upscale_cli.methods.strips import Workers
    from upscale_cli.work.request import Request
    def peak():
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    source, target, format, named, scale, count = sys.argv[1:]
    method, _, size = named.partition(":size=")
    given = {"size": size} if size else {}
    format, scale = FORMATS[format], (Fraction(scale),) * 2
    request = Request(method=METHODS[method], parameters=given, scale=scale, format=format, overwrite=True)
    # What all methods import is no part of it, nor is what a method's own first use takes.
    warm = Request(method=METHODS["lanczos" if size else method], scale=(Fraction(2),) * 2, format=format)
    threads = Workers(int(count)) if count != "1" else None
    warm.carry_out(FileSource(Path(source)), FileTarget(Path(target + ".small")), threads)
    large = FileSource(Path(source + ".large"))
    with open_picture(large.open()) as picture:
        result = request.check(picture, large)
        expected = result.memory + (int(count) - 1) * result.memory_per_thread
    before = peak()
    request.carry_out(large, FileTarget(Path(target)), threads)
    print(expected, (peak() - before) << 10)
"""


@needs_proc
@pytest.mark.parametrize("threads", [2, *(pytest.param(count, marks=pytest.mark.long) for count in (1, 16))])
@pytest.mark.parametrize(
    ("mode", "format", "method", "scale"),
    [
        ("RGB", "png", "lanczos", 3),
        pytest.param("RGB", "jpeg", "lanczos", 3, marks=pytest.mark.long),
        pytest.param("L", "tiff", "lanczos", 4, marks=pytest.mark.long),
        ("RGB", "png", "learned:size=small", 2.5),
        pytest.param("RGBA", "webp", "lanczos", 2, marks=pytest.mark.long),
        pytest.param("RGB", "gif", "lanczos", 3, marks=pytest.mark.long),
        pytest.param("RGB", "avif", "lanczos", 3, marks=pytest.mark.long),
        pytest.param("RGB", "jpeg2000", "lanczos", 3, marks=pytest.mark.long),
        pytest.param("RGBA", "npy", "lanczos", 3, marks=pytest.mark.long),
        pytest.param("RGBA", "tiff", "nearest", 3, marks=pytest.mark.long),
        pytest.param("RGB", "bmp", "bed-of-nails", 3, marks=pytest.mark.long),
        pytest.param("RGB", "png", "learned:size=small", 2, marks=pytest.mark.long),
        pytest.param("L", "png", "learned:size=small", 2.5, marks=pytest.mark.long),
        pytest.param("RGBA", "png", "learned:size=small", 4, marks=pytest.mark.long),
        pytest.param("RGB", "png", "learned:size=small", 6, marks=pytest.mark.long),
        pytest.param("RGBA", "png", "learned:size=large", 6, marks=pytest.mark.long),
        pytest.param("RGB", "tiff", "learned:size=large", 4, marks=pytest.mark.long),
    ],
)
def test_the_estimate_is_near_to_what_is_taken(
    mode: str, format: str, method: str, scale: float, threads: int, tmp_path: Path, record_property: Record
) -> None:
    source = tmp_path / "in.png"
    picture(source, 8, 8, mode)
    # Networks are slow, and what they hold grows with the width.
    picture(tmp_path / "large.png", 1000, 120 if "learned" in method else 1000, mode)
    (tmp_path / "large.png").rename(tmp_path / "in.png.large")
    given = [source, tmp_path / "out", format, method, scale, threads]
    command = [sys.executable, "-c", MEASURED, *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    expected, taken = map(int, done.stdout.split())
    record_property("memory", [f"{mode} → {format}, {method} ×{scale:g}", expected >> 20, taken >> 20])
    assert taken <= 1.1 * expected, f"{taken >> 20} MB were taken, {expected >> 20} expected"
    # The picture has too few strips for sixteen threads of a network.
    assert threads == 16 or expected <= 4 * taken + (48 << 20), (
        f"{taken >> 20} MB were taken, {expected >> 20} expected"
    )


def request(scale: int, format: str) -> Request:
    return Request(method=METHODS["lanczos"], scale=read_scale(scale), format=FORMATS[format])


@pytest.mark.parametrize(
    ("format", "way"), [("bmp", "use --format png, which needs less"), ("png", "cut it into parts")]
)
def test_what_does_not_fit_is_refused_with_what_would(format: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(encoded(Image.new("RGB", (300, 200)), "PNG"))
    there = 120 << 20 if format == "bmp" else 40 << 20
    monkeypatch.setattr(estimate, "available_memory", lambda: there)
    start = time.process_time()
    with open_picture(source.open()) as image, pytest.raises(UpscaleError) as error:
        request(60, format).check(image, source)
    assert time.process_time() - start < 0.3
    said = str(error.value)
    assert said.startswith("would be 18000x12000, which needs about ")
    assert said.endswith(f"; or {way}.")
    factor = said.partition("the largest factor that fits is ")[2].partition(";")[0]
    with open_picture(source.open()) as image:
        task = request(1, format).task(image, FORMATS[format], METHODS["lanczos"].read_parameters({}), 3)
    for hundredths, fits in ((round(float(factor) * 100), True), (round(float(factor) * 100) + 1, False)):
        size = (200 * hundredths + 50) // 100, (300 * hundredths + 50) // 100
        assert (task.memory(size) <= there) is fits


def test_no_more_jobs_run_at_once_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(6):
        picture(tmp_path / "in" / f"{i}.png", seed=i)
    plan = make_plan([str(tmp_path / "in")], str(tmp_path / "out"), Request(method=METHODS["nearest"]))
    running, most, expected, changed = 0, 0, 0, threading.Condition()
    original = Request.carry_out

    def slow(self: Request, *arguments: object) -> Result:
        nonlocal running, most
        with changed:
            running += 1
            most = max(most, running)
            changed.notify_all()
            assert changed.wait_for(lambda: most >= expected, timeout=60)
        time.sleep(0.01)  # for one more than may be
        result = original(self, *arguments)  # type: ignore[arg-type]
        with changed:
            running -= 1
        return result

    monkeypatch.setattr(Request, "carry_out", slow)
    for room, expected in ((1, 1), (2, 2), (3, 3)):
        most = 0
        monkeypatch.setattr(batch_run, "available_memory", lambda room=room: room * plan.jobs[0].expected.memory)
        work = Request(method=METHODS["nearest"], overwrite=True)
        jobs = [job._replace(work=work) for job in plan.jobs]
        outcomes = list(Run(replace(plan, jobs=jobs), 4))
        assert [outcome.failure for outcome in outcomes] == [None] * 6
        assert most == expected


@pytest.mark.parametrize("count", [1, 6, 16])
def test_as_many_strips_are_in_work_as_there_are_threads_and_one_more(count: int) -> None:
    taken: list[int] = []
    together = threading.Barrier(count)

    def strips() -> Iterator[int]:
        for strip in range(5 * count):
            taken.append(strip)
            yield strip

    def work(strip: int) -> int:
        together.wait(timeout=60)  # it fails unless all threads are at work
        return strip

    with Workers(count) as workers:
        for done, strip in enumerate(in_order(work, strips(), workers)):
            assert strip == done
            assert len(taken) - done <= count + 1
    assert len(taken) == 5 * count


@pytest.mark.parametrize(("images", "threads"), [(1, 4), (2, 4), (4, 0), (9, 0)])
def test_threads_share_images_that_are_fewer_than_they(images: int, threads: int, tmp_path: Path) -> None:
    for i in range(images):
        picture(tmp_path / "in" / f"{i}.png", seed=i)
    jobs = make_plan([str(tmp_path / "in")], str(tmp_path / "out"), Request(method=METHODS["nearest"])).jobs
    assert batch_run._workers_for(jobs, 4, 1 << 40) == threads
    # The first thread is in the estimate of an image; memory for one more, and nearly for two.
    own, more = (sum(getattr(job.expected, name) for job in jobs) for name in ("memory", "memory_per_thread"))
    assert batch_run._workers_for(jobs, 4, own + 2 * more - 1) == min(threads, 2)


@pytest.mark.parametrize("method", ["lanczos", "transposed-conv"])
def test_plans_of_long_sides_are_not_kept(method: str) -> None:
    """They take hundreds of megabytes, which no estimate of the images that follow knows of."""
    caches = taps.taps, stamps, planned
    for side, kept in ((taps.LONGEST // 2, True), (taps.LONGEST // 2 + 1, False)):
        for cache in caches:
            cache.cache_clear()
        upscale(np.zeros((side, 1), np.uint8), 2, METHODS[method])
        assert (sum(cache.cache_info().currsize for cache in caches) > 0) is kept


@needs_posix
def test_a_killed_worker_fails_alone(tmp_path: Path) -> None:
    """Of a pool that breaks, what it had begun has failed, and threads make the others."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    for i in range(5):
        picture(tmp_path / "in" / f"{i}.png", seed=i)
    plan = make_plan([str(tmp_path / "in")], str(tmp_path / "out"), Request(method=METHODS["nearest"]))
    work: Any = Deadly(method=METHODS["nearest"])  # its `with_format` returns a plain `Request`
    deadly = plan.jobs[0]._replace(work=work)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        outcomes = list(Run(replace(plan, jobs=[deadly, *plan.jobs[1:]]), 1, executor))
    assert [outcome.failure is None for outcome in outcomes] == [False, True, True, True, True]
    assert outcomes[0].failure is not None
    assert "its process was killed" in str(outcomes[0].failure)
    assert len(list((tmp_path / "out").iterdir())) == 4


class Deadly(Request):
    """Work that kills its process."""

    def carry_out(self, *arguments: object) -> Result:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

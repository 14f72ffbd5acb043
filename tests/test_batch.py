"""Plan, run, report, as a program uses them."""

import gc
import logging
import os
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import numpy as np
import pytest
from breaking import UPSCALE, contents, ended, status_here
from PIL import Image

from upscale_cli.batch import plan as plans
from upscale_cli.batch import run as running
from upscale_cli.batch.executors import EXECUTORS, find_executor
from upscale_cli.batch.plan import make_plan
from upscale_cli.batch.report import Report
from upscale_cli.batch.run import Run
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import IMAGES, Header, Picture, open_picture
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods import METHODS
from upscale_cli.methods.pooling import Windows
from upscale_cli.places import files
from upscale_cli.places.files import FileSource
from upscale_cli.places.place import Source
from upscale_cli.work.pool import Pooling
from upscale_cli.work.request import Request

SAMPLES = Path(__file__).parents[1] / "sample_images"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for i in range(6):
        Image.fromarray(np.full((10 + i, 7, 3), 40 * i, np.uint8)).save(tmp_path / "in" / f"{i}.png")
    return tmp_path


def test_an_executor_of_the_caller_carries_out_jobs(folder: Path) -> None:
    plan = make_plan([str(folder / "in")], str(folder / "out"), Request(method=METHODS["nearest"]))
    told: list[int] = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        outcomes = list(Run(plan, executor=executor, progress=told.append))
    assert [o.failure for o in outcomes] == [None] * 6
    assert sum(told) == sum(job.pixels for job in plan.jobs) == sum(4 * (10 + i) * 7 for i in range(6))
    assert len(list((folder / "out").iterdir())) == 6


NAMES = [pytest.param(name, marks=[pytest.mark.long] * (name == "dask")) for name in EXECUTORS]
"""A cluster takes seconds to start."""


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_executor_makes_the_same_bytes(name: str, folder: Path) -> None:
    made = {}
    for kind in (EXECUTORS["threads"], EXECUTORS[name]):
        work = Request(method=METHODS["lanczos"], overwrite=True)
        plan = make_plan([str(folder / "in")], str(folder / kind.name), work)
        others = kind.start(2, "")
        assert (others is None) == (kind.name == "threads")
        told: list[int] = []
        outcomes = list(Run(plan, 2, others, told.append))
        if others is not None:
            others.shutdown()
        assert [o.failure for o in outcomes] == [None] * 6
        assert sum(told) == sum(job.pixels for job in plan.jobs)
        made[kind.name] = contents(folder / kind.name)
    assert len(made["threads"]) == 6
    assert made[name] == made["threads"]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_takes_the_kind_of_executor(name: str, folder: Path) -> None:
    assert status_here([*UPSCALE, "in", "-o", "here"], folder) == 0
    (folder / "in" / "bad.png").write_bytes(b"no image")
    done = ended([*UPSCALE, "in", "-o", name, "-j", "2", "--executor", name], folder)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in lines[:-1]] == ["in/bad.png"]
    assert lines[-1].startswith("6 images enlarged, 1 failed, in ")
    assert contents(folder / name) == contents(folder / "here")


def test_a_misspelt_executor_is_one_line(folder: Path) -> None:
    done = ended([*UPSCALE, "in", "-o", "other", "--executor", "procesess"], folder)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b'Did you mean "processes"?' in done.stderr
    assert not (folder / "other").exists()


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(UsageError, match=r'unknown executor "fred".* Executors: threads, processes, dask\.'):
        find_executor("fred")


def assert_gone(group: int) -> None:
    """Fail unless all processes of a group end: Python's own helper takes a moment."""
    began = time.perf_counter()
    with suppress(ProcessLookupError):
        while time.perf_counter() - began < 60:
            os.killpg(group, 0)
            time.sleep(0.02)
        pytest.fail("processes are left")


@pytest.mark.long
@pytest.mark.parametrize("signalled", ["group", "process"])
def test_a_signal_ends_processes_too(signalled: str, folder: Path) -> None:
    for i in range(40):
        Image.fromarray(np.full((200, 200, 3), 6 * i, np.uint8)).save(folder / "in" / f"large-{i:02}.png")
    command = [*UPSCALE, "in", "-o", "out", "-j", "2", "-s", "8", "--executor", "processes"]
    run = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, start_new_session=True)
    while not list(folder.glob("out/*.png")):
        time.sleep(0.005)
        assert run.poll() is None, run.communicate()
    (os.killpg if signalled == "group" else os.kill)(run.pid, signal.SIGINT)
    said = run.communicate(timeout=60)[1].decode()
    made = contents(folder / "out")
    assert_gone(run.pid)
    assert run.returncode == 130
    assert said == f"upscale: stopped after {len(made)} of 46; --skip-existing makes the others.\n"
    assert all(name.endswith(".png") for name in made)


@pytest.mark.long
def test_processes_end_with_a_parent_that_is_killed(folder: Path) -> None:
    for i in range(40):
        Image.fromarray(np.full((200, 200, 3), 6 * i, np.uint8)).save(folder / "in" / f"large-{i:02}.png")
    command = [*UPSCALE, "in", "-o", "out", "-j", "2", "-s", "8", "--executor", "processes"]
    run = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, start_new_session=True)
    while not list(folder.glob("out/*.png")):
        time.sleep(0.005)
        assert run.poll() is None, run.communicate()
    run.kill()
    # The workers have the same standard error: it ends when they have ended.
    assert run.communicate(timeout=120)[1] == b""
    assert_gone(run.pid)
    with Image.open(min(folder.glob("out/*.png"))) as image:
        image.load()


class StrangeError(Exception):
    """What an executor of another package may raise: its message has two lines."""

    def __str__(self) -> str:
        return "lost the\nworker"


class FailingExecutor(Executor):
    """An executor that carries nothing out: each future ends as it is said, or `submit` itself fails."""

    def __init__(self, end: BaseException | None, *, at_once: bool = False) -> None:
        self.end, self.at_once = end, at_once

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        if self.at_once:
            assert self.end is not None
            raise self.end
        future: Future[Any] = Future()
        if self.end is None:
            future.cancel()
            # As pools do with futures that were cancelled.
            future.set_running_or_notify_cancel()
        else:
            future.set_exception(self.end)
        return future


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        (FailingExecutor(StrangeError()), "unexpected error: StrangeError: lost the worker."),
        (FailingExecutor(StrangeError(), at_once=True), "unexpected error: StrangeError: lost the worker."),
        (
            FailingExecutor(RuntimeError("is shut down"), at_once=True),
            "unexpected error: RuntimeError: is shut down.",
        ),
        (FailingExecutor(SystemExit(3)), "unexpected error: SystemExit: 3."),
        (FailingExecutor(MemoryError()), "does not fit into memory; use fewer --jobs, or another --format."),
        (FailingExecutor(None), "failed: its executor cancelled it; run it again."),
        (FailingExecutor(CancelledError()), "failed: its executor cancelled it; run it again."),
    ],
    ids=["strange", "strange at once", "shut down", "exit", "memory", "cancelled", "cancelled elsewhere"],
)
def test_an_executor_that_fails_is_a_line_for_each_job(executor: Executor, said: str, folder: Path) -> None:
    plan = make_plan([str(folder / "in")], str(folder / "out"), Request(method=METHODS["nearest"]))
    began = time.perf_counter()
    outcomes = list(Run(plan, 2, executor))
    assert time.perf_counter() - began < 10
    assert sorted(o.job.source.shown for o in outcomes) == sorted(job.source.shown for job in plan.jobs)
    assert {o.seconds for o in outcomes} == {0}
    assert [str(o.failure) for o in outcomes] == [said] * 6
    assert not list(folder.glob("out/*"))


def test_a_failed_image_gives_its_memory_back_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[Any]] = []

    def fail(*_: object) -> None:
        samples = np.zeros(1000)
        alive.append(weakref.ref(samples))
        raise UpscaleError("fails") from ValueError("because")

    work = Request(method=METHODS["nearest"])
    plan = make_plan([str(folder / "in")], str(folder / "out"), work)
    monkeypatch.setattr(Request, "carry_out", fail)
    monkeypatch.setattr(Request, "check", fail)
    gc.disable()
    try:
        outcomes = list(Run(plan, 2))
        unplanned = make_plan([str(folder / "in")], str(folder / "out"), work)
        assert (
            [str(o.failure) for o in outcomes] == [str(failure) for _, failure in unplanned.failures] == ["fails"] * 6
        )
        assert [each() for each in alive] == [None] * 12
    finally:
        gc.enable()


@pytest.mark.parametrize("names", [1, 6])
def test_progress_is_told_in_output_pixels(folder: Path, names: int) -> None:
    inputs = [str(folder / "in" / f"{i}.png") for i in range(names)]
    told: list[int] = []
    plan = make_plan(inputs, str(folder / "out/"), Request(method=METHODS["lanczos"]))
    outcomes = list(Run(plan, 2, progress=told.append))
    assert len(outcomes) == names
    assert sum(told) == sum(job.pixels for job in plan.jobs)


def test_jobs_end_that_found_no_memory_to_say_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(SimpleQueue[Any]):
        told = 0

        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            self.told += 1
            if self.told % 2:
                raise MemoryError
            super().put(item, block, timeout)

    monkeypatch.setattr(running, "SimpleQueue", Full)
    monkeypatch.setattr(running, "MOMENT", 0.001)
    logging.disable()
    try:
        plan = make_plan([str(folder / "in")], str(folder / "out"), Request(method=METHODS["nearest"]))
        assert [o.failure for o in Run(plan)] == [None] * 6
    finally:
        logging.disable(logging.NOTSET)


def test_a_file_that_vanishes_after_the_plan_fails_alone(folder: Path) -> None:
    plan = make_plan([str(folder / "in")], str(folder / "out"), Request(method=METHODS["nearest"]))
    (folder / "in" / "3.png").unlink()
    outcomes = {o.job.source.shown: o for o in Run(plan)}
    assert [Path(name).name for name, o in outcomes.items() if o.failure] == ["3.png"]
    failure = outcomes[str(folder / "in" / "3.png")].failure
    assert failure is not None
    assert "No such file" in str(failure)


def test_letter_case_and_composed_accents_are_one_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_is_folded", lambda one, other: True)  # as on macOS
    for place, name in (("a", "x.png"), ("b", "X.png"), ("c", "\u00e9.png"), ("d", "e\u0301.png")):
        (tmp_path / place).mkdir()
        Image.new("L", (1, 1)).save(tmp_path / place / name)
    inputs = [str(p) for p in sorted(tmp_path.rglob("*.[pP]*"))]
    with pytest.raises(ValueError, match="Several inputs would be written to the same file: ") as error:
        make_plan(inputs, str(tmp_path / "out"), Request(method=METHODS["nearest"]))
    assert str(error.value).count(" → ") == 2


class Recorded:
    """A picture that records which of its attributes are read."""

    def __init__(self, picture: Picture, read: set[str]) -> None:
        self._picture, self._read = picture, read

    def __getattr__(self, name: str) -> Any:
        self._read.add(name)
        return getattr(self._picture, name)


@pytest.mark.parametrize("name", ["photo.jpg", "scan.tif", "animation.gif", "gradient-16.png", "kernel-box-2x2.npy"])
@pytest.mark.parametrize("command", ["lanczos", "learned", "--size", "--if-smaller", "webp", "npy", "pool"])
def test_planning_reads_of_a_picture_only_what_makes_it_alike(command: str, name: str) -> None:
    """Results of pictures with the same `header` are planned once: it must hold everything that decides."""
    asked = Request(method=METHODS["learned" if command == "learned" else "lanczos"])
    works: dict[str, Any] = {
        "--size": asked._replace(scale=None, size="30x", allow_smaller=True),
        "--if-smaller": asked._replace(scale=None, size="900x", if_smaller="skip"),
        "webp": asked._replace(format=FORMATS["webp"]),
        "npy": asked._replace(format=FORMATS["npy"]),
        "pool": Pooling(windows=Windows()),
    }
    read: set[str] = set()
    source = FileSource(SAMPLES / name)
    with open_picture(source.open(), IMAGES) as picture, suppress(UpscaleError):
        works.get(command, asked).check(cast(Picture, Recorded(picture, read)), source)
    held = {*Header._fields, "count", "values", "width", "height", "volume"}
    assert "sides" in read
    assert read <= held


def test_statuses() -> None:
    assert [Report("x", 1, 0).exit_status, Report("x", 1, 1).exit_status, Report("x", 0, 0, 3).exit_status] == [
        0,
        1,
        0,
    ]


# Plans --------------------------------------------------------------------------------------------------------------


class Far(Source):
    """A source that is far away: several are looked at at once."""

    at_once = 3

    def __init__(self, number: int) -> None:
        self.number, self.shown = number, str(number)

    def open(self) -> Any:
        raise NotImplementedError

    def default_target(self, label: str, extension: str) -> Any:
        raise NotImplementedError


def test_sources_far_away_are_looked_at_at_once_and_come_in_order() -> None:
    """Twice as many as are looked at are begun; those that were begun when nobody wants more are left."""
    asked, looked, before = list[int](), list[int](), {*threading.enumerate()}
    together = threading.Barrier(Far.at_once)

    def sources() -> Iterator[Far]:
        for number in range(30):
            asked.append(number)
            yield Far(number)

    def look(source: Source) -> Any:
        assert isinstance(source, Far)
        if source.number < Far.at_once:
            together.wait(60)
        if source.number >= 4:  # so all threads are at work when nobody wants more
            assert goes_on.wait(60)
        looked.append(source.number)
        return source.number

    goes_on = threading.Event()
    found = plans._each(look, sources())
    for number in range(4):
        source, looked_at = next(found)
        shown: Any = looked_at()
        assert (source.shown, shown) == (str(number), number)
        assert len(asked) == number + plans.AHEAD * Far.at_once
    found.close()  # type: ignore[attr-defined]
    goes_on.set()
    for thread in {*threading.enumerate()} - before:
        thread.join(60)
    assert len(looked) < len(asked) == 9


def test_sources_at_hand_are_looked_at_one_after_the_other_without_threads() -> None:
    class Near(Far):
        at_once = 1

    before = {*threading.enumerate()}

    def look(source: Source) -> Any:
        assert {*threading.enumerate()} <= before
        return source.shown

    found: Any = plans._each(look, map(Near, range(5)))
    assert [looked_at() for _, looked_at in found] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("count", [9, 12])
def test_a_plan_lists_ten_conflicts(count: int, tmp_path: Path) -> None:
    for number in range(count):
        for name in (f"a/{number:02}.png", f"b/{number:02}.png", f"b/free{number}.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.new("L", (1, 1)).save(tmp_path / name)
    inputs = [str(tmp_path / "a"), str(tmp_path / "b")]
    with pytest.raises(UsageError) as error:
        make_plan(inputs, str(tmp_path / "out"), Request(method=METHODS["nearest"]))
    listed = str(error.value).partition("file: ")[2].partition(". Rename")[0].split("; ")
    assert listed == [
        f"{tmp_path}/a/{number:02}.png, {tmp_path}/b/{number:02}.png → {tmp_path}/out/{number:02}.png"
        for number in range(min(count, 10))
    ]


def test_several_images_do_not_go_into_a_file(folder: Path) -> None:
    for name, said in (
        ("file", '" is a file, but several images need a folder; use another --output.'),
        ("file.png", '" is a file, but several images need a folder; use another --output.'),
        ("new.png", f'" is the name of one file, but there are several; did you mean -o {folder}/new/?'),
    ):
        if not name.startswith("new"):
            (folder / name).write_bytes(b"mine")
        with pytest.raises(UsageError) as error:
            make_plan([str(folder / "in")], str(folder / name), Request(method=METHODS["nearest"]))
        assert str(error.value) == f'"{folder / name}{said}'


def test_a_result_lies_beside_its_source(tmp_path: Path) -> None:
    """An image elsewhere that has the name and size of a result is none, although the result exists."""
    for name, size in (("one/a.png", (8, 6)), ("one/a_2x.png", (16, 12)), ("other/a_2x.png", (16, 12))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", size).save(tmp_path / name)
    inputs = [str(tmp_path / name) for name in ("one/a.png", "other/a_2x.png")]
    plan = make_plan(inputs, None, Request(method=METHODS["nearest"], overwrite=True))
    assert [job.source.shown for job in plan.jobs] == inputs
    plan = make_plan(
        [*inputs, str(tmp_path / "one/a_2x.png")], None, Request(method=METHODS["nearest"], overwrite=True)
    )
    assert [job.source.shown for job in plan.jobs] == inputs


@pytest.mark.parametrize("most", [200, 10_000])
def test_a_result_of_an_earlier_run_is_no_failure(most: int, tmp_path: Path) -> None:
    """It would be too large itself, or is large enough already: it was not meant."""
    Image.new("L", (8, 6)).save(tmp_path / "a.png")
    Image.new("L", (16, 12)).save(tmp_path / "a_2x.png")
    inputs = [str(tmp_path / name) for name in ("a.png", "a_2x.png")]
    work = Request(method=METHODS["nearest"], max_pixels=most, overwrite=True)
    for asked in (work, work._replace(size="12x", if_smaller="skip")):
        plan = make_plan(inputs, None, asked)
        assert [job.source.shown for job in plan.jobs] == inputs[:1]
        assert [(each.shown, each.why) for each in plan.skipped] == [(inputs[1], f"is a result of {inputs[0]}.")]
        assert (plan.failures, plan.results) == ([], inputs[1:])

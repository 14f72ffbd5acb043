"""What a run does with an executor: clusters that shrink and end, processes that die, disks that fill, signals."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from breaking import contents, needs_posix
from click.testing import CliRunner
from executing import Held, HeldCluster, Near, Runs, finished
from PIL import Image

from upscale_cli.batch import executors
from upscale_cli.batch import run as module
from upscale_cli.batch.executors import EXECUTORS
from upscale_cli.batch.plan import Job, Plan, make_plan
from upscale_cli.batch.run import DISK_FULL, Run, Stopped, run_job_elsewhere
from upscale_cli.commands.upscale import cli
from upscale_cli.errors import DiskFullError, UpscaleError
from upscale_cli.machine import durable
from upscale_cli.machine.replacing import PREFIX, _system, abandon
from upscale_cli.methods import METHODS
from upscale_cli.work.request import Request
from upscale_cli.work.result import Result

NEAREST = Request(method=METHODS["nearest"])


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "in").mkdir()
    for number in range(9):
        Image.new("L", (5 + 7 * number % 9, 4)).save(tmp_path / "in" / f"{number}.png")
    return make_plan([str(tmp_path / "in")], str(tmp_path / "out"), NEAREST)


def first(plan: Plan, count: int) -> Plan:
    """The first images of a plan."""
    return replace(plan, jobs=plan.jobs[:count])


# Clusters -----------------------------------------------------------------------------------------------------------


def test_a_cluster_gets_the_largest_first_and_no_more_than_it_takes(plan: Plan) -> None:
    cluster = Near(2)
    said: list[str] = []
    told: list[int] = []
    outcomes = finished(Run(plan, 1, cluster, told.append, say=said.append))
    assert [outcome.failure for outcome in outcomes] == [None] * 9
    assert cluster.order == sorted((job.pixels for job in plan.jobs), reverse=True)
    assert len(set(cluster.order)) > 5
    assert (cluster.most, said) == (2, [])
    assert sorted(told) == sorted(cluster.order)


def test_a_cluster_that_is_lost_leaves_what_it_has_not_told(plan: Plan) -> None:
    def lose(job: Job, number: int) -> None:
        if number == 4:
            near.lost = "it is gone"
            raise OSError

    near = Near(1, lose)
    run = Run(plan, 1, near)
    outcomes = finished(run)
    assert run.reason == "it is gone"
    told = [outcome.job.source.shown for outcome in outcomes if outcome.failure is None]
    assert len(told) == 3
    assert {*told, *(job.source.shown for job in run.left)} | {
        outcome.job.source.shown for outcome in outcomes if outcome.failure is not None
    } == {job.source.shown for job in plan.jobs}


def test_what_is_at_work_when_a_cluster_is_lost_is_left(plan: Plan) -> None:
    cluster = HeldCluster()
    runs = Runs(plan, 1, cluster)
    cluster.wait(9)
    cluster.end("4.png")
    runs.wait(1)
    cluster.lost = "it is gone"
    assert runs.ended() == {"4.png": ""}
    assert {Path(job.source.shown).name for job in runs.run.left} == {f"{n}.png" for n in range(9) if n != 4}
    assert runs.run.reason == "it is gone"


def test_a_cluster_that_is_lost_before_it_begins_is_an_error(plan: Plan) -> None:
    cluster = HeldCluster()
    cluster.lost = "it never was"
    with pytest.raises(UpscaleError, match=r"^it never was\.$"):
        finished(Run(plan, 1, cluster))
    assert cluster.jobs == {}


def test_a_cluster_without_room_is_waited_for_and_its_news_is_told_once(plan: Plan) -> None:
    class Late(Near):
        asked = 0

        @property
        def room(self) -> int:
            self.asked += 1
            return self.asked > 4

        @room.setter
        def room(self, room: int) -> None:
            pass

    late = Late(1)
    late.news = "waiting for it"
    said: list[str] = []
    outcomes = finished(Run(first(plan, 2), 1, late, say=said.append))
    assert [outcome.failure for outcome in outcomes] == [None] * 2
    assert said == ["waiting for it"]
    assert late.news == ""


def test_results_that_lie_elsewhere_are_told(plan: Plan) -> None:
    def hide(job: Job, number: int) -> None:
        Path(job.target.name).unlink()

    said: list[str] = []
    outcomes = finished(Run(plan, 1, Near(1, hide), say=said.append))
    made = outcomes[0].job.target.shown
    assert said == [f"{made} was made, but not where this machine sees it; workers need the same folders."]


def test_only_a_result_shows_whether_folders_are_the_same(plan: Plan) -> None:
    """What has failed is not there either."""
    Path(max(plan.jobs, key=lambda job: job.pixels).source.shown).unlink()
    said: list[str] = []
    outcomes = finished(Run(plan, 1, Near(1), say=said.append))
    assert [outcome.failure is None for outcome in outcomes] == [False, *[True] * 8]
    assert said == []


def test_the_manner_of_a_run_on_a_cluster(plan: Plan) -> None:
    assert Run(first(plan, 1), 4, Near(1)).manner == "1 image on near://, the largest first"
    assert Run(plan, 4, Near(1)).manner == "9 images on near://, the largest first"


# Processes that die -------------------------------------------------------------------------------------------------


def test_what_was_at_work_with_others_when_a_process_died_is_tried_alone(plan: Plan) -> None:
    """Any of them may be the cause: each is alone the next time, and what waited comes first."""
    held, told = Held(), list[int]()
    runs = Runs(first(plan, 4), 2, held, progress=told.append)
    one, other = held.wait(2)
    for name in (one, other):
        held.end(name, BrokenExecutor())
    for name in held.wait(2) - {one, other}:
        held.end(name)
    runs.wait(2)
    (suspect,) = held.wait(1)
    assert suspect == one
    held.end(one, BrokenExecutor())
    runs.wait(3)
    assert held.wait(1) == {other}
    held.end(other)
    said = runs.ended()
    assert said.pop(one) == "failed: its process was killed; it may need more memory."
    assert said == dict.fromkeys(said, "")
    assert len(said) == 3
    assert runs.run.left == []
    assert sum(told) == sum(job.pixels for job in plan.jobs[:4] if Path(job.source.shown).name != one)


def test_what_may_have_killed_a_process_does_not_kill_this_one(plan: Plan) -> None:
    """Threads of this process carry on for an executor that takes no more, but not with a suspect."""

    class Broken(Held):
        def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
            if broken:
                raise BrokenExecutor
            return super().submit(function, *arguments, **named)

    held, broken = Broken(), False
    runs = Runs(first(plan, 4), 2, held)
    both = held.wait(2)
    broken = True
    for name in both:
        held.end(name, BrokenExecutor())
    said = runs.ended()
    assert len(said) == 4
    killed = "failed: its process was killed; it may need more memory."
    assert {name for name, why in said.items() if why == killed} == both
    assert {name for name, why in said.items() if why == ""} == said.keys() - both


@needs_posix
def test_what_killed_processes_leave_is_removed_when_the_run_ends(plan: Plan, tmp_path: Path) -> None:
    held = Held()
    runs = Runs(first(plan, 2), 2, held)
    one, other = held.wait(2)
    held.end(one)
    runs.wait(1)  # so this process has looked for such files there, which it does once
    left = tmp_path / "out" / f"{PREFIX}{_system(tmp_path)}-{'0' * 16}.tmp"
    left.write_bytes(b"half")
    held.end(other)
    assert runs.ended() == {one: "", other: ""}
    assert not left.exists()


def test_names_that_others_have_made_are_confirmed_here(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    runs = Runs(first(plan, 2), 2, held)
    one, other = held.wait(2)
    held.end(one)
    runs.wait(1)
    monkeypatch.setattr(durable, "_changed", set())  # as if that had been another process
    held.end(other, BrokenExecutor())
    held.wait(1)
    held.end(other, BrokenExecutor())
    runs.ended()
    assert durable._changed == {Path(plan.jobs[0].target.name).parent}


@pytest.mark.parametrize(("jobs", "count"), [(None, 5), (2, 2)])
def test_there_are_as_many_processes_as_jobs_or_processors(
    jobs: int | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "processors", lambda: 5)
    started: list[int] = []
    monkeypatch.setattr(executors, "_Processes", started.append)
    assert EXECUTORS["processes"].start(jobs, "") is None
    assert started == [count]


# Disks that fill, and signals ---------------------------------------------------------------------------------------


def test_a_disk_that_is_full_elsewhere_ends_the_run_as_well(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    runs = Runs(plan, 2, held)
    one, other = held.wait(2)
    with monkeypatch.context() as patched:
        patched.setattr(module, "carried_out", raising(DiskFullError("full")))
        held.end(one)
    runs.wait(1)
    held.end(other)
    assert runs.ended() == {one: "full", other: ""}
    assert (runs.run.reason, len(runs.run.left)) == (DISK_FULL, 7)


def test_no_more_jobs_are_begun_than_there_are_threads_allowed(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may allow fewer threads than were asked for: what would wait for one is not at work."""
    monkeypatch.setattr(module, "usable_threads", lambda count: 1)
    monkeypatch.setattr(module, "carried_out", raising(DiskFullError("full")))
    run = Run(plan, 4)
    (outcome,) = finished(run)
    assert str(outcome.failure) == "full"
    assert len(run.left) == 8


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises an error."""

    def function(*_: object, **__: object) -> Any:
        raise error

    return function


def test_what_a_stopped_run_has_at_work_in_processes_is_waited_for(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal reaches them too, so they end soon, and what they complete is counted."""
    monkeypatch.setattr(module, "PATIENCE", 0)
    held = Held()
    runs = Runs(plan, 3, held)
    one, other, third = held.wait(3)
    runs.run.stop()
    gone = threading.Event()
    wait, moments = runs.run._wait, []

    def waited(jobs: Iterable[Future[Any]]) -> Future[Any] | None:
        moments.append(wait(jobs))
        if len(moments) == 3:
            gone.set()
        return moments[-1]

    monkeypatch.setattr(runs.run, "_wait", waited)
    assert gone.wait(60), "the run was not looked after any more"
    held.end(one)
    runs.wait(1)
    held.end(other, BrokenExecutor())
    held.end(third, Stopped())
    assert runs.ended() == {one: ""}
    assert held.jobs == {}
    assert len(runs.run.left) == 6


@pytest.mark.parametrize("end", ["soon", "after the run"])
@pytest.mark.parametrize("error", [None, KeyError])
def test_what_a_stopped_run_leaves_behind_becomes_nothing(
    end: str, error: type[Exception] | None, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder at work asks nobody whether it shall stop; that its file is gone is no failure of the image."""
    begun, goes_on, over = threading.Event(), threading.Event(), threading.Event()

    def encode(self: Request, source: Any, target: Any, *_: object) -> Result:
        try:
            with target.commit(False) as (stream,):
                stream.write(b"half")
                begun.set()
                assert goes_on.wait(60)
                if error is not None:
                    raise error
            return Result()
        finally:
            over.set()

    def abandoned() -> None:
        abandon()
        if end == "soon":
            goes_on.set()
            assert over.wait(60)

    monkeypatch.setattr(module, "PATIENCE", 0)
    monkeypatch.setattr(module, "abandon", abandoned)
    monkeypatch.setattr(Request, "carry_out", encode)
    runs = Runs(first(plan, 1), 1, None)
    assert begun.wait(60)
    runs.run.stop()
    assert runs.ended() == {}
    goes_on.set()
    assert over.wait(60)
    assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize("patience", [0, 600])
def test_a_stopped_run_leaves_what_a_cluster_does_not_end_soon(
    patience: int, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", patience)
    cluster = HeldCluster()
    runs = Runs(first(plan, 2), 1, cluster)
    one, other = cluster.wait(2)
    runs.run.stop()
    if not patience:
        assert runs.ended() == {}
        assert len(runs.run.left) == 2
        return
    for name in (one, other):
        cluster.end(name)
    assert runs.ended() == {one: "", other: ""}
    assert runs.run.left == []


def test_whoever_takes_no_more_outcomes_stops_what_is_at_work(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, stopped = threading.Event(), list[str]()
    original = Request.carry_out

    def endless(self: Request, source: Any, target: Any, workers: Any, progress: Callable[[int], None]) -> Result:
        if source.shown == plan.jobs[1].source.shown:
            begun.set()
            end = threading.Event()
            for _ in range(6000):
                try:
                    progress(0)
                except Stopped:
                    stopped.append(source.shown)
                    raise
                end.wait(0.01)
        else:
            assert begun.wait(60)
        return original(self, source, target, workers, progress)

    monkeypatch.setattr(Request, "carry_out", endless)
    outcomes = iter(Run(first(plan, 2), 2))
    next(outcomes)
    outcomes.close()
    assert stopped == [plan.jobs[1].source.shown]


def test_what_has_failed_elsewhere_tells_its_cause(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cause is lost on the way from another process, and its text is not."""
    monkeypatch.setattr(module, "carried_out", raising(KeyError("why")))
    seconds, result, failure = run_job_elsewhere(plan.jobs[0])
    assert (result, str(failure)) == (None, "unexpected error: KeyError: 'why'.")
    assert failure is not None
    assert "KeyError: 'why'" in failure.__notes__[0]
    assert seconds > 0
    monkeypatch.setattr(module, "carried_out", raising(UpscaleError("plain")))
    failure = run_job_elsewhere(plan.jobs[0])[2]
    assert not hasattr(failure, "__notes__")


def test_processes_write_what_threads_write(tmp_path: Path) -> None:
    """A JPEG keeps its tables and the resolution of its colour, though its format is another object there."""
    picture = Image.effect_noise((40, 30), 60).convert("RGB")
    for quality in (40, 90):
        picture.save(tmp_path / f"{quality}.jpg", quality=quality, subsampling=2)
    names = [str(tmp_path / "40.jpg"), str(tmp_path / "90.jpg")]
    for executor in ("threads", "processes"):
        done = CliRunner().invoke(cli, [*names, "-o", str(tmp_path / executor), "--executor", executor])
        assert done.exit_code == 0, done.stderr
    assert contents(tmp_path / "processes") == contents(tmp_path / "threads")
    with Image.open(tmp_path / "processes" / "40.jpg") as made, Image.open(names[0]) as source:
        assert made.quantization == source.quantization  # type: ignore[attr-defined]

"""Both ends of a Dask cluster in this process: parcels, versions, memory, and connections that end."""

import asyncio
import logging
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from breaking import contents
from executing import finished
from PIL import Image

from upscale_cli import __version__
from upscale_cli.batch.plan import Plan, make_plan
from upscale_cli.batch.run import Run, Stopped
from upscale_cli.errors import UsageError
from upscale_cli.machine import memory
from upscale_cli.methods import METHODS
from upscale_cli.work.request import Request

if TYPE_CHECKING:
    from upscale_cli.batch.dask_cluster import DaskCluster

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
dask_cluster = import_module("upscale_cli.batch.dask_cluster")
AHEAD, VersionError = dask_cluster.AHEAD, dask_cluster.VersionError
Making = Callable[..., "DaskCluster"]

NEAREST = Request(method=METHODS["nearest"])


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave this process as it was: its loggers, and the limits of its memory."""
    levels = {name: logging.getLogger(name).level for name in dask_cluster.QUIET}
    monkeypatch.setattr(memory, "_rooms", list(memory._rooms))
    monkeypatch.setattr(dask_cluster, "_gate", dask_cluster._Gate())
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    memory._available_in.cache_clear()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with one worker of two threads."""
    import dask

    options: dict[str, Any] = {"processes": False, "protocol": "tcp", "dashboard_address": ":0"}
    folder = str(tmp_path_factory.mktemp("worker"))
    with (
        dask.config.set({"temporary-directory": folder}),
        distributed.LocalCluster(1, threads_per_worker=2, silence_logs=logging.CRITICAL, **options) as local,
    ):
        yield local.scheduler_address.removeprefix("tcp://")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "in").mkdir()
    for number in range(12):
        Image.new("L", (6, 5), number).save(tmp_path / "in" / f"{number:02}.png")
    return make_plan([str(tmp_path / "in")], str(tmp_path / "out"), NEAREST)


def test_a_cluster_makes_what_threads_make(address: str, plan: Plan, tmp_path: Path) -> None:
    assert [outcome.failure for outcome in finished(Run(plan, 2))] == [None] * 12
    here = contents(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    cluster, parcels = dask_cluster.DaskCluster(None, address), list[int]()
    submit = cluster._client.submit

    def counted(function: Any, sent: bytes, **how: Any) -> Any:
        parcels.append(len(parcel_of(sent)))
        return submit(function, sent, **how)

    cluster._client.submit = counted
    try:
        assert [outcome.failure for outcome in finished(Run(plan, 2, cluster))] == [None] * 12
    finally:
        cluster.shutdown()
    assert contents(tmp_path / "out") == here
    assert sum(parcels) == 12
    assert max(parcels) <= dask_cluster.MOST_IN_PARCEL
    assert cluster._client.status == "closed"


def parcel_of(sent: bytes) -> tuple[bytes, ...]:
    """The jobs in a parcel."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dask_cluster, "_carried_out", lambda version, jobs: (version, jobs))
        version, jobs = pickle.loads(sent)
    assert version == __version__
    return tuple(jobs)


# The client ---------------------------------------------------------------------------------------------------------


class Client:
    """What stands for Dask's client: it keeps what it is given, and answers as a test says."""

    status = "running"

    def __init__(self, where: Any, **options: Any) -> None:
        self.where, self.options, self.calls, self.closed = where, options, list[tuple[Any, ...]](), list[Any]()
        self.sent = list[bytes]()
        self.loop = SimpleNamespace(
            add_callback=lambda *call: self.calls.append(call), call_later=lambda *call: self.calls.append(call)
        )

    def submit(self, function: Any, sent: bytes, **options: Any) -> str:
        assert function is pickle.loads
        self.sent.append(sent)
        return "a future of Dask"

    def close(self, timeout: float) -> None:
        self.closed.append(timeout)
        raise TimeoutError


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Making:
    """What makes a cluster with a client that stands for Dask's."""
    monkeypatch.setattr(dask_cluster, "Client", Client)
    monkeypatch.setattr(dask_cluster, "LocalCluster", lambda *given, **options: Client(given, **options))
    return lambda jobs=None, address="host:1": dask_cluster.DaskCluster(jobs, address)


@pytest.mark.parametrize(
    ("typed", "where"),
    [
        ("host", "tcp://host:8786"),
        ("host:99", "tcp://host:99"),
        ("[::1]", "tcp://[::1]:8786"),
        ("[::1]:99", "tcp://[::1]:99"),
        ("tls://host", "tls://host:8786"),
        ("tls://host:99", "tls://host:99"),
        ("tls://[fe80::1]", "tls://[fe80::1]:8786"),
    ],
)
def test_addresses_as_they_are_typed(typed: str, where: str, make: Making) -> None:
    cluster = make(None, typed)
    assert cluster._client.where == where
    assert cluster._client.options == {"set_as_default": False, "timeout": dask_cluster.SILENCE}
    assert str(cluster) == f"dask://{typed}"
    assert cluster._client.calls == [(cluster._watch,)]
    assert (cluster.room, cluster.lost, cluster.news) == (0, "", "")
    assert all(not logging.getLogger(name).isEnabledFor(logging.CRITICAL) for name in dask_cluster.QUIET)


@pytest.mark.parametrize(("jobs", "processes"), [(3, 3), (None, 5)])
def test_without_an_address_it_is_of_this_machine_and_ends_with_the_run(
    jobs: int | None, processes: int, make: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "processors", lambda: 5)
    cluster = make(jobs, "")
    local = cluster._client.where
    assert local.where == (processes,)
    assert (local.options["threads_per_worker"], local.options["dashboard_address"]) == (1, ":0")
    assert local.options["silence_logs"] == sys.maxsize
    cluster.shutdown()
    assert (cluster._client.closed, local.closed) == ([2], [2])
    assert cluster._over


@pytest.mark.parametrize("error", [OSError, ValueError, RuntimeError])
def test_what_cannot_be_reached_is_one_sentence(
    error: type[Exception], make: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error("timed out,\n  alas.")

    monkeypatch.setattr(dask_cluster, "Client", refuse)
    with pytest.raises(
        UsageError,
        match=r"^dask://host:1 cannot be reached: timed out, alas; check its address, and that it runs\.$",
    ):
        make()


def test_jobs_travel_in_parcels(make: Making) -> None:
    """A parcel is sent when it is full, or a moment after its first job."""
    cluster = make()
    client = cluster._client
    client.calls.clear()
    cluster._most_in_parcel = 3
    futures = [cluster.submit(len, number) for number in range(7)]
    collect, client.calls = client.calls, []
    for function, *arguments in collect:
        function(*arguments)
    # Two full ones, and one that waits for its moment, as each of them did.
    assert [parcel_of(sent) for sent in client.sent] == [
        tuple(pickle.dumps((len, number)) for number in numbers) for numbers in ((0, 1, 2), (3, 4, 5))
    ]
    follows = [call for call in client.calls if call[0] == cluster._follow]
    assert [ours for _, _, ours in follows] == [tuple(futures[:3]), tuple(futures[3:6])]
    later = [call for call in client.calls if call[-1] == cluster._send]
    assert later == [(dask_cluster.MOMENT, cluster._send)] * 3
    for _ in range(2):  # the second time there is nothing to send
        cluster._send()
    assert [len(parcel_of(sent)) for sent in client.sent] == [3, 3, 1]


def followed(cluster: "DaskCluster", end: object, count: int = 2) -> list[Future[Any]]:
    """Let a parcel of some jobs end."""

    async def follow() -> None:
        future = asyncio.get_running_loop().create_future()
        if isinstance(end, BaseException):
            future.set_exception(end)
        else:
            future.set_result(end)
        await cluster._follow(future, ours)

    ours = [Future[Any]() for _ in range(count)]
    asyncio.run(follow())
    return ours


@pytest.mark.parametrize(
    ("seconds", "most"),
    [((0.01, 0.03), 12), ((0.1, 0.1), 2), ((0.2, 0.4), 1), ((9.0, 9.0), 1), ((0.0, 0.0), 16), ((0.001, 0.001), 16)],
)
def test_parcels_take_a_quarter_of_a_second(seconds: tuple[float, ...], most: int, make: Making) -> None:
    cluster, outcomes = make(), [(each, "result", None) for each in seconds]
    assert [each.result(0) for each in followed(cluster, outcomes)] == outcomes
    assert cluster._most_in_parcel == most


class CancelledHereError(CancelledError):
    """As Dask cancels: it says why."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


ENDED = "the scheduler dask://host:1 is lost: it has ended the connection"
SAME = "install the same version for all"


@pytest.mark.parametrize(
    ("error", "status", "lost"),
    [
        (CancelledHereError("scheduler-connection-lost"), "running", ENDED),
        (CancelledHereError("unknown"), "closing", ENDED),
        (CancelledError(), "closed", ENDED),
        (OSError(), "running", ENDED),
        (VersionError("0.1"), "running", f"a worker has upscale-cli 0.1, and this is {__version__}; {SAME}"),
        (
            ImportError("no upscale"),
            "running",
            f"a worker lacks what jobs need (no upscale); install upscale-cli {__version__} there, and its plug-ins",
        ),
        (
            AttributeError("no _x"),
            "running",
            f"a worker lacks what jobs need (no _x); install upscale-cli {__version__} there, and its plug-ins",
        ),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, BaseException) else each[:9],
)
def test_what_ends_a_cluster(error: BaseException, status: str, lost: str, make: Making) -> None:
    """Its jobs have no end then: they are missing, and have not failed."""
    cluster = make()
    cluster._client.status = status
    assert not any(each.done() for each in followed(cluster, error))
    assert cluster.lost == lost
    followed(cluster, OSError())
    followed(cluster, VersionError("0.2"))
    assert cluster.lost == lost, "what comes first is the cause"


@pytest.mark.parametrize("error", [CancelledError(), CancelledHereError("by another client")])
def test_what_others_cancel_is_cancelled(error: BaseException, make: Making) -> None:
    cluster = make()
    assert all(each.cancelled() for each in followed(cluster, error))
    assert cluster.lost == ""


def test_a_job_that_kills_workers_ends_as_with_processes(make: Making) -> None:
    cluster = make()
    for error, kind in (
        (distributed.KilledWorker("a task", SimpleNamespace(address="there"), 3), BrokenExecutor),
        (KeyError("a"), KeyError),
    ):
        assert [type(each.exception(0)) for each in followed(cluster, error)] == [kind] * 2
    assert cluster.lost == ""


class Clock:
    """A time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


Answer = tuple[int, int] | BaseException
"""How many workers and threads a scheduler says that it has, or what goes wrong."""


def watched(
    cluster: "DaskCluster", answers: Sequence[Answer], patch: pytest.MonkeyPatch, versions: object = None
) -> list[tuple[int, str, str]]:
    """Let a scheduler give some answers, a second apart; return its room, and what is said after each."""
    clock, seen, left = Clock(), list[tuple[int, str, str]](), iter(answers)

    async def identity(n_workers: int) -> dict[str, int]:
        assert n_workers == 0
        answer = next(left)
        if isinstance(answer, BaseException):
            raise answer
        return dict(zip(("n_workers", "total_threads"), answer, strict=True))

    async def run(function: Any, on_error: str) -> dict[str, object]:
        asked.append(function())
        if isinstance(versions, BaseException):
            raise versions
        assert on_error == "return"
        return versions or {"one": __version__}  # type: ignore[return-value]

    async def sleep(seconds: float) -> None:
        seen.append((cluster.room, cluster.lost, cluster.news))
        cluster._over = len(seen) == len(answers)
        cluster.news = cluster.news if cluster._over else ""
        await clock.sleep(seconds)

    asked: list[str] = []
    cluster._client.scheduler, cluster._client.run = SimpleNamespace(identity=identity), run
    patch.setattr(dask_cluster, "asyncio", SimpleNamespace(sleep=sleep, wait_for=asyncio.wait_for))
    patch.setattr(dask_cluster, "time", SimpleNamespace(monotonic=lambda: clock.now))
    asyncio.run(cluster._watch())
    assert len(asked) <= 1, "versions are asked for once"
    return seen


def test_the_room_is_that_of_the_workers(make: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = make()
    cluster._most_in_parcel = 3
    rooms = [room for room, _, _ in watched(cluster, [(0, 0), (1, 2), (2, 9), (0, 0), (1, 1)], monkeypatch)]
    assert rooms == [0, AHEAD * 2 * 3, AHEAD * 9 * 3, 0, AHEAD * 3]
    assert [room for room, _, _ in watched(make(5), [(1, 1), (2, 9)], monkeypatch)] == [AHEAD, 5]


@pytest.mark.parametrize(
    ("answers", "lost"),
    [
        ([(0, 0), OSError()], "it, or a worker, does not answer"),
        ([TimeoutError()], "it, or a worker, does not answer"),
        ([(1, 1), OSError()], "it does not answer"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_lost(
    answers: list[Answer], lost: str, make: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make()
    watched(cluster, answers, monkeypatch)
    assert cluster.lost == f"the scheduler dask://host:1 is lost: {lost}"


def test_workers_are_waited_for_a_minute(make: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, after two seconds; each time that there are none any more, the minute begins again."""
    cluster = make()
    answers = [(0, 0)] * 30 + [(1, 1)] + [(0, 0)] * 70
    seen = watched(cluster, answers, monkeypatch)
    told = [number for number, (_, _, news) in enumerate(seen) if news]
    assert told == [3, 33]
    assert {news for _, _, news in seen if news} == {"waiting for a worker of dask://host:1, 60 seconds at most."}
    assert cluster.lost == "dask://host:1 has had no worker for 60 seconds"
    assert len(seen) == 31 + 61


def test_as_long_as_dask_is_told_to_wait_it_is_waited(make: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    cluster = make()
    with dask.config.set({"distributed.scheduler.no-workers-timeout": "5 s"}):
        assert len(watched(cluster, [(0, 0)] * 70, monkeypatch)) == 7
    assert cluster.lost == "dask://host:1 has had no worker for 5 seconds"


@pytest.mark.parametrize(
    ("versions", "lost"),
    [
        ({"one": __version__, "two": OSError("it has ended")}, ""),
        ({"one": OSError("it has ended"), "two": "0.1"}, f"has upscale-cli 0.1, and this is {__version__}; {SAME}"),
        (
            {"two": ImportError("no upscale")},
            f"lacks what jobs need (no upscale); install upscale-cli {__version__} there, and its plug-ins",
        ),
    ],
    ids=["the same", "another", "none"],
)
def test_workers_of_another_version_get_no_job(
    versions: object, lost: str, make: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make()
    seen = watched(cluster, [(0, 0), (2, 2), (2, 2)], monkeypatch, versions)
    assert cluster.lost == (f"the worker two {lost}" if lost else "")
    assert [room for room, _, _ in seen] == ([0, 0] if lost else [0, 2 * AHEAD, 2 * AHEAD])


# The worker ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A worker that carries out one task."""
    task = SimpleNamespace(state="executing")
    worker = SimpleNamespace(
        state=SimpleNamespace(tasks={"task": task}),
        get_current_task=lambda: "task",
        memory_manager=SimpleNamespace(memory_limit=1000 << 20),
        monitor=SimpleNamespace(get_process_memory=lambda: 300 << 20),
        task=task,
    )
    monkeypatch.setattr(dask_cluster, "get_worker", lambda: worker)
    return worker


def test_a_parcel_of_another_version_is_not_read(worker: Any) -> None:
    with pytest.raises(VersionError, match=f"^{__version__}$"):
        dask_cluster._carried_out("0.1", [b"not to be read"])


def test_what_goes_wrong_with_a_job_is_its_outcome(worker: Any, plan: Plan) -> None:
    jobs = [pickle.dumps((run, job)) for run, job in zip((fail, succeed), plan.jobs, strict=False)]
    (failed, made) = dask_cluster._carried_out(__version__, jobs)
    assert (failed[0], failed[1], str(failed[2])) == (0.0, None, "unexpected error: KeyError: 'a fault'.")
    assert made == (1.5, plan.jobs[1].source.shown, None)


def fail(*_: object) -> Any:
    raise KeyError("a fault")


def succeed(job: Any, progress: Callable[[int], None]) -> Any:
    progress(1)
    return 1.5, job.source.shown, None


def test_what_nobody_waits_for_is_stopped(worker: Any, plan: Plan) -> None:
    worker.task.state = "cancelled"
    with pytest.raises(distributed.Reschedule):
        dask_cluster._carried_out(__version__, [pickle.dumps((succeed, plan.jobs[0]))])


def test_the_memory_of_a_worker_is_what_its_nanny_leaves(worker: Any, plan: Plan) -> None:
    """Its nanny ends it at 95 percent of its limit."""
    dask_cluster._carried_out(__version__, [pickle.dumps((room_here, plan.jobs[0]))] * 2)
    left = 650 << 20
    assert list(dask_cluster._left_by_dask()) == [left]
    assert memory.available_memory() <= left
    assert memory._rooms.count(dask_cluster._left_by_dask) == 1
    worker.memory_manager.memory_limit = None
    assert list(dask_cluster._left_by_dask()) == []
    import dask

    worker.memory_manager.memory_limit = 1000
    with dask.config.set({"distributed.worker.memory.terminate": False}):
        assert list(dask_cluster._left_by_dask()) == []


def room_here(*_: object) -> Any:
    return 0.0, None, None


def test_what_is_too_large_for_a_worker_is_refused_as_by_a_plan(worker: Any, plan: Plan, tmp_path: Path) -> None:
    Image.new("L", (3000, 3000)).save(tmp_path / "large.gif")
    (job,) = make_plan([str(tmp_path / "large.gif")], str(tmp_path / "large.png"), NEAREST).jobs
    worker.memory_manager.memory_limit = 400 << 20
    sent = [pickle.dumps((succeed, each)) for each in (job, plan.jobs[0])]
    refused, made = dask_cluster._carried_out(__version__, sent)
    assert str(refused[2]).startswith("would be 6000x6000, which needs about ")
    assert made[2] is None
    assert dask_cluster._gate._taken == []


def test_a_job_that_waits_for_memory_goes_on_when_another_ends(plan: Plan) -> None:
    """And asks meanwhile whether it is still wanted."""
    gate, asked = dask_cluster._Gate(), list[int]()
    gate._limited, gate._room, gate._taken = True, 100, [60]
    job: Any = SimpleNamespace(expected=SimpleNamespace(memory=41))
    entered, waiting = threading.Event(), threading.Event()

    def progress(pixels: int) -> None:
        asked.append(pixels)
        waiting.set()

    def enter() -> None:
        with gate.room_for(job, progress):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert waiting.wait(60)
    with gate._changed:
        assert not entered.is_set()
        gate._taken.remove(60)
        gate._changed.notify_all()
    thread.join(60)
    assert entered.is_set()
    assert gate._taken == []

    def unwanted(pixels: int) -> None:
        raise Stopped

    gate._taken = [60]
    with pytest.raises(Stopped), gate.room_for(job, unwanted):
        pytest.fail("it is not wanted")
    job.expected.memory = 40
    with gate.room_for(job, unwanted):
        assert gate._taken == [60, 40]

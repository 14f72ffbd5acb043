"""Jobs on a Dask cluster: a real scheduler and real workers, some of which are killed."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from breaking import POOL, UPSCALE, contents
from PIL import Image
from scheduler import Cluster, deadly, poisoned, running, wait_for
from scripts import ROOT
from store import Store, needs_store

from upscale_cli import __version__

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two workers that know the deadly format, and a store where there is one."""
    folder = tmp_path_factory.mktemp("cluster")
    environment = request.getfixturevalue("store").environment() if find_spec("moto") and find_spec("s3fs") else {}
    with running(folder / "run", environment=environment | path_with(deadly(folder / "packages"))) as started:
        yield started


def path_with(*folders: Path) -> dict[str, str]:
    """The environment of processes that import from further folders, before this package."""
    return {"PYTHONPATH": os.pathsep.join([*map(str, folders), str(ROOT)])}


def pictures(folder: Path, count: int, side: int = 32) -> None:
    """Write photographs of noise."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(count)
    for number in range(count):
        Image.fromarray(noise.integers(0, 256, (side, side, 3), np.uint8)).save(folder / f"{number:03}.png")


class Command:
    """`upscale` on a cluster, as a process."""

    def __init__(
        self, cluster: Cluster | str, folder: Path, *arguments: str, command: Sequence[str] = UPSCALE, **how: Any
    ) -> None:
        address = cluster if isinstance(cluster, str) else cluster.address
        environment = None if isinstance(cluster, str) else cluster.environment
        line = [*command, *arguments, "--executor", f"dask://{address}"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(line, cwd=folder, env=environment, text=True, stdout=pipe, stderr=pipe, **how)

    def ended(self, seconds: float = 120) -> tuple[int, str, str]:
        """Its exit status, and what it printed."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(self.process.communicate()) from None
        return self.process.returncode, out, err


def said(err: str) -> list[str]:
    """The lines that were printed, but for those that depend on when a worker died, and how long it took to begin."""
    passing = re.compile(r"upscale: waiting for a worker of .*|\S+: the same result was there already.*")
    return [line for line in err.splitlines() if not passing.fullmatch(line)]


def local(folder: Path, *arguments: str) -> dict[str, bytes]:
    """What `upscale` makes here, on threads."""
    subprocess.run([*UPSCALE, *arguments, "-o", "expected"], cwd=folder, check=True, capture_output=True, timeout=120)
    return contents(folder / "expected")


@pytest.mark.long
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_an_image_that_kills_its_process_fails_alone(jobs: str, tmp_path: Path) -> None:
    """What was at work in other processes when one died is tried again, and what waited is done by new ones."""
    pictures(tmp_path / "in", 12)
    for name in ("005-a.dead", "009-a.dead"):
        (tmp_path / "in" / name).write_bytes(b"DEADLY")
    line = [*UPSCALE, "in", "-o", "out", "-j", jobs, "--executor", "processes"]
    environment = {**os.environ, **path_with(deadly(tmp_path / "packages"))}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    *lines, closing = said(done.stderr)
    assert done.returncode == 1
    assert sorted(lines) == [
        f"in/{name}-a.dead: failed: its process was killed; it may need more memory." for name in ("005", "009")
    ]
    assert closing.startswith("12 images enlarged, 2 failed, in ")
    assert len(contents(tmp_path / "out")) == 12


@pytest.mark.long
def test_a_cluster_makes_what_threads_make(cluster: Cluster, tmp_path: Path) -> None:
    """All names are relative, and workers have another working directory."""
    pictures(tmp_path / "in", 12)
    status, out, err = Command(cluster, tmp_path, "in", "-o", "out", "--json").ended()
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith("12 images enlarged, in ")
    assert contents(tmp_path / "out") == local(tmp_path, "in")
    told = [json.loads(line) for line in out.splitlines()]
    assert sorted(each["source"] for each in told) == sorted(f"in/{number:03}.png" for number in range(12))
    assert {each["target"] for each in told} == {f"out/{number:03}.png" for number in range(12)}


@pytest.mark.long
def test_an_image_that_kills_its_worker_fails_alone(cluster: Cluster, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 499)
    (tmp_path / "in" / "bad.dead").write_bytes(b"DEADLY")
    status, _, err = Command(cluster, tmp_path, "in", "-o", "out").ended(600)
    assert status == 1
    lines = said(err)
    assert lines[0].startswith("in/bad.dead: failed: its process was killed")
    assert lines[1].startswith("499 images enlarged, 1 failed, in ")
    assert len(lines) == 2
    assert contents(tmp_path / "out") == local(tmp_path, *(f"in/{number:03}.png" for number in range(499)))


@pytest.mark.long
def test_a_worker_that_is_killed_costs_nothing(cluster: Cluster, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 60, 128)
    command = Command(cluster, tmp_path, "in", "-o", "out", "--json")
    wait_for(lambda: len(list((tmp_path / "out").glob("*.png"))) > 5)
    os.kill(cluster.worker(0), signal.SIGKILL)
    status, out, err = command.ended(300)
    assert status == 0
    assert re.sub(r"in/\d+\.png: the same result was there already\.\n", "", err).startswith(
        "60 images enlarged, in "
    )
    told = Counter(json.loads(line)["source"] for line in out.splitlines())
    assert told == Counter(f"in/{number:03}.png" for number in range(60))
    assert contents(tmp_path / "out") == local(tmp_path, "in")


def without_temporaries(folder: Path) -> bool:
    return not list(folder.glob(".upscale-*"))


@pytest.mark.long
def test_a_signal_ends_the_run_and_what_workers_do(cluster: Cluster, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 20, 600)
    command = Command(cluster, tmp_path, "in", "-o", "out", "-s", "4")
    wait_for(lambda: len(list((tmp_path / "out").glob("*.png"))) > 2)
    command.process.send_signal(signal.SIGINT)
    status, _, err = command.ended(30)
    assert status == 130
    assert re.fullmatch(r"upscale: stopped after \d+ of 20; --skip-existing makes the others\.\n", err)
    wait_for(lambda: without_temporaries(tmp_path / "out"))
    made = contents(tmp_path / "out")
    assert len(made) < 20
    wait_for(lambda: not busy(cluster))
    assert contents(tmp_path / "out") == made
    status, _, err = Command(cluster, tmp_path, "in", "-o", "out", "-s", "4", "--skip-existing").ended()
    assert status == 0
    assert f"{20 - len(made)} images enlarged, {len(made)} skipped" in err
    assert contents(tmp_path / "out") == local(tmp_path, "in", "-s", "4")


def busy(cluster: Cluster) -> bool:
    """Whether the scheduler knows of any job."""
    with distributed.Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        return any(client.processing().values())


@pytest.mark.long
def test_a_cancelled_job_is_told(cluster: Cluster, tmp_path: Path) -> None:
    """Another client restarts the workers, which cancels the jobs of all."""
    pictures(tmp_path / "in", 40, 256)
    command = Command(cluster, tmp_path, "in", "-o", "out")
    wait_for(lambda: len(list((tmp_path / "out").glob("*.png"))) > 2)
    with distributed.Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        client.restart(wait_for_workers=False)
    status, _, err = command.ended()
    *lines, closing = said(err)
    cancelled = [line for line in lines if line.endswith(".png: failed: its executor cancelled it; run it again.")]
    assert (status, len(lines)) == (1, len(cancelled)), err
    assert cancelled
    assert closing.startswith(f"{40 - len(cancelled)} images enlarged, {len(cancelled)} failed, in ")


@pytest.mark.long
def test_a_scheduler_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 500)
    with running(tmp_path / "cluster") as cluster:
        command = Command(cluster, tmp_path, "in", "-o", "out", "--json")
        wait_for(lambda: len(list((tmp_path / "out").glob("*.png"))) > 5)
        cluster.scheduler.kill()
        began = time.monotonic()
        status, out, err = command.ended(60)
        took = time.monotonic() - began
    assert status == 1
    assert took < 15
    told = [json.loads(line) for line in out.splitlines()]
    missing = [each["source"] for each in told if "missing" in each]
    assert sorted(each["source"] for each in told) == sorted(f"in/{number:03}.png" for number in range(500))
    *lines, last, closing = said(err)
    assert lines == [f"{name}: is missing." for name in sorted(missing)]
    assert re.fullmatch(
        rf"upscale: stopped, because the scheduler dask://{cluster.address} is lost: it has ended the connection; "
        rf"{len(missing)} images are missing: run it again with --skip-existing for the rest\.",
        last,
    )
    assert closing.startswith(f"{500 - len(missing)} images enlarged, {len(missing)} not begun, in ")
    made = contents(tmp_path / "out")
    assert {f"out/{number:03}.png" for number in range(500)} - {f"out/{name}" for name in made} <= {
        name.replace("in/", "out/") for name in missing
    }
    again = subprocess.run([*UPSCALE, "in", "-o", "out", "--skip-existing"], cwd=tmp_path, check=False)
    assert again.returncode == 0
    assert contents(tmp_path / "out") == local(tmp_path, "in")


OTHER = """
from pathlib import Path
here = Path({real!r})
__path__ = [str(here)]
exec((here / "__init__.py").read_text("utf-8"))
__version__ = "0.1"
"""


@pytest.mark.long
@pytest.mark.parametrize("known", [True, False], ids=["another version", "none"])
def test_another_version_is_refused(known: bool, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 3)
    code = {"code": OTHER.format(real=str(ROOT / "upscale_cli"))} if known else {}
    other = {"PYTHONPATH": str(poisoned(tmp_path / "other", **code))}
    with running(tmp_path / "cluster", 0) as cluster:
        cluster.add("--no-nanny", environment=other)
        cluster.wait()
        status, out, err = Command(cluster, tmp_path, "in", "-o", "out", "--json").ended(60)
    this = re.escape(__version__)
    says = rf"has upscale-cli 0\.1, and this is {this}; install the same version for all\."
    if not known:
        says = rf"lacks what jobs need \(.*upscale_cli.*\); install upscale-cli {this} there, and its plug-ins\."
    assert re.fullmatch(rf"upscale: the worker tcp://127\.0\.0\.1:\d+ {says}\n", err)
    assert (status, out) == (1, "")
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_cluster_without_workers_is_waited_for(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 3)
    with running(tmp_path / "cluster", 0) as cluster:
        cluster.environment["DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT"] = "3s"
        status, _, err = Command(cluster, tmp_path, "in", "-o", "out").ended(60)
        assert (status, err) == (
            1,
            f"upscale: waiting for a worker of dask://{cluster.address}, 3 seconds at most.\n"
            f"upscale: dask://{cluster.address} has had no worker for 3 seconds.\n",
        )
        del cluster.environment["DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT"]
        command = Command(cluster, tmp_path, "in", "-o", "out")
        assert command.process.stderr is not None
        assert command.process.stderr.readline().startswith("upscale: waiting for a worker of ")
        cluster.add("--no-nanny")
        status, _, err = command.ended()
    assert (status, len(contents(tmp_path / "out"))) == (0, 3)
    assert err.startswith("3 images enlarged, in ")


@pytest.mark.long
@pytest.mark.parametrize("address", ["127.0.0.1:port", "odd://127.0.0.1:1"])
def test_a_scheduler_that_cannot_be_reached_is_one_line(address: str, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    status, _, err = Command(address, tmp_path, "in", "-o", "out").ended(60)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"upscale: dask://{address} cannot be reached: ")


@pytest.mark.long
def test_what_a_cluster_cannot_do_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    status, _, err = Command("127.0.0.1:1", tmp_path, "in/000.png", "-o", "-").ended(60)
    assert (status, err) == (
        2,
        "upscale: --executor dask writes each image to a file; use --output FILE, or omit --executor.\n",
    )
    line = [*UPSCALE, "in", "-o", "out", "--executor"]
    found = subprocess.run([*line, "threads://here"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (
        2,
        'upscale: --executor threads has no address; omit "://here".\n',
    )
    without = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(poisoned(tmp_path / "no", "distributed")), str(ROOT)]),
    }
    found = subprocess.run([*line, "dask://"], cwd=tmp_path, env=without, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (
        2,
        "upscale: --executor dask needs an extra: pip install 'upscale-cli[dask]'.\n",
    )


@needs_store
@pytest.mark.long
def test_objects_are_made_of_objects(cluster: Cluster, store: Store, tmp_path: Path) -> None:
    """From a store to a store: workers read and write it, and a worker that is killed leaves nothing of its own."""
    pictures(tmp_path / "in", 500)
    bucket = store.bucket()
    store.put(bucket, {f"in/{name}": made for name, made in contents(tmp_path / "in").items()})
    command = Command(cluster, tmp_path, f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", "--json")
    wait_for(lambda: len(store.names(bucket, "out/")) > 5)
    os.kill(cluster.worker(1), signal.SIGKILL)
    status, out, _ = command.ended(600)
    assert status == 0
    told = Counter(json.loads(line)["source"] for line in out.splitlines())
    assert told == Counter(f"s3://{bucket}/in/{number:03}.png" for number in range(500))
    assert store.contents(bucket, "out/") == local(tmp_path, "in")
    assert store.uploads(bucket) == []


@pytest.mark.long
def test_pooled_pairs_are_made_twice_and_told_once(cluster: Cluster, tmp_path: Path) -> None:
    """A worker dies after it placed its files: another finds both there, by names that were relative."""
    pictures(tmp_path / "in", 30, 96)
    command = Command(cluster, tmp_path, "in", "-o", "out", "--json", command=POOL)
    wait_for(lambda: len(list((tmp_path / "out").glob("*.png"))) > 3)
    os.kill(cluster.worker(0), signal.SIGKILL)
    status, out, err = command.ended(300)
    assert (status, len(out.splitlines())) == (0, 30), err
    subprocess.run([*POOL, "in", "-o", "expected"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


@pytest.mark.long
def test_dask_alone_is_a_cluster_of_this_machine(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 6)
    status, _, err = Command("", tmp_path, "in", "-o", "out", "-j", "2", "-v").ended()
    assert status == 0
    assert err.startswith("upscale: 6 images on dask://, the largest first.\n")
    assert err.splitlines()[-1].startswith("6 images enlarged, in ")
    assert contents(tmp_path / "out") == local(tmp_path, "in")


@pytest.mark.long
def test_a_signal_for_all_processes_of_a_terminal_is_one_line(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 20, 600)
    command = Command("", tmp_path, "in", "-o", "out", "-s", "4", "-j", "2", start_new_session=True)
    wait_for(lambda: len(list((tmp_path / "out").glob("*.png"))) > 2)
    os.killpg(command.process.pid, signal.SIGINT)
    status, _, err = command.ended(30)
    assert status == 130
    assert re.fullmatch(r"upscale: stopped after \d+ of 20; --skip-existing makes the others\.\n", err)
    wait_for(lambda: not group(command.process.pid))


def group(number: int) -> list[int]:
    """The processes of a group."""
    return [each.pid for each in psutil.process_iter() if is_in(each.pid, number)]


def is_in(process: int, number: int) -> bool:
    with suppress(ProcessLookupError):
        return os.getpgid(process) == number
    return False


# Memory -------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_worker_refuses_what_it_has_no_memory_for(tmp_path: Path) -> None:
    """By its own limit: this machine has more, and the client's memory does not matter."""
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("L", (9000, 9000)).save(folder / "large.gif")
    Image.new("L", (9, 9)).save(folder / "small.gif")
    with running(tmp_path / "cluster", 0) as cluster:
        cluster.add("--memory-limit", "400MiB")
        cluster.wait()
        status, _, err = Command(cluster, tmp_path, "in", "-o", "out").ended()
        joined = cluster.joined(0)
    assert status == 1
    assert re.match(
        r"in/large\.gif: would be 18000x18000, which needs about [\d.]+ GB of memory, "
        r"but only [23]\d\d MB is available; ",
        err,
    )
    assert (list(contents(tmp_path / "out")), joined) == (["small.gif"], 1)


def test_images_wait_for_each_others_memory() -> None:
    """Those that fit into a worker together are at work together; others one after the other; none for ever."""
    from types import SimpleNamespace

    from upscale_cli.batch import dask_cluster
    from upscale_cli.machine import memory

    gate = dask_cluster._Gate()
    gate._limited, most, at_work = True, [0], [0]
    lock = threading.Lock()

    def carry_out(needed: int) -> None:
        job: Any = SimpleNamespace(expected=SimpleNamespace(memory=needed))
        with gate.room_for(job, lambda pixels: None):
            with lock:
                at_work[0] += needed
                most[0] = max(most[0], at_work[0])
            time.sleep(0.02)
            with lock:
                at_work[0] -= needed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_rooms", [lambda: [100]])
        memory._available_in.cache_clear()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(carry_out, [30, 60, 50, 90, 10, 40, 100, 20] * 3))
    memory._available_in.cache_clear()
    assert 60 < most[0] <= 100
    assert gate._taken == []


# What a scheduler does ----------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_scheduler_that_is_silent_is_lost(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 60, 128)
    with running(tmp_path / "cluster", 1) as cluster:
        command = Command(cluster, tmp_path, "in", "-o", "out")
        wait_for(lambda: len(list((tmp_path / "out").glob("*.png"))) > 5)
        cluster.scheduler.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        status, _, err = command.ended(60)
    assert time.monotonic() - began < 15
    assert status == 1
    assert f"upscale: stopped, because the scheduler dask://{cluster.address} is lost: it does not answer; " in err

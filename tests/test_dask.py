"""Jobs on a Dask cluster: a real scheduler and real workers, some of which are killed."""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from breaking import UPSCALE, contents
from cluster import Cluster, deadly, poisoned, running, wait_for
from PIL import Image
from scripts import ROOT

from upscale_cli import __version__

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers that know the deadly format."""
    folder = tmp_path_factory.mktemp("cluster")
    with running(folder / "run", environment=path_with(deadly(folder / "packages"))) as started:
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

    def __init__(self, cluster: Cluster | str, folder: Path, *arguments: str) -> None:
        address = cluster if isinstance(cluster, str) else cluster.address
        environment = None if isinstance(cluster, str) else cluster.environment
        line = [*UPSCALE, *arguments, "--executor", f"dask://{address}"]
        self.process = subprocess.Popen(
            line, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def ended(self, seconds: float = 120) -> tuple[int, str, str]:
        """Its exit status, and what it printed."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(self.process.communicate()) from None
        return self.process.returncode, out, err


def local(folder: Path, *arguments: str) -> dict[str, bytes]:
    """What `upscale` makes here, on threads."""
    subprocess.run([*UPSCALE, *arguments, "-o", "expected"], cwd=folder, check=True, capture_output=True, timeout=120)
    return contents(folder / "expected")


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


def test_an_image_that_kills_its_worker_fails_alone(cluster: Cluster, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 30)
    (tmp_path / "in" / "bad.dead").write_bytes(b"DEADLY")
    status, _, err = Command(cluster, tmp_path, "in", "-o", "out").ended(300)
    assert status == 1
    lines = err.splitlines()
    assert lines[0].startswith("in/bad.dead: failed: its process was killed")
    assert lines[1].startswith("30 images enlarged, 1 failed, in ")
    assert len(lines) == 2
    assert contents(tmp_path / "out") == local(tmp_path, *(f"in/{number:03}.png" for number in range(30)))


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


def test_a_cancelled_job_is_told(cluster: Cluster, tmp_path: Path) -> None:
    """Another client restarts the workers, which cancels the jobs of all."""
    pictures(tmp_path / "in", 40, 256)
    command = Command(cluster, tmp_path, "in", "-o", "out")
    wait_for(lambda: len(list((tmp_path / "out").glob("*.png"))) > 2)
    with distributed.Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        client.restart(wait_for_workers=False)
    status, _, err = command.ended()
    *lines, closing = err.splitlines()
    cancelled = [line for line in lines if line.endswith(".png: failed: its executor cancelled it; run it again.")]
    assert (status, len(lines)) == (1, len(cancelled)), err
    assert 0 < len(cancelled) <= 8
    assert closing.startswith(f"{40 - len(cancelled)} images enlarged, {len(cancelled)} failed, in ")


def test_a_scheduler_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 60, 128)
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
    assert sorted(each["source"] for each in told) == sorted(f"in/{number:03}.png" for number in range(60))
    *lines, last, closing = err.splitlines()
    assert lines == [f"{name}: is missing." for name in sorted(missing)]
    assert re.fullmatch(
        rf"upscale: stopped, because the scheduler dask://{cluster.address} is lost: it has ended the connection; "
        rf"{len(missing)} images are missing: run it again with --skip-existing for the rest\.",
        last,
    )
    assert closing.startswith(f"{60 - len(missing)} images enlarged, {len(missing)} not begun, in ")
    made = contents(tmp_path / "out")
    assert {f"out/{number:03}.png" for number in range(60)} - {f"out/{name}" for name in made} <= {
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


@pytest.mark.parametrize("known", [True, False], ids=["another version", "none"])
def test_another_version_is_refused(known: bool, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 3)
    code = {"code": OTHER.format(real=str(ROOT / "upscale_cli"))} if known else {}
    other = {"PYTHONPATH": str(poisoned(tmp_path / "other", **code))}
    with running(tmp_path / "cluster", 0) as cluster:
        cluster.add("--no-nanny", environment=other)
        cluster.wait()
        status, out, err = Command(cluster, tmp_path, "in", "-o", "out", "--json").ended(60)
    has = "upscale-cli 0.1" if known else "no upscale-cli that can read a job"
    this = re.escape(f"{has}, and this is {__version__}; install the same version for all.")
    assert re.fullmatch(rf"upscale: the worker tcp://127\.0\.0\.1:\d+ has {this}\n", err)
    assert (status, out) == (1, "")
    assert not (tmp_path / "out").exists()


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


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:port", "odd://127.0.0.1:1"])
def test_a_scheduler_that_cannot_be_reached_is_one_line(address: str, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    status, _, err = Command(address, tmp_path, "in", "-o", "out").ended(60)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"upscale: dask://{address} cannot be reached: ")


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

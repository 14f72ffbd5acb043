"""A Dask cluster for tests: a scheduler and workers as real processes, which can be killed and are ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from scripts import ROOT

IDLE, LONELY = ("--idle-timeout", "600"), ("--death-timeout", "60")
"""A cluster whose test was killed ends by itself."""
DASK = [sys.executable, "-m", "dask"]
DEADLY = '''\
"""A package that brings a format whose images kill the process that decodes them."""

import os
import signal

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.formats import has
from upscale_cli.codecs.picture import Picture


class Deadly(Picture):
    def __init__(self, stream, format, reading):
        super().__init__(stream, format, reading)
        self.width = self.height = 8
        self.channels = self.itemsize = self.decoded = self.count = 1

    def decode(self):
        os.kill(os.getpid(), signal.SIGKILL)
        yield


def open(stream, format, reading):
    return Deadly(stream, format, reading)


DEADLY = Format(
    name="deadly",
    title="Deadly",
    codec="deadly_format",
    sniff=has(b"DEADLY"),
    extensions=(".dead",),
)
'''
POINTS = "[upscale_cli.formats]\ndeadly = deadly_format:DEADLY\n"


def deadly(folder: Path) -> Path:
    """Write the installed distribution of a deadly format into a folder."""
    info = folder / "deadly-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(POINTS, "utf-8")
    (folder / "deadly_format.py").write_text(DEADLY, "utf-8")
    return folder


def poisoned(folder: Path, package: str = "upscale_cli", code: str = "raise ModuleNotFoundError(__name__)") -> Path:
    """Write a package that cannot be imported, or another one, into a folder that comes before the real one."""
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text(code, "utf-8")
    return folder


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class Cluster:
    """A scheduler and workers, with a folder of their own in which they work, and their logs.

    Attributes
    ----------
    address : str
        Host and port of the scheduler.
    scheduler : Popen
    nannies : list of Popen
        A process for each worker, which starts it, and again when it is killed.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start a scheduler, which does not have this package."""
        self.folder, self.nannies = folder, list[subprocess.Popen[bytes]]()
        folder.mkdir(parents=True, exist_ok=True)
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self.environment = {**os.environ, "PYTHONPATH": paths, **(environment or {})}
        without = {"PYTHONPATH": str(poisoned(folder / "without"))}
        self.scheduler = self._started(
            "scheduler", "--port", "0", "--scheduler-file", "scheduler.json", *IDLE, environment=without
        )
        known = folder / "scheduler.json"
        wait_for(lambda: known.exists() and known.stat().st_size)
        self.address = json.loads(known.read_text("utf-8"))["address"].removeprefix("tcp://")

    def _started(
        self, role: str, *options: str, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{role}{len(self.nannies)}.log").open("wb")
        command = [
            *DASK,
            role,
            *options,
            "--host",
            "127.0.0.1",
            "--dashboard-address",
            "127.0.0.1:0",
            "--no-dashboard",
        ]
        with log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **(environment or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def add(self, *options: str, environment: Mapping[str, str] | None = None) -> None:
        """Start another worker of one thread."""
        line = (self.address, "--nthreads", "1", *LONELY, *options)
        self.nannies.append(self._started("worker", *line, environment=environment))

    def joined(self, worker: int) -> int:
        """Return how often a worker has joined."""
        return (self.folder / f"worker{worker}.log").read_bytes().count(b"Registered to")

    def wait(self) -> None:
        """Wait until all workers have joined."""
        for number in range(len(self.nannies)):
            wait_for(lambda number=number: self.joined(number))  # type: ignore[misc]

    def worker(self, number: int) -> int:
        """Return the process number of a worker, which its nanny has started."""
        found: list[int] = []

        def look() -> list[int]:
            with suppress(psutil.Error):  # one of them has just ended
                children = psutil.Process(self.nannies[number].pid).children()
                found[:] = [each.pid for each in children if "spawn_main" in " ".join(each.cmdline())]
            return found

        wait_for(look)
        return found[0]

    def end(self) -> None:
        """End all processes, and those that they have started."""
        for process in (*self.nannies, self.scheduler):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)


@contextmanager
def running(folder: Path, workers: int = 2, environment: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Yield a cluster whose workers have joined."""
    cluster = Cluster(folder, environment)
    try:
        for _ in range(workers):
            cluster.add()
        cluster.wait()
        yield cluster
    finally:
        cluster.end()

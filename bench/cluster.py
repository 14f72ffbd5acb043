"""What a Dask cluster costs for small images: `python bench/cluster.py [--count N] [--turns N]`.

N images of 256² are enlarged to 1024², by two threads of the command and by two workers of a cluster on this machine,
in alternation, each from the start of the command to its end. Scheduler and workers run already. The medians of the
turns are compared, and the processor time and memory of the client, and the processor time of the cluster.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
from PIL import Image, ImageChops

SCENE = Path(__file__).parents[1] / "sample_images" / "scene.png"
UPSCALE = [sys.executable, "-m", "upscale_cli"]
SIDE, SCALE, TARGET = 256, 4, 1.6
"""Pixels of a side, the factor, and how much longer than threads a cluster may take."""


def write_pictures(folder: Path, count: int) -> None:
    """Write a photograph as many times, each time moved otherwise."""
    folder.mkdir()
    with Image.open(SCENE) as scene:
        photograph = scene.convert("RGB").resize((SIDE, SIDE))
    for number in range(count):
        ImageChops.offset(photograph, number, 3 * number).save(folder / f"{number:05}.png")


def start_cluster(folder: Path) -> tuple[str, list[psutil.Popen]]:
    """Start a scheduler and two workers with a thread each; return the address, and the processes."""
    known = folder / "scheduler.json"
    options = ["--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    roles = [["scheduler", "--port", "0", "--scheduler-file", str(known)]]
    roles += [["worker", "--scheduler-file", str(known), "--nthreads", "1"]] * 2
    processes = []
    with (folder / "log").open("wb") as log:
        for role in roles:
            command = [sys.executable, "-m", "dask", *role, *options]
            processes.append(psutil.Popen(command, cwd=folder, stderr=log, start_new_session=True))
    while (folder / "log").read_bytes().count(b"Registered to") < 2:
        time.sleep(0.1)
    return json.loads(known.read_text("utf-8"))["address"].removeprefix("tcp://"), processes


def processor_time(processes: list[psutil.Popen]) -> float:
    """Return the processor time of processes and of those that they have started, in seconds."""
    every = [each for process in processes for each in (process, *process.children())]
    return sum(sum(each.cpu_times()[:2]) for each in every)


def seconds(folder: Path, *how: str) -> float:
    """Return how long the command takes."""
    began = time.perf_counter()
    line = [*UPSCALE, "in", "-o", "out", "-s", str(SCALE), "--overwrite", "-q", *how]
    subprocess.run(line, cwd=folder, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "in", asked.count)
        address, cluster = start_cluster(folder)
        ways = {"threads, -j 2": ("-j", "2"), "two workers": ("--executor", f"dask://{address}")}
        taken: dict[str, list[float]] = {way: [] for way in ways}
        try:
            seconds(folder, *ways["two workers"])  # what workers import, they import once
            before = processor_time(cluster)
            for _ in range(asked.turns):
                for way, options in ways.items():
                    taken[way].append(seconds(folder, *options))
            spent = (processor_time(cluster) - before) / asked.turns
        finally:
            for process in cluster:
                os.killpg(process.pid, signal.SIGKILL)
    threads, workers = (median(times) for times in taken.values())
    for way, times in taken.items():
        print(f"{way:14}{median(times):7.2f} s  ({', '.join(f'{each:.2f}' for each in times)})")
    print(f"{'ratio':14}{workers / threads:7.2f}    (at most {TARGET})")
    print(f"{'cluster':14}{spent:7.2f} s of processor time a turn: {1000 * spent / asked.count:.1f} ms an image")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{'client':14}{memory:7.0f} MB at most, or the threads")


if __name__ == "__main__":
    main()

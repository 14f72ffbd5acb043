"""What a store costs: `python bench/stores.py [--objects N] [--images N] [--names N]`, moto's server on loopback.

Three things are measured: a plan of many objects, whose headers are read; images from a bucket into it; and the
memory of a plan of many names, whose headers are made up. Seconds of the processor are given for the command and
for the server apart, because here they share the processors.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from store import Store, pictures, running

NAMES = """
import io, resource, sys
from fractions import Fraction
import upscale_cli.batch.plan as plan
from upscale_cli.methods import METHODS
from upscale_cli.places.urls import Urls, UrlSource, UrlTarget
from upscale_cli.work.request import Request

number, header = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
root = "s3://photographs/in"
UrlSource.at_once, UrlSource.header = 1, lambda self: io.BytesIO(header)
UrlTarget.existing = classmethod(lambda kind, targets: set())
Urls.sources = lambda self, name, output: (
    UrlSource(f"{root}/{i // 1000:03}/IMG_{i:06}.png", root, 10**5 + i) for i in range(number)
)
work = Request(method=METHODS["lanczos"], scale=(Fraction(2), Fraction(2)))
made = plan.make_plan([f"{root}/"], "s3://photographs/out/", work)
assert len(made.jobs) == number
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
"""A program that plans as many names as its first argument says, and prints its peak memory in KiB."""


def clocks() -> Iterator[float]:
    """Yield the seconds of the processor that all commands have taken since the last time."""
    last = 0.0
    while True:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        yield used.ru_utime + used.ru_stime - last
        last = used.ru_utime + used.ru_stime


def of_process(number: int) -> float:
    """Return the seconds of the processor that a running process has taken."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(store: Store, what: str, number: int, *more: str) -> None:
    """Print what a run on so many objects takes."""
    bucket, contents = store.bucket(), pictures(12, side=64)
    names = [f"{i // 1000:03}/IMG_{i:06}.png" for i in range(number)]
    store.fill(bucket, names, *(content for name, content in contents.items() if name.endswith("png")), prefix="in/")
    words = ["-s", "2", "-q", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", *more]
    clock = clocks()
    next(clock)
    served, began = of_process(store.number), time.perf_counter()
    done = store.run(*words)
    seconds, taken = time.perf_counter() - began, next(clock)
    assert done.returncode == 0, done.stderr.decode()
    served = of_process(store.number) - served
    print(f"| {what} | {number:,} | {seconds:.1f} s | {taken:.1f} s | {served:.1f} s |", flush=True)


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--names", type=int, default=100_000)
    options = parser.parse_args()
    print("| | objects | time | of it the command's processor | the server's |")
    print("|---|---|---|---|---|")
    with running() as store:
        measure(store, "nothing but starting", 1, "-n")
        measure(store, "planned", options.objects, "-n")
        measure(store, "enlarged", options.images)
    print("\n| names | peak memory of a plan |\n|---|---|")
    header = next(iter(pictures(1).values()))
    for number in (1000, options.names):
        line = [sys.executable, "-c", NAMES, str(number), header.hex()]
        peak = int(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
        print(f"| {number:,} | {peak / 1024:.0f} MiB |")


if __name__ == "__main__":
    main()

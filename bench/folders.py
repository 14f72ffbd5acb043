"""What it costs to synchronise folders: `python bench/folders.py [--files N] [--turns N] [--folder PATH]`.

A folder of small images is enlarged in three ways, in turn: no folder is synchronised; each is once, at the end, as
`upscale` does; and each is after every file. Least and median seconds of a run are printed.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

PROGRAM = "from upscale_cli.machine import durable\n{}\nfrom upscale_cli.commands.upscale import main\nmain()"
WAYS = {
    "never": "durable.synchronise_folder = lambda folder: None",
    "once, at the end": "",
    "after every file": "durable.changed.__code__ = (lambda folder: synchronise_folder(folder)).__code__",
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--folder", help="where the files go: on the disk to measure")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        (Path(folder) / "in").mkdir()
        for i in range(options.files):
            samples = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(samples).save(Path(folder, "in", f"{i:04}.png"))
        for turn in range(options.turns):
            for way, patch in WAYS.items():
                command = [sys.executable, "-c", PROGRAM.format(patch), "in", "-o", f"made{turn}{way}", "-q"]
                began = time.perf_counter()
                subprocess.run(command, cwd=folder, check=True)
                seconds[way].append(time.perf_counter() - began)
    print(f"| folders are synchronised | least of {options.turns} runs | median |\n|---|---|---|")
    for way, each in seconds.items():
        print(f"| {way} | {min(each):.2f} s | {statistics.median(each):.2f} s |")


if __name__ == "__main__":
    main()

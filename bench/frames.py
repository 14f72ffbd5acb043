"""Frames a second, pipes on both sides counted: `python bench/frames.py [--turns N] [--profile]`.

Each turn runs every program once on the same Y4M stream, ours and ffmpeg's filters in alternation, from a file in the
page cache through a pipe into one. The medians of the turns are compared, so what else the machine does meets all
alike. With `--profile`, where the time of our frames goes, on one thread.
"""

import argparse
import cProfile
import io
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import upscale_cli.commands  # noqa: F401  one BLAS thread, as the command sets it, before NumPy is imported

# isort: split
from upscale_cli.batch.frames import film_frames
from upscale_cli.batch.run import run_job
from upscale_cli.codecs.splitting import Incoming
from upscale_cli.methods import METHODS
from upscale_cli.work.request import Request

SIZES = {"640x360 → 1280x720": ((640, 360), 200), "1920x1080 → 3840x2160": ((1920, 1080), 40)}
"""The films: width and height, and frames. `learned` gets a tenth of them."""
FFMPEG, CAT = (str(shutil.which(name)) for name in ("ffmpeg", "cat"))
OURS = [sys.executable, "-m", "upscale_cli", "-", "-s", "2", "-q"]


def film(size: tuple[int, int], frames: int, path: Path) -> None:
    """Write a film that moves everywhere."""
    pattern = f"mandelbrot=s={size[0]}x{size[1]}:rate=25"
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", pattern, "-frames:v", str(frames)]
    subprocess.run([*command, "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", str(path)], check=True)


def competitors(size: tuple[int, int]) -> dict[str, list[str]]:
    """Return the commands: ours, ffmpeg's scale, and zscale where ffmpeg has it."""
    known = subprocess.run([FFMPEG, "-v", "quiet", "-filters"], capture_output=True, text=True, check=True).stdout
    to = f"{2 * size[0]}:{2 * size[1]}"
    filters = {"ffmpeg scale": f"scale={to}:flags=lanczos"}
    if " zscale " in known:
        filters["ffmpeg zscale"] = f"zscale={to}:filter=lanczos"
    theirs = {
        name: [FFMPEG, "-v", "error", "-i", "-", "-vf", each, "-f", "yuv4mpegpipe", "-"]
        for name, each in filters.items()
    }
    return {"upscale": [*OURS, "-m", "lanczos"], **theirs}


def seconds(command: list[str], path: Path) -> float:
    """Return how long a command takes from a pipe into a pipe, from its start to its end."""
    start = time.perf_counter()
    with (
        subprocess.Popen([CAT, str(path)], stdout=subprocess.PIPE) as source,
        subprocess.Popen(command, stdin=source.stdout, stdout=subprocess.PIPE) as program,
        subprocess.Popen([CAT], stdin=program.stdout, stdout=subprocess.DEVNULL) as sink,
    ):
        assert source.stdout is not None
        assert program.stdout is not None
        source.stdout.close()
        program.stdout.close()
        sink.wait()
        assert program.wait() == 0, command
    return time.perf_counter() - start


def profile(path: Path) -> None:
    """Print where the time of frames goes, on one thread."""
    with path.open("rb") as stream:
        frames = list(film_frames(Incoming(stream), "-", Request(method=METHODS["lanczos"])))
    for warm in (True, False):
        profiler = cProfile.Profile(time.thread_time)
        profiler.enable()
        for frame in frames:
            assert run_job(frame.job).failure is None
        profiler.disable()
        if not warm:
            text = io.StringIO()
            pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(15)
            print(text.getvalue())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    told = parser.parse_args()
    print(f"{os.cpu_count()} processors, {told.turns} turns, medians; start and end of each program counted\n")
    print("| film | program | frames/s | ratio to ffmpeg's scale |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, count) in SIZES.items():
            path, short = Path(folder, "film.y4m"), Path(folder, "short.y4m")
            film(size, count, path)
            film(size, max(4, count // 10), short)
            commands = competitors(size)
            taken: dict[str, list[float]] = {each: [] for each in (*commands, "upscale, learned")}
            for _ in range(told.turns):
                for each, command in commands.items():
                    taken[each].append(seconds(command, path))
                taken["upscale, learned"].append(seconds([*OURS, "-m", "learned"], short))
            rates = {each: count / median(all_turns) for each, all_turns in taken.items()}
            rates["upscale, learned"] *= max(4, count // 10) / count
            for each, rate in rates.items():
                print(f"| {name} | {each} | {rate:.1f} | {rate / rates['ffmpeg scale']:.2f} |")
            if told.profile:
                profile(short)


if __name__ == "__main__":
    main()

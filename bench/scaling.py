"""How one image scales with threads, also with more than this machine has: `python bench/scaling.py [FORMAT...]`.

The image is made once with workers that do each task at once, on the calling thread, and write down how long it took:
the tasks (a strip is computed, packed, or both), what the calling thread does between them, and where it waits for
which task. That is the schedule of as many threads as the workers claim to be, so it can be played again with tasks
that run beside each other, each begun by the first thread that is free, in the order in which they were handed over.
Of several turns, the least time of each step counts.

The simulation knows nothing of what threads take from each other: the interpreter's lock, memory's bandwidth, the
processor's clock. So its predictions stand beside measured times for as many processors as there are here (by
`taskset`), start of the process included.
"""

import argparse
import heapq
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import upscale_cli.commands  # noqa: F401  one BLAS thread, as the command sets it, before NumPy is imported

# isort: split
from PIL import Image, ImageFile

from upscale_cli.methods import METHODS
from upscale_cli.methods.strips import Workers
from upscale_cli.methods.upsampler import Upsampler
from upscale_cli.places.files import FileSource, FileTarget
from upscale_cli.work.request import Request

SCENE = Path(__file__).parents[1] / "sample_images" / "scene.png"
SUFFIXES = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif"}
THREADS = (1, 2, 4, 8, 16)
SIDE, SCALE, TURNS = 2048, 4, 5
SERIAL, TASK, WAIT = "serial", "task", "wait"


class Step(NamedTuple):
    """A step of the calling thread: work of its own, a task handed over, or a wait for the task of a number."""

    kind: str
    seconds: float = 0.0
    number: int = 0


class _Done(Future[Any]):
    """The result of a task that was done when it was handed over."""

    def __init__(self, waited: Callable[[], None], result: object) -> None:
        super().__init__()
        self._waited = waited
        self.set_result(result)

    def result(self, timeout: float | None = None) -> Any:
        self._waited()
        return super().result(timeout)


class Recorder(Workers):
    """Workers that do each task at once, and write down the steps.

    Parameters
    ----------
    count : int
        Threads that they claim to be.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.steps: list[Step] = []
        self._tasks = 0
        self.resume()

    def resume(self) -> None:
        """The calling thread goes on with work of its own."""
        self._since = time.perf_counter()

    def pause(self) -> None:
        """The calling thread has done work of its own."""
        self.steps.append(Step(SERIAL, time.perf_counter() - self._since))

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do a task now."""
        self.pause()
        start = time.perf_counter()
        result = work(*args, **kwargs)
        number = self._tasks
        self._tasks += 1
        self.steps.append(Step(TASK, time.perf_counter() - start, number))
        self.resume()
        return _Done(lambda: self._wait(number), result)

    def _wait(self, number: int) -> None:
        self.pause()
        self.steps.append(Step(WAIT, 0.0, number))
        self.resume()


class Trace(NamedTuple):
    """The steps of one image, and the seconds of its parts."""

    steps: list[Step]
    parts: dict[str, float]

    @property
    def total(self) -> float:
        """Seconds on one thread."""
        return sum(step.seconds for step in self.steps)

    def on(self, threads: int, handover: float = 0.0) -> float:
        """Return the seconds on several threads and as many processors.

        Parameters
        ----------
        threads : int
        handover : float
            Seconds that the calling thread needs to hand over a task and to take its result.
        """
        if threads == 1:
            return self.total
        free, ends, now = [0.0] * threads, dict[int, float](), 0.0
        for step in self.steps:
            if step.kind == SERIAL:
                now += step.seconds
            elif step.kind == TASK:
                now += handover
                ends[step.number] = max(now, heapq.heappop(free)) + step.seconds
                heapq.heappush(free, ends[step.number])
            else:
                now = max(now, ends[step.number])
        # The calling thread works beside the others, but not on a processor of its own.
        return max(now, self.total / threads)


def record(source: Path, target: Path, threads: int, turns: int = TURNS) -> Trace:
    """Return the steps of enlarging a file, as many threads would share them."""
    request = Request(method=METHODS["lanczos"], scale=(Fraction(SCALE),) * 2, quality=95, overwrite=True)
    steps, parts = list[Step](), dict[str, float]()
    for _ in range(turns):
        recorder, spent = Recorder(threads), dict[str, float]()
        with _timed(ImageFile.ImageFile, "load", spent), _timed(Upsampler, "rows", spent):
            recorder.resume()
            request.carry_out(FileSource(source), FileTarget(target), recorder)
            recorder.pause()
        steps = [min(pair) for pair in zip(steps, recorder.steps, strict=True)] if steps else recorder.steps
        found = _parts(recorder.steps, spent)
        parts = {name: min(seconds, parts.get(name, seconds)) for name, seconds in found.items()}
    return Trace(steps, parts)


class _timed:  # noqa: N801  used like a function
    """Adds the seconds of a method to `spent`, under its name, while it is entered."""

    def __init__(self, owner: type, name: str, spent: dict[str, float]) -> None:
        self._owner, self._name, self._spent = owner, name, spent

    def __enter__(self) -> None:
        self._plain = plain = getattr(self._owner, self._name)

        @wraps(plain)
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return plain(*args, **kwargs)
            finally:
                self._spent[self._name] = self._spent.get(self._name, 0.0) + time.perf_counter() - start

        setattr(self._owner, self._name, run)

    def __exit__(self, *_: object) -> None:
        setattr(self._owner, self._name, self._plain)


def _parts(steps: list[Step], spent: dict[str, float]) -> dict[str, float]:
    """Return the seconds of each part."""
    first = next(index for index, step in enumerate(steps) if step.kind == TASK)
    last = max(index for index, step in enumerate(steps) if step.kind == WAIT)
    before = sum(step.seconds for step in steps[:first])
    tasks = sum(step.seconds for step in steps if step.kind == TASK)
    decode, compute = spent.get("load", 0.0), spent["rows"]
    return {
        "decode by Pillow": decode,
        "open, plan, other decoding": before - decode,
        "compute strips": compute,
        "pack strips": tasks - compute,
        "join and write": sum(step.seconds for step in steps[first : last + 1] if step.kind == SERIAL),
        "close": sum(step.seconds for step in steps[last + 1 :]),
    }


def handover() -> float:
    """Return the seconds that the calling thread needs to hand over a task and to take its result."""
    with ThreadPoolExecutor(1) as pool:
        seconds = []
        for _ in range(200):
            start = time.perf_counter()
            future = pool.submit(int)
            seconds.append(time.perf_counter() - start)
            time.sleep(0.0002)
            start = time.perf_counter()
            future.result()
            seconds[-1] += time.perf_counter() - start
    return statistics.median(seconds)


def measured(source: Path, target: Path, counts: Iterable[int], turns: int) -> Iterator[float]:
    """Yield the seconds of the command on some processors with as many threads; medians of turns in turn."""
    command = str(Path(sys.executable).with_name("upscale"))
    line = (command, source, "-s", SCALE, "-o", target, "--overwrite", "--quality", 95)
    processors = sorted(os.sched_getaffinity(0))
    taken: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(turns + 1):
        for count, seconds in taken.items():
            chosen = ",".join(map(str, processors[:count]))
            start = time.perf_counter()
            words = [str(word) for word in ("taskset", "-c", chosen, *line, "-j", count)]
            subprocess.run(words, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
    for seconds in taken.values():
        yield statistics.median(seconds[1:])


def sections(format: str, work: Path, side: int, turns: int) -> Iterator[str]:
    """Yield what is known of a format, as Markdown."""
    suffix = SUFFIXES[format]
    source, target = make_source(work / f"source{suffix}", side), work / f"made{suffix}"
    traces = {threads: record(source, target, threads, turns) for threads in THREADS}
    each, pixels = handover(), (side * SCALE) ** 2
    yield f"## {format.upper()}, {side}² → {side * SCALE}², {pixels / 1e6:.0f} Mpx\n"
    yield "| part | ms | share |\n|---|---|---|"
    parts = traces[max(THREADS)].parts
    for name, seconds in parts.items():
        yield f"| {name} | {seconds * 1e3:.1f} | {seconds / sum(parts.values()):.1%} |"
    start, here = 0.0, dict[int, float]()
    if shutil.which("taskset") is not None:
        counts = [threads for threads in THREADS if threads <= len(os.sched_getaffinity(0))]
        here = dict(zip(counts, measured(source, target, counts, turns), strict=True))
        icon = make_source(work / f"icon{suffix}", 8)
        start = next(measured(icon, target, [1], turns))
    yield "\n| threads | simulated, ms | times as fast | with the start, ms | measured, ms |\n|---|---|---|---|---|"
    for threads, trace in traces.items():
        seconds = trace.on(threads, each)
        cells = [f"{threads}", f"{seconds * 1e3:.0f}", f"{trace.total / seconds:.2f}"]
        cells += [f"{(start + seconds) * 1e3:.0f}" if start else ""]
        cells += [f"{here[threads] * 1e3:.0f}" if threads in here else ""]
        yield f"| {' | '.join(cells)} |"
    yield ""


def make_source(path: Path, side: int) -> Path:
    """Make a source from the sample scene."""
    options: dict[str, dict[str, Any]] = {
        ".jpg": {"quality": 95, "subsampling": 0},
        ".tif": {"compression": "tiff_adobe_deflate"},
    }
    with Image.open(SCENE) as scene:
        square = scene.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    square.save(path, **options.get(path.suffix, {}))
    return path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"of {', '.join(SUFFIXES)}; default: all")
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--seconds", type=int, metavar="THREADS", help="print only the seconds on as many threads")
    parser.add_argument("--source", type=Path, help="what --seconds enlarges")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if told.seconds is not None:
            trace = record(told.source, Path(folder) / f"made{told.source.suffix}", told.seconds, told.turns)
            print(trace.on(told.seconds, handover()))
            return
        for format in told.formats or SUFFIXES:
            for line in sections(format, Path(folder), told.side, told.turns):
                print(line, flush=True)


if __name__ == "__main__":
    main()

"""Competitors take turns, and the time of each turn is kept, in seconds; so is the peak memory of processes."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from quality import Made, WrongPictureError

PAUSE = 0.25
"""Seconds before a turn: for a while after theirs, threads of other libraries still wait for work in a loop."""
ARRAYS = Path(__file__).parent / "helpers" / "arrays.py"
LAUNCHER = """\
import os, resource, sys
status = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""
LAUNCHER_OF_ALL = """\
import os, resource, sys, time
start = time.perf_counter()
status = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
taken = resource.getrusage(resource.RUSAGE_CHILDREN)
print([taken.ru_maxrss * 1024, time.perf_counter() - start, taken.ru_utime + taken.ru_stime], file=sys.stderr)
sys.exit(status)
"""
"""The same, which says the peak memory in bytes, the seconds, and those of processors."""


class FailedError(Exception):
    """A competitor has ended with an error."""


class Competitor(Protocol):
    """What takes turns."""

    def turn(self) -> float:
        """Do the work once, and return the seconds that it took."""

    def peak(self) -> int:
        """Return the peak memory of one more turn in bytes; 0 if it cannot be told."""

    def close(self) -> None:
        """End what still runs."""


class Process:
    """A command that is run to its end, in a folder that is emptied before where one is given."""

    def __init__(self, *line: object, folder: Path | None = None) -> None:
        self.line, self.folder = [str(word) for word in line], folder

    def turn(self) -> float:
        """Run it; see `Competitor`."""
        self._prepare()
        start = time.perf_counter()
        self._run(self.line)
        return time.perf_counter() - start

    def peak(self) -> int:
        """Return the peak memory of the process, or that of its largest child.

        A small process starts it, because a child's peak is never below the memory of its parent when it was started.
        """
        self._prepare()
        program = shutil.which(self.line[0]) or self.line[0]
        said = self._run([sys.executable, "-S", "-c", LAUNCHER, program, *self.line[1:]]).stderr
        return int(said.split()[-1]) * 1024

    def close(self) -> None:
        """Do nothing: nothing runs between turns."""

    def _prepare(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()

    def _run(self, line: list[str]) -> "subprocess.CompletedProcess[bytes]":
        ended = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if ended.returncode:
            raise FailedError(_last_line(ended.stderr) or f"ended with status {ended.returncode}")
        return ended


class Reported(Process):
    """A command that prints the seconds of what it has measured or computed."""

    def turn(self) -> float:
        """Run it, and return what it prints."""
        return float(self._run(self.line).stdout)


class Helper:
    """A library that enlarges an array in a process of its own (`helpers/arrays.py`), which measures its time.

    Parameters
    ----------
    python : str
        The interpreter that has the library.
    job : dict
        See `helpers/arrays.py`.
    """

    def __init__(self, python: str, job: dict[str, Any]) -> None:
        self._line = [python, str(ARRAYS), json.dumps(job)]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        self._process: subprocess.Popen[str] | None = None

    def turn(self) -> float:
        """Ask for one enlargement; see `Competitor`."""
        return float(self._ask("time"))

    def save(self, path: Path) -> None:
        """Enlarge once more, and save the result as .npy."""
        self._ask(str(path))

    def peak(self) -> int:
        """Return 0: the memory of the process is mostly that of the library."""
        return 0

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()

    def _ask(self, line: str) -> str:
        if self._process is None:
            self._process = subprocess.Popen(
                self._line,
                text=True,
                bufsize=1,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._errors.seek(0)
            raise FailedError(_last_line(self._errors.read()) or "ended without an answer")
        return answer


def _last_line(said: bytes) -> str:
    """Return the last line that is not empty, which names the error in most programs."""
    lines = said.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@dataclass
class Case:
    """One table of the page.

    Attributes
    ----------
    name : str
    competitors : dict
        Those that are here, by name; the first is ours.
    goals : dict
        How many times faster we mean to be than a competitor; also those that are absent.
    made : callable, optional
        Returns what a competitor has made.
    memory : bool
        Peak memory is measured.
    memory_goal : int, optional
        Bytes that ours means to stay below.
    why : mapping
        Why a competitor is faster.
    """

    name: str
    competitors: dict[str, Competitor]
    goals: dict[str, float] = field(default_factory=dict)
    made: Callable[[str], Made] | None = None
    memory: bool = False
    memory_goal: int | None = None
    why: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Taken:
    """What was measured of one competitor; `failure` says why it has no times."""

    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    made: Made | None = None
    failure: str = ""


class Pace(NamedTuple):
    """How a case is measured.

    Attributes
    ----------
    turns : int
        Of each competitor, at most.
    warm : bool
        One more turn, the first, is not counted.
    patience : float
        Seconds after which a competitor takes no more turns.
    pause : float
        Seconds before a turn.
    memory : bool
        Also measure memory that has no goal, which takes one turn more.
    """

    turns: int = 9
    warm: bool = True
    patience: float = 20
    pause: float = PAUSE
    memory: bool = True


def measure(case: Case, pace: Pace) -> dict[str, Taken]:
    """Let all competitors take turns; one that fails is left out of further turns."""
    taken, spent = {name: Taken() for name in case.competitors}, dict.fromkeys(case.competitors, 0.0)
    try:
        for turn in range(not pace.warm, pace.turns + 1):
            for name, competitor in case.competitors.items():
                if spent[name] > pace.patience or taken[name].failure:
                    continue
                time.sleep(pace.pause)
                start = time.perf_counter()
                try:
                    seconds = competitor.turn()
                except FailedError as error:
                    taken[name] = Taken(failure=str(error))
                    continue
                if turn:
                    taken[name].seconds.append(seconds)
                    spent[name] += time.perf_counter() - start
        for name in case.competitors:
            if not taken[name].failure:
                _look(case, name, taken[name], memory=pace.memory or case.memory_goal is not None)
    finally:
        for competitor in case.competitors.values():
            competitor.close()
    return taken


def _look(case: Case, name: str, taken: Taken, memory: bool) -> None:
    """Add what a competitor has made, and its memory."""
    try:
        if case.made is not None:
            taken.made = case.made(name)
        if case.memory and memory:
            taken.peak = case.competitors[name].peak()
    except (FailedError, WrongPictureError) as error:
        taken.failure = str(error)

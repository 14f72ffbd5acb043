"""Print the tables of docs/reliability.md: `python tests/measure_reliability.py`, which takes an hour.

The tests record these figures themselves, the long tests included. If a test fails, pytest reports it and its row is
missing.
"""

import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NAMES = ("power", "kills", "faults", "runs", "corpus", "hostile", "command", "memory", "limits", "passing_faults")
"""Names of the test files that record figures; arguments select some of them."""

NO_FOLDER, NO_FILE = "old where no folder is synchronised", "partial where no file is"


class Figures:
    """A pytest plugin that collects what tests record, by kind."""

    def __init__(self) -> None:
        self.recorded: dict[str, list[Any]] = defaultdict(list)
        self.skipped = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One test has ended."""
        self.skipped += report.skipped
        if report.when == "call" and report.passed:
            for kind, values in report.user_properties:
                self.recorded[kind].append(values)


def table(title: str, head: list[str], rows: list[list[object]]) -> None:
    """Print a table in Markdown."""
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(shown(cell) for cell in row)} |")


def shown(cell: object) -> str:
    """Return a cell as text: integers with separators, floats to two decimals."""
    return f"{cell:,.2f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)


def main() -> int:
    """Run the tests, print what they recorded, and return the exit status."""
    figures = Figures()
    files = [str(HERE / f"test_{name}.py") for name in sys.argv[1:] or NAMES]
    options = ["-m", "long or not long", "-p", "no:cacheprovider", *files]
    status = pytest.main(options, plugins=[figures])
    recorded = figures.recorded
    faults: Counter[str] = Counter()
    for name, count in recorded["fault"]:
        faults[name] += count
    table(
        "A kill at every system call that changes the disk",
        ["what is written", "kill points", "lost", "partial", "left a temporary file", "completed by the next run"],
        recorded["kills"],
    )
    table(
        "Power cuts",
        ["what is written", "states", "lost", "partial", "old after exit status 0", NO_FOLDER, NO_FILE],
        recorded["power"],
    )
    table("Faults of the system", ["fault", "cases in which all held"], [*map(list, faults.items())])
    table(
        "Signals at random moments of a batch of 50",
        ["signal", "jobs", "signals", "while it ran", "partial", "processes left", "completed by --skip-existing"],
        recorded["signals"],
    )
    table(
        "The corpus of files that break programs",
        ["files", "enlarged", "refused", "tracebacks", "signals", "MB at most", "s at most", "s in all"],
        recorded["corpus"],
    )
    hostile = recorded["hostile"]
    seconds, megabytes = (max((each[n] for each in hostile), default=0) for n in (1, 2))
    table(
        "Malicious arrays, kernels, indices and networks",
        ["files", "runs", "refused in one line", "s at most", "MB at most"],
        [[len({each[0] for each in hostile}), len(hostile), len(hostile), seconds, megabytes]],
    )
    table(
        "Jobs 1 and 4, two locales, two hash seeds, with and without a terminal",
        ["format", "runs", "different results"],
        recorded["same bytes"],
    )
    table(
        "Allocations that fail",
        ["which fail", "runs", "partial", "crashed in a library", "hung in Python's Thread.start"],
        recorded["allocations"],
    )
    estimates = sorted(recorded["estimate"], key=lambda each: -each[-1])
    table(
        f"The worst of {len(estimates)} estimates of memory",
        ["image", "MB estimated", "MB taken", "taken / estimated"],
        estimates[:12],
    )
    table(
        "Memory, estimated from the header and taken",
        ["from a picture 1000 pixels wide", "MB estimated", "MB taken"],
        recorded["memory"],
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    print(f"\nTests skipped: {figures.skipped}. Measured on {date.today()}, commit {commit.stdout.strip()}.")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())

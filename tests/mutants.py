"""Mutation testing: change one place of a module at a time, and see whether a test notices.

`python tests/mutants.py ROOM` changes a random sample of the lines of a room, which is a row of `[tool.mutants]` in
`pyproject.toml`, in a copy of the checkout. For each change it runs the tests that execute the line, cheapest first,
and if they pass, the other tests that execute the module. Which these are is measured once, by coverage, and kept in
a file. Only systems whose processes fork can run it.
"""

import argparse
import contextlib
import difflib
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import coverage
import pytest
from mutations import Mutant, sample

FIRST = 3.0
"""Seconds of the tests that are tried first."""

PRELOADED = ("numpy.random", "numpy.testing", "hypothesis", "PIL.Image", "PIL.PngImagePlugin", "click", "tqdm")
"""What is imported once, and not again for each change."""

PRELOADING = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""Pytest warns of plug-ins that were imported before it."""


def used() -> float:
    """Seconds of processor time of this process and its ended children."""
    return sum(os.times()[:4])


class Measuring:
    """A plug-in of pytest that notes what collecting and running tests takes, and tells coverage which test runs."""

    def __init__(self, config: Path, result: Path) -> None:
        os.environ["COVERAGE_PROCESS_START"] = str(config)
        self._coverage, self._result = coverage.Coverage(config_file=str(config)), result
        self._coverage.start()
        self._collecting = 0.0
        self._tests: dict[str, float] = {}
        self._failed: set[str] = set()

    def pytest_make_collect_report(self) -> None:
        self._began = used()

    def pytest_collectreport(self) -> None:
        self._collecting += used() - self._began

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._coverage.switch_context(nodeid)
        self._began = used()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed":
            self._failed.add(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._tests[nodeid] = used() - self._began

    def pytest_unconfigure(self) -> None:
        self._coverage.stop()
        self._coverage.save()
        tests = {test: seconds for test, seconds in self._tests.items() if test not in self._failed}
        self._result.write_text(json.dumps([self._collecting, tests]), "utf-8")


class Choosing:
    """A plug-in of pytest that leaves some tests, in an order, and notes which one failed."""

    def __init__(self, tests: list[str], failed: Path) -> None:
        self._order, self._failed = {test: number for number, test in enumerate(tests)}, failed

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self._order), key=lambda i: self._order[i.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.write_text(report.nodeid, "utf-8")


class Copy:
    """A copy of a checkout, in which tests run in processes of their own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder, self._versions = folder / "copy", folder, 0
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", "out", ".*_cache", ".hypothesis")
        shutil.copytree(root, self.root, ignore=ignored)

    def write(self, path: str, source: bytes) -> None:
        """Change a file; its time shows Python that what it compiled is out of date."""
        self._versions += 1
        (self.root / path).write_bytes(source)
        os.utime(self.root / path, (self._versions, self._versions))

    def run(self, arguments: list[str], plugin: tuple[Any, ...], seconds: float) -> int | None:
        """Run pytest with a plug-in, for at most some seconds of a processor; return its status, None if it hangs."""
        if not (child := os.fork()):
            status = 70
            try:
                self._prepare(seconds)
                make, *given = plugin
                status = pytest.main(
                    ["-p", "no:cacheprovider", "--tb=line", "--rootdir=.", *PRELOADING, *arguments], [make(*given)]
                )
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        ended, end = 0, time.monotonic() + 300 + 20 * seconds  # others may use the processor
        while not ended and time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.02)
        if not ended:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if f"TMPDIR={self.folder}".encode() in environment.read_bytes():
                    os.kill(int(environment.parent.name), signal.SIGKILL)
        return os.waitstatus_to_exitcode(status) if ended else None

    def chosen(self, tests: list[str], seconds: float) -> int | None:
        """Run some tests until one fails, which is then the text of the file `failed`."""
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        return self.run(["-x", *files], (Choosing, tests, self.folder / "failed"), seconds)

    def _prepare(self, seconds: float) -> None:
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.setpgrp()
        os.chdir(self.root)
        os.environ |= {"PYTHONPATH": str(self.root), "TMPDIR": str(self.folder)}
        tempfile.tempdir, sys.path[:0] = None, [str(self.root)]
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 6))


class Map:
    """Which tests execute which lines, and what they take; kept in a file until the sources change."""

    def __init__(self, copy: Copy, sources: list[str], tests: list[str], kept: Path) -> None:
        known = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
        sources_now = _digest(copy.root, sources)
        old = known.get("tests", {}) if known.get("sources") == sources_now else {}
        self._tests: dict[str, Any] = {}
        for path in tests:
            now = _digest(copy.root, _modules(copy.root, [path]))
            same = path in old and old[path][0] == now
            self._tests[path] = old[path] if same else [now, *self._measured(copy, sources, path)]
            kept.write_text(json.dumps({"sources": sources_now, "tests": {**old, **self._tests}}), "utf-8")

    @staticmethod
    def _measured(copy: Copy, sources: list[str], path: str) -> tuple[float, dict[str, Any]]:
        """Return what it takes to collect the tests of a file; and of each, what it takes, and what it executes."""
        config, result, data = (copy.folder / name for name in ("coveragerc", "measured", "coverage"))
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        places = "".join(f"\n    {copy.root / source}" for source in sources)
        config.write_text(
            f"[run]\ndata_file = {data / 'data'}\nparallel = true\npatch = _exit\nsigterm = true\n"
            "disable_warnings = no-data-collected\n"
            f"context = ${{PYTEST_CURRENT_TEST-}}\ninclude ={places}\n",
            "utf-8",
        )
        result.unlink(missing_ok=True)
        copy.run([path], (Measuring, config, result), 3600)
        if not result.exists():
            raise SystemExit((copy.folder / "log").read_text("utf-8"))
        collecting, times = json.loads(result.read_text("utf-8"))
        lines: dict[str, dict[str, list[int]]] = {test: {} for test in times}
        measured = coverage.Coverage(config_file=str(config))
        measured.combine()
        for source in sources:
            for line, contexts in measured.get_data().contexts_by_lineno(str(copy.root / source)).items():
                # In processes that a test starts, pytest's name of the test ends with its phase.
                for test in {re.sub(r" \((setup|call|teardown)\)$", "", context) for context in contexts}:
                    if test in lines:
                        lines[test].setdefault(source, []).append(line)
        return collecting, {test: (times[test], lines[test]) for test in times}

    def stages(self, mutant: Mutant, limit: float) -> Iterator[tuple[list[str], float]]:
        """Yield tests, and the seconds that they take: a few that execute the line, then others.

        Any test may notice what is executed when a module is imported, as tables are.
        """
        near, far = list[tuple[float, str]](), list[tuple[float, str]]()
        others = list[tuple[float, str]]()
        for _, collecting, tests in self._tests.values():
            for test, (seconds, lines) in tests.items():
                found = lines.get(mutant.path, [])
                hit = any(mutant.lines[0] <= line <= mutant.lines[1] for line in found)
                (near if hit else far if found else others).append((seconds + collecting / len(tests), test))
        far += [] if mutant.called else others
        chosen, total, rest = list[str](), 0.0, limit
        for number, (seconds, test) in enumerate([*sorted(near), *sorted(far)]):
            if chosen and rest == limit and (total + seconds > FIRST or number == len(near)):
                yield chosen, total
                chosen, total, rest = [], 0.0, limit - total
            if total + seconds <= rest:
                chosen.append(test)
                total += seconds
        if chosen:
            yield chosen, total


def outcome(copy: Copy, tests: Map, mutant: Mutant, limit: float) -> tuple[str, str]:
    """Return what becomes of a change, and the test that noticed it."""
    failed, before = copy.folder / "failed", (copy.root / mutant.path).read_bytes()
    copy.write(mutant.path, mutant.applied(before))
    failed.unlink(missing_ok=True)
    result = "no test"
    for chosen, seconds in tests.stages(mutant, limit):
        result = "survived"
        if status := copy.chosen(chosen, 4 * seconds + 10):
            result = "killed"
            break
        if status is None:
            result = "hung"
            break
    copy.write(mutant.path, before)
    return result, failed.read_text("utf-8") if failed.exists() else ""


def shown(root: Path, mutant: Mutant) -> str:
    """A change as a difference of lines."""
    before = (root / mutant.path).read_bytes()
    old, new = (text.decode().splitlines() for text in (before, mutant.applied(before)))
    lines = [line for line in difflib.unified_diff(old, new, n=0, lineterm="") if line[:3] not in ("---", "+++")]
    return "\n".join([f"    {mutant.path}", *(f"    {line}" for line in lines)])


def main() -> None:
    """Read the command line, and print what becomes of each change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("room")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the checkout")
    parser.add_argument("--count", type=int, default=60, help="how many lines are changed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=60, help="seconds of the tests of a change")
    parser.add_argument("--map", type=Path, help="where the file is kept that tells which tests execute which lines")
    options = parser.parse_args()
    room = tomllib.loads((options.root / "pyproject.toml").read_text("utf-8"))["tool"]["mutants"][options.room]
    kept = options.map or Path(tempfile.gettempdir()) / f"mutants-{options.room}.json"
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            import_module(name)
    began, results, noticed = used(), Counter[str](), dict[str, None]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(options.root.resolve(), Path(folder).resolve())
        sources = _modules(copy.root, room["sources"])
        measured = Map(copy, sources, room["tests"], kept)
        for mutant in sample(copy.root, sources, options.count, options.seed):
            result, test = outcome(copy, measured, mutant, options.limit)
            results[result] += 1
            noticed |= {test: None} if test else {}
            print(f"{result} {test}\n{shown(copy.root, mutant)}", flush=True)
        if noticed and copy.chosen(list(noticed), 3600) != 0:
            raise SystemExit(f"{(copy.folder / 'failed').read_text('utf-8')} fails without any change, too")
    killed, all_of_them = results["killed"] + results["hung"], results.total()
    print(f"| {options.room} | {options.seed} | {all_of_them} | {killed} | {killed / all_of_them:.1%} |")
    print(f"{used() - began:.0f} s of processor time", file=sys.stderr)


def _modules(root: Path, names: list[str]) -> list[str]:
    """Return the modules of some folders and files, by their paths within a checkout."""
    paths = [path for name in names for path in (sorted((root / name).rglob("*.py")) or [root / name])]
    return [str(path.relative_to(root)) for path in paths]


def _digest(root: Path, paths: list[str]) -> str:
    return hashlib.sha256(b"".join((root / path).read_bytes() for path in paths)).hexdigest()


if __name__ == "__main__":
    main()

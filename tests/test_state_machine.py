"""Any order of runs, kills, edits and links: every target is what a model of names and pictures says."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from breaking import UPSCALE, contents, status_here
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from PIL import Image
from support import Array

from upscale_cli.machine.replacing import TEMPORARY

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills runs in forked processes")

STEPS = ("open", "fsync", "link", "replace", "unlink", "close")
"""Functions of `os` at which a run is killed."""
KILLED = 9
NAMES = st.sampled_from(["a.png", "b.png", "c.png"])
MODES = st.sampled_from(["", "--overwrite", "--skip-existing"])
JOBS = st.integers(1, 2)


def forked(work: Callable[[], int]) -> int:
    """Start work in another process; return its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of BLAS, which the child does not use
        child = os.fork()
    if child == 0:
        status = 99
        try:
            status = work()
        finally:
            os._exit(status)
    return child


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(count: int, work: Callable[[], int]) -> int:
    """Do some work, and end the process like a kill after a number of steps."""
    left = count

    def counted(original: Callable[..., object], *arguments: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(KILLED)
        return original(*arguments, **more)

    for name in STEPS:
        setattr(os, name, partial(counted, getattr(os, name)))
    return work()


class Runs(RuleBasedStateMachine):
    """Sources in `in`, targets in `out`, and a folder `far` that targets are linked to.

    No rule depends on what a kill leaves, which is chance: Hypothesis asks for the same rules each time.
    """

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="states-"))
        self.sources: dict[str, Array] = {}
        self.targets: dict[str, Array | bytes] = {}
        self.swept = True
        for name in ("in", "out", "far"):
            (self.folder / name).mkdir()
        for seed, name in enumerate(("a.png", "b.png")):
            self.write(name, seed)
        # What is imported here need not be imported by every process. A process sweeps a folder only once.
        assert status_here([*UPSCALE, "in", "-o", "elsewhere", "-m", "nearest", "-j", "2"], self.folder) == 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @rule(name=NAMES, seed=st.integers(0, 5))
    def write(self, name: str, seed: int) -> None:
        self.sources[name] = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
        Image.fromarray(self.sources[name]).save(self.folder / "in" / name)

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        if old not in self.sources:
            return
        (self.folder / "in" / old).rename(self.folder / "in" / new)
        self.sources[new] = self.sources.pop(old)

    @rule(name=NAMES)
    def remove_a_target(self, name: str) -> None:
        (self.folder / "out" / name).unlink(missing_ok=True)
        self.targets.pop(name, None)

    @rule(name=NAMES, content=st.binary(min_size=1, max_size=9), link=st.sampled_from(["", "soft", "hard"]))
    def put_a_file_of_the_user(self, name: str, content: bytes, link: str) -> None:
        """A file of the user has a target's name; perhaps it is a link."""
        path, far = self.folder / "out" / name, self.folder / "far" / name
        path.unlink(missing_ok=True)
        if link:
            far.unlink(missing_ok=True)
            far.write_bytes(content)
            path.symlink_to(far) if link == "soft" else path.hardlink_to(far)
        else:
            path.write_bytes(content)
        self.targets[name] = content

    def _work(self, mode: str, jobs: int) -> Callable[[], int]:
        command = [*UPSCALE, "in", "-o", "out", "-m", "nearest", "-j", str(jobs), *mode.split()]
        return partial(status_here, command, self.folder)

    def _made(self, mode: str) -> dict[str, Array]:
        """What a complete run makes."""
        wanted = {name: source.repeat(2, axis=0).repeat(2, axis=1) for name, source in self.sources.items()}
        return {name: image for name, image in wanted.items() if mode == "--overwrite" or name not in self.targets}

    def _status(self, mode: str) -> int:
        in_the_way = not mode and self.targets.keys() & self.sources.keys()
        return int(not self.sources or bool(in_the_way))

    @rule(mode=MODES, jobs=JOBS)
    def run(self, mode: str, jobs: int) -> None:
        made, status = self._made(mode), self._status(mode)
        assert status_of(forked(self._work(mode, jobs))) == status
        self.targets |= made
        self.swept |= status == 0

    @rule(mode=MODES, jobs=JOBS, count=st.integers(0, 12))
    def run_killed(self, mode: str, jobs: int, count: int) -> None:
        made, status = self._made(mode), self._status(mode)
        ended = status_of(forked(partial(killed_at, count, self._work(mode, jobs))))
        assert ended in (status, KILLED)
        for name, image in made.items():
            if ended != KILLED or self._holds(name, image):
                self.targets[name] = image
        self.swept &= ended != KILLED

    @rule(mode=st.sampled_from(["--overwrite", "--skip-existing"]))
    def run_twice_at_once(self, mode: str) -> None:
        made, status = self._made(mode), self._status(mode)
        assert [status_of(each) for each in [forked(self._work(mode, 2)) for _ in range(2)]] == [status] * 2
        self.targets |= made
        self.swept |= status == 0

    def _holds(self, name: str, wanted: Array | bytes) -> bool:
        path = self.folder / "out" / name
        if not path.exists():
            return False
        if isinstance(wanted, bytes):
            return path.read_bytes() == wanted
        try:
            with Image.open(path) as image:
                return np.array_equal(np.asarray(image), wanted)
        except OSError:
            return False

    @invariant()
    def targets_are_those_of_the_model(self) -> None:
        if not hasattr(self, "folder"):
            return
        there = contents(self.folder / "out")
        left = {name for name in there if TEMPORARY.fullmatch(name)}
        assert there.keys() - left == self.targets.keys()
        assert not (left and self.swept)
        for name, wanted in self.targets.items():
            assert self._holds(name, wanted), name
        for name, source in self.sources.items():
            with Image.open(self.folder / "in" / name) as image:
                np.testing.assert_array_equal(np.asarray(image), source)


def examples(count: int) -> settings:
    return settings(max_examples=count, stateful_step_count=12, deadline=None, suppress_health_check=[*HealthCheck])


def test_runs_kills_edits_and_links_in_any_order() -> None:
    run_state_machine_as_test(Runs, settings=examples(5))


@pytest.mark.long
def test_many_runs_kills_edits_and_links_in_any_order() -> None:
    run_state_machine_as_test(Runs, settings=examples(500))

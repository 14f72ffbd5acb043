"""Long sides, the memory that is estimated and taken, and allocations that fail."""

import json
import os
import shutil
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click
import estimates
import numpy as np
import pytest
from breaking import Record, ended, needs_proc, picture

from upscale_cli import METHODS, upscale
from upscale_cli.commands import terminal
from upscale_cli.methods import pieces, resampling
from upscale_cli.places.files import FileSource

# Long sides --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "shape", "more"),
    [
        ("lanczos", (41, 47, 3), {"scale": 2}),
        ("bicubic", (41, 47, 2), {"scale": "1.37x1.91"}),
        ("bilinear", (9, 201, 1), {"size": (10, 397)}),
        ("transposed-conv", (21, 37, 3), {"scale": 3}),
        ("transposed-conv", (9, 50, 2), {"scale": 2, "kernel": np.ones((4, 60)), "padding": 0}),
        ("learned", (9, 50, 4), {"scale": 2.5}),
    ],
)
def test_pieces_make_the_same_as_the_whole(
    method: str, shape: tuple[int, ...], more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = np.random.default_rng(0).random(shape, np.float32)
    broken = np.where(source < 0.002, np.float32(np.nan), source)
    whole = [upscale(each, method=METHODS[method], **more) for each in (source, broken)]
    for module in (pieces, resampling):
        monkeypatch.setattr(module, "LONGEST", 32)
    for each, expected in zip((source, broken), whole, strict=True):
        have = upscale(each, method=METHODS[method], threads=2, **more)
        np.testing.assert_allclose(have, expected, rtol=0, atol=2e-6)


# Estimates ---------------------------------------------------------------------------------------------------------

CHEAP = 800_000
"""Pixels of a source that is drawn, enlarged and stored quickly."""
CASES = estimates.cases()
FEW = [case for case in CASES if case[1] * case[2] <= CHEAP and not case[5].startswith("learned")][::13]


def check_estimates(cases: list[estimates.Case], record: Record) -> None:
    """Fail if one of the cases of `taken.py` takes more than 1.15 times what was estimated."""
    done = ended([sys.executable, Path(__file__).with_name("taken.py"), json.dumps(cases)], timeout=7200)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(cases), done.stderr.decode()
    refused = [(case, why) for case, (estimated, why) in zip(cases, lines, strict=True) if not estimated]
    assert not refused
    ratios = [taken / estimated for estimated, taken in lines]
    for case, (estimated, taken), ratio in zip(cases, lines, ratios, strict=True):
        record("estimate", [estimates.shown(case), estimated >> 20, taken >> 20, ratio])
    too_much = [case for case, ratio in zip(cases, ratios, strict=True) if ratio > 1.15]
    assert not too_much


@needs_proc
@pytest.mark.parametrize(
    "cases",
    [FEW, *(pytest.param(CASES[part::5], marks=pytest.mark.long) for part in range(5))],
    ids=["few", "1", "2", "3", "4", "5"],
)
def test_no_image_takes_more_than_is_estimated(cases: list[estimates.Case], record_property: Record) -> None:
    """Of any shape, by any method, from and to any format."""
    for library in ("tifffile", "imagecodecs", "nibabel", "pydicom", "pillow_heif", "pillow_jxl"):
        pytest.importorskip(library, reason="makes sources")
    check_estimates(cases, record_property)


# No memory for a line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["upscale", "pool", "fit", "evaluate", "compare"])
@pytest.mark.parametrize(("argument", "starved"), [("--no-such-option", "echo"), (".", "echo"), (".", "open")])
def test_the_last_words_are_those_of_the_command_that_was_typed(
    name: str, argument: str, starved: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whether its options could not be explained, or its run has ended where no memory was left."""

    def full(*_: object, **__: object) -> NoReturn:
        raise MemoryError

    command = import_module(f"upscale_cli.commands.{name}").cli
    for module, function in ((click, "echo"), (os.path, "isdir"), (FileSource, "open"))[starved != "echo" :]:
        monkeypatch.setattr(module, function, full)
    monkeypatch.setattr(terminal, "_leave", sys.exit)
    monkeypatch.setattr(terminal, "take_standard_streams", lambda quiet: None)
    monkeypatch.setattr(sys, "argv", ["anything", argument, *["-o", "new.npy"] * (name == "fit")])
    with pytest.raises(SystemExit):
        command.start()
    monkeypatch.undo()
    said = capfd.readouterr().err
    assert said == f"{command.name}: no memory is left; close other programs, or use smaller images.\n"


# Allocations that fail ---------------------------------------------------------------------------------------------

needs_shim = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None or os.confstr("CS_GNU_LIBC_VERSION") is None,
    reason="compiles a library for the allocations of glibc",
)


@needs_shim
@pytest.mark.parametrize(
    ("always", "first", "step", "count"),
    [
        (0, 700, 1801, 4),
        (1, 5, 53, 4),
        pytest.param(0, 100, 29, 0, marks=pytest.mark.long),
        pytest.param(1, 5, 2, 0, marks=pytest.mark.long),
    ],
)
def test_where_an_allocation_fails_the_target_is_old_or_new(
    always: int, first: int, step: int, count: int, tmp_path: Path, record_property: Record
) -> None:
    """Once, any allocation of the run; from then on, all but those of small objects, for which there is room left."""
    from failing import SHIM

    picture(tmp_path / "in.png")
    (tmp_path / "shim.c").write_text(SHIM)
    assert ended(["cc", "-shared", "-fPIC", "-o", "shim.so", "shim.c"], tmp_path).returncode == 0
    more = {"LD_PRELOAD": str(tmp_path / "shim.so")} | ({} if always else {"PYTHONMALLOC": "malloc"})
    script = Path(__file__).with_name("failing.py")
    done = ended([sys.executable, script, first, step, count, always], tmp_path, env=os.environ | more, timeout=1800)
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) >= 4, done.stderr.decode()
    crashed = hung = 0
    for number, status, kept, said in runs:
        # Pillow 12 and 13 crash if their decoder finds no memory for its own state, NumPy 2.4 in sums.
        crashed += (crash := (status, said) == (-signal.SIGSEGV, ""))
        # Python waits for ever for a new thread that finds no memory to begin (gh-140746); any thread may start one.
        hung += (hang := status == -signal.SIGALRM and 'threading.py", line' in said and " in start\n" in said)
        told = status == 1 and said.count("\n") == 1
        good = (
            (status, kept, said) == (0, "new", "") or (kept != "partial" and told) or (kept == "old" and crash | hang)
        )
        assert good, (number, status, kept, said)
    record_property("allocations", ["from then on" if always else "once", len(runs), 0, crashed, hung])
    assert any(status for _, status, _, _ in runs)

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

FEW: list[list[Any]] = [
    ["L", 1, 300_000, "png", "png", "bicubic", "1.0137", 1],
    ["L", 300_000, 1, "png", "png", "transposed-conv", "2", 1],
]


def check_estimates(cases: list[list[Any]], record: Record) -> None:
    """Fail if one of the cases of `taken.py` takes more than 1.15 times what was estimated."""
    done = ended([sys.executable, Path(__file__).with_name("taken.py"), json.dumps(cases)], timeout=3600)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(cases), done.stderr.decode()
    for case, (estimated, taken) in zip(cases, lines, strict=True):
        record("estimate", [case, estimated >> 20, taken >> 20])
    worst = max(zip(lines, cases, strict=True), key=lambda each: each[0][1] / each[0][0])
    assert worst[0][1] <= 1.15 * worst[0][0], worst


@needs_proc
def test_no_long_side_takes_more_than_is_estimated(record_property: Record) -> None:
    """What was planned for a side took 50 bytes and more for each of its pixels."""
    check_estimates(FEW, record_property)


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
    record_property("allocations", ["from then on" if always else "once", len(runs)])
    for number, status, kept, said in runs:
        told = status == 1 and said.count("\n") == 1 and kept != "partial"
        # Pillow 12 and 13 crash if their decoder finds no memory for its own state.
        good = told or (status, kept, said) in ((0, "new", ""), (-signal.SIGSEGV, "old", ""))
        assert good, (number, status, kept, said)
    assert any(status for _, status, _, _ in runs)

"""Jobs that are carried out twice: one whole target, and no false failure."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from breaking import POOL, UPSCALE, contents, picture
from pictures import PLAIN, animated, noise
from PIL import Image

from upscale_cli.batch.plan import Plan, Work, make_plan
from upscale_cli.batch.run import Outcome, Run
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.methods import METHODS
from upscale_cli.methods.pooling import Windows
from upscale_cli.work.pool import Pooling
from upscale_cli.work.request import Request

LANCZOS = Request(method=METHODS["lanczos"])
MAXIMA = Pooling(windows=Windows((2, 2)))
SAME = "the same result was there already"


def planned(folder: Path, work: Work, skip_existing: bool = False) -> Plan:
    """Return a plan for a folder, `in`, all of whose targets are free."""
    plan = make_plan([str(folder / "in")], str(folder / "made"), work, skip_existing=skip_existing)
    assert plan.jobs
    assert not plan.failures
    return plan


def carried_out(plan: Plan) -> list[Outcome]:
    """Return the outcomes of a plan in the order of its jobs."""
    outcomes = {outcome.job.source.shown: outcome for outcome in Run(plan, jobs=2)}
    return [outcomes[job.source.shown] for job in plan.jobs]


def notes_of(outcome: Outcome) -> list[str]:
    assert outcome.failure is None, outcome.failure
    assert outcome.result is not None
    return outcome.result.notes


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    """Return which file each name of a folder is, and when it was changed."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


# The same result ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", PLAIN)
def test_a_result_that_is_there_already_is_done_and_stays(format: str, tmp_path: Path) -> None:
    for i in range(2):
        picture(tmp_path / "in" / f"{i}.png", 12, 10, seed=i)
    (tmp_path / "in" / "2.gif").write_bytes(animated([noise("P", seed=i) for i in range(3)], "GIF"))
    if not FORMATS[format].frames:
        (tmp_path / "in" / "2.gif").unlink()
    plan = planned(tmp_path, LANCZOS.with_format(FORMATS[format]))
    first, made, files = carried_out(plan), contents(tmp_path / "made"), identities(tmp_path / "made")
    again = carried_out(plan)
    assert contents(tmp_path / "made") == made
    assert identities(tmp_path / "made") == files
    for new, old in zip(again, first, strict=True):
        *notes, said = notes_of(new)
        assert notes == notes_of(old)
        # An animated AVIF holds the time at which it was written.
        assert said == SAME or (format == "avif" and said == f"{SAME}, in other bytes")


def test_a_pair_of_which_one_was_made_is_completed(tmp_path: Path) -> None:
    """A worker may die between the two names: the pair is made again, and only what is missing is written."""
    picture(tmp_path / "in" / "a.png")
    plan, made = planned(tmp_path, MAXIMA), tmp_path / "made"
    carried_out(plan)
    whole = contents(made)
    assert sorted(whole) == ["a.indices.npz", "a.png"]
    for missing in (["a.png"], ["a.indices.npz"], ["a.indices.npz", "a.png"], []):
        for name in missing:
            (made / name).unlink()
        before = identities(made)
        (outcome,) = carried_out(plan)
        assert outcome.failure is None
        assert contents(made) == whole
        assert identities(made).items() >= before.items()


RUNNING = """if True:
    import sys, time
    from pathlib import Path
    from upscale_cli.batch import plan
    from upscale_cli.commands import pool, process, upscale
    make = plan.make_plan
    folder, number, count, command = Path(sys.argv.pop(1)), *map(int, sys.argv.pop(1).split("/")), sys.argv.pop(1)

    def planned(*arguments, **more):
        made = make(*arguments, **more)
        (folder / f"planned-{number}").touch()
        while len(list(folder.glob("planned-*"))) < count:
            time.sleep(0.001)
        return made

    process.make_plan = planned
    {"upscale": upscale, "pool": pool}[command].main()
"""
"""A run that begins to work when all runs have planned: their number, of how many, is the second argument."""


@pytest.mark.parametrize("command", ["upscale", "pool"])
@pytest.mark.parametrize("skip", [True, False])
def test_runs_at_once_all_end_well(command: str, skip: bool, tmp_path: Path) -> None:
    for i in range(8):
        picture(tmp_path / "in" / f"{i}.png", 60, 50, seed=i)
    words = ["in", "-o", "made", "-j", "2", *["--skip-existing"] * skip]
    alone = [*(UPSCALE if command == "upscale" else POOL), "in", "-o", "alone"]
    assert subprocess.run(alone, cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "signs").mkdir()
    start = [sys.executable, "-c", RUNNING, str(tmp_path / "signs")]
    lines = [[*start, f"{i}/3", command, *words] for i in range(3)]
    runs = [subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for line in lines]
    said = [run.communicate(timeout=100)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert contents(tmp_path / "made") == contents(tmp_path / "alone")
    ends = [each.splitlines()[-1] for each in said]
    if skip:  # half of a pair is completed
        assert command == "pool" or SAME not in "".join(said)
    else:
        verb = "enlarged" if command == "upscale" else "pooled"
        assert all(end.startswith(f"8 images {verb}, in") for end in ends)
        # Each was made by one of the runs, and found by the others.
        assert "".join(said).count(SAME) == 16


def test_nothing_is_made_again_that_may_be_skipped_or_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "in" / "a.png")
    skipping = planned(tmp_path, LANCZOS, skip_existing=True)
    overwriting = planned(tmp_path, LANCZOS._replace(overwrite=True))
    carried_out(skipping)
    made, carry_out = [], Request.carry_out

    def counted(*arguments: Any) -> Any:
        made.append(arguments)
        return carry_out(*arguments)

    monkeypatch.setattr(Request, "carry_out", counted)
    (outcome,) = carried_out(skipping)
    assert "exists already" in str(outcome.failure)
    assert len(made) == 1
    (outcome,) = carried_out(overwriting)
    assert notes_of(outcome) == []
    assert len(made) == 2


# Another one -------------------------------------------------------------------------------------------------------


def saved(change: Callable[[np.ndarray[Any, Any]], Any], **options: Any) -> Callable[[Path], None]:
    """Return what saves a picture again with changed samples, by Pillow."""

    def save(path: Path) -> None:
        with Image.open(path) as image:
            samples = np.asarray(image).astype(int)
        change(samples)
        Image.fromarray(samples.clip(0, 255).astype(np.uint8)).save(path, **options)

    return save


def first(count: int, by: int) -> Callable[[np.ndarray[Any, Any]], None]:
    """Return what changes the first samples that have room for it."""

    def change(samples: np.ndarray[Any, Any]) -> None:
        flat = samples.reshape(-1)
        flat[np.flatnonzero(flat < 255 - by)[:count]] += by

    return change


ROUNDED: dict[str, tuple[Callable[[Path], None], str]] = {
    "other bytes": (saved(first(0, 0), compress_level=1), ", in other bytes"),
    "a few by 1": (saved(first(6, 1)), ", but 6 of 14,400 values are rounded otherwise"),
}
OTHER: dict[str, Callable[[Path], object]] = {
    "one by 2": saved(first(1, 2)),
    "many by 1": saved(first(144, 1)),
    "another size": lambda path: Image.new("RGB", (81, 60)).save(path),
    "other channels": lambda path: Image.new("RGBA", (80, 60)).save(path),
    "another format": lambda path: noise("RGB", 80, 60).save(path, "BMP"),
    "no image": lambda path: path.write_text("mine"),
    "nothing": lambda path: path.write_bytes(b""),
    "half of it": lambda path: os.truncate(path, 1000),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_results_of_other_processors_and_libraries_are_the_same(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    plan = planned(tmp_path, LANCZOS)
    carried_out(plan)
    change, said = ROUNDED[name]
    change(tmp_path / "made" / "a.png")
    before = contents(tmp_path / "made")
    (outcome,) = carried_out(plan)
    assert notes_of(outcome) == [SAME + said]
    assert contents(tmp_path / "made") == before


@pytest.mark.parametrize("name", OTHER)
def test_what_another_program_wrote_is_refused_and_stays(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    plan = planned(tmp_path, LANCZOS)
    carried_out(plan)
    OTHER[name](tmp_path / "made" / "a.png")
    before = contents(tmp_path / "made")
    (outcome,) = carried_out(plan)
    assert str(outcome.failure) == f'"{tmp_path}/made/a.png" exists already; use --overwrite or --skip-existing.'
    assert contents(tmp_path / "made") == before

"""Plan, run, report, as a program uses them."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscale_cli.batch.plan import make_plan
from upscale_cli.batch.report import Report
from upscale_cli.batch.run import Run
from upscale_cli.work.request import Request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for i in range(6):
        Image.fromarray(np.full((10 + i, 7, 3), 40 * i, np.uint8)).save(tmp_path / "in" / f"{i}.png")
    return tmp_path


def test_an_executor_of_the_caller_carries_out_jobs(folder: Path) -> None:
    plan = make_plan([str(folder / "in")], str(folder / "out"), Request("nearest"))
    told: list[int] = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        outcomes = list(Run(plan, executor=executor, progress=told.append))
    assert [o.failure for o in outcomes] == [None] * 6
    assert sum(told) == sum(job.pixels for job in plan.jobs) == sum(4 * (10 + i) * 7 for i in range(6))
    assert len(list((folder / "out").iterdir())) == 6


@pytest.mark.parametrize("names", [1, 6])
def test_progress_is_told_in_output_pixels(folder: Path, names: int) -> None:
    inputs = [str(folder / "in" / f"{i}.png") for i in range(names)]
    told: list[int] = []
    plan = make_plan(inputs, str(folder / "out/"), Request("lanczos"))
    outcomes = list(Run(plan, 2, progress=told.append))
    assert len(outcomes) == names
    assert sum(told) == sum(job.pixels for job in plan.jobs)


def test_a_file_that_vanishes_after_the_plan_fails_alone(folder: Path) -> None:
    plan = make_plan([str(folder / "in")], str(folder / "out"), Request("nearest"))
    (folder / "in" / "3.png").unlink()
    outcomes = {o.job.shown: o for o in Run(plan)}
    assert [Path(name).name for name, o in outcomes.items() if o.failure] == ["3.png"]
    failure = outcomes[str(folder / "in" / "3.png")].failure
    assert failure is not None
    assert "No such file" in failure.sentence


def test_letter_case_and_composed_accents_are_one_target(tmp_path: Path) -> None:
    for place, name in (("a", "x.png"), ("b", "X.png"), ("c", "\u00e9.png"), ("d", "e\u0301.png")):
        (tmp_path / place).mkdir()
        Image.new("L", (1, 1)).save(tmp_path / place / name)
    inputs = [str(p) for p in sorted(tmp_path.rglob("*.[pP]*"))]
    with pytest.raises(ValueError, match="2 targets have several sources"):
        make_plan(inputs, str(tmp_path / "out"), Request("nearest"))


def test_statuses() -> None:
    assert [Report("x", 1, 0).exit_status, Report("x", 1, 1).exit_status, Report("x", 0, 0, 3).exit_status] == [
        0,
        1,
        0,
    ]

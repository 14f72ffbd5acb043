"""The benchmarks' own arithmetic: schedules worked out by hand, and pictures that Pillow makes of floats."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

BENCH = Path(__file__).parents[1] / "bench"
sys.path.append(str(BENCH))

from measuring import Case, Pace, Process, measure  # noqa: E402
from page import section, summary  # noqa: E402
from quality import WrongPictureError, check_file, psnr  # noqa: E402
from scaling import SERIAL, TASK, WAIT, Step, Trace  # noqa: E402


def four_tasks(ahead: int) -> Trace:
    """Return 1 s of reading, and four tasks of 2 s whose results take 0.5 s each to write."""
    steps = [Step(SERIAL, 1.0)]
    for number in range(4):
        steps.append(Step(TASK, 2.0, number))
        if number >= ahead:
            steps += [Step(WAIT, 0.0, number - ahead), Step(SERIAL, 0.5)]
    for number in range(4 - ahead, 4):
        steps += [Step(WAIT, 0.0, number), Step(SERIAL, 0.5)]
    return Trace(steps, {})


@pytest.mark.parametrize(
    ("threads", "ahead", "seconds"),
    [
        (1, 2, 11.0),
        (2, 2, 6.0),  # two and two tasks, to 5 s; then two results to write
        (4, 4, 5.0),  # all tasks to 3 s; then four results to write
        (4, 1, 6.5),  # two in work at most: handed over at 1, 1, 3.5 and 4 s; the last result is written from 6 s on
    ],
)
def test_schedules_are_those_worked_out_by_hand(threads: int, ahead: int, seconds: float) -> None:
    assert four_tasks(ahead).on(threads) == pytest.approx(seconds)


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(60, 200, (40, 48, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "filter"),
    [("lanczos", "LANCZOS"), ("bicubic", "BICUBIC"), ("bilinear", "BILINEAR")],
)
def test_references_are_the_pictures_that_pillow_makes_of_floats(name: str, filter: str) -> None:
    source = noise()
    planes = [Image.fromarray(source[..., c].astype(np.float32)) for c in range(3)]
    made = np.dstack([np.asarray(plane.resize((144, 120), Image.Resampling[filter])) for plane in planes])
    assert psnr(source, made.clip(0, 255), 3, name) > 90
    # A constant error of 4 has a PSNR of 20·log10(255 / 4).
    assert psnr(source, made.clip(0, 255) + 4, 3, name) == pytest.approx(36.1, abs=0.05)
    with pytest.raises(WrongPictureError, match="another picture"):
        psnr(source, np.rot90(made, 2), 3, name)
    with pytest.raises(WrongPictureError, match="array of"):
        psnr(source, made[1:], 3, name)


def test_files_of_another_size_are_wrong(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "source.png")
    Image.fromarray(noise()).resize((96, 81)).save(tmp_path / "made.png")
    with pytest.raises(WrongPictureError, match="made a picture of"):
        check_file(tmp_path / "source.png", tmp_path / "made.png", 2, None)


def test_the_page_says_who_fails_who_is_faster_and_who_is_absent() -> None:
    def python(code: str) -> Process:
        return Process(sys.executable, "-c", code)

    case = Case(
        "a race",
        {"upscale": python("import time; time.sleep(0.5)"), "hare": python(""), "snail": python("1 / 0")},
        goals={"hare": 1.0, "tortoise": 2.0},
        why={"hare": "It does nothing."},
    )
    taken = measure(case, Pace(turns=1, warm=False, pause=0))
    assert taken["snail"].failure == "ZeroDivisionError: division by zero"
    lines = (summary([(case, taken)]) + section(case, taken)).splitlines()
    assert lines[0].startswith("0 of 1 goals are reached.")
    assert any(line.startswith("- a race: 0.") and line.endswith("against hare; the goal is 1 ×.") for line in lines)
    assert any(line.startswith("- a race: hare, ") and line.endswith("It does nothing.") for line in lines)
    assert "- a race: tortoise; the goal is 2 ×." in lines
    assert any(line.startswith("| snail | ZeroDivisionError") for line in lines)
    assert any(line.startswith("| tortoise | absent |") for line in lines)


def test_a_missing_tool_stops_the_run() -> None:
    code = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import peers, run; peers._FINDERS['vips'] = lambda: None"
    line: list[Any] = [sys.executable, "-c", f"{code}; run.main()", "--smoke", "--need", "vips"]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "vips is absent" in ended.stderr

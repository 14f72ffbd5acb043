"""Arrays that mean harm are refused in one line, quickly, in little memory; the unusual ones are enlarged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import make_hostile
import numpy as np
import pytest
from breaking import picture

REFUSED, PARAMETERS, ACCEPTED = make_hostile.arrays(), make_hostile.parameters(), make_hostile.unusual()

WATCHED = """if True:
    import json, sys, time
    from click.testing import CliRunner
    from upscale_cli.commands.upscale import cli
    import upscale_cli.commands.process
    CliRunner().invoke(cli, [sys.argv[1], "-o", "warm.png"])  # what every run imports
    def peak():
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    for line in sys.stdin:
        start = time.perf_counter()
        open("/proc/self/clear_refs", "w").write("5")
        ended = CliRunner().invoke(cli, json.loads(line))
        seconds = time.perf_counter() - start
        print(json.dumps([ended.exit_code, ended.stderr, repr(ended.exception), seconds, peak()]), flush=True)
"""


class Ending(NamedTuple):
    """How a run ended; kilobytes at its peak."""

    status: int
    said: str
    exception: str
    seconds: float
    kilobytes: int


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ending]:
    """How the command ended for each file: `KIND/NAME`, parameters as kernel and as places."""
    folder = tmp_path_factory.mktemp("hostile")
    small = picture(folder / "small.png", 2, 2, "L")
    runs: dict[str, list[str]] = {}
    for kind, files in (("refused", REFUSED), ("parameters", PARAMETERS), ("accepted", ACCEPTED)):
        for name, data in files.items():
            (folder / kind).mkdir(exist_ok=True)
            path = folder / kind / name
            path.write_bytes(data)
            if kind != "parameters":
                runs[f"{kind}/{name}"] = [str(path), "-o", str(folder / f"{kind}-{name}"), "-f", "npy"]
                continue
            for option, method in (("--kernel", "transposed-conv"), ("--indices", "max-unpooling")):
                out = str(folder / f"{method}-{name}.png")
                runs[f"{method}/{name}"] = [str(small), "-m", method, option, str(path), "-o", out]
    lines = "".join(json.dumps(run) + "\n" for run in runs.values())
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(small)],
        cwd=folder,
        input=lines,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not (folder / "trapped").exists(), "something was executed"
    made = [Ending(*json.loads(line)) for line in done.stdout.splitlines()]
    assert len(made) == len(runs), done.stderr
    return dict(zip(runs, made, strict=True))


def test_there_are_enough_of_them() -> None:
    assert len(REFUSED) + len(PARAMETERS) >= 60


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are told by /proc")
@pytest.mark.parametrize(
    "name",
    [
        *(f"refused/{name}" for name in REFUSED),
        *(f"{method}/{name}" for method in ("transposed-conv", "max-unpooling") for name in PARAMETERS),
    ],
)
def test_what_means_harm_is_refused(name: str, endings: dict[str, Ending]) -> None:
    ending = endings[name]
    assert (ending.status, ending.said.count("\n")) == (1, 1), ending
    assert "unexpectedly" not in ending.said
    assert ending.seconds < 0.5
    assert ending.kilobytes < 250 * 1024


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_unusual_is_enlarged(name: str, endings: dict[str, Ending]) -> None:
    ending = endings[f"accepted/{name}"]
    assert (ending.status, ending.said) == (0, "")


def test_what_is_accepted_is_read_as_numpy_reads_it(tmp_path: Path) -> None:
    from upscale_cli.images.arrays import load_arrays

    for name, data in ACCEPTED.items():
        (tmp_path / name).write_bytes(data)
        np.testing.assert_array_equal(load_arrays(tmp_path / name)[""], np.load(tmp_path / name))

"""Arrays that mean harm are refused in one line, quickly, in little memory; the unusual ones are enlarged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import make_hostile
import numpy as np
import pytest
from breaking import Record, needs_proc, picture, unmeasured
from click.testing import CliRunner

from upscale_cli.commands.upscale import cli

MADE_FOR = {"--kernel": "transposed-conv", "--indices": "max-unpooling", "--network": "learned"}

WATCHED = """if True:
    import json, sys, time
    from click.testing import CliRunner
    from upscale_cli.commands import evaluate, fit, upscale
    import upscale_cli.commands.process
    commands = {"upscale": upscale.cli, "upscale-fit": fit.cli, "upscale-evaluate": evaluate.cli}
    for arguments in json.loads(sys.argv[1]):  # what every run imports
        assert CliRunner().invoke(commands[arguments[0]], arguments[1:]).exit_code == 0, arguments
    def peak():
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    for line in sys.stdin:
        start = time.process_time()  # others may be at work on the machine
        open("/proc/self/clear_refs", "w").write("5")
        name, *arguments = json.loads(line)
        ended = CliRunner().invoke(commands[name], arguments)
        seconds = time.process_time() - start
        print(json.dumps([ended.exit_code, ended.stderr, repr(ended.exception), seconds, peak()]), flush=True)
"""


class Ending(NamedTuple):
    """How a run ended; kilobytes at its peak."""

    status: int
    said: str
    exception: str
    seconds: float
    kilobytes: int


@pytest.fixture(scope="module", params=[5, pytest.param(1, marks=pytest.mark.long)], ids=["every fifth", "all"])
def endings(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, dict[str, Ending]]:
    """How the command ended for each file, by kind and by name; parameters are given as kernel and as places."""
    folder = tmp_path_factory.mktemp("hostile")
    small, photograph = picture(folder / "small.png", 2, 2, "L"), str(picture(folder / "photograph.png", 16, 16))
    fitting = ["upscale-fit", "-q", "--overwrite", "-o", str(folder / "fitted.npy"), photograph]
    measuring = ["upscale-evaluate", photograph, "-q", "-m"]
    warm = [["upscale", str(small), "-o", str(folder / "warm.png")], fitting, [*measuring, "bicubic"]]
    parameters = make_hostile.parameters()
    runs: dict[tuple[str, str], list[str]] = {}

    def written(kind: str, name: str, data: bytes) -> str:
        (folder / kind).mkdir(exist_ok=True)
        (folder / kind / name).write_bytes(data)
        return str(folder / kind / name)

    for kind, files in (("refused", make_hostile.arrays()), ("accepted", make_hostile.unusual())):
        for name, data in files.items():
            path = written(kind, name, data)
            runs[kind, name] = ["upscale", path, "-o", str(folder / f"{kind}-{name}"), "-f", "npy"]
            # The photograph is learned from all the same: by a small kernel, unless that suited the array too.
            runs["fit", name] = [*fitting, path, *(["--size=4"] if kind == "refused" else [])]
    for option, method in MADE_FOR.items():
        for name, data in (parameters | (make_hostile.networks() if method == "learned" else {})).items():
            path, out = written(method, name, data), str(folder / f"{method}-{name}.png")
            runs[method, name] = ["upscale", str(small), "-m", method, option, path, "-o", out]
            runs[f"evaluate {method}", name] = [*measuring, f"{method}:{option[2:]}={path}"]
    chosen = [run for run in runs if run[0] != "accepted"][:: request.param]
    runs = {run: words for run, words in runs.items() if run[0] == "accepted" or run in chosen}
    lines = "".join(json.dumps(run) + "\n" for run in runs.values())
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(warm)],
        cwd=folder,
        env=unmeasured(),
        input=lines,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert not (folder / "trapped").exists(), "something was executed"
    made = [Ending(*json.loads(line)) for line in done.stdout.splitlines()]
    assert len(made) == len(runs), done.stderr
    found: dict[str, dict[str, Ending]] = {}
    for (kind, name), ending in zip(runs, made, strict=True):
        found.setdefault(kind, {})[name] = ending
    return found


@needs_proc
def test_what_means_harm_is_refused(
    endings: dict[str, dict[str, Ending]], record_property: Record, request: pytest.FixtureRequest
) -> None:
    harmful = [
        (kind, name, ending)
        for kind, ended in endings.items()
        if kind != "accepted"
        for name, ending in ended.items()
    ]
    every = "[all]" in request.node.name
    assert len(harmful) >= (391 if every else 78)
    for kind, name, ending in harmful:
        if every:
            record_property("hostile", [name, ending.seconds, ending.kilobytes >> 10])
        # What no picture could use is refused before the first. Whether a kernel suits depends on the picture.
        early = kind == "learned" or ending.said.startswith("upscale: kernel file")
        status = 2 if early else 1
        assert (ending.status, ending.said.count("\n")) == (status, 1), (kind, name, ending)
        assert "unexpected error" not in ending.said, (kind, name, ending)
        assert len(ending.said) < 1000, (kind, name, ending)
        assert ending.seconds < 0.5, (kind, name, ending)
        assert ending.kilobytes < 250 * 1024, (kind, name, ending)


def test_the_networks_are_sound_otherwise(tmp_path: Path) -> None:
    source = picture(tmp_path / "small.png", 2, 2, "L")
    for name, data in (("plain", make_hostile.network(make_hostile.SOUND)), ("restores", make_hostile.restoring(2))):
        (path := tmp_path / f"{name}.npz").write_bytes(data)
        command = [str(source), "-m", "learned", "--network", str(path), "-o", str(tmp_path / f"{name}.png")]
        assert CliRunner().invoke(cli, command).exit_code == 0


@needs_proc
def test_what_is_unusual_is_enlarged(endings: dict[str, dict[str, Ending]]) -> None:
    made = {name: (ending.status, ending.said) for name, ending in endings["accepted"].items()}
    assert made == dict.fromkeys(make_hostile.unusual(), (0, ""))


def test_what_is_accepted_is_read_as_numpy_reads_it(tmp_path: Path) -> None:
    from upscale_cli.places.files import FileSource
    from upscale_cli.work.parameter_files import load_arrays

    for name, data in make_hostile.unusual().items():
        (tmp_path / name).write_bytes(data)
        np.testing.assert_array_equal(load_arrays(FileSource(tmp_path / name))[""], np.load(tmp_path / name))

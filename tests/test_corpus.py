"""Files that have broken other programs: an image, or one line and status 1, in ten seconds and 500 MB at most."""

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from breaking import Record
from click.testing import CliRunner
from PIL import Image
from support import SHARED

from upscale_cli.commands.upscale import cli

CORPUS = SHARED / "corpus"
FILES = sorted(path.name for path in CORPUS.glob("*") if path.suffix != ".json")
SECONDS, MEGABYTES = 10, 500

pytestmark = pytest.mark.skipif(not FILES, reason=f"there is no folder {CORPUS.name}")


class Ending(NamedTuple):
    """How a run ended: its status, what it said, the processor's time, the memory, whether an image was written."""

    status: int
    said: str
    seconds: float
    megabytes: int
    written: bool


def run(name: str, folder: str) -> Ending:
    """Enlarge one file of the corpus to PNG."""
    target = Path(folder) / f"{name}.png"
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory is counted anew
    start = time.process_time()  # others may be at work on the machine
    ended = CliRunner().invoke(cli, [str(CORPUS / name), "-s", "2", "-o", str(target), "-q"])
    seconds = time.process_time() - start
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        return Ending(ended.exit_code, f"{ended.exception!r}\n\n{ended.stderr}", seconds, 0, False)
    megabytes = peak()
    if target.exists():
        with Image.open(target) as image:
            image.load()
    return Ending(ended.exit_code, ended.stderr, seconds, megabytes, target.exists())


def peak() -> int:
    """Megabytes that this process has taken, at most, where /proc tells."""
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) >> 10
    return 0


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ending]:
    """How each file ended. A process of the pool that dies fails all that are left, and names itself."""
    folder = str(tmp_path_factory.mktemp("made"))
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        futures = {name: pool.submit(run, name, folder) for name in FILES}
        made = {name: future.result(timeout=6 * SECONDS) for name, future in futures.items()}
    assert not [name for name in os.listdir(folder) if not name.endswith(".png")], "temporary files are left"
    return made


def test_each_file_is_an_image_or_one_line(endings: dict[str, Ending]) -> None:
    for name, ending in endings.items():
        assert ending.seconds < SECONDS, (name, ending)
        assert ending.megabytes < MEGABYTES, (name, ending)
        assert ending.status == (0 if ending.written else 1), (name, ending)
        assert ending.said.count("\n") == ending.status, (name, ending)
        assert "unexpected error" not in ending.said, (name, ending)
        assert not ending.status or ending.said.startswith(str(CORPUS / name)), (name, ending)


def test_all_of_it_takes_a_minute_at_most(endings: dict[str, Ending], record_property: Record) -> None:
    seconds = [ending.seconds for ending in endings.values()]
    assert sum(seconds) < 60
    refused = sum(ending.status for ending in endings.values())
    most = max(ending.megabytes for ending in endings.values())
    record_property("corpus", [len(endings), len(endings) - refused, refused, 0, 0, most, max(seconds), sum(seconds)])


def test_what_pillow_reads_is_enlarged_unless_a_reason_is_given(endings: dict[str, Ending]) -> None:
    """The corpus's own names say what Pillow makes of them: `ok_MODE_…` and `fail_…`."""
    refused = {name: ending.said for name, ending in endings.items() if name.startswith("ok_") and ending.status}
    reasons = (
        "which is not supported",
        "known format",
        "colours, which cannot be resampled",
        "cannot store float32 pixels",
        "cannot store int32 pixels",
        "bits per channel",
        "truncated",
        "lacks the data of its last rows",  # 168 bytes, of which 59,424 x 3 pixels should become
        "cannot be decompressed",  # a plane of a TIFF that Pillow leaves out
    )
    unexplained = {name: said for name, said in refused.items() if not any(reason in said for reason in reasons)}
    assert not unexplained
    read = [name for name, ending in endings.items() if name.startswith("ok_") and not ending.status]
    assert len(read) > 70, "hardly a file is read"


CHATTY = ["fail_load_1_7397cb469a.tif", "fail_load_RGBA_ca79569f94.tif"]


@pytest.mark.parametrize("name", CHATTY)
def test_one_line_at_most_reaches_the_terminal(name: str, tmp_path: Path) -> None:
    """The libraries behind Pillow write to file descriptor 2 on their own."""
    target = tmp_path / "a.png"
    command = [sys.executable, "-m", "upscale_cli", str(CORPUS / name), "-s", "2", "-o", str(target), "-q"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=6 * SECONDS, check=False)
    assert ended.stdout == ""
    assert ended.returncode in (0, 1)
    assert ended.stderr.count("\n") == ended.returncode, ended.stderr
    assert target.exists() == (ended.returncode == 0)

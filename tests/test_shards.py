"""Shards: which machine makes what, what they write down about it, and what `upscale report` adds up."""

import decimal
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from breaking import needs_posix
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scripts import ROOT, with_scripts
from store import Store, needs_store

sys.path.insert(0, str(ROOT / "bench"))  # its scripts import each other by their plain names
import fleet

from upscale_cli.batch import records
from upscale_cli.batch.shards import POINTS, Shard, name_of, point_of
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli
from upscale_cli.places.files import FileSource

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
UPSCALE = (sys.executable, "-m", "upscale_cli")


def call(*words: object, status: int = 0, command: object = cli) -> Result:
    """Run a command in this process."""
    result = CliRunner().invoke(command, [str(word) for word in words])  # type: ignore[arg-type]
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def report(folder: object, status: int = 0) -> dict[str, Any]:
    """Return what the report of a folder says, without the settings, whose names mean nothing."""
    said = dict(json.loads(call("report", folder, "--json", status=status).stdout))
    assert said.pop("complete") == (status == 0)
    said.pop("settings")
    return said


def made(folder: Path) -> dict[str, bytes]:
    """Return the pictures in a folder, by their paths."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def lines(folder: Path, shard: str = "1-of-1") -> list[dict[str, Any]]:
    """Return the lines of a record."""
    return [json.loads(line) for line in (folder / ".upscale" / f"shard-{shard}.jsonl").read_text().splitlines()]


def outcomes(*folders: Path) -> Counter[tuple[str, str]]:
    """Return how often each image ended in which way, by the text of the records: a second reader of them."""
    texts = [
        text for folder in folders for path in folder.glob(".upscale/*") for text in path.read_text().split("\n")
    ]
    found = [json.loads(text) for text in texts if text]
    return Counter((line["name"], line["state"]) for line in found if line.get("state") not in (None, "planned"))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 24 small pictures in two folders, `in`, in the current folder."""
    for number in range(24):
        path = tmp_path / "in" / f"day{number % 2}" / f"photo{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5, 3), number, np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Which shard.


def shard_of(name: str, of: int) -> int:
    """Return the shard that has a name."""
    return point_of(name) * of // POINTS + 1


def shares(names: Iterable[str], of: int) -> list[int]:
    """Return how many names each shard has."""
    counts = Counter(shard_of(name, of) for name in names)
    return [counts[number] for number in range(1, of + 1)]


@settings(deadline=None, max_examples=30)
@given(st.text(min_size=1).filter(lambda name: PurePosixPath(name).name != ""), st.integers(1, 40))
def test_each_name_is_in_one_shard(name: str, of: int) -> None:
    assert [number for number in range(1, of + 1) if Shard(number, of).has(name)] == [shard_of(name, of)]


def test_numbers_turn_by_the_root_of_two() -> None:
    """By decimal fractions: the number in a name times √2, on a circle that is cut into equal arcs."""
    first = decimal.Decimal(point_of("in/x0.png")) / POINTS
    with decimal.localcontext(decimal.Context(prec=60)):
        for number in range(500):
            turn = (first + number * decimal.Decimal(2).sqrt()) % 1
            assert Shard(int(turn * 16) + 1, 16).has(f"in/x{number:03}.png")


def test_shards_stay_the_same() -> None:
    """Machines with other versions share one job, and records are read years later; so this may never change."""
    names = ["a.png", "in/b.jpg", "frame0007.tif", "2026/11/27/IMG_0815.jpg", "žluťoučký kůň.png", "x_1_2_3_4.png"]
    assert [shard_of(name, 1000) for name in names] == [254, 184, 430, 56, 140, 842]
    assert [f"{point_of(name):016x}" for name in names[:3]] == [
        "40f89e395b66422f",
        "2f08eee953ddd255",
        "6dd87dba7dd68712",
    ]


SEQUENCES: dict[str, list[str]] = {
    "frames": [f"frame{number:06}.png" for number in range(500)],
    "versions": [f"IMG_{number:04}_v2.jpg" for number in range(500)],
    "folders": [f"day{number // 50}/photo{number % 50}.jpg" for number in range(500)],
    "in turn": [f"camera{number % 4}/{number:04}.jpg" for number in range(500)],
    "one in each folder": [f"{number:04}/colour.png" for number in range(500)],
    "tiles": [f"12/{number // 25}/{number % 25}.png" for number in range(500)],
    "every 24th": [f"frame{24 * number:06}.png" for number in range(500)],
    "every 1000th": [f"{1000 * number}.tif" for number in range(500)],
    "minutes": [f"20261127_{number // 60:02}{number % 60:02}00.jpg" for number in range(500)],
    "formats": [f"p{number}.{('png', 'jpg', 'webp')[number % 3]}" for number in range(500)],
}


@pytest.mark.parametrize("of", [2, 7, 16])
@pytest.mark.parametrize("names", SEQUENCES.values(), ids=SEQUENCES)
def test_500_numbered_names_are_shared_out_evenly(names: list[str], of: int) -> None:
    assert max(shares(names, of)) <= 1.25 * 500 / of


def test_names_without_numbers_are_shared_out_like_dice() -> None:
    """Chi-squared of 15 degrees of freedom is between 2.6 and 44.3, except once in 5,000 times."""
    deal = random.Random(17)
    names = {"".join(deal.choices("abcdefghijklmnopqrstuvwxyz", k=8)) + ".png" for _ in range(8000)}
    expected = len(names) / 16
    assert 2.6 < sum((share - expected) ** 2 / expected for share in shares(names, 16)) < 44.3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("in/a.png", "in/a.jpg"),  # one result, if both become PNG
        ("in/a.png", "in/A.PNG"),  # one file, on some systems
        ("a.png", "a_2x.png"),  # a result of an earlier run
        ("a.png", "a_300x200.png"),
        ("a.nii", "a.nii.gz"),
        (unicodedata.normalize("NFC", "é/ü.png"), unicodedata.normalize("NFD", "é/ü.png")),
    ],
)
def test_names_that_belong_together_are_in_one_shard(one: str, other: str) -> None:
    assert point_of(one) == point_of(other)


def test_a_file_that_is_named_itself_counts_by_its_own_name(photos: Path) -> None:
    path = photos / "in" / "day0" / "photo000.png"
    spellings = [path, path.relative_to(photos), Path("in/../in/day0/photo000.png"), Path("./in/day0/photo000.png")]
    assert {name_of(FileSource(each)) for each in spellings} == {"photo000.png"}


# What shards make.


def test_shards_make_what_one_run_makes(photos: Path) -> None:
    call("in", "-o", "one", "--shard", "1/1")
    for number in (3, 1, 2):
        assert call("in", "-o", "out/", "--shard", f"{number}/3", "-q").output == ""
    assert len(made(photos / "one")) == 24
    assert made(photos / "one") == made(photos / "out")
    assert report("one") == report("out")
    assert report("out") == {"done": 24, "skipped": 0, "failed": {}, "missing": {}, "unlisted": {}, "absent": []}
    assert outcomes(photos / "one") == outcomes(photos / "out")
    assert set(outcomes(photos / "one").values()) == {1}


def test_a_shard_opens_no_image_of_another(photos: Path) -> None:
    for path in (photos / "in").rglob("*.png"):
        if not Shard(2, 3).has(path.relative_to(photos / "in").as_posix()):
            path.write_text("not an image")
    assert call("in", "-o", "out", "--shard", "2/3", "-q").output == ""


def test_shards_that_start_at_different_times_leave_nothing_out(photos: Path) -> None:
    """An image that is there already does not move others to another shard, and neither does a new one."""
    call("in", "-o", "out", "--shard", "1/2", "--skip-existing")
    new = photos / "in" / "day0" / "photo100.png"
    shutil.copy(photos / "in" / "day0" / "photo000.png", new)
    call("in", "-o", "out", "--shard", "2/2", "--skip-existing")
    left = {"day0/photo100.png"} if Shard(1, 2).has("day0/photo100.png") else set()
    assert made(photos / "in").keys() - made(photos / "out").keys() == left
    call("in", "-o", "out", "--shard", "1/2", "--skip-existing")
    assert made(photos / "in").keys() == made(photos / "out").keys()
    assert (report("out")["done"], report("out")["skipped"]) == (25, 0)


def test_what_wants_one_name_is_refused_as_without_shards(photos: Path) -> None:
    """Otherwise the shard that comes first would win, and nobody would hear of it."""
    Image.new("RGB", (3, 3)).save(photos / "in" / "day0" / "photo000.bmp")
    sentence = call("in", "-o", "all", "-f", "png", "-n", status=2).stderr
    assert "would be written to the same file" in sentence
    ends = [CliRunner().invoke(cli, ["in", "-o", "out", "-f", "png", "--shard", f"{n}/4"]) for n in (1, 2, 3, 4)]
    assert sorted(end.exit_code for end in ends) == [0, 0, 0, 2]
    assert [end.stderr for end in ends if end.exit_code] == [sentence.replace("all/", "out/")]
    assert len(report("out", status=1)["absent"]) == 1


def test_a_dry_run_of_a_shard_shows_only_its_images(photos: Path) -> None:
    shown = "".join(call("in", "-o", "out", "--shard", f"{number}/3", "-n").stdout for number in (1, 2, 3))
    assert Counter(line.split()[0] for line in shown.splitlines()) == dict.fromkeys(
        (f"in/{name}" for name in made(photos / "in")), 1
    )
    assert not (photos / "out").exists()


def test_a_shard_without_images_says_so(photos: Path) -> None:
    said = [call("in/day0/photo000.png", "-o", "out/", "--shard", f"{number}/3").output for number in (1, 2, 3)]
    number = shard_of("photo000.png", 3)
    assert said.pop(number - 1) == ""
    assert said == [f"upscale: shard {other}/3 has no image.\n" for other in (1, 2, 3) if other != number]
    assert report("out")["done"] == 1


def test_results_beside_a_folder_have_their_record_there(photos: Path) -> None:
    for number in (1, 2):
        call("in", "-s", 3, "--shard", f"{number}/2")
    assert report("in_3x")["done"] == 24


def test_pooled_pairs_stay_together(photos: Path) -> None:
    for number in (1, 2, 3):
        call("in", "-o", "out", "--shard", f"{number}/3", command=pool_cli)
    pictures = {PurePosixPath(name).stem for name in made(photos / "out")}
    assert pictures == {path.name.removesuffix(".indices.npz") for path in (photos / "out").rglob("*.npz")}
    assert report("out")["done"] == len(pictures) == 24


def test_lists_of_files_are_shared_out(photos: Path) -> None:
    (photos / "names.txt").write_text("".join(f"in/{name}\n" for name in made(photos / "in")))
    for number in (1, 2, 3):
        call("--files-from", "names.txt", "-o", "out/", "--shard", f"{number}/3")
    assert report("out")["done"] == 24


REFUSED = {
    "0/3": ("in -o out --shard 0/3", '--shard "0/3" is not K/N with K from 1 to N, such as 3/16.'),
    "4/3": ("in -o out --shard 4/3", '--shard "4/3" is not K/N with K from 1 to N, such as 3/16.'),
    "3": ("in -o out --shard 3", '--shard "3" is not K/N with K from 1 to N, such as 3/16.'),
    "1/1000001": (
        "in -o out --shard 1/1000001",
        '--shard "1/1000001" makes more than 1,000,000 shards; use fewer.',
    ),
    "1/2/3": ("in -o out --shard 1/2/3", '--shard "1/2/3" is not K/N with K from 1 to N, such as 3/16.'),
    "-1/3": ("in -o out --shard=-1/3", '--shard "-1/3" is not K/N with K from 1 to N, such as 3/16.'),
    "file": ("in/day0/photo000.png -o out.png --shard 1/2", "use --output FOLDER/."),
    "beside files": ("in/day0/photo000.png in/day0/photo002.png --shard 1/2", "use --output FOLDER/."),
    "template": ("in -o out/{stem}_x{suffix} --shard 1/2", "use --output FOLDER/."),
    "frames": ("in -o out/%06d.png --shard 1/2", "use --output FOLDER/."),
    "stdout": ("in/day0/photo000.png -o - --shard 1/2", "use --output FOLDER/."),
    "stdin": ("- -o out/ --shard 1/2", "use --output FOLDER/."),
    "retry": (
        "in -o out --retry-failed",
        '"out" has no records; run upscale with --shard K/N and --output out first.',
    ),
    "retry file": ("in/day0/photo000.png --retry-failed", "use --output FOLDER/."),
    "report": ("report out", '"out" has no records; run upscale with --shard K/N and --output out first.'),
    "reports": ("report out in", "one folder"),
}


@pytest.mark.parametrize(("words", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_shared_out_is_refused_in_one_sentence(photos: Path, words: str, sentence: str) -> None:
    before = sorted(photos.rglob("*"))
    result = CliRunner().invoke(cli, words.split())
    assert result.exit_code in (1, 2)
    assert result.stderr.removeprefix("Usage: upscale [OPTIONS] INPUT...\n\nError: ").count("\n") == 1
    assert sentence in result.stderr
    assert sorted(photos.rglob("*")) == before


def test_report_alone_is_a_command_unless_a_file_is_called_so(photos: Path) -> None:
    assert "Usage: upscale report [OPTIONS] FOLDER" in call("report", status=2).stderr
    shutil.copy(photos / "in" / "day0" / "photo000.png", photos / "report")
    call("report")
    assert [path.name for path in photos.glob("report_*")] == ["report_2x.png"]


def test_a_stream_of_frames_is_not_shared_out(photos: Path) -> None:
    (photos / "film.y4m").write_bytes(b"YUV4MPEG2 W2 H2 F25:1 C444\nFRAME\n" + bytes(12))
    assert "stream of frames" in call("film.y4m", "-o", "out/", "--shard", "1/2", status=2).stderr


# What is written down.


def test_a_record_says_what_was_planned_and_what_became_of_it(photos: Path) -> None:
    (photos / "in" / "day1" / "photo001.png").write_text("not an image")
    call("in", "-o", "out", "-s", "2.5", "--shard", "1/1", "-q", status=1)
    said = lines(photos / "out")
    planned = {line["name"]: line["size"] for line in said if line.get("state") == "planned"}
    names = made(photos / "in").keys()
    assert planned == {name: [13, 10] for name in names - {"day1/photo001.png"}}
    (about,) = (line for line in said if "name" not in line)
    assert (about["shard"], about["partial"], about["unlisted"]) == ("1/1", False, {})
    assert re.fullmatch("[0-9a-f]{16}", about["settings"])
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", about["version"])
    assert all(re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"]) for line in said)
    assert outcomes(photos / "out") == Counter(
        {(name, "failed" if name == "day1/photo001.png" else "done"): 1 for name in names}
    )


def test_a_record_says_why_an_image_failed_although_its_header_was_good(photos: Path) -> None:
    bad = photos / "in" / "day1" / "photo001.png"
    bad.write_bytes(bad.read_bytes()[:45])
    call("in", "-o", "out", "--shard", "1/1", "-q", status=1)
    (failed,) = (line for line in lines(photos / "out") if line.get("state") == "failed")
    assert failed["why"] == "cannot be decoded: image file is truncated; get another copy, or convert it first."
    assert failed["seconds"] >= 0
    assert report("out", status=1)["failed"] == {"day1/photo001.png": failed["why"]}
    assert {"why" in line for line in lines(photos / "out") if line.get("state") == "done"} == {False}


def test_only_what_failed_is_tried_again(photos: Path) -> None:
    bad = photos / "in" / "day1" / "photo001.png"
    good = bad.read_bytes()
    bad.write_text("not an image")
    for number in (1, 2, 3):
        CliRunner().invoke(cli, ["in", "-o", "out", "--shard", f"{number}/3"])
    assert list(report("out", status=1)["failed"]) == ["day1/photo001.png"]
    assert "day1/photo001.png: failed: is not an image" in call("report", "out", status=1).stdout
    for path in (photos / "out").rglob("*.png"):
        path.unlink()
    call("in", "-o", "out", "--retry-failed", "-q", status=1)
    bad.write_bytes(good)
    call("in", "-o", "out", "--retry-failed")
    assert list(made(photos / "out")) == ["day1/photo001.png"]
    assert report("out")["done"] == 24
    assert call("in", "-o", "out", "--retry-failed").output == "upscale: the folder has no image that failed.\n"
    assert call("report", "out").stdout == "24 done.\n"


def test_a_shard_tries_only_its_own_failures_again(photos: Path) -> None:
    good = {path: path.read_bytes() for path in (photos / "in" / "day0").glob("*.png")}
    for path in good:
        path.write_text("not an image")
    call("in", "-o", "out", "--shard", "1/1", "-q", status=1)
    for path, content in good.items():
        path.write_bytes(content)
    call("in", "-o", "out", "--shard", "1/2", "--retry-failed", "-q")
    failed = report("out", status=1)["failed"]
    assert 0 < len(failed) < 12
    assert {shard_of(name, 2) for name in failed} == {2}
    call("in", "-o", "out", "--shard", "2/2", "--retry-failed", "-q")
    assert report("out")["done"] == 24


def test_a_report_names_shards_that_have_no_record(photos: Path) -> None:
    for number in (1, 3):
        call("in", "-o", "out", "--shard", f"{number}/4", "-q")
    assert report("out", status=1)["absent"] == ["2/4", "4/4"]
    assert re.fullmatch(
        r"no record of shard 2/4, 4/4\n\d+ done; 2 shards have no record.\n", call("report", "out", status=1).stdout
    )
    # A run that makes everything leaves nothing to them.
    call("in", "-o", "out", "--shard", "1/1", "--skip-existing", "-q")
    assert report("out")["absent"] == []


def test_trying_again_stands_for_no_shard(photos: Path) -> None:
    (photos / "in" / "day1" / "photo001.png").write_text("not an image")
    number = shard_of("day1/photo001.png", 2)
    call("in", "-o", "out", "--shard", f"{number}/2", "-q", status=1)
    (photos / "in" / "day1" / "photo001.png").unlink()
    call("in", "-o", "out", "--retry-failed", "-q")
    assert report("out", status=1)["absent"] == [f"{3 - number}/2"]


def test_a_report_says_that_settings_differ(photos: Path) -> None:
    same = ["in", "-o", "out", "-q"]
    call(*same, "--shard", "1/3", "-s", 2, "--overwrite", "--max-pixels", "1M", "-j", 1)
    call(*same, "--shard", "2/3", "--scale", "2.0")
    assert "different" not in call("report", "out", status=1).stdout
    call(*same, "--shard", "3/3", "-s", 2, "-m", "nearest")
    said = call("report", "out")
    assert re.search(
        r"different settings or versions: \w+ of upscale \S+ in shard 1/3, 2/3; \w+ of .* 3/3\n", said.stdout
    )
    call(*same, "--shard", "3/3", "-s", 2, "--overwrite")
    assert "different" not in call("report", "out").stdout


def test_arrays_are_compared_by_their_content(photos: Path) -> None:
    for name, weight in (("a.npy", 1), ("b.npy", 1), ("c.npy", 2)):
        np.save(photos / name, np.full((2, 2), weight, np.float32))
    same = ["in", "-o", "out", "-q", "-m", "transposed-conv", "-s", 2]
    call(*same, "--shard", "1/3", "--kernel", "a.npy")
    call(*same, "--shard", "2/3", "--kernel", "b.npy")
    assert "different" not in call("report", "out", status=1).stdout
    call(*same, "--shard", "3/3", "--kernel", "c.npy")
    assert "different" in call("report", "out").stdout


def test_an_array_that_is_missing_is_named(photos: Path) -> None:
    said = call("in", "-o", "out", "-m", "max-unpooling", "--indices", "k.npy", "--shard", "1/3", status=1).stderr
    assert said == "upscale: k.npy: cannot be read: No such file or directory.\n"


def test_a_record_that_cannot_be_read_is_named(photos: Path) -> None:
    (photos / "out" / ".upscale" / "shard-1-of-1.jsonl").mkdir(parents=True)
    said = call("report", "out", status=1).stderr
    assert said == "upscale report: out/.upscale/shard-1-of-1.jsonl: cannot be read: Is a directory.\n"


def test_a_shard_that_is_run_again_keeps_what_it_made(photos: Path) -> None:
    call("in", "-o", "out", "--shard", "1/1", "-q")
    call("in", "-o", "out", "--shard", "1/1", "--skip-existing", "-q")
    assert report("out")["done"] == 24
    shutil.rmtree(photos / "out" / ".upscale")
    call("in", "-o", "out", "--shard", "1/1", "--skip-existing", "-q")
    assert (report("out")["done"], report("out")["skipped"]) == (0, 24)
    assert call("report", "out").stdout == "24 done.\n"
    call("in", "-o", "out", "--shard", "1/1", "-q", status=1)  # exists already
    assert len(report("out", status=1)["failed"]) == 24


@needs_posix
@pytest.mark.long
def test_a_killed_shard_leaves_whole_lines_and_is_gone_on_with(photos: Path) -> None:
    for number in range(24, 200):
        shutil.copy(photos / "in" / "day0" / "photo000.png", photos / "in" / "day1" / f"photo{number:03}.png")
    command = [*UPSCALE, "in", "-o", "out", "--shard", "1/1", "-j", "1"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
        record = photos / "out" / ".upscale" / "shard-1-of-1.jsonl"
        ending = time.monotonic() + 60
        while not (record.exists() and b'"done"' in record.read_bytes()):
            assert process.poll() is None or b'"done"' in record.read_bytes()
            assert time.monotonic() < ending
        process.send_signal(signal.SIGKILL)
    said = report("out", status=1)
    assert said["done"] > 0
    assert len(said["missing"]) == 200 - said["done"]
    assert set(said["missing"].values()) == {"1/1"}
    assert f"{next(iter(said['missing']))}: missing, planned by shard 1/1\n" in call("report", "out", status=1).stdout
    with record.open("a") as stream:
        stream.write('{"name": "day0/photo0')  # by a system that lost power, say
    call("in", "-o", "out", "--shard", "1/1", "--skip-existing", "-q")
    assert len(made(photos / "out")) == 200
    assert '{"name": "day0/photo0' in record.read_text().splitlines()
    said = report("out")
    assert said["done"] + said["skipped"] == 200


def test_a_plan_that_is_not_complete_is_no_record(photos: Path) -> None:
    call("in", "-o", "out", "--shard", "1/2", "-q")
    record = photos / "out" / ".upscale" / "shard-1-of-2.jsonl"
    record.write_text("".join(record.read_text().splitlines(keepends=True)[:3]))
    assert report("out", status=1)["absent"] == ["1/2", "2/2"]


def test_lines_that_say_nothing_are_left_out(photos: Path) -> None:
    call("in", "-o", "out", "--shard", "1/1", "-q")
    with (photos / "out" / ".upscale" / "shard-1-of-1.jsonl").open("a") as stream:
        stream.write(
            '\n[]\n3\n{}\nnull\n{"name": []}\n{"name": "x"}\n{"shard": 3}\n{"name": "y", "state": "failed"}\n"\n'
        )
    (photos / "out" / ".upscale" / "notes.txt").write_text("mine")
    assert report("out")["done"] == 24


def test_the_latest_line_counts_whichever_record_it_is_in(photos: Path) -> None:
    """A picture that fails in one set of shards and is made in another, in both orders."""
    bad = photos / "in" / "day1" / "photo001.png"
    good = bad.read_bytes()
    bad.write_text("not an image")
    call("in", "-o", "out", "--shard", "1/1", "-q", status=1)
    bad.write_bytes(good)
    for number in (1, 2, 3):
        call("in", "-o", "out", "--shard", f"{number}/3", "--skip-existing", "-q")
    assert report("out")["failed"] == {}
    bad.write_text("not an image")
    call("in", "-o", "out", "--shard", "1/1", "--overwrite", "-q", status=1)
    assert list(report("out", status=1)["failed"]) == ["day1/photo001.png"]


@needs_posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_listed_is_in_the_report(photos: Path) -> None:
    (photos / "in" / "day1").chmod(0)
    call("in", "-o", "out", "--shard", "1/1", "-q", status=1)
    (photos / "in" / "day1").chmod(0o755)
    assert list(report("out", status=1)["unlisted"]) == ["in/day1"]
    call("in", "-o", "out", "--shard", "1/1", "--skip-existing", "-q")
    assert report("out")["unlisted"] == {}


def test_a_folder_without_images_is_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    call("in", "-o", "out", "--shard", "1/1", "-q", status=1)
    assert call("report", "out", status=1).stdout == "in: has no image of a known format.\n0 done, 1 not listed.\n"
    Image.new("L", (2, 2)).save(tmp_path / "in" / "a.png")
    call("in", "-o", "out", "--shard", "1/1", "-q")
    assert call("report", "out").stdout == "1 done.\n"


def test_a_record_that_cannot_be_begun_stops_the_run(photos: Path) -> None:
    (photos / "out").mkdir()
    (photos / "out" / ".upscale").write_text("mine")
    said = call("in", "-o", "out", "--shard", "1/1", status=1).stderr
    assert re.fullmatch(
        r'upscale: the record "out/.upscale/shard-1-of-1.jsonl" cannot be written: [\w ]+[;.].*\n', said
    )
    assert made(photos / "out") == {}


def test_a_record_that_cannot_be_continued_is_an_error(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    begin = records.Record.begin

    def begin_and_fill(record: records.Record, plan: Any) -> None:
        begin(record, plan)
        path = photos / "out" / ".upscale" / "shard-1-of-1.jsonl"
        path.unlink()
        path.symlink_to("/dev/full")

    monkeypatch.setattr(records.Record, "begin", begin_and_fill)
    result = call("in", "-o", "out", "--shard", "1/1", status=1)
    assert "the record" in result.stderr.splitlines()[-1]
    assert "No space left on device" in result.stderr.splitlines()[-1]
    assert len(made(photos / "out")) == 24


def test_a_file_called_report_is_enlarged(photos: Path) -> None:
    shutil.copy(photos / "in" / "day0" / "photo000.png", photos / "report")
    call("report", status=0)
    assert Image.open(photos / "report_2x.png").size == (10, 8)
    call("./report", "-s", 3)
    assert Image.open(photos / "report_3x.png").size == (15, 12)
    assert call("report", "--help").stdout.startswith("Add up the records")
    assert "See upscale report --help" in subprocess.run(
        [*UPSCALE, "report", "-s", "3"], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    ).stderr  # fmt: skip


# Recipes of docs/clusters.md.

PAGE = ROOT / "docs" / "clusters.md"
needs_parallel = pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not installed")
FAKES = {
    "ssh": '#!/bin/sh\necho "$1" >>"$HOME/hosts"\nshift\n[ "$1" = -- ] && shift\nSHELL=/bin/sh exec sh -c "$*"\n',
    "srun": '#!/bin/sh\nexec "$@"\n',
    "aws": '#!/bin/sh\nprintf "%s\\0" "$@"\n',
    "upscale": '#!/bin/sh\necho "$*" >>"$HOME/typed"\n',
}
"""What stands for programs that need other machines: they run on this one, or tell what they were asked for.

`ssh` sets `SHELL`, as sshd does: without it GNU parallel runs nothing and reports success. Commands are written down,
and then run in this process, which takes a tenth of the time.
"""


def recipe(heading: str) -> str:
    """Return the text of a recipe, for 2 shards in place of 64, and folders in place of buckets."""
    text = PAGE.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    block = re.search(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert block[1].count("64") > 1
    return block[1].replace("64", "2").replace("s3://bucket/", "").replace(" in/", " photos/")


@pytest.fixture
def machine(photos: Path) -> dict[str, str]:
    """The environment of a machine that has `FAKES`; 24 pictures lie in `photos`."""
    if os.name != "posix":
        pytest.skip("recipes are for a POSIX shell")
    (photos / "bin").mkdir()
    for name, script in FAKES.items():
        (photos / "bin" / name).write_text(script)
        (photos / "bin" / name).chmod(0o755)
    (photos / "in").rename(photos / "photos")
    return os.environ | {"HOME": str(photos), "PATH": f"{photos / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def shell(script: str, environment: dict[str, str]) -> str:
    """Return what a script prints, which must end well."""
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def assert_all_is_made(photos: Path) -> None:
    """Run the commands that were typed, and look at what they made."""
    typed = (photos / "typed").read_text().splitlines()
    assert len(set(typed)) == len(typed)
    for line in typed:
        call(*line.split())
    assert made(photos / "photos").keys() == made(photos / "large").keys()
    assert sorted(path.name for path in (photos / "large" / ".upscale").iterdir()) == [
        f"shard-{number}-of-2.jsonl" for number in (1, 2)
    ]
    assert set(outcomes(photos / "large").values()) == {1}
    assert report("large")["done"] == 24


def test_the_page_shows_the_arithmetic() -> None:
    text = PAGE.read_text("utf-8")
    assert fleet.written(text) == text, "run python bench/fleet.py --write"


def test_the_arithmetic_is_that_of_a_calculation_by_hand() -> None:
    """1,000 workers make 10,000 photographs each."""
    parts = fleet.PARTS._replace(start=1, photo=0.3, listed=1e-4, header=0.01, gets=3, puts=1)
    thousand = fleet.Fleet(1000, parts=parts)
    assert thousand.listing == pytest.approx(10_000 * 0.05 + 1000)
    assert (thousand.planning, thousand.making) == pytest.approx((100, 3000))
    assert thousand.seconds == pytest.approx(1 + 1500 + 100 + 3000 + 300)
    assert thousand.core_hours == pytest.approx(1000 * 4601 / 3600)
    assert thousand.requests == (10**7, 3 * 10**7, 10**7)
    assert thousand.dollars == pytest.approx((1000 * 4601 / 3600 * 0.04, 12 + 100))
    assert fleet.Fleet(1, parts=parts).waiting == 0


@needs_parallel
def test_the_recipe_for_ssh(photos: Path, machine: dict[str, str]) -> None:
    shell(recipe("GNU parallel over ssh"), machine)
    assert (photos / "typed").read_text().splitlines()[-1] == "report large/"
    assert set((photos / "hosts").read_text().split()) == {"node1", "node2"}
    assert_all_is_made(photos)


def test_the_recipe_for_slurm(photos: Path, machine: dict[str, str]) -> None:
    script = recipe("Slurm")
    (photos / "upscale.sh").write_text(script)
    assert re.findall(r"^#SBATCH .*--array=1-(\d+)%\d+$", script, re.MULTILINE) == ["2"]
    for number in (1, 2):
        more = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_CPUS_PER_TASK": "1"}
        shell("bash upscale.sh", machine | more)
    assert_all_is_made(photos)


def test_the_recipe_for_kubernetes(photos: Path, machine: dict[str, str]) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    spec = yaml.safe_load(recipe("Kubernetes"))["spec"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", 2)
    (container,) = spec["template"]["spec"]["containers"]
    for index in range(2):
        line = [*container["command"], *container["args"]]
        subprocess.run(line, env=machine | {"JOB_COMPLETION_INDEX": str(index)}, check=True, timeout=60)
    assert_all_is_made(photos)


def test_the_recipe_for_aws_batch(photos: Path, machine: dict[str, str]) -> None:
    words = shell(recipe("AWS Batch"), machine).split("\0")
    asked = dict(zip(words[2::2], words[3::2], strict=False))
    assert asked["--array-properties"] == "size=2"
    for index in range(2):
        line = json.loads(asked["--container-overrides"])["command"]
        subprocess.run(line, env=machine | {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)}, check=True, timeout=60)
    assert_all_is_made(photos)


@pytest.mark.long
@needs_parallel
def test_16_shards_of_500_files_by_gnu_parallel(photos: Path) -> None:
    """Nothing is missing and nothing doubled; the largest shard is at most 1.25 times the mean."""
    (photos / "in").rename(photos / "photos")
    for number in range(24, 500):
        target = photos / "photos" / f"day{number % 2}" / f"photo{number:03}.png"
        shutil.copy(photos / "photos" / "day0" / "photo000.png", target)
    environment = with_scripts(photos / "scripts") | {"HOME": str(photos)}
    shell("seq 16 | parallel -j 2 upscale photos -o large -q -j 1 --shard {}/16", environment)
    call("photos", "-o", "one", "-q", "--shard", "1/1")
    assert len(made(photos / "one")) == 500
    assert made(photos / "large") == made(photos / "one")
    assert outcomes(photos / "large") == outcomes(photos / "one")
    assert set(outcomes(photos / "one").values()) == {1}
    assert report("large") == report("one")
    sizes = [path.read_text().count('"done"') for path in (photos / "large" / ".upscale").iterdir()]
    assert (len(sizes), sum(sizes)) == (16, 500)
    assert max(sizes) <= 1.25 * 500 / 16


# Stores.


@pytest.mark.long
@needs_store
def test_records_of_stores_are_objects(store: Store, photos: Path) -> None:
    """The next run goes on with them, and a report reads them."""
    bucket: str = store.bucket()
    store.put(bucket, {f"in/{place}": content for place, content in made(photos / "in").items()})
    call("in", "-o", "local", "--shard", "1/2", "-q")
    first = (photos / "local" / ".upscale" / "shard-1-of-2.jsonl").read_bytes()
    store.put(bucket, {"out/.upscale/shard-1-of-2.jsonl": first})
    environment = store.environment() | {"PYTHONPATH": str(ROOT)}

    line = [*UPSCALE, f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", "-q", "--shard", "1/2"]
    ended = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    results = store.contents(bucket, "out/")
    record = results.pop(".upscale/shard-1-of-2.jsonl")
    assert results == made(photos / "local")
    assert record.startswith(first)
    assert record.count(b'"done"') == 2 * first.count(b'"done"') > 0


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The store of fsspec that is a mapping in this process, empty."""
    fsspec = pytest.importorskip("fsspec", reason="needs the extra cloud: fsspec")
    system = fsspec.filesystem("memory")
    monkeypatch.setattr(type(system), "store", {})
    return system


def test_a_record_is_written_as_a_whole_once_a_minute(
    photos: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a shard begins, when a minute is over, and when it ends: what it has written by then is there."""
    puts: list[int] = []
    clock = [1000.0]
    close, end = records.Record.close, records.Record.end

    def closed(record: records.Record) -> None:
        close(record)
        puts.append(memory.cat("memory://out/.upscale/shard-1-of-1.jsonl").count(b'"done"'))

    def ended(record: records.Record, *words: Any) -> None:
        clock[0] += 25
        end(record, *words)

    monkeypatch.setattr(records.Record, "close", closed)
    monkeypatch.setattr(records.Record, "end", ended)
    monkeypatch.setattr(records, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    call("in", "-o", "memory://out/", "-q", "-j", 1, "--shard", "1/1")
    assert puts == [0, 3, 6, 9, 12, 15, 18, 21, 24, 24]
    assert report("memory://out/")["done"] == 24


def test_a_shard_in_a_store_that_is_stopped_leaves_its_plan(
    photos: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*words: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(records.Record, "end", lost)
    CliRunner().invoke(cli, ["in", "-o", "memory://out/", "-q", "-j", "1", "--shard", "1/1"])
    assert len(report("memory://out/", status=1)["missing"]) == 24

"""Whether the data of JPEGs is whole: damage is said, or refused, and nothing is said of whole ones."""

import io
import os
import random
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import encoded, enlarged
from PIL import Image

from upscale_cli.codecs.jpeg_segments import DRI, FRAMES, SOS, Segment, segments
from upscale_cli.errors import UpscaleError

SCENE = Path(__file__).parents[1] / "sample_images" / "scene.png"
DAMAGED = "its data is damaged, so some of its pixels may be wrong"

KINDS: dict[str, dict[str, Any]] = {
    "one scan": {},
    "one scan, optimised": {"subsampling": 0, "optimize": True, "quality": 95},
    "grey": {"mode": "L"},
    "grey, coarse": {"mode": "L", "optimize": True, "quality": 20},
    "ink": {"mode": "CMYK"},
    "a marker after each row": {"restart_marker_rows": 1},
    "a marker after each unit": {"restart_marker_blocks": 1, "subsampling": 0},
    "markers, grey": {"mode": "L", "restart_marker_blocks": 7},
    "progressive": {"progressive": True},
    "progressive, whole colour": {"progressive": True, "subsampling": 0, "quality": 92},
    "progressive, grey": {"progressive": True, "mode": "L"},
    "red, green and blue": {"keep_rgb": True},
    "red, green and blue, a marker after some units": {"keep_rgb": True, "restart_marker_blocks": 5},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind: str, width: int = 200, height: int = 133, *, left: int = 30, top: int = 10) -> bytes:
    """A piece of a photograph as a JPEG of a kind."""
    options = {"quality": 75} | KINDS[kind]
    with Image.open(SCENE) as image:
        piece = (
            image.convert(options.pop("mode", "RGB")).resize((512, 384)).crop((left, top, left + width, top + height))
        )
    return encoded(piece, "JPEG", **options)


def data_of(content: bytes) -> list[tuple[Segment, int]]:
    """The scans of a file, and where the data of each ends."""
    found = list(segments(io.BytesIO(content)))
    return [(scan, after.start) for scan, after in pairwise(found) if scan.marker == SOS]


def outcome(content: bytes) -> str:
    """What is said about a file: nothing, that it is damaged, or that it is refused."""
    try:
        _, result = enlarged(content)
    except UpscaleError:
        return "refused"
    assert result.notes in ([], [DAMAGED])
    return "damaged" if result.notes else ""


@each_kind
@pytest.mark.parametrize("size", [(200, 133), (16, 16), (17, 9), (1, 1), (1, 300), (400, 40), (40, 8), (8, 40)])
def test_nothing_is_said_of_a_whole_file_and_its_pixels_are_those_of_pillow(kind: str, size: tuple[int, int]) -> None:
    content = made(kind, *size)
    data, result = enlarged(content, "tiff")
    assert result.notes == []
    with Image.open(io.BytesIO(content)) as wanted, Image.open(io.BytesIO(data)) as found:
        np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


def test_nothing_is_said_of_whole_scans_with_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "scans with markers", {"progressive": True, "restart_marker_rows": 1})
    assert outcome(made("scans with markers")) == ""


@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="jpegtran is not installed")
@pytest.mark.parametrize("restart", [(), ("-restart", "2B"), ("-restart", "3B")], ids=str)
@pytest.mark.parametrize("scans", ["0 1; 2;", "0; 1; 2;", "0; 1 2;", "2; 1; 0;"])
def test_nothing_is_said_of_several_scans_of_one_precision(
    scans: str, restart: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "scans").write_text(scans)
    line = ["jpegtran", "-scans", str(tmp_path / "scans"), *restart]
    joint = scans.startswith("0 1;")
    source = made("one scan", 199, 144 if joint else 133)
    content = bytearray(subprocess.run(line, input=source, stdout=subprocess.PIPE, check=True).stdout)
    assert len(data_of(bytes(content))) > 1
    if joint:
        # Encoders may fill the last units, of which there are as many, with what they like: here, with more rows.
        frame = next(each for each in segments(io.BytesIO(content)) if each.marker in FRAMES)
        at = frame.end - len(frame.content) + 1
        content[at : at + 2] = (133).to_bytes(2, "big")
    assert outcome(bytes(content)) == ""


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (130, 120, 140)])
@each_kind
def test_nothing_is_said_of_flat_pictures(kind: str, colour: tuple[int, int, int]) -> None:
    options = {"quality": 75} | KINDS[kind]
    flat = Image.new("RGB", (100, 80), colour).convert(options.pop("mode", "RGB"))
    assert outcome(encoded(flat, "JPEG", **options)) == ""


@each_kind
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("change", ["fewer", "more"])
def test_damaged_data_is_said_or_refused(kind: str, share: float, change: str) -> None:
    content = made(kind)
    scan, stop = data_of(content)[0 if "progressive" not in kind else 1]
    at = scan.end + int((stop - scan.end) * share)
    length = (stop - scan.end) // 8
    piece = re.sub(rb"\xff.", b"", content[at : at + length], flags=re.DOTALL)
    assert outcome(content[:at] + {"fewer": b"", "more": 3 * piece}[change] + content[at + length :])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "progressive" in kind])
@pytest.mark.parametrize("width", [8, 16, 33])
def test_narrow_pictures_are_no_exception(kind: str, width: int) -> None:
    content = made(kind, width, 384)
    *_, (scan, stop), _ = sorted(data_of(content), key=lambda each: each[1] - each[0].end)
    at = (scan.end + stop) // 2
    piece = re.sub(rb"\xff.", b"", content[at : at + 60], flags=re.DOTALL)
    assert outcome(content[:at] + piece + content[at:]) == "damaged"


@each_kind
@pytest.mark.parametrize("rows", [8, 16, 40])
def test_rows_that_the_header_hides_are_said(kind: str, rows: int) -> None:
    content = bytearray(made(kind, height=144))
    frame = next(each for each in segments(io.BytesIO(content)) if each.marker in FRAMES)
    at = frame.end - len(frame.content) + 1
    content[at : at + 2] = (144 - rows).to_bytes(2, "big")
    down = 16 if frame.content[7] >> 4 == 2 and len(frame.content) > 9 else 8
    # Scans of luma alone have no more rows of blocks than there are.
    assert outcome(bytes(content)) == ("damaged" if rows >= down or kind == "progressive" else "")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "marker" in kind])
@pytest.mark.parametrize("which", [0, 2, -1])
def test_a_marker_that_is_missing_or_another_is_said(kind: str, which: int) -> None:
    content = made(kind)
    (scan, stop), *_ = data_of(content)
    place = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", content[scan.end : stop])][which] + scan.end
    assert outcome(content[:place] + content[place + 2 :])
    other = bytes((0xFF, 0xD0 + (content[place + 1] + 3) % 8))
    assert outcome(content[:place] + other + content[place + 2 :])


@each_kind
@pytest.mark.parametrize("padding", [b"\0", b"\0\0\0\0", b"\xff", b"\0\xff\xff"])
def test_padding_is_no_damage(kind: str, padding: bytes) -> None:
    """Cameras fill data up to whole words."""
    content = made(kind)
    _, stop = data_of(content)[-1]
    if KINDS[kind].get("progressive") and b"\0" in padding:
        pytest.skip("of several scans zeros are not known to be padding")
    assert outcome(content[:stop] + padding + content[stop:]) == ""


def test_a_marker_behind_the_last_part_is_no_damage() -> None:
    """As Casio's EX-S1 writes one."""
    content = made("a marker after each row", height=160)
    assert outcome(content[:-2] + b"\xff\xd1" + content[-2:]) == ""


def test_the_last_interval_before_a_scan_counts() -> None:
    """It may be none. What stands behind the scan means nothing, whatever its length."""
    content = made("a marker after each row", height=16)
    restart = next(each for each in segments(io.BytesIO(content)) if each.marker == DRI)
    none = b"\xff\xdd\0\4\0\0"
    assert outcome(content[: restart.start] + none + content[restart.end :]) == ""
    assert outcome(content[: restart.end] + none + content[restart.end :]) == ""
    plain = made("one scan")
    for behind in (b"\xff\xdd\0\2", b"\xff\xdd\0\4\0\5", none):
        assert outcome(plain[:-2] + behind + plain[-2:]) == ""


@pytest.mark.skipif(shutil.which("djpeg") is None, reason="djpeg is not installed")
@pytest.mark.parametrize("group", ["^(one|grey|ink)", "marker", "progressive"])
def test_libjpeg_warns_of_the_same_files(group: str) -> None:
    """One bit is wrong, or some bytes are missing. In a tenth at most it may be that no pixel shows it."""
    rng = random.Random(group)
    warned = missed = 0
    for kind in [kind for kind in KINDS if re.search(group, kind)] * 20:
        size = rng.choice([(208, 144), (96, 208), (384, 256)])
        content = bytearray(made(kind, *size, left=rng.randrange(100), top=rng.randrange(100)))
        scans = data_of(bytes(content))
        at = rng.randrange(scans[0][0].end, scans[-1][1] - 3)
        content[at] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            del content[at : at + rng.randrange(1, 50)]
        asked = ["djpeg", "-scale", "1/8", "-outfile", os.devnull]
        done = subprocess.run(asked, input=bytes(content), capture_output=True, check=False)
        said = outcome(bytes(content))
        warned += bool(done.stderr)
        missed += bool(done.stderr) and not said
    assert warned >= 20
    assert missed <= warned // 10

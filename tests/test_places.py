"""URLs: what fsspec reaches is read and written as files are, mirrored, skipped, refused; beside boto3 and a local run."""

import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from store import needs_store

if TYPE_CHECKING:
    from store import Store

pytestmark = [needs_store, pytest.mark.xdist_group("store")]
Run = Callable[..., subprocess.CompletedProcess[str]]


def photo(seed: int, format: str = "PNG", size: tuple[int, int] = (12, 8)) -> bytes:
    """Return a picture of noise as a file."""
    stream = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(values).save(stream, format)
    return stream.getvalue()


@pytest.fixture
def up(store: "Store", tmp_path: Path) -> Run:
    """What runs a command of the package in a process of its own, in a folder of its own, with the store."""

    def run(*arguments: str, command: str = "upscale", **environment: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", f"from upscale_cli.commands.{command} import main; main()", *arguments]
        return subprocess.run(
            line, cwd=tmp_path, env=store.environment() | environment, capture_output=True, text=True, timeout=120
        )

    return run


def lines(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return what a command said, after a look at it."""
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()


def local(folder: Path, contents: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def read(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


TREE = {
    **{f"p{number}.png": photo(number) for number in range(3)},
    "sub/q.jpg": photo(4, "JPEG"),
    "sub/deeper/ä #1?x=2%20 b.png": photo(5),
    "sub/lies.png": photo(6, "JPEG"),
}
OTHERS = {"notes.txt": b"x", ".hidden.png": b"x", "sub/.upscale/shard.png": b"x", "@eaDir/p0.png": b"x", "raw.cr2": b"x"}


def test_a_prefix_is_a_folder(store: "Store", up: Run, tmp_path: Path) -> None:
    """Every way between a bucket and a folder gives the same files, and says the same."""
    bucket = store.bucket()
    store.put(bucket, {f"in/{name}": content for name, content in (TREE | OTHERS).items()} | {"in/sub/": b"", "inner.png": b"x"})
    local(tmp_path / "in", TREE | OTHERS)
    wanted = up("in", "-o", "out")
    assert wanted.returncode == 0, wanted.stderr
    expected = read(tmp_path / "out")
    assert len(expected) == len(TREE)
    assert "sub/lies.jpg" in expected
    for source, target in ((f"s3://{bucket}/in", f"s3://{bucket}/out"), (f"s3://{bucket}/in/", "here/"), ("in", f"s3://{bucket}/up/")):
        done = up(source, "-o", target)
        assert done.returncode == 0, done.stderr
        said = (lines(done)[-1].partition(" in ")[0], lines(done)[-1].partition("; ")[2])
        assert said == ("6 images enlarged,", "1 .cr2, 1 .txt left alone.")
    assert store.contents(bucket, "out/") == store.contents(bucket, "up/") == read(tmp_path / "here") == expected


def test_what_is_there_stays(store: "Store", up: Run) -> None:
    bucket = store.bucket()
    store.put(bucket, {"in/a.png": photo(1), "in/b.png": photo(2), "in_2x/a.png": b"theirs"})
    source = f"s3://{bucket}/in/"
    planned = up(source, "-n")
    assert planned.stdout == f"s3://{bucket}/in/b.png 12x8 → s3://{bucket}/in_2x/b.png 24x16\n"
    refused = up(source)
    assert refused.returncode == 1
    assert lines(refused)[0] == (
        f's3://{bucket}/in/a.png: "s3://{bucket}/in_2x/a.png" exists already; use --overwrite or --skip-existing.'
    )
    assert store.names(bucket, "in_2x/") == ["in_2x/a.png", "in_2x/b.png"]
    skipped = up(source, "--skip-existing")
    assert (skipped.returncode, lines(skipped)[0][:31]) == (0, "No image enlarged, 2 skipped, i")
    assert store.contents(bucket, "in_2x/")["a.png"] == b"theirs"
    assert up(source, "--overwrite").returncode == 0
    assert store.contents(bucket, "in_2x/")["a.png"] != b"theirs"

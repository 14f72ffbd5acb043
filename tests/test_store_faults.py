"""Stores that fail, and clients that are killed: every object is complete or absent; a second run makes the rest."""

import io
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from breaking import Record
from proxy import BROKEN, BUSY, Asked, Fault, failing, one_in_five
from store import Store, made_here, needs_store, pictures

pytestmark = needs_store

IMPATIENT = {"FSSPEC_S3": '{"config_kwargs": {"read_timeout": 1, "connect_timeout": 5}}'}
"""The variable that makes a client wait for a second in place of a minute."""
ALL = (BUSY, BROKEN, Fault("reset"), Fault("lost"), Fault("cut"), Fault("silent"))
KILLS = 20


# One request in five ------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "faults"),
    [(60, (BUSY, BROKEN)), (60, ALL[2:4]), (60, ALL[4:5]), (60, ALL[5:]), (500, ALL)],
    ids=lambda value: "-".join(fault.kind for fault in value) if isinstance(value, tuple) else value,
)
def test_one_request_in_five_fails_and_all_images_are_made(
    number: int, faults: tuple[Fault, ...], store: Store, tmp_path: Path, record_property: Record
) -> None:
    objects = pictures(number)
    expected, bucket = made_here(tmp_path, objects, "-s", "2"), store.bucket()
    store.fill(bucket, list(objects), *objects.values(), prefix="in/")
    with failing(store.endpoint, one_in_five(*faults)) as proxy:
        words = ("-s", "2", "-j", "4", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/")
        done = store.run(*words, endpoint=proxy.endpoint, **IMPATIENT)
    spoiled = [fault.kind for _, fault in proxy.log if fault is not None]
    assert done.returncode == 0, done.stderr.decode()
    assert store.contents(bucket, "out/") == expected
    assert store.uploads(bucket) == []
    assert len(spoiled) > len(proxy.log) / 10, "too little was spoiled: nothing was tested"
    assert set(spoiled) == {fault.kind for fault in faults}
    record_property("spoiled", [number, len(spoiled), len(proxy.log)])


@pytest.mark.long
def test_a_store_that_always_fails_is_asked_five_times(store: Store) -> None:
    bucket, objects = store.bucket(), pictures(2)
    store.put(bucket, objects, prefix="in/")
    first, second = objects
    with failing(store.endpoint, lambda asked: BUSY if asked.key.endswith(f"in/{first}") else None) as proxy:
        done = store.run("-s", "2", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", endpoint=proxy.endpoint)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert [line for line in lines if line.startswith(f"s3://{bucket}/in/{first}: ")], lines
    assert len(proxy.asked("GET", first)) == 5
    assert store.names(bucket, "out/") == [f"out/{second}"]


@pytest.mark.long
def test_a_bad_picture_is_not_asked_for_again(store: Store) -> None:
    bucket, objects = store.bucket(), pictures(2)
    first, second = objects
    objects[first] = objects[first][:-200]
    store.put(bucket, objects, prefix="in/")
    with failing(store.endpoint) as proxy:
        done = store.run("-s", "2", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", endpoint=proxy.endpoint)
    assert done.returncode == 1
    assert len(proxy.asked("GET", first)) <= 2
    assert store.names(bucket, "out/") == [f"out/{second}"]


# Clients that are killed --------------------------------------------------------------------------------------------


class Kill:
    """Kills a client after so many moments of its uploads, or of all its requests, and a little later."""

    def __init__(self, moments: int, later: float, method: str) -> None:
        self._left, self._later, self._method = moments, later, method
        self.client: subprocess.Popen[bytes] | None = None

    def __call__(self, asked: Asked, moment: str) -> None:
        self._left -= self._method in ("", asked.method)
        if self._left == 0 and self.client is not None:
            self._left = -1
            time.sleep(self._later)
            self.client.send_signal(signal.SIGKILL)


@pytest.mark.long
def test_a_client_that_is_killed_leaves_whole_objects(store: Store, tmp_path: Path, record_property: Record) -> None:
    """Twenty times at a random moment, among them the middle of an upload, and before the store's answer to one."""
    objects = pictures(7) | pictures(1, side=300)
    expected, moments = made_here(tmp_path, objects, "-s", "4"), random.Random(17)
    (tmp_path / "spool").mkdir()
    some = 0
    for number in range(KILLS):
        bucket = store.bucket()
        store.fill(bucket, list(objects), *objects.values(), prefix="in/")
        words = ("-s", "4", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", "--skip-existing")
        # Each upload has two moments: half of it has arrived, and it is carried out but not answered.
        method = "" if number % 5 == 4 else "PUT"
        kill = Kill(moments.randrange(1, 15 if method else 30), moments.choice([0, moments.uniform(0, 0.05)]), method)
        with failing(store.endpoint, watch=kill) as proxy:
            kill.client = client = store.start(*words, endpoint=proxy.endpoint, TMPDIR=str(tmp_path / "spool"))
            _, said = client.communicate(timeout=120)
        made = store.contents(bucket, "out/")
        assert client.returncode == -signal.SIGKILL, said.decode()
        assert made == {name: expected[name] for name in made}, f"a part of an object, after kill {number}"
        assert store.uploads(bucket) == []
        assert list((tmp_path / "spool").iterdir()) == []
        some += 0 < len(made) < len(expected)
        done = store.run(*words)
        assert done.returncode == 0, done.stderr.decode()
        assert store.contents(bucket, "out/") == expected
        assert store.uploads(bucket) == []
    assert some >= KILLS // 2, "most clients were killed before or after all of their work: nothing was tested"
    record_property("kills", [KILLS, some])


@pytest.mark.long
def test_a_client_that_is_killed_in_a_large_upload_leaves_nothing(store: Store, tmp_path: Path) -> None:
    """Above 100 MB, s3fs as a rule sends objects in parts, which cost money until somebody aborts the upload."""
    bucket, stream = store.bucket(), io.BytesIO()
    np.save(stream, np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), np.uint8))
    store.put(bucket, {"in/large.npy": stream.getvalue()})
    words = ("-s", "2", "-m", "nearest", f"s3://{bucket}/in/large.npy", "-o", f"s3://{bucket}/out/large.npy")
    kill = Kill(1, 0.0, "PUT")
    with failing(store.endpoint, watch=kill) as proxy:
        kill.client = client = store.start(*words, endpoint=proxy.endpoint, TMPDIR=str(tmp_path))
        client.communicate(timeout=120)
    assert client.returncode == -signal.SIGKILL
    assert proxy.asked("PUT")[0].size > 100_000_000
    assert store.names(bucket, "out/") == []
    assert store.uploads(bucket) == []
    assert list(tmp_path.iterdir()) == []
    done = store.run(*words)
    assert done.returncode == 0, done.stderr.decode()
    large = np.load(io.BytesIO(store.contents(bucket, "out/")["large.npy"]))
    assert (large[::2, ::2] == np.load(io.BytesIO(stream.getvalue()))).all()
    assert large.shape == (6000, 6000, 3)

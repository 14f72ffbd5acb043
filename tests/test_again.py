"""Jobs that are carried out twice: one whole target, and no false failure."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from breaking import POOL, UPSCALE, contents, ended, needs_fuse, picture, status_here
from pictures import PLAIN, animated, noise
from PIL import Image
from proxy import Asked, Fault, failing
from store import Store, needs_store

from upscale_cli.batch.plan import Plan, Work, make_plan
from upscale_cli.batch.run import Outcome, Run, Stopped, run_job
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.errors import NeedlessError, UpscaleError
from upscale_cli.machine import durable, replacing
from upscale_cli.methods import METHODS
from upscale_cli.methods.pooling import Windows
from upscale_cli.places import files
from upscale_cli.work.pool import Pooling
from upscale_cli.work.request import Request

LANCZOS = Request(method=METHODS["lanczos"])
MAXIMA = Pooling(windows=Windows((2, 2)))
SAME = "the same result was there already"
NOT_IN_BYTES = ", but not byte for byte"


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
    assert [notes_of(outcome) for outcome in again] == [[*notes_of(outcome), SAME] for outcome in first]


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


def test_half_a_pair_is_completed_although_what_exists_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that dies between the two names does so after this one has seen that neither exists."""
    picture(tmp_path / "in" / "a.png")
    plan, made = planned(tmp_path, replace(MAXIMA, resume=True), skip_existing=True), tmp_path / "made"
    carried_out(plan)
    whole = contents(made)
    for name in whole:
        (made / name).unlink()
    place = replacing._place_new

    def dying(temporary: Path, target: Path) -> None:
        if target.suffix == ".npz":
            target.write_bytes(whole[target.name])
        place(temporary, target)

    monkeypatch.setattr(replacing, "_place_new", dying)
    assert notes_of(carried_out(plan)[0]) == [SAME]
    assert contents(made) == whole


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


def at_once(folder: Path, command: str, *words: str, hosts: Sequence[Sequence[str]] = ([],) * 3) -> list[str]:
    """Run a command on some hosts, which begin to work at once, and return what each says; all must end well."""
    for i in range(8):
        picture(folder / "in" / f"{i}.png", 60, 50, seed=i)
    assert status_here([*(UPSCALE if command == "upscale" else POOL), "in", "-o", "alone"], folder) == 0
    (folder / "signs").mkdir()
    start = [sys.executable, "-c", RUNNING, str(folder / "signs")]
    more = [command, "in", "-o", "made", "-j", "2", *words]
    lines = [[*host, *start, f"{i}/{len(hosts)}", *more] for i, host in enumerate(hosts)]
    runs = [subprocess.Popen(line, cwd=folder, stderr=subprocess.PIPE, text=True) for line in lines]
    said = [run.communicate(timeout=100)[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * len(hosts), said
    return said


VERBS = {"upscale": "enlarged", "pool": "pooled"}
OTHERS = [("pool", False), ("pool", True), ("upscale", False)]


@pytest.mark.parametrize(
    ("command", "skip"),
    [("upscale", True), *(pytest.param(*each, marks=pytest.mark.long) for each in OTHERS)],
)
def test_runs_at_once_all_end_well(command: str, skip: bool, tmp_path: Path) -> None:
    said = at_once(tmp_path, command, *["--skip-existing"] * skip)
    assert contents(tmp_path / "made") == contents(tmp_path / "alone")
    if skip:  # half of a pair is completed
        assert command == "pool" or SAME not in "".join(said)
    else:
        assert all(each.splitlines()[-1].startswith(f"8 images {VERBS[command]}, in") for each in said)
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


ROUNDED: dict[str, Callable[[Path], None]] = {
    "compressed in another way": saved(first(0, 0), compress_level=1),
    "a few by 1": saved(first(14, 1)),
}
OTHER: dict[str, Callable[[Path], object]] = {
    "one by 2": saved(first(1, 2)),
    "more by 1": saved(first(15, 1)),
    "another size": lambda path: Image.new("RGB", (81, 60)).save(path),
    "other channels": lambda path: Image.new("RGBA", (80, 60)).save(path),
    "another format": saved(first(0, 0), format="BMP"),
    "no image": lambda path: path.write_text("mine"),
    "nothing": lambda path: path.write_bytes(b""),
    "half of it": lambda path: os.truncate(path, 1000),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_results_of_other_processors_and_libraries_are_the_same(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    plan = planned(tmp_path, LANCZOS)
    carried_out(plan)
    ROUNDED[name](tmp_path / "made" / "a.png")
    before = contents(tmp_path / "made")
    (outcome,) = carried_out(plan)
    assert notes_of(outcome) == [SAME + NOT_IN_BYTES]
    assert contents(tmp_path / "made") == before


def test_arrays_and_indices_are_compared_by_their_values(tmp_path: Path) -> None:
    """Floats, also of small values, and not finite ones; and indices that another library compresses."""
    (tmp_path / "in").mkdir()
    array = np.random.default_rng(0).normal(size=(12, 10)).astype(np.float32) * 1e-6
    array[3, 4] = np.nan
    np.save(tmp_path / "in" / "a.npy", array)
    plan, made = planned(tmp_path, Request(method=METHODS["nearest"])), tmp_path / "made" / "a.npy"
    carried_out(plan)
    whole = np.load(made)
    for factor, same in ((1 + 5e-6, True), (1 + 1e-4, False)):
        np.save(made, (whole * factor).astype(np.float32))
        (outcome,) = carried_out(plan)
        assert (outcome.failure is None) == same
    np.save(made, np.nan_to_num(whole))
    assert carried_out(plan)[0].failure is not None

    (tmp_path / "in" / "a.npy").unlink()
    picture(tmp_path / "in" / "b.png")
    plan, made = planned(tmp_path, MAXIMA), tmp_path / "made" / "b.indices.npz"
    carried_out(plan)
    arrays = dict(np.load(made))
    np.savez(made, **arrays)
    assert notes_of(carried_out(plan)[0]) == [SAME + NOT_IN_BYTES]
    np.savez(made, **arrays | {"indices": arrays["indices"] + 1})
    assert carried_out(plan)[0].failure is not None


LOSSY = [name for name in PLAIN if FORMATS[name].lossy or name == "gif"]


@pytest.mark.parametrize("format", LOSSY)
def test_what_is_rounded_otherwise_and_then_compressed_is_the_same(format: str, tmp_path: Path) -> None:
    """At scale 1 the encoder gets the source. Two samples are changed by 1; then another quality is asked for."""
    source = tmp_path / "in" / "a.png"
    source.parent.mkdir()
    Image.open(Path(__file__).parents[1] / "sample_images" / "photo.jpg").save(source)
    work = LANCZOS.with_format(FORMATS[format])._replace(scale=(Fraction(1), Fraction(1)))
    plan, other = planned(tmp_path, work), planned(tmp_path, work._replace(quality=90))
    carried_out(plan)
    before = contents(tmp_path / "made")
    saved(first(2, 1))(source)
    (outcome,) = carried_out(plan)
    assert notes_of(outcome)[-1].startswith(SAME)
    if format == "gif":  # without a quality
        saved(first(20_000, 3))(source)
    (outcome,) = carried_out(plan if format == "gif" else other)
    # JPEG 2000 is compressed by its rate, and hardly differs.
    assert (outcome.failure is None) == (format == "jpeg2000")
    assert contents(tmp_path / "made") == before


@pytest.mark.parametrize("name", OTHER)
def test_what_another_program_wrote_is_refused_and_stays(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    plan = planned(tmp_path, LANCZOS)
    carried_out(plan)
    OTHER[name](tmp_path / "made" / "a.png")
    before = contents(tmp_path / "made")
    (outcome,) = carried_out(plan)
    said = "was written by another program meanwhile; use --overwrite to replace it."
    assert str(outcome.failure) == f'"{tmp_path}/made/a.png" {said}'
    assert contents(tmp_path / "made") == before


@pytest.mark.parametrize(("stale", "fails"), [(6, False), (99, True)])
def test_what_is_there_may_be_stale_for_a_while(
    stale: int, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "in" / "a.png")
    plan, there = planned(tmp_path, LANCZOS), tmp_path / "made" / "a.png"
    carried_out(plan)
    opened = open
    left = [stale]

    def failing_open(path: Any, *more: Any) -> Any:
        if path == there and left[0]:
            left[0] -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return opened(path, *more)

    monkeypatch.setattr(files, "open", failing_open, raising=False)
    (outcome,) = carried_out(plan)
    if fails:
        assert str(outcome.failure) == f'"{there}" cannot be read: {os.strerror(errno.ESTALE)}.'
    else:
        assert notes_of(outcome) == [SAME]


# Network file systems ----------------------------------------------------------------------------------------------


def host(folder: Path, *lies: str) -> list[str]:
    """Return how a command begins that runs on a host of its own, for which `made` is on a network file system."""
    for name in ("store", "made"):
        (folder / name).mkdir(exist_ok=True)
    return [sys.executable, str(Path(__file__).with_name("remote.py")), "store", "made", ",".join(lies)]


QUICK = ["link again"]
BROKEN: list[tuple[str, ...]] = [
    ("link again",),
    ("link again", "numbers alike"),
    ("link nothing",),
    ("link absent",),
    ("link absent", "rename absent"),
    ("link absent", "rename again"),
    ("mkdir again",),
    ("numbers alike",),
    ("stale",),
    ("locks granted",),
    ("locks refused",),
    ("locks absent",),
]
NAMED = {" and ".join(each): each for each in BROKEN}


@needs_fuse
@pytest.mark.parametrize(
    "lies",
    [pytest.param(each, marks=[] if name in QUICK else pytest.mark.long, id=name) for name, each in NAMED.items()],
)
@pytest.mark.parametrize("command", ["upscale", pytest.param("pool", marks=pytest.mark.long)])
def test_hosts_that_share_a_file_system_that_lies_end_well(
    command: str, lies: tuple[str, ...], tmp_path: Path
) -> None:
    one, two = ([*host(tmp_path, *lies)] for _ in range(2))
    at_once(tmp_path, command, hosts=[one, two])
    assert contents(tmp_path / "store") == contents(tmp_path / "alone")


HOLDING = """if True:
    import time
    from pathlib import Path
    from upscale_cli.machine.replacing import replacing
    with replacing(Path("made/held.png"), overwrite=False) as (stream,):
        stream.write(b"whole")
        Path("held").touch()
        while not Path("go").exists():
            time.sleep(0.001)
"""
"""A run whose temporary file has no name yet when another run begins, and until that has ended."""


@needs_fuse
@pytest.mark.parametrize(
    ("same_host", "lies"),
    [
        (False, ()),
        (True, ("locks granted",)),
        *(
            pytest.param(same, lies, marks=pytest.mark.long)
            for same in (True, False)
            for lies in ((), ("locks granted",), ("locks refused",), ("locks absent",))
            if (same, lies) not in ((False, ()), (True, ("locks granted",)))
        ),
    ],
    ids=lambda each: str(each) if isinstance(each, bool) else "".join(each),
)
def test_no_run_removes_the_temporary_file_of_another(same_host: bool, lies: tuple[str, ...], tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    holding, other = [sys.executable, "-c", HOLDING], [*UPSCALE, "a.png", "-o", "made/a.png"]
    wait = ["sh", "-c", 'until [ -e held ]; do sleep 0.01; done; "$@"; touch go', "sh"]
    if same_host:
        both = ["sh", "-c", '"$1" -c "$2" & shift 2; "$@"; wait $!', "sh", sys.executable, HOLDING]
        done = subprocess.run([*host(tmp_path, *lies), *both, *wait, *other], cwd=tmp_path, check=False, timeout=100)
        assert done.returncode == 0
    else:
        holder = subprocess.Popen([*host(tmp_path, *lies), *holding], cwd=tmp_path)
        subprocess.run([*wait, *host(tmp_path, *lies), *other], cwd=tmp_path, check=True, timeout=100)
        assert holder.wait(timeout=100) == 0
    assert sorted(contents(tmp_path / "store")) == ["a.png", "held.png"]


ONCE = """if True:
    import sys
    from pathlib import Path
    from upscale_cli.errors import NeedlessError
    from upscale_cli.machine.replacing import replacing
    for number, overwrite in enumerate((False, True)):
        for time in (None, (10**18, 10**18)):
            target = Path(f"made/{number}/{time}")
            target.parent.mkdir(exist_ok=True)
            with replacing(target, overwrite=overwrite, times=time) as (stream,):
                stream.write(b"mine")
    try:
        with replacing(Path("made/theirs"), overwrite=False) as (stream,):
            stream.write(b"mine")
            Path("made/theirs").write_bytes(b"another one's")
    except NeedlessError as error:
        assert "was written by another program meanwhile" in str(error)
    else:
        raise AssertionError
"""
"""Files that are replaced once, and one whose name another program takes."""


SOON = ["link again and numbers alike", "link absent and rename again"]


@needs_fuse
@pytest.mark.parametrize(
    "lies",
    [
        pytest.param(each, marks=[] if name in SOON else pytest.mark.long, id=name)
        for name, each in NAMED.items()
        if name != "stale"
    ],
)
def test_what_was_placed_is_known_although_the_system_denies_it(lies: tuple[str, ...], tmp_path: Path) -> None:
    done = ended([*host(tmp_path, *lies), sys.executable, "-c", ONCE], tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    made = contents(tmp_path / "store")
    assert made.pop("theirs") == b"another one's"
    assert made == {f"{number}/{time}": b"mine" for number in (0, 1) for time in (None, (10**18, 10**18))}


def test_a_job_of_a_run_that_is_stopped_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a run removes its temporary files itself, and what is left behind shall make no others."""
    picture(tmp_path / "in" / "a.png")
    (job,) = planned(tmp_path, LANCZOS).jobs
    begun = []

    def vanished(*arguments: object) -> None:
        begun.append(arguments)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    def stopped(pixels: int) -> None:
        raise Stopped

    monkeypatch.setattr(Request, "carry_out", vanished)
    with pytest.raises(Stopped):
        run_job(job, progress=stopped)
    assert len(begun) == 1


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE, errno.EIO])
@pytest.mark.parametrize("within", [False, True], ids=["itself", "behind another"])
def test_what_vanishes_again_and_again_is_tried_eight_times(
    number: int, within: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pixels are counted once, and any other error is final."""
    picture(tmp_path / "in" / "a.png")
    (job,) = planned(tmp_path, LANCZOS).jobs
    carry_out, begun, told = Request.carry_out, list[int](), list[int]()

    def vanished(work: Any, source: Any, target: Any, workers: Any, progress: Callable[[int], None]) -> Any:
        begun.append(1)
        progress(100)
        if len(begun) == fails + 1:
            return carry_out(work, source, target, workers, progress)
        try:
            raise OSError(number, "gone")
        except OSError:
            if within:
                raise UpscaleError("has gone") from None
            raise

    monkeypatch.setattr(Request, "carry_out", vanished)
    for fails in (7, 9):
        begun.clear()
        told.clear()
        outcome = run_job(job, progress=told.append)
        again = number != errno.EIO
        assert (outcome.failure is None) == (fails == 7 and again)
        assert len(begun) == (8 if again else 1)
        assert told[0] == 100
        assert set(told[1:]) <= {0}


def test_a_pair_that_others_take_again_and_again_is_refused_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "in" / "a.png")
    (job,) = planned(tmp_path, LANCZOS).jobs
    begun: list[object] = []

    def taken(*arguments: object) -> None:
        begun.append(arguments)
        raise NeedlessError("exists already.")

    monkeypatch.setattr(Request, "carry_out", taken)
    assert str(run_job(job).failure) == "exists already."
    assert len(begun) == 8


def test_a_result_that_was_there_is_confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run may have made it a moment ago: its name, too, is on the disk before this command ends."""
    monkeypatch.setattr(durable, "_changed", set())
    picture(tmp_path / "in" / "a.png")
    plan = planned(tmp_path, LANCZOS)
    for _ in range(2):
        carried_out(plan)
        assert durable._changed == {tmp_path / "made"}
        durable.confirm()


def test_a_target_that_vanishes_before_it_is_compared_is_made_with_its_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = picture(tmp_path / "in" / "a.png")
    os.utime(source, (10**9, 10**9))
    plan = planned(tmp_path, LANCZOS._replace(preserve_times=True))
    carried_out(plan)
    made = tmp_path / "made" / "a.png"
    whole, carry_out, calls = made.read_bytes(), Request.carry_out, 0

    def removed(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            made.unlink()
        return carry_out(*arguments)

    monkeypatch.setattr(Request, "carry_out", removed)
    (outcome,) = carried_out(plan)
    assert notes_of(outcome) == []
    assert (made.read_bytes(), made.stat().st_mtime) == (whole, 10**9)


# Stores ------------------------------------------------------------------------------------------------------------


def stored(store: Store, folder: Path, command: list[str]) -> tuple[str, list[str]]:
    """Store pictures of a folder; return the bucket, and a command from it to it."""
    bucket = store.bucket()
    for i in range(4):
        picture(folder / "in" / f"{i}.png", 60, 50, seed=i)
    store.put(bucket, {f"in/{name}": data for name, data in contents(folder / "in").items()})
    assert status_here([*command, str(folder / "in"), "-o", str(folder / "alone")], folder) == 0
    return bucket, [*command, f"s3://{bucket}/in/", "-o", f"s3://{bucket}/made/"]


@needs_store
@pytest.mark.long
@pytest.mark.parametrize("command", [UPSCALE, POOL], ids=VERBS)
def test_what_was_stored_although_no_answer_came_is_done(command: list[str], store: Store, tmp_path: Path) -> None:
    """It is sent once more, and refused then because it is there."""
    lost = Fault("lost")
    bucket, line = stored(store, tmp_path, command)
    with failing(store.endpoint, lambda asked: lost if asked.method == "PUT" and not asked.before else None) as proxy:
        done = ended(line, tmp_path, env=store.environment(proxy.endpoint))
        assert len([fault for _, fault in proxy.log if fault is lost]) == len(contents(tmp_path / "alone"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(SAME.encode()) == 4
    assert store.contents(bucket, "made/") == contents(tmp_path / "alone")


@needs_store
@pytest.mark.long
@pytest.mark.parametrize("whole", [True, False])
def test_what_another_client_stores_meanwhile_is_compared(whole: bool, store: Store, tmp_path: Path) -> None:
    """Each object appears while it is sent: the same one, or another, which stays."""
    bucket, line = stored(store, tmp_path, POOL)
    theirs = {f"made/{name}": data[: None if whole else -1] for name, data in contents(tmp_path / "alone").items()}

    def appears(asked: Asked, moment: str) -> None:
        key = asked.key.partition("/")[2]
        if moment == "arriving" and asked.method == "PUT" and not asked.before:
            store.put(bucket, {key: theirs[key]})

    with failing(store.endpoint, watch=appears) as proxy:
        done = ended(line, tmp_path, env=store.environment(proxy.endpoint))
    assert done.returncode == (not whole), done.stderr
    assert done.stderr.count(SAME.encode()) == 4 * whole
    assert done.stderr.count(b"written by another program meanwhile; use --overwrite to replace it.") == 4 * (
        not whole
    )
    made = store.contents(bucket)
    assert all(made[key] == data for key, data in theirs.items() if whole or key.endswith(".npz"))
    assert len(made) == 4 + (8 if whole else 4)


@needs_store
@pytest.mark.long
@pytest.mark.parametrize("command", [UPSCALE, POOL], ids=VERBS)
def test_clients_at_once_all_end_well(command: list[str], store: Store, tmp_path: Path) -> None:
    bucket, line = stored(store, tmp_path, command)
    (tmp_path / "signs").mkdir()
    name = "pool" if command is POOL else "upscale"
    start = [sys.executable, "-c", RUNNING, str(tmp_path / "signs")]
    runs = [
        subprocess.Popen([*start, f"{i}/2", name, *line[len(command) :]], env=store.environment(), cwd=tmp_path)
        for i in range(2)
    ]
    assert [run.wait(timeout=100) for run in runs] == [0, 0]
    assert store.contents(bucket, "made/") == contents(tmp_path / "alone")

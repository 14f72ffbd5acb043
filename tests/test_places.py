"""URLs are read and written as files are, mirrored, skipped and refused: beside boto3, and a local run."""

import http.server
import io
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from proxy import Asked, Fault, failing
from store import needs_store

from upscale_cli.batch.plan import Plan, make_plan
from upscale_cli.batch.run import run_job
from upscale_cli.commands.upscale import parameters
from upscale_cli.errors import UsageError
from upscale_cli.machine.replacing import SPOOL
from upscale_cli.methods import METHODS
from upscale_cli.methods.pooling import Windows
from upscale_cli.places import urls
from upscale_cli.places.stores import system_of
from upscale_cli.work.pool import Pooling
from upscale_cli.work.request import Request

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
        return subprocess.run(  # noqa: PLW1510  the status is looked at
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
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


TREE = {
    **{f"p{number}.png": photo(number) for number in range(3)},
    "sub/q.jpg": photo(4, "JPEG"),
    "sub/deeper/ä #1?x=2%20 b.png": photo(5),
    "sub/lies.png": photo(6, "JPEG"),
}
OTHERS = {
    "notes.txt": b"x",
    ".hidden.png": b"x",
    "sub/.upscale/shard.png": b"x",
    "@eaDir/p0.png": b"x",
    "raw.cr2": b"x",
}


@pytest.mark.long
def test_a_prefix_is_a_folder(store: "Store", up: Run, tmp_path: Path) -> None:
    """Every way between a bucket and a folder gives the same files, and says the same."""
    bucket = store.bucket()
    store.put(
        bucket,
        {f"in/{name}": content for name, content in (TREE | OTHERS).items()} | {"in/sub/": b"", "inner.png": b"x"},
    )
    local(tmp_path / "in", TREE | OTHERS)
    wanted = up("in", "-o", "out")
    assert wanted.returncode == 0, wanted.stderr
    expected = read(tmp_path / "out")
    assert len(expected) == len(TREE)
    assert "sub/lies.jpg" in expected
    for source, target in (
        (f"s3://{bucket}/in", f"s3://{bucket}/out"),
        (f"s3://{bucket}/in/", "here/"),
        ("in", f"s3://{bucket}/up/"),
    ):
        done = up(source, "-o", target)
        assert done.returncode == 0, done.stderr
        said = (lines(done)[-1].partition(" in ")[0], lines(done)[-1].partition("; ")[2])
        assert said == ("6 images enlarged,", "1 .cr2, 1 .txt left alone.")
    assert store.contents(bucket, "out/") == store.contents(bucket, "up/") == read(tmp_path / "here") == expected


@pytest.mark.long
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


# In this process ----------------------------------------------------------------------------------------------------


@pytest.fixture
def here(store: "Store", monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new bucket, which this process reaches."""
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    return store.bucket()


def plan(*inputs: str, output: str | None = None, skip: bool = False, **asked: Any) -> Plan:
    """Return the plan for enlarging some inputs twice."""
    request = Request(method=METHODS["nearest"], **asked)
    return make_plan(inputs, output, request, skip_existing=skip)


def planned(plan: Plan) -> list[str]:
    """Return what a plan says: of each source, where it goes or why not; and what is left alone."""
    said = [f"{job.source.shown} → {job.target.name}" for job in plan.jobs]
    return [
        *said,
        *(f"{shown}: {why}" for shown, why in plan.failures),
        *(f"- {each.name}" for each in plan.left_alone),
    ]


KEYS = {
    "d/a.png": photo(1),
    "d//a.png": photo(2),
    "d/x/../e.png": photo(1),
    "d/k": photo(1),
    "both": photo(1),
    "both/a.png": photo(1),
    "n.png": photo(1),
    "n.png/a.png": photo(1),
    "empty/a.png": b"",
    "marker/": b"",
    "a-b/1.png": photo(1),
    "a/b/1.png": photo(1),
    "a/c.png": photo(1),
}
EDGES = {
    "d/": (
        "{}d/a.png → {}d_2x/a.png",
        "{}d//a.png → {}d_2x//a.png",
        '{}d/x/../e.png: has "." or ".." in its path; rename it.',
        "- k",
    ),
    "both": ("{}both → {}both_2x.png",),
    "both/": ("{}both/a.png → {}both_2x/a.png",),
    "n.png": ("{}n.png → {}n_2x.png",),
    "n.png/": ("{}n.png/a.png → {}n.png_2x/a.png",),
    "empty/": ("{}empty/a.png: is empty.",),
    "marker/": ("{}marker/: has no image of a known format.",),
    "a": ("{}a/c.png → {}a_2x/c.png", "{}a/b/1.png → {}a_2x/b/1.png"),
    "none": ("{}none: does not exist; check its name.",),
    "none.png": ("{}none.png: does not exist; check its name.",),
    "none/": ("{}none/: does not exist: nothing lies below it; check its name.",),
}


@pytest.mark.long
def test_names_at_the_edge(store: "Store", here: str) -> None:
    """Keys that are no paths, folders that are no objects, and an object and a folder of one name."""
    store.put(here, KEYS)
    root = f"s3://{here}/"
    for name, said in EDGES.items():
        assert planned(plan(root + name)) == [each.replace("{}", root) for each in said], name
    with pytest.raises(UsageError, match="has no folder beside it; use --output"):
        plan(root)
    everything = [job.source.shown.removeprefix(root) for job in plan(root, output=f"{root}d").jobs]
    assert everything == ["n.png", "a/c.png", "a/b/1.png", "a-b/1.png", "both/a.png", "n.png/a.png"]
    with pytest.raises(UsageError, match="would be written to the same file"):
        plan(f"{root}d/", output="here/")
    with pytest.raises(UsageError, match="is both an input"):
        plan(f"{root}a/", output=f"{root}a")
    with pytest.raises(UsageError, match="is both an input"):
        plan(f"{root}n.png", output=f"{root}n.png", overwrite=True)
    assert [job.target.name for job in plan(f"{root}n.png", output="{parent}/{stem}_{width}{suffix}").jobs] == [
        f"{root}n_24.png"
    ]


@pytest.mark.long
def test_targets_are_looked_up_by_a_listing(store: "Store", here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one if there are few, and by a listing of their folder if there are many."""
    store.put(here, {f"in/p{number:02d}.png": photo(1) for number in range(20)})
    store.put(
        here, {f"out/p{number:02d}.png": b"x" for number in (1, 19)} | {f"up/p{number}.png": b"x" for number in (3,)}
    )
    asked: list[str] = []
    monkeypatch.setattr(urls.UrlTarget, "exists", lambda target: asked.append(target.name))
    root = f"s3://{here}/"
    made = plan(f"{root}in/", output=f"{root}out/", skip=True)
    assert [skipped.shown[-7:] for skipped in made.skipped] == ["p01.png", "p19.png"]
    assert (len(made.jobs), asked) == (18, [])
    plan(f"{root}in/p01.png", f"{root}in/p02.png", output=f"{root}up/", skip=True)
    assert sorted(asked) == [f"{root}up/p01.png", f"{root}up/p02.png"]


@pytest.mark.long
@pytest.mark.parametrize("most", [SPOOL, 100])
def test_large_ones_go_by_way_of_the_disk(
    store: "Store", here: str, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """With the limit lowered, sources and results are; one request each, and never over another object."""
    monkeypatch.setattr(urls, "SPOOL", most)
    store.put(here, {"a.png": photo(1, size=(100, 90)), "there.png": b"theirs"})
    root, puts = f"s3://{here}/", list[int]()
    kind = type(system_of(root))
    put, upload = kind._call_s3, "create_multipart_upload"

    async def call(system: Any, method: str, *arguments: Any, **kwargs: Any) -> Any:
        assert method != upload
        puts.extend(len(kwargs["Body"]) for _ in range(method == "put_object"))
        return await put(system, method, *arguments, **kwargs)

    monkeypatch.setattr(kind, "_call_s3", call)
    (job,) = plan(f"{root}a.png", output=f"{root}b.png").jobs
    assert run_job(job).failure is None
    made = store.contents(here)["b.png"]
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(made))),
        np.asarray(Image.open(io.BytesIO(store.contents(here)["a.png"]))).repeat(2, 0).repeat(2, 1),
    )
    assert puts == [len(made)]
    head = store.client.head_object(Bucket=here, Key="b.png")
    assert head["ContentType"] == "image/png"
    job = job._replace(target=urls.UrlTarget(f"{root}there.png"))
    failure = run_job(job).failure
    assert (
        str(failure) == f'"{root}there.png" was written by another program meanwhile; use --overwrite to replace it.'
    )
    assert store.contents(here)["there.png"] == b"theirs"


def test_pairs_and_arrays(store: "Store", here: str) -> None:
    """Pooled pairs go to a bucket, and come back by max unpooling, which finds the indices there; kernels, too."""
    root = f"s3://{here}/"
    kernel = io.BytesIO()
    np.save(kernel, np.full((4, 4), 0.25))
    store.put(here, {"in/a.png": photo(1), "in/sub/b.png": photo(2), "kernel.npy": kernel.getvalue()})
    pooling = Pooling(windows=Windows(window=(2, 2)))
    for job in make_plan([f"{root}in/"], f"{root}small/", pooling).jobs:
        assert run_job(job).failure is None
    assert store.names(here, "small/") == [
        "small/a.indices.npz",
        "small/a.png",
        "small/sub/b.indices.npz",
        "small/sub/b.png",
    ]
    indices = store.contents(here, "small/")["a.indices.npz"]
    assert np.load(io.BytesIO(indices))["size"].tolist() == [8, 12]
    request = Request(method=METHODS["max-unpooling"])
    back = make_plan([f"{root}small/"], f"{root}back/", request)
    assert [each.name for each in back.left_alone] == []
    assert [run_job(job).failure for job in back.jobs] == [None, None]
    made = np.asarray(Image.open(io.BytesIO(store.contents(here, "back/")["a.png"])))
    source = np.asarray(Image.open(io.BytesIO(photo(1))))
    blocks = source.reshape(4, 2, 6, 2, 3).max((1, 3))
    assert np.array_equal(made.reshape(4, 2, 6, 2, 3).max((1, 3)), blocks)
    assert np.array_equal(made[made > 0], source[made > 0])
    method = METHODS["transposed-conv"]
    given: dict[str, str | None] = {"kernel": f"{root}kernel.npy"}
    transposed = Request(method=method, parameters=parameters(method, (), given), overwrite=True)
    (job,) = make_plan([f"{root}in/a.png"], f"{root}t.png", transposed).jobs
    assert run_job(pickle.loads(pickle.dumps(job))).failure is None
    with pytest.raises(UsageError, match="is both an input"):
        make_plan([f"{root}in/a.png"], f"{root}kernel.npy", transposed)


@pytest.mark.long
def test_a_store_without_conditions(store: "Store", here: str) -> None:
    """It answers 501 where it shall not overwrite: then it is looked at before."""
    store.put(here, {"a.png": photo(1), "there.png": b"theirs"})
    refused = Fault(
        "refused", 501, "NotImplemented", "A header you provided implies functionality that is not implemented"
    )

    def decide(asked: Asked) -> Fault | None:
        return refused if asked.method == "PUT" and asked.before == 0 else None

    root = f"s3://{here}/"
    with failing(store.endpoint, decide) as proxy:
        code = (
            f"import sys; sys.argv[1:] = ['{root}a.png', '-o', '{root}b.png'];"
            "from upscale_cli.commands.upscale import main; main()"
        )
        subprocess.run([sys.executable, "-c", code], env=store.environment(proxy.endpoint), check=True, timeout=120)
    assert "b.png" in store.names(here)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("sample.png", "-o", "{file}sample.png", "--overwrite"), "is both an input"),
        pytest.param(
            ("{file}sample.png", "-o", "sample.png", "--overwrite"), "is both an input", marks=pytest.mark.long
        ),
        pytest.param(
            ("{file}sample.png", "-o", "FILE:///a.png"),
            '"FILE:///a.png": write file:// in lower case.',
            marks=pytest.mark.long,
        ),
        pytest.param(("sample.png", "-o", "s3://"), '"s3:///sample.png" names no bucket', marks=pytest.mark.long),
        (("sample.png", "-o", "memory://"), ""),
        (
            ("sample.png", "-o", "file:///proc/none/a.png"),
            "cannot be written: there is no place of that name; check it.",
        ),
        pytest.param(
            ("ftp://127.0.0.1:1/a.png", "-o", "a.png"),
            '"ftp://127.0.0.1:1/a.png" cannot be reached: the store cannot',
            marks=pytest.mark.long,
        ),
        (("http://[a/a.png", "-o", "a.png"), '"http://[a/a.png" is not the URL of a file; check it.'),
        pytest.param(
            ("http://127.0.0.1:1/a%00.png", "-o", "a.png"),
            '"http://127.0.0.1:1/a%00.png" is not the URL of a file',
            marks=pytest.mark.long,
        ),
        (
            ("sample.png", "-o", "memory://\udcff.png"),
            '"memory://\\xff.png" is no name for an object: it is not UTF-8',
        ),
        pytest.param(
            ("http:///a.png", "-o", "a.png"), "cannot be read: that is not a URL; check it.", marks=pytest.mark.long
        ),
    ],
)
def test_odd_urls(
    up: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], said: str
) -> None:
    """Each is what it says, or refused by its name; and an image is not lost for being named in two ways."""
    local(tmp_path, {"sample.png": (content := photo(1))})
    done = up(*(word.replace("{file}", f"file://{tmp_path}/") for word in typed))
    assert done.returncode == (0 if not said else done.returncode or 1)
    assert (said in done.stderr, len(lines(done))) == (True, int(bool(said)))
    assert (tmp_path / "sample.png").read_bytes() == content


def test_other_file_systems(tmp_path: Path) -> None:
    """Those without an upload in one step get an object under another name first, and folders."""
    local(tmp_path / "in", TREE)
    root = f"file://{tmp_path}/"
    for job in plan(f"{root}in", output=f"{root}out/").jobs:
        assert run_job(job).failure is None
    for job in plan(str(tmp_path / "in"), output=str(tmp_path / "wanted")).jobs:
        assert run_job(job).failure is None
    made = read(tmp_path / "out")
    assert made == read(tmp_path / "wanted")
    assert len(made) == len(TREE)
    (job,) = plan(f"{root}in/p0.png", output=f"{root}p.png").jobs
    local(tmp_path, {"p.png": b"theirs"})
    assert "was written by another program" in str(run_job(job).failure)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["p.png"]
    names = {
        each.name
        for each in plan(f"{root}in", output="memory://x").jobs[0].work.targets(urls.UrlTarget("memory://x"))
    }
    assert names == {"memory://x"}


# Pages --------------------------------------------------------------------------------------------------------------


class _Site(http.server.BaseHTTPRequestHandler):
    """A server of one folder: `ranges` says whether it knows them, `log` what it was asked."""

    protocol_version = "HTTP/1.1"
    ranges = True
    log: list[tuple[str, str, str | None]]
    pages: dict[str, bytes]

    def handle(self) -> None:
        """Say nothing of clients that end without a word."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self.log.append((self.command, self.path, extent := self.headers.get("Range")))
        content, status = self.pages.get(self.path, b""), 200 if self.path in self.pages else 404
        if self.path == "/busy.png" and sum(path == self.path for _, path, _ in self.log) < 4:
            status = 503
        if self.path.startswith("/secret.png") and self.headers.get("Authorization") != "Basic bWU6cGFzcw==":
            status = 403
        if status != 200:
            content = b""
        elif extent is not None and self.ranges:
            start, end = (int(number or len(content) - 1) for number in extent.removeprefix("bytes=").split("-"))
            content, status = content[start : end + 1], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if self.command == "GET" else b"")

    do_HEAD = do_GET  # noqa: N815


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[type[_Site]]:
    """A server on 127.0.0.1, by its handler, whose `address` is that of its root."""
    handler = type("Site", (_Site,), {"log": [], "pages": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.address = f"127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
        threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
        yield handler
        server.shutdown()


@pytest.mark.parametrize("ranges", [True, pytest.param(False, marks=pytest.mark.long)])
def test_pages_are_read(site: Any, up: Run, tmp_path: Path, *, ranges: bool) -> None:
    """Named by their paths, decoded, without what follows them; and asked again when the server is busy."""
    site.ranges = ranges
    local(tmp_path, {"a.png": photo(1, size=(400, 300))})
    assert up("a.png", "-o", "wanted.png").returncode == 0
    paths = ["/a.png", "/deep/b%20%C3%A4.png?x=1&y=%2F%41", "/busy.png"]
    site.pages = dict.fromkeys(paths, photo(1, size=(400, 300)))
    http = f"http://{site.address}"
    done = up(*(http + path for path in paths), "-o", "out", "-v")
    assert (done.returncode, lines(done)[-1][:18]) == (0, "3 images enlarged,"), done.stderr
    assert read(tmp_path / "out") == dict.fromkeys(
        ["a.png", "b ä.png", "busy.png"], (tmp_path / "wanted.png").read_bytes()
    )
    extents = [extent for command, path, extent in site.log if command == "GET" and path == paths[0]]
    assert (extents[0], extents[-1], extents.count("bytes=0-")) == ("bytes=0-65535", "bytes=0-", 1)
    assert len(extents) <= 4


@pytest.mark.long
def test_pages_are_only_read(site: Any, up: Run, tmp_path: Path) -> None:
    site.pages = {"/a.png": photo(1), "/secret.png": photo(2)}
    http = f"http://{site.address}"
    for arguments, said in (
        (("/a.png",), "lies where nothing can be written; use --output."),
        (("/none.png", "-o", "x.png"), "does not exist; check its name."),
        (
            ("/secret.png", "-o", "x.png"),
            "cannot be read: access is denied; check the credentials and their permissions.",
        ),
    ):
        done = up(http + arguments[0], *arguments[1:])
        assert (done.returncode, lines(done)) == (1, [f"{http}{arguments[0]}: {said}"])
    local(tmp_path, {"sample.png": photo(1)})
    done = up("sample.png", "-o", f"{http}/b.png")
    assert (done.returncode, lines(done)) == (
        2,
        [f'upscale: "{http}/b.png": http:// is only read; use another --output.'],
    )
    known = f"http://me:pass@{site.address}/secret.png?X-Amz-Signature=abc"
    site.pages |= {"/secret.png?X-Amz-Signature=abc": photo(2)}
    done = up(known, "-o", "s.png", "--json", "-v")
    assert "pass" not in done.stdout + done.stderr
    assert "abc" not in done.stdout + done.stderr
    assert json.loads(done.stdout)["source"] == f"http://***@{site.address}/secret.png?X-Amz-Signature=***"

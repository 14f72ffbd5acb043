"""Images in a store that speaks S3, by the whole command: what comes out, what the store is asked, what is said."""

import gc
import http.client
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from urllib.parse import urlsplit

import pytest
from proxy import BROKEN, BUSY, LOOPBACK, PATIENCE, Asked, Fault, failing, one_in_five
from store import Store, made_here, needs_store, pictures

from upscale_cli.batch.plan import make_plan
from upscale_cli.methods import METHODS
from upscale_cli.work.request import Request

pytestmark = needs_store


# What tests rely on -------------------------------------------------------------------------------------------------


def test_the_store_takes_nothing_that_breaks_off(store: Store) -> None:
    """Otherwise a client that is killed would leave half objects that it would not leave in S3."""
    bucket, address = store.bucket(), urlsplit(store.endpoint)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"PUT /{bucket}/half.bin HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 2000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 1_000_000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    store.put(bucket, {"whole.bin": b"x" * 1000})
    assert store.contents(bucket) == {"whole.bin": b"x" * 1000}


@pytest.mark.parametrize(
    ("fault", "status", "stored"),
    [
        (None, 200, True),
        (BUSY, 503, False),
        (BROKEN, 500, False),
        (Fault("reset"), 0, False),
        (Fault("lost"), 0, True),
        (Fault("silent"), 0, False),
        (Fault("slow"), 200, True),
    ],
    ids=lambda value: value.kind + value.code if isinstance(value, Fault) else None,
)
def test_the_proxy_fails_as_it_is_told(fault: Fault | None, status: int, stored: bool, store: Store) -> None:
    bucket = store.bucket()
    with failing(store.endpoint, lambda asked: fault) as proxy:
        patience = 0.5 if fault is not None and fault.kind == "silent" else PATIENCE
        connection = http.client.HTTPConnection(LOOPBACK, proxy.server_port, timeout=patience)
        try:
            connection.request("PUT", f"/{bucket}/a%20b.bin", b"content")
            have = connection.getresponse().status
        except (ConnectionError, TimeoutError):
            have = 0
        connection.close()
        assert [(asked.method, asked.key, asked.size) for asked, _ in proxy.log] == [
            ("PUT", f"{bucket}/a%20b.bin", 7)
        ]
    assert have == status
    assert store.names(bucket) == ["a b.bin"] * stored


def test_the_proxy_spoils_one_request_in_five() -> None:
    decide = one_in_five(BUSY, BROKEN)
    kinds = [decide(Asked("GET", f"/bucket/{number}.png", None, 0, 0)) for number in range(1000)]
    assert 160 < sum(kind is not None for kind in kinds) < 240
    assert {kind for kind in kinds if kind} == {BUSY, BROKEN}


# What comes out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [24, pytest.param(500, marks=pytest.mark.long)])
def test_a_bucket_is_enlarged_as_a_folder_is(number: int, store: Store, tmp_path: Path) -> None:
    objects = pictures(number)
    expected = made_here(tmp_path, objects, "-s", "4")
    bucket = store.bucket()
    store.fill(bucket, list(objects), *objects.values(), prefix="in/")
    with failing(store.endpoint) as proxy:
        done = store.run("-s", "4", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", endpoint=proxy.endpoint)
    assert done.returncode == 0, done.stderr.decode()
    assert store.contents(bucket, "out/") == expected
    assert len(expected) == number
    assert store.contents(bucket, "in/") == objects
    assert store.uploads(bucket) == []
    # Each image is asked for its header and once for all of it, each result is put once, and lists cost few requests.
    assert len(proxy.asked("GET", "/in/")) <= 2 * number
    assert len(proxy.asked("PUT", "/out/")) == number
    assert len(proxy.log) <= 3 * number + 8, Counter(
        (asked.method, asked.path.partition("?")[0]) for asked, _ in proxy.log
    )


@pytest.mark.long
def test_headers_are_read_by_ranges(store: Store) -> None:
    """A plan of large images costs what their headers take."""
    bucket, large = store.bucket(), pictures(1, side=900)["a/0000.png"]
    assert len(large) > 2_000_000
    store.put(bucket, {f"in/{number}.png": large for number in range(4)})
    with failing(store.endpoint) as proxy:
        done = store.run("-s", "2", "-n", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", endpoint=proxy.endpoint)
    assert done.returncode == 0, done.stderr.decode()
    extents = [asked.extent for asked in proxy.asked("GET", "/in/")]
    assert len(extents) == 8  # the beginning, and what may stand behind the pixels
    for extent in extents:
        assert extent is not None
        first, _, last = extent.removeprefix("bytes=").partition("-")
        assert int(last) - int(first) < 2**16


@pytest.mark.long
def test_many_headers_are_read_at_once_and_planned_in_order(store: Store) -> None:
    """Some answers come late: the order of the plan is that of the names, and no image waits for all before it."""
    objects = pictures(48, side=8)
    bucket, busy, most = store.bucket(), [0], [0]
    store.fill(bucket, list(objects), *objects.values(), prefix="in/")

    def watch(asked: Asked, moment: str) -> None:
        busy[0] += 1 if moment == "arriving" else -1
        most[0] = max(most[0], busy[0])

    def decide(asked: Asked) -> Fault:
        return Fault("slow", seconds=0.3 if asked.key.endswith("0.png") else 0.02)

    with failing(store.endpoint, decide, watch) as proxy:
        done = store.run(
            "-s", "2", "-n", "--json", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", endpoint=proxy.endpoint
        )
    assert done.returncode == 0, done.stderr.decode()
    planned = [json.loads(line)["source"].partition("/in/")[2] for line in done.stdout.splitlines()]
    assert planned == sorted(objects)
    assert 8 <= most[0] <= 16


# What is said -------------------------------------------------------------------------------------------------------

SECRET = "wJalrXUtnFEMIsecret"  # noqa: S105  a made one


def refusal(status: int, code: str, message: str) -> Fault:
    """Return an answer as the API reference of S3 has it."""
    return Fault("refused", status, code, message)


MALFORMED = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'"
REFUSED: Sequence[tuple[Fault, str]] = (
    (refusal(403, "AccessDenied", "Access Denied"), "permission"),
    (refusal(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist."), "credentials"),
    (refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match."), "credentials"),
    (refusal(400, "ExpiredToken", "The provided token has expired."), "credentials"),
    (refusal(403, "RequestTimeTooSkewed", "The difference between the times is too large."), "clock"),
    (refusal(400, "AuthorizationHeaderMalformed", MALFORMED), "region"),
    (refusal(403, "InvalidObjectState", "The operation is not valid for the object's storage class."), "archive"),
)
"""What stores refuse, and a word that has to be in what is said about it."""


@pytest.mark.long
@pytest.mark.parametrize("writing", [False, True], ids=["read", "written"])
def test_what_a_store_refuses_is_a_line_each_and_never_asked_again(writing: bool, store: Store) -> None:
    bucket, objects = store.bucket(), pictures(len(REFUSED) + 1)
    store.put(bucket, objects, prefix="in/")
    part = f"{bucket}/{'out' if writing else 'in'}/"
    wrong = {f"{part}{name}": fault for name, (fault, _) in zip(objects, REFUSED, strict=False)}

    def decide(asked: Asked) -> Fault | None:
        return wrong.get(asked.key) if asked.method in ("GET", "PUT") else None

    with failing(store.endpoint, decide) as proxy:
        words = ("-s", "2", "-vv", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/")
        done = store.run(*words, endpoint=proxy.endpoint, AWS_SECRET_ACCESS_KEY=SECRET)
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert SECRET not in said + done.stdout.decode()
    for name, (fault, word) in zip(objects, REFUSED, strict=False):
        (line,) = [line for line in said.splitlines() if line.startswith(f"s3://{bucket}/in/{name}: ")]
        assert word in line, fault
    assert store.names(bucket, "out/") == [f"out/{list(objects)[-1]}"]
    spoiled = Counter((asked.method, asked.key, asked.extent) for asked, what in proxy.log if what)
    assert spoiled == dict.fromkeys(spoiled, 1)
    assert len(spoiled) == len(REFUSED)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (REFUSED[0][0], "permission"),
        (refusal(404, "NoSuchBucket", "The bucket does not exist"), "bucket"),
        (REFUSED[5][0], "region"),
        (refusal(301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint."), "region"),
    ],
    ids=lambda value: value.code if isinstance(value, Fault) else None,
)
def test_a_bucket_that_cannot_be_listed_is_one_line(fault: Fault, word: str, store: Store) -> None:
    with failing(store.endpoint, lambda asked: fault) as proxy:
        done = store.run("-s2", "s3://photographs/in/", "-o", "s3://photographs/out/", endpoint=proxy.endpoint)
    assert done.returncode in (1, 2)
    (line,) = done.stderr.decode().splitlines()
    assert word in line
    assert '"s3://photographs/' in line or line.startswith("s3://photographs/")


@pytest.mark.long
def test_what_is_not_there_is_a_line_each(store: Store, tmp_path: Path) -> None:
    """With nothing made up: what botocore and the store themselves say."""
    wrong = {
        "s3://no-such-bucket-here/in/": "bucket",
        "s3://no-such-bucket-here/a.png": "bucket",
        "s3://no_bucket is called so/a.png": "bucket",
        "s3://{}/none.png": "does not exist",
        "s3://{}/none/": "does not exist",
    }
    wrong = {name.format(store.bucket()): word for name, word in wrong.items()}
    done = store.run("-s2", *wrong, "-o", f"{tmp_path}/out/")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert lines.pop().startswith("No image enlarged, 5 failed"), lines
    assert len(lines) == len(wrong)
    for name, word in wrong.items():
        (line,) = [line for line in lines if line.startswith((f"{name}: ", f"{name.rstrip('/')}: "))]
        assert word in line


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
        pytest.param({"AWS_PROFILE": "nobody"}, "credentials", marks=pytest.mark.long),
        pytest.param({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "endpoint", marks=pytest.mark.long),
        pytest.param({"AWS_ENDPOINT_URL": "https://{}"}, "endpoint", marks=pytest.mark.long),
        pytest.param({"AWS_ENDPOINT_URL": "nonsense"}, "endpoint", marks=pytest.mark.long),
    ],
    ids=["no key", "no profile", "nobody listens", "no TLS", "no URL"],
)
def test_a_store_that_cannot_be_asked_is_one_line(
    variables: Mapping[str, str], word: str, store: Store, tmp_path: Path
) -> None:
    variables = {name: value.format(urlsplit(store.endpoint).netloc) for name, value in variables.items()}
    done = store.run("-s2", "s3://photographs/a.png", "-o", tmp_path / "a.png", **variables)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert word in line
    assert "s3://photographs/a.png" in line


@pytest.mark.long
def test_users_without_permission_are_told_so(store: Store) -> None:
    """Moto decides as AWS does, by the policies of the user whose keys sign a request."""
    bucket, objects = store.bucket(), pictures(2)
    store.put(bucket, objects, prefix="in/")
    with store.guarded("s3:ListBucket", "s3:GetObject") as variables:
        done = store.run("-s2", f"s3://{bucket}/in/", "-o", f"s3://{bucket}/out/", **variables)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert len(lines) == 3, lines
    assert all("permission" in line for line in lines[:2]), lines
    assert store.names(bucket, "out/") == []


# What a plan keeps --------------------------------------------------------------------------------------------------


def held(root: object) -> int:
    """Return the bytes of an object and of all that it leads to, besides modules, classes and functions."""
    found, seen, size = [root], {id(root)}, 0
    while found:
        each = found.pop()
        size += sys.getsizeof(each)
        for other in gc.get_referents(each):
            if id(other) not in seen and not isinstance(
                other, type | ModuleType | FunctionType | BuiltinFunctionType
            ):
                seen.add(id(other))
                found.append(other)
    return size


def test_a_planned_image_takes_less_than_a_kilobyte() -> None:
    """Otherwise the plan of a bucket of 100,000 images would not fit beside the work."""
    import fsspec

    system, image = fsspec.filesystem("memory"), pictures(1)["a/0000.png"]
    work, sizes = Request(method=METHODS["lanczos"], scale=(Fraction(2), Fraction(2))), []
    for number in (100, 300):
        for i in range(number):
            system.pipe_file(f"/photographs/{number}/{i // 100:03}/IMG_{i:06}.png", image)
        plan = make_plan([f"memory://photographs/{number}/"], "memory://enlarged/", work)
        assert len(plan.jobs) == number
        sizes.append(held(plan.jobs))
    assert (sizes[1] - sizes[0]) / 200 < 1000

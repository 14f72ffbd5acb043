"""A store that speaks S3, as a process of its own on 127.0.0.1, and a proxy before it that fails as stores do.

The store is moto's server. What lies in it is looked at with boto3, whose code is not the one under test. Run as a
program, this module is the server: it says its address, takes orders from standard input, and ends when that closes,
so that none stays behind when a test run is killed.
"""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

needs_store = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("s3fs", "moto", "boto3", "flask")),
    reason="needs the extras cloud and servers: s3fs, moto[server]",
)

LOOPBACK = "127.0.0.1"
PATIENCE = 60
"""The most seconds that anything here waits for anything else."""
OF_USERS = ("AWS_", "FSSPEC_", "BOTO", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""The beginnings of variables of whoever runs the tests, which no store under test may see."""


class Store:
    """A store that runs: its address, and what lies in it, by boto3."""

    def __init__(self, process: "subprocess.Popen[str]", endpoint: str) -> None:
        import boto3
        from botocore.config import Config

        self._process, self.endpoint, self._buckets = process, endpoint, count()
        config = Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE, s3={"addressing_style": "path"})
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106  moto asks for none
            config=config,
        )

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Return the environment of a command that shall find this store, or a proxy before it, and no other."""
        ours = {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "*",
        }
        return {name: value for name, value in os.environ.items() if not name.upper().startswith(OF_USERS)} | ours

    def bucket(self) -> str:
        """Return the name of a new bucket."""
        name = f"bucket-{os.getpid()}-{next(self._buckets)}"
        self.client.create_bucket(Bucket=name)
        return name

    def put(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Store objects, by their keys."""
        for key, content in objects.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """Return all keys of a bucket that begin with a prefix, sorted."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(each["Key"] for page in pages for each in page.get("Contents", ()))

    def contents(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Return all objects whose keys begin with a prefix, by the rest of their keys."""
        return {
            key.removeprefix(prefix): self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in self.names(bucket, prefix)
        }

    def uploads(self, bucket: str) -> list[str]:
        """Return the keys of all multipart uploads that were begun and are neither complete nor aborted."""
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]

    def order(self, **order: object) -> None:
        """Have the server carry out an order; see `_carry_out`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"

    def fill(self, bucket: str, prefix: str, names: Sequence[str], content: bytes) -> None:
        """Store one content under many names: within the server, which takes a tenth of the time of requests."""
        self.order(bucket=bucket, prefix=prefix, names=names, content=base64.b64encode(content).decode())


@contextlib.contextmanager
def running() -> Iterator[Store]:
    """Yield a store, which ends with the block."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Store(process, process.stdout.readline().strip())
        finally:
            process.stdin.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


# The server ---------------------------------------------------------------------------------------------------------


def _carry_out(order: dict[str, Any]) -> None:
    """Store one content under many names."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    backend, content = s3_backends[DEFAULT_ACCOUNT_ID]["aws"], base64.b64decode(order["content"])
    for name in order["names"]:
        backend.put_object(order["bucket"], order["prefix"] + name, content, disable_notification=True)


def serve() -> None:
    """Be the server."""
    import logging

    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # a line for each request otherwise
    # Its S3 alone: to find out for each request which service is meant takes moto a third of its time.
    server = make_server(LOOPBACK, 0, create_backend_app("s3"), threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://{LOOPBACK}:{server.port}", flush=True)
    for line in sys.stdin:
        _carry_out(json.loads(line))
        print("done", flush=True)


# The proxy ----------------------------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """A request that came to a proxy: what is asked, and how often the same was asked before."""

    method: str
    path: str
    extent: str | None
    before: int
    size: int
    """Bytes of its content."""

    @property
    def key(self) -> str:
        """The bucket and the key, or the bucket alone."""
        return urlsplit(self.path).path.strip("/")


class Fault(NamedTuple):
    """What goes wrong with a request.

    Attributes
    ----------
    kind : str
        One of `refused` (an answer without carrying it out), `reset` (the connection breaks without carrying it out),
        `lost` (it is carried out, and the connection breaks before the answer), `cut` (the answer breaks off in the
        middle), `silent` (there is no answer until the client gives up), `slow` (it takes `seconds` longer).
    status, code, message
        Of the answer of `refused`, as the API reference of S3 has them.
    seconds : float
    """

    kind: str
    status: int = 503
    code: str = "SlowDown"
    message: str = "Please reduce your request rate."
    seconds: float = 0.05


BUSY = Fault("refused")
BROKEN = Fault("refused", 500, "InternalError", "We encountered an internal error. Please try again.")
Decision = Callable[[Asked], Fault | None]
Watch = Callable[[Asked, str], None]


def one_in_five(*faults: Fault, seed: int = 0) -> Decision:
    """Return a decision that spoils one request in five with one of some faults.

    What is spoiled follows from what is asked, and how often it was asked before, not from when: so it is the same in
    every run, however many requests are under way at once.
    """

    def decide(asked: Asked) -> Fault | None:
        text = f"{seed} {asked.method} {asked.key.partition('/')[2]} {asked.extent} {asked.before}"
        digest = hashlib.sha256(text.encode()).digest()
        return faults[digest[1] % len(faults)] if digest[0] % 5 == 0 else None

    return decide


class Proxy(ThreadingHTTPServer):
    """A proxy before a store that spoils some requests, and knows all of them.

    Attributes
    ----------
    decide : callable
        Asked for each request what goes wrong with it.
    watch : callable
        Called twice for each request, with it and `arriving`, when half of its content is read, or `done`, when the
        store has carried it out and the client does not know yet: the moments at which a client may be killed.
    log : list of (Asked, Fault or None)
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, store: str, decide: Decision, watch: Watch) -> None:
        super().__init__((LOOPBACK, 0), _Passing)
        self.store, self.decide, self.watch = urlsplit(store), decide, watch
        self.log: list[tuple[Asked, Fault | None]] = []
        self.over = threading.Event()
        self._seen: Counter[tuple[object, ...]] = Counter()
        self._counting = threading.Lock()

    @property
    def endpoint(self) -> str:
        """The address that clients use in place of the store's."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def take(self, method: str, path: str, extent: str | None, size: int) -> tuple[Asked, Fault | None]:
        """Note a request, and return it with what goes wrong with it."""
        with self._counting:
            before = self._seen[method, path, extent]
            self._seen[method, path, extent] += 1
        asked = Asked(method, path, extent, before, size)
        fault = self.decide(asked)
        self.log.append((asked, fault))
        return asked, fault

    def asked(self, method: str, word: str = "") -> list[Asked]:
        """Return the requests of a method whose paths contain a word."""
        return [asked for asked, _ in self.log if asked.method == method and word in asked.path]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that are gone: tests kill them."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Passing(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Pass on a request, or spoil it."""
        assert "Transfer-Encoding" not in self.headers, "the proxy passes on contents of a known length"
        size = int(self.headers.get("Content-Length", 0))
        asked, fault = self.server.take(self.command, self.path, self.headers.get("Range"), size)
        content = self.rfile.read(size // 2)
        self.server.watch(asked, "arriving")
        content += self.rfile.read(size - len(content))
        kind = "" if fault is None else fault.kind
        if len(content) < size:
            self.close_connection = True
        elif fault is not None and kind == "refused":
            self._refuse(fault)
        elif kind == "silent":
            self._wait()
        elif kind == "reset":
            self._break()
        else:
            time.sleep(fault.seconds if fault is not None and kind == "slow" else 0)
            self._pass_on(asked, content, kind)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def _refuse(self, fault: Fault) -> None:
        text = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message><RequestId>1</RequestId></Error>"
        self._answer(fault.status, [("Content-Type", "application/xml")], text.encode())

    def _answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in {name.lower() for name, _ in headers}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._break()

    def _pass_on(self, asked: Asked, content: bytes, kind: str) -> None:
        store = self.server.store
        connection = http.client.HTTPConnection(str(store.hostname), store.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, content, headers)
            answer = connection.getresponse()
            body = answer.read()
        self.server.watch(asked, "done")
        kept = [pair for pair in answer.getheaders() if pair[0].lower() not in ("connection", "transfer-encoding")]
        if kind == "lost":
            self._break()
        else:
            self._answer(answer.status, kept, body, cut=kind == "cut")

    def _wait(self) -> None:
        """Wait until the client has gone, or the test is over."""
        self.connection.settimeout(0.1)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not self.server.over.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    break
        self.close_connection = True

    def _break(self) -> None:
        """End the connection as a router does that forgets it: with a reset."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


@contextlib.contextmanager
def failing(
    store: Store,
    decide: Decision = lambda asked: None,
    watch: Watch = lambda asked, moment: None,
) -> Iterator[Proxy]:
    """Yield a proxy before a store that runs until the block ends."""
    with Proxy(store.endpoint, decide, watch) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            proxy.shutdown()
            thread.join()


if __name__ == "__main__":
    serve()

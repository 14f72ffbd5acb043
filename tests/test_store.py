"""Images in a store that speaks S3, by the whole command: what comes out, what the store is asked, what is said."""

import http.client
import socket
import struct
from urllib.parse import urlsplit

import pytest
from store import BROKEN, BUSY, LOOPBACK, PATIENCE, Asked, Fault, Store, failing, needs_store, one_in_five

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
    with failing(store, lambda asked: fault) as proxy:
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

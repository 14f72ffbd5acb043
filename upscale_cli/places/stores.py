"""Stores behind URLs, through fsspec: how they are reached, when they are asked again, and what their errors mean.

fsspec and what it needs for a scheme are imported when a URL of that scheme is used. Credentials, endpoints and other
settings are the business of each store's own tools and of fsspec's configuration.
"""

import functools
import mimetypes
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from threading import get_ident
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from upscale_cli.errors import UpscaleError, UsageError

T = TypeVar("T")
AT_ONCE = 16
"""Requests for headers at once."""
TRIES, FIRST_WAIT = 5, 0.4
"""How often a store is asked that fails, and the seconds before it is asked again, which double each time."""
LARGEST_PUT = 5 << 30
"""The bytes of an object from which S3 takes it only in parts."""
SILENCE = 15
"""Seconds without an answer after which a server counts as one that failed, as s3fs has it."""
SECRET = re.compile(
    r"(?i)(?<=://)[^/@\s]*:[^/@\s]*(?=@)"
    r"|(?<=[?&])([^=&\s]*(?:signature|sig|token|key|credential|secret|password)[^=&\s]*=)[^&\s\"]+"
)
"""A password or a signature within a URL."""


class Store(NamedTuple):
    """What is particular to the stores of a scheme: a record that is built by keyword.

    Attributes
    ----------
    extra : bool
        The extra `cloud` brings what it needs.
    options : callable() -> mapping
        Options of its file system; what fsspec's configuration says of them counts more.
    attributes : mapping
        Attributes of its file system.
    in_one_step : bool
        An object gets its name when it is complete; on others it is written under another name first.
    buckets : bool
        What follows `://` is the name of a bucket, which has no folder beside it.
    listed, writable : bool
        It has folders, and can be written.
    put : callable(name, size) -> mapping
        What `pipe_file` is told about an object.
    """

    extra: bool = False
    options: Callable[[], Mapping[str, Any]] = dict
    attributes: Mapping[str, Any] = MappingProxyType({})
    in_one_step: bool = False
    buckets: bool = False
    listed: bool = True
    writable: bool = True
    put: Callable[[str, int], Mapping[str, Any]] = lambda name, size: {}


def _s3_options() -> Mapping[str, Any]:
    """Leave asking again to us: a client that did so as often would multiply the tries, and the time they take.

    A third of the processor time of a request is that of checks that the store makes, too, and of a description of
    this machine that nobody reads.
    """
    config = {"max_pool_connections": 2 * AT_ONCE, "parameter_validation": False, "user_agent": "upscale-cli"}
    return {"config_kwargs": config | {"retries": {"total_max_attempts": 1}}}


def _s3_put(name: str, size: int) -> Mapping[str, Any]:
    """Let an object be one request, of which a killed run leaves nothing, if it can be one."""
    kind = mimetypes.guess_type(name)[0]
    return ({"ContentType": kind} if kind else {}) | ({"chunksize": max(size, 1)} if size < LARGEST_PUT else {})


def _http_options() -> Mapping[str, Any]:
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
    # What is compressed on its way has no ranges. URLs are sent as they were typed: they may be signed.
    session = {"trust_env": True, "timeout": timeout}
    return {"headers": {"Accept-Encoding": "identity"}, "client_kwargs": session, "encoded": True}


STORES: Mapping[str, Store] = {
    **dict.fromkeys(
        ("s3", "s3a"),
        Store(
            extra=True, options=_s3_options, attributes={"retries": 1}, in_one_step=True, buckets=True, put=_s3_put
        ),
    ),
    **dict.fromkeys(("gs", "gcs", "az", "abfs", "abfss"), Store(in_one_step=True, buckets=True)),
    **dict.fromkeys(("http", "https"), Store(extra=True, options=_http_options, listed=False, writable=False)),
    "memory": Store(extra=True),
}
"""What is particular to schemes. Others are whatever fsspec knows."""


def store_of(url: str) -> Store:
    """Return what is particular to the store of a URL."""
    return STORES.get(url.partition("://")[0].lower(), Store())


def visible_url(text: str) -> str:
    """Return a URL, or a text with URLs, without the passwords and signatures in it.

    >>> visible_url("https://me:pass@host/a.png?size=1&X-Amz-Signature=0f3c")
    'https://***@host/a.png?size=1&X-Amz-Signature=***'
    """
    return SECRET.sub(lambda found: f"{found[1] or ''}***", text)


def system_of(url: str) -> Any:
    """Return fsspec's file system for a URL.

    Raises
    ------
    UsageError
        If there is none, or what it needs is not installed.
    """
    shown, (scheme, _, rest) = visible_url(url), url.partition("://")
    scheme = scheme.lower()
    if store_of(url).buckets and rest[:1] in ("", "/"):
        raise UsageError(f'"{shown}" names no bucket; write {scheme}://BUCKET/NAME.')
    try:
        from fsspec.registry import get_filesystem_class

        kind = get_filesystem_class(scheme)
        # Those that are not asynchronous serve one thread each.
        thread = 0 if kind.async_impl else get_ident()
        return _started(kind, scheme, tuple(sorted(kind._get_kwargs_from_urls(url).items())), thread)
    except ImportError as error:
        if store_of(url).extra or (error.name or "").startswith("fsspec"):
            raise UsageError(f"\"{shown}\" needs an extra: pip install 'upscale-cli[cloud]'.") from None
        raise UsageError(f'"{shown}" needs another package: {str(error).rstrip(".")}.') from None
    except ValueError:
        raise UsageError(
            f'"{shown}": no place is called {scheme}://; for a file of that name, add ./ before it.'
        ) from None


@functools.lru_cache
def _started(kind: Any, scheme: str, of_url: tuple[tuple[str, Any], ...], thread: int) -> Any:
    """Return a file system, once for a thread."""
    from fsspec.config import apply_config

    store, asked = store_of(f"{scheme}://"), apply_config(kind, {})
    options = {"use_listings_cache": False, **store.options(), **dict(of_url)}
    options |= {name: {**value, **asked.get(name, {})} for name, value in options.items() if isinstance(value, dict)}
    system = kind(**options)
    for name, value in store.attributes.items():
        setattr(system, name, value)
    return system


class StoreError(UpscaleError):
    """What a store has refused, or failed to do."""


def ask(what: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Return what a store answers; if the store failed it is asked again, after a while that is longer each time.

    Parameters
    ----------
    what : str
        How a sentence about a failure begins, such as `cannot be read`.

    Raises
    ------
    FileNotFoundError, FileExistsError, NotImplementedError
        If there is no such object, one is there that may not be replaced, or the store cannot do that.
    StoreError
    """
    for number in range(TRIES):
        try:
            return function(*args, **kwargs)
        except UpscaleError:
            raise
        except Exception as error:
            kind, why = _meaning(error)
            if not why:
                raise kind from error
            if kind is not TimeoutError or number == TRIES - 1:
                raise StoreError(f"{what}: {visible_url(why)}.") from error
        time.sleep(random.uniform(0.5, 1) * FIRST_WAIT * 2**number)  # noqa: S311 - no secret
    raise AssertionError("the last try returns or raises")


_AGAIN = f", {TRIES} times; run it again later"
_UNREACHABLE = "the store cannot be reached; check the network, the host and the endpoint"
_REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (FileExistsError, r"\bFileExistsError|PreconditionFailed|\b412\b", ""),
    (NotImplementedError, r"NotImplemented\b|\b501\b", ""),
    (StoreError, "NoSuchBucket|ContainerNotFound", "there is no such bucket; check its name"),
    (StoreError, "InvalidBucketName|ParamValidationError", "that is not the name of a bucket; check it"),
    (
        StoreError,
        r"PermanentRedirect|RecursionError|\b30[17]\b|AuthorizationHeaderMalformed|IllegalLocationConstraint|NoRegion",
        "the bucket lies in another region; set AWS_REGION to that",
    ),
    (
        StoreError,
        "Credential|ProfileNotFound|TokenRetrieval|SSO|RefreshError|ClientAuthentication",
        "there are no valid credentials; sign in as for the tools of the store itself",
    ),
    (StoreError, "RequestTimeTooSkewed", "the clock of this machine is wrong; set it"),
    (StoreError, "InvalidObjectState", "it is in an archive; restore it first"),
    (
        StoreError,
        r"PermissionError|AccessDenied|ExpiredToken|InvalidAccessKeyId|SignatureDoesNotMatch|\b40[13]\b",
        "access is denied; check the credentials and their permissions",
    ),
    (StoreError, r"\b400 400\b", "the store refuses it; check the region, the endpoint and the credentials"),
    (StoreError, r"InvalidRange|\b416\b", "it became shorter meanwhile; run it again"),
    (
        TimeoutError,
        r"SlowDown|Throttl|TooManyRequests|ConditionalRequestConflict|\b(408|409|429|5\d\d)\b",
        f"the store was busy or failed{_AGAIN}",
    ),
    (TimeoutError, "gaierror|ClientConnector|EndpointConnection|ConnectionRefused", _UNREACHABLE),
    (
        TimeoutError,
        "[Tt]imeout|Connection|Disconnected|HTTPClientError|IncompleteRead|Payload|ResponseParserError",
        f"the store did not answer{_AGAIN}",
    ),
    (FileNotFoundError, r"FileNotFoundError|NoSuchKey|\b404\b", ""),
)
"""What errors of stores mean, by the names, codes and statuses in them: the first that is found counts.

`TimeoutError` may pass; the kinds that say nothing are for who asked.
"""


def _meaning(error: Exception) -> tuple[type[Exception], str]:
    """Return what an error means, as the kind that stands for it, and why it happened, as the end of a sentence."""
    facts = " ".join(_facts(error))
    own = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".")
    found = ((kind, why) for kind, pattern, why in _REASONS if re.search(pattern, facts))
    return next(found, (StoreError, own))


def _facts(error: BaseException | None) -> Iterator[str]:
    """Yield the names of an error and of its causes, and the codes and HTTP statuses that clients keep in them."""
    while error is not None:
        yield type(error).__name__
        response = getattr(error, "response", None)
        if isinstance(response, dict):  # botocore's
            yield str(response.get("Error", {}).get("Code"))
            yield str(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        for name in ("status", "status_code", "code", "error_code"):
            yield str(getattr(error, name, ""))
        error = error.__cause__  # its context is what is handled just now, which may be anything

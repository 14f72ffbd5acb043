"""Stores behind URLs, through fsspec: how they are reached, when they are asked again, and what their errors mean.

fsspec and what it needs for a scheme are imported when a URL of that scheme is used. Credentials, endpoints and other
settings are those of each store's own tools and of fsspec's configuration.
"""

import functools
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from upscale_cli.errors import UpscaleError, UsageError

T = TypeVar("T")
AT_ONCE = 16
"""Requests for headers at once."""
TRIES, FIRST_WAIT = 5, 0.2
"""How often a store is asked that fails, and the seconds before it is asked again, which double each time."""
LARGEST_PUT = 5 << 30
"""The bytes of an object from which S3 takes it only in parts."""
SECRET = re.compile(
    r"(?i)(?<=://)[^/@\s]*:[^/@\s]*(?=@)|(?<=[?&])([^=&\s]*(?:signature|sig|token|key|credential|secret|password)[^=&\s]*=)[^&\s\"]+"
)
"""A password or a signature within a URL."""


class Store(NamedTuple):
    """What is particular to the stores of a scheme: a record that is built by keyword.

    Attributes
    ----------
    extra : bool
        The extra `cloud` brings what it needs.
    options : mapping
        What its client is started with, unless fsspec's configuration says otherwise.
    in_one_step : bool
        An object that is written gets its name when it is complete. Others are written under another name first.
    buckets : bool
        What follows `://` is the name of a bucket, or of a host, beside which nothing can be written.
    listed, writable : bool
        It has folders, and can be written.
    put : callable(size) -> mapping
        What `pipe_file` is told about an object of a size.
    """

    extra: bool = False
    options: Mapping[str, Any] = MappingProxyType({})
    in_one_step: bool = False
    buckets: bool = True
    listed: bool = True
    writable: bool = True
    put: Callable[[int], Mapping[str, Any]] = lambda size: {}


def _s3_put(size: int) -> Mapping[str, Any]:
    """Let an object be one request, of which a killed run leaves nothing, if it can be one."""
    return {"chunksize": max(size, 1)} if size < LARGEST_PUT else {}


_S3 = Store(
    extra=True,
    # Here it is asked again; a client that does so as well would multiply the tries, and the time they take.
    options={"config_kwargs": {"retries": {"total_max_attempts": 2}, "max_pool_connections": 2 * AT_ONCE}},
    in_one_step=True,
    put=_s3_put,
)
_HTTP = Store(
    extra=True,
    # What is sent compressed has no ranges.
    options={"headers": {"Accept-Encoding": "identity"}, "client_kwargs": {"trust_env": True}},
    listed=False,
    writable=False,
)
_OBJECTS = Store(in_one_step=True)
STORES: Mapping[str, Store] = {
    **dict.fromkeys(("s3", "s3a"), _S3),
    **dict.fromkeys(("http", "https"), _HTTP),
    **dict.fromkeys(("gs", "gcs", "az", "abfs", "abfss"), _OBJECTS),
    "memory": Store(extra=True, in_one_step=True, buckets=False),
}
"""What is particular to schemes; others are those of fsspec without anything particular."""


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
    scheme = url.partition("://")[0].lower()
    needs = f'"{visible_url(url)}" needs an extra: pip install'
    try:
        from fsspec.registry import get_filesystem_class
    except ImportError:
        raise UsageError(f"{needs} 'upscale-cli[cloud]'.") from None
    try:
        kind = get_filesystem_class(scheme)
    except ImportError as error:
        if store_of(url).extra:
            raise UsageError(f"{needs} 'upscale-cli[cloud]'.") from None
        raise UsageError(f'"{visible_url(url)}" cannot be reached: {error}.') from None
    except ValueError:
        raise UsageError(f'"{visible_url(url)}": no kind of place is called {scheme}://.') from None
    return _started(kind, scheme, *sorted(kind._get_kwargs_from_urls(url).items()))


@functools.cache
def _started(kind: Any, scheme: str, *of_url: tuple[str, Any]) -> Any:
    from fsspec.config import conf

    options = {"use_listings_cache": False, **dict(of_url)}
    for name, value in store_of(f"{scheme}://").options.items():
        given = conf.get(scheme, {}).get(name)
        options[name] = {**value, **(given or {})} if isinstance(value, dict) else given or value
    system = kind(**options)
    if hasattr(system, "retries"):
        system.retries = 1
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
    FileNotFoundError, FileExistsError
        If there is no such object, or one is there that may not be replaced.
    StoreError
    """
    for number in range(TRIES):
        try:
            return function(*args, **kwargs)
        except UpscaleError:
            raise
        except Exception as error:
            kind, why = _meaning(error)
            if kind in (FileNotFoundError, FileExistsError):
                raise kind from error
            if kind is not TimeoutError or number == TRIES - 1:
                raise StoreError(f"{what}: {visible_url(why)}.") from error
        time.sleep(random.uniform(0.5, 1) * FIRST_WAIT * 2**number)  # noqa: S311 - no secret
    raise AssertionError("a loop that ended")


_REASONS: tuple[tuple[str, str, type[Exception]], ...] = (
    (r"\bFileExistsError|PreconditionFailed|\b412\b", "", FileExistsError),
    (r"NoSuchBucket|ContainerNotFound", "there is no such bucket; check its name", StoreError),
    (r"InvalidBucketName|ParamValidationError", "that is not a valid name of a bucket; check it", StoreError),
    (
        r"PermanentRedirect|\b30[17]\b|AuthorizationHeaderMalformed|IllegalLocationConstraint|NoRegion",
        "the bucket lies in another region; set AWS_REGION to its region",
        StoreError,
    ),
    (
        r"Credential|ProfileNotFound|TokenRetrieval|SSO|RefreshError|ClientAuthentication",
        "there are no valid credentials; sign in as for the tools of the store itself",
        StoreError,
    ),
    (
        r"PermissionError|AccessDenied|ExpiredToken|InvalidAccessKeyId|SignatureDoesNotMatch|\b40[13]\b",
        "access is denied; check the credentials and their permissions",
        StoreError,
    ),
    (
        r"SlowDown|Throttl|TooManyRequests|ConditionalRequestConflict|\b(408|409|429|5\d\d)\b",
        f"the store was busy or failed, {TRIES} times; run it again later",
        TimeoutError,
    ),
    (
        r"gaierror|ClientConnector|EndpointConnection|ConnectionRefused",
        "the store cannot be reached; check the network, the host and the endpoint",
        TimeoutError,
    ),
    (
        r"[Tt]imeout|Connection|Disconnected|IncompleteRead|Payload|ResponseParserError",
        f"the store did not answer, {TRIES} times; run it again later",
        TimeoutError,
    ),
    (r"FileNotFoundError|NoSuchKey|\b404\b", "", FileNotFoundError),
)
"""What errors of stores mean, by the names, codes and statuses in them: the first that is found counts.

`TimeoutError` may pass; the kinds that say nothing are for who asked.
"""


def _meaning(error: Exception) -> tuple[type[Exception], str]:
    """Return what an error means, as the kind that stands for it, and why it happened, as the end of a sentence."""
    facts = " ".join(_facts(error))
    own = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".")
    found = ((kind, why) for pattern, why, kind in _REASONS if re.search(pattern, facts))
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
        error = error.__cause__ or error.__context__

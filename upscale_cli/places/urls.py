"""Objects and prefixes of stores, and pages: what has a URL."""

import io
import os
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from upscale_cli.codecs.finding import format_of, stem_of
from upscale_cli.errors import NeedlessError, UpscaleError, UsageError
from upscale_cli.machine.replacing import SPOOL
from upscale_cli.places.folders import Sieve
from upscale_cli.places.place import LeftAlone, Source, Target, Unreadable
from upscale_cli.places.stores import AT_ONCE, ask, store_of, system_of, visible_url

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""How a URL begins. A single letter is a drive."""
BLOCK = 1 << 16
"""The bytes that are fetched at once of an object whose header is read."""


def scheme_of(name: str) -> str:
    """Return the scheme of a URL, in lower case; empty for the name of a file."""
    found = SCHEME.match(name)
    return found[1].lower() if found else ""


def _file_name(url: str) -> str:
    """Return the file name that a URL ends with."""
    if store_of(url).listed:
        return url.rstrip("/").rpartition("/")[2]
    return PurePosixPath(unquote(urlsplit(url).path)).name or "index"


def _identity(url: str) -> Hashable:
    kind = type(system_of(url))
    return kind, kind._strip_protocol(url)


def _beside(folder: str, label: str) -> str:
    """Return the folder for the results of a folder."""
    if "/" not in folder.partition("://")[2] and store_of(folder).buckets:
        raise UpscaleError(f'is in "{folder}/", which has no folder beside it; use --output.')
    return f"{folder}_{label}"


class UrlTarget(Target):
    """An object that a result becomes when it is complete.

    Parameters
    ----------
    url : str
    root : str, optional
        The folder that was given, of which it is named a part.
    """

    def __init__(self, url: str, root: str | None = None) -> None:
        self.name, self.root = url, root

    @property
    def shown(self) -> str:
        return f'"{visible_url(self.name)}"'

    def exists(self) -> bool:
        return bool(ask(f"{self.shown} cannot be looked up", system_of(self.name).isfile, self.name))

    @contextmanager
    def commit(self, overwrite: bool, *others: Target) -> Iterator[list[BinaryIO]]:
        with ExitStack() as stack:
            targets = [target for target in (*others, self) if isinstance(target, UrlTarget)]
            spools = [cast(BinaryIO, stack.enter_context(SpooledTemporaryFile(SPOOL))) for _ in targets]
            yield spools
            for target, spool in zip(targets, spools, strict=True):
                target._put(spool, overwrite)

    def _put(self, spool: BinaryIO, overwrite: bool) -> None:
        """Write an object, complete."""
        size = spool.seek(0, os.SEEK_END)
        spool.seek(0)
        content = spool.read()
        mode = "overwrite" if overwrite else "create"
        system, told = system_of(self.name), store_of(self.name).put(size)
        try:
            ask(f"{self.shown} cannot be written", system.pipe_file, self.name, content, mode=mode, **told)
        except FileExistsError:
            raise NeedlessError(
                f"{self.shown} was written by another program meanwhile; use --overwrite to replace it."
            ) from None

    def beside(self, ending: str) -> "UrlTarget":
        folder, _, name = self.name.rpartition("/")
        return UrlTarget(f"{folder}/{stem_of(PurePosixPath(name))}{ending}", self.root)

    def identity(self) -> Hashable | None:
        return _identity(self.name)

    def key(self) -> Hashable:
        return _identity(self.name)

    def clean(self) -> None:
        """Do nothing: nothing lies beside an object."""


class _Ranges(io.RawIOBase):
    """Content that is fetched where it is read."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size, self._at = read, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = self._read(self._at, min(self._at + len(buffer), self._size)) if self._at < self._size else b""
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


class UrlSource(Source):
    """An object, or a page.

    Parameters
    ----------
    url : str
    root : str, optional
        The folder that was given, in which it was found; None if it was given itself.
    size : int, optional
        Its bytes, if they are known.
    """

    at_once = AT_ONCE

    def __init__(self, url: str, root: str | None = None, size: int | None = None) -> None:
        self.url, self._root, self._size = url, root, size
        self.shown, self.name = visible_url(url), PurePosixPath(_file_name(url))
        self.parent = url.rpartition("/")[0]
        self.place = None if root is None else PurePosixPath(*filter(None, self.parts))

    @property
    def parts(self) -> Sequence[str]:
        return (str(self.name),) if self._root is None else self.url[len(self._root) + 1 :].split("/")

    def open(self) -> BinaryIO:
        return io.BytesIO(self._read())

    def header(self) -> BinaryIO:
        if self._size is None:
            try:
                self._size = ask("cannot be read", system_of(self.url).info, self.url)["size"]
            except FileNotFoundError:
                raise UpscaleError("does not exist.") from None
        if self._size is None:  # a server that does not say it
            return self.open()
        return cast(BinaryIO, io.BufferedReader(_Ranges(self._read, self._size), BLOCK))

    def _read(self, start: int | None = None, end: int | None = None) -> bytes:
        """Return a part of the content, or all of it."""
        try:
            content: bytes = ask("cannot be read", system_of(self.url).cat_file, self.url, start=start, end=end)
        except FileNotFoundError:
            raise UpscaleError("does not exist.") from None
        # A server without ranges sends everything.
        return content if start is None or end is None or len(content) <= end - start else content[start:end]

    def default_target(self, label: str, extension: str) -> UrlTarget:
        if not store_of(self.url).writable:
            raise UpscaleError("lies where nothing can be written; use --output.")
        if self._root is None:
            return UrlTarget(f"{self.parent}/{stem_of(self.name)}_{label}{extension}")
        root = _beside(self._root, label)
        return UrlTarget("/".join((root, *self.parts[:-1], stem_of(self.name) + extension)), root)

    def beside(self, ending: str) -> "UrlSource | None":
        beside = UrlTarget(self.url).beside(ending)
        return UrlSource(beside.name) if beside.exists() else None

    def identity(self) -> Hashable | None:
        return _identity(self.url)


class Urls:
    """Whatever fsspec reaches; see `Place`."""

    def is_folder(self, name: str) -> bool:
        if name.endswith("/") or (store_of(name).buckets and "/" not in name.partition("://")[2]):
            return store_of(name).listed
        if not store_of(name).listed or format_of(PurePosixPath(_file_name(name))) is not None:
            return False
        return bool(ask(f'"{visible_url(name)}" cannot be looked up', system_of(name).isdir, name))

    def is_one(self, name: str) -> bool:
        return False

    def exists(self, name: str) -> bool:
        return bool(ask(f'"{visible_url(name)}" cannot be looked up', system_of(name).exists, name))

    def source(self, name: str) -> UrlSource:
        return UrlSource(name)

    def sources(self, name: str, output: str | None) -> Iterator[Source | Unreadable | LeftAlone]:
        """Yield the source of a name, or what is below it."""
        if not self.is_folder(name):
            yield UrlSource(name)
            return
        system, root = system_of(name), name.rstrip("/")
        sieve = Sieve()
        try:
            found = ask("cannot be listed", system.find, name, detail=True)
        except FileNotFoundError:
            found = {}
        except UpscaleError as error:
            yield Unreadable(visible_url(name), error)
            return
        start = len(system._strip_protocol(root)) + 1
        inside = None if output is None else output.rstrip("/") + "/"
        below = sorted(
            (path[start:] for path in found if not path.endswith("/")), key=lambda p: p.rpartition("/")[::2]
        )
        for path in below:
            url = f"{root}/{path}"
            if (inside is None or not url.startswith(inside)) and sieve.takes(PurePosixPath(path)):
                yield UrlSource(url, root, found.get(path, {}).get("size"))
        yield from sieve.rest(visible_url(name))

    def beside(self, name: str, label: str) -> str:
        return _beside(name.rstrip("/"), label)

    def inside(self, name: str) -> list[UrlSource]:
        try:
            found = ask(f'"{visible_url(name)}" cannot be listed', system_of(name).ls, name, detail=False)
        except FileNotFoundError:
            return []
        return [UrlSource(f"{name}/{path.rpartition('/')[2]}") for path in sorted(found)]

    def target(self, name: str, parts: Sequence[str] = ()) -> UrlTarget:
        if not store_of(name).writable:
            raise UsageError(f'"{visible_url(name)}": {scheme_of(name)}:// is only read; use another --output.')
        root = name.rstrip("/")
        return UrlTarget("/".join((root, *parts)), root if parts else None)

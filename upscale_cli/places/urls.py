"""Objects and prefixes of stores, and pages: what has a URL."""

import io
import os
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from inspect import signature
from pathlib import PurePosixPath
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import Any, BinaryIO, cast
from urllib.parse import quote, unquote, urlsplit

from upscale_cli.codecs.finding import format_of, stem_of
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.errors import NeedlessError, UpscaleError, UsageError
from upscale_cli.machine.replacing import PREFIX, SPOOL
from upscale_cli.places.contents import BLOCK, OnDisk, Ranges
from upscale_cli.places.folders import Sieve, of_users
from upscale_cli.places.place import LeftAlone, Source, Target, Times, Unreadable
from upscale_cli.places.stores import AT_ONCE, ask, store_of, system_of, visible_url

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""How a URL begins. A single letter is a drive."""
LEGAL = "%/:?#[]@!$&'()*+,;=~"
"""What may stand in a URL besides letters, digits and `-._`."""
FEW = 16
"""Targets below a folder up to which each is looked up; for more of them, the folder is listed."""


def scheme_of(name: str) -> str:
    """Return the scheme of a URL, in lower case; empty for the name of a file."""
    found = SCHEME.match(name)
    return found[1].lower() if found else ""


def _file_name(url: str) -> str:
    """Return the file name that a URL ends with."""
    if store_of(url).listed:
        return url.rstrip("/").rpartition("/")[2]
    return PurePosixPath(unquote(urlsplit(url).path)).name or "index"


def _path(url: str) -> str:
    """Return what fsspec calls an object."""
    return str(system_of(url)._strip_protocol(url))


def _kind_of(url: str) -> str | None:
    """Return whether a URL is that of a `file` or a `directory`; None if there is nothing."""
    try:
        return str(ask(f'"{visible_url(url)}" cannot be looked up', system_of(url).info, url)["type"])
    except FileNotFoundError:
        return None


def _identity(url: str) -> Hashable:
    return type(system_of(url)), _path(url)


def _beside(folder: str, label: str) -> str:
    """Return the folder for the results of a folder."""
    if "/" not in folder.partition("://")[2] and store_of(folder).buckets:
        raise UsageError(f'"{folder}/" has no folder beside it; use --output.')
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
        return _kind_of(self.name) == "file"

    @classmethod
    def existing(cls, targets: "Sequence[Target]") -> set[Target]:
        by_root: dict[str | None, list[UrlTarget]] = defaultdict(list)
        for target in targets:
            if isinstance(target, UrlTarget):
                by_root[target.root].append(target)
        found: set[Target] = set()
        for root, below in by_root.items():
            if root is None or len(below) <= FEW:
                with ThreadPoolExecutor(AT_ONCE) as threads:
                    there = threads.map(UrlTarget.exists, below)
                    found.update(each for each, exists in zip(below, there, strict=True) if exists)
            else:
                listed = set(_listed(root, f'"{visible_url(root)}" cannot be looked up'))
                found.update(each for each in below if _path(each.name) in listed)
        return found

    @contextmanager
    def commit(self, overwrite: bool, *others: Target) -> Iterator[list[BinaryIO]]:
        with ExitStack() as stack:
            targets = [target for target in (*others, self) if isinstance(target, UrlTarget)]
            spools = [cast(BinaryIO, stack.enter_context(SpooledTemporaryFile(SPOOL))) for _ in targets]
            yield spools
            for target, spool in zip(targets, spools, strict=True):
                failure = f"{target.shown} cannot be written"
                try:
                    try:
                        ask(failure, target._put, spool, overwrite)
                    except NotImplementedError:  # a store that speaks S3 without conditions
                        ask(failure, target._put, spool, overwrite, conditions=False)
                except FileExistsError:
                    raise NeedlessError(
                        f"{target.shown} was written by another program meanwhile; use --overwrite to replace it."
                    ) from None

    def _put(self, spool: BinaryIO, overwrite: bool, conditions: bool = True) -> None:
        """Write the object in one step, with a name that nobody has if it may not be replaced."""
        system, store, size = system_of(self.name), store_of(self.name), spool.seek(0, os.SEEK_END)
        spool.seek(0)
        told = dict(store.put(self.name, size))
        if not overwrite and conditions and store.in_one_step and "mode" in signature(system._pipe_file).parameters:
            told["mode"] = "create"
        elif not overwrite and self.exists():
            raise FileExistsError
        if store.in_one_step:
            content = spool.read() if size <= SPOOL else OnDisk(spool.fileno(), closefd=False)
            system.pipe_file(self.name, content, **told)
            return
        folder = self.name.rpartition("/")[0]
        hidden = f"{folder}/{PREFIX}{os.urandom(8).hex()}.tmp"
        system.makedirs(folder, exist_ok=True)
        try:
            with system.open(hidden, "wb") as file:
                copyfileobj(spool, file)
            system.mv(hidden, self.name)
        except BaseException:
            with suppress(Exception):
                system.rm_file(hidden)
            raise

    def dated(self, times: Times | None) -> "UrlTarget":
        if times is not None:
            raise UpscaleError(f"{self.shown} cannot have the times of another; omit --preserve-times.")
        return self

    def beside(self, ending: str) -> "UrlTarget":
        folder, _, name = self.name.rpartition("/")
        return UrlTarget(f"{folder}/{stem_of(PurePosixPath(name))}{ending}", self.root)

    def identity(self) -> Hashable | None:
        return _identity(self.name)

    def key(self) -> Hashable:
        return _identity(self.name)

    def clean(self) -> None:
        """Do nothing: nothing lies beside an object."""


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
        self.url = url if store_of(url).listed else quote(url, safe=LEGAL)
        self._root, self._size = root, size
        self.shown, self.name = visible_url(url), PurePosixPath(_file_name(url))
        self.parent = url.rpartition("/")[0]
        self.place = None if root is None else PurePosixPath(*filter(None, self.parts))

    @property
    def parts(self) -> Sequence[str]:
        return (str(self.name),) if self._root is None else self.url[len(self._root) + 1 :].split("/")

    def open(self) -> BinaryIO:
        system, size = system_of(self.url), self._size or 0
        if size <= SPOOL:
            # A start spares s3fs a question about the size, and nothing has a start in an empty object.
            return io.BytesIO(self._asked(system.cat_file, self.url, start=0 if size else None))
        file, version = cast(BinaryIO, TemporaryFile()), self._asked(system.ukey, self.url)  # noqa: SIM115
        while (at := file.tell()) < size:
            start, part = self._fetch(at, min(at + SPOOL, size))
            file.seek(start)
            file.write(part)
        if self._asked(system.ukey, self.url) != version:
            raise UpscaleError("was changed while it was read; run it again.")
        file.seek(0)
        return file

    def header(self) -> BinaryIO:
        if self._size is None:
            self._size = self._asked(system_of(self.url).info, self.url)["size"]
        if self._size is None:  # a server that does not say it
            return self.open()
        return cast(BinaryIO, io.BufferedReader(Ranges(self._fetch, self._size), BLOCK))

    def _fetch(self, start: int, end: int) -> tuple[int, bytes]:
        """Return a part of the content; all of it from a server without ranges."""
        content = self._asked(system_of(self.url).cat_file, self.url, start=start, end=end)
        if not content:
            raise UpscaleError("became shorter while it was read; run it again.")
        return (start if len(content) <= end - start else 0), content

    def _asked(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return ask("cannot be read", function, *args, **kwargs)
        except FileNotFoundError:
            raise UpscaleError("does not exist; check its name.") from None

    def default_target(self, label: str, extension: str) -> UrlTarget:
        if not store_of(self.url).writable:
            raise UpscaleError("lies where nothing can be written; use --output.")
        if self._root is None:
            return UrlTarget(f"{self.parent}/{stem_of(self.name)}_{label}{extension}")
        root = _beside(self._root, label)
        return UrlTarget("/".join((root, *self.parts[:-1], stem_of(self.name) + extension)), root)

    def times(self) -> Times | None:
        raise UpscaleError("has no times that could be preserved; omit --preserve-times.")

    def beside(self, ending: str) -> "UrlSource | None":
        beside = UrlTarget(self.url).beside(ending)
        return UrlSource(beside.name) if beside.exists() else None

    def identity(self) -> Hashable | None:
        return _identity(self.url)


def _listed(name: str, failure: str) -> dict[str, int | None]:
    """Return what lies below a prefix, by what fsspec calls it, and the bytes of each."""
    try:
        found = ask(failure, system_of(name).find, name, detail=True)
    except FileNotFoundError:
        return {}
    return {path: about.get("size") for path, about in found.items()}


class Urls:
    """Whatever fsspec reaches; see `Place`."""

    def is_folder(self, name: str) -> bool:
        store = store_of(name)
        if name.endswith("/") or (store.buckets and "/" not in name.partition("://")[2]):
            return store.listed
        if not store.listed or format_of(PurePosixPath(_file_name(name))) is not None:
            return False
        return _kind_of(name) == "directory"  # an object comes before a folder of the same name

    def is_one(self, name: str) -> bool:
        return False

    def exists(self, name: str) -> bool:
        return _kind_of(name) is not None

    def source(self, name: str) -> UrlSource:
        return UrlSource(name)

    def sources(self, name: str, output: str | None) -> Iterator[Source | Unreadable | LeftAlone]:
        """Yield the source of a name, or what is below a prefix, in the order of `Files`, with the same left out."""
        if not self.is_folder(name):
            yield UrlSource(name)
            return
        root, shown, sieve, problems = name.rstrip("/"), visible_url(name), Sieve(), list[Unreadable]()
        try:
            found = _listed(name, "cannot be listed")
        except UpscaleError as error:
            yield Unreadable(shown, error)
            return
        start = len(_path(root)) + 1
        left_out = f"{(output or '').rstrip('/')}/"
        slices = False
        below = (path[start:].split("/") for path in found if path[start:] and not path.endswith("/"))
        for parts in sorted(below, key=lambda parts: (parts[:-1], parts[-1])):
            path = PurePosixPath(*filter(None, parts))
            url = "/".join((root, *parts))
            if {".", ".."} & {*parts}:
                problems.append(Unreadable(visible_url(url), UpscaleError('has "." or ".." in its path; rename it.')))
            elif len(of_users(parts)) < len(parts) or (url.startswith(left_out) and left_out != f"{root}/"):
                continue
            elif (format := format_of(path)) is FORMATS["dicom"] and format.installed:
                slices = True
            elif sieve.takes(path):
                yield UrlSource(url, root, found["/".join((_path(root), *parts))])
        if slices:
            why = UpscaleError("holds slices of DICOM series, which only files can be put together from; copy them.")
            problems.append(Unreadable(shown, why))
        if not found:
            problems.append(Unreadable(shown, UpscaleError("does not exist: nothing lies below it; check its name.")))
        yield from sieve.rest(shown, problems)

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

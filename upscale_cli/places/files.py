"""Files and folders."""

import errno
import os
import stat
import sys
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

from upscale_cli.codecs.finding import format_of, stem_of
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.series import Slices, is_slice, series_of
from upscale_cli.errors import UpscaleError
from upscale_cli.machine.durable import changed
from upscale_cli.machine.replacing import PREFIX, replacing, sweep
from upscale_cli.places.folders import Sieve, of_users, windows_has
from upscale_cli.places.place import LINKED, SPECIAL, LeftAlone, Source, Target, Times, Unreadable


class FileTarget(Target):
    """A file that a result replaces when it is complete."""

    def __init__(self, path: Path, times: Times | None = None) -> None:
        self.path, self.name, self.times = path, str(path), times

    def __getstate__(self) -> dict[str, Any]:
        # Another process may have another working directory.
        return {**self.__dict__, "path": self.path.absolute()}

    def exists(self) -> bool:
        return os.path.isfile(self.path)  # Path.is_file raises an error for a name that is too long

    @contextmanager
    def commit(self, overwrite: bool, *others: Target) -> Iterator[list[BinaryIO]]:
        paths = [target.path for target in (*others, self) if isinstance(target, FileTarget)]
        for path in paths:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        with replacing(*paths, overwrite=overwrite, times=self.times) as streams:
            yield streams

    def append(self, lines: bytes) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab+") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
                lines = b"\n" + lines  # a killed run has left a part of a line
            file.write(lines)
        return True

    def dated(self, times: Times | None) -> "FileTarget":
        return FileTarget(self.path, times)

    def content(self) -> "FileSource":
        return FileSource(self.path)

    def beside(self, ending: str) -> "FileTarget":
        return FileTarget(self.path.with_name(stem_of(self.path) + ending))

    def identity(self) -> Hashable | None:
        return identity_of(self.path)

    def key(self) -> Hashable:
        return unicodedata.normalize("NFC", os.path.realpath(self.path)).casefold()

    def is_same(self, other: Target) -> bool:
        mine, theirs = (Path(os.path.realpath(target.name)) for target in (self, other))
        return mine == theirs or _is_folded(mine, theirs)

    def clean(self) -> None:
        folder = self.path.resolve().parent
        sweep(folder)
        changed(folder)


class FileSource(Source):
    """A file.

    Parameters
    ----------
    path : Path
    root : Path, optional
        The folder that was given, in which the file was found; None if the file was given itself.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self.path, self.shown, self.name = path, str(path), PurePath(path.name)
        self.parent = str(path.parent)
        self._root, self.place = root, None if root is None else path.relative_to(root)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "path": self.path.absolute()}

    def open(self) -> BinaryIO:
        try:
            kind = os.stat(self.path).st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                # Opening a FIFO would wait for ever, and a device has no end.
                raise UpscaleError("is not a file; save its content to one, or pipe an image into -.")
            return open(self.path, "rb")
        except OSError as error:
            raise UpscaleError(f"cannot be read: {error.strerror}.") from None

    def default_target(self, label: str, extension: str) -> FileTarget:
        if self._root is None or self.place is None:
            return FileTarget(self.path.with_name(f"{stem_of(self.path)}_{label}{extension}"))
        # The images of a folder go into a folder beside it.
        place = self.place.with_name(stem_of(self.place) + extension)
        return FileTarget(_beside(self._root, label) / place)

    def times(self) -> Times | None:
        with suppress(OSError):  # opening it says what is wrong
            status = self.path.stat()
            return status.st_atime_ns, status.st_mtime_ns
        return None

    def beside(self, ending: str) -> "FileSource | None":
        beside = self.path.with_name(stem_of(self.path) + ending)
        return FileSource(beside) if beside.is_file() else None

    def identity(self) -> Hashable | None:
        return identity_of(self.path)


class SeriesSource(FileSource):
    """A DICOM series: files of a folder, which is named by it, with a `number` where it has several."""

    def __init__(self, paths: list[Path], number: str, root: Path) -> None:
        folder = Path(os.path.abspath(paths[0].parent))
        # The result lies where that of a file beside the folder would.
        named = folder.with_name(f"{folder.name}{number and '_'}{number}.dcm")
        root = Path(os.path.abspath(root))
        super().__init__(named, None if folder == root else root)
        self.shown, self.paths = f"{paths[0].parent}{number and f' (series {number})'}", paths

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"paths": [path.absolute() for path in self.paths]}

    def open(self) -> BinaryIO:
        try:
            return cast(BinaryIO, Slices(self.paths))
        except OSError as error:
            raise UpscaleError(f"cannot be read: {error.strerror}.") from None

    def times(self) -> Times | None:
        return FileSource(self.paths[0]).times()

    def identity(self) -> Hashable | None:
        return identity_of(self.paths[0])


def _beside(folder: Path, label: str) -> Path:
    """Return the folder for the results of a folder."""
    if folder.name in ("", ".."):  # "." and the root have no name
        folder = Path(os.path.abspath(folder))
    return folder.parent / f"{folder.name}_{label}"


def identity_of(path: Path) -> Hashable | None:
    """Return what all names of a file have in common; None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a name with a NUL
        return None
    return status.st_dev, status.st_ino


def _is_folded(one: Path, other: Path) -> bool:
    """Return whether two paths that differ by case or accents are one file here: both are tried in a new folder."""
    from tempfile import TemporaryDirectory

    common = Path(os.path.commonpath((one, other)))
    while not common.is_dir():
        common = common.parent
    with suppress(OSError), TemporaryDirectory(prefix=PREFIX, dir=common) as folder:
        Path(folder, one.relative_to(common)).mkdir(parents=True)
        return Path(folder, other.relative_to(common)).exists()
    return True  # It cannot be tried out.


def _is_special(path: Path) -> bool:
    """Return whether a path is no file and no folder: opening a FIFO would wait for ever, and a device has no end."""
    return not os.path.isfile(path) and not os.path.isdir(path) and os.path.exists(path)


class Files:
    """The files and folders of this machine; see `Place`."""

    def is_folder(self, name: str) -> bool:
        return os.path.isdir(name) or name.endswith(("/", os.sep))

    def is_one(self, name: str) -> bool:
        with suppress(OSError):  # listing it says what is wrong
            return any(is_slice(Path(name, file)) for file in of_users(os.listdir(name))[:1])
        return False

    def exists(self, name: str) -> bool:
        return os.path.exists(name)

    def sources(self, name: str, output: str | None) -> Iterator[FileSource | Unreadable | LeftAlone]:
        """Yield the source of a name, or what is in a folder: images are the files with the extension of a format.

        Links to folders are not followed. The output folder is left out, and so is what is hidden or a system's own.
        """
        if not os.path.isdir(name):
            yield self.source(name)
            return
        left_out = os.path.realpath(output) if output is not None else None
        problems, sieve = list[Unreadable](), Sieve()

        def failed(error: OSError) -> None:
            problems.append(Unreadable(str(error.filename), UpscaleError(f"cannot be read: {error.strerror}.")))

        for folder, below, files in os.walk(name, onerror=failed):
            below[:] = (each for each in of_users(below) if os.path.realpath(os.path.join(folder, each)) != left_out)
            sieve.left_alone += [LeftAlone(each, LINKED) for each in below if os.path.islink(Path(folder, each))]
            paths = [Path(folder, file) for file in of_users(files)]
            slices = [path for path in paths if is_slice(path)]
            if slices and FORMATS["dicom"].installed:
                paths = sorted({*paths} - {*slices})
                for number, series in series_of(slices):
                    sieve.images += 1
                    yield SeriesSource(series, number, Path(name))
            for path in paths:
                if format_of(path) is not None and _is_special(path):
                    sieve.left_alone.append(LeftAlone(path.name, SPECIAL))
                elif sieve.takes(path):
                    yield FileSource(path, Path(name))
        yield from sieve.rest(name, problems)

    def source(self, name: str) -> FileSource:
        return FileSource(Path(name))

    def beside(self, name: str, label: str) -> str:
        return str(_beside(Path(name), label))

    def inside(self, name: str) -> list[FileSource]:
        try:
            return [FileSource(Path(name, each)) for each in sorted(os.listdir(name))]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise UpscaleError(f'"{name}" cannot be read: {error.strerror}.') from None

    def target(self, name: str, parts: Sequence[str] = ()) -> FileTarget:
        path = Path(name, *parts)
        if sys.platform == "win32":
            for part in path.parts[bool(path.anchor) :]:
                if part != ".." and not windows_has(part):
                    why = f'Windows has no file "{part}"; rename the source, or use another --output'
                    raise UpscaleError(f'cannot become "{path}": {why}.')
        return FileTarget(path)

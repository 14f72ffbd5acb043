"""Files and folders."""

import errno
import os
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

from upscale_cli.codecs.finding import format_of
from upscale_cli.errors import UpscaleError
from upscale_cli.machine.replacing import PREFIX, replacing_together, sweep
from upscale_cli.places.place import Source, Target, UnreadableError


class FileTarget(Target):
    """A file that a result replaces when it is complete."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def exists(self) -> bool:
        return os.path.isfile(self.path)  # Path.is_file raises an error for a name that is too long

    def commit(self, overwrite: bool, *others: Target) -> AbstractContextManager[list[BinaryIO]]:
        return _committed([target for target in (*others, self) if isinstance(target, FileTarget)], overwrite)

    def beside(self, ending: str) -> "FileTarget":
        return FileTarget(self.path.with_name(self.path.stem + ending))

    def identity(self) -> Hashable | None:
        return _identity(self.path) if os.path.isfile(self.path) else None

    def key(self) -> Hashable:
        # Some file systems do not distinguish upper and lower case, or how accents are composed.
        return unicodedata.normalize("NFC", os.path.realpath(self.path)).casefold()

    def clean(self) -> None:
        sweep(self.path.resolve().parent)


@contextmanager
def _committed(targets: Sequence[FileTarget], overwrite: bool) -> Iterator[list[BinaryIO]]:
    for target in targets:
        try:
            target.path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    with replacing_together([target.path for target in targets], overwrite=overwrite) as streams:
        yield streams


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
        self._root, self.place = root, None if root is None else path.relative_to(root)

    def open(self) -> BinaryIO:
        try:
            if not (self.path.is_file() or self.path.is_dir()) and self.path.exists():
                # Opening a FIFO would wait for ever, and a device has no end.
                raise UpscaleError("is not a file; save its content to one, or pipe an image into -.")
            return self.path.open("rb")
        except OSError as error:
            raise UpscaleError(f"cannot be read: {error.strerror}.") from None

    def default_target(self, label: str, extension: str) -> FileTarget:
        if self._root is None or self.place is None:
            return FileTarget(self.path.with_name(f"{self.path.stem}_{label}{extension}"))
        # The images of a folder go into a folder beside it.
        root = Path(os.path.abspath(self._root))
        return FileTarget(root.with_name(f"{root.name}_{label}") / self.place.with_name(self.place.stem + extension))

    def beside(self, ending: str) -> "FileSource | None":
        beside = self.path.with_name(self.path.stem + ending)
        return FileSource(beside) if beside.is_file() else None

    def identity(self) -> Hashable | None:
        return _identity(self.path) if os.path.exists(self.path) else None


def _identity(path: Path) -> Hashable:
    """Return what all names of a file have in common."""
    status = path.stat()
    return status.st_dev, status.st_ino


class Files:
    """The files and folders of this machine; see `Place`."""

    def is_folder(self, name: str) -> bool:
        return os.path.isdir(name) or name.endswith(("/", os.sep))

    def exists(self, name: str) -> bool:
        return os.path.exists(name)

    def sources(self, name: str, output: str | None) -> Iterator[FileSource | UnreadableError]:
        """Yield the source of a name, or the images of a folder: the files with the extension of a format.

        Links to folders are not followed, and the output folder is left out.
        """
        if not os.path.isdir(name):
            yield FileSource(Path(name))
            return
        left_out = os.path.realpath(output) if output is not None else None
        problems: list[UnreadableError] = []

        def failed(error: OSError) -> None:
            problems.append(UnreadableError(str(error.filename), UpscaleError(f"cannot be read: {error.strerror}.")))

        root = Path(name)
        for folder, below, files in os.walk(root, onerror=failed):
            below[:] = sorted(each for each in below if os.path.realpath(os.path.join(folder, each)) != left_out)
            for file in sorted(files):
                path = Path(folder) / file
                if format_of(path) is not None and not file.startswith(PREFIX):
                    yield FileSource(path, root)
        yield from problems

    def target(self, name: str, parts: Sequence[str] = ()) -> FileTarget:
        return FileTarget(Path(name, *parts))

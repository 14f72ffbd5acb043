"""What is taken for images in folders, of whatever kind, and what is left alone."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from upscale_cli.codecs.finding import format_of, stem_of
from upscale_cli.errors import UpscaleError
from upscale_cli.places.place import LeftAlone, Unreadable, counted

OF_SYSTEMS = frozenset(
    {"desktop.ini", "ehthumbs.db", "thumbs.db", "$recycle.bin", "system volume information"}  # Windows
    | {"__macosx", "icon\r"}  # macOS
    | {"#recycle", "#snapshot", "@eadir", "lost+found"}  # Synology, Linux
    | {"dicomdir"}  # the table of contents of a disk with DICOM
)
"""What systems put into folders of their users, in lower case; beside names that begin with a dot."""

DEVICES = frozenset(("con", "prn", "aux", "nul", "conin$", "conout$")) | {
    f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"
}
"""What Windows takes for a device, whatever extension follows."""
FORBIDDEN = frozenset('<>:"|?*\\/') | {chr(code) for code in range(32)}
"""What no name has on Windows; after a colon, it writes into a hidden stream of another file."""


def windows_has(name: str) -> bool:
    """Return whether Windows has files of a name. It drops dots and spaces at the end without a word.

    >>> [windows_has(name) for name in ("a.png", "aux.png", "a:b.png", "a.", "auxiliary.png")]
    [True, False, False, False, True]
    """
    device = name.partition(".")[0].rstrip().lower() in DEVICES
    return not device and name == name.rstrip(". ") and FORBIDDEN.isdisjoint(name)


def _kind_of(path: PurePath) -> str:
    """Return what people call a kind of files: their extension, or that they have none."""
    return path.suffix.lower() if stem_of(path) != path.name else "without extension"


def of_users(names: Iterable[str]) -> list[str]:
    """Return the names that are neither hidden (macOS's own `._x.png`, too) nor a system's, sorted."""
    return sorted(name for name in names if not name.startswith(".") and name.casefold() not in OF_SYSTEMS)


class Sieve:
    """What a folder holds: images are the files with the extension of a format, the others are left alone.

    Attributes
    ----------
    images : int
        How many there are.
    left_alone : list of LeftAlone
    """

    def __init__(self) -> None:
        self.images, self.left_alone = 0, list[LeftAlone]()
        self._missing: set[str] = set()

    def takes(self, path: PurePath) -> bool:
        """Return whether a file is an image that can be read; otherwise it is left alone."""
        format = format_of(path)
        if format is not None and format.installed:
            self.images += 1
            return True
        self._missing |= {format.extra} if format is not None else set()
        self.left_alone.append(LeftAlone(path.name, _kind_of(path)))
        return False

    def rest(self, name: str, problems: Sequence[Unreadable] = ()) -> Iterator[Unreadable | LeftAlone]:
        """Yield what the folder `name` holds besides images, or that it has none, and its problems."""
        if self.images or problems:
            yield from self.left_alone
            yield from problems
            return
        others = counted(self.left_alone)
        extras = f"; pip install 'upscale-cli[{','.join(sorted(self._missing))}]' reads more" if self._missing else ""
        why = f"has no image of a known format{': ' if others else ''}{others}{extras}."
        yield Unreadable(name, UpscaleError(why))

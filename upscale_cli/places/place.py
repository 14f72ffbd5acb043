"""Sources and targets as values: where an image comes from, and where a result goes to.

A kind of place is a module with a `Source`, a `Target` and a `Place`, and a row of `PLACES`.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import PurePath
from typing import BinaryIO, NamedTuple, Protocol

from upscale_cli.errors import UpscaleError

Times = tuple[int, int]
"""When something was last read and changed, in nanoseconds since 1970."""
LINKED, SPECIAL = PLURAL = "linked folder", "special file"
"""The kinds of a link to a folder, and of what is no file: FIFOs, sockets and devices."""
MOST_KINDS = 5
"""The most kinds of files that a sentence counts."""


class Target(ABC):
    """Where a result goes to. It can be sent to another process if `portable` is true.

    Attributes
    ----------
    name : str
        As the user knows it.
    portable : bool
        Another process can write it.
    """

    name: str
    portable: bool = True

    @property
    def shown(self) -> str:
        """Its name within a sentence."""
        return f'"{self.name}"'

    @abstractmethod
    def exists(self) -> bool:
        """Return whether something is there already that would be replaced."""

    @classmethod
    def existing(cls, targets: "Sequence[Target]") -> "set[Target]":
        """Return those of some targets of this kind that exist."""
        return {target for target in targets if target.exists()}

    @abstractmethod
    def commit(self, overwrite: bool, *others: "Target") -> AbstractContextManager[list[BinaryIO]]:
        """Return streams for this target and others of its kind.

        When the block ends well, their contents become the targets: the others first, this one last. Otherwise
        nothing changes.
        """

    def append(self, lines: bytes) -> bool:
        """Add whole lines to what is there; return False if it can only be replaced as a whole."""
        return False

    def dated(self, times: Times | None) -> "Target":
        """Return the target that gets these times, if its kind has any."""
        return self

    def beside(self, ending: str) -> "Target":
        """Return the target with the same name and another ending in place of its extension.

        Raises
        ------
        UpscaleError
            If nothing can be written beside it.
        """
        raise UpscaleError("needs a file, to write the indices beside it; use --output FILE.")

    def identity(self) -> Hashable | None:
        """Return what it has in common with a source that is the same thing; None if it does not exist."""
        return None

    def key(self) -> Hashable:
        """Return what it has in common with other targets that may be the same thing."""
        return self.shown

    def is_same(self, other: "Target") -> bool:
        """Return whether another target that has the same key is the same thing."""
        return True

    @abstractmethod
    def clean(self) -> None:
        """Remove what killed runs have left beside it, and let its name be on the disk when the command ends."""


class Source(ABC):
    """Where an image comes from.

    Attributes
    ----------
    shown : str
        Its name in messages, as the user typed it.
    name : PurePath
        The file name that names its result.
    place : PurePath or None
        Its path below the folder that was given; None if it was given itself.
    notes : tuple of str
        What the user should know about it, beside what its image says.
    parent : str
        The folder that it lies in.
    at_once : int
        The most sources of its kind that are worth opening at once to read their headers.
    """

    at_once: int = 1
    shown: str
    name: PurePath
    place: PurePath | None = None
    notes: tuple[str, ...] = ()
    parent: str = "."

    @property
    def parts(self) -> Sequence[str]:
        """The names on its path below the folder that was given; its own name if it was given itself."""
        return (self.place or self.name).parts

    @abstractmethod
    def open(self) -> BinaryIO:
        """Return a new seekable stream of its content.

        Raises
        ------
        UpscaleError
            If it cannot be read.
        """

    def header(self) -> BinaryIO:
        """Return a new seekable stream for its header, of which no more is fetched than is read."""
        return self.open()

    @abstractmethod
    def default_target(self, label: str, extension: str) -> Target:
        """Return where its result goes if no output was given; `label` says what the result is, such as 4x."""

    def times(self) -> Times | None:
        """Return when it was last read and changed; None if that is not known."""
        return None

    def beside(self, ending: str) -> "Source | None":
        """Return the source with the same name and another ending in place of its extension, if there is one."""
        return None

    def identity(self) -> Hashable | None:
        """Return what it has in common with a target that is the same thing; None if it does not exist."""
        return None


class Place(Protocol):
    """A kind of place: what is found under a name, and the targets of a name."""

    def is_folder(self, name: str) -> bool:
        """Return whether a name is that of a folder: one that exists, or one that can only be meant as one."""

    def is_one(self, name: str) -> bool:
        """Return whether a name is that of a folder whose files are one image."""

    def exists(self, name: str) -> bool:
        """Return whether there is anything under a name."""

    def source(self, name: str) -> Source:
        """Return the source of a name that is not that of a folder."""

    def sources(self, name: str, output: str | None) -> "Iterator[Source | Unreadable | LeftAlone]":
        """Yield the source of a name, or what is in a folder, without what is in the output folder."""

    def beside(self, name: str, label: str) -> str:
        """Return the name of the folder for the results of a folder; `label` says what they are, such as 4x."""

    def inside(self, name: str) -> "Sequence[Source]":
        """Return everything in a folder, whatever it is, sorted by name; nothing if there is no such folder."""

    def target(self, name: str, parts: Sequence[str] = ()) -> Target:
        """Return the target of a name, or the one of some path below it."""


class LeftAlone(NamedTuple):
    """A file of a folder that is not taken for an image, or a link to a folder, which is not followed.

    `kind` is what people call it: its extension, or that it has none.
    """

    name: str
    kind: str


def counted(left_alone: Iterable[LeftAlone]) -> str:
    """Return how many files of each kind were left alone, the most frequent kinds first; empty if there were none.

    >>> counted([LeftAlone("a.txt", ".txt"), LeftAlone("a.heic", ".heic"), LeftAlone("b.heic", ".heic")])
    '2 .heic, 1 .txt left alone'
    """
    counts = sorted(Counter(each.kind for each in left_alone).items(), key=lambda each: (-each[1], each[0]))
    parts = [f"{count:,} {kind}{'s' * (count > 1 and kind in PLURAL)}" for kind, count in counts[:MOST_KINDS]]
    others = sum(count for _, count in counts[MOST_KINDS:])
    return f"{', '.join(parts)}{f' and {others:,} others' if others else ''} left alone" if counts else ""


class Unreadable(NamedTuple):
    """A folder, or a part of one, that cannot be listed or has no image: its name in messages, and why."""

    shown: str
    why: UpscaleError

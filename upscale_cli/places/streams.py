"""Standard input and standard output."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, BinaryIO

from upscale_cli.errors import UpscaleError
from upscale_cli.machine.replacing import spooled
from upscale_cli.places.place import Source, Target

STREAM = "-"
"""What users type for standard input, or standard output."""
STANDARD_INPUT = frozenset({STREAM, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
"""Its names, which mean the same."""
PIPE = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
"""What shells put in the place of `<(...)`: the name of a descriptor that we have inherited."""
NUMBER = re.compile(r"%(0?\d*)d")
"""Where the number of a frame stands in the name of its file."""


def is_numbered(output: str | None) -> bool:
    """Return whether an output is the name of numbered files, such as frames/%06d.png."""
    return output is not None and NUMBER.search(output) is not None


class StreamTarget(Target):
    """Standard output, which gets a result when it is complete.

    Parameters
    ----------
    stream : binary stream or None
        None if nothing is written.

    Attributes
    ----------
    at_once : bool
        It gets what there is at once, as frames are written.
    """

    name = "standard output"
    portable = False

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream, self.at_once = stream, False

    @property
    def shown(self) -> str:
        return self.name

    def exists(self) -> bool:
        return False

    def clean(self) -> None:
        """Do nothing: nothing lies beside a stream."""

    @contextmanager
    def commit(self, overwrite: bool, *others: Target) -> Iterator[list[BinaryIO]]:
        assert self._stream is not None
        if self.at_once:
            yield [self._stream]
            return
        with spooled(self._stream) as spool:
            yield [spool]


class Kept(Target):
    """A frame in memory, as the pieces that were written: none of them is copied, so none may change afterwards.

    It is for the formats of `splitting.ENDS`, which are written forwards.
    """

    name = "standard output"
    portable = False

    def __init__(self) -> None:
        self.pieces: list[Any] = []

    def exists(self) -> bool:
        return False

    def clean(self) -> None:
        """Do nothing: nothing lies beside it."""

    def write(self, piece: Any) -> int:
        """Keep a piece, as the `write` of a stream; return its length."""
        self.pieces.append(piece)
        return len(piece)

    @contextmanager
    def commit(self, overwrite: bool, *others: Target) -> Iterator[list[BinaryIO]]:
        yield [self]  # type: ignore[list-item]


class ContentSource(Source):
    """The content of an image: what was read from standard input.

    Parameters
    ----------
    content : bytes
    target : Target, optional
        Where its result goes if no output is given.
    shown : str
        Its name in messages.
    """

    name = PurePath("stdin")

    def __init__(self, content: bytes, target: Target | None = None, shown: str = STREAM) -> None:
        self.content, self._target, self.shown = content, target, shown

    def open(self) -> BinaryIO:
        return io.BytesIO(self.content)

    def default_target(self, label: str, extension: str) -> Target:
        if self._target is None:
            raise UpscaleError("has no place for its result; use --output.")
        return self._target

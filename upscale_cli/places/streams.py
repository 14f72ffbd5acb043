"""Standard input and standard output."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import BinaryIO

from upscale_cli.errors import UpscaleError
from upscale_cli.machine.replacing import spooled
from upscale_cli.places.place import Source, Target

STREAM = "-"
"""What users type for standard input, or standard output."""
STANDARD_INPUT = frozenset({STREAM, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
"""Its names, which mean the same."""
PIPE = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
"""What shells put in the place of `<(...)`: the name of a descriptor that we have inherited."""


class StreamTarget(Target):
    """Standard output, which gets a result when it is complete.

    Parameters
    ----------
    stream : binary stream or None
        None if nothing is written.
    """

    name = "standard output"
    portable = False

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream

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
        with spooled(self._stream) as spool:
            yield [spool]


class ContentSource(Source):
    """The content of an image: what was read from standard input.

    Parameters
    ----------
    content : bytes
    target : Target, optional
        Where its result goes if no output is given.
    """

    shown = STREAM
    name = PurePath("stdin")

    def __init__(self, content: bytes, target: Target | None = None) -> None:
        self._content, self._target = content, target

    def open(self) -> BinaryIO:
        return io.BytesIO(self._content)

    def default_target(self, label: str, extension: str) -> Target:
        if self._target is None:
            raise UpscaleError("has no place for its result; use --output.")
        return self._target

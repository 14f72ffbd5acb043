"""Standard input and standard output."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from upscale_cli.errors import UpscaleError
from upscale_cli.places.place import Source, Target

STREAM = "-"
"""What users type for standard input, or standard output."""
STDIN = PurePath("stdin")
"""The file name that names the result of standard input."""
SPOOL = 64 << 20
"""The bytes of a result that stay in memory before they go to a temporary file."""


@dataclass(frozen=True)
class StreamTarget(Target):
    """Standard output, which gets a result when it is complete; None if nothing is written."""

    stream: BinaryIO | None
    name: str = "standard output"
    portable: bool = False

    @property
    def shown(self) -> str:
        return self.name

    def exists(self) -> bool:
        return False

    def clean(self) -> None:
        """Do nothing: nothing lies beside a stream."""

    def commit(self, overwrite: bool, *others: Target) -> AbstractContextManager[list[BinaryIO]]:
        return self._spooled()

    @contextmanager
    def _spooled(self) -> Iterator[list[BinaryIO]]:
        assert self.stream is not None
        with tempfile.SpooledTemporaryFile(SPOOL) as spool:
            yield [spool]  # type: ignore[list-item]
            spool.seek(0)
            shutil.copyfileobj(spool, self.stream)
            self.stream.flush()


@dataclass(frozen=True)
class ContentSource(Source):
    """The content of an image: what was read from standard input.

    Attributes
    ----------
    content : bytes
    target : Target or None
        Where its result goes if no output is given.
    """

    content: bytes
    shown: str = STREAM
    name: PurePath = STDIN
    target: Target | None = None

    def open(self) -> BinaryIO:
        return io.BytesIO(self.content)

    def default_target(self, label: str, extension: str) -> Target:
        if self.target is None:
            raise UpscaleError("has no place for its result; use --output.")
        return self.target

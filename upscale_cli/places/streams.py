"""Standard input and standard output."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import BinaryIO, cast

from upscale_cli.errors import UpscaleError
from upscale_cli.places.place import Source, Target

STREAM = "-"
"""What users type for standard input, or standard output."""
NUMBER = re.compile(r"%(0?\d*)d")
"""Where the number of a frame stands in the name of its file."""
SPOOL = 64 << 20
"""The bytes of a result that stay in memory before they go to a temporary file."""


def is_numbered(output: str | None) -> bool:
    """Return whether an output is the name of numbered files, such as frames/%06d.png."""
    return output is not None and NUMBER.search(output) is not None


class StreamTarget(Target):
    """Standard output, which gets a result when it is complete.

    Parameters
    ----------
    stream : binary stream or None
        None if nothing is written.
    at_once : bool
        It gets what there is at once, as frames are written.
    """

    name = "standard output"
    portable = False

    def __init__(self, stream: BinaryIO | None, at_once: bool = False) -> None:
        self._stream, self.at_once = stream, at_once

    @property
    def shown(self) -> str:
        return self.name

    def exists(self) -> bool:
        return False

    def clean(self) -> None:
        """Do nothing: nothing lies beside a stream."""

    @property
    def content(self) -> memoryview:
        """What has been written, if the stream is in memory."""
        return cast(io.BytesIO, self._stream).getbuffer()

    @contextmanager
    def commit(self, overwrite: bool, *others: Target) -> Iterator[list[BinaryIO]]:
        import shutil
        import tempfile

        assert self._stream is not None
        if self.at_once:
            yield [self._stream]
            return
        with tempfile.SpooledTemporaryFile(SPOOL) as spool:
            yield [spool]  # type: ignore[list-item]
            spool.seek(0)
            shutil.copyfileobj(spool, self._stream)
            self._stream.flush()


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
        self._content, self._target, self.shown = content, target, shown

    def open(self) -> BinaryIO:
        return io.BytesIO(self._content)

    def default_target(self, label: str, extension: str) -> Target:
        if self._target is None:
            raise UpscaleError("has no place for its result; use --output.")
        return self._target

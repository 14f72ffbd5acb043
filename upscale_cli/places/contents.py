"""The contents of objects: fetched where they are read, and as clients of stores take them."""

import io
import os
from collections.abc import Callable
from typing import Any

BLOCK = 1 << 16
"""The bytes that are fetched first of an object whose header is read."""


class OnDisk(io.FileIO):
    """A large result as the clients of stores take one: a file with a length, of which there are slices."""

    def __len__(self) -> int:
        return os.fstat(self.fileno()).st_size

    def __getitem__(self, part: slice) -> bytes:
        self.seek(part.start)
        return self.read(min(part.stop, len(self)) - part.start)


class Ranges(io.RawIOBase):
    """Content that is fetched where it is read: twice as much each time, so that few requests reach all of it.

    Parameters
    ----------
    fetch : callable(start, end) -> (int, bytes)
        Returns what it could get, and where that begins.
    size : int
    """

    def __init__(self, fetch: Callable[[int, int], tuple[int, bytes]], size: int) -> None:
        self._fetch, self._size, self._at, self._block = fetch, size, 0, BLOCK
        self._parts: list[tuple[int, bytes]] = []

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size:
            return 0
        found = next((each for each in self._parts if each[0] <= self._at < each[0] + len(each[1])), None)
        if found is None:
            found = self._fetch(self._at, min(self._at + max(self._block, len(buffer)), self._size))
            self._parts, self._block = [*self._parts[:1], found], 2 * self._block
        part = found[1][self._at - found[0] :][: len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

"""The states in which a power cut may leave a folder, built from a recording of a command's system calls.

What POSIX promises is the model, as in ALICE (Pillai et al., OSDI 2014): until a file is synchronised, any of its
writes may be missing, torn at 512 bytes, or be there without an earlier one; until a folder is synchronised, any of
its changes of names may be missing. A rename is one change. Only that is kept for certain which ended before a
synchronisation of the same file or folder began.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from breaking import contents, ended, unmeasured

CALLS = (
    "open,openat,write,pwrite64,writev,pwritev,lseek,ftruncate,fallocate,sendfile,copy_file_range,rename,"
    "renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat,fsync,fdatasync"
)
SECTOR = 512
LONGEST_STRING = 1 << 24
MOST_CHANGES = 4
"""The most changes of names of which every choice is tried."""

ROOT = 0
"""The number of the folder itself; every file and folder below it has one, too."""

Tree = dict[str, bytes]


class Write(NamedTuple):
    """Bytes for a file; `data` is None where it was cut or extended to `at` bytes."""

    file: int
    at: int
    data: bytes | None


class Change(NamedTuple):
    """What names in one folder mean from now on: a file, a folder, or nothing."""

    folder: int
    names: dict[str, int | None]


class Sync(NamedTuple):
    """A file or folder was synchronised; it began after so many events."""

    what: int
    began: int


Event = Write | Change | Sync


class Recording(NamedTuple):
    """What lay in a folder, which numbers are folders, and what a command did, in the order in which calls ended."""

    names: dict[tuple[int, str], int]
    files: dict[int, bytes]
    folders: set[int]
    events: list[Event]


def recorded(command: Sequence[object], folder: Path, log: Path) -> Recording:
    """Run a command in a folder and return what it did; fail unless it ends with 0 and the recording is complete."""
    recorder = _Recorder(folder)
    line = ["strace", "-f", "-qq", "-y", "-xx", "-s", LONGEST_STRING, "-o", log, "-e", f"trace={CALLS}", *command]
    done = ended(line, folder, env=unmeasured())
    assert done.returncode == 0, done.stderr
    recorder.read(log.read_text("ascii"))
    recording = recorder.recording
    assert tree_of(recording, recording.events) == contents(folder), "the recording misses a change"
    return recording


class _Recorder:
    """Reads a log of strace."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        names: dict[tuple[int, str], int] = {}
        files: dict[int, bytes] = {}
        self._known = {".": ROOT}
        for number, path in enumerate(sorted(folder.rglob("*")), 1):
            place = path.relative_to(folder)
            self._known[str(place)] = number
            names[self._known[str(place.parent)], place.name] = number
            if path.is_file():
                files[number] = path.read_bytes()
        self.recording = Recording(names, files, {*self._known.values()} - files.keys(), [])
        self._next = len(self._known)
        self._offsets: dict[tuple[str, int], int] = {}

    def read(self, log: str) -> None:
        """Add the events of a log."""
        begun: dict[str, tuple[str, int]] = {}
        events = self.recording.events
        for line in log.splitlines():
            process, _, call = line.partition(" ")
            began, call = len(events), call.strip()
            if call.endswith("<unfinished ...>"):
                begun[process] = call.removesuffix("<unfinished ...>").rstrip(), began
                continue
            if resumed := re.match(r"<\.\.\. \w+ resumed>", call):
                first, began = begun.pop(process)
                call = first + call[resumed.end() :]
            found = re.fullmatch(r"(\w+)\((.*)\) += (\d+)(<.*)?", call)
            if found:  # others have failed
                self._add(found[1], found[2], int(found[3]), began)

    def _add(self, call: str, arguments: str, result: int, began: int) -> None:
        events = self.recording.events
        strings = [bytes.fromhex(each.replace("\\x", "")) for each in re.findall(r'"((?:\\x..)*)"', arguments)]
        descriptor, place = self._descriptor(arguments)
        if call in ("open", "openat"):
            self._open(self._place(strings[0]), arguments)
            self._offsets = {key: at for key, at in self._offsets.items() if key[1] != result}
        elif call in ("mkdir", "mkdirat"):
            if (place := self._place(strings[0])) is not None:
                self._new(place)
                self.recording.folders.add(self._known[place])
        elif call.startswith(("rename", "link", "unlink", "rmdir")):
            self._rename(call, [self._place(each) for each in strings])
        elif place is None:
            return
        elif call == "lseek":
            self._offsets[place, descriptor] = result
        elif call == "write":
            at = self._offsets.get((place, descriptor), 0)
            events.append(Write(self._known[place], at, strings[0][:result]))
            self._offsets[place, descriptor] = at + result
        elif call in ("fsync", "fdatasync"):
            events.append(Sync(self._known[place], began))
        elif call == "ftruncate":
            events.append(Write(self._known[place], int(arguments.rpartition(",")[2]), None))
        else:
            raise AssertionError(f"{call} is not understood; teach it to this module.")

    def _open(self, place: str | None, flags: str) -> None:
        if place is not None and "O_CREAT" in flags and place not in self._known:
            self._new(place)
        elif place is not None and "O_TRUNC" in flags:
            self.recording.events.append(Write(self._known[place], 0, None))

    def _descriptor(self, arguments: str) -> tuple[int, str | None]:
        found = re.match(r"(\d+)<((?:\\x..)*)>", arguments)
        return (int(found[1]), self._place(bytes.fromhex(found[2].replace("\\x", "")))) if found else (-1, None)

    def _place(self, path: bytes) -> str | None:
        """Return a path relative to the folder; None if it lies elsewhere, or is a pipe."""
        if path.startswith((b"pipe:", b"socket:", b"anon_inode:")):
            return None
        place = self._root / path.decode()
        return str(place.relative_to(self._root)) if place.is_relative_to(self._root) else None

    def _new(self, place: str) -> None:
        self._known[place], self._next = self._next, self._next + 1
        self._change({place: self._known[place]})

    def _rename(self, call: str, places: list[str | None]) -> None:
        old, new = places[0], places[-1]
        if old is None or new is None:
            return
        number = self._known[old]
        if call.startswith(("link", "rename")):
            self._known[new] = number
        if not call.startswith("link"):
            del self._known[old]
        self._change({place: self._known.get(place) for place in (old, new)})

    def _change(self, names: dict[str, int | None]) -> None:
        (folder,) = {str(Path(place).parent) for place in names}  # between folders it would not be one change
        changes = {Path(place).name: number for place, number in names.items()}
        self.recording.events.append(Change(self._known[folder], changes))


def tree_of(recording: Recording, events: Sequence[Event]) -> Tree:
    """Return the files below the folder, by path, after some of the events."""
    names, files = dict[tuple[int, str], int | None](recording.names), dict(recording.files)
    for event in events:
        if isinstance(event, Change):
            names |= {(event.folder, name): number for name, number in event.names.items()}
        elif isinstance(event, Write):
            before = files.get(event.file, b"")
            after = b"" if event.data is None else event.data + before[event.at + len(event.data) :]
            files[event.file] = before[: event.at].ljust(event.at, b"\0") + after

    def below(folder: int, path: str) -> Iterator[tuple[str, bytes]]:
        for (parent, name), number in names.items():
            if parent == folder and number is not None:
                if number in recording.folders:
                    yield from below(number, f"{path}{name}/")
                else:
                    yield path + name, files.get(number, b"")

    return dict(below(ROOT, ""))


def crash_states(recording: Recording) -> Iterator[tuple[bool, Tree]]:
    """Yield each different state after a power cut, and whether the command had ended by then."""
    events, seen = recording.events, set[object]()
    for end in range(len(events) + 1):
        past = events[:end]
        kept: dict[int, int] = {}  # what was synchronised, and up to which event
        for event in past:
            if isinstance(event, Sync):
                kept[event.what] = max(event.began, kept.get(event.what, 0))
        unsure = [n for n, event in enumerate(past) if not isinstance(event, Sync) and n >= kept.get(event[0], 0)]
        changes = [n for n in unsure if isinstance(past[n], Change)]
        writes = [n for n in unsure if isinstance(past[n], Write)]
        for lost in _losses(changes):
            for replaced in _damages(past, writes):
                left = [replaced.get(n, event) for n, event in enumerate(past) if n not in lost]
                tree = tree_of(recording, [event for event in left if event is not None])
                key = end == len(events), tuple(sorted(tree.items()))
                if key not in seen:
                    seen.add(key)
                    yield end == len(events), tree


def _losses(changes: list[int]) -> Iterator[set[int]]:
    """Yield which changes of names are lost: every choice of a few; of many, those before, from, but one, and one."""
    if len(changes) <= MOST_CHANGES:
        for count in range(len(changes) + 1):
            yield from map(set, combinations(changes, count))
        return
    for n, change in enumerate(changes):
        yield from (set(changes[:n]), set(changes[n:]), {change}, {*changes} - {change})
    yield set(changes)


def _damages(past: list[Event], writes: list[int]) -> Iterator[dict[int, Event | None]]:
    """Yield what is left of writes: all, none, none after one, one missing, only one, one torn, only their length."""
    yield {}
    yield dict.fromkeys(writes)
    yield {n: _zeros(past[n]) for n in writes}
    for n in writes:
        write = past[n]
        assert isinstance(write, Write)
        later = dict.fromkeys(each for each in writes if each > n)
        yield later
        yield {n: None}
        yield dict.fromkeys(each for each in writes if each != n)
        if write.data is not None and len(write.data) > SECTOR:
            last = (len(write.data) - 1) // SECTOR * SECTOR
            for size in (SECTOR, last):
                yield later | {n: write._replace(data=write.data[:size])}
            yield {n: write._replace(at=write.at + SECTOR, data=write.data[SECTOR:])}


def _zeros(event: Event) -> Event:
    """Return a write whose length has reached the disk before its bytes."""
    assert isinstance(event, Write)
    return event if event.data is None else event._replace(data=bytes(len(event.data)))

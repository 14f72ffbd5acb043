"""A host with a network file system, which says what such systems say: for tests of what they do to targets.

    python tests/remote.py STORE MOUNT LIES COMMAND...

runs a command for which MOUNT is the folder STORE by way of FUSE, in a mount namespace that ends with it. Two of them
are two hosts: locks of one are invisible on the other, as long as LIES, words with commas between them, say nothing
else. Nothing is cached.
"""

import contextlib
import ctypes
import errno
import os
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

LIES = {
    "link again": "a link is made, and then reported as existing already, as NFS does when an answer was lost",
    "link nothing": "no link is made, and success is reported",
    "link absent": "there are no hard links",
    "rename again": "a file is renamed, and then reported as missing, likewise",
    "rename absent": "no rename that leaves an existing file alone",
    "mkdir again": "a folder is made, and then reported as existing already, likewise",
    "locks granted": "every lock is granted",
    "locks refused": "every lock is refused",
    "locks absent": "there are no locks",
    "numbers alike": "all files have one number",
    "stale": "the first requests of some kinds find a stale handle; the kernel repeats one of them",
}
NEW_NAMESPACE, PRIVATE, RECURSIVE, NO_REPLACE = 0x20000, 1 << 18, 1 << 14, 1
LOCKS_ARE_OURS, DIRECT, OF_FLOCK = 1 << 10, 1, 1

Answer = bytes | None


class Remote:
    """The server: requests of the kernel, answered with what a folder holds (linux/fuse.h, version 7.31)."""

    def __init__(self, store: str, device: int, lies: set[str]) -> None:
        self._device, self._lies, self._stale = device, lies, Counter[int]()
        self._paths, self._open = {1: store}, dict[int, int]()
        self._calls: dict[int, Callable[[int, bytes], Answer]] = {
            1: self._lookup, 3: self._getattr, 4: self._setattr, 9: self._mkdir, 10: self._unlink, 11: self._rmdir,
            12: self._rename, 13: self._link, 14: self._open_file, 15: self._read, 16: self._write,
            17: self._statfs, 18: self._release, 20: self._fsync, 25: lambda node, body: b"", 26: self._init,
            27: lambda node, body: bytes(16), 28: self._list, 29: lambda node, body: b"",
            30: lambda node, body: b"", 32: self._lock, 33: self._lock, 35: self._create, 45: self._rename2,
        }  # fmt: skip

    def serve(self) -> None:
        """Answer until the file system is unmounted."""
        while True:
            try:
                request = os.read(self._device, 1 << 21)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):  # interrupted
                    continue
                return
            _, call, unique, node = struct.unpack_from("<IIQQ", request)
            if call in (2, 36, 42):  # what is forgotten or interrupted gets no answer
                continue
            status, answer = 0, b""
            try:
                known = self._calls.get(call)
                if known is None:
                    raise OSError(errno.ENOSYS, "")
                if "stale" in self._lies and call in (9, 12, 13, 14, 20, 35):
                    self._stale[call] += 1
                    if self._stale[call] < 3:
                        raise OSError(errno.ESTALE, "")
                answer = known(node, request[40:]) or b""
            except OSError as error:
                status = -(error.errno or errno.EIO)
            with contextlib.suppress(OSError):
                os.write(self._device, struct.pack("<IiQ", 16 + len(answer), status, unique) + answer)

    def _lies_about(self, lie: str, number: int) -> None:
        if lie in self._lies:
            raise OSError(number, "")

    def _init(self, node: int, body: bytes) -> Answer:
        ours = LOCKS_ARE_OURS if any(lie.startswith("locks") for lie in self._lies) else 0
        return struct.pack("<IIIIHHIIHH", 7, 31, 1 << 17, ours, 16, 12, 1 << 17, 1, 32, 0) + bytes(32)

    def _below(self, node: int, body: bytes) -> str:
        name, _, _ = body.partition(b"\0")
        return f"{self._paths[node]}/{name.decode()}"

    def _attributes(self, status: os.stat_result) -> bytes:
        times = [getattr(status, f"st_{each}time_ns") for each in "amc"]
        number = 7 if "numbers alike" in self._lies else status.st_ino
        sizes = number, status.st_size, status.st_blocks, *(each // 10**9 for each in times)
        owners = status.st_mode, status.st_nlink, status.st_uid, status.st_gid, 0, 4096, 0
        return struct.pack("<6Q10I", *sizes, *(each % 10**9 for each in times), *owners)

    def _entry(self, path: str) -> bytes:
        status = os.lstat(path)
        self._paths[status.st_ino] = path
        return struct.pack("<QQQQII", status.st_ino, 0, 0, 0, 0, 0) + self._attributes(status)

    def _lookup(self, node: int, body: bytes) -> Answer:
        return self._entry(self._below(node, body))

    def _getattr(self, node: int, body: bytes) -> Answer:
        with_file, _, file = struct.unpack_from("<IIQ", body)
        status = os.fstat(self._open[file]) if with_file & 1 else os.lstat(self._paths[node])
        return bytes(16) + self._attributes(status)

    def _setattr(self, node: int, body: bytes) -> Answer:
        valid, _, file, size, _, atime, mtime, _, *parts = struct.unpack_from("<II6Q4I", body)
        what: int | str = self._open[file] if valid & 64 else self._paths[node]
        if valid & 1:
            os.chmod(what, parts[3])
        if valid & 8:
            os.truncate(what, size)
        if valid & 32 and not valid & 256:
            os.utime(what, ns=(atime * 10**9 + parts[0], mtime * 10**9 + parts[1]))
        return bytes(16) + self._attributes(os.stat(what))

    def _mkdir(self, node: int, body: bytes) -> Answer:
        os.mkdir(path := self._below(node, body[8:]))
        self._lies_about("mkdir again", errno.EEXIST)
        return self._entry(path)

    def _unlink(self, node: int, body: bytes) -> Answer:
        os.unlink(self._below(node, body))
        return b""

    def _rmdir(self, node: int, body: bytes) -> Answer:
        os.rmdir(self._below(node, body))
        return b""

    def _rename(self, node: int, body: bytes, skip: int = 8) -> Answer:
        old, new = body[skip:].split(b"\0")[:2]
        (folder,) = struct.unpack_from("<Q", body)
        old_path, new_path = self._below(node, old), self._below(folder, new)
        os.rename(old_path, new_path)
        self._paths[os.lstat(new_path).st_ino] = new_path
        self._lies_about("rename again", errno.ENOENT)
        return b""

    def _rename2(self, node: int, body: bytes) -> Answer:
        folder, flags = struct.unpack_from("<QI", body)
        self._lies_about("rename absent", errno.EINVAL)
        if flags & NO_REPLACE and os.path.lexists(self._below(folder, body[16:].split(b"\0")[1])):
            raise OSError(errno.EEXIST, "")
        return self._rename(node, body, 16)

    def _link(self, node: int, body: bytes) -> Answer:
        self._lies_about("link absent", errno.EPERM)
        (file,) = struct.unpack_from("<Q", body)
        path = self._below(node, body[8:])
        if "link nothing" in self._lies:
            return self._entry(self._paths[file])
        os.link(self._paths[file], path)
        self._lies_about("link again", errno.EEXIST)
        return self._entry(path)

    def _opened(self, path: str, flags: int, mode: int) -> bytes:
        file = os.open(path, flags & ~os.O_NOFOLLOW, mode)
        self._open[file] = file
        return struct.pack("<QII", file, DIRECT, 0)

    def _open_file(self, node: int, body: bytes) -> Answer:
        (flags,) = struct.unpack_from("<I", body)
        return self._opened(self._paths[node], flags, 0)

    def _create(self, node: int, body: bytes) -> Answer:
        flags, mode = struct.unpack_from("<II", body)
        opened = self._opened(path := self._below(node, body[16:]), flags | os.O_CREAT, mode)
        return self._entry(path) + opened

    def _read(self, node: int, body: bytes) -> Answer:
        file, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(self._open[file], size, offset)

    def _write(self, node: int, body: bytes) -> Answer:
        file, offset = struct.unpack_from("<QQ", body)
        return struct.pack("<II", os.pwrite(self._open[file], body[40:], offset), 0)

    def _statfs(self, node: int, body: bytes) -> Answer:
        return struct.pack("<5Q4I", 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096, 0) + bytes(24)

    def _release(self, node: int, body: bytes) -> Answer:
        os.close(self._open.pop(struct.unpack_from("<Q", body)[0]))
        return b""

    def _fsync(self, node: int, body: bytes) -> Answer:
        return b""

    def _list(self, node: int, body: bytes) -> Answer:
        _, offset, size = struct.unpack_from("<QQI", body)
        answer = b""
        for number, name in enumerate(sorted(os.listdir(self._paths[node]))[offset:], offset + 1):
            raw = name.encode()
            entry = struct.pack("<QQII", 8, number, len(raw), 0) + raw + bytes(-len(raw) % 8)
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return answer

    def _lock(self, node: int, body: bytes) -> Answer:
        (kind,) = struct.unpack_from("<I", body, 32)
        self._lies_about("locks absent", errno.ENOLCK)
        if kind != 2:  # unlocking
            self._lies_about("locks refused", errno.EAGAIN)
        return b""


def _called(function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main() -> NoReturn:
    store, mount, lies, *command = sys.argv[1:]
    words = {word for word in lies.split(",") if word}
    assert words <= LIES.keys(), words - LIES.keys()
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    mounted, ready = os.pipe()
    if not os.fork():
        # The server is outside of the namespace, which ends with its last process.
        os.setsid()
        os.close(ready)
        os.read(mounted, 1)
        for each in range(3):
            os.close(each)
        Remote(os.path.realpath(store), device, words).serve()
        os._exit(0)
    _called(libc.unshare, NEW_NAMESPACE)
    _called(libc.mount, None, b"/", None, PRIVATE | RECURSIVE, None)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    _called(libc.mount, b"remote", os.fsencode(Path(mount).resolve()), b"fuse", 0, options.encode())
    os.close(device)  # the server alone holds it
    os.close(ready)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()

"""Make allocations of a run of `upscale` fail, and print how each run ends: a line of JSON.

The arguments are the first allocation that fails, the step to the next one, how many (0 for all), and whether all
that follow fail as well. Each run is a child of this process, in which everything was imported and used once, because
failing imports print lines of their own. A run that hangs is ended, and prints where. `SHIM`, which is preloaded,
makes allocations of C fail; with PYTHONMALLOC=malloc, all of Python.
"""

import ctypes
import faulthandler
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from click.testing import CliRunner

from upscale_cli.commands import terminal
from upscale_cli.commands.upscale import cli

SHIM = """
#include <errno.h>
#include <stddef.h>
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
static long counted, first, always, armed;
void arm(long number, long on) { first = number; always = on; armed = 1; }
long taken(void) { armed = 0; return counted; }
static int fails(void) {
    if (!armed) return 0;
    long now = __atomic_add_fetch(&counted, 1, __ATOMIC_RELAXED);
    if (now != first && !(always && now > first)) return 0;
    errno = ENOMEM;
    return 1;
}
void *malloc(size_t size) { return fails() ? 0 : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails() ? 0 : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return fails() ? 0 : __libc_realloc(old, size); }
void *memalign(size_t step, size_t size) { return fails() ? 0 : __libc_memalign(step, size); }
void *aligned_alloc(size_t step, size_t size) { return memalign(step, size); }
int posix_memalign(void **place, size_t step, size_t size) { return (*place = memalign(step, size)) ? 0 : ENOMEM; }
"""
"""C whose library fails the allocation of a number, after `arm(number, always)`."""

OLD = b"precious"
TARGET = Path("out.png")
COMMAND = ["in.png", "-o", TARGET.name, "--overwrite", "-q"]


def main() -> None:
    first, step, count, always = map(int, sys.argv[1:])
    CliRunner().invoke(cli, COMMAND, catch_exceptions=False)
    new = TARGET.read_bytes()
    total = int(_ended(0, 0)[1])
    for number in range(first, total if count == 0 else first + step * count, step):
        TARGET.write_bytes(OLD)
        status, said = _ended(number, always)
        content = TARGET.read_bytes()
        kept = "old" if content == OLD else "new" if content == new else "partial"
        print(json.dumps([number, status, kept, said]), flush=True)


def _ended(number: int, always: int) -> tuple[int, str]:
    """Return the exit status of a run whose allocation of a number fails, and its lines; for 0, how many it makes."""
    if child := os.fork():
        return _status(child), Path("said").read_text()
    said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 2)
    sys.argv[1:] = COMMAND
    faulthandler.register(signal.SIGALRM, said, all_threads=True, chain=True)
    shim = ctypes.CDLL(None)
    if not number:
        leave = terminal._leave

        def counted(status: int) -> NoReturn:
            os.write(said, str(shim.taken()).encode())
            leave(status)

        terminal._leave = counted
    shim.arm(number, always)
    cli.start()
    raise AssertionError


def _status(child: int) -> int:
    """Return the exit status of a child. One whose threads have all slept for ten seconds hangs, and is ended.

    Seconds alone would not tell: where others use the processors, a run that only waits for one takes as long.
    """
    asleep = 0
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        with suppress(OSError):  # a thread has ended meanwhile
            threads = [Path(each, "stat").read_text() for each in Path(f"/proc/{child}/task").iterdir()]
            asleep = asleep + 1 if all(each.rpartition(")")[2].split()[0] == "S" for each in threads) else 0
        if asleep == 500:
            os.kill(child, signal.SIGALRM)
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(ended[1])


if __name__ == "__main__":
    main()

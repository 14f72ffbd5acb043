"""Faults that pass: interrupted calls, calls that do a part of their work, and one error that is followed by none."""

import shutil
import sys
from pathlib import Path

import pytest
from breaking import Record, contents, ended, needs_posix, picture, unmeasured
from pictures import PLAIN

from upscale_cli.codecs.formats import FORMATS

pytestmark = needs_posix

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

char kind = 0;
int calls = 0, broken = 0;

static int fault(size_t *count) {
    int call = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
    if (kind == 's' && *count > 1) *count /= 2;
    if (kind == 'i' && call % 2 == 0) return errno = EINTR;
    if (kind == 'e' && call == broken) return errno = EIO;
    return 0;
}

ssize_t write(int to, const void *data, size_t count) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return fault(&count) ? -1 : real(to, data, count);
}

ssize_t read(int from, void *data, size_t count) {
    ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    return kind != 'e' && fault(&count) ? -1 : real(from, data, count);
}
"""
"""Makes each call do half of its work, every second one be interrupted, or one fail, for libraries in C as well."""

RUNS = """if True:
    import ctypes, sys
    from pathlib import Path
    from upscale_cli.commands.upscale import cli

    shim = ctypes.CDLL(None)
    kind, calls, broken = (each.in_dll(shim, name) for each, name in
                           ((ctypes.c_char, "kind"), (ctypes.c_int, "calls"), (ctypes.c_int, "broken")))

    def made(name, fault):
        kind.value, calls.value = fault, 0
        try:
            cli.main(["in.png", "-o", name, "-s", "3", "-j", "1", "-q", "--overwrite"])
        except SystemExit as end:
            kind.value = b"n"
            return end.code

"""
"""Runs in one process, which is quicker."""

HALVES = """
    for fault in ("none", "short", "interrupted"):
        for format in sys.argv[1:]:
            assert made(f"{fault}/out.{format}", fault[:1].encode()) == 0, (fault, format)
"""

ONE_ERROR = """
    points = 0
    for name in sys.argv[1:]:
        assert made(name, b"n") == 0
        new, at = Path(name).read_bytes(), 0
        while True:
            Path(name).write_bytes(b"precious")
            broken.value, at = at, at + 1
            status = made(name, b"e")
            if calls.value <= broken.value:
                break
            points += 1
            assert (status, Path(name).read_bytes()) in ((0, new), (1, b"precious")), (name, broken.value, status)
            assert not list(Path().glob(".upscale-*"))
    print(points)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `read` and `write` may fail."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs a C compiler, and a system that loads libraries before others")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    if ended(["cc", "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"], folder).returncode:
        pytest.skip("the C compiler has no headers")
    return unmeasured() | {"LD_PRELOAD": str(folder / "shim.so")}


@pytest.mark.long
def test_interrupted_and_partial_calls_change_no_result(
    shim: dict[str, str], tmp_path: Path, record_property: Record
) -> None:
    record_property("fault", ["every call does half, or every second one is interrupted (EINTR)", 2 * len(PLAIN)])
    picture(tmp_path / "in.png", 60, 50)
    done = ended(
        [sys.executable, "-c", RUNS + HALVES, *(FORMATS[name].extensions[0][1:] for name in PLAIN)],
        tmp_path,
        env=shim,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    whole = contents(tmp_path / "none")
    assert len(whole) == len(PLAIN)
    assert contents(tmp_path / "short") == contents(tmp_path / "interrupted") == whole


@pytest.mark.long
def test_one_error_and_then_none_leaves_the_old_or_the_new(
    shim: dict[str, str], tmp_path: Path, record_property: Record
) -> None:
    picture(tmp_path / "in.png", 60, 50)
    done = ended(
        [sys.executable, "-c", RUNS + ONE_ERROR, "a.png", "a.jpg", "a.gif", "a.npy", "a.tif"], tmp_path, env=shim
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10
    record_property("fault", ["one EIO of `write`, and then none", int(done.stdout)])

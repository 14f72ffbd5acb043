"""The control groups of Linux, by which containers are limited."""

from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def group_files(controller: str, version_1: Sequence[str], version_2: Sequence[str]) -> Iterator[Iterator[str]]:
    """Yield the texts of a controller's files, read when asked for, in this process's groups and each ancestor.

    Version 2 has one tree, whose line in `OWN` names no controller; version 1 has a tree for each controller. A
    container may see its own group as a tree's root while its path is the one outside: those folders do not exist,
    and reading fails.
    """
    try:
        lines = [line.split(":", 2) for line in OWN.read_text("utf-8").splitlines()]
    except OSError:
        return
    for _, controllers, group in lines:
        root, names = (ROOT / controller, version_1) if controllers else (ROOT, version_2)
        if controllers and controller not in controllers.split(","):
            continue
        folder = root / group.strip("/")
        for each in (folder, *folder.parents[: len(folder.parts) - len(root.parts)]):
            yield ((each / name).read_text("ascii").strip() for name in names)

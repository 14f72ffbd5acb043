"""How many processors and how much memory this process may use, by its affinity and its control groups."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from upscale_cli.machine import groups, memory, processors

V1_CPU = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
V1_MEMORY = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
V2_MEMORY = ("memory.max", "memory.current", "memory.stat")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the system's control groups."""
    monkeypatch.setattr(groups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(groups, "OWN", tmp_path / "own")
    return tmp_path


def grow(tree: Path, own: str, names: tuple[str, ...], texts: Mapping[str, tuple[str, ...]]) -> None:
    """Write which group this process is in, and the files of groups."""
    (tree / "own").write_text(own)
    for group, values in texts.items():
        folder = tree / "cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in zip(names, values, strict=True):
            (folder / name).write_text(value + "\n")


@pytest.mark.parametrize(
    ("own", "names", "texts", "expected"),
    [
        ("0::/a/b\n", ("cpu.max",), {"a/b": ("max 100000",), "a": ("max 100000",)}, 64),
        ("0::/a/b\n", ("cpu.max",), {"a/b": ("300000 100000",)}, 3),
        ("0::/a/b\n", ("cpu.max",), {"a/b": ("max 100000",), "a": ("150000 100000",)}, 2),
        ("0::/a/b\n", ("cpu.max",), {"a/b": ("400000 100000",), "a": ("250000 50000",), "c": ("1 1",)}, 4),
        ("0::/\n", ("cpu.max",), {"": ("20000 100000",)}, 1),
        ("0::/\n", ("cpu.max",), {"": ("9900000 100000",)}, 64),
        ("0::/\n", ("cpu.max",), {"": ("0 100000",)}, 1),
        ("5:cpuacct,cpu:/a\n0::/x\n", V1_CPU, {"cpu/a": ("250000", "100000"), "cpu/x": ("1", "1")}, 3),
        ("5:cpu:/a\n0::/\n", V1_CPU, {"cpu/a": ("-1", "100000"), "cpu": ("50000", "100000")}, 1),
        # A container of version 1 sees its own group as the root, and the path as it is outside.
        ("5:cpu:/docker/f00\n", V1_CPU, {"cpu": ("200000", "100000")}, 2),
        ("5:cpuset:/a\n", V1_CPU, {"cpu/a": ("100000", "100000")}, 64),
        ("", V1_CPU, {"cpu": ("100000", "100000")}, 64),
    ],
)
def test_quotas_limit_processors(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    own: str,
    names: tuple[str, ...],
    texts: dict[str, tuple[str, ...]],
    expected: int,
) -> None:
    for name in ("process_cpu_count", "cpu_count"):
        monkeypatch.setattr(os, name, lambda: 64, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    grow(tree, own, names, texts)
    assert processors.processors() == expected


def test_a_system_that_tells_nothing_has_one_processor(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("process_cpu_count", "cpu_count"):
        monkeypatch.setattr(os, name, lambda: None, raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert processors.processors() == 1


def test_groups_limit_memory(tree: Path) -> None:
    statistics = "anon 500000\ninactive_file 300000"
    texts = {"a/b": ("max", "900000", statistics), "a": ("1000000", "900000", statistics)}
    grow(tree, "0::/a/b\n", V2_MEMORY, texts)
    assert list(memory._group_room()) == [400_000]


def test_groups_of_version_1_limit_memory(tree: Path) -> None:
    """What is cached by the group counts with what is cached by those below it, which is not added again."""
    statistics = "inactive_file 100000\nrss 500000\ntotal_inactive_file 300000"
    grow(tree, "4:memory:/a\n0::/\n", V1_MEMORY, {"memory/a": ("1000000", "900000", statistics)})
    assert list(memory._group_room()) == [400_000]


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
@pytest.mark.parametrize("count", [1, 2])
def test_the_affinity_limits_threads(tmp_path: Path, count: int) -> None:
    allowed = sorted(os.sched_getaffinity(0))[:count]
    if len(allowed) < count:
        pytest.skip(f"needs {count} processors")
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (8, 8)).save(source)
    upscale = [sys.executable, "-m", "upscale_cli", str(source), "-o", str(target), "-v"]
    command = ["taskset", "--cpu-list", ",".join(map(str, allowed)), *upscale]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    threads = min(count, processors.processors())
    assert f"its strips by {threads} thread{'s' * (threads > 1)};" in run.stderr

"""A kill at every system call that changes the disk: each target is the old file or the complete new one."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from breaking import FIT, POOL, UPSCALE, Record, changing_calls, contents, needs_strace, picture, status_here, traced

from upscale_cli.machine.replacing import TEMPORARY

OLD = b"precious"


class Scene(NamedTuple):
    """A command, what lies in its folder beforehand, and which files it writes."""

    command: Sequence[str]
    targets: tuple[str, ...]
    existed: bool = False


SCENES = {
    "a new file": Scene([*UPSCALE, "in.png", "-o", "out.png"], ("out.png",)),
    "an old file": Scene([*UPSCALE, "in.png", "-o", "out.png", "--overwrite"], ("out.png",), existed=True),
    "an array": Scene([*UPSCALE, "in.npy", "-o", "out.npy", "--overwrite"], ("out.npy",), existed=True),
    "a batch": Scene([*UPSCALE, "three", "-o", "made", "-j", "1"], ("made/0.png", "made/1.png", "made/2.png")),
    "a batch of two threads": Scene(
        [*UPSCALE, "three", "-o", "made", "-j", "2", "--overwrite"],
        ("made/0.png", "made/1.png", "made/2.png"),
        existed=True,
    ),
    "strips": Scene([*UPSCALE, "in.png", "-o", "out.png", "-s", "40", "--overwrite"], ("out.png",), existed=True),
    "a photograph": Scene([*UPSCALE, "in.png", "-o", "out.jpg", "--overwrite"], ("out.jpg",), existed=True),
    "a kernel": Scene([*FIT, "in.png", "three/0.png", "-o", "out.npy", "--overwrite"], ("out.npy",), existed=True),
    "pooling": Scene([*POOL, "in.png", "-o", "out.png"], ("out.indices.npz", "out.png")),
    "pooling anew": Scene(
        [*POOL, "in.png", "-o", "out.png", "--overwrite"], ("out.indices.npz", "out.png"), existed=True
    ),
}


def stage(folder: Path, scene: Scene) -> Path:
    """Prepare a folder for a scene, and return it."""
    picture(folder / "in.png")
    np.save(folder / "in.npy", np.zeros((40, 50, 3), np.float32))
    for i in range(3):
        picture(folder / "three" / f"{i}.png", seed=i)
    for target in scene.targets if scene.existed else ():
        (folder / target).parent.mkdir(exist_ok=True)
        (folder / target).write_bytes(OLD)
    return folder


def here(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, without the log of strace."""
    return {name: data for name, data in contents(folder).items() if name != "strace.log"}


@pytest.mark.long
@needs_strace
@pytest.mark.parametrize("name", SCENES)
def test_a_kill_leaves_the_old_or_the_new(name: str, tmp_path: Path, record_property: Record) -> None:
    scene = SCENES[name]
    whole = stage(tmp_path / "whole", scene)
    assert traced(scene.command, whole).returncode == 0
    new = {target: (whole / target).read_bytes() for target in scene.targets}
    assert OLD not in new.values()
    points, swept, lost, partial = changing_calls(whole), 0, 0, 0
    assert len(points) >= 6
    for call, number in points:
        point = f"{call} {number}"
        folder = stage(tmp_path / point, scene)
        before = here(folder)
        done = traced(scene.command, folder, "-e", f"inject={call}:signal=KILL:when={number}")
        assert done.returncode == -9, f"{point}: {done.stderr!r}"
        after = here(folder)
        assert {n: d for n, d in after.items() if n in before and n not in scene.targets} == {
            n: d for n, d in before.items() if n not in scene.targets
        }
        lost += sum(target in before and target not in after for target in scene.targets)
        partial += sum(
            target in after and after[target] not in (before.get(target), new[target]) for target in scene.targets
        )
        assert (lost, partial) == (0, 0), f"after a kill at {point}"
        kept = [after.get(target) == new[target] for target in scene.targets]
        if "pooling" in name:
            assert kept in ([False, False], [True, False], [True, True]), "an image without its places"
        others = [Path(n).name for n in after if n not in before and n not in scene.targets]
        assert all(TEMPORARY.fullmatch(other) for other in others)
        # Running it again completes it, and sweeps what the dead run has left.
        again = [*scene.command] if scene.existed else [*scene.command, "--skip-existing"]
        assert status_here(again, folder) == 0
        assert here(folder) == {n: d for n, d in before.items() if n not in scene.targets} | new
        swept += bool(others)
    assert swept >= 2, "no kill left anything to sweep: nothing was tested"
    record_property("kills", [name, len(points), lost, partial, swept, len(points)])

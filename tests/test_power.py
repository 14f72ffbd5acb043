"""Power cuts: in every state in which one may leave the disk, a target is the old file or the complete new one."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from breaking import POOL, UPSCALE, Record, needs_strace, picture
from power import Recording, Sync, crash_states, recorded, tree_of

from upscale_cli.machine.replacing import TEMPORARY

pytestmark = needs_strace

OLD = b"precious"
THREE = ("made/0.png", "made/1.png", "made/2.png")
PAIR = ("out.indices.npz", "out.png")


class Scene(NamedTuple):
    """A command, the files that it writes, and which of them exist before."""

    command: Sequence[str]
    targets: tuple[str, ...]
    existed: bool = False


SCENES = {
    "a new file": Scene([*UPSCALE, "in.png", "-o", "below/new/out.png"], ("below/new/out.png",)),
    "an overwritten file": Scene([*UPSCALE, "in.png", "-o", "out.png", "--overwrite"], ("out.png",), existed=True),
    "a pooled pair": Scene([*POOL, "in.png", "-o", "out.png"], PAIR),
    "a batch": Scene([*UPSCALE, "three", "-o", "made", "-j", "2"], THREE),
    "a stream": Scene([*UPSCALE, "in.y4m", "-o", "out.y4m", "--overwrite"], ("out.y4m",), existed=True),
}


def stage(folder: Path, scene: Scene) -> Path:
    """Prepare a folder for a scene, and return it."""
    picture(folder / "in.png", 96, 80)
    for i in range(3):
        picture(folder / "three" / f"{i}.png", 16, 12, seed=i)
    frames = np.random.default_rng(0).integers(0, 256, (4, 72, 96), np.uint8)
    film = b"YUV4MPEG2 W96 H72 F25:1 Cmono\n" + b"".join(b"FRAME\n" + frame.tobytes() for frame in frames)
    (folder / "in.y4m").write_bytes(film)
    for target in scene.targets if scene.existed else ():
        (folder / target).write_bytes(OLD)
    return folder


def judged(scene: Scene, recording: Recording) -> Counter[str]:
    """Return how many states there are, and in how many of them what is wrong."""
    counts: Counter[str] = Counter()
    whole = tree_of(recording, recording.events)
    old, new = (dict.fromkeys(scene.targets, OLD) if scene.existed else {}), {t: whole[t] for t in scene.targets}
    inputs = {name: data for name, data in whole.items() if name not in scene.targets}
    for over, tree in crash_states(recording):
        found = {target: tree[target] for target in scene.targets if target in tree}
        counts["states"] += 1
        counts["lost"] += not old.keys() <= found.keys()
        counts["partial"] += any(data not in (old.get(target), new[target]) for target, data in found.items())
        counts["old after the end"] += over and found != new
        counts["an image without its indices"] += scene.targets == PAIR and [*found] == [PAIR[1]]
        others = {name: data for name, data in tree.items() if name not in found}
        counts["an input changed"] += not inputs.items() <= others.items()
        counts["left over"] += not all(TEMPORARY.fullmatch(Path(name).name) for name in others.keys() - inputs.keys())
    return +counts


def without(recording: Recording, folders: bool) -> Recording:
    """Return a recording in which folders, or else files, were never synchronised."""
    events = [e for e in recording.events if not (isinstance(e, Sync) and (e.what in recording.folders) == folders)]
    return recording._replace(events=events)


QUICK = ("a pooled pair",)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.long) for n in SCENES])
def test_a_power_cut_leaves_the_old_or_the_new(name: str, tmp_path: Path, record_property: Record) -> None:
    scene = SCENES[name]
    recording = recorded(scene.command, stage(tmp_path / "in", scene), tmp_path / "log")
    counts = judged(scene, recording)
    assert [*counts] == ["states"], counts
    # The same states show what each synchronisation is good for.
    no_folders, no_files = judged(scene, without(recording, True)), judged(scene, without(recording, False))
    assert no_folders["old after the end"]
    assert no_files["partial"]
    assert no_files["old after the end"]
    assert bool(no_folders["an image without its indices"]) == (scene.targets == PAIR)
    found = no_folders["old after the end"], no_files["partial"]
    record_property("power", [name, counts["states"], 0, 0, 0, *found])


def test_without_synchronising_the_folder_the_old_file_may_be_back(tmp_path: Path) -> None:
    scene = SCENES["an overwritten file"]
    taken_out = (
        "import sys; from upscale_cli.machine import durable; durable.synchronise_folder = lambda folder: None; "
        "from upscale_cli.commands.upscale import main; main()"
    )
    command = [sys.executable, "-c", taken_out, *scene.command[len(UPSCALE) :]]
    counts = judged(scene, recorded(command, stage(tmp_path / "in", scene), tmp_path / "log"))
    assert counts["old after the end"]
    assert not counts["partial"]

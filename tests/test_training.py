"""Training, for seconds: a smoke test, where PyTorch is."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscale_cli import upscale
from upscale_cli.learning.measure import ssim
from upscale_cli.methods import shipped
from upscale_cli.methods.chroma import LUMA, hold_differences
from upscale_cli.methods.layout import read_network

torch = pytest.importorskip("torch", reason="PyTorch trains the networks; pip install '.[train]'")
ROOT = Path(__file__).parents[1]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Pieces of the sample scene, enough that one is held out."""
    scene = Image.open(ROOT / "sample_images" / "scene.png").convert("RGB")
    for number in range(7):
        scene.crop((20 * number, 0, 20 * number + 150, 190)).save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.fixture
def run(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what runs a module of training at ×2 with words, on few damaged pictures, and compiles nothing."""
    monkeypatch.syspath_prepend(str(ROOT))
    from training import pool

    monkeypatch.setattr(pool, "PICTURES", 2)
    monkeypatch.setattr(torch, "compile", lambda network: network)

    def typed(name: str, *words: object) -> None:
        monkeypatch.setattr("sys.argv", [name, str(photographs), "--scale", "2", *map(str, words)])
        import_module(f"training.{name}").main()

    return typed


def test_a_few_steps_write_a_network_that_the_tool_takes(
    run: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from training.model import Network

    run("train", "--size", "small", "--steps", 6, "--every", 3, "--out", tmp_path / "made")
    assert len(capsys.readouterr().out.splitlines()) == 3
    with np.load(tmp_path / "made" / "small-2x.npz") as archive:
        arrays = dict(archive)
    found = read_network(arrays)
    assert found.training["photographs"] == 6
    assert [steps for steps, *_ in found.training["recipe"]["rounds"]] == [6]
    assert (upscale(np.full((9, 9), 77, np.uint8), 2, "learned", network=arrays) == 77).all()
    assert {values.dtype for name, values in arrays.items() if name != "about"} == {np.dtype(np.float32)}
    again = Network.of(arrays).arrays()
    for name, values in again.items():
        np.testing.assert_allclose(values, arrays[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("scale", "size"), [(2, 6), (3, 9), (4, 10), (4, 12)])
def test_phases_and_kernels_are_two_ways_to_write_one_thing(
    scale: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from training.model import to_kernel, to_phases

    kernel = np.random.default_rng(0).random((3, 1, size, size)).astype("f4")
    phases = to_phases(kernel, scale, 3)
    np.testing.assert_array_equal(to_kernel(phases, scale, size), kernel)
    values = torch.rand(1, 3, 5, 6)
    stamped = torch.nn.functional.conv_transpose2d(
        values, torch.from_numpy(kernel), stride=scale, padding=(size - scale) // 2
    )
    shuffled = torch.nn.functional.pixel_shuffle(
        torch.nn.functional.conv2d(values, torch.from_numpy(phases), padding=1), scale
    )
    assert torch.allclose(stamped, shuffled, atol=1e-6)


def test_a_few_steps_on_damaged_photographs_write_a_network_that_restores(
    run: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from training import restore

    for until, lines in ((4, 3), (6, 2)):
        run("restore", "--state", tmp_path / "state", "--rounds", 4, 2, "--every", 2, "--until", until)
        assert len(capsys.readouterr().out.splitlines()) == lines
    with np.load(tmp_path / "state" / "restore-2x.npz") as archive:
        arrays = dict(archive)
    found = read_network(arrays, 0.5)
    assert (found.scale, len(found.levels), found.training["held out"]["step"]) == (2, 7, 6)
    plane = np.random.default_rng(0).random((30, 34)).astype("f4")
    np.testing.assert_allclose(
        upscale(plane, 2, "learned", network=arrays, restore="none"), upscale(plane, 2, "learned"), rtol=0, atol=1e-5
    )
    network = restore.beginning(2, None)
    network.begin_as(arrays)
    around = torch.from_numpy(np.pad(plane, 22, mode="symmetric"))[None, None]
    with torch.no_grad():
        for name in ("tail", "skip"):
            network.change[name].zero_()
        for level in (0.2, 1.0):
            have = network(around, network.shares(level))[0, 0, 40:-40, 40:-40].numpy()
            own = {name: values.copy() for name, values in arrays.items()}
            own["tail"][1:], own["skip"][1:] = own["tail"][:1], own["skip"][:1]
            expected = upscale(plane, 2, "learned", network=own, restore=level)
            np.testing.assert_allclose(have, expected, rtol=0, atol=1e-5)


def test_at_their_own_size_undamaged_pictures_stay_and_others_are_learned(
    run: Callable[..., None], tmp_path: Path
) -> None:
    start = ROOT / "upscale_cli" / "methods" / "kernels" / "restore-2x.npz"
    run("restore", "--scale", 1, "--state", tmp_path / "state", "--rounds", 4, "--every", 4, "--start", start)
    with np.load(tmp_path / "state" / "restore-1x.npz") as archive:
        arrays = dict(archive)
    assert (read_network(arrays).scale, read_network(arrays).training["held out"]["step"]) == (1, 4)
    plane = np.random.default_rng(0).random((30, 34)).astype("f4")
    np.testing.assert_allclose(upscale(plane, 1, "learned", network=arrays, restore="none"), plane, rtol=0, atol=1e-6)
    changes = [
        np.abs(upscale(plane, 1, "learned", network=arrays, restore=level) - plane).max() for level in (0.5, 1)
    ]
    assert 0 < max(changes) < 0.2


def test_a_network_that_sees_cells_begins_at_random_or_as_another_and_is_what_a_file_says(
    run: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import model, restore

    # The sample, reduced by two, is small.
    monkeypatch.setitem(restore.NETWORKS, "cells", restore.NETWORKS["cells"]._replace(patch=32))
    words = "--scale", 1, "--size", "cells", "--state", tmp_path / "state", "--rounds", 4, "--every", 4
    run("restore", *words, "--rate", 3e-2)
    with np.load(tmp_path / "state" / "restore-cells-1x.npz") as archive:
        arrays = dict(archive)
    found = read_network(arrays, 0.5)
    assert (found.scale, found.cells, found.planes, len(found.levels)) == (1, 2, 3, 7)
    assert found.training["held out"]["step"] == 4
    about = {"scale": 1, "cells": 2, "levels": found.levels}
    fewer = {name: values for name, values in arrays.items() if not name.endswith((str(restore.LAYERS), "about"))}
    model.write(tmp_path / "fewer.npz", fewer, {**about, "planes": 3})
    luma = {**fewer, "weight0": fewer["weight0"][:, :4], "tail": fewer["tail"][:, :, :1]}
    model.write(tmp_path / "luma.npz", luma, about)
    picture = np.random.default_rng(0).random((30, 34, 3)).astype("f4")
    grey = np.repeat(picture[..., :1], 3, axis=2)
    for name, given in (("state/restore-cells-1x.npz", picture), ("fewer.npz", picture), ("luma.npz", grey)):
        with np.load(tmp_path / name) as archive:
            arrays = dict(archive)
        network = restore.beginning(1, tmp_path / name, found.levels, "cells")
        around = np.pad(np.moveaxis(given, 2, 0), [(0, 0), (26, 26), (26, 26)], mode="symmetric")
        for level in (0.2, 1.0):
            with torch.no_grad():
                made = network(torch.from_numpy(around)[None], network.shares(level))[0, :, 24:-24, 24:-24].numpy()
            hold_differences(made, around[:, 25:-25, 25:-25])
            have, expected = np.moveaxis(made, 0, 2), upscale(given, 1, "learned", network=arrays, restore=level)
            assert np.abs(expected - given).max() > 1e-4
            if given is grey:
                # Grey is restored as before.
                have, expected = have @ LUMA, expected[..., 0]
            np.testing.assert_allclose(have, expected, rtol=0, atol=1e-5)


def test_the_similarity_that_is_learned_is_the_one_that_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from training.learner import similarity

    random = np.random.default_rng(0)
    wanted = random.integers(16, 236, (40, 50)).astype("f4")
    made = wanted + random.normal(0, 20, wanted.shape).astype("f4")
    planes = (torch.from_numpy(plane / 219)[None, None] for plane in (made, wanted))
    assert float(similarity(*planes)) == pytest.approx(ssim(made, wanted), abs=1e-5)


def test_a_few_steps_on_drawings_change_what_is_made_of_undamaged_pictures(
    run: Callable[..., None], tmp_path: Path
) -> None:
    shipped = ROOT / "upscale_cli" / "methods" / "kernels"
    drawn = "--drawings", 3, "--start", shipped / "restore-2x.npz"
    run("restore", "--state", tmp_path / "state", "--rounds", 2, "--every", 1, *drawn)
    with np.load(tmp_path / "state" / "draw-2x.npz") as archive, np.load(shipped / "restore-2x.npz") as start:
        for level in range(4):
            distance = np.abs(archive["weight3"][level] - start["weight3"][level]).max()
            assert 0 < distance < 0.01, level
        found = read_network(dict(archive))
    assert found.levels[0] == 0
    assert found.training["held out"]["q100"] > 20


def test_a_large_network_begins_as_another_whose_levels_share_arrays() -> None:
    from training import dial, restore

    with np.load(shipped.FOLDER / "draw-large-2x.npz") as archive:
        arrays = dict(archive)
    network = restore.beginning(2, None, (0.0, *dial.KNOTS), "large")
    network.begin_as(arrays)
    plane = np.random.default_rng(0).random((60, 64)).astype("f4")
    around = torch.from_numpy(np.pad(plane, 22, mode="symmetric"))[None, None]
    for level in (0.0, 0.5):
        with torch.no_grad():
            have = network(around, network.shares(level))[0, 0, 40:-40, 40:-40].numpy()
        expected = read_network(arrays, level).cast(np.dtype("f4"), 1.0)
        margin = expected.margin
        made = expected.run(np.pad(plane, margin, mode="symmetric")[None])[0]
        np.testing.assert_allclose(have[44:-44, 44:-44], made[44:-44, 44:-44], rtol=0, atol=2e-4)


def test_the_biases_alone_of_a_large_network_depend_on_the_level(run: Callable[..., None], tmp_path: Path) -> None:
    run("restore", "--state", tmp_path / "state", "--rounds", 3, "--every", 3, "--size", "large")
    with np.load(tmp_path / "state" / "restore-large-2x.npz") as archive:
        arrays = dict(archive)
    assert {name for name, values in arrays.items() if len(values) == 7} == {n for n in arrays if "bias" in n}
    halved = {name for name, values in arrays.items() if values.dtype == np.float16}
    assert halved == {name for name in arrays if name.startswith("weight")} - {"weight0"}
    plane = np.random.default_rng(0).random((30, 34)).astype("f4")
    low, high = (upscale(plane, 2, "learned", network=arrays, restore=level) for level in (0.1, 0.9))
    assert 0 < np.abs(low - high).max() < 0.01
    assert np.abs(low - upscale(plane, 2, "learned", size="large")).max() < 0.05


@pytest.mark.parametrize("scale", [2, 3])
def test_patches_are_the_same_place_of_both_planes(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from training.data import Pictured
    from training.model import MARGIN
    from training.patches import Patches

    random = np.random.default_rng(0)
    places = np.array([[0, 0], [20, 0], [0, 40]])
    smalls = [random.random(shape).astype("f4") for shape in ((60, 80), (75, 90), (52, 71))]
    larges = [np.kron(each, np.ones((scale, scale), "f4")) for each in smalls]
    pictures = [Pictured(*each, places) for each in zip(larges, smalls, strict=True)]
    pool = Patches(pictures, scale, 40, slots=4)
    for slot, (number, lacks) in enumerate([(2, (0, 0)), (1, (3, 5)), (0, (7, 0)), (1, (0, 0))]):
        pool.put(slot, smalls[number][lacks[0] :, lacks[1] :], number, lacks)
    inside = slice(MARGIN, -MARGIN)
    for patches in (Patches(pictures, scale, 40), pool):
        small, large = patches.batch(64, patches.all)
        kron = np.kron(small[:, :, inside, inside].numpy(), np.ones((scale, scale), "f4"))
        np.testing.assert_array_equal(large.numpy(), kron)
        assert len({float(values.sum()) for values in small}) > 30
    chosen, _ = pool.batch(200, torch.tensor([2.0, 1.0]))
    assert np.isin(chosen.numpy(), smalls[0][7:]).all()


def test_muon_makes_all_directions_change_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from training.learner import TURNED, Muon

    matrices = torch.nn.Parameter(torch.zeros(2, 24, 24, 3, 3))
    matrices.grad = torch.randn(2, 24, 24, 3, 3) * torch.logspace(-2, 0, 24)[:, None, None, None]
    Muon([matrices], torch.tensor(0.5)).step()
    changes = torch.linalg.svdvals(matrices.detach().flatten(-3)) / (0.5 * TURNED)
    assert changes.min() > 0.5
    assert changes.max() < 1.3
    assert (matrices * matrices.grad).sum() < 0


def test_a_seed_gives_the_same_damaged_pictures(run: Callable[..., None], photographs: Path) -> None:
    from training.data import prepare
    from training.pool import Pool, to_damage

    pictures = prepare(sorted(photographs.iterdir()), to_damage(2), 52)
    made = []
    for seed in (0, 0, 1):
        pool = Pool(pictures, 2, 40, levels=(0.04, 1.0), seed=seed)
        torch.manual_seed(0)
        small, _ = pool.patches.batch(64, pool.patches.all)
        made.append(small.tolist())
        pool.close()
    assert made[0] == made[1] != made[2]

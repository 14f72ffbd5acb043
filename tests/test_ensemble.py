"""`ensemble=8` of `learned`: the mean over the eight flips and turns, beside turning the picture by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support import Array, Floats
from test_foreign_networks import compact

from upscale_cli import upscale
from upscale_cli.commands.upscale import cli
from upscale_cli.methods import find_method, shipped
from upscale_cli.testing import assert_near


def turned(picture: Array, turn: int) -> Array:
    """Return one of the eight: a quarter turn for each of `turn` modulo 4, after a flip if it is 4 or more."""
    return np.rot90(picture[:, ::-1] if turn > 3 else picture, turn % 4)


def back(picture: Array, turn: int) -> Array:
    """Return a picture turned back."""
    upright = np.rot90(picture, -(turn % 4))
    return upright[:, ::-1] if turn > 3 else upright


def by_hand(picture: Floats, scale: Any, **parameters: Any) -> Floats:
    made = [back(upscale(turned(picture, n), scale, "learned", **parameters), n) for n in range(8)]
    mean: Floats = np.mean(made, axis=0)
    return mean


@pytest.mark.parametrize(
    ("scale", "parameters"),
    [
        (2, {}),
        (3, {}),
        (2, {"size": "large"}),
        (1.5, {}),
        (2, {"network": compact(2, planes=1)}),
        (3, {"network": compact(3)}),
        (4, {"network": compact(4, layers=1)}),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "shape", [(5, 21, 3), *(pytest.param(each, marks=pytest.mark.long) for each in ((9, 5), (1, 1)))], ids=str
)
def test_the_ensemble_is_the_mean_over_flips_and_turns(scale: Any, parameters: Any, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(1).random(shape)
    assert_near(upscale(picture, scale, "learned", ensemble=8, **parameters), by_hand(picture, scale, **parameters))


@pytest.mark.parametrize("scale", [2, 4])
def test_what_restores_and_what_enlarges_is_averaged(scale: int) -> None:
    # Whole cells of two by two pixels: others lie elsewhere in a picture that is turned by hand. Grey, since
    # colours of the mean alone are held in their range.
    picture = np.repeat(np.random.default_rng(4).random((6, 22, 1)), 3, axis=2)
    given = {}
    for name in ("restore-cells-1x", f"restore-{scale}x"):
        with np.load(shipped.FOLDER / f"{name}.npz") as archive:
            given[name] = dict(archive)
    first, then = given.values()
    restored = by_hand(picture, 1, network=first, restore=0.5)
    expected = by_hand(restored, scale, network=then, restore=0.15)
    assert_near(upscale(picture, scale, "learned", ensemble=8, restore=0.5), expected)


def test_several_tiles_and_bands_are_averaged() -> None:
    picture, network = np.random.default_rng(6).random((110, 101, 3)), compact(3)
    assert_near(upscale(picture, 3, "learned", ensemble=8, network=network), by_hand(picture, 3, network=network))


def test_the_first_network_of_a_chain_is_averaged() -> None:
    picture = np.random.default_rng(2).random((12, 17, 3))
    expected = upscale(by_hand(picture, 2), 3, "learned")
    assert_near(upscale(picture, 6, "learned", ensemble=8), expected)
    assert np.abs(expected - upscale(picture, 6, "learned")).max() > 1e-3


def test_the_ensemble_commutes_with_flips_and_turns_and_keeps_flat_areas() -> None:
    picture = np.random.default_rng(3).random((31, 40, 3))
    made = upscale(picture, 2, "learned", ensemble=8)
    for turn in range(8):
        assert_near(upscale(turned(picture, turn), 2, "learned", ensemble=8), turned(made, turn))
    for flat in (0.1, 1e-3, 77.7):
        area = np.full((20, 30, 3), flat)
        assert_near(upscale(area, 2, "learned", ensemble=8), upscale(area, 2, "learned"))


def test_strips_do_not_change_the_ensemble() -> None:
    picture = np.random.default_rng(4).random((300, 50, 3)).astype("f4")
    made = [upscale(picture, 2, "learned", ensemble=8, threads=n, network=compact()) for n in (1, 3)]
    np.testing.assert_array_equal(made[0], made[1])


def test_its_memory_is_estimated() -> None:
    method = find_method("learned")
    alone, eight = (
        method.working_memory((400, 500, 3), method.read_parameters({"ensemble": n}))((800, 1000)) for n in (1, 8)
    )
    assert alone.rows == eight.rows
    assert 0 < eight.values_per_thread - alone.values_per_thread < alone.values_per_thread


def test_the_command_takes_it_and_says_so(tmp_path: Path) -> None:
    picture = np.random.default_rng(5).integers(0, 256, (12, 14, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "in.png")
    words = [str(tmp_path / "in.png"), "-m", "learned", "-o", str(tmp_path / "out.png"), "-v"]
    result = CliRunner().invoke(cli, [*words, "-p", "ensemble=8"])
    assert result.exit_code == 0, result.output
    assert "mean of eight flips and turns" in result.stderr
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), upscale(picture, 2, "learned", ensemble="8"))
    result = CliRunner().invoke(cli, [*words, "-p", "ensemble=4", "--overwrite"])
    assert result.exit_code == 2
    assert "ensemble=4 is not 1 or 8" in result.stderr

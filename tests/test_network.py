"""Networks: against a direct sum, against PyTorch where it is, at borders and strips; and files that are none."""

import io
import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support import Array, Floats, keys
from test_foreign_networks import compact
from test_span import span

from upscale_cli import METHODS, UpscaleError, upscale
from upscale_cli.commands.upscale import cli
from upscale_cli.methods import layers, learned, network, shipped
from upscale_cli.methods.compact import read_any
from upscale_cli.methods.layout import read_network
from upscale_cli.methods.upsampler import Block, Upsampler
from upscale_cli.testing import assert_near

Arrays = dict[str, Array]
KERNELS = Path(shipped.FOLDER)
FILES = [f"{size}-{scale}x" for size, scales in shipped.UNDAMAGED.items() for scale in scales]


def described(about: Mapping[str, Any], **arrays: Any) -> Arrays:
    """The arrays of a file in layout 1."""
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    return {"about": text} | {name: np.asarray(values) for name, values in arrays.items()}


def tiny(scale: int = 2, channels: int = 3, seed: int = 0) -> tuple[dict[str, Any], Arrays]:
    """Return a small sound network: its description and its arrays. One of its middle layers is a sum."""
    random = np.random.default_rng(seed)
    head = random.normal(size=(channels, 1, 3, 3))
    arrays = {
        "a": head - head.mean(axis=(2, 3), keepdims=True),
        "b": random.normal(size=(channels, channels, 3, 3)) / 3,
        "c": random.normal(size=(channels, channels, 1, 1)) / 3,
        "tail": random.normal(size=(channels, 1, 3 * scale, 3 * scale)) / 3,
        "skip": np.ones((scale, scale)),
        "p": random.uniform(-0.5, 1.5, channels),
        "q": np.full(channels, 0.25),
    }
    layers = [
        {"does": "convolution", "weight": "a", "slopes": "p"},
        {"does": "convolution", "weight": "b", "slopes": "q"},
        {"does": "sum", "with": 0},
        {"does": "convolution", "weight": "c", "slopes": "q"},
        {"does": "sum", "with": 2},
        {"does": "transposed-convolution", "weight": "tail"},
    ]
    return {"layout": 1, "scale": scale, "layers": layers, "skip": "skip"}, arrays


def plainly(about: Mapping[str, Any], arrays: Mapping[str, Array], picture: Floats) -> Floats:
    """A network as the sums that its layout names, in float64, the planes mirrored far beyond their border."""
    margin, scale, cells = 24, about["scale"], about.get("cells", 1)
    height, width, count = np.atleast_3d(picture).shape
    beyond = [(margin, margin + -side % cells) for side in (height, width)]
    whole = np.pad(np.moveaxis(np.atleast_3d(picture), 2, 0), [(0, 0), *beyond], mode="symmetric")
    values = np.concatenate([[each[y::cells, x::cells] for y, x in np.ndindex(cells, cells)] for each in whole])
    results: list[Floats] = []
    for layer in about["layers"]:
        if layer["does"] == "convolution":
            weight, slopes = arrays[layer["weight"]], arrays[layer["slopes"]][:, None, None]
            values = convolved(values, weight)
            if "biases" in layer:
                values = values + arrays[layer["biases"]][:, None, None]
            values = np.where(values > 0, values, slopes * values)
        elif layer["does"] == "sum":
            values = values + results[layer["with"]]
        else:
            kernel = arrays[layer["weight"]]
            values = np.stack([stamped(values, kernel[:, plane], scale * cells) for plane in range(count)])
        results.append(values)
    skipped = whole if cells > 1 else stamped(whole, arrays[about["skip"]][None], scale)[None]
    rows, columns = (slice(margin * scale, (margin + side) * scale) for side in (height, width))
    inside: Floats = np.moveaxis((values + skipped)[:, rows, columns], 0, 2)
    return inside.reshape(height * scale, width * scale, *picture.shape[2:])


def convolved(values: Floats, weight: Array) -> Floats:
    """(c, h, w) under (d, c, k, k), zeros outside."""
    side = weight.shape[2]
    padded = np.pad(values, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    height, width = values.shape[1:]
    total = np.zeros((len(weight), height, width))
    for y in range(side):
        for x in range(side):
            total += np.tensordot(weight[:, :, y, x], padded[:, y : y + height, x : x + width], 1)
    return total


def stamped(values: Floats, kernel: Array, scale: int) -> Floats:
    """(c, h, w), each value stamping its kernel (c, k, k), centred on its cell."""
    _, height, width = values.shape
    side = kernel.shape[1]
    crop = (side - scale) // 2
    full = np.zeros((height * scale + side, width * scale + side))
    for y in range(height):
        for x in range(width):
            full[y * scale : y * scale + side, x * scale : x * scale + side] += np.einsum(
                "c,cyx->yx", values[:, y, x], kernel
            )
    return full[crop : crop + height * scale, crop : crop + width * scale]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_network_is_the_sums_that_it_names(scale: int) -> None:
    about, arrays = tiny(scale, seed=scale)
    for shape in ((13, 9), (1, 1), (1, 7), (5, 2)):
        plane = np.random.default_rng(1).normal(size=shape)
        have = upscale(plane, scale, "learned", network=described(about, **arrays))
        assert_near(have, plainly(about, arrays, plane), 1e-12)
        assert_near(upscale(plane.astype("f4"), scale, "learned", network=described(about, **arrays)), have, 1e-5)


def test_a_skip_may_read_further_than_the_layers() -> None:
    about, arrays = tiny()
    skip = np.random.default_rng(2).random((9, 2, 9, 2))
    arrays["skip"] = (skip / skip.sum(axis=(0, 2), keepdims=True)).reshape(18, 18)
    plane = np.random.default_rng(3).random((11, 12))
    have = upscale(plane, 2, "learned", network=described(about, **arrays))
    assert_near(have, plainly(about, arrays, plane), 1e-12)


def seeing(cells: int, planes: int = 1) -> tuple[dict[str, Any], Arrays]:
    """Return a network of scale 1 that sees cells of so many pixels a side."""
    about, arrays = tiny(cells)
    random = np.random.default_rng(7)
    head = random.normal(size=(3, planes, cells**2, 3, 3)) / planes
    arrays["a"] = (head - head.mean(axis=(2, 3, 4), keepdims=True)).reshape(3, -1, 3, 3)
    arrays["tail"] = random.normal(size=(3, planes, 3 * cells, 3 * cells)) / (3 * planes)
    del arrays["skip"], about["skip"]
    return about | {"scale": 1, "cells": cells, "planes": planes}, arrays


@pytest.mark.parametrize(("cells", "planes"), [(2, 1), (4, 1), (2, 3), (4, 3)])
def test_a_network_that_sees_cells_is_the_sums_that_it_names(cells: int, planes: int) -> None:
    about, arrays = seeing(cells, planes)
    given = described(about, **arrays)
    for shape in ((13, 9), (1, 1), (1, 7), (6, 2), (110, 270)):
        picture = np.random.default_rng(1).normal(size=(*shape, planes)[: 2 + planes // 3])
        have = upscale(picture, 1, "learned", network=given)
        assert_near(have, plainly(about, arrays, picture), 1e-12)
    flat = np.full((9, 11, 3), (77, 200, 3), np.uint8)
    assert (upscale(flat, 1, "learned", network=given) == flat).all()


def test_a_network_of_colours_takes_grey_for_three_equal_ones() -> None:
    about, arrays = seeing(2, 3)
    grey = np.random.default_rng(1).normal(size=(7, 10))
    colours = plainly(about, arrays, np.repeat(grey[..., None], 3, axis=2))
    have = upscale(grey, 1, "learned", network=described(about, **arrays))
    assert_near(have, colours @ [0.299, 0.587, 0.114], 1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cells": 3}, "the network's cells are 3; they must be 1, or 2 or 4 at scale 1."),
        ({"cells": 0}, "cells are 0"),
        ({"cells": 2.0}, "cells are 2.0"),
        ({"cells": True}, "cells are True"),
        ({"cells": [2]}, "cells are [2]"),
        ({"scale": 2}, "cells are 2; they must be 1, or 2 or 4 at scale 1."),
        ({"cells": 1}, "layer 0 takes numbers (k, 1, k, k)"),
        ({"cells": 4}, "layer 0 takes numbers (k, 16, k, k)"),
        ({"planes": 2}, "the network's planes are 2; they must be 1, or 3 if it has cells."),
        ({"planes": True}, "planes are True"),
        ({"planes": 3, "cells": 1}, "planes are 3; they must be 1, or 3 if it has cells."),
        ({"planes": 3}, "layer 0 takes numbers (k, 12, k, k)"),
    ],
)
def test_cells_that_are_none_are_refused(change: dict[str, Any], words: str) -> None:
    about, arrays = seeing(2)
    with pytest.raises(UpscaleError) as caught:
        upscale(np.ones((4, 4)), 1, "learned", network=described(about | change, **arrays))
    assert words in str(caught.value)


def restoring(scale: int) -> tuple[dict[str, Any], Arrays]:
    """Return a network with biases and three levels, whose arrays have nothing in common but the skip."""
    about, _ = tiny(scale)
    arrays = {name: np.stack([tiny(scale, seed=seed)[1][name] for seed in range(3)]) for name in "abcpq"}
    arrays |= {name: np.stack([tiny(scale, seed=seed)[1][name] for seed in range(3)]) for name in ("tail", "skip")}
    random = np.random.default_rng(4)
    for layer, name in ((0, "e"), (3, "f")):
        about["layers"][layer]["biases"] = name
        arrays[name] = random.normal(size=(3, 3)) / 4
    return about | {"levels": [0, 0.5, 1]}, arrays


@pytest.mark.parametrize(("level", "shares"), [("none", [1, 0, 0]), (0.75, [0, 0.5, 0.5]), (0.2, [0.6, 0.4, 0])])
def test_a_level_between_has_weights_between(level: Any, shares: list[float]) -> None:
    about, arrays = restoring(2)
    mixed = {name: np.tensordot(shares, values, 1) for name, values in arrays.items()}
    plane = np.random.default_rng(5).random((13, 9))
    expected = plainly(about, mixed, plane) - plainly(about, mixed, np.zeros_like(plane))
    network = described(about, **arrays)
    assert_near(upscale(plane, 2, "learned", network=network, restore=level), expected, 1e-12)
    whole = np.round(plane * 65535).astype(np.uint16)
    near = 65535 * (plainly(about, mixed, whole / 65535) - plainly(about, mixed, np.zeros_like(plane)))
    assert_near(upscale(whole, 2, "learned", network=network, restore=level), near.clip(0, 65535), 0.6)
    for flat in (0, 77, 255):
        have = upscale(np.full((9, 9, 3), flat, np.uint8), 2, "learned", network=network, restore=level)
        assert (have == flat).all()


def test_a_network_that_is_sound_at_one_level_alone_is_refused_before_any_picture(tmp_path: Path) -> None:
    about, arrays = restoring(2)
    arrays["a"][2, 0] += 0.01
    arrays["about"] = described(about)["about"]
    np.savez(tmp_path / "mine.npz", allow_pickle=False, **arrays)
    for name in ("a.png", "b.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    line = [tmp_path / "a.png", tmp_path / "b.png", "-m", "learned", "--network", tmp_path / "mine.npz"]
    done = CliRunner().invoke(cli, [*map(str, line), "-o", str(tmp_path / "out/")])
    assert done.exit_code == 2
    assert 'mine.npz" is of no use: at level 1, each filter of the first layer' in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("name", "most"), [("tail", 1e36), ("b", 1e36), ("e", 1e5)])
def test_weights_that_single_precision_cannot_bear_are_refused(name: str, most: float, tmp_path: Path) -> None:
    about, arrays = restoring(2)
    arrays[name][1:] *= most
    arrays["about"] = described(about)["about"]
    np.savez(tmp_path / "mine.npz", allow_pickle=False, **arrays)
    Image.new("L", (4, 4), 77).save(tmp_path / "in.png")
    line = [tmp_path / "in.png", "-m", "learned", "--network", tmp_path / "mine.npz", "-o", tmp_path / "out.png"]
    done = CliRunner().invoke(cli, [str(word) for word in line])
    assert done.exit_code == 2
    words = "at level 0.5, its weights are so large that single precision does not keep flat areas; use"
    assert words in done.stderr
    with pytest.raises(UpscaleError, match=words):
        upscale(np.full((4, 4), 77, np.uint8), 2, "learned", network=arrays)


def test_arrays_without_levels_serve_all() -> None:
    """There are as many channels as levels, so the first axis alone does not tell."""
    about, arrays = restoring(2)
    own = {name: arrays[name] for name in ("e", "f")}
    common = {name: values[1] for name, values in arrays.items() if name not in own}
    plane = np.random.default_rng(5).random((13, 9))
    everywhere = {name: np.stack([values] * 3) for name, values in common.items()}
    results = []
    for level in (0.2, 0.75):
        have, expected = (
            upscale(plane, 2, "learned", network=described(about, **own, **others), restore=level)
            for others in (common, everywhere)
        )
        assert_near(have, expected, 1e-12)
        results.append(have)
    assert np.abs(results[0] - results[1]).max() > 0.01
    none = {name: values[1] for name, values in arrays.items()}
    with pytest.raises(
        UpscaleError, match="has 3 levels, but none of its arrays has them as an axis more; omit levels"
    ):
        read_network(described(about, **none))


def test_only_the_first_network_of_several_restores() -> None:
    about, arrays = restoring(2)
    network, plane = described(about, **arrays), np.random.default_rng(6).random((9, 8))
    once = upscale(plane, 2, "learned", network=network, restore=1)
    twice = upscale(once, 2, "learned", network=network)
    assert_near(upscale(plane, 4, "learned", network=network, restore="high"), twice, 1e-12)


def test_a_network_without_levels_restores_only_if_nobody_asks() -> None:
    about, arrays = tiny()
    network, plane = described(about, **arrays), np.eye(5)
    expected = upscale(plane, 2, "learned", network=network)
    np.testing.assert_array_equal(upscale(plane, 2, "learned", network=network, restore="none"), expected)
    with pytest.raises(UpscaleError, match="no levels to restore by; omit restore"):
        upscale(plane, 2, "learned", network=network, restore="low")


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([0.5], "levels are [0.5]; they must be 2 to 16 ascending numbers from 0 to 1"),
        ([0], "ascending"),
        ([1], "ascending"),
        ([0.25, 0.5, 1], "ascending"),
        ([0, 0.5, 0.75], "ascending"),
        ([0, 0.5, 0.5], "ascending"),
        ([1, 0.5, 0], "ascending"),
        ([0, 1.5], "ascending"),
        ([-0.5, 1], "ascending"),
        ([0, True, 1], "ascending"),
        ([0, float("nan"), 1], "ascending"),
        ([n / 20 for n in range(20)], "2 to 16"),
        ({"0": 1}, "ascending"),
        ("012", "ascending"),
        ([0, 1], "its first axis must be the 2 levels"),
    ],
)
def test_levels_that_are_none_are_refused(levels: Any, words: str) -> None:
    about, arrays = restoring(2)
    with pytest.raises(UpscaleError) as caught:
        read_network(described(about | {"levels": levels}, **arrays))
    assert words in str(caught.value)


def test_slopes_above_1_and_below_0_are_prelu_too() -> None:
    about, arrays = tiny()
    arrays["p"], arrays["q"] = np.array([2.0, -1.0, 1.0]), np.array([0.0, 3.0, -0.5])
    plane = np.random.default_rng(2).normal(size=(6, 7))
    have = upscale(plane, 2, "learned", network=described(about, **arrays))
    assert_near(have, plainly(about, arrays, plane), 1e-12)


@pytest.mark.parametrize("file", FILES)
def test_a_shipped_network_is_the_sums_that_it_names(file: str) -> None:
    with np.load(KERNELS / f"{file}.npz") as archive:
        arrays = dict(archive)
    about = json.loads(arrays["about"].tobytes())
    plane = np.random.default_rng(3).random((7, 9))
    have = upscale(plane, about["scale"], "learned", network=arrays)
    assert_near(have, plainly(about, arrays, plane), 2e-6)


MULTIPLICATIONS = {
    "small": {2: 37_468, 3: 38_673, 4: 39_304},
    "large": {2: 396_244, 3: 398_529},
}
"""For each pixel of the source, as docs/learned.md has them."""


@pytest.mark.parametrize("file", FILES)
def test_shipped_networks_keep_to_their_budget(file: str) -> None:
    size, scale = file.removesuffix("x").split("-")
    found = shipped.network(size, int(scale))
    assert found.scale == int(scale)
    assert found.skip is not None
    weights = [layer.weights for layer in (*found.layers, found.skip) if layer.weights is not None]
    # Taps beyond the end of a kernel are zeros, and do not count.
    assert sum(map(np.count_nonzero, weights)) == MULTIPLICATIONS[size][int(scale)]
    assert found.training["photographs"] > 300


def test_what_is_shipped_is_no_burden() -> None:
    assert sum(file.stat().st_size for file in KERNELS.iterdir()) < 8_000_000


def test_pytorch_computes_the_same() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is needed to compare with; pip install '.[train]'")
    functional = torch.nn.functional
    for size, scale in (("small", 2), ("small", 4), ("large", 3)):
        found = shipped.network(size, scale)
        with np.load(KERNELS / f"{size}-{scale}x.npz") as archive:
            given = {name: values for name, values in archive.items() if values.dtype.kind == "f"}
            arrays = {name: torch.from_numpy(values).float() for name, values in given.items()}
        plane = np.random.default_rng(4).random((40, 50)).astype("f4")
        around = torch.from_numpy(np.pad(plane, found.margin, mode="symmetric"))[None, None]
        layers = sum(layer.weights is not None for layer in found.layers) - 1
        values, first = around, around
        for n in range(layers):
            values = functional.conv2d(values, arrays[f"weight{n}"])
            values = functional.prelu(values, arrays[f"slopes{n}"])
            first = values if n == 0 else first
        trimmed = layers - 1
        values = values + first[:, :, trimmed:-trimmed, trimmed:-trimmed]

        def enlarged(values: Any, kernel: Any, scale: int = scale) -> Any:
            return functional.conv_transpose2d(values, kernel, stride=scale, padding=(kernel.shape[2] - scale) // 2)

        detail = enlarged(values, arrays["tail"])[:, :, scale:-scale, scale:-scale]
        skip = enlarged(around, arrays["skip"][None, None])
        skip = skip[:, :, found.margin * scale : -found.margin * scale, found.margin * scale : -found.margin * scale]
        expected = (detail + skip)[0, 0].numpy()
        have = upscale(plane, scale, "learned", size=size)
        assert np.abs(have - expected).max() < 1e-4


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("scale", [2, 3, 4, 6, 2.5])
def test_flat_areas_stay_flat_and_colours_do_not_shift(size: str, scale: float) -> None:
    for colour in ([0, 0, 0], [255, 255, 255], [10, 200, 77]):
        flat = np.tile(np.array(colour, np.uint8), (23, 31, 1))
        assert (upscale(flat, scale, "learned", size=size) == colour).all()
    y, x = np.mgrid[:64, :64]
    picture = np.stack([128 + 60 * np.sin(x / 5) * np.cos(y / 3), 100 + (x > 30) * 90, 60 + 2 * y], axis=2)
    source = picture.astype(np.uint8)
    means = upscale(source, scale, "learned", size=size).mean(axis=(0, 1)) - source.mean(axis=(0, 1))
    assert np.abs(means).max() < 0.1


def test_more_contrast_gives_more_of_the_same() -> None:
    plane = np.random.default_rng(5).random((30, 20))
    once = upscale(plane, 2, "learned")
    assert_near(upscale(1000 * plane - 300, 2, "learned"), 1000 * once - 300, 1e-10)


@pytest.mark.parametrize("told", [{}, {"restore": 0.5}, {"restore": 0.5, "size": "large"}], ids=str)
def test_tiles_and_bands_leave_no_seams(told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(6).random((71, 91, 3))
    expected = upscale(source, 2, "learned", **told)
    monkeypatch.setattr(network, "LOW", 15)
    monkeypatch.setattr(network, "TILE", 25)
    assert_near(upscale(source, 2, "learned", **told), expected, 1e-12)


def slope(luma: Floats, colour: Floats, y: int, x: int) -> float:
    """How the colour rises with luma around a pixel, by weighted samples of the nine pixels there."""
    near = [(y + dy, x + dx, (2 - abs(dy)) * (2 - abs(dx))) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    inside = [(min(max(i, 0), len(luma) - 1), min(max(j, 0), luma.shape[1] - 1), weight) for i, j, weight in near]
    samples = [(luma[i, j], colour[i, j]) for i, j, weight in inside for _ in range(weight)]
    ((across, both), (_, along)) = np.cov(np.array(samples).T, bias=True)
    return float(both / (across + 0.02**2) * (both**2 / (across * along + 0.02**4)) ** 8)


def test_colours_follow_luma_as_they_do_in_the_source() -> None:
    source = np.random.default_rng(7).random((20, 24, 3))
    source[:, :12, 0] = source[:, :12, 1] * 0.7 + 0.2
    weights = [0.299, 0.587, 0.114]
    luma, kernel = source @ weights, upscale(source, 2, "transposed-conv")
    large = upscale(luma, 2, "learned")

    def followed(channel: int) -> Floats:
        slopes = [[slope(luma, source[..., channel] - luma, y, x) for x in range(24)] for y in range(20)]
        own = kernel[..., channel] - kernel @ weights
        return np.asarray(own + upscale(np.array(slopes), 2, "bilinear") * (large - kernel @ weights))

    red, blue = followed(0), followed(2)
    green = -(0.299 * red + 0.114 * blue) / 0.587
    assert_near(upscale(source, 2, "learned"), large[..., None] + np.stack((red, green, blue), -1), 1e-12)
    assert_near(upscale(source, 2, "learned") @ weights, large, 1e-12)


@pytest.mark.parametrize(("factor", "network"), [(255, "large"), (4095, "small"), (1e9, "small")])
def test_floats_beyond_full_intensity_are_enlarged_like_those_within(factor: float, network: str) -> None:
    """Their squares lose the digits in which neighbours differ, of which colours once became 1e31."""
    with Image.open(KERNELS.parents[2] / "sample_images" / "scene.png") as image:
        within = np.asarray(image.convert("RGB"))[:96] / np.float32(255)
    expected = upscale(within, 2, "learned", size=network)
    have = upscale(within * np.float32(factor), 2, "learned", size=network) / np.float32(factor)
    # Where colours begin to follow luma depends on full intensity, and beyond it on what is around.
    assert np.abs(have - expected).max() < 0.05
    assert np.sqrt(np.square(have - expected).mean()) < 0.001


def test_floats_that_are_not_finite_are_no_warning() -> None:
    source = np.full((9, 9, 3), 0.5, np.float32)
    source[4, 4, 0] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        upscale(source, 2, "learned")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e38])
def test_a_pixel_that_is_no_number_changes_only_what_is_near(value: float) -> None:
    with Image.open(KERNELS.parents[2] / "sample_images" / "scene.png") as image:
        whole = np.asarray(image.convert("RGB")) / np.float32(255)
    broken = whole.copy()
    broken[90, 120, 1] = value
    have, expected = (upscale(picture, 2, "learned") for picture in (broken, whole))
    reach = 24
    for near in have, expected:
        near[2 * (90 - reach) : 2 * (90 + reach), 2 * (120 - reach) : 2 * (120 + reach)] = 0
    np.testing.assert_allclose(have, expected, rtol=0, atol=1e-5)


def test_factors_are_reached_by_several_and_what_is_over_is_reduced() -> None:
    source = np.random.default_rng(8).random((18, 15))
    for size in ("small", "large"):
        # The smaller factor is first, and only the first network is a large one.
        once = upscale(source, 2, "learned", size=size)
        assert_near(upscale(source, 6, "learned", size=size), upscale(once, 3, "learned"), 1e-12)
    large = upscale(source, 3, "learned")
    assert_near(upscale(source, (1.3, 2.6), "learned"), reduced(large, (23, 39)), 1e-12)


def reduced(source: Floats, size: tuple[int, int]) -> Floats:
    """The cubic of Keys, stretched so that nothing aliases, as a plain sum; what lies outside is left out."""
    for axis, n_out in enumerate(size):
        n_in, weight = source.shape[axis], keys(Fraction(-1, 2))
        ratio, matrix = Fraction(n_in, n_out), np.zeros((n_out, n_in))
        for j, i in np.ndindex(matrix.shape):
            matrix[j, i] = weight(abs(i - (j + Fraction(1, 2)) * ratio + Fraction(1, 2)) / ratio)
        matrix /= matrix.sum(axis=1, keepdims=True)
        source = np.moveaxis(np.tensordot(matrix, source, (1, axis)), 0, axis)
    return source


def test_rows_of_an_upsampler_serve_as_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "KEPT_BANDS", 1)
    source = np.random.default_rng(9).random((150, 12))
    expected = upscale(upscale(source, 2, "learned"), 4, "learned")
    for threads in (1, 3):
        np.testing.assert_array_equal(upscale(source, 8, "learned", threads=threads), expected)


class Slow(Upsampler):
    """Twenty rows in bands of four, each of which waits until another band is being made, or is the last."""

    def __init__(self) -> None:
        self.shape, self.dtype, self.band = (20, 1, 1), np.dtype("f8"), 4
        self.made: list[int] = []
        self.two = threading.Barrier(2)

    def blocks(self, band: int) -> Iterator[Block]:
        self.made.append(band)
        if band < 4:
            self.two.wait(10)
        yield Block(4 * band, 0, 0, np.full((4, 1, 1), float(band)))


def test_two_threads_make_each_band_of_an_intermediate_image_once() -> None:
    slow = Slow()
    rows = learned.Rows(slow)
    with ThreadPoolExecutor(2) as pool:
        # Both need the band in the middle, and both begin with one that nobody makes.
        parts = list(pool.map(lambda each: rows[each], [slice(0, 8), slice(0, 8), slice(8, 16), slice(8, 20)]))
    assert sorted(slow.made) == [0, 1, 2, 3, 4]
    assert [part[::4, 0, 0].tolist() for part in parts] == [[0.0, 1.0], [0.0, 1.0], [2.0, 3.0], [2.0, 3.0, 4.0]]


def test_who_would_wait_for_a_band_makes_the_next_one() -> None:
    begun, going = threading.Event(), threading.Event()

    class Held(Slow):
        def blocks(self, band: int) -> Iterator[Block]:
            self.made.append(band)
            (going if band else begun).set()
            assert going.wait(10)
            yield Block(4 * band, 0, 0, np.full((4, 1, 1), float(band)))

    slow = Held()
    rows = learned.Rows(slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: rows[0:4])
        assert begun.wait(10)
        # Nothing but the next band, which nobody asked for, lets the first one go on.
        assert rows[0:4].tolist() == first.result().tolist() == [[[0.0]]] * 4
    assert slow.made == [0, 1]


def test_a_band_that_fails_fails_for_all_who_wait_for_it() -> None:
    slow = Slow()
    rows = learned.Rows(slow)
    slow.two.abort()
    for _ in range(2):
        with pytest.raises(threading.BrokenBarrierError):
            rows[0:4]
    assert slow.made == [0]


@pytest.mark.parametrize("scale", shipped.FACTORS)
def test_shipped_scores_are_what_the_tool_measures(scale: int) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    try:
        from training.record import SCENE, scores
    finally:
        sys.path.pop(0)
    everything = json.loads((KERNELS / "scores.json").read_text("utf-8"))
    recorded = everything[SCENE.name][f"{scale}x"]
    for name, score in scores([SCENE], scale).items():
        assert score == pytest.approx(recorded[name], abs=0.01), name
    assert min(recorded["large"], recorded["small"]) > recorded["kernel"] > recorded["lanczos"] > recorded["bicubic"]
    photographs = everything["kodak"][f"{scale}x"]
    assert photographs["large"] > photographs["small"] > photographs["kernel"]


# Files that are no networks.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n, a: n.update(layout=2), "layout 2, but this version reads only layout 1"),
        (lambda n, a: n.pop("layout"), "layout None"),
        (lambda n, a: n.update(scale=5), "scale is 5; it must be 1, 2, 3 or 4"),
        (lambda n, a: n.update(scale=2.0), "scale is 2.0"),
        (lambda n, a: n.update(scale=True), "scale is True"),
        (lambda n, a: n.update(layers=[]), "layers must be a list of 1 to 100"),
        (lambda n, a: n.update(layers="abc"), "layers must be a list of 1 to 100"),
        (lambda n, a: n.update(layers=n["layers"] * 30), "layers must be a list of 1 to 100"),
        (
            lambda n, a: n["layers"].pop(),
            "layer 4 of the network does 'sum'; layers must do convolution or sum, and the last one transposed-conv",
        ),
        (lambda n, a: n["layers"].insert(0, {"does": "exec"}), "layer 0 of the network does 'exec'"),
        (lambda n, a: n["layers"].insert(0, 7), "layer 0 of the network does None"),
        (lambda n, a: n["layers"].insert(0, n["layers"][-1]), "layer 0 of the network does"),
        (lambda n, a: n["layers"][2].update({"with": 2}), "layer 2 of the network adds 2"),
        (lambda n, a: n["layers"][2].update({"with": -1}), "layer 2 of the network adds -1"),
        (lambda n, a: n["layers"][2].update({"with": "0"}), "layer 2 of the network adds '0'"),
        (lambda n, a: n["layers"].insert(0, {"does": "sum", "with": 0}), "layer 0 of the network adds 0"),
        (lambda n, a: a.pop("b"), "layer 1 of the network names an array that the file does not have ('b')"),
        (lambda n, a: n["layers"][0].update(weight=["a"]), "names an array that the file does not have (['a'])"),
        (lambda n, a: n.pop("skip"), 'the network lacks "skip", which names an array'),
        (lambda n, a: n["layers"][1].pop("slopes"), 'layer 1 of the network lacks "slopes"'),
        (
            lambda n, a: n["layers"][5].update(biases="p"),
            "layer 5 of the network has 'biases', which no transposed-conv",
        ),
        (
            lambda n, a: n["layers"][0].update(biass="p"),
            "has 'biass', which no convolution has; it has weight, slopes,",
        ),
        (lambda n, a: a.update(tail=np.ones((3, 1, 64, 64))), "at scale 2 at most 62 x 62 are supported"),
        (lambda n, a: a.update(a=a["a"][0]), "layer 0 takes numbers (k, 1, k, k)"),
        (lambda n, a: a.update(b=a["b"][:, :2]), "layer 1 takes numbers (k, 3, k, k)"),
        (lambda n, a: a.update(q=a["q"][:2]), "layer 1 takes numbers (3)"),
        (lambda n, a: a.update(b=a["b"].astype(complex)), "complex128"),
        (lambda n, a: a.update(b=a["b"].astype(object)), "object"),
        (lambda n, a: a.update(b=a["b"] * np.nan), "not finite"),
        (lambda n, a: a["b"].__setitem__((2, 1, 0, 0), np.nan), "not finite"),
        (lambda n, a: a.update(skip=np.full((2, 2), np.inf)), "not finite"),
        (lambda n, a: a.update(b=np.ones((3, 3, 2, 2))), "kernels of 2 x 2"),
        (lambda n, a: a.update(b=np.ones((3, 3, 1, 3))), "kernels of 1 x 3"),
        (lambda n, a: a.update(b=np.ones((3, 3, 33, 33))), "kernels of 33 x 33"),
        (lambda n, a: a.update(b=np.ones((513, 3, 1, 1))), "empty or too large"),
        (lambda n, a: a.update(b=np.ones((0, 3, 1, 1))), "empty or too large"),
        (lambda n, a: a.update(tail=np.ones((3, 1, 5, 5))), "kernel of 5 x 5, which cannot be centred"),
        (lambda n, a: a.update(tail=np.ones((3, 1, 1, 1))), "kernel of 1 x 1, which cannot be centred"),
        (lambda n, a: a.update(a=a["a"] + 0.01), "filter of the first layer of the network must sum"),
        (lambda n, a: a.update(skip=np.full((2, 2), 0.9)), "phase of the skip of the network must sum to 1"),
        (
            lambda n, a: (n.update(layers=n["layers"][-1:]), a.update(tail=np.ones((1, 1, 2, 2)))),
            "filter of the first layer of the network must sum to 0",
        ),
        (lambda n, a: n["layers"][1].update(biases="a"), "layer 1 takes numbers (3)"),
        (lambda n, a: n["layers"][1].update(biases=None), "names an array that the file does not have (None)"),
    ],
)
def test_what_is_no_network_is_refused(change: Callable[[dict[str, Any], Arrays], object], words: str) -> None:
    about, arrays = tiny()
    change(about, arrays)
    with pytest.raises(UpscaleError) as caught:
        upscale(np.ones((4, 4)), 2, "learned", network=described(about, **arrays))
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")


def long(count: int = 3, *, side: int = 1, last: int = 1, levels: int = 0, channels: int = 3) -> Arrays:
    """Return a sound network with so many layers: the first, others of a side with a last one, and the phases."""
    about, arrays = tiny(channels=channels)
    middle = [{"does": "convolution", "weight": "m", "slopes": "q"}] * (count - 3)
    about["layers"] = [about["layers"][0], *middle, {**about["layers"][1], "weight": "n"}, about["layers"][-1]]
    arrays |= {name: np.full((channels, channels, k, k), 1e-3) for name, k in (("m", side), ("n", last))}
    if levels:
        about["levels"] = np.linspace(0, 1, levels).tolist()
        arrays = {name: np.stack([values] * levels) for name, values in arrays.items()}
    return described(about, **arrays)


@pytest.mark.parametrize(
    ("most", "beyond", "words"),
    [
        (lambda: long(100), lambda: long(101), "layers must be a list of 1 to 100"),
        (lambda: long(last=31), lambda: long(last=33), "kernels of 33 x 33"),
        (lambda: long(channels=512), lambda: long(channels=513), "empty or too large"),
        (
            lambda: long(11, side=31, last=13),
            lambda: long(11, side=31, last=15),
            "129 pixels on each side; at most 128",
        ),
        (lambda: long(levels=16), lambda: long(levels=17), "they must be 2 to 16 ascending numbers"),
        (lambda: long(levels=2), lambda: long(levels=1), "they must be 2 to 16 ascending numbers"),
        (
            lambda: compact(layers=48),
            lambda: compact(layers=50),
            "the network has 103 layers; a Compact one has an odd",
        ),
        (lambda: compact(channels=512, layers=1), lambda: compact(channels=513, layers=1), "empty or too large"),
    ],
    ids=["layers", "side", "channels", "reach", "levels", "level", "compact layers", "compact channels"],
)
def test_limits_are_those_that_are_said(most: Callable[[], Arrays], beyond: Callable[[], Arrays], words: str) -> None:
    read_any(most())
    with pytest.raises(UpscaleError) as caught:
        read_any(beyond())
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("make", "total"),
    [
        (lambda: long(5, channels=8, last=3), 8 * 9 + 2 * 8 * 8 + 8 * 8 * 9),
        (compact, 9 * (3 * 5 + 2 * 5 * 5 + 5 * 12)),
        (span, 9 * (3 * 4 + 19 * 4 * 4) + 16 * 4),
    ],
    ids=["layout 1", "compact", "span"],
)
def test_all_weights_together_have_a_limit(
    make: Callable[[], Arrays], total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted as they are used: an array that layers share for each of them, branches as their sum."""
    monkeypatch.setattr(layers, "MOST_WEIGHTS", total)
    read_any(made := make())
    monkeypatch.setattr(layers, "MOST_WEIGHTS", total - 1)
    with pytest.raises(UpscaleError, match=f"more than {total - 1:,} weights together"):
        read_any(made)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (None, 'no array "about"'),
        (np.frombuffer(b"\xff\xfe", np.uint8), "not JSON in UTF-8"),
        (np.frombuffer(b"[" * 100_000, np.uint8), "not JSON in UTF-8"),
        (np.frombuffer(b"[1]", np.uint8), "layout None"),
        (np.ones(3), "not JSON in UTF-8"),
        (np.array("text"), "not JSON in UTF-8"),
        (np.array([None]), "not JSON in UTF-8"),
    ],
    ids=repr,
)
def test_what_says_nothing_of_itself_is_refused(about: Any, words: str) -> None:
    with pytest.raises(UpscaleError, match="the network") as caught:
        read_network({} if about is None else {"about": about})
    assert words in str(caught.value)


def test_what_is_no_mapping_of_arrays_is_refused() -> None:
    for value in (3, "file.npz", [1, 2], np.ones(3)):
        with pytest.raises(UpscaleError, match="learned: network="):
            upscale(np.ones((4, 4)), 2, "learned", network=value)


def test_a_size_and_a_network_are_one_too_many() -> None:
    about, arrays = tiny()
    with pytest.raises(UpscaleError, match="omit one"):
        upscale(np.ones((4, 4)), 2, "learned", size="large", network=described(about, **arrays))


def test_an_archive_as_numpy_loads_it_is_a_network() -> None:
    about, arrays = tiny()
    stream = io.BytesIO()
    np.savez(stream, **described(about, **arrays))  # type: ignore[arg-type]
    stream.seek(0)
    with np.load(stream) as archive:
        have = upscale(np.eye(5), 2, "learned", network=archive)
    np.testing.assert_array_equal(have, upscale(np.eye(5), 2, "learned", network=described(about, **arrays)))


# What the package brings.


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "pickled", "no network"])
def test_a_file_of_the_package_that_is_missing_or_damaged_is_one_line(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.png"
    Image.new("RGB", (4, 4)).save(source)
    for name, method in (("kernel-2x.npy", "transposed-conv"), ("small-2x.npz", "learned")):
        whole = (KERNELS / name).read_bytes()
        if damage == "pickled":
            np.save(tmp_path / "pickled.npy", np.array([{}], object))
            (tmp_path / name).write_bytes((tmp_path / "pickled.npy").read_bytes())
        elif damage != "missing":
            parts = {"truncated": whole[: len(whole) // 2], "empty": b"", "no network": b"hello"}
            (tmp_path / name).write_bytes(parts[damage])
        monkeypatch.setattr(shipped, "FOLDER", tmp_path)
        for cached in (shipped.kernel, shipped.network):
            cached.cache_clear()
        result = CliRunner().invoke(cli, [str(source), "-m", method, "-o", str(tmp_path / "out.png")])
        why = f"the package's own {name} is missing or damaged; install upscale-cli again."
        assert (result.exit_code, result.stderr) == (1, f"{source}: {why}\n")
        assert not (tmp_path / "out.png").exists()


# The kernels that transposed-conv brings.


@pytest.mark.parametrize("scale", shipped.FACTORS)
def test_shipped_kernels_keep_constants_and_commute_with_flips(scale: int) -> None:
    kernel = shipped.kernel((scale, scale))
    assert kernel.shape == (7 * scale, 7 * scale)
    for turned in (kernel.T, kernel[::-1], kernel[:, ::-1]):
        np.testing.assert_allclose(turned, kernel, rtol=0, atol=1e-12)
    assert (upscale(np.full((9, 8), 200, np.uint8), scale, "transposed-conv") == 200).all()
    row = METHODS["transposed-conv"]
    assert row.warn((4, 4, 1), (Fraction(scale), Fraction(scale)), row.read_parameters({})) is None


def test_a_scale_without_a_kernel_is_refused_with_those_that_there_are() -> None:
    for scale, shown in ((5, "5"), (1, "1"), ((2, 3), "3x2")):
        with pytest.raises(UpscaleError, match=rf"kernels for scales 2, 3, 4, not {shown}; give one with --kernel"):
            upscale(np.ones((4, 4)), scale, "transposed-conv")

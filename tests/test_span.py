"""SPAN from state dicts: beside its sums written out branch by branch, and PyTorch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support import Array, Floats
from test_ensemble import by_hand
from test_foreign_networks import Arrays, stored

from upscale_cli import UpscaleError, upscale
from upscale_cli.commands.upscale import cli
from upscale_cli.methods.compact import read_any
from upscale_cli.testing import assert_near

REACH = 21
NAMES = ["conv_1", *(f"block_{n}.c{part}_r" for n in range(1, 7) for part in (1, 2, 3)), "conv_2"]


def span(scale: int = 2, features: int = 4, seed: int = 0, norm: bool = True, planes: int = 3) -> Arrays:
    """Return the state dict of a small network as it is trained, with the branches of each convolution."""
    random = np.random.default_rng(seed)
    arrays: Arrays = {}

    def add(name: str, out: int, channels: int, side: int) -> None:
        spread = (channels * side * side) ** -0.5
        arrays[f"{name}.weight"] = random.normal(size=(out, channels, side, side), scale=spread).astype("f4")
        arrays[f"{name}.bias"] = random.normal(size=out, scale=0.3).astype("f4")

    for name in NAMES:
        channels = planes if name == "conv_1" else features
        add(f"{name}.sk", features, channels, 1)
        for n, (out, before, side) in enumerate(
            ((2 * channels, channels, 1), (2 * features, 2 * channels, 3), (features, 2 * features, 1))
        ):
            add(f"{name}.conv.{n}", out, before, side)
        add(f"{name}.eval_conv", features, channels, 3)  # not up to date, as in files of training
    add("conv_cat", features, 4 * features, 1)
    add("upsampler.0", planes * scale**2, features, 3)
    if not norm:
        arrays["no_norm"] = np.zeros(1, "f4")
    else:  # values of 0 … 255
        for part in ("sk", "conv.0"):
            arrays[f"conv_1.{part}.weight"] /= 60
    return arrays


def conv(arrays: Arrays, name: str, values: Floats) -> Floats:
    """Return a convolution, zeros around, as PyTorch has it: plain loops over the kernel."""
    weight, bias = (arrays[f"{name}.{kind}"].astype(float) for kind in ("weight", "bias"))
    side = weight.shape[2]
    padded = np.pad(values, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    height, width = values.shape[1:]
    parts = [
        np.einsum("dc,chw->dhw", weight[:, :, y, x], padded[:, y : y + height, x : x + width])
        for y in range(side)
        for x in range(side)
    ]
    total: Floats = sum(parts) + bias[:, None, None]
    return total


def branches(arrays: Arrays, name: str, values: Floats) -> Floats:
    inner = conv(arrays, f"{name}.conv.1", conv(arrays, f"{name}.conv.0", values))
    return conv(arrays, f"{name}.sk", values) + conv(arrays, f"{name}.conv.2", inner)


def plainly(arrays: Arrays, planes: Floats, scale: int) -> Floats:
    """Return what the network makes of planes (c, h, w) that are mirrored far beyond their border, in float64."""
    around = 32
    values = np.pad(planes, ((0, 0), (around,) * 2, (around,) * 2), mode="symmetric").astype(float)
    if "no_norm" not in arrays:
        values = (values - np.array([0.4488, 0.4371, 0.4040])[:, None, None]) * 255

    def sigmoid(x: Floats) -> Floats:
        return 1 / (1 + np.exp(-x))

    first = block = branches(arrays, "conv_1", values)
    results = []
    for n in range(1, 7):
        one = branches(arrays, f"block_{n}.c1_r", block)
        one = one * sigmoid(one)
        two = branches(arrays, f"block_{n}.c2_r", one)
        three = branches(arrays, f"block_{n}.c3_r", two * sigmoid(two))
        block = (three + block) * (sigmoid(three) - 0.5)
        results.append((block, one))
    last = branches(arrays, "conv_2", block)
    mixed = conv(arrays, "conv_cat", np.concatenate([first, last, results[0][0], results[5][1]]))
    phases = conv(arrays, "upsampler.0", mixed)
    count, height, width = values.shape
    shuffled = phases.reshape(count, scale, scale, height, width).transpose(0, 3, 1, 4, 2)
    large: Floats = shuffled.reshape(count, height * scale, width * scale)
    return large[:, around * scale : -around * scale, around * scale : -around * scale]


def enlarged(arrays: Arrays, source: Array, scale: Any = 2, **more: Any) -> Array:
    return upscale(source, scale, "learned", network=arrays, **more)


def summed(arrays: Arrays) -> Arrays:
    """Return the state dict of use, in which each convolution is one array."""
    impulse: Arrays = {}
    for name in NAMES:
        channels = arrays[f"{name}.sk.weight"].shape[1]
        bias = branches(arrays, name, np.zeros((channels, 5, 5)))[:, 2, 2]
        kernels = []
        for channel in range(channels):
            values = np.zeros((channels, 7, 7))
            values[channel, 3, 3] = 1
            kernels.append(branches(arrays, name, values)[:, 2:5, 2:5][:, ::-1, ::-1] - bias[:, None, None])
        impulse[f"{name}.eval_conv.weight"] = np.stack(kernels, axis=1)
        impulse[f"{name}.eval_conv.bias"] = bias
    return impulse | {name: each for name, each in arrays.items() if name.startswith(("conv_cat", "ups", "no_norm"))}


@pytest.mark.parametrize(
    ("scale", "norm", "planes"), [(1, True, 3), (2, True, 3), (3, False, 3), (4, True, 3), (2, False, 1)]
)
def test_a_span_enlarges(scale: int, norm: bool, planes: int) -> None:
    arrays = span(scale, norm=norm, planes=planes, seed=scale)
    assert read_any(arrays).margin == REACH
    for shape in ((13, 9), (1, 1)):
        source = np.random.default_rng(1).random((*shape, planes))
        expected = np.moveaxis(plainly(arrays, np.moveaxis(source, 2, 0), scale), 0, 2)
        have = enlarged(arrays, source if planes == 3 else source[..., 0], scale).reshape(expected.shape)
        assert_near(have, expected, 1e-9)
        assert np.abs(expected).std() > 0.01 or shape == (1, 1)
        assert_near(
            enlarged(summed(arrays), source if planes == 3 else source[..., 0], scale).ravel(), have.ravel(), 1e-9
        )
        if planes == 3:
            whole = np.round(source * 255).astype(np.uint8)
            near = 255 * np.moveaxis(plainly(arrays, np.moveaxis(whole / 255, 2, 0), scale), 0, 2)
            assert_near(enlarged(arrays, whole, scale), near.clip(0, 255), 0.51)


def test_tiles_threads_and_turns() -> None:
    arrays, source = span(), np.random.default_rng(2).random((110, 105, 3))
    made = enlarged(arrays, source)
    np.testing.assert_array_equal(enlarged(arrays, source, threads=3), made)
    assert_near(made, np.moveaxis(plainly(arrays, np.moveaxis(source, 2, 0), 2), 0, 2), 1e-9)
    small = source[:9, :14]
    assert_near(enlarged(arrays, small, ensemble=8), by_hand(small, 2, network=arrays), 1e-9)


def test_pytorch_computes_the_same_off_the_border() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is needed to compare with; pip install torch")
    pytest.importorskip("spandrel", reason="spandrel is needed to compare with; pip install spandrel")
    from spandrel.architectures.SPAN import SPAN

    torch.set_num_threads(1)

    for scale, features, norm in ((4, 16, True), (2, 8, False)):
        torch.manual_seed(scale)
        net = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=features, upscale=scale, norm=norm).eval()
        arrays = {name: values.numpy().copy() for name, values in net.state_dict().items()}
        source = np.random.default_rng(3).random((56, 60, 3)).astype("f4")
        with torch.no_grad():
            made = net(torch.from_numpy(np.moveaxis(source, 2, 0)[None].copy()))[0].numpy()
        near = slice((REACH + 1) * scale, -(REACH + 1) * scale)
        expected = np.moveaxis(made, 0, 2)[near, near]
        have = enlarged(arrays, source, scale)[near, near]
        np.testing.assert_allclose(have, expected, rtol=0, atol=2e-6 * np.abs(made).max())


def test_the_command_takes_it(tmp_path: Path) -> None:
    (tmp_path / "span.safetensors").write_bytes(stored({f"params.{name}": each for name, each in span().items()}))
    source = np.random.default_rng(5).integers(0, 256, (12, 14, 3), np.uint8)
    Image.fromarray(source).save(tmp_path / "in.png")
    words = [str(tmp_path / "in.png"), "-m", "learned", "--network", str(tmp_path / "span.safetensors")]
    result = CliRunner().invoke(cli, [*words, "-s", "2", "-o", str(tmp_path / "out.png")])
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), enlarged(span(), source))


def drop(*names: str) -> Callable[[Arrays], object]:
    return lambda arrays: [arrays.pop(name) for name in names]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.update({"block_7.c1_r.sk.weight": np.ones((4, 4, 1, 1))}), "layer 'block_7.c1_r.sk.weight'"),
        (lambda a: a.update({"upsampler.1.weight": np.ones(3)}), "layer 'upsampler.1.weight' of the network is none"),
        (drop("block_3.c2_r.conv.1.weight"), "layer block_3.c2_r.conv.1 of the network names an array that the file"),
        (drop("conv_1.sk.weight", "conv_1.eval_conv.weight"), "layer conv_1.sk of the network names an array"),
        (drop("block_3.c2_r.sk.weight"), "layer block_3.c2_r.sk of the network names an array that the file"),
        (
            lambda a: a.update({"block_3.c1_r.sk.foo": np.ones(4)}),
            "layer 'block_3.c1_r.sk.foo' of the",
        ),
        (
            lambda a: a.update({"block_2.c3_r.sk.weight": np.ones((5, 4, 1, 1))}),
            "layer block_2.c3_r.sk takes numbers (4",
        ),
        (
            lambda a: a.update({"conv_cat.weight": np.ones((4, 12, 1, 1))}),
            "layer conv_cat takes numbers (4, 16, 1, 1)",
        ),
        (lambda a: a.update({"conv_2.conv.0.bias": np.full(8, np.inf)}), "not finite"),
        (lambda a: a.update({"upsampler.0.weight": np.ones((13, 4, 3, 3)), "upsampler.0.bias": np.ones(13)}), "27"),
        (lambda a: a.update({"conv_1.sk.weight": np.ones((4, 4, 1, 1))}), "layer conv_1.sk takes numbers"),
        (lambda a: a.update({"conv_1.sk.weight": np.ones(())}), "layer conv_1.sk takes numbers"),
    ],
)
def test_what_is_no_span_is_refused(change: Callable[[Arrays], object], words: str) -> None:
    arrays = span()
    change(arrays)
    with pytest.raises(UpscaleError) as caught:
        enlarged(arrays, np.ones((4, 4, 3)))
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["conv_first.weight", "model.0.weight", "layers.0.blocks.attn.weight"])
def test_other_families_are_referred_to_onnx(name: str) -> None:
    with pytest.raises(UpscaleError, match=rf"layer '{name}' .* convert the network to \.onnx"):
        enlarged({name: np.ones((4, 3, 3, 3)), "body.0.rdb1.conv1.weight": np.ones(3)}, np.ones((4, 4, 3)))

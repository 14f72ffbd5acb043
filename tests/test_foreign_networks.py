"""Networks that others trained: the Compact family, from `.safetensors` files; and files that are none."""

import io
import json
import struct
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support import Array, Floats

from upscale_cli import METHODS, UpscaleError, upscale
from upscale_cli.commands.upscale import cli
from upscale_cli.testing import assert_near
from upscale_cli.work.safetensors import is_safetensors, read_safetensors

Arrays = dict[str, Array]
CODES = {"float64": "F64", "float32": "F32", "float16": "F16", "uint16": "BF16", "int32": "I32"}


def compact(scale: int = 2, planes: int = 3, channels: int = 5, layers: int = 2, seed: int = 0) -> Arrays:
    """Return the state dict of a small network of the family."""
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    counts = [planes, *[channels] * (layers + 1), planes * scale * scale]
    for n, (before, after) in enumerate(pairwise(counts)):
        arrays[f"body.{2 * n}.weight"] = random.normal(size=(after, before, 3, 3)) / (3 * before**0.5)
        arrays[f"body.{2 * n}.bias"] = random.normal(size=after) / 4
        if n <= layers:
            arrays[f"body.{2 * n + 1}.weight"] = random.uniform(-0.2, 1.2, after)
    return {name: values.astype(np.float32) for name, values in arrays.items()}


def plainly(arrays: Mapping[str, Array], planes: Floats, scale: int) -> Floats:
    """The family's sums, in float64, on planes (c, h, w) that are mirrored far beyond their border."""
    margin, last = 12, max(int(name.split(".")[1]) for name in arrays)
    values = source = np.pad(planes, ((0, 0), (margin,) * 2, (margin,) * 2), mode="symmetric")
    for n in range(0, last + 1, 2):
        weight, bias = (arrays[f"body.{n}.{kind}"].astype(float) for kind in ("weight", "bias"))
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
        height, width = values.shape[1:]
        values = bias[:, None, None] + sum(
            np.einsum("dc,chw->dhw", weight[:, :, y, x], padded[:, y : y + height, x : x + width])
            for y in range(3)
            for x in range(3)
        )
        if n < last:
            values = np.where(
                values > 0, values, arrays[f"body.{n + 1}.weight"].astype(float)[:, None, None] * values
            )
    count, height, width = source.shape
    shuffled = values.reshape(count, scale, scale, height, width).transpose(0, 3, 1, 4, 2)
    large: Floats = shuffled.reshape(count, height * scale, width * scale)
    large = large + source.repeat(scale, axis=1).repeat(scale, axis=2)
    return large[:, margin * scale : -margin * scale, margin * scale : -margin * scale]


def stored(arrays: Mapping[str, Array], change: Callable[[dict[str, Any]], object] = lambda header: None) -> bytes:
    """Return a `.safetensors` file, whose header may be changed."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = b""
    for name, values in arrays.items():
        ends = [len(content), len(content) + values.nbytes]
        header[name] = {"dtype": CODES[values.dtype.name], "shape": list(values.shape), "data_offsets": ends}
        content += values.tobytes()
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def twice(content: bytes) -> bytes:
    """Return a file whose header has one name for two arrays."""
    return content.replace(b'"body.2.bias"', b'"body.0.bias"')


def enlarged(arrays: Mapping[str, Array], source: Array, scale: Any = 2) -> Array:
    return upscale(source, scale, "learned", network=arrays)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_compact_network_enlarges_colours_together(scale: int) -> None:
    arrays = compact(scale, seed=scale)
    for shape in ((13, 9, 3), (1, 1, 3), (2, 7, 3)):
        source = np.random.default_rng(1).random(shape)
        expected = np.moveaxis(plainly(arrays, np.moveaxis(source, 2, 0), scale), 0, 2)
        assert_near(enlarged(arrays, source, scale), expected, 1e-12)
        bytes_ = np.round(source * 255).astype(np.uint8)
        near = 255 * np.moveaxis(plainly(arrays, np.moveaxis(bytes_ / 255, 2, 0), scale), 0, 2)
        assert_near(enlarged(arrays, bytes_, scale), near.clip(0, 255), 0.501)


def test_networks_of_others_promise_no_flat_areas() -> None:
    """So integers are rounded after them, and not by what is added to their samples before."""
    learned = METHODS["learned"]
    for given, keeps in (({}, True), ({"restore": 1}, True), ({"network": compact()}, False)):
        settled = learned.settled(learned.read_parameters(given))
        assert (settled.keeps_constants, settled.interpolates) == (keeps, "restore" not in given)
    assert not learned.settled(learned.read_parameters({"network": compact(1)})).interpolates


def test_what_is_not_three_colours_is_enlarged_as_grey() -> None:
    arrays, source = compact(), np.random.default_rng(2).random((8, 9))
    three = np.moveaxis(plainly(arrays, np.stack([source] * 3), 2), 0, 2) @ [0.299, 0.587, 0.114]
    assert_near(enlarged(arrays, source), three, 1e-12)
    several = np.stack([source, source[::-1], source.T[:8] if source.T.shape == source.shape else source], axis=2)
    five = np.concatenate([several, several[..., :2]], axis=2)
    assert_near(upscale(five, 2, "learned", network=arrays, channels_first=False)[..., 0], three, 1e-12)


def test_a_network_of_one_plane_enlarges_luma() -> None:
    arrays, source = compact(planes=1), np.random.default_rng(3).random((8, 9))
    assert_near(enlarged(arrays, source), plainly(arrays, source[None], 2)[0], 1e-12)


def test_pytorch_computes_the_same_off_the_border() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is needed to compare with; pip install '.[train]'")
    nn = torch.nn
    arrays = compact(4, channels=16, layers=6)
    layers: list[Any] = [nn.Conv2d(3, 16, 3, 1, 1), nn.PReLU(16)]
    for _ in range(6):
        layers += [nn.Conv2d(16, 16, 3, 1, 1), nn.PReLU(16)]
    body = nn.Sequential(*layers, nn.Conv2d(16, 48, 3, 1, 1))
    body.load_state_dict({name.removeprefix("body."): torch.from_numpy(v) for name, v in arrays.items()})
    source = np.random.default_rng(4).random((40, 44, 3)).astype("f4")
    values = torch.from_numpy(np.moveaxis(source, 2, 0)[None].copy())
    with torch.no_grad():
        made = nn.functional.pixel_shuffle(body(values), 4)
        made = made + nn.functional.interpolate(values, scale_factor=4, mode="nearest")
    near = slice(8 * 4, -8 * 4)
    have = enlarged(arrays, source, 4)[near, near]
    np.testing.assert_allclose(have, np.moveaxis(made[0].numpy(), 0, 2)[near, near], rtol=0, atol=2e-5)


@pytest.mark.parametrize("prefix", ["", "params.", "params_ema.", "module."])
@pytest.mark.parametrize("kind", ["f4", "f8", "f2"])
def test_a_safetensors_file_is_a_network(prefix: str, kind: str, tmp_path: Path) -> None:
    arrays = {name: values.astype(kind) for name, values in compact().items()}
    (tmp_path / "their.safetensors").write_bytes(stored({prefix + name: each for name, each in arrays.items()}))
    source = np.random.default_rng(5).integers(0, 256, (12, 14, 3), np.uint8)
    Image.fromarray(source).save(tmp_path / "in.png")
    words = [str(tmp_path / "in.png"), "-m", "learned", "--network", str(tmp_path / "their.safetensors")]
    result = CliRunner().invoke(cli, [*words, "-s", "2", "-o", str(tmp_path / "out.png")])
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), enlarged(arrays, source))


def test_a_header_may_begin_as_an_onnx_file_does(tmp_path: Path) -> None:
    """One in 32 does: its length is a multiple of 8, and lengths of 8 more than a multiple of 256 begin with 8."""
    for padding in range(256):
        name = "." * padding
        content = stored(compact(), lambda header: header["__metadata__"].update(a=name))  # noqa: B023
        if content.startswith(b"\x08"):
            break
    assert content.startswith(b"\x08")
    (tmp_path / "their.safetensors").write_bytes(content)
    Image.new("RGB", (4, 4)).save(tmp_path / "in.png")
    words = [str(tmp_path / "in.png"), "-m", "learned", "--network", str(tmp_path / "their.safetensors")]
    assert CliRunner().invoke(cli, [*words, "-o", str(tmp_path / "out.png")]).exit_code == 0


def test_the_upper_halves_of_float32_are_read() -> None:
    values = np.array([1.5, -2.0, 0.15625, 3.0e38], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    content = stored({"a": halves})
    have = read_safetensors(io.BytesIO(content), len(content), 100)["a"]
    assert have.dtype == np.float32
    np.testing.assert_allclose(have, values, rtol=2**-7)


def test_the_library_of_the_format_writes_what_is_read() -> None:
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is needed to compare with")
    content = library.save(compact(), metadata={"format": "pt"})
    assert is_safetensors(io.BytesIO(content))
    have = read_safetensors(io.BytesIO(content), len(content), 10**6)
    assert have.keys() == compact().keys()
    for name, values in compact().items():
        np.testing.assert_array_equal(have[name], values)
    assert {name: values.tolist() for name, values in library.load(stored(compact())).items()} == {
        name: values.tolist() for name, values in compact().items()
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda a: a.update({"conv_1.sk.weight": np.ones((3, 3, 1, 1))}),
            "layer 'conv_1.sk.weight' of the network is",
        ),
        (
            lambda a: a.update({"body.1.bias": np.ones(5)}),
            "layer 'body.1.bias' of the network is none of the Compact",
        ),
        (
            lambda a: [a.pop(name) for name in list(a) if int(name.split(".")[1]) % 2],
            "has no slopes of PReLU, and its file does not say what else follows its convolutions;",
        ),
        (lambda a: a.update({"body.x.weight": np.ones(5)}), "layer 'body.x.weight' of the network is none"),
        (lambda a: a.update({"body.99999999.weight": np.ones(5)}), "is none of the Compact"),
        (lambda a: a.pop("body.2.weight"), "layer body.2 of the network names an array that the file does not have"),
        (lambda a: a.pop("body.3.weight"), "layer body.2 of the network names an array that the file does not have"),
        (lambda a: a.update({"body.2.bias": np.ones(4)}), "layer body.2 takes numbers (5)"),
        (lambda a: a.update({"body.2.weight": np.ones((5, 4, 3, 3))}), "layer body.2 takes numbers (k, 5, k, k)"),
        (lambda a: a.update({"body.0.weight": np.ones((5, 4, 3, 3))}), "takes one plane, or red, green and blue"),
        (lambda a: a.update({"body.0.weight": np.ones(5)}), "takes one plane, or red, green and blue"),
        (
            lambda a: a.update({"body.6.weight": np.ones((13, 5, 3, 3)), "body.6.bias": np.ones(13)}),
            "3 or 12 or 27 or 48",
        ),
        (lambda a: a.update({"body.6.weight": np.ones((6, 5, 3, 3)), "body.6.bias": np.ones(6)}), "makes 6 channels"),
        (lambda a: a.update({"body.7.weight": np.ones(12)}), "has 8 layers; a Compact one has an odd number"),
        (lambda a: a.update({"body.0.bias": np.full(5, np.nan)}), "not finite"),
    ],
)
def test_what_is_no_compact_network_is_refused(change: Callable[[Arrays], object], words: str) -> None:
    arrays = compact()
    change(arrays)
    with pytest.raises(UpscaleError) as caught:
        enlarged(arrays, np.ones((4, 4, 3)))
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (struct.pack("<Q", 3) + b"{,}", "its header is not JSON"),
        (struct.pack("<Q", 9) + b"{" * 9, "its header is not JSON"),
        (struct.pack("<Q", 1 << 19) + b"[" * (1 << 19), "is not a .npy, .npz, .safetensors or .onnx file"),
        (struct.pack("<Q", 1 << 40) + b"{}", "is not a .npy, .npz, .safetensors or .onnx file"),
        (struct.pack("<Q", 1 << 19) + b'{"a":' * (1 << 16), "its header is not JSON"),
        (stored(compact())[:-1], "does not lie in it"),
        (stored(compact(), lambda h: h["body.0.bias"].update(data_offsets=[0, 21])), "does not lie in it"),
        (stored(compact(), lambda h: h["body.0.bias"].update(data_offsets=[-20, 0])), "has no shape and place"),
        (stored(compact(), lambda h: h["body.0.bias"].update(data_offsets=[0])), "has no shape and place"),
        (stored(compact(), lambda h: h["body.0.bias"].update(shape=[10**9] * 9)), "has no shape and place"),
        (stored(compact(), lambda h: h["body.0.bias"].update(shape=[10**9] * 8)), "does not lie in it"),
        (stored(compact(), lambda h: h["body.0.bias"].update(shape=5)), "has no shape and place"),
        (stored(compact(), lambda h: h["body.0.bias"].update(shape=[True])), "has no shape and place"),
        (stored(compact(), lambda h: h["body.0.bias"].update(dtype="I8")), "of type 'I8'; weights are F64"),
        (stored(compact(), lambda h: h["body.0.bias"].update(dtype=["F32"])), "of type ['F32']"),
        (stored(compact(), lambda h: h.update(a=7)), "array 'a' of type None"),
        (stored(compact()) + b"\0", "its arrays overlap, or leave bytes between or behind them"),
        (stored(compact(), lambda h: h["body.0.bias"].update(data_offsets=[0, 20])), "its arrays overlap"),
        (stored(compact(), lambda h: h.pop("body.0.bias")), "leave bytes between"),
        (
            stored(compact() | {"body.0.weight": np.full((5, 3, 3, 3), 1e38, np.float32)}),
            "its weights are so large that results are not finite numbers",
        ),
        (twice(stored(compact())), "its header has 'body.0.bias' twice"),
        (stored({"a": np.zeros(1, np.int32)}), "of type 'I32'"),
        (
            stored({f"{n}": np.zeros(0, np.float32) for n in range(1001)}),
            "1,001 arrays, more than the limit of 1,000",
        ),
        (stored({"a": np.zeros((1 << 23) + 1, np.float16)}), "more values than the limit"),
        (stored({"a": np.zeros(1, np.float32)}), "layer 'a' of the network is of no family that is read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damaged_safetensors_are_refused_in_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(content)
    Image.new("RGB", (4, 4)).save(tmp_path / "in.png")
    words_typed = [str(tmp_path / "in.png"), "-m", "learned", "--network", str(tmp_path / "bad.safetensors")]
    result = CliRunner().invoke(cli, [*words_typed, "-o", str(tmp_path / "out.png")])
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_python_refuses_weights_that_are_too_large() -> None:
    arrays = compact() | {"body.0.weight": np.full((5, 3, 3, 3), 1e38, np.float32)}
    with pytest.raises(UpscaleError, match="its weights are so large that results are not finite numbers"):
        upscale(np.ones((4, 4, 3)), 2, "learned", network=arrays)


def test_opaque_pictures_are_made_as_those_without_opacity(tmp_path: Path) -> None:
    """A network of others changes flat areas, too."""
    pixels = np.full((30, 40, 3), (200, 180, 160), np.uint8)
    pixels[:, 20:] = np.random.default_rng(0).integers(0, 256, (30, 20, 3))
    Image.fromarray(pixels).save(tmp_path / "rgb.png")
    Image.fromarray(np.dstack((pixels, np.full((30, 40), 255, np.uint8)))).save(tmp_path / "rgba.png")
    (tmp_path / "their.safetensors").write_bytes(stored(compact()))
    words = [str(tmp_path / "rgb.png"), str(tmp_path / "rgba.png"), "-o", str(tmp_path / "out"), "-m", "learned"]
    done = CliRunner().invoke(cli, [*words, "--network", str(tmp_path / "their.safetensors")])
    assert done.exit_code == 0, done.stderr
    with Image.open(tmp_path / "out" / "rgb.png") as plain, Image.open(tmp_path / "out" / "rgba.png") as opaque:
        made, with_opacity = np.asarray(plain), np.asarray(opaque)
    assert (made[20, 10] != (200, 180, 160)).any()
    np.testing.assert_array_equal(with_opacity[..., :3], made)

"""Networks in ONNX files: models that are built here, beside sums of our own and onnxruntime on the whole picture."""

import io
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pictures import encoded, enlarged
from PIL import Image
from support import Array, Floats
from test_ensemble import by_hand
from test_foreign_networks import Arrays, compact, plainly

from upscale_cli import UpscaleError, upscale
from upscale_cli.commands.upscale import cli
from upscale_cli.testing import assert_near
from upscale_cli.work import onnx_network
from upscale_cli.work.onnx_network import OnnxNetwork, load_network

onnx = pytest.importorskip("onnx", reason="onnx is needed to build networks; pip install '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is needed; pip install '.[onnx]'")
FLOAT = onnx.TensorProto.FLOAT
FLOOR = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
node = onnx.helper.make_node


def model(
    nodes: Sequence[Any],
    arrays: Arrays,
    shape: Sequence[Any] = (None, 3, None, None),
    kind: int = FLOAT,
    made: int | None = None,
) -> Any:
    """Return a model from `x` to `y`, which is `made` if it has another type."""
    ends = [onnx.helper.make_tensor_value_info("x", kind, shape)]
    out = [onnx.helper.make_tensor_value_info("y", made or kind, (None, None, None, None))]
    weights = [onnx.numpy_helper.from_array(values, name) for name, values in arrays.items()]
    graph = onnx.helper.make_graph(list(nodes), "graph", ends, out, weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def network(*given: Any, **named: Any) -> OnnxNetwork:
    return OnnxNetwork(model(*given, **named).SerializeToString())


def as_onnx(arrays: Arrays, scale: int, dtype: str = "f4", sides: tuple[int | None, ...] = (None, None)) -> bytes:
    """Return a network of the Compact family as a model."""
    planes, last = arrays["body.0.weight"].shape[1], max(int(name.split(".")[1]) for name in arrays)
    given = {
        name: (v.reshape(-1, 1, 1) if int(name.split(".")[1]) % 2 else v).astype(dtype) for name, v in arrays.items()
    }
    nodes, at = [], "x"
    for n in range(0, last + 1, 2):
        nodes.append(node("Conv", [at, f"body.{n}.weight", f"body.{n}.bias"], [at := f"conv{n}"], pads=[1] * 4))
        if n < last:
            nodes.append(node("PRelu", [at, f"body.{n + 1}.weight"], [at := f"prelu{n}"]))
    nodes.append(node("DepthToSpace", [at], ["large"], blocksize=scale, mode="CRD"))
    given["scales"] = np.array([1, 1, scale, scale], "f4")
    nodes += [
        node("Resize", ["x", "", "scales"], ["near"], mode="nearest", **FLOOR),
        node("Add", ["large", "near"], ["y"]),
    ]
    kind = onnx.TensorProto.FLOAT16 if dtype == "f2" else FLOAT
    made: bytes = model(nodes, given, (1, planes, *sides), kind).SerializeToString()
    return made


def noise(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random(shape).astype("f4")


def weights(*shape: int, seed: int = 0) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) / np.prod(shape[1:]) ** 0.5).astype("f4")


@pytest.mark.parametrize(("scale", "planes"), [(2, 3), (3, 3), (4, 3), (2, 1)])
@pytest.mark.parametrize("sides", [(None, None), (40, 56), (24, None)], ids=str)
def test_a_network_in_onnx_is_run_by_tiles(scale: int, planes: int, sides: tuple[int | None, ...]) -> None:
    arrays = compact(scale, planes=planes, seed=scale)
    made = OnnxNetwork(as_onnx(arrays, scale, sides=sides))
    assert (made.scale, made.planes, made.margin, made.step, made.whole) == (scale, planes, 4, 1, False)
    for shape in ((213, 70, 3), (5, 3, 3)):
        source = noise(*shape) if planes == 3 else noise(*shape[:2])
        expected = np.moveaxis(plainly(arrays, np.moveaxis(source.reshape(*shape[:2], -1), 2, 0), scale), 0, 2)
        assert_near(
            upscale(source, scale, "learned", network=made), expected.reshape(-1, *expected.shape[1:]).squeeze(), 1e-5
        )


def test_half_floats_and_whole_numbers() -> None:
    arrays = compact()
    source = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    expected = upscale(source, 2, "learned", network=arrays)
    np.testing.assert_array_equal(upscale(source, 2, "learned", network=OnnxNetwork(as_onnx(arrays, 2))), expected)
    half = upscale(source, 2, "learned", network=OnnxNetwork(as_onnx(arrays, 2, "f2")))
    assert np.abs(half.astype(int) - expected).max() <= 1
    deep = source.astype(np.uint16) * 257
    far = np.abs(upscale(deep, 2, "learned", network=OnnxNetwork(as_onnx(arrays, 2))) / 257 - expected)
    assert far.max() <= 0.51


def wide() -> OnnxNetwork:
    """Return a network that reads 6 pixels around each: a kernel of 5 x 5 with holes of 3."""
    nodes = [
        node("Conv", ["x", "w"], ["c"], dilations=[3, 3], pads=[6] * 4),
        node("DepthToSpace", ["c"], ["y"], blocksize=2, mode="CRD"),
    ]
    return network(nodes, {"w": weights(12, 3, 5, 5)})


def grid(times: int = 2, sides: tuple[int | None, ...] = (None, None)) -> OnnxNetwork:
    """Return a network that works on cells, as those for x2 of Real-ESRGAN do: it makes x2 of them, or x4."""
    n = times
    nodes = [
        node("SpaceToDepth", ["x"], ["cells"], blocksize=n),
        node("Conv", ["cells", "w"], ["c"], pads=[1] * 4),
        node("Relu", ["c"], ["r"]),
        node("Conv", ["r", "v"], ["d"], pads=[1] * 4),
        node("DepthToSpace", ["d"], ["y"], blocksize=2 * n),
    ]
    return network(
        nodes, {"w": weights(8, 3 * n * n, 3, 3), "v": weights(12 * n * n, 8, 3, 3, seed=1)}, shape=(1, 3, *sides)
    )


def far(apart: int = 70) -> OnnxNetwork:
    """Return a network that reads pixels farther away than the square on which a network is tried out first."""
    nodes = [
        node("Conv", ["x", "w"], ["c"], dilations=[apart, apart], pads=[apart] * 4),
        node("DepthToSpace", ["c"], ["y"], blocksize=2, mode="CRD"),
    ]
    return network(nodes, {"w": weights(12, 3, 3, 3)})


NETWORKS = [(wide, 6, 1), (grid, 8, 2), (lambda: grid(8), 32, 8), (far, 70, 1)]


@pytest.mark.parametrize(("make", "margin", "step"), NETWORKS)
def test_tiles_leave_no_seams(
    make: Callable[[], OnnxNetwork], margin: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, source = make(), noise(203, 150, 3)
    assert (made.step, made.whole, made.scale) == (step, False, 2)
    assert made.margin in range(margin - step, margin + step + 1)
    whole = upscale(source, 2, "learned", network=made)
    np.testing.assert_array_equal(upscale(source, 2, "learned", network=made, threads=3), whole)
    for tile in (30, 77, 1000):
        monkeypatch.setattr(onnx_network, "TILE", tile)
        assert_near(upscale(source, 2, "learned", network=made), whole, 1e-5)
    # The session alone, on a picture that is mirrored far beyond its border.
    around = 72
    mirrored = np.pad(source, ((around, around + 5), (around, around + 2), (0, 0)), mode="symmetric")
    (direct,) = made._session.run(None, {"x": np.moveaxis(mirrored, 2, 0)[None]})
    inner = direct[0, :, 2 * around :, 2 * around :][:, : 2 * 203, : 2 * 150]
    assert_near(whole, np.moveaxis(inner, 0, 2), 1e-5)


def test_tiles_of_a_fixed_size_lie_on_the_grid() -> None:
    source = noise(61, 150, 3)
    made = upscale(source, 2, "learned", network=grid(4, (72, 60)))
    assert_near(made, upscale(source, 2, "learned", network=grid(4)), 1e-5)
    with pytest.raises(UpscaleError, match="takes only 24 x 24 pixels, too few for tiles"):
        grid(4, (24, 24))


@pytest.mark.parametrize("side", [0, 1, 3, 4097])
def test_sides_that_no_picture_has_are_named(side: int) -> None:
    with pytest.raises(UpscaleError, match=f"takes only {side:,} pixels a side; export it with a dynamic height"):
        attentive((side, side))


def attentive(sides: tuple[int | None, ...] = (None, None)) -> OnnxNetwork:
    """Return a network whose results depend on the mean of the picture."""
    nodes = [
        node("GlobalAveragePool", ["x"], ["mean"]),
        node("Mul", ["x", "mean"], ["m"]),
        node("Conv", ["m", "w"], ["c"], pads=[1] * 4),
        node("DepthToSpace", ["c"], ["y"], blocksize=2),
    ]
    return network(nodes, {"w": weights(12, 3, 3, 3)}, shape=(1, 3, *sides))


def enlarging(nodes: list[Any], given: dict[str, Array]) -> OnnxNetwork:
    """Return the network of layers from "x" to "z", whose pixels are doubled."""
    resize = node("Resize", ["z", "", "scales"], ["y"], mode="nearest")
    return network([*nodes, resize], given | {"scales": np.array([1, 1, 2, 2], "f4")})


def greatest() -> OnnxNetwork:
    """Return a network that weighs all by the greatest value of a layer, which noise hardly moves."""
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        node("GlobalMaxPool", ["c"], ["most"]),
        node("Mul", ["x", "most"], ["z"]),
    ]
    return enlarging(nodes, {"w": weights(3, 3, 3, 3)})


def chosen() -> OnnxNetwork:
    """Return a network that takes roots of bright pictures alone."""

    def branch(op: str) -> Any:
        return onnx.helper.make_graph(
            [node(op, ["x"], [op])], op, [], [onnx.helper.make_tensor_value_info(op, FLOAT, None)]
        )

    nodes = [
        node("ReduceMean", ["x"], ["mean"], keepdims=0, axes=[0, 1, 2, 3]),
        node("Greater", ["mean", "half"], ["bright"]),
        node("If", ["bright"], ["z"], then_branch=branch("Sqrt"), else_branch=branch("Identity")),
    ]
    return enlarging(nodes, {"half": np.array(0.45, "f4")})


@pytest.mark.parametrize("make", [greatest, chosen])
def test_what_may_depend_on_any_pixel_is_given_everything(make: Callable[[], OnnxNetwork]) -> None:
    made = make()
    assert made.whole
    source = np.tile(np.linspace(0, 1, 300, dtype="f4")[:, None], (1, 250, 3))
    (direct,) = made._session.run(None, {"x": np.moveaxis(source, 2, 0)[None]})
    assert_near(upscale(source, 2, "learned", network=made), np.moveaxis(direct[0], 0, 2), 1e-6)


@pytest.mark.parametrize("window", [4, 8, 16])
def test_windows_behind_a_convolution_lie_on_a_grid(window: int) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        node("AveragePool", ["c"], ["cells"], kernel_shape=[window] * 2, strides=[window] * 2),
        node("Resize", ["cells", "", "sides"], ["wide"], mode="nearest", **FLOOR),
        node("Mul", ["c", "wide"], ["m"]),
        node("Conv", ["m", "v"], ["z"], pads=[1] * 4),
    ]
    given = {"w": weights(8, 3, 3, 3), "v": weights(3, 8, 3, 3), "sides": np.array([1, 1, window, window], "f4")}
    made = enlarging(nodes, given)
    assert (made.step, made.whole) == (window, False)
    source = noise(256, 480, 3)
    (direct,) = made._session.run(None, {"x": np.moveaxis(source, 2, 0)[None]})
    near = np.s_[64:-64, 64:-64]
    assert_near(upscale(source, 2, "learned", network=made)[near], np.moveaxis(direct[0], 0, 2)[near], 1e-5)


def test_what_is_read_on_one_side_alone_is_found() -> None:
    far = np.zeros((3, 3, 1, 101), "f4")
    far[range(3), range(3), 0, 100] = 1
    made = enlarging([node("Conv", ["x", "w"], ["z"], pads=[0, 50, 0, 50])], {"w": far})
    assert made.margin == 50


@pytest.mark.long
def test_attention_to_everything_needs_no_memory_beyond_the_picture() -> None:
    """Noise of 256 x 256 would take 17 GB."""
    nodes = [
        node("Reshape", ["x", "flat"], ["r"]),
        node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        node("MatMul", ["t", "r"], ["m"]),
        node("Softmax", ["m"], ["a"], axis=-1),
        node("MatMul", ["a", "t"], ["s"]),
        node("Transpose", ["s"], ["u"], perm=[0, 2, 1]),
        node("Shape", ["x"], ["sides"]),
        node("Reshape", ["u", "sides"], ["z"]),
    ]
    made, source = enlarging(nodes, {"flat": np.array([1, 3, -1])}), noise(40, 48, 3)
    assert made.whole
    (direct,) = made._session.run(None, {"x": np.moveaxis(source, 2, 0)[None]})
    assert_near(upscale(source, 2, "learned", network=made), np.moveaxis(direct[0], 0, 2), 1e-6)


def test_a_network_that_reads_everything_is_given_everything() -> None:
    made, source = attentive(), noise(210, 301, 3)
    assert made.whole
    assert "the complete picture" in made.note
    (direct,) = made._session.run(None, {"x": np.moveaxis(source, 2, 0)[None].copy()})
    assert_near(upscale(source, 2, "learned", network=made), np.moveaxis(direct[0], 0, 2), 1e-5)
    with pytest.raises(UpscaleError, match="takes only 64 x 64 pixels, too few for tiles"):
        attentive((64, 64))


def test_what_is_hidden_changes_no_visible_pixel_of_such_a_network() -> None:
    """It would be part of the mean. What a visible pixel has beside it is continued to the border instead."""
    colours = np.full((30, 90, 4), (200, 30, 90, 255), np.uint8)
    colours[:, 40:, 3] = 0
    made = []
    for hidden in 0, 255:
        colours[:, 40:, :3] = hidden
        source = encoded(Image.fromarray(colours), "PNG")
        content, _ = enlarged(source, "png", 2, "learned", parameters={"network": attentive()})
        with Image.open(io.BytesIO(content)) as image:
            made.append(np.asarray(image)[:, :80])
    np.testing.assert_array_equal(made[0], made[1])


@pytest.mark.parametrize("scale", [1, 8])
@pytest.mark.parametrize("planes", [1, 3])
def test_any_integer_scale(scale: int, planes: int) -> None:
    nodes = [node("Conv", ["x", "w"], ["c"], pads=[1] * 4), node("DepthToSpace", ["c"], ["y"], blocksize=scale)]
    made = network(nodes, {"w": weights(planes * scale**2, planes, 3, 3)}, shape=(1, planes, None, None))
    assert made.scale == scale
    result = upscale(noise(20, 30, 3), scale, "learned", network=made)
    assert result.shape == (20 * scale, 30 * scale, 3)
    assert np.isfinite(result).all()
    if scale == 1:
        with pytest.raises(UpscaleError, match="keeps the size of pictures; use scale 1"):
            upscale(noise(20, 30, 3), 2, "learned", network=made)


def test_values_that_are_not_finite_are_refused() -> None:
    """Of noise it makes numbers, of flat areas 0 / 0."""
    kernel = np.full((3, 3, 3, 3), 1 / 27, "f4")
    nodes = [
        node("Conv", ["x", "k"], ["mean"], pads=[1] * 4),
        node("Sub", ["x", "mean"], ["apart"]),
        node("Mul", ["apart", "apart"], ["square"]),
        node("Div", ["apart", "square"], ["y"]),
    ]
    made = network(nodes, {"k": kernel})
    flat = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(UpscaleError, match="not finite numbers"):
        upscale(flat, 1, "learned", network=made)
    # A picture that has such values gives such values.
    hole = noise(40, 40, 3)
    hole[20, 20] = np.nan
    assert np.isnan(upscale(hole, 1, "learned", network=made)).any()


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_a_faint_grid_is_found(dtype: str) -> None:
    """What every second pixel adds is little, but more than rounding."""
    kind = onnx.TensorProto.FLOAT if dtype == "f4" else onnx.TensorProto.FLOAT16
    nodes = [
        node("SpaceToDepth", ["x"], ["cells"], blocksize=2),
        node("Mul", ["cells", "faint"], ["less"]),
        node("DepthToSpace", ["less"], ["y"], blocksize=2),
    ]
    faint = np.ones((1, 12, 1, 1), dtype)
    faint[0, :3] = 0.99
    assert OnnxNetwork(model(nodes, {"faint": faint}, kind=kind).SerializeToString()).step == 2


def test_the_ensemble_is_the_mean_over_flips_and_turns() -> None:
    made, source = OnnxNetwork(as_onnx(compact(), 2)), noise(31, 22, 3)
    have = upscale(source, 2, "learned", network=made, ensemble=8)
    assert_near(have, by_hand(source, 2, network=made), 1e-5)


def outside() -> bytes:
    """Return a model whose weights are in a file beside it."""
    made = model([node("Conv", ["x", "w"], ["y"])], {"w": weights(3, 3, 1, 1)})
    (tensor,) = made.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "w.bin"
    return bytes(made.SerializeToString())


def endless() -> bytes:
    body = onnx.helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Identity", ["v"], ["u"])],
        "body",
        [onnx.helper.make_tensor_value_info(name, kind, ()) for name, kind in (("i", 7), ("c", 9))]
        + [onnx.helper.make_tensor_value_info("v", FLOAT, None)],
        [onnx.helper.make_tensor_value_info("d", 9, ()), onnx.helper.make_tensor_value_info("u", FLOAT, None)],
    )
    return bytes(model([node("Loop", ["", "", "x"], ["y"], name="round", body=body)], {}).SerializeToString())


def two_results() -> bytes:
    made = model([node("Identity", ["x"], ["y"]), node("Identity", ["x"], ["z"])], {})
    made.graph.output.append(onnx.helper.make_tensor_value_info("z", FLOAT, (None, None, None, None)))
    return bytes(made.SerializeToString())


def vast() -> bytes:
    nodes = [
        node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=1),
        node("Expand", ["m", "sides"], ["e"]),
        node("Add", ["e", "e"], ["y"]),
    ]
    return bytes(model(nodes, {"sides": np.array([1, 3, 1 << 20, 1 << 20])}).SerializeToString())


def simple(*shape: Any, kind: int = FLOAT, op: str = "Identity") -> bytes:
    return bytes(model([node(op, ["x"], ["y"])], {}, shape, kind).SerializeToString())


def scaled(factor: float) -> bytes:
    """Return a network that makes numbers of another range than it takes."""
    return bytes(model([node("Mul", ["x", "by"], ["y"])], {"by": np.array(factor, "f4")}).SerializeToString())


def future() -> bytes:
    made = model([node("Identity", ["x"], ["y"])], {})
    made.ir_version = 99
    return bytes(made.SerializeToString())


BAD: list[tuple[str, Callable[[], bytes], str]] = [
    ("outside", outside, 'keeps the weights "w" in another file, which is never read'),
    ("endless", endless, 'has a layer "round" (Loop), which might never end'),
    ("vast", vast, "the network failed"),
    ("damaged", lambda: as_onnx(compact(), 2)[:-100], "is not a valid .onnx file"),
    ("garbage", lambda: b"\x08" + bytes(range(256)) * 9, "is not a valid .onnx file"),
    ("empty model", lambda: b"\x08\x08", "is not a network that onnxruntime runs"),
    ("unknown layer", lambda: simple(1, 3, None, None, op="Enlarge"), "Enlarge"),
    ("four channels", lambda: simple(1, 4, None, None), "must be (1, 1 or 3, height, width)"),
    ("channels last", lambda: simple(1, None, None, 3), "must be (1, 1 or 3, height, width)"),
    ("huge", lambda: simple(1, 3, 200_000, None), "takes only 200,000 pixels a side; export it with a dynamic"),
    ("of bytes", lambda: scaled(255), "makes values of about 128 of noise of 0 to 1, so all would be white"),
    ("of the future", future, "onnxruntime runs: Unsupported model IR version: 99"),
    ("batches", lambda: simple(2, 3, None, None), "must be (1, 1 or 3, height, width)"),
    ("bytes", lambda: simple(1, 3, None, None, kind=2), "it must be of floats"),
    (
        "makes bytes",
        lambda: bytes(model([node("Cast", ["x"], ["y"], to=2)], {}, made=2).SerializeToString()),
        'makes an output "y" of tensor(uint8); it must be of floats',
    ),
    (
        "smaller",
        lambda: bytes(
            model([node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])], {}).SerializeToString()
        ),
        "sides that are larger by one integer",
    ),
    (
        "classes",
        lambda: bytes(model([node("GlobalAveragePool", ["x"], ["y"])], {}).SerializeToString()),
        "sides that are larger by one integer",
    ),
    (
        "constant",
        lambda: bytes(model([node("Sub", ["x", "x"], ["y"])], {}).SerializeToString()),
        "bad.onnx\" is of no use: the network's results do not depend on its input",
    ),
    (
        "random",
        lambda: bytes(
            model([node("RandomNormalLike", ["x"], ["r"]), node("Add", ["x", "r"], ["y"])], {}).SerializeToString()
        ),
        "makes something else of the same picture each time",
    ),
    ("two results", two_results, "makes 2 outputs; a network that enlarges images makes one"),
    ("text", lambda: b"\x08 is no number of a version", "is not a valid .onnx file"),
    ("other", lambda: b"version https://git-lfs", "is not a .npy, .npz, .safetensors or .onnx file"),
]


@pytest.mark.parametrize(("content", "words"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_what_is_no_network_is_refused_in_one_line(
    content: Callable[[], bytes], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.bin").write_bytes(weights(3, 3, 1, 1).tobytes())
    Path("bad.onnx").write_bytes(content())
    Image.new("RGB", (4, 4)).save("in.png")
    result = CliRunner().invoke(cli, ["in.png", "-m", "learned", "--network", "bad.onnx", "-o", "out.png"])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert words in result.stderr
    assert '"bad.onnx"' in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("out.png").exists()


def test_a_failure_prints_nothing_among_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*given: object) -> None:
        raise RuntimeError("there is no memory for it")

    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fails)
    with pytest.raises(UpscaleError, match="is not a network that onnxruntime runs: there is no memory for it"):
        OnnxNetwork(as_onnx(compact(), 2))
    assert capsys.readouterr().out == ""


def test_commands_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = compact()
    Path("their.onnx").write_bytes(as_onnx(arrays, 2))
    source = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    for name in "ab":
        Image.fromarray(source).save(f"{name}.png")
    line = ["a.png", "b.png", "-m", "learned", "--network", "their.onnx", "-o", "out", "-v"]
    done = CliRunner().invoke(cli, line)
    assert done.exit_code == 0, done.output
    assert "by onnxruntime on CPU, which reads 4 pixels around each" in done.stderr
    (made,) = {Path(f"out/{name}.png").read_bytes() for name in "ab"}
    with Image.open("out/a.png") as image:
        np.testing.assert_array_equal(
            np.asarray(image), upscale(source, 2, "learned", network=load_network("their.onnx"))
        )
    command = [sys.executable, "-m", "upscale_cli", *line[:-2], "processes", "--executor", "processes"]
    subprocess.run(command, check=True, timeout=120)
    assert Path("processes/b.png").read_bytes() == made
    with pytest.raises(UpscaleError, match=r'network file "a.png" is not an .onnx file'):
        load_network("a.png")


def test_it_travels_as_bytes() -> None:
    made, source = OnnxNetwork(as_onnx(compact(), 2)), noise(9, 8, 3)
    again = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(
        upscale(source, 2, "learned", network=again), upscale(source, 2, "learned", network=made)
    )


def test_without_the_extra_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(as_onnx(compact(), 2))
    Image.new("RGB", (4, 4)).save(tmp_path / "in.png")
    code = "import sys\nsys.modules['onnxruntime'] = None\nfrom upscale_cli.commands.upscale import main; main()"
    line = [sys.executable, "-c", code, "in.png", "-m", "learned", "--network", "x.onnx", "-o", "out.png"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("network file \"x.onnx\" needs an extra: pip install 'upscale-cli[onnx]'.\n")
    assert len(done.stderr.splitlines()) == 1

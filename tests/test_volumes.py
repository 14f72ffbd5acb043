"""Lines and volumes: held against sums in float64, and numbers of PyTorch and ONNX Runtime."""

from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support import Array, Floats

from upscale_cli import METHODS, UpscaleError, upscale
from upscale_cli.commands.compare import cli as compare_cli
from upscale_cli.commands.evaluate import cli as evaluate_cli
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli
from upscale_cli.methods.filters import FILTERS
from upscale_cli.methods.method import resolve
from upscale_cli.methods.parameters import read_scale
from upscale_cli.methods.pooling import Windows, average_pool, max_pool
from upscale_cli.methods.samples import Samples

Sides = tuple[int, ...]
SHAPES = [
    ((5, 4, 6), (2, 3, 1)),
    ((3, 1, 7), (1.5, 4, 2.25)),
    ((20, 9, 3), (3, 1, 5 / 3)),
    ((11,), (3,)),
    ((1,), (4,)),
]


def noise(*shape: int, dtype: str = "float64") -> Array:
    values = np.random.default_rng(sum(shape)).random(shape)
    return values.astype(dtype) if dtype[0] == "f" else (values * 256).astype(dtype)


def along(rows: Array, array: Array, axis: int) -> Array:
    return np.moveaxis(np.tensordot(rows, array, (1, axis)), 0, axis)


# Filters.


def weights(n_in: int, n_out: int, weight: Any) -> Array:
    """The weights of one axis by their definition, a row for each output; an axis that stays is left alone."""
    if n_in == n_out:
        return np.eye(n_in)
    u = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    rows = weight(np.arange(n_in) - u[:, None])
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def weighed(source: Array, sides: Sides, name: str, **parameters: Any) -> Array:
    filter = FILTERS[name].of(METHODS[name].read_parameters(parameters))
    for axis, (n_in, n_out) in enumerate(zip(source.shape, sides, strict=False)):
        source = along(weights(n_in, n_out, filter.weight), source, axis)
    return source


@pytest.mark.parametrize(("shape", "scale"), SHAPES, ids=str)
@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
def test_filters_weigh_every_axis(name: str, shape: Sides, scale: tuple[float, ...]) -> None:
    have = upscale(noise(*shape), scale, METHODS[name])
    np.testing.assert_allclose(have, weighed(noise(*shape), have.shape, name), 1e-12, 1e-13)


def test_a_filter_that_blurs_leaves_an_axis_alone_that_keeps_its_length() -> None:
    have = upscale(noise(4, 5, 6), (1, 2, 1), "bicubic", b=1, c=0)
    np.testing.assert_allclose(have, weighed(noise(4, 5, 6), have.shape, "bicubic", b=1, c=0), 1e-12)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bilinear", {"grid": "align-corners"}),
        ("bilinear", {"grid": "asymmetric", "edge": "zero"}),
        ("box", {"grid": "tf-half-pixel-for-nn", "edge": "zero"}),
        ("bicubic", {"a": -0.75, "edge": "repeat"}),
        ("spline", {}),
        ("nearest", {"grid": "asymmetric", "rounding": "ceil"}),
    ],
    ids=str,
)
def test_grids_and_edges_are_those_of_images_on_every_axis(name: str, parameters: dict[str, Any]) -> None:
    want = noise(4, 3, 5)
    have = upscale(want, (2, 3, 2.5), METHODS[name], **parameters)
    for axis, (side, factor) in enumerate(zip(want.shape, (2, 3, 2.5), strict=True)):
        rows = upscale(np.eye(side)[:, None], (factor, 1), METHODS[name], channels_first=False, **parameters)[:, 0]
        want = along(rows, want, axis)
    np.testing.assert_allclose(have, want, 1e-10, 1e-12)


def test_antiring_is_refused_for_volumes() -> None:
    assert upscale(noise(5), 2, "lanczos", antiring=1).max() <= noise(5).max()
    with pytest.raises(UpscaleError, match="lanczos: antiring is for images and lines; omit it for a volume"):
        upscale(noise(5, 5, 5), (2, 2, 2), "lanczos", antiring=1)


@pytest.mark.parametrize("scale", [(2, 2, 2), (2, 1, 1), (1, 1, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_integers_are_rounded_and_clamped_once(dtype: str, scale: Sides) -> None:
    limits = np.iinfo(dtype)
    source = np.random.default_rng(0).choice([limits.min, 0, 7, limits.max], (5, 6, 7, 2)).astype(dtype)
    have = upscale(source, scale, "lanczos")
    exact = np.clip(weighed(source.astype(float), have.shape[:3], "lanczos"), limits.min, limits.max)
    # A value that is no tie is rounded to the nearest.
    clear = np.abs(exact % 1 - 0.5) > limits.max * 1e-6
    assert have.dtype == source.dtype
    np.testing.assert_array_equal(have[clear], np.floor(exact + 0.5)[clear])


def test_what_is_not_finite_stays_among_the_outputs_that_weigh_it() -> None:
    source = noise(7, 3, 3, dtype="float32")
    source[0, 0, 0], source[6, 2, 2] = np.nan, np.inf
    have = upscale(source, (2, 1, 1), "bilinear")
    assert [*np.argwhere(np.isnan(have)).tolist()] == [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    assert [*np.argwhere(np.isinf(have)).tolist()] == [[11, 2, 2], [12, 2, 2], [13, 2, 2]]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("lanczos", {}),
        ("nearest", {}),
        ("bed-of-nails", {}),
        ("transposed-conv", {"kernel": noise(2, 3, 3, 3, 3), "padding": "same-upper", "bias": noise(3)}),
        ("max-unpooling", {"indices": np.random.default_rng(0).permutation(30 * 40 * 50)[: 15 * 20 * 25 * 2]}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_any_rows_are_the_same_as_all(name: str, parameters: dict[str, Any]) -> None:
    source = noise(15, 20, 25, 2, dtype="float32")
    if name == "max-unpooling":
        parameters = {"indices": parameters["indices"].reshape(source.shape)}
    method, scale = METHODS[name], read_scale((2, 2, 2))
    read = method.read_parameters(parameters)
    exact, shape = resolve(method, source.shape, scale=scale, parameters=read)
    samples = Samples(source.dtype, 2, source.dtype, constants=method.keeps_constants)
    upsampler = method.make(source, scale=exact, size=shape[:-1], samples=samples, parameters=read)
    whole = upsampler.rows(0, upsampler.shape[0])
    assert (upsampler.shape[:2], shape[:3]) == ((30 * 40, 50), (30, 40, 50))
    for start, stop in ((0, 1), (39, 41), (100, 777), (1199, 1200), (320, 640)):
        np.testing.assert_array_equal(upsampler.rows(start, stop), whole[start:stop])
    threads = [upscale(source, (2, 2, 2), method, threads=number, **parameters) for number in (1, 3)]
    np.testing.assert_array_equal(threads[0].reshape(whole.shape), threads[1].reshape(whole.shape))
    np.testing.assert_array_equal(threads[0].reshape(whole.shape), whole)


# Samples that are moved.


@pytest.mark.parametrize(("shape", "scale"), SHAPES, ids=str)
def test_nearest_takes_the_sample_under_each_centre(shape: Sides, scale: tuple[float, ...]) -> None:
    want, have = noise(*shape), upscale(noise(*shape), scale, "nearest")
    for axis, n_out in enumerate(have.shape):
        want = np.take(want, (2 * np.arange(n_out) + 1) * shape[axis] // (2 * n_out), axis)
    np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("position", ["top-left", "center"])
@pytest.mark.parametrize(("shape", "scale"), [((3, 4, 5), (3, 2, 4)), ((6,), (5,))], ids=str)
def test_a_bed_of_nails(shape: Sides, scale: Sides, position: str) -> None:
    have = upscale(noise(*shape), scale, "bed-of-nails", position=position)
    first = [(s - 1) // 2 if position == "center" else 0 for s in scale]
    cells = tuple(slice(f, None, s) for f, s in zip(first, scale, strict=True))
    np.testing.assert_array_equal(have[cells], noise(*shape))
    assert np.count_nonzero(have) == prod(shape)


# Pooling.


class Axis(NamedTuple):
    """One axis of a pooling."""

    side: int
    window: int
    stride: int
    padding: tuple[int, int]
    dilation: int

    def lines(self, up: bool) -> list[list[int]]:
        """Where the elements of each window lie, by PyTorch's formula for the number of windows."""
        before, room = self.padding[0], self.side + sum(self.padding) - self.dilation * (self.window - 1) - 1
        count = (ceil(room / self.stride) if up else room // self.stride) + 1
        if up and (count - 1) * self.stride >= self.side + before:
            count -= 1
        return [[o * self.stride - before + t * self.dilation for t in range(self.window)] for o in range(count)]


def axis_of(rng: np.random.Generator) -> Axis:
    window, stride, dilation = rng.integers(1, 4, 3).tolist()
    before, after = rng.integers(0, window, 2).tolist()
    reach = dilation * (window - 1) + 1
    return Axis(int(rng.integers(reach, reach + 3)), window, stride, (before, after), dilation)


@pytest.mark.parametrize("seed", range(30))
def test_pooling_by_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes, up = [axis_of(rng) for _ in range(seed % 3 + 1)], bool(rng.integers(2))
    sides, window, stride, padding, dilation = zip(*axes, strict=True)
    windows = Windows(window, stride, padding, dilation, up)
    source = rng.permutation(prod(sides)).reshape(*sides, 1) - 5
    lines = [axis.lines(up) for axis in axes]
    windowed = {
        out: list(product(*(line[o] for line, o in zip(lines, out, strict=True))))
        for out in np.ndindex(*map(len, lines))
    }
    inside = {
        out: [place for place in places if all(0 <= i < n for i, n in zip(place, sides, strict=True))]
        for out, places in windowed.items()
    }
    if not all(inside.values()):
        with pytest.raises(UpscaleError, match="wholly outside"):
            max_pool(source, windows)
        with pytest.raises(UpscaleError, match="wholly outside"):
            average_pool(source.astype(float), windows)
        return
    have, averages = max_pool(source, windows), average_pool(source.astype(float), windows)
    counted = average_pool(source.astype(float), windows, count_padding=True)
    for out, places in windowed.items():
        values = [int(source[(*place, 0)]) for place in inside[out]]
        best = inside[out][int(np.argmax(values))]
        padded = sum(all(i < a.side + a.padding[1] for i, a in zip(place, axes, strict=True)) for place in places)
        assert have.values[out].tolist() == [max(values)]
        assert have.indices[out].tolist() == [np.ravel_multi_index(best, sides)]
        assert (averages[out], counted[out]) == pytest.approx((np.mean(values), sum(values) / padded))


def test_pooling_as_pytorch_does() -> None:
    """`max_pool3d` and `avg_pool3d` of PyTorch 2.14.1 with window (2, 2, 3), stride (1, 2, 2), padding (1, 0, 1)."""
    volume = np.array(
        [18, 23, 11, 3, 9, 6, 7, 17, 1, 19, 12, 22, 16, 2, 4, 20, 15, 10, 13, 0, 5, 21, 14, 8], float
    ).reshape(2, 3, 4, 1)
    windows = Windows((2, 2, 3), (1, 2, 2), ((1, 1), (0, 0), (1, 1)), ceil=True)
    have = max_pool(volume, windows)
    assert have.values.ravel().tolist() == [23, 23, 17, 19, 22, 22, 23, 23, 20, 21, 22, 22, 16, 20, 20, 21, 21, 8]
    assert have.indices.ravel().tolist() == [1, 1, 7, 9, 11, 11, 1, 1, 15, 21, 11, 11, 12, 15, 15, 21, 21, 23]
    averages = average_pool(volume, windows).ravel()
    assert averages[:9].tolist() == pytest.approx([14, 67 / 6, 10, 10, 53 / 3, 22, 12.375, 29 / 3, 10])
    counted = average_pool(volume, windows, count_padding=True).ravel()
    assert counted[:6].tolist() == pytest.approx([14 / 3, 5.5833333, 2.5, 3.3333333, 8.8333333, 5.5])


def test_padding_in_words_makes_as_many_outputs_as_strides_fit() -> None:
    """`MaxPool` of ONNX Runtime 1.32.0 with `auto_pad`."""
    line = np.array([3, 1, 4, 1, 5, 9, 2.0])[:, None]
    made = {
        words: max_pool(line, Windows((4,), (3,), words)).values.ravel().tolist()
        for words in ("same-upper", "same-lower")
    }
    assert made == {"same-upper": [4, 9, 9], "same-lower": [3, 5, 9]}


@pytest.mark.parametrize("shape", [(1, 2, 4, 6, 4), (4, 6, 4), (8,), (2, 9)], ids=str)
def test_maxima_go_back_where_they_were(shape: Sides) -> None:
    axes, batch = {5: (3, 2), 3: (3, 0), 1: (1, 0), 2: (1, 1)}[len(shape)]
    source = np.random.default_rng(0).permutation(prod(shape)).reshape(shape) + 1.0
    planes = source.reshape(-1, *shape[batch:])
    pooled = [max_pool(plane[..., None]) for plane in planes]
    small = *shape[:batch], *pooled[0].values.shape[:-1]
    values = np.stack([each.values for each in pooled]).reshape(small)
    indices = np.stack([each.indices for each in pooled]).reshape(small)
    first = True if batch else None
    back = upscale(values, size=shape[-axes:], method="max-unpooling", indices=indices, channels_first=first)
    assert back.shape == shape
    assert np.count_nonzero(back) == values.size
    np.testing.assert_array_equal(back[back > 0], source[back > 0])


# Transposed convolution.


def stamped(source: Array, kernel: Array, stride: Sides, dilation: Sides, groups: int) -> Floats:
    """Nothing cropped: each input stamps the kernel onto the output. Source (C_in, …), kernel (C_in, C_out, …)."""
    inputs, outputs = len(source) // groups, kernel.shape[1]
    sides, reach = source.shape[1:], kernel.shape[2:]
    each = zip(sides, stride, reach, dilation, strict=True)
    full = np.zeros((groups * outputs, *((n - 1) * s + (k - 1) * d + 1 for n, s, k, d in each)))
    for channel, out, tap in product(range(len(source)), range(outputs), np.ndindex(*reach)):
        each = zip(sides, stride, tap, dilation, strict=True)
        place = tuple(slice(t * d, t * d + (n - 1) * s + 1, s) for n, s, t, d in each)
        full[(channel // inputs * outputs + out, *place)] += source[channel] * kernel[(channel, out, *tap)]
    return full


@pytest.mark.parametrize("seed", range(30))
def test_a_transposed_convolution_by_its_definition(seed: int) -> None:
    rng, axes = np.random.default_rng(seed), seed % 3 + 1
    stride, dilation, sides, reach = (tuple(rng.integers(1, 4, axes).tolist()) for _ in range(4))
    groups, outputs = rng.integers(1, 3, 2).tolist()
    kernel, bias = noise(2 * groups, outputs, *reach), noise(groups * outputs)
    source = noise(2 * groups, *sides)
    extra = tuple(int(rng.integers(max(s, d))) for s, d in zip(stride, dilation, strict=True))
    full = stamped(source, kernel, stride, dilation, groups)
    full = np.pad(full, [(0, 0), *((0, e) for e in extra)])
    ends = tuple(tuple(rng.integers(0, (n + 1) // 2, 2).tolist()) for n in full.shape[1:])
    inside = tuple(slice(a, n - b) for (a, b), n in zip(ends, full.shape[1:], strict=True))
    have = upscale(
        source,
        stride,
        "transposed-conv",
        channels_first=True,
        kernel=kernel,
        groups=groups,
        bias=bias,
        dilation=dilation,
        padding=ends,
        output_padding=extra,
    )
    want = full[(slice(None), *inside)] + bias.reshape(-1, *[1] * axes)
    np.testing.assert_allclose(have, want, 1e-12, 1e-12)


def test_transposed_convolutions_as_pytorch_makes_them() -> None:
    """`conv_transpose3d` and `conv_transpose1d` of PyTorch 2.14.1."""
    cube = np.arange(1.0, 9).reshape(1, 2, 2, 2)
    told: dict[str, Any] = {"kernel": cube[None], "bias": [0.5], "padding": (1, 0, 0), "output_padding": (0, 1, 0)}
    have = upscale(cube, (1, 2, 1), "transposed-conv", channels_first=True, **told)
    want = [[10.5, 32.5, 24.5], [22.5, 60.5, 40.5], [22.5, 60.5, 40.5], [42.5, 104.5, 64.5], [0.5, 0.5, 0.5]]
    assert have.tolist() == [[want]]
    kernel, bias = np.arange(1.0, 13).reshape(2, 2, 3), [10.0, 20.0]
    told = {"kernel": kernel, "bias": bias, "padding": 1, "output_padding": 1}
    have = upscale(np.arange(1.0, 7).reshape(2, 3), (2,), "transposed-conv", channels_first=True, **told)
    assert have.tolist() == [[44, 86, 54, 106, 64, 73], [69, 132, 85, 164, 101, 110]]


@pytest.mark.parametrize(
    ("parameters", "want"),
    [
        ({"padding": "same-upper"}, [1, 2, 4, 2, 4, 2]),
        ({"padding": "same-lower"}, [2, 4, 2, 4, 2, 3]),
        ({"padding": "same-lower", "output_shape": 5}, [2, 4, 2, 4, 2]),
        ({"padding": "same-upper", "output_shape": (7,)}, [1, 2, 4, 2, 4, 2, 3]),
        ({"padding": "same-upper", "output_shape": 8}, [1, 2, 4, 2, 4, 2, 3, 0]),
        ({"padding": "same-upper", "kernel": [1.0]}, [1, 0, 1, 0, 1]),
        ({"padding": 0}, [1, 2, 4, 2, 4, 2, 3]),
    ],
    ids=str,
)
def test_padding_in_words_as_onnx_runtime_shares_it(parameters: dict[str, Any], want: list[float]) -> None:
    """`ConvTranspose` of ONNX Runtime 1.32.0 of three ones with a stride of 2; VALID is a padding of 0."""
    have = upscale(np.ones(3), (2,), "transposed-conv", **{"kernel": [1.0, 2.0, 3.0]} | parameters)
    assert have.tolist() == want


def test_bias_comes_before_rounding_and_in_every_kind_of_kernel() -> None:
    source, bias = noise(4, 5, 7, dtype="uint8"), np.array([-7.75, 0, 1, 2, 3, 4, 300])
    for kernel in (np.ones((2, 2)), np.array([[1.0, 0.5], [0.25, 1]])):  # separable, and not
        plain = upscale(source.astype(float), 2, "transposed-conv", kernel=kernel)
        have = upscale(source, 2, "transposed-conv", kernel=kernel, bias=bias)
        np.testing.assert_array_equal(have, np.floor(np.clip(plain + bias, 0, 255) + 0.5))


# Words, files and refusals.


@pytest.mark.parametrize(
    ("shape", "scale", "parameters", "words"),
    [
        ((4, 4), (2, 2, 2), {}, "no volume has the shape (4, 4)"),
        ((4,), (2, 2), {}, "(N, H, W, C) are images; for lines give one factor."),
        ((4, 4, 4, 4, 4), (2, 2), {}, "(N, H, W, C) are images; for volumes give one factor, or 3."),
        ((1, 4, 9, 9, 9), 2, {}, "may be (N, C, D, H, W) or (N, D, H, W, C); say which"),
        ((9, 9), (2,), {}, "may be (C, W) or (W, C); say which"),
        ((4, 4, 4), (2, 2, 2), {"method": "learned"}, "learned enlarges only images, with two axes"),
        ((4, 4, 4), (2, 2, 2), {"method": "transposed-conv"}, "transposed-conv has kernels only for images"),
        ((4, 4, 4), (2.5, 2, 2), {"method": "bed-of-nails"}, "needs an integer factor, not (2.5, 2, 2)"),
        ((4, 4, 4), None, {"size": (8, 8, 3)}, "(8, 8, 3) is smaller than the image ((4, 4, 4))"),
        ((4,), 2, {"method": "max-unpooling", "indices": [0, 1, 2, 8]}, "index 8 is outside the output (8 wide)"),
    ],
    ids=str,
)
def test_what_is_no_volume_is_refused(shape: Sides, scale: Any, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(UpscaleError) as raised:
        upscale(np.ones(shape), scale, **parameters)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"dilation": (1, 2)},
            "transposed-conv: dilation has 2 numbers, but there are 3 axes; give one number, or 3",
        ),
        ({"output_shape": 8}, "output_shape applies only to padding=same-upper or same-lower"),
        ({"padding": "same-upper", "output_shape": 10}, "output_shape 10 is more than the kernel reaches"),
        ({"padding": "same-upper", "edge": "zero"}, "edge applies only to padding=same"),
        ({"bias": [1.0, 2.0]}, "bias is float64 of shape (2,); it must be one number for each of 1 channels"),
        ({"kernel": np.ones((2, 2))}, "it must be (kd, kh, kw), (channels, kd, kh, kw) or (channels in,"),
        ({"padding": ((1, 2, 3),)}, "is not same or same-upper or same-lower or an integer of at least 0"),
    ],
    ids=str,
)
def test_parameters_of_a_transposed_convolution_that_make_no_sense(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(UpscaleError) as raised:
        upscale(np.ones((4, 4, 4)), (2, 2, 2), "transposed-conv", **{"kernel": np.ones((2, 2, 2))} | parameters)
    assert words in str(raised.value)


def call(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(each) for each in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return str(result.output)


@pytest.mark.parametrize(
    ("index", "options", "scale", "first"),
    [
        ((), ["-s2", "--channels-first"], (2, 2, 2), True),
        ((), ["-s3x2x1", "--channels-last"], (1, 2, 3), False),
        ((0, 0), ["-s2", "--axes=3"], (2, 2, 2), None),
        ((0, 0), ["-s2x1x1"], (1, 1, 2), None),
        ((0, 0, 0), ["-s2.5", "--axes=1", "--channels-first"], (2.5,), True),
    ],
    ids=str,
)
def test_volumes_and_lines_in_files(
    tmp_path: Path, index: Sides, options: list[str], scale: tuple[float, ...], first: bool | None
) -> None:
    source, made = noise(2, 3, 4, 5, 6, dtype="float32")[index], tmp_path / "made.npy"
    np.save(tmp_path / "a.npy", source)
    call(cli, tmp_path / "a.npy", *options, "-m", "lanczos", "-o", made)
    np.testing.assert_array_equal(np.load(made), upscale(source, scale, "lanczos", channels_first=first))


@pytest.mark.parametrize(
    ("options", "target", "idle"),
    [
        (["--axes=2"], "made.png", ["--axes does nothing for PNG"]),
        (["-s", "2x2"], "made.png", []),
        (["--channels-first"], "made.png", ["--channels-first does nothing for PNG."]),
        (["--channels-first"], "made.bmp", ["--channels-first does nothing for PNG and BMP"]),
        (["--axes=2", "--channels-first"], "made.npy", ["--axes does nothing for PNG"]),
        (["--channels-last"], "made.png", []),
    ],
    ids=str,
)
def test_a_picture_has_no_axes_to_speak_of(options: list[str], target: str, idle: list[str], tmp_path: Path) -> None:
    Image.fromarray(noise(4, 5, 3, dtype="uint8")).save(tmp_path / "a.png")
    said = call(cli, tmp_path / "a.png", *options, "-o", tmp_path / target)
    assert [words for words in idle if words not in said] == []
    assert said.count("does nothing") == len(idle)
    if target == "made.npy":
        assert np.load(tmp_path / target).shape == (3, 8, 10)
    pooled = ["--stride", "2x2"] if "-s" in options else options
    assert ("does nothing" in call(pool_cli, tmp_path / "a.png", *pooled)) == bool(idle)


def test_what_overlapping_windows_made_longer_is_unpooled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", source := noise(6, 5))
    call(pool_cli, tmp_path / "a.npy", "-s3x1", "--window=1x2", "--padding=0x1")
    call(cli, tmp_path / "a_pooled.npy", "-m", "max-unpooling", "-o", tmp_path / "back.npy")
    pooled, back = np.load(tmp_path / "a_pooled.npy"), np.load(tmp_path / "back.npy")
    assert (pooled.shape, back.shape) == ((7, 2), (6, 5))
    assert (np.isin(back, [0, *pooled.flat]) & ((back == 0) | (back == source))).all()
    indices = np.load(tmp_path / "a_pooled.indices.npz")["indices"]
    assert (upscale(pooled, size=(6, 5), method="max-unpooling", indices=indices) == back).all()


def test_a_volume_is_pooled_and_unpooled_in_files(tmp_path: Path) -> None:
    source = np.random.default_rng(0).permutation(2 * 4 * 6 * 8).reshape(1, 2, 4, 6, 8).astype("int16") + 1
    np.save(tmp_path / "a.npy", source)
    call(pool_cli, tmp_path / "a.npy", "-s2", "--channels-first")
    call(cli, tmp_path / "a_pooled.npy", "-m", "max-unpooling", "--channels-first", "-o", tmp_path / "back.npy")
    back = np.load(tmp_path / "back.npy")
    cells = source.reshape(1, 2, 2, 2, 3, 2, 4, 2)
    largest = cells == cells.max(axis=(3, 5, 7), keepdims=True)
    np.testing.assert_array_equal(back, (cells * largest).reshape(source.shape))
    call(pool_cli, tmp_path / "a.npy", "-s2", "--channels-first", "--average", "-o", tmp_path / "average.npy")
    np.testing.assert_array_equal(
        np.load(tmp_path / "average.npy"), np.floor(cells.mean(axis=(3, 5, 7)) + 0.5).astype("int16")
    )
    padded = [tmp_path / "a.npy", "-s4x3x4", "--padding=1:0x0x0", "--channels-first", "--average", "--count-padding"]
    call(pool_cli, *padded, "-o", tmp_path / "padded.npy")
    left = source[..., :3].reshape(1, 2, 4, 2, 3, 3).sum(axis=(2, 4, 5)) / 48
    np.testing.assert_array_equal(np.load(tmp_path / "padded.npy")[:, :, 0, :, 0], np.floor(left + 0.5))
    assert sorted(each.name for each in tmp_path.glob("*.npz")) == ["a_pooled.indices.npz"]


def test_averages_weigh_colours_by_their_opacity(tmp_path: Path) -> None:
    pixels = np.array([[[200, 0, 0, 255], [0, 100, 0, 0]], [[0, 0, 90, 255], [0, 0, 0, 0]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    call(pool_cli, tmp_path / "a.png", "-s2", "--average", "-o", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as made:
        assert np.asarray(made).tolist() == [[[100, 0, 45, 128]]]
    call(pool_cli, tmp_path / "a.png", "--window=3", "--padding=1:0", "--average", "-o", tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as made:
        assert np.asarray(made).tolist() == [[[100, 0, 45, 128]]]


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        (cli, ["-s2x2"], "no image has the shape (2, 3, 4, 5, 6)"),
        (
            cli,
            ["-s2", "--channels-last", "--format=png"],
            "is a volume, but --format png is for images",
        ),
        (cli, ["--size=99", "--channels-last"], "is a volume, but --size is for images"),
        (cli, ["-s2", "--channels-last", "-mlearned"], "learned enlarges only images, with two axes"),
        (pool_cli, ["-s2x2", "--axes=3"], "window has 2 numbers, but there are 3 axes"),
        (pool_cli, ["--channels-last", "--format=png"], "has 3 spatial axes, which PNG cannot store"),
        (pool_cli, ["--count-padding"], "--count-padding is for averages"),
    ],
    ids=str,
)
def test_what_volumes_in_files_cannot_be(tmp_path: Path, command: Any, options: list[str], words: str) -> None:
    np.save(tmp_path / "a.npy", noise(2, 3, 4, 5, 6))
    assert words in call(command, tmp_path / "a.npy", *options)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (cli, "scale 2x2x2 has 3 factors, but there are 2 axes"),
        (evaluate_cli, 'scale "2x2x2" is not a number of at least 1, or two'),
        (compare_cli, 'scale "2x2x2" is not a number of at least 1, or two'),
    ],
    ids=["upscale", "upscale-evaluate", "upscale-compare"],
)
def test_a_scale_of_three_factors_is_no_scale_of_a_picture(tmp_path: Path, command: Any, words: str) -> None:
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    assert words in call(command, tmp_path / "a.png", "-s2x2x2")


@pytest.mark.parametrize("name", METHODS)
def test_a_volume_enlarged_in_two_dimensions_is_a_series_of_images(name: str) -> None:
    method, volume = METHODS[name], noise(3, 4, 5, dtype="float32")
    if any(p.file for p in method.parameters):
        return
    if not method.volumes:
        with pytest.raises(UpscaleError, match=f"{name} enlarges only images"):
            upscale(volume, (1, 2, 2), method)
        return
    images = [upscale(image, 2, method) for image in volume]
    np.testing.assert_array_equal(upscale(volume, (1, 2, 2), method), np.stack(images))
    line = upscale(volume[0, 0], 3, method)
    np.testing.assert_array_equal(upscale(volume[:1, :1], (1, 1, 3), method)[0, 0], line)

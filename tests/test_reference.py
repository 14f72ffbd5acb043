"""The methods against numbers that they did not make: Pillow, published values, exact fractions, direct sums."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import (
    FILTERS,
    Array,
    Pair,
    axis_weights,
    b_spline,
    grid,
    keys,
    lanczos,
    mitchell,
    pooled,
    resampled,
    stamped,
    triangle,
)

from upscale_cli import METHODS, UpscaleError, upscale
from upscale_cli.methods import filters, resampling
from upscale_cli.methods import weights as kernels
from upscale_cli.methods.kernel import check_kernel, separated
from upscale_cli.methods.pooling import Windows, max_pool
from upscale_cli.methods.resampling import DirectResampler, Resampler
from upscale_cli.methods.samples import SRGB, Samples
from upscale_cli.methods.taps import filter_axes
from upscale_cli.methods.transposed import Stamping, Transposed, stamps
from upscale_cli.testing import assert_near, assert_rounded

SHAPES = ((1, 1), (1, 9), (7, 1), (5, 3), (13, 31), (37, 19))
SCALES = ("1", "1.5", "2", "3", "4", "7.3")
PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def noise(shape: tuple[int, ...], dtype: Any = "float64", seed: int = 0) -> Array:
    """Hard noise: half of the values are the ends of the range 0 … 1, or of the integer type."""
    random = np.random.default_rng(seed)
    values = np.where(random.random(shape) < 0.5, random.integers(0, 2, shape), random.random(shape))
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return values.astype(kind)
    info = np.iinfo(kind)
    return np.rint(values * (float(info.max) - float(info.min)) + float(info.min)).astype(kind)


# Filters: published values.


def weights(made: kernels.Filter, *distances: float) -> list[float]:
    """The weights at some distances, on both sides alike."""
    x = np.array(distances)
    np.testing.assert_array_equal(made.weight(x), made.weight(-x))
    return [float(w) for w in made.weight(x)]


def test_catmull_rom_at_half_distances() -> None:
    assert weights(filters.FILTERS["bicubic"].default(), 0, 0.5, 1, 1.5, 2, 2.5) == [1, 0.5625, 0, -0.0625, 0, 0]


def test_mitchell_on_the_grid() -> None:
    assert weights(kernels.cubic(1 / 3, 1 / 3), 0, 1, 2) == pytest.approx([8 / 9, 1 / 18, 0], abs=1e-15)


def test_b_spline_on_the_grid_and_between() -> None:
    expected = [4 / 6, 23 / 48, 1 / 6, 1 / 48, 0]
    assert weights(kernels.cubic(1, 0), 0, 0.5, 1, 1.5, 2) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("a", range(2, 9))
def test_lanczos_is_a_windowed_sinc(a: int) -> None:
    for x in (0.25, 0.5, 1.4, a - 0.3):
        expected = math.sin(math.pi * x) * math.sin(math.pi * x / a) * a / (math.pi * x) ** 2
        assert weights(kernels.sinc("lanczos", a), x) == pytest.approx([expected], abs=1e-15)
    assert weights(kernels.sinc("lanczos", a), *range(a + 2)) == [1] + [0] * (a + 1)


def test_filters_agree_with_their_twins() -> None:
    third = Fraction(1, 3)
    pairs = [
        (kernels.triangle(), triangle),
        (filters.FILTERS["bicubic"].default(), keys(Fraction(-1, 2))),
        (kernels.cubic(0, 0.75), keys(Fraction(-3, 4))),
        (kernels.cubic(1, 0), b_spline),
        (kernels.cubic(1 / 3, 1 / 3), mitchell(third, third)),
        (filters.FILTERS["lanczos"].default(), lanczos(3)),
    ]
    for made, twin in pairs:
        distances = [Fraction(k, 7) for k in range(29)]
        assert weights(made, *map(float, distances)) == pytest.approx([twin(x) for x in distances], abs=1e-14)
        assert made.radius == next(r for r in range(4) if all(twin(x) == 0 for x in distances if x >= r))


# Separable resampling.


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", PILLOW)
def test_pillow_mode_f(method: str, scale: str) -> None:
    for shape in SHAPES:
        source = noise(shape, "float32") * 1000 - 300
        have = upscale(source, scale, METHODS[method])
        height, width = (math.floor(n * Fraction(scale) + Fraction(1, 2)) for n in shape)
        expected = Image.fromarray(source).resize((width, height), PILLOW[method])
        assert_near(have, np.asarray(expected))


@pytest.mark.parametrize("tie", [("uint8", 1e-3), ("uint16", 0.03), ("int16", 0.03), ("int32", 1e-3)])
@pytest.mark.parametrize("method", FILTERS)
def test_integers_are_the_exact_sum_rounded_once(method: str, tie: tuple[str, float]) -> None:
    dtype, near = tie
    for shape, size in (((5, 9), (10, 27)), ((11, 7), (80, 51)), ((23, 17), (37, 29))):
        source = noise((*shape, 3), dtype)
        assert_rounded(
            upscale(source, size=size, method=METHODS[method]), resampled(source, size, *FILTERS[method]), near
        )


def test_a_half_is_rounded_up() -> None:
    """Bilinear at 2 takes 3/4 and 1/4: of 0 and 2 that is 0.5 and 1.5, of −2 and 0 it is −1.5 and −0.5."""
    for dtype, source, expected in (
        ("uint8", [0, 2], [0, 1, 2, 2]),
        ("uint16", [65533, 65535], [65533, 65534, 65535, 65535]),
        ("int16", [-2, 0], [-2, -1, 0, 0]),
    ):
        array = np.array([source], dtype)
        assert upscale(array, (1, 2), "bilinear").tolist() == [expected]


@pytest.mark.parametrize("scale", ["3/2", "5/2", "7/2", "4/3", "4"])
def test_bilinear_of_8_bits_is_exact_to_the_last_tie(scale: str) -> None:
    """Integers over one divisor, `d` for each axis, say what a tie is: it is rounded up whatever BLAS adds first."""
    factor, n = Fraction(scale), 96
    source = np.random.default_rng(3).integers(0, 256, (n, n)).astype(np.uint8)
    have, d = upscale(source, factor, "bilinear"), 2 * factor.numerator
    weights = np.zeros((len(have), n), np.int64)
    for j in range(len(have)):
        place = (2 * j + 1) * factor.denominator - factor.numerator  # (j + 1/2)/factor - 1/2, times d
        first, rest = divmod(place, d)
        for i, weight in ((first, d - rest), (first + 1, rest)):
            weights[j, min(max(i, 0), n - 1)] += weight
    sums = 2 * (weights @ source.astype(np.int64) @ weights.T)
    assert np.count_nonzero(sums % (2 * d * d) == d * d) > 10
    np.testing.assert_array_equal(have, (sums + d * d) // (2 * d * d))


def test_overshoot_is_clamped_once_at_the_end() -> None:
    """8-bit tools that clamp between the passes lose what the second pass takes back, tens of 255 here."""
    source = noise((16, 16), "uint8")
    exact = resampled(source, (48, 48), *FILTERS["lanczos"])
    weights = axis_weights(16, 48, *FILTERS["lanczos"])
    clamped = weights @ np.clip(source @ weights.T, 0, 255)
    assert np.abs(np.clip(clamped, 0, 255) - np.clip(exact, 0, 255)).max() > 20
    have = upscale(source, 3, "lanczos")
    assert_rounded(have, exact)
    assert (have.min(), have.max()) == (0, 255)
    np.testing.assert_allclose(upscale(source.astype("f4"), 3, "lanczos"), exact, atol=1e-3)


@pytest.mark.parametrize(("b", "c"), [("1/3", "1/3"), (1, 0), (0, 0), (0, 1), (0.2, 0.7)])
def test_mitchell_netravali_parameters(b: Any, c: Any) -> None:
    source = noise((9, 12))
    expected = resampled(source, (21, 24), mitchell(Fraction(str(b)), Fraction(str(c))), 2)
    assert_near(upscale(source, size=(21, 24), method="bicubic", b=b, c=c), expected, 1e-12)


@pytest.mark.parametrize("a", range(2, 9))
def test_lanczos_lobes(a: int) -> None:
    source = noise((5, 20))
    assert_near(upscale(source, 2, "lanczos", a=a), resampled(source, (10, 40), lanczos(a), a), 1e-12)


@pytest.mark.parametrize("method", FILTERS)
def test_scale_pairs(method: str) -> None:
    """A pair is (vertical, horizontal) in Python, and width x height in text."""
    source = noise((6, 5, 2))
    expected = resampled(source, (18, 8), *FILTERS[method])
    scales: tuple[Any, ...] = ((3, 1.5), "1.5x3", [3, "1.5"], (Fraction(3), Fraction(3, 2)))
    for scale in scales:
        assert_near(upscale(source, scale, METHODS[method]), expected, 1e-12)


sides = st.integers(1, 40)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(FILTERS)), sides, sides, st.data())
def test_any_size(method: str, height: int, width: int, data: st.DataObject) -> None:
    """Short periods, long periods, and none at all; both ways of adding up."""
    size = data.draw(st.integers(height, 9 * height + 60)), data.draw(st.integers(width, 9 * width + 60))
    channels = data.draw(st.integers(1, 6))
    source = noise((height, width, channels))
    expected = resampled(source, size, *FILTERS[method])
    assert_near(upscale(source, size=size, method=METHODS[method]), expected, 1e-12)
    assert_near(upscale(source.astype("f4"), size=size, method=METHODS[method]), expected)


def test_wide_images_in_many_blocks() -> None:
    source = noise((3, 700, 3))
    for width in (2100, 1431):
        for method, (weight, radius) in FILTERS.items():
            have = upscale(source, size=(3, width), method=METHODS[method])
            assert_near(have, resampled(source, (3, width), weight, radius), 1e-12)


# Nearest.


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 50), st.integers(0, 300), st.integers(1, 50), st.integers(0, 300))
def test_nearest_is_exactly_its_formula(height: int, more_y: int, width: int, more_x: int) -> None:
    size = height + more_y, width + more_x
    have = upscale(np.arange(height * width).reshape(height, width), size=size, method="nearest")
    rows, columns = (
        [math.floor((j + Fraction(1, 2)) * n_in / n_out) for j in range(n_out)]
        for n_in, n_out in zip((height, width), size, strict=True)
    )
    np.testing.assert_array_equal(have, np.add.outer(np.array(rows) * width, columns))


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 7])
def test_nearest_is_pillows_at_whole_factors(scale: int) -> None:
    """Elsewhere Pillow's positions are floats, and now and then fall on the wrong side of a border."""
    for shape in SHAPES:
        source = noise(shape, "uint8")
        expected = Image.fromarray(source).resize((shape[1] * scale, shape[0] * scale), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(upscale(source, scale, "nearest"), np.asarray(expected))


# Transposed convolution.

CONVOLUTIONS: list[tuple[Pair, tuple[int, ...], Pair, dict[str, Any]]] = [
    ((4, 5), (1, 1, 2, 2), (1, 1), {}),
    ((4, 5), (1, 1, 3, 3), (2, 2), {"padding": 1, "output_padding": 1}),
    ((4, 5), (1, 1, 4, 3), (2, 3), {"padding": (1, 0)}),
    ((4, 5), (1, 1, 2, 2), (5, 4), {}),
    ((4, 5), (1, 1, 2, 2), (5, 4), {"output_padding": (4, 3)}),
    ((3, 2), (1, 1, 11, 9), (2, 2), {"padding": (3, 4)}),
    ((1, 1), (1, 1, 3, 5), (3, 2), {}),
    ((1, 6), (1, 2, 4, 4), (1, 2), {"dilation": (3, 2), "padding": 2}),
    ((5, 4), (2, 3, 3, 3), (2, 2), {"padding": 1}),
    ((5, 4), (6, 2, 3, 2), (2, 1), {"groups": 3, "dilation": (1, 3), "padding": 1, "output_padding": (1, 2)}),
    ((5, 4), (4, 1, 2, 3), (2, 3), {"groups": 4}),
    ((5, 4), (4, 5, 2, 2), (3, 3), {"groups": 2}),
    ((4, 4), (5, 8, 3, 3), (2, 2), {"padding": 2}),
]


def two(value: Any) -> Pair:
    """A number for both axes, or one for each."""
    return value if isinstance(value, tuple) else (value, value)


@pytest.mark.parametrize(("shape", "kernel", "stride", "told"), CONVOLUTIONS)
def test_transposed_convolution_is_stamping(
    shape: Pair, kernel: tuple[int, ...], stride: Pair, told: dict[str, Any]
) -> None:
    source, weights = noise((*shape, kernel[0])), noise(kernel, seed=1) - 0.3
    groups, dilation = told.get("groups", 1), two(told.get("dilation", 1))
    padding, extra = two(told.get("padding", 0)), two(told.get("output_padding", 0))
    full = stamped(source, weights, stride, groups, dilation)
    full = np.pad(full, [(0, extra[0]), (0, extra[1]), (0, 0)])
    expected = full[padding[0] : full.shape[0] - padding[0], padding[1] : full.shape[1] - padding[1]]
    for dtype, rtol in (("f8", 1e-12), ("f4", 1e-5)):
        have = upscale(source.astype(dtype), stride, "transposed-conv", kernel=weights, **{"padding": 0} | told)
        assert_near(have, expected, rtol)


def separable(height: int, width: int) -> Array:
    """The outer product of two rows of numbers, 0 among them where they are long: (height, width)."""
    vertical, horizontal = noise((height,), seed=1) - 0.3, noise((width,), seed=2) - 0.3
    vertical[3:4] = 0
    return np.outer(vertical, horizontal)


@pytest.mark.parametrize("product", [False, True], ids=["full", "separable"])
@pytest.mark.parametrize("edge", ["repeat", "zero"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 3)])
def test_padding_same_is_exactly_the_scale(shape: Pair, edge: str, product: bool) -> None:
    """The kernel's centre stands on its cell's centre, or half an output before it; the edge goes on for ever."""
    for kernel in ((1, 1), (2, 2), (3, 3), (4, 5), (2, 7), (6, 9)):
        for stride in ((1, 1), (2, 2), (3, 2), (4, 7)):
            source = noise((*shape, 2))
            weights = np.stack([separable(*kernel)[None]] * 2) if product else noise((2, 1, *kernel), seed=1)
            beyond = 10
            extended = np.pad(
                source, [(beyond, beyond), (beyond, beyond), (0, 0)], "edge" if edge == "repeat" else "constant"
            )
            full = stamped(extended, weights, stride, groups=2)
            # Input i stamps i·s … i·s + k − 1, which is cropped by (k − s) / 2 at the top and the left, towards 0.
            top, left = (beyond * s + math.trunc((k - s) / 2) for k, s in zip(kernel, stride, strict=True))
            if edge == "zero":
                full = np.pad(full, [(0, 9), (0, 9), (0, 0)])
            expected = full[top : top + shape[0] * stride[0], left : left + shape[1] * stride[1]]
            told: dict[str, Any] = {} if edge == "repeat" else {"edge": "zero"}
            assert_near(upscale(source, stride, "transposed-conv", kernel=weights[:, 0], **told), expected, 1e-12)


def test_long_transposed_convolutions_in_many_bands_and_blocks() -> None:
    source, kernel = noise((90, 230, 2)), noise((2, 1, 4, 5), seed=1)
    full = stamped(source, kernel, (2, 4), groups=2)
    have = upscale(source, (2, 4), "transposed-conv", kernel=kernel, groups=2, padding=0)
    assert_near(have, full, 1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (90, 150), (40, 7)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_a_separable_kernel_stamps_as_any_other(dtype: str, shape: Pair) -> None:
    source = noise((*shape, 3), dtype)
    for size, stride, padding in (((4, 6), (2, 3), 0), ((9, 5), (4, 2), (3, 1)), ((2, 2), (3, 5), 0), ((1, 3), 1, 0)):
        kernel = separable(*size).astype("float32")
        weights = np.stack([kernel[None]] * 3)
        down, across = two(padding)
        full = stamped(source, weights, two(stride), groups=3)
        full = full[down : full.shape[0] - down, across : full.shape[1] - across]
        have = upscale(source, stride, "transposed-conv", kernel=kernel, padding=padding)
        if dtype == "uint8":
            assert_rounded(have, full)
        else:
            assert_near(have, full, 1e-6)


def test_a_separable_kernel_may_end_beside_the_source() -> None:
    source, kernel = noise((5, 40, 2)), separable(2, 3)
    told: dict[str, Any] = {"dilation": (40, 2), "padding": (0, 1)}
    full = stamped(source, np.stack([kernel[None]] * 2), (1, 2), groups=2, dilation=(40, 2))
    have = upscale(source, (1, 2), "transposed-conv", kernel=kernel, output_padding=(39, 1), **told)
    assert_near(have, np.pad(full, [(0, 39), (0, 1), (0, 0)])[:, 1:-1], 1e-12)


@pytest.mark.parametrize("weight", [1e-30, 1.0, 1e41])
def test_a_separable_kernel_overflows_no_sooner_than_any_other(weight: float) -> None:
    largest = np.float32(2e37 / max(1, weight))
    kernel = np.full((20, 20), weight / 400)
    have = upscale(np.full((30, 30), largest), 1, "transposed-conv", kernel=kernel)
    np.testing.assert_allclose(have, largest * np.float64(weight), rtol=1e-5)


@pytest.mark.parametrize(("dtype", "change"), [("float32", 1e-6), ("float64", 1e-14)])
def test_only_a_kernel_that_is_separable_takes_two_passes(dtype: str, change: float) -> None:
    kernel = check_kernel(separable(6, 8), 3, None)
    assert separated(kernel, np.dtype(dtype)) is not None
    assert separated(check_kernel(np.zeros((2, 2)), 3, None), np.dtype(dtype)) is not None
    for place in ((0, 0), (0, 7), (5, 0), (3, 3)):
        other = kernel.copy()
        other[:, 0, 0, *place] += change * np.abs(kernel).max()
        assert separated(other, np.dtype(dtype)) is None
    mixed = kernel * np.arange(1, 4)[:, None, None, None, None]
    assert separated(mixed, np.dtype(dtype)) is None
    assert separated(kernel.reshape(1, 3, 1, 6, 8), np.dtype(dtype)) is None


def test_stamps_say_which_inputs_an_output_looks_at() -> None:
    """A tap of 1, 2, 3 … at stride 2: output o of the whole meets input i at tap o − 2·i, which is worth one more."""
    found = stamps(5, 13, (1.0, 2.0, 3.0, 4.0, 5.0), stride=2, crop=0, edge="zero")
    for output in range(13):
        met = {found.first[output] + n: weight for n, weight in enumerate(found.weights[output]) if weight}
        assert met == {i: output - 2 * i + 1 for i in range(5) if 0 <= output - 2 * i < 5}


@pytest.mark.parametrize("edge", ["repeat", "zero"])
def test_sums_term_by_term_agree(edge: str) -> None:
    kernel = check_kernel(noise((4, 3, 5, 4), seed=1), 4, 2)
    for shape in ((1, 1), (9, 30), (70, 7)):
        source = noise((*shape, 4), "float32")
        size = shape[0] * 3, shape[1] * 2
        same = Samples(source.dtype, 4, source.dtype)
        stamping = Stamping(kernel=kernel, stride=(3, 2), size=size, crop=(1, 1), edge=edge)
        readers = same.reader(source), replace(same.reader(source), finite=False)
        have, expected = (Transposed(source, stamping, reader).rows(0, size[0]) for reader in readers)
        assert_near(have, expected)


# Samples that are not finite.


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", FILTERS)
def test_what_is_not_finite_reaches_only_outputs_that_weigh_it(method: str, bad: float) -> None:
    for shape, size, (y, x) in (((12, 40), (24, 120), (5, 20)), ((9, 8), (31, 60), (0, 7)), ((7, 7), (7, 7), (3, 3))):
        source = noise(shape, "float32")
        source[y, x] = 0
        expected = resampled(source, size, *FILTERS[method])
        down, across = (axis_weights(n, m, *FILTERS[method]) for n, m in zip(shape, size, strict=True))
        touched = np.outer(down[:, y] != 0, across[:, x] != 0)
        source[y, x] = bad
        have = upscale(source, size=size, method=METHODS[method])
        np.testing.assert_array_equal(~np.isfinite(have), touched)
        np.testing.assert_allclose(have[~touched], expected[~touched], atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", FILTERS)
def test_the_largest_floats_reach_only_outputs_that_weigh_them(method: str, dtype: str) -> None:
    """Rasters mark what they do not know with −3.4e38, which a filter that overshoots makes infinite."""
    for extreme in (np.finfo(dtype).min, np.finfo(dtype).max):
        source = noise((40, 7), dtype)
        source[:3] = extreme
        have = upscale(source, 2, METHODS[method])
        source[:3] = 0
        expected, reach = resampled(source, (80, 14), *FILTERS[method]), 6 + 2 * FILTERS[method][1]
        np.testing.assert_allclose(have[reach:], expected[reach:], atol=1e-5)


def test_half_floats_overshoot_to_the_largest_and_not_to_infinity() -> None:
    source = np.array([[0, 0, 65504, 65504, 0, 0, -65504, -65504, 0]], "f2")
    full = resampled(source, (2, 18), lanczos(3), 3)
    assert full.max() > 65520
    assert full.min() < -65520
    have = upscale(source, 2)
    assert have.dtype == np.float16
    np.testing.assert_array_equal(have, full.clip(-65504, 65504).astype("f2"))
    source[0, 0] = np.inf
    assert np.isinf(upscale(source, 2, "nearest")[:, :2]).all()
    assert not np.isfinite(upscale(source, 2)[:, :2]).any()


def test_what_is_not_finite_is_stamped_only_where_the_kernel_is_not_0() -> None:
    source, kernel = noise((6, 20, 2)), noise((2, 3, 3, 4), seed=1)
    kernel[:, 1, 1, 2] = kernel[0, 2] = 0
    source[0, 3, 0], source[4, 19, 1] = np.nan, np.inf
    have = upscale(source, 2, "transposed-conv", kernel=kernel, padding=0)
    expected = stamped(source, kernel, (2, 2))
    assert 0 < (~np.isfinite(expected)).sum() < expected.size / 10
    np.testing.assert_allclose(have, expected, rtol=1e-12)


@pytest.mark.parametrize("method", FILTERS)
def test_direct_resampler_agrees(method: str) -> None:
    for shape, size in (((1, 1), (5, 7)), ((40, 50), (93, 150)), ((9, 200), (9, 1000))):
        source = noise((*shape, 5), "float32")
        same = Samples(source.dtype, 5, source.dtype)
        vertical, horizontal = filter_axes(shape, size, filters.FILTERS[method].default())
        axes = vertical.make(), horizontal.make()
        have, expected = (
            kind(source, axes, same.reader(source)).rows(0, size[0]) for kind in (Resampler, DirectResampler)
        )
        assert_near(have, expected)


# Max pooling.


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_max_pooling(data: st.DataObject) -> None:
    draw = data.draw
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    window, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    padding = draw(st.integers(0, window[0] // 2)), draw(st.integers(0, window[1] // 2))
    shape = [draw(st.integers(d * (w - 1) + 1, 9)) for d, w in zip(dilation, window, strict=True)]
    source = noise((*shape, 2), draw(st.sampled_from(["uint8", "float32", "int32"])))
    room = [n + 2 * p - d * (w - 1) - 1 for n, p, d, w in zip(shape, padding, dilation, window, strict=True)]
    size = room[0] // stride[0] + 1, room[1] // stride[1] + 1
    have = max_pool(source, Windows(window, stride, tuple((p, p) for p in padding), dilation))
    values, places = pooled(source, window, stride, padding, dilation, size)
    np.testing.assert_array_equal(have.values, values)
    np.testing.assert_array_equal(have.indices, places)
    assert (have.values.dtype, have.size) == (source.dtype, tuple(shape))


def test_ceil_keeps_the_last_partial_window_unless_it_begins_beyond_the_image() -> None:
    source = np.arange(25).reshape(5, 5, 1)
    assert max_pool(source, Windows(ceil=True)).values[:, :, 0].tolist() == [[6, 8, 9], [16, 18, 19], [21, 23, 24]]
    assert max_pool(source[:4, :4], Windows(stride=(3,), ceil=True)).values[:, :, 0].tolist() == [[6, 8], [16, 18]]
    assert max_pool(source[:3, :3], Windows((1,), (3,), ceil=True)).values[:, :, 0].tolist() == [[0]]
    # The only window may lack samples, but fewer than the stride.
    assert max_pool(source[:3, :3], Windows((5,), (3,), ceil=True)).values[:, :, 0].tolist() == [[12]]
    with pytest.raises(UpscaleError, match="does not fit"):
        max_pool(source[:3, :3], Windows((6,), (3,), ceil=True))


def test_pooling_keeps_not_a_number() -> None:
    values, indices, _ = max_pool(np.array([[1.0, np.nan], [3.0, 2.0]])[:, :, None])
    assert np.isnan(values).all()
    assert indices.ravel().tolist() == [1]


def test_pooling_refuses_what_does_not_fit() -> None:
    source = np.zeros((4, 4, 1))
    refused: list[tuple[dict[str, Any], str]] = [
        ({"window": (5, 2)}, "does not fit"),
        ({"padding": ((2, 0), (0, 0))}, "padding 0x2:0 is not smaller than the window"),
        ({"window": (2, 2, 2)}, "window has 3 numbers, but there are 2 axes"),
        ({"padding": ((1, 1),), "dilation": (6, 1)}, "does not fit"),
        ({"padding": ((1, 1),), "dilation": (5, 5)}, "wholly outside"),
    ]
    for told, sentence in refused:
        with pytest.raises(UpscaleError, match=sentence):
            max_pool(source, Windows(**told))


def test_pooled_values_go_back_where_they_came_from() -> None:
    source = np.random.default_rng(0).permutation(7 * 6 * 3).reshape(7, 6, 3) + 1
    values, indices, size = max_pool(source)
    back = upscale(values, size=size, method="max-unpooling", indices=indices)
    kept = back != 0
    assert kept.sum() == values.size
    np.testing.assert_array_equal(back[kept], source[kept])


def test_of_several_values_for_one_place_the_last_wins() -> None:
    indices = np.full((3, 3), 4)
    have = upscale(np.arange(1, 10).reshape(3, 3), size=(3, 3), method="max-unpooling", indices=indices)
    np.testing.assert_array_equal(have, grid("0 0 0\n0 9 0\n0 0 0"))


# Samples: alpha and light.


def rendered(source: Array, target: Any = None, **meaning: Any) -> Array:
    """A source twice as large by Lanczos, its samples meaning something, as samples of a type."""
    samples = Samples(source.dtype, source.shape[2], np.dtype(target or source.dtype), **meaning)
    size = source.shape[0] * 2, source.shape[1] * 2
    axes = filter_axes(source.shape, size, filters.FILTERS["lanczos"].default())
    made = resampling.resampled(source, axes, samples.reader(source))
    out = np.empty((*size, source.shape[2] - samples.flatten), samples.target)
    made.rows(0, size[0], out, samples.finish)
    return out


@pytest.mark.parametrize(("dtype", "target"), [("bool", "uint8"), ("uint8", "uint16"), ("uint16", "uint8")])
def test_full_intensity_stays_full_intensity_at_another_depth(dtype: str, target: str) -> None:
    source = noise((6, 7, 2), "uint16").astype(dtype)
    factor = np.iinfo(target).max / (1 if dtype == "bool" else np.iinfo(dtype).max)
    assert_rounded(rendered(source, target), resampled(source, (12, 14), lanczos(3), 3) * factor, 0.03)
    moved = np.empty(source.shape, target)
    finish = Samples(source.dtype, 2, np.dtype(target)).finisher(weighed=False)
    assert finish is not None
    finish(source, moved)
    np.testing.assert_array_equal(moved, np.floor(source * factor + 0.5))


BOX = kernels.Filter(lambda x: np.where(np.abs(x) < 30, 1.0, 0.0), 30.0)
"""The most taps whose sums are truncated without clamping: 60."""


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "filter", [kernels.triangle(), kernels.cubic(1, 0), BOX], ids=["triangle", "b-spline", "box"]
)
@pytest.mark.parametrize("size", [(6, 7), (9, 13), (24, 28), (42, 700)])
def test_averages_stay_in_range_without_clamping(dtype: str, filter: kernels.Filter, size: Pair) -> None:
    """Every constant of 8 bits, many of 16, and noise of the two extremes, at factors that are integers or not."""
    full = np.iinfo(dtype).max
    codes = np.unique(np.append(np.arange(0, full + 1, 1 if full == 255 else 1024), full)).astype(dtype)
    constants = np.broadcast_to(codes, (6, 7, len(codes)))
    extremes = np.where(noise((6, 7, 16)) > 0, full, 0).astype(dtype)
    for source in (constants, extremes):
        samples = Samples(source.dtype, source.shape[2], source.dtype, constants=True)
        made = resampling.resampled(source, filter_axes(source.shape, size, filter), samples.reader(source))
        assert made.averages
        have, clamped = np.empty((2, *made.shape), dtype)
        made.rows(0, size[0], have, samples.finisher(weighed=True, averages=True))
        made.rows(0, size[0], clamped, samples.finish)
        np.testing.assert_array_equal(have, clamped)
        if source is constants:
            assert (have == codes).all()


@pytest.mark.parametrize(
    "filter",
    [kernels.cubic(0, 0.5), kernels.sinc("lanczos", 3), kernels.Filter(BOX.weight, 31.0)],
    ids=["bicubic", "lanczos", "62 taps"],
)
def test_others_are_clamped(filter: kernels.Filter) -> None:
    source = noise((6, 7, 1), "uint8")
    samples = Samples(source.dtype, 1, source.dtype, constants=True)
    made = resampling.resampled(source, filter_axes(source.shape, (12, 14), filter), samples.reader(source))
    assert not made.averages
    assert samples.finisher(weighed=True, averages=made.averages) == samples.finish


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_opaque_alpha_changes_nothing(dtype: str) -> None:
    source = noise((6, 7, 4), dtype)
    source[:, :, 3] = full = 1 if dtype == "float32" else np.iinfo(dtype).max
    have, plain = rendered(source, alpha=True, opaque=True), rendered(source[:, :, :3])
    np.testing.assert_array_equal(have[:, :, :3], plain)
    assert (have[:, :, 3] == full).all()
    if dtype != "float32":
        assert np.abs(rendered(source, alpha=True).astype(float) - have).max() <= 1


def test_what_is_less_than_half_opaque_is_without_data() -> None:
    samples = Samples(np.dtype("u1"), 2, np.dtype("u1"), alpha=True, no_data=7)
    values, out = np.array([[[50, 127], [50, 128], [50, 255]]], "f4"), np.empty((1, 3, 1), "u1")
    samples.finish(values, out)
    assert out.tolist() == [[[7], [100], [50]]]
    assert samples.channels_out == 1


def test_hidden_colour_does_not_bleed() -> None:
    """A red disc on transparent green keeps a red edge; on white, where the target has no alpha, a pink one."""
    y, x = np.mgrid[-8:9, -8:9]
    disc = (x * x + y * y < 30)[:, :, None]
    source = np.where(disc, [255, 0, 0, 255], [0, 255, 0, 0]).astype(np.uint8)
    have = rendered(source, alpha=True)
    seen = have[have[:, :, 3] > 0]
    assert set(have[:, :, 3].ravel()) > {0, 255}
    assert (seen[:, :3] == [255, 0, 0]).all()
    white = rendered(source, alpha=True, flatten=True)
    flat = resampled(np.where(disc, [255, 0, 0], [255, 255, 255]), (34, 34), lanczos(3), 3)
    assert_rounded(white, flat)


def test_linear_light() -> None:
    """Half of the light of black and white is code 188, and its two ends come back as they are."""
    source = np.array([[0, 255]], np.uint8).repeat(8, axis=1)[:, :, None]
    have = rendered(source, transfer=SRGB)[0, :, 0]
    assert have[0] == 0
    assert have[-1] == 255
    samples = Samples(source.dtype, 1, source.dtype, transfer=SRGB)
    light = samples.read(np.array([[[188]]], np.uint8))
    assert float(light[0, 0, 0]) / 255 == pytest.approx(((188 / 255 + 0.055) / 1.055) ** 2.4, rel=1e-6)
    codes = np.arange(256, dtype=np.uint8)[None, :, None]
    again = np.empty_like(codes)
    samples.finish(samples.read(codes), again)
    np.testing.assert_array_equal(again, codes)

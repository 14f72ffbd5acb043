"""Polar filters against sums in float64, the weights of libplacebo and the pictures of ImageMagick."""

import math
import threading
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from support import Array, Floats

from upscale_cli import METHODS, UpscaleError, upscale
from upscale_cli.methods import polar
from upscale_cli.methods.grid import half_pixel
from upscale_cli.methods.planes import off_grid
from upscale_cli.methods.polar_filters import POLAR
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.upsampler import Upsampler
from upscale_cli.testing import image

NAMES = [method.name for method in POLAR]
Size = tuple[int, int]
Kernel = tuple[Callable[[Floats], Floats], float]

ZEROS = np.array([3.8317059702, 7.0155866698, 10.1734681351, 13.3236919363]) / math.pi
"""Of J₁ (Abramowitz & Stegun, table 9.5)."""


def jinc(r: Floats) -> Floats:
    """Bessel's integral `J₁(x) = 1/π ∫ cos(θ − x sin θ) dθ` over 0 … π, twice over x."""
    angle, x = (np.arange(30) + 0.5) * math.pi / 30, math.pi * np.maximum(r, 1e-9)[..., None]
    return np.asarray(2 * np.cos(angle - x * np.sin(angle)).mean(axis=-1) / x[..., 0])


def windowed(lobes: int, blur: float, window: Callable[[Floats], Floats] | None = None) -> Kernel:
    """Return a jinc under a window of `r / radius`, its own middle lobe by default, and its radius."""
    middle = window or (lambda t: jinc(t * ZEROS[0]))
    return lambda r: jinc(r / blur) * middle(r / blur / ZEROS[lobes - 1]), ZEROS[lobes - 1] * blur


def cubic(b: float, c: float) -> Kernel:
    """Return Keys's cubics, blended with the B-spline by b, and their radius."""

    def keys(x: Floats, a: float) -> Floats:
        far = a * (x**3 - 5 * x**2 + 8 * x - 4)
        return np.where(x < 1, (a + 2) * x**3 - (a + 3) * x**2 + 1, far)

    def spline(x: Floats) -> Floats:
        return np.where(x < 1, 2 / 3 - x**2 + x**3 / 2, (2 - x) ** 3 / 6)

    return lambda x: keys(x, -c) + b * (spline(x) - keys(x, 0)), 2.0


KERNELS = {
    "ewa-lanczos": windowed(3, 1),
    "ewa-lanczossharp": windowed(3, 0.9812505644),
    "ewa-lanczos4sharpest": windowed(4, 0.8845120933),
    "jinc": windowed(3, 1, np.ones_like),
    "robidoux": cubic(0.3782157550, 0.3108921225),
    "robidouxsharp": cubic(0.2620145124, 0.3689927438),
}
"""Each filter by formulas and numbers of its authors, and its radius."""
PADDED: dict[str, Any] = {"repeat": "edge", "reflect": "symmetric", "mirror": "reflect", "zero": "constant"}
"""The names that NumPy has for edges."""


def centres(n_in: int, n_out: int) -> Floats:
    """Return where pixel centres of an output lie among the samples of an axis."""
    return np.asarray((np.arange(n_out) + 0.5) * n_in / n_out - 0.5)


def summed(source: Array, size: Size, kernel: Kernel, at: tuple[Floats, Floats] | None = None) -> Floats:
    """Return the direct sum over all samples (H, W, C), of outputs at pixel centres or at other rows and columns."""
    weight, radius = kernel
    (y, dy), (x, dx) = (
        ((centres(m, n) if at is None else at[axis])[:, None] - np.arange(m), max(1, m / n))
        for axis, (m, n) in enumerate(zip(source.shape, size, strict=False))
    )
    r = np.hypot(y[:, None, :, None] / dy, x[:, None, :] / dx)
    weights = np.zeros(r.shape)
    weights[r < radius] = weight(r[r < radius])
    sums = np.tensordot(weights, source.astype(np.float64), 2)
    return np.asarray(sums / weights.sum(axis=(2, 3))[..., None])


def upsampler(name: str, source: Array, size: Size, **more: str) -> Upsampler:
    """Return a method's upsampler of plain numbers, without anti-ringing."""
    method, samples = METHODS[name], Samples(source.dtype, source.shape[2], source.dtype)
    parameters = method.read_parameters({"antiring": 0, **more})
    scale = Fraction(size[0], source.shape[0]), Fraction(size[1], source.shape[1])
    return method.make(source, scale=scale, size=size, samples=samples, parameters=parameters)


@pytest.mark.parametrize(("way", "few"), [("Polar", 1 << 40), ("DirectPolar", -1)])
@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_a_direct_sum(name: str, way: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By products and by look-ups, at factors of few and of many phases, and where an image becomes smaller."""
    monkeypatch.setattr(polar, "FEW_WEIGHTS", few)
    monkeypatch.setattr(polar, "LOOK_UPS", 1 << 40)
    factors = [(2, 1), (1.5, 1.25), (2.27, 3), (1, 1), (3, 2), (4, 4), (0.5, 0.4), (1, 0.35)]
    for number, (down, across) in enumerate(factors if name == "ewa-lanczos" else factors[:3]):
        source = np.random.default_rng(number).random((12, 9 + number % 2, 2), np.float32)
        size = round(12 * down), round((9 + number % 2) * across)
        made = upsampler(name, source, size)
        assert type(made).__name__ == way
        expected = summed(source, size, KERNELS[name])
        np.testing.assert_allclose(made.rows(0, size[0]), expected, rtol=0, atol=2e-6)
        if number == 0:
            made = upsampler(name, source.astype(float), size)
            np.testing.assert_allclose(made.rows(0, size[0]), expected, rtol=0, atol=2.5e-7)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 3), (40, 300), (300, 36)], ids=str)
def test_all_four_borders_are_those_of_a_direct_sum(shape: Size) -> None:
    """Where there are fewer samples than taps, and where there are more tiles than in a band or a block."""
    source = np.random.default_rng(0).random((*shape, 5))
    size = (shape[0] * 2, shape[1] * 3) if shape[0] < 300 else (375, 68)
    have = upsampler("ewa-lanczos", source, size).rows(0, size[0])
    ends = slice(0, 12), slice(-12, None)
    for part in product((*ends, slice(40, 50)), ends):
        at = centres(shape[0], size[0])[part[0]], centres(shape[1], size[1])[part[1]]
        np.testing.assert_allclose(have[part], summed(source, size, KERNELS["ewa-lanczos"], at), rtol=0, atol=1e-9)


@pytest.mark.parametrize("edge", ["repeat", "reflect", "mirror", "zero"])
def test_edges_are_samples_beyond_the_border(edge: str) -> None:
    """With eight samples more on each side, from NumPy, no output is near to a border."""
    source, size = np.random.default_rng(0).random((9, 10, 1)), (18, 13)
    padded = np.pad(source, ((8, 8), (8, 8), (0, 0)), PADDED[edge])
    at = centres(9, 18) + 8, centres(10, 13) + 8
    larger = 2 * len(padded), 2 * padded.shape[1]  # so that it is no reduction
    have = upsampler("ewa-lanczos", source, size, edge=edge).rows(0, 18)
    np.testing.assert_allclose(have, summed(padded, larger, KERNELS["ewa-lanczos"], at), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("grid", "factor"), [("asymmetric", 7), ("tf-half-pixel-for-nn", 2)])
def test_without_an_edge_nothing_lies_far_outside(grid: str, factor: int) -> None:
    flat = np.full((6, 6), 100.0)
    with pytest.raises(UpscaleError, match=f"ewa-lanczos: grid={grid} has results so far outside .*-p edge=repeat"):
        upscale(flat, factor, "ewa-lanczos", grid=grid)
    np.testing.assert_allclose(upscale(flat, factor, "ewa-lanczos", grid=grid, edge="repeat"), 100)
    np.testing.assert_allclose(upscale(flat, 2, "ewa-lanczos", grid="asymmetric", blur=0.75), 100)


@pytest.mark.parametrize("shape", [(9, 10), (1, 10)], ids=str)
def test_corners_are_aligned(shape: Size) -> None:
    source, size = np.random.default_rng(0).random((*shape, 1)), (3 * shape[0], 23)
    at = np.linspace(0, shape[0] - 1, size[0]), np.linspace(0, 9, 23)
    have = upsampler("ewa-lanczos", source, size, grid="align-corners").rows(0, size[0])
    np.testing.assert_allclose(have, summed(source, size, KERNELS["ewa-lanczos"], at), rtol=0, atol=2e-7)


LIBPLACEBO = {
    "ewa-lanczos": (0.690584192, 0.151278680, -0.078257123, -0.030119626, 0.012895419, 0.002462130, 0),
    "ewa-lanczossharp": (0.680237832, 0.134990302, -0.080066113, -0.024236525, 0.013007104, 0.001404520, 0),
    "ewa-lanczos4sharpest": (
        0.633204956,
        0.056996083,
        -0.095358670,
        0.004143146,
        0.021982226,
        -0.004360697,
        -0.001678927,
    ),
    "jinc": (0.721702845, 0.181191755, -0.119539329, -0.067603459, 0.053797791, 0.037502252, 0),
    "jinc window=lanczos": (0.693732493, 0.154078026, -0.081598206, -0.032491244, 0.014563821, 0.002952654, 0),
    "jinc window=hann": (0.680076556, 0.141799841, -0.066663585, -0.021595298, 0.006610017, 0.000498917, 0),
    "robidoux": (0.607580914, 0.072129459, -0.035451455, 0, 0, 0, 0),
    "robidouxsharp": (0.592405028, 0.047848045, -0.044556983, 0, 0, 0, 0),
}
"""Weights at 0.5, 1, … 3.5, that at 0 being 1, as `pl_filter_sample` of libplacebo 7.360 returns them.

They are its ewa_lanczos … ewa_jinc, ewa_ginseng, ewa_hann, ewa_robidoux and ewa_robidouxsharp.
"""


@pytest.mark.parametrize("text", LIBPLACEBO)
def test_weights_are_those_of_libplacebo(text: str) -> None:
    name, *given = text.split()
    filter = METHODS[name].filter
    assert filter is not None
    made = filter.of(METHODS[name].read_parameters(dict(each.split("=") for each in given)))
    weights = made.weight(np.arange(0, 4, 0.5))
    np.testing.assert_allclose(weights[1:] / weights[0], LIBPLACEBO[text], rtol=0, atol=5e-8)
    assert (made.weight(np.array([made.radius, made.radius + 0.1, 9.5])) == 0).all()


IMAGEMAGICK = {
    "ewa-lanczos": ([[29651, 34632, 40062], [33745, 39786, 45587], [39241, 45088, 47472]], 2e-3),
    "ewa-lanczossharp": ([[29766, 34521, 39794], [33684, 39569, 45501], [38999, 44979, 47778]], 2e-3),
    "jinc": ([[30027, 33719, 38741], [33150, 37923, 42899], [38797, 42943, 44004]], 2e-3),
    "robidoux": ([[30522, 34648, 39019], [34028, 38255, 43683], [37801, 43084, 47372]], 2e-5),
    "robidouxsharp": ([[30470, 34649, 39157], [34027, 38337, 44426], [37939, 43830, 49024]], 2e-5),
}
"""Rows and columns 14 … 16 of the picture below by `convert -filter NAME -distort Resize 32x32!`, and its error.

ImageMagick 6.9.11 looks weights up by 1,024 squared distances. Those of cubics at factor 2 happen to be among them.
"""


@pytest.mark.parametrize("name", IMAGEMAGICK)
def test_pixels_are_those_of_imagemagick(name: str) -> None:
    source = (np.arange(256) * 7919 % 40001 + 12000).astype(np.uint16).reshape(16, 16)
    expected, error = IMAGEMAGICK[name]
    have = upscale(source, 2, METHODS[name])[14:17, 14:17]
    np.testing.assert_allclose(have / 65535, np.array(expected) / 65535, rtol=0, atol=error)


def test_a_sample_that_is_not_finite_changes_only_the_discs_that_it_lies_in() -> None:
    source = image((20, 21, 1), "f4")
    clean = upscale(source, 2, "ewa-lanczos")
    y, x = ((np.arange(2 * n) + 0.5) / 2 - 0.5 for n in (20, 21))
    near = np.hypot(y[:, None] - 9, x - 12) < KERNELS["ewa-lanczos"][1]
    for bad in (np.nan, np.inf, -np.inf):
        source[9, 12] = bad
        have = upscale(source, 2, "ewa-lanczos")[..., 0]
        assert not np.isfinite(have[near]).any()
        np.testing.assert_allclose(have[~near], clean[..., 0][~near], rtol=0, atol=2e-4)


def test_integers_are_rounded_half_up_and_clamped() -> None:
    source = np.where(image((12, 12)) < 128, 0, 255).astype(np.uint8)
    exact = summed(source[..., None], (24, 24), KERNELS["jinc"])[..., 0]
    assert exact.min() < -20
    assert exact.max() > 275
    have, rounded = upscale(source, 2, "jinc"), np.floor(exact.clip(0, 255) + 0.5)
    sure = np.abs(exact % 1 - 0.5) > 1e-4
    np.testing.assert_array_equal(have[sure], rounded[sure])


def test_chroma_is_shifted_and_not_replaced_by_another_filter() -> None:
    """Samples of two columns each, the first at the centre of the first pixel: a quarter of a sample to the right."""
    plane = np.random.default_rng(1).random((10, 9, 1))
    samples, parameters = Samples(plane.dtype, 1, plane.dtype), METHODS["ewa-lanczos"].read_parameters({})
    grids = half_pixel(20, 40).of_plane(2, 0), half_pixel(18, 36).of_plane(2, 0)
    method = METHODS["ewa-lanczos"]
    made = off_grid(method, plane, (20, 18), grids=grids, samples=samples, parameters=parameters)
    at = centres(10, 20) + 0.125, centres(9, 18) + 0.125
    expected = summed(plane, (20, 18), KERNELS["ewa-lanczos"], at)
    np.testing.assert_allclose(made.rows(0, 20), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("factor", [2, 1.27, 0.1])
def test_memory_is_what_was_estimated(factor: float) -> None:
    source = np.random.default_rng(0).random((300, 700, 3), np.float32)
    size = round(300 * factor), round(700 * factor)
    method, peak = METHODS["ewa-lanczos"], []
    upsampler("ewa-lanczos", source, size).rows(0, 1)  # makes what all threads share

    def work() -> None:  # in a thread of its own, which has no scratch memory yet
        made = upsampler("ewa-lanczos", source, size)
        out = np.empty((min(size[0], made.band), *made.shape[1:]), np.float32)
        tracemalloc.start()
        made.rows(0, len(out), out)
        peak.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    expected = method.working_memory((300, 700, 3), method.read_parameters({}))(size)
    assert peak[0] <= 4 * expected.values_per_thread <= 3 * peak[0]


def slanted(angle: float) -> tuple[Array, Floats]:
    """Return a picture of an edge through its centre, averaged over pixels, and the distances of a larger one."""
    size, fine = 48, 8
    step = [(np.arange(size * n) + 0.5) / n - size / 2 for n in (fine, 4)]
    small, large = (x * math.cos(angle) + x[:, None] * math.sin(angle) for x in step)
    return 200.0 * (small > 0).reshape(size, fine, size, fine).mean(axis=(1, 3)) + 20, large


def test_slanted_edges_are_smoother_and_halos_fainter_as_docs_say() -> None:
    """Along an edge a result should not change: how much it does, how steep it is, and how far it overshoots."""
    found = {}
    for name in ("lanczos", "ewa-lanczos", "ewa-lanczos4sharpest"):
        steps = steep = over = 0.0
        for angle in (10, 20, 27, 35, 40):
            source, distance = slanted(math.radians(angle))
            have = upscale(source, 4, METHODS[name])[32:-32, 32:-32]
            places = np.floor(distance[32:-32, 32:-32] * 8).astype(int)
            near = np.abs(places) < 24
            places, values = places[near] + 23, have[near]
            mean = np.bincount(places, values) / np.bincount(places)
            steps += float(((values - mean[places]) ** 2).mean() ** 0.5) / 5
            steep += float(np.diff(mean).max()) * 8 / 5
            over += float(values.max() - 220) / 5
        found[name] = np.array([steps, steep, over])
    polar_one, sharpest = found["ewa-lanczos"] / found["lanczos"], found["ewa-lanczos4sharpest"] / found["lanczos"]
    np.testing.assert_allclose(polar_one, [0.74, 0.9, 0.81], atol=0.03)
    np.testing.assert_allclose(sharpest, [0.85, 1, 0.19], atol=0.03)

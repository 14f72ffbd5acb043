"""Grids, edges and roundings of other frameworks: their own numbers, and sums over a source that NumPy continues."""

import io
import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from pictures import encoded, enlarged
from PIL import Image
from support import Floats, Weight, keys, lanczos, triangle
from test_streams import CENTRES, Y4m, call, y4m_head
from test_tiff import GREY, pages_of, saved

from upscale_cli import METHODS, upscale
from upscale_cli.errors import UsageError
from upscale_cli.methods.grid import EDGES, GRIDS, ROUNDINGS
from upscale_cli.testing.checks import assert_rounded

HALF = Fraction(1, 2)
NEAREST: dict[str, Callable[[Fraction], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round-prefer-floor": lambda u: math.ceil(u - HALF),
    "round-prefer-ceil": lambda u: math.floor(u + HALF),
}
PADDED: dict[str, dict[str, Any]] = {
    "renormalise": {"mode": "constant", "constant_values": np.nan},
    "repeat": {"mode": "edge"},
    "reflect": {"mode": "symmetric"},
    "mirror": {"mode": "reflect"},
    "zero": {"mode": "constant"},
}
"""How NumPy continues a source."""
WEIGHTS: dict[str, tuple[dict[str, Any], Weight, int]] = {
    "bilinear": ({}, cache(triangle), 1),
    "bicubic": ({"a": -0.75}, cache(keys(Fraction(-3, 4))), 2),
    "lanczos": ({}, cache(lanczos(3)), 3),
}
FILTERED = [method for method in METHODS.values() if method.group == "filters"]
SOURCE = np.array([[0, 3, 1, 8, 2]], np.float32)
COUNTED = np.arange(5)[None]


def place(rule: str, j: Fraction | int, n_in: int, n_out: int, scale: Fraction) -> Fraction:
    """Where output `j` lies: `coordinate_transformation_mode` in ONNX's description of Resize, opset 19."""
    match rule:
        case "half-pixel":
            return (j + HALF) * n_in / n_out - HALF
        case "pytorch-half-pixel":
            return (j + HALF) / scale - HALF if n_out > 1 else Fraction(0)
        case "half-pixel-symmetric":
            adjustment = n_out / (scale * n_in)
            return Fraction(n_in, 2) * (1 - adjustment) + (j + HALF) / scale - HALF
        case "asymmetric":
            return j / scale
        case "align-corners":
            return Fraction(j * (n_in - 1), n_out - 1) if n_out > 1 else Fraction(0)
    assert rule == "tf-half-pixel-for-nn"
    return (j + HALF) / scale


def summed(source: Floats, at: list[Fraction], edge: str, *, weight: Weight, radius: int) -> Floats:
    """A line, resampled at some places as a plain sum."""
    room = radius + 2
    line = np.pad(source, room, **PADDED[edge])
    made = []
    for u in at:
        near = range(math.floor(u) - radius, math.floor(u) + radius + 2)
        weights = np.array([weight(abs(i - u)) for i in near])
        samples = line[near.start + room : near.stop + room]
        inside = ~np.isnan(samples)
        made.append(float((weights * samples)[inside].sum() / weights[inside].sum()))
    return np.array(made)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("grid", GRIDS)
def test_filters_are_plain_sums_over_a_source_that_goes_on(grid: str, edge: str) -> None:
    random = np.random.default_rng(0)
    for n_in, scale in ((5, Fraction("1.7")), (2, Fraction("2.3")), (1, Fraction(3, 2)), (3, Fraction(1))):
        line = random.random(n_in)
        for method, (own, weight, radius) in WEIGHTS.items():
            have = upscale(line[None], (1, scale), METHODS[method], grid=grid, edge=edge, **own)[0]
            exact = n_in * scale
            assert len(have) == math.floor(exact + HALF if grid == "half-pixel" else exact)
            # A factor of 1 leaves an axis as it is, as in ONNX Runtime.
            at = [place(grid, j, n_in, len(have), scale) if scale != 1 else Fraction(j) for j in range(len(have))]
            np.testing.assert_allclose(have, summed(line, at, edge, weight=weight, radius=radius), atol=1e-12)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("grid", GRIDS)
def test_nearest_is_the_sample_that_the_rule_says(grid: str, rounding: str) -> None:
    for n_in, factor in ((5, "1.7"), (5, "2"), (4, "3"), (7, "6/5"), (2, "5/2"), (1, "3.9"), (6, "4/3")):
        scale = Fraction(factor)
        have = upscale(np.arange(n_in)[:, None], (scale, 1), "nearest", grid=grid, rounding=rounding)[:, 0]
        at = [place(grid, j, n_in, len(have), scale) for j in range(len(have))]
        assert have.tolist() == [min(max(NEAREST[rounding](u), 0), n_in - 1) for u in at], (n_in, factor)


@pytest.mark.parametrize("method", FILTERED, ids=lambda method: method.name)
def test_every_filter_goes_on_beyond_the_border_as_numpy_does(method: Any) -> None:
    random = np.random.default_rng(1)
    line, room = random.random((1, 7)), 32
    for edge in EDGES[1:]:
        longer = np.pad(line, [(0, 0), (room, room)], **PADDED[edge])
        expected = upscale(longer, (1, 3), method, edge="repeat")[:, 3 * room : -3 * room]
        np.testing.assert_allclose(upscale(line, (1, 3), method, edge=edge), expected, atol=1e-9)
    # Of a longer source, the same samples lie at the same places, on the grids that begin in a corner.
    for grid in ("asymmetric", "tf-half-pixel-for-nn"):
        longer = np.pad(line, [(0, 0), (0, room)], mode="edge")
        expected = upscale(longer, (1, 3), method, grid=grid, edge="repeat")[:, :21]
        np.testing.assert_allclose(upscale(line, (1, 3), method, grid=grid, edge="repeat"), expected, atol=1e-9)


@pytest.mark.parametrize("grid", ["asymmetric", "tf-half-pixel-for-nn"])
def test_far_outside_the_edge_is_repeated_where_no_weight_is_left(grid: str) -> None:
    source = np.random.default_rng(1).random((1, 9))
    cases: list[tuple[str, dict[str, Any]]] = [
        ("box", {}),
        ("bilinear", {"blur": 0.75}),
        ("mks2013", {}),
        ("lanczos", {"blur": 0.75}),
        ("sinc", {"a": 8, "blur": 0.75}),
    ]
    for method, more in cases:
        for factor in (2, 3, 7, 50):
            made = upscale(source, (1, factor), METHODS[method], grid=grid, **more)
            repeated = upscale(source, (1, factor), METHODS[method], grid=grid, edge="repeat", **more)
            # Weights that nearly cancel each other would be scaled up, and multiply the noise.
            assert np.abs(made).max() < 3, (method, factor)
            if method in ("box", "bilinear"):
                np.testing.assert_allclose(made, repeated, atol=1e-12)


def test_uneven_copies_are_those_of_the_grid() -> None:
    warn = METHODS["nearest"].warn
    assert warn is not None
    for grid, exact in (("half-pixel", "1.556"), ("asymmetric", "1.444")):
        assert str(warn((9, 4, 1), (Fraction(3, 2),) * 2, {"grid": grid})).startswith(exact)
        assert str(warn((4, 9, 1), (Fraction(2), Fraction(3, 2)), {"grid": grid})).startswith(exact)
        assert warn((4, 6, 1), (Fraction(3, 2),) * 2, {"grid": grid}) == (
            "1.5 is not an integer factor: pixels are repeated 1 or 2 times, which shows in pixel art"
        )
        assert warn((4, 6, 1), (Fraction(2), Fraction(3)), {"grid": grid}) is None


LINEAR_ALIGNED = [0, 1.714286, 2.714286, 1.571428, 3.000001, 7, 5.42857, 2]
CUBIC_ALIGNED = [0, 1.950438, 2.902333, 0.893585, 2.890672, 7.599127, 6.215741, 2]
CUBIC = [-0.292128, 1.240828, 2.973476, 1.389273, 1.796994, 6.874085, 6.951959, 2.4673]


@pytest.mark.parametrize(
    ("method", "how", "expected"),
    [
        # PyTorch 2.13, interpolate(scale_factor=1.7), align_corners True and False.
        ("bilinear", "align-corners", LINEAR_ALIGNED),
        (
            "bilinear",
            "pytorch-half-pixel",
            [0, 1.147059, 2.911765, 1.882353, 2.029413, 6.14706, 6.058823, 2.529411],
        ),
        ("bicubic", "align-corners", CUBIC_ALIGNED),
        ("bicubic", "pytorch-half-pixel", CUBIC),
        # ONNX Runtime 1.32, Resize(scales=1.7), opset 19.
        ("bilinear", "asymmetric", [0, 1.764706, 2.647059, 1.470588, 3.470587, 7.588235, 4.82353, 2]),
        ("bilinear", "half-pixel-symmetric", [0, 1.588235, 2.764706, 1.588235, 3.058822, 7.17647, 5.176471, 2]),
        (
            "bilinear",
            "tf-half-pixel-for-nn",
            [0.882353, 2.647059, 2.058824, 1.411765, 5.529411, 6.588236, 3.058825, 2],
        ),
        ("bicubic", "asymmetric", [0, 2.010482, 2.82872, 0.795846, 3.494096, 7.903317, 5.417058, 1.587826]),
        (
            "bicubic",
            "half-pixel-symmetric",
            [-0.11724, 1.797069, 2.946371, 0.913496, 2.964174, 7.709239, 5.890902, 1.765519],
        ),
        (
            "bicubic",
            "tf-half-pixel-for-nn",
            [0.909831, 2.843985, 1.747403, 1.262772, 6.191022, 7.453491, 3.052413, 1.358841],
        ),
    ],
)
def test_filters_make_what_frameworks_make(method: str, how: str, expected: list[float]) -> None:
    cubic: dict[str, Any] = {"a": -0.75} if method == "bicubic" else {}
    # Frameworks keep factors as float32, so that is what their users have.
    for factor in (1.7, float(np.float32(1.7))):
        have = upscale(SOURCE, (1, factor), METHODS[method], grid=how, edge="repeat", **cubic)[0]
        np.testing.assert_allclose(have, expected, atol=1e-5)


def test_outputs_without_the_outside_are_those_of_onnx_runtime() -> None:
    """`exclude_outside=1`, `cubic_coeff_a=-0.5`: that is our own rule."""
    expected = [0, 1.877665, 2.830857, 0.957256, 3.329533, 7.912275, 4.992554, 1.701987]
    np.testing.assert_allclose(upscale(SOURCE, (1, 1.7), "bicubic", grid="asymmetric")[0], expected, atol=1e-5)


ONNX_NEAREST = """
    half-pixel-symmetric  00112234 0001122334  01223344 0112233444  01122334 0011223344  01122334 0011223344
    pytorch-half-pixel    00012233 0001122334  01123344 0112233444  00122334 0011223344  00122334 0011223344
    align-corners         00112234 0001122334  01223344 0112233444  01122334 0011223344  01122334 0011223344
    asymmetric            00112234 0011223344  01223344 0112233444  01122344 0011223344  01122344 0112233444
    tf-half-pixel-for-nn  00122334 0011223344  11233444 1122334444  01123344 0112233444  01123344 0112233444
"""
"""ONNX Runtime 1.32: samples at factors 1.7 and 2, by floor, ceil, round_prefer_floor and round_prefer_ceil."""


@pytest.mark.parametrize("line", ONNX_NEAREST.strip().splitlines(), ids=lambda line: line.split()[0])
def test_nearest_makes_what_onnx_runtime_makes(line: str) -> None:
    grid, *expected = line.split()
    for number, want in enumerate(expected):
        rounding = ("floor", "ceil", "round-prefer-floor", "round-prefer-ceil")[number // 2]
        have = upscale(COUNTED, (1, (1.7, 2)[number % 2]), "nearest", grid=grid, rounding=rounding)[0]
        assert "".join(map(str, have)) == want, (rounding, number)


SCIPY = {
    "mirror": {},
    "reflect": {"edge": "reflect"},
    "nearest": {"edge": "repeat"},
    "grid-constant": {"edge": "zero"},
    "default": {"grid": "align-corners"},
}
"""What we call the modes of `scipy.ndimage.zoom`, and what it does without `mode` and `grid_mode`."""
ZOOMED = """
    2 mirror 0.20886949 1.13717831 2.98460478 0.84949449 2.90831801 7.94508272 4.30813419 2.42394301
    2 reflect -0.37413269 1.54449642 2.96227134 0.84250158 2.8546967 7.89710366 5.13977082 1.2394344
    3 mirror 0.28297642 1.24328613 2.95164272 0.87976074 3.2076416 7.94728306 4.4173584 2.54758998
    3 reflect -0.50732915 1.78783353 2.90983392 0.86096848 3.06163902 7.85425972 5.49618955 1.01158791
    3 nearest -0.34612505 1.67393332 2.91856777 0.8647806 3.09247257 7.87387233 5.26879889 1.32698592
    3 grid-constant -0.345266 1.6704023 2.92024107 0.87986457 3.0562162 7.85487615 5.48089731 1.02168803
    3 default 0 1.84922949 2.79925031 0.82174094 2.96251562 7.70220741 5.60849646 2.0
    4 mirror 0.26105814 1.26259909 2.94298393 0.73087609 3.24116981 7.9728608 4.34421244 2.480519
    4 default 0 1.92007119 2.78753032 0.67795477 2.98935052 7.77765085 5.59837946 2.0
    5 mirror 0.27551458 1.29177509 2.93137592 0.69375076 3.31576023 7.98106819 4.33480324 2.48977759
    5 nearest -0.4920837 1.92807601 2.87728663 0.68651041 3.09995361 7.86335755 5.47853174 1.1465942
"""
"""SciPy 1.17, `zoom(line, 1.6, order=…, mode=…, grid_mode=True)`. Of so short a line, its reflect is 3e-6 off."""


@pytest.mark.parametrize("row", ZOOMED.strip().splitlines(), ids=lambda row: "-".join(row.split()[:2]))
def test_spline_makes_what_scipy_makes(row: str) -> None:
    order, mode, *expected = row.split()
    for dtype, tolerance in (("f8", 3e-6 if mode == "reflect" else 2e-7), ("f4", 1e-5)):
        parameters: dict[str, Any] = {"order": int(order), **SCIPY[mode]}
        have = upscale(SOURCE.astype(dtype), (1, 1.6), METHODS["spline"], **parameters)[0]
        np.testing.assert_allclose(have, np.array(expected, float), atol=tolerance)


def test_a_factor_in_float32_stands_for_the_simple_one() -> None:
    """In float32, 123/1.23 is 100, and 1.23·200 is 246."""
    factor = np.float32(1.23)
    have = upscale(np.arange(200)[None], (1, float(factor)), "nearest", grid="asymmetric", rounding="floor")[0]
    assert have.tolist() == np.floor(np.arange(246, dtype="f4") / factor).tolist()
    factor = np.float32(1.234)
    assert upscale(np.zeros((1, 1000)), (1, float(factor)), "nearest", grid="asymmetric").shape == (1, 1234)


def test_factors_of_many_digits_are_exact_on_long_sides() -> None:
    """Positions as integers over a common divisor would be more than 64 bits hold."""
    have = upscale(np.arange(5000)[None], (1, math.pi), "nearest", grid="asymmetric", rounding="floor")[0]
    assert have.tolist() == np.floor(np.arange(math.floor(5000 * math.pi)) / math.pi).tolist()


# What they mean for images.


def test_zeros_beyond_the_border_are_rounded_once_and_fade() -> None:
    source = np.random.default_rng(2).integers(0, 256, (6, 7, 4), np.uint8)
    for method in ("bilinear", "lanczos"):
        exact = upscale(source.astype("f8"), 2.5, METHODS[method], edge="zero")
        have = upscale(source, 2.5, METHODS[method], edge="zero")
        assert_rounded(have, exact)
    white = Image.new("RGBA", (4, 4), (255, 255, 255, 255))
    made, _ = enlarged(encoded(white, "PNG"), "png", scale=2, method="bilinear", parameters={"edge": "zero"})
    with Image.open(io.BytesIO(made)) as image:
        corner = np.asarray(image)[0, 0]
    assert corner.tolist() == [255, 255, 255, 143]  # 255·(3/4)², and white as far as it can be seen


@pytest.mark.parametrize("colours", ["420mpeg2", "420jpeg"])
@pytest.mark.parametrize("grid", GRIDS)
def test_chroma_follows_luma_to_any_grid(grid: str, colours: str) -> None:
    """All planes are one slope across the picture, which bilinear interpolation keeps inside of it."""
    film = Y4m(colours, 16, 12)
    centre = CENTRES[colours][1]
    steps = [(1, Fraction(0)), (2, centre), (2, centre)]
    planes = film.planes(0)
    for plane, (step, first) in zip(planes, steps, strict=True):
        plane[...] = [8 * (step * j + first) for j in range(plane.shape[1])]
    stream = y4m_head(colours, 16, 12) + b"FRAME\n" + b"".join(map(bytes, planes))
    done = call("-", "-m", "bilinear", "-s", "4", "-p", f"grid={grid}", data=stream)
    assert done.exit_code == 0, done.stderr
    (made,) = film.split(done.stdout_bytes, (48, 64))
    for source, plane, (step, first) in zip(planes, made, steps, strict=True):
        slope = [8 * place(grid, step * j + first, 16, 64, Fraction(4)) for j in range(plane.shape[1])]
        exact = np.clip(np.array(slope, float), source.min(), source.max())
        assert np.abs(plane - exact).max() <= 0.51


def test_chroma_has_the_edge_of_luma() -> None:
    film = Y4m("420jpeg", 4, 4)
    flat = b"".join(np.full(shape, 100, np.uint8).tobytes() for shape in film.shapes(film.size))
    stream = y4m_head("420jpeg", 4, 4) + b"FRAME\n" + flat
    (made,) = film.split(call("-", "-m", "bilinear", "-p", "edge=zero", data=stream).stdout_bytes, (8, 8))
    assert [int(plane[0, 0]) for plane in made] == [56, 56, 56]  # 100·(3/4)²


def test_a_georeference_needs_the_grid_of_pixel_centres() -> None:
    tags = [(33550, "d", 3, (10.0, 20.0, 0.0)), (33922, "d", 6, (0.0, 0.0, 0.0, 500.0, 900.0, 0.0))]
    file = saved(GREY, *tags, photometric="minisblack")
    made, result = enlarged(file, scale=2, method="bilinear", parameters={"grid": "align-corners"})
    assert result.notes == ["its georeference, which needs grid=half-pixel, not align-corners, is left out"]
    assert 33550 not in pages_of(made)[0].tags


def test_what_cannot_be_is_refused_by_name() -> None:
    for method, parameters, words in (
        ("bicubic", {"a": -0.75, "b": 0.5}, "bicubic: a says what b and c say; omit a, or b and c."),
        ("lanczos", {"grid": "tf-crop-and-resize"}, "lanczos: grid=tf-crop-and-resize is not half-pixel or align"),
        ("nearest", {"rounding": "up"}, "nearest: rounding=up is not round-prefer-ceil or"),
        ("nearest", {"edge": "zero"}, "nearest: edge=zero is not repeat or"),
        ("spline", {"order": 1}, "spline: order=1 is not an integer from 2 to 5."),
    ):
        with pytest.raises(UsageError) as caught:
            upscale(SOURCE, 2, METHODS[method], **parameters)
        assert str(caught.value).startswith(words)

"""Filters by their names, against tables of others; anti-ringing against a plain loop; light bent into a sigmoid."""

import pickle
import re
from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from support import Array, Floats, lanczos, resampled

from upscale_cli import METHODS, UpscaleError, upscale
from upscale_cli.commands.upscale import cli
from upscale_cli.methods import resampling, taps
from upscale_cli.methods.filters import FILTERS
from upscale_cli.methods.method import GROUPS
from upscale_cli.methods.polar_filters import POLAR
from upscale_cli.methods.samples import SRGB, Samples, sigmoidal
from upscale_cli.methods.weights import WINDOWS
from upscale_cli.places.files import FileSource, FileTarget
from upscale_cli.testing import assert_near, assert_rounded, image
from upscale_cli.testing.checks import MethodTests
from upscale_cli.work.request import Request

DISTANCES = np.array([0, 0.3, 0.5, 0.8, 1.4, 1.7, 2.5, 3.4])
IMAGEMAGICK = {
    "hermite": (1, 0.784, 0.5, 0.104, 0, 0, 0, 0),
    "catmull-rom": (1, 0.8155, 0.5625, 0.168, -0.072, -0.0315, 0, 0),
    "mitchell": (0.888889, 0.740389, 0.534722, 0.206222, -0.036, -0.0195, 0, 0),
    "b-spline": (0.666667, 0.590167, 0.479167, 0.282667, 0.036, 0.0045, 0, 0),
    "gaussian": (1, 0.83527, 0.606531, 0.278037, 0.0198411, 0.00308872, 0, 0),
    "lanczos2": (1, 0.826975, 0.573159, 0.177001, -0.0795496, -0.0257535, 0, 0),
    "lanczos": (1, 0.844343, 0.607927, 0.20746, -0.146685, -0.0832311, 0.0243171, 0),
    "hann": (1, 0.846535, 0.61239, 0.21154, -0.157203, -0.0934219, 0.0392996, -0.00485231),
    "hamming a=4": (1, 0.847484, 0.614328, 0.213326, -0.161925, -0.0980667, 0.0463415, -0.0115872),
    "blackman": (1, 0.83905, 0.597473, 0.198611, -0.129736, -0.0705058, 0.0219111, -0.00191607),
    "kaiser": (1, 0.844067, 0.607476, 0.207294, -0.148339, -0.0861853, 0.0348637, -0.0057991),
    "kaiser beta=4 blur=0.9": (1, 0.81712, 0.545692, 0.112365, -0.153857, -0.0384564, 0.0288372, -0.00709753),
    "welch": (1, 0.84981, 0.618936, 0.217241, -0.169145, -0.102839, 0.0389045, 0),
    "bartlett": (1, 0.794014, 0.557042, 0.187098, -0.140554, -0.0871017, 0.0477465, -0.0133558),
    "bohman": (1, 0.835861, 0.592188, 0.195122, -0.125138, -0.0672192, 0.0191716, -0.000966841),
    "cosine": (1, 0.847825, 0.614928, 0.213653, -0.160695, -0.0953302, 0.0329539, 0),
    "parzen": (0.666667, 0.554397, 0.389598, 0.125979, -0.0752862, -0.0380565, 0.00895247, -0.000400673),
    "sinc": (1, 0.858394, 0.63662, 0.233872, -0.216236, -0.151481, 0.127324, -0.0890384),
}
"""Weights at these distances, as `convert -define filter:verbose=1` of ImageMagick 6.9.11 prints them."""
PILLOW = ("box", "bilinear", "hamming", "bicubic", "lanczos", "mks2013", "mks2021")


@pytest.mark.parametrize("text", IMAGEMAGICK)
def test_weights_are_those_of_imagemagick(text: str) -> None:
    name, *given = text.split()
    row = FILTERS[name]
    parameters = METHODS[name].read_parameters(dict(each.split("=") for each in given))
    made, table = row.of(parameters), np.array(IMAGEMAGICK[text])
    for x in (DISTANCES, -DISTANCES):
        weights = made.weight(x)
        np.testing.assert_allclose(weights / weights[0], table / table[0], rtol=0, atol=2e-6)
    assert (made.weight(np.array([made.radius, made.radius + 0.1, 9.5])) == 0).all()


@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("size", [(51, 69), (37, 50), (17, 92)])
def test_filters_are_those_of_pillow(name: str, size: tuple[int, int]) -> None:
    """Pillow 13 has both kernels of Costella. It leaves an axis that keeps its size as it is, and so does this."""
    source = np.random.default_rng(1).random((17, 23), np.float32)
    expected = np.asarray(Image.fromarray(source).resize(size[::-1], Image.Resampling[name.upper()]))
    np.testing.assert_allclose(upscale(source, size=size, method=METHODS[name]), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pixels", [16, 36, 64])
def test_splines_are_natural_splines_between_the_middle_samples(pixels: int) -> None:
    """Dersch's cubics are what a natural spline through 4, 6 or 8 samples is in the middle; it is solved for here."""
    n = round(pixels**0.5)
    second, right = np.eye(n), np.zeros((n, n))  # of second derivatives, which are 0 at the ends
    for i in range(1, n - 1):
        second[i, i - 1 : i + 2], right[i, i - 1 : i + 2] = (1, 4, 1), (6, -12, 6)
    bends, i = np.linalg.solve(second, right), n // 2 - 1
    for t in (0.2, 0.5, 0.9):
        values = (1 - t) * np.eye(n)[i] + t * np.eye(n)[i + 1]
        values += ((1 - t) ** 3 - (1 - t)) / 6 * bends[i] + (t**3 - t) / 6 * bends[i + 1]
        weights = FILTERS[f"spline{pixels}"].default().weight(np.arange(n) - i - t)
        np.testing.assert_allclose(weights, values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in WINDOWS if name in FILTERS and name != "box"])
def test_sinc_under_a_window_is_the_filter_of_that_name(name: str) -> None:
    source, lobes = image((9, 8)), {"hamming": 1, "welch": 3, "cosine": 3, "lanczos": 3}.get(name, 4)
    have = upscale(source, 3, "sinc", window=name, a=lobes, blur=0.9)
    np.testing.assert_array_equal(have, upscale(source, 3, METHODS[name], blur=0.9))


def test_presets_are_their_filters_with_parameters() -> None:
    source, third = image((9, 8)), "1/3"
    for name, other, parameters in (
        ("mitchell", "bicubic", {"b": third, "c": third}),
        ("b-spline", "bicubic", {"b": 1, "c": 0}),
        ("catmull-rom", "bicubic", {}),
        ("lanczos2", "lanczos", {"a": 2}),
        ("box", "nearest", {}),
    ):
        have = upscale(source, 2.5, METHODS[name])
        np.testing.assert_array_equal(have, upscale(source, 2.5, METHODS[other], **parameters))


def test_equal_parameters_make_the_same_filter() -> None:
    """So what is planned with it is kept for the next frame."""
    for row in (*FILTERS.values(), *POLAR):
        assert row.default() is row.default()


@pytest.mark.parametrize("row", FILTERS.values(), ids=lambda row: row.name)
def test_weights_never_cancel(row: Any) -> None:
    """However it is blurred, a filter leaves something of every position, at borders too."""
    blurs = [p for p in row.parameters if p.name == "blur"]
    for blur in (blurs[0].kind.low, 1, blurs[0].kind.high) if blurs else (1,):
        made = row.default().blurred(blur)
        u = np.linspace(-0.5, 0.5, 101)
        sums = made.weight(np.arange(20)[:, None] - u).sum(axis=0)
        assert sums.min() > 0.1
        parameters: dict[str, Any] = {"blur": blur} if blurs else {}
        assert np.isfinite(upscale(np.eye(3), 3.7, METHODS[row.name], **parameters)).all()


def test_summaries_say_how_many_pixels_a_result_is_made_of() -> None:
    """By default: those of a square, or those of a disc, both as wide as the filter."""
    counted = 0
    for method in METHODS.values():
        if method.filter and (said := re.search(r"(\d+ x )?(\d+) (nearest )?pixels", method.summary)):
            radius = method.filter.of(method.read_parameters({})).radius
            assert int(said[2]) == round(pi * radius**2 if method.filter.polar else 2 * radius), method.name
            counted += 1
    assert counted == len(FILTERS) + len(POLAR) - 2  # all but box and spline


def test_every_method_of_the_package_has_a_group_and_fits_on_a_line() -> None:
    assert {method.group for method in METHODS.values()} <= GROUPS.keys() - {"other"}
    assert max(len(method.when) for method in METHODS.values()) <= 61
    assert sum(method.compared for method in METHODS.values()) == 6


def call(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    assert result.exit_code == status, result.output
    return result


# Anti-ringing.


def held(exact: Floats, source: Array, amount: float, known: Array | None = None) -> Floats:
    """Results (H', W', C), held within the range of the nearest samples that are known, by a plain loop."""
    made = exact.copy()
    for y, rows in enumerate(near(source.shape[0], exact.shape[0])):
        for x, columns in enumerate(near(source.shape[1], exact.shape[1])):
            part = source[rows, columns].reshape(-1, source.shape[2]).astype(float)
            part = part if known is None else part[known[rows, columns].ravel()]
            if len(part):
                clamped = np.clip(exact[y, x], part.min(axis=0), part.max(axis=0))
                made[y, x] = (1 - amount) * exact[y, x] + amount * clamped
    return made


def near(n_in: int, n_out: int) -> Iterator[slice]:
    """The samples within 1 of each output, or within one pixel of the output; at least one."""
    reach = max(Fraction(1), Fraction(n_in, n_out))
    for j in range(n_out):
        u = (j + Fraction(1, 2)) * n_in / n_out - Fraction(1, 2)
        yield slice(max(0, ceil(u - reach)), min(n_in - 1, floor(u + reach)) + 1)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize(("size", "amount"), [((18, 20), 1), ((27, 25), 0.25), ((9, 23), 1), ((14, 17), 0.5)])
def test_results_are_held_within_the_nearest_pixels(dtype: str, size: tuple[int, int], amount: float) -> None:
    source = image((9, 10, 3), dtype, seed=3)
    exact = held(resampled(source, size, lanczos(3), 3), source, amount)
    have = upscale(source, size=size, method="lanczos", antiring=amount)
    if dtype.startswith("f"):
        assert_near(have, exact, 1e-6)
    else:
        assert_rounded(have, exact, 0.02 if dtype.endswith("2") else 1e-3)
    assert (upscale(source, size=size, method="lanczos", antiring=0) == upscale(source, size=size)).all()


def test_one_channel_and_many_are_held_alike() -> None:
    source = image((9, 10, 6))
    have = upscale(source, 3, "lanczos", antiring=1)
    for channel in range(6):
        np.testing.assert_array_equal(have[..., channel], upscale(source[..., channel], 3, "lanczos", antiring=1))
    exact = upscale(source, 3, "lanczos")
    assert exact.min() < have.min() or (exact != have).any()


def test_flips_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "LEAST_VALUES", 0)
    monkeypatch.setattr(resampling, "BLOCK", 60)
    resampling.planned.cache_clear()
    source = image((90, 13, 3))
    have = upscale(source, (2.27, 3), "lanczos", antiring=1)
    exact = held(resampled(source, have.shape[:2], lanczos(3), 3), source, 1)
    assert_rounded(have, exact)
    upsampler = made_of(source, (Fraction("2.27"), Fraction(3)), antiring=1)
    assert upsampler.band < len(have) / 3
    whole = upsampler.rows(0, len(have))
    for start, stop in ((0, 1), (63, 65), (40, 170), (203, len(have))):
        np.testing.assert_array_equal(upsampler.rows(start, stop), whole[start:stop])
    resampling.planned.cache_clear()
    for turned in (np.s_[::-1], np.s_[:, ::-1]):
        again = upscale(source[turned], (3, 3), "mitchell", antiring=1)[turned]
        assert np.abs(again.astype(int) - upscale(source, (3, 3), "mitchell", antiring=1)).max() <= 1


def made_of(source: Array, scale: Any, **parameters: Any) -> Any:
    tests = MethodTests()
    tests.method = METHODS["lanczos"]
    return tests.upsampler(source, scale, **parameters)


@pytest.mark.parametrize("name", ["bilinear", "hermite", "b-spline", "gaussian", "box", "hamming"])
def test_filters_without_negative_lobes_are_left_alone(name: str) -> None:
    source = image((30, 23, 3), "f4")
    for scale in (1, 2, 2.3):
        expected = upscale(source, scale, METHODS[name])
        np.testing.assert_array_equal(upscale(source, scale, METHODS[name], antiring=1), expected)


@pytest.mark.parametrize("amount", [0.5, 1])
def test_samples_that_are_not_finite_reach_no_further(amount: float) -> None:
    source = image((9, 10, 1), "f4")
    source[2, 3], source[6, 6] = np.nan, np.inf
    for scale in (2, 3):
        with np.errstate(invalid="ignore"):
            plain, have = upscale(source, scale), upscale(source, scale, antiring=amount)
        far = np.isfinite(plain)
        assert (np.isfinite(have) >= far).all()
        finite = np.where(np.isfinite(source), source, 0)
        expected = held(resampled(finite, plain.shape[:2], lanczos(3), 3), finite, amount)
        away = np.zeros_like(far)
        away[: 2 * scale, 7 * scale :] = True  # of everything that is near one of them, the filter's radius included
        assert np.isfinite(have[away]).all()
        assert_near(have[away], expected[away])


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("amount", [0.4, 1])
def test_colours_are_held_without_their_opacity(dtype: str, amount: float) -> None:
    """A colour stays within those of the visible pixels beside it, and opacity within theirs."""
    source = image((9, 10, 4), "u1", seed=4)
    source[..., 3] = np.where(image((9, 10), "u1", seed=5) < 90, 0, np.where(source[..., 3] < 128, 60, 255))
    full = 1.0 if dtype == "f4" else float(np.iinfo(dtype).max)
    source = (source * (full / 255)).astype(dtype)
    opacity = source[..., 3:].astype(float)
    weighed = np.concatenate([source[..., :3] * opacity / full, opacity], axis=2)
    exact = resampled(weighed, (27, 30), lanczos(3), 3)
    shown = held(exact[..., 3:], opacity, amount)
    colours = exact[..., :3] / np.where(exact[..., 3:] == 0, 1, exact[..., 3:]) * full
    expected = held(colours, source[..., :3], amount, source[..., 3] > 0)

    samples = Samples(source.dtype, 4, source.dtype, alpha=True, constants=True)
    tests = MethodTests()
    tests.method = METHODS["lanczos"]
    made = tests.upsampler(source, 3, samples, antiring=amount)
    have = made.rows(0, 27, np.empty((27, 30, 4), dtype), samples.finisher(weighed=True, averages=made.averages))
    seen = (shown[..., 0] > full / 50) & (exact[..., 3] > full / 50)
    error = np.abs(have - np.concatenate([expected, shown], axis=2))[seen]
    limit = np.clip(np.concatenate([expected, shown], axis=2), 0, full)[seen]
    error = error if dtype == "f4" else np.abs(have[seen] - limit)
    assert error.max() <= (1e-4 if dtype == "f4" else 0.51)
    assert seen.mean() > 0.5


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_flat_colour_stays_flat_when_it_is_held(dtype: str) -> None:
    """Whatever opacity is: noise, its lowest values, all or nothing, the lowest beside full."""
    full, colour = np.iinfo(dtype).max, np.array([200, 7, 90], dtype)
    tests = MethodTests()
    tests.method = METHODS["lanczos"]
    source = image((12, 13, 4), dtype, seed=3)
    noise = source[..., 3].copy()
    for opacity in (noise, noise % 4, np.where(noise > full // 2, full, 0), np.where(noise % 4 > 0, 1, full)):
        source[..., 3] = opacity
        source[opacity > 0, :3] = colour
        samples = Samples(source.dtype, 4, source.dtype, alpha=True, constants=True)
        for scale, amount in ((2, 0.3), (3, 1), (4, 0.7)):
            made = tests.upsampler(source, scale, samples, antiring=amount)
            have = made.rows(0, 12 * scale, np.empty((12 * scale, 13 * scale, 4), dtype), samples.finish)
            assert (have[have[..., 3] > 0, :3] == colour).all()


def test_palettes_and_streams_are_held_as_colours_are(tmp_path: Path) -> None:
    drawn = Image.fromarray(image((12, 13, 3))).quantize(9)
    drawn.save(tmp_path / "palette.png")
    drawn.convert("RGB").save(tmp_path / "colours.png")
    for name in ("palette", "colours"):
        call(tmp_path / f"{name}.png", "-p", "antiring=1", "-o", tmp_path / f"{name}_out.png")
        made = np.asarray(Image.open(tmp_path / f"{name}_out.png").convert("RGB"))
        np.testing.assert_array_equal(made, upscale(np.asarray(drawn.convert("RGB")), 2, antiring=1))


def test_smaller_results_are_held_too(tmp_path: Path) -> None:
    """Within the pixels that one of the result covers, and its neighbours."""
    source = image((24, 30))
    Image.fromarray(source).save(tmp_path / "in.png")
    call(tmp_path / "in.png", "-s", "0.5", "--allow-smaller", "-p", "antiring=1", "-o", tmp_path / "out.png")
    exact = np.zeros((12, 15, 1))
    for y, x in np.ndindex(12, 15):
        rows, columns = (
            np.array([lanczos(3)(abs(Fraction(4 * i - 8 * j - 2, 8))) for i in range(n)])
            for n, j in ((24, y), (30, x))
        )
        exact[y, x] = rows @ source @ columns / rows.sum() / columns.sum()
    assert_rounded(np.asarray(Image.open(tmp_path / "out.png"))[..., None], held(exact, source[..., None], 1))


@pytest.mark.parametrize("method", ["lanczos", "bilinear"])
def test_long_sides_are_held_as_short_ones(method: str) -> None:
    source = np.random.default_rng(4).random((1, taps.LONGEST // 2 + 1, 2))
    have = upscale(source, 2, METHODS[method], antiring=1)
    for part, kept in ((np.s_[:, :90], np.s_[:, :160]), (np.s_[:, -90:], np.s_[:, -160:])):
        assert_near(have[kept], upscale(source[part], 2, METHODS[method], antiring=1)[kept], 1e-12)


def test_strength_is_checked() -> None:
    with pytest.raises(UpscaleError, match=r"lanczos: antiring=1.5 is not 0 to 1\."):
        upscale(np.eye(3), 2, "lanczos", antiring=1.5)


# A sigmoid of light.


def test_sigmoidal_light_is_imagemagicks() -> None:
    """`-colorspace RGB +sigmoidal-contrast 6.5x75% -filter Catrom -resize 200% …` and back, in 16 bits.

    ImageMagick 6.9.11 rounds each step to 16 bits, and looks the curve up in a table.
    """
    codes = np.array([12, 200, 255, 3, 90, 90, 30, 240], np.uint16) * 257
    source = np.repeat(codes[None, :, None], 3, axis=0)
    samples = Samples(source.dtype, 1, source.dtype, transfer=sigmoidal(SRGB), constants=True)
    tests = MethodTests()
    tests.method = METHODS["bicubic"]
    made = tests.upsampler(source, 2, samples)
    have = made.rows(2, 3, np.empty((1, 16, 1), np.uint16), samples.finish)[0, :, 0]
    expected = [
        0,
        9769,
        36973,
        59759,
        65535,
        56317,
        10633,
        1266,
        16456,
        25558,
        25127,
        18332,
        7666,
        15955,
        52184,
        64520,
    ]
    np.testing.assert_allclose(have, expected, rtol=0, atol=12)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
def test_every_value_comes_back_from_the_sigmoid(dtype: str) -> None:
    """Those beyond black and white too, which floats have."""
    kind = np.dtype(dtype)
    values = np.linspace(-3, 40, 10001) if kind.kind == "f" else np.arange(np.iinfo(kind).max + 1)
    source = values.astype(kind)[None, :, None]
    samples = Samples(kind, 1, kind, transfer=sigmoidal(SRGB))
    again = np.empty_like(source)
    light = samples.read(source)
    assert (np.diff(light[0, :, 0]) > 0).all()
    samples.finish(light, again)
    if kind.kind == "f":
        np.testing.assert_allclose(again, source, rtol=1e-5 if dtype == "f4" else 1e-12, atol=1e-6)
    else:
        np.testing.assert_array_equal(again, source)


def test_sigmoid_leaves_smaller_halos_than_light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = np.full((8, 16, 3), 30, np.uint8)
    step[:, 8:] = 230
    Image.fromarray(step).save(tmp_path / "in.png")
    low = {}
    for word in ("--linear", "--linear=light", "--linear=sigmoid"):
        # Alone it stands before a file.
        call(word, tmp_path / "in.png", "-s", 4, "-o", tmp_path / f"{word}.png")
        low[word] = int(np.asarray(Image.open(tmp_path / f"{word}.png")).min())
    assert low["--linear"] == low["--linear=light"] == 0 < low["--linear=sigmoid"]
    call("--linear", "sigmoid", tmp_path / "in.png", "-s", 4, "-o", tmp_path / "spaced.png", "-j", 2, "-v")
    assert (tmp_path / "spaced.png").read_bytes() == (tmp_path / "--linear=sigmoid.png").read_bytes()
    (tmp_path / "--linear").write_bytes((tmp_path / "in.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    call("-o", "named.png", "--linear", "--", "--linear")
    said = call("--linear=dark", tmp_path / "in.png", status=2).stderr
    assert "'dark' is not one of 'light', 'sigmoid'" in said


def test_sigmoid_reaches_other_processes_and_pipes(tmp_path: Path) -> None:
    Image.fromarray(image((9, 8, 3))).save(tmp_path / "in.png")
    call("--linear=sigmoid", tmp_path / "in.png", "-o", tmp_path / "out.png")
    piped = CliRunner().invoke(cli, ["--linear=sigmoid", "-"], input=(tmp_path / "in.png").read_bytes())
    assert piped.stdout_bytes == (tmp_path / "out.png").read_bytes()
    request = pickle.loads(pickle.dumps(Request(method=METHODS["lanczos"], linear="sigmoid", overwrite=True)))
    request.carry_out(FileSource(tmp_path / "in.png"), FileTarget(tmp_path / "again.png"))
    assert piped.stdout_bytes == (tmp_path / "again.png").read_bytes()

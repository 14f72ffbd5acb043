"""Reducing, measuring, fitting: against the field's own measure where it is, and against sums written out."""

import importlib.util
import json
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from support import SHARED, Array, Floats, keys, lanczos, needs_shared

from upscale_cli import UpscaleError, upscale
from upscale_cli.commands.evaluate import cli as evaluate_cli
from upscale_cli.commands.fit import cli as fit_cli
from upscale_cli.learning import REDUCTION_NAMES
from upscale_cli.learning.evaluate import Trial
from upscale_cli.learning.fit import KernelFit, PhotographFit
from upscale_cli.learning.measure import luma, luma_8bit, psnr, round_8bit, ssim
from upscale_cli.learning.reduction import reduce

SAMPLES = Path(__file__).parents[1] / "sample_images"
SCENE = SAMPLES / "scene.png"


def scene() -> Array:
    with Image.open(SCENE) as image:
        return np.asarray(image.convert("RGB"))


def noise(*shape: int) -> Floats:
    return np.random.default_rng(0).random(shape) * 255


# Reduction.


@pytest.mark.parametrize("factor", [Fraction(2), Fraction(3), Fraction(4), Fraction(3, 2), Fraction(5, 2)])
@pytest.mark.parametrize("name", ["bicubic", "lanczos"])
def test_reduction_is_a_sum_over_a_mirrored_image(name: str, factor: Fraction) -> None:
    weight, radius = {"bicubic": (keys(Fraction(-1, 2)), 2), "lanczos": (lanczos(3), 3)}[name]
    line = noise(60)
    expected = []
    for j in range(int(60 / factor)):
        u = (j + Fraction(1, 2)) * factor - Fraction(1, 2)
        taps = range(math.floor(u - radius * factor), math.ceil(u + radius * factor) + 1)
        weights = [weight(abs(i - u) / factor) for i in taps]
        mirrored = [line[min(i % 120, 119 - i % 120)] for i in taps]
        expected.append(np.dot(weights, mirrored) / sum(weights))
    have = reduce(np.tile(line, (60, 1)), factor, name)
    np.testing.assert_allclose(have, np.tile(expected, (len(have), 1)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", REDUCTION_NAMES)
def test_reduction_keeps_constants_and_commutes_with_flips(name: str) -> None:
    np.testing.assert_allclose(reduce(np.full((12, 12), 7.0), 3, name), 7, rtol=1e-14)
    image = noise(12, 24, 2)
    np.testing.assert_allclose(
        reduce(image[::-1, ::-1], 4, name), reduce(image, 4, name)[::-1, ::-1], rtol=0, atol=1e-10
    )


def test_box_is_the_mean_and_gaussian_blurs_more_than_bicubic() -> None:
    image = noise(8, 6)
    np.testing.assert_allclose(reduce(image, 2, "box"), image.reshape(4, 2, 3, 2).mean(axis=(1, 3)), rtol=1e-13)
    assert reduce(image, 2, "gaussian").std() < reduce(image, 2).std()


def test_what_cannot_be_reduced_is_refused() -> None:
    with pytest.raises(UpscaleError, match='unknown reduction "bicubik"'):
        reduce(noise(4, 4), 2, "bicubik")
    with pytest.raises(ValueError, match="not multiples of 3"):
        reduce(noise(4, 6), 3)


# Measures.


def test_luma_by_hand() -> None:
    # ITU-R BT.601: 16 + 219 · (0.299, 0.587, 0.114), to the five digits of MATLAB's matrix.
    primaries = luma(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]))
    np.testing.assert_allclose(primaries, [81.481, 144.553, 40.966, 235.0], rtol=0, atol=1e-9)
    assert round_8bit(np.array([-3.0, 0.5, 254.5, 300.0])).tolist() == [0, 1, 255, 255]


def test_psnr_by_hand() -> None:
    reference = np.zeros((6, 6))
    off = reference + 5.1
    assert psnr(off, reference) == pytest.approx(20 * math.log10(255 / 5.1))
    off[0] = 255
    assert psnr(off, reference, 1) == pytest.approx(20 * math.log10(50))
    assert psnr(reference, reference) == math.inf


def test_ssim_of_flat_planes_by_hand() -> None:
    c1 = (0.01 * 255) ** 2
    assert ssim(np.full((20, 20), 100.0), np.full((20, 20), 50.0)) == pytest.approx(
        (2 * 100 * 50 + c1) / (100**2 + 50**2 + c1)
    )


@pytest.fixture(scope="module")
def field() -> ModuleType:
    """Return the module of an independent implementation of PSNR and SSIM."""
    found = importlib.util.spec_from_file_location("field_evaluate", SHARED / "evaluate.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@needs_shared
def test_measures_and_reductions_are_those_of_the_field(field: Any) -> None:
    image, other = noise(60, 84), np.clip(noise(60, 84) + np.random.default_rng(1).normal(size=(60, 84)) * 9, 0, 255)
    for factor in (2, 3, 4, 6):
        np.testing.assert_allclose(reduce(image, factor), field.imresize(image, 1 / factor), rtol=0, atol=1e-10)
    assert psnr(image, other, 3) == pytest.approx(field.psnr(field.shave(image, 3), field.shave(other, 3)))
    assert ssim(image, other, 2) == pytest.approx(field.ssim(field.shave(image, 2), field.shave(other, 2)))
    rgb = scene()
    np.testing.assert_array_equal(luma_8bit(rgb), field.round8(field.rgb2y(rgb)))


# Trials.


def test_a_trial_is_the_protocol_written_out() -> None:
    rgb = scene()[:61, :83]
    reference = luma_8bit(rgb)[:60, :81]
    trial = Trial.of(luma_8bit(rgb), Fraction(3))
    np.testing.assert_array_equal(trial.reference, reference)
    large = round_8bit(upscale(reduce(reference, 3), 3, "bicubic"))
    score = trial.score("bicubic", {})
    assert score.psnr == pytest.approx(psnr(large, reference, 3), abs=1e-3)
    assert score.ssim == pytest.approx(ssim(large, reference, 3), abs=1e-5)
    assert score.seconds > 0


def test_a_trial_gives_floats_whose_full_intensity_is_1() -> None:
    """Networks with biases tell: they count in parts of full intensity."""
    trial = Trial.of(luma_8bit(scene()), Fraction(2))
    large = 255 * upscale(trial.small / 255, 2, "learned", content="drawing", restore="none")
    expected = psnr(round_8bit(large), trial.reference, 2)
    have = trial.score("learned", {"content": "drawing", "restore": "none"}).psnr
    assert have == pytest.approx(expected, abs=1e-3)
    other = psnr(round_8bit(upscale(trial.small, 2, "learned", content="drawing")), trial.reference, 2)
    assert abs(have - other) > 0.1


def test_what_is_too_small_to_compare_is_refused() -> None:
    with pytest.raises(UpscaleError, match="is 14x40; a comparison needs 15 pixels on each side"):
        Trial.of(noise(40, 14), Fraction(2))


# Fitting.


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("separable", [True, False])
def test_a_fit_finds_the_kernel_that_made_the_pictures(stride: int, symmetric: bool, separable: bool) -> None:
    """Pictures of flat cells are what nearest neighbour makes: its kernel is a square of ones."""
    fit = KernelFit(stride, 3 * stride, "box")
    for seed in range(3):
        small = np.random.default_rng(seed).random((30, 31)) * 255
        fit.add(np.kron(small, np.ones((stride, stride))))
    expected = np.zeros((3 * stride, 3 * stride))
    expected[stride : 2 * stride, stride : 2 * stride] = 1
    np.testing.assert_allclose(fit.solve(0, symmetric, separable), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("stride", "size"), [(2, 6), (2, 4), (3, 7)])
def test_a_fit_is_least_squares_written_out(stride: int, size: int) -> None:
    """Phase by phase, over every pixel whose whole neighbourhood is there, by NumPy's own solver."""
    large = luma_8bit(scene())[: 20 * stride, : 22 * stride]
    fit = KernelFit(stride, size)
    fit.add(large)
    have = fit.solve(0, symmetric=False)
    small, crop = reduce(large, stride), (size - stride) // 2
    radius = -(-crop // stride)
    for a in range(stride):
        for b in range(stride):
            rows = [t for t in range(size) if (t - a - crop) % stride == 0]
            columns = [t for t in range(size) if (t - b - crop) % stride == 0]
            # Output o of the whole meets tap t of input (o + crop − t) / stride.
            offsets = [((a + crop - i) // stride, (b + crop - j) // stride) for i in rows for j in columns]
            centre = offsets.index((0, 0))
            inputs, outputs = [], []
            for y in range(radius, len(small) - radius):
                for x in range(radius, small.shape[1] - radius):
                    values = np.array([small[y + dy, x + dx] for dy, dx in offsets])
                    inputs.append(np.delete(values, centre) - values[centre])
                    outputs.append(large[y * stride + a, x * stride + b] - values[centre])
            weights = np.linalg.lstsq(np.array(inputs), np.array(outputs), rcond=None)[0]
            weights = np.insert(weights, centre, 1 - weights.sum())
            taps = have[np.ix_(rows, columns)].ravel()
            np.testing.assert_allclose(taps, weights, rtol=0, atol=1e-8)


@pytest.mark.parametrize("ridge", [0, 0.1])
@pytest.mark.parametrize(("stride", "size"), [(2, 10), (3, 7), (4, 20)])
def test_no_other_separable_kernel_is_as_good(stride: int, size: int, ridge: float) -> None:
    """Of kernels near by whose phases sum to 1: the squared error of what the tool itself makes, and the ridge."""
    large = luma_8bit(scene())[: 24 * stride, : 30 * stride]
    fit = KernelFit(stride, size)
    fit.add(large)
    kernel = fit.solve(ridge, symmetric=False, separable=True)
    assert np.linalg.matrix_rank(kernel) == 1
    small, border = reduce(large, stride), fit.radius * stride
    side = 2 * fit.radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(small, (side, side))
    strength = ((windows - windows[:, :, fit.radius, fit.radius, None, None]) ** 2).sum() / side**2

    def cost(kernel: Array) -> float:
        made = upscale(small, stride, "transposed-conv", kernel=kernel)
        error = ((made - large)[border:-border, border:-border] ** 2).sum()
        return float(error + ridge * strength * (kernel * kernel).sum())

    least, random = cost(kernel), np.random.default_rng(0)
    factors = kernel.sum(axis=1) / stride, kernel.sum(axis=0) / stride
    np.testing.assert_allclose(np.outer(*factors), kernel, rtol=0, atol=1e-12)
    for _ in range(40):
        changed = []
        for factor in factors:
            change = random.normal(size=size) * 1e-3
            for phase in range(stride):
                change[phase::stride] -= change[phase::stride].mean()
            changed.append(factor + change)
        assert cost(np.outer(*changed)) > least


@pytest.mark.parametrize("separable", [True, False])
def test_symmetry_is_learning_from_all_flips_and_turns(separable: bool) -> None:
    large = luma_8bit(scene())[:60, :60]
    once, often = KernelFit(2, 6), KernelFit(2, 6)
    once.add(large)
    for turns in range(4):
        often.add(np.rot90(large, turns))
        often.add(np.rot90(large[::-1], turns))
    kernel = once.solve(separable=separable)
    np.testing.assert_allclose(kernel, often.solve(symmetric=False, separable=separable), rtol=0, atol=1e-10)
    np.testing.assert_allclose(kernel, kernel.T, rtol=0, atol=1e-12)
    assert np.abs(kernel - once.solve(symmetric=False, separable=separable)).max() > 1e-4


def test_a_fit_keeps_constants_whatever_the_ridge() -> None:
    for ridge in (0, 1e-5, 1):
        fit = KernelFit(3)
        fit.add(luma_8bit(scene()))
        for separable in (True, False):
            kernel = fit.solve(ridge, separable=separable)
            flat = upscale(np.full((9, 8), 0.7), 3, "transposed-conv", kernel=kernel)
            np.testing.assert_allclose(flat, 0.7, rtol=1e-12)


def test_a_fit_beats_the_filters_on_what_it_was_fitted_to() -> None:
    fit = PhotographFit(2, None, "bicubic", per_channel=True)
    fit.add(scene())
    kernel, full = (fit.solve(1e-5, True, separable) for separable in (True, False))
    assert kernel.shape == full.shape == (3, 14, 14)
    scores = fit.compare(scene(), kernel, ("bicubic", "lanczos"))
    assert scores["kernel"] > scores["lanczos"] > scores["bicubic"]
    assert 0 < fit.compare(scene(), full, ())["kernel"] - scores["kernel"] < 0.1


@pytest.mark.parametrize(
    ("stride", "size", "words"),
    [
        (1, None, "at least 2, got 1"),
        (2, 5, "5 x 5 cannot be centred on cells of 2 x 2; its size is 2 or more, and even"),
        (3, 8, "8 x 8 cannot be centred on cells of 3 x 3; its size is 3 or more, and odd"),
        (4, 2, "2 x 2 cannot be centred"),
    ],
)
def test_kernels_that_cannot_be_are_refused(stride: int, size: int | None, words: str) -> None:
    with pytest.raises(UpscaleError, match=words):
        KernelFit(stride, size)


def test_nothing_to_learn_from_is_refused() -> None:
    fit = KernelFit(2)
    with pytest.raises(UpscaleError, match="too small for this kernel, which needs 14 pixels"):
        fit.add(noise(13, 40))
    fit.add(np.full((40, 40), 9.0))
    with pytest.raises(UpscaleError, match="nothing to learn from"):
        fit.solve()


# The commands.


def call(command: click.Command, *arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pieces of the scene in several formats, in a folder with one that is broken and one that is too small."""
    folder = tmp_path_factory.mktemp("photos")
    rgb = scene()
    for number in range(4):
        piece = Image.fromarray(rgb[40 * number : 40 * number + 96, 60 * number : 60 * number + 120])
        (folder / "below").mkdir(exist_ok=True)
        piece.save(folder / ("below" if number % 2 else "") / f"{number}.{('png', 'webp', 'jpg', 'tif')[number]}")
    return folder


def test_fit_writes_a_kernel_that_upscale_takes(photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.npy"
    said = call(fit_cli, photos, "-s", 2, "-o", target, "--json")
    values = json.loads(said.stdout)
    kernel = np.load(target, allow_pickle=False)
    assert values["shape"] == list(kernel.shape) == [14, 14]
    assert np.linalg.matrix_rank(kernel) == 1
    assert values["held_out"] == 1
    assert set(values["psnr"]) == {"kernel", "bicubic", "lanczos"}
    assert "PSNR of 1 held-out photograph: kernel" in said.stderr
    line = [sys.executable, "-m", "upscale_cli", str(SAMPLES / "logo.png"), "-o", str(tmp_path / "made.png")]
    subprocess.run([*line, "-m", "transposed-conv", "--kernel", str(target), "-s", "2"], check=True)
    assert "exists already; use --overwrite" in call(fit_cli, photos, "-o", target, status=1).stderr
    call(fit_cli, photos, "-o", target, "--overwrite", "-q", "--per-channel", "--size", 6, "--no-symmetry")
    assert np.load(target).shape == (3, 6, 6)
    call(fit_cli, photos, "-o", target, "--overwrite", "-q", "--full")
    assert np.linalg.matrix_rank(np.load(target)) > 1


def test_fit_goes_on_without_what_it_cannot_use_and_says_so(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", (9, 9)).save(tmp_path / "a-tiny.png")
    np.save(tmp_path / "array.npy", np.zeros((40, 40)))
    result = call(fit_cli, photos, tmp_path, "-o", tmp_path / "k.npy", status=1)
    assert (tmp_path / "k.npy").is_file()
    for name, why in (("broken", "damaged"), ("a-tiny", "too small"), ("array", "is an array")):
        assert [line for line in result.stderr.splitlines() if name in line and why in line], result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-s", 2], "the kernel needs an output file; add -o kernel.npy"),
        (["-o", "k.png"], '"k.png" is not a .npy file'),
        (["-o", "k.npy", "--size", 5], "cannot be centred"),
    ],
)
def test_fit_refuses_what_makes_no_sense(photos: Path, arguments: list[object], words: str) -> None:
    assert words in call(fit_cli, photos, *arguments, status=2).stderr
    assert "no photograph" in call(fit_cli, photos / "nowhere.png", "-o", "k.npy", status=2).stderr


def test_evaluate_measures_every_method_that_applies(photos: Path) -> None:
    table = call(evaluate_cli, photos, "-s", 3).stdout
    assert table.splitlines()[2].split() == ["method", "PSNR,", "dB", "SSIM", "seconds"]
    names = [line.split()[0] for line in table.splitlines()[3:]]
    assert table.startswith("4 photographs, reduced by a factor of 3 (bicubic).")
    assert names == ["nearest", "bilinear", "bicubic", "lanczos", "transposed-conv", "learned"]
    fewer = call(evaluate_cli, photos, "-s", 1.5).stdout
    assert "transposed-conv" not in fewer
    assert "learned" in fewer


def refuse_constant(name: str) -> None:
    pytest.fail(f"{name} is not JSON")


def test_numbers_that_json_does_not_have_become_null(tmp_path: Path) -> None:
    for name in ("flat-1.png", "flat-2.png"):
        Image.new("RGB", (60, 60), (7, 0, 0)).save(tmp_path / name)
    said = call(evaluate_cli, tmp_path, "-m", "bicubic", "--json").stdout
    method = json.loads(said, parse_constant=refuse_constant)["methods"][0]
    assert method["psnr"] is None
    assert [each["psnr"] for each in method["each"]] == [None] * 2
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)).save(tmp_path / "detail.png")
    said = call(fit_cli, tmp_path / "detail.png", tmp_path / "flat-1.png", "-o", tmp_path / "k.npy", "--json").stdout
    assert json.loads(said, parse_constant=refuse_constant)["psnr"]["bicubic"] is None


def test_evaluate_takes_methods_with_parameters_and_prints_json(photos: Path, tmp_path: Path) -> None:
    kernel = tmp_path / "k.npy"
    np.save(kernel, np.ones((2, 2)))
    asked = ["lanczos:a=4", f"transposed-conv:kernel={kernel},edge=zero", "nearest"]
    words = [word for name in asked for word in ("-m", name)]
    values = json.loads(call(evaluate_cli, photos, *words, "--reduce", "box", "--json").stdout)
    assert values["reduction"] == "box"
    assert [each["method"] for each in values["methods"]] == asked
    own, nearest = values["methods"][1:]
    assert own["psnr"] == pytest.approx(nearest["psnr"], abs=1e-6)
    assert own["psnr"] == pytest.approx(np.mean([each["psnr"] for each in own["each"]]))
    assert len(own["each"]) == 4


def test_of_an_animation_the_first_frame_counts_and_a_line_says_so(photos: Path, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in (0, 100)]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    for command, more in ((evaluate_cli, ["-m", "nearest"]), (fit_cli, [photos, "-o", tmp_path / "k.npy"])):
        done = CliRunner().invoke(command, [str(a) for a in (tmp_path / "moves.gif", "-s", 2, *more)])
        assert done.exit_code == 0, done.output
        assert "moves.gif: only the first of its 2 frames is used.\n" in done.stderr


def test_evaluate_counts_one_photograph_in_the_singular() -> None:
    table = call(evaluate_cli, SCENE, "-m", "nearest").stdout
    assert table.startswith("1 photograph, reduced by a factor of 2 (bicubic).")


def test_evaluate_refuses_a_method_that_lacks_a_required_parameter(photos: Path) -> None:
    """Its indices would be beside an image that is enlarged, and photographs have none."""
    assert "max-unpooling needs indices" in call(evaluate_cli, photos, "-m", "max-unpooling", status=1).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "lanzcos"], 'Did you mean "lanczos"?'),
        (["-m", "lanczos:a"], '"a" in "lanczos:a" is not KEY=VALUE'),
        (["-m", "lanczos:b=1"], 'no parameter "b"'),
        (["-s", 1], "--scale must be one factor above 1"),
        (["-s", "2x3"], "--scale must be one factor above 1"),
        (["--reduce", "sinc"], "sinc"),
    ],
)
def test_evaluate_refuses_what_makes_no_sense(photos: Path, arguments: list[object], words: str) -> None:
    line = [sys.executable, "-m", "upscale_cli.commands.evaluate", str(photos), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1

"""The sample images are what their script writes, and each has the property that it is there for."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageSequence

SAMPLES = Path(__file__).parent.parent / "sample_images"
IMAGES = (
    "animation.gif",
    "gradient-16.png",
    "logo.png",
    "photo.jpg",
    "pixel-art.png",
    "scan.tif",
    "small-text.png",
    "zone-plate.png",
)
ARRAYS = ("kernel-bilinear-2x.npy", "kernel-box-2x2.npy", "kernel-lanczos-2x.npy", "textbook.npy")


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the script created and filled with all samples but the scene, without a warning."""
    folder = tmp_path_factory.mktemp("samples") / "made by the script"
    script = SAMPLES / "make_samples.py"
    subprocess.run([sys.executable, "-B", "-W", "error", script, folder], check=True, timeout=300)
    return folder


def frames(path: Path) -> list[tuple[str, npt.NDArray[np.generic]]]:
    """The mode and the pixels of each frame."""
    with Image.open(path) as image:
        return [(frame.mode, np.array(frame)) for frame in ImageSequence.Iterator(image)]


def load(name: str) -> npt.NDArray[np.float32]:
    """A committed array."""
    array: npt.NDArray[np.float32] = np.load(SAMPLES / name, allow_pickle=False)
    assert array.dtype == np.float32
    return array


def test_the_script_writes_every_committed_sample_but_the_scene(redrawn: Path) -> None:
    kinds = {".png", ".gif", ".jpg", ".tif", ".npy"}
    committed = {path.name for path in SAMPLES.iterdir() if path.suffix in kinds}
    assert {path.name for path in redrawn.iterdir()} == committed - {"scene.png"} == {*IMAGES, *ARRAYS}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_reproduced_to_the_byte(redrawn: Path, name: str) -> None:
    assert (redrawn / name).read_bytes() == (SAMPLES / name).read_bytes()


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_reproduced_to_the_pixel(redrawn: Path, name: str) -> None:
    ours, theirs = frames(redrawn / name), frames(SAMPLES / name)
    assert [mode for mode, _ in ours] == [mode for mode, _ in theirs]
    for (_, have), (_, expected) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(have, expected)


def test_all_files_together_stay_under_a_megabyte() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.iterdir() if path.is_file()) < 1_000_000


@pytest.mark.parametrize("name", [*IMAGES, *ARRAYS, "scene.png"])
def test_readme_has_a_line_for_each_file(name: str) -> None:
    lines = (SAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith(f"| `{name}` |") for line in lines) == 1


def test_zone_plate_reaches_both_ends_of_8_bit_grey() -> None:
    [(mode, pixels)] = frames(SAMPLES / "zone-plate.png")
    assert (mode, pixels.shape) == ("L", (256, 256))
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)


def test_text_is_antialiased_dark_on_light() -> None:
    with Image.open(SAMPLES / "small-text.png") as image:
        grey = np.array(image.convert("L"))
    assert np.median(grey) > 240
    assert grey.min() < 64
    assert len(np.unique(grey)) > 32


def test_pixel_art_is_a_palette_with_a_transparent_index() -> None:
    with Image.open(SAMPLES / "pixel-art.png") as image:
        assert (image.mode, image.size, image.info["transparency"]) == ("P", (32, 32), 0)
        indices, alpha = np.array(image), np.array(image.convert("RGBA"))[..., 3]
    np.testing.assert_array_equal(alpha == 0, indices == 0)
    assert 0.2 < np.mean(indices == 0) < 0.6
    assert len(np.unique(indices)) == 12


def test_logo_hides_loud_colours_under_alpha_0_and_has_soft_edges() -> None:
    [(mode, pixels)] = frames(SAMPLES / "logo.png")
    assert mode == "RGBA"
    hidden = pixels[pixels[..., 3] == 0][:, :3]
    assert {tuple(map(int, colour)) for colour in np.unique(hidden, axis=0)} == {(0, 255, 0), (255, 0, 255)}
    assert len(np.unique(pixels[..., 3])) > 64


def test_gradient_needs_16_bits() -> None:
    [(mode, pixels)] = frames(SAMPLES / "gradient-16.png")
    codes = pixels.astype(np.int64)
    assert mode == "I;16"
    assert len(np.unique(codes)) > 4_000
    assert len(np.unique(codes >> 8)) < 32
    assert np.abs(np.diff(codes, axis=0)).max() < 257
    assert np.abs(np.diff(codes, axis=1)).max() < 257


def test_animation_loops_with_differing_durations() -> None:
    with Image.open(SAMPLES / "animation.gif") as image:
        assert (image.format, image.mode, image.size, image.info["loop"]) == ("GIF", "P", (64, 48), 0)
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert durations == [40, 40, 50, 60, 80, 110, 110, 80, 60, 50, 40, 40]
    pixels = [frame.tobytes() for _, frame in frames(SAMPLES / "animation.gif")]
    assert len(set(pixels)) == 12


def test_scene_is_an_rgb_photograph() -> None:
    [(mode, pixels)] = frames(SAMPLES / "scene.png")
    assert (mode, pixels.shape) == ("RGB", (192, 256, 3))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20_000


def test_photo_is_the_scene_stored_sideways_with_exif() -> None:
    with Image.open(SAMPLES / "photo.jpg") as photo, Image.open(SAMPLES / "scene.png") as scene:
        assert (photo.format, photo.mode, photo.size, photo.info["dpi"]) == ("JPEG", "RGB", (192, 256), (300, 300))
        assert photo.getexif()[ExifTags.Base.Orientation] == 6
        upright = np.asarray(photo.transpose(Image.Transpose.ROTATE_270), float)
        assert np.abs(upright - np.asarray(scene, float)).mean() < 6


def test_scan_is_grey_with_a_resolution() -> None:
    with Image.open(SAMPLES / "scan.tif") as scan:
        assert (scan.format, scan.mode, scan.size, scan.info["dpi"]) == ("TIFF", "L", (320, 136), (300, 300))
        assert scan.info["compression"] == "tiff_adobe_deflate"


def test_textbook_array() -> None:
    np.testing.assert_array_equal(load("textbook.npy"), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("name", "size"),
    [("kernel-box-2x2.npy", 2), ("kernel-bilinear-2x.npy", 4), ("kernel-lanczos-2x.npy", 12)],
)
def test_kernel_phases_sum_to_1_and_are_symmetric(name: str, size: int) -> None:
    kernel = load(name)
    assert kernel.shape == (size, size)
    for row in range(2):
        for column in range(2):
            assert kernel[row::2, column::2].sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(kernel, kernel.T)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], rtol=0, atol=1e-7)


def triangle(distance: float) -> float:
    """The bilinear filter at a distance in input samples."""
    return max(1 - abs(distance), 0)


def lanczos3(distance: float) -> float:
    """The Lanczos filter, a = 3, at a distance in input samples."""
    return float(np.sinc(distance) * np.sinc(distance / 3)) if abs(distance) < 3 else 0.0


@pytest.mark.parametrize(
    ("name", "weight"), [("kernel-bilinear-2x.npy", triangle), ("kernel-lanczos-2x.npy", lanczos3)]
)
def test_kernel_is_its_filter_on_the_pixel_centre_grid(name: str, weight: Callable[[float], float]) -> None:
    """Scatter one bright pixel of a row of 11 by the kernel; gather the same outputs by the filter itself.

    With stride s and size k, input i reaches the outputs s i - (k - s) / 2 onwards.
    """
    kernel = load(name).astype(np.float64)
    size, length, bright = len(kernel), 11, 5
    scattered = np.zeros(2 * length)
    first = 2 * bright - (size - 2) // 2
    scattered[first : first + size] = kernel.sum(axis=0) / 2  # the phases of the other axis sum to 1, and are 2
    for output in range(2 * length):
        place = (output + 0.5) / 2 - 0.5
        weights = [weight(place - sample) for sample in range(-6, length + 6)]
        assert scattered[output] == pytest.approx(weights[bright + 6] / sum(weights), abs=1e-6)

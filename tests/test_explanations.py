"""What is explained: the table of methods, decisions with -v, and warnings, one line a file."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from upscale_cli import METHODS
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli
from upscale_cli.methods.method import GROUPS

SAMPLES = Path(__file__).parents[1] / "sample_images"


def call(*arguments: object, status: int = 0) -> Result:
    """The command in this process."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def decisions(said: str) -> dict[str, str]:
    """Return what `-v` reports about one image, by topic."""
    return dict(re.findall(r"^  (\w+) +(.*)$", said, re.MULTILINE))


def explained(tmp_path: Path, sample: str, *arguments: object, to: str = "out.png") -> dict[str, str]:
    """Return what `-v` reports about a sample image."""
    return decisions(call(SAMPLES / sample, "-v", "-o", tmp_path / to, *arguments).stderr)


def test_the_table_says_first_when_to_use_a_method() -> None:
    lines = call("--methods").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < len(METHODS) + 10
    groups: dict[str, dict[str, str]] = {}
    for line in lines[:-2]:
        name, when = line.split(maxsplit=1)
        if line.startswith(" "):
            groups[list(groups)[-1]][name] = when
        else:
            groups[name.rstrip(":").lower()] = {}
    assert list(groups) == [group for group in GROUPS if group in groups]
    assert groups == {name: {m.name: m.when for m in METHODS.values() if m.group == name} for name in groups}
    assert sum(map(len, groups.values())) == len(METHODS)


def test_a_method_that_does_not_exist_is_not_described() -> None:
    assert 'unknown method "lanczso". Did you mean "lanczos"?' in call("--methods", "lanczso", status=2).stderr


@pytest.mark.parametrize(
    ("sample", "arguments", "about", "words"),
    [
        ("logo.png", [], "method", "lanczos, a=3: windowed sinc over 6 x 6 pixels (Duchon 1979)"),
        ("logo.png", ["-p", "a=5"], "method", "lanczos, a=5"),
        (
            "scene.png",
            ["-m", "transposed-conv"],
            "method",
            "fitted to photographs, 14x14, separable; its phases sum to 1",
        ),
        ("scene.png", ["-m", "transposed-conv", "-p", "edge=zero"], "method", "padding=same, edge=zero"),
        ("scene.png", ["-m", "learned"], "method", "the small network: x2"),
        ("logo.png", ["-m", "learned", "-s", "2.001"], "method", ": the small network: x2; nothing"),
        ("logo.png", ["-m", "learned", "-s", "1.0001"], "method", ": nothing to do"),
        ("logo.png", ["-m", "learned", "-s", "0.5", "--allow-smaller"], "method", ": an antialiased reduction"),
        (
            "pixel-art.png",
            ["-m", "learned", "-s", "5", "-p", "size=large"],
            "method",
            "large network: x2, then x3 by the small one, then",
        ),
        ("logo.png", ["-s", "4"], "size", "4 times, as requested"),
        ("logo.png", [], "size", "2 times, the default"),
        ("scene.png", ["--size", "512"], "size", "2 times, to fit --size 512"),
        ("scene.png", ["-s", "3x2"], "size", "3x2 times"),
        (
            "logo.png",
            [],
            "colour",
            "RGB and alpha, 8 bits, kept; code values are blended; colour is weighed",
        ),
        ("scene.png", ["--linear"], "colour", "RGB, 8 bits, kept; light is blended"),
        ("gradient-16.png", [], "colour", "grey, 16 bits, kept"),
        ("pixel-art.png", ["-m", "nearest"], "colour", "palette, kept: values are only copied"),
        (
            "pixel-art.png",
            [],
            "colour",
            "palette, 8 bits → true colours, because indices cannot be blended → RGB and al",
        ),
        ("logo.png", ["-m", "bed-of-nails"], "colour", "values are only placed"),
        ("logo.png", [], "memory", "about "),
    ],
)
def test_verbose_says_what_was_decided(
    tmp_path: Path, sample: str, arguments: list[str], about: str, words: str
) -> None:
    assert words in explained(tmp_path, sample, *arguments)[about]


def test_verbose_tells_of_alpha_that_is_full(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (9, 8, 7, 255)).save(tmp_path / "in.png")
    said = decisions(call(tmp_path / "in.png", "-v").stderr)
    assert "alpha is full everywhere and set again" in said["colour"]


def test_verbose_tells_of_the_phases_of_a_kernel_that_was_given(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", [[1, 2], [3, 6]])
    said = explained(tmp_path, "logo.png", "-m", "transposed-conv", "--kernel", tmp_path / "k.npy")
    assert said["method"].endswith("the kernel given, 2x2, separable; its phases sum to 1 … 6")


def test_verbose_tells_of_arrays(tmp_path: Path) -> None:
    assert explained(tmp_path, "textbook.npy", to="out.npy")["colour"] == "float32, channels 1; kept as they are"
    light = explained(tmp_path, "textbook.npy", "--linear", to="light.npy")
    assert light["colour"].endswith("as linear light of sRGB")


def test_verbose_tells_what_is_kept_of_metadata(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (4, 4)).save(tmp_path / "in.png", icc_profile=profile, dpi=(300, 300))
    assert decisions(call(tmp_path / "in.png", "-v").stderr)["kept"] == "resolution (DPI), colour profile"
    assert "kept" not in explained(tmp_path, "logo.png")


def test_verbose_tells_how_the_work_is_shared(tmp_path: Path) -> None:
    one = call(SAMPLES / "logo.png", "-v", "-j", 3, "-o", tmp_path / "a.png").stderr
    assert one.startswith("upscale: 1 image, its strips by 3 threads; ")
    two = SAMPLES / "logo.png", SAMPLES / "scene.png"
    shared = call(*two, "-v", "-j", 3, "-o", tmp_path / "shared").stderr
    assert shared.startswith("upscale: 2 images at once, their strips by 3 threads, if memory allows; ")
    several = call(*two, "-v", "-j", 2, "-o", tmp_path / "out").stderr
    assert several.startswith("upscale: 2 images, 2 at once with a thread each, if memory allows; ")
    assert len(re.findall(r"^  memory", several, re.MULTILINE)) == 2


def test_pooling_and_unpooling_explain_themselves(tmp_path: Path) -> None:
    pooled = CliRunner().invoke(pool_cli, [str(SAMPLES / "logo.png"), "-v", "-o", str(tmp_path / "p.png")])
    assert decisions(pooled.stderr)["colour"] == "RGB and alpha, 8 bits, kept; values are only placed"
    said = decisions(call(tmp_path / "p.png", "-m", "max-unpooling", "-v").stderr)
    assert said["size"] == "2 times, as the indices file says"


def test_decisions_are_for_those_who_ask(tmp_path: Path) -> None:
    assert call(SAMPLES / "scene.png", "-o", tmp_path / "out.png").stderr == ""


@pytest.mark.parametrize(
    ("sample", "arguments", "to", "words"),
    [
        (
            "pixel-art.png",
            ["-m", "nearest", "-s", "2.5"],
            "o.png",
            "repeated 2 or 3 times, which shows",
        ),
        (
            "pixel-art.png",
            ["-m", "nearest", "-s", "2x1.5"],
            "o.png",
            "repeated 1 or 2 times, which shows",
        ),
        ("pixel-art.png", ["-m", "nearest", "--size", "33"], "o.png", "1.031 is not an integer factor"),
        ("logo.png", [], "o.jpg", "JPEG: transparency goes onto white; JPEG is lossy, quality 95."),
        ("gradient-16.png", [], "o.jpg", "JPEG: 16 bits a channel become 8; JPEG is lossy, quality 95."),
        ("gradient-16.png", [], "o.webp", "16 bits a channel become 8; WebP is lossy, quality 95."),
        ("logo.png", [], "o.gif", "GIF: no more than 256 colours are kept, and transparency is all or nothing;"),
        ("logo.png", [], "o.bmp", "BMP: transparency goes onto white."),
    ],
)
def test_warnings_are_one_line_a_file(tmp_path: Path, sample: str, arguments: list[str], to: str, words: str) -> None:
    line = [SAMPLES / sample, "-o", tmp_path / to, *arguments]
    said = call(*line).stderr.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"{SAMPLES / sample}: ")
    assert words in said[0]
    assert call(*line, "--overwrite", "--quiet").stderr == ""


def test_all_that_is_lost_of_a_file_is_one_line(tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text("Title", "Grey")
    Image.fromarray(np.full((4, 4), 5, np.uint16)).save(tmp_path / "in.png", pnginfo=text)
    said = call(tmp_path / "in.png", "-o", tmp_path / "out.jpg").stderr
    lost = "JPEG: 16 bits a channel become 8; JPEG cannot store its text entries; JPEG is lossy, quality 95"
    assert said == f"{tmp_path / 'in.png'}: {lost}.\n"


def test_a_checkerboard_is_one_sentence_with_one_stop(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.ones((3, 3)) / 9)
    line = [SAMPLES / "logo.png", "-m", "transposed-conv", "--kernel", tmp_path / "k.npy", "-o", tmp_path / "out.png"]
    said = call(*line).stderr
    assert said.count("\n") == 1
    assert "the kernel's phases sum to 0.1111 … 0.4444: flat areas become a checkerboard" in said
    assert said.endswith("; use a kernel whose phases have equal sums.\n")


@pytest.mark.parametrize("arguments", [["-s", "3"], ["--size", "96"], ["-s", "1"]])
def test_whole_factors_are_not_warned_of(tmp_path: Path, arguments: list[str]) -> None:
    assert call(SAMPLES / "pixel-art.png", "-m", "nearest", "-o", tmp_path / "out.png", *arguments).stderr == ""


def test_a_side_that_becomes_a_multiple_is_even_whatever_was_typed(tmp_path: Path) -> None:
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    assert call(tmp_path / "dot.png", "-m", "nearest", "-s", "1.5").stderr == ""

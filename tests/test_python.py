"""`upscale()` as programs call it: where channels lie, what is no array, wrong arguments, and type checkers."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scripts import ROOT
from support import Array

import upscale_cli
from upscale_cli import METHODS, UpscaleError, upscale
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli
from upscale_cli.methods import MethodName
from upscale_cli.methods.pooling import max_pool


def refusal(*arguments: Any, **named: Any) -> str:
    call: Any = upscale
    with pytest.raises(UpscaleError) as raised:
        call(*arguments, **named)
    return str(raised.value)


def noise(*shape: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


# Where the channels lie.


@pytest.mark.parametrize("method", [name for name in METHODS if name != "max-unpooling"])
def test_channels_first_is_channels_last_moved(method: str) -> None:
    for shape in ((8, 9), (8, 9, 3), (2, 8, 9, 5)):
        source = noise(*shape)
        expected = upscale(source, None, METHODS[method])
        first = [np.moveaxis(each, -1, -3) if each.ndim > 2 else each for each in (source, expected)]
        have = upscale(first[0], None, METHODS[method], channels_first=True)
        np.testing.assert_array_equal(have, first[1])
        assert have.flags.c_contiguous


@pytest.mark.parametrize("count", [1, 2])
def test_indices_have_the_layout_of_the_array(count: int) -> None:
    pooled = [max_pool(noise(8, 6, 3) + n) for n in range(count)]
    values, indices = (np.stack([getattr(each, name) for each in pooled]) for name in ("values", "indices"))
    expected = upscale(values, 2, "max-unpooling", indices=indices)
    first = [np.moveaxis(each, 3, 1) for each in (values, indices, expected)]
    have = upscale(first[0], 2, "max-unpooling", indices=first[1], channels_first=True)
    np.testing.assert_array_equal(have, first[2])
    alone = upscale(first[0][0], 2, "max-unpooling", indices=first[1][0], channels_first=True)
    np.testing.assert_array_equal(alone, first[2][0])


def test_what_a_mask_hides_is_refused() -> None:
    hidden = np.ma.masked_equal(np.array([[1.0, 2.0], [3.0, -9999.0]]), -9999.0)
    assert "give array.filled(value)" in refusal(hidden, 2)
    np.testing.assert_array_equal(upscale(np.ma.masked_equal(hidden.data, 7), 2), upscale(hidden.data, 2))


DOUBTFUL = [
    (1, 3, 8, 8),
    (5, 64, 64),
    (3, 48, 64),
    (1, 1, 20, 30),
    (2, 64, 7, 9),
    (64, 56, 56),
    (16, 16, 16),
    (7, 7, 7),
]
ACCEPTED = [
    (8, 8, 64),
    (7, 9, 64),
    (2, 8, 8, 64),
    (48, 64, 12),
    (3, 5, 4),
    (1, 30, 3),
    (5, 6, 6),
    (1, 1, 512),
    (3, 64),
]


@pytest.mark.parametrize("shape", DOUBTFUL)
def test_doubtful_channels_are_refused_with_two_ways_to_say_it(
    shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = noise(*shape)
    np.save("a.npy", source)
    assert f"array of shape {shape}" in refusal(source.tolist(), 2, "nearest")
    assert refusal(source, 2, "nearest").endswith("say which: channels_first=True or channels_first=False.")
    for command in (cli, pool_cli):
        said = CliRunner().invoke(command, ["a.npy", "-s", "2"])
        assert said.exit_code == 1
        assert said.stderr.startswith(f"a.npy: an array of shape {shape} may be ")
        assert said.stderr.endswith("say which: --channels-first or --channels-last.\n")
        assert len(said.stderr.splitlines()) == 1
    for first, option in ((True, "--channels-first"), (False, "--channels-last")):
        made = upscale(source, 2, "nearest", channels_first=first)
        axes = (-2, -1) if first else (-3, -2)
        np.testing.assert_array_equal(made, source.repeat(2, axes[0]).repeat(2, axes[1]))
        assert CliRunner().invoke(cli, ["a.npy", "-m", "nearest", option, "-o", f"{first}.npy"]).exit_code == 0
        np.testing.assert_array_equal(np.load(f"{first}.npy"), made)


@pytest.mark.parametrize("shape", ACCEPTED)
def test_arrays_with_channels_last_need_no_word(shape: tuple[int, ...], tmp_path: Path) -> None:
    source = noise(*shape)
    rows = source.ndim - 3 if source.ndim > 2 else 0
    expected = source.repeat(2, rows).repeat(2, rows + 1)
    np.testing.assert_array_equal(upscale(source, 2, "nearest"), expected)
    np.save(tmp_path / "a.npy", source)
    assert CliRunner().invoke(cli, [str(tmp_path / "a.npy"), "-m", "nearest"]).exit_code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a_2x.npy"), expected)


# What is no array.


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "I", "F", "I;16", "P", "PA", "CMYK", "YCbCr", "HSV"])
def test_a_pillow_image_is_refused_with_a_line_that_works(mode: str, tmp_path: Path) -> None:
    image = Image.new(mode, (5, 4))
    said = refusal(image, 2)
    found = re.fullmatch(r"a Pillow image is no array; use (.*)\.", said)
    assert found
    names = {"PIL": __import__("PIL.Image"), "numpy": np, "upscale": upscale, "image": image}
    made = eval(found[1].replace("...", "2"), names)  # noqa: S307 - what users copy
    plain = {"P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
    assert (made.size, made.mode) == ((10, 8), plain.get(mode, mode))
    Image.new("L", (5, 4)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:  # a class of its own
        assert "a Pillow image is no array" in refusal(opened)


class Tensor:
    """As much of PyTorch's as the check may look at; reading its values would fail."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


Tensor.__module__ = "torch"


def test_a_tensor_is_refused_with_a_line_that_works() -> None:
    line = "torch.from_numpy(upscale(tensor.detach().cpu().numpy(), ..., channels_first=True))"
    assert refusal(Tensor("torch.float32")) == f"a tensor is no array; use {line}."
    assert "tensor.detach().float().cpu()" in refusal(Tensor("torch.bfloat16"))  # which NumPy does not have


def test_a_real_tensor_comes_back() -> None:
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16, torch.uint8):
        tensor = torch.ones((1, 3, 8, 8), dtype=dtype, requires_grad=dtype.is_floating_point)
        line = refusal(tensor, 2).partition("use ")[2].rstrip(".").replace("...", "2")
        assert eval(line, {"torch": torch, "upscale": upscale, "tensor": tensor}).shape == (1, 3, 16, 16)  # noqa: S307


def test_the_check_imports_neither_pillow_nor_torch() -> None:
    code = "import sys, upscale_cli; upscale_cli.upscale([[1, 2]]); print({'PIL', 'torch'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
    )


# Wrong arguments.


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scale": (0.5, 2)}, 'scale "(0.5, 2)" is not a number of at least 1, or two as (vertical, horizontal).'),
        ({"scale": None, "size": 8}, "size must be two integers (vertical, horizontal), got 8."),
        ({"scale": None, "size": (8.5, 12)}, "two integers (vertical, horizontal), got (8.5, 12)."),
        ({"scale": None, "size": (8, 9, 8, 9)}, "two integers (vertical, horizontal), got (8, 9, 8, 9)."),
        ({"scale": None, "size": "large"}, "two integers (vertical, horizontal), got 'large'."),
        (
            {"scale": None, "size": (3, 12)},
            "(3, 12) is smaller than the image ((4, 6) (vertical, horizontal)), but upscale only enlarges.",
        ),
        ({"scale": (1.5, 2), "method": "bed-of-nails"}, "not (1.5, 2) (vertical, horizontal); try 2."),
        (
            {"scale": 2, "method": "transposed-conv", "padding": (0, -1)},
            "padding=(0, -1) is not same or same-upper or same-lower or an integer of at least 0, or two as",
        ),
        ({"scale": 1e9}, "a result of (4000000000, 6000000000) (vertical, horizontal) does not fit into memory"),
        ({"threads": "2"}, "threads must be an integer of at least 1, got '2'."),
        ({"threads": 0}, "threads must be an integer of at least 1, got 0."),
        ({"threads": 1.5}, "threads must be an integer of at least 1, got 1.5."),
        ({"channels_first": "yes"}, "channels_first must be True or False, got 'yes'."),
        ({"method": "lanczo"}, 'unknown method "lanczo". Did you mean "lanczos"?'),
        ({"method": None}, 'unknown method "None".'),
        ({"method": 3}, 'unknown method "3".'),
    ],
    ids=repr,
)
def test_a_wrong_argument_is_refused_in_words_of_python(wrong: dict[str, Any], words: str) -> None:
    said = refusal(noise(4, 6), **wrong)
    assert words in said
    assert not re.search(r"\d+x\d|width x height|--", said)


@pytest.mark.parametrize(
    "array", [None, "x", object(), [[1, 2], [3]], {}, b"abc"], ids=lambda array: type(array).__name__
)
def test_what_is_no_array_at_all_is_refused(array: Any) -> None:
    assert "\n" not in refusal(array)


def test_dir_is_complete() -> None:
    code = "import upscale_cli; print(*dir(upscale_cli))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"METHODS", "UpscaleError", "__version__", "upscale"} <= set(run.stdout.split())
    assert set(upscale_cli.__all__) <= set(dir(upscale_cli))


# Type checkers.


def test_names_for_type_checkers_are_those_of_the_table() -> None:
    code = "from upscale_cli import METHODS; print(*METHODS)"
    own = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert own == list(get_args(MethodName))


@pytest.mark.long
def test_mypy_finds_misspelt_names(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    lines = {
        'reveal_type(upscale(np.zeros((2, 2), np.uint8), 2, "lanczos"))': "uint8|unsignedinteger",
        'reveal_type(upscale([[1, 2]], (2, 1.5), "learned", size="large"))': r"ndarray\[.*Any",
        'upscale(np.zeros((2, 2)), 2, METHODS["theirs"], their_parameter=1)': "",
        'upscale(np.zeros((2, 2)), "2x3", channels_first=True, threads=2)': "",
        'upscale(np.zeros((2, 2)), 2, "lanczo")': r'No overload variant of "upscale" matches.*, "int", "str"',
        'upscale(np.zeros((2, 2)), method="bilinaer")': "No overload variant",
        'upscale(np.zeros((2, 2)), 2, threads="2")': "No overload variant",
        "upscale(np.zeros((2, 2)), 2, channels_first=3)": "No overload variant",
    }
    (tmp_path / "snippet.py").write_text(
        "\n".join(["import numpy as np; from upscale_cli import METHODS, upscale", *lines])
    )
    # With the options and the cache of the project: reading NumPy's types takes most of the time.
    line = [sys.executable, "-m", "mypy", str(tmp_path / "snippet.py")]
    run = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    for number, words in enumerate(lines.values(), 2):
        said = [text for text in run.stdout.splitlines() if f"snippet.py:{number}: " in text]
        assert re.search(words, said[0]) if words else not said, run.stdout + run.stderr

"""The contract of every method: walks `METHODS`, so a new method is tested by existing; and what is refused."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support import Array, Pair
from ways import WAYS

from upscale_cli import METHODS, upscale
from upscale_cli.errors import UsageError
from upscale_cli.methods import strips
from upscale_cli.methods.strips import share_out
from upscale_cli.testing import MethodContract, image, refusal
from upscale_cli.testing.checks import MethodTests


def pooled_places(shape: Pair, scale: Pair) -> Array:
    """Places (H, W) that max pooling could have remembered: one in each cell, its own at scale 1."""
    random = np.random.default_rng(0)
    rows, columns = (
        s * index + random.integers(0, s, shape) for s, index in zip(scale, np.indices(shape), strict=True)
    )
    return np.asarray(rows * shape[1] * scale[1] + columns)


REQUIREMENTS: dict[str, Callable[[tuple[int, ...], Pair], Array]] = {
    "indices": lambda shape, scale: np.repeat(
        pooled_places((shape[0], shape[1]), scale)[:, :, None], shape[2], axis=2
    ),
    "kernel": lambda shape, scale: np.random.default_rng(0).random((5, 4)) - 0.3,
}
"""A value for each parameter that is an array, by its name: for a source (H, W, C) and whole factors."""


class Contract(MethodContract):
    """With the arrays that methods of this package require."""

    def arrays(self, shape: tuple[int, int, int], scale: Pair) -> dict[str, Any]:
        names = [p.name for p in self.method.parameters if p.name in REQUIREMENTS]
        return {name: REQUIREMENTS[name](shape, scale) for name in names}


QUICK = (
    "test_it_describes_itself",
    "test_parameters_describe_themselves_and_their_defaults_are_of_their_domain",
    "test_it_can_be_sent_to_another_process",
    "test_a_stack_is_its_images",
    "test_an_unknown_parameter_is_refused_with_the_known_ones",
    "test_values_out_of_their_domain_are_refused_by_name",
)
"""The tests of methods that work as another one does; what is particular to them is tested by its numbers."""

for _method in METHODS.values():
    _name = f"Test{_method.name.title().replace('-', '')}"
    _own = {"method": _method}
    if _method.name in WAYS:
        globals()[_name] = type(_name, (Contract,), _own)
    else:
        globals()[_name] = type(_name, (MethodTests,), _own | {name: getattr(Contract, name) for name in QUICK})


def test_a_stack_may_have_indices_for_each_image() -> None:
    source = image((2, 3, 4, 2))
    indices = np.stack([np.random.default_rng(i).permutation(48)[:24].reshape(3, 4, 2) for i in range(2)])
    have = upscale(source, 2, "max-unpooling", indices=indices)
    for i in range(2):
        np.testing.assert_array_equal(have[i], upscale(source[i], 2, "max-unpooling", indices=indices[i]))


# Refusals: a sentence that names the thing.


def test_a_misspelt_method_is_refused_with_the_nearest_or_all() -> None:
    assert refusal(method="lanzcos").endswith('Did you mean "lanczos"?')
    assert all(name in refusal(method="qqq") for name in METHODS)


@pytest.mark.parametrize(
    "scale",
    [
        *(0, -1, 0.999, np.nan, np.inf, -np.inf, 1e308, 2**60, 10**400),
        *("0.5", "nan", "inf", "1e308", "1e999999999", "x", "%", "50%", "", "2x0", "2x2x2x2", "two", "1/0"),
        *("2,5", "0x10"),
        *([], (1, 2, 3, 4), (2, "x"), (2, None), Ellipsis),
    ],
    ids=repr,
)
def test_what_is_not_a_scale_is_refused_by_name(scale: Any) -> None:
    for method in ("nearest", "bed-of-nails", "lanczos"):
        assert f'scale "{scale}" is not a number of at least 1' in refusal(scale=scale, method=method)


@pytest.mark.parametrize(
    "scale", [2, 2.0, "2", "2.0", "2x2.0", (2, 2), [2, 2], np.float32(2), Fraction(2), np.array([2, 2])]
)
def test_a_scale_may_be_written_in_many_ways(scale: Any) -> None:
    np.testing.assert_array_equal(upscale(np.eye(3), scale, "bed-of-nails"), upscale(np.eye(3), 2, "bed-of-nails"))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array(1), "shape ()"),
        (np.ones((1, 1, 1, 1, 1, 1)), "shape (1, 1, 1, 1, 1, 1)"),
        (np.ones((0, 3)), "no pixels"),
        (np.ones((2, 3, 0)), "no pixels"),
        (np.array([["a"]]), "array of <U1"),
        (np.array([[1j]]), "complex128"),
        (np.array([[None]]), "object"),
        (np.zeros((2, 2), [("a", "u1")]), "array of [('a', 'u1')]"),
        (np.zeros((2, 2), "M8[s]"), "datetime64"),
    ],
)
def test_what_is_not_an_image_is_refused(array: Array, words: str) -> None:
    assert words in refusal(array=array)


def test_sizes() -> None:
    assert "(8, 3) is smaller than the image ((4, 4) (vertical, horizontal))" in refusal(size=(8, 3))
    assert "exclude each other" in refusal(size=(8, 8), scale=2)
    assert "integer factor, not (2, 1.5) (vertical, horizontal); try 2" in refusal(size=(8, 6), method="bed-of-nails")
    sentence = refusal(size=(9, 12), method="transposed-conv", kernel=np.ones((3, 3)), padding=0)
    assert "integer factor" in sentence
    sentence = refusal(size=(8, 8), method="transposed-conv", kernel=np.ones((3, 3)), padding=0)
    assert "would make (9, 9), not (8, 8) (vertical, horizontal); give a scale" in sentence
    assert upscale(np.ones((4, 6)), size=(8, 18), method="bed-of-nails").sum() == 24


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"kernel": [["a"]]}, "must hold real numbers"),
        ({"kernel": [[1j]]}, "must hold real numbers"),
        ({"kernel": np.array([[None]])}, "must hold real numbers"),
        ({"kernel": [[1, 2], [3]]}, "is not an array"),
        ({"kernel": [[np.nan]]}, "not finite"),
        ({"kernel": [[1, 2], [np.nan, 3]]}, "not finite"),
        ({"kernel": [[np.inf]]}, "not finite"),
        ({"kernel": [[1e39]]}, "not finite"),
        ({"kernel": [1, 2]}, "shape (2,)"),
        ({"kernel": 1.0}, "shape ()"),
        ({"kernel": np.ones((0, 2))}, "shape (0, 2)"),
        ({"kernel": np.ones((1, 1, 1, 1, 1))}, "shape (1, 1, 1, 1, 1)"),
        ({"kernel": np.ones((3, 2, 2))}, "is for 3 channels, but the image has 1"),
        ({"kernel": np.ones((2, 1, 2, 2))}, "is for 2 channels, but the image has 1"),
        ({"kernel": np.ones((1, 1, 2, 2)), "groups": 2}, "cannot be split into 2 groups"),
        ({"kernel": np.ones((2, 2)), "groups": 1}, "groups applies only to kernels with channels"),
        ({"kernel": np.ones((2, 2)), "padding": 5}, "leaves nothing"),
        ({"kernel": np.ones((2, 2)), "padding": 0, "edge": "zero"}, "edge applies only to padding=same"),
        ({"kernel": np.ones((2, 2)), "output_padding": 1}, "output_padding applies only to a padding in numbers"),
        ({"kernel": np.ones((2, 2)), "padding": 0, "output_padding": 2}, "output_padding must be smaller"),
    ],
)
def test_what_is_not_a_kernel_is_refused(parameters: dict[str, Any], words: str) -> None:
    assert words in refusal(method="transposed-conv", **parameters)


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        (np.zeros((4, 4)), "integers"),
        (np.zeros((4, 3), int), "shape (4, 3, 1) do not match values of shape (4, 4, 1)"),
        (np.full((4, 4), -1), "index -1 is outside"),
        (np.full((4, 4), 64), "index 64 is outside"),
        (np.full((4, 4), 2**64 - 1, "u8"), f"index {2**64 - 1} is outside"),
    ],
)
def test_what_are_not_indices_is_refused(indices: Array, words: str) -> None:
    assert words in refusal(method="max-unpooling", indices=indices)


def test_what_no_image_could_have_is_a_wrong_use() -> None:
    for request in ({"scale": 0}, {"method": "x"}, {"x": 1}, {"scale": 2, "size": (9, 9)}):
        with pytest.raises(UsageError):
            upscale(**{"array": np.ones((4, 4)), "scale": None} | request)


def test_a_kernel_that_makes_a_checkerboard_is_told_of() -> None:
    row = METHODS["transposed-conv"]
    for kernel, scale, expected in (
        ([[1, 1], [1, 1]], 2, None),
        (np.ones((3, 3)), 3, None),
        (np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16, 2, None),
        (np.ones((3, 3)), 2, "1 … 4"),
    ):
        exact = Fraction(scale), Fraction(scale)
        warning = row.warn((4, 4, 1), exact, row.read_parameters({"kernel": kernel}))
        assert warning is None if expected is None else expected in str(warning)


# Strips.


def test_strips_are_shared_out_each_once() -> None:
    done: list[tuple[int, int]] = []
    ranges = [(n, n + 1) for n in range(1000)]
    with ThreadPoolExecutor(3) as pool:
        share_out(lambda *part: done.append(part), ranges, pool, 3)
    assert sorted(done) == ranges
    share_out(lambda *part: done.append(part), ranges, None, 0)
    assert done[1000:] == ranges


@pytest.mark.parametrize("who", ["caller", "helper"])
def test_an_error_ends_the_sharing_of_strips(who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other is within its first strip meanwhile, and takes no second one."""
    caller, cleared, done = threading.get_ident(), threading.Event(), []

    class Ranges(deque[tuple[int, int]]):
        def clear(self) -> None:
            super().clear()
            cleared.set()

    def work(start: int, stop: int) -> None:
        if (threading.get_ident() == caller) == (who == "caller"):
            raise ArithmeticError
        assert cleared.wait(60)
        done.append(start)

    monkeypatch.setattr(strips, "deque", Ranges)

    with ThreadPoolExecutor(1) as pool, pytest.raises(ArithmeticError):
        share_out(work, [(n, n + 1) for n in range(100)], pool, 1)
    assert len(done) <= 1

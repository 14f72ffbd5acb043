"""The contract of every method: walks `METHODS`, so a new row is tested by existing, and holds it to its promises."""

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Array, Pair, assert_near, assert_rounded

from upscale_cli import METHODS, UpscaleError, api, upscale
from upscale_cli.errors import UsageError
from upscale_cli.methods import Method, placement, resolve, strips
from upscale_cli.methods.parameters import REQUIRED
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.strips import share_out
from upscale_cli.methods.upsampler import Scratch, Upsampler

DTYPES = ("bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
SHAPES = ((1, 1), (1, 6), (6, 1), (2, 2), (5, 7))

every = pytest.mark.parametrize("row", METHODS.values(), ids=list(METHODS))


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


def told(row: Method, source: Array, scale: Any) -> dict[str, Any]:
    """What a row is told for a source (H, W), (H, W, C) or (N, H, W, C)."""
    shape = (source.shape if source.ndim == 4 else (1, *source.shape, 1))[1:4]
    pair = scale if isinstance(scale, tuple) else (scale, scale)
    return {p.name: REQUIREMENTS[p.name](shape, pair) for p in row.parameters if p.name in REQUIREMENTS}


def enlarge(row: Method, source: Array, scale: Any = 2, **more: Any) -> Array:
    """The source by a row, with what it requires."""
    return upscale(source, scale, row.name, **told(row, source, scale), **more)


def scales(row: Method) -> list[Any]:
    """Factors that a row takes."""
    return [1, 2, (2, 3)] if row.integer_scale else [1, 2, (2, 3), 1.5, (1, 7.3)]


def image(shape: tuple[int, ...], dtype: str = "u1", seed: int = 0) -> Array:
    """Noise over the range of a type, as far as float64 can tell its values apart."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (random.random(shape) * 200 - 50).astype(kind)
    if kind.kind == "b":
        return random.random(shape) < 0.5
    info = np.iinfo(kind)
    return random.integers(max(info.min, -(2**48)), min(info.max, 2**48), shape, kind, endpoint=True)


def assert_agree(row: Method, have: Array, expected: Array, exact: Array) -> None:
    """Fail where results are not the same: moved values exactly, floats nearly, integers but for ties.

    `exact` is the expected result of the same source as float64.
    """
    if row.values != "weighed":
        np.testing.assert_array_equal(have, expected)
    elif have.dtype.kind == "f":
        assert_near(have, expected)
    else:
        assert_rounded(have, exact)


# The row itself.


@every
def test_a_row_describes_itself(row: Method) -> None:
    assert METHODS[row.name] is row
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", row.name)
    for text in (row.summary, row.when, row.source):
        assert 4 < len(text) < 90
        assert text == text.strip()
        assert not text.endswith(".")
    assert not (row.interpolates and row.values == "weighed" and row.integer_scale)


@every
def test_parameters_describe_themselves_and_their_defaults_are_of_their_domain(row: Method) -> None:
    names = [p.name for p in row.parameters]
    assert len(set(names)) == len(names)
    for p in row.parameters:
        assert p.summary
        assert p.domain
        assert re.fullmatch(r"[a-z_]+", p.name)
        if p.default is REQUIRED:
            assert p.name in REQUIREMENTS, f"give the contract a {p.name}, so that {row.name} can be tested"
        elif p.default is not None:
            assert p.kind.read(p.default) == p.default


# Shape and type.


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_shape_and_dtype(row: Method, dtype: str) -> None:
    for height, width in SHAPES:
        for scale in scales(row):
            factors = scale if isinstance(scale, tuple) else (scale, scale)
            size = [int(n * Fraction(str(s)) + Fraction(1, 2)) for n, s in zip((height, width), factors, strict=True)]
            for shape in ((height, width), (height, width, 1), (height, width, 3), (2, height, width, 2)):
                expected = (*size, *shape[2:]) if len(shape) < 4 else (2, *size, 2)
                have = enlarge(row, image(shape, dtype), scale)
                assert (have.shape, have.dtype) == (expected, np.dtype(dtype))


@every
def test_input_is_neither_modified_nor_aliased(row: Method) -> None:
    for scale in scales(row):
        for dtype in ("u1", "f4", "f8"):
            source = image((5, 4, 3), dtype)
            before = source.copy()
            parameters = told(row, source, scale)
            kept = {name: value.copy() for name, value in parameters.items()}
            have = upscale(source, scale, row.name, **parameters)
            have.fill(1)
            np.testing.assert_array_equal(source, before)
            for name, value in kept.items():
                np.testing.assert_array_equal(parameters[name], value)


@every
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
def test_any_memory_layout_gives_the_same_bits(row: Method, dtype: str) -> None:
    source = image((9, 8, 3), dtype)
    wide = np.repeat(np.repeat(source, 2, axis=0), 3, axis=1)
    frozen = source.copy()
    frozen.flags.writeable = False
    layouts = {
        "Fortran": np.asfortranarray(source),
        "negative strides": np.ascontiguousarray(source[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
        "steps": wide[::2, ::3],
        "channels first": np.ascontiguousarray(source.transpose(2, 0, 1)).transpose(1, 2, 0),
        "read-only": frozen,
        "the other byte order": source.astype(source.dtype.newbyteorder()),
    }
    for scale in scales(row):
        expected = enlarge(row, source, scale)
        for name, layout in layouts.items():
            have = enlarge(row, layout, scale)
            assert have.dtype == layout.dtype, name
            assert have.astype(dtype).tobytes() == expected.tobytes(), name


@every
def test_a_stack_is_its_images(row: Method) -> None:
    source = image((3, 4, 5, 2))
    have = enlarge(row, source)
    for one, expected in zip(have, source, strict=True):
        np.testing.assert_array_equal(one, enlarge(row, expected))


def test_a_stack_may_have_indices_for_each_image() -> None:
    source = image((2, 3, 4, 2))
    indices = np.stack([np.random.default_rng(i).permutation(48)[:24].reshape(3, 4, 2) for i in range(2)])
    have = upscale(source, 2, "max-unpooling", indices=indices)
    for i in range(2):
        np.testing.assert_array_equal(have[i], upscale(source[i], 2, "max-unpooling", indices=indices[i]))


# Promises.


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_scale_1_is_the_identity_where_the_row_interpolates(row: Method, dtype: str) -> None:
    for shape in SHAPES:
        source = image((*shape, 3), dtype)
        if row.interpolates:
            np.testing.assert_array_equal(enlarge(row, source, 1), source)
            if dtype[0] == "f":
                source[0, 0] = np.nan, np.inf, -0.0
                np.testing.assert_array_equal(enlarge(row, source, 1), source)


def test_rows_that_do_not_interpolate_say_so() -> None:
    source = image((5, 5))
    for row in METHODS.values():
        assert row.interpolates or (enlarge(row, source, 1) != source).any()


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_constants_stay_constant_where_the_row_keeps_them(row: Method, dtype: str) -> None:
    kind = np.dtype(dtype)
    if kind.kind == "b":
        values: tuple[Any, ...] = (False, True)
    elif kind.kind == "f":
        values = (0, 1, -0.1, 1e4)
    else:
        info = np.iinfo(kind)
        values = tuple(max(-(2**48), min(2**48, v)) for v in (info.min, 0, 1, 100, info.max // 2, info.max))
    for value in values:
        for scale in scales(row):
            source = np.full((4, 5, 3), value, kind)
            have = enlarge(row, source, scale)
            if not row.keeps_constants:
                assert value == 0 or scale == 1 or (have != value).any()
            elif kind.kind == "f" and row.values == "weighed":
                np.testing.assert_allclose(have, source[0, 0, 0], rtol=1e-3 if dtype == "f2" else 1e-6)
            else:
                assert (have == value).all()


def ties(n_in: int, n_out: int) -> Array:
    """Which outputs lie exactly between two inputs, where nearest takes the later one."""
    return np.asarray((2 * np.arange(n_out) + 1) * n_in % (2 * n_out) == 0)


@every
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
def test_flips_and_transposition_commute_where_the_row_is_symmetric(row: Method, dtype: str) -> None:
    turns: dict[str, Callable[[Array], Array]] = {
        "upside down": lambda a: a[::-1],
        "left to right": lambda a: a[:, ::-1],
        "transposed": lambda a: a.swapaxes(0, 1),
    }
    differ = 0
    for shape in SHAPES:
        source = image((*shape, 2), dtype) // np.asarray(256 if dtype == "i2" else 1, dtype)
        for scale in scales(row):
            for name, turn in turns.items():
                turned = scale[::-1] if name == "transposed" and isinstance(scale, tuple) else scale
                have, expected = enlarge(row, turn(source), turned), turn(enlarge(row, source, scale))
                if not row.symmetric:
                    differ += int((have != expected).sum())
                    continue
                if row.values == "copied":
                    sides = zip(turn(source).shape, have.shape[:2], strict=False)
                    apart = np.ix_(*(~ties(n_in, n_out) for n_in, n_out in sides))
                    have, expected = have[apart], expected[apart]
                assert_agree(row, have, expected, turn(enlarge(row, source.astype("f8"), scale)))
    assert row.symmetric == (differ == 0)


@every
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_channels_are_independent(row: Method, dtype: str) -> None:
    for count in (1, 2, 3, 4, 5, 6, 17):
        if count == 3 and not row.independent:
            continue
        source = image((5, 6, count), dtype)
        for scale in scales(row):
            have, exact = enlarge(row, source, scale), enlarge(row, source.astype("f8"), scale)
            for c in range(count):
                alone = enlarge(row, source[:, :, c], scale)
                assert_agree(row, alone, have[:, :, c], exact[:, :, c])


# Strips and threads.


def upsampler(row: Method, source: Array, scale: Any) -> Upsampler:
    """A row's upsampler of a source (H, W, C)."""
    parameters = row.read_parameters(told(row, source, scale))
    shape = source.shape[0], source.shape[1], source.shape[2]
    exact, (height, width, _) = resolve(row, shape, scale=scale, parameters=parameters)
    samples = Samples(source.dtype, shape[2], source.dtype)
    return row.make(source, scale=exact, size=(height, width), samples=samples, parameters=parameters)


def large(row: Method, bad: bool) -> tuple[Array, Any]:
    """A source and a scale that make more than one band of most methods; `bad` holds a sample that is not finite."""
    source = image((150, 23, 3), "f4")
    if bad:
        source[70, 11, 1] = np.nan
    return source, (2, 3) if row.integer_scale else (2.27, 3)


@every
@pytest.mark.parametrize("bad", [False, True])
def test_any_range_of_rows_is_the_same_bit_for_bit(row: Method, bad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    source, scale = large(row, bad)
    made = upsampler(row, source, scale)
    height = made.shape[0]
    whole = made.rows(0, height)
    monkeypatch.setattr(placement, "BAND_VALUES", 5000)
    small = upsampler(row, source, scale)
    assert small.band < height
    random = np.random.default_rng(1)
    ranges = [(0, 1), (height - 1, height), (0, height)] + [
        (start, int(random.integers(start, height)) + 1) for start in random.integers(0, height, 25)
    ]
    for start, stop in ranges:
        for one in (made, small):
            assert one.rows(int(start), int(stop)).tobytes() == whole[start:stop].tobytes()
    for start, stop in ((-1, 2), (3, 3), (5, 4), (0, height + 1)):
        with pytest.raises(IndexError):
            made.rows(start, stop)


@every
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_strip_height_and_threads_change_nothing(row: Method, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, scale = large(row, bad=False)
    source = source.astype(dtype)
    expected = enlarge(row, source, scale, threads=1)
    monkeypatch.setattr(api, "WORTH_THREADS", 1)
    monkeypatch.setattr(placement, "BAND_VALUES", 5000)
    for values in (1, 30_000, 1 << 20):
        monkeypatch.setattr(strips, "STRIP_VALUES", values)
        for threads in (1, 2, 3):
            assert enlarge(row, source, scale, threads=threads).tobytes() == expected.tobytes()


@every
def test_memory_used_before_does_not_show(row: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scratch memory full of NaN: what reads it before it writes it, even to multiply it by 0, is found out."""
    for shape in ((1, 1, 1), (3, 40, 6), (60, 7, 2)):
        for scale in scales(row):
            source = image(shape, "f4")
            with monkeypatch.context() as patched:
                expected = enlarge(row, source, scale)
                patched.setattr(Scratch, "get", poisoned)
                assert enlarge(row, source, scale).tobytes() == expected.tobytes()


def poisoned(self: Scratch, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Fresh memory whose bytes are all set: not a number, where a float is read from it."""
    memory = np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize, 255, np.uint8)
    view: Array = memory.view(dtype).reshape(shape)
    return view


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.data())
def test_any_image_any_strip(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(list(METHODS.values())))
    shape = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5)))
    factor = st.integers(1, 6) if row.integer_scale else st.integers(4, 40).map(lambda n: n / 4)
    made = upsampler(row, image(shape, "f4"), data.draw(st.tuples(factor, factor)))
    start = data.draw(st.integers(0, made.shape[0] - 1))
    stop = data.draw(st.integers(start + 1, made.shape[0]))
    assert made.rows(start, stop).tobytes() == made.rows(0, made.shape[0])[start:stop].tobytes()


# Refusals: a sentence that names the thing.


def refusal(**request: Any) -> str:
    """Return the message with which a request is refused."""
    with pytest.raises(UpscaleError) as caught:
        upscale(**{"array": np.ones((4, 4)), "scale": None} | request)
    sentence = str(caught.value)
    assert sentence.endswith((".", "?"))
    return sentence


def test_a_misspelt_method_is_refused_with_the_nearest_and_all() -> None:
    sentence = refusal(method="lanzcos")
    assert 'Did you mean "lanczos"?' in sentence
    assert all(name in sentence for name in METHODS)


@every
def test_an_unknown_parameter_is_refused_with_those_that_there_are(row: Method) -> None:
    sentence = refusal(method=row.name, colour=1)
    assert f'{row.name} has no parameter "colour"' in sentence
    assert all(p.name in sentence for p in row.parameters)
    for p in row.parameters:
        misspelt = p.name + "s"
        assert f'Did you mean "{p.name}"?' in refusal(method=row.name, **{misspelt: 1}) or len(p.name) < 3


@every
def test_a_required_parameter_that_is_missing_is_named(row: Method) -> None:
    for p in row.parameters:
        if p.default is REQUIRED:
            assert f"{row.name} needs {p.name}" in refusal(method=row.name)


def junk() -> list[Any]:
    """A value that no parameter accepts."""
    words = ["", "nonsense", "-1", "1e999999999", "1/0"]
    return [*words, -1, 2.5, float("nan"), [], (1, 2, 3), [[1], [2]], object()]


@every
def test_values_out_of_their_domain_are_refused_by_name(row: Method) -> None:
    for p in row.parameters:
        for value in [] if p.file else junk():
            sentence = refusal(method=row.name, **told(row, np.ones((4, 4)), 2) | {p.name: value})
            assert f"{row.name}: {p.name}=" in sentence
            assert p.domain in sentence


@every
def test_a_factor_that_is_not_whole_is_refused_where_it_must_be(row: Method) -> None:
    for scale, shown in ((1.5, "1.5"), ((2, 2.5), "2.5x2"), ("3.5", "3.5")):
        if row.integer_scale:
            assert f"{row.name} needs a whole factor, not {shown};" in refusal(
                scale=scale, method=row.name, **told(row, np.ones((4, 4)), 2)
            )
        else:
            assert enlarge(row, np.ones((4, 4)), scale).size > 16


@pytest.mark.parametrize(
    "scale",
    [
        *(0, -1, 0.999, np.nan, np.inf, -np.inf, 1e308, 2**60, 10**400),
        *(
            "0.5",
            "nan",
            "inf",
            "1e308",
            "1e999999999",
            "2x",
            "x2",
            "x",
            "",
            "2x0",
            "2x2x2",
            "two",
            "1/0",
            "2,5",
            "0x10",
        ),
        *([], (1, 2, 3), (2, "x"), (2, None), object()),
    ],
    ids=repr,
)
def test_what_is_not_a_scale_is_refused_by_name(scale: Any) -> None:
    for method in ("nearest", "bed-of-nails", "lanczos"):
        assert f'scale "{scale}" is not a number of at least 1' in refusal(scale=scale, method=method)


@pytest.mark.parametrize(
    "scale", [2, 2.0, "2", "2.0", "2x2.0", (2, 2), [2], np.float32(2), Fraction(2), np.array([2, 2])]
)
def test_a_scale_may_be_written_in_many_ways(scale: Any) -> None:
    np.testing.assert_array_equal(upscale(np.eye(3), scale, "bed-of-nails"), upscale(np.eye(3), 2, "bed-of-nails"))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array(1), "shape ()"),
        (np.ones(3), "shape (3,)"),
        (np.ones((1, 1, 1, 1, 1)), "shape (1, 1, 1, 1, 1)"),
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
    assert "is smaller than the image (4x4)" in refusal(size=(8, 3))
    assert "both given" in refusal(size=(8, 8), scale=2)
    assert "whole factor, not 1.5x2" in refusal(size=(8, 6), method="bed-of-nails")
    sentence = refusal(size=(9, 12), method="transposed-conv", kernel=np.ones((3, 3)), padding=0)
    assert "whole factor" in sentence
    sentence = refusal(size=(8, 8), method="transposed-conv", kernel=np.ones((3, 3)), padding=0)
    assert "makes 9x9 of this, not 8x8" in sentence
    assert upscale(np.ones((4, 6)), size=(8, 18), method="bed-of-nails").sum() == 24


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"kernel": [["a"]]}, "must hold real numbers"),
        ({"kernel": [[1j]]}, "must hold real numbers"),
        ({"kernel": np.array([[None]])}, "must hold real numbers"),
        ({"kernel": [[1, 2], [3]]}, "is not an array"),
        ({"kernel": [[np.nan]]}, "not finite"),
        ({"kernel": [[np.inf]]}, "not finite"),
        ({"kernel": [[1e39]]}, "not finite"),
        ({"kernel": [1, 2]}, "shape (2,)"),
        ({"kernel": 1.0}, "shape ()"),
        ({"kernel": np.ones((0, 2))}, "shape (0, 2)"),
        ({"kernel": np.ones((1, 1, 1, 1, 1))}, "shape (1, 1, 1, 1, 1)"),
        ({"kernel": np.ones((3, 2, 2))}, "made for 3 channels and the image has 1"),
        ({"kernel": np.ones((2, 1, 2, 2))}, "takes 2 channels and the image has 1"),
        ({"kernel": np.ones((1, 1, 2, 2)), "groups": 2}, "cannot be split into 2 groups"),
        ({"kernel": np.ones((2, 2)), "groups": 1}, "groups belongs to kernels of four dimensions"),
        ({"kernel": np.ones((2, 2)), "padding": 5}, "leaves nothing"),
        ({"kernel": np.ones((2, 2)), "padding": 0, "edge": "zero"}, "edge belongs to padding=same"),
        ({"kernel": np.ones((2, 2)), "output_padding": 1}, "output_padding belongs to a padding in numbers"),
        ({"kernel": np.ones((2, 2)), "padding": 0, "output_padding": 2}, "output_padding must be smaller"),
    ],
)
def test_what_is_not_a_kernel_is_refused(parameters: dict[str, Any], words: str) -> None:
    assert words in refusal(method="transposed-conv", **parameters)


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        (np.zeros((4, 4)), "whole numbers"),
        (np.zeros((4, 3), int), "shape (4, 3, 1) do not fit values of shape (4, 4, 1)"),
        (np.full((4, 4), -1), "index -1 lies outside"),
        (np.full((4, 4), 64), "index 64 lies outside"),
        (np.full((4, 4), 2**64 - 1, "u8"), f"index {2**64 - 1} lies outside"),
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
def test_an_error_ends_the_sharing_of_strips(who: str) -> None:
    """The other is within its first strip meanwhile, and takes no second one."""
    caller, broken, done = threading.get_ident(), threading.Event(), []

    def work(start: int, stop: int) -> None:
        if (threading.get_ident() == caller) == (who == "caller"):
            broken.set()
            raise ArithmeticError
        assert broken.wait(10)
        time.sleep(0.05)
        done.append(start)

    with ThreadPoolExecutor(1) as pool, pytest.raises(ArithmeticError):
        share_out(work, [(n, n + 1) for n in range(100)], pool, 1)
    assert len(done) <= 1

"""`MethodContract`: what every method keeps to."""

import itertools
import pickle
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upscale_cli import api
from upscale_cli.api import upscale
from upscale_cli.methods import find_method, pixel_art, placement, strips
from upscale_cli.methods.parameters import REQUIRED, Number
from upscale_cli.methods.upsampler import Array, Scratch
from upscale_cli.testing.checks import assert_near, assert_rounded, image, poisoned, refusal, ties
from upscale_cli.testing.transparency import TransparencyContract

DTYPES = ("bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
SHAPES = ((1, 1), (1, 6), (6, 1), (2, 2), (5, 7))
FEW_VALUES = 5000
"""Values of a band at most while several bands are tested."""


class MethodContract(TransparencyContract):
    """The tests of one method; a subclass sets `method`.

    A method that is not found by its name, breaks a promise of its record, or lets strips, threads or memory that
    was used before change a bit, fails.
    """

    def few_values(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make bands so short that a result of 340 x 69 has several; override it for bands of your own."""
        monkeypatch.setattr(placement, "BAND_VALUES", FEW_VALUES)
        monkeypatch.setattr(pixel_art, "BAND_PIXELS", FEW_VALUES)

    def large(self, bad: bool) -> tuple[Array, Any]:
        """Return a source and a scale that make several bands; `bad` holds a sample that is not finite."""
        source = image((150, 23, 3), "f4")
        if self.method.factors:
            # Such methods compare colours, and noise has no equal ones.
            source = (source > 50).astype("f4")
        if bad:
            source[70, 11, 1] = np.nan
        if self.method.factors:
            return source, self.factor
        return source, (2, 3) if self.method.integer_scale else (2.27, 3)

    def assert_agree(self, have: Array, expected: Array, exact: Array) -> None:
        """Fail unless results are the same: moved values exactly, floats nearly, integers but for ties.

        `exact` is the expected result of the same source as float64.
        """
        if self.method.values != "weighed":
            np.testing.assert_array_equal(have, expected)
        elif have.dtype.kind == "f":
            assert_near(have, expected)
        else:
            assert_rounded(have, exact)

    # The record itself.

    def test_it_describes_itself(self) -> None:
        method = self.method
        assert find_method(method.name) == method
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", method.name)
        for text in (method.summary, method.when, method.source):
            assert 4 < len(text) < 90
            assert text == text.strip()
            assert not text.endswith(".")
        assert not (method.interpolates and method.values == "weighed" and method.integer_scale)

    def test_parameters_describe_themselves_and_their_defaults_are_of_their_domain(self) -> None:
        names = [p.name for p in self.method.parameters]
        assert len(set(names)) == len(names)
        for p in self.method.parameters:
            assert p.summary
            assert p.domain
            assert re.fullmatch(r"[a-z_]+", p.name)
            if p.default is REQUIRED:
                assert p.name in self.arrays((4, 4, 1), (2, 2)), f"override `arrays` with a {p.name}"
            elif p.default is not None:
                assert p.kind.read(p.default) == p.default

    def test_it_can_be_sent_to_another_process(self) -> None:
        source, again = image((5, 4, 3)), type(self)()
        again.method = pickle.loads(pickle.dumps(self.method))
        assert again.method == self.method
        made, expected = again.upsampler(source, self.factor), self.upsampler(source, self.factor)
        assert made.rows(0, made.shape[0]).tobytes() == expected.rows(0, made.shape[0]).tobytes()

    # Shape and type.

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_shape_and_dtype(self, dtype: str) -> None:
        scales, forms = self.scales(), (((), ()), ((), (1,)), ((), (3,)), ((2,), (2,)))
        for number, (height, width) in enumerate(SHAPES, DTYPES.index(dtype)):
            # With each type, each size meets another scale and another number of axes.
            scale, (stack, channels) = scales[number % len(scales)], forms[number % len(forms)]
            factors = scale if isinstance(scale, tuple) else (scale, scale)
            sides = zip((height, width), factors, strict=True)
            size = [int(n * Fraction(str(s)) + Fraction(1, 2)) for n, s in sides]
            have = self.enlarge(image((*stack, height, width, *channels), dtype), scale)
            assert (have.shape, have.dtype) == ((*stack, *size, *channels), np.dtype(dtype))

    def test_input_is_neither_modified_nor_aliased(self) -> None:
        for scale in self.scales():
            for dtype in ("u1", "f4", "f8"):
                source = image((5, 4, 3), dtype)
                before = source.copy()
                parameters = self.given_arrays(source, scale)
                kept = {name: value.copy() for name, value in parameters.items()}
                have = upscale(source, scale, self.method, **parameters)
                have.fill(1)
                np.testing.assert_array_equal(source, before)
                for name, value in kept.items():
                    np.testing.assert_array_equal(parameters[name], value)

    @pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
    def test_any_memory_layout_gives_the_same_bits(self, dtype: str) -> None:
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
        for scale in self.scales():
            expected = self.enlarge(source, scale)
            for name, layout in layouts.items():
                have = self.enlarge(layout, scale)
                assert have.dtype == layout.dtype, name
                assert have.astype(dtype).tobytes() == expected.tobytes(), name

    def test_a_stack_is_its_images(self) -> None:
        source = image((3, 4, 5, 2))
        have = self.enlarge(source)
        for one, expected in zip(have, source, strict=True):
            np.testing.assert_array_equal(one, self.enlarge(expected))

    # Promises.

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_scale_1_is_the_identity_if_it_interpolates(self, dtype: str) -> None:
        if not self.method.interpolates:
            source = image((5, 5))
            assert (self.enlarge(source, 1) != source).any()
            return
        for shape in SHAPES:
            source = image((*shape, 3), dtype)
            np.testing.assert_array_equal(self.enlarge(source, 1), source)
            if dtype[0] == "f":
                source[0, 0] = np.nan, np.inf, -0.0
                np.testing.assert_array_equal(self.enlarge(source, 1), source)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_constants_stay_constant_if_it_keeps_them(self, dtype: str) -> None:
        kind = np.dtype(dtype)
        if kind.kind == "b":
            values: tuple[Any, ...] = (False, True)
        elif kind.kind == "f":
            values = (0, 1, -0.1, 1e4)
        else:
            info = np.iinfo(kind)
            values = tuple(max(-(2**48), min(2**48, v)) for v in (info.min, 0, 1, 100, info.max // 2, info.max))
        for number, scale in enumerate(self.scales()):
            for value in values[number % 2 :: 2]:
                source = np.full((4, 5, 3), value, kind)
                have = self.enlarge(source, scale)
                if not self.method.keeps_constants:
                    assert value == 0 or scale == 1 or (have != value).any()
                elif kind.kind == "f" and self.method.values == "weighed":
                    np.testing.assert_allclose(have, source[0, 0, 0], rtol=1e-3 if dtype == "f2" else 1e-6)
                else:
                    assert (have == value).all()

    @pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
    def test_flips_and_transposition_commute_if_it_is_symmetric(self, dtype: str) -> None:
        turns: dict[str, Callable[[Array], Array]] = {
            "upside down": lambda a: a[::-1],
            "left to right": lambda a: a[:, ::-1],
            "transposed": lambda a: a.swapaxes(0, 1),
        }
        differ = 0
        for (scale, shape), (name, turn) in zip(
            itertools.product(self.scales(), SHAPES), itertools.cycle(turns.items()), strict=False
        ):
            source = image((*shape, 2), dtype) // np.asarray(256 if dtype == "i2" else 1, dtype)
            turned = scale[::-1] if name == "transposed" and isinstance(scale, tuple) else scale
            have, expected = self.enlarge(turn(source), turned), turn(self.enlarge(source, scale))
            if not self.method.symmetric:
                differ += int((have != expected).sum())
                continue
            if self.method.values == "copied":
                sides = zip(turn(source).shape, have.shape[:2], strict=False)
                apart = np.ix_(*(~ties(n_in, n_out) for n_in, n_out in sides))
                have, expected = have[apart], expected[apart]
            self.assert_agree(have, expected, turn(self.enlarge(source.astype("f8"), scale)))
        assert self.method.symmetric == (differ == 0)

    @pytest.mark.parametrize("dtype", ["u1", "f4"])
    def test_channels_are_independent(self, dtype: str) -> None:
        for count in (1, 2, 3, 4, 5, 6, 17):
            if not self.method.independent and (count == 3 or self.method.factors):
                continue
            source = image((5, 6, count), dtype)
            for scale in self.scales():
                have, exact = self.enlarge(source, scale), self.enlarge(source.astype("f8"), scale)
                for c in {0, count // 2, count - 1}:
                    self.assert_agree(self.enlarge(source[:, :, c], scale), have[:, :, c], exact[:, :, c])

    # Strips, threads and memory.

    @pytest.mark.parametrize("bad", [False, True])
    def test_any_range_of_rows_is_the_same_bit_for_bit(self, bad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        source, scale = self.large(bad)
        made = self.upsampler(source, scale)
        height = made.shape[0]
        whole = made.rows(0, height)
        self.few_values(monkeypatch)
        small = self.upsampler(source, scale)
        assert small.band < height, "override `few_values` to make bands short"
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

    @pytest.mark.parametrize("dtype", ["u1", "f4"])
    def test_strip_height_and_threads_change_nothing(self, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
        source, scale = self.large(bad=False)
        source = source.astype(dtype)
        expected = self.enlarge(source, scale, threads=1)
        monkeypatch.setattr(api, "WORTH_THREADS", 1)
        self.few_values(monkeypatch)
        for values in (1, 30_000, 1 << 20):
            monkeypatch.setattr(strips, "STRIP_VALUES", values)
            for threads in (1, 2, 3):
                assert self.enlarge(source, scale, threads=threads).tobytes() == expected.tobytes()

    def test_memory_used_before_does_not_show(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Scratch memory full of NaN: what reads it before it writes it, even to multiply it by 0, is found out."""
        for shape in ((1, 1, 1), (3, 40, 6), (60, 7, 2)):
            for scale in self.scales():
                source = image(shape, "f4")
                with monkeypatch.context() as patched:
                    expected = self.enlarge(source, scale)
                    patched.setattr(Scratch, "get", poisoned)
                    assert self.enlarge(source, scale).tobytes() == expected.tobytes()

    # Subclasses share this function, which Hypothesis takes for a mistake.
    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(st.data())
    def test_any_image_any_strip(self, data: st.DataObject) -> None:
        shape = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5)))
        integers, quarters = st.integers(1, 6), st.integers(4, 40).map(lambda n: n / 4)
        factor = integers if self.method.integer_scale else quarters
        factors = st.sampled_from(self.scales()) if self.method.factors else st.tuples(factor, factor)
        made = self.upsampler(image(shape, "f4"), data.draw(factors))
        start = data.draw(st.integers(0, made.shape[0] - 1))
        stop = data.draw(st.integers(start + 1, made.shape[0]))
        assert made.rows(start, stop).tobytes() == made.rows(0, made.shape[0])[start:stop].tobytes()

    # Refusals: a sentence that names the thing.

    def test_an_unknown_parameter_is_refused_with_the_known_ones(self) -> None:
        sentence = refusal(method=self.method.name, colour=1)
        assert f'{self.method.name} has no parameter "colour"' in sentence
        assert all(p.name in sentence for p in self.method.parameters)
        for p in self.method.parameters:
            misspelt = {p.name + "s": 1}
            assert f'Did you mean "{p.name}"?' in refusal(method=self.method.name, **misspelt) or len(p.name) < 3

    def test_a_required_parameter_that_is_missing_is_named(self) -> None:
        for p in self.method.parameters:
            if p.default is REQUIRED:
                assert f"{self.method.name} needs {p.name}" in refusal(method=self.method.name)

    def test_values_out_of_their_domain_are_refused_by_name(self) -> None:
        words = ["", "nonsense", "-2", "1e999999999", "1/0"]
        junk = [*words, -2, 2.5, float("nan"), [], (1, 2, 3, 4), [[1], [2]], object()]
        for p in self.method.parameters:
            for value in [] if p.file else junk:
                if isinstance(p.kind, Number) and value == 2.5 and p.kind.low <= value <= p.kind.high:
                    continue
                values = self.given_arrays(np.ones((4, 4)), 2) | {p.name: value}
                sentence = refusal(method=self.method.name, **values)
                assert f"{self.method.name}: {p.name}=" in sentence
                assert p.domain.partition(" or two as")[0] in sentence

    def test_a_factor_that_is_no_integer_is_refused_if_it_must_be(self) -> None:
        name = self.method.name
        for scale, shown in ((1.5, "1.5"), ((2, 2.5), "(2, 2.5)"), ("3.5", "3.5")):
            if self.method.integer_scale:
                sentence = refusal(scale=scale, method=name, **self.given_arrays(np.ones((4, 4)), 2))
                needed = f"makes {self.method.demands}" if self.method.factors else "needs an integer factor"
                assert f"{name} {needed}, not {shown}" in sentence
            else:
                assert upscale(np.ones((4, 4)), scale, self.method, **self.given_arrays(np.ones((4, 4)), 2)).size > 16

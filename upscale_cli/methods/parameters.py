"""Method parameters: each is declared once, and reads what people type and what programs pass."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from fractions import Fraction
from numbers import Rational
from typing import Any, NamedTuple

from upscale_cli.errors import UpscaleError, UsageError, did_you_mean


class _Default(Enum):
    REQUIRED = "required"


REQUIRED = _Default.REQUIRED
"""The default of a parameter that must be given. A member of an `Enum`, so it stays the same object when pickled."""


class Kind:
    """The values that a parameter takes. Kinds are equal if they are of one class and say the same.

    Attributes
    ----------
    domain : str
        The allowed values in words, for help and for errors.
    words : tuple of str
        Completion candidates: every allowed value, or only the non-numeric ones.
    file : bool
        The value is an array, or several, which the command line takes from a file.
    archive : bool
        The value is all arrays of the file, by name.
    """

    domain: str
    words: tuple[str, ...] = ()
    file: bool = False
    archive: bool = False

    def read(self, value: Any) -> Any:
        """Return the value that the method takes for text or a Python value; `ValueError` if it is not allowed."""
        raise NotImplementedError

    def check(self, value: Any) -> None:
        """Raise `UpscaleError` if a value is of use for no picture; asked once, before the first."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))


class Number(Kind):
    """A real number from `low` to `high`; text may be a fraction such as 1/3.

    >>> kind = Number(0, 1)
    >>> kind.read("1/3"), kind.domain
    (0.3333333333333333, '0 to 1')
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high, self.domain = low, high, f"{low:g} to {high:g}"

    def read(self, value: Any) -> float:
        upper, _, lower = value.partition("/") if isinstance(value, str) else (value, "", "")
        result = float(upper) / float(lower or 1)
        if isinstance(value, bool) or not self.low <= result <= self.high:
            raise ValueError
        return result


class Integer(Kind):
    """An integer, at least `low` and at most `high`."""

    def __init__(self, low: int, high: int | None = None) -> None:
        self.low, self.high, self.domain = low, high, f"an integer of at least {low}"
        if high is not None:
            self.domain = f"an integer from {low} to {high}"
            self.words = tuple(str(number) for number in range(low, high + 1))

    def read(self, value: Any) -> int:
        result = int(value)
        exact = isinstance(value, str) or (result == value and not isinstance(value, bool))
        if not exact or result < self.low or (self.high is not None and result > self.high):
            raise ValueError
        return result


class PerAxis(Kind):
    """One integer of at least `low` for all axes, or one for each of up to three, or one of some words.

    They are in the order of the axes, the horizontal last; text has them as sizes are written, width x height x
    depth. With `ends`, each may be two, of the beginning and the end of its axis, in text before:after.

    >>> kind = PerAxis(1, "same")
    >>> kind.read(2), kind.read((2, 3)), kind.read("3x2"), kind.read("same")
    ((2,), (2, 3), (2, 3), 'same')
    >>> PerAxis(0, ends=True).read("1x0:2"), PerAxis(0, ends=True).read([[0, 2], 1])
    (((0, 2), (1, 1)), ((0, 2), (1, 1)))
    """

    def __init__(self, low: int, *words: str, ends: bool = False) -> None:
        self.side, self.words, self.ends = Integer(low), words, ends
        each = f"{self.side.domain}, or two as 3x2{', or as before:after' if ends else ''}"
        self.domain = " or ".join([*words, each])

    def read(self, value: Any) -> tuple[Any, ...] | str:
        if isinstance(value, str):
            if value in self.words:
                return value
            value = reversed(value.lower().split("x"))
        parts = tuple(map(self._read_part, value if isinstance(value, Iterable) else (value,)))
        if not 1 <= len(parts) <= 3:
            raise ValueError
        return parts

    def _read_part(self, part: Any) -> Any:
        if not self.ends:
            return self.side.read(part)
        ends = part.split(":") if isinstance(part, str) and ":" in part else part
        before, after = (ends, ends) if isinstance(ends, str) or not isinstance(ends, Iterable) else ends
        return self.side.read(before), self.side.read(after)


def per_axis(name: str, values: tuple[Any, ...], axes: int) -> tuple[Any, ...]:
    """Return the values of `PerAxis` for a number of axes; raises `UsageError` if there are as many of no other."""
    if len(values) not in (1, axes):
        raise UsageError(f"{name} has {len(values)} numbers, but there are {axes} axes; give one number, or {axes}.")
    return values * axes if len(values) == 1 else values


class Choice(Kind):
    """One of some words, which may be numbers: `Choice("1", "8")` takes 8 as well."""

    def __init__(self, *words: str) -> None:
        self.words, self.domain = words, " or ".join(words)

    def read(self, value: Any) -> str:
        if str(value) not in self.words:
            raise ValueError
        return str(value)


class ArrayValue(Kind):
    """An array, described by `domain`; its dtype and shape are for the method to check."""

    file = True

    def __init__(self, domain: str) -> None:
        self.domain = domain

    def read(self, value: Any) -> Any:
        import numpy as np

        return np.asarray(value)


class ArchiveValue(Kind):
    """Arrays by name, as `numpy.load` gives those of a `.npz`; what they must be is for the method to check."""

    file = archive = True

    def __init__(self, domain: str) -> None:
        self.domain = domain

    def read(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise TypeError
        return {str(name): value[name] for name in value}


class Parameter(NamedTuple):
    """One parameter of a method: a record that is built by keyword.

    Attributes
    ----------
    name : str
        As users type it.
    kind : Kind
        The values that it takes, and how they are read.
    default : object
        Its value if none is given; `REQUIRED` if one must be. None is allowed for every kind.
    summary : str
        What it does, in a line.
    beside : str, optional
        For an array: the ending of its file's name, instead of the image's extension, if the file lies beside the
        image.
    common : bool
        Many methods have it: it is described once, and mentioned where it is not its default.
    """

    name: str
    kind: Kind
    default: Any
    summary: str
    beside: str | None = None
    common: bool = False

    @property
    def domain(self) -> str:
        """The allowed values in words."""
        return self.kind.domain

    @property
    def words(self) -> tuple[str, ...]:
        """Completion candidates."""
        return self.kind.words

    @property
    def file(self) -> bool:
        """The command line takes the value from a file."""
        return self.kind.file

    @property
    def archive(self) -> bool:
        """The value is all arrays of the file, by name."""
        return self.kind.archive


def shown(value: Any) -> str:
    """Return a value as users type it: those of all axes as width x height, or as one number if they are equal.

    >>> shown((2, 3)), shown((1, 1)), shown("same"), shown(0.5), shown(0.0), shown(((0, 2), (1, 1)))
    ('3x2', '1', 'same', '0.5', '0', '1x0:2')
    """
    if not isinstance(value, tuple):
        return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
    sides = [
        ":".join(map(str, dict.fromkeys(side))) if isinstance(side, tuple) else str(side) for side in value[::-1]
    ]
    return sides[0] if len(set(sides)) == 1 else "x".join(sides)


def read_parameters(method: str, declared: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every declared parameter: what was given, read, or its default.

    Raises
    ------
    UsageError
        If the method has no parameter of a name, a value is not allowed, or a required one is missing.
    """
    names = [p.name for p in declared]
    for name in given:
        if name not in names:
            takes = f"it takes {', '.join(names)}" if names else "it takes none"
            raise UsageError(f'{method} has no parameter "{name}"; {takes}.{did_you_mean(name, names)}')
    values = {}
    for p in declared:
        if given.get(p.name) is None:
            if p.default is REQUIRED:
                # A file may lie beside one image and be missing beside another, which is no fault of the request.
                raise (UpscaleError if p.beside else UsageError)(f"{method} needs {p.name}: {p.summary}")
            values[p.name] = p.default
            continue
        try:
            values[p.name] = p.kind.read(given[p.name])
        except (ValueError, TypeError, OverflowError, ZeroDivisionError):
            # Programs pass pairs as arrays are indexed.
            domain = p.domain if isinstance(given[p.name], str) else p.domain.replace("3x2", "(vertical, horizontal)")
            raise UsageError(f"{method}: {p.name}={given[p.name]} is not {domain}.") from None
    return values


Scale = tuple[Fraction, ...]
"""The factors of (vertical, horizontal); of a line one, of a volume three, that of depth first."""


class Uniform(tuple[Fraction, ...]):
    """One factor that was given for all axes, as often as there are axes; two before anybody knows better."""

    def spread(self, axes: int) -> "Uniform":
        """Return the factor for a number of axes."""
        return Uniform(self[:1] * axes)


def read_scale(value: Any, smaller: bool = False, most: int = 3) -> Scale:
    """Return a factor of at least 1 for (vertical, horizontal), exactly as it was written.

    Parameters
    ----------
    value : real number, sequence of one to three of them, the horizontal last, or text
        Text is one factor, or two as width x height, or three with depth; 4x, x4, 400% and 8/2 are 4.
    smaller : bool
        Factors below 1 are factors, too.
    most : int
        The most factors.

    Raises
    ------
    UsageError
        If it is not a finite number of at least 1.

    Examples
    --------
    >>> read_scale(1.1), read_scale("3x2"), read_scale(Fraction(4, 3))[0]
    ((Fraction(11, 10), Fraction(11, 10)), (Fraction(2, 1), Fraction(3, 1)), Fraction(4, 3))
    >>> read_scale("4x") == read_scale("x4") == read_scale("400%") == read_scale("4×4") == (4, 4)
    True
    """
    parts, single = value, False
    if isinstance(value, str):
        parts = reversed(re.sub("[×*]", "x", value.lower().strip()).removeprefix("x").removesuffix("x").split("x"))
    try:
        parts = list(parts)
        single = isinstance(value, str) and len(parts) == 1
    except TypeError:  # a number, or an array without dimensions
        parts, single = [parts], True
    factors = []
    for part in parts:
        try:
            # As a float first: computing the exact value of "1e999999999" would never end.
            number, unit = part, "1"
            if isinstance(part, str):
                number, unit = (part[:-1], "100") if part.endswith("%") else f"{part}/1".split("/")[:2]
            usable = (2**-53 if smaller else 1) <= float(number) / float(unit) <= 2**53
            factor = _exact(number) / _exact(unit) if usable else Fraction(0)
        except (ValueError, TypeError, OverflowError, ZeroDivisionError):
            factor = Fraction(0)
        if not factor:
            break
        factors.append(factor)
    if len(factors) != len(parts) or not 1 <= len(factors) <= most:
        pair = "3x2 (width x height)" if isinstance(value, str) else "(vertical, horizontal)"
        raise UsageError(f'scale "{value}" is not a number of at least 1, or two as {pair}.')
    return Uniform(factors).spread(2) if single else tuple(factors)


def _exact(part: Any) -> Fraction:
    """Return a factor as a fraction: a text as it is written, a float as Python prints it, a fraction as it is."""
    if isinstance(part, Rational):
        return Fraction(int(part.numerator), int(part.denominator))
    return Fraction(part if isinstance(part, str) else repr(float(part)))


def round_side(side: int, factor: Fraction) -> int:
    """Return `side · factor`, rounded half up.

    >>> round_side(5, Fraction("1.5")), round_side(1, Fraction(1))
    (8, 1)
    """
    doubled = 2 * factor.denominator
    return (2 * side * factor.numerator + factor.denominator) // doubled

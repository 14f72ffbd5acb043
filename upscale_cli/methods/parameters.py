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
        if not self.low <= result <= self.high:
            raise ValueError
        return result


class Integer(Kind):
    """An integer, at least `low` and at most `high`."""

    def __init__(self, low: int, high: int | None = None) -> None:
        self.low, self.high, self.domain = low, high, f"an integer of at least {low}"
        if high is not None:
            self.domain = f"{low} to {high}"
            self.words = tuple(str(number) for number in range(low, high + 1))

    def read(self, value: Any) -> int:
        result = int(value)
        exact = isinstance(value, str) or result == value
        if not exact or result < self.low or (self.high is not None and result > self.high):
            raise ValueError
        return result


class Pair(Kind):
    """Two integers of at least `low` for (vertical, horizontal), or one for both, or one of some words.

    On the command line two numbers are written as sizes are, width x height.

    >>> kind = Pair(1, "same")
    >>> kind.read(2), kind.read((2, 3)), kind.read("3x2"), kind.read("same")
    ((2, 2), (2, 3), (2, 3), 'same')
    """

    def __init__(self, low: int, *words: str) -> None:
        self.side, self.words = Integer(low), words
        self.domain = " or ".join([*words, f"{self.side.domain}, or two as 3x2"])

    def read(self, value: Any) -> tuple[int, int] | str:
        if isinstance(value, str):
            if value in self.words:
                return value
            value = [self.side.read(part) for part in reversed(value.lower().split("x"))]
        parts = tuple(value) if isinstance(value, Iterable) else (value,)
        if not 1 <= len(parts) <= 2:
            raise ValueError
        return self.side.read(parts[0]), self.side.read(parts[-1])


class Choice(Kind):
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words, self.domain = words, " or ".join(words)

    def read(self, value: Any) -> str:
        if value not in self.words:
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
    """Return a value as users type it: pairs as width x height, or as one number if both are equal.

    >>> shown((2, 3)), shown((1, 1)), shown("same"), shown(0.5)
    ('3x2', '1', 'same', '0.5')
    """
    return "x".join(str(side) for side in dict.fromkeys(reversed(value))) if isinstance(value, tuple) else str(value)


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


Scale = tuple[Fraction, Fraction]


def read_scale(value: Any, smaller: bool = False) -> Scale:
    """Return a factor of at least 1 for (vertical, horizontal), exactly as it was written.

    Parameters
    ----------
    value : real number, pair of them for (vertical, horizontal), or text
        Text is one factor, or two as width x height; 4x, x4, 400% and 8/2 are 4.
    smaller : bool
        Factors below 1 are factors, too.

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
    parts = value
    if isinstance(value, str):
        parts = reversed(re.sub("[×*]", "x", value.lower().strip()).removeprefix("x").removesuffix("x").split("x"))
    try:
        parts = list(parts)
    except TypeError:  # a number, or an array without dimensions
        parts = [parts]
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
    if len(factors) != len(parts) or not 1 <= len(factors) <= 2:
        pair = "3x2 (width x height)" if isinstance(value, str) else "(vertical, horizontal)"
        raise UsageError(f'scale "{value}" is not a number of at least 1, or two as {pair}.')
    return factors[0], factors[-1]


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

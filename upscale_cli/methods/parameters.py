"""What a method can be told: each parameter is declared once, and reads what people type and what programs pass."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from upscale_cli.errors import UpscaleError, UsageError, did_you_mean

REQUIRED = object()
"""The default of a parameter that has none."""


class Parameter(NamedTuple):
    """One thing that a method can be told.

    Attributes
    ----------
    name : str
        As users type it.
    read : callable
        Text or a Python value to the value that the method takes; raises `ValueError` when it is not one.
    domain : str
        What it can be, for help and for the error.
    words : tuple of str
        Values that can be offered to who types: all that there are, or those that are no number.
    default : object
        Its value when nothing is said; `REQUIRED` where there is none.
    summary : str
        What it does, in a line.
    file : bool
        It is an array, which the command line takes from a file with an option of this name.
    archive : bool
        All arrays of the file, by their names, are its value.
    beside : str, optional
        How the name of that file ends where it lies beside the image, instead of the image's extension.
    """

    name: str
    read: Callable[[Any], Any]
    domain: str
    words: tuple[str, ...]
    default: Any
    summary: str
    file: bool = False
    archive: bool = False
    beside: str | None = None


Kind = tuple[Callable[[Any], Any], str, tuple[str, ...]]
"""How a value is read, what it can be, and the words that can be offered: the second to fourth of a `Parameter`."""


def shown(value: Any) -> str:
    """A value as it is typed: pairs as width x height, and as one number where both are alike.

    >>> shown((2, 3)), shown((1, 1)), shown("same"), shown(0.5)
    ('3x2', '1', 'same', '0.5')
    """
    return "x".join(str(side) for side in dict.fromkeys(reversed(value))) if isinstance(value, tuple) else str(value)


def number(low: float, high: float) -> Kind:
    """A real number of an interval, a fraction such as 1/3 among them.

    >>> read, domain, _ = number(0, 1)
    >>> read("1/3"), domain
    (0.3333333333333333, '0 to 1')
    """

    def read(value: Any) -> float:
        upper, _, lower = value.partition("/") if isinstance(value, str) else (value, "", "")
        result = float(upper) / float(lower or 1)
        if not low <= result <= high:
            raise ValueError
        return result

    return read, f"{low:g} to {high:g}", ()


def whole(low: int, high: int | None = None) -> Kind:
    """A whole number, at least `low` and at most `high`."""

    def read(value: Any) -> int:
        result = int(value)
        if (not isinstance(value, str) and result != value) or result < low or (high is not None and result > high):
            raise ValueError
        return result

    if high is None:
        return read, f"a whole number of at least {low}", ()
    return read, f"{low} to {high}", tuple(str(number) for number in range(low, high + 1))


def pair(low: int, *words: str) -> Kind:
    """Two whole numbers for (vertical, horizontal), or one for both, or one of some words.

    On the command line two numbers are written as sizes are, width x height.

    >>> read, _, _ = pair(1, "same")
    >>> read(2), read((2, 3)), read("3x2"), read("same")
    ((2, 2), (2, 3), (2, 3), 'same')
    """
    one, _, _ = whole(low)

    def read(value: Any) -> tuple[int, int] | str:
        if isinstance(value, str):
            if value in words:
                return value
            value = [one(part) for part in reversed(value.lower().split("x"))]
        parts = tuple(value) if isinstance(value, Iterable) else (value,)
        if not 1 <= len(parts) <= 2:
            raise ValueError
        return one(parts[0]), one(parts[-1])

    text = f"a whole number of at least {low}, or two as 3x2"
    return read, " or ".join([*words, text]), words


def choice(*words: str) -> Kind:
    """One of some words."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return read, " or ".join(words), words


def array(domain: str) -> Kind:
    """An array; what it must look like is for the method to check."""

    def read(value: Any) -> Any:
        import numpy as np

        return np.asarray(value)

    return read, domain, ()


def archive(domain: str) -> Kind:
    """Arrays by name, as `numpy.load` gives those of a `.npz`; what they must be is for the method to check."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise TypeError
        return {str(name): value[name] for name in value}

    return read, domain, ()


def read_parameters(method: str, declared: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every declared parameter: what was given, read, or its default.

    Raises
    ------
    UsageError
        When the method has no parameter of a name, a value is not of its domain, or a required one is missing.
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
                # What lies beside one image may be missing beside another: no fault of the request.
                raise (UpscaleError if p.beside else UsageError)(f"{method} needs {p.name}: {p.summary}")
            values[p.name] = p.default
            continue
        try:
            values[p.name] = p.read(given[p.name])
        except (ValueError, TypeError, OverflowError, ZeroDivisionError):
            raise UsageError(f"{method}: {p.name}={given[p.name]} is not {p.domain}.") from None
    return values


Scale = tuple[Fraction, Fraction]


def read_scale(value: Any) -> Scale:
    """A factor of at least 1 for (vertical, horizontal), exact as it was written.

    Parameters
    ----------
    value : real number, pair of them for (vertical, horizontal), or text
        Text is one factor, or two as width x height.

    Raises
    ------
    UsageError
        When it is not a finite number of at least 1.

    Examples
    --------
    >>> read_scale(1.1), read_scale("3x2")
    ((Fraction(11, 10), Fraction(11, 10)), (Fraction(2, 1), Fraction(3, 1)))
    """
    parts = list(reversed(value.lower().split("x"))) if isinstance(value, str) else value
    try:
        parts = list(parts)
    except TypeError:  # a number, or an array without dimensions
        parts = [parts]
    factors = []
    for part in parts:
        try:
            # As a float first: the exact value of "1e999999999" would take for ever.
            usable = 1 <= float(part) <= 2**53
            factor = Fraction(part if isinstance(part, str) else repr(float(part))) if usable else Fraction(0)
        except (ValueError, TypeError, OverflowError):
            factor = Fraction(0)
        if not factor:
            raise UsageError(f'scale "{value}" is not a number of at least 1, or two as 3x2 (width x height).')
        factors.append(factor)
    if not 1 <= len(factors) <= 2:
        raise UsageError(f'scale "{value}" is not a number of at least 1, or two as 3x2 (width x height).')
    return factors[0], factors[-1]


def round_side(side: int, factor: Fraction) -> int:
    """`side · factor`, rounded half up.

    >>> round_side(5, Fraction("1.5")), round_side(1, Fraction(1))
    (8, 1)
    """
    return math.floor(side * factor + Fraction(1, 2))

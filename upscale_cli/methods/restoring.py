"""How damaged a picture is, as a level of 0 … 1, and as much is restored. Plain Python, because `--help` reads it.

The levels between follow the quantisation tables of JPEG: 0 is a picture that was never damaged, 1 stands for the
standard tables of quality 30. Between, a level grows with the logarithm of the tables, so that equal steps of it look
equally strong.
"""

from collections.abc import Sequence
from math import log1p
from typing import Any

from upscale_cli.methods.parameters import Kind, Number

WORDS = {"none": 0.0, "low": 0.33, "medium": 0.67, "high": 1.0}
LOWEST = (16, 11, 10, 16, 24, 12, 12, 14, 19, 14, 13, 16, 14, 17, 18)
"""The standard table of luma (ITU-T T.81, table K.1), row by row, as far as row + column ≤ 4."""
KNEE, STRONGEST = 0.2, 5 / 3
"""Multiples of the standard table: levels are nearly proportional far below the first; the second is level 1."""


class Restoration(Kind):
    """A level, or a word for one; `auto` stays a word until the file says more.

    >>> Restoration().read("medium"), Restoration().read("1/4"), Restoration().read("auto")
    (0.67, 0.25, 'auto')
    """

    def __init__(self) -> None:
        self.words = ("auto", *WORDS)
        self.domain = f"{', '.join(self.words)}, or 0 to 1"

    def read(self, value: Any) -> float | str:
        if value == "auto":
            return "auto"
        return WORDS[value] if value in WORDS else Number(0, 1).read(value)


class Found(float):
    """A level that a file tells, and why it does."""

    why: str

    def __new__(cls, level: float, why: str) -> "Found":
        """Return the level with its reason."""
        found = super().__new__(cls, level)
        found.why = why
        return found

    def __str__(self) -> str:
        """Return it as users type it."""
        return f"{float(self):g}"


def found_in(tables: Sequence[Sequence[int]], lossless: bool) -> Found:
    """Return the level of a file: what its JPEG tables say, in hundredths.

    Parameters
    ----------
    tables : sequence of sequences of int
        The quantisation tables of a JPEG, that of luma first, each in the order of rows; none for other files.
    lossless : bool
        The file stores its pixels as they are.

    >>> found = found_in([[3] * 64], False)
    >>> float(found), found.why
    (0.32, 'its tables are those of JPEG quality 90')
    """
    if not tables:
        return Found(0, "its file is lossless" if lossless else "only the tables of a JPEG tell how much")
    lowest = [value for place, value in enumerate(tables[0]) if place // 8 + place % 8 <= 4]
    share = sum(value / usual for value, usual in zip(lowest, LOWEST, strict=True)) / len(LOWEST)
    quality = 100 - 50 * share if share <= 1 else 50 / share
    return Found(round(level_of(share), 2), f"its tables are those of JPEG quality {max(quality, 1):.0f}")


def level_of(share: float) -> float:
    """Return the level of a multiple of the standard tables.

    >>> round(level_of(0.2), 2), level_of(2)
    (0.31, 1.0)
    """
    return min(1.0, log1p(share / KNEE) / log1p(STRONGEST / KNEE))

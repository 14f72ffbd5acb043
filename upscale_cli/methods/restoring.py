"""How damaged a picture is, as a level of 0 … 1, and as much is restored. Plain Python, because `--help` reads it.

The levels between follow the quantisation tables of JPEG: 0 is a picture that was never damaged, 1 stands for the
standard tables of quality 30. Between, a level grows with the logarithm of the tables, so that equal steps of it look
equally strong. A WebP counts as the JPEG for which the same level restores best.
"""

from collections.abc import Sequence
from math import log1p, sqrt
from typing import Any, NamedTuple

from upscale_cli.methods.parameters import Kind, Number

WORDS = {"none": 0.0, "low": 0.33, "medium": 0.67, "high": 1.0}
LOWEST = (16, 11, 10, 16, 24, 12, 12, 14, 19, 14, 13, 16, 14, 17, 18)
"""The standard table of luma (ITU-T T.81, table K.1), row by row, as far as row + column ≤ 4."""
FINEST, COARSEST = 97, 3
"""The qualities that finer and coarser tables cannot be told from: their steps are 1, or cut off at 255."""
KNEE, STRONGEST = 0.2, 5 / 3
"""Multiples of the standard table: levels are nearly proportional far below the first; the second is level 1."""
WEBP_STEP, WEBP_POWER = 84, 1.3
"""A lossy WebP counts as this power of its step, as a multiple of the first.

Of 43 photographs, reduced by two or four and saved with qualities 98, 95, 90, 85, 80, 75, 60, 40 and 20, the levels
that came nearest to the original stand for 0.04, 0.05, 0.08, 0.13, 0.19, 0.27, 0.36, 0.49 and 0.9 of the standard
table on average, at mean steps of 5.2, 7.8, 12.5, 17.6, 23.2, 29.3, 36.4, 48.5 and 72.8. The formula gives 0.03,
0.05, 0.08, 0.13, 0.19, 0.25, 0.34, 0.49 and 0.83.
"""


class Losses(NamedTuple):
    """What a file tells about what compression took from its pixels: a record that is built by keyword.

    Attributes
    ----------
    lossless : bool
        It stores its pixels as they are.
    table : sequence of int
        The quantisation table of a JPEG's luma, in the order of rows; empty for other files.
    step : float
        The mean quantisation step of the brightness of a lossy WebP; 0 for others.
    blocks : sequence of int
        The quantisation table of a JPEG's luma, for blocks that begin at the first pixel of the upright picture;
        empty if nobody knows where they begin, or if what they hold is not luma.
    """

    lossless: bool = True
    table: Sequence[int] = ()
    step: float = 0
    blocks: Sequence[int] = ()


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
        if isinstance(value, Found):
            return value
        return WORDS[value] if value in WORDS else Number(0, 1).read(value)


class Found(float):
    """A level that a file tells, why it does, and the `blocks` of its `Losses`."""

    why: str
    blocks: Sequence[int]

    def __new__(cls, level: float, why: str, blocks: Sequence[int] = ()) -> "Found":
        """Return the level with its reason."""
        found = super().__new__(cls, level)
        found.why, found.blocks = why, blocks
        return found

    def __str__(self) -> str:
        """Return it as users type it."""
        return f"{float(self):g}"


def found_in(losses: Losses) -> Found:
    """Return the level of a file: what the tables of a JPEG or the steps of a WebP say, in hundredths.

    A step of `q` is an error of variance `q² / 12`. Pixels are rounded as well, also in pictures that were never
    damaged, and a step of 1 is no worse: so what a table costs are the steps `√(q² − 1)`, whose mean square counts.

    >>> for losses in (Losses(lossless=False, table=[3] * 64), Losses(lossless=False, step=29.3)):
    ...     found = found_in(losses)
    ...     float(found), found.why
    (0.31, 'its tables are those of JPEG quality 90')
    (0.37, 'as a WebP it is quantised like JPEG quality 87')
    """
    if losses.table:
        lowest = [value for place, value in enumerate(losses.table) if place // 8 + place % 8 <= 4]
        pairs = list(zip(lowest, LOWEST, strict=True))
        level = level_of(sqrt(sum(max(0, value**2 - 1) / usual**2 for value, usual in pairs) / len(pairs)))
        quality = _quality(sum(value / usual for value, usual in pairs) / len(pairs))
        beyond = " or more" if quality >= FINEST else " or less" if quality <= COARSEST else ""
        why = f"its tables are those of JPEG quality {min(max(quality, COARSEST), FINEST)}{beyond}"
    elif losses.step:
        share = (losses.step / WEBP_STEP) ** WEBP_POWER
        level = level_of(share)
        why = f"as a WebP it is quantised like JPEG quality {_quality(share)}"
    else:
        return Found(0, "its file is lossless" if losses.lossless else "its file does not tell how much")
    return Found(round(level, 2), why, losses.blocks)


def _quality(share: float) -> int:
    """Return the quality, as libjpeg counts it, of a multiple of the standard tables."""
    return max(1, round(100 - 50 * share if share <= 1 else 50 / share))


def level_of(share: float) -> float:
    """Return the level of a multiple of the standard tables.

    >>> round(level_of(0.2), 2), level_of(2)
    (0.31, 1.0)
    """
    return min(1.0, log1p(share / KNEE) / log1p(STRONGEST / KNEE))

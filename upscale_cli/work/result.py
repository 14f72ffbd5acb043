"""What becomes of one image: sizes, and what the user is told about it."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar, cast

from upscale_cli.methods import Scale

T = TypeVar("T", bound=Hashable)


@lru_cache(1 << 12)
def _first(value: Any, kinds: Hashable) -> Any:
    """Return the first value that was given of those that are equal."""
    return value


def shared(value: T) -> T:
    """Return a value, the same object for all that are equal: many images of a run have the same sizes.

    A size of 2 by 2 is no scale of 2 by 2, which is of fractions.

    >>> shared((Fraction(2), Fraction(2))), shared((2, 2))
    ((Fraction(2, 1), Fraction(2, 1)), (2, 2))
    """
    return cast(T, _first(value, tuple(map(type, value)) if isinstance(value, tuple) else type(value)))


@dataclass(kw_only=True, slots=True)
class Result:
    """What becomes of an image.

    Attributes
    ----------
    before, after : tuple of int
        Width and height of the source and of its result, and the depth of volumes.
    scale : Scale
        The exact factors of an enlargement.
    frames : int
    notes : list of str
        What a user should know.
    decisions : dict of str to str
        What was decided, by subject, shown with -v. Each is recorded where it is made, so that the report is true.
    memory, memory_per_thread : int
        Approximate bytes that it takes on one thread, and for each further thread.
    """

    before: tuple[int, ...] = (0, 0)
    after: tuple[int, ...] = (0, 0)
    scale: Scale = (Fraction(2), Fraction(2))
    frames: int = 1
    notes: list[str] = field(default_factory=list)
    decisions: dict[str, str] = field(default_factory=dict)
    memory: int = 0
    memory_per_thread: int = 0

    def note(self, *texts: str) -> None:
        """Add notes that are not there already."""
        self.notes += [text for text in dict.fromkeys(texts) if text not in self.notes]

"""What of an animation's times a format can store."""

from typing import NamedTuple


class Timing(NamedTuple):
    """What of an animation's times a format can store: a record that is built by keyword.

    Attributes
    ----------
    step : int
        Every duration is a multiple of so many milliseconds; 0 for any duration.
    longest : int
        The longest duration in milliseconds.
    plays : int
        How often an animation can be shown at most; 0 if all of them are shown for ever.
    """

    step: int = 0
    longest: int = 2**31 - 1
    plays: int = 2**31 - 1

"""How large a result is: what `--size` asks for, what an indices file remembers, and the largest factor that fits."""

import re
from collections.abc import Callable
from fractions import Fraction

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods import Scale, Size
from upscale_cli.methods.parameters import round_side


def wanted_size(text: str, height: int, width: int) -> Size:
    """Return the height and width that a text after `--size` asks for; a side that it leaves open keeps the shape.

    Raises
    ------
    UsageError
        If it is no size.

    Examples
    --------
    >>> wanted_size("3840", 600, 800), wanted_size("x1200", 600, 800), wanted_size("4000x1200", 600, 800)
    ((2880, 3840), (1200, 1600), (1200, 1600))
    """
    match = re.fullmatch(r"([1-9]\d{0,11})|([1-9]\d{0,11})?x([1-9]\d{0,11})?", text.strip().lower())
    if match is None or not any(match.groups()):
        raise UsageError(f'size "{text}" is not one of 3840, 3840x2160, 3840x, x2160.')
    longest, wide, high = (int(group) if group else None for group in match.groups())
    pairs = ((longest, max(height, width)), (wide, width), (high, height))
    factor = min(Fraction(wanted, side) for wanted, side in pairs if wanted is not None)
    return max(1, round_side(height, factor)), max(1, round_side(width, factor))


def check_remembered(remembered: Size, scale: Scale, height: int, width: int) -> None:
    """Raise `UpscaleError` if the size that an indices file remembers does not match the scale that is asked for."""
    # Pooling may have dropped a part of a window, so the ratio of the sides is only near the scale.
    ratios = zip(remembered, (height, width), scale, strict=True)
    if any(round(new / old) != factor for new, old, factor in ratios):
        raise UpscaleError(
            f"the indices belong to a {remembered[1]}x{remembered[0]} image, which does not match --scale; "
            "omit --scale."
        )


def largest_factor(before: Size, fits: Callable[[Size], bool], step: int = 1) -> str:
    """Return the largest factor, to hundredths in steps of `step`, at which a size fits; empty if not even 1 does.

    >>> largest_factor((3, 3), lambda size: size[0] * size[1] <= 24)
    '1.49'
    """

    def fitting(steps: int) -> bool:
        factor = Fraction(steps * step, 100)
        return fits((round_side(before[0], factor), round_side(before[1], factor)))

    low, high = 100 // step - 1, (100 << 31) // step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fitting(middle) else (low, middle)
    return f"{low * step / 100:.2f}".rstrip("0").rstrip(".") if low * step >= 100 else ""

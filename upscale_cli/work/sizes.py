"""How large a result is: what `--size` asks for, what an indices file remembers, and the largest factor that fits."""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods import Scale, Size
from upscale_cli.methods.method import as_typed
from upscale_cli.methods.parameters import Uniform, read_scale, round_side


def read_size(value: str) -> str:
    """Return a text after `--size` as 3840, 3840x2160, 3840x or x2160, however its sign and units were typed.

    Raises `UsageError` if it is no size.

    >>> read_size("1920×1080"), read_size("1920 X 1080"), read_size("1920px"), read_size("x1080")
    ('1920x1080', '1920x1080', '1920', 'x1080')
    """
    text = re.sub(r"\s*[x×*:]\s*", "x", re.sub(r"(?<=\d)\s*(px|pixels?)\b", "", value.strip().lower()))
    if re.fullmatch(r"[1-9]\d{0,11}(x([1-9]\d{0,11})?)?|x[1-9]\d{0,11}", text, re.ASCII) is None:
        factor = f"; use --scale {value.strip()} for a factor" if text.endswith("%") else ""
        raise UsageError(f'size "{value}" is not one of 3840, 3840x2160, 3840x, x2160{factor}.')
    return text


def wanted_size(text: str, height: int, width: int, fit: str = "inside") -> tuple[Size, Size]:
    """Return the size, (height, width), that a text of `read_size` asks a method for, and that of the result.

    A side that the text leaves open keeps the shape. `inside` is the largest size within the one that is asked for;
    `pad` is that with a border around it; `cover` is the smallest that covers it, which is cropped; `exact` is the
    size that is asked for, in another shape. Raises `UsageError` if the way to fit needs a width and a height.

    >>> wanted_size("3840", 600, 800)[0], wanted_size("x1200", 600, 800)[0], wanted_size("4000x1200", 600, 800)[0]
    ((2880, 3840), (1200, 1600), (1200, 1600))
    >>> wanted_size("1600x900", 600, 800, "cover"), wanted_size("1600x900", 600, 800, "pad")
    (((1200, 1600), (900, 1600)), ((900, 1200), (900, 1600)))
    """
    wide, separator, high = text.partition("x")
    sides = [(wide, width), (high, height)] if separator else [(wide, max(height, width))]
    if fit != "inside" and not (wide and high):
        raise UsageError(f"--fit {fit} needs a width and a height, such as --size 3840x2160.")
    factor = (max if fit == "cover" else min)(Fraction(int(wanted), side) for wanted, side in sides if wanted)
    scaled = max(1, round_side(height, factor)), max(1, round_side(width, factor))
    if fit == "inside":
        return scaled, scaled
    both = int(high), int(wide)
    return (both if fit == "exact" else scaled), both


def read_spacing(value: str) -> tuple[Fraction, ...]:
    """Return the voxel size that a text after `--spacing` asks for, in millimetres: (depth, vertical, horizontal).

    Raises `UsageError` if it is no voxel size.

    >>> read_spacing("1.0"), read_spacing("1x1x2.5mm")
    ((Fraction(1, 1),), (Fraction(5, 2), Fraction(1, 1), Fraction(1, 1)))
    """
    parts = re.sub(r"\s*[x×*]\s*", "x", value.strip().lower().removesuffix("mm")).strip().split("x")
    if len(parts) not in (1, 3) or not all(re.fullmatch(r"\d{0,6}(\d|\.\d{1,9})", each, re.ASCII) for each in parts):
        parts = ["0"]
    if not all(sides := tuple(Fraction(each) for each in reversed(parts))):
        raise UsageError(f'spacing "{value}" is not a voxel size in mm, such as 1.0, or 1x1x2.')
    return sides


def is_named_by(label: str, after: tuple[int, ...], before: tuple[int, ...]) -> bool:
    """Return whether a label, such as 2x or 300x200, is that of a result of some sides, (width, height).

    >>> is_named_by("1.5x", (8, 6), (5, 4)), is_named_by("8x6", (8, 6), (5, 4)), is_named_by("2x", (8, 6), (5, 4))
    (True, True, False)
    """
    try:
        factors = read_scale(label, smaller=True)
    except UsageError:
        return False
    each = factors.spread(len(before)) if isinstance(factors, Uniform) else factors[::-1]
    return tuple(map(round_side, before, each)) == after or label == as_typed(after[::-1])


def check_remembered(remembered: Size, scale: Scale | None, before: Size) -> None:
    """Raise `UpscaleError` if the size that an indices file remembers does not match an array and a scale."""
    axes, typed = len(remembered), as_typed(remembered)
    if axes != len(before):
        raise UpscaleError(f"the indices belong to {typed}, which has {axes} axes; add --axes {axes}.")
    # Pooling may have dropped a part of a window, so the ratio of the sides is only near the scale.
    if scale and any(round(new / old) != factor for new, old, factor in zip(remembered, before, scale, strict=True)):
        raise UpscaleError(f"the indices belong to a {typed} image, which does not match --scale; omit --scale.")


def largest_factor(
    before: tuple[int, ...], fits: Callable[[Any], bool], hundredths: Sequence[int] = range(100, 100 << 31)
) -> str:
    """Return the largest of some factors, in order and in hundredths, at which a size fits; empty if none does.

    >>> largest_factor((3, 3), lambda size: size[0] * size[1] <= 24)
    '1.49'
    """

    def is_too_large(factor: int) -> bool:
        return not fits(tuple(round_side(side, Fraction(factor, 100)) for side in before))

    count = bisect_left(hundredths, True, key=is_too_large)
    return f"{hundredths[count - 1] / 100:.2f}".rstrip("0").rstrip(".") if count else ""

"""The methods that dear tests walk: one or a few of each that works in its own way. Cheap tests walk all of them."""

from itertools import groupby

from upscale_cli.methods import METHODS, Method


def way(method: Method) -> tuple[str, str]:
    """What makes a method's upsamplers, its own function or one that others of its group share."""
    return method.group, getattr(method.make, "__qualname__", type(method.make).__qualname__)


WAYS = [
    method.name
    for _, group in groupby(METHODS.values(), way)
    for alike in [list(group)]
    for method in [each for each in alike if each.compared] or alike[:1]
]
"""Of methods that work alike those that are compared if none is named, or else the first."""

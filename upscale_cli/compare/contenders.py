"""Methods with parameters, as users name them to compare or measure several at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods import METHODS, Method, Scale, find_method, resolve
from upscale_cli.methods.parameters import read_parameters, shown
from upscale_cli.methods.restoring import Losses


@dataclass(frozen=True)
class Contender:
    """A method with parameters.

    Attributes
    ----------
    name : str
        The text that the user typed, or could have typed: `NAME[:KEY=VALUE,...]`.
    method : Method
    parameters : mapping
        The given parameters, checked; arrays are loaded from their files.
    """

    name: str
    method: Method
    parameters: Mapping[str, Any]

    def heeding(self, losses: Losses) -> "Contender":
        """Return the contender for a picture whose file told so much of its losses; see `Method.heed`."""
        given = {parameter.name: parameter.default for parameter in self.method.parameters} | dict(self.parameters)
        found = {name: value for name, value in self.method.heed(given, losses).items() if value is not given[name]}
        return replace(self, parameters={**self.parameters, **found})


def read_contender(text: str) -> Contender:
    """Return the contender that `NAME[:KEY=VALUE,...]` describes.

    A name alone is not checked for required parameters, because these may be files beside the image.

    Raises
    ------
    UsageError
        If the method or a parameter does not exist, or a value is invalid.
    UpscaleError
        If a parameter's file cannot be read.

    Examples
    --------
    >>> contender = read_contender("lanczos:a=4")
    >>> contender.method.name, contender.parameters
    ('lanczos', {'a': 4})
    """
    name, colon, parameters = text.partition(":")
    method = find_method(name)
    if not colon:
        return Contender(text, method, {})
    given: dict[str, Any] = {}
    for part in parameters.split(",") if parameters else []:
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f'"{part}" in "{text}" is not KEY=VALUE.')
        given[key] = value
    for p in method.parameters:
        if p.file and p.name in given:
            from upscale_cli.places import place_of
            from upscale_cli.work.parameter_files import load_parameter

            given[p.name] = load_parameter(p, place_of(given[p.name]).source(given[p.name]))[0]
    values = read_parameters(name, method.parameters, given)
    return Contender(text, method, {key: values[key] for key in given})


def usual_contenders() -> list[Contender]:
    """Return the few methods that differ most."""
    return [read_contender(method.name) for method in METHODS.values() if method.compared]


def told_apart(contenders: Sequence[Contender]) -> list[Contender]:
    """Return contenders so named that a method beside its variants says how it differs from them.

    >>> [each.name for each in told_apart([read_contender("lanczos"), read_contender("lanczos:a=4")])]
    ['lanczos:a=3', 'lanczos:a=4']
    """
    named = []
    for each in contenders:
        keys = {key for other in contenders if other.method is each.method for key in other.parameters}
        used = [p for p in each.method.parameters if p.name in keys and not p.file and not each.parameters]
        # A choice without a default is its first word.
        usual = [(p.name, p.words[:1] if p.default is None else [shown(p.default)]) for p in used]
        added = ",".join(f"{name}={word}" for name, words in usual for word in words)
        named.append(replace(each, name=f"{each.name}:{added}") if added else each)
    return named


def self_sufficient_contenders(scale: Scale) -> list[Contender]:
    """Return the contenders that need no further parameters, support a scale and fill every pixel."""
    return [contender for contender in usual_contenders() if _applies(contender, scale)]


def _applies(contender: Contender, scale: Scale) -> bool:
    """Return whether a contender enlarges any image by a scale."""
    method = contender.method
    try:
        resolve(method, (1, 1, 1), scale=scale, parameters=method.read_parameters(contender.parameters))
    except UpscaleError:
        return False
    return True

"""The values of options: how a text becomes one, and how shells complete it."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from upscale_cli.errors import UpscaleError
from upscale_cli.methods import METHODS, Method, find_method
from upscale_cli.methods.parameters import read_scale

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    # In older versions of Click this class takes no type argument.
    ParamType = click.ParamType


class MethodName(ParamType):
    """A name of `METHODS`, or one of some other words."""

    name = "name"

    def __init__(self, *words: str) -> None:
        self._words = words

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return value if value in self._words else find_method(value).name
        except UpscaleError as error:
            raise click.UsageError(str(error), ctx) from None

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        METHODS.load_plugins()
        return [
            CompletionItem(method.name, help=method.summary)
            for method in METHODS.values()
            if method.name.startswith(incomplete)
        ]


class Value(ParamType):
    """What a function reads from a text; its `ValueError` is a sentence about texts that it cannot read.

    A sentence that begins with the text, in quotation marks, gets the name of the option before it.
    """

    def __init__(self, name: str, read: Callable[[Any], Any]) -> None:
        self.name, self._read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._read(value)
        except ValueError as error:
            named = f"{param.opts[-1]} " if param and str(error).startswith('"') else ""
            raise click.UsageError(f"{named}{error}", ctx) from None


def _positive(text: str) -> int:
    """Return the integer that a text is; 0 if it is none."""
    return int(text) if text.isascii() and text.isdigit() else 0


def _read_count(value: int | str) -> int:
    if isinstance(value, int):
        return value
    unit = {"k": 10**3, "m": 10**6, "g": 10**9}.get(value[-1:].lower())
    count = _positive(value[:-1]) * unit if unit else _positive(value)
    if not count:
        raise ValueError(f'"{value}" is not an integer of at least 1; k, M and G stand for thousands, as in 500M.')
    return count


def _read_quality(value: int | str) -> int | None:
    quality = value if isinstance(value, int) else _positive(value)
    if value != "keep" and not 1 <= quality <= 100:
        raise ValueError(f'"{value}" is not an integer from 1 to 100, or keep.')
    return quality or None


MOST_SHARDS = 1_000_000
"""A report names all shards that have no record."""


def _read_shard(value: tuple[int, int] | str) -> tuple[int, int]:
    if isinstance(value, tuple):
        return value
    number, _, count = value.partition("/")
    shard = _positive(number), _positive(count)
    if not 1 <= shard[0] <= shard[1]:
        raise ValueError(f'"{value}" is not K/N with K from 1 to N, such as 3/16.')
    if shard[1] > MOST_SHARDS:
        raise ValueError(f'"{value}" makes more than {MOST_SHARDS:,} shards; use fewer.')
    return shard


FACTOR = Value("factor", partial(read_scale, most=2))
"""A scale: a number of at least 1, or two as width x height."""
COUNT = Value("n", _read_count)
"""An integer of at least 1, with k, M or G for thousands."""
QUALITY = Value("n", _read_quality)
"""An integer from 1 to 100, or keep; read as None."""
SHARD = Value("k/n", _read_shard)
"""Which of how many parts, from 1."""


class Name(click.Path):
    """The name of a file, folder or address. Whoever opens it says what is wrong with it."""

    def __init__(self) -> None:
        super().__init__(readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail("the name is empty; name a file or a folder.", param, ctx)
        return super().convert(value, param, ctx)


class KeyValue(ParamType):
    """KEY=VALUE for a parameter of a method."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.UsageError(f'"{value}" is not KEY=VALUE.', ctx)
        return key, text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        method = METHODS.find(ctx.params.get("method") or "lanczos") or METHODS["lanczos"]
        return parameter_items(method, incomplete, files=False)


def parameter_items(method: Method, incomplete: str, files: bool) -> "list[CompletionItem]":
    """Return the completions of KEY=VALUE for a method: names of parameters, or values of one."""
    from click.shell_completion import CompletionItem

    given = [p for p in method.parameters if files or not p.file]
    name, equals, value = incomplete.partition("=")
    if not equals:
        return [
            CompletionItem(f"{p.name}=", help=f"{p.summary} ({p.domain})") for p in given if p.name.startswith(name)
        ]
    words = [(p, word) for p in given if p.name == name for word in p.words if word.startswith(value)]
    return [CompletionItem(f"{name}={word}", help=p.summary) for p, word in words]


class ContenderText(ParamType):
    """NAME[:KEY=VALUE,...]: a method with its parameters, which the commands that compare read."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        method, colon, parameters = incomplete.partition(":")
        if not colon or method not in METHODS:
            return MethodName().shell_complete(ctx, param, incomplete)
        before, comma, last = parameters.rpartition(",")
        items = parameter_items(METHODS[method], last, files=True)
        for item in items:
            item.value = f"{method}:{before}{comma}{item.value}"
        return items


class FormatName(ParamType):
    """A name of `FORMATS`, which the command checks."""

    name = "format"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        from upscale_cli.codecs.formats import FORMATS

        FORMATS.load_plugins()
        return [
            CompletionItem(format.name, help=" ".join(format.extensions))
            for format in FORMATS.values()
            if format.writable and format.name.startswith(incomplete)
        ]

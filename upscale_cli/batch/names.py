"""The names of results: templates after `--output`, what was meant as one, and results of earlier runs."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from string import Formatter

from upscale_cli.codecs.finding import check_writable, extension_of, format_of, stem_of
from upscale_cli.codecs.format import Format
from upscale_cli.errors import UsageError
from upscale_cli.places import place_of
from upscale_cli.places.place import Source, Unreadable
from upscale_cli.places.streams import STREAM
from upscale_cli.work.sizes import is_named_by

FIELDS = ("parent", "stem", "suffix", "method", "scale", "width", "height")
"""What a template may hold, in braces."""


def is_template(output: str) -> bool:
    """Return whether an output is a template: a name with fields in braces.

    >>> is_template("{parent}/{stem}_{method}{suffix}"), is_template("out/large.png")
    (True, False)

    Raises
    ------
    UsageError
        If it has other fields, or a single brace.
    """
    try:
        parts = list(Formatter().parse(output))
    except ValueError:
        raise UsageError(f'"{output}" has a single brace; write {{{{ or }}}} for a brace in a name.') from None
    for _, field, details, conversion in parts:
        if field is not None and (field not in FIELDS or details or conversion):
            known = ", ".join(f"{{{each}}}" for each in FIELDS)
            typed = f"{field}{f'!{conversion}' if conversion else ''}{f':{details}' if details else ''}"
            raise UsageError(f'"{{{typed}}}" of --output is not one of {known}; write {{{{ for a brace in a name.')
    return "{" in output or "}" in output


def filled(template: str, source: Source, extension: str, more: Mapping[str, object]) -> str:
    """Return the name that a template makes for a source."""
    return template.format(parent=source.parent, stem=stem_of(source.name), suffix=extension, **more)


def named_format(output: str, format: Format | None) -> Format | None:
    """Return the format that the name of a file says, else the one that was named.

    Raises
    ------
    UsageError
        If they contradict each other, or the extension is unknown.
    """
    path = PurePath(output)
    named = format_of(path)
    if format is not None:
        if named is not None and named.name != format.name:
            raise UsageError(
                f'"{output}" is the name of a {named.title}, but --format says {format.title}; leave one out.'
            )
        return format
    if named is None and stem_of(path) != path.name and not place_of(output).exists(output):
        raise UsageError(f'"{output}": "{path.suffix}" is not the extension of a known format; use --format.')
    return None if named is None else check_writable(named)


def refuse_mistaken_output(inputs: Sequence[str]) -> None:
    """Raise `UsageError` if the last of several inputs is nothing that can be read: other tools write to it."""
    last = inputs[-1] if len(inputs) > 1 else STREAM
    if last == STREAM:
        return
    place = place_of(last)
    if not place.exists(last):
        raise UsageError(f'"{last}" does not exist; did you mean -o {last}?')
    if place.is_folder(last) and isinstance(next(iter(place.sources(last, None)), None), Unreadable):
        raise UsageError(f'"{last}" has no image of a known format; did you mean -o {last}?')


def is_result(source: Source, other: Source, sizes: tuple[tuple[int, ...], tuple[int, ...]]) -> bool:
    """Return whether a source is the result of another one in an earlier run, by its name and both sizes."""
    label = stem_of(source.name).rpartition("_")[2]
    if not is_named_by(label, *sizes):
        return False
    identity = other.default_target(label, extension_of(source.name)).identity()
    return identity is not None and identity == source.identity()

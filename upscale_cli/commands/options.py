"""What commands share: how they begin and end, their options, and the values that these read."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import click

from upscale_cli import __version__
from upscale_cli.commands.descriptors import written_to
from upscale_cli.commands.terminal import ends, start
from upscale_cli.errors import ExitStatus, UpscaleError
from upscale_cli.learning import REDUCTION_NAMES
from upscale_cli.methods import METHODS, Method, find_method
from upscale_cli.methods.parameters import Pair, read_scale

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    # In older versions of Click this class takes no type argument.
    ParamType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose help begins with examples. Its function returns the exit status, and has a `verbose`.

    Parameters
    ----------
    intro, outro : str
        The text before the options (a sentence, examples, the usage) and the paragraph after them.
    more : str
        What helps besides --help.
    usual : collection of str
        The parameters that --help shows, if not all; --help all shows the others, too.
    """

    def __init__(
        self, name: str, *, intro: str, outro: str, more: str = "", usual: Collection[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(name, context_settings={"max_content_width": 80}, add_help_option=False, **kwargs)
        self.intro, self.outro, self._more, self._usual = intro, outro, more, usual
        how: dict[str, Any] = {"is_flag": False, "flag_value": "usual", "is_eager": True, "expose_value": False}
        how |= {"metavar": "[all]", "help": "Show this message and exit; all: every option."}
        how |= {} if usual else {"metavar": "", "help": "Show this message and exit."}
        click.option("-h", "--help", callback=_show_help, **how)(self)
        text = "%(prog)s %(version)s"
        click.version_option(__version__, "--version", prog_name=name, message=text, help="Show the version.")(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Click would take whatever stands behind an option for its value; these may stand alone before a file.
        words = {name: p.words for p in self.params if isinstance(p, WordOption) for name in p.opts}
        end = args.index("--") if "--" in args else len(args)
        for place, name in enumerate(args[:end]):
            if name in words and (*args, "")[place + 1] not in words[name]:
                args[place] = f"{name}={words[name][0]}"
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> NoReturn:
        if not (ctx.params[self.params[0].name] or ctx.params.get("files_from")):
            click.echo(
                f"{self.intro}\nRun {self.name} --help{' all' * bool(self._usual)} for all options{self._more}.",
                err=True,
            )
            ctx.exit(ExitStatus.USAGE)
        run = super().invoke
        ends(lambda: cast(int, run(ctx)), str(self.name), ctx.params["verbose"])

    def start(self) -> NoReturn:
        """Read the arguments, run the command, and end the process."""
        start(self)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(self.intro)
        everything = not self._usual or ctx.meta.get(HELP) != "usual"
        options = [p for p in self.params if isinstance(p, click.Option) and (everything or p.name in self._usual)]
        records = [record for p in options if (record := p.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl(records)
        formatter.write_paragraph()
        formatter.write_text(self.outro)


HELP = "upscale_cli.help"
"""What is asked of --help, in the context of a command."""


def _show_help(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Print the help, and exit."""
    if value is None or ctx.resilient_parsing:
        return
    ctx.meta[HELP] = value
    click.echo(ctx.get_help())
    ctx.exit()


class WordOption(click.Option):
    """An option with one of some words; alone it has the first of them."""

    def __init__(self, names: list[str], words: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(names, type=click.Choice(words), **kwargs)
        self.words = words


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
    """What a function reads from a text; its `ValueError` is a sentence about texts that it cannot read."""

    def __init__(self, name: str, read: Callable[[Any], Any]) -> None:
        self.name, self._read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._read(value)
        except ValueError as error:
            raise click.UsageError(str(error), ctx) from None


def pair_of(low: int) -> Value:
    """Return the type of an integer of at least `low`, or two as width x height; read as (vertical, horizontal)."""
    kind = Pair(low)

    def read(value: Any) -> Any:
        try:
            return kind.read(value)
        except ValueError:
            raise ValueError(f'"{value}" is not {kind.domain}.') from None

    return Value("n", read)


def _positive(text: str) -> int:
    """Return the integer that a text is; 0 if it is none."""
    return int(text) if text.isascii() and text.isdigit() else 0


def _read_count(value: int | str) -> int:
    if isinstance(value, int):
        return value
    unit = {"k": 10**3, "m": 10**6, "g": 10**9}.get(value[-1:].lower())
    count = _positive(value[:-1]) * unit if unit else _positive(value)
    if not count:
        raise ValueError(f'"{value}" is not an integer of at least 1, such as 500, 500M or 2G.')
    return count


def _read_quality(value: int | str) -> int | None:
    quality = value if isinstance(value, int) else _positive(value)
    if value != "keep" and not 1 <= quality <= 100:
        raise ValueError(f'--quality "{value}" is not an integer from 1 to 100, or keep.')
    return quality or None


FACTOR = Value("factor", read_scale)
"""A scale: a number of at least 1, or two as width x height."""
COUNT = Value("n", _read_count)
"""An integer of at least 1, with k, M or G for thousands."""
QUALITY = Value("n", _read_quality)
"""An integer from 1 to 100, or keep; read as None."""


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


FILES = {p.name: p for method in METHODS.values() for p in method.parameters if p.file}
"""The arrays that methods of this package take from files, by the names of their options."""


def file_options(command: F) -> F:
    """Add an option for each of `FILES`."""
    for name in reversed(FILES):
        users = [method.name for method in METHODS.values() if any(p.name == name for p in method.parameters)]
        kind = f"{name.capitalize()} ({'.npz' if FILES[name].archive else '.npy'})"
        option = click.option(
            f"--{name}", metavar="FILE", type=click.Path(path_type=Path), help=f"{kind} for {', '.join(users)}."
        )
        command = option(command)
    return command


OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace existing results.")
PHOTOS = click.argument("photos", nargs=-1, metavar="PHOTOS...", type=click.Path())
SCALE = click.option("-s", "--scale", type=FACTOR, metavar="FACTOR", help="Any number of at least 1, or 3x2 [2].")
JOBS = click.option("-j", "--jobs", type=COUNT, metavar="N", help="Threads [one per processor].")
QUIET = click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
VERBOSE = click.option("-v", "--verbose", count=True, help="Explain decisions; -vv adds tracebacks.")
CONTENDERS = click.option(
    "-m",
    "--method",
    "methods",
    multiple=True,
    type=ContenderText(),
    metavar="NAME[:KEY=VALUE,...]",
    help="A method with its parameters; repeatable [six that differ].",
)
REDUCE = click.option(
    "--reduce",
    "reduction",
    type=click.Choice(REDUCTION_NAMES),
    default=REDUCTION_NAMES[0],
    metavar="NAME",
    help=f"How photographs are reduced: {', '.join(REDUCTION_NAMES)} [{REDUCTION_NAMES[0]}].",
)
MAX_SOURCE_PIXELS = "--max-source-pixels"
"""The option that raises the limit of sources."""


def json_option(what: str) -> Callable[[F], F]:
    """Return the option that prints results for programs."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} on standard output.")


def batch_options(command: F) -> F:
    """Add the options that every command for many images has."""
    options = [
        click.option(
            "-o",
            "--output",
            metavar="PATH",
            type=click.Path(),
            callback=written_to,
            help="File, folder, {stem}_{method}{suffix}, or - for stdout.",
        ),
        click.option(
            "--files-from", metavar="FILE", type=click.Path(), help="Read names of inputs, a line each; - is stdin."
        ),
        click.option("-0", "--null", is_flag=True, help="Those names end with NUL, as of find -print0."),
        click.option(
            "-f",
            "--format",
            metavar="FORMAT",
            type=FormatName(),
            help="Format to write [the output's, else the input's].",
        ),
        OVERWRITE,
        click.option("--skip-existing", is_flag=True, help="Keep existing results: resume a run."),
        JOBS,
        click.option(
            "--executor", default="threads", metavar="NAME", help="threads, processes, or a plug-in's [threads]."
        ),
        click.option("-n", "--dry-run", is_flag=True, help="Show the plan and write nothing."),
        json_option("a JSON object per image"),
        *(
            click.option(
                name, "channels_first", flag_value=first, type=bool, default=None, help=f"Arrays are {text}."
            )
            for name, first, text in (
                ("--channels-first", True, "(C, H, W), as in PyTorch"),
                ("--channels-last", False, "(H, W, C)"),
            )
        ),
        click.option(
            MAX_SOURCE_PIXELS, type=COUNT, default=178_956_970, metavar="N", help="Refuse larger inputs [179M]."
        ),
        QUIET,
        VERBOSE,
    ]
    for option in reversed(options):
        command = option(command)
    return command

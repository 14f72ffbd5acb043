"""What commands share: how they begin and end, and their options."""

import sys
from collections.abc import Callable, Collection
from typing import Any, NoReturn, TypeVar, cast

import click

from upscale_cli import __version__
from upscale_cli.commands.descriptors import written_to
from upscale_cli.commands.terminal import drop, ends, start
from upscale_cli.commands.values import COUNT, FACTOR, SHARD, ContenderText, FormatName, Name
from upscale_cli.errors import ExitStatus
from upscale_cli.learning import REDUCTION_NAMES
from upscale_cli.methods import METHODS

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
        try:
            return super().parse_args(ctx, args)
        except BrokenPipeError:  # nobody reads the help
            drop(sys.stdout)
            ctx.exit(ExitStatus.PIPE_CLOSED)

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


FILES = {p.name: p for method in METHODS.values() for p in method.parameters if p.file}
"""The arrays that methods of this package take from files, by the names of their options."""


def file_options(command: F) -> F:
    """Add an option for each of `FILES`."""
    for name in reversed(FILES):
        users = [method.name for method in METHODS.values() if any(p.name == name for p in method.parameters)]
        kind = f"{name.capitalize()} ({'.npz, .safetensors, .onnx' if FILES[name].archive else '.npy, .npz'})"
        option = click.option(f"--{name}", metavar="FILE", type=Name(), help=f"{kind} for {', '.join(users)}.")
        command = option(command)
    return command


OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace existing results.")
PHOTOS = click.argument("photos", nargs=-1, metavar="PHOTOS...", type=Name())
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
DAMAGE = click.option(
    "--damage",
    "damages",
    multiple=True,
    metavar="NAME:NUMBER",
    help="Damage to reduced photographs, such as jpeg:60, webp:60, twice:60, noise:5, blur:0.5, sharpen:100; "
    "repeatable.",
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
            type=Name(),
            callback=written_to,
            help="File, folder, {stem}_{method}{suffix}, - for stdout.",
        ),
        click.option(
            "--files-from", metavar="FILE", type=Name(), help="Read names of inputs, a line each; - is stdin."
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
        click.option(
            "--shard", type=SHARD, metavar="K/N", help="Make part K of N; upscale report adds the parts up."
        ),
        click.option("--retry-failed", is_flag=True, help="Make only what has failed in earlier parts."),
        JOBS,
        click.option(
            "--executor",
            default="threads",
            metavar="NAME",
            help="[threads], processes, dask://HOST:PORT, or a plug-in's.",
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
            "--axes",
            type=click.IntRange(1, 3),
            metavar="N",
            help="Spatial axes of arrays: 3 for (D, H, W), 1 for (W) [the scale's].",
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

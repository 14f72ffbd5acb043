"""The command `upscale`."""

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import click
from click.core import ParameterSource

from upscale_cli.commands.options import FILES, Command, WordOption, batch_options, file_options
from upscale_cli.commands.values import COUNT, QUALITY, KeyValue, MethodName, Name, Value
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods import METHODS, Method, find_method
from upscale_cli.methods.method import GROUPS
from upscale_cli.methods.parameters import REQUIRED, Uniform, read_parameters, read_scale, shown
from upscale_cli.work.sizes import read_size, read_spacing, wanted_size

INTRO = """\
Enlarge images exactly, fast, and without losing what was in the file.

  upscale photo.jpg                            photo_2x.jpg beside it
  upscale in.png --method lanczos -s 4         in_4x.png
  upscale sprites/ -o large/ -m nearest -s 3   a folder, its tree mirrored
  curl -s "$URL" | upscale - -s 3 > big.png    a pipeline

Usage: upscale [OPTIONS] INPUT...        INPUT: file, folder, URL or - (stdin)
"""
OUTRO = f"{len(METHODS)} methods: see --methods, and --help all for all options."
USUAL = {"scale", "size", "method", "quality", "output", "format", "overwrite", "skip_existing", "dry_run", "help"}
"""The options that --help shows."""
ANY_FACTOR, SIZE = Value("factor", partial(read_scale, smaller=True)), Value("size", read_size)
SPACING = Value("mm", read_spacing)
IDLE = ("quality", "subsampling", "lossless", "compression", "linear", "alpha")
"""Options that do nothing for some formats or methods."""


WIDTH, NAMES, OPTIONS = 80, 23, 23
"""The width of the table of methods, of its column of names, and the column where a parameter's text begins."""
ALL = "all"
"""What --methods stands for without a name."""


def show_methods(ctx: click.Context, param: click.Parameter, name: str | None) -> None:
    """Print a line for each method, or all about one, and exit."""
    if name is None or ctx.resilient_parsing:
        return
    if name == ALL:
        for problem in METHODS.load_plugins():
            click.echo(problem, err=True)
        for group, about in GROUPS.items():
            members = [method for method in METHODS.values() if method.group == group]
            if members:
                click.echo(f"{group.upper()}: {about}")
            for method in members:
                _print_entry(f"  {method.name}", method.when, NAMES)
        click.echo("\nupscale --methods NAME says what one does, and which parameters it has.")
    else:
        _describe(find_method(name))
    ctx.exit()


def _describe(method: Method) -> None:
    """Print what a method does, when to use it, and its parameters."""
    _print_entry(f"{method.name}: ", f"{method.summary} ({method.source})", 2)
    _print_entry("  For ", f"{method.when}.", 2)
    click.echo(f"  It takes {method.demands or 'any factor of at least 1'}.")
    for p in method.parameters:
        option = f"-p {p.name}={'FILE' if p.file else ''}"
        option = f"--{p.name} FILE" if p.name in FILES and p.file else option
        domain = "" if p.file else f" ({p.domain})"
        default = "" if p.file or p.default in (None, REQUIRED) else f" [{shown(p.default)}]"
        _print_entry(f"  {option}", f"{p.summary}{domain}{default}", OPTIONS)


def _print_entry(name: str, text: str, column: int) -> None:
    """Print a name, and beside it a text in a column; what does not fit stands in that column, too."""
    lines = textwrap.fill(
        text, WIDTH, initial_indent=f"{name:{column}}", subsequent_indent=" " * column, break_on_hyphens=False
    )
    click.echo(lines)


class _Upscale(Command):
    """The command `upscale`, whose first word is the name of another one if more follow, or no file is called so."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **how: Any) -> Any:  # type: ignore[override]
        words = sys.argv[1:] if args is None else args
        if list(words[:1]) != ["report"] or (len(words) < 2 and os.path.lexists("report")):
            return super().main(args, prog_name, **how)
        from upscale_cli.commands.report import cli as report

        return report.main(words[1:], report.name, **how)


@click.command("upscale", cls=_Upscale, intro=INTRO, outro=OUTRO, more=", upscale --methods for methods", usual=USUAL)
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=Name())
@click.option("-s", "--scale", type=ANY_FACTOR, metavar="FACTOR", help="Any number of at least 1, or 3x2 [2].")
@click.option(
    "--spacing",
    type=SPACING,
    metavar="MM",
    help="1.0 | 1x1x2, voxels of a volume, instead of a scale.",
)
@click.option("--size", type=SIZE, metavar="SIZE", help="3840 | 3840x2160 | 3840x | x2160, instead of a scale.")
@click.option(
    "--fit",
    type=click.Choice(["inside", "cover", "exact", "pad"]),
    default="inside",
    metavar="NAME",
    help="Into a --size of another shape: inside, cover (cropped), exact (distorted) or pad [inside].",
)
@click.option("--background", metavar="COLOUR", help="Border of --fit pad [transparent, else white].")
@click.option(
    "--if-smaller",
    type=click.Choice(["enlarge-only", "copy", "skip"]),
    metavar="NAME",
    help="Where --size is smaller than the image: enlarge-only (keep its size), copy, or skip.",
)
@click.option("--allow-smaller", is_flag=True, help="Let --size and --scale make images smaller.")
@click.option("-m", "--method", type=MethodName(), default="lanczos", metavar="NAME", help="See --methods [lanczos].")
@click.option(
    "-p", "--param", "given", type=KeyValue(), multiple=True, metavar="KEY=VALUE", help="Parameter of the method."
)
@file_options
@click.option(
    "--linear",
    cls=WordOption,
    words=("light", "sigmoid"),
    metavar="[sigmoid]",
    help="Blend light, or a sigmoid of it, not code values.",
)
@click.option(
    "--alpha",
    type=click.Choice(["weighed", "separate"]),
    default="weighed",
    metavar="NAME",
    help="[weighed], or separate for alpha that is data.",
)
@click.option(
    "--quality",
    type=QUALITY,
    default="keep",
    metavar="N",
    help="Quality of lossy formats [a JPEG's own, else 95].",
)
@click.option(
    "--subsampling",
    type=click.Choice(["4:4:4", "4:2:2", "4:2:0"]),
    metavar="NAME",
    help="4:4:4, 4:2:2 or 4:2:0 [a JPEG's own, else 4:4:4].",
)
@click.option("--lossless", is_flag=True, help="Write WebP, AVIF, HEIC, JPEG XL without loss.")
@click.option(
    "--compression",
    type=click.Choice(["fast", "small", "deflate", "none", "lzw", "zstd"]),
    metavar="NAME",
    help="PNG [fast], small; TIFF [deflate], none, lzw, zstd.",
)
@click.option("--strip", is_flag=True, help="Drop all metadata except the colour profile.")
@click.option("--preserve-times", is_flag=True, help="Give results the times of their sources.")
@click.option("--max-pixels", type=COUNT, default=10**9, metavar="N", help="Refuse larger results [1G].")
@batch_options
@click.option(
    "--methods",
    is_flag=False,
    flag_value=ALL,
    type=MethodName(ALL),
    is_eager=True,
    expose_value=False,
    callback=show_methods,
    metavar="[NAME]",
    help="List the methods, or describe one, and exit.",
)
def cli(inputs: tuple[str, ...], *, method: str, given: Iterable[tuple[str, str]], **options: Any) -> int:
    """Plan, run, report; return the exit status."""
    from upscale_cli.commands.process import process
    from upscale_cli.commands.session import Session, work_options
    from upscale_cli.places.streams import STREAM
    from upscale_cli.work.request import Request

    ctx = click.get_current_context()
    asked = {name for name in IDLE if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    session = Session.of("upscale", "enlarged", options)
    files = {name: options.pop(name) for name in FILES}
    if options["preserve_times"] and STREAM in (session.output, *inputs):
        raise UsageError("--preserve-times needs files, because standard input and output have no times.")
    exclusive = (("scale", "size"), ("scale", "spacing"), ("spacing", "size"))
    for one, other in (*exclusive, ("lossless", "quality"), ("allow_smaller", "if_smaller")):
        if options[one] and options[other] is not None:
            names = (f"--{name.replace('_', '-')}" for name in (one, other))
            raise UsageError(f"{' and '.join(names)} exclude each other; leave one out.")
    chosen, scale, fit = find_method(method), options["scale"], options["fit"]
    if scale and min(scale) < 1 and not options["allow_smaller"]:
        raise UsageError(f"--scale {float(min(scale)):g} makes images smaller; add --allow-smaller if you mean that.")
    if options["size"] is not None:
        # A size that is invalid for every image is reported before any is opened.
        wanted_size(options["size"], 1, 1, fit)
    elif fit != "inside" or options["if_smaller"]:
        raise UsageError("--fit and --if-smaller need a --size, such as --size 3840x2160.")
    if options["background"] and fit != "pad":
        raise UsageError("--background is the border of --fit pad; add that, or omit --background.")
    if fit in ("cover", "pad") and any(p.beside for p in chosen.parameters):
        raise UsageError(f"--fit {fit} is not for {chosen.name}, whose indices are those of the whole image.")
    options["linear"] = {None: False, "light": True}.get(options["linear"], options["linear"])
    request = Request(
        method=chosen,
        parameters=parameters(chosen, given, files),
        **work_options(options, True, len(scale) if scale and not isinstance(scale, Uniform) else None),
    )
    return process(session, inputs, request, asked)


def parameters(method: Method, given: Iterable[tuple[str, str]], files: dict[str, str | None]) -> dict[str, Any]:
    """Return the parameters of the method: those of `-p` read and checked, arrays still in their files."""
    from upscale_cli.places import place_of
    from upscale_cli.work.parameter_files import MAX_VALUES, ParameterFile

    named = {name: file for name, file in files.items() if file is not None}
    known = {p.name: p for p in method.parameters}
    for name in named:
        if name not in known:
            others = [p.name if not p.file else f"--{p.name}" for p in method.parameters]
            raise UsageError(f"{method.name} takes no --{name}; it takes {', '.join(others) or 'no parameters'}.")
    texts: dict[str, Any] = dict(given)
    for name in [name for name in texts if name in known and known[name].file]:
        if name in named:
            raise UsageError(f"{name} was given twice, with -p and with --{name}; leave one out.")
        named[name] = texts.pop(name)
    own = [p for p in method.parameters if not p.file]
    read = read_parameters(method.name, own, texts)
    arrays = {name: ParameterFile(known[name], place_of(file).source(file)) for name, file in named.items()}
    for array in arrays.values():
        if not array.parameter.beside:
            try:
                array.load(MAX_VALUES)
            except UpscaleError as error:
                # It would be the error of every picture.
                raise UsageError(str(error)) from None
    return {name: read[name] for name in texts} | arrays


main = cli.start

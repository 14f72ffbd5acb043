"""The command `upscale`."""

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from upscale_cli.commands.options import (
    HELP,
    Command,
    Count,
    Factor,
    MethodName,
    Told,
    batch_options,
    file_options,
    version_option,
)
from upscale_cli.commands.terminal import ends, start
from upscale_cli.errors import UsageError
from upscale_cli.methods import METHODS, find_method
from upscale_cli.methods.parameters import REQUIRED, read_parameters, shown

INTRO = """\
Enlarge images exactly, fast, and without losing what was in the file.

  upscale photo.jpg                            photo_2x.jpg beside it
  upscale in.png --method lanczos -s 4         in_4x.png
  upscale sprites/ -o large/ -m nearest -s 3   a folder, its tree mirrored
  curl -s "$URL" | upscale - -s 3 > big.png    a pipeline

Usage: upscale [OPTIONS] INPUT...        INPUT: file, folder, or - for stdin
"""
OUTRO = f"Methods: {', '.join(METHODS)}. More with --methods."


WIDTH, NAMES, OPTIONS = 80, 17, 38
"""Columns of the table of methods: all of them, those of the names, and where a parameter's text begins."""


def show_methods(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    """Print the table of methods, and leave."""
    if not asked or ctx.resilient_parsing:
        return
    click.echo(f"{'METHOD':{NAMES}}WHEN TO USE IT, what it does, and what it can be told\n")
    options = {p.name for method in METHODS.values() for p in method.parameters if p.file}
    for problem in METHODS.load_plugins():
        click.echo(problem, err=True)
    for row in METHODS.values():
        _print_row(row.name, row.when, NAMES)
        _print_row("", f"{row.summary} ({row.source}){'; whole factors only' if row.integer_scale else ''}", NAMES)
        for p in row.parameters:
            option = f"-p {p.name}={'FILE' if p.file else ''}"
            option = f"--{p.name} FILE" if p.file and p.name in options else option
            domain = "" if p.file else f" ({p.domain})"
            default = "" if p.file or p.default in (None, REQUIRED) else f" [{shown(p.default)}]"
            _print_row(f"{'':{NAMES}}{option}", f"{p.summary}{domain}{default}", OPTIONS)
        click.echo()
    click.echo("Scales are any number of at least 1, whole ones where the table says so.")
    ctx.exit()


def _print_row(name: str, text: str, column: int) -> None:
    """A name, and beside it a text in a column."""
    lines = textwrap.fill(
        text, WIDTH, initial_indent=f"{name:{column}}", subsequent_indent=" " * column, break_on_hyphens=False
    )
    click.echo(lines)


@click.command(
    cls=Command,
    intro=INTRO,
    outro=OUTRO,
    context_settings=HELP,
)
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=click.Path())
@click.option("-s", "--scale", type=Factor(), metavar="FACTOR", help="Any number of at least 1, or 3x2 [2].")
@click.option("--size", metavar="SIZE", help="3840 | 3840x2160 | 3840x | x2160, instead of a scale.")
@click.option("-m", "--method", type=MethodName(), default="lanczos", metavar="NAME", help="See --methods [lanczos].")
@click.option(
    "-p", "--param", "told", type=Told(), multiple=True, metavar="KEY=VALUE", help="Parameter of the method."
)
@file_options
@click.option("--linear", is_flag=True, help="Blend light instead of code values.")
@click.option("--quality", type=click.IntRange(1, 100), default=95, metavar="N", help="Of lossy formats [95].")
@click.option(
    "--compression",
    type=click.Choice(["fast", "small"]),
    default="fast",
    metavar="NAME",
    help="Of PNG: fast, or small, which takes longer [fast].",
)
@click.option("--strip", is_flag=True, help="Keep no metadata but the colour profile.")
@click.option("--max-pixels", type=Count(), default=10**9, metavar="N", help="Refuse larger results [1G].")
@batch_options
@click.option(
    "--methods", is_flag=True, is_eager=True, expose_value=False, callback=show_methods, help="List the methods."
)
@version_option("upscale")
@click.pass_context
def cli(ctx: click.Context, /, inputs: tuple[str, ...], verbose: int, **options: Any) -> None:
    """Enlarge images."""
    if not inputs:
        click.echo(f"{INTRO}\nTry upscale --help for all options, upscale --methods for the methods.", err=True)
        ctx.exit(2)
    ends(lambda: upscale(inputs, verbose=verbose, **options), "upscale", verbose)


def upscale(
    inputs: Iterable[str],
    *,
    scale: Any,
    size: str | None,
    method: str,
    told: Iterable[tuple[str, str]],
    linear: bool,
    quality: int,
    compression: str,
    strip: bool,
    max_pixels: int,
    output: str | None,
    format: str | None,
    overwrite: bool,
    skip_existing: bool,
    jobs: int | None,
    dry_run: bool,
    as_json: bool,
    channels_first: bool,
    quiet: bool,
    verbose: int,
    **files: Path | None,
) -> int:
    """Plan, run, report; the exit status."""
    from upscale_cli.commands.process import Session, process
    from upscale_cli.images.enlarge import Request, wanted_size
    from upscale_cli.images.formats import find_format

    if scale is not None and size is not None:
        raise UsageError("--scale and --size were both given; leave one out.")
    if size is not None:
        # No image is known yet; what is no size for any is wrong usage, and said before any is opened.
        wanted_size(size, 1, 1)
    request = Request(
        method,
        parameters(method, told, files),
        scale,
        size,
        find_format(format) if format else None,
        quality,
        linear,
        strip,
        channels_first,
        overwrite,
        max_pixels,
        compression == "small",
    )
    return process(
        Session("upscale", "enlarged", quiet, verbose, as_json, dry_run),
        inputs,
        request,
        output=output,
        skip_existing=skip_existing,
        jobs=jobs,
    )


def parameters(method: str, told: Iterable[tuple[str, str]], files: dict[str, Path | None]) -> dict[str, Any]:
    """What the method is told: `-p` read and checked, arrays still in their files."""
    row = find_method(method)
    named = {name: path for name, path in files.items() if path is not None}
    takes = {p.name for p in row.parameters}
    for name in named:
        if name not in takes:
            others = [p.name if not p.file else f"--{p.name}" for p in row.parameters]
            raise UsageError(f"{method} takes no --{name}; it takes {', '.join(others) or 'no parameters'}.")
    texts: dict[str, Any] = dict(told)
    for p in row.parameters:
        if p.file and p.name in texts:
            if p.name in named:
                raise UsageError(f"{p.name} was given twice: with -p and with --{p.name}; leave one out.")
            named[p.name] = Path(texts.pop(p.name))
    own = [p for p in row.parameters if not p.file]
    read = read_parameters(method, own, texts)
    return {key: read[key] for key in texts} | named


def main() -> None:
    """The entry point."""
    start(cli, "upscale")

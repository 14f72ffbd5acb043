"""The command `upscale-evaluate`."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from upscale_cli.commands.options import (
    HELP,
    METHODS_TOLD,
    QUIET,
    REDUCE,
    VERBOSE,
    Command,
    Count,
    Factor,
    json_option,
    version_option,
)
from upscale_cli.commands.terminal import ends, refuse_closed_output, start
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods import METHODS, find_method, resolve
from upscale_cli.methods.parameters import read_parameters

INTRO = """\
Measure methods on your own photographs: make them small, enlarge them, compare.

  upscale-evaluate photos/ -s 2
  upscale-evaluate photos/ -s 4 -m lanczos -m lanczos:a=4 -m learned:size=large
  upscale-evaluate photos/ -m bicubic -m transposed-conv:kernel=mine.npy

Usage: upscale-evaluate [OPTIONS] PHOTOS...        PHOTOS: files or folders
"""
OUTRO = (
    "The protocol of the literature of super-resolution: luma of 8 bits (ITU-R BT.601), an antialiased reduction "
    "that is not rounded, borders as wide as the scale left out; means over all photographs."
)
Contender = tuple[str, str, dict[str, Any]]


@click.command(cls=Command, intro=INTRO, outro=OUTRO, context_settings=HELP)
@click.argument("photos", nargs=-1, metavar="PHOTOS...", type=click.Path())
@click.option("-s", "--scale", type=Factor(), default="2", metavar="FACTOR", help="Scale, such as 2 or 1.5 [2].")
@METHODS_TOLD
@REDUCE
@click.option("-j", "--jobs", type=Count(), metavar="N", help="Threads [one per processor].")
@json_option("One JSON object")
@QUIET
@VERBOSE
@version_option("upscale-evaluate")
@click.pass_context
def cli(ctx: click.Context, /, photos: tuple[str, ...], verbose: int, **options: Any) -> None:
    """Measure methods."""
    if not photos:
        click.echo(f"{INTRO}\nTry upscale-evaluate --help for all options.", err=True)
        ctx.exit(2)
    ends(lambda: evaluate(photos, **options), "upscale-evaluate", verbose)


def evaluate(
    photos: Sequence[str],
    *,
    scale: tuple[Fraction, Fraction],
    methods: Sequence[str],
    reduction: str,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure, and print a table; the exit status."""
    if scale[0] != scale[1] or scale[0] <= 1:
        raise UsageError("photographs are made small by one factor above 1 for both directions, such as 2 or 1.5.")
    refuse_closed_output()
    contenders = [read_contender(text) for text in methods] if methods else all_contenders(scale)

    from upscale_cli.commands.photographs import Photograph, Photographs
    from upscale_cli.learning.evaluate import Score, Trial
    from upscale_cli.learning.measure import luma_8bit

    photographs = Photographs(photos, quiet)
    names: list[str] = []
    scores: list[list[Score]] = []

    def measure(shown: str, rgb: Photograph) -> None:
        trial = Trial.of(luma_8bit(rgb), scale[0], reduction)
        scores.append([trial.score(method, parameters, jobs) for _, method, parameters in contenders])
        names.append(shown)

    photographs.each(photographs.paths, measure)
    if not scores:
        return 1
    rows = [
        {
            "method": text,
            "psnr": sum(s.psnr for s in column) / len(column),
            "ssim": sum(s.ssim for s in column) / len(column),
            "seconds": sum(s.seconds for s in column) / len(column),
            "each": [
                {"photograph": name, "psnr": s.psnr, "ssim": s.ssim} for name, s in zip(names, column, strict=True)
            ],
        }
        for (text, _, _), column in zip(contenders, zip(*scores, strict=True), strict=True)
    ]
    if as_json:
        click.echo(json.dumps({"scale": float(scale[0]), "reduction": reduction, "methods": rows}))
    else:
        width = max(len("method"), *(len(text) for text, _, _ in contenders))
        click.echo(f"{len(scores)} photographs, made {float(scale[0]):g} times smaller ({reduction}).\n")
        click.echo(f"{'method':{width}}  {'PSNR, dB':>8}  {'SSIM':>6}  {'seconds':>7}")
        for row in rows:
            click.echo(f"{row['method']:{width}}  {row['psnr']:8.2f}  {row['ssim']:6.4f}  {row['seconds']:7.3f}")
    return 1 if photographs.failed else 0


def read_contender(text: str) -> Contender:
    """`NAME[:KEY=VALUE,...]`: the text, the method, and its parameters, arrays loaded from their files.

    Raises
    ------
    UsageError
        When there is no such method or parameter.
    """
    name, _, told = text.partition(":")
    row = find_method(name)
    given: dict[str, Any] = {}
    for part in told.split(",") if told else []:
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f'"{part}" of "{text}" is not KEY=VALUE.')
        given[key] = value
    for p in row.parameters:
        if p.file and p.name in given:
            from upscale_cli.images.enlarge import load_parameter

            given[p.name] = load_parameter(p, Path(given[p.name]))[0]
    read = read_parameters(name, row.parameters, given)
    return text, name, {key: read[key] for key in given}


def all_contenders(scale: tuple[Fraction, Fraction]) -> list[Contender]:
    """Every method that enlarges by a scale without being told more and leaves no holes; and its variants."""
    texts = []
    for row in METHODS.values():
        try:
            resolve(row, (1, 1, 1), scale=scale, parameters=row.read_parameters({}))
        except UpscaleError:
            continue
        if row.values != "placed":
            texts += [row.name, *(f"{row.name}:{variant}" for variant in row.variants)]
    return [read_contender(text) for text in texts]


def main() -> None:
    """The entry point."""
    start(cli, "upscale-evaluate")


if __name__ == "__main__":
    main()

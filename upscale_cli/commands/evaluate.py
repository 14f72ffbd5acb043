"""The command `upscale-evaluate`."""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from upscale_cli.commands.options import (
    CONTENDERS,
    DAMAGE,
    JOBS,
    PHOTOS,
    QUIET,
    REDUCE,
    VERBOSE,
    Command,
    json_option,
)
from upscale_cli.commands.terminal import print_json, refuse_closed_output
from upscale_cli.commands.values import FACTOR
from upscale_cli.compare.contenders import Contender, read_contender, self_sufficient_contenders
from upscale_cli.errors import UsageError

if TYPE_CHECKING:
    from upscale_cli.learning.evaluate import Score

INTRO = """\
Measure methods on your own photographs: reduce, enlarge again, compare.

  upscale-evaluate photos/ -s 2
  upscale-evaluate photos/ -s 4 -m lanczos -m lanczos:a=4 -m learned:size=large
  upscale-evaluate photos/ -m bicubic -m transposed-conv:kernel=mine.npy
  upscale-evaluate photos/ --damage jpeg:60 -m learned -m learned:restore=none

Usage: upscale-evaluate [OPTIONS] PHOTOS...        PHOTOS: files or folders
"""
OUTRO = (
    "The protocol is that of the super-resolution literature: 8-bit luma (ITU-R BT.601), an antialiased reduction "
    "that is not rounded, a border as wide as the scale left out. Values are means over all photographs. With "
    "--damage, colours are reduced and rounded, luma is compared in the end, and red, green and blue besides."
)

COLUMNS = {
    "psnr": ("PSNR, dB", ".2f"),
    "psnr_rgb": ("of RGB", ".2f"),
    "ssim": ("SSIM", ".4f"),
    "seconds": ("seconds", ".3f"),
}
"""Titles of the measures, and how they are written."""


@click.command("upscale-evaluate", cls=Command, intro=INTRO, outro=OUTRO)
@PHOTOS
@click.option("-s", "--scale", type=FACTOR, default="2", metavar="FACTOR", help="Scale, such as 2 or 1.5 [2].")
@CONTENDERS
@REDUCE
@DAMAGE
@JOBS
@json_option("a JSON object")
@QUIET
@VERBOSE
def cli(
    photos: Sequence[str],
    *,
    scale: tuple[Fraction, Fraction],
    methods: Sequence[str],
    reduction: str,
    damages: Sequence[str],
    jobs: int | None,
    as_json: bool,
    quiet: bool,
    verbose: int,
) -> int:
    """Measure methods on photographs, print a table, and return the exit status."""
    if scale[0] != scale[1] or scale[0] < 1 or (scale[0] == 1 and not damages):
        raise UsageError(
            "--scale must be one factor above 1 for both directions, such as 2 or 1.5; or 1 with --damage."
        )
    refuse_closed_output()
    contenders = [read_contender(text) for text in methods] or self_sufficient_contenders(scale)
    for each in contenders:
        each.method.read_parameters(each.parameters)  # a required one may be missing

    from upscale_cli.commands.photo_set import PhotoSet
    from upscale_cli.learning.evaluate import Trial
    from upscale_cli.learning.measure import luma_8bit
    from upscale_cli.work.damage import read_damage
    from upscale_cli.work.photographs import Photograph

    damage = read_damage(damages)
    photographs = PhotoSet(photos, quiet)
    scores: list[tuple[str, list[Score]]] = []

    def measure(shown: str, rgb: Photograph) -> None:
        if damages:
            trial = Trial.of_damaged(rgb, scale[0], reduction, damage)
        else:
            trial = Trial.of(luma_8bit(rgb), scale[0], reduction)
        scores.append((shown, [trial.score(each.method.name, each.parameters, jobs) for each in contenders]))

    photographs.each(photographs.sources, measure)
    if not scores:
        return 1
    results = [_summary(each, index, scores) for index, each in enumerate(contenders)]
    if as_json:
        print_json({"scale": float(scale[0]), "reduction": reduction, "damage": damages, "methods": results})
    else:
        count = f"{len(scores)} photograph{'s' if len(scores) > 1 else ''}"
        click.echo(f"{count}, reduced by a factor of {float(scale[0]):g} ({', '.join((reduction, *damages))}).\n")
        click.echo(_table(results))
    return 1 if photographs.failed else 0


def _summary(contender: Contender, index: int, scores: "Sequence[tuple[str, list[Score]]]") -> dict[str, Any]:
    """Return the mean scores of the contender at an index, and those of each photograph, for JSON."""
    own = [(photograph, each[index]) for photograph, each in scores]
    names = ("psnr", "ssim") if own[0][1].psnr_rgb is None else ("psnr", "psnr_rgb", "ssim")
    return {
        "method": contender.name,
        **{name: sum(getattr(score, name) for _, score in own) / len(own) for name in (*names, "seconds")},
        "each": [{"photograph": shown, **{name: getattr(score, name) for name in names}} for shown, score in own],
    }


def _table(results: Sequence[dict[str, Any]]) -> str:
    """Return the mean scores as a table, one line for each method."""
    width = max(len(name) for name in ("method", *(each["method"] for each in results)))
    columns = {name: column for name, column in COLUMNS.items() if name in results[0]}
    lines = [f"{'method':{width}}" + "".join(f"  {title:>8}" for title, _ in columns.values())]
    for each in results:
        values = (f"  {format(each[name], form):>8}" for name, (_, form) in columns.items())
        lines.append(f"{each['method']:{width}}{''.join(values)}")
    return "\n".join(lines)


main = cli.start

if __name__ == "__main__":
    main()

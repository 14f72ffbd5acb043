"""The command `upscale-fit`."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from upscale_cli.commands.options import (
    HELP,
    OVERWRITE,
    QUIET,
    REDUCE,
    VERBOSE,
    Command,
    json_option,
    version_option,
)
from upscale_cli.commands.terminal import ends, refuse_closed_output, say, start
from upscale_cli.errors import UpscaleError, UsageError, explain

INTRO = """\
Fit the kernel of a transposed convolution to your own photographs.

  upscale-fit photos/ -s 2 -o mine.npy
  upscale in.png -m transposed-conv --kernel mine.npy -s 2

Usage: upscale-fit [OPTIONS] PHOTOS...        PHOTOS: files or folders
"""
OUTRO = (
    "Each photograph is made small, and the kernel is the one that enlarges it again with the least squared error. "
    "One photograph in ten is held out: it is only measured, beside bicubic and lanczos."
)
HELD_OUT = 10
RIVALS = ("bicubic", "lanczos")


@click.command(cls=Command, intro=INTRO, outro=OUTRO, context_settings=HELP)
@click.argument("photos", nargs=-1, metavar="PHOTOS...", type=click.Path())
@click.option("-s", "--scale", type=click.IntRange(2, 16), default=2, metavar="N", help="Scale [2].")
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="The kernel, a .npy file.")
@REDUCE
@click.option("--size", type=click.IntRange(2, 256), metavar="N", help="Side of the kernel [7 times the scale].")
@click.option(
    "--ridge",
    type=click.FloatRange(0, 1),
    default=1e-5,
    metavar="X",
    help="How strongly weights are kept small [1e-5].",
)
@click.option("--no-symmetry", is_flag=True, help="Learn from no flips and quarter turns.")
@click.option("--full", is_flag=True, help="A kernel that need not be separable: hardly better, and slower.")
@click.option("--per-channel", is_flag=True, help="One kernel each for red, green and blue.")
@OVERWRITE
@json_option("One JSON object")
@QUIET
@VERBOSE
@version_option("upscale-fit")
@click.pass_context
def cli(ctx: click.Context, /, photos: tuple[str, ...], verbose: int, **options: Any) -> None:
    """Fit a kernel."""
    if not photos:
        click.echo(f"{INTRO}\nTry upscale-fit --help for all options.", err=True)
        ctx.exit(2)
    ends(lambda: fit(photos, **options), "upscale-fit", verbose)


def fit(
    photos: Sequence[str],
    *,
    scale: int,
    output: Path | None,
    reduction: str,
    size: int | None,
    ridge: float,
    no_symmetry: bool,
    full: bool,
    per_channel: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Fit, measure, write; the exit status."""
    from upscale_cli.commands.photographs import Photographs
    from upscale_cli.images.arrays import write_array
    from upscale_cli.images.targets import replacing
    from upscale_cli.learning.fit import PhotographFit

    if output is None:
        raise UsageError("a kernel needs a file; give one as -o kernel.npy.")
    if output.suffix.lower() != ".npy":
        raise UsageError(f'"{output}" is not the name of a .npy file; a kernel is written as one.')
    if output.exists() and not overwrite:
        raise UpscaleError(f'"{output}" exists already; use --overwrite.')
    if as_json:
        refuse_closed_output()
    began = time.perf_counter()
    fitting = PhotographFit(scale, size, reduction, per_channel)
    photographs = Photographs(photos, quiet)
    held_out = photographs.paths[HELD_OUT - 1 :: HELD_OUT] or photographs.paths[1:][-1:]
    scores: list[dict[str, float]] = []
    try:
        # A place that cannot be written is found before the work.
        with replacing(output, overwrite=overwrite) as stream:
            photographs.each(
                [path for path in photographs.paths if path not in held_out], lambda _, rgb: fitting.add(rgb)
            )
            kernel = fitting.solve(ridge, not no_symmetry, not full)
            photographs.each(held_out, lambda _, rgb: scores.append(fitting.compare(rgb, kernel, RIVALS)))
            write_array(stream, kernel)
    except OSError as error:
        raise UpscaleError(explain(error, f'"{output}"').sentence) from error
    means = {name: sum(each[name] for each in scores) / len(scores) for name in (scores[0] if scores else {})}
    told = {
        "kernel": str(output),
        "shape": list(kernel.shape),
        "pixels": fitting.pixels,
        "seconds": round(time.perf_counter() - began, 2),
        "held_out": len(scores),
        "psnr": {name: round(value, 3) for name, value in means.items()},
    }
    if as_json:
        click.echo(json.dumps(told))
    if not quiet:
        shape = " x ".join(map(str, kernel.shape))
        say(f"{output}: a kernel of {shape}, fitted to {fitting.pixels / 1e6:.1f} Mpx in {told['seconds']:.1f} s.")
        if means:
            rows = ", ".join(f"{name} {value:.2f} dB" for name, value in means.items())
            say(f"PSNR of what was held out ({len(scores)}): {rows}.")
        else:
            say("Nothing was held out to measure with; give two photographs or more.")
    return 1 if photographs.failed else 0


def main() -> None:
    """The entry point."""
    start(cli, "upscale-fit")


if __name__ == "__main__":
    main()

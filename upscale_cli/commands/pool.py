"""The command `upscale-pool`."""

from typing import Any

import click

from upscale_cli.commands.options import HELP, MAX_SOURCE_PIXELS, Command, PairOf, batch_options, version_option
from upscale_cli.commands.terminal import ends, start
from upscale_cli.errors import ExitStatus

INTRO = """\
Max pooling: keep the largest pixel of each window, and its position.

  upscale-pool in.png -s 2               in_pooled.png and in_pooled.indices.npz
  upscale in_pooled.png -m max-unpooling -s 2     puts the pixels back
  upscale-pool x.npy -s 2 --window 3 --padding 1 --channels-first

Usage: upscale-pool [OPTIONS] INPUT...        INPUT: file or folder
"""
OUTRO = "Sizes and indices are those of PyTorch's MaxPool2d. Pairs are width x height."


@click.command(
    cls=Command,
    intro=INTRO,
    outro=OUTRO,
    context_settings=HELP,
)
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=click.Path())
@click.option("-s", "--scale", "stride", type=PairOf(1), default=(2, 2), metavar="N", help="Stride [2].")
@click.option("--window", type=PairOf(1), metavar="N", help="Size of a window [the stride].")
@click.option(
    "--padding", type=PairOf(0), default=(0, 0), metavar="N", help="Implicit padding, never the maximum [0]."
)
@click.option("--dilation", type=PairOf(1), default=(1, 1), metavar="N", help="Spacing between window elements [1].")
@click.option("--ceil", is_flag=True, help="Keep the last, partial windows.")
@batch_options
@version_option("upscale-pool")
@click.pass_context
def cli(ctx: click.Context, /, inputs: tuple[str, ...], verbose: int, **options: Any) -> None:
    """Max pooling."""
    if not inputs:
        click.echo(f"{INTRO}\nRun upscale-pool --help for all options.", err=True)
        ctx.exit(ExitStatus.USAGE)
    ends(lambda: pool(inputs, verbose=verbose, **options), "upscale-pool", verbose)


def pool(
    inputs: tuple[str, ...],
    *,
    stride: tuple[int, int],
    window: tuple[int, int] | None,
    padding: tuple[int, int],
    dilation: tuple[int, int],
    ceil: bool,
    output: str | None,
    format: str | None,
    overwrite: bool,
    skip_existing: bool,
    jobs: int | None,
    executor: str,
    dry_run: bool,
    as_json: bool,
    channels_first: bool,
    max_source_pixels: int,
    quiet: bool,
    verbose: int,
) -> int:
    """Plan, run, report; return the exit status."""
    from upscale_cli.codecs.finding import find_format
    from upscale_cli.codecs.picture import Reading
    from upscale_cli.commands.process import Session, process
    from upscale_cli.work.pool import Pooling

    work = Pooling(
        window=window or stride,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil=ceil,
        reading=Reading(channels_first=channels_first, max_pixels=max_source_pixels, raised_by=MAX_SOURCE_PIXELS),
        overwrite=overwrite,
        format=find_format(format) if format else None,
        resume=skip_existing,
    )
    return process(
        Session(name="upscale-pool", done="pooled", quiet=quiet, verbose=verbose, as_json=as_json, dry_run=dry_run),
        inputs,
        work,
        output=output,
        skip_existing=skip_existing,
        jobs=jobs,
        executor=executor,
    )


def main() -> None:
    """The entry point."""
    start(cli, "upscale-pool")


if __name__ == "__main__":
    main()

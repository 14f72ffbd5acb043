"""The command `upscale-pool`."""

from typing import Any

import click

from upscale_cli.commands.options import Command, batch_options, pair_of

INTRO = """\
Max pooling: keep the largest pixel of each window, and its position.

  upscale-pool in.png -s 2               in_pooled.png and in_pooled.indices.npz
  upscale in_pooled.png -m max-unpooling -s 2     puts the pixels back
  upscale-pool x.npy -s 2 --window 3 --padding 1 --channels-first

Usage: upscale-pool [OPTIONS] INPUT...        INPUT: file or folder
"""
OUTRO = "Sizes and indices are those of PyTorch's MaxPool2d. Pairs are width x height."


@click.command("upscale-pool", cls=Command, intro=INTRO, outro=OUTRO)
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=click.Path())
@click.option("-s", "--scale", "stride", type=pair_of(1), default=(2, 2), metavar="N", help="Stride [2].")
@click.option("--window", type=pair_of(1), metavar="N", help="Size of a window [the stride].")
@click.option(
    "--padding", type=pair_of(0), default=(0, 0), metavar="N", help="Implicit padding, never the maximum [0]."
)
@click.option("--dilation", type=pair_of(1), default=(1, 1), metavar="N", help="Spacing between window elements [1].")
@click.option("--ceil", is_flag=True, help="Keep the last, partial windows.")
@batch_options
def cli(inputs: tuple[str, ...], *, stride: tuple[int, int], window: tuple[int, int] | None, **options: Any) -> int:
    """Plan, run, report; return the exit status."""
    from upscale_cli.commands.process import Session, process, work_options
    from upscale_cli.work.pool import Pooling

    session = Session.of("upscale-pool", "pooled", options)
    work = Pooling(stride=stride, window=window or stride, resume=session.skip_existing, **work_options(options))
    return process(session, inputs, work)


main = cli.start

if __name__ == "__main__":
    main()

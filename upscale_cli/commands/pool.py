"""The command `upscale-pool`."""

from functools import partial
from typing import Any

import click

from upscale_cli.commands.options import Command, batch_options
from upscale_cli.commands.values import Name, Value
from upscale_cli.methods.parameters import PerAxis

INTRO = """\
Max pooling: keep the largest pixel of each window, and its position.

  upscale-pool in.png -s 2               in_pooled.png and in_pooled.indices.npz
  upscale in_pooled.png -m max-unpooling -s 2     puts the pixels back
  upscale-pool x.npy -s 2 --window 3 --padding 1 --channels-first
  upscale-pool x.npy -s 2 --average      averages, which need no indices

Usage: upscale-pool [OPTIONS] INPUT...        INPUT: file, folder or URL
"""
OUTRO = "Sizes and indices are those of PyTorch's MaxPool1d to 3d. Pairs are width x height, volumes 2x2x2."


def _read(kind: PerAxis, value: Any) -> Any:
    try:
        return kind.read(value)
    except ValueError:
        raise ValueError(f'"{value}" is not {kind.domain}.') from None


SIDES = Value("n", partial(_read, PerAxis(1)))
BEYOND = "Beyond the image, never the maximum: 1, 1:2 (before:after), same-upper, same-lower [0]."
PADDING = Value("n", partial(_read, PerAxis(0, "same-upper", "same-lower", ends=True)))


@click.command("upscale-pool", cls=Command, intro=INTRO, outro=OUTRO)
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=Name())
@click.option("-s", "--scale", "stride", type=SIDES, default="2", metavar="N", help="Stride [2].")
@click.option("--window", type=SIDES, metavar="N", help="Size of a window [the stride].")
@click.option("--padding", type=PADDING, default="0", metavar="N", help=BEYOND)
@click.option("--dilation", type=SIDES, default="1", metavar="N", help="Spacing between window elements [1].")
@click.option("--ceil", is_flag=True, help="Keep the last, partial windows.")
@click.option("--average", is_flag=True, help="The average of each window, of what it has of the image.")
@click.option("--count-padding", is_flag=True, help="Averages count the padding as zeros, as PyTorch's do.")
@batch_options
def cli(inputs: tuple[str, ...], *, count_padding: bool, **options: Any) -> int:
    """Plan, run, report; return the exit status."""
    from upscale_cli.commands.process import process
    from upscale_cli.commands.session import Session, work_options
    from upscale_cli.errors import UsageError
    from upscale_cli.methods.pooling import Windows
    from upscale_cli.work.pool import Pooling

    session = Session.of("upscale-pool", "pooled", options)
    if count_padding and not options["average"]:
        raise UsageError("--count-padding is for averages; add --average, or omit it.")
    given = {name: options.pop(name) for name in ("window", "stride", "padding", "dilation", "ceil")}
    axes = len(given["stride"]) if len(given["stride"]) > 1 else None
    windows = Windows(**given | {"window": given["window"] or given["stride"]})
    work = Pooling(
        windows=windows,
        count_padding=count_padding,
        resume=session.skip_existing,
        **work_options(options, axes=axes),
    )
    return process(session, inputs, work)


main = cli.start

if __name__ == "__main__":
    main()

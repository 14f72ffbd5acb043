"""The command `upscale-fit`."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from upscale_cli.commands.options import DAMAGE, OVERWRITE, PHOTOS, QUIET, REDUCE, VERBOSE, Command, json_option
from upscale_cli.commands.terminal import print_json, refuse_closed_output, say
from upscale_cli.commands.values import Name
from upscale_cli.errors import UpscaleError, UsageError, as_upscale_error

if TYPE_CHECKING:
    from upscale_cli.places.place import Target

INTRO = """\
Fit the kernel of a transposed convolution to your own photographs.

  upscale-fit photos/ -s 2 -o mine.npy
  upscale in.png -m transposed-conv --kernel mine.npy -s 2

Usage: upscale-fit [OPTIONS] PHOTOS...        PHOTOS: files or folders
"""
OUTRO = (
    "The photographs are reduced, and the kernel is the one that enlarges them again with the least squared error. "
    "One photograph in ten is held out: the kernel, bicubic and lanczos are measured on it."
)
HELD_OUT = 10
"""One photograph in this many is only used to measure the kernel."""

RIVALS = ("bicubic", "lanczos")
"""Methods that the kernel is measured against."""


@click.command("upscale-fit", cls=Command, intro=INTRO, outro=OUTRO)
@PHOTOS
@click.option("-s", "--scale", type=click.IntRange(2, 16), default=2, metavar="N", help="Scale [2].")
@click.option("-o", "--output", metavar="FILE", type=Name(), help="Kernel to write, a .npy file.")
@REDUCE
@click.option("--size", type=click.IntRange(2, 256), metavar="N", help="Side of the kernel [7 times the scale].")
@click.option(
    "--ridge",
    type=click.FloatRange(0, 1),
    default=1e-5,
    metavar="X",
    help="Strength of the penalty on large weights [1e-5].",
)
@click.option("--no-symmetry", is_flag=True, help="Do not also learn from flips and quarter turns.")
@click.option("--full", is_flag=True, help="Do not require a separable kernel: hardly better, and slower.")
@click.option("--per-channel", is_flag=True, help="One kernel each for red, green and blue.")
@DAMAGE
@OVERWRITE
@json_option("a JSON object")
@QUIET
@VERBOSE
def cli(
    photos: Sequence[str],
    *,
    scale: int,
    output: str | None,
    reduction: str,
    size: int | None,
    ridge: float,
    no_symmetry: bool,
    full: bool,
    per_channel: bool,
    damages: Sequence[str],
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
) -> int:
    """Fit a kernel to photographs, measure and write it, and return the exit status."""
    from upscale_cli.codecs.npy import write_array
    from upscale_cli.commands.photo_set import PhotoSet
    from upscale_cli.learning.fit import PhotographFit
    from upscale_cli.work.damage import read_damage

    target = _check_output(output, overwrite)
    if as_json:
        refuse_closed_output()
    began = time.perf_counter()
    damage = read_damage(damages) if damages else None
    fitting = PhotographFit(scale, size, reduction, per_channel=per_channel, damage=damage)
    photographs = PhotoSet(photos, quiet)
    held_out = photographs.sources[HELD_OUT - 1 :: HELD_OUT] or photographs.sources[1:][-1:]
    used = [source for source in photographs.sources if source not in held_out]
    scores: list[dict[str, float]] = []
    try:
        # Opened before the work, so that a file that cannot be written is found at once.
        with target.commit(overwrite) as (stream,):
            photographs.each(used, lambda _, rgb: fitting.add(rgb))
            kernel = fitting.solve(ridge, symmetric=not no_symmetry, separable=not full)
            photographs.each(held_out, lambda _, rgb: scores.append(fitting.compare(rgb, kernel, RIVALS)))
            write_array(stream, kernel)
    except OSError as error:
        raise as_upscale_error(error, target.shown) from error
    shown, seconds = " x ".join(map(str, kernel.shape)), time.perf_counter() - began
    psnr = {name: sum(each[name] for each in scores) / len(scores) for name in (scores[0] if scores else {})}
    if as_json:
        values = {
            "kernel": target.name,
            "shape": kernel.shape,
            "pixels": fitting.pixels,
            "seconds": round(seconds, 2),
            "held_out": len(scores),
            "psnr": {name: round(value, 3) for name, value in psnr.items()},
        }
        print_json(values)
    if not quiet:
        say(f"{target.name}: {shown} kernel, fitted to {fitting.pixels / 1e6:.1f} Mpx in {seconds:.1f} s.")
        decibels = ", ".join(f"{name} {value:.2f} dB" for name, value in psnr.items())
        count = f"{len(scores)} held-out photograph{'s' if len(scores) > 1 else ''}"
        nothing = "Nothing was held out to measure the kernel; give at least two photographs."
        say(f"PSNR of {count}: {decibels}." if scores else nothing)
    return 1 if photographs.failed else 0


def _check_output(output: str | None, overwrite: bool) -> "Target":
    """Return where the kernel goes to; raise an error if it cannot be that."""
    from upscale_cli.places import place_of

    if output is None:
        raise UsageError("the kernel needs an output file; add -o kernel.npy.")
    if not output.lower().endswith(".npy"):
        raise UsageError(f'"{output}" is not a .npy file; a kernel is written as one, such as -o kernel.npy.')
    target = place_of(output).target(output)
    if target.exists() and not overwrite:
        raise UpscaleError(f'"{output}" exists already; use --overwrite.')
    return target


main = cli.start

if __name__ == "__main__":
    main()

"""The command `upscale-compare`."""

import json
import os
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from upscale_cli.commands.evaluate import read_contender
from upscale_cli.commands.options import (
    HELP,
    METHODS_TOLD,
    OVERWRITE,
    QUIET,
    VERBOSE,
    Command,
    Count,
    Factor,
    json_option,
    version_option,
)
from upscale_cli.commands.terminal import (
    Bar,
    ends,
    read_standard_input,
    refuse_closed_output,
    say,
    standard_output,
    start,
)
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods import METHODS, find_method

if TYPE_CHECKING:
    from upscale_cli.compare.comparison import Contender

INTRO = """\
Compare methods on an image: a page to look at, a sheet of details, or numbers.

  upscale-compare photo.jpg -s 4                       photo_compare.html
  upscale-compare photo.jpg -m lanczos -m learned -o sheet.png
  upscale-compare small.png -s 4 --reference large.png --json
  upscale-compare photo.jpg --reduce 3                 is made smaller first

Usage: upscale-compare [OPTIONS] IMAGE        IMAGE: a file, or - for stdin
"""
OUTRO = (
    "The page is one file that needs no network. Its pixels are those that upscale writes to PNG. Where the truth is "
    "known, PSNR and SSIM are those of luma, borders as wide as the scale left out, as upscale-evaluate measures."
)
STREAM = "-"
PAGES, SHEETS = (".html", ".htm"), (".png",)


@click.command(cls=Command, intro=INTRO, outro=OUTRO, context_settings=HELP)
@click.argument("image", required=False, metavar="IMAGE", type=click.Path())
@click.option("-s", "--scale", type=Factor(), metavar="FACTOR", help="Any number of at least 1, or 3x2 [2].")
@METHODS_TOLD
@click.option("-o", "--output", metavar="FILE", help="Page (.html), sheet (.png), or - for a page on stdout.")
@click.option("--reference", type=click.Path(path_type=Path), metavar="FILE", help="The truth, as large as results.")
@click.option(
    "--reduce",
    "reduction",
    type=click.IntRange(2, 16),
    metavar="N",
    help="Make the image N times smaller first; it is the truth.",
)
@OVERWRITE
@click.option("-j", "--jobs", type=Count(), metavar="N", help="Threads [one per processor].")
@json_option("The numbers")
@QUIET
@VERBOSE
@version_option("upscale-compare")
@click.pass_context
def cli(ctx: click.Context, /, image: str | None, verbose: int, **options: Any) -> None:
    """Compare methods."""
    if not image:
        click.echo(f"{INTRO}\nTry upscale-compare --help for all options.", err=True)
        ctx.exit(2)
    ends(lambda: compare(image, **options), "upscale-compare", verbose)


def compare(
    image: str,
    *,
    scale: tuple[Fraction, Fraction] | None,
    methods: Sequence[str],
    output: str | None,
    reference: Path | None,
    reduction: int | None,
    overwrite: bool,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Enlarge by every method, measure, write; the exit status."""
    began = time.perf_counter()
    factor = _factor(scale, reduction, reference)
    target = find_target(image, output, as_json)
    if isinstance(target, Path):
        _refuse_to_replace(target, [Path(image), reference], overwrite)
    contenders = [_contender(text) for text in dict.fromkeys(methods)] or all_contenders()
    stream = standard_output() if target == STREAM else None
    if as_json:
        refuse_closed_output()
    source = read_standard_input() if image == STREAM else Path(image)

    from concurrent.futures import ThreadPoolExecutor

    from upscale_cli.compare import comparison
    from upscale_cli.compare.page import LIMIT, make_page, numbers
    from upscale_cli.compare.sheet import make_sheet
    from upscale_cli.images.limits import threads_there
    from upscale_cli.images.targets import replacing

    bar: Bar | None = None

    def progress(done: int, whole: int) -> None:
        nonlocal bar
        bar = bar or Bar(whole, 1, not quiet)
        bar.advance(done)

    executor = ThreadPoolExecutor(threads_there(jobs or os.cpu_count() or 1))
    try:
        subject = comparison.find_subject(source, reduction, reference)
        compared = comparison.compare(
            subject, contenders, factor, chosen=bool(methods), executor=executor, progress=progress
        )
        title = "standard input" if image == STREAM else Path(image).name
        content = b""
        if target is not None:
            is_sheet = isinstance(target, Path) and target.suffix.lower() in SHEETS
            content = make_sheet(compared, title) if is_sheet else make_page(compared, title, executor)
    except UsageError:
        raise
    except UpscaleError as error:
        raise UpscaleError(f"{image}: {error}") from error.__cause__
    finally:
        executor.shutdown(cancel_futures=True)
        if bar is not None:
            bar.close()
    if stream is not None:
        stream.write(content)
        stream.flush()
    elif isinstance(target, Path):
        with replacing(target, overwrite=overwrite) as file:
            file.write(content)
    if as_json:
        click.echo(json.dumps({"source": image, "scale": [float(s) for s in reversed(factor)]} | numbers(compared)))
    if not quiet:
        for note in (*compared.notes, *(f"{each.name}: {note}" for each in compared.made for note in each.notes)):
            say(f"{image}: {note.rstrip('.')}.")
        if target is not None:
            hint = ", which is much: name fewer methods" if len(content) > LIMIT else ""
            size = f"{len(content) / 1e6:.1f} MB{hint}"
            where = "standard output" if target == STREAM else target
            say(f"{where}: {len(compared.made)} methods, {size}, in {time.perf_counter() - began:.1f} s.")
    return 0


def _factor(
    scale: tuple[Fraction, Fraction] | None, reduction: int | None, reference: Path | None
) -> tuple[Fraction, Fraction]:
    """The scale: the one that was given, else the one that undoes a reduction, else 2."""
    if reduction is None:
        return scale or (Fraction(2), Fraction(2))
    if reference is not None:
        raise UsageError("--reduce makes the truth, and --reference gives it; leave one out.")
    back = Fraction(reduction), Fraction(reduction)
    if scale not in (None, back):
        raise UsageError(f"what is made {reduction} times smaller is enlarged {reduction} times; leave --scale out.")
    return back


def find_target(image: str, output: str | None, as_json: bool) -> Path | str | None:
    """Where the result goes: a file, `-` for standard output, None where only numbers are wanted.

    Raises
    ------
    UsageError
        When a name is neither that of a page nor that of a sheet, or two things would go to standard output.
    """
    default = f"{Path(image).stem}_compare.html"
    if output is None:
        if as_json:
            return None
        return STREAM if image == STREAM else Path(image).with_name(default)
    if output == STREAM:
        if as_json:
            raise UsageError("--json and the page cannot share standard output; give a file as --output.")
        return STREAM
    target = Path(output)
    if target.is_dir():
        return target / default
    if target.suffix.lower() not in PAGES + SHEETS:
        raise UsageError(f'"{output}" is neither a page (.html) nor a sheet (.png); give such a name as --output.')
    return target


def _refuse_to_replace(target: Path, sources: Sequence[Path | None], overwrite: bool) -> None:
    """Raise when a target is one of the sources, or exists and is to stay."""
    if not target.exists():
        return
    if any(source is not None and source.exists() and target.samefile(source) for source in sources):
        raise UsageError(f'"{target}" is what is to be compared; give another --output.')
    if not overwrite:
        raise UpscaleError(f'"{target}" exists already; use --overwrite.')


def _contender(text: str) -> "Contender":
    """A method as it was typed."""
    from upscale_cli.compare.comparison import Contender

    if ":" not in text:
        # What it needs may lie beside the image.
        return Contender(text, find_method(text).name, {})
    return Contender(*read_contender(text))


def all_contenders() -> "list[Contender]":
    """Every method, and its variants."""
    return [
        _contender(text)
        for row in METHODS.values()
        for text in (row.name, *(f"{row.name}:{variant}" for variant in row.variants))
    ]


def main() -> None:
    """The entry point."""
    start(cli, "upscale-compare")


if __name__ == "__main__":
    main()

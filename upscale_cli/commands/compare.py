"""The command `upscale-compare`."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO

import click

from upscale_cli.codecs.finding import stem_of
from upscale_cli.commands.descriptors import written_to
from upscale_cli.commands.options import (
    CONTENDERS,
    JOBS,
    OVERWRITE,
    QUIET,
    SCALE,
    VERBOSE,
    Command,
    json_option,
)
from upscale_cli.commands.terminal import (
    Bar,
    print_json,
    read_standard_input,
    refuse_closed_output,
    say,
    standard_output,
)
from upscale_cli.commands.values import Name
from upscale_cli.compare.contenders import read_contender, told_apart, usual_contenders
from upscale_cli.errors import UpscaleError, UsageError, as_upscale_error

if TYPE_CHECKING:
    from upscale_cli.compare.comparison import Comparison
    from upscale_cli.methods.strips import Workers

INTRO = """\
Compare methods on an image: a page to explore, a sheet of details, or numbers.

  upscale-compare photo.jpg -s 4                       photo_compare.html
  upscale-compare photo.jpg -m lanczos -m learned -o sheet.png
  upscale-compare small.png -s 4 --reference large.png --json
  upscale-compare photo.jpg --reduce 3                 is reduced first

Usage: upscale-compare [OPTIONS] IMAGE        IMAGE: a file, or - for stdin
"""
OUTRO = (
    "The page is one file that works offline. Its pixels are those that upscale writes to PNG. With a reference, "
    "PSNR and SSIM are measured as upscale-evaluate does: on luma, leaving out a border as wide as the scale."
)
STREAM = "-"
PAGES, SHEETS = (".html", ".htm"), (".png",)


@click.command("upscale-compare", cls=Command, intro=INTRO, outro=OUTRO)
@click.argument("image", required=False, metavar="IMAGE", type=Name())
@SCALE
@CONTENDERS
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    callback=written_to,
    help="Page (.html), sheet (.png), or - for a page on stdout.",
)
@click.option("--reference", type=Name(), metavar="FILE", help="Reference image, the size of the result.")
@click.option(
    "--reduce",
    "reduction",
    type=click.IntRange(2, 16),
    metavar="N",
    help="Reduce the image by N first; the original is the reference.",
)
@click.option("--open", "opens", is_flag=True, help="Show the result in the browser.")
@OVERWRITE
@JOBS
@json_option("the numbers")
@QUIET
@VERBOSE
def cli(
    image: str,
    *,
    scale: tuple[Fraction, Fraction] | None,
    methods: Sequence[str],
    output: str | None,
    reference: str | None,
    reduction: int | None,
    opens: bool,
    overwrite: bool,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
    verbose: int,
) -> int:
    """Compare methods on an image, write the result, and return the exit status."""
    began = time.perf_counter()
    factor = find_scale(scale, reduction, reference)
    target = find_target(image, output, as_json)
    if opens and not isinstance(target, Path):
        raise UsageError("--open shows a file; give one with --output.")
    if isinstance(target, Path):
        _refuse_to_replace(target, [name for name in (image, reference) if name is not None], overwrite)
    contenders = told_apart([read_contender(text) for text in dict.fromkeys(methods)] or usual_contenders())
    stream = standard_output() if target == STREAM else None
    if as_json:
        refuse_closed_output()

    from upscale_cli.compare.comparison import compare
    from upscale_cli.compare.page import numbers
    from upscale_cli.compare.subject import find_subject
    from upscale_cli.machine.processors import processors, usable_threads
    from upscale_cli.methods.strips import Workers
    from upscale_cli.places import place_of
    from upscale_cli.places.streams import ContentSource

    source = ContentSource(read_standard_input()) if image == STREAM else place_of(image).source(image)
    image = source.shown
    workers = Workers(usable_threads(jobs or processors()))
    try:
        subject = find_subject(
            source, reduction, None if reference is None else place_of(reference).source(reference)
        )
        with _progress(quiet) as progress:
            comparison = compare(
                subject, contenders, factor, chosen=bool(methods), workers=workers, progress=progress
            )
        content = b"" if target is None else _render(comparison, image, target, workers)
    except UsageError:
        raise
    except UpscaleError as error:
        raise UpscaleError(f"{image}: {error}") from error.__cause__
    finally:
        # After a signal, strips are still at work; nobody needs to wait for them.
        workers.shutdown(wait=False, cancel_futures=True)
    if target is not None:
        _write(content, target, stream, overwrite)
    if as_json:
        values = {"source": image, "scale": [float(s) for s in reversed(factor)]} | numbers(comparison)
        print_json(values)
    if not quiet:
        about_results = (f"{each.name}: {note}" for each in comparison.results for note in each.notes)
        for note in (*comparison.notes, *about_results):
            say(f"{image}: {note.rstrip('.')}.")
        if target is not None:
            _report_output(target, comparison, len(content), time.perf_counter() - began)
    if opens:
        _show(Path(str(target)))
    return 0


def _show(page: Path) -> None:
    """Show a file in the browser; raises `UpscaleError` if none starts."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        raise UpscaleError(f'"{page}" was written, but no browser could be started; open it, or set BROWSER.')


def _write(content: bytes, path: Path | str, stream: BinaryIO | None, overwrite: bool) -> None:
    """Write the page or the sheet to its file, or to standard output."""
    from upscale_cli.places.files import FileTarget
    from upscale_cli.places.streams import StreamTarget

    target = StreamTarget(stream) if stream is not None else FileTarget(Path(path))
    try:
        with target.commit(overwrite) as (file,):
            file.write(content)
    except OSError as error:
        if not target.portable:
            raise
        raise as_upscale_error(error, target.shown) from error


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Provide a function that advances a bar by some of a total number of pixels; the first call shows the bar."""
    bar: Bar | None = None

    def advance(done: int, total: int) -> None:
        nonlocal bar
        bar = bar or Bar(total, 1, not quiet)
        bar.advance(done)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.close()


def _render(comparison: "Comparison", image: str, target: Path | str, workers: "Workers") -> bytes:
    """Return the content of the output: a sheet or a page."""
    from upscale_cli.compare.page import make_page
    from upscale_cli.compare.sheet import make_sheet

    title = "standard input" if image == STREAM else PurePath(image).name
    if isinstance(target, Path) and target.suffix.lower() in SHEETS:
        return make_sheet(comparison, title)
    return make_page(comparison, title, workers)


def _report_output(target: Path | str, comparison: "Comparison", size: int, seconds: float) -> None:
    """Print what was written, its size in bytes, and the time it took."""
    from upscale_cli.compare.page import LIMIT

    where = "standard output" if target == STREAM else target
    count = len(comparison.results)
    advice = ", larger than most viewers handle well; compare fewer methods with -m" if size > LIMIT else ""
    say(f"{where}: {count} method{'s' if count > 1 else ''} in {seconds:.1f} s, {size / 1e6:.1f} MB{advice}.")


def find_scale(
    scale: tuple[Fraction, Fraction] | None, reduction: int | None, reference: str | None
) -> tuple[Fraction, Fraction]:
    """Return the given scale, else the one that undoes a reduction, else 2.

    Raises
    ------
    UsageError
        If options contradict each other.
    """
    if reduction is None:
        return scale or (Fraction(2), Fraction(2))
    if reference is not None:
        raise UsageError("--reduce and --reference both define the reference; use only one of them.")
    back = Fraction(reduction), Fraction(reduction)
    if scale not in (None, back):
        raise UsageError(f"--reduce {reduction} implies --scale {reduction}; omit --scale.")
    return back


def find_target(image: str, output: str | None, as_json: bool) -> Path | str | None:
    """Return where the result goes: a file, `-` for standard output, or None if only numbers are wanted.

    Raises
    ------
    UsageError
        If the name is neither that of a page nor of a sheet, or two outputs would share standard output.
    """
    from upscale_cli.places.urls import scheme_of

    if scheme_of(output or ("" if as_json else image)):
        raise UsageError("the page is written to a file of this machine; give one with --output.")
    default = f"{stem_of(PurePath(image))}_compare.html"
    if output is None:
        if as_json:
            return None
        return STREAM if image == STREAM else Path(image).parent / default
    if output == STREAM:
        if as_json:
            raise UsageError("--json and the page cannot share standard output; give a file with --output.")
        return STREAM
    target = Path(output)
    with suppress(OSError):  # a name that is too long
        if target.is_dir():
            return target / default
    if target.suffix.lower() not in PAGES + SHEETS:
        raise UsageError(f'"{output}" is neither a page (.html) nor a sheet (.png); change the extension.')
    return target


def _refuse_to_replace(target: Path, sources: Sequence[str], overwrite: bool) -> None:
    """Raise an error if a target is one of the sources, or exists and must not be overwritten."""
    from upscale_cli.places import place_of
    from upscale_cli.places.files import FileTarget

    there = FileTarget(target).identity()
    if there is None:
        return
    if there in {place_of(name).source(name).identity() for name in sources}:
        raise UsageError(f'"{target}" is one of the inputs; give another file with --output.')
    if not overwrite:
        raise UpscaleError(f'"{target}" exists already; use --overwrite.')


main = cli.start

if __name__ == "__main__":
    main()

"""Records of shards: which one a run keeps, and the command `upscale report`, which adds them up."""

from collections.abc import Iterator, Sequence

import click

from upscale_cli import __version__
from upscale_cli.batch.names import is_template
from upscale_cli.batch.plan import Work
from upscale_cli.batch.records import Record, Summary, read_records
from upscale_cli.batch.shards import Shard
from upscale_cli.commands.options import FILES, VERBOSE, Command, json_option
from upscale_cli.commands.session import Session
from upscale_cli.commands.terminal import print_json, visible
from upscale_cli.commands.values import Name
from upscale_cli.errors import ExitStatus, UpscaleError, UsageError
from upscale_cli.places import place_of
from upscale_cli.places.streams import STREAM, is_numbered
from upscale_cli.work.result import Result

INTRO = """\
Add up the records of shards: what is done, what failed, what is missing.

  upscale in/ -o out/ --shard 3/16        on one of 16 machines
  upscale report out/                     what all of them have made
  upscale in/ -o out/ --retry-failed      once more what failed

Usage: upscale report [OPTIONS] FOLDER        FOLDER: the --output of the shards
"""
OUTRO = "The exit status is 0 if nothing is left to do. A file called report is ./report."
ALIKE = {"inputs", "overwrite", "max_pixels", "max_source_pixels", "preserve_times"} | {*FILES, *Session._fields}
"""The options that do not change results, and those that name files, whose content counts."""

MOST_NAMED = 20
"""The most shards that a line names."""


def record_of(session: Session, inputs: Sequence[str], work: Work) -> Record:
    """Return the record that a run keeps, of a shard or of images that are tried again.

    Raises
    ------
    UsageError
        If there is no one folder for results, where the record would be.
    """
    folder = _results(session.output, inputs, work)
    if folder is None:
        raise UsageError("the record of a shard is kept in the output folder; use --output FOLDER/.")
    only = read_records(folder).failed if session.retry_failed else None
    about = {"version": __version__, "settings": _settings(work)}
    return Record(folder, Shard(*session.shard or (1, 1)), about, only)


def _results(output: str | None, inputs: Sequence[str], work: Work) -> str | None:
    """Return the folder of all results of a run; None if there is no such folder."""
    if STREAM in (output, *inputs):
        return None
    if output is None:
        place = place_of(inputs[0])
        alone = len(inputs) == 1 and place.is_folder(inputs[0])
        return place.beside(inputs[0], work.label(Result(), several=True)) if alone else None
    if is_numbered(output) or is_template(output):
        return None
    several = len(inputs) > 1 or place_of(inputs[0]).is_folder(inputs[0])
    return output if several or place_of(output).is_folder(output) else None


def _settings(work: Work) -> str:
    """Return a hash of what decides about the pixels of results: options, and the content of files of arrays."""
    from hashlib import blake2b

    given = click.get_current_context().params
    texts = {name: str(value) for name, value in given.items() if name not in ALIKE}
    digest = blake2b(repr(sorted((n, t) for n, t in texts.items() if given[n])).encode(), digest_size=8)
    for source in work.reads:
        try:
            with source.open() as stream:
                digest.update(stream.read())
        except UpscaleError as error:
            raise UpscaleError(f"{source.shown}: {error}") from None
    return digest.hexdigest()


@click.command("upscale report", cls=Command, intro=INTRO, outro=OUTRO)
@click.argument("folder", nargs=-1, metavar="FOLDER", type=Name())
@json_option("a JSON object")
@VERBOSE
def cli(folder: tuple[str, ...], *, as_json: bool, verbose: int) -> int:
    """Print what records say; return the exit status."""
    if len(folder) > 1:
        raise UsageError("a report is of one folder; name the --output of the shards.")
    summary = read_records(folder[0])
    if as_json:
        print_json(vars(summary) | {"complete": summary.complete})
        return ExitStatus.DONE if summary.complete else ExitStatus.FAILED
    for line in _lines(summary):
        click.echo(visible(line))
    return ExitStatus.DONE if summary.complete else ExitStatus.FAILED


def _lines(summary: Summary) -> Iterator[str]:
    """Yield what is left to do, and how much is done."""
    for name, why in summary.failed.items():
        yield f"{name}: failed: {why}"
    for name, shard in summary.missing.items():
        yield f"{name}: missing, planned by shard {shard}"
    for name, why in summary.unlisted.items():
        yield f"{name}: {why}"
    if summary.absent:
        yield f"no record of shard {_listed(summary.absent)}"
    if len(summary.settings) > 1:
        each = (f"{about} in shard {_listed(shards)}" for about, shards in summary.settings.items())
        yield f"made with different settings or versions: {'; '.join(each)}"
    counts = (
        (summary.done + summary.skipped, "done"),
        (len(summary.failed), "failed"),
        (len(summary.missing), "missing"),
        (len(summary.unlisted), "not listed"),
    )
    count = len(summary.absent)
    absent = f"; {count:,} shard{'s have' if count > 1 else ' has'} no record" if count else ""
    yield f"{', '.join(f'{count:,} {word}' for count, word in counts if count or word == 'done')}{absent}."


def _listed(shards: Sequence[str]) -> str:
    more = f" and {len(shards) - MOST_NAMED:,} others" if len(shards) > MOST_NAMED else ""
    return f"{', '.join(shards[:MOST_NAMED])}{more}"

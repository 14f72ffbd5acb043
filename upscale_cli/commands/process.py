"""What commands for many images have in common: plan, run, report."""

import codecs
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from upscale_cli.batch.executors import find_executor
from upscale_cli.batch.names import refuse_mistaken_output
from upscale_cli.batch.plan import Plan, Work, make_plan
from upscale_cli.batch.report import Report
from upscale_cli.batch.run import DISK_FULL, Run
from upscale_cli.codecs.finding import format_of, holds_several, options_of
from upscale_cli.codecs.splitting import FILM, MANY
from upscale_cli.commands.lines import lines_about, outcome_values, show
from upscale_cli.commands.session import Session, in_sentence
from upscale_cli.commands.terminal import (
    Bar,
    Interrupted,
    print_json,
    read_standard_input,
    refuse_closed_output,
    say,
    show_cause,
    standard_output,
    stopping,
)
from upscale_cli.errors import ExitStatus, NeedlessError, UpscaleError, UsageError
from upscale_cli.machine.memory import unlimited_memory
from upscale_cli.machine.processors import processors
from upscale_cli.places import place_of
from upscale_cli.places.place import Source, counted
from upscale_cli.places.streams import PIPE, STANDARD_INPUT, STREAM, StreamTarget, is_numbered
from upscale_cli.places.urls import scheme_of
from upscale_cli.work.request import Request

if TYPE_CHECKING:
    from upscale_cli.batch.records import Record
    from upscale_cli.commands.frames import FrameRun

COMPRESSION, BLENDING = (
    frozenset({"quality", "subsampling", "lossless", "compression"}),
    frozenset({"linear", "alpha"}),
)
"""The options that depend on the format of a result, and on the method."""
MOST_NAMED = 5
"""The most inputs that a sentence names."""


def process(session: Session, inputs: Iterable[str], work: Work, asked: Iterable[str] = ()) -> int:
    """Plan, run, report; return the exit status.

    Parameters
    ----------
    asked : iterable of str
        Options that were given, of those that do nothing for some methods and formats.

    Raises
    ------
    UsageError
        If the request is invalid for every image.
    """
    start, (kind, address) = time.perf_counter(), find_executor(session.executor)
    inputs = _with_pipes(session, list(dict.fromkeys(inputs)))
    record = _record(session, inputs, work)
    with unlimited_memory() if kind.remote else nullcontext():
        plan = _planned(session, inputs, work, record)
    if kind.remote:
        _refuse_streams(kind.name, plan)
    if not isinstance(plan, Plan):
        if record is not None:
            raise UsageError("--shard shares out the images of folders, but this is a stream of frames; omit it.")
        return plan.run()
    left_alone = counted(plan.left_alone)
    report = Report(session.done, failed=len(plan.failures), skipped=len(plan.skipped), left_alone=left_alone)
    _announce(session, plan, asked)
    if session.dry_run:
        show(plan.jobs, session.as_json, plan.skipped)
        if left_alone and not session.quiet:
            say(f"{left_alone}.")
        return report.exit_status

    bar = Bar(sum(job.pixels for job in plan.jobs), len(plan.jobs), not session.quiet)
    with ExitStack() as stack:
        stack.callback(bar.close)
        others = kind.start(session.jobs, address) if len(plan.jobs) > (not kind.remote) else None
        if others is not None:
            stack.callback(others.shutdown, cancel_futures=True)
        if record is not None:
            record.begin(plan)
            stack.callback(record.close)
        running = Run(plan, session.jobs, others, bar.advance, say=lambda text: bar.say(f"{session.name}: {text}"))
        try:
            pixels = _run(session, plan, running, bar=bar, report=report, record=record)
        except Interrupted as interrupted:
            bar.close()
            rest = "--skip-existing makes the others" if not work.overwrite else "the others are unchanged"
            done = f" after {report.done} of {len(plan.jobs)}; {rest}" if report.done else "; nothing was written"
            say(f"{session.name}: stopped{done}.")
            interrupted.said = True
            raise
    report.left = len(running.left)
    if report.left:
        _say_left(session, running, work.overwrite)
    if not session.quiet and (report.done + report.failed > 1 or report.skipped or left_alone):
        say(report.sentence(time.perf_counter() - start, pixels))
    if record is not None and record.problem is not None:
        say(f"{session.name}: {record.problem}")
        return ExitStatus.FAILED
    return report.exit_status


def _refuse_streams(name: str, plan: "Plan | FrameRun") -> None:
    """Raise `UsageError` if results go to a stream, which a worker on another machine cannot write."""
    if not isinstance(plan, Plan) or any(not job.target.portable for job in plan.jobs):
        raise UsageError(f"--executor {name} writes each image to a file; use --output FILE, or omit --executor.")


def _record(session: Session, inputs: list[str], work: Work) -> "Record | None":
    """Return the record that a run keeps, if it makes a part of the images."""
    if session.shard is None and not session.retry_failed:
        return None
    from upscale_cli.commands.report import record_of

    return record_of(session, inputs, work)


def _announce(session: Session, plan: Plan, asked: Iterable[str]) -> None:
    """Print what a plan says before any work."""
    for line in () if session.quiet else _remarks(session, plan, asked):
        say(f"{session.name}: {line}")
    for shown, failure in plan.failures:
        say(session.fail(shown, failure))
        show_cause(failure, session.verbose)
        if session.as_json:
            print_json({"source": shown, "error": str(failure)})
    for skipped in plan.skipped if session.as_json else ():
        print_json({"source": skipped.shown, "skipped": skipped.why})


def _say_left(session: Session, running: Run, overwrite: bool) -> None:
    """Say why a run has ended early, and which images are missing because a cluster was lost."""
    again = f"run it again{'' if overwrite else ' with --skip-existing'}"
    if running.reason == DISK_FULL:
        rest = f"; free some space, and {again} for the others"
    else:
        missing = sorted(job.source.shown for job in running.left)
        count = f"{len(missing):,} images are" if len(missing) > 1 else "1 image is"
        for name in missing:
            say(f"{in_sentence(name)}: is missing.")
            if session.as_json:
                print_json({"source": name, "missing": running.reason})
        rest = f"; {count} missing: {again} for the rest"
    say(f"{session.name}: stopped, because {running.reason}{rest}.")


def _planned(session: Session, inputs: list[str], work: Work, record: "Record | None") -> "Plan | FrameRun":
    """Return the plan for images, or what makes frames: of a stream, or from and to numbered files."""
    if work.overwrite and session.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other; leave one out.")
    piped = STREAM in inputs or _is_pipe(inputs) or (len(inputs) == 1 and _holds_several(inputs[0]))
    stream = _standard_output(session, inputs)
    image: Source | None = None
    if piped or session.output == STREAM or is_numbered(session.output):
        from upscale_cli.commands.frames import FrameRun, Frames, find_frames

        found = find_frames(session, inputs, work, stream=stream, piped=piped)
        if isinstance(found, Frames):
            return FrameRun(session, found, work, stream)
        if found is not None:
            image, inputs = found, [STREAM if name == found.shown else name for name in inputs]
    where = stream if session.output == STREAM else session.output
    bar = Bar(None, 1, not session.quiet, unit="image")
    try:
        return make_plan(
            inputs,
            where,
            work,
            standard_input=image,
            skip_existing=session.skip_existing,
            wanted=(lambda _: True) if record is None else record.wants,
            progress=bar.advance,
        )
    finally:
        bar.close()


def _is_pipe(inputs: list[str]) -> bool:
    """Return whether the only input is a pipe with a name."""
    try:
        return len(inputs) == 1 and not scheme_of(inputs[0]) and Path(inputs[0]).is_fifo()
    except OSError:  # opening it says what is wrong
        return False


def _holds_several(name: str) -> bool:
    """Return whether a file holds several images; what is far away is opened only if its name allows for it."""
    source = place_of(name).source(name)
    format = format_of(source.name)
    if source.at_once > 1 and source.name.suffix != FILM and (format is None or format.name not in MANY):
        return False
    try:
        with source.header() as file:
            return holds_several(file)
    except (OSError, UpscaleError):  # whatever is wrong with it, opening the image says it
        return False


def _with_pipes(session: Session, inputs: list[str]) -> list[str]:
    """Return inputs with all names of standard input as "-", what the shell put in the place of `<(...)` too."""
    inputs = [STREAM if name in STANDARD_INPUT else name for name in inputs]
    pipes = [name for name in inputs if name == STREAM or PIPE.fullmatch(name)]
    if len(pipes) + (session.files_from in STANDARD_INPUT) > 1:
        raise UsageError("only one input can be a pipe; save the others to files.")
    if pipes and (pipe := PIPE.fullmatch(pipes[0])):
        try:
            os.dup2(int(pipe[1]), 0)
        except (OSError, OverflowError):
            raise UsageError(f'"{pipes[0]}" is not open; use a file, or - for standard input.') from None
        inputs = [STREAM if name == pipes[0] else name for name in inputs]
    if session.files_from is not None:
        return inputs + _listed(session.files_from, b"\0" if session.null else b"\n")
    if session.null:
        raise UsageError("-0 is about --files-from; add --files-from FILE, or omit -0.")
    if session.output is None:
        refuse_mistaken_output(inputs)
    return inputs


def _standard_output(session: Session, inputs: list[str]) -> StreamTarget | None:
    """Return standard output, if results go there."""
    output = session.output
    to_stream = output == STREAM or (output is None and (STREAM in inputs or _is_pipe(inputs)))
    if to_stream and not session.dry_run and session.as_json:
        raise UsageError("--json and the image cannot share standard output; use --output FILE.")
    if session.as_json or session.dry_run:
        refuse_closed_output()
    # A dry run writes nothing.
    return StreamTarget(None if session.dry_run else standard_output()) if to_stream else None


def _listed(name: str, end: bytes) -> list[str]:
    """Return the names that a file lists, or standard input."""
    try:
        if scheme_of(name):
            text = place_of(name).source(name).open().read()
        else:
            text = read_standard_input("names") if name in STANDARD_INPUT else Path(name).read_bytes()
    except UpscaleError as error:
        raise UsageError(f'--files-from "{name}" {error}') from None
    except OSError as error:
        raise UsageError(f'--files-from "{name}" cannot be read: {error.strerror}.') from None
    text = text.removeprefix(codecs.BOM_UTF8)
    lines = (line if end == b"\0" else line.removesuffix(b"\r") for line in text.split(end))
    names = [os.fsdecode(line) for line in lines if line]
    if not names:
        raise UpscaleError(f'--files-from "{name}" lists no file; put one name on each line.')
    return [f"./{name}" if name == STREAM else name for name in names]


def _remarks(session: Session, plan: Plan, asked: Iterable[str]) -> Iterator[str]:
    """Yield what was asked for that has no effect, and which inputs were left out."""
    if (session.shard or session.retry_failed) and not (plan.jobs or plan.failures or plan.skipped):
        part = f"shard {'/'.join(map(str, session.shard))}" if session.shard else "the folder"
        yield f"{part} has no image{' that failed' * session.retry_failed}."
    works = [job.work for job in plan.jobs]
    heeded = {f.title: options_of(f) | BLENDING for work in works if (f := work.format) is not None}
    heeded |= {w.method.name: w.method.heeds | COMPRESSION for w in works if isinstance(w, Request)}
    for option in asked:
        idle = [name for name, options in heeded.items() if option not in options]
        if idle:
            yield f"--{option} does nothing for {' and '.join(idle)}."
    most = processors()
    if (session.jobs or 0) > 4 * most and not find_executor(session.executor)[0].remote:
        yield f"--jobs {session.jobs} makes nothing faster than {most}, the number of processors."
    if results := plan.results:
        more = f" and {len(results) - MOST_NAMED} others" if len(results) > MOST_NAMED else ""
        yield f"left out as results of earlier runs: {', '.join(results[:MOST_NAMED])}{more}."


def _run(session: Session, plan: Plan, running: Run, *, bar: Bar, report: Report, record: "Record | None") -> int:
    """Carry a plan out, print a line for each outcome, count them, and return the pixels that were made."""
    pixels = 0
    if session.verbose and plan.jobs:
        bar.say(f"{session.name}: {running.manner}.")
    with stopping(running.stop), closing(iter(running)) as outcomes:
        for outcome in outcomes:
            skipped = session.skip_existing and isinstance(outcome.failure, NeedlessError)
            if record is not None:
                record.end(outcome, skipped)
            if skipped:
                # Another run was faster.
                report.skipped += 1
                if session.as_json:
                    print_json({"source": outcome.job.source.shown, "skipped": str(outcome.failure)})
                continue
            report.done += outcome.failure is None
            report.failed += outcome.failure is not None
            pixels += outcome.job.pixels if outcome.failure is None else 0
            bar.image_ended()
            if session.as_json:
                print_json(outcome_values(outcome))
            for line in lines_about(outcome, session, alone=len(plan.jobs) == 1):
                bar.say(line)
            if outcome.failure is not None:
                show_cause(outcome.failure, session.verbose)
    return pixels

"""What commands for many images do alike: plan, run, report."""

import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any, NamedTuple

import click

from upscale_cli.batch.plan import STREAM, Job, Plan, Work, make_plan
from upscale_cli.batch.report import Report
from upscale_cli.batch.run import Outcome, Run
from upscale_cli.commands.terminal import (
    Bar,
    Interrupted,
    read_standard_input,
    refuse_closed_output,
    say,
    show_cause,
    standard_output,
    stopping,
)
from upscale_cli.errors import UsageError
from upscale_cli.images.enlarge import Request
from upscale_cli.images.limits import in_bytes


class Session(NamedTuple):
    """How a command talks: its name, what its images become, and how much it says."""

    name: str
    done: str
    quiet: bool
    verbose: int
    as_json: bool
    dry_run: bool


def process(
    session: Session,
    inputs: Iterable[str],
    work: Work,
    *,
    output: str | None,
    skip_existing: bool,
    jobs: int | None,
) -> int:
    """Plan, run, report; the exit status.

    Raises
    ------
    UsageError
        When the request cannot be carried out for any image.
    """
    start, inputs = time.perf_counter(), list(inputs)
    if work.overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing were both given; leave one out.")
    to_stream = output == STREAM or (output is None and STREAM in inputs)
    if to_stream and session.as_json:
        raise UsageError("--json and the image cannot share standard output; give a file as --output.")
    if session.as_json:
        refuse_closed_output()
    stream = standard_output() if to_stream and not session.dry_run else None
    content = read_standard_input() if STREAM in inputs else b""
    plan = make_plan(inputs, output, work, content, skip_existing)
    report = Report(session.done, failed=len(plan.failures), skipped=len(plan.settled))
    for shown, failure in plan.failures:
        say(f"{shown}: {failure.sentence}")
        show_cause(failure.cause, session.verbose)
        if session.as_json:
            _print_json({"source": shown, "error": failure.sentence})
    if session.dry_run:
        _show(plan, session.as_json)
        return report.exit_status

    pixels = 0
    bar = Bar(sum(job.pixels for job in plan.jobs), len(plan.jobs), not session.quiet)
    running = Run(plan, jobs, stream=stream, progress=bar.advance)
    if session.verbose and plan.jobs:
        bar.say(f"{session.name}: {running.manner}.")
    try:
        with stopping(running.stop), closing(iter(running)) as outcomes:
            for outcome in outcomes:
                report.done += outcome.failure is None
                report.failed += outcome.failure is not None
                pixels += outcome.job.pixels if outcome.failure is None else 0
                bar.image_ended()
                if session.as_json:
                    _print_json(_outcome(outcome))
                for line in _lines(outcome, session):
                    bar.say(line)
                if outcome.failure is not None:
                    show_cause(outcome.failure.cause, session.verbose)
    except Interrupted:
        bar.close()
        others = "--skip-existing makes the others" if not work.overwrite else "the others are as they were"
        say(f"{session.name}: stopped after {report.done} of {len(plan.jobs)}; {others}.")
        raise
    finally:
        bar.close()
    report.left = len(plan.jobs) + len(plan.failures) - report.done - report.failed
    if report.left:
        say(f"{session.name}: stopped, because the disk is full; make room, and run it again for the others.")
    if not session.quiet and report.done + report.failed + report.skipped > 1:
        say(report.sentence(time.perf_counter() - start, pixels))
    return report.exit_status


def _print_json(values: dict[str, Any]) -> None:
    import json

    click.echo(json.dumps(values))


def _show(plan: Plan, as_json: bool) -> None:
    """What would be done, a line a job."""
    for job in plan.jobs:
        if as_json:
            _print_json(_job(job))
        else:
            (w, h), (width, height) = job.expected.before, job.expected.after
            say(f"{job.shown} {w}x{h} → {job.target or 'standard output'} {width}x{height}")


def _job(job: Job) -> dict[str, Any]:
    values: dict[str, Any] = {"source": job.shown, "target": str(job.target) if job.target else None}
    if isinstance(job.work, Request):
        values["method"] = job.work.method
        (w, h), (width, height) = job.expected.before, job.expected.after
        values["scale"] = [width / w, height / h]
    return values | {"before": list(job.expected.before), "after": list(job.expected.after)}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    values = _job(outcome.job) | {"seconds": round(outcome.seconds, 4)}
    if outcome.failure is not None:
        return values | {"error": outcome.failure.sentence}
    assert outcome.result is not None
    return values | {"before": outcome.result.before, "after": outcome.result.after, "notes": outcome.result.notes}


def _lines(outcome: Outcome, session: Session) -> list[str]:
    """What is said about an outcome."""
    if outcome.failure is not None:
        return [f"{outcome.job.shown}: {outcome.failure.sentence}"]
    assert outcome.result is not None
    notes = [] if session.quiet else outcome.result.notes
    said = [f"{outcome.job.shown}: {'; '.join(notes)}."] if notes else []
    if session.verbose:
        (w, h), (width, height) = outcome.result.before, outcome.result.after
        where = outcome.job.target or "standard output"
        said.append(f"{outcome.job.shown} {w}x{h} → {where} {width}x{height} in {outcome.seconds:.2f} s")
        decisions = outcome.result.decisions | {"memory": f"about {in_bytes(outcome.job.memory)}"}
        said += [f"  {about:9}{decided}" for about, decided in decisions.items()]
    return said

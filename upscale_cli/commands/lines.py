"""What is printed about images: what would be done, and what was."""

import sys
from collections.abc import Iterable
from typing import Any

import click

from upscale_cli.batch.plan import Job, Skipped
from upscale_cli.batch.run import Outcome
from upscale_cli.commands.session import Session, in_sentence
from upscale_cli.commands.terminal import print_json, visible
from upscale_cli.machine.memory import in_bytes
from upscale_cli.methods.method import as_typed
from upscale_cli.work.request import Request
from upscale_cli.work.result import Result


def show(jobs: Iterable[Job], as_json: bool, skipped: Iterable[Skipped] = ()) -> None:
    """Print what would be done, a line for each job, and what would not be."""
    for job in jobs:
        if as_json:
            print_json(_job(job))
        else:
            click.echo(visible(_sizes(job, job.expected)))
    for each in () if as_json else skipped:
        click.echo(visible(f"{each.shown}: skipped, because it {each.why}"))


def _sizes(job: Job, result: Result) -> str:
    before, after = (as_typed(sides[::-1]) for sides in (result.before, result.after))
    return f"{job.source.shown} {before} → {job.target.name} {after}"


def _job(job: Job) -> dict[str, Any]:
    before, after = job.expected.before, job.expected.after
    values: dict[str, Any] = {"source": job.source.shown, "target": job.target.name if job.target.portable else None}
    if isinstance(job.work, Request):
        values |= {
            "method": job.work.method.name,
            "scale": [new / old for old, new in zip(before, after, strict=True)],
        }
    return values | {"before": before, "after": after}


def outcome_values(outcome: Outcome) -> dict[str, Any]:
    """Return what --json prints about an image."""
    values = _job(outcome.job) | {"seconds": round(outcome.seconds, 4)}
    if outcome.failure is not None:
        return values | {"error": str(outcome.failure)}
    assert outcome.result is not None
    notes = [*outcome.job.source.notes, *outcome.result.notes]
    return values | {"before": outcome.result.before, "after": outcome.result.after, "notes": notes}


def lines_about(outcome: Outcome, session: Session, alone: bool) -> list[str]:
    """Return what is printed about an outcome; on a terminal, of one that is `alone`, also what was written."""
    shown = outcome.job.source.shown
    if outcome.failure is not None:
        return [session.fail(shown, outcome.failure)]
    assert outcome.result is not None
    notes = [] if session.quiet else [*outcome.job.source.notes, *outcome.result.notes]
    lines = [f"{in_sentence(shown)}: {'; '.join(notes)}."] if notes else []
    if session.verbose:
        lines += explained(outcome)
    elif alone and not session.quiet and sys.stderr.isatty():
        lines.append(_made(outcome))
    return lines


def explained(outcome: Outcome) -> list[str]:
    """Return what -v prints about an image that was made."""
    assert outcome.result is not None
    expected = outcome.job.expected
    further = f"and {in_bytes(expected.memory_per_thread)} for each thread beyond the first"
    decisions = outcome.result.decisions | {"memory": f"about {in_bytes(expected.memory)}, {further}"}
    return [_made(outcome), *(f"  {subject:9}{decision}" for subject, decision in decisions.items())]


def _made(outcome: Outcome) -> str:
    """Return what was made of what, and how long it took."""
    assert outcome.result is not None
    return f"{_sizes(outcome.job, outcome.result)} in {outcome.seconds:.2f} s"

"""Records of shards: what each of them has planned, and how each image ended.

The record of a shard is `.upscale/shard-3-of-16.jsonl` in the output folder. Each run adds a line with its settings,
one for each of its images with the size of its result, and one for each image that ends. Of the lines about an image,
in all records together, the latest counts.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from upscale_cli.batch.plan import Plan
from upscale_cli.batch.run import Outcome
from upscale_cli.batch.shards import Shard, name_of
from upscale_cli.errors import UpscaleError, as_upscale_error
from upscale_cli.places import place_of
from upscale_cli.places.place import Source

FOLDER = ".upscale"
"""The folder of the records, in the output folder."""
NAME = re.compile(r"^shard-([0-9]+)-of-([0-9]+)\.jsonl$")
PLANNED, DONE, SKIPPED, FAILED = "planned", "done", "skipped", "failed"
"""The states of an image; what is skipped needs no work."""


class Record:
    """What one run of a shard writes down.

    Parameters
    ----------
    folder : str
        The output folder.
    shard : Shard
    about : mapping
        What its first line says about the run.
    only : collection of str, optional
        The names of the images that are wanted, if not all of the shard are.

    Attributes
    ----------
    problem : UpscaleError or None
        Why it could not be written.
    """

    def __init__(
        self, folder: str, shard: Shard, about: Mapping[str, object], only: Mapping[str, str] | None = None
    ) -> None:
        self.shard, self._about, self._only = shard, about, only
        self._target = place_of(folder).target(folder, (FOLDER, f"shard-{shard.number}-of-{shard.of}.jsonl"))
        self._names: dict[str, str] = {}
        self.problem: UpscaleError | None = None

    def wants(self, source: Source) -> bool:
        """Return whether this run makes an image."""
        name = name_of(source)
        wanted = self.shard.has(name) and (self._only is None or name in self._only)
        if wanted:
            self._names[source.shown] = name
        return wanted

    def begin(self, plan: Plan) -> None:
        """Write down a plan.

        Raises
        ------
        UpscaleError
            If the record cannot be written.
        """
        lines: list[dict[str, Any]] = [{"shard": str(self.shard), "partial": self._only is not None, **self._about}]
        lines += [self._line(job.source.shown, PLANNED, size=job.expected.after) for job in plan.jobs]
        lines += [self._line(shown, FAILED, why=str(error)) for shown, error in plan.failures]
        results = set(plan.results)
        lines += [self._line(e.shown, SKIPPED, why=e.why) for e in plan.skipped if e.shown not in results]
        self._write(*lines)
        if self.problem is not None:
            raise self.problem

    def end(self, outcome: Outcome, skipped: bool = False) -> None:
        """Write down how an image ended."""
        state = DONE if outcome.failure is None else SKIPPED if skipped else FAILED
        why = {} if outcome.failure is None else {"why": str(outcome.failure)}
        self._write(self._line(outcome.job.source.shown, state, **why, seconds=round(outcome.seconds, 4)))

    def _line(self, shown: str, state: str, **more: object) -> dict[str, Any]:
        return {"name": self._names.get(shown, shown), "state": state, **more}

    def _write(self, *lines: Mapping[str, object]) -> None:
        """Add lines, each with the time; after a failure, nothing more is written."""
        if self.problem is None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            try:
                self._target.append("".join(f"{json.dumps({**line, 'time': now})}\n" for line in lines).encode())
            except Exception as error:
                self.problem = as_upscale_error(error, f"the record {self._target.shown}")


@dataclass
class Summary:
    """All records of an output folder together.

    Attributes
    ----------
    done, skipped : int
        Images that were made, and that needed no work.
    failed : dict of str to str
        Images that were not made, by their names in records, and why.
    missing : dict of str to str
        Images that were planned and have not ended, and their shards.
    absent : list of str
        Shards that have no record.
    settings : dict of str to list of str
        The shards of each settings and version.
    """

    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    settings: dict[str, list[str]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Nothing is left to do."""
        return not (self.failed or self.missing or self.absent)


def read_records(folder: str) -> Summary:
    """Return what the records of an output folder say.

    Raises
    ------
    UpscaleError
        If there is none, or it cannot be read.
    """
    summary, latest = Summary(), dict[str, tuple[str, str, str]]()
    settings: dict[str, dict[str, None]] = defaultdict(dict)
    found: dict[int, set[int]] = defaultdict(set)
    for shard, line in _lines(folder):
        at, name = str(line["time"]), line.get("name")
        if name is None:
            settings[f"{line['settings']} of upscale {line['version']}"][str(shard)] = None
            if not line["partial"]:
                found[shard.of].add(shard.number)
        elif latest.get(name, ("",))[0] <= at:
            state = line["state"]
            latest[name] = at, state, str(shard) if state == PLANNED else line.get("why", "")
    for name, (_, state, why) in sorted(latest.items()):
        summary.done += state == DONE
        summary.skipped += state == SKIPPED
        if state == FAILED:
            summary.failed[name] = why
        elif state == PLANNED:
            summary.missing[name] = why
    # One complete set of shards has seen every image, whatever other sets there are.
    if all(len(numbers) < of for of, numbers in found.items()):
        every = [Shard(number, of) for of in found for number in range(1, of + 1)]
        summary.absent = [str(shard) for shard in every if shard.number not in found[shard.of]]
    summary.settings = {name: list(shards) for name, shards in settings.items()}
    return summary


def _lines(folder: str) -> Iterator[tuple[Shard, dict[str, Any]]]:
    """Yield each line of each record. A line that is not complete is left out: its run was killed."""
    inside = place_of(folder).inside(f"{folder.rstrip('/')}/{FOLDER}")
    named = [(found, source) for source in inside for found in NAME.finditer(source.name.name)]
    if not named:
        raise UpscaleError(f'"{folder}" has no records; run upscale with --shard K/N and --output {folder} first.')
    for found, source in named:
        with source.open() as stream:
            for text in stream:
                with suppress(ValueError):
                    yield Shard(int(found[1]), int(found[2])), json.loads(text)

"""Records of shards: what each of them has planned, and how each image ended.

The record of a shard is `.upscale/shard-3-of-16.jsonl` in the output folder. Each run adds a line for each of its
images with the size of its result, then one with its settings, which says that the plan is complete, and then one for
each image that ends. The latest line about an image counts, whichever record it is in.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from upscale_cli.batch.plan import Plan
from upscale_cli.batch.run import Outcome
from upscale_cli.batch.shards import Shard, name_of
from upscale_cli.errors import UpscaleError, as_upscale_error
from upscale_cli.places import place_of
from upscale_cli.places.place import Source

FOLDER = ".upscale"
"""The folder of the records, in the output folder."""
NAME = re.compile(r"shard-([0-9]+)-of-([0-9]+)\.jsonl")
PLANNED, DONE, SKIPPED, FAILED = "planned", "done", "skipped", "failed"
"""The states of an image; one that is skipped needs no work."""
EVERY = 60
"""Seconds after which a record is written again, where it can only be written as a whole."""


class Record:
    """What one run of a shard writes down.

    Parameters
    ----------
    folder : str
        The output folder.
    shard : Shard
    about : mapping
        What the record says about the run.
    only : collection of str, optional
        The names of the images that are wanted, if not all of the shard are.

    Attributes
    ----------
    problem : UpscaleError or None
        Why something is not in the record.
    """

    def __init__(
        self, folder: str, shard: Shard, about: Mapping[str, object], only: Collection[str] | None = None
    ) -> None:
        self._shard, self._about, self._only = shard, about, only
        self._place = place_of(folder)
        self._target = self._place.target(folder, (FOLDER, f"shard-{shard.number}-of-{shard.of}.jsonl"))
        self._names: dict[str, str] = {}
        self._whole: bytearray | None = None
        self._due = 0.0
        self.problem: UpscaleError | None = None

    def wants(self, source: Source) -> bool:
        """Return whether this run makes an image."""
        name = name_of(source)
        wanted = self._shard.has(name) and (self._only is None or name in self._only)
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
        names, results = self._names, set(plan.results)
        lines = [_line(names[job.source.shown], PLANNED, size=job.expected.after) for job in plan.jobs]
        lines += [_line(names[shown], FAILED, why=str(why)) for shown, why in plan.failures if shown in names]
        lines += [_line(names[e.shown], SKIPPED, why=e.why) for e in plan.skipped if e.shown not in results]
        # Folders that cannot be listed: nobody knows their images.
        unlisted = {shown: str(why) for shown, why in plan.failures if shown not in names}
        about = {"shard": str(self._shard), "partial": self._only is not None, "unlisted": unlisted}
        self._names = {}
        self._write(*lines, about | {**self._about})
        self.close()
        if self.problem is not None:
            raise self.problem

    def end(self, outcome: Outcome, skipped: bool = False) -> None:
        """Write down how an image ended."""
        state = DONE if outcome.failure is None else SKIPPED if skipped else FAILED
        why = {} if outcome.failure is None else {"why": str(outcome.failure)}
        self._write(_line(name_of(outcome.job.source), state, **why, seconds=round(outcome.seconds, 4)))
        if time.monotonic() > self._due:
            self.close()

    def close(self) -> None:
        """Write everything, where a record can only be written as a whole."""
        if self._whole is None:
            return
        try:
            with self._target.commit(True) as (stream,):
                stream.write(self._whole)
            self.problem = None
        except Exception as error:
            self._fail(error)
        self._due = time.monotonic() + EVERY

    def _write(self, *lines: Mapping[str, object]) -> None:
        """Add lines, each with the time."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = "".join(f"{json.dumps({**line, 'time': now})}\n" for line in lines).encode()
        try:
            if self._whole is None and self._target.append(text):
                return
            if self._whole is None:
                there = self._target.exists()
                self._whole = bytearray(self._place.source(self._target.name).open().read() if there else b"")
            self._whole += text
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.problem = as_upscale_error(error, f"the record {self._target.shown}")


def _line(name: str, state: str, **more: object) -> dict[str, object]:
    return {"name": name, "state": state, **more}


class Entry(NamedTuple):
    """The latest line about an image: for `DONE`, `why` is with what settings, for `PLANNED` by which shard."""

    time: str
    state: str
    why: str


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
    unlisted : dict of str to str
        Folders that could not be listed, and why.
    absent : list of str
        Shards that have no record.
    settings : dict of str to list of str
        The settings and versions that images were made with, and in which shards.
    """

    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    unlisted: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    settings: dict[str, list[str]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Nothing is left to do."""
        return not (self.failed or self.missing or self.unlisted or self.absent)

    def add(self, entries: Mapping[str, Entry]) -> None:
        """Count images."""
        states = Counter(entry.state for entry in entries.values())
        self.done += states[DONE]
        self.skipped += states[SKIPPED]
        self.failed |= {name: entry.why for name, entry in entries.items() if entry.state == FAILED}
        self.missing |= {name: entry.why for name, entry in entries.items() if entry.state == PLANNED}

    def read(self, shard: Shard, record: Source) -> tuple[dict[str, Entry], bool]:
        """Return what a record says about images, and whether it is about all images of its shard.

        Lines that are not whole are left out: their runs were killed, and what they were about is missing.
        """
        entries, about, unlisted, whole = dict[str, Entry](), "", dict[str, str](), False
        with record.open() as stream:
            for text in stream:
                with suppress(ValueError, KeyError, TypeError):
                    line = json.loads(text)
                    if "name" not in line:
                        about = f"{line['settings']} of upscale {line['version']}"
                        unlisted, whole = line["unlisted"], whole or not line["partial"]
                        continue
                    name, state = line["name"], line["state"]
                    if state == SKIPPED and name in entries and entries[name].state == DONE:
                        continue  # what was made here stays
                    why = {DONE: about, PLANNED: str(shard)}.get(state) or line["why"]
                    entries[name] = Entry(line["time"], state, why)
        self.unlisted |= unlisted
        for made_with in dict.fromkeys(entry.why for entry in entries.values() if entry.state == DONE):
            self.settings.setdefault(made_with, []).append(str(shard))
        return entries, whole


def read_records(folder: str) -> Summary:
    """Return what the records of an output folder say.

    Raises
    ------
    UpscaleError
        If there is none, or it cannot be read.
    """
    inside = place_of(folder).inside(f"{folder.rstrip('/')}/{FOLDER}")
    named = ((NAME.fullmatch(record.name.name), record) for record in inside)
    records = {Shard(int(found[1]), int(found[2])): record for found, record in named if found}
    if not records:
        raise UpscaleError(f'"{folder}" has no records; run upscale with --shard K/N and --output {folder} first.')
    summary, others, seen = Summary(), dict[str, Entry](), set[Shard]()
    # Shards of one number of parts have no image in common, so one record of them is in memory at a time.
    usual = Counter(shard.of for shard in records).most_common(1)[0][0]
    for shard in sorted(records, key=lambda shard: (shard.of == usual, shard)):
        try:
            entries, whole = summary.read(shard, records[shard])
        except UpscaleError as error:
            raise UpscaleError(f"{records[shard].shown}: {error}") from None
        seen |= {shard} if whole else set()
        both = entries.keys() & others.keys()
        if shard.of == usual:
            summary.add(entries | {name: max(entries[name], others.pop(name)) for name in both})
        else:
            others |= entries | {name: max(entries[name], others[name]) for name in both}
    summary.add(others)
    # One complete set of shards has seen every image, whatever other sets there are.
    parts = {shard.of for shard in seen} or {usual}
    absent = {of: {Shard(number, of) for number in range(1, of + 1)} - seen for of in parts}
    if all(absent.values()):
        summary.absent = [str(shard) for shards in absent.values() for shard in sorted(shards)]
    return summary

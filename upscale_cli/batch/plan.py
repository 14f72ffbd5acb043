"""The plan: every source with its target, every conflict and every impossible request, before any work."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from upscale_cli.codecs.finding import check_writable, format_of, stem_of
from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Picture, Reading, open_picture
from upscale_cli.errors import UpscaleError, UsageError, as_upscale_error
from upscale_cli.methods.strips import Workers
from upscale_cli.places import place_of
from upscale_cli.places.place import LeftAlone, Source, Target, Unreadable
from upscale_cli.places.streams import STREAM
from upscale_cli.work.result import Result

MAX_CONFLICTS = 10
"""The most conflicts that an error lists."""


class Work(Protocol):
    """What is done to each image: `Request` enlarges, `Pooling` pools. It can be sent to another process."""

    @property
    def format(self) -> Format | None:
        """The format that was named for the result."""

    @property
    def reading(self) -> Reading:
        """How sources are read."""

    @property
    def overwrite(self) -> bool:
        """Existing targets are replaced."""

    @property
    def reads(self) -> tuple[Source, ...]:
        """What is read for every image, besides the image."""

    @property
    def reads_beside(self) -> tuple[str, ...]:
        """The endings of files that are read if they lie beside an image."""

    def with_format(self, format: Format) -> Self:
        """Return the same work with another format."""

    def targets(self, target: Target) -> tuple[Target, ...]:
        """Return everything that is written for a target, which is the last of them."""

    def format_for(self, picture: Picture) -> Format:
        """Return the format of the result of a source."""

    def label(self, expected: Result, several: bool) -> str:
        """Return what the name of a result says about it, or of a folder of several results about all of them."""

    def check(self, picture: Picture, source: Source) -> Result:
        """Return what the header tells about the result; raise `UpscaleError` if there can be none."""

    def carry_out(
        self, source: Source, target: Target, workers: Workers | None, progress: Callable[[int], None]
    ) -> Result:
        """Make one target of one source."""


class Job(NamedTuple):
    """One source and its target. It can be sent to another process if its target is portable.

    Attributes
    ----------
    source : Source
    target : Target
    work : Work
    expected : Result
        Sizes and notes, as far as the header tells.
    """

    source: Source
    target: Target
    work: Work
    expected: Result

    @property
    def pixels(self) -> int:
        """The pixels of the result, all its frames together."""
        return self.expected.after[0] * self.expected.after[1] * self.expected.frames


@dataclass
class Plan:
    """What is to be done.

    Attributes
    ----------
    jobs : list of Job
    failures : list of (str, UpscaleError)
        Images that cannot be done, by their names in messages.
    settled : list of Target
        Targets that exist already, and stay.
    left_alone : list of LeftAlone
        What folders hold besides images.
    """

    jobs: list[Job] = field(default_factory=list)
    failures: list[tuple[str, UpscaleError]] = field(default_factory=list)
    settled: list[Target] = field(default_factory=list)
    left_alone: list[LeftAlone] = field(default_factory=list)


def make_plan(
    inputs: Iterable[str],
    output: str | Target | None,
    work: Work,
    *,
    standard_input: Source | None = None,
    skip_existing: bool = False,
) -> Plan:
    """Find all sources, name their targets, and check everything that can be checked without decoding.

    Parameters
    ----------
    inputs : iterable of str
        Names of files or folders, or `-`.
    output : str, Target or None
        The name of a file or folder; a target; or nothing: then targets lie beside their sources.
    work : Work
    standard_input : Source, optional
        What `-` stands for.
    skip_existing : bool
        Leave out sources whose targets exist.

    Raises
    ------
    UsageError
        If two sources have one target, a target is a source, or the output does not fit the inputs.
    """
    inputs = list(dict.fromkeys(inputs))
    several = len(inputs) > 1 or any(name != STREAM and place_of(name).is_folder(name) for name in inputs)
    into_folder = isinstance(output, str) and (place_of(output).is_folder(output) or several)
    if isinstance(output, Target) and several:
        raise UsageError(f"{output.shown} can take only one image; use a folder as --output for several.")
    if isinstance(output, str):
        if into_folder and place_of(output).exists(output) and not place_of(output).is_folder(output):
            raise UsageError(f'"{output}" is a file, but several images need a folder; use another --output.')
        if not into_folder and work.format is None and (named := named_format(output)) is not None:
            work = work.with_format(named)

    plan = Plan()
    folder = output if into_folder and isinstance(output, str) else None
    for source in find_sources(inputs, folder, plan.failures, plan.left_alone, standard_input=standard_input):
        try:
            with open_picture(source.open(), work.reading) as picture:
                expected = work.check(picture, source)
                format = work.format_for(picture)
            label = work.label(expected, several=source.place is not None)
            target = _target(source, output, format, into_folder=into_folder, label=label)
        except UsageError:
            raise
        except Exception as error:
            place = output.shown if isinstance(output, Target) else f'"{output or source.shown}"'
            plan.failures.append((source.shown, as_upscale_error(error, place)))
            continue
        plan.jobs.append(Job(source, target, work.with_format(format), expected))
    plan.left_alone = [each for each in plan.left_alone if not each.name.endswith(work.reads_beside)]
    _refuse_conflicts(plan.jobs)
    _settle(plan, skip_existing)
    return plan


def _settle(plan: Plan, skip_existing: bool) -> None:
    """Take the jobs whose targets exist out of a plan: they stay as they are, or are failures."""
    jobs, plan.jobs = plan.jobs, []
    for job in jobs:
        targets = job.work.targets(job.target) if job.target.portable and not job.work.overwrite else ()
        existing = [target for target in targets if target.exists()]
        if not existing or (skip_existing and len(existing) < len(targets)):
            plan.jobs.append(job)
        elif skip_existing:
            plan.settled += existing
        else:
            refused = UpscaleError(f"{existing[-1].shown} exists already; use --overwrite or --skip-existing.")
            plan.failures.append((job.source.shown, refused))


def named_format(output: str) -> Format | None:
    """Return the format that the name of a file says."""
    path = Path(output)
    named = format_of(path)
    if named is None and stem_of(path) != path.name and not place_of(output).exists(output):
        raise UsageError(f'"{output}": "{path.suffix}" is not the extension of a known format; use --format.')
    return None if named is None else check_writable(named)


def find_sources(
    inputs: Iterable[str],
    output: str | None,
    failures: list[tuple[str, UpscaleError]],
    left_alone: list[LeftAlone],
    *,
    standard_input: Source | None = None,
) -> Iterator[Source]:
    """Yield every source of some names; add what cannot be listed to the failures, and note what is left alone."""
    for name in inputs:
        if name == STREAM:
            assert standard_input is not None
            yield standard_input
            continue
        for found in place_of(name).sources(name, output):
            if isinstance(found, Unreadable):
                failures.append((found.shown, found.why))
            elif isinstance(found, LeftAlone):
                left_alone.append(found)
            else:
                yield found


def _target(source: Source, output: str | Target | None, format: Format, *, into_folder: bool, label: str) -> Target:
    """Return where the result of a source goes."""
    if isinstance(output, Target):
        return output
    if output is not None and not into_folder:
        return place_of(output).target(output)
    # If the source's extension does not match its content, use the real format's extension.
    extension = source.name.suffix if format_of(source.name) == format else format.extensions[0]
    if output is None:
        return source.default_target(label, extension)
    place = source.place or source.name
    return place_of(output).target(output, place.with_name(stem_of(place) + extension).parts)


def _refuse_conflicts(jobs: list[Job]) -> None:
    """Raise `UsageError` if a target is also a source, by name or link, or several sources have one target."""
    read: dict[Hashable, str] = {}
    for job in jobs:
        for source in (job.source, *job.work.reads):
            if (identity := source.identity()) is not None:
                read[identity] = source.shown
    writers: dict[Hashable, list[tuple[Job, Target]]] = defaultdict(list)
    for job in jobs:
        for target in job.work.targets(job.target) if job.target.portable else ():
            identity = target.identity()
            if identity is not None and identity in read:
                raise UsageError(
                    f"{target.shown} is both an input ({read[identity]}) and an output; use another --output."
                )
            writers[target.key()].append((job, target))
    conflicts = [alike for alike in writers.values() if len(alike) > 1]
    if conflicts:
        listed = "; ".join(
            f"{', '.join(job.source.shown for job, _ in alike)} → {alike[0][1].name}"
            for alike in conflicts[:MAX_CONFLICTS]
        )
        raise UsageError(
            f"Several inputs would be written to the same file: {listed}. Rename them or use separate output folders."
        )

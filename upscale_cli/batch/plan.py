"""The plan: every source with its target, every conflict and every impossible request, before any work."""

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from math import prod
from pathlib import PurePath
from typing import NamedTuple, Protocol, Self

from upscale_cli.batch.conflicts import refuse_conflicts
from upscale_cli.batch.names import filled, is_result, is_template, named_format
from upscale_cli.codecs.finding import extension_of, format_of, stem_of
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Header, Picture, Reading, open_picture
from upscale_cli.errors import NeedlessError, UpscaleError, UsageError, as_upscale_error
from upscale_cli.methods.strips import Workers
from upscale_cli.places import place_of
from upscale_cli.places.place import LeftAlone, Source, Target, Unreadable
from upscale_cli.places.streams import STREAM
from upscale_cli.work.result import Result

AHEAD = 2
"""How many times as many sources as are looked at at once are begun."""


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

    def fields(self, expected: Result) -> dict[str, object]:
        """Return what templates of names can say about a result."""

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
    skips : bool
        Nothing is to be done if its target exists.
    """

    source: Source
    target: Target
    work: Work
    expected: Result
    skips: bool = False

    @property
    def pixels(self) -> int:
        """The pixels of the result, all its frames together."""
        return prod(self.expected.after) * self.expected.frames


class Skipped(NamedTuple):
    """An image that needs no work, by its name in messages; why, as the end of a sentence; and what stays."""

    shown: str
    why: str
    target: Target | None = None


@dataclass
class Plan:
    """What is to be done.

    Attributes
    ----------
    jobs : list of Job
    failures : list of (str, UpscaleError)
        Images that cannot be done, by their names in messages.
    skipped : list of Skipped
        Images that need no work.
    results : list of str
        Those of them that are results of earlier runs, by their names in messages.
    left_alone : list of LeftAlone
        What folders hold besides images.
    """

    jobs: list[Job] = field(default_factory=list)
    failures: list[tuple[str, UpscaleError]] = field(default_factory=list)
    skipped: list["Skipped"] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    left_alone: list[LeftAlone] = field(default_factory=list)


def make_plan(
    inputs: Iterable[str],
    output: str | Target | None,
    work: Work,
    *,
    standard_input: Source | None = None,
    skip_existing: bool = False,
    wanted: Callable[[Source], bool] = lambda source: True,
    progress: Callable[[int], None] = lambda images: None,
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
    wanted : callable
        Asked for each source before anything of it is read: whether it belongs to this run.
    progress : callable
        Called with the number of images that were looked at since the last call.

    Raises
    ------
    UsageError
        If two sources have one target, a target is a source, or the output does not fit the inputs.
    """
    inputs = list(dict.fromkeys(inputs))
    folders = [name for name in inputs if name != STREAM and place_of(name).is_folder(name)]
    several = len(inputs) > 1 or not all(place_of(name).is_one(name) for name in folders)
    template = isinstance(output, str) and is_template(output)
    into_folder = isinstance(output, str) and not template and (place_of(output).is_folder(output) or several)
    if isinstance(output, Target) and several:
        raise UsageError(f"{output.shown} can take only one image; use a folder as --output for several.")
    if isinstance(output, str):
        is_folder = place_of(output).is_folder(output)
        if into_folder and not is_folder and place_of(output).exists(output):
            raise UsageError(f'"{output}" is a file, but several images need a folder; use another --output.')
        if into_folder and not is_folder and format_of(PurePath(output)) is not None:
            meant = output.removesuffix(extension_of(PurePath(output)))
            raise UsageError(f'"{output}" is the name of one file, but there are several; did you mean -o {meant}/?')
        if not into_folder and (named := named_format(output, work.format)) is not None:
            work = work.with_format(named)

    plan, opened, found, works = Plan(), dict[Source, tuple[int, ...]](), list[Source](), [work]
    checked = dict[Header, Result]()

    def look(source: Source) -> Job:
        """Return what is to be done with a source, as its header says."""
        with open_picture(source.header(), work.reading) as picture:
            opened[source] = picture.sides[::-1]
            expected, format = _expected(work, picture, source, checked), work.format_for(picture)
        if template:
            name = filled(str(output), source, _extension(source, format), work.fields(expected))
            target: Target = place_of(name).target(name)
        else:
            label = "" if output is not None else work.label(expected, several=source.place is not None)
            target = _target(source, output, format, into_folder=into_folder, label=label)
        return Job(source, target, _of_format(works, format), expected, skips=skip_existing)

    left_out = output if into_folder and isinstance(output, str) else None
    sources = find_sources(inputs, left_out, plan.failures, plan.left_alone, standard_input=standard_input)
    for source, looked_at in _each(look, filter(wanted, sources)):
        progress(1)
        found.append(source)
        try:
            plan.jobs.append(looked_at())
        except UsageError:
            raise
        except NeedlessError as error:
            plan.skipped.append(Skipped(source.shown, str(error)))
        except Exception as error:
            place = output.shown if isinstance(output, Target) else f'"{output or source.shown}"'
            plan.failures.append((source.shown, as_upscale_error(error, place)))
    plan.left_alone = [each for each in plan.left_alone if not each.name.endswith(work.reads_beside)]
    # A template may name another original; what stands beside it with a label is none.
    labelled = plan.jobs if output is None else [job for job in plan.jobs if template and _is_labelled(job)]
    opened = {source: opened[source] for source in found if source in opened}  # threads end in any order
    _leave_results(plan, opened, {job.target.identity(): job for job in labelled})
    refuse_conflicts(plan.jobs)
    _settle(plan, skip_existing)
    return plan


def _expected(work: Work, picture: Picture, source: Source, checked: dict[Header, Result]) -> Result:
    """Return what a header tells about a result. To check one takes as long as to open it, and many are alike."""
    if picture.volume is not None or work.reads_beside:
        return work.check(picture, source)
    header = picture.header  # before the check, which may leave out a frame
    if (found := checked.get(header)) is None:
        found = work.check(picture, source)
        if len(checked) < 1000:  # keys take memory, too
            checked[header] = found
    return found


def _of_format(works: list[Work], format: Format) -> Work:
    """Return the one of some works, which are alike, with a format; make it if there is none.

    So many images have one work, and not each its own, of which 100,000 take 25 MB.
    """
    if (found := next((work for work in works if work.format == format), None)) is None:
        works.append(found := works[0].with_format(format))
    return found


def _each(look: Callable[[Source], Job], sources: Iterable[Source]) -> Iterator[tuple[Source, Callable[[], Job]]]:
    """Yield each source, and what returns how it was looked at: several at once where their places are far away."""
    threads: Executor | None = None
    begun: deque[tuple[Source, Callable[[], Job]]] = deque()
    try:
        for source in sources:
            if source.at_once > 1:
                threads = threads or ThreadPoolExecutor(source.at_once)
                begun.append((source, threads.submit(look, source).result))
            else:
                begun.append((source, partial(look, source)))
            if len(begun) >= AHEAD * source.at_once:
                yield begun.popleft()
        while begun:
            yield begun.popleft()
    finally:
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)


def _leave_results(plan: Plan, opened: Mapping[Source, tuple[int, ...]], targets: Mapping[Hashable, Job]) -> None:
    """Take the results of earlier runs out of a plan: by name and size, or because they are `targets` of this run."""
    stems = {source: stem_of(source.name) for source in opened}
    by_stem: dict[str, list[Source]] = defaultdict(list)
    for source, stem in stems.items():
        by_stem[stem].append(source)
    results: dict[str, str] = {}
    for source, size in opened.items():
        job = targets.get(source.identity()) if targets else None
        if job is not None and job.source is not source and job.expected.after == size:
            results[source.shown] = job.source.shown
        for other in by_stem.get(stems[source].rpartition("_")[0], ()):
            if is_result(source, other, (size, opened[other])):
                results[source.shown] = other.shown
    plan.jobs = [job for job in plan.jobs if job.source.shown not in results]
    plan.failures = [failure for failure in plan.failures if failure[0] not in results]
    plan.skipped = [skipped for skipped in plan.skipped if skipped.shown not in results]
    plan.skipped += [Skipped(shown, f"is a result of {origin}.") for shown, origin in results.items()]
    plan.results = list(results)


def _settle(plan: Plan, skip_existing: bool) -> None:
    """Take the jobs whose targets exist out of a plan: they stay as they are, or are failures."""
    jobs, plan.jobs = plan.jobs, []
    wanted = [job.work.targets(job.target) if job.target.portable and not job.work.overwrite else () for job in jobs]
    by_kind: dict[type[Target], list[Target]] = defaultdict(list)
    for target in chain.from_iterable(wanted):
        by_kind[type(target)].append(target)
    there = {target for kind, targets in by_kind.items() for target in kind.existing(targets)}
    for job, targets in zip(jobs, wanted, strict=True):
        existing = [target for target in targets if target in there]
        if not existing or (skip_existing and len(existing) < len(targets)):
            plan.jobs.append(job)
        elif skip_existing:
            plan.skipped.append(Skipped(job.source.shown, f"{job.target.shown} exists already.", job.target))
        else:
            refused = UpscaleError(f"{existing[-1].shown} exists already; use --overwrite or --skip-existing.")
            plan.failures.append((job.source.shown, refused))


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
    extension = _extension(source, format)
    if output is None:
        return source.default_target(label, extension)
    return place_of(output).target(output, (*source.parts[:-1], stem_of(source.name) + extension))


def _is_labelled(job: Job) -> bool:
    """Return whether the name of a file says more than that of its source."""
    return stem_of(PurePath(job.target.name)) != stem_of(job.source.name)


def _extension(source: Source, format: Format) -> str:
    """Return the extension of a result: the source's, unless that does not match the format."""
    return extension_of(source.name) if format_of(source.name) == format else format.extensions[0]

"""The plan: every source and its target, every clash and every impossible request, before any work."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, Self

from upscale_cli.errors import Failure, UpscaleError, UsageError, explain
from upscale_cli.images.enlarge import Result
from upscale_cli.images.files import Picture
from upscale_cli.images.formats import Format, format_of
from upscale_cli.images.targets import PREFIX

STREAM = "-"
"""Standard input, or standard output."""


class Work(Protocol):
    """What is to be done to each image: `Request` enlarges, `Pooling` pools. It can be sent to another process."""

    @property
    def format(self) -> Format | None:
        """The format that was named."""

    @property
    def channels_first(self) -> bool:
        """Arrays are (C, H, W)."""

    @property
    def overwrite(self) -> bool:
        """Targets that exist are replaced."""

    @property
    def reads(self) -> tuple[Path, ...]:
        """Files that it reads for every source."""

    def with_format(self, format: Format) -> Self:
        """The same, with another format named."""

    def files(self, target: Path) -> tuple[Path, ...]:
        """All that is written for a target, which is the last of them."""

    def format_for(self, picture: Picture) -> Format:
        """The format to write for a source."""

    def label(self, expected: Result) -> str:
        """What a result's name says about it."""

    def check(self, picture: Picture, source: Path | bytes) -> Result:
        """What the header tells about the result; raises `UpscaleError` when there can be none."""

    def carry_out(
        self,
        source: Path | bytes,
        target: Path | BinaryIO,
        executor: Executor | None,
        progress: Callable[[int], None],
    ) -> Result:
        """Make one target of one source."""


class Job(NamedTuple):
    """One source and its target. It can be sent to another process, unless it writes to standard output.

    Attributes
    ----------
    shown : str
        The source as the user typed it.
    source : Path or bytes
        A file, or the content of standard input.
    target : Path or None
        None for standard output.
    work : Work
    expected : Result
        Sizes and notes as far as the header tells.
    """

    shown: str
    source: Path | bytes
    target: Path | None
    work: Work
    expected: Result

    @property
    def pixels(self) -> int:
        """Of the result, all its frames together."""
        return self.expected.after[0] * self.expected.after[1] * self.expected.frames

    @property
    def memory(self) -> int:
        """Bytes that it needs at once, about."""
        return self.expected.memory

    @property
    def place(self) -> str:
        """Where its result goes, in words."""
        return f'"{self.target}"' if self.target is not None else "standard output"


@dataclass
class Plan:
    """What is to be done.

    Attributes
    ----------
    jobs : list of Job
    failures : list of (shown, Failure)
        Images that cannot be done.
    settled : list of Path
        Targets that are there already, and stay.
    """

    jobs: list[Job] = field(default_factory=list)
    failures: list[tuple[str, Failure]] = field(default_factory=list)
    settled: list[Path] = field(default_factory=list)


def make_plan(
    inputs: Iterable[str], output: str | None, work: Work, standard_input: bytes = b"", skip_existing: bool = False
) -> Plan:
    """Find all sources, name their targets, and check everything that can be checked without decoding.

    Parameters
    ----------
    inputs : iterable of str
        Files, folders, or `-`.
    output : str or None
        A file, a folder, `-`, or nothing: then targets lie beside their sources.
    work : Work
    standard_input : bytes
        What `-` stands for.
    skip_existing : bool
        Leave out sources whose targets are there.

    Raises
    ------
    UsageError
        When two sources have one target, a target is a source, or the output does not fit the inputs.
    """
    inputs = list(dict.fromkeys(inputs))
    folders = [name for name in inputs if name != STREAM and os.path.isdir(name)]
    into_folder = _is_folder(output) or (output not in (None, STREAM) and (len(inputs) > 1 or bool(folders)))
    if into_folder and output is not None and os.path.exists(output) and not os.path.isdir(output):
        raise UsageError(f'"{output}" is a file, and several images need a folder; give another --output.')
    if output == STREAM and (len(inputs) > 1 or folders):
        raise UsageError("standard output holds one image; give a folder as --output for several.")
    if not into_folder and work.format is None and output not in (None, STREAM):
        named = _named_format(str(output))
        work = work.with_format(named) if named is not None else work

    plan = Plan()
    for shown, source, relative in find_sources(inputs, output if into_folder else None, plan):
        content = standard_input if source is None else source
        try:
            with Picture(content, work.channels_first) as picture:
                expected = work.check(picture, content)
                format = work.format_for(picture)
            target = _target(source, relative, output, into_folder, work, format, expected)
        except UsageError:
            raise
        except Exception as error:
            plan.failures.append((shown, explain(error, f'"{output or shown}"')))
            continue
        plan.jobs.append(Job(shown, content, target, work.with_format(format), expected))
    _refuse_clashes(plan.jobs)
    jobs, plan.jobs = plan.jobs, []
    for job in jobs:
        files = job.work.files(job.target) if job.target is not None and not work.overwrite else ()
        there = [file for file in files if os.path.isfile(file)]
        if not there or (skip_existing and len(there) < len(files)):
            plan.jobs.append(job)
        elif skip_existing:
            plan.settled += there
        else:
            refused = UpscaleError(f'"{there[-1]}" exists already; use --overwrite or --skip-existing.')
            plan.failures.append((job.shown, explain(refused, job.place)))
    return plan


def _is_folder(output: str | None) -> bool:
    return output is not None and (os.path.isdir(output) or output.endswith(("/", os.sep)))


def _named_format(output: str) -> Format | None:
    path = Path(output)
    named = format_of(path)
    if named is None and path.suffix and not os.path.exists(output):
        raise UsageError(f'"{output}": no format is called "{path.suffix}"; name one with --format.')
    return named


def find_sources(inputs: list[str], output: str | None, plan: Plan) -> Iterator[tuple[str, Path | None, Path | None]]:
    """Every source: as it is shown, its path (None for standard input), and its place below an input folder.

    A folder's images are what has the extension of a known format. Links to folders are not followed, and the output
    folder is not walked. Folders that cannot be listed, and links that lead nowhere, are failures of the plan.
    """
    taken = os.path.realpath(output) if output is not None else None

    def failed(error: OSError) -> None:
        unread = UpscaleError(f"cannot be read: {error.strerror}.")
        plan.failures.append((str(error.filename), explain(unread, "")))

    for name in inputs:
        if name == STREAM:
            yield name, None, None
        elif not os.path.isdir(name):
            yield name, Path(name), None
        else:
            root = Path(name)
            for folder, below, files in os.walk(root, onerror=failed):
                below[:] = sorted(d for d in below if os.path.realpath(os.path.join(folder, d)) != taken)
                for file in sorted(files):
                    path = Path(folder) / file
                    if format_of(path) is not None and not file.startswith(PREFIX):
                        place = Path(root.resolve().name) if output is None else Path()
                        yield str(path), path, place / path.relative_to(root)


def _target(
    source: Path | None,
    relative: Path | None,
    output: str | None,
    into_folder: bool,
    work: Work,
    format: Format,
    expected: Result,
) -> Path | None:
    """Where the result goes; None for standard output."""
    if (source is None and output is None) or output == STREAM:
        return None
    if output is not None and not into_folder:
        return Path(output)
    name = Path("stdin") if source is None else source
    # A name that lies about its content would lie about ours.
    extension = name.suffix if format_of(name) == format else format.extensions[0]
    if output is not None:
        place = relative or Path(name.name)
        return Path(output) / place.with_name(place.stem + extension)
    assert source is not None
    label = work.label(expected)
    if relative is None:
        return source.with_name(f"{source.stem}_{label}{extension}")
    # A folder's images go into a folder beside it.
    root = source.resolve().parents[len(relative.parts) - 2]
    mirrored = root.with_name(f"{root.name}_{label}") / Path(*relative.parts[1:])
    return mirrored.with_name(mirrored.stem + extension)


def _refuse_clashes(jobs: list[Job]) -> None:
    """Raise `UsageError` when a file to write is a source, by path or link, or two sources have one file to write."""
    sources = {}
    for job in jobs:
        for read in (job.source, *job.work.reads):
            if isinstance(read, Path) and read.exists():
                status = os.stat(read)
                sources[status.st_dev, status.st_ino] = job.shown if read is job.source else str(read)
    writers: dict[str, list[tuple[Job, Path]]] = defaultdict(list)
    for job in jobs:
        for file in job.work.files(job.target) if job.target is not None else ():
            if os.path.isfile(file):
                status = os.stat(file)
                source = sources.get((status.st_dev, status.st_ino))
                if source is not None:
                    raise UsageError(f'"{file}" is both an input ({source}) and an output; give another --output.')
            # Some file systems hold names alike that differ in case or in how accents are composed.
            name = unicodedata.normalize("NFC", os.path.realpath(file)).casefold()
            writers[name].append((job, file))
    clashes = [alike for alike in writers.values() if len(alike) > 1]
    if clashes:
        pairs = "; ".join(f"{', '.join(job.shown for job, _ in alike)} → {alike[0][1]}" for alike in clashes[:10])
        raise UsageError(f"{len(clashes)} targets have several sources: {pairs}. Give them different names.")

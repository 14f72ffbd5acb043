"""Streams of frames: what is one, where its frames go, and what is said about them."""

import time
from collections.abc import Collection, Hashable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, NamedTuple, cast

from upscale_cli.batch.frames import Frame, by_number, film_frames, first_image, frame_of, image_frames
from upscale_cli.batch.in_turn import AHEAD, InTurn
from upscale_cli.batch.names import named_format
from upscale_cli.batch.plan import Job, Work, find_sources
from upscale_cli.batch.report import Report
from upscale_cli.batch.run import Outcome, Stopped, run_job
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import open_picture
from upscale_cli.codecs.splitting import ENDS, FILM, MANY, Y4M, Incoming
from upscale_cli.commands.lines import explained, outcome_values, show
from upscale_cli.commands.session import Session, in_sentence
from upscale_cli.commands.terminal import (
    Bar,
    Interrupted,
    hint,
    open_standard_input,
    print_json,
    say,
    show_cause,
    stopping,
)
from upscale_cli.errors import NeedlessError, UpscaleError, UsageError, as_upscale_error
from upscale_cli.machine.memory import available_memory
from upscale_cli.machine.processors import processors, usable_threads
from upscale_cli.places import place_of
from upscale_cli.places.place import LeftAlone, Target, counted
from upscale_cli.places.streams import NUMBER, STREAM, ContentSource, Kept, StreamTarget, is_numbered
from upscale_cli.places.urls import scheme_of
from upscale_cli.work.planes import RGB, Planes
from upscale_cli.work.request import Request


class Frames(NamedTuple):
    """Frames that are made one after the other.

    Attributes
    ----------
    shown : str
        The name of their stream in messages; empty for files.
    each : iterator of Frame
    read : collection
        The identities of their files.
    left_alone : str
        What folders hold besides images.
    """

    shown: str
    each: Iterator[Frame]
    read: Collection[Hashable] = ()
    left_alone: str = ""


def find_frames(
    session: Session, inputs: list[str], work: Work, *, stream: StreamTarget | None, piped: bool
) -> Frames | ContentSource | None:
    """Return the frames of a stream or of numbered files, or the single image that was read; None for other files.

    Parameters
    ----------
    stream : StreamTarget or None
        Standard output, if results go there.
    piped : bool
        One of the inputs is a pipe, or a file that holds several images.
    """
    name, alone = STREAM if STREAM in inputs else inputs[0], len(inputs) == 1
    if piped:
        # A source refuses pipes, which have a name, too.
        opened = place_of(name).source(name).open() if scheme_of(name) else None
        data = Incoming(open_standard_input() if name == STREAM else opened or Path(name).open("rb"))  # noqa: SIM115
        try:
            return _of_stream(data, name, session, work, alone=alone, stream=stream)
        except UpscaleError as error:
            raise type(error)(f"{in_sentence(name)} {error}") from None
    several = not alone or place_of(name).is_folder(name)
    if not is_numbered(session.output) and not (session.output == STREAM and several):
        return None
    failures: list[tuple[str, UpscaleError]] = []
    left_alone: list[LeftAlone] = []
    sources = [
        source
        for each in inputs
        for source in sorted(find_sources([each], None, failures, left_alone), key=by_number)
    ]
    if failures:
        raise UsageError(f"{failures[0][0]}: {failures[0][1]}")
    frames = (frame_of(number, f"{source.shown}: ", source, work) for number, source in enumerate(sources, 1))
    return Frames("", frames, {source.identity() for source in sources} - {None}, counted(left_alone))


def _of_stream(
    data: Incoming, name: str, session: Session, work: Work, *, alone: bool, stream: StreamTarget | None
) -> Frames | ContentSource:
    """Return the frames of a stream, or its only image."""
    if data.starts(len(Y4M)) == Y4M:
        if is_numbered(session.output) or not isinstance(work, Request):
            raise UsageError(f"is a Y4M stream, whose frames are no images; {RGB}.")
        several, frames = True, film_frames(data, name, work)
    else:
        image, behind, several = first_image(data)
        source = ContentSource(image + behind, stream, name)
        if behind and not image.startswith(b"\xff\xd8"):  # JPEG's codec says it itself
            source.notes = (f"{len(behind):,} bytes behind its picture are left out",)
        if not several and not is_numbered(session.output):
            return source
        frames = image_frames(data, source, work)
    if several and not alone:
        raise UsageError("holds several images; enlarge it alone.")
    return Frames(name, frames)


class FrameRun:
    """Frames that are made, written and reported; see `run`.

    Parameters
    ----------
    session : Session
    frames : Frames
    work : Work
    stream : StreamTarget or None
        Standard output, if frames are written to it.
    """

    _turn: InTurn[Frame, tuple[Frame, Outcome]]

    def __init__(self, session: Session, frames: Frames, work: Work, stream: StreamTarget | None) -> None:
        self._session, self._frames, self._stream = session, frames, stream
        if session.executor != "threads":
            raise UsageError(f"--executor {session.executor} needs single images; omit it for frames.")
        output = session.output or ""
        if output not in ("", STREAM) and not output.endswith(FILM):
            named = named_format(output, work.format)
            work = work if named is None else work.with_format(named)
        self._work, self._title = work, ""
        self._prefix = f"{in_sentence(frames.shown)}: " if frames.shown else ""
        self._report = Report(session.done, unit="frame", left_alone=frames.left_alone)
        self._said = set[str]()
        self._apart = is_numbered(session.output)

    def run(self) -> int:
        """Make all frames; return the exit status."""
        session, report, start = self._session, self._report, time.perf_counter()
        try:
            first = self._next()
            if first is None and not report.failed:
                raise UpscaleError("has no frames.")
            target = None if first is None or self._apart else self._target(first)
            while session.dry_run and first is not None:
                show([first.job if target is None else first.job._replace(target=target)], session.as_json)
                first = self._next() if self._apart else None
        except UsageError:
            raise
        except Exception as error:
            self._fail(as_upscale_error(error, "its result"))
            return report.exit_status
        if first is None:
            return report.exit_status
        threads = usable_threads(session.jobs or processors())
        threads = max(1, min(threads, available_memory() // max(1, first.job.expected.memory) - AHEAD))
        self._turn = made = InTurn(chain((first,), self._frames.each), self._made, threads)
        bar = Bar(len(self._frames.read) or None, 1, not session.quiet, unit="frame")
        # What is in the middle of a file is cleared away; what waits for the reader of a pipe ends at once.
        gentle = stopping(made.stop) if target is None or target.portable else nullcontext()
        try:
            with gentle, suppress(Stopped), closing(iter(made)) as outcomes:
                self._write(outcomes, target, bar)
        except Interrupted as interrupted:
            bar.close()
            say(f"{session.name}: stopped after {report.done:,} frame{'s' * (report.done != 1)}.")
            interrupted.said = True
            raise
        except (OSError, NeedlessError) as error:
            if target is None or not target.portable:
                raise
            self._fail(as_upscale_error(error, target.shown))
        finally:
            bar.close()
        if not session.quiet and report.done + report.skipped:
            say(report.sentence(time.perf_counter() - start, 0))
        return report.exit_status

    def _next(self) -> Frame | None:
        """Return the next frame that can be made, with what `_checked` adds, and report those before it."""
        for frame in self._frames.each:
            try:
                return self._checked(frame)
            except Exception as error:
                if isinstance(error, UsageError) and frame.number == 1:
                    raise
                self._fail(as_upscale_error(error, "its result"), frame)
            if not self._apart:
                break
        return None

    def _target(self, first: Frame) -> Target:
        """Return where all frames go, which is one target."""
        session, job, name = self._session, first.job, self._frames.shown
        if self._stream is not None:
            self._stream.at_once = True
            return self._stream
        film = isinstance(job.work, Planes)
        format = FORMATS["ppm"] if film else job.work.format
        assert format is not None
        label = self._work.label(job.expected, several=False)
        output = session.output or place_of(name).source(name).default_target(label, PurePath(name).suffix).name
        if place_of(output).is_folder(output) or format.name not in MANY or film != output.endswith(FILM):
            way = f"FILE{FILM}" if film else f"'frames/%06d{format.extensions[0]}'"
            raise UsageError(
                f"{in_sentence(name)} holds several frames; use --output {way}, or --output - for a pipe."
            )
        target = place_of(output).target(output)
        if target.identity() is not None and target.identity() == place_of(name).source(name).identity():
            raise UsageError(f"{target.shown} is both an input and an output; use another --output.")
        if target.exists() and not self._work.overwrite:
            target.clean()
            raise NeedlessError(f"{target.shown} exists already; use --overwrite or another --output.")
        return target

    def _checked(self, frame: Frame) -> Frame:
        """Return a frame with its format, its target and what is expected of it, if the limits allow it."""
        job, output = frame.job, self._session.output
        if isinstance(job.work, Planes):
            return frame._replace(job=job._replace(expected=job.work.expected))
        with open_picture(job.source.open(), self._work.reading) as picture:
            expected, format = self._work.check(picture, job.source), self._work.format_for(picture)
        target = job.target
        if output is not None and self._apart:
            target = place_of(output).target(NUMBER.sub(lambda n: f"{frame.number:{n[1]}d}", output))
        elif format.name not in ENDS:
            way = f"use --format png, or numbered files: --output 'frames/%06d{format.extensions[0]}'"
            raise UsageError(f"{format.title} images cannot follow each other in a stream; {way}.")
        elif format.title != (self._title or format.title):
            raise UpscaleError(f"would be {format.title}, but the frames before it are {self._title}; use --format.")
        self._title = format.title
        skips, work = self._session.skip_existing, self._work.with_format(format)
        return frame._replace(job=Job(job.source, target, work, expected, skips=skips))

    def _made(self, frame: Frame) -> tuple[Frame, Outcome]:
        """Make a frame; whatever goes wrong with it is its outcome, and nothing is one that exists already."""
        try:
            frame = self._checked(frame)
            job = frame.job
            if job.target.portable and job.target.identity() in self._frames.read:
                raise UsageError(f"{job.target.shown} is both an input and an output; use another --output.")
            if job.target.portable and not self._work.overwrite:
                targets = job.work.targets(job.target)
                existing = [target for target in targets if target.exists()]
                if len(existing) == len(targets) and self._session.skip_existing:
                    job.target.clean()
                    return frame, Outcome(job, 0)
                if existing and not self._session.skip_existing:
                    raise UpscaleError(f"{existing[-1].shown} exists already; use --overwrite or --skip-existing.")
        except Exception as error:
            return frame, Outcome(frame.job, 0, failure=as_upscale_error(error, "its result"))
        outcome = run_job(job, progress=self._progress)
        if self._session.skip_existing and isinstance(outcome.failure, NeedlessError):  # another run was faster
            outcome.failure = None
        return frame, outcome

    def _progress(self, pixels: int) -> None:
        if self._turn.over:
            raise Stopped

    def _write(self, outcomes: Iterator[tuple[Frame, Outcome]], target: Target | None, bar: Bar) -> None:
        """Write frames in order; into one target, up to the first that cannot be made."""
        report = self._report
        nowhere: AbstractContextManager[list[Any]] = nullcontext([None])
        with nowhere if target is None else target.commit(self._work.overwrite) as (stream,):
            try:
                for frame, outcome in outcomes:
                    bar.advance(1)
                    if outcome.failure is not None:
                        self._fail(outcome.failure, frame)
                        if not self._apart or outcome.failure.disk_full:
                            break
                        continue
                    if stream is not None:
                        if frame.number == 1 and isinstance(frame.job.work, Planes):
                            stream.write(frame.job.work.after.head())
                        for piece in cast(Kept, frame.job.target).pieces:
                            stream.write(piece)
                    report.done += outcome.result is not None
                    report.skipped += outcome.result is None
                    outcome.job = frame.job._replace(work=self._work, target=target or frame.job.target)
                    self._tell(frame, outcome, bar)
            except UpscaleError as error:  # the stream is cut, or cannot be read
                self._fail(error)
            if not report.done:
                raise Stopped  # a file would be empty

    def _tell(self, frame: Frame, outcome: Outcome, bar: Bar) -> None:
        """Print what is to be said about a frame, each note once."""
        session, result = self._session, outcome.result
        if result is not None:
            where = "" if frame.number == 1 and self._prefix else frame.where
            notes = [n for n in (*frame.job.source.notes, *result.notes) if n not in self._said]
            if notes and not session.quiet:
                bar.say(f"{self._prefix}{where}{'; '.join(notes)}.")
            self._said.update(notes)
            if session.verbose and frame.number == 1:
                for line in explained(outcome):
                    bar.say(line)
        if session.as_json and result is None:
            print_json({"frame": frame.number, "source": frame.job.source.shown, "skipped": outcome.job.target.name})
        elif session.as_json:
            print_json({"frame": frame.number, **outcome_values(outcome)})

    def _fail(self, failure: UpscaleError, frame: Frame | None = None) -> None:
        """Print why a frame was not made, or why there are no more frames."""
        report, session = self._report, self._session
        where = "" if frame is None or (frame.number == 1 and self._prefix) else frame.where
        source = self._frames.shown or (frame.job.source.shown if frame is not None else "")
        if session.skip_existing and isinstance(failure, NeedlessError):
            report.skipped += 1
            if session.as_json:
                print_json({"source": source, "skipped": str(failure)})
            return
        report.failed += 1
        ended = frame is None or not self._apart or failure.disk_full
        written = f"{report.done:,} frames before it are" if report.done > 1 else "frame before it is"
        before = f" The {written} written." if report.done and ended else ""
        say(f"{self._prefix}{where}{failure}{hint(failure, session.verbose)}{before}")
        show_cause(failure, session.verbose)
        if session.as_json:
            number = report.done + report.skipped + report.failed if frame is None else frame.number
            print_json({"source": source, "frame": number, "error": str(failure)})

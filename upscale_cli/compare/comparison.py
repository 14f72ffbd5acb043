"""What several methods make of one image, how long each takes, and how close each comes to a reference image.

Each result is the file that `upscale --strip --format png` writes, because the same code makes it.
"""

import io
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.codecs.picture import open_picture
from upscale_cli.compare.contenders import Contender
from upscale_cli.compare.subject import PNG, Subject, as_png
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, expand_palette, to_mode, widen
from upscale_cli.learning.evaluate import WINDOW
from upscale_cli.learning.measure import luma_8bit, psnr, ssim
from upscale_cli.methods import Scale, Size
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.strips import Workers
from upscale_cli.places.place import Source
from upscale_cli.places.streams import ContentSource, StreamTarget
from upscale_cli.work.request import Request

MAX_PIXELS = 50_000_000
"""Largest result, in pixels, that browsers still open and draw without delay."""
SAMPLE = 64
"""Side of the image that each method is timed with, in pixels: smaller ones mostly measure the borders."""


@dataclass(frozen=True)
class Entry:
    """One picture of a comparison: the result of a contender, or the reference.

    Attributes
    ----------
    name : str
        Name of the contender, or "reference".
    when : str
        When to choose the method; for the reference, what it is.
    png : bytes
        The picture, a PNG file.
    seconds : float or None
        Time from reading the source to the finished PNG. None for the reference.
    notes : tuple of str
        What the user should know about the result.
    psnr, ssim : float or None
        Of the luma of the result, given a reference: decibels (infinite for equal images), and at most 1.
    has_holes : bool
        True if the method leaves most pixels empty, so that the result differs from every other one.
    """

    name: str
    when: str
    png: bytes
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    psnr: float | None = None
    ssim: float | None = None
    has_holes: bool = False


@dataclass(frozen=True)
class Comparison:
    """One image enlarged by several methods.

    Attributes
    ----------
    before, after : (int, int)
        Width and height of the source and of the results, in pixels.
    results : tuple of Entry
        One for each contender, at least one.
    reference : Entry or None
        What the results should look like, if that is known.
    notes : tuple of str
        What the user should know about the image.
    """

    before: Size
    after: Size
    results: tuple[Entry, ...]
    reference: Entry | None
    notes: tuple[str, ...]

    @property
    def pictures(self) -> tuple[Entry, ...]:
        """The reference, if there is one, and the results."""
        return (*((self.reference,) if self.reference else ()), *self.results)


def compare(
    subject: Subject,
    contenders: Sequence[Contender],
    scale: Scale,
    *,
    chosen: bool,
    workers: Workers,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Enlarge an image with each contender, and measure the results.

    Parameters
    ----------
    chosen : bool
        True if the user named the contenders: each must apply to the image. Otherwise those that do not apply are
        left out.
    workers : Workers
        Runs the work on its threads.
    progress : callable
        Called with the number of output pixels that were just finished, and the total. Pixels of slow methods count
        more.

    Raises
    ------
    UpscaleError
        If a chosen contender does not apply, or none does; if sizes differ.
    """
    before, after, runs = _applicable(subject, contenders, scale, chosen)
    border = ceil(max(scale))
    if subject.reference is not None:
        _check_reference(subject.reference, after, border)
    total = after[0] * after[1] * len(runs)
    seconds = [run.time_sample(workers) for run in runs]

    def carry_out(run: _Run, own: float) -> Entry:
        # A network takes as long as many filters. Pixels that count by their time say how long the rest will take.
        share = own / sum(seconds) * len(runs)
        return run.carry_out(subject.source, workers, lambda done: progress(round(done * share), total))

    results = list(map(carry_out, runs, seconds))
    reference = None
    if subject.reference is not None:
        reference = Entry("reference", subject.description, subject.reference)
        luma = luma_8bit(seen_in(subject.reference))
        results = list(workers.map(lambda each: _measured(each, luma, border), results))
    # A note that every result has is about the image: show it once.
    shared = tuple(note for note in results[0].notes if all(note in each.notes for each in results))
    results = [replace(each, notes=tuple(note for note in each.notes if note not in shared)) for each in results]
    return Comparison(
        before=before, after=after, results=tuple(results), reference=reference, notes=subject.notes + shared
    )


def _check_reference(reference: bytes, after: Size, border: int) -> None:
    """Raise `UpscaleError` if a reference cannot be compared with results of a size."""
    with open_picture(io.BytesIO(reference)) as picture:
        size = picture.width, picture.height
    if size != after:
        raise UpscaleError(
            f"becomes {after[0]}x{after[1]}, but the reference is {size[0]}x{size[1]}; "
            "give a reference of the size of the result."
        )
    if min(after) < (least := WINDOW + 2 * border):
        raise UpscaleError(
            f"becomes {after[0]}x{after[1]}, but a comparison with a reference needs {least} pixels on each side."
        )


class _Run(NamedTuple):
    """A contender, and the request that enlarges an image with it."""

    contender: Contender
    request: Request

    def time_sample(self, workers: Workers) -> float:
        """Return the seconds that a small image takes, once imports are made, files read and threads started."""
        sample = ContentSource(as_png(Frame(np.zeros((SAMPLE, SAMPLE, 3), np.uint8), "RGB"), Metadata()))
        began = 0.0
        for _ in range(2):
            began = time.perf_counter()
            with suppress(UpscaleError):
                self.request.carry_out(sample, StreamTarget(io.BytesIO()), workers)
        return time.perf_counter() - began

    def carry_out(self, source: Source, workers: Workers, progress: Callable[[int], None]) -> Entry:
        """Enlarge a source, and time it."""
        stream, began = io.BytesIO(), time.perf_counter()
        result = self.request.carry_out(source, StreamTarget(stream), workers, progress)
        seconds = time.perf_counter() - began
        return Entry(
            name=self.contender.name,
            when=self.contender.method.when,
            png=stream.getvalue(),
            seconds=seconds,
            notes=tuple(result.notes),
            has_holes=self.contender.method.values == "placed",
        )


def _applicable(
    subject: Subject, contenders: Sequence[Contender], scale: Scale, chosen: bool
) -> tuple[Size, Size, list[_Run]]:
    """Return the sizes before and after, and the contenders that apply to the image."""
    runs, sizes, refused = [], {}, None
    with open_picture(subject.source.open()) as picture:
        before = picture.width, picture.height
        for each in contenders:
            contender = each if subject.losses is None else each.heeding(subject.losses)
            request = Request(
                method=contender.method,
                parameters=contender.parameters,
                scale=scale,
                format=PNG,
                strip=True,
                max_pixels=MAX_PIXELS,
            )
            try:
                sizes[contender.name] = request.check(picture, subject.source).after
                runs.append(_Run(contender, request))
            except UpscaleError as error:
                if chosen:
                    raise
                refused = error
    if refused is not None and not runs:
        raise refused
    after = next(iter(sizes.values()))
    for name, size in sizes.items():
        if size != after:
            raise UpscaleError(
                f"becomes {size[0]}x{size[1]} with {name} but {after[0]}x{after[1]} with other methods; "
                "compare methods that give the same size."
            )
    return before, after, runs


def _measured(result: Entry, reference: NDArray[np.float64], border: int) -> Entry:
    """Return a result with its PSNR and SSIM against the luma of a reference."""
    own = luma_8bit(seen_in(result.png))
    return replace(result, psnr=psnr(own, reference, border), ssim=ssim(own, reference, border))


def seen_in(png: bytes) -> NDArray[np.uint8]:
    """Return what a PNG file shows on a white page: see `seen`."""
    with open_picture(io.BytesIO(png)) as picture:
        return seen(next(picture.frames()))


def seen(frame: Frame) -> NDArray[np.uint8]:
    """Return what a frame shows on a white page: red, green and blue, uint8 (H, W, 3)."""
    frame = widen(expand_palette(frame))
    frame = to_mode(frame, "RGBA" if frame.alpha else "RGB")
    stored, channels = frame.samples.dtype, frame.samples.shape[2]
    samples = Samples(
        stored=stored, channels_in=channels, target=np.dtype(np.uint8), alpha=frame.alpha, flatten=frame.alpha
    )
    colours = np.empty((*frame.samples.shape[:2], 3), np.uint8)
    samples.finish(samples.read(frame.samples), colours)
    return colours

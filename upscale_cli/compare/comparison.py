"""What several methods make of one image, how long each takes, and how near each comes to the truth.

Every picture is the file that `upscale --strip --format png` writes: the same code makes it.
"""

import io
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.images.arrange import arrange
from upscale_cli.images.colour import fits
from upscale_cli.images.encode import Enlarged, Writing, write
from upscale_cli.images.enlarge import Request
from upscale_cli.images.files import Picture
from upscale_cli.images.formats import FORMATS
from upscale_cli.images.metadata import Metadata
from upscale_cli.images.pixels import Frame, expand_palette, to_mode, widen
from upscale_cli.learning.evaluate import WINDOW
from upscale_cli.learning.measure import luma_8bit, psnr, ssim
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods import METHODS, Scale, Size, find_method
from upscale_cli.methods.placement import Nearest
from upscale_cli.methods.samples import Samples

MAX_PIXELS = 50_000_000
"""Pixels of a result: what browsers still open and draw at once."""

PNG = FORMATS["png"]
COPYING = next(row for row in METHODS.values() if row.values == "copied")


@dataclass(frozen=True)
class Contender:
    """A method with parameters.

    Attributes
    ----------
    name : str
        As the user typed it.
    method : str
    parameters : mapping
    """

    name: str
    method: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """What a method made; or the truth, which took no time.

    Attributes
    ----------
    name : str
        Of the contender, as it was typed.
    when : str
        For what its method is chosen; of the truth, what it is.
    png : bytes
    seconds : float or None
        From the source in its file to the finished PNG.
    notes : tuple of str
        What a user should know about it.
    psnr, ssim : float or None
        Of luma, where the truth is known: decibels, infinite where they agree, and at most 1.
    placed : bool
        It has holes, and is far from every other picture.
    """

    name: str
    when: str
    png: bytes
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    psnr: float | None = None
    ssim: float | None = None
    placed: bool = False


@dataclass(frozen=True)
class Comparison:
    """One image by several methods.

    Attributes
    ----------
    before, after : (int, int)
        Width and height of what was enlarged, and of what was made.
    made : tuple of Made
        At least one.
    truth : Made or None
        What the image should look like, where that is known.
    notes : tuple of str
        What is to be said about the image.
    """

    before: Size
    after: Size
    made: tuple[Made, ...]
    truth: Made | None
    notes: tuple[str, ...]

    @property
    def pictures(self) -> tuple[Made, ...]:
        """Everything that there is to look at, the truth first."""
        return (*((self.truth,) if self.truth else ()), *self.made)


@dataclass(frozen=True)
class Subject:
    """What is enlarged, and what it should become.

    Attributes
    ----------
    source : Path or bytes
    truth : bytes or None
        A PNG.
    truth_is : str
        What the truth is, in words.
    notes : tuple of str
    """

    source: Path | bytes
    truth: bytes | None = None
    truth_is: str = ""
    notes: tuple[str, ...] = ()


def find_subject(source: Path | bytes, reduction: int | None, reference: Path | None) -> Subject:
    """The image to enlarge, and its truth.

    Parameters
    ----------
    reduction : int, optional
        The image is the truth: cut to sides that this divides, it is made so many times smaller, antialiased
        (`reduction.reduce`), and rounded as a file would be.
    reference : Path, optional
        A file with the truth.

    Raises
    ------
    UpscaleError
        When one of them cannot be read, or is too small.
    """
    with Picture(source) as picture:
        count = picture.count
        notes = (f"only the first of its {count} pictures is compared",) if count > 1 else ()
        if count > 1 or reduction:
            frame, metadata = _first_frame(picture)
    if reduction:
        height, width = (side // reduction * reduction for side in frame.samples.shape[:2])
        if not min(height, width):
            raise UpscaleError(f"is too small to be made {reduction} times smaller.")
        whole = frame._replace(samples=frame.samples[:height, :width])
        known = f"the image itself, which was made {reduction} times smaller first"
        return Subject(_as_png(_reduced(whole, reduction), metadata), _as_png(whole, metadata), known, notes)
    subject = Subject(_as_png(frame, metadata) if count > 1 else source, notes=notes)
    if reference is None:
        return subject
    try:
        with Picture(reference) as picture:
            truth = _as_png(*_first_frame(picture))
    except UpscaleError as error:
        raise UpscaleError(f'reference "{reference}" {error}') from None
    return replace(subject, truth=truth, truth_is=reference.name)


def compare(
    subject: Subject,
    contenders: Sequence[Contender],
    scale: Scale,
    *,
    chosen: bool,
    executor: Executor,
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> Comparison:
    """Enlarge an image by each contender, and measure.

    Parameters
    ----------
    chosen : bool
        All contenders are wanted; otherwise those that do not apply to this image are left out.
    executor : Executor
        Whose threads work.
    progress : callable
        Told how many output pixels more are done, and of how many.

    Raises
    ------
    UpscaleError
        When a wanted contender, or every one, does not apply; when sizes differ.
    """
    requests = [
        Request(each.method, each.parameters, scale, format=PNG, strip=True, max_pixels=MAX_PIXELS)
        for each in contenders
    ]
    before, after, able = _able(subject, list(zip(contenders, requests, strict=True)), chosen)
    border = ceil(max(scale))
    if subject.truth is not None:
        _check_truth(subject.truth, after, border)
    pixels = after[0] * after[1] * len(able)
    made = [_made(subject.source, *each, executor, lambda done: progress(done, pixels)) for each in able]
    truth = None
    if subject.truth is not None:
        truth = Made("truth", subject.truth_is, subject.truth)
        luma = luma_8bit(seen_in(subject.truth))
        made = list(executor.map(lambda each: _measured(each, luma, border), made))
    # What is said of every method is said of the image, once.
    shared = tuple(note for note in made[0].notes if all(note in each.notes for each in made))
    made = [replace(each, notes=tuple(note for note in each.notes if note not in shared)) for each in made]
    return Comparison(before, after, tuple(made), truth, subject.notes + shared)


def _check_truth(truth: bytes, after: Size, border: int) -> None:
    """Raise when the truth cannot be compared with results of a size."""
    with Picture(truth) as picture:
        size = picture.width, picture.height
    if size != after:
        raise UpscaleError(
            f"becomes {after[0]}x{after[1]}, and the reference is {size[0]}x{size[1]}; "
            "give the truth in the size of the result."
        )
    if min(after) < (least := WINDOW + 2 * border):
        raise UpscaleError(
            f"becomes {after[0]}x{after[1]}; a comparison with the truth needs {least} pixels on each side."
        )


def _able(
    subject: Subject, entries: list[tuple[Contender, Request]], chosen: bool
) -> tuple[Size, Size, list[tuple[Contender, Request]]]:
    """The sizes before and after, and which contenders apply."""
    able, sizes, refused = [], {}, None
    with Picture(subject.source) as picture:
        before = picture.width, picture.height
        for contender, request in entries:
            try:
                sizes[contender.name] = request.check(picture, subject.source).after
                able.append((contender, request))
            except UpscaleError as error:
                if chosen:
                    raise
                refused = error
    if refused is not None and not able:
        raise refused
    after = next(iter(sizes.values()))
    for name, size in sizes.items():
        if size != after:
            raise UpscaleError(
                f"becomes {size[0]}x{size[1]} by {name}, and {after[0]}x{after[1]} by others; leave one of them out."
            )
    return before, after, able


def _made(
    source: Path | bytes, contender: Contender, request: Request, executor: Executor, progress: Callable[[int], None]
) -> Made:
    stream, row = io.BytesIO(), find_method(contender.method)
    speck = Frame(np.zeros((8, 8, 1), np.uint8), "L")
    with suppress(UpscaleError):
        # What is imported, read, or started by whoever comes first counts for nobody.
        request.carry_out(_as_png(speck, Metadata()), io.BytesIO(), executor)
    began = time.perf_counter()
    result = request.carry_out(source, stream, executor, progress)
    seconds = time.perf_counter() - began
    return Made(
        contender.name, row.when, stream.getvalue(), seconds, tuple(result.notes), placed=row.values == "placed"
    )


def _measured(made: Made, truth: NDArray[np.float64], border: int) -> Made:
    own = luma_8bit(seen_in(made.png))
    return replace(made, psnr=psnr(own, truth, border), ssim=ssim(own, truth, border))


def seen_in(png: bytes) -> NDArray[np.uint8]:
    """What a PNG shows: see `seen`."""
    with Picture(png) as picture:
        return seen(next(picture.frames()))


def seen(frame: Frame) -> NDArray[np.uint8]:
    """What a frame shows, on white: red, green and blue of 8 bits, (H, W, 3)."""
    frame = widen(expand_palette(frame))
    frame = to_mode(frame, "RGBA" if frame.alpha else "RGB")
    stored, channels = frame.samples.dtype, frame.samples.shape[2]
    samples = Samples(stored, channels, np.dtype(np.uint8), alpha=frame.alpha, flatten=frame.alpha)
    colours = np.empty((*frame.samples.shape[:2], 3), np.uint8)
    samples.finish(samples.read(frame.samples), colours)
    return colours


def _first_frame(picture: Picture) -> tuple[Frame, Metadata]:
    """The first frame as PNG can hold it, and what its pixels need to be understood."""
    ready = arrange(next(picture.frames()), COPYING, PNG, picture.metadata, linear=False)
    metadata = picture.metadata.stripped()
    if metadata.icc is not None and not fits(metadata.icc, ready.mode):
        metadata = metadata._replace(icc=None)
    return ready.frame, metadata._replace(loop=None, still=False)


def _reduced(frame: Frame, factor: int) -> Frame:
    """A frame made small: colour under no opacity does not bleed, and samples are rounded."""
    frame = widen(expand_palette(frame))
    samples = Samples(frame.samples.dtype, frame.samples.shape[2], frame.samples.dtype, alpha=frame.alpha)
    values = reduce(samples.read(frame.samples), factor).astype(samples.working)
    small = np.empty(values.shape, frame.samples.dtype)
    samples.finish(values, small)
    return frame._replace(samples=small)


def _as_png(frame: Frame, metadata: Metadata) -> bytes:
    """A frame that PNG can hold, as a file."""
    samples = frame.samples
    copied = Enlarged(
        Nearest(samples, samples.shape[:2]),
        None,
        samples.shape,
        samples.dtype,
        frame.mode,
        frame.palette,
        None,
        False,
        None,
        lambda pixels: None,
    )
    stream = io.BytesIO()
    write(stream, iter(()), copied, Writing(PNG, 95, metadata, 1, 0, False))
    return stream.getvalue()

"""One image, from its source to its target."""

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, BinaryIO, NamedTuple

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.images import arrays
from upscale_cli.images.arrange import Arrangement, arrange
from upscale_cli.images.colour import fits
from upscale_cli.images.encode import Enlarged, Writing, write
from upscale_cli.images.files import Picture, to_stack
from upscale_cli.images.formats import Format
from upscale_cli.images.limits import MAX_PIXELS, Task
from upscale_cli.images.metadata import Metadata, resized
from upscale_cli.images.pixels import Frame
from upscale_cli.images.targets import replacing
from upscale_cli.methods import Method, Parameter, Scale, Size, find_method, resolve
from upscale_cli.methods.parameters import round_side, shown

MOST_NAMES = 5
"""Names that an error lists."""
SPOOL = 64 << 20
"""Bytes of a result for standard output that are kept in memory before they go to a temporary file."""


@dataclass
class Result:
    """What is made of an image.

    Attributes
    ----------
    before, after : (int, int)
        Width and height of the source and of what is made of it.
    frames : int
    notes : list of str
        What a user should know.
    decisions : dict of str to str
        What was decided, by what it is about: for those who want to know.
    memory : int
        Bytes that it takes, about.
    """

    before: Size = (0, 0)
    after: Size = (0, 0)
    frames: int = 1
    notes: list[str] = field(default_factory=list)
    decisions: dict[str, str] = field(default_factory=dict)
    memory: int = 0

    def note(self, text: str) -> None:
        """Say something once."""
        if text not in self.notes:
            self.notes.append(text)


class Request(NamedTuple):
    """What is to be done to each image. It can be sent to another process.

    Attributes
    ----------
    method : str
    parameters : mapping
        Given ones, read already; a `Path` for an array that is still in its file.
    scale : Scale or None
    size : str or None
        As it was typed: 3840, 3840x2160, 3840x, x2160.
    format : Format or None
        The one to write, where it was named.
    quality : int
        1 … 100, for lossy formats.
    linear, strip, channels_first, overwrite : bool
    max_pixels : int
        Of a result, all its frames together.
    small : bool
        Take longer, for a smaller PNG.
    """

    method: str
    parameters: Mapping[str, Any] = {}
    scale: Scale | None = None
    size: str | None = None
    format: Format | None = None
    quality: int = 95
    linear: bool = False
    strip: bool = False
    channels_first: bool = False
    overwrite: bool = False
    max_pixels: int = MAX_PIXELS
    small: bool = False

    @property
    def reads(self) -> tuple[Path, ...]:
        """Files that are read for every source."""
        return tuple(value for value in self.parameters.values() if isinstance(value, Path))

    def with_format(self, format: Format) -> "Request":
        """The same, with another format named."""
        return self._replace(format=format)

    def format_for(self, picture: Picture) -> Format:
        """The format to write: the one that was named, else the one that was read."""
        return self.format or picture.format

    def label(self, expected: Result) -> str:
        """What a result's name says about it: 4x, or its size where that was asked for.

        >>> Request("lanczos", scale=(Fraction(3, 2), Fraction(3, 2))).label(Result())
        '1.5x'
        """
        if self.size is not None:
            return f"{expected.after[0]}x{expected.after[1]}"
        factors = [f"{float(s):g}" for s in reversed(self.scale or (Fraction(2), Fraction(2)))]
        return f"{'x'.join(dict.fromkeys(factors))}x"

    def check(self, picture: Picture, source: Path | bytes) -> Result:
        """What the header of a source tells about its result, without decoding it.

        Raises
        ------
        UpscaleError
            When there can be no result: its size, its frames, its parameters.
        """
        row = find_method(self.method)
        told, remembered = told_parameters(row, self, source, picture.values)
        format = self.format_for(picture)
        size = output_size(self, remembered, picture.height, picture.width)
        scale = None if size else self.scale
        shape = (picture.height, picture.width, picture.channels)
        _, shape = resolve(row, shape, scale=scale, size=size, parameters=told)
        check_frames(picture, format)
        task = self.task(picture, format, shape[2], told)
        task.check_size(shape[:2])
        task.check_memory(shape[:2])
        before, after = (picture.width, picture.height), (shape[1], shape[0])
        return Result(before, after, picture.count, memory=task.memory(shape[:2]))

    def task(self, picture: Picture, format: Format, channels: int, told: Mapping[str, Any]) -> Task:
        """What limits are asked for."""
        row = find_method(self.method)
        return Task(
            picture.height,
            picture.width,
            picture.count,
            picture.decoded,
            format,
            channels,
            picture.itemsize,
            # Arrays are read, and brought into the order that the method needs.
            extra=sum(2 * value.nbytes for value in told.values() if hasattr(value, "nbytes")),
            turned=self.channels_first and not format.holds,
            max_pixels=self.max_pixels,
            whole=row.integer_scale,
            held=row.working_memory((picture.height, picture.width, channels), told),
        )

    def files(self, target: Path) -> tuple[Path, ...]:
        """All that is written for a target."""
        return (target,)

    def carry_out(
        self,
        source: Path | bytes,
        target: Path | BinaryIO,
        executor: Executor | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> Result:
        """Make one target of one source.

        Parameters
        ----------
        source : Path or bytes
            A file, or its content.
        target : Path or binary stream
            Replaced when complete; a stream is written to when everything is complete.
        executor : Executor, optional
            Whose threads make strips.
        progress : callable
            Told how many output pixels more are done.

        Raises
        ------
        UpscaleError
            When it cannot be done; the sentence does not name the source.
        """
        row = find_method(self.method)
        result = Result()
        with Picture(source, self.channels_first) as picture:
            told, remembered = told_parameters(row, self, source, picture.values)
            format = self.format_for(picture)
            check_frames(picture, format)

            def made(index: int, frame: Frame) -> Enlarged:
                ready = arrange(frame, row, format, picture.metadata, self.linear)
                for note in ready.notes:
                    result.note(note)
                own = told_for_frame(told, index, self.channels_first and picture.ndim > 0)
                return _enlarged(ready, row, self, own, remembered, picture, format, result, executor, progress)

            frames = (made(index, frame) for index, frame in enumerate(picture.frames()))
            first = next(frames)
            metadata = kept_metadata(picture, first, format, self.strip, result)
            how = Writing(
                format, self.quality, metadata, picture.count, picture.ndim, self.channels_first, self.small
            )
            write_target(target, self.overwrite, frames, first, how)
        return result


def wanted_size(text: str, height: int, width: int) -> Size:
    """Height and width of the output for what was typed after `--size`, keeping the shape where it leaves it open.

    Raises
    ------
    UsageError
        When it is no size.

    Examples
    --------
    >>> wanted_size("3840", 600, 800), wanted_size("x1200", 600, 800), wanted_size("4000x1200", 600, 800)
    ((2880, 3840), (1200, 1600), (1200, 1600))
    """
    match = re.fullmatch(r"([1-9]\d{0,11})|([1-9]\d{0,11})?x([1-9]\d{0,11})?", text.strip().lower())
    if match is None or not any(match.groups()):
        raise UsageError(f'size "{text}" is not one of 3840, 3840x2160, 3840x, x2160.')
    longest, wide, high = (int(group) if group else None for group in match.groups())
    pairs = ((longest, max(height, width)), (wide, width), (high, height))
    factor = min(Fraction(wanted, side) for wanted, side in pairs if wanted is not None)
    return max(1, round_side(height, factor)), max(1, round_side(width, factor))


def output_size(request: Request, remembered: Size | None, height: int, width: int) -> Size | None:
    """Height and width of the output where they are asked for or remembered; None where the scale says them.

    Raises
    ------
    UpscaleError
        When what is remembered is not the scale that is asked for.
    """
    if request.size is not None:
        return wanted_size(request.size, height, width)
    if remembered is not None and request.scale is not None:
        # Pooling may have left a part of a window out, so the sides are only about the scale apart.
        ratios = zip(remembered, (height, width), request.scale, strict=True)
        if any(round(new / old) != factor for new, old, factor in ratios):
            raise UpscaleError(
                f"was pooled from {remembered[1]}x{remembered[0]}, which is another scale; leave --scale out."
            )
    return remembered


def load_parameter(parameter: Parameter, path: Path, most: int = arrays.MANY) -> tuple[Any, Size | None]:
    """What a parameter's file holds, and the output's size where it names that.

    Parameters
    ----------
    most : int
        Values that the file may hold, where that is more than are always read.

    Raises
    ------
    UpscaleError
        When it cannot be read, or holds something else.
    """
    try:
        loaded = arrays.load_arrays(path, most)
        if parameter.archive:
            return loaded, None
        if parameter.name not in loaded and "" not in loaded:
            there = ", ".join(shortened(name) for name in list(loaded)[:MOST_NAMES]) or "none"
            others = f" and {len(loaded) - MOST_NAMES:,} others" if len(loaded) > MOST_NAMES else ""
            raise UpscaleError(f'holds no array "{parameter.name}"; it has {there}{others}.')
    except UpscaleError as error:
        raise UpscaleError(f'{parameter.name} file "{path}" {error}') from None
    named = loaded.get("size")
    size = None
    if named is not None and named.shape == (2,) and named.dtype.kind in "iu" and (named > 0).all():
        size = int(named[0]), int(named[1])
    return loaded.get(parameter.name, loaded.get("")), size


def told_parameters(
    row: Method, request: Request, source: Path | bytes, most: int
) -> tuple[dict[str, Any], Size | None]:
    """The request's parameters, with arrays in the place of files, and the output's size where a file names it.

    A file that lies beside the source is found by its name. `most` is how many values the source has, about.

    Raises
    ------
    UpscaleError
        When a file cannot be read, or a parameter is missing.
    """
    given, size = dict(request.parameters), None
    for p in row.parameters:
        path = given.get(p.name)
        if path is None and p.beside and isinstance(source, Path):
            beside = source.with_name(source.stem + p.beside)
            path = beside if beside.is_file() else None
        if not isinstance(path, Path):
            continue
        given[p.name], named = load_parameter(p, path, most)
        size = named or size
    return row.read_parameters(given), size


def check_frames(picture: Picture, format: Format) -> None:
    """Raise `UpscaleError` when a format cannot hold as many frames as there are."""
    if picture.count > 1 and not format.frames:
        raise UpscaleError(f"has {picture.count} frames, and {format.name} holds one; use --format png or tiff.")


def told_for_frame(told: dict[str, Any], index: int, channels_first: bool) -> dict[str, Any]:
    """The parameters of one frame: of indices for several frames, those of this one, as (H, W, C)."""
    indices = told.get("indices")
    if indices is None:
        return told
    stack = to_stack(indices, channels_first)
    if len(stack) == 1:
        return told | {"indices": stack[0]}
    if index >= len(stack):
        raise UpscaleError(f"has more frames than the {len(stack)} that there are indices for.")
    return told | {"indices": stack[index]}


def _enlarged(
    ready: Arrangement,
    row: Method,
    request: Request,
    told: dict[str, Any],
    remembered: Size | None,
    picture: Picture,
    format: Format,
    result: Result,
    executor: Executor | None,
    progress: Callable[[int], None],
) -> Enlarged:
    """A frame with its upsampler, when limits allow it."""
    samples, mode = ready.samples, ready.mode
    height, width, channels = ready.frame.samples.shape
    size = output_size(request, remembered, height, width)
    asked = None if size else request.scale
    shape = (height, width, samples.channels)
    scale, shape = resolve(row, shape, scale=asked, size=size, parameters=told)
    # Frames may differ in size.
    task = replace(request.task(picture, format, shape[2], told), height=height, width=width)
    task.check_size(shape[:2])
    if (warning := row.warn((height, width, samples.channels), scale, told)) is not None:
        result.note(warning)
    if not result.decisions:
        result.decisions = {
            "method": _method_explained(row, (height, width, samples.channels), scale, told),
            "size": _size_explained(request, remembered, scale),
            "colour": ready.colour,
        }
    if shape[2] != samples.channels:
        # A kernel that mixes channels makes other ones; only arrays and plain colours can be that.
        mode = {1: "L", 3: "RGB"}.get(shape[2]) if mode is not None else None
        if mode is None and ready.mode is not None:
            raise UpscaleError(f"would have {shape[2]} channels, which is no image; use --format npy.")
        samples, channels = samples._replace(alpha=False, opaque=False), shape[2]
    elif samples.flatten:
        channels = samples.channels
    result.before, result.after, result.frames = (width, height), (shape[1], shape[0]), picture.count
    return Enlarged(
        row.make(ready.frame.samples, scale=scale, size=shape[:2], samples=samples, parameters=told),
        samples.finisher(row.values == "weighed"),
        (*shape[:2], channels),
        samples.target,
        mode,
        ready.frame.palette,
        ready.frame.duration,
        ready.colours,
        executor,
        progress,
    )


def _method_explained(row: Method, shape: tuple[int, int, int], scale: Scale, told: Mapping[str, Any]) -> str:
    """A method with its parameters, defaults included, in words."""
    values = [
        f"{p.name}={shown(told[p.name])}" for p in row.parameters if not p.file and told.get(p.name) is not None
    ]
    own = row.explain(shape, scale, told)
    return f"{', '.join([row.name, *values])}: {own or f'{row.summary} ({row.source})'}"


def _size_explained(request: Request, remembered: Size | None, scale: Scale) -> str:
    factors = "x".join(dict.fromkeys(f"{float(s):.4g}" for s in reversed(scale)))
    if request.size is not None:
        return f"{factors} times, to fit --size {request.size}"
    if remembered is not None:
        return f"{factors} times, as the file of indices remembers it"
    return f"{factors} times, as {'asked for' if request.scale is not None else 'by default'}"


def kept_metadata(picture: Picture, first: Enlarged, format: Format, strip: bool, result: Result) -> Metadata:
    """The metadata that the target gets; what it cannot hold is said."""
    metadata = picture.metadata.stripped() if strip else picture.metadata
    present = metadata.present()
    lost = set(present) - format.keeps
    lost |= {name for name in ("exif", "xmp", "comment") if len(present.get(name, b"")) > format.entry}
    lost |= {"durations"} - format.keeps if first.duration is not None else set()
    if metadata.icc is not None and not fits(metadata.icc, first.mode):
        lost |= {"icc"} if picture.colours != "CMYK" else set()
        metadata = metadata._replace(icc=None)
    if lost:
        result.note(f"{format.name} cannot hold its {' and '.join(sorted(lost))}")
    without: dict[str, Any] = dict.fromkeys(lost & {"exif", "xmp", "comment"})
    metadata = metadata._replace(**without)
    if kept := sorted(metadata.present().keys() & format.keeps):
        result.decisions["kept"] = ", ".join(kept)
    if picture.dropped:
        result.note(picture.dropped)
    return resized(metadata, first.shape[1], first.shape[0])


def write_target(
    target: Path | BinaryIO, overwrite: bool, frames: Iterator[Enlarged], first: Enlarged, how: Writing
) -> None:
    """Write frames to a file that is replaced when complete, or to a stream once everything is there."""
    if isinstance(target, Path):
        with replacing(target, overwrite=overwrite) as stream:
            write(stream, frames, first, how)
        return
    import shutil
    import tempfile

    with tempfile.SpooledTemporaryFile(SPOOL) as spool:
        write(spool, frames, first, how)  # type: ignore[arg-type]
        spool.seek(0)
        shutil.copyfileobj(spool, target)
        target.flush()

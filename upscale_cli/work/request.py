"""A request: what the user asks for, the same for every image."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from operator import lt
from shutil import copyfileobj
from typing import Any, Literal, NamedTuple

from upscale_cli.codecs.finding import written_for
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import USUAL, Picture, Reading, open_picture
from upscale_cli.errors import NeedlessError, UpscaleError
from upscale_cli.image.pixels import read_colour
from upscale_cli.methods import Method, Scale, Size, resolve
from upscale_cli.methods.method import Shape, as_typed
from upscale_cli.methods.parameters import Uniform, round_side
from upscale_cli.methods.stacks import KINDS
from upscale_cli.methods.strips import Workers
from upscale_cli.places.place import Source, Target
from upscale_cli.work.enlarge import enlarge
from upscale_cli.work.estimate import MAX_PIXELS, Task, check_frames
from upscale_cli.work.parameter_files import ParameterFile, load_parameter
from upscale_cli.work.result import Result, shared
from upscale_cli.work.sizes import check_remembered, wanted_size
from upscale_cli.work.volumes import check_sides, of_volume


class Request(NamedTuple):
    """Enlarging, as a `Work` of batches: a record that is built by keyword.

    Attributes
    ----------
    method : Method
    parameters : mapping
        Given ones, read already; a `ParameterFile` for an array that is in a file.
    scale : Scale or None
    size : str or None
        As `read_size` returns it: 3840, 3840x2160, 3840x, x2160.
    spacing : tuple of Fraction or None
        The voxels of a volume in millimetres, as `read_spacing` returns them.
    fit : {"inside", "cover", "exact", "pad"}
        How an image fits into a size of another shape; see `wanted_size`.
    background : str or None
        The colour of the border of `pad`, as the user typed it; None for transparency or, where there is none, white.
    if_smaller : {"enlarge-only", "copy", "skip"} or None
        What becomes of an image that is larger than the result would be: it keeps its size, its file is copied, or it
        is left out. None refuses it.
    allow_smaller : bool
        Results may be smaller than their sources.
    format : Format or None
        The format that was named for the result.
    quality : int or None
        1 … 100, for lossy formats; None for the one of a source that is a JPEG too, else 95.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"} or None
        The resolution of colour in JPEG and AVIF; None for the one of a source that is a JPEG too, else 4:4:4.
    preserve_times : bool
        Results get the times of their sources.
    lossless : bool
        Formats that can do both are written without loss.
    linear : bool or "sigmoid"
        Light is weighed instead of code values, or a sigmoid of it.
    strip, overwrite : bool
    alpha : {"weighed", "separate"}
        Colours are weighed by their opacity, or both are enlarged apart.
    reading : Reading
        How sources are read.
    max_pixels : int
        The most pixels of a frame of a result; see `estimate.MAX_FULL_FRAMES`.
    compression : str or None
        One of the `compressions` of the result's format; None for its usual one.
    """

    method: Method
    parameters: Mapping[str, Any] = {}
    scale: Scale | None = None
    size: str | None = None
    spacing: tuple[Fraction, ...] | None = None
    fit: str = "inside"
    background: str | None = None
    if_smaller: str | None = None
    allow_smaller: bool = False
    format: Format | None = None
    quality: int | None = None
    subsampling: str | None = None
    preserve_times: bool = False
    lossless: bool = False
    linear: bool | Literal["sigmoid"] = False
    alpha: Literal["weighed", "separate"] = "weighed"
    strip: bool = False
    reading: Reading = USUAL
    overwrite: bool = False
    max_pixels: int = MAX_PIXELS
    compression: str | None = None

    @property
    def reads(self) -> tuple[Source, ...]:
        return tuple(value.source for value in self.parameters.values() if isinstance(value, ParameterFile))

    @property
    def reads_beside(self) -> tuple[str, ...]:
        return tuple(parameter.beside for parameter in self.method.parameters if parameter.beside)

    def with_format(self, format: Format) -> "Request":
        return self._replace(format=format)

    def format_for(self, picture: Picture) -> Format:
        """Return the format of a result: the one that was named, else the source's or PNG; without loss if it can.

        Raises
        ------
        UpscaleError
            If it shall be written without loss, or be compressed in a way, and cannot be.
        """
        format = self.format or written_for(picture.format)
        if self.lossless and format.lossy and format.without_loss is None:
            raise UpscaleError(
                f"would be a {format.title}, which is never lossless; use --format png, or omit --lossless."
            )
        if format.compressions and self.compression not in (None, *format.compressions):
            raise UpscaleError(
                f"would be a {format.title}, which has no compression {self.compression}; "
                f"use --compression {format.compressions[0]}, or {', '.join(format.compressions[1:])}."
            )
        exact = self.method.values != "weighed" or picture.encoding.exact
        unasked = exact and self.quality is None and format.without_loss == {}
        return format.lossless() if self.lossless or unasked else format

    def label(self, expected: Result, several: bool) -> str:
        """Return what a result's name says about it: 4x, or its size if that was asked for or is no multiple.

        The name of a folder of several results says what they have in common.

        >>> from upscale_cli.methods import METHODS
        >>> Request(method=METHODS["lanczos"], scale=(Fraction(3, 2), Fraction(3, 2))).label(Result(), several=False)
        '1.5x'
        """
        if several and self.size is not None:
            return self.size
        if several and self.spacing is not None:
            return f"{_factors(self.spacing)}mm"
        # Pooling may have dropped a part of a window, so the ratio of the sides is only near the factor.
        scale = self.scale or tuple(Fraction(round(s)) if several else s for s in expected.scale)
        sized = self.size is not None or self.spacing is not None
        if sized or (self.scale is None and any(s.denominator > 1 for s in scale)):
            return as_typed(expected.after[::-1])
        return f"{_factors(scale)}x"

    def fields(self, expected: Result) -> dict[str, object]:
        width, height = (*expected.after, 1)[:2]
        scale = _factors(expected.scale)
        return {"method": self.method.name, "scale": scale, "width": width, "height": height}

    def targets(self, target: Target) -> tuple[Target, ...]:
        return (target,)

    def check(self, picture: Picture, source: Source) -> Result:
        request = self.of(picture)
        parameters, remembered = request.read_parameters(source, picture.values, outline=True)
        parameters = request.heeding(parameters, picture)
        format = request.format_for(picture)
        before = (*picture.sides, picture.channels)
        scale, shape, size = request.resolved(before, remembered, parameters)
        if picture.volume is not None:
            check_sides(self.method, before, scale, shape)
        if self.background is not None:
            read_colour(self.background)
        if self.if_smaller == "skip" and self.is_large(picture):
            raise NeedlessError(f"is {picture.width}x{picture.height}, large enough already.")
        check_frames(picture, format)
        task = self.task(picture, format, parameters, shape[-1])
        for each in (shape[:-1], size):
            task.check_size(each)
        # What is cropped away is made, too, as far as it shares rows with the rest.
        expected = task.expected(tuple(map(max, shape, size)))
        expected.scale, expected.after = shared(scale), shared(size[::-1])
        return expected

    def of(self, picture: Picture) -> "Request":
        """Return the request for a picture: that for a volume has a factor for each of its axes.

        Raises
        ------
        UpscaleError
            If it asks for what only volumes have, or what they do not have.
        """
        if picture.volume is not None:
            return of_volume(self, picture, picture.volume)
        axes = len(picture.sides)
        if axes != 2 and (self.size is not None or not self.format_for(picture).arrays):
            option = "--size" if self.size is not None else f"--format {self.format_for(picture).name}"
            raise UpscaleError(f"is a {KINDS[axes][0]}, but {option} is for images; omit it.")
        if self.spacing is not None:
            raise UpscaleError("has no voxels of a known size, as NIfTI and DICOM have; use --scale, not --spacing.")
        if (format := self.format_for(picture)).volumes:
            raise UpscaleError(f"is no volume with a place in space, as {format.title} is; use another --format.")
        return self._replace(scale=self.scale.spread(axes)) if isinstance(self.scale, Uniform) else self

    def task(self, picture: Picture, format: Format, parameters: Mapping[str, Any], channels: int) -> Task:
        """Return what limits are asked for a result of some channels."""
        shape = (*picture.sides, channels)
        return Task(
            picture=picture,
            format=format,
            channels=channels,
            by_rows=self.reads_by_rows(picture, format),
            # Arrays are read, and brought into the order that the method needs.
            extra=sum(2 * value.nbytes for value in parameters.values() if hasattr(value, "nbytes")),
            channels_first=bool(self.reading.channels_first),
            max_pixels=self.max_pixels,
            hundredths=self.method.hundredths,
            working_memory=lru_cache(1)(self.method.working_memory(shape, parameters)),  # asked four times a size
        )

    def heeding(self, parameters: Mapping[str, Any], picture: Picture) -> dict[str, Any]:
        """Return the parameters as the method makes them for a picture of a file; see `Method.heed`."""
        losses = picture.encoding.losses
        if self.linear or self.fit == "pad":
            # The method is given other values, or the picture with a border.
            losses = losses._replace(blocks=())
        return dict(self.method.heed(parameters, losses))

    def reads_by_rows(self, picture: Picture, format: Format) -> bool:
        """Return whether a source is read while its result is written, and is not in memory as a whole."""
        return self.method.by_rows and picture.by_rows > 0 and format.strips != "none"

    def carry_out(
        self,
        source: Source,
        target: Target,
        workers: Workers | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> Result:
        if self.if_smaller == "copy":
            with open_picture(source.open(), self.reading) as picture:
                same = self.format is None or self.format.name == picture.format.name
                if same and self.is_large(picture) and not self.strip:
                    return self._copied(picture, source, target)
        return enlarge(self, source, target, workers=workers, progress=progress)

    def read_parameters(
        self, source: Source, values: int, outline: bool = False
    ) -> tuple[dict[str, Any], Size | None]:
        """Return the parameters with arrays in the place of files, and the size of the output if a file says it.

        A file that lies beside the source is found by its name.

        Parameters
        ----------
        values : int
            The values of the source: a file may hold as many.
        outline : bool
            Read no values of the files beside the source, only the shapes of their arrays.

        Raises
        ------
        UpscaleError
            If a file cannot be read, or a parameter is missing.
        """
        given, size = dict(self.parameters), None
        for parameter in self.method.parameters:
            value, named = given.get(parameter.name), None
            if isinstance(value, ParameterFile):
                given[parameter.name], named = value.load(values)
            elif value is None and parameter.beside and (beside := source.beside(parameter.beside)) is not None:
                given[parameter.name], named = load_parameter(parameter, beside, values, outline)
            size = named or size
        return self.method.read_parameters(given), size

    def _copied(self, picture: Picture, source: Source, target: Target) -> Result:
        """Copy the file of an image that is large enough, and return what became of it."""
        times = source.times() if self.preserve_times else None
        with target.dated(times).commit(self.overwrite) as (stream,), source.open() as content:
            copyfileobj(content, stream)
        size = picture.width, picture.height
        decisions = {"size": "large enough already, so the file is copied"}
        return Result(before=size, after=size, frames=picture.count, decisions=decisions)

    def is_large(self, picture: Picture) -> bool:
        """Return whether an image is larger than the size that is asked for."""
        size = None if self.size is None else wanted_size(self.size, picture.height, picture.width, self.fit)[0]
        return size is not None and _is_smaller(size, (picture.height, picture.width))

    def resolved(
        self, before: Shape, remembered: Size | None, parameters: Mapping[str, Any]
    ) -> tuple[Scale, Shape, Size]:
        """Return the exact factors, the shape that the method makes of a source (H, W, C), and the result's size.

        The size is another if the result is cropped, or gets a border.

        Parameters
        ----------
        remembered : (int, int) or None
            The size that an indices file says; it is the output's if no other is asked for.

        Raises
        ------
        UpscaleError
            If what is remembered does not match the scale that is asked for, or the method cannot make the size.
        """
        size = framed = remembered
        if self.size is not None:
            size, framed = wanted_size(self.size, before[0], before[1], self.fit)
        elif self.scale is not None and min(self.scale) < 1:
            size = framed = tuple(max(1, round_side(*each)) for each in zip(before, self.scale, strict=False))
        elif size is not None:
            check_remembered(size, self.scale, before[:-1])
        if size not in (None, remembered) and not self.allow_smaller and _is_smaller(size, before):
            if self.if_smaller is None:
                raise UpscaleError(
                    f"is {as_typed(before[:-1])}, larger than {as_typed(size)}; --allow-smaller reduces it, "
                    "--if-smaller skip leaves it out."
                )
            size = framed = before[:-1]
        scale = None if size else self.scale
        scale, shape = resolve(self.method, before, scale=scale, size=size, parameters=parameters, smaller=True)
        return scale, shape, framed or shape[:-1]


def _is_smaller(size: Size, before: Size) -> bool:
    """Return whether a side of a size is shorter than it was."""
    return any(map(lt, size, before))


def _factors(scale: Sequence[Fraction]) -> str:
    """Return factors as users type them, rounded: one, or width x height."""
    each = [f"{float(s):g}" for s in reversed(scale)]
    return each[0] if len(set(each)) == 1 else "x".join(each)

"""A request: what the user asks for, the same for every image."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from upscale_cli.codecs.finding import written_for
from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import USUAL, Picture, Reading
from upscale_cli.errors import UpscaleError
from upscale_cli.methods import Method, Scale, Size, resolve
from upscale_cli.methods.method import Shape
from upscale_cli.methods.strips import Workers
from upscale_cli.places.place import Source, Target
from upscale_cli.work.enlarge import enlarge
from upscale_cli.work.estimate import MAX_PIXELS, Task, check_frames
from upscale_cli.work.parameter_files import ParameterFile, load_parameter
from upscale_cli.work.result import Result
from upscale_cli.work.sizes import check_remembered, wanted_size


class Request(NamedTuple):
    """Enlarging, as a `Work` of batches: a record that is built by keyword.

    Attributes
    ----------
    method : Method
    parameters : mapping
        Given ones, read already; a `ParameterFile` for an array that is in a file.
    scale : Scale or None
    size : str or None
        As the user typed it: 3840, 3840x2160, 3840x, x2160.
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
    linear, strip, overwrite : bool
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
    format: Format | None = None
    quality: int | None = None
    subsampling: str | None = None
    preserve_times: bool = False
    lossless: bool = False
    linear: bool = False
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
                f"it has {', '.join(format.compressions)}."
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
            return self.size.strip()
        # Pooling may have dropped a part of a window, so the ratio of the sides is only near the factor.
        scale = self.scale or tuple(Fraction(round(s)) if several else s for s in expected.scale)
        if self.size is not None or (self.scale is None and any(s.denominator > 1 for s in scale)):
            return f"{expected.after[0]}x{expected.after[1]}"
        return f"{'x'.join(dict.fromkeys(f'{float(s):g}' for s in reversed(scale)))}x"

    def targets(self, target: Target) -> tuple[Target, ...]:
        return (target,)

    def check(self, picture: Picture, source: Source) -> Result:
        parameters, remembered = self.read_parameters(source, picture.values, outline=True)
        format = self.format_for(picture)
        before = picture.height, picture.width, picture.channels
        scale, shape = self.resolved(before, remembered, parameters)
        check_frames(picture, format)
        task = self.task(picture, format, parameters, shape[2])
        task.check_size(shape[:2])
        expected = task.expected(shape[:2])
        expected.scale = scale
        return expected

    def task(self, picture: Picture, format: Format, parameters: Mapping[str, Any], channels: int) -> Task:
        """Return what limits are asked for a result of some channels."""
        shape = picture.height, picture.width, channels
        return Task(
            picture=picture,
            format=format,
            channels=channels,
            # Arrays are read, and brought into the order that the method needs.
            extra=sum(2 * value.nbytes for value in parameters.values() if hasattr(value, "nbytes")),
            channels_first=bool(self.reading.channels_first),
            max_pixels=self.max_pixels,
            integer_scale=self.method.integer_scale,
            working_memory=self.method.working_memory(shape, parameters),
        )

    def carry_out(
        self,
        source: Source,
        target: Target,
        workers: Workers | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> Result:
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

    def resolved(self, before: Shape, remembered: Size | None, parameters: Mapping[str, Any]) -> tuple[Scale, Shape]:
        """Return the exact factors and the shape of the output, of a source (H, W, C).

        Parameters
        ----------
        remembered : (int, int) or None
            The size that an indices file says; it is the output's if no other is asked for.

        Raises
        ------
        UpscaleError
            If what is remembered does not match the scale that is asked for, or the method cannot make the size.
        """
        size = remembered
        if self.size is not None:
            size = wanted_size(self.size, *before[:2])
        elif size is not None and self.scale is not None:
            check_remembered(size, self.scale, *before[:2])
        scale = None if size else self.scale
        return resolve(self.method, before, scale=scale, size=size, parameters=parameters)

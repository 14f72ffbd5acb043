"""One image, from its source to its target."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Picture, open_picture
from upscale_cli.codecs.writing import USUAL_QUALITY, Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame
from upscale_cli.image.stacks import to_stack
from upscale_cli.methods import Method, Scale, Size, resolve
from upscale_cli.methods.parameters import shown
from upscale_cli.places.place import Source, Target
from upscale_cli.work.arrange import Arrangement, arrange
from upscale_cli.work.estimate import check_frames
from upscale_cli.work.kept import kept_duration, kept_metadata, note_first_loss
from upscale_cli.work.result import Result

if TYPE_CHECKING:
    from upscale_cli.work.request import Request

MODES = {1: "L", 3: "RGB"}
"""The image that a number of channels is, where a kernel makes other channels than the source has."""


def enlarge(
    request: "Request",
    source: Source,
    target: Target,
    *,
    executor: Executor | None = None,
    progress: Callable[[int], None] = lambda pixels: None,
) -> Result:
    """Make one target of one source, and return what became of it.

    Parameters
    ----------
    executor : Executor, optional
        The executor whose threads compute strips.
    progress : callable
        Called with the number of output pixels that are done since the last call.

    Raises
    ------
    UpscaleError
        If it cannot be done; the sentence does not name the source.
    """
    with open_picture(source.open(), request.reading) as picture:
        parameters, remembered = request.read_parameters(source, picture.values)
        format = request.format_for(picture)
        check_frames(picture, format)
        work = _Enlargement(
            request=request,
            picture=picture,
            format=format,
            parameters=parameters,
            remembered=remembered,
            result=Result(),
        )
        frames = (
            work.enlarged(index, frame, executor=executor, progress=progress)
            for index, frame in enumerate(picture.frames())
        )
        first = next(frames)
        how = Writing(
            format=format,
            metadata=first.metadata,
            encoding=picture.encoding,
            frame_count=picture.count,
            quality=request.quality or USUAL_QUALITY,
            lossless=not format.lossy,
            ndim=picture.ndim,
            channels_first=request.reading.channels_first,
            small=request.small,
        )
        with target.commit(request.overwrite) as (stream,):
            format.load_codec().write(stream, chain((first,), frames), how)
        for note in picture.notes:
            work.result.note(note)
        if request.quality is None:
            note_first_loss(picture, format, work.result)
    return work.result


class _Enlargement(NamedTuple):
    """What the frames of one image have in common."""

    request: "Request"
    picture: Picture
    format: Format
    parameters: dict[str, Any]
    remembered: Size | None
    result: Result

    def enlarged(
        self, index: int, frame: Frame, *, executor: Executor | None, progress: Callable[[int], None]
    ) -> Enlarged:
        """Return a frame with its upsampler, if the limits allow it."""
        request, picture, result = self.request, self.picture, self.result
        method = request.method
        ready = arrange(frame, method, self.format, linear=request.linear, apart=request.alpha == "separate")
        for note in ready.notes:
            result.note(note)
        parameters = _parameters_of_frame(self.parameters, index, request.reading.channels_first and picture.ndim > 0)
        height, width, _ = ready.frame.samples.shape
        size = request.output_size(self.remembered, height, width)
        before = height, width, ready.samples.channels
        asked = None if size else request.scale
        scale, after = resolve(method, before, scale=asked, size=size, parameters=parameters)
        # Frames may differ in size.
        task = request.task(picture, self.format, parameters, after[2])
        task._replace(height=height, width=width).check_size(after[:2])
        if (warning := method.warn(before, scale, parameters)) is not None:
            result.note(warning)
        if not result.decisions:
            result.decisions = {
                "method": _method_explained(method, before, scale, parameters),
                "size": _size_explained(request, self.remembered, scale),
                "colour": ready.colour,
            }
        result.before, result.after, result.frames = (width, height), (after[1], after[0]), picture.count
        samples, mode, extra = ready.samples, ready.mode, ready.frame.extra
        channels = samples.channels_out
        if after[2] != samples.channels:
            mode, extra = _mode_of_channels(ready, after[2], self.format)
            samples, channels = samples._replace(alpha=False, opaque=False), after[2]
        metadata = kept_metadata(
            frame, mode, picture, format=self.format, after=after[:2], strip=request.strip, result=result
        )
        upsampler = method.make(
            ready.frame.samples, scale=scale, size=after[:2], samples=samples, parameters=parameters
        )
        return Enlarged(
            upsampler=upsampler,
            finish=samples.finisher(method.values == "weighed"),
            shape=(*after[:2], channels),
            dtype=samples.target,
            mode=mode,
            palette=ready.frame.palette,
            duration=kept_duration(frame.duration, self.format, result),
            metadata=metadata,
            extra=extra,
            quantised=ready.quantised,
            executor=executor,
            progress=progress,
        )


def _mode_of_channels(ready: Arrangement, channels: int, format: Format) -> tuple[Any, tuple[int, ...]]:
    """Return the mode, and the further channels, of a result whose channels a kernel has mixed.

    Raises
    ------
    UpscaleError
        If the source is an image, and there is no image of so many channels.
    """
    if ready.mode is None:
        return None, ()
    if channels in MODES:
        return MODES[channels], ()
    if not format.bands:
        raise UpscaleError(
            f"the result would have {channels} channels, which {format.title} cannot store; use --format npy or tiff."
        )
    return "L", (0,) * (channels - 1)


def _parameters_of_frame(parameters: dict[str, Any], index: int, channels_first: bool) -> dict[str, Any]:
    """Return the parameters of one frame: of indices for several frames, those of this one, as (H, W, C)."""
    indices = parameters.get("indices")
    if indices is None:
        return parameters
    stack = to_stack(indices, channels_first)
    if len(stack) == 1:
        return parameters | {"indices": stack[0]}
    if index >= len(stack):
        raise UpscaleError(f"has more frames than the {len(stack)} for which there are indices.")
    return parameters | {"indices": stack[index]}


def _method_explained(
    method: Method, shape: tuple[int, int, int], scale: Scale, parameters: Mapping[str, Any]
) -> str:
    """Describe a method with its parameters, defaults included."""
    values = [
        f"{p.name}={shown(parameters[p.name])}"
        for p in method.parameters
        if not p.file and parameters.get(p.name) is not None
    ]
    own = method.explain(shape, scale, parameters)
    return f"{', '.join([method.name, *values])}: {own or f'{method.summary} ({method.source})'}"


def _size_explained(request: "Request", remembered: Size | None, scale: Scale) -> str:
    factors = "x".join(dict.fromkeys(f"{float(s):.4g}" for s in reversed(scale)))
    if request.size is not None:
        return f"{factors} times, to fit --size {request.size}"
    if remembered is not None:
        return f"{factors} times, as the indices file says"
    return f"{factors} times, {'as requested' if request.scale is not None else 'the default'}"

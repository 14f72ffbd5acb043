"""One image, from its source to its target."""

from collections.abc import Callable, Mapping
from itertools import chain, starmap
from typing import TYPE_CHECKING, Any, NamedTuple

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Encoding, Picture, open_picture
from upscale_cli.codecs.writing import USUAL_QUALITY, Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.change import Change
from upscale_cli.image.pixels import Frame
from upscale_cli.methods import Method, Scale, Size
from upscale_cli.methods.framed import Framed
from upscale_cli.methods.parameters import shown
from upscale_cli.methods.stacks import to_stack
from upscale_cli.methods.strips import Workers
from upscale_cli.places.place import Source, Target
from upscale_cli.work.arrange import Arrangement, arrange
from upscale_cli.work.borders import border_of, with_room
from upscale_cli.work.estimate import check_frames
from upscale_cli.work.kept import kept_duration, kept_metadata, note_first_loss, note_idle
from upscale_cli.work.result import Result

if TYPE_CHECKING:
    from upscale_cli.work.request import Request

MODES = {1: "L", 3: "RGB"}
"""The image that a number of channels is, where a kernel makes other channels than the source has."""
USUAL_STEPS = 369
"""The sum of the quantisation steps of luma in a JPEG of quality 95, as libjpeg writes it."""


def enlarge(
    request: "Request",
    source: Source,
    target: Target,
    *,
    workers: Workers | None,
    progress: Callable[[int], None],
) -> Result:
    """Make one target of one source, as `Work.carry_out` says.

    Raises
    ------
    UpscaleError
        If it cannot be done; the sentence does not name the source.
    """
    times = source.times() if request.preserve_times else None
    with open_picture(source.open(), request.reading) as picture:
        request = request.of(picture)
        parameters, remembered = request.read_parameters(source, picture.values)
        parameters = request.heeding(parameters, picture)
        format, result = request.format_for(picture), Result()
        check_frames(picture, format)
        work = _Enlargement(
            request=request,
            picture=picture,
            format=format,
            parameters=parameters,
            remembered=remembered,
            result=result,
            workers=workers,
            progress=progress,
        )
        frames = starmap(work.enlarged, enumerate(picture.frames(request.reads_by_rows(picture, format))))
        first = next(frames)
        altered = result.before == result.after and not request.method.settled(parameters).interpolates
        how = Writing(
            format=format,
            metadata=first.metadata,
            encoding=_followed(request, picture, format, altered),
            frame_count=picture.count,
            quality=request.quality or USUAL_QUALITY,
            lossless=not format.lossy,
            ndim=picture.ndim,
            channels_first=bool(request.reading.channels_first),
            sides=result.after[::-1],
            compression=request.compression,
            head=picture.volume.head(result.after[::-1], request.strip) if picture.volume else b"",
        )
        with target.dated(times).commit(request.overwrite) as (stream,):
            format.load_codec().write(stream, chain((first,), frames), how)
        result.note(*picture.notes)
        note_idle(request.reading, picture, format, result)
        if request.quality is None:
            note_first_loss(picture, format, how.quality, result)
    return result


def _followed(request: "Request", picture: Picture, format: Format, altered: bool) -> Encoding:
    """Return how the source was compressed, as far as the result follows it, which has the same format."""
    encoding = picture.encoding
    # By name: what another process is given is another object.
    if format.name != picture.format.name:
        encoding = encoding._replace(tables=(), subsampling=None)
    # What a method alters in the same blocks, as restoring does, is less than a step of the same tables.
    if request.quality is not None or (altered and sum(encoding.luma) > USUAL_STEPS):
        encoding = encoding._replace(tables=())
    return encoding._replace(subsampling=request.subsampling or encoding.subsampling)


class _Enlargement(NamedTuple):
    """What the frames of one image have in common."""

    request: "Request"
    picture: Picture
    format: Format
    parameters: dict[str, Any]
    remembered: Size | None
    result: Result
    workers: Workers | None
    progress: Callable[[int], None]

    def enlarged(self, index: int, frame: Frame) -> Enlarged:
        """Return a frame with its upsampler, if the limits allow it."""
        request, picture, result = self.request, self.picture, self.result
        method = request.method.settled(self.parameters)
        apart, several = request.alpha == "separate", picture.count > 1
        if bordered := request.fit == "pad":
            frame = with_room(frame, request.background, self.format)
        ready = arrange(
            frame, method, self.format, several=several, linear=request.linear, apart=apart, bordered=bordered
        )
        result.note(*ready.notes)
        sides = ready.frame.samples.shape[:-1]
        parameters = _parameters_of_frame(self.parameters, index, picture.channels_first, len(sides))
        before = (*sides, ready.samples.channels)
        scale, after, size = request.resolved(before, self.remembered, parameters)
        # Frames may differ in size.
        task = request.task(picture, self.format, parameters, after[-1])
        for each in (after[:-1], size):
            task._replace(before=sides).check_size(each)
        result.note(*filter(None, [method.warn(before, scale, parameters)]))
        if not result.decisions:
            result.decisions = {
                "method": method_explained(method, before, scale, parameters),
                "size": size_explained(request, self.remembered, scale, method),
                "colour": ready.colour,
            }
        result.before, result.after, result.frames = sides[::-1], size[::-1], picture.count
        samples, mode, extra = ready.samples, ready.mode, ready.frame.extra
        channels = samples.channels_out
        if after[-1] != samples.channels:
            mode, extra = _mode_of_channels(ready, after[-1], self.format)
            samples, channels = samples._replace(alpha=False, opaque=False), after[-1]
        flat, made, shown_size = ((1, *each)[-2:] for each in (sides, after[:-1], size))
        change = Change(flat, made, frame.metadata.orientation, shown_size)
        change = change._replace(grid=parameters.get("grid", change.grid))
        metadata = kept_metadata(
            frame, mode, picture, format=self.format, change=change, strip=request.strip, result=result
        )
        upsampler = method.make(
            ready.frame.samples, scale=scale, size=after[:-1], samples=samples, parameters=parameters
        )
        if size != after[:-1]:
            border = border_of(ready, mode, channels, request.background) if bordered else None
            upsampler = Framed(upsampler, size, border)
        return Enlarged(
            upsampler=upsampler,
            finish=samples.finisher(method.values == "weighed", upsampler.averages),
            shape=(*upsampler.shape[:2], channels),
            dtype=samples.target,
            mode=mode,
            palette=ready.frame.palette,
            duration=kept_duration(frame.duration, self.format, result),
            metadata=metadata,
            extra=extra,
            quantised=ready.quantised,
            workers=self.workers,
            progress=self.progress,
        )


def _mode_of_channels(ready: Arrangement, channels: int, format: Format) -> tuple[Any, tuple[int, ...]]:
    """Return the mode, and the further channels, of a result whose channels a kernel has mixed."""
    if ready.mode is None:
        return None, ()
    if channels in MODES:
        return MODES[channels], ()
    if not format.bands:
        raise UpscaleError(
            f"the result would have {channels} channels, which {format.title} cannot store; use --format npy or tiff."
        )
    return "L", (0,) * (channels - 1)


def _parameters_of_frame(parameters: dict[str, Any], index: int, channels_first: bool, axes: int) -> dict[str, Any]:
    """Return the parameters of one frame: of indices for several frames, those of this one, as (H, W, C)."""
    indices = parameters.get("indices")
    if indices is None:
        return parameters
    stack = to_stack(indices, channels_first, axes)
    if index >= len(stack) > 1:
        raise UpscaleError(f"has more frames than the {len(stack)} for which there are indices.")
    return parameters | {"indices": stack[index if len(stack) > 1 else 0]}


def method_explained(method: Method, shape: tuple[int, int, int], scale: Scale, parameters: Mapping[str, Any]) -> str:
    """Describe a method with its parameters, defaults included unless many methods share them."""
    given = [(p, parameters.get(p.name)) for p in method.parameters if not p.file]
    values = [
        f"{p.name}={shown(value)}" for p, value in given if value not in (None, p.default if p.common else None)
    ]
    own = method.explain(shape, scale, parameters)
    return f"{', '.join([method.name, *values])}: {own or f'{method.summary} ({method.source})'}"


def size_explained(request: "Request", remembered: Size | None, scale: Scale, method: Method) -> str:
    """Describe the factors, and who chose them."""
    each = [f"{float(s):.4g}" for s in reversed(scale)]
    factors = each[0] if len(set(each)) == 1 else "x".join(each)
    if request.size is not None:
        why = f"to fit --size {request.size}"
    elif remembered is not None:
        why = "as the indices file says"
    else:
        why = "as requested" if request.scale is not None else "the default"
    unchanged = ", which changes no pixel" if set(scale) == {1} and method.interpolates else ""
    return f"{factors} times, {why}{unchanged}"

"""Max pooling of images: the encoder's half of max unpooling."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from upscale_cli.codecs.finding import written_for
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import USUAL, Picture, Reading, open_picture
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.change import Change
from upscale_cli.image.pixels import Frame
from upscale_cli.methods import METHODS, Method, Parameter
from upscale_cli.methods.placement import Nearest, Pair, Pooled, max_pool, pooled_sides
from upscale_cli.methods.stacks import array_ndim, from_stack
from upscale_cli.methods.strips import Workers
from upscale_cli.methods.upsampler import Array
from upscale_cli.places.place import Source, Target
from upscale_cli.work.arrange import arrange
from upscale_cli.work.estimate import Task, check_frames
from upscale_cli.work.kept import kept_metadata, note_first_loss
from upscale_cli.work.result import Result


def _unpooling() -> tuple[Method, Parameter]:
    """Return the method that undoes max pooling, and its parameter of indices, which lie beside the image."""
    return next((method, p) for method in METHODS.values() for p in method.parameters if p.beside)


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """Max pooling, as a `Work` of batches.

    Attributes
    ----------
    window, stride, padding, dilation : (int, int)
        For (vertical, horizontal), as `max_pool` takes them.
    ceil, overwrite : bool
    resume : bool
        Of an image and its indices, what exists already stays.
    format : Format or None
        The format that was named for the result.
    """

    window: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False
    reading: Reading = USUAL
    overwrite: bool = False
    format: Format | None = None
    resume: bool = False

    reads: ClassVar[tuple[Source, ...]] = ()
    reads_beside: ClassVar[tuple[str, ...]] = ()

    @property
    def _geometry(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "ceil": self.ceil}

    def with_format(self, format: Format) -> "Pooling":
        return replace(self, format=format)

    def targets(self, target: Target) -> tuple[Target, ...]:
        return target.beside(str(_unpooling()[1].beside)), target

    def format_for(self, picture: Picture) -> Format:
        """Return the format of a result: the one that was named, else that of a lossless source.

        It is written without loss if it can be: a changed value is no longer the maximum.
        """
        format = self.format or (FORMATS["png"] if picture.format.lossy else written_for(picture.format))
        return format.lossless() if format.without_loss == {} else format

    def label(self, expected: Result, several: bool) -> str:
        return "pooled"

    def fields(self, expected: Result) -> dict[str, object]:
        width, height = expected.after
        scale = "x".join(dict.fromkeys(str(side) for side in reversed(self.stride)))
        return {"method": "pooled", "scale": scale, "width": width, "height": height}

    def check(self, picture: Picture, source: Source) -> Result:
        format = self.format_for(picture)
        check_frames(picture, format)
        height, width = pooled_sides((picture.height, picture.width), self.window, **self._geometry)
        values = height * width * picture.channels
        task = Task(
            picture=picture,
            format=format,
            channels=picture.channels,
            # The values and the indices of each frame, and while one is pooled as much twice again.
            extra=values * (picture.itemsize + 8) * (picture.count + 3),
            channels_first=bool(self.reading.channels_first),
        )
        return task.expected((height, width))

    def carry_out(
        self,
        source: Source,
        target: Target,
        workers: Workers | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> Result:
        """Make the pooled image of one source, and beside it the indices that max unpooling needs.

        Both are complete before either takes its name, and the indices take theirs first: people and
        `--skip-existing` look for the image, and one without its indices would look complete and could not be
        unpooled.

        Raises
        ------
        UpscaleError
            If it cannot be done; the sentence does not name the source.
        """
        indices = self.targets(target)[0]
        result = Result()
        with open_picture(source.open(), self.reading) as picture:
            format = self.format_for(picture)
            pooled: list[Pooled] = []
            frames = []
            for frame in picture.frames():
                values, enlarged = self._pooled(frame, picture, format, result=result)
                pooled.append(values)
                frames.append(enlarged._replace(workers=workers, progress=progress))
            result.note(*picture.notes)
            note_first_loss(picture, format, 100, result)
            result.before, result.frames = (picture.width, picture.height), picture.count
            how = Writing(
                format=format,
                metadata=frames[0].metadata,
                frame_count=picture.count,
                quality=100,
                lossless=not format.lossy,
                ndim=picture.ndim,
                channels_first=bool(self.reading.channels_first),
            )
            missing = [each for each in (indices, target) if not (self.resume and each.exists())]
            stacked = self._stacked(pooled, picture)
            if not missing:  # another run was faster
                return result
            with missing[-1].commit(self.overwrite, *missing[:-1]) as streams:
                for each, stream in zip(missing, streams, strict=True):
                    if each is target:
                        format.load_codec().write(stream, iter(frames), how)
                    else:
                        np.savez_compressed(stream, indices=stacked, size=np.array(pooled[0].size))
        return result

    def _pooled(self, frame: Frame, picture: Picture, format: Format, *, result: Result) -> tuple[Pooled, Enlarged]:
        """Return a pooled frame, and how it is written."""
        # Pooling only chooses samples, so they are kept like those that a method places.
        ready = arrange(frame, _unpooling()[0], format, several=picture.count > 1)
        result.note(*ready.notes)
        result.decisions["colour"] = ready.colour
        pooled = max_pool(ready.frame.samples, self.window, **self._geometry)
        height, width, channels = pooled.values.shape
        result.after = width, height
        change = Change(frame.samples.shape[:2], (height, width), frame.metadata.orientation, (height, width))
        enlarged = Enlarged(
            upsampler=Nearest(pooled.values, (height, width)),
            finish=ready.samples.finisher(weighed=False),
            shape=(height, width, channels - ready.samples.flatten),
            dtype=ready.samples.target,
            mode=ready.mode,
            duration=frame.duration,
            extra=ready.frame.extra,
            metadata=kept_metadata(frame, ready.mode, picture, format=format, change=change, result=result),
            quantised=ready.quantised,
        )
        return pooled, enlarged

    def _stacked(self, pooled: list[Pooled], picture: Picture) -> Array:
        """Return the indices of all frames, in the layout of an array file."""
        if any(each.indices.shape != pooled[0].indices.shape for each in pooled):
            raise UpscaleError("has pages of different sizes; pool them one by one.")
        stack = np.stack([each.indices for each in pooled])
        ndim = picture.ndim or array_ndim(picture.count, stack.shape[3])
        return np.ascontiguousarray(from_stack(stack, ndim, self.reading.channels_first and picture.ndim > 0))

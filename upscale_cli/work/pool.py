"""Pooling of images: the encoder's half of max unpooling; or averages."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

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
from upscale_cli.methods.parameters import shown
from upscale_cli.methods.placement import Nearest
from upscale_cli.methods.pooling import Pooled, Windows, average_pool, max_pool
from upscale_cli.methods.stacks import array_ndim, from_stack
from upscale_cli.methods.strips import Workers
from upscale_cli.methods.upsampler import Array
from upscale_cli.places.place import Source, Target
from upscale_cli.work.arrange import arrange
from upscale_cli.work.estimate import Task, check_frames
from upscale_cli.work.kept import kept_metadata, note_first_loss, note_idle
from upscale_cli.work.result import Result


def _unpooling() -> tuple[Method, Parameter]:
    """Return the method that undoes max pooling, and its parameter of indices, which lie beside the image."""
    return next((method, p) for method in METHODS.values() for p in method.parameters if p.beside)


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """Pooling, as a `Work` of batches."""

    windows: Windows
    average: bool = False
    """Average pooling, which has no indices; else max pooling."""
    count_padding: bool = False
    """Averages count the padding as zeros."""
    reading: Reading = USUAL
    overwrite: bool = False
    format: Format | None = None
    """The format that was named for the result."""
    resume: bool = False
    """Of an image and its indices, what exists already stays."""

    reads: ClassVar[tuple[Source, ...]] = ()
    reads_beside: ClassVar[tuple[str, ...]] = ()

    @property
    def _method(self) -> Method:
        """The method whose values are treated like these: max pooling chooses samples as unpooling places them."""
        return _unpooling()[0]._replace(values="weighed" if self.average else "placed")

    def with_format(self, format: Format) -> "Pooling":
        return replace(self, format=format)

    def targets(self, target: Target) -> tuple[Target, ...]:
        return (target,) if self.average else (target.beside(str(_unpooling()[1].beside)), target)

    def format_for(self, picture: Picture) -> Format:
        """Return the format of a result: the one that was named, else that of a lossless source.

        It is written without loss if it can be: a changed value is no longer the maximum.
        """
        format = self.format or (FORMATS["png"] if picture.format.lossy else written_for(picture.format))
        return format.lossless() if format.without_loss == {} else format

    def label(self, expected: Result, several: bool) -> str:
        return "pooled"

    def fields(self, expected: Result) -> dict[str, object]:
        width, height = (*expected.after, 1)[:2]
        scale = shown(self.windows.stride or self.windows.window)
        return {"method": "pooled", "scale": scale, "width": width, "height": height}

    def check(self, picture: Picture, source: Source) -> Result:
        format = self.format_for(picture)
        check_frames(picture, format)
        counts = self.windows.of(picture.sides).counts
        values = prod(counts) * picture.channels
        if (axes := len(counts)) != 2 and not format.arrays:
            raise UpscaleError(f"has {axes} spatial axes, which {format.title} cannot store; use --format npy.")
        task = Task(
            picture=picture,
            format=format,
            channels=picture.channels,
            # The values and the indices of each frame, and while one is pooled as much twice again; or floats.
            extra=prod(picture.sides) * picture.channels * 8 * self.average
            + values * (picture.itemsize + 8) * (picture.count + 3),
            channels_first=bool(self.reading.channels_first),
        )
        return task.expected(counts)

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
        unpooled. The sentence of an `UpscaleError` does not name the source.
        """
        targets, result = self.targets(target), Result()
        with open_picture(source.open(), self.reading) as picture:
            format = self.format_for(picture)
            check_frames(picture, format)
            pooled: list[Pooled] = []
            frames = []
            for frame in picture.frames():
                enlarged = self._pooled(frame, picture, format, result=result, pooled=pooled)
                frames.append(enlarged._replace(workers=workers, progress=progress))
            result.note(*picture.notes)
            note_idle(self.reading, picture, format, result)
            note_first_loss(picture, format, 100, result)
            result.before, result.frames = picture.sides[::-1], picture.count
            how = Writing(
                format=format,
                metadata=frames[0].metadata,
                frame_count=picture.count,
                quality=100,
                lossless=not format.lossy,
                ndim=picture.ndim,
                channels_first=bool(self.reading.channels_first),
                sides=result.after[::-1],
            )
            stacked = self._stacked(pooled, picture) if pooled else np.empty(0)
            missing = [each for each in targets if not (self.resume and each.exists())]
            if not missing:  # another run was faster
                return result
            with missing[-1].commit(self.overwrite, *missing[:-1]) as streams:
                for each, stream in zip(missing, streams, strict=True):
                    if each is target:
                        format.load_codec().write(stream, iter(frames), how)
                    else:
                        np.savez_compressed(stream, indices=stacked, size=np.array(pooled[0].size))
        return result

    def _pooled(
        self, frame: Frame, picture: Picture, format: Format, *, result: Result, pooled: list[Pooled]
    ) -> Enlarged:
        """Return how a pooled frame is written; maxima are added to those of the other frames."""
        ready = arrange(frame, self._method, format, several=picture.count > 1)
        result.note(*ready.notes)
        result.decisions["colour"] = ready.colour
        if self.average:
            values = average_pool(ready.samples.read(ready.frame.samples), self.windows, self.count_padding)
        else:
            pooled.append(max_pool(ready.frame.samples, self.windows))
            values = pooled[-1].values
        result.after = values.shape[-2::-1]
        values = values.reshape(-1, *values.shape[-2:])
        height, width, _ = values.shape
        before = (1, *frame.samples.shape[:-1])[-2:]
        change = Change(before, (height, width), frame.metadata.orientation, (height, width))
        return Enlarged(
            upsampler=Nearest(values, (height, width)),
            finish=ready.samples.finisher(weighed=self.average),
            shape=(height, width, ready.samples.channels_out),
            dtype=ready.samples.target,
            mode=ready.mode,
            duration=frame.duration,
            extra=ready.frame.extra,
            metadata=kept_metadata(frame, ready.mode, picture, format=format, change=change, result=result),
            quantised=ready.quantised,
        )

    def _stacked(self, pooled: list[Pooled], picture: Picture) -> Array:
        """Return the indices of all frames, in the layout of an array file."""
        if any(each.indices.shape != pooled[0].indices.shape for each in pooled):
            raise UpscaleError("has pages of different sizes; pool them one by one.")
        stack = np.stack([each.indices for each in pooled])
        ndim = picture.ndim or array_ndim(picture.count, stack.shape[-1])
        return np.ascontiguousarray(from_stack(stack, ndim, self.reading.channels_first and picture.ndim > 0))

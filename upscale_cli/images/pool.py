"""Max pooling of images: the encoder's half of max unpooling."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.images.arrange import arrange
from upscale_cli.images.encode import Enlarged, Writing, write
from upscale_cli.images.enlarge import Result, check_frames, kept_metadata
from upscale_cli.images.files import Picture, array_ndim, from_stack
from upscale_cli.images.formats import FORMATS, Format
from upscale_cli.images.limits import Task
from upscale_cli.images.pixels import Frame
from upscale_cli.images.targets import replacing_together
from upscale_cli.methods import METHODS
from upscale_cli.methods.placement import Nearest, Pair, Pooled, max_pool, pooled_sides
from upscale_cli.methods.upsampler import Array

INDICES = ".indices.npz"
"""How the name of the remembered places ends, instead of the pooled image's extension."""


@dataclass(frozen=True)
class Pooling:
    """What is to be done to each image. It can be sent to another process.

    Attributes
    ----------
    window, stride, padding, dilation : (int, int)
        For (vertical, horizontal), as `max_pool` takes them.
    ceil, channels_first, overwrite : bool
    resume : bool
        Of an image and its places, what is there already stays.
    format : Format or None
        The one to write, where it was named.
    """

    window: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False
    channels_first: bool = False
    overwrite: bool = False
    format: Format | None = None
    resume: bool = False

    @property
    def reads(self) -> tuple[Path, ...]:
        """Files that are read for every source."""
        return ()

    def with_format(self, format: Format) -> "Pooling":
        """The same, with another format named."""
        return replace(self, format=format)

    def files(self, target: Path) -> tuple[Path, ...]:
        """All that is written for a target, in this order."""
        return target.with_name(target.stem + INDICES), target

    def format_for(self, picture: Picture) -> Format:
        """The format to write: the one that was named, else the one that was read, if it changes no value."""
        return self.format or (FORMATS["png"] if picture.format.lossy else picture.format)

    def label(self, expected: Result) -> str:
        """What a result's name says about it."""
        return "pooled"

    def check(self, picture: Picture, source: Path | bytes) -> Result:
        """What the header of a source tells about its result; raises `UpscaleError` when there can be none."""
        format = self.format_for(picture)
        check_frames(picture, format)
        sides = pooled_sides(
            (picture.height, picture.width),
            self.window,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil=self.ceil,
        )
        values = sides[0] * sides[1] * picture.channels
        task = Task(
            picture.height,
            picture.width,
            picture.count,
            picture.decoded,
            format,
            picture.channels,
            picture.itemsize,
            # Of each frame the values and the places, and while one is pooled as much twice again.
            extra=values * (picture.itemsize + 8) * (picture.count + 3),
            turned=self.channels_first and not format.holds,
        )
        task.check_memory(sides)
        before, after = (picture.width, picture.height), (sides[1], sides[0])
        return Result(before, after, picture.count, memory=task.memory(sides))

    def carry_out(
        self,
        source: Path | bytes,
        target: Path | BinaryIO,
        executor: Executor | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> Result:
        """Make the pooled image of one source, and beside it the places that max unpooling needs.

        Both are complete before either takes its name, and the places take theirs first: the image is what people
        and `--skip-existing` look for, and one without its places would look complete and could not be unpooled.

        Raises
        ------
        UpscaleError
            When it cannot be done; the sentence does not name the source.
        """
        if not isinstance(target, Path):
            raise UpscaleError("needs a file to write the remembered places beside; give one as --output.")
        result = Result()
        with Picture(source, self.channels_first) as picture:
            format = self.format_for(picture)
            pooled: list[Pooled] = []

            def made(frame: Frame) -> Enlarged:
                # Pooling only chooses samples, so they are kept like those that a method places.
                ready = arrange(frame, METHODS["max-unpooling"], format, picture.metadata, linear=False)
                for note in ready.notes:
                    result.note(note)
                result.decisions["colour"] = ready.colour
                pooled.append(
                    max_pool(
                        ready.frame.samples,
                        self.window,
                        stride=self.stride,
                        padding=self.padding,
                        dilation=self.dilation,
                        ceil=self.ceil,
                    )
                )
                values = pooled[-1].values
                rows, samples = Nearest(values, values.shape[:2]), ready.samples
                height, width, channels = values.shape
                result.after = width, height
                return Enlarged(
                    rows,
                    samples.finisher(weighed=False),
                    (height, width, channels - samples.flatten),
                    samples.target,
                    ready.mode,
                    None,
                    frame.duration,
                    ready.colours,
                    executor,
                    progress,
                )

            frames = [made(frame) for frame in picture.frames()]
            result.before, result.frames = (picture.width, picture.height), picture.count
            metadata = kept_metadata(picture, frames[0], format, False, result)
            how = Writing(format, 100, metadata, picture.count, picture.ndim, self.channels_first)
            files = [path for path in self.files(target) if not (self.resume and path.is_file())]
            places = self._places(pooled, picture)
            with replacing_together(files, overwrite=self.overwrite) as streams:
                for path, stream in zip(files, streams, strict=True):
                    if path == target:
                        write(stream, iter(frames[1:]), frames[0], how)
                    else:
                        np.savez_compressed(stream, indices=places, size=np.array(pooled[0].size))
        return result

    def _places(self, pooled: list[Pooled], picture: Picture) -> Array:
        """The indices of all frames, in the layout of an array file."""
        if any(each.indices.shape != pooled[0].indices.shape for each in pooled):
            raise UpscaleError("has pages of different sizes; pool them one by one.")
        stack = np.stack([each.indices for each in pooled])
        ndim = picture.ndim or array_ndim(picture.count, stack.shape[3])
        return np.ascontiguousarray(from_stack(stack, ndim, self.channels_first and picture.ndim > 0))

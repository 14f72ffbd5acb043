"""Max pooling of images: the encoder's half of max unpooling."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.images.arrange import arrange
from upscale_cli.images.encode import Enlarged, Writing
from upscale_cli.images.enlarge import Result, check_frames, kept_metadata, write_target
from upscale_cli.images.files import Picture, array_ndim, from_stack
from upscale_cli.images.formats import FORMATS, Format
from upscale_cli.images.pixels import Frame
from upscale_cli.images.targets import replacing
from upscale_cli.methods import METHODS
from upscale_cli.methods.placement import Nearest, Pair, Pooled, max_pool, pooled_sides

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

    def with_format(self, format: Format) -> "Pooling":
        """The same, with another format named."""
        return replace(self, format=format)

    def format_for(self, picture: Picture) -> Format:
        """The format to write: the one that was named, else the one that was read, if it changes no value."""
        return self.format or (FORMATS["png"] if picture.format.lossy else picture.format)

    def label(self, expected: Result) -> str:
        """What a result's name says about it."""
        return "pooled"

    def check(self, picture: Picture, source: Path | bytes) -> Result:
        """What the header of a source tells about its result; raises `UpscaleError` when there can be none."""
        check_frames(picture, self.format_for(picture))
        sides = pooled_sides(
            (picture.height, picture.width), self.window, self.stride, self.padding, self.dilation, self.ceil
        )
        return Result((picture.width, picture.height), (sides[1], sides[0]), picture.count)

    def carry_out(
        self,
        source: Path | bytes,
        target: Path | BinaryIO,
        executor: Executor | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> Result:
        """Make the pooled image of one source, and beside it the places that max unpooling needs.

        The places are written first: an image without them would look complete and could not be unpooled.

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
                pooled.append(
                    max_pool(ready.frame.samples, self.window, self.stride, self.padding, self.dilation, self.ceil)
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
            self._write_indices(target.with_name(target.stem + INDICES), pooled, picture)
            rest: Iterator[Enlarged] = iter(frames[1:])
            write_target(target, self.overwrite, rest, frames[0], how)
        return result

    def _write_indices(self, path: Path, pooled: list[Pooled], picture: Picture) -> None:
        if any(each.indices.shape != pooled[0].indices.shape for each in pooled):
            raise UpscaleError("has pages of different sizes; pool them one by one.")
        stack = np.stack([each.indices for each in pooled])
        ndim = picture.ndim or array_ndim(picture.count, stack.shape[3])
        indices = np.ascontiguousarray(from_stack(stack, ndim, self.channels_first and picture.ndim > 0))
        with replacing(path, overwrite=self.overwrite) as stream:
            np.savez_compressed(stream, indices=indices, size=np.array(pooled[0].size))

"""Frames of planes, luma and chroma, enlarged as planes: nothing goes by way of RGB."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np

from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import Picture, check_source
from upscale_cli.codecs.y4m import Film
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods.grid import grids
from upscale_cli.methods.method import rounded_shape
from upscale_cli.methods.planes import off_grid
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.strips import Workers, strip_ranges
from upscale_cli.methods.upsampler import Array
from upscale_cli.places.place import Source, Target
from upscale_cli.work.enlarge import method_explained, size_explained
from upscale_cli.work.request import Request
from upscale_cli.work.result import Result

RGB = "pipe RGB frames: ffmpeg -i FILE -f image2pipe -c:v ppm -"
"""What to do where planes cannot be enlarged."""


class Planes(NamedTuple):
    """What is done to each frame of a Y4M stream: a `Work` whose sources are frames, each with its line.

    Attributes
    ----------
    request : Request
    film, after : Film
        The stream, and the enlarged one.
    parameters : mapping
        Of the method.
    scale
        The exact factors.
    expected : Result
        What is known of each frame.
    """

    request: Request
    film: Film
    after: Film
    parameters: Mapping[str, Any]
    scale: Any
    expected: Result

    @classmethod
    def of(cls, request: Request, film: Film, source: Source) -> "Planes":
        """Return the work on a stream, after everything has been checked that can be checked.

        Raises
        ------
        UpscaleError
            If the limits do not allow it, or planes cannot be enlarged so.
        """
        check_source(film.height, film.width, request.reading)
        if request.format is not None:
            raise UsageError(f"--format {request.format.name} needs images, but Y4M frames stay Y4M; {RGB}.")
        if request.linear:
            raise UpscaleError(f"has planes of luma and chroma, which have no linear light; omit --linear, or {RGB}.")
        method, before = request.method, (film.height, film.width, 1)
        if film.chroma and method.values == "copied" and not method.independent:
            raise UpscaleError(f"has planes of luma and chroma, and {method.name} compares whole colours; {RGB}.")
        if film.chroma and method.values == "placed":
            raise UpscaleError(f"has chroma, of which the zeros of {method.name} are green; {RGB}.")
        parameters, remembered = request.read_parameters(source, film.height * film.width)
        scale, (height, width, channels), framed = request.resolved(before, remembered, parameters)
        if min(scale) < 1 or framed != (height, width):
            raise UpscaleError(f"has planes of chroma, which are only enlarged, without a crop or a border; {RGB}.")
        follows = method.resizable or rounded_shape(before, scale, {})[:2] == (height, width)
        if channels != 1 or (film.chroma and not follows):
            raise UpscaleError(f"has chroma, which cannot follow luma through this kernel; {RGB}.")
        size, after = film.dtype.itemsize, film.enlarged(height, width)
        header = SimpleNamespace(sides=before[:2], count=1, itemsize=size, decoded=3 * size, by_rows=0)
        task = request.task(cast(Picture, header), FORMATS["npy"], parameters, 1)
        task.check_size((height, width))
        expected = task._replace(extra=2 * after.size).expected((height, width))
        expected.scale = scale
        expected.note(*filter(None, [method.warn(before, scale, parameters)]))
        if film.fields:
            expected.note(f"is interlaced ({film.fields}), and both fields are enlarged as one picture")
        expected.decisions = {
            "method": method_explained(method, before, scale, parameters),
            "size": size_explained(request, remembered, scale, method.settled(parameters)),
            "colour": f"planes of {film.bits} bits, kept{'; chroma in its place' if film.chroma else ''}",
        }
        own: dict[str, Any] = {"parameters": parameters, "scale": scale, "expected": expected}
        return cls(request=request, film=film, after=after, **own)

    def carry_out(
        self, source: Source, target: Target, workers: Workers | None, progress: Callable[[int], None]
    ) -> Result:
        """Make one frame of one frame; see `Work`."""
        with source.open() as stream:
            content = stream.read()
        start = content.index(b"\n") + 1
        with target.commit(self.request.overwrite) as (stream,):
            stream.write(content[:start])
            for index, plane in enumerate(self.film.planes(content, start)):
                stream.write(self._enlarged(index, plane, progress).data)
        return self.expected

    def _enlarged(self, index: int, plane: Array, progress: Callable[[int], None]) -> Array:
        """Return a plane of the result, as it is stored: the first is luma."""
        method, size = self.request.method.settled(self.parameters), self.after.shapes[index]
        constants = method.keeps_constants or (index > 0 and method.filter is None)
        samples = Samples(plane.dtype, 1, plane.dtype, constants=constants)
        if index == 0:
            upsampler = method.make(plane, scale=self.scale, size=size, samples=samples, parameters=self.parameters)
        else:
            before, after = ((film.height, film.width) for film in (self.film, self.after))
            of_luma = grids(before, after, self.scale, self.parameters)
            down, across = (
                luma.of_plane(step, shift)
                for luma, step, shift in zip(of_luma, self.film.steps, self.film.shifts, strict=True)
            )
            upsampler = off_grid(
                method, plane, size, grids=(down, across), samples=samples, parameters=self.parameters
            )
        finish, made = (
            samples.finisher(method.values == "weighed", upsampler.averages),
            np.empty((*size, 1), plane.dtype),
        )
        for begin, stop in strip_ranges(upsampler):
            upsampler.rows(begin, stop, made[begin:stop], finish)
            progress((stop - begin) * size[1])
        if self.film.bits not in (8, 16):
            np.minimum(made, (1 << self.film.bits) - 1, out=made)
        return made.astype(self.film.dtype, copy=False)

"""What every codec is given to write: frames that are enlarged while they are written, and how to write them."""

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import prod
from shutil import disk_usage
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Encoding
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, Mode, expand_palette, quantise, to_mode, widen
from upscale_cli.machine.memory import in_bytes
from upscale_cli.machine.replacing import SPOOL
from upscale_cli.methods.placement import Nearest
from upscale_cli.methods.strips import Workers, in_order, regrouped, strip_ranges
from upscale_cli.methods.upsampler import Array, Finish, Scratch, Upsampler

T = TypeVar("T")

_scratch = Scratch()

USUAL_QUALITY = 95
"""The quality of lossy formats where none is asked for."""


class Enlarged(NamedTuple):
    """A frame that is enlarged while it is written: a record that is built by keyword.

    Attributes
    ----------
    upsampler, finish : Upsampler, callable
        Its rows, and how they become samples.
    shape : (int, int, int)
        Height, width and channels.
    dtype : numpy.dtype
    mode, palette, duration, extra
        As those of a `Frame`.
    metadata : Metadata
        Of this page, as the target stores them.
    quantised : bool
        Its colours are reduced to a palette.
    workers : Workers or None
        Whose threads compute strips; None to compute them on the calling thread.
    progress : callable
        Called with the number of pixels that each strip adds.
    """

    upsampler: Upsampler
    finish: Finish | None
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    mode: Mode | None
    palette: NDArray[np.uint8] | None = None
    duration: float | None = None
    metadata: Metadata = Metadata()
    extra: tuple[int, ...] = ()
    quantised: bool = False
    workers: Workers | None = None
    progress: Callable[[int], None] = lambda pixels: None

    @property
    def size(self) -> int:
        """Bytes of its samples as they are in memory."""
        return prod(self.shape) * self.dtype.itemsize

    def strips(self) -> Iterator[Array]:
        """Yield the rows of each strip, in order; the workers' threads compute them."""
        return self._counted(in_order(self._computed, strip_ranges(self.upsampler), self.workers))

    def packed(self, pack: Callable[[Array, bool, bool], T], rows: int | None = None) -> Iterator[T]:
        """Yield `pack(rows, is first, is last)` for each strip, in order; the workers' threads do the work.

        Parameters
        ----------
        pack : callable
            It does not keep the rows that it is given: the next strip may be written over them.
        rows : int, optional
            Rows of every strip but the last; by default as many as are computed at once.
        """
        ranges, height = list(strip_ranges(self.upsampler)), self.shape[0]
        if rows is None or all(start % rows == 0 for start, _ in ranges):
            # The thread that computes some strips packs them while they are in its cache.
            def make(strip: tuple[int, int]) -> list[T]:
                (start, stop), step = strip, rows or height
                made = self._computed(strip, _scratch.get("rows", (stop - start, *self.shape[1:]), self.dtype))
                parts = range(start, stop, step)
                return [pack(made[top - start :][:step], top == 0, top + step >= stop == height) for top in parts]

            for parts in self._counted(in_order(make, ranges, self.workers)):
                yield from parts
            return
        starts = range(0, height, rows)

        def put_together(numbered: tuple[int, list[Array]]) -> T:
            start, group = numbered
            return pack(group[0] if len(group) == 1 else np.concatenate(group), start == 0, start == starts[-1])

        yield from in_order(put_together, zip(starts, regrouped(self.strips(), rows), strict=True), self.workers)

    def even_rows(self, step: int, most: int) -> int:
        """Return how many rows strips of one height shall have: a multiple of `step`, about `most` at most.

        Rows are not copied from strip to strip if their number divides that of the strips that are computed.
        """
        _, computed = next(strip_ranges(self.upsampler))
        most = max(step, most // step * step)
        fitting = [rows for rows in range(step, min(most, computed) + 1, step) if computed % rows == 0]
        return fitting[-1] if fitting and fitting[-1] >= min(most, computed) / 2 else most

    def frame(self) -> Frame:
        """Return the complete frame, in memory."""
        samples = np.empty(self.shape, self.dtype)

        def make(strip: tuple[int, int]) -> None:
            self.upsampler.rows(*strip, samples[slice(*strip)], self.finish)

        for _ in self._counted(in_order(make, strip_ranges(self.upsampler), self.workers)):
            pass
        frame = Frame(samples, self.mode, self.palette, self.duration, metadata=self.metadata, extra=self.extra)
        return quantise(frame) if self.quantised else frame

    def _computed(self, strip: tuple[int, int], rows: Array | None = None) -> Array:
        if rows is None:
            rows = np.empty((strip[1] - strip[0], *self.shape[1:]), self.dtype)
        return self.upsampler.rows(*strip, rows, self.finish)

    def _counted(self, made: Iterator[T]) -> Iterator[T]:
        """Yield the results as they come, and report the pixels of each as progress."""
        for (start, stop), result in zip(strip_ranges(self.upsampler), made, strict=True):
            self.progress((stop - start) * self.shape[1])
            yield result


class Writing(NamedTuple):
    """How an image is written: a record that is built by keyword.

    Attributes
    ----------
    format : Format
    metadata : Metadata
        Of the first frame, as the target stores them; every codec takes what its format can store.
    encoding : Encoding
        How the source was compressed, as far as the result follows it.
    frame_count : int
    quality : int
        1 … 100, for lossy formats.
    ndim : int
        Dimensions of the source if it is an array, else 0.
    channels_first : bool
        An array is written as (C, H, W) or (N, C, H, W).
    sides : tuple of int
        The sides of the volumes, images or lines of an array, of which each frame has all rows; those of the first
        frame by default.
    compression : str or None
        One of the format's `compressions`; None for the usual one.
    lossless : bool
        Formats that can do both keep every value.
    head : bytes
        Of a volume: what stands before its samples, as the format stores it.
    """

    format: Format
    metadata: Metadata
    encoding: Encoding = Encoding()
    frame_count: int = 1
    quality: int = USUAL_QUALITY
    ndim: int = 0
    channels_first: bool = False
    sides: tuple[int, ...] = ()
    compression: str | None = None
    lossless: bool = False
    head: bytes = b""

    def stored(self, *names: str) -> dict[str, Any]:
        """Return the metadata of some names as keyword arguments: None for what there is not."""
        present = self.metadata.present()
        return {name: present.get(name) for name in names}


def check_room(stream: BinaryIO, size: int) -> None:
    """Raise `UpscaleError` if a result of so many bytes does not fit onto the disk of a stream: before hours of work.

    It is asked where the size is certain. A stream that is no file has room, and so has all that is small.
    """
    free = size
    if size > SPOOL:
        with suppress(OSError, ValueError, TypeError):  # no file; and Windows asks for names only
            free = disk_usage(stream.fileno()).free
    if free < size:
        from tempfile import SpooledTemporaryFile, gettempdir

        where, way = "where it goes", "use another --output"
        if isinstance(stream, SpooledTemporaryFile):
            where, way = f'in "{gettempdir()}", where temporary files go', "set TMPDIR to another folder"
        raise UpscaleError(
            f"would take {in_bytes(size)}, but only {in_bytes(free)} is free {where}; free some space, or {way}."
        )


def same_size(frames: list[Frame], format: Format) -> list[Frame]:
    """Return frames of one size as they are.

    Raises
    ------
    UpscaleError
        If they have several sizes.
    """
    if len({frame.samples.shape[:2] for frame in frames}) > 1:
        raise UpscaleError(
            f"has pages of different sizes, but all frames of a {format.title} have one size; use --format tiff."
        )
    return frames


def alike(frames: list[Frame], format: Format) -> list[Frame]:
    """Return frames as an animation needs them: of one size and, if they differ in kind, of one that stores them all.

    Raises
    ------
    UpscaleError
        If they have several sizes.
    """
    same_size(frames, format)
    if len({(frame.kind, frame.palette is not None and frame.palette.tobytes()) for frame in frames}) == 1:
        return frames
    frames = [expand_palette(widen(frame)) for frame in frames]
    return [to_mode(frame, "RGBA" if any(each.alpha for each in frames) else "RGB") for frame in frames]


def file_of(frame: Frame, how: Writing) -> bytes:
    """Return the file of a frame that its format can store."""
    samples, stream = frame.samples, io.BytesIO()
    copied = Enlarged(
        upsampler=Nearest(samples, samples.shape[:2]),
        finish=None,
        shape=samples.shape,
        dtype=samples.dtype,
        mode=frame.mode,
        palette=frame.palette,
    )
    how.format.load_codec().write(stream, iter((copied,)), how)
    return stream.getvalue()

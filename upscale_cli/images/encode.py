"""Writing an enlarged image: one function a way of writing, chosen by format and pixels."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from upscale_cli.errors import UpscaleError
from upscale_cli.images import arrays, deep
from upscale_cli.images.files import array_ndim, from_stack
from upscale_cli.images.formats import Format
from upscale_cli.images.gif import write_gif
from upscale_cli.images.metadata import Metadata
from upscale_cli.images.pixels import Frame, expand_palette, quantise, to_mode, to_pillow, widen
from upscale_cli.images.png import PngStream, png_chunks
from upscale_cli.images.tiff import write_tiff
from upscale_cli.methods.strips import in_order, strip_ranges
from upscale_cli.methods.upsampler import Array, Finish, Upsampler

T = TypeVar("T")


class Enlarged(NamedTuple):
    """A frame that is enlarged while it is written.

    Attributes
    ----------
    upsampler, finish : Upsampler, callable
        Its rows, and how they become samples.
    shape : (int, int, int)
        Height, width and channels.
    dtype : numpy.dtype
    mode, palette, duration
        As those of a `Frame`.
    colours : bool
        Its colours are to be reduced to a palette.
    executor : Executor or None
        Whose threads make strips.
    progress : callable
        Told how many pixels more are done.
    """

    upsampler: Upsampler
    finish: Finish | None
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    mode: Any
    palette: NDArray[np.uint8] | None
    duration: float | None
    colours: bool
    executor: Executor | None
    progress: Callable[[int], None]

    def strips(self, work: Callable[[Array, bool, bool], T]) -> Iterator[T]:
        """`work(rows, is first, is last)` for each strip, in order; the work is done by the executor's threads."""

        def make(start: int, stop: int) -> T:
            rows = np.empty((stop - start, *self.shape[1:]), self.dtype)
            self.upsampler.rows(start, stop, rows, self.finish)
            return work(rows, start == 0, stop == self.shape[0])

        return self._told(in_order(make, strip_ranges(self.upsampler), self.executor))

    def whole(self) -> Frame:
        """The whole frame, in memory."""
        samples = np.empty(self.shape, self.dtype)

        def make(start: int, stop: int) -> None:
            self.upsampler.rows(start, stop, samples[start:stop], self.finish)

        for _ in self._told(in_order(make, strip_ranges(self.upsampler), self.executor)):
            pass
        frame = Frame(samples, self.mode, self.palette, self.duration)
        return quantise(frame) if self.colours else frame

    def _told(self, made: Iterator[T]) -> Iterator[T]:
        """The results as they come, telling how many pixels each was."""
        for (start, stop), result in zip(strip_ranges(self.upsampler), made, strict=True):
            self.progress((stop - start) * self.shape[1])
            yield result


@dataclass(frozen=True)
class Writing:
    """How an image is to be written: format, quality, metadata, frames, an array's layout, a small or a fast PNG."""

    format: Format
    quality: int
    metadata: Metadata
    count: int
    ndim: int
    channels_first: bool
    small: bool = False


def write(stream: BinaryIO, frames: Iterator[Enlarged], first: Enlarged, how: Writing) -> None:
    """Write all frames, `first` and those of the iterator, to a seekable stream."""
    if how.format.name == "npy":
        _write_npy(stream, frames, first, how)
    elif how.format.name == "tiff":
        _write_tiff(stream, frames, first, how)
    elif how.format.name == "gif":
        pages = (frame.whole() for frame in _chain(first, frames))
        write_gif(stream, pages, loop=how.metadata.loop, comment=how.metadata.comment)
    elif how.format.name == "png" and how.count == 1:
        _write_png(stream, first, how)
    elif how.format.name == "ppm" and first.mode == "RGB" and first.dtype == np.uint16:
        deep.write_deep_ppm(stream, first.whole().samples)
    else:
        _write_pillow(stream, frames, first, how)


def _chain(first: Enlarged, rest: Iterator[Enlarged]) -> Iterator[Enlarged]:
    yield first
    yield from rest


def _write_png(stream: BinaryIO, image: Enlarged, how: Writing) -> None:
    height, width, channels = image.shape
    depth = {"bool": 1, "uint8": 8, "uint16": 16}[image.dtype.name]
    colours = None if image.palette is None else image.palette[:, :3].tobytes()
    opacity = None if image.palette is None else image.palette[:, 3].tobytes().rstrip(b"\xff") or None
    chunks = [*how.metadata.colour, *png_chunks(**_kept(how, "icc", "exif", "xmp", "dpi", "text"))]
    png = PngStream(
        width, height, channels, depth, palette=colours, palette_alpha=opacity, chunks=chunks, small=how.small
    )
    stream.write(png.head())
    for part in image.strips(png.pack):
        stream.write(png.idat(part))
    stream.write(png.tail())


def _write_npy(stream: BinaryIO, frames: Iterator[Enlarged], first: Enlarged, how: Writing) -> None:
    def alike(frame: Enlarged) -> Enlarged:
        if (frame.shape, frame.dtype) != (first.shape, first.dtype):
            raise UpscaleError(
                "has pages of different sizes or kinds, which one array cannot hold; choose --format tiff."
            )
        return frame

    ndim = how.ndim or array_ndim(how.count, first.shape[2])
    if how.channels_first and ndim != 2:
        stack = np.stack([alike(frame).whole().samples for frame in _chain(first, frames)])
        array = np.ascontiguousarray(from_stack(stack, ndim, True))
        stream.write(arrays.header(array.shape, array.dtype))
        stream.write(array.data)
        return
    shape = (how.count, *first.shape)
    kept = shape if ndim == 4 else shape[1:3] if shape[3] == 1 and ndim == 2 else shape[1:]
    stream.write(arrays.header(kept, first.dtype))
    for frame in _chain(first, frames):
        for rows in alike(frame).strips(lambda rows, *_: rows):
            stream.write(rows.data)


def _write_tiff(stream: BinaryIO, frames: Iterator[Enlarged], first: Enlarged, how: Writing) -> None:
    pages = (frame.whole() for frame in _chain(first, frames))
    write_tiff(stream, pages, **_kept(how, "icc", "exif", "xmp", "dpi"))


def _kept(how: Writing, *names: str) -> dict[str, Any]:
    """The metadata of some names, None where there is none."""
    present = how.metadata.present()
    if "text" in names and "comment" in present:
        present["text"] = {"Comment": _decoded(present["comment"])} | present.get("text", {})
    return {name: present.get(name) for name in names}


def _decoded(text: bytes) -> str:
    """A text of unknown encoding."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _write_pillow(stream: BinaryIO, frames: Iterator[Enlarged], first: Enlarged, how: Writing) -> None:
    # Pillow wants the durations of all frames before it asks for the frames.
    whole = _alike([frame.whole() for frame in _chain(first, frames)], how)
    images = [to_pillow(frame.samples, str(frame.mode), frame.palette) for frame in whole]
    options = _options(how)
    if how.count > 1:
        options |= {"save_all": True, "append_images": images[1:]} | _timing(whole, how)
    # Into memory first: an encoder that cannot write may do anything. OpenJPEG, on a full disk, tries for ever.
    encoded = io.BytesIO()
    try:
        images[0].save(encoded, how.format.pillow[0], **options)
    except MemoryError:
        raise UpscaleError("the result does not fit into memory; use --format png, which needs less.") from None
    stream.write(encoded.getbuffer())


def _alike(frames: list[Frame], how: Writing) -> list[Frame]:
    """Frames as an animation wants them: of one size and, where they differ, of a kind that holds them all.

    Raises
    ------
    UpscaleError
        When they cannot be made so.
    """
    name, first = how.format.name, frames[0]
    if any(frame.samples.shape[:2] != first.samples.shape[:2] for frame in frames):
        raise UpscaleError(f"has pages of different sizes, and {name} holds frames of one; choose --format tiff.")
    if name == "png" and any(frame.samples.dtype == np.uint16 for frame in frames):
        raise UpscaleError("has several images of 16 bits, which Pillow writes as 8 to png; choose --format tiff.")
    if len({(frame.kind, frame.palette is not None and frame.palette.tobytes()) for frame in frames}) == 1:
        return frames
    frames = [expand_palette(widen(frame)) for frame in frames]
    return [to_mode(frame, "RGBA" if any(each.alpha for each in frames) else "RGB") for frame in frames]


def _timing(frames: list[Frame], how: Writing) -> dict[str, Any]:
    """How long each frame of an animation is shown, and how often it is repeated: 0 is for ever."""
    durations = [frame.duration or 0 for frame in frames]
    repeats = {"loop": 1 if how.metadata.loop is None else how.metadata.loop}
    if how.format.name == "png":
        return repeats | {"default_image": how.metadata.still, "duration": durations[how.metadata.still :]}
    return repeats | {"duration": [round(duration) for duration in durations]}


def _options(how: Writing) -> dict[str, Any]:
    """What Pillow is told when it saves."""
    name, metadata = how.format.name, how.metadata
    options: dict[str, Any] = {}
    present = {key: value for key, value in metadata.present().items() if key in how.format.keeps}
    for key, option in (("icc", "icc_profile"), ("xmp", "xmp"), ("dpi", "dpi"), ("comment", "comment")):
        if key in present:
            options[option] = present[key]
    if "exif" in present:
        options["exif"] = b"Exif\0\0" + present["exif"]
    if name == "jpeg":
        options |= {"quality": how.quality, "subsampling": 0}
    elif name == "webp":
        options |= {"quality": how.quality, "exact": True}
    elif name == "avif":
        options |= {"quality": how.quality, "subsampling": "4:4:4"}
    elif name == "png":
        options["compress_level"] = 9 if how.small else 6
        options["pnginfo"] = info = PngImagePlugin.PngInfo()
        for chunk in (*how.metadata.colour, *png_chunks(**_kept(how, "xmp", "text"))):
            info.add(*chunk)
        options.pop("xmp", None)
        options.pop("comment", None)
    return options

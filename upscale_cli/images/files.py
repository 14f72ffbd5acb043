"""Opening an image: format by content, size from the header, limits before work, every frame as it is."""

import contextlib
import io
import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from upscale_cli.errors import UpscaleError
from upscale_cli.images import arrays, deep
from upscale_cli.images.complete import gif_canvas, refuse_truncated
from upscale_cli.images.formats import FORMATS, format_of_pillow, pillow_names
from upscale_cli.images.limits import MAX_SOURCE_PIXELS, check_frame, check_source, refuse_pixels
from upscale_cli.images.metadata import Metadata, read_metadata, read_orientation
from upscale_cli.images.pixels import Frame, from_pillow, oriented
from upscale_cli.images.png import SIGNATURE
from upscale_cli.methods.upsampler import Array

# `check_source` is asked before anything is decoded, and counts frames. Pillow's own limit stands behind it, for what
# a decoder makes larger on its way: an error above twice this number, and a warning above it.
Image.MAX_IMAGE_PIXELS = MAX_SOURCE_PIXELS // 2
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


@contextlib.contextmanager
def decoding() -> Iterator[None]:
    """Turn whatever a decoder raises into a sentence: Pillow raises OSError, SyntaxError, struct.error, …"""
    try:
        yield
    except UpscaleError:
        raise
    except Image.DecompressionBombError as error:
        refuse_pixels(int("".join(filter(str.isdigit, str(error).partition("pixels")[0]))))
    except MemoryError:
        raise UpscaleError("does not fit into memory.") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UpscaleError(f"cannot be decoded: {reason}.") from error


class Picture:
    """An opened image: what its header says, and its frames.

    Parameters
    ----------
    source : Path or bytes
        A file, or its content.
    channels_first : bool
        Arrays are (C, H, W) or (N, C, H, W).

    Attributes
    ----------
    format : Format
        By content, whatever the name says.
    height, width : int
        Upright, in pixels.
    channels, itemsize : int
        Channels, and bytes of a sample, as far as the header tells.
    decoded : float
        Bytes a pixel that decoding takes, about.
    count : int
        Frames or pages.
    metadata : Metadata
        Complete once the first frame has been read.
    colours : str
        Pillow's mode; empty for an array.
    dropped : str
        What the file holds that is not kept, in words.

    Raises
    ------
    UpscaleError
        When it cannot be read, is no image of a known format, or is larger than the limit.
    """

    def __init__(self, source: Path | bytes, channels_first: bool = False) -> None:
        self.metadata, self.colours, self.dropped = Metadata(), "", ""
        self.ndim, self.channels_first = 0, channels_first
        self._image: Image.Image | None = None
        try:
            if isinstance(source, Path) and not (source.is_file() or source.is_dir()) and source.exists():
                # Opening a FIFO would wait for ever, and a device has no end.
                raise UpscaleError("is neither a file nor a folder; pipe what it gives into -.")
            self._stream: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        except OSError as error:
            raise UpscaleError(f"cannot be read: {error.strerror}.") from None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        try:
            length = self._stream.seek(0, os.SEEK_END)
            self._stream.seek(0)
            magic = self._stream.read(len(arrays.MAGIC))
            self._stream.seek(0)
        except OSError as error:
            raise UpscaleError(f"cannot be read: {error.strerror}.") from None
        if not length:
            raise UpscaleError("is empty.")
        if magic == arrays.MAGIC:
            self._open_array(length)
        else:
            self._open_image()
        check_source(self.height, self.width, self.count)

    def _open_array(self, length: int) -> None:
        self.format = FORMATS["npy"]
        shape, turned, dtype = arrays.read_header(self._stream, length)
        self.count, self.height, self.width, self.channels = stack_shape(shape, self.channels_first)
        self.itemsize = dtype.itemsize
        # What is in another order is copied.
        self.decoded: float = self.count * self.channels * dtype.itemsize * (1 + (turned or not dtype.isnative))
        self.ndim, self._length = len(shape), length

    def _open_image(self) -> None:
        canvas = None
        if self._stream.read(4) == b"GIF8":
            canvas = gif_canvas(self._stream)
            check_source(*canvas, 1)
        self._stream.seek(0)
        try:
            with decoding():
                self._image = image = _opened(self._stream)
        except UpscaleError as error:
            if isinstance(error.__cause__, UnidentifiedImageError):
                raise UpscaleError(self._why_not()) from None
            raise
        found = format_of_pillow(image.format)
        assert found is not None
        self.format, self.colours = found, image.mode
        self.width, self.height = image.size
        check_source(self.height, self.width, 1)
        with decoding():
            deep.refuse_reduced(image, self._stream)
            refuse_truncated(image, self._stream)
            self.count = int(getattr(image, "n_frames", 1))
            # A PNG's EXIF may stand behind its pixels; asking for it then would decode them.
            orientation = read_orientation(image) if image.format != "PNG" or "exif" in image.info else 1
        if not self.format.frames and self.count > 1:
            self.dropped, self.count = f"only the first of its {self.count} pictures is enlarged", 1
        # Pillow turns TIFF pages itself.
        if orientation >= 5 and image.format != "TIFF":
            self.width, self.height = self.height, self.width
        self.channels = 3 if image.mode == "P" else len(image.getbands())
        deep_colours = deep.is_deep(image)
        self.itemsize = {"I": 4, "F": 4}.get(image.mode, 2 if deep_colours or image.mode.startswith("I;16") else 1)
        stored = {"1": 1, "L": 1, "P": 1}.get(image.mode, 4)
        self.decoded = stored + self.channels * (self.itemsize * (3 if deep_colours else 2) + self.format.decoder)
        if canvas is not None:
            check_source(*canvas, self.count)
            self.decoded *= canvas[0] * canvas[1] / (self.height * self.width)

    def _why_not(self) -> str:
        """Why a file is not opened, by its first bytes alone: no other parser is started."""
        Image.init()
        self._stream.seek(0)
        start, name, names = self._stream.read(16), None, ", ".join(FORMATS)
        with contextlib.suppress(IndexError, struct.error):
            name = next((n for n, (_, accept) in Image.OPEN.items() if accept is not None and accept(start)), None)
        if name is None:
            return f"is not an image of a known format ({names})."
        if format_of_pillow(name) is not None:
            return f"is a damaged {name} file: its header cannot be read; get another copy."
        return f"has the format {name}, which is not read here; convert it to png or tiff first."

    @property
    def values(self) -> int:
        """Samples of all frames, as far as the header tells."""
        return self.count * self.height * self.width * self.channels

    def frames(self) -> Iterator[Frame]:
        """Every frame, upright; raises `UpscaleError` at the first that cannot be decoded whole."""
        if self._image is None:
            self._stream.seek(0)
            with decoding():
                stack = to_stack(arrays.read_array(self._stream, self._length), self.channels_first)
            for samples in stack:
                yield Frame(samples, None)
            return
        for index in range(self.count):
            with decoding():
                if self.count > 1:
                    self._image.seek(index)
                width, height = self._image.size
                check_frame(index + 1, height, width, self.count, self.decoded, self.height * self.width)
                frame = self._frame(self._image, index)
            yield frame

    def _frame(self, image: Image.Image, index: int) -> Frame:
        if isinstance(image, TiffImageFile):
            deep.check_directory(self._stream, image.tag_v2)
        if deep.is_deep(image):
            samples, mode = deep.read_deep(self._stream, index)
            frame = Frame(samples, mode)
        else:
            _spread_key(image)
            image.load()
            frame = from_pillow(image)
        orientation = read_orientation(image)
        if index == 0:
            self.metadata = read_metadata(image)
        duration = image.info.get("duration") if self.count > 1 else None
        return frame._replace(samples=oriented(frame.samples, orientation), duration=duration)

    def close(self) -> None:
        """Close the file."""
        if self._image is not None:
            self._image.close()
        if hasattr(self, "_stream"):
            self._stream.close()

    def __enter__(self) -> "Picture":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(stream: BinaryIO) -> Image.Image:
    """An image by Pillow, which imports the plugins of five formats before it looks at a file: PNG needs one."""
    if stream.read(len(SIGNATURE)) == SIGNATURE:
        stream.seek(0)
        with contextlib.suppress(Exception):  # what is wrong with it is told below
            return PngImageFile(stream)
    stream.seek(0)
    return Image.open(stream, formats=pillow_names())


def _spread_key(image: Image.Image) -> None:
    """Spread the grey that stands for transparency over 8 bits, as Pillow does with a PNG's samples of 2 and 4."""
    tiles = getattr(image, "tile", ())
    factor = {"L;2": 85, "L;4": 17}.get(str(tiles[0][3])) if image.format == "PNG" and tiles else None
    if factor and "transparency" in image.info:
        image.info["transparency"] *= factor


def stack_shape(shape: tuple[int, ...], channels_first: bool) -> tuple[int, int, int, int]:
    """(N, H, W, C) of an array file's shape.

    >>> stack_shape((3, 8, 9), True), stack_shape((8, 9), False)
    ((1, 8, 9, 3), (1, 8, 9, 1))
    """
    if len(shape) == 2:
        return 1, shape[0], shape[1], 1
    if len(shape) not in (3, 4):
        raise UpscaleError(f"holds an array of shape {shape}; (H, W), (H, W, C) and (N, H, W, C) are images.")
    count, rest = (shape[0], shape[1:]) if len(shape) == 4 else (1, shape)
    return (count, rest[1], rest[2], rest[0]) if channels_first else (count, rest[0], rest[1], rest[2])


def to_stack(array: Array, channels_first: bool) -> Array:
    """An array file's array as (N, H, W, C)."""
    if array.ndim == 2:
        return array[None, :, :, None]
    stack_shape(array.shape, channels_first)
    stack = array if array.ndim == 4 else array[None]
    return np.moveaxis(stack, 1, 3) if channels_first else stack


def array_ndim(count: int, channels: int) -> int:
    """Dimensions of the array that an image becomes: (H, W), (H, W, C) or (N, H, W, C)."""
    return 4 if count > 1 else 2 if channels == 1 else 3


def from_stack(stack: Array, ndim: int, channels_first: bool) -> Array:
    """A stack (N, H, W, C) in the layout of the array file that it comes from."""
    if channels_first and ndim != 2:
        stack = np.moveaxis(stack, 3, 1)
    if ndim == 4:
        return stack
    single: Array = stack[0]
    return single[:, :, 0] if ndim == 2 and single.shape[2] == 1 else single

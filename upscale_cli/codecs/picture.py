"""Opening an image: its format by content, its size from the header, limits before any work."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import prod
from typing import BinaryIO, NamedTuple, NoReturn, Self, cast

import numpy as np

from upscale_cli.codecs.finding import format_of_content, holds_several
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.sniffing import HEAD
from upscale_cli.codecs.splitting import MANY
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame
from upscale_cli.machine.memory import UNKNOWN, available_memory
from upscale_cli.methods.restoring import Losses
from upscale_cli.methods.rows import Rows
from upscale_cli.methods.upsampler import Array

MAX_SOURCE_PIXELS = 178_956_970
"""The most pixels of a frame of a source, unless the user allows more: Pillow's own limit, a gigabyte of RGBA."""


class Reading(NamedTuple):
    """How images are read: a record that is built by keyword.

    Attributes
    ----------
    channels_first : bool or None
        Arrays are (C, H, W) or (N, C, H, W); None if the user has not said so, and doubtful ones are refused.
    axes : int or None
        The spatial axes of arrays, 1 to 3; None if the user has not said so, see `axes_of`.
    axes_typed : bool
        The user has said so, and not a scale of several factors.
    max_pixels : int
        The most pixels of a frame.
    raised_by : str
        The option that raises this limit; empty if there is none.
    volumes : bool
        Volumes are read as well as images.
    """

    channels_first: bool | None = False
    axes: int | None = None
    axes_typed: bool = False
    max_pixels: int = MAX_SOURCE_PIXELS
    raised_by: str = ""
    volumes: bool = True


APPLE_DOUBLE = b"\0\5\x16\7"
"""How a file begins that macOS puts beside another on disks that are not its own (RFC 1740, appendix B)."""

USUAL = Reading()
"""Channels last, and the usual limit."""
IMAGES = USUAL._replace(volumes=False)
"""The same for images alone."""


class Encoding(NamedTuple):
    """How a file was compressed, which results can follow: a record that is built by keyword.

    Attributes
    ----------
    lossless : bool or None
        Its pixels are what was compressed; None if nobody can tell.
    exact : bool
        It is not a photograph, by its compression or palette; formats that can do both are written without loss.
    tables : tuple of tuple of int
        The quantisation tables of a JPEG, one for each of its channels, if it can be written with them again.
    luma : tuple of int
        The quantisation table of the first channel of a JPEG.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"} or None
        The resolution of the colour of an upright JPEG; the nearest that is not less.
    step : float
        The mean quantisation step of the brightness of a lossy WebP, of its first frame; 0 for others.
    blocks : tuple of int
        See `Losses`.
    """

    lossless: bool | None = True
    exact: bool = False
    tables: tuple[tuple[int, ...], ...] = ()
    luma: tuple[int, ...] = ()
    subsampling: str | None = None
    step: float = 0
    blocks: tuple[int, ...] = ()

    @property
    def losses(self) -> Losses:
        """What it tells about what was lost."""
        return Losses(bool(self.lossless), self.luma, self.step, self.blocks)


class Volume(NamedTuple):
    """What a picture of three dimensions has besides: a record that is built by keyword. Axes are those of an array.

    Attributes
    ----------
    depth : int
        Slices of each frame.
    axes : int
        Axes in space, the last ones: 3, or fewer if the others are only 1 long.
    spacing : tuple of float
        The three sides of a voxel in millimetres; 0 if unknown.
    head : callable(sides, strip) -> bytes
        What stands before the samples of a result of some sides, without descriptions if `strip`; adds to the notes.
    labels : bool
        Its values stand for something, which no sum of them does.
    offset : bool
        A stored 0 means another value.
    """

    depth: int
    axes: int
    spacing: tuple[float, ...]
    head: Callable[[tuple[int, ...], bool], bytes]
    labels: bool = False
    offset: bool = False


class Header(NamedTuple):
    """What decides about the results of a picture that is no volume; see `Picture`."""

    format: str
    sides: tuple[int, ...]
    channels: int
    itemsize: int
    frames: int
    ndim: int
    ink: bool
    encoding: Encoding
    decoded: float
    by_rows: int
    still: bool


class Picture(ABC):
    """An opened image: what its header says, and its frames. It closes its stream.

    Parameters
    ----------
    stream : binary file
        Seekable.
    format : Format
        The format of its content, whatever its name says.
    reading : Reading

    Attributes
    ----------
    height, width : int
        Upright, in pixels.
    channels, itemsize : int
        Channels, and bytes per sample, as far as the header tells.
    decoded : float
        Approximate memory for decoding, in bytes per pixel.
    by_rows : int
        Approximate memory, in bytes, if its frames are read by rows; 0 if they cannot be.
    count : int
        Frames or pages.
    volume : Volume or None
        Its third dimension, if it has one: frames are (D, H, W, C).
    ndim : int
        Dimensions of an array; 0 for an image.
    channels_first : bool
        An array is (C, H, W) or (N, C, H, W).
    ink : bool
        Its colours are CMYK.
    still : bool
        The first frame is not part of the animation, see `Metadata`. Without it, `count` is one less.
    notes : list of str
        What the file holds that is not kept, in words. Complete once all frames have been read.
    encoding : Encoding
    """

    height: int
    width: int
    channels: int
    itemsize: int
    decoded: float
    count: int
    by_rows: int = 0
    still: bool = False

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        self.stream, self.format, self.reading = stream, format, reading
        self.ndim, self.channels_first, self.ink = 0, False, False
        self.volume: Volume | None = None
        self.notes: list[str] = []
        self._lock = threading.Lock()  # of the stream
        self.encoding = Encoding(lossless=not format.lossy)

    @abstractmethod
    def decode(self) -> Iterator[Frame]:
        """Yield every frame, upright; samples may be `Rows`. Raises whatever a decoder raises."""

    @property
    def values(self) -> int:
        """The samples of all frames, as far as the header tells."""
        return self.count * prod(self.sides) * self.channels

    @property
    def header(self) -> Header:
        """What decides about its results."""
        pixels = self.format.name, self.sides, self.channels, self.itemsize, self.count, self.ndim, self.ink
        return Header(*pixels, self.encoding, self.decoded, self.by_rows, self.still)

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width, after the depth of a volume."""
        return (*((self.volume.depth,) if self.volume else ()), self.height, self.width)

    def frames(self, by_rows: bool = False) -> Iterator[Frame]:
        """Yield every frame, upright; raise `UpscaleError` at the first that cannot be decoded completely.

        With `by_rows`, samples may be `Rows`, which are read from the open file, and raise `UpscaleError`, when they
        are asked for.
        """
        if self.format.name in MANY:
            self.stream.seek(0)
            with suppress(UpscaleError):  # the decoder says what is damaged
                if holds_several(self.stream):
                    self.notes.append("only the first of its images is enlarged; give it alone, or pipe it, for all")
        frames = self.decode()
        while True:
            with decoding(self.reading):
                frame = next(frames, None)
                if frame is not None and not by_rows:
                    frame = frame._replace(samples=np.asarray(frame.samples))
            if frame is None:
                return
            yield frame

    def rows(self, height: int, step: int, read: Callable[[int, int], Array]) -> Array:
        """Return the samples of a frame that `read` reads, `step` rows at a time; see `Rows`."""

        def decoded(start: int, stop: int) -> Array:
            with self._lock, decoding(self.reading):
                return read(start, stop)

        return cast(Array, Rows(height, step, decoded))

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_picture(stream: BinaryIO, reading: Reading = IMAGES) -> Picture:
    """Return the image that a stream holds. The stream is closed if there is none, else with the image.

    Parameters
    ----------
    stream : binary file
        Seekable.
    reading : Reading

    Raises
    ------
    UpscaleError
        If it cannot be read, is no image of a known format, or is larger than the limit.
    """
    try:
        format = _format_of(stream)
        with decoding(reading):
            picture = format.load_codec().open(stream, format, reading)
        if picture.volume is not None and not reading.volumes:
            raise UpscaleError("is a volume, which only the command upscale takes; give an image.")
        check_source(picture.height, picture.width, reading, prod(picture.sides[:-2]))
    except BaseException:
        stream.close()
        raise
    return picture


def _format_of(stream: BinaryIO) -> Format:
    """Return the format of a stream, which stands at its beginning afterwards."""
    try:
        length = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        head = stream.read(HEAD)
        stream.seek(0)
    except OSError as error:
        raise UpscaleError(f"cannot be read: {error.strerror}.") from None
    if not length:
        raise UpscaleError("is empty.")
    if head.startswith(APPLE_DOUBLE):
        raise UpscaleError(
            "is an AppleDouble file, in which macOS keeps a file's attributes and no pixels; "
            'give the file without "._" before its name.'
        )
    found = format_of_content(head)
    if found is None:
        from upscale_cli.codecs.foreign import what_it_is

        raise UpscaleError(what_it_is(head) or f"is not an image of a known format ({', '.join(FORMATS)}).")
    return found


@contextmanager
def decoding(reading: Reading) -> Iterator[None]:
    """Turn whatever a decoder raises into an `UpscaleError`: OSError, SyntaxError, struct.error and many others."""
    try:
        yield
    except UpscaleError:
        raise
    except MemoryError:
        raise UpscaleError("does not fit into memory.") from None
    except Exception as error:
        if type(error).__name__ == "DecompressionBombError":  # Pillow's, which need not be imported here
            refuse_pixels(int("".join(filter(str.isdigit, str(error).partition("pixels")[0]))), reading)
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise UpscaleError(f"cannot be decoded: {reason}; get another copy, or convert it first.") from error


def check_source(height: int, width: int, reading: Reading, depth: int = 1) -> None:
    """Raise `UpscaleError` if the frames of a source have no pixels, or more than the limit."""
    if height < 1 or width < 1:
        raise UpscaleError(f"is {width}x{height}: it has no pixels.")
    if (pixels := depth * height * width) > reading.max_pixels:
        refuse_pixels(pixels, reading)


def refuse_pixels(pixels: int, reading: Reading, has: str = "has") -> NoReturn:
    """Raise `UpscaleError` for a source, or one of its frames, of too many pixels."""
    limit = f"{reading.max_pixels:,}"
    raised = f", or raise the limit: {reading.raised_by} (now {limit})" if reading.raised_by else ""
    raise UpscaleError(f"{has} {pixels:,} pixels, more than the limit of {limit}; cut it into parts{raised}.")


def check_frame(picture: Picture, number: int, height: int, width: int) -> None:
    """Raise `UpscaleError` if frame `number`, from 1, is larger than its file's header says, and too large."""
    pixels = height * width
    if pixels > picture.reading.max_pixels:
        refuse_pixels(pixels, picture.reading, has=f"frame {number} has")
    # The estimate for the whole image knows only the header.
    larger = pixels > picture.height * picture.width
    needed, available = int(pixels * picture.decoded), available_memory() if larger else UNKNOWN
    if needed > available:
        raise UpscaleError(f"frame {number} is {width}x{height}, which is too large; remove it.")

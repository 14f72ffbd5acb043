"""What Pillow reads and writes: opening with limits, frames as they are stored, saving with metadata."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Picture, Reading, check_frame, check_source
from upscale_cli.codecs.pillow_metadata import read_metadata, read_orientation
from upscale_cli.codecs.writing import Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, Mode, oriented, palette_of
from upscale_cli.methods.upsampler import Array

warnings.simplefilter("ignore", Image.DecompressionBombWarning)

EIGHT_BITS: dict[str, Mode] = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK"}
"""Pillow's modes of 1 and 8 bits, and ours."""


class PillowPicture(Picture):
    """An image that Pillow opens. A format overrides what Pillow leaves out.

    Parameters
    ----------
    stream, format, reading
        As for `Picture`.

    Attributes
    ----------
    names : tuple of str
        Pillow's names of the format.
    """

    names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        self._metadata = Metadata()
        stream.seek(0)
        limit_pillow(reading)
        try:
            self.image = image = self.open_image()
        except UnidentifiedImageError:
            raise UpscaleError(self.unidentified()) from None
        self.width, self.height = image.size
        check_source(self.height, self.width, reading)
        self.check_complete()
        self.count = self.frame_count()
        bits = self.bits(image)
        deep = bits > _bits(image.mode)
        if deep and not self.reads_deep():
            raise UpscaleError(
                f"has {bits} bits per channel, which Pillow's {self.names[0]} decoder reduces to 8; "
                "convert it to a 16-bit PNG or TIFF first."
            )
        if not format.frames and self.count > 1:
            self.notes.append(f"only the first of its {self.count} pictures is enlarged")
            self.count = 1
        if self.orientation(image) >= 5:
            self.width, self.height = self.height, self.width
        self.ink = image.mode == "CMYK"
        self.encoding = self.encoding._replace(exact=image.mode == "P")
        self.channels = 3 if image.mode == "P" else len(image.getbands())
        self.itemsize = 2 if deep else -(-_bits(image.mode) // 8)
        stored = {"1": 1, "L": 1, "P": 1}.get(image.mode, 4)
        self.decoded = stored + self.channels * (self.itemsize * (3 if deep else 2) + format.decoder)

    def open_image(self) -> Image.Image:
        """Return the image of the stream, which stands at its beginning."""
        return Image.open(self.stream, formats=self.names)

    def unidentified(self) -> str:
        """Return what is wrong with a file that Pillow cannot open, in a sentence."""
        return (
            f"cannot be read as {self.format.title}: it is damaged, or of a kind that is not supported; "
            "get another copy, or convert it to PNG first."
        )

    def frame_count(self) -> int:
        """Return the number of frames or pages."""
        return int(getattr(self.image, "n_frames", 1))

    def check_complete(self) -> None:
        """Raise `UpscaleError` if the file lacks its end and Pillow would decode what there is."""

    def bits(self, image: Image.Image) -> int:
        """Return the bits of the deepest sample as the file stores it, where Pillow's mode has fewer."""
        return _bits(image.mode)

    def reads_deep(self) -> bool:
        """Return whether `read` returns all bits of samples that Pillow would reduce. Otherwise they are refused."""
        return False

    def orientation(self, image: Image.Image) -> int:
        """Return the EXIF orientation of a frame, 1 … 8; 1 if it has none that can be read."""
        return read_orientation(image)

    def read(self, image: Image.Image, index: int) -> Frame:
        """Return a frame as stored: the orientation is not applied."""
        image.load()
        return from_pillow(image)

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        """Return the metadata of a frame: those of the first, which are those of the file."""
        if index == 0:
            self._metadata = read_metadata(image, animated=self.count > 1)
        return self._metadata

    def decode(self) -> Iterator[Frame]:
        image = self.image
        for index in range(self.count):
            if self.count > 1:
                image.seek(index)
            width, height = image.size
            check_frame(self, index + 1, height, width)
            frame, orientation = self.read(image, index), self.orientation(image)
            yield frame._replace(
                samples=oriented(frame.samples, orientation),
                duration=image.info.get("duration") if self.count > 1 else None,
                metadata=self.metadata(image, index)._replace(orientation=orientation),
            )

    def close(self) -> None:
        self.image.close()
        super().close()


def limit_pillow(reading: Reading) -> None:
    """Let Pillow's own limit follow ours, for what a decoder makes larger on its way: an error above twice this."""
    Image.MAX_IMAGE_PIXELS = -(-reading.max_pixels // 2)


def _bits(mode: str) -> int:
    """Return the bits of a sample in one of Pillow's modes."""
    return 16 if mode.startswith("I;16") else {"1": 1, "I": 32, "F": 32}.get(mode, 8)


def from_pillow(image: Image.Image) -> Frame:
    """Return a loaded Pillow image as a frame.

    Raises
    ------
    UpscaleError
        If it has colours that cannot be weighed.
    """
    if image.mode == "P":
        return _indexed(image)
    if image.mode in ("L", "RGB", "1") and "transparency" in image.info:
        return from_pillow(image.convert("RGBA" if image.mode == "RGB" else "LA"))
    samples = np.asarray(image)
    if image.mode in EIGHT_BITS:
        return Frame(samples.reshape(*samples.shape[:2], -1), EIGHT_BITS[image.mode])
    if len(image.getbands()) > 1:
        raise UpscaleError(f"has {image.mode} colours, which cannot be resampled; convert it to RGB first.")
    # A PGM of 16 bits comes as 32, spread over 0 … 65535.
    kept = np.dtype(np.uint16) if image.format == "PPM" and image.mode == "I" else samples.dtype
    samples = samples.astype(kept.newbyteorder("="), copy=False)
    if image.mode.startswith("I;16") and "transparency" in image.info:
        opaque = samples != np.uint16(image.info["transparency"])
        return Frame(np.stack([samples, opaque * np.uint16(65535)], axis=2), "LA")
    return Frame(samples[:, :, None], "L")


def _indexed(image: Image.Image) -> Frame:
    """Return an image of mode P as a frame."""
    return Frame(np.asarray(image)[:, :, None], "P", colours_of(image))


def colours_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the palette (256, 4) of an image of mode P, with its opacity."""
    colours = palette_of(image)
    transparency = image.info.get("transparency")
    if isinstance(transparency, bytes):
        colours[: len(transparency), 3] = np.frombuffer(transparency[:256], np.uint8)
    elif isinstance(transparency, int) and 0 <= transparency < 256:
        colours[transparency, 3] = 0
    return colours


def to_pillow(samples: Array, mode: str, palette: NDArray[np.uint8] | None = None) -> Image.Image:
    """Return samples (H, W, C) of a kind that Pillow has as a Pillow image."""
    height, width, _ = samples.shape
    size, depth = (width, height), samples.dtype.name
    if depth == "bool":
        return Image.frombytes("1", size, np.packbits(samples[:, :, 0], axis=1).tobytes())
    if depth != "uint8":
        pillow, raw = {"uint16": ("I;16", "<u2"), "int32": ("I", "=i4"), "float32": ("F", "=f4")}[depth]
        return Image.frombytes(pillow, size, samples.astype(raw, copy=False).tobytes())
    image = Image.frombuffer(mode, size, np.ascontiguousarray(samples), "raw", mode, 0, 1)
    if palette is not None:
        image.putpalette(palette[:, :3].tobytes(), "RGB")
        clear = np.flatnonzero(palette[:, 3] != 255)
        if len(clear) == 1 and palette[clear[0], 3] == 0:
            image.info["transparency"] = int(clear[0])
        elif len(clear):
            image.info["transparency"] = palette[: clear[-1] + 1, 3].tobytes()
    return image


def save(stream: BinaryIO, frames: list[Frame], how: Writing, pillow: str, **options: Any) -> None:
    """Encode frames by Pillow, and write the result.

    Parameters
    ----------
    stream : binary file
        Only written to, forwards.
    frames : list of Frame
        At least one; several are `alike`.
    how : Writing
        Its metadata goes along as far as the format can store it.
    pillow : str
        Pillow's name of the format.
    **options
        What Pillow's encoder takes. They replace those that follow from `how`; None removes one.

    Raises
    ------
    UpscaleError
        If the encoded image does not fit into memory.
    """
    images = [to_pillow(frame.samples, str(frame.mode), frame.palette) for frame in frames]
    given: dict[str, Any] = {}
    if how.frame_count > 1:
        durations = [round(frame.duration or 0) for frame in frames]
        given = {"save_all": True, "append_images": images[1:], "duration": durations, "loop": plays(how)}
    stream.write(encoded(images, pillow, pillow_options(how) | given | options))


def pillow_options(how: Writing) -> dict[str, Any]:
    """Return metadata as keyword arguments of Pillow's encoders, as far as the format can store it."""
    present = {key: value for key, value in how.metadata.present().items() if key in how.format.keeps}
    of_pillow = {"icc": "icc_profile", "xmp": "xmp", "dpi": "dpi", "comment": "comment"}
    given = {of_pillow[key]: value for key, value in present.items() if key in of_pillow}
    return given | ({"exif": b"Exif\0\0" + present["exif"]} if "exif" in present else {})


def encoded(images: list[Image.Image], pillow: str, options: dict[str, Any]) -> bytes:
    """Return images as Pillow encodes them.

    They are encoded into memory: an encoder that cannot write may do anything. OpenJPEG, on a full disk, tries for
    ever.

    Parameters
    ----------
    images : list of Image
        At least one; only the first unless the options say otherwise.
    pillow : str
        Pillow's name of the format.
    options : dict
        Keyword arguments of its encoder; those that are None are left out.

    Raises
    ------
    UpscaleError
        If the encoded image does not fit into memory.
    """
    given = {key: value for key, value in options.items() if value is not None}
    try:
        if pillow == "JPEG" and (data := _jpeg(images[0], given)):
            return data
        stream = io.BytesIO()
        images[0].save(stream, pillow, **given)
        return stream.getvalue()
    except MemoryError:
        raise UpscaleError("the result does not fit into memory; use --format png, which needs less.") from None


def _jpeg(image: Image.Image, options: dict[str, Any]) -> bytes:
    """Return a JPEG file that was encoded into a file in memory; nothing if that does not work.

    With a file of the system, Pillow lets go of the interpreter's lock, and two threads encode 1.9 times as fast as
    one; with a `BytesIO` not at all faster. Others gain nothing: WebP and AVIF let go of the lock themselves, JPEG
    2000 never does, and raw samples (BMP, TGA, PPM) take twice as long to go through the system.

    Pillow does not look at how many bytes the system has written, so the end of the file must be there.
    """
    with suppress(OSError, AttributeError):
        if sys.platform == "linux":
            with os.fdopen(os.memfd_create("upscale"), "w+b") as stream:
                image.save(stream, "JPEG", **options)
                stream.seek(0)
                data = stream.read()
            return data if data.endswith(b"\xff\xd9") else b""
    return b""


def plays(how: Writing) -> int:
    """Return how often an animation is shown, in Pillow's terms: 0 is for ever."""
    return 1 if how.metadata.plays is None else how.metadata.plays

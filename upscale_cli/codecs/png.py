"""PNG: opened by Pillow, 16-bit colour read here; one image is written strip by strip, an animation by Pillow."""

import io
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from PIL.PngImagePlugin import PngImageFile

from upscale_cli.codecs.bytewise import read_both_bytes
from upscale_cli.codecs.canvas import blend, drawn
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, colours_of, plays, save
from upscale_cli.codecs.pillow_metadata import read_metadata, read_orientation
from upscale_cli.codecs.png_chunks import adapted, sorted_chunks
from upscale_cli.codecs.png_frames import frame_files
from upscale_cli.codecs.png_stream import Chunk, PngStream, with_chunks
from upscale_cli.codecs.writing import Enlarged, Writing, alike
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import MODES, Frame, Mode, indexed_in, oriented, to_mode, widen

# Pillow refuses files with a text or profile of more than 1 MiB. All texts together are limited to 64 MiB.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY


class PngPicture(PillowPicture):
    """A PNG file."""

    names = ("PNG",)

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        self.still = bool(self.image.info.get("default_image"))
        if self.count > 1:
            # The canvas, what a frame hides of it, the frame, and what is made of both.
            self.decoded = 32

    def open_image(self) -> Image.Image:
        image: Image.Image
        try:  # Image.open would import the plugins of five formats before it looks at the file
            image = PngImageFile(self.stream)
        except Exception:  # Image.open says what is wrong with it
            self.stream.seek(0)
            image = super().open_image()
        position = self.stream.tell()
        self._chunks, notes = sorted_chunks(self.stream)
        self.stream.seek(position)
        self.notes += notes
        # Without an entry, Pillow would decode the pixels to look behind them.
        image.info["exif"] = b"Exif\0\0" + (self._chunks.exif or b"")
        image.info["xmp"] = self._chunks.xmp
        self._orientation = read_orientation(image)
        # Pillow scales samples of 2 and 4 bits to 8, but not the transparent one.
        factor = {"L;2": 85, "L;4": 17}.get(_raw_mode(image))
        if factor and "transparency" in image.info:
            image.info["transparency"] *= factor
        return image

    def bits(self, image: Image.Image) -> int:
        return 16 if _raw_mode(image).endswith(";16B") else super().bits(image)

    def reads_deep(self) -> bool:
        return self.count == 1

    def orientation(self, image: Image.Image) -> int:
        return self._orientation

    def metadata(self, image: Image.Image, index: int) -> Metadata:
        if index == 0:
            read, chunks = read_metadata(image, self.count > 1), self._chunks
            read = read._replace(icc=chunks.icc, text=chunks.text, colour=chunks.colour, chunks=chunks.chunks)
            self._metadata = read._replace(aspect=image.info.get("aspect"))
        return self._metadata

    def read(self, image: Image.Image, index: int) -> Frame:
        bands, _, depth = _raw_mode(image).partition(";")
        if depth != "16B" or image.mode.startswith("I"):
            return super().read(image, index)
        samples, key = read_both_bytes(self.stream, bands), image.info.get("transparency")
        if bands == "RGB" and key is not None:
            alpha = np.where((samples == np.array(key, np.uint16)).all(axis=2), 0, 65535)
            return Frame(np.dstack((samples, alpha.astype(np.uint16))), "RGBA")
        return Frame(samples, cast(Mode, bands))

    def decode(self) -> Iterator[Frame]:
        if (stored := self.frame_count()) == 1:
            yield from super().decode()
            return
        canvas, number = np.zeros((*self.image.size[::-1], 4), np.uint8), 0
        for number, (control, file) in enumerate(islice(frame_files(self.stream), stored - self.count, stored), 1):
            with drawn(canvas, control.box, control.disposal) as place:
                if place.shape[:2] != (control.height, control.width):
                    raise UpscaleError("has a frame that lies outside its canvas: it is damaged; get another copy.")
                alone = PngPicture(io.BytesIO(file), self.format, self.reading)
                rgba = to_mode(widen(next(alone.decode())), "RGBA").samples
                if control.blend:
                    blend(place, rgba)
                else:
                    place[:] = rgba
                frame = self._as_stored(canvas)
                yield frame._replace(
                    samples=oriented(frame.samples, self._orientation),
                    duration=control.duration if self.count > 1 else None,
                    metadata=self.metadata(self.image, number - 1)._replace(orientation=self._orientation),
                )
        if number < self.count:
            raise UpscaleError(f"is truncated: some of its {stored} frames are missing; get the complete file.")

    def _as_stored(self, canvas: NDArray[np.uint8]) -> Frame:
        """Return a canvas with the channels of the file, or its palette, and with opacity if it is needed."""
        image = self.image
        if image.mode == "P" and (frame := indexed_in(canvas, colours_of(image))) is not None:
            return frame
        channels = [0] if image.mode in ("1", "L", "LA") else [0, 1, 2]
        if "A" in image.mode or "transparency" in image.info or (canvas[..., 3] != 255).any():
            channels.append(3)
        return Frame(canvas[..., channels], MODES[len(channels)])


def _raw_mode(image: Image.Image) -> str:
    """Return the raw mode of Pillow's decoder, before the image is loaded; empty afterwards."""
    tiles = cast(PngImageFile, image).tile
    return str(tiles[0].args) if tiles else ""


def open(stream: BinaryIO, format: Format, reading: Reading) -> PngPicture:
    """Open a PNG file; see `Codec`."""
    return PngPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a PNG file; see `Codec`."""
    if how.frame_count > 1:
        _write_animation(stream, [frame.frame() for frame in frames], how)
        return
    image = next(frames)
    height, width, channels = image.shape
    depth = {"bool": 1, "uint8": 8, "uint16": 16}[image.dtype.name]
    colours, opacity = _colours(image), None
    if image.palette is not None:
        opacity = image.palette[:, 3].tobytes().rstrip(b"\xff")
    chunks = _chunks_of(how, channels, depth, colours)
    more: dict[str, Any] = {
        "palette": colours,
        "palette_alpha": opacity,
        "chunks": chunks,
        "small": how.compression == "small",
    }
    png = PngStream(width, height, channels, depth, **more)
    stream.write(png.head())
    for part in image.packed(png.pack):
        stream.write(png.idat(part))
    stream.write(png.tail())


def _write_animation(stream: BinaryIO, frames: list[Frame], how: Writing) -> None:
    """Write several frames by Pillow."""
    frames = alike(frames, how.format)
    if any(frame.samples.dtype == np.uint16 for frame in frames):
        raise UpscaleError(
            "has several images of 16 bits, which Pillow's PNG encoder reduces to 8; use --format tiff."
        )
    still, encoded = how.metadata.still, io.BytesIO()
    options: dict[str, Any] = dict.fromkeys(("icc_profile", "exif", "xmp", "dpi", "comment"))
    options |= {"compress_level": 9 if how.compression == "small" else 6, "default_image": still, "loop": plays(how)}
    options["duration"] = [frame.duration or 0 for frame in frames][still:]
    save(encoded, frames, how, "PNG", **options)
    chunks = _chunks_of(how, frames[0].samples.shape[2], 8, _colours(frames[0]))
    stream.write(with_chunks(encoded.getvalue(), chunks))


def _colours(image: Enlarged | Frame) -> bytes | None:
    """Return R, G, B of a palette."""
    return None if image.palette is None else image.palette[:, :3].tobytes()


def _chunks_of(how: Writing, channels: int, depth: int, palette: bytes | None) -> list[Chunk]:
    """Return the chunks of all metadata, for pixels of a kind."""
    metadata = how.metadata
    own = adapted((*metadata.colour, *metadata.chunks), channels, depth, palette)
    return [*own, *metadata_chunks(metadata), *metadata.text]


def metadata_chunks(metadata: Metadata) -> list[Chunk]:
    r"""Return what other formats have too as PNG chunks, in an order that PNG allows: names and payloads.

    A resolution is rounded to whole pixels per metre; a comment is of UTF-8 or Latin-1. There are no dates: the same
    input gives the same bytes.

    >>> metadata_chunks(Metadata(dpi=(300, 300), comment=b"Old Mill"))
    [(b'pHYs', b'\x00\x00.#\x00\x00.#\x01'), (b'tEXt', b'Comment\x00Old Mill')]
    """
    present, chunks = metadata.present(), []
    if "icc" in present:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(present["icc"], 9)))
    if "dpi" in present and all(0 < side < 1e7 for side in present["dpi"]):
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(side / 0.0254) for side in present["dpi"]), 1)))
    elif "aspect" in present and all(0 < side < 2**31 for side in present["aspect"]):
        chunks.append((b"pHYs", struct.pack(">IIB", *present["aspect"], 0)))
    if "exif" in present:
        chunks.append((b"eXIf", present["exif"].removeprefix(b"Exif\0\0")))
    if "xmp" in present:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + present["xmp"]))
    if "comment" in present:
        # Its encoding is unknown: tEXt is Latin-1, iTXt is UTF-8 (PNG, section 11.3.3).
        text = present["comment"].replace(b"\0", b"")
        international = not text.isascii() and text.decode(errors="ignore").encode() == text
        chunks.append((b"iTXt", b"Comment" + bytes(5) + text) if international else (b"tEXt", b"Comment\0" + text))
    return chunks

"""PNG: opened by Pillow, 16-bit colour read here; one image is written strip by strip, an animation by Pillow."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import numpy as np
from PIL import Image, PngImagePlugin
from PIL.PngImagePlugin import PngImageFile

from upscale_cli.codecs.bytewise import read_both_bytes
from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, plays, save
from upscale_cli.codecs.pillow_metadata import read_metadata, read_orientation
from upscale_cli.codecs.png_chunks import adapted, sorted_chunks
from upscale_cli.codecs.png_stream import Chunk, PngStream, with_chunks
from upscale_cli.codecs.writing import Enlarged, Writing, alike
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, Mode

# Pillow refuses files with a text or profile of more than 1 MiB. All texts together are limited to 64 MiB.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY


class PngPicture(PillowPicture):
    """A PNG file."""

    names = ("PNG",)

    def open_image(self) -> Image.Image:
        # Pillow would import the plugins of five formats before it looks at the file.
        image: Image.Image
        try:
            image = PngImageFile(self.stream)
        except Exception:  # Image.open says what is wrong with it
            self.stream.seek(0)
            image = super().open_image()
        position = self.stream.tell()
        self._chunks = chunks = sorted_chunks(self.stream)
        self.stream.seek(position)
        self.notes += chunks.notes
        # Without an entry, Pillow would decode the pixels to look behind them.
        image.info["exif"] = b"Exif\0\0" + (chunks.exif or b"")
        if chunks.xmp:
            image.info["xmp"] = chunks.xmp
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
            chunks = self._chunks
            self._metadata = read_metadata(image, self.count > 1)._replace(
                text=chunks.text, colour=chunks.colour, chunks=chunks.others, aspect=image.info.get("aspect")
            )
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
    colours = opacity = None
    if image.palette is not None:
        colours = image.palette[:, :3].tobytes()
        opacity = image.palette[:, 3].tobytes().rstrip(b"\xff") or None
    depth = {"bool": 1, "uint8": 8, "uint16": 16}[image.dtype.name]
    png = PngStream(
        width,
        height,
        channels,
        depth,
        palette=colours,
        palette_alpha=opacity,
        chunks=_chunks_of(how, channels, depth, colours),
        small=how.small,
    )
    stream.write(png.head())
    for part in image.strips(png.pack):
        stream.write(png.idat(part))
    stream.write(png.tail())


def _write_animation(stream: BinaryIO, frames: list[Frame], how: Writing) -> None:
    """Write several frames by Pillow."""
    frames = alike(frames, how.format)
    if any(frame.samples.dtype == np.uint16 for frame in frames):
        raise UpscaleError(
            "has several images of 16 bits, which Pillow's PNG encoder reduces to 8; use --format tiff."
        )
    still = how.metadata.still
    encoded = io.BytesIO()
    save(
        encoded,
        frames,
        how,
        "PNG",
        compress_level=9 if how.small else 6,
        **dict.fromkeys(("icc_profile", "exif", "xmp", "dpi", "comment")),
        default_image=still,
        duration=[frame.duration or 0 for frame in frames][still:],
        loop=plays(how),
    )
    first = frames[0]
    colours = None if first.palette is None else first.palette[:, :3].tobytes()
    chunks = _chunks_of(how, first.samples.shape[2], 8, colours)
    stream.write(with_chunks(encoded.getvalue(), chunks))


def _chunks_of(how: Writing, channels: int, depth: int, palette: bytes | None) -> list[Chunk]:
    """Return the chunks of all metadata, for pixels of a kind."""
    metadata = how.metadata
    chunks = metadata_chunks(icc=metadata.icc, comment=metadata.comment, **how.stored("exif", "xmp", "dpi", "aspect"))
    return [*adapted((*metadata.colour, *metadata.chunks), channels, depth, palette), *chunks, *metadata.text]


def metadata_chunks(
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    aspect: tuple[int, int] | None = None,
    comment: bytes | None = None,
) -> list[Chunk]:
    r"""Return metadata as PNG chunks.

    Parameters
    ----------
    icc : bytes, optional
        A colour profile.
    exif : bytes, optional
        A TIFF structure, with or without `Exif\0\0` before it.
    xmp : bytes, optional
        A packet, in UTF-8.
    dpi : (float, float), optional
        Horizontal and vertical; rounded to whole pixels per metre.
    aspect : (int, int), optional
        Pixels of a length, horizontal and vertical, if there is no `dpi`.
    comment : bytes, optional
        A text, in UTF-8 or Latin-1.

    Returns
    -------
    list of (bytes, bytes)
        Name and payload, in an order that PNG allows. No dates: the same input gives the same bytes.

    Examples
    --------
    >>> metadata_chunks(dpi=(300, 300), comment=b"Old Mill")
    [(b'pHYs', b'\x00\x00.#\x00\x00.#\x01'), (b'tEXt', b'Comment\x00Old Mill')]
    """
    chunks: list[Chunk] = []
    if icc:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(icc, 9)))
    if dpi and all(0 < side < 1e7 for side in dpi):
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(side / 0.0254) for side in dpi), 1)))
    elif aspect and all(0 < side < 2**31 for side in aspect):
        chunks.append((b"pHYs", struct.pack(">IIB", *aspect, 0)))
    if exif:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp))
    if comment:
        chunks.append(_comment(comment.replace(b"\0", b"")))
    return chunks


def _comment(text: bytes) -> Chunk:
    """Return a comment of unknown encoding: tEXt is Latin-1, iTXt is UTF-8 (PNG, section 11.3.3)."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return b"tEXt", b"Comment\0" + text
    return (b"tEXt", b"Comment\0" + text) if text.isascii() else (b"iTXt", b"Comment" + bytes(5) + text)

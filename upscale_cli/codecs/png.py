"""PNG: opened by Pillow, 16-bit colour read here; one image is written strip by strip, an animation by Pillow."""

import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO, cast

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from upscale_cli.codecs.bytewise import read_both_bytes, read_raw
from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Reading
from upscale_cli.codecs.pillow import PillowPicture, plays, save
from upscale_cli.codecs.pillow_metadata import read_orientation
from upscale_cli.codecs.png_stream import Chunk, PngStream
from upscale_cli.codecs.writing import Enlarged, Writing, alike
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Frame

LONG_TEXT = 1024
"""Texts of this many characters and more are compressed, as PNG advises."""

STORED_ELSEWHERE = frozenset(("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1"))
"""Keywords of texts that are XMP or EXIF."""


class PngPicture(PillowPicture):
    """A PNG file."""

    names = ("PNG",)

    def open_image(self) -> Image.Image:
        # Pillow would import the plugins of five formats before it looks at the file.
        with suppress(Exception):  # Image.open says what is wrong with it
            return PngImageFile(self.stream)
        self.stream.seek(0)
        return super().open_image()

    def bits(self, image: Image.Image) -> int:
        raw_mode = _raw_mode(image)
        if raw_mode.endswith(";16B"):
            return 16
        return {"L;2": 2, "L;4": 4}.get(raw_mode, super().bits(image))

    def orientation_before_decoding(self) -> int:
        # EXIF may follow the pixels; to ask for it then would decode them.
        return read_orientation(self.image) if "exif" in self.image.info else 1

    def read_samples(self, image: Image.Image, index: int) -> Frame:
        raw_mode = _raw_mode(image)
        if raw_mode == "LA;16B":
            both = read_raw(self.stream, index, "RGBA")
            return Frame(both.view(">u2").astype(np.uint16), "LA")
        samples = read_both_bytes(self.stream, index, raw_mode)
        key = image.info.get("transparency")
        if image.mode == "RGB" and key is not None:
            alpha = np.where((samples == np.array(key, np.uint16)).all(axis=2), 0, 65535)
            return Frame(np.dstack((samples, alpha.astype(np.uint16))), "RGBA")
        return Frame(samples, "RGBA" if image.mode == "RGBA" else "RGB")

    def prepare(self, image: Image.Image) -> None:
        """Scale a colour key of 2 or 4 bits to 8 bits, as Pillow scales the samples."""
        factor = {2: 85, 4: 17}[self.bits(image)]
        if "transparency" in image.info:
            image.info["transparency"] *= factor


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
    icc = how.metadata.icc
    chunks = [
        *how.metadata.colour,
        *metadata_chunks(text=texts(how), icc=icc, **how.stored("exif", "xmp", "dpi")),
    ]
    png = PngStream(
        width,
        height,
        channels,
        {"bool": 1, "uint8": 8, "uint16": 16}[image.dtype.name],
        palette=colours,
        palette_alpha=opacity,
        chunks=chunks,
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
    info = PngInfo()
    for name, payload in (*how.metadata.colour, *metadata_chunks(text=texts(how), **how.stored("xmp"))):
        info.add(name, payload)
    still = how.metadata.still
    save(
        stream,
        frames,
        how,
        "PNG",
        compress_level=9 if how.small else 6,
        pnginfo=info,
        xmp=None,
        comment=None,
        default_image=still,
        duration=[frame.duration or 0 for frame in frames][still:],
        loop=plays(how),
    )


def texts(how: Writing) -> dict[str, str]:
    """Return the text entries of a PNG: those of the source, and its comment."""
    comment = how.metadata.comment
    return ({"Comment": _decoded(comment)} if comment else {}) | dict(how.metadata.text)


def _decoded(text: bytes) -> str:
    """Return a text whose encoding is not known."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def metadata_chunks(
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    text: Mapping[str, str] | None = None,
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
    text : mapping of str to str, optional
        Entries with a keyword that PNG cannot store (Latin-1, 1 … 79 bytes) are left out, and so are those that are
        XMP or EXIF, which have parameters of their own. `lang` and `tkey` of Pillow's `iTXt` strings are kept.

    Returns
    -------
    list of (bytes, bytes)
        Name and payload, in an order that PNG allows. No dates: the same input gives the same bytes.

    Examples
    --------
    >>> metadata_chunks(dpi=(300, 300), text={"Title": "Old Mill"})
    [(b'pHYs', b'\x00\x00.#\x00\x00.#\x01'), (b'tEXt', b'Title\x00Old Mill')]
    """
    chunks: list[Chunk] = []
    if icc:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(icc, 9)))
    if dpi and all(0 < side < 1e7 for side in dpi):
        sides = b"".join(round(side / 0.0254).to_bytes(4, "big") for side in dpi)
        chunks.append((b"pHYs", sides + b"\1"))
    if exif:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp))
    for key, value in (text or {}).items():
        if key not in STORED_ELSEWHERE and re.fullmatch(r"[\x01-\xff]{1,79}", key, re.DOTALL):
            chunks.append(_text_chunk(key.encode("latin-1"), value))
    return chunks


def _text_chunk(name: bytes, value: str) -> Chunk:
    """Return tEXt, or zTXt if the text is long, or iTXt if it is not Latin-1 (PNG, section 11.3.3)."""
    language, translated = (getattr(value, field, "") or "" for field in ("lang", "tkey"))
    value = value.replace("\0", "")
    long = len(value) > LONG_TEXT
    try:
        if language or translated:
            raise UnicodeError
        latin = value.encode("latin-1")
    except UnicodeError:
        body = value.encode("utf-8", "replace")
        about = bytes((0, long, 0)) + language.encode("utf-8") + b"\0" + translated.encode("utf-8") + b"\0"
        return b"iTXt", name + about + (zlib.compress(body, 9) if long else body)
    return (b"zTXt", name + b"\0\0" + zlib.compress(latin, 9)) if long else (b"tEXt", name + b"\0" + latin)

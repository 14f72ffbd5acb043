"""The chunks of a PNG as they stand in the file, before and behind the pixels, and what becomes of each.

Pillow reads some of them, as numbers and as one text of each keyword, and those behind the pixels after decoding.
Format: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025, called "PNG" below.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from upscale_cli.codecs.png_stream import SIGNATURE, Chunk
from upscale_cli.errors import UpscaleError

PIXELS = frozenset((b"IDAT", b"fdAT"))
"""Chunks that are not read here."""

REPLACED = frozenset((b"IHDR", b"PLTE", b"IEND", b"tRNS", b"acTL", b"fcTL", b"iCCP", b"pHYs", b"iDOT")) | PIXELS
"""Chunks that are made anew. iDOT is Apple's index of the IDAT chunks."""

COLOUR = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI", b"sBIT")
"""Chunks that define colours (PNG, section 11.3.2)."""

TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
XMP = b"XML:com.adobe.xmp"
RAW_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")
"""Keywords of the texts in which ImageMagick stores EXIF."""

LONGEST_TEXT = 2**26
"""The most bytes to which a text is decompressed."""

LENGTHS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"mDCV": 24, b"cLLI": 8, b"tIME": 7}
BY_KIND = {0: (1, 2), 2: (3, 6), 3: (3, 1), 4: (2, 2), 6: (4, 6)}
"""The lengths of sBIT and bKGD, by colour type."""

DEPENDENT = {
    b"caBX": "content credentials, C2PA",
    b"caNv": "canvas",
    b"oFFs": "offset",
    b"vpAg": "page",
    b"sCAL": "scale",
}
"""Chunks that describe the source's pixels, and what people call them."""


class Chunks(NamedTuple):
    """What the chunks of a file say besides pixels, profile and resolution.

    Attributes
    ----------
    colour, text, others : tuple of (bytes, bytes)
        As they stand in the file; but a background colour is of 8 or 16 bits, not an index.
    exif, xmp : bytes or None
    notes : tuple of str
        What is left out, in words.
    """

    colour: tuple[Chunk, ...]
    text: tuple[Chunk, ...]
    others: tuple[Chunk, ...]
    exif: bytes | None
    xmp: bytes | None
    notes: tuple[str, ...]


def read_chunks(stream: BinaryIO) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield name and payload of each chunk, and whether its checksum is right. Pixels are skipped.

    It ends with the file, whether there is an IEND or not.
    """
    length = stream.seek(0, os.SEEK_END)
    position = len(SIGNATURE)
    while position + 12 <= length:
        stream.seek(position)
        size, name = struct.unpack(">I4s", stream.read(8))
        position += 12 + size
        if position > length or not name.isalpha():
            return
        if name not in PIXELS:
            payload, check = stream.read(size), stream.read(4)
            yield name, payload, zlib.crc32(payload, zlib.crc32(name)) == int.from_bytes(check)
        if name == b"IEND":
            return


def sorted_chunks(stream: BinaryIO) -> Chunks:
    """Return what the chunks of a PNG say, whose header Pillow has read; the stream is left anywhere.

    Raises
    ------
    UpscaleError
        If there is a chunk without which pixels cannot be read, and which PNG does not define.
    """
    header = palette = b""
    single: dict[bytes, bytes] = {}
    texts: list[Chunk] = []
    others: list[Chunk] = []
    found: dict[str, bytes] = {}
    left_out: dict[str, list[str]] = {}
    for name, payload, whole in read_chunks(stream):
        header = payload if name == b"IHDR" else header
        palette = payload if name == b"PLTE" else palette
        if not whole or len(payload) != _length(name, header, len(payload)):
            left_out.setdefault("damaged chunks are left out", []).append(name.decode())
        elif name in TEXTS:
            key, value = _metadata(name, payload)
            if value is None:
                texts.append((name, payload))
            else:
                found.setdefault(key, value)
        elif name == b"bKGD":
            single.setdefault(name, _background(payload, header, palette))
        elif name in COLOUR or name in (b"eXIf", b"tIME"):
            single.setdefault(name, payload)
        elif name not in REPLACED:
            _check_known(name)
            # PNG, section 5.4: by its last letter, a chunk may be copied when pixels change.
            if name[3:].islower() and name not in DEPENDENT:
                others.append((name, payload))
            else:
                known = f" ({DEPENDENT[name]})" if name in DEPENDENT else ""
                left_out.setdefault("chunks that describe the source's pixels are left out", []).append(
                    name.decode() + known
                )
    return Chunks(
        colour=tuple((name, single[name]) for name in COLOUR if name in single),
        text=tuple(texts),
        others=(*others, *((name, single[name]) for name in (b"bKGD", b"tIME") if name in single)),
        exif=single.get(b"eXIf", found.get("exif")),
        xmp=found.get("xmp"),
        notes=tuple(f"{what}: {', '.join(dict.fromkeys(names))}" for what, names in left_out.items()),
    )


def _check_known(name: bytes) -> None:
    if name[:1].isupper():
        raise UpscaleError(
            f"needs its {name.decode()} chunk, which the PNG standard does not define; "
            "save it as a plain PNG with the program that made it."
        )


def _length(name: bytes, header: bytes, length: int) -> int:
    """Return the bytes that a chunk must have: `length` if it may have any number."""
    if name in (b"sBIT", b"bKGD"):
        return BY_KIND[header[9]][name == b"bKGD"]
    return LENGTHS.get(name, length)


def _background(payload: bytes, header: bytes, palette: bytes) -> bytes:
    """Return a background colour for samples of at least 8 bits; that of an index is the colour of its palette."""
    depth, colour_type = header[8:10]
    if colour_type == 3:
        colour = palette[3 * payload[0] :][:3].ljust(3, b"\0")
        return bytes((0, colour[0], 0, colour[1], 0, colour[2]))
    if colour_type == 0 and depth < 8:
        return bytes((0, payload[1] % 2**depth * 255 // (2**depth - 1)))
    return payload


def _metadata(name: bytes, payload: bytes) -> tuple[str, bytes | None]:
    """Return what a text is, "exif" or "xmp", and its bytes; None if it is just a text."""
    keyword = payload.partition(b"\0")[0]
    if keyword == XMP:
        return "xmp", _value(name, payload)
    if keyword not in RAW_PROFILES:
        return "", None
    try:  # a line feed, a name, a length, and lines of hexadecimal digits
        profile = bytes.fromhex((_value(name, payload) or b"").split(b"\n", 3)[3].decode("ascii"))
    except (ValueError, IndexError):
        return "", None
    return "exif", profile.removeprefix(b"Exif\0\0") if profile.startswith((b"Exif\0\0", b"II", b"MM")) else None


def _value(name: bytes, payload: bytes) -> bytes | None:
    """Return the value of a text (PNG, section 11.3.3), decompressed; None if it is damaged or too long."""
    value = payload.partition(b"\0")[2]
    packed = name == b"zTXt" or (name == b"iTXt" and value[:1] == b"\1")
    value = value[1:] if name == b"zTXt" else value
    if name == b"iTXt":  # two bytes on compression, a language, a translated keyword
        value = value[2:].split(b"\0", 2)[-1]
    if not packed:
        return value
    unpack = zlib.decompressobj()
    try:
        value = unpack.decompress(value, LONGEST_TEXT)
    except zlib.error:
        return None
    return value if unpack.eof else None


def adapted(chunks: Iterable[Chunk], channels: int, depth: int, palette: bytes | None) -> list[Chunk]:
    """Return chunks as they fit the pixels of a result.

    Parameters
    ----------
    chunks : iterable of (bytes, bytes)
        `colour` and `others` of `Chunks`.
    channels, depth : int
        Of the result.
    palette : bytes or None
        R, G, B of its colours.
    """
    made = (_adapted(chunk, channels, depth, palette) for chunk in chunks)
    return [chunk for chunk in made if chunk[1]]


def _adapted(chunk: Chunk, channels: int, depth: int, palette: bytes | None) -> Chunk:
    """Return a chunk as `adapted` does; an empty one if its colour is not in the palette."""
    name, payload = chunk
    if name == b"sBIT":  # an alpha channel of a result is exact
        return name, (payload + bytes((depth,)))[: channels if palette is None else 3]
    if name == b"bKGD" and palette is not None:
        colours = range(0, len(palette), 3)
        return name, bytes([i // 3 for i in colours if palette[i : i + 3] == payload[1::2]][:1])
    if name == b"bKGD" and depth == 1:
        return name, bytes((0, payload[1] // 255))
    return chunk

"""The chunks of a PNG as they stand in the file, before and behind the pixels, and what becomes of each.

Pillow reads some of them, as numbers and as one text of each keyword, and those behind the pixels after decoding.
Format: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025, called "PNG" below.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from upscale_cli.codecs.png_stream import SIGNATURE, Chunk
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata

PIXELS = frozenset((b"IDAT", b"fdAT"))
"""Chunks that are not read with the others."""

REPLACED = frozenset((b"IEND", b"tRNS", b"acTL", b"fcTL", b"pHYs", b"iDOT")) | PIXELS
"""Chunks that are made anew. iDOT is Apple's index of the IDAT chunks."""

COLOUR = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI", b"sBIT")
"""Chunks that define colours (PNG, section 11.3.2)."""

SINGLE = frozenset((b"IHDR", b"PLTE", b"bKGD", b"eXIf", b"iCCP", b"tIME", *COLOUR))
TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
XMP = b"XML:com.adobe.xmp"
RAW_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")
"""Keywords of the texts in which ImageMagick stores EXIF."""

TAIL = 1 << 16
"""The bytes at the end among which the last of the chunks of pixels is looked for."""
LONGEST_TEXT = 2**26
"""The most bytes to which a text is decompressed."""

LENGTHS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"mDCV": 24, b"cLLI": 8, b"tIME": 7}
BY_KIND = {b"sBIT": (1, 0, 3, 3, 2, 0, 4), b"bKGD": (2, 0, 6, 1, 2, 0, 6)}
"""Lengths by colour type."""

DEPENDENT = {
    b"caBX": "content credentials, C2PA",
    b"caNv": "canvas",
    b"oFFs": "offset",
    b"vpAg": "page",
    b"sCAL": "scale",
}
"""Chunks that describe the source's pixels, and what people call them."""


def read_chunks(stream: BinaryIO, pixels: bool = False) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield name and payload of each chunk, and whether its checksum is right. Pixels are skipped unless asked for.

    It ends with the file, whether there is an IEND or not.
    """
    length = stream.seek(0, os.SEEK_END)
    position, last = len(SIGNATURE), 0
    while position + 12 <= length:
        stream.seek(position)
        size, name = struct.unpack(">I4s", stream.read(8))
        position += 12 + size
        if position > length or not name.isalpha():
            return
        if name == b"IDAT" and not pixels:
            last = last or _last_pixels(stream, length)
            position = max(position, last)
        elif pixels or name not in PIXELS:
            payload, check = stream.read(size), stream.read(4)
            yield name, payload, zlib.crc32(payload, zlib.crc32(name)) == int.from_bytes(check)
        if name == b"IEND":
            return


def _last_pixels(stream: BinaryIO, length: int) -> int:
    """Return the end of the last IDAT chunk if it begins near the end of a file, else a number before all chunks.

    There may be one every 8 KB, and to go from each to the next would fetch all of a picture that lies in a store.
    """
    start = max(len(SIGNATURE), length - TAIL)
    stream.seek(start)
    tail = stream.read(TAIL)
    name = tail.rfind(b"IDAT")
    end = name + 4 + int.from_bytes(tail[max(0, name - 4) : max(0, name)])
    whole = name >= 4 and zlib.crc32(tail[name:end]).to_bytes(4) == tail[end : end + 4]
    return start + end + 4 if whole else 1


def sorted_chunks(stream: BinaryIO) -> tuple[Metadata, list[str]]:
    """Return what the chunks of a PNG say besides resolution, and in words what of them is left out.

    Pillow has read the header; the stream is left anywhere. A background colour is of 8 or 16 bits, not an index.

    Raises
    ------
    UpscaleError
        If there is a chunk without which pixels cannot be read, and which PNG does not define.
    """
    found: dict[bytes, bytes] = {}
    texts: list[Chunk] = []
    others: list[Chunk] = []
    left_out: dict[str, list[str]] = {}
    for name, payload, whole in read_chunks(stream):
        length = BY_KIND[name][found[b"IHDR"][9]] if name in BY_KIND else LENGTHS.get(name, len(payload))
        if not whole or len(payload) != length:
            left_out.setdefault("damaged chunks are left out", []).append(name.decode())
        elif name in SINGLE:
            found.setdefault(name, payload)
        elif name in TEXTS:
            hidden = _hidden(name, payload)
            if hidden is None:
                texts.append((name, payload))
            else:
                found.setdefault(*hidden)
        elif name[:1].isupper() and name not in REPLACED:
            raise UpscaleError(
                f"needs its {name.decode()} chunk, which the PNG standard does not define; "
                "save it as a plain PNG with the program that made it."
            )
        # PNG, section 5.4: by its last letter, a chunk may be copied when pixels change.
        elif name in DEPENDENT or (name[3:].isupper() and name not in REPLACED):
            known = f" ({DEPENDENT[name]})" if name in DEPENDENT else ""
            what = "chunks that describe the source's pixels are left out"
            left_out.setdefault(what, []).append(name.decode() + known)
        elif name not in REPLACED:
            others.append((name, payload))
    if b"bKGD" in found:
        found[b"bKGD"] = _background(found[b"bKGD"], found[b"IHDR"], found.get(b"PLTE", b""))
    notes = [f"{what}: {', '.join(dict.fromkeys(names))}" for what, names in left_out.items()]
    # A profile is laid out as a compressed text is. Of an incomplete one, Pillow takes what there is.
    profile = _value(b"zTXt", found.get(b"iCCP", b""))
    if b"iCCP" in found and not profile:
        notes.append("its colour profile is damaged and left out")
    metadata = Metadata(
        icc=profile or None,
        colour=tuple((name, found[name]) for name in COLOUR if name in found),
        text=tuple(texts),
        chunks=(*others, *((name, found[name]) for name in (b"bKGD", b"tIME") if name in found)),
        exif=found.get(b"eXIf", found.get(b"exif")),
        xmp=found.get(b"xmp"),
    )
    return metadata, notes


def _background(payload: bytes, header: bytes, palette: bytes) -> bytes:
    """Return a background colour for samples of at least 8 bits; that of an index is the colour of its palette."""
    depth, colour_type = header[8:10]
    if colour_type == 3:
        colour = palette[3 * payload[0] :][:3].ljust(3, b"\0")
        return bytes((0, colour[0], 0, colour[1], 0, colour[2]))
    if colour_type == 0 and depth < 8:
        return bytes((0, payload[1] % 2**depth * 255 // (2**depth - 1)))
    return payload


def _hidden(name: bytes, payload: bytes) -> tuple[bytes, bytes] | None:
    """Return the XMP or EXIF that a text holds, and which of them it is; None if it is just a text."""
    keyword = payload.partition(b"\0")[0]
    if keyword not in (XMP, *RAW_PROFILES) or (value := _value(name, payload)) is None:
        return None
    if keyword == XMP:
        return b"xmp", value
    try:  # a line feed, a name, a length, and lines of hexadecimal digits
        profile = bytes.fromhex(value.split(b"\n", 3)[3].decode("ascii"))
    except (ValueError, IndexError):
        return None
    known = profile.startswith((b"Exif\0\0", b"II", b"MM"))
    return (b"exif", profile.removeprefix(b"Exif\0\0")) if known else None


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
    """Return chunks as they fit the pixels of a result; a background that is not in the palette is left out.

    Parameters
    ----------
    chunks : iterable of (bytes, bytes)
        `colour` and `chunks` of `Metadata`.
    channels, depth : int
        Of the result.
    palette : bytes or None
        R, G, B of its colours.
    """
    made = []
    for name, before in chunks:
        payload = before
        if name == b"sBIT":  # an alpha channel of a result is exact
            payload = (before + bytes((depth,)))[: channels if palette is None else 3]
        elif name == b"bKGD" and palette is not None:
            colours = range(0, len(palette), 3)
            payload = bytes([i // 3 for i in colours if palette[i : i + 3] == before[1::2]][:1])
        elif name == b"bKGD" and depth == 1:
            payload = bytes((0, before[1] // 255))
        made += [(name, payload)] if payload else []
    return made

"""A PNG file written strip by strip: any thread filters and deflates a strip, and the strips are joined in order.

Format: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025, called "PNG" below. No strip
depends on another, so threads do all of the work, and only finished bytes are put in order:

1. Row filters (PNG, section 9) subtract a neighbour from each byte. The first row of a strip looks at none
   above it.
2. Each strip is deflated on its own and ends with a full flush: on a byte boundary, with an empty window. The
   strips in sequence are one deflate stream (RFC 1951).
3. A zlib header precedes the first strip. The Adler-32 sum of all rows (RFC 1950), computed from those of the
   strips, follows the last.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError

try:  # At level 1 four times as fast as zlib, for files of the same size.
    from isal import isal_zlib as deflate
except ImportError:
    deflate = zlib  # type: ignore[misc]

Bytes2D = NDArray[np.uint8]
Chunk = tuple[bytes, bytes]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LONGEST_SIDE = 2**31 - 1
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
SAMPLE_TYPES = {1: np.dtype(np.bool_), 8: np.dtype(np.uint8), 16: np.dtype(np.uint16)}
NONE, SUB, UP, AVERAGE = 0, 1, 2, 3

FAST, SMALL = 1, 6
"""Compression levels. Above 1, ISA-L gains almost nothing; above 6, zlib gains little for five times the time."""

FIRST = 4
"""The fewest bytes that ISA-L keeps in its table of matches."""

AFTER_PALETTE = frozenset((b"bKGD", b"hIST"))
"""Chunks between PLTE and IDAT."""


class Part(NamedTuple):
    """A compressed strip.

    Attributes
    ----------
    chunk : bytes
        The IDAT chunk, complete.
    adler : int
        Adler-32 of the filtered rows.
    length : int
        Bytes of the filtered rows.
    """

    chunk: bytes
    adler: int
    length: int


class PngStream:
    r"""Turns strips of samples into the bytes of one PNG file.

    The file is `head`, an `idat` for each strip from the top, and `tail`. Any thread may call `pack`, in any order.
    The same samples in the same strips give the same bytes. Files made with ISA-L and without it differ in bytes, not
    in pixels.

    Parameters
    ----------
    width, height : int
        Sides of the image, 1 … 2³¹ − 1.
    channels : {1, 2, 3, 4}
        Grey, grey and alpha, RGB, RGBA.
    depth : {1, 8, 16}
        Bits per sample; 1 for one channel only.
    palette : bytes, optional
        R, G, B of up to 256 colours; the samples, one channel of depth 8, are indices into it.
    palette_alpha : bytes, optional
        Alpha of the first colours of the palette; the others are opaque.
    chunks : sequence of (bytes, bytes)
        Name and payload of further chunks.
    small : bool
        Compress harder: ten to thirty times slower, for a file that is a tenth to a fifth smaller.

    Raises
    ------
    UpscaleError
        If a side is longer than PNG allows.

    Examples
    --------
    >>> stream = PngStream(2, 1, 1, 8)
    >>> part = stream.pack(np.array([[[7], [9]]], np.uint8), first=True, last=True)
    >>> file = stream.head() + stream.idat(part) + stream.tail()
    >>> file[:8], file[12:29]
    (b'\x89PNG\r\n\x1a\n', b'IHDR\x00\x00\x00\x02\x00\x00\x00\x01\x08\x00\x00\x00\x00')
    """

    def __init__(
        self,
        width: int,
        height: int,
        channels: int,
        depth: int,
        *,
        palette: bytes | None = None,
        palette_alpha: bytes | None = None,
        chunks: Sequence[Chunk] = (),
        small: bool = False,
    ) -> None:
        if max(width, height) > LONGEST_SIDE:
            raise UpscaleError(f"{width}x{height} is more than a PNG file can hold ({LONGEST_SIDE} a side).")
        if channels > 1 and (depth == 1 or palette is not None):
            raise ValueError(f"{channels} channels of depth {depth}, palette: {palette is not None}")
        self._shape, self._dtype = (width, channels), SAMPLE_TYPES[depth]
        self._row_bytes = -(-width * channels * depth // 8)
        self._step = max(1, channels * depth // 8)
        self._indices, self._small = palette is not None or depth == 1, small
        self._left = height * (1 + self._row_bytes)
        self._adler = 1
        colour_type = 3 if palette is not None else COLOUR_TYPES[channels]
        header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
        self._chunks = [(b"IHDR", header)]
        self._chunks += [(b"PLTE", palette)] if palette else []
        self._chunks += [(b"tRNS", palette_alpha)] if palette_alpha else []
        self._further = chunks

    def head(self) -> bytes:
        """Return the bytes before the pixels: signature, IHDR, further chunks, PLTE, tRNS."""
        return with_chunks(SIGNATURE + joined(self._chunks), self._further)

    def pack(self, samples: NDArray[Any], first: bool, last: bool) -> Part:
        """Return a strip, filtered and deflated. It changes no state, so threads may pack several strips at once.

        Parameters
        ----------
        samples : bool, uint8 or uint16 (n, W, C)
            Rows of depth 1, 8, 16, in native byte order.
        first, last : bool
            Whether the strip is at the top, and whether it is at the bottom.
        """
        if samples.shape[1:] != self._shape or samples.dtype != self._dtype:
            raise ValueError(f"{samples.dtype} {samples.shape} in an image of {self._dtype} {self._shape}")
        flat = samples.reshape(len(samples), -1)
        if self._dtype.kind == "b":
            rows = np.packbits(flat, axis=1)
        elif self._dtype.itemsize == 2:
            rows = flat.astype(">u2").view(np.uint8)
        else:
            rows = flat
        kind = _best_filter(rows, self._step, self._indices, self._small)
        filtered = _filtered(rows, self._step, kind)
        end = zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH
        if self._small:
            packer = zlib.compressobj(SMALL, zlib.DEFLATED, -zlib.MAX_WBITS)
            packed: tuple[bytes, ...] = packer.compress(filtered.data), packer.flush(end)
        else:
            packed = _packed(filtered.data, -zlib.MAX_WBITS, end)
        pieces = b"\x78\x01" if first else b"", *packed
        return Part(_chunk(b"IDAT", pieces), deflate.adler32(filtered), filtered.size)

    def idat(self, part: Part) -> bytes:
        """Return the bytes of a packed strip. Call it once for each, from the top."""
        self._adler = combined_adler(self._adler, part.adler, part.length)
        self._left -= part.length
        return part.chunk

    def tail(self) -> bytes:
        """Return the bytes after the pixels: their Adler-32 sum, in an IDAT chunk of its own, and IEND."""
        if self._left:
            raise ValueError(f"{self._left} bytes of rows are missing")
        return _chunk(b"IDAT", (struct.pack(">I", self._adler),)) + _chunk(b"IEND", ())


def with_chunks(file: bytes, chunks: Sequence[Chunk]) -> bytes:
    """Return a PNG file, or its beginning, with further chunks in the order that PNG (section 5.6) demands."""
    header = len(SIGNATURE) + 25
    after = header
    while file[after + 4 : after + 8] in (b"PLTE", b"tRNS"):
        after += 12 + int.from_bytes(file[after : after + 4])
    first = joined(chunk for chunk in chunks if chunk[0] not in AFTER_PALETTE)
    second = joined(chunk for chunk in chunks if chunk[0] in AFTER_PALETTE)
    return b"".join((file[:header], first, file[header:after], second, file[after:]))


def joined(chunks: Iterable[Chunk]) -> bytes:
    """Return chunks, by name and payload, as they stand in a file."""
    return b"".join(_chunk(name, (payload,)) for name, payload in chunks)


def combined_adler(first: int, second: int, length: int) -> int:
    """Return the Adler-32 of two blocks in sequence, from the sums of both and the length of the second.

    The sum is `b << 16 | a`, `a` being 1 + the sum of the bytes and `b` the sum of all values of `a` on the
    way, modulo 65521 (RFC 1950, section 8.2). After a first block each of the second's `length` values of `a`
    is larger by `a_first − 1`.

    >>> combined_adler(zlib.adler32(b"ab"), zlib.adler32(b"cde"), 3) == zlib.adler32(b"abcde")
    True
    """
    a, b = first & 0xFFFF, first >> 16
    return (b + (second >> 16) + (a - 1) * length) % 65521 << 16 | (a + (second & 0xFFFF) - 1) % 65521


def compressed(data: bytes | Bytes2D, window: int = zlib.MAX_WBITS) -> bytes:
    """Return data as a zlib stream, or with a `window` of 16 more as gzip, compressed as fast as the pixels."""
    whole = data if isinstance(data, bytes) else data.data
    return b"".join(_packed(memoryview(whole), window, zlib.Z_FINISH))


def _packed(data: memoryview, window: int, end: int) -> tuple[bytes, ...]:
    """Return data compressed fast, in pieces; equal data gives equal bytes in every process.

    The main loop of ISA-L (2.32, levels 1 and 2) begins a stream with a place in its table of matches that it makes
    of an address, where a hash of the data is meant. The place may be that of the first bytes: once in some 8000
    streams they are not found again, and the file has other bytes, as right. The loop for the end of the data begins
    as it should, and takes `FIRST` bytes before a flush alone. This costs a strip about nine bytes.
    """
    packer, whole = deflate.compressobj(FAST, zlib.DEFLATED, window), data.cast("B")
    first = packer.compress(whole[:FIRST]), packer.flush(zlib.Z_SYNC_FLUSH)
    return *first, packer.compress(whole[FIRST:]), packer.flush(end)


def decompressed(data: bytes, most: int) -> bytes:
    """Return the first bytes of a zlib stream, `most` at most.

    Raises
    ------
    UpscaleError
        If it is no such stream.
    """
    try:
        made: bytes = deflate.decompressobj().decompress(data, most)
    except (zlib.error, deflate.error):  # type: ignore[misc]
        raise UpscaleError("has pixels that cannot be decompressed: it is damaged; get another copy.") from None
    return made


def _chunk(name: bytes, pieces: Iterable[bytes]) -> bytes:
    """Return length, name, payload and CRC (PNG, section 5.3) of a chunk whose payload comes in pieces."""
    pieces = tuple(pieces)
    crc = deflate.crc32(name)
    for piece in pieces:
        crc = deflate.crc32(piece, crc)
    return b"".join((struct.pack(">I", sum(map(len, pieces))), name, *pieces, struct.pack(">I", crc)))


def _filtered(rows: Bytes2D, step: int, kind: int) -> Bytes2D:
    """Return rows (n, B), filtered, each after the number of its filter: (n, 1 + B).

    With Up and Average the first row uses Sub, because the row above it belongs to another strip.

    `step` is the distance of a byte's left neighbour: the bytes of a pixel, at least 1.
    """
    out = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    out[:, 0] = kind
    body = out[:, 1:]
    if kind == NONE:
        body[:] = rows
    elif kind == SUB:
        body[:, :step] = rows[:, :step]
        np.subtract(rows[:, step:], rows[:, :-step], out=body[:, step:])
    else:
        out[:1] = _filtered(rows[:1], step, SUB)
        expected = rows[:-1] if kind == UP else _averages(rows, step)
        np.subtract(rows[1:], expected, out=body[1:])
    return out


def _averages(rows: Bytes2D, step: int) -> Bytes2D:
    """Return the rounded-down means of the left and upper neighbours of all bytes below the first row: (n − 1, B)."""
    above, left = rows[:-1], np.zeros_like(rows[1:])
    left[:, step:] = rows[1:, :-step]
    # A byte cannot hold the sum, but a + b = 2·(a & b) + (a ^ b): half of it is (a & b) + (a ^ b) / 2.
    both = left & above
    left ^= above
    left >>= 1
    left += both
    return left


def _best_filter(rows: Bytes2D, step: int, indices: bool, small: bool) -> int:
    """Return the filter that suits a few rows from the middle of the strip best.

    For photographs it is the filter with the smaller differences, and Up in doubt, which was the best for 212 of 228
    strips of the Kodak photographs enlarged four times. For palettes and for flat and sparse images, in which deflate
    finds repetitions that differences do not show, it is the filter whose rows deflate to the fewest bytes. Such
    trials take a tenth to a third of a strip's time, but most such strips are quick. Whole rows are tried, because a
    repetition may be beyond deflate's reach (32 KiB).
    """
    count = min(8, max(2, len(rows) // 8))
    some = rows[(len(rows) - count) // 2 :][:count]
    kinds = (AVERAGE, UP, SUB, NONE) if small else (UP, SUB, NONE)
    trials = {kind: _filtered(some, step, kind) for kind in kinds}
    if not small and not indices and all(np.count_nonzero(trials[kind]) > 0.6 * some.size for kind in (UP, SUB)):
        up, sub = (np.abs(trials[kind][1:].view(np.int8).astype(np.int16)).sum() for kind in (UP, SUB))
        return SUB if 1.3 * sub < up else UP
    return min(trials, key=lambda kind: len(compressed(trials[kind])))

"""The samples of a TIFF page, as they are stored.

Pillow's libtiff undoes the compressions, except deflate, for which ISA-L takes a third of the time; what the bytes
mean is decided here. For that, a page is handed to libtiff as a grey image of 8 bits, each row as wide as it has
bytes. So every depth, sample format, byte order, tiling and number of channels comes out as it was written, and
Pillow's list of modes does not matter. Format: Adobe, "TIFF Revision 6.0", 1992 (tiles: section 15; horizontal
differences: section 14), and "Photoshop TIFF Technical Note 3", 2005 (differences of floating-point numbers).
"""

import io
from itertools import accumulate
from math import prod
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from upscale_cli.codecs import tiff_tags as tag
from upscale_cli.codecs.png_stream import decompressed
from upscale_cli.codecs.tiff_directories import Page, Tag, packed
from upscale_cli.errors import UpscaleError
from upscale_cli.methods.rows import TOGETHER
from upscale_cli.methods.upsampler import Array

PLAIN, JPEG = 1, 7
DEFLATE = (8, 32946)
"""The number of Adobe, and the one before."""
WITH_PREDICTOR = frozenset((5, *DEFLATE, 34925, 50000))
"""LZW, deflate, LZMA, Zstandard: libtiff asks for a predictor with these only."""
BYTEWISE = WITH_PREDICTOR | {PLAIN, 32773}
"""Compressions that keep every byte: these, none, and PackBits."""
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse order."""
Places = NDArray[np.uint64]
"""Where strips or tiles begin, and their lengths in bytes: (2, planes, rows of them, columns of them)."""
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
"""Values of the tag `SAMPLE_FORMAT`."""


class Stored(NamedTuple):
    """How the samples of a page are stored, by its tags: a record that is built by keyword.

    Attributes
    ----------
    height, width, samples : int
        Of the page; samples are channels.
    bits : int
        Of a sample; all channels have as many.
    kind : {1, 2, 3}
        Unsigned, signed, floating point.
    planes : int
        1, or as many as samples if each channel is stored apart.
    compression, predictor : int
    across, down : int
        Columns and rows of a strip or tile.
    tiled : bool
    """

    height: int
    width: int
    samples: int
    bits: int
    kind: int
    planes: int
    compression: int
    predictor: int
    across: int
    down: int
    tiled: bool

    @property
    def row(self) -> int:
        """Bytes of a row of a strip or tile."""
        return -(-self.across * self.bits * self.samples // self.planes // 8)

    @property
    def step(self) -> int:
        """Rows that are decoded together: whole strips or tiles, or a part of the only strip."""
        rows = max(1, TOGETHER // (self.across * self.samples * -(-self.bits // 8) * self.grid[1]))
        return min(self.height, rows) if self.divisible else max(1, rows // self.down) * self.down

    @property
    def divisible(self) -> bool:
        """Whether a page, or each of its planes, is one strip without compression: as good as several."""
        return self.compression == PLAIN and not self.tiled and self.grid[0] == 1

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles, or strips, one below another and side by side."""
        return -(-self.height // self.down), -(-self.width // self.across)


def unsupported(what: str, way: str) -> UpscaleError:
    """Return the refusal of an intact file, and what to do with it."""
    return UpscaleError(f"is a TIFF {what}, which is not supported; {way}.")


def stored(page: Page) -> Stored:
    """Return how the samples of a page are stored.

    Raises
    ------
    UpscaleError
        If its tags say nothing that can be, or its channels differ.
    """
    height, width, samples = page.one(tag.HEIGHT), page.one(tag.WIDTH), page.one(tag.SAMPLES, 1)
    bits, kinds = page.integers(tag.BITS, 1), page.integers(tag.SAMPLE_FORMAT, UNSIGNED)
    if len({*bits[:samples]}) > 1 or len({*kinds[:samples]}) > 1:
        raise unsupported("of different depths per channel", "convert it to 8 or 16 bits")
    tiled, compression = tag.TILE_WIDTH in page.entries, page.one(tag.COMPRESSION, PLAIN)
    across = page.one(tag.TILE_WIDTH) if tiled else width
    down = page.one(tag.TILE_HEIGHT) if tiled else min(page.one(tag.STRIP_ROWS, height) or height, height)
    if not all((height, width, samples, bits[0], across, down)) or across * down * samples * bits[0] > 2**40:
        raise UpscaleError(f"is {width}x{height}: its pixels are not as its directory says; get another copy.")
    return Stored(
        height=height,
        width=width,
        samples=samples,
        bits=bits[0],
        # 4 is "undefined", which TIFF 6.0 (section 19) tells readers to take for unsigned.
        kind=UNSIGNED if kinds[0] == 4 else kinds[0],
        planes=samples if page.one(tag.PLANAR, 1) == 2 else 1,
        compression=compression,
        predictor=page.one(tag.PREDICTOR, 1) if compression in WITH_PREDICTOR else 1,
        across=across,
        down=down,
        tiled=tiled,
    )


def read_samples(page: Page, how: Stored, where: Places) -> Array:
    """Return the samples of a page as they are stored, (H, W, samples): not turned, scaled or inverted.

    Parameters
    ----------
    page : Page
    how : Stored
        Its height may be that of a part of the page, of whole strips or tiles.
    where : Places
        Of that part.

    Returns
    -------
    array (H, W, samples)
        bool for 1 bit; uint8 or uint16 for other depths up to 16 bits; 32 and 64 bits as they are.

    Raises
    ------
    UpscaleError
        If the file ends before them.
    """
    channels = how.samples // how.planes
    packed = _segments(page, how, where)
    if how.predictor == 2:
        samples = _typed(packed, page, how).reshape(*packed.shape[:2], -1, channels)
        # Differences of floating-point numbers are those of their bits.
        whole = samples.view(f"u{samples.itemsize}")
        np.add.accumulate(whole, axis=2, out=whole)
    elif how.predictor == 3:
        samples = _joined_bytes(packed, how)
    else:
        samples = _typed(packed, page, how)
    rows, columns = how.grid
    # A row of strips of 1 to 7 bits may end with unused bits.
    samples = samples.reshape((how.planes, rows, columns, how.down, -1))[..., : how.across * channels]
    whole = samples.swapaxes(2, 3).reshape(how.planes, rows * how.down, columns * how.across, channels)
    whole = whole[:, : how.height, : how.width]
    return whole[0] if how.planes == 1 else np.moveaxis(whole[..., 0], 0, 2)


def _typed(packed: NDArray[np.uint8], page: Page, how: Stored) -> Array:
    """Return the bytes (segments, rows, n) as samples (segments, rows, m), in native byte order."""
    if how.bits in (8, 16, 32, 64):
        letter = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[how.kind]
        dtype = np.dtype(f"{page.order}{letter}{how.bits // 8}")
        return packed.view(dtype).astype(dtype.newbyteorder("="), copy=False)
    bits = np.unpackbits(packed, axis=2)
    if how.bits == 1:
        return bits.view(bool)
    length = bits.shape[2] // how.bits
    samples = np.zeros((*bits.shape[:2], length), np.uint8 if how.bits < 8 else np.uint16)
    for place in range(how.bits):
        samples <<= 1
        samples |= bits[:, :, place : length * how.bits : how.bits]
    return samples


def _joined_bytes(packed: NDArray[np.uint8], how: Stored) -> Array:
    """Return floating-point samples whose bytes are stored by significance, and those as differences."""
    size, channels = how.bits // 8, how.samples // how.planes
    differences = packed.reshape(*packed.shape[:2], -1, channels)
    np.add.accumulate(differences, axis=2, out=differences)
    parts = differences.reshape(*packed.shape[:2], size, -1)
    values = np.ascontiguousarray(parts.swapaxes(2, 3)).view(f">f{size}")[..., 0]
    return values.astype(f"=f{size}")


def _segments(page: Page, how: Stored, where: Places) -> NDArray[np.uint8]:
    """Return the bytes of all strips or tiles, (segments, rows, bytes of a row); strips that are short are filled up.

    Tiles are one image, one below another, for libtiff. So are strips, but the last strip of a plane may be short, so
    each plane is an image of its own.
    """
    rows, columns = how.grid
    count = rows * columns
    if not where[1].all():
        raise unsupported("that does not store all of its pixels (sparse)", "fill it with gdal_translate")
    height = count * how.down if how.tiled else how.height
    numbers = {tag.COMPRESSION: how.compression, tag.FILL_ORDER: page.one(tag.FILL_ORDER, 1), tag.BITS: 8}
    numbers |= {tag.SAMPLES: 1, tag.PHOTOMETRIC: 1, tag.WIDTH: how.row, tag.HEIGHT: height, tag.STRIP_ROWS: how.down}
    made = np.zeros((count * how.planes, how.down, how.row), np.uint8)
    for plane in range(how.planes):
        target = made[plane * count : (plane + 1) * count].reshape(-1)[: height * how.row]
        if how.compression not in (PLAIN, *DEFLATE):
            target[:] = _decoded(page, numbers, where[:, plane]).reshape(-1)
            continue
        full = how.down * how.row
        for index, (start, length) in enumerate(where[:, plane].reshape(2, -1).T.tolist()):
            place = target[index * full : (index + 1) * full]
            data = read_bytes(page.stream, start, min(length, len(place)) if how.compression == PLAIN else length)
            if page.one(tag.FILL_ORDER, 1) == 2:
                data = data.translate(REVERSED)
            if how.compression in DEFLATE:
                data = decompressed(data, len(place))
            if len(data) < len(place):
                raise UpscaleError("has too few pixels: it is damaged; get another copy.")
            place[:] = np.frombuffer(data, np.uint8)
    return made


def places(page: Page, how: Stored) -> tuple[Stored, Places]:
    """Return where the strips or tiles of a page are, and how it is stored: of one long strip as of several.

    Raises
    ------
    UpscaleError
        If the page does not say where all of them are.
    """
    # Old writers give tiles the tags of strips.
    tiles = tag.TILE_OFFSETS in page.entries
    starts = np.array(page.integers(tag.TILE_OFFSETS if tiles else tag.STRIP_OFFSETS), np.uint64)
    if how.divisible and len(starts) == how.planes:
        how = how._replace(down=how.step)
        starts = (starts[:, None] + np.arange(how.grid[0], dtype=starts.dtype) * (how.down * how.row)).ravel()
    # Old writers leave the lengths out, or write zeros.
    lengths = np.array(page.integers(tag.TILE_COUNTS if tiles else tag.STRIP_COUNTS), np.uint64)
    if how.compression == PLAIN:
        lengths = np.full_like(starts, how.down * how.row)
    if len(starts) != how.planes * prod(how.grid) or len(lengths) != len(starts):
        raise UpscaleError("does not say where its pixels are; it is damaged, get another copy.")
    return how, np.stack([starts, lengths]).reshape(2, how.planes, *how.grid)


def _decoded(page: Page, numbers: dict[int, int], where: Places) -> Array:
    """Return some segments, decompressed, as one image of bytes (height, bytes of a row)."""
    tags = {number: (4, (value,)) for number, value in numbers.items()}
    with TiffImageFile(copied(page, tags, where)) as image:
        try:
            image.load()
        except OSError:
            raise UpscaleError("has pixels that cannot be decompressed: it is damaged; get another copy.") from None
        return np.asarray(image)


def copied(page: Page, tags: dict[int, Tag], where: Places) -> io.BytesIO:
    """Return a TIFF file of one page that has some tags, and some strips or tiles of another page."""
    pieces = [read_bytes(page.stream, *each) for each in where.reshape(2, -1).T.tolist()]
    tiled = tag.TILE_WIDTH in tags
    offsets, counts = (tag.TILE_OFFSETS, tag.TILE_COUNTS) if tiled else (tag.STRIP_OFFSETS, tag.STRIP_COUNTS)
    at = list(accumulate(map(len, pieces), initial=0))
    tags = tags | {counts: (4, tuple(map(len, pieces))), offsets: (4, at[:-1])}
    shift = 8 + len(packed(tags, 8))
    tags[offsets] = 4, [shift + place for place in at[:-1]]
    header = b"II*\0\x08\0\0\0" if page.order == "<" else b"MM\0*\0\0\0\x08"
    return io.BytesIO(b"".join((header, packed(tags, 8, order=page.order), *pieces)))


def read_bytes(stream: BinaryIO, start: int, length: int) -> bytes:
    """Return the bytes of a strip or tile; raise `UpscaleError` if the file ends before them."""
    stream.seek(min(start, 2**62))
    data = stream.read(length)
    if len(data) < length:
        raise UpscaleError("is truncated: some of its pixels are missing; get the complete file.")
    return data

"""TIFF: which pages of a file are pictures, and what their samples mean.

Pillow has modes for some of the pixels that TIFF can store, and reads several others as something else: other depths,
numbers, planes and bands. So the samples are read here (`tiff_samples`), and Pillow decodes only the pages of
compressions that are for one kind of pixels, JPEG and fax. Format: Adobe, "TIFF Revision 6.0", 1992
(colours: sections 8 and 16 to 23; extra samples: section 18), and "Photoshop TIFF Technical Notes", 2002.
"""

import io
from collections.abc import Iterator
from itertools import takewhile
from math import ceil
from typing import Any, BinaryIO

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from upscale_cli.codecs import tiff_tags as tag
from upscale_cli.codecs.format import Format
from upscale_cli.codecs.jpeg_encoding import encoding_of
from upscale_cli.codecs.jpeg_segments import DQT, SOS, segments
from upscale_cli.codecs.picture import Encoding, Picture, Reading, check_frame, check_source
from upscale_cli.codecs.pillow import from_pillow, limit_pillow
from upscale_cli.codecs.tiff_directories import Page, read_pages
from upscale_cli.codecs.tiff_metadata import read_metadata
from upscale_cli.codecs.tiff_samples import (
    BYTEWISE,
    FLOAT,
    JPEG,
    PLAIN,
    SIGNED,
    UNSIGNED,
    Places,
    Stored,
    copied,
    places,
    read_bytes,
    read_samples,
    stored,
    unsupported,
)
from upscale_cli.codecs.tiff_writer import write_tiff
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.ome import LEFT_OUT
from upscale_cli.image.pixels import CHANNELS, Frame, Mode, divided_by_alpha, full_depth, oriented
from upscale_cli.methods.blocks import SIDE
from upscale_cli.methods.rows import KEPT
from upscale_cli.methods.upsampler import Array

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR = 0, 1, 2, 3, 5, 6
MODES: dict[int, Mode] = {
    WHITE_IS_ZERO: "L",
    BLACK_IS_ZERO: "L",
    RGB: "RGB",
    PALETTE: "P",
    INKS: "CMYK",
    YCBCR: "RGB",
}
"""What the first channels are, by the tag `PHOTOMETRIC`."""
OTHERS = {
    4: "a transparency mask",
    8: "CIELAB colours",
    9: "ICC LAB colours",
    10: "ITU LAB colours",
    32803: "the mosaic of a camera's sensor (raw)",
    32844: "LogL light",
    32845: "LogLuv light",
    34892: "a camera's linear sensor values (raw)",
    51177: "a depth map",
}
"""What is refused, by the same tag."""
FAX = frozenset((2, 3, 4, 32771))
COMPRESSIONS = {
    6: "old-style JPEG",
    32809: "ThunderScan",
    32895: "IT8",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGILog",
    34677: "SGILog",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
"""Compressions that are refused, by the tag `COMPRESSION`."""
DEPTHS = {UNSIGNED: (*range(1, 17), 32, 64), SIGNED: (8, 16, 32, 64), FLOAT: (16, 32, 64)}
HEAD = 1 << 16
"""Bytes of a strip that is a JPEG in which its frame and its tables are looked for."""
TABLES_WITHIN, MOST_COMPARED = 1 << 12, 256
"""Bytes of each further strip in which tables of its own are looked for, and in how many strips of a page."""
REDUCED, MASK = 1, 4
"""Bits of the tag `KIND`: a page is a smaller copy of another one, or another one's opacity."""
ASSOCIATED, ALPHA = 1, 2
"""Values of the tag `EXTRA_SAMPLES`: opacity by which colours are multiplied already, and opacity."""

GLOW = "colour brighter than its associated alpha (glow) is clipped; mark that channel as unspecified to keep it"


class TiffPicture(Picture):
    """A TIFF file. Its pages are those that are no thumbnails or masks of others."""

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        limit_pillow(reading)
        pages = read_pages(stream)
        if not pages or not any(page.entries for page in pages):
            raise UpscaleError("is truncated: a part of its directory is missing; get the complete file.")
        self._pages = [page for page in pages if not page.one(tag.KIND) & (REDUCED | MASK)]
        _refuse_raw(pages)
        if not self._pages:
            raise UpscaleError("holds only thumbnails or masks; its picture is not in the file, or is camera raw.")
        self._note_left_out(pages)
        self.count = len(self._pages)
        # OME-XML counts the pages, which have one size, and tells how their channels are stored: not apart, as here.
        sizes = {(page.one(tag.HEIGHT), page.one(tag.WIDTH)) for page in pages}
        apart = any(page.one(tag.PLANAR, 1) == 2 and page.one(tag.SAMPLES, 1) > 1 for page in pages)
        self._ordered = self._pages == pages and len(sizes) == 1 and not apart
        first = self._pages[0]
        how = stored(first)
        mode, extra = check(first, how)
        self.height, self.width = how.height, how.width
        if orientation(first) >= 5:
            self.height, self.width = self.width, self.height
        check_source(self.height, self.width, reading)
        if how.bits not in (1, 8, 16, 32, 64) and mode != "P":
            self.notes.append(f"its {how.bits} bits per channel become {8 if how.bits < 8 else 16}")
        self.ink = mode == "CMYK"
        self.encoding = self._encoding(exact=mode == "P")
        self.channels = (3 if mode == "P" else CHANNELS[mode]) + len(extra)
        self.itemsize = -(-how.bits // 8)
        # Samples, and those that are turned, or changed in `arrange`.
        self.decoded = how.samples * self.itemsize * 2 + (3 if mode == "P" else 0)
        # Rows that are kept, as stored and changed; and while some are decoded, what libtiff is given and returns.
        together = how.step * self.width * how.samples * self.itemsize
        self.by_rows = 2 * max(KEPT, 2 * together) + 6 * together if orientation(first) == 1 else 0

    def _encoding(self, exact: bool) -> Encoding:
        """Return what all pages have in common: nobody can tell how much was lost where they differ."""
        found = {encoding_of_page(page) for page in self._pages}
        if len(found) == 1:
            return found.pop()._replace(exact=exact)
        return Encoding(lossless=all(each.lossless for each in found), exact=exact)

    def decode(self) -> Iterator[Frame]:
        for index, page in enumerate(self._pages):
            page.check()
            how = stored(page)
            turned = orientation(page)
            height, width = (how.width, how.height) if turned >= 5 else (how.height, how.width)
            check_frame(self, index + 1, height, width)
            frame = self._frame(page, how)
            samples = frame.samples if turned == 1 else oriented(np.asarray(frame.samples), turned)
            metadata = read_metadata(page, self.notes)._replace(orientation=turned)
            if metadata.ome and not self._ordered:
                self.notes.append(LEFT_OUT)
                metadata = metadata._replace(ome=None)
            yield frame._replace(samples=samples, metadata=metadata)

    def _frame(self, page: Page, how: Stored) -> Frame:
        """Return a page as a frame that is read by rows, as stored: the orientation is not applied."""
        how, where = places(page, how)
        frames: list[Frame] = []

        def read(start: int, stop: int) -> Array:
            part = where[:, :, start // how.down : -(-stop // how.down)]
            frames[:] = [read_frame(page, how._replace(height=stop - start), part, self.notes)]
            return frames[0].samples

        samples = self.rows(how.height, how.step, read)
        return frames[0]._replace(samples=samples)

    def _note_left_out(self, pages: list[Page]) -> None:
        """Say which pages and sub-directories are left out."""
        left_out = [page for page in pages if page not in self._pages]
        masks = sum(bool(page.one(tag.KIND) & MASK) for page in left_out)
        inner = sum(len(page.integers(tag.SUB_DIRECTORIES)) for page in self._pages)
        counts = {"thumbnail": len(left_out) - masks, "mask": masks, "sub-image": inner}
        for what, count in counts.items():
            if count:
                self.notes.append(f"its {what} is left out" if count == 1 else f"its {count} {what}s are left out")


def open(stream: BinaryIO, format: Format, reading: Reading) -> TiffPicture:
    """Open a TIFF file; see `Codec`."""
    return TiffPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a TIFF file; see `Codec`."""
    write_tiff(stream, frames, how)


def _refuse_raw(pages: list[Page]) -> None:
    """Raise `UpscaleError` if a file is camera raw: what could be read of it is a thumbnail."""
    if any(tag.DNG in page.entries for page in pages):
        raise UpscaleError("is camera raw (DNG), which is not supported; develop it to a TIFF of 16 bits first.")


def orientation(page: Page) -> int:
    """Return the orientation of a page, 1 … 8."""
    turned = page.one(tag.ORIENTATION, 1)
    return turned if 1 <= turned <= 8 else 1


def encoding_of_page(page: Page) -> Encoding:
    """Return how a page was compressed; strips of a JPEG that have different tables tell nothing."""
    if page.one(tag.COMPRESSION, PLAIN) != JPEG:
        return Encoding()
    try:
        how, where = places(page, stored(page))
        strips = where.reshape(2, -1).T.tolist()
        start, length = strips[0]
        first = read_bytes(page.stream, start, min(length, HEAD))
        some = strips[:: ceil(len(strips) / MOST_COMPARED)]
        if len({_own_tables(page.stream, *strip) for strip in some}) > 1:
            return Encoding(lossless=False)
        # Tables and strips are files of their own, which begin and end with a marker.
        tables = page.data(tag.JPEG_TABLES)
        with JpegImageFile(io.BytesIO(tables[:-2] + first[2:] if tables else first)) as image:
            found = encoding_of(image, orientation(page), (how.width, how.height))
    except Exception:  # `decode` says what is wrong with it
        return Encoding(lossless=False)
    # Here the directory says what the channels are. Blocks begin anew in each strip.
    known = page.one(tag.PHOTOMETRIC) in (BLACK_IS_ZERO, YCBCR) and (how.grid[0] == 1 or how.down % SIDE == 0)
    return Encoding(lossless=False, luma=found.luma, blocks=found.blocks if known else ())


def _own_tables(stream: BinaryIO, start: int, length: int) -> bytes:
    """Return the quantisation tables that a strip has for itself, near its beginning."""
    head = io.BytesIO(read_bytes(stream, start, min(length, TABLES_WITHIN)))
    before = takewhile(lambda segment: segment.marker != SOS, segments(head))
    return b"".join(segment.content for segment in before if segment.marker == DQT)


def check(page: Page, how: Stored) -> tuple[Mode, tuple[int, ...]]:
    """Return what the first channels of a page are, and the kinds of the others, by the tag `EXTRA_SAMPLES`.

    Raises
    ------
    UpscaleError
        If such pages cannot be read, or enlarged.
    """
    photometric = page.one(tag.PHOTOMETRIC, RGB if how.samples > 2 else BLACK_IS_ZERO)
    if how.compression not in BYTEWISE | FAX | {JPEG}:
        name = COMPRESSIONS.get(how.compression, f"number {how.compression}")
        raise unsupported(f"with {name} compression", "save it with deflate or LZW")
    if photometric in OTHERS or photometric not in MODES:
        what = OTHERS.get(photometric, f"pixels of the unknown kind {photometric}")
        raise unsupported(f"with {what}", "convert it to RGB or grey first")
    if photometric == YCBCR and how.compression == PLAIN:
        raise unsupported("with YCbCr colours that are not compressed", "save it as RGB")
    if page.one(tag.DEPTH, 1) > 1 or page.one(tag.TILE_DEPTH, 1) > 1:
        raise unsupported("of a volume", "save its slices as pages")
    if how.bits not in DEPTHS.get(how.kind, ()):
        number = {UNSIGNED: "", SIGNED: "signed ", FLOAT: "floating-point "}.get(how.kind, "complex ")
        raise unsupported(f"of {how.bits} {number}bits per channel", "convert it to 16 or 32 bits")
    known = (1, 2, 3) if how.kind == FLOAT else (1, 2)
    if how.predictor not in known or (how.predictor != 1 and how.bits % 8):
        what = f"with predictor {how.predictor} for {how.bits} bits per channel"
        raise unsupported(what, "save it without a predictor")
    if photometric == WHITE_IS_ZERO and how.kind != UNSIGNED:
        raise unsupported("of signed or floating-point numbers whose 0 is white", "invert it first")
    mode = MODES[photometric]
    extra = how.samples - CHANNELS[mode]
    if extra < 0 or (mode == "CMYK" and page.one(tag.INKS, 1) != 1):
        raise unsupported(f"of {how.samples} channels that are not {mode}", "convert it to RGB first")
    kinds = page.integers(tag.EXTRA_SAMPLES)[:extra]
    if extra and how.compression not in BYTEWISE:
        raise unsupported("with lossy compression of extra channels", "save it with LZW")
    return mode, kinds + (0,) * (extra - len(kinds))


def read_frame(page: Page, how: Stored, where: Places, notes: list[str]) -> Frame:
    """Return a page, or a part of it, as a frame, as stored: the orientation is not applied. Adds to the notes."""
    mode, extra = check(page, how)
    if how.compression not in BYTEWISE or page.one(tag.PHOTOMETRIC, BLACK_IS_ZERO) == YCBCR:
        return _by_pillow(page, how, where)
    samples = read_samples(page, how, where)
    if mode == "P":
        samples, mode, palette = _coloured(page, how, samples)
        if palette is not None:
            return Frame(samples, mode, palette)
        return _with_alpha(samples, mode, extra, notes)
    if page.one(tag.PHOTOMETRIC, BLACK_IS_ZERO) == WHITE_IS_ZERO:
        samples = ~samples if how.bits in (1, 8, 16, 32, 64) else samples ^ samples.dtype.type(2**how.bits - 1)
    if how.bits < 16 and (how.bits, how.samples) != (1, 1) and how.kind == UNSIGNED:
        samples = full_depth(samples, how.bits)
    return _with_alpha(samples, mode, extra, notes)


def _coloured(page: Page, how: Stored, samples: Array) -> tuple[Array, Mode, Any]:
    """Return indices with their palette as RGBA, or true colours of 16 bits where they cannot stay indices."""
    flat = page.integers(tag.COLOUR_MAP)
    size = len(flat) // 3
    if not size or how.kind != UNSIGNED or how.bits > 16:
        raise unsupported("without the palette of its indices", "convert it to RGB first")
    colours = np.array(flat[: 3 * size], np.uint16).reshape(3, size).T
    samples = samples.view(np.uint8) if samples.dtype == bool else samples
    # Old writers store 8 bits: libtiff's rule.
    if colours.max() < 256:
        colours = colours * np.uint16(257)
    if how.bits <= 8 and how.samples == 1:
        palette = np.zeros((256, 4), np.uint8)
        palette[:, 3] = 255
        palette[: min(size, 256), :3] = colours[:256] >> 8
        return samples, "P", palette
    true = colours[np.minimum(samples[..., 0], size - 1)]
    if how.bits <= 8:
        true = (true >> 8).astype(np.uint8)
    return np.concatenate([true, full_depth(samples[..., 1:], how.bits)], axis=2), "RGB", None


def _with_alpha(samples: Array, mode: Mode, extra: tuple[int, ...], notes: list[str]) -> Frame:
    """Return a frame: one extra channel that is opacity belongs to the colours, others stay what they are."""
    if len(extra) != 1 or extra[0] not in (ASSOCIATED, ALPHA) or mode == "CMYK":
        return Frame(samples, mode, extra=extra)
    if extra[0] == ASSOCIATED:
        if samples.dtype.kind == "i" or samples.dtype == np.uint64:
            raise unsupported(f"of {samples.dtype} multiplied by opacity", "save its opacity unassociated")
        colours, alpha = samples[..., :-1], samples[..., -1:]
        glows = colours > alpha if samples.dtype.kind == "u" else (alpha == 0) & (colours != 0)
        if GLOW not in notes and glows.any():
            notes.append(GLOW)
        samples = divided_by_alpha(samples)
    return Frame(samples, "LA" if mode == "L" else "RGBA")


def _by_pillow(page: Page, how: Stored, where: Places) -> Frame:
    """Return a page, or a part of it, that libtiff decodes to pixels, as stored."""
    unlike = {tag.STRIP_OFFSETS, tag.STRIP_COUNTS, tag.TILE_OFFSETS, tag.TILE_COUNTS}
    unlike |= {tag.ORIENTATION, tag.SUB_DIRECTORIES}
    tags = {number: page.tag(number) for number in page.entries if number < tag.XMP and number not in unlike}
    tags |= {tag.HEIGHT: (4, (how.height,))}
    with TiffImageFile(copied(page, tags, where)) as image:
        image.load()
        return from_pillow(image)

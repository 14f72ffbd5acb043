"""TGA: read here, for Pillow takes an unused fourth byte for alpha, and reverses the alpha of 16 bits."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from upscale_cli.codecs.dib import MASKS, TRUNCATED
from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.codecs.pillow import save
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, divided_by_alpha, full_depth

INDEXED, COLOUR, GREY, PACKED = 1, 2, 3, 8
"""Types of image data; `PACKED` is added for those that are run-length encoded."""
DEPTHS = {INDEXED: (8,), COLOUR: (16, 24, 32), GREY: (1, 8, 16)}
ALPHA_BITS, FROM_RIGHT, FROM_TOP = 15, 16, 32
"""Bits of the image descriptor."""
USEFUL, ASSOCIATED = 3, 4
"""Kinds of alpha that the extension area of version 2 tells."""
FOOTER = b"TRUEVISION-XFILE.\0"


class TgaPicture(Picture):
    """A TGA file (Truevision, "TGA File Format Specification", version 2.0)."""

    def __init__(self, stream: BinaryIO, format: Format, reading: Reading) -> None:
        super().__init__(stream, format, reading)
        fields = struct.unpack("<BBBHHB4xHHBB", stream.read(18))
        self._id, mapped, kind, first, self._colours, self._entry, *rest = fields
        self.width, self.height, self._depth, self._descriptor = rest
        self._kind, self._packed, self._first = kind & ~PACKED, bool(kind & PACKED), first
        if self._depth not in DEPTHS[self._kind] or (self._kind == INDEXED and not mapped):
            raise UpscaleError(
                f"is a TGA of type {kind} with {self._depth} bits per pixel, which is not supported; "
                "convert it to PNG first."
            )
        if mapped and self._entry not in (15, 16, 24, 32):
            raise UpscaleError(f"has a palette of {self._entry} bits per colour, which is not supported in TGA.")
        if self._kind == GREY and self._depth == 16 and not self._descriptor & ALPHA_BITS:
            raise UpscaleError("is a grey TGA of 16 bits that does not say what they are; convert it to PNG first.")
        self._map_size = self._colours * ((self._entry + 7) // 8) if mapped else 0
        self.count, self.itemsize = 1, 1
        self.channels = 2 if self._kind == GREY else 4
        self.decoded = 4 + 2 * self.channels

    def decode(self) -> Iterator[Frame]:
        self.stream.seek(18)
        title = self.stream.read(self._id).partition(b"\0")[0].strip()
        colours, data = self.stream.read(self._map_size), self.stream.read()
        alpha = self._alpha(data)
        each, count = (self._depth + 7) // 8, self.width * self.height
        if self._depth == 1:
            stride = (self.width + 7) // 8
            rows = _bytes(data, self._packed, 1, stride * self.height).reshape(self.height, stride)
            frame = Frame(np.unpackbits(rows, axis=1)[:, : self.width, None].astype(bool), "L")
        else:
            pixels = _bytes(data, self._packed, each, each * count).reshape(self.height, self.width, each)
            frame = self._frame(pixels, colours, alpha)
        samples = frame.samples if self._descriptor & FROM_TOP else frame.samples[::-1]
        samples = samples[:, ::-1] if self._descriptor & FROM_RIGHT else samples
        yield frame._replace(samples=np.ascontiguousarray(samples), metadata=Metadata(comment=title or None))

    def _alpha(self, data: bytes) -> int:
        """Return the kind of alpha, in the terms of version 2; 0 for none."""
        if not self._descriptor & ALPHA_BITS:
            return 0
        start = struct.unpack_from("<I", data, len(data) - 26)[0] if data.endswith(FOOTER) else 0
        if not start:
            return USEFUL
        self.stream.seek(start + 494)
        told = self.stream.read(1)
        return told[0] if told else USEFUL

    def _frame(self, pixels: NDArray[np.uint8], colours: bytes, alpha: int) -> Frame:
        """Return pixels (H, W, bytes) as a frame, in the order of the file."""
        if self._kind == GREY:
            return Frame(pixels, "LA") if pixels.shape[2] == 2 else Frame(pixels, "L")
        if self._kind == COLOUR:
            samples = _true_colours(pixels, self._depth, alpha)
            if samples.shape[2] < pixels.shape[2] == 4 and np.ptp(pixels[:, :, 3]):
                self.notes.append("its fourth channel is not alpha, as its header says, and is left out")
            return Frame(samples, "RGBA" if samples.shape[2] == 4 else "RGB")
        index = pixels[:, :, 0].astype(np.int64) - self._first
        table = np.frombuffer(colours, np.uint8).reshape(-1, (self._entry + 7) // 8)
        if index.min() < 0 or index.max() >= len(table):
            raise UpscaleError("has colours that its palette does not have: it is damaged; get another copy.")
        # The highest of 16 bits is no alpha here, as all decoders have it.
        known = _true_colours(table[None], 15 if self._entry == 16 else self._entry, alpha)[0]
        palette = np.full((256, 4), (0, 0, 0, 255), np.uint8)
        palette[: len(known), : known.shape[1]] = known[:256]
        return Frame(index.astype(np.uint8)[:, :, None], "P", palette)


def _true_colours(pixels: NDArray[np.uint8], depth: int, alpha: int) -> NDArray[np.uint8]:
    """Return pixels (H, W, bytes) of blue, green, red and perhaps alpha as RGB, or RGBA if the alpha is useful."""
    if depth in (15, 16):
        values = pixels.astype(np.uint16) @ np.array([1, 256], np.uint16)
        fields = [full_depth((values & mask) // (mask & -mask), 5) for mask in MASKS[16][:3]]
        samples = np.stack([*fields, (values >> 15) * np.uint8(255)], axis=2).astype(np.uint8)
        clear = depth == 15
    else:
        samples = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
        clear = depth == 24
    if clear or alpha not in (USEFUL, ASSOCIATED):
        return samples[:, :, :3]
    return divided_by_alpha(samples) if alpha == ASSOCIATED else samples


def _bytes(data: bytes, packed: bool, each: int, count: int) -> NDArray[np.uint8]:
    """Return `count` bytes of pixels of `each` bytes, out of packets of runs and of literals."""
    if packed:
        unpacked, at = bytearray(), 0
        while len(unpacked) < count and at < len(data):
            head = data[at]
            pixels = (head & 127) + 1
            part = data[at + 1 : at + 1 + (each if head & 128 else each * pixels)]
            at += 1 + len(part)
            unpacked += part * pixels if head & 128 else part
        data = bytes(unpacked)
    if len(data) < count:
        raise UpscaleError(TRUNCATED)
    return np.frombuffer(data, np.uint8, count)


def open(stream: BinaryIO, format: Format, reading: Reading) -> TgaPicture:
    """Open a TGA file; see `Codec`."""
    return TgaPicture(stream, format, reading)


def write(stream: BinaryIO, frames: Iterator[Enlarged], how: Writing) -> None:
    """Write a TGA file; see `Codec`."""
    save(stream, [frame.frame() for frame in frames], how, "TGA")

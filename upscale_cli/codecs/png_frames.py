"""The frames of an animated PNG, each as a PNG of its own. Pillow blends half-transparent pixels wrongly.

Format: "PNG" of `png_chunks`, sections 11.3.6 (fcTL, fdAT) and 13.16.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from upscale_cli.codecs.canvas import CLEAR
from upscale_cli.codecs.png_chunks import PIXELS, read_chunks
from upscale_cli.codecs.png_stream import SIGNATURE, joined
from upscale_cli.errors import UpscaleError


class Control(NamedTuple):
    """How a frame is shown: the fields of its fcTL chunk."""

    sequence: int
    width: int
    height: int
    left: int
    top: int
    numerator: int
    denominator: int
    dispose: int
    blend: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height on the canvas."""
        return self.left, self.top, self.width, self.height

    @property
    def disposal(self) -> int:
        """KEEP, CLEAR or RESTORE of `canvas`. Before the first frame the canvas is clear, and restored as such."""
        return self.dispose + 1

    @property
    def duration(self) -> float:
        """Milliseconds for which it is shown."""
        return self.numerator / (self.denominator or 100) * 1000


def _control(payload: bytes) -> Control:
    return Control(*struct.unpack(">5I2H2B", payload))


def frame_files(stream: BinaryIO) -> Iterator[tuple[Control, bytes]]:
    """Yield each frame as a PNG file, of what decoding needs, and how it is shown.

    A default image outside the animation comes first, as a frame that is cleared. Raises `UpscaleError` for damage.
    """
    head: dict[bytes, bytes] = {}
    control, data = None, b""
    for name, payload, whole in read_chunks(stream, pixels=True):
        if not whole and (name in PIXELS or name == b"fcTL"):
            raise UpscaleError(f"has a damaged {name.decode()} chunk; get another copy.")
        if name in (b"IHDR", b"PLTE", b"tRNS"):
            head[name] = payload
        elif name in PIXELS:
            if control is None:
                control = _control(bytes(4) + head[b"IHDR"][:8] + bytes(12) + bytes((CLEAR - 1, 0)))
            data += payload[4 * (name == b"fdAT") :]
        elif name in (b"fcTL", b"IEND"):
            if control is not None and data:
                size = struct.pack(">II", control.width, control.height)
                chunks = head | {b"IHDR": size + head[b"IHDR"][8:], b"IDAT": data, b"IEND": b""}
                yield control, SIGNATURE + joined(chunks.items())
            control, data = _control(payload) if name == b"fcTL" else None, b""

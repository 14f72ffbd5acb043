"""A JPEG file written strip by strip: strips are encoded apart, by any thread, and joined in order.

Format: ITU-T T.81, "Digital compression and coding of continuous-tone still images", 1992. A restart marker ends an
interval of MCUs, and coding begins anew behind it (section F.1.2.1.2). So strips of whole rows of MCUs that Pillow
encodes as files of their own, with the same tables, are the intervals of one file. Its header is that of the first
strip, with the height of the whole and the length of an interval.
"""

import struct
from typing import Any

from upscale_cli.codecs.jpeg_segments import FRAMES, SOS
from upscale_cli.codecs.pillow import encoded, to_pillow
from upscale_cli.methods.strips import STRIP_VALUES
from upscale_cli.methods.upsampler import Array

LONGEST_INTERVAL = 65_535
"""The most MCUs between two restart markers (section B.2.4.4)."""
MCUS = {"4:4:4": (8, 8), "4:2:2": (16, 8), "4:2:0": (16, 16)}
"""Width and height of an MCU."""
OF_PIXELS = ("quality", "qtables", "subsampling")
"""What Pillow's encoder is told about pixels; the rest stands before them."""
DRI, RST0 = 0xDD, 0xD0
END = b"\xff\xd9"


class JpegStream:
    """Turns strips of samples into the bytes of one baseline JPEG file.

    The file is a `part` for each strip from the top, and `END`. Any thread may call `pack`, in any order. Its pixels
    are those of the file that Pillow would make of the whole.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and channels: sides of 1 … 65,500; 1, 3 or 4 channels.
    mode : {"L", "RGB", "CMYK"}
    options : dict
        Keyword arguments of Pillow's encoder; `subsampling` is one of `MCUS`.

    Attributes
    ----------
    step, most : int
        Every strip but the last has the same number of rows: a multiple of `step`, `most` at most.

    Examples
    --------
    >>> import numpy as np
    >>> jpeg = JpegStream((9, 9, 1), "L", {"quality": 95, "subsampling": "4:4:4"})
    >>> file = jpeg.part(jpeg.pack(np.zeros((9, 9, 1), np.uint8), first=True, last=True)) + END
    >>> file[:4].hex(), file[-2:].hex()
    ('ffd8ffe0', 'ffd9')
    """

    def __init__(self, shape: tuple[int, int, int], mode: str, options: dict[str, Any]) -> None:
        self._height, width, channels = shape
        self._mode, self._options = mode, options
        # Grey and CMYK have one size of samples in all channels, whatever the encoder is told.
        across, self.step = MCUS[options["subsampling"] if mode == "RGB" else "4:4:4"]
        self._across = -(-width // across)
        usual = STRIP_VALUES // (width * self.step * channels)
        self.most = self.step * max(1, min(usual, LONGEST_INTERVAL // self._across))
        self._parts = 0

    def pack(self, samples: Array, first: bool, last: bool) -> bytes:
        """Return a strip, encoded. It changes no state, so threads may pack several strips at once.

        Parameters
        ----------
        samples : uint8 (n, W, C)
        first, last : bool
            Whether the strip is at the top, which brings the header, and whether it is at the bottom.
        """
        options = self._options if first else {name: self._options.get(name) for name in OF_PIXELS}
        data = encoded([to_pillow(samples, self._mode, None)], "JPEG", options)
        scan, frame = _places(data)
        if not first:
            return data[scan + 2 + _length(data, scan) : -len(END)]
        head = bytearray(data[:scan])
        struct.pack_into(">H", head, frame + 5, self._height)
        interval = len(samples) // self.step * self._across
        restarts = b"" if last else struct.pack(">BBHH", 0xFF, DRI, 4, interval)
        return b"".join((head, restarts, data[scan : -len(END)]))

    def part(self, packed: bytes) -> bytes:
        """Return the bytes of a packed strip, and of the marker before it. Call it once for each, from the top."""
        marker = bytes((0xFF, RST0 + (self._parts - 1) % 8)) if self._parts else b""
        self._parts += 1
        return marker + packed


def _length(data: bytes, at: int) -> int:
    return int.from_bytes(data[at + 2 : at + 4])


def _places(data: bytes) -> tuple[int, int]:
    """Return where the header of the scan begins, and that of the frame."""
    at, frame = 2, 0
    while data[at + 1] != SOS:
        frame = at if data[at + 1] in FRAMES else frame
        at += 2 + _length(data, at)
    return at, frame

"""What the header of a JPEG XL codestream says: ISO/IEC 18181-1:2022, annex D."""

from typing import NamedTuple, NoReturn

from upscale_cli.codecs.bmff import boxes
from upscale_cli.errors import UpscaleError

RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, for 1 … 7."""
ALPHA = 0
"""The kind of an extra channel."""


class JxlHeader(NamedTuple):
    """What is known before decoding.

    Attributes
    ----------
    height, width : int
        Upright.
    bits : int
        Of a sample.
    alpha, associated : bool
        Whether it has opacity, and whether colour was multiplied by it.
    lossless : bool
        Its colours are those that were compressed.
    """

    height: int
    width: int
    bits: int = 8
    alpha: bool = False
    associated: bool = False
    lossless: bool = False


class _Bits:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise UpscaleError("is a damaged JPEG XL file: its header is incomplete; get another copy.")
        value, self._bits = self._bits & ((1 << count) - 1), self._bits >> count
        return value

    def number(self, *forms: tuple[int, int]) -> int:
        """Return a `U32`: one of four forms, each an offset and a number of bits."""
        offset, count = forms[self.take(2)]
        return offset + self.take(count)

    def size(self) -> tuple[int, int]:
        """Return height and width of a `SizeHeader`."""
        small = self.take(1)
        height = self._side(small)
        ratio = self.take(3)
        if not ratio:
            return height, self._side(small)
        across, down = RATIOS[ratio - 1]
        return height, height * across // down

    def _side(self, small: int) -> int:
        return 8 * (self.take(5) + 1) if small else 1 + self.number((0, 9), (0, 13), (0, 18), (0, 30))

    def depth(self) -> int:
        """Return the bits of a `BitDepth`."""
        if not self.take(1):
            return self.number((8, 0), (10, 0), (12, 0), (1, 6))
        bits = self.number((32, 0), (16, 0), (24, 0), (1, 6))
        self.take(4)
        return bits

    def extra(self) -> tuple[int, int]:
        """Return the kind of an `ExtraChannelInfo`, and whether colour was multiplied by it."""
        if self.take(1):
            return ALPHA, 0
        kind = self.number((0, 0), (1, 0), (2, 4), (18, 6))
        self.depth()
        self.number((0, 0), (3, 0), (4, 0), (1, 3))
        self.take(8 * self.number((0, 0), (0, 4), (16, 5), (48, 10)))
        return kind, self.take(1)


def read_jxl_header(data: bytes) -> JxlHeader:
    """Return the header of a JPEG XL file, a bare codestream or one in boxes (ISO/IEC 18181-2).

    Raises
    ------
    UpscaleError
        If it is incomplete, or of a kind that is not supported.
    """
    stream = data
    if not data.startswith(b"\xff\n"):
        # The codestream, or parts of it, which have their number before them.
        heads = {b"jxlc": 0, b"jxlp": 4}
        stream = b"".join(box.content[heads[box.name] :] for box in boxes(data) if box.name in heads)
    bits = _Bits(stream[2:4096])
    height, width = bits.size()
    if bits.take(1):
        return JxlHeader(height, width)
    if bits.take(1):
        if bits.take(3) >= 4:
            height, width = width, height
        if bits.take(1):
            bits.size()
        if bits.take(1):
            _refuse("a preview")
        if bits.take(1):
            _refuse("several frames (an animation)")
    depth = bits.depth()
    bits.take(1)
    count = bits.number((0, 0), (1, 0), (2, 4), (1, 12))
    kind, associated = bits.extra() if count else (ALPHA, 0)
    if count > 1 or kind != ALPHA:
        _refuse("channels besides colour and one of opacity")
    # Colours that are no longer "XYB" are those that were given, unless they are those of a JPEG.
    lossless = not bits.take(1) and b"jbrd" not in data
    return JxlHeader(height, width, bits=depth, alpha=bool(count), associated=bool(associated), lossless=lossless)


def _refuse(what: str) -> NoReturn:
    raise UpscaleError(f"is a JPEG XL file with {what}, which is not supported; convert it to PNG or TIFF first.")

"""What the header of a JPEG XL codestream says: ISO/IEC 18181-1:2022, annex D; boxes: ISO/IEC 18181-2."""

from typing import NamedTuple

SHORT_SIDES = ((0, 9), (0, 13), (0, 18), (0, 30))
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, for 1 … 7."""
ALPHA, SPOT, BLACK, CFA = 0, 2, 4, 5
"""Kinds of extra channels."""


class Extra(NamedTuple):
    """An extra channel: its kind, and whether colour was multiplied by it."""

    kind: int
    associated: bool = False


class JxlHeader(NamedTuple):
    """What is known before decoding.

    Attributes
    ----------
    height, width : int
        Upright.
    animated : bool
    bits : int
        Of a sample.
    extras : tuple of Extra
    lossless : bool
        Its colours are those that were compressed.
    """

    height: int
    width: int
    animated: bool = False
    bits: int = 8
    extras: tuple[Extra, ...] = ()
    lossless: bool = False


class _Bits:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if (left := self._left - count) < 0:
            raise EOFError("the header is incomplete")
        value, self._bits, self._left = self._bits & ((1 << count) - 1), self._bits >> count, left
        return value

    def number(self, *forms: tuple[int, int]) -> int:
        """Return a `U32`: one of four forms, each an offset and a number of bits."""
        offset, count = forms[self.take(2)]
        return offset + self.take(count)

    def choice(self) -> int:
        """Return an `Enum`."""
        return self.number((0, 0), (1, 0), (2, 4), (18, 6))

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
        return 8 * (self.take(5) + 1) if small else 1 + self.number(*SHORT_SIDES)

    def depth(self) -> int:
        """Return the bits of a `BitDepth`."""
        if self.take(1):
            bits = self.number((32, 0), (16, 0), (24, 0), (1, 6))
            self.take(4)
            return bits
        return self.number((8, 0), (10, 0), (12, 0), (1, 6))

    def preview(self) -> None:
        """Skip a `PreviewHeader`."""
        eighths = self.take(1)
        forms = ((16, 0), (32, 0), (1, 5), (33, 9)) if eighths else ((1, 6), (65, 8), (321, 10), (1345, 12))
        self.number(*forms)
        if not self.take(3):
            self.number(*forms)

    def animation(self) -> None:
        """Skip an `AnimationHeader`."""
        self.number((100, 0), (1000, 0), (1, 10), (1, 30))
        self.number((1, 0), (1001, 0), (1, 8), (1, 10))
        self.number((0, 0), (0, 3), (0, 16), (0, 32))
        self.take(1)

    def extra(self) -> Extra:
        """Return an `ExtraChannelInfo`."""
        if self.take(1):
            return Extra(ALPHA)
        kind = self.choice()
        self.depth()
        self.number((0, 0), (3, 0), (4, 0), (1, 3))
        self.take(8 * self.number((0, 0), (0, 4), (16, 5), (48, 10)))
        associated = bool(kind == ALPHA and self.take(1))
        self.take(64 if kind == SPOT else 0)
        if kind == CFA:
            self.number((1, 0), (0, 2), (3, 4), (19, 8))
        return Extra(kind, associated)


def read_jxl_header(data: bytes) -> JxlHeader:
    """Return the header of a JPEG XL file, a bare codestream or one in boxes.

    Raises
    ------
    EOFError
        If it is incomplete.
    """
    bits = _Bits(_codestream(data)[2:65536])
    height, width = bits.size()
    if bits.take(1):
        return JxlHeader(height, width)
    animated = False
    if bits.take(1):
        if bits.take(3) >= 4:
            height, width = width, height
        if bits.take(1):
            bits.size()
        if bits.take(1):
            bits.preview()
        animated = bool(bits.take(1))
        if animated:
            bits.animation()
    depth = bits.depth()
    bits.take(1)
    extras = tuple(bits.extra() for _ in range(bits.number((0, 0), (1, 0), (2, 4), (1, 12))))
    # Colours that are no longer "XYB" are those that were given, unless they are those of a JPEG.
    lossless = not bits.take(1) and b"jbrd" not in data
    return JxlHeader(height, width, animated=animated, bits=depth, extras=extras, lossless=lossless)


def _codestream(data: bytes) -> bytes:
    """Return the beginning of the codestream, which may be in parts."""
    if data.startswith(b"\xff\n"):
        return data
    at, parts = 0, []
    while at + 8 <= len(data):
        length, kind, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16]), 16
        end = at + length if length >= head else len(data)
        if kind in (b"jxlc", b"jxlp"):
            parts.append(data[at + head + 4 * (kind == b"jxlp") : end])
        at = end
    return b"".join(parts)

"""The header of a frame of VP8, the lossy coding of WebP: how coarsely its brightness was quantised (RFC 6386)."""

TAG = 10
"""Bytes before the compressed header: the tag, and a key frame's signature, width and height (section 9.1)."""
HEADER = TAG + 64
"""Bytes that hold everything which is read here."""
STEPS = [*range(4, 59), *range(60, 117, 2), *range(119, 174, 3), *range(177, 230, 4)]
STEPS += [234, 239, 245, 249, 254, 259, 264, 269, 274, 279, 284]
"""The step between coefficients of brightness other than the mean of a block, for each of 128 indices (14.1)."""


class _Bits:
    """The boolean decoder (section 7.3), for values that are as often 0 as 1. Missing bytes are zeros."""

    def __init__(self, data: bytes) -> None:
        self._data, self._next = data, 2
        self._value, self._range, self._shifts = int.from_bytes(data[:2].ljust(2, b"\0")), 255, 0

    def bit(self) -> int:
        split = 1 + (self._range - 1) // 2
        one = self._value >= split << 8
        self._range = self._range - split if one else split
        self._value -= (split << 8) * one
        while self._range < 128:
            self._value, self._range, self._shifts = self._value << 1, self._range << 1, self._shifts + 1
            if self._shifts == 8:
                self._value |= sum(self._data[self._next : self._next + 1])
                self._next, self._shifts = self._next + 1, 0
        return int(one)

    def number(self, bits: int) -> int:
        value = 0
        for _ in range(bits):
            value = 2 * value + self.bit()
        return value

    def change(self, bits: int) -> int:
        """A number that may be there, with its sign behind it; else 0."""
        if not self.bit():
            return 0
        value = self.number(bits)
        return -value if self.bit() else value


def step(frame: bytes) -> float:
    """Return the mean step between coefficients of brightness, 4 … 284, from the `HEADER` bytes of a frame.

    It is 0 if they are those of no key frame. A frame has up to four segments with steps of their own; the mean is of
    the blocks as their probabilities say.
    """
    if len(frame) < TAG or frame[0] & 1 or frame[3:6] != b"\x9d\x01\x2a":  # no key frame
        return 0.0
    bits = _Bits(frame[TAG:])
    bits.number(2)  # colour space, clamping
    absolute, changes, tree = 0, [0] * 4, [255] * 3
    if bits.bit():  # segments (9.3)
        mapped, changed = bits.bit(), bits.bit()
        if changed:
            absolute = bits.bit()
            changes = [bits.change(7) for _ in range(4)]
            for _ in range(4):
                bits.change(6)  # of the loop filter
        if mapped:
            tree = [bits.number(8) if bits.bit() else 255 for _ in range(3)]
    bits.number(1 + 6 + 3)  # the loop filter (9.6)
    if bits.bit() and bits.bit():
        for _ in range(8):
            bits.change(6)
    bits.number(2)  # partitions
    index = bits.number(7)
    indices = [min(127, max(0, change + index * (not absolute))) for change in changes]
    first, second, third = (each / 256 for each in tree)
    shares = first * second, first * (1 - second), (1 - first) * third, (1 - first) * (1 - third)
    return float(sum(share * STEPS[each] for share, each in zip(shares, indices, strict=True)))

"""The device-independent bitmaps inside BMP files and icons, as far as they are not compressed."""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import full_depth
from upscale_cli.methods.upsampler import Array

RGB, BITFIELDS, ALPHABITFIELDS = 0, 3, 6
"""Numbers of what is called compression."""
MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 24: (0xFF0000, 0xFF00, 0xFF, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
"""The masks of red, green, blue and alpha that true colours have without bit fields."""
TRUNCATED = "is truncated: its pixels are incomplete; get the complete file."


class Dib(NamedTuple):
    """The header of a bitmap.

    Attributes
    ----------
    height, width : int
    bits : int
        Of a pixel: 1, 2, 4, 8, 16, 24 or 32.
    compression : int
    masks : tuple of int
        Of red, green, blue and alpha, for true colours.
    palette : uint8 array (n, 3)
        Red, green and blue.
    top_down : bool
    start : int
        Where the pixels begin, in bytes from the header, if they follow it.
    dpi : (float, float) or None
    """

    height: int
    width: int
    bits: int
    compression: int
    masks: tuple[int, ...]
    palette: NDArray[np.uint8]
    top_down: bool
    start: int
    dpi: tuple[float, float] | None = None

    @property
    def stride(self) -> int:
        """The bytes of a row."""
        return (self.width * self.bits + 31) // 32 * 4


def read_dib(data: bytes) -> Dib:
    """Return the header at the beginning of some bytes (Microsoft, "Bitmap Header Types").

    Raises
    ------
    struct.error
        If it is incomplete.
    """
    (size,) = struct.unpack_from("<I", data)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 4)
        compression, x, y, used, entry = RGB, 0, 0, 0, 3
    else:
        width, height, _, bits, compression, x, y, used = struct.unpack_from("<iiHHI4xiiI", data, 4)
        entry = 4
    masks, start = MASKS.get(bits, ()), size
    if size != 64 and compression in (BITFIELDS, ALPHABITFIELDS) and bits > 8:
        # Headers of 40 bytes are followed by the masks; longer ones contain them.
        count = max(3 + (compression == ALPHABITFIELDS), min(4, (size - 40) // 4))
        masks = (*struct.unpack_from(f"<{count}I", data, 40), 0)[:4]
        start = max(size, 40 + 4 * count)
    colours = (used or 1 << bits) if bits <= 8 else used
    palette = np.frombuffer(data[start : start + colours * entry], np.uint8)
    palette = palette[: len(palette) // entry * entry].reshape(-1, entry)[:, 2::-1]
    return Dib(
        height=abs(height),
        width=width,
        bits=bits,
        compression=compression,
        masks=masks,
        palette=palette,
        top_down=height < 0,
        start=start + colours * entry,
        dpi=(x / 39.3701, y / 39.3701) if x > 0 and y > 0 else None,
    )


def read_pixels(dib: Dib, data: bytes) -> Array:
    """Return colours (H, W, 3), or (H, W, 4) if there is a mask of alpha, from the bytes of uncompressed pixels.

    Each field is scaled to the full range of 8 bits, or of 16 if one has more than 8.

    Raises
    ------
    UpscaleError
        If there are too few bytes, an index without a colour, or a field that is none.
    """
    if len(data) < dib.stride * dib.height:
        raise UpscaleError(TRUNCATED)
    rows = np.frombuffer(data, np.uint8, dib.stride * dib.height).reshape(dib.height, dib.stride)
    rows = rows if dib.top_down else rows[::-1]
    if dib.bits <= 8:
        each = np.unpackbits(rows, axis=1).reshape(dib.height, -1, dib.bits)[:, : dib.width]
        index = np.packbits(each, axis=2)[:, :, 0] >> (8 - dib.bits)
        if index.max(initial=0) >= len(dib.palette):
            raise UpscaleError("has colours that its palette does not have: it is damaged; get another copy.")
        colours: Array = dib.palette[index]
        return colours
    parts = rows[:, : dib.width * dib.bits // 8].reshape(dib.height, dib.width, -1).astype(np.uint32)
    pixels = parts @ np.array([1 << 8 * i for i in range(dib.bits // 8)], np.uint32)
    fields = [(mask, (mask & -mask).bit_length() - 1, mask.bit_count()) for mask in dib.masks if mask]
    if dib.bits not in MASKS or not all(dib.masks[:3]) or any(m >> shift != (1 << n) - 1 for m, shift, n in fields):
        raise UpscaleError("has bit fields of a kind that is not supported; convert it to PNG first.")
    wide = any(count > 8 for *_, count in fields)
    channels = [full_depth((pixels & np.uint32(m)) >> np.uint32(shift), n, wide) for m, shift, n in fields]
    return np.stack(channels, axis=2)

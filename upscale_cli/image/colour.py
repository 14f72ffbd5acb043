"""Colour profiles, as far as this tool needs them: tone curves for linear light, and CMYK to RGB."""

import io
import struct
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.errors import UpscaleError
from upscale_cli.image.metadata import UNSPECIFIED, Metadata
from upscale_cli.methods.samples import SRGB, Transfer


def fits(icc: bytes, mode: str | None) -> bool:
    """Return whether an ICC profile describes pixels of a mode, by its colour space (ICC.1:2022, table 19)."""
    modes = {b"GRAY": ("L", "LA"), b"CMYK": ("CMYK",)}.get(icc[16:20])
    return modes is None or mode in modes


def transfer_of(metadata: Metadata) -> Transfer:
    """Return the transfer function of an image: its cICP chunk's, else its profile's, its gamma's or sRGB's.

    This order is that of PNG, third edition, section 4.3. ICC.1:2022 defines the curves of a profile: `curv` (10.6),
    `para` (10.18), and `cicp` (9.2.17), which has the numbers of a cICP chunk.

    Raises
    ------
    UpscaleError
        If the image has another transfer function.
    """
    codes = dict(metadata.colour).get(b"cICP")
    if codes is not None and codes[1] != UNSPECIFIED:
        return _of_codes(codes)
    if metadata.icc is None:
        gamma = metadata.present().get("gamma")
        return (None if gamma is None else _power(1e5 / max(1, int.from_bytes(gamma)))) or SRGB
    curve = None
    with suppress(struct.error, ValueError, IndexError, ArithmeticError):
        (count,) = struct.unpack_from(">I", metadata.icc, 128)
        entries = struct.iter_unpack(">4sII", metadata.icc[132 : 132 + 12 * min(count, 100)])
        tags = {name: metadata.icc[offset : offset + size] for name, offset, size in entries}
        if len(codes := tags.get(b"cicp", b"")[8:12]) == 4 and codes[1] != UNSPECIFIED:
            return _of_codes(codes)
        curves = {tags[name] for name in (b"rTRC", b"gTRC", b"bTRC", b"kTRC") if name in tags}
        curve = _curve(*curves) if len(curves) == 1 else None
    if curve is None:
        raise UpscaleError("has a colour profile without a curve that all channels share; omit --linear.")
    return curve


def _of_codes(codes: bytes) -> Transfer:
    """Return the transfer function of primaries, transfer, matrix and range as ITU-T H.273 numbers them."""
    transfer = TRANSFERS.get(codes[1])
    if transfer is None or codes[3] != 1:
        what = f"transfer function {codes[1]} of ITU-T H.273" if transfer is None else "narrow-range code values"
        raise UpscaleError(f"uses {what}, for which --linear has no curve; omit --linear.")
    return transfer


def _curve(data: bytes) -> Transfer | None:
    if data[:4] == b"curv":
        (count,) = struct.unpack_from(">I", data, 8)
        if count == 0:
            return _power(1.0)
        values = np.frombuffer(data, ">u2", count, 12)
        return _power(values[0] / 256) if count == 1 else _table(values / 65535)
    if data[:4] == b"para":
        (kind,) = struct.unpack_from(">H", data, 8)
        count = (1, 3, 4, 5, 7)[kind]
        given = [number / 65536 for number in struct.unpack_from(f">{count}i", data, 12)]
        g, a, b, c, d, e, f = given + [1.0, 0.0, 0.0, 0.0, 0.0, 0.0][count - 1 :]
        if kind in (1, 2):
            c, d, e, f = 0.0, -b / a, c, c
        x = np.linspace(0, 1, 4096)
        with np.errstate(all="ignore"):
            return _table(np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f))
    return None


def _power(gamma: float) -> Transfer | None:
    if not 0.1 < gamma < 10:
        return None
    return Transfer(lambda x: x**gamma, lambda x: x ** (1 / gamma))


def _table(values: NDArray[Any]) -> Transfer | None:
    """Return a curve through equally spaced values; None if it cannot be inverted."""
    steps = np.diff(values)
    if not np.isfinite(values).all() or (steps < 0).any() or 2 * (steps > 0).sum() < len(values):
        return None
    grid = np.linspace(0, 1, len(values))
    return Transfer(lambda x: np.interp(x, grid, values), lambda x: np.interp(x, values, grid))


def _bt709() -> Transfer:
    """Return the curve of BT.709 and BT.2020, with the constants of H.273 that make it smooth."""
    a, b = 1.099296826809442, 0.018053968510807
    return Transfer(
        lambda x: np.where(x < 4.5 * b, x / 4.5, (np.maximum(x + a - 1, 0) / a) ** (1 / 0.45)),
        lambda x: np.where(x < b, 4.5 * x, a * np.maximum(x, b) ** 0.45 - a + 1),
    )


def _pq() -> Transfer:
    """Return the perceptual quantiser (SMPTE ST 2084; BT.2100, table 4); 1 is a light of 10,000 cd/m²."""
    m1, m2, c1, c2, c3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128

    def decode(x: NDArray[Any]) -> NDArray[Any]:
        root = x.astype(np.float64) ** (1 / m2)
        return np.asarray((np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1))

    def encode(x: NDArray[Any]) -> NDArray[Any]:
        # A power of 79 would leave four digits of float32.
        root = x.astype(np.float64) ** m1
        return np.asarray(((c1 + c2 * root) / (1 + c3 * root)) ** m2)

    return Transfer(decode, encode)


def _hlg() -> Transfer:
    """Return the hybrid log-gamma curve (ARIB STD-B67; BT.2100, table 5); the light is that of the scene."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return Transfer(
        lambda x: np.where(x <= 0.5, x * x / 3, (np.exp((x - c) / a) + b) / 12),
        lambda x: np.where(x <= 1 / 12, np.sqrt(3 * x), a * np.log(np.maximum(12 * x - b, b)) + c),
    )


TRANSFERS = {
    **dict.fromkeys((1, 6, 14, 15), _bt709()),
    4: Transfer(lambda x: x**2.2, lambda x: x ** (1 / 2.2)),
    5: Transfer(lambda x: x**2.8, lambda x: x ** (1 / 2.8)),
    8: Transfer(lambda x: x, lambda x: x),
    13: SRGB,
    16: _pq(),
    18: _hlg(),
}
"""Transfer functions by their number in ITU-T H.273, table 3."""


def cmyk_to_rgb(samples: NDArray[np.uint8], icc: bytes | None) -> NDArray[np.uint8]:
    """Convert CMYK samples (H, W, 4) to sRGB (H, W, 3), through their profile if there is a usable one."""
    image = Image.frombuffer("CMYK", samples.shape[1::-1], np.ascontiguousarray(samples), "raw", "CMYK", 0, 1)
    if icc:
        from PIL import ImageCms

        with suppress(ImageCms.PyCMSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            made = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return np.asarray(made)
    return np.asarray(image.convert("RGB"))

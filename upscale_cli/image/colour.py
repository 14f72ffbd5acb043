"""Colour profiles, as far as this tool needs them: tone curves for linear light, and CMYK to RGB."""

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.image.metadata import Metadata
from upscale_cli.methods.samples import SRGB, Transfer


def fits(icc: bytes, mode: str | None) -> bool:
    """Return whether an ICC profile describes pixels of a mode, by its colour space (ICC.1:2022, table 19)."""
    modes = {b"GRAY": ("L", "LA"), b"CMYK": ("CMYK",)}.get(icc[16:20])
    return modes is None or mode in modes


def transfer_of(metadata: Metadata) -> Transfer | None:
    """Return the transfer function of an image: its profile's, else that of its PNG's gamma, else sRGB's.

    None if the profile has no curve that all channels share. ICC.1:2022 defines the curves: `curv` (10.6) and `para`
    (10.18).
    """
    if metadata.icc is None:
        gamma = metadata.present().get("gamma")
        return SRGB if gamma is None else _power(1e5 / max(1, int.from_bytes(gamma)))
    try:
        curves = [data for name, data in _tags(metadata.icc) if name in (b"rTRC", b"gTRC", b"bTRC", b"kTRC")]
        if not curves or any(curve != curves[0] for curve in curves):
            return None
        return _curve(curves[0])
    except (struct.error, ValueError, IndexError, ArithmeticError):
        return None


def _tags(icc: bytes) -> list[tuple[bytes, bytes]]:
    (count,) = struct.unpack_from(">I", icc, 128)
    entries = [struct.unpack_from(">4sII", icc, 132 + 12 * i) for i in range(min(count, 100))]
    return [(name, icc[offset : offset + size]) for name, offset, size in entries]


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
        g, a, b, c, d, e, f = [n / 65536 for n in struct.unpack_from(f">{count}i", data, 12)] + [
            1.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
        ][count - 1 :]
        if kind in (1, 2):
            c, d, e, f = 0.0, -b / a, (c if kind == 2 else 0.0), (c if kind == 2 else 0.0)
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


def cmyk_to_rgb(samples: NDArray[np.uint8], icc: bytes | None) -> NDArray[np.uint8]:
    """Convert CMYK samples (H, W, 4) to sRGB (H, W, 3), through their profile if there is a usable one."""
    image = Image.frombuffer("CMYK", samples.shape[1::-1], np.ascontiguousarray(samples), "raw", "CMYK", 0, 1)
    if icc:
        from PIL import ImageCms

        try:
            made = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(icc)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
            assert made is not None
            return np.asarray(made)
        except ImageCms.PyCMSError:
            pass
    return np.asarray(image.convert("RGB"))

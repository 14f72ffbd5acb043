"""Images made for tests, the way through the package from the bytes of one file to another, and what a PNG holds."""

import io
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageSequence
from support import Array

from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import USUAL, Reading, open_picture
from upscale_cli.codecs.png_stream import Chunk, PngStream
from upscale_cli.codecs.writing import Enlarged, Writing
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame
from upscale_cli.methods import METHODS
from upscale_cli.methods.placement import Nearest
from upscale_cli.places.files import FileSource
from upscale_cli.places.place import Source
from upscale_cli.places.streams import ContentSource, StreamTarget
from upscale_cli.work.request import Request
from upscale_cli.work.result import Result

SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CLEAR = {"one": 2, "two": bytes([0, 255, 0]), "soft": bytes([0, 128, 255, 7])}
"""Transparent colours of a palette, as Pillow is told them."""


PLAIN = [name for name, row in FORMATS.items() if row.writable and not row.extra and not row.volumes]
"""The formats of images and arrays that are written without an extra."""

UPRIGHT: dict[int, Callable[[Array], Array]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""What a viewer does for each EXIF orientation (Exif 2.32, tag 0x0112), written with NumPy's own words."""


def noise(mode: str, width: int = 7, height: int = 5, seed: int = 0, colours: int = 256) -> Image.Image:
    """An image of random samples; of mode P, in a random palette."""
    rng = np.random.default_rng(seed)
    if mode == "1":
        return Image.fromarray(rng.integers(0, 2, (height, width)).astype(bool))
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width), np.uint16))
    if mode == "I":
        return Image.fromarray(rng.integers(-(2**31), 2**31, (height, width), np.int32))
    if mode == "F":
        return Image.fromarray(rng.normal(0.5, 2, (height, width)).astype(np.float32))
    samples = rng.integers(0, colours, (height, width, len(Image.new(mode, (1, 1)).getbands())), np.uint8)
    image = Image.frombytes(mode, (width, height), samples.tobytes())
    if mode == "P":
        image.putpalette(rng.integers(0, 256, 768, np.uint8).tobytes())
    return image


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """Return an image as a file, encoded by Pillow."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def animated(frames: list[Image.Image], format: str, **options: Any) -> bytes:
    """Return several images as one file, encoded by Pillow."""
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)


def deep(channels: int) -> Array:
    """Random samples of 16 bits, (5, 7, channels)."""
    return np.random.default_rng(0).integers(0, 65536, (5, 7, channels), np.uint16)


def deep_png(samples: Array, *chunks: Chunk) -> bytes:
    """A 16-bit PNG, which Pillow cannot write, of uint16 (H, W, C)."""
    png = PngStream(samples.shape[1], samples.shape[0], samples.shape[2], 16, chunks=chunks)
    part = png.pack(samples, True, True)
    return png.head() + png.idat(part) + png.tail()


def deep_tiff(samples: Array, mode: Any, **metadata: Any) -> bytes:
    """A 16-bit TIFF, which Pillow cannot write, of uint16 (H, W, C)."""
    return written("tiff", [Frame(samples, mode)], **metadata)


def written(name: str, frames: list[Frame], stream: Any = None, **metadata: Any) -> bytes:
    """A file of some frames, all with the same metadata; empty if another stream is given."""
    how = Writing(format=FORMATS[name], metadata=Metadata(**metadata), frame_count=len(frames))
    own = io.BytesIO()
    copied = (
        Enlarged(
            upsampler=Nearest(frame.samples, frame.samples.shape[:2]),
            finish=None,
            shape=frame.samples.shape,
            dtype=frame.samples.dtype,
            mode=frame.mode,
            palette=frame.palette,
            metadata=how.metadata,
            extra=frame.extra,
        )
        for frame in frames
    )
    how.format.load_codec().write(stream or own, copied, how)
    return own.getvalue()


def opened(data: bytes) -> Image.Image:
    """The image of a file, loaded; Pillow cannot open PAM."""
    if data.startswith(b"P7\n"):
        head, _, raw = data.partition(b"ENDHDR\n")
        width, height, depth, most = (int(line.split()[1]) for line in head.splitlines()[1:5])
        deep = np.dtype(">u2" if most > 255 else "u1")
        array = np.frombuffer(raw, deep).reshape(height, width, depth).astype(deep.newbyteorder("="))
        return Image.fromarray(array.squeeze(2) * np.uint8(255 // most or 1) if depth == 1 else array)
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def frames_of(data: bytes) -> list[Image.Image]:
    """The images of a file, each with its own `info`."""
    return [frame.copy() for frame in ImageSequence.Iterator(Image.open(io.BytesIO(data)))]


def seen(image: Image.Image) -> Array:
    """Return what a viewer shows: RGBA with transparent pixels set to 0, or the samples of deeper images."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.asarray(image)
    shown = np.array(image.convert("RGBA"))
    shown[shown[..., 3] == 0] = 0
    return shown


def repeated(array: Array, factor: int) -> Array:
    """Each pixel of (H, W) or (H, W, C) as a square."""
    return array.repeat(factor, axis=0).repeat(factor, axis=1)


def enlarged(
    source: bytes | Path,
    format: str | None = None,
    scale: int | tuple[int, int] = 1,
    method: str = "nearest",
    **more: Any,
) -> tuple[bytes, Result]:
    """The file that is made of a file, and what is reported about it; a scale of two is (vertical, horizontal)."""
    stream = io.BytesIO()
    down, across = scale if isinstance(scale, tuple) else (scale, scale)
    factor = None if "size" in more else (Fraction(down), Fraction(across))
    request = Request(method=METHODS[method], scale=factor, format=FORMATS[format] if format else None, **more)
    result = request.carry_out(source_of(source), StreamTarget(stream))
    return stream.getvalue(), result


def source_of(source: bytes | Path) -> Source:
    """A file, or its content, as a source."""
    return ContentSource(source) if isinstance(source, bytes) else FileSource(source)


def frames_read(source: bytes | Path, reading: Reading = USUAL) -> list[Frame]:
    """The frames that the package reads from a file."""
    with open_picture(source_of(source).open(), reading) as picture:
        return list(picture.frames())


def read_deep(file: bytes, index: int = 0) -> tuple[Array, str]:
    """The samples of a frame of 16-bit colour, and what its channels are."""
    frame = frames_read(file)[index]
    assert frame.samples.dtype == np.uint16
    return frame.samples, str(frame.mode)


def chunks_of(file: bytes) -> list[tuple[bytes, bytes]]:
    """Names and payloads of a PNG's chunks, every CRC checked."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(file):
        (length,), name = struct.unpack_from(">I", file, at), file[at + 4 : at + 8]
        payload = file[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", file, at + 8 + length)[0] == zlib.crc32(name + payload)
        chunks.append((name, payload))
        at += 12 + length
    return chunks


def image_data(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """The filtered rows of a PNG; the stream's end and its Adler-32 sum are checked."""
    return zlib.decompress(b"".join(payload for name, payload in chunks if name == b"IDAT"))

"""16-bit colour, which Pillow reduces to 8 bits without a word: read whole, written, or refused.

Pillow holds 16 bits in images of one channel only. Its unpackers of 16-bit colour keep one byte of the two:
the first as if of a big-endian sample (`RGB;16B`), the second as if of a little-endian one (`RGB;16L`). So
the same file, decoded once with each of them, yields both bytes, whatever its compression, predictor, tiles
or interlacing. What that does not reach:

- TIFF with a plane for each channel: the planes are read apart, as grey images, which Pillow does hold.
- PPM: read here, it is only numbers.
- What `refuse_reduced` names.
"""

import io
import math
import re
import struct
import sys
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from upscale_cli.errors import UpscaleError
from upscale_cli.images.pixels import CHANNELS, oriented

Layout = Literal["LA", "RGB", "RGBA", "CMYK"]
Samples = NDArray[np.uint16]

# Tags of TIFF 6.0.
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_COUNTS = 273, 274, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR, RESOLUTION_UNIT, PREDICTOR = 282, 283, 284, 296, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA_SAMPLES = 322, 323, 324, 325, 338
XMP, EXIF, ICC, INTEROPERABILITY = 700, 34665, 34675, 40965

PLANE_TAGS = {WIDTH, HEIGHT, COMPRESSION, FILL_ORDER, STRIP_ROWS, PREDICTOR, TILE_WIDTH, TILE_HEIGHT}
"""Tags that each plane of a TIFF page takes over when it is read as a page of its own."""


def is_deep(image: Image.Image) -> bool:
    """Whether an image, opened and not yet loaded, is one whose 16-bit samples Pillow would reduce.

    Of PNG, TIFF and PPM, which `read_deep` reads. Grey images are not: Pillow holds all of their bits.
    """
    if image.mode not in ("RGB", "RGBA", "CMYK") or not isinstance(image, ImageFile.ImageFile):
        return False
    if isinstance(image, TiffImageFile):
        return bool(max(image.tag_v2.get(BITS, (1,))) == 16)
    decoder, _, _, args = image.tile[0] if image.tile else ("", None, 0, None)
    if image.format == "PNG":
        return str(args).endswith(";16B")
    return decoder in ("ppm", "ppm_plain") and isinstance(args, tuple) and args[1] > 255


def read_deep(stream: BinaryIO, frame: int = 0) -> tuple[Samples, Layout]:
    """The samples of an image that `is_deep`.

    Parameters
    ----------
    stream : binary file
        Seekable; read from its beginning, and left anywhere.
    frame : int
        Page of a TIFF file.

    Returns
    -------
    uint16 (H, W, C)
        Alpha is not premultiplied. A PNG colour key (tRNS) has become alpha; PPM samples are scaled from
        0 … maxval to 0 … 65535, rounded half up. Rows and columns are as stored: the EXIF orientation has not
        been applied, in TIFF neither, where Pillow applies it to what it loads.
    layout : {"LA", "RGB", "RGBA", "CMYK"}
        What the channels are.

    Raises
    ------
    UpscaleError, or whatever Pillow raises where Pillow decodes
        When the file is truncated or damaged: there is never a part of an image.
    """
    stream.seek(0)
    image = Image.open(stream, formats=("PNG", "TIFF", "PPM"))
    image.seek(frame)
    layout = cast(Layout, image.mode)
    if isinstance(image, TiffImageFile):
        check_directory(stream, image.tag_v2)
        if image.tag_v2.get(PLANAR, 1) == 2:
            samples = _read_planes(stream, image.tag_v2, CHANNELS[layout])
        else:
            samples = _read_twice(stream, frame, str(cast(tuple[Any, ...], image.tile[0].args)[0]))
        if image.tag_v2.get(EXTRA_SAMPLES, ())[:1] == (1,):
            _divide_by_alpha(samples)
        return samples, layout
    if image.format == "PPM":
        return _read_ppm(stream, image), layout
    raw_mode = str(image.tile[0].args)
    if raw_mode == "LA;16B":
        return _read_raw(stream, 0, "RGBA").view(">u2").astype(np.uint16), "LA"
    samples = _read_twice(stream, 0, raw_mode)
    key = image.info.get("transparency")
    if layout == "RGB" and key is not None:
        alpha = np.where((samples == np.array(key, np.uint16)).all(axis=2), 0, 65535)
        return np.dstack((samples, alpha.astype(np.uint16))), "RGBA"
    return samples, layout


def refuse_reduced(image: Image.Image, stream: BinaryIO) -> None:
    """Raise when Pillow would reduce an image, opened and not yet loaded, and `read_deep` cannot help.

    JPEG 2000 of more than 8 bits and several channels, AVIF of 10 and 12 bits, animated 16-bit PNG. The
    stream is left where it was.

    Raises
    ------
    UpscaleError
        With the number of bits.
    """
    bits = 8
    if image.format in ("JPEG2000", "AVIF"):
        position = stream.tell()
        stream.seek(0)
        bits = (_jpeg2000_bits if image.format == "JPEG2000" else _avif_bits)(stream.read())
        stream.seek(position)
    elif image.format == "PNG" and getattr(image, "is_animated", False) and is_deep(image):
        bits = 16
    if bits > 8:
        raise UpscaleError(
            f"has {bits} bits a channel, which Pillow's {image.format} decoder reduces to 8; "
            "convert it to a 16-bit PNG or TIFF first."
        )


def check_directory(stream: BinaryIO, tags: ImageFileDirectory_v2) -> None:
    """Raise when Pillow has not read all tags of a TIFF page, deep or not, that matter to its pixels.

    Where the directory is cut off, or points beyond the end of the file, Pillow warns, leaves tags out, and
    decodes what the others seem to say: another image.

    Parameters
    ----------
    stream : binary file
        Seekable; left anywhere.
    tags : PIL.TiffImagePlugin.ImageFileDirectory_v2
        Of a page that is opened and not yet loaded.

    Raises
    ------
    UpscaleError
        When the file is truncated.
    """
    stream.seek(2)
    big = 43 in stream.read(2)
    little = tags.prefix == b"II"
    entry = struct.Struct(("<" if little else ">") + ("HHQ8s" if big else "HHI4s"))
    stream.seek(tags.offset)
    count = int.from_bytes(stream.read(8 if big else 2), "little" if little else "big")
    entries = stream.read(min(count, 65535) * entry.size)
    whole = len(entries) == count * entry.size
    listed = {tag for tag, _, number, _ in entry.iter_unpack(entries) if number} if whole else set()
    if not whole or any(tag < XMP or tag == ICC for tag in listed - set(tags)):
        raise UpscaleError("is truncated: its directory is not all there; get the whole file.")


def write_deep_ppm(stream: BinaryIO, samples: Samples) -> None:
    """Samples (H, W, 3) as a binary PPM (P6) with the maximum 65535."""
    stream.write(b"P6\n%d %d\n65535\n" % (samples.shape[1], samples.shape[0]))
    stream.write(samples.astype(">u2").tobytes())


def _read_raw(stream: BinaryIO, frame: int, raw_mode: str) -> NDArray[np.uint8]:
    """An image as Pillow decodes it with another raw mode than it would choose, (H, W, bands)."""
    stream.seek(0)
    image = Image.open(stream, formats=("PNG", "TIFF"))
    image.seek(frame)
    for index, tile in enumerate(image.tile):
        args = (raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
        image.tile[index] = tile._replace(args=args)
    turned = image.tag_v2.get(ORIENTATION, 1) if isinstance(image, TiffImageFile) else 1
    image.load()
    return oriented(np.asarray(image), {6: 8, 8: 6}.get(turned, turned))


def _read_twice(stream: BinaryIO, frame: int, raw_mode: str) -> Samples:
    """Both bytes of each sample of an image that Pillow would read with `raw_mode`, put together."""
    name, _, order = raw_mode.partition(";16")
    # RGBa would be divided by alpha in 8 bits.
    bands = name.replace("a", "A")
    first, second = (_read_raw(stream, frame, f"{bands};16{kept}") for kept in "BL")
    big_endian = order == "B" or (order == "N" and sys.byteorder == "big")
    high, low = (first, second) if big_endian else (second, first)
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= low
    return samples


def _read_planes(stream: BinaryIO, tags: ImageFileDirectory_v2, count: int) -> Samples:
    """The first `count` planes of a TIFF page that has one for each channel.

    Each is read as a grey image: the same file, behind a directory that names only the strips or tiles of
    this plane.
    """
    stream.seek(0)
    data = stream.read()
    places, lengths = (STRIP_OFFSETS, STRIP_COUNTS) if STRIP_OFFSETS in tags else (TILE_OFFSETS, TILE_COUNTS)
    size = len(tags.get(places, ())) // tags.get(SAMPLES, 1)
    if not size or len(tags.get(lengths, ())) < count * size:
        raise UpscaleError("does not say where its pixels are; it is damaged, get another copy.")
    planes = []
    for first in range(0, count * size, size):
        plane = ImageFileDirectory_v2(prefix=tags.prefix)
        for tag in PLANE_TAGS & set(tags):
            plane[tag] = tags[tag]
        plane[BITS], plane[PHOTOMETRIC], plane[SAMPLES] = 16, 1, 1
        plane.tagtype[places] = TiffTags.LONG
        plane[lengths] = tags[lengths][first : first + size]
        plane[places] = moved = tags[places][first : first + size]
        # The file follows the new directory. Pillow moves strips when it writes a directory, but not tiles.
        if places == TILE_OFFSETS:
            shift = 8 + len(plane.tobytes(8))
            plane[places] = tuple(shift + place for place in moved)
        header = (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08")[tags.prefix == b"MM"]
        image = Image.open(io.BytesIO(header + plane.tobytes(8) + data), formats=("TIFF",))
        image.load()
        planes.append(np.asarray(image))
    return np.stack(planes, axis=2).astype(np.uint16, copy=False)


def _divide_by_alpha(samples: Samples) -> None:
    """Colour · 65535 / alpha, rounded half up, in place; 0 where alpha is 0."""
    alpha = samples[..., 3:].astype(np.uint32)
    colour = (samples[..., :3].astype(np.uint32) * 65535 + alpha // 2) // np.maximum(alpha, 1)
    samples[..., :3] = np.where(alpha > 0, np.minimum(colour, 65535), 0)


def _read_ppm(stream: BinaryIO, image: ImageFile.ImageFile) -> Samples:
    """The samples of a P6 or P3 file whose header Pillow has read."""
    decoder, _, offset, args = image.tile[0]
    maximum = int(cast(tuple[Any, ...], args)[1])
    shape = (image.height, image.width, CHANNELS[image.mode])
    count = math.prod(shape)
    stream.seek(offset)
    values: NDArray[Any]
    if decoder == "ppm":
        data = stream.read(2 * count)
        values = np.frombuffer(data, ">u2", len(data) // 2)
    else:
        words = re.sub(rb"#[^\r\n]*", b"", stream.read()).split()[:count]
        values = np.array([int(word) for word in words], np.int64)
    if len(values) < count:
        raise UpscaleError(f"is truncated: {len(values)} of {count} samples are there; get the whole file.")
    if values.min() < 0 or values.max() > maximum:
        raise UpscaleError(f"has samples outside 0 to {maximum}: it is damaged; get another copy.")
    scaled = (values.astype(np.uint32) * 65535 + maximum // 2) // maximum
    return scaled.astype(np.uint16).reshape(shape)


def _jpeg2000_bits(data: bytes) -> int:
    """The depth of the deepest component, as the SIZ marker segment says (ISO/IEC 15444-1, A.5.1).

    8 for a single component of up to 16 bits: Pillow holds those.
    """
    segment = data.partition(b"\xff\x4f\xff\x51")[2]
    count = int.from_bytes(segment[36:38], "big")
    bits = max(((depth & 127) + 1 for depth in segment[38 : 38 + 3 * count : 3]), default=8)
    return bits if count > 1 or bits > 16 else 8


def _avif_bits(data: bytes) -> int:
    """The depth of the deepest image, as the bits `high_bitdepth` and `twelve_bit` of the av1C boxes say.

    AOM, "AV1 Codec ISO Media File Format Binding", section 2.3.
    """
    flags: list[int] = [found[1][0] for found in re.finditer(rb"av1C\x81.(.)", data, re.DOTALL)]
    return max((8 if not flag & 64 else 12 if flag & 32 else 10 for flag in flags), default=8)

"""Files of every kind, made by other programs: each format with its modes, depths, layouts and compressions.

`python tests/kinds.py` compares our reading of all of them with other decoders', and prints the table that
docs/formats.md shows.
"""

import io
import itertools
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from second_opinion import MAGICK, opinion

from upscale_cli.codecs.formats import NUMBERS

File = tuple[str, bytes] | tuple[str, bytes, NDArray[Any]]
"""A name, a file, and, where the format says it plainly, the samples that it holds."""
HEIGHT, WIDTH = 37, 53
RNG = np.random.default_rng(2026)


def noise(name: str, *shape: int) -> NDArray[Any]:
    """Random values of a NumPy type, over its whole range."""
    dtype = np.dtype(name)
    if dtype.kind == "f":
        return RNG.normal(size=shape).astype(dtype)
    if dtype.kind == "b":
        return RNG.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, shape, dtype, endpoint=True)


LAYOUTS: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    ("minisblack", 1, ()),
    ("miniswhite", 1, ()),
    ("minisblack", 2, (2,)),
    ("minisblack", 2, (1,)),
    ("minisblack", 2, (0,)),
    ("rgb", 3, ()),
    ("rgb", 4, (2,)),
    ("rgb", 4, (1,)),
    ("rgb", 4, (0,)),
    ("rgb", 6, (2, 0, 0)),
    ("separated", 4, ()),
    ("separated", 5, (2,)),
    ("minisblack", 7, (0,) * 6),
)
"""Colours, samples per pixel, and extra samples of TIFF."""
TYPES = ("bool", *NUMBERS)


def tiffs(thorough: bool) -> Iterator[File]:
    """TIFFs by tifffile; all combinations, or each type and layout with some storage of its own."""
    storages = [
        (compression, tile, order, planar, predictor)
        for compression in (None, "lzw", "deflate", "packbits", "zstd", "lzma")
        for tile in (None, (16, 32))
        for order in "<>"
        for planar in (1, 2)
        for predictor in ((1, 2, 3) if compression not in (None, "packbits") else (1,))
    ]
    turn = itertools.count()
    for dtype, (photometric, samples, extra) in itertools.product(TYPES, LAYOUTS):
        some = storages if thorough else [storages[(7 * next(turn)) % len(storages)] for _ in range(1)]
        for storage in some:
            yield from _tiff(dtype, photometric, samples, extra=extra, storage=storage)
    for bits, (photometric, samples) in itertools.product(
        (*range(2, 8), *range(9, 16)), (("minisblack", 1), ("miniswhite", 1), ("rgb", 3), ("separated", 4))
    ):
        values = (noise("uint16", HEIGHT, WIDTH, samples) >> (16 - bits)).astype("uint8" if bits < 8 else "uint16")
        for order, tile in itertools.product("<>", (None, (16, 16))):
            how = {"photometric": photometric, "byteorder": order, "tile": tile, "bitspersample": bits}
            yield f"TIFF {photometric} {bits} bits", _tifffile(values[..., 0] if samples == 1 else values, **how)
    colours = noise("uint16", 3, 256)
    for bits, palette in itertools.product((8,), (colours, colours >> 8)):
        how = {"photometric": "palette", "colormap": palette}
        yield f"TIFF palette {bits} bits", _tifffile(noise("uint8", HEIGHT, WIDTH), **how)
    for orientation in range(1, 9):
        image = Image.fromarray(noise("uint8", HEIGHT, WIDTH, 3))
        yield f"TIFF orientation {orientation}", _pillow(image, "TIFF", tiffinfo={274: orientation})
    for mode, compression in itertools.product(("1", "L", "RGB", "CMYK", "YCbCr"), ("group3", "group4", "jpeg")):
        if (mode == "1") != (compression == "jpeg"):
            yield f"TIFF {mode} {compression}", _pillow(_smooth(mode), "TIFF", compression=compression)


def _tiff(dtype: str, photometric: str, samples: int, *, extra: tuple[int, ...], storage: Any) -> Iterator[File]:
    compression, tile, order, planar, predictor = storage
    if predictor != 1:
        predictor = {"b": 1, "f": 3}.get(np.dtype(dtype).kind, 2)
    values = noise(dtype, HEIGHT, WIDTH, samples)
    if 1 in extra and dtype != "bool":
        # Premultiplied colours are no larger than opacity.
        values[..., :-1] = np.minimum(values[..., :-1], values[..., -1:])
    if samples == 1:
        values, planar = values[..., 0], 1
    elif planar == 2:
        values = np.moveaxis(values, 2, 0)
    how = {"photometric": photometric, "extrasamples": extra or None, "compression": compression, "tile": tile}
    how |= {"byteorder": order, "predictor": predictor, "rowsperstrip": None if tile else 10}
    how |= {"planarconfig": planar if samples > 1 else None}
    yield f"TIFF {photometric}{extra or ''} {dtype}", _tifffile(values, **how)


def _tifffile(values: NDArray[Any], **how: Any) -> bytes:
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(stream, values, metadata=None, **how)
    return stream.getvalue()


def _pillow(image: Image.Image, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def _smooth(mode: str) -> Image.Image:
    """A picture that lossy formats keep well."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = Image.fromarray(np.stack([x * 4, y * 6, (x + y) * 2], axis=2).astype(np.uint8))
    return image.convert(mode)


def _vips(values: NDArray[Any], suffix: str, **options: Any) -> bytes:
    import pyvips

    modes = {1: "b-w", 2: "b-w", 3: "srgb", 4: "srgb"}
    image = pyvips.Image.new_from_array(values)
    grey = modes[image.bands] == "b-w"
    deep = values.dtype == np.uint16
    image = image.copy(interpretation=("grey16" if grey else "rgb16") if deep else modes[image.bands])
    data: bytes = image.write_to_buffer(suffix, **options)
    return data


def pngs(thorough: bool) -> Iterator[File]:
    """PNGs by libvips (libspng) and ImageMagick (libpng)."""
    for dtype, bands, interlace in itertools.product(("uint8", "uint16"), (1, 2, 3, 4), (False, True)):
        yield f"PNG {bands} x {dtype}", _vips(noise(dtype, HEIGHT, WIDTH, bands), ".png", interlace=interlace)
    for bits, interlace in itertools.product((1, 2, 4), (False, True)):
        yield f"PNG {bits} bits", _vips(noise("uint8", HEIGHT, WIDTH, 1), ".png", bitdepth=bits, interlace=interlace)
    for colours in (2, 4, 16, 200):
        image = Image.fromarray(noise("uint8", HEIGHT, WIDTH, 3)).quantize(colours)
        yield f"PNG palette {colours}", _pillow(image, "PNG")
        yield (
            f"PNG palette {colours}, clear",
            _pillow(image, "PNG", transparency=bytes(range(0, 250, 250 // colours))),
        )
    for mode, key in (("L", 7), ("RGB", (1, 2, 3)), ("I;16", 700)):
        values = noise("uint16" if mode == "I;16" else "uint8", HEIGHT, WIDTH, *((3,) if mode == "RGB" else ()))
        values[3, 4] = key
        yield f"PNG {mode} with a colour key", _pillow(Image.fromarray(values), "PNG", transparency=key)


def pnms(thorough: bool) -> Iterator[File]:
    """PBM, PGM, PPM, plain and raw, of all maxima; PFM."""
    for maximum in (1, 3, 15, 100, 255, 256, 1000, 4095, 65535):
        for letter, samples in (("25", 1), ("36", 3)):
            values = RNG.integers(0, maximum, (HEIGHT, WIDTH, samples), endpoint=True)
            plain = " ".join(map(str, values.ravel().tolist())).encode()
            raw = values.astype(">u2" if maximum > 255 else "u1").tobytes()
            for kind, body in ((letter[0], plain), (letter[1], raw)):
                head = f"P{kind}\n{WIDTH} {HEIGHT}\n{maximum}\n".encode()
                yield f"PNM P{kind}, {maximum}", head + body, _spread(values, maximum)
    bits = noise("bool", HEIGHT, WIDTH)
    yield "PNM P1", f"P1 {WIDTH} {HEIGHT}\n".encode() + " ".join(map(str, bits.ravel().astype(int))).encode()
    yield "PNM P4", f"P4 {WIDTH} {HEIGHT}\n".encode() + np.packbits(bits, axis=1).tobytes()


def _spread(values: NDArray[Any], maximum: int) -> NDArray[Any]:
    """Values of 0 … maximum over 8 or 16 bits, rounded half up."""
    full = 255 if maximum < 256 else 65535
    spread = (2 * values * full + maximum) // (2 * maximum)
    return spread.astype(np.uint8 if full == 255 else np.uint16)


def jpegs(thorough: bool) -> Iterator[File]:
    """JPEGs by libjpeg-turbo and mozjpeg."""
    for mode, subsampling, progressive in itertools.product(("L", "RGB", "CMYK"), (0, 1, 2), (False, True)):
        yield f"JPEG {mode}", _pillow(_smooth(mode), "JPEG", subsampling=subsampling, progressive=progressive)
    exif = Image.Exif()
    for orientation in (3, 6):
        exif[274] = orientation
        yield f"JPEG orientation {orientation}", _pillow(_smooth("RGB"), "JPEG", exif=exif)


def modern(thorough: bool) -> Iterator[File]:
    """WebP, AVIF, JPEG 2000 and JPEG XL by their libraries."""
    import imagecodecs

    eight = {bands: noise("uint8", HEIGHT, WIDTH, bands) for bands in (1, 2, 3, 4)}
    for bands, lossless in itertools.product((3, 4), (False, True)):
        yield f"WebP {bands} channels", bytes(imagecodecs.webp_encode(eight[bands], lossless=lossless))
    for bands, bits in itertools.product((1, 3, 4), (8, 10, 12)):
        values = noise("uint16", HEIGHT + 1, WIDTH + 1, bands) >> (16 - bits)
        values = values.astype("uint8" if bits == 8 else "uint16")
        file = bytes(imagecodecs.avif_encode(values, bitspersample=bits))
        decoded = imagecodecs.avif_decode(file).reshape(*values.shape)
        if bits > 8:
            decoded = np.floor(decoded * (65535 / (2**bits - 1)) + 0.5).astype(np.uint16)
        yield f"AVIF {bands} channels, {bits} bits", file, decoded
    for bands, bits in itertools.product((1, 2, 3, 4), (8, 10, 12, 16)):
        values = (noise("uint16", HEIGHT, WIDTH, bands) >> (16 - bits)).astype("uint8" if bits == 8 else "uint16")
        squeezed = values[..., 0] if bands == 1 else values
        for form in ("jp2", "j2k"):
            data = imagecodecs.jpeg2k_encode(squeezed, codecformat=form, bitspersample=bits, reversible=True)
            yield f"JPEG 2000 {bands} channels, {bits} bits", bytes(data)
    for dtype, bands in itertools.product(("uint8", "uint16", "float32"), (1, 2, 3, 4)):
        values = noise(dtype, HEIGHT, WIDTH, bands)
        yield f"JPEG XL {bands} x {dtype}", bytes(imagecodecs.jpegxl_encode(values, lossless=True))


def magick(thorough: bool) -> Iterator[File]:
    """GIF, BMP, TGA, ICO, PCX, SGI, PSD, DDS and others by ImageMagick."""
    if MAGICK is None:
        return
    kinds = {
        "TGA": (
            "",
            "-type TrueColor",
            "-type Grayscale",
            "-type Palette",
            "-compress RLE",
            "-alpha set",
            "-alpha off",
        ),
        "BMP": ("", "-type Grayscale", "-type Palette", "-monochrome", "-compress RLE -type Palette"),
        "BMP3": ("", "-type Palette"),
        "BMP2": ("-type Palette", "-type TrueColor"),
        "GIF": ("", "-interlace GIF", "-monochrome"),
        "ICO": ("", "-type Palette", "-alpha off"),
        "PCX": ("-alpha off", "-type Grayscale -alpha off", "-type Palette -alpha off", "-monochrome -alpha off"),
        "SGI": ("", "-type Grayscale", "-alpha off", "-compress RLE"),
        "PSD": ("", "-type Grayscale", "-depth 16", "-colorspace CMYK", "-alpha off -compress RLE"),
        "DDS": ("", "-define dds:compression=none", "-alpha off"),
        "PNG48": ("",),
        "PNG64": ("",),
        "PNG8": ("",),
        "JPEG": ("-sampling-factor 4:1:1", "-sampling-factor 4:2:0", "-interlace JPEG"),
        "TIFF": ("-compress Fax", "-compress Group4", "-compress JPEG", "-define tiff:fill-order=lsb -compress LZW"),
        "PAM": ("",),
        "PFM": ("",),
        "HDR": ("",),
    }
    rgba = noise("uint8", 32, 48, 4).tobytes()
    for kind, options in kinds.items():
        for option in options:
            command = [MAGICK, "-size", "48x32", "-depth", "8", "RGBA:-", *option.split(), f"{kind}:-"]
            ended = subprocess.run(command, input=rgba, capture_output=True, check=False)
            if ended.returncode == 0 and ended.stdout:
                yield f"{kind} {option}".strip(), ended.stdout


MAKERS: dict[str, Callable[[bool], Iterator[File]]] = {
    "TIFF": tiffs,
    "PNG": pngs,
    "PNM": pnms,
    "JPEG": jpegs,
    "WebP, AVIF, JPEG 2000, JPEG XL": modern,
    "by ImageMagick": magick,
}


def compared(maker: str, thorough: bool, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Name, outcome and reason of each file of a maker."""
    for name, data, *known in MAKERS[maker](thorough):
        path = folder / f"kind.{name.split()[0].lower()}"
        path.write_bytes(data)
        yield name, *opinion(path, known)


def main() -> None:
    """Print the table."""
    thorough = "--thorough" in sys.argv
    print("| made by others | files | equal | refused by name | wrong |\n|---|---|---|---|---|")
    for maker in MAKERS:
        counts: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            for name, outcome, why in compared(maker, thorough, Path(folder)):
                counts[outcome] += 1
                if outcome != "equal":
                    print(f"{outcome}: {name}: {why}", file=sys.stderr)
        wrong = counts["WRONG"] + counts["alone"]
        print(f"| {maker} | {sum(counts.values())} | {counts['equal']} | {counts['refused']} | {wrong} |", flush=True)


if __name__ == "__main__":
    main()

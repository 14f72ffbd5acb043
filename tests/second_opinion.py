"""Other decoders' opinion of a file: what imagecodecs, tifffile, libvips, ffmpeg and ImageMagick make of it.

`python tests/second_opinion.py FOLDER...` compares every file of some folders, and prints how many are equal, refused
by name, or wrong. Each decoder's picture is brought to the form of ours: upright, with the same channels and depth.
"""

import io
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pictures import enlarged

from upscale_cli.codecs.picture import Reading
from upscale_cli.errors import UpscaleError

Array = NDArray[Any]
MAGICK = shutil.which("magick") or ("/usr/bin/convert" if Path("/usr/bin/convert").exists() else None)
FFMPEG = shutil.which("ffmpeg")


def by_tifffile(path: Path) -> Iterator[Array]:
    """Every page that is no smaller copy, as stored: (H, W, samples)."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        for page in file.pages:
            if isinstance(page, tifffile.TiffPage) and not page.subfiletype & 5:
                yield interpreted(page)


def interpreted(page: Any) -> Array:
    """What the samples of a page mean, by TIFF 6.0: 0 is black, odd depths fill 8 or 16 bits."""
    samples: Array = page.asarray()
    bits = page.bitspersample
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        samples = np.moveaxis(samples.reshape(page.samplesperpixel, page.imagelength, page.imagewidth), 0, 2)
    samples = samples.reshape(page.imagelength, page.imagewidth, -1)
    if page.photometric == 3:
        colours = np.asarray(page.colormap).T
        colours = colours if colours.max() < 256 else colours >> 8
        true: Array = np.concatenate([colours.astype(np.uint8)[samples[..., 0]], samples[..., 1:]], axis=2)
        return true
    if samples.dtype == bool or (samples.dtype.kind == "u" and bits not in (8, 16, 32, 64)):
        full, most = (255 if bits <= 8 else 65535), 2**bits - 1
        scaled = (2 * samples.astype(np.int64) * full + most) // (2 * most)
        samples = scaled.astype(np.uint8 if bits <= 8 else np.uint16)
    if page.photometric == 0:
        samples = ~samples
    if page.samplesperpixel in (2, 4) and page.extrasamples == (1,):
        full = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
        alpha = samples[..., -1:].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            colours = np.where(alpha > 0, samples[..., :-1] * (full / alpha), 0)
        if samples.dtype.kind == "u":
            colours = np.floor(np.minimum(colours, full) + 0.5)
        samples = np.concatenate([colours.astype(samples.dtype), samples[..., -1:]], axis=2)
    return samples


def by_imagecodecs(path: Path) -> Iterator[Array]:
    """The first picture, as the reference libraries of its format decode it."""
    import imagecodecs

    data = path.read_bytes()
    kinds: dict[bytes, Callable[[bytes], Array]] = {
        b"\x89PNG": imagecodecs.png_decode,
        b"\xff\xd8\xff": imagecodecs.jpeg8_decode,
        b"RIFF": imagecodecs.webp_decode,
        b"\0\0\0\x0cjP": imagecodecs.jpeg2k_decode,
        b"\xff\x4f\xff\x51": imagecodecs.jpeg2k_decode,
        b"\xff\x0a": imagecodecs.jpegxl_decode,
        b"\0\0\0\x0cJXL": imagecodecs.jpegxl_decode,
        b"GIF8": lambda data: imagecodecs.gif_decode(data, index=0),
        b"qoif": imagecodecs.qoi_decode,
    }
    decode = next((decode for magic, decode in kinds.items() if data.startswith(magic)), None)
    if decode is None and data[4:8] == b"ftyp":
        decode = imagecodecs.avif_decode
    if decode is not None:
        samples = np.asarray(decode(data))
        yield samples if samples.ndim == 3 else samples[..., None]


def by_vips(path: Path) -> Iterator[Array]:
    """The first picture, upright."""
    import pyvips

    pyvips.cache_set_max(0)  # which knows files by their names, and returns what another file of this name held
    image = pyvips.Image.new_from_file(str(path), access="random")
    yield np.asarray(image.autorot().numpy()).reshape(*image.autorot().numpy().shape[:2], -1)


def by_ffmpeg(path: Path) -> Iterator[Array]:
    """Every picture, as RGB and alpha of 8 and of 16 bits."""
    if FFMPEG is None:
        return
    size = [
        FFMPEG.replace("ffmpeg", "ffprobe"),
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-of",
        "json",
        "-show_streams",
    ]
    found = json.loads(subprocess.run([*size, path], capture_output=True, check=True).stdout)["streams"][0]
    for form, dtype in (("rgba", "u1"), ("rgba64le", "<u2")):
        command = [FFMPEG, "-v", "error", "-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", form, "-"]
        data = subprocess.run(command, capture_output=True, check=True).stdout
        yield np.frombuffer(data, dtype).reshape(found["height"], found["width"], 4)


def by_magick(path: Path) -> Iterator[Array]:
    """The first picture, as RGB and alpha of 8 and of 16 bits, upright."""
    if MAGICK is None:
        return
    size = subprocess.run(
        [MAGICK, f"{path}[0]", "-auto-orient", "-format", "%w %h", "info:"], capture_output=True, check=True
    )
    width, height = map(int, size.stdout.split())
    for depth, dtype in (("8", "u1"), ("16", "<u2")):
        command = [MAGICK, f"{path}[0]", "-auto-orient", "-depth", depth, "-endian", "LSB", "RGBA:-"]
        data = subprocess.run(command, capture_output=True, check=True).stdout
        yield np.frombuffer(data, dtype).reshape(height, width, 4)


DECODERS = (by_tifffile, by_imagecodecs, by_vips, by_ffmpeg, by_magick)


def ours(file: bytes | Path) -> list[Array]:
    """Our pages: enlarged by `nearest` to a TIFF, which stores every kind, read by tifffile, each second sample."""
    import tifffile

    made, _ = enlarged(file, "tiff", 2, reading=Reading(max_pixels=10**9), max_pixels=10**10)
    with tifffile.TiffFile(io.BytesIO(made)) as result:
        return [interpreted(page)[::2, ::2] for page in result.pages]


def same(own: Array, other: Array) -> bool:
    """Whether two pictures show the same, whichever channels each uses, 1 to 4 of them.

    Colours of pixels that are wholly transparent do not show.
    """
    if np.array_equal(own, other, equal_nan=own.dtype.kind == "f"):
        return True
    if own.shape[:2] != other.shape[:2] or own.dtype != other.dtype or max(own.shape[2], other.shape[2]) > 4:
        return False
    (mine, seen), (theirs, also) = _colours(own), _colours(other)
    return np.array_equal(seen, also) and np.array_equal(mine * (seen > 0), theirs * (seen > 0))


def _colours(samples: Array) -> tuple[Array, Array]:
    """Red, green and blue, and opacity."""
    count = samples.shape[2]
    full = np.iinfo(samples.dtype).max if samples.dtype.kind in "ui" else 1
    opacity = samples[..., count - 1 :] if count in (2, 4) else np.full_like(samples[..., :1], full)
    colours = samples[..., : count - (count in (2, 4))]
    return np.broadcast_to(colours, (*samples.shape[:2], 3)), opacity


def opinion(path: Path, known: Sequence[Array] = ()) -> tuple[str, str]:
    """What our reading of a file is, by what is known or others read: equal, refused, alone or WRONG; and why.

    "Alone" is what no other decoder reads.
    """
    try:
        own = ours(path)[0]
    except UpscaleError as error:
        return "refused", str(error)
    if known:
        return "equal" if same(own, known[0]) else "WRONG", "known samples"
    failures, alone = [f"{own.dtype} {own.shape}"], True
    for decode in DECODERS:
        try:
            pictures = list(decode(path))
        except Exception as error:  # a decoder that cannot is no opinion
            failures.append(f"{decode.__name__}: {' '.join(str(error).split())[:60]}")
            continue
        if any(same(own, other) for other in pictures):
            return "equal", decode.__name__
        alone = alone and not pictures
        failures += [f"{decode.__name__}: {pictures[0].dtype} {pictures[0].shape}"] if pictures else []
    return ("alone" if alone else "WRONG"), "; ".join(failures)


def main() -> None:
    """Compare every file of the folders that are named."""
    counts: Counter[tuple[str, str]] = Counter()
    for path in sorted(path for folder in sys.argv[1:] for path in Path(folder).rglob("*") if path.is_file()):
        kind, why = opinion(path)
        counts[path.suffix.lower(), kind] += 1
        if kind != "equal":
            print(f"{kind}\t{path}\t{why}", flush=True)
    for (suffix, kind), count in sorted(counts.items()):
        print(f"{count:6} {suffix:8} {kind}")


if __name__ == "__main__":
    main()

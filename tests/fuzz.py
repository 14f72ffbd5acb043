"""Fuzzing: `python tests/fuzz.py FOLDER SECONDS images`, `… arrays`, `… metadata`. Needs atheris, tifffile.

Each input is an image, or the file of a kernel, of places or of a network for one, and goes the whole way: decode,
plan, enlarge, encode. A refusal (`UpscaleError`) is a good end; any other exception, a crash, a leak, or an input
that takes longer than ten seconds is a finding, and is written to FOLDER. A finding becomes a line of `FOUND` in
`tests/test_fuzz.py`.
"""

import functools
import importlib
import io
import itertools
import json
import pkgutil
import subprocess
import sys
import tempfile
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upscale_cli.work.request import Request

SAMPLES = Path(__file__).parents[1] / "sample_images" / "make_samples.py"
MOST = 1 << 20
"""Pixels of a source or result, at most: large images are slow, not dangerous."""

LONGEST_SEED = 1 << 14
"""Bytes of a seed, at most: small ones are tried more often."""

FORMATS = ("png", "npy", "tiff", "gif", "jpeg", "webp", "bmp", "ppm", "jpeg2000", "tga")
METHODS = ("nearest", "bilinear", "lanczos", "bed-of-nails")

ARRAYS = 240
"""First bytes from here on stand for a file of arrays."""

PARAMETERS = (
    ("transposed-conv", "kernel"),
    ("max-unpooling", "indices"),
    ("learned", "network"),
    ("learned", "about"),
)
"""Methods and their files. Of the last, what a network says of itself: a checksum guards it in a whole file."""


def one_input(data: bytes) -> None:
    """Carry out what the first byte says with the rest; raises what is a finding."""
    if data:
        (one_array if data[0] >= ARRAYS else one_image)(data[0], data[1:])


def one_image(choice: int, content: bytes) -> None:
    """Enlarge a file of this content: the method, the format to write and the layout of arrays are chosen."""
    from upscale_cli.codecs.formats import FORMATS as ROWS
    from upscale_cli.codecs.picture import Reading
    from upscale_cli.methods import find_method
    from upscale_cli.work.request import Request

    request = Request(
        method=find_method(METHODS[choice % len(METHODS)]),
        scale=(Fraction(2), Fraction(2)),
        format=ROWS[FORMATS[choice // len(METHODS) % len(FORMATS)]],
        reading=Reading(channels_first=choice >= 200),
        max_pixels=4 * MOST,
    )
    carry_out(request, content)


def one_array(choice: int, content: bytes) -> None:
    """Enlarge an image with a kernel, places or a network in a file of this content, or in one that says this."""
    from make_hostile import network

    from upscale_cli.methods import find_method
    from upscale_cli.places.files import FileSource
    from upscale_cli.work.parameter_files import ParameterFile
    from upscale_cli.work.request import Request

    method, name = PARAMETERS[choice % len(PARAMETERS)]
    chosen = find_method(method)
    parameter = next(p for p in chosen.parameters if p.name == ("network" if name == "about" else name))
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        file.write(content if name != "about" else network(content))
        file.flush()
        given = {parameter.name: ParameterFile(parameter, FileSource(Path(file.name)))}
        scale = Fraction(2), Fraction(2)
        carry_out(Request(method=chosen, parameters=given, scale=scale, max_pixels=4 * MOST), flat())


def carry_out(request: "Request", content: bytes) -> None:
    """Enlarge an image, in memory; a refusal is a good end."""
    from upscale_cli.codecs.picture import open_picture
    from upscale_cli.errors import UpscaleError
    from upscale_cli.places.streams import ContentSource, StreamTarget

    source = ContentSource(content)
    try:
        with open_picture(source.open(), request.reading) as picture:
            if picture.height * picture.width * picture.count > MOST:
                return
            request.check(picture, source)
        request.carry_out(source, StreamTarget(io.BytesIO()))
    except UpscaleError:
        pass


@functools.cache
def flat() -> bytes:
    """Return a small image, to be enlarged with fuzzed kernels and indices."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (10, 20, 30)).save(stream, "PNG")
    return stream.getvalue()


def write_images(folder: Path) -> None:
    """Images to begin with, behind a first byte: the samples, a small one of each format, and arrays."""
    import numpy as np
    from kinds import tiffs
    from make_hostile import unusual
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([sys.executable, SAMPLES, made], check=True)
        files = [path.read_bytes() for path in sorted(Path(made).iterdir()) if path.stat().st_size < LONGEST_SEED]
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 11, 4), np.uint8))
    for format in (
        "PNG",
        "JPEG",
        "GIF",
        "TIFF",
        "WEBP",
        "BMP",
        "PPM",
        "JPEG2000",
        "TGA",
        "AVIF",
        "ICO",
        "PCX",
        "SGI",
    ):
        stream = io.BytesIO()
        image = small if format in ("PNG", "TIFF", "WEBP", "TGA", "ICO") else small.convert("RGB")
        image.save(stream, format)
        files.append(stream.getvalue())
    kinds = [data for _, data, *_ in itertools.islice(tiffs(thorough=False), 0, None, 9) if len(data) < LONGEST_SEED]
    for number, data in enumerate([*files, *kinds, *unusual().values()]):
        (folder / f"image-{number}").write_bytes(bytes([number * 7 % ARRAYS]) + data)


def write_arrays(folder: Path) -> None:
    """Kernels, places and networks to begin with, behind a first byte: sound ones, and those that mean harm."""
    import numpy as np
    from make_hostile import SOUND, network, networks, parameters, saved, zipped

    folder.mkdir(parents=True, exist_ok=True)
    places = np.arange(0, 64, 4).reshape(4, 4, 1).repeat(3, axis=2)
    sound = {
        "kernel.npy": saved(np.ones((2, 2), np.float32)),
        "mixing-kernel.npy": saved(np.ones((3, 3, 2, 2), np.float32)),
        "places.npy": saved(places),
        "places.npz": zipped({"indices.npy": saved(places), "size.npy": saved(np.array([8, 8]))}, zipfile.ZIP_STORED),
        "network.npz": network(SOUND),
        "about.json": json.dumps(SOUND).encode(),
    }
    for name, data in (sound | parameters() | networks()).items():
        if len(data) < LONGEST_SEED:
            for choice in range(len(PARAMETERS)):
                (folder / f"{name}-{choice}").write_bytes(bytes([ARRAYS + choice]) + data)


def write_metadata(folder: Path) -> None:
    """Small images that are mostly metadata, behind a first byte."""
    import struct

    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    folder.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x010E], exif[0x0112], exif[0x011A] = "Old Mill", 6, 300.0
    exif[0x8769] = {
        0x9003: "2026:01:02 03:04:05",
        0x927C: b"Maker\0" * 9,
        0xA002: 9,
        0xA003: 11,
        0x9214: (4, 5, 2, 2),
    }
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 14.0)}
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:FullPanoWidthPixels="36" '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" tiff:ImageWidth="9">'
        b"<GPano:CroppedAreaLeftPixels>4</GPano:CroppedAreaLeftPixels></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    iptc = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", 9) + b"\x1c\x02\x78\0\x04word\0"
    more = {"exif": exif.tobytes(), "xmp": xmp, "icc_profile": bytes(36) + b"acsp" + bytes(92)}
    extra = b"".join(b"\xff\xed" + struct.pack(">H", 2 + len(part)) + part for part in (iptc, iptc))
    text = PngInfo()
    text.add_text("Title", "Mill")
    text.add_itxt("Title", "Mühle", "de", "Bild", zip=True)
    for name, payload in ((b"cICP", bytes((9, 16, 0, 1))), (b"pHYs", bytes((0, 0, 0, 2, 0, 0, 0, 1, 0)))):
        text.add(name, payload)
    image = Image.new("RGB", (9, 11), (10, 20, 30))
    for number, (format, options) in enumerate(
        (("JPEG", more | {"extra": extra, "comment": b"mill"}), ("PNG", {"exif": more["exif"], "pnginfo": text}),
         ("WEBP", more), ("AVIF", more), ("TIFF", {"exif": more["exif"], "icc_profile": more["icc_profile"]}))
    ):  # fmt: skip
        stream = io.BytesIO()
        image.save(stream, format, **options)  # type: ignore[arg-type]
        for choice in range(number, ARRAYS, 37):
            (folder / f"{format}-{choice}").write_bytes(bytes([choice]) + stream.getvalue())


SEEDS = {"images": write_images, "arrays": write_arrays, "metadata": write_metadata}


def main() -> None:
    """Make the seeds, and fuzz for some seconds."""
    import atheris

    folder, seconds, kind = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with atheris.instrument_imports(include=["upscale_cli", "PIL", "zipfile"]):
        import upscale_cli.work.request

        # The rest is imported when it is needed: now.
        for module in pkgutil.walk_packages(upscale_cli.__path__, "upscale_cli."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        from PIL import Image

        Image.init()
    SEEDS[kind](folder / "corpus")
    found = f"-artifact_prefix={folder}/"
    limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=3000", "-max_len=65536"]

    def one_of_its_kind(data: bytes) -> None:
        if data and (data[0] >= ARRAYS) == (kind == "arrays"):
            one_input(data)

    atheris.Setup([sys.argv[0], str(folder / "corpus"), found, *limits], one_of_its_kind)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

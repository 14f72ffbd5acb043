"""Fuzzing: `python tests/fuzz.py FOLDER SECONDS`. Needs atheris (`pip install atheris`), which no test does.

Each input is an image, or an image with a kernel or with places, and goes the whole way: decode, plan, enlarge,
encode. A refusal (`UpscaleError`) is a good end; any other exception, a crash, a leak, or an input that takes longer
than ten seconds is a finding, and is written to FOLDER. A finding becomes a line of `FOUND` in `tests/test_fuzz.py`.
"""

import io
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upscale_cli.images.enlarge import Request

SAMPLES = Path(__file__).parents[1] / "sample_images" / "make_samples.py"
MOST = 1 << 20
"""Pixels of a source or result, at most: large images are slow, not dangerous."""

LONGEST_SEED = 1 << 14
"""Bytes of a seed, at most: small ones are tried more often."""

FORMATS = ("png", "npy", "tiff", "gif", "jpeg", "webp", "bmp", "ppm", "jpeg2000", "tga")
METHODS = ("nearest", "bilinear", "lanczos", "bed-of-nails")


def one_input(data: bytes) -> None:
    """Carry out what the first byte says with the rest; raises what is a finding."""
    from upscale_cli.errors import UpscaleError
    from upscale_cli.images.enlarge import Request
    from upscale_cli.images.files import Picture
    from upscale_cli.images.formats import FORMATS as ROWS

    if not data:
        return
    choice, content = data[0], data[1:]
    request = Request(
        METHODS[choice % len(METHODS)],
        scale=(Fraction(2), Fraction(2)),
        format=ROWS[FORMATS[choice // len(METHODS) % len(FORMATS)]],
        channels_first=choice >= 200,
        max_pixels=4 * MOST,
    )
    if choice >= 240:
        request = with_array(request, content, "kernel" if choice % 2 else "indices")
        content = FLAT
    try:
        with Picture(content, request.channels_first) as picture:
            if picture.height * picture.width * picture.count > MOST:
                return
            request.check(picture, content)
        request.carry_out(content, io.BytesIO())
    except UpscaleError:
        pass
    finally:
        for file in request.parameters.values():
            file.unlink()


def with_array(request: "Request", content: bytes, name: str) -> "Request":
    """The request with a kernel or with places that lie in a file of this content."""
    from dataclasses import replace

    with tempfile.NamedTemporaryFile(suffix=".npz", delete=False) as file:
        file.write(content)
    method = "transposed-conv" if name == "kernel" else "max-unpooling"
    return replace(request, method=method, parameters={name: Path(file.name)})


def flat() -> bytes:
    """A small image for kernels and places."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (10, 20, 30)).save(stream, "PNG")
    return stream.getvalue()


FLAT = flat()


def write_seeds(folder: Path) -> None:
    """The corpus to begin with: the sample images, small ones of each format, and arrays, behind each first byte."""
    import numpy as np
    from make_hostile import parameters, unusual
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([sys.executable, SAMPLES, made], check=True)
        files = [path.read_bytes() for path in sorted(Path(made).iterdir()) if path.stat().st_size < LONGEST_SEED]
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 11, 4), np.uint8))
    for format in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000", "TGA", "AVIF"):
        stream = io.BytesIO()
        image = small if format in ("PNG", "TIFF", "WEBP", "TGA") else small.convert("RGB")
        image.save(stream, format)
        files.append(stream.getvalue())
    for number, data in enumerate([*files, *unusual().values()]):
        (folder / f"image-{number}").write_bytes(bytes([number * 7 % 240]) + data)
    for number, (name, data) in enumerate(parameters().items()):
        if len(data) < LONGEST_SEED:
            (folder / f"array-{name}").write_bytes(bytes([240 + number % 16]) + data)


def main() -> None:
    """Make the seeds, and fuzz for some seconds."""
    import atheris

    folder, seconds = Path(sys.argv[1]), sys.argv[2]
    write_seeds(folder / "corpus")
    with atheris.instrument_imports(include=["upscale_cli", "PIL"]):
        import upscale_cli.images.enlarge  # noqa: F401
    found = f"-artifact_prefix={folder}/"
    limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=3000", "-max_len=65536"]
    atheris.Setup([sys.argv[0], str(folder / "corpus"), found, *limits], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

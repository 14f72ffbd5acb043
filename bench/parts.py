"""Where the time of one image goes: `python bench/parts.py [PNG or JPEG] [-s FACTOR] [-m METHOD]`.

One thread makes the image, in the format of its source, several times, and the least time of each part counts. The
time of a part does not include the parts that it calls.
"""

import argparse
import io
import time
from collections.abc import Callable
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Any

import upscale_cli.commands  # noqa: F401  one BLAS thread, as the command sets it, before NumPy is imported

# isort: split
from PIL import Image, ImageFile

from upscale_cli.codecs import jpeg_stream, pillow, png_stream
from upscale_cli.methods import METHODS, learned, resampling, taps, transposed, winograd
from upscale_cli.methods.resampling import Resampler
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.transposed import Transposed
from upscale_cli.methods.upsampler import Upsampler
from upscale_cli.places.files import FileSource
from upscale_cli.places.streams import StreamTarget
from upscale_cli.work.request import Request

SCENE = Path(__file__).parents[1] / "sample_images" / "scene.png"
TURNS = 7

PARTS = [
    ("decode", ImageFile.ImageFile, "load"),
    ("decode", pillow, "from_pillow"),
    ("plan the arithmetic", taps, "taps"),
    ("plan the arithmetic", resampling, "planned"),
    ("gather source rows", Resampler, "_read"),
    ("gather source rows", Transposed, "_read"),
    ("gather source rows", learned.Learned, "_planes"),
    ("stored samples to floats", Samples, "read"),
    ("products along rows (GEMM)", Resampler, "_across"),
    ("products along columns (GEMM)", Resampler, "_down"),
    ("convolution (GEMM)", transposed, "convolve"),
    ("products of networks (GEMM)", winograd.Filters, "_multiplied"),
    ("products of networks (GEMM)", winograd.Filters, "_products"),
    ("sums before and after products", winograd.Filters, "_filtered"),
    ("PReLU", winograd, "_activate"),
    ("blocks to rows", Upsampler, "rows"),
    ("finish: round, clamp, cast", Samples, "finish"),
    ("choose the row filter", png_stream, "_best_filter"),
    ("filter rows", png_stream, "_filtered"),
    ("deflate and checksums", png_stream.PngStream, "pack"),
    ("encode strips as JPEG", jpeg_stream.JpegStream, "pack"),
]


class Clock:
    """Seconds of this thread for each part, excluding the parts that it calls."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._within = [0.0]

    def timed(self, label: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time added to `label`."""

        @wraps(work)
        def run(*args: Any, **kwargs: Any) -> Any:
            self._within.append(0.0)
            start = time.thread_time()
            try:
                return work(*args, **kwargs)
            finally:
                whole = time.thread_time() - start
                self.spent[label] = self.spent.get(label, 0.0) + whole - self._within.pop()
                self._within[-1] += whole

        return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", default=SCENE)
    parser.add_argument("-s", "--scale", type=int, default=4)
    parser.add_argument("-m", "--method", choices=METHODS, default="lanczos")
    told = parser.parse_args()
    clock = Clock()
    for label, owner, name in PARTS:
        setattr(owner, name, clock.timed(label, getattr(owner, name)))
    request = Request(method=METHODS[told.method], scale=(Fraction(told.scale),) * 2)
    make = clock.timed("the rest", request.carry_out)
    least: dict[str, float] = {}
    for _ in range(TURNS):
        clock.spent.clear()
        make(FileSource(told.source), StreamTarget(io.BytesIO()))
        least = {label: min(seconds, least.get(label, seconds)) for label, seconds in clock.spent.items()}
    total = sum(least.values())
    with Image.open(told.source) as image:
        width, height = image.width * told.scale, image.height * told.scale
    print(f"{told.source.name}, {told.method} ×{told.scale}: {width} × {height}, one thread\n")
    print("| part | ms | share | ns a pixel |\n|---|---|---|---|")
    for label, seconds in sorted(least.items(), key=lambda item: -item[1]):
        print(f"| {label} | {seconds * 1e3:.1f} | {seconds / total:.0%} | {seconds * 1e9 / (width * height):.2f} |")
    print(f"| **together** | {total * 1e3:.1f} | | {total * 1e9 / (width * height):.2f} |")


if __name__ == "__main__":
    main()

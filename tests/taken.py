"""Print the memory that images are estimated to take, and what they take: a line of JSON for each case.

A case of the first argument, JSON too, is `[mode, width, height, source, format, method, scale, threads]`, the source
by its extension. Each is made in a child of this process. What imports and the first use of a method take is not
measured, because all images of a process share it.
"""

import ctypes
import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import upscale_cli.commands  # noqa: F401  one BLAS thread, as users have it
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import open_picture
from upscale_cli.methods import find_method
from upscale_cli.methods.parameters import read_scale
from upscale_cli.methods.strips import Workers
from upscale_cli.places.files import FileSource, FileTarget
from upscale_cli.work.request import Request

DEEP = {"1": np.bool_, "I;16": np.uint16, "F": np.float32}
EXTENSIONS = {"jpeg2000": "jp2", "jpeg": "jpg"}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for case in json.loads(sys.argv[1]):
            # A process of its own makes the source, or what it frees would serve the child that is measured.
            for work in (_drawn, _measured):
                sys.stdout.flush()
                if not (child := os.fork()):
                    try:
                        work(Path(folder), *case)
                        sys.stdout.flush()
                    finally:
                        os._exit(0)
                os.waitpid(child, 0)


def _drawn(folder: Path, mode: str, width: int, height: int, source: str, *_: Any) -> None:
    rng = np.random.default_rng(0)
    channels = len(mode) if mode in ("LA", "RGB", "RGBA") else 1
    for name, shape in (("small", (8, 8, channels)), ("large", (height, width, channels))):
        samples: Any = rng.integers(0, 256, shape, np.uint8).astype(DEEP.get(mode, np.uint8))
        if source == "npy":
            np.save(folder / f"{name}.npy", samples)
            continue
        image = Image.fromarray(samples.squeeze(2) if channels == 1 else samples)
        if mode == "P":
            image.putpalette(rng.integers(0, 256, 768, np.uint8).tobytes())
        image.save(folder / f"{name}.{source}", compress_level=1)


def _measured(
    folder: Path, mode: str, width: int, height: int, source: str, format: str, method: str, scale: str, threads: int
) -> None:
    name, _, text = method.partition(":")
    chosen = find_method(name)
    given = chosen.read_parameters(dict(pair.split("=") for pair in filter(None, text.split(","))))
    request = Request(
        method=chosen, parameters=given, scale=read_scale(scale), format=FORMATS[format], overwrite=True
    )
    small, large = (FileSource(folder / f"{each}.{source}") for each in ("small", "large"))
    target = FileTarget(folder / f"out.{EXTENSIONS.get(format, format)}")
    workers = Workers(threads) if threads > 1 else None
    # The buffers of this thread are gone with it.
    first = threading.Thread(target=request.carry_out, args=(small, target))
    first.start()
    first.join()
    with open_picture(large.open()) as picture:
        expected = request.check(picture, large)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _size("VmRSS")
    request.carry_out(large, target, workers)
    estimated = expected.memory + (threads - 1) * expected.memory_per_thread
    print(json.dumps([estimated, _size("VmHWM") - before]))


def _size(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()

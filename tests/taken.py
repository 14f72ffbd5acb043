"""Print the memory that images are estimated to take, and what they take: a line of JSON for each case.

A case of the first argument, JSON too, is `[mode, width, height, source, format, method, scale, threads, more]`. The
source is an extension, and after a `+` how it is stored: tiles, a compression, or a number of frames or slices.
`more` are other fields of the request. Each case is made in a child of this process. What imports and the first use
of a method take is not measured, because all images of a process share it.
"""

import ctypes
import importlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pictures import deep_png
from PIL import Image

import upscale_cli.commands  # noqa: F401  one BLAS thread, as users have it
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import USUAL, open_picture
from upscale_cli.methods import find_method
from upscale_cli.methods.parameters import read_scale
from upscale_cli.methods.strips import Workers
from upscale_cli.places import place_of
from upscale_cli.places.files import FileSource, FileTarget
from upscale_cli.work.request import Request

KINDS: dict[str, tuple[int, Any]] = {
    "1": (1, np.bool_),
    "LA": (2, np.uint8),
    "RGB": (3, np.uint8),
    "RGBA": (4, np.uint8),
    "CMYK": (4, np.uint8),
    "I;16": (1, np.uint16),
    "RGB16": (3, np.uint16),
    "RGBA16": (4, np.uint16),
    "F": (1, np.float32),
    "F64": (1, np.float64),
    "volume": (1, np.uint16),
}
"""Channels and type of what is not 8 bits of grey or of a palette."""
OF_TIFF: dict[str, dict[str, Any]] = {
    "one": {"rowsperstrip": 1 << 30},
    "tiles": {"tile": (256, 256)},
    "": {"rowsperstrip": 16},
    **{name: {"compression": name, "rowsperstrip": 16} for name in ("lzw", "deflate")},
    "jpeg": {"compression": "jpeg", "tile": (256, 256)},
}
PLUGINS = {"heic": "pillow_heif.HeifImagePlugin", "jxl": "pillow_jxl"}
"""Modules that let Pillow save sources by their extensions."""
EXTENSIONS = {"jpeg2000": "jp2", "jpeg": "jpg", "heif": "heic", "nifti": "nii"}


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
                        os._exit(0)
                    except Exception as error:
                        print(json.dumps([0, repr(error)]), flush=True)
                    finally:
                        os._exit(1)
                if os.waitpid(child, 0)[1]:
                    break


def _drawn(folder: Path, mode: str, width: int, height: int, source: str, *more: Any) -> None:
    ending, _, detail = source.partition("+")
    count = int(detail) if detail.isdigit() else 1
    rng = np.random.default_rng(0)
    channels, dtype = KINDS.get(mode, (1, np.uint8))
    for name, (across, down) in {"small": (min(8, width), min(8, height)), "large": (width, height)}.items():
        shape = (count, down, across, *[channels] * (channels > 1))
        top = 2 if mode == "1" else 65_536 if dtype == np.uint16 else 256
        samples = rng.integers(0, top, shape, np.uint16 if top > 256 else np.uint8).astype(dtype)
        if ending == "dcm":
            from test_dicom import slice_file

            (folder / f"{name}.dcm").mkdir(exist_ok=True)
            for number, each in enumerate(samples):
                slice_file(folder / f"{name}.dcm" / f"{number}.dcm", number, each & 4095)
        else:
            _save(folder / f"{name}.{ending}", samples[0] if count == 1 else samples, mode, detail)


def _save(path: Path, samples: Any, mode: str, detail: str) -> None:
    """Write samples ([N,] H, W [, C]) as a file of the path's extension."""
    ending = path.name.partition(".")[2]
    if ending == "npy":
        np.save(path, samples)
    elif ending in ("nii", "nii.gz"):
        import nibabel

        nibabel.save(nibabel.Nifti1Image(samples.T, np.diag([1, 2, 3, 1])), path)
    elif ending == "tif":
        import tifffile

        kinds = {"P": "palette", "CMYK": "separated", "RGB": "rgb", "RGB16": "rgb"}
        options: dict[str, Any] = {"photometric": kinds.get(mode, "rgb" if mode.startswith("RGBA") else "minisblack")}
        options |= {"extrasamples": ["unassalpha"]} if mode.startswith("RGBA") else {}
        options |= {"colormap": np.arange(768, dtype=np.uint16).reshape(3, 256)} if mode == "P" else {}
        tifffile.imwrite(path, samples, **options, **OF_TIFF.get(detail, OF_TIFF[""]))
    elif mode in ("RGB16", "RGBA16"):
        path.write_bytes(deep_png(samples))
    else:
        if ending in PLUGINS:
            importlib.import_module(PLUGINS[ending])
        first, *others = _images(samples, mode, detail)
        more: dict[str, Any] = {"save_all": True, "append_images": others} if others else {}
        first.save(path, **more | ({"compress_level": 1} if ending == "png" else {}))


def _images(samples: Any, mode: str, detail: str) -> Iterator[Image.Image]:
    for each in samples if detail.isdigit() else [samples]:
        image = Image.fromarray(each, "CMYK") if mode == "CMYK" else Image.fromarray(each)
        if mode == "P":
            image.putpalette(np.random.default_rng(1).integers(0, 256, 768, np.uint8).tobytes())
        yield image


def _measured(folder: Path, *case: Any) -> None:
    source, format, method, scale, count, more = case[3:]
    ending, name = source.partition("+")[0], FORMATS[format].name
    request = _request(name, method, scale, dict(more))
    small, large = (
        next(s for s in place_of(str(path)).sources(str(path), None) if isinstance(s, FileSource))
        for path in (folder / f"small.{ending}", folder / f"large.{ending}")
    )
    target = FileTarget(folder / f"out.{EXTENSIONS.get(name, name)}")
    workers = Workers(count) if count > 1 else None
    # The buffers of this thread are gone with it.
    first = threading.Thread(target=request.carry_out, args=(small, target))
    first.start()
    first.join()
    with open_picture(large.open(), request.reading) as picture:
        expected = request.check(picture, large)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _size("VmRSS")
    request.carry_out(large, target, workers)
    estimated = expected.memory + (count - 1) * expected.memory_per_thread
    print(json.dumps([estimated, _size("VmHWM") - before]))


def _request(format: str, method: str, scale: str, more: dict[str, Any]) -> Request:
    name, _, text = method.partition(":")
    given: dict[str, Any] = dict(pair.split("=") for pair in filter(None, text.split(",")))
    if "kernel" in given:
        given["kernel"] = np.ones((int(given["kernel"]),) * more.get("axes", 2), np.float32)
    chosen = find_method(name)
    return Request(
        method=chosen,
        parameters=chosen.read_parameters(given),
        scale=read_scale(scale),
        format=FORMATS[format],
        overwrite=True,
        reading=USUAL._replace(axes=more.pop("axes", None)),
        **more,
    )


def _size(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()

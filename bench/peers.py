"""The peers: where each is found, and how it enlarges a file. `python bench/peers.py [NAME...]` gets them.

Packages come into environments under `.bench/`, all of `ENVIRONMENTS` unless some are named; programs are the
system's, and those that are absent are listed. Pillow-SIMD is compiled, which needs a C compiler and the headers of
libjpeg, zlib, libtiff and libwebp.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
BENCH = ROOT / ".bench"
HELPERS = Path(__file__).parent / "helpers"
OURS = "upscale"

ENVIRONMENTS = {
    "python": (
        *("numpy", "pillow", "pyvips[binary]", "opencv-python-headless"),
        *("scikit-image", "simplejpeg", "pic-scale"),
    ),
    "simd": ("numpy", "pillow-simd"),
    "onnx": ("numpy", "onnx", "onnxruntime"),
    "torch": ("numpy", "pillow", "torch==2.13.0"),
    "volumes": ("nibabel", "numpy", "scipy", "SimpleITK"),
    "node": ("sharp",),
}
"""Folders under `.bench/`, and the packages that each gets: from npm for `node`, else from PyPI."""
DEBIAN = {
    "vips": "libvips-tools",
    "ImageMagick": "imagemagick",
    "GraphicsMagick": "graphicsmagick",
    "ffmpeg": "ffmpeg",
    "sharp": "nodejs npm",
}
"""Debian's packages of programs."""


class Tool(NamedTuple):
    """A program or a library that is here: how its command line begins, and its version."""

    line: list[str]
    version: str


def _said(*line: str) -> str | None:
    """Return what a command prints; None if it fails."""
    try:
        ended = subprocess.run(line, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def _library(environment: str, module: str, package: str) -> Tool | None:
    """Find a Python library: in its environment, or beside this Python. The package's name tells forks apart."""
    code = f"import {module}\nfrom importlib.metadata import version\nprint(version({package!r}))"
    for python in (BENCH / environment / "bin" / "python", Path(sys.executable)):
        if python.exists() and (version := _said(str(python), "-W", "ignore", "-c", code)):
            return Tool([str(python)], version)
    return None


def _program(*names: str, version: str, mark: str = "") -> Tool | None:
    """Find a program by the names it may have; `mark` stands in what it prints about its version."""
    for name in names:
        path = shutil.which(name)
        if path is not None and (said := _said(path, version)) and mark in said:
            words = said.splitlines()[0].replace("-", " ").split()
            return Tool([path], next((word for word in words if word[0].isdigit()), words[-1]))
    return None


def _zimg() -> Tool | None:
    """Find an ffmpeg that was built with zimg."""
    ffmpeg = tool("ffmpeg")
    if ffmpeg is None or " zscale " not in (_said(*ffmpeg.line, "-v", "error", "-filters") or ""):
        return None
    return ffmpeg._replace(version=f"in ffmpeg {ffmpeg.version}")


def _sharp() -> Tool | None:
    """Find Node.js, and sharp in its environment."""
    library, node = BENCH / "node" / "node_modules" / "sharp", shutil.which("node")
    version = _said(node, "-p", f"require({str(library)!r}).versions.sharp") if node else None
    return Tool([node, str(HELPERS / "sharp_script.js"), str(library)], version) if node and version else None


_FINDERS: dict[str, Callable[[], Tool | None]] = {
    "Pillow": lambda: _library("python", "PIL", "pillow"),
    "Pillow-SIMD": lambda: _library("simd", "PIL", "pillow-simd"),
    "pic-scale": lambda: _library("python", "pic_scale", "pic-scale"),
    "pyvips": lambda: _library("python", "pyvips", "pyvips-binary"),
    "OpenCV": lambda: _library("python", "cv2", "opencv-python-headless"),
    "simplejpeg": lambda: _library("python", "simplejpeg, cv2", "simplejpeg"),
    "scikit-image": lambda: _library("python", "skimage", "scikit-image"),
    "SciPy": lambda: _library("volumes", "scipy, nibabel", "scipy"),
    "SimpleITK": lambda: _library("volumes", "SimpleITK", "simpleitk"),
    "PyTorch": lambda: _library("torch", "torch", "torch"),
    "onnxruntime": lambda: _library("onnx", "onnx, onnxruntime", "onnxruntime"),
    "sharp": _sharp,
    "vips": lambda: _program("vips", version="--version"),
    "ImageMagick": lambda: _program("magick", "/usr/bin/convert", "convert", version="-version", mark="ImageMagick"),
    # Where this is here, it is the ImageMagick that is measured.
    "ImageMagick 7": lambda: _program("magick", version="-version", mark="ImageMagick 7"),
    "mogrify": lambda: _program("mogrify", version="-version", mark="ImageMagick"),
    "GraphicsMagick": lambda: _program("gm", version="-version"),
    "ffmpeg": lambda: _program("ffmpeg", version="-version"),
    "zimg": _zimg,
}
TOOLS = tuple(_FINDERS)


@cache
def tool(name: str) -> Tool | None:
    """Return a tool of `TOOLS`; None if it is absent."""
    return _FINDERS[name]()


class Job(NamedTuple):
    """A file to enlarge. Every peer writes JPEG with quality 95 and 4:4:4, WebP with 95, and deflates TIFF.

    Only ffmpeg has another scale of quality for JPEG, of which it takes the best.
    """

    source: Path
    target: Path
    factor: int

    @property
    def suffix(self) -> str:
        """The target's extension."""
        return self.target.suffix


class Peer(NamedTuple):
    """A way to enlarge a file.

    Attributes
    ----------
    tool : str
        What must be here: one of `TOOLS`.
    line : callable
        Returns the command line, from the beginning of the tool's and a job.
    filter : str
        The filter that it uses, one of `quality.FILTERS`.
    """

    tool: str
    line: Callable[[list[str], Job], list[object]]
    filter: str = "lanczos"


def _script(name: str, *more: str) -> Callable[[list[str], Job], list[object]]:
    """Return the line of a helper that takes factor, target and source."""
    return lambda python, job: [*python, HELPERS / name, job.factor, job.target, job.source, *more]


VIPS_OPTIONS = {".jpg": "[Q=95,subsample-mode=off]", ".png": "", ".tif": "[compression=deflate]", ".webp": "[Q=95]"}
MAGICK_OPTIONS = {
    ".jpg": ("-quality", "95", "-sampling-factor", "1x1"),
    ".png": (),
    ".tif": ("-compress", "Zip"),
    ".webp": ("-quality", "95"),
}
FFMPEG_OPTIONS = {
    ".jpg": ("-q:v", "1", "-qmin", "1", "-pix_fmt", "yuvj444p"),
    ".png": (),
    ".tif": ("-compression_algo", "deflate"),
    ".webp": ("-quality", "95"),
}


def _vips(vips: list[str], job: Job) -> list[object]:
    target = f"{job.target}{VIPS_OPTIONS[job.suffix]}"
    return [*vips, "resize", job.source, target, job.factor, "--kernel", "lanczos3"]


def _magick(magick: list[str], job: Job) -> list[object]:
    resize = ("-filter", "Lanczos", "-resize", f"{job.factor}00%")
    return [*magick, job.source, *resize, *MAGICK_OPTIONS[job.suffix], job.target]


def _ffmpeg(scaling: str) -> Callable[[list[str], Job], list[object]]:
    def line(ffmpeg: list[str], job: Job) -> list[object]:
        begin = (*ffmpeg, "-y", "-v", "error", "-i", job.source, "-vf", scaling.format(job.factor))
        return [*begin, *FFMPEG_OPTIONS[job.suffix], job.target]

    return line


PEERS = {
    "Pillow script": Peer("Pillow", _script("pillow_script.py")),
    "Pillow-SIMD script": Peer("Pillow-SIMD", _script("pillow_script.py")),
    "pic-scale script": Peer("pic-scale", _script("pic_scale_script.py")),
    "pyvips script": Peer("pyvips", _script("pyvips_script.py"), "bicubic, shifted"),
    "pyvips script, level 1": Peer("pyvips", _script("pyvips_script.py", "compression=1"), "bicubic, shifted"),
    "vips": Peer("vips", _vips, "bicubic, shifted"),
    "sharp": Peer("sharp", lambda node, job: [*node, job.factor, job.target, job.source], "bicubic, shifted"),
    "OpenCV script": Peer("OpenCV", _script("opencv_script.py"), "lanczos4"),
    "simplejpeg and OpenCV script": Peer("simplejpeg", _script("simplejpeg_script.py"), "lanczos4"),
    "ImageMagick": Peer("ImageMagick", _magick),
    "GraphicsMagick": Peer("GraphicsMagick", lambda gm, job: _magick([*gm, "convert"], job)),
    "ffmpeg": Peer("ffmpeg", _ffmpeg("scale=iw*{0}:ih*{0}:flags=lanczos")),
    "ffmpeg with zimg": Peer("zimg", _ffmpeg("zscale=w=iw*{0}:h=ih*{0}:filter=lanczos")),
}


def get(names: list[str]) -> None:
    """Make the environments of some names, as far as they can be had, and say what is absent."""
    for name in names:
        folder, packages = BENCH / name, ENVIRONMENTS[name]
        folder.mkdir(parents=True, exist_ok=True)
        if name == "node":
            lines = [["npm", "install", "--silent", "--no-audit", "--prefix", str(folder), *packages]]
        else:
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--upgrade", *packages]
            lines = [[sys.executable, "-m", "venv", str(folder)], pip]
        # Pillow-SIMD is built for SSE4 if it is told nothing.
        flags = {"CC": "cc -mavx2"} if name == "simd" and platform.machine() in ("x86_64", "AMD64") else {}
        for line in lines:
            print(" ".join(line), flush=True)
            if shutil.which(line[0]) is None or subprocess.run(line, env=os.environ | flags, check=False).returncode:
                print(f"{name}: could not be made", file=sys.stderr)
                break
    for name in TOOLS:
        found = tool(name)
        debian = f"; on Debian: apt-get install {DEBIAN[name]}" if name in DEBIAN else ""
        print(f"{name} {found.version}" if found else f"{name}: absent{debian}")


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - set(ENVIRONMENTS):
        sys.exit(f"bench/peers.py: {', '.join(sorted(unknown))}: choose from {', '.join(ENVIRONMENTS)}.")
    get(sys.argv[1:] or list(ENVIRONMENTS))

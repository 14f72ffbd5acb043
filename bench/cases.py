"""The cases: what is measured beside whom, and how many times faster we mean to be."""

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from measuring import Case, Competitor, Helper, Process, Reported
from numpy.typing import NDArray
from peers import OURS, PEERS, ROOT, Job, tool
from PIL import Image
from quality import Made, check_file, check_folder, psnr

from upscale_cli.machine.processors import processors

KERNELS = ROOT / "upscale_cli" / "methods" / "kernels"
MEMORY_GOAL = 250_000_000
THREADS = processors()
CUBIC = "libvips enlarges by cubics where it is asked for Lanczos: four source rows and columns in place of six."
FIXED_POINT = "OpenCV computes in fixed point, and rounds between the two passes."
AFTER_IMPORTS = (
    "Python, NumPy and Pillow are imported before anything is done (the first cases show how long that takes)."
)


SAVED: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".tif": {"compression": "tiff_adobe_deflate"},
}
"""How Pillow saves the sources."""


class Material(NamedTuple):
    """What cases are made of: a square photograph, a folder to work in, and a divisor of all sizes and counts."""

    picture: Image.Image
    work: Path
    divisor: int = 1

    def source(self, side: int, suffix: str) -> tuple[Path, int]:
        """Return a square of a side as a file, and the side. The files are made once."""
        side //= self.divisor
        path = self.work / f"source_{side}{suffix}"
        if not path.exists():
            self.square(side).save(path, **SAVED.get(suffix, {}))
        return path, side

    def square(self, side: int) -> Image.Image:
        """Return the picture as a square of a side."""
        return self.picture.resize((side, side), Image.Resampling.LANCZOS)

    def crops(self, name: str, count: int, size: tuple[int, int], suffix: str) -> Path:
        """Return a folder of different pieces of the picture as files, of quality 95 if that is a choice."""
        folder = self.work / name
        folder.mkdir()
        whole = self.square(max(1024, *size) * 5 // 4)
        for number in range(max(2, count // self.divisor)):
            x, y = number * 37 % (whole.width - size[0]), number * 91 % (whole.height - size[1])
            piece = whole.crop((x, y, x + size[0], y + size[1]))
            piece.save(folder / f"{number:03}{suffix}", **SAVED.get(suffix, {}))
        return folder

    def array(self, name: str, array: NDArray[np.generic]) -> Path:
        """Return an array as a file."""
        path = self.work / f"{name}.npy"
        np.save(path, array)
        return path


def command() -> str:
    """Return our command, as it is installed beside this Python."""
    return str(Path(sys.executable).with_name("upscale"))


class Files(NamedTuple):
    """A case of one file: a side, its factor, the extensions of source and target, and with whom it is measured."""

    side: int
    factor: int
    suffixes: tuple[str, str]
    peers: tuple[str, ...]
    goals: dict[str, float]
    alone: bool = False
    variants: tuple[str, ...] = ()
    why: Mapping[str, str] = MappingProxyType({})

    def case(self, material: Material) -> Case:
        """Return the case."""
        source, side = material.source(self.side, self.suffixes[0])
        targets: dict[str, Path] = {}

        def job(name: str) -> Job:
            targets[name] = material.work / f"made_{len(targets)}_{side}x{self.factor}{self.suffixes[1]}"
            return Job(source, targets[name], self.factor)

        def made(name: str) -> Made:
            filter = None if self.alone else PEERS[name].filter if name in PEERS else "lanczos"
            return check_file(source, targets[name], self.factor, filter)

        competitors: dict[str, Competitor] = {}
        for variant in ("", *self.variants):
            name = f"{OURS} {variant}".strip()
            competitors[name] = self._ours(job(name), variant.split())
        for name in self.peers:
            if (found := tool(PEERS[name].tool)) is not None:
                competitors[name] = Process(*PEERS[name].line(found.line, job(name)))
        title = " → ".join({".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".webp": "WebP"}[s] for s in self.suffixes)
        name = f"{title}, {side}² → {side * self.factor}²{', alone' if self.alone else ''}"
        goal = MEMORY_GOAL if self.alone else None
        return Case(name, competitors, self.goals, made, memory=True, memory_goal=goal, why=self.why)

    def _ours(self, job: Job, variant: list[str]) -> Process:
        quality = ("--quality", 95) if job.suffix in (".jpg", ".webp") else ()
        more = (*quality, "--max-pixels", "2G") if self.alone else quality
        return Process(command(), job.source, "-s", job.factor, "-o", job.target, "--overwrite", *variant, *more)


def _without(*left_out: str) -> tuple[str, ...]:
    """Return the names of peers but for those that cannot do a job, or would take minutes."""
    return tuple(name for name in PEERS if not any(word in name for word in left_out))


JPEG, LARGE_JPEG = _without("level 1"), _without("level 1", "Magick")
PNG, TIFF, WEBP = _without("simplejpeg"), _without("simplejpeg", "level 1"), _without("simplejpeg", "level 1", "zimg")
SMALL_WHY = dict.fromkeys(("vips", "ffmpeg", "ffmpeg with zimg"), AFTER_IMPORTS) | dict.fromkeys(
    ("pyvips script", "pyvips script, level 1", "sharp"), CUBIC
)

FILES = (
    Files(
        *(1024, 4, (".jpg", ".jpg"), JPEG),
        goals={"Pillow script": 1.35, "Pillow-SIMD script": 0.95, "pyvips script": 1.2, "vips": 1.3, "sharp": 2.5},
    ),
    Files(
        *(2048, 4, (".jpg", ".jpg"), LARGE_JPEG),
        goals={"Pillow script": 2.1, "Pillow-SIMD script": 1.4, "pyvips script": 1.8, "vips": 2.2},
    ),
    Files(
        *(512, 2, (".png", ".png"), PNG),
        goals={"vips": 1.0},
        variants=("--compression small",),
        why=SMALL_WHY,
    ),
    Files(
        *(512, 4, (".png", ".png"), PNG),
        goals={"vips": 1.8},
        variants=("--compression small",),
        why=SMALL_WHY,
    ),
    Files(
        *(1024, 4, (".png", ".png"), PNG),
        goals={"pyvips script": 2.7, "sharp": 2.9, "vips": 5.0, "Pillow script": 16.0}
        | {"ImageMagick": 20.0, "GraphicsMagick": 16.0, "ffmpeg": 4.5},
        variants=("--compression small",),
    ),
    Files(
        *(1024, 4, (".tif", ".tif"), TIFF),
        goals={"Pillow script": 6.0, "vips": 3.0},
    ),
    Files(
        *(1024, 4, (".png", ".webp"), WEBP),
        goals={},
        why=dict.fromkeys(WEBP, "All use libwebp, which takes nearly all of the time."),
    ),
    Files(2048, 8, (".png", ".png"), (), goals={}, alone=True),
    *(Files(2048, 16, (suffix, suffix), (), goals={}, alone=True) for suffix in (".jpg", ".png", ".tif")),
)


def start_cases(material: Material) -> Iterator[Case]:
    """Yield the cases that measure start-up time."""
    python, ours = sys.executable, command()
    click, all_three = "import click", "import click, numpy, PIL.Image"
    for option in ("--version", "--help"):
        competitors: dict[str, Competitor] = {OURS: Process(ours, option), click: Process(python, "-c", click)}
        yield Case(option, competitors, {click: 1 / 1.4})
    for suffix, format in ((".png", "PNG"), (".jpg", "JPEG")):
        icon, made = material.work / f"icon{suffix}", material.work / f"icon_made{suffix}"
        material.square(64).save(icon)
        competitors = {
            OURS: Process(ours, icon, "-o", made, "--overwrite"),
            all_three: Process(python, "-c", all_three),
        }
        why = {all_three: "This is the least that any tool in Python with Click, NumPy and Pillow takes."}
        yield Case(f"icon of 64², ×2, {format}", competitors, {all_three: 1 / 1.3}, why=why)


def scaling_cases(material: Material) -> Iterator[Case]:
    """Yield one image on 16 threads, by simulation of the schedule from measured parts."""
    script, suffixes = ROOT / "bench" / "scaling.py", {".png": "PNG", ".jpg": "JPEG"}
    for suffix, format in suffixes.items():
        source, side = material.source(2048, suffix)
        line = (sys.executable, script, "--turns", 3, "--source", source, "--seconds")
        one = f"{OURS}, 1 thread"
        competitors: dict[str, Competitor] = {f"{OURS}, 16 threads": Reported(*line, 16), one: Reported(*line, 1)}
        name = f"{format} → {format}, {side}² → {side * 4}², simulated from measured parts, without the start"
        yield Case(name, competitors, {one: 10.0})


def folder_cases(material: Material) -> Iterator[Case]:
    """Yield the cases of many files."""
    yield _two_jobs(material)
    yield _many(material, ".png", {"vips from xargs": 3.0, "mogrify": 10.0})
    yield _many(material, ".jpg", {"vips from xargs": 5.0, "mogrify": 12.0, "Pillow script": 1.2})


def _two_jobs(material: Material) -> Case:
    """Return the case of several photographs on two threads and on one."""
    size = (1632 // material.divisor, 1224 // material.divisor)
    folder, made = material.crops("photographs", 16, size, ".jpg"), material.work / "photographs_made"
    line = (command(), folder, "-s", 2, "-o", made, "--quality", 95, "-j")
    one, two = f"{OURS}, 1 job", f"{OURS}, 2 jobs"
    competitors: dict[str, Competitor] = {two: Process(*line, 2, folder=made), one: Process(*line, 1, folder=made)}
    name = f"{len(list(folder.iterdir()))} JPEGs of {size[0]} × {size[1]}, ×2, one command"
    return Case(name, competitors, {one: 1.7}, lambda _: check_folder(folder, made, 2, "lanczos"))


def _many(material: Material, suffix: str, goals: dict[str, float]) -> Case:
    """Return the case of many small files of a format."""
    side, root = 256 // material.divisor, material.work
    folder = material.crops(f"many{suffix}", 200, (side, side), suffix)
    targets: dict[str, Path] = {}

    def target(name: str) -> Path:
        targets[name] = root / f"many_made_{len(targets)}{suffix}"
        return targets[name]

    def made(name: str) -> Made:
        filter = PEERS["vips" if "vips" in name else "Pillow script"].filter
        return check_folder(folder, targets[name], 4, filter)

    quality = ("--quality", 95) if suffix == ".jpg" else ()
    ours = target(OURS)
    competitors: dict[str, Competitor] = {
        OURS: Process(command(), folder, "-s", 4, "-o", ours, *quality, folder=ours)
    }
    sources = sorted(folder.iterdir())
    for name in ("Pillow script", "Pillow-SIMD script", "pyvips script"):
        if (found := tool(PEERS[name].tool)) is not None:
            result = target(name)
            line = PEERS[name].line(found.line, Job(sources[0], result, 4))
            competitors[name] = Process(*line, *sources[1:], folder=result)
    if (vips := tool("vips")) is not None:
        result = target("vips from xargs")
        each = PEERS["vips"].line(vips.line, Job(folder / f"{{}}{suffix}", result / f"{{}}{suffix}", 4))
        quoted = " ".join(f"'{word}'" for word in each)
        shell = f"ls {folder} | sed 's/[.].*//' | xargs -P{THREADS} -I{{}} {quoted}"
        competitors["vips from xargs"] = Process("sh", "-c", shell, folder=result)
    if (mogrify := tool("mogrify")) is not None:
        result = target("mogrify")
        options = ("-quality", 95, "-sampling-factor", "1x1") if suffix == ".jpg" else ()
        line = [*mogrify.line, "-path", result, "-filter", "Lanczos", "-resize", "400%", *options]
        competitors["mogrify"] = Process(*line, *sources, folder=result)
    format = {".png": "PNG", ".jpg": "JPEG"}[suffix]
    return Case(f"{len(sources)} files of {side}², ×4, {format}, one command", competitors, goals, made)


ARRAY_GOALS = {
    "lanczos": {"Pillow": 8.0, "Pillow-SIMD": 3.6, "OpenCV": 4.2, "scikit-image": 60.0, f"{OURS}, 1 thread": 1.7},
    "bicubic": {"Pillow": 6.0, "Pillow-SIMD": 3.2, "OpenCV": 0.6},
    "bilinear": {"Pillow": 4.5, "Pillow-SIMD": 3.6, "OpenCV": 0.5},
    "nearest": {"Pillow": 2.0, "OpenCV": 1.0},
}
ARRAY_FILTERS: dict[str, dict[str, str | None]] = {
    "lanczos": {"OpenCV": "lanczos4", "pyvips": "bicubic, shifted", "scikit-image": None},
    "bicubic": {
        **dict.fromkeys(("OpenCV", "PyTorch"), "bicubic, a = -0.75"),
        "pyvips": "bicubic, shifted",
    },
    "bilinear": {"pyvips": "bilinear, shifted"},
}
"""Other filters than the case says; None where the result is not compared."""


def array_cases(material: Material) -> Iterator[Case]:
    """Yield the cases from array to array."""
    side = 1024 // material.divisor
    array = np.asarray(material.square(side))
    source = material.array("source", array)
    for method, goals in ARRAY_GOALS.items():
        job: dict[str, Any] = {"source": str(source), "scale": 4, "method": method, "options": {}}
        competitors: dict[str, Competitor] = {
            OURS: Helper(sys.executable, job | {"library": OURS, "options": {"threads": THREADS}}),
            f"{OURS}, 1 thread": Helper(sys.executable, job | {"library": OURS, "options": {"threads": 1}}),
        }
        for library in ("Pillow", "Pillow-SIMD", "pic-scale", "OpenCV", "pyvips", "scikit-image", "PyTorch"):
            # PyTorch has no Lanczos, and scikit-image's cubics have stood for it.
            known = (method, library) not in (("lanczos", "PyTorch"), ("bicubic", "scikit-image"))
            if known and (found := tool(library)) is not None:
                competitors[library] = Helper(found.line[0], job | {"library": library})
        name = f"array → array, {side}² → {side * 4}² RGB, {method}"
        made = _array_check(array, competitors, method, material.work / "result.npy")
        yield Case(name, competitors, goals, made, why={"OpenCV": FIXED_POINT})


def _array_check(
    source: NDArray[np.uint8], competitors: dict[str, Competitor], method: str, path: Path
) -> Callable[[str], Made]:
    """Return what compares the results of one case from array to array."""

    def made(name: str) -> Made:
        helper = competitors[name]
        assert isinstance(helper, Helper)
        helper.save(path)
        result = np.load(path)
        filter = ARRAY_FILTERS.get(method, {name: None}).get(name, method)
        return Made(result.nbytes, psnr(source, result, 4, filter) if filter else None)

    return made


def learned_cases(material: Material) -> Iterator[Case]:
    """Yield what is dearer than Lanczos beside it, and networks beside the same weights in PyTorch."""
    side = 1024 // material.divisor
    source = str(material.array("rgb", np.asarray(material.square(side))))
    luma = np.asarray(material.square(side).convert("L"), np.float32) / 255
    plane = str(material.array("plane", luma))
    dearer = {
        "transposed-conv": ("the learned kernel of transposed-conv", 1.5, "A learned kernel is wider: 7 × 7."),
        "ewa-lanczos": ("the polar filter ewa-lanczos", 3, "Its 33 weights are no product of a column and a row."),
    }
    for scale, (method, (title, times, why)) in product((2, 3, 4), dearer.items()):
        ours: dict[str, Any] = {"library": OURS, "source": source, "scale": scale, "options": {}}
        competitors: dict[str, Competitor] = {
            OURS: Helper(sys.executable, ours | {"method": method}),
            "lanczos": Helper(sys.executable, ours | {"method": "lanczos"}),
        }
        name = f"array → array, {side}² RGB ×{scale}, {title}"
        yield Case(name, competitors, {"lanczos": 1 / times}, why={"lanczos": why})
    torch = tool("PyTorch")
    for size in ("small", "large"):
        weights = KERNELS / f"{size}-2x.npz"
        job: dict[str, Any] = {"source": plane, "scale": 2, "method": "learned"}
        competitors = {OURS: Helper(sys.executable, job | {"library": OURS, "options": {"size": size}})}
        if torch is not None:
            theirs = {"library": "network in PyTorch", "options": {"weights": str(weights)}}
            competitors["PyTorch"] = Helper(torch.line[0], job | theirs)
        yield Case(f"array → array, {side}² luma ×2, learned, {size}", competitors, {"PyTorch": 0.7})
        onnx = tool("onnxruntime")
        for threads in (1, 2):
            if onnx is None:
                break
            own = {"size": size, "threads": threads}
            theirs = {"library": "network in onnxruntime", "options": {"weights": str(weights), "threads": threads}}
            competitors = {
                OURS: Helper(sys.executable, job | {"library": OURS, "options": own}),
                "onnxruntime": Helper(onnx.line[0], job | theirs),
            }
            name = f"array → array, {side}² luma ×2, learned, {size}, {threads} thread{'s' * (threads > 1)}"
            yield Case(name, competitors, {"onnxruntime": 0.8})
        width, height = 640 // material.divisor, 360 // material.divisor
        frame, made = material.work / "frame.png", material.work / "frame_made.png"
        material.picture.resize((width, height)).save(frame)
        line = (command(), frame, "-m", "learned", "-p", f"size={size}", "-o", made, "--overwrite")
        competitors = {OURS: Process(*line)}
        if torch is not None:
            script = ROOT / "bench" / "helpers" / "pytorch_script.py"
            theirs_made = material.work / "frame_torch.png"
            competitors["PyTorch script"] = Process(*torch.line, script, ROOT, weights, theirs_made, frame)
        name = f"PNG → PNG, {width} × {height} → {2 * width} × {2 * height}, learned, {size}"
        yield Case(name, competitors, {"PyTorch script": 1.0})


VOLUME_GOALS = {"bilinear": 2.0, "lanczos": 5.0}
SPLINES = "SciPy has no Lanczos: cubic splines, of four voxels a side, stand for it."


def volume_cases(material: Material) -> Iterator[Case]:
    """Yield a volume as a file, beside the libraries that people use for it; the tests compare results."""
    import nibabel

    sides = tuple(side // material.divisor for side in (181, 217, 181))
    across, down, deep = np.meshgrid(*(np.linspace(-1, 1, side) for side in sides), indexing="ij")
    inside = across**2 + down**2 + deep**2 < 0.7
    noise = np.random.default_rng(0).normal(600, 20, sides)
    values = (inside * (noise + 300 * np.sin(9 * across * down) + 200 * np.cos(11 * deep))).astype(np.int16)
    source, script = material.work / "brain.nii", ROOT / "bench" / "helpers" / "volume_script.py"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, 1, 1, 1])), source)
    for method, goal in VOLUME_GOALS.items():
        line = (source, "-s", 2, "-m", method, "-o", material.work / "brain_made.nii", "--overwrite")
        competitors: dict[str, Competitor] = {OURS: Process(command(), *line)}
        for library in ("SimpleITK", "SciPy"):
            if (found := tool(library)) is not None:
                made = material.work / f"brain_{library}.nii"
                competitors[library] = Process(*found.line, script, library, method, 2, source, made)
        why = {"SciPy": SPLINES} if method == "lanczos" else {}
        name = f"NIfTI → NIfTI, {' × '.join(map(str, sides))} ×2, {method}"
        yield Case(name, competitors, dict.fromkeys(("SimpleITK", "SciPy"), goal), memory=True, why=why)


def all_cases(material: Material) -> Iterator[Case]:
    """Yield every case."""
    yield from start_cases(material)
    for files in FILES:
        yield files.case(material)
    yield from scaling_cases(material)
    yield from folder_cases(material)
    yield from array_cases(material)
    yield from learned_cases(material)
    yield from volume_cases(material)

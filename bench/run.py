"""Measure this tool beside every peer found on this machine, and write `docs/benchmarks.md`: `python bench/run.py`.

All competitors of a case take turns, so that a machine that slows down slows down all of them; the page compares the
median of each. Processes are measured from file to file, including their start, with their peak memory.
`--quick` measures each competitor for 4 seconds instead of 20. `--photos FOLDER` uses photographs instead of the
sample scene. `--only WORD` runs the cases whose names contain the word.
"""

import argparse
import compileall
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import upscale_cli.commands  # noqa: F401  one BLAS thread, as the command sets it, before NumPy is imported

# isort: split
import numpy as np
from PIL import Image

from upscale_cli import __version__, upscale

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "upscale_cli" / "methods" / "kernels"
OURS = "upscale"
TURNS = 9
PATIENCE, QUICK_PATIENCE = 20, 4
"""Seconds of a competitor's turns in one case after which its median is known well enough."""
PAUSE = 0.25
"""Seconds before a turn: for a while after theirs, threads of other libraries still wait for work in a loop."""
PILLOW_SCRIPT = """\
import sys
from PIL import Image
image = Image.open(sys.argv[1])
factor = int(sys.argv[3])
image.resize((image.width * factor, image.height * factor), Image.Resampling.LANCZOS).save(sys.argv[2])
"""


PYTORCH_SCRIPT = """\
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import torch
from PIL import Image
from training.model import Network
luma, *differences = Image.open(sys.argv[3]).convert("YCbCr").split()
plane = np.pad(np.asarray(luma, np.float32) / 255, 2, mode="symmetric")
with np.load(sys.argv[2]) as arrays, torch.inference_mode():
    made = Network.of(dict(arrays))(torch.from_numpy(plane)[None, None])[0, 0].numpy()
luma = Image.fromarray(np.clip(made * 255 + 0.5, 0, 255).astype(np.uint8))
others = [d.resize(luma.size, Image.Resampling.BICUBIC) for d in differences]
Image.merge("YCbCr", [luma, *others]).convert("RGB").save(sys.argv[4], compress_level=1)
"""


@dataclass
class Case:
    """One table of the page: a job, its competitors, and the goals: how many times faster we mean to be."""

    name: str
    competitors: dict[str, Callable[[], object]]
    targets: dict[str, float] = field(default_factory=dict)
    output: Callable[[str], int] | None = None


@dataclass
class Taken:
    """Times and peak memory of one competitor."""

    seconds: list[float] = field(default_factory=list)
    peak: int = 0


LAUNCHER = """\
import os, resource, sys
status = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


class Process:
    """A command that is run to its end, in a folder that is emptied before where one is given."""

    def __init__(self, *line: object, folder: Path | None = None) -> None:
        self.line, self.folder = [str(word) for word in line], folder

    def __call__(self) -> None:
        """Run it."""
        self._run(self.line)

    def peak(self) -> int:
        """Run it once more, and return its peak memory, or that of its largest child, in bytes.

        A small process starts it, because a child's peak is never below the memory of its parent when it was started.
        """
        program = shutil.which(self.line[0]) or self.line[0]
        said = self._run([sys.executable, "-S", "-c", LAUNCHER, program, *self.line[1:]])
        return int(said.split()[-1]) * 1024

    def _run(self, line: list[str]) -> bytes:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
        return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, check=True).stderr


def measure(case: Case, patience: float) -> dict[str, Taken]:
    """Let all competitors take turns, after one uncounted turn each; stop a competitor after `patience` seconds."""
    taken = {name: Taken() for name in case.competitors}
    for turn in range(TURNS + 1):
        for name, work in case.competitors.items():
            if sum(taken[name].seconds) > patience:
                continue
            time.sleep(PAUSE)
            start = time.perf_counter()
            work()
            if turn:
                taken[name].seconds.append(time.perf_counter() - start)
    for name, work in case.competitors.items():
        if isinstance(work, Process) and case.output is not None:
            taken[name].peak = work.peak()
    return taken


def array_cases(source: Image.Image) -> list[Case]:
    """Array to array: 1024² RGB, 8 bits, four times as large."""
    array, size = np.asarray(source), (4096, 4096)
    try:
        import cv2
    except ImportError:
        cv2 = None
    try:
        import torch
    except ImportError:
        torch = None
    else:
        torch.set_num_threads(os.cpu_count() or 1)
    try:
        from skimage import transform
    except ImportError:
        transform = None
    filters = Image.Resampling
    goals = {
        "lanczos": {"Pillow": 8.0, "OpenCV": 4.0, "scikit-image": 60.0},
        "bicubic": {"Pillow": 6.0},
        "bilinear": {"Pillow": 4.5},
        "nearest": {"Pillow": 2.0, "OpenCV": 1.0},
    }
    rows = {
        "lanczos": (filters.LANCZOS, "INTER_LANCZOS4", None, 3),  # scikit-image has splines; cubic is the nearest
        "bicubic": (filters.BICUBIC, "INTER_CUBIC", "bicubic", 3),
        "bilinear": (filters.BILINEAR, "INTER_LINEAR", "bilinear", 1),
        "nearest": (filters.NEAREST, "INTER_NEAREST", "nearest", 0),
    }
    cases = []
    for name, (pillow, opencv, pytorch, order) in rows.items():
        competitors: dict[str, Callable[[], object]] = {
            OURS: partial(upscale, array, 4, name),
            f"{OURS}, 1 thread": partial(upscale, array, 4, name, threads=1),
            "Pillow": partial(_resize_with_pillow, source, size, pillow),
        }
        if cv2 is not None:
            competitors["OpenCV"] = partial(cv2.resize, array, size, interpolation=getattr(cv2, opencv))
        if transform is not None:
            competitors["scikit-image"] = partial(transform.resize, array, size, order=order, preserve_range=True)
        if torch is not None and pytorch is not None:
            corners = {} if pytorch == "nearest" else {"align_corners": False}
            tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)[None]
            interpolate = torch.nn.functional.interpolate
            competitors["PyTorch"] = partial(interpolate, tensor, size, mode=pytorch, **corners)
        case = Case(f"array → array, 1024² → 4096² RGB, {name}", competitors, goals[name])
        if name == "lanczos":
            case.targets[f"{OURS}, 1 thread"] = 1.7
        cases.append(case)
    return cases


def _resize_with_pillow(source: Image.Image, size: tuple[int, int], filter: Image.Resampling) -> object:
    """Return the resized image as an array, as the other competitors do."""
    return np.asarray(source.resize(size, filter))


def learned_cases(source: Image.Image, work: Path) -> list[Case]:
    """Learned kernels beside Lanczos, and networks beside the same weights in PyTorch, on as many threads."""
    array = np.asarray(source)
    cases = [
        Case(
            f"array → array, 1024² RGB ×{scale}, the learned kernel of transposed-conv",
            {OURS: partial(upscale, array, scale, "transposed-conv"), "lanczos": partial(upscale, array, scale)},
            {"lanczos": 1 / 1.5},
        )
        for scale in (2, 3, 4)
    ]
    try:
        import torch
    except ImportError:
        return cases
    plane = np.asarray(source.convert("L"), np.float32) / 255
    script = work / "pytorch_script.py"
    script.write_text(PYTORCH_SCRIPT)
    for size in ("small", "large"):
        weights = KERNELS / f"{size}-2x.npz"
        network = pytorch_network(weights)
        tensor = torch.from_numpy(np.pad(plane, 2, mode="symmetric"))[None, None]
        competitors: dict[str, Callable[[], object]] = {
            OURS: partial(upscale, plane, 2, "learned", size=size),
            "PyTorch": partial(network, tensor),
        }
        cases.append(Case(f"array → array, 1024² luma ×2, learned, {size}", competitors, {"PyTorch": 0.7}))
        frame, made = work / "frame.png", work / "frame_made.png"
        source.resize((640, 360)).save(frame)
        line = (frame, "-m", "learned", "-p", f"size={size}", "-o", made, "--overwrite")
        processes: dict[str, Callable[[], object]] = {
            OURS: Process(command(), *line),
            "PyTorch script": Process(sys.executable, script, ROOT, weights, frame, work / "frame_torch.png"),
        }
        targets = {"PyTorch script": 1.0}
        cases.append(Case(f"PNG → PNG, 640 × 360 → 1280 × 720, learned, {size}", processes, targets))
    return cases


def pytorch_network(weights: Path) -> Callable[..., object]:
    """A shipped network in PyTorch: padded convolutions on channels last, which is its fastest form."""
    import torch

    sys.path.insert(0, str(ROOT))
    from training.model import Network

    with np.load(weights) as archive:
        network = Network.of(dict(archive))
    inferring: Callable[..., object] = torch.inference_mode()(network)
    return inferring


def command() -> str:
    """Our command as it is installed beside this Python."""
    return str(Path(sys.executable).with_name("upscale"))


def image_magick() -> str | None:
    """ImageMagick's command, whatever it is called here."""
    for name in ("magick", "/usr/bin/convert", "convert"):
        if (path := shutil.which(name)) is not None:
            version = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stdout
            if "ImageMagick" in version:
                return path
    return None


def file_case(
    name: str, source: Path, factor: int, work: Path, *, targets: dict[str, float], alone: bool = False
) -> Case:
    """Return a case from PNG to PNG, in whole processes; `alone` leaves out the others, which would take minutes."""
    script = work / "pillow_script.py"
    script.write_text(PILLOW_SCRIPT)
    made = {}

    def target(competitor: str) -> Path:
        made[competitor] = work / f"{competitor.replace(' ', '_')}.png"
        return made[competitor]

    width = Image.open(source).width * factor
    more = ("--max-pixels", "2G") if alone else ()
    competitors: dict[str, Callable[[], object]] = {
        OURS: Process(command(), source, "-s", factor, "-o", target(OURS), "--overwrite", *more)
    }
    if not alone:
        small = f"{OURS} --compression small"
        competitors[small] = Process(
            command(), source, "-s", factor, "-o", target(small), "--overwrite", "--compression", "small"
        )
        competitors["Pillow script"] = Process(sys.executable, script, source, target("Pillow script"), factor)
        if (magick := image_magick()) is not None:
            competitors["ImageMagick"] = Process(
                magick, source, "-filter", "Lanczos", "-resize", f"{factor}00%", target("ImageMagick")
            )
        if gm := shutil.which("gm"):
            competitors["GraphicsMagick"] = Process(
                gm, "convert", source, "-filter", "Lanczos", "-resize", f"{factor}00%", target("GraphicsMagick")
            )
        if ffmpeg := shutil.which("ffmpeg"):
            scale = f"scale={width}:-1:flags=lanczos"
            competitors["ffmpeg"] = Process(ffmpeg, "-y", "-v", "error", "-i", source, "-vf", scale, target("ffmpeg"))
        if vips := shutil.which("vips"):
            line = (vips, "resize", source, target("vips resize"), factor, "--kernel", "lanczos3")
            competitors["vips resize"] = Process(*line)
    return Case(name, competitors, targets, lambda competitor: made[competitor].stat().st_size)


def batch_case(source: Image.Image, work: Path) -> Case:
    """Many small files, as whole processes."""
    folder, result = work / "many", work / "many_made"
    folder.mkdir()
    for number in range(200):
        x, y = number * 37 % (source.width - 256), number * 91 % (source.height - 256)
        source.crop((x, y, x + 256, y + 256)).save(folder / f"{number:03}.png")
    competitors: dict[str, Callable[[], object]] = {
        OURS: Process(command(), folder, "-s", 4, "-o", result, folder=result)
    }
    if vips := shutil.which("vips"):
        each = f"{vips} resize {folder}/{{}} {result}/{{}} 4 --kernel lanczos3"
        line = f"ls {folder} | xargs -P2 -I{{}} {each}"
        competitors["vips from xargs -P2"] = Process("sh", "-c", line, folder=result)
    if image_magick() is not None and (mogrify := shutil.which("mogrify")):
        line = f"{mogrify} -path {result} -filter Lanczos -resize 400% {folder}/*.png"
        competitors["mogrify"] = Process("sh", "-c", line, folder=result)
    targets = {"vips from xargs -P2": 3.0, "mogrify": 10.0}
    return Case("200 files of 256², ×4, PNG, one command", competitors, targets)


def start_cases(source: Image.Image, work: Path) -> list[Case]:
    """Return the cases that measure start-up time."""
    icon = work / "icon.png"
    source.resize((64, 64)).save(icon)
    python, ours = sys.executable, (command(),)
    click, all_three = "import click", "import click, numpy, PIL.Image"
    return [
        Case(
            "--version",
            {OURS: Process(*ours, "--version"), click: Process(python, "-c", click)},
            {click: 1 / 1.4},
        ),
        Case("--help", {OURS: Process(*ours, "--help"), click: Process(python, "-c", click)}, {click: 1 / 1.4}),
        Case(
            "icon of 64², ×2",
            {
                OURS: Process(*ours, icon, "-o", work / "icon_made.png", "--overwrite"),
                all_three: Process(python, "-c", all_three),
            },
            {all_three: 1 / 1.3},
        ),
    ]


def all_cases(photos: Path | None, work: Path) -> list[Case]:
    """Every case, on photographs where there are some."""
    found = sorted(photos.glob("*.png")) if photos is not None else []
    picture = Image.open(found[0] if found else ROOT / "sample_images" / "scene.png").convert("RGB")
    sources = {}
    for side in (512, 1024, 2048):
        square = picture.resize((side, side), Image.Resampling.LANCZOS)
        sources[side] = work / f"source_{side}.png"
        square.save(sources[side])
    square = Image.open(sources[1024])
    square.load()
    whole = {"Pillow script": 13.0, "ImageMagick": 20.0, "GraphicsMagick": 16.0, "ffmpeg": 4.5, "vips resize": 4.0}
    return [
        *start_cases(square, work),
        file_case("PNG → PNG, 512² → 1024², Lanczos", sources[512], 2, work, targets={"vips resize": 1.0}),
        file_case("PNG → PNG, 512² → 2048², Lanczos", sources[512], 4, work, targets={"vips resize": 1.8}),
        file_case("PNG → PNG, 1024² → 4096², Lanczos", sources[1024], 4, work, targets=whole),
        batch_case(square, work),
        file_case("PNG → PNG, 2048² → 16384²", sources[2048], 8, work, targets={}, alone=True),
        file_case("PNG → PNG, 2048² → 32768²", sources[2048], 16, work, targets={}, alone=True),
        *array_cases(square),
        *learned_cases(square, work),
    ]


def section(case: Case, taken: dict[str, Taken]) -> str:
    """Return a case as a section of the page, in Markdown."""
    ours = statistics.median(taken[OURS].seconds)
    memory = any(t.peak for t in taken.values())
    head = ["", "seconds (median)", "ours is faster by", "goal"]
    head += ["file, MB"] * (case.output is not None) + ["peak memory, MB"] * memory
    lines = [f"## {case.name}\n", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, t in taken.items():
        seconds, goal = statistics.median(t.seconds), case.targets.get(name)
        ratio = seconds / ours
        verdict = "" if goal is None else f"{goal:.2g} × {'✓' if ratio >= goal else '✗'}"
        cells = [name, f"{seconds:.3f}", "" if name == OURS else f"{ratio:.2f} ×", verdict]
        cells += [f"{case.output(name) / 1e6:.2f}"] if case.output is not None else []
        cells += [f"{t.peak / 1e6:.0f}"] if memory else []
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def versions() -> str:
    """Return the machine and the versions that were measured, as one line."""
    from importlib import metadata

    parts = [f"upscale {__version__}", f"Python {platform.python_version()}"]
    for package in ("numpy", "pillow", "isal", "opencv-python-headless", "scikit-image", "torch"):
        try:
            parts.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            parts.append(f"{package} absent")
    for line in (
        ["vips", "--version"],
        ["ffmpeg", "-version"],
        [image_magick() or "magick", "-version"],
        ["gm", "-version"],
    ):
        if shutil.which(line[0]):
            said = subprocess.run(line, capture_output=True, text=True, check=False).stdout.splitlines()[0]
            parts.append(" ".join(said.split()[:3]))
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("OPENBLAS_CORE"))
    return f"{os.cpu_count()} processors, {platform.machine()}, {platform.system()}. {' · '.join(parts + settings)}."


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    told = parser.parse_args()
    page = [
        "# Benchmarks\n",
        "`python bench/run.py` writes this page, losses included. All competitors of a table take turns in one run, "
        "and the table compares the median of each. Ratios carry over to other machines better than seconds. Where "
        "the tables say Lanczos, scikit-image uses its cubic splines and OpenCV its LANCZOS4. "
        "[Design](design.md#what-is-missed) explains why some goals are missed.\n",
        versions() + "\n",
    ]
    # As pip does for a package that is not installed in place: a first start would be measured every time.
    compileall.compile_dir(ROOT / "upscale_cli", quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        for case in all_cases(told.photos, Path(folder)):
            if told.only in case.name:
                page.append(section(case, measure(case, QUICK_PATIENCE if told.quick else PATIENCE)))
                print(page[-1], flush=True)
                told.output.write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()

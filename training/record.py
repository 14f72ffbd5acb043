"""Measure every shipped kernel and network with the tool itself, and write `scores.json` beside them.

    python -m training.record [PHOTOS...]

PSNR of luma in the field's protocol, on the sample scene, which a test measures again, and on each folder of PHOTOS
(mean over its images) under the folder's name; bicubic and lanczos beside them.
"""

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from upscale_cli.learning.evaluate import Trial
from upscale_cli.learning.measure import luma_8bit
from upscale_cli.methods.shipped import FACTORS, FOLDER
from upscale_cli.places.files import FileSource
from upscale_cli.work.photographs import read_photograph

SCENE = Path(__file__).parents[1] / "sample_images" / "scene.png"
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bicubic": ("bicubic", {}),
    "lanczos": ("lanczos", {}),
    "kernel": ("transposed-conv", {}),
    "small": ("learned", {"size": "small"}),
    "large": ("learned", {"size": "large"}),
}
"""The contenders: for each name a method and its parameters."""


def scores(images: list[Path], scale: int) -> dict[str, float]:
    """Mean PSNR of each contender, in decibels to thousandths."""
    trials = [Trial.of(luma_8bit(read_photograph(FileSource(image))), Fraction(scale)) for image in images]
    return {
        name: round(sum(trial.score(method, told).psnr for trial in trials) / len(trials), 3)
        for name, (method, told) in CONTENDERS.items()
    }


def main() -> None:
    """Measure and write."""
    sets = {SCENE.name: [SCENE]} | {Path(f).name: sorted(Path(f).glob("*.png")) for f in sys.argv[1:]}
    found = {name: {f"{scale}x": scores(images, scale) for scale in FACTORS} for name, images in sets.items()}
    text = json.dumps(found, indent=2)
    print(text)
    (FOLDER / "scores.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Measure methods on a drawing and a page of text, clean and as JPEG: PSNR of red, green and blue, and SSIM of luma.

    python tests/measure_drawings.py -s 2 --damage jpeg:75 -m lanczos -m learned -m learned:content=drawing

Without --damage, it measures them clean and as JPEG 75. At x4 they are drawn twice as large as at x2, so that the
sources are as legible.
"""

import argparse

import numpy as np
from drawn import SUBJECTS
from support import Array

from upscale_cli import upscale
from upscale_cli.compare.contenders import Contender, read_contender
from upscale_cli.learning.measure import luma_8bit, psnr, ssim
from upscale_cli.learning.reduction import reduce
from upscale_cli.work.damage import read_damage

METHODS = "bicubic", "lanczos", "learned", "learned:size=large", "learned:content=drawing"


def measured(picture: Array, scale: int, damages: list[str], contender: Contender) -> tuple[float, float]:
    """Return PSNR of red, green and blue, and SSIM of luma, of a picture that is reduced, damaged and enlarged."""
    height, width = (side // scale * scale for side in picture.shape[:2])
    picture = picture[:height, :width]
    small, losses = read_damage(damages)(np.clip(np.round(reduce(picture, scale)), 0, 255).astype(np.uint8))
    chosen = contender.method
    heeded = chosen.heed(chosen.read_parameters(contender.parameters), losses)
    large = upscale(small, scale, chosen, **{name: value for name, value in heeded.items() if value is not None})
    return psnr(large, picture, scale), ssim(luma_8bit(large), luma_8bit(picture), scale)


def main() -> None:
    """Print a line for each picture, damage and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-s", "--scale", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--damage", nargs="+", default=["", "jpeg:75"])
    parser.add_argument("-m", "--method", dest="methods", action="append")
    told = parser.parse_args()
    for scale in told.scale:
        for damage in told.damage:
            for contender in map(read_contender, told.methods or METHODS):
                row = f"x{scale} {damage or 'clean':8} {contender.name:36}"
                for name, draw in SUBJECTS.items():
                    found = measured(draw(scale // 2), scale, [damage] * bool(damage), contender)
                    row += f"  {name} {found[0]:6.2f} dB {found[1]:.4f}"
                print(row, flush=True)


if __name__ == "__main__":
    main()

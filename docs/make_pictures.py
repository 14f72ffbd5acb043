"""Draw the pictures of the README with the tool itself: `python docs/make_pictures.py [FOLDER]`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from upscale_cli import METHODS, upscale
from upscale_cli.methods.placement import max_pool

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "sample_images"
SCALE, MARGIN, LINE = 4, 8, 22
CROP = (16, 0, 64, 48)
"""Left, top, right and bottom of the piece of the scene that is shown: twigs and a boat."""


def enlarged(name: str, piece: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A piece of the scene by one method; max unpooling undoes a max pooling, as it does in networks."""
    if name == "max-unpooling":
        pooled = max_pool(upscale(piece, SCALE, "bicubic"), (SCALE, SCALE))
        return upscale(pooled.values, SCALE, name, indices=pooled.indices)
    if name == "transposed-conv":
        kernel = np.load(SAMPLES / "kernel-lanczos-2x.npy")
        return upscale(upscale(piece, 2, name, kernel=kernel), 2, name, kernel=kernel)
    return upscale(piece, SCALE, name)


def methods_sheet() -> Image.Image:
    """All methods side by side, labelled."""
    piece = np.asarray(Image.open(SAMPLES / "scene.png").convert("RGB"))[CROP[1] : CROP[3], CROP[0] : CROP[2]]
    side = (CROP[2] - CROP[0]) * SCALE
    columns = 4
    rows = -(-len(METHODS) // columns)
    size = (columns * (side + MARGIN) + MARGIN, rows * (side + LINE + MARGIN) + MARGIN)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for place, name in enumerate(METHODS):
        x = MARGIN + place % columns * (side + MARGIN)
        y = MARGIN + place // columns * (side + LINE + MARGIN)
        sheet.paste(Image.fromarray(enlarged(name, piece)), (x, y))
        draw.text((x, y + side + 2), name, "black", font)
    return sheet


def main() -> None:
    """Write all pictures into the folder that is named, or beside this script."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    methods_sheet().save(folder / "methods.png", optimize=True)


if __name__ == "__main__":
    main()

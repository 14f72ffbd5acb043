"""Draw the pictures of the README with the tool itself: `python docs/make_pictures.py [FOLDER]`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from upscale_cli import METHODS, upscale
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods.placement import max_pool

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "sample_images"
SCALE, MARGIN, LINE = 4, 8, 22
REDUCED, SEEN, SHOWN, PLACE = 3, 90, 3, (20, 10)
"""Of the learned sheet: factor, pixels of a piece on a side, how large they are drawn, and its top and left."""
CROP = (16, 0, 64, 48)
"""Left, top, right and bottom of the piece of the scene that is shown: twigs and a boat."""


def enlarged(name: str, piece: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A piece of the scene by one method; max unpooling undoes a max pooling, as it does in networks."""
    if name == "max-unpooling":
        pooled = max_pool(upscale(piece, SCALE, "bicubic"), (SCALE, SCALE))
        return upscale(pooled.values, SCALE, name, indices=pooled.indices)
    return upscale(piece, SCALE, name)


def sheet(pieces: dict[str, np.ndarray[Any, Any]], columns: int) -> Image.Image:
    """Pictures of one size side by side, each with its name below it."""
    height, width = next(iter(pieces.values())).shape[:2]
    rows = -(-len(pieces) // columns)
    size = (columns * (width + MARGIN) + MARGIN, rows * (height + LINE + MARGIN) + MARGIN)
    made = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(15)
    for place, (name, piece) in enumerate(pieces.items()):
        x = MARGIN + place % columns * (width + MARGIN)
        y = MARGIN + place // columns * (height + LINE + MARGIN)
        made.paste(Image.fromarray(piece), (x, y))
        draw.text((x, y + height + 2), name, "black", font)
    return made


def methods_sheet() -> Image.Image:
    """All methods, on a piece of the scene."""
    piece = np.asarray(Image.open(SAMPLES / "scene.png").convert("RGB"))[CROP[1] : CROP[3], CROP[0] : CROP[2]]
    return sheet({name: enlarged(name, piece) for name in METHODS}, 4)


def learned_sheet() -> Image.Image:
    """A piece of the scene that was made smaller, and enlarged by what was learned and by what was not."""
    scene = np.asarray(Image.open(SAMPLES / "scene.png").convert("RGB"))[:, :255]
    small = np.clip(reduce(scene, REDUCED) + 0.5, 0, 255).astype(np.uint8)
    made = {name: upscale(small, REDUCED, name) for name in ("bicubic", "lanczos", "transposed-conv", "learned")}
    made |= {"learned, size=large": upscale(small, REDUCED, "learned", size="large"), "the truth": scene}
    top, left = PLACE
    seen = {name: image[top : top + SEEN, left : left + SEEN] for name, image in made.items()}
    return sheet({name: upscale(piece, SHOWN, "nearest") for name, piece in seen.items()}, 3)


def main() -> None:
    """Write all pictures into the folder that is named, or beside this script."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    methods_sheet().save(folder / "methods.png", optimize=True)
    learned_sheet().save(folder / "learned.png", optimize=True)


if __name__ == "__main__":
    main()

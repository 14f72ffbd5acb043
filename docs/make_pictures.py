"""Draw the pictures of the manual with the tool itself: `python docs/make_pictures.py [FOLDER]`."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from upscale_cli import METHODS, upscale
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods.filters import FILTERS
from upscale_cli.methods.pooling import Windows, max_pool
from upscale_cli.methods.restoring import found_in
from upscale_cli.work.damage import read_damage

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "sample_images"
SCALE, MARGIN, LINE = 4, 8, 22
REDUCED, SEEN, SHOWN, PLACE = 3, 90, 3, (20, 10)
"""Of the learned sheet: the factor, the side of a piece in pixels, the size of a drawn pixel, its top and left."""
CHAPTERS = re.findall(r"^## (.*)$", (HERE / "methods.md").read_text("utf-8"), re.MULTILINE)
METHODS_SHOWN = [name for name in METHODS if name in CHAPTERS]
"""The methods that have a chapter of their own."""
CROP = (16, 0, 64, 48)
"""Left, top, right and bottom of the piece of the scene that is drawn: twigs and a boat."""


def enlarged(name: str, piece: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Enlarge a piece of the scene by one method; max unpooling undoes a max pooling, as it does in networks."""
    if name == "max-unpooling":
        pooled = max_pool(upscale(piece, SCALE, "bicubic"), Windows((SCALE,)))
        return upscale(pooled.values, SCALE, METHODS[name], indices=pooled.indices)
    return upscale(piece, SCALE, METHODS[name])


def sheet(pieces: dict[str, np.ndarray[Any, Any]], columns: int) -> Image.Image:
    """Draw pictures of one size side by side, each with its name below it."""
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
    """Draw the methods that have a chapter, on a piece of the scene, but those that only repeat its pixels."""
    piece = np.asarray(Image.open(SAMPLES / "scene.png").convert("RGB"))[CROP[1] : CROP[3], CROP[0] : CROP[2]]
    return sheet({name: enlarged(name, piece) for name in METHODS_SHOWN if not METHODS[name].factors}, 4)


def learned_sheet() -> Image.Image:
    """Draw a piece of the scene that was made smaller, then enlarged by learned methods and by others."""
    scene = np.asarray(Image.open(SAMPLES / "scene.png").convert("RGB"))[:, :255]
    small = np.clip(reduce(scene, REDUCED) + 0.5, 0, 255).astype(np.uint8)
    made = {name: upscale(small, REDUCED, name) for name in ("bicubic", "lanczos", "transposed-conv", "learned")}
    made |= {"learned, size=large": upscale(small, REDUCED, "learned", size="large"), "reference": scene}
    top, left = PLACE
    seen = {name: image[top : top + SEEN, left : left + SEEN] for name, image in made.items()}
    return sheet({name: upscale(piece, SHOWN, "nearest") for name, piece in seen.items()}, 3)


def drawn_sheet() -> Image.Image:
    """Draw pieces of text and of a drawing that were reduced, saved as JPEG 75, and enlarged."""
    sys.path.append(str(HERE.parent / "tests"))
    from drawn import SUBJECTS

    made = {}
    for name, (top, left) in {"text": (150, 8), "drawing": (150, 300)}.items():
        whole = SUBJECTS[name](1)
        damaged, losses = read_damage(["jpeg:75"])(np.clip(reduce(whole, 2) + 0.5, 0, 255).astype(np.uint8))
        level = float(found_in(losses))
        shown = {
            "lanczos": upscale(damaged, 2, "lanczos"),
            "learned, restore=none": upscale(damaged, 2, "learned", restore=0),
            "learned, content=drawing": upscale(damaged, 2, "learned", content="drawing", restore=level),
            "reference": whole,
        }
        for label, image in shown.items():
            made[f"{name}: {label}"] = upscale(image[top : top + SEEN, left : left + SEEN], SHOWN, "nearest")
    return sheet(made, 4)


def test_card() -> np.ndarray[Any, Any]:
    """Draw a dot, an edge and two lines, (32, 32, 3) uint8, to show what a filter does to each."""
    card = np.full((32, 32, 3), 64, np.uint8)
    card[5, 5] = card[np.arange(3, 15), np.arange(17, 29)] = 255
    card[np.arange(14, 2, -1) // 2 + 6, np.arange(17, 29)] = 255
    card[18:, 14:] = 224
    return card


def method_sheet(name: str) -> Image.Image:
    """Draw a method on a test card, on print and on a photograph."""
    text = np.asarray(Image.open(SAMPLES / "small-text.png").convert("RGB"))[46:78, 4:36]
    scene = np.asarray(Image.open(SAMPLES / "scene.png").convert("RGB"))[
        CROP[1] : CROP[1] + 32, CROP[0] : CROP[0] + 32
    ]
    pieces = {"lines": test_card(), "print": text, "photograph": scene}
    return sheet({label: enlarged(name, piece) for label, piece in pieces.items()}, 3)


def filters_sheet() -> Image.Image:
    """Draw every filter on the test card, and lanczos held by anti-ringing."""
    made = {name: enlarged(name, test_card()) for name in FILTERS}
    return sheet(made | {"lanczos, antiring=1": upscale(test_card(), SCALE, "lanczos", antiring=1)}, 5)


def sprite() -> np.ndarray[Any, Any]:
    """Return the mushroom on white."""
    art = Image.open(SAMPLES / "pixel-art.png").convert("RGBA")
    white = Image.new("RGBA", art.size, "white")
    return np.asarray(Image.alpha_composite(white, art).convert("RGB"))


def rounded_sheet() -> Image.Image:
    """Draw pixel art enlarged by each of the methods that copy pixels."""
    made = {name: upscale(sprite(), 8, name) for name in ("nearest", "epx", "eagle", "mmpx")}
    return sheet({f"{name}, 8": image for name, image in made.items()}, 2)


def pixel_art_sheet() -> Image.Image:
    """Draw pixel art enlarged by nearest, by a filter, and by nearest with a factor that is not an integer."""
    piece = sprite()
    made = {"nearest, 6": upscale(piece, 6, "nearest"), "lanczos, 6": upscale(piece, 6, "lanczos")}
    uneven = upscale(upscale(piece, 1.5, "nearest"), 4, "nearest")
    return sheet(made | {"nearest, 1.5 (shown 4 times)": uneven}, 3)


def depth_sheet() -> Image.Image:
    """Draw dark 16-bit grey, brightened after it was enlarged: with all of its bits, and with only the upper 8."""
    deep = np.asarray(Image.open(SAMPLES / "gradient-16.png")).astype(np.uint16)[:48, :64]

    def brightened(values: np.ndarray[Any, Any], low: float, high: float) -> np.ndarray[Any, Any]:
        grey = np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)

    low, high = float(deep.min()), float(deep.max())
    made = upscale(deep, 4, "lanczos").astype(float)
    cut = upscale((deep // 257).astype(np.uint8), 4, "lanczos") * 257.0
    return sheet({"16 bits": brightened(made, low, high), "8 bits": brightened(cut, low, high)}, 2)


def checkerboard_sheet() -> Image.Image:
    """Draw the result of a kernel whose phases have different sums, and of one whose phases have equal sums."""
    piece = np.asarray(Image.open(SAMPLES / "scene.png").convert("RGB"))[8:56, 120:168]
    kernels = {"3 x 3 of 4/9": np.full((3, 3), 4 / 9), "bilinear, 4 x 4": np.load(SAMPLES / "kernel-bilinear-2x.npy")}
    made = {name: upscale(piece, 2, "transposed-conv", kernel=kernel) for name, kernel in kernels.items()}
    return sheet({name: upscale(image, 2, "nearest") for name, image in made.items()}, 2)


def pooling_sheet() -> Image.Image:
    """Draw what max pooling keeps, and where unpooling puts it."""
    piece = np.asarray(Image.open(SAMPLES / "scene.png").convert("RGB"))[:48, 16:64]
    pooled = max_pool(piece)
    back = upscale(pooled.values, 2, "max-unpooling", indices=pooled.indices)
    shown = {"in": upscale(piece, 4, "nearest"), "pooled": upscale(pooled.values, 8, "nearest")}
    return sheet(shown | {"unpooled": upscale(back, 4, "nearest")}, 3)


def pictures() -> dict[str, Image.Image]:
    """Return every picture of the README and the manual, by its path in this folder."""
    return {
        "methods.png": methods_sheet(),
        "learned.png": learned_sheet(),
        "pictures/drawn.png": small(drawn_sheet()),
        "pictures/pixel-art.png": small(pixel_art_sheet()),
        "pictures/rounded.png": small(rounded_sheet()),
        "pictures/depth.png": small(depth_sheet()),
        "pictures/filters.png": small(filters_sheet()),
        "pictures/checkerboard.png": small(checkerboard_sheet()),
        "pictures/pooling.png": small(pooling_sheet()),
    } | {f"pictures/{name}.png": small(method_sheet(name)) for name in METHODS_SHOWN}


def small(picture: Image.Image) -> Image.Image:
    """Reduce a picture to 128 colours, which takes half the bytes."""
    return picture.quantize(128, dither=Image.Dither.NONE)


def main() -> None:
    """Write all pictures into the folder given as an argument, or beside this script."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for place, picture in pictures().items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / place, optimize=True)


if __name__ == "__main__":
    main()

"""Write the sample images: `python sample_images/make_samples.py [FOLDER]`.

The default folder is the script's own. Each sample contains detail that one kind of upscaling mistake damages.
`scene.png` is the only input: `photo.jpg` shows the same picture. Everything else is drawn.
The same versions of NumPy and Pillow write the same bytes on every run.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageDraw, ImageFont

Array = npt.NDArray[np.float64]

SCENE = Path(__file__).parent / "scene.png"
"""A rendered photograph, RGB 256 x 192. The program that rendered it is no longer kept."""

MUSHROOM_COLOURS = {
    ".": (255, 0, 255),  # the transparent index; its colour must never be seen
    "k": (52, 28, 39),
    "r": (214, 48, 49),
    "R": (158, 30, 52),
    "o": (247, 118, 84),
    "w": (255, 246, 224),
    "g": (219, 196, 178),
    "c": (250, 222, 176),
    "C": (214, 170, 126),
    "p": (246, 148, 136),
    "L": (138, 197, 75),
    "G": (62, 137, 72),
}
MUSHROOM = (
    "................................",
    "............kkkkkkkk............",
    "..........kkrrrrrrrrkk..........",
    "........kkrroowwwwrrrrkk........",
    ".......krroowwwwwwwrrrrrk.......",
    "......kroorwwwwwwwwrrrrrrk......",
    ".....kroorrwwwwwwwgrrrrrrrk.....",
    "....kroorrrrwwwwggrrrrwwwrrk....",
    "....krorrrrrrrggrrrrrwwwwwRk....",
    "...krorrrrrrrrrrrrrrrwwwwwRRk...",
    "...krrwwwrrrrrrrrrrrrwwwwgRRk...",
    "..krrwwwwwrrrrrwwrrrrrwggrrRRk..",
    "..krrwwwwwrrrrwwwwrrrrrrrrrRRk..",
    "..krrwwwwgrrrrwwwgrrrrrrrrwwRk..",
    "..kRrrwggrrrrrrggrrrrrrrrwwgRk..",
    "..kRRrrrrrrrrrrrrrrrrrrrrrggRk..",
    "...kRRRRrrrrrrrrrrrrrrrRRRRRk...",
    "....kkRRRRRRRRRRRRRRRRRRRRkk....",
    "......kkkkCCCCCCCCCCCCkkkk......",
    ".........kcccccccccccCk.........",
    ".........kcccccccccccCk.........",
    "........kcccccccccccccCk........",
    "........kccckkcccckkccCk........",
    "........kccckwcccckwccCk........",
    "........kccckkcccckkccCk........",
    "........kcppcckcckccppCk........",
    "........kcccccckkcccccCk........",
    "...L....kcccccccccccccCk....L...",
    "...LG.L.kCccccccccccccCk..L.LG..",
    ".L.LGLG..kCCccccccccCCkL..LGLG..",
    ".LGLGLGLGLkkkkkLkkkLkkGLGLLGGLG.",
    "..GGGGGGGGGGGGGGGGGGGGGGGGGGGG..",
)


def zone_plate(side: int = 256) -> Image.Image:
    """Rings cos(k r^2), 8-bit grey: from 0 cycles a pixel in the middle to 1/2, the limit, at the corners.

    The phase k r^2 has the frequency k r / pi, so k = pi / (2 R) for the distance R of a corner. False rings
    after an enlargement are images of the true ones that the filter let through.
    """
    axis = np.arange(side) - (side - 1) / 2
    squared = axis[:, None] ** 2 + axis**2
    rings = np.cos(np.pi / (2 * np.sqrt(squared.max())) * squared)
    return Image.fromarray(np.floor(127.5 + 127.5 * rings + 0.5).clip(0, 255).astype(np.uint8))


def small_text() -> Image.Image:
    """Dark antialiased print on cream paper, from 8 to 24 pixels a line, RGB."""
    lines = (
        (24, "Every pixel counts"),
        (18, "Sharp stems, round bowls: a e g s"),
        (14, "Enlarged type shows halos before faces do."),
        (12, "Ringing follows each stroke; blur fills the eyes."),
        (10, "Small print, 10 px: 0123456789 (3.14) [x, y] {a; b} 50% & more"),
        (9, "Nine pixels a line is the size of a caption on an old screen, iIl1 oO0 rn m"),
        (8, "At eight pixels a letter is a rumour: can you still read the end of this line?"),
    )
    width, height, fine = 320, 136, 8
    # Drawn eight times as large and averaged: versions of FreeType differ in how they hint small sizes.
    image = Image.new("L", (fine * width, fine * height))
    draw = ImageDraw.Draw(image)
    top = 5
    for size, text in lines:
        draw.text((fine * 8, fine * top), text, fill=255, font=ImageFont.load_default(fine * size))
        top += size * 5 // 4 + 2
    cover = np.asarray(image).reshape(height, fine, width, fine).mean(axis=(1, 3)) / 255
    paper, ink = np.array([250, 246, 236]), np.array([32, 36, 56])
    return Image.fromarray(np.floor(paper + (ink - paper) * cover[..., None] + 0.5).astype(np.uint8))


def pixel_art() -> Image.Image:
    """A mushroom of 32 x 32 pixels in 12 colours, mode P, index 0 transparent."""
    keys = "".join(MUSHROOM_COLOURS)
    indices = np.array([[keys.index(character) for character in row] for row in MUSHROOM], dtype=np.uint8)
    image = Image.fromarray(indices).convert("L")
    sprite = Image.frombytes("P", image.size, image.tobytes())
    sprite.putpalette([value for colour in MUSHROOM_COLOURS.values() for value in colour])
    sprite.info["transparency"] = 0
    return sprite


def rounded_square(centre: tuple[float, float], half: float, corner: float, *, x: Array, y: Array) -> Array:
    """Signed distance in pixels, negative inside, of the points (x, y) from a square with round corners."""
    across, down = np.abs(x - centre[0]) - half + corner, np.abs(y - centre[1]) - half + corner
    outside = np.hypot(np.maximum(across, 0), np.maximum(down, 0))
    return outside + np.minimum(np.maximum(across, down), 0) - corner


def logo(side: int = 96) -> Image.Image:
    """Three growing squares with soft edges and soft shadows, RGBA, straight alpha.

    Where alpha is 0 the hidden colour is a loud green and magenta check, which a method that averages colours
    without weighing them by alpha drags into the edges.
    """
    y, x = np.mgrid[:side, :side] + 0.5
    premultiplied, alpha = np.zeros((side, side, 3)), np.zeros((side, side))

    def paint(colour: Array, cover: Array) -> None:
        nonlocal premultiplied, alpha
        premultiplied = colour * cover[..., None] + premultiplied * (1 - cover[..., None])
        alpha = cover + alpha * (1 - cover)

    squares = (
        (18.0, 78.0, 7.0, (255, 176, 59)),
        (37.0, 58.0, 13.0, (240, 84, 79)),
        (61.0, 33.0, 24.0, (72, 86, 214)),
    )
    for centre_x, centre_y, half, tint in squares:
        shadow = rounded_square((centre_x + 1.5, centre_y + 3), half, half / 3, x=x, y=y)
        paint(np.array([20.0, 16.0, 48.0]), 0.45 * np.clip(0.5 - shadow / 10, 0, 1) ** 2)
        edge = rounded_square((centre_x, centre_y), half, half / 3, x=x, y=y)
        light = np.clip((centre_y + half - y) / (2 * half), 0, 1)[..., None]
        paint(np.array(tint) * (1 - 0.28 * light) + 255 * 0.28 * light, np.clip(0.5 - edge / 3, 0, 1))

    code = np.floor(255 * alpha + 0.5)
    hidden = np.where(((x // 8 + y // 8) % 2)[..., None] == 0, [0, 255, 0], [255, 0, 255])
    colour = np.where(code[..., None] > 0, premultiplied / np.maximum(alpha, 1e-9)[..., None], hidden)
    pixels = np.dstack([np.floor(colour + 0.5).clip(0, 255), code]).astype(np.uint8)
    return Image.fromarray(pixels)


def gradient_16(width: int = 192, height: int = 128) -> Image.Image:
    """A dim glow, 16-bit grey (mode I;16): some 5,000 codes wide, which is 21 visible steps in 8 bits."""
    y, x = np.mgrid[:height, :width]
    across, down = (x / width - 0.62) / 0.45, (y / height - 0.55) / 0.55
    glow = np.exp(-(across**2) - down**2)
    return Image.fromarray(np.floor(9000 + 5000 * glow + 300 * x / width + 0.5).astype(np.uint16))


# fmt: off
ANIMATION_COLOURS = (
    (38, 30, 74), (74, 48, 110), (142, 70, 124), (226, 120, 110), (252, 196, 128),  # the sky, top to bottom
    (60, 44, 84), (44, 84, 74), (30, 58, 60),  # hills, grass, shadow
    (255, 246, 214), (226, 62, 68), (66, 148, 214), (36, 20, 44),  # stars and light, two panels, outline
)
# Height of the ball over the grass, share of its full height (it squashes), milliseconds.
ANIMATION_FRAMES = (
    (0, 0.72, 40), (5, 1.12, 40), (12, 1.06, 50), (18, 1.0, 60), (22, 1.0, 80), (24, 1.0, 110),
    (24, 1.0, 110), (22, 1.0, 80), (18, 1.0, 60), (12, 1.06, 50), (5, 1.12, 40), (0, 0.86, 40),
)
# fmt: on


def animation() -> list[Image.Image]:
    """Twelve palette frames, 64 x 48, of a ball that bounces and turns; `duration` (ms) is in `info`."""
    width, height, ground, radius = 64, 48, 41, 7.5
    y, x = np.mgrid[:height, :width]
    checked = (x + y) % 2
    sky = np.clip((y + 4 * checked - 2) // 8, 0, 4)
    hills = y > 34 - 4 * np.sin(x / 9 + 1) - 2 * np.sin(x / 4)
    backdrop = np.where(y >= ground - 2, 6, np.where(hills, 5, sky))
    for star_x, star_y in ((6, 4), (15, 10), (27, 3), (45, 6), (57, 3), (53, 13), (9, 17)):
        backdrop[star_y, star_x] = 8
    palette = [value for colour in ANIMATION_COLOURS for value in colour]
    frames = []
    for number, (lift, stretch, duration) in enumerate(ANIMATION_FRAMES):
        tall, wide = radius * stretch, radius / stretch
        centre = ground - lift - tall
        across, down = (x + 0.5 - 32) / wide, (y + 0.5 - centre) / tall
        distance = np.hypot(across, down)
        # A twelfth of a turn a frame, six panels in three colours: the last frame leads back to the first.
        panel = np.floor(np.arctan2(down, across) * 3 / np.pi - number / 2) % 3
        ball = np.array([8, 9, 10])[panel.astype(np.int64)]
        ball = np.where(np.hypot(across + 0.35, down + 0.4) < 0.22, 8, ball)
        ball = np.where(distance > 1 - 1.3 / radius, 11, ball)
        shadow = np.hypot((x + 0.5 - 32) / (9 - lift / 5), (y + 0.5 - ground) / 2) < 1
        indices = np.where(distance < 1, ball, np.where(shadow, 7, backdrop)).astype(np.uint8)
        frame = Image.frombytes("P", (width, height), indices.tobytes())
        frame.putpalette(palette)
        frame.info["duration"] = duration
        frames.append(frame)
    return frames


def write_photo(path: Path) -> None:
    """Write the scene as a camera would: a JPEG of 192 x 256 pixels, stored sideways, at 300 dpi, with EXIF.

    EXIF orientation 6 means "turn a quarter clockwise to display", so the stored picture is turned the other way.
    """
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "A pier on a lake (rendered)"
    exif[ExifTags.Base.Orientation] = 6
    stored = Image.open(SCENE).transpose(Image.Transpose.ROTATE_90)
    stored.save(path, quality=90, dpi=(300, 300), exif=exif)


def write_scan(path: Path) -> None:
    """Write the printed text as a scanner would: a deflated 8-bit grey TIFF at 300 dpi."""
    small_text().convert("L").save(path, compression="tiff_adobe_deflate", dpi=(300, 300))


def textbook() -> Array:
    """The 2 x 2 array of the textbooks."""
    return np.array([[1.0, 2.0], [3.0, 4.0]])


def bilinear_kernel() -> Array:
    """The triangle of radius 1 for stride 2, (4, 4): 1 - |t - 3/2| / 2 of each axis, multiplied."""
    axis = 1 - np.abs(np.arange(4) - 1.5) / 2
    return np.outer(axis, axis)


def lanczos_kernel(scale: int = 2, radius: int = 3) -> Array:
    """Lanczos (sinc windowed by sinc) for a transposed convolution, (k, k) with k = 2 radius scale.

    Output j lies at u = (j + 1/2) / scale - 1/2 of the input, so tap t is sinc(v) sinc(v / radius) at
    v = (t - (k - 1) / 2) / scale (Duchon 1979). An output meets the taps of one remainder t mod scale; each
    of these phases is divided by its sum, so that a constant image stays constant.
    """
    size = 2 * radius * scale
    place = (np.arange(size) - (size - 1) / 2) / scale
    phases = (np.sinc(place) * np.sinc(place / radius)).reshape(-1, scale)
    axis = (phases / phases.sum(axis=0)).ravel()
    return np.outer(axis, axis)


def box_kernel() -> Array:
    """Ones, (2, 2): with stride 2 each pixel is repeated (nearest), with stride 1 it is a textbook case."""
    return np.ones((2, 2))


IMAGES: dict[str, Callable[[], Image.Image]] = {
    "zone-plate.png": zone_plate,
    "small-text.png": small_text,
    "pixel-art.png": pixel_art,
    "logo.png": logo,
    "gradient-16.png": gradient_16,
}
ARRAYS: dict[str, Callable[[], Array]] = {
    "textbook.npy": textbook,
    "kernel-bilinear-2x.npy": bilinear_kernel,
    "kernel-lanczos-2x.npy": lanczos_kernel,
    "kernel-box-2x2.npy": box_kernel,
}


def write_samples(folder: Path) -> None:
    """Write all samples into `folder`, which is created if it is missing; arrays are float32."""
    folder.mkdir(parents=True, exist_ok=True)
    write_photo(folder / "photo.jpg")
    write_scan(folder / "scan.tif")
    for name, draw in IMAGES.items():
        draw().save(folder / name, optimize=True)
    first, *others = frames = animation()
    durations = [frame.info["duration"] for frame in frames]
    first.save(folder / "animation.gif", save_all=True, append_images=others, duration=durations, loop=0)
    for name, make in ARRAYS.items():
        np.save(folder / name, make().astype(np.float32))


def main() -> None:
    """Run the command; its one optional argument is the folder."""
    parser = argparse.ArgumentParser(description="Write the sample images.")
    own = Path(__file__).parent
    parser.add_argument("folder", nargs="?", type=Path, default=own, help="default: the script's own")
    write_samples(parser.parse_args().folder)


if __name__ == "__main__":
    main()

"""A drawing and a page of text, to measure with.

No code of the training makes them, and no font of it: shapes are distances that are sampled, and text is in Pillow's
own font.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDES = 480, 360
"""Width and height, in units; `zoom` is the pixels of one."""
FINE = {1: 4, 2: 3}
"""Samples of a pixel on each side, by `zoom`."""
VERSE = """It was many and many a year ago, in a kingdom by the sea, that a maiden there lived whom you may know by
the name of Annabel Lee; and this maiden she lived with no other thought than to love and be loved by me. I was a
child and she was a child, in this kingdom by the sea, but we loved with a love that was more than love. """

Array = NDArray[Any]
Colour = tuple[int, int, int]


def reduced(fine: Array, zoom: int) -> Array:
    """The mean of the samples of each pixel."""
    parts = fine.reshape(SIDES[1] * zoom, FINE[zoom], SIDES[0] * zoom, FINE[zoom], 3)
    return np.asarray(np.round(parts.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8))


def drawing(zoom: int = 1) -> Array:
    """A house, hills, a sun with rays, a star, waves of several widths, rings; saturated colours side by side."""
    x, y = ((np.arange(side * zoom * FINE[zoom], dtype=np.float32) + 0.5) / (zoom * FINE[zoom]) for side in SIDES)
    x, y = x[None, :], y[:, None]
    fine = np.empty((y.size, x.size, 3), np.float32)
    fine[:] = np.array([90, 160, 235]) + (y / SIDES[1])[..., None] * np.array([110, 60, 15])

    def paint(inside: Array, colour: Colour) -> None:
        fine[np.broadcast_to(inside, fine.shape[:2])] = colour

    def segment(x0: float, y0: float, x1: float, y1: float) -> Array:
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2), 0, 1)
        return np.asarray(np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))

    paint(np.hypot(x - 400, y - 70) < 36, (255, 214, 0))
    for angle in np.arange(0, 2 * np.pi, np.pi / 9):
        dx, dy = np.cos(angle), np.sin(angle)
        paint(segment(400 + 42 * dx, 70 + 42 * dy, 400 + 58 * dx, 70 + 58 * dy) < 1.2, (230, 90, 0))
    paint(y > 250 + 26 * np.sin(x / 61) + 9 * np.cos(x / 17), (60, 150, 60))
    paint(abs(y - 250 - 26 * np.sin(x / 61) - 9 * np.cos(x / 17)) < 1, (0, 60, 20))
    paint(y > 295 + 14 * np.sin(x / 33 + 1), (20, 95, 190))
    paint((abs(x - 120) < 62) & (abs(y - 220) < 48), (205, 45, 40))
    paint((y > 120) & (y < 172) & (abs(x - 120) < (y - 120) * 1.5), (95, 20, 110))
    paint((abs(x - 120) < 12) & (abs(y - 242) < 26), (255, 235, 190))
    for left in (78, 142):
        paint((abs(x - left - 10) < 14) & (abs(y - 202) < 13), (20, 20, 20))
        paint((abs(x - left - 10) < 12) & (abs(y - 202) < 11), (150, 230, 255))
        paint((abs(x - left - 10) < 0.6) & (abs(y - 202) < 11), (20, 20, 20))
    turn = np.arctan2(y - 190, x - 330) * 5
    paint(np.hypot(x - 330, y - 190) < 34 + 13 * np.cos(turn), (0, 0, 0))
    paint(np.hypot(x - 330, y - 190) < 31 + 12 * np.cos(turn), (255, 0, 140))
    for n, radius in enumerate((24, 19, 14, 9, 4)):
        paint(np.hypot(x - 245, y - 110) < radius, ((255, 0, 0), (0, 0, 255))[n % 2])
    for n, width in enumerate((0.4, 0.7, 1.1, 1.7, 2.5)):
        paint(abs(y - 305 - 11 * n - 4 * np.sin(x / 9 + n)) < width, (255, 255, 255))
    for n in range(14):
        paint(segment(20 + 9 * n, 20, 4 + 9 * n, 78) < 0.4 + 0.12 * n, (10, 10, 60))
    return reduced(fine, zoom)


def page(zoom: int = 1) -> Array:
    """Lines of several sizes, black on white, coloured, on a dark block and on a coloured one."""
    fine = zoom * FINE[zoom]
    image = Image.new("RGB", (SIDES[0] * fine, SIDES[1] * fine), "white")
    draw, words, y = ImageDraw.Draw(image), iter((VERSE * 9).split()), 6.0
    inks: list[tuple[float, Colour, Colour | None]] = [
        (36, (0, 0, 0), None),
        (16, (0, 0, 0), None),
        (18, (200, 0, 0), None),
        (18, (0, 0, 190), None),
        (22, (0, 0, 0), None),
        (20, (255, 255, 255), (20, 24, 40)),
        (16, (140, 230, 140), (20, 24, 40)),
        (24, (255, 235, 0), (190, 0, 60)),
        (20, (0, 90, 0), (255, 190, 120)),
        (28, (90, 0, 120), None),
        (16, (0, 0, 0), (235, 235, 235)),
        (14, (0, 0, 0), None),
    ]
    for size, ink, ground in inks:
        font, x = ImageFont.load_default(size * fine), 8.0
        if ground:
            draw.rectangle((0, y * fine, SIDES[0] * fine, (y + size * 1.45) * fine), ground)
        while x < SIDES[0] - 30:
            draw.text((x * fine, y * fine), word := next(words) + " ", ink, font)
            x += font.getlength(word) / fine
        y += size * 1.45
    return reduced(np.asarray(image), zoom)


SUBJECTS: dict[str, Callable[[int], Array]] = {"drawing": drawing, "text": page}

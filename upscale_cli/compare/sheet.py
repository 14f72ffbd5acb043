"""A contact sheet: the details in which the methods differ most, side by side with labels."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from upscale_cli.compare.comparison import Comparison, Entry, seen_in

DETAILS = 3
"""Largest number of details."""

SHOWN, SIDE = 224, 112
"""In pixels: approximate side of a detail on the sheet, and its longest side in the result."""

MARGIN, LABELS, LINE, HEAD = 12, 230, 22, 208
"""In pixels: space between pictures, width of the labels, height of a line of text, height of the overview."""

PAPER, INK, QUIET, MARK = (255, 255, 255), (24, 24, 27), (92, 92, 99), (208, 0, 80)
Colours = NDArray[np.uint8]
Box = tuple[int, int, int]
"""Left, top and side of a square, in pixels of the result."""


def make_sheet(comparison: Comparison, title: str) -> bytes:
    """Return the sheet as a PNG file: an overview that marks the details, and one line of details per picture."""
    colours = [seen_in(each.png) for each in comparison.pictures]
    filled = [own for own, each in zip(colours, comparison.pictures, strict=True) if not each.has_holes]
    boxes = find_details(filled or colours)
    zoom = max(1, SHOWN // boxes[0][2])
    side = boxes[0][2] * zoom
    step = side + MARGIN
    head = _overview(colours[-1], boxes)
    width = MARGIN + max(LABELS + step * len(boxes), head.width + MARGIN + LABELS)
    top = head.height + 2 * MARGIN + LINE
    sheet = Image.new("RGB", (width, top + step * len(colours)), PAPER)
    draw, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(16), ImageFont.load_default(13)
    sheet.paste(head, (MARGIN, MARGIN))
    (w, h), (wide, high) = comparison.before, comparison.after
    for line, text in enumerate((title, f"{w}x{h} to {wide}x{high}", f"details at {zoom}x zoom")):
        fitted = _fitted(text, font, width - head.width - 3 * MARGIN)
        draw.text((head.width + 2 * MARGIN, MARGIN + line * LINE), fitted, INK if not line else QUIET, font)
    for column in range(len(boxes)):
        draw.text((MARGIN + LABELS + column * step, top - LINE), f"{column + 1}", MARK, font)
    for row, (own, each) in enumerate(zip(colours, comparison.pictures, strict=True)):
        y = top + row * step
        for line, text in enumerate(_labels(each)):
            fitted = _fitted(text, small if line else font, LABELS - MARGIN)
            draw.text((MARGIN, y + line * LINE), fitted, QUIET if line else INK, small if line else font)
        for column, (left, above, size) in enumerate(boxes):
            detail = Image.fromarray(own[above : above + size, left : left + size])
            large = detail.resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(large, (MARGIN + LABELS + column * step, y))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def find_details(pictures: Sequence[Colours]) -> list[Box]:
    """Return the squares in which pictures (H, W, 3) of one size differ most, largest difference first, no overlap.

    The difference at a pixel is the range, over the pictures, of red + green + blue; of a square, the mean of that.

    >>> dark = np.zeros((300, 300, 3), np.uint8)
    >>> light = dark.copy()
    >>> light[200:220, 30:50] = 9
    >>> (left, top, side), *_ = find_details([dark, light])
    >>> left <= 30 and left + side >= 50 and top <= 200 and top + side >= 220
    True
    """
    height, width = pictures[0].shape[:2]
    side = min(SIDE, height, width, max(SIDE // 4, min(height, width) // 3))
    low = high = pictures[0].sum(axis=2, dtype=np.int64)
    for picture in pictures[1:]:
        total = picture.sum(axis=2, dtype=np.int64)
        low, high = np.minimum(low, total), np.maximum(high, total)
    sums = np.pad(high - low, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    step = max(1, side // 8)
    tops, lefts = np.arange(0, height - side + 1, step), np.arange(0, width - side + 1, step)
    ends = np.ix_(tops + side, lefts + side), np.ix_(tops, lefts + side), np.ix_(tops + side, lefts)
    differences = sums[ends[0]] - sums[ends[1]] - sums[ends[2]] + sums[np.ix_(tops, lefts)]
    found: list[Box] = []
    while len(found) < DETAILS and differences.max() >= 0:
        row, column = np.unravel_index(int(differences.argmax()), differences.shape)
        top, left = int(tops[row]), int(lefts[column])
        found.append((left, top, side))
        near = (np.abs(tops - top) < side)[:, None] & (np.abs(lefts - left) < side)
        differences = np.where(near, -1, differences)
    return found


def _overview(picture: Colours, boxes: Sequence[Box]) -> Image.Image:
    """Return a small copy of the whole picture in which the details are marked and numbered."""
    small = Image.fromarray(picture)
    small.thumbnail((2 * HEAD, HEAD), Image.Resampling.BOX)
    draw, font, scale = ImageDraw.Draw(small), ImageFont.load_default(14), small.width / picture.shape[1]
    for number, (left, top, side) in enumerate(boxes, 1):
        x, y, end = left * scale, top * scale, side * scale
        draw.rectangle((x, y, x + end - 1, y + end - 1), outline=MARK, width=2)
        draw.text((x + 5, y + 2), f"{number}", MARK, font, stroke_width=2, stroke_fill=PAPER)
    return small


def _labels(picture: Entry) -> list[str]:
    """Return the lines of text beside a picture's details."""
    lines = [picture.name]
    if picture.psnr is not None:
        lines.append(f"PSNR {picture.psnr:.2f} dB, SSIM {picture.ssim:.4f}")
    if picture.seconds is not None:
        lines.append(f"{picture.seconds:.2f} s" if picture.seconds >= 0.0995 else f"{picture.seconds * 1000:.0f} ms")
    return lines


def _fitted(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> str:
    """Return a text on one line, cut with an ellipsis if it is wider than `width` pixels."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"

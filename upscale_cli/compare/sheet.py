"""A contact sheet: the details in which methods differ most, side by side, labelled."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from upscale_cli.compare.comparison import Comparison, Made, seen_in

DETAILS, SHOWN, SIDE = 3, 224, 112
"""How many details there are, at most; pixels of the sheet that each covers, about; and its own pixels, at most."""

MARGIN, LABELS, LINE, HEAD = 12, 230, 22, 208
"""Pixels: between pictures, of the column of names, of a line of text, and of the whole picture at the top."""

PAPER, INK, QUIET, MARK = (255, 255, 255), (24, 24, 27), (92, 92, 99), (208, 0, 80)
Colours = NDArray[np.uint8]
Box = tuple[int, int, int]
"""Left, top, and side, in pixels of the result."""


def make_sheet(comparison: Comparison, title: str) -> bytes:
    """The sheet as a PNG: the whole picture with the places of the details, and a row of details for each method."""
    colours = [seen_in(each.png) for each in comparison.pictures]
    rivals = [own for own, each in zip(colours, comparison.pictures, strict=True) if not each.placed]
    boxes = find_details(rivals or colours)
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
    for line, text in enumerate((title, f"{w}x{h} to {wide}x{high}", f"details drawn {zoom} times as large")):
        fitted = _fitted(text, font, width - head.width - 3 * MARGIN)
        draw.text((head.width + 2 * MARGIN, MARGIN + line * LINE), fitted, INK if not line else QUIET, font)
    for column in range(len(boxes)):
        draw.text((MARGIN + LABELS + column * step, top - LINE), f"{column + 1}", MARK, font)
    for row, (own, each) in enumerate(zip(colours, comparison.pictures, strict=True)):
        y = top + row * step
        for line, text in enumerate(_lines(each)):
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
    """The squares in which pictures (H, W, 3) of one size differ most, the most different first, none overlapping.

    How much they differ at a pixel is the range of the sums of their channels; of a square, the mean.

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
    """The whole picture, small, with the numbered places of the details."""
    whole = Image.fromarray(picture)
    whole.thumbnail((2 * HEAD, HEAD), Image.Resampling.BOX)
    draw, font, scale = ImageDraw.Draw(whole), ImageFont.load_default(14), whole.width / picture.shape[1]
    for number, (left, top, side) in enumerate(boxes, 1):
        x, y, end = left * scale, top * scale, side * scale
        draw.rectangle((x, y, x + end - 1, y + end - 1), outline=MARK, width=2)
        draw.text((x + 5, y + 2), f"{number}", MARK, font, stroke_width=2, stroke_fill=PAPER)
    return whole


def _lines(made: Made) -> list[str]:
    lines = [made.name]
    if made.psnr is not None:
        lines.append(f"PSNR {made.psnr:.2f} dB, SSIM {made.ssim:.4f}")
    if made.seconds is not None:
        lines.append(f"{made.seconds:.2f} s" if made.seconds >= 0.0995 else f"{made.seconds * 1000:.0f} ms")
    return lines


def _fitted(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> str:
    """A text on one line, cut where it would be wider than so many pixels."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"

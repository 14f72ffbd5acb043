"""The canvas that frames of an animation are drawn on, one after the other: GIF, APNG."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEEP, CLEAR, RESTORE = 1, 2, 3
"""What becomes of a frame before the next is drawn: it stays, is cleared, or gives way to what was there before."""


@contextmanager
def drawn(
    canvas: NDArray[np.uint8], box: tuple[int, int, int, int], disposal: int, behind: Any = 0
) -> Iterator[NDArray[np.uint8]]:
    """Give the part of a canvas (H, W, 4) that a frame is drawn on; when it has been shown, dispose of the frame.

    Parameters
    ----------
    box : (int, int, int, int)
        Left, top, width, height. What lies outside the canvas is cut off.
    behind : 0 or uint8 array (4,)
        RGBA of what is cleared.
    """
    left, top, width, height = box
    place = canvas[top : top + height, left : left + width]
    before = place.copy() if disposal == RESTORE else None
    yield place
    if before is not None:
        place[:] = before
    elif disposal == CLEAR:
        place[:] = behind


def blend(place: NDArray[np.uint8], above: NDArray[np.uint8]) -> None:
    """Draw RGBA pixels (h, w, 4), not premultiplied, over others: PNG (third edition), section 13.16.

    Opacity is `a + b (1 − a)`, and colours are the mean of both, weighted by `a` and `b (1 − a)`; rounded half up.
    """
    for row, new in zip(place, above, strict=True):  # whole frames would take much memory
        own = 255 * new[:, 3:].astype(np.uint32)
        rest = row[:, 3:] * (255 - new[:, 3:].astype(np.uint32))
        total = own + rest
        colours = (new[:, :3] * own + row[:, :3] * rest + total // 2) // np.maximum(total, 1)
        np.copyto(row, np.hstack((colours, (total + 127) // 255)).astype(np.uint8), where=own > 0)

"""An upsampler's output, cropped or with a border."""

from collections.abc import Iterator

import numpy as np

from upscale_cli.methods.upsampler import Array, Block, Finish, Upsampler


class Framed(Upsampler):
    """The middle of another upsampler's output or, with a border, that output in the middle of a larger one.

    Parameters
    ----------
    upsampler : Upsampler
    size : (int, int)
        Height and width; both at most, or both at least, those of the other output.
    border : array (C',), optional
        The samples of the border, as they are written.
    """

    def __init__(self, upsampler: Upsampler, size: tuple[int, ...], border: Array | None = None) -> None:
        self._upsampler, self._border = upsampler, border
        self.dtype, self.band, self.cost = upsampler.dtype, upsampler.band, upsampler.cost
        self.averages = upsampler.averages
        self.shape = (size[0], size[1], upsampler.shape[2])
        self._top, self._left = shift(upsampler.shape[:2], size)
        self.offset = upsampler.offset + self._top

    def blocks(self, band: int) -> Iterator[Block]:
        for top, left, channel, values in self._upsampler.blocks(band):
            yield Block(top - self._top, left - self._left, channel, values)

    def rows(self, start: int, stop: int, out: Array | None = None, finish: Finish | None = None) -> Array:
        """Return rows as any upsampler does; the others of a border are filled first."""
        if self._border is None:
            return super().rows(start, stop, out, finish)
        if out is None:
            out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        out[...] = self._border
        height, width, _ = self._upsampler.shape
        first, last = max(start + self._top, 0), min(stop + self._top, height)
        if first < last:
            y, x = first - self._top - start, -self._left
            self._upsampler.rows(first, last, out[y : y + last - first, x : x + width], finish)
        return out


def shift(whole: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, int]:
    """Return where a part in the middle begins, (row, column); negative for a border.

    >>> shift((10, 10), (4, 15))
    (3, -3)
    """
    return (whole[0] - size[0]) // 2, (whole[1] - size[1]) // 2

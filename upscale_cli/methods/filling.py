"""Transparent pictures for methods that are not linear: colours in transparent pixels, and flat colours kept."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.upsampler import Array, Block, SampleReader, Upsampler

CHUNK = 1 << 18
"""Pixels whose colours are computed together, so that memory stays small."""
FILLING = 8
"""Approximate values of four bytes that `filled` needs per pixel, besides its result."""


def filled(source: Array, reach: int) -> Array:
    """Return a source (H, W, C) with colours in its transparent pixels; the last channel is opacity.

    A network that sees black, or whatever colour is hidden, beside a visible pixel makes an edge there. Premultiplied
    colours do not help, because a network is not linear: an edge of opacity would be sharpened as one of colour.

    Parameters
    ----------
    reach : int
        How far from a visible pixel colours are needed. Transparent pixels farther away stay as they are.

    Notes
    -----
    The visible area grows by one pixel in each step. A new pixel gets the mean of its neighbours that have a colour,
    rounded to the source's type; so a flat colour grows exactly.
    """
    if (source[..., -1] > 0).all():
        return source
    # A border without colour, so that every pixel has eight neighbours.
    padded = np.pad(source, ((1, 1), (1, 1), (0, 0)))
    stride = padded.shape[1]
    colours = padded.reshape(-1, padded.shape[2])
    known = (padded[..., -1] > 0).ravel()
    waiting = np.pad(~(source[..., -1] > 0), 1).ravel()
    around = [y * stride + x for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
    edge = np.flatnonzero(_grown(known.reshape(padded.shape[:2])).ravel() & waiting)
    waiting[edge] = False
    for _ in range(reach):
        if not len(edge):
            break
        for start in range(0, len(edge), CHUNK):
            part = edge[start : start + CHUNK]
            colours[part, :-1] = _mean(colours, known, part, around)
        known[edge] = True
        edge = _next(edge, waiting, around)
    return padded[1:-1, 1:-1]


class Flat(Upsampler):
    """An upsampler of a filled source whose flat colours stay: a network would tint them with colours farther away.

    Where a pixel has the colour of its four neighbours, so has the output. Two pixels and more from visible pixels,
    where a little opacity may remain, it has the colour that was filled in.

    Parameters
    ----------
    upsampler : Upsampler
    source : array (H, W, C)
        As `filled` returns it.
    reader : SampleReader
        Its channels are those of the output; the last is opacity.
    """

    def __init__(self, upsampler: Upsampler, source: Array, reader: SampleReader) -> None:
        self.shape, self.dtype, self.cost = upsampler.shape, upsampler.dtype, upsampler.cost
        self.band, self.offset = upsampler.band, upsampler.offset
        self._upsampler, self._source, self._read = upsampler, source, reader.read
        self._flat = np.ones(source.shape[:2], bool)
        for flat, colours in ((self._flat, source), (self._flat.T, source.swapaxes(0, 1))):
            same = (colours[1:, :, :-1] == colours[:-1, :, :-1]).all(axis=2)
            flat[1:] &= same
            flat[:-1] &= same
        self._flat |= ~_grown(source[..., -1] > 0)

    def blocks(self, band: int) -> Iterator[Block]:
        for block in self._upsampler.blocks(band):
            rows, columns = (
                np.clip((first + np.arange(count)) * inside // outside, 0, inside - 1)
                for first, count, inside, outside in zip(
                    block[:2], block.values.shape, self._source.shape, self.shape, strict=False
                )
            )
            flat = self._flat[rows][:, columns, None]
            if flat.any():
                part = self._read(self._source[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
                last = min(block.channel + block.values.shape[2], self.shape[2] - 1)
                colours = part[rows - rows[0]][:, columns - columns[0], block.channel : last]
                np.copyto(block.values[..., : colours.shape[2]], colours, where=flat)
            yield block


def _grown(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels are known or have a neighbour that is."""
    tall = known.copy()
    tall[1:] |= known[:-1]
    tall[:-1] |= known[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def _mean(colours: Array, known: NDArray[np.bool_], part: NDArray[np.intp], around: list[int]) -> Array:
    """Return the mean colours of the known neighbours of some pixels."""
    total = np.zeros((len(part), colours.shape[1] - 1))
    count = np.zeros((len(part), 1))
    for offset in around:
        has = known[part + offset]
        count[:, 0] += has
        total[has] += colours[part[has] + offset, :-1]
    total /= count
    return np.floor(total + 0.5) if colours.dtype.kind in "iu" else total


def _next(edge: NDArray[np.intp], waiting: NDArray[np.bool_], around: list[int]) -> NDArray[np.intp]:
    """Return the waiting neighbours of some pixels, each once; they wait no longer to be found."""
    found = []
    for offset in around:
        near = edge[waiting[edge + offset]] + offset
        waiting[near] = False
        found.append(near)
    return np.concatenate(found)

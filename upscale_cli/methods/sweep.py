"""Layers on a few rows at a time: what they make stays in the cache, and no row is made twice.

What a layer makes of a large tile does not fit into the cache. With small tiles each layer makes a margin as well,
which for 20 layers has two thirds as many pixels as a tile of 64 x 96. So rows go through all layers as they come,
and each layer holds the last rows of its input for the next ones.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from upscale_cli.methods.layers import Layer
from upscale_cli.methods.upsampler import Array, Scratch

ROWS = 32
"""Rows that go through all layers together: an even number, since pairs of rows are filtered together.

With fewer, calls are so short that threads wait for each other.
"""

_scratch = Scratch()


class Held:
    """Rows that come a few at a time, in scratch memory: the last of them are needed again, with the next ones.

    Parameters
    ----------
    most : int
        How many.
    own, joined : str
        The names, in scratch memory, of what is held and of what is returned.
    """

    def __init__(self, most: int, own: str, joined: str) -> None:
        self._most, self._own, self._joined = most, own, joined
        self._held: Array | None = None
        self._count = 0

    def room(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> Array:
        """Return where the next rows (n, columns, c) are to be written, before `filled`."""
        rows, *shape_of_row = shape
        self._rows = _scratch.get(self._joined, (self._count + rows, *shape_of_row), dtype)
        return self._rows[self._count :]

    def filled(self) -> Array:
        """Return the rows that were held, and those that were written after them; hold the last of all."""
        rows = self._rows
        del self._rows  # or it would keep memory that has become too small
        if self._held is None:
            self._held = _scratch.get(self._own, (self._most, *rows.shape[1:]), rows.dtype)
        rows[: self._count] = self._held[: self._count]
        self._count = min(self._most, len(rows))
        self._held[: self._count] = rows[len(rows) - self._count :]
        return rows


class Sweep:
    """Layers on the rows of one plane, from top to bottom. Each writes where the next one reads.

    Parameters
    ----------
    layers : sequence of Layer
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        reaches = [*(layer.reach for layer in layers), 0]
        # Two arrays in turn: what a layer reads, and what it writes, for the next one to read.
        self._read = [Held(2 * reach, f"read {n}", ("even", "odd")[n % 2]) for n, reach in enumerate(reaches)]
        self._delays = delays(layers)
        self._kept = {n: Held(most, f"kept {n}", f"result {n}") for n, most in kept(layers).items()}

    def push(self, values: Array) -> Array:
        """Return the rows (n, columns, d) of the last layer that further rows (m, columns, c) of the plane make.

        They are in scratch memory. The first rows make none, until all that a row depends on is there.
        """
        results: dict[int, Array] = {}
        self._read[0].room(values.shape, values.dtype)[...] = values
        for index, (layer, delay) in enumerate(zip(self._layers, self._delays, strict=True)):
            values = self._read[index].filled()
            rows, columns = (side - 2 * layer.reach for side in values.shape[:2])
            if rows <= 0:
                return values[:0]
            earlier = []
            for each, late in zip(layer.earlier, delay, strict=True):
                result = results[each]
                stop = len(result) - late
                earlier.append(result[stop - rows : stop, late : result.shape[1] - late])
            result = self._read[index + 1].room((rows, columns, layer.channels(values.shape[2])), values.dtype)
            layer.run(values, earlier, result)
            if index in self._kept:
                self._kept[index].room(result.shape, result.dtype)[...] = result
                results[index] = self._kept[index].filled()
        return self._read[-1].filled()


def delays(layers: Sequence[Layer]) -> list[list[int]]:
    """Return how many rows and columns earlier results have more, on each side, than the input of a layer."""
    after, found = [0], []
    for layer in layers:
        found.append([after[-1] - after[each + 1] for each in layer.earlier])
        after.append(after[-1] + layer.reach)
    return found


def kept(layers: Sequence[Layer]) -> dict[int, int]:
    """Return the layers whose results are needed later, and how many rows of each are held."""
    found: dict[int, int] = {}
    for layer, late in zip(layers, delays(layers), strict=True):
        for each, rows in zip(layer.earlier, late, strict=True):
            found[each] = max(rows, found.get(each, 0))
    return found

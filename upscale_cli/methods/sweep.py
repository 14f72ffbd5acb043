"""Layers on a few rows at a time: what they make stays in the cache, and no row is made twice.

What a layer makes of a large tile does not fit into the cache. With small tiles each layer makes a margin as well,
which for 20 layers has two thirds as many pixels as a tile of 64 x 96. So rows go through all layers as they come,
and each layer holds the last rows of its input for the next ones.
"""

from collections.abc import Sequence

from upscale_cli.methods.layers import Layer
from upscale_cli.methods.upsampler import Array, Scratch

ROWS = 16
"""Rows that go through all layers together. With fewer, calls are so short that threads wait for each other."""

_scratch = Scratch()


class Held:
    """The last rows of a stream, in scratch memory: so many are needed again.

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

    def before(self, values: Array) -> Array:
        """Return the rows that are held, and then new ones; hold the last of all."""
        count, shape = self._count + len(values), values.shape[1:]
        joined = _scratch.get(self._joined, (count, *shape), values.dtype)
        if self._held is None:
            self._held = _scratch.get(self._own, (self._most, *shape), values.dtype)
        joined[: self._count] = self._held[: self._count]
        joined[self._count :] = values
        self._count = min(self._most, count)
        self._held[: self._count] = joined[count - self._count :]
        return joined


class Sweep:
    """Layers on the rows of one plane, from top to bottom.

    Parameters
    ----------
    layers : sequence of Layer
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._inputs = [Held(2 * layer.reach, f"input {n}", "input") for n, layer in enumerate(layers)]
        self._delays = delays(layers)
        self._kept = {n: Held(most, f"kept {n}", f"result {n}") for n, most in kept(layers).items()}

    def push(self, values: Array) -> Array:
        """Return the rows (n, d, columns) of the last layer that further rows (m, c, columns) of the plane make.

        They are in scratch memory. The first rows make none, until all that a row depends on is there.
        """
        results: dict[int, Array] = {}
        for index, (layer, delay) in enumerate(zip(self._layers, self._delays, strict=True)):
            if layer.reach:
                values = self._inputs[index].before(values)
            rows = len(values) - 2 * layer.reach
            if rows <= 0:
                return values[:0]
            earlier = []
            for each, late in zip(layer.earlier, delay, strict=True):
                result = results[each]
                stop = len(result) - late
                earlier.append(result[stop - rows : stop, :, late : result.shape[2] - late])
            values = layer.run(values, earlier, "values")
            if index in self._kept:
                results[index] = self._kept[index].before(values)
        return values


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

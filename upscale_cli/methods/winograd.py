"""Convolution of rows (rows, columns, c), with a third fewer products where kernels are 3 × 3.

Two rows of the result read four rows of the input. Of each such four, Winograd's minimal filtering F(2, 3) (Winograd
1980; for networks, Lavin & Gray 2016, section 4.1) makes four sums, multiplies each by one row of filters, and sums
the products: for inputs d, filters g and results y, of any row in each column,

    m0 = (d0 − d2)·g0                y0 = m1 + m3 + m0
    m1 = (d1 + d2)·(g0 + g1 + g2)/2  y1 = m1 − m3 + m2
    m2 = (d1 − d3)·(−g2)
    m3 = (d2 − d1)·(g0 − g1 + g2)/2

The direct way multiplies three rows for each result, six for both. Sums are of whole rows, with nothing copied: in a
row of c channels a pixel, the neighbourhood of a pixel along the row is 3·c values that follow one another. For every
third pixel they are the rows of a matrix, so three products serve all pixels, and each writes its own pixels. Sums
have a multiple of three pixels a row, so that such a matrix goes on from one row to the next. It is multiplied for
nothing where a neighbourhood lies in two rows; but BLAS begins each product anew, and long ones take 0.75 times as
long.
"""

from functools import cached_property
from math import ceil

import numpy as np

from upscale_cli.methods.convolution import windows
from upscale_cli.methods.upsampler import Array, Scratch, strided

SIDE = 3
FEWEST = 16
"""Channels from which it pays: 8 took 1.5 times as long as the direct way, 16 as long, 48 0.8 times."""
VALUES = 7 << 16
"""Approximate values of the sums of inputs that are at work at a time: 1.75 MiB, and as much for products.

Calls are long so that threads seldom wait for each other: with 1 << 18, the small network takes 1.07 times as long.
"""
FILTERS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0, 0, -1], [0.5, -0.5, 0.5]])
"""The filters of the four products, from three rows of filters."""

_scratch = Scratch()


class Filters:
    """The filters of a convolution, without padding.

    Attributes
    ----------
    weights : array (d, k · k · c)
        Columns in the order of row, column and channel of a neighbourhood. It may change until it is first used.
    side : int
        k.
    """

    def __init__(self, weights: Array, side: int) -> None:
        self.weights, self.side = weights, side

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return int(self.weights.shape[1]) // self.side**2

    @property
    def minimal(self) -> bool:
        """Products are saved."""
        return self.side == SIDE and self.channels >= FEWEST

    def _at_once(self, rows: int, columns: int) -> int:
        """Return how many rows of a result are filtered together: whole pairs, in parts of similar height."""
        pairs, most = ceil(rows / 2), max(1, VALUES // (4 * _padded(columns + 2) * self.channels))
        return 2 * ceil(pairs / ceil(pairs / most))

    def scratch(self, rows: int, columns: int) -> int:
        """Return how many values of scratch memory it needs for a result of so many rows and columns."""
        count = len(self.weights)
        # Values times slopes, and rows of biases and slopes.
        if not self.minimal:
            stacked = (rows + self.side - 1) * self.side * self.channels
            return columns * (stacked + (rows + 2) * count)
        # Four sums of inputs, and as many products, for two rows. Rows that are shorter are more at a time.
        across = _padded(columns + 2)
        pixels = 2 * SIDE + min(2 * ceil(rows / 2) * across, max(2 * across, VALUES // (2 * self.channels)))
        return pixels * (2 * self.channels + 3 * count) + 2 * columns * count

    @cached_property
    def _matrix(self) -> Array:
        """The filters as products take them: (k · k · c, d), or (4, 3 · c, d)."""
        if not self.minimal:
            return np.ascontiguousarray(self.weights.T)
        rows = self.weights.astype(np.float64).reshape(len(self.weights), SIDE, -1)
        matrix: Array = np.einsum("tr,drk->tkd", FILTERS, rows).astype(self.weights.dtype, order="C")
        return matrix

    def run(self, values: Array, result: Array, biases: Array | None = None, slopes: Array | None = None) -> None:
        """Write the sums over neighbourhoods, as PyTorch's `Conv2d` without padding, then PReLU if it has slopes.

        Parameters
        ----------
        values : array (rows, columns, c)
            C-contiguous, of the weights' dtype.
        result : array (rows − k + 1, columns − k + 1, d)
            C-contiguous.
        biases, slopes : array (d,), optional

        >>> result = np.empty((1, 1, 1))
        >>> Filters(np.ones((1, 9)), 3).run(np.array([[[1.0], [2.0], [4.0]]] * 3), result)
        >>> result.tolist()
        [[[21.0]]]
        """
        rows, columns, _ = result.shape
        # As wide as rows: NumPy would otherwise walk along the channels, which are few.
        added, below = (
            None if each is None else _repeated(each, columns, name)
            for name, each in (("biases", biases), ("slopes", slopes))
        )
        make, step = (self._filtered, self._at_once(rows, columns)) if self.minimal else (self._multiplied, rows)
        for top in range(0, rows, step):
            part = result[top : top + step]
            make(values[top : top + len(part) + self.side - 1], part, added)
            if below is not None:
                _activate(part.reshape(len(part), -1), below)

    def _multiplied(self, values: Array, result: Array, biases: Array | None) -> None:
        """Write the sums the direct way."""
        near = values
        if self.side > 1:
            near = windows(values.transpose(0, 2, 1), (self.side, self.side)).transpose(0, 2, 1)
        np.matmul(near, self._matrix, out=result)
        if biases is not None:
            lines = result.reshape(len(result), -1)
            lines += biases

    def _filtered(self, values: Array, result: Array, biases: Array | None) -> None:
        """Write the sums with fewer products; biases are for a row of pixels."""
        rows, pairs = len(result), (len(result) + 1) // 2
        lines, made = (each.reshape(len(each), -1) for each in (values, result))
        sums, shown = self._sums(pairs, values.shape[1])
        first, second, third, fourth = (lines[n::2][:pairs] for n in range(4))
        m0, m1, m2, m3 = shown[..., : lines.shape[1]]
        # The last pair may lack its second row.
        both = rows // 2
        m2[both:] = 0
        np.subtract(first, third, out=m0)
        np.add(second, third, out=m1)
        np.subtract(second[:both], fourth, out=m2[:both])
        np.subtract(third, second, out=m3)
        m0, m1, m2, m3 = self._products(sums, pairs)[..., : made.shape[1]]
        if biases is not None:
            m1 += biases
        upper, lower = made[::2], made[1::2]
        np.add(m1, m3, out=upper)
        upper += m0
        np.subtract(m1[:both], m3[:both], out=lower)
        lower += m2[:both]

    def _sums(self, pairs: int, columns: int) -> tuple[Array, Array]:
        """Return room for four sums of inputs, (4, all their values), and the same as rows (4, pairs, values).

        What is beyond the columns, in each row and after the last one, is zero.
        """
        across, beyond = _padded(columns) * self.channels, SIDE * self.channels
        sums = _scratch.get("sums", (4, pairs * across + beyond), self.weights.dtype)
        sums[:, -beyond:] = 0
        rows = sums[:, :-beyond].reshape((4, pairs, across))
        rows[..., columns * self.channels :] = 0
        return sums, rows

    def _products(self, sums: Array, pairs: int) -> Array:
        """Return the four products as rows (4, pairs, values); of each row, the last two pixels are meaningless."""
        count, channels, size = len(self.weights), self.channels, sums.itemsize
        places = sums.shape[1] // (SIDE * channels) - 1
        products = _scratch.get("products", (4, SIDE * places * count), sums.dtype)
        # Neighbourhoods that begin at the first, second and third of each three pixels.
        read, written = (
            strided(each, (4, SIDE, places, wide), (each.strides[0], step * size, SIDE * step * size, size))
            for each, wide, step in ((sums, SIDE * channels, channels), (products, count, count))
        )
        np.matmul(read, self._matrix[:, None], out=written)
        return products.reshape((4, pairs, -1))


def _padded(columns: int) -> int:
    """Return the next multiple of three."""
    return ceil(columns / SIDE) * SIDE


def _repeated(values: Array, columns: int, name: str) -> Array:
    """Return what each channel has (d,) for a row of pixels, (columns · d,), in scratch memory."""
    row = _scratch.get(name, (columns, len(values)), values.dtype)
    row[...] = values
    return row.reshape(-1)


def _activate(lines: Array, slopes: Array) -> None:
    """Apply PReLU in place, `max(x, 0) + slope·min(x, 0)`, to rows (n, w) with slopes (w,)."""
    sloped = np.multiply(lines, slopes, out=_scratch.get("sloped", lines.shape, lines.dtype))
    if (slopes <= 1).all():
        np.maximum(lines, sloped, out=lines)
    else:
        np.copyto(lines, sloped, where=lines < 0)

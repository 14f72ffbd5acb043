"""Convolution as matrix multiplication, with few copies.

The usual way copies each neighbourhood into a column of a matrix: 9 copies of the image for 3 × 3 kernels. Here rows
are (rows, channels, columns), and only shifts along a row are copied, 3 for 3 × 3: (rows, kw · channels, columns).
In that array the kh rows that one output row needs follow one another in memory, so a strided view shows them as a
matrix (kh · kw · channels, columns) without another copy. All output rows are one stacked product with the weights.
"""

import numpy as np

from upscale_cli.methods.upsampler import Array, Scratch, strided

_scratch = Scratch()


def convolve(values: Array, weights: Array, size: tuple[int, int], *, out: Scratch, name: str) -> Array:
    """Return the sums over neighbourhoods, as PyTorch's `Conv2d` without padding and bias.

    Parameters
    ----------
    values : array (rows, c, columns)
    weights : array (d, kh · kw · c)
        Columns in the order of row, column and channel of a neighbourhood; of the values' dtype.
    size : (int, int)
        kh and kw.
    out, name
        The scratch memory of the result, and its name there. It may hold the values themselves, which are copied
        first.

    Returns
    -------
    array (rows − kh + 1, d, columns − kw + 1)

    >>> line = np.array([[[1.0, 2.0, 4.0]]])
    >>> convolve(line, np.array([[-1.0, 1.0]]), (1, 2), out=Scratch(), name="line").tolist()
    [[[1.0, 2.0]]]
    """
    near = windows(values, size)
    return np.matmul(weights, near, out=out.get(name, (len(near), len(weights), near.shape[2]), values.dtype))


def windows(values: Array, size: tuple[int, int]) -> Array:
    """Return the neighbourhoods (rows − kh + 1, kh · kw · c, columns − kw + 1) of values, in scratch memory."""
    height, width = size
    rows, channels, columns = len(values) - height + 1, values.shape[1], values.shape[2] - width + 1
    stacked = _scratch.get("stacked", (len(values), width, channels, columns), values.dtype)
    for shift in range(width):
        np.copyto(stacked[:, shift], values[:, :, shift : shift + columns])
    return strided(
        stacked,
        (rows, height * width * channels, columns),
        (stacked.strides[0], columns * stacked.itemsize, stacked.itemsize),
    )

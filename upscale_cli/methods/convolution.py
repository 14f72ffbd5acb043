"""Convolution as matrix multiplication, with few copies.

Rows are kept as (rows, channels, columns), and a copy for each column of the kernel, each a column further, makes
them (rows, kernel columns · channels, columns). Then the rows that a kernel needs are one run of memory, and all
rows are one stacked product with the weights: for 3 × 3 that takes three copies, not nine.
"""

import numpy as np

from upscale_cli.methods.upsampler import Array, Scratch, strided

_scratch = Scratch()


def convolve(values: Array, weights: Array, size: tuple[int, int], *, out: Scratch, name: str) -> Array:
    """Sums over neighbourhoods, as in PyTorch's `Conv2d` without padding.

    Parameters
    ----------
    values : array (rows, c, columns)
    weights : array (d, kh · kw · c)
        Columns in order of row, column and channel of a neighbourhood. Of the values' dtype.
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
    height, width = size
    rows, channels, columns = len(values) - height + 1, values.shape[1], values.shape[2] - width + 1
    stacked = _scratch.get("stacked", (len(values), width, channels, columns), values.dtype)
    for shift in range(width):
        np.copyto(stacked[:, shift], values[:, :, shift : shift + columns])
    windows = strided(
        stacked,
        (rows, height * width * channels, columns),
        (stacked.strides[0], columns * stacked.itemsize, stacked.itemsize),
    )
    return np.matmul(weights, windows, out=out.get(name, (rows, len(weights), columns), values.dtype))

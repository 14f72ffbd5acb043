"""What a JPEG file rules out: restored pictures that could not have made it.

A JPEG stores the cosine transform of each block of 8 × 8 pixels, every coefficient as the nearest multiple of its
quantisation step (ITU-T T.81, A.3.3 and A.3.4). So no coefficient of the original was farther than half a step from
the stored one. A network does not know the blocks, and may go farther; that is taken back. As the original is more
likely near the middle, narrower limits come nearer to it (Park & Kim 1999, "narrow quantization constraint set").
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.upsampler import Array

SIDE = 8
"""Side of a block, in pixels."""
SHARE = 0.3
"""How far from the stored coefficient a restored one may be, in quantisation steps.

Luma of 24 Kodak photographs, restored at their own size from quality 90 and 60: 42.47 and 36.50 dB without a limit,
42.50 and 36.67 dB for 0.5, 42.53 and 36.73 dB for 0.3, and 42.48 and 36.68 dB for 0.2.
"""
COSINES = np.array(
    [
        [np.sqrt((2 if u else 1) / SIDE) * np.cos((2 * x + 1) * u * np.pi / (2 * SIDE)) for x in range(SIDE)]
        for u in range(SIDE)
    ]
)
"""The transform of 8 pixels, coefficient by pixel: orthonormal, as that of T.81 is."""


def limits(table: Sequence[int], white: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return how much coefficients may change, (8, 8).

    Parameters
    ----------
    table : sequence of 64 int
        The quantisation steps of the blocks, in the order of rows, where full intensity is 255.
    white : float
        Full intensity of the planes.
    dtype : numpy.dtype
        Of the planes.

    >>> limits([100] * 64, white=255.0, dtype=np.dtype("f8"))[0, 0].tolist()
    30.0
    """
    return (np.reshape(table, (SIDE, SIDE)) * (SHARE * white / 255)).astype(dtype)


def limit(restored: Array, stored: Array, most: Array) -> None:
    """Take back, in place, what changes coefficients too much. Blocks that lack pixels stay as they are.

    Parameters
    ----------
    restored, stored : array (rows, columns)
        Their first pixel is the first one of a block.
    most : array (8, 8)
        See `limits`; of their dtype.

    >>> flat, brighter = np.zeros((8, 8)), np.full((8, 8), 3.0)
    >>> limit(brighter, flat, np.full((8, 8), 4.0))  # the mean is the first coefficient, divided by 8
    >>> brighter.round(9).tolist() == [[0.5] * 8] * 8
    True
    """
    rows, columns = (side // SIDE * SIDE for side in restored.shape)
    if not rows * columns:
        return
    whole = restored[:rows, :columns]
    cosines = COSINES.astype(restored.dtype)
    # Down columns of blocks first, in which whole rows stay together, and then along the rows.
    down = np.matmul(cosines, (whole - stored[:rows, :columns]).reshape(-1, SIDE, columns))
    changes = (down.reshape(-1, SIDE) @ cosines.T).reshape(-1, SIDE, columns // SIDE, SIDE)
    # Of blocks within the limits this is 0, and they stay as they are to the last bit.
    changes -= np.clip(changes, -most[:, None], most[:, None])
    along = (changes.reshape(-1, SIDE) @ cosines).reshape(-1, SIDE, columns)
    whole -= np.matmul(cosines.T, along).reshape(rows, columns)

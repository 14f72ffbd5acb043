"""The kernels and networks that the package ships in `kernels/`, one for each of some integer factors.

This is the only module of `methods` that reads files, and it reads only those of the package.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.layout import read_network
from upscale_cli.methods.network import Network

FOLDER = Path(__file__).with_name("kernels")
FACTORS = (2, 3, 4)
"""Factors of the kernels."""
UNDAMAGED = {"small": (2, 3, 4), "large": (2, 3)}
"""Factors of the networks for undamaged photographs, of each size."""
RESTORED = {
    "photo": {1: "restore-cells-1x"},
    "remains": {2: "restore-2x", 4: "restore-4x"},
    "small drawing": {2: "draw-2x"},
    "large drawing": {2: "draw-large-2x"},
}
"""The networks that restore, by their factors: photographs at their own size, and what remains in them while they are
enlarged; and drawings."""


@cache
def kernel(stride: tuple[int, int]) -> NDArray[np.float64]:
    """Return the kernel (7 · stride, 7 · stride) that was fitted to photographs, for a (vertical, horizontal) stride.

    Raises
    ------
    UpscaleError
        If there is none, or its file is missing or damaged.
    """
    if stride[0] != stride[1] or stride[0] not in FACTORS:
        shown = "x".join(str(s) for s in dict.fromkeys(stride[::-1]))
        raise UpscaleError(
            f"transposed-conv has kernels for scales {', '.join(map(str, FACTORS))}, not {shown}; "
            "give one with --kernel, or fit one with upscale-fit."
        )
    with _own_file(f"kernel-{stride[0]}x.npy") as stream:
        loaded: NDArray[np.float64] = np.load(stream)
    return loaded


@cache
def network(size: str, scale: int) -> Network:
    """Return the network of a size, small or large, for one of its factors in `UNDAMAGED`.

    Raises
    ------
    UpscaleError
        If its file is missing or damaged.
    """
    with _own_file(f"{size}-{scale}x.npz") as stream, np.load(stream) as arrays:
        return read_network(arrays)


@lru_cache(16)
def restoring(kind: str, scale: int, level: float) -> Network:
    """Return the network of a kind, for one of its factors in `RESTORED` and a level of damage; errors as above."""
    with _own_file(f"{RESTORED[kind][scale]}.npz") as stream, np.load(stream) as arrays:
        return read_network(arrays, level)


@contextmanager
def _own_file(name: str) -> Iterator[BinaryIO]:
    """Open a file of the package for reading; NumPy leaves a damaged archive open that it opened itself."""
    try:
        with (FOLDER / name).open("rb") as stream:
            yield stream
    except Exception as error:  # a damaged archive raises anything
        raise UpscaleError(f"the package's own {name} is missing or damaged; install upscale-cli again.") from error

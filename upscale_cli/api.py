"""The Python face: `upscale` on arrays."""

import os
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods import Method, Scale, find_method, resolve
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.strips import share_out, strip_ranges
from upscale_cli.methods.upsampler import Array

WORTH_THREADS = 1 << 19
"""Output values from which on a pool of threads gains more than it costs to start."""


def upscale(
    array: ArrayLike,
    scale: Any = None,
    method: str = "lanczos",
    *,
    size: Any = None,
    threads: int | None = None,
    **parameters: Any,
) -> NDArray[Any]:
    """The array, larger, by a method of `METHODS`.

    Output `j` lies at `(j + ½)/scale − ½` of the input (pixel centres). Weighted methods work in float32, or float64
    for types that hold more, and round half up and clamp once, at the end, for integers.

    Parameters
    ----------
    array : array (H, W), (H, W, C) or (N, H, W, C)
        Any bool, integer or float dtype; it is not changed. Channels are independent, alpha is one like the others;
        but `learned` takes three channels for red, green and blue.
    scale : number, text or pair of numbers, optional
        At least 1; a pair is (vertical, horizontal). 2 where neither it nor `size` is given.
    method : str
        A name of `METHODS`.
    size : (int, int), optional
        Height and width of the output, instead of a scale. For a method with a parameter of that name, what is no
        pair of numbers is that parameter (`size="large"`).
    threads : int, optional
        At least 1; as many as there are processors where absent.
    **parameters
        Those of the method's row.

    Returns
    -------
    array
        Of the same number of dimensions and dtype.

    Raises
    ------
    UpscaleError
        When the method cannot do this; `UsageError`, a kind of it, when no method could.

    Examples
    --------
    >>> import numpy as np
    >>> upscale(np.array([[1, 2], [3, 4]]), 2, "nearest").tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    >>> upscale(np.array([[1, 2], [3, 4]]), 2, "bed-of-nails").tolist()
    [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    >>> upscale([[1, 2], [3, 4]], 2, "max-unpooling", indices=[[5, 2], [8, 15]]).tolist()
    [[0, 0, 2, 0], [0, 1, 0, 0], [3, 0, 0, 0], [0, 0, 0, 4]]
    >>> upscale([[1, 2], [3, 4]], 1, "transposed-conv", kernel=[[1, 1], [1, 1]], padding=0).tolist()
    [[1, 3, 2], [4, 10, 6], [3, 7, 4]]
    >>> upscale(np.float32([[0, 1]]), size=(1, 4), method="bilinear").tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    source = np.asarray(array)
    check_array(source)
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads cannot work; give at least 1.")
    row = find_method(method)
    if size is not None and not _is_size(size) and any(p.name == "size" for p in row.parameters):
        parameters, size = parameters | {"size": size}, None
    told = row.read(parameters)
    stack = source if source.ndim == 4 else source.reshape(1, *source.shape[:2], -1)
    exact, (height, width, channels) = resolve(row, _shape3(stack.shape[1:]), scale, size, told)
    samples = Samples(source.dtype, stack.shape[3], source.dtype, constants=row.keeps_constants)
    result = np.empty((len(stack), height, width, channels), source.dtype)
    count = threads or os.cpu_count() or 1
    helpers = count - 1 if result.size >= WORTH_THREADS else 0
    pool = ThreadPoolExecutor(helpers) if helpers else None
    try:
        for image, (old, new) in enumerate(zip(stack, result, strict=True)):
            parameters_of_image = told | _indices_of(told, image, stack.ndim == source.ndim)
            _fill(row, old, new, exact, samples, parameters_of_image, pool, helpers)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    if source.ndim == 4:
        return result
    return result[0] if source.ndim == 3 or channels > 1 else result[0, :, :, 0]


def _is_size(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(n, Integral) for n in value)


def _shape3(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width, channels = shape
    return height, width, channels


def _indices_of(told: dict[str, Any], image: int, stacked: bool) -> dict[str, Any]:
    """The indices of one image of a stack."""
    indices = told.get("indices")
    return {"indices": indices[image]} if stacked and indices is not None and indices.ndim == 4 else {}


def _fill(
    row: Method,
    source: Array,
    out: Array,
    scale: Scale,
    samples: Samples,
    told: dict[str, Any],
    pool: ThreadPoolExecutor | None,
    helpers: int,
) -> None:
    upsampler = row.make(source, scale, out.shape[:2], samples, told)
    finish = samples.finisher(row.values == "weighed")

    def work(start: int, stop: int) -> None:
        upsampler.rows(start, stop, out[start:stop], finish)

    share_out(work, strip_ranges(upsampler), pool, helpers)


def check_array(source: Array) -> None:
    """Raise `UpscaleError` when an array is not one of images: its type, its rank, an empty side."""
    if source.dtype.kind not in "biuf" or source.dtype.itemsize > 8:
        raise UpscaleError(f"an array of {source.dtype} is not an image; use bool, integers or floats up to 64 bits.")
    if source.ndim not in (2, 3, 4):
        raise UpscaleError(
            f"an array of shape {source.shape} is not an image; use (H, W), (H, W, C) or (N, H, W, C)."
        )
    if 0 in source.shape:
        raise UpscaleError(f"an array of shape {source.shape} has no pixels.")

"""The Python interface: `upscale` for arrays."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from upscale_cli.blas import one_blas_thread
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.machine.processors import processors
from upscale_cli.methods import Shape, find_method, resolve
from upscale_cli.methods.parameters import read_scale
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.strips import share_out, strip_ranges
from upscale_cli.methods.upsampler import Array, Upsampler

WORTH_THREADS = 1 << 19
"""Fewest output values for which a pool of threads saves more time than it takes to start."""


def upscale(
    array: ArrayLike,
    scale: Any = None,
    method: str = "lanczos",
    *,
    size: Any = None,
    threads: int | None = None,
    **parameters: Any,
) -> NDArray[Any]:
    """Return the array, enlarged by a method of `METHODS`.

    Output `j` lies at `(j + ½)/scale − ½` of the input (pixel centres). Methods that weigh samples compute in
    float32, or in float64 for types with more digits. Integers are rounded half up and clamped once, at the end.

    Parameters
    ----------
    array : array (H, W), (H, W, C) or (N, H, W, C)
        Any bool, integer or float dtype; it is not modified. Channels are independent, alpha included, except that
        `learned` treats three channels as red, green and blue.
    scale : number, text or pair of numbers, optional
        At least 1; a pair is (vertical, horizontal). The default is 2 if `size` is not given either.
    method : str
        A name of `METHODS`, or of a method or filter of another installed package.
    size : (int, int), optional
        Height and width of the output, instead of a scale. If the method has a parameter `size`, any value that is
        not a pair of integers is that parameter (`size="large"`).
    threads : int, optional
        At least 1; by default one per processor.
    **parameters
        Parameters of the method.

    Returns
    -------
    array
        With the number of dimensions and the dtype of the input.

    Raises
    ------
    UpscaleError
        If the method cannot do this. `UsageError`, a subclass, if the request is invalid for every array.

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
        raise UsageError(f"threads must be at least 1, got {threads}.")
    chosen = find_method(method)
    if size is not None and not _is_size(size) and any(p.name == "size" for p in chosen.parameters):
        parameters, size = parameters | {"size": size}, None
    read = chosen.read_parameters(parameters)
    stack = source if source.ndim == 4 else source.reshape(1, *source.shape[:2], -1)
    factors = None if scale is None else read_scale(scale)
    exact, shape = resolve(chosen, _shape(stack), scale=factors, size=size, parameters=read)
    samples = Samples(source.dtype, stack.shape[3], source.dtype, constants=chosen.keeps_constants)
    finish = samples.finisher(chosen.values == "weighed")
    result = np.empty((len(stack), *shape), source.dtype)
    large = result.size >= WORTH_THREADS
    helpers = (threads or processors()) - 1 if large else 0
    # For a single thread as well: BLAS with several adds in another order, and the number of threads changes no bit.
    with one_blas_thread() if large else nullcontext(), _pool(helpers) as pool:
        for number, (image, out) in enumerate(zip(stack, result, strict=True)):
            own = read | _indices_of(read, number, stacked=source.ndim == 4)
            upsampler = chosen.make(image, scale=exact, size=shape[:2], samples=samples, parameters=own)

            def work(start: int, stop: int, upsampler: Upsampler = upsampler, out: Array = out) -> None:
                upsampler.rows(start, stop, out[start:stop], finish)

            share_out(work, strip_ranges(upsampler), pool, helpers)
    if source.ndim == 4:
        return result
    return result[0] if source.ndim == 3 or shape[2] > 1 else result[0, :, :, 0]


def _is_size(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(n, Integral) for n in value)


def _shape(stack: Array) -> Shape:
    _, height, width, channels = stack.shape
    return height, width, channels


def _indices_of(parameters: Mapping[str, Any], number: int, *, stacked: bool) -> dict[str, Any]:
    """Return the indices of one image of a stack, if each has its own."""
    indices = parameters.get("indices")
    return {"indices": indices[number]} if stacked and indices is not None and indices.ndim == 4 else {}


@contextmanager
def _pool(helpers: int) -> Iterator[ThreadPoolExecutor | None]:
    """Provide helping threads for the strips of an array; None for no helpers."""
    pool = ThreadPoolExecutor(helpers) if helpers else None
    try:
        yield pool
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def check_array(source: Array) -> None:
    """Raise `UpscaleError` if an array cannot be an image: its dtype, its number of dimensions, an empty side."""
    if source.dtype.kind not in "biuf" or source.dtype.itemsize > 8:
        raise UpscaleError(f"an array of {source.dtype} is not an image; use bool, integers or floats up to 64 bits.")
    if source.ndim not in (2, 3, 4):
        raise UpscaleError(
            f"an array of shape {source.shape} is not an image; use (H, W), (H, W, C) or (N, H, W, C)."
        )
    if 0 in source.shape:
        raise UpscaleError(f"an array of shape {source.shape} has no pixels.")

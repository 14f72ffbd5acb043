"""The Python interface: `upscale` for arrays."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from numbers import Integral
from typing import Any, SupportsFloat, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from upscale_cli.blas import one_blas_thread
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.machine.processors import processors
from upscale_cli.methods import Method, MethodName, find_method, resolve
from upscale_cli.methods.parameters import Uniform, read_scale
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.stacks import axes_of, from_stack, stack_shape, to_stack
from upscale_cli.methods.strips import share_out, strip_ranges
from upscale_cli.methods.upsampler import Array

WORTH_THREADS = 1 << 19
"""Fewest output values for which a pool of threads saves more time than it takes to start."""
Scalar = TypeVar("Scalar", bound=np.generic)
Factor = SupportsFloat | str
PLAIN_MODES = frozenset(("1", "L", "LA", "RGB", "RGBA", "I", "F", "I;16"))
"""The modes of Pillow that NumPy and back changes nothing in."""


@overload
def upscale(
    array: NDArray[Scalar],
    scale: Factor | Iterable[Factor] | None = None,
    method: MethodName | Method = "lanczos",
    *,
    size: Any = None,
    channels_first: bool | None = None,
    threads: int | None = None,
    **parameters: Any,
) -> NDArray[Scalar]: ...
@overload
def upscale(
    array: ArrayLike,
    scale: Factor | Iterable[Factor] | None = None,
    method: MethodName | Method = "lanczos",
    *,
    size: Any = None,
    channels_first: bool | None = None,
    threads: int | None = None,
    **parameters: Any,
) -> NDArray[Any]: ...
def upscale(
    array: ArrayLike,
    scale: Any = None,
    method: str | Method = "lanczos",
    *,
    size: Any = None,
    channels_first: bool | None = None,
    threads: int | None = None,
    **parameters: Any,
) -> NDArray[Any]:
    """Return the array, enlarged by a method of `METHODS`.

    Output `j` lies at `(j + ½)/scale − ½` of the input (pixel centres). Methods that weigh samples compute in
    float32, or in float64 for types with more digits. Integers are rounded half up and clamped once, at the end.

    Parameters
    ----------
    array : array (H, W), (H, W, C) or (N, H, W, C)
        Or, with three factors, volumes: those with (D, H, W) in the place of (H, W); with one, lines: with (W).
        Any bool, integer or float dtype; it is not modified. Channels are independent, alpha included, except that
        `learned` treats three channels as red, green and blue.
    scale : number, text or sequence of numbers, optional
        At least 1. Its length is the number of spatial axes: a pair is (vertical, horizontal), three are (depth,
        vertical, horizontal), one is a line's. A number is the factor of every axis: of two, but of three if the
        array has five dimensions, and one if it has one. The default is 2 if `size` is not given either.
    method : str or Method
        A name of `METHODS`, or of a method or filter of another installed package. Type checkers know the names of
        this package; for others they take the method itself, `METHODS["theirs"]`.
    size : (int, int), optional
        Height and width of the output, instead of a scale; of a volume depth before them, of a line its width. If the
        method has a parameter `size`, any value that is none of these is that parameter (`size="large"`).
    channels_first : bool, optional
        The array is (C, H, W) or (N, C, H, W), and so is the result. By default the last axis is the channels, and
        arrays of which that is doubtful are refused; False accepts them.
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
    >>> upscale([[1, 2], [3, 4]], 1, "transposed-conv", kernel=[[1, 1], [1, 1]], padding=0).tolist()
    [[1, 3, 2], [4, 10, 6], [3, 7, 4]]
    >>> upscale(np.float32([[0, 1]]), size=(1, 4), method="bilinear").tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    >>> upscale([[[0, 8]], [[16, 24]]], (2, 1, 1), method="bilinear").tolist()
    [[[0, 8]], [[4, 12]], [[12, 20]], [[16, 24]]]
    """
    source = _read_array(array)
    if not isinstance(channels_first, bool | None):
        raise UsageError(f"channels_first must be True or False, got {channels_first!r}.")
    if threads is not None and (not isinstance(threads, Integral) or threads < 1):
        raise UsageError(f"threads must be an integer of at least 1, got {threads!r}.")
    chosen = method if isinstance(method, Method) else find_method(method)
    if size is not None and not _is_size(size):
        if not any(p.name == "size" for p in chosen.parameters):
            raise UsageError(f"size must be two integers (vertical, horizontal), got {size!r}.")
        parameters, size = parameters | {"size": size}, None
    read = chosen.read_parameters(parameters)
    for parameter in chosen.parameters:
        parameter.kind.check(read[parameter.name])
    factors = None if scale is None else read_scale(scale)
    axes = axes_of(source.ndim, size or factors)
    if isinstance(factors, Uniform):
        factors = factors.spread(axes)
    words = "channels_first=True", "channels_first=False"
    count, *before = stack_shape(source.shape, channels_first, words, axes)
    exact, shape = resolve(chosen, tuple(before), scale=factors, size=size, parameters=read, shown=_in_python)
    samples = Samples(source.dtype, before[-1], source.dtype, constants=chosen.settled(read).keeps_constants)
    try:
        result = np.empty((count, *shape), source.dtype)
    except (MemoryError, ValueError) as error:
        raise UpscaleError(f"a result of {_in_python(shape[:-1])} does not fit into memory; enlarge less.") from error
    large = result.size >= WORTH_THREADS
    helpers = (threads or processors()) - 1 if large else 0
    # For a single thread as well: BLAS with several adds in another order, and the number of threads changes no bit.
    workers = ThreadPoolExecutor(helpers) if helpers else nullcontext()
    with one_blas_thread() if large else nullcontext(), workers as pool:
        for number, (image, whole) in enumerate(zip(to_stack(source, channels_first, axes), result, strict=True)):
            own = read | _indices_of(read, number, source.ndim == axes + 2, (channels_first, axes))
            upsampler = chosen.make(image, scale=exact, size=shape[:-1], samples=samples, parameters=own)
            place = whole.reshape(upsampler.shape)
            rows = partial(upsampler.rows, finish=samples.finisher(chosen.values == "weighed", upsampler.averages))

            def work(start: int, stop: int, rows: Callable[..., Array] = rows, out: Array = place) -> None:
                rows(start, stop, out[start:stop])

            share_out(work, strip_ranges(upsampler), pool, helpers)
    return np.ascontiguousarray(from_stack(result, source.ndim, channels_first))


def _is_size(value: Any) -> bool:
    return isinstance(value, tuple | list) and 1 <= len(value) <= 3 and all(isinstance(n, Integral) for n in value)


def _in_python(pair: Sequence[Any], last: bool = True) -> str:
    """Return factors or sides as Python programs have them; if they end a sentence, with the order of two."""
    order = " (vertical, horizontal)" if last and len(pair) == 2 else ""
    return f"({', '.join(f'{float(side):.15g}' for side in pair)}){order}"


def _indices_of(read: dict[str, Any], number: int, stacked: bool, layout: tuple[bool | None, int]) -> dict[str, Any]:
    """Return the indices of one image of a stack, if each has its own; those of channels first as (H, W, C)."""
    indices, axes = read.get("indices"), layout[1]
    if indices is None or indices.ndim - axes not in (1, 2):
        return {}
    stack, own = to_stack(indices, *layout), stacked and indices.ndim == axes + 2
    return {"indices": stack[number] if own else from_stack(stack, indices.ndim, False)}


def _read_array(array: Any) -> Array:
    """Return what was given as an array; raises `UsageError` if it is none, or something that is more than one."""
    kinds = {(each.__module__.partition(".")[0], each.__name__) for each in type(array).__mro__}
    if ("PIL", "Image") in kinds:
        colours = "RGBA" if array.mode == "PA" or "transparency" in array.info else "RGB"
        convert = "" if array.mode in PLAIN_MODES else f'.convert("{colours}")'
        raise UsageError(
            f"a Pillow image is no array; use PIL.Image.fromarray(upscale(numpy.asarray(image{convert}), ...))."
        )
    if ("torch", "Tensor") in kinds:
        wide = ".float()" if str(array.dtype) == "torch.bfloat16" else ""
        raise UsageError(
            "a tensor is no array; use "
            f"torch.from_numpy(upscale(tensor.detach(){wide}.cpu().numpy(), ..., channels_first=True))."
        )
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise UsageError("what a masked array hides would be blended with the rest; give array.filled(value).")
    try:
        source = np.asarray(array)
    except Exception as error:  # objects of other packages raise anything
        reason = " ".join(str(error).split()).rstrip(".")
        raise UsageError(f"a {type(array).__name__} cannot be read as an array: {reason}.") from error
    if source.dtype.kind not in "biuf" or source.dtype.itemsize > 8:
        raise UpscaleError(f"an array of {source.dtype} is not an image; use bool, integers or floats up to 64 bits.")
    return source

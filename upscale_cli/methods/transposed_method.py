"""The method `transposed-conv`, and how it is made; `transposed` has the arithmetic."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods.method import Method, Parameters, Shape, Size, WorkingMemory, cell_size
from upscale_cli.methods.parameters import ArrayValue, Choice, Integer, Parameter, PerAxis, Scale, per_axis, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler

SHARED = "same-upper", "same-lower"
"""Words for a padding that is shared between the two ends of an axis."""


def _each(parameters: Parameters, name: str, axes: int) -> tuple[Any, ...]:
    return per_axis(f"transposed-conv: {name}", parameters[name] or (0,), axes)


def undilated_kernel(shape: Shape, scale: Scale, parameters: Parameters) -> "NDArray[np.float64]":
    """Return the kernel that was given or is shipped for the scale, checked, as `check_kernel` returns it."""
    from upscale_cli.methods import shipped
    from upscale_cli.methods.kernel import check_kernel

    if parameters["kernel"] is None and len(scale) != 2:
        raise UpscaleError("transposed-conv has kernels only for images; give one with --kernel.")
    kernel = shipped.kernel(cell_size(scale)) if parameters["kernel"] is None else parameters["kernel"]
    return check_kernel(kernel, shape[-1], parameters["groups"], len(scale))


def dilated_kernel(shape: Shape, scale: Scale, parameters: Parameters) -> "NDArray[np.float64]":
    """Return the kernel with the zeros of its dilation."""
    from upscale_cli.methods.kernel import dilate

    return dilate(undilated_kernel(shape, scale, parameters), _each(parameters, "dilation", len(scale)))


def phase_sums(shape: Shape, scale: Scale, parameters: Parameters) -> "NDArray[np.float64]":
    """Return the sums of the kernel's phases, as `kernel.phase_sums` does."""
    from upscale_cli.methods import kernel

    return kernel.phase_sums(dilated_kernel(shape, scale, parameters), cell_size(scale))


def placed(shape: Shape, scale: Scale, parameters: Parameters) -> list[tuple[int, int]]:
    """Return, for each axis, the full coordinate of its first output, and the number of outputs.

    The full output has `(n − 1)·stride + dilation·(k − 1) + 1 + output_padding` values (`ConvTranspose2d`). A padding
    in numbers is cut off. For `same-upper` and `same-lower` it is what is more than `output_shape` or, where there is
    none, than `n·stride`; half of it is cut off at each end, an odd value at the end or at the beginning (`auto_pad`
    of ONNX's `ConvTranspose`). `same` puts the centre of the kernel on that of the cell, or as near to it as
    possible. Raises `UpscaleError` if nothing is left, or parameters contradict each other.
    """
    axes, stride, padding = len(scale), cell_size(scale), parameters["padding"]
    wanted, extra, edge = (parameters[name] for name in ("output_shape", "output_padding", "edge"))
    if edge is not None and padding != "same":
        raise UsageError("transposed-conv: edge applies only to padding=same; omit it.")
    if wanted is not None and padding not in SHARED:
        raise UsageError("transposed-conv: output_shape applies only to padding=same-upper or same-lower; give one.")
    if extra is not None and padding == "same":
        raise UsageError("transposed-conv: output_padding applies only to a padding in numbers; omit it.")
    extra, dilation = (_each(parameters, name, axes) for name in ("output_padding", "dilation"))
    if any(o >= max(s, d) for o, s, d in zip(extra, stride, dilation, strict=True)):
        raise UsageError("transposed-conv: output_padding must be smaller than the scale or the dilation.")
    kernel = undilated_kernel(shape, scale, parameters).shape[-axes:]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    full = [(n - 1) * s + r + o for n, s, r, o in zip(shape, stride, reach, extra, strict=False)]
    cells = [n * s for n, s in zip(shape, stride, strict=False)]
    if padding == "same":  # int() rounds to 0
        return [(int((r - s) / 2), cell) for r, s, cell in zip(reach, stride, cells, strict=True)]
    if padding in SHARED:
        sizes = _each(parameters, "output_shape", axes) if wanted else tuple(map(min, cells, full))
        if any(size - f >= s for size, f, s in zip(sizes, full, stride, strict=True)):
            raise UpscaleError(f"output_shape {shown(sizes)} is more than the kernel reaches; use a smaller one.")
        odd = padding == "same-lower"
        return [((max(0, f - size) + odd) // 2, size) for f, size in zip(full, sizes, strict=True)]
    ends = _each(parameters, "padding", axes)
    sizes = tuple(f - before - after for f, (before, after) in zip(full, ends, strict=True))
    if min(sizes) < 1:
        raise UpscaleError(f"padding leaves nothing of the output ({shown(sizes)}); use a smaller one.")
    return [(before, size) for (before, _), size in zip(ends, sizes, strict=True)]


def output_shape(shape: Shape, scale: Scale, parameters: Parameters) -> Shape:
    """Return the output's shape; raises `UpscaleError` as `placed` does."""
    kernel = undilated_kernel(shape, scale, parameters)
    channels = kernel.shape[0] * kernel.shape[2]
    if (bias := parameters["bias"]) is not None and (bias.shape != (channels,) or bias.dtype.kind not in "fiub"):
        raise UpscaleError(
            f"bias is {bias.dtype} of shape {bias.shape}; it must be one number for each of {channels} channels."
        )
    return (*(size for _, size in placed(shape, scale, parameters)), channels)


def working_memory(shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
    """Return the working memory, of a separable kernel or another."""
    from upscale_cli.methods.pieces import separable_memory

    def needed(size: Size) -> WorkingMemory:
        kernel, own = parameters["kernel"], [max(1, round(b / a)) for a, b in zip(shape, size, strict=False)]
        sides = [7 * side for side in own] if kernel is None else kernel.shape[-len(size) :]
        dilation = _each(parameters, "dilation", len(size))
        reach = max((k * d) / s for k, d, s in zip(sides, dilation, own, strict=True)) / 2 + 1
        memory = separable_memory(shape, size, reach)
        return memory._replace(rows=max(memory.rows, own[0]))

    return needed


def make(source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters) -> "Upsampler":
    """Return the upsampler of a source."""
    from upscale_cli.methods.transposed import Biased, Stamping, transposed_array

    shape = *source.shape[:-1], samples.channels
    stamping = Stamping(
        kernel=dilated_kernel(shape, scale, parameters),
        stride=cell_size(scale),
        size=size,
        crop=tuple(crop for crop, _ in placed(shape, scale, parameters)),
        edge=(parameters["edge"] or "repeat") if parameters["padding"] == "same" else "zero",
    )
    upsampler = transposed_array(source, stamping, samples.reader(source))
    return upsampler if parameters["bias"] is None else Biased(upsampler, parameters["bias"])


def warn_of_checkerboard(shape: Shape, scale: Scale, parameters: Parameters) -> str | None:
    """Return a warning if the kernel's phases have different sums."""
    import numpy as np

    sums = phase_sums(shape, scale, parameters)
    phases = tuple(range(len(scale)))
    low, high = sums.min(axis=phases), sums.max(axis=phases)
    if np.allclose(low, high, rtol=1e-3, atol=1e-6):
        return None
    worst = int(np.argmax(high - low))
    return (
        f"the kernel's phases sum to {low[worst]:.4g} … {high[worst]:.4g}: flat areas become a checkerboard; "
        "use a kernel whose phases have equal sums"
    )


def explain_kernel(shape: Shape, scale: Scale, parameters: Parameters) -> str:
    """Describe the kernel: where it comes from, its size, whether it is separable, and the sums of its phases."""
    import numpy as np

    from upscale_cli.methods.kernel import separated

    kernel = undilated_kernel(shape, scale, parameters)
    separable = len(scale) == 2 and separated(kernel, np.dtype(np.float32)) is not None
    sums = phase_sums(shape, scale, parameters)
    whose = "fitted to photographs" if parameters["kernel"] is None else "given"
    low, high = f"{sums.min():.4g}", f"{sums.max():.4g}"
    return (
        f"the kernel {whose}, {'x'.join(map(str, kernel.shape[:2:-1]))}{', separable' * separable}; "
        f"its phases sum to {low if low == high else f'{low} … {high}'}"
    )


TRANSPOSED_CONV = Method(
    name="transposed-conv",
    summary="stamps a kernel, its own or one from a .npy file, stride = scale",
    when="reduced photographs, cheaper than learned; own kernels",
    group="learned",
    compared=True,
    source="Zeiler et al. 2010; Dumoulin & Visin 2016",
    make=make,
    known_as=("deconvolution", "convtranspose1d", "convtranspose2d", "convtranspose3d", "conv-transpose", "kernel"),
    output_shape=output_shape,
    parameters=(
        Parameter(
            name="kernel",
            kind=ArrayValue("an array (kh, kw), (C, kh, kw) or (C_in, C_out / groups, kh, kw); of volumes with kd"),
            default=None,
            summary="the weights to stamp [for 2, 3 and 4: fitted to photographs]",
        ),
        Parameter(
            name="groups",
            kind=Integer(1),
            default=None,
            summary="groups of channels, for kernels with channels in and out",
        ),
        Parameter(
            name="bias",
            kind=ArrayValue("an array (C_out)"),
            default=None,
            summary="numbers to add to each channel of the result",
        ),
        Parameter("dilation", PerAxis(1), default=(1,), summary="spacing between kernel elements"),
        Parameter(
            name="padding",
            kind=PerAxis(0, "same", *SHARED, ends=True),
            default="same",
            summary="same, same-upper, same-lower: exactly the scale; a number: cropped on each side",
        ),
        Parameter("output_padding", PerAxis(0), default=None, summary="added at the end, with a padding in numbers"),
        Parameter(
            name="output_shape",
            kind=PerAxis(1),
            default=None,
            summary="the sides of the result, with padding=same-upper or same-lower [the scale's]",
        ),
        Parameter(
            name="edge",
            kind=Choice("repeat", "zero"),
            default=None,
            summary="outside the image, with padding=same [repeat]",
        ),
    ),
    integer_scale=True,
    keeps_constants=False,
    interpolates=False,
    volumes=True,
    by_rows=True,
    symmetric=False,
    working_memory=working_memory,
    warn=warn_of_checkerboard,
    explain=explain_kernel,
)

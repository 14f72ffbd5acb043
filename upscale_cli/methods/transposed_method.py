"""The method `transposed-conv`, and how it is made; `transposed` has the arithmetic."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods.method import Method, Parameters, Shape, Size, WorkingMemory, cell_size
from upscale_cli.methods.parameters import ArrayValue, Choice, Integer, Pair, Parameter, Scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler


def undilated_kernel(shape: Shape, scale: Scale, parameters: Parameters) -> "NDArray[np.float64]":
    """Return the kernel that was given or is shipped for the scale, checked, as `check_kernel` returns it."""
    from upscale_cli.methods import shipped
    from upscale_cli.methods.transposed import check_kernel

    kernel = shipped.kernel(cell_size(scale)) if parameters["kernel"] is None else parameters["kernel"]
    return check_kernel(kernel, shape[2], parameters["groups"])


def dilated_kernel(shape: Shape, scale: Scale, parameters: Parameters) -> "NDArray[np.float64]":
    """Return the kernel with the zeros of its dilation."""
    from upscale_cli.methods.transposed import dilate

    return dilate(undilated_kernel(shape, scale, parameters), parameters["dilation"])


def output_shape(shape: Shape, scale: Scale, parameters: Parameters) -> Shape:
    """Return the output's shape, by PyTorch's formula for a padding in numbers; raises `UpscaleError`.

    On an axis: `(n − 1)·stride + dilation·(k − 1) + 1 − 2·padding + output_padding` (`ConvTranspose2d`).
    """
    kernel, stride = undilated_kernel(shape, scale, parameters), cell_size(scale)
    channels = kernel.shape[0] * kernel.shape[2]
    if parameters["padding"] == "same":
        if parameters["output_padding"] is not None:
            raise UsageError("transposed-conv: output_padding applies only to a padding in numbers; omit it.")
        return shape[0] * stride[0], shape[1] * stride[1], channels
    if parameters["edge"] is not None:
        raise UsageError("transposed-conv: edge applies only to padding=same; omit it.")
    extra = parameters["output_padding"] or (0, 0)
    if any(o >= max(s, d) for o, s, d in zip(extra, stride, parameters["dilation"], strict=True)):
        raise UsageError("transposed-conv: output_padding must be smaller than the scale or the dilation.")
    sides = shape[:2], stride, kernel.shape[-2:], parameters["dilation"], parameters["padding"], extra
    height, width = ((n - 1) * s + (k - 1) * d + 1 - 2 * p + o for n, s, k, d, p, o in zip(*sides, strict=True))
    if height < 1 or width < 1:
        raise UpscaleError(f"padding leaves nothing of the output ({height} high, {width} wide); use a smaller one.")
    return height, width, channels


def working_memory(shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
    """Return the working memory, of a separable kernel or another."""
    from upscale_cli.methods.pieces import separable_memory

    def needed(size: Size) -> WorkingMemory:
        kernel, own = parameters["kernel"], [max(1, round(b / a)) for a, b in zip(shape, size, strict=False)]
        sides = [7 * side for side in own] if kernel is None else kernel.shape[-2:]
        reach = max((k * d) / s for k, d, s in zip(sides, parameters["dilation"], own, strict=True)) / 2 + 1
        memory = separable_memory(shape, size, reach)
        return memory._replace(rows=max(memory.rows, own[0]))

    return needed


def make(source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters) -> "Upsampler":
    """Return the upsampler of a source."""
    from upscale_cli.methods.transposed import Stamping, transposed

    kernel = dilated_kernel((*source.shape[:2], samples.channels), scale, parameters)
    stride, crop, edge = cell_size(scale), parameters["padding"], "zero"
    if crop == "same":
        # The kernel's centre is put on the cell's centre, or as near to it as possible. int() rounds to 0.
        crop = tuple(int((k - s) / 2) for k, s in zip(kernel.shape[-2:], stride, strict=True))
        edge = parameters["edge"] or "repeat"
    stamping = Stamping(kernel=kernel, stride=stride, size=size, crop=crop, edge=edge)
    return transposed(source, stamping, samples.reader(source))


def warn_of_checkerboard(shape: Shape, scale: Scale, parameters: Parameters) -> str | None:
    """Return a warning if the kernel's phases have different sums."""
    import numpy as np

    from upscale_cli.methods.transposed import phase_sums

    sums = phase_sums(dilated_kernel(shape, scale, parameters), cell_size(scale))
    low, high = sums.min(axis=(0, 1)), sums.max(axis=(0, 1))
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

    from upscale_cli.methods.transposed import phase_sums, separated

    kernel = undilated_kernel(shape, scale, parameters)
    kind = "" if separated(kernel, np.dtype(np.float32)) is None else ", separable"
    sums = phase_sums(dilated_kernel(shape, scale, parameters), cell_size(scale))
    whose = "fitted to photographs" if parameters["kernel"] is None else "given"
    low, high = f"{sums.min():.4g}", f"{sums.max():.4g}"
    return (
        f"the kernel {whose}, {kernel.shape[-1]}x{kernel.shape[-2]}{kind}; "
        f"its phases sum to {low if low == high else f'{low} … {high}'}"
    )


TRANSPOSED_CONV = Method(
    name="transposed-conv",
    summary="stamps a kernel, its own or one from a .npy file, stride = scale",
    when="reduced photographs, cheaper than learned; your own kernels",
    group="learned",
    compared=True,
    source="Zeiler et al. 2010; Dumoulin & Visin 2016",
    make=make,
    known_as=("deconvolution", "convtranspose2d", "conv-transpose", "kernel"),
    output_shape=output_shape,
    parameters=(
        Parameter(
            name="kernel",
            kind=ArrayValue("an array (kh, kw), (C, kh, kw) or (C_in, C_out / groups, kh, kw)"),
            default=None,
            summary="the weights to stamp [for 2, 3 and 4: fitted to photographs]",
        ),
        Parameter(
            name="groups",
            kind=Integer(1),
            default=None,
            summary="groups of channels, for kernels of four dimensions",
        ),
        Parameter(name="dilation", kind=Pair(1), default=(1, 1), summary="spacing between kernel elements"),
        Parameter(
            name="padding",
            kind=Pair(0, "same"),
            default="same",
            summary="same: exactly the scale; a number: cropped on each side",
        ),
        Parameter(
            name="output_padding",
            kind=Pair(0),
            default=None,
            summary="added at the end, with a padding in numbers",
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
    symmetric=False,
    working_memory=working_memory,
    warn=warn_of_checkerboard,
    explain=explain_kernel,
)

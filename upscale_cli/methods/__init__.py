"""The methods, one row of `METHODS` each. Arrays in, rows out: this package opens no file and prints nothing.

A row says what a method is, what it can be told, how large its output is, how an upsampler is made, and what it
promises. Everything else (the command line and its help, the check of parameters, the documentation, the tests)
reads the row and never asks for a name.

The table is read by `--help`, which must not wait for NumPy: what needs it is imported when a row is put to work.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from upscale_cli.errors import UpscaleError, UsageError, did_you_mean
from upscale_cli.methods.parameters import (
    REQUIRED,
    Parameter,
    Scale,
    archive,
    array,
    choice,
    number,
    pair,
    read_parameters,
    read_scale,
    round_side,
    whole,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from upscale_cli.methods.network import Network
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler

__all__ = ["METHODS", "Held", "Method", "Parameter", "Scale", "Size", "find_method", "resolve"]

Size = tuple[int, int]
Shape = tuple[int, int, int]
Parameters = Mapping[str, Any]
Remark = Callable[[Shape, Scale, Parameters], str | None]


def _no_remark(shape: Shape, scale: Scale, told: Parameters) -> str | None:
    return None


class Held(NamedTuple):
    """What a method holds at work: rows of a band; values, and values a thread, besides bands of the output."""

    rows: int = 1
    values: int = 0
    values_a_thread: int = 0


def _holds_nothing(shape: Shape, told: Parameters) -> Callable[[Size], Held]:
    return lambda size: Held()


class Method(NamedTuple):
    """One row: a way to make an image larger.

    Attributes
    ----------
    name, summary, when, source : str
        What users type, what it does, when to choose it, and who defined it.
    parameters : tuple of Parameter
    make : callable(source, scale, size, samples, parameters) -> Upsampler
        For a source (H, W, C), exact factors, the output's height and width, and the meaning of the samples.
    shape : callable(shape, scale, parameters) -> (H', W', C')
        The output's shape; raises `UpscaleError` where there is none.
    variants : tuple of str
        Parameters, as KEY=VALUE, that make another method of it to compare with.
    values : {"copied", "placed", "weighed"}
        Outputs are the source's own values; or those and zeros; or weighted sums.
    whole : bool
        Only whole factors make sense.
    resizable : bool
        It can make any size that it is asked for, at least the source's.
    keeps_constants : bool
        A constant image stays constant.
    interpolates : bool
        Scale 1 is the identity.
    independent : bool
        No channel influences another.
    symmetric : bool
        It commutes with flips and transposition, ties aside; otherwise it is anchored at a corner, or by its arrays.
    held : callable(shape, parameters) -> callable(size) -> Held
        What making an output of some height and width takes, about, where samples are finite.
    warn : callable(shape, scale, parameters) -> str or None
        What a user should know about these parameters before using the result.
    explain : callable(shape, scale, parameters) -> str or None
        What the method decided by itself, for those who want to know.
    """

    name: str
    summary: str
    when: str
    source: str
    make: "Callable[[Array, Scale, Size, Samples, Parameters], Upsampler]"
    shape: Callable[[Shape, Scale, Parameters], Shape]
    parameters: tuple[Parameter, ...] = ()
    variants: tuple[str, ...] = ()
    values: Literal["copied", "placed", "weighed"] = "weighed"
    whole: bool = False
    resizable: bool = False
    keeps_constants: bool = True
    interpolates: bool = True
    independent: bool = True
    symmetric: bool = True
    warn: Remark = _no_remark
    explain: Remark = _no_remark
    held: Callable[[Shape, Parameters], Callable[[Size], Held]] = _holds_nothing

    def read(self, given: Parameters) -> dict[str, Any]:
        """Given parameters, text or Python values, completed and checked; raises `UsageError`."""
        return read_parameters(self.name, self.parameters, given)

    def check_scale(self, scale: Scale) -> None:
        """Raise `UpscaleError` when the method cannot have these factors."""
        if self.whole and any(s.denominator != 1 for s in scale):
            shown = "x".join(f"{float(s):g}" for s in dict.fromkeys(reversed(scale)))
            raise UpscaleError(f"{self.name} needs a whole factor, not {shown}; try {max(1, round(scale[0]))}.")


def _rounded(shape: Shape, scale: Scale, parameters: Parameters) -> Shape:
    return round_side(shape[0], scale[0]), round_side(shape[1], scale[1]), shape[2]


def _stride(scale: Scale) -> Size:
    return int(scale[0]), int(scale[1])


def _bands(shape: Shape, parameters: Parameters) -> Callable[[Size], Held]:
    """Of filters and transposed convolutions: bands, and little besides."""
    from upscale_cli.methods.upsampler import FEWEST_ROWS

    return lambda size: Held(FEWEST_ROWS)


def _filter_row(name: str, summary: str, when: str, source: str, *parameters: Parameter) -> Method:
    def make(array: "Array", scale: Scale, size: Size, samples: "Samples", told: Parameters) -> "Upsampler":
        from upscale_cli.methods.filters import FILTERS
        from upscale_cli.methods.resampling import DirectResampler, Resampler, filter_axes

        kind = Resampler if samples.finite(array) else DirectResampler
        axes = filter_axes(array.shape, size, FILTERS[name](**told))
        return kind(array, axes, samples.read, samples.channels, samples.working)

    return Method(name, summary, when, source, make, _rounded, parameters, resizable=True, held=_bands)


def _make_nearest(array: "Array", scale: Scale, size: Size, samples: "Samples", told: Parameters) -> "Upsampler":
    from upscale_cli.methods.placement import Nearest

    return Nearest(array, size)


def _uneven(shape: Shape, scale: Scale, told: Parameters) -> str | None:
    """Copies of a pixel differ in number where the sides of the result are no multiple of the source's."""
    for side, factor in zip(shape[:2], scale, strict=True):
        exact = Fraction(round_side(side, factor), side)
        if exact.denominator != 1:
            low = int(exact)
            return (
                f"{float(exact):.4g} is not a whole factor: pixels are repeated {low} or {low + 1} times, "
                "which shows in pixel art"
            )
    return None


def _make_nails(array: "Array", scale: Scale, size: Size, samples: "Samples", told: Parameters) -> "Upsampler":
    from upscale_cli.methods.placement import BedOfNails

    return BedOfNails(array, _stride(scale), told["position"])


def _make_unpooling(array: "Array", scale: Scale, size: Size, samples: "Samples", told: Parameters) -> "Upsampler":
    import numpy as np

    from upscale_cli.methods.placement import MaxUnpooling, check_indices

    indices = told["indices"]
    if indices.ndim == 2:
        indices = indices[:, :, None]
    elif indices.shape != array.shape and indices.shape == (array.shape[2], *array.shape[:2]):
        indices = np.moveaxis(indices, 0, 2)
    return MaxUnpooling(array, check_indices(indices, array.shape, size), size)


def _undilated(shape: Shape, scale: Scale, told: Parameters) -> "NDArray[np.float64]":
    from upscale_cli.methods import shipped
    from upscale_cli.methods.transposed import check_kernel

    kernel = shipped.kernel(_stride(scale)) if told["kernel"] is None else told["kernel"]
    return check_kernel(kernel, shape[2], told["groups"])


def _kernel(shape: Shape, scale: Scale, told: Parameters) -> "NDArray[np.float64]":
    from upscale_cli.methods.transposed import dilate

    return dilate(_undilated(shape, scale, told), told["dilation"])


def _transposed_shape(shape: Shape, scale: Scale, told: Parameters) -> Shape:
    kernel, stride = _undilated(shape, scale, told), _stride(scale)
    channels = kernel.shape[0] * kernel.shape[2]
    if told["padding"] == "same":
        if told["output_padding"] is not None:
            raise UsageError("transposed-conv: output_padding belongs to a padding in numbers; leave it out.")
        return shape[0] * stride[0], shape[1] * stride[1], channels
    if told["edge"] is not None:
        raise UsageError("transposed-conv: edge belongs to padding=same; leave it out.")
    extra = told["output_padding"] or (0, 0)
    if any(o >= max(s, d) for o, s, d in zip(extra, stride, told["dilation"], strict=True)):
        raise UsageError("transposed-conv: output_padding must be smaller than the scale or the dilation.")
    height, width = (
        (n - 1) * s + (k - 1) * d + 1 - 2 * p + o
        for n, s, k, d, p, o in zip(
            shape[:2], stride, kernel.shape[-2:], told["dilation"], told["padding"], extra, strict=True
        )
    )
    if height < 1 or width < 1:
        raise UpscaleError(f"padding leaves nothing of the output ({width}x{height}); make it smaller.")
    return height, width, channels


def _make_transposed(array: "Array", scale: Scale, size: Size, samples: "Samples", told: Parameters) -> "Upsampler":
    from upscale_cli.methods.transposed import Stamping, transposed

    kernel, stride, padding = (
        _kernel((*array.shape[:2], samples.channels), scale, told),
        _stride(scale),
        told["padding"],
    )
    if padding == "same":
        # The kernel's centre stands on the cell's centre, or as near to it as there is a place. int() rounds to 0.
        padding = tuple(int((k - s) / 2) for k, s in zip(kernel.shape[-2:], stride, strict=True))
        edge = told["edge"] or "repeat"
    else:
        edge = "zero"
    stamping = Stamping(kernel, stride, size, padding, edge)
    return transposed(array, stamping, samples.read, samples.working, samples.finite(array))


def _checkerboard(shape: Shape, scale: Scale, told: Parameters) -> str | None:
    import numpy as np

    from upscale_cli.methods.transposed import phase_sums

    sums = phase_sums(_kernel(shape, scale, told), _stride(scale))
    low, high = sums.min(axis=(0, 1)), sums.max(axis=(0, 1))
    if np.allclose(low, high, rtol=1e-3, atol=1e-6):
        return None
    worst = int(np.argmax(high - low))
    return (
        f"the kernel's phases sum to {low[worst]:.4g} … {high[worst]:.4g}: flat areas become a checkerboard; "
        "choose a kernel whose phases sum alike"
    )


def _kernel_explained(shape: Shape, scale: Scale, told: Parameters) -> str:
    import numpy as np

    from upscale_cli.methods.transposed import phase_sums, separated

    kernel = _undilated(shape, scale, told)
    kind = "" if separated(kernel, np.dtype(np.float32)) is None else ", separable"
    sums = phase_sums(_kernel(shape, scale, told), _stride(scale))
    whose = "fitted to photographs" if told["kernel"] is None else "given"
    low, high = f"{sums.min():.4g}", f"{sums.max():.4g}"
    return (
        f"the kernel {whose}, {kernel.shape[-1]}x{kernel.shape[-2]}{kind}; "
        f"its phases sum to {low if low == high else f'{low} … {high}'}"
    )


def _own_network(told: Parameters) -> "Network | None":
    from upscale_cli.methods.network import read_network

    return None if told["network"] is None else read_network(told["network"])


def _learned_shape(shape: Shape, scale: Scale, told: Parameters) -> Shape:
    if _own_network(told) is not None and told["size"] is not None:
        raise UsageError("learned: size and a network were both given; leave one out.")
    return _rounded(shape, scale, told)


def _network(told: Parameters, own: "Network | None", factor: int) -> "Network":
    from upscale_cli.methods import shipped

    return own or shipped.network(told["size"] or "small", factor)


def _factors(own: "Network | None") -> tuple[int, ...]:
    """Factors that there are networks for."""
    from upscale_cli.methods import shipped

    return (own.scale,) if own else shipped.FACTORS


def _learned_held(shape: Shape, told: Parameters) -> Callable[[Size], Held]:
    from upscale_cli.methods.learned import held

    own = _own_network(told)
    return lambda size: Held(*held(shape, size, _factors(own), lambda factor: _network(told, own, factor)))


def _make_learned(array: "Array", scale: Scale, size: Size, samples: "Samples", told: Parameters) -> "Upsampler":
    from upscale_cli.methods import shipped
    from upscale_cli.methods.learned import chained

    own = _own_network(told)

    def network(factor: int) -> "tuple[Network, NDArray[np.float64]]":
        return _network(told, own, factor), shipped.kernel((factor, factor))

    return chained(
        array,
        size,
        _factors(own),
        network,
        samples.alpha and samples.channels == samples.channels_in,
        samples.read,
        samples.channels,
        samples.working,
        samples.finite(array),
    )


def _networks_explained(shape: Shape, scale: Scale, told: Parameters) -> str:
    from upscale_cli.methods.learned import factors

    own = _own_network(told)
    chain = factors(float(max(scale)), _factors(own))
    sizes = [Fraction(round_side(side, factor), side) for side, factor in zip(shape[:2], scale, strict=True)]
    steps = [f"x{factor}" for factor in chain]
    if any(size != prod(chain) for size in sizes):
        steps.append("an antialiased reduction")
    whose = "the network given" if own else f"the {told['size'] or 'small'} network"
    return f"{whose}: {', then '.join(steps)}"


_ROWS = (
    Method(
        "nearest",
        "repeats the nearest pixel",
        "pixel art, masks, label maps: keeps every value and the palette",
        "nearest neighbour at pixel centres",
        _make_nearest,
        _rounded,
        values="copied",
        resizable=True,
        warn=_uneven,
    ),
    Method(
        "bed-of-nails",
        "sets each pixel into a cell of zeros",
        "decoders of neural networks, signal processing (zero insertion)",
        "zero insertion; Dosovitskiy et al. 2017",
        _make_nails,
        _rounded,
        (Parameter("position", *choice("top-left", "center"), "top-left", "where in its cell the value stands"),),
        values="placed",
        whole=True,
        keeps_constants=False,
        symmetric=False,
    ),
    Method(
        "max-unpooling",
        "puts maxima back where max pooling found them",
        "what upscale-pool made: decoders that need the remembered places",
        "Zeiler & Fergus 2014; Noh, Hong & Han 2015",
        _make_unpooling,
        _rounded,
        (
            Parameter(
                "indices",
                *array("an array of places, one a value"),
                REQUIRED,
                "the places that max pooling remembered; upscale-pool writes them beside the pooled image.",
                file=True,
                beside=".indices.npz",
            ),
        ),
        values="placed",
        whole=True,
        resizable=True,
        keeps_constants=False,
        symmetric=False,
    ),
    _filter_row(
        "bilinear",
        "blends the 2 x 2 nearest pixels",
        "soft and cheap: previews, height maps",
        "triangle filter",
    ),
    _filter_row(
        "bicubic",
        "fits cubics through 4 x 4 pixels",
        "photographs, with less ringing than lanczos",
        "Keys 1981 (a = -1/2); Mitchell & Netravali 1988",
        Parameter("b", *number(0, 1), 0.0, "blur of the cubic: 0 interpolates, 1/3 is Mitchell's"),
        Parameter("c", *number(0, 1), 0.5, "sharpness of the cubic: 1/2 is Catmull-Rom, 1/3 is Mitchell's"),
    ),
    _filter_row(
        "lanczos",
        "windowed sinc over 6 x 6 pixels",
        "photographs, scans, most pictures: the sharpest of the classical filters",
        "Duchon 1979",
        Parameter("a", *whole(2, 8), 3, "lobes: more are sharper and ring further"),
    ),
    Method(
        "transposed-conv",
        "stamps a kernel, its own or one from a .npy file, stride = scale",
        "photographs that were reduced, cheaper than learned; kernels of your own",
        "Zeiler et al. 2010; Dumoulin & Visin 2016",
        _make_transposed,
        _transposed_shape,
        (
            Parameter(
                "kernel",
                *array("an array (kh, kw), (C, kh, kw) or (C_in, C_out / groups, kh, kw)"),
                None,
                "the weights to stamp [for 2, 3 and 4: fitted to photographs]",
                file=True,
            ),
            Parameter("groups", *whole(1), None, "groups of channels, for kernels of four dimensions"),
            Parameter("dilation", *pair(1), (1, 1), "distance of the kernel's taps"),
            Parameter("padding", *pair(0, "same"), "same", "same: exactly the scale; a number: cropped on each side"),
            Parameter("output_padding", *pair(0), None, "added at the end, with a padding in numbers"),
            Parameter("edge", *choice("repeat", "zero"), None, "outside the image, with padding=same [repeat]"),
        ),
        whole=True,
        keeps_constants=False,
        interpolates=False,
        symmetric=False,
        held=_bands,
        warn=_checkerboard,
        explain=_kernel_explained,
    ),
    Method(
        "learned",
        "a convolutional network, trained on photographs",
        "photographs that were reduced: the sharpest and nearest to the truth, and slower",
        "Dong et al. 2016 (FSRCNN); Bhardwaj et al. 2022 (SESR)",
        _make_learned,
        _learned_shape,
        (
            Parameter(
                "size", *choice("small", "large"), None, "of the network: small, or large, which is better [small]"
            ),
            Parameter(
                "network",
                *archive("a mapping of arrays, as numpy.load gives them"),
                None,
                "a network of your own in a .npz file.",
                file=True,
                archive=True,
            ),
        ),
        variants=("size=large",),
        resizable=True,
        independent=False,
        symmetric=False,
        explain=_networks_explained,
        held=_learned_held,
    ),
)

METHODS: dict[str, Method] = {row.name: row for row in _ROWS}
"""Every method by its name, in the order of the documentation."""


def find_method(name: str) -> Method:
    """The row of a name.

    Raises
    ------
    UsageError
        When there is none, with the nearest name and all of them.
    """
    if name not in METHODS:
        raise UsageError(f'no method "{name}".{did_you_mean(name, METHODS)} There are {", ".join(METHODS)}.')
    return METHODS[name]


def resolve(row: Method, shape: Shape, scale: Any, size: Size | None, told: Parameters) -> tuple[Scale, Shape]:
    """The exact factors, and the shape of the output, of a source of `shape` (H, W, C).

    Raises
    ------
    UpscaleError
        When scale and size are both given, the size is smaller than the source, or the method cannot have it.
    """
    if size is None:
        exact = read_scale(2 if scale is None else scale)
        row.check_scale(exact)
        return exact, row.shape(shape, exact, told)
    if scale is not None:
        raise UsageError("a scale and a size were both given; leave one out.")
    if size[0] < shape[0] or size[1] < shape[1]:
        raise UpscaleError(
            f"{size[1]}x{size[0]} is smaller than the image ({shape[1]}x{shape[0]}), and this tool only enlarges."
        )
    exact = Fraction(size[0], shape[0]), Fraction(size[1], shape[1])
    if row.resizable:
        return exact, (*size, shape[2])
    row.check_scale(exact)
    made = row.shape(shape, exact, told)
    if made[:2] != tuple(size):
        raise UpscaleError(f"{row.name} makes {made[1]}x{made[0]} of this, not {size[1]}x{size[0]}; use a scale.")
    return exact, made

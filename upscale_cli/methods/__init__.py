"""The methods. Arrays in, rows out: this package opens no file and prints nothing.

`METHODS` says what each method is, which parameters it has, how large its output is, how an upsampler is made, and
what it promises. Everything else (the command line and its help, the check of parameters, the documentation, the
tests) asks the method and never decides by its name.
"""

from typing import Literal

from upscale_cli.errors import UsageError, did_you_mean
from upscale_cli.methods.filter_method import filter_method
from upscale_cli.methods.filters import FILTERS
from upscale_cli.methods.learned_method import LEARNED
from upscale_cli.methods.method import Method, Shape, Size, WorkingMemory, resolve
from upscale_cli.methods.parameters import Parameter, Scale
from upscale_cli.methods.pixel_art_methods import PIXEL_ART
from upscale_cli.methods.placement_methods import BED_OF_NAILS, MAX_UNPOOLING, NEAREST
from upscale_cli.methods.polar_filters import POLAR
from upscale_cli.methods.transposed_method import TRANSPOSED_CONV
from upscale_cli.plugins import Registry

__all__ = [
    "METHODS",
    "Method",
    "MethodName",
    "Parameter",
    "Scale",
    "Shape",
    "Size",
    "WorkingMemory",
    "find_method",
    "resolve",
]

# fmt: off
MethodName = Literal[
    "nearest", "epx", "scale2x", "scale3x", "eagle", "mmpx", "bed-of-nails", "max-unpooling",
    "box", "bilinear", "hermite", "hamming", "bicubic", "catmull-rom", "mitchell", "b-spline", "gaussian", "spline",
    "spline16", "spline36", "spline64", "lanczos2", "lanczos", "hann", "blackman", "kaiser", "welch", "bartlett",
    "bohman", "cosine", "parzen", "sinc", "mks2013", "mks2021",
    "ewa-lanczos", "ewa-lanczossharp", "ewa-lanczos4sharpest", "jinc", "robidoux", "robidouxsharp",
    "transposed-conv", "learned",
]
# fmt: on
"""The names of the methods of this package, for type checkers."""

METHODS = Registry(
    "upscale_cli.methods",
    (
        NEAREST,
        *PIXEL_ART,
        BED_OF_NAILS,
        MAX_UNPOOLING,
        *map(filter_method, (*FILTERS.values(), *POLAR)),
        TRANSPOSED_CONV,
        LEARNED,
    ),
    kind=Method,
    adapters={"upscale_cli.filters": filter_method},
)
"""Every method by its name, in the order of the documentation."""


def find_method(name: str) -> Method:
    """Return the method of a name.

    Raises
    ------
    UsageError
        If there is none, with the nearest name or, where none is near, all of them.
    """
    method = METHODS.find(name) if isinstance(name, str) else None
    if method is None:
        METHODS.load_plugins()
        words = {word: each.name for each in METHODS.values() for word in each.known_as}
        hint = did_you_mean(str(name), METHODS, words)
        every = f" Methods: {', '.join(METHODS)}."
        raise UsageError(f'unknown method "{name}".{hint or every}')
    return method

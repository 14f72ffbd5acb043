"""Weight functions of distance: the kernels of filters, and the windows that end them.

They know nothing of images, scales or borders; `taps` turns them into taps. NumPy is imported where weights are
computed, because the tables of filters name these functions, and `--help` must not wait for it.
"""

from collections.abc import Callable
from math import comb, factorial, isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from upscale_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Weight = Callable[[Floats], Floats]


class Filter(NamedTuple):
    """A continuous 1-D weight function.

    Attributes
    ----------
    weight : callable
        float64 distances in input samples, any shape, to float64 weights of that shape. Not normalised.
    radius : float
        Half width in input samples: the weight is 0 at this distance and beyond.
    """

    weight: "Weight"
    radius: float

    def blurred(self, blur: float) -> "Filter":
        """Return the filter, stretched by a factor; libplacebo and ImageMagick call it blur, too."""
        return self if blur == 1 else Filter(lambda x: self.weight(x / blur), self.radius * blur)


def box() -> Filter:
    """One sample, the nearest; of two that are as near, the later one, as in Pillow.

    >>> import numpy as np
    >>> box().weight(np.array([-0.5, 0.0, 0.5])).tolist()
    [0.0, 1.0, 1.0]
    """
    return Filter(lambda x: ((x > -0.5) & (x <= 0.5)).astype(x.dtype), 0.5)


def triangle() -> Filter:
    """Linear interpolation, `1 − |x|` for `|x| < 1`.

    >>> import numpy as np
    >>> triangle().weight(np.array([0.0, 0.25, 1.0])).tolist()
    [1.0, 0.75, 0.0]
    """
    import numpy as np

    return Filter(lambda x: np.maximum(0.0, 1.0 - np.abs(x)), 1.0)


def cubic(b: float, c: float, a: float | None = None) -> Filter:
    """The cubic of Mitchell & Netravali (1988, equation 8), with its two parameters.

    `b = 0, c = ½` is the cubic of Keys (1981) with a = −½, also known as Catmull-Rom, which interpolates;
    `b = c = ⅓` is the compromise that its authors recommend, which blurs a little. Frameworks write Keys's `a`,
    which is `−c` where `b = 0`: −¾ in PyTorch, OpenCV and ONNX.

    >>> import numpy as np
    >>> cubic(0, 0.5).weight(np.array([0.0, 0.5, 1.0, 1.5, 2.0])).tolist()
    [1.0, 0.5625, 0.0, -0.0625, 0.0]
    >>> mitchell = cubic(1 / 3, 1 / 3).weight(np.array([0.0, 1.0]))
    >>> bool(np.allclose(mitchell, [8 / 9, 1 / 18]))
    True
    """
    import numpy as np

    if a is not None:
        if (b, c) != (0.0, 0.5):
            raise UsageError("bicubic: a says what b and c say; omit a, or b and c.")
        c = -a

    def weight(x: "Floats") -> "Floats":
        x = np.abs(x)
        near = ((12 - 9 * b - 6 * c) * x + (-18 + 12 * b + 6 * c)) * x * x + (6 - 2 * b)
        far = (((-b - 6 * c) * x + (6 * b + 30 * c)) * x + (-12 * b - 48 * c)) * x + (8 * b + 24 * c)
        return np.where(x < 1, near, np.where(x < 2, far, 0.0)) / 6

    return Filter(weight, 2.0)


def hermite() -> Filter:
    """The cubic without far pixels, `2|x|³ − 3|x|² + 1` for `|x| < 1`: `b = c = 0`.

    >>> import numpy as np
    >>> hermite().weight(np.array([0.25, 0.5, 1.0])).tolist()
    [0.84375, 0.5, 0.0]
    """
    return Filter(cubic(0, 0).weight, 1.0)


def gaussian(sigma: float = 0.5) -> Filter:
    """The bell of a slightly blurred lens, `exp(−x²/2σ²)` for `|x| < 4σ`.

    >>> import numpy as np
    >>> gaussian().weight(np.array([0.0, 1.0, 2.0])).round(6).tolist()
    [1.0, 0.135335, 0.0]
    """
    import numpy as np

    return Filter(lambda x: np.where(np.abs(x) < 4 * sigma, np.exp(-(x * x) / (2 * sigma**2)), 0.0), 4 * sigma)


def spline(pixels: int) -> Filter:
    """The natural cubic spline through 4, 6 or 8 samples of an axis, as in Dersch's Panorama Tools (1998).

    A cubic for each distance of `k + t`, where `0 <= t < 1`. `pixels` is how many a result is made of: 16, 36 or 64.

    >>> import numpy as np
    >>> (spline(16).weight(np.array([0.5, 1.5])) * 40).round(9).tolist()
    [23.0, -3.0]
    """
    import numpy as np

    samples = isqrt(pixels)
    # A column for each sample that is 1 while the others are 0: its spline's values and second derivatives.
    y, bent = np.eye(samples), np.zeros((samples, samples))
    system = 4 * np.eye(samples - 2) + np.eye(samples - 2, k=1) + np.eye(samples - 2, k=-1)
    bent[1:-1] = np.linalg.solve(system, 6 * np.diff(y, 2, axis=0))
    reach = samples // 2
    (y0, y1), (bent0, bent1) = y[reach - 1 : reach + 1], bent[reach - 1 : reach + 1]
    cubics = np.stack([y0, y1 - y0 - (2 * bent0 + bent1) / 6, bent0 / 2, (bent1 - bent0) / 6], axis=1)
    table = np.append(cubics[reach - 1 :: -1], np.zeros((1, 4)), axis=0)

    def weight(x: "Floats") -> "Floats":
        x = np.abs(x)
        k = np.minimum(x, reach).astype(np.intp)
        a, b, c, d = np.moveaxis(table[k], -1, 0)
        t = x - k
        return np.asarray(((d * t + c) * t + b) * t + a)

    return Filter(weight, float(reach))


def _b_spline(x: "NDArray[Any]", order: int) -> "Floats":
    """The B-spline of an order: `Σₖ (−1)ᵏ·C(n + 1, k)·max((n + 1)/2 − |x| − k, 0)ⁿ / n!` (Unser 1999)."""
    import numpy as np

    left = (order + 1) / 2 - np.abs(x)
    terms = [(-1) ** k * comb(order + 1, k) * np.maximum(left - k, 0) ** order for k in range(order // 2 + 1)]
    return np.asarray(np.sum(terms, axis=0) / factorial(order))


def cardinal_spline(order: int) -> Filter:
    """The cardinal B-spline: the smoothest curve of piecewise polynomials through all samples (Unser 1999).

    Its weight is `Σₖ c(k)·β(x − k)`, where β is the B-spline of that order and c is the inverse of `β(0), β(±1), …`
    as a convolution: coefficients that are `c` times the samples make a curve through them. SciPy computes these in a
    first pass, the prefilter, over whole rows and columns. As part of the weight they need no pass and no memory, and
    rows stay independent. `c` falls off as `0.268^|k|` for order 3, and is cut where it is below 10⁻¹⁰.

    >>> import numpy as np
    >>> cardinal_spline(3).weight(np.array([0.0, 0.5, 1.0])).round(4).tolist()
    [1.0, 0.6005, 0.0]
    """
    import numpy as np

    length = 256
    sampled = _b_spline(np.minimum(np.arange(length), length - np.arange(length)), order)
    inverse = np.fft.irfft(1 / np.fft.rfft(sampled), length)
    radius = int(np.argmax(np.abs(inverse) < 1e-10))

    def weight(x: "Floats") -> "Floats":
        near = np.rint(x)
        total = np.zeros_like(x)
        for k in range(-(order + 1) // 2, order // 2 + 2):
            total += inverse[(near + k).astype(np.intp)] * _b_spline(x - near - k, order)
        return np.where(np.abs(x) >= radius, 0.0, np.where(x == near, near == 0, total))

    return Filter(weight, float(radius))


def magic_kernel_sharp(year: int) -> Filter:
    """The quadratic B-spline, sharpened to be flat up to half the sampling rate: Costella's, of 2013 and of 2021.

    It is `Σₖ c(k)·β(x − k)`, where c is `[−1, 6, −1]/4`, and for 2021 also `[1, 0, 34, 0, 1]/36` (J. P. Costella,
    *The Magic Kernel*, johncostella.com/magic).

    >>> import numpy as np
    >>> (magic_kernel_sharp(2013).weight(np.array([0.0, 1.0, 2.0])) * 32 + 0).tolist()
    [34.0, 0.0, -1.0]
    >>> (magic_kernel_sharp(2021).weight(np.arange(5.0)) * 576 + 0).round(9).tolist()
    [577.0, 0.0, 0.0, 0.0, -0.5]
    """
    import numpy as np

    # Integers, so that the zeros are exact.
    sharp = np.array([-1, 6, -1])
    if year == 2021:
        sharp = np.convolve(sharp, [1, 0, 34, 0, 1])
    reach = len(sharp) // 2

    def weight(x: "Floats") -> "Floats":
        parts = [c * _b_spline(x - k + reach, 2) for k, c in enumerate(sharp)]
        return np.asarray(np.sum(parts, axis=0) / sharp.sum())

    return Filter(weight, reach + 1.5)


WINDOWS = (
    *("box", "bartlett", "welch", "cosine", "hann", "hamming", "blackman", "bohman", "parzen", "kaiser", "lanczos"),
)
"""The windows of `windowed`; box cuts off, and lanczos is the middle lobe of a wider sinc."""


def windowed(t: "Floats", window: str, beta: float = 6.5) -> "Floats":
    """Return the weights of a window at distances `t = |x|/radius` of 0 … 1: 1 in the middle, and little at the end.

    F. J. Harris (1978), *On the Use of Windows for Harmonic Analysis with the Discrete Fourier Transform*, has all of
    them but Lanczos's; the numbers of Hamming's and Blackman's are the rounded ones. `beta` is Kaiser's.

    >>> import numpy as np
    >>> [round(float(windowed(np.array(0.5), window)), 4) for window in WINDOWS]
    [1.0, 0.5, 0.75, 0.7071, 0.5, 0.54, 0.34, 0.3183, 0.25, 0.4515, 0.6366]
    """
    import numpy as np

    cosine = np.cos(np.pi * t)
    shapes: dict[str, Callable[[], Floats]] = {
        "box": lambda: np.ones_like(t),
        "bartlett": lambda: 1 - t,
        "welch": lambda: 1 - t * t,
        "cosine": lambda: np.cos(np.pi / 2 * t),
        "hann": lambda: 0.5 + 0.5 * cosine,
        "hamming": lambda: 0.54 + 0.46 * cosine,
        "blackman": lambda: 0.42 + 0.5 * cosine + 0.08 * np.cos(2 * np.pi * t),
        "bohman": lambda: (1 - t) * cosine + np.sin(np.pi * t) / np.pi,
        "parzen": lambda: 1.5 * cubic(1, 0).weight(2 * t),
        "kaiser": lambda: np.i0(beta * np.sqrt(1 - t * t)) / np.i0(beta),
        "lanczos": lambda: np.sinc(t),
    }
    return shapes[window]()


def sinc(window: str, a: int, **shape: float) -> Filter:
    """Sinc under a window, `sinc(x)·window(|x|/a)` for `|x| < a`; under a wider sinc it is Lanczos's (Duchon 1979).

    The zeros at integer distances are exact, so that a sample on the grid comes back untouched.

    >>> import numpy as np
    >>> sinc("lanczos", 3).weight(np.array([0.0, 1.0, 3.0])).tolist()
    [1.0, 0.0, 0.0]
    """
    import numpy as np

    def weight(x: "Floats") -> "Floats":
        zero = (np.abs(x) >= a) | ((x == np.rint(x)) & (x != 0))
        return np.where(zero, 0.0, np.sinc(x) * windowed(np.minimum(np.abs(x) / a, 1.0), window, **shape))

    return Filter(weight, float(a))

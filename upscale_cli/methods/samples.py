"""What stored samples mean to a method that weighs them (depth, alpha, linear light), and the one rounding."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upscale_cli.methods.rows import parts
from upscale_cli.methods.upsampler import Array, Finish, SampleReader, working_dtype

Curve = Callable[[NDArray[Any]], NDArray[Any]]


class Transfer(NamedTuple):
    """How code values of 0 … 1 represent light: from code to light, and back; and what is weighed, in words."""

    decode: Curve
    encode: Curve
    light: str = "light"


SRGB = Transfer(
    lambda x: np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4),
    lambda x: np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055),
)
"""The transfer function of IEC 61966-2-1:1999."""
CENTER, SLOPE = 0.75, 6.5
"""Of the sigmoid: the defaults of mpv and libplacebo."""


def sigmoidal(transfer: Transfer) -> Transfer:
    """Return a transfer function whose light is bent into a sigmoid, which has no dark halos beside bright edges.

    Light `y` becomes `x` of `y = (σ(x) − σ(0)) / (σ(1) − σ(0))`, `σ(x) = 1 / (1 + exp(slope·(center − x)))`, as in
    libplacebo; in ImageMagick it is `+sigmoidal-contrast 6.5,75%`. Near white it goes on as a straight line, so that
    light beyond it comes back as it was.

    >>> bent = sigmoidal(Transfer(lambda x: x, lambda x: x))
    >>> bent.decode(np.array([0.0, 0.1, 0.5, 1.0, 2.0])).round(6).tolist()
    [0.0, 0.394746, 0.701309, 1.0, 1.92666]
    >>> bent.encode(bent.decode(np.array([0.1, 2.0]))).round(12).tolist()
    [0.1, 2.0]
    """

    def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(1 / (1 + np.exp(SLOPE * (CENTER - x))))

    low, high = sigmoid(np.zeros(())), sigmoid(np.ones(()))
    rise = (high - low) / (SLOPE * high * (1 - high))  # dx/dy at white

    def bend(y: NDArray[Any]) -> NDArray[Any]:
        inside = low + np.minimum(y, 1) * (high - low)
        return np.asarray(CENTER + np.log(inside / (1 - inside)) / SLOPE + np.maximum(y - 1, 0) * rise)

    def straighten(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((sigmoid(np.minimum(x, 1)) - low) / (high - low) + np.maximum(x - 1, 0) / rise)

    return Transfer(
        lambda x: bend(transfer.decode(x)), lambda x: transfer.encode(straighten(x)), f"a sigmoid of {transfer.light}"
    )


@cache
def white(dtype: np.dtype[Any]) -> float:
    """Return the code value of full intensity: 255, 65535, …; 1 for bool and floats."""
    return 1.0 if dtype.kind in "bf" else float(np.iinfo(dtype).max)


class Samples(NamedTuple):
    """The meaning of stored samples: `read` turns them into floats to weigh, `finish` turns floats into samples.

    Colours are premultiplied by alpha while they are weighed, so that transparent pixels do not bleed colour. An
    alpha channel that is opaque everywhere is left out and set again: the pixels are the same as without one.
    Pixels of opacity 0 become 0.

    Attributes
    ----------
    stored : numpy.dtype
        Of the source.
    channels_in : int
        Of the source.
    target : numpy.dtype
        Of the output. If it differs from `stored`, full intensity becomes full intensity.
    alpha : bool
        The last channel is opacity.
    opaque : bool
        Alpha is full everywhere.
    flatten : bool
        Put the image onto a white background; the output has no alpha.
    straight : bool
        Colours are not premultiplied: the method fills transparent pixels itself (see `Method.straight`).
    apart : bool
        Alpha is data like the others: colours are not premultiplied, and those of opacity 0 are kept.
    transfer : Transfer, optional
        Weigh light instead of code values.
    constants : bool
        The method keeps constants, so its weights sum to 1.
    no_data : float, optional
        The code value, in the output, of pixels without a value. The last channel, opacity, says which those are in
        the source; the output has none, and those pixels of it that are less than half opaque are without a value.
    palette : uint8 array (n, 4), optional
        Samples are indices of these colours, RGBA: for methods that copy samples, and compare their colours.
    """

    stored: np.dtype[Any]
    channels_in: int
    target: np.dtype[Any]
    alpha: bool = False
    opaque: bool = False
    flatten: bool = False
    straight: bool = False
    apart: bool = False
    transfer: Transfer | None = None
    constants: bool = False
    no_data: float | None = None
    palette: NDArray[np.uint8] | None = None

    @property
    def working(self) -> np.dtype[Any]:
        """The float type that samples are weighed in.

        A colour is what its premultiplied sum is divided by the sum of opacities. Near opacity 0 both are differences
        of large terms (filters have negative lobes), and of 16 bits float32 leaves no digits: a flat colour changed.
        """
        divided = self.translucent and self.premultiplied and self.stored.itemsize > 1
        return np.dtype(np.float64) if divided else working_dtype(self.stored)

    @property
    def translucent(self) -> bool:
        """Whether opacity is weighed along with the colours, as the last channel."""
        return self.alpha and not self.opaque and not self.flatten

    @property
    def premultiplied(self) -> bool:
        """Whether colours are multiplied by opacity when they are read."""
        return self.alpha and not self.opaque and (self.flatten or not (self.straight or self.apart))

    @property
    def channels(self) -> int:
        """The number of channels that are weighed."""
        return self.channels_in - (self.alpha and (self.opaque or self.flatten))

    @property
    def channels_out(self) -> int:
        """The number of channels of the output."""
        return self.channels_in - (self.flatten or self.no_data is not None)

    @property
    def _half(self) -> Any:
        """What makes truncation round half up: ½, and for 8 bits as much more as rounding takes from a sum."""
        # Else noise would decide ties, and otherwise on processors whose BLAS adds in another order. Two last digits
        # of 255 are 0.00006 of a code value: weights of few digits make no value as near to a tie that is none. Those
        # of 65535 are 0.016.
        more = 2 * float(np.finfo(self.working).eps) * white(self.target)
        return self.working.type(0.5 + (more if more < 0.001 else 0))

    @property
    def _reads_with_half(self) -> bool:
        """True if `read` adds the half: `Σ w·(x + ½) = Σ w·x + ½`, and the source has fewer values."""
        # Any conversion between the two, such as a transfer function, would change the half.
        unchanged = self.target == self.stored and self.transfer is None and (not self.alpha or self.opaque)
        return self.constants and unchanged and self.stored.kind == "u" and self.stored.itemsize <= 2

    def finite(self, samples: Array) -> bool:
        """Return whether weighed sums of samples are finite: no float sample is near the largest float, or NaN."""
        if samples.dtype.kind != "f":
            return True
        # The absolute weights of a filter sum to less than 3 on an axis. Comparisons with NaN are false.
        largest = float(np.finfo(self.working).max) / 16
        with np.errstate(invalid="ignore"):
            ends = ((float(part.min()), float(part.max())) for part in parts(samples))
            return all(-largest <= low and high <= largest for low, high in ends)

    def reader(self, source: Array) -> SampleReader:
        """Return how the samples of a source (H, W, channels_in) are read."""
        return SampleReader(read=self.read, channels=self.channels, dtype=self.working, finite=self.finite(source))

    def read(self, samples: Array) -> Array:
        """Return stored samples (n, w, channels_in) as working floats (n, w, channels) of the source's range."""
        colours = self.channels_in - self.alpha
        if self.transfer is None and not self.premultiplied:
            part = samples[..., : self.channels]
            return part + self._half if self._reads_with_half else part.astype(self.working)
        full = white(self.stored)
        values = samples.astype(self.working)
        if self.transfer is not None:
            values[..., :colours] = self._decode(samples[..., :colours])
        if self.premultiplied:
            opacity = values[..., colours:] / self.working.type(full)
            values[..., :colours] *= opacity
            if self.flatten:
                values[..., :colours] += (1 - opacity) * self.working.type(full)
        return values[..., : self.channels]

    def finish(self, values: Array, out: Array, clamp: bool = True) -> None:
        """Write working floats (n, w, channels) as samples of the target into `out`; the floats are overwritten.

        Integers are rounded half up and clamped; floats are neither, but a finite one that a narrower type cannot
        hold becomes the largest that it can. Without `clamp` integers are only truncated.
        """
        full = self.working.type(white(self.stored))
        depth = self.working.type(white(self.target)) / full
        if self.translucent and not self.apart:
            opacity = values[..., -1:]
            with np.errstate(invalid="ignore"):
                # A pixel whose opacity rounds to 0, as below, has no colour; dividing would only amplify noise.
                shown = opacity > 0 if self.target.kind == "f" else opacity * depth + self._half >= 1
                share = np.where(shown, full / np.where(shown, opacity, 1), 0) if self.premultiplied else shown
                values[..., :-1] *= share
        missing = None
        if self.no_data is not None:
            missing, values = values[..., -1] < full / 2, values[..., :-1]
        if self.transfer is not None:
            colours = values[..., :-1] if self.translucent and missing is None else values
            colours[...] = self._encode(colours)
        if depth != 1:
            values *= depth
        place = out[..., : values.shape[-1]]
        if self.target.kind == "f":
            if self.target.itemsize < values.dtype.itemsize:
                # Next to a sun of 65504, the largest float16, a filter overshoots: no viewer shows infinity.
                most = float(np.finfo(self.target).max)
                np.clip(values, -most, most, out=values, where=np.isfinite(values))
            np.copyto(place, values, casting="same_kind")
        elif not clamp:
            np.copyto(place, values, casting="unsafe")
        else:
            low, high = _limits(self.target, values.dtype)
            if not self._reads_with_half:
                values += self._half
            if low < 0:
                np.floor(values, out=values)
            # The cast truncates floats to integers; a cast to bool would turn all but 0 into True. One call and not
            # two, because threads wait for each other between calls.
            place = place.view(np.uint8) if self.target.kind == "b" else place
            np.clip(values, low, high, out=place, dtype=values.dtype, casting="unsafe")
        if missing is not None:
            out[missing] = self.no_data
        if self.alpha and self.opaque and not self.flatten:
            out[..., -1] = white(self.target)

    def finisher(self, weighed: bool, averages: bool = False) -> Finish | None:
        """Return how values that a method weighed, or only moved, become samples; None for a plain copy.

        Averages (see `Upsampler`) of samples that were read with 0.5 are in range: to clamp takes twice their time.
        """
        if weighed:
            return partial(self.finish, clamp=False) if averages and self._reads_with_half else self.finish
        if self.target == self.stored and not self.flatten:
            return None
        return lambda values, out: self.finish(self.read(values), out)

    def _decode(self, samples: Array) -> Array:
        """Return code values as light, on the same scale."""
        assert self.transfer is not None
        full = white(self.stored)
        if self.stored.kind == "f":
            return np.asarray(np.copysign(self.transfer.decode(np.abs(samples)), samples))
        codes = np.arange(int(full) + 1) / full
        return (self.transfer.decode(codes) * full).astype(self.working)[samples.astype(np.intp)]

    def _encode(self, values: Array) -> Array:
        assert self.transfer is not None
        full = values.dtype.type(white(self.stored))
        return np.asarray(np.copysign(self.transfer.encode(np.abs(values) / full) * full, values))


@cache
def _limits(dtype: np.dtype[Any], working: np.dtype[Any]) -> tuple[float, float]:
    """Return the lowest and highest working float that truncates to an integer of a type, 0.5 having been added."""
    if dtype.kind == "b":
        return 0.0, 1.5
    info = np.iinfo(dtype)
    high = info.max + 0.5
    if working.type(high) >= float(info.max) + 1:
        high = float(np.nextafter(working.type(float(info.max)), working.type(0)))
    return float(info.min), high

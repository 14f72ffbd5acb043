"""The layers of networks, one row of `LAYERS` each: how a layer is read from a file, and how it computes.

Values lie as (rows, columns, channels), in scratch memory. A layer reads around each pixel, so its result lacks the
outer rows and columns of its input.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import repr as shown
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.transposed import phase_taps
from upscale_cli.methods.upsampler import Array
from upscale_cli.methods.winograd import Filters

MOST_CHANNELS, LARGEST_SIDE = 512, 31
MOST_WEIGHTS = 1 << 22
"""Maximum for all layers together; an array that layers share counts for each. The large network has 0.33 million."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """A layer as a file describes it.

    Attributes
    ----------
    arrays : mapping of str to array
        All arrays of the file.
    layer : mapping
        The layer's own description.
    shares : array (levels,), optional
        How much of each level's weights; arrays with one axis more then have levels as their first.
    mixed : set of str
        The names of these arrays are added to it when they are read.
    prelu : bool
        A convolution has PReLU.
    number : int or str
        Its number, from 0, or its name.
    channels : sequence of int
        The channels of the input and of every layer before this one.
    scale : int
        The scale of the network.
    planes : int
        How many planes it makes.
    """

    arrays: Mapping[str, Any]
    layer: Mapping[str, Any]
    number: int | str
    channels: Sequence[int]
    scale: int
    planes: int = 1
    shares: NDArray[np.float64] | None = None
    mixed: set[str] = field(default_factory=set)
    prelu: bool = True

    def weights(self, key: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
        """Return the array that the layer names under a key, as float64; sides of any length are None in `shape`."""
        if key not in self.layer:
            which = "the network" if key == self.number else f"layer {self.number} of the network"
            raise UpscaleError(f'{which} lacks "{key}", which names an array.')
        name = self.layer[key]
        if not isinstance(name, str) or name not in self.arrays:
            raise UpscaleError(
                f"layer {self.number} of the network names an array that the file does not have ({shown(name)})."
            )
        array = np.asarray(self.arrays[name])
        by_level = array.ndim == len(shape) + 1 and array.dtype.kind in "fiu"
        if self.shares is not None and by_level:
            if array.shape[:1] != self.shares.shape:
                raise UpscaleError(
                    f'array "{name}" of the network is {array.dtype} {array.shape}; its first axis must be the '
                    f"{len(self.shares)} levels."
                )
            array = np.tensordot(self.shares, array.astype(np.float64), 1)
            self.mixed.add(name)
        fits = array.ndim == len(shape) and all(w in (None, n) for n, w in zip(array.shape, shape, strict=True))
        if not fits or array.dtype.kind not in "fiu":
            wanted = ", ".join("k" if n is None else str(n) for n in shape)
            raise UpscaleError(
                f'array "{name}" of the network is {array.dtype} {array.shape}; '
                f"layer {self.number} takes numbers ({wanted})."
            )
        if 0 in array.shape or array.shape[0] > MOST_CHANNELS or array.size > MOST_WEIGHTS:
            raise UpscaleError(f'array "{name}" of the network has shape {array.shape}, which is empty or too large.')
        weights = array.astype(np.float64)
        if not (np.abs(weights) <= np.finfo(np.float32).max).all():
            raise UpscaleError(f'array "{name}" of the network has values that are not finite.')
        return weights


class Layer(ABC):
    """One step of a network.

    Attributes
    ----------
    keys : tuple of str
        What describes it in a file, besides what it does.
    last : bool
        Only the last layer of a network is of this kind, and it is always of such a kind.
    earlier : tuple of int
        The indices of earlier layers whose results it needs.
    reach : int
        How many pixels around a pixel it reads, on each side.
    weights : array, optional
        Its weights, if it has any: (channels out, values read).
    """

    keys: ClassVar[tuple[str, ...]] = ()
    last: ClassVar[bool] = False
    earlier: tuple[int, ...] = ()
    reach: int = 0
    weights: Array | None = None

    @classmethod
    def read(cls, described: Described) -> Self:
        """Return the layer that a file describes, if files can; raise `UpscaleError` if it is invalid."""
        raise NotImplementedError

    @abstractmethod
    def channels(self, before: int) -> int:
        """Return the channels of its result, for a number of channels of its input."""

    @abstractmethod
    def run(self, values: Array, earlier: Sequence[Array], result: Array) -> None:
        """Write its result into another array; values and result are C-contiguous.

        Of earlier results, it is given the pixels of its own.
        """

    def flat(self, values: Array, earlier: Sequence[Array]) -> Array:
        """Return its result (d,) for an area of constant values (c,), if files can describe it."""
        raise NotImplementedError

    def cast(self, dtype: np.dtype[Any], white: float) -> "Layer":
        """Return the layer with weights of another type, for planes in which full intensity is `white`."""
        return self

    def scratch(self, rows: int, columns: int) -> int:
        """Return how many values of scratch memory it needs for a result of so many rows and columns."""
        return 0


class Convolution(Layer):
    """Sums over a neighbourhood, as PyTorch's `Conv2d`, then PReLU: `max(x, 0) + slope·min(x, 0)` (He et al. 2015).

    A bias is a part of full intensity.

    Attributes
    ----------
    weights : array (d, k · k · c)
        Columns in the order of row, column and channel.
    side : int
        k.
    slopes : array (d,), optional
        None for no PReLU.
    biases : array (d,), optional
        Added before it.
    """

    keys: ClassVar[tuple[str, ...]] = ("weight", "slopes", "biases")
    weights: Array

    def __init__(self, weights: Array, side: int, slopes: Array | None = None, biases: Array | None = None) -> None:
        self.weights, self.side, self.slopes, self.biases = weights, side, slopes, biases
        self.reach, self._filters = side // 2, Filters(weights, side)

    @classmethod
    def read(cls, described: Described) -> Self:
        weights = described.weights("weight", (None, described.channels[-1], None, None))
        count, _, side, across = weights.shape
        if side != across or side % 2 == 0 or side > LARGEST_SIDE:
            raise UpscaleError(
                f"layer {described.number} of the network has kernels of {side} x {across}; "
                f"they must be square and odd, at most {LARGEST_SIDE}."
            )
        slopes, biases = (
            described.weights(key, (count,)) if required or key in described.layer else None
            for key, required in (("slopes", described.prelu), ("biases", False))
        )
        return cls(weights.transpose(0, 2, 3, 1).reshape(count, -1), side, slopes, biases)

    def channels(self, before: int) -> int:
        return len(self.weights)

    def run(self, values: Array, earlier: Sequence[Array], result: Array) -> None:
        self._filters.run(values, result, self.biases, self.slopes)

    def flat(self, values: Array, earlier: Sequence[Array]) -> Array:
        total: Array = self.weights.reshape(len(self.weights), -1, len(values)).sum(axis=1) @ values
        if self.biases is not None:
            total += self.biases
        return total if self.slopes is None else np.where(total < 0, self.slopes * total, total)

    def cast(self, dtype: np.dtype[Any], white: float) -> Self:
        slopes = None if self.slopes is None else self.slopes.astype(dtype)
        biases = None if self.biases is None else (self.biases * white).astype(dtype)
        return type(self)(self.weights.astype(dtype), self.side, slopes, biases)

    def scratch(self, rows: int, columns: int) -> int:
        return self._filters.scratch(rows, columns)


class Sum(Layer):
    """Adds the result of an earlier layer that has as many channels."""

    keys = ("with",)

    def __init__(self, earlier: int) -> None:
        self.earlier = (earlier,)

    @classmethod
    def read(cls, described: Described) -> Self:
        earlier, number, channels = described.layer.get("with"), described.number, described.channels
        if type(earlier) is not int or not 0 <= earlier < len(channels) - 1 or channels[earlier + 1] != channels[-1]:
            raise UpscaleError(
                f"layer {number} of the network adds {shown(earlier)}, "
                "which is no earlier layer with as many channels."
            )
        return cls(earlier)

    def channels(self, before: int) -> int:
        return before

    def run(self, values: Array, earlier: Sequence[Array], result: Array) -> None:
        np.add(values, earlier[0], out=result)

    def flat(self, values: Array, earlier: Sequence[Array]) -> Array:
        return np.asarray(values + earlier[0])


class Phases(Convolution):
    """A transposed convolution, as the convolution that makes all phases. A file holds its kernel (c, planes, k, k).

    With stride `s`, output `o = i·s + t` takes input `i` times tap `t`. So the s² outputs of one cell are s² sums
    over the same neighbourhood of inputs: the channels of an ordinary convolution.
    """

    keys = ("weight",)
    last = True

    @classmethod
    def read(cls, described: Described) -> Self:
        kernel = described.weights("weight", (described.channels[-1], described.planes, None, None))
        return cls.of(kernel, described.scale, described.number)

    @classmethod
    def of(cls, kernel: NDArray[np.float64], scale: int, layer: int | str) -> Self:
        """Return the phases of a kernel (c, planes, k, k), those of each plane together; errors name the layer."""
        channels, planes, side, across = kernel.shape
        if side > LARGEST_SIDE * scale:
            raise UpscaleError(
                f"layer {layer} of the network has a kernel of {side} x {across}; at scale {scale} at most "
                f"{LARGEST_SIDE * scale} x {LARGEST_SIDE * scale} are supported."
            )
        if side != across or side < scale or (side - scale) % 2:
            raise UpscaleError(
                f"layer {layer} of the network has a kernel of {side} x {across}, which cannot be centred on cells "
                f"of {scale} x {scale}."
            )
        taps = phase_taps(scale, side)
        inside = taps >= 0
        phases = np.zeros((planes, scale, scale, *(taps.shape[1],) * 2, channels))
        for plane, a, b in np.ndindex(planes, scale, scale):
            rows, columns = np.flatnonzero(inside[a]), np.flatnonzero(inside[b])
            weights = kernel[:, plane, taps[a, rows][:, None], taps[b, columns]]
            phases[plane, a, b, rows[:, None], columns] = weights.transpose(1, 2, 0)
        return cls(phases.reshape(planes * scale * scale, -1), taps.shape[1])


LAYERS: dict[str, type[Layer]] = {"convolution": Convolution, "sum": Sum, "transposed-convolution": Phases}
"""Every kind of layer, by the word that files use."""


def check_total(layers: Sequence[Layer]) -> None:
    """Raise `UpscaleError` if the layers before the last have too many weights together."""
    weights = sum(layer.weights.size for layer in layers if layer.weights is not None and not layer.last)
    if weights > MOST_WEIGHTS:
        raise UpscaleError(f"the layers of the network have more than {MOST_WEIGHTS:,} weights together.")

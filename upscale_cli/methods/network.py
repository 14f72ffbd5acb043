"""Networks: convolutions with PReLU and a final transposed convolution, on one plane at a time.

A network is a file of arrays (`.npz`) in layout 1. One array, `about`, is JSON in UTF-8, as bytes:

    {"layout": 1, "scale": 2, "skip": "skip", "layers": [
        {"does": "convolution", "weight": "weight0", "slopes": "slopes0"},
        {"does": "convolution", "weight": "weight1", "slopes": "slopes1"},
        {"does": "sum", "with": 0},
        {"does": "transposed-convolution", "weight": "tail"}], "training": {…}}

Layers follow one another, and each names its arrays. With `c` channels in and `d` out:

convolution
    `weight` (d, c, k, k), k odd, and `slopes` (d,): a sum over the neighbourhood, as in PyTorch's `Conv2d`, then
    `max(x, 0) + slope·min(x, 0)` (PReLU; He et al. 2015). The first takes one channel.
sum
    adds the result of an earlier layer, counted from 0, that has as many channels.
transposed-convolution
    `weight` (c, 1, k, k), stride = scale, centred as `transposed-conv` centres its kernels. The last.

`skip` (k, k) is the kernel of a transposed convolution of the input itself, which is added to the result. There are
no biases, the weights of each filter of the first layer sum to 0, and each phase of `skip` sums to 1. So a flat area
keeps its value, whatever that is, and the range of the numbers does not matter. `training` is information for people.
Beyond its border, the plane is mirrored.

All of it is computed as matrix products (see `convolution`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from reprlib import repr as shown
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.convolution import convolve
from upscale_cli.methods.transposed import phase_taps
from upscale_cli.methods.upsampler import Array, Scratch

LAYOUT = 1
MOST_LAYERS, MOST_CHANNELS, LARGEST_SIDE, LARGEST_REACH = 100, 512, 31, 128
MOST_WEIGHTS = 1 << 22
"""Maximum for all layers together; an array that layers share counts for each. The large network has 0.33 million."""
SCALES = (2, 3, 4)
TOLERANCE = 1e-4
"""Tolerance of sums that must be 0 or 1; the difference is removed."""

_scratch = Scratch()


@dataclass(frozen=True)
class Convolution:
    """Weights (d, k · k · c), columns in the order of row, column and channel; slopes (d, 1), or None for phases."""

    weights: Array
    side: int
    slopes: Array | None = None


@dataclass(frozen=True)
class Sum:
    """The index of the earlier layer whose result is added."""

    layer: int


@dataclass(frozen=True)
class Network:
    """A network that has been checked.

    Attributes
    ----------
    scale : int
    layers : tuple of Convolution and Sum
        The last makes the scale² phases of each pixel.
    skip : Convolution
        Makes the phases of the linear skip.
    training : mapping
        What the file says about its training.
    """

    scale: int
    layers: tuple[Convolution | Sum, ...]
    skip: Convolution
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def convolutions(self) -> list[Convolution]:
        """The layers that are convolutions."""
        return [layer for layer in self.layers if isinstance(layer, Convolution)]

    @property
    def reach(self) -> int:
        """How many pixels around a pixel the layers read."""
        return sum(layer.side // 2 for layer in self.convolutions)

    @property
    def margin(self) -> int:
        """Pixels around a plane that its result depends on, on each side."""
        return max(self.reach, self.skip.side // 2)

    @property
    def multiplications(self) -> int:
        """The number per pixel of the source. Taps beyond the end of a kernel do not count."""
        return sum(int(np.count_nonzero(layer.weights)) for layer in (*self.convolutions, self.skip))

    def scratch(self, rows: int, columns: int) -> int:
        """Return how many values of scratch memory `run` needs for a plane of this size, margins not included."""
        area = (rows + 2 * self.margin) * (columns + 2 * self.margin)
        kept = {layer.layer for layer in self.layers if isinstance(layer, Sum)}
        earlier = 0
        widest = stacked = channels = 1
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Convolution):
                stacked = max(stacked, layer.side * channels)
                channels = len(layer.weights)
                widest = max(widest, channels)
            earlier += channels if index in kept else 0
        # The widest layer twice: values, and products with slopes. Phases three times: layers, skip, and sorted.
        return area * (stacked + 2 * widest + earlier + 3 * self.scale**2)

    def cast(self, dtype: np.dtype[Any]) -> "Network":
        """Return the network with weights of another type."""

        def cast(layer: Convolution) -> Convolution:
            slopes = None if layer.slopes is None else layer.slopes.astype(dtype)
            return Convolution(layer.weights.astype(dtype), layer.side, slopes)

        layers = tuple(cast(layer) if isinstance(layer, Convolution) else layer for layer in self.layers)
        return Network(self.scale, layers, cast(self.skip), self.training)

    def run(self, plane: Array) -> Array:
        """Return a plane (h + 2·margin, w + 2·margin) enlarged: (h·scale, w·scale), in scratch memory.

        The plane has the float type of the weights.
        """
        lines = plane[:, None, :]
        wanted = {layer.layer for layer in self.layers if isinstance(layer, Sum)}
        kept: dict[int, Array] = {}
        values = _cropped(lines, self.margin - self.reach)
        for index, layer in enumerate(self.layers):
            name = f"layer {index}" if index in wanted else "values"
            if isinstance(layer, Sum):
                earlier = kept[layer.layer]
                earlier = _cropped(earlier, (len(earlier) - len(values)) // 2)
                values = np.add(values, earlier, out=_scratch.get(name, values.shape, values.dtype))
            else:
                values = _convolve(values, layer, name)
            if index in wanted:
                kept[index] = values
        values += _convolve(_cropped(lines, self.margin - self.skip.side // 2), self.skip, "skip")
        rows, _, columns = values.shape
        large = _scratch.get("large", (rows, self.scale, columns, self.scale), values.dtype)
        phases = values.reshape(rows, self.scale, self.scale, columns)
        # One phase at a time, or NumPy's innermost loop would be over the phases, which are few.
        for phase in range(self.scale):
            large[:, :, :, phase] = phases[:, :, phase]
        return large.reshape(rows * self.scale, columns * self.scale)


def _cropped(values: Array, border: int) -> Array:
    """Return values (rows, channels, columns) without the outer rows and columns."""
    return values[border : len(values) - border, :, border : values.shape[2] - border]


def _convolve(values: Array, layer: Convolution, name: str) -> Array:
    """Return values (rows, c, columns) as (rows − k + 1, d, columns − k + 1), in the scratch memory called `name`."""
    result = convolve(values, layer.weights, (layer.side, layer.side), out=_scratch, name=name)
    if layer.slopes is not None:
        _activate(result, layer.slopes)
    return result


def _activate(values: Array, slopes: Array) -> None:
    """Apply PReLU in place: values (rows, d, columns), slopes (d, 1)."""
    sloped = np.multiply(values, slopes, out=_scratch.get("sloped", values.shape, values.dtype))
    if (slopes <= 1).all():
        np.maximum(values, sloped, out=values)
    else:
        np.copyto(values, sloped, where=values < 0)


def read_network(arrays: Mapping[str, Any]) -> Network:
    """Return the network of a file's arrays, if they are valid.

    Parameters
    ----------
    arrays : mapping of str to array
        As `numpy.load` returns them, in layout 1 (see the top of this module). They are not modified.

    Raises
    ------
    UpscaleError
        If they are not; the message says why.
    """
    about = _about(arrays)
    scale = about.get("scale")
    if type(scale) is not int or scale not in SCALES:
        raise UpscaleError(f"the network's scale is {shown(scale)}; it must be 2, 3 or 4.")
    described = about.get("layers")
    if not isinstance(described, list) or not 1 <= len(described) <= MOST_LAYERS:
        raise UpscaleError(f"the network's layers must be a list of 1 to {MOST_LAYERS}.")
    layers: list[Convolution | Sum] = []
    channels, left = [1], MOST_WEIGHTS
    for number, layer in enumerate(described):
        does = layer.get("does") if isinstance(layer, dict) else None
        last = number == len(described) - 1
        if does == "convolution" and not last:
            made = _convolution(arrays, layer, number, channels[-1])
            left -= made.weights.size
            if left < 0:
                raise UpscaleError(f"the layers of the network have more than {MOST_WEIGHTS:,} weights together.")
            layers.append(made)
            channels.append(len(made.weights))
        elif does == "sum" and not last:
            layers.append(_sum(layer, number, channels))
            channels.append(channels[-1])
        elif does == "transposed-convolution" and last:
            kernel = _weights(arrays, layer.get("weight"), number, (channels[-1], 1, None, None))
            layers.append(_phases(kernel[:, 0], scale, number))
        else:
            raise UpscaleError(
                f"layer {number} of the network does {shown(does)}; layers must do convolution or sum, "
                "and the last one transposed-convolution."
            )
    skip = _phases(_weights(arrays, about.get("skip"), "skip", (None, None))[None], scale, "skip")
    first = layers[0] if len(layers) > 1 else Convolution(np.zeros((1, 1)), 1)
    assert isinstance(first, Convolution)
    for convolution, total, name in ((first, 0, "filter of the first layer"), (skip, 1, "phase of the skip")):
        missing = total - convolution.weights.sum(axis=1, keepdims=True)
        if np.abs(missing).max() > TOLERANCE:
            raise UpscaleError(f"each {name} of the network must sum to {total}, or flat areas would change.")
        convolution.weights[...] += missing / convolution.weights.shape[1]
    training = about.get("training")
    network = Network(scale, tuple(layers), skip, training if isinstance(training, dict) else {})
    if network.margin > LARGEST_REACH:
        raise UpscaleError(
            f"the network reads {network.margin} pixels on each side; at most {LARGEST_REACH} are supported."
        )
    return network


def _about(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description in a file's array `about`."""
    if "about" not in arrays:
        raise UpscaleError('the network file has no array "about", so it is not in layout 1.')
    text = np.asarray(arrays["about"])
    try:
        about = json.loads(text.astype(np.uint8, casting="safe").tobytes())
    except (TypeError, ValueError, RecursionError):
        raise UpscaleError('the network\'s array "about" is not JSON in UTF-8, as bytes.') from None
    layout = about.get("layout") if isinstance(about, dict) else None
    if layout != LAYOUT:
        raise UpscaleError(f"the network has layout {shown(layout)}, but this version reads only layout {LAYOUT}.")
    return dict(about)


def _weights(
    arrays: Mapping[str, Any], name: object, layer: int | str, shape: tuple[int | None, ...]
) -> NDArray[np.float64]:
    """Return a layer's array as float64; sides of `shape` that may have any length are None."""
    if not isinstance(name, str) or name not in arrays:
        raise UpscaleError(
            f"layer {layer} of the network names an array that the file does not have ({shown(name)})."
        )
    array = np.asarray(arrays[name])
    fits = array.ndim == len(shape) and all(w in (None, n) for n, w in zip(array.shape, shape, strict=True))
    if not fits or array.dtype.kind not in "fiu":
        wanted = ", ".join("k" if n is None else str(n) for n in shape)
        raise UpscaleError(
            f'array "{name}" of the network is {array.dtype} {array.shape}; layer {layer} takes numbers ({wanted}).'
        )
    if 0 in array.shape or array.shape[0] > MOST_CHANNELS or array.size > MOST_WEIGHTS:
        raise UpscaleError(f'array "{name}" of the network has shape {array.shape}, which is empty or too large.')
    weights = array.astype(np.float64)
    if not (np.abs(weights) <= np.finfo(np.float32).max).all():
        raise UpscaleError(f'array "{name}" of the network has values that are not finite.')
    return weights


def _convolution(arrays: Mapping[str, Any], layer: dict[str, Any], number: int, channels: int) -> Convolution:
    weights = _weights(arrays, layer.get("weight"), number, (None, channels, None, None))
    count, _, side, across = weights.shape
    if side != across or side % 2 == 0 or side > LARGEST_SIDE:
        raise UpscaleError(
            f"layer {number} of the network has kernels of {side} x {across}; they must be square and odd, "
            f"at most {LARGEST_SIDE}."
        )
    slopes = _weights(arrays, layer.get("slopes"), number, (count,))
    return Convolution(weights.transpose(0, 2, 3, 1).reshape(count, -1), side, slopes[:, None])


def _sum(layer: dict[str, Any], number: int, channels: list[int]) -> Sum:
    earlier = layer.get("with")
    if type(earlier) is not int or not 0 <= earlier < number or channels[earlier + 1] != channels[-1]:
        raise UpscaleError(
            f"layer {number} of the network adds {shown(earlier)}, which is no earlier layer with as many channels."
        )
    return Sum(earlier)


def _phases(kernel: NDArray[np.float64], scale: int, layer: int | str) -> Convolution:
    """Return the kernel (c, k, k) of a transposed convolution as a convolution that makes all phases of a pixel."""
    channels, side, across = kernel.shape
    if side != across or side < scale or (side - scale) % 2 or side > LARGEST_SIDE * scale:
        raise UpscaleError(
            f"layer {layer} of the network has a kernel of {side} x {across}, which cannot be centred on cells of "
            f"{scale} x {scale}."
        )
    taps = phase_taps(scale, side)
    inside = taps >= 0
    phases = np.zeros((scale, scale, *(taps.shape[1],) * 2, channels))
    for a, b in np.ndindex(scale, scale):
        rows, columns = np.flatnonzero(inside[a]), np.flatnonzero(inside[b])
        phases[a, b, rows[:, None], columns] = kernel[:, taps[a, rows][:, None], taps[b, columns]].transpose(1, 2, 0)
    return Convolution(phases.reshape(scale * scale, -1), taps.shape[1])

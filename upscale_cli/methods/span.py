"""SPAN (Wan et al. 2024, Swift Parameter-free Attention Network), from the state dicts that its authors' code saves.

Six blocks of three 3 × 3 convolutions follow a first one; SiLU, `x·σ(x)`, comes after the first two of each, and a
block makes `(x + input)·(σ(x) − ½)` of its third, `x`. The first convolution, another one of the last block's result,
the result of the first block, and the first SiLU of the last block are mixed, and a last convolution makes the scale²
phases. While they are trained, convolutions are sums of branches, which are summed here as PyTorch does it.

Unless a file has an array `no_norm`, colours are values of 0 … 255 less the mean of photographs. Its authors' code
fixes both numbers, and no file says them.
"""

from collections.abc import Mapping, Sequence
from reprlib import repr as shown
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.layers import Convolution, Described, Layer, Phases, Sum, check_total
from upscale_cli.methods.network import Network, scale_of
from upscale_cli.methods.upsampler import Array, Scratch

RANGE, MEAN = 255.0, (0.4488, 0.4371, 0.4040)
BLOCKS, PARTS = 6, ("c1_r", "c2_r", "c3_r")
BRANCHES = ("sk", "conv.0", "conv.1", "conv.2")

_scratch = Scratch()


class Swish(Convolution):
    """A convolution, then SiLU."""

    def run(self, values: Array, earlier: Sequence[Array], result: Array) -> None:
        super().run(values, earlier, result)
        # x·σ(x) = h + h·tanh(h), where h = x/2.
        result *= 0.5
        bent = np.tanh(result, out=_scratch.get("bent", result.shape, result.dtype))
        bent *= result
        result += bent


class Attention(Sum):
    """`(x + y)·(σ(x) − ½)`, where `y` is the result of an earlier layer."""

    def run(self, values: Array, earlier: Sequence[Array], result: Array) -> None:
        super().run(values, earlier, result)
        # σ(x) − ½ = tanh(x/2)/2.
        share = np.multiply(values, 0.5, out=_scratch.get("bent", values.shape, values.dtype))
        np.tanh(share, out=share)
        share *= 0.5
        result *= share


class Joined(Layer):
    """The channels of its input, and then those of earlier layers, `count` together."""

    def __init__(self, earlier: tuple[int, ...], count: int) -> None:
        self.earlier, self._count = earlier, count

    def channels(self, before: int) -> int:
        return self._count

    def run(self, values: Array, earlier: Sequence[Array], result: Array) -> None:
        np.concatenate([values, *earlier], axis=2, out=result)


def read_span(arrays: Mapping[str, Any]) -> Network:
    """Return the network of a state dict, each of whose arrays has a known name; raises `UpscaleError`."""
    convolutions = ["conv_1", *(f"block_{n}.{part}" for n in range(1, BLOCKS + 1) for part in PARTS), "conv_2"]
    known = {f"{name}.{part}" for name in convolutions for part in ("eval_conv", *BRANCHES)} | {
        "conv_cat",
        "upsampler.0",
    }
    for name in arrays:
        layer, _, what = name.rpartition(".")
        if name != "no_norm" and (layer not in known or what not in ("weight", "bias")):
            raise UpscaleError(f"layer {shown(name)} of the network is none of SPAN's.")
    layers: list[Layer] = []

    def add(layer: Layer) -> int:
        layers.append(layer)
        check_total(layers)
        return len(layers) - 1

    planes = 1 if np.shape(_first(arrays))[1:2] == (1,) else 3
    weights, biases = _convolution(arrays, "conv_1", planes)
    if "no_norm" not in arrays and planes == 3:
        weights = weights * RANGE
        biases = biases - weights.sum(axis=(2, 3)) @ MEAN
    features = len(weights)
    start = first = block = add(_layer(Convolution, weights, biases))
    late = 0
    for n in range(1, BLOCKS + 1):
        before = block
        for part, kind in zip(PARTS, (Swish, Swish, Convolution), strict=True):
            index = add(_layer(kind, *_convolution(arrays, f"block_{n}.{part}", features)))
            late = index if (n, part) == (BLOCKS, PARTS[0]) else late
        block = add(Attention(before))
        first = block if n == 1 else first
    add(_layer(Convolution, *_convolution(arrays, "conv_2", features)))
    add(Joined((start, first, late), 4 * features))
    weights, biases = _plain(arrays, "conv_cat", (features, 4 * features, 1, 1))
    # Files have the first convolution before conv_2.
    order = np.arange(4 * features).reshape(4, features)[[1, 0, 2, 3]].ravel()
    add(_layer(Convolution, weights[:, order], biases))
    weights, biases = _plain(arrays, "upsampler.0", (None, features, 3, 3))
    scale = scale_of(len(weights), planes, "upsampler.0")
    add(_layer(Phases, weights, biases))
    return Network(scale, tuple(layers), None, planes=planes, proportional=False)


def _first(arrays: Mapping[str, Any]) -> Any:
    return arrays.get("conv_1.sk.weight", arrays.get("conv_1.eval_conv.weight"))


def _layer(kind: type[Convolution], weights: NDArray[np.float64], biases: NDArray[np.float64]) -> Convolution:
    """Return a layer of weights (d, c, k, k) and biases (d,)."""
    return kind(weights.transpose(0, 2, 3, 1).reshape(len(weights), -1), weights.shape[2], None, biases)


def _plain(
    arrays: Mapping[str, Any], name: str, shape: tuple[int | None, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights and biases of a convolution, if its weights have the shape."""
    layer = {"weight": f"{name}.weight", "bias": f"{name}.bias"}
    described = Described(arrays=arrays, layer=layer, number=name, channels=(), scale=0)
    weights = described.weights("weight", shape)
    return weights, described.weights("bias", (len(weights),))


def _convolution(
    arrays: Mapping[str, Any], name: str, channels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights (d, channels, 3, 3) and biases of a convolution, the sum of its branches if it has some."""
    out = None if name == "conv_1" else channels
    if not any(f"{name}.{branch}.{kind}" in arrays for branch in BRANCHES for kind in ("weight", "bias")):
        return _plain(arrays, f"{name}.eval_conv", (out, channels, 3, 3))
    # The sum that a file also has is not always up to date: PyTorch makes it anew, too.
    skip, skipped = _plain(arrays, f"{name}.sk", (out, channels, 1, 1))
    before, added = _plain(arrays, f"{name}.conv.0", (None, channels, 1, 1))
    middle, between = _plain(arrays, f"{name}.conv.1", (None, len(before), 3, 3))
    after, last = _plain(arrays, f"{name}.conv.2", (len(skip), len(middle), 1, 1))
    weights = np.tensordot(after[:, :, 0, 0], np.tensordot(middle, before[:, :, 0, 0], (1, 0)), 1)
    weights = weights.transpose(0, 3, 1, 2).copy()
    weights[:, :, 1, 1] += skip[:, :, 0, 0]
    return weights, skipped + last + after[:, :, 0, 0] @ (between + middle.sum(axis=(2, 3)) @ added)

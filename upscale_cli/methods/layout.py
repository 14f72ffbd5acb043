"""Files of networks: convolutions with PReLU and a final transposed convolution, on one plane at a time.

A network is a file of arrays (`.npz`) in layout 1. One array, `about`, is JSON in UTF-8, as bytes:

    {"layout": 1, "scale": 2, "skip": "skip", "layers": [
        {"does": "convolution", "weight": "weight0", "slopes": "slopes0"},
        {"does": "convolution", "weight": "weight1", "slopes": "slopes1"},
        {"does": "sum", "with": 0},
        {"does": "transposed-convolution", "weight": "tail"}], "training": {…}}

Layers follow one another, and each names its arrays. With `c` channels in and `d` out:

convolution
    `weight` (d, c, k, k), k odd, and `slopes` (d,): a sum over the neighbourhood, as in PyTorch's `Conv2d`, then
    `max(x, 0) + slope·min(x, 0)` (PReLU; He et al. 2015). The first takes one channel. `biases` (d,), if the layer
    names them, are added to the sum, times the number that full intensity has.
sum
    adds the result of an earlier layer, counted from 0, that has as many channels.
transposed-convolution
    `weight` (c, 1, k, k), stride = scale, centred as `transposed-conv` centres its kernels. The last.

`skip` (k, k) is the kernel of a transposed convolution of the input itself, which is added to the result. The weights
of each filter of the first layer sum to 0, and each phase of `skip` sums to 1; what biases alone make of a flat area
is subtracted at the end. So a flat area keeps its value, whatever that is. Without biases the range of the numbers
does not matter. `training` is information for people. Beyond its border, the plane is mirrored.

A network that restores has `levels`, ascending numbers from 0 to 1. Arrays that depend on them have them as their
first axis; others lack that axis. For a level between, the weights are interpolated before they meet a picture, which
costs nothing for each pixel.

A network of scale 1 may have `cells`: its layers see cells of so many pixels on each side as one, whose pixels are
channels, row by row (PyTorch's `PixelUnshuffle`; FFDNet: Zhang et al. 2018). The last layer makes pixels again, with
the side of a cell as its stride, and the result is added to the picture, in the place of a `skip`. With two by two
pixels, layers read twice as far, and compute a quarter as often. It may have `planes`, which are 3: it takes red,
green and blue, one after the other in the channels of a cell, and makes all three, so the `weight` of its last layer
is (c, 3, k, k). The weights of each filter of its first layer sum to 0 for each colour.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from reprlib import repr as shown
from typing import Any

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.layers import LAYERS, Convolution, Described, Layer, Phases, check_total
from upscale_cli.methods.network import CELLS, LARGEST_REACH, MOST_LAYERS, MOST_LEVELS, SCALES, Network
from upscale_cli.methods.upsampler import Array

LAYOUT = 1
TOLERANCE = 1e-4
"""Tolerance of sums that must be 0 or 1; the difference is removed."""


def read_network(arrays: Mapping[str, Any], level: float = 0.0) -> Network:
    """Return the network of a file's arrays, if they are valid.

    Parameters
    ----------
    arrays : mapping of str to array
        As `numpy.load` returns them, in layout 1 (see the top of this module). They are not modified.
    level : float
        How damaged the pictures are, 0 … 1, for a network that restores.

    Raises
    ------
    UpscaleError
        If they are not; the message says why.
    """
    about = _about(arrays)
    scale = about.get("scale")
    if type(scale) is not int or scale not in SCALES:
        raise UpscaleError(f"the network's scale is {shown(scale)}; it must be 1, 2, 3 or 4.")
    cells = about.get("cells", 1)
    if type(cells) is not int or cells not in CELLS or (cells > 1 and scale > 1):
        raise UpscaleError(f"the network's cells are {shown(cells)}; they must be 1, or 2 or 4 at scale 1.")
    planes = about.get("planes", 1)
    if type(planes) is not int or planes not in (1, 3) or (planes > 1 and cells == 1):
        raise UpscaleError(f"the network's planes are {shown(planes)}; they must be 1, or 3 if it has cells.")
    described = about.get("layers")
    if not isinstance(described, list) or not 1 <= len(described) <= MOST_LAYERS:
        raise UpscaleError(f"the network's layers must be a list of 1 to {MOST_LAYERS}.")
    levels = _levels(about)
    shares = np.array([np.interp(level, levels, own) for own in np.eye(len(levels))]) if levels else None
    mixed: set[str] = set()
    common: dict[str, Any] = {"arrays": arrays, "scale": scale * cells, "shares": shares, "mixed": mixed}
    layers: list[Layer] = []
    channels = [planes * cells**2]
    for number, layer in enumerate(described):
        does = layer.get("does") if isinstance(layer, dict) else None
        kind = LAYERS.get(does) if isinstance(does, str) else None
        if kind is None or kind.last != (number == len(described) - 1):
            inner = " or ".join(name for name, each in LAYERS.items() if not each.last)
            outer = " or ".join(name for name, each in LAYERS.items() if each.last)
            raise UpscaleError(
                f"layer {number} of the network does {shown(does)}; layers must do {inner}, and the last one {outer}."
            )
        for key in layer.keys() - {"does", *kind.keys}:
            raise UpscaleError(
                f"layer {number} of the network has {shown(key)}, which no {does} has; it has {', '.join(kind.keys)}."
            )
        made = kind.read(Described(**common, layer=layer, number=number, channels=channels, planes=planes))
        layers.append(made)
        check_total(layers)
        channels.append(made.channels(channels[-1]))
    skip = Phases(np.eye(planes * cells**2), 1)
    if cells == 1:
        own = Described(**common, layer=about, number="skip", channels=[1])
        skip = Phases.of(own.weights("skip", (None, None))[None, None], scale, "skip")
        _settle(skip, 1, "phase of the skip")
    if levels and not mixed:
        raise UpscaleError(
            f"the network has {len(levels)} levels, but none of its arrays has them as an axis more; omit levels."
        )
    _settle(layers[0], 0, "filter of the first layer", planes)
    _keep_flat(layers)
    training = about.get("training")
    known = training if isinstance(training, dict) else {}
    network = Network(scale, tuple(layers), skip, training=known, levels=levels, planes=planes, cells=cells)
    if network.margin > LARGEST_REACH:
        raise UpscaleError(
            f"the network reads {network.margin} pixels on each side; at most {LARGEST_REACH} are supported."
        )
    return network


def _settle(layer: Layer, total: int, name: str, planes: int = 1) -> None:
    """Let the weights of each filter sum to a total for each plane; raise `UpscaleError` if they are not near it."""
    assert isinstance(layer, Convolution)
    # Neighbours, planes, and the pixels of a cell.
    weights = layer.weights.reshape((len(layer.weights), layer.side**2, planes, -1))
    missing = total - weights.sum(axis=(1, 3), keepdims=True)
    if (most := float(np.abs(missing).max())) > TOLERANCE:
        raise UpscaleError(
            f"each {name} of the network must sum to {total}, or flat areas would change; one is {most:.2g} off."
        )
    weights += missing / (weights.shape[1] * weights.shape[3])


def _keep_flat(layers: Sequence[Layer]) -> None:
    """Let the last layer subtract what biases make of flat areas, of which the first layer makes 0."""
    last = layers[-1]
    if isinstance(last, Convolution) and any(getattr(layer, "biases", None) is not None for layer in layers):
        values: Array = np.zeros(1)
        results: list[Array] = []
        for layer in layers:
            values = layer.flat(values, [results[index] for index in layer.earlier])
            results.append(values)
        last.biases = -values


def _levels(about: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the levels that a network has weights for."""
    if "levels" not in about:
        return ()
    levels = about["levels"]
    numbers = isinstance(levels, list) and all(type(level) in (int, float) for level in levels)
    ends = numbers and len(levels) <= MOST_LEVELS and (levels[:1], levels[-1:]) == ([0], [1])
    if not ends or not all(low < high for low, high in pairwise(levels)):
        raise UpscaleError(
            f"the network's levels are {shown(levels)}; "
            f"they must be 2 to {MOST_LEVELS} ascending numbers from 0 to 1."
        )
    return tuple(levels)


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
    if type(layout) is not int or layout != LAYOUT:
        raise UpscaleError(f"the network has layout {shown(layout)}, but this version reads only layout {LAYOUT}.")
    return dict(about)

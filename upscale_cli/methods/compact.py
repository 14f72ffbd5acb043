"""Networks of others: the Compact family (SRVGGNetCompact, Wang et al. 2021, Real-ESRGAN), from their state dicts.

`body.0`, `body.2` … are convolutions with biases, `body.1`, `body.3` … the slopes of PReLU after each; the last
convolution makes the scale² phases of each plane, and the nearest pixel is added. They take red, green and blue of
0 … 1, or one plane. PyTorch continues pictures with zeros before each layer; here they are mirrored once, as for all
networks, so results differ near the border.
"""

from collections.abc import Mapping
from reprlib import repr as shown
from typing import Any

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.methods.layers import Convolution, Described, Layer, Phases, check_total
from upscale_cli.methods.layout import read_network
from upscale_cli.methods.network import LARGEST_REACH, MOST_LAYERS, Network, scale_of
from upscale_cli.methods.span import read_span

PREFIXES = ("params_ema.", "params.", "module.")
"""What some programs put before all names."""


def read_any(arrays: Mapping[str, Any], level: float = 0.0) -> Network:
    """Return the network of a file's arrays, in layout 1, of the Compact family or a SPAN; see `read_network`."""
    for prefix in PREFIXES:
        if arrays and all(name.startswith(prefix) for name in arrays):
            arrays = {name.removeprefix(prefix): arrays[name] for name in arrays}
    if "conv_cat.weight" in arrays:
        return read_span(arrays)
    if "body.0.weight" in arrays:
        return _read_compact(arrays)
    if "weight0" in arrays and "about" not in arrays:
        raise UpscaleError('the network file has no array "about", so it is not in layout 1.')
    if arrays and "about" not in arrays:
        raise UpscaleError(
            f"layer {shown(next(iter(arrays)))} of the network is of no family that is read, which are Compact and "
            "SPAN; convert the network to .onnx, and give that file."
        )
    return read_network(arrays, level)


def _read_compact(arrays: Mapping[str, Any]) -> Network:
    """Return the network of a state dict, each of whose arrays is used."""
    count = 1 + max(int(name.split(".")[1]) for name in arrays if name.split(".")[0] == "body" and _number(name))
    last = count - 1
    expected = {f"body.{n}.weight" for n in range(count)} | {f"body.{n}.bias" for n in range(0, count, 2)}
    for name in arrays:
        if name not in expected:
            raise UpscaleError(
                f"layer {shown(name)} of the network is none of the Compact family, to which body.0.weight "
                "belongs; convert the network to .onnx, and give that file."
            )
    if last and not any(f"body.{n}.weight" in arrays for n in range(1, last, 2)):
        raise UpscaleError(
            "the network has no slopes of PReLU, and its file does not say what else follows its convolutions; "
            "convert it to .onnx, and give that file."
        )
    if count > MOST_LAYERS or last % 2:
        raise UpscaleError(f"the network has {count} layers; a Compact one has an odd number, at most {MOST_LAYERS}.")
    first = np.asarray(arrays["body.0.weight"])
    planes = first.shape[1] if first.ndim == 4 else 0
    if planes not in (1, 3):
        raise UpscaleError(
            f'array "body.0.weight" of the network is {first.dtype} {first.shape}; layer body.0 takes one plane, '
            "or red, green and blue."
        )
    layers: list[Layer] = []
    channels = [planes]
    for n in range(0, count, 2):
        layer = {"weight": f"body.{n}.weight", "biases": f"body.{n}.bias", "slopes": f"body.{n + 1}.weight"}
        if n == last:
            del layer["slopes"]
        said: dict[str, Any] = {"arrays": arrays, "layer": layer, "number": f"body.{n}", "channels": channels}
        made = Convolution.read(Described(**said, scale=0, prelu=n != last))
        layers.append(made)
        check_total(layers)
        channels.append(made.channels(channels[-1]))
    scale = scale_of(channels[-1], planes, f"body.{last}")
    end = layers.pop()
    assert isinstance(end, Convolution)
    nearest = Phases(np.repeat(np.eye(planes), scale * scale, axis=0), 1)
    phases = Phases(end.weights, end.side, None, end.biases)
    network = Network(scale, (*layers, phases), nearest, planes=planes)
    if network.margin > LARGEST_REACH:
        raise UpscaleError(
            f"the network reads {network.margin} pixels on each side; at most {LARGEST_REACH} are supported."
        )
    return network


def _number(name: str) -> bool:
    part = name.split(".")[1:2]
    return bool(part) and part[0].isascii() and part[0].isdigit() and len(part[0]) < 5

"""The networks as PyTorch trains them.

Nothing has a bias, and the weights of each filter of the head sum to 0. So the network sees differences alone: a flat
area gives exactly 0 there and passes through the linear skip, whose phases sum to 1; and PReLU being homogeneous,
more contrast gives proportionally more detail, whatever range of numbers a picture has (bias-free networks: Mohan et
al. 2020).
"""

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from upscale_cli.methods.transposed import phase_taps

MARGIN = 2
"""Pixels around a patch that the head and the skip read, but that produce no output."""
SKIP = 5
"""Side of the neighbourhood of the linear skip."""
HALF = 48
"""The body of networks of so many channels is stored in half precision. Flat areas stay exact: the head makes zeros
of them, and what biases make of zeros is subtracted by whoever reads the file."""

Arrays = dict[str, NDArray[np.floating[Any]]]
Index = tuple[slice | NDArray[Any], ...]
"""Selects, of an array (C, side, side), some cells of every channel."""


class Shape(NamedTuple):
    """The size of a network: scale, channels, body layers, and the side of the transposed convolution's kernel."""

    scale: int
    channels: int
    layers: int
    tail: int


class Network(nn.Module):
    """Luma (B, 1, h + 2·MARGIN, w + 2·MARGIN) to luma (B, 1, h·scale, w·scale)."""

    reached: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = scale, channels, layers, _ = shape
        self.head = nn.Parameter(torch.randn(channels, 1, 3, 3) * (2 / 9) ** 0.5)
        self.slopes = nn.Parameter(torch.full((channels,), 0.25))
        # Each layer of the body begins near the identity.
        deviation = (0.1 / (9 * channels)) ** 0.5
        self.body = nn.Parameter(torch.randn(layers, channels, channels, 3, 3) * deviation)
        self.body.data[:, range(channels), range(channels), 1, 1] += 1
        self.body_slopes = nn.Parameter(torch.full((layers, channels), 0.25))
        self.tail = nn.Parameter(torch.randn(scale * scale, channels, 3, 3) * (0.01 / (9 * channels)) ** 0.5)
        self.skip = nn.Parameter(torch.zeros(scale * scale, 1, SKIP, SKIP))
        # A kernel narrower than three cells has no taps for some neighbours.
        ones = np.ones((1, 1, shape.tail, shape.tail), np.float32)
        self.register_buffer("reached", torch.from_numpy(to_phases(ones, scale, 3)), persistent=False)

    @property
    def matrices(self) -> list[nn.Parameter]:
        """What Muon turns: the body."""
        return [self.body]

    def parts(self) -> tuple[list[tuple[Tensor, Tensor]], Tensor, Tensor]:
        """Return the weights: each convolution with its slopes, the tail, and the skip."""
        head = self.head - self.head.mean(dim=(2, 3), keepdim=True)
        body = zip(self.body, self.body_slopes, strict=True)
        missing = 1 - self.skip.sum(dim=(2, 3), keepdim=True)
        return [(head, self.slopes), *body], self.tail * self.reached, self.skip + missing / SKIP**2

    def forward(self, luma: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the enlarged luma; `dtype` is the precision of the body."""
        ((weight, slopes), *body), tail, skip = self.parts()
        first = F.prelu(F.conv2d(luma[:, :, 1:-1, 1:-1], weight), slopes)
        features = first = first.to(dtype, memory_format=torch.channels_last)
        for weight, slopes in body:
            features = F.prelu(F.conv2d(features, weight.to(dtype), padding=1), slopes.to(dtype))
        detail = F.conv2d(features + first, tail.to(dtype), padding=1).float()
        return F.pixel_shuffle(detail + F.conv2d(luma, skip), self.shape.scale)

    @torch.no_grad()
    def arrays(self) -> Arrays:
        """The weights, by the names that they have in a file."""
        convolutions, tail, skip = self.parts()
        named: Arrays = {}
        for index, (weight, slopes) in enumerate(convolutions):
            named[f"weight{index}"], named[f"slopes{index}"] = weight.numpy(), slopes.numpy()
        named["tail"] = to_kernel(tail.numpy(), self.shape.scale, self.shape.tail)
        named["skip"] = to_kernel(skip.numpy(), self.shape.scale, SKIP * self.shape.scale)[0, 0]
        return stored(named)

    @classmethod
    def of(cls, arrays: Arrays) -> "Network":
        """The network of a file's arrays."""
        layers = sum(name.startswith("weight") for name in arrays) - 1
        scale = arrays["skip"].shape[0] // SKIP
        network = cls(Shape(scale, len(arrays["weight0"]), layers, arrays["tail"].shape[2]))
        network.become(arrays)
        return network

    @torch.no_grad()
    def become(self, arrays: Arrays) -> None:
        """Start from the weights of a file: all of them, or for another scale those of the head and the body."""
        given = {name: torch.from_numpy(values) for name, values in arrays.items()}
        self.head.copy_(given["weight0"])
        self.slopes.copy_(given["slopes0"])
        for index, (weight, slopes) in enumerate(zip(self.body, self.body_slopes, strict=True), 1):
            weight.copy_(given[f"weight{index}"])
            slopes.copy_(given[f"slopes{index}"])
        if arrays["skip"].shape[0] == SKIP * self.shape.scale:
            self.tail.copy_(torch.from_numpy(to_phases(arrays["tail"], self.shape.scale, 3)))
            self.become_skip(arrays["skip"])

    @torch.no_grad()
    def become_skip(self, kernel: NDArray[np.float32]) -> None:
        """Start from a linear skip: the kernel of a transposed convolution."""
        self.skip.copy_(torch.from_numpy(to_phases(kernel[None, None], self.shape.scale, SKIP)))


def stored(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return arrays as files store them.

    Half precision changes PSNR by less than 0.001 dB (six Kodak photographs, large, ×2), and files are half as long.
    """
    halved = [name for name in arrays if name.startswith("weight") and name != "weight0"]
    if len(arrays["weight0"]) < HALF:
        halved = []
    return {name: values.astype(np.float16 if name in halved else np.float32) for name, values in arrays.items()}


def write(path: Path, arrays: Arrays, about: Mapping[str, Any]) -> None:
    """Write a network in the layout that `upscale_cli.methods.layout` describes, with what else is said about it."""
    kinds = {"weight": "weight", "slopes": "slopes"} | ({"biases": "bias"} if "bias0" in arrays else {})
    count = sum(name.startswith("weight") for name in arrays)
    layers = [
        *({"does": "convolution"} | {key: f"{kind}{n}" for key, kind in kinds.items()} for n in range(count)),
        {"does": "sum", "with": 0},
        {"does": "transposed-convolution", "weight": "tail"},
    ]
    skip = {"skip": "skip"} if "skip" in arrays else {}
    text = json.dumps({"layout": 1, **about, "layers": layers, **skip})
    everything: dict[str, Any] = {"about": np.frombuffer(text.encode(), np.uint8), **arrays}
    np.savez(path, **everything)


def to_phases(kernel: NDArray[np.float32], scale: int, side: int) -> NDArray[np.float32]:
    """The kernel (C, 1, k, k) of a centred transposed convolution as a convolution: (scale², C, side, side)."""
    phases = np.zeros((scale * scale, len(kernel), side, side), np.float32)
    for phase, cells, taps in _meetings(scale, side, kernel.shape[2]):
        phases[phase][cells] = kernel[:, 0][taps]
    return phases


def to_kernel(phases: NDArray[np.float32], scale: int, size: int) -> NDArray[np.float32]:
    """The inverse of `to_phases`, for a kernel (C, 1, size, size)."""
    kernel = np.zeros((phases.shape[1], 1, size, size), np.float32)
    for phase, cells, taps in _meetings(scale, phases.shape[2], size):
        kernel[:, 0][taps] = phases[phase][cells]
    return kernel


def _meetings(scale: int, side: int, size: int) -> Iterator[tuple[int, Index, Index]]:
    """Yield each phase, the cells of its convolution (`side`) that meet taps of a kernel (`size`), and those taps."""
    taps = phase_taps(scale, size)
    border = (side - taps.shape[1]) // 2
    for phase, axes in enumerate(product(taps, taps)):
        met = [np.flatnonzero(axis >= 0) for axis in axes]
        cells = np.ix_(*(n + border for n in met))
        taps_met = np.ix_(*(axis[n] for axis, n in zip(axes, met, strict=True)))
        yield phase, (slice(None), *cells), (slice(None), *taps_met)

"""A network that is told how damaged a picture is, as PyTorch trains it."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from training.model import MARGIN, SKIP, Arrays, stored, to_kernel, to_phases
from upscale_cli.methods.chroma import LUMA

KNOTS = 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1.0
"""Levels that have weights of their own.

A network of x4 with three of them, trained 800 steps more for quality 60 alone, gained 0.03 dB there.
"""
ALL = "weight", "slopes", "bias", "tail", "skip"


def in_colours(arrays: Arrays) -> Arrays:
    """Return what changes red, green and blue as a network changes luma, of the arrays of one that sees cells.

    It sees colour differences and makes some, by random numbers: from none of both, it would hardly begin to learn.
    """
    random, luma = np.random.default_rng(0), np.array(LUMA, np.float32)[:, None, None, None]
    head, tail = (arrays[name] for name in ("weight0", "tail"))
    seen = _like(head, 3, random)
    made = _like(tail, 3, random)
    # Grey pictures have no differences, and those that it makes have no luma.
    seen -= seen.mean(axis=-4, keepdims=True)
    made -= (made * luma).sum(axis=-4, keepdims=True)
    head, tail = luma * head[..., None, :, :, :] + seen, tail[..., None, :, :, :] + made
    return {**arrays, "weight0": head.reshape((*head.shape[:-4], -1, *head.shape[-2:])), "tail": tail[..., 0, :, :]}


def _like(weights: NDArray[Any], planes: int, random: np.random.Generator) -> NDArray[Any]:
    """Return random numbers for each plane, a quarter as large as weights (…, c, k, k): (…, planes, c, k, k)."""
    *levels, channels, side, across = weights.shape
    size = float(np.sqrt((weights**2).mean())) / 4
    return random.normal(0, size, (*levels, planes, channels, side, across)).astype(np.float32)


class Dial(nn.Module):
    """A network for every level, beginning with that for undamaged pictures: luma to luma, as `model.Network`.

    `knots` are the levels that it learns; at level 0 it stays as it is, unless 0 is one of them. `kinds` are the
    arrays that each knot has for itself; the others are the same for all. `cells` and `planes` are those of `layout`.
    """

    reached: Tensor

    def __init__(
        self,
        arrays: Mapping[str, NDArray[np.float32]],
        scale: int,
        knots: tuple[float, ...] = KNOTS,
        *,
        kinds: tuple[str, ...] = ALL,
        cells: int = 1,
    ) -> None:
        super().__init__()
        self.scale, self.cells, self.stride = scale, cells, scale * cells
        self.planes = arrays["weight0"].shape[1] // cells**2
        self.side, self.knots = arrays["tail"].shape[2], knots
        self.layers = sum(name.startswith("weight") for name in arrays)
        given = ("weight", "slopes")
        clean = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays if name.startswith(given)}
        clean["tail"] = torch.from_numpy(self._phases(arrays["tail"]))
        if cells == 1:
            clean["skip"] = torch.from_numpy(to_phases(arrays["skip"][None, None], scale, SKIP))
        channels = len(clean["weight0"])
        clean |= {f"bias{n}": torch.zeros(channels) for n in range(self.layers)}
        self.names = list(clean)
        for name, values in clean.items():
            self.register_buffer(f"clean_{name}", values)
        ones = np.ones((1, self.planes, self.side, self.side), np.float32)
        self.register_buffer("reached", torch.from_numpy(self._phases(ones)), persistent=False)
        # What each knot has other than the clean network, or all of them.
        own = {name for name in clean if name.startswith(kinds)}
        self.change = nn.ParameterDict(
            {n: torch.zeros((len(knots) if n in own else 1, *values.shape)) for n, values in clean.items()}
        )

    @property
    def matrices(self) -> list[nn.Parameter]:
        """What Muon turns: the body."""
        return [self.change[f"weight{n}"] for n in range(1, self.layers)]

    def shares(self, level: float) -> Tensor:
        """Return how much of each knot a level has: (knots,)."""
        knots = (0.0, *KNOTS)
        rows = np.eye(len(knots))[-len(self.knots) :]
        return torch.tensor([np.interp(level, knots, row) for row in rows], dtype=torch.float32)

    def mixed(self, name: str, shares: Tensor) -> Tensor:
        """Return an array for the shares of the knots; the rest is the clean network's."""
        every = self.change[name]
        change = torch.tensordot(shares if len(every) > 1 else shares.sum(0, keepdim=True), every, 1)
        if name in ("weight0", "skip"):
            # Flat areas of any colour are to make 0.
            each = change.unflatten(1, (self.planes, -1))
            change = (each - each.mean(dim=(2, 3, 4), keepdim=True)).flatten(1, 2)
        clean: Tensor = getattr(self, f"clean_{name}")
        return clean + (change * self.reached if name == "tail" else change)

    def forward(self, planes: Tensor, shares: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the enlarged planes of pictures of a level, given by `shares`; full intensity is 1.

        `dtype` is the precision of the body.
        """
        w = {name: self.mixed(name, shares) for name in self.names}
        # The head reads a cell around each.
        values, flat = self._in_cells(planes, self.cells), planes.new_zeros(self.planes * self.cells**2)
        first = first_flat = values
        for n in range(self.layers):
            weight, bias, slopes = (w[f"{kind}{n}"] for kind in ("weight", "bias", "slopes"))
            own = dtype if n else torch.float32
            values = F.conv2d(values, weight.to(own), bias.to(own), padding=1 if n else 0)
            values = F.prelu(values, slopes.to(own))
            flat = weight.sum((2, 3)) @ flat + bias
            flat = flat.clamp(min=0) + slopes * flat.clamp(max=0)
            if n == 0:
                values = values.to(dtype, memory_format=torch.channels_last)
                first, first_flat = values, flat
        detail = F.conv2d(values + first, w["tail"].to(dtype), padding=1).float()
        detail = detail - (w["tail"].sum((2, 3)) @ (flat + first_flat))[:, None, None]
        skip = self._in_cells(planes, 0) if self.cells > 1 else F.conv2d(planes, w["skip"])
        return F.pixel_shuffle(detail + skip, self.stride)

    def _in_cells(self, planes: Tensor, margin: int) -> Tensor:
        """Return the pixels of cells as channels, with a margin that is not wider than that of the planes."""
        return F.pixel_unshuffle(F.pad(planes, [margin - MARGIN] * 4), self.cells)

    def _phases(self, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        """The tail (C, planes, k, k) as a convolution."""
        return np.concatenate([to_phases(each[:, None], self.stride, 3) for each in kernel.swapaxes(0, 1)])

    def _kernel(self, phases: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inverse of `_phases`."""
        kernels = [to_kernel(each, self.stride, self.side) for each in np.split(phases, self.planes)]
        return np.concatenate(kernels, axis=1)

    @torch.no_grad()
    def arrays(self) -> Arrays:
        """Return the weights of level 0 and of each knot, or the only ones, by the names that they have in a file."""
        levels = [self.shares(level) for level in (0.0, *KNOTS)]
        found: Arrays = {}
        for name in self.names:
            made = [self.mixed(name, shares).numpy() for shares in levels]
            if name == "tail":
                made = [self._kernel(each) for each in made]
            elif name == "skip":
                made = [to_kernel(each, self.scale, SKIP * self.scale)[0, 0] for each in made]
            found[name] = np.stack(made) if len(self.change[name]) > 1 else made[-1]
        return stored(found)

    @torch.no_grad()
    def begin_as(self, other: Arrays) -> None:
        """Change head and body as another network of this kind does, and all else if it has the same scale.

        Layers that the other lacks begin as the identity, after its own. Of a network of luma, one of colours begins
        `in_colours`.
        """
        if other["weight0"].shape[1] < self.planes * self.cells**2:
            other = in_colours(other)
        channels = len(other["weight0"])
        same = np.zeros((channels, channels, 3, 3), np.float32)
        same[range(channels), range(channels), 1, 1] = 1
        layers = range(sum(name.startswith("weight") for name in other), self.layers)
        kinds: Arrays = {"weight": same, "slopes": np.ones(channels), "bias": np.zeros(channels)}
        other = {**other, **{f"{kind}{n}": values for kind, values in kinds.items() for n in layers}}
        # An array that all levels share has one axis less.
        axes = {name: getattr(self, f"clean_{name}").ndim for name in self.names} | {"skip": 2}
        given = json.loads(other["about"].tobytes())["levels"]
        rows = np.array([np.interp((0.0, *KNOTS), given, own) for own in np.eye(len(given))], np.float32).T
        levels = {
            name: np.tensordot(rows, other[name], 1) if other[name].ndim > axes[name] else other[name][None]
            for name in self.names
        }
        found = {name: values for name, values in levels.items() if name.startswith(("weight", "slopes", "bias"))}
        if other["tail"].shape[-2:] == (self.side, self.side):
            found["tail"] = np.stack([self._phases(each) for each in levels["tail"]])
            if "skip" in levels:
                found["skip"] = np.stack([to_phases(each[None, None], self.scale, SKIP) for each in levels["skip"]])
        for name, values in found.items():
            own = self.change[name]
            own.copy_(torch.from_numpy(values[-len(own) :]) - getattr(self, f"clean_{name}"))

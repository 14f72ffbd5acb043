"""A network that is told how damaged a picture is, as PyTorch trains it."""

import json
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from training.model import MARGIN, SKIP, Arrays, stored, to_kernel, to_phases

KNOTS = 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1.0
"""Levels that have weights of their own.

A network of x4 with three of them, trained 800 steps more for quality 60 alone, gained 0.03 dB there.
"""
ALL = "weight", "slopes", "bias", "tail", "skip"


class Dial(nn.Module):
    """A network for every level, beginning with that for undamaged pictures: luma to luma, as `model.Network`.

    `knots` are the levels that it learns; at level 0 it stays as it is, unless 0 is one of them. `kinds` are the
    arrays that each knot has for itself; the others are the same for all. `cells` are those of `layout`.
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
        self.side, self.knots = arrays["tail"].shape[2], knots
        self.layers = sum(name.startswith("weight") for name in arrays)
        given = ("weight", "slopes")
        clean = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays if name.startswith(given)}
        clean["tail"] = torch.from_numpy(to_phases(arrays["tail"], self.stride, 3))
        if cells == 1:
            clean["skip"] = torch.from_numpy(to_phases(arrays["skip"][None, None], scale, SKIP))
        channels = len(clean["weight0"])
        clean |= {f"bias{n}": torch.zeros(channels) for n in range(self.layers)}
        self.names = list(clean)
        for name, values in clean.items():
            self.register_buffer(f"clean_{name}", values)
        ones = np.ones((1, 1, self.side, self.side), np.float32)
        self.register_buffer("reached", torch.from_numpy(to_phases(ones, self.stride, 3)), persistent=False)
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
            change = change - change.mean(dim=(1, 2, 3), keepdim=True)
        clean: Tensor = getattr(self, f"clean_{name}")
        return clean + (change * self.reached if name == "tail" else change)

    def forward(self, luma: Tensor, shares: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the enlarged luma of pictures of a level, given by `shares`; full intensity is 1.

        `dtype` is the precision of the body.
        """
        w = {name: self.mixed(name, shares) for name in self.names}
        # The head reads a cell around each.
        values, flat = self._in_cells(luma, self.cells), luma.new_zeros(self.cells**2)
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
        skip = self._in_cells(luma, 0) if self.cells > 1 else F.conv2d(luma, w["skip"])
        return F.pixel_shuffle(detail + skip, self.stride)

    def _in_cells(self, luma: Tensor, margin: int) -> Tensor:
        """Return the pixels of cells as channels, with a margin that is not wider than that of luma."""
        return F.pixel_unshuffle(F.pad(luma, [margin - MARGIN] * 4), self.cells)

    @torch.no_grad()
    def arrays(self) -> Arrays:
        """Return the weights of level 0 and of each knot, or the only ones, by the names that they have in a file."""
        levels = [self.shares(level) for level in (0.0, *KNOTS)]
        found: Arrays = {}
        for name in self.names:
            made = [self.mixed(name, shares).numpy() for shares in levels]
            if name == "tail":
                made = [to_kernel(each, self.stride, self.side) for each in made]
            elif name == "skip":
                made = [to_kernel(each, self.scale, SKIP * self.scale)[0, 0] for each in made]
            found[name] = np.stack(made) if len(self.change[name]) > 1 else made[-1]
        return stored(found)

    @torch.no_grad()
    def begin_as(self, other: Arrays) -> None:
        """Change head and body as another network of this kind does, and all else if it has the same scale.

        Layers that the other lacks begin as the identity, after its own.
        """
        channels = len(other["weight0"])
        same = np.zeros((channels, channels, 3, 3), np.float32)
        same[range(channels), range(channels), 1, 1] = 1
        layers = range(sum(name.startswith("weight") for name in other), self.layers)
        for kind, values in {"weight": same, "slopes": np.ones(channels), "bias": np.zeros(channels)}.items():
            other = {**other, **{f"{kind}{n}": values for n in layers}}
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
            found["tail"] = np.stack([to_phases(each, self.stride, 3) for each in levels["tail"]])
            if "skip" in levels:
                found["skip"] = np.stack([to_phases(each[None, None], self.scale, SKIP) for each in levels["skip"]])
        for name, values in found.items():
            own = self.change[name]
            own.copy_(torch.from_numpy(values[-len(own) :]) - getattr(self, f"clean_{name}"))

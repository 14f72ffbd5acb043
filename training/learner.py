"""How every network learns: rounds of Adam with warm restarts, an error that is squared at last, averaged weights."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WARM_UP = 200
"""The first steps of a round, in which the learning rate rises."""
BORDER = 4
"""Outer pixels of a patch, left out of the error: there, the body reads zeros, not the image's next pixels."""


class Round(NamedTuple):
    """So many steps of Adam, whose learning rate rises for `WARM_UP` steps and falls as a cosine, almost to 0.

    `smaller` learns from photographs made smaller too.
    """

    steps: int
    rate: float
    smaller: bool = False


def place(rounds: Sequence[Round], step: int) -> tuple[Round, int]:
    """Return the round that a step belongs to, and how many of its steps came before."""
    for round in rounds:
        if step < round.steps:
            return round, step
        step -= round.steps
    raise IndexError(f"the rounds end {step} steps before this one")


class Learner:
    """A network on its way: weights, their running average, the optimiser, and how far it is.

    Parameters
    ----------
    network : Module
        Called with what `learn` is given, and the precision of its body as `dtype`.
    rounds : sequence of Round
        One after another (warm restarts: Loshchilov & Hutter 2017).
    scale : int
    coarse, squared : float
        The shares of the steps of a round: the first, whose body is computed in bfloat16, and the last, that lessen
        the squared error, which is what PSNR measures.
    """

    def __init__(
        self, network: nn.Module, rounds: Sequence[Round], scale: int, *, coarse: float, squared: float
    ) -> None:
        self.network, self.rounds, self.step = network.to(DEVICE), rounds, 0
        self._border, self._coarse, self._squared = BORDER * scale, coarse, squared
        self.average = {name: values.clone() for name, values in network.state_dict().items()}
        self._made = torch.compile(network)
        self._optimiser = torch.optim.Adam(network.parameters(), rounds[0].rate, betas=(0.9, 0.99), fused=True)

    def learn(self, parts: Sequence[tuple[tuple[Tensor, ...], Tensor]]) -> float:
        """One step, from what the network is given and should have made, in parts; the mean error."""
        round, before = place(self.rounds, self.step)
        progress = before / round.steps
        fall = 0.5 + 0.5 * math.cos(math.pi * progress) + 0.005
        for group in self._optimiser.param_groups:
            group["lr"] = round.rate * min(1, (before + 1) / WARM_UP) * fall
        dtype = torch.bfloat16 if progress < self._coarse else torch.float32
        inside = slice(self._border, -self._border)
        self._optimiser.zero_grad()
        total = 0.0
        for given, wanted in parts:
            made = self._made(*(each.to(DEVICE) for each in given), dtype=dtype)
            error = (made - wanted.to(DEVICE))[:, :, inside, inside]
            # An absolute error of 0.02 is usual: the two have gradients of about the same size.
            loss = error.abs().mean() if progress < 1 - self._squared else 25 * (error * error).mean()
            (loss / len(parts)).backward()
            total += float(loss.detach()) / len(parts)
        self._optimiser.step()
        self.step += 1
        keep = min(0.999, self.step / (self.step + 20))
        for name, values in self.network.state_dict().items():
            self.average[name].lerp_(values, 1 - keep)
        return total

    def save(self, path: Path, **more: Any) -> None:
        """Write a checkpoint, with more that is to be known again."""
        state = {"step": self.step, "network": self.network.state_dict(), "average": self.average, **more}
        path.parent.mkdir(exist_ok=True, parents=True)
        torch.save(state | {"optimiser": self._optimiser.state_dict()}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from a checkpoint, and return what it holds."""
        state: dict[str, Any] = torch.load(path, map_location=DEVICE, weights_only=True)
        self.step, self.average = state["step"], state["average"]
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        return state

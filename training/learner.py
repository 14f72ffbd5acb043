"""How every network learns: rounds of Muon and Adam, an error that is squared at last, averaged weights.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) changes the matrices of the body by matrices
whose singular values are all about 1, so that rare directions learn as fast as frequent ones; Adam changes the rest.
After 2,500 steps the large network of x2 was 0.22 dB better for it.

On CUDA, a step is recorded once and replayed, from the choice of its patches to the averaged weights: small networks
would otherwise wait for the processor most of the time.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.dial import Dial
from training.model import Network
from training.patches import DEVICE

torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True  # what is chosen for 24 channels otherwise takes eight times as long

WARM_UP = 200
"""The first steps of a round, in which the learning rate rises."""
BORDER = 4
"""Outer pixels of a patch, left out of the error: there, the body reads zeros, not the image's next pixels."""
TURNED = 10
"""The learning rate of Muon, divided by that of Adam."""
MOMENTUM = 0.95
ITERATION = 3.4445, -4.7750, 2.0315
"""Coefficients of Muon's iteration, of the first, third and fifth power: five times, it brings every singular value
near 1."""
UNRECORDED = 3
"""Steps before one is recorded, in which libraries choose how they compute."""

CAPABLE = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
"""What the processor can do, as far as this PyTorch tells."""
PRECISION = torch.bfloat16 if DEVICE == "cuda" or CAPABLE.get("avx512_bf16") else torch.float32
"""Of the body: processors that only imitate bfloat16 take 13 times as long with it."""

Parts = Sequence[tuple[tuple[Tensor, ...], Tensor]]
"""Of each part of a step, what the network is given, and what it should make of it."""


class Round(NamedTuple):
    """So many steps, whose learning rate (Adam's) rises for `WARM_UP` steps and falls as a cosine, almost to 0."""

    steps: int
    rate: float


def place(rounds: Sequence[Round], step: int) -> tuple[Round, int]:
    """Return the round that a step belongs to, and how many of its steps came before."""
    for round in rounds:
        if step < round.steps:
            return round, step
        step -= round.steps
    raise IndexError(f"the rounds end {step} steps before this one")


def similarity(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean structural similarity of luma (B, 1, H, W) of 0 … 1, as `upscale_cli.learning.measure.ssim`."""
    window = torch.exp(-(torch.arange(-5.0, 6, device=DEVICE) ** 2) / (2 * 1.5**2))
    window = window / window.sum()

    def smoothed(values: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(values, window[None, None, :, None]), window[None, None, None])

    # Code values of luma are 16 … 235, and those of the constants 0 … 255.
    c1, c2 = (0.01 * 255 / 219) ** 2, (0.03 * 255 / 219) ** 2
    mean_x, mean_y = smoothed(made), smoothed(wanted)
    variances = smoothed(made * made) - mean_x**2 + smoothed(wanted * wanted) - mean_y**2
    covariance = smoothed(made * wanted) - mean_x * mean_y
    means = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (means * (2 * covariance + c2) / (variances + c2)).mean()


class Muon(torch.optim.Optimizer):
    """Muon for convolutions (…, d, c, 3, 3), all of one shape, seen as matrices (d, c · 9); `rate` is Adam's."""

    def __init__(self, matrices: Sequence[nn.Parameter], rate: Tensor) -> None:
        super().__init__(matrices, {"lr": rate})
        for each in matrices:
            self.state[each]["momentum"] = torch.zeros_like(each)

    @torch.no_grad()
    def step(self) -> None:
        """One step."""
        (group,) = self.param_groups
        gradients = torch.stack([each.grad for each in group["params"]])
        momenta = [self.state[each]["momentum"] for each in group["params"]]
        torch._foreach_lerp_(momenta, list(gradients), 1 - MOMENTUM)
        x = gradients.lerp(torch.stack(momenta), MOMENTUM).flatten(-3).bfloat16()
        x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-12)
        first, third, fifth = ITERATION
        for _ in range(5):
            square = x @ x.mT
            x = first * x + (third * square + fifth * (square @ square)) @ x
        change = (x.float() * (group["lr"] * TURNED)).view_as(gradients)
        torch._foreach_sub_(group["params"], list(change))


class Learner:
    """A network on its way: weights, their running average, the optimiser, and how far it is.

    Parameters
    ----------
    network : Network or Dial
        Called with what `draw` returns, and the precision of its body as `dtype`. Muon turns its `matrices`.
    draw : callable
        Returns the patches of a step, in parts. On CUDA it is recorded as well.
    rounds : sequence of Round
        One after another (warm restarts: Loshchilov & Hutter 2017).
    scale : int
    squared : float
        The share of the steps of a round, the last ones, that lessen the squared error, which PSNR measures.
    structure : float
        How much of `1 − similarity` is added to the error.
    seen : callable, optional
        Error of each plane to the error that is lessened; by default the same.
    """

    def __init__(
        self,
        network: Network | Dial,
        draw: Callable[[], Parts],
        rounds: Sequence[Round],
        scale: int,
        *,
        squared: float,
        structure: float = 0,
        seen: Callable[[Tensor], Tensor] = lambda errors: errors,
    ) -> None:
        self.network, self.rounds, self.step = network.to(DEVICE), rounds, 0
        self._draw, self._inside = draw, slice(BORDER * scale, -BORDER * scale)
        self._squared, self._structure, self._seen = squared, structure, seen
        self.device = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
        self.average = {name: values.clone() for name, values in network.state_dict().items()}
        self._weights = [values for _, values in network.named_parameters()]
        self._means = [self.average[name] for name, _ in network.named_parameters()]
        self._made = torch.compile(network)
        self._rate, self._renewed, self._error = (torch.zeros((), device=DEVICE) for _ in range(3))
        turned = {id(values) for values in network.matrices}
        self._optimisers = (
            Muon(network.matrices, self._rate),
            torch.optim.Adam(
                [values for values in self._weights if id(values) not in turned],
                self._rate,
                betas=(0.9, 0.99),
                fused=True,
                capturable=DEVICE == "cuda",
            ),
        )
        self._recorded: dict[bool, Callable[[], None]] = {}

    def learn(self) -> None:
        """One step."""
        round, before = place(self.rounds, self.step)
        progress = before / round.steps
        fall = 0.5 + 0.5 * math.cos(math.pi * progress) + 0.005
        self._rate.fill_(round.rate * min(1, (before + 1) / WARM_UP) * fall)
        self._renewed.fill_(max(0.001, 20 / (self.step + 21)))
        squared = progress >= 1 - self._squared
        if DEVICE != "cuda":
            self._advance(squared)
        else:
            if squared not in self._recorded:
                self._recorded[squared] = self._record(squared)
            self._recorded[squared]()
        self.step += 1

    def _record(self, squared: bool) -> Callable[[], None]:
        """Return what repeats a step. A few steps are done before, which are not counted."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(UNRECORDED):
                self._advance(squared)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._advance(squared)
        replay: Callable[[], None] = graph.replay
        return replay

    def _advance(self, squared: bool) -> None:
        self.network.zero_grad()
        parts = self._draw()
        for given, whole in parts:
            made = self._made(*given, dtype=PRECISION)[:, :, self._inside, self._inside]
            wanted = whole[:, :, self._inside, self._inside]
            error = self._seen(made - wanted)
            # An absolute error of 0.02 is usual: the two have gradients of about the same size.
            loss = 25 * (error * error).mean() if squared else error.abs().mean()
            if self._structure:
                loss = loss + self._structure * (1 - similarity(made, wanted))
            (loss / len(parts)).backward()
            self._error += loss.detach() / len(parts)
        for each in self._optimisers:
            each.step()
        with torch.no_grad():
            steps = torch._foreach_sub(self._weights, self._means)
            torch._foreach_mul_(steps, self._renewed)
            torch._foreach_add_(self._means, steps)

    def error(self) -> float:
        """Return the sum of the errors since the last call."""
        error = float(self._error)
        self._error.zero_()
        return error

    def save(self, path: Path, **more: Any) -> None:
        """Write a checkpoint, with more that is to be known again."""
        state = {"step": self.step, "network": self.network.state_dict(), "average": self.average, **more}
        path.parent.mkdir(exist_ok=True, parents=True)
        torch.save(state | {"optimisers": [each.state_dict() for each in self._optimisers]}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from a checkpoint, with other patches than those before it, and return what it holds."""
        state: dict[str, Any] = torch.load(path, map_location=DEVICE, weights_only=True)
        self.step = state["step"]
        torch.manual_seed(self.step)
        for name, values in state["average"].items():
            self.average[name].copy_(values)
        self.network.load_state_dict(state["network"])
        for each, own in zip(self._optimisers, state["optimisers"], strict=True):
            each.load_state_dict(own)
            for group in each.param_groups:
                group["lr"] = self._rate
        return state

"""Train a network that is told how damaged a picture is.

    python -m training.restore PHOTOS... --scale 2 --state FOLDER
    python -m training.restore PHOTOS... --scale 2 --state FOLDER --drawings 600 --start restore-2x.npz

PHOTOS are folders of photographs without visible compression. The weights are a polygon over the level of damage. At
level 0 they are those of the network for undamaged pictures, which stay as they are; at each of `KNOTS` they are
others. Between, they are interpolated before they meet a picture, which costs nothing for each pixel. Each layer has
biases, so that it can tell the noise of a known level from detail; what they make of flat areas is subtracted.

With `--drawings`, so many drawings and pages of text are learned from (see `drawings`), with photographs for another
quarter, and level 0 is trained as well.

FOLDER keeps the progress, a log, and `restore-2x.npz` or `draw-2x.npz`; the same command goes on from there. Threads
share a step, and not operations: so they need not wait for each other on a busy machine.
"""

import argparse
import json
import math
import os
import pickle
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from training.damage import level_of_quality, saved
from training.data import SMALLER, SUFFIXES
from training.drawings import drawing, fonts
from training.model import MARGIN, SKIP, Arrays, to_kernel, to_phases
from training.pool import WHITE, Photographed, Plane, Pool, luma16, prepare
from training.train import BORDER, HELD_OUT, SHIPPED, WARM_UP
from upscale_cli.learning.measure import psnr

KNOTS = 1 / 3, 2 / 3, 1.0
LEVELS = 0.04, 1.0
"""The levels that are trained."""
SIDE = 384
"""Side of a drawing, in pixels."""
PHOTOGRAPHED = 1 / 4
"""The share of photographs among drawings."""
BATCH, PARTS = 16, 2
"""Patches in a step, and in how many parts, each of one level, threads compute them."""
SQUARED = 0.2
"""The share of the steps of a round, the last, that lessen the squared error, which is what PSNR measures."""
QUALITIES = 90, 75, 60, 40
UNDAMAGED = 100
"""Stands among qualities for a picture that was not saved as JPEG."""


class Dial(nn.Module):
    """A network for every level, beginning with that for undamaged pictures: luma to luma, as `model.Network`.

    `knots` are the levels that it learns; at level 0 it stays as it is, unless 0 is one of them.
    """

    reached: Tensor

    def __init__(
        self, arrays: Mapping[str, NDArray[np.float32]], scale: int, knots: tuple[float, ...] = KNOTS
    ) -> None:
        super().__init__()
        self.scale, self.side, self.knots = scale, arrays["tail"].shape[2], knots
        self.layers = sum(name.startswith("weight") for name in arrays)
        given = ("weight", "slopes")
        clean = {name: torch.from_numpy(np.array(arrays[name])) for name in arrays if name.startswith(given)}
        clean["tail"] = torch.from_numpy(to_phases(arrays["tail"], scale, 3))
        clean["skip"] = torch.from_numpy(to_phases(arrays["skip"][None, None], scale, SKIP))
        channels = len(clean["weight0"])
        clean |= {f"bias{n}": torch.zeros(channels) for n in range(self.layers)}
        self.names = list(clean)
        for name, values in clean.items():
            self.register_buffer(f"clean_{name}", values)
        ones = np.ones((1, 1, self.side, self.side), np.float32)
        self.register_buffer("reached", torch.from_numpy(to_phases(ones, scale, 3)), persistent=False)
        # What all knots have other than the clean network, and what each has for itself.
        self.shared = nn.ParameterDict({name: torch.zeros_like(values) for name, values in clean.items()})
        self.own = nn.ParameterDict({n: torch.zeros((len(knots), *values.shape)) for n, values in clean.items()})
        for n in range(1, self.layers):
            wide = torch.randn(2 * channels, channels * 9) * (0.1 / (9 * channels)) ** 0.5
            self.shared[f"wide{n}"] = nn.Parameter(wide)
            self.shared[f"narrow{n}"] = nn.Parameter(torch.zeros(channels, 2 * channels))

    def at(self, level: float) -> dict[str, Tensor]:
        """Return the weights for a level."""
        knots = (0.0, *KNOTS)
        rows = np.eye(len(knots))[-len(self.knots) :]
        shares = torch.tensor([np.interp(level, knots, row) for row in rows], dtype=torch.float32)
        return {name: self._mixed(name, shares) for name in self.names}

    def _mixed(self, name: str, shares: Tensor) -> Tensor:
        """Return an array for the shares of the knots; the rest is the clean network's."""
        change = shares.sum() * self.shared[name] + torch.tensordot(shares, self.own[name], 1)
        kind, n = name[:-1], name[-1]
        if kind == "weight" and n != "0":
            change = change + shares.sum() * (self.shared[f"narrow{n}"] @ self.shared[f"wide{n}"]).view_as(change)
        if name in ("weight0", "skip"):
            change = change - change.mean(dim=(2, 3), keepdim=True)
        clean: Tensor = getattr(self, f"clean_{name}")
        return clean + (change * self.reached if name == "tail" else change)

    def forward(self, luma: Tensor, level: float) -> Tensor:
        """Return the enlarged luma of pictures of a level; full intensity is 1."""
        w = self.at(level)
        values, flat = luma[:, :, 1:-1, 1:-1], torch.zeros(1)
        first = first_flat = values
        for n in range(self.layers):
            weight, bias, slopes = (w[f"{kind}{n}"] for kind in ("weight", "bias", "slopes"))
            values = F.prelu(F.conv2d(values, weight, bias, padding=1 if n else 0), slopes)
            flat = weight.sum((2, 3)) @ flat + bias
            flat = flat.clamp(min=0) + slopes * flat.clamp(max=0)
            if n == 0:
                first, first_flat = values, flat
                values = values.contiguous(memory_format=torch.channels_last)
        detail = F.conv2d(values + first, w["tail"], padding=1)
        detail = detail - (w["tail"].sum((2, 3)) @ (flat + first_flat))[:, None, None]
        return F.pixel_shuffle(detail + F.conv2d(luma, w["skip"]), self.scale)

    @torch.no_grad()
    def arrays(self) -> Arrays:
        """Return the weights of level 0 and of each knot, by the names that they have in a file."""
        levels = [self.at(level) for level in (0.0, *KNOTS)]
        found: Arrays = {name: np.stack([each[name].numpy() for each in levels]) for name in self.names}
        found["tail"] = np.stack([to_kernel(each, self.scale, self.side) for each in found["tail"]])
        found["skip"] = np.stack([to_kernel(each, self.scale, SKIP * self.scale)[0, 0] for each in found["skip"]])
        return found

    @torch.no_grad()
    def begin_as(self, other: Arrays) -> None:
        """Change head and body as another network of this kind does, and all else if it has the same scale."""
        found = {name: values for name, values in other.items() if name.startswith(("weight", "slopes", "bias"))}
        if other["tail"].shape[3:] == (self.side, self.side):
            found["tail"] = np.stack([to_phases(each, self.scale, 3) for each in other["tail"]])
            found["skip"] = np.stack([to_phases(each[None, None], self.scale, SKIP) for each in other["skip"]])
        for name, values in found.items():
            change = torch.from_numpy(values[-len(self.knots) :]) - getattr(self, f"clean_{name}")
            self.own[name].copy_(change)


class Run:
    """A network on its way: weights, their running average, the optimiser, and how far it is."""

    def __init__(self, network: Dial, rounds: list[int], rate: float) -> None:
        self.network, self.rounds, self.rate, self.step = network, rounds, rate, 0
        self.average = {name: values.clone() for name, values in network.state_dict().items()}
        self.parameters = list(network.parameters())
        self.optimiser = torch.optim.Adam(self.parameters, rate, betas=(0.9, 0.99))
        self.workers = ThreadPoolExecutor(PARTS, initializer=torch.set_num_threads, initargs=(1,))

    def advance(self, pool: Pool) -> float:
        """One step; the error. In each round the rate rises for `WARM_UP` steps and falls as a cosine."""
        before, steps = self.step, 0
        for steps in self.rounds:
            if before < steps:
                break
            before -= steps
        progress = before / steps
        for group in self.optimiser.param_groups:
            fall = 0.5 + 0.5 * math.cos(math.pi * progress) + 0.005
            group["lr"] = self.rate * min(1, (before + 1) / WARM_UP) * fall
        batches = [pool.batch(BATCH // PARTS) for _ in range(PARTS)]
        squared = [progress >= 1 - SQUARED] * PARTS
        for parameter in self.parameters:
            parameter.grad = None
        total = 0.0
        for loss, gradients in self.workers.map(self._gradients, batches, squared):
            total += loss / PARTS
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        self.optimiser.step()
        self.step += 1
        keep = min(0.999, self.step / (self.step + 20))
        for name, values in self.network.state_dict().items():
            self.average[name].lerp_(values, 1 - keep)
        return total

    def _gradients(self, batch: tuple[Tensor, Tensor, float], squared: bool) -> tuple[float, tuple[Tensor, ...]]:
        small, large, level = batch
        border = BORDER * self.network.scale
        error = (self.network(small, level) - large)[:, :, border:-border, border:-border]
        # An absolute error of 0.02 is usual: the two have gradients of about the same size.
        loss = 25 * (error * error).mean() if squared else error.abs().mean()
        return float(loss.detach()), torch.autograd.grad(loss / PARTS, self.parameters)

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        state = {"step": self.step, "network": self.network.state_dict(), "average": self.average}
        torch.save(state | {"optimiser": self.optimiser.state_dict()}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.step, self.average = state["step"], state["average"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])


@torch.no_grad()
def score(network: Dial, checks: Mapping[int, list[tuple[Plane, Plane]]]) -> dict[str, float]:
    """Mean PSNR of held-out pictures, in decibels, as JPEG of some qualities."""
    found = {}
    for quality, pairs in checks.items():
        scores = []
        for small, large in pairs:
            padded = torch.from_numpy(np.pad(small.astype(np.float32) / WHITE, MARGIN, mode="symmetric"))
            made = network(padded[None, None], level_of_quality(quality))[0, 0].numpy()
            scores.append(psnr(made * 219, large / np.float64(WHITE) * 219, network.scale))
        found[f"q{quality}"] = round(float(np.mean(scores)), 3)
    return found


def photographs_of(folders: list[Path], scale: int, cache: Path) -> tuple[list[Photographed], list[Photographed]]:
    """Return the photographs to learn from and those that are held out; they are prepared once."""
    if not cache.exists():
        sorted_paths = [sorted(path for path in f.iterdir() if path.suffix.lower() in SUFFIXES) for f in folders]
        held_out = [path for paths in sorted_paths for path in paths[5::HELD_OUT]]
        learned = [path for paths in sorted_paths for path in paths if path not in held_out]
        made = prepare(learned, scale, (Fraction(1), *SMALLER), 0), prepare(held_out, scale, (Fraction(1),), 1)
        with cache.with_suffix(".new").open("wb") as stream:
            pickle.dump(made, stream, protocol=5)
        cache.with_suffix(".new").replace(cache)
    with cache.open("rb") as stream:
        learned, held = pickle.load(stream)  # noqa: S301  # our own file
    return [Photographed(*each) for each in learned], [Photographed(*each) for each in held]


def with_drawings(
    count: int, photographs: list[Photographed], scale: int
) -> tuple[list[Photographed], list[Photographed]]:
    """Return drawings to learn from, with photographs among them, and drawings that are held out."""
    faces = fonts()

    def read(seed: int) -> NDArray[np.uint8]:
        return drawing(seed, SIDE, faces)

    drawn = prepare(range(count), scale, (Fraction(1),), 0, read=read)
    places, others = (sum(len(each.places) for each in some) for some in (drawn, photographs))
    step = max(1, round(others / places * (1 - PHOTOGRAPHED) / PHOTOGRAPHED))
    held = prepare(range(count, count + max(1, count // HELD_OUT)), scale, (Fraction(1),), 1, read=read)
    return drawn + photographs[::step], held


def write(path: Path, network: Dial, facts: Mapping[str, Any]) -> None:
    """Write the network in the layout that `upscale_cli.methods.network` describes."""
    convolutions = [
        {"does": "convolution", "weight": f"weight{n}", "slopes": f"slopes{n}", "biases": f"bias{n}"}
        for n in range(network.layers)
    ]
    about = {
        "layout": 1,
        "scale": network.scale,
        "levels": [0, *KNOTS],
        "layers": [*convolutions, {"does": "sum", "with": 0}, {"does": "transposed-convolution", "weight": "tail"}],
        "skip": "skip",
        "training": facts,
    }
    np.savez(path, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **network.arrays())


def beginning(scale: int, start: Path | None, knots: tuple[float, ...] = KNOTS) -> Dial:
    """Return the network that nothing has been trained of."""
    with np.load(SHIPPED / f"small-{scale}x.npz") as arrays:
        network = Dial(arrays, scale, knots)
    if start is not None:
        with np.load(start) as arrays:
            network.begin_as({name: arrays[name] for name in arrays})
    return network


def train(told: argparse.Namespace) -> None:
    """Train one network, from its last checkpoint if there is one."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder: Path = told.state
    folder.mkdir(exist_ok=True, parents=True)
    name, checkpoint = f"{'draw' if told.drawings else 'restore'}-{told.scale}x", folder / "checkpoint.pt"
    knots: tuple[float, ...] = KNOTS
    qualities: tuple[int, ...] = QUALITIES
    levels = LEVELS
    learned, held = photographs_of(told.photos, told.scale, folder.parent / f"photographs-{told.scale}.pickle")
    if told.drawings:
        knots, levels, qualities = (0.0, *KNOTS), (0.0, 1.0), (UNDAMAGED, *QUALITIES)
        learned, held = with_drawings(told.drawings, learned, told.scale)
    run = Run(beginning(told.scale, told.start, knots), told.rounds, told.rate)
    averaged = beginning(told.scale, None, knots)
    if checkpoint.exists():
        run.load(checkpoint)
    pool = Pool(learned, told.scale, seed=run.step, levels=levels)

    def check(small: NDArray[np.uint8], quality: int) -> Plane:
        return luma16(small if quality == UNDAMAGED else saved(small, "JPEG", quality=quality, subsampling=2))

    checks = {each: [(check(one.smalls[0], each), one.large) for one in held] for each in qualities}

    def tell(**values: Any) -> dict[str, Any]:
        averaged.load_state_dict(run.average)
        said: dict[str, Any] = {"step": run.step} | values | score(averaged, checks)
        print(json.dumps(said), flush=True)
        with (folder / f"{name}.log").open("a") as stream:
            print(json.dumps(said), file=stream)
        return said

    given = {"drawings": told.drawings, "rounds": told.rounds, "rate": told.rate, "start": str(told.start)}
    tell(photographs=len(learned), process=os.getpid(), **given)
    total, began = 0.0, time.process_time()
    last, said_at = min(sum(told.rounds), told.until or sum(told.rounds)), run.step
    while run.step < last:
        total += run.advance(pool)
        if run.step % told.every == 0 or run.step == last:
            loss = round(total / (run.step - said_at), 6)
            said = tell(loss=loss, processor_seconds=round(time.process_time() - began))
            total, said_at = 0.0, run.step
            run.save(checkpoint)
            write(folder / f"{name}.npz", averaged, {"photographs": len(learned), "held out": said})


def main() -> None:
    """Read the arguments, and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), required=True)
    parser.add_argument("--state", type=Path, required=True, help="where the progress is kept")
    parser.add_argument("--start", type=Path, help="a network of this kind that it begins as, of any scale")
    parser.add_argument("--drawings", type=int, default=0, help="learn from so many drawings as well")
    parser.add_argument("--rounds", type=int, nargs="+", default=[3_000, 40_000], help="the steps of each round")
    parser.add_argument("--until", type=int, help="stop there, to go on later")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--every", type=int, default=250, help="steps between checkpoints")
    train(parser.parse_args())


if __name__ == "__main__":
    main()

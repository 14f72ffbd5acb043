"""Train one of the shipped networks.

    python -m training.train PHOTOS... --scale 2 --size small

PHOTOS are folders of photographs without visible compression. Everything else is in `RECIPES`, seed included. A run
that was cut off goes on from its last checkpoint (in `training/checkpoints/`) when the same command is typed again.
The network goes to `upscale_cli/methods/kernels/`, its log to `training/logs/`.

The large networks begin with a shallow one, which is not shipped; it was called large-2x when its log was written:

    python -m training.train PHOTOS... --scale 2 --size shallow --out FOLDER
    python -m training.train PHOTOS... --scale 2 --size large --start FOLDER/shallow-2x.npz

PyTorch compiles the network for the processor, which needs a C++ compiler and half a minute, and makes a step of the
large one 1.6 times as fast.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.data import SMALLER, SUFFIXES, Pairs
from training.learner import DEVICE, Learner, Round, place
from training.model import MARGIN, SKIP, Network, Shape, write
from upscale_cli.learning.fit import KernelFit
from upscale_cli.learning.measure import psnr, round_8bit

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "upscale_cli" / "methods" / "kernels"
HELD_OUT = 25
"""One photograph in this many is held out of training and measures its progress."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    shape : Shape
    rounds : tuple of Round
    batch, patch : int
        Patches in a step, and their side in pixels of the small image.
    start : str, optional
        The network whose head and body it begins with; layers that this one lacks begin as the identity.
    coarse, squared : float
        See `Learner`.
    seed : int
    """

    shape: Shape
    rounds: tuple[Round, ...]
    batch: int
    patch: int
    start: str | None = None
    coarse: float = 0.0
    squared: float = 0.15
    seed: int = 0

    @property
    def steps(self) -> int:
        """Of all rounds together."""
        return sum(round.steps for round in self.rounds)


RECIPES = {
    ("small", 2): Recipe(Shape(2, 24, 7, 6), (Round(36_000, 2e-3), Round(12_000, 1e-3, True)), 16, 40),
    ("small", 3): Recipe(Shape(3, 24, 7, 9), (Round(13_000, 1.5e-3), Round(10_000, 1e-3, True)), 16, 40, "small-2x"),
    ("small", 4): Recipe(
        Shape(4, 24, 7, 10),
        (Round(13_000, 1.5e-3), Round(10_000, 1e-3), Round(10_000, 1e-3, True)),
        16,
        40,
        "small-2x",
    ),
    ("shallow", 2): Recipe(
        Shape(2, 48, 14, 6),
        (Round(24_000, 1.2e-3), Round(20_000, 1e-3), Round(12_000, 1e-3, True)),
        8,
        48,
        coarse=0.75,
    ),
    ("large", 2): Recipe(Shape(2, 48, 19, 6), (Round(30_000, 1e-3, True),), 8, 48, "shallow-2x", coarse=0.97),
    ("large", 3): Recipe(
        Shape(3, 48, 14, 9),
        (Round(5_000, 1e-3), Round(3_000, 8e-4), Round(6_000, 1e-3, True)),
        8,
        48,
        "shallow-2x",
        coarse=0.75,
    ),
    ("large", 4): Recipe(Shape(4, 48, 19, 12), (Round(11_000, 1e-3, True),), 8, 48, "large-2x", coarse=0.97),
}


class Run(Learner):
    """A recipe on its way."""

    def __init__(self, recipe: Recipe, pairs: Pairs, start: Path | None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.pairs, self.seconds = recipe, pairs, 0.0
        network = Network(recipe.shape)
        if start is not None:
            with np.load(start) as arrays:
                network.become(dict(arrays))
        fit = KernelFit(recipe.shape.scale, SKIP * recipe.shape.scale)
        for _, large in pairs.pairs[:40]:
            fit.add(large)
        network.become_skip(fit.solve().astype(np.float32))
        super().__init__(network, recipe.rounds, recipe.shape.scale, coarse=recipe.coarse, squared=recipe.squared)

    def advance(self) -> float:
        """One step; the error."""
        round, _ = place(self.rounds, self.step)
        small, large = self.pairs.batch(self.recipe.batch, round.smaller)
        return self.learn([((small,), large)])

    def averaged(self) -> Network:
        """The network of the averaged weights."""
        network = Network(self.recipe.shape)
        network.load_state_dict(self.average)
        return network

    def keep(self, path: Path) -> None:
        """Write a checkpoint."""
        self.save(path, seconds=self.seconds, random=self.pairs.random.bit_generator.state)

    def go_on(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = self.load(path)
        self.seconds = state["seconds"]
        self.pairs.random.bit_generator.state = state["random"]


@torch.no_grad()
def score(network: Network, pairs: Pairs) -> float:
    """Mean PSNR of whole held-out photographs."""
    network.to(DEVICE).eval()
    results = []
    for small, large in pairs.pairs:
        padded = torch.from_numpy(np.pad(small, MARGIN, mode="symmetric"))[None, None]
        made: Tensor = network(padded.to(DEVICE))[0, 0].cpu()
        results.append(psnr(round_8bit(made.numpy() * 255), large, pairs.scale))
    return float(np.mean(results))


def divided(folders: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return the photographs of folders to learn from, and those that are held out."""
    by_folder = [sorted(path for path in f.iterdir() if path.suffix.lower() in SUFFIXES) for f in folders]
    held_out = [path for paths in by_folder for path in paths[5::HELD_OUT]]
    return [path for paths in by_folder for path in paths if path not in held_out], held_out


def train(told: argparse.Namespace) -> None:
    """Train one network, from its last checkpoint if there is one, and write it with what is known of it."""
    recipe, scale, steps, every = RECIPES[told.size, told.scale], told.scale, told.steps, told.every
    if steps is not None:
        recipe = replace(recipe, rounds=(Round(steps, recipe.rounds[0].rate),))
    name = f"{told.size}-{scale}x"
    log = (HERE / "logs" / f"{name}.log") if steps is None else None
    smaller = SMALLER if any(round.smaller for round in recipe.rounds) else ()
    learned, held_out = divided(told.photos)
    start = told.start or (SHIPPED / f"{recipe.start}.npz" if recipe.start else None)
    run = Run(recipe, Pairs(learned, scale, recipe.patch, seed=recipe.seed, smaller=smaller), start)
    check = Pairs(held_out, scale, recipe.patch, seed=recipe.seed)
    checkpoint = HERE / "checkpoints" / f"{name}.pt"
    if checkpoint.exists() and steps is None:
        run.go_on(checkpoint)

    def tell(**values: Any) -> None:
        line = json.dumps({"step": run.step, "seconds": round(run.seconds)} | values)
        print(line, flush=True)
        if log is not None:
            log.parent.mkdir(exist_ok=True)
            with log.open("a") as stream:
                print(line, file=stream)

    if run.step == 0:
        tell(network=name, **asdict(recipe), photographs=len(learned))
    began, before, total = time.perf_counter(), run.seconds, 0.0
    while run.step < recipe.steps:
        total += run.advance()
        run.seconds = before + time.perf_counter() - began
        if run.step % every == 0 or run.step == recipe.steps:
            tell(loss=round(total / every, 6), held_out=round(score(run.averaged(), check), 3))
            total = 0.0
            if steps is None:
                run.keep(checkpoint)
    facts = {
        "photographs": len(learned),
        "held out": round(score(run.averaged(), check), 3),
        "seconds": round(run.seconds),
        "recipe": asdict(recipe),
    }
    told.out.mkdir(exist_ok=True, parents=True)
    write(told.out / f"{name}.npz", run.averaged().cpu().arrays(), {"scale": scale, "training": facts})


def main() -> None:
    """Read the arguments, and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), required=True)
    parser.add_argument("--size", choices=("small", "shallow", "large"), required=True)
    parser.add_argument("--start", type=Path, help="the network that it begins with [shipped, as the recipe says]")
    parser.add_argument("--steps", type=int, help="so many instead of the recipe's, without log or checkpoints")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--every", type=int, default=2000, help="steps between lines of the log")
    parser.add_argument("--threads", type=int, help="of the processor [all]")
    told = parser.parse_args()
    if told.threads:
        torch.set_num_threads(told.threads)
    train(told)


if __name__ == "__main__":
    main()

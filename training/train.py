"""Train one of the shipped networks.

    python -m training.train PHOTOS... --scale 2 --size small

PHOTOS are folders of photographs without visible compression. Everything else is in `RECIPES`, seed included. A run
that was cut off goes on from its last checkpoint (in `training/checkpoints/`) when the same command is typed again.
The network goes to `upscale_cli/methods/kernels/`, its log to `training/logs/`.

An H200 takes 4.7 ms for a step of the large network of x2, 5 minutes for all. PyTorch compiles the network for the
device, which takes half a minute and, on the processor, a C++ compiler.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.data import SIZES, Pictured, divided, prepare, undamaged
from training.learner import Learner, Parts, Round
from training.model import MARGIN, SKIP, Network, Shape, write
from training.patches import DEVICE, Patches
from upscale_cli.learning.fit import KernelFit
from upscale_cli.learning.measure import psnr, round_8bit

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "upscale_cli" / "methods" / "kernels"
SQUARED = 0.15
"""See `Learner`."""


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
        The network whose head and body it begins with.
    seed : int
    """

    shape: Shape
    rounds: tuple[Round, ...]
    batch: int
    patch: int
    start: str | None = None
    seed: int = 0

    @property
    def steps(self) -> int:
        """Of all rounds together."""
        return sum(round.steps for round in self.rounds)


RECIPES = {
    ("small", 2): Recipe(Shape(2, 24, 7, 6), (Round(60_000, 1.5e-3),), 128, 40),
    ("small", 3): Recipe(Shape(3, 24, 7, 9), (Round(14_000, 1e-3),), 128, 40, "small-2x"),
    ("small", 4): Recipe(Shape(4, 24, 7, 10), (Round(25_000, 1e-3),), 128, 40, "small-2x"),
    ("large", 2): Recipe(Shape(2, 48, 19, 6), (Round(60_000, 1.5e-3),), 64, 56),
    ("large", 3): Recipe(Shape(3, 48, 19, 9), (Round(16_000, 1e-3),), 64, 56, "large-2x"),
}


class Run(Learner):
    """A recipe on its way."""

    network: Network

    def __init__(self, recipe: Recipe, pictures: list[Pictured], start: Path | None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.seconds = recipe, 0.0
        network, scale = Network(recipe.shape), recipe.shape.scale
        fit = KernelFit(scale, SKIP * scale)
        for each in pictures[:40]:
            fit.add(np.round(each.large * 255).astype(np.uint8))
        network.become_skip(fit.solve().astype(np.float32))
        if start is not None:
            with np.load(start) as arrays:
                network.become(dict(arrays))
        patches = Patches(pictures, scale, recipe.patch)
        among = patches.all

        def draw() -> Parts:
            small, large = patches.batch(recipe.batch, among)
            return [((small,), large)]

        super().__init__(network, draw, recipe.rounds, scale, squared=SQUARED)

    def averaged(self) -> Network:
        """The network of the averaged weights."""
        network = Network(self.recipe.shape)
        network.load_state_dict(self.average)
        return network


@torch.no_grad()
def score(network: Network, pictures: list[Pictured]) -> float:
    """Mean PSNR of whole held-out photographs."""
    network.to(DEVICE).eval()
    results = []
    for each in pictures:
        padded = torch.from_numpy(np.pad(each.small, MARGIN, mode="symmetric"))[None, None]
        made: Tensor = network(padded.to(DEVICE))[0, 0].cpu()
        results.append(psnr(round_8bit(made.numpy() * 255), np.round(each.large * 255), network.shape.scale))
    return float(np.mean(results))


def train(told: argparse.Namespace) -> None:
    """Train one network, from its last checkpoint if there is one, and write it with what is known of it."""
    recipe, scale, steps, every = RECIPES[told.size, told.scale], told.scale, told.steps, told.every
    if steps is not None:
        recipe = replace(recipe, rounds=(Round(steps, recipe.rounds[0].rate),), batch=16, patch=40)
    name = f"{told.size}-{scale}x"
    log = (HERE / "logs" / f"{name}.log") if steps is None else None
    learned, held_out = divided(told.photos)
    make = partial(undamaged, scale=scale)
    least = recipe.patch + 2 * MARGIN
    pictures, checks = prepare(learned, make, least), prepare(held_out, make, least, SIZES[:1])
    run = Run(recipe, pictures, told.start or (SHIPPED / f"{recipe.start}.npz" if recipe.start else None))
    checkpoint = HERE / "checkpoints" / f"{name}.pt"
    if checkpoint.exists() and steps is None:
        run.seconds = run.load(checkpoint)["seconds"]

    def tell(**values: Any) -> None:
        line = json.dumps({"step": run.step, "seconds": round(run.seconds)} | values)
        print(line, flush=True)
        if log is not None:
            log.parent.mkdir(exist_ok=True)
            with log.open("a") as stream:
                print(line, file=stream)

    if run.step == 0:
        tell(network=name, **asdict(recipe), photographs=len(learned), device=run.device)
    began, before, said_at = time.perf_counter(), run.seconds, run.step
    while run.step < recipe.steps:
        run.learn()
        if run.step % every == 0 or run.step == recipe.steps:
            loss = round(run.error() / (run.step - said_at), 6)
            run.seconds = before + time.perf_counter() - began
            tell(loss=loss, held_out=round(score(run.averaged(), checks), 3))
            said_at = run.step
            if steps is None:
                run.save(checkpoint, seconds=run.seconds)
    facts = {
        "photographs": len(learned),
        "held out": round(score(run.averaged(), checks), 3),
        "seconds": round(run.seconds),
        "device": run.device,
        "recipe": asdict(recipe),
    }
    told.out.mkdir(exist_ok=True, parents=True)
    write(told.out / f"{name}.npz", run.averaged().cpu().arrays(), {"scale": scale, "training": facts})


def main() -> None:
    """Read the arguments, and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), required=True)
    parser.add_argument("--size", choices=("small", "large"), required=True)
    parser.add_argument("--start", type=Path, help="the network that it begins with [shipped, as the recipe says]")
    parser.add_argument("--steps", type=int, help="so many instead of the recipe's, without log or checkpoints")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--every", type=int, default=2000, help="steps between lines of the log")
    parser.add_argument("--threads", type=int, help="of the processor [all]")
    told = parser.parse_args()
    if (told.size, told.scale) not in RECIPES:
        parser.error(f"there is no recipe for a {told.size} network of x{told.scale}")
    if told.threads:
        torch.set_num_threads(told.threads)
    train(told)


if __name__ == "__main__":
    main()

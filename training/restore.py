"""Train a network that is told how damaged a picture is.

    python -m training.restore PHOTOS... --scale 2 --state FOLDER
    python -m training.restore PHOTOS... --scale 2 --state FOLDER --drawings 600 --start restore-2x.npz
    python -m training.restore PHOTOS... --scale 2 --state FOLDER --size large --rounds 7500 --rate 7e-4
    python -m training.restore PHOTOS... --scale 1 --state FOLDER --size cells --rounds 11500 --batch 32 --squared 0

PHOTOS are folders of photographs without visible compression. The weights are a polygon over the level of damage. At
level 0 they are those of the network for undamaged pictures, which stay as they are; at each of `KNOTS` they are
others. Between, they are interpolated before they meet a picture, which costs nothing for each pixel. Each layer has
biases, so that it can tell the noise of a known level from detail; what they make of flat areas is subtracted.

With `--drawings`, so many drawings and pages of text are learned from (see `drawings`), with photographs for another
quarter, and level 0 is trained as well.

With `--size large`, the network begins as the large one, and only its biases depend on the level, as if the level
were a further plane of the input (FFDNet: Zhang et al. 2018): weights for each level would make the file four times
as large.

With `--scale 1`, damaged pictures are restored at their own size, and undamaged ones stay. `--structure` raises SSIM
at the cost of PSNR.

With `--size cells`, it sees cells of 2 x 2 pixels as one, in red, green and blue. Photographs are seen whole, and
reduced by two, as a network that enlarges by two is given them. It begins with random weights or those of `--start`,
which may have fewer layers and luma alone; those of the body are the same for all levels.

FOLDER keeps the progress, a log, and a network named as the package's are: `restore-2x.npz`, `draw-large-2x.npz`;
the same command goes on from there. PyTorch compiles the network, as in `train`.
"""

import argparse
import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.damage import level_of_quality, saved
from training.data import HELD_OUT, SIZES, Picture, Pictured, divided, prepare
from training.dial import ALL, KNOTS, Dial
from training.drawings import drawing, fonts
from training.learner import Learner, Parts, Round
from training.model import MARGIN, SKIP, Network, Shape, write
from training.patches import DEVICE
from training.pool import Pool, luma, to_damage
from training.train import SHIPPED
from upscale_cli.learning.measure import psnr
from upscale_cli.methods.chroma import LUMA

LEVELS = 0.04, 1.0
"""The levels that are trained."""
SIDE = 384
"""Side of a drawing, in pixels."""
PHOTOGRAPHED = 1 / 4
"""The share of photographs among drawings."""


class Size(NamedTuple):
    """What is particular to a size of networks.

    Attributes
    ----------
    patch : int
        Side of a small patch, margin not counted: some networks read farther.
    own : tuple of str
        The arrays that every level has for itself.
    cells, planes : int
        Those of `layout`.
    """

    patch: int
    own: tuple[str, ...]
    cells: int = 1
    planes: int = 1


NETWORKS = {
    "small": Size(40, ALL),
    "large": Size(56, ("bias",)),
    "cells": Size(64, ("bias", "slopes", "tail"), 2, 3),
}
CHANNELS, LAYERS = 32, 10
"""Those of a network that sees cells: layers of the body."""
COLOURS = torch.tensor([LUMA, (-0.042, -0.083, 0.125), (0.125, -0.105, -0.020)], device=DEVICE)
"""What counts of errors of red, green and blue: their luma, and a quarter of their colour differences (BT.601)."""
MORE = 2 * MARGIN + 8
"""Margins, and rows and columns that pictures may lack that are saved twice."""
PARTS = 2
"""In how many parts a step is, each of one level."""
QUALITIES = 90, 75, 60, 40
UNDAMAGED = 100
"""Stands among qualities for a picture that was not saved as JPEG."""


class Run(Learner):
    """A network on its way through damaged pictures."""

    network: Dial

    def __init__(self, network: Dial, pool: Pool, rounds: list[Round], *, batch: int, **shares: float) -> None:
        self._pool = pool
        self._told = torch.zeros((PARTS, 2 + len(network.knots)), device=DEVICE)

        def draw() -> Parts:
            found = []
            for row in self._told:
                small, large = pool.patches.batch(batch // PARTS, row[:2])
                found.append(((small, row[2:].clone()), large))
            return found

        super().__init__(network, draw, rounds, network.stride, seen=_seen, **shares)

    def learn(self) -> None:
        """One step, from other levels than the last, after which a picture is replaced."""
        chosen = [self._pool.choose() for _ in range(PARTS)]
        self._told.copy_(torch.tensor([[*among, *self.network.shares(level).tolist()] for among, level in chosen]))
        super().learn()
        self._pool.renew()


def _seen(errors: Tensor) -> Tensor:
    """Return what counts of errors: all of those of luma, and of red, green and blue what `COLOURS` says."""
    return errors if errors.shape[1] == 1 else F.conv2d(errors, COLOURS[:, :, None, None])


@torch.no_grad()
def score(network: Dial, checks: Mapping[int, list[tuple[Picture, Any]]]) -> dict[str, float]:
    """Mean PSNR of held-out pictures, in decibels, as JPEG of some qualities: of luma, and of RGB if that is made."""
    network.to(DEVICE)
    found: dict[str, float] = {}
    for quality, pairs in checks.items():
        scores = []
        shares = network.shares(level_of_quality(quality)).to(DEVICE)
        for small, large in pairs:
            given = luma(small)[None] if network.planes == 1 else np.moveaxis(small / np.float32(255), 2, 0)
            padded = torch.from_numpy(np.pad(given, [(0, 0), *[(MARGIN, MARGIN)] * 2], mode="symmetric"))[None]
            made = network(padded.to(DEVICE), shares)[0].cpu().numpy()
            seen = [(made[0] * 219, large * np.float64(219))]
            if network.planes > 1:
                colours = np.moveaxis(made, 0, 2) * 255
                seen = [(luma(colours) * 219, luma(large) * np.float64(219)), (colours, large)]
            scores.append([psnr(*each, network.stride) for each in seen])
        means = np.mean(scores, axis=0)
        found |= {f"q{quality}{of}": round(float(mean), 3) for of, mean in zip(("", " rgb"), means, strict=False)}
    return found


def with_drawings(
    count: int, photographs: list[Pictured], scale: int, least: int
) -> tuple[list[Pictured], list[Pictured]]:
    """Return drawings to learn from, with photographs among them, and drawings that are held out."""
    make, read = to_damage(scale), partial(drawing, side=SIDE, faces=fonts())
    drawn = prepare(range(count), make, least, SIZES[:1], read=read)
    places, others = (sum(len(each.places) for each in some) for some in (drawn, photographs))
    step = max(1, round(others / places * (1 - PHOTOGRAPHED) / PHOTOGRAPHED))
    held = prepare(range(count, count + max(1, count // HELD_OUT)), make, least, SIZES[:1], read=read)
    return drawn + photographs[::step], held


def beginning(scale: int, start: Path | None, knots: tuple[float, ...] = KNOTS, size: str = "small") -> Dial:
    """Return the network that nothing has been trained of."""
    cells = NETWORKS[size].cells
    planes = NETWORKS[size].planes
    if cells > 1:
        arrays = Network(Shape(cells, CHANNELS, LAYERS, 3 * cells)).arrays()
        head = torch.randn(CHANNELS, planes, cells**2, 3, 3) * (2 / 9 / planes) ** 0.5 / cells
        arrays["weight0"] = (head - head.mean(dim=(2, 3, 4), keepdim=True)).flatten(1, 2).numpy()
    else:
        with np.load(SHIPPED / f"{size}-{max(scale, 2)}x.npz") as archive:
            arrays = dict(archive)
    if scale == 1:
        # At their own size, undamaged pictures stay as they are.
        arrays["tail"] = np.zeros((len(arrays["weight0"]), planes, 3 * cells, 3 * cells), np.float32)
        arrays["skip"] = np.pad(np.ones((1, 1), np.float32), SKIP // 2)
    network = Dial(arrays, scale, knots, kinds=NETWORKS[size].own, cells=cells)
    if start is not None:
        with np.load(start) as arrays:
            network.begin_as(dict(arrays))
    return network


def train(told: argparse.Namespace) -> None:
    """Train one network, from its last checkpoint if there is one."""
    torch.manual_seed(0)
    folder: Path = told.state
    folder.mkdir(exist_ok=True, parents=True)
    kind = ("draw" if told.drawings else "restore") + ("" if told.size == "small" else f"-{told.size}")
    name, checkpoint = f"{kind}-{told.scale}x", folder / "checkpoint.pt"
    knots: tuple[float, ...] = KNOTS
    qualities: tuple[int, ...] = QUALITIES
    levels = LEVELS
    paths, held_out = divided(told.photos)
    patch, _, cells, planes = NETWORKS[told.size]
    least, make = patch + MORE, to_damage(told.scale, cells, planes)
    # What sees cells restores photographs that keep their size, and the reduced ones that are enlarged afterwards.
    sizes = [size * reduced for reduced in range(1, cells + 1) for size in SIZES]
    learned, held = prepare(paths, make, least, sizes), prepare(held_out, make, least, sizes[-len(SIZES) :][:1])
    if told.drawings:
        knots, levels, qualities = (0.0, *KNOTS), (0.0, 1.0), (UNDAMAGED, *QUALITIES)
        learned, held = with_drawings(told.drawings, learned, told.scale, least)
    if told.size != "small":
        knots = (0.0, *KNOTS)
    pool = Pool(learned, told.scale, patch, levels=levels, cells=cells, evenly=cells > 1)
    network = beginning(told.scale, told.start, knots, told.size)
    rounds = [Round(steps, told.rate) for steps in told.rounds]
    run = Run(network, pool, rounds, batch=told.batch, structure=told.structure, squared=told.squared)
    averaged = beginning(told.scale, None, knots, told.size)
    if checkpoint.exists():
        run.load(checkpoint)

    def check(small: Picture, quality: int) -> Picture:
        return small if quality == UNDAMAGED else saved(small, "JPEG", quality=quality, subsampling=2)

    checks = {each: [(check(one.sources[0], each), one.large) for one in held] for each in qualities}

    def tell(**values: Any) -> dict[str, Any]:
        averaged.load_state_dict(run.average)
        said: dict[str, Any] = {"step": run.step} | values | score(averaged, checks)
        print(json.dumps(said), flush=True)
        with (folder / f"{name}.log").open("a") as stream:
            print(json.dumps(said), file=stream)
        return said

    given = {
        "drawings": told.drawings,
        "rounds": told.rounds,
        "rate": told.rate,
        "batch": told.batch,
        "structure": told.structure,
        "squared": told.squared,
        "start": told.start and told.start.name,
        "size": told.size,
        "device": run.device,
    }
    tell(photographs=len(paths), **given)
    began = time.perf_counter()
    last, said_at = min(sum(told.rounds), told.until or sum(told.rounds)), run.step
    while run.step < last:
        run.learn()
        if run.step % told.every == 0 or run.step == last:
            loss = round(run.error() / (run.step - said_at), 6)
            said = tell(loss=loss, seconds=round(time.perf_counter() - began))
            said_at = run.step
            run.save(checkpoint)
            facts = {"photographs": len(paths), "held out": said}
            about = {"scale": told.scale, "levels": [0, *KNOTS], "training": facts}
            about |= {"cells": cells, "planes": planes} if cells > 1 else {}
            write(folder / f"{name}.npz", averaged.cpu().arrays(), about)
    pool.close()


def main() -> None:
    """Read the arguments, and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--scale", type=int, choices=(1, 2, 3, 4), required=True)
    parser.add_argument("--state", type=Path, required=True, help="where the progress is kept")
    parser.add_argument("--size", choices=tuple(NETWORKS), default="small")
    parser.add_argument("--start", type=Path, help="a network of this kind that it begins as, of any scale")
    parser.add_argument("--drawings", type=int, default=0, help="learn from so many drawings as well")
    parser.add_argument("--rounds", type=int, nargs="+", default=[3_000, 40_000], help="the steps of each round")
    parser.add_argument("--until", type=int, help="stop there, to go on later")
    parser.add_argument("--batch", type=int, default=128, help="patches in a step")
    parser.add_argument("--structure", type=float, default=0, help="how much 1 - SSIM is added to the error")
    parser.add_argument(
        "--squared", type=float, default=0.2, help="the share of steps, the last, that square the error"
    )
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--every", type=int, default=250, help="steps between checkpoints")
    told = parser.parse_args()
    if NETWORKS[told.size].cells > 1 and (told.scale > 1 or told.drawings):
        parser.error(f"--size {told.size} is for --scale 1, without --drawings")
    train(told)


if __name__ == "__main__":
    main()

"""Which networks follow one another, from a picture to at least its scale.

Each network has one integer factor. Other factors are made by several networks (6 = 2 · 3), and those that are not a
product of the available factors by the next larger product and an antialiased reduction. The smallest factor is
first, since what follows has more pixels to work on. Only the first network that enlarges has to be good: of
photographs, small networks make as much of what it has enlarged as large ones do (to 0.01 dB), or as a mean over
flips and turns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np

from upscale_cli.methods.blocks import SIDE
from upscale_cli.methods.network import Network


@dataclass(frozen=True)
class Kind:
    """Networks of one kind.

    Attributes
    ----------
    factors : tuple of int
        The integer factors that there are networks for.
    network : callable
        One of these factors to its network.
    size : str
        What this kind is called.
    beside : Kind, optional
        Another one, whose networks' results are averaged with those of its own, for the factors that it has.
    turns : int
        Of how many flips and turns of a picture its results are averaged, unless more are asked for.
    """

    factors: tuple[int, ...]
    network: Callable[[int], Network]
    size: str = ""
    beside: "Kind | None" = None
    turns: int = 1


class Step(NamedTuple):
    """One network of a chain, or several whose results are averaged.

    Attributes
    ----------
    network : Network
    beside : sequence of Network
        Others of the same factor and planes, that see pixels and have no tiles of their own.
    size : str
        What its kind is called.
    turns : int
        Of how many flips and turns of a picture its results are averaged.
    blocks : sequence of int
        The quantisation table that what it makes must agree with, or an empty one; see `blocks`.
    """

    network: Network
    beside: Sequence[Network]
    size: str
    turns: int
    blocks: Sequence[int] = ()

    @property
    def networks(self) -> list[Network]:
        """All of them."""
        return [self.network, *self.beside]

    @property
    def restores_colours(self) -> bool:
        """It makes red, green and blue of damaged ones."""
        return bool(self.network.levels) and self.network.planes > 1

    @property
    def margin(self) -> int:
        """Pixels around a plane that its result depends on, on each side."""
        return max(network.margin for network in self.networks)

    @property
    def weights(self) -> int:
        """See `Network.weights`."""
        return sum(network.weights for network in self.networks)

    def scratch(self, rows: int, columns: int) -> tuple[int, int]:
        """See `Network.scratch`: they compute one after the other."""
        layers, phases = zip(*(network.scratch(rows, columns) for network in self.networks), strict=True)
        return max(layers), max(phases)

    def cast(self, dtype: np.dtype[Any], white: float) -> "Step":
        """See `Network.cast`."""
        network, *beside = (each.cast(dtype, white) for each in self.networks)
        return self._replace(network=network, beside=beside)

    def tile(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of tiles of a picture, without margins: whole blocks if there are any."""
        rows, columns = self.network.tile(height, width)
        return (ceil(rows / SIDE) * SIDE if self.blocks else rows), columns


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The networks that one image may need.

    Attributes
    ----------
    kinds : sequence of Kind
        A picture needs one network of each kind in turn, and of the last as many as its scale asks for.
    alone : Kind, optional
        What a picture that keeps its size needs; the smallest factor at hand.
    turns : int
        Of how many flips and turns results are averaged, until the picture has been enlarged: 1 or 8.
    blocks : sequence of int
        See `Losses`. What is restored at the picture's own size agrees with them.
    """

    kinds: Sequence[Kind]
    alone: Kind | None = None
    turns: int = 1
    blocks: Sequence[int] = ()

    def chain(self, scale: float) -> list[Step]:
        """Return the networks that together enlarge at least by a scale, one after the other."""
        if scale <= 1:
            alone = self.alone
            return [self._step(alone, min(alone.factors), self.turns)] if alone else []
        own = factors(scale, [kind.factors for kind in self.kinds])
        kinds = [self.kinds[min(n, len(self.kinds) - 1)] for n in range(len(own))]
        turns = [self.turns if prod(own[:n]) == 1 else 1 for n in range(len(own))]
        return [self._step(*each) for each in zip(kinds, own, turns, strict=True)]

    def _step(self, kind: Kind, factor: int, turns: int) -> Step:
        """Return the step of a factor. Only the first of a chain can have the factor 1."""
        network = kind.network(factor)
        beside = [each.network(factor) for each in (kind.beside,) if each and factor in each.factors]
        step = Step(network, beside, kind.size, max(turns, kind.turns))
        return step._replace(blocks=self.blocks) if factor == 1 else step


def factors(scale: float, at_hand: Sequence[Sequence[int]]) -> list[int]:
    """Return factors for a scale above 1: one of each kind at hand, in their order, and any number of the last.

    They have the smallest product that is at least the scale; of equal products, that of the fewest factors; of
    these, the smallest factor is first.

    >>> factors(6, [[2, 3, 4]]), factors(4, [[1], [2, 3], [2, 3, 4]]), factors(2.5, [[2]])
    ([2, 3], [1, 2, 2], [2, 2])
    """
    *single, last = at_hand
    most = next(n for n in range(1, 64) if min(last) ** n >= scale)
    found = [
        (*firsts, *others)
        for firsts in product(*single)
        for count in range(most + 1)
        for others in combinations_with_replacement(sorted(last), count)
        if prod(firsts) * prod(others) >= scale
    ]
    best = min(found, key=lambda chosen: (prod(chosen), len(chosen), chosen))
    return list(best)

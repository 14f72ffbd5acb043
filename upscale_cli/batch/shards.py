"""Which of several machines makes an image: told by its name alone, so that no machine needs to ask another."""

import re
from math import isqrt
from pathlib import PurePosixPath
from typing import NamedTuple
from unicodedata import normalize

from upscale_cli.codecs.finding import stem_of
from upscale_cli.places.place import Source

POINTS = 1 << 64
"""Names lie on a circle of so many points; each shard is an arc."""
STEPS = tuple(isqrt(root << 128) % POINTS for root in (2, 5, 3))
"""How far the last number of a name, the one before it and the third last move a name along the circle: √2, √5, √3.

The multiples of √2 lie evenly on a circle, because no fraction with a small denominator is near it (Knuth, The Art of
Computer Programming 3, 6.4). So consecutive frames go to all shards alike; a hash would deal them out like dice.
"""
NUMBER = re.compile("([0-9]+)")
LABEL = re.compile(r"_[0-9.]+x[0-9.x]*$")
"""What the name of a result says about it, such as _2x or _300x200."""


class Shard(NamedTuple):
    """One of several parts of the images, counted from 1.

    >>> str(Shard(3, 16))
    '3/16'
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, name: str) -> bool:
        """Return whether the image of a name belongs to this shard."""
        return point_of(name) * self.of // POINTS == self.number - 1


def name_of(source: Source) -> str:
    """Return the name of an image in records: its path below the folder that was given, or its file name."""
    return normalize("NFC", (source.place or source.name).as_posix())


def point_of(name: str) -> int:
    """Return where a name lies on the circle.

    It is the same on every system, whatever else there is. Names that could be those of one result, such as those of
    `a.png`, `a.jpg` and `A.png`, share a point, and so do those of an image and of its result `a_2x.png`: one shard
    then sees both, and tells them apart as a single run does.

    >>> point_of("in/a.png") == point_of("in/A_2x.jpg") != point_of("in/b.png")
    True
    """
    from hashlib import blake2b

    folder, slash, file = name.rpartition("/")
    text = f"{folder}{slash}{LABEL.sub('', stem_of(PurePosixPath(file)))}"
    parts = NUMBER.split(normalize("NFC", text.casefold()))
    point = 0
    for step, place in zip(STEPS, range(len(parts) - 2, 0, -2), strict=False):
        point += step * int(parts[place])
        parts[place] = ""
    rest = "\0".join(parts).encode("utf-8", "surrogatepass")
    return (point + int.from_bytes(blake2b(rest, digest_size=8).digest())) % POINTS

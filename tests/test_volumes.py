"""Lines and volumes: held against sums in float64, and against PyTorch where it is installed."""

from typing import Any

import numpy as np
import pytest
from support import Array

from upscale_cli import METHODS, upscale
from upscale_cli.methods.filters import FILTERS

SHAPES = [
    ((5, 4, 6), (2, 3, 1)),
    ((3, 1, 7), (1.5, 4, 2.25)),
    ((20, 9, 3), (3, 1, 5 / 3)),
    ((11,), (3,)),
    ((1,), (4,)),
]


def noise(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).random(shape)


def weights(n_in: int, n_out: int, weight: Any) -> Array:
    """The weights of one axis by their definition, a row for each output; an axis that stays is left alone."""
    if n_in == n_out:
        return np.eye(n_in)
    u = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    rows = weight(np.arange(n_in) - u[:, None])
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def along(rows: Array, array: Array, axis: int) -> Array:
    return np.moveaxis(np.tensordot(rows, array, (1, axis)), 0, axis)


@pytest.mark.parametrize(("shape", "scale"), SHAPES)
@pytest.mark.parametrize("name", FILTERS)
def test_filters_weigh_every_axis(name: str, shape: tuple[int, ...], scale: tuple[float, ...]) -> None:
    source = noise(*shape)
    want = source
    have = upscale(source, scale, METHODS[name])
    for axis, (n_in, n_out) in enumerate(zip(shape, have.shape, strict=True)):
        want = along(weights(n_in, n_out, FILTERS[name].default().weight), want, axis)
    np.testing.assert_allclose(have, want, 1e-12, 1e-13)

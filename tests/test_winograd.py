"""Convolution with fewer products against the sum that it stands for."""

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from support import Floats

from upscale_cli.methods import winograd
from upscale_cli.methods.convolution import convolve
from upscale_cli.methods.upsampler import Scratch
from upscale_cli.methods.winograd import Filters


def directly(values: Floats, weights: Floats, side: int) -> Floats:
    """Each neighbourhood (rows, columns, c) times each filter, in the order that `Filters` says."""
    windows = sliding_window_view(values, (side, side), (0, 1))
    filters = weights.reshape(len(weights), side, side, -1)
    return np.asarray(np.einsum("hwcyx,dyxc->hwd", windows, filters))


@pytest.mark.parametrize("side", [1, 3, 5])
@pytest.mark.parametrize("channels", [1, 3, 16, 19])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (7, 5), (8, 13), (1, 9), (9, 1)])
def test_sums_are_those_of_the_definition(
    side: int, channels: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(side + channels)
    values = random.normal(size=(shape[0] + side - 1, shape[1] + side - 1, channels))
    weights, biases = random.normal(size=(6, side * side * channels)), random.normal(size=6)
    sums = directly(values, weights, side)
    activated = np.where(sums + biases < 0, 0.3 * (sums + biases), sums + biases)
    steep = np.where(sums < 0, 1.5 * sums, sums)
    for most in (1, 200, 1 << 20):
        monkeypatch.setattr(winograd, "VALUES", most)
        more: dict[str, Any]
        for more, expected in (
            ({}, sums),
            ({"biases": biases, "slopes": np.full(6, 0.3)}, activated),
            ({"slopes": np.full(6, 1.5)}, steep),
        ):
            have = np.full((*shape, 6), np.nan)
            Filters(weights, side).run(values, have, **more)
            np.testing.assert_allclose(have, expected, rtol=0, atol=1e-12)


def test_single_precision_loses_no_more_than_a_product_of_the_direct_way() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(34, 100, 48)).astype("f4")
    weights = (random.normal(size=(48, 9 * 48)) / 20).astype("f4")
    exact = directly(values.astype(float), weights.astype(float), 3)
    apart = np.ascontiguousarray(values.transpose(0, 2, 1))
    product = convolve(apart, weights, (3, 3), out=Scratch(), name="product").transpose(0, 2, 1)
    have = np.empty((32, 98, 48), "f4")
    Filters(weights, 3).run(values, have)
    assert np.abs(have - exact).max() < 1.2 * np.abs(product - exact).max()

"""Long sides, the memory that is estimated and taken, and allocations that fail."""

from typing import Any

import numpy as np
import pytest

from upscale_cli import METHODS, upscale
from upscale_cli.methods import pieces, resampling

# Long sides --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "shape", "more"),
    [
        ("lanczos", (41, 67, 3), {"scale": 2}),
        ("bicubic", (41, 67, 2), {"scale": "1.37x1.91"}),
        ("bilinear", (9, 301, 1), {"size": (10, 997)}),
        ("transposed-conv", (41, 67, 3), {"scale": 3}),
        ("transposed-conv", (9, 50, 2), {"scale": 2, "kernel": np.ones((4, 60)), "padding": 0}),
        ("learned", (9, 50, 4), {"scale": 2.5}),
    ],
)
def test_pieces_make_the_same_as_the_whole(
    method: str, shape: tuple[int, ...], more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = np.random.default_rng(0).random(shape, np.float32)
    broken = np.where(source < 0.002, np.float32(np.nan), source)
    whole = [upscale(each, method=METHODS[method], **more) for each in (source, broken)]
    for module in (pieces, resampling):
        monkeypatch.setattr(module, "LONGEST", 32)
    for each, expected in zip((source, broken), whole, strict=True):
        for threads in (1, 2):
            have = upscale(each, method=METHODS[method], threads=threads, **more)
            np.testing.assert_allclose(have, expected, rtol=0, atol=2e-6)

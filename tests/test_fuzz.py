"""The fuzzing harness itself: its seeds are no findings, and what it once found stays mended."""

import base64
import time
import warnings
from pathlib import Path

import fuzz
import pytest

FOUND: dict[str, str] = {
    "a GIF whose second frame makes Pillow fill a canvas of 131,070 x 65,535, in half a minute": (
        "AEdJRjg3YQgACACAAAAAAAAAAAAsAAAAAAgACAAACA8AAQgcSLCgwYMIEypMGBAAIfkEDQAAAAAs//8AAAEA//8AAgEEADs="
    ),
}
"""What fuzzing found, in base64, by what it was; made shorter by hand."""


def test_the_seeds_are_no_findings(tmp_path: Path) -> None:
    pytest.importorskip("tifffile", reason="it makes some of the seeds")
    pytest.importorskip("imagecodecs", reason="it makes some of the seeds")
    for kind, write in fuzz.SEEDS.items():
        write(tmp_path / kind)
        seeds = sorted((tmp_path / kind).iterdir())
        assert len(seeds) >= 25
        with warnings.catch_warnings(action="ignore"):
            for seed in seeds:
                fuzz.one_input(seed.read_bytes())


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(name: str) -> None:
    start = time.process_time()
    fuzz.one_input(base64.b64decode(FOUND[name]))
    assert time.process_time() - start < 2

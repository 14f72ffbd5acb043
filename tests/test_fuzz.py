"""The fuzzing harness itself: its seeds are no findings, and what it once found stays mended."""

import base64
import warnings
from pathlib import Path

import fuzz
import pytest

FOUND: dict[str, str] = {}
"""What fuzzing found, in base64, by what it was. Ten minutes have found nothing yet."""


def test_the_seeds_are_no_findings(tmp_path: Path) -> None:
    for kind, write in fuzz.SEEDS.items():
        write(tmp_path / kind)
        seeds = sorted((tmp_path / kind).iterdir())
        assert len(seeds) >= 25
        with warnings.catch_warnings(action="ignore"):
            for seed in seeds:
                fuzz.one_input(seed.read_bytes())


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(name: str) -> None:
    fuzz.one_input(base64.b64decode(FOUND[name]))

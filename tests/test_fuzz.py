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
    "a TIFF whose pixels are a million times as wide as they are high": (
        "0k1NACoAAAAIAA0BAAAEAAAAAQAAADUBAQAEAAAAAQAAACUBAgADAAAAAQACAAABAwADAAAAAQABAAABBgADAAAAAQAAAAABEQAE"
        "AAAAAQAAANABFQADAAAAAQABAAABFgAEAAAAAQAAACUBFwAEAAAAAQAAAgYBGgAFAAAAAQAAAKoBGwAFAAAAAQAAALIBKAADAAAA"
        "AQABAAABMQACAAAADAAAALoAAAAAAAAAAQDPo7qQ861/8Z5906U4wbRf74ptxn+Ev3/cf7LtvJK6sJC+kqasvKUePfU/IdfZaMpe"
        "Tcfba8dPGvX+IOu5B+hgHfBCScT3B7PKPsY5P8UTQ7MEPq+VRZqCQpQhX4LCcXtMeHoyH5XnDKM6M7E4Dn/buXWzr2k50nmgCCMD"
        "yoMrP8BEOGEDA40jTCB4GLBFgRAVNywY4eGlgRggVSQk0Q/x1ibtv1b4vRC46M274o6j1r/Yfu3eLc/rD/HWJu2/Vvi9ELjozbvi"
        "jqPWMajrHnnTz6O6kPOtf/GefdGlOMG0X++KbcZ/hL9/3H+y7bySurCQvpKmrAfCgNCuOB3Hc9r4gHWki0DYPWxHWoElT62A2Oft"
        "DVljHo2asgQpX4AEmLrGhtjnyJdwoHarQEIzPamqQwivXm4dtThAHdtDb1yxjAHBoFAIOoC7vtxISu4zCyDxKIoAgB8HbBz5UDfy"
        "UGjD+DFADUGCbpwQPgll9tlNy0DtkaINI7fTtFT4+uW8AA2tceVXfM2NjmKwsbcALC/s7YUz1GrCgTcRxgBtZq0AiCvR1nDf+4A9"
        "gGurOAQmgbOrW7foYg7AEmG4oI3VqNsNalM+3MBA1lrObgBmYuJGdnMTQF52EVW7CFauaiqrIteAirtbZc+Av4nEHrrSzgCBsir4"
        "gMCkx4dZN/FCwKPJcHh4zFJ0rv2O2UsAoWnAL9bQACmcHtAUjsCjTm0HD9djmsPXpfVzAA=="
    ),
}
"""What fuzzing found, in base64, by what it was; made shorter by hand."""


@pytest.mark.long
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

"""Every kind of file that others make: our pixels are those of another decoder, or the kind is refused by name."""

import re
from pathlib import Path

import pytest

pytest.importorskip("tifffile", reason="tifffile makes and reads TIFFs")
pytest.importorskip("imagecodecs", reason="imagecodecs decodes for comparison")
pytest.importorskip("pyvips", reason="libvips decodes for comparison")

from kinds import MAKERS, compared
from second_opinion import MAGICK

KNOWN = r"is not an image of a known format \("
"""The refusal of what is not named."""


@pytest.mark.parametrize(
    "maker",
    [pytest.param(maker, marks=[pytest.mark.long] * maker.startswith(("by ", "TIFF", "WebP"))) for maker in MAKERS],
)
def test_no_kind_is_read_wrong(maker: str, tmp_path: Path) -> None:
    check(maker, tmp_path, thorough=False)


@pytest.mark.long
def test_no_tiff_is_read_wrong(tmp_path: Path) -> None:
    check("TIFF", tmp_path, thorough=True)


def check(maker: str, folder: Path, thorough: bool) -> None:
    outcomes = list(compared(maker, thorough, folder))
    unconfirmed = [found for found in outcomes if found[1] not in ("equal", "refused")]
    if MAGICK is None and (maker.startswith("by ") or {outcome for _, outcome, _ in unconfirmed} == {"alone"}):
        pytest.skip("ImageMagick is not installed, and no other decoder reads all of these")
    assert unconfirmed == []
    for name, outcome, why in outcomes:
        assert outcome == "equal" or not re.search(rf"damaged|truncated|cannot be decoded|{KNOWN}", why), name
    assert len(outcomes) >= 20

"""Lossless stays lossless: by the source, by the method, or because it is asked for; the first loss is reported."""

import io

import numpy as np
import pytest
from click.testing import CliRunner
from pictures import animated, encoded, enlarged, noise, opened, repeated
from PIL import Image
from support import SHARED, needs_shared

from upscale_cli.commands.upscale import cli
from upscale_cli.errors import UpscaleError


def is_lossless(webp: bytes) -> bool:
    return b"VP8L" in webp and b"VP8 " not in webp


SOURCES = {
    "lossless WebP": (encoded(noise("RGB"), "WEBP", lossless=True), True),
    "lossless WebP with alpha and profile": (
        encoded(noise("RGBA"), "WEBP", lossless=True, exact=True, icc_profile=bytes(130)),
        True,
    ),
    "animated lossless WebP": (animated([noise("RGB", seed=n) for n in range(3)], "WEBP", lossless=True), True),
    "mixed WebP": (animated([noise("RGB", 90, 90, n) for n in range(2)], "WEBP", quality=50), False),
    "lossy WebP": (encoded(noise("RGB"), "WEBP"), False),
    "palette": (encoded(noise("P"), "PNG"), True),
    "GIF": (encoded(noise("P"), "GIF"), True),
    "animated GIF": (animated([noise("P", seed=n) for n in range(3)], "GIF"), True),
    "TIFF with a palette": (encoded(noise("P"), "TIFF"), True),
    "PNG": (encoded(noise("RGB"), "PNG"), False),
    "JPEG": (encoded(noise("RGB"), "JPEG"), False),
}


@pytest.mark.parametrize("name", SOURCES)
def test_webp_is_lossless_where_its_source_is_no_photograph(name: str) -> None:
    source, exact = SOURCES[name]
    data, result = enlarged(source, "webp", 2, "lanczos")
    assert is_lossless(data) == exact
    lossy = "WebP is lossy, quality 95; --lossless keeps every value"
    assert (lossy in result.notes) == (name == "PNG")
    assert is_lossless(enlarged(source, "webp", 2, "nearest")[0])
    assert is_lossless(enlarged(source, "webp", 2, "lanczos", lossless=True)[0])
    data, result = enlarged(source, "webp", 2, "nearest", quality=80)
    assert not is_lossless(data)
    assert lossy not in result.notes


def test_nearest_keeps_every_value_of_a_webp() -> None:
    image = noise("RGBA")
    data, _ = enlarged(encoded(image, "WEBP", lossless=True, exact=True), scale=3)
    np.testing.assert_array_equal(np.asarray(opened(data)), repeated(np.asarray(image), 3))


@needs_shared
@pytest.mark.parametrize("method", ["nearest", "lanczos"])
def test_labels_stay_lossless(method: str) -> None:
    path = SHARED / "cases" / "webp-lossless-labels.webp"
    data, _ = enlarged(path, scale=2, method=method)
    assert is_lossless(data)
    if method == "nearest":
        np.testing.assert_array_equal(np.asarray(opened(data)), repeated(np.asarray(Image.open(path)), 2))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("format", ["webp", "avif", "jpeg2000"])
def test_lossless_on_request_is_the_png(format: str, mode: str) -> None:
    if format == "avif":
        pytest.importorskip("imagecodecs")
    # Repeated values, because a method may round grey otherwise than three equal colours.
    source = encoded(noise(mode, 30, 20), "PNG")
    data, result = enlarged(source, format, 2, "nearest", lossless=True)
    png, _ = enlarged(source, "png", 2, "nearest")
    assert result.notes == []
    np.testing.assert_array_equal(np.asarray(opened(data).convert(mode)), np.asarray(opened(png)))


def test_lossless_avif_says_what_it_cannot_store() -> None:
    pytest.importorskip("imagecodecs")
    source = encoded(noise("RGB"), "PNG", icc_profile=bytes(130))
    assert enlarged(source, "avif", lossless=True)[1].notes == ["AVIF cannot store its colour profile"]
    with pytest.raises(UpscaleError, match="has 3 frames, but AVIF without loss stores only one"):
        enlarged(SOURCES["animated GIF"][0], "avif", lossless=True)


@pytest.mark.parametrize("format", ["jpeg", "avif"])
def test_the_first_loss_is_reported_unless_a_quality_is_given(format: str) -> None:
    note = {
        "jpeg": "JPEG is lossy, quality 95",
        "avif": "AVIF is lossy, quality 95; --lossless keeps every value",
    }[format]
    assert enlarged(encoded(noise("RGB"), "PNG"), format)[1].notes == [note]
    assert enlarged(encoded(noise("RGB"), "PNG"), format, quality=95)[1].notes == []
    assert enlarged(encoded(noise("RGB"), "JPEG"), format)[1].notes == []


def test_lossless_is_refused_where_it_cannot_be() -> None:
    with pytest.raises(UpscaleError, match=r"would be a JPEG, which is never lossless; use --format png, or omit"):
        enlarged(encoded(noise("RGB"), "JPEG"), lossless=True)
    data, _ = enlarged(encoded(noise("RGB"), "PNG"), lossless=True)
    assert Image.open(io.BytesIO(data)).format == "PNG"
    run = CliRunner().invoke(cli, ["x.png", "--lossless", "--quality", "80"])
    assert run.exit_code == 2


def test_colours_that_hide_in_what_cannot_store_them_are_named() -> None:
    hidden = noise("RGBA")
    hidden.putalpha(Image.fromarray((np.asarray(hidden)[..., 3] > 99).astype(np.uint8) * 255))
    for format, title, several in (("gif", "GIF", False), ("webp", "WebP", True)):
        source = encoded(hidden, "PNG", save_all=True, append_images=[hidden.rotate(180)] * several)
        said = f"{title} cannot store its colour under full transparency"
        assert said in enlarged(source, format)[1].notes
        assert said not in enlarged(source, "png")[1].notes
    assert "WebP cannot" not in str(enlarged(encoded(hidden, "PNG"), "webp")[1].notes)

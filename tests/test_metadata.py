"""What a file says about its image: orientation is applied once, the rest is kept, or something is said."""

import struct
from typing import Any

import numpy as np
import pytest
from pictures import (
    PLAIN,
    SRGB_PROFILE,
    UPRIGHT,
    animated,
    deep,
    deep_png,
    deep_tiff,
    encoded,
    enlarged,
    noise,
    opened,
    read_deep,
    repeated,
)
from PIL import ExifTags, Image, PngImagePlugin
from support import Array

from upscale_cli.codecs.formats import FORMATS
from upscale_cli.image.metadata import NAMES

ORIENTED = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def exif_of(orientation: int, width: int = 7, height: int = 5) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.ImageDescription] = "a mill"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {ExifTags.Base.ExifImageWidth: width, ExifTags.Base.ExifImageHeight: height, 0x9003: "2020:01:02 03:04:05"}
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.0, 31.0, 0.0)})
    return exif


def turned_file(format: str, depth: int, orientation: int) -> tuple[bytes, Array]:
    """A file whose pixels lie turned, and those pixels."""
    exif, xmp = exif_of(orientation), ORIENTED % orientation
    samples = deep(3) if depth == 16 else np.asarray(noise("RGB"))
    if depth == 16 and format == "TIFF":
        return deep_tiff(samples, "RGB", exif=exif.tobytes(), xmp=xmp), samples
    if depth == 16:
        return deep_png(samples, (b"eXIf", exif.tobytes()[6:])), samples
    if format == "JPEG":  # which keeps flat blocks nearly as they are
        samples = repeated(samples, 8)
    options: dict[str, Any] = {"exif": exif.tobytes(), "xmp": xmp}
    if format == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options.pop("xmp")
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    if format == "TIFF":
        exif[ExifTags.Base.XMLPacket] = options.pop("xmp")
        options["exif"] = exif.tobytes()
    if format == "WEBP":
        options["lossless"] = True
    if format == "JPEG":
        options |= {"quality": 100, "subsampling": 0}
    return encoded(Image.fromarray(samples), format, **options), samples


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("format", "depth"), [("JPEG", 8), ("PNG", 8), ("PNG", 16), ("WEBP", 8), ("TIFF", 8), ("TIFF", 16)]
)
def test_pixels_are_turned_upright_once(format: str, depth: int, orientation: int) -> None:
    source, stored = turned_file(format, depth, orientation)
    upright = repeated(UPRIGHT[orientation](stored), 2)
    for target in ("png", "tiff", "jpeg"):
        if depth == 16 and target == "jpeg":
            continue
        data, result = enlarged(source, target, 2)
        assert result.after == upright.shape[1::-1]
        again, _ = enlarged(data, target)
        for file in (data, again):
            read = np.asarray(opened(file)) if depth == 8 else read_deep(file)[0]
            assert read.shape == upright.shape
            if format == "JPEG" or target == "jpeg":
                assert np.abs(read.astype(int) - upright).mean() < 12
            else:
                np.testing.assert_array_equal(read, upright)
            image = opened(file)
            exif = image.getexif()
            assert exif.get(ExifTags.Base.Orientation, 1) == 1
            assert exif[ExifTags.Base.ImageDescription] == "a mill"
            assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
            details = exif.get_ifd(ExifTags.IFD.Exif)
            assert (details[0xA002], details[0xA003]) == upright.shape[1::-1]
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp", b"")
            xmp = xmp.encode() if isinstance(xmp, str) else xmp
            # Pillow cuts the entry out of the TIFF pages that it turns.
            without = ORIENTED.replace(b'tiff:Orientation="%d"', b"")
            assert xmp in ([b""] if (format, depth) == ("PNG", 16) else [ORIENTED % 1, without])


PACKET = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:title>Mühle</dc:title></x:xmpmeta>'.encode()
TEXTS = {"Title": "Old mill", "Author": "Jürgen", "Description": "水車 " * 3, "Comment": "long " * 500}


def rich_png() -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, value in TEXTS.items():
        try:
            info.add_text(key, value.encode("latin-1"), zip=len(value) > 100)
        except UnicodeEncodeError:
            info.add_itxt(key, value)
    info.add_itxt("XML:com.adobe.xmp", PACKET.decode())
    return encoded(
        noise("RGB"), "PNG", pnginfo=info, dpi=(300, 150), icc_profile=SRGB_PROFILE, exif=exif_of(1).tobytes()
    )


def metadata_of(data: bytes) -> dict[str, Any]:
    """Return the metadata that Pillow reads from a file."""
    image = opened(data)
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    dpi = image.info.get("dpi")
    if image.format == "TIFF" and dpi == (1, 1):
        dpi = None
    exif = image.getexif()
    return {
        "icc": image.info.get("icc_profile"),
        "xmp": xmp.encode() if isinstance(xmp, str) else xmp,
        "dpi": None if dpi is None else tuple(round(float(v)) for v in dpi),
        "text": {k: str(v) for k, v in getattr(image, "text", {}).items() if not k.startswith("XML")},
        "taken": exif.get_ifd(ExifTags.IFD.Exif).get(0x9003),
        "place": exif.get_ifd(ExifTags.IFD.GPSInfo).get(2),
        "comment": image.info.get("comment"),
    }


ALL = {
    "icc": SRGB_PROFILE,
    "xmp": PACKET,
    "dpi": (300, 150),
    "text": TEXTS,
    "taken": "2020:01:02 03:04:05",
    "place": (52.0, 31.0, 0.0),
    "comment": None,
}
NOTHING = dict.fromkeys(ALL) | {"text": {}}


@pytest.mark.parametrize("method", ["nearest", "bicubic"])
def test_a_png_keeps_all_that_is_in_it(method: str) -> None:
    data, result = enlarged(rich_png(), scale=2, method=method)
    assert metadata_of(data) == ALL
    assert result.notes == []


def test_metadata_travels_through_formats_and_what_is_lost_is_said() -> None:
    data, have = rich_png(), dict(ALL)
    for format, lost in (
        ("jpeg", ["text"]),
        ("tiff", []),
        ("webp", ["dpi"]),
        ("avif", []),
        ("png", []),
        ("bmp", ["exif", "icc", "xmp"]),
    ):
        data, result = enlarged(data, format, quality=95)
        if lost:
            assert result.notes == [
                f"{FORMATS[format].title} cannot store its {' and '.join(NAMES[name] for name in lost)}"
            ]
        have |= {key: NOTHING[key] for key in lost if key in NOTHING}
        if "exif" in lost:
            have |= {"taken": None, "place": None}
        if format == "bmp":
            have["dpi"] = (96, 96)  # which Pillow writes where there is none
        assert metadata_of(data) == have, format


def test_a_jpeg_keeps_all_that_is_in_it() -> None:
    source = encoded(
        noise("RGB"),
        "JPEG",
        exif=exif_of(1),
        icc_profile=SRGB_PROFILE,
        xmp=PACKET,
        dpi=(300, 150),
        comment="Mühle".encode("latin-1"),
    )
    data, result = enlarged(source, scale=2, method="lanczos")
    assert metadata_of(data) == ALL | {"text": {}, "comment": "Mühle".encode("latin-1")}
    assert result.notes == []
    data, _ = enlarged(source, "png")
    assert metadata_of(data)["text"] == {"Comment": "Mühle"}


@pytest.mark.parametrize("format", [name for name in PLAIN if "icc" in FORMATS[name].keeps])
def test_strip_leaves_the_profile_alone(format: str) -> None:
    data, result = enlarged(rich_png(), format, strip=True, quality=95)
    assert metadata_of(data) == NOTHING | {"icc": SRGB_PROFILE}
    assert result.notes == []


def test_a_profile_of_grey_is_not_given_to_colours() -> None:
    profile = b"\0" * 16 + b"GRAY" + b"\0" * 108
    data, result = enlarged(encoded(noise("L"), "PNG", icc_profile=profile), "webp", quality=95)
    assert "icc_profile" not in opened(data).info
    assert result.notes == ["WebP cannot store its colour profile"]


def test_entries_that_are_too_long_are_left_out_and_it_is_said() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "x" * 70_000)
    data, result = enlarged(encoded(noise("RGB"), "PNG", pnginfo=info), "jpeg", quality=95)
    assert metadata_of(data) == NOTHING
    assert result.notes == ["JPEG cannot store its XMP"]


def with_gamma(gamma: int, frames: int = 1, *, srgb: bool = True) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", gamma.to_bytes(4))
    info.add(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    if srgb:
        info.add(b"sRGB", b"\1")
    return animated([noise("RGB", seed=seed) for seed in range(frames)], "PNG", pnginfo=info)


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("strip", [False, True])
def test_what_the_numbers_of_a_png_mean_stays(frames: int, strip: bool) -> None:
    source = with_gamma(100_000, frames)
    made, was = opened(enlarged(source, scale=2, strip=strip)[0]), opened(source)
    for key in ("gamma", "chromaticity", "srgb"):
        assert made.info[key] == was.info[key]


def test_an_unusual_gamma_is_said_to_be_lost() -> None:
    assert enlarged(with_gamma(100_000, srgb=False), "jpeg", quality=95)[1].notes == ["JPEG cannot store its gamma"]
    # If there are both, sRGB counts (PNG, section 4.3).
    for meaningless in (with_gamma(45_455, srgb=False), with_gamma(100_000)):
        assert enlarged(meaningless, "jpeg", quality=95)[1].notes == []


ADOBE_RGB = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
"""White, red, green and blue (Adobe RGB (1998) Color Image Encoding, section 4.2)."""
ROUNDED_SRGB = (31000, 33000, 64000, 33000, 30000, 60000, 15000, 6000)


@pytest.mark.parametrize(
    ("primaries", "further", "lost"),
    [(ADOBE_RGB, {}, True), (ADOBE_RGB, {b"sRGB": b"\0"}, False), (ROUNDED_SRGB, {}, False)],
)
def test_other_primaries_are_said_to_be_lost(
    primaries: tuple[int, ...], further: dict[bytes, bytes], lost: bool
) -> None:
    info = PngImagePlugin.PngInfo()
    for name, payload in {b"cHRM": struct.pack(">8I", *primaries), **further}.items():
        info.add(name, payload)
    source = encoded(noise("RGB"), "PNG", pnginfo=info)
    data, result = enlarged(source, scale=2)
    assert opened(data).info["chromaticity"] == opened(source).info["chromaticity"]
    assert result.notes == []
    said = ["JPEG cannot store its primaries (cHRM)"]
    assert enlarged(source, "jpeg", quality=95)[1].notes == said * lost


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_left_out() -> None:
    source = encoded(noise("RGB"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0")
    data, result = enlarged(source, scale=2)
    assert opened(data).size == (14, 10)
    assert "exif" not in opened(data).info
    assert result.notes == ["its EXIF is damaged and left out"]


def test_the_same_image_gives_the_same_bytes() -> None:
    for format in ("png", "jpeg", "webp", "tiff", "avif", "gif"):
        assert enlarged(rich_png(), format, 2)[0] == enlarged(rich_png(), format, 2)[0]

"""JPEGs: what Pillow leaves out of them, their quality, and what stands behind their pictures."""

import hashlib
import io
import struct
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from pictures import SRGB_PROFILE, encoded, enlarged, noise, opened
from PIL import ExifTags, Image
from support import SHARED
from test_in_place import packet, values

from upscale_cli.codecs.jpeg_segments import EOI, segments
from upscale_cli.errors import UpscaleError
from upscale_cli.image.photoshop import iptc_of, with_iptc

CASES = SHARED / "cases"
SAMPLES = Path(__file__).parents[1] / "sample_images"


def jpeg(*apps: tuple[int, bytes], **options: Any) -> bytes:
    """A JPEG with application segments of one's own."""
    extra = b"".join(struct.pack(">BBH", 0xFF, 0xE0 + app, 2 + len(data)) + data for app, data in apps)
    return encoded(noise("RGB", 16, 8), "JPEG", extra=extra, **options)


def apps(data: bytes, start: bytes) -> list[bytes]:
    """The contents of segments that begin with some bytes."""
    return [each.content for each in segments(io.BytesIO(data)) if each.content.startswith(start)]


# Quality -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [10, 75, 98])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_keeps_its_tables_and_the_resolution_of_its_colour(mode: str, subsampling: str, quality: int) -> None:
    source = encoded(noise(mode, 16, 8), "JPEG", quality=quality, subsampling=subsampling)
    was, made = opened(source), opened(enlarged(source, scale=2)[0])
    assert made.quantization == was.quantization  # type: ignore[attr-defined]
    if mode == "RGB":
        assert made.layer == was.layer  # type: ignore[attr-defined]
    asked, told = enlarged(source, scale=2, quality=50, subsampling="4:2:0")
    plain = encoded(noise(mode, 16, 8), "JPEG", quality=50, subsampling="4:2:0")
    assert opened(asked).quantization == opened(plain).quantization  # type: ignore[attr-defined]
    assert told.notes == []


@pytest.mark.parametrize("tables", [[3], [3, 5, 5], [3, 5, 7], [3, 5, 3], [3, 300, 300]])
def test_every_channel_keeps_its_own_table(tables: list[int]) -> None:
    source = encoded(noise("RGB", 16, 8), "JPEG", qtables=[[first] * 64 for first in tables])
    made: Any = opened(enlarged(source, scale=2)[0])
    assert [made.quantization[layer[3]][0] for layer in made.layer] == (tables * 3)[:3]


def with_samplings(*layers: int) -> bytes:
    """A JPEG whose header says other samplings: only for reading the header."""
    data = bytearray(jpeg())
    frame = next(each for each in segments(io.BytesIO(bytes(data))) if each.marker == 0xC0)
    for index, sampling in enumerate(layers):
        data[frame.end - 8 + 3 * index] = sampling
    return bytes(data)


@pytest.mark.parametrize(
    ("layers", "subsampling"),
    [
        ((0x41, 0x11, 0x11), "4:2:2"),
        ((0x12, 0x11, 0x11), "4:4:4"),
        ((0x44, 0x11, 0x11), "4:2:0"),
        ((0x22, 0x22, 0x22), "4:4:4"),
        ((0x22, 0x21, 0x11), "4:4:4"),
        ((0x11, 0x22, 0x11), "4:4:4"),
    ],
)
def test_samplings_that_pillow_cannot_write_lose_nothing(layers: tuple[int, ...], subsampling: str) -> None:
    from pictures import source_of

    from upscale_cli.codecs.picture import open_picture

    with open_picture(source_of(with_samplings(*layers)).open()) as picture:
        assert picture.encoding.subsampling == subsampling


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = value
    return exif


def test_colour_that_is_stored_by_halves_of_a_turned_picture_loses_nothing() -> None:
    source = encoded(noise("RGB", 16, 8), "JPEG", subsampling="4:2:2", exif=orientation(6))
    made: Any = opened(enlarged(source, scale=2)[0])
    assert [layer[1:3] for layer in made.layer] == [(1, 1)] * 3


def test_the_first_lossy_step_is_reported() -> None:
    source = encoded(noise("RGB"), "PNG")
    for format, title in (("jpeg", "JPEG"), ("webp", "WebP"), ("avif", "AVIF")):
        way = "" if format == "jpeg" else "; --lossless keeps every value"
        notes = [f"{title} is lossy, quality 95{way}"]
        assert enlarged(source, format, 2, "lanczos")[1].notes == notes
        assert enlarged(source, format, quality=95)[1].notes == []
        assert enlarged(jpeg(), format)[1].notes == []


# Metadata ----------------------------------------------------------------------------------------------------------

IPTC = b"\x1c\x02\x78\x00\x09A caption" + b"\x1c\x02\x19\x00\x07keyword"
PHOTOSHOP = b"Photoshop 3.0\0"


def test_iptc_stays_in_a_jpeg_and_is_said_to_be_lost_elsewhere() -> None:
    resources = with_iptc(IPTC) + b"8BIM\x04\x0c\x03odd\0\0\0\x02ab" + b"8BIM\x03\xed\0\0" + struct.pack(">I", 0)
    source = jpeg((13, PHOTOSHOP + resources[:20]), (13, PHOTOSHOP + resources[20:]))
    data, result = enlarged(source, scale=2)
    assert b"".join(each[len(PHOTOSHOP) :] for each in apps(data, PHOTOSHOP)) == resources
    assert iptc_of(resources) == IPTC
    assert result.notes == []
    assert enlarged(source, "png")[1].notes == ["PNG cannot store its IPTC and Photoshop data"]
    assert not apps(enlarged(source, strip=True)[0], PHOTOSHOP)


def test_long_resources_go_into_several_segments() -> None:
    long = with_iptc(bytes(range(256)) * 1000)
    source = jpeg(*((13, PHOTOSHOP + long[start : start + 60_000]) for start in range(0, len(long), 60_000)))
    data, _ = enlarged(source)
    assert b"".join(each[len(PHOTOSHOP) :] for each in apps(data, PHOTOSHOP)) == long


EXTENSION, XMP = b"http://ns.adobe.com/xmp/extension/\0", b"http://ns.adobe.com/xap/1.0/\0"


def with_extension(extension: bytes, part: int = 60_000, missing: int = -1, main: str = "") -> bytes:
    name = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()
    packed = packet(
        f'dc:format="a" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{name.decode()}"', main
    )
    parts = [
        (1, EXTENSION + name + struct.pack(">II", len(extension), at) + extension[at : at + part])
        for at in range(0, len(extension), part)
    ]
    return jpeg((1, XMP + packed), *(each for index, each in enumerate(parts[::-1]) if index != missing))


def extension_of(data: bytes) -> bytes:
    """The extension of a JPEG, put together as Adobe describes it."""
    main = apps(data, XMP)[0][len(XMP) :]
    name = values(main)["HasExtendedXMP"].encode()
    parts = sorted(each[len(EXTENSION) + 36 :] for each in apps(data, EXTENSION + name))
    whole = b"".join(each[4:] for each in parts)
    assert hashlib.md5(whole, usedforsecurity=False).hexdigest().upper().encode() == name
    return whole


def test_extended_xmp_is_whole_and_follows_the_size() -> None:
    extension = packet('tiff:ImageWidth="16"', f"<dc:description>{'long ' * 40_000}</dc:description>")
    data, result = enlarged(with_extension(extension), scale=2)
    assert result.notes == []
    assert extension_of(data) == extension.replace(b'"16"', b'"32"')
    for target in ("png", "webp"):
        data, result = enlarged(with_extension(extension), target, 2)
        assert result.notes == []
        xmp = opened(data).info["xmp"]
        made = values(xmp)
        assert "HasExtendedXMP" not in made
        assert (made["format"], made["ImageWidth"], made["description"]) == ("a", "32", "long " * 40_000)
        # and back: what is too long for one segment is extended again
        again, result = enlarged(data, "jpeg", quality=95)
        assert result.notes == []
        assert values(extension_of(again))["description"] == "long " * 40_000


def test_an_extension_that_is_no_rdf_stays_in_a_jpeg() -> None:
    extension = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"d" * 3000 + b"</x:xmpmeta>"
    assert extension_of(enlarged(with_extension(extension), scale=2)[0]) == extension
    data, result = enlarged(with_extension(extension), "png")
    assert result.notes == ["PNG cannot store its extended XMP"]
    assert "HasExtendedXMP" not in values(opened(data).info["xmp"])


def test_a_main_packet_that_outgrows_its_segment_is_split_anew() -> None:
    sides = "<tiff:ImageWidth>9</tiff:ImageWidth>" * 300
    room = 65_400 - len(with_extension(packet(), main=sides)) + len(with_extension(packet()))
    room -= len(apps(with_extension(packet()), XMP)[0])
    source = with_extension(packet("dc:source='b'"), main=f"<dc:title>{'t' * room}</dc:title>{sides}")
    data, result = enlarged(source, scale=2)
    assert result.notes == []
    found = values(apps(data, XMP)[0][len(XMP) :]) | values(extension_of(data))
    assert (found["format"], found["source"], found["title"], found["ImageWidth"]) == ("a", "b", "t" * room, "32")


def test_an_extension_that_lacks_a_part_is_left_out_and_said() -> None:
    data, result = enlarged(with_extension(packet() + b" " * 200_000, missing=1))
    assert result.notes == ["its extended XMP is incomplete and left out"]
    assert values(apps(data, XMP)[0][len(XMP) :]) == {"about": "", "format": "a"}


@pytest.mark.parametrize(("density", "made"), [((2, 1), (2, 1)), ((59, 54), (59, 54)), ((1, 1), (1, 1))])
def test_the_shape_of_pixels_stays(density: tuple[int, int], made: tuple[int, int]) -> None:
    source = bytearray(jpeg())
    assert source[6:11] == b"JFIF\0"
    source[13:18] = b"\0" + struct.pack(">HH", *density)
    info = opened(enlarged(bytes(source), scale=2)[0]).info
    assert (info["jfif_unit"], info["jfif_density"]) == (0, made)
    if density != (1, 1):
        assert enlarged(bytes(source), "webp")[1].notes == ["WebP cannot store its pixel aspect ratio"]


def test_all_comments_stay() -> None:
    first = b"\xff\xfe\0\x05odd"
    source = jpeg(comment=b"even")
    data, _ = enlarged(source[:2] + first + source[2:])
    assert opened(data).info["comment"] == b"odd\neven"


# Behind the picture ------------------------------------------------------------------------------------------------

VIDEO = struct.pack(">I4s4sI", 24, b"ftyp", b"mp42", 0) + bytes(8) + bytes(range(256)) * 16
GAIN_MAP = jpeg((1, XMP + packet('hdrgm:Version="1.0"')))
APPLE = jpeg((1, XMP + b'<x xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/"/>'))
ISO = (2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
ANNOUNCED = (1, XMP + packet('hdrgm:Version="1.0"', "<Container:Directory><rdf:Seq/></Container:Directory>"))
MOTION = (1, XMP + packet('GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="4120" dc:format="image/jpeg"'))
LEFT = "its HDR gain map is left out"
MOVIE = "its video (motion photo) is left out"


@pytest.mark.parametrize(
    ("source", "notes"),
    [
        (jpeg(ANNOUNCED) + GAIN_MAP, [LEFT]),
        (jpeg(ANNOUNCED) + jpeg(), [LEFT]),
        (jpeg(ISO) + jpeg(ISO), [LEFT]),
        (jpeg() + APPLE, [LEFT]),
        (jpeg() + GAIN_MAP + jpeg(), [LEFT, "only the first of its 2 pictures is enlarged"]),
        (jpeg() + jpeg() + jpeg(), ["only the first of its 3 pictures is enlarged"]),
        (jpeg(MOTION) + VIDEO, [MOVIE]),
        (
            jpeg() + b"\0\0\x30\x0aMotionPhoto_Data" + VIDEO + b"SEFHabcdSEFT",
            [MOVIE, "20 bytes behind its picture are left out"],
        ),
        (jpeg(ANNOUNCED) + GAIN_MAP + VIDEO, [LEFT, MOVIE]),
        (jpeg() + b"hidden", ["6 bytes behind its picture are left out"]),
        (jpeg() + bytes(70_000) + b"\xff" * 9, []),
        (jpeg() + bytes(70_000) + jpeg(), ["only the first of its 2 pictures is enlarged"]),
        (jpeg(ANNOUNCED), []),
        (jpeg((11, b"JP\0\1\0\0\0\1\0\0\0\x20jumb")), ["its C2PA data (content credentials) is left out"]),
        (
            jpeg((1, b"FLIR\0abc"), (5, b"abc"), (12, b"Ducky")),
            ["its APP5 data is left out", "its thermal data (FLIR) is left out"],
        ),
        (
            jpeg((0, b"JFXX\0\x10" + jpeg()), (2, b"FPXR\0\0xx")),
            ["its FlashPix data is left out", "its JFXX thumbnail is left out"],
        ),
    ],
)
def test_what_stands_beside_the_picture_is_said(source: bytes, notes: list[str]) -> None:
    data, result = enlarged(source, scale=2)
    assert result.notes == notes
    ends = [each.end for each in segments(io.BytesIO(data)) if each.marker == EOI]
    assert ends == [len(data)], "nothing stands behind the result"
    for each in apps(data, XMP):
        made = fromstring(each[len(XMP) :].decode())  # it is well-formed
        assert not [name for element in made.iter() for name in (element.tag, *element.attrib) if "hdr-gain" in name]
        assert b"Directory" not in each
        assert b"MotionPhoto=" not in each


@pytest.mark.parametrize(
    ("numbers", "whole"),
    [
        ([(1, 2), (2, 2)], True),
        ([(2, 2), (1, 2)], True),
        ([(1, 2)], False),
        ([(1, 1), (1, 1)], False),
        ([(1, 2), (1, 2)], False),
        ([(1, 3), (3, 3)], False),
    ],
)
def test_a_profile_of_which_a_part_is_missing_or_doubled_is_said(numbers: list[tuple[int, int]], whole: bool) -> None:
    """ICC.1:2022, annex B.4: parts are numbered from 1, and each has their count."""
    half = len(SRGB_PROFILE) // 2
    parts = {1: SRGB_PROFILE[:half], 2: SRGB_PROFILE[half:], 3: b""}
    source = jpeg(*((2, b"ICC_PROFILE\0" + bytes(each) + parts[each[0]]) for each in numbers))
    data, result = enlarged(source, scale=2)
    assert opened(data).info.get("icc_profile") == (SRGB_PROFILE if whole else None)
    assert result.notes == ([] if whole else ["its colour profile is damaged and left out"])


def with_resolutions(turn: int) -> bytes:
    """A JPEG without a resolution in JFIF, whose EXIF has that of a fax."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution], exif[ExifTags.Base.ResolutionUnit] = 204, 98, 2
    exif.get_ifd(ExifTags.IFD.Exif).update({0xA20E: 1000.0, 0xA20F: 500.0})
    return jpeg(exif=exif)


@pytest.mark.parametrize("target", ["jpeg", "png", "tiff"])
@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_each_side_has_its_own_resolution(turn: int, target: str) -> None:
    """Where the picture is turned by a quarter, the sides change places, and their resolutions with them."""
    image = opened(enlarged(with_resolutions(turn), target, 2, quality=95)[0])
    image.load()
    expected, focal = ((204, 98), (1000, 500)) if turn < 5 else ((98, 204), (500, 1000))
    assert tuple(round(float(side)) for side in image.info["dpi"]) == expected
    exif = image.getexif()
    assert (exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution]) == expected
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert (details[0xA20E], details[0xA20F]) == focal


def resource(number: int, data: bytes) -> bytes:
    """An image resource of Photoshop."""
    return struct.pack(">4sHHI", b"8BIM", number, 0, len(data)) + data


@pytest.mark.parametrize("turn", [1, 3, 6])
def test_photoshop_s_resources_are_turned_and_its_thumbnail_is_said(turn: int) -> None:
    """Resource 1005 is hRes, its units, vRes and its units (Adobe, "Photoshop File Formats Specification")."""
    across, down = struct.pack(">IHH", 300 << 16, 1, 1), struct.pack(">IHH", 150 << 16, 2, 3)
    before = resource(1005, across + down) + resource(1036, bytes(28)) + with_iptc(b"\x1c\2\0\0\2\0\4")
    data, result = enlarged(jpeg((13, b"Photoshop 3.0\0" + before), exif=orientation(turn)), scale=2)
    sides = (across + down, down + across)[turn == 6]
    after = resource(1005, sides) + (b"" if turn > 1 else resource(1036, bytes(28))) + before[-20:]
    assert apps(data, b"Photoshop")[0][14:] == after
    said = "its Photoshop thumbnail, which was not turned with it, is left out"
    assert result.notes == ([said] if turn > 1 else [])


def test_progressive_files_end_where_they_end() -> None:
    source = encoded(noise("RGB", 64, 64), "JPEG", progressive=True, quality=95)
    assert [each.end for each in segments(io.BytesIO(source)) if each.marker == EOI] == [len(source)]
    assert enlarged(source)[1].notes == []


@pytest.mark.parametrize("cut", [2, 5])
def test_a_jpeg_without_its_end_is_refused_with_a_way_round(cut: int) -> None:
    with pytest.raises(UpscaleError, match=r"end marker is missing.*jpegtran -copy all"):
        enlarged(jpeg()[:-cut])


def cut_off(share: float, **options: Any) -> bytes:
    """The end marker after a part of a file."""
    with Image.open(SAMPLES / "scene.png") as image:
        content = encoded(image.convert(options.get("mode", "RGB")), "JPEG", **options)
    return content[: int((len(content) - 2) * share)].rstrip(b"\xff") + b"\xff\xd9"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "L"},
        {"mode": "CMYK"},
        {"subsampling": 0, "optimize": True},
        {"restart_marker_rows": 1},
        {"exif": orientation(3)},
        {"exif": orientation(6)},
    ],
)
def test_a_jpeg_whose_last_rows_are_missing_is_refused(options: dict[str, Any], share: float) -> None:
    """Its end marker is there: Pillow says nothing."""
    opened(cut_off(share, **options)).load()
    with pytest.raises(UpscaleError, match=r"lacks the data of its last rows, .*jpegtran"):
        enlarged(cut_off(share, **options))
    assert enlarged(cut_off(1, **options))[1].notes == []


@pytest.mark.parametrize(("share", "notes"), [(0.4, 1), (1, 0)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_jpeg_that_lacks_scans_is_said_to_be_coarse(mode: str, share: float, notes: int) -> None:
    said = enlarged(cut_off(share, mode=mode, progressive=True))[1].notes
    assert said == ["some of its scans are missing, so it is coarser than it was"] * notes


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
def test_a_picture_that_ends_in_grey_is_whole(mode: str, options: dict[str, Any]) -> None:
    grey = Image.new(mode, (100, 80), (128,) * len(mode))
    made = np.asarray(opened(enlarged(encoded(grey, "JPEG", **options), scale=1)[0]))
    assert (made == made[0, 0]).all()


@pytest.mark.parametrize(
    ("marker", "bits", "words"),
    [
        (0xC1, 12, "12 bits per channel"),
        (0xC3, 8, "lossless JPEG"),
        (0xC5, 8, "hierarchical JPEG"),
        (0xF7, 8, "JPEG-LS"),
    ],
)
def test_other_kinds_of_jpeg_are_named(marker: int, bits: int, words: str) -> None:
    source = bytearray(jpeg())
    at = source.index(b"\xff\xc0\0\x11\x08")
    source[at + 1], source[at + 4] = marker, bits
    with pytest.raises(UpscaleError, match=words):
        enlarged(bytes(source))


# Cases of others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "format", "notes"),
    [
        ("ultrahdr-gainmap", "jpeg", [LEFT]),
        ("motion-photo", "jpeg", [MOVIE]),
        ("iptc-app13", "jpeg", []),
        ("iptc-app13", "tiff", []),
        ("iptc-app13", "png", ["PNG cannot store its IPTC and Photoshop data"]),
        ("extended-xmp", "jpeg", []),
        ("gpano-xmp", "jpeg", []),
        ("jfif-pixel-aspect", "jpeg", []),
    ],
)
def test_a_case_is_kept_or_said(name: str, format: str, notes: list[str]) -> None:
    path = CASES / f"jpeg-{name}.jpg"
    if not path.exists():
        pytest.skip("there is no folder of cases")
    assert enlarged(Path(path), format, 2)[1].notes == notes


def test_the_pixels_of_a_case_are_those_of_the_first_picture() -> None:
    path = CASES / "jpeg-ultrahdr-gainmap.jpg"
    if not path.exists():
        pytest.skip("there is no folder of cases")
    made = np.asarray(opened(enlarged(path, "png", 2)[0]))
    np.testing.assert_array_equal(made[::2, ::2], np.asarray(opened(path.read_bytes())))

"""EXIF and XMP within files: what tells the size is changed, and every other byte stays where it is."""

import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from pictures import encoded, enlarged, noise, opened
from PIL import ExifTags, Image, PngImagePlugin

from upscale_cli.image import exif as exif_blocks
from upscale_cli.image.change import Change
from upscale_cli.image.metadata import Metadata, resized
from upscale_cli.image.xmp import merged, split
from upscale_cli.image.xmp import resized as resized_xmp

NOTE_AT = 600
"""Where the MakerNote of `camera` stands: Canon's holds offsets from the beginning of the whole block."""


def camera(order: str = "<", orientation: int = 1, width: int = 7, height: int = 5, thumbnail: bytes = b"") -> bytes:
    """An EXIF block as a camera writes it: IFD0, Exif with a MakerNote that points into the block, and IFD1."""
    details_at, next_at, values_at = 200, 300, 400
    kinds = {2: 1, 3: 2, 4: 4, 7: 1}

    def directory(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
        packed = struct.pack(order + "H", len(entries))
        for tag, kind, count, value in entries:
            inline = count * kinds[kind] <= 4 and kind == 3
            packed += struct.pack(order + ("HHIHxx" if inline else "HHII"), tag, kind, count, value)
        return packed + struct.pack(order + "I", following)

    block = bytearray(800)
    block[:8] = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    first = [
        (0x100, 3, 1, width),
        (0x101, 3, 1, height),
        (0x10F, 2, 6, values_at),
        (0x112, 3, 1, orientation),
        (0x8769, 4, 1, details_at),
    ]
    second = [(0x927C, 7, 150, NOTE_AT), (0xA002, 3, 1, width), (0xA003, 4, 1, height)]
    packed = directory(first, next_at if thumbnail else 0)
    block[8 : 8 + len(packed)] = packed
    packed = directory(second, 0)
    block[details_at : details_at + len(packed)] = packed
    block[values_at : values_at + 6] = b"Canon\0"
    note = directory([(7, 2, 16, NOTE_AT + 18)], 0) + b"0123456789abcdef"
    block[NOTE_AT : NOTE_AT + len(note)] = note
    if thumbnail:
        packed = directory([(0x201, 4, 1, 800), (0x202, 4, 1, len(thumbnail))], 0)
        block[next_at : next_at + len(packed)] = packed
    return bytes(block) + thumbnail


def block_of(data: bytes) -> bytes:
    """The EXIF block of a file, as Pillow finds it."""
    found: bytes = opened(data).info["exif"]
    return found.removeprefix(b"Exif\0\0")


def changed(before: bytes, after: bytes) -> set[int]:
    """Where two blocks of one length differ."""
    assert len(before) == len(after)
    return {index for index, (was, made) in enumerate(zip(before, after, strict=True)) if was != made}


def with_exif(format: str, exif: bytes) -> bytes:
    options: dict[str, Any] = {"exif": b"Exif\0\0" + exif}
    return encoded(noise("RGB"), format, **options)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize("target", ["jpeg", "webp", "png"])
def test_exif_stays_byte_for_byte(order: str, format: str, target: str) -> None:
    source = camera(order, thumbnail=b"\xff\xd8\xff\xd9")
    data, result = enlarged(with_exif(format, source), target, 2, quality=95)
    after = block_of(data)
    assert result.notes == []
    # The values of the two sizes of IFD0, and of the two of the Exif directory.
    numbers = [8 + 2 + 8, 8 + 2 + 12 + 8, 202 + 12 + 8, 202 + 24 + 8]
    assert changed(source, after) <= {byte for at in numbers for byte in range(at, at + 4)}
    read = Image.Exif()
    read.load(after)
    assert (read[0x100], read[0x101], read[0x10F]) == (14, 10, "Canon")
    details = read.get_ifd(ExifTags.IFD.Exif)
    assert (details[0xA002], details[0xA003]) == (14, 10)


def test_exif_of_avif_loses_its_orientation_and_nothing_moves() -> None:
    source = camera(orientation=6)
    data, _ = enlarged(with_exif("JPEG", source), "avif", 2, quality=95)
    after = block_of(data)
    assert ExifTags.Base.Orientation not in opened(data).getexif()
    assert after[NOTE_AT:] == source[NOTE_AT:]
    read = Image.Exif()
    read.load(after)
    assert (read[0x10F], read.get_ifd(ExifTags.IFD.Exif)[0xA002]) == ("Canon", 10)


def test_a_size_beyond_16_bits_becomes_long() -> None:
    after = exif_blocks.resized(camera(">"), Change((5, 7), (5, 70_000)))
    assert after is not None
    read = Image.Exif()
    read.load(after)
    assert read[0x100] == read.get_ifd(ExifTags.IFD.Exif)[0xA002] == 70_000
    assert after[NOTE_AT:] == camera(">")[NOTE_AT:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_subject_moves_with_the_picture(orientation: int) -> None:
    """A pixel of the stored picture is marked, turned by Pillow, and found at the middle of the subject's area."""
    stored = Image.new("L", (9, 5))
    stored.putpixel((1, 3), 255)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[0x9214] = (1, 3, 2, 4)
    image = opened(enlarged(encoded(stored, "PNG", exif=exif), "png", 10)[0])
    left, top, right, bottom = image.getbbox()  # type: ignore[misc]
    x, y, *sides = image.getexif().get_ifd(ExifTags.IFD.Exif)[0x9214]
    assert (min(abs(x - left), abs(x - right)), min(abs(y - top), abs(y - bottom))) == (0, 0)
    assert sides == ([40, 20] if orientation >= 5 else [20, 40])


def test_a_subject_beyond_16_bits_is_dropped() -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update({0x9214: (8, 4), 0xA214: (1, 1), 0xA300: b"\3"})
    made = exif_blocks.resized(exif.tobytes(), Change((9, 9), (9, 90_000)))
    assert made is not None
    read = Image.Exif()
    read.load(made)
    assert read.get_ifd(ExifTags.IFD.Exif) == {0xA214: (10_000, 1), 0xA300: b"\3"}


def test_a_picture_that_is_turned_loses_its_thumbnail_and_it_is_said() -> None:
    source = with_exif("JPEG", camera(orientation=6, thumbnail=b"\xff\xd8\xff\xd9"))
    data, result = enlarged(source, scale=2)
    assert result.notes == ["its EXIF thumbnail, which was not turned with it, is left out"]
    assert not exif_blocks.has_thumbnail(block_of(data))
    assert opened(data).getexif()[ExifTags.Base.Orientation] == 1


def test_tiff_cannot_store_a_maker_note_and_says_so() -> None:
    data, result = enlarged(with_exif("JPEG", camera()), "tiff", 2)
    assert result.notes == ["TIFF cannot store its MakerNote"]
    assert 0x927C not in opened(data).getexif().get_ifd(ExifTags.IFD.Exif)
    data, result = enlarged(with_exif("JPEG", camera()), "bmp", 2)
    assert result.notes == ["BMP cannot store its EXIF"]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"II*\0",
        b"XX" + camera()[2:],
        camera()[:40],
        camera()[:4] + b"\xff\xff\xff\x7f" + camera()[8:],
        camera()[:4] + b"\0\0\0\0" + camera()[8:],
        camera()[:66] + struct.pack("<I", 10**6) + camera()[70:],
    ],
)
def test_a_block_that_cannot_be_walked_is_none(broken: bytes) -> None:
    assert exif_blocks.resized(broken, Change((5, 7), (10, 14), 6)) is None
    assert not exif_blocks.tags_of(broken)
    assert not exif_blocks.has_thumbnail(broken)


def test_exif_as_imagemagick_writes_it_in_a_png_is_read() -> None:
    block = b"Exif\0\0" + camera()
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    data, _ = enlarged(encoded(noise("RGB"), "PNG", pnginfo=info), "webp", 1, quality=95)
    assert block_of(data) == camera()


# XMP ---------------------------------------------------------------------------------------------------------------

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SPACES = {
    "rdf": RDF,
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "dc": "http://purl.org/dc/elements/1.1/",
}


def packet(attributes: str = "", elements: str = "", **renamed: str) -> bytes:
    """A packet with one description; `renamed` gives prefixes other names."""
    declared = " ".join(f'xmlns:{renamed.get(name, name)}="{uri}"' for name, uri in SPACES.items() if name != "rdf")
    for name, other in renamed.items():
        attributes, elements = (text.replace(f"{name}:", f"{other}:") for text in (attributes, elements))
    return (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" {declared} {attributes}>{elements}'
        f"</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    ).encode()


def values(xmp: bytes) -> dict[str, str]:
    """All attributes and texts of a packet, by their local names."""
    found: dict[str, str] = {}
    for element in fromstring(xmp):
        for each in element.iter():
            found |= {name.rpartition("}")[2]: value for name, value in each.attrib.items()}
            if each.text and each.text.strip():
                found[each.tag.rpartition("}")[2]] = each.text
    return found


PIXELS = {
    "tiff:ImageWidth": 80,
    "tiff:ImageLength": 40,
    "exif:PixelXDimension": 80,
    "exif:PixelYDimension": 40,
    "GPano:FullPanoWidthPixels": 160,
    "GPano:FullPanoHeightPixels": 80,
    "GPano:CroppedAreaImageWidthPixels": 80,
    "GPano:CroppedAreaImageHeightPixels": 40,
    "GPano:CroppedAreaLeftPixels": 33,
    "GPano:CroppedAreaTopPixels": 7,
}


@pytest.mark.parametrize("form", ["attributes", "elements", "other prefixes"])
def test_sizes_in_xmp_follow_the_new_size(form: str) -> None:
    as_attributes = " ".join(f"{name}='{value}'" for name, value in PIXELS.items())
    as_elements = "".join(f"<{name}>{value}</{name}>\n" for name, value in PIXELS.items())
    renamed = {"GPano": "pano", "tiff": "t"} if form == "other prefixes" else {}
    xmp = packet(*(("", as_elements) if form == "elements" else (as_attributes, "")), **renamed)
    made = values(resized_xmp(xmp, Change((40, 80), (60, 200))))
    assert {name: made[name.partition(":")[2]] for name in PIXELS} == {
        "tiff:ImageWidth": "200",
        "tiff:ImageLength": "60",
        "exif:PixelXDimension": "200",
        "exif:PixelYDimension": "60",
        "GPano:FullPanoWidthPixels": "400",
        "GPano:FullPanoHeightPixels": "120",
        "GPano:CroppedAreaImageWidthPixels": "200",
        "GPano:CroppedAreaImageHeightPixels": "60",
        "GPano:CroppedAreaLeftPixels": "82",
        "GPano:CroppedAreaTopPixels": "10",
    }


@pytest.mark.parametrize("scale", [Fraction(3, 2), Fraction(7, 3), Fraction(101, 100)])
def test_a_part_of_a_panorama_stays_within_it(scale: Fraction) -> None:
    for full, part, left in ((80, 41, 39), (7, 4, 3), (1000, 999, 1)):
        xmp = packet(
            f'GPano:FullPanoWidthPixels="{full}" GPano:CroppedAreaImageWidthPixels="{part}" '
            f'GPano:CroppedAreaLeftPixels="{left}"'
        )
        made = values(resized_xmp(xmp, Change((10, part), (10, int(part * scale + Fraction(1, 2))))))
        whole, side, at = (
            int(made[name])
            for name in ("FullPanoWidthPixels", "CroppedAreaImageWidthPixels", "CroppedAreaLeftPixels")
        )
        assert at + side <= whole


def regions(unit: str, numbers: str, size: str) -> bytes:
    w, h = size.split("x")
    x, y, width, height = numbers.split()
    return packet(
        elements=f'<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions stDim:w="{w}" stDim:h="{h}" '
        f'stDim:unit="pixel"/><mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType="Resource"><mwg-rs:Area '
        f'stArea:x="{x}" stArea:y="{y}" stArea:w="{width}" stArea:h="{height}" stArea:unit="{unit}"/></rdf:li>'
        "</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("unit", ["normalized", "pixel"])
def test_regions_are_where_the_faces_are(orientation: int, unit: str) -> None:
    """One pixel of the stored picture is marked, turned by Pillow, and found where the region says."""
    stored = Image.new("L", (8, 4))
    stored.putpixel((1, 2), 255)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if unit == "normalized":
        xmp = regions(unit, "0.1875 0.625 0.125 0.25", "8x4")
    else:
        xmp = regions(unit, "1.5 2.5 1 1", "8x4")
    data, _ = enlarged(encoded(stored, "PNG", exif=exif, pnginfo=with_packet(xmp)), "png", 3)
    image = opened(data)
    made = values(image.info["xmp"])
    x, y, w, h = (float(made[name]) for name in "xywh")
    if unit == "normalized":
        x, y, w, h = x * image.width, y * image.height, w * image.width, h * image.height
    assert image.getbbox() == (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    root = fromstring(image.info["xmp"])
    applied = next(root.iter(f"{{{SPACES['mwg-rs']}}}AppliedToDimensions"))
    sides = tuple(int(applied.attrib[f"{{{SPACES['stDim']}}}{name}"]) for name in "wh")
    assert sides == image.size


def with_packet(xmp: bytes) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return info


def test_regions_of_a_picture_that_was_upright_already_are_not_turned() -> None:
    xmp = regions("normalized", "0.2 0.3 0.1 0.1", "4x8")
    made = values(resized_xmp(xmp, Change((8, 4), (16, 8), orientation=6)))
    assert (made["x"], made["y"]) == ("0.2", "0.3")


def test_faces_of_microsoft_are_turned() -> None:
    xmp = packet(elements='<rdf:li MPReg:Rectangle="0.1, 0.2, 0.3, 0.4"/>')
    made = resized_xmp(xmp, Change((8, 4), (8, 4), orientation=6))
    assert values(made)["Rectangle"] == "0.4, 0.1, 0.4, 0.3"
    assert resized_xmp(xmp, Change((8, 4), (16, 8))) == xmp


def test_xmp_no_longer_announces_what_is_left_out() -> None:
    xmp = packet(
        'hdrgm:Version="1.0" GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="4096" dc:format="image/jpeg"',
        '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item/></rdf:li></rdf:Seq>'
        "</Container:Directory><hdrgm:GainMapMax><rdf:Seq><rdf:li>3</rdf:li></rdf:Seq></hdrgm:GainMapMax>"
        "<GCamera:MotionPhotoVersion>1</GCamera:MotionPhotoVersion><hdrgm:OffsetSDR/><dc:title>a mill</dc:title>",
    )
    made = resized_xmp(xmp, Change((4, 4), (8, 8)))
    assert values(made) == {"about": "", "format": "image/jpeg", "title": "a mill"}


def test_xmp_that_cannot_be_read_stays_and_it_is_said() -> None:
    source = encoded(noise("RGB"), "JPEG", xmp=b'<a tiff:Orientation="6"')
    data, result = enlarged(source, scale=2)
    assert opened(data).info["xmp"] == b'<a tiff:Orientation="6"'
    assert result.notes == ["its XMP cannot be read and stays as it is"]


def test_long_xmp_is_split_and_put_together_again() -> None:
    about = "".join(
        f'<rdf:Description rdf:about="" xmlns:dc="{SPACES["dc"]}"><dc:{name}>{name * count}</dc:{name}>'
        "</rdf:Description>"
        for name, count in (("title", 10), ("description", 9000), ("creator", 20))
    )
    long = packet().replace(b"</rdf:RDF>", about.encode() + b"</rdf:RDF>")
    parts = split(long, 65_500)
    assert parts is not None
    main, extension = parts
    assert len(main) < 5000
    assert {"title", "creator", "HasExtendedXMP"} <= values(main).keys()
    assert values(extension)["description"] == "description" * 9000
    whole = merged(main, extension)
    assert whole is not None
    assert values(whole) == values(long)


def test_packets_that_are_made_to_be_slow_are_not() -> None:
    """Tried at each of its elements, the pattern of RDF would take minutes."""
    assert split(b'<x xmlns:r="%b">' % RDF.encode() + b"<r:RDF />" * 16_000 + b"</x>", 65_500) is None


def test_namespaces_of_an_extension_come_along() -> None:
    extension = f'<x xmlns:dc="{SPACES["dc"]}" xmlns:r="{RDF}"><r:RDF><r:Description dc:title="a"/></r:RDF></x>'
    whole = merged(packet('dc:format="b"'), extension.encode())
    assert whole is not None
    assert values(whole) == {"about": "", "format": "b", "title": "a"}
    assert merged(b"<x/>", extension.encode()) is None
    assert merged(packet().replace(b"<rdf:RDF", b'<rdf:RDF xmlns:r="other"'), extension.encode()) is None


@pytest.mark.parametrize(
    ("aspect", "before", "after", "orientation", "made"),
    [
        ((2, 1), (5, 7), (10, 14), 1, (2, 1)),
        ((2, 1), (5, 7), (10, 21), 1, (3, 1)),
        ((2, 1), (5, 7), (10, 7), 1, (1, 1)),
        ((2, 1), (5, 7), (10, 14), 6, (1, 2)),
        ((59, 54), (5, 7), (15, 14), 1, (59, 81)),
    ],
)
def test_the_shape_that_is_shown_stays(
    aspect: tuple[int, int],
    before: tuple[int, int],
    after: tuple[int, int],
    orientation: int,
    made: tuple[int, int],
) -> None:
    assert resized(Metadata(aspect=aspect), Change(before, after, orientation)).aspect == made


@pytest.mark.skipif(not shutil.which("exiftool"), reason="there is no exiftool")
def test_exiftool_finds_no_fault(tmp_path: Path) -> None:
    source = encoded(
        noise("RGB"),
        "JPEG",
        exif=b"Exif\0\0" + camera(),
        xmp=packet(" ".join(f'{k}="{v}"' for k, v in PIXELS.items())),
    )
    for format, extension in (("jpeg", "jpg"), ("webp", "webp"), ("png", "png"), ("avif", "avif")):
        path = tmp_path / f"a.{extension}"
        path.write_bytes(enlarged(source, format, 2, quality=95)[0])
        said = subprocess.run(
            [
                "exiftool",
                "-warning",
                "-s3",
                "-Make",
                "-CanonFirmwareVersion",
                "-XMP-GPano:FullPanoWidthPixels",
                path,
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.split("\n")
        assert said == ["Canon", "0123456789abcdef", "320", ""]

"""The chunks of a PNG come back as they stood, are adapted to the pixels, or are reported by name."""

import io
import json
import shutil
import struct
import subprocess
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pictures import SRGB_PROFILE, chunks_of, deep, deep_png, encoded, enlarged, noise, opened, source_of
from PIL import ExifTags, Image

from upscale_cli.codecs.picture import open_picture
from upscale_cli.codecs.png_chunks import read_chunks
from upscale_cli.codecs.png_stream import Chunk
from upscale_cli.errors import UpscaleError
from upscale_cli.methods import METHODS
from upscale_cli.places.streams import StreamTarget
from upscale_cli.work.request import Request

MDCV = b"mDCV", struct.pack(">8HII", 35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450, 10_000_000, 1)
CLLI = b"cLLI", struct.pack(">II", 10_000_000, 4_000_000)
CICP_P3, CICP_PQ = (b"cICP", bytes((12, 13, 0, 1))), (b"cICP", bytes((9, 16, 0, 1)))
TEXTS = [
    (b"tEXt", b"Author\0Ana"),
    (b"tEXt", b"Comment\0one"),
    (b"tEXt", b"Comment\0two"),
    (b"iTXt", b"Title\0\0\0de\0Titel\0Gr\xc3\xbc\xc3\x9fe"),
    (b"iTXt", b"Note\0\1\0\0\0" + zlib.compress(b"long " * 300, 3)),
    (b"zTXt", b"Note\0\0" + zlib.compress(b"long " * 300, 1)),
]
TIME = b"tIME", bytes((7, 232, 1, 2, 3, 4, 5))


def with_chunks(file: bytes, *chunks: Chunk, behind: bool = False) -> bytes:
    """A PNG with further chunks: before its palette and pixels, or behind them."""
    parts = b"".join(
        struct.pack(">I", len(payload)) + name + payload + zlib.crc32(name + payload).to_bytes(4)
        for name, payload in chunks
    )
    place = len(file) - 12 if behind else 33
    return file[:place] + parts + file[place:]


def plain(mode: str = "RGB") -> bytes:
    return encoded(noise(mode), "PNG")


def kept(file: bytes) -> list[Chunk]:
    """The chunks of a file besides those of its pixels."""
    return [chunk for chunk in chunks_of(file) if chunk[0] not in (b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS")]


class Sought(io.BytesIO):
    """A file that counts how often it is gone to another place in it."""

    seeks = 0

    def seek(self, *where: int) -> int:
        self.seeks += 1
        return super().seek(*where)


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("each", [1_000, 40_000, 10**6])
def test_chunks_behind_many_of_pixels_are_found_without_going_through_them(each: int, damaged: bool) -> None:
    pixels = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)), "PNG")
    (data,) = [b"".join(payload for name, payload in chunks_of(pixels) if name == b"IDAT")]
    parts = [(b"IDAT", data[start : start + each]) for start in range(0, len(data), each)]
    file = with_chunks(with_chunks(pixels[:33] + pixels[-12:], *parts, behind=True), *TEXTS, TIME, behind=True)
    expected = [chunk for chunk in chunks_of(file) if chunk[0] != b"IDAT"]
    if damaged:
        last = file.rindex(b"IDAT")
        file = file[: last + 40] + bytes([file[last + 40] ^ 1]) + file[last + 41 :]
    stream = Sought(file)
    have = [(name, payload) for name, payload, whole in read_chunks(stream) if whole]
    assert have == expected
    assert (stream.seeks < 20) == (not damaged or each > 1_000)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("method", ["nearest", "lanczos"])
def test_texts_stay_as_they_were(method: str, behind: bool) -> None:
    made, result = enlarged(with_chunks(plain(), *TEXTS, TIME, behind=behind), scale=2, method=method)
    assert sorted(kept(made)) == sorted([*TEXTS, TIME])
    assert [chunk for chunk in kept(made) if chunk != TIME] == TEXTS
    assert result.notes == []


def test_long_texts_and_profiles_are_no_reason_to_refuse_a_file() -> None:
    text = b"zTXt", b"workflow\0\0" + zlib.compress(b"node " * 600_000)
    profile = SRGB_PROFILE + np.random.default_rng(0).bytes(2_000_000)
    file = with_chunks(encoded(noise("RGB"), "PNG", icc_profile=profile), text)
    made, result = enlarged(file, scale=2)
    assert (dict(kept(made))[b"zTXt"], result.notes) == (text[1], [])
    assert opened(made).info["icc_profile"] == profile


@pytest.mark.parametrize("chunks", [(CICP_P3,), (CICP_PQ, MDCV, CLLI)])
@pytest.mark.parametrize("deeper", [False, True])
def test_colours_and_light_stay_in_png_and_are_said_elsewhere(chunks: tuple[Chunk, ...], deeper: bool) -> None:
    file = with_chunks(deep_png(deep(3)) if deeper else plain(), *chunks)
    made, result = enlarged(file, scale=2, method="lanczos")
    assert (kept(made), result.notes) == ([*chunks], [])
    made, result = enlarged(file, scale=2, strip=True)
    assert (kept(made), result.notes) == ([*chunks], [])
    lost = "colour space (cICP)" + (" and HDR data (mDCV, cLLI)" if len(chunks) > 1 else "")
    assert f"TIFF cannot store its {lost}" in enlarged(file, "tiff")[1].notes
    assert enlarged(with_chunks(plain(), (b"cICP", bytes((1, 13, 0, 1)))), "tiff")[1].notes == []
    narrow = with_chunks(plain(), (b"cICP", bytes((9, 16, 0, 0))))
    assert enlarged(narrow, "png")[1].notes == []
    assert "AVIF cannot store its narrow range (cICP)" in enlarged(narrow, "avif")[1].notes


def test_an_animation_keeps_every_chunk() -> None:
    frames = [noise("P", seed=0), noise("P", seed=0).transpose(Image.Transpose.ROTATE_180)]
    file = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50, icc_profile=SRGB_PROFILE)
    chunks = [CICP_PQ, MDCV, CLLI, (b"sBIT", b"\5\6\5"), *TEXTS]
    made, _ = enlarged(with_chunks(file, *chunks), scale=2)
    names = [name for name, _ in chunks_of(made)]
    assert set(chunks) <= set(kept(made))
    assert max(names.index(name) for name, _ in chunks[:4]) < names.index(b"PLTE")
    assert opened(made).info["icc_profile"] == SRGB_PROFILE


@pytest.mark.parametrize(
    ("mode", "options", "method", "before", "after"),
    [
        ("RGB", {}, "lanczos", b"\5\6\5", b"\5\6\5"),
        ("RGBA", {}, "lanczos", b"\5\6\5\4", b"\5\6\5\4"),
        ("L", {}, "lanczos", b"\7", b"\7"),
        ("L", {"transparency": 7}, "lanczos", b"\7", b"\7\x08"),
        ("P", {}, "nearest", b"\5\6\5", b"\5\6\5"),
        ("P", {}, "lanczos", b"\5\6\5", b"\5\6\5"),
        ("P", {"transparency": noise("P").getpixel((0, 0))}, "lanczos", b"\5\6\5", b"\5\6\5\x08"),
    ],
)
def test_significant_bits_have_a_value_for_each_channel(
    mode: str, options: dict[str, int], method: str, before: bytes, after: bytes
) -> None:
    file = with_chunks(encoded(noise(mode), "PNG", **options), (b"sBIT", before))
    made, result = enlarged(file, scale=2, method=method)
    assert dict(kept(made))[b"sBIT"] == after
    assert not any("chunk" in note for note in result.notes)
    assert "WebP cannot store its significant bits (sBIT)" in enlarged(file, "webp")[1].notes


@pytest.mark.parametrize(
    ("mode", "method", "before", "after"),
    [
        ("RGB", "lanczos", bytes((0, 9, 0, 8, 0, 7)), bytes((0, 9, 0, 8, 0, 7))),
        ("L", "lanczos", b"\0\x80", b"\0\x80"),
        ("1", "nearest", b"\0\1", b"\0\1"),
        ("1", "lanczos", b"\0\1", b"\0\xff"),
        ("P", "nearest", b"\5", b"\5"),
        ("P", "lanczos", b"\5", None),
    ],
)
def test_a_background_stays_the_same_colour(mode: str, method: str, before: bytes, after: bytes | None) -> None:
    image = noise(mode)
    file = encoded(image, "PNG")
    place = file.index(b"IDAT") - 4
    chunk = with_chunks(b"\0" * 33 + b"\0" * 12, (b"bKGD", before))[33:-12]
    made, result = enlarged(file[:place] + chunk + file[place:], scale=2, method=method)
    if after is None:
        colour = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)[before[0]]
        after = colour.astype(">u2").tobytes()
    assert kept(made) == [(b"bKGD", after)]
    assert not any("chunk" in note for note in result.notes)
    names = [name for name, _ in chunks_of(made)]
    assert b"PLTE" not in names or names.index(b"PLTE") < names.index(b"bKGD")


def test_what_describes_the_old_pixels_is_left_out_and_said() -> None:
    chunks = [(b"caBX", b"signature"), (b"oFFs", bytes(9)), (b"iDOT", bytes(28)), (b"saFe", b"x"), (b"unSF", b"x")]
    made, result = enlarged(with_chunks(plain(), *chunks, *chunks, (b"cICP", b"short")), scale=2)
    assert kept(made) == [(b"saFe", b"x")] * 2
    assert result.notes == [
        "chunks that describe the source's pixels are left out: "
        "caBX (content credentials, C2PA), oFFs (offset), unSF",
        "damaged chunks are left out: cICP",
    ]
    assert enlarged(with_chunks(plain(), (b"saFe", b"x"), TIME), "tiff")[1].notes == [
        "TIFF cannot store its further PNG chunks (saFe, tIME)"
    ]


@pytest.mark.parametrize("body", [b"notzlib", b"", zlib.compress(SRGB_PROFILE)[:-9], zlib.compress(b"")])
def test_a_damaged_profile_is_left_out_and_said(body: bytes) -> None:
    made, result = enlarged(with_chunks(plain(), (b"iCCP", b"x\0\0" + body)), scale=2)
    assert kept(made) == []
    assert result.notes == ["its colour profile is damaged and left out"]


def test_a_chunk_that_pixels_depend_on_must_be_known() -> None:
    with pytest.raises(UpscaleError, match="needs its CgBI chunk, which the PNG standard does not define"):
        enlarged(with_chunks(plain(), (b"CgBI", bytes(4))), scale=2)


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


PROFILE = (b"Exif\0\0" + exif_of(6)).hex().encode()
LINES = b"%8d\n%b\n" % (len(PROFILE) // 2, PROFILE)
TURNED = {
    "eXIf": (b"eXIf", exif_of(6)),
    "XMP": (b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + b'<x:xmpmeta tiff:Orientation="6"/>'),
    "ImageMagick's text": (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n" + LINES)),
    "its older text": (b"tEXt", b"Raw profile type APP1\0\ngeneric profile\n" + LINES),
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("frames", [1, 2])
def test_the_orientation_is_known_before_the_pixels_are_decoded(name: str, behind: bool, frames: int) -> None:
    images = [noise("RGB", seed=seed) for seed in range(frames)]
    file = encoded(images[0], "PNG", save_all=True, append_images=images[1:])
    with open_picture(source_of(with_chunks(file, TURNED[name], behind=behind)).open()) as picture:
        assert (picture.width, picture.height) == (5, 7)
        for image, frame in zip(images, picture.frames(), strict=True):
            np.testing.assert_array_equal(frame.samples, np.rot90(np.asarray(image), -1))
        assert not picture.notes
    made = opened(enlarged(with_chunks(file, TURNED[name], behind=behind), scale=2)[0])
    assert made.size == (10, 14)
    assert made.getexif().get(ExifTags.Base.Orientation, 1) == 1


@pytest.mark.parametrize(
    ("factors", "orientation", "after"),
    [((2, 2), 1, (2, 1)), ((2, 2), 6, (1, 2)), ((1, 2), 1, (4, 1)), ((2, 1), 1, None), ((2, 1), 6, (1, 4))],
)
def test_the_shape_of_pixels_follows(
    factors: tuple[int, int], orientation: int, after: tuple[int, int] | None
) -> None:
    file = with_chunks(plain(), (b"pHYs", struct.pack(">IIB", 2, 1, 0)), (b"eXIf", exif_of(orientation)))
    stream, (down, right) = io.BytesIO(), factors
    request = Request(method=METHODS["lanczos"], scale=(Fraction(down), Fraction(right)))
    assert request.carry_out(source_of(file), StreamTarget(stream)).notes == []
    expected = None if after is None else struct.pack(">IIB", *after, 0)
    assert dict(kept(stream.getvalue())).get(b"pHYs") == expected
    assert "pixel aspect ratio" in enlarged(file, "gif")[1].notes[0]


def test_an_impossible_shape_is_left_out() -> None:
    file = with_chunks(plain(), (b"pHYs", struct.pack(">IIB", 2, 0, 0)))
    request = Request(method=METHODS["nearest"], scale=(Fraction(1), Fraction(2)))
    request.carry_out(source_of(file), StreamTarget(stream := io.BytesIO()))
    assert kept(stream.getvalue()) == []


@pytest.mark.parametrize("metres", [(1, 1), (2835, 2834), (11811, 11811), (4321, 39_000_001)])
def test_a_resolution_does_not_drift(metres: tuple[int, int]) -> None:
    file = with_chunks(plain(), (b"pHYs", struct.pack(">IIB", *metres, 1)))
    assert dict(kept(enlarged(enlarged(file)[0], scale=2)[0]))[b"pHYs"] == struct.pack(">IIB", *metres, 1)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_what_is_written(tmp_path: Path) -> None:
    made, _ = enlarged(with_chunks(plain(), CICP_PQ, *TEXTS, (b"pHYs", struct.pack(">IIB", 2, 1, 0))), scale=2)
    (tmp_path / "made.png").write_bytes(made)
    command = ["exiftool", "-j", "-a", "-G4", "-n", str(tmp_path / "made.png")]
    (read,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    values = {key.rpartition(":")[2]: value for key, value in read.items()}
    assert (values["ColorPrimaries"], values["TransferCharacteristics"]) == (9, 16)
    assert (values["PixelsPerUnitX"], values["PixelsPerUnitY"], values["PixelUnits"]) == (2, 1, 0)
    assert values["Title-de"] == "Grüße"
    assert {"one", "two"} <= {value for key, value in read.items() if key.endswith("Comment")}
    assert "Warning" not in values

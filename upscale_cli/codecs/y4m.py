"""Y4M, uncompressed video (mjpegtools, yuv4mpeg(5)): a line of tags, then frames of planes, each after its own line.

The tags of deep and grey planes, such as C420p10 and Cmono16, are FFmpeg's.
"""

import re
from typing import NamedTuple

import numpy as np

from upscale_cli.codecs.splitting import Y4M, Incoming
from upscale_cli.errors import UpscaleError
from upscale_cli.image.change import Change
from upscale_cli.image.metadata import Metadata, resized
from upscale_cli.methods.upsampler import Array

LINE = rb"[^\n]*\n"
STEPS = {"420": (2, 2), "422": (1, 2), "411": (1, 4), "444": (1, 1)}
"""Pixels for each sample of chroma, down and across."""
SHIFTS = {"jpeg": (1, 1), "mpeg2": (1, 0), "paldv": (0, 0)}
"""Half pixels from the first pixel to the first sample of chroma, down and across; paldv as FFmpeg understands it."""
FIELDS = {"t": "top field first", "b": "bottom field first", "m": "mixed"}


class Film(NamedTuple):
    """What the header of a Y4M stream says.

    Attributes
    ----------
    tags : tuple of str
    height, width : int
    bits : int
        Of a sample.
    steps, shifts : (int, int)
        Of chroma, down and across.
    chroma : bool
        There are two planes of chroma besides the luma.
    """

    tags: tuple[str, ...]
    height: int
    width: int
    bits: int = 8
    steps: tuple[int, int] = (1, 1)
    shifts: tuple[int, int] = (0, 0)
    chroma: bool = True

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """The type of stored samples."""
        return np.dtype("u1" if self.bits == 8 else "<u2")

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The height and width of each plane."""
        (down, across), luma = self.steps, (self.height, self.width)
        return [luma, *[(-(-self.height // down), -(-self.width // across))] * 2 * self.chroma]

    @property
    def size(self) -> int:
        """Bytes of a frame without its line."""
        return sum(height * width for height, width in self.shapes) * self.dtype.itemsize

    @property
    def fields(self) -> str:
        """The order of the fields of interlaced frames, in words; empty if they are not."""
        return next((FIELDS[tag[1:]] for tag in self.tags if tag[0] == "I" and tag[1:] in FIELDS), "")

    def enlarged(self, height: int, width: int) -> "Film":
        """Return what the header of the enlarged stream says: the picture keeps its shape."""
        new = {"W": f"W{width}", "H": f"H{height}"}
        if ratio := re.search(r" A([1-9]\d*):([1-9]\d*)", " ".join(("", *self.tags))):
            density = Metadata(aspect=(int(ratio[2]), int(ratio[1])))
            across, down = resized(density, Change((self.height, self.width), (height, width))).aspect or (1, 1)
            new["A"] = f"A{down}:{across}"
        return self._replace(tags=tuple(new.get(tag[0], tag) for tag in self.tags), height=height, width=width)

    def head(self) -> bytes:
        """Return the header."""
        return Y4M + " ".join(self.tags).encode("latin-1") + b"\n"

    def planes(self, content: bytes, start: int) -> list[Array]:
        """Return the planes of a frame, each (h, w, 1), from bytes that stand behind its line."""
        planes = []
        for height, width in self.shapes:
            plane = np.frombuffer(content, self.dtype, height * width, start).reshape(height, width, 1)
            planes.append(plane.astype(self.dtype.newbyteorder("="), copy=False))
            start += plane.nbytes
        return planes


def read_header(data: Incoming) -> Film:
    """Take the header of a stream.

    Raises
    ------
    UpscaleError
        If it is damaged, or has colours that are not supported.
    """
    tags = tuple(data.take(data.header(LINE).end()).decode("latin-1").split()[1:])
    values = {tag[0]: tag[1:] for tag in tags}
    width, height = (int(values.get(name, "")) if values.get(name, "").isdecimal() else 0 for name in "WH")
    if not width or not height:
        raise UpscaleError("is a Y4M stream without a width and a height; it is damaged.")
    colours = values.get("C", "420jpeg")
    kind = re.fullmatch(r"(420|422|444|411|mono)(jpeg|mpeg2|paldv)?(?:p?(\d+))?", colours)
    bits = int(kind[3] or 8) if kind else 0
    if kind is None or not 8 <= bits <= 16:
        known = "420, 422, 444, 411 and mono, of 8 to 16 bits"
        raise UpscaleError(
            f"is a Y4M stream of colours {colours}, but only {known}, are supported; use ffmpeg -pix_fmt."
        )
    # Chroma lies on the left column of its pixels. That of C420 without a name is JPEG's; of deep video it is not.
    siting = SHIFTS[kind[2] or ("jpeg" if bits == 8 else "mpeg2")] if kind[1] == "420" else (0, 0)
    steps = STEPS.get(kind[1], (1, 1))
    return Film(tags, height, width, bits=bits, steps=steps, shifts=siting, chroma=kind[1] != "mono")


def next_frame(data: Incoming, film: Film) -> bytes:
    """Take the next frame with its line, and return it; nothing at the end.

    Raises
    ------
    UpscaleError
        If there is something else.
    """
    if not (start := data.starts(5)):
        return b""
    if not b"FRAME".startswith(start):
        raise UpscaleError("does not begin with FRAME; the stream is damaged.")
    return data.take(data.header(LINE).end() + film.size)

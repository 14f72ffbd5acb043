"""Whether all of a JPEG's pixels are there, which its end marker does not say. Format: ITU-T T.81, annex G.

Where data is missing, a decoder goes on with zeros and says nothing: rows at the bottom become grey, or a progressive
picture stays as coarse as the scans that are there.
"""

import io
import struct
from collections import defaultdict
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from upscale_cli.codecs.jpeg_segments import FRAMES, SOS, Segment
from upscale_cli.methods.blocks import SIDE
from upscale_cli.methods.upsampler import Array

PROGRESSIVE = frozenset((0xC2, 0xCA))
GREY = (127, 128)
"""What a decoder makes of zeros; 127 where it inverts, as with CMYK."""
MORE = bytes(range(1, 200))
"""Data that means something, whatever the tables."""
MARKER = 2
"""Bytes of a marker."""


def lacks_rows(samples: Array, stream: BinaryIO, end: int) -> bool:
    """Return whether the data of a picture ends before its last rows.

    If its last pixel is grey, it is decoded with more data before the end: a decoder that has had all ignores that.

    Parameters
    ----------
    samples : array (H, W, C)
        The decoded picture.
    stream : binary file
        Seekable; left anywhere.
    end : int
        Where its end marker ends.
    """
    if not set(samples[-1, -1].tolist()) <= set(GREY):
        return False
    stream.seek(0)
    content = stream.read(end)
    alone, longer = (_small(content[:-MARKER] + more + content[-MARKER:]) for more in (b"", MORE))
    return bool((alone != longer).any())


def _small(content: bytes) -> Array:
    """Return a picture with one pixel for each block, which takes the least time."""
    with JpegImageFile(io.BytesIO(content)) as image:
        image.draft(None, (max(image.width // SIDE, 1), max(image.height // SIDE, 1)))
        image.load()
        return np.asarray(image)


def lacks_scans(found: Iterable[Segment]) -> bool:
    """Return whether a progressive picture lacks scans: for some coefficient the last bit never comes."""
    components: list[int] = []
    bits: dict[tuple[int, int], int] = defaultdict(lambda: -1)
    for segment in found:
        content = segment.content
        if segment.marker in FRAMES:
            if segment.marker not in PROGRESSIVE or len(content) < 6:
                return False
            components = [content[place] for place in range(6, len(content) - 2, 3)]
        elif segment.marker == SOS and content:
            count = content[0]
            if len(content) < 1 + 2 * count + 3:
                return False
            first, last, approximation = struct.unpack_from("BBB", content, 1 + 2 * count)
            for component in content[1 : 1 + 2 * count : 2]:
                bits.update({(component, each): approximation & 15 for each in range(first, min(last, 63) + 1)})
    return any(bits[component, each] for component in components for each in range(64))

"""Photoshop's image resources, which hold IPTC: blocks of a signature, a number, a name and data.

Format: Adobe, "Photoshop File Formats Specification", November 2019, section "Image Resource Blocks".
"""

import struct
from collections.abc import Iterator

IPTC, RESOLUTION = 0x0404, 0x03ED
THUMBNAILS = (0x0409, 0x040C)


def _blocks(resources: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the number, the data and all bytes of each block; stop where the bytes are no block."""
    at = 0
    while resources[at : at + 4] in (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR") and at + 12 <= len(resources):
        number, name = struct.unpack_from(">HB", resources, at + 4)
        data = at + 6 + (1 + name + 1) // 2 * 2 + 4  # a name and its length take an even number of bytes
        size = int.from_bytes(resources[data - 4 : data])
        if data + size > len(resources):
            return
        end = data + size + size % 2
        yield number, resources[data : data + size], resources[at:end]
        at = end


def iptc_of(resources: bytes) -> bytes | None:
    """Return the IPTC record of image resources."""
    return next((data for number, data, _ in _blocks(resources) if number == IPTC), None)


def with_iptc(iptc: bytes) -> bytes:
    """Return image resources that hold only an IPTC record.

    >>> iptc_of(with_iptc(b"odd")), len(with_iptc(b"odd"))
    (b'odd', 16)
    """
    return struct.pack(">4sHHI", b"8BIM", IPTC, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)


def has_thumbnail(resources: bytes) -> bool:
    """Return whether there is a thumbnail."""
    return any(number in THUMBNAILS for number, _, _ in _blocks(resources))


def lying(resources: bytes) -> bytes:
    """Return image resources with horizontal and vertical resolution exchanged, each with its units."""
    for number, data, block in _blocks(resources):
        if number == RESOLUTION and len(data) == 16:
            resources = resources.replace(block, block[:-16] + data[8:] + data[:8], 1)
    return resources


def without_thumbnails(resources: bytes) -> bytes:
    """Return image resources without their thumbnails; unchanged if they have none."""
    thumbnails = [block for number, _, block in _blocks(resources) if number in THUMBNAILS]
    for block in thumbnails:
        resources = resources.replace(block, b"", 1)
    return resources

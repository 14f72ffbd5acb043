"""How formats are recognised by the first bytes of a file; no parser starts."""

from collections.abc import Callable
from functools import partial

HEAD = 512
"""Bytes at the beginning of a file by which formats are recognised."""


def _is_any_of(pieces: tuple[bytes, ...], start: int, head: bytes) -> bool:
    return head.startswith(pieces, start)


def has(*pieces: bytes, at: int = 0) -> Callable[[bytes], bool]:
    """Return a `sniff` that looks for any of some bytes at a place.

    >>> has(b"WEBP", at=8)(b"RIFF....WEBPVP8L")
    True
    """
    return partial(_is_any_of, pieces, at)


def any_icon(head: bytes) -> bool:
    """Return whether a header is that of an icon or a cursor: its first picture lies behind the list of pictures."""
    listed = 6 + 16 * int.from_bytes(head[4:6], "little")
    first = int.from_bytes(head[18:22], "little")
    return head.startswith((b"\0\0\1\0", b"\0\0\2\0")) and head[9:10] in (b"\0", b"\xff") and 22 <= listed <= first


_AV1 = frozenset({b"avif", b"avis"})
_HEVC = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
_ANY_HEIF = frozenset({b"mif1", b"mif2", b"mif3", b"msf1"})
"""Brands of HEIF files, by what compresses the pictures; the last leave that open (ISO/IEC 23008-12, annex B)."""


def _brands(head: bytes) -> frozenset[bytes]:
    """Return the brands of a file of boxes (ISO/IEC 14496-12, 4.3), with the version of the major one."""
    end = min(int.from_bytes(head[:4]), len(head)) if head[4:8] == b"ftyp" else 0
    return frozenset(head[at : at + 4] for at in range(8, end, 4))


def any_avif(head: bytes) -> bool:
    """Return whether a header is that of a HEIF file whose pictures AV1 compresses."""
    return bool(_brands(head) & _AV1) and head[8:12] not in _HEVC


def any_heif(head: bytes) -> bool:
    """Return whether a header is that of any other HEIF file."""
    return bool(_brands(head) & (_HEVC | _ANY_HEIF)) and not any_avif(head)


def any_tiff(head: bytes) -> bool:
    """Return whether a header is a TIFF's, and not that of a camera's raw file of this form (Canon's CR2)."""
    signatures = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")
    return head.startswith(signatures) and head[8:10] != b"CR"


def any_jpeg(head: bytes) -> bool:
    """Return whether a header is a JPEG's, and not a JPEG-LS's, whose first marker is SOF55 (ISO/IEC 14495-1)."""
    return head.startswith(b"\xff\xd8\xff") and head[3:4] != b"\xf7"


def any_nifti(head: bytes) -> bool:
    """Return whether a header is that of a NIfTI file, of version 1 or 2; or of the first of a pair of files."""
    magic = head[344:348] if head[:4] in (b"\x5c\1\0\0", b"\0\0\1\x5c") else head[4:8]
    return magic in (b"n+1\0", b"ni1\0", b"n+2\0", b"ni2\0")


def any_packed_nifti(head: bytes) -> bool:
    """Return whether a header is that of a NIfTI file which gzip has packed."""
    if not head.startswith(b"\x1f\x8b"):
        return False
    import zlib

    try:
        return any_nifti(zlib.decompressobj(31).decompress(head, 348))
    except zlib.error:
        return False


def any_tga(head: bytes) -> bool:
    """Return whether a header's fields have values that TGA 2.0 defines (page 6): the format has no signature."""
    if len(head) < 18 or head[1] not in (0, 1) or head[2] not in (1, 2, 3, 9, 10, 11) or any_icon(head):
        return False
    return any(head[12:14]) and any(head[14:16]) and head[16] in (1, 8, 16, 24, 32)

"""Whether a file is all there, where Pillow decodes what there is of a truncated one."""

from typing import BinaryIO

from PIL import Image

from upscale_cli.errors import UpscaleError


def refuse_truncated(image: Image.Image, stream: BinaryIO) -> None:
    """Raise when an opened GIF or JPEG 2000 has lost its end. The stream is left where it was.

    Raises
    ------
    UpscaleError
        When what marks the end is missing.
    """
    position = stream.tell()
    stream.seek(0)
    ends = {"GIF": _gif_ends, "JPEG2000": _codestream_ends}.get(image.format or "")
    whole = ends is None or ends(stream)
    stream.seek(position)
    if not whole:
        raise UpscaleError("is truncated: what is there decodes, but its end is missing; get the whole file.")


def _gif_ends(stream: BinaryIO) -> bool:
    """Whether a trailer follows the last block: GIF89a, sections 15 to 27."""
    stream.seek(10)
    flags = stream.read(3)[0]
    stream.seek(3 << (flags & 7) + 1 if flags & 0x80 else 0, 1)
    while kind := stream.read(1):
        if kind == b";":
            return True
        if kind == b"!":
            stream.seek(1, 1)
        elif kind == b",":
            flags = (stream.read(9) or b"\0")[-1]
            stream.seek((3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1, 1)
        else:
            continue  # Pillow passes over what is between blocks
        while size := stream.read(1)[:1]:
            if not size[0]:
                break
            stream.seek(size[0], 1)
    return False


def _codestream_ends(stream: BinaryIO) -> bool:
    """Whether an EOC marker follows the first SOT: ISO/IEC 15444-1, A.4. Packed data holds no such bytes."""
    data = stream.read()
    return data.find(b"\xff\xd9", data.find(b"\xff\x90")) >= 0

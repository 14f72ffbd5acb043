"""The metadata of a Pillow image."""

from contextlib import suppress

from PIL import ExifTags, Image

from upscale_cli.image.metadata import Metadata


def read_metadata(image: Image.Image, animated: bool) -> Metadata:
    """Return the metadata of a loaded Pillow image. Unreadable EXIF is left out, as viewers ignore it too."""
    info = image.info
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    comment = info.get("comment")
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=_read_exif(image),
        xmp=xmp or None,
        dpi=_read_dpi(image),
        comment=comment.encode() if isinstance(comment, str) else comment,
        plays=info.get("loop") if animated else None,
        still=bool(info.get("default_image")),
    )


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a Pillow image, 1 … 8; 1 if it has none that can be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises anything when it decodes damaged EXIF
        return 1
    return orientation if orientation in range(1, 9) else 1


def _read_dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        x, y = (float(v) for v in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def _read_exif(image: Image.Image) -> bytes | None:
    """Return the EXIF of a file as it stands there."""
    found = image.info.get("exif") or b""
    for name in ("Raw profile type exif", "Raw profile type APP1"):
        # ImageMagick's way to store EXIF in a PNG: a line of its kind, one of its length, and digits.
        if not found and isinstance(text := image.info.get(name), str):
            with suppress(ValueError):
                found = bytes.fromhex("".join(text.split("\n")[3:]))
    return found.removeprefix(b"Exif\0\0") or None

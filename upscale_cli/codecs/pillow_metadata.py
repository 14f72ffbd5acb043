"""The metadata of a Pillow image."""

from PIL import ExifTags, Image

from upscale_cli.image.metadata import Metadata


def read_metadata(image: Image.Image, animated: bool) -> Metadata:
    """Return the metadata of a loaded Pillow image, EXIF and XMP as they stand in the file."""
    info = image.info
    exif, xmp = info.get("exif") or b"", info.get("xmp")
    comment = info.get("comment")
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=exif.removeprefix(b"Exif\0\0") or None,
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

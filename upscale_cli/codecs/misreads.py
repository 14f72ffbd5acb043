"""What Pillow reads differently than the file's format defines it: one table, `MISREADS`.

Pillow has 16 bits for images of one channel only, and reduces others to 8 bits without a message. Some of its modes
are no colours that can be weighed, and some of its samples are scaled in its own way.
"""

from typing import Literal, NamedTuple

from upscale_cli.errors import UpscaleError

Way = Literal["read", "convert", "refuse"]
MANY = ("LA", "RGB", "RGBA", "CMYK")
"""Modes of several channels."""


class Layout(NamedTuple):
    """How a file stores its pixels, and what Pillow would make of them.

    Attributes
    ----------
    format, mode : str
        Pillow's names.
    bits : int
        Bits of the deepest sample.
    frames : int
    """

    format: str
    mode: str
    bits: int
    frames: int = 1


class Misread(NamedTuple):
    """A kind of files, and the way that it takes. An empty tuple stands for any value; rows are built by keyword.

    Attributes
    ----------
    way : {"read", "convert", "refuse"}
        The format's codec reads the samples itself; what Pillow gives is converted; the file is refused.
    what : str
        What the codec does, or the sentence of the refusal, with the fields of `Layout` in braces.
    formats, modes : tuple of str
        Pillow's names.
    bits : range or tuple of int
        As for `Layout`.
    several : bool
        Only files of several frames are meant.
    """

    way: Way
    what: str
    formats: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    bits: range | tuple[int, ...] = ()
    several: bool = False

    def fits(self, layout: Layout) -> bool:
        """Return whether a file is of this kind."""
        pairs = (
            (self.formats, layout.format),
            (self.modes, layout.mode),
            (self.bits, layout.bits),
        )
        return all(not values or value in values for values, value in pairs) and (
            not self.several or layout.frames > 1
        )


_REDUCED = (
    "has {bits} bits per channel, which Pillow's {format} decoder reduces to 8; "
    "convert it to a 16-bit PNG or TIFF first."
)

MISREADS = (
    Misread(formats=("PNG",), modes=("RGB", "RGBA"), bits=(16,), several=True, way="refuse", what=_REDUCED),
    Misread(
        formats=("PNG", "PPM"),
        modes=("RGB", "RGBA"),
        bits=(16,),
        way="read",
        what="both bytes of each sample are read",
    ),
    Misread(
        formats=("PPM",),
        modes=("L", "RGB", "I"),
        bits=(7, 15),
        way="read",
        what="samples are scaled and rounded half up",
    ),
    Misread(
        formats=("JPEG2000",),
        modes=("P", "PA"),
        way="refuse",
        what="has a palette, whose equal colours Pillow's JPEG 2000 decoder merges; convert it to PNG first.",
    ),
    Misread(formats=("JPEG2000",), modes=MANY, bits=range(9, 65), way="refuse", what=_REDUCED),
    Misread(formats=("JPEG2000",), bits=range(17, 65), way="refuse", what=_REDUCED),
    Misread(formats=("SGI",), bits=(16,), way="refuse", what=_REDUCED),
    Misread(formats=("AVIF",), bits=(10, 12), way="read", what="imagecodecs decodes all bits"),
    Misread(formats=("AVIF",), bits=range(9, 65), way="refuse", what=_REDUCED),
    Misread(
        formats=("PNG",),
        modes=("L",),
        bits=(2, 4),
        way="convert",
        what="the grey of a colour key is scaled like the samples",
    ),
    Misread(formats=("PPM",), modes=("I",), way="convert", what="32-bit integers of 0 to 65535 become 16 bits"),
    Misread(modes=("PA",), way="convert", what="a palette with alpha becomes RGBA"),
    Misread(modes=("RGBa", "La"), way="convert", what="premultiplied colours are divided by alpha"),
    Misread(modes=("RGBX",), way="convert", what="the unused fourth channel is dropped"),
    Misread(
        modes=("LAB", "HSV", "YCbCr"),
        way="refuse",
        what="has {mode} colours, which cannot be resampled; convert it to RGB first.",
    ),
)
"""The first row that fits a file says its way. A file that fits none is read as Pillow decodes it."""


def way_of(layout: Layout) -> Misread | None:
    """Return the row of a file; None if Pillow reads it as it should.

    Raises
    ------
    UpscaleError
        If files of its kind are refused.

    Examples
    --------
    >>> way_of(Layout("PNG", "RGB", bits=16)).way
    'read'
    """
    found = next((row for row in MISREADS if row.fits(layout)), None)
    if found is not None and found.way == "refuse":
        raise UpscaleError(found.what.format(**layout._asdict()))
    return found

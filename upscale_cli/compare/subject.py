"""The image that methods are compared on, and the reference that shows what the results should look like."""

from dataclasses import dataclass, replace

import numpy as np

from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import Picture, open_picture
from upscale_cli.codecs.writing import Writing, file_of
from upscale_cli.errors import UpscaleError
from upscale_cli.image.colour import fits
from upscale_cli.image.metadata import Metadata
from upscale_cli.image.pixels import Frame, expand_palette, widen
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods import METHODS
from upscale_cli.methods.restoring import Losses
from upscale_cli.methods.samples import Samples
from upscale_cli.places.place import Source
from upscale_cli.places.streams import ContentSource
from upscale_cli.work.arrange import arrange

PNG = FORMATS["png"]
COPYING = next(method for method in METHODS.values() if method.values == "copied")


@dataclass(frozen=True)
class Subject:
    """The image to enlarge, and its reference.

    Attributes
    ----------
    source : Source
    reference : bytes or None
        A PNG file.
    description : str
        What the reference is.
    notes : tuple of str
        What the user should know about the image.
    losses : Losses, optional
        What the file told of which the source is one frame.
    """

    source: Source
    reference: bytes | None = None
    description: str = ""
    notes: tuple[str, ...] = ()
    losses: Losses | None = None


def find_subject(source: Source, reduction: int | None, reference: Source | None) -> Subject:
    """Return the image to enlarge, and its reference.

    Parameters
    ----------
    source : Source
        Only its first frame is used.
    reduction : int, optional
        Use the source as the reference, and enlarge a reduced copy of it. The source is cropped to multiples of this
        factor; the copy is antialiased (`reduction.reduce`) and rounded to the depth of the source.
    reference : Source, optional

    Raises
    ------
    UpscaleError
        If the source or the reference cannot be read, or the source is too small to be reduced.
    """
    with open_picture(source.open()) as picture:
        notes = (f"only the first of its {picture.count} frames is compared",) if picture.count > 1 else ()
        first = _first_frame(picture) if notes or reduction else None
        losses = picture.encoding.losses
    if first and reduction:
        subject = _reduced_subject(*first, reduction)
    else:
        subject = Subject(ContentSource(as_png(*first)), losses=losses) if first else Subject(source)
    if reference is not None:
        subject = replace(subject, reference=_read_reference(reference), description=str(reference.name))
    return replace(subject, notes=notes)


def _read_reference(source: Source) -> bytes:
    """Return the first frame of a reference as a PNG file."""
    try:
        with open_picture(source.open()) as picture:
            return as_png(*_first_frame(picture))
    except UpscaleError as error:
        raise UpscaleError(f'reference "{source.shown}" {error}') from None


def _reduced_subject(frame: Frame, metadata: Metadata, factor: int) -> Subject:
    """Return a reduced frame to enlarge, with the frame itself as its reference."""
    height, width = (side // factor * factor for side in frame.samples.shape[:2])
    if not min(height, width):
        raise UpscaleError(f"is too small to be reduced by a factor of {factor}.")
    cropped = frame._replace(samples=frame.samples[:height, :width])
    return Subject(
        source=ContentSource(as_png(_reduced(cropped, factor), metadata)),
        reference=as_png(cropped, metadata),
        description=f"the input image, before it was reduced by a factor of {factor}",
    )


def _first_frame(picture: Picture) -> tuple[Frame, Metadata]:
    """Return the first frame as PNG can store it, and the metadata that its pixels need to be displayed."""
    ready = arrange(next(picture.frames()), COPYING, PNG)
    metadata = ready.frame.metadata.stripped()
    if metadata.icc is not None and not fits(metadata.icc, ready.mode):
        metadata = metadata._replace(icc=None)
    return ready.frame, metadata._replace(plays=None, still=False)


def _reduced(frame: Frame, factor: int) -> Frame:
    """Return a frame reduced by a factor and rounded; the colour of transparent pixels does not bleed."""
    frame = widen(expand_palette(frame))
    dtype, channels = frame.samples.dtype, frame.samples.shape[2]
    samples = Samples(stored=dtype, channels_in=channels, target=dtype, alpha=frame.alpha)
    values = reduce(samples.read(frame.samples), factor).astype(samples.working)
    small = np.empty(values.shape, frame.samples.dtype)
    samples.finish(values, small)
    return frame._replace(samples=small)


def as_png(frame: Frame, metadata: Metadata) -> bytes:
    """Return the PNG file of a frame that PNG can store."""
    return file_of(frame, Writing(format=PNG, metadata=metadata))

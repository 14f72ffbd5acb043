"""What of a source's metadata its result keeps, and what the user is told about the rest."""

from collections.abc import Iterator
from math import floor
from typing import Any, cast

from upscale_cli.codecs.formats import Format
from upscale_cli.codecs.picture import Picture
from upscale_cli.codecs.writing import USUAL_QUALITY
from upscale_cli.image.colour import fits
from upscale_cli.image.exif import MAKER_NOTE, has_thumbnail, without
from upscale_cli.image.metadata import NAMES, Metadata, resized
from upscale_cli.image.pixels import Frame
from upscale_cli.image.xmp import merged, readable, split, unannounced
from upscale_cli.methods import Size
from upscale_cli.work.result import Result


def kept_metadata(
    frame: Frame,
    mode: str | None,
    picture: Picture,
    *,
    format: Format,
    after: Size,
    strip: bool = False,
    result: Result,
) -> Metadata:
    """Return the metadata that the target stores for a frame, and report what it cannot store.

    Parameters
    ----------
    frame : Frame
        As it was read.
    mode : Mode or None
        The mode of the output.
    picture : Picture
        The file of the frame.
    format : Format
        The target's.
    after : (int, int)
        Height and width of the result.
    strip : bool
        Keep only what is needed to show the pixels.
    """
    height, width, _ = frame.samples.shape
    read = frame.metadata.stripped() if strip else frame.metadata
    metadata = resized(read, (height, width), after)
    for note in _left_out(read, metadata):
        result.note(note)
    metadata, lost = _stored(metadata, format)
    lost |= {"durations"} - format.keeps if frame.duration is not None else set()
    if metadata.plays == 0 == format.timing.plays:
        lost.discard("loop")
    elif "loop" not in lost and (metadata.plays or 0) > (most := format.timing.plays):
        result.note(f"it plays {metadata.plays:,} times, but {format.title} only {most:,} times")
        metadata = metadata._replace(plays=most)
    if metadata.icc is not None and not fits(metadata.icc, mode):
        lost |= {"icc"} if not picture.ink else set()
        metadata = metadata._replace(icc=None)
    if lost:
        names = [NAMES[name] for name in sorted(lost - {"chunks"})]
        if "chunks" in lost:
            names.append(f"{NAMES['chunks']} ({', '.join(name.decode() for name, _ in metadata.chunks)})")
        result.note(f"{format.title} cannot store its {' and '.join(names)}")
    if metadata.xmp is not None and "xmp" in format.keeps and not readable(metadata.xmp):
        result.note("its XMP cannot be read and stays as it is")
    if kept := sorted(metadata.present().keys() & format.keeps):
        result.decisions.setdefault("kept", ", ".join(NAMES[name] for name in kept))
    return metadata


def _left_out(read: Metadata, made: Metadata) -> Iterator[str]:
    """Yield what the upright, larger image has not because it is damaged, or described the one that lay."""
    if read.exif is not None and made.exif is None:
        yield "its EXIF is damaged and left out"
    if made.exif is not None and has_thumbnail(cast(bytes, read.exif)) and not has_thumbnail(made.exif):
        yield "its EXIF thumbnail, which was not turned with it, is left out"


def _stored(metadata: Metadata, format: Format) -> tuple[Metadata, set[str]]:
    """Return metadata in the parts that a format stores, and the names of what it cannot store."""
    extends = "extended_xmp" in format.keeps
    if metadata.xmp and metadata.extended_xmp and not (extends and len(metadata.xmp) <= format.entry):
        whole = merged(metadata.xmp, metadata.extended_xmp)
        metadata = metadata._replace(xmp=whole, extended_xmp=None) if whole else metadata
    if extends and metadata.xmp and not metadata.extended_xmp and len(metadata.xmp) > format.entry:
        main, extension = split(metadata.xmp, format.entry) or (metadata.xmp, None)
        metadata = metadata._replace(xmp=main, extended_xmp=extension)
    present = metadata.present()
    lost = set(present) - format.keeps
    lost |= {name for name in ("exif", "xmp", "comment") if len(present.get(name, b"")) > format.entry}
    if "exif" in lost:
        lost -= {"makernote"}
    elif "makernote" in lost:
        metadata = metadata._replace(exif=without(present["exif"], MAKER_NOTE))
    if "xmp" in lost:
        lost -= {"extended_xmp"}
    elif "extended_xmp" in lost:
        metadata = metadata._replace(xmp=unannounced(present["xmp"]))
    without: dict[str, Any] = dict.fromkeys(lost & {"exif", "xmp", "extended_xmp", "comment"})
    return metadata._replace(**without), lost


def note_first_loss(picture: Picture, format: Format, result: Result) -> None:
    """Report that a lossless source becomes lossy, of which nothing was asked."""
    if format.lossy and picture.encoding.lossless:
        way = "" if format.without_loss is None else "; --lossless keeps every value"
        result.note(f"{format.title} is lossy, quality {USUAL_QUALITY}{way}")


def kept_duration(duration: float | None, format: Format, result: Result) -> float | None:
    """Return the milliseconds for which the target shows a frame, and report it if they are others."""
    if not duration or "durations" not in format.keeps:
        return duration
    step, longest, _ = format.timing
    kept = min(max(step, floor(duration / step + 0.5) * step) if step else duration, longest)
    if kept > duration - (step or 1):
        if kept != duration:
            result.note(f"{format.title} stores frame durations in steps of {step} ms, so some are rounded")
    else:
        result.note(f"{format.title} shows a frame for at most {longest / 1000:g} s")
    return kept

"""What of a source's metadata its result keeps, and what the user is told about the rest."""

from math import floor
from typing import Any

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.picture import Picture, Reading
from upscale_cli.image import photoshop
from upscale_cli.image.change import Change
from upscale_cli.image.colour import fits
from upscale_cli.image.exif import MAKER_NOTE, has_thumbnail, without
from upscale_cli.image.metadata import NAMES, Metadata, resized, without_places
from upscale_cli.image.ome import LEFT_OUT
from upscale_cli.image.pixels import Frame
from upscale_cli.image.xmp import merged, readable, split, unannounced
from upscale_cli.work.result import Result


def kept_metadata(
    frame: Frame,
    mode: str | None,
    picture: Picture,
    *,
    format: Format,
    change: Change,
    strip: bool = False,
    result: Result,
) -> Metadata:
    """Return the metadata that the target stores for a frame, and report what it cannot store.

    Parameters
    ----------
    frame, picture : Frame, Picture
        As it was read, and its file.
    mode : Mode or None
        The mode of the output.
    format : Format
        The target's.
    change : Change
        How it was enlarged, and cropped or framed.
    strip : bool
        Keep only what is needed to show the pixels.
    """
    whole = frame.metadata.stripped() if strip else frame.metadata
    read = without_places(whole) if change.reframed else whole
    if read != whole:
        result.note("what its metadata says of the whole picture (thumbnail, regions, subject) is left out")
    metadata = resized(read, change)
    # OME-XML also tells what the channels are.
    metadata = metadata._replace(ome=metadata.ome if mode == frame.mode else None)
    _note_unfit(read, metadata, change, result)
    metadata, lost = _stored(metadata, format)
    if frame.duration is not None:
        lost |= {"durations"} - format.keeps
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


def _note_unfit(read: Metadata, metadata: Metadata, change: Change, result: Result) -> None:
    """Report what does not fit the enlarged picture."""
    if read.exif and metadata.exif is None:
        result.note("its EXIF is damaged and left out")
    elif read.exif and has_thumbnail(read.exif) and not has_thumbnail(metadata.exif or b""):
        result.note("its EXIF thumbnail, which was not turned with it, is left out")
    if photoshop.has_thumbnail(read.photoshop or b"") and not photoshop.has_thumbnail(metadata.photoshop or b""):
        result.note("its Photoshop thumbnail, which was not turned with it, is left out")
    if read.geo is not None and metadata.geo is None:
        result.note(f"its georeference, which {change.moved}, is left out")
    if read.ome and metadata.ome is None:
        result.note(LEFT_OUT)


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
    changed: dict[str, Any] = dict.fromkeys(lost & {"exif", "xmp", "extended_xmp", "comment"})
    if "makernote" in lost and "exif" not in lost:
        changed["exif"] = without(present["exif"], MAKER_NOTE)
    if "extended_xmp" in lost and "xmp" not in lost:
        changed["xmp"] = unannounced(present["xmp"])
    # A part is lost with its whole.
    lost -= {part for whole, part in (("exif", "makernote"), ("xmp", "extended_xmp")) if whole in lost}
    return metadata._replace(**changed), lost


def note_idle(reading: Reading, picture: Picture, format: Format, result: Result) -> None:
    """Report what was asked about the axes of arrays, where there is no array."""
    if picture.ndim or picture.volume is not None:
        return
    if reading.axes_typed:
        result.note(f"--axes does nothing for {picture.format.title}")
    if reading.channels_first and not format.arrays:
        titles = dict.fromkeys((picture.format.title, format.title))
        result.note(f"--channels-first does nothing for {' and '.join(titles)}")


def note_first_loss(picture: Picture, format: Format, quality: int, result: Result) -> None:
    """Report that a lossless source becomes lossy, of which nothing was asked."""
    if format.lossy and picture.encoding.lossless is not False:
        exact = format.lossless()
        deepest = exact.deepest if any(depth == "uint16" for _, depth in exact.stores) else 8
        fits = (exact.frames or picture.count == 1) and 8 * picture.itemsize <= deepest
        way = "; --lossless keeps every value" if format.without_loss is not None and fits else ""
        result.note(f"{format.title} is lossy, quality {quality}{way}")


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

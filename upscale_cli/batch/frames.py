"""The frames of a stream: its images, one after the other, or those of a Y4M stream."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple, cast

from upscale_cli.batch.plan import Job, Work
from upscale_cli.codecs.finding import SIGNATURE, format_in_stream
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.splitting import ENDS, CutError, Incoming
from upscale_cli.codecs.y4m import next_frame, read_header
from upscale_cli.errors import UpscaleError
from upscale_cli.places.place import Source
from upscale_cli.places.streams import ContentSource, Kept
from upscale_cli.work.planes import Planes
from upscale_cli.work.request import Request
from upscale_cli.work.result import Result


class Frame(NamedTuple):
    """One frame of a stream: its number, from 1, where it is, and what is to be done."""

    number: int
    where: str
    job: Job


def frame_of(number: int, where: str, source: Source, work: Work) -> Frame:
    """Return a frame whose result is kept in memory."""
    return Frame(number, where, Job(source, Kept(), work, Result()))


def by_number(source: Source) -> list[str | int]:
    """Return what sorts the sources of a folder by the numbers in their names."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(source.place))]


def first_image(data: Incoming) -> tuple[bytes, bytes, bool]:
    """Take the first image of a stream; return it, what stands behind it, and whether that is another image.

    What follows another image is not read yet. An image that is cut, and one of a format whose images cannot follow
    each other, is all that there is.
    """
    try:
        image = _take(data)
    except UpscaleError:
        image = data.rest()
    data.skip_padding()
    several = _follows(data, image)
    return image, b"" if several else data.rest(), several


def _take(data: Incoming) -> bytes:
    """Take the image at hand, or all that there is if its end cannot be told."""
    format = format_in_stream(data)
    end = None if format is None else ENDS[format.name](data)
    return data.rest() if end is None else data.take(end)


def _follows(data: Incoming, image: bytes) -> bool:
    """Return whether another image follows one, if only the first bytes of it."""
    head = data.starts(SIGNATURE)
    return format_in_stream(data) is not None or (0 < len(head) < SIGNATURE and image.startswith(head))


def image_frames(data: Incoming, source: ContentSource, work: Work) -> Iterator[Frame]:
    """Yield the first image of a stream, and those that follow it."""
    at = 0
    for number in count(1):
        yield frame_of(number, f"frame {number} (at byte {at:,}): ", source, work)
        data.skip_padding()
        at = data.at
        if not data.starts(1):
            return
        with _located(number + 1, at):
            if format_in_stream(data) is None:
                if _follows(data, source.content):
                    raise data.cut()
                able = ", ".join(FORMATS[name].title for name in ENDS)
                raise UpscaleError(f"is no image that can follow another ({able}).")
            source = ContentSource(_take(data), shown=source.shown)


def film_frames(data: Incoming, name: str, request: Request) -> Iterator[Frame]:
    """Yield the frames of a Y4M stream."""
    try:
        film = read_header(data)
    except CutError as cut:
        raise UpscaleError(f"has an incomplete header: {cut}.") from None
    planes = Planes.of(request, film, ContentSource(b""))
    for number in count(1):
        at = data.at
        with _located(number, at):
            content = next_frame(data, film)
        if not content:
            return
        where, source = f"frame {number} (at byte {at:,}): ", ContentSource(content, shown=name)
        yield frame_of(number, where, source, cast(Work, planes))


@contextmanager
def _located(number: int, at: int) -> Iterator[None]:
    """Say in which frame of a stream an error is."""
    try:
        yield
    except CutError as cut:
        raise UpscaleError(f"frame {number} (at byte {at:,}): is incomplete: {cut}.") from None
    except UpscaleError as error:
        raise UpscaleError(f"frame {number} (at byte {at:,}): {error}") from None

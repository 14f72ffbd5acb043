"""What is asked of a run, whatever it does to images."""

from typing import Any, NamedTuple

from upscale_cli.codecs.finding import find_format
from upscale_cli.codecs.picture import Reading
from upscale_cli.commands.options import MAX_SOURCE_PIXELS
from upscale_cli.commands.terminal import hint
from upscale_cli.errors import UpscaleError
from upscale_cli.places.streams import STREAM


class Session(NamedTuple):
    """What is asked of a run, whatever it does to images.

    Attributes
    ----------
    name, done : str
        The command, and what it does to images: enlarged, pooled.
    output, files_from, null, skip_existing, shard, retry_failed, jobs, executor, dry_run, as_json, quiet, verbose
        The values of `batch_options`.
    """

    name: str
    done: str
    output: str | None
    files_from: str | None
    null: bool
    skip_existing: bool
    shard: tuple[int, int] | None
    retry_failed: bool
    jobs: int | None
    executor: str
    dry_run: bool
    as_json: bool
    quiet: bool
    verbose: int

    @classmethod
    def of(cls, name: str, done: str, options: dict[str, Any]) -> "Session":
        """Return the session that a command's options ask for, and take these options out."""
        return cls(name, done, **{field: options.pop(field) for field in cls._fields[2:]})

    def fail(self, shown: str, failure: UpscaleError) -> str:
        """Return the line about an image that failed."""
        return f"{in_sentence(shown)}: {failure}{hint(failure, self.verbose)}"


def work_options(options: dict[str, Any], volumes: bool = False, axes: int | None = None) -> dict[str, Any]:
    """Return options with the format and the reading as `Work` has them; `axes` are those that others imply."""
    format, first, typed, most = (
        options.pop(name) for name in ("format", "channels_first", "axes", "max_source_pixels")
    )
    reading = Reading(
        channels_first=first,
        axes=typed or axes,
        axes_typed=typed is not None,
        max_pixels=most,
        raised_by=MAX_SOURCE_PIXELS,
        volumes=volumes,
    )
    return options | {"format": None if format is None else find_format(format), "reading": reading}


def in_sentence(shown: str) -> str:
    """Return the name of a source as sentences about it begin."""
    return "standard input" if shown == STREAM else shown

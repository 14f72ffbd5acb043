"""Photographs from files and folders, for the commands that learn from them or measure with them."""

from collections.abc import Callable, Iterable

from upscale_cli.batch.plan import find_sources
from upscale_cli.codecs.picture import open_picture
from upscale_cli.commands.terminal import Bar, say
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.places.place import Source
from upscale_cli.places.streams import STREAM
from upscale_cli.work.photographs import Photograph, read_photograph

Work = Callable[[str, Photograph], None]
"""What is done with a photograph, given its path as the user typed it and its colours, uint8 (H, W, 3)."""


class PhotoSet:
    """Photographs from files and folders, read one at a time while a progress bar is shown.

    Photographs that cannot be read are reported and counted; the others are still used.

    Parameters
    ----------
    inputs : iterable of str
        Files and folders as the user typed them.
    quiet : bool
        Show no progress bar.

    Attributes
    ----------
    sources : list of Source
        Photographs that can be opened.
    failed : int
        Number of photographs that could not be opened or read.

    Raises
    ------
    UsageError
        If no photograph can be opened.
    """

    def __init__(self, inputs: Iterable[str], quiet: bool) -> None:
        inputs = list(dict.fromkeys(inputs))
        if STREAM in inputs:
            raise UsageError("photographs cannot be read from standard input; give files or folders.")
        failures: list[tuple[str, UpscaleError]] = []
        self.sources: list[Source] = []
        self._pixels: dict[Source, int] = {}
        self.failed, self._quiet = 0, quiet
        for source in find_sources(inputs, None, failures, []):
            try:
                with open_picture(source.open()) as picture:
                    self._pixels[source] = picture.height * picture.width
                    if picture.count > 1:
                        say(f"{source.shown}: only the first of its {picture.count} frames is used.")
                self.sources.append(source)
            except UpscaleError as error:
                self._fail(source.shown, error)
        for shown, failure in failures:
            self._fail(shown, failure)
        if not self.sources:
            raise UsageError("no photograph can be read; give image files, or folders that contain some.")

    def _fail(self, shown: str, why: UpscaleError, say: Callable[[str], None] = say) -> None:
        """Report and count a photograph that cannot be used."""
        say(f"{shown}: {why}")
        self.failed += 1

    def each(self, sources: Iterable[Source], work: Work) -> None:
        """Call `work` for each of some of the photographs."""
        sources = list(sources)
        bar = Bar(sum(self._pixels[source] for source in sources), len(sources), not self._quiet)
        try:
            for source in sources:
                try:
                    work(source.shown, read_photograph(source))
                except UpscaleError as error:
                    self._fail(source.shown, error, bar.say)
                bar.advance(self._pixels[source])
                bar.image_ended()
        finally:
            bar.close()

"""Photographs from files and folders, for the commands that learn from them or measure with them."""

from collections.abc import Callable, Iterable
from pathlib import Path

from upscale_cli.batch.plan import STREAM, Plan, find_sources
from upscale_cli.commands.terminal import Bar, say
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.images.files import Picture
from upscale_cli.images.photographs import Photograph, read_photograph

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
    paths : list of (str, Path)
        Photographs that can be opened: the path as typed, and the path.
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
        found = Plan()
        self.paths: list[tuple[str, Path]] = []
        self._pixels: dict[Path, int] = {}
        self.failed, self._quiet = 0, quiet
        for shown, path, _ in find_sources(inputs, None, found):
            assert path is not None
            try:
                with Picture(path) as picture:
                    self._pixels[path] = picture.height * picture.width
                self.paths.append((shown, path))
            except UpscaleError as error:
                self._fail(shown, error)
        for shown, failure in found.failures:
            self._fail(shown, failure.sentence)
        if not self.paths:
            raise UsageError("no photograph can be read; give image files, or folders that contain some.")

    def _fail(self, shown: str, why: object) -> None:
        """Report and count a photograph that cannot be used."""
        say(f"{shown}: {why}")
        self.failed += 1

    def each(self, paths: Iterable[tuple[str, Path]], work: Work) -> None:
        """Call `work` for each of some of the photographs."""
        paths = list(paths)
        bar = Bar(sum(self._pixels[path] for _, path in paths), len(paths), not self._quiet)
        try:
            for shown, path in paths:
                try:
                    work(shown, read_photograph(path))
                except UpscaleError as error:
                    self.failed += 1
                    bar.say(f"{shown}: {error}")
                bar.advance(self._pixels[path])
                bar.image_ended()
        finally:
            bar.close()

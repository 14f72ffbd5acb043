"""What the commands that learn from photographs, or measure with them, do alike."""

from collections.abc import Callable, Iterable
from pathlib import Path

from upscale_cli.batch.plan import STREAM, Plan, find_sources
from upscale_cli.commands.terminal import Bar, say
from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.images.files import Picture
from upscale_cli.images.photographs import Photograph, read_photograph

__all__ = ["Photograph", "Photographs"]


class Photographs:
    """Photographs of files and folders, read one at a time behind a bar.

    What cannot be read is said and counted, and the others go on.

    Parameters
    ----------
    inputs : iterable of str
        As they were typed.
    quiet : bool
        No bar.

    Attributes
    ----------
    paths : list of (shown, Path)
        What can be opened.
    failed : int
        What could not be opened, or not be read.

    Raises
    ------
    UsageError
        When there is nothing to read.
    """

    def __init__(self, inputs: Iterable[str], quiet: bool) -> None:
        inputs = list(dict.fromkeys(inputs))
        if STREAM in inputs:
            raise UsageError("photographs come from files and folders, not from standard input.")
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
            raise UsageError("there is no photograph to be read; give files or folders of images.")

    def _fail(self, shown: str, why: object) -> None:
        say(f"{shown}: {why}")
        self.failed += 1

    def each(self, paths: Iterable[tuple[str, Path]], work: Callable[[str, Photograph], None]) -> None:
        """Do something with each of some photographs: its name as it was typed, and its colours, uint8 (H, W, 3)."""
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

"""DICOM series: the files of a folder that are the slices of one volume. pydicom is imported for them alone."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from upscale_cli.codecs.formats import FORMATS


class Slices(FileIO):
    """The content of a series: the file of one slice, and the names of all."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(paths[0])
        self.paths = paths


def is_slice(path: Path) -> bool:
    """Return whether a file is a slice by its name, or by its content if its name says nothing."""
    dicom = FORMATS["dicom"]
    if path.name.lower().endswith(dicom.extensions):
        return True
    if path.suffix[1:].isalpha():
        return False
    with suppress(OSError):  # opening it again says what is wrong
        if path.is_file():
            with path.open("rb") as file:
                return dicom.sniff(file.read(132))
    return False


def series_of(paths: Iterable[Path]) -> list[tuple[str, list[Path]]]:
    """Return the series that some files belong to: the number of each, empty if it is the only one, and its files.

    What cannot be read is a series alone, so that reading it says why.
    """
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in paths:
        import pydicom

        try:
            said = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID", "SeriesNumber"])
            key = str(said.get("SeriesInstanceUID", "")), str(said.get("SeriesNumber") or "")
        except Exception:  # a broken file raises anything
            key = "", path.name
        found[key].append(path)
    numbers = [number for _, number in found]
    names = numbers if len(set(numbers)) == len(numbers) else [str(place) for place in range(1, len(numbers) + 1)]
    return list(zip(names if len(names) > 1 else [""], found.values(), strict=False))

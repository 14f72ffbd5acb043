"""Tables that other installed packages can add to, through entry points.

A package adds a row by naming it in its `pyproject.toml`, under the name that users will type:

    [project.entry-points."upscale_cli.methods"]
    theirs = "their_package:THEIRS"

The object is the row itself, and `THEIRS.name` is `"theirs"`. Entry points are looked up only for a name that the
table does not have, and for listings: finding them reads the metadata of every installed package.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from upscale_cli.errors import UpscaleError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    class Named(Protocol):
        """A row of a table."""

        @property
        def name(self) -> str:
            """As users type it."""


T = TypeVar("T", bound="Named")


class Registry(dict[str, T]):
    """Rows by name: those of this package, and those of installed plug-ins once they are asked for.

    `registry[name]` and `find(name)` look among the rows that are loaded, then for plug-ins of that name. Iteration,
    `len`, `in` and `get` know only the rows that are loaded; call `load_plugins()` before a listing.

    Parameters
    ----------
    group : str
        The entry-point group that plug-ins use.
    entries : iterable
        The rows of this package, in the order of the documentation.
    kind : type, optional
        What a plug-in's object must be an instance of.
    adapters : mapping of str to callable, optional
        Further groups, and how an object found there becomes a row of this table.

    Examples
    --------
    >>> from collections import namedtuple
    >>> Colour = namedtuple("Colour", "name code")
    >>> colours = Registry("doctest.colours", [Colour("red", 1), Colour("blue", 4)])
    >>> colours["blue"].code, list(colours), colours.find("green")
    (4, ['red', 'blue'], None)
    """

    def __init__(
        self,
        group: str,
        entries: Iterable[T],
        *,
        kind: type[Any] = object,
        adapters: Mapping[str, Callable[[Any], T]] | None = None,
    ) -> None:
        super().__init__((entry.name, entry) for entry in entries)
        self.group = group
        self._kind, self._adapters = kind, adapters or {}
        self._loaded: set[EntryPoint] = set()
        self._problems: list[str] | None = None
        self._lock = RLock()

    def __missing__(self, name: str) -> T:
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def find(self, name: str) -> T | None:
        """Return the row of a name, loading the plug-in that provides it; None if there is none.

        Raises
        ------
        UsageError
            If a plug-in provides the name but cannot be loaded.
        UpscaleError
            If several plug-ins provide the name.
        """
        with self._lock:
            if name not in self and (points := self._points(name)):
                self._add(points)
            return self.get(name)

    def load_plugins(self) -> list[str]:
        """Load every plug-in of the group, and return why others could not be loaded, one sentence each.

        Only the first call looks for them: packages are not installed while a process runs, and the table of formats
        asks for every file with an unknown extension.
        """
        with self._lock:
            if self._problems is not None:
                return self._problems
            problems = self._problems = []
            for _, points in groupby(self._points(), key=lambda point: point.name):
                try:
                    self._add(list(points))
                except UpscaleError as error:
                    problems.append(str(error))
        return problems

    def _points(self, name: str | None = None) -> "list[EntryPoint]":
        """The entry points of all groups that are not loaded yet, of one name or of any, in the order of names."""
        from importlib.metadata import entry_points

        found = [point for group in (self.group, *self._adapters) for point in entry_points(group=group)]
        wanted = [point for point in found if name in (None, point.name) and point not in self._loaded]
        return sorted(wanted, key=lambda point: point.name)

    def _add(self, points: "list[EntryPoint]") -> None:
        """Load the entry point of one name and add its row; after an error the table is as it was."""
        point, packages = points[0], " and ".join(_package(each) for each in points)
        subject = f'plug-in "{point.name}" of {packages}'
        if point.name in self or len(points) > 1:
            raise UpscaleError(f"{subject} has a name that is taken. Uninstall one of the packages that provide it.")
        try:
            entry = point.load()
            if point.group in self._adapters:
                entry = self._adapters[point.group](entry)
            named = isinstance(entry, self._kind) and getattr(entry, "name", None) == point.name
        except Exception as error:  # another package's code raises anything
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise UsageError(f"{subject} cannot be loaded: {reason}. Update or uninstall it.") from error
        if not named:
            kind = "row" if self._kind is object else self._kind.__name__
            raise UsageError(f"{subject} is not a {kind} of that name. Update or uninstall it.")
        self[point.name] = entry
        self._loaded.add(point)


def _package(point: "EntryPoint") -> str:
    return "an unknown package" if point.dist is None else f"the package {point.dist.name}"

"""Where images come from and go to: one kind of place a module, one row of `PLACES` each."""

from upscale_cli.places.files import Files
from upscale_cli.places.place import Place
from upscale_cli.places.urls import Urls, scheme_of

PLACES: dict[str, Place] = {"": Files()}
"""Every kind of place by the scheme of its URLs; names without a scheme are those of files."""
ELSEWHERE = Urls()
"""The kind of place of all other schemes."""


def place_of(name: str) -> Place:
    """Return the kind of place that a name is of: the one of its scheme, or files.

    >>> place_of("photos/a.png") is PLACES[""], place_of("s3://photos/a.png") is ELSEWHERE
    (True, True)
    """
    return PLACES.get(scheme_of(name), ELSEWHERE)

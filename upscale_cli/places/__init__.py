"""Where images come from and go to: one kind of place a module, one row of `PLACES` each."""

from upscale_cli.places.files import Files
from upscale_cli.places.place import Place

PLACES: dict[str, Place] = {"": Files()}
"""Every kind of place by the scheme of its URLs; names without a scheme are those of files."""


def place_of(name: str) -> Place:
    """Return the kind of place that a name is of: the one of its scheme, else files.

    >>> place_of("photos/a.png") is place_of("odd://a.png") is PLACES[""]
    True
    """
    scheme, separator, _ = name.partition("://")
    return PLACES.get(scheme if separator else "", PLACES[""])

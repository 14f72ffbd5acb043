"""What a user can do wrong, as a sentence; and the exit status that it leads to."""

from collections.abc import Iterable


class UpscaleError(ValueError):
    """Something that the user can put right: one sentence that names the thing and says what to do.

    `exit_status` is 1 for an image that could not be made (the others of a batch go on) and 2 for a request
    that makes no sense whatever the image is.
    """

    exit_status = 1


class UsageError(UpscaleError):
    """A request that cannot be carried out for any image: a misspelt name, a parameter out of range."""

    exit_status = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint behind a misspelt name, or an empty string when nothing is near.

    >>> did_you_mean("lanzcos", ["nearest", "lanczos"])
    ' Did you mean "lanczos"?'
    >>> did_you_mean("xyz", ["nearest", "lanczos"])
    ''
    """
    # Only mistakes pay for the import.
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f' Did you mean "{near[0]}"?' if near else ""

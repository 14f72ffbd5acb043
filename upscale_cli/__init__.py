"""Enlarge images exactly, fast, and without losing anything that was in the file.

>>> from upscale_cli import upscale
>>> upscale([[0, 100]], 2, "bilinear").tolist()
[[0, 25, 75, 100], [0, 25, 75, 100]]
"""

from typing import TYPE_CHECKING, Any

from upscale_cli.errors import UpscaleError

if TYPE_CHECKING:
    from upscale_cli.api import upscale
    from upscale_cli.methods import METHODS

__all__ = ["METHODS", "UpscaleError", "__version__", "upscale"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # NumPy takes longer to import than `upscale --version` may.
    if name == "upscale":
        from upscale_cli.api import upscale

        return upscale
    if name == "METHODS":
        from upscale_cli.methods import METHODS

        return METHODS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

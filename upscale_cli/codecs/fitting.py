"""Which kind of pixels a format stores in place of another, and what is lost."""

from collections.abc import Iterable

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.errors import UpscaleError
from upscale_cli.image.pixels import Kind


def fit(kind: Kind, format: Format) -> tuple[Kind, str]:
    """Return the nearest kind of pixels that a format can store, and what is lost, in words: empty for nothing.

    Raises
    ------
    UpscaleError
        If the format cannot store such pixels at all.

    Examples
    --------
    >>> fit(("LA", "uint8"), FORMATS["webp"])
    (('RGBA', 'uint8'), '')
    >>> fit(("RGBA", "uint16"), FORMATS["jpeg"])
    (('RGB', 'uint8'), 'transparency goes onto white, 16 bits a channel become 8')
    """
    mode, depth = kind
    if depth not in ("bool", "uint8", "uint16") and kind not in format.stores:
        *able, last = (each.title for each in FORMATS.values() if kind in each.stores or each.arrays)
        only = f"{', '.join(able)} and {last}" if able else last
        raise UpscaleError(f"{format.title} cannot store {depth} pixels; only {only} can.")
    for losses, modes in _nearest(mode, format):
        for loss, depths in _depths(depth):
            for wanted in modes:
                for wide in depths:
                    if (wanted, wide) in format.stores:
                        shallow = wide == "uint16" and format.deepest < 16
                        fewer = f"16 bits a channel become {format.deepest}" if shallow else loss
                        return (wanted, wide), ", ".join(filter(None, (losses, fewer)))
    raise UpscaleError(f"{format.title} cannot store {mode} pixels; choose another --format.")


def _nearest(mode: str, format: Format) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Yield the modes that can take the place of one, with what is lost."""
    wider = {"L": ("L", "RGB", "LA", "RGBA"), "LA": ("LA", "RGBA"), "RGB": ("RGB", "RGBA")}
    yield "", wider.get(mode, (mode,))
    if mode == "CMYK":
        yield "CMYK becomes RGB", ("RGB",)
        yield "CMYK becomes RGB, no more than 256 colours are kept", ("P",)
    if mode == "RGB":
        yield "no more than 256 colours are kept", ("P",)
    if mode in ("LA", "RGBA"):
        if format.clear != "none":
            yield "no more than 256 colours are kept, and transparency is all or nothing", ("P",)
        yield "transparency goes onto white", {"LA": ("L", "RGB")}.get(mode, ("RGB",))


def _depths(depth: str) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Yield the depths that can take the place of one, with what is lost."""
    yield "", (depth,)
    if depth == "bool":
        yield "1 bit a pixel becomes 8", ("uint8",)
    if depth == "uint16":
        yield "16 bits a channel become 8", ("uint8",)

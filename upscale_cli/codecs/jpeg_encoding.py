"""How a JPEG was compressed: its tables, and what they say about the pixels of the picture. Format: ITU-T T.81."""

from PIL.JpegImagePlugin import JpegImageFile

from upscale_cli.codecs.picture import Encoding
from upscale_cli.methods.blocks import SIDE


def encoding_of(image: JpegImageFile, orientation: int, size: tuple[int, int]) -> Encoding:
    """Return how a JPEG of a size (width, height), as stored, was compressed, as far as Pillow can do it again.

    If it lies, by its orientation, so does its colour.
    """
    layers, lying = image.layer, orientation >= 5
    tables = tuple(tuple(image.quantization.get(table, ())) for _, _, _, table in layers)
    luma = tables[0] if tables else ()
    # A table may follow the first scan, and Pillow has not met it then. Pillow writes CMYK, but no YCCK, whose tables
    # are those of brightness and colour.
    if not all(tables) or (len(layers) == 4 and image.info.get("adobe_transform")):
        tables = ()
    subsampling = None
    if len(layers) == 3:
        across, down = (min(layers[0][side] // max(layer[side], 1) for layer in layers[1:]) for side in (1, 2))
        across, down = (down, across) if lying else (across, down)
        subsampling = "4:4:4" if across < 2 else "4:2:2" if down < 2 else "4:2:0"
    blocks = _turned(luma, orientation, size) if _stores_luma(image) else ()
    return Encoding(lossless=False, tables=tables, luma=luma, subsampling=subsampling, blocks=blocks)


def _stores_luma(image: JpegImageFile) -> bool:
    """Return whether each block of the first channel is 8 x 8 pixels of luma."""
    layers = image.layer
    # Red, green and blue may be stored as they are, and luma may have fewer samples than colours.
    coloured = image.info.get("adobe_transform", 1) == 0 or [each[0] for each in layers] == list(b"RGB")
    reduced = any(layer[side] > layers[0][side] for layer in layers for side in (1, 2))
    return len(layers) in (1, 3) and not coloured and not reduced


def _turned(table: tuple[int, ...], orientation: int, size: tuple[int, int]) -> tuple[int, ...]:
    """Return a table as the upright picture has it; an empty one if no block begins at its first pixel."""
    # Blocks begin at the first row and column that are stored, which may be the last ones of the upright picture.
    if not table or (orientation > 1 and any(side % SIDE for side in size)):
        return ()
    if orientation < 5:
        return table
    return tuple(table[place % SIDE * SIDE + place // SIDE] for place in range(SIDE**2))

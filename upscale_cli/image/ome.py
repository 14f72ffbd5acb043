"""OME-XML, in which microscopes describe the pixels of a TIFF, changed in place: the sides of picture and pixels.

Format: Open Microscopy Environment, "OME Model and File Formats 6.3", 2021.
"""

import re

from upscale_cli.image.change import Change
from upscale_cli.image.xmp import NAME, TAG, readable

PIXELS = rb"<(?:" + NAME + rb":)?Pixels" + TAG + rb"/?>"
ATTRIBUTE = rb"(\s(" + NAME + rb")\s*=\s*)(\"[^\"]*\"|'[^']*')"
FILE = rb"\sFileName\s*=\s*(\"[^\"<]*\"|'[^'<]*')"
UNTRUE = rb"<(?:" + NAME + rb":)?ROI[\s>]|\sType\s*=\s*[\"']bit[\"']"
"""Regions are places in the picture; and 1 bit a pixel becomes 8 where values are blended."""
LEFT_OUT = "its OME-XML, which would not describe the result, is left out"


def resized(text: bytes, change: Change) -> bytes | None:
    """Return the description of the enlarged picture; None if it cannot be made true.

    It can if it describes one image in one file, of the size that the picture had, all of which lies where it did.
    """
    found = re.findall(PIXELS, text) if readable(text) else []
    several = len(found) != 1 or len(set(re.findall(FILE, text))) > 1
    if several or change.moved or change.reframed or re.search(UNTRUE, text):
        return None
    attributes = {name: value[1:-1] for _, name, value in re.findall(ATTRIBUTE, found[0])}
    sides, values = zip((b"X", b"Y"), change.before[::-1], change.after[::-1], change.factors, strict=True), {}
    try:
        for axis, before, after, factor in sides:
            size, length = b"Size" + axis, b"PhysicalSize" + axis
            if int(attributes[size]) != before:
                return None
            values[size] = b"%d" % after
            if length in attributes:
                values[length] = b"%.12g" % (float(attributes[length]) / factor)
    except (KeyError, ValueError):
        return None

    def changed(attribute: re.Match[bytes]) -> bytes:
        value = values.get(attribute[2])
        return attribute[0] if value is None else attribute[1] + b'"%b"' % value

    return text.replace(found[0], re.sub(ATTRIBUTE, changed, found[0]))

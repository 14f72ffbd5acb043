"""XMP packets, changed in place: what tells the size of the picture, and what announces parts that are left out.

Properties are found by their namespaces, as attributes and as elements, and all other bytes of a packet stay as they
are. Formats: Adobe, "XMP Specification Part 1" (2012; section 7) and "Part 3" (2020; extended XMP: section 1.1.3.1);
Metadata Working Group, "Guidelines for Handling Image Metadata 2.0" (2010; regions: section 5.9); Google, "Photo
Sphere XMP Metadata", "Motion Photo format 1.0" and "Ultra HDR Image Format v1.1".
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from math import floor
from typing import NamedTuple
from xml.parsers import expat

from upscale_cli.methods.method import Size

NAME = rb"[\w.-]+"
TAG = rb"(?:\s(?:[^>\"']|\"[^\"]*\"|'[^']*')*?)?"
"""The attributes within a tag, if there are any."""
VIDEO = NAME + rb":(?:MotionPhoto|MicroVideo)[\w.-]*"
"""The properties of a motion photo, of Google and of makers of phones."""
NAMESPACES = {
    b"tiff": (b"http://ns.adobe.com/tiff/1.0/",),
    b"exif": (b"http://ns.adobe.com/exif/1.0/",),
    b"GPano": (b"http://ns.google.com/photos/1.0/panorama/",),
    b"mwg-rs": (b"http://www.metadataworkinggroup.com/schemas/regions/",),
    b"stDim": (b"http://ns.adobe.com/xap/1.0/sType/Dimensions#",),
    b"stArea": (b"http://ns.adobe.com/xmp/sType/Area#", b"http://ns.adobe.com/xap/1.0/sType/Area#"),
    b"MPReg": (b"http://ns.microsoft.com/photo/1.2/t/Region#",),
    b"xmpNote": (b"http://ns.adobe.com/xmp/note/",),
    b"hdrgm": (b"http://ns.adobe.com/hdr-gain-map/1.0/",),
    b"Container": (b"http://ns.google.com/photos/1.0/container/", b"http://ns.google.com/photos/dd/1.0/container/"),
}
"""Usual prefixes, which also stand where a packet does not declare them, and what they stand for."""


class Change(NamedTuple):
    """How a picture was turned upright, and enlarged.

    Attributes
    ----------
    before, after : (int, int)
        Height and width of the upright source, and of the result.
    orientation : int
        The EXIF orientation of the source.
    """

    before: Size
    after: Size
    orientation: int = 1

    @property
    def factors(self) -> tuple[Fraction, Fraction]:
        """Horizontal and vertical."""
        return Fraction(self.after[1], self.before[1]), Fraction(self.after[0], self.before[0])

    def lies(self, width: Fraction, height: Fraction) -> bool:
        """Return whether sides are those of the picture as it is stored, and not of the upright one."""
        upright_height, upright_width = self.before
        if self.orientation < 5:
            return self.orientation > 1
        stored = abs(width * upright_width - height * upright_height)
        return stored < abs(width * upright_height - height * upright_width)

    def turned(
        self, x: Fraction, y: Fraction, width: Fraction | int, height: Fraction | int
    ) -> tuple[Fraction, Fraction]:
        """Return where a point of the stored picture lies in the upright one; width and height are the stored."""
        x = width - x if self.orientation in (2, 3, 7, 8) else x
        y = height - y if self.orientation in (3, 4, 6, 7) else y
        return (y, x) if self.orientation >= 5 else (x, y)


def resized(xmp: bytes, change: Change) -> bytes:
    """Return the packet of an enlarged picture that is upright and alone in its file; unchanged if it is no XML."""
    if not well_formed(xmp):
        return xmp
    height, width = change.after
    sizes = {b"tiff:ImageWidth": width, b"exif:PixelXDimension": width, b"tiff:Orientation": 1}
    sizes |= {b"tiff:ImageLength": height, b"exif:PixelYDimension": height}
    xmp = _with_numbers(xmp, xmp, sizes)
    for sides, factor in zip((b"Width|Left", b"Height|Top"), change.factors, strict=True):
        # Rounded down, the place of a part leaves it within the whole.
        whole, place = sides.split(b"|")
        for names, half in (
            (b"(?:FullPano|CroppedAreaImage)" + whole + b"Pixels|LargestValidInteriorRect" + whole, Fraction(1, 2)),
            (b"CroppedArea" + place + b"Pixels|LargestValidInteriorRect" + place, Fraction(0)),
        ):
            xmp = _edited(xmp, _name(xmp, b"GPano:(?:%b)" % names), partial(_scaled, factor=factor, half=half))
    xmp = _regions(xmp, change)
    for left_out in (_name(xmp, b"hdrgm:" + NAME), _name(xmp, b"Container:Directory"), VIDEO):
        xmp = _without(xmp, left_out)
    return xmp


def well_formed(xmp: bytes) -> bool:
    """Return whether a packet is XML. Nothing is looked for in others: they may be made to keep a search busy."""
    try:
        expat.ParserCreate().Parse(xmp.strip(b"\0 \n\r\t"), True)
    except expat.ExpatError:
        return False
    return True


def _name(xmp: bytes, qualified: bytes) -> bytes:
    """Return a pattern of a qualified name, with all prefixes that the packet gives to its namespace."""
    prefix, _, name = qualified.partition(b":")
    uris = b"|".join(map(re.escape, NAMESPACES[prefix]))
    declared = re.findall(rb"\sxmlns:(" + NAME + rb")\s*=\s*[\"'](?:" + uris + rb")[\"']", xmp)
    return b"(?:" + b"|".join(map(re.escape, {prefix, *declared})) + b"):(?:" + name + b")"


def _edited(xmp: bytes, name: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change the values of a property, attributes and elements alike."""
    forms = (
        rb"(?P<before>\s" + name + rb"\s*=\s*(?P<quote>[\"']))(?P<value>.*?)(?P<after>(?P=quote))",
        rb"(?P<before><(?P<name>" + name + rb")" + TAG + rb">)(?P<value>[^<]*)(?P<after></(?P=name)\s*>)",
    )
    for form in forms:
        xmp = re.sub(form, lambda m: m["before"] + change(m["value"]) + m["after"], xmp, flags=re.DOTALL)
    return xmp


def _element(name: bytes) -> bytes:
    """Return a pattern of an element with all that is in it."""
    return rb"<(" + name + rb")" + TAG + rb"(?:/>|>.*?</\1\s*>)"


def _without(xmp: bytes, name: bytes) -> bytes:
    """Remove a property, attributes and elements alike."""
    xmp = re.sub(rb"\s" + name + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')", b"", xmp)
    return re.sub(_element(name), b"", xmp, flags=re.DOTALL)


def _values(xmp: bytes, name: bytes) -> list[bytes]:
    """Return the values of a property."""
    found: list[bytes] = []
    _edited(xmp, name, lambda value: found.append(value) or value)  # type: ignore[func-returns-value]
    return found


def _scaled(value: bytes, factor: Fraction, half: Fraction) -> bytes:
    """Return a number of pixels times a factor, rounded down after a half is added; what is no number stays."""
    try:
        return b"%d" % floor(Fraction(value.strip().decode()) * factor + half)
    except (ValueError, ZeroDivisionError):
        return value


def _regions(xmp: bytes, change: Change) -> bytes:
    """Turn regions with the picture, and enlarge those in pixels: faces, and areas of focus."""
    applied = re.search(_element(_name(xmp, b"mwg-rs:AppliedToDimensions")), xmp, re.DOTALL)
    height, width = map(Fraction, change.before[::-1] if change.orientation >= 5 else change.before)
    if applied is not None:
        width, height = _numbers(xmp, applied[0], b"stDim:w", b"stDim:h") or (width, height)
    turned = change.lies(width, height)
    swapped = turned and change.orientation >= 5
    across, down = change.factors

    def area(found: re.Match[bytes]) -> bytes:
        names = (b"stArea:x", b"stArea:y", b"stArea:w", b"stArea:h")
        numbers = _numbers(xmp, found[0], *names)
        if numbers is None:
            return found[0]
        pixels = _values(found[0], _name(xmp, b"stArea:unit")) == [b"pixel"]
        x, y, w, h = numbers
        if turned:
            x, y = change.turned(x, y, width if pixels else 1, height if pixels else 1)
        w, h = (h, w) if swapped else (w, h)
        made = (x * across, y * down, w * across, h * down) if pixels else (x, y, w, h)
        return _with_numbers(xmp, found[0], dict(zip(names, made, strict=True)))

    def dimensions(found: re.Match[bytes]) -> bytes:
        w, h = (height, width) if swapped else (width, height)
        return _with_numbers(xmp, found[0], {b"stDim:w": w * across, b"stDim:h": h * down})

    def face(value: bytes) -> bytes:
        try:
            x, y, w, h = map(Fraction, value.decode().split(","))
        except (ValueError, ZeroDivisionError):
            return value
        x, y = change.turned(x + w / 2, y + h / 2, 1, 1)
        w, h = (h, w) if swapped else (w, h)
        return b", ".join(b"%.12g" % number for number in (x - w / 2, y - h / 2, w, h))

    made = re.sub(_element(_name(xmp, b"mwg-rs:Area")), area, xmp, flags=re.DOTALL)
    made = re.sub(_element(_name(xmp, b"mwg-rs:AppliedToDimensions")), dimensions, made, flags=re.DOTALL)
    return _edited(made, _name(xmp, b"MPReg:Rectangle"), face) if turned else made


def _numbers(xmp: bytes, piece: bytes, *names: bytes) -> tuple[Fraction, ...] | None:
    """Return numbers of an element within a packet; None if one is missing."""
    try:
        return tuple(Fraction(_values(piece, _name(xmp, name))[0].strip().decode()) for name in names)
    except (IndexError, ValueError, ZeroDivisionError):
        return None


def _with_numbers(xmp: bytes, piece: bytes, numbers: Mapping[bytes, Fraction | int]) -> bytes:
    """Return an element of a packet with other numbers."""
    for name, number in numbers.items():
        made = b"%.12g" % number
        piece = _edited(piece, _name(xmp, name), partial(_constant, made))
    return piece


def _constant(made: bytes, _: bytes) -> bytes:
    return made


def announced(xmp: bytes) -> str | None:
    """Return the identifier of the extension that a main packet announces."""
    found = _values(xmp, _name(xmp, b"xmpNote:HasExtendedXMP"))
    return found[0].decode("latin-1") if found else None


def identifier(extension: bytes) -> str:
    """Return the identifier of an extension: its MD5 sum."""
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()


def announcing(xmp: bytes, extension: bytes) -> bytes:
    """Return a main packet with the identifier of its extension, which has changed."""
    return _edited(xmp, _name(xmp, b"xmpNote:HasExtendedXMP"), lambda _: identifier(extension).encode())


def unannounced(xmp: bytes) -> bytes:
    """Return a main packet that announces no extension."""
    return _without(xmp, _name(xmp, b"xmpNote:HasExtendedXMP"))


_RDF = rb"<(" + NAME + rb":)RDF" + TAG + rb">(?P<body>.*)</\1RDF\s*>"
_DECLARED = rb"\sxmlns:(" + NAME + rb")\s*=\s*[\"']([^\"']*)[\"']"


def merged(xmp: bytes, extension: bytes) -> bytes | None:
    """Return a main packet with the properties of its extension; None if they cannot be put together."""
    main, more = (re.search(_RDF, packet, re.DOTALL) for packet in (xmp, extension))
    if main is None or more is None:
        return None
    head, inner = xmp[: main.start("body") - 1], extension[: more.start("body")]
    declared = dict(re.findall(_DECLARED, head))
    for prefix, uri in re.findall(_DECLARED, inner):
        if declared.setdefault(prefix, uri) != uri:
            return None
        if prefix not in dict(re.findall(_DECLARED, head)):
            head += b' xmlns:%b="%b"' % (prefix, uri)
    body = xmp[main.start("body") - 1 : main.end("body")]
    return unannounced(head + body + more["body"] + xmp[main.end("body") :])


def split(xmp: bytes, limit: int) -> tuple[bytes, bytes] | None:
    """Return a packet of at most `limit` bytes with the smaller descriptions, and an extension with the others.

    None if there is no way to do so.
    """
    rdf = re.search(_RDF, xmp, re.DOTALL)
    if rdf is None:
        return None
    head, tail = xmp[: rdf.start("body")], re.sub(rb"\s{64,}", b"\n", xmp[rdf.end("body") :])
    prefix, pieces, depth, start = rdf[1], [], 0, 0
    for tag in re.finditer(rb"<(/?)" + re.escape(prefix) + rb"Description" + TAG + rb"(/?)>", rdf["body"]):
        start = tag.start() if depth == 0 else start
        depth += 0 if tag[2] else -1 if tag[1] else 1
        if depth == 0:
            pieces.append(rdf["body"][start : tag.end()])
    note = b'<%bDescription %babout="" xmlns:xmpNote="%b" xmpNote:HasExtendedXMP="%%b"/>' % (
        *(prefix, prefix),
        *NAMESPACES[b"xmpNote"],
    )
    room, small = limit - len(head) - len(tail) - len(note) - 32, set()
    for index in sorted(range(len(pieces)), key=lambda index: len(pieces[index])):
        if (room := room - len(pieces[index])) >= 0:
            small.add(index)
    moved = b"".join(piece for index, piece in enumerate(pieces) if index not in small)
    wrapped = re.sub(rb"<\?xpacket.*?\?>", b"", head + moved + tail, flags=re.DOTALL)
    main = b"".join(piece for index, piece in enumerate(pieces) if index in small)
    made = head + main + note % identifier(wrapped).encode() + tail
    return (made, wrapped) if pieces and len(made) <= limit else None

"""XMP packets, changed in place: what tells the size of the picture, and what announces parts that are left out.

Properties are found by their namespaces, as attributes and as elements, and all other bytes of a packet stay as they
are. Formats: Adobe, "XMP Specification Part 1" (2012; section 7) and "Part 3" (2020; extended XMP: section 1.1.3.1);
Metadata Working Group, "Guidelines for Handling Image Metadata 2.0" (2010; regions: section 5.9); Google, "Photo
Sphere XMP Metadata", "Motion Photo format 1.0" and "Ultra HDR Image Format v1.1".
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import accumulate
from math import floor

from upscale_cli.image.change import Change

NAME = rb"[\w.-]+"
TAG = rb"(?:\s(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*?)?"
"""The attributes within a tag, if there are any."""
DECLARED = rb"\sxmlns:(" + NAME + rb")\s*=\s*[\"']([^\"'<]*)[\"']"
UNREAD = rb"\0|<!(?!--[^<]*-->)|<\?(?![^<]*\?>)"
"""What XML leaves unread, where it could hide tags from patterns, and what is not in UTF-8."""
VIDEO = NAME + rb":(?:MotionPhoto|MicroVideo)[\w.-]*"
"""The properties of a motion photo, of Google and of makers of phones."""
EXTENDED = b"xmpNote:HasExtendedXMP"
Edit = bytes | Callable[[bytes], bytes]
"""A new value, or how it follows from the old one."""
NAMESPACES = {
    b"tiff": (b"http://ns.adobe.com/tiff/1.0/",),
    b"exif": (b"http://ns.adobe.com/exif/1.0/",),
    b"GPano": (b"http://ns.google.com/photos/1.0/panorama/",),
    b"mwg-rs": (b"http://www.metadataworkinggroup.com/schemas/regions/",),
    b"stDim": (b"http://ns.adobe.com/xap/1.0/sType/Dimensions#",),
    b"stArea": (b"http://ns.adobe.com/xmp/sType/Area#", b"http://ns.adobe.com/xap/1.0/sType/Area#"),
    b"MP": (b"http://ns.microsoft.com/photo/1.2/",),
    b"MPReg": (b"http://ns.microsoft.com/photo/1.2/t/Region#",),
    b"xmpNote": (b"http://ns.adobe.com/xmp/note/",),
    b"hdrgm": (b"http://ns.adobe.com/hdr-gain-map/1.0/",),
    b"Container": (b"http://ns.google.com/photos/1.0/container/", b"http://ns.google.com/photos/dd/1.0/container/"),
}
"""Usual prefixes, which also stand where a packet does not declare them, and what they stand for."""
AREA, SIDES = (b"stArea:x", b"stArea:y", b"stArea:w", b"stArea:h"), (b"stDim:w", b"stDim:h")


def resized(xmp: bytes, change: Change) -> bytes:
    """Return the packet of an enlarged picture, upright and alone in its file; an unreadable one stays."""
    if not readable(xmp):
        return xmp
    packet, (height, width), (across, down) = _Packet(xmp), change.size, change.factors
    sizes = {b"tiff:ImageWidth": width, b"exif:PixelXDimension": width, b"tiff:Orientation": 1}
    sizes |= {b"tiff:ImageLength": height, b"exif:PixelYDimension": height}
    edits: dict[bytes, Edit] = {name: b"%d" % size for name, size in sizes.items()}
    for side, place, factor in ((b"Width", b"Left", across), (b"Height", b"Top", down)):
        for whole in (b"FullPano%bPixels", b"CroppedAreaImage%bPixels", b"LargestValidInteriorRect%b"):
            edits[b"GPano:" + whole % side] = partial(_scaled, factor, Fraction(1, 2))
        # Rounded down, the place of a part leaves it within the whole.
        for part in (b"CroppedArea%bPixels", b"LargestValidInteriorRect%b"):
            edits[b"GPano:" + part % place] = partial(_scaled, factor, Fraction(0))
    xmp = packet.edited(xmp, edits)
    if b"AppliedToDimensions" in xmp or b"Rectangle" in xmp:
        xmp = _regions(packet, xmp, change)
    return _without(xmp, packet.named(b"hdrgm:" + NAME), packet.named(b"Container:Directory"), VIDEO)


def without_places(xmp: bytes) -> bytes:
    """Return a packet without what it says of places in the picture: regions, and a panorama's sides."""
    if not readable(xmp):
        return xmp
    names = b"GPano:" + NAME, b"mwg-rs:Regions", b"MP:RegionInfo"
    return _without(xmp, *map(_Packet(xmp).named, names))


def readable(xmp: bytes) -> bool:
    """Return whether a packet is XML of elements and text, in UTF-8.

    Nothing is looked for in others: in them, and in what XML leaves unread, a search could be kept busy.
    """
    from xml.parsers import expat

    packet = xmp.strip(b"\0 \n\r\t")
    if re.search(UNREAD, packet):
        return False
    try:
        expat.ParserCreate("utf-8").Parse(packet, True)
    except expat.ExpatError:
        return False
    return True


class _Packet:
    """The names of properties in a packet, by all prefixes that it gives to their namespaces."""

    def __init__(self, xmp: bytes) -> None:
        self.declared = re.findall(DECLARED, xmp)

    def named(self, qualified: bytes) -> bytes:
        """Return a pattern of a qualified name."""
        prefix, _, name = qualified.partition(b":")
        prefixes = {prefix, *(each for each, uri in self.declared if uri in NAMESPACES[prefix])}
        return b"(?:" + b"|".join(map(re.escape, prefixes)) + b"):(?:" + name + b")"

    def edited(self, xmp: bytes, edits: Mapping[bytes, Edit]) -> bytes:
        """Change the values of properties, attributes and elements alike."""
        name = rb"(?P<name>" + b"|".join(map(self.named, edits)) + b")"
        by_name = {qualified.partition(b":")[2]: edit for qualified, edit in edits.items()}

        def changed(found: re.Match[bytes]) -> bytes:
            edit = by_name[found["name"].partition(b":")[2]]
            return found["before"] + (edit if isinstance(edit, bytes) else edit(found["value"])) + found["after"]

        attribute = rb"(?P<before>\s" + name + rb"\s*=\s*(?P<quote>[\"']))(?P<value>[^<]*?)(?P<after>(?P=quote))"
        element = rb"(?P<before><" + name + TAG + rb">)(?P<value>[^<]*)(?P<after></(?P=name)\s*>)"
        return re.sub(element, changed, re.sub(attribute, changed, xmp))

    def values(self, xmp: bytes, name: bytes) -> list[bytes]:
        """Return the values of a property."""
        return re.findall(rb"[\s<]" + self.named(name) + rb"(?:\s*=\s*[\"']|" + TAG + rb">)([^<\"']*)", xmp)

    def numbers(self, xmp: bytes, names: Sequence[bytes]) -> list[Fraction]:
        """Return the first value of each of some properties; none if one is no number."""
        return _numbers(*(next(iter(self.values(xmp, name)), b"") for name in names))

    def with_numbers(self, xmp: bytes, names: Sequence[bytes], numbers: Sequence[Fraction]) -> bytes:
        """Set properties that are there."""
        return self.edited(xmp, {name: b"%.12g" % number for name, number in zip(names, numbers, strict=True)})


def _element(name: bytes) -> bytes:
    """Return a pattern of an element with all that is in it."""
    return rb"(?s:<(" + name + rb")" + TAG + rb"(?:/>|>.*?</\1\s*>))"


def _without(xmp: bytes, *names: bytes) -> bytes:
    """Remove properties, attributes and elements alike."""
    name = b"(?:" + b"|".join(names) + b")"
    xmp = re.sub(rb"\s" + name + rb"\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')", b"", xmp)
    return re.sub(_element(name), b"", xmp)


def _scaled(factor: Fraction, half: Fraction, value: bytes) -> bytes:
    """Return a number of pixels times a factor, rounded down after a half is added; what is no number stays."""
    numbers = _numbers(value)
    return b"%d" % floor(numbers[0] * factor + half) if numbers else value


def _numbers(*values: bytes) -> list[Fraction]:
    """Return decimal numbers of a length that makes sense; none if one of the values is something else."""
    found = [re.fullmatch(rb"\s*([-+]?(?:\d{1,15}(?:\.\d{0,20})?|\.\d{1,20}))\s*", value) for value in values]
    return [Fraction(each[1].decode()) for each in found if each] if all(found) else []


def _regions(packet: _Packet, xmp: bytes, change: Change) -> bytes:
    """Turn regions with the picture, and enlarge those in pixels: faces, and areas of focus."""
    applied = _element(packet.named(b"mwg-rs:AppliedToDimensions"))
    found = re.search(applied, xmp)
    sides = packet.numbers(found[0], SIDES) if found else []
    width, height = sides if sides and all(sides) else map(Fraction, change.stored[::-1])
    turned = change.lies(width, height)
    across, down = (height, width) if turned and change.swapped else (width, height)
    enlarged = (across * change.factors[0], down * change.factors[1])

    def moved(x: Fraction, y: Fraction, w: Fraction, h: Fraction) -> tuple[Fraction, ...]:
        """Return the middle and the sides of a region, as shares of those of the picture."""
        if turned:
            x, y = change.point(x, y, 1, 1)
        return (x, y, h, w) if turned and change.swapped else (x, y, w, h)

    def area(found: re.Match[bytes]) -> bytes:
        numbers = packet.numbers(found[0], AREA)
        if not numbers:
            return found[0]
        pixels = packet.values(found[0], b"stArea:unit") == [b"pixel"]
        unit = (Fraction(1), Fraction(1))
        before, after = ((width, height), enlarged) if pixels else (unit, unit)
        shares = moved(*(number / side for number, side in zip(numbers, before * 2, strict=True)))
        made = [share * side for share, side in zip(shares, after * 2, strict=True)]
        return packet.with_numbers(found[0], AREA, made)

    def face(value: bytes) -> bytes:
        numbers = _numbers(*value.split(b","))
        if len(numbers) != 4 or not turned:
            return value
        x, y, w, h = numbers
        x, y, w, h = moved(x + w / 2, y + h / 2, w, h)
        return b", ".join(b"%.12g" % number for number in (x - w / 2, y - h / 2, w, h))

    xmp = re.sub(_element(packet.named(b"mwg-rs:Area")), area, xmp)
    xmp = re.sub(applied, lambda found: packet.with_numbers(found[0], SIDES, enlarged), xmp)
    return packet.edited(xmp, {b"MPReg:Rectangle": face})


def announced(xmp: bytes) -> bytes | None:
    """Return the identifier of the extension that a main packet announces."""
    return next(iter(_Packet(xmp).values(xmp, EXTENDED)), None)


def identifier(extension: bytes) -> bytes:
    """Return the identifier of an extension: its MD5 sum."""
    import hashlib

    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()


def announcing(xmp: bytes, extension: bytes) -> bytes:
    """Return a main packet with the identifier of its extension, which has changed."""
    return _Packet(xmp).edited(xmp, {EXTENDED: identifier(extension)})


def unannounced(xmp: bytes) -> bytes:
    """Return a main packet that announces no extension."""
    return _without(xmp, _Packet(xmp).named(EXTENDED))


def _rdf(xmp: bytes) -> re.Match[bytes] | None:
    """Return what stands before, in and behind the descriptions of a packet, and the prefix of RDF."""
    # Only the first element of the name is tried.
    head = rb"(?P<head>(?>.*?<(?P<prefix>" + NAME + rb":)RDF" + TAG + rb"(?=>)))"
    return (
        re.fullmatch(rb"(?s)" + head + rb"(?P<body>.*)(?P<tail></(?P=prefix)RDF.*)", xmp) if readable(xmp) else None
    )


def merged(xmp: bytes, extension: bytes) -> bytes | None:
    """Return a main packet with the properties of its extension; None if they cannot be put together."""
    main, more = map(_rdf, (xmp, extension))
    if main is None or more is None:
        return None
    known, added = (dict(re.findall(DECLARED, each["head"])) for each in (main, more))
    if any(known.get(prefix, uri) != uri for prefix, uri in added.items()):
        return None
    names = b"".join(b' xmlns:%b="%b"' % (prefix, added[prefix]) for prefix in added if prefix not in known)
    return unannounced(main["head"] + names + main["body"] + more["body"][1:] + main["tail"])


def split(xmp: bytes, limit: int) -> tuple[bytes, bytes] | None:
    """Return a packet of at most `limit` bytes with the smaller descriptions, and an extension with the others.

    None if there is no way to do so.
    """
    rdf = _rdf(xmp)
    if rdf is None:
        return None
    head, tail, prefix = rdf["head"] + b">", re.sub(rb"\s{64,}", b"\n", rdf["tail"]), rdf["prefix"]
    pieces, depth, start = [], 0, 0
    for tag in re.finditer(rb"<(/?)" + re.escape(prefix) + rb"Description" + TAG + rb"(/?)>", rdf["body"]):
        start = tag.start() if depth == 0 else start
        depth += 0 if tag[2] else -1 if tag[1] else 1
        if depth == 0:
            pieces.append(rdf["body"][start : tag.end()])
    note = b'<%bDescription %babout="" xmlns:xmpNote="%b" %b="%%b"/>'
    note %= prefix, prefix, NAMESPACES[b"xmpNote"][0], EXTENDED
    pieces.sort(key=len)
    ends = accumulate(map(len, pieces), initial=len(head + note + tail) + 32)
    small = sum(end <= limit for end in ends) - 1
    wrapped = re.sub(rb"<\?xpacket.*?\?>", b"", head + b"".join(pieces[small:]) + tail, flags=re.DOTALL)
    main = head + b"".join(pieces[: max(small, 0)]) + note % identifier(wrapped) + tail
    return (main, wrapped) if pieces and small >= 0 else None

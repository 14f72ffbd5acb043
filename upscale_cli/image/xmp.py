"""XMP packets, changed in place: what tells the size of the picture, and what announces parts that are left out.

Properties are found by their namespaces, as attributes and as elements, and all other bytes of a packet stay as they
are. Formats: Adobe, "XMP Specification Part 1" (2012; section 7) and "Part 3" (2020; extended XMP: section 1.1.3.1);
Metadata Working Group, "Guidelines for Handling Image Metadata 2.0" (2010; regions: section 5.9); Google, "Photo
Sphere XMP Metadata", "Motion Photo format 1.0" and "Ultra HDR Image Format v1.1".
"""

import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import partial
from math import floor

from upscale_cli.image.change import Change

NAME = rb"[\w.-]+"
TAG = rb"(?:\s(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*?)?"
"""The attributes within a tag, if there are any."""
DECLARED = rb"\sxmlns:(" + NAME + rb")\s*=\s*[\"']([^\"'<]*)[\"']"
VIDEO = NAME + rb":(?:MotionPhoto|MicroVideo)[\w.-]*"
"""The properties of a motion photo, of Google and of makers of phones."""
EXTENDED = b"xmpNote:HasExtendedXMP"
Edit = Callable[[bytes], bytes]
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


def resized(xmp: bytes, change: Change) -> bytes:
    """Return the packet of an enlarged picture, upright and alone in its file; an unreadable one stays."""
    if not readable(xmp):
        return xmp
    named, (height, width), (across, down) = _names(xmp), change.after, change.factors
    sizes = {b"tiff:ImageWidth": width, b"exif:PixelXDimension": width, b"tiff:Orientation": 1}
    sizes |= {b"tiff:ImageLength": height, b"exif:PixelYDimension": height}
    changes: dict[bytes, Edit] = {name: partial(_constant, number) for name, number in sizes.items()}
    for side, place, factor in ((b"Width", b"Left", across), (b"Height", b"Top", down)):
        for whole in (b"FullPano%bPixels", b"CroppedAreaImage%bPixels", b"LargestValidInteriorRect%b"):
            changes[b"GPano:" + whole % side] = partial(_scaled, factor, Fraction(1, 2))
        # Rounded down, the place of a part leaves it within the whole.
        for part in (b"CroppedArea%bPixels", b"LargestValidInteriorRect%b"):
            changes[b"GPano:" + part % place] = partial(_scaled, factor, Fraction(0))
    xmp = _edited(named, xmp, changes)
    if b"AppliedToDimensions" in xmp or b"Rectangle" in xmp:
        xmp = _regions(named, xmp, change)
    return _without(xmp, named(b"hdrgm:" + NAME), named(b"Container:Directory"), VIDEO)


def readable(xmp: bytes) -> bool:
    """Return whether a packet is XML of elements and text, in UTF-8.

    Nothing is looked for in others: in them, and in what XML leaves unread, a search could be kept busy.
    """
    from xml.parsers import expat

    packet, parser = xmp.strip(b"\0 \n\r\t"), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = parser.StartCdataSectionHandler = _refuse
    parser.CommentHandler = parser.ProcessingInstructionHandler = _refuse_tags
    try:
        parser.Parse(packet, True)
    except (expat.ExpatError, ValueError):
        return False
    return b"\0" not in packet


def _refuse(*_: object) -> None:
    raise ValueError("unreadable")


def _refuse_tags(*texts: str) -> None:
    if "<" in "".join(texts):
        _refuse()


def _names(xmp: bytes) -> Callable[[bytes], bytes]:
    """Return what makes a pattern of a qualified name, with all prefixes that a packet gives to its namespace."""
    declared = re.findall(DECLARED, xmp)

    def named(qualified: bytes) -> bytes:
        prefix, _, name = qualified.partition(b":")
        prefixes = {prefix, *(each for each, uri in declared if uri in NAMESPACES[prefix])}
        return b"(?:" + b"|".join(map(re.escape, prefixes)) + b"):(?:" + name + b")"

    return named


def _edited(named: Callable[[bytes], bytes], xmp: bytes, changes: Mapping[bytes, Edit]) -> bytes:
    """Change the values of properties, attributes and elements alike."""
    name = rb"(?P<name>" + b"|".join(map(named, changes)) + b")"
    by_name = {qualified.partition(b":")[2]: change for qualified, change in changes.items()}

    def changed(found: re.Match[bytes]) -> bytes:
        return found["before"] + by_name[found["name"].partition(b":")[2]](found["value"]) + found["after"]

    attribute = rb"(?P<before>\s" + name + rb"\s*=\s*(?P<quote>[\"']))(?P<value>[^<]*?)(?P<after>(?P=quote))"
    element = rb"(?P<before><" + name + TAG + rb">)(?P<value>[^<]*)(?P<after></(?P=name)\s*>)"
    return re.sub(element, changed, re.sub(attribute, changed, xmp))


def _element(name: bytes) -> bytes:
    """Return a pattern of an element with all that is in it."""
    return rb"(?s:<(" + name + rb")" + TAG + rb"(?:/>|>.*?</\1\s*>))"


def _without(xmp: bytes, *names: bytes) -> bytes:
    """Remove properties, attributes and elements alike."""
    name = b"(?:" + b"|".join(names) + b")"
    xmp = re.sub(rb"\s" + name + rb"\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')", b"", xmp)
    return re.sub(_element(name), b"", xmp)


def _values(named: Callable[[bytes], bytes], xmp: bytes, name: bytes) -> list[bytes]:
    """Return the values of a property."""
    found: list[bytes] = []
    _edited(named, xmp, {name: lambda value: found.append(value) or value})  # type: ignore[func-returns-value]
    return found


def _constant(number: Fraction | int, _: bytes) -> bytes:
    return b"%.12g" % number


def _scaled(factor: Fraction, half: Fraction, value: bytes) -> bytes:
    """Return a number of pixels times a factor, rounded down after a half is added; what is no number stays."""
    number = _number(value)
    return value if number is None else b"%d" % floor(number * factor + half)


def _number(value: bytes) -> Fraction | None:
    """Return a decimal number of a length that makes sense."""
    found = re.fullmatch(rb"\s*([-+]?(?:\d{1,15}(?:\.\d{0,20})?|\.\d{1,20}))\s*", value)
    return Fraction(found[1].decode()) if found else None


def _numbers(values: Iterable[bytes]) -> tuple[Fraction, ...]:
    """Return those of some values that are numbers."""
    return tuple(number for number in map(_number, values) if number is not None)


def _regions(named: Callable[[bytes], bytes], xmp: bytes, change: Change) -> bytes:
    """Turn regions with the picture, and enlarge those in pixels: faces, and areas of focus."""

    def sides_of(piece: bytes, *names: bytes) -> tuple[Fraction, ...]:
        return _numbers(value for name in names for value in _values(named, piece, name)[:1])

    applied = re.search(_element(named(b"mwg-rs:AppliedToDimensions")), xmp)
    height, width = map(Fraction, change.stored)
    if applied is not None and len(sides := sides_of(applied[0], b"stDim:w", b"stDim:h")) == 2:
        width, height = sides
    turned = change.lies(width, height)
    swapped = turned and change.swapped
    across, down = change.factors

    def area(found: re.Match[bytes]) -> bytes:
        names = (b"stArea:x", b"stArea:y", b"stArea:w", b"stArea:h")
        numbers = sides_of(found[0], *names)
        if len(numbers) < 4:
            return found[0]
        pixels = _values(named, found[0], b"stArea:unit") == [b"pixel"]
        x, y, w, h = numbers
        if turned:
            x, y = change.point(x, y, width if pixels else 1, height if pixels else 1)
        w, h = (h, w) if swapped else (w, h)
        made = (x * across, y * down, w * across, h * down) if pixels else (x, y, w, h)
        return _edited(named, found[0], {name: partial(_constant, n) for name, n in zip(names, made, strict=True)})

    def dimensions(found: re.Match[bytes]) -> bytes:
        w, h = (height, width) if swapped else (width, height)
        edits: dict[bytes, Edit] = {
            b"stDim:w": partial(_constant, w * across),
            b"stDim:h": partial(_constant, h * down),
        }
        return _edited(named, found[0], edits)

    def face(value: bytes) -> bytes:
        numbers = _numbers(value.split(b","))
        if len(numbers) != 4 or not turned:
            return value
        x, y, w, h = numbers
        x, y = change.point(x + w / 2, y + h / 2, 1, 1)
        w, h = (h, w) if swapped else (w, h)
        return b", ".join(b"%.12g" % number for number in (x - w / 2, y - h / 2, w, h))

    xmp = re.sub(_element(named(b"mwg-rs:Area")), area, xmp)
    xmp = re.sub(_element(named(b"mwg-rs:AppliedToDimensions")), dimensions, xmp)
    return _edited(named, xmp, {b"MPReg:Rectangle": face})


def announced(xmp: bytes) -> str | None:
    """Return the identifier of the extension that a main packet announces."""
    found = _values(_names(xmp), xmp, EXTENDED)
    return found[0].decode("latin-1") if found else None


def identifier(extension: bytes) -> str:
    """Return the identifier of an extension: its MD5 sum."""
    import hashlib

    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()


def announcing(xmp: bytes, extension: bytes) -> bytes:
    """Return a main packet with the identifier of its extension, which has changed."""
    return _edited(_names(xmp), xmp, {EXTENDED: lambda _: identifier(extension).encode()})


def unannounced(xmp: bytes) -> bytes:
    """Return a main packet that announces no extension."""
    return _without(xmp, _names(xmp)(EXTENDED))


def _rdf(xmp: bytes) -> re.Match[bytes] | None:
    """Return the element of all descriptions: its prefix, and its body."""
    pattern = rb"<(" + NAME + rb":)RDF" + TAG + rb">(?P<body>.*)</\1RDF\s*>"
    return re.search(pattern, xmp, re.DOTALL) if readable(xmp) else None


def merged(xmp: bytes, extension: bytes) -> bytes | None:
    """Return a main packet with the properties of its extension; None if they cannot be put together."""
    main, more = map(_rdf, (xmp, extension))
    if main is None or more is None:
        return None
    head, inner = xmp[: main.start("body") - 1], extension[: more.start("body")]
    declared = dict(re.findall(DECLARED, head))
    for prefix, uri in re.findall(DECLARED, inner):
        if declared.setdefault(prefix, uri) != uri:
            return None
        if prefix not in dict(re.findall(DECLARED, head)):
            head += b' xmlns:%b="%b"' % (prefix, uri)
    body = xmp[main.start("body") - 1 : main.end("body")]
    return unannounced(head + body + more["body"] + xmp[main.end("body") :])


def split(xmp: bytes, limit: int) -> tuple[bytes, bytes] | None:
    """Return a packet of at most `limit` bytes with the smaller descriptions, and an extension with the others.

    None if there is no way to do so.
    """
    rdf = _rdf(xmp)
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

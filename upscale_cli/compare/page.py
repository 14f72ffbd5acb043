"""A page that compares pictures, in one file: HTML, style, script and pictures, and nothing from elsewhere."""

import base64
import codecs
import hashlib
import html
import io
import json
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from upscale_cli.compare.comparison import Comparison, Made

LIMIT, ROOM = 15_000_000, 14_900_000
"""Bytes of a page, and of the pictures in it; where PNG would need more, they become WebP, a third smaller."""

WEBP_LONGEST = 16_383
FIRST = 0x3400
"""The first of the 2¹⁵ characters that stand for bits. The last is U+B3FF, before the halves of characters begin."""

HERE = Path(__file__).parent


def make_page(comparison: Comparison, title: str, executor: Executor) -> bytes:
    """The page, in UTF-16, whose mark at the beginning tells more to a browser than any server does.

    Parameters
    ----------
    title : str
        The name of the image; any characters.
    executor : Executor
        Whose threads pack pictures.
    """
    style, script = (HERE / "page.css").read_text("utf-8"), (HERE / "page.js").read_text("utf-8")
    files = packed([each.png for each in comparison.pictures], executor)
    texts = executor.map(as_text, files)
    (w, h), (width, height) = comparison.before, comparison.after
    parts = {
        "policy": f"default-src 'none'; img-src blob:; style-src {_hash(style)}; script-src {_hash(script)}",
        "title": html.escape(title),
        "sizes": f"{w} × {h} → {width} × {height}",
        "style": style,
        "script": script,
        # Inside a script element only "<" could end it, or begin a comment.
        "data": json.dumps(numbers(comparison)).replace("<", "\\u003c"),
        "pictures": "\n".join(_figure(index, each, title) for index, each in enumerate(comparison.pictures)),
        "files": "\n".join(_file(index, *each) for index, each in enumerate(zip(files, texts, strict=True))),
    }
    template = (HERE / "page.html").read_text("utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    # Bytes of a name that are no text, which Python keeps as half characters, become question marks.
    return codecs.BOM_UTF16_LE + page.encode("utf-16-le", "replace")


def numbers(comparison: Comparison) -> dict[str, Any]:
    """The numbers, for JSON; a PSNR that is infinite, because a picture is the truth itself, is null there."""
    return {
        "before": list(comparison.before),
        "after": list(comparison.after),
        "truth": comparison.truth.when if comparison.truth else None,
        "notes": list(comparison.notes),
        "methods": [_numbers_of(each) for each in comparison.made],
    }


def _numbers_of(made: Made) -> dict[str, Any]:
    assert made.seconds is not None
    told: dict[str, Any] = {
        "method": made.name,
        "when": made.when,
        "seconds": round(made.seconds, 4),
        "bytes": len(made.png),
        "notes": list(made.notes),
    }
    if made.psnr is not None:
        told |= {"psnr": None if made.psnr == float("inf") else made.psnr, "ssim": made.ssim}
    return told


def packed(pngs: Sequence[bytes], executor: Executor) -> list[bytes]:
    """Pictures as they are; or, where these are too large for a page, as lossless WebP of the same pixels.

    What WebP cannot hold (16 bits, a gamma of its own, long sides) or holds no better stays PNG.
    """
    if sum(map(len, pngs)) * 16 // 15 <= ROOM:
        return list(pngs)
    webps = executor.map(_as_webp, pngs)
    return [png if webp is None else min(png, webp, key=len) for png, webp in zip(pngs, webps, strict=True)]


def as_text(data: bytes) -> str:
    """Bytes as characters that stand for 15 bits each, from U+3400 on; the last bits are filled up with zeros.

    In UTF-16 that takes 16/15 of the bytes, and base64 4/3 of them in UTF-8. None of these characters means anything
    to HTML, and none is half of another.

    >>> [hex(ord(character)) for character in as_text(b"\\xff\\xfe\\x80")]
    ['0xb3ff', '0x5400']
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    groups = np.pad(bits, (0, -len(bits) % 15)).reshape(-1, 15)
    codes = FIRST + (np.packbits(groups, axis=1).view(">u2") >> 1)
    return str(codes.astype("<u2").tobytes().decode("utf-16-le"))


def _as_webp(png: bytes) -> bytes | None:
    """A PNG's pixels as lossless WebP, colour profile included; None where WebP has no room for them.

    Pillow's method 1 without its search (quality 0) takes 0.1 s a megapixel; all others gain 2 % at most.
    """
    with Image.open(io.BytesIO(png)) as image:
        sixteen_bits = png[24] == 16  # PNG, section 11.2.1
        if sixteen_bits or max(image.size) > WEBP_LONGEST or ("gamma" in image.info and "srgb" not in image.info):
            return None
        alpha = image.mode in ("LA", "RGBA") or "transparency" in image.info
        colours, stream = image.convert("RGBA" if alpha else "RGB"), io.BytesIO()
        profile = image.info.get("icc_profile")
        colours.save(stream, "WEBP", lossless=True, method=1, quality=0, exact=True, icc_profile=profile)
    return stream.getvalue()


def _figure(index: int, made: Made, title: str) -> str:
    name, of = html.escape(made.name), html.escape(title)
    return f'<figure><img id="picture-{index}" alt="{of} by {name}"><figcaption>{name}</figcaption></figure>'


def _file(index: int, data: bytes, text: str) -> str:
    return f'<script type="text/plain" id="file-{index}" data-bytes="{len(data)}">{text}</script>'


def _hash(text: str) -> str:
    """A source expression that allows this inline text alone (W3C, Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

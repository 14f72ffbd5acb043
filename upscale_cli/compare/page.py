"""A page that compares pictures, in one file: HTML, style, script and pictures, and nothing from elsewhere."""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from PIL import Image

from upscale_cli.compare.comparison import Comparison, Made

LIMIT = 15_000_000
"""Bytes of a page. Where PNG would need more, pictures become lossless WebP: slower, and smaller by a third."""

WEBP_LONGEST = 16_383
HERE = Path(__file__).parent


def make_page(comparison: Comparison, title: str, executor: Executor) -> bytes:
    """The page, in UTF-8.

    Parameters
    ----------
    title : str
        The name of the image; any characters.
    executor : Executor
        Whose threads pack pictures.
    """
    style, script = (HERE / "page.css").read_text("utf-8"), (HERE / "page.js").read_text("utf-8")
    # A name of bytes that are no text, which Python keeps as lone surrogates, is no UTF-8 either.
    title = title.encode("utf-8", "replace").decode()
    pictures = zip(comparison.pictures, pack([each.png for each in comparison.pictures], executor), strict=True)
    (w, h), (width, height) = comparison.before, comparison.after
    parts = {
        "policy": f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}",
        "title": html.escape(title),
        "sizes": f"{w} × {h} → {width} × {height}",
        "style": style,
        "script": script,
        # Inside a script element only "<" could end it, or begin a comment.
        "data": json.dumps(numbers(comparison)).replace("<", "\\u003c"),
        "pictures": "\n".join(_figure(index, each, uri, title) for index, (each, uri) in enumerate(pictures)),
    }
    template = (HERE / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template).encode()


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


def pack(pngs: Sequence[bytes], executor: Executor) -> list[str]:
    """Pictures as data URIs, as they are; or, where these are too long, as lossless WebP of the same pixels.

    What WebP cannot hold (16 bits, a gamma of its own, long sides) or holds no better stays PNG.
    """
    packed = [("png", png) for png in pngs]
    if sum(len(png) for png in pngs) * 4 // 3 > LIMIT - (HERE / "page.js").stat().st_size * 2:
        packed = [
            ("webp", webp) if webp is not None and len(webp) < len(png) else ("png", png)
            for png, webp in zip(pngs, executor.map(_as_webp, pngs), strict=True)
        ]
    return [f"data:image/{kind};base64,{base64.b64encode(data).decode()}" for kind, data in packed]


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


def _figure(index: int, made: Made, uri: str, title: str) -> str:
    name, of = html.escape(made.name), html.escape(title)
    return (
        f'<figure><img id="picture-{index}" alt="{of} by {name}" src="{uri}" decoding="async">'
        f"<figcaption>{name}</figcaption></figure>"
    )


def _hash(text: str) -> str:
    """A source expression that allows this inline text alone (W3C, Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

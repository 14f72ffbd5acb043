"""A page that compares pictures, in one file that works offline: HTML, style, script and pictures."""

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

from upscale_cli.compare.comparison import Comparison, Entry

LIMIT = 15_000_000
"""Size of a page, in bytes, that viewers and mail servers still handle well."""

ROOM = LIMIT - 100_000
"""Bytes of a page left for its pictures in base64. PNG files that need more become WebP, which is a third smaller."""

WEBP_LONGEST = 16_383
"""Longest side that WebP can store, in pixels."""

HERE = Path(__file__).parent


def make_page(comparison: Comparison, title: str, executor: Executor) -> bytes:
    """Return the page as UTF-8.

    Parameters
    ----------
    title : str
        Name of the image; may contain any characters.
    executor : Executor
        Packs pictures on its threads.
    """
    style, script = (HERE / "page.css").read_text("utf-8"), (HERE / "page.js").read_text("utf-8")
    files = packed([each.png for each in comparison.pictures], executor)
    (w, h), (width, height) = comparison.before, comparison.after
    parts = {
        "policy": f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}",
        "title": html.escape(title),
        "sizes": f"{w} × {h} → {width} × {height}",
        "style": style,
        "script": script,
        # Only "<" could end a script element or start a comment in it.
        "data": json.dumps(numbers(comparison)).replace("<", "\\u003c"),
        "pictures": "\n".join(
            _figure(index, each.name, title, file)
            for index, (each, file) in enumerate(zip(comparison.pictures, files, strict=True))
        ),
    }
    template = (HERE / "page.html").read_text("utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    # The byte order mark outranks the encoding that a server states (WHATWG, Encoding, "BOM sniff"). Bytes of a file
    # name that are not text are lone surrogates in Python; they become question marks.
    return page.encode("utf-8-sig", "replace")


def numbers(comparison: Comparison) -> dict[str, Any]:
    """Return the numbers for JSON. An infinite PSNR, which means equal to the reference, becomes null."""
    return {
        "before": list(comparison.before),
        "after": list(comparison.after),
        "reference": comparison.reference.when if comparison.reference else None,
        "notes": list(comparison.notes),
        "methods": [_numbers_of(each) for each in comparison.results],
    }


def _numbers_of(result: Entry) -> dict[str, Any]:
    """Return the numbers of one result for JSON."""
    assert result.seconds is not None
    values: dict[str, Any] = {
        "method": result.name,
        "when": result.when,
        "seconds": round(result.seconds, 4),
        "bytes": len(result.png),
        "notes": list(result.notes),
    }
    if result.psnr is not None:
        values |= {"psnr": None if result.psnr == float("inf") else result.psnr, "ssim": result.ssim}
    return values


def packed(pngs: Sequence[bytes], executor: Executor) -> list[bytes]:
    """Return PNG files unchanged if they fit into a page, else as lossless WebP of the same pixels.

    A file stays PNG if WebP cannot store it (16 bits, a cICP or gamma value, long sides) or is no smaller.
    """
    # Base64 writes 4 characters for every 3 bytes, the last of them padded.
    if sum(-(-len(png) // 3) * 4 for png in pngs) <= ROOM:
        return list(pngs)
    webps = executor.map(_as_webp, pngs)
    return [png if webp is None else min(png, webp, key=len) for png, webp in zip(pngs, webps, strict=True)]


def _as_webp(png: bytes) -> bytes | None:
    """Return a PNG file as lossless WebP with its colour profile, or None if WebP cannot store its pixels.

    Pillow's method 1 at quality 0 (no search) takes 0.1 s per megapixel; the slower settings save at most 2 %.
    """
    with Image.open(io.BytesIO(png)) as image:
        sixteen_bits = png[24] == 16  # PNG, section 11.2.1
        named = b"cICP" in png[:64] or ("gamma" in image.info and "srgb" not in image.info)
        if sixteen_bits or max(image.size) > WEBP_LONGEST or named:
            return None
        alpha = image.mode in ("LA", "RGBA") or "transparency" in image.info
        colours, stream = image.convert("RGBA" if alpha else "RGB"), io.BytesIO()
        profile = image.info.get("icc_profile")
        colours.save(stream, "WEBP", lossless=True, method=1, quality=0, exact=True, icc_profile=profile)
    return stream.getvalue()


def _figure(index: int, name: str, title: str, file: bytes) -> str:
    """Return the HTML of one picture, with its file in a data URL."""
    kind = "png" if file.startswith(b"\x89PNG") else "webp"
    caption, image = html.escape(name), html.escape(title)
    source = f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
    return (
        f'<figure><img id="picture-{index}" alt="{image} by {caption}" src="{source}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _hash(text: str) -> str:
    """Return the source expression that allows this inline text (W3C, Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""200 images whose memory is estimated and measured: shapes, methods and formats, the same at each run.

A case is `[mode, width, height, source, format, method, scale, threads, more]`; see `taken.py`, which measures it.
"""

import random
from fractions import Fraction
from typing import Any

from upscale_cli import METHODS
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.methods import Method

Case = list[Any]

LONG = [(1_000_000, 1), (1, 1_000_000)]
SHAPES = [(1000, 1000), (1500, 700), (700, 1500), (6000, 150), (150, 6000), (60_000, 16), (16, 60_000)]
SHAPES += [(400, 300), (3000, 30), (30, 3000)]
SMALL = [(200, 150), (150, 200), (1000, 30), (30, 1000), (5000, 6), (6, 5000)]
"""Shapes for networks, which take a thousand times as long."""
SCALES = ["2", "3", "4/3", "1.0137", "2.5", "7/5x3", "1", "16/15x16/15"]
SLOW = {"avif", "heif", "jxl", "webp", "jpeg2000", "gif"}
"""Formats whose encoders take a second for a megapixel."""
VARIANTS = {
    "lanczos": ["a=8", "antiring=0.8", "blur=1.5", "edge=reflect", "grid=align-corners"],
    "bicubic": ["a=-0.75", "edge=zero"],
    "ewa-lanczos": ["a=4", "blur=1.2"],
    "transposed-conv": ["edge=zero", "kernel=9"],
    "learned": ["size=small", "size=large", "restore=high", "size=large,restore=high", "content=drawing,restore=0.5"],
}
"""Parameters that take memory, besides those of `Method.variants`; `kernel` says how long one is."""
MODES = {
    "png": "1 L LA RGB RGBA P I;16 RGB16 RGBA16",
    "jpg": "L RGB CMYK",
    "tif": "1 L RGB RGBA P CMYK I;16 RGB16 RGBA16 F F64",
    "tif+one": "L RGB RGB16",
    "tif+tiles": "L RGB RGBA16 F",
    "tif+lzw": "L RGB RGB16",
    "tif+deflate": "RGB RGBA F",
    "tif+jpeg": "L RGB",
    "webp": "RGB RGBA",
    "avif": "L RGB RGBA",
    "heic": "L RGB RGBA",
    "jxl": "L RGB RGBA",
    "jp2": "L RGB RGBA I;16",
    "bmp": "L RGB P",
    "tga": "L RGB RGBA",
    "ppm": "L RGB I;16",
    "pfm": "F",
    "gif": "L P",
    "npy": "1 L RGB RGBA I;16 RGB16 F F64",
    "gif+9": "P RGB RGBA",
    "webp+5": "RGB RGBA",
    "png+5": "RGB RGBA",
    "avif+4": "RGB",
    "tif+4": "L RGB16",
    "npy+4": "RGB F",
}
"""Sources, with how they are stored or their frames, and the pixels that they store."""
DEEP = {"F", "F64", "CMYK", "I;16"}
"""Modes that few formats store."""
VOLUMES: list[Case] = [
    ["volume", 90, 100, f"{source}+{slices}", format, method, scale, threads, {"axes": 3} if source == "npy" else {}]
    for source, slices, format, method, scale, threads in (
        ("nii", 80, "nifti", "lanczos", "2x2x2", 2),
        ("nii", 60, "nii.gz", "bilinear", "4/3", 1),
        ("nii.gz", 60, "nifti", "nearest", "3x3x1", 1),
        ("nii.gz", 40, "nii.gz", "spline", "1x1x5", 2),
        ("dcm", 30, "nifti", "bicubic", "2x2x3", 1),
        ("dcm", 30, "nii.gz", "nearest", "2", 2),
        ("npy", 80, "npy", "lanczos", "2", 8),
        ("npy", 60, "npy", "transposed-conv:kernel=4", "2", 2),
        ("npy", 50, "npy", "bed-of-nails", "3x2x1", 1),
        ("npy", 60, "npy", "bilinear", "1.37", 1),
    )
]


def cases(count: int = 200) -> list[Case]:
    """Return the cases, those of long sides first, and then every variant of every method, and every source."""
    rng = random.Random(20)
    chosen = [
        [mode, *sides, "png", "png", method, scale, threads, {}]
        for sides in LONG
        for mode, method, scale, threads in (
            ("L", "bicubic", "2", 1),
            ("RGB", "lanczos", "1.0137", 2),
            ("L", "transposed-conv", "2", 1),
            ("RGBA", "nearest", "7/5x1", 8),
            ("L", "ewa-lanczos", "1.0137", 1),
            ("P", "scale2x", "2", 1),
            ("L", "bed-of-nails", "3", 1),
            ("L", "lanczos:antiring=1", "1.0137", 1),
            ("I;16", "spline", "4/3", 2),
        )
    ]
    chosen += [["L", *sides, "png", "png", "learned:size=small", "2", 1, {}] for sides in ((90_000, 1), (1, 90_000))]
    chosen += VOLUMES
    ways = [
        f"{method.name}:{variant}".rstrip(":")
        for method in METHODS.values()
        if not any(parameter.name == "indices" for parameter in method.parameters)
        for variant in dict.fromkeys(("", *method.variants, *VARIANTS.get(method.name, ())))
    ]
    usual = [*MODES, *["png", "jpg", "tif"] * 3]
    chosen += [_case(rng, way, rng.choice(usual)) for way in ways]
    quick = ["lanczos", "nearest", "bilinear", "bicubic", "bed-of-nails"]
    chosen += [_case(rng, rng.choice(quick), source) for source in MODES for _ in range(2)]
    while len(chosen) < count:
        chosen.append(_case(rng, rng.choice(ways), rng.choice(usual)))
    return chosen[:count]


def shown(case: Case) -> str:
    """Return a case in words."""
    mode, width, height, source, format, method, scale, threads, more = case
    said = "".join(f", {name} {value}" for name, value in more.items())
    return f"{mode} {width} x {height}, {source} → {format}, {method} ×{scale}{said}, {threads} threads"


def _case(rng: random.Random, way: str, source: str) -> Case:
    """Return a case of a method and a source."""
    method = METHODS[way.partition(":")[0]]
    ending, _, detail = source.partition("+")
    frames = int(detail) if detail.isdigit() else 1
    mode = rng.choice(MODES[source].split())
    own = way.startswith("transposed-conv") and "kernel" not in way
    scale = rng.choice(["2", "3", "4"] if own else _scales(method))
    format = FORMATS[rng.choice(_formats(ending, mode, frames))]
    learned = method.name == "learned"
    most = (600_000 if learned else 2_000_000 if {format.name, ending} & SLOW else 8_000_000) // frames
    longest = min(format.longest, {"webp": 16_383, "heic": 16_384, "avif": 32_768, "jpg": 65_500}.get(ending, 65_535))
    fits = [sides for sides in (SMALL if learned else SHAPES) if _fits(sides, scale, most, longest)] or [(37, 41)]
    threads = rng.choice((1, 1, 2, 8))
    more: dict[str, Any] = {}
    if "linear" in method.heeds and mode in ("RGB", "RGBA") and ending not in ("npy", "jp2") and rng.random() < 0.2:
        more = {"linear": True}
    elif (
        "alpha" in method.heeds
        and format.name in ("png", "tiff", "webp")
        and mode.startswith("RGBA")
        and rng.random() < 0.5
    ):
        more = {"alpha": "separate"}
    return [mode, *rng.choice(fits), source, format.name, way, scale, threads, more]


def _fits(sides: tuple[int, int], scale: str, most: int, longest: int) -> bool:
    factors = [Fraction(each) for each in scale.split("x")]
    after = [side * factor for side, factor in zip(sides, (factors * 2)[:2], strict=True)]
    return after[0] * after[1] <= most and max(after) <= longest


def _scales(method: Method) -> list[str]:
    if method.factors:
        return [str(factor) for factor in method.factors if factor <= 4]
    return ["2", "3", "2x3", "4"] if method.integer_scale else SCALES


def _formats(ending: str, mode: str, frames: int) -> list[str]:
    """Return the formats that can store a result."""
    if ending == "npy" or mode == "F64":
        return ["npy"] if ending == "npy" else ["tiff"]
    if mode == "F":
        return ["tiff", "npy"]
    several = ["png", "webp", "gif", "tiff"] if mode in ("RGB", "RGBA", "P", "L") else ["tiff"]
    if frames > 1:
        return several
    return [
        *several,
        "jpeg",
        "jpeg",
        *([] if mode in DEEP else ["avif", "heif", "jxl", "jpeg2000", "bmp", "ppm", "npy"]),
    ]

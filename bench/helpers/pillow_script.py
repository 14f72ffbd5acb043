"""Enlarge files with Pillow, or with Pillow-SIMD, as a short script does.

`pillow_script.py FACTOR TARGET SOURCE...`; for several sources, the target is a folder.
"""

import sys
from pathlib import Path
from typing import Any

from PIL import Image

OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".png": {},
    ".tif": {"compression": "tiff_adobe_deflate"},
    ".webp": {"quality": 95},
}

factor, target = int(sys.argv[1]), Path(sys.argv[2])
for source in map(Path, sys.argv[3:]):
    made = target / source.name if target.is_dir() else target
    image = Image.open(source)
    size = image.width * factor, image.height * factor
    image.resize(size, Image.Resampling.LANCZOS).save(made, **OPTIONS[made.suffix])

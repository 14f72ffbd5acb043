"""Enlarge a file with pic-scale, on all threads, and Pillow's codecs: `pic_scale_script.py FACTOR TARGET SOURCE`."""

import sys
from pathlib import Path
from typing import Any

import pic_scale
from PIL import Image

OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".png": {},
    ".tif": {"compression": "tiff_adobe_deflate"},
    ".webp": {"quality": 95},
}

factor, target = int(sys.argv[1]), Path(sys.argv[2])
image = Image.open(sys.argv[3])
size = image.width * factor, image.height * factor
pic_scale.resize(image, size, pic_scale.Resampling.LANCZOS, workers=0).save(target, **OPTIONS[target.suffix])

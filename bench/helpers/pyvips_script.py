"""Enlarge files with libvips from Python: `pyvips_script.py FACTOR TARGET SOURCE... [NAME=VALUE...]`.

For several sources, the target is a folder. `NAME=VALUE` are numbers that libvips takes when it saves.
"""

import sys
from pathlib import Path
from typing import Any

import pyvips

OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"Q": 95, "subsample_mode": "off"},
    ".png": {},
    ".tif": {"compression": "deflate"},
    ".webp": {"Q": 95},
}

factor, target = int(sys.argv[1]), Path(sys.argv[2])
more = {name: int(value) for name, _, value in (word.partition("=") for word in sys.argv[3:] if "=" in word)}
for source in (Path(word) for word in sys.argv[3:] if "=" not in word):
    made = target / source.name if target.is_dir() else target
    image = pyvips.Image.new_from_file(str(source), access="sequential")
    image.resize(factor, kernel="lanczos3").write_to_file(str(made), **OPTIONS[made.suffix], **more)

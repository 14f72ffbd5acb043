"""Enlarge a file with OpenCV: `opencv_script.py FACTOR TARGET SOURCE`."""

import sys
from pathlib import Path

import cv2

DEFLATE = 8
"""Of TIFF's compressions."""
OPTIONS = {
    ".jpg": [
        *(cv2.IMWRITE_JPEG_QUALITY, 95),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ],
    ".png": [],
    ".tif": [cv2.IMWRITE_TIFF_COMPRESSION, DEFLATE],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
}

factor, target = int(sys.argv[1]), Path(sys.argv[2])
image = cv2.imread(sys.argv[3])
made = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LANCZOS4)
cv2.imwrite(str(target), made, OPTIONS[target.suffix])

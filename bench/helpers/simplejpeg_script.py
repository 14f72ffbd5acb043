"""Enlarge a JPEG with OpenCV between simplejpeg's codecs: `simplejpeg_script.py FACTOR TARGET SOURCE`."""

import sys
from pathlib import Path

import cv2
import simplejpeg

factor, target = int(sys.argv[1]), Path(sys.argv[2])
image = simplejpeg.decode_jpeg(Path(sys.argv[3]).read_bytes())
made = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LANCZOS4)
target.write_bytes(simplejpeg.encode_jpeg(made, quality=95, colorsubsampling="444"))

"""Double a file with one of our networks in PyTorch: `pytorch_script.py REPOSITORY WEIGHTS TARGET SOURCE`."""

import sys

sys.path.insert(0, sys.argv[1])

import numpy as np
import torch
from PIL import Image

from training.model import Network

luma, *differences = Image.open(sys.argv[4]).convert("YCbCr").split()
plane = np.pad(np.asarray(luma, np.float32) / 255, 2, mode="symmetric")
with np.load(sys.argv[2]) as arrays, torch.inference_mode():
    made = Network.of(dict(arrays))(torch.from_numpy(plane)[None, None])[0, 0].numpy()
luma = Image.fromarray(np.clip(made * 255 + 0.5, 0, 255).astype(np.uint8))
others = [d.resize(luma.size, Image.Resampling.BICUBIC) for d in differences]
Image.merge("YCbCr", [luma, *others]).convert("RGB").save(sys.argv[3], compress_level=1)

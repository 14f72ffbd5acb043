"""Enlarge an array in memory, once for each line that is read, and print the seconds: `arrays.py JOB`.

A job is JSON: `library` (of `LIBRARIES`), `source` (a .npy file of (H, W, 3) or (H, W)), `scale`, `method`, and
`options` that the library takes. It runs in the interpreter that has the library. The line `time` is answered with
the seconds of one enlargement; any other line is the name of a .npy file for the result.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Work = Callable[[], Any]


def upscale(job: dict[str, Any]) -> Work:
    """The package itself."""
    import upscale_cli.commands  # noqa: F401  one BLAS thread, as the command sets it, before NumPy is imported

    # isort: split
    import numpy as np

    from upscale_cli import upscale

    array, scale = np.load(job["source"]), job["scale"]
    return lambda: upscale(array, scale, job["method"], **job["options"])


def pillow(job: dict[str, Any]) -> Work:
    """Pillow, or Pillow-SIMD: from its image to an array."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(np.load(job["source"]))
    size = image.width * job["scale"], image.height * job["scale"]
    filter = Image.Resampling[job["method"].upper()]
    return lambda: np.asarray(image.resize(size, filter))


def pic_scale(job: dict[str, Any]) -> Work:
    """The library pic-scale, on all threads: from Pillow's image to an array."""
    import numpy as np
    import pic_scale
    from PIL import Image

    image = Image.fromarray(np.load(job["source"]))
    size = image.width * job["scale"], image.height * job["scale"]
    filter = getattr(pic_scale.Resampling, job["method"].upper())
    return lambda: np.asarray(pic_scale.resize(image, size, filter, workers=0))


def opencv(job: dict[str, Any]) -> Work:
    """OpenCV; its Lanczos has four lobes."""
    import cv2
    import numpy as np

    array, scale = np.load(job["source"]), job["scale"]
    names = {"lanczos": "INTER_LANCZOS4", "bicubic": "INTER_CUBIC", "bilinear": "INTER_LINEAR"}
    interpolation = getattr(cv2, names.get(job["method"], "INTER_NEAREST"))
    return lambda: cv2.resize(array, None, fx=scale, fy=scale, interpolation=interpolation)


def pyvips(job: dict[str, Any]) -> Work:
    """The library libvips, from memory to an array."""
    import numpy as np
    import pyvips

    image, scale = pyvips.Image.new_from_array(np.load(job["source"])), job["scale"]
    kernel = {"lanczos": "lanczos3", "bicubic": "cubic", "bilinear": "linear"}.get(job["method"], "nearest")
    return lambda: image.resize(scale, kernel=kernel).numpy()


def scikit_image(job: dict[str, Any]) -> Work:
    """The library scikit-image, whose filters are splines: cubic ones stand for Lanczos."""
    import numpy as np
    from skimage import transform

    array = np.load(job["source"])
    size = array.shape[0] * job["scale"], array.shape[1] * job["scale"]
    order = {"nearest": 0, "bilinear": 1}.get(job["method"], 3)
    return lambda: transform.resize(array, size, order=order, preserve_range=True)


def pytorch(job: dict[str, Any]) -> Work:
    """PyTorch's interpolation, on all threads."""
    import numpy as np
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    tensor = torch.from_numpy(np.load(job["source"])).permute(2, 0, 1)[None]
    size = tensor.shape[2] * job["scale"], tensor.shape[3] * job["scale"]
    corners = {} if job["method"] == "nearest" else {"align_corners": False}
    interpolate = torch.nn.functional.interpolate
    return lambda: interpolate(tensor, size, mode=job["method"], **corners)[0].permute(1, 2, 0).numpy()


def pytorch_network(job: dict[str, Any]) -> Work:
    """A network of this package in PyTorch: padded convolutions on channels last, which is its fastest form."""
    sys.path.insert(0, str(ROOT))
    import numpy as np
    import torch

    from training.model import Network

    torch.set_num_threads(os.cpu_count() or 1)
    with np.load(job["options"]["weights"]) as archive:
        network = Network.of(dict(archive))
    tensor = torch.from_numpy(np.pad(np.load(job["source"]), 2, mode="symmetric"))[None, None]

    def work() -> Any:
        with torch.inference_mode():
            return network(tensor)[0, 0].numpy()

    return work


def onnx_network(job: dict[str, Any]) -> Work:
    """A network of this package in onnxruntime, on as many threads as are asked for: padded convolutions."""
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    with np.load(job["options"]["weights"]) as archive:
        arrays = dict(archive)
    about = json.loads(arrays.pop("about").tobytes())
    scale, at = about["scale"], "x"
    results: list[str] = []
    nodes: list[Any] = []

    def stamped(source: str, kernel: str, result: str) -> Any:
        around = (arrays[kernel].shape[-1] - scale) // 2
        return helper.make_node("ConvTranspose", [source, kernel], [result], strides=[scale] * 2, pads=[around] * 4)

    for number, layer in enumerate(about["layers"]):
        name = layer.get("weight")
        if layer["does"] == "convolution":
            pads = [arrays[name].shape[-1] // 2] * 4
            nodes.append(helper.make_node("Conv", [at, name], [f"sum{number}"], pads=pads))
            arrays[layer["slopes"]] = arrays[layer["slopes"]].reshape(-1, 1, 1)
            nodes.append(helper.make_node("PRelu", [f"sum{number}", layer["slopes"]], [f"layer{number}"]))
        elif layer["does"] == "sum":
            nodes.append(helper.make_node("Add", [at, results[layer["with"]]], [f"layer{number}"]))
        else:
            nodes.append(stamped(at, name, f"layer{number}"))
        results.append(at := f"layer{number}")
    arrays[about["skip"]] = arrays[about["skip"]][None, None]
    nodes += [stamped("x", about["skip"], "skipped"), helper.make_node("Add", [at, "skipped"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, None, None)) for name in "xy"]
    weights = [numpy_helper.from_array(each.astype(np.float32), name) for name, each in arrays.items()]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["options"]["threads"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    plane = np.load(job["source"])[None, None]
    return lambda: session.run(None, {"x": plane})[0][0, 0]


LIBRARIES = {
    "upscale": upscale,
    "Pillow": pillow,
    "Pillow-SIMD": pillow,
    "pic-scale": pic_scale,
    "OpenCV": opencv,
    "pyvips": pyvips,
    "scikit-image": scikit_image,
    "PyTorch": pytorch,
    "network in PyTorch": pytorch_network,
    "network in onnxruntime": onnx_network,
}


def main() -> None:
    """Answer each line."""
    job = json.loads(sys.argv[1])
    work = LIBRARIES[job["library"]](job)
    for line in map(str.strip, sys.stdin):
        start = time.perf_counter()
        made = work()
        seconds = time.perf_counter() - start
        if line != "time":
            import numpy as np

            np.save(line, made)
        del made
        print(seconds, flush=True)


if __name__ == "__main__":
    main()

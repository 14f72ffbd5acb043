"""Cases of ONNX Runtime, WebNN, JAX and Pillow, as far as our methods can say what they ask for.

A case that asks for what no method does, such as fewer pixels, is listed with it.
"""

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from support import SHARED, Array, Pair, needs_shared

from upscale_cli import METHODS, upscale
from upscale_cli.methods.placement import max_pool

CASES_THAT_RUN = 127
"""How many did when this was written: the count may rise, and must not fall unseen."""

Inputs = dict[str, Array]
Case = dict[str, Any]


class InexpressibleError(Exception):
    """What a case asks for that no method of ours does."""


@needs_shared
def test_every_case_that_can_be_expressed_passes_at_its_own_tolerance() -> None:
    cases = json.loads((SHARED / "conformance/manifest.json").read_text(encoding="utf-8"))["cases"]
    passed_over: dict[str, str] = {}
    for case in cases:
        with np.load(SHARED / "conformance" / f"{case['name']}.npz") as arrays:
            numbered = {name: f"in_{i}" for i, name in enumerate(case["input_names"])}
            inputs = {name: arrays[key] for name, key in numbered.items() if key in arrays}
            expected = arrays["out_0"]
        try:
            have = OPERATORS[case["op"]](case, inputs, expected.shape)
        except InexpressibleError as error:
            passed_over[case["name"]] = str(error)
            continue
        assert (have.shape, have.dtype) == (expected.shape, expected.dtype), case["name"]
        np.testing.assert_allclose(
            have.astype(np.float64), expected, case["rtol"], case["atol"], err_msg=case["name"]
        )
    ran = len(cases) - len(passed_over)
    print(
        f"\n{ran} of {len(cases)} conformance cases ran and passed; {len(passed_over)} ask for what no method does:"
    )
    for name, reason in passed_over.items():
        print(f"  {name}: {reason}")
    assert ran >= CASES_THAT_RUN
    assert all(passed_over.values())


# Tensors as images.


def on_two_axes(work: Callable[[Array], Array], tensor: Array, axes: Pair) -> Array:
    """A tensor on two axes of which images (H, W, everything else) -> (H', W', everything else) are worked."""
    moved = np.moveaxis(tensor, axes, (0, 1))
    made = work(moved.reshape(*moved.shape[:2], -1))
    return np.moveaxis(made.reshape(*made.shape[:2], *moved.shape[2:]), (0, 1), axes)


def even(values: Iterable[Any], rank: int, fill: Any) -> tuple[Any, ...]:
    """Values of the last axes of a tensor, for all its axes and one more before an odd number of them."""
    given = tuple(values)
    return (fill,) * (rank + rank % 2 - len(given)) + given


# Transposed convolution, max pooling, max unpooling.


def conv_transpose(case: Case, inputs: Inputs, shape: tuple[int, ...]) -> Array:
    """One axis is an image of height 1. Pads that differ, and the automatic ones, are a crop of all that there is."""
    told, x, w = case["attributes"], inputs["X"], inputs["W"]
    rank = x.ndim - 2
    if rank > 2:
        raise InexpressibleError("one kernel over three axes; an image has two")
    x, w = (a.reshape(*a.shape[:2], *even(a.shape[2:], rank, 1)) for a in (x, w))
    stride, dilation = (even(told.get(name, (1,) * rank), rank, 1) for name in ("strides", "dilations"))
    extra = even(told.get("output_padding", (0,) * rank), rank, 0)
    if "auto_pad" in told:
        kernel = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True)]
        sizes = even(shape[2:], rank, 1)
        total = [(n - 1) * s + k - o for n, s, k, o in zip(x.shape[2:], stride, kernel, sizes, strict=True)]
        less, more = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        before, after = (less, more) if told["auto_pad"] == "SAME_UPPER" else (more, less)
    elif "padding" in told:
        before, after = tuple(told["padding"][::2]), tuple(told["padding"][1::2])
    else:
        pads = told.get("pads", (0,) * 2 * rank)
        before, after = even(pads[:rank], rank, 0), even(pads[rank:], rank, 0)
    alike = before == after
    made = upscale(
        x.transpose(0, 2, 3, 1),
        stride,
        "transposed-conv",
        kernel=w,
        groups=told.get("group", told.get("groups", 1)),
        dilation=dilation,
        padding=tuple(before) if alike else 0,
        output_padding=extra,
    ).transpose(0, 3, 1, 2)
    if not alike:
        top, left, bottom, right = *before, *(n - a for n, a in zip(made.shape[2:], after, strict=True))
        made = made[:, :, top:bottom, left:right]
    return np.asarray(made + inputs.get("B", np.zeros(1, np.float32)).reshape(-1, 1, 1)).reshape(shape)


def maximum_pool(case: Case, inputs: Inputs, shape: tuple[int, ...]) -> Array:
    """Pooling is separable: three axes are pooled two at a time. Pads that differ are the lowest value there is."""
    told, (x,) = case["attributes"], inputs.values()
    rank = len(told["kernel_shape"])
    pads = told.get("pads", (0,) * 2 * rank)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    window, stride, dilation = (
        even(told.get(name, (1,) * rank), x.ndim, 1) for name in ("kernel_shape", "strides", "dilations")
    )
    before, after = even(pads[:rank], x.ndim, 0), even(pads[rank:], x.ndim, 0)
    x = x.reshape(even(x.shape, x.ndim, 1))
    if before != after:
        x, before = np.pad(x, list(zip(before, after, strict=True)), constant_values=lowest), (0,) * x.ndim

    for axis in range(0, x.ndim, 2):
        two = slice(axis, axis + 2)

        def pool(image: Array, two: slice = two) -> Array:
            values, indices, _ = max_pool(
                image,
                window[two],
                stride=stride[two],
                padding=before[two],
                dilation=dilation[two],
                ceil=bool(told.get("ceil_mode")),
            )
            planes = image.reshape(-1, image.shape[2])
            np.testing.assert_array_equal(
                np.take_along_axis(planes, indices.reshape(-1, image.shape[2]), 0), values.reshape(-1, image.shape[2])
            )
            return values

        x = on_two_axes(pool, x, (axis, axis + 1))
    return x.reshape(shape)


def maximum_unpool(case: Case, inputs: Inputs, shape: tuple[int, ...]) -> Array:
    """A place counts through the whole tensor there, through its plane here; a volume is a tall plane."""
    x, places = inputs["xT"], inputs["xI"]
    width = shape[-1]
    height = math.prod(shape[2:]) // width
    images, indices = (
        a.reshape(*a.shape[:2], -1, a.shape[-1]).transpose(0, 2, 3, 1) for a in (x, places % (height * width))
    )
    made = upscale(images, size=(height, width), method="max-unpooling", indices=indices)
    return made.transpose(0, 3, 1, 2).reshape(shape)


# Resizing.

FILTERS = {
    "nearest-neighbor": "nearest",
    "nearest": "nearest",
    "box": "nearest",  # which it is while an image is enlarged by a whole factor
    "hamming": "hamming",
    "linear": "bilinear",
    "bilinear": "bilinear",
    "cubic": "bicubic",
    "bicubic": "bicubic",
    "lanczos": "lanczos",
    "lanczos3": "lanczos",
    "lanczos5": "lanczos",
}


def resize(case: Case, inputs: Inputs, shape: tuple[int, ...]) -> Array:
    """Enlarging is separable: axes that grow are enlarged two at a time, those that do not are channels."""
    told, x = case["attributes"], inputs["X"]
    opset = int(case["semantics"].rpartition("opset ")[2]) if "ONNX" in case["semantics"] else None
    if any(new < old for new, old in zip(shape, x.shape, strict=True)):
        raise InexpressibleError("shrinks, and this tool only enlarges")
    mode = str(told.get("filter", told.get("mode"))).lower()
    if mode not in FILTERS:
        raise InexpressibleError(f"the filter {mode}")
    method, parameters, dtype = FILTERS[mode], dict[str, Any](), x.dtype
    rules = ("asymmetric", "floor") if opset and opset < 11 else ("half_pixel", "round_prefer_floor")
    rule = told.get("coordinate_transformation_mode", rules[0])
    if rule == "tf_crop_and_resize":
        raise InexpressibleError("the region of interest of tf_crop_and_resize")
    parameters["grid"] = rule.replace("_", "-")
    if method == "nearest":
        parameters["rounding"] = told.get("nearest_mode", rules[1]).replace("_", "-")
    elif opset:
        parameters["edge"] = "renormalise" if told.get("exclude_outside") else "repeat"
        # ONNX Runtime computes integers in float32 and cuts off what is behind the point.
        x = x.astype(np.float32)
    if mode.startswith("lanczos"):
        parameters["a"] = int(mode[7:] or 3)
    if opset and method == "bicubic":
        parameters["a"] = told.get("cubic_coeff_a", -0.75)

    scales = [float(s) for s in told.get("scales", inputs.get("scales", ()))]
    if "sizes" in told or "sizes" in inputs or len(scales) != x.ndim:
        scales = []
    grown = sorted(range(x.ndim), key=lambda axis: shape[axis] != x.shape[axis])
    made = x.transpose(grown).reshape(even((x.shape[axis] for axis in grown), x.ndim, 1))
    sizes = even((shape[axis] for axis in grown), x.ndim, 1)
    factors = even((scales[axis] for axis in grown), x.ndim, 1.0) if scales else ()
    for axis in range(0, made.ndim, 2):
        two = slice(axis, axis + 2)

        def enlarge(image: Array, two: slice = two) -> Array:
            if rule != "half_pixel" and factors:
                return upscale(image, factors[two], METHODS[method], **parameters)
            if case["name"].startswith("pillow"):
                # Pillow rounds after each pass: two enlargements.
                image = upscale(image, size=(image.shape[0], sizes[two][1]), method=METHODS[method], **parameters)
            return upscale(image, size=sizes[two], method=METHODS[method], **parameters)

        made = on_two_axes(enlarge, made, (axis, axis + 1))
    return made.reshape([shape[axis] for axis in grown]).transpose(np.argsort(grown)).astype(dtype)


OPERATORS: dict[str, Callable[[Case, Inputs, tuple[int, ...]], Array]] = {
    "ConvTranspose": conv_transpose,
    "MaxPool": maximum_pool,
    "MaxUnpool": maximum_unpool,
    "Resize": resize,
    "Upsample": resize,
}

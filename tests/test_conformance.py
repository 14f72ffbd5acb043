"""Cases of ONNX Runtime, WebNN, JAX and Pillow, as far as our methods can say what they ask for.

A case that asks for another grid, another edge or fewer pixels is listed with the first thing that differs. Whether
a grid differs is worked out from the operator's definition, never from the numbers that the case expects.
"""

import json
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
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
    "linear": "bilinear",
    "bilinear": "bilinear",
    "cubic": "bicubic",
    "bicubic": "bicubic",
    "lanczos": "lanczos",
    "lanczos3": "lanczos",
    "lanczos5": "lanczos",
}
NEAREST: dict[str, Callable[[Fraction], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda u: math.ceil(u - Fraction(1, 2)),
    "round_prefer_ceil": lambda u: math.floor(u + Fraction(1, 2)),
}


def place(rule: str, j: int, n_in: int, n_out: int, scale: Fraction) -> Fraction:
    """Where output `j` lies in the input: `coordinate_transformation_mode` of ONNX's Resize, opset 19."""
    half = Fraction(1, 2)
    match rule:
        case "half_pixel":
            return (j + half) / scale - half
        case "pytorch_half_pixel":
            return (j + half) / scale - half if n_out > 1 else Fraction(0)
        case "half_pixel_symmetric":
            return Fraction(n_in, 2) * (1 - n_out / (scale * n_in)) + (j + half) / scale - half
        case "asymmetric":
            return j / scale
        case "align_corners":
            return Fraction(j * (n_in - 1), n_out - 1) if n_out > 1 else Fraction(0)
        case "tf_half_pixel_for_nn":
            return (j + half) / scale
    raise InexpressibleError(f"the grid {rule}")


def resize(case: Case, inputs: Inputs, shape: tuple[int, ...]) -> Array:
    """Enlarging is separable: axes that grow are enlarged two at a time, those that do not are channels."""
    told, x = case["attributes"], inputs["X"]
    opset = int(case["semantics"].rpartition("opset ")[2]) if "ONNX" in case["semantics"] else None
    if any(new < old for new, old in zip(shape, x.shape, strict=True)):
        raise InexpressibleError("shrinks, and this tool only enlarges")
    mode = str(told.get("filter", told.get("mode"))).lower()
    if mode not in FILTERS:
        raise InexpressibleError(f"the filter {mode}")

    rules = ("asymmetric", "floor") if opset and opset < 11 else ("half_pixel", "round_prefer_floor")
    rule = told.get("coordinate_transformation_mode", rules[0])
    rounding = told.get("nearest_mode", rules[1])
    scales = [Fraction(float(s)).limit_denominator(1000) for s in told.get("scales", inputs.get("scales", ()))]
    if "sizes" in told or len(scales) != x.ndim:
        scales = [Fraction(new, old) for new, old in zip(shape, x.shape, strict=True)]
    method = FILTERS[mode]
    for axis, (n_in, n_out, scale) in enumerate(zip(x.shape, shape, scales, strict=True)):
        for j in range(n_out if scale != 1 else 0):
            theirs = place(rule, j, n_in, n_out, scale)
            ours = (j + Fraction(1, 2)) * n_in / n_out - Fraction(1, 2)
            asked = f"{rule}, {rounding}" if method == "nearest" else rule
            if method == "nearest":
                theirs, ours = Fraction(NEAREST[rounding](theirs)), Fraction(NEAREST["round_prefer_ceil"](ours))
            if method != "bicubic":
                # Beyond the border there is only the border.
                theirs, ours = (min(max(u, Fraction(0)), Fraction(n_in - 1)) for u in (theirs, ours))
            if theirs != ours:
                raise InexpressibleError(
                    f"{asked}: output {j} of axis {axis} lies at {theirs}, at pixel centres at {ours}"
                )

    parameters: dict[str, Any] = {}
    clamped = False
    if mode.startswith("lanczos"):
        parameters["a"] = int(mode[7:] or 3)
    if opset and method == "bicubic":
        parameters["c"] = -told.get("cubic_coeff_a", -0.75)
        clamped = not told.get("exclude_outside")

    grown = sorted(range(x.ndim), key=lambda axis: shape[axis] != x.shape[axis])
    made = x.transpose(grown).reshape(even((x.shape[axis] for axis in grown), x.ndim, 1))
    sizes = even((shape[axis] for axis in grown), x.ndim, 1)
    for axis in range(0, made.ndim, 2):
        height, width = sizes[axis : axis + 2]

        def enlarge(image: Array, height: int = height, width: int = width) -> Array:
            if clamped:
                # Taps beyond the border weigh the border: given to ours as so much more image, and cut off again.
                h, w = image.shape[:2]
                image = np.pad(image, [(h, h), (w, w), (0, 0)], "edge")
                return upscale(image, size=(3 * height, 3 * width), method=METHODS[method], **parameters)[
                    height : 2 * height, width : 2 * width
                ]
            if case["name"].startswith("pillow"):
                # Pillow rounds after each pass: two enlargements.
                image = upscale(image, size=(image.shape[0], width), method=METHODS[method], **parameters)
            return upscale(image, size=(height, width), method=METHODS[method], **parameters)

        made = on_two_axes(enlarge, made, (axis, axis + 1))
    return made.reshape([shape[axis] for axis in grown]).transpose(np.argsort(grown))


OPERATORS: dict[str, Callable[[Case, Inputs, tuple[int, ...]], Array]] = {
    "ConvTranspose": conv_transpose,
    "MaxPool": maximum_pool,
    "MaxUnpool": maximum_unpool,
    "Resize": resize,
    "Upsample": resize,
}

"""Cases of ONNX Runtime, WebNN, JAX and Pillow, as far as our methods can say what they ask for.

A case that asks for what no method does, such as fewer pixels, is listed with it.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from support import SHARED, Array, Pair, needs_shared

from upscale_cli import METHODS, upscale
from upscale_cli.methods.pooling import Windows, average_pool, max_pool

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


# Transposed convolution, pooling, max unpooling: their attributes are our parameters.


def ends(pads: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """ONNX's pads, all beginnings before all ends, as those of each axis."""
    return tuple(zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True))


def padding(told: dict[str, Any], rank: int) -> Any:
    """The parameter `padding` for the attributes of an operator; VALID is a padding of 0."""
    words = told.get("auto_pad", "NOTSET") or "NOTSET"
    if words.startswith("SAME"):
        return words.lower().replace("_", "-")
    if "padding" in told:  # WebNN's: both ends of each axis
        return tuple(zip(told["padding"][::2], told["padding"][1::2], strict=True))
    return ends(told.get("pads", (0,) * 2 * rank))


def conv_transpose(case: Case, inputs: Inputs, shape: tuple[int, ...]) -> Array:
    told, x = case["attributes"], inputs["X"]
    rank = x.ndim - 2
    wanted = told.get("output_shape")
    where: dict[str, Any] = {"padding": padding(told, rank), "output_padding": told.get("output_padding")}
    if wanted is not None:
        where = {"padding": "same-lower", "output_shape": wanted[-rank:]}
    return upscale(
        x,
        tuple(told.get("strides", (1,) * rank)),
        "transposed-conv",
        channels_first=True,
        kernel=inputs["W"],
        bias=inputs.get("B"),
        groups=told.get("group", told.get("groups", 1)),
        dilation=told.get("dilations", 1),
        **where,
    )


def pooling(told: dict[str, Any]) -> Windows:
    rank = len(told["kernel_shape"])
    return Windows(
        window=tuple(told["kernel_shape"]),
        stride=tuple(told.get("strides", (1,) * rank)),
        padding=padding(told, rank),
        dilation=tuple(told.get("dilations", (1,) * rank)),
        ceil=bool(told.get("ceil_mode")),
    )


def maximum_pool(case: Case, inputs: Inputs, shape: tuple[int, ...]) -> Array:
    (x,) = inputs.values()
    made = []
    for image in x:
        values, indices, sides = max_pool(np.moveaxis(image, 0, -1), pooling(case["attributes"]))
        planes = np.moveaxis(image, 0, -1).reshape(-1, len(image))
        np.testing.assert_array_equal(
            np.take_along_axis(planes, indices.reshape(-1, len(image)), 0), values.reshape(-1, len(image))
        )
        assert sides == x.shape[2:]
        made.append(np.moveaxis(values, -1, 0))
    return np.stack(made)


def average(case: Case, inputs: Inputs, shape: tuple[int, ...]) -> Array:
    (x,) = inputs.values()
    told = case["attributes"]
    images = [np.moveaxis(image, 0, -1) for image in x]
    made = [average_pool(image, pooling(told), bool(told.get("count_include_pad"))) for image in images]
    return np.stack([np.moveaxis(image, -1, 0) for image in made])


def maximum_unpool(case: Case, inputs: Inputs, shape: tuple[int, ...]) -> Array:
    """An index counts through the whole tensor there, through its plane here."""
    indices = inputs["xI"] % math.prod(shape[2:])
    return upscale(inputs["xT"], size=shape[2:], method="max-unpooling", indices=indices, channels_first=True)


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
    "AveragePool": average,
    "ConvTranspose": conv_transpose,
    "MaxPool": maximum_pool,
    "MaxUnpool": maximum_unpool,
    "Resize": resize,
    "Upsample": resize,
}

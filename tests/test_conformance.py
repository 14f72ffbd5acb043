"""Cases of ONNX Runtime, WebNN, JAX and Pillow, as far as our methods can say what they ask for.

A case that asks for another grid, another edge or fewer pixels is listed with the first thing that differs. Whether
a grid differs is worked out from the operator's definition, never from the numbers that the case expects.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
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
    "AveragePool": average,
    "ConvTranspose": conv_transpose,
    "MaxPool": maximum_pool,
    "MaxUnpool": maximum_unpool,
    "Resize": resize,
    "Upsample": resize,
}

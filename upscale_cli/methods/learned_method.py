"""The method `learned`, and how it is made; `learned` has the arithmetic."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods.method import Method, Parameters, Shape, Size, WorkingMemory, rounded_shape
from upscale_cli.methods.parameters import ArchiveValue, Choice, Parameter, Scale, round_side
from upscale_cli.methods.restoring import Found, Losses, Restoration, found_in

if TYPE_CHECKING:
    from upscale_cli.methods.chain import Networks
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler


class NetworkValue(ArchiveValue):
    """The arrays of a network, or one that computes by itself, as those of ONNX files do."""

    def read(self, value: Any) -> Any:
        return value if callable(getattr(value, "run", None)) else super().read(value)

    def check(self, value: Any) -> None:
        """Raise `UpscaleError` if it is invalid at any of its levels, though a picture may need another."""
        from upscale_cli.methods.compact import read_any

        if not isinstance(value, Mapping):
            return
        for level in read_any(value).levels or (0.0,):
            try:
                found = read_any(value, level)
                if "about" in value and not found.keeps_flat():
                    raise UpscaleError(
                        "its weights are so large that single precision does not keep flat areas; "
                        "use a network with smaller ones."
                    )
                if not found.stays_finite():
                    raise UpscaleError("its weights are so large that results are not finite numbers.")
            except UpscaleError as error:
                raise UpscaleError(f"at level {level:g}, {error}" if level else str(error)) from None


REMAINS = 0.27, 0.36
"""The share of a level that a small network which enlarges is told, after one that has restored: the first number,
and the second times the level.

A share of 0.3 for all loses 0.02 to 0.035 dB on 21 training photographs of JPEG quality 75 to 40 at ×2, 0.006 to 0.02
dB on 33 at ×4, and hardly anything at quality 90."""
REMAINS_OF_OTHERS = 0.3
"""The same for levels that somebody types, since what was noise or too sharp leaves less: with the share above, noise
of deviation 6 loses 0.16 dB."""
MEANS = {1: "", 4: ", mean of four turns", 8: ", mean of eight flips and turns"}
"""How a mean over some flips and turns is explained."""
TURNS = 4
"""Of how many turns of a picture what restores is averaged with `size=large`.

That takes a fifth of the large network's multiplications, and Kodak photographs gain 0.02 to 0.03 dB (×2, JPEG of
qualities 90 to 40); all eight flips and turns would gain 0.002 to 0.003 dB more.
"""
COARSE = 0.6
"""The level of JPEG quality 72. From there on, the small network, averaged over `TURNS` as well, takes the place of
the large one. It comes within 0.015 dB of it (×2; better at ×3), with half of the multiplications: detail that the
large one could make more of is gone."""


def networks(parameters: Parameters) -> "Networks":
    """Return the networks that the parameters choose: the user's own, or the shipped ones of a size."""
    from upscale_cli.methods import shipped
    from upscale_cli.methods.chain import Kind, Networks
    from upscale_cli.methods.compact import read_any

    level = 0.0 if parameters["restore"] == "auto" else parameters["restore"]
    given, size = parameters["network"], parameters["size"] or "small"

    def own(level: float) -> Kind:
        network = read_any(given, level) if isinstance(given, Mapping) else given
        return Kind((network.scale,), lambda factor: network)

    def restoring(name: str, level: float, size: str) -> Kind:
        return Kind(tuple(shipped.RESTORED[name]), lambda factor: shipped.restoring(name, factor, level), size)

    def undamaged(size: str) -> Kind:
        return Kind(shipped.UNDAMAGED[size], lambda factor: shipped.network(size, factor), size)

    if given is not None:
        first = own(level)
        others = [own(0.0) if level else first]
    elif parameters["content"] == "drawing":
        # Edges of text gain 0.3 dB if all networks are large; photographs gain nothing after the first.
        first, others = restoring(f"{size} drawing", level, size), [restoring(f"{size} drawing", 0.0, size)]
    else:
        share = REMAINS[0] + REMAINS[1] * level if isinstance(level, Found) else REMAINS_OF_OTHERS
        first, then = restoring("photo", level, "small"), restoring("remains", share * level, "small")
        others = [undamaged("small")]
        if size == "large":
            first, then = replace(first, turns=TURNS), replace(then, turns=TURNS)
        if level and (size == "small" or level >= COARSE):
            others.insert(0, then)
        elif size == "large":
            # The large network knows nothing of what remains. The mean of both is better than either.
            others.insert(0, replace(undamaged("large"), beside=then if level else None))
    kinds = [first, *others] if level else others
    alone = kinds[0] if level or kinds[0].factors == (1,) else None
    blocks = level.blocks if isinstance(level, Found) else ()
    return Networks(kinds=kinds, alone=alone, turns=int(parameters["ensemble"] or 1), blocks=blocks)


def output_shape(shape: Shape, scale: Scale, parameters: Parameters) -> Shape:
    """Return the output's shape; raises `UpscaleError` for an invalid network, or two choices of one."""
    found = networks(parameters)
    level, own = parameters["restore"], parameters["network"]
    for name in ("size", "content"):
        if own is not None and parameters[name] not in (None, "photo"):
            raise UsageError(f"learned: {name} and network exclude each other; omit one.")
    if own is not None and type(level) is float and level and not found.kinds[-1].network(0).levels:
        raise UsageError("learned: the network given has no levels to restore by; omit restore.")
    if own is not None and found.kinds[0].factors == (1,) and max(scale) > 1:
        raise UsageError("learned: the network given keeps the size of pictures; use scale 1.")
    return rounded_shape(shape, scale, parameters)


def working_memory(shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
    """Return the working memory for an output of some height and width."""
    from upscale_cli.methods.learned import chain_memory

    chosen = networks(parameters)
    return lambda size: chain_memory(shape, size, chosen)


def make(source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters) -> "Upsampler":
    """Return the upsampler of a source."""
    from upscale_cli.methods.learned import chained

    return chained(source, size, networks(parameters), samples)


def settle(parameters: Parameters) -> dict[str, bool]:
    """Return the promises that do not hold: only layout 1 keeps constants, and what restores changes pixels."""
    from upscale_cli.methods.compact import read_any

    given, level = parameters.get("network"), parameters.get("restore", "auto")
    foreign = given is not None and not (isinstance(given, Mapping) and "about" in given)
    own = read_any(given) if isinstance(given, Mapping) else given
    restores = level not in ("auto", 0) or (own is not None and own.scale == 1)
    return dict.fromkeys(["keeps_constants"] * foreign + ["interpolates"] * restores, False)


def explain_networks(shape: Shape, scale: Scale, parameters: Parameters) -> str:
    """Describe which networks are used, one after the other."""
    own, level, drawn = parameters["network"] is not None, parameters["restore"], parameters["content"] == "drawing"
    found = networks(parameters)
    sizes = [Fraction(round_side(side, factor), side) for side, factor in zip(shape[:2], scale, strict=True)]
    chain = found.chain(float(max(sizes)))
    steps, last = [], chain[0].size if chain else ""
    for step in chain:
        within = " (within what its tables allow)" if step.blocks else ""
        factor = f"x{step.network.scale}" if step.network.scale > 1 else f"its own size{within}"
        by = f" by the {step.size} one" if step.size != last else ""
        if step.beside:
            by = f", the mean of the {step.size} one and the small one"
        steps.append(f"{factor}{by}{MEANS[step.turns]}")
        last = step.size
    if any(size != prod(step.network.scale for step in chain) for size in sizes):
        steps.append("an antialiased reduction")
    because = f", because {level.why}" if isinstance(level, Found) else ""
    if not chain:
        return steps[0] if steps else f"nothing to do{because}"
    kind = "" if drawn and chain[0].size == "small" else f"{chain[0].size} "
    kind += "restoring " if level not in ("auto", 0) else ""
    given = f"the network given{chain[0].network.note}" if own else ""
    whose = given or f"the {kind}network{' for drawings' if drawn else ''}"
    nothing = "; nothing is restored" if because and not level else ""
    return f"{whose}: {', then '.join(steps)}{nothing}{because}"


def heed(parameters: Parameters, losses: Losses) -> Parameters:
    """Return the parameters for a file, which says how much is to be restored."""
    if parameters["restore"] != "auto":
        return parameters
    if parameters["network"] is not None and not networks(parameters).kinds[-1].network(0).levels:
        return {**parameters, "restore": Found(0, "the network given has no levels")}
    return {**parameters, "restore": found_in(losses)}


LEARNED = Method(
    name="learned",
    summary="a convolutional network, trained on photographs",
    when="reduced photographs: closest to the original, but slower",
    group="learned",
    compared=True,
    source="Dong et al. 2016 (FSRCNN); Bhardwaj et al. 2022 (SESR)",
    make=make,
    known_as=("ai", "ml", "neural", "network", "cnn", "model", "super-resolution", "esrgan", "waifu2x"),
    output_shape=output_shape,
    parameters=(
        Parameter(
            name="size",
            kind=Choice("small", "large"),
            default=None,
            summary="of the network: small, or large, which is better and slower [small]",
        ),
        Parameter(
            name="network",
            kind=NetworkValue("a mapping of arrays, as numpy.load gives them, or what load_network returns"),
            default=None,
            summary="a network of your own in a .npz file, of others in a .safetensors or .onnx file.",
        ),
        Parameter(
            name="content",
            kind=Choice("photo", "drawing"),
            default=None,
            summary="what the picture shows: photo, or drawing, also for text and screenshots [photo]",
        ),
        Parameter(
            name="restore",
            kind=Restoration(),
            default="auto",
            summary="how much damage of JPEG, noise or sharpening to remove [auto: as a JPEG or WebP says]",
        ),
        Parameter(
            name="ensemble",
            kind=Choice("1", "8"),
            default=None,
            summary="8 is the mean over flips and turns: slightly better, eight times slower [1]",
        ),
    ),
    variants=("size=large", "content=drawing", "size=large,content=drawing", "restore=high"),
    resizable=True,
    independent=False,
    straight=True,
    symmetric=False,
    explain=explain_networks,
    heed=heed,
    settle=settle,
    working_memory=working_memory,
)

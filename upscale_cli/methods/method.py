"""What a method is: one row of `METHODS`, and the size of its result.

Plain Python, because `--help` reads the table and must not wait for NumPy: a method's functions import it when they
are called.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import ceil
from operator import lt
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.methods.parameters import Parameter, Scale, read_parameters, round_side
from upscale_cli.methods.restoring import Losses

if TYPE_CHECKING:
    from upscale_cli.methods.filters import NamedFilter
    from upscale_cli.methods.samples import Samples
    from upscale_cli.methods.upsampler import Array, Upsampler

Size = tuple[int, ...]
"""Height and width; of a line the width alone, of a volume depth before the two."""
Shape = tuple[int, ...]
"""A size, and the channels."""
Parameters = Mapping[str, Any]
Remark = Callable[[Shape, Scale, Parameters], str | None]
Group = Literal["copied", "filters", "polar", "placement", "learned", "other"]

GROUPS: dict[Group, str] = {
    "copied": "no new value appears",
    "filters": "weighted sums of near pixels, along rows and columns",
    "polar": "weighted sums of near pixels, by their distance",
    "placement": "values among zeros, for decoders of neural networks",
    "learned": "fitted to photographs, or to data of yours",
    "other": "from other packages",
}
"""The groups in which methods are listed, in this order, and what those of each have in common."""

if TYPE_CHECKING:

    class Make(Protocol):
        """How a method makes an upsampler."""

        def __call__(
            self, source: "Array", /, *, scale: Scale, size: Size, samples: "Samples", parameters: Parameters
        ) -> "Upsampler":
            """Return the upsampler from a source (H, W, C) to an output of `size`, its height and width.

            A source of a method with `volumes` may be (W, C) or (D, H, W, C). The rows of a volume are those of all
            its slices, one slice below the other.

            `scale` holds the exact factors, `samples` the meaning of the samples; `parameters` have been read.
            """


class Bound(NamedTuple):
    """A function and its first argument: unlike a `partial`, it equals its copy in another process."""

    function: Callable[..., Any]
    first: Any

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.function(self.first, *given, **named)


SLICES = 8
"""Most slices of a volume that are made together: neighbours are made of the same slices, which are read once."""


class WorkingMemory(NamedTuple):
    """What a method needs at work, besides the bands of the output that are being made.

    Attributes
    ----------
    rows : int
        Rows of a band of the output.
    values, values_per_thread : int
        Floats that all threads share, and that each thread needs.
    """

    rows: int = 1
    values: int = 0
    values_per_thread: int = 0


def rounded_shape(shape: Shape, scale: Scale, parameters: Parameters) -> Shape:
    """Return the output's shape for sides that are multiplied by the scale and rounded half up."""
    return (*map(round_side, shape, scale), shape[-1])


def cell_size(scale: Scale) -> Size:
    """Return an integer scale as the height and width of the cell of outputs that belongs to one input."""
    return tuple(map(int, scale))


def no_remark(shape: Shape, scale: Scale, parameters: Parameters) -> str | None:
    """Say nothing."""
    return None


def settle_border(parameters: Parameters) -> dict[str, Any]:
    """Return that constants do not stay constant, if there are zeros beyond the border."""
    return {"keeps_constants": False} if parameters.get("edge") == "zero" else {}


def no_heed(parameters: Parameters, losses: Losses) -> Parameters:
    """Return the parameters as they are."""
    return parameters


def placed_memory(shape: Shape, parameters: Parameters) -> Callable[[Size], WorkingMemory]:
    """Return the working memory of methods that move samples: a row of cells, and indices of rows and columns."""

    def needed(size: Size) -> WorkingMemory:
        rows = slices_of(size) * size[1] if len(size) == 3 else ceil(size[0] / shape[0])
        return WorkingMemory(rows, 12 * sum(size))

    return needed


def slices_of(size: Size, channels: int = 1) -> int:
    """Return how many slices of a volume are made together."""
    from upscale_cli.methods.upsampler import BAND_VALUES

    return max(1, min(SLICES, size[0], BAND_VALUES // (size[1] * size[2] * channels)))


def as_typed(pair: Sequence[Any], last: bool = True) -> str:
    """Return a (vertical, horizontal) pair as it is typed on the command line: width x height.

    `last` is for other ways to show pairs, which say the order of the two at the last pair of a sentence.

    >>> as_typed((3, 2)), as_typed((Fraction(3, 2), 2))
    ('2x3', '2x1.5')
    """
    return "x".join(f"{float(side):.15g}" for side in reversed(pair))


class Method(NamedTuple):
    """A way to make an image larger: a record that is built by keyword, and pickled if its functions can be.

    A named tuple and not a dataclass, which takes ten times as long to define: `--help` waits for it.

    Attributes
    ----------
    name, summary, when, source : str
        What users type, what it does, when to choose it, and who defined it.
    known_as : tuple of str
        What other programs call it, or something like it: words that its name is the hint for.
    make : callable(source, *, scale, size, samples, parameters) -> Upsampler
        See `Make`.
    output_shape : callable(shape, scale, parameters) -> (H', W', C')
        The output's shape; raises `UpscaleError` if there is none.
    parameters : tuple of Parameter
    variants : tuple of str
        Parameters, as KEY=VALUE, that make another method of it, which tests walk too.
    group : str
        One of `GROUPS`.
    compared : bool
        It is one of the few that are compared if none is named.
    values : {"copied", "placed", "weighed"}
        Outputs are the source's own values; or those and zeros; or weighted sums.
    integer_scale : bool
        It needs integer factors.
    factors : tuple of int
        The only factors that it makes besides 1, the same on both axes; empty for all.
    resizable : bool
        It can make every size from the source's on.
    keeps_constants : bool
        A constant image stays constant.
    interpolates : bool
        Scale 1 is the identity.
    settle : callable(parameters) -> dict of str to bool
        Which of these promises parameters change: with zeros beyond the border, constants do not stay constant.
    independent : bool
        No channel influences another.
    volumes : bool
        It enlarges lines and volumes, too.
    by_rows : bool
        The source of an image may be `Rows`: its upsampler only slices it, near the rows that it makes.
    straight : bool
        It weighs colours that are not premultiplied by opacity, because its sums are not linear. It gives transparent
        pixels the colours of visible ones itself, as `methods.filling.filled` does.
    symmetric : bool
        It commutes with flips and transposition, ties aside; otherwise it is anchored at a corner, or by its arrays.
    warn : callable(shape, scale, parameters) -> str or None
        What a user should know about these parameters before using the result.
    explain : callable(shape, scale, parameters) -> str or None
        What the method decided by itself, shown with -v.
    heed : callable(parameters, losses) -> parameters
        The parameters for a source from a file, with what it tells of its losses.
    filter : NamedFilter, optional
        The filter that it is, for planes off the grid; see `planes`.
    working_memory : callable(shape, parameters) -> callable(size) -> WorkingMemory
        An estimate of the memory needed for an output of some height and width, if all samples are finite.
    """

    name: str
    summary: str
    when: str
    source: str
    make: "Make"
    known_as: tuple[str, ...] = ()
    output_shape: Callable[[Shape, Scale, Parameters], Shape] = rounded_shape
    parameters: tuple[Parameter, ...] = ()
    variants: tuple[str, ...] = ()
    group: Group = "other"
    compared: bool = False
    values: Literal["copied", "placed", "weighed"] = "weighed"
    integer_scale: bool = False
    factors: tuple[int, ...] = ()
    resizable: bool = False
    keeps_constants: bool = True
    settle: Callable[[Parameters], dict[str, Any]] = settle_border
    interpolates: bool = True
    independent: bool = True
    volumes: bool = False
    by_rows: bool = False
    straight: bool = False
    symmetric: bool = True
    warn: Remark = no_remark
    explain: Remark = no_remark
    heed: Callable[[Parameters, Losses], Parameters] = no_heed
    filter: "NamedFilter | None" = None
    working_memory: Callable[[Shape, Parameters], Callable[[Size], WorkingMemory]] = placed_memory

    @property
    def heeds(self) -> frozenset[str]:
        """The options of blending that change its results."""
        return frozenset({"linear", "alpha"} if self.values == "weighed" else ())

    def read_parameters(self, given: Parameters) -> dict[str, Any]:
        """Return a value for every parameter, from text or Python values; raises `UsageError`."""
        return read_parameters(self.name, self.parameters, given)

    def settled(self, parameters: Parameters) -> "Method":
        """Return the method as parameters make it; see `settle`."""
        return self._replace(**self.settle(parameters))

    @property
    def demands(self) -> str:
        """Which factors it needs, in words; empty if it takes all."""
        if self.factors:
            *most, last = map(str, self.factors)
            return f"factors {', '.join(most)} and {last} only"
        return "integer factors only" if self.integer_scale else ""

    @property
    def hundredths(self) -> Sequence[int]:
        """The factors that it takes, in hundredths."""
        if self.factors:
            return [100 * factor for factor in (1, *self.factors)]
        return range(100, 100 << 31, 100 if self.integer_scale else 1)

    def check_scale(self, scale: Scale, shown: Callable[..., str] = as_typed) -> None:
        """Raise `UpscaleError` if the method does not support these factors."""
        asked = shown(scale) if len(set(scale)) > 1 else f"{float(scale[0]):g}"
        if self.factors and (len(set(scale)) > 1 or scale[0] not in (1, *self.factors)):
            near = next((factor for factor in self.factors if factor >= max(scale)), self.factors[-1])
            raise UpscaleError(f"{self.name} makes {self.demands}, not {asked}; try {near}, or the method nearest.")
        if self.integer_scale and any(s.denominator != 1 for s in scale):
            raise UpscaleError(f"{self.name} needs an integer factor, not {asked}; try {max(1, round(scale[0]))}.")


def resolve(
    method: Method,
    shape: Shape,
    *,
    scale: Scale | None = None,
    size: Size | None = None,
    parameters: Parameters,
    smaller: bool = False,
    shown: Callable[..., str] = as_typed,
) -> tuple[Scale, Shape]:
    """Return the exact factors and the shape of the output for a source of `shape` (H, W, C).

    Parameters
    ----------
    scale : Scale, optional
        As `read_scale` returns it; 2, or the method's first factor, if neither it nor `size` is given.
    size : tuple of int, optional
        Height and width of the output, or of a line or a volume its sides, instead of a scale.
    parameters : mapping
        As `method.read_parameters` returns them.
    smaller : bool
        The size may be smaller than the source, if the method can make such.
    shown : callable(pair, last) -> str
        How errors show a (vertical, horizontal) pair; see `as_typed`.

    Raises
    ------
    UpscaleError
        If scale and size are both given, the size is smaller than the source, or the method does not support it.
    """
    if len(shape) != 3 and not method.volumes:
        raise UpscaleError(f"{method.name} enlarges only images, with two axes; use another method, such as lanczos.")
    if size is None:
        exact = scale or (Fraction(method.factors[0] if method.factors else 2),) * (len(shape) - 1)
        if len(exact) != len(shape) - 1:
            numbers = f"{len(exact)} factors, but there are {len(shape) - 1} axes"
            raise UpscaleError(f"scale {shown(exact, False)} has {numbers}; give one factor, or one for each axis.")
        method.check_scale(exact, shown)
        return exact, method.output_shape(shape, exact, parameters)
    if scale is not None:
        raise UsageError("scale and size exclude each other; omit one.")
    # What is only placed has the size that its indices say, which overlapping windows make smaller than their maxima.
    if any(map(lt, size, shape)) and not (method.resizable and (smaller or method.values == "placed")):
        who = method.name if smaller else "upscale"
        raise UpscaleError(
            f"{shown(size, False)} is smaller than the image ({shown(shape[:-1])}), but {who} only enlarges."
        )
    exact = tuple(map(Fraction, size, shape))
    if method.resizable:
        return exact, (*size, shape[-1])
    method.check_scale(exact, shown)
    made = method.output_shape(shape, exact, parameters)
    if made[:-1] != tuple(size):
        raise UpscaleError(
            f"{method.name} would make {shown(made[:-1], False)}, not {shown(size)}; give a scale, not a size."
        )
    return exact, made

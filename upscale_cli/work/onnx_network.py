"""Networks in ONNX files, run by onnxruntime: whatever enlarges one plane, or red, green and blue, by an integer.

No file says how far a network reads, or on which grid. So each is tried out on noise, and what it then does is what
tiles are cut by: `margin`, the pixels around a tile that it depends on, and `step`, the grid of pixels on which it
computes alike. One whose reach has no end, as with global attention, is given the complete picture at once.
"""

from contextlib import suppress
from math import ceil
from typing import Any

import numpy as np

from upscale_cli.errors import UpscaleError
from upscale_cli.machine.memory import available_memory, resident_memory
from upscale_cli.methods.upsampler import Array
from upscale_cli.places import place_of
from upscale_cli.places.place import Source
from upscale_cli.work.onnx_session import first_line, session_of
from upscale_cli.work.safetensors import is_safetensors

START = b"\x08"
"""How a model begins: the version of the format, as Protocol Buffers have it."""
LARGEST_FILE, LARGEST_SCALE = 1 << 28, 16
SIDES = (64, 128, 256)
"""The sides of the noise that a network is tried out on, until it reads less far than that."""
TILE = 192
"""Approximate side of a tile, without its margins."""
STEPS = (1, 2, 4, 8, 16, 32, 64)
NEAR, TOLERANCE, HALF_TOLERANCE = 1e-7, 2e-5, 2e-3
"""Parts of the largest result: less is no influence of a pixel; less is the rounding of sums in another order, in
single and in half precision."""
FEWEST, FIXED_SIDE = 4, 4096
"""The smallest side, which trying a network out needs, and the largest of the only pictures that a network takes."""
BRIGHTEST = 40.0
"""The mean of results, where full intensity is 1, above which they are taken for numbers of another range."""
LEAST_BYTES = 1024
"""The fewest bytes for each pixel of a tile that a network is taken to need."""
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxNetwork:
    """A network of an ONNX file, with all that `learned` asks of a `Network`.

    Parameters
    ----------
    content : bytes
        The file. Its values are parts of full intensity, 0 … 1.

    Raises
    ------
    UpscaleError
        If it is none, keeps weights elsewhere, or does something else; the sentence does not name the file.
    """

    levels: tuple[float, ...] = ()
    padded, cells = True, 1
    weights = 0

    def __init__(self, content: bytes) -> None:
        self._content, self._white, self._dtype = content, 1.0, np.dtype(np.float32)
        self._session, self.note, self.whole = session_of(content)
        before = resident_memory()
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1:
            raise UpscaleError(f"takes {len(inputs)} inputs; a network that enlarges images takes one.")
        if len(outputs) != 1:
            raise UpscaleError(f"makes {len(outputs)} outputs; a network that enlarges images makes one.")
        self._input, self._output, shape = inputs[0].name, outputs[0].name, inputs[0].shape or []
        if len(shape) != 4 or shape[1] not in (1, 3) or (isinstance(shape[0], int) and shape[0] != 1):
            raise UpscaleError(
                f'takes an input "{self._input}" of shape {shape}; it must be (1, 1 or 3, height, width).'
            )
        for does, end in (("takes an input", inputs[0]), ("makes an output", outputs[0])):
            if end.type not in TYPES:
                raise UpscaleError(f'{does} "{end.name}" of {end.type}; it must be of floats.')
        self._type, self.planes = TYPES[inputs[0].type], int(shape[1])
        self._fixed = tuple(side for side in shape[2:] if isinstance(side, int))
        for side in self._fixed:
            if not FEWEST <= side <= FIXED_SIDE:
                raise UpscaleError(f"takes only {side:,} pixels a side; export it with a dynamic height and width.")
        self.scale = 0
        try:
            self._try_out()
        except UpscaleError as error:
            raise UpscaleError(f"is of no use: {error}") from None
        # What onnxruntime has taken once, it keeps.
        self._bytes = max(LEAST_BYTES, ceil((resident_memory() - before) / self._most))

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxNetwork, (self._content,)

    def tile(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of tiles of a picture, without margins."""
        if self._fixed:
            return self._core, self._core
        if self.whole:
            return tuple(ceil(side / self.step) * self.step for side in (height, width))  # type: ignore[return-value]
        rows, columns = (ceil(side / ceil(side / TILE) / self.step) * self.step for side in (height, width))
        return rows, columns

    def scratch(self, rows: int, columns: int) -> tuple[int, int]:
        """Return how many floats the layers and the results of `run` need for a tile."""
        area = (rows + 2 * self.margin) * (columns + 2 * self.margin)
        return area * (self._bytes // 4), area * 3 * self.planes * self.scale**2

    def cast(self, dtype: np.dtype[Any], white: float) -> "OnnxNetwork":
        """Return the network for planes of another type, in which full intensity is `white`."""
        other = object.__new__(OnnxNetwork)
        other.__dict__ = {**self.__dict__, "_dtype": dtype, "_white": white}
        return other

    def run(self, planes: Array) -> Array:
        """Return planes of a tile with its margins enlarged, without them: (planes, h·scale, w·scale)."""
        large = self._results(planes / self._dtype.type(self._white))
        if not np.isfinite(large).all() and np.isfinite(planes).all():
            raise UpscaleError("the network makes values of the picture that are not finite numbers.")
        border = self.margin * self.scale
        rows, columns = ((side - 2 * self.margin) * self.scale for side in planes.shape[1:])
        inner = large[:, border : border + rows, border : border + columns]
        return np.multiply(inner, self._white, dtype=self._dtype)

    def _results(self, planes: Array) -> Array:
        """Return all that the network makes of planes (c, h, w): (c, h·scale, w·scale)."""
        if self._fixed:
            # A picture that is not square is a tile that is square, and something beside it.
            sides = (self._fixed * 2)[:2]
            around = [(0, side - own) for side, own in zip(sides, planes.shape[1:], strict=True)]
            planes = np.pad(planes, ((0, 0), *around), mode="edge")
        given = {self._input: np.ascontiguousarray(planes[None], self._type)}
        try:
            large: Array = np.asarray(self._session.run([self._output], given)[0])
        except Exception as error:  # errors of onnxruntime have no common class
            raise UpscaleError(f"the network failed: {first_line(error)}") from None
        scale = self.scale or (large.shape[2] // planes.shape[1] if large.ndim == 4 else 0)
        expected = (1, self.planes, planes.shape[1] * scale, planes.shape[2] * scale)
        if large.shape != expected or not 1 <= scale <= LARGEST_SCALE:
            raise UpscaleError(
                f"the network makes {large.shape} of {given[self._input].shape}; it must make as many channels, and "
                f"sides that are larger by one integer, at most {LARGEST_SCALE}."
            )
        self.scale = int(scale)
        result: Array = large[0]
        return result

    def _try_out(self) -> None:
        """Find the scale, the margin and the step."""
        found, taken, before = None, [0], resident_memory()
        for side in [min(self._fixed)] if self._fixed else SIDES:
            # Of a network whose memory grows with the square of the pixels, as with attention, not more is tried out.
            if taken[-1] ** 2 > available_memory() // 2 * max(taken[-2:][0], 1 << 24):
                break
            self._most = side * side
            found = self._reach(side, side)
            if found is not None or self.whole:
                break
            taken.append(resident_memory() - before)
        if found is not None and not self.whole and not self._fixed and side < SIDES[-1]:
            # What lies beyond the border of a small square, as with large dilations, shows in a strip.
            self._most = side * SIDES[-1]
            across = self._reach(side, SIDES[-1])
            found = None if across is None else max(found, across)
        self.whole = self.whole or found is None
        if found is None or self.whole:
            self.margin, self.step = 0, 1 if self._fixed else self._taken()
        else:
            self.step = self._period(found)
            self.margin = found if self.step == 1 else ceil(found / self.step + 1) * self.step
        if self._fixed:
            self._core = (min(self._fixed) - 2 * self.margin) // self.step * self.step
            if self.whole or self._core < 1:
                raise UpscaleError(
                    f"the network takes only {' x '.join(map(str, (self._fixed * 2)[:2]))} pixels, too few for tiles "
                    "with all that it reads around them; export it with a dynamic height and width."
                )
        self.note += f", which reads {'the complete picture' if self.whole else f'{self.margin} pixels around each'}"

    def _reach(self, down: int, across: int) -> int | None:
        """Return how far from a few pixels results change with them; None if as far as noise of this size shows.

        These pixels lie on one side of the middle, where the windows of a grid meet, and then on the other: a network
        that reads the next window as well reads farthest from the last pixels of each.
        """
        middles, reach = np.array((down // 2, across // 2)), 0
        for seed, starts in enumerate((middles - 2, middles)):
            noise = np.random.default_rng(seed).random((self.planes, down, across))
            other = noise.copy()
            other[:, *(slice(start, start + 2) for start in starts)] = seed
            mine, theirs = (self._results(each).astype(np.float64) for each in (noise, other))
            differs = (np.abs(mine - theirs) > NEAR * np.abs(mine).max()).any(axis=0)
            # Of a network that does not hide its border, or makes no numbers, nothing is known.
            places = np.argwhere(differs) // self.scale
            if not np.isfinite(mine).all():
                raise UpscaleError("the network's results are not finite.")
            if not places.size:
                if across < SIDES[-1] and not self._fixed:
                    return None
                raise UpscaleError("the network's results do not depend on its input.")
            if np.abs(self._results(noise) - mine).max() > TOLERANCE * np.abs(mine).max():
                raise UpscaleError("the network makes something else of the same picture each time.")
            brightness = np.abs(mine).mean()
            if brightness > BRIGHTEST:
                raise UpscaleError(
                    f"the network makes values of about {brightness:.3g} of noise of 0 to 1, so all would be "
                    "white; export it with results of 0 to 1."
                )
            first, last = places.min(axis=0), places.max(axis=0)
            if first.min() == 0 or (last == (down - 1, across - 1)).any():
                return None
            reach = max(reach, int((starts - first).max()), int((last - starts - 1).max()))
        return reach

    def _period(self, reach: int) -> int:
        """Return the least of `STEPS` by which a picture can be moved so that results move with it."""
        side = min(self._fixed) if self._fixed else ceil((2 * reach + 3 * STEPS[-1] + 8) / STEPS[-1]) * STEPS[-1]
        noise = np.random.default_rng(2).random((self.planes, side + STEPS[-1], side + STEPS[-1]))
        still = self._results(noise[:, :side, :side]).astype(np.float64)

        def difference(step: int) -> float:
            moved = self._results(noise[:, step : side + step, step : side + step])
            # Tiles read as much more, see `margin`.
            around = reach + step if step > 1 else reach
            near, far, by = around * self.scale, (side - around) * self.scale, step * self.scale
            mine, theirs = still[:, near + by : far, near + by : far], moved[:, near : far - by, near : far - by]
            return float(np.abs(mine - theirs).max() / np.abs(still).max())

        rounding = TOLERANCE
        if self._type == np.float16:
            # Of a network on any of these grids, what remains after the longest step is rounding.
            longest = STEPS[-1]
            rest = difference(longest) if side - 2 * reach > 3 * longest else 5 * HALF_TOLERANCE
            rounding = max(HALF_TOLERANCE, 2 * rest)
        for step in STEPS:
            # Of a fixed size, which is too small anyway.
            if side - 2 * reach <= (3 * step if step > 1 else 1) or difference(step) <= rounding:
                return step
        steps = f"{', '.join(map(str, STEPS[:-1]))} or {STEPS[-1]}"
        raise UpscaleError(f"the network computes on no grid of {steps} pixels, so its tiles would show seams.")

    def _taken(self) -> int:
        """Return the step of sides that the network takes, whose reach has no end."""
        for step in STEPS:
            with suppress(UpscaleError):
                self._results(np.random.default_rng(3).random((self.planes, 64 + step, 64 + step)))
                return step
        return STEPS[-1]


def read_onnx(source: Source) -> OnnxNetwork | None:
    """Return the network of a file, or None if it is no ONNX; raises `UpscaleError`."""
    with source.header() as stream:
        if is_safetensors(stream) or stream.read(1) != START:
            return None
        content = START + stream.read(LARGEST_FILE)
    if len(content) > LARGEST_FILE:
        raise UpscaleError(f"is larger than the limit of {LARGEST_FILE >> 20} MB.")
    return OnnxNetwork(content)


def load_network(file: str) -> OnnxNetwork:
    """Return the network of an ONNX file, by its path or URL, as `upscale(…, network=…)` takes it.

    Raises
    ------
    UpscaleError
        If it is none.
    """
    try:
        network = read_onnx(place_of(file).source(file))
        if network is None:
            raise UpscaleError("is not an .onnx file.")
    except UpscaleError as error:
        raise UpscaleError(f'network file "{file}" {error}') from None
    return network

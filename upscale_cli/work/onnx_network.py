"""Networks in ONNX files, run by onnxruntime: whatever enlarges one plane, or red, green and blue, by an integer.

No file says how far a network reads, or on which grid. So each is tried out on noise, and what it then does is what
tiles are cut by: `margin`, the pixels around a tile that it depends on, and `step`, the grid of pixels on which it
computes alike. One whose reach has no end, as with global attention, is given the complete picture at once.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from math import ceil
from typing import Any

import numpy as np

from upscale_cli.errors import UpscaleError, needs_extra
from upscale_cli.machine.memory import available_memory, resident_memory
from upscale_cli.methods.upsampler import Array
from upscale_cli.places import place_of
from upscale_cli.places.place import Source

START = b"\x08"
"""How a model begins: the version of the format, as Protocol Buffers have it."""
LARGEST_FILE, MOST_PARTS, LARGEST_SCALE = 1 << 28, 200_000, 16
SIDES = (64, 128, 256)
"""The sides of the noise that a network is tried out on, until it reads less far than that."""
TILE = 192
"""Approximate side of a tile, without its margins."""
STEPS = (1, 2, 4, 8, 16, 32, 64)
NEAR, TOLERANCE, HALF_TOLERANCE = 1e-7, 2e-5, 2e-3
"""Parts of the largest result: less is no influence of a pixel; less is the rounding of sums in another order, in
single and in half precision."""
FIXED_SIDE = 4096
"""The largest side of the only pictures that a network takes."""
BRIGHTEST = 40.0
"""The mean of results, where full intensity is 1, above which they are taken for numbers of another range."""
PLACE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime\S*:\d+ .*?\) (?=[A-Z])")
"""What an error of onnxruntime begins with: its number and name, a line of its source, and the function there."""
LEAST_BYTES = 1024
"""The fewest bytes for each pixel of a tile that a network is taken to need."""
PROVIDERS = {"CUDAExecutionProvider": "CUDA", "DmlExecutionProvider": "DirectML", "CoreMLExecutionProvider": "CoreML"}
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
    padded = True
    weights = 0

    def __init__(self, content: bytes) -> None:
        self._content, self._white, self._dtype = content, 1.0, np.dtype(np.float32)
        self._session, self.note = _session(content)
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
        if inputs[0].type not in TYPES:
            raise UpscaleError(f'takes an input "{self._input}" of {inputs[0].type}; it must be of floats.')
        if outputs[0].type not in TYPES:
            raise UpscaleError(f'makes an output "{self._output}" of {outputs[0].type}; it must be of floats.')
        self._type, self.planes = TYPES[inputs[0].type], int(shape[1])
        self._fixed = tuple(side for side in shape[2:] if isinstance(side, int))
        if max(self._fixed, default=0) > FIXED_SIDE:
            raise UpscaleError(
                f"takes only {max(self._fixed):,} pixels a side; export it with a dynamic height and width."
            )
        self.scale = 0
        self._try_out()
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
            raise UpscaleError(f"the network failed: {_first_line(error)}") from None
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
        sides = [min(self._fixed)] if self._fixed else SIDES
        found = None
        for side in sides:
            self._most = side * side
            found = self._reach(side, side, trials=2)
            if found is not None:
                break
        if found is not None and not self._fixed and side < SIDES[-1]:
            # What lies beyond the border of a small square, as with large dilations, shows in a strip.
            self._most = side * SIDES[-1]
            across = self._reach(side, SIDES[-1], trials=1)
            found = None if across is None else max(found, across)
        self.whole = found is None
        if found is None:
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
        seen = "the complete picture" if self.whole else f"{self.margin} pixels around each"
        self.note = f"{self.note}, which reads {seen}"

    def _reach(self, down: int, across: int, trials: int) -> int | None:
        """Return how far from a few pixels results change with them; None if as far as noise of this size shows."""
        middles, reach = np.array((down // 2, across // 2)), 0
        for seed in range(trials):
            noise = np.random.default_rng(seed).random((self.planes, down, across))
            other = noise.copy()
            other[:, *(slice(middle - 2, middle + 2) for middle in middles)] = seed
            mine, theirs = (self._results(each).astype(np.float64) for each in (noise, other))
            differs = (np.abs(mine - theirs) > NEAR * np.abs(mine).max()).any(axis=0)
            # Of a network that does not hide its border, or makes no numbers, nothing is known.
            places = np.argwhere(differs) // self.scale
            if not places.size or not np.isfinite(mine).all():
                raise UpscaleError("the network's results do not depend on its input, or are not finite.")
            brightness = np.abs(mine).mean()
            if brightness > BRIGHTEST:
                raise UpscaleError(
                    f"the network makes values of about {brightness:.3g} of noise of 0 to 1, so all would be "
                    "white; export it with results of 0 to 1."
                )
            first, last = places.min(axis=0), places.max(axis=0)
            if first.min() == 0 or (last == (down - 1, across - 1)).any():
                return None
            reach = max(reach, int((middles - 2 - first).max()), int((last - middles - 1).max()))
        return reach

    def _period(self, reach: int) -> int:
        """Return the least of `STEPS` by which a picture can be moved so that results move with it."""
        side = min(self._fixed) if self._fixed else ceil((2 * reach + STEPS[-1] + 8) / STEPS[-1]) * STEPS[-1]
        noise = np.random.default_rng(2).random((self.planes, side + STEPS[-1], side + STEPS[-1]))
        still = self._results(noise[:, :side, :side]).astype(np.float64)

        def difference(step: int) -> float:
            moved = self._results(noise[:, step : side + step, step : side + step])
            near, far, by = reach * self.scale, (side - reach) * self.scale, step * self.scale
            mine, theirs = still[:, near + by : far, near + by : far], moved[:, near : far - by, near : far - by]
            return float(np.abs(mine - theirs).max() / np.abs(still).max())

        rounding = TOLERANCE
        if self._type == np.float16:
            # Of a network on any of these grids, what remains after the longest step is rounding.
            longest = STEPS[-1]
            rest = difference(longest) if side - 2 * reach > longest else 5 * HALF_TOLERANCE
            rounding = max(HALF_TOLERANCE, 2 * rest)
        for step in STEPS:
            # Of a fixed size, which is too small anyway.
            if side - 2 * reach <= step or difference(step) <= rounding:
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
        if stream.read(1) != START:
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


def _session(content: bytes) -> tuple[Any, str]:
    """Return a session of onnxruntime for a model, once it has been looked through, and what it runs on."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UpscaleError(needs_extra("onnx", error)) from None
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # the error of Protocol Buffers, of one of their implementations
        raise UpscaleError("is not a valid .onnx file; it is damaged, or of another kind.") from None
    for number, (kind, message) in enumerate(_messages(model)):
        if kind == "TensorProto" and (message.data_location or message.external_data):
            raise UpscaleError(
                f'keeps the weights "{message.name}" in another file, which is never read; save all in one file, '
                "with onnx.save."
            )
        if kind == "NodeProto" and message.op_type in ("Loop", "Scan"):
            raise UpscaleError(f'has a layer "{message.name}" ({message.op_type}), which might never end.')
        if number > MOST_PARTS:
            raise UpscaleError(f"has more than {MOST_PARTS:,} parts: layers, their settings, weights.")
    _limit(available_memory())
    options = onnxruntime.SessionOptions()
    # Strips keep all processors busy, and the number of threads must not change a bit.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.use_env_allocators", "1")
    usual = ["CPUExecutionProvider"]
    available = [name for name in PROVIDERS if name in onnxruntime.get_available_providers()]
    for providers in [available + usual, usual] if available else [usual]:
        try:
            # It would go on without an accelerator by itself, and print so among the bytes of a result.
            session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
            break
        except Exception as error:  # errors of onnxruntime have no common class
            if providers == usual:
                raise UpscaleError(f"is not a network that onnxruntime runs: {_first_line(error)}") from None
    return session, f" by onnxruntime on {PROVIDERS.get(session.get_providers()[0], 'CPU')}"


def _messages(message: Any) -> Iterator[tuple[str, Any]]:
    """Yield a message of Protocol Buffers, and all within it, each with the name of its kind."""
    yield type(message).__name__, message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for each in value if hasattr(value, "__len__") else [value]:
                yield from _messages(each)


@cache
def _limit(most: int) -> None:
    """Let all networks together take so many bytes at most, so that a large one is an error and not the end."""
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    # By what is asked for, not in powers of two.
    arena = onnxruntime.OrtArenaCfg({"max_mem": most, "arena_extend_strategy": 1})
    with suppress(Exception):  # the program that we are part of has made one
        onnxruntime.create_and_register_allocator(memory, arena)


def _first_line(error: Exception) -> str:
    """Return what onnxruntime says, as one short line, without the places in its source that it names first."""
    text = PLACE.sub("", " ".join(str(error).split())).rstrip(".")
    return f"{text[:200]}{'…' if len(text) > 200 else ''}."

"""ONNX files before they run: looked through, given limits, and made a session of onnxruntime."""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from upscale_cli.errors import UpscaleError, needs_extra
from upscale_cli.machine.memory import available_memory

MOST_PARTS = 200_000
CHOOSING = ("ArgMax", "ArgMin", "GlobalLpPool", "GlobalMaxPool", "If", "ReduceMax", "ReduceMin", "TopK")
"""Layers whose results may depend on a single pixel anywhere, which noise need not show."""
PLACE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime\S*:\d+ .*?\) (?=\w)")
"""What an error of onnxruntime begins with: its number and name, a line of its source, and the function there."""
PROVIDERS = {"CUDAExecutionProvider": "CUDA", "DmlExecutionProvider": "DirectML", "CoreMLExecutionProvider": "CoreML"}


def session_of(content: bytes) -> tuple[Any, str, bool]:
    """Return a session of onnxruntime for a model, once it was looked through, what runs it, and if it chooses."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UpscaleError(needs_extra("onnx", error)) from None
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # the error of Protocol Buffers
        raise UpscaleError("is not a valid .onnx file; it is damaged, or of another kind.") from None
    chooses = False
    for number, (kind, message) in enumerate(_messages(model)):
        if kind == "TensorProto" and (message.data_location or message.external_data):
            raise UpscaleError(
                f'keeps the weights "{message.name}" in another file, which is never read; save all in one file, '
                "with onnx.save."
            )
        if kind == "NodeProto" and message.op_type in ("Loop", "Scan"):
            raise UpscaleError(f'has a layer "{message.name}" ({message.op_type}), which might never end.')
        chooses = chooses or (kind == "NodeProto" and message.op_type in CHOOSING)
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
                raise UpscaleError(f"is not a network that onnxruntime runs: {first_line(error)}") from None
    return session, f" by onnxruntime on {PROVIDERS.get(session.get_providers()[0], 'CPU')}", chooses


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


def first_line(error: Exception) -> str:
    """Return what onnxruntime says, as one short line, without the places in its source that it names first."""
    text = PLACE.sub("", " ".join(str(error).split())).rstrip(".")
    return f"{text[:200]}{'…' if len(text) > 200 else ''}."

"""Where the programs begin: each imports its command when it is called.

NumPy and Pillow take a moment to import. Ctrl-C in this moment is the user's as well, and no fault of a module.
"""

import os
import signal
import types
from contextlib import suppress
from functools import partial
from importlib import import_module

from upscale_cli.errors import ExitStatus


def run(name: str) -> None:
    """Run a command until the process ends. Ctrl-C says so and ends it, until the command has its own way to stop."""
    program = "upscale" if name == "upscale" else f"upscale-{name}"

    def stop(number: int, frame: types.FrameType | None) -> None:
        with suppress(OSError):
            os.write(2, f"{program}: stopped.\n".encode())
        os._exit(ExitStatus.INTERRUPTED)

    # Signals that are ignored stay ignored, as in jobs in the background of a script.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
    import_module(f"upscale_cli.commands.{name}").main()


upscale, pool, fit, evaluate, compare = (
    partial(run, name) for name in ("upscale", "pool", "fit", "evaluate", "compare")
)

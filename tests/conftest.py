"""What all tests begin with."""

import signal

import upscale_cli.commands  # noqa: F401  one BLAS thread, as users have it, before NumPy is imported


def pytest_configure() -> None:
    """Take SIGINT: whoever runs the tests in the background ignores it, as would all that they start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

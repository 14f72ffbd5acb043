"""Set-up for all tests."""

import signal

import upscale_cli.commands  # noqa: F401  one BLAS thread, as users have it, before NumPy is imported


def pytest_configure() -> None:
    """Handle SIGINT, which shells ignore for background jobs; the commands under test would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

"""The contract of every method, as tests: subclass `MethodContract` in the tests of a package that brings a method.

    from upscale_cli.methods import find_method
    from upscale_cli.testing import MethodContract

    class TestTheirs(MethodContract):
        method = find_method("theirs")

pytest collects the subclass and holds the method to what it promises. Needs pytest and Hypothesis, which
`pip install 'upscale-cli[test]'` brings. Numbers from elsewhere, which alone show that a method is the one that its
name says, are for the method's own tests.
"""

import pytest

# Only modules that are named here explain an assertion that fails.
for _name in ("checks", "contract", "transparency"):
    pytest.register_assert_rewrite(f"upscale_cli.testing.{_name}")

from upscale_cli.testing.checks import assert_near, assert_rounded, image, refusal  # noqa: E402
from upscale_cli.testing.contract import MethodContract  # noqa: E402

__all__ = ["MethodContract", "assert_near", "assert_rounded", "image", "refusal"]

"""Fitting kernels to photographs, and measuring how good a method is. Opens no file, prints nothing."""

REDUCTION_NAMES = ("bicubic", "box", "lanczos", "gaussian")
"""How photographs are reduced: the names of `reduction.REDUCTIONS`, which imports NumPy, and `--help` must not.

The first is the one that the super-resolution literature uses.
"""

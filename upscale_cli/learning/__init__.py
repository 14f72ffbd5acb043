"""Learning kernels from photographs, and measuring how good a method is. Opens no file, prints nothing."""

REDUCTION_NAMES = ("bicubic", "box", "lanczos", "gaussian")
"""How photographs are made small: the names of `reduction.REDUCTIONS`, which help must not wait for.

The first is what the literature of super-resolution reduces with.
"""

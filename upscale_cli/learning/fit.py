"""Fitting the kernel of a transposed convolution to photographs by ridge least squares.

A transposed convolution of stride `s` computes each of the s × s pixels of a cell with a linear filter of its own
from the neighbours of the cell's input, so for each phase the kernel solves a linear regression. The normal equations
are sums over all pixels: photographs are added one at a time, and memory does not grow with their number. A full
kernel is solved in closed form. A separable kernel, which is as good for photographs and several times as fast, is
solved by turns: with one of its factors fixed, the other is a linear regression again.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from upscale_cli.errors import UpscaleError, UsageError
from upscale_cli.learning.evaluate import Damage, Trial, damaged
from upscale_cli.learning.measure import luma_8bit
from upscale_cli.learning.reduction import reduce
from upscale_cli.methods.transposed import phase_taps

ROWS_AT_ONCE = 1 << 16
"""Approximate number of pixels that are added to the equations together."""
TURNS, STILL = 200, 1e-12
"""A separable kernel is done after this many turns, or when its weights change by no more than this."""
Float = NDArray[np.float64]


class KernelFit:
    """The normal equations of a kernel, summed over photographs.

    For the inputs `x_n` of a neighbourhood of (2r + 1)² around a pixel `c`, and the `s²` original pixels `y_p` of its
    cell: `gram = Σ (x − c)(x − c)ᵀ` and `cross = Σ (x − c)(y − c)ᵀ`. Differences from the centre leave the weight of
    the centre free, which is then chosen so that every phase sums to 1: constants are kept exactly.

    Parameters
    ----------
    stride : int
        The scale, at least 2.
    size : int, optional
        Side of the kernel; by default `7 · stride`, which means neighbourhoods of 7 × 7. It is at least the stride,
        and odd if the stride is odd, so that it can be centred.
    reduction : str
        How photographs are reduced: a name of `REDUCTIONS`.

    Raises
    ------
    UsageError
        If there is no such kernel.
    """

    def __init__(self, stride: int, size: int | None = None, reduction: str = "bicubic") -> None:
        self.stride, self.reduction = stride, reduction
        self.size = size = 7 * stride if size is None else size
        if stride < 2:
            raise UsageError(f"the scale of a kernel must be at least 2, got {stride}.")
        if size < stride or (size - stride) % 2:
            raise UsageError(
                f"a kernel of {size} x {size} cannot be centred on cells of {stride} x {stride}; "
                f"its size is {stride} or more, and {'odd' if stride % 2 else 'even'}."
            )
        self._taps = phase_taps(stride, size)
        side = self._taps.shape[1]
        self.radius = side // 2
        self._gram: Float = np.zeros((side * side, side * side))
        self._cross: Float = np.zeros((side * side, stride * stride))
        self.pixels = 0

    def add(self, large: NDArray[Any], small: NDArray[Any] | None = None) -> None:
        """Add one channel of a photograph, (H, W), and its reduction; incomplete cells are left out.

        Parameters
        ----------
        large : array (H, W)
        small : array (H / stride, W / stride), optional
            Made here by default.

        Raises
        ------
        UpscaleError
            If it is smaller than one neighbourhood.
        """
        s, r = self.stride, self.radius
        large = np.asarray(large[: large.shape[0] // s * s, : large.shape[1] // s * s], np.float64)
        if min(large.shape) < (least := s * (2 * r + 1)):
            raise UpscaleError(f"is too small for this kernel, which needs {least} pixels on each side.")
        small = reduce(large, s, self.reduction) if small is None else np.asarray(small, np.float64)
        height, width = small.shape[0] - 2 * r, small.shape[1] - 2 * r
        windows = sliding_window_view(small, (2 * r + 1, 2 * r + 1))
        cells = large.reshape(len(small), s, -1, s)[r : r + height, :, r : r + width].transpose(0, 2, 1, 3)
        rows = max(1, ROWS_AT_ONCE // width)
        for top in range(0, height, rows):
            part = slice(top, min(top + rows, height))
            centre = small[part.start + r : part.stop + r, r : r + width].reshape(-1, 1)
            inputs = windows[part].reshape(len(centre), -1) - centre
            self._gram += inputs.T @ inputs
            self._cross += inputs.T @ (cells[part].reshape(len(centre), -1) - centre)
            self.pixels += len(centre)

    def solve(self, ridge: float = 1e-5, symmetric: bool = True, separable: bool = False) -> Float:
        """Return the kernel `(size, size)` with the least squared error; `ridge` keeps weights small.

        Parameters
        ----------
        ridge : float
            Added to the diagonal of the equations, as a fraction of its mean; at least 0.
        symmetric : bool
            Use the eight flips and quarter turns of every photograph, which follow from the equations alone.
        separable : bool
            Return the best kernel among the outer products of two vectors.

        Raises
        ------
        UsageError
            If no photograph with detail was added.
        """
        gram, cross = self._turned() if symmetric else (self._gram, self._cross)
        strength = np.trace(gram) / len(gram)
        if not strength > 0:
            raise UsageError("there is nothing to learn from; give photographs with detail, larger than the kernel.")
        if separable:
            vertical, horizontal = self._factors(gram / strength, cross / strength, ridge)
            if symmetric:
                vertical = horizontal = (vertical + horizontal) / 2
            return np.outer(vertical, horizontal)
        kernel = np.zeros((self.size, self.size))
        middle = len(gram) // 2
        for phase, (a, b) in enumerate(np.ndindex(self.stride, self.stride)):
            rows, columns = (self._taps[p][:, None] for p in (a, b))
            there = ((rows >= 0) & (columns >= 0).T).ravel()
            used = np.flatnonzero(there & (np.arange(len(gram)) != middle))
            weights = np.zeros(len(gram))
            if len(used):
                equations = gram[np.ix_(used, used)] + ridge * strength * np.eye(len(used))
                weights[used] = np.linalg.lstsq(equations, cross[used, phase], rcond=None)[0]
            weights[middle] = 1 - weights.sum()
            rows, columns = np.broadcast_arrays(rows, columns.T)
            kernel[rows.ravel()[there], columns.ravel()[there]] = weights[there]
        return kernel

    def _factors(self, gram: Float, cross: Float, ridge: float) -> tuple[Float, Float]:
        """Return the vertical and the horizontal factor of the best separable kernel: (size,) each.

        With weights `v_a[i]·h_b[j]` for phase (a, b) and neighbour (i, j), the squared error is quadratic in `v` if
        `h` is fixed. Each phase of both sums to 1, so those of their product do too.
        """
        s, n = self.stride, 2 * self.radius + 1
        gram = gram.reshape(n, n, n, n)
        cross = cross.reshape(n, n, s, s)
        vertical = horizontal = np.repeat(np.eye(1, n, self.radius), s, axis=0)
        for _ in range(TURNS):
            before = horizontal
            vertical = self._factor(gram, cross, horizontal, ridge)
            horizontal = self._factor(gram.transpose(1, 0, 3, 2), cross.transpose(1, 0, 3, 2), vertical, ridge)
            if np.abs(horizontal - before).max() <= STILL:
                break
        factors = np.zeros((2, self.size))
        there = self._taps >= 0
        for factor, phases in zip(factors, (vertical, horizontal), strict=True):
            factor[self._taps[there]] = phases[there]
        return factors[0], factors[1]

    def _factor(self, gram: Float, cross: Float, other: Float, ridge: float) -> Float:
        """Return the factor of the first axis (stride, n), by phases, for a fixed factor of the second."""
        n = len(gram)
        equations = np.einsum("ijkl,bj,bl->ik", gram, other, other) + ridge * (other * other).sum() * np.eye(n)
        targets = np.einsum("ijab,bj->ai", cross, other)
        factor = np.zeros_like(other)
        for phase, taps in enumerate(self._taps):
            there = np.flatnonzero(taps >= 0)
            # A Lagrange multiplier makes the sum 1.
            bordered = np.ones((len(there) + 1, len(there) + 1))
            bordered[:-1, :-1] = equations[np.ix_(there, there)]
            bordered[-1, -1] = 0
            right = np.append(targets[phase, there], 1)
            factor[phase, there] = np.linalg.lstsq(bordered, right, rcond=None)[0][:-1]
        return factor

    def _turned(self) -> tuple[Float, Float]:
        """Return the equations averaged over the eight symmetries of the square."""
        s, side = self.stride, 2 * self.radius + 1
        gram, cross = np.zeros_like(self._gram), np.zeros_like(self._cross)
        for turns in range(4):
            for flip in (1, -1):
                inputs, outputs = (
                    np.rot90(np.arange(n * n).reshape(n, n)[:, ::flip], turns).ravel() for n in (side, s)
                )
                gram += self._gram[np.ix_(inputs, inputs)]
                cross += self._cross[np.ix_(inputs, outputs)]
        return gram / 8, cross / 8


class PhotographFit:
    """A kernel for photographs: one for all channels, fitted to luma, or one each for red, green and blue.

    Parameters
    ----------
    stride, size, reduction
        As for `KernelFit`.
    per_channel : bool
    damage : callable, optional
        What happens to reduced photographs, whose colours are rounded then.
    """

    def __init__(
        self, stride: int, size: int | None, reduction: str, *, per_channel: bool, damage: Damage | None = None
    ) -> None:
        self._fits = [KernelFit(stride, size, reduction) for _ in range(3 if per_channel else 1)]
        self._damage = damage

    @property
    def pixels(self) -> int:
        """The number of pixels that were learned from."""
        return self._fits[0].pixels * self._fits[0].stride ** 2

    def add(self, rgb: NDArray[np.uint8]) -> None:
        """Add a photograph (H, W, 3); errors as for `KernelFit.add`."""
        pairs: list[tuple[NDArray[Any], ...]] = [(plane,) for plane in self._planes(rgb)]
        if self._damage is not None:
            pairs = [(trial.reference, trial.small) for trial in self._trials(rgb)]
        for fit, pair in zip(self._fits, pairs, strict=True):
            fit.add(*pair)

    def solve(self, ridge: float, symmetric: bool, separable: bool) -> Float:
        """Return the kernel (kh, kw), or (3, kh, kw); parameters and errors as for `KernelFit.solve`."""
        kernels = [fit.solve(ridge, symmetric, separable) for fit in self._fits]
        return np.stack(kernels) if len(kernels) > 1 else kernels[0]

    def compare(self, rgb: NDArray[np.uint8], kernel: Float, rivals: Sequence[str]) -> dict[str, float]:
        """Return the PSNR in decibels of a photograph, reduced and enlarged by the kernel and by other methods."""
        scores: dict[str, list[float]] = {name: [] for name in ("kernel", *rivals)}
        for trial, own in zip(self._trials(rgb), kernel.reshape(-1, *kernel.shape[-2:]), strict=True):
            scores["kernel"].append(trial.score("transposed-conv", {"kernel": own}).psnr)
            for name in rivals:
                scores[name].append(trial.score(name, {}).psnr)
        return {name: float(np.mean(values)) for name, values in scores.items()}

    def _trials(self, rgb: NDArray[np.uint8]) -> list[Trial]:
        """Return each plane of a photograph with its reduction."""
        scale, reduction = Fraction(self._fits[0].stride), self._fits[0].reduction
        if self._damage is None:
            return [Trial.of(plane, scale, reduction) for plane in self._planes(rgb)]
        rgb, small, _ = damaged(rgb, scale, reduction, self._damage)
        pairs = zip(self._planes(rgb), self._planes(small), strict=True)
        return [Trial(large.astype(np.float64), small.astype(np.float32), scale) for large, small in pairs]

    def _planes(self, rgb: NDArray[np.uint8]) -> list[NDArray[Any]]:
        return [luma_8bit(rgb)] if len(self._fits) == 1 else list(np.moveaxis(rgb, 2, 0))

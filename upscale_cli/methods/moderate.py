"""Samples near the largest float, divided by a power of two while networks compute with them.

Networks make values that are many times as large as their input. A power of two changes no digit of a float.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import frexp

import numpy as np

from upscale_cli.methods.rows import parts
from upscale_cli.methods.upsampler import Array, Block, SampleReader, Upsampler


def moderated(source: Array, reader: SampleReader) -> tuple[SampleReader, float]:
    """Return a reader of a source whose values leave half of the exponents of floats free, and what it divides by.

    That is 1 if no sample is so large. Samples that are not finite do not count, and stay what they are.
    """
    if source.dtype.kind != "f":
        return reader, 1.0
    largest = max(float(np.abs(part).max(initial=0, where=np.isfinite(part))) for part in parts(source))
    above = frexp(largest)[1] - int(np.finfo(reader.dtype).maxexp) // 2
    if above <= 0:
        return reader, 1.0
    share = reader.dtype.type(2.0**-above)
    finite = reader.finite or all(bool(np.isfinite(part).all()) for part in parts(source))
    return replace(reader, read=lambda rows: reader.read(rows) * share, finite=finite), 2.0**above


class Multiplied(Upsampler):
    """An upsampler's values, multiplied by a number."""

    def __init__(self, upsampler: Upsampler, factor: float) -> None:
        self._upsampler, self._factor = upsampler, upsampler.dtype.type(factor)
        self.shape, self.dtype, self.cost = upsampler.shape, upsampler.dtype, upsampler.cost
        self.band, self.offset, self.averages = upsampler.band, upsampler.offset, upsampler.averages

    def blocks(self, band: int) -> Iterator[Block]:
        for block in self._upsampler.blocks(band):
            # What overshoots the largest float is infinite.
            with np.errstate(over="ignore"):
                yield block._replace(values=block.values * self._factor)

"""Networks on images: luma through the network, colour by a fitted kernel and after luma, opacity by cubics.

Opacity that is data goes through the network like a grey image.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from itertools import product
from math import ceil
from threading import Lock
from typing import Any

import numpy as np

from upscale_cli.methods import shipped
from upscale_cli.methods.blocks import limit, limits
from upscale_cli.methods.chain import Networks, Step
from upscale_cli.methods.chroma import KEPT, Slopes, add_colours, hold_differences, luma, with_differences
from upscale_cli.methods.filling import FILLING, Flat, filled
from upscale_cli.methods.filters import FILTERS
from upscale_cli.methods.kernel import check_kernel
from upscale_cli.methods.method import Shape, Size, WorkingMemory
from upscale_cli.methods.moderate import Multiplied, moderated
from upscale_cli.methods.resampling import resampled
from upscale_cli.methods.samples import Samples, white
from upscale_cli.methods.taps import CONTINUED, Axes, filter_axes
from upscale_cli.methods.transposed import Stamping, transposed
from upscale_cli.methods.upsampler import Array, Block, SampleReader, Scratch, Upsampler

COST = 8
"""Approximate cost of one output value, relative to a filter; strips are smaller accordingly."""
FURTHER = 8
"""How much farther from visible pixels colours are needed than networks read: opacity spreads by two in each step."""
KEPT_BANDS = 8
"""Bands of an intermediate image that are kept, because several strips of the next image read each of them."""

_scratch = Scratch()


class Learned(Upsampler):
    """One network on a source.

    Three colour channels are treated as red, green and blue; every other channel goes through the network. A network
    of three planes enlarges colours at once, and other channels as grey pictures.

    Parameters
    ----------
    source : array (H, W, C)
        Any numeric dtype, or `Rows`.
    step : Step
        Its network is cast for the reader's floats.
    reader : SampleReader
    white : float
        Full intensity.
    colours : int
        The channels of colour; those after them have their own meaning.
    opacity : bool
        The last channel that is read is opacity.
    """

    def __init__(
        self,
        source: Any,
        step: Step,
        reader: SampleReader,
        *,
        white: float,
        colours: int,
        opacity: bool,
    ) -> None:
        height, width = source.shape[:2]
        network, scale = step.network, step.network.scale
        self._networks, self._margin, self._holds = step.networks, step.margin, step.restores_colours
        self.source, self.read, self.dtype = source, reader.read, reader.dtype
        self.shape = (height * scale, width * scale, reader.channels)
        self._network, self._colours, self._width = network, colours, width
        self._turns, self.cost = step.turns, COST * step.turns
        self._own = reader.channels - opacity
        self._rows, self._tile = step.tile(height, width)
        self._limits = limits(step.blocks, white, reader.dtype) if step.blocks else None
        self.band = self._rows * scale
        size = self.shape[:2]
        self._differences = self._slopes = self._opacity = None
        colourful = self._colours == 3 and network.planes == 1
        # At the picture's own size, colours change as luma does.
        self._shifts, colourful = colourful and scale == 1, colourful and scale > 1
        differences = replace(reader, read=lambda rows: with_differences(reader.read(rows)[..., :3]), channels=3)
        if colourful and scale not in shipped.FACTORS:
            self._differences = resampled(source, cubic_axes(source.shape, size), differences)
        elif colourful:
            kernel = shipped.kernel((scale, scale))
            crop = (len(kernel) - scale) // 2
            stamping = Stamping(
                kernel=check_kernel(kernel, 3, None),
                stride=(scale, scale),
                size=size,
                crop=(crop, crop),
                edge="repeat",
            )
            self._differences = transposed(source, stamping, differences)
        if colourful:
            axes = filter_axes(source.shape, size, FILTERS["bilinear"].default())
            slopes: Any = Slopes(source, reader.read, white)
            # Slopes are finite, also where samples are not.
            self._slopes = resampled(slopes, axes, replace(reader, read=lambda rows: rows, channels=2, finite=True))
        if opacity:
            alone = replace(reader, read=lambda rows: reader.read(rows)[..., -1:], channels=1)
            self._opacity = resampled(source, cubic_axes(source.shape, size), alone)

    def blocks(self, band: int) -> Iterator[Block]:
        scale, margin = self._network.scale, self._margin
        top = band * self.band
        stop = min(top + self.band, self.shape[0])
        rows = self._rows if self._network.padded else self._whole((stop - top) // scale)
        # Samples may be infinite, or not numbers.
        with np.errstate(over="ignore", invalid="ignore"):
            # A source may be `Rows` of another `Learned`, which uses the same scratch memory: read it first.
            differences = None if self._differences is None else self._differences.rows(top, stop)
            slopes = None if self._slopes is None else self._slopes.rows(top, stop)
            opacity = None if self._opacity is None else self._opacity.rows(top, stop)
            own = self.read(self.source[top:stop])[..., :3] if self._shifts else None
            planes = self._planes(band * self._rows, rows)
        for left in range(0, self._width, self._tile):
            right = min(left + self._tile, self._width)
            part = slice(left * scale, right * scale)
            values = _scratch.get("values", (stop - top, part.stop - part.start, self.shape[2]), self.dtype)
            with np.errstate(over="ignore", invalid="ignore"):
                for channel, group in enumerate(planes, self._own - len(planes)):
                    large = self._large(group[..., left : left + self._tile + 2 * margin], values.shape[:2])
                    if self._colours != 3 or channel > 2:
                        values[..., channel] = large[0] if len(large) == 1 else luma(np.moveaxis(large, 0, 2))
                    elif differences is not None and slopes is not None:
                        add_colours(large[0], differences[:, part], slopes[:, part], values)
                    else:
                        if own is not None:
                            large = np.moveaxis(own[:, part], 2, 0) + (large - luma(own[:, part]))
                        # One channel at a time: loops over three values are slow.
                        for colour in range(3):
                            values[..., colour] = large[colour]
            if opacity is not None:
                values[..., -1:] = opacity[:, part]
            yield Block(top, part.start, 0, values)

    def _large(self, planes: Array, size: tuple[int, int]) -> Array:
        """Return what the network makes of a tile with its margins, as far as the picture goes, in scratch memory."""
        large = self._enlarged(planes)[:, : size[0], : size[1]]
        if self._limits is not None:
            rows, columns = (slice(self._margin, self._margin + side) for side in size)
            stored = planes[:, rows, columns]
            if len(large) == 1:
                limit(large[0], stored[0], self._limits)
            else:
                made = luma(np.moveaxis(large, 0, 2))
                limited = made.copy()
                limit(limited, luma(np.moveaxis(stored, 0, 2)), self._limits)
                large += limited - made
        if self._holds:
            rows, columns = (slice(self._margin - 1, self._margin + side + 1) for side in size)
            hold_differences(large, planes[:, rows, columns])
        return large

    def _enlarged(self, planes: Array) -> Array:
        """Return the mean of what networks make of planes with margins, and of flips and turns, in scratch memory.

        Margins are turned with the rest, so it is what a network would make of the turned picture; and so are cells.
        """
        if len(self._networks) * self._turns == 1:
            return self._network.run(planes)
        total: Array | None = None
        for count, (network, turn) in enumerate(product(self._networks, range(self._turns)), 1):
            beyond = self._margin - network.margin
            rows, columns = (slice(beyond, side - beyond) for side in planes.shape[1:])
            turned = np.rot90(planes[:, rows, columns][..., :: -1 if turn > 3 else 1], turn % 4, (1, 2))
            large = np.rot90(network.run(np.ascontiguousarray(turned)), -turn % 4, (1, 2))
            large = large[..., :: -1 if turn > 3 else 1]
            if total is None:
                total = _scratch.get("total", large.shape, large.dtype)
                np.copyto(total, large)
            else:
                # The mean so far, so that equal values stay as they are.
                total += (large - total) / count
        assert total is not None
        return total

    def _whole(self, side: int) -> int:
        """Return how many rows or columns are computed for so many: whole cells."""
        return ceil(side / self._network.cells) * self._network.cells

    def _planes(self, top: int, rows: int) -> Array:
        """Return rows from `top` with mirrored margins: (groups, planes of the network, rows, columns).

        The first group is luma, or red, green and blue, if there are three colours; each other is a channel.
        """
        # Mirror images continue photographs: with repeated edges, whole ones lose 0.17 dB (Kodak, factor 2).
        margin = self._margin
        height, width = self.source.shape[:2]
        mirrored = CONTINUED["reflect"]
        lines = mirrored(np.arange(top - margin, top + rows + margin), height)
        first = int(lines.min())
        values = self.read(self.source[first : int(lines.max()) + 1])
        planes = np.moveaxis(values[..., : self._own], 2, 0)
        several, colours = self._network.planes, 3 if self._colours == 3 else 0
        groups = np.repeat(planes[colours:, None], several, axis=1)
        if colours:
            groups = np.concatenate(((luma(values)[None] if several == 1 else planes[:3])[None], groups))
        across = ceil(width / self._tile) * self._tile if self._network.padded else self._whole(width)
        columns = mirrored(np.arange(-margin, across + margin), width)
        return np.ascontiguousarray(groups[:, :, lines - first][..., columns])


def cubic_axes(shape: tuple[int, ...], size: Size) -> Axes:
    """Return the axes of the method `bicubic`, which enlarges opacity and reduces what became too large."""
    return filter_axes(shape, size, FILTERS["bicubic"].default())


class Rows:
    """An upsampler's output in the place of an array, computed when it is sliced by rows: (n, W, C).

    The last bands are kept, because the margins of strips overlap. No band is made by two threads at once: the second
    makes what nobody makes first, and the band after these if it would have to wait.
    """

    def __init__(self, upsampler: Upsampler) -> None:
        self.shape, self._height, self._offset = upsampler.shape, upsampler.band, upsampler.offset
        self._upsampler = upsampler
        self._bands: dict[int, Future[Array]] = {}
        self._lock = Lock()

    def __getitem__(self, rows: slice) -> Array:
        first = (rows.start + self._offset) // self._height * self._height - self._offset
        tops = range(first, rows.stop, self._height)
        bands = [self._band(top) for top in tops]
        following = tops[-1] + self._height
        if following < self.shape[0] and not all(band.done() for band in bands):
            self._band(following)
        parts = [
            band.result()[max(rows.start - max(top, 0), 0) : rows.stop - max(top, 0)]
            for top, band in zip(tops, bands, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _band(self, top: int) -> "Future[Array]":
        """Return a band, which is made now unless it is there or another thread makes it."""
        with self._lock:
            band = self._bands.pop(top, None)
            mine = band is None
            band = band or Future()
            self._bands[top] = band
            for last in list(self._bands)[:-KEPT_BANDS]:
                del self._bands[last]
        if mine:
            try:
                rows = self._upsampler.rows(max(top, 0), min(top + self._height, self.shape[0]))
                band.set_result(rows)
            except BaseException as error:
                band.set_exception(error)
                raise
        return band


def chained(source: Array, size: Size, networks: Networks, samples: Samples) -> Upsampler:
    """Return the upsampler to any size, at least the source's: networks one after the other, then a reduction.

    Parameters
    ----------
    source : array (H, W, C)
    size : (int, int)
        The output's height and width.
    networks : Networks
    samples : Samples
        What the source's samples mean.
    """
    scale = max(out / side for out, side in zip(size, source.shape[:2], strict=True))
    opacity = samples.translucent and not samples.apart
    colours = samples.channels - samples.translucent
    own, steps = source, networks.chain(scale)
    if opacity:
        reaches = (max(source.shape[:2]) if each.network.whole else each.margin for each in steps)
        own = filled(source, FURTHER + sum(reaches))
    reader, divisor = moderated(own, samples.reader(own))
    full = white(samples.stored) / divisor
    image: Any = own
    upsampler: Upsampler | None = None
    for given in steps:
        step = given.cast(samples.working, full)
        upsampler = Learned(image, step, reader, white=full, colours=colours, opacity=opacity)
        # If samples are not finite, the upsamplers that follow need the complete image.
        image = Rows(upsampler) if reader.finite else upsampler.rows(0, upsampler.shape[0])
        reader = replace(reader, read=lambda rows: rows)
    if upsampler is None or upsampler.shape[:2] != tuple(size):
        upsampler = resampled(image, cubic_axes(image.shape, size), reader)
    if divisor > 1:
        upsampler = Multiplied(upsampler, divisor)
    # Networks of others may change flat areas, of opaque pictures as of others.
    return Flat(upsampler, own, samples.reader(own)) if opacity and samples.constants else upsampler


def chain_memory(shape: Shape, size: Size, networks: Networks) -> WorkingMemory:
    """Return an estimate of what `chained` needs from a source (H, W, C) to a size, if all samples are finite."""
    height, width, channels = shape
    scale = max(size[0] / height, size[1] / width)
    rows = 1
    # What all threads share; the scratch memory of a thread, which all networks use; and what else a thread has.
    shared = layers = phases = each = 0
    if channels in (2, 4):
        # Probably transparent: colours for transparent pixels.
        shared += height * width * (channels + FILLING)
    for number, step in enumerate(networks.chain(scale)):
        network = step.network
        shared += step.weights
        if number:
            # An intermediate image: the bands that are kept, the one being made, and the rows that are read.
            shared += channels * width * min(height, KEPT_BANDS * rows)
            each += channels * width * 2 * rows
        (lines, columns), margin, factor = step.tile(height, width), step.margin, network.scale
        rows = lines * factor
        # The rows that are read, and luma with its margins three times; enlarged colours; a tile at work.
        each += (lines + 2 * margin) * (width + columns * network.padded + 2 * margin) * (3 * channels + 9)
        if channels > 2 and network.planes == 1:
            each += width * (KEPT * (lines + 4) + 2 * rows * factor)
        each += rows * width * factor * channels
        tile = rows * columns * factor
        # A turned tile, the mean, and two differences from it.
        turned = (step.turns * len(step.networks) > 1) * network.planes * 4 * tile
        # Differences, transformed along columns and rows, and what is taken back of them; or differences of colours.
        limited = 11 * tile if step.restores_colours else 6 * tile if step.blocks else 0
        inner, outer = step.scratch(lines, columns)
        layers, phases = max(layers, inner), max(phases, outer + tile * channels + turned + limited)
        height, width = height * factor, width * factor
    if (height, width) != tuple(size):
        shared += channels * width * min(height, KEPT_BANDS * rows)
        each += channels * width * 3 * rows
    return WorkingMemory(rows, shared, layers + phases + each)

"""What large pictures take: memory, and time a pixel, from source to result: `python bench/large.py -h`.

Each source is drawn row by row, with waves, edges and a texture that are alike in all sizes. Each case is a process
of its own. Its peak memory is the most that was resident; beside it stand the bytes of the decoded source, and the
estimate. A crop of each result is compared with the same crop of an enlarged part of the source, and all of a PNG is
inflated, so that its sums are checked.

    python bench/large.py --sides 1024 4096 8192        # cost a pixel from 16 Mpx to 1 Gpx
    nice python bench/large.py --sides 30000 --sources tiff --results png    # 14 Gpx: a quarter of an hour
"""

import argparse
import json
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from measuring import LAUNCHER_OF_ALL
from numpy.typing import NDArray

from upscale_cli import upscale
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.codecs.picture import Reading, open_picture
from upscale_cli.methods import find_method
from upscale_cli.places.files import FileSource
from upscale_cli.work.request import Request

Pixels = NDArray[Any]
ROWS = 256
"""Rows that are drawn, and compared, at once."""
MARGIN = 16
"""Source pixels around a part that are enlarged with it: more than any filter here reaches."""
PART = 96
"""Sides of the part of a source that is compared."""
PERIOD = 512
"""Rows of a picture that are drawn; to draw all would take longer than to enlarge them."""
MANY = 10**12


@cache
def _tall(width: int, channels: int) -> NDArray[np.uint8]:
    """Return `PERIOD` rows of waves, edges and texture, of 0 … 223."""
    y, x = np.arange(PERIOD, dtype=np.int32)[:, None], np.arange(width, dtype=np.int32)
    texture = (((x >> 3) * (y >> 3) * 40503 >> 7) & 15) * ((x ^ y) & 64 != 0)
    waves = 55 * np.sin(x / 37, dtype=np.float32) + 45 * np.cos(y * (2 * np.pi / PERIOD), dtype=np.float32) + 104
    grey = (waves + texture).astype(np.uint8)
    return np.stack([grey, np.roll(grey, 11, 1), 223 - grey][:channels], axis=2)


def drawn(top: int, rows: int, drawing: "Drawing") -> Pixels:
    """Return some rows of a picture, (rows, width, channels): the same again below, but brighter or darker."""
    width, channels, dtype = drawing
    y, kind = np.arange(top, top + rows), np.dtype(dtype)
    samples = _tall(width, channels)[y % PERIOD] + (y // PERIOD * 37 % 32).astype(np.uint8)[:, None, None]
    return np.asarray(samples.astype(kind) * kind.type(257 if kind.itemsize == 2 else 1))


class Drawing(NamedTuple):
    """The picture of a side, and how many channels of which type it has."""

    side: int
    channels: int
    dtype: str

    def bands(self, rows: int = ROWS) -> Iterator[Pixels]:
        """Yield all rows, some at a time."""
        for top in range(0, self.side, rows):
            yield drawn(top, min(rows, self.side - top), self)

    def tiles(self) -> Iterator[Pixels]:
        """Yield tiles of 512 x 512 pixels, filled up with zeros, without the channels of grey."""
        for band in self.bands(512):
            for left in range(0, self.side, 512):
                part = band[:, left : left + 512]
                sides = [(0, 512 - part.shape[axis]) for axis in (0, 1)]
                yield np.pad(part, (*sides, (0, 0))).squeeze(2 if self.channels == 1 else ())


def _npy(path: Path, drawing: Drawing) -> None:
    shape = (drawing.side, drawing.side, drawing.channels)[: 2 + (drawing.channels > 1)]
    with path.open("wb") as stream:
        kind = np.lib.format.dtype_to_descr(np.dtype(drawing.dtype))
        np.lib.format.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": kind})
        for band in drawing.bands():
            stream.write(band.data)


def _png(path: Path, drawing: Drawing) -> None:
    """Rows without filters: the waves are found by any inflater."""
    packer = zlib.compressobj(1)

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)

    depth, colour = 8 * np.dtype(drawing.dtype).itemsize, {1: 0, 3: 2}[drawing.channels]
    sides = drawing.side.to_bytes(4) * 2
    with path.open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sides + bytes([depth, colour, 0, 0, 0])))
        for band in drawing.bands():
            rows = band.astype(band.dtype.newbyteorder(">")).reshape(len(band), -1).view(np.uint8)
            stream.write(chunk(b"IDAT", packer.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())))
        stream.write(chunk(b"IDAT", packer.flush()) + chunk(b"IEND", b""))


def _deflated(band: Pixels) -> bytes:
    """Return a strip as differences from the pixel to the left, deflated."""
    return zlib.compress(np.diff(band, axis=1, prepend=band.dtype.type(0)).tobytes(), 1)


def _tiff(compression: str | None, tiled: bool) -> Callable[[Path, Drawing], None]:
    def write(path: Path, drawing: Drawing) -> None:
        shape = (drawing.side, drawing.side, drawing.channels)[: 2 + (drawing.channels > 1)]
        cut: dict[str, Any] = {"tile": (512, 512)} if tiled else {"rowsperstrip": 8}
        strips = map(_deflated if compression else np.ndarray.tobytes, drawing.bands(8))
        kind = "rgb" if drawing.channels == 3 else "minisblack"
        tifffile.imwrite(
            path,
            drawing.tiles() if tiled else strips,
            shape=shape,
            dtype=drawing.dtype,
            photometric=kind,
            compression=compression,
            predictor=compression is not None,
            **cut,
        )

    return write


def _one_strip(path: Path, drawing: Drawing) -> None:
    shape = (drawing.side, drawing.side, drawing.channels)[: 2 + (drawing.channels > 1)]
    mapped = tifffile.memmap(path, shape=shape, dtype=drawing.dtype, photometric="rgb" if shape[2:] else "minisblack")
    for number, band in enumerate(drawing.bands()):
        mapped[number * ROWS :][: len(band)] = band.reshape(len(band), *shape[1:])
    mapped.flush()


SOURCES: dict[str, Callable[[Path, Drawing], None]] = {
    "npy": _npy,
    "png": _png,
    "tiff": _tiff(None, tiled=False),
    "tiff-one": _one_strip,
    "tiff-tiled": _tiff(None, tiled=True),
    "tiff-deflate": _tiff("zlib", tiled=False),
    "tiff-lzw-tiled": _tiff("lzw", tiled=True),
}
"""How sources are stored; the word before a dash is their extension."""
RESULTS = {"png": [], "npy": [], "tiff": [], "tiff-none": ["--compression", "none"]}
"""How results are written, likewise, and the options for it."""


class Made(NamedTuple):
    """A result, as other programs read it; its shape and type are known."""

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def rows(self, top: int, count: int) -> Pixels:
        """Return some rows."""
        if self.path.suffix == ".npy":
            mapped = np.load(self.path, mmap_mode="r")
            return np.array(mapped[top : top + count]).reshape(count, *self.shape[1:])
        return (self._of_png if self.path.suffix == ".png" else self._of_tiff)(top, count)

    def _of_tiff(self, top: int, count: int) -> Pixels:
        with tifffile.TiffFile(self.path) as file:
            page = file.pages.first
            step, strips = page.rowsperstrip, list[Pixels]()
            for index in range(top // step, -(-(top + count) // step)):
                file.filehandle.seek(page.dataoffsets[index])
                data = file.filehandle.read(page.databytecounts[index])
                strips.append(np.asarray(page.decode(data, index)[0]).reshape(-1, *self.shape[1:]))
        return np.concatenate(strips)[top % step :][:count]

    def _of_png(self, top: int, count: int) -> Pixels:
        """Inflate everything, which checks the sums, and undo the filters of some rows: None, Sub and Up."""
        step = self.shape[2] * self.dtype.itemsize
        width, packer, rest, at, made = 1 + self.shape[1] * step, zlib.decompressobj(), b"", 0, list[Pixels]()
        for data in self._chunks():
            rest += packer.decompress(data)
            whole = len(rest) // width
            for number in range(max(at, top - 8 * ROWS), min(at + whole, top + count)):
                row = np.frombuffer(rest, np.uint8, width, (number - at) * width)
                samples = row[1:].reshape(-1, step)
                if row[0] == 1:
                    samples = np.add.accumulate(samples, axis=0, dtype=np.uint8)
                elif row[0] == 2 and made:
                    samples = samples + made[-1]
                made.append(samples)
            at, rest = at + whole, rest[whole * width :]
        if not packer.eof or rest or at != self.shape[0]:
            raise SystemExit(f"{self.path}: has {at} rows, not {self.shape[0]}, or the sum of its pixels is wrong")
        big = np.stack(made[-count:]).view(self.dtype.newbyteorder(">"))
        return big.reshape(count, *self.shape[1:]).astype(self.dtype)

    def _chunks(self) -> Iterator[bytes]:
        """Yield what the chunks of pixels hold."""
        with self.path.open("rb") as stream:
            stream.seek(8)
            while (head := stream.read(8))[4:] != b"IEND":
                data = stream.read(int.from_bytes(head[:4]))
                if int.from_bytes(stream.read(4)) != zlib.crc32(head[4:] + data):
                    raise SystemExit(f"{self.path}: the sum of a chunk is wrong")
                if head[4:] == b"IDAT":
                    yield data


def check(path: Path, drawing: Drawing, method: str, scale: int) -> None:
    """Compare a crop of a result with the same crop of an enlarged part of its source."""
    side, (first, last) = drawing.side, (MARGIN * scale, (MARGIN + PART) * scale)
    shape = side * scale, side * scale, drawing.channels
    top = side * 2 // 3
    read = Made(path, shape, np.dtype(drawing.dtype)).rows(top * scale, PART * scale)
    for left in (side // 3, side - PART - 2 * MARGIN):
        part = drawn(top - MARGIN, PART + 2 * MARGIN, drawing)
        expected = upscale(part[:, left : left + PART + 2 * MARGIN], scale, find_method(method))[
            first:last, first:last
        ]
        have = read[:, left * scale + first : left * scale + last]
        if (worst := np.abs(have.astype(float) - expected).max()) > (1 if expected.dtype.kind == "u" else 1e-4):
            raise SystemExit(f"{path}: differs by {worst} from an enlarged part of its source")


def estimated(given: argparse.Namespace, source: Path, result: str) -> int:
    """Return the bytes that a case is expected to take."""
    reading = Reading(max_pixels=MANY)
    request = Request(
        method=find_method(given.method),
        scale=(Fraction(given.scale),) * 2,
        format=FORMATS[result.partition("-")[0]],
        reading=reading,
        max_pixels=MANY,
    )
    where = FileSource(source)
    with open_picture(where.open(), reading) as picture:
        expected = request.check(picture, where)
    return int(expected.memory + (given.jobs - 1) * expected.memory_per_thread)


def main() -> None:
    """Measure all cases."""
    given = _arguments()
    names = ("source", "result", "Mpx", "seconds", "ns a pixel", "decoded, MB", "peak, MB", "estimated, MB")
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="large-") as folder:
        for side, kind in product(given.sides, given.sources):
            drawing, source = Drawing(side, given.channels, given.dtype), Path(folder, f"in.{kind.partition('-')[0]}")
            SOURCES[kind](source, drawing)
            for result in given.results:
                print(f"| {' | '.join((kind, result, *_case(given, drawing, source, result)))} |", flush=True)
            source.unlink()


def _case(given: argparse.Namespace, drawing: Drawing, source: Path, result: str) -> list[str]:
    """Return what was measured of a case."""
    target, each = source.with_name(f"out.{result.partition('-')[0]}"), estimated(given, source, result)
    line = ["-m", "upscale_cli", source, "-o", target, "-s", given.scale, "-m", given.method, "-j", given.jobs, "-q"]
    line += ["--max-pixels", MANY, "--max-source-pixels", MANY, *RESULTS[result]]
    start = [sys.executable, "-S", "-c", LAUNCHER_OF_ALL, sys.executable, *map(str, line)]
    done = subprocess.run(start, capture_output=True, text=True, check=False)
    if done.returncode:
        return [done.stderr.strip().splitlines()[0]]
    peak, seconds, processor = json.loads(done.stderr.splitlines()[-1])
    if not given.unchecked:
        check(target, drawing, given.method, given.scale)
    target.unlink()
    pixels = (drawing.side * given.scale) ** 2
    decoded = drawing.side**2 * drawing.channels * np.dtype(drawing.dtype).itemsize
    taken = (f"{bytes / 1e6:.0f}" for bytes in (decoded, peak, each))
    return [f"{pixels / 1e6:,.0f}", f"{seconds:.1f}", f"{processor / pixels * 1e9:.1f}", *taken]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="+", type=int, default=[1024, 2048, 4096, 8192], help="of the sources")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=[*SOURCES])
    parser.add_argument("--results", nargs="+", choices=RESULTS, default=[*RESULTS])
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--method", default="lanczos")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3)
    parser.add_argument("--dtype", choices=("uint8", "uint16", "float32"), default="uint8")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", help="where files go")
    parser.add_argument("--unchecked", action="store_true", help="do not look at the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()

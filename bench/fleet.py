"""What many images cost on many machines, on paper: `python bench/fleet.py` prints the tables of docs/clusters.md.

The parts are measured here: `--measure` prints those of this machine, to be put into `PARTS`, which takes minutes;
`--write` then writes the tables into the page. The arithmetic is `Fleet`. What cannot be measured here, such as
prices, is in `ASSUMED`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from measuring import LAUNCHER

ROOT = Path(__file__).parents[1]
IMAGES, WORKERS = 10_000_000, (1, 100, 1000)
PAGE = 1000
"""The names of one answer of S3 to a listing."""
CLUSTERS, MARK = ROOT / "docs" / "clusters.md", "<!-- fleet -->"
"""The page, and the line above its tables."""


class Parts(NamedTuple):
    """What was measured: processor seconds of one thread, bytes, and requests.

    Attributes
    ----------
    start : float
        Seconds to start a shard, besides what follows.
    photo : float
        Seconds to enlarge a photograph of 2 megapixels twofold, JPEG to JPEG.
    listed, listed_bytes : float
        Seconds and memory for each name of a bucket that is listed, whether it belongs to the shard or not.
    named : float
        Seconds for each name of a list that is read in place of the bucket.
    header : float
        Seconds to look at the header of an object.
    record_bytes, reported : float
        Bytes of the record of an image, and seconds to add it up.
    gets, puts : float
        Requests for an image, its header included.
    read_bytes, written_bytes : float
        Bytes of a photograph and of its result.
    dask : float
        The time of a run by a Dask cluster over that of the same run without, for small pictures.
    """

    start: float
    photo: float
    listed: float
    listed_bytes: float
    named: float
    header: float
    record_bytes: float
    reported: float
    gets: float
    puts: float
    read_bytes: float
    written_bytes: float
    dask: float


PARTS = Parts(
    start=0.56,
    photo=0.21,
    listed=340e-6,
    listed_bytes=1200,
    named=240e-6,
    header=7.5e-3,
    record_bytes=246,
    reported=28e-6,
    gets=2.1,
    puts=1,
    read_bytes=0.52e6,
    written_bytes=1.38e6,
    dask=1.6,
)


class Assumed(NamedTuple):
    """What is not measured here: S3's answer times, limits (by its documentation) and prices; rented processors.

    Attributes
    ----------
    answer : float
        Seconds for an answer of the store, in which a thread waits.
    headers_at_once : int
        Headers that are asked for at once.
    slowest : float
        How much longer the slowest of many workers takes than the mean.
    gets_a_second, puts_a_second : float
        The requests that S3 takes of one prefix before it answers `SlowDown`.
    core_hour, thousand_gets, thousand_puts : float
        Prices in dollars; a listing costs as much as a PUT.
    """

    answer: float = 0.05
    headers_at_once: int = 16
    slowest: float = 0.1
    gets_a_second: float = 5500
    puts_a_second: float = 3500
    core_hour: float = 0.04
    thousand_gets: float = 0.0004
    thousand_puts: float = 0.005


ASSUMED = Assumed()


class Fleet(NamedTuple):
    """Some workers of one processor each, of which each makes one shard.

    Attributes
    ----------
    workers : int
    lists : bool
        Each shard lists the bucket; otherwise it reads the names from a file.
    """

    workers: int
    lists: bool = True
    parts: Parts = PARTS
    images: int = IMAGES

    @property
    def listing(self) -> float:
        """Seconds in which each worker lists all names, page after page."""
        page = ASSUMED.answer + PAGE * self.parts.listed if self.lists else PAGE * self.parts.named
        return self.images / PAGE * page

    @property
    def planning(self) -> float:
        """Seconds in which each worker looks at the headers of its shard."""
        return self.images / self.workers * max(self.parts.header, ASSUMED.answer / ASSUMED.headers_at_once)

    @property
    def making(self) -> float:
        """Seconds in which the mean worker makes its shard."""
        return self.images / self.workers * self.parts.photo

    @property
    def waiting(self) -> float:
        """Seconds in which the other workers wait for the slowest."""
        return self.making * ASSUMED.slowest if self.workers > 1 else 0

    @property
    def seconds(self) -> float:
        """Seconds until the last image is made."""
        return self.parts.start + self.listing + self.planning + self.making + self.waiting

    @property
    def core_hours(self) -> float:
        """Hours of processors that are paid: a worker ends when its shard does."""
        return self.workers * (self.seconds - self.waiting) / 3600

    @property
    def requests(self) -> tuple[float, float, float]:
        """Listings, GETs and PUTs."""
        lists = self.workers * self.images / PAGE if self.lists else 0
        return lists, self.images * self.parts.gets, self.images * self.parts.puts

    @property
    def dollars(self) -> tuple[float, float]:
        """The prices of processors and of requests."""
        lists, gets, puts = self.requests
        return self.core_hours * ASSUMED.core_hour, (
            gets * ASSUMED.thousand_gets + (lists + puts) * ASSUMED.thousand_puts
        ) / 1000

    @property
    def load(self) -> tuple[float, float, float]:
        """GETs, PUTs and bytes each second, while images are made."""
        busy = self.making + self.waiting
        moved = self.images * (self.parts.read_bytes + self.parts.written_bytes)
        return self.images * (self.parts.gets - 1) / busy, self.requests[2] / busy, moved / busy


def tables(parts: Parts = PARTS) -> str:
    """Return the tables of the page."""
    lines = ["| part | measured |", "|---|---|"]
    lines += [
        f"| a photograph, 2 Mpx ×2, JPEG to JPEG | {parts.photo:.2f} s of one processor |",
        f"| the header of an object | {parts.header * 1e3:.1f} ms |",
        f"| a name of a bucket, listed | {parts.listed * 1e6:.0f} µs, {parts.listed_bytes:.0f} bytes of memory |",
        f"| a name of a list in its place | {parts.named * 1e6:.0f} µs |",
        f"| the start of a shard | {parts.start:.1f} s |",
        f"| requests for an image | {parts.gets:.1f} GET, {parts.puts:.1f} PUT |",
        f"| bytes of an image | {parts.read_bytes / 1e6:.2f} MB read, {parts.written_bytes / 1e6:.2f} MB written |",
        f"| the record of an image | {parts.record_bytes:.0f} bytes, {parts.reported * 1e6:.0f} µs of the report |",
        f"| Dask in place of shards, small pictures | {parts.dask:.1f} × the time |",
    ]
    fleets = [Fleet(workers, parts=parts) for workers in WORKERS]
    fleets += [Fleet(WORKERS[-1], lists=False, parts=parts)]
    heads = [f"{fleet.workers:,}{'' if fleet.lists else ', from a list'}" for fleet in fleets]
    rows = {
        "listing": [_time(fleet.listing) for fleet in fleets],
        "headers": [_time(fleet.planning) for fleet in fleets],
        "images": [_time(fleet.making) for fleet in fleets],
        "waiting for the slowest": [_time(fleet.waiting) for fleet in fleets],
        "**together**": [f"**{_time(fleet.seconds)}**" for fleet in fleets],
        "core-hours": [f"{fleet.core_hours:,.0f}" for fleet in fleets],
        "listings": [f"{fleet.requests[0] / 1e6:,.2f} M" for fleet in fleets],
        "GETs, PUTs": [f"{fleet.requests[1] / 1e6:,.0f} M, {fleet.requests[2] / 1e6:,.0f} M" for fleet in fleets],
        "processors, requests": [f"${fleet.dollars[0]:,.0f}, ${fleet.dollars[1]:,.0f}" for fleet in fleets],
        "GETs, PUTs a second": [f"{fleet.load[0]:,.0f}, {fleet.load[1]:,.0f}" for fleet in fleets],
        "bytes a second": [f"{fleet.load[2] / 1e6:,.0f} MB" for fleet in fleets],
    }
    lines += ["", f"| workers | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    return "\n".join(lines) + "\n"


def written(page: str, parts: Parts = PARTS) -> str:
    """Return the text of the page with these tables."""
    before, _, rest = page.partition(MARK)
    after = rest.partition("\n\n- ")[2]
    return f"{before}{MARK}\n{tables(parts)}\n- {after}"


def _time(seconds: float) -> str:
    if seconds >= 2 * 86400:
        return f"{seconds / 86400:.0f} days"
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"


class Taken(NamedTuple):
    """What a command took: processor seconds, and its largest memory in bytes."""

    seconds: float
    memory: float


def taken(*words: object, environment: dict[str, str] | None = None) -> Taken:
    """Run a command, and return what it took."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # A child's peak is never below the memory of its parent when it was started, so a small process starts it.
    line = [sys.executable, "-S", "-c", LAUNCHER, sys.executable, "-m", "upscale_cli", *map(str, words)]
    ended = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}:\n{ended.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(seconds, 1024.0 * int(ended.stderr.split()[-1]))


def photographs(folder: Path, count: int) -> float:
    """Write photographs of 2 megapixels, and return the bytes of one: the sample, enlarged, with grain."""
    import numpy as np
    from PIL import Image

    folder.mkdir()
    with Image.open(ROOT / "sample_images" / "scene.png") as scene:
        smooth = np.asarray(scene.convert("RGB").resize((1632, 1224), Image.Resampling.LANCZOS), np.float32)
    for number in range(count):
        grain = np.random.default_rng(number).normal(0, 6, smooth.shape)
        grainy = Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))
        grainy.save(folder / f"photo{number:03}.jpg", quality=90, subsampling="4:2:0")
    return sum(path.stat().st_size for path in folder.iterdir()) / count


def measure(names: int, photos: int) -> Parts:
    """Return the parts of this machine.

    Parameters
    ----------
    names : int
        Objects that are listed, of which a tenth is planned.
    photos : int
        Photographs that are enlarged.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from store import failing, running

    with tempfile.TemporaryDirectory() as name, running() as store:
        work, bucket = Path(name), store.bucket()
        read = photographs(work / "photos", photos)
        few, many = (work / part for part in ("few", "many"))
        same = "-s", 2, "-j", 1, "-q", "--shard", "1/1"
        one = taken(work / "photos" / "photo000.jpg", "-o", f"{few}/", *same)
        all_ = taken(work / "photos", "-o", many, *same)
        photo = (all_.seconds - one.seconds) / (photos - 1)
        written = sum(path.stat().st_size for path in many.glob("*.jpg")) / photos
        record = (many / ".upscale" / "shard-1-of-1.jsonl").read_bytes()

        icon = (ROOT / "sample_images" / "logo.png").read_bytes()
        store.fill(bucket, "one/", ["a.png"], icon)
        store.fill(bucket, "all/", [f"image{number:07}.png" for number in range(names)], icon)
        out = f"s3://{bucket}/out/"
        place = store.environment()
        least = taken(f"s3://{bucket}/one/", "-o", out, "-n", "--shard", "1/1", environment=place)
        # Almost all belong to other shards, so nothing but the listing is left.
        listing = taken(f"s3://{bucket}/all/", "-o", out, "-n", "--shard", f"1/{names}", environment=place)
        listed = (listing.seconds - least.seconds) / names
        (work / "names").write_text("".join(f"s3://{bucket}/all/image{number:07}.png\n" for number in range(names)))
        naming = taken("--files-from", work / "names", "-o", out, "-n", "--shard", f"1/{names}", environment=place)
        planning = taken(f"s3://{bucket}/all/", "-o", out, "-n", "--shard", "1/10", environment=place)
        header = (planning.seconds - listing.seconds) / (names / 10)

        store.fill(bucket, "in/", [f"image{number:03}.png" for number in range(50)], icon)
        with failing(store) as proxy:
            taken(f"s3://{bucket}/in/", "-o", out, "-q", environment=store.environment(proxy.endpoint))
            asked = Counter("PUT" if each.method == "PUT" else "GET" for each, _ in proxy.log)

        (work / "large" / ".upscale").mkdir(parents=True)
        lines = [record.replace(b"photo", b"photo%d-" % number) for number in range(2000)]
        (work / "large" / ".upscale" / "shard-1-of-1.jsonl").write_bytes(b"".join(lines))
        alone = taken("report", many).seconds
        reported = (taken("report", work / "large").seconds - alone) / (1999 * photos)
        return PARTS._replace(
            start=one.seconds - photo,
            photo=photo,
            listed=listed,
            listed_bytes=(listing.memory - least.memory) / names,
            named=(naming.seconds - least.seconds) / names,
            header=header,
            record_bytes=len(record) / photos,
            reported=reported,
            gets=asked["GET"] / 50,
            puts=asked["PUT"] / 50,
            read_bytes=read,
            written_bytes=written,
        )


def main() -> None:
    """Print the tables, or the parts of this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure, and print PARTS and the tables of it")
    parser.add_argument("--names", type=int, default=20_000, help="objects that are listed")
    parser.add_argument("--photos", type=int, default=20, help="photographs that are enlarged")
    parser.add_argument("--write", action="store_true", help="write the tables of PARTS into docs/clusters.md")
    options = parser.parse_args()
    parts = PARTS
    if options.write:
        CLUSTERS.write_text(written(CLUSTERS.read_text("utf-8")), "utf-8")
    if options.measure:
        began = time.perf_counter()
        parts = measure(options.names, options.photos)
        print(*(f"    {name}={value:.4g}," for name, value in parts._asdict().items()), sep="\n")
        print(f"measured in {time.perf_counter() - began:.0f} s\n")
    print(tables(parts), end="")


if __name__ == "__main__":
    main()

"""Measure this tool beside every peer found on this machine, and write `docs/benchmarks.md`: `python bench/run.py`.

All competitors of a case take turns, so that a machine that slows down slows down all of them; the page compares the
median of each. `bench/peers.py` gets the peers; those that are absent are named. The exit status is 1 if a competitor
fails or makes another picture, and never because of times.
"""

import argparse
import compileall
import shlex
import sys
import tempfile
from pathlib import Path

from cases import Material, all_cases
from measuring import Pace, measure
from page import Results, page, section
from peers import ROOT, TOOLS, tool
from PIL import Image

QUICK = Pace(patience=4)
SMOKE = Pace(turns=1, warm=False, pause=0, memory=False)
SMOKE_DIVISOR = 8


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="measure each competitor for 4 seconds instead of 20")
    parser.add_argument("--smoke", action="store_true", help="only see that everything runs, once, with small images")
    parser.add_argument("--need", action="append", default=[], choices=TOOLS, help="stop if this tool is absent")
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="only cases whose names contain the word, or one of several"
    )
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="take its first PNG, not the sample scene")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the page; of a complete run, docs/benchmarks.md")
    told = parser.parse_args()
    if absent := [name for name in told.need if tool(name) is None]:
        sys.exit(f"bench/run.py: {', '.join(absent)} is absent; see bench/peers.py.")
    complete = not (told.only or told.smoke or told.quick)
    output = told.output or (ROOT / "docs" / "benchmarks.md" if complete else None)
    pace = SMOKE if told.smoke else QUICK if told.quick else Pace()
    # As pip does for a package that is not installed in place: a first start would be measured every time.
    compileall.compile_dir(ROOT / "upscale_cli", quiet=1)
    results: Results = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        found = sorted(told.photos.glob("*.png")) if told.photos is not None else []
        picture = Image.open(found[0] if found else ROOT / "sample_images" / "scene.png").convert("RGB")
        for case in all_cases(Material(picture, Path(folder), SMOKE_DIVISOR if told.smoke else 1)):
            if told.only and not any(word in case.name for word in told.only):
                continue
            taken = measure(case, pace)
            results.append((case, taken))
            failures += [f"{case.name}: {name}: {t.failure}" for name, t in taken.items() if t.failure]
            print(section(case, taken), flush=True)
            if output is not None:
                output.write_text(page(results, shlex.join(sys.argv[1:])), encoding="utf-8")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()

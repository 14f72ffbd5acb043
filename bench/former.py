"""Compare the time of a command with a former state: `python bench/former.py REVISION IMAGE [OPTION...]`.

    python bench/former.py 1e36253 photo.jpg -m learned -s 2 -j 1

The package as it is here, and as it was in a revision of this repository, enlarge the image in turn, in processes of
their own with the libraries that are installed here. Medians and their ratio are printed.
"""

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from measuring import Case, Pace, Process, measure

ROOT = Path(__file__).parents[1]
PROGRAM = "import sys\nsys.path.insert(0, sys.argv.pop(1))\nfrom upscale_cli.commands.upscale import main\nmain()"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("revision")
    parser.add_argument("image", type=Path)
    told, options = parser.parse_known_args()
    archive = ["git", "-C", str(ROOT), "archive", "--format=zip", told.revision, "upscale_cli"]
    ended = subprocess.run(archive, stdout=subprocess.PIPE, check=False)
    if ended.returncode:  # git has said why
        sys.exit(ended.returncode)
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(io.BytesIO(ended.stdout)) as archived:
            archived.extractall(folder)
        made = Path(folder, "made")
        words = told.image.resolve(), *options, "-o", made / "out.png", "-q"
        trees = {"here": ROOT, told.revision: Path(folder)}
        competitors = {
            name: Process(sys.executable, "-c", PROGRAM, tree, *words, folder=made) for name, tree in trees.items()
        }
        taken = measure(Case("former", dict(competitors)), Pace(turns=told.turns, patience=600))
    medians = {}
    print(f"| package | median of {told.turns} runs |\n|---|---|")
    for name, each in taken.items():
        if each.failure:
            sys.exit(f"{name}: {each.failure}")
        medians[name] = statistics.median(each.seconds)
        print(f"| {name} | {medians[name]:.3f} s |")
    print(f"\n{medians['here'] / medians[told.revision]:.3f} times the time")


if __name__ == "__main__":
    main()

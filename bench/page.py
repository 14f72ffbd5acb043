"""What was measured, as a page of Markdown."""

import os
import platform
import statistics
from importlib import metadata

from measuring import Case, Taken
from peers import OURS, TOOLS, tool

from upscale_cli import __version__
from upscale_cli.machine.processors import processors

HEAD = """\
# Benchmarks

`python bench/run.py` writes this page, losses included{arguments}.
All competitors of a table take turns in one run, and the table compares the median of each. Ratios carry over to
other machines better than seconds.

Commands and scripts are measured from file to file, start included. JPEG has quality 95 and 4:4:4 (ffmpeg has
another scale, of which it takes the best), WebP quality 95, and TIFF is deflated; everything else is as each
tool does it by default. **PSNR** compares the pixels of the file with the exact result of the filter that the
tool uses, so that nobody wins by writing worse files. That filter is Lanczos with three lobes, and with four in
OpenCV. libvips (`vips`, pyvips, sharp) enlarges by cubics where it is asked for Lanczos, and its pictures lie
half a pixel aside, which the comparison allows for. scikit-image has splines, which are not compared.
`bench/peers.py` says where each tool is found and how it is called; `python bench/peers.py` gets them.

[Design](design.md#what-is-missed) explains why some goals are missed.
"""
BARE = 'A goal of "2 ×" means that we mean to be twice as fast. "✗" stands where that was missed.'

Results = list[tuple[Case, dict[str, Taken]]]


def ratio(taken: dict[str, Taken], name: str) -> float | None:
    """Return how many times faster ours is than a competitor; None where one of them was not measured."""
    ours, theirs = next(iter(taken.values())), taken.get(name)
    if theirs is None or not theirs.seconds or not ours.seconds:
        return None
    return statistics.median(theirs.seconds) / statistics.median(ours.seconds)


def page(results: Results, arguments: str = "") -> str:
    """Return the page of a run; its arguments say what of it is missing."""
    head = HEAD.format(arguments=f" (here with `{arguments}`)" if arguments else "")
    return "\n".join([head, versions() + "\n", summary(results), *(section(*each) for each in results)])


def summary(results: Results) -> str:
    """Return how many goals were reached, the goals that were missed, and where others are faster."""
    reached, missed, absent, lost = 0, [], [], []
    for case, taken in results:
        for name in dict.fromkeys((*taken, *case.goals)):
            faster, goal = ratio(taken, name), case.goals.get(name)
            if faster is None:
                if goal is not None:
                    absent.append(f"- {case.name}: {name}; the goal is {goal:.3g} ×.")
                continue
            if goal is not None and faster >= goal:
                reached += 1
            elif goal is not None:
                missed.append(f"- {case.name}: {faster:.2f} × against {name}; the goal is {goal:.3g} ×.")
            if faster < 1 and not name.startswith(OURS):
                why = case.why.get(name, "")
                lost.append(f"- {case.name}: {name}, {1 / faster:.2f} times as fast. {why}".strip())
        if case.memory_goal is not None and (peak := next(iter(taken.values())).peak):
            if peak <= case.memory_goal:
                reached += 1
            else:
                missed.append(f"- {case.name}: {peak / 1e6:.0f} MB; the goal is {case.memory_goal / 1e6:.0f} MB.")
    lines = [f"{reached} of {reached + len(missed)} goals are reached. {BARE}", ""]
    unmeasured = ("Goals that were not measured", absent)
    for title, rows in (("Goals that are missed", missed), unmeasured, ("Where others are faster", lost)):
        lines += [f"## {title}\n", *(rows or ["None."]), ""]
    return "\n".join(lines)


def section(case: Case, taken: dict[str, Taken]) -> str:
    """Return a case as a section of the page."""
    made = any(t.made is not None for t in taken.values())
    memory = any(t.peak for t in taken.values())
    quality = any(t.made is not None and t.made.psnr is not None for t in taken.values())
    head = ["", "seconds (median)", "ours is faster by", "goal"]
    head += ["MB"] * made + ["PSNR, dB"] * quality + ["peak memory, MB"] * memory
    lines = [f"## {case.name}\n", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    ours = next(iter(taken))
    for name in dict.fromkeys((*taken, *case.goals)):
        t, faster, goal = taken.get(name, Taken(failure="absent")), ratio(taken, name), case.goals.get(name)
        verdict = "" if goal is None else f"{goal:.3g} ×"
        if goal is not None and faster is not None:
            verdict += " ✓" if faster >= goal else " ✗"
        seconds = f"{statistics.median(t.seconds):.3f}" if t.seconds else t.failure.replace("|", "/")
        cells = [name, seconds, "" if name == ours or faster is None else f"{faster:.2f} ×", verdict]
        cells += [f"{t.made.size / 1e6:.2f}" if t.made else ""] * made
        cells += [f"{t.made.psnr:.1f}" if t.made and t.made.psnr else ""] * quality
        peak = f"{t.peak / 1e6:.0f}" if t.peak else ""
        if name == ours and t.peak and case.memory_goal is not None:
            peak += f" (goal {case.memory_goal / 1e6:.0f} {'✓' if t.peak <= case.memory_goal else '✗'})"
        cells += [peak] * memory
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def versions() -> str:
    """Return the machine, what was measured and what is absent, as a paragraph."""
    own = [f"Python {platform.python_version()}"]
    for package in ("numpy", "pillow", "isal"):
        try:
            own.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            own.append(f"no {package}")
    peers = {name: tool(name) for name in TOOLS}
    parts = [f"upscale {__version__} with {', '.join(own)}"]
    parts += [f"{name} {found.version}" for name, found in peers.items() if found is not None]
    absent = ", ".join(name for name, found in peers.items() if found is None)
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("OPENBLAS_CORE"))
    machine = f"{processors()} processors, {platform.machine()}, {platform.system()}"
    return f"{machine}. {' · '.join(parts + settings)}. Absent: {absent or 'none'}."

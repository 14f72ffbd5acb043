"""Conflicts of a plan: targets that are also sources, or those of several sources."""

from collections import defaultdict
from collections.abc import Hashable
from typing import TYPE_CHECKING

from upscale_cli.errors import UsageError
from upscale_cli.places.place import Target

if TYPE_CHECKING:
    from upscale_cli.batch.plan import Job

MAX_CONFLICTS = 10
"""The most conflicts that an error lists."""


def refuse_conflicts(jobs: "list[Job]") -> None:
    """Raise `UsageError` if a target is also a source, by name or link, or several sources have one target."""
    writers: dict[Hashable, list[tuple[Job, Target]]] = defaultdict(list)
    there: dict[Hashable, Target] = {}
    for job in jobs:
        for target in job.work.targets(job.target) if job.target.portable else ():
            if (identity := target.identity()) is not None:
                there[identity] = target
            writers[target.key()].append((job, target))
    # Most targets are new, and then sources need not be looked at.
    for source in (each for job in jobs if there for each in (job.source, *job.work.reads)):
        if (taken := there.get(source.identity())) is not None:
            raise UsageError(f"{taken.shown} is both an input ({source.shown}) and an output; use another --output.")
    conflicts = [same for alike in writers.values() if len(alike) > 1 for same in _of_one_target(alike)]
    if conflicts:
        listed = "; ".join(
            f"{', '.join(job.source.shown for job, _ in alike)} → {alike[0][1].name}"
            for alike in conflicts[:MAX_CONFLICTS]
        )
        raise UsageError(
            f"Several inputs would be written to the same file: {listed}. Rename them or use separate output folders."
        )


def _of_one_target(alike: list[tuple["Job", Target]]) -> list[list[tuple["Job", Target]]]:
    """Return the jobs that share a target, by target, of some whose targets have the same key."""
    by_name: dict[str, list[tuple[Job, Target]]] = defaultdict(list)
    for job, target in alike:
        by_name[target.name].append((job, target))
    groups: list[list[tuple[Job, Target]]] = []
    for named in by_name.values():
        same = next((group for group in groups if group[0][1].is_same(named[0][1])), None)
        if same is None:
            groups.append(named)
        else:
            same += named
    return [group for group in groups if len(group) > 1]

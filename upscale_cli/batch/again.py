"""Jobs that are carried out twice: after a worker died whose result was complete, or by two runs at once.

A result that is there already is made again and compared. If it is the same, the job is done; anything else was
written by another program, and stays.
"""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, cast

from upscale_cli.codecs.picture import Reading
from upscale_cli.errors import NeedlessError
from upscale_cli.machine.replacing import SPOOL
from upscale_cli.methods.strips import Workers
from upscale_cli.places import place_of
from upscale_cli.places.place import Source, Target, Times
from upscale_cli.work.difference import difference
from upscale_cli.work.result import Result

if TYPE_CHECKING:
    from upscale_cli.batch.plan import Job

VANISHED = frozenset((errno.ENOENT, errno.ESTALE))
"""The errors of a file or folder that somebody has removed or replaced."""


def carried_out(job: "Job", workers: Workers | None, progress: Callable[[int], None]) -> Result:
    """Carry out a job, once more if its result or its temporary file is not as it was when the run was planned."""
    carry_out, source, target = job.work.carry_out, job.source, job.target
    try:
        try:
            return carry_out(source, target, workers, progress)
        except OSError as error:
            if error.errno not in VANISHED or not target.portable:
                raise
        return carry_out(source, target, workers, lambda pixels: progress(0))
    except NeedlessError as error:
        if job.skips and all(each.exists() for each in job.work.targets(target)):
            raise
        again = _Settled(target, job.work.reading, error)
    result = carry_out(source, again, workers, lambda pixels: progress(0))
    result.note(*again.notes)
    return result


class _Settled(Target):
    """A target that may be there already: it is compared with the result, and written only if it is missing."""

    def __init__(self, target: Target, reading: Reading, refusal: NeedlessError) -> None:
        self._target, self.name, self._reading, self._refusal = target, target.name, reading, refusal
        self.notes: list[str] = []

    def exists(self) -> bool:
        return False

    def clean(self) -> None:
        self._target.clean()

    def dated(self, times: Times | None) -> "_Settled":
        self._target = self._target.dated(times)
        return self

    def beside(self, ending: str) -> "_Settled":
        return _Settled(self._target.beside(ending), self._reading, self._refusal)

    @contextmanager
    def commit(self, overwrite: bool, *others: Target) -> Iterator[list[BinaryIO]]:
        targets = [each._target for each in (*others, self) if isinstance(each, _Settled)]
        with ExitStack() as stack:
            spools = [cast(BinaryIO, stack.enter_context(SpooledTemporaryFile(SPOOL))) for _ in targets]
            yield spools
            made = list(zip(targets, spools, strict=True))
            for _ in range(len(made) + 1):
                made = [each for each in made if not each[0].exists() or self._differs(*each)]
                if not made:
                    break
                with (
                    suppress(NeedlessError),
                    made[-1][0].commit(False, *(target for target, _ in made[:-1])) as files,
                ):
                    for (_, spool), file in zip(made, files, strict=True):
                        spool.seek(0)
                        shutil.copyfileobj(spool, file)
            self.clean()

    def _differs(self, target: Target, made: BinaryIO) -> bool:
        """Return False if a target is the result that was made; raise the refusal if it is another."""
        there = next(iter(place_of(target.name).sources(target.name, None)))
        assert isinstance(there, Source)
        rounded = difference(made, there, self._reading)
        if rounded is None:
            raise self._refusal
        self.notes = [f"the same result was there already{rounded}"]
        return False

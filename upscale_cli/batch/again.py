"""Jobs that are carried out twice: after a worker died whose result was complete, or by two runs at once.

A result that is there already is made again and compared. If it is the same, the job is done; anything else was
written by another program, and stays.
"""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, cast

from upscale_cli.codecs.picture import Reading
from upscale_cli.errors import NeedlessError, UpscaleError, taken_meanwhile
from upscale_cli.machine.replacing import SPOOL
from upscale_cli.methods.strips import Workers
from upscale_cli.places.place import Target, Times
from upscale_cli.work.difference import difference
from upscale_cli.work.result import Result

if TYPE_CHECKING:
    from upscale_cli.batch.plan import Job

TRIES = 8
"""How often a job is carried out: its result may be there, half of a pair become the whole, and each step of writing
meet a file that has vanished: the folder, the new file, what is there, two synchronisations, and the name."""

VANISHED = frozenset((errno.ENOENT, errno.ESTALE))
"""The errors of a file or folder that somebody has removed or replaced, on this host or another."""


def carried_out(job: "Job", workers: Workers | None, progress: Callable[[int], None]) -> Result:
    """Carry out a job, again if its result is there already or a file has vanished."""
    target, advance, left = job.target, progress, TRIES
    while True:
        left -= 1
        try:
            result = job.work.carry_out(job.source, target, workers, advance)
            result.note(*(target.notes if isinstance(target, _Settled) else ()))
            return result
        except NeedlessError:
            if not left or (job.skips and all(each.exists() for each in job.work.targets(job.target))):
                raise
            target = _Settled(job.target, job.work.reading)
        except Exception as error:
            if not (left and _has_vanished(error)):
                raise
        progress(0)  # A run that is stopped removes temporary files itself.
        advance = lambda pixels: progress(0)  # noqa: E731  they are counted already


def _has_vanished(error: BaseException | None) -> bool:
    """Return whether an error is due to a file that has vanished."""
    return error is not None and (getattr(error, "errno", 0) in VANISHED or _has_vanished(error.__context__))


class _Settled(Target):
    """A target that may be there already: it is compared with the result, and written only if it is missing."""

    def __init__(self, target: Target, reading: Reading) -> None:
        self._target, self.name, self._reading = target, target.name, reading
        self.notes: list[str] = []

    def exists(self) -> bool:
        return False

    def clean(self) -> None:
        self._target.clean()

    def dated(self, times: Times | None) -> "_Settled":
        self._target = self._target.dated(times)
        return self

    def beside(self, ending: str) -> "_Settled":
        return _Settled(self._target.beside(ending), self._reading)

    @contextmanager
    def commit(self, overwrite: bool, *others: Target) -> Iterator[list[BinaryIO]]:
        targets = [each._target for each in (*others, self) if isinstance(each, _Settled)]
        with ExitStack() as stack:
            spools = [cast(BinaryIO, stack.enter_context(SpooledTemporaryFile(SPOOL))) for _ in targets]
            yield spools
            made = zip(targets, spools, strict=True)
            if missing := [(target, spool) for target, spool in made if not self._is_made(target, spool)]:
                *before, last = (target for target, _ in missing)
                with last.commit(overwrite, *before) as files:
                    for (_, spool), file in zip(missing, files, strict=True):
                        spool.seek(0)
                        shutil.copyfileobj(spool, file)
        self.clean()

    def _is_made(self, target: Target, made: BinaryIO) -> bool:
        """Return whether a target is the result that was made, or missing; raise `UpscaleError` if it is another."""
        if not target.exists():
            return False
        try:
            rounded = difference(made, target.content(), self._reading)
        except UpscaleError as error:
            raise UpscaleError(f"{target.shown} {error}") from error
        if rounded is None:
            raise UpscaleError(taken_meanwhile(target.shown))
        # Of a pair, the longer one is told.
        self.notes = [max([*self.notes, f"the same result was there already{rounded}"])]
        return True

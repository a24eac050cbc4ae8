"""A launch's display that keeps TensorBoard's event files up to date beside another display."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from db import RunningJob, Store, Unavailable
from harness.report.event_files import EventFiles
from harness.run.launch import Display
from harness.run.work import Report
from sweeps.errors import UserError

SECONDS = 5.0
"""Between two looks at the curves of what runs."""


class Plotting:
    """Tells the other display everything. What hinders the files hinders no launch: it is told
    once, and the next look tries again."""

    def __init__(self, display: Display, files: EventFiles, store: Store) -> None:
        self.display, self.files, self.store = display, files, store
        self._looked = time.monotonic()
        self._ended: set[str] = set()
        self._hindered = ""

    def update(self, ended: int, total: int, running: Sequence[RunningJob]) -> None:
        self.display.update(ended, total, running)
        if time.monotonic() - self._looked < SECONDS:
            return
        try:
            self.files.follow(self.store, {job.job_id for job in running} | self._ended)
            self._ended.clear()
        except Unavailable:
            pass  # the launch itself will notice
        except UserError as error:
            if self._hindered != str(error):
                self._hindered = str(error)
                self.note(f"no curves for TensorBoard: {error}")
        self._looked = time.monotonic()

    def ended(self, title: str, report: Report) -> None:
        self._ended.add(report.job_id)
        self.display.ended(title, report)

    def away(self, since: float, why: str) -> None:
        self.display.away(since, why)

    def note(self, line: str) -> None:
        self.display.note(line)


@contextmanager
def plotting(
    folder: Path | None, display: Display, store: Store, job_ids: Sequence[str]
) -> Iterator[Display]:
    """A display for a launch of these jobs, whose curves are in the folder when it ends in good
    order; without a folder the same display."""
    if folder is None:
        yield display
        return
    with EventFiles(folder.absolute()) as files:
        files.know(store, job_ids)
        files.follow(store, job_ids)
        yield Plotting(display, files, store)
        try:
            files.follow(store, job_ids)
        except UserError as error:  # the results stand, whatever became of the files
            display.note(f"the curves for TensorBoard are not complete: {error}")


def write(folder: Path, store: Store, job_ids: Sequence[str]) -> int:
    """The curves of jobs as they are now; how many runs that is. Raises as `EventFiles`."""
    with EventFiles(folder.absolute()) as files:
        files.know(store, job_ids)
        return files.follow(store, job_ids)

"""A launch's display that keeps TensorBoard's event files up to date beside another display."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lcma.db import RunningJob, Store
from lcma.harness.report.event_files import EventFiles
from lcma.harness.run.launch import Display
from lcma.harness.run.work import Report
from lcma.sweeps.errors import UserError

SECONDS = 5.0
"""Between two looks at the curves of what runs."""


class Plotting:
    """Tells the other display everything. What hinders the files hinders no launch: it is told
    once, and the next look tries again."""

    def __init__(
        self, display: Display, files: EventFiles, store: Store, job_ids: Sequence[str]
    ) -> None:
        self.display, self.files, self.store, self.job_ids = display, files, store, job_ids
        self._known = False
        self._looked = 0.0
        self._ended: set[str] = set()
        self._hindered = ""

    def look(self, job_ids: Collection[str]) -> None:
        """Bring the files of these jobs up to what the database has, if nothing hinders it."""
        try:
            if not self._known:
                self.files.know(self.store, self.job_ids)
                self._known = True
            self.files.follow(self.store, job_ids)
            self._ended.difference_update(job_ids)
        except UserError as error:
            if self._hindered != str(error):
                self._hindered = str(error)
                self.note(f"the curves for TensorBoard are not complete: {error}")
        self._looked = time.monotonic()

    def update(self, ended: int, total: int, running: Sequence[RunningJob]) -> None:
        self.display.update(ended, total, running)
        if time.monotonic() - self._looked >= SECONDS:
            self.look({job.job_id for job in running} | self._ended)

    def ended(self, title: str, report: Report) -> None:
        self._ended.add(report.job_id)
        self.display.ended(title, report)

    def away(self, since: float, why: str) -> None:
        self.display.away(since, why)

    def note(self, line: str) -> None:
        self.display.note(line)


@contextmanager
def plot_curves(
    folder: Path | None, display: Display, store: Store, job_ids: Sequence[str]
) -> Iterator[Display]:
    """A display for a launch of these jobs, whose curves are in the folder when it ends in good
    order; without a folder the same display. Raises UserError as `EventFiles`."""
    if folder is None:
        yield display
        return
    with EventFiles(folder.absolute()) as files:
        shown = Plotting(display, files, store, job_ids)
        shown.look(job_ids)
        yield shown
        shown.look(job_ids)


def write_curves(folder: Path, store: Store, job_ids: Sequence[str]) -> int:
    """The curves of jobs as they are now; how many runs that is. Raises as `EventFiles`."""
    with EventFiles(folder.absolute()) as files:
        files.know(store, job_ids)
        return files.follow(store, job_ids)

"""The merge of another site's database: by content, never over what is here.

The other database is read in one state of it and never written. What is taken comes in parts, each
in a transaction of its own that leaves this database sound, so that workers go on meanwhile, and
what was cut off is completed by merging again.
"""

import gc
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import sqlalchemy as sa

from lcma.db import migrate, schema
from lcma.db.engine import Database
from lcma.db.errors import Unavailable
from lcma.db.events import add_event
from lcma.db.inserts import lock
from lcma.db.integrity import ENGINE, ReportFunction, RowChecks
from lcma.db.merging.evidence import Evidence, Gain, find_gain, read_evidence
from lcma.db.merging.plans import TABLES, Refused, merge_plans
from lcma.db.merging.report import MergeReport, Tally
from lcma.db.merging.transfer import write_gains
from lcma.sweeps.errors import UserError

TRIALS, SEGMENTS = 500, 16
"""Jobs merged in one transaction: trials, and segments of pretrainings with their maps."""

PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds before each new try at a part that the target did not take for now, as where it and a
worker waited for each other's rows."""

DERIVED = (schema.events, schema.cells)
"""Tables that are not taken over: history, and what is made anew from the rest."""

Choice = Callable[[sa.Connection], Collection[str]]


def merge(
    source: Database,
    target: Database,
    *,
    dry_run: bool = False,
    choose: Choice | None = None,
    progress: ReportFunction = lambda what, done, total: None,
) -> MergeReport:
    """Take over what `source` has and `target` has not.

    Args:
        source: Where to read; it is not changed.
        target: Where to write; made if it is missing.
        dry_run: Write nothing.
        choose: Given a connection to the source, whose state is the one that is merged, returns the
            jobs to take by id; all plans come over nonetheless.
        progress: As in `check_integrity`.

    Returns:
        What was found and done.

    Raises:
        UserError: Both are one database, the source is missing, damaged, unsound, or of another
            schema than this code's, or the target is not ours, or of a newer schema; the target is
            as it was. Or the target fails on the way: what has come over is whole, and merging
            again goes on.
    """
    _require_source(source)
    found = target.identify()
    migrate.require_known(target, found)
    if source.identity() == target.identity():
        raise UserError(
            f"{source.name} and {target.name} are one database: give another one to merge from"
        )
    with _without_garbage_collection(), source.reader().connect() as connection:
        _require_sound(source, connection, progress)
        if not dry_run:
            migrate.ensure(target)
        elif found.revision != migrate.current_version():
            raise UserError(
                f"a dry run writes nothing, and {target.name} is not a database of schema "
                f"{migrate.current_version()}: run `lcma db init` or `lcma db upgrade` before"
            )
        jobs = None if choose is None else choose(connection)
        return _Merge(source, connection, target, dry_run, jobs, progress).run()


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    # Rows come and go by the thousand, and none are in circles: looking for these took a sixth of
    # the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _require_source(source: Database) -> None:
    found = source.identify()
    if not found.exists:
        raise UserError(f"there are no results at {source.name}: give a database to merge from")
    migrate.require_current(source, found)


def _require_sound(source: Database, connection: sa.Connection, progress: ReportFunction) -> None:
    progress(ENGINE, 0, None)
    if any(source.faults()):
        raise UserError(
            f"nothing is taken from the database {source.name}, which is damaged, as `lcma db "
            "check` shows; go back to a copy of it"
        )
    inspection = RowChecks(connection, progress, one_state=True)
    for _, findings in inspection.find_faults(without=DERIVED):
        for finding in findings:
            raise UserError(
                f"nothing is taken from {source.name}, which has a fault: {finding}; "
                "`lcma db check` lists all such faults: go back to a copy without them"
            )


class _Merge:
    def __init__(
        self,
        source: Database,
        connection: sa.Connection,
        target: Database,
        dry_run: bool,
        jobs: Collection[str] | None,
        progress: ReportFunction,
    ) -> None:
        self.source, self.connection, self.target = source, connection, target
        self.jobs = None if jobs is None else frozenset(jobs)
        self.dry_run, self.progress = dry_run, progress
        self.tally, self.refused = Tally(), Refused()
        self.writer = target.reader() if dry_run else target.writer()
        self.event_id: int | None = None
        self.written = ""

    def run(self) -> MergeReport:
        try:
            self._merge_rows(TABLES)
            self._merge_jobs()
            self._refuse_other_results()
            self._merge_rows((schema.verifications,))
        except UserError as error:
            if not self.written:
                raise
            raise UserError(
                f"{error}; before that came over, whole: {self.written}; merge again to go on"
            ) from error
        return self.tally.report(
            self.source.name, self.target.name, dry_run=self.dry_run, studies=self._studies()
        )

    def _merge_rows(self, tables: Sequence[sa.Table]) -> None:
        merge_plans(
            self.connection,
            self._transaction,
            self.tally,
            self.refused,
            tables=tables,
            write=not self.dry_run,
            progress=self.progress,
        )

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        # Of the target, with the merge's event in it if it brings anything.
        with self._begin() as connection:
            try:
                if not self.dry_run:
                    # Rows of plans are added by no one else meanwhile.
                    lock(connection, "register")
                yield connection
                if not self.dry_run:
                    written = self._add_event(connection)
            except (sa.exc.IntegrityError, sa.exc.DataError) as error:
                raise self._misfit(error.orig) from error
            except sa.exc.DBAPIError:
                raise
            except (sa.exc.StatementError, TypeError, ValueError, ArithmeticError) as error:
                # A SQLite file made without our constraints has values of any type.
                raise self._misfit(error) from error
            except Exception as error:
                problem = self.target.explain(error)
                if problem is None:
                    raise
                kind = Unavailable if self.target.passes(error) else UserError
                raise kind(problem) from error
        if not self.dry_run:
            self.written, self.event_id = written

    def _misfit(self, error: object) -> UserError:
        why = str(error).partition("\n")[0]
        return UserError(
            f"{self.source.name} has a row that cannot be in a database of ours: {why}; give one "
            "that lcma has written"
        )

    def _begin(self) -> AbstractContextManager[sa.Connection]:
        return self.writer.connect() if self.dry_run else self.writer.begin()

    def _add_event(self, connection: sa.Connection) -> tuple[str, int | None]:
        # To the target's history: what came over so far. Returns its text, and the event's number.
        gains, event_id = self.tally.gains(), self.event_id
        if gains != self.written:
            events, detail = schema.events, f"from {self.source.name}: {gains}"
            if event_id is None:
                add_event(connection, "merge", self.target.clock(connection), detail=detail)
                newest = sa.select(sa.func.max(events.c.id)).where(events.c.event == "merge")
                event_id = connection.execute(newest).scalar_one()
            else:
                own = sa.update(events).where(events.c.id == event_id)
                connection.execute(own.values(detail=detail))
        return gains, event_id

    def _merge_jobs(self) -> None:
        ids = self._job_ids()
        total, done = sum(map(len, ids)), 0
        self.progress("jobs", 0, total)
        for of_kind, size in zip(ids, (SEGMENTS, TRIALS), strict=True):
            for start in range(0, len(of_kind), size):
                some = of_kind[start : start + size]
                self._merge_some(some)
                done += len(some)
                self.progress("jobs", done, total)

    def _job_ids(self) -> tuple[list[str], list[str]]:
        # Segments and trials, so that what is summed up or compared together comes together.
        jobs, pretrainings, trials = schema.jobs, schema.pretrainings, schema.trials
        segments = (
            sa.select(jobs.c.id)
            .join(pretrainings, pretrainings.c.id == jobs.c.pretraining_id)
            .order_by(pretrainings.c.recipe_id, pretrainings.c.id, jobs.c.budget, jobs.c.id)
        )
        family = ("recipe_id", "factorization", "map_options", "budget", "seed")
        of_trials = (
            sa.select(jobs.c.id)
            .join(trials, trials.c.id == jobs.c.trial_id)
            .order_by(*(trials.c[name] for name in family), jobs.c.id)
        )
        first, second = (self.connection.execute(q).scalars().all() for q in (segments, of_trials))
        return self._wanted(first), self._wanted(second)

    def _wanted(self, ids: Sequence[str]) -> list[str]:
        return [one for one in ids if self.jobs is None or one in self.jobs]

    def _refuse_other_results(self) -> None:
        # What says how results were verified refers to them.
        if self.jobs is None:
            return
        attempts, results = schema.attempts, schema.results
        query = sa.select(results.c.id, attempts.c.job_id).join(
            attempts, attempts.c.id == results.c.attempt_id
        )
        for result_id, job_id in self.connection.execute(query):
            if job_id not in self.jobs:
                self.refused.add(results, {"id": result_id})

    def _merge_some(self, ids: Sequence[str]) -> None:
        there = read_evidence(self.connection, ids, bytes_of_maps=True)
        before = self.tally.copy()
        for pause in PAUSES:
            try:
                self._take_some(ids, there)
            except Unavailable:
                self.tally = before.copy()
                time.sleep(pause)
            else:
                return
        self._take_some(ids, there)

    def _take_some(self, ids: Sequence[str], there: Mapping[str, Evidence]) -> None:
        with self._transaction() as connection:
            here = read_evidence(connection, ids, hold=not self.dry_run, bytes_of_maps=False)
            gains: list[Gain] = []
            for job_id in ids:
                found = find_gain(there[job_id], here.get(job_id), self.refused, self.tally)
                if found is not None and found.anything:
                    gains.append(found)
            if gains and not self.dry_run:
                write_gains(self.connection, connection, gains, self.target.clock(connection))

    def _studies(self) -> int:
        if not sa.inspect(self.connection).has_table("studies"):
            return 0
        count = sa.select(sa.func.count()).select_from(sa.table("studies"))
        return int(self.connection.execute(count).scalar_one())

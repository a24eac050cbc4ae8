"""The store: one object through which everything is planned, claimed, recorded and read."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa

from db import engine, evaluations, jobs, migrate, reading, recording, schema
from db.inserting import insert_missing
from db.reading import Scalar
from db.records import (
    Artifact,
    Bar,
    Claim,
    ContributionMap,
    Cost,
    Counts,
    Environment,
    Evaluator,
    IndexTable,
    Job,
    Metric,
    Outcome,
    PlannedJob,
    Registration,
    Result,
    RunningJob,
    Sweep,
    SweepMember,
)

if TYPE_CHECKING:
    import pandas as pd


def connect(url: str, *, create: bool = True) -> "Store":
    """Open the database at `sqlite:///PATH`, or at a bare path ending in .db or .sqlite.

    It is made when it is missing, unless `create` is False, and brought to the current schema.
    Raises UserError for another backend, a place where no database can be, another program's
    file, a damaged one, or one of a newer schema; the file is left as it was.
    """
    path = engine.locate(url)
    migrate.ensure(path, create=create)
    return Store(engine.sqlite_url(path), engine.reader(path), engine.writer(path))


class Store:
    """A results database. Safe to use from several threads, and in a forked process.

    Every method is one transaction. Each raises UserError, with nothing changed, where the file is
    damaged, locked for too long, not writable, or its disk is full. Times are Unix seconds, UTC;
    `now` stands for the clock in tests.
    """

    def __init__(self, url: str, reader: sa.Engine, writer: sa.Engine) -> None:
        self.url = url
        self._reader = reader
        self._writer = writer

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def register(self, plan: Registration, *, now: float | None = None) -> None:
        """Add all of a plan that is not there yet: recipes, data, trials, jobs, the sweep."""
        now = _clock(now)
        stamp = {"created": now}

        def stamped(items: Sequence[object]) -> list[dict[str, object]]:
            rows = [asdict(item) for item in items]  # type: ignore[call-overload]
            return [row if row.get("created") is not None else row | stamp for row in rows]

        with self._writer.begin() as connection:
            insert_missing(connection, schema.recipes, [asdict(r) for r in plan.recipes])
            insert_missing(connection, schema.data_sets, stamped(plan.data_sets))
            insert_missing(connection, schema.bars, [asdict(b) for b in plan.bars])
            insert_missing(connection, schema.sweeps, stamped(plan.sweeps))
            insert_missing(connection, schema.pretrainings, [asdict(p) for p in plan.pretrainings])
            insert_missing(connection, schema.trials, [asdict(t) for t in plan.trials])
            insert_missing(connection, schema.sweep_trials, [asdict(m) for m in plan.members])
            insert_missing(connection, schema.jobs, [_job_row(job, now) for job in plan.jobs])

    def environment(self, environment: Environment, *, now: float | None = None) -> str:
        """Add an environment unless it is there; its id."""
        row = {"id": environment.id, **asdict(environment), "created": _clock(now)}
        with self._writer.begin() as connection:
            insert_missing(connection, schema.environments, [row])
        return environment.id

    def job(self, job_id: str) -> Job | None:
        """The job as it stands, None if it is not registered."""
        return self.jobs([job_id]).get(job_id)

    def jobs(self, ids: Sequence[str]) -> dict[str, Job]:
        """Those of the jobs that are registered, by id; thousands at once are fine."""
        with self._reader.connect() as connection:
            return reading.read_jobs(connection, ids)

    def claim(
        self,
        job_id: str,
        *,
        owner: str,
        host: str,
        pid: int,
        environment_id: str,
        device: str,
        threads: int,
        lease_seconds: float,
        now: float | None = None,
    ) -> Claim | Job:
        """Start an attempt at a job that is pending, or running under a lease that is over.

        Returns the claim; or, where somebody else has it or it has ended, the job as it is.
        An attempt whose lease was over ends as 'lease_lost'. Raises LookupError for an id that is
        not registered.
        """
        with self._writer.begin() as connection:
            return jobs.claim(
                connection,
                job_id,
                owner=owner,
                host=host,
                pid=pid,
                environment_id=environment_id,
                device=device,
                threads=threads,
                lease_seconds=lease_seconds,
                now=_clock(now),
            )

    def heartbeat(
        self,
        claim: Claim,
        *,
        step: int,
        lease_seconds: float,
        first_step: int | None = None,
        now: float | None = None,
    ) -> bool:
        """Report the training step and extend the lease to `lease_seconds` from now.

        `first_step` corrects the step from which the attempt went on. False, with nothing
        changed: the claim is no longer good, stop working.
        """
        with self._writer.begin() as connection:
            return jobs.heartbeat(
                connection,
                claim,
                step=step,
                lease_seconds=lease_seconds,
                first_step=first_step,
                now=_clock(now),
            )

    def add_metrics(self, claim: Claim, rows: Sequence[Metric]) -> bool:
        """Store points of curves, replacing those there; False if the claim is no longer good."""
        with self._writer.begin() as connection:
            if jobs.held(connection, claim) is None:
                return False
            recording.insert_metrics(connection, claim.job_id, rows)
            return True

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        last_step: int,
        cost: Cost,
        message: str = "",
        result: Result | None = None,
        maps: Sequence[ContributionMap] = (),
        tables: Sequence[IndexTable] = (),
        artifacts: Sequence[Artifact] = (),
        metrics: Sequence[Metric] = (),
        now: float | None = None,
    ) -> bool:
        """End the attempt, and store what it made, all or nothing.

        True if it is stored, or was before by the same call. False, with nothing changed, if the
        claim is no longer good. An artifact replaces the job's former one of the same kind.
        Raises Conflict, with nothing changed, where a result, map or table is there with another
        value, and ValueError for one of another job, or a trial done without a result.
        """
        with self._writer.begin() as connection:
            return recording.finish(
                connection,
                claim,
                outcome,
                message=message,
                last_step=last_step,
                cost=cost,
                result=result,
                maps=maps,
                tables=tables,
                artifacts=artifacts,
                metrics=metrics,
                now=_clock(now),
            )

    def result(self, trial_id: str, data_digest: str, protocol: str) -> Result | None:
        """The result of a trial on one exact data set by a protocol, None if there is none yet."""
        with self._reader.connect() as connection:
            return evaluations.read_result(connection, trial_id, data_digest, protocol)

    def add_evaluation(
        self,
        job_id: str,
        result: Result,
        *,
        by: Evaluator,
        cost: Cost,
        now: float | None = None,
    ) -> bool:
        """Store a result of weights that a job left when it was done, without a claim.

        The evaluation is an attempt of its own, which ends as 'done'. Where the result is there,
        what was measured beside it is added if it is new, or a bound of more draws or images.
        False, with nothing changed, where nothing is new. Raises Conflict where the result is
        there with another value, ValueError for one of another job or of one that is not done,
        LookupError for a job that is not registered; nothing is changed then.
        """
        with self._writer.begin() as connection:
            return evaluations.add(connection, job_id, result, by=by, cost=cost, now=_clock(now))

    def release(self, owner: str, *, now: float | None = None) -> int:
        """Put a launch's running jobs back to pending, their attempts cancelled; how many."""
        with self._writer.begin() as connection:
            return jobs.release(connection, owner, _clock(now))

    def retry(self, job_ids: Sequence[str], *, now: float | None = None) -> int:
        """Put those of the jobs that failed or diverged back to pending; how many."""
        with self._writer.begin() as connection:
            return jobs.retry(connection, job_ids, _clock(now))

    def maps(
        self, pretraining_id: str, data_digest: str, budget: int, score: str = "cumulative"
    ) -> list[ContributionMap]:
        """The contribution maps of one budget by split; empty if there are none yet.

        Raises UserError naming the row where one is damaged.
        """
        with self._reader.connect() as connection:
            return reading.read_maps(connection, pretraining_id, data_digest, budget, score)

    def bars(self) -> dict[str, list[Bar]]:
        """The bars of every data set by its digest, those left out too."""
        with self._reader.connect() as connection:
            return reading.read_bars(connection)

    def recipe_bodies(self, ids: Sequence[str]) -> dict[str, str]:
        """The JSON of those of the recipes that are registered, by id."""
        with self._reader.connect() as connection:
            return reading.read_recipe_bodies(connection, ids)

    def metrics(self, job_id: str, name: str) -> list[Metric]:
        """One curve of a job by step."""
        with self._reader.connect() as connection:
            return reading.read_metrics(connection, job_id, name)

    def artifacts(self, job_id: str) -> list[Artifact]:
        """The files that a job left, by kind."""
        with self._reader.connect() as connection:
            return reading.read_artifacts(connection, job_id)

    def running(self) -> list[RunningJob]:
        """The running jobs with what they are and how far, those started first at the top."""
        with self._reader.connect() as connection:
            return reading.read_running(connection)

    def counts(self, sweep_id: str | None = None) -> Counts:
        """How many jobs are in each state, of one sweep with its pretrainings, or of all."""
        with self._reader.connect() as connection:
            return reading.read_counts(connection, sweep_id)

    def sweeps(self) -> list[Sweep]:
        """All sweeps, oldest first."""
        with self._reader.connect() as connection:
            return reading.read_sweeps(connection)

    def members(self, sweep_id: str) -> list[SweepMember]:
        """The trials of a sweep under the names that it asked for."""
        with self._reader.connect() as connection:
            return reading.read_members(connection, sweep_id)

    def results_frame(
        self, *, sweep_id: str | None = None, **where: Scalar | Sequence[Scalar]
    ) -> "pd.DataFrame":
        """Rows of the view `trial_results`, of one sweep or of all.

        A keyword names a column and the value, or the values, it may have. Whole numbers that may
        be null are Int64, the others int64; floats are float64, null is NaN. Raises UserError for
        an unknown column.
        """
        with self._reader.connect() as connection:
            return reading.results_frame(connection, sweep_id, where)

    def attempts_frame(self, **where: Scalar | Sequence[Scalar]) -> "pd.DataFrame":
        """Rows of `attempts`, chosen as in `results_frame`."""
        with self._reader.connect() as connection:
            return reading.attempts_frame(connection, where)


def _clock(now: float | None) -> float:
    return time.time() if now is None else now


def _job_row(job: PlannedJob, now: float) -> dict[str, object]:
    planned = {"state": "pending", "step": 0, "token": 0, "updated": now}
    return {"id": job.id, **asdict(job), **planned}

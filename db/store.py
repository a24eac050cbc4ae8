"""The store: one object through which everything is planned, claimed, recorded and read."""

import time
from collections.abc import Sequence
from dataclasses import asdict

from lcma.db import (
    curves,
    evaluations,
    happenings,
    jobs,
    migrate,
    reading,
    recording,
    schema,
    steering,
    telling,
)
from lcma.db.engine import Database, locate
from lcma.db.follower import Follower
from lcma.db.inserting import insert_missing, lock
from lcma.db.keeper import Keeper
from lcma.db.reader import Reader
from lcma.db.records import (
    Artifact,
    Cap,
    Claim,
    ContributionMap,
    Cost,
    Environment,
    Evaluator,
    IndexTable,
    Job,
    Metric,
    Outcome,
    PlannedJob,
    Policy,
    Registration,
    Result,
)
from lcma.db.steerer import Steerer


def connect(url: str, *, create: bool = True) -> "Store":
    """Open the database at `sqlite:///PATH`, at a bare path ending in .db or .sqlite, or at
    `postgresql://USER@HOST/DATABASE`.

    Its tables, and a file with them, are made when they are missing, unless `create` is False, and
    brought to the current schema. Raises UserError for another backend, a place where no database
    can be, another program's, a damaged one, or one of a newer schema; it is left as it was.
    """
    database = locate(url)
    migrate.ensure(database, create=create)
    return Store(database)


def exists(url: str) -> bool:
    """Whether results are at a URL, whatever their schema. Raises UserError as `connect` does."""
    return locate(url).identify().exists


class Store(Reader, Follower, Steerer, Keeper):
    """A results database. Safe to use from several threads, and in a forked process.

    Every method is one transaction. Each raises UserError, with nothing changed, where the
    database is damaged, locked for too long, not writable, cannot be reached, or its disk is full;
    it is an Unavailable where the same may work later.
    Times are Unix seconds, UTC, by the database's clock; `now` stands for it in tests.

    `url` leads another process to the same database and may hold a password: `name` is what may be
    shown.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.url, self.name = database.url, database.name
        self._reader, self._writer = database.kept()

    def __repr__(self) -> str:
        return f"Store({self.name!r})"

    def close(self) -> None:
        """Close the connections that are kept for a second after each use; the store stays good."""
        self._reader.dispose()
        self._writer.dispose()

    def now(self) -> float:
        """The time by the database's clock, Unix seconds."""
        with self._reader.connect() as connection:
            return self.database.clock(connection)

    def register(self, plan: Registration, *, now: float | None = None) -> None:
        """Add all of a plan that is not there yet: recipes, data, trials, jobs, the sweep."""
        with self._writer.begin() as connection:
            # Two plans that share rows could wait for each other's.
            lock(connection, "register")
            now = self._clock(connection, now)
            stamp = {"created": now}

            def stamped(items: Sequence[object]) -> list[dict[str, object]]:
                rows = [asdict(item) for item in items]  # type: ignore[call-overload]
                return [row if row.get("created") is not None else row | stamp for row in rows]

            there = {sweep.id for sweep in reading.read_sweeps(connection)}
            new = [sweep for sweep in plan.sweeps if sweep.id not in there]
            insert_missing(connection, schema.recipes, [asdict(r) for r in plan.recipes])
            insert_missing(connection, schema.data_sets, stamped(plan.data_sets))
            insert_missing(connection, schema.bars, [asdict(b) for b in plan.bars])
            insert_missing(connection, schema.sweeps, stamped(plan.sweeps))
            insert_missing(connection, schema.pretrainings, [asdict(p) for p in plan.pretrainings])
            insert_missing(connection, schema.trials, [asdict(t) for t in plan.trials])
            insert_missing(connection, schema.sweep_trials, [asdict(m) for m in plan.members])
            insert_missing(connection, schema.jobs, [_job_row(job, now) for job in plan.jobs])
            telling.write_references(connection)
            for sweep in new:
                detail = f"sweep {sweep.name} {sweep.id}, {len(plan.jobs)} jobs"
                happenings.note(connection, "register", now, detail=detail)

    def environment(self, environment: Environment, *, now: float | None = None) -> str:
        """Add an environment unless it is there; its id."""
        with self._writer.begin() as connection:
            created = self._clock(connection, now)
            row = {"id": environment.id, **asdict(environment), "created": created}
            insert_missing(connection, schema.environments, [row])
        return environment.id

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
        devices: str | None = None,
        cap: Cap | None = None,
        now: float | None = None,
    ) -> Claim | Job:
        """Start an attempt at a job that is pending, or running under a lease that is over.

        Returns the claim; or the job as it is, where somebody else has it, it has ended, or it is a
        segment and a shorter one of the same pretraining and data runs, whose checkpoint it needs,
        or as many jobs of a sweep run as the `cap` allows.
        An attempt whose lease was over ends as 'node_lost', but not before `lease_seconds` after
        the server's start, nor where this call waited half of them for the database: workers that
        it kept waiting too shall renew theirs first. `devices` are those granted, None on a CPU.
        Raises LookupError for an id that is not registered.
        """
        called = time.monotonic()
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)

            def back() -> float | None:
                if now is not None:
                    return None
                waited = time.monotonic() - called
                return clock if waited > lease_seconds / 2 else self.database.started(connection)

            if cap is not None and steering.is_full(connection, cap, clock):
                job = jobs.read_job(connection, job_id)
                if job is None:
                    raise LookupError(f"no job {job_id}")
                return job
            return jobs.claim(
                connection,
                job_id,
                owner=owner,
                host=host,
                pid=pid,
                environment_id=environment_id,
                device=device,
                devices=devices,
                threads=threads,
                lease_seconds=lease_seconds,
                now=clock,
                back=back,
            )

    def heartbeat(
        self,
        claim: Claim,
        *,
        step: int,
        lease_seconds: float,
        first_step: int | None = None,
        metrics: Sequence[Metric] = (),
        now: float | None = None,
    ) -> bool:
        """Report the training step and extend the lease to `lease_seconds` from now, though it
        may have been over if nobody claimed the job since.

        `first_step` corrects the step from which the attempt went on; `metrics` are stored as by
        `add_metrics`. False, with nothing changed: the claim is no longer good, stop working.
        """
        with self._writer.begin() as connection:
            alive = jobs.heartbeat(
                connection,
                claim,
                step=step,
                lease_seconds=lease_seconds,
                first_step=first_step,
                now=self._clock(connection, now),
            )
            if alive:
                curves.insert_metrics(connection, claim.job_id, metrics)
            return alive

    def add_metrics(self, claim: Claim, rows: Sequence[Metric]) -> bool:
        """Store points of curves, replacing those there; False if the claim is no longer good."""
        with self._writer.begin() as connection:
            if jobs.held(connection, claim) is None:
                return False
            curves.insert_metrics(connection, claim.job_id, rows)
            return True

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        last_step: int,
        cost: Cost,
        first_step: int | None = None,
        message: str = "",
        log: str | None = None,
        result: Result | None = None,
        maps: Sequence[ContributionMap] = (),
        tables: Sequence[IndexTable] = (),
        artifacts: Sequence[Artifact] = (),
        longest_only: bool = False,
        metrics: Sequence[Metric] = (),
        policy: Policy | None = None,
        now: float | None = None,
    ) -> bool:
        """End the attempt, and store what it made, all or nothing; `first_step` as in `heartbeat`.
        Where the `policy` says that the job is run again by itself, it is pending at once.

        True if it is stored, or was before by the same call. False, with nothing changed, if the
        claim is no longer good. An artifact replaces the job's former one of the same kind. With
        `longest_only`, a pretraining all of whose segments are done keeps the longest one's
        checkpoint alone on record.
        Raises Conflict, with nothing changed, where a result, map or table is there with another
        value, and ValueError for one of another job, or a trial done without a result.
        """
        with self._writer.begin() as connection:
            return recording.finish(
                connection,
                claim,
                outcome,
                message=message,
                log=log,
                last_step=last_step,
                first_step=first_step,
                cost=cost,
                result=result,
                maps=maps,
                tables=tables,
                artifacts=artifacts,
                longest_only=longest_only,
                metrics=metrics,
                policy=policy,
                now=self._clock(connection, now),
            )

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
            return evaluations.add(
                connection, job_id, result, by=by, cost=cost, now=self._clock(connection, now)
            )

    def release(self, owner: str, *, now: float | None = None) -> int:
        """Put a launch's running jobs back to pending, their attempts cancelled; how many."""
        with self._writer.begin() as connection:
            return jobs.release(connection, owner, self._clock(connection, now))

    def lose(
        self,
        job_id: str,
        *,
        owner: str,
        token: int,
        outcome: Outcome = "node_lost",
        message: str = "",
        policy: Policy | None = None,
        now: float | None = None,
    ) -> bool:
        """End the attempt of a process that is known to be dead, though its lease may not be over;
        by default as 'node_lost', after which the job is pending. `policy` as in `finish`. False,
        with nothing changed, where the job does not run under that launch's token any more."""
        with self._writer.begin() as connection:
            return jobs.lose(
                connection,
                job_id,
                owner=owner,
                token=token,
                outcome=outcome,
                message=message,
                policy=policy,
                now=self._clock(connection, now),
            )

    def retry(self, job_ids: Sequence[str], *, now: float | None = None) -> int:
        """Put those of the jobs that failed or diverged back to pending; how many."""
        with self._writer.begin() as connection:
            return jobs.retry(connection, job_ids, self._clock(connection, now))


def _job_row(job: PlannedJob, now: float) -> dict[str, object]:
    planned = {"state": "pending", "step": 0, "token": 0, "updated": now}
    return {"id": job.id, **asdict(job), **planned}

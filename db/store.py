"""The store: one object through which everything is planned, claimed, recorded and read."""

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import MISSING, asdict, fields, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from lcma.db import leases, migrate, schema
from lcma.db.cells import (
    has_any_result,
    read_cells,
    read_values,
)
from lcma.db.curves import insert_metrics
from lcma.db.engine import Database, QueryResult
from lcma.db.errors import Conflict
from lcma.db.events import add_event
from lcma.db.filters import Scalar, Where, build_conditions, chunks
from lcma.db.index_tables import encode_table
from lcma.db.inserts import (
    escape_text,
    insert_missing,
    insert_or_replace,
    lock,
)
from lcma.db.jobs import (
    SINCE_RETRY,
    claim_job,
    decode_job,
    end_attempt,
    extend_leases,
    has_ended_as,
    hash_attempt,
    in_sweep,
    move_job,
    move_jobs,
    read_claimed,
    read_job,
    release_jobs,
)
from lcma.db.maps import MAP_FACTS, MAP_ORDER, decode_stored_map, encode_map
from lcma.db.places import locate
from lcma.db.records import (
    KINDS,
    Artifact,
    Attempt,
    Bar,
    Cap,
    CellState,
    Claim,
    ContributionMap,
    Cost,
    Curve,
    CurveKey,
    DataWait,
    Environment,
    Evaluator,
    Forgotten,
    Heartbeat,
    IndexTable,
    Job,
    JobCounts,
    JobDuration,
    JobFacts,
    LostTrials,
    MapKey,
    MapUser,
    Measure,
    Membership,
    Metric,
    News,
    Outcome,
    PlannedJob,
    Policy,
    Rates,
    Registration,
    Rerun,
    Result,
    SeededCell,
    Starved,
    StateCounts,
    Stopping,
    StopRequest,
    StoredMap,
    Sweep,
    SweepMember,
    TrialEffort,
    Waiting,
    row_of,
)
from lcma.db.reference import (
    read_measure_kinds,
    require_same_measures,
    write_measure_kinds,
)
from lcma.db.results import (
    choose_current,
    delete_measures,
    find_additions,
    insert_measures,
    insert_result,
    read_result,
)
from lcma.db.schema import (
    artifacts,
    attempts,
    bars,
    contribution_maps,
    data_sets,
    environments,
    events,
    index_tables,
    jobs,
    launches,
    measures,
    metrics,
    pretrainings,
    protocols,
    recipes,
    sweep_trials,
    sweeps,
    trials,
)
from lcma.db.views import coverage, failures, views
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    MeasureKind,
    find_measure,
    list_measures,
    name_controls,
    name_overflow,
)

if TYPE_CHECKING:
    import pandas as pd

RECENT = 3600.0
"""Seconds over which the rates of a sweep are taken."""

LOG_END = 100
"""Characters of the end of a log that tell what an attempt does."""

LATEST = 5000
"""Events that are looked at for what happened recently."""


def connect(url: str, *, create: bool = True) -> "Store":
    """Open a results database.

    Example:
        >>> from lcma.db import connect
        >>> store = connect("results.db")
        >>> board = store.view("board", dataset="cifar10")

    Args:
        url: `sqlite:///PATH`, a bare path ending in .db or .sqlite, or
            `postgresql://USER@HOST/DATABASE`.
        create: Make the tables, and a file with them, where they are missing, and bring an older
            schema to the current one where no job runs.

    Returns:
        The store. It opens connections as its methods need them.

    Raises:
        UserError: The URL means another kind of database; or none can be there, it is another
            program's, it is damaged, or its schema is one that this version does not know; or
            `create` is False, and none is there or one of an older schema. The database is left as
            it was.
        Unavailable: It cannot be reached or written for now.
    """
    database = locate(url)
    if create:
        migrate.ensure(database)
    else:
        migrate.require_current(database, database.identify())
    return Store(database)


def exists(url: str) -> bool:
    """Return whether results are at a URL, whatever their schema.

    Args:
        url: As for `connect`.

    Raises:
        UserError: The URL means another kind of database, another program's, or a damaged one.
        Unavailable: The database cannot be reached for now.
    """
    return locate(url).identify().exists


class Store:
    """A results database. Safe to use from several threads, and in a forked process.

    Every method is one transaction. Each raises UserError, with nothing changed, where the
    database is damaged, locked for too long, not writable, unreachable, or its disk is full; it is
    an `Unavailable` where the same may work later.

    Times are Unix seconds, UTC, by the database's clock; the argument `now` stands for it in tests.
    Data sets are named by their digest, jobs, trials and the like by their ids.

    Attributes:
        database: The place and its engine.
        url: Leads another process to the same database, and may hold a password.
        name: The same as it may be shown.
    """

    def __init__(self, database: Database, *, read_only: bool = False) -> None:
        self.database, self.read_only = database, read_only
        self.url, self.name = database.url, database.name
        self._reader, self._write_engine = database.reader(), database.writer()

    @property
    def _writer(self) -> sa.Engine:
        if self.read_only:
            raise UserError(
                f"{self.name} was opened for reading: open it with lcma.connect(URL, write=True)"
            )
        return self._write_engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.name!r})"

    def close(self) -> None:
        """Dispose of the engines; the store stays good. No connection outlives a method anyway."""
        self._reader.dispose()
        self._write_engine.dispose()

    def sql(self, query: str, *, limit: int | None = None, timeout: float = 30.0) -> "pd.DataFrame":
        """Run one statement that reads; the engine itself keeps it from writing.

        Example:
            >>> means = store.sql(
            ...     "SELECT factorization, avg(bits_per_dim) FROM results GROUP BY 1"
            ... )

        Args:
            query: The statement. `lcma sql --schema` lists views and tables with their columns.
            limit: The most rows; None for all.
            timeout: Seconds after which it is given up.

        Raises:
            UserError: For a statement that writes, wrong SQL, or one that takes too long.
        """
        import pandas as pd

        from lcma.db.query import run_query

        found = run_query(self.database, query, limit=limit, timeout=timeout)
        return pd.DataFrame.from_records(list(found.rows), columns=list(found.columns))

    def now(self) -> float:
        """Return the time by the database's clock, Unix seconds: the one by which leases end."""
        with self._reader.connect() as connection:
            return self.database.clock(connection)

    def _clock(self, connection: sa.Connection, now: float | None) -> float:
        return self.database.clock(connection) if now is None else now

    # ---------------------------------------------------------------------------------------------
    # Planning
    # ---------------------------------------------------------------------------------------------

    def register(self, plan: Registration, *, now: float | None = None) -> None:
        """Add all of a plan that is not there yet: recipes, data, trials, jobs, the sweep.

        Args:
            plan: What to add. Rows that are there already stay as they are.
        """
        with self._writer.begin() as connection:
            # Two plans that share rows could wait for each other's.
            lock(connection, "register")
            now = self._clock(connection, now)
            stamp = {"created": now}

            def stamped(items: Sequence[object]) -> list[dict[str, object]]:
                rows = [asdict(item) for item in items]  # type: ignore[call-overload]
                return [row if row.get("created") is not None else row | stamp for row in rows]

            there = set(connection.execute(sa.select(sweeps.c.id)).scalars())
            new = [sweep for sweep in plan.sweeps if sweep.id not in there]
            insert_missing(connection, recipes, [asdict(r) for r in plan.recipes])
            insert_missing(connection, data_sets, stamped(plan.data_sets))
            insert_missing(connection, bars, [asdict(b) for b in plan.bars])
            insert_missing(connection, sweeps, stamped(plan.sweeps))
            insert_missing(connection, pretrainings, [asdict(p) for p in plan.pretrainings])
            insert_missing(connection, trials, [asdict(t) for t in plan.trials])
            insert_missing(connection, sweep_trials, [asdict(m) for m in plan.members])
            insert_missing(connection, jobs, [_planned_row(job, now) for job in plan.jobs])
            write_measure_kinds(connection, list_measures())  # those of plug-ins too
            for sweep in new:
                count = len(plan.jobs) if plan.planned is None else plan.planned
                detail = f"sweep {sweep.name} {sweep.id}, {count} jobs"
                add_event(connection, "register", now, detail=detail)

    def add_environment(self, environment: Environment, *, now: float | None = None) -> str:
        """Add an environment unless it is there.

        Returns:
            Its id, the hash of its content.
        """
        with self._writer.begin() as connection:
            created = self._clock(connection, now)
            row = {"id": environment.id, **asdict(environment), "created": created}
            insert_missing(connection, environments, [row])
        return environment.id

    def sweeps(self) -> list[Sweep]:
        """Return all sweeps, that which was launched last at the end.

        A launch that finds nothing left to run is not stored, and does not count.
        """
        launched = sa.select(sa.func.max(launches.c.started)).filter_by(sweep_id=sweeps.c.id)
        last = sa.func.coalesce(launched.scalar_subquery(), sweeps.c.created)
        with self._reader.connect() as connection:
            rows = connection.execute(sa.select(sweeps).order_by(last, sweeps.c.id))
            return [Sweep(**row._mapping) for row in rows]

    def sweep_members(self, sweep_id: str) -> list[SweepMember]:
        """Return the trials of a sweep, under the names of factorizations that it asked for."""
        with self._reader.connect() as connection:
            rows = connection.execute(
                sa.select(sweep_trials)
                .where(sweep_trials.c.sweep_id == sweep_id)
                .order_by(sweep_trials.c.factorization, sweep_trials.c.trial_id)
            )
            return [SweepMember(**row._mapping) for row in rows]

    def memberships(self, trial_ids: Sequence[str]) -> list[Membership]:
        """Return the sweeps that trials are in, oldest first."""
        query = (
            sa.select(sweep_trials.c.trial_id, sweep_trials.c.factorization, sweeps)
            .join_from(sweep_trials, sweeps, sweeps.c.id == sweep_trials.c.sweep_id)
            .order_by(sweeps.c.created, sweeps.c.id, sweep_trials.c.factorization)
        )
        found = []
        with self._reader.connect() as connection:
            for some in chunks(sorted(trial_ids)):
                for row in connection.execute(query.where(sweep_trials.c.trial_id.in_(some))):
                    own = {field.name: row._mapping[field.name] for field in fields(Sweep)}
                    found.append(Membership(row.trial_id, Sweep(**own), row.factorization))
        return found

    def recipe_bodies(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the JSON of those of the recipes that are registered, by id."""
        columns = recipes.c.id, recipes.c.body
        found: dict[str, str] = {}
        with self._reader.connect() as connection:
            for some in chunks(ids):
                rows = connection.execute(sa.select(*columns).where(recipes.c.id.in_(some)))
                found |= {row.id: row.body for row in rows}
        return found

    def recipe_bodies_of_flows(self, flows: Collection[str]) -> dict[str, str]:
        """Return the JSON of every registered recipe of these flows, by id."""
        query = sa.select(recipes.c.id, recipes.c.body).where(recipes.c.flow.in_(sorted(flows)))
        with self._reader.connect() as connection:
            return {row.id: row.body for row in connection.execute(query)}

    def protocol_bodies(self) -> dict[str, str]:
        """Return the JSON of every protocol by its name."""
        query = sa.select(protocols.c.name, protocols.c.body)
        with self._reader.connect() as connection:
            return {row.name: row.body for row in connection.execute(query)}

    def conventional_factorizations(self) -> dict[str, str]:
        """Return the canonical name of the conventional factorization, by recipe.

        Recipes of flows for which it is not known are left out.
        """
        query = (
            sa.select(recipes.c.id, recipes.c.conventional)
            .where(recipes.c.conventional.is_not(None))
            .order_by(recipes.c.id)
        )
        with self._reader.connect() as connection:
            return {row.id: row.conventional for row in connection.execute(query)}

    def data_manifests(self) -> dict[str, tuple[str, str]]:
        """Return the name and the manifest, as JSON, of every data set by its digest."""
        columns = data_sets.c.digest, data_sets.c.name, data_sets.c.manifest
        with self._reader.connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(data_sets.c.digest))
            return {digest: (name, manifest) for digest, name, manifest in rows}

    def bars(self) -> dict[str, list[Bar]]:
        """Return the bars of every data set by its digest, also those that were left out."""
        found: dict[str, list[Bar]] = {}
        with self._reader.connect() as connection:
            query = sa.select(bars).order_by(bars.c.data_digest, bars.c.name)
            for row in connection.execute(query):
                found.setdefault(row.data_digest, []).append(Bar(**row._mapping))
        return found

    # ---------------------------------------------------------------------------------------------
    # Claiming and leases
    # ---------------------------------------------------------------------------------------------

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
        stack_id: str | None = None,
        cap: Cap | None = None,
        expired: float | None = None,
        now: float | None = None,
    ) -> Claim | Job:
        """Start an attempt at a job that is pending, or running under a lease that is over.

        An attempt whose lease was over ends as 'node_lost', but not before `lease_seconds` after
        the server's start, nor where this call waited half of them for the database: workers that
        it kept waiting too shall renew theirs first.

        Args:
            job_id: The job.
            owner: The launch for which it is claimed.
            host: The machine of the worker.
            pid: The process of the worker.
            environment_id: Versions and hardware; see `add_environment`.
            device: What it runs on, such as 'cpu' or 'cuda:0'.
            threads: Number of CPU threads.
            lease_seconds: How long the claim holds unless `heartbeat` extends it.
            devices: The devices granted, as the driver names them; None on a CPU.
            stack_id: The stack of which it is to be a member; None for an attempt alone.
            cap: How many jobs of a sweep may run at once, a stack counted once; None for any
                number.
            expired: The end of the lease that the launch has seen to be over, see `LeaseWatch`;
                SQLite, which has no clock of its own, takes over no job without it, except from a
                process of this host that is dead.

        Returns:
            The claim; or the job as it is, where somebody else holds it, it has ended, or it is a
            segment and a shorter one of the same pretraining and data runs, whose checkpoint it
            needs, or as many jobs of a sweep run as the `cap` allows.

        Raises:
            LookupError: The job is not registered.
        """
        called = time.monotonic()
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)

            def back() -> float | None:
                if now is not None:
                    return None
                waited = time.monotonic() - called
                return clock if waited > lease_seconds / 2 else self.database.started(connection)

            if cap is not None and _is_full(connection, cap, stack_id, clock):
                job = read_job(connection, job_id)
                if job is None:
                    raise LookupError(f"no job {job_id}")
                return job
            return claim_job(
                connection,
                job_id,
                owner=owner,
                host=host,
                pid=pid,
                environment_id=environment_id,
                device=device,
                devices=devices,
                threads=threads,
                stack_id=stack_id,
                lease_seconds=lease_seconds,
                now=clock,
                expired=expired,
                one_host=self.database.one_host and now is None,
                back=back,
            )

    def heartbeat(
        self,
        claim: Claim,
        *,
        step: int,
        lease_seconds: float,
        first_step: int | None = None,
        message: str = "",
        metrics: Sequence[Metric] = (),
        cost: Cost | None = None,
        bits_per_dim: float | None = None,
        log: str | None = None,
        now: float | None = None,
    ) -> bool:
        """Report the training step and extend the lease of a claim.

        A lease that was over is extended too, if nobody claimed the job since.

        Args:
            claim: The right to work on the job.
            step: The training step that is reached.
            lease_seconds: How long from now on the claim holds.
            first_step: Corrects the step from which the attempt went on.
            message: What the attempt cannot do at present, such as write checkpoints.
            metrics: Points of curves, stored as by `add_metrics`.
            cost: What the attempt has taken so far.
            bits_per_dim: Training bits per dimension, the last ones.
            log: The last of what it printed, None for nothing new.

        Returns:
            False, with nothing changed, if the claim is no longer good: stop working.
        """
        beat = Heartbeat(
            claim=claim,
            step=step,
            lease_seconds=lease_seconds,
            first_step=first_step,
            message=message,
            metrics=metrics,
            cost=cost,
            bits_per_dim=bits_per_dim,
            log=log,
        )
        return claim.job_id in self.heartbeats([beat], now=now)

    def heartbeats(self, beats: Sequence[Heartbeat], *, now: float | None = None) -> dict[str, str]:
        """Report the steps and extend the leases of several claims in one transaction.

        Args:
            beats: What `heartbeat` would be told of each claim, each of another job.

        Returns:
            The jobs whose claims are good, each with why its attempt shall end at its next
            checkpoint, '' if it may go on; nothing is changed for the others.
        """
        with self._writer.begin() as connection:
            alive = extend_leases(connection, beats, self._clock(connection, now))
            for beat, _ in alive.values():
                insert_metrics(connection, beat.claim.attempt_id, beat.metrics)
            return {job_id: why for job_id, (_, why) in alive.items()}

    def require_writable(self) -> None:
        """Raise Unavailable if nothing can be committed, as on a full disk, which can be read."""
        with self._writer.begin() as connection:
            self.database.rewrite(connection)

    def release(self, owner: str, *, now: float | None = None) -> int:
        """Put a launch's running jobs back to pending, their attempts cancelled.

        Returns:
            How many jobs were put back.
        """
        with self._writer.begin() as connection:
            return release_jobs(connection, jobs.c.owner == owner, self._clock(connection, now))

    def mark_lost(
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
        """End the attempt of a process that is known to be dead, though its lease may not be over.

        Args:
            job_id: The job.
            owner: The launch whose process it was.
            token: The attempt's token.
            outcome: How the attempt ends; after 'node_lost' the job is pending.
            message: What went wrong, in a line or more.
            policy: As in `finish`.

        Returns:
            False, with nothing changed, where the job does not run under that launch's token any
            more.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            job = read_job(connection, job_id)
            if job is None or job.state != "running" or (job.owner, job.token) != (owner, token):
                return False
            if message:
                own = sa.update(attempts).where(attempts.c.id == job.attempt_id)
                connection.execute(own.values(message=message))
            return end_attempt(connection, job, outcome, clock, policy=policy) is not None

    def retry(self, job_ids: Sequence[str], *, now: float | None = None) -> int:
        """Put those of the jobs that failed or diverged back to pending.

        Returns:
            How many jobs were put back.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            return sum(
                move_jobs(connection, jobs.c.id.in_(some), "retry", clock)
                for some in chunks(sorted(job_ids))
            )

    def rerun(
        self, job_ids: Sequence[str], *, by: str, why: str = "", now: float | None = None
    ) -> int:
        """Put those of the jobs that are done back to pending, to be run anew.

        What they left stays current until the new attempt is done, and is superseded then.

        Args:
            job_ids: The jobs.
            by: Who asks for it.
            why: The reason.

        Returns:
            How many jobs were put back.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            count = 0
            for some in chunks(sorted(job_ids)):
                which = jobs.c.id.in_(some), jobs.c.state == "done"
                query = sa.select(jobs).where(*which).order_by(jobs.c.id).with_for_update()
                for row in connection.execute(query).all():
                    job = decode_job(row)
                    move_job(connection, job, "rerun", clock, detail=why, by=by, step=0)
                    count += 1
            return count

    def give_up(self, job_id: str, *, token: int, why: str, now: float | None = None) -> bool:
        """Fail a pending job that was not claimed since.

        Args:
            job_id: The job.
            token: Its token when that was decided.
            why: The reason, in a few words.

        Returns:
            False, with nothing changed, where the job was claimed since, or is not pending.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            job = read_job(connection, job_id)
            if job is None or job.token != token:
                return False
            return (
                move_job(connection, job, "give_up", clock, detail=f"given up: {why}") is not None
            )

    # ---------------------------------------------------------------------------------------------
    # Recording
    # ---------------------------------------------------------------------------------------------

    def add_metrics(self, claim: Claim, rows: Sequence[Metric]) -> bool:
        """Store points of curves, in place of those that are there.

        Returns:
            False, with nothing changed, if the claim is no longer good.
        """
        with self._writer.begin() as connection:
            if read_claimed(connection, claim) is None:
                return False
            insert_metrics(connection, claim.attempt_id, rows)
            return True

    def missing_metrics(self, claim: Claim, rows: Sequence[Metric]) -> list[Metric]:
        """Return those of the points that the curves of the claim's attempt do not have.

        A database that was put back from a copy, or lost its last transactions, lacks points that
        it had acknowledged.
        """
        if not rows:
            return []
        query = sa.select(metrics.c.name, metrics.c.step, metrics.c.value).where(
            metrics.c.attempt_id == claim.attempt_id
        )
        with self._reader.connect() as connection:
            stored = set(map(tuple, connection.execute(query)))
        plain = ((row.name, row.step, None if math.isnan(row.value) else row.value) for row in rows)
        return [row for row, point in zip(rows, plain, strict=True) if point not in stored]

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
        """End the attempt, and store what it made, all or nothing.

        Args:
            claim: The right to work on the job.
            outcome: How the attempt ended.
            last_step: The training step that it reached.
            cost: What it took.
            first_step: Corrects the step from which the attempt went on.
            message: What went wrong, in a line or more.
            log: The last of what it printed.
            result: The evaluated trial; required where a trial is done.
            maps: The contribution maps of a pretraining's segment.
            tables: The index tables of a trial.
            artifacts: Files that it left, each in place of the job's former one of the same kind.
            longest_only: For a pretraining all of whose segments are done, keep the longest one's
                checkpoint alone on record.
            metrics: Points of curves, stored as by `add_metrics`.
            policy: Where it says that the job is run again without a person, the job is pending
                at once.

        Returns:
            True if it is stored, or was before by the same call; False, with nothing changed, if
            the claim is no longer good.

        Raises:
            ValueError: One of them is of another job, a trial is done without a result, or a result
                is given with another outcome.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            job = read_claimed(connection, claim)
            if job is None:
                return has_ended_as(connection, claim, outcome)
            _check_subject(job, outcome, result, maps, tables)
            for item in maps:
                row = encode_map(item, claim.attempt_id)
                connection.execute(sa.insert(contribution_maps), row)
            for table in tables:
                row = encode_table(table, claim.attempt_id)
                connection.execute(sa.insert(index_tables), row)
            own = {"attempt_id": claim.attempt_id, "created": clock}
            rows = [{**asdict(item), **own} for item in artifacts]
            insert_or_replace(connection, schema.artifacts, rows)
            insert_metrics(connection, claim.attempt_id, metrics)
            columns: dict[str, Any] = {}
            if outcome == "done":
                columns["done_attempt_id"] = claim.attempt_id
                if result is not None:
                    insert_result(connection, result, claim.attempt_id, clock)
            report = {
                "message": escape_text(message),
                "log": None if log is None else escape_text(log),
                "last_step": last_step,
                "began_at": first_step,
                **row_of(cost),
            }
            ended = end_attempt(
                connection,
                job,
                outcome,
                clock,
                policy=policy,
                report=report,
                step=last_step,
                **columns,
            )
            if outcome == "done" and job.done_attempt_id is not None:
                # It was done before, or a merge brought a result while this attempt ran.
                current = choose_current(connection, [job.id])[job.id]
                update = sa.update(jobs).where(jobs.c.id == job.id)
                connection.execute(update.values(done_attempt_id=current))
            if longest_only and outcome == "done" and job.kind == "pretraining":
                _forget_shorter(connection, job)
            return ended is not None

    def add_evaluation(
        self,
        job_id: str,
        result: Result,
        *,
        attempt_id: str,
        by: Evaluator,
        cost: Cost,
        now: float | None = None,
    ) -> bool:
        """Store what was measured of weights that a job left when it was done, without a claim.

        The measures are added to the current result of the trial. The evaluation is an attempt of
        its own, which ends as 'done'. Where measures by this protocol are there, those that are new
        are added, or a bound of more draws or images.

        Args:
            job_id: The job that left the weights.
            result: What was measured.
            attempt_id: The attempt that left the weights, the job's `done_attempt_id` before they
                were read.
            by: Who evaluated, on what.
            cost: What it took.

        Returns:
            False, with nothing changed, where nothing is new.

        Raises:
            Conflict: A measure is there with another value, or the job is or was run anew; nothing
                is changed.
            ValueError: The result is of another job, or the job has none.
            LookupError: The job is not registered.
        """
        kinds = [find_measure(one.name) for one in result.measures]
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            job = read_job(connection, job_id)
            if job is None:
                raise LookupError(f"no job {job_id}")
            if job.done_attempt_id is None or (job.trial_id, job.data_digest) != (
                result.trial_id,
                result.data_digest,
            ):
                raise ValueError(f"the result is not of a trial that job {job_id} has done")
            if job.state == "running":
                raise Conflict(f"trial {job.trial_id} is being run anew")
            if job.done_attempt_id != attempt_id:
                raise Conflict(f"trial {job.trial_id} was run anew meanwhile")
            own = result.trial_id, result.data_digest
            stored = read_result(connection, *own, result.protocol)
            if stored is not None:
                more = find_additions(stored, result)
                if not more:
                    return False
                result = replace(result, measures=more)
            write_measure_kinds(connection, kinds)  # the database may be older than they are
            token = job.token + 1
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(token=token))
            evaluation_id = hash_attempt(job_id, by.owner, by.host, token, by.started)
            connection.execute(
                sa.insert(attempts).values(
                    id=evaluation_id,
                    job_id=job_id,
                    token=token,
                    protocol=result.protocol,
                    outcome="done",
                    ended=clock,
                    message="",
                    first_step=result.step,
                    last_step=result.step,
                    **asdict(by),
                    **asdict(cost),
                )
            )
            add_event(
                connection,
                "evaluate",
                clock,
                job_id=job_id,
                attempt_id=evaluation_id,
                owner=by.owner,
                detail=result.protocol,
            )
            delete_measures(connection, attempt_id, result)
            insert_measures(connection, attempt_id, result, evaluation_id, clock)
            return True

    # ---------------------------------------------------------------------------------------------
    # Reading results
    # ---------------------------------------------------------------------------------------------

    def view(self, name: str, /, **where: Scalar | Collection[Scalar]) -> "pd.DataFrame":
        """Return rows of a view, always in the same order.

        Example:
            >>> curve = store.view("budgets", rule="low", flow="realnvp")

        Args:
            name: The view; `lcma sql --schema` lists them with their columns.
            **where: By column the value, or the values, that it may have; None is null.

        Returns:
            A frame. Whole numbers that may be null are Int64, the others int64; floats are
            float64, and null is NaN.

        Raises:
            UserError: The view or a column is unknown, or a value is of another type.
        """
        with self._reader.connect() as connection:
            return _read_view(connection, name, where)

    def view_rows(self, name: str, /, **where: Scalar | Collection[Scalar]) -> QueryResult:
        """Return rows of a view as the database has them, chosen and ordered as by `view`.

        Raises:
            UserError: As `view` does.
        """
        return self._read_rows(_select_view(name, where))

    def result_rows(
        self, *, sweep_id: str | None = None, **where: Scalar | Collection[Scalar]
    ) -> QueryResult:
        """Return rows of `results` as the database has them, chosen as in `results`."""
        return self._read_rows(_select_view("results", where, sweep_id))

    def _read_rows(self, query: sa.Select[Any]) -> QueryResult:
        with self._reader.connect() as connection:
            found = connection.execute(query)
            return QueryResult(tuple(found.keys()), tuple(map(tuple, found)), truncated=False)

    def results(
        self, *, sweep_id: str | None = None, **where: Scalar | Collection[Scalar]
    ) -> "pd.DataFrame":
        """Return rows of the view `results`, of one sweep's trials or of all.

        Args:
            sweep_id: The sweep; None for all trials.
            **where: As in `view`.
        """
        with self._reader.connect() as connection:
            return _read_view(connection, "results", where, sweep_id)

    def has_results(
        self, *, sweep_id: str | None = None, **where: Scalar | Collection[Scalar]
    ) -> bool:
        """Return whether there are results, chosen as in `results`."""
        with self._reader.connect() as connection:
            return has_any_result(connection, where, sweep_id)

    def result_values(self, name: str, *, sweep_id: str | None = None) -> list[Any]:
        """Return the different values of a column of `results`, in order, null first.

        Args:
            name: The column.
            sweep_id: The sweep whose trials count; None for all.

        Raises:
            UserError: The view `results` has no such column.
        """
        with self._reader.connect() as connection:
            return read_values(connection, name, sweep_id)

    def measure_kinds(self) -> dict[str, MeasureKind]:
        """Return what measures are that the database knows, by name."""
        with self._reader.connect() as connection:
            return read_measure_kinds(connection)

    def require_same_measures(self) -> None:
        """Raise UserError where a measure that is registered here is another one there."""
        require_same_measures(self.measure_kinds(), list_measures())

    def beside_samples(self, measure: str) -> dict[tuple[str, str, str], dict[str, Measure]]:
        """Return what current results have beside a measure of samples.

        Returns:
            By recipe, data digest and protocol the controls of the measure, and its overflow
            summed over trials; under the names of these measures.
        """
        overflow = name_overflow(measure)
        names = [overflow, *name_controls(measure)]
        each = (measures.c.value, measures.c.standard_error, measures.c.images)
        sums = [sa.func.sum(column) for column in (measures.c.value, measures.c.images)]
        keys = (trials.c.recipe_id, jobs.c.data_digest, measures.c.protocol)
        query = (
            sa.select(*keys, measures.c.name, *map(sa.func.min, each), *sums)
            .join_from(measures, jobs, jobs.c.done_attempt_id == measures.c.attempt_id)
            .join(trials, trials.c.id == jobs.c.trial_id)
            .where(measures.c.name.in_(names))
            .group_by(*keys, measures.c.name)
        )
        found: dict[tuple[str, str, str], dict[str, Measure]] = {}
        with self._reader.connect() as connection:
            for *key, name, value, error, images, total, of in connection.execute(query):
                one = Measure(name, value, error, images)
                if name == overflow:
                    one = Measure(name, total, None, of)
                found.setdefault((key[0], key[1], key[2]), {})[name] = one
        return found

    def trial_efforts(self, recipe_ids: Collection[str]) -> list[TrialEffort]:
        """Return when each trial of some recipes that was attempted began, and what it took."""
        facts = (
            *(trials.c.recipe_id, jobs.c.data_digest, trials.c.factorization, trials.c.budget),
            *(trials.c.map_options, trials.c.seed),
        )
        costs = views.tables["costs"]
        own = sa.func.min(attempts.c.started), sa.func.sum(attempts.c.cpu_seconds)
        query = (
            sa.select(*facts, *own, costs.c.pretraining_cpu_seconds)
            .join_from(attempts, jobs, jobs.c.id == attempts.c.job_id)
            .join(trials, trials.c.id == jobs.c.trial_id)
            .join(costs, costs.c.job_id == jobs.c.id)
            .group_by(*facts, costs.c.pretraining_cpu_seconds)
        )
        with self._reader.connect() as connection:
            return [
                TrialEffort(*row)
                for some in chunks(list(recipe_ids))
                for row in connection.execute(query.where(trials.c.recipe_id.in_(some)))
            ]

    def segment_costs(self, pretraining_ids: Collection[str]) -> list[dict[str, Any]]:
        """Return what each segment of pretrainings took, CPU and GPU seconds of all attempts."""
        own = (jobs.c.pretraining_id, jobs.c.data_digest, jobs.c.budget)
        sums = (sa.func.sum(attempts.c[n]).label(n) for n in ("cpu_seconds", "gpu_seconds"))
        query = (
            sa.select(*own, *sums)
            .join_from(jobs, attempts, attempts.c.job_id == jobs.c.id, isouter=True)
            .group_by(*own)
        )
        with self._reader.connect() as connection:
            return [
                dict(row._mapping)
                for some in chunks(sorted(pretraining_ids))
                for row in connection.execute(query.where(jobs.c.pretraining_id.in_(some)))
            ]

    def cells(
        self,
        *,
        measure: str = BITS_PER_DIM,
        sweep_id: str | None = None,
        waits_over: float = 0.0,
        **where: Scalar | Collection[Scalar],
    ) -> list[SeededCell]:
        """Return all current results that differ in the seed alone, with the value of every seed.

        Args:
            measure: The measure whose values they have.
            sweep_id: The sweep whose trials count; None for all.
            waits_over: Of the shares of time that trainings waited for images, from 0 to 1, give
                those above this one.
            **where: Which results count, as in `results`.
        """
        with self._reader.connect() as connection:
            return read_cells(connection, where, sweep_id, waits_over, measure)

    def attempts(self, **where: Scalar | Collection[Scalar]) -> "pd.DataFrame":
        """Return rows of the table `attempts`, chosen as in `view`."""
        chosen = build_conditions("attempts", dict(attempts.c), where)
        query = sa.select(attempts).where(*chosen).order_by(attempts.c.started, attempts.c.id)
        with self._reader.connect() as connection:
            return _read_frame(connection, query)

    def result(self, trial_id: str, data_digest: str, protocol: str) -> Result | None:
        """Return the current result of a trial on one exact data set by a protocol.

        Returns:
            The result, or None if there is none yet.
        """
        with self._reader.connect() as connection:
            return read_result(connection, trial_id, data_digest, protocol)

    def maps(self, **where: Scalar | Collection[Scalar]) -> list[StoredMap]:
        """Return current contribution maps, by data set, flow, seed, budget, score and split.

        Example:
            >>> maps = store.maps(flow="realnvp", budget=200, split=1, score="cumulative")

        Args:
            **where: By name of a fact of the pretraining (flow, dataset, variant, seed, nms,
                recipe_id) or of a column of `contribution_maps` the value, or the values, that it
                may have.

        Returns:
            The maps that match: float32 arrays of shape (C, H, W), in nats.

        Raises:
            UserError: A name is unknown; or a map is damaged, and the error names its row.
        """
        own = {c.name: c for c in contribution_maps.c if not isinstance(c.type, sa.LargeBinary)}
        columns = {name: pretrainings.c[name] for name in MAP_FACTS} | own
        query = (
            sa.select(contribution_maps, *(pretrainings.c[name] for name in MAP_FACTS))
            .join(pretrainings, pretrainings.c.id == contribution_maps.c.pretraining_id)
            .join(jobs, jobs.c.done_attempt_id == contribution_maps.c.attempt_id)
            .where(*build_conditions("contribution_maps", columns, where))
            .order_by(*(columns[name] for name in MAP_ORDER))
        )
        with self._reader.connect() as connection:
            return [decode_stored_map(dict(row._mapping)) for row in connection.execute(query)]

    def map_keys(self) -> list[MapKey]:
        """Return every set of maps, without its splits, by data set, flow, seed and budget."""
        maps, own = contribution_maps, pretrainings
        query = (
            sa.select(
                *(maps.c[name] for name in ("pretraining_id", "data_digest", "budget", "score")),
                *(own.c[name] for name in MAP_FACTS),
            )
            .distinct()
            .join_from(maps, own, own.c.id == maps.c.pretraining_id)
            .join(jobs, jobs.c.done_attempt_id == maps.c.attempt_id)
            .order_by(
                *(own.c.dataset, own.c.variant, maps.c.data_digest, own.c.flow, own.c.seed),
                *(maps.c.budget, maps.c.score, maps.c.pretraining_id),
            )
        )
        with self._reader.connect() as connection:
            return [MapKey(**row._mapping) for row in connection.execute(query)]

    def map_users(self) -> list[MapUser]:
        """Return every trial that reads maps, also planned ones, by id."""
        names = ("recipe_id", "pretraining_id", "factorization", "budget", "map_options")
        query = (
            sa.select(trials.c.id.label("trial_id"), *(trials.c[name] for name in names))
            .where(trials.c.pretraining_id.is_not(None))
            .order_by(trials.c.id)
        )
        with self._reader.connect() as connection:
            return [MapUser(**row._mapping) for row in connection.execute(query)]

    def find_trial_ids(self, prefix: str) -> list[str]:
        """Return the ids of trials that start with a prefix."""
        query = (
            sa.select(trials.c.id)
            .where(sa.func.substr(trials.c.id, 1, len(prefix)) == prefix)
            .order_by(trials.c.id)
        )
        with self._reader.connect() as connection:
            return list(connection.execute(query).scalars())

    def trained_trials(self, trial_ids: Collection[str]) -> list[JobFacts]:
        """Return the jobs of trials, by data set, flow, factorization, budget and seed.

        Of several jobs of one trial, the latest comes first. `weights` tells whether they were
        kept.
        """
        kept = sa.exists().where(
            artifacts.c.attempt_id == jobs.c.done_attempt_id, artifacts.c.kind == "weights"
        )
        with self._reader.connect() as connection:
            found = [
                one
                for some in chunks(sorted(trial_ids))
                for one in _select_facts(connection, jobs.c.trial_id.in_(some), weights=kept)
            ]
        found.sort(
            key=lambda one: (
                *(one.dataset, one.flow, one.factorization_or_kind),
                *(-1 if one.budget is None else one.budget, one.seed),
                *(-one.updated, one.job_id),
            )
        )
        return found

    def lost_trials(self, sweep_id: str | None = None) -> list[LostTrials]:
        """Return how many trials diverged or failed, by cell, of one sweep or of all.

        Those that have a result, since a rerun of them failed, are left out.
        """
        columns = [failures.c[field.name] for field in fields(LostTrials) if field.name != "trials"]
        query = (
            sa.select(*columns, sa.func.count().label("trials"))
            .join(jobs, jobs.c.id == failures.c.job_id)
            .where(failures.c.kind == "trial", jobs.c.done_attempt_id.is_(None))
            .group_by(*columns)
        )
        if sweep_id is not None:
            members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
            query = query.where(failures.c.trial_id.in_(members))
        with self._reader.connect() as connection:
            return [LostTrials(*row) for row in connection.execute(query)]

    def data_waits(self) -> list[DataWait]:
        """Return how long attempts waited for images, by data set, variant and device."""
        query = (
            sa.select(
                data_sets.c.name, data_sets.c.variant, attempts.c.device, attempts.c.data_wait
            )
            .join_from(attempts, jobs, jobs.c.id == attempts.c.job_id)
            .join(data_sets, data_sets.c.digest == jobs.c.data_digest)
            .where(attempts.c.data_wait.is_not(None))
        )
        shares: dict[tuple[str, str, str], list[float]] = {}
        with self._reader.connect() as connection:
            for dataset, variant, device, share in connection.execute(query):
                shares.setdefault((dataset, variant, device), []).append(share)
        # Summed here and exactly, so that both engines give the same mean.
        return [
            DataWait(*group, attempts=len(of), mean=math.fsum(of) / len(of), largest=max(of))
            for group, of in sorted(shares.items())
        ]

    def job_durations(self, recipe_ids: Collection[str]) -> list[JobDuration]:
        """Return how long each job took that is done, with these recipes."""
        attempt = (
            environments.c.device,
            (data_sets.c.train + data_sets.c.holdout + data_sets.c.test).label("images"),
            *(attempts.c[name] for name in ("first_step", "last_step", "seconds")),
            *(attempts.c[name] for name in ("gpu_seconds", "images_per_second")),
        )
        of_trials = (
            sa.select(
                sa.literal("trial").label("kind"),
                *(trials.c.recipe_id, trials.c.factorization),
                sa.null().label("nms"),
                *attempt,
            )
            .join_from(trials, jobs, jobs.c.trial_id == trials.c.id)
            .join(attempts, attempts.c.id == jobs.c.done_attempt_id)
            .join(environments, environments.c.id == attempts.c.environment_id)
            .join(data_sets, data_sets.c.digest == jobs.c.data_digest)
        )
        # Of a segment the last attempt: with the job's state as a condition, SQLite would go
        # through all that are done.
        done = attempts.c.outcome == "done", attempts.c.protocol.is_(None)
        of_segments = (
            sa.select(
                sa.literal("pretraining").label("kind"),
                pretrainings.c.recipe_id,
                sa.null().label("factorization"),
                pretrainings.c.nms,
                *attempt,
            )
            .join_from(pretrainings, jobs, jobs.c.pretraining_id == pretrainings.c.id)
            .join(attempts, attempts.c.id == jobs.c.attempt_id)
            .join(environments, environments.c.id == attempts.c.environment_id)
            .join(data_sets, data_sets.c.digest == jobs.c.data_digest)
            .where(*done)
        )
        with self._reader.connect() as connection:
            return [
                JobDuration(**row._mapping)
                for some in chunks(sorted(recipe_ids))
                for query in (
                    of_trials.where(trials.c.recipe_id.in_(some)),
                    of_segments.where(pretrainings.c.recipe_id.in_(some)),
                )
                for row in connection.execute(query)
            ]

    def trainings(self, sweep_id: str | None = None, job_ids: Sequence[str] = ()) -> list[JobFacts]:
        """Return the jobs that have curves, by id.

        Args:
            sweep_id: Return those of this sweep, its pretrainings too.
            job_ids: Return those of these jobs.
        """
        has_curve = sa.exists().where(metrics.c.attempt_id == _shown_attempt())
        asked = [] if sweep_id is None else [in_sweep(sweep_id)]
        asked += [jobs.c.id.in_(some) for some in chunks(sorted(job_ids))]
        with self._reader.connect() as connection:
            by_id = {
                one.job_id: one
                for which in asked
                for one in _select_facts(connection, sa.and_(has_curve, which))
            }
        return [by_id[job_id] for job_id in sorted(by_id)]

    def metrics(self, job_id: str, name: str) -> list[Metric]:
        """Return one curve of a job by step; NaN stands for a value that is no number."""
        query = (
            sa.select(metrics.c.step, metrics.c.value)
            .join(jobs, metrics.c.attempt_id == _shown_attempt())
            .where(jobs.c.id == job_id, metrics.c.name == name)
            .order_by(metrics.c.step)
        )
        with self._reader.connect() as connection:
            return [
                Metric(name, step, math.nan if value is None else value)
                for step, value in connection.execute(query)
            ]

    def curves(self, job_ids: Sequence[str]) -> list[Curve]:
        """Return the curves of jobs that have any point, by job and name."""
        last = sa.func.max(metrics.c.step)
        query = (
            sa.select(metrics.c.attempt_id, jobs.c.id, metrics.c.name, sa.func.count(), last)
            .join_from(metrics, jobs, metrics.c.attempt_id == _shown_attempt())
            .group_by(metrics.c.attempt_id, jobs.c.id, metrics.c.name)
        )
        with self._reader.connect() as connection:
            found = [
                Curve(*row)
                for some in chunks(sorted(job_ids))
                for row in connection.execute(query.where(jobs.c.id.in_(some)))
            ]
        return sorted(found, key=lambda curve: (curve.job_id, curve.name))

    def curve_points(
        self, curve: Curve, *, after: int, until: int, most: int = 10_000
    ) -> list[tuple[int, float]]:
        """Return the first points of a curve in a range of steps.

        Args:
            curve: The curve.
            after: The step after which the range begins.
            until: The last step of the range.
            most: How many points to return at most.

        Returns:
            Step and value of each point, NaN for a value that is no number.
        """
        query = (
            sa.select(metrics.c.step, metrics.c.value)
            .where(metrics.c.attempt_id == curve.attempt_id, metrics.c.name == curve.name)
            .where(metrics.c.step > after, metrics.c.step <= until)
            .order_by(metrics.c.step)
            .limit(most)
        )
        with self._reader.connect() as connection:
            return [
                (step, math.nan if value is None else value)
                for step, value in connection.execute(query)
            ]

    def thinned_curves(
        self, curves: Sequence[Curve], every: int
    ) -> dict[CurveKey, list[tuple[int, float]]]:
        """Return every so-many-th point of curves, from the first on, and the last.

        Args:
            curves: The curves.
            every: 1 for all points, 2 for each second one, and so on.

        Returns:
            By curve, step and value of each point, NaN for a value that is no number.
        """
        found: dict[CurveKey, list[tuple[int, float]]] = {}
        own = metrics.c.attempt_id, metrics.c.name
        place = sa.func.row_number().over(partition_by=own, order_by=metrics.c.step)
        last = sa.func.max(metrics.c.step).over(partition_by=own)
        wanted = {curve.key for curve in curves}
        with self._reader.connect() as connection:
            for some in chunks(sorted({curve.attempt_id for curve in curves})):
                point = (
                    sa.select(metrics, (place - 1).label("place"), last.label("last"))
                    .where(metrics.c.attempt_id.in_(some))
                    .where(metrics.c.name.in_(sorted({name for _, name in wanted})))
                    .subquery()
                    .c
                )
                rows = connection.execute(
                    sa.select(point.attempt_id, point.name, point.step, point.value)
                    .where(sa.or_(point.place % every == 0, point.step == point.last))
                    .order_by(point.attempt_id, point.name, point.step)
                )
                for attempt_id, name, step, value in rows:
                    if (attempt_id, name) in wanted:
                        point_value = math.nan if value is None else value
                        found.setdefault((attempt_id, name), []).append((step, point_value))
        return found

    # ---------------------------------------------------------------------------------------------
    # Following jobs
    # ---------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job | None:
        """Return a job as it stands, or None if it is not registered."""
        return self.jobs([job_id]).get(job_id)

    def jobs(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return those of the jobs that are registered, by id; thousands at once are fine."""
        found: dict[str, Job] = {}
        with self._reader.connect() as connection:
            for some in chunks(ids):
                rows = connection.execute(sa.select(jobs).where(jobs.c.id.in_(some)))
                found |= {row.id: decode_job(row) for row in rows}
        return found

    def job_facts(self, ids: Sequence[str]) -> dict[str, JobFacts]:
        """Return those of the jobs that are registered, with what they are, by id."""
        with self._reader.connect() as connection:
            return _select_facts_by_id(connection, ids)

    def find_jobs(self, prefix: str) -> list[JobFacts]:
        """Return the jobs whose id, or that of their trial or pretraining, starts with a prefix."""
        ids = jobs.c.id, jobs.c.trial_id, jobs.c.pretraining_id
        which = sa.or_(*(sa.func.substr(i, 1, len(prefix)) == prefix for i in ids))
        with self._reader.connect() as connection:
            return _select_facts(connection, which)

    def latest_jobs(self, count: int) -> list[JobFacts]:
        """Return the jobs of trials that changed last, the latest first."""
        latest = jobs.c.updated.desc(), jobs.c.id
        query = sa.select(jobs.c.id).where(jobs.c.kind == "trial").order_by(*latest)
        with self._reader.connect() as connection:
            ids = connection.execute(query.limit(count)).scalars().all()
            return _select_facts(connection, jobs.c.id.in_(ids), order=latest)

    def segments(self, pretraining_id: str, data_digest: str) -> list[JobFacts]:
        """Return the segments of a pretraining on one exact data set, by budget."""
        which = jobs.c.pretraining_id == pretraining_id, jobs.c.data_digest == data_digest
        with self._reader.connect() as connection:
            return _select_facts(connection, sa.and_(*which))

    def job_ids(self, sweep_id: str) -> list[str]:
        """Return the jobs of a sweep, also the segments that its trials need, by id."""
        query = sa.select(jobs.c.id).where(in_sweep(sweep_id)).order_by(jobs.c.id)
        with self._reader.connect() as connection:
            return list(connection.execute(query).scalars())

    def jobs_by_sweep(self, job_ids: Sequence[str]) -> dict[str, set[str]]:
        """Return which of the jobs each sweep has, by the sweep's id, oldest sweep first.

        A sweep has the segments that its trials need, as in `job_ids`.
        """
        of_trial = jobs.c.trial_id == sweep_trials.c.trial_id
        segments = sa.and_(
            jobs.c.pretraining_id == trials.c.pretraining_id, jobs.c.budget <= trials.c.budget
        )
        columns = sweeps.c.created, sweep_trials.c.sweep_id, jobs.c.id
        queries = (
            sa.select(*columns).join_from(jobs, sweep_trials, of_trial),
            sa.select(*columns)
            .join_from(jobs, trials, segments)
            .join(sweep_trials, sweep_trials.c.trial_id == trials.c.id),
        )
        with self._reader.connect() as connection:
            found = {
                tuple(row)
                for query in queries
                for some in chunks(sorted(job_ids))
                for row in connection.execute(
                    query.join(sweeps, sweeps.c.id == sweep_trials.c.sweep_id)
                    .where(jobs.c.id.in_(some))
                    .distinct()
                )
            }
        by_sweep: dict[str, set[str]] = {}
        for _, sweep_id, job_id in sorted(found):
            by_sweep.setdefault(sweep_id, set()).add(job_id)
        return by_sweep

    def job_counts(self, sweep_id: str | None = None) -> JobCounts:
        """Return how many jobs are in each state, by kind.

        Args:
            sweep_id: The sweep; its pretraining jobs are the segments up to the budgets of its
                trials. None for all jobs.
        """
        query = sa.select(jobs.c.kind, jobs.c.state, sa.func.count().label("jobs"))
        if sweep_id is not None:
            query = query.where(in_sweep(sweep_id))
        with self._reader.connect() as connection:
            rows = connection.execute(query.group_by(jobs.c.kind, jobs.c.state)).all()
        by_kind = {
            kind: StateCounts(**{row.state: row.jobs for row in rows if row.kind == kind})
            for kind in KINDS
        }
        return JobCounts(pretraining=by_kind["pretraining"], trial=by_kind["trial"])

    def cell_states(self, sweep_id: str) -> list[CellState]:
        """Return what each cell of a sweep has and lacks, by data set, flow and factorization."""
        names = [field.name for field in fields(CellState)]
        order = ("dataset", "flow", "asked", "budget", "recipe_id", "map_options", "data_digest")
        query = (
            sa.select(*(coverage.c[name] for name in names))
            .where(coverage.c.sweep_id == sweep_id)
            .order_by(*(coverage.c[name].asc().nulls_first() for name in order))
        )
        with self._reader.connect() as connection:
            return [CellState(**row._mapping) for row in connection.execute(query)]

    def latest_event(self) -> int:
        """Return the number of the latest event, 0 for none: where it is the same, no job moved."""
        with self._reader.connect() as connection:
            return connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0

    def last_change(self) -> object:
        """Return what is equal for as long as nobody writes to the database."""
        with self._reader.connect() as connection:
            return self.database.last_change(connection)

    def running_jobs(self) -> list[JobFacts]:
        """Return the running jobs with what they are and how far, oldest attempt first.

        Those whose lease is over are among them; see `JobFacts.is_held`.
        """
        end = sa.func.substr(attempts.c.log, sa.func.length(attempts.c.log) - LOG_END)
        more = {
            "pid": jobs.c.pid,
            "first_step": attempts.c.first_step,
            "message": attempts.c.message,
            "stack_id": attempts.c.stack_id,
            "bits_per_dim": attempts.c.bits_per_dim,
            "log_end": sa.case((jobs.c.step == jobs.c.steps, end)),
        }
        with self._reader.connect() as connection:
            return _select_facts(
                connection,
                sa.and_(jobs.c.state == "running", attempts.c.id == jobs.c.attempt_id),
                order=[attempts.c.started, attempts.c.id],
                **more,
            )

    def awaited_segments(self, sweep_id: str) -> list[Waiting]:
        """Return the segments that pending trials of a sweep wait for, most awaited first."""
        segment = jobs.alias("segment")
        members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
        query = (
            sa.select(segment.c.id, sa.func.count())
            .join_from(jobs, trials, trials.c.id == jobs.c.trial_id)
            .join(
                segment,
                sa.and_(
                    segment.c.pretraining_id == trials.c.pretraining_id,
                    segment.c.budget == trials.c.budget,
                    segment.c.data_digest == jobs.c.data_digest,
                ),
            )
            .where(jobs.c.state == "pending", segment.c.state != "done", trials.c.id.in_(members))
            .group_by(segment.c.id)
        )
        with self._reader.connect() as connection:
            counted = {row[0]: row[1] for row in connection.execute(query)}
            segments = _select_facts_by_id(connection, list(counted))
        found = [Waiting(facts, counted[job_id]) for job_id, facts in segments.items()]
        return sorted(found, key=lambda waiting: -waiting.trials)

    def rates(self, sweep_id: str | None = None, *, now: float | None = None) -> Rates:
        """Return how fast a sweep went in the last hour, None for all jobs, and what is left."""
        own = sa.true() if sweep_id is None else in_sweep(sweep_id)
        reached = sa.case((jobs.c.state == "done", jobs.c.steps), else_=jobs.c.step)
        left = (  # segments of a pretraining go on from one another
            sa.select((sa.func.max(jobs.c.steps) - sa.func.max(reached)).label("steps"))
            .where(jobs.c.state.in_(("pending", "running", "done")), own)
            .group_by(sa.func.coalesce(jobs.c.pretraining_id, jobs.c.trial_id), jobs.c.data_digest)
            .subquery()
        )
        latest = sa.select(events).order_by(events.c.id.desc()).limit(LATEST).subquery()
        with self._reader.connect() as connection:
            clock = self._clock(connection, now)
            happened = connection.execute(
                sa.select(latest.c.time, latest.c.event, jobs.c.kind)
                .join_from(latest, jobs, jobs.c.id == latest.c.job_id)
                .where(latest.c.time > clock - RECENT, own)
            ).all()
            held = leases.is_held(jobs.c.lease_until, clock)
            steps = attempts.c.last_step, attempts.c.first_step
            running = connection.execute(
                sa.select(*steps, attempts.c.started, jobs.c.updated)
                .join_from(jobs, attempts, attempts.c.id == jobs.c.attempt_id)
                .where(jobs.c.state == "running", held, own)
            ).all()
            steps_left = connection.execute(sa.select(sa.func.sum(left.c.steps))).scalar()
        return Rates(
            trials=sum((event, kind) == ("done", "trial") for _, event, kind in happened),
            seconds=clock - min((time for time, _, _ in happened), default=clock),
            steps_per_second=sum(
                (last - first) / (updated - started)
                for last, first, started, updated in running
                if updated > started
            ),
            steps_left=int(steps_left or 0),
        )

    def job_attempts(self, job_ids: Sequence[str]) -> list[Attempt]:
        """Return all attempts at jobs with their logs, evaluations too, oldest first."""
        query = sa.select(*(attempts.c[field.name] for field in fields(Attempt)))
        with self._reader.connect() as connection:
            found = [
                Attempt(**row._mapping)
                for some in chunks(sorted(job_ids))
                for row in connection.execute(query.where(attempts.c.job_id.in_(some)))
            ]
        return sorted(found, key=lambda attempt: (attempt.started, attempt.token, attempt.id))

    def environment_of(self, job_id: str) -> dict[str, Any] | None:
        """Return versions, hardware and threads of the attempt that did a job, by column.

        None while it is not done.
        """
        query = (
            sa.select(environments, attempts.c.threads)
            .join_from(jobs, attempts, attempts.c.id == jobs.c.done_attempt_id)
            .join(environments, environments.c.id == attempts.c.environment_id)
            .where(jobs.c.id == job_id)
        )
        with self._reader.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else dict(row._mapping)

    def attempt_log(self, attempt_id: str) -> str | None:
        """Return the log of an attempt, while it runs up to a heartbeat; None before the first."""
        query = sa.select(attempts.c.log).where(attempts.c.id == attempt_id)
        with self._reader.connect() as connection:
            found: str | None = connection.execute(query).scalar()
            return found

    def failures(self) -> list[JobFacts]:
        """Return the jobs that failed or diverged with their last attempts, the latest first."""
        names = ("host", "outcome", "message", "decision")
        with self._reader.connect() as connection:
            return _select_facts(
                connection,
                failures.c.job_id == jobs.c.id,
                order=[failures.c.updated.desc(), failures.c.job_id],
                **{name: failures.c[name] for name in names},
            )

    def reruns(self) -> dict[str, Rerun]:
        """Return the reruns that were asked for and are not done, by the job's id."""
        last = (
            sa.select(sa.func.max(events.c.id))
            .where(events.c.job_id == jobs.c.id, events.c.event == "rerun")
            .correlate(jobs)
            .scalar_subquery()
        )
        asked = events.alias("asked")
        query = (
            sa.select(
                *(jobs.c.id, jobs.c.kind, jobs.c.state, attempts.c.ended),
                *(asked.c.owner, asked.c.detail),
            )
            .join_from(jobs, attempts, attempts.c.id == jobs.c.done_attempt_id)
            .join(asked, asked.c.id == last)
            .where(jobs.c.state != "done")
        )
        with self._reader.connect() as connection:
            return {row.id: Rerun(*row) for row in connection.execute(query)}

    def decisions(self, job_ids: Sequence[str]) -> dict[str, str]:
        """Return what was decided about jobs after a failure: 'given up: policy oom: 1 used'.

        Jobs about which nothing was decided, or to which something has happened since, are left
        out.
        """
        found: dict[str, str] = {}
        with self._reader.connect() as connection:
            for some in chunks(sorted(job_ids)):
                last = (
                    sa.select(sa.func.max(events.c.id))
                    .where(events.c.job_id.in_(some))
                    .group_by(events.c.job_id)
                )
                query = sa.select(events.c.job_id, events.c.detail).where(events.c.id.in_(last))
                found |= {job_id: detail for job_id, detail in connection.execute(query) if detail}
        return found

    def memory_failures(self, job_ids: Sequence[str]) -> dict[str, Starved]:
        """Return those of the jobs that ran out of memory since a person last asked for a retry."""
        reported = sa.func.count(attempts.c.cpu_seconds)
        query = (
            sa.select(events.c.job_id, reported, sa.func.count() - reported)
            .join_from(events, attempts, attempts.c.id == events.c.attempt_id)
            .where(events.c.event == "oom", SINCE_RETRY)
            .group_by(events.c.job_id)
        )
        found: dict[str, Starved] = {}
        with self._reader.connect() as connection:
            for some in chunks(sorted(job_ids)):
                rows = connection.execute(query.where(events.c.job_id.in_(some)))
                found |= {job_id: Starved(own, killed) for job_id, own, killed in rows}
        return found

    def changed_jobs(self, after: int | None = None) -> News:
        """Return the number of the last event, and the jobs that events after one are about.

        Events of transactions that overlap may come to sight in another order than that of their
        numbers, on a server: whoever follows them looks back by some.

        Args:
            after: The number of an event; None for no jobs.
        """
        with self._reader.connect() as connection:
            last = connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0
            if after is None:
                return News(last, {})
            new = sa.and_(events.c.id > after, events.c.job_id.is_not(None))
            changed = sa.select(events.c.job_id).where(new)
            rows = connection.execute(sa.select(jobs).where(jobs.c.id.in_(changed)))
            again = events.c.event.in_(("again", "retry", "rerun"))
            put_back = connection.execute(changed.where(again))
            found = {row.id: decode_job(row) for row in rows}
            return News(last, found, frozenset(put_back.scalars()))

    # ---------------------------------------------------------------------------------------------
    # Stopping and caps
    # ---------------------------------------------------------------------------------------------

    def begin_launch(
        self,
        owner: str,
        sweep_id: str,
        *,
        launched_by: str = "",
        host: str = "",
        arguments: str = "",
        code_version: str = "",
        dirty: str | None = None,
        now: float | None = None,
    ) -> int:
        """Store that a launch of a sweep begins, which may run what was stopped before.

        Args:
            owner: The launch, as its attempts name it.
            sweep_id: The sweep.
            launched_by: Who launches.
            host: The machine that launches.
            arguments: What was typed, without secrets.
            code_version: Version of the package.
            dirty: Digest of uncommitted changes; None for none.

        Returns:
            The number of the event. A request to stop that is older does not concern the launch.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            row = {"owner": owner, "sweep_id": sweep_id, "launched_by": launched_by}
            row |= {"host": host, "arguments": arguments, "code_version": code_version}
            insert_missing(connection, launches, [row | {"dirty": dirty, "started": clock}])
            stopped = jobs.c.stopped_by.is_not(None), jobs.c.state != "running"
            own = sa.update(jobs).where(*stopped, in_sweep(sweep_id))
            connection.execute(own.values(stopped_by=None))
            add_event(connection, "launch", clock, owner=owner, sweep_id=sweep_id)
            this = events.c.event == "launch", events.c.owner == owner
            number = sa.select(sa.func.max(events.c.id)).where(*this)
            return int(connection.execute(number).scalar_one())

    def end_launch(self, owner: str, *, why: str) -> None:
        """Let a launch take no more jobs; heartbeats tell its workers to end those that they have.

        Args:
            owner: The launch.
            why: The reason, in a few words.
        """
        with self._writer.begin() as connection:
            own = sa.update(launches).where(launches.c.owner == owner)
            connection.execute(own.values(ending=escape_text(why)))

    def device_hours(self, *, owner: str | None = None, sweep_id: str | None = None) -> float:
        """Return the device hours of all attempts of a launch, or of all launches of a sweep.

        Attempts that run, or were lost, count up to their last heartbeat.

        Args:
            owner: The launch.
            sweep_id: The sweep, in place of a launch.
        """
        which = attempts.c.owner == owner
        if sweep_id is not None:
            own = sa.select(launches.c.owner).where(launches.c.sweep_id == sweep_id)
            which = attempts.c.owner.in_(own)
        seconds = sa.func.coalesce(attempts.c.gpu_seconds, attempts.c.seconds)
        with self._reader.connect() as connection:
            total = connection.execute(sa.select(sa.func.sum(seconds)).where(which)).scalar()
        return float(total or 0.0) / 3600

    def launch_hours(self, owner: str) -> float:
        """Return for how many hours by the wall a launch runs, 0 for one that is not known."""
        query = sa.select(launches.c.started).where(launches.c.owner == owner)
        with self._reader.connect() as connection:
            started = connection.execute(query).scalar()
            return 0.0 if started is None else (self._clock(connection, None) - started) / 3600

    def last_arguments(self, sweep_id: str, *, launched_by: str, host: str) -> str:
        """Return what a user typed on a host for the last launch of a sweep, '' if not known.

        What others typed may have come with a merged database, and is nobody's to repeat here.
        """
        own = {"sweep_id": sweep_id, "launched_by": launched_by, "host": host}
        newest = (
            sa.select(launches.c.arguments).filter_by(**own).order_by(launches.c.started.desc())
        )
        with self._reader.connect() as connection:
            return str(connection.execute(newest.limit(1)).scalar() or "")

    def request_stop(
        self, sweep_ids: Sequence[str] | None, *, by: str, now: float | None = None
    ) -> None:
        """Ask launches to end; those that begin later are not concerned.

        Args:
            sweep_ids: The sweeps whose launches are meant; None for all launches.
            by: Who asks.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            for sweep_id in [None] if sweep_ids is None else sweep_ids:
                add_event(connection, "stop", clock, owner=by, sweep_id=sweep_id)

    def stop_jobs(self, job_ids: Sequence[str], *, by: str, now: float | None = None) -> int:
        """Let no launch that has begun run these jobs, until a later one begins.

        Attempts at them end as cancelled, each at its next checkpoint.

        Args:
            job_ids: The jobs. Those that have ended are left as they are.
            by: Who asks.

        Returns:
            How many jobs are stopped.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            which = jobs.c.id.in_(job_ids), jobs.c.state.in_(("pending", "running"))
            query = sa.select(jobs.c.id).where(*which).order_by(jobs.c.id).with_for_update()
            found = connection.execute(query).scalars().all()
            own = sa.update(jobs).where(jobs.c.id.in_(found))
            connection.execute(own.values(stopped_by=escape_text(by)))
            for job_id in found:
                add_event(connection, "stop", clock, job_id=job_id, owner=by)
            return len(found)

    def release_stopped(self, job_ids: Sequence[str], *, now: float | None = None) -> int:
        """Put those of the jobs that were stopped and still run back to pending.

        The attempts end as cancelled. Workers find their lease lost.

        Returns:
            How many jobs were put back.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            which = jobs.c.id.in_(job_ids), jobs.c.stopped_by.is_not(None)
            return release_jobs(connection, sa.and_(*which), clock)

    def stop_request(self, sweep_id: str, after: int | None = None) -> StopRequest | None:
        """Return the last request that the launches of a sweep end.

        Args:
            sweep_id: The sweep.
            after: The number of the event after which the request came; None for the one with
                which the last launch of the sweep began.

        Returns:
            The request, or None if there is none.
        """
        with self._reader.connect() as connection:
            if after is None:
                last = sa.select(sa.func.max(events.c.id)).where(
                    events.c.event == "launch", events.c.sweep_id == sweep_id
                )
                after = connection.execute(last).scalar() or 0
            row = connection.execute(
                sa.select(events.c.id, events.c.time, events.c.owner, events.c.sweep_id)
                .where(
                    events.c.id > after,
                    events.c.event == "stop",
                    events.c.job_id.is_(None),
                    sa.or_(events.c.sweep_id == sweep_id, events.c.sweep_id.is_(None)),
                )
                .order_by(events.c.id.desc())
                .limit(1)
            ).first()
        return None if row is None else StopRequest(row[0], row[1], row[2] or "somebody", row[3])

    def open_stop_requests(self) -> list[Stopping]:
        """Return the requests to stop whose launches still hold jobs, oldest first.

        Of several requests for one sweep, or for all, the last one is returned.
        """
        stop, launch = events.alias("stop"), events.alias("launch")
        meant = sa.or_(stop.c.sweep_id.is_(None), stop.c.sweep_id == launch.c.sweep_id)
        query = (
            sa.select(stop.c.id, stop.c.time, stop.c.owner, stop.c.sweep_id, sa.func.count())
            .join_from(stop, launch, sa.and_(launch.c.id < stop.c.id, meant))
            .join(jobs, jobs.c.owner == launch.c.owner)
            .where(stop.c.event == "stop", stop.c.job_id.is_(None))
            .where(launch.c.event == "launch", jobs.c.state == "running")
            .group_by(stop.c.id, stop.c.time, stop.c.owner, stop.c.sweep_id)
            .order_by(stop.c.id)
        )
        with self._reader.connect() as connection:
            last = {
                sweep_id: Stopping(StopRequest(event, time, by or "somebody", sweep_id), held)
                for event, time, by, sweep_id, held in connection.execute(query)
            }
        return sorted(last.values(), key=lambda one: one.request.event)

    def count_held_jobs(self, sweep_id: str | None = None) -> int:
        """Return how many running jobs the launches of a sweep hold, or all launches."""
        query = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.state == "running")
        with self._reader.connect() as connection:
            return connection.execute(query.where(_launched_for(sweep_id))).scalar_one()

    def release_sweep(self, sweep_id: str | None, *, now: float | None = None) -> int:
        """Put what the launches of a sweep hold, or all launches, back to pending.

        The attempts end as cancelled. Workers find their lease lost.

        Returns:
            How many jobs were put back.
        """
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            return release_jobs(connection, _launched_for(sweep_id), clock)

    def forget(self, sweep_ids: Collection[str], *, dry_run: bool = False) -> Forgotten:
        """Delete what sweeps plan and nobody has begun, and a sweep without trials and launches.

        A trial stays if it has begun or if another sweep has it. Segments of pretrainings that have
        not begun go where no trial needs them any more.

        Args:
            sweep_ids: The sweeps.
            dry_run: Delete nothing; return what would be deleted.
        """
        named = sweep_trials.c.sweep_id.in_(sorted(sweep_ids))
        members = sa.select(sweep_trials.c.trial_id)
        with self._writer.connect() as connection, connection.begin() as transaction:
            lock(connection, "register")
            there = set(connection.execute(members.where(named)).scalars())
            unbegun = there - _lock_begun(connection, sorted(there))
            for some in chunks(sorted(unbegun)):
                connection.execute(
                    sa.delete(sweep_trials).where(named, sweep_trials.c.trial_id.in_(some))
                )
            read = set[str]()
            gone, segments = 0, 0
            for some in chunks(sorted(unbegun)):
                query = sa.select(trials.c.id, trials.c.pretraining_id).where(
                    trials.c.id.in_(some), trials.c.id.not_in(members)
                )
                rows = connection.execute(query).all()
                read |= {row.pretraining_id for row in rows if row.pretraining_id is not None}
                ids = [row.id for row in rows]
                _delete_jobs(connection, jobs.c.trial_id.in_(ids))
                gone += connection.execute(sa.delete(trials).where(trials.c.id.in_(ids))).rowcount
            needed = sa.exists().where(
                trials.c.pretraining_id == jobs.c.pretraining_id, trials.c.budget >= jobs.c.budget
            )
            for some in chunks(sorted(read)):
                unneeded = jobs.c.pretraining_id.in_(some), jobs.c.token == 0, ~needed
                segments += _delete_jobs(connection, *unneeded)
            empty = (
                sweeps.c.id.in_(sorted(sweep_ids)),
                sweeps.c.id.not_in(sa.select(sweep_trials.c.sweep_id)),
                sweeps.c.id.not_in(sa.select(launches.c.sweep_id)),
            )
            ended = connection.execute(sa.select(sweeps.c.id).where(*empty)).scalars().all()
            connection.execute(sa.delete(events).where(events.c.sweep_id.in_(ended)))
            connection.execute(sa.delete(sweeps).where(sweeps.c.id.in_(ended)))
            if dry_run:
                transaction.rollback()
        return Forgotten(
            trials=gone, segments=segments, sweeps=len(ended), kept=len(there) - len(unbegun)
        )

    # ---------------------------------------------------------------------------------------------
    # Artifacts: the files that jobs leave outside the database
    # ---------------------------------------------------------------------------------------------

    def artifacts(self, job_id: str) -> list[Artifact]:
        """Return the files that a job left, by kind."""
        return self.job_artifacts([job_id]).get(job_id, [])

    def job_artifacts(self, job_ids: Sequence[str]) -> dict[str, list[Artifact]]:
        """Return the files that jobs left, by job, each by kind."""
        names = [field.name for field in fields(Artifact)]
        query = (
            sa.select(jobs.c.id, *(artifacts.c[name] for name in names))
            .join(jobs, artifacts.c.attempt_id == _shown_attempt())
            .order_by(artifacts.c.kind)
        )
        found: dict[str, list[Artifact]] = {}
        with self._reader.connect() as connection:
            for some in chunks(sorted(job_ids)):
                for job_id, *values in connection.execute(query.where(jobs.c.id.in_(some))):
                    artifact = Artifact(**dict(zip(names, values, strict=True)))
                    found.setdefault(job_id, []).append(artifact)
        return found

    def file_owners(self) -> list[Job]:
        """Return every job, as the owner of files, by id."""
        with self._reader.connect() as connection:
            rows = connection.execute(sa.select(jobs).order_by(jobs.c.id))
            return [decode_job(row) for row in rows]

    def artifact_paths(self) -> set[str]:
        """Return the paths of all files that jobs left."""
        with self._reader.connect() as connection:
            return set(connection.execute(sa.select(artifacts.c.path)).scalars())

    def forget_artifacts(self, paths: Sequence[str]) -> int:
        """Delete the rows of files that are about to be removed.

        Returns:
            How many rows were deleted.
        """
        with self._writer.begin() as connection:
            return sum(
                connection.execute(sa.delete(artifacts).where(artifacts.c.path.in_(some))).rowcount
                for some in chunks(sorted(paths))
            )


def _planned_row(job: PlannedJob, now: float) -> dict[str, object]:
    planned = {"state": "pending", "step": 0, "token": 0, "updated": now}
    return {"id": job.id, **asdict(job), **planned}


def _lock_begun(connection: sa.Connection, trial_ids: Sequence[str]) -> set[str]:
    # The trials among these with an attempt; nobody begins another before the transaction ends.
    found = set[str]()
    for some in chunks(trial_ids):
        query = sa.select(jobs.c.trial_id, jobs.c.token).where(jobs.c.trial_id.in_(some))
        rows = connection.execute(query.order_by(jobs.c.id).with_for_update())
        found |= {row.trial_id for row in rows if row.token > 0}
    return found


def _delete_jobs(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
    ids = sa.select(jobs.c.id).where(*which)
    connection.execute(sa.delete(events).where(events.c.job_id.in_(ids)))
    return connection.execute(sa.delete(jobs).where(*which)).rowcount


def _is_full(connection: sa.Connection, cap: Cap, stack_id: str | None, now: float) -> bool:
    # Nobody else finds out until the transaction ends, so that two do not take the last place.
    lock(connection, "parallel", cap.sweep_id)
    held = leases.is_held(jobs.c.lease_until, now)
    credible = leases.is_credible(jobs.c.lease_until, jobs.c.updated, now)
    running = jobs.c.state == "running", held, credible, in_sweep(cap.sweep_id)
    one = sa.func.coalesce(attempts.c.stack_id, attempts.c.id)
    query = (
        sa.select(sa.func.count(one.distinct()))
        .join_from(jobs, attempts, attempts.c.id == jobs.c.attempt_id)
        .where(*running)
    )
    if stack_id is not None:  # a stack that runs has its place
        query = query.where(attempts.c.stack_id.is_distinct_from(stack_id))
    return connection.execute(query).scalar_one() >= cap.parallel


def _launched_for(sweep_id: str | None) -> sa.ColumnElement[bool]:
    # Whether a running job is held by a launch of the sweep, or by any. A launch that did not say
    # what it launches is taken for one of the sweep where the job is in the sweep.
    if sweep_id is None:
        return sa.true()
    launches = sa.select(events.c.owner).where(
        events.c.event == "launch", events.c.owner.is_not(None)
    )
    known = jobs.c.owner.in_(launches.where(events.c.sweep_id == sweep_id))
    unknown = sa.and_(jobs.c.owner.not_in(launches), in_sweep(sweep_id))
    return sa.or_(known, unknown)


def _check_subject(
    job: Job,
    outcome: Outcome,
    result: Result | None,
    maps: Sequence[ContributionMap],
    tables: Sequence[IndexTable],
) -> None:
    if job.kind == "trial" and outcome == "done" and result is None:
        raise ValueError(f"trial job {job.id} cannot be done without a result")
    if result is not None and outcome != "done":
        raise ValueError(f"job {job.id} cannot have a result where it is not done")
    if result is not None and (result.trial_id, result.data_digest) != (
        job.trial_id,
        job.data_digest,
    ):
        raise ValueError(f"the result is not of the trial and data of job {job.id}")
    for table in tables:
        if (table.trial_id, table.data_digest) != (job.trial_id, job.data_digest):
            raise ValueError(f"a table is not of the trial and data of job {job.id}")
    for item in maps:
        if (item.pretraining_id, item.data_digest, item.budget) != (
            job.pretraining_id,
            job.data_digest,
            job.budget,
        ):
            raise ValueError(f"a map is not of the pretraining, data and budget of job {job.id}")


def _forget_shorter(connection: sa.Connection, job: Job) -> None:
    # Once every segment of a pretraining is done, the longest one's checkpoint is enough.
    found = connection.execute(
        sa.select(jobs.c.id, jobs.c.state)
        .where(jobs.c.pretraining_id == job.pretraining_id, jobs.c.data_digest == job.data_digest)
        .order_by(jobs.c.budget)
    ).all()
    if any(segment.state != "done" for segment in found):
        return
    shorter = [segment.id for segment in found[:-1]]
    own = sa.select(attempts.c.id).where(attempts.c.job_id.in_(shorter))
    connection.execute(
        sa.delete(artifacts).where(
            artifacts.c.attempt_id.in_(own), artifacts.c.kind == "checkpoint"
        )
    )


def _shown_attempt() -> sa.ColumnElement[str | None]:
    # The attempt whose curves stand for a job: the one whose result is current, else the last.
    return sa.func.coalesce(jobs.c.done_attempt_id, jobs.c.attempt_id)


def _select_facts(
    connection: sa.Connection,
    where: sa.ColumnElement[bool],
    *,
    order: Sequence[sa.ColumnElement[Any]] = (
        *(jobs.c.kind, jobs.c.pretraining_id, jobs.c.budget, jobs.c.id),
    ),
    **more: sa.ColumnElement[Any],
) -> list[JobFacts]:
    """Return the jobs that match: by default pretrainings first, by budget.

    ``more`` are columns in place of the usual ones, and of facts that have a default.
    """
    either = {
        name: sa.func.coalesce(trials.c[name], pretrainings.c[name])
        for name in ("flow", "dataset", "variant", "recipe_id", "seed")
    }
    columns: dict[str, sa.ColumnElement[Any]] = {
        **either,
        "job_id": jobs.c.id,
        "budget": sa.func.coalesce(trials.c.budget, jobs.c.budget),
        "pretraining_id": sa.func.coalesce(trials.c.pretraining_id, jobs.c.pretraining_id),
        "factorization": trials.c.factorization,
        "map_options": trials.c.map_options,
        "nms": pretrainings.c.nms,
        "profile": recipes.c.profile,
        **more,
    }
    usual = [one.name for one in fields(JobFacts) if one.default is MISSING]
    columns = {name: jobs.c[name] for name in usual if name not in columns} | columns
    rows = connection.execute(
        sa.select(*(column.label(name) for name, column in columns.items()))
        .outerjoin_from(jobs, trials, trials.c.id == jobs.c.trial_id)
        .outerjoin(pretrainings, pretrainings.c.id == jobs.c.pretraining_id)
        .join(recipes, recipes.c.id == either["recipe_id"])
        .where(where)
        .order_by(*order)
    )
    return [JobFacts(**row._mapping) for row in rows]


def _select_facts_by_id(connection: sa.Connection, ids: Sequence[str]) -> dict[str, JobFacts]:
    return {
        facts.job_id: facts
        for some in chunks(sorted(ids))
        for facts in _select_facts(connection, jobs.c.id.in_(some))
    }


def _read_view(
    connection: sa.Connection, name: str, where: Where, sweep_id: str | None = None
) -> "pd.DataFrame":
    return _read_frame(connection, _select_view(name, where, sweep_id))


def _select_view(name: str, where: Where, sweep_id: str | None = None) -> sa.Select[Any]:
    view = _find_view(name)
    query = sa.select(view).where(*build_conditions(name, dict(view.c), where))
    if sweep_id is not None:
        members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
        query = query.where(view.c.trial_id.in_(members))
    return query.order_by(*_order_of(view))


def _find_view(name: str) -> sa.Table:
    if name not in views.tables:
        hint = suggest(name, views.tables, "choose among")
        raise UserError(f"there is no view '{name}': {hint}")
    return views.tables[name]


def _order_of(view: sa.Table) -> list[sa.ColumnElement[Any]]:
    # Where engines differ about nulls, they come first.
    return [view.c[name].asc().nulls_first() for name in view.info.get("order", view.c.keys())]


def _read_frame(connection: sa.Connection, query: sa.Select[Any]) -> "pd.DataFrame":
    import pandas as pd

    rows = [tuple(row) for row in connection.execute(query)]
    columns = list(query.selected_columns)
    frame = pd.DataFrame(rows, columns=[column.name for column in columns])
    # Given, since a column with nulls, or with no rows, would come out as another type.
    types = {c.name: _dtype(c) for c in columns if not isinstance(c.type, sa.Text)}
    try:
        return frame.astype(types)
    except (TypeError, ValueError) as error:  # SQLite keeps text in a column of numbers
        why = " ".join(str(error).split())
        raise UserError(
            f"a value in the database is not of its column's type ({why}): "
            "restore a backup, or see what is wrong with `lcma db check`"
        ) from error


def _dtype(column: sa.ColumnElement[Any]) -> str:
    if isinstance(column.type, sa.Double):
        return "float64"
    return "Int64" if getattr(column, "nullable", True) else "int64"

"""The store: plans, claims, records and reads everything through one object."""

import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from lcma.db import leases, migrate, schema
from lcma.db.cells import read_cells, read_values
from lcma.db.engine import Database, QueryResult
from lcma.db.jobs import (
    add_event,
    claim_job,
    end_attempt,
    extend_leases,
    has_ended_as,
    hash_attempt,
    in_sweep,
    move_job,
    move_jobs,
    read_claimed,
    read_job,
)
from lcma.db.maps import MAP_FACTS, MAP_ORDER, decode_stored_map, encode_map, encode_table
from lcma.db.postgres import DRIVERS, PostgresDatabase
from lcma.db.records import (
    KINDS,
    STATES,
    Artifact,
    Attempt,
    Cap,
    Claim,
    ContributionMap,
    Cost,
    Curve,
    CurveKey,
    Environment,
    Evaluator,
    Forgotten,
    Heartbeat,
    IndexTable,
    Job,
    JobCounts,
    JobFacts,
    Kind,
    Metric,
    News,
    Outcome,
    Policy,
    RecipeRow,
    Registration,
    Rerun,
    Result,
    SeededCell,
    State,
    StateCounts,
    StopRequest,
    StoredMap,
    Sweep,
    SweepMember,
    row_of,
)
from lcma.db.results import (
    Conflict,
    choose_current,
    find_additions,
    insert_measures,
    insert_metrics,
    insert_result,
    read_measure_kinds,
    read_result,
    write_measure_kinds,
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
    recipes,
    sweep_trials,
    sweeps,
    trials,
)
from lcma.db.sqlite import SqliteDatabase
from lcma.db.statements import (
    Scalar,
    among,
    build_conditions,
    escape_text,
    insert_missing,
    lock,
)
from lcma.db.views import views
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.input_files import UNSTORABLE
from lcma.sweeps.measures import BITS_PER_DIM, MeasureKind, find_measure, list_measures

if TYPE_CHECKING:
    import pandas as pd

LOG_END = 100
"""Characters of the end of a log that `JobFacts` have."""

MAX_LOG = 2**20
"""Characters of the end of a log that `Attempt` has; attempts store far fewer."""

URL_FORMS = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"

_MISTYPED_URL = re.compile(r"(?:^|/)postgres(?:ql)?(?:\+\w+)?[:/].*:.*@")
"""A server's URL with a password that lacks a character and would be taken for a path."""

Order = Literal["subject", "started", "updated"]
"""The order in which `Store.job_facts` returns jobs."""


def connect(url: str, *, create: bool = True) -> "Store":
    """Open a results database.

    Example:
        >>> from lcma.db import connect
        >>> store = connect("results.db")
        >>> board = store.view("board", dataset="cifar10")

    Args:
        url: `sqlite:///PATH`, a bare path ending in .db or .sqlite, or
            `postgresql://USER@HOST/DATABASE`.
        create: Create the tables, and the file, if they are missing. Upgrade an older schema if no
            job runs.

    Returns:
        The store. It opens connections as its methods need them.

    Raises:
        UserError: The URL means another kind of database, or a place where none can be; or the
            database belongs to another program, is damaged, or has an unknown schema; or `create`
            is False and it is missing or has an older schema. The database is left as it was.
        Unavailable: The database cannot be reached or written for now.
    """
    database = locate(url)
    if create:
        migrate.ensure(database)
    else:
        migrate.require_current(database, database.identify())
    return Store(database)


def exists(url: str) -> bool:
    """Return whether there are results at a URL, of any schema.

    Args:
        url: As for `connect`.

    Raises:
        UserError: The URL means another kind of database, another program's, or a damaged one.
        Unavailable: The database cannot be reached for now.
    """
    return locate(url).identify().exists


def locate(url: str) -> Database:
    """Return the database that a URL or a path means, without opening it.

    Args:
        url: As for `connect`.

    Raises:
        UserError: It means neither a file of SQLite nor a PostgreSQL server.
    """
    # A URL that cannot be read may hold a password, so it is not repeated.
    unread = UserError(f"cannot read the database URL: give it as {URL_FORMS}")
    if UNSTORABLE.search(url):
        raise unread
    if "://" not in url:
        if _MISTYPED_URL.search(url):
            raise unread
        if url.endswith((".db", ".sqlite")):
            return SqliteDatabase(Path(url).expanduser().absolute())
        if "@" in url or ":" in url:
            raise unread
        raise UserError(
            f"'{url}' is not a database: give {URL_FORMS}, or a path ending in .db or .sqlite"
        )
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise unread from None
    is_path = parsed.drivername in ("sqlite", "sqlite+pysqlite") and not parsed.host
    # With two @, the first may be part of the password, whose rest would be taken for the host.
    if url.count("@") > 1 and not is_path:
        raise UserError(f"{unread}, and write an @ in user or password as %40")
    # With one slash too many, the password would be taken for the name of a database.
    if "@" in url and parsed.username is None and not is_path:
        raise unread
    if parsed.drivername in DRIVERS:
        return PostgresDatabase(parsed)
    name = f"{parsed.drivername}://{parsed.host or ''}/{parsed.database or ''}"
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise UserError(f"the database {name} is not supported: give {URL_FORMS}")
    if parsed.host or parsed.query or parsed.database in (None, "", ":memory:"):
        raise UserError(f"the database {name} does not name a file: give it as sqlite:///PATH")
    return SqliteDatabase(Path(str(parsed.database)).absolute())


def run_sql(url: str, sql: str, *, limit: int | None = 1000, timeout: float = 30.0) -> QueryResult:
    """Run one statement that reads.

    Args:
        url: As for `connect`.
        sql: The statement.
        limit: The most rows to return, which also stops after 64 MiB; None for all.
        timeout: Seconds that it may take. A single call of a function of SQLite that takes longer
            goes on in the background until it ends.

    Returns:
        Its rows. Numbers are int or float and truth is 1 or 0 on both engines.

    Raises:
        UserError: There is no database that this version can read; or the statement writes,
            attaches a file, changes a setting, is wrong, is several, or takes too long.
    """
    database = locate(url)
    state = database.identify()
    migrate.require_existing(database, state)
    migrate.require_known(database, state)
    return run_query(database, sql, limit=limit, timeout=timeout)


def run_query(database: Database, sql: str, *, limit: int | None, timeout: float) -> QueryResult:
    """Run one statement that reads on a database; see `run_sql`."""
    # SQLite takes a second ; for a second statement, and PostgreSQL rejects the first one.
    sql = sql.strip("; \t\r\n\f")
    if not sql or "\0" in sql:
        raise UserError("there is no SQL statement to run: give one, such as 'SELECT 1'")
    if limit is not None and limit < 0:
        raise UserError(f"a limit of {limit} rows makes no sense: give 0 or more")
    if not timeout > 0:
        raise UserError(f"a time limit of {timeout:g} s makes no sense: give more than 0")
    return database.query(sql, limit, timeout)


class Store:
    """A results database. Safe to use from several threads, and in a forked process.

    Every method is one transaction. It raises UserError, with nothing changed, if the database is
    damaged, locked for too long, not writable or unreachable, or if its disk is full; `Unavailable`
    if the same may work later.

    Times are Unix seconds, UTC, by the database's clock; tests give another time as `now`. Data
    sets are named by their digests, jobs, trials and the like by their ids.

    Attributes:
        database: The place and its engine.
        url: The URL that leads another process to it. It may hold a password.
        name: The URL or path without a password.
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

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.name!r})"

    def close(self) -> None:
        """Dispose of the engines; the store can still be used."""
        self._reader.dispose()
        self._write_engine.dispose()

    def sql(self, query: str, *, limit: int | None = None, timeout: float = 30.0) -> "pd.DataFrame":
        """Run one statement that reads; the engine refuses one that writes.

        Example:
            >>> means = store.sql(
            ...     "SELECT factorization, avg(bits_per_dim) FROM results GROUP BY 1"
            ... )

        Args:
            query: The statement. `lcma sql --schema` lists views and tables with their columns.
            limit: The most rows; None for all.
            timeout: Seconds after which it is stopped.

        Raises:
            UserError: The statement writes, is wrong, or takes too long.
        """
        import pandas as pd

        result = run_query(self.database, query, limit=limit, timeout=timeout)
        return pd.DataFrame.from_records(list(result.rows), columns=list(result.columns))

    def rows(
        self,
        query: sa.Select[Any],
        column: sa.ColumnElement[Any] | None = None,
        values: Collection[Any] = (),
    ) -> list[Any]:
        """Return the rows of a SELECT from tables of `lcma.db.schema` or views of `lcma.db.views`.

        Args:
            query: The SELECT.
            column: A column of texts that limits the rows to these values; None for all rows.
            values: Its values, any number.
        """
        with self._reader.connect() as connection:
            if column is not None:
                query = query.where(among(column, values))
            return list(connection.execute(query).all())

    def now(self) -> float:
        """Return the time by the database's clock, Unix seconds, which decides when leases end."""
        with self._reader.connect() as connection:
            return self.database.clock(connection)

    @contextmanager
    def _writing(self, now: float | None = None) -> Iterator[tuple[sa.Connection, float]]:
        with self._writer.begin() as connection:
            yield connection, self.database.clock(connection) if now is None else now

    # Planning

    def register(self, plan: Registration, *, now: float | None = None) -> None:
        """Add the rows of a plan; rows that are stored already stay as they are."""
        with self._writing(now) as (connection, clock):
            # Two plans that share rows could deadlock.
            lock(connection, "register")
            stored = set(connection.execute(sa.select(sweeps.c.id)).scalars())
            new = [sweep for sweep in plan.sweeps if sweep.id not in stored]
            for table, items in (
                *((recipes, plan.recipes), (data_sets, plan.data_sets), (bars, plan.bars)),
                *((sweeps, plan.sweeps), (pretrainings, plan.pretrainings)),
                *((trials, plan.trials), (sweep_trials, plan.members)),
            ):
                rows = [row_of(item) for item in items]
                for row in rows:
                    if row.get("created", clock) is None:
                        row["created"] = clock
                insert_missing(connection, table, rows)
            pending = {"state": "pending", "step": 0, "token": 0, "updated": clock}
            rows = [{"id": job.id, **row_of(job), **pending} for job in plan.jobs]
            insert_missing(connection, jobs, rows)
            write_measure_kinds(connection, list_measures())  # those of plug-ins too
            for sweep in new:
                count = len(plan.jobs) if plan.planned is None else plan.planned
                detail = f"sweep {sweep.name} {sweep.id}, {count} jobs"
                add_event(connection, "register", clock, detail=detail)

    def add_environment(self, environment: Environment, *, now: float | None = None) -> str:
        """Add an environment unless it is stored already; return its id."""
        with self._writing(now) as (connection, created):
            row = {"id": environment.id, **row_of(environment), "created": created}
            insert_missing(connection, environments, [row])
        return environment.id

    def sweeps(self) -> list[Sweep]:
        """Return all sweeps in the order of their last launches.

        A launch that finds nothing left to run is not stored, and does not count.
        """
        launched = sa.select(sa.func.max(launches.c.started)).filter_by(sweep_id=sweeps.c.id)
        last = sa.func.coalesce(launched.scalar_subquery(), sweeps.c.created)
        return [
            Sweep(**row._mapping)
            for row in self.rows(sa.select(sweeps).order_by(last, sweeps.c.id))
        ]

    def memberships(self, trial_ids: Collection[str]) -> list[SweepMember]:
        """Return the places of trials in sweeps, oldest sweep first."""
        query = (
            sa.select(sweep_trials)
            .join(sweeps, sweeps.c.id == sweep_trials.c.sweep_id)
            .order_by(
                *(sweeps.c.created, sweeps.c.id),
                *(sweep_trials.c.factorization, sweep_trials.c.trial_id),
            )
        )
        rows = self.rows(query, sweep_trials.c.trial_id, trial_ids)
        return [SweepMember(**row._mapping) for row in rows]

    def recipes(
        self, ids: Collection[str] = (), *, flows: Collection[str] = ()
    ) -> dict[str, RecipeRow]:
        """Return by id the registered recipes of these ids, and all of these flows."""
        rows = self.rows(sa.select(recipes), recipes.c.id, ids)
        rows += self.rows(sa.select(recipes), recipes.c.flow, flows)
        return {row.id: RecipeRow(**row._mapping) for row in rows}

    # Claiming and leases

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

        The attempt whose lease was over ends as 'node_lost'. Nothing is taken over for
        `lease_seconds` after the server's start, or if this call waited half of them for the
        database: workers that had to wait too renew their leases first.

        Args:
            job_id: The job.
            owner: The launch for which it is claimed.
            host: The machine of the worker.
            pid: The process of the worker.
            environment_id: Versions and hardware; see `add_environment`.
            device: The device, 'cpu' or 'cuda'.
            threads: Number of CPU threads.
            lease_seconds: How long the claim holds unless `heartbeats` extend it.
            devices: The devices granted, as the driver names them; None on a CPU.
            stack_id: The stack that it joins; None for an attempt alone.
            cap: The most jobs of a sweep that run at once, a stack counted once; None for any
                number.
            expired: The end of the lease that the launch has seen to be over, see `LeaseWatch`.
                Without it, a job in a SQLite file is taken over only from a dead process of this
                host: a file has no clock.

        Returns:
            The claim, or the job if it cannot be claimed: it is held, stopped or has ended, its
            launch is ending, a shorter segment of its pretraining runs, or the cap is reached.

        Raises:
            LookupError: The job is not registered.
        """
        called = time.monotonic()
        with self._writing(now) as (connection, clock):

            def back() -> float | None:
                if now is not None:
                    return None
                waited = time.monotonic() - called
                return clock if waited > lease_seconds / 2 else self.database.started(connection)

            by: dict[str, Any] = {"owner": owner, "host": host, "environment_id": environment_id}
            by |= {"device": device, "devices": devices, "threads": threads, "stack_id": stack_id}
            by |= {"lease_seconds": lease_seconds}
            return claim_job(
                connection,
                job_id,
                by,
                pid=pid,
                now=clock,
                full=cap is not None and _is_full(connection, cap, stack_id, clock),
                expired=expired,
                one_host=self.database.one_host and now is None,
                back=back,
            )

    def heartbeats(self, beats: Sequence[Heartbeat], *, now: float | None = None) -> dict[str, str]:
        """Report the steps and extend the leases of several claims in one transaction.

        A lease that was over is extended too, if nobody claimed the job since.

        Args:
            beats: One heartbeat for each job.

        Returns:
            The jobs whose claims are good, each with the reason why its attempt shall end at its
            next checkpoint, '' if it may go on. Nothing is changed for the others.
        """
        with self._writing(now) as (connection, clock):
            alive = extend_leases(connection, beats, clock)
            for beat, _ in alive.values():
                insert_metrics(connection, beat.claim.attempt_id, beat.metrics)
            return {job_id: why for job_id, (_, why) in alive.items()}

    def require_writable(self) -> None:
        """Raise UserError if this user can write nothing, or nobody can: a standby, a full disk."""
        with self._writer.begin() as connection:
            self.database.rewrite(connection)

    def release(
        self,
        owner: str | None = None,
        *,
        sweep_id: str | None = None,
        before: int | None = None,
        stopped: Collection[str] | None = None,
        now: float | None = None,
    ) -> int:
        """Cancel the attempts of running jobs and put the jobs back to pending.

        Their workers find the leases lost.

        Args:
            owner: Only those of this launch.
            sweep_id: Only those that launches of this sweep hold.
            before: Only those of launches that began before this event.
            stopped: Only those of these jobs that were stopped.

        Returns:
            How many jobs were put back.
        """
        which = sa.and_(jobs.c.state == "running", _launched_for(sweep_id, before))
        if owner is not None:
            which = sa.and_(which, jobs.c.owner == owner)
        if stopped is not None:
            which = sa.and_(which, jobs.c.id.in_(stopped), jobs.c.stopped_by.is_not(None))
        with self._writing(now) as (connection, clock):
            return move_jobs(connection, which, "cancelled", clock)

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
        """End the attempt of a process that is known to be dead, even under a lease.

        Args:
            job_id: The job.
            owner: The launch whose process it was.
            token: The attempt's token.
            outcome: How the attempt ends; after 'node_lost' the job is pending.
            message: What went wrong, in a line or more.
            policy: As in `finish`.

        Returns:
            False, with nothing changed, if the job no longer runs under that launch and token.
        """
        with self._writing(now) as (connection, clock):
            job = read_job(connection, job_id)
            if job is None or job.state != "running" or (job.owner, job.token) != (owner, token):
                return False
            if message:
                update = sa.update(attempts).where(attempts.c.id == job.attempt_id)
                connection.execute(update.values(message=message))
            return end_attempt(connection, job, outcome, clock, policy=policy) is not None

    def retry(self, job_ids: Sequence[str], *, now: float | None = None) -> int:
        """Put those of the jobs that failed or diverged back to pending; return their number."""
        with self._writing(now) as (connection, clock):
            return move_jobs(connection, among(jobs.c.id, job_ids), "retry", clock)

    def rerun(
        self, job_ids: Sequence[str], *, by: str, why: str = "", now: float | None = None
    ) -> int:
        """Put those of the jobs that are done back to pending, to be rerun.

        Their results and maps stay current until the new attempt is done, which supersedes them.

        Args:
            job_ids: The jobs.
            by: Who asks for it.
            why: The reason.

        Returns:
            How many jobs were put back.
        """
        changes: dict[str, Any] = {"detail": why, "by": by, "step": 0}
        with self._writing(now) as (connection, clock):
            return move_jobs(connection, among(jobs.c.id, job_ids), "rerun", clock, **changes)

    def give_up(self, job_id: str, *, token: int, why: str, now: float | None = None) -> bool:
        """Fail a pending job, unless it was claimed since this was decided.

        Args:
            job_id: The job.
            token: Its token at the decision.
            why: The reason, in a few words.

        Returns:
            False, with nothing changed, if the job was claimed since, or is not pending.
        """
        detail = f"given up: {why}"
        with self._writing(now) as (connection, clock):
            job = read_job(connection, job_id)
            if job is None or job.token != token:
                return False
            return move_job(connection, job, "give_up", clock, detail=detail) is not None

    # Recording

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
        metrics: Sequence[Metric] = (),
        policy: Policy | None = None,
        now: float | None = None,
    ) -> bool:
        """End the attempt, and store everything that it made, or nothing.

        Args:
            claim: The right to work on the job.
            outcome: How the attempt ended.
            last_step: The training step that it reached.
            cost: Its cost.
            first_step: Corrects the step from which the attempt went on.
            message: What went wrong, in a line or more.
            log: The end of its output.
            result: The evaluated trial; required if a trial is done.
            maps: The contribution maps of a pretraining's segment.
            tables: The index tables of a trial.
            artifacts: Files that it left, one of a kind.
            metrics: Points of curves; they replace stored points at their steps.
            policy: Decides whether the job goes back to pending at once.

        Returns:
            True if it is stored, or was before by the same call; False, with nothing changed, if
            the claim is no longer good.

        Raises:
            ValueError: A result, map or table is of another job, a trial is done without a result,
                or a result is given with another outcome.
        """
        with self._writing(now) as (connection, clock):
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
            origin = {"attempt_id": claim.attempt_id, "created": clock}
            for artifact in artifacts:
                connection.execute(sa.insert(schema.artifacts), row_of(artifact) | origin)
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
                # The job was done before, or a merge brought a result while this attempt ran.
                current = choose_current(connection, [job.id])[job.id]
                update = sa.update(jobs).where(jobs.c.id == job.id)
                connection.execute(update.values(done_attempt_id=current))
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
        """Store new measures of the weights that a done job left, without a claim.

        They are added to the current result of the trial. If the result has measures by this
        protocol, only those that it lacks are added, and a bound of more draws or images. The
        evaluation is an attempt of its own, which ends as 'done'.

        Args:
            job_id: The job that left the weights.
            result: The measures.
            attempt_id: The attempt that left the weights: the job's `done_attempt_id` before they
                were read.
            by: The process that evaluated.
            cost: Its cost.

        Returns:
            False, with nothing changed, if nothing is new.

        Raises:
            Conflict: A measure is stored with another value, or the job is or was rerun; nothing
                is changed.
            ValueError: The result is of another job, or the job has none.
            LookupError: The job is not registered.
        """
        kinds = [find_measure(measure.name) for measure in result.measures]
        with self._writing(now) as (connection, clock):
            job = read_job(connection, job_id)
            if job is None:
                raise LookupError(f"no job {job_id}")
            if job.done_attempt_id is None or (job.trial_id, job.data_digest) != (
                result.trial_id,
                result.data_digest,
            ):
                raise ValueError(f"the result is not of a trial that job {job_id} has done")
            if job.state == "running":
                raise Conflict(f"trial {job.trial_id} is being rerun")
            if job.done_attempt_id != attempt_id:
                raise Conflict(f"trial {job.trial_id} was rerun meanwhile")
            stored = read_result(connection, result.trial_id, result.data_digest, result.protocol)
            if stored is not None:
                additions = find_additions(stored, result)
                if not additions:
                    return False
                result = replace(result, measures=additions)
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
                    **row_of(by),
                    **row_of(cost),
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
            replaced = (  # a bound of fewer draws or images
                measures.c.attempt_id == attempt_id,
                measures.c.protocol == result.protocol,
                measures.c.name.in_([measure.name for measure in result.measures]),
            )
            connection.execute(sa.delete(measures).where(*replaced))
            insert_measures(connection, attempt_id, result, evaluation_id, clock)
            return True

    # Reading results

    def view(
        self, name: str, /, *, sweep_id: str | None = None, **where: Scalar | Collection[Scalar]
    ) -> "pd.DataFrame":
        """Return rows of a view or table, always in the same order.

        Example:
            >>> curve = store.view("budgets", rule="low", flow="realnvp")

        Args:
            name: The view or table; `lcma sql --schema` lists them with their columns.
            sweep_id: The sweep whose trials count; None for all.
            **where: By column the value, or the values, that it may have; None is null.

        Returns:
            A frame. Whole numbers that may be null are Int64, the others int64; floats are
            float64, and null is NaN.

        Raises:
            UserError: The view or a column is unknown, or a value is of another type.
        """
        query = select_view(name, sweep_id=sweep_id, **where)
        return _make_frame(self.rows(query), query)

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
        """Return the kinds of measures that the database knows, by name."""
        with self._reader.connect() as connection:
            return read_measure_kinds(connection)

    def cells(
        self,
        *,
        measure: str = BITS_PER_DIM,
        sweep_id: str | None = None,
        **where: Scalar | Collection[Scalar],
    ) -> list[SeededCell]:
        """Return the values of a measure of current results that differ only in the seed.

        Args:
            measure: The measure.
            sweep_id: The sweep whose trials count; None for all.
            **where: By column of the view `results` the value, or the values, that it may have.

        Returns:
            The cells, in the order of the columns that tell them apart.
        """
        with self._reader.connect() as connection:
            return read_cells(connection, where, sweep_id, measure)

    def result(self, trial_id: str, data_digest: str, protocol: str) -> Result | None:
        """Return the current result of a trial on a data set by a protocol, None without one."""
        with self._reader.connect() as connection:
            return read_result(connection, trial_id, data_digest, protocol)

    def maps(self, **where: Scalar | Collection[Scalar]) -> list[StoredMap]:
        """Return current contribution maps, by data set, flow, seed, budget, score and split.

        Example:
            >>> maps = store.maps(flow="realnvp", budget=200, split=1, score="cumulative")

        Args:
            **where: By column of `contribution_maps` or of the pretraining (flow, dataset,
                variant, seed, nms, recipe_id) the value, or the values, that it may have.

        Returns:
            The maps that match: float32 arrays of shape (C, H, W), in nats (those of the data rules
            in squared pixel values).

        Raises:
            UserError: A column is unknown, or a map is damaged; the error names its row.
        """
        facts = {name: pretrainings.c[name] for name in MAP_FACTS}
        columns = facts | {
            c.name: c for c in contribution_maps.c if not isinstance(c.type, sa.LargeBinary)
        }
        query = (
            sa.select(contribution_maps, *facts.values())
            .join(pretrainings, pretrainings.c.id == contribution_maps.c.pretraining_id)
            .join(jobs, jobs.c.done_attempt_id == contribution_maps.c.attempt_id)
            .where(*build_conditions("contribution_maps", columns, where))
            .order_by(*(columns[name] for name in MAP_ORDER))
        )
        return [decode_stored_map(dict(row._mapping)) for row in self.rows(query)]

    def curves(self, job_ids: Collection[str]) -> list[Curve]:
        """Return the curves of jobs that have any point, by job and name."""
        last = sa.func.max(metrics.c.step)
        query = (
            sa.select(metrics.c.attempt_id, jobs.c.id, metrics.c.name, sa.func.count(), last)
            .join_from(metrics, jobs, metrics.c.attempt_id == _shown_attempt())
            .group_by(metrics.c.attempt_id, jobs.c.id, metrics.c.name)
        )
        curves = [Curve(*row) for row in self.rows(query, jobs.c.id, job_ids)]
        return sorted(curves, key=lambda curve: (curve.job_id, curve.name))

    def points(
        self, curves: Collection[CurveKey], *, every: int = 1, after: int = -1
    ) -> dict[CurveKey, list[tuple[int, float]]]:
        """Return steps and values of points of curves; a value may be NaN.

        Args:
            curves: The curves, each by its attempt and its name.
            every: 1 for all points, 2 for every second, and so on, from the first on. The last
                point of a curve is always included.
            after: The step after which to begin.

        Returns:
            The points by curve; a curve that has none is left out.
        """
        curve = metrics.c.attempt_id, metrics.c.name
        place = sa.func.row_number().over(partition_by=curve, order_by=metrics.c.step)
        last = sa.func.max(metrics.c.step).over(partition_by=curve)
        # All pairs of these attempts and names, of which the wanted ones are taken below.
        pairs = [among(column, {key[n] for key in curves}) for n, column in enumerate(curve)]
        point = (
            sa.select(metrics, (place - 1).label("place"), last.label("last"))
            .where(*pairs, metrics.c.step > after)
            .subquery()
            .c
        )
        query = (
            sa.select(point.attempt_id, point.name, point.step, point.value)
            .where(sa.or_(point.place % every == 0, point.step == point.last))
            .order_by(point.attempt_id, point.name, point.step)
        )
        points: dict[CurveKey, list[tuple[int, float]]] = {}
        wanted = set(curves)
        for attempt_id, name, step, value in self.rows(query):
            if (attempt_id, name) in wanted:
                number = math.nan if value is None else value
                points.setdefault((attempt_id, name), []).append((step, number))
        return points

    # Following jobs

    def jobs(self, ids: Collection[str] | None = None) -> dict[str, Job]:
        """Return those of the jobs that are registered, by id; all for None."""
        query = sa.select(jobs)
        rows = self.rows(query) if ids is None else self.rows(query, jobs.c.id, ids)
        return {row.id: Job(**row._mapping) for row in rows}

    def job_facts(
        self,
        ids: Collection[str] | None = None,
        *,
        prefix: str | None = None,
        trial_ids: Collection[str] | None = None,
        pretraining_ids: Collection[str] | None = None,
        data_digest: str | None = None,
        sweep_id: str | None = None,
        kind: Kind | None = None,
        states: Collection[State] = STATES,
        with_curves: bool = False,
        order: Order = "subject",
        limit: int | None = None,
    ) -> list[JobFacts]:
        """Return jobs with their trials or pretrainings and their last attempts.

        All conditions must hold.

        Example:
            >>> running = store.job_facts(states=["running"], order="started")

        Args:
            ids: Jobs of these ids.
            prefix: Jobs whose id, or that of their trial or pretraining, starts so.
            trial_ids: Jobs of these trials.
            pretraining_ids: Segments of these pretrainings, and trials that read their maps. At
                most one of `ids`, `trial_ids` and this may be given, each of any length.
            data_digest: Jobs on this exact data set.
            sweep_id: Jobs of this sweep, with the segments that its trials need.
            kind: Only trials, or only segments of pretrainings.
            states: Jobs in one of these states.
            with_curves: Only jobs that have a curve.
            order: "subject" is by data set, flow, factorization, budget and seed, with the latest
                of several jobs of a trial first; "started" has the oldest attempt first, "updated"
                the last change.
            limit: The most jobs, those that changed last; None for all.
        """
        which: list[sa.ColumnElement[bool]] = []
        if set(states) != set(STATES):
            which.append(jobs.c.state.in_(states))
        if prefix is not None:
            columns = jobs.c.id, jobs.c.trial_id, jobs.c.pretraining_id
            starts = (sa.func.substr(column, 1, len(prefix)) == prefix for column in columns)
            which.append(sa.or_(*starts))
        which += [] if data_digest is None else [jobs.c.data_digest == data_digest]
        which += [] if sweep_id is None else [in_sweep(sweep_id)]
        which += [] if kind is None else [jobs.c.kind == kind]
        if with_curves:
            which.append(sa.exists().where(metrics.c.attempt_id == _shown_attempt()))
        if limit is not None:
            latest = sa.select(jobs.c.id).where(*which)
            latest = latest.order_by(jobs.c.updated.desc(), jobs.c.id).limit(limit)
            which = [jobs.c.id.in_(latest)]
        origins = {"pretraining": jobs.c.pretraining_id, "trial": trials.c.pretraining_id}
        keys = [(jobs.c.id, ids), (jobs.c.trial_id, trial_ids)]
        keys += [(origins[each], pretraining_ids) for each in ([kind] if kind else KINDS)]
        lists = [(column, values) for column, values in keys if values is not None]
        query = _FACTS.where(*which)
        # A query for each column: an OR over columns of two tables uses no index.
        results = (self.rows(query, *pair) for pair in lists) if lists else [self.rows(query)]
        facts = (JobFacts(**row._mapping) for rows in results for row in rows)
        return sorted(facts, key=_ORDER_KEYS[order])

    def job_ids(self, sweep_id: str) -> list[str]:
        """Return the jobs of a sweep, with the segments that its trials need, in order of id."""
        query = sa.select(jobs.c.id).where(in_sweep(sweep_id)).order_by(jobs.c.id)
        return [job_id for (job_id,) in self.rows(query)]

    def job_counts(
        self, sweep_id: str | None = None, *, held: bool = False, before: int | None = None
    ) -> JobCounts:
        """Return how many jobs are in each state, by kind.

        Args:
            sweep_id: Only jobs of this sweep, with the segments that its trials need.
            held: Only the running jobs that launches of the sweep hold.
            before: The number of an event before which those launches began; None for any.
        """
        query = sa.select(jobs.c.kind, jobs.c.state, sa.func.count().label("jobs"))
        if held:
            query = query.where(jobs.c.state == "running", _launched_for(sweep_id, before))
        elif sweep_id is not None:
            query = query.where(in_sweep(sweep_id))
        rows = self.rows(query.group_by(jobs.c.kind, jobs.c.state))
        by_kind = {
            kind: StateCounts(**{row.state: row.jobs for row in rows if row.kind == kind})
            for kind in KINDS
        }
        return JobCounts(pretraining=by_kind["pretraining"], trial=by_kind["trial"])

    def attempts(
        self, job_ids: Collection[str] | None = None, *, ids: Collection[str] = ()
    ) -> list[Attempt]:
        """Return all attempts at jobs with the ends of their logs, evaluations too, oldest first.

        Args:
            job_ids: The jobs.
            ids: The attempts, instead of the jobs.
        """
        columns = (attempts.c[field.name] for field in fields(Attempt) if field.name != "log")
        query = sa.select(*columns, _select_end(attempts.c.log, MAX_LOG).label("log"))
        which = (attempts.c.id, ids) if job_ids is None else (attempts.c.job_id, job_ids)
        rows = [Attempt(**row._mapping) for row in self.rows(query, *which)]
        return sorted(rows, key=lambda attempt: (attempt.started, attempt.token, attempt.id))

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
        return {row.id: Rerun(*row) for row in self.rows(query)}

    def changed_jobs(self, after: int | None = None) -> News:
        """Return the number of the last event, and the jobs that changed after an event.

        On a server, events of overlapping transactions may appear in another order than that of
        their numbers: ask again from a somewhat lower number.

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
            by_id = {row.id: Job(**row._mapping) for row in rows}
            return News(last, by_id, frozenset(put_back.scalars()))

    # Stopping and caps

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
        """Store that a launch of a sweep begins; it may run jobs that were stopped before.

        Args:
            owner: The launch, as its attempts name it.
            sweep_id: The sweep.
            launched_by: Who launches.
            host: The machine that launches.
            arguments: The command, without secrets.
            code_version: Version of the package.
            dirty: Digest of uncommitted changes; None for none.

        Returns:
            The number of the event. Older requests to stop do not apply to the launch.
        """
        with self._writing(now) as (connection, clock):
            row = {"owner": owner, "sweep_id": sweep_id, "launched_by": launched_by}
            row |= {"host": host, "arguments": arguments, "code_version": code_version}
            insert_missing(connection, launches, [row | {"dirty": dirty, "started": clock}])
            stopped = jobs.c.stopped_by.is_not(None), jobs.c.state != "running"
            update = sa.update(jobs).where(*stopped, in_sweep(sweep_id))
            connection.execute(update.values(stopped_by=None))
            add_event(connection, "launch", clock, owner=owner, sweep_id=sweep_id)
            begun = events.c.event == "launch", events.c.owner == owner
            number = sa.select(sa.func.max(events.c.id)).where(*begun)
            return int(connection.execute(number).scalar_one())

    def end_launch(self, owner: str, *, why: str) -> None:
        """Let a launch claim no more jobs; heartbeats tell its workers to end their attempts.

        Args:
            owner: The launch.
            why: The reason, in a few words.
        """
        with self._writer.begin() as connection:
            update = sa.update(launches).where(launches.c.owner == owner)
            connection.execute(update.values(ending=escape_text(why)))

    def device_hours(self, *, owner: str | None = None, sweep_id: str | None = None) -> float:
        """Return the device hours of all attempts of a launch, or of all launches of a sweep.

        Attempts that run, or were lost, count up to their last heartbeat.

        Args:
            owner: The launch.
            sweep_id: The sweep, instead of a launch.
        """
        which = attempts.c.owner == owner
        if sweep_id is not None:
            owners = sa.select(launches.c.owner).where(launches.c.sweep_id == sweep_id)
            which = attempts.c.owner.in_(owners)
        seconds = sa.func.coalesce(attempts.c.gpu_seconds, attempts.c.seconds)
        ((total,),) = self.rows(sa.select(sa.func.sum(seconds)).where(which))
        return float(total or 0.0) / 3600

    def request_stop(
        self,
        sweep_ids: Collection[str] | None = None,
        *,
        by: str,
        job_ids: Collection[str] | None = None,
        now: float | None = None,
    ) -> int:
        """Ask the present launches to end, or to stop some jobs.

        Attempts end as cancelled; those of ``job_ids`` write a checkpoint first. Later launches
        are not affected.

        Args:
            sweep_ids: The sweeps whose launches shall end; None for all launches.
            by: Who asks.
            job_ids: Stop only these jobs, and no launch. Jobs that have ended stay as they are.

        Returns:
            How many jobs are stopped; if launches are, the number of the event.
        """
        with self._writing(now) as (connection, clock):
            if job_ids is None:
                for sweep_id in [None] if sweep_ids is None else sweep_ids:
                    add_event(connection, "stop", clock, owner=by, sweep_id=sweep_id)
                last = sa.select(sa.func.max(events.c.id)).where(events.c.event == "stop")
                return int(connection.execute(last).scalar_one())
            which = jobs.c.id.in_(job_ids), jobs.c.state.in_(("pending", "running"))
            query = sa.select(jobs.c.id).where(*which).order_by(jobs.c.id).with_for_update()
            stopped = connection.execute(query).scalars().all()
            update = sa.update(jobs).where(jobs.c.id.in_(stopped))
            connection.execute(update.values(stopped_by=escape_text(by)))
            for job_id in stopped:
                add_event(connection, "stop", clock, job_id=job_id, owner=by)
            return len(stopped)

    def stop_request(self, sweep_id: str, after: int | None = None) -> StopRequest | None:
        """Return the last request that the launches of a sweep end; None if there is none.

        Args:
            sweep_id: The sweep.
            after: The number of the event after which the request came; None for the beginning of
                the last launch of the sweep.
        """
        since: Any = after
        if after is None:
            launch = events.alias("launch")
            begun = launch.c.event == "launch", launch.c.sweep_id == sweep_id
            since = sa.select(sa.func.max(launch.c.id)).where(*begun).scalar_subquery()
        query = (
            sa.select(events.c.id, events.c.time, events.c.owner, events.c.sweep_id)
            .where(
                events.c.id > since,
                events.c.event == "stop",
                events.c.job_id.is_(None),
                sa.or_(events.c.sweep_id == sweep_id, events.c.sweep_id.is_(None)),
            )
            .order_by(events.c.id.desc())
            .limit(1)
        )
        for event, at, by, requested_sweep_id in self.rows(query):
            return StopRequest(event, at, by or "somebody", requested_sweep_id)
        return None

    def forget(self, sweep_ids: Collection[str], *, dry_run: bool = False) -> Forgotten:
        """Delete the planned trials of sweeps that have not begun, and sweeps that are empty then.

        A trial stays if it has begun or if another sweep has it, and a sweep if it was launched.
        Segments of pretrainings that have not begun are deleted if no trial needs them any more.

        Args:
            sweep_ids: The sweeps.
            dry_run: Delete nothing; return what would be deleted.
        """
        is_member = sweep_trials.c.sweep_id.in_(sorted(sweep_ids))
        members = sa.select(sweep_trials.c.trial_id)
        with self._writer.connect() as connection, connection.begin() as transaction:
            lock(connection, "register")
            trial_ids = set(connection.execute(members.where(is_member)).scalars())
            # Nobody begins another of these trials before the transaction ends.
            condition = among(jobs.c.trial_id, trial_ids)
            query = sa.select(jobs.c.trial_id, jobs.c.token).where(condition).order_by(jobs.c.id)
            locked = connection.execute(query.with_for_update())
            unbegun = trial_ids - {row.trial_id for row in locked if row.token > 0}
            planned = among(sweep_trials.c.trial_id, unbegun)
            connection.execute(sa.delete(sweep_trials).where(is_member, planned))
            query = sa.select(trials.c.id, trials.c.pretraining_id).where(
                among(trials.c.id, unbegun), trials.c.id.not_in(members)
            )
            origins = {row.id: row.pretraining_id for row in connection.execute(query)}
            _delete_jobs(connection, among(jobs.c.trial_id, origins))
            deleted = connection.execute(sa.delete(trials).where(among(trials.c.id, origins)))
            needed = sa.exists().where(
                trials.c.pretraining_id == jobs.c.pretraining_id, trials.c.budget >= jobs.c.budget
            )
            of_origins = among(jobs.c.pretraining_id, {*origins.values()} - {None})
            segments = _delete_jobs(connection, of_origins, jobs.c.token == 0, ~needed)
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
        kept = len(trial_ids) - len(unbegun)
        return Forgotten(trials=deleted.rowcount, segments=segments, sweeps=len(ended), kept=kept)

    # Artifacts: the files that jobs leave outside the database

    def artifacts(self, job_ids: Collection[str] | None = None) -> dict[str, list[Artifact]]:
        """Return the files of jobs by job, in order of kind; for None those of all attempts."""
        names = [field.name for field in fields(Artifact)]
        query = (
            sa.select(attempts.c.job_id, *(artifacts.c[name] for name in names))
            .join_from(artifacts, attempts, attempts.c.id == artifacts.c.attempt_id)
            .order_by(artifacts.c.kind)
        )
        if job_ids is None:
            rows = self.rows(query)
        else:
            query = query.join(jobs, attempts.c.id == _shown_attempt())
            rows = self.rows(query, jobs.c.id, job_ids)
        by_job: dict[str, list[Artifact]] = {}
        for job_id, *values in rows:
            artifact = Artifact(**dict(zip(names, values, strict=True)))
            by_job.setdefault(job_id, []).append(artifact)
        return by_job

    def forget_artifacts(self, paths: Sequence[str]) -> None:
        """Delete the rows of files that are about to be removed."""
        with self._writer.begin() as connection:
            connection.execute(sa.delete(artifacts).where(among(artifacts.c.path, paths)))


def _delete_jobs(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
    ids = sa.select(jobs.c.id).where(*which)
    connection.execute(sa.delete(events).where(events.c.job_id.in_(ids)))
    return connection.execute(sa.delete(jobs).where(*which)).rowcount


def _is_full(connection: sa.Connection, cap: Cap, stack_id: str | None, now: float) -> bool:
    # Other claims wait here until the transaction ends, so that two do not take the last place.
    lock(connection, "parallel", cap.sweep_id)
    held = leases.is_held(jobs.c.lease_until, now)
    credible = leases.is_credible(jobs.c.lease_until, jobs.c.updated, now)
    running = jobs.c.state == "running", held, credible, in_sweep(cap.sweep_id)
    unit = sa.func.coalesce(attempts.c.stack_id, attempts.c.id)
    query = (
        sa.select(sa.func.count(unit.distinct()))
        .join_from(jobs, attempts, attempts.c.id == jobs.c.attempt_id)
        .where(*running)
    )
    if stack_id is not None:  # a stack that runs counts already
        query = query.where(attempts.c.stack_id.is_distinct_from(stack_id))
    return connection.execute(query).scalar_one() >= cap.parallel


def _launched_for(sweep_id: str | None, before: int | None) -> sa.ColumnElement[bool]:
    # The condition that a launch of the sweep (for None, any) holds a running job, for ``before``
    # one that began before that event. A launch without an event counts as one of the sweep if the
    # job is in the sweep.
    if sweep_id is None and before is None:
        return sa.true()
    launches = sa.select(events.c.owner).where(
        events.c.event == "launch", events.c.owner.is_not(None)
    )
    counted = launches
    unlaunched: sa.ColumnElement[bool] = jobs.c.owner.not_in(launches)
    if sweep_id is not None:
        counted = counted.where(events.c.sweep_id == sweep_id)
        unlaunched = sa.and_(unlaunched, in_sweep(sweep_id))
    if before is not None:
        counted = counted.where(events.c.id < before)
    return sa.or_(jobs.c.owner.in_(counted), unlaunched)


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
    of_trial: list[Result | IndexTable] = [*tables, *filter(None, [result])]
    for part in of_trial:
        if (part.trial_id, part.data_digest) != (job.trial_id, job.data_digest):
            raise ValueError(f"the result or a table is not of the trial and data of job {job.id}")
    for item in maps:
        if (item.pretraining_id, item.data_digest, item.budget) != (
            job.pretraining_id,
            job.data_digest,
            job.budget,
        ):
            raise ValueError(f"a map is not of the pretraining, data and budget of job {job.id}")


def _shown_attempt() -> sa.ColumnElement[str | None]:
    # The attempt whose curves and files represent a job: that of the current result, else the last.
    return sa.func.coalesce(jobs.c.done_attempt_id, jobs.c.attempt_id)


def _select_end(text: sa.ColumnElement[Any], most: int) -> sa.ColumnElement[Any]:
    # The last characters of a text. SQLite counts a start below 1 from the end.
    length = sa.func.length(text)
    return sa.func.substr(text, sa.case((length > most, length - most + 1), else_=1))


def _select_facts() -> sa.Select[Any]:
    # Jobs with their trials or pretrainings and their last attempts, as columns of `JobFacts`.
    subject = {
        name: sa.func.coalesce(trials.c[name], pretrainings.c[name])
        for name in ("flow", "dataset", "variant", "recipe_id", "seed")
    }
    running, lost = jobs.c.state == "running", jobs.c.state.in_(("diverged", "failed"))
    undone = jobs.c.state.in_(("pending", "diverged", "failed"))
    decisive = events.c.job_id == jobs.c.id, events.c.event != "evaluate"
    last = sa.select(events.c.detail).where(*decisive)
    last = last.order_by(events.c.id.desc()).limit(1)
    log_end = _select_end(attempts.c.log, LOG_END)
    of_attempt = ("started", "outcome", "message", "first_step", "stack_id", "bits_per_dim")
    columns: dict[str, sa.ColumnElement[Any]] = {
        **subject,
        "job_id": jobs.c.id,
        "budget": sa.func.coalesce(trials.c.budget, jobs.c.budget),
        "pretraining_id": sa.func.coalesce(trials.c.pretraining_id, jobs.c.pretraining_id),
        "factorization": trials.c.factorization,
        "map_options": trials.c.map_options,
        "nms": pretrainings.c.nms,
        "profile": recipes.c.profile,
        "host": sa.case((lost, attempts.c.host), else_=jobs.c.host),
        "decision": sa.case((undone, sa.func.nullif(last.scalar_subquery(), ""))),
        "log_end": sa.case((sa.and_(running, jobs.c.step == jobs.c.steps), log_end)),
        "weights": sa.exists().where(
            artifacts.c.attempt_id == jobs.c.done_attempt_id, artifacts.c.kind == "weights"
        ),
        **{name: attempts.c[name] for name in of_attempt},
    }
    names = [field.name for field in fields(JobFacts)]
    columns |= {name: jobs.c[name] for name in names if name not in columns}
    return (
        sa.select(*(columns[name].label(name) for name in names))
        .outerjoin_from(jobs, trials, trials.c.id == jobs.c.trial_id)
        .outerjoin(pretrainings, pretrainings.c.id == jobs.c.pretraining_id)
        .join(recipes, recipes.c.id == subject["recipe_id"])
        .outerjoin(attempts, attempts.c.id == jobs.c.attempt_id)
    )


_FACTS = _select_facts()

_ORDER_KEYS: Mapping[Order, Callable[[JobFacts], Any]] = {
    "subject": lambda job: (
        *(job.dataset, job.flow, job.factorization_or_kind),
        *(-1 if job.budget is None else job.budget, job.seed, -job.updated, job.job_id),
    ),
    "started": lambda job: (job.started or 0.0, job.attempt_id or ""),
    "updated": lambda job: (-job.updated, job.job_id),
}


def select_view(
    name: str, /, *, sweep_id: str | None = None, **where: Scalar | Collection[Scalar]
) -> sa.Select[Any]:
    """Build the SELECT of the rows that `Store.view` returns."""
    view = views.tables.get(name, schema.metadata.tables.get(name))
    if view is None:
        raise UserError(f"there is no view '{name}': {suggest(name, views.tables, 'choose among')}")
    columns = {c.name: c for c in view.c if not isinstance(c.type, sa.LargeBinary)}
    if sweep_id is not None and ("sweep_id" in columns or "trial_id" not in columns):
        where, sweep_id = {**where, "sweep_id": sweep_id}, None
    query = sa.select(view).where(*build_conditions(name, columns, where))
    if sweep_id is not None:
        members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
        query = query.where(view.c.trial_id.in_(members))
    keys = [column.name for column in view.primary_key] or view.c.keys()
    order = view.info.get("order", keys)
    # Engines differ about the place of nulls.
    return query.order_by(*(view.c[name].asc().nulls_first() for name in order))


def _make_frame(rows: Sequence[sa.Row[Any]], query: sa.Select[Any]) -> "pd.DataFrame":
    import pandas as pd

    columns = list(query.selected_columns)
    frame = pd.DataFrame(map(tuple, rows), columns=[column.name for column in columns])
    # A column with nulls, or without rows, would get another type.
    types = {c.name: _dtype(c) for c in columns if isinstance(c.type, sa.Double | sa.Integer)}
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

"""States that no run of the state machine leaves behind, as queries that find them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from lcma.db.schema import (
    attempts,
    cells,
    contribution_maps,
    curves,
    events,
    index_tables,
    jobs,
    metadata,
    metrics,
    results,
    table_overlaps,
    trials,
)
from lcma.db.summaries import SHARED


@dataclass(frozen=True, slots=True)
class Rule:
    """`query` gives the primary key of each row of `table` that breaks the rule, then what
    `problem` has to name."""

    table: sa.Table
    query: sa.Select[Any]
    problem: str


def rules() -> Iterator[Rule]:
    """Every rule: references first, then the states of jobs, then where things come from."""
    yield from _references()
    yield from _states()
    yield from _attempts()
    yield from _origins()
    yield _overlaps()


def _keys(table: sa.Table) -> list[sa.Column[Any]]:
    return list(table.primary_key.columns)


def _references() -> Iterator[Rule]:
    columns = [
        (column, key.column)
        for table in metadata.sorted_tables
        for column in table.columns
        for key in column.foreign_keys
    ]
    # Attempts refer to jobs, so that a constraint the other way would be a circle; and events and
    # points are to be added without a look at attempt and curve.
    more = [(table.c.attempt_id, attempts.c.id) for table in (jobs, events)]
    more.append((metrics.c.curve_id, curves.c.id))
    for column, target in (*columns, *more):
        other = target.table.alias("other")
        missing = ~sa.exists().where(other.c[target.name] == column)
        query = sa.select(*_keys(column.table), column.label("referred"))
        yield Rule(
            column.table,
            query.where(column.is_not(None), missing).order_by(*_keys(column.table)),
            f"its {column.name} {{}} is not in {target.table.name}",
        )


def _states() -> Iterator[Rule]:
    def of_jobs(problem: str, *where: sa.ColumnElement[bool]) -> Rule:
        return Rule(jobs, sa.select(jobs.c.id).where(*where).order_by(jobs.c.id), problem)

    result = sa.exists().where(
        results.c.trial_id == jobs.c.trial_id, results.c.data_digest == jobs.c.data_digest
    )
    maps = sa.exists().where(
        contribution_maps.c.pretraining_id == jobs.c.pretraining_id,
        contribution_maps.c.data_digest == jobs.c.data_digest,
        contribution_maps.c.budget == jobs.c.budget,
    )
    done, running = jobs.c.state == "done", jobs.c.state == "running"
    holder = (jobs.c.owner, jobs.c.host, jobs.c.pid, jobs.c.lease_until)
    yield of_jobs("it is done without a result", done, jobs.c.kind == "trial", ~result)
    yield of_jobs("it is done without maps", done, jobs.c.kind == "pretraining", ~maps)
    yield of_jobs(
        "it is running without an owner, host, process or lease",
        running,
        sa.or_(*(column.is_(None) for column in holder)),
    )
    yield of_jobs("it is running without an attempt", running, jobs.c.attempt_id.is_(None))
    yield of_jobs(
        "it is not running, but has an owner, host, process or lease",
        ~running,
        sa.or_(*(column.is_not(None) for column in holder)),
    )
    number = (
        sa.select(sa.func.count())
        .select_from(attempts)
        .where(attempts.c.job_id == jobs.c.id)
        .scalar_subquery()
    )
    yield Rule(
        jobs,
        sa.select(jobs.c.id, jobs.c.token, number)
        .where(jobs.c.token != number)
        .order_by(jobs.c.id),
        "its token is {}, but it has had {} attempts",
    )


def _attempts() -> Iterator[Rule]:
    joined = sa.select(jobs.c.id, attempts.c.id).join(attempts, attempts.c.id == jobs.c.attempt_id)
    yield Rule(
        jobs,
        joined.where(attempts.c.job_id != jobs.c.id).order_by(jobs.c.id),
        "its attempt {} is at another job",
    )
    yield Rule(
        jobs,
        joined.where(jobs.c.state == "running", attempts.c.ended.is_not(None)).order_by(jobs.c.id),
        "it is running, but its attempt {} has ended",
    )
    held = sa.exists().where(jobs.c.attempt_id == attempts.c.id, jobs.c.state == "running")
    yield Rule(
        attempts,
        sa.select(attempts.c.id, attempts.c.job_id)
        .where(attempts.c.ended.is_(None), ~held)
        .order_by(attempts.c.id),
        "it has not ended, but job {} does not run under it",
    )


def _origins() -> Iterator[Rule]:
    """A row was made by an attempt at the job that is about the same."""
    for table, names in (
        (results, ("trial_id", "data_digest")),
        (index_tables, ("trial_id", "data_digest")),
        (contribution_maps, ("pretraining_id", "data_digest", "budget")),
    ):
        differs = (jobs.c[name].is_distinct_from(table.c[name]) for name in names)
        query = (
            sa.select(*_keys(table), attempts.c.id.label("attempt"), jobs.c.id.label("job"))
            .join(attempts, attempts.c.id == table.c.attempt_id)
            .join(jobs, jobs.c.id == attempts.c.job_id)
        )
        yield Rule(
            table,
            query.where(sa.or_(*differs)).order_by(*_keys(table)),
            f"its attempt {{}} was at job {{}}, of another {' or '.join(names)}",
        )
    shared = [cells.c[name].is_distinct_from(trials.c[name]) for name in SHARED if name in trials.c]
    own = [cells.c[name] != results.c[name] for name in SHARED if name in results.c]
    yield Rule(
        results,
        sa.select(results.c.id, results.c.trial_id)
        .join(trials, trials.c.id == results.c.trial_id)
        .join(cells, cells.c.id == results.c.cell_id)
        .where(sa.or_(results.c.seed != trials.c.seed, *shared, *own))
        .order_by(results.c.id),
        "its seed or cell is not that of trial {}",
    )
    job = sa.exists().where(
        jobs.c.trial_id == results.c.trial_id,
        jobs.c.data_digest == results.c.data_digest,
        jobs.c.state == "done",
    )
    yield Rule(
        results,
        sa.select(results.c.id, results.c.trial_id).where(~job).order_by(results.c.id),
        "no job of trial {} is done on its data",
    )


def _overlaps() -> Rule:
    one, back = table_overlaps, table_overlaps.alias("back")
    same = sa.exists().where(
        back.c.trial_id == one.c.other_trial_id,
        back.c.other_trial_id == one.c.trial_id,
        back.c.data_digest == one.c.data_digest,
        back.c.split == one.c.split,
        back.c.iou == one.c.iou,
    )
    return Rule(
        one,
        sa.select(*_keys(one)).where(~same).order_by(*_keys(one)),
        "the other way round it is missing or another",
    )

"""What a job leaves behind when it ends: results, maps, metrics, artifacts and costs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from lcma.db import schema
from lcma.db.curves import insert_metrics
from lcma.db.driving import Statement
from lcma.db.errors import Conflict
from lcma.db.inserting import insert, insert_missing, insert_or_replace
from lcma.db.jobs import end, ended_as, held
from lcma.db.records import (
    Artifact,
    Claim,
    ContributionMap,
    Cost,
    IndexTable,
    Job,
    Metric,
    Outcome,
    Policy,
    Result,
    raw_bytes,
    row_of,
)
from lcma.db.summaries import join_cell, sum_up
from lcma.db.tables import insert_overlaps, table_row

MAP_KEY = ("pretraining_id", "data_digest", "budget", "split", "score")
RESULT_KEY = ("trial_id", "data_digest", "protocol")
TABLE_KEY = ("trial_id", "data_digest", "split")

CIRCUMSTANCE = ("attempt_id", "created")
"""Columns in which two equal results may differ."""

DTYPE = "<f4"
"""How the entries of a map are stored."""


def finish(
    connection: sa.Connection,
    claim: Claim,
    outcome: Outcome,
    *,
    message: str,
    log: str | None,
    last_step: int,
    first_step: int | None,
    cost: Cost,
    result: Result | None,
    maps: Sequence[ContributionMap],
    tables: Sequence[IndexTable],
    artifacts: Sequence[Artifact],
    longest_only: bool,
    metrics: Sequence[Metric],
    policy: Policy | None,
    now: float,
) -> bool:
    """End an attempt and store all it made; see `Store.finish`."""
    job = held(connection, claim)
    if job is None:
        return ended_as(connection, claim, outcome)
    _check_subject(job, outcome, result, maps, tables)
    for item in maps:
        _insert_once(connection, schema.contribution_maps, MAP_KEY, _map_row(item, claim))
    for table in tables:
        row = table_row(table, claim.attempt_id)
        _insert_once(connection, schema.index_tables, TABLE_KEY, row)
    insert_overlaps(connection, tables)
    insert_metrics(connection, claim.job_id, metrics)
    insert_or_replace(
        connection,
        schema.artifacts,
        [{**asdict(item), "job_id": job.id, "created": now} for item in artifacts],
    )
    if result is not None:
        # Late, since trials of the same cell wait for each other from here on.
        insert_result(connection, result, claim.attempt_id, now)
    report = {
        "message": storable(message),
        "log": None if log is None else storable(log),
        "last_step": last_step,
        "began_at": first_step,
        **row_of(cost),
    }
    ended = end(connection, job, outcome, now, policy=policy, report=report, step=last_step)
    if longest_only and outcome == "done" and job.kind == "pretraining":
        _forget_shorter(connection, job)
    return ended is not None


def _forget_shorter(connection: sa.Connection, job: Job) -> None:
    """Take the checkpoints of all segments but the longest out, once every segment is done."""
    jobs, artifacts = schema.jobs, schema.artifacts
    found = connection.execute(
        sa.select(jobs.c.id, jobs.c.state)
        .where(jobs.c.pretraining_id == job.pretraining_id, jobs.c.data_digest == job.data_digest)
        .order_by(jobs.c.budget)
    ).all()
    if any(segment.state != "done" for segment in found):
        return
    shorter = [segment.id for segment in found[:-1]]
    connection.execute(
        sa.delete(artifacts).where(
            artifacts.c.job_id.in_(shorter), artifacts.c.kind == "checkpoint"
        )
    )


_ADD_RESULT = Statement(
    lambda dialect: insert(dialect, schema.results).on_conflict_do_nothing(),
    columns=tuple(schema.results.c.keys()),
)


def insert_result(connection: sa.Connection, result: Result, attempt_id: int, now: float) -> None:
    """Store a result, and sum its cell up; Conflict where it is there with another value."""
    cell = join_cell(connection, result)
    row = {"id": result.id, **row_of(result), **cell, "attempt_id": attempt_id, "created": now}
    if _ADD_RESULT.run(connection, row) == 0:
        _require_stored(connection, schema.results, RESULT_KEY, row)
    sum_up(connection, cell["cell_id"])


def storable(text: str) -> str:
    """The text, with what PostgreSQL or UTF-8 cannot hold as escapes."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _check_subject(
    job: Job,
    outcome: Outcome,
    result: Result | None,
    maps: Sequence[ContributionMap],
    tables: Sequence[IndexTable],
) -> None:
    if job.kind == "trial" and outcome == "done" and result is None:
        raise ValueError(f"trial job {job.id} cannot be done without a result")
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


def _map_row(item: ContributionMap, claim: Claim) -> dict[str, Any]:
    channels, height, width = item.values.shape
    return {
        "pretraining_id": item.pretraining_id,
        "data_digest": item.data_digest,
        "budget": item.budget,
        "split": item.split,
        "score": item.score,
        "channels": channels,
        "height": height,
        "width": width,
        "dtype": DTYPE,
        "values": raw_bytes(item.values),
        "standard_errors": raw_bytes(item.standard_errors),
        "digest": item.digest,
        "images": item.images,
        "mean_log_det": item.mean_log_det,
        "sum_error": item.sum_error,
        "clusters": item.clusters,
        "halves": None if item.halves is None else raw_bytes(item.halves),
        **({} if item.statistics is None else asdict(item.statistics)),
        "attempt_id": claim.attempt_id,
    }


def _insert_once(
    connection: sa.Connection, table: sa.Table, key: Sequence[str], row: dict[str, Any]
) -> None:
    insert_missing(connection, table, [row])
    _require_stored(connection, table, key, row)


def _require_stored(
    connection: sa.Connection, table: sa.Table, key: Sequence[str], row: dict[str, Any]
) -> None:
    same_key = sa.and_(*(table.c[name] == row[name] for name in key))
    stored = connection.execute(sa.select(table).where(same_key)).one()
    require_same(table, key, stored._asdict(), row)


def require_same(
    table: sa.Table, key: Sequence[str], stored: Mapping[str, Any], row: Mapping[str, Any]
) -> None:
    """Conflict where a row differs from the one that is stored under the same key."""
    for name, value in row.items():
        if name not in CIRCUMSTANCE and stored[name] != value:
            where = ", ".join(f"{part} {row[part]}" for part in key)
            raise Conflict(
                f"{table.name} has another {name} for {where}: the same seed gave two values"
            )
